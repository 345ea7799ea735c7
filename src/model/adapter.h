/* adapter.h - a LoRA delta on a model's linear layers (Hu et al. 2021, arXiv 2106.09685): W' = W + scale * B A.
 *
 * Each linear layer of each block has a rank of its own, 0 where it is not adapted, and scale alpha / rank, or
 * alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023, arXiv 2312.03732).
 *
 * DoRA (Liu et al. 2024, arXiv 2402.09353) learns the length of each row too: row o of W + scale * B A is brought to
 * length m[o], so an output is multiplied by gain[o] = m[o] / ||row o||. The lengths are taken from the packed base
 * whenever the parameters change, and count as constants in the gradient, as in the paper's section 4.3 and in PEFT.
 *
 * All parameters of an adapter lie in one array, in the order layer, linear (hone_linear), A [rank, n_in], then B
 * transposed [rank, n_out], then with DoRA m [n_out]; the optimiser and the checkpoint treat it as one vector. The
 * products also need A transposed [n_in, rank] and B [n_out, rank]: copies that hone_adapter_refresh brings up to date
 * after a change. */
#ifndef HONE_MODEL_ADAPTER_H
#define HONE_MODEL_ADAPTER_H

#include "model/model.h"

typedef struct hone_lora {
    int64_t n_in, n_out;
    int rank; /* 0: not adapted, everything below is empty */
    double alpha;
    hone_real scale;
    size_t a_at, b_at;              /* offsets of A and of B transposed in the parameters */
    hone_real *a, *b_t;             /* views: [rank, n_in], [rank, n_out] */
    hone_real *b;                   /* copy: [n_out, rank], for the backward pass */
    hone_real *a_panels, *b_panels; /* copies in the order of hone_op_lora */
    /* DoRA, else NULL; all [n_out] */
    size_t magnitude_at;
    hone_real *magnitude;         /* view */
    hone_real *gain;              /* magnitude / length of the adapted row; 0 for a row of zeros */
    hone_real *inverse_magnitude; /* 0 where the magnitude is 0 */
} hone_lora;

typedef struct hone_adapter {
    hone_model_config config; /* of the base */
    int rank;                 /* the largest of its layers */
    double alpha;             /* of those layers that do not say otherwise */
    bool rslora;
    const hone_model *dora_base; /* NULL: LoRA. DoRA: the base, borrowed, whose rows hone_adapter_refresh measures */
    hone_lora *loras;            /* [n_layers * HONE_N_LINEARS] */
    hone_real *parameters;
    size_t n_parameters;
    hone_real *copies;
    char hash[65];      /* of ranks, scales and parameters: part of every cache key; hone_adapter_hash fills it */
    char base_hash[65]; /* model the adapter was trained on, or "" when unknown */
} hone_adapter;

typedef struct hone_adapter_module { /* what one linear layer of one block gets */
    int rank;                        /* 0: nothing */
    double alpha;
} hone_adapter_module;

/* modules: [n_layers * HONE_N_LINEARS], as hone_adapter_at counts; `alpha` is the adapter's own. Zero everywhere.
 * HONE_BAD_INPUT: a rank larger than its matrix, or nothing adapted. */
hone_status hone_adapter_create_as(const hone_model_config *config, const hone_adapter_module *modules, double alpha,
                                   bool rslora, hone_adapter **out, hone_error *err);
/* The same with DoRA on that base; every magnitude is the length of its row. */
hone_status hone_adapter_create_dora(const hone_model *base, const hone_adapter_module *modules, double alpha,
                                     bool rslora, hone_adapter **out, hone_error *err);
/* The same rank on all linear layers, zero everywhere. */
hone_status hone_adapter_create(const hone_model_config *config, int rank, double alpha, hone_adapter **out,
                                hone_error *err);
void hone_adapter_free(hone_adapter *adapter);
size_t hone_adapter_bytes(const hone_adapter *adapter);
/* A ~ U(-1/sqrt(n_in), 1/sqrt(n_in)) as PEFT's kaiming_uniform(a=sqrt(5)), B = 0, magnitudes the rows' lengths. */
void hone_adapter_init(hone_adapter *adapter, uint64_t seed);
void hone_adapter_refresh(hone_ops *ops, hone_adapter *adapter);
void hone_adapter_hash(hone_adapter *adapter);
const hone_lora *hone_adapter_at(const hone_adapter *adapter, int64_t layer, hone_linear which);
int64_t hone_adapter_lowest_layer(const hone_adapter *adapter); /* that is adapted */

/* PEFT's files in `folder`: adapter_config.json and adapter_model.safetensors (float32, Hugging Face row order).
 * base_name goes to base_model_name_or_path; base_hash to hone.json's reader via the config key "hone_base_sha256". */
hone_status hone_adapter_save(const hone_adapter *adapter, const char *folder, const char *base_name, hone_error *err);
/* "model.layers.3.self_attn.q_proj": how PEFT names a linear layer of a block. */
void hone_adapter_module_name(int64_t layer, hone_linear which, char out[128]);
/* As a GGUF file that llama.cpp loads beside the base. HONE_UNSUPPORTED: DoRA, which the format has no place for. */
hone_status hone_adapter_export_gguf(const hone_adapter *adapter, const char *path, hone_error *err);
/* HONE_UNSUPPORTED for what hone does not do (biases, modules_to_save), HONE_BAD_INPUT for another base's shapes, both
 * named. A DoRA adapter borrows the model. */
hone_status hone_adapter_load(const hone_model *model, const char *folder, hone_adapter **out, hone_error *err);

#endif
