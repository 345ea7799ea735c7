/* sample_text.c - prose with names, numbers and punctuation, long enough for 64 tokens of any vocabulary. */
#include "cli/sample_text.h"

#include <string.h>

const char hone_sample_text[] =
    "The river rises in the hills above the town and reaches the sea after a hundred and twelve miles. In 1843 a "
    "bridge of seven stone arches was built across it; the toll was one penny for a person and four for a cart. "
    "What did a farmer with two carts pay? He paid eight pence.";

hone_status hone_sample_encode(const hone_gguf *file, const char *text, size_t most, hone_token_list *ids,
                               hone_error *err)
{
    hone_tokenizer *t = NULL;
    hone_status status = hone_tokenizer_from_gguf(file, &t, err);
    if (status == HONE_OK && hone_tokenizer_add_bos(t) && hone_tokenizer_bos(t) >= 0)
        status = hone_token_list_push(ids, hone_tokenizer_bos(t), err);
    if (status == HONE_OK)
        status = hone_tokenizer_encode(t, text, strlen(text), true, ids, err);
    hone_tokenizer_free(t);
    if (status == HONE_OK && ids->n > most)
        ids->n = most;
    if (status == HONE_OK && ids->n < 2)
        status = hone_fail(err, HONE_BAD_INPUT, "the text has %zu tokens; at least two are needed", ids->n);
    return status;
}
