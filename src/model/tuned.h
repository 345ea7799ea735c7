/* tuned.h - a model whose own weights are trained (full fine-tuning).
 *
 * The weights of the blocks that learn become float32, in one array of parameters: for each such block in order the
 * norms of attention, q, k, v, output, the norms of the MLP, gate, up, down; with all blocks also the embedding before
 * them and the output norm (and an untied output matrix) behind them. Matrices lie in panels as kernels read them
 * (ops.h), so a forward pass needs no copy after an update; gradient and moments have the same order. Blocks that do
 * not learn stay as their file has them. */
#ifndef HONE_MODEL_TUNED_H
#define HONE_MODEL_TUNED_H

#include "model/model.h"

typedef struct hone_tuned_layer {
    bool trained;
    size_t norm_at[HONE_N_NORMS], linear_at[HONE_N_LINEARS]; /* of a norm that there is none: 0 */
} hone_tuned_layer;

struct hone_tuned {
    hone_real *parameters;
    size_t n_parameters;                             /* padding of panels included */
    bool whole;                                      /* every block, so embedding and output norm too */
    int64_t lowest;                                  /* block that learns */
    size_t token_embd_at, output_at, output_norm_at; /* output_at is token_embd_at when tied */
    hone_tuned_layer *layers;
};

/* How many parameters that makes. layers: [n_layers]. */
size_t hone_model_count_tuned(const hone_model *model, const bool *layers);
/* Makes them. From then on batches without an adapter train them (hone_model_backward). */
hone_status hone_model_unfreeze(hone_model *model, const bool *layers, hone_error *err);
void hone_tuned_free(hone_tuned *tuned);

typedef struct hone_tuned_output {
    bool folder; /* a Hugging Face folder (folder_write.h), else a GGUF file */
    bool typed;  /* all matrices of `type`; else trained ones F32 and the others as the source has them (a folder: all
                    F32) */
    hone_dtype type; /* HONE_F32, HONE_F16, HONE_BF16, in a GGUF file HONE_Q8_0 too */
} hone_tuned_output;

/* Whether the model that `source` holds can be written so, asked before it is trained. base_folder: where it came from,
 * when that is a folder, or NULL. */
hone_status hone_model_check_output(const hone_gguf *source, const char *base_folder, const hone_tuned_output *output,
                                    hone_error *err);
/* The trained model; of itself it says what `source` does. path: of the GGUF file, or the folder, which exists. */
hone_status hone_model_write_tuned(const hone_model *model, const hone_gguf *source, const char *base_folder,
                                   const hone_tuned_output *output, const char *path, hone_error *err);

#endif
