/* tuned_write.c - a trained model as a GGUF file or a Hugging Face folder. Everything but the trained tensors is the
 * source's, so its tokenizer and chat template stay. Rows lie in the GGUF file's order, which is that of the weights in
 * memory. */
#include "model/tuned.h"

#include "model/folder_write.h"
#include "tensor/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_AT_ONCE = 64 };

typedef struct writing {
    const hone_model *model;
    const hone_gguf *source, *made; /* tensors in the same order */
    float *rows;                    /* ROWS_AT_ONCE of the longest */
} writing;

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
    for (int i = 0; i < HONE_N_NORMS; i++) {
        snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)l, hone_norm_gguf_name((hone_norm)i));
        if (layer->norm[i] && is_called(t, name))
            return (place){.norm = layer->norm[i]};
    }
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

/* Up to ROWS_AT_ONCE rows as floats: of a trained matrix from the model, of another from the source. */
static bool take_rows(const writing *w, const hone_gguf_tensor *from, const hone_weight *matrix, int64_t first,
                      int64_t n)
{
    if (!matrix) {
        size_t bytes = from->size_bytes / (size_t)from->ne[1];
        return hone_dtype_decode(from->dtype, from->data + (size_t)first * bytes, n * from->ne[0], w->rows);
    }
    int32_t rows[ROWS_AT_ONCE];
    for (int64_t i = 0; i < n; i++)
        rows[i] = (int32_t)(first + i);
    hone_op_embed(w->model->ops, matrix, n, rows, w->rows);
    return true;
}

static hone_status give_rows(void *context, const hone_gguf_tensor *t, int64_t first, int64_t n, void *out,
                             hone_error *err)
{
    const writing *w = context;
    const hone_gguf_tensor *from = &w->source->tensors[t - w->made->tensors];
    const hone_weight *matrix = find(w->model, t).matrix;
    size_t row_bytes = hone_dtype_bytes(t->dtype, t->ne[0]);
    for (int64_t done = 0; done < n; done += ROWS_AT_ONCE) {
        int64_t some = n - done < ROWS_AT_ONCE ? n - done : ROWS_AT_ONCE;
        if (!take_rows(w, from, matrix, first + done, some))
            return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%.*s\" is %s, which hone does not read",
                             w->source->map.path, (int)from->name.length, from->name.data,
                             hone_dtype_get_info(from->dtype)->name);
        hone_dtype_encode(t->dtype, w->rows, some * t->ne[0], (unsigned char *)out + (size_t)done * row_bytes);
    }
    return HONE_OK;
}

/* llama.cpp's ftype of what is written; -1: what the source says stays. */
static int64_t file_type(const hone_model *model, const hone_tuned_output *output)
{
    if (!output->typed)
        return model->tuned->whole ? 0 : -1;
    return output->type == HONE_F32 ? 0 : output->type == HONE_F16 ? 1 : output->type == HONE_Q8_0 ? 7 : 32;
}

static hone_status add_tensors(writing *w, hone_gguf *made, const hone_tuned_output *output, hone_error *err)
{
    hone_status status = HONE_OK;
    int64_t longest = 1;
    for (size_t i = 0; i < w->source->n_tensors && status == HONE_OK; i++) {
        const hone_gguf_tensor *t = &w->source->tensors[i];
        place p = find(w->model, t);
        bool typed = output->typed && !output->folder && t->n_dims > 1; /* a folder's writer rounds to its type */
        hone_dtype type = typed ? output->type : p.matrix || p.norm ? HONE_F32 : t->dtype;
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name.length, t->name.data);
        status = hone_gguf_add_tensor(made, name, type, t->n_dims, t->ne,
                                      p.norm                         ? (const void *)p.norm
                                      : p.matrix || type != t->dtype ? NULL
                                                                     : t->data,
                                      err);
        longest = t->ne[0] > longest ? t->ne[0] : longest;
    }
    w->rows = malloc((size_t)longest * ROWS_AT_ONCE * sizeof *w->rows);
    return status == HONE_OK && !w->rows ? hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", made->map.path) : status;
}

hone_status hone_model_check_output(const hone_gguf *source, const char *base_folder, const hone_tuned_output *output,
                                    hone_error *err)
{
    const hone_folder_content content = {
        .model = source, .type = output->typed ? output->type : HONE_F32, .base_folder = base_folder};
    if (output->folder)
        return hone_model_folder_check(&content, err);
    for (size_t i = 0; output->typed && i < source->n_tensors; i++) {
        const hone_gguf_tensor *t = &source->tensors[i];
        const hone_dtype_info *info = hone_dtype_get_info(output->type);
        if (t->n_dims > 1 && t->ne[0] % info->block_weights != 0)
            return hone_fail(err, HONE_UNSUPPORTED,
                             "%s: \"%.*s\" has rows of %lld weights, which do not divide into %s blocks of %d; choose "
                             "f16, bf16 or f32",
                             source->map.path, (int)t->name.length, t->name.data, (long long)t->ne[0], info->name,
                             info->block_weights);
    }
    return HONE_OK;
}

hone_status hone_model_write_tuned(const hone_model *model, const hone_gguf *source, const char *base_folder,
                                   const hone_tuned_output *output, const char *path, hone_error *err)
{
    hone_gguf made;
    writing w = {.model = model, .source = source, .made = &made};
    hone_status status = hone_gguf_create(path, &made, err);
    if (status != HONE_OK)
        return status;
    status = hone_gguf_copy_values(&made, source, err);
    if (status == HONE_OK && file_type(model, output) >= 0)
        status = hone_gguf_set_integer(&made, "general.file_type", HONE_GGUF_U32, file_type(model, output), err);
    if (status == HONE_OK)
        status = add_tensors(&w, &made, output, err);
    const hone_folder_content content = {.model = &made,
                                         .rows = give_rows,
                                         .context = &w,
                                         .type = output->typed ? output->type : HONE_F32,
                                         .base_folder = base_folder};
    if (status == HONE_OK)
        status = output->folder ? hone_model_folder_write(&content, path, NULL, err)
                                : hone_gguf_write(&made, path, give_rows, &w, NULL, err);
    hone_gguf_close(&made);
    free(w.rows);
    return status;
}
