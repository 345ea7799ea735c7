/* workspace.h - the arrays of a step; shared by forward.c, backward.c and trace.c only. */
#ifndef HONE_MODEL_WORKSPACE_H
#define HONE_MODEL_WORKSPACE_H

#include "model/forward.h"

enum { HONE_SHARING_INPUT = 3 }; /* linear layers that read the same input: q, k, v */

struct hone_workspace {
    const hone_model *model;
    int64_t max_rows;
    int max_rank;
    size_t bytes;
    hone_real *memory;
    hone_real *x, *normed, *q, *k, *v, *attended, *projected, *gate, *up, *activated; /* [max_rows, ...] */
    hone_real *low;    /* [HONE_SHARING_INPUT, max_rows, max_rank]: A x of each linear layer that reads x */
    hone_real *hidden; /* [HONE_LOGIT_ROWS, n_embd] */
    hone_real *logits; /* [HONE_LOGIT_ROWS, n_vocab] */
};

typedef struct hone_layer_tape {
    hone_real *x_in, *attn_rrms, *q, *attended, *x_mid, *ffn_rrms, *gate, *up;
    hone_real *low[HONE_N_LINEARS]; /* [rows, rank]: scale * A x */
} hone_layer_tape;

struct hone_tape {
    int64_t max_rows;
    int rank;
    hone_layer_tape *layers;
    hone_real *memory;
    hone_real *dx, *d_wide_a, *d_wide_b, *d_narrow, *d_q, *d_k, *d_v, *d_low; /* gradients of a layer in progress */
    hone_real *attention_work;
    size_t attention_work_floats;
};

#endif
