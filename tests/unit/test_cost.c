/* test_cost.c - claims about the cost model. Expected values are hand calculations, written out beside them. */
#include "decide/cost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(1e-6, fabs(expected))))
        fail_msg("%.15g is not %.15g", value, expected);
}

static hone_cost cost_of(hone_cost_inputs inputs)
{
    hone_cost cost;
    hone_error err;
    if (hone_cost_calculate(&inputs, &cost, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return cost;
}

/* A tuned model on own hardware: 0.2 s a request at 0.10 an hour; 2,000 labels at 0.08; 11 minutes of training, 2 of
 * evaluation. */
static hone_cost_inputs tuned(void)
{
    hone_cost_inputs in = hone_cost_defaults();
    in.busy_seconds = 0.2;
    in.score = 0.82;
    in.compute_hour_usd = 0.10;
    in.error_cost_usd = 0.40;
    in.labels = 2000;
    in.label_usd = 0.08;
    in.training_seconds = 660;
    in.evaluation_seconds = 120;
    in.requests_per_month = 200000;
    in.changes_per_year = 4;
    return in;
}

/* A prompt on the same hardware: 1.5 s a request, 10 demonstrations, 2 hours of an engineer. */
static hone_cost_inputs prompt(void)
{
    hone_cost_inputs in = tuned();
    in.busy_seconds = 1.5;
    in.score = 0.62;
    in.labels = 10;
    in.training_seconds = 0;
    in.prompt_hours = 2;
    in.engineer_hour_usd = 80;
    return in;
}

static void test_tokens_are_priced_with_the_prefix_cache(void **state)
{
    (void)state;
    hone_cost_inputs in = hone_cost_defaults();
    in.static_tokens = 1000;
    in.query_tokens = 100;
    in.output_tokens = 10;
    in.input_token_usd = 1e-6;
    in.output_token_usd = 4e-6;
    /* No cache: 1e-6 * 1100 + 4e-6 * 10 = 0.00114. */
    near(cost_of(in).operating_usd, 0.00114);
    /* h 0.9, kappa 0.1, omega 1.25: prefix factor 0.09 + 0.125 = 0.215; 1e-6 * (215 + 100) + 4e-5 = 0.000355. */
    in.cache_hit_rate = 0.9;
    in.cache_read = 0.1;
    in.cache_write = 1.25;
    near(cost_of(in).operating_usd, 0.000355);
    near(cost_of(in).provisioned_usd, 0.000355); /* a remote model keeps no machine of ours */
}

static void test_own_hardware_has_two_prices(void **state)
{
    (void)state;
    hone_cost_inputs in = tuned();
    hone_cost c = cost_of(in);
    near(c.marginal_usd, 0.2 * 0.10 / 3600);      /* 5.5556e-6 */
    near(c.provisioned_usd, 730 * 0.10 / 200000); /* always on: 73 a month over 200,000 */
    near(c.operating_usd, c.marginal_usd);
    assert_true(c.machines == 1);
    in.dedicated = true;
    in.hours_kept_per_month = 200;
    c = cost_of(in);
    near(c.operating_usd, 200 * 0.10 / 200000);
    /* 200,000 requests of 9 s are 500 busy hours: three machines kept 200 hours each. */
    in.busy_seconds = 9;
    c = cost_of(in);
    assert_true(c.machines == 3);
    near(c.operating_usd, 3 * 200 * 0.10 / 200000);
    /* Kept for nothing: 12 months of 200 hours are 240, the cost per request has no limit. */
    in.requests_per_month = 0;
    c = cost_of(in);
    assert_true(isinf(c.operating_usd));
    near(c.horizon_usd, c.setup_usd * c.cycles + 240);
}

static void test_setting_up_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    hone_cost c = cost_of(tuned());
    near(c.labels_usd, 160);
    near(c.training_usd, 660 * 0.10 / 3600);
    near(c.evaluation_usd, 120 * 0.10 / 3600);
    near(c.setup_usd, 160 + 780 * 0.10 / 3600);
    near(c.error_usd, 0.18 * 0.40);
    near(c.cycles, 5); /* 4 changes in 12 months: done five times */
    near(c.cycle_requests, 600000);
    near(c.horizon_usd, 5 * (160 + 780 * 0.10 / 3600) + 2400000 * 0.2 * 0.10 / 3600);
    near(c.horizon_error_usd, 2400000 * 0.072);
    c = cost_of(prompt());
    near(c.setup_usd, 0.8 + 160 + 120 * 0.10 / 3600);
}

static void test_break_even_is_extra_set_up_over_saving_per_request(void **state)
{
    (void)state;
    hone_cost_inputs a = tuned(), b = prompt();
    b.prompt_hours = 0;
    hone_cost ca = cost_of(a), cb = cost_of(b);
    /* Extra 160 + 660 * 0.1/3600 - 0.8 = 159.2183; saving 1.3 s * 0.1/3600 = 3.6111e-5. */
    hone_break_even e = hone_cost_break_even(&ca, &cb, false);
    assert_int_equal(e.kind, HONE_PAYS_AFTER);
    near(e.requests, (159.2 + 660 * 0.1 / 3600) / (1.3 * 0.1 / 3600));
    /* With errors it saves 0.08 more a request. */
    near(hone_cost_break_even(&ca, &cb, true).requests, (159.2 + 660 * 0.1 / 3600) / (1.3 * 0.1 / 3600 + 0.08));
    /* The other way round: cheaper until then. */
    hone_break_even back = hone_cost_break_even(&cb, &ca, false);
    assert_int_equal(back.kind, HONE_PAYS_UNTIL);
    near(back.requests, e.requests);
}

static const hone_cost_band *band_named(const hone_cost_band *bands, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(bands[i].input, name) == 0)
            return &bands[i];
    return NULL;
}

/* Half a day of tuning, two hours to put it into service, one to follow a change; half a day for the prompt; $80. */
static void give_work(hone_cost_inputs *a, hone_cost_inputs *b)
{
    a->engineer_hour_usd = b->engineer_hour_usd = 80;
    a->building_hours = 4;
    a->deployment_hours = 2;
    a->change_hours = 3;
    b->prompt_hours = 4;
    b->change_hours = 1;
}

static void test_hours_of_work_are_part_of_setting_up_and_of_every_change(void **state)
{
    (void)state;
    hone_cost_inputs a = tuned(), b = prompt();
    give_work(&a, &b);
    hone_cost ca = cost_of(a), cb = cost_of(b);
    /* 160 for labels, 780 s at 0.10 an hour, 4 + 2 hours at 80. */
    near(ca.building_usd, 320);
    near(ca.deployment_usd, 160);
    near(ca.setup_usd, 160 + 780 * 0.10 / 3600 + 480);
    near(ca.change_usd, 160 + 780 * 0.10 / 3600 + 240);
    near(cb.setup_usd, 0.8 + 120 * 0.10 / 3600 + 320);
    near(cb.change_usd, 0.8 + 120 * 0.10 / 3600 + 80);
    /* 12 months with 4 changes, 2.4 million requests of 0.2 s. */
    near(ca.horizon_usd, 640 + 4 * 400 + 5 * 780 * 0.10 / 3600 + 2400000 * 0.2 * 0.10 / 3600);
    /* What is paid to others for the deployment comes again at each change. */
    a.deployment_usd = 50;
    near(cost_of(a).setup_usd, 690 + 780 * 0.10 / 3600);
    near(cost_of(a).change_usd, 450 + 780 * 0.10 / 3600);
}

static void test_work_on_the_prompt_is_taken_off_the_break_even(void **state)
{
    (void)state;
    hone_cost_inputs a = tuned(), b = prompt();
    give_work(&a, &b);
    hone_cost ca = cost_of(a), cb = cost_of(b);
    /* N* = (labels 159.20 + training 660 s + tuning and deployment 480 - prompt 320) / (1.3 s * 0.10 / 3600):
     * 319.2183 / 3.6111e-5 = 8.84 million. */
    hone_break_even e = hone_cost_break_even(&ca, &cb, false);
    assert_int_equal(e.kind, HONE_PAYS_AFTER);
    near(e.requests, (159.2 + 660 * 0.1 / 3600 + 480 - 320) / (1.3 * 0.1 / 3600));
    assert_true(fabs(e.requests - 8.84e6) < 1e4);
    /* An hour at half the price: 239.2183 / 3.6111e-5. Two hours of tuning instead of four: 159.2183 / 3.6111e-5. */
    hone_cost_band bands[HONE_COST_BANDS];
    size_t n;
    assert_int_equal(hone_cost_sensitivity(&a, &b, 2, false, bands, &n, NULL), HONE_OK);
    const hone_cost_band *price = band_named(bands, n, "price of an engineer's hour");
    const hone_cost_band *hours = band_named(bands, n, "hours of work on building");
    assert_non_null(price);
    assert_non_null(hours);
    near(price->at_low.requests, (159.2 + 660 * 0.1 / 3600 + 80) / (1.3 * 0.1 / 3600));
    near(hours->at_low.requests, (159.2 + 660 * 0.1 / 3600 + 320 - 320) / (1.3 * 0.1 / 3600));
    assert_true(hours->low == 2 && hours->high == 8);
}

static void test_break_even_says_never_and_at_once(void **state)
{
    (void)state;
    hone_cost cheap = {.setup_usd = 10, .operating_usd = 0.01}, dear = {.setup_usd = 20, .operating_usd = 0.02};
    hone_cost same = {.setup_usd = 20, .operating_usd = 0.01};
    assert_int_equal(hone_cost_break_even(&dear, &cheap, false).kind, HONE_PAYS_NEVER);
    assert_int_equal(hone_cost_break_even(&cheap, &dear, false).kind, HONE_PAYS_AT_ONCE);
    assert_int_equal(hone_cost_break_even(&same, &cheap, false).kind, HONE_PAYS_NEVER);
    assert_int_equal(hone_cost_break_even(&cheap, &same, false).kind, HONE_PAYS_AT_ONCE);
    assert_int_equal(hone_cost_break_even(&cheap, &cheap, false).kind, HONE_PAYS_NEVER);
}

static void test_a_cached_prompt_moves_the_break_even(void **state)
{
    (void)state;
    /* Remote: a 2,000-token prompt against a tuned model without one, same prices, 100 to set up. h 1, kappa 0.1 makes
     * the saving a tenth and the break-even ten times as far. */
    hone_cost_inputs a = hone_cost_defaults(), b;
    a.input_token_usd = 1e-6;
    a.query_tokens = 50;
    a.deployment_usd = 100;
    b = a;
    b.static_tokens = 2000;
    b.deployment_usd = 0;
    hone_cost ca = cost_of(a), cb = cost_of(b);
    near(hone_cost_break_even(&ca, &cb, false).requests, 50000);
    b.cache_hit_rate = 1;
    b.cache_read = 0.1;
    cb = cost_of(b);
    near(hone_cost_break_even(&ca, &cb, false).requests, 500000);
}

static void test_sensitivity_finds_what_would_flip_the_choice(void **state)
{
    (void)state;
    /* No changes, no errors: over the year tuned costs 160.0217 + 2.4e6 * 5.5556e-6 = 173.36, a prompt that took no
     * engineer 0.8033 + 2.4e6 * 4.16667e-5 = 100.80. Tuning becomes the cheaper one at the break-even volume:
     * 159.2183 / 3.6111e-5 / 12 = 367,427 requests a month. */
    hone_cost_inputs a = tuned(), b = prompt();
    a.changes_per_year = b.changes_per_year = 0;
    b.prompt_hours = 0;
    hone_cost_band bands[HONE_COST_BANDS];
    size_t n;
    assert_int_equal(hone_cost_sensitivity(&a, &b, 2, false, bands, &n, NULL), HONE_OK);
    const hone_cost_band *volume = band_named(bands, n, "requests per month");
    assert_non_null(volume);
    assert_true(volume->low == 100000 && volume->high == 400000);
    assert_true(volume->difference_low > 0 && volume->difference_high < 0);
    assert_true(volume->flips);
    assert_true(fabs(volume->flips_at - (159.2 + 660 * 0.1 / 3600) / (1.3 * 0.1 / 3600) / 12) < 0.01);
    /* The break-even does not depend on the volume; a label at half the price halves most of it. */
    near(volume->at_low.requests, volume->at_high.requests);
    const hone_cost_band *label = band_named(bands, n, "price of a label");
    near(label->at_low.requests, (79.6 + 660 * 0.1 / 3600) / (1.3 * 0.1 / 3600));
    /* 1990 labels must cost no more than 2.4e6 * 3.6111e-5 - 0.018333. */
    assert_true(label->flips && fabs(label->flips_at - (86.66666667 - 0.01833333) / 1990) < 1e-6);
    assert_null(band_named(bands, n, "price of an input token"));
    assert_null(band_named(bands, n, "changes per year"));
    hone_error err;
    assert_int_equal(hone_cost_sensitivity(&a, &b, 1, false, bands, &n, &err), HONE_BAD_INPUT);
}

static void test_impossible_inputs_are_named(void **state)
{
    (void)state;
    hone_cost cost;
    hone_error err;
    hone_cost_inputs in = tuned();
    in.label_usd = -1;
    assert_int_equal(hone_cost_calculate(&in, &cost, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "label_usd"));
    in = tuned();
    in.score = 82;
    assert_int_equal(hone_cost_calculate(&in, &cost, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "score"));
    in = tuned();
    in.busy_seconds = NAN;
    assert_int_equal(hone_cost_calculate(&in, &cost, &err), HONE_BAD_INPUT);
    in = tuned();
    in.dedicated = true;
    assert_int_equal(hone_cost_calculate(&in, &cost, &err), HONE_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_are_priced_with_the_prefix_cache),
        cmocka_unit_test(test_own_hardware_has_two_prices),
        cmocka_unit_test(test_setting_up_is_the_sum_of_its_parts),
        cmocka_unit_test(test_break_even_is_extra_set_up_over_saving_per_request),
        cmocka_unit_test(test_hours_of_work_are_part_of_setting_up_and_of_every_change),
        cmocka_unit_test(test_work_on_the_prompt_is_taken_off_the_break_even),
        cmocka_unit_test(test_break_even_says_never_and_at_once),
        cmocka_unit_test(test_a_cached_prompt_moves_the_break_even),
        cmocka_unit_test(test_sensitivity_finds_what_would_flip_the_choice),
        cmocka_unit_test(test_impossible_inputs_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
