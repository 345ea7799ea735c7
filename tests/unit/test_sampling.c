/* test_sampling.c - from a row of logits to a token: each step of the chain against transformers' logits processors
 * (tests/data/sampling_cases.json, recorded by tools/make_sampling_cases.py) and against distributions computed by
 * hand; draws against the distribution they come from; settings that are refused. */
#include "base/file.h"
#include "base/rng.h"
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

static json_t *document;
static hone_ops *ops;

static int open_cases(void **state)
{
    (void)state;
    json_error_t where;
    document = json_load_file(HONE_SOURCE_DIR "/tests/data/sampling_cases.json", 0, &where);
    return document && hone_ops_create(1, &ops, NULL) == HONE_OK ? 0 : -1;
}

static int close_cases(void **state)
{
    (void)state;
    json_decref(document);
    hone_ops_free(ops);
    return 0;
}

/* The probabilities of all n_vocab tokens, 0 where a token was left out. */
static void distribution(hone_sampler *sampler, const hone_sampling *s, const hone_token_history *h,
                         const float *logits, size_t n_vocab, double *p)
{
    size_t n;
    double total;
    const hone_candidate *c = hone_sampler_distribution(sampler, s, h, logits, &n, &total);
    memset(p, 0, n_vocab * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        assert_true(p[c[i].id] == 0); /* no token twice */
        p[c[i].id] = c[i].weight / total;
    }
}

static double number(const json_t *settings, const char *key)
{
    return json_number_value(json_object_get(settings, key));
}

static void test_each_step_leaves_what_transformers_leaves(void **state)
{
    (void)state;
    const json_t *c;
    size_t i, n_compared = 0;
    json_array_foreach(json_object_get(document, "cases"), i, c)
    {
        const json_t *settings = json_object_get(c, "settings"), *units = json_object_get(c, "logits"),
                     *ids = json_object_get(c, "ids"), *p = json_object_get(c, "p");
        size_t n_vocab = json_array_size(units), n_bias = 0;
        float logits[200];
        double got[200];
        hone_logit_bias bias[8];
        const char *key;
        const json_t *value;
        json_object_foreach(json_object_get(settings, "logit_bias"), key, value) bias[n_bias++] =
            (hone_logit_bias){atoi(key), (float)json_number_value(value)};
        hone_sampling s = {.temperature = number(settings, "temperature"),
                           .top_k = (int)number(settings, "top_k"),
                           .top_p = number(settings, "top_p"),
                           .min_p = number(settings, "min_p"),
                           .typical_p = number(settings, "typical_p"),
                           .repetition_penalty = number(settings, "repetition_penalty"),
                           .logit_bias = bias,
                           .n_logit_bias = n_bias};
        assert_true(n_vocab <= 200);
        for (size_t t = 0; t < n_vocab; t++)
            logits[t] = (float)json_integer_value(json_array_get(units, t)) / 65536;
        int32_t prompt[16];
        const json_t *prompt_ids = json_object_get(c, "prompt"), *answer = json_object_get(c, "answer");
        for (size_t t = 0; t < json_array_size(prompt_ids); t++)
            prompt[t] = (int32_t)json_integer_value(json_array_get(prompt_ids, t));
        hone_token_history h;
        hone_sampler *sampler;
        assert_int_equal(hone_sampling_check(&s, (int64_t)n_vocab, NULL), HONE_OK);
        assert_int_equal(hone_sampler_create(ops, (int64_t)n_vocab, &sampler, NULL), HONE_OK);
        assert_int_equal(hone_token_history_init(&h, &s, (int64_t)n_vocab, prompt, json_array_size(prompt_ids),
                                                 json_array_size(answer), NULL),
                         HONE_OK);
        for (size_t t = 0; t < json_array_size(answer); t++)
            hone_token_history_add(&h, (int32_t)json_integer_value(json_array_get(answer, t)));
        distribution(sampler, &s, &h, logits, n_vocab, got);
        size_t n_kept = 0;
        for (size_t t = 0; t < n_vocab; t++)
            n_kept += got[t] > 0;
        if (n_kept != (size_t)json_integer_value(json_object_get(c, "n_kept")))
            fail_msg("case %zu: %zu tokens are left, transformers leaves %lld", i + 1, n_kept,
                     (long long)json_integer_value(json_object_get(c, "n_kept")));
        for (size_t t = 0; t < json_array_size(ids); t++) {
            double wanted = json_real_value(json_array_get(p, t));
            double mine = got[json_integer_value(json_array_get(ids, t))];
            if (!(fabs(mine - wanted) <= 2e-6 * wanted + 1e-12)) /* they compute in single precision */
                fail_msg("case %zu: p of token %lld is %.9g, transformers has %.9g", i + 1,
                         (long long)json_integer_value(json_array_get(ids, t)), mine, wanted);
            n_compared++;
        }
        hone_token_history_clear(&h);
        hone_sampler_free(sampler);
    }
    print_message("%zu probabilities as in %s\n", n_compared, json_string_value(json_object_get(document, "source")));
    assert_true(n_compared > 500);
}

/* ---- by hand: p = 0.4 0.3 0.2 0.06 0.04 for ids 2 0 3 1 4 ---- */

enum { SMALL = 5 };
static float small[SMALL];

static void make_small(void)
{
    static const double p[SMALL] = {0.3, 0.06, 0.4, 0.2, 0.04};
    for (int i = 0; i < SMALL; i++)
        small[i] = (float)log(p[i]) + 3.25f; /* a constant changes nothing */
}

static void expect(const hone_sampling *s, const hone_token_history *h, const double wanted[SMALL])
{
    hone_sampler *sampler;
    double got[SMALL];
    assert_int_equal(hone_sampler_create(ops, SMALL, &sampler, NULL), HONE_OK);
    distribution(sampler, s, h, small, SMALL, got);
    for (int i = 0; i < SMALL; i++)
        if (!(fabs(got[i] - wanted[i]) < 1e-6))
            fail_msg("token %d has p %.9g, by hand %.9g", i, got[i], wanted[i]);
    hone_sampler_free(sampler);
}

static void test_distributions_computed_by_hand(void **state)
{
    (void)state;
    make_small();
    expect(&(hone_sampling){.temperature = 1}, NULL, (double[]){0.3, 0.06, 0.4, 0.2, 0.04});
    /* T = 0.5 squares: 0.09 0.0036 0.16 0.04 0.0016, together 0.2952 */
    expect(&(hone_sampling){.temperature = 0.5}, NULL,
           (double[]){0.09 / 0.2952, 0.0036 / 0.2952, 0.16 / 0.2952, 0.04 / 0.2952, 0.0016 / 0.2952});
    expect(&(hone_sampling){.temperature = 1, .top_k = 2}, NULL, (double[]){0.3 / 0.7, 0, 0.4 / 0.7, 0, 0});
    expect(&(hone_sampling){.temperature = 1, .top_k = 99}, NULL, (double[]){0.3, 0.06, 0.4, 0.2, 0.04});
    /* 0.4 + 0.3 is below 0.75, with 0.2 it is above */
    expect(&(hone_sampling){.temperature = 1, .top_p = 0.75}, NULL, (double[]){0.3 / 0.9, 0, 0.4 / 0.9, 0.2 / 0.9, 0});
    expect(&(hone_sampling){.temperature = 1, .top_p = 1e-9}, NULL, (double[]){0, 0, 1, 0, 0});
    /* 0.25 * 0.4 = 0.1 */
    expect(&(hone_sampling){.temperature = 1, .min_p = 0.25}, NULL, (double[]){0.3 / 0.9, 0, 0.4 / 0.9, 0.2 / 0.9, 0});
    expect(&(hone_sampling){.temperature = 1, .min_p = 1}, NULL, (double[]){0, 0, 1, 0, 0});
    /* entropy 1.34723; |-log p - H| is 0.1433 for 0.3, 0.2622 for 0.2, 0.4309 for 0.4, more for the rest */
    expect(&(hone_sampling){.temperature = 1, .typical_p = 0.3 - 1e-6}, NULL, (double[]){1, 0, 0, 0, 0});
    expect(&(hone_sampling){.temperature = 1, .typical_p = 0.45}, NULL, (double[]){0.6, 0, 0, 0.4, 0});
    expect(&(hone_sampling){.temperature = 1, .typical_p = 0.6}, NULL,
           (double[]){0.3 / 0.9, 0, 0.4 / 0.9, 0.2 / 0.9, 0});
}

static int by_logit(const void *a, const void *b)
{
    const float *x = *(float *const *)a, *y = *(float *const *)b;
    return *x > *y ? -1 : *x < *y ? 1 : (x > y) - (x < y);
}

/* Most tokens of a large vocabulary are put aside before anything is sorted: what is kept is what a full sort keeps. */
static void test_a_large_vocabulary_is_truncated_as_by_a_full_sort(void **state)
{
    (void)state;
    enum { VOCAB = 50000 };
    static float logits[VOCAB], *order[VOCAB];
    static double p[VOCAB], got[VOCAB], wanted[VOCAB];
    static const hone_sampling settings[] = {{.temperature = 0.8, .top_p = 0.9},
                                             {.temperature = 1, .top_p = 0.999},
                                             {.temperature = 5, .top_p = 0.5},
                                             {.temperature = 1, .top_k = 50},
                                             {.temperature = 2, .top_k = 400},
                                             {.temperature = 1, .top_k = 40000},
                                             {.temperature = 1.5, .min_p = 0.02},
                                             {.temperature = 1, .top_k = 30, .top_p = 0.7},
                                             {.temperature = 1, .top_k = 60, .top_p = 0.8, .min_p = 0.1},
                                             {.temperature = 0.7, .top_p = 0.95, .min_p = 0.05}};
    hone_sampler *sampler;
    assert_int_equal(hone_sampler_create(ops, VOCAB, &sampler, NULL), HONE_OK);
    for (size_t c = 0; c < 2 * sizeof settings / sizeof *settings; c++) {
        const hone_sampling *s = &settings[c / 2];
        double spread = c % 2 ? 0.2 : 3, sum = 0, mass = 0, kept = 0; /* nearly even, or a few tokens far ahead */
        for (int i = 0; i < VOCAB; i++) {
            double u = hone_rng_uniform((hone_rng_key){1, HONE_RNG_TEST, (uint32_t)c}, (uint64_t)i);
            logits[i] = (float)(-log(u + 1e-9) * spread);
            order[i] = &logits[i];
        }
        qsort(order, VOCAB, sizeof *order, by_logit);
        size_t n = s->top_k ? (size_t)s->top_k : VOCAB;
        for (size_t i = 0; i < n; i++)
            sum += p[i] = exp(((double)*order[i] - (double)*order[0]) / s->temperature);
        for (size_t i = 0; s->top_p > 0 && i < n; i++)
            if ((mass += p[i]) >= s->top_p * sum)
                n = i + 1;
        while (s->min_p > 0 && p[n - 1] < s->min_p)
            n--;
        for (size_t i = 0; i < n; i++)
            kept += p[i];
        memset(wanted, 0, sizeof wanted);
        for (size_t i = 0; i < n; i++)
            wanted[order[i] - logits] = p[i] / kept;
        distribution(sampler, s, NULL, logits, VOCAB, got);
        for (int i = 0; i < VOCAB; i++)
            if (!(fabs(got[i] - wanted[i]) <= 1e-9 * wanted[i]))
                fail_msg("case %zu: token %d has p %.9g, by a full sort %.9g", c, i, got[i], wanted[i]);
    }
    hone_sampler_free(sampler);
}

static void test_frequency_and_presence_count_the_answer_only(void **state)
{
    (void)state;
    make_small();
    hone_sampling s = {.temperature = 1, .frequency_penalty = 0.5, .presence_penalty = -0.25};
    hone_token_history h;
    assert_int_equal(hone_token_history_init(&h, &s, SMALL, (int32_t[]){1, 1, 2}, 3, 4, NULL), HONE_OK);
    hone_token_history_add(&h, 0);
    hone_token_history_add(&h, 0);
    hone_token_history_add(&h, 4);
    /* token 0 twice: -2 * 0.5 + 0.25; token 4 once: -0.5 + 0.25; 1 and 2 stand in the prompt only */
    double w[SMALL] = {0.3 * exp(-0.75), 0.06, 0.4, 0.2, 0.04 * exp(-0.25)}, total = 0;
    for (int i = 0; i < SMALL; i++)
        total += w[i];
    expect(&s, &h, (double[]){w[0] / total, w[1] / total, w[2] / total, w[3] / total, w[4] / total});
    hone_token_history_clear(&h);
}

static void test_greedy_takes_the_lowest_id_of_the_greatest_after_bias_and_penalties(void **state)
{
    (void)state;
    const float logits[SMALL] = {1, 4, 4, -1, 3.5f};
    hone_sampler *sampler;
    hone_token_history none = {0}, h;
    assert_int_equal(hone_sampler_create(ops, SMALL, &sampler, NULL), HONE_OK);
    hone_sampling s = {0};
    assert_int_equal(hone_sampler_pick(sampler, &s, &none, logits, 0), 1);
    hone_logit_bias bias[] = {{4, 0.75f}, {1, -100}};
    s.logit_bias = bias;
    s.n_logit_bias = 2;
    assert_int_equal(hone_sampler_pick(sampler, &s, &none, logits, 0), 4);
    s = (hone_sampling){.repetition_penalty = 1.25};
    assert_int_equal(hone_token_history_init(&h, &s, SMALL, (int32_t[]){1, 3}, 2, 2, NULL), HONE_OK);
    hone_token_history_add(&h, 2);
    /* 1 and 2 fall to 3.2, so 4 is the greatest */
    assert_int_equal(hone_sampler_pick(sampler, &s, &h, logits, 0), 4);
    hone_token_history_clear(&h);
    hone_sampler_free(sampler);
}

/* Pearson's chi-square of 100,000 draws over 5 tokens: 4 degrees of freedom, above 18.47 once in 1,000 for an honest
 * generator. The draws are counted ones, so this passes always or never. */
static void test_draws_follow_the_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    make_small();
    static const double p[SMALL] = {0.3, 0.06, 0.4, 0.2, 0.04};
    hone_sampler *sampler;
    hone_token_history none = {0};
    assert_int_equal(hone_sampler_create(ops, SMALL, &sampler, NULL), HONE_OK);
    for (uint32_t stream = 0; stream < 3; stream++) {
        hone_sampling s = {.temperature = 1, .top_k = stream == 2 ? SMALL - 1 : 0, .seed = 17, .stream = stream};
        size_t n[SMALL] = {0};
        for (uint64_t i = 0; i < DRAWS; i++)
            n[hone_sampler_pick(sampler, &s, &none, small, i)]++;
        double chi_square = 0, rest = stream == 2 ? 0.96 : 1;
        for (int i = 0; i < SMALL; i++)
            if (stream != 2 || i != 4)
                chi_square += pow((double)n[i] - DRAWS * p[i] / rest, 2) / (DRAWS * p[i] / rest);
        print_message("chi-square %.2f\n", chi_square);
        assert_true(chi_square < 18.47);
        assert_true(stream != 2 || n[4] == 0);
    }
    hone_sampler_free(sampler);
}

static void test_a_draw_is_a_function_of_seed_stream_and_index(void **state)
{
    (void)state;
    enum { N = 64, VOCAB = 1000 };
    static float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = (float)((i * 37) % 101) / 25;
    hone_sampler *sampler;
    hone_token_history none = {0};
    assert_int_equal(hone_sampler_create(ops, VOCAB, &sampler, NULL), HONE_OK);
    int32_t first[N];
    hone_sampling s = {.temperature = 1.3, .seed = 5, .top_p = 0.9};
    for (int i = 0; i < N; i++)
        first[i] = hone_sampler_pick(sampler, &s, &none, logits, (uint64_t)i);
    size_t other_stream = 0, other_seed = 0;
    for (int i = N - 1; i >= 0; i--) { /* in another order */
        assert_int_equal(hone_sampler_pick(sampler, &s, &none, logits, (uint64_t)i), first[i]);
        hone_sampling t = s;
        t.stream = 1;
        other_stream += hone_sampler_pick(sampler, &t, &none, logits, (uint64_t)i) != first[i];
        t = s;
        t.seed = 6;
        other_seed += hone_sampler_pick(sampler, &t, &none, logits, (uint64_t)i) != first[i];
    }
    assert_true(other_stream > N / 2 && other_seed > N / 2);
    hone_sampler_free(sampler);
}

static void test_extreme_logits_give_a_token(void **state)
{
    (void)state;
    static const float rows[][SMALL] = {
        {-INFINITY, -INFINITY, -3, -INFINITY, -INFINITY}, {3e38f, -3e38f, 0, 1, 2}, {0, 0, 0, 0, 0}};
    static const double temperatures[] = {1e-300, 1, 1e6};
    hone_sampler *sampler;
    hone_token_history none = {0};
    assert_int_equal(hone_sampler_create(ops, SMALL, &sampler, NULL), HONE_OK);
    for (size_t r = 0; r < 3; r++)
        for (size_t t = 0; t < 3; t++)
            for (uint64_t i = 0; i < 50; i++) {
                hone_sampling s = {.temperature = temperatures[t], .top_p = 0.9, .min_p = 0.01, .typical_p = 0.9};
                int32_t id = hone_sampler_pick(sampler, &s, &none, rows[r], i);
                assert_true(r == 0 ? id == 2 : r == 1 && t < 2 ? id == 0 : id >= 0 && id < SMALL);
            }
    hone_sampler_free(sampler);
}

static void test_settings_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    hone_logit_bias far = {300, 1}, endless = {3, INFINITY};
    const struct {
        hone_sampling s;
        const char *words;
    } cases[] = {
        {{.temperature = -0.1}, "temperature -0.1"},
        {{.temperature = NAN}, "temperature"},
        {{.top_k = -1}, "top-k -1"},
        {{.top_p = 1.5}, "top-p 1.5"},
        {{.min_p = -0.5}, "min-p -0.5"},
        {{.typical_p = 2}, "typical 2"},
        {{.repetition_penalty = -1}, "repetition-penalty -1"},
        {{.presence_penalty = 2.5}, "presence-penalty 2.5"},
        {{.frequency_penalty = -3}, "frequency-penalty -3"},
        {{.logit_bias = &far, .n_logit_bias = 1}, "0 to 299"},
        {{.logit_bias = &endless, .n_logit_bias = 1}, "finite"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_error err = {0};
        assert_int_equal(hone_sampling_check(&cases[i].s, 300, &err), HONE_BAD_INPUT);
        if (!strstr(err.message, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].words);
    }
    assert_int_equal(hone_sampling_check(&(hone_sampling){0}, 300, NULL), HONE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step_leaves_what_transformers_leaves),
        cmocka_unit_test(test_distributions_computed_by_hand),
        cmocka_unit_test(test_a_large_vocabulary_is_truncated_as_by_a_full_sort),
        cmocka_unit_test(test_frequency_and_presence_count_the_answer_only),
        cmocka_unit_test(test_greedy_takes_the_lowest_id_of_the_greatest_after_bias_and_penalties),
        cmocka_unit_test(test_draws_follow_the_distribution),
        cmocka_unit_test(test_a_draw_is_a_function_of_seed_stream_and_index),
        cmocka_unit_test(test_extreme_logits_give_a_token),
        cmocka_unit_test(test_settings_out_of_range_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, open_cases, close_cases);
}
