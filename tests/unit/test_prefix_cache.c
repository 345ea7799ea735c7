/* test_prefix_cache.c - what is kept of prompts: found to the token, told apart by parent, adapter and scale, evicted
 * from the end of a way; answers have the bits of those computed without it.
 *
 * Expected values come from requests computed alone in a fresh engine, and of the table of pages from its description.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine_rig.h"

/* ---- cached prefixes ---- */
static void test_what_two_prompts_begin_with_is_computed_once_to_the_token(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(2, 64);
    hone_response a, b, alone;
    hone_request first = {.ids = prompts[1], .n_ids = 60, .max_new_tokens = 4},
                 second = {.ids = prompts[3], .n_ids = 60, .max_new_tokens = 4}; /* COMMON tokens like the first */
    assert_int_equal(hone_engine_run(engine, &second, 1, &alone, NULL, NULL), HONE_OK);
    hone_engine_clear_cache(engine);
    assert_int_equal(hone_engine_run(engine, &first, 1, &a, NULL, NULL), HONE_OK);
    assert_int_equal(a.tokens_cached, 0);
    assert_int_equal(hone_engine_run(engine, &second, 1, &b, NULL, NULL), HONE_OK);
    assert_int_equal(b.tokens_cached, COMMON); /* two pages of 16 and 8 tokens of the third */
    assert_same(&b, &alone, &second);
    hone_response_clear(&b);
    assert_int_equal(hone_engine_run(engine, &second, 1, &b, NULL, NULL), HONE_OK);
    assert_int_equal(b.tokens_cached, 59); /* all but the last, whose logits are wanted */
    assert_same(&b, &alone, &second);
    assert_int_equal(hone_page_cache_available(engine->pages), 64);
    hone_response_clear(&a);
    hone_response_clear(&b);
    hone_response_clear(&alone);
    hone_engine_close(engine);
}

/* Log-probabilities wanted from the 50th token on: those before may come from the cache. */
static void test_a_continuation_has_the_log_probabilities_of_the_whole_prompt(void **state)
{
    (void)state;
    enum { FROM = 50 };
    hone_engine *engine = open_engine(2, 64);
    hone_response whole, other, part;
    hone_request r = {.ids = prompts[1], .n_ids = PROMPT, .want_prompt_logprobs = true, .n_top_prompt = 2};
    assert_int_equal(hone_engine_run(engine, &r, 1, &whole, NULL, NULL), HONE_OK);
    hone_engine_clear_cache(engine);
    hone_request begins_alike = {.ids = prompts[3], .n_ids = PROMPT, .max_new_tokens = 1};
    assert_int_equal(hone_engine_run(engine, &begins_alike, 1, &other, NULL, NULL), HONE_OK);
    for (int round = 0; round < 2; round++) {
        static const int64_t cached[] = {COMMON, FROM - 1};
        r.logprobs_from = FROM;
        assert_int_equal(hone_engine_run(engine, &r, 1, &part, NULL, NULL), HONE_OK);
        assert_int_equal(part.tokens_cached, cached[round]);
        for (int i = 0; i < FROM; i++)
            assert_true(isnan(part.prompt_logprobs[i]) && part.top_prompt[2 * i].id == -1);
        assert_true(same_bits(part.prompt_logprobs + FROM, whole.prompt_logprobs + FROM, PROMPT - FROM));
        assert_memory_equal(part.top_prompt + 2 * FROM, whole.top_prompt + 2 * FROM,
                            2 * (PROMPT - FROM) * sizeof *part.top_prompt);
        hone_response_clear(&part);
    }
    hone_error err;
    r.logprobs_from = PROMPT + 1;
    assert_int_equal(hone_engine_run(engine, &r, 1, &part, NULL, &err), HONE_BAD_INPUT);
    assert_says(err, "from position 71 of a prompt of 70 tokens");
    hone_response_clear(&whole);
    hone_response_clear(&other);
    hone_engine_close(engine);
}

/* Twelve pages for requests of five each, half of which begin with the same 40 tokens. */
static void test_a_small_cache_under_pressure_gives_the_same_bits_and_keeps_what_is_used(void **state)
{
    (void)state;
    enum { ROUNDS = 6 };
    reference alone;
    compute_alone(&alone);
    hone_engine *engine = open_engine(1, 12);
    int64_t found = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < N_REQUESTS; i++) {
            hone_response response;
            hone_request r = make_request(i, NULL);
            if (i % 4 == 2) /* a choice */
                continue;
            assert_int_equal(hone_engine_run(engine, &r, 1, &response, NULL, NULL), HONE_OK);
            assert_same(&response, &alone.responses[i], &r);
            if (i % 4 == 3 && round > 0) /* begins like another of the last few */
                found += response.tokens_cached >= 32;
            hone_response_clear(&response);
        }
    assert_int_equal(found, (ROUNDS - 1) * N_REQUESTS / 4);
    assert_true(hone_engine_get_statistics(engine).evicted_pages > 20);
    assert_int_equal(hone_page_cache_available(engine->pages), 12);
    clear_responses(alone.responses, N_REQUESTS);
    hone_engine_close(engine);
}

static void test_pages_are_found_by_parent_adapter_and_tokens(void **state)
{
    (void)state;
    enum { T = 4 };
    hone_page_cache *cache;
    int32_t pages[3], a, b, c;
    static const int32_t tokens[] = {7, 7, 7, 7, 7, 7, 7, 7, 1, 2, 9, 9};
    assert_int_equal(hone_page_cache_create(3, T, &cache, NULL), HONE_OK);
    a = hone_page_cache_take(cache);
    b = hone_page_cache_take(cache);
    c = hone_page_cache_take(cache);
    assert_int_equal(hone_page_cache_take(cache), -1);
    uint64_t at_a = hone_page_cache_register(cache, a, 0, 5, tokens, T),
             at_b = hone_page_cache_register(cache, b, at_a, 5, tokens + 4, T); /* the same tokens, one page further */
    assert_true(at_a != at_b);
    hone_page_cache_register(cache, c, at_b, 5, tokens + 8, 3);
    hone_page_cache_release(cache, c);
    hone_page_cache_release(cache, b);
    hone_page_cache_release(cache, a);
    hone_page_match m = hone_page_cache_match(cache, 6, tokens, 12, 3, pages); /* another adapter */
    assert_true(m.n_pages == 0 && m.part == -1);
    m = hone_page_cache_match(cache, 5, tokens + 1, 7, 3,
                              pages); /* 7 7 7 7 | 7 7 7: whole, and the beginning of the next */
    assert_true(m.n_pages == 1 && pages[0] == a && m.part == b && m.part_tokens == 3);
    assert_int_equal(hone_page_cache_available(cache), 1);
    hone_page_cache_release(cache, b);
    hone_page_cache_release(cache, a);
    m = hone_page_cache_match(cache, 5, tokens, 12, 3, pages);
    assert_true(m.n_pages == 2 && pages[0] == a && pages[1] == b && m.part == c && m.part_tokens == 3);
    hone_page_cache_release(cache, c);
    hone_page_cache_release(cache, b);
    hone_page_cache_release(cache, a);
    assert_int_equal(hone_page_cache_take(cache), c); /* the longest unused, and a way's end before its beginning */
    m = hone_page_cache_match(cache, 5, tokens, 12, 3, pages);
    assert_true(m.n_pages == 2 && m.part == -1);
    assert_int_equal(hone_page_cache_evicted(cache), 1);
    hone_page_cache_free(cache);
}

/* The same numbers at another alpha are another adapter. */
static void test_the_cache_tells_adapters_apart_by_content_and_scale(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(2, 64);
    hone_adapter *adapters[] = {NULL, add_adapter(engine, 3, 6, 11), add_adapter(engine, 3, 9, 11),
                                add_adapter(engine, 3, 6, 12), add_adapter(engine, 3, 6, 11)};
    hone_response cold[5], warm;
    for (int i = 0; i < 5; i++) {
        hone_request r = {
            .ids = prompts[1], .n_ids = 60, .adapter = adapters[i], .want_prompt_logprobs = true, .logprobs_from = 59};
        hone_engine_clear_cache(engine);
        assert_int_equal(hone_engine_run(engine, &r, 1, &cold[i], NULL, NULL), HONE_OK);
    }
    hone_engine_clear_cache(engine);
    for (int i = 0; i < 5; i++) {
        hone_request r = {
            .ids = prompts[1], .n_ids = 60, .adapter = adapters[i], .want_prompt_logprobs = true, .logprobs_from = 59};
        assert_int_equal(hone_engine_run(engine, &r, 1, &warm, NULL, NULL), HONE_OK);
        assert_int_equal(warm.tokens_cached, i == 4 ? 58 : 0); /* the last is equal to the second */
        assert_true(same_bits(warm.prompt_logprobs + 59, cold[i].prompt_logprobs + 59, 1));
        hone_response_clear(&warm);
        for (int j = 0; j < i && i < 4; j++)
            assert_true(cold[i].prompt_logprobs[59] != cold[j].prompt_logprobs[59]);
    }
    hone_error err;
    hone_request unknown = {.ids = prompts[1], .n_ids = 60, .adapter = adapters[1], .max_new_tokens = 1};
    adapters[1]->hash[0] = 0;
    assert_int_equal(hone_engine_run(engine, &unknown, 1, &warm, NULL, &err), HONE_BAD_INPUT);
    assert_says(err, "no hash");
    clear_responses(cold, 5);
    hone_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_two_prompts_begin_with_is_computed_once_to_the_token),
        cmocka_unit_test(test_a_continuation_has_the_log_probabilities_of_the_whole_prompt),
        cmocka_unit_test(test_a_small_cache_under_pressure_gives_the_same_bits_and_keeps_what_is_used),
        cmocka_unit_test(test_pages_are_found_by_parent_adapter_and_tokens),
        cmocka_unit_test(test_the_cache_tells_adapters_apart_by_content_and_scale),
    };
    int failed = cmocka_run_group_tests_name("prefix cache", tests, engine_rig_begin, temporary_end);
    numerics = HONE_NUMERICS_BF16;
    return failed + cmocka_run_group_tests_name("prefix cache, bf16", tests, engine_rig_begin, temporary_end);
}
