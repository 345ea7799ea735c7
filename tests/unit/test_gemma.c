/* test_gemma.c - Gemma 3 270M (Q4_K_M) against what transformers computed from the same weights expanded to float32
 * (tests/data/oracle_gemma3.json says which versions), and its bits with other company, threads and caches.
 *
 * The limits are those of shared/oracle/README.md: log-probabilities within 1e-3 at worst and 1e-4 on average. For
 * scale: llama.cpp with weights in float32 is within 1.4e-2 and 7e-4 of the same values (its GELU is a table in half
 * precision). The long text is wider than the model's window of 512 positions. */
#include "engine/engine.h"
#include "numbers.h"
#include "real_model.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX_IDS = 1024, MAX_SEQUENCES = 8, GREEDY = 24 };

static hone_engine *engine;
static json_t *oracle;

typedef struct sequence {
    int32_t ids[MAX_IDS];
    size_t n;
} sequence;

static sequence read_ids(const json_t *array)
{
    sequence s = {.n = json_array_size(array)};
    assert_true(s.n <= MAX_IDS);
    for (size_t i = 0; i < s.n; i++)
        s.ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return s;
}

static json_t *entry_of(const char *name, size_t i)
{
    return json_array_get(json_object_get(oracle, name), i);
}

static void run(hone_engine *on, const hone_request *requests, size_t n, hone_response *responses)
{
    hone_error err;
    if (hone_engine_run(on, requests, n, responses, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

typedef struct distance {
    double worst, sum;
    int n;
} distance;

static void compare(const json_t *entry, const hone_response *got, distance *d)
{
    json_t *expected = json_object_get(entry, "token_logprobs");
    for (size_t i = 1; i < json_array_size(expected); i++, d->n++) {
        double off = fabs((double)got->prompt_logprobs[i] - json_number_value(json_array_get(expected, i)));
        d->worst = off > d->worst || isnan(off) ? off : d->worst;
        d->sum += off;
    }
}

static void check_distance(const char *what, const distance *d)
{
    print_message("%s: %d log-probabilities off by %.1e on average, %.1e at worst\n", what, d->n, d->sum / d->n,
                  d->worst);
    assert_true(d->worst <= 1e-3 && d->sum / d->n <= 1e-4);
}

/* A model without a template ends its answers at a blank line too; transformers went on, so the engine is asked again
 * from there. */
static void check_greedy(size_t index, const sequence *prompt, const hone_response *first, const sequence *expected)
{
    sequence s = *prompt;
    hone_response more = *first;
    assert_int_equal(expected->n, GREEDY);
    for (bool again = false;; again = true) {
        for (size_t j = 0; j < more.n_ids; j++, s.n++) {
            s.ids[s.n] = more.ids[j];
            if (more.ids[j] != expected->ids[s.n - prompt->n])
                fail_msg("sequence %zu: token %zu is %d, transformers says %d", index, s.n - prompt->n, more.ids[j],
                         expected->ids[s.n - prompt->n]);
        }
        if (again)
            hone_response_clear(&more);
        if (s.n == prompt->n + GREEDY)
            return;
        hone_request request = {.ids = s.ids, .n_ids = s.n, .max_new_tokens = (int)(prompt->n + GREEDY - s.n)};
        run(engine, &request, 1, &more);
        assert_true(more.n_ids > 0);
    }
}

static void test_log_probabilities_and_greedy_answers_agree_with_transformers(void **state)
{
    (void)state;
    size_t n = json_array_size(json_object_get(oracle, "sequences"));
    sequence s[MAX_SEQUENCES];
    hone_request requests[MAX_SEQUENCES] = {0};
    hone_response responses[MAX_SEQUENCES];
    distance d = {0};
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        s[i] = read_ids(json_object_get(entry_of("sequences", i), "ids"));
        requests[i] = (hone_request){
            .ids = s[i].ids, .n_ids = s[i].n, .max_new_tokens = GREEDY, .want_prompt_logprobs = true, .n_top = 10};
    }
    run(engine, requests, n, responses);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = entry_of("sequences", i), *top = json_object_get(entry, "next_top10");
        sequence greedy = read_ids(json_object_get(entry, "greedy_24"));
        compare(entry, &responses[i], &d);
        for (size_t j = 0; j < 10; j++) {
            const json_t *pair = json_array_get(top, j);
            assert_int_equal(responses[i].top[j].id, json_integer_value(json_array_get(pair, 0)));
            assert_true(fabs((double)responses[i].top[j].logprob - json_number_value(json_array_get(pair, 1))) < 1e-3);
        }
        check_greedy(i, &s[i], &responses[i], &greedy);
        hone_response_clear(&responses[i]);
    }
    check_distance("short texts", &d);
}

static void test_a_text_wider_than_the_window_agrees_with_transformers(void **state)
{
    (void)state;
    const json_t *entry = entry_of("long", 0);
    sequence s = read_ids(json_object_get(entry, "ids"));
    hone_request request = {.ids = s.ids, .n_ids = s.n, .want_prompt_logprobs = true};
    hone_response response;
    distance d = {0};
    assert_true(s.n > 600);
    run(engine, &request, 1, &response);
    compare(entry, &response, &d);
    check_distance("long text", &d);
    hone_response_clear(&response);
}

/* The long text in company, on another number of threads, after its beginning came from the cache, and with the other
 * kernels that this machine has: the same log-probability of its last tokens, bit for bit. */
static void test_bits_do_not_depend_on_company_threads_or_cache(void **state)
{
    (void)state;
    enum { TAIL = 40, N = 3 };
    sequence s = read_ids(json_object_get(entry_of("long", 0), "ids"));
    int64_t from = (int64_t)s.n - TAIL;
    hone_request last = {
        .ids = s.ids, .n_ids = s.n, .want_prompt_logprobs = true, .logprobs_from = from, .max_new_tokens = 4};
    hone_response alone, cached, together[N];
    hone_engine_clear_cache(engine);
    run(engine, &last, 1, &alone);
    assert_int_equal(alone.tokens_cached, 0);
    run(engine, &last, 1, &cached);
    assert_true(cached.tokens_cached > 512);
    assert_true(same_bits(alone.prompt_logprobs + from, cached.prompt_logprobs + from, TAIL));
    hone_request requests[N];
    for (size_t i = 0; i < N; i++) { /* others end elsewhere and go on generating */
        requests[i] = last;
        if (i != 1)
            requests[i] = (hone_request){.ids = s.ids + i, .n_ids = 70 + 31 * i, .max_new_tokens = 5};
    }
    /* other kernels: scalar ones would take a minute, but test_kernels.c holds all to their bits */
    hone_error err;
    hone_engine *other;
    setenv("HONE_CPU", "avx2", 1);
    if (hone_engine_open(hone_test_gemma(), &(hone_engine_options){.n_threads = 1}, &other, &err) != HONE_OK)
        fail_msg("%s", err.message);
    run(other, requests, N, together);
    assert_true(same_bits(alone.prompt_logprobs + from, together[1].prompt_logprobs + from, TAIL));
    assert_int_equal(together[1].n_ids, alone.n_ids);
    assert_memory_equal(together[1].ids, alone.ids, alone.n_ids * sizeof *alone.ids);
    assert_true(same_bits(together[1].logprobs, alone.logprobs, (int64_t)alone.n_ids));
    for (size_t j = 0; j < N; j++)
        hone_response_clear(&together[j]);
    hone_engine_close(other);
    unsetenv("HONE_CPU");
    hone_response_clear(&alone);
    hone_response_clear(&cached);
}

static int open_all(void **state)
{
    (void)state;
    hone_error err;
    json_error_t where;
    oracle = json_load_file(HONE_SOURCE_DIR "/tests/data/oracle_gemma3.json", 0, &where);
    if (!oracle || hone_engine_open(hone_test_gemma(), NULL, &engine, &err) != HONE_OK) {
        print_error("%s\n", oracle ? err.message : where.text);
        return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    hone_engine_close(engine);
    json_decref(oracle);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_probabilities_and_greedy_answers_agree_with_transformers),
        cmocka_unit_test(test_a_text_wider_than_the_window_agrees_with_transformers),
        cmocka_unit_test(test_bits_do_not_depend_on_company_threads_or_cache),
    };
    if (!hone_test_gemma())
        return 0;
#if defined(__SANITIZE_ADDRESS__)
    fprintf(stderr, "under the address sanitizer: only the first of %zu tests\n", sizeof tests / sizeof *tests);
    return cmocka_run_group_tests_name("gemma", (const struct CMUnitTest[]){tests[0]}, open_all, close_all);
#else
    return cmocka_run_group_tests(tests, open_all, close_all);
#endif
}
