/* sample_text.h - a short text on which commands compare two computations of a model. */
#ifndef HONE_CLI_SAMPLE_TEXT_H
#define HONE_CLI_SAMPLE_TEXT_H

#include "format/gguf.h"
#include "model/trace.h"
#include "text/tokenizer.h"

enum { HONE_SAMPLE_TOKENS = 64 };
extern const char hone_sample_text[];

/* At most `most` tokens of the text, with a BOS where the model's file wants one. HONE_BAD_INPUT: fewer than two. */
hone_status hone_sample_encode(const hone_gguf *file, const char *text, size_t most, hone_token_list *ids,
                               hone_error *err);

/* One of two computations that are compared: a model, with an adapter or without, in single precision of some class or
 * in double. */
typedef struct hone_sample_side {
    const hone_gguf *file;
    const char *adapter;
    hone_numerics numerics;
    bool exact; /* in double precision */
} hone_sample_side;
/* Runs the ids through both and says how far a is from b. The caller clears *out. */
hone_status hone_sample_compare(const hone_sample_side *a, const hone_sample_side *b, const hone_token_list *ids,
                                int n_threads, hone_progress *progress, hone_trace_difference *out, hone_error *err);

#endif
