/* forward.h - one step of a model over rows of any number of sequences, and its gradient.
 *
 * The same function serves prefill, decoding, scoring and training (DESIGN, rule 2): a batch is a list of rows (tokens
 * with positions), grouped in spans (consecutive positions of one sequence) whose keys and values live in a paged pool.
 * Training passes a tape that keeps what the backward pass needs. */
#ifndef HONE_MODEL_FORWARD_H
#define HONE_MODEL_FORWARD_H

#include "model/adapter.h"

typedef struct hone_adapter_rows { /* rows [first_row, first_row + n_rows) go through this adapter */
    const hone_adapter *adapter;
    int64_t first_row, n_rows;
} hone_adapter_rows;

typedef struct hone_batch {
    int64_t n_rows;
    const int32_t *tokens, *positions; /* [n_rows] */
    const hone_span *spans;
    int64_t n_spans;
    const hone_kv_write *writes; /* at least one a row */
    int64_t n_writes;
    const hone_adapter_rows *adapters; /* rows without one run on the base alone */
    int64_t n_adapters;
    int64_t n_outer;              /* training: rows of an earlier step that spans continue, numbered from n_rows on */
    struct hone_kv_gradient *out; /* where what these rows send to the outer rows' keys and values is added */
    const struct hone_kv_gradient *in; /* what later steps sent to these rows, or NULL */
} hone_batch;

/* Gradients of keys and values of rows whose backward pass comes later: [n_layers][k, v][n_rows][n_kv_heads*head_dim].
 */
typedef struct hone_kv_gradient {
    int64_t n_rows;
    hone_real *values;
} hone_kv_gradient;
size_t hone_kv_gradient_floats(const hone_model *model, int64_t n_rows);

/* Memory of a step: for up to max_rows rows, reused from step to step. */
typedef struct hone_workspace hone_workspace;
hone_status hone_workspace_create(const hone_model *model, int64_t max_rows, int max_rank, hone_workspace **out,
                                  hone_error *err);
/* The same with logits for other than HONE_LOGIT_ROWS rows at once, up to HONE_MOST_LOGIT_ROWS. */
hone_status hone_workspace_create_as(const hone_model *model, int64_t max_rows, int max_rank, int64_t logit_rows,
                                     hone_workspace **out, hone_error *err);
/* How many training takes: the output matrix is expanded twice for each lot of labelled rows, so as many as pay, within
 * what a vocabulary and passes of max_rows rows leave. The bits do not depend on it. */
int64_t hone_training_logit_rows(const hone_model *model, int64_t max_rows);
void hone_workspace_free(hone_workspace *ws);
int64_t hone_workspace_max_rows(const hone_workspace *ws);
size_t hone_workspace_bytes(const hone_workspace *ws);
/* What one for so many rows would take. */
size_t hone_workspace_bytes_for(const hone_model *model, int64_t max_rows, int max_rank);
size_t hone_workspace_bytes_as(const hone_model *model, int64_t max_rows, int max_rank, int64_t logit_rows);

/* What the forward pass of a training step leaves for the backward pass. */
typedef struct hone_tape hone_tape;
typedef struct hone_tape_size {
    int64_t max_rows, max_outer; /* of a batch */
    int rank;                    /* the adapter's largest */
    bool recompute; /* keep only what enters each block, and compute the block again before its gradient (Chen et al.
                       2016, arXiv 1604.06174): a fifth of the memory for about a third more time, and the same bits */
    int64_t first_layer; /* the lowest that learns; nothing is kept of those below */
    bool dora;           /* keep what linear layers gave too */
} hone_tape_size;
hone_status hone_tape_create_as(const hone_model *model, const hone_tape_size *size, hone_tape **out, hone_error *err);
/* For LoRA on all layers: everything kept, no outer rows. */
hone_status hone_tape_create(const hone_model *model, int64_t max_rows, int rank, hone_tape **out, hone_error *err);
void hone_tape_free(hone_tape *tape);
/* With the scratch of the backward pass. */
size_t hone_tape_bytes(const hone_model *model, const hone_tape_size *size);

/* Runs all blocks; the result is the hidden state of every row before the output norm: [n_rows, n_embd], in the
 * workspace until the next call. tape NULL: inference. With a tape the batch has exactly one adapter over all rows, or
 * none. */
const hone_real *hone_model_forward(const hone_model *model, hone_kv_pool *pool, const hone_batch *batch,
                                    hone_workspace *ws, hone_tape *tape);

enum { HONE_LOGIT_ROWS = 64, HONE_MOST_LOGIT_ROWS = 192 }; /* rows of logits computed at once */
/* Logits [n, n_vocab] of the rows named (n no more than the workspace was made for) of the last forward's hidden state;
 * in the workspace. */
hone_real *hone_model_logits(const hone_model *model, hone_workspace *ws, const int32_t *rows, int64_t n);

typedef struct hone_label { /* row `row` should predict token `target`; its loss counts `weight` times */
    int32_t row, target;
    hone_real weight;
    double logprob; /* of the target; set by hone_model_backward */
} hone_label;
/* After a forward with a tape: the summed weighted loss, and gradients added to `gradient`: of the batch's adapter
 * [n_parameters], or without one of the model's own trained weights (tuned.h). */
double hone_model_backward(const hone_model *model, const hone_kv_pool *pool, const hone_batch *batch,
                           hone_workspace *ws, hone_tape *tape, hone_label *labels, int64_t n_labels,
                           hone_real *gradient);

#endif
