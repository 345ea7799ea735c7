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

static hone_status run_side(const hone_sample_side *side, const hone_token_list *ids, int n_threads,
                            hone_progress *progress, hone_trace *out, hone_error *err)
{
    hone_trace_source source = {.file = side->file,
                                .adapter = side->adapter,
                                .ids = ids->data,
                                .n_ids = (int64_t)ids->n,
                                .n_threads = n_threads,
                                .numerics = side->numerics};
    return (side->exact ? hone_trace_run_double : hone_trace_run)(&source, progress, out, err);
}

hone_status hone_sample_compare(const hone_sample_side *a, const hone_sample_side *b, const hone_token_list *ids,
                                int n_threads, hone_progress *progress, hone_trace_difference *out, hone_error *err)
{
    hone_trace of_a = {0}, of_b = {0};
    hone_status status = run_side(a, ids, n_threads, progress, &of_a, err);
    if (status == HONE_OK)
        status = run_side(b, ids, n_threads, progress, &of_b, err);
    if (status == HONE_OK)
        status = hone_trace_compare(&of_a, &of_b, ids->data, out, err);
    hone_trace_clear(&of_a);
    hone_trace_clear(&of_b);
    return status;
}
