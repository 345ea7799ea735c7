/* adapter_gguf.c - an adapter as llama.cpp reads it: GGUF with general.type "adapter", adapter.type "lora",
 * adapter.lora.alpha, and for each adapted matrix <base name>.lora_a, ne [n_in, r], and .lora_b, ne [r, n_out], in
 * float32 (llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp).
 *
 * A reader scales by alpha / r, so alpha is the first matrix's scale times its rank, and where another matrix is scaled
 * otherwise (rsLoRA with several ranks, alpha patterns) the difference goes into its B. Rows of q and k lie in the
 * base file's order, which is the order of the adapter in memory. The format has no place for DoRA's magnitudes. */
#include "model/adapter.h"

#include "format/gguf_write.h"

#include <stdio.h>

static hone_status add_values(hone_gguf *file, const hone_adapter *a, float alpha, hone_error *err)
{
    const struct {
        const char *key, *text;
    } texts[] = {{"general.type", "adapter"},
                 {"general.architecture", a->config.architecture},
                 {"general.name", "hone adapter"},
                 {"adapter.type", "lora"}};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == HONE_OK; i++)
        status = hone_gguf_set_string(file, texts[i].key, texts[i].text, err);
    return status == HONE_OK ? hone_gguf_set_float(file, "adapter.lora.alpha", alpha, err) : status;
}

/* B [n_out, rank], times `factor`; in the file's arena. */
static float *turned_b(const hone_gguf *file, const hone_lora *l, float factor)
{
    float *b = hone_arena_array(file->arena, (size_t)(l->rank * l->n_out), sizeof *b);
    for (int64_t row = 0; b && row < l->n_out; row++)
        for (int r = 0; r < l->rank; r++)
            b[row * l->rank + r] = factor == 1 ? l->b_t[r * l->n_out + row] : factor * l->b_t[r * l->n_out + row];
    return b;
}

static hone_status add_pair(hone_gguf *file, const hone_lora *l, int64_t layer, hone_linear which, float alpha,
                            hone_error *err)
{
    char name[160];
    float *b = turned_b(file, l, l->scale / (alpha / (float)l->rank));
    if (!b)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    snprintf(name, sizeof name, "blk.%lld.%s.weight.lora_a", (long long)layer, hone_linear_gguf_name(which));
    hone_status status = hone_gguf_add_tensor(file, name, HONE_F32, 2, (const int64_t[]){l->n_in, l->rank}, l->a, err);
    if (status != HONE_OK)
        return status;
    snprintf(name, sizeof name, "blk.%lld.%s.weight.lora_b", (long long)layer, hone_linear_gguf_name(which));
    return hone_gguf_add_tensor(file, name, HONE_F32, 2, (const int64_t[]){l->rank, l->n_out}, b, err);
}

hone_status hone_adapter_export_gguf(const hone_adapter *a, const char *path, hone_error *err)
{
    hone_gguf file;
    float alpha = 0;
    if (a->dora_base)
        return hone_fail(
            err, HONE_UNSUPPORTED,
            "%s: a DoRA adapter has no form as a GGUF adapter (llama.cpp reads LoRA only); write it into the "
            "model with hone model merge",
            path);
    int64_t n = a->config.n_layers * HONE_N_LINEARS;
    for (int64_t i = 0; i < n && alpha == 0; i++)
        alpha = a->loras[i].rank ? a->loras[i].scale * (float)a->loras[i].rank : 0;
    hone_status status = hone_gguf_create(path, &file, err);
    if (status != HONE_OK)
        return status;
    status = add_values(&file, a, alpha, err);
    for (int64_t i = 0; i < n && status == HONE_OK; i++)
        if (a->loras[i].rank)
            status = add_pair(&file, &a->loras[i], i / HONE_N_LINEARS, (hone_linear)(i % HONE_N_LINEARS), alpha, err);
    if (status == HONE_OK)
        status = hone_gguf_write(&file, path, NULL, NULL, NULL, err);
    hone_gguf_close(&file);
    return status;
}
