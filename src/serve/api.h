/* api.h - what the endpoints share: the server they belong to, answers and errors as OpenAI's clients read them. */
#ifndef HONE_SERVE_API_H
#define HONE_SERVE_API_H

#include "model/embedder.h"
#include "serve/http.h"
#include "serve/served.h"
#include "serve/server.h"
#include "serve/work.h"

#include <jansson.h>
#include <pthread.h>

struct hone_server {
    hone_engine *engine;
    hone_worker *worker;
    hone_http *http;
    hone_served *served; /* the models that clients may name */
    pthread_mutex_t embedder_lock;
    hone_embedder *own_embedder; /* on the engine's model; made when first asked for, under the lock */
    int64_t started;             /* seconds since 1970 */
    char fingerprint[64];        /* what an answer's bits depend on beside the request: model, numerics class */
};

/* An endpoint: body is the request's JSON object (NULL for a GET). */
typedef void (*hone_endpoint)(hone_server *server, const json_t *body, const hone_http_request *request,
                              hone_http_reply *reply);
void hone_endpoint_chat(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_completions(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_embeddings(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_models(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_load_adapter(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_unload_adapter(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_health(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_tokenize(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_detokenize(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);
void hone_endpoint_tokenizer_info(hone_server *, const json_t *, const hone_http_request *, hone_http_reply *);

/* The handler given to http.h; context is the server. */
void hone_api_handle(void *context, const hone_http_request *request, hone_http_reply *reply);

/* Answers with the document, which is taken; NULL answers that memory is out. */
void hone_api_answer(hone_http_reply *reply, json_t *document);
/* Answers with an error object {"error":{"message","type","param","code"}}. param may be NULL. The HTTP status follows
 * from `status`: 400 for input, 404, 503 for busy and no memory, else 500. */
void hone_api_fail(hone_http_reply *reply, hone_status status, const char *param, const hone_error *err);
/* The same with everything said: code may be NULL. */
void hone_api_fail_as(hone_http_reply *reply, int http_status, const char *param, const char *code, const char *format,
                      ...) __attribute__((format(printf, 5, 6)));
json_t *hone_api_error_object(hone_status status, const char *param, const hone_error *err);

/* The embedder of the engine's own model, or NULL with err. */
hone_embedder *hone_server_own_embedder(hone_server *server, hone_error *err);

/* The model that body's "model" names (the base where it is absent), to be given back by hone_served_release; or NULL
 * after answering 404 with the list. */
hone_served_model *hone_api_model(hone_server *server, const json_t *body, hone_http_reply *reply);

/* Text that need not be valid UTF-8 as a JSON string: what is not becomes U+FFFD. */
json_t *hone_api_text(const char *text, size_t length);
/* Appends the ids of a JSON list of token ids; `what` names it in the message. */
hone_status hone_api_read_ids(const hone_server *server, const json_t *list, const char *what, hone_token_list *ids,
                              hone_error *err);

#endif
