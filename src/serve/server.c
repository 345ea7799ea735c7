/* server.c - starting and stopping, and the names of what is served. */
#include "serve/server.h"

#include "serve/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECONDS_TO_SEND = 5 }; /* when stopping, for answers that are done */

static void server_free(hone_server *server)
{
    hone_worker_free(server->worker);
    hone_embedder_close(server->own_embedder);
    pthread_mutex_destroy(&server->embedder_lock);
    hone_served_free(server->served);
    free(server);
}

/* The base, its adapters, and a sentence encoder. */
static hone_status add_models(hone_server *server, const hone_server_options *options, hone_error *err)
{
    hone_status status = hone_served_create(server->engine, &server->served, err);
    if (status == HONE_OK)
        status = hone_served_add(server->served, options->model_name, &(hone_served_model){0}, false, err);
    for (size_t i = 0; i < options->n_adapters && status == HONE_OK; i++)
        status = hone_served_add(server->served, options->adapters[i].name,
                                 &(hone_served_model){.adapter = options->adapters[i].adapter}, false, err);
    if (status == HONE_OK && options->encoder)
        status = hone_served_add(server->served, options->encoder_name,
                                 &(hone_served_model){.embedder = options->encoder, .embeds_only = true}, false, err);
    return status;
}

hone_status hone_server_start(hone_engine *engine, const hone_server_options *options, hone_server **out,
                              hone_error *err)
{
    *out = NULL;
    hone_server *server = calloc(1, sizeof *server);
    if (!server)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    server->engine = engine;
    pthread_mutex_init(&server->embedder_lock, NULL);
    server->started = (int64_t)time(NULL);
    snprintf(server->fingerprint, sizeof server->fingerprint, "hone-%.16s-%s", hone_engine_model_hash(engine),
             hone_engine_numerics_class(engine));
    hone_status status = add_models(server, options, err);
    if (status == HONE_OK)
        status = hone_worker_start(engine, &server->worker, err);
    if (status == HONE_OK) {
        hone_served_set_worker(server->served, server->worker);
        status = hone_http_start(options->host ? options->host : "127.0.0.1", options->port, hone_api_handle, server,
                                 &server->http, err);
        if (status != HONE_OK)
            hone_worker_stop(server->worker, 0);
    }
    if (status == HONE_OK)
        *out = server;
    else
        server_free(server);
    return status;
}

hone_embedder *hone_server_own_embedder(hone_server *server, hone_error *err)
{
    pthread_mutex_lock(&server->embedder_lock);
    if (!server->own_embedder)
        hone_embedder_open_on(hone_engine_get_model(server->engine), hone_engine_get_tokenizer(server->engine),
                              hone_engine_model_hash(server->engine), HONE_POOLING_MEAN, &server->own_embedder, err);
    hone_embedder *embedder = server->own_embedder;
    pthread_mutex_unlock(&server->embedder_lock);
    return embedder;
}

int hone_server_port(const hone_server *server)
{
    return hone_http_port(server->http);
}

void hone_server_stop(hone_server *server, double seconds)
{
    if (!server)
        return;
    hone_http_quiesce(server->http);
    hone_worker_stop(server->worker, seconds); /* now every handler has what it waits for */
    hone_http_stop(server->http, SECONDS_TO_SEND);
    server_free(server);
}
