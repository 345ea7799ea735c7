/* api.c - the table of routes, and the forms of answers and errors. */
#include "serve/api.h"

#include "base/text.h"
#include "serve/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct route {
    const char *method, *path;
    hone_endpoint endpoint;
    bool below; /* also "<path>/anything" */
} route;

static const route routes[] = {
    {"GET", "/health", hone_endpoint_health, false},
    {"GET", "/v1/models", hone_endpoint_models, true},
    {"POST", "/v1/chat/completions", hone_endpoint_chat, false},
    {"POST", "/v1/completions", hone_endpoint_completions, false},
    {"POST", "/v1/embeddings", hone_endpoint_embeddings, false},
    {"POST", "/v1/load_lora_adapter", hone_endpoint_load_adapter, false},
    {"POST", "/v1/unload_lora_adapter", hone_endpoint_unload_adapter, false},
    {"GET", "/tokenizer_info", hone_endpoint_tokenizer_info, false},
    {"POST", "/tokenize", hone_endpoint_tokenize, false},
    {"POST", "/detokenize", hone_endpoint_detokenize, false},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

/* ---- answers ---- */

void hone_api_answer(hone_http_reply *reply, json_t *document)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    if (text)
        hone_buffer_puts(&reply->body, text);
    else {
        reply->status = 503;
        hone_buffer_puts(&reply->body, "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                                       "\"param\":null,\"code\":null}}");
    }
    free(text);
    json_decref(document);
}

static json_t *error_object(int http_status, const char *param, const char *code, const char *message)
{
    return json_pack("{s:{s:o, s:s, s:s?, s:s?}}", "error", "message", hone_api_text(message, strlen(message)), "type",
                     http_status < 500 ? "invalid_request_error" : "server_error", "param", param, "code", code);
}

void hone_api_fail_as(hone_http_reply *reply, int http_status, const char *param, const char *code, const char *format,
                      ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    reply->status = http_status;
    hone_api_answer(reply, error_object(http_status, param, code, message));
}

static int http_status_of(hone_status status)
{
    switch (status) {
    case HONE_OK:
        return 200;
    case HONE_BAD_INPUT:
    case HONE_BAD_FORMAT:
    case HONE_UNSUPPORTED:
        return 400;
    case HONE_NOT_FOUND:
        return 404;
    case HONE_NO_MEMORY:
    case HONE_BUSY:
    case HONE_CANCELLED:
        return 503;
    default:
        return 500;
    }
}

json_t *hone_api_error_object(hone_status status, const char *param, const hone_error *err)
{
    return error_object(http_status_of(status), param, status == HONE_UNSUPPORTED ? "unsupported" : NULL, err->message);
}

void hone_api_fail(hone_http_reply *reply, hone_status status, const char *param, const hone_error *err)
{
    reply->status = http_status_of(status);
    hone_api_answer(reply, hone_api_error_object(status, param, err));
}

json_t *hone_api_text(const char *text, size_t length)
{
    if (hone_utf8_valid(text, length, NULL))
        return json_stringn(text, length);
    hone_buffer valid = {0};
    for (size_t i = 0; i < length;) {
        size_t n = hone_utf8_next(text + i, length - i, NULL);
        if (n)
            hone_buffer_append(&valid, text + i, n);
        else
            hone_buffer_puts(&valid, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    json_t *string = valid.failed ? NULL : json_stringn(valid.data ? valid.data : "", valid.length);
    hone_buffer_clear(&valid);
    return string;
}

/* ---- what requests share ---- */

hone_served_model *hone_api_model(hone_server *server, const json_t *body, hone_http_reply *reply)
{
    const char *name = NULL;
    const hone_field field = {"model", HONE_FIELD_TEXT, &name, 0, 0};
    hone_served_model *model;
    hone_error err;
    if (hone_fields_read(body, &field, 1, NULL, &err) != HONE_OK)
        hone_api_fail(reply, HONE_BAD_INPUT, "model", &err);
    else if (hone_served_take(server->served, name, &model, &err) == HONE_OK)
        return model;
    else
        hone_api_fail_as(reply, 404, "model", "model_not_found", "%s", err.message);
    return NULL;
}

hone_status hone_api_read_ids(const hone_server *server, const json_t *list, const char *what, hone_token_list *ids,
                              hone_error *err)
{
    int32_t n_vocab = hone_tokenizer_size(hone_engine_get_tokenizer(server->engine));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < json_array_size(list) && status == HONE_OK; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id))
            status = hone_fail(err, HONE_BAD_INPUT, "element %zu of \"%s\" is %s; it takes token ids", i, what,
                               hone_json_kind(id));
        else if (json_integer_value(id) < 0 || json_integer_value(id) >= n_vocab)
            status = hone_fail(err, HONE_BAD_INPUT, "element %zu of \"%s\" is %lld; the vocabulary has 0 to %d", i,
                               what, (long long)json_integer_value(id), n_vocab - 1);
        else
            status = hone_token_list_push(ids, (int32_t)json_integer_value(id), err);
    }
    return status;
}

/* ---- routing ---- */

static bool path_matches(const route *r, const char *path)
{
    size_t length = strlen(r->path);
    return strncmp(path, r->path, length) == 0 && (path[length] == 0 || (r->below && path[length] == '/'));
}

static const route *find_route(const hone_http_request *request, hone_http_reply *reply)
{
    /* HEAD is a GET whose body is not sent. */
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method, *allow = NULL;
    for (int i = 0; i < N_ROUTES; i++)
        if (path_matches(&routes[i], request->path)) {
            if (strcmp(routes[i].method, method) == 0)
                return &routes[i];
            allow = routes[i].method;
        }
    if (allow) {
        reply->allow = allow;
        hone_api_fail_as(reply, 405, NULL, NULL, "%s takes %s, not %.20s", request->path, allow, request->method);
        return NULL;
    }
    hone_buffer paths = {0};
    for (int i = 0; i < N_ROUTES; i++)
        hone_buffer_printf(&paths, "%s%s %s", i ? ", " : "", routes[i].method, routes[i].path);
    hone_api_fail_as(reply, 404, NULL, NULL, "there is no %.200s here; there is %s", request->path,
                     paths.data ? paths.data : "");
    hone_buffer_clear(&paths);
    return NULL;
}

/* The body as an object, or NULL after answering what is wrong with it. */
static json_t *read_body(const hone_http_request *request, hone_http_reply *reply)
{
    size_t bad_at;
    json_error_t where;
    if (!hone_utf8_valid(request->body, request->body_bytes, &bad_at)) {
        hone_api_fail_as(reply, 400, NULL, NULL, "the body is not valid UTF-8 at byte %zu; JSON must be", bad_at);
        return NULL;
    }
    json_t *body = json_loadb(request->body, request->body_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!body)
        hone_api_fail_as(reply, 400, NULL, NULL, "the body is not JSON: line %d, column %d: %s", where.line,
                         where.column, where.text);
    else if (!json_is_object(body)) {
        hone_api_fail_as(reply, 400, NULL, NULL, "the body is %s; it takes an object", hone_json_kind(body));
        json_decref(body);
        body = NULL;
    }
    return body;
}

void hone_api_handle(void *context, const hone_http_request *request, hone_http_reply *reply)
{
    hone_server *server = context;
    if (request->foreign) {
        hone_api_fail_as(
            reply, 403, NULL, NULL,
            "this server answers programs on its own machine only; the request names another host or comes "
            "from a web page");
        return;
    }
    const route *r = find_route(request, reply);
    if (!r)
        return;
    if (request->too_long) {
        hone_api_fail_as(reply, 413, NULL, NULL, "the body is longer than %d bytes; send less at once",
                         HONE_HTTP_MAX_BODY_BYTES);
        return;
    }
    json_t *body = NULL;
    if (strcmp(r->method, "POST") == 0 && !(body = read_body(request, reply)))
        return;
    r->endpoint(server, body, request, reply);
    json_decref(body);
}
