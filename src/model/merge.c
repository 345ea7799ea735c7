/* merge.c - folding an adapter into its base, row by row of each matrix. */
#include "model/merge.h"

#include "model/folder_write.h"
#include "tensor/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct merging {
    const hone_merge *merge;
    const hone_gguf *made;   /* tensors in the order of the base's */
    const hone_lora **loras; /* [n_tensors]; NULL where the adapter adds nothing */
    float *row;              /* the longest row */
    double *sum;
} merging;

/* What the adapter adds to a tensor of this name. */
static const hone_lora *find_lora(const hone_adapter *a, hone_gguf_string name)
{
    for (int64_t l = 0; a && l < a->config.n_layers; l++)
        for (int w = 0; w < HONE_N_LINEARS; w++) {
            char own[96];
            const hone_lora *lora = hone_adapter_at(a, l, (hone_linear)w);
            int n =
                snprintf(own, sizeof own, "blk.%lld.%s.weight", (long long)l, hone_linear_gguf_name((hone_linear)w));
            if (lora->rank && (size_t)n == name.length && memcmp(own, name.data, name.length) == 0)
                return lora;
        }
    return NULL;
}

/* Row o of scale * B A, added to the sum; the scale in double precision too. */
static void add_delta(const hone_lora *l, bool rslora, int64_t o, double *sum)
{
    double scale = l->alpha / (rslora ? sqrt((double)l->rank) : (double)l->rank);
    for (int r = 0; r < l->rank; r++) {
        double b = scale * (double)l->b_t[r * l->n_out + o];
        for (int64_t i = 0; i < l->n_in; i++)
            sum[i] += b * (double)l->a[r * l->n_in + i];
    }
}

/* DoRA: the row as it now is gets the length that was learned for it; a row of zeros stays. */
static void set_length(double *row, int64_t n, double length)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        squares += row[i] * row[i];
    for (int64_t i = 0; i < n && squares > 0; i++)
        row[i] *= length / sqrt(squares);
}

static hone_status give_rows(void *context, const hone_gguf_tensor *tensor, int64_t first, int64_t n, void *out,
                             hone_error *err)
{
    const merging *m = context;
    size_t index = (size_t)(tensor - m->made->tensors);
    const hone_gguf_tensor *from = &m->merge->file->tensors[index];
    int64_t n_in = from->ne[0];
    size_t from_bytes = hone_dtype_bytes(from->dtype, n_in), to_bytes = hone_dtype_bytes(tensor->dtype, n_in);
    for (int64_t row = first; row < first + n; row++) {
        if (!hone_dtype_decode(from->dtype, from->data + (size_t)row * from_bytes, n_in, m->row))
            return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%.*s\" is %s; hone reads " HONE_DTYPE_NAMES,
                             m->merge->file->map.path, (int)from->name.length, from->name.data,
                             hone_dtype_get_info(from->dtype)->name);
        if (m->loras[index]) {
            for (int64_t i = 0; i < n_in; i++)
                m->sum[i] = (double)m->row[i];
            add_delta(m->loras[index], m->merge->adapter->rslora, row, m->sum);
            if (m->loras[index]->magnitude)
                set_length(m->sum, n_in, (double)m->loras[index]->magnitude[row]);
            for (int64_t i = 0; i < n_in; i++)
                m->row[i] = (float)m->sum[i];
        }
        hone_dtype_encode(tensor->dtype, m->row, n_in, (unsigned char *)out + (size_t)(row - first) * to_bytes);
    }
    return HONE_OK;
}

/* general.file_type as llama.cpp numbers it (include/llama.h, llama_ftype). */
static int64_t file_type(hone_dtype type)
{
    return type == HONE_F32 ? 0 : type == HONE_F16 ? 1 : type == HONE_Q8_0 ? 7 : 32;
}

static hone_status add_values(const hone_merge *m, hone_gguf *made, hone_error *err)
{
    hone_status status = hone_gguf_copy_values(made, m->file, err);
    if (status == HONE_OK)
        status = hone_gguf_set_integer(made, "general.file_type", HONE_GGUF_U32, file_type(m->type), err);
    if (status == HONE_OK && m->base_hash)
        status = hone_gguf_set_string(made, "hone.base_sha256", m->base_hash, err);
    if (status == HONE_OK && m->adapter && m->adapter->hash[0])
        status = hone_gguf_set_string(made, "hone.merged_adapter_sha256", m->adapter->hash, err);
    return status;
}

static hone_status add_tensors(const hone_merge *m, hone_gguf *made, merging *state, hone_error *err)
{
    int64_t longest = 1;
    size_t n_adapted = 0, n_found = 0;
    for (int64_t i = 0; m->adapter && i < m->adapter->config.n_layers * HONE_N_LINEARS; i++)
        n_adapted += m->adapter->loras[i].rank > 0;
    for (size_t i = 0; i < m->file->n_tensors; i++) {
        const hone_gguf_tensor *t = &m->file->tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name.length, t->name.data);
        /* The folder's writer rounds to its type. */
        hone_dtype type = t->n_dims > 1 && !m->folder ? m->type : HONE_F32;
        hone_status status = hone_gguf_add_tensor(made, name, type, t->n_dims, t->ne, NULL, err);
        if (status != HONE_OK)
            return status;
        state->loras[i] = find_lora(m->adapter, t->name);
        n_found += state->loras[i] != NULL;
        longest = t->ne[0] > longest ? t->ne[0] : longest;
    }
    if (n_found != n_adapted)
        return hone_fail(err, HONE_BAD_INPUT, "%s: %zu of the adapter's %zu matrices are not there", m->file->map.path,
                         n_adapted - n_found, n_adapted);
    state->row = malloc((size_t)longest * sizeof *state->row);
    state->sum = malloc((size_t)longest * sizeof *state->sum);
    return state->row && state->sum ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", made->map.path);
}

hone_status hone_model_merge(const hone_merge *merge, const char *path, hone_progress *progress, hone_error *err)
{
    hone_gguf made;
    merging state = {.merge = merge, .made = &made};
    hone_status status = hone_gguf_create(path, &made, err);
    if (status != HONE_OK)
        return status;
    state.loras = calloc(merge->file->n_tensors + 1, sizeof *state.loras);
    if (!state.loras)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (status == HONE_OK)
        status = add_values(merge, &made, err);
    if (status == HONE_OK)
        status = add_tensors(merge, &made, &state, err);
    const hone_folder_content content = {
        .model = &made, .rows = give_rows, .context = &state, .type = merge->type, .base_folder = merge->base_folder};
    if (status == HONE_OK)
        status = merge->folder ? hone_model_folder_create(&content, path, progress, err)
                               : hone_gguf_write(&made, path, give_rows, &state, progress, err);
    hone_gguf_close(&made);
    free(state.loras);
    free(state.row);
    free(state.sum);
    return status;
}
