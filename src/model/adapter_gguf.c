/* adapter_gguf.c - an adapter as llama.cpp reads it: GGUF with general.type "adapter", adapter.type "lora",
 * adapter.lora.alpha, and for each adapted matrix <base name>.lora_a, ne [n_in, r], and .lora_b, ne [r, n_out], in
 * float32 (llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp).
 *
 * A reader scales by alpha / r, so alpha is the first matrix's scale times its rank, and where another matrix is scaled
 * otherwise (rsLoRA with several ranks, alpha patterns) the difference goes into its B. Rows of q and k lie in the
 * base file's order, which is the order of the adapter in memory. */
#include "model/adapter.h"

#include "base/file.h"
#include "format/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GGUF_VERSION = 3, GGUF_ALIGNMENT = 32, N_KEYS = 5 };

static void put_string(hone_buffer *b, const char *text)
{
    uint64_t length = strlen(text);
    hone_buffer_append(b, &length, sizeof length);
    hone_buffer_append(b, text, (size_t)length);
}

static void put_text_value(hone_buffer *b, const char *key, const char *value)
{
    uint32_t type = HONE_GGUF_STRING;
    put_string(b, key);
    hone_buffer_append(b, &type, sizeof type);
    put_string(b, value);
}

static void put_tensor(hone_buffer *directory, int64_t layer, hone_linear which, const char *part, int64_t fast,
                       int64_t slow, uint64_t offset)
{
    char name[160];
    uint32_t n_dims = 2, dtype = HONE_F32;
    uint64_t ne[2] = {(uint64_t)fast, (uint64_t)slow};
    snprintf(name, sizeof name, "blk.%lld.%s.weight.%s", (long long)layer, hone_linear_gguf_name(which), part);
    put_string(directory, name);
    hone_buffer_append(directory, &n_dims, sizeof n_dims);
    hone_buffer_append(directory, ne, sizeof ne);
    hone_buffer_append(directory, &dtype, sizeof dtype);
    hone_buffer_append(directory, &offset, sizeof offset);
}

static void pad(hone_buffer *b)
{
    while (b->length % GGUF_ALIGNMENT && !b->failed)
        hone_buffer_putc(b, 0);
}

static void put_b(hone_buffer *data, const hone_lora *l, float factor)
{
    for (int64_t row = 0; row < l->n_out; row++)
        for (int r = 0; r < l->rank; r++) {
            float v = factor == 1 ? l->b_t[r * l->n_out + row] : factor * l->b_t[r * l->n_out + row];
            hone_buffer_append(data, &v, sizeof v);
        }
}

hone_status hone_adapter_export_gguf(const hone_adapter *a, const char *path, hone_error *err)
{
    hone_buffer file = {0}, directory = {0}, data = {0};
    float alpha = 0;
    uint64_t n_tensors = 0, n_keys = N_KEYS;
    for (int64_t i = 0; i < a->config.n_layers * HONE_N_LINEARS; i++) {
        const hone_lora *l = &a->loras[i];
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        if (!l->rank)
            continue;
        if (alpha == 0)
            alpha = l->scale * (float)l->rank;
        put_tensor(&directory, i / HONE_N_LINEARS, which, "lora_a", l->n_in, l->rank, data.length);
        hone_buffer_append(&data, l->a, (size_t)(l->rank * l->n_in) * sizeof(float));
        pad(&data);
        put_tensor(&directory, i / HONE_N_LINEARS, which, "lora_b", l->rank, l->n_out, data.length);
        put_b(&data, l, l->scale / (alpha / (float)l->rank));
        pad(&data);
        n_tensors += 2;
    }
    uint32_t version = GGUF_VERSION, f32 = HONE_GGUF_F32;
    hone_buffer_append(&file, "GGUF", 4);
    hone_buffer_append(&file, &version, sizeof version);
    hone_buffer_append(&file, &n_tensors, sizeof n_tensors);
    hone_buffer_append(&file, &n_keys, sizeof n_keys);
    put_text_value(&file, "general.type", "adapter");
    put_text_value(&file, "general.architecture", a->config.architecture);
    put_text_value(&file, "general.name", "hone adapter");
    put_text_value(&file, "adapter.type", "lora");
    put_string(&file, "adapter.lora.alpha");
    hone_buffer_append(&file, &f32, sizeof f32);
    hone_buffer_append(&file, &alpha, sizeof alpha);
    hone_buffer_append(&file, directory.data, directory.length);
    pad(&file);
    hone_buffer_append(&file, data.data, data.length);
    hone_status status = file.failed || directory.failed || data.failed
                             ? hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path)
                             : hone_file_write_atomic(path, file.data, file.length, err);
    hone_buffer_clear(&file);
    hone_buffer_clear(&directory);
    hone_buffer_clear(&data);
    return status;
}
