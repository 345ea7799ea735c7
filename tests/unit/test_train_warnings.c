/* test_train_warnings.c - each warning on metrics made to provoke it, and on metrics that are one step short of it; and
 * the report made from the same folder. The metrics are written by the test, as metrics.jsonl has them. */
#include "base/file.h"
#include "report/training.h"
#include "train/warnings.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { STEPS = 60, ROWS = 40, PER_STEP = 4, SCORE_EVERY = 10 };

/* A run that nothing is wrong with: the loss falls from 3 to 0.3 with a little noise, row r's like the others'. */
typedef struct made {
    double loss[STEPS], row_loss[ROWS]; /* row_loss: at every visit, times the usual loss */
    double score[STEPS / SCORE_EVERY], select_loss[STEPS / SCORE_EVERY], perplexity[STEPS / SCORE_EVERY];
    char right[STEPS / SCORE_EVERY][101];
    int unended;
} made;

static double usual_loss(int i)
{
    return 0.3 + 2.7 * exp(-i / 4.0) + 0.02 * hone_rng_uniform((hone_rng_key){1, HONE_RNG_TEST, 0}, (uint64_t)i);
}

static made usual(void)
{
    made m = {0};
    for (int i = 0; i < STEPS; i++)
        m.loss[i] = usual_loss(i);
    for (int i = 0; i < ROWS; i++)
        m.row_loss[i] = 0.8 + 0.4 * hone_rng_uniform((hone_rng_key){1, HONE_RNG_TEST, 1}, (uint64_t)i);
    for (int k = 0; k < STEPS / SCORE_EVERY; k++) {
        int right = 40 + 8 * k;
        m.score[k] = right / 100.0;
        m.select_loss[k] = 0.5 + 2.0 * exp(-k);
        m.perplexity[k] = 20 + k;
        for (int i = 0; i < 100; i++)
            m.right[k][i] = i < right ? '1' : '0';
    }
    return m;
}

static void write_metrics(const made *m, const char *folder)
{
    hone_buffer b = {0};
    hone_error err;
    char path[64];
    for (int i = 0; i < STEPS; i++) {
        hone_buffer_printf(&b,
                           "{\"step\": %d, \"loss\": %.6f, \"learning_rate\": 0.001, \"gradient_norm\": 1.5, "
                           "\"tokens_per_second\": 100.0, \"seconds\": %d.0, \"lines\": [",
                           i + 1, m->loss[i], i + 1);
        for (int j = 0; j < PER_STEP; j++)
            hone_buffer_printf(&b, "%s%d", j ? ", " : "", 100 + (i * PER_STEP + j) % ROWS);
        hone_buffer_puts(&b, "], \"losses\": [");
        for (int j = 0; j < PER_STEP; j++)
            hone_buffer_printf(&b, "%s%.5f", j ? ", " : "", usual_loss(i) * m->row_loss[(i * PER_STEP + j) % ROWS]);
        hone_buffer_puts(&b, "]}\n");
        int k = i / SCORE_EVERY;
        if ((i + 1) % SCORE_EVERY == 0)
            hone_buffer_printf(&b,
                               "{\"step\": %d, \"score\": %.6f, \"select_loss\": %.6f, \"n\": 100, \"right\": \"%s\", "
                               "\"unended\": %d, \"general_perplexity\": %.3f, \"general_perplexity_base\": 19.5, "
                               "\"kl\": 0.4, \"kl_tokens\": 50, \"samples\": [{\"line\": 7, \"input\": \"a <b> & c\", "
                               "\"reference\": \"yes\", \"answer\": \"%s\", \"base\": \"What?\", \"right\": %s}]}\n",
                               i + 1, m->score[k], m->select_loss[k], m->right[k], m->unended, m->perplexity[k],
                               k > 1 ? "yes" : "no", k > 1 ? "true" : "false");
    }
    assert_int_equal(hone_folder_create(temporary_path(folder), &err), HONE_OK);
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    temporary_bytes(path, b.data, b.length);
    hone_buffer_clear(&b);
}

/* The text of the warning of a kind; "" where there is none. *n: all warnings. */
static const char *warning_of(const made *m, const char *kind, size_t *n, json_t **rows)
{
    static char text[1024];
    json_t *all, *w;
    hone_error err;
    size_t i;
    write_metrics(m, "made");
    if (hone_train_warnings_of_folder(temporary_path("made"), &all, &err) != HONE_OK)
        fail_msg("%s", err.message);
    text[0] = 0;
    json_array_foreach(all, i, w)
    {
        if (strcmp(json_string_value(json_object_get(w, "kind")), kind) == 0) {
            snprintf(text, sizeof text, "%s", json_string_value(json_object_get(w, "text")));
            if (rows)
                *rows = json_incref(json_object_get(w, "rows"));
        }
    }
    *n = json_array_size(all);
    json_decref(all);
    return text;
}

static void assert_warns(const made *m, const char *kind, const char *with)
{
    size_t n;
    const char *text = warning_of(m, kind, &n, NULL);
    if (!strstr(text, with) || !*text)
        fail_msg("\"%s\" should say \"%s\", and says: %s", kind, with, text);
}

static void assert_silent(const made *m)
{
    size_t n;
    hone_error err;
    warning_of(m, "", &n, NULL);
    if (n == 0)
        return;
    json_t *all;
    assert_int_equal(hone_train_warnings_of_folder(temporary_path("made"), &all, &err), HONE_OK);
    fail_msg("there should be no warning: %s", json_dumps(all, 0));
}

static void test_a_usual_run_gives_no_warning(void **state)
{
    (void)state;
    made m = usual();
    assert_silent(&m);
}

static void test_a_jump_of_the_loss_is_named_with_its_step_and_rows(void **state)
{
    (void)state;
    made m = usual();
    m.loss[41] = 1.9; /* among losses around 0.4 */
    assert_warns(&m, "spike", "jumped to 1.90 at step 42");
    assert_warns(&m, "spike", "lines 104, 105, 106, 107"); /* the 42nd batch of four rows out of 40: 164 % 40 */
    m.loss[41] = 0.7;                                      /* less than half a nat above */
    assert_silent(&m);
}

static void test_rows_that_stay_hard_are_listed_worst_first(void **state)
{
    (void)state;
    made m = usual();
    json_t *rows = NULL;
    size_t n;
    m.row_loss[12] = 6;
    m.row_loss[33] = 9;
    m.row_loss[5] = 1.25; /* a little harder than others: not worth a word */
    const char *text = warning_of(&m, "never fit", &n, &rows);
    assert_int_equal(n, 1);
    assert_non_null(strstr(text, "2 of 40 rows are hardly learned"));
    assert_non_null(strstr(text, "lines 133, 112"));
    assert_int_equal(json_array_size(rows), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "line")), 133);
    json_decref(rows);
}

static void test_memorising_is_said_when_held_out_loss_rises_while_training_loss_falls(void **state)
{
    (void)state;
    made m = usual();
    m.select_loss[1] = 0.6;
    for (int k = 2; k < 6; k++)
        m.select_loss[k] = 0.6 + 0.1 * (k - 1);
    assert_warns(&m, "memorising", "from step 20 to 60");
    assert_warns(&m, "memorising", "rose from 0.60 to 1.00");
    for (int k = 2; k < 6; k++)
        m.select_loss[k] = 0.65; /* no more than a tenth above */
    assert_silent(&m);
}

/* 88 right at step 60 by usual(); here 40 of them are lost after step 40 while the loss goes on falling. */
static void test_a_falling_loss_with_fewer_right_answers_is_said(void **state)
{
    (void)state;
    made m = usual();
    for (int i = 40; i < STEPS; i++)
        m.loss[i] = 0.2;
    for (int k = 4; k < 6; k++) {
        m.score[k] = 0.44;
        for (int i = 0; i < 100; i++)
            m.right[k][i] = i < 44 ? '1' : '0';
    }
    assert_warns(&m, "metric", "0.640, then 0.440 (20 lost, 0 won; p < 0.0001)");
    for (int k = 4; k < 6; k++) { /* three of a hundred may be chance: exact p = 0.25 */
        m.score[k] = 0.61;
        for (int i = 0; i < 100; i++)
            m.right[k][i] = i < 61 ? '1' : '0';
    }
    assert_silent(&m);
}

static void test_a_loss_of_general_ability_is_said_with_its_number(void **state)
{
    (void)state;
    made m = usual();
    m.perplexity[5] = 39; /* of the kept checkpoint; 19.5 before */
    assert_warns(&m, "retention", "39 with the adapter and 19.5 without (2.0 times)");
    m.perplexity[5] = 29; /* less than half more */
    assert_silent(&m);
}

static void test_answers_that_do_not_end_are_counted(void **state)
{
    (void)state;
    made m = usual();
    m.unended = 12;
    assert_warns(&m, "unended", "12 of 100 held-out answers");
    m.unended = 9;
    assert_silent(&m);
}

static void test_metrics_that_were_cut_or_edited_are_read_as_far_as_they_go(void **state)
{
    (void)state;
    hone_train_history h;
    hone_error err;
    assert_int_equal(hone_folder_create(temporary_path("odd"), &err), HONE_OK);
    temporary_file("odd/metrics.jsonl",
                   "{\"step\": 1, \"loss\": 2.5, \"lines\": [1, 2], \"losses\": [2]}\nrubbish\n[]\n"
                   "{\"step\": 1, \"loss\": 9}\n{\"step\": \"2\", \"loss\": 1}\n"
                   "{\"step\": 2, \"score\": 0.5, \"right\": 7, \"samples\": 3}\n"
                   "{\"step\": 3, \"loss\": 1.5, \"lines\": [\"x\"], \"losses\": [1]}\n{\"step\": 4");
    assert_int_equal(hone_train_history_read(temporary_path("odd"), &h, &err), HONE_OK);
    assert_int_equal(h.n_steps, 2);
    assert_int_equal(h.n_scores, 1);
    assert_int_equal(h.n_rows, 1);
    assert_string_equal(h.scores[0].right, "");
    assert_null(h.scores[0].samples);
    assert_true(isnan(h.scores[0].perplexity));
    hone_train_history_clear(&h);
    assert_int_equal(hone_train_history_read(temporary_path("nowhere"), &h, &err), HONE_NOT_FOUND);
    hone_train_history_clear(&h);
}

/* ---- the report ---- */
static void write_record(const char *folder, const char *more)
{
    hone_buffer b = {0};
    char path[64];
    hone_buffer_printf(
        &b,
        "{\"hone_version\": \"0.1.0\", \"finished\": \"2026-01-31T12:00:00Z\", \"model\": \"/m/tiny.gguf\", "
        "\"base_sha256\": \"aa11\", \"data_sha256\": \"bb22\", \"template_sha256\": \"cc33\", "
        "\"command\": \"hone train -m tiny <script>alert(1)</script>\", \"examples\": 40, \"rank\": 16, "
        "\"select_rows\": 100, \"learning_rate\": 0.001, \"schedule\": \"linear\", \"seed\": 0%s, "
        "\"result\": {\"steps\": 60, \"planned_steps\": 60, \"tokens\": 6000, \"seconds\": 60, "
        "\"final_loss\": 0.3, \"best_step\": 60, \"best_score\": 0.8}}",
        more);
    snprintf(path, sizeof path, "%s/hone.json", folder);
    temporary_bytes(path, b.data, b.length);
    hone_buffer_clear(&b);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void test_the_report_says_what_the_folder_holds_and_loads_nothing(void **state)
{
    (void)state;
    made m = usual();
    hone_buffer page = {0};
    hone_error err;
    write_metrics(&m, "made");
    write_record("made",
                 ", \"warnings\": [{\"kind\": \"never fit\", \"text\": \"2 rows <i>x</i>\", \"rows\": [{\"line\": "
                 "133, \"loss\": 2.5, \"input\": \"<img src=x>\", \"answer\": \"a\"}]}]");
    if (hone_training_html(temporary_path("made"), &page, &err) != HONE_OK)
        fail_msg("%s", err.message);
    static const char *const held[] = {"0.800 of 100 held-out rows",
                                       "aa11",
                                       "bb22",
                                       "cc33",
                                       "perplexity on ordinary text 25",
                                       "step 60, kept",
                                       "✓ right",
                                       "✗ wrong",
                                       "a &lt;b&gt; &amp; c",
                                       ">133<",
                                       "hone serve -m /m/tiny.gguf",
                                       "Loss a token",
                                       "Gradient norm",
                                       "Tokens a second"};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (!strstr(page.data, held[i]))
            fail_msg("the page lacks \"%s\"", held[i]);
    static const char *const never[] = {"<script>alert", "<img src=x", "http://", "https://",
                                        " style=",       "<i>x",       "nan",     "inf"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(page.data, never[i]))
            fail_msg("the page holds \"%s\": %.80s", never[i], strstr(page.data, never[i]) - 30);
    assert_int_equal(count(page.data, "<svg"), 6);
    assert_int_equal(count(page.data, "<svg"), count(page.data, "</svg>"));
    assert_int_equal(count(page.data, "✓ right"), 4); /* of six scores, four are right in write_metrics */
    hone_buffer_clear(&page);
}

static void test_a_report_of_a_bare_or_hostile_folder_is_made_or_refused_with_a_reason(void **state)
{
    (void)state;
    hone_buffer page = {0};
    hone_error err;
    assert_int_equal(hone_training_html(temporary_path("nothing"), &page, &err), HONE_NOT_FOUND);
    assert_says(err, "no hone.json");
    assert_int_equal(hone_folder_create(temporary_path("bare"), &err), HONE_OK);
    temporary_file("bare/hone.json", "{\"x\": 1}");
    assert_int_equal(hone_training_html(temporary_path("bare"), &page, &err), HONE_BAD_FORMAT);
    temporary_file("bare/hone.json",
                   "{\"result\": {}, \"search\": {\"rungs\": [{\"tried\": [7]}]}, \"seeds\": {\"runs\": [3]},"
                   " \"warnings\": [{\"rows\": [1]}, 5], \"command\": 3}");
    temporary_file("bare/metrics.jsonl", "{\"step\": 1, \"loss\": 1e308}\n{\"step\": 2, \"loss\": -1e308}\n"
                                         "{\"step\": 3, \"score\": 1e99, \"n\": 3, \"samples\": [1, {}]}\n");
    temporary_file("bare/curve.json",
                   "{\"points\": [{\"rows\": -5, \"score\": 1}, {}], \"forecasts\": [{}], \"fit\": {}}");
    assert_int_equal(hone_training_html(temporary_path("bare"), &page, &err), HONE_OK);
    assert_non_null(strstr(page.data, "</html>"));
    hone_buffer_clear(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_usual_run_gives_no_warning),
        cmocka_unit_test(test_a_jump_of_the_loss_is_named_with_its_step_and_rows),
        cmocka_unit_test(test_rows_that_stay_hard_are_listed_worst_first),
        cmocka_unit_test(test_memorising_is_said_when_held_out_loss_rises_while_training_loss_falls),
        cmocka_unit_test(test_a_falling_loss_with_fewer_right_answers_is_said),
        cmocka_unit_test(test_a_loss_of_general_ability_is_said_with_its_number),
        cmocka_unit_test(test_answers_that_do_not_end_are_counted),
        cmocka_unit_test(test_metrics_that_were_cut_or_edited_are_read_as_far_as_they_go),
        cmocka_unit_test(test_the_report_says_what_the_folder_holds_and_loads_nothing),
        cmocka_unit_test(test_a_report_of_a_bare_or_hostile_folder_is_made_or_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, temporary_begin, temporary_end);
}
