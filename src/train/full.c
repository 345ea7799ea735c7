/* full.c - full fine-tuning: float32 weights of all blocks or of those chosen; the result is a model of its own,
 * written as a GGUF file or a Hugging Face folder that keeps the tokenizer, the chat template and all that is not
 * trained from the model it was made from. What is written as float32 are the weights that were scored, bit for bit;
 * another type rounds them. */
#include "train/full.h"

#include "base/file.h"
#include "model/folder_write.h"
#include "model/layer_choice.h"
#include "model/model_file.h"
#include "model/tuned.h"

#include <stdlib.h>
#include <sys/stat.h>

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

/* The folder that the model came from, or NULL. */
static const char *base_folder(const hone_trainable *t)
{
    const char *path = hone_engine_model_path(t->engine);
    return hone_folder_exists(path) ? path : NULL;
}

static hone_status save_full(const hone_trainable *t, const char *folder, hone_error *err)
{
    hone_model_file source = {0};
    char *path = hone_path_join(folder, t->output.folder ? "" : RESULT_FILE);
    hone_status status = path ? hone_model_file_open(hone_engine_model_path(t->engine), &source, err)
                              : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_model_write_tuned(hone_engine_get_model(t->engine), &source.gguf, base_folder(t), &t->output,
                                        path, err);
    hone_model_file_close(&source);
    free(path);
    return status;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What cannot be written in the end is refused in the beginning; nor is a model written over the one it is made from.
 */
static hone_status check_output(const hone_trainable *t, const char *folder, hone_error *err)
{
    hone_model_file source = {0};
    char *path = hone_path_join(folder, t->output.folder ? "" : RESULT_FILE);
    hone_status status = path ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && is_same_file(path, hone_engine_model_path(t->engine)))
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: the tuned model would overwrite the one that it is made from; choose another folder "
                           "with -o",
                           path);
    free(path);
    if (status == HONE_OK)
        status = hone_model_file_open(hone_engine_model_path(t->engine), &source, err);
    if (status == HONE_OK)
        status = hone_model_check_output(&source.gguf, base_folder(t), &t->output, err);
    hone_model_file_close(&source);
    return status;
}

static void destroy_full(hone_trainable *t)
{
    free(t->layers);
}

#define FULL_TYPE(file)                                                                                                \
    {                                                                                                                  \
        .what = "model", .result_file = file, .begin = begin_full, .refresh = refresh_full,                            \
        .prepare_to_score = prepare_full, .save = save_full, .destroy = destroy_full                                   \
    }
static const hone_trainable_type gguf_type = FULL_TYPE(RESULT_FILE), folder_type = FULL_TYPE(HONE_FOLDER_WEIGHTS);

const char *hone_train_model_suffix(const hone_train_options *options)
{
    return options->output.folder ? "" : "/" RESULT_FILE;
}

hone_status hone_trainable_create_full(hone_trainable *t, const hone_train_options *o, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(t->engine);
    int64_t n_chosen, n_layers = model->config.n_layers, lowest = 0;
    if (o->targets || o->rank_of || o->rslora || o->b_rate_ratio != 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "full fine-tuning has no adapter: targets, other ranks, rsLoRA and LoRA+ do not go with it");
    t->type = o->output.folder ? &folder_type : &gguf_type;
    t->output = o->output;
    t->layers = calloc((size_t)n_layers, sizeof *t->layers);
    t->groups = calloc(1, sizeof *t->groups);
    if (!t->layers || !t->groups)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_status status = hone_layers_choose(o->layers, o->frozen, n_layers, t->layers, &n_chosen, err);
    if (status == HONE_OK)
        status = check_output(t, o->folder ? o->folder : "", err);
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
