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

typedef struct hone_model_config {
    char architecture[32];
    int64_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_context;
    hone_real norm_epsilon;
    double rope_base;
    bool rope_half_split; /* pairs (i, i + head_dim/2); otherwise (2i, 2i+1), the row order of llama-architecture files
                           */
} hone_model_config;

typedef struct hone_layer {
    hone_real *attn_norm, *ffn_norm;     /* [n_embd] */
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
    hone_rope_table *rope;
    size_t weight_bytes;
    hone_tuned *tuned; /* weights that are trained, or NULL: none are */
} hone_model;

/* Checks the configuration and every tensor's shape against it, then packs the weights. `file` may be closed
 * afterwards. HONE_UNSUPPORTED: the architecture, or a tensor's type, named. */
hone_status hone_model_open(hone_ops *ops, const hone_gguf *file, hone_model **out, hone_error *err);
void hone_model_close(hone_model *model);

/* Rows and columns of a linear layer. */
void hone_model_linear_shape(const hone_model_config *config, hone_linear which, int64_t *n_out, int64_t *n_in);
/* "q_proj": PEFT's and Hugging Face's name; "self_attn.q_proj" with the module. */
const char *hone_linear_name(hone_linear which);
const char *hone_linear_path(hone_linear which);
/* "attn_q": its name in GGUF files. */
const char *hone_linear_gguf_name(hone_linear which);

#endif
