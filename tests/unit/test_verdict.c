/* test_verdict.c - claims about verdicts. The comparisons are built by hand (tests/comparison_builder.h); expected
 * numbers are counts and hand calculations, written out beside them. */
#include "comparison_builder.h"
#include "evidence/plan.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void decide(built *b)
{
    hone_error err = {0};
    if (hone_decide(&b->c, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static bool line_has(const char **lines, size_t n, const char *part)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(lines[i], part))
            return true;
    return false;
}

static void assert_line(const char **lines, size_t n, const char *part)
{
    if (line_has(lines, n, part))
        return;
    for (size_t i = 0; i < n; i++)
        print_error("  %s\n", lines[i]);
    fail_msg("no line has \"%s\"", part);
}

#define BECAUSE(b, part) assert_line((b).c.verdict.because, (b).c.verdict.n_because, part)
#define UNLESS(b, part) assert_line((b).c.verdict.flips_if, (b).c.verdict.n_flips_if, part)

/* An approach gets the rows [from, to) right instead. */
static void answers(built *b, int index, size_t from, size_t to)
{
    hone_outcome *outcomes = b->approaches[index].outcomes;
    for (size_t i = 0; i < b->c.n_test; i++)
        outcomes[i].score = i >= from && i < to;
}

static void test_a_winner_better_than_everything_cheaper_is_chosen(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    decide(&b);
    const hone_verdict *v = &b.c.verdict;
    assert_int_equal(v->kind, HONE_VERDICT_CHOOSE);
    assert_int_equal(v->choose, TUNED);
    assert_string_equal(v->headline, "Tune it.");
    assert_string_equal(v->confidence, "high");
    assert_has(v->summary,
               "tuned scores 0.824 on the locked test (95 % interval 0.799 to 0.846)"); /* Wilson's formula: 0.79917,
                                                                                           0.84635 */
    assert_has(v->summary, "5.1 points above the logistic regression (");
    assert_has(v->summary, "and 19 points above retrieved few-shot (10) (");
    /* 0.05 s at $0.10 an hour: 0.05 * 0.1 / 3600 * 1000 = 0.00139. */
    assert_has(
        v->summary,
        "The cheaper alternative is the logistic regression: less than $0.00001 against $0.0014 per 1,000 requests.");
    built_end(&b);
}

static void test_pairs_carry_counts_intervals_and_findings(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    decide(&b);
    const hone_pair *p = &b.pairs[1];
    assert_true(p->a == TUNED && p->b == LOGISTIC && p->only_a == 80 && p->only_b == 29);
    assert_true(fabs(p->difference - 0.051) < 1e-12 && p->ci_low > 0 && p->ci_low < 0.051 && p->ci_high > 0.051);
    /* 2 * sum of C(109, k), k up to 29, over 2^109 in exact integers: 1.08091e-6; the largest of the three p-values, so
     * Holm leaves it. */
    assert_true(fabs(p->p - 1.08091e-6) < 1e-11 && p->p_adjusted == p->p);
    assert_string_equal(p->test, "exact McNemar");
    assert_string_equal(p->finding, "better");
    built_end(&b);
}

static void train_with_seeds(built *b, int index, double spread)
{
    hone_seed_results *s = &b->approaches[index].seeds;
    *s = (hone_seed_results){.n = 3, .kept = 2, .seed = {1, 2, 3}};
    for (int i = 0; i < 3; i++)
        s->test[i] = 0.824 + (i - 1) * spread;
}

/* Three seeds a point apart: standard error 0.01 / sqrt(3), times t(0.975, 2) = 4.30 that is 2.5 points beside the 2.0
 * of the rows (109 of 1,000 differ), so 5.1 points are still shown, by an interval that is wider than without. */
static void test_the_spread_over_seeds_is_part_of_the_intervals(void **state)
{
    (void)state;
    built one, three;
    built_sketch(&one), built_sketch(&three);
    train_with_seeds(&three, TUNED, 0.01);
    decide(&one), decide(&three);
    const hone_pair *p = &three.pairs[1], *without = &one.pairs[1];
    assert_string_equal(p->test, "paired bootstrap, with training seeds");
    assert_string_equal(p->finding, "better");
    assert_true(fabs(p->difference - 0.051) < 1e-12);
    assert_true(p->ci_low < without->ci_low - 0.005 && p->ci_high > without->ci_high + 0.005);
    assert_int_equal(three.c.verdict.choose, TUNED);
    assert_true(three.approaches[TUNED].ci_low < 0.799 - 0.005 && three.approaches[TUNED].ci_high > 0.846 + 0.005);
    assert_true(three.approaches[LOGISTIC].ci_low == one.approaches[LOGISTIC].ci_low);
    BECAUSE(three, "was trained with 3 seeds: 0.814, 0.824, 0.834 on the test, standard deviation 0.010");
    BECAUSE(three, "that of seed 3 (0.834), the best on select");
    built_end(&one), built_end(&three);
}

/* The same rows; five points between seeds. What one lucky or unlucky training decides is not claimed. */
static void test_a_lead_that_seeds_can_undo_is_not_claimed(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    train_with_seeds(&b, TUNED, 0.05);
    decide(&b);
    assert_string_equal(b.pairs[1].finding, "no difference shown");
    assert_true(b.c.verdict.choose != TUNED);
    built_end(&b);
}

/* 80 rows against 46, 3.4 points, of which about one is sure: with one seed that is too little; with three the
 * intervals say it themselves. */
static void test_one_seed_is_a_doubt_and_three_are_not(void **state)
{
    (void)state;
    built one, three;
    built_sketch(&one), built_sketch(&three);
    answers(&one, LOGISTIC, 80, 870), answers(&three, LOGISTIC, 80, 870);
    train_with_seeds(&three, TUNED, 0.001);
    decide(&one), decide(&three);
    assert_int_equal(one.c.verdict.choose, TUNED);
    assert_int_equal(three.c.verdict.choose, TUNED);
    BECAUSE(one, "tuning again with another seed");
    assert_false(line_has(three.c.verdict.because, three.c.verdict.n_because, "tuning again with another seed"));
    built_end(&one), built_end(&three);
}

static void test_costs_are_the_models_by_hand(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.requests_per_month = 200000;
    decide(&b);
    const hone_approach_result *a = &b.approaches[TUNED];
    assert_true(fabs(a->cost_per_1k_usd - 1000 * 0.05 * 0.10 / 3600) < 1e-12);
    assert_true(fabs(a->cost_per_1k_provisioned_usd - 1000 * 730 * 0.10 / 200000) < 1e-9); /* always on */
    assert_true(fabs(a->setup_usd - (1600 * 0.08 + (665 + 60) * 0.10 / 3600)) < 1e-9);
    /* The baseline pays for its labels like anything else. */
    assert_true(fabs(b.approaches[LOGISTIC].setup_usd - (128 + 61.1 * 0.10 / 3600)) < 1e-9);
    built_end(&b);
}

static void nothing_said_of_work(built *b)
{
    b->task.work = (hone_task_work){NAN, NAN, NAN, NAN, NAN};
    for (size_t i = 0; i < b->c.n_approaches; i++)
        b->approaches[i].sends_prompt = b->approaches[i].family == HONE_FAMILY_PROMPT;
}

static void test_assumed_hours_of_work_are_in_set_up_and_break_even(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    nothing_said_of_work(&b);
    decide(&b);
    const hone_approach_result *a = &b.approaches[TUNED];
    /* 1,600 labels at 0.08; 725 s at 0.10 an hour; 4 hours of tuning and 2 of deployment at 80. */
    assert_true(fabs(a->setup_usd - (128 + 725 * 0.10 / 3600 + 480)) < 1e-9);
    assert_true(a->setup_labels_usd == 128 && a->setup_work_usd == 480 && a->work_hours == 6);
    assert_true(fabs(a->setup_compute_usd - 725 * 0.10 / 3600) < 1e-12);
    assert_true(a->change_hours == 3 && fabs(a->change_usd - (128 + 725 * 0.10 / 3600 + 240)) < 1e-9);
    /* The prompt: 40 labels, 220 s, half a day. Extra 124.80 + 505 s + 480 - 320; saving 0.40 s a request. */
    assert_true(fabs(b.approaches[RETRIEVED].setup_usd - (3.2 + 220 * 0.10 / 3600 + 320)) < 1e-9);
    double extra = 124.8 + 505 * 0.1 / 3600 + 160, saving = 0.40 * 0.1 / 3600;
    assert_int_equal(b.c.verdict.break_even_against, RETRIEVED);
    assert_true(fabs(b.c.verdict.break_even_requests - extra / saving) < 1);
    /* The band of an hour's price: at 40 the work counts for half, at 160 for twice as much. */
    const hone_band *band = NULL;
    for (size_t i = 0; i < b.c.verdict.n_sensitivity; i++)
        if (strcmp(b.c.verdict.sensitivity[i].input, "price of an engineer's hour") == 0)
            band = &b.c.verdict.sensitivity[i];
    assert_non_null(band);
    assert_true(band->low == 40 && band->high == 160);
    assert_true(fabs(band->break_even_at_low - (extra - 80) / saving) < 1);
    assert_true(fabs(band->break_even_at_high - (extra + 160) / saving) < 1);
    built_end(&b);
}

/* Tokens of a provider: 1 and 4 dollars a million; nine requests in ten find the 100 static tokens in the cache, read
 * at a tenth, stored at 1.25 of the price: 1e-6 * (100 * (0.9 * 0.1 + 0.1 * 1.25) + 200) + 4e-6 * 5 = 2.415e-4 a
 * request. */
static void test_tokens_of_a_provider_are_priced_with_its_cache(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.prices.input_million_usd = 1;
    b.task.prices.output_million_usd = 4;
    b.task.prices.cache_hit_rate = 0.9;
    b.task.prices.cache_read = 0.1;
    b.task.prices.cache_write = 1.25;
    b.approaches[RETRIEVED].tokens_in = 300;
    b.approaches[RETRIEVED].tokens_static = 100;
    b.approaches[RETRIEVED].tokens_out = 5;
    b.approaches[TUNED].tokens_in = 20; /* no prefix: 2e-5 + 4e-6 * 5 = 4e-5 */
    b.approaches[TUNED].tokens_out = 5;
    decide(&b);
    assert_true(fabs(b.approaches[RETRIEVED].cost_per_1k_usd - 0.2415) < 1e-12);
    assert_true(fabs(b.approaches[TUNED].cost_per_1k_usd - 0.04) < 1e-12);
    /* A baseline sends no tokens: its seconds here are what it costs. Tuning still runs here. */
    assert_true(fabs(b.approaches[LOGISTIC].cost_per_1k_usd - 1000 * 5e-5 * 0.1 / 3600) < 1e-15);
    b.approaches[LOGISTIC].tokens_in = 20; /* of the sentence encoder here: still nothing that a provider bills */
    assert_int_equal(hone_decide_costs(&b.c, NULL), HONE_OK);
    assert_true(fabs(b.approaches[LOGISTIC].cost_per_1k_usd - 1000 * 5e-5 * 0.1 / 3600) < 1e-15);
    assert_true(fabs(b.approaches[TUNED].setup_usd - (128 + 725 * 0.10 / 3600)) < 1e-9);
    /* N* = (1,560 labels + 505 s) / (2.415e-4 - 4e-5); with a cache that always hits 1e-6 * 210 + 2e-5 = 2.3e-4. */
    assert_true(fabs(b.c.verdict.break_even_requests - (124.8 + 505 * 0.1 / 3600) / 2.015e-4) < 1);
    const hone_band *band = NULL;
    for (size_t i = 0; i < b.c.verdict.n_sensitivity; i++)
        if (strcmp(b.c.verdict.sensitivity[i].input, "cache hit rate of retrieved few-shot (10)") == 0)
            band = &b.c.verdict.sensitivity[i];
    assert_non_null(band);
    assert_true(fabs(band->break_even_at_high - (124.8 + 505 * 0.1 / 3600) / 1.9e-4) < 1);
    built_end(&b);
}

/* Tuned needs a tenth of a second less, but three hours of work at each of four changes against the prompt's one. */
static void test_hours_that_nobody_stated_decide_nothing(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 1000);
    int prompt = built_add(&b, (built_approach){"zero-shot", HONE_FAMILY_PROMPT, 20, 810, 0.80, 0.12, 0, 0});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 800, 0.82, 0.02, 0, 0});
    built_plan(&b, tuned, &prompt, 1);
    nothing_said_of_work(&b);
    b.task.use.requests_per_month = 1000;
    b.task.use.changes_per_year = 4;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_CHOOSE);
    assert_int_equal(b.c.verdict.choose, tuned);
    b.task.work.deployment_hours = 2;
    b.task.work.change_hours = 1;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_CHEAPER);
    assert_int_equal(b.c.verdict.choose, prompt);
    built_end(&b);
}

static void test_a_cheaper_baseline_that_is_not_shown_worse_is_taken(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, LOGISTIC, 40,
            850); /* 40 rows only tuned, 26 only the regression: 1.4 points, p = 0.1089 in exact integers */
    decide(&b);
    const hone_verdict *v = &b.c.verdict;
    assert_int_equal(v->kind, HONE_VERDICT_BASELINE);
    assert_int_equal(v->choose, LOGISTIC);
    assert_string_equal(v->headline, "Use the logistic regression.");
    assert_has(
        v->summary,
        "tuned, the best on select, is 1.4 points higher, which is not shown to be more than chance (interval -");
    assert_has(v->summary, "p = 0.11");
    assert_has(v->summary, "points to be given up");
    UNLESS(b, "is worth the cost to you (then: tuned)");
    assert_string_equal(b.pairs[1].finding, "no difference shown");
    built_end(&b);
}

static void test_a_cheaper_prompt_that_is_not_shown_worse_is_taken(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 1000);
    int prompt = built_add(&b, (built_approach){"zero-shot", HONE_FAMILY_PROMPT, 20, 810, 0.80, 0.02, 0, 0});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 800, 0.82, 0.05, 600, 1600});
    built_plan(&b, tuned, &prompt, 1);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_CHEAPER);
    assert_int_equal(b.c.verdict.choose, prompt);
    assert_string_equal(b.c.verdict.headline, "Prompt it: zero-shot.");
    assert_string_equal(b.c.verdict.confidence, "high");
    built_end(&b);
}

static void test_no_difference_on_few_rows_is_not_a_reason_to_take_the_cheaper(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 60);
    int logistic = built_add(
        &b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 12, 52, 0.70, 5e-5, 1, 400});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 46, 0.80, 0.05, 600, 400});
    built_plan(&b, tuned, &logistic, 1);
    decide(&b);
    const hone_verdict *v = &b.c.verdict;
    assert_int_equal(v->kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_int_equal(v->choose, -1);
    assert_string_equal(v->headline, "Not enough data to tell.");
    assert_string_equal(v->confidence, "low");
    assert_has(v->summary, "10 points below"); /* 46 - 40 of 60 */
    /* 12 + 6 of 60 differ: (1.96 + 0.8416)^2 * 0.3 / 0.05^2 = 941.9, rounded up. */
    assert_has(v->summary, "About 950 test rows would show a difference of 5 points; there are 60.");
    assert_has(v->summary, "For now take the logistic regression");
    UNLESS(b, "you label about 950 test rows (now 60)");
    built_end(&b);
}

static void test_the_same_share_of_differences_on_many_rows_is_enough(void **state)
{
    (void)state;
    built b; /* the case above, fifty times as many rows and level scores */
    built_begin(&b, 3000);
    int logistic = built_add(
        &b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 300, 2300, 0.70, 5e-5, 1, 400});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 2000, 0.80, 0.05, 600, 400});
    built_plan(&b, tuned, &logistic, 1);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_BASELINE);
    assert_int_equal(b.c.verdict.choose, logistic);
    assert_has(b.c.verdict.summary, "scores the same (0 points");
    built_end(&b);
}

static void test_a_dearer_one_that_may_be_much_better_is_left_open(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 60);
    int logistic = built_add(
        &b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 0, 42, 0.80, 5e-5, 1, 400});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 9, 55, 0.78, 0.05, 600, 400});
    built_plan(&b, logistic, &tuned, 1);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_has(b.c.verdict.summary, "Whether tuned, which costs more, is better cannot be told");
    built_end(&b);
}

static void test_a_baseline_that_wins_is_said_to_do_the_work(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, TUNED, 100, 800); /* 0.700, all of them right in the regression, too */
    built_plan(&b, LOGISTIC, (const int[]){MAJORITY, TUNED}, 2);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_BASELINE);
    assert_int_equal(b.c.verdict.choose, LOGISTIC);
    assert_string_equal(b.c.verdict.headline, "Use the logistic regression.");
    assert_has(b.c.verdict.summary, "7.3 points above tuned");
    assert_has(b.c.verdict.summary, "Nothing that could do the work costs less.");
    built_end(&b);
}

static void test_the_test_can_refute_what_select_named(void **state)
{
    (void)state;
    built b;
    built_sketch(
        &b); /* by a cheaper one: the rule settled beforehand takes the cheapest that is not shown to be worse */
    answers(&b, LOGISTIC, 0, 900);
    decide(&b);
    assert_int_equal(b.c.verdict.choose, LOGISTIC);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_BASELINE);
    assert_string_equal(b.pairs[1].finding, "worse");
    BECAUSE(b, "tuned was named on select");
    BECAUSE(b, "the test does not confirm tuned");
    assert_string_not_equal(b.c.verdict.confidence, "high");
    built_end(&b);
    built_sketch(&b); /* by a dearer one: that is a lead, and no choice */
    answers(&b, RETRIEVED, 0, 900);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_int_equal(b.c.verdict.choose, -1);
    assert_has(b.c.verdict.summary,
               "tuned, the best on select, is not confirmed: retrieved few-shot (10) scores 0.900");
    assert_has(b.c.verdict.summary, "7.6 points above tuned");
    assert_has(b.c.verdict.summary, "test rows that nobody has looked at");
    built_end(&b);
}

/* Rule 6 of docs/design.md: select names, the locked test confirms or refutes and never picks. */
static void test_the_locked_test_never_picks(void **state)
{
    (void)state;
    built b;
    built_sketch(&b); /* not planned against, all rows right, and cheaper: no choice, neither of it nor of the leader */
    answers(&b, LOGISTIC, 0, 1000);
    built_plan(&b, TUNED, (const int[]){MAJORITY, RETRIEVED}, 2);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_int_equal(b.c.verdict.choose, -1);
    assert_int_equal(b.c.n_pairs, 2);
    assert_has(b.c.verdict.summary, "The logistic regression costs less");
    assert_has(b.c.verdict.summary, "not among the comparisons planned before the test was opened");
    built_end(&b);
    built_sketch(&b); /* the winner fails the minimum, one that costs more reaches it: a lead, and no choice */
    answers(&b, TUNED, 0, 400);
    answers(&b, LOGISTIC, 0, 390);
    answers(&b, RETRIEVED, 0, 900);
    b.task.use.min_score = 0.7;
    built_plan(&b, TUNED, (const int[]){MAJORITY, LOGISTIC}, 2);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_int_equal(b.c.verdict.choose, -1);
    assert_has(b.c.verdict.summary, "all of it below your minimum of 0.70");
    assert_has(b.c.verdict.summary, "retrieved few-shot (10) scores 0.900 there");
    built_end(&b);
}

static void test_nothing_that_reaches_the_minimum_is_neither(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.min_score = 0.9;
    decide(&b);
    const hone_verdict *v = &b.c.verdict;
    assert_int_equal(v->kind, HONE_VERDICT_NEITHER);
    assert_int_equal(v->choose, -1);
    assert_string_equal(v->headline, "Neither works.");
    assert_has(v->summary, "Nothing reaches your minimum of 0.90: the best, tuned, scores 0.824");
    UNLESS(b, "a score of 0.799 is enough (then: tuned)");
    built_end(&b);
}

static void test_a_minimum_inside_the_interval_is_not_decided(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.min_score = 0.83; /* above 0.824, within 0.799 to 0.846 */
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_has(b.c.verdict.summary, "below your minimum of 0.83, but the interval reaches it");
    built_end(&b);
    built_sketch(&b);
    b.task.use.min_score = 0.82;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_CHOOSE);
    assert_string_equal(b.c.verdict.confidence, "moderate");
    BECAUSE(b, "its score of 0.824 reaches your minimum of 0.82, but its interval goes down to 0.799");
    built_end(&b);
}

static void test_a_score_is_never_rounded_over_the_minimum(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 10000);
    built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 6999, 0.7, 0.05, 600, 1600}); /* 0.6999 */
    b.task.use.min_score = 0.7;
    built_plan(&b, 0, NULL, 0);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_has(b.c.verdict.summary, "tuned scores 0.6999 on");
    built_end(&b);
}

static void test_the_cheaper_one_must_reach_the_minimum_too(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, LOGISTIC, 40, 850); /* 0.810, not shown to be worse than 0.824 */
    b.task.use.min_score = 0.82;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_has(b.c.verdict.summary, "its 0.810 is below your minimum of 0.82");
    built_end(&b);
}

static void test_what_does_not_beat_guessing_works_not(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, MAJORITY, 0, 830);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NEITHER);
    assert_has(b.c.verdict.summary, "always giving the most frequent label scores 0.830");
    built_end(&b);
    /* On thirty rows the same is not known. */
    built_begin(&b, 30);
    int majority = built_add(&b, (built_approach){"majority", HONE_FAMILY_BASELINE, 0, 12, 0.4, 1e-6, 0, 100});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 5, 20, 0.5, 0.05, 60, 100});
    built_plan(&b, tuned, &majority, 1);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    built_end(&b);
}

/* Nobody has a row right in 16, which says little: a score of 5 points varies by 0.05 * 0.95, so that telling it from 0
 * takes 2.80^2 * 0.0475 / 0.05^2 = 149 rows, not a few. */
static void test_no_row_right_asks_for_enough_rows(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 16);
    b.task.n_labels = 0;
    int majority = built_add(&b, (built_approach){"majority", HONE_FAMILY_BASELINE, 0, 0, 0, 2e-6, 0.001, 40});
    int prompt = built_add(&b, (built_approach){"zero-shot", HONE_FAMILY_PROMPT, 0, 0, 0.1, 0.02, 0, 0});
    built_plan(&b, prompt, &majority, 1);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_has(b.c.verdict.summary, "always giving the most frequent answer scores 0.00");
    assert_has(b.c.verdict.summary, "About 150 test rows would show a difference of 5 points; there are 16.");
    built_end(&b);
}

static void test_guessing_is_never_recommended(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 1000);
    built_add(&b, (built_approach){"majority", HONE_FAMILY_BASELINE, 0, 900, 0.9, 1e-6, 0, 100});
    built_plan(&b, 0, NULL, 0);
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NEITHER);
    assert_has(b.c.verdict.summary, "Only guessing was compared");
    built_end(&b);
}

static void test_too_slow_is_out_whatever_it_scores(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.latency_p95_ms = 100;
    for (int i = 0; i < 4; i++)
        b.approaches[i].latency_p95_ms = 20;
    b.approaches[TUNED].latency_p95_ms = 147;
    b.approaches[TUNED].latency_n = 40;
    decide(&b);
    assert_int_equal(b.c.verdict.choose, LOGISTIC);
    BECAUSE(b, "tuned was named on select but is out");
    BECAUSE(b, "tuned is out: its slowest 5 % of requests take 147 ms (p95 of 40), your limit is 100 ms");
    UNLESS(b, "a limit of 147 ms for the slowest 5 % of requests will do (then: tuned)");
    built_end(&b);
    built_sketch(&b);
    b.task.use.latency_p95_ms = 10;
    for (int i = 0; i < 4; i++)
        b.approaches[i].latency_p95_ms = 20 + i;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NEITHER);
    assert_has(b.c.verdict.summary, "the fastest, the logistic regression, takes 21 ms");
    built_end(&b);
    built_sketch(&b); /* a limit, and nothing measured: said, and not certain */
    b.task.use.latency_p95_ms = 100;
    decide(&b);
    assert_int_equal(b.c.verdict.choose, TUNED);
    BECAUSE(b, "its latency was not measured");
    assert_string_not_equal(b.c.verdict.confidence, "high");
    built_end(&b);
}

static void test_a_saturated_test_is_said(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, LOGISTIC, 0, 990);
    answers(&b, RETRIEVED, 0, 985);
    answers(&b, TUNED, 5, 1000);
    decide(&b);
    BECAUSE(b, "the test is saturated");
    assert_string_not_equal(b.c.verdict.confidence, "high");
    assert_int_equal(b.c.verdict.choose, LOGISTIC); /* 10 rows against 5: nothing shown, at most some points open */
    built_end(&b);
    built_sketch(&b);
    answers(&b, TUNED, 0, 1000);
    decide(&b);
    BECAUSE(b, "no error in 1,000 rows means an error rate of up to 0.3 %"); /* 3/n */
    built_end(&b);
}

static void test_break_even_is_in_requests_and_in_weeks(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.requests_per_month = 20e6;
    decide(&b);
    /* Retrieved few-shot: 40 labels, 160 s of search, 0.45 s a request. Extra set-up 1560 * 0.08 + 505 * 0.1/3600 =
     * 124.814; saving 0.40 s * 0.1/3600 = 1.1111e-5: 11,233,262 requests, 0.56 months of 20 million. */
    assert_int_equal(b.c.verdict.break_even_against, RETRIEVED);
    assert_true(fabs(b.c.verdict.break_even_requests - (1560 * 0.08 + 505 * 0.1 / 3600) / (0.40 * 0.1 / 3600)) < 1);
    UNLESS(b, "you serve fewer than 940,000 requests a month (then: retrieved few-shot (10))"); /* over 12 months */
    UNLESS(b, "the task changes more often than every 2 weeks");
    built_end(&b);
    built_sketch(&b);
    b.task.use.requests_per_month = 200000; /* 11.2 million take 56 months */
    decide(&b);
    BECAUSE(b, "takes 5 years to pay back, longer than the 12 months you plan for: what it buys is the score");
    assert_false(line_has(b.c.verdict.flips_if, b.c.verdict.n_flips_if, "you serve fewer"));
    built_end(&b);
    built_sketch(&b);
    b.task.use.requests_per_month = 20e6;
    b.task.use.changes_per_year = 4; /* the set-up must pay back within three months */
    decide(&b);
    UNLESS(b, "you serve fewer than 3,700,000 requests a month");
    assert_has(b.c.verdict.summary, "setting it up again 4 times a year included");
    built_end(&b);
}

static void test_without_requests_nothing_pays_back(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.use.requests_per_month = 0;
    decide(&b);
    BECAUSE(b, "no requests are planned");
    assert_true(isnan(b.approaches[TUNED].cost_per_1k_provisioned_usd));
    built_end(&b);
    built_sketch(&b);
    b.approaches[RETRIEVED].busy_seconds_per_request = 0.01; /* cheaper to set up and to run: never */
    decide(&b);
    assert_int_equal(b.c.verdict.break_even_against, RETRIEVED);
    assert_true(isnan(b.c.verdict.break_even_requests));
    built_end(&b);
}

static void test_upkeep_can_make_the_dearer_request_the_cheaper_one(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 1000);
    int prompt = built_add(&b, (built_approach){"zero-shot", HONE_FAMILY_PROMPT, 20, 810, 0.80, 0.2, 0, 0});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 800, 0.82, 0.05, 600, 1600});
    built_plan(&b, tuned, &prompt, 1);
    b.task.use.requests_per_month = 100000;
    decide(&b); /* nothing changes: 0.0014 against 0.0056 per 1,000 */
    assert_int_equal(b.c.verdict.choose, tuned);
    b.task.use.changes_per_year = 4; /* four times $128 over 1.2 million requests: 0.43 per 1,000 more */
    decide(&b);
    assert_int_equal(b.c.verdict.choose, prompt);
    built_end(&b);
}

static void test_microseconds_do_not_make_one_baseline_the_cheaper(void **state)
{
    (void)state;
    for (int slower = 0; slower < 2; slower++) {
        built b;
        built_begin(&b, 1000);
        int neighbour = built_add(&b, (built_approach){"nearest neighbour", HONE_FAMILY_BASELINE, 20, 810, 0.80,
                                                       slower ? 9e-5 : 2e-5, 0.3, 1600});
        int logistic = built_add(
            &b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 0, 800, 0.82, 5e-5, 1, 1600});
        built_plan(&b, logistic, &neighbour, 1);
        decide(&b); /* 30 to 40 microseconds are $0.0000011 per 1,000 requests at most: the choice of select stands */
        assert_int_equal(b.c.verdict.choose, logistic);
        built_end(&b);
    }
}

static void test_the_cost_of_errors_is_shown_and_decides_nothing(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, LOGISTIC, 40, 850);
    decide(&b);
    int without = b.c.verdict.choose;
    b.task.use.error_cost_usd = 1000; /* 1.4 points would be worth $14,000 per 1,000 requests */
    decide(&b);
    assert_int_equal(b.c.verdict.choose, without);
    /* 190 errors in 1,000 at $1,000; Wilson 0.78452 to 0.83311. */
    BECAUSE(b, "at $1,000 an error, its errors cost $190,000 per 1,000 requests ($167,000 to $215,000)");
    BECAUSE(b, "they decide nothing");
    built_end(&b);
}

static void test_one_approach_and_no_pairs_is_never_certain(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 1000);
    built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 824, 0.828, 0.05, 665, 1600});
    built_plan(&b, 0, NULL, 0);
    decide(&b);
    assert_int_equal(b.c.verdict.choose, 0);
    assert_string_equal(b.c.verdict.confidence, "low");
    BECAUSE(b, "it was compared with nothing else");
    built_end(&b);
    built_sketch(&b); /* several, none planned: none is made after the test was seen, and that is said */
    b.c.n_pairs = 0;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA); /* the regression costs less and beats guessing */
    assert_int_equal(b.c.verdict.choose, -1);
    assert_int_equal(b.c.n_pairs, 0);
    assert_string_equal(b.c.verdict.confidence, "low");
    built_end(&b);
}

/* A new training every month for 1,000 requests: tuned pays for 1,800 labels (144 USD), few-shot for 208 (16.64 USD),
 * so few-shot costs $17 per 1,000 requests and tuned $144, though a request of few-shot takes more tokens. By the costs
 * that the verdict rests on few-shot is planned; one the verdict calls cheaper is never left out. */
static void test_what_the_verdict_calls_cheaper_is_planned(void **state)
{
    (void)state;
    enum { FEW_SHOT = 2, RETRIEVED_HERE, TUNED_HERE, N };
    static const hone_approach_family families[] = {HONE_APPROACH_BASELINE, HONE_APPROACH_BASELINE,
                                                    HONE_APPROACH_PROMPT, HONE_APPROACH_PROMPT, HONE_APPROACH_TUNED};
    built b;
    hone_error err;
    hone_candidate candidates[N];
    int against[N];
    built_begin(&b, 600);
    b.task.use.requests_per_month = 1000;
    b.task.use.changes_per_year = b.task.use.horizon_months = 12;
    built_add(&b, (built_approach){"majority", HONE_FAMILY_BASELINE, 0, 30, .05, 2e-6, .001, 1600});
    built_add(&b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 0, 360, .60, 2e-5, 1, 1600});
    built_add(&b, (built_approach){"few-shot", HONE_FAMILY_PROMPT, 10, 480, .780, .20, 60, 208});
    built_add(&b, (built_approach){"retrieved few-shot", HONE_FAMILY_PROMPT, 0, 400, .785, .30, 60, 1600});
    built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 480, .80, .05, 2000, 1800});
    b.approaches[FEW_SHOT].tokens_in = 600;
    b.approaches[TUNED_HERE].tokens_in = 60;
    assert_int_equal(hone_decide_costs(&b.c, &err), HONE_OK);
    assert_float_equal(1000 * b.approaches[FEW_SHOT].running_cost.usd, 16.64, 0.05);
    assert_float_equal(1000 * b.approaches[TUNED_HERE].running_cost.usd, 144, 0.1);
    for (int i = 0; i < N; i++)
        candidates[i] = (hone_candidate){.select_score = b.approaches[i].select_name_score,
                                         .family = families[i],
                                         .cost = b.approaches[i].running_cost};
    assert_int_equal(hone_plan_winner(candidates, N), TUNED_HERE);
    assert_int_equal(hone_plan_pairs(candidates, N, TUNED_HERE, against), 4); /* all others cost less */
    built_plan(&b, TUNED_HERE, (const int[]){0, 1}, 2);                       /* as if they had not been planned */
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    built_plan(&b, TUNED_HERE, (const int[]){0, 1, FEW_SHOT}, 3);
    answers(&b, RETRIEVED_HERE, 0, 20); /* not of use, so its absence is no gap */
    decide(&b);
    assert_int_equal(b.c.verdict.choose, TUNED_HERE); /* ten rows only tuned, none only few-shot: p = 2/1024 */
    BECAUSE(b, "all 3 compared approaches that cost less are shown to be worse");
    built_plan(&b, TUNED_HERE, (const int[]){FEW_SHOT}, 1);
    answers(&b, 1, 0, 20);
    decide(&b);
    BECAUSE(b, "the one compared approach that costs less is shown to be worse");
    built_end(&b);
}

/* Three rows of select were asked of four: tuned has the first two right, the regression the third. In a resample of
 * three rows k of them are the third row, k ~ B(3, 1/3): the regression is the best for k = 2 and 3, that is in 7/27.
 * Naming tuned loses (2k - 3)/3 then: 1/3 * 6/27 + 1 * 1/27 = 1/9; naming the regression 1/9 + (2 - 1)/3. */
static void test_luck_on_select_is_the_share_of_resamples(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    hone_outcome of_tuned[] = {{.score = 1}, {.score = 1}, {.score = 0}, {.score = NAN}};
    hone_outcome of_regression[] = {{.score = 0}, {.score = 0}, {.score = 1}, {.score = NAN}};
    b.task.select_name.n = 4;
    b.approaches[TUNED].select_outcomes = of_tuned;
    b.approaches[LOGISTIC].select_outcomes = of_regression;
    decide(&b);
    assert_true(fabs(b.approaches[TUNED].select_p_best - 20.0 / 27) < 0.02);
    assert_true(fabs(b.approaches[LOGISTIC].select_p_best - 7.0 / 27) < 0.02);
    assert_true(fabs(b.approaches[TUNED].select_regret - 1.0 / 9) < 0.02);
    assert_true(fabs(b.approaches[LOGISTIC].select_regret - 4.0 / 9) < 0.02);
    assert_true(isnan(b.approaches[RETRIEVED].select_p_best)); /* no answers on select at hand */
    BECAUSE(b, "% of resamples of it, expected regret 1");
    assert_string_equal(b.c.verdict.confidence, "high");
    /* Better on every row: certain, and nothing is lost. */
    of_tuned[2].score = 1;
    of_regression[2].score = 0;
    decide(&b);
    assert_true(b.approaches[TUNED].select_p_best == 1 && b.approaches[TUNED].select_regret == 0);
    BECAUSE(b, "the best in 100 % of resamples of it, expected regret 0 points");
    /* The winner is the best in 7/27 only: which one is named was luck. */
    of_tuned[0].score = of_tuned[1].score = 0;
    of_regression[0].score = of_regression[1].score = 1;
    decide(&b);
    assert_string_equal(b.c.verdict.confidence, "moderate");
    BECAUSE(b, "select does not settle which approach is the best");
    built_end(&b);
}

/* A verdict says what it rests on: what tuning went without, and what was not tried at all. */
static void test_a_verdict_speaks_of_the_effort_that_was_spent(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    answers(&b, LOGISTIC, 40, 850); /* as good as tuned, and cheaper */
    b.approaches[LOGISTIC].latency_p50_ms = 0.052;
    b.approaches[LOGISTIC].latency_n = 40;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_BASELINE);
    BECAUSE(b, "it is a classical baseline: no text is generated to answer, and an answer takes 0.05 ms");
    assert_false(line_has(b.c.verdict.flips_if, b.c.verdict.n_flips_if, "full effort"));
    b.c.tuning_note = "1 epoch instead of 3";
    decide(&b);
    UNLESS(b, "tuning scores higher with its full effort, which it did not get here: 1 epoch instead of 3 (then "
              "perhaps: tuned)");
    b.approaches[TUNED].epochs = 0.44;
    b.approaches[TUNED].epochs_planned = 1;
    decide(&b);
    UNLESS(b, "1 epoch instead of 3, and time for 0.44 of 1 epoch (then perhaps: tuned)");
    built_end(&b);
    /* Where tuning is chosen, what it went without is no reason against it. */
    built_sketch(&b);
    b.c.tuning_note = "1 epoch instead of 3";
    decide(&b);
    assert_int_equal(b.c.verdict.choose, TUNED);
    assert_false(line_has(b.c.verdict.flips_if, b.c.verdict.n_flips_if, "full effort"));
    built_end(&b);
    built_begin(&b, 1000);
    int regression = built_add(
        &b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 80, 853, 0.771, 5e-5, 1.1, 1600});
    int majority = built_add(&b, built_majority);
    built_plan(&b, regression, &majority, 1);
    decide(&b);
    UNLESS(b, "a prompt or tuning, neither of which was tried here, does better");
    built_end(&b);
}

static void test_doubts_lower_the_confidence(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.c.quick = true;
    decide(&b);
    assert_string_equal(b.c.verdict.confidence, "moderate");
    BECAUSE(b, "this was a quick run");
    built_end(&b);
    built_sketch(&b);
    b.c.test_openings = 9;
    decide(&b);
    assert_string_equal(b.c.verdict.confidence, "moderate");
    BECAUSE(b, "the test was opened 9 times");
    built_end(&b);
    built_sketch(&b);
    b.c.n_test = 90;
    answers(&b, MAJORITY, 0, 2);
    answers(&b, LOGISTIC, 0, 30);
    answers(&b, RETRIEVED, 0, 20);
    answers(&b, TUNED, 0, 80);
    decide(&b);
    assert_int_equal(b.c.verdict.choose, TUNED);
    assert_string_equal(b.c.verdict.confidence, "low");
    assert_has(b.c.verdict.summary, "tuned scores 0.89 on"); /* an interval of 0.13: two decimals, not three */
    built_end(&b);
}

static void test_what_was_not_measured_is_not_invented(void **state)
{
    (void)state;
    built b;
    built_sketch(&b);
    b.task.prices = (hone_task_prices){NAN, NAN, NAN};
    for (int i = 0; i < 4; i++) {
        hone_approach_result *a = &b.approaches[i];
        a->select_tune_score = a->select_name_score = a->tokens_in = a->tokens_out = a->tokens_static = NAN;
        a->busy_seconds_per_request = a->build_seconds = a->evaluation_seconds = a->train_tokens_per_second = NAN;
    }
    decide(&b);
    assert_int_equal(b.c.verdict.choose, TUNED); /* what it was compared with is shown to be worse, whatever it costs */
    assert_true(isnan(b.approaches[TUNED].cost_per_1k_usd) && isnan(b.approaches[TUNED].setup_usd));
    assert_true(isnan(b.c.verdict.break_even_requests) && b.c.verdict.break_even_against == -1);
    BECAUSE(b, "its running cost is not known");
    assert_string_not_equal(b.c.verdict.confidence, "high");
    built_end(&b);
    built_sketch(&b); /* no test at all */
    for (int i = 0; i < 4; i++)
        b.approaches[i].tested = false;
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    assert_true(isnan(b.pairs[0].difference));
    assert_string_equal(b.pairs[0].finding, "not tested");
    built_end(&b);
    built_begin(&b, 0); /* nothing at all */
    decide(&b);
    assert_int_equal(b.c.verdict.kind, HONE_VERDICT_NOT_ENOUGH_DATA);
    built_end(&b);
}

static void test_rows_of_one_group_are_one_source(void **state)
{
    (void)state;
    built b;
    built_begin(&b, 100);
    int logistic =
        built_add(&b, (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 0, 70, 0.7, 5e-5, 1, 400});
    int tuned = built_add(&b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 90, 0.9, 0.05, 600, 400});
    built_plan(&b, tuned, &logistic, 1);
    decide(&b);
    assert_string_equal(b.pairs[0].finding, "better"); /* 20 rows to 0 */
    hone_row *rows = hone_arena_array(b.c.arena, 100, sizeof *rows);
    static const char *const groups[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 100; i++)
        rows[i].group = groups[i / 20]; /* the 20 rows come from two sources: no proof */
    b.task.test = (hone_rows){rows, 100};
    for (int i = 0; i < 2; i++)
        b.approaches[i].ci_low = b.approaches[i].ci_high = NAN;
    decide(&b);
    assert_string_equal(b.pairs[0].test, "paired bootstrap by group");
    assert_string_equal(b.pairs[0].finding, "no difference shown");
    assert_true(b.pairs[0].ci_low <= 0 && b.pairs[0].ci_high >= 0);
    built_end(&b);
}

static void test_broken_comparisons_are_refused(void **state)
{
    (void)state;
    built b;
    hone_error err;
    built_sketch(&b);
    b.c.winner = 4;
    assert_int_equal(hone_decide(&b.c, &err), HONE_BAD_INPUT);
    b.c.winner = TUNED;
    b.pairs[0].b = 17;
    assert_int_equal(hone_decide(&b.c, &err), HONE_BAD_INPUT);
    b.pairs[0].b = MAJORITY;
    b.approaches[TUNED].outcomes[7].score = NAN;
    assert_int_equal(hone_decide(&b.c, &err), HONE_BAD_INPUT);
    assert_has(err.message, "tuned: test row 8");
    b.approaches[TUNED].outcomes[7].score = 82;
    assert_int_equal(hone_decide(&b.c, &err), HONE_BAD_INPUT);
    b.c.task = NULL;
    assert_int_equal(hone_decide(&b.c, &err), HONE_BAD_INPUT);
    built_end(&b);
}

/* ---- whatever the comparison: claims and intervals agree, texts are clean */

static void assert_clean(const char *text, bool clause)
{
    static const char *const never[] = {"nan", "inf ",   "significant", "  ", "-0 ", "$-",
                                        "%!",  "(null)", "..",          "!",  ";;",  "( "};
    assert_true(text && text[0]);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(text, never[i]))
            fail_msg("\"%s\" in: %s", never[i], text);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p >= 128 || (unsigned char)*p < 32)
            fail_msg("a byte %d in: %s", (unsigned char)*p, text);
    if ((text[strlen(text) - 1] == '.') == clause)
        fail_msg("%s", text);
}

/* The winner, or where it is too slow the best on select that is not; never by a score on the test. */
static int leads_on_select(const built *b)
{
    int best = -1;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < (int)b->c.n_approaches; i++) {
            const hone_approach_result *a = &b->approaches[i];
            if (a->latency_p95_ms > b->task.use.latency_p95_ms || strcmp(a->name, "majority") == 0)
                continue;
            if (pass == 0 && i == b->c.winner)
                return i;
            if (pass == 1 && (best < 0 || a->select_name_score > b->approaches[best].select_name_score))
                best = i;
        }
    return best;
}

static void assert_sound(const built *b)
{
    const hone_verdict *v = &b->c.verdict;
    bool chooses = v->kind != HONE_VERDICT_NOT_ENOUGH_DATA && v->kind != HONE_VERDICT_NEITHER;
    assert_true(chooses == (v->choose >= 0) && v->choose < (int)b->c.n_approaches);
    assert_clean(v->headline, false);
    assert_clean(v->summary, false);
    for (size_t i = 0; i < v->n_because; i++)
        assert_clean(v->because[i], true);
    for (size_t i = 0; i < v->n_flips_if; i++)
        assert_clean(v->flips_if[i], true);
    for (size_t i = 0; i < b->c.n_pairs; i++) {
        const hone_pair *p = &b->pairs[i];
        bool excludes = p->ci_low > 0 || p->ci_high < 0;
        assert_true(p->ci_low <= p->difference && p->difference <= p->ci_high && p->p <= p->p_adjusted);
        assert_true(excludes == (p->p_adjusted < 0.05));
        assert_true(excludes == (strcmp(p->finding, "no difference shown") != 0));
        if (excludes)
            assert_string_equal(p->finding, p->difference > 0 ? "better" : "worse");
        /* What is chosen is never shown to be worse than the winner that could have been chosen, and gives up little.
         */
        if (chooses && p->b == v->choose && isnan(b->task.use.latency_p95_ms) && p->a == b->c.winner &&
            v->kind != HONE_VERDICT_CHOOSE)
            assert_true(!(excludes && p->difference > 0) && (p->ci_high <= 0.1 + 1e-9));
    }
    if (chooses) { /* by select and the planned comparisons alone: the one that leads on select, or one planned against
                      it */
        int leader = leads_on_select(b);
        bool planned = leader == v->choose;
        for (size_t i = 0; i < b->c.n_pairs; i++)
            planned = planned || (b->pairs[i].a == leader && b->pairs[i].b == v->choose) ||
                      (b->pairs[i].b == leader && b->pairs[i].a == v->choose);
        assert_true(planned);
    }
    if (!chooses)
        assert_true(isnan(v->break_even_requests));
    else {
        const hone_approach_result *a = &b->approaches[v->choose];
        assert_true((a->family == HONE_FAMILY_BASELINE) == (v->kind == HONE_VERDICT_BASELINE));
        assert_true(strcmp(a->name, "majority") != 0);
        assert_true(!(a->latency_p95_ms > b->task.use.latency_p95_ms));
        assert_true(!(a->score < b->task.use.min_score));
    }
    if (b->c.n_test < 100 && v->kind != HONE_VERDICT_NEITHER)
        assert_string_equal(v->confidence, "low");
    if (b->c.quick)
        assert_string_not_equal(v->confidence, "high");
}

static double draw(uint32_t trial, uint64_t index)
{
    return hone_rng_uniform((hone_rng_key){3, HONE_RNG_TEST, trial}, index);
}

static void made_at_random(built *b, uint32_t trial)
{
    static const size_t sizes[] = {1, 7, 40, 120, 400, 2000};
    static const struct {
        const char *name;
        hone_family family;
        double busy, build;
        int64_t labels;
    } kinds[] = {{"majority", HONE_FAMILY_BASELINE, 1e-6, 0, 900},
                 {"nearest neighbour", HONE_FAMILY_BASELINE, 3e-4, 0.3, 900},
                 {"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 5e-5, 1, 900},
                 {"zero-shot", HONE_FAMILY_PROMPT, 0.2, 0, 0},
                 {"retrieved few-shot", HONE_FAMILY_PROMPT, 0.45, 100, 900},
                 {"tuned", HONE_FAMILY_TUNED, 0.05, 600, 900},
                 {"tuned + prompt", HONE_FAMILY_TUNED, 0.08, 700, 900}};
    bool fractions = trial % 8 == 7; /* scores between 0 and 1, on few rows: the bootstrap takes its time */
    size_t n = sizes[(size_t)(draw(trial, 0) * (fractions ? 4 : 6))], n_kinds = 1 + (size_t)(draw(trial, 1) * 7);
    double spread = draw(trial, 2) * 0.5, base = draw(trial, 3) * (1 - spread);
    int winner = -1, against[BUILT_APPROACHES];
    size_t n_pairs = 0;
    built_begin(b, n);
    for (size_t k = 0; k < n_kinds; k++) {
        size_t i = n_kinds == 7 ? k : 6 - k;
        double rate = base + spread * draw(trial, 10 + k), shift = draw(trial, 20 + k) * 0.3;
        built_add(b, (built_approach){kinds[i].name, kinds[i].family, 0, 0, rate, kinds[i].busy, kinds[i].build,
                                      kinds[i].labels});
        for (size_t r = 0; r < n; r++) {
            double place = fmod((double)r / (double)n + shift * (draw(trial, 1000 + r) < 0.5), 1.0);
            b->approaches[k].outcomes[r].score = place < rate;
            if (fractions)
                b->approaches[k].outcomes[r].score = 0.5 * (place < rate) + 0.5 * draw(trial, 5000 + r);
        }
        if (draw(trial, 30 + k) < 0.7)
            b->approaches[k].latency_p95_ms = 500 * draw(trial, 40 + k);
        if (winner < 0 || rate > b->approaches[winner].select_name_score)
            winner = (int)k;
    }
    for (size_t k = 0; k < n_kinds; k++)
        if ((int)k != winner && draw(trial, 50 + k) < 0.8)
            against[n_pairs++] = (int)k;
    built_plan(b, draw(trial, 4) < 0.95 ? winner : -1, against, n_pairs);
    for (size_t i = 0; i < n_pairs; i++)
        b->pairs[i].a = winner;
    hone_task_use *use = &b->task.use;
    const double volumes[] = {NAN, 0, 1, 3000, 2e5, 1e9};
    use->requests_per_month = volumes[(size_t)(draw(trial, 5) * 6)];
    use->min_score = draw(trial, 6) < 0.4 ? round(100 * draw(trial, 60)) / 100 : NAN;
    use->latency_p95_ms = draw(trial, 7) < 0.3 ? 600 * draw(trial, 61) : NAN;
    use->error_cost_usd = draw(trial, 8) < 0.5 ? draw(trial, 62) : NAN;
    use->changes_per_year = draw(trial, 9) < 0.5 ? floor(12 * draw(trial, 63)) : NAN;
    use->horizon_months = draw(trial, 64) < 0.5 ? floor(40 * draw(trial, 65)) : NAN;
    use->dedicated = draw(trial, 66) < 0.2;
    b->c.quick = draw(trial, 67) < 0.3;
}

static void test_claims_intervals_and_words_agree_whatever_the_comparison(void **state)
{
    (void)state;
    size_t kinds[5] = {0};
    for (uint32_t trial = 0; trial < 400; trial++) {
        built b;
        made_at_random(&b, trial);
        decide(&b);
        assert_sound(&b);
        kinds[b.c.verdict.kind]++;
        char *summary = strdup(b.c.verdict.summary), *confidence = strdup(b.c.verdict.confidence);
        size_t n_because = b.c.verdict.n_because, n_flips = b.c.verdict.n_flips_if;
        decide(&b); /* again: the same */
        assert_string_equal(summary, b.c.verdict.summary);
        assert_string_equal(confidence, b.c.verdict.confidence);
        assert_true(n_because == b.c.verdict.n_because && n_flips == b.c.verdict.n_flips_if);
        free(summary);
        free(confidence);
        built_end(&b);
    }
    for (size_t i = 0; i < 5; i++) /* or else this test would not have seen every kind */
        if (kinds[i] < 5)
            fail_msg("verdict kind %zu came up %zu times only", i, kinds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_winner_better_than_everything_cheaper_is_chosen),
        cmocka_unit_test(test_pairs_carry_counts_intervals_and_findings),
        cmocka_unit_test(test_the_spread_over_seeds_is_part_of_the_intervals),
        cmocka_unit_test(test_a_lead_that_seeds_can_undo_is_not_claimed),
        cmocka_unit_test(test_one_seed_is_a_doubt_and_three_are_not),
        cmocka_unit_test(test_costs_are_the_models_by_hand),
        cmocka_unit_test(test_assumed_hours_of_work_are_in_set_up_and_break_even),
        cmocka_unit_test(test_tokens_of_a_provider_are_priced_with_its_cache),
        cmocka_unit_test(test_hours_that_nobody_stated_decide_nothing),
        cmocka_unit_test(test_a_cheaper_baseline_that_is_not_shown_worse_is_taken),
        cmocka_unit_test(test_a_cheaper_prompt_that_is_not_shown_worse_is_taken),
        cmocka_unit_test(test_no_difference_on_few_rows_is_not_a_reason_to_take_the_cheaper),
        cmocka_unit_test(test_the_same_share_of_differences_on_many_rows_is_enough),
        cmocka_unit_test(test_a_dearer_one_that_may_be_much_better_is_left_open),
        cmocka_unit_test(test_a_baseline_that_wins_is_said_to_do_the_work),
        cmocka_unit_test(test_the_test_can_refute_what_select_named),
        cmocka_unit_test(test_the_locked_test_never_picks),
        cmocka_unit_test(test_nothing_that_reaches_the_minimum_is_neither),
        cmocka_unit_test(test_a_minimum_inside_the_interval_is_not_decided),
        cmocka_unit_test(test_a_score_is_never_rounded_over_the_minimum),
        cmocka_unit_test(test_the_cheaper_one_must_reach_the_minimum_too),
        cmocka_unit_test(test_what_does_not_beat_guessing_works_not),
        cmocka_unit_test(test_no_row_right_asks_for_enough_rows),
        cmocka_unit_test(test_guessing_is_never_recommended),
        cmocka_unit_test(test_too_slow_is_out_whatever_it_scores),
        cmocka_unit_test(test_a_saturated_test_is_said),
        cmocka_unit_test(test_break_even_is_in_requests_and_in_weeks),
        cmocka_unit_test(test_without_requests_nothing_pays_back),
        cmocka_unit_test(test_upkeep_can_make_the_dearer_request_the_cheaper_one),
        cmocka_unit_test(test_microseconds_do_not_make_one_baseline_the_cheaper),
        cmocka_unit_test(test_the_cost_of_errors_is_shown_and_decides_nothing),
        cmocka_unit_test(test_one_approach_and_no_pairs_is_never_certain),
        cmocka_unit_test(test_what_the_verdict_calls_cheaper_is_planned),
        cmocka_unit_test(test_luck_on_select_is_the_share_of_resamples),
        cmocka_unit_test(test_a_verdict_speaks_of_the_effort_that_was_spent),
        cmocka_unit_test(test_doubts_lower_the_confidence),
        cmocka_unit_test(test_what_was_not_measured_is_not_invented),
        cmocka_unit_test(test_rows_of_one_group_are_one_source),
        cmocka_unit_test(test_broken_comparisons_are_refused),
        cmocka_unit_test(test_claims_intervals_and_words_agree_whatever_the_comparison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
