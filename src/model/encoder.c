/* encoder.c - opening a BERT encoder, and its forward pass (Devlin et al. 2019, section 3; each block normalises after
 * its residual, as Vaswani et al. 2017, arXiv 1706.03762, section 3.1).
 *
 * Texts of a batch lie one after another without padding. Every operation works on a token's row, or within one text,
 * so that a text's vectors do not depend on the others of its batch. */
#include "model/encoder.h"

#include "base/file.h"
#include "base/large_memory.h"
#include "format/safetensors.h"
#include "tensor/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 128, TABLE_ROWS_A_PIECE = 512 };

static const char *const linear_names[HONE_N_ENCODER_LINEARS] = {
    [HONE_ENCODER_Q] = "attention.self.query", [HONE_ENCODER_K] = "attention.self.key",
    [HONE_ENCODER_V] = "attention.self.value", [HONE_ENCODER_ATTENDED] = "attention.output.dense",
    [HONE_ENCODER_UP] = "intermediate.dense",  [HONE_ENCODER_DOWN] = "output.dense",
};

/* ---- opening ---- */

typedef struct loading {
    hone_encoder *encoder;
    const hone_safetensors *file;
    const char *prefix; /* "" or "bert." */
    hone_error *err;
} loading;

/* A tensor of n_rows x n_columns; n_rows 0: a vector of n_columns. */
static hone_status find(const loading *l, const char *name, int64_t n_rows, int64_t n_columns,
                        const hone_safetensor **out)
{
    char full[NAME_BYTES + 8];
    snprintf(full, sizeof full, "%s%s", l->prefix, name);
    const char *path = l->file->map.path;
    const hone_safetensor *t = *out = hone_safetensors_find(l->file, full);
    if (!t)
        return hone_fail(l->err, HONE_BAD_FORMAT, "%s: the tensor \"%s\" is missing", path, full);
    bool good = n_rows ? t->n_dims == 2 && t->shape[0] == n_rows && t->shape[1] == n_columns
                       : t->n_dims == 1 && t->shape[0] == n_columns;
    if (good)
        return HONE_OK;
    return hone_fail(l->err, HONE_BAD_FORMAT,
                     "%s: tensor \"%s\" has %d dimensions, %lld x %lld; config.json makes it %lld x %lld", path, full,
                     t->n_dims, (long long)t->shape[0], (long long)t->shape[1],
                     (long long)(n_rows ? n_rows : n_columns), (long long)(n_rows ? n_columns : 1));
}

/* The tensor's values as floats in the arena, of its first `keep` rows. */
static hone_status copy_floats(const loading *l, const char *name, int64_t n_rows, int64_t n_columns, int64_t keep,
                               float **out)
{
    const hone_safetensor *t;
    hone_status status = find(l, name, n_rows, n_columns, &t);
    if (status != HONE_OK)
        return status;
    size_t n = (size_t)(keep * n_columns);
    *out = hone_arena_array(l->encoder->arena, n, sizeof **out);
    if (!*out)
        return hone_fail(l->err, HONE_NO_MEMORY, "%s: out of memory for %zu values", l->file->map.path, n);
    hone_dtype_decode(t->dtype, t->data, (int64_t)n, *out);
    l->encoder->weight_bytes += n * sizeof **out;
    return HONE_OK;
}

typedef struct table_copy {
    const hone_safetensor *from;
    float *to;
} table_copy;

static void copy_rows(void *context, int64_t piece, int thread)
{
    (void)thread;
    const table_copy *copy = context;
    const hone_safetensor *t = copy->from;
    size_t row_bytes = t->size_bytes / (size_t)t->shape[0];
    int64_t first = piece * TABLE_ROWS_A_PIECE, n = t->shape[0] - first;
    hone_dtype_decode(t->dtype, t->data + (size_t)first * row_bytes,
                      (n < TABLE_ROWS_A_PIECE ? n : TABLE_ROWS_A_PIECE) * t->shape[1], copy->to + first * t->shape[1]);
}

/* The word table is half of a small encoder: copied by all threads, to huge pages. */
static hone_status copy_words(const loading *l)
{
    hone_encoder *e = l->encoder;
    const hone_safetensor *t;
    hone_status status = find(l, "embeddings.word_embeddings.weight", e->config.n_vocab, e->config.n_embd, &t);
    if (status != HONE_OK)
        return status;
    e->words_bytes = (size_t)(t->shape[0] * t->shape[1]) * sizeof *e->words;
    e->words = hone_large_map(e->words_bytes);
    if (!e->words)
        return hone_fail(l->err, HONE_NO_MEMORY, "%s: out of memory for %zu bytes", l->file->map.path, e->words_bytes);
    table_copy copy = {t, e->words};
    hone_thread_pool_run(hone_ops_pool(e->ops), (t->shape[0] + TABLE_ROWS_A_PIECE - 1) / TABLE_ROWS_A_PIECE, copy_rows,
                         &copy);
    e->weight_bytes += e->words_bytes;
    return HONE_OK;
}

static hone_status load_norm(const loading *l, const char *name, hone_encoder_norm *out)
{
    char full[NAME_BYTES];
    int64_t n = l->encoder->config.n_embd;
    snprintf(full, sizeof full, "%s.weight", name);
    hone_status status = copy_floats(l, full, 0, n, 1, &out->w);
    snprintf(full, sizeof full, "%s.bias", name);
    return status == HONE_OK ? copy_floats(l, full, 0, n, 1, &out->b) : status;
}

static hone_status load_linear(const loading *l, int64_t layer, hone_encoder_linear which, int64_t n_out, int64_t n_in)
{
    hone_encoder_layer *to = &l->encoder->layers[layer];
    const hone_safetensor *t;
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "encoder.layer.%lld.%s.weight", (long long)layer, linear_names[which]);
    hone_status status = find(l, name, n_out, n_in, &t);
    if (status != HONE_OK)
        return status;
    status =
        hone_weight_pack(l->encoder->ops, t->dtype, n_out, n_in, t->data, t->size_bytes, &to->linear[which], l->err);
    if (status != HONE_OK)
        return hone_fail_within(l->err, status, "%s: tensor \"%s\"", l->file->map.path, name);
    l->encoder->weight_bytes += hone_weight_bytes(to->linear[which]);
    snprintf(name, sizeof name, "encoder.layer.%lld.%s.bias", (long long)layer, linear_names[which]);
    return copy_floats(l, name, 0, n_out, 1, &to->bias[which]);
}

static hone_status load_layer(const loading *l, int64_t layer)
{
    const hone_encoder_config *c = &l->encoder->config;
    char name[NAME_BYTES];
    hone_status status = HONE_OK;
    for (int i = 0; i < HONE_N_ENCODER_LINEARS && status == HONE_OK; i++)
        status = load_linear(l, layer, (hone_encoder_linear)i, i == HONE_ENCODER_UP ? c->n_ff : c->n_embd,
                             i == HONE_ENCODER_DOWN ? c->n_ff : c->n_embd);
    if (status != HONE_OK)
        return status;
    snprintf(name, sizeof name, "encoder.layer.%lld.attention.output.LayerNorm", (long long)layer);
    status = load_norm(l, name, &l->encoder->layers[layer].attention_norm);
    snprintf(name, sizeof name, "encoder.layer.%lld.output.LayerNorm", (long long)layer);
    return status == HONE_OK ? load_norm(l, name, &l->encoder->layers[layer].ffn_norm) : status;
}

static hone_status load_all(loading *l)
{
    hone_encoder *e = l->encoder;
    const hone_encoder_config *c = &e->config;
    const hone_safetensor *kinds;
    hone_status status;
    l->prefix = hone_safetensors_find(l->file, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
    e->layers = hone_arena_array(e->arena, (size_t)c->n_layers, sizeof *e->layers);
    if (!e->layers)
        return hone_fail(l->err, HONE_NO_MEMORY, "%s: out of memory", l->file->map.path);
    if ((status = copy_words(l)) != HONE_OK ||
        (status = copy_floats(l, "embeddings.position_embeddings.weight", c->n_positions, c->n_embd, c->most_tokens,
                              &e->places)) != HONE_OK ||
        (status = load_norm(l, "embeddings.LayerNorm", &e->input_norm)) != HONE_OK)
        return status;
    char kind[NAME_BYTES];
    snprintf(kind, sizeof kind, "%sembeddings.token_type_embeddings.weight", l->prefix);
    kinds = hone_safetensors_find(l->file, kind);
    status =
        copy_floats(l, "embeddings.token_type_embeddings.weight", kinds ? kinds->shape[0] : 1, c->n_embd, 1, &e->kind);
    for (int64_t i = 0; i < c->n_layers && status == HONE_OK; i++)
        status = load_layer(l, i);
    return status;
}

hone_status hone_encoder_open(hone_ops *ops, const char *folder, hone_encoder **out, hone_error *err)
{
    *out = NULL;
    hone_safetensors file = {0};
    char *path = hone_path_join(folder, "model.safetensors");
    hone_encoder *e = calloc(1, sizeof *e);
    hone_status status = HONE_OK;
    if (!path || !e || !(e->arena = hone_arena_create())) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        goto done;
    }
    e->ops = ops;
    status = hone_encoder_config_read(folder, &e->config, err);
    if (status == HONE_OK)
        status = hone_safetensors_open_weights(path, &file, err);
    if (status != HONE_OK)
        goto done;
    loading l = {.encoder = e, .file = &file, .err = err};
    status = load_all(&l);
    hone_safetensors_close(&file);
done:
    free(path);
    if (status != HONE_OK)
        hone_encoder_close(e);
    else
        *out = e;
    return status;
}

void hone_encoder_close(hone_encoder *e)
{
    if (!e)
        return;
    for (int64_t l = 0; e->layers && l < e->config.n_layers; l++)
        for (int i = 0; i < HONE_N_ENCODER_LINEARS; i++)
            hone_weight_free(e->layers[l].linear[i]);
    hone_large_unmap(e->words, e->words_bytes);
    hone_arena_free(e->arena);
    free(e);
}

/* ---- the forward pass ---- */

struct hone_encoder_workspace {
    hone_ops *ops;
    float *memory, *x, *q, *k, *v, *attended, *projected, *wide, *attention_work;
    int32_t *positions;
};

hone_status hone_encoder_workspace_create(const hone_encoder *encoder, hone_ops *ops, int64_t max_rows,
                                          hone_encoder_workspace **out, hone_error *err)
{
    const hone_encoder_config *c = &encoder->config;
    enum { NARROW = 6 };
    int64_t rows = max_rows + HONE_PANEL; /* attention reads k a little past the last row */
    size_t narrow = (size_t)(rows * c->n_embd), wide = (size_t)(rows * c->n_ff),
           work = hone_attention_within_work(c->most_tokens, c->head_dim),
           total = NARROW * narrow + wide + work * (size_t)hone_thread_pool_size(hone_ops_pool(ops));
    *out = NULL;
    hone_encoder_workspace *ws = calloc(1, sizeof *ws);
    if (ws) {
        ws->memory = aligned_alloc(64, (total * sizeof(float) + 63) / 64 * 64);
        ws->positions = calloc((size_t)max_rows, sizeof *ws->positions);
    }
    if (!ws || !ws->memory || !ws->positions) {
        hone_encoder_workspace_free(ws);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a step of %lld tokens (%zu bytes)",
                         (long long)max_rows, total * sizeof(float));
    }
    ws->ops = ops;
    memset(ws->memory, 0, total * sizeof(float));
    float **const parts[NARROW] = {&ws->x, &ws->q, &ws->k, &ws->v, &ws->attended, &ws->projected};
    for (size_t i = 0; i < NARROW; i++)
        *parts[i] = ws->memory + i * narrow;
    ws->wide = ws->memory + NARROW * narrow;
    ws->attention_work = ws->wide + wide;
    *out = ws;
    return HONE_OK;
}

void hone_encoder_workspace_free(hone_encoder_workspace *ws)
{
    if (!ws)
        return;
    free(ws->memory);
    free(ws->positions);
    free(ws);
}

static hone_linear_job job(const hone_encoder_layer *layer, hone_encoder_linear which, const float *x, float *y)
{
    const hone_weight *w = layer->linear[which];
    return (hone_linear_job){w, x, hone_weight_n_in(w), y, hone_weight_n_out(w)};
}

static void run_layer(const hone_encoder *e, const hone_encoder_layer *layer, const int64_t *starts, int64_t n_texts,
                      hone_encoder_workspace *ws)
{
    const hone_encoder_config *c = &e->config;
    hone_ops *ops = ws->ops;
    int64_t n = starts[n_texts], dim = c->n_embd;
    const hone_linear_job qkv[] = {job(layer, HONE_ENCODER_Q, ws->x, ws->q), job(layer, HONE_ENCODER_K, ws->x, ws->k),
                                   job(layer, HONE_ENCODER_V, ws->x, ws->v)};
    hone_op_linear(ops, qkv, 3, n);
    hone_op_add_bias(ops, n, dim, layer->bias[HONE_ENCODER_Q], ws->q);
    hone_op_add_bias(ops, n, dim, layer->bias[HONE_ENCODER_K], ws->k);
    hone_op_add_bias(ops, n, dim, layer->bias[HONE_ENCODER_V], ws->v);
    hone_op_attention_within(ops, starts, n_texts, c->most_tokens, c->n_heads, c->head_dim,
                             1.0f / sqrtf((float)c->head_dim), ws->q, ws->k, ws->v, ws->attended, ws->attention_work);
    const hone_linear_job attended = job(layer, HONE_ENCODER_ATTENDED, ws->attended, ws->projected);
    hone_op_linear(ops, &attended, 1, n);
    hone_op_layer_norm(ops, n, dim, c->norm_epsilon, ws->projected, ws->x, layer->bias[HONE_ENCODER_ATTENDED],
                       layer->attention_norm.w, layer->attention_norm.b, ws->x);
    const hone_linear_job up = job(layer, HONE_ENCODER_UP, ws->x, ws->wide);
    hone_op_linear(ops, &up, 1, n);
    hone_op_gelu(ops, n, c->n_ff, layer->bias[HONE_ENCODER_UP], ws->wide);
    const hone_linear_job down = job(layer, HONE_ENCODER_DOWN, ws->wide, ws->projected);
    hone_op_linear(ops, &down, 1, n);
    hone_op_layer_norm(ops, n, dim, c->norm_epsilon, ws->projected, ws->x, layer->bias[HONE_ENCODER_DOWN],
                       layer->ffn_norm.w, layer->ffn_norm.b, ws->x);
}

const float *hone_encoder_forward(const hone_encoder *e, const int64_t *starts, int64_t n_texts, const int32_t *tokens,
                                  hone_encoder_workspace *ws)
{
    const hone_encoder_config *c = &e->config;
    for (int64_t s = 0; s < n_texts; s++)
        for (int64_t t = starts[s]; t < starts[s + 1]; t++)
            ws->positions[t] = (int32_t)(t - starts[s]);
    hone_op_embed_layer_norm(ws->ops, starts[n_texts], c->n_embd, c->norm_epsilon, e->words, tokens, e->places,
                             ws->positions, e->kind, e->input_norm.w, e->input_norm.b, ws->x);
    for (int64_t l = 0; l < c->n_layers; l++)
        run_layer(e, &e->layers[l], starts, n_texts, ws);
    return ws->x;
}
