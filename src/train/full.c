/* full.c - full fine-tuning: float32 weights of all blocks or of those chosen; the result is a model of its own,
 * written as a GGUF file that keeps the tokenizer, the chat template and all that is not trained from the file it was
 * made from. What is written are the weights that were scored, bit for bit. */
#include "train/full.h"

#include "base/file.h"
#include "model/layer_choice.h"
#include "model/tuned.h"

#include <stdlib.h>

#define RESULT_FILE "model.gguf"

static hone_status begin_full(hone_trainable *t, uint64_t seed, hone_error *err)
{
    (void)seed; /* the first parameters are the model's */
    hone_status status = hone_engine_unfreeze(t->engine, t->layers, err);
    if (status == HONE_OK)
        t->parameters = hone_engine_get_model(t->engine)->tuned->parameters;
    return status;
}

static void refresh_full(hone_trainable *t)
{
    (void)t; /* kernels read the parameters themselves */
}

static void prepare_full(hone_trainable *t)
{
    hone_engine_clear_cache(t->engine); /* keys and values of other weights */
}

static hone_status save_full(const hone_trainable *t, const char *folder, hone_error *err)
{
    hone_gguf source = {0};
    char *path = hone_path_join(folder, RESULT_FILE);
    hone_status status = path ? hone_gguf_open(hone_engine_model_path(t->engine), &source, err)
                              : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_model_write_gguf(hone_engine_get_model(t->engine), &source, path, err);
    if (source.arena)
        hone_gguf_close(&source);
    free(path);
    return status;
}

static void destroy_full(hone_trainable *t)
{
    free(t->layers);
}

static const hone_trainable_type full_type = {.what = "model",
                                              .result_file = RESULT_FILE,
                                              .begin = begin_full,
                                              .refresh = refresh_full,
                                              .prepare_to_score = prepare_full,
                                              .save = save_full,
                                              .destroy = destroy_full};

hone_status hone_trainable_create_full(hone_trainable *t, const hone_train_options *o, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(t->engine);
    int64_t n_chosen, n_layers = model->config.n_layers, lowest = 0;
    if (o->targets || o->rank_of || o->rslora || o->b_rate_ratio != 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "full fine-tuning has no adapter: targets, other ranks, rsLoRA and LoRA+ do not go with it");
    t->type = &full_type;
    t->layers = calloc((size_t)n_layers, sizeof *t->layers);
    t->groups = calloc(1, sizeof *t->groups);
    if (!t->layers || !t->groups)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_status status = hone_layers_choose(o->layers, o->frozen, n_layers, t->layers, &n_chosen, err);
    if (status != HONE_OK)
        return status;
    while (!t->layers[lowest])
        lowest++;
    t->n_parameters = hone_model_count_tuned(model, t->layers);
    t->bytes = t->n_parameters * sizeof(hone_real);
    t->groups[t->n_groups++] = (hone_parameter_group){0, t->n_parameters, 1};
    t->tape = (hone_tape_size){.first_layer = lowest};
    return HONE_OK;
}
