/* test_generate.c - what becomes of rows of logits: streamed text and stop strings across token borders, the
 * log-probabilities of prompt and answer, sampled answers in company.
 *
 * Stop strings are checked against a search in the whole text; log-probabilities of an answer against those of the
 * same tokens scored as a prompt. A tiny model with one token for each byte makes every character a border. */
#include "engine/internal.h"
#include "tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { PROMPT = 30, ANSWER = 60 };

static char model_path[256];
static hone_engine *engine;
static int32_t prompt[PROMPT];

static hone_engine *open_engine(int n_threads)
{
    hone_error err;
    hone_engine *e;
    hone_engine_options options = {.n_threads = n_threads, .cache_bytes = 8u << 20};
    if (hone_engine_open(model_path, &options, &e, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return e;
}

static int start(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.gguf"));
    if (tiny_model_write(model_path, &err) != HONE_OK)
        fail_msg("%s", err.message);
    engine = open_engine(2);
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (int32_t)hone_rng_below((hone_rng_key){9, HONE_RNG_TEST, 1}, (uint64_t)i, 256);
    return 0;
}

static int end(void **state)
{
    hone_engine_close(engine);
    return temporary_end(state);
}

/* ---- streamed text ---- */

/* The ids of `text` cut at random places: bytes here, the token "th" there. */
static void stream_text(const char *text, size_t length, const char *const *stops, size_t n_stops, hone_buffer *out,
                        bool *stopped)
{
    hone_token_list ids = {0};
    hone_text_stream *s;
    const hone_tokenizer *t = hone_engine_get_tokenizer(engine);
    assert_int_equal(hone_tokenizer_encode(t, text, length, false, &ids, NULL), HONE_OK);
    assert_int_equal(hone_text_stream_create(t, -1, stops, n_stops, &s, NULL), HONE_OK);
    const char *bytes;
    size_t n;
    *stopped = false;
    for (size_t i = 0; i < ids.n && !*stopped; i++) {
        *stopped = hone_text_stream_add(s, ids.data[i], &bytes, &n);
        hone_buffer_append(out, bytes, n);
        /* what was given out ends with a whole character wherever the text itself is valid */
        if (hone_utf8_valid(text, length, NULL))
            assert_true(out->length == 0 || hone_utf8_valid(out->data, out->length, NULL));
    }
    hone_text_stream_end(s, &bytes, &n);
    hone_buffer_append(out, bytes, n);
    assert_int_equal(hone_text_stream_final_bytes(s), out->length);
    hone_text_stream_free(s);
    hone_token_list_clear(&ids);
}

static void test_text_ends_before_the_first_stop_string_as_a_search_in_the_whole_text_says(void **state)
{
    (void)state;
    static const char *const sets[][3] = {
        {"ab"}, {"aab", "ba"}, {"abab", "b\n\nb"}, {"th", "hat"}, {"\xc3\xa9", "a\xf0\x9f\x99\x82"}, {"never there"},
    };
    static const char *const pieces[] = {"a", "b", "th", "\n", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "at"};
    size_t n_stopped = 0;
    for (uint32_t round = 0; round < 3000; round++) {
        hone_rng_key key = {4, HONE_RNG_TEST, round};
        char text[128];
        size_t length = 0, n_pieces = 1 + (size_t)hone_rng_below(key, 0, 14), n_stops = 0;
        for (size_t i = 0; i < n_pieces; i++) {
            const char *piece = pieces[hone_rng_below(key, 1 + i, 8)];
            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        }
        const char *const *stops = sets[round % 6];
        while (n_stops < 3 && stops[n_stops])
            n_stops++;
        size_t wanted = length;
        for (size_t i = 0; i < n_stops; i++) {
            const char *at = memmem(text, length, stops[i], strlen(stops[i]));
            if (at && (size_t)(at - text) < wanted)
                wanted = (size_t)(at - text);
        }
        hone_buffer out = {0};
        bool stopped;
        stream_text(text, length, stops, n_stops, &out, &stopped);
        n_stopped += stopped;
        assert_int_equal(stopped, wanted < length);
        assert_int_equal(out.length, wanted);
        assert_memory_equal(out.data ? out.data : "", text, wanted);
        hone_buffer_clear(&out);
    }
    assert_true(n_stopped > 500 && n_stopped < 2500);
}

static void test_bytes_are_given_out_as_soon_as_they_are_final(void **state)
{
    (void)state;
    const char *const stops[] = {"END"};
    hone_text_stream *s;
    const hone_tokenizer *t = hone_engine_get_tokenizer(engine);
    static const struct {
        const char *byte, *given;
    } steps[] = {
        {"x", "x"}, {"E", ""},  {"N", ""}, {"x", "ENx"}, {"\xe2", ""}, {"\x82", ""}, {"\xac", "\xe2\x82\xac"},
        {"E", ""},  {"E", "E"}, {"N", ""}, {"D", ""},
    };
    assert_int_equal(hone_text_stream_create(t, -1, stops, 1, &s, NULL), HONE_OK);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const char *bytes;
        size_t n;
        hone_token_list ids = {0};
        assert_int_equal(hone_tokenizer_encode(t, steps[i].byte, 1, false, &ids, NULL), HONE_OK);
        assert_int_equal(ids.n, 1);
        bool stopped = hone_text_stream_add(s, ids.data[0], &bytes, &n);
        assert_int_equal(stopped, i + 1 == sizeof steps / sizeof *steps);
        assert_int_equal(n, strlen(steps[i].given));
        assert_memory_equal(bytes, steps[i].given, n);
        hone_token_list_clear(&ids);
    }
    hone_text_stream_free(s);
}

static void test_bytes_that_are_no_character_pass(void **state)
{
    (void)state;
    const char text[] = "a\x80\xff\xc3(\xe2\x82";
    hone_buffer out = {0};
    bool stopped;
    stream_text(text, sizeof text - 1, NULL, 0, &out, &stopped);
    assert_false(stopped);
    assert_int_equal(out.length, sizeof text - 1);
    assert_memory_equal(out.data, text, out.length);
    hone_buffer_clear(&out);
}

static void test_stop_strings_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static char longer[HONE_MAX_STOP_BYTES + 2];
    memset(longer, 'x', sizeof longer - 1);
    const char *const empty[] = {"a", ""}, *const large[] = {longer};
    const char *many[HONE_MAX_STOPS + 1];
    for (size_t i = 0; i <= HONE_MAX_STOPS; i++)
        many[i] = "x";
    hone_error err;
    assert_int_equal(hone_stops_check(empty, 2, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "stop string 2 is empty"));
    assert_int_equal(hone_stops_check(large, 1, &err), HONE_BAD_INPUT);
    assert_int_equal(hone_stops_check(many, HONE_MAX_STOPS + 1, &err), HONE_BAD_INPUT);
    assert_int_equal(hone_stops_check(many, HONE_MAX_STOPS, &err), HONE_OK);
}

/* ---- answers ---- */

static void answer(hone_engine *e, const hone_request *r, hone_response *out)
{
    hone_error err;
    if (hone_engine_run(e, r, 1, out, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

static void test_an_answer_ends_before_its_stop_string(void **state)
{
    (void)state;
    hone_request r = {
        .ids = prompt, .n_ids = PROMPT, .max_new_tokens = ANSWER, .sampling = {.temperature = 1, .seed = 3}};
    hone_response whole, cut;
    answer(engine, &r, &whole);
    size_t length = strlen(whole.text);
    assert_true(length > 20);
    for (size_t from = 2; from + 3 <= length; from += 7) {
        char stop[4] = {0};
        memcpy(stop, whole.text + from, 3);
        const char *const stops[] = {"\x01 not there", stop};
        r.stops = stops;
        r.n_stops = 2;
        answer(engine, &r, &cut);
        size_t wanted = (size_t)(strstr(whole.text, stop) - whole.text);
        assert_int_equal(cut.finish, HONE_FINISH_STOP);
        assert_int_equal(cut.end_id, -1);
        assert_int_equal(strlen(cut.text), wanted);
        assert_memory_equal(cut.text, whole.text, wanted);
        assert_true(cut.n_ids < whole.n_ids || from + 3 == length);
        assert_memory_equal(cut.ids, whole.ids, cut.n_ids * sizeof *cut.ids);
        hone_response_clear(&cut);
    }
    hone_response_clear(&whole);
}

static void expect_same_bits(float a, float b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

/* Every position: its best tokens are in order, and one of them that is the token itself has the same float. */
static size_t check_top(const hone_top_token *top, int n, int32_t id, float logprob)
{
    size_t found = 0;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += exp((double)top[i].logprob);
        assert_true(i == 0 || top[i - 1].logprob >= top[i].logprob);
        if (top[i].id == id) {
            expect_same_bits(top[i].logprob, logprob);
            found++;
        } else if (top[i].logprob < logprob)
            assert_true(found); /* a less likely token stands here, so this one stood before it */
    }
    assert_true(sum <= 1 + 1e-6);
    return found;
}

static void test_log_probabilities_of_an_answer_are_those_of_the_same_tokens_as_a_prompt(void **state)
{
    (void)state;
    enum { TOP = 7 };
    hone_request r = {.ids = prompt,
                      .n_ids = PROMPT,
                      .max_new_tokens = ANSWER,
                      .sampling = {.temperature = 0.9, .seed = 11},
                      .want_prompt_logprobs = true,
                      .n_top_output = TOP,
                      .n_top_prompt = TOP};
    hone_response generated, scored;
    answer(engine, &r, &generated);
    size_t n = generated.n_ids, found = 0;
    assert_true(n > 10);
    assert_true(isnan(generated.prompt_logprobs[0]) && generated.top_prompt[0].id == -1);
    for (size_t i = 1; i < PROMPT; i++)
        check_top(generated.top_prompt + i * TOP, TOP, prompt[i], generated.prompt_logprobs[i]);
    for (size_t i = 0; i < n; i++)
        found += check_top(generated.top_output + i * TOP, TOP, generated.ids[i], generated.logprobs[i]);
    assert_true(found > 0);

    int32_t all[PROMPT + ANSWER + 1];
    memcpy(all, prompt, sizeof prompt);
    memcpy(all + PROMPT, generated.ids, n * sizeof *all);
    size_t n_all = PROMPT + n, rows = n;
    if (generated.end_id >= 0) {
        all[n_all++] = generated.end_id;
        rows++;
    }
    hone_request again = {.ids = all, .n_ids = n_all, .want_prompt_logprobs = true, .n_top_prompt = TOP, .n_top = TOP};
    answer(engine, &again, &scored);
    for (size_t i = 1; i < PROMPT; i++)
        expect_same_bits(scored.prompt_logprobs[i], generated.prompt_logprobs[i]);
    for (size_t i = 0; i < n; i++)
        expect_same_bits(scored.prompt_logprobs[PROMPT + i], generated.logprobs[i]);
    if (generated.end_id >= 0)
        expect_same_bits(scored.prompt_logprobs[PROMPT + n], generated.end_logprob);
    assert_memory_equal(scored.top_prompt + PROMPT * TOP, generated.top_output, rows * TOP * sizeof(hone_top_token));
    hone_response_clear(&generated);
    hone_response_clear(&scored);
}

static void test_sampled_answers_have_the_same_bits_in_any_company(void **state)
{
    (void)state;
    enum { N = 12 };
    static const hone_logit_bias bias[] = {{5, 3}, {257, -100}};
    hone_request r[N];
    hone_response alone[N], together[N];
    hone_engine *one = open_engine(1);
    for (int i = 0; i < N; i++) {
        r[i] = (hone_request){.ids = prompt,
                              .n_ids = (size_t)(PROMPT - i % 5),
                              .max_new_tokens = 20 + i,
                              .n_top_output = i % 3,
                              .sampling = {.temperature = i % 4 ? 0.5 + 0.2 * i : 0,
                                           .top_k = i % 3 == 1 ? 40 : 0,
                                           .top_p = i % 3 == 2 ? 0.9 : 0,
                                           .min_p = i % 5 == 1 ? 0.02 : 0,
                                           .typical_p = i % 5 == 3 ? 0.9 : 0,
                                           .repetition_penalty = i % 2 ? 1.2 : 0,
                                           .frequency_penalty = i % 7 == 2 ? 0.6 : 0,
                                           .logit_bias = bias,
                                           .n_logit_bias = i % 6 == 5 ? 2 : 0,
                                           .seed = 40,
                                           .stream = (uint32_t)i}};
        answer(one, &r[i], &alone[i]);
    }
    assert_int_equal(hone_engine_run(engine, r, N, together, NULL, NULL), HONE_OK);
    size_t n_different = 0;
    for (int i = 0; i < N; i++) {
        assert_int_equal(alone[i].n_ids, together[i].n_ids);
        assert_int_equal(alone[i].end_id, together[i].end_id);
        assert_memory_equal(alone[i].ids, together[i].ids, alone[i].n_ids * sizeof(int32_t));
        assert_memory_equal(alone[i].logprobs, together[i].logprobs, alone[i].n_ids * sizeof(float));
        assert_string_equal(alone[i].text, together[i].text);
        n_different += i > 0 && strcmp(alone[i].text, alone[i - 1].text) != 0;
    }
    assert_true(n_different > N / 2);
    for (int i = 0; i < N; i++) {
        hone_response_clear(&alone[i]);
        hone_response_clear(&together[i]);
    }
    hone_engine_close(one);
}

static void test_requests_that_cannot_be_sampled_are_refused(void **state)
{
    (void)state;
    hone_request r = {.ids = prompt, .n_ids = PROMPT, .max_new_tokens = 2};
    const char *const empty[] = {""};
    hone_logit_bias far = {TINY_VOCAB, 1};
    hone_request cases[5] = {r, r, r, r, r};
    static const char *const words[] = {"21 top tokens", "without its log-prob", "min-p 7", "empty", "0 to 259"};
    cases[0].n_top_output = 21;
    cases[1].n_top_prompt = 2;
    cases[2].sampling.min_p = 7;
    cases[3].stops = empty;
    cases[3].n_stops = 1;
    cases[4].sampling.logit_bias = &far;
    cases[4].sampling.n_logit_bias = 1;
    for (int i = 0; i < 5; i++) {
        hone_error err;
        hone_response out;
        assert_int_equal(hone_engine_run(engine, &cases[i], 1, &out, NULL, &err), HONE_BAD_INPUT);
        if (!strstr(err.message, words[i]))
            fail_msg("\"%s\" does not say \"%s\"", err.message, words[i]);
        hone_response_clear(&out);
    }
}

static hone_status open_with(tiny_more more, hone_engine **e, hone_error *err)
{
    const char *path = temporary_path("odd.gguf");
    assert_int_equal(tiny_model_write_with(path, NULL, false, more, err), HONE_OK);
    hone_engine_options options = {.n_threads = 1, .cache_bytes = 8u << 20};
    return hone_engine_open(path, &options, e, err);
}

/* Embeddings are often padded with rows that no token has: with twenty times as many, the greatest logit is one of
 * theirs nearly always. */
static void test_rows_of_the_embedding_that_are_no_token_are_never_offered(void **state)
{
    (void)state;
    hone_engine *odd;
    hone_error err;
    if (open_with((tiny_more){.rows_more = 20 * TINY_VOCAB}, &odd, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (int sampled = 0; sampled < 2; sampled++) {
        hone_response out;
        hone_request r = {.ids = prompt, .n_ids = PROMPT, .max_new_tokens = 20, .n_top = 20, .n_top_output = 20};
        r.sampling.temperature = sampled;
        if (hone_engine_run(odd, &r, 1, &out, NULL, &err) != HONE_OK)
            fail_msg("%s", err.message);
        assert_true(out.n_ids > 0);
        double top = 0;
        for (size_t i = 0; i < 20; i++) {
            assert_in_range(out.top[i].id, 0, TINY_VOCAB - 1);
            assert_in_range(out.top_output[i].id, 0, TINY_VOCAB - 1);
            top += exp((double)out.top[i].logprob);
        }
        assert_true(top > 0 && top < 0.9); /* the rows that are no token keep their part of the probability */
        for (size_t i = 0; i < out.n_ids; i++)
            assert_in_range(out.ids[i], 0, TINY_VOCAB - 1);
        hone_response_clear(&out);
    }
    int32_t no_token = TINY_VOCAB;
    hone_response out;
    hone_request r = {.ids = &no_token, .n_ids = 1, .n_top = 1};
    assert_int_equal(hone_engine_run(odd, &r, 1, &out, NULL, &err), HONE_BAD_INPUT);
    hone_engine_close(odd);
}

/* A SentencePiece vocabulary puts a space before every text. An answer that is a text by itself loses it again; one
 * that goes on in the prompt's text keeps its space, unless a special token stands before it. */
static void test_an_answer_that_goes_on_in_the_prompt_keeps_its_space(void **state)
{
    (void)state;
    enum { BOS = 1, X = 3 + 'x' };
    static const struct {
        int32_t last;
        bool continues;
        const char *text;
    } cases[] = {{X, true, " th th"}, {X, false, "th th"}, {BOS, true, "th th"}, {TINY_SPACE_TH, true, " th th"}};
    hone_engine *spm;
    hone_error err;
    if (open_with((tiny_more){.sentencepiece = true}, &spm, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const hone_logit_bias only_th = {TINY_SPACE_TH, 100};
        static const char *const stops[] = {"never"};
        int32_t ids[] = {BOS, X, cases[i].last};
        for (size_t n_stops = 0; n_stops < 2; n_stops++) { /* with and without a stream of the text */
            hone_buffer streamed = {0};
            hone_text_stream *s;
            const char *bytes;
            size_t n;
            hone_response out;
            hone_request r = {.ids = ids,
                              .n_ids = 3,
                              .max_new_tokens = 2,
                              .continues = cases[i].continues,
                              .sampling = {.logit_bias = &only_th, .n_logit_bias = 1},
                              .stops = stops,
                              .n_stops = n_stops};
            if (hone_engine_run(spm, &r, 1, &out, NULL, &err) != HONE_OK)
                fail_msg("%s", err.message);
            assert_string_equal(out.text, cases[i].text);
            assert_int_equal(hone_text_stream_create(hone_engine_get_tokenizer(spm), hone_request_text_after(&r), stops,
                                                     n_stops, &s, NULL),
                             HONE_OK);
            for (size_t k = 0; k < out.n_ids; k++) {
                hone_text_stream_add(s, out.ids[k], &bytes, &n);
                hone_buffer_append(&streamed, bytes, n);
            }
            hone_text_stream_end(s, &bytes, &n);
            hone_buffer_append(&streamed, bytes, n);
            assert_int_equal(streamed.length, strlen(cases[i].text));
            assert_memory_equal(streamed.data, cases[i].text, streamed.length);
            hone_buffer_clear(&streamed);
            hone_text_stream_free(s);
            hone_response_clear(&out);
        }
    }
    hone_engine_close(spm);
}

static void test_stretched_rotary_frequencies_are_refused_and_not_left_out(void **state)
{
    (void)state;
    hone_engine *odd;
    hone_error err;
    assert_int_equal(open_with((tiny_more){.rope_factor = 8}, &odd, &err), HONE_UNSUPPORTED);
    assert_non_null(strstr(err.message, "rope_freqs.weight"));
    assert_int_equal(open_with((tiny_more){.rope_factor = 1}, &odd, &err), HONE_OK);
    hone_engine_close(odd);
}

static void test_an_adapter_of_a_higher_rank_than_the_workspace_has_is_refused(void **state)
{
    (void)state;
    hone_adapter *a;
    hone_error err;
    hone_response out;
    assert_int_equal(hone_adapter_create(&hone_engine_get_model(engine)->config, 4, 8, &a, &err), HONE_OK);
    a->rank = HONE_MAX_ADAPTER_RANK + 1;
    hone_request r = {.ids = prompt, .n_ids = PROMPT, .n_top = 1, .adapter = a};
    assert_int_equal(hone_engine_run(engine, &r, 1, &out, NULL, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "rank 257; the engine computes ranks up to 256"));
    hone_adapter_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_ends_before_the_first_stop_string_as_a_search_in_the_whole_text_says),
        cmocka_unit_test(test_bytes_are_given_out_as_soon_as_they_are_final),
        cmocka_unit_test(test_bytes_that_are_no_character_pass),
        cmocka_unit_test(test_stop_strings_that_cannot_be_are_refused),
        cmocka_unit_test(test_an_answer_ends_before_its_stop_string),
        cmocka_unit_test(test_log_probabilities_of_an_answer_are_those_of_the_same_tokens_as_a_prompt),
        cmocka_unit_test(test_sampled_answers_have_the_same_bits_in_any_company),
        cmocka_unit_test(test_requests_that_cannot_be_sampled_are_refused),
        cmocka_unit_test(test_rows_of_the_embedding_that_are_no_token_are_never_offered),
        cmocka_unit_test(test_an_answer_that_goes_on_in_the_prompt_keeps_its_space),
        cmocka_unit_test(test_stretched_rotary_frequencies_are_refused_and_not_left_out),
        cmocka_unit_test(test_an_adapter_of_a_higher_rank_than_the_workspace_has_is_refused),
    };
    return cmocka_run_group_tests(tests, start, end);
}
