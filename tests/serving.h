/* serving.h - a server on the tiny model with three adapters, for tests. Include after cmocka.h and unit/temporary.h.
 */
#ifndef HONE_TESTS_SERVING_H
#define HONE_TESTS_SERVING_H

#include "model/adapter.h"
#include "serve/server.h"
#include "support/http_client.h"
#include "tiny_model.h"

#include <jansson.h>

enum { SERVING_ADAPTERS = 3 };
static const char *const serving_names[1 + SERVING_ADAPTERS] = {"tiny", "first", "second", "third"};

typedef struct serving {
    hone_engine *engine;
    const hone_adapter *adapters[1 + SERVING_ADAPTERS]; /* as serving_names; the base is NULL */
    hone_server *server;
    int port;
} serving;

/* Both matrices random, so that the adapter changes answers; the engine owns it. */
static inline const hone_adapter *serving_adapter(hone_engine *engine, uint32_t stream, hone_adapter **made)
{
    hone_adapter *a;
    assert_int_equal(hone_adapter_create(&hone_engine_get_model(engine)->config, 2 + (int)stream, 4, &a, NULL),
                     HONE_OK);
    for (size_t i = 0; i < a->n_parameters; i++)
        a->parameters[i] = 0.2f * (float)hone_rng_normal((hone_rng_key){77, HONE_RNG_TEST, stream}, i);
    hone_ops *ops;
    assert_int_equal(hone_ops_create(1, &ops, NULL), HONE_OK);
    hone_adapter_refresh(ops, a);
    hone_ops_free(ops);
    hone_adapter_hash(a);
    assert_int_equal(hone_engine_add_adapter(engine, a, NULL), HONE_OK);
    if (made)
        *made = a;
    return a;
}

static inline hone_engine *serving_engine(const hone_adapter *adapters[1 + SERVING_ADAPTERS])
{
    hone_error err;
    hone_engine *engine;
    const char *path = temporary_path("tiny.gguf");
    hone_engine_options options = {.n_threads = 1, .cache_bytes = 32u << 20};
    if (!hone_file_exists(path))
        assert_int_equal(tiny_model_write(path, NULL), HONE_OK);
    if (hone_engine_open(path, &options, &engine, &err) != HONE_OK)
        fail_msg("%s", err.message);
    adapters[0] = NULL;
    for (uint32_t i = 0; i < SERVING_ADAPTERS; i++)
        adapters[1 + i] = serving_adapter(engine, i, NULL);
    return engine;
}

static inline void serving_start(serving *s)
{
    hone_error err;
    s->engine = serving_engine(s->adapters);
    hone_served_adapter adapters[SERVING_ADAPTERS];
    for (int i = 0; i < SERVING_ADAPTERS; i++)
        adapters[i] = (hone_served_adapter){serving_names[1 + i], s->adapters[1 + i]};
    hone_server_options options = {
        .model_name = serving_names[0], .adapters = adapters, .n_adapters = SERVING_ADAPTERS};
    if (hone_server_start(s->engine, &options, &s->server, &err) != HONE_OK)
        fail_msg("%s", err.message);
    s->port = hone_server_port(s->server);
}

static inline void serving_stop(serving *s)
{
    hone_server_stop(s->server, 10);
    hone_engine_close(s->engine);
}

/* One request on a connection of its own. */
static inline http_answer serving_ask(int port, const char *method, const char *path, const char *headers,
                                      const char *body, size_t n)
{
    http_client c;
    http_answer a = {0};
    if (http_client_open(&c, port) && http_client_send(&c, method, path, headers, body, n))
        http_client_read(&c, &a);
    http_client_close(&c);
    return a;
}

/* POSTs and gives the answer's JSON (to be freed); fails the test where the status is another. */
static inline json_t *serving_post(int port, const char *path, const char *body, int status)
{
    http_answer a = serving_ask(port, "POST", path, "", body, strlen(body));
    json_t *document = json_loads(a.body.data ? a.body.data : "", JSON_ALLOW_NUL, NULL);
    if (a.status != status || !document)
        fail_msg("POST %s %s\n  gives %d %s", path, body, a.status, a.body.data ? a.body.data : "nothing");
    hone_buffer_clear(&a.body);
    return document;
}

static inline json_t *serving_get(int port, const char *path, int status)
{
    http_answer a = serving_ask(port, "GET", path, "", NULL, 0);
    json_t *document = json_loads(a.body.data ? a.body.data : "", JSON_ALLOW_NUL, NULL);
    if (a.status != status || !document)
        fail_msg("GET %s gives %d %s", path, a.status, a.body.data ? a.body.data : "nothing");
    hone_buffer_clear(&a.body);
    return document;
}

#endif
