/* test_approach.c - approaches that need no model, the memory of answers, and a whole comparison of baselines. */
#include "approach/approach.h"
#include "approach/embeddings.h"
#include "base/file.h"
#include "base/hash.h"
#include "decide/verdict.h"
#include "evidence/compare.h"
#include "support/tiny_encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_TRAIN = 9, N_ROWS = 30 };

/* A task in memory: the word in the input decides the answer; "late" is the most frequent answer of train. */
typedef struct fixture {
    char folder[64];
    hone_task task;
    hone_row train[N_TRAIN], rows[N_ROWS];
    hone_ledger *ledger;
    hone_workbench bench;
} fixture;

static const char *const labels[] = {"blocked", "late", "lost"};
static const char *const train_inputs[N_TRAIN] = {
    "the parcel comes late today", "late again the parcel", "it is late my parcel",
    "parcel late since monday",    "i lost my card",        "the card is lost",
    "lost card please help",       "my account is blocked", "blocked account help"};
static const char *const train_outputs[N_TRAIN] = {"late", "late", "late",    "late",   "lost",
                                                   "lost", "lost", "blocked", "blocked"};
static const char *const row_inputs[3] = {"parcel is late", "card lost", "account blocked"};
static const char *const row_outputs[3] = {"late", "lost", "blocked"};

static void fill(hone_row *row, const char *input, const char *output, size_t line)
{
    char hex[65], text[256];
    snprintf(text, sizeof text, "%s|%s|%zu", input, output, line);
    hone_sha256_hex(text, strlen(text), hex);
    *row = (hone_row){.input = input, .output = output, .file = "rows.jsonl", .line = (int64_t)line};
    memcpy(row->id, hex, 32);
}

static int set_up(void **state)
{
    hone_error err;
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/hone-approach-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    setenv("HONE_HOME", f->folder, 1);
    for (size_t i = 0; i < N_TRAIN; i++)
        fill(&f->train[i], train_inputs[i], train_outputs[i], i);
    for (size_t i = 0; i < N_ROWS; i++)
        fill(&f->rows[i], row_inputs[i % 3], row_outputs[i % 3], i);
    f->task = (hone_task){.folder = f->folder,
                          .name = "parcels",
                          .output_kind = HONE_OUTPUT_LABEL,
                          .labels = labels,
                          .n_labels = 3,
                          .metric = "accuracy",
                          .instruction = "Reply with the intent.",
                          .train = {f->train, N_TRAIN},
                          .select_tune = {f->rows, 6},
                          .select_name = {f->rows + 6, 6},
                          .test = {f->rows + 12, 18},
                          .test_hash = "0123",
                          .train_hash = "4567"};
    char path[96];
    snprintf(path, sizeof path, "%s/.hone", f->folder);
    assert_int_equal(hone_folder_create(path, &err), HONE_OK);
    snprintf(path, sizeof path, "%s/.hone/ledger.sqlite", f->folder);
    assert_int_equal(hone_ledger_open(path, &f->ledger, &err), HONE_OK);
    f->bench = (hone_workbench){.task = &f->task, .ledger = f->ledger, .seed = 1};
    assert_int_equal(hone_workbench_init(&f->bench, &err), HONE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    char command[128];
    hone_workbench_clear(&f->bench);
    hone_ledger_close(f->ledger);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    int rc = system(command);
    free(f);
    return rc;
}

static hone_approach *built(fixture *f, const hone_approach_type *type)
{
    hone_error err = {.code = HONE_OK};
    hone_approach *a;
    assert_int_equal(hone_approach_create(type, &f->bench, &a, &err), HONE_OK);
    if (hone_approach_build(a, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return a;
}

static double mean_of(fixture *f, hone_approach *a, const hone_row *rows, size_t n)
{
    hone_error err = {.code = HONE_OK};
    hone_arena *arena = hone_arena_create();
    hone_answer answers[N_ROWS];
    double mean = -1;
    (void)f;
    if (hone_approach_evaluate(a, "test", rows, n, arena, answers, &mean, NULL, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
    hone_arena_free(arena);
    return mean;
}

static void test_majority_has_the_share_of_the_most_frequent_answer(void **state)
{
    fixture *f = *state;
    hone_approach *a = built(f, &hone_approach_majority);
    assert_float_equal(mean_of(f, a, f->rows, 9), 1.0 / 3, 1e-12); /* every third row is "late" */
    assert_non_null(strstr(a->description, "\"late\""));
    assert_int_equal(a->labels_used, N_TRAIN);
    hone_approach_free(a);
}

static void test_word_baselines_solve_a_task_that_one_word_decides(void **state)
{
    fixture *f = *state;
    const hone_approach_type *types[] = {&hone_approach_nearest_neighbour, &hone_approach_tfidf_logistic};
    for (int i = 0; i < 2; i++) {
        hone_approach *a = built(f, types[i]);
        assert_float_equal(mean_of(f, a, f->rows, 9), 1, 1e-12);
        hone_approach_free(a);
    }
}

/* ---- sentence embeddings, by an encoder of two small layers with counted random values ---- */

static hone_embedder *tiny_embedder(fixture *f, char *path, size_t size)
{
    hone_error err = {.code = HONE_OK};
    hone_embedder *e;
    snprintf(path, size, "%s/encoder", f->folder);
    assert_int_equal(hone_folder_create(path, &err), HONE_OK);
    assert_true(tiny_encoder(path));
    if (hone_embedder_open(path, NULL, &e, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return e;
}

static void use_embeddings(fixture *f)
{
    char path[128];
    hone_error err = {.code = HONE_OK};
    assert_int_equal(
        hone_embeddings_create(tiny_embedder(f, path, sizeof path), "tiny", f->ledger, &f->bench.embeddings, &err),
        HONE_OK);
}

static void test_the_embedding_neighbour_is_the_row_of_greatest_cosine(void **state)
{
    fixture *f = *state;
    char path[128];
    hone_error err = {.code = HONE_OK};
    float train[N_TRAIN][TINY_DIM], rows[N_ROWS][TINY_DIM];
    hone_embedder *e = tiny_embedder(f, path, sizeof path);
    for (int i = 0; i < N_TRAIN; i++) /* one by one, beside the store */
        assert_int_equal(hone_embedder_run(e, &(hone_embed_text){train_inputs[i], strlen(train_inputs[i])}, 1, train[i],
                                           NULL, NULL, &err),
                         HONE_OK);
    for (int i = 0; i < N_ROWS; i++)
        assert_int_equal(hone_embedder_run(e, &(hone_embed_text){f->rows[i].input, strlen(f->rows[i].input)}, 1,
                                           rows[i], NULL, NULL, &err),
                         HONE_OK);
    hone_embedder_close(e);
    use_embeddings(f);
    hone_approach *a = built(f, &hone_approach_embedding_neighbour);
    hone_arena *arena = hone_arena_create();
    hone_answer answers[N_ROWS];
    double mean;
    assert_int_equal(hone_approach_evaluate(a, "test", f->rows, N_ROWS, arena, answers, &mean, NULL, NULL, &err),
                     HONE_OK);
    for (int r = 0; r < N_ROWS; r++) {
        int best = 0;
        double greatest = -2;
        for (int i = 0; i < N_TRAIN; i++) {
            double cosine = 0;
            for (int d = 0; d < TINY_DIM; d++)
                cosine += (double)train[i][d] * (double)rows[r][d];
            if (cosine > greatest) {
                greatest = cosine;
                best = i;
            }
        }
        assert_string_equal(answers[r].raw, train_outputs[best]);
        assert_true(answers[r].tokens_in ==
                    (r % 3 == 0 ? 5 : 4)); /* [CLS] parcel is late [SEP]; [CLS] card lost [SEP] */
    }
    hone_arena_free(arena);
    hone_approach_free(a);
    hone_embeddings_free(f->bench.embeddings);
}

static void test_the_embedding_regression_learns_what_one_word_decides(void **state)
{
    fixture *f = *state;
    use_embeddings(f);
    hone_approach *a = built(f, &hone_approach_embedding_logistic);
    assert_true(mean_of(f, a, f->train, N_TRAIN) > 0.99); /* nine rows in 32 dimensions can be told apart */
    assert_true(json_number_value(json_object_get(a->settings, "c")) > 0);
    assert_string_equal(json_string_value(json_object_get(a->settings, "embedder")),
                        hone_embeddings_hash(f->bench.embeddings));
    assert_int_equal(a->labels_used, N_TRAIN + 6);
    hone_approach_free(a);
    hone_embeddings_free(f->bench.embeddings);
}

static void test_an_embedding_is_computed_once_and_found_again(void **state)
{
    fixture *f = *state;
    hone_error err = {.code = HONE_OK};
    const hone_row *rows[N_TRAIN];
    hone_embedding first[N_TRAIN], again[N_TRAIN], fresh[N_TRAIN];
    static float kept[N_TRAIN][TINY_DIM];
    double seconds[N_TRAIN];
    for (int i = 0; i < N_TRAIN; i++)
        rows[i] = &f->train[i];
    use_embeddings(f);
    assert_int_equal(hone_embeddings_get(f->bench.embeddings, rows, N_TRAIN, first, NULL, &err), HONE_OK);
    for (int i = 0; i < N_TRAIN; i++) {
        memcpy(kept[i], first[i].vector, sizeof kept[i]);
        seconds[i] = first[i].seconds;
        assert_true(seconds[i] > 0);
    }
    hone_embeddings_free(f->bench.embeddings);
    use_embeddings(f); /* as a second process does */
    assert_int_equal(hone_embeddings_get(f->bench.embeddings, rows, N_TRAIN, again, NULL, &err), HONE_OK);
    for (int i = 0; i < N_TRAIN; i++) {
        assert_memory_equal(again[i].vector, kept[i], sizeof kept[i]);
        assert_true(again[i].seconds == seconds[i]); /* the time it took then: it was not computed anew */
        assert_int_equal(again[i].n_tokens, first[i].n_tokens);
    }
    assert_int_equal(hone_embeddings_recompute(f->bench.embeddings, rows, N_TRAIN, fresh, &err), HONE_OK);
    for (int i = 0; i < N_TRAIN; i++)
        assert_memory_equal(fresh[i].vector, kept[i], sizeof kept[i]);
    hone_embeddings_free(f->bench.embeddings);
    f->bench.embeddings = NULL;
}

static void test_without_the_embedder_its_approaches_are_left_out_and_that_is_said(void **state)
{
    fixture *f = *state;
    hone_error err = {.code = HONE_OK};
    int64_t run_id;
    hone_comparison c;
    f->task.embedder = "minilm-l6-v2"; /* HONE_HOME is an empty folder */
    if (hone_compare(&f->task, NULL, f->ledger, &(hone_compare_options){.seed = 1}, &c, &run_id, &err) != HONE_OK)
        fail_msg("%s", err.message);
    bool said = false;
    for (size_t i = 0; i < c.n_warnings; i++)
        said = said || (strstr(c.warnings[i], "2 approaches by sentence embeddings left out") &&
                        strstr(c.warnings[i], "run: hone model pull minilm-l6-v2"));
    assert_true(said);
    for (size_t i = 0; i < c.n_approaches; i++)
        assert_null(strstr(c.approaches[i].name, "embedding"));
    hone_arena_free(c.arena);
    const char *named[] = {"embedding-logistic"};
    assert_int_equal(hone_compare(&f->task, NULL, f->ledger,
                                  &(hone_compare_options){.seed = 1, .approaches = named, .n_approaches = 1}, &c,
                                  &run_id, &err),
                     HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "hone model pull minilm-l6-v2"));
    hone_arena_free(c.arena);
}

static int n_predicted;

static hone_status count_build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)a, (void)progress, (void)err;
    return HONE_OK;
}

static hone_status count_predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    (void)a, (void)err;
    n_predicted++;
    *answer = strcmp(row->output, "lost") == 0 ? "no label" : row->output;
    return HONE_OK;
}

static const hone_approach_type counting = {
    .name = "counting", .word = "counting", .build = count_build, .predict = count_predict};

static void test_rows_answered_before_are_not_asked_again(void **state)
{
    fixture *f = *state;
    hone_approach *a = built(f, &counting);
    n_predicted = 0;
    mean_of(f, a, f->rows, 4);
    assert_int_equal(n_predicted, 4);
    assert_float_equal(mean_of(f, a, f->rows, 9), 6.0 / 9, 1e-12); /* "no label" is unparseable, which is wrong */
    assert_int_equal(n_predicted, 9);
    hone_approach_free(a);
    a = built(f, &counting); /* as after a kill */
    assert_float_equal(mean_of(f, a, f->rows, 9), 6.0 / 9, 1e-12);
    assert_int_equal(n_predicted, 9);
    /* Another row in the same place is another row. */
    assert_float_equal(mean_of(f, a, f->rows + 1, 3), 2.0 / 3, 1e-12);
    assert_int_equal(n_predicted, 12);
    /* Other settings are other answers. */
    json_object_set_new(a->settings, "k", json_integer(3));
    mean_of(f, a, f->rows, 2);
    assert_int_equal(n_predicted, 14);
    hone_approach_free(a);
}

static void key_of(fixture *f, const char *subject, const char *purpose, char key[65])
{
    hone_error err;
    hone_workbench bench = f->bench;
    assert_int_equal(hone_workbench_init(&bench, &err), HONE_OK);
    assert_int_equal(hone_workbench_key(&bench, subject, NULL, purpose, key, &err), HONE_OK);
    hone_workbench_clear(&bench);
}

static void test_a_key_changes_with_everything_an_answer_depends_on(void **state)
{
    fixture *f = *state;
    char first[65], other[65];
    key_of(f, "tuned", "test", first);
    key_of(f, "tuned", "test", other);
    assert_string_equal(first, other);
    key_of(f, "tuned", "select_name", other);
    assert_string_not_equal(first, other);
    key_of(f, "zero-shot", "test", other);
    assert_string_not_equal(first, other);
    f->task.role = "You work at a bank.";
    key_of(f, "tuned", "test", other);
    assert_string_not_equal(first, other);
    f->task.role = NULL;
    f->bench.seed = 2;
    key_of(f, "tuned", "test", other);
    assert_string_not_equal(first, other);
    f->bench.seed = 1;
    f->task.train.n--;
    key_of(f, "tuned", "test", other);
    assert_string_not_equal(first, other);
}

static void test_approaches_are_found_by_word_and_name(void **state)
{
    (void)state;
    hone_error err;
    const hone_approach_type *type;
    assert_int_equal(hone_approach_find("tuned-prompt", &type, &err), HONE_OK);
    assert_ptr_equal(type, &hone_approach_tuned_prompt);
    assert_int_equal(hone_approach_find("tuned + prompt", &type, &err), HONE_OK);
    assert_ptr_equal(type, &hone_approach_tuned_prompt);
    assert_int_equal(hone_approach_find("zeroshot", &type, &err), HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean \"zero-shot\""));
}

static void test_baselines_alone_are_a_whole_comparison_and_the_test_is_opened_once(void **state)
{
    fixture *f = *state;
    for (int64_t round = 0; round < 2; round++) {
        hone_error err = {.code = HONE_OK};
        hone_comparison c;
        int64_t run_id;
        hone_compare_options options = {.seed = 1, .command = "hone compare"};
        if (hone_compare(&f->task, NULL, f->ledger, &options, &c, &run_id, &err) != HONE_OK ||
            hone_decide(&c, &err) != HONE_OK)
            fail_msg("%s", err.message);
        assert_int_equal(c.n_approaches, 3);
        assert_int_equal(c.n_test, 18);
        assert_int_equal(c.test_openings, 1); /* the same run again is the same opening */
        assert_int_equal(c.winner, 1);        /* two are equal and free; the first of them */
        assert_string_equal(c.approaches[1].name, "nearest neighbour");
        assert_float_equal(c.approaches[0].score, 1.0 / 3, 1e-12);
        assert_float_equal(c.approaches[1].score, 1, 1e-12);
        /* Wilson 1927 for 18 of 18: lower limit n / (n + z^2) = 18 / (18 + 3.8415) */
        assert_float_equal(c.approaches[1].ci_low, 18 / (18 + 3.841459), 1e-6);
        assert_int_equal(c.n_pairs, 1);
        assert_int_equal(c.pairs[0].b, 2);
        assert_float_equal(c.pairs[0].p, 1, 1e-12); /* the same answers */
        assert_string_equal(c.pairs[0].test, "exact McNemar");
        hone_arena_free(c.arena);
    }
}

static void test_a_second_hone_on_the_same_task_is_refused(void **state)
{
    fixture *f = *state;
    hone_error err;
    hone_lock lock;
    hone_comparison c;
    int64_t run_id;
    char path[96];
    snprintf(path, sizeof path, "%s/.hone/compare.lock", f->folder);
    assert_int_equal(hone_lock_take(path, &lock, &err), HONE_OK);
    hone_compare_options options = {.seed = 1};
    assert_int_equal(hone_compare(&f->task, NULL, f->ledger, &options, &c, &run_id, &err), HONE_BUSY);
    hone_arena_free(c.arena);
    hone_lock_release(&lock);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_majority_has_the_share_of_the_most_frequent_answer),
        CASE(test_word_baselines_solve_a_task_that_one_word_decides),
        CASE(test_the_embedding_neighbour_is_the_row_of_greatest_cosine),
        CASE(test_the_embedding_regression_learns_what_one_word_decides),
        CASE(test_an_embedding_is_computed_once_and_found_again),
        CASE(test_without_the_embedder_its_approaches_are_left_out_and_that_is_said),
        CASE(test_rows_answered_before_are_not_asked_again),
        CASE(test_a_key_changes_with_everything_an_answer_depends_on),
        CASE(test_approaches_are_found_by_word_and_name),
        CASE(test_baselines_alone_are_a_whole_comparison_and_the_test_is_opened_once),
        CASE(test_a_second_hone_on_the_same_task_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
