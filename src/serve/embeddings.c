/* embeddings.c - /v1/embeddings: texts as vectors of length 1, by the sentence encoder that is served, or by the
 * model's own hidden states, averaged over the tokens (`hone embed` gives the same numbers).
 *
 * The texts are embedded on the worker's thread, a few at a time between the steps of answers. */
#include "serve/api.h"
#include "serve/fields.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXTS = 2048, TEXTS_AT_ONCE = 16 };

typedef struct embedding {
    hone_embedder *embedder;
    hone_embed_text *texts; /* [n], borrowed from the body */
    float *vectors;         /* [n, dim] */
    int64_t *n_tokens;      /* [n] */
    size_t n, from, to;     /* [from, to): what the worker computes next */
    int64_t dim;
} embedding;

static hone_status read_text(embedding *e, const json_t *value, hone_error *err)
{
    hone_token_list ids = {0};
    bool was_cut = false;
    if (json_is_number(value) || json_is_array(value))
        return hone_fail(err, HONE_UNSUPPORTED,
                         "\"input\" holds token ids; send texts, this model makes tokens of them");
    if (!json_is_string(value))
        return hone_fail(err, HONE_BAD_INPUT, "\"input\" holds %s; it takes a text or a list of texts",
                         hone_json_kind(value));
    if (json_string_length(value) == 0)
        return hone_fail(err, HONE_BAD_INPUT, "\"input\" holds an empty text; it has no meaning to embed");
    const hone_embed_text text = {json_string_value(value), json_string_length(value)};
    hone_status status = hone_embedder_encode(e->embedder, text, &ids, &was_cut, err);
    if (status == HONE_OK && was_cut)
        status =
            hone_fail(err, HONE_BAD_INPUT, "text %zu of \"input\" has more than the %lld tokens that this model reads",
                      e->n, (long long)hone_embedder_most_tokens(e->embedder));
    e->texts[e->n] = text;
    e->n_tokens[e->n++] = (int64_t)ids.n;
    hone_token_list_clear(&ids);
    return status;
}

static hone_status read_input(embedding *e, const json_t *input, hone_error *err)
{
    size_t n = json_is_array(input) ? json_array_size(input) : 1;
    hone_status status = HONE_OK;
    if (n == 0 || n > MAX_TEXTS)
        return hone_fail(err, HONE_BAD_INPUT, "\"input\" holds %zu texts; it takes 1 to %d", n, MAX_TEXTS);
    e->dim = hone_embedder_dim(e->embedder);
    e->texts = calloc(n, sizeof *e->texts);
    e->n_tokens = calloc(n, sizeof *e->n_tokens);
    e->vectors = calloc(n * (size_t)e->dim, sizeof *e->vectors);
    if (!e->texts || !e->n_tokens || !e->vectors)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu texts", n);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = read_text(e, json_is_array(input) ? json_array_get(input, i) : input, err);
    return status;
}

static hone_status embed_some(void *context, hone_error *err)
{
    embedding *e = context;
    return hone_embedder_run(e->embedder, e->texts + e->from, e->to - e->from, e->vectors + e->from * (size_t)e->dim,
                             NULL, NULL, err);
}

static hone_status embed_all(hone_server *server, embedding *e, hone_error *err)
{
    hone_status status = HONE_OK;
    for (e->from = 0; e->from < e->n && status == HONE_OK; e->from = e->to) {
        e->to = e->from + TEXTS_AT_ONCE < e->n ? e->from + TEXTS_AT_ONCE : e->n;
        status = hone_worker_run(server->worker, embed_some, e, err);
    }
    return status;
}

/* The numbers as a list, or their little-endian bytes in base64 (what the Python client asks for). */
static json_t *vector_as_json(const float *vector, int64_t dim, bool base64)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!base64) {
        json_t *list = json_array();
        for (int64_t i = 0; i < dim; i++)
            json_array_append_new(list, json_real((double)vector[i]));
        return list;
    }
    const unsigned char *bytes = (const unsigned char *)vector;
    size_t n = (size_t)dim * sizeof *vector;
    hone_buffer text = {0};
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16 | (have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (have > 2 ? (uint32_t)bytes[i + 2] : 0);
        for (size_t d = 0; d < 4; d++)
            hone_buffer_putc(&text, d <= have ? digits[group >> (18 - 6 * d) & 63] : '=');
    }
    json_t *string = text.failed ? NULL : json_stringn(text.data, text.length);
    hone_buffer_clear(&text);
    return string;
}

static json_t *make_document(const embedding *e, const char *model, bool base64)
{
    int64_t tokens = 0;
    json_t *data = json_array();
    for (size_t i = 0; i < e->n; i++) {
        tokens += e->n_tokens[i];
        json_array_append_new(data,
                              json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i, "embedding",
                                        vector_as_json(e->vectors + i * (size_t)e->dim, e->dim, base64)));
    }
    return json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model", model, "usage",
                     "prompt_tokens", (json_int_t)tokens, "total_tokens", (json_int_t)tokens);
}

static hone_status read_form(const json_t *body, int64_t dim, bool *base64, const char **param, hone_error *err)
{
    const char *encoding = "float";
    int64_t dimensions = dim;
    const hone_field fields[] = {{"encoding_format", HONE_FIELD_TEXT, &encoding, 0, 0},
                                 {"dimensions", HONE_FIELD_INTEGER, &dimensions, 1, 1 << 20}};
    hone_status status = hone_fields_read(body, fields, 2, param, err);
    if (status != HONE_OK)
        return status;
    *base64 = strcmp(encoding, "base64") == 0;
    *param = "encoding_format";
    if (!*base64 && strcmp(encoding, "float") != 0)
        return hone_fail(err, HONE_BAD_INPUT, "\"encoding_format\" is \"%.40s\"; it is float or base64", encoding);
    *param = "dimensions";
    if (dimensions != dim)
        return hone_fail(err, HONE_UNSUPPORTED, "\"dimensions\" is %lld; this model's vectors have %lld",
                         (long long)dimensions, (long long)dim);
    return HONE_OK;
}

void hone_endpoint_embeddings(hone_server *server, const json_t *body, const hone_http_request *request,
                              hone_http_reply *reply)
{
    (void)request;
    hone_served_model *model = hone_api_model(server, body, reply);
    if (!model)
        return;
    embedding e = {.embedder = model->embedder};
    const char *param = "model";
    bool base64;
    hone_error err;
    hone_status status = HONE_OK;
    if (model->adapter)
        status = hone_fail(&err, HONE_UNSUPPORTED, "\"%s\" is an adapter; vectors come from \"%s\"", model->name,
                           hone_served_base_name(server->served));
    else if (!e.embedder && !(e.embedder = hone_server_own_embedder(server, &err)))
        status = err.code;
    if (status == HONE_OK)
        status = read_form(body, hone_embedder_dim(e.embedder), &base64, &param, &err);
    if (status == HONE_OK) {
        param = "input";
        status = read_input(&e, json_object_get(body, "input"), &err);
    }
    if (status == HONE_OK)
        status = embed_all(server, &e, &err);
    if (status == HONE_OK)
        hone_api_answer(reply, make_document(&e, model->name, base64));
    else
        hone_api_fail(reply, status, param, &err);
    free(e.texts);
    free(e.n_tokens);
    free(e.vectors);
    hone_served_release(model);
}
