/* test_learning_curve.c - the power law against SciPy, and what a curve says about more rows. */
#include "stats/learning_curve.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/temporary.h"

/* scipy.optimize.least_squares (1.17) on sqrt(n) (a + b n^-c - err), a, b >= 0, 0.05 <= c <= 3, the best of 75 starts:
 * sum of squares and the law at twice and four times the largest size. */
static void test_the_law_is_the_one_that_scipy_finds(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double sizes[7], errors[7], squares, a, b, c, at_2n, at_4n;
    } cases[] = {
        {5,
         {25, 50, 100, 200, 400},
         {0.62, 0.45, 0.33, 0.27, 0.22},
         0.00827450464,
         0.1418932,
         3.86743,
         0.6493742,
         0.19227,
         0.1740113},
        {7,
         {25, 50, 100, 200, 400, 800, 1600},
         {0.912, 0.83, 0.71, 0.555, 0.43, 0.33, 0.27},
         0.814193475,
         0,
         2.922877,
         0.3219911,
         0.2173618,
         0.1738819},
        {4, {25, 50, 100, 270}, {0.40, 0.30, 0.31, 0.20}, 0.198489573, 0, 0.9907013, 0.2792296, 0.1709927, 0.1409033},
        {5,
         {30, 60, 120, 240, 480},
         {0.5, 0.35, 0.26, 0.22, 0.205},
         0.00792883379,
         0.185058,
         10.39666,
         1.024261,
         0.1942259,
         0.1895655},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = cases[i].n;
        hone_power_law law = hone_power_law_fit(cases[i].sizes, cases[i].errors, cases[i].sizes, n);
        double squares = 0;
        for (size_t k = 0; k < n; k++)
            squares += cases[i].sizes[k] * pow(cases[i].errors[k] - hone_power_law_at(law, cases[i].sizes[k]), 2);
        double largest = cases[i].sizes[n - 1];
        assert_true(fabs(squares / cases[i].squares - 1) < 1e-7);
        assert_true(fabs(law.a - cases[i].a) < 1e-4);
        assert_true(fabs(law.b / cases[i].b - 1) < 1e-3);
        assert_true(fabs(law.c / cases[i].c - 1) < 1e-3);
        assert_true(fabs(hone_power_law_at(law, 2 * largest) - cases[i].at_2n) < 1e-5);
        assert_true(fabs(hone_power_law_at(law, 4 * largest) - cases[i].at_4n) < 1e-5);
    }
}

/* A law without noise comes back as it is. */
static void test_a_law_without_noise_is_recovered(void **state)
{
    (void)state;
    const double sizes[] = {25, 50, 100, 200, 400};
    double errors[5];
    for (int i = 0; i < 5; i++)
        errors[i] = 0.1 + 2 * pow(sizes[i], -0.5);
    hone_power_law law = hone_power_law_fit(sizes, errors, sizes, 5);
    assert_true(fabs(law.a - 0.1) < 1e-6 && fabs(law.b - 2) < 1e-5 && fabs(law.c - 0.5) < 1e-6);
}

enum { N_SIZES = 5, N_ITEMS = 400 };

/* Items that are right with the probability that a law gives. */
static void draw(double a, double b, double c, const double *sizes, uint32_t stream, double *scores)
{
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t i = 0; i < N_ITEMS; i++)
            scores[s * N_ITEMS + i] =
                hone_rng_uniform((hone_rng_key){9, HONE_RNG_TEST, stream}, s * N_ITEMS + i) > a + b * pow(sizes[s], -c);
}

static void test_forecasts_cover_the_truth_and_tell_steep_from_flat(void **state)
{
    (void)state;
    const double sizes[N_SIZES] = {25, 50, 100, 200, 400};
    double *scores = calloc(N_SIZES * N_ITEMS, sizeof *scores), steep = 0, flat = 0;
    int covered = 0;
    enum { TRIALS = 12 };
    hone_error err;
    for (uint32_t t = 0; t < TRIALS; t++) {
        hone_learning_curve curve;
        draw(0, 3, 0.45, sizes, t, scores);
        assert_int_equal(hone_learning_curve_fit(sizes, N_SIZES, scores, N_ITEMS, 0.02, 1, &curve, &err), HONE_OK);
        assert_true(curve.forecasts[0].size == 800 && curve.forecasts[1].size == 1600);
        double truth = 3 * pow(800, -0.45); /* 0.148; at 400 it is 0.202, so the gain is above 0.02 */
        covered += curve.forecasts[0].low <= truth && truth <= curve.forecasts[0].high;
        steep += curve.forecasts[0].p_gain / TRIALS;
        assert_true(curve.forecasts[1].error <= curve.forecasts[0].error);
        draw(0.3, 0, 1, sizes, t, scores);
        assert_int_equal(hone_learning_curve_fit(sizes, N_SIZES, scores, N_ITEMS, 0.02, 1, &curve, &err), HONE_OK);
        flat += curve.forecasts[0].p_gain / TRIALS;
    }
    print_message("covered %d of %d; chance of a gain where there is one %.2f, where there is none %.2f\n", covered,
                  TRIALS, steep, flat);
    assert_true(covered >= TRIALS - 3); /* 95 % nominal; fewer than 9 of 12 has a chance of 1 in 5,000 */
    assert_true(steep > 0.8);
    assert_true(flat < 0.2);
    free(scores);
}

static void test_a_curve_that_says_nothing_is_refused(void **state)
{
    (void)state;
    const double three[] = {25, 50, 100}, falling[] = {25, 50, 40, 100}, scores[4] = {0, 1, 1, 1};
    hone_learning_curve curve;
    hone_error err;
    assert_int_equal(hone_learning_curve_fit(three, 3, scores, 1, 0.02, 1, &curve, &err), HONE_BAD_INPUT);
    assert_says(err, "4 sizes");
    assert_int_equal(hone_learning_curve_fit(falling, 4, scores, 1, 0.02, 1, &curve, &err), HONE_BAD_INPUT);
    assert_says(err, "rise");
    assert_int_equal(hone_learning_curve_fit(falling, 4, scores, 0, 0.02, 1, &curve, &err), HONE_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_law_is_the_one_that_scipy_finds),
        cmocka_unit_test(test_a_law_without_noise_is_recovered),
        cmocka_unit_test(test_forecasts_cover_the_truth_and_tell_steep_from_flat),
        cmocka_unit_test(test_a_curve_that_says_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
