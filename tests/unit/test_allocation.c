/* test_allocation.c - a step allocates nothing: what a request needs is taken when it is submitted, what a step needs
 * when the engine is opened. The C library's allocation functions are replaced here by ones that count. */
#include "engine/engine.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
int main(void)
{
    fprintf(stderr, "skipped: sanitizers replace the allocation functions themselves\n");
    return 0;
}
#else

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static atomic_long n_allocations;

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    n_allocations++;
    return __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t bytes)
{
    n_allocations++;
    return __libc_calloc(n, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t bytes)
{
    n_allocations++;
    return __libc_realloc(old, bytes);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t bytes)
{
    n_allocations++;
    return __libc_memalign(alignment, bytes);
}

enum { N = 8, PROMPT = 40, NEW = 60 };
static const char *const labels[] = {"card arrival", "card linking", "exchange fee", "cash is late"};

static void test_the_counter_counts(void **state)
{
    (void)state;
    long before = n_allocations;
    void *volatile p = malloc(10);
    void *volatile q = calloc(1, 10);
    p = realloc(p, 100000);
    free(p);
    free(q);
    q = aligned_alloc(64, 128);
    free(q);
    assert_int_equal(n_allocations - before, 4);
}

/* Reading prompts, decoding greedily and by sampling with every setting, stop strings, a search among labels, and a
 * prompt that is found in the cache. Only where an answer ends may its text be allocated. */
static void test_a_step_allocates_nothing(void **state)
{
    (void)state;
    hone_error err;
    hone_engine *engine;
    hone_choices *choices;
    hone_engine_options options = {.n_threads = 2, .max_batch_rows = 64};
    const char *path = temporary_path("tiny.gguf");
    assert_int_equal(tiny_model_write(path, &err), HONE_OK);
    assert_int_equal(hone_engine_open(path, &options, &engine, &err), HONE_OK);
    assert_int_equal(hone_engine_create_choices(engine, labels, 4, &choices, &err), HONE_OK);
    static int32_t ids[N][PROMPT];
    static const char *const stops[] = {"never to be written by this model", "\x01\x02\x03"};
    hone_request requests[N];
    hone_response responses[N];
    hone_ticket *tickets[N];
    for (int i = 0; i < N; i++) {
        for (int t = 0; t < PROMPT; t++)
            ids[i][t] = (i % 4 * 37 + t * 11) % 256; /* the second four begin like the first */
        requests[i] = (hone_request){.ids = ids[i], .n_ids = PROMPT, .max_new_tokens = NEW, .n_top_output = 3};
        requests[i].sampling.temperature = i % 3 == 1 ? 1 : 0;
        if (i % 4 == 2) {
            requests[i].stops = stops;
            requests[i].n_stops = 2;
        }
        if (i % 4 == 3)
            requests[i].choices = choices;
        assert_int_equal(hone_engine_submit(engine, &requests[i], &responses[i], &tickets[i], &err), HONE_OK);
    }
    int n_steps = 0, n_done = 0, n_quiet = 0;
    for (bool idle = false; !idle; n_steps++) {
        long before = n_allocations;
        assert_int_equal(hone_engine_step(engine, &idle, &err), HONE_OK);
        long during = n_allocations - before;
        int done = 0;
        for (int i = 0; i < N; i++)
            done += hone_ticket_is_done(tickets[i]);
        if (done == n_done) {
            n_quiet++;
            if (during != 0)
                fail_msg("step %d made %ld allocations", n_steps, during);
        }
        n_done = done;
    }
    assert_int_equal(n_done, N);
    assert_true(n_quiet > NEW / 2);
    for (int i = 0; i < N; i++) {
        hone_engine_close_ticket(engine, tickets[i]);
        hone_response_clear(&responses[i]);
    }
    hone_choices_free(choices);
    hone_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_counter_counts),
        cmocka_unit_test(test_a_step_allocates_nothing),
    };
    return cmocka_run_group_tests_name("allocation", tests, temporary_begin, temporary_end);
}
#endif
