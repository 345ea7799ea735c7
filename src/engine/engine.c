/* engine.c - opening a model for work, and turning messages into tokens by its own template. */
#include "engine/internal.h"

#include "base/hash.h"
#include "model/adapter_find.h"
#include "model/tuned.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CACHE_MIB = 512, DEFAULT_BATCH_ROWS = 512 };

static hone_status open_template(hone_engine *engine, hone_error *err)
{
    const char *source = hone_tokenizer_chat_template(engine->tokenizer);
    engine->plain = source == NULL;
    if (engine->plain)
        source = hone_template_plain();
    hone_status status = hone_template_create(source, strlen(source), &engine->template, err);
    return status == HONE_OK ? status : hone_fail_within(err, status, "%s: the model's chat template", engine->path);
}

static char *special_text(const hone_tokenizer *tokenizer, int32_t id)
{
    size_t length = 0;
    const char *text = id >= 0 ? hone_tokenizer_piece(tokenizer, id, &length, NULL) : NULL;
    return strndup(text ? text : "", length);
}

/* The token that ends an answer: what the template writes after an assistant's message. */
static hone_status find_end_of_turn(hone_engine *engine, hone_error *err)
{
    hone_token_list prompt = {0}, completion = {0};
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "x");
    engine->end_of_turn = hone_tokenizer_eos(engine->tokenizer);
    hone_status status =
        messages ? hone_engine_encode_pair(engine, messages, "y", &prompt, &completion, err) : HONE_NO_MEMORY;
    if (status == HONE_OK)
        engine->end_of_turn = completion.data[completion.n - 1];
    json_decref(messages);
    hone_token_list_clear(&prompt);
    hone_token_list_clear(&completion);
    return status;
}

static hone_status open_memory(hone_engine *engine, const hone_engine_options *options, hone_error *err)
{
    const hone_model_config *c = &engine->model->config;
    size_t bytes = options && options->cache_bytes ? options->cache_bytes : (size_t)DEFAULT_CACHE_MIB << 20;
    size_t page_bytes = hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim);
    int64_t n_pages = (int64_t)(bytes / page_bytes);
    if (n_pages < 4)
        return hone_fail(err, HONE_NO_MEMORY, "%zu bytes of key-value cache; this model needs at least %zu", bytes,
                         4 * page_bytes);
    if (n_pages > 1 << 22)
        n_pages = 1 << 22;
    engine->max_batch_rows = options && options->max_batch_rows ? options->max_batch_rows : DEFAULT_BATCH_ROWS;
    if (engine->max_batch_rows < HONE_MAX_ACTIVE)
        engine->max_batch_rows = HONE_MAX_ACTIVE;
    hone_status status = hone_kv_pool_create(n_pages, c->n_layers, c->n_kv_heads, c->head_dim, &engine->pool, err);
    if (status == HONE_OK)
        status = hone_page_cache_create((int32_t)n_pages, HONE_PAGE_TOKENS, &engine->pages, err);
    if (status == HONE_OK)
        status = hone_workspace_create(engine->model, engine->max_batch_rows, HONE_MAX_ADAPTER_RANK, &engine->workspace,
                                       err);
    int n_threads = hone_thread_pool_size(hone_ops_pool(engine->ops));
    for (; status == HONE_OK && engine->n_samplers < HONE_MAX_SAMPLERS && engine->n_samplers < n_threads;
         engine->n_samplers++)
        status = hone_sampler_create(engine->ops, hone_tokenizer_size(engine->tokenizer),
                                     &engine->samplers[engine->n_samplers], err);
    if (status == HONE_OK)
        status = hone_schedule_create(engine, err);
    return status;
}

hone_status hone_engine_open(const char *path, const hone_engine_options *options, hone_engine **out, hone_error *err)
{
    *out = NULL;
    hone_model_file opened = {0};
    const hone_gguf *file = &opened.gguf;
    hone_engine *engine = calloc(1, sizeof *engine);
    if (!engine || !(engine->path = strdup(path))) {
        free(engine);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    hone_status status = hone_model_file_open(path, &opened, err);
    if (status == HONE_OK)
        status = hone_model_bytes_open(path, &engine->bytes, err);
    if (status == HONE_OK)
        status = hone_ops_create_as(options ? options->numerics : HONE_NUMERICS_F32, options ? options->n_threads : 0,
                                    &engine->ops, err);
    if (status == HONE_OK)
        status = hone_tokenizer_from_gguf(file, &engine->tokenizer, err);
    if (status == HONE_OK)
        status = hone_model_open(engine->ops, file, &engine->model, err);
    if (status == HONE_OK && hone_tokenizer_size(engine->tokenizer) > engine->model->config.n_vocab)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: the tokenizer has %d tokens, the embedding %lld rows", path,
                           hone_tokenizer_size(engine->tokenizer), (long long)engine->model->config.n_vocab);
    if (status == HONE_OK)
        status = open_template(engine, err);
    if (status == HONE_OK) {
        engine->bos_text = special_text(engine->tokenizer, hone_tokenizer_bos(engine->tokenizer));
        engine->eos_text = special_text(engine->tokenizer, hone_tokenizer_eos(engine->tokenizer));
        if (!engine->bos_text || !engine->eos_text)
            status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    if (status == HONE_OK)
        status = open_memory(engine, options, err);
    if (status == HONE_OK)
        status = find_end_of_turn(engine, err);
    hone_model_file_close(&opened);
    if (status != HONE_OK)
        hone_engine_close(engine);
    else
        *out = engine;
    return status;
}

void hone_engine_close(hone_engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < engine->n_adapters; i++)
        hone_adapter_free(engine->adapters[i]);
    free(engine->adapters);
    hone_schedule_free(engine->schedule);
    for (int i = 0; i < HONE_MAX_SAMPLERS; i++)
        hone_sampler_free(engine->samplers[i]);
    hone_workspace_free(engine->workspace);
    hone_page_cache_free(engine->pages);
    hone_kv_pool_free(engine->pool);
    hone_template_free(engine->template);
    hone_tokenizer_free(engine->tokenizer);
    hone_model_close(engine->model);
    hone_ops_free(engine->ops);
    hone_model_bytes_close(&engine->bytes);
    free(engine->bos_text);
    free(engine->eos_text);
    free(engine->path);
    free(engine);
}

const hone_tokenizer *hone_engine_get_tokenizer(const hone_engine *engine)
{
    return engine->tokenizer;
}

const hone_model *hone_engine_get_model(const hone_engine *engine)
{
    return engine->model;
}

void hone_engine_release_memory(hone_engine *engine)
{
    hone_page_cache_forget(engine->pages);
    hone_kv_pool_release(engine->pool);
}

enum { VOCABULARY_ENTRY_BYTES = 320 }; /* text, hash table, merges: measured, rounded up */

hone_engine_memory hone_engine_get_memory(const hone_engine *engine)
{
    const hone_model_config *c = &engine->model->config;
    size_t page = hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim);
    return (hone_engine_memory){
        .model = engine->model->weight_bytes + hone_ops_rounding_bytes(engine->ops) +
                 hone_rope_table_bytes(engine->model->rope) + hone_rope_table_bytes(engine->model->local_rope) +
                 (size_t)hone_tokenizer_size(engine->tokenizer) * VOCABULARY_ENTRY_BYTES,
        .working = (size_t)hone_kv_pool_pages(engine->pool) * page + hone_workspace_bytes(engine->workspace)};
}

hone_status hone_engine_unfreeze(hone_engine *engine, const bool *layers, hone_error *err)
{
    if (engine->model->tuned)
        return hone_fail(err, HONE_BAD_INPUT, "%s: its weights were trained already; open the model again",
                         engine->path);
    hone_engine_clear_cache(engine);
    return hone_model_unfreeze(engine->model, layers, err);
}

int64_t hone_engine_context_tokens(const hone_engine *engine)
{
    return engine->model->config.n_context;
}

int64_t hone_engine_request_tokens(const hone_engine *engine)
{
    int64_t cached = (int64_t)hone_page_cache_total(engine->pages) * HONE_PAGE_TOKENS;
    return cached < engine->model->config.n_context ? cached : engine->model->config.n_context;
}

int hone_engine_threads(const hone_engine *engine)
{
    return hone_thread_pool_size(hone_ops_pool(engine->ops));
}

const char *hone_engine_model_path(const hone_engine *engine)
{
    return engine->path;
}

const char *hone_engine_model_hash(hone_engine *engine)
{
    if (!engine->hash[0] && hone_model_bytes_check_unchanged(&engine->bytes, NULL) != HONE_OK)
        return "the file changed while it was open"; /* no request will run any more either */
    if (!engine->hash[0])
        hone_model_bytes_hash(&engine->bytes, engine->hash);
    return engine->hash;
}

const char *hone_engine_isa(const hone_engine *engine)
{
    return hone_ops_isa(engine->ops);
}

const char *hone_engine_numerics_class(const hone_engine *engine)
{
    return hone_numerics_name(hone_ops_numerics(engine->ops));
}

const char *hone_engine_template_name(const hone_engine *engine)
{
    return engine->plain ? "plain" : "model";
}

int32_t hone_engine_end_of_turn(const hone_engine *engine)
{
    return engine->end_of_turn;
}

static hone_status render(hone_engine *engine, const json_t *messages, const json_t *tools, bool add_generation_prompt,
                          hone_buffer *out, hone_error *err)
{
    json_t *context = json_pack("{s:O, s:b}", "messages", messages, "add_generation_prompt", add_generation_prompt);
    if (context && tools)
        json_object_set(context, "tools", (json_t *)(uintptr_t)tools);
    hone_template_options options = {.bos_token = engine->bos_text, .eos_token = engine->eos_text};
    hone_status status = context ? hone_template_render(engine->template, context, &options, out, err)
                                 : hone_fail(err, HONE_BAD_INPUT, "messages: not valid UTF-8 text");
    json_decref(context);
    return status;
}

/* The messages with "" for each null text, or NULL where there is none; a new reference. */
static json_t *fill_null_texts(const json_t *messages)
{
    bool any = false;
    size_t i;
    json_t *message, *filled = json_array();
    json_array_foreach(messages, i, message)
    {
        bool null = json_is_null(json_object_get(message, "content"));
        json_t *copy = null ? json_copy(message) : json_incref(message);
        any |= null;
        if (null)
            json_object_set_new(copy, "content", json_string(""));
        json_array_append_new(filled, copy);
    }
    if (any)
        return filled;
    json_decref(filled);
    return NULL;
}

/* A message that only calls tools has null for its text. Some templates ask whether it is null, others put texts
 * together and fail; for those it is empty. */
hone_status hone_engine_render(hone_engine *engine, const json_t *messages, const json_t *tools,
                               bool add_generation_prompt, hone_buffer *out, hone_error *err)
{
    hone_status status = render(engine, messages, tools, add_generation_prompt, out, err);
    json_t *filled = status == HONE_BAD_INPUT ? fill_null_texts(messages) : NULL;
    if (filled)
        status = render(engine, filled, tools, add_generation_prompt, out, err);
    json_decref(filled);
    return status;
}

/* A template may write the BOS token itself; where it does not and the model wants one, it is put before. */
hone_status hone_engine_encode_rendered(hone_engine *engine, const hone_buffer *text, hone_token_list *ids,
                                        hone_error *err)
{
    int32_t bos = hone_tokenizer_bos(engine->tokenizer);
    size_t start = ids->n, length = strlen(engine->bos_text);
    bool written = length > 0 && text->length >= length && memcmp(text->data, engine->bos_text, length) == 0;
    hone_status status = HONE_OK;
    if (bos >= 0 && hone_tokenizer_add_bos(engine->tokenizer) && !written)
        status = hone_token_list_push(ids, bos, err);
    if (status == HONE_OK)
        status = hone_tokenizer_encode(engine->tokenizer, text->data, text->length, true, ids, err);
    if (status == HONE_OK && ids->n == start)
        status = hone_fail(err, HONE_BAD_INPUT, "the prompt is empty");
    return status;
}

hone_status hone_engine_encode_chat(hone_engine *engine, const json_t *messages, bool add_generation_prompt,
                                    hone_token_list *ids, hone_error *err)
{
    hone_buffer text = {0};
    hone_status status = hone_engine_render(engine, messages, NULL, add_generation_prompt, &text, err);
    if (status == HONE_OK)
        status = hone_engine_encode_rendered(engine, &text, ids, err);
    hone_buffer_clear(&text);
    return status;
}

hone_status hone_engine_encode_text(hone_engine *engine, const char *text, hone_token_list *ids, hone_error *err)
{
    hone_buffer b = {.data = (char *)(uintptr_t)text, .length = strlen(text)};
    return hone_engine_encode_rendered(engine, &b, ids, err);
}

hone_status hone_engine_create_choices(hone_engine *engine, const char *const *texts, size_t n, hone_choices **out,
                                       hone_error *err)
{
    return hone_choices_create(engine->tokenizer, texts, n, engine->end_of_turn, out, err);
}

hone_status hone_engine_add_adapter(hone_engine *engine, hone_adapter *adapter, hone_error *err)
{
    hone_adapter **grown = realloc(engine->adapters, (engine->n_adapters + 1) * sizeof *grown);
    if (!grown)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    engine->adapters = grown;
    engine->adapters[engine->n_adapters++] = adapter;
    return HONE_OK;
}

hone_status hone_engine_load_adapter(hone_engine *engine, const char *folder, hone_adapter **out, hone_error *err)
{
    *out = NULL;
    hone_adapter *adapter;
    hone_status status = hone_adapter_load(engine->model, folder, &adapter, err);
    if (status != HONE_OK)
        return status;
    if (adapter->rank > HONE_MAX_ADAPTER_RANK)
        status = hone_fail(err, HONE_UNSUPPORTED, "%s: rank %d; the engine serves ranks up to %d", folder,
                           adapter->rank, HONE_MAX_ADAPTER_RANK);
    else if (adapter->base_hash[0] && strcmp(adapter->base_hash, hone_engine_model_hash(engine)) != 0)
        status = hone_fail(
            err, HONE_BAD_INPUT,
            "%s: trained on a model with sha256 %.12s..., but %s has %.12s...; use the adapter with its own base",
            folder, adapter->base_hash, engine->path, hone_engine_model_hash(engine));
    if (status == HONE_OK)
        status = hone_engine_add_adapter(engine, adapter, err);
    if (status == HONE_OK)
        *out = adapter;
    else
        hone_adapter_free(adapter);
    return status;
}

hone_status hone_engine_find_adapter(hone_engine *engine, const char *name, hone_adapter **out, hone_error *err)
{
    char *folder;
    *out = NULL;
    hone_status status = hone_adapter_find(name, &folder, err);
    if (status == HONE_OK)
        status = hone_engine_load_adapter(engine, folder, out, err);
    free(folder);
    return status;
}

void hone_engine_drop_adapter(hone_engine *engine, hone_adapter *adapter)
{
    for (size_t i = 0; i < engine->n_adapters; i++)
        if (engine->adapters[i] == adapter) {
            engine->adapters[i] = engine->adapters[--engine->n_adapters];
            hone_adapter_free(adapter);
            return;
        }
}

void hone_engine_clear_cache(hone_engine *engine)
{
    hone_page_cache_forget(engine->pages);
}
