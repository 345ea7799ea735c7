/* encoder.h - a text encoder (BERT: Devlin et al. 2019, arXiv 1810.04805) opened from a Hugging Face folder.
 *
 * The folder holds config.json and model.safetensors; where they are there, sentence_bert_config.json says how many
 * tokens a text may have and 1_Pooling/config.json how its token vectors become one. Read-only after opening. */
#ifndef HONE_MODEL_ENCODER_H
#define HONE_MODEL_ENCODER_H

#include "base/arena.h"
#include "ops/ops.h"

typedef struct hone_encoder_config {
    int64_t n_layers, n_embd, n_heads, head_dim, n_ff, n_vocab;
    int64_t n_positions; /* rows of the position table */
    int64_t most_tokens; /* of a text, [CLS] and [SEP] included */
    float norm_epsilon;
    hone_pooling pooling;
} hone_encoder_config;

/* HONE_BAD_FORMAT: a number missing or absurd; HONE_UNSUPPORTED: another architecture, activation or pooling, named. */
hone_status hone_encoder_config_read(const char *folder, hone_encoder_config *out, hone_error *err);

typedef enum hone_encoder_linear {
    HONE_ENCODER_Q,
    HONE_ENCODER_K,
    HONE_ENCODER_V,
    HONE_ENCODER_ATTENDED,
    HONE_ENCODER_UP,
    HONE_ENCODER_DOWN,
    HONE_N_ENCODER_LINEARS
} hone_encoder_linear;

typedef struct hone_encoder_norm {
    float *w, *b; /* [n_embd] */
} hone_encoder_norm;

typedef struct hone_encoder_layer {
    hone_weight *linear[HONE_N_ENCODER_LINEARS];
    float *bias[HONE_N_ENCODER_LINEARS];
    hone_encoder_norm attention_norm, ffn_norm;
} hone_encoder_layer;

typedef struct hone_encoder {
    hone_encoder_config config;
    hone_ops *ops; /* borrowed */
    hone_arena *arena;
    float *words, *places, *kind; /* [n_vocab, n_embd], [n_positions, n_embd], [n_embd]: of sentence A */
    hone_encoder_norm input_norm;
    hone_encoder_layer *layers;
    size_t words_bytes, weight_bytes;
} hone_encoder;

/* Checks every tensor's shape against the configuration, then copies and packs; the files may go afterwards. */
hone_status hone_encoder_open(hone_ops *ops, const char *folder, hone_encoder **out, hone_error *err);
void hone_encoder_close(hone_encoder *encoder);

/* Memory of a step, for up to max_rows tokens, and the operations that it runs on: the encoder's, or others with the
 * same kernels (borrowed). Steps with workspaces and operations of their own may run at once. */
typedef struct hone_encoder_workspace hone_encoder_workspace;
hone_status hone_encoder_workspace_create(const hone_encoder *encoder, hone_ops *ops, int64_t max_rows,
                                          hone_encoder_workspace **out, hone_error *err);
void hone_encoder_workspace_free(hone_encoder_workspace *ws);

/* Runs texts without padding: text s is tokens [starts[s], starts[s + 1]), each at most config.most_tokens long and
 * starts[n_texts] at most max_rows. The result is the last hidden state [starts[n_texts], n_embd], in the workspace. */
const float *hone_encoder_forward(const hone_encoder *encoder, const int64_t *starts, int64_t n_texts,
                                  const int32_t *tokens, hone_encoder_workspace *ws);

#endif
