/* tuned_gguf.c - a trained model as a GGUF file. Everything but the trained tensors is the source's, so its tokenizer
 * and chat template stay. Rows lie in the file's own order, which is that of the weights in memory. */
#include "model/tuned.h"

#include "format/gguf_write.h"

#include <stdio.h>
#include <string.h>

enum { ROWS_AT_ONCE = 64 };

static bool is_called(const hone_gguf_tensor *t, const char *name)
{
    return t->name.length == strlen(name) && memcmp(t->name.data, name, t->name.length) == 0;
}

/* What a tensor of the file is in the model: a trained matrix, a trained norm, or neither. */
typedef struct place {
    const hone_weight *matrix;
    const hone_real *norm;
} place;

static place find_in_layer(const hone_model *model, int64_t l, const hone_gguf_tensor *t)
{
    const hone_layer *layer = &model->layers[l];
    char name[96];
    snprintf(name, sizeof name, "blk.%lld.attn_norm.weight", (long long)l);
    if (is_called(t, name))
        return (place){.norm = layer->attn_norm};
    snprintf(name, sizeof name, "blk.%lld.ffn_norm.weight", (long long)l);
    if (is_called(t, name))
        return (place){.norm = layer->ffn_norm};
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)l, hone_linear_gguf_name((hone_linear)i));
        if (is_called(t, name))
            return (place){.matrix = layer->linear[i]};
    }
    return (place){0};
}

static place find(const hone_model *model, const hone_gguf_tensor *t)
{
    const hone_tuned *tuned = model->tuned;
    place p = {0};
    if (tuned->whole) {
        if (is_called(t, "token_embd.weight"))
            return (place){.matrix = model->token_embd};
        if (is_called(t, "output.weight"))
            return (place){.matrix = model->output};
        if (is_called(t, "output_norm.weight"))
            return (place){.norm = model->output_norm};
    }
    for (int64_t l = 0; l < model->config.n_layers && !p.matrix && !p.norm; l++)
        if (tuned->layers[l].trained)
            p = find_in_layer(model, l, t);
    return p;
}

static hone_status give_rows(void *context, const hone_gguf_tensor *t, int64_t first, int64_t n, void *out,
                             hone_error *err)
{
    (void)err;
    const hone_model *model = context;
    const hone_weight *w = find(model, t).matrix;
    for (int64_t done = 0; done < n; done += ROWS_AT_ONCE) {
        int32_t rows[ROWS_AT_ONCE];
        int64_t some = n - done < ROWS_AT_ONCE ? n - done : ROWS_AT_ONCE;
        for (int64_t i = 0; i < some; i++)
            rows[i] = (int32_t)(first + done + i);
        hone_op_embed(model->ops, w, some, rows, (hone_real *)out + done * t->ne[0]);
    }
    return HONE_OK;
}

hone_status hone_model_write_gguf(const hone_model *model, const hone_gguf *source, const char *path, hone_error *err)
{
    hone_gguf made;
    hone_status status = hone_gguf_create(path, &made, err);
    if (status != HONE_OK)
        return status;
    status = hone_gguf_copy_values(&made, source, err);
    if (status == HONE_OK && model->tuned->whole) /* llama.cpp's ftype: all F32 */
        status = hone_gguf_set_integer(&made, "general.file_type", HONE_GGUF_U32, 0, err);
    for (size_t i = 0; i < source->n_tensors && status == HONE_OK; i++) {
        const hone_gguf_tensor *t = &source->tensors[i];
        place p = find(model, t);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name.length, t->name.data);
        status = hone_gguf_add_tensor(&made, name, p.matrix || p.norm ? HONE_F32 : t->dtype, t->n_dims, t->ne,
                                      p.norm     ? (const void *)p.norm
                                      : p.matrix ? NULL
                                                 : t->data,
                                      err);
    }
    if (status == HONE_OK)
        status = hone_gguf_write(&made, path, give_rows, (void *)(uintptr_t)model, NULL, err);
    hone_gguf_close(&made);
    return status;
}
