/* test_serve_load.c - the server under clients that behave badly: they leave at any point, read slowly or not at all,
 * send half a request, or are still there when it stops. Nothing may be left behind: no place, no page, no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/temporary.h"

#include "serving.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

static int start(void **state)
{
    return temporary_begin(state);
}

static int stop(void **state)
{
    return temporary_end(state);
}

/* What the server says of itself. */
static void read_health(int port, int64_t *active, int64_t *waiting)
{
    json_t *document = serving_get(port, "/health", 200);
    *active = json_integer_value(json_object_get(document, "active"));
    *waiting = json_integer_value(json_object_get(document, "waiting"));
    json_decref(document);
}

static bool becomes_idle(int port, double seconds)
{
    for (double end = hone_clock_seconds() + seconds; hone_clock_seconds() < end; usleep(2000)) {
        int64_t active, waiting;
        read_health(port, &active, &waiting);
        if (active == 0 && waiting == 0)
            return true;
    }
    return false;
}

static bool becomes_busy(int port, double seconds)
{
    for (double end = hone_clock_seconds() + seconds; hone_clock_seconds() < end; usleep(1000)) {
        int64_t active, waiting;
        read_health(port, &active, &waiting);
        if (active > 0)
            return true;
    }
    return false;
}

/* Much work: 128 answers of 250 tokens at a high temperature; the tiny model needs about a second for them. */
static const char long_work[] = "{\"prompt\":\"x\",\"n\":128,\"max_tokens\":250,\"temperature\":2,\"seed\":1}";
static const char long_stream[] =
    "{\"prompt\":\"x\",\"n\":128,\"max_tokens\":250,\"temperature\":2,\"seed\":1,\"stream\":true,\"logprobs\":0}";

static const char endless_stream[] = "{\"prompt\":[\"x\",\"y\",\"z\",\"!\"],\"n\":128,\"max_tokens\":250,"
                                     "\"temperature\":2,\"seed\":1,\"stream\":true,\"logprobs\":0}";

static void test_a_client_that_leaves_frees_its_places(void **state)
{
    (void)state;
    serving s;
    serving_start(&s);
    for (int streams = 0; streams < 2; streams++) {
        const char *body = streams ? long_stream : long_work;
        http_client c;
        assert_true(http_client_open(&c, s.port));
        assert_true(http_client_send(&c, "POST", "/v1/completions", "", body, strlen(body)));
        assert_true(becomes_busy(s.port, 10));
        double left = hone_clock_seconds();
        http_client_close(&c);
        assert_true(becomes_idle(s.port, 10));
        double took = hone_clock_seconds() - left;
        /* and not because the work was done */
        left = hone_clock_seconds();
        json_decref(serving_post(s.port, "/v1/completions", long_work, 200));
        double whole = hone_clock_seconds() - left;
        print_message("%s: idle %.0f ms after the client left; the whole work takes %.0f ms\n",
                      streams ? "stream" : "document", 1e3 * took, 1e3 * whole);
        assert_true(took < whole / 2);
    }
    serving_stop(&s);
}

static void test_a_client_that_does_not_read_holds_up_nobody(void **state)
{
    (void)state;
    serving s;
    serving_start(&s);
    enum { N_SILENT = 2 };
    http_client silent[N_SILENT];
    for (int i = 0; i < N_SILENT;
         i++) { /* neither reads its answer, of more than the kernel holds for a socket (4 MiB) */
        assert_true(http_client_open(&silent[i], s.port));
        assert_true(
            http_client_send(&silent[i], "POST", "/v1/completions", "", endless_stream, strlen(endless_stream)));
    }
    assert_true(becomes_busy(s.port, 10));
    json_decref(serving_post(s.port, "/v1/completions", "{\"prompt\":\"y\",\"max_tokens\":20}", 200));
    assert_true(becomes_idle(s.port, 60)); /* their answers are done, though nobody took them */
    /* One of them reads now, and gets all of it: 512 finishes and the end. */
    http_answer a;
    assert_true(http_client_read(&silent[0], &a));
    size_t n_finishes = 0;
    print_message("%zu KiB had to wait\n", a.body.length >> 10);
    assert_true(a.body.length > 6u << 20);
    for (const char *at = a.body.data; (at = strstr(at, "\"finish_reason\":\"")); at++)
        n_finishes++;
    assert_int_equal(n_finishes, 512);
    assert_string_equal(a.body.data + a.body.length - 14, "data: [DONE]\n\n");
    hone_buffer_clear(&a.body);
    for (int i = 0; i < N_SILENT; i++)
        http_client_close(&silent[i]);
    serving_stop(&s);
}

/* ---- two thousand requests, some of which are cancelled ---- */

enum { N_REQUESTS = 2000, N_CLIENTS = 8 };

typedef struct crowd {
    int port, first, n_answered, n_left;
    pthread_t thread;
} crowd;

/* What request number i does is a function of i: its size, whether it streams, and where its client leaves: after half
 * the request, at once, after a while, or never. */
static void *run_crowd(void *context)
{
    crowd *me = context;
    for (int i = me->first; i < N_REQUESTS; i += N_CLIENTS) {
        const hone_rng_key key = {2000, HONE_RNG_TEST, (uint32_t)i};
        char body[512];
        bool streams = hone_rng_below(key, 0, 2) == 0;
        int leaves = (int)hone_rng_below(key, 1, 6);
        int length = snprintf(body, sizeof body,
                              "{\"model\":\"%s\",\"prompt\":\"%d %d\",\"n\":%d,\"max_tokens\":%d,\"temperature\":1,"
                              "\"seed\":%d,\"stream\":%s}",
                              serving_names[hone_rng_below(key, 2, 4)], (int)hone_rng_below(key, 3, 5), i,
                              1 + (int)hone_rng_below(key, 4, 4), 1 + (int)hone_rng_below(key, 5, 60), i,
                              streams ? "true" : "false");
        http_client c;
        if (!http_client_open(&c, me->port))
            continue;
        if (leaves == 0) {
            char half[256];
            snprintf(half, sizeof half,
                     "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", length);
            http_client_write(&c, half, strlen(half));
            http_client_write(&c, body, (size_t)length / 2);
        } else
            http_client_send(&c, "POST", "/v1/completions", "", body, (size_t)length);
        if (leaves == 2)
            usleep((unsigned)hone_rng_below(key, 6, 3000));
        if (leaves < 3)
            me->n_left++;
        else {
            http_answer a;
            me->n_answered += http_client_read(&c, &a) && a.status == 200;
            hone_buffer_clear(&a.body);
        }
        http_client_close(&c);
    }
    return NULL;
}

static void run_crowds(int port, int *n_answered, int *n_left)
{
    crowd crowds[N_CLIENTS];
    *n_answered = *n_left = 0;
    for (int i = 0; i < N_CLIENTS; i++) {
        crowds[i] = (crowd){.port = port, .first = i};
        assert_int_equal(pthread_create(&crowds[i].thread, NULL, run_crowd, &crowds[i]), 0);
    }
    for (int i = 0; i < N_CLIENTS; i++) {
        pthread_join(crowds[i].thread, NULL);
        *n_answered += crowds[i].n_answered;
        *n_left += crowds[i].n_left;
    }
}

static size_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_two_thousand_requests_with_cancels_leave_nothing_behind(void **state)
{
    (void)state;
    serving s;
    int n_answered, n_left;
    serving_start(&s);
    json_t *before = serving_post(s.port, "/v1/completions", "{\"prompt\":\"z\",\"max_tokens\":200}", 200);
    for (int i = 0; i < 2; i++) { /* to warm up: the allocator's arenas, stacks, cache pages */
        run_crowds(s.port, &n_answered, &n_left);
        assert_true(becomes_idle(s.port, 20));
        print_message("%zu KiB\n", resident_bytes() >> 10);
    }
    size_t bytes = resident_bytes();
    int descriptors = count_descriptors();
    run_crowds(s.port, &n_answered, &n_left);
    assert_true(becomes_idle(s.port, 20));
    usleep(200000); /* threads of the last connections end */
    size_t more = resident_bytes() > bytes ? resident_bytes() - bytes : 0;
    print_message("%d answered, %d left; %zu KiB more resident memory, %d descriptors before and %d after\n",
                  n_answered, n_left, more >> 10, descriptors, count_descriptors());
    assert_int_equal(n_answered + n_left, N_REQUESTS); /* who waited got an answer */
    assert_true(n_left > N_REQUESTS / 3 && n_answered > N_REQUESTS / 3);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
#ifndef __SANITIZE_THREAD__
    assert_true(more < 4u << 20);
#endif
#endif
    assert_true(count_descriptors() <= descriptors + 2);
    /* every place and page is there: the cache would otherwise be too small for a whole batch, and the bits still are
     */
    json_decref(serving_post(s.port, "/v1/completions", long_work, 200));
    json_t *after = serving_post(s.port, "/v1/completions", "{\"prompt\":\"z\",\"max_tokens\":200}", 200);
    assert_true(json_equal(json_object_get(before, "choices"), json_object_get(after, "choices")));
    json_decref(before);
    json_decref(after);
    serving_stop(&s);
}

/* ---- stopping ---- */

typedef struct late_asker {
    int port;
    http_answer answer;
    pthread_t thread;
} late_asker;

static void *ask_late(void *context)
{
    late_asker *me = context;
    me->answer = serving_ask(me->port, "POST", "/v1/completions", "", long_work, strlen(long_work));
    return NULL;
}

static void test_stopping_finishes_what_is_under_way(void **state)
{
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        serving s;
        serving_start(&s);
        late_asker asker = {.port = s.port};
        assert_int_equal(pthread_create(&asker.thread, NULL, ask_late, &asker), 0);
        assert_true(becomes_busy(s.port, 10));
        hone_server_stop(s.server, patient ? 60 : 0);
        pthread_join(asker.thread, NULL);
        assert_int_equal(asker.answer.status, patient ? 200 : 503);
        assert_non_null(strstr(asker.answer.body.data, patient ? "\"index\":127" : "the server is stopping"));
        hone_buffer_clear(&asker.answer.body);
        http_client c;
        assert_false(http_client_open(&c, s.port)); /* nobody listens */
        http_client_close(&c);
        hone_engine_close(s.engine);
    }
}

typedef struct embedding_asker {
    int port;
    const hone_buffer *body;
    http_answer answer;
    pthread_t thread;
} embedding_asker;

static void *ask_for_vectors(void *context)
{
    embedding_asker *me = context;
    me->answer = serving_ask(me->port, "POST", "/v1/embeddings", "", me->body->data, me->body->length);
    return NULL;
}

/* Vectors are computed between steps, sixteen texts at a time, so that each of these has work waiting when the end
 * comes. */
static void test_stopping_at_once_answers_those_who_wait_for_vectors(void **state)
{
    (void)state;
    enum { N = 6, N_TEXTS = 1500 };
    serving s;
    serving_start(&s);
    embedding_asker askers[N];
    hone_buffer body = {0};
    hone_buffer_puts(&body, "{\"input\":[");
    for (int i = 0; i < N_TEXTS; i++)
        hone_buffer_printf(&body, "%s\"a text to be embedded, number %d of many that come together\"", i ? "," : "", i);
    hone_buffer_puts(&body, "]}");
    for (int i = 0; i < N; i++) {
        askers[i] = (embedding_asker){.port = s.port, .body = &body};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_for_vectors, &askers[i]), 0);
    }
    usleep(100000);
    hone_server_stop(s.server, 0);
    int n_stopped = 0;
    for (int i = 0; i < N; i++) {
        pthread_join(askers[i].thread, NULL);
        int status = askers[i].answer.status;
        assert_true(status == 200 || status == 503 || status == 0); /* 0: had not been read when the server ended */
        n_stopped += status == 503;
        hone_buffer_clear(&askers[i].answer.body);
    }
    assert_true(n_stopped > 0);
    hone_buffer_clear(&body);
    hone_engine_close(s.engine);
}

static void test_more_than_can_wait_is_refused_and_not_dropped(void **state)
{
    (void)state;
    serving s;
    serving_start(&s);
    /* 8,192 answers may wait, 256 are begun; so of seven requests of 1,280 at least one is refused, at most two */
    enum { N = 7 };
    http_client clients[N];
    hone_buffer body = {0};
    hone_buffer_puts(&body, "{\"max_tokens\":3,\"n\":128,\"temperature\":2,\"prompt\":[");
    for (int i = 0; i < 10; i++)
        hone_buffer_printf(&body, "%s\"%d\"", i ? "," : "", i);
    hone_buffer_puts(&body, "]}");
    for (int i = 0; i < N; i++) {
        assert_true(http_client_open(&clients[i], s.port));
        assert_true(http_client_send(&clients[i], "POST", "/v1/completions", "", body.data, body.length));
    }
    int n_answered = 0, n_refused = 0;
    for (int i = 0; i < N; i++) {
        http_answer a;
        assert_true(http_client_read(&clients[i], &a));
        n_answered += a.status == 200;
        n_refused += a.status == 503 && strstr(a.body.data, "are waiting already; try again later");
        hone_buffer_clear(&a.body);
        http_client_close(&clients[i]);
    }
    print_message("%d answered, %d refused\n", n_answered, n_refused);
    assert_int_equal(n_answered + n_refused, N);
    assert_true(n_answered >= 6);
    hone_buffer_clear(&body);
    json_decref(serving_post(s.port, "/v1/completions", "{\"prompt\":\"y\",\"max_tokens\":2}", 200));
    serving_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_that_leaves_frees_its_places),
        cmocka_unit_test(test_a_client_that_does_not_read_holds_up_nobody),
        cmocka_unit_test(test_two_thousand_requests_with_cancels_leave_nothing_behind),
        cmocka_unit_test(test_stopping_finishes_what_is_under_way),
        cmocka_unit_test(test_stopping_at_once_answers_those_who_wait_for_vectors),
        cmocka_unit_test(test_more_than_can_wait_is_refused_and_not_dropped),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
