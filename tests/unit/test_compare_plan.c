/* test_compare_plan.c - what a comparison settles before it starts. Expected values worked out by hand. */
#include "evidence/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What a request costs is not known in money here: computed tokens decide, and a classical approach is the cheaper one.
 */
#define TOKENS(n)                                                                                                      \
    {                                                                                                                  \
        .usd = NAN, .setup_usd = NAN, .marginal_usd = NAN, .tokens = (n)                                               \
    }
#define CLASSICAL                                                                                                      \
    {                                                                                                                  \
        .usd = NAN, .setup_usd = NAN, .marginal_usd = NAN, .classical = true                                           \
    }
static const hone_candidate majority = {0.1, CLASSICAL, HONE_APPROACH_BASELINE},
                            neighbour = {0.6, CLASSICAL, HONE_APPROACH_BASELINE},
                            logistic = {0.78, CLASSICAL, HONE_APPROACH_BASELINE},
                            zero_shot = {0.2, TOKENS(50), HONE_APPROACH_PROMPT},
                            retrieved = {0.7, TOKENS(300), HONE_APPROACH_PROMPT},
                            tuned = {0.85, TOKENS(40), HONE_APPROACH_TUNED};

static void test_winner_is_the_best_on_select_and_the_cheaper_of_equals(void **state)
{
    (void)state;
    hone_candidate c[] = {majority, logistic, retrieved, tuned};
    assert_int_equal(hone_plan_winner(c, 4), 3);
    c[2].select_score = c[3].select_score;
    assert_int_equal(hone_plan_winner(c, 4), 3); /* 40 tokens against 300 */
    assert_int_equal(hone_plan_winner(c, 0), -1);
}

static void test_winner_meets_every_cheaper_approach_and_the_best_baseline_only(void **state)
{
    (void)state;
    /* retrieved costs more than tuned, so it is no rival: the winner is better on select and cheaper. */
    hone_candidate c[] = {majority, neighbour, logistic, zero_shot, retrieved, tuned};
    int against[6];
    c[3].cost.tokens = 30;
    size_t n = hone_plan_pairs(c, 6, 5, against);
    assert_int_equal(n, 4);
    assert_int_equal(against[0], 0);
    assert_int_equal(against[1], 1);
    assert_int_equal(against[2], 2);
    assert_int_equal(against[3], 3);
}

static void test_a_winning_baseline_meets_the_best_of_the_others(void **state)
{
    (void)state;
    hone_candidate c[] = {majority, logistic, zero_shot, retrieved};
    int against[4];
    /* Nothing is cheaper than the logistic regression; the best other baseline and the best prompt remain. */
    size_t n = hone_plan_pairs(c, 4, 1, against);
    assert_int_equal(n, 2);
    assert_int_equal(against[0], 0);
    assert_int_equal(against[1], 3);
}

static void test_what_breaks_a_limit_of_time_is_not_named_and_is_no_rival(void **state)
{
    (void)state;
    hone_candidate c[] = {majority, logistic, zero_shot, tuned};
    int against[4];
    c[3].beyond_limits = c[2].beyond_limits = true; /* tuned is the best on select, but too slow */
    assert_int_equal(hone_plan_winner(c, 4), 1);
    /* The best of the others is shown all the same, as what the larger effort would bring. */
    assert_int_equal(hone_plan_pairs(c, 4, 1, against), 2);
    assert_int_equal(against[0], 0);
    assert_int_equal(against[1], 3);
    for (int i = 0; i < 4; i++)
        c[i].beyond_limits = true;
    assert_int_equal(hone_plan_winner(c, 4), 3);
}

/* Tuned costs 40 tokens a request and a new training every month, few-shot 140 tokens: in money few-shot is the cheaper
 * one, and the winner must meet it. */
static void test_what_costs_less_is_planned_by_money_where_that_is_known(void **state)
{
    (void)state;
    hone_candidate c[] = {logistic, retrieved, zero_shot, tuned};
    const double usd[] = {0.00001, 0.0170, 0.2000, 0.1440};
    int against[4];
    for (int i = 0; i < 4; i++)
        c[i].cost.usd = usd[i];
    assert_int_equal(hone_plan_pairs(c, 4, 3, against), 2);
    assert_int_equal(against[0], 0);
    assert_int_equal(against[1], 1);
}

/* By hand: 0.96 is within 5 % of 1, so setting up decides; where that is level too, the time a request takes. */
static void test_the_order_of_costs_looks_further_only_where_they_are_level(void **state)
{
    (void)state;
    hone_running_cost x = {0.96, 10, 2, NAN, false}, y = {1, 5, 1, NAN, false};
    assert_true(hone_running_cost_order(&x, &y) > 0 && hone_running_cost_order(&y, &x) < 0);
    y.setup_usd = 10.2;
    assert_true(hone_running_cost_order(&x, &y) > 0);
    y.marginal_usd = 2.05;
    assert_int_equal(hone_running_cost_order(&x, &y), 0);
    x.usd = 0.94;
    assert_true(hone_running_cost_order(&x, &y) < 0);
    x.usd = NAN; /* not known in money: tokens, and what asks no model before all */
    x.tokens = 200, y.tokens = 100;
    assert_true(hone_running_cost_order(&x, &y) > 0);
    x.classical = true;
    assert_true(hone_running_cost_order(&x, &y) < 0);
}

/* The best baseline and the best of the others break the limit of time: the best of those within it are met. */
static void test_the_best_baseline_and_the_best_other_are_those_within_the_limits(void **state)
{
    (void)state;
    hone_candidate slow_baseline = logistic, slow_tuned = tuned;
    slow_baseline.select_score = 0.85;
    slow_tuned.select_score = 0.84;
    slow_baseline.beyond_limits = slow_tuned.beyond_limits = true;
    hone_candidate c[] = {majority, neighbour, logistic, slow_baseline, zero_shot, slow_tuned};
    int against[6];
    assert_int_equal(hone_plan_winner(c, 6), 2);
    assert_int_equal(hone_plan_pairs(c, 6, 2, against), 2);
    assert_int_equal(against[0], 1); /* not slow_baseline, which is out */
    assert_int_equal(against[1], 4); /* not slow_tuned */
    c[4].beyond_limits = true; /* nothing but baselines is within: the best of the others shows what the limit costs */
    assert_int_equal(hone_plan_pairs(c, 6, 2, against), 2);
    assert_int_equal(against[1], 5);
}

static void test_what_is_not_asked_or_not_measured_breaks_no_limit(void **state)
{
    (void)state;
    hone_task_use asked = {.latency_p95_ms = 300, .deadline_days = 1}, zero = {0},
                  nothing = {.latency_p95_ms = NAN, .deadline_days = NAN};
    assert_true(hone_is_too_slow(&asked, 301) && !hone_is_too_slow(&asked, 300) && !hone_is_too_slow(&asked, NAN));
    assert_true(hone_is_too_late(&asked, 86401) && !hone_is_too_late(&asked, 86400) && !hone_is_too_late(&asked, NAN));
    assert_false(hone_is_too_slow(&zero, 1e9) || hone_is_too_slow(&nothing, 1e9));
    assert_false(hone_is_too_late(&zero, 1e9) || hone_is_too_late(&nothing, 1e9));
}

static void test_a_lone_approach_has_no_pairs(void **state)
{
    (void)state;
    int against[1];
    assert_int_equal(hone_plan_pairs(&majority, 1, 0, against), 0);
    assert_int_equal(hone_plan_pairs(&majority, 1, -1, against), 0);
}

static void test_a_cached_prefix_costs_a_tenth(void **state)
{
    (void)state;
    /* 500 prompt tokens of which 460 are the same for all rows: 40 + 46 + 5 */
    assert_float_equal(hone_request_cost(500, 460, 5), 91, 1e-9);
    assert_float_equal(hone_request_cost(300, 0, 5), 305, 1e-9);
}

static void test_a_smaller_budget_never_gets_a_more_thorough_level(void **state)
{
    (void)state;
    hone_work_facts facts = {.tokens_per_second = 600,
                             .row_tokens = 35,
                             .shown_tokens = 45,
                             .answer_tokens = 7,
                             .n_train = 1600,
                             .n_tune = 200,
                             .n_name = 200,
                             .n_test = 1000,
                             .zero_shot = true,
                             .few_shot = true,
                             .label_tokens = 230,
                             .retrieved = true,
                             .tuned = true,
                             .tuned_prompt = true};
    size_t before = hone_n_levels - 1;
    for (double budget = 30; budget < 40000; budget *= 1.3) {
        size_t level = hone_level_choose(0, &facts, budget);
        assert_true(level <= before);
        if (level < hone_n_levels - 1)
            assert_true(hone_level_seconds(&hone_levels[level], &facts, NULL) <= budget);
        before = level;
    }
    assert_int_equal(before, 0);
    assert_true(hone_level_choose(hone_level_quick(), &facts, 1e9) == hone_level_quick());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_winner_is_the_best_on_select_and_the_cheaper_of_equals),
        cmocka_unit_test(test_winner_meets_every_cheaper_approach_and_the_best_baseline_only),
        cmocka_unit_test(test_a_winning_baseline_meets_the_best_of_the_others),
        cmocka_unit_test(test_what_breaks_a_limit_of_time_is_not_named_and_is_no_rival),
        cmocka_unit_test(test_what_costs_less_is_planned_by_money_where_that_is_known),
        cmocka_unit_test(test_the_order_of_costs_looks_further_only_where_they_are_level),
        cmocka_unit_test(test_the_best_baseline_and_the_best_other_are_those_within_the_limits),
        cmocka_unit_test(test_what_is_not_asked_or_not_measured_breaks_no_limit),
        cmocka_unit_test(test_a_lone_approach_has_no_pairs),
        cmocka_unit_test(test_a_cached_prefix_costs_a_tenth),
        cmocka_unit_test(test_a_smaller_budget_never_gets_a_more_thorough_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
