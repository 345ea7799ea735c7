/* embedder.c - tokens of many texts side by side, through one of two forward passes, pooled. */
#include "model/embedder.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/encoder_runner.h"
#include "model/forward.h"

#include <stdlib.h>
#include <string.h>

/* Tokens of one step of a language model. Enough rows for full speed, few enough that their states stay near the
 * processor. */
enum { STEP_ROWS = 768, MOST_MODEL_TOKENS = 2048 };

struct hone_embedder {
    char *path;
    hone_ops *ops;
    bool owns_model; /* ops, model and tokenizer too */
    hone_tokenizer *own_tokenizer;
    const hone_tokenizer *tokenizer;
    hone_pooling pooling;
    int64_t dim, most_tokens;
    char hash[65];
    /* a sentence encoder, */
    hone_encoder *encoder;
    hone_encoder_runner *runner;
    /* or a language model */
    int64_t max_rows; /* of a step */
    hone_model *own_model;
    const hone_model *model;
    hone_workspace *model_ws;
    hone_kv_pool *pool;
    hone_span *spans; /* [max_rows] */
    int32_t *pages, *positions;
    hone_kv_write *writes;
    float *normed;
};

static const char *const pooling_names[] = {
    [HONE_POOL_MEAN] = "mean", [HONE_POOL_FIRST] = "first", [HONE_POOL_LAST] = "last"};

static void choose_pooling(hone_embedder *e, hone_pooling_choice choice, hone_pooling of_model)
{
    static const hone_pooling named[] = {[HONE_POOLING_MEAN] = HONE_POOL_MEAN,
                                         [HONE_POOLING_FIRST] = HONE_POOL_FIRST,
                                         [HONE_POOLING_LAST] = HONE_POOL_LAST};
    e->pooling = choice == HONE_POOLING_OF_MODEL ? of_model : named[choice];
}

static int64_t page_count(int64_t n_tokens)
{
    return (n_tokens + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS;
}

/* Memory for texts through a language model. Each text has its own pages, so a step of many short texts has more pages
 * than its tokens fill. */
static hone_status prepare_model(hone_embedder *e, hone_error *err)
{
    const hone_model_config *c = &e->model->config;
    e->dim = c->n_embd;
    e->most_tokens = c->n_context < MOST_MODEL_TOKENS ? c->n_context : MOST_MODEL_TOKENS;
    e->max_rows = e->most_tokens > STEP_ROWS ? e->most_tokens : STEP_ROWS;
    size_t rows = (size_t)e->max_rows;
    e->spans = calloc(rows, sizeof *e->spans);
    e->pages = calloc(rows, sizeof *e->pages);
    e->positions = calloc(rows, sizeof *e->positions);
    e->writes = calloc(rows, sizeof *e->writes);
    e->normed = calloc(rows * (size_t)e->dim, sizeof *e->normed);
    if (!e->spans || !e->pages || !e->positions || !e->writes || !e->normed)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a step of %zu tokens", rows);
    for (size_t i = 0; i < rows; i++)
        e->pages[i] = (int32_t)i;
    hone_status status = hone_workspace_create(e->model, e->max_rows, 1, &e->model_ws, err);
    return status == HONE_OK ? hone_kv_pool_create(e->max_rows, c->n_layers, c->n_kv_heads, c->head_dim, &e->pool, err)
                             : status;
}

static hone_status open_encoder(hone_embedder *e, hone_pooling_choice pooling, hone_error *err)
{
    hone_status status = hone_encoder_open(e->ops, e->path, &e->encoder, err);
    if (status == HONE_OK)
        status = hone_tokenizer_from_folder(e->path, &e->own_tokenizer, err);
    if (status != HONE_OK)
        return status;
    const hone_encoder_config *c = &e->encoder->config;
    e->tokenizer = e->own_tokenizer;
    e->dim = c->n_embd;
    e->most_tokens = c->most_tokens;
    choose_pooling(e, pooling, c->pooling);
    if (hone_tokenizer_size(e->tokenizer) > c->n_vocab)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: the tokenizer has %d tokens, config.json says %lld", e->path,
                         hone_tokenizer_size(e->tokenizer), (long long)c->n_vocab);
    return hone_encoder_runner_create(e->encoder, &e->runner, err);
}

static hone_status open_model(hone_embedder *e, hone_pooling_choice pooling, hone_error *err)
{
    hone_gguf file;
    hone_status status = hone_gguf_open(e->path, &file, err);
    if (status != HONE_OK)
        return status;
    status = hone_tokenizer_from_gguf(&file, &e->own_tokenizer, err);
    if (status == HONE_OK)
        status = hone_model_open(e->ops, &file, &e->own_model, err);
    hone_gguf_close(&file);
    if (status != HONE_OK)
        return status;
    e->tokenizer = e->own_tokenizer;
    e->model = e->own_model;
    choose_pooling(e, pooling, HONE_POOL_MEAN);
    if (hone_tokenizer_size(e->tokenizer) > e->model->config.n_vocab)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: the tokenizer has %d tokens, the model %lld", e->path,
                         hone_tokenizer_size(e->tokenizer), (long long)e->model->config.n_vocab);
    return prepare_model(e, err);
}

hone_status hone_embedder_open(const char *path, const hone_embedder_options *options, hone_embedder **out,
                               hone_error *err)
{
    hone_embedder_options o = options ? *options : (hone_embedder_options){0};
    *out = NULL;
    hone_embedder *e = calloc(1, sizeof *e);
    if (!e || !(e->path = strdup(path))) {
        free(e);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an embedder");
    }
    e->owns_model = true;
    hone_status status = hone_ops_create_as(o.numerics, o.n_threads, &e->ops, err);
    if (status == HONE_OK)
        status = hone_folder_exists(path) ? open_encoder(e, o.pooling, err) : open_model(e, o.pooling, err);
    if (status != HONE_OK)
        hone_embedder_close(e);
    else
        *out = e;
    return status;
}

static void hash_settings(const hone_embedder *e, hone_sha256 *h)
{
    const char *pooling = pooling_names[e->pooling], *numerics = hone_numerics_name(hone_ops_numerics(e->ops));
    hone_sha256_update(h, pooling, strlen(pooling));
    if (hone_ops_numerics(e->ops) != HONE_NUMERICS_F32)
        hone_sha256_update(h, numerics, strlen(numerics));
}

hone_status hone_embedder_open_on(const hone_model *model, const hone_tokenizer *tokenizer, const char *hash,
                                  hone_pooling_choice pooling, hone_embedder **out, hone_error *err)
{
    *out = NULL;
    hone_embedder *e = calloc(1, sizeof *e);
    if (!e)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an embedder");
    e->model = model;
    e->ops = model->ops;
    e->tokenizer = tokenizer;
    choose_pooling(e, pooling, HONE_POOL_MEAN);
    hone_sha256 *h = hone_sha256_create();
    if (h) {
        hone_sha256_update(h, hash, strlen(hash));
        hash_settings(e, h);
        hone_sha256_finish(h, e->hash);
    }
    hone_status status = h ? prepare_model(e, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for an embedder");
    if (status != HONE_OK)
        hone_embedder_close(e);
    else
        *out = e;
    return status;
}

void hone_embedder_close(hone_embedder *e)
{
    if (!e)
        return;
    hone_encoder_runner_free(e->runner);
    hone_encoder_close(e->encoder);
    hone_workspace_free(e->model_ws);
    hone_kv_pool_free(e->pool);
    hone_model_close(e->own_model);
    hone_tokenizer_free(e->own_tokenizer);
    if (e->owns_model)
        hone_ops_free(e->ops);
    free(e->spans);
    free(e->pages);
    free(e->positions);
    free(e->writes);
    free(e->normed);
    free(e->path);
    free(e);
}

int64_t hone_embedder_dim(const hone_embedder *e)
{
    return e->dim;
}

int64_t hone_embedder_most_tokens(const hone_embedder *e)
{
    return e->most_tokens;
}

const char *hone_embedder_pooling_name(const hone_embedder *e)
{
    return pooling_names[e->pooling];
}

const char *hone_embedder_isa(const hone_embedder *e)
{
    return hone_ops_isa(e->ops);
}

const hone_ops *hone_embedder_ops(const hone_embedder *e)
{
    return e->ops;
}

double hone_model_token_work(const hone_model *model)
{
    double work = 0;
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(&model->config, (hone_linear)i, &n_out, &n_in);
        work += (double)n_out * (double)n_in;
    }
    return work * (double)model->config.n_layers;
}

double hone_embedder_token_work(const hone_embedder *e)
{
    if (e->model)
        return hone_model_token_work(e->model);
    const hone_encoder_config *c = &e->encoder->config;
    return (double)c->n_layers *
           (4.0 * (double)c->n_embd * (double)c->n_embd + 2.0 * (double)c->n_embd * (double)c->n_ff);
}

/* A file that is not there is part of the hash, too. */
static hone_status hash_files(const char *folder, hone_sha256 *h, hone_error *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt",
                                        "sentence_bert_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char hex[65] = "";
        char *path = hone_path_join(folder, names[i]);
        if (!path)
            return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        hone_status status = hone_file_exists(path) ? hone_sha256_file(path, hex, err) : HONE_OK;
        free(path);
        if (status != HONE_OK)
            return status;
        hone_sha256_update(h, names[i], strlen(names[i]) + 1);
        hone_sha256_update(h, hex, strlen(hex) + 1);
    }
    return HONE_OK;
}

hone_status hone_embedder_hash(hone_embedder *e, char hex[65], hone_error *err)
{
    if (!e->hash[0]) {
        char file[65];
        hone_status status = HONE_OK;
        hone_sha256 *h = hone_sha256_create();
        if (!h)
            return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", e->path);
        if (e->encoder)
            status = hash_files(e->path, h, err);
        else if ((status = hone_sha256_file(e->path, file, err)) == HONE_OK)
            hone_sha256_update(h, file, strlen(file));
        hash_settings(e, h);
        char own[65];
        hone_sha256_finish(h, own);
        if (status != HONE_OK)
            return status;
        memcpy(e->hash, own, sizeof own);
    }
    memcpy(hex, e->hash, sizeof e->hash);
    return HONE_OK;
}

hone_status hone_embedder_encode(const hone_embedder *e, hone_embed_text text, hone_token_list *ids, bool *was_cut,
                                 hone_error *err)
{
    int32_t first = hone_tokenizer_bos(e->tokenizer), last = hone_tokenizer_eos(e->tokenizer);
    size_t start = ids->n, most = (size_t)e->most_tokens - (e->encoder ? 1 : 0);
    hone_status status = HONE_OK;
    if (first >= 0 && hone_tokenizer_add_bos(e->tokenizer))
        status = hone_token_list_push(ids, first, err);
    if (status == HONE_OK)
        status = hone_tokenizer_encode(e->tokenizer, text.data, text.length, false, ids, err);
    bool cut = ids->n - start > most;
    if (cut)
        ids->n = start + most;
    if (was_cut)
        *was_cut = cut;
    if (status == HONE_OK && e->encoder)
        status = hone_token_list_push(ids, last, err);
    else if (status == HONE_OK && ids->n == start) /* an empty text needs one token to have a state */
        status = hone_token_list_push(ids, last >= 0 ? last : 0, err);
    return status;
}

/* Hidden states after the output norm of texts [starts[0], starts[n]). */
static const float *run_model(hone_embedder *e, const int64_t *starts, int64_t n, const int32_t *ids)
{
    const hone_model_config *c = &e->model->config;
    int32_t page = 0;
    for (int64_t s = 0; s < n; s++) {
        int64_t length = starts[s + 1] - starts[s];
        e->spans[s] = (hone_span){.first_row = starts[s], .n_rows = length, .pages = e->pages + page};
        for (int64_t t = 0; t < length; t++) {
            int64_t row = starts[s] + t;
            e->positions[row] = (int32_t)t;
            e->writes[row] =
                (hone_kv_write){(int32_t)row, page + (int32_t)(t / HONE_PAGE_TOKENS), (int32_t)(t % HONE_PAGE_TOKENS)};
        }
        page += (int32_t)page_count(length);
    }
    hone_batch batch = {.n_rows = starts[n],
                        .tokens = ids,
                        .positions = e->positions,
                        .spans = e->spans,
                        .n_spans = n,
                        .writes = e->writes,
                        .n_writes = starts[n]};
    const float *x = hone_model_forward(e->model, e->pool, &batch, e->model_ws, NULL);
    hone_op_rms_norm(e->ops, starts[n], c->n_embd, c->norm_epsilon, x, e->model->output_norm, e->normed, NULL);
    return e->normed;
}

static hone_status encode_all(hone_embedder *e, const hone_embed_text *texts, size_t n, hone_token_list *ids,
                              size_t *ends, bool *was_cut, hone_error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool cut;
        hone_status status = hone_embedder_encode(e, texts[i], ids, &cut, err);
        if (status != HONE_OK)
            return status;
        ends[i] = ids->n;
        if (was_cut)
            was_cut[i] = cut;
    }
    return HONE_OK;
}

/* Through the language model, step by step. ends: as hone_encoder_runner_run takes them. */
static hone_status run_steps(hone_embedder *e, const int32_t *ids, const size_t *ends, size_t n, float *vectors,
                             hone_error *err)
{
    int64_t *starts = calloc((size_t)e->max_rows + 1, sizeof *starts);
    hone_status status = starts ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu texts", n);
    for (size_t first = 0; first < n && status == HONE_OK;) {
        size_t begin = first ? ends[first - 1] : 0, next = first;
        while (next < n && ends[next] - begin <= (size_t)e->max_rows) {
            starts[next - first + 1] = (int64_t)(ends[next] - begin);
            next++;
        }
        int64_t n_texts = (int64_t)(next - first);
        const float *states = run_model(e, starts, n_texts, ids + begin);
        hone_op_pool(e->ops, starts, n_texts, e->dim, e->pooling, states, vectors + first * (size_t)e->dim);
        first = next;
        if (hone_cancel_requested())
            status = hone_fail(err, HONE_CANCELLED, "stopped; the same command goes on from here");
    }
    free(starts);
    return status;
}

hone_status hone_embedder_run(hone_embedder *e, const hone_embed_text *texts, size_t n, float *vectors,
                              int64_t *n_tokens, bool *was_cut, hone_error *err)
{
    hone_token_list ids = {0};
    size_t *ends = calloc(n + 1, sizeof *ends);
    hone_status status = ends ? encode_all(e, texts, n, &ids, ends, was_cut, err)
                              : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu texts", n);
    for (size_t i = 0; i < n && status == HONE_OK && n_tokens; i++)
        n_tokens[i] = (int64_t)(ends[i] - (i ? ends[i - 1] : 0));
    if (status == HONE_OK)
        status = e->encoder ? hone_encoder_runner_run(e->runner, e->pooling, ids.data, ends, n, vectors, err)
                            : run_steps(e, ids.data, ends, n, vectors, err);
    hone_token_list_clear(&ids);
    free(ends);
    return status;
}
