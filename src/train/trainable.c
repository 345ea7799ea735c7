/* trainable.c - adapters as what is trained. */
#include "train/trainable.h"

#include "train/full.h"

#include "model/adapter_targets.h"
#include "model/layer_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hone_status begin_adapter(hone_trainable *t, uint64_t seed, hone_error *err)
{
    (void)err;
    snprintf(t->adapter->base_hash, sizeof t->adapter->base_hash, "%s", hone_engine_model_hash(t->engine));
    hone_adapter_init(t->adapter, seed);
    return HONE_OK;
}

static void refresh_adapter(hone_trainable *t)
{
    hone_adapter_refresh(hone_engine_get_model(t->engine)->ops, t->adapter);
}

static void prepare_adapter(hone_trainable *t)
{
    refresh_adapter(t);
    hone_adapter_hash(t->adapter);
}

static hone_status save_adapter(const hone_trainable *t, const char *folder, hone_error *err)
{
    const char *path = hone_engine_model_path(t->engine), *slash = strrchr(path, '/');
    return hone_adapter_save(t->adapter, folder, slash ? slash + 1 : path, err);
}

static void destroy_adapter(hone_trainable *t)
{
    hone_adapter_free(t->adapter);
}

static const hone_trainable_type adapter_type = {.what = "adapter",
                                                 .result_file = "adapter_model.safetensors",
                                                 .begin = begin_adapter,
                                                 .refresh = refresh_adapter,
                                                 .prepare_to_score = prepare_adapter,
                                                 .save = save_adapter,
                                                 .destroy = destroy_adapter};

hone_status hone_adapter_parameter_groups(const hone_adapter *a, double b_rate_ratio, hone_parameter_group **groups,
                                          size_t *n_groups, hone_error *err)
{
    size_t n_loras = (size_t)a->config.n_layers * HONE_N_LINEARS, n = 0;
    hone_parameter_group *g = calloc(2 * n_loras, sizeof *g);
    *groups = g;
    *n_groups = 0;
    if (!g)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an adapter");
    if (b_rate_ratio == 1)
        g[n++] = (hone_parameter_group){0, a->n_parameters, 1};
    for (size_t i = 0; i < n_loras && b_rate_ratio != 1; i++) {
        const hone_lora *l = &a->loras[i];
        if (!l->rank)
            continue;
        size_t faster = (size_t)(l->rank * l->n_out) + (l->magnitude ? (size_t)l->n_out : 0);
        g[n++] = (hone_parameter_group){l->a_at, (size_t)(l->rank * l->n_in), 1};
        g[n++] = (hone_parameter_group){l->b_at, faster, b_rate_ratio};
    }
    *n_groups = n;
    return HONE_OK;
}

static hone_status create_adapter(hone_trainable *t, const hone_train_options *o, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(t->engine);
    int64_t n_chosen, n_layers = model->config.n_layers;
    bool *layers = calloc((size_t)n_layers, sizeof *layers);
    if (!layers)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_adapter_choice choice = {.rank = o->rank,
                                  .alpha = o->alpha,
                                  .rslora = o->rslora,
                                  .targets = o->targets,
                                  .rank_of = o->rank_of,
                                  .layers = layers,
                                  .dora_base = o->method == HONE_METHOD_DORA ? model : NULL};
    hone_status status = hone_layers_choose(o->layers, o->frozen, n_layers, layers, &n_chosen, err);
    if (status == HONE_OK)
        status = hone_adapter_create_chosen(&model->config, &choice, &t->adapter, err);
    if (status == HONE_OK && t->adapter->rank > HONE_MAX_ADAPTER_RANK)
        status = hone_fail(err, HONE_BAD_INPUT, "rank %d; what is tuned here is scored and served with ranks up to %d",
                           t->adapter->rank, HONE_MAX_ADAPTER_RANK);
    free(layers);
    if (status != HONE_OK)
        return status;
    t->type = &adapter_type;
    t->parameters = t->adapter->parameters;
    t->n_parameters = t->adapter->n_parameters;
    t->bytes = hone_adapter_bytes(t->adapter);
    t->tape = (hone_tape_size){.rank = t->adapter->rank,
                               .first_layer = hone_adapter_lowest_layer(t->adapter),
                               .dora = choice.dora_base != NULL};
    return hone_adapter_parameter_groups(t->adapter, o->b_rate_ratio, &t->groups, &t->n_groups, err);
}

hone_status hone_trainable_create(hone_engine *engine, const hone_train_options *options, hone_trainable **out,
                                  hone_error *err)
{
    *out = NULL;
    hone_trainable *t = calloc(1, sizeof *t);
    if (!t)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    t->engine = engine;
    hone_status status = options->method == HONE_METHOD_FULL ? hone_trainable_create_full(t, options, err)
                                                             : create_adapter(t, options, err);
    if (status == HONE_OK)
        *out = t;
    else
        hone_trainable_free(t);
    return status;
}

void hone_trainable_free(hone_trainable *t)
{
    if (!t)
        return;
    if (t->type)
        t->type->destroy(t);
    free(t->groups);
    free(t);
}
