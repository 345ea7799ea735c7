/* http_probe.c - an HTTP client for tests of `hone serve` from a shell, and for measuring it.
 *
 *   http_probe PORT once METHOD PATH [BODY]           prints the answer's body; exit 0 for status 200, else 1
 *   http_probe PORT rate PATH CONNECTIONS SECONDS     prints requests/s over kept connections
 *   http_probe PORT chats CONNECTIONS TOKENS SYSTEM   that many chats at once, which share the system prompt in the
 * file SYSTEM; prints seconds and generated tokens/s */
#include "base/clock.h"
#include "support/http_client.h"

#include <jansson.h>
#include <pthread.h>

enum { MAX_CONNECTIONS = 256 };

typedef struct worker {
    int port, tokens, number;
    const char *path, *system;
    double seconds;
    long done, generated;
    pthread_t thread;
} worker;

static int once(int port, const char *method, const char *path, const char *body)
{
    http_client c;
    http_answer a;
    if (!http_client_open(&c, port) || !http_client_send(&c, method, path, "", body, body ? strlen(body) : 0) ||
        !http_client_read(&c, &a)) {
        fprintf(stderr, "no answer from port %d\n", port);
        return 2;
    }
    printf("%s\n", a.body.data);
    int code = a.status == 200 ? 0 : 1;
    hone_buffer_clear(&a.body);
    http_client_close(&c);
    return code;
}

static void *ask_again_and_again(void *context)
{
    worker *w = context;
    http_client c;
    if (!http_client_open(&c, w->port))
        return NULL;
    for (double end = hone_clock_seconds() + w->seconds; hone_clock_seconds() < end;) {
        http_answer a;
        if (!http_client_send(&c, "GET", w->path, "", NULL, 0) || !http_client_read(&c, &a))
            break;
        w->done += a.status == 200;
        hone_buffer_clear(&a.body);
    }
    http_client_close(&c);
    return NULL;
}

static void *chat(void *context)
{
    worker *w = context;
    char question[64];
    snprintf(question, sizeof question, "Tell me a story about the number %d.", w->number);
    json_t *body = json_pack("{s:[{s:s, s:s}, {s:s, s:s}], s:i, s:i}", "messages", "role", "system", "content",
                             w->system, "role", "user", "content", question, "max_tokens", w->tokens, "temperature", 0);
    char *text = json_dumps(body, JSON_COMPACT);
    http_client c;
    http_answer a = {0};
    if (text && http_client_open(&c, w->port)) {
        if (http_client_send(&c, "POST", "/v1/chat/completions", "", text, strlen(text)))
            http_client_read(&c, &a);
        http_client_close(&c);
    }
    json_t *answer = a.status == 200 ? json_loads(a.body.data, 0, NULL) : NULL;
    w->done = answer != NULL;
    w->generated = (long)json_integer_value(json_object_get(json_object_get(answer, "usage"), "completion_tokens"));
    json_decref(answer);
    json_decref(body);
    free(text);
    hone_buffer_clear(&a.body);
    return NULL;
}

static int run_all(worker *workers, int n, void *(*function)(void *), const worker *like)
{
    long done = 0, generated = 0;
    double started = hone_clock_seconds();
    for (int i = 0; i < n; i++) {
        workers[i] = *like;
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, function, &workers[i]) != 0)
            return 2;
    }
    for (int i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
        generated += workers[i].generated;
    }
    double seconds = hone_clock_seconds() - started;
    printf("{\"answers\":%ld,\"seconds\":%.3f,\"answers_per_second\":%.1f,\"tokens\":%ld,\"tokens_per_second\":%.1f}\n",
           done, seconds, (double)done / seconds, generated, (double)generated / seconds);
    return done > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static worker workers[MAX_CONNECTIONS];
    const char *what = argc > 2 ? argv[2] : "";
    if (argc >= 5 && strcmp(what, "once") == 0)
        return once(atoi(argv[1]), argv[3], argv[4], argc > 5 ? argv[5] : NULL);
    int n = argc == 6 ? atoi(argv[strcmp(what, "rate") == 0 ? 4 : 3]) : 0;
    if (n > 0 && n <= MAX_CONNECTIONS && strcmp(what, "rate") == 0)
        return run_all(workers, n, ask_again_and_again,
                       &(worker){.port = atoi(argv[1]), .path = argv[3], .seconds = atof(argv[5])});
    if (n > 0 && n <= MAX_CONNECTIONS && strcmp(what, "chats") == 0) {
        static char system[65536];
        FILE *f = fopen(argv[5], "r");
        size_t length = f ? fread(system, 1, sizeof system - 1, f) : 0;
        if (f)
            fclose(f);
        system[length] = 0;
        return run_all(workers, n, chat, &(worker){.port = atoi(argv[1]), .tokens = atoi(argv[4]), .system = system});
    }
    fprintf(stderr, "usage: http_probe PORT once METHOD PATH [BODY] | PORT rate PATH CONNECTIONS SECONDS | PORT chats "
                    "CONNECTIONS TOKENS SYSTEM_FILE\n");
    return 2;
}
