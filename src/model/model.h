/* model.h - a language model opened from a GGUF file: configuration, packed weights, rotary table.
 *
 * Read-only after opening, unless its weights are trained (tuned.h); shared by the engine and the trainer. */
#ifndef HONE_MODEL_MODEL_H
#define HONE_MODEL_MODEL_H

#include "format/gguf.h"
#include "ops/ops.h"

typedef enum hone_linear { /* the linear layers of a block, in PEFT's order of names */
                           HONE_ATTN_Q,
                           HONE_ATTN_K,
                           HONE_ATTN_V,
                           HONE_ATTN_OUTPUT,
                           HONE_FFN_GATE,
                           HONE_FFN_UP,
                           HONE_FFN_DOWN,
                           HONE_N_LINEARS
} hone_linear;

typedef enum hone_norm { /* the norms of a block; the two in the middle of attention and the post norms are Gemma 3's */
                         HONE_ATTN_NORM,
                         HONE_Q_NORM,
                         HONE_K_NORM,
                         HONE_ATTN_POST_NORM,
                         HONE_FFN_NORM,
                         HONE_FFN_POST_NORM,
                         HONE_N_NORMS
} hone_norm;

typedef struct hone_model_config {
    char architecture[32];
    int64_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_context;
    hone_real norm_epsilon;
    double rope_base;
    bool rope_half_split; /* pairs (i, i + head_dim/2); otherwise (2i, 2i+1), the row order of llama-architecture files
                           */
    /* what Gemma 3 has and llama has not; zero there */
    bool head_norms;            /* q and k of each head are normalised before they are turned */
    bool post_norms;            /* so is what attention and MLP give, before it is added */
    bool gelu_gate;             /* the MLP's gate is the tanh form of GELU instead of SiLU */
    hone_real embedding_scale;  /* embeddings are multiplied by it; 0: as they are */
    int64_t window, full_every; /* all layers but each full_every-th see the last `window` positions; 0: all see all */
    double local_rope_base;     /* of those layers */
} hone_model_config;

typedef struct hone_layer {
    hone_real *norm[HONE_N_NORMS];       /* [hone_model_norm_width], or NULL where the architecture has none */
    hone_weight *linear[HONE_N_LINEARS]; /* [n_out, n_in] */
} hone_layer;

typedef struct hone_tuned hone_tuned;

typedef struct hone_model {
    hone_model_config config;
    hone_ops *ops; /* borrowed */
    hone_arena *arena;
    hone_layer *layers;
    hone_weight *token_embd;
    hone_weight *output; /* token_embd itself when tied */
    hone_real *output_norm;
    hone_rope_table *rope, *local_rope; /* the latter of layers with a window, or NULL */
    size_t weight_bytes;
    hone_tuned *tuned; /* weights that are trained, or NULL: none are */
} hone_model;

/* Checks the configuration and every tensor's shape against it, then packs the weights. `file` may be closed
 * afterwards. HONE_UNSUPPORTED: the architecture, or a tensor's type, named. */
hone_status hone_model_open(hone_ops *ops, const hone_gguf *file, hone_model **out, hone_error *err);
void hone_model_close(hone_model *model);

/* The window of a layer as hone_op_attention takes it, and its rotary table. */
int64_t hone_model_window(const hone_model_config *config, int64_t layer);
const hone_rope_table *hone_model_rope(const hone_model *model, int64_t layer);

/* Weights of a norm; 0: this architecture has none there. */
int64_t hone_model_norm_width(const hone_model_config *config, hone_norm which);
/* "attn_norm": its name in GGUF files. */
const char *hone_norm_gguf_name(hone_norm which);
/* Rows and columns of a linear layer. */
void hone_model_linear_shape(const hone_model_config *config, hone_linear which, int64_t *n_out, int64_t *n_in);
/* "q_proj": PEFT's and Hugging Face's name; "self_attn.q_proj" with the module. */
const char *hone_linear_name(hone_linear which);
const char *hone_linear_path(hone_linear which);
/* "attn_q": its name in GGUF files. */
const char *hone_linear_gguf_name(hone_linear which);

#endif
