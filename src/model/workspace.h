/* workspace.h - the arrays of a step; shared by forward.c, backward.c and trace.c only. */
#ifndef HONE_MODEL_WORKSPACE_H
#define HONE_MODEL_WORKSPACE_H

#include "model/forward.h"

enum { HONE_SHARING_INPUT = 3 }; /* linear layers that read the same input: q, k, v */

struct hone_workspace {
    const hone_model *model;
    int64_t max_rows, logit_rows;
    int max_rank;
    size_t bytes;
    hone_real *memory;
    hone_real *x, *normed, *q, *k, *v, *attended, *projected, *gate, *up, *activated; /* [max_rows, ...] */
    hone_real *low;    /* [HONE_SHARING_INPUT, max_rows, max_rank]: A x of each linear layer that reads x */
    hone_real *hidden; /* [logit_rows, n_embd] */
    hone_real *logits; /* [logit_rows, n_vocab] */
};

typedef struct hone_layer_tape {
    hone_real *x_in, *attn_rrms, *q, *attended, *softmax, *x_mid, *ffn_rrms, *gate, *up;
    /* what further norms read, and 1/rms of it; NULL where the model has none */
    hone_real *q_raw, *k_raw, *q_rrms, *k_rrms; /* a row is a head */
    hone_real *attn_out, *ffn_out, *attn_out_rrms, *ffn_out_rrms;
    hone_real *low[HONE_N_LINEARS]; /* [rows, rank]: scale * A x */
    hone_real *y[HONE_N_LINEARS];   /* DoRA: what each linear layer gave (gate and up are those above), else NULL */
} hone_layer_tape;

/* One block on ws->x. write_to NULL: again, for the backward pass, when its keys and values are in the pool: only the
 * tape is filled, and ws->x holds no result. */
void hone_model_forward_layer(const hone_model *model, int64_t l, const hone_kv_pool *pool, hone_kv_pool *write_to,
                              const hone_batch *batch, hone_workspace *ws, hone_layer_tape *tape);

struct hone_tape {
    hone_tape_size size;
    size_t bytes;
    hone_layer_tape *layers; /* [n_layers], those below size.first_layer empty; with recompute all but x_in are the same
                                arrays */
    hone_real *memory;
    hone_real *dx, *d_wide_a, *d_wide_b, *d_narrow, *d_q, *d_k, *d_v, *d_low; /* gradients of a layer in progress */
    hone_real *d_gained;                                                      /* DoRA: gain * dy */
    hone_real *attention_work;
    size_t attention_work_floats;
};

#endif
