/* adapter.c - the memory of an adapter. */
#include "model/adapter.h"

#include "base/hash.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Zeros; in huge pages where the system has them: a step with many adapters reads them at the pace of memory. */
static hone_real *new_floats(size_t n)
{
    const size_t huge = (size_t)2 << 20;
    size_t align = n * sizeof(hone_real) >= huge ? huge : 64;
    size_t bytes = (n * sizeof(hone_real) + align - 1) / align * align;
    hone_real *data = aligned_alloc(align, bytes);
    if (!data)
        return NULL;
    if (align == huge)
        madvise(data, bytes, MADV_HUGEPAGE);
    memset(data, 0, bytes);
    return data;
}

void hone_adapter_module_name(int64_t layer, hone_linear which, char out[128])
{
    snprintf(out, 128, "model.layers.%lld.%s", (long long)layer, hone_linear_path(which));
}

static hone_status check_modules(const hone_model_config *config, const hone_adapter_module *modules, hone_error *err)
{
    bool any = false;
    for (int64_t i = 0; i < config->n_layers * HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        char name[128];
        hone_model_linear_shape(config, (hone_linear)(i % HONE_N_LINEARS), &n_out, &n_in);
        int64_t most = n_out < n_in ? n_out : n_in;
        hone_adapter_module_name(i / HONE_N_LINEARS, (hone_linear)(i % HONE_N_LINEARS), name);
        if (modules[i].rank < 0 || modules[i].rank > most)
            return hone_fail(err, HONE_BAD_INPUT, "rank %d; %s is %lld x %lld, which allows 1 to %lld", modules[i].rank,
                             name, (long long)n_out, (long long)n_in, (long long)most);
        if (modules[i].rank > 0 && (!(modules[i].alpha > 0) || !isfinite(modules[i].alpha)))
            return hone_fail(err, HONE_BAD_INPUT, "alpha %g for %s; it must be above 0", modules[i].alpha, name);
        any |= modules[i].rank > 0;
    }
    return any ? HONE_OK : hone_fail(err, HONE_BAD_INPUT, "rank 0 everywhere: the adapter would change nothing");
}

/* Keeps what follows on the border of a panel. */
static size_t whole_panels(int64_t n)
{
    return (size_t)(n + HONE_PANEL - 1) / HONE_PANEL * HONE_PANEL;
}

static size_t copy_floats(const hone_lora *l, bool dora)
{
    return l->rank ? (size_t)(l->rank * l->n_out) + hone_lora_panel_floats(l->rank, l->n_in) +
                         hone_lora_panel_floats(l->n_out, l->rank) + (dora ? 2 * whole_panels(l->n_out) : 0)
                   : 0;
}

size_t hone_adapter_bytes(const hone_adapter *a)
{
    size_t floats = a->n_parameters;
    for (int64_t i = 0; i < a->config.n_layers * HONE_N_LINEARS; i++)
        floats += copy_floats(&a->loras[i], a->dora_base != NULL);
    return floats * sizeof(hone_real);
}

/* The copies, laid out as they are read: first what serving reads, then what training alone does. */
static void place_copies(hone_adapter *a, bool dora)
{
    size_t n_loras = (size_t)a->config.n_layers * HONE_N_LINEARS;
    hone_real *copy = a->copies;
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &a->loras[i];
        if (!l->rank)
            continue;
        l->a = a->parameters + l->a_at;
        l->b_t = a->parameters + l->b_at;
        l->a_panels = copy;
        l->b_panels = l->a_panels + hone_lora_panel_floats(l->rank, l->n_in);
        copy = l->b_panels + hone_lora_panel_floats(l->n_out, l->rank);
        if (!dora)
            continue;
        l->magnitude = a->parameters + l->magnitude_at;
        l->gain = copy;
        copy += whole_panels(l->n_out);
    }
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &a->loras[i];
        l->b = l->rank ? copy : NULL;
        copy += l->rank * l->n_out;
        if (!dora || !l->rank)
            continue;
        l->inverse_magnitude = copy;
        copy += whole_panels(l->n_out);
    }
}

static hone_status create(const hone_model_config *config, const hone_model *dora_base,
                          const hone_adapter_module *modules, double alpha, bool rslora, hone_adapter **out,
                          hone_error *err)
{
    *out = NULL;
    hone_status status = check_modules(config, modules, err);
    if (status != HONE_OK)
        return status;
    hone_adapter *a = calloc(1, sizeof *a);
    size_t n_loras = (size_t)config->n_layers * HONE_N_LINEARS;
    if (!a || !(a->loras = calloc(n_loras, sizeof *a->loras)))
        goto no_memory;
    a->config = *config;
    a->alpha = alpha;
    a->rslora = rslora;
    a->dora_base = dora_base;
    size_t n = 0, n_copies = 0;
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &a->loras[i];
        hone_model_linear_shape(config, (hone_linear)(i % HONE_N_LINEARS), &l->n_out, &l->n_in);
        l->rank = modules[i].rank;
        l->alpha = modules[i].alpha;
        l->scale = l->rank ? (hone_real)(l->alpha / (rslora ? sqrt((double)l->rank) : (double)l->rank)) : 0;
        l->a_at = n;
        l->b_at = n + (size_t)(l->rank * l->n_in);
        l->magnitude_at = l->b_at + (size_t)(l->rank * l->n_out);
        n = l->magnitude_at + (dora_base && l->rank ? (size_t)l->n_out : 0);
        n_copies += copy_floats(l, dora_base != NULL);
        a->rank = l->rank > a->rank ? l->rank : a->rank;
    }
    a->n_parameters = n;
    a->parameters = new_floats(n);
    a->copies = new_floats(n_copies);
    if (!a->parameters || !a->copies)
        goto no_memory;
    place_copies(a, dora_base != NULL);
    *out = a;
    return HONE_OK;
no_memory:
    hone_adapter_free(a);
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for an adapter");
}

hone_status hone_adapter_create_as(const hone_model_config *config, const hone_adapter_module *modules, double alpha,
                                   bool rslora, hone_adapter **out, hone_error *err)
{
    return create(config, NULL, modules, alpha, rslora, out, err);
}

/* norm[o] of every row as it is now; b_panels must be up to date. */
static void measure_rows(hone_adapter *a, size_t i, hone_real *norm)
{
    const hone_lora *l = &a->loras[i];
    const hone_model *base = a->dora_base;
    hone_op_adapted_row_norms(base->ops, base->layers[i / HONE_N_LINEARS].linear[i % HONE_N_LINEARS], l->rank, l->scale,
                              l->a, l->b_panels, norm);
}

static void reset_magnitudes(hone_adapter *a)
{
    size_t n_loras = (size_t)a->config.n_layers * HONE_N_LINEARS;
    for (size_t i = 0; i < n_loras && a->dora_base; i++) {
        const hone_lora *l = &a->loras[i];
        if (!l->rank)
            continue;
        hone_op_lora_pack(a->dora_base->ops, l->n_out, l->rank, l->b_t, 1, l->n_out, l->b_panels);
        measure_rows(a, i, l->magnitude);
    }
}

hone_status hone_adapter_create_dora(const hone_model *base, const hone_adapter_module *modules, double alpha,
                                     bool rslora, hone_adapter **out, hone_error *err)
{
    hone_status status = create(&base->config, base, modules, alpha, rslora, out, err);
    if (status == HONE_OK)
        reset_magnitudes(*out);
    return status;
}

hone_status hone_adapter_create(const hone_model_config *config, int rank, double alpha, hone_adapter **out,
                                hone_error *err)
{
    size_t n = (size_t)config->n_layers * HONE_N_LINEARS;
    hone_adapter_module *modules = calloc(n, sizeof *modules);
    *out = NULL;
    if (!modules)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an adapter");
    for (size_t i = 0; i < n; i++)
        modules[i] = (hone_adapter_module){rank, alpha};
    hone_status status = hone_adapter_create_as(config, modules, alpha, false, out, err);
    free(modules);
    return status;
}

void hone_adapter_free(hone_adapter *adapter)
{
    if (!adapter)
        return;
    free(adapter->loras);
    free(adapter->parameters);
    free(adapter->copies);
    free(adapter);
}

void hone_adapter_init(hone_adapter *adapter, uint64_t seed)
{
    size_t n_loras = (size_t)adapter->config.n_layers * HONE_N_LINEARS;
    memset(adapter->parameters, 0, adapter->n_parameters * sizeof *adapter->parameters);
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &adapter->loras[i];
        double bound = 1 / sqrt((double)l->n_in);
        hone_rng_key key = {seed, HONE_RNG_ADAPTER_INIT, (uint32_t)i};
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            l->a[j] = (hone_real)(bound * (2 * hone_rng_uniform(key, (uint64_t)j) - 1));
    }
    reset_magnitudes(adapter);
}

/* gain and 1/magnitude of a layer, from its rows' lengths as they are now. */
static void refresh_gain(hone_adapter *a, size_t i)
{
    hone_lora *l = &a->loras[i];
    measure_rows(a, i, l->gain);
    for (int64_t o = 0; o < l->n_out; o++) {
        hone_real length = l->gain[o], m = l->magnitude[o];
        l->gain[o] = length > 0 ? m / length : 0;
        l->inverse_magnitude[o] = m != 0 ? 1 / m : 0;
    }
}

void hone_adapter_refresh(hone_ops *ops, hone_adapter *adapter)
{
    size_t n_loras = (size_t)adapter->config.n_layers * HONE_N_LINEARS;
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &adapter->loras[i];
        if (!l->rank)
            continue;
        hone_op_lora_pack(ops, l->rank, l->n_in, l->a, l->n_in, 1, l->a_panels);
        hone_op_lora_pack(ops, l->n_out, l->rank, l->b_t, 1, l->n_out, l->b_panels);
        hone_op_transpose(ops, l->rank, l->n_out, l->b_t, l->b);
        if (adapter->dora_base)
            refresh_gain(adapter, i);
    }
}

void hone_adapter_hash(hone_adapter *adapter)
{
    hone_sha256 *h = hone_sha256_create();
    adapter->hash[0] = 0;
    if (!h)
        return;
    for (int64_t i = 0; i < adapter->config.n_layers * HONE_N_LINEARS; i++) {
        hone_sha256_update(h, &adapter->loras[i].rank, sizeof adapter->loras[i].rank);
        hone_sha256_update(h, &adapter->loras[i].scale, sizeof adapter->loras[i].scale);
    }
    if (adapter->dora_base)
        hone_sha256_update(h, "DoRA", 4);
    hone_sha256_update(h, adapter->parameters, adapter->n_parameters * sizeof *adapter->parameters);
    hone_sha256_finish(h, adapter->hash);
}

const hone_lora *hone_adapter_at(const hone_adapter *adapter, int64_t layer, hone_linear which)
{
    return &adapter->loras[layer * HONE_N_LINEARS + which];
}

int64_t hone_adapter_lowest_layer(const hone_adapter *adapter)
{
    for (int64_t i = 0; i < adapter->config.n_layers * HONE_N_LINEARS; i++)
        if (adapter->loras[i].rank > 0)
            return i / HONE_N_LINEARS;
    return adapter->config.n_layers;
}
