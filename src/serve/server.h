/* server.h - `hone serve`: an opened engine, answering OpenAI-compatible HTTP on the loopback interface.
 *
 *   GET  /health            POST /v1/chat/completions   POST /tokenize
 *   GET  /v1/models[/NAME]  POST /v1/completions        POST /detokenize
 *   GET  /tokenizer_info    POST /v1/embeddings         POST /v1/load_lora_adapter, /v1/unload_lora_adapter
 *
 * Threads: one for each connection (http.h) reads a request, checks it, makes tokens of it and writes the answer; one
 * worker (work.h) owns the engine. An answer has the bits that `hone run` and `hone score` give for the same tokens and
 * adapter, whoever else is served at the time. */
#ifndef HONE_SERVE_SERVER_H
#define HONE_SERVE_SERVER_H

#include "engine/engine.h"
#include "model/embedder.h"

enum { HONE_SERVED_ADAPTERS = 64 }; /* at once */

typedef struct hone_served_adapter {
    const char *name; /* a `model` name for clients, borrowed during the start */
    const hone_adapter *adapter;
} hone_served_adapter;

typedef struct hone_server_options {
    const char *host; /* NULL: 127.0.0.1 */
    int port;         /* 0: any free one */
    const char *model_name;
    const hone_served_adapter *adapters;
    size_t n_adapters;
    const char *encoder_name; /* a sentence encoder for /v1/embeddings beside the model's own vectors; NULL: none */
    hone_embedder *encoder;   /* borrowed like the engine */
} hone_server_options;

typedef struct hone_server hone_server;

/* The engine and its adapters are borrowed until the end of hone_server_stop and not to be used meanwhile; an adapter
 * that a client unloads is dropped from the engine. HONE_BAD_INPUT for a name given twice, and what hone_http_start
 * says. */
hone_status hone_server_start(hone_engine *engine, const hone_server_options *options, hone_server **out,
                              hone_error *err);
int hone_server_port(const hone_server *server);
/* Takes no more requests, gives those under way `seconds` to finish, ends the rest with an error, frees the server. */
void hone_server_stop(hone_server *server, double seconds);

#endif
