/* test_metric.c - claims about scoring answers. Expected values are by hand; token F1 is the arithmetic of the
 * SQuAD 1.1 evaluation (normalise, bags of words, 2PR/(P+R)). */
#include "metric/fold.h"
#include "metric/json_match.h"
#include "metric/label.h"
#include "metric/metric.h"
#include "metric/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hone_metric_score score(const char *metric, const char *answer, const char *reference)
{
    hone_metric_score out;
    hone_metric_case item = {answer, reference, NULL, 0};
    assert_non_null(hone_metric_find(metric));
    assert_int_equal(hone_metric_find(metric)->score(&item, &out, NULL), HONE_OK);
    return out;
}

static void scores(const char *metric, const char *answer, const char *reference, double strict, double lenient)
{
    hone_metric_score out = score(metric, answer, reference);
    if (fabs(out.strict - strict) > 1e-12 || fabs(out.lenient - lenient) > 1e-12)
        fail_msg("%s of '%s' against '%s': %g strict, %g lenient; expected %g, %g", metric, answer, reference,
                 out.strict, out.lenient, strict, lenient);
}

static const char *const labels[] = {"card_arrival", "card_arrival_delay", "top up", "C", "C++",
                                     "C#",           "Stra\303\237e",      "yes"};
enum { N_LABELS = sizeof labels / sizeof labels[0] };

static void label_is(const char *answer, int strict, int lenient)
{
    int64_t s, l;
    assert_int_equal(hone_label_parse(answer, labels, N_LABELS, false, &s, NULL), HONE_OK);
    assert_int_equal(hone_label_parse(answer, labels, N_LABELS, true, &l, NULL), HONE_OK);
    if (s != strict || l != lenient)
        fail_msg("'%s' is label %d strict, %d lenient; expected %d, %d", answer, (int)s, (int)l, strict, lenient);
}

static void test_a_label_is_read_strictly_and_leniently(void **state)
{
    (void)state;
    label_is("card_arrival", 0, 0);
    label_is(" \ncard_arrival\t", 0, 0);
    label_is("Card Arrival", -1, 0);
    label_is("\"card_arrival\"", -1, 0);
    label_is("**card_arrival**.", -1, 0);
    label_is("CardArrival", -1, 0);
    label_is("card_arrival, because the card is late", -1, 0);
    label_is("Card arrival: the customer waits", -1, 0);
    label_is("card_arrival_delay it is", -1, 1); /* the longest label wins */
    label_is("TOP-UP", -1, 2);
    label_is("STRASSE", -1, 6); /* Unicode case folding */
    label_is("I think it is card_arrival", -1, -1);
    label_is("card", -1, -1);
    label_is("card_arrivals", -1, -1);
    label_is("yesterday", -1, -1);
    label_is("", -1, -1);
    label_is("   ", -1, -1);
    label_is("...", -1, -1);
}

static void test_a_label_that_fits_two_is_not_guessed(void **state)
{
    (void)state;
    label_is("c++", -1, 4);
    label_is("`C#`", -1, 5);
    label_is("c", -1, 3);
    label_is("C++ is what they use", -1, 4);
    label_is("(c)", -1, -1); /* C, C++ or C# */
}

static void test_an_unknown_label_counts_as_wrong_and_is_marked(void **state)
{
    (void)state;
    const hone_metric *metric = hone_metric_find("accuracy");
    assert_ptr_equal(metric, hone_metric_find("label"));
    assert_true(metric->binary);
    hone_metric_score out;
    hone_metric_case item = {"no idea", "card_arrival", labels, N_LABELS};
    assert_int_equal(metric->score(&item, &out, NULL), HONE_OK);
    assert_true(out.strict == 0 && out.lenient == 0 && !out.parsed_strict && !out.parsed_lenient);
    item.answer = "Card arrival.";
    assert_int_equal(metric->score(&item, &out, NULL), HONE_OK);
    assert_true(out.strict == 0 && out.lenient == 1 && !out.parsed_strict && out.parsed_lenient);
    item.answer = "top up";
    assert_int_equal(metric->score(&item, &out, NULL), HONE_OK);
    assert_true(out.strict == 0 && out.lenient == 0 && out.parsed_strict && out.parsed_lenient);
    /* Without the list, only equality counts. */
    scores("label", "Top up", "top_up", 0, 1);
    scores("label", "top up or not", "top up", 0, 0);
    scores("label", "", "top up", 0, 0);
}

static void test_exact_text(void **state)
{
    (void)state;
    scores("exact", " Paris ", "Paris", 1, 1);
    scores("exact", "the Eiffel Tower!", "Eiffel tower", 0, 1);
    scores("exact", "paris, france", "Paris", 0, 0);
    scores("exact", "e\xCC\x81t\xC3\xA9", "\xC3\xA9t\xC3\xA9", 0, 1); /* accents written apart and together */
    scores("exact", "", "x", 0, 0);
    scores("exact", "?", "!", 0, 0); /* nothing left of either is not a match */
    scores("exact", "\xFF\xFE", "\xFF\xFE", 1, 1);
    assert_false(score("exact", " ", "x").parsed_strict);
}

static void test_numbers_compare_by_value(void **state)
{
    (void)state;
    scores("number", "18", "18", 1, 1);
    scores("number", "18.00", "18", 1, 1);
    scores("number", "1.8e1", "18", 1, 1);
    scores("number", "0.018e3", "18", 1, 1);
    scores("number", "$1,080", "1080", 1, 1);
    scores("number", "-$5", "-5", 1, 1);
    scores("number", "+5", "5.0", 1, 1);
    scores("number", "-0", "0.00", 1, 1);
    scores("number", "12%", "12", 1, 1);
    scores("number", "5", "-5", 0, 0);
    scores("number", "180", "18", 0, 0);
    scores("number", "0.18", "18", 0, 0);
    scores("number", "100000000000000000001", "100000000000000000000", 0, 0); /* beyond doubles */
    scores("number", "She has 3 cats and 18 dogs.", "18", 0, 1);
    scores("number", "20 - 2 = 18", "18", 0, 1);
    scores("number", "20-2", "2", 0, 1);
    scores("number", "it fell to -18.5.", "-18.5", 0, 1);
    scores("number", "first 3\n#### 18\nDone in 2 steps", "3 + 15 = <<3+15=18>>18\n#### 18", 0, 1);
    scores("number", "eighteen", "18", 0, 0);
    scores("number", "", "18", 0, 0);
    scores("number", "1,8", "18", 0, 0);
    assert_false(score("number", "eighteen", "18").parsed_lenient);
    assert_true(score("number", "so 7", "18").parsed_lenient);
    hone_metric_score out;
    hone_error err;
    hone_metric_case item = {"1", "none", NULL, 0};
    assert_int_equal(hone_metric_find("number")->score(&item, &out, &err), HONE_BAD_INPUT);
    char digits[201];
    memset(digits, '7', 200);
    digits[200] = 0;
    assert_false(score("number", digits, "7").parsed_lenient); /* too long to hold is no number, nor is its tail */
    assert_true(score("number", "1e999999999999", "1").parsed_strict);
}

static void test_json_compares_by_meaning(void **state)
{
    (void)state;
    scores("json", "{\"a\":1,\"b\":[1,2]}", "{\"b\":[1.0,2],\"a\":1}", 1, 1);
    scores("json", "{\"a\":1,\"b\":[2,1]}", "{\"b\":[1,2],\"a\":1}", 0, 0);
    scores("json", "{\"a\":1}", "{\"a\":1,\"b\":null}", 0, 0);
    scores("json", "{\"a\":\"1\"}", "{\"a\":1}", 0, 0);
    scores("json", "{\"a\":true}", "{\"a\":true}", 1, 1);
    scores("json", "Sure:\n```json\n{\"a\": 1}\n```", "{\"a\":1}", 0, 1);
    scores("json", "{\"a\":1} and more", "{\"a\":1}", 0, 1);
    scores("json", "{\"a\":1,\"a\":2}", "{\"a\":2}", 0, 0); /* a duplicate key is not readable */
    scores("json", "{\"a\":", "{\"a\":1}", 0, 0);
    scores("json", "", "[]", 0, 0);
    assert_false(score("json", "{a:1}", "{}").parsed_lenient);
    hone_metric_score out;
    hone_error err;
    hone_metric_case item = {"{}", "{", NULL, 0};
    assert_int_equal(hone_metric_find("json")->score(&item, &out, &err), HONE_BAD_INPUT);
}

static void test_deeply_nested_json_is_refused_quickly(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    char *deep = malloc(DEPTH + 1);
    memset(deep, '[', DEPTH);
    deep[DEPTH] = 0;
    scores("json", deep, "[]", 0, 0);
    free(deep);
}

static void test_json_fields_are_counted(void **state)
{
    (void)state;
    /* Answer leaves: intent=a, slots/city=x, slots/day=1. Reference: intent=a, slots/city=y, slots/day=1.0, slots/n=2.
     * Two in common: 2 * 2 / (3 + 4). */
    scores("json_fields", "{\"intent\":\"a\",\"slots\":{\"city\":\"x\",\"day\":1}}",
           "{\"intent\":\"a\",\"slots\":{\"city\":\"y\",\"day\":1.0,\"n\":2}}", 4.0 / 7, 4.0 / 7);
    scores("json_fields", "{\"list\":[1,2,3]}", "{\"list\":[3,4]}", 2.0 / 5, 2.0 / 5);
    scores("json_fields", "{}", "{}", 1, 1);
    scores("json_fields", "x {\"a\":1}", "{\"a\":1}", 0, 1);
}

static void test_token_f1_equals_squad(void **state)
{
    (void)state;
    scores("token_f1", "The cat sat", "a cat sat down", 0.8, 0.8); /* cat sat / cat sat down: P 1, R 2/3 */
    scores("token_f1", "cat cat", "cat", 2.0 / 3, 2.0 / 3);
    scores("token_f1", "dog", "cat", 0, 0);
    scores("token_f1", "", "", 1, 1);
    scores("token_f1", "", "cat", 0, 0);
    assert_false(hone_metric_find("token_f1")->binary);
}

static void test_every_output_kind_has_a_metric(void **state)
{
    (void)state;
    const char *kinds[] = {"label", "choice", "text", "number", "json", "sql"};
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(hone_metric_for_output(kinds[i], NULL),
                         hone_metric_for_output(kinds[i], hone_metric_word(kinds[i], 0)));
    assert_null(hone_metric_for_output("picture", NULL));
    assert_null(hone_metric_word("picture", 0));
    assert_null(hone_metric_word("label", 1));
    assert_ptr_equal(hone_metric_for_output("text", "accuracy"), hone_metric_find("exact"));
    assert_ptr_equal(hone_metric_for_output("json", "json_fields"), hone_metric_find("json_fields"));
    assert_null(hone_metric_for_output("text", "json_fields"));
    assert_null(hone_metric_find("acuracy"));
    size_t n = 0;
    while (hone_metric_get(n))
        n++;
    assert_int_equal(n, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_label_is_read_strictly_and_leniently),
        cmocka_unit_test(test_a_label_that_fits_two_is_not_guessed),
        cmocka_unit_test(test_an_unknown_label_counts_as_wrong_and_is_marked),
        cmocka_unit_test(test_exact_text),
        cmocka_unit_test(test_numbers_compare_by_value),
        cmocka_unit_test(test_json_compares_by_meaning),
        cmocka_unit_test(test_deeply_nested_json_is_refused_quickly),
        cmocka_unit_test(test_json_fields_are_counted),
        cmocka_unit_test(test_token_f1_equals_squad),
        cmocka_unit_test(test_every_output_kind_has_a_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
