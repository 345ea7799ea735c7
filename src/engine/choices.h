/* choices.h - a set of allowed answers as a trie of tokens (labels, options of a multiple choice). */
#ifndef HONE_ENGINE_CHOICES_H
#define HONE_ENGINE_CHOICES_H

#include "text/tokenizer.h"

typedef struct hone_choices hone_choices;

/* Each text is tokenised as an answer and followed by the end-of-turn token `end` (so that no choice is a proper prefix
 * of another). Copies. HONE_BAD_INPUT when two texts have the same tokens or one is empty. */
hone_status hone_choices_create(const hone_tokenizer *tokenizer, const char *const *texts, size_t n, int32_t end,
                                hone_choices **out, hone_error *err);
void hone_choices_free(hone_choices *choices);
size_t hone_choices_count(const hone_choices *choices);
int64_t hone_choices_longest_tokens(const hone_choices *choices);     /* its end included */
const char *hone_choices_text(const hone_choices *choices, size_t i); /* borrowed */

#endif
