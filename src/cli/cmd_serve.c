/* cmd_serve.c - `hone serve`: a model and its adapters over HTTP, for programs on this machine. */
#include "cli/commands.h"

#include "base/cancel.h"
#include "catalogue/models.h"
#include "cli/model_argument.h"
#include "serve/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_PORT = 8080, SECONDS_TO_FINISH = 30, POLL_MICROSECONDS = 50000 };

typedef struct serve_settings {
    const char *model, *numerics, *name, *host, *embedder;
    hone_option_list adapters;
    int64_t port, threads;
    uint64_t cache_bytes;
} serve_settings;

typedef struct adapters {
    hone_served_adapter items[HONE_SERVED_ADAPTERS];
    char *names[HONE_SERVED_ADAPTERS];
    size_t n;
} adapters;

/* "models/x.gguf" is served as "x", a catalogue name as itself. malloc'd. */
static char *name_of_model(const char *model)
{
    const char *base = strrchr(model, '/');
    base = base ? base + 1 : model;
    size_t length = strlen(base);
    if (length > 5 && strcmp(base + length - 5, ".gguf") == 0)
        length -= 5;
    return strndup(base, length);
}

/* "NAME=ADAPTER", or "ADAPTER", which is served under the last part of its path. */
static hone_status load_adapter(hone_engine *engine, const char *text, adapters *all, hone_error *err)
{
    const char *equals = strchr(text, '='), *slash = strrchr(text, '/');
    char *name = equals ? strndup(text, (size_t)(equals - text)) : strdup(slash ? slash + 1 : text);
    hone_adapter *adapter = NULL;
    hone_status status = name ? hone_engine_find_adapter(engine, equals ? equals + 1 : text, &adapter, err)
                              : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status != HONE_OK) {
        free(name);
        return status;
    }
    all->names[all->n] = name;
    all->items[all->n++] = (hone_served_adapter){.name = name, .adapter = adapter};
    return HONE_OK;
}

static hone_status open_encoder(const serve_settings *o, char **name, hone_embedder **out, hone_error *err)
{
    char *path = NULL;
    const hone_embedder_options options = {.n_threads = (int)o->threads};
    hone_status status = hone_model_resolve(o->embedder, &path, err);
    if (status == HONE_OK && !(*name = name_of_model(o->embedder)))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_embedder_open(path, &options, out, err);
    free(path);
    return status;
}

/* Until a signal asks to stop. */
static hone_status serve(hone_engine *engine, const hone_server_options *options, hone_error *err)
{
    hone_server *server;
    hone_status status = hone_server_start(engine, options, &server, err);
    if (status != HONE_OK)
        return status;
    fprintf(stderr, "listening on http://%s:%d\n", options->host, hone_server_port(server));
    while (!hone_cancel_requested())
        usleep(POLL_MICROSECONDS); /* a signal ends it early */
    fprintf(stderr, "finishing what is under way (at most %d s; a second signal ends at once)\n", SECONDS_TO_FINISH);
    hone_server_stop(server, SECONDS_TO_FINISH);
    return HONE_OK;
}

static int run(int argc, char **argv);

const hone_command hone_command_serve = {
    .name = "serve",
    .usage = "-m MODEL [--adapter [NAME=]ADAPTER]... [options]",
    .summary = "serve a model and its adapters over HTTP, as OpenAI's interface has it",
    .details =
        "For programs on this machine only. GET /health, /v1/models, /tokenizer_info; POST /v1/chat/completions,\n"
        "/v1/completions, /v1/embeddings, /tokenize, /detokenize. Adapters are chosen by \"model\" name; answers for\n"
        "different adapters are computed together, and each has the bits that `hone run` gives. Adapters come and go "
        "at\n"
        "run time: POST /v1/load_lora_adapter {\"lora_name\",\"lora_path\"}, /v1/unload_lora_adapter. Where a request\n"
        "does not say otherwise, the answer is greedy (temperature 0), of at most 512 tokens for a chat and 16 for a\n"
        "completion. What cannot be kept (response_format, tools, grammars) is refused, never ignored.",
    .run = run,
};

static int run(int argc, char **argv)
{
    serve_settings o = {.host = "127.0.0.1", .port = DEFAULT_PORT};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 'a', HONE_OPTION_LIST, &o.adapters, "[NAME=]ADAPTER",
         "serve this adapter as model NAME (give it once for each); ADAPTER is a name in adapters/ here or in hone's "
         "home folder, or a path"},
        {"embedder", 'e', HONE_OPTION_TEXT, &o.embedder, "MODEL",
         "a sentence encoder for /v1/embeddings, under its name (the model itself is always there)"},
        {"name", 0, HONE_OPTION_TEXT, &o.name, "NAME", "what clients call the model itself (default: from MODEL)"},
        {"port", 'p', HONE_OPTION_INTEGER, &o.port, "P", "port (default 8080; 0: any free one)"},
        {"host", 0, HONE_OPTION_TEXT, &o.host, "ADDRESS", "a loopback address (default 127.0.0.1)"},
        {"cache", 0, HONE_OPTION_BYTES, &o.cache_bytes, "BYTES", "memory for keys and values (default 512MiB)"},
        HONE_NUMERICS_OPTION(&o.numerics),
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_serve, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_engine *engine = NULL;
    adapters all = {0};
    char *name = NULL, *encoder_name = NULL;
    hone_embedder *encoder = NULL;
    hone_status status = HONE_OK;
    if (arguments.n > 0)
        status =
            hone_fail(&err, HONE_BAD_INPUT, "unexpected argument \"%s\"; the model goes after -m", arguments.items[0]);
    else if (o.port < 0 || o.port > 65535)
        status = hone_fail(&err, HONE_BAD_INPUT, "--port %lld; it is 0 (any free one) to 65535", (long long)o.port);
    if (status == HONE_OK)
        status = hone_cli_open_engine(o.model, o.threads, o.cache_bytes, o.numerics, &engine, &err);
    for (size_t i = 0; i < o.adapters.n && status == HONE_OK; i++)
        status = load_adapter(engine, o.adapters.items[i], &all, &err);
    if (status == HONE_OK && !(name = o.name ? strdup(o.name) : name_of_model(o.model)))
        status = hone_fail(&err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && o.embedder)
        status = open_encoder(&o, &encoder_name, &encoder, &err);
    if (status == HONE_OK) {
        const hone_server_options server = {.host = o.host,
                                            .port = (int)o.port,
                                            .model_name = name,
                                            .adapters = all.items,
                                            .n_adapters = all.n,
                                            .encoder_name = encoder_name,
                                            .encoder = encoder};
        status = serve(engine, &server, &err);
    }
    for (size_t i = 0; i < all.n; i++)
        free(all.names[i]);
    free(name);
    free(encoder_name);
    hone_embedder_close(encoder);
    hone_engine_close(engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_serve, &err);
}
