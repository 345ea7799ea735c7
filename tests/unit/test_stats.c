/* test_stats.c - claims about the mathematics of evidence.
 *
 * Unless a line says otherwise, expected values were computed with SciPy 1.17.1 (stats, special), statsmodels 0.15.0
 * (proportion_confint, contingency_tables.mcnemar, multipletests, OLS with cluster covariance) and NumPy 2.4.6. Tango's
 * interval is in none of them: its values come from a separate Python calculation that maximises the restricted
 * likelihood numerically and finds the limits with brentq (so about 1e-7 of agreement can be expected). */
#include "base/rng.h"
#include "stats/bootstrap.h"
#include "stats/comparison.h"
#include "stats/mcnemar.h"
#include "stats/multiplicity.h"
#include "stats/power.h"
#include "stats/special.h"
#include "stats/summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g is not %.17g within %g", value, expected, relative);
}

static void close_to(double value, double expected, double absolute)
{
    if (!(fabs(value - expected) <= absolute))
        fail_msg("%.17g is not within %g of %.17g", value, absolute, expected);
}

static void test_normal_distribution_and_its_inverse(void **state)
{
    (void)state;
    near(hone_normal_cdf(-3.5), 0.00023262907903552502, 1e-13);
    near(hone_normal_cdf(1.25), 0.8943502263331446, 1e-14);
    near(hone_normal_cdf(-20), 2.7536241186061556e-89, 1e-12);
    near(hone_normal_quantile(0.975), 1.959963984540054, 1e-14);
    near(hone_normal_quantile(1e-12), -7.034483825301131, 1e-13);
    near(hone_normal_quantile(0.3), -0.5244005127080409, 1e-13);
    near(hone_normal_quantile(1e-200), -30.20559417957964, 1e-12);
    near(hone_normal_quantile(0.999), 3.090232306167813, 1e-13);
    close_to(hone_normal_quantile(0.5), 0, 1e-15);
    assert_true(isinf(hone_normal_quantile(0)) && isinf(hone_normal_quantile(1)));
    assert_true(isnan(hone_normal_quantile(NAN)));
}

static void test_beta_distribution_and_its_inverse(void **state)
{
    (void)state;
    near(hone_beta_incomplete(2.5, 7, 0.2), 0.36749651990402316, 1e-13);
    near(hone_beta_incomplete(500, 520, 0.5), 0.734506577151153, 1e-11);
    near(hone_beta_incomplete(1e5, 1.003e5, 0.5), 0.7486728868521804, 1e-8);
    near(hone_beta_incomplete(0.5, 0.5, 0.9), 0.7951672353008665, 1e-13);
    near(hone_beta_incomplete(3, 4000, 0.002), 0.9863531085115662, 1e-11);
    near(hone_beta_quantile(0.1, 2.5, 7), 0.09909891366857027, 1e-12);
    near(hone_beta_quantile(0.025, 1, 100), 0.00025314603297742064, 1e-12);
    near(hone_beta_quantile(0.975, 700, 300), 0.728001644309209, 1e-12);
}

static void test_mcnemar_exact_equals_statsmodels(void **state)
{
    (void)state;
    static const struct {
        int64_t b, c;
        double p;
    } cases[] = {{10, 20, 0.09873714670538905},
                 {1, 10, 0.01171875},
                 {6, 0, 0.03125},
                 {5, 0, 0.0625},
                 {150, 86, 3.7159361395713866e-05},
                 {1000, 1100, 0.03072070786424249},
                 {30, 30, 1.0},
                 {0, 0, 1.0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        near(hone_mcnemar_exact(cases[i].b, cases[i].c), cases[i].p, 1e-10);
        near(hone_mcnemar_exact(cases[i].c, cases[i].b), cases[i].p, 1e-10);
    }
    near(hone_mcnemar_exact(500000, 501500), 0.1341651666841142, 1e-7); /* large counts stay stable */
}

static void test_one_proportion_equals_statsmodels(void **state)
{
    (void)state;
    static const struct {
        int64_t k, n;
        double alpha, wilson[2], exact[2];
    } cases[] = {
        {0, 10, 0.05, {0, 0.27753279986288926}, {0, 0.30849710781876083}},
        {5, 20, 0.05, {0.11186170140766563, 0.4687008776187441}, {0.08657146910143461, 0.49104587170795755}},
        {393, 500, 0.05, {0.7479418772435874, 0.8196970000124048}, {0.7474108657130708, 0.8211677733499909}},
        {500, 500, 0.05, {0.9923756595384479, 1}, {0.9926493899480923, 1}},
        {393, 500, 0.05 / 28, {0.7235191895624538, 0.8375316584742873}, {0.7239749491668166, 0.8400665876834961}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_interval wilson = hone_wilson_interval(cases[i].k, cases[i].n, cases[i].alpha);
        hone_interval exact = hone_clopper_pearson(cases[i].k, cases[i].n, cases[i].alpha);
        close_to(wilson.low, cases[i].wilson[0], 1e-12);
        close_to(wilson.high, cases[i].wilson[1], 1e-12);
        close_to(exact.low, cases[i].exact[0], 1e-11);
        close_to(exact.high, cases[i].exact[1], 1e-11);
    }
    assert_true(hone_clopper_pearson(0, 0, 0.05).high == 1);
    close_to(hone_rule_of_three(300), 0.01, 1e-15);
    /* Hanley & Lippman-Hand: 3/n approximates the one-sided exact limit 1 - 0.05^(1/n). */
    close_to(hone_rule_of_three(300), 1 - pow(0.05, 1.0 / 300), 2e-4);
}

static const struct paired_case {
    hone_pair_counts counts;
    double alpha, tango[2], conditional[2];
} paired_cases[] = {
    {{1600, 150, 86}, 0.05, {0.021361564810, 0.058998033263}, {0.020848608205, 0.058132575120}},
    {{500, 60, 35}, 0.05, {0.012006571305, 0.088815722219}, {0.010043120719, 0.086748382987}},
    {{50, 12, 2}, 0.05, {0.061112406832, 0.344708748528}, {0.040247669891, 0.270035071329}},
    {{500, 60, 35}, 0.05 / 3, {0.003417989039, 0.097761095787}, {0.001555175844, 0.093914907075}},
};

static void test_paired_interval_is_tangos_widened_to_agree_with_the_exact_test(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof paired_cases / sizeof paired_cases[0]; i++) {
        const struct paired_case *c = &paired_cases[i];
        hone_interval score = hone_paired_score_interval(c->counts, c->alpha);
        hone_interval decides = hone_paired_interval(c->counts, c->alpha);
        close_to(score.low, c->tango[0], 2e-7);
        close_to(score.high, c->tango[1], 2e-7);
        close_to(decides.low, fmin(c->tango[0], c->conditional[0]), 2e-7);
        close_to(decides.high, fmax(c->tango[1], c->conditional[1]), 2e-7);
    }
    /* No item differs: z^2/(n + z^2) on both sides; with 1.96 and n = 100 that is 0.0370 (hand calculation). */
    hone_interval none = hone_paired_score_interval((hone_pair_counts){100, 0, 0}, 0.05);
    close_to(none.high, 0.036993498, 1e-8);
    close_to(none.low, -0.036993498, 1e-8);
}

static void test_paired_interval_excludes_zero_only_where_the_exact_test_rejects(void **state)
{
    (void)state;
    int rejected = 0;
    const double levels[] = {0.05, 0.025, 0.05 / 28};
    for (int64_t n = 20; n <= 500; n += 120)
        for (int64_t b = 0; b <= 20; b++)
            for (int64_t c = 0; c + b <= 20; c++)
                for (int l = 0; l < 3; l++) {
                    bool claims = hone_mcnemar_exact(b, c) < levels[l];
                    hone_interval interval = hone_paired_interval((hone_pair_counts){n, b, c}, levels[l]);
                    assert_true(hone_interval_excludes(interval, 0) == claims);
                    rejected += claims;
                }
    assert_true(rejected > 100);
}

static void test_paired_score_interval_covers_its_nominal_share(void **state)
{
    (void)state;
    /* P(only A) = 0.14, P(only B) = 0.06, n = 100: the true difference 0.08 lies inside about 95 % of the time (Tango
     * 1998 reports coverage within about a point of nominal for such cases); 3,000 counted draws, SE 0.4 points. */
    hone_rng_key key = {11, HONE_RNG_TEST, 0};
    int covered = 0;
    for (int round = 0; round < 3000; round++) {
        hone_pair_counts counts = {.n = 100};
        for (int i = 0; i < 100; i++) {
            double u = hone_rng_uniform(key, (uint64_t)(round * 100 + i));
            counts.only_a += u < 0.14;
            counts.only_b += u >= 0.14 && u < 0.20;
        }
        covered += !hone_interval_excludes(hone_paired_score_interval(counts, 0.05), 0.08);
    }
    close_to(covered / 3000.0, 0.95, 0.02);
}

static void test_noninferiority_is_the_score_test_at_the_margin(void **state)
{
    (void)state;
    hone_noninferiority r = hone_paired_noninferiority((hone_pair_counts){500, 40, 45}, 0.06, 0.025);
    close_to(r.p, 0.0042045504168809365, 1e-7); /* the separate Python calculation */
    assert_true(r.not_inferior);
    close_to(r.difference, -0.01, 1e-15);
    /* Claim and limit agree for every count. */
    int yes = 0;
    for (int64_t b = 0; b <= 40; b += 2)
        for (int64_t c = 0; c <= 40; c += 2) {
            r = hone_paired_noninferiority((hone_pair_counts){300, b, c}, 0.05, 0.025);
            assert_true(r.not_inferior == (r.p < 0.025));
            yes += r.not_inferior;
        }
    assert_in_range(yes, 100, 400);
    assert_false(hone_paired_noninferiority((hone_pair_counts){0, 0, 0}, 0.05, 0.025).not_inferior);
}

static void test_holm_equals_statsmodels(void **state)
{
    (void)state;
    const double p[] = {0.01, 0.04, 0.03, 0.005, 0.5}, expected[] = {0.04, 0.09, 0.09, 0.025, 0.5};
    const double levels[] = {0.05 / 4, 0.05 / 3, 0.05 / 3, 0.05 / 5, 0.05 / 3}; /* by hand; it stops at the third */
    double adjusted[5], level[5];
    assert_int_equal(hone_holm(p, 5, 0.05, adjusted, level, NULL), HONE_OK);
    for (int i = 0; i < 5; i++) {
        near(adjusted[i], expected[i], 1e-14);
        near(level[i], levels[i], 1e-14);
        assert_true((adjusted[i] < 0.05) == (p[i] < level[i]));
    }
    hone_error err;
    const double bad[] = {0.1, NAN};
    assert_int_equal(hone_holm(bad, 2, 0.05, adjusted, NULL, &err), HONE_BAD_INPUT);
}

static void test_detectable_difference_is_the_one_the_design_states(void **state)
{
    (void)state;
    /* shared/EVIDENCE.md: 80 % power, 20 % discordant: 12.5, 8.9, 5.6, 4.0 points. */
    close_to(hone_detectable_difference(100, 0.20, 0.05, 0.80, 1), 0.125, 0.0005);
    close_to(hone_detectable_difference(200, 0.20, 0.05, 0.80, 1), 0.089, 0.0005);
    close_to(hone_detectable_difference(500, 0.20, 0.05, 0.80, 1), 0.056, 0.0005);
    close_to(hone_detectable_difference(1000, 0.20, 0.05, 0.80, 1), 0.040, 0.0005);
    /* "15 % discordant: 3 points needs about 1,300 items"; "28 pairs about 40 % larger". */
    assert_in_range(hone_items_needed(0.03, 0.15, 0.05, 0.80, 1), 1290, 1320);
    close_to(hone_detectable_difference(500, 0.2, 0.05, 0.8, 28) / hone_detectable_difference(500, 0.2, 0.05, 0.8, 1),
             1.4, 0.03);
    /* The two functions are inverse to each other. */
    int64_t n = hone_items_needed(0.05, 0.2, 0.05, 0.8, 3);
    assert_true(hone_detectable_difference(n, 0.2, 0.05, 0.8, 3) <= 0.05 + 1e-12);
    assert_true(hone_detectable_difference(n - 1, 0.2, 0.05, 0.8, 3) > 0.05);
    /* Few items: at most what can differ. */
    assert_true(hone_detectable_difference(3, 0.2, 0.05, 0.8, 1) == 1);
    close_to(hone_detectable_difference(10, 0.2, 0.05, 0.8, 1), 0.785, 0.001);
}

static void test_detectable_difference_is_detected_four_times_in_five(void **state)
{
    (void)state;
    /* n = 500, 20 % discordant, true difference as promised: the exact test, being careful, finds it in 77.9 %
     * (binomial sums by SciPy) instead of 80 %. 2,000 counted draws, SE 0.9 points. */
    double d = hone_detectable_difference(500, 0.2, 0.05, 0.8, 1);
    hone_rng_key key = {5, HONE_RNG_TEST, 1};
    int found = 0;
    for (int round = 0; round < 2000; round++) {
        int64_t a = 0, b = 0;
        for (int i = 0; i < 500; i++) {
            double u = hone_rng_uniform(key, (uint64_t)(round * 500 + i));
            a += u < 0.1 + d / 2;
            b += u >= 0.1 + d / 2 && u < 0.2;
        }
        found += hone_mcnemar_exact(a, b) < 0.05;
    }
    close_to(found / 2000.0, 0.7789, 0.03);
}

static void test_summary_equals_numpy_and_statsmodels(void **state)
{
    (void)state;
    const double x[] = {.2, .9, .4, .4, 1, .7, .1, .3};
    const int64_t groups[] = {1, 1, 2, 2, 2, 9, 9, 7};
    double v;
    assert_int_equal(hone_quantile(x, 8, 0.5, &v, NULL), HONE_OK);
    near(v, 0.4, 1e-14);
    assert_int_equal(hone_quantile(x, 8, 0.95, &v, NULL), HONE_OK);
    near(v, 0.965, 1e-14);
    near(hone_mean(x, 8), 0.5, 1e-14);
    near(hone_standard_deviation(x, 8), 0.3295017884191656, 1e-14);
    assert_int_equal(hone_standard_error(x, NULL, 8, &v, NULL), HONE_OK);
    near(v, 0.1164964745021435, 1e-14);
    assert_int_equal(hone_standard_error(x, groups, 8, &v, NULL), HONE_OK);
    near(v, 0.06123724356957947, 1e-13);
    assert_int_equal(hone_quantile(x, 0, 0.5, &v, NULL), HONE_BAD_INPUT);
    assert_int_equal(hone_quantile(x, 8, 1.5, &v, NULL), HONE_BAD_INPUT);
}

/* The differences that SciPy was given: ((37 i) mod 101)^2 / 101^2 - 1/4. */
static void fill_differences(double d[60])
{
    for (int i = 0; i < 60; i++) {
        double r = (i * 37) % 101;
        d[i] = r * r / 10201 - 0.25;
    }
}

static void test_bca_bootstrap_equals_scipy(void **state)
{
    (void)state;
    double d[60];
    int64_t cluster[60];
    fill_differences(d);
    for (int i = 0; i < 60; i++)
        cluster[i] = 1000 - i / 4;
    hone_bootstrap *b;
    /* scipy.stats.bootstrap with 200,000 resamples; the tolerance is the resampling error of both. */
    assert_int_equal(hone_bootstrap_mean(d, NULL, 60, 40000, 1, &b, NULL), HONE_OK);
    near(hone_bootstrap_estimate(b), 0.07364964219194196, 1e-13);
    near(hone_bootstrap_standard_error(b), 0.03781636268797458, 0.02);
    close_to(hone_bootstrap_interval(b, 0.05).low, 0.003924451851125705, 0.0015);
    close_to(hone_bootstrap_interval(b, 0.05).high, 0.1527480965918374, 0.0015);
    close_to(hone_bootstrap_interval(b, 0.01).low, -0.016212546929191975, 0.003);
    close_to(hone_bootstrap_interval(b, 0.01).high, 0.17915930144905778, 0.003);
    hone_bootstrap_free(b);
    assert_int_equal(hone_bootstrap_mean(d, cluster, 60, 40000, 1, &b, NULL), HONE_OK);
    close_to(hone_bootstrap_interval(b, 0.05).low, 0.026414939927315813, 0.001);
    close_to(hone_bootstrap_interval(b, 0.05).high, 0.12460706466686271, 0.001);
    near(hone_bootstrap_standard_error(b), 0.025025206236485888, 0.02);
    hone_bootstrap_free(b);
}

static void test_bootstrap_p_is_the_level_at_which_the_interval_reaches_zero(void **state)
{
    (void)state;
    double d[60];
    fill_differences(d);
    hone_bootstrap *b;
    assert_int_equal(hone_bootstrap_mean(d, NULL, 60, 10000, 3, &b, NULL), HONE_OK);
    double p = hone_bootstrap_p(b, 0);
    assert_true(p > 0.01 && p < 0.05); /* the 95 % interval above excludes 0, the 99 % one does not */
    assert_true(hone_bootstrap_interval(b, p * 1.02).low > 0);
    assert_true(hone_bootstrap_interval(b, p * 0.98).low < 0);
    near(hone_bootstrap_p_above(b, 0), p / 2, 1e-12);
    hone_bootstrap_free(b);
}

static void test_bootstrap_repeats_with_its_seed_and_changes_with_another(void **state)
{
    (void)state;
    double d[60];
    fill_differences(d);
    hone_bootstrap *one, *two, *other;
    assert_int_equal(hone_bootstrap_mean(d, NULL, 60, 0, 1, &one, NULL), HONE_OK);
    assert_int_equal(hone_bootstrap_mean(d, NULL, 60, 0, 1, &two, NULL), HONE_OK);
    assert_int_equal(hone_bootstrap_mean(d, NULL, 60, 0, 2, &other, NULL), HONE_OK);
    assert_true(hone_bootstrap_interval(one, 0.05).low == hone_bootstrap_interval(two, 0.05).low);
    assert_true(hone_bootstrap_interval(one, 0.05).low != hone_bootstrap_interval(other, 0.05).low);
    hone_bootstrap_free(one);
    hone_bootstrap_free(two);
    hone_bootstrap_free(other);
}

static void test_a_handful_of_equal_differences_is_no_proof(void **state)
{
    (void)state;
    const double d[] = {0.3, 0.3, 0.3, 0.3, 0.3}, zero[8] = {0}, bad[] = {0.5, NAN};
    hone_bootstrap *b;
    assert_int_equal(hone_bootstrap_mean(d, NULL, 5, 0, 1, &b, NULL), HONE_OK);
    near(hone_bootstrap_p(b, 0), 0.0625, 1e-12); /* 2 * 2^-5, the sign test's */
    hone_bootstrap_free(b);
    assert_int_equal(hone_bootstrap_mean(zero, NULL, 8, 0, 1, &b, NULL), HONE_OK);
    assert_true(hone_bootstrap_p(b, 0) == 1);
    assert_true(hone_bootstrap_interval(b, 0.05).low == 0 && hone_bootstrap_interval(b, 0.05).high == 0);
    hone_bootstrap_free(b);
    hone_error err;
    assert_int_equal(hone_bootstrap_mean(bad, NULL, 2, 0, 1, &b, &err), HONE_BAD_INPUT);
    assert_int_equal(hone_bootstrap_mean(d, NULL, 0, 0, 1, &b, &err), HONE_BAD_INPUT);
    assert_int_equal(hone_bootstrap_mean(d, NULL, 5, 10, 1, &b, &err), HONE_BAD_INPUT);
}

/* With items that do not vary, what remains is Student's interval of the seeds: t(0.975, 2) = 4.302653, t(0.95, 2) =
 * 2.919986 (tables). A limit of 10,000 draws lies within a few hundredths of these. */
static void test_seeds_alone_give_students_interval(void **state)
{
    (void)state;
    const double same[50] = {0}, seeds[] = {-0.01, 0, 0.01};
    double error = 0.01 / sqrt(3.0);
    hone_bootstrap *b;
    hone_seed_error of = hone_seed_error_of(seeds, 3);
    near(of.standard_error, error, 1e-15);
    assert_int_equal(of.degrees, 2);
    assert_int_equal(hone_seed_error_of(seeds, 1).degrees, 0);
    assert_int_equal(hone_bootstrap_mean(same, NULL, 50, 0, 1, &b, NULL), HONE_OK);
    hone_bootstrap_add_seed_error(b, of, 1, 0);
    hone_interval wide = hone_bootstrap_interval(b, 0.05), narrow = hone_bootstrap_interval(b, 0.10);
    close_to(wide.low, -4.302653 * error, 0.4 * error);
    close_to(wide.high, 4.302653 * error, 0.4 * error);
    close_to(narrow.low, -2.919986 * error, 0.2 * error);
    close_to(narrow.high, 2.919986 * error, 0.2 * error);
    hone_bootstrap_free(b);
}

/* Three seeds that spread as much as the items do. An interval that leaves them out covers the truth in about 81 % of
 * experiments (P(|Z| < 1.96 * 0.0158 / 0.0234)), one with them in 95 %. */
static void test_an_interval_over_items_and_seeds_covers_what_it_promises(void **state)
{
    (void)state;
    enum { N = 40, SEEDS = 3, EXPERIMENTS = 400 };
    const double truth = 0.1, over_seeds = 0.03, over_items = 0.1;
    int with = 0, without = 0;
    for (uint32_t e = 0; e < EXPERIMENTS; e++) {
        double items[N], effect[SEEDS], mean = 0;
        hone_bootstrap *b;
        for (int s = 0; s < SEEDS; s++)
            mean +=
                (effect[s] = over_seeds * hone_rng_normal((hone_rng_key){7, HONE_RNG_TEST, e}, (uint64_t)s)) / SEEDS;
        for (int i = 0; i < N; i++)
            items[i] = truth + mean + over_items * hone_rng_normal((hone_rng_key){8, HONE_RNG_TEST, e}, (uint64_t)i);
        assert_int_equal(hone_bootstrap_mean(items, NULL, N, 1000, e, &b, NULL), HONE_OK);
        hone_interval ci = hone_bootstrap_interval(b, 0.05);
        without += ci.low <= truth && truth <= ci.high;
        hone_bootstrap_add_seed_error(b, hone_seed_error_of(effect, SEEDS), e, 0);
        ci = hone_bootstrap_interval(b, 0.05);
        with += ci.low <= truth && truth <= ci.high;
        hone_bootstrap_free(b);
    }
    print_message("covered: %.3f with the seeds, %.3f without\n", with / (double)EXPERIMENTS,
                  without / (double)EXPERIMENTS);
    assert_true(with >= 0.93 * EXPERIMENTS && without <= 0.87 * EXPERIMENTS);
}

/* Five points better on each of 400 items, so clearly better; with seeds that spread by ten points no longer. */
static void test_a_difference_smaller_than_the_spread_over_seeds_is_not_claimed(void **state)
{
    (void)state;
    enum { N = 400 };
    double a[N], b[N];
    const double steady[] = {0.550, 0.551, 0.549}, shaky[] = {0.45, 0.55, 0.65};
    for (int i = 0; i < N; i++) {
        b[i] = 0.5;
        a[i] = 0.55 + (i % 2 ? 0.1 : -0.1);
    }
    hone_paired_sample samples[] = {{.a = a, .b = b, .n = N, .a_seeds = hone_seed_error_of(steady, 3)},
                                    {.a = a, .b = b, .n = N, .a_seeds = hone_seed_error_of(shaky, 3)}};
    hone_paired_comparison found[2];
    assert_int_equal(hone_compare_family(&samples[0], 1, 0.05, 0, 1, &found[0], NULL), HONE_OK);
    assert_int_equal(hone_compare_family(&samples[1], 1, 0.05, 0, 1, &found[1], NULL), HONE_OK);
    assert_true(found[0].differs && !found[0].exact);
    assert_false(found[1].differs);
    near(found[1].difference, 0.05, 1e-12);
    assert_true(found[1].interval.low < -0.05 && found[1].interval.high > 0.15);
}

static void test_probability_of_best_and_regret(void **state)
{
    (void)state;
    /* Arm 1 is arm 0 with 6 items of 100 won and 2 lost; arm 2 equals arm 0. In a resample wins and losses are
     * multinomial; summing that exactly (SciPy): P(wins > losses) + P(equal)/3 = 0.91693, E max(wins - losses, 0)/100 =
     * 0.040799, E max(losses - wins, 0)/100 = 0.000799. */
    enum { N = 100 };
    double scores[3 * N] = {0}, best[3], regret[3];
    for (int i = 0; i < N; i++)
        scores[i] = scores[N + i] = scores[2 * N + i] = i >= 40;
    for (int i = 0; i < 6; i++)
        scores[N + i] = 1;
    scores[N + 98] = scores[N + 99] = 0;
    assert_int_equal(hone_bootstrap_best(scores, 3, N, NULL, 20000, 4, best, regret, NULL), HONE_OK);
    close_to(best[0] + best[1] + best[2], 1, 1e-9);
    assert_true(best[0] == best[2] && regret[0] == regret[2]);
    close_to(best[1], 0.91693, 0.006);
    close_to(regret[0], 0.040799, 0.0008);
    close_to(regret[1], 0.000799, 0.0001);
}

static void test_family_claims_and_intervals_never_disagree(void **state)
{
    (void)state;
    /* 60 families of four comparisons with small effects, right/wrong and graded scores, some clustered. */
    enum { N = 60, FAMILY = 4 };
    hone_rng_key key = {9, HONE_RNG_TEST, 2};
    int claims = 0, silent = 0;
    for (int round = 0; round < 60; round++) {
        double a[FAMILY][N], b[FAMILY][N];
        int64_t cluster[N];
        hone_paired_sample samples[FAMILY];
        hone_paired_comparison out[FAMILY];
        for (int k = 0; k < FAMILY; k++) {
            for (int i = 0; i < N; i++) {
                double u = hone_rng_uniform(key, (uint64_t)((round * FAMILY + k) * 2 * N + 2 * i));
                double v = hone_rng_uniform(key, (uint64_t)((round * FAMILY + k) * 2 * N + 2 * i + 1));
                a[k][i] = k < 2 ? u < 0.7 : u + 0.1;
                b[k][i] = k < 2 ? v < 0.5 : v;
                cluster[i] = i / 3;
            }
            samples[k] = (hone_paired_sample){a[k], b[k], k == 3 ? cluster : NULL, N};
        }
        assert_int_equal(hone_compare_family(samples, FAMILY, 0.05, 1000, 1, out, NULL), HONE_OK);
        for (int k = 0; k < FAMILY; k++) {
            assert_true(out[k].exact == (k < 2));
            assert_true(out[k].differs == hone_interval_excludes(out[k].interval, 0));
            assert_true(out[k].differs == (out[k].p_adjusted < 0.05));
            assert_true(out[k].level <= 0.05 && out[k].level >= 0.05 / FAMILY);
            claims += out[k].differs;
            silent += !out[k].differs;
        }
    }
    assert_true(claims > 20 && silent > 20);
}

static void test_family_of_one_is_mcnemar(void **state)
{
    (void)state;
    double a[500], b[500];
    for (int i = 0; i < 500; i++) {
        a[i] = i < 60 || i >= 300;
        b[i] = (i >= 60 && i < 95) || i >= 300;
    }
    hone_paired_sample sample = {a, b, NULL, 500};
    hone_paired_comparison out;
    assert_int_equal(hone_compare_family(&sample, 1, 0.05, 0, 1, &out, NULL), HONE_OK);
    assert_int_equal(out.only_a, 60);
    assert_int_equal(out.only_b, 35);
    assert_true(out.differs && out.p == out.p_adjusted && out.level == 0.05);
    close_to(out.difference, 0.05, 1e-15);
    close_to(out.interval.low, 0.010043120719, 1e-7);
    double low, p;
    bool fine;
    assert_int_equal(hone_compare_noninferiority(&sample, 0.02, 0.025, 0, 1, &low, &p, &fine, NULL), HONE_OK);
    assert_true(fine);
    hone_paired_sample reversed = {b, a, NULL, 500};
    assert_int_equal(hone_compare_noninferiority(&reversed, 0.02, 0.025, 0, 1, &low, &p, &fine, NULL), HONE_OK);
    assert_false(fine);
    hone_paired_sample empty = {a, b, NULL, 0};
    hone_error err;
    assert_int_equal(hone_compare_family(&empty, 1, 0.05, 0, 1, &out, &err), HONE_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_distribution_and_its_inverse),
        cmocka_unit_test(test_beta_distribution_and_its_inverse),
        cmocka_unit_test(test_mcnemar_exact_equals_statsmodels),
        cmocka_unit_test(test_one_proportion_equals_statsmodels),
        cmocka_unit_test(test_paired_interval_is_tangos_widened_to_agree_with_the_exact_test),
        cmocka_unit_test(test_paired_interval_excludes_zero_only_where_the_exact_test_rejects),
        cmocka_unit_test(test_paired_score_interval_covers_its_nominal_share),
        cmocka_unit_test(test_noninferiority_is_the_score_test_at_the_margin),
        cmocka_unit_test(test_holm_equals_statsmodels),
        cmocka_unit_test(test_detectable_difference_is_the_one_the_design_states),
        cmocka_unit_test(test_detectable_difference_is_detected_four_times_in_five),
        cmocka_unit_test(test_summary_equals_numpy_and_statsmodels),
        cmocka_unit_test(test_bca_bootstrap_equals_scipy),
        cmocka_unit_test(test_bootstrap_p_is_the_level_at_which_the_interval_reaches_zero),
        cmocka_unit_test(test_bootstrap_repeats_with_its_seed_and_changes_with_another),
        cmocka_unit_test(test_a_handful_of_equal_differences_is_no_proof),
        cmocka_unit_test(test_seeds_alone_give_students_interval),
        cmocka_unit_test(test_an_interval_over_items_and_seeds_covers_what_it_promises),
        cmocka_unit_test(test_a_difference_smaller_than_the_spread_over_seeds_is_not_claimed),
        cmocka_unit_test(test_probability_of_best_and_regret),
        cmocka_unit_test(test_family_claims_and_intervals_never_disagree),
        cmocka_unit_test(test_family_of_one_is_mcnemar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
