/* trace.h - what a model computes for one text, layer by layer, and how far two such computations are apart.
 *
 * hone_trace_run goes through the kernels in use; hone_trace_run_double is the same source built with hone_real as
 * double (tensor/real.h) and scalar kernels alone. Both read the same file and hand their numbers over as doubles, so
 * that one program can compare single precision with what it approximates. */
#ifndef HONE_MODEL_TRACE_H
#define HONE_MODEL_TRACE_H

#include "base/progress.h"
#include "format/gguf.h"
#include "ops/ops.h"

typedef struct hone_trace {
    int64_t n_rows, n_layers, n_embd, n_vocab;
    double *hidden; /* [n_layers + 1][n_rows][n_embd]: after the embedding, then after each block */
    double *logits; /* [n_rows][n_vocab] */
} hone_trace;

typedef struct hone_trace_source {
    const hone_gguf *file;
    const char *adapter; /* a folder of PEFT files, or NULL */
    const int32_t *ids;
    int64_t n_ids;
    int n_threads;          /* 0: all */
    hone_numerics numerics; /* of hone_trace_run */
} hone_trace_source;

/* Cleared with hone_trace_clear. HONE_BAD_INPUT: more tokens than the model's context, an id outside its vocabulary. */
hone_status hone_trace_run(const hone_trace_source *source, hone_progress *progress, hone_trace *out, hone_error *err);
hone_status hone_trace_run_double(const hone_trace_source *source, hone_progress *progress, hone_trace *out,
                                  hone_error *err);
void hone_trace_clear(hone_trace *trace);

/* How far apart two numbers of a kind are: worst is the largest absolute difference, relative the L2 norm of the
 * difference over that of the reference. A difference that is no number (NaN) counts as infinite. */
typedef struct hone_distance {
    double worst, relative;
} hone_distance;

typedef struct hone_trace_difference {
    int64_t n_layers, n_rows;
    hone_distance *hidden; /* [n_layers + 1] */
    hone_distance logits;
    double logprob_mean, logprob_worst; /* |difference| of the text's tokens' log-probabilities, in nats */
    int64_t n_logprobs;                 /* n_rows - 1 */
    int64_t n_best;                     /* rows with the same most likely next token */
} hone_trace_difference;

/* ids: the text. HONE_BAD_INPUT: traces of different shapes. Cleared with hone_trace_difference_clear. */
hone_status hone_trace_compare(const hone_trace *got, const hone_trace *reference, const int32_t *ids,
                               hone_trace_difference *out, hone_error *err);
void hone_trace_difference_clear(hone_trace_difference *difference);

/* Single precision against double precision: beyond these something is broken, not merely rounded. */
typedef struct hone_trace_tolerance {
    double hidden;       /* relative L2 of any layer's hidden state */
    double logprob;      /* nats, any token */
    double logprob_mean; /* nats, on average */
} hone_trace_tolerance;
hone_trace_tolerance hone_trace_tolerance_of(hone_numerics numerics);
/* The first layer beyond the tolerance (0: the embedding), -1 when none is. */
int64_t hone_trace_first_bad_layer(const hone_trace_difference *difference, const hone_trace_tolerance *tolerance);
bool hone_trace_within_tolerance(const hone_trace_difference *difference, const hone_trace_tolerance *tolerance);

#endif
