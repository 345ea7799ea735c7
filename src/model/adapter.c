/* adapter.c - the memory of an adapter. */
#include "model/adapter.h"

#include "base/hash.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Zeros; in huge pages where the system has them: a step with many adapters reads them at the pace of memory. */
static float *new_floats(size_t n)
{
    const size_t huge = (size_t)2 << 20;
    size_t align = n * sizeof(float) >= huge ? huge : 64;
    size_t bytes = (n * sizeof(float) + align - 1) / align * align;
    float *data = aligned_alloc(align, bytes);
    if (!data)
        return NULL;
    if (align == huge)
        madvise(data, bytes, MADV_HUGEPAGE);
    memset(data, 0, bytes);
    return data;
}

hone_status hone_adapter_create(const hone_model_config *config, int rank, double alpha, hone_adapter **out,
                                hone_error *err)
{
    *out = NULL;
    int64_t smallest = INT64_MAX;
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(config, (hone_linear)i, &n_out, &n_in);
        smallest = n_out < smallest ? n_out : smallest;
        smallest = n_in < smallest ? n_in : smallest;
    }
    if (rank < 1 || rank > smallest)
        return hone_fail(err, HONE_BAD_INPUT, "rank %d; this model's smallest matrix allows 1 to %lld", rank,
                         (long long)smallest);
    if (!(alpha > 0) || !isfinite(alpha))
        return hone_fail(err, HONE_BAD_INPUT, "alpha %g; it must be above 0", alpha);
    hone_adapter *a = calloc(1, sizeof *a);
    size_t n_loras = (size_t)config->n_layers * HONE_N_LINEARS;
    if (!a || !(a->loras = calloc(n_loras, sizeof *a->loras)))
        goto no_memory;
    a->config = *config;
    a->rank = rank;
    a->alpha = alpha;
    a->scale = (float)(alpha / rank);
    size_t n = 0, n_copies = 0;
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &a->loras[i];
        hone_model_linear_shape(config, (hone_linear)(i % HONE_N_LINEARS), &l->n_out, &l->n_in);
        l->a_at = n;
        l->b_at = n + (size_t)(rank * l->n_in);
        n = l->b_at + (size_t)(rank * l->n_out);
        n_copies +=
            (size_t)(rank * l->n_out) + hone_lora_panel_floats(rank, l->n_in) + hone_lora_panel_floats(l->n_out, rank);
    }
    a->n_parameters = n;
    a->parameters = new_floats(n);
    a->copies = new_floats(n_copies);
    if (!a->parameters || !a->copies)
        goto no_memory;
    float *copy = a->copies; /* what serving reads, in the order in which it does; then what training alone reads */
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &a->loras[i];
        l->a = a->parameters + l->a_at;
        l->b_t = a->parameters + l->b_at;
        l->a_panels = copy;
        l->b_panels = l->a_panels + hone_lora_panel_floats(rank, l->n_in);
        copy = l->b_panels + hone_lora_panel_floats(l->n_out, rank);
    }
    for (size_t i = 0; i < n_loras; i++, copy += rank * a->loras[i - 1].n_out)
        a->loras[i].b = copy;
    *out = a;
    return HONE_OK;
no_memory:
    hone_adapter_free(a);
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for an adapter of rank %d", rank);
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
        for (int64_t j = 0; j < adapter->rank * l->n_in; j++)
            l->a[j] = (float)(bound * (2 * hone_rng_uniform(key, (uint64_t)j) - 1));
    }
}

void hone_adapter_refresh(hone_ops *ops, hone_adapter *adapter)
{
    size_t n_loras = (size_t)adapter->config.n_layers * HONE_N_LINEARS;
    for (size_t i = 0; i < n_loras; i++) {
        hone_lora *l = &adapter->loras[i];
        hone_op_lora_pack(ops, adapter->rank, l->n_in, l->a, l->n_in, 1, l->a_panels);
        hone_op_lora_pack(ops, l->n_out, adapter->rank, l->b_t, 1, l->n_out, l->b_panels);
        hone_op_transpose(ops, adapter->rank, l->n_out, l->b_t, l->b);
    }
}

void hone_adapter_hash(hone_adapter *adapter)
{
    hone_sha256 *h = hone_sha256_create();
    adapter->hash[0] = 0;
    if (!h)
        return;
    hone_sha256_update(h, &adapter->rank, sizeof adapter->rank);
    hone_sha256_update(h, &adapter->alpha, sizeof adapter->alpha);
    hone_sha256_update(h, adapter->parameters, adapter->n_parameters * sizeof *adapter->parameters);
    hone_sha256_finish(h, adapter->hash);
}

const hone_lora *hone_adapter_at(const hone_adapter *adapter, int64_t layer, hone_linear which)
{
    return &adapter->loras[layer * HONE_N_LINEARS + which];
}
