/* fuzz_serve.c - bytes as the body of a request to the server's endpoints. Built by ./dev fuzz with libFuzzer.
 *
 * The first byte chooses the endpoint, the rest is the body. A server on the tiny model (tests/tiny_model.h) parses,
 * refuses or answers it, in this process and without a socket. What must hold: it ends, with a status of this interface
 * and a body that is JSON (or a stream that ends), and an error has a message. Answers are cut short: nothing waits. */
#include "serve/api.h"

#include "tiny_model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hone_server *server;
static int client; /* stays open: the one who asks does not leave */

static void start(void)
{
    char path[64];
    int pair[2];
    hone_error err;
    hone_engine *engine;
    hone_engine_options options = {.n_threads = 1, .cache_bytes = 16u << 20};
    const hone_server_options how = {.model_name = "tiny"};
    snprintf(path, sizeof path, "/tmp/hone-fuzz-serve-%d.gguf", (int)getpid());
    if (tiny_model_write(path, NULL) != HONE_OK || hone_engine_open(path, &options, &engine, &err) != HONE_OK ||
        hone_server_start(engine, &how, &server, &err) != HONE_OK || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        abort();
    client = pair[0];
}

static void check_document(const hone_http_reply *reply)
{
    json_t *document = reply->body.data ? json_loads(reply->body.data, JSON_DECODE_ANY, NULL) : NULL;
    if (!document)
        abort();
    if (reply->status != 200 && !json_is_string(json_object_get(json_object_get(document, "error"), "message")))
        abort();
    if (reply->status == 500)
        abort();
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {
        "/v1/chat/completions", "/v1/completions",       "/v1/embeddings",         "/tokenize",
        "/detokenize",          "/v1/load_lora_adapter", "/v1/unload_lora_adapter"};
    if (!server)
        start();
    if (size == 0)
        return 0;
    char *body = malloc(size); /* its end is where the bytes end, so that a read beyond is seen */
    if (!body)
        return 0;
    memcpy(body, data + 1, size - 1);
    body[size - 1] = 0;
    const hone_http_request request = {.method = "POST",
                                       .path = paths[data[0] % (sizeof paths / sizeof *paths)],
                                       .body = body,
                                       .body_bytes = size - 1,
                                       .client = client};
    hone_http_reply reply = {.status = 200};
    hone_api_handle(server, &request, &reply);
    if (reply.next) {
        hone_buffer out = {0};
        while (reply.next(reply.stream, &out))
            hone_buffer_reset(&out);
        reply.close(reply.stream);
        hone_buffer_clear(&out);
    } else
        check_document(&reply);
    hone_buffer_clear(&reply.body);
    free(body);
    return 0;
}
