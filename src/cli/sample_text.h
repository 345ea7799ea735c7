/* sample_text.h - a short text on which commands compare two computations of a model. */
#ifndef HONE_CLI_SAMPLE_TEXT_H
#define HONE_CLI_SAMPLE_TEXT_H

#include "format/gguf.h"
#include "text/tokenizer.h"

enum { HONE_SAMPLE_TOKENS = 64 };
extern const char hone_sample_text[];

/* At most `most` tokens of the text, with a BOS where the model's file wants one. HONE_BAD_INPUT: fewer than two. */
hone_status hone_sample_encode(const hone_gguf *file, const char *text, size_t most, hone_token_list *ids,
                               hone_error *err);

#endif
