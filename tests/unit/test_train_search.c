/* test_train_search.c - what ends a run early and what chooses its settings, on a tiny model that the test writes: a
 * pause changes nothing, patience stops where it says, successive halving keeps what it has computed and can be killed
 * at any instant. */
#include "base/file.h"
#include "base/hash.h"
#include "model/adapter.h"
#include "tiny_model.h"
#include "train/curve.h"
#include "train/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_EXAMPLES = 12, MOST_TOKENS = 40, BATCH = 4, EPOCHS = 6, STEPS = 18 };

static char model_path[300];
static hone_engine *engine;
static int32_t ids[N_EXAMPLES][MOST_TOKENS];
static hone_train_example examples[N_EXAMPLES];

static hone_train_options options_for(const char *folder)
{
    static char kept[64][300];
    static int next;
    hone_train_options o;
    hone_train_options_defaults(&o);
    o.folder = strcpy(kept[next++ % 64], temporary_path(folder));
    o.rank = 4;
    o.alpha = 8;
    o.batch = BATCH;
    o.epochs = EPOCHS;
    o.learning_rate = 1e-2;
    o.seed = 5;
    o.checkpoint_seconds = 1000;
    return o;
}

static const char *adapter_hash(const char *folder)
{
    static char hex[8][65];
    static int next;
    char path[300], *to = hex[next++ % 8];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", temporary_path(folder));
    if (hone_sha256_file(path, to, NULL) != HONE_OK)
        strcpy(to, "no file");
    return to;
}

/* Scores by the likelihood of the first example's answer, so that it follows from the adapter alone. */
typedef struct judge {
    hone_engine *engine;
    int asked, fail_at;
    bool only_loss; /* every score is the same; the loss decides */
} judge;

static hone_status judge_adapter(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    judge *j = context;
    const hone_train_example *e = &examples[0];
    if (++j->asked == j->fail_at)
        return hone_fail(err, HONE_IO, "the judge is ill");
    hone_request request = {.ids = e->ids, .n_ids = e->n_ids, .adapter = adapter, .want_prompt_logprobs = true};
    hone_response response = {0};
    hone_status status = hone_engine_run(j->engine, &request, 1, &response, NULL, err);
    double sum = 0;
    for (size_t i = e->n_prompt; i < e->n_ids && status == HONE_OK; i++)
        sum += (double)response.prompt_logprobs[i];
    hone_response_clear(&response);
    out->score = j->only_loss ? 0.5 : exp(sum);
    out->loss = -sum;
    return status;
}

static hone_status train(const hone_train_options *o, hone_train_result *result, hone_error *err)
{
    judge j = {engine, 0, 0, false};
    memset(err, 0, sizeof *err);
    return hone_train(engine, examples, N_EXAMPLES, o, judge_adapter, &j, NULL, result, err);
}

static const hone_search_candidate four[] = {{1e-2, 4}, {1e-4, 4}, {3e-2, 4}, {1e-3, 4}};

static hone_status search(hone_engine *with, const hone_train_options *o, judge *j, hone_train_result *result,
                          hone_search_outcome *outcome, hone_error *err)
{
    j->engine = with;
    memset(err, 0, sizeof *err);
    return hone_train_search(with, examples, N_EXAMPLES, o, four, 4, judge_adapter, j, NULL, result, outcome, err);
}

static void test_a_pause_changes_no_bit(void **state)
{
    (void)state;
    hone_train_options whole = options_for("whole"), parts = options_for("parts");
    hone_train_result a, b;
    hone_error err;
    if (train(&whole, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (parts.pause_at = 1; parts.pause_at < STEPS; parts.pause_at += 5) {
        assert_int_equal(train(&parts, &b, &err), HONE_OK);
        assert_true(b.paused);
        assert_int_equal(b.steps, parts.pause_at);
        assert_int_equal(b.planned_steps, STEPS);
        assert_true(b.pause.score > 0 && b.pause.score < 1);
        assert_false(hone_file_exists(temporary_path("parts/hone.json")));
    }
    parts.pause_at = 0;
    assert_int_equal(train(&parts, &b, &err), HONE_OK);
    assert_false(b.paused);
    assert_true(b.resumed);
    assert_string_equal(adapter_hash("whole"), adapter_hash("parts"));
    assert_true(a.best_score == b.best_score);
    assert_int_equal(a.best_step, b.best_step);
}

/* Scores by hand: the best is the second; with patience 2 the run ends at the fourth. */
static hone_status falling_score(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    judge *j = context;
    (void)adapter;
    if (++j->asked == j->fail_at)
        return hone_fail(err, HONE_IO, "the judge is ill");
    out->score = j->asked == 2 ? 1 : 0.5;
    return HONE_OK;
}

static void test_patience_ends_a_run_after_so_many_scores_without_a_better_one(void **state)
{
    (void)state;
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        hone_train_options o = options_for(interrupted ? "patient, interrupted" : "patient");
        hone_train_result r;
        hone_error err;
        judge j = {engine, 0, interrupted ? 3 : 0, false};
        o.patience = 2;
        hone_status status = hone_train(engine, examples, N_EXAMPLES, &o, falling_score, &j, NULL, &r, &err);
        if (interrupted) {
            assert_int_equal(status, HONE_IO);
            j = (judge){engine, 2, 0, false};
            status = hone_train(engine, examples, N_EXAMPLES, &o, falling_score, &j, NULL, &r, &err);
        }
        if (status != HONE_OK)
            fail_msg("%s", err.message);
        assert_int_equal(j.asked, 4);
        assert_int_equal(r.steps, 12); /* scores at 3, 6, 9, 12 */
        assert_int_equal(r.best_step, 6);
        assert_int_equal(r.planned_steps, STEPS);
    }
    assert_string_equal(adapter_hash("patient"), adapter_hash("patient, interrupted"));
    hone_train_options o = options_for("nobody to ask");
    hone_train_result r;
    hone_error err;
    o.patience = 1;
    assert_int_equal(hone_train(engine, examples, N_EXAMPLES, &o, NULL, NULL, NULL, &r, &err), HONE_BAD_INPUT);
    assert_says(err, "held out");
}

/* By hand, for halves: 4 candidates go an eighth of the way, 2 of them a quarter, one to the end; the dropped cost
 * 2/8 + 1/4 runs. 12: 12, 6, 3, 2, 1 at 1/32, 1/16, 1/8, 1/4: 6/32 + 3/16 + 1/8 + 1/4. */
static void test_rungs_are_those_of_successive_halving(void **state)
{
    (void)state;
    assert_int_equal(hone_search_rungs(1), 0);
    assert_int_equal(hone_search_rungs(4), 2);
    assert_int_equal(hone_search_rungs(12), 4);
    assert_int_equal(hone_search_rung_step(0, 2, 800, 0.05), 100);
    assert_int_equal(hone_search_rung_step(1, 2, 800, 0.05), 200);
    assert_int_equal(hone_search_rung_step(0, 4, 800, 0.05), 80); /* 25 would lie within the warm-up of 40 */
    assert_int_equal(hone_search_rung_step(0, 2, 8, 0.05), 2);
    assert_true(fabs(hone_search_extra_runs(4) - 0.5) < 1e-12);
    assert_true(fabs(hone_search_extra_runs(12) - 0.75) < 1e-12);
    assert_true(hone_search_extra_runs(1) == 0);
}

static void test_the_adapter_is_that_of_a_run_with_the_chosen_rate(void **state)
{
    (void)state;
    hone_train_options o = options_for("found");
    hone_train_result r, plain;
    hone_search_outcome found;
    hone_error err;
    judge j = {0};
    if (search(engine, &o, &j, &r, &found, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_false(r.paused);
    assert_int_equal(r.steps, STEPS);
    json_t *rungs = json_object_get(found.record, "rungs");
    assert_int_equal(json_array_size(rungs), 2);
    double best = -1, chosen = 0;
    static const size_t tried[] = {4, 2};
    for (size_t i = 0; i < 2; i++) {
        json_t *rung = json_array_get(rungs, i), *t;
        size_t at, kept = 0;
        assert_int_equal(json_array_size(json_object_get(rung, "tried")), tried[i]);
        best = -1;
        json_array_foreach(json_object_get(rung, "tried"), at, t)
        {
            double score = json_number_value(json_object_get(t, "score"));
            kept += json_is_true(json_object_get(t, "kept"));
            if (score > best) {
                best = score;
                chosen = json_number_value(json_object_get(t, "learning_rate"));
            }
        }
        assert_int_equal(kept, tried[i] / 2);
    }
    assert_true(found.chosen.learning_rate == chosen);
    assert_true(found.seconds > 0);
    assert_non_null(strstr(json_string_value(json_object_get(found.record, "why")), "highest score"));
    hone_train_options alone = options_for("alone");
    alone.learning_rate = chosen;
    assert_int_equal(train(&alone, &plain, &err), HONE_OK);
    assert_string_equal(adapter_hash("found"), adapter_hash("alone"));
    json_t *record = json_load_file(temporary_path("found/hone.json"), 0, NULL);
    assert_true(json_is_array(json_object_get(json_object_get(record, "search"), "rungs")));
    assert_false(hone_folder_exists(temporary_path("found/probe")));
    json_decref(record);
    json_decref(found.record);
    /* Asked again, nothing is trained. */
    j.asked = 0;
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_OK);
    assert_int_equal(j.asked, 0);
    assert_true(r.resumed && found.chosen.learning_rate == chosen);
    json_decref(found.record);
    /* Another search is not written over it. */
    o.epochs = EPOCHS + 1;
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_BAD_INPUT);
    assert_says(err, "the search of another run");
}

/* The searching is stopped at every one of its scores in turn, by an error there, and gone on with by another engine
 * with another number of threads. */
static void test_a_search_that_is_interrupted_ends_with_the_same_bits(void **state)
{
    (void)state;
    hone_train_options o = options_for("undisturbed");
    hone_train_result r;
    hone_search_outcome found, other;
    hone_error err;
    judge j = {0};
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_OK);
    hone_engine *alone; /* with another number of threads */
    hone_engine_options threads = {.n_threads = 2, .cache_bytes = 1 << 20, .max_batch_rows = 64};
    assert_int_equal(hone_engine_open(model_path, &threads, &alone, &err), HONE_OK);
    hone_train_options again = options_for("disturbed");
    int stops = 0;
    for (hone_status status = HONE_IO; status == HONE_IO; stops++) {
        judge ill = {.fail_at = 2};
        status = search(stops % 2 ? alone : engine, &again, &ill, &r, &other, &err);
        if (status != HONE_OK && status != HONE_IO)
            fail_msg("%s", err.message);
        assert_true(stops < 40);
    }
    assert_true(stops > 4);
    assert_string_equal(adapter_hash("undisturbed"), adapter_hash("disturbed"));
    json_t *a = json_object_get(found.record, "chosen"), *b = json_object_get(other.record, "chosen");
    assert_true(json_equal(a, b));
    json_decref(found.record);
    json_decref(other.record);
    hone_engine_close(alone);
}

static void test_equal_scores_are_told_apart_by_the_loss_and_by_nothing_else(void **state)
{
    (void)state;
    hone_train_options o = options_for("equal");
    hone_train_result r;
    hone_search_outcome found;
    hone_error err;
    judge j = {.only_loss = true};
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_OK);
    assert_non_null(strstr(json_string_value(json_object_get(found.record, "why")), "a lower loss"));
    json_decref(found.record);
    assert_true(hone_search_rates[0] == 1e-3); /* the default stands first, so it is kept where nothing tells */
}

static void test_a_time_limit_gives_every_candidate_the_same_shorter_schedule(void **state)
{
    (void)state;
    hone_train_options o = options_for("short of time");
    hone_train_result r;
    hone_search_outcome found;
    hone_error err;
    judge j = {0};
    o.max_seconds = 1e-6;
    if (search(engine, &o, &j, &r, &found, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(r.steps, HONE_SEARCH_LEAST_STEPS);
    assert_int_equal(json_integer_value(json_object_get(found.record, "max_steps")), HONE_SEARCH_LEAST_STEPS);
    hone_train_options alone = options_for("as short");
    hone_train_result plain;
    alone.max_steps = HONE_SEARCH_LEAST_STEPS;
    alone.learning_rate = found.chosen.learning_rate;
    assert_int_equal(train(&alone, &plain, &err), HONE_OK);
    assert_string_equal(adapter_hash("short of time"), adapter_hash("as short"));
    json_decref(found.record);
}

/* Scores choose the checkpoint and the rate, so both go on only with the rows that they were begun with. */
static void test_other_held_out_rows_are_another_run(void **state)
{
    (void)state;
    hone_train_options o = options_for("held out"), found = options_for("held out, searched");
    hone_train_result r;
    hone_search_outcome outcome;
    hone_error err;
    judge j = {0};
    o.select_hash = found.select_hash = "1111111111111111111111111111111111111111111111111111111111111111";
    o.pause_at = 2;
    assert_int_equal(train(&o, &r, &err), HONE_OK);
    j.fail_at = 2;
    assert_int_equal(search(engine, &found, &j, &r, &outcome, &err), HONE_IO); /* begun, not ended */
    const char *other = "1111111111111111111111111111111111111111111111111111111111111112";
    o.select_hash = found.select_hash = other;
    o.pause_at = 0;
    assert_int_equal(train(&o, &r, &err), HONE_BAD_INPUT); /* begun with other rows */
    assert_int_equal(search(engine, &found, &j, &r, &outcome, &err), HONE_BAD_INPUT);
    assert_says(err, "search of another run");
    o.select_hash = found.select_hash = "1111111111111111111111111111111111111111111111111111111111111111";
    assert_int_equal(train(&o, &r, &err), HONE_OK);
    o.select_hash = other;
    assert_int_equal(train(&o, &r, &err), HONE_BAD_INPUT); /* finished with other rows */
    assert_says(err, "finished adapter of another run");
    j.fail_at = 0;
    assert_int_equal(search(engine, &found, &j, &r, &outcome, &err), HONE_OK);
    json_decref(outcome.record);
}

/* Under a limit passes have fewer rows, and the rows of a pass decide the order of additions. */
static void test_another_memory_limit_is_another_search(void **state)
{
    (void)state;
    hone_train_options o = options_for("limited");
    hone_train_result r;
    hone_search_outcome outcome;
    hone_error err;
    judge j = {.fail_at = 2};
    assert_int_equal(search(engine, &o, &j, &r, &outcome, &err), HONE_IO);
    o.memory_bytes = (uint64_t)1 << 40;
    assert_int_equal(search(engine, &o, &j, &r, &outcome, &err), HONE_BAD_INPUT);
    assert_says(err, "search of another run");
}

/* ---- the same training several times ---- */
static hone_series series_for(const char *folder, judge *j)
{
    j->engine = engine;
    return (hone_series){.engine = engine,
                         .examples = examples,
                         .n_examples = N_EXAMPLES,
                         .options = options_for(folder),
                         .score = judge_adapter,
                         .score_context = j};
}

static void test_of_several_seeds_the_best_is_kept_with_mean_and_spread(void **state)
{
    (void)state;
    judge j = {0};
    hone_series series = series_for("seeds", &j);
    hone_train_result kept;
    hone_search_outcome outcome;
    hone_error err;
    json_t *record;
    if (hone_train_seeds(&series, 3, NULL, 0, &kept, &record, &outcome, &err) != HONE_OK)
        fail_msg("%s", err.message);
    double scores[3], best = -1, sum = 0, squares = 0;
    int best_seed = 0;
    for (int i = 0; i < 3; i++) {
        json_t *run = json_array_get(json_object_get(record, "runs"), (size_t)i);
        scores[i] = json_number_value(json_object_get(run, "best_score"));
        sum += scores[i];
        assert_int_equal(json_integer_value(json_object_get(run, "seed")), 5 + i);
        if (scores[i] > best) {
            best = scores[i];
            best_seed = 5 + i;
        }
    }
    for (int i = 0; i < 3; i++)
        squares += (scores[i] - sum / 3) * (scores[i] - sum / 3);
    assert_true(fabs(json_number_value(json_object_get(record, "mean")) - sum / 3) < 1e-12);
    assert_true(fabs(json_number_value(json_object_get(record, "standard_deviation")) - sqrt(squares / 2)) < 1e-12);
    assert_int_equal(json_integer_value(json_object_get(record, "kept")), best_seed);
    assert_true(kept.best_score == best);
    assert_true(scores[0] != scores[1] && scores[1] != scores[2]);
    char folder[32];
    snprintf(folder, sizeof folder, "seeds/seed-%d", best_seed);
    assert_string_equal(adapter_hash("seeds"), adapter_hash(folder));
    json_t *written = json_load_file(temporary_path("seeds/hone.json"), 0, NULL);
    assert_true(json_is_object(json_object_get(written, "seeds")));
    json_decref(written);
    json_decref(record);
    /* A seed's run is the run that it is alone; asked again, nothing is trained. */
    hone_train_options alone = options_for("seed six");
    hone_train_result r;
    alone.seed = 6;
    assert_int_equal(train(&alone, &r, &err), HONE_OK);
    assert_string_equal(adapter_hash("seed six"), adapter_hash("seeds/seed-6"));
    j.asked = 0;
    assert_int_equal(hone_train_seeds(&series, 3, NULL, 0, &kept, &record, &outcome, &err), HONE_OK);
    assert_int_equal(j.asked, 0);
    json_decref(record);
    /* The adapter of another run in the folder is not written over. */
    hone_series other = series_for("seed six", &j);
    assert_int_equal(hone_train_seeds(&other, 2, NULL, 0, &kept, &record, &outcome, &err), HONE_OK); /* 5, 6: ours */
    json_decref(record);
    other.options.learning_rate = 1e-3;
    other.options.folder = strcpy((char[300]){0}, temporary_path("alone"));
    assert_int_equal(hone_train_seeds(&other, 2, NULL, 0, &kept, &record, &outcome, &err), HONE_BAD_INPUT);
    assert_says(err, "finished adapter of another run");
}

/* By hand: 25 doubled while below the whole; a part above three quarters of it is left out. Passes: 25 rows are 2 steps
 * of 16 a pass, so 20 passes make 40 steps; 100 rows are 7 steps, so 40/7 passes; 400 rows 25 steps. */
static void test_parts_of_a_curve_double_and_small_ones_are_gone_through_more_often(void **state)
{
    (void)state;
    size_t sizes[8];
    assert_int_equal(hone_curve_sizes(1000, sizes, 8), 6);
    static const size_t expected[] = {25, 50, 100, 200, 400, 1000};
    assert_memory_equal(sizes, expected, sizeof expected);
    assert_int_equal(hone_curve_sizes(900, sizes, 8), 6); /* 800 is too near to 900 */
    assert_int_equal(sizes[5], 900);
    assert_int_equal(hone_curve_sizes(20, sizes, 8), 1);
    assert_int_equal(sizes[0], 20);
    assert_true(hone_curve_epochs(3, 25, 16) == 20);
    assert_true(fabs(hone_curve_epochs(3, 100, 16) - 40.0 / 7) < 1e-12);
    assert_true(hone_curve_epochs(3, 400, 16) == 3);
    assert_true(hone_curve_epochs(3, 10, 16) == 25);
}

/* As judge_adapter, and says which of four made rows were right: those whose threshold the likelihood is above. */
static hone_status judge_rows(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    hone_status status = judge_adapter(context, adapter, out, err);
    char right[5] = "0000";
    for (int i = 0; i < 4 && status == HONE_OK; i++)
        right[i] = out->score > pow(10, -2 * i - 1) ? '1' : '0';
    if (status == HONE_OK)
        out->details = json_pack("{s:i, s:s}", "n", 4, "right", right);
    return status;
}

static json_t *load(const char *name)
{
    return json_load_file(temporary_path(name), 0, NULL);
}

/* Seconds are the only thing that two runs need not share. */
static void forget_seconds(json_t *curve)
{
    size_t i;
    json_t *point;
    json_array_foreach(json_object_get(curve, "points"), i, point) json_object_del(point, "seconds");
}

/* 12 examples that stand for rows 0, 20, ... 220, so parts of 25, 50, 100 and 221 rows with 2, 3, 5 and 12 of them. */
static size_t row_of[N_EXAMPLES];

static void test_each_part_of_a_curve_is_trained_with_each_seed(void **state)
{
    (void)state;
    enum { SEEDS = 2 };
    static const size_t n_examples[] = {2, 3, 5, 12}, rows[] = {25, 50, 100, 221};
    judge j = {0};
    hone_series series = series_for("curve", &j);
    series.score = judge_rows;
    hone_train_result kept;
    hone_search_outcome outcome;
    hone_error err;
    json_t *seeds, *curve, *point, *run;
    for (size_t i = 0; i < N_EXAMPLES; i++)
        row_of[i] = 20 * i;
    assert_int_equal(hone_train_seeds(&series, SEEDS, NULL, 0, &kept, &seeds, &outcome, &err), HONE_OK);
    int asked = j.asked;
    if (hone_train_curve(&series, SEEDS, row_of, &curve, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_true(j.asked > asked);
    size_t p, k;
    json_array_foreach(json_object_get(curve, "points"), p, point)
    {
        double sum = 0, square = 0, of_seed[SEEDS];
        assert_int_equal(json_integer_value(json_object_get(point, "rows")), rows[p]);
        json_array_foreach(json_object_get(point, "runs"), k, run)
        {
            const char *right = json_string_value(json_object_get(run, "right"));
            of_seed[k] = 0;
            for (size_t i = 0; i < 4; i++)
                of_seed[k] += 0.25 * (right[i] == '1');
            sum += of_seed[k];
            /* The run is the one that it is alone. */
            char name[64], alone[64];
            hone_train_options o = series.options;
            hone_train_result r;
            judge own = {engine, 0, 0, false};
            if (p < 3)
                snprintf(name, sizeof name, "curve/curve/%zu/seed-%zu", rows[p], 5 + k);
            else
                snprintf(name, sizeof name, "curve/seed-%zu", 5 + k);
            snprintf(alone, sizeof alone, "alone-%zu-%zu", rows[p], k);
            o.seed = 5 + k;
            o.epochs = p < 3 ? 25 : EPOCHS; /* a step a pass or two, so more passes, up to 25 */
            if (p == 2)
                o.epochs = 20; /* 40 steps of 2 a pass */
            o.folder = strcpy((char[300]){0}, temporary_path(alone));
            assert_int_equal(hone_train(engine, examples, n_examples[p], &o, judge_rows, &own, NULL, &r, &err),
                             HONE_OK);
            assert_string_equal(adapter_hash(name), adapter_hash(alone));
            assert_int_equal(json_integer_value(json_object_get(run, "seed")), 5 + (int)k);
        }
        assert_int_equal(k, SEEDS);
        for (k = 0; k < SEEDS; k++)
            square += (of_seed[k] - sum / SEEDS) * (of_seed[k] - sum / SEEDS);
        double score = json_number_value(json_object_get(point, "score"));
        assert_true(fabs(score - sum / SEEDS) < 1e-12);
        assert_true(fabs(json_number_value(json_object_get(point, "standard_deviation")) - sqrt(square)) < 1e-12);
        assert_true(json_number_value(json_object_get(point, "low")) <= score + 1e-12);
        assert_true(json_number_value(json_object_get(point, "high")) >= score - 1e-12);
    }
    assert_int_equal(p, 4);
    assert_int_equal(json_array_size(json_object_get(curve, "forecasts")), 2);
    json_decref(curve);
    /* Asked again, nothing is trained. */
    j.asked = 0;
    assert_int_equal(hone_train_curve(&series, SEEDS, row_of, &curve, &err), HONE_OK);
    assert_int_equal(j.asked, 0);
    json_t *written = load("curve/curve.json");
    assert_true(json_is_object(written));
    json_decref(written);
    json_decref(curve);
    /* What a curve cannot be. */
    assert_int_equal(hone_train_curve(&series, 0, row_of, &curve, &err), HONE_BAD_INPUT);
    assert_null(curve);
    assert_int_equal(hone_train_curve(&series, HONE_SERIES_MOST_SEEDS + 1, row_of, &curve, &err), HONE_BAD_INPUT);
    assert_says(err, "33 seeds");
    series.score = NULL;
    assert_int_equal(hone_train_curve(&series, SEEDS, row_of, &curve, &err), HONE_BAD_INPUT);
    assert_says(err, "held out");
    /* A part that says nothing of its rows. */
    series.score = judge_rows;
    temporary_file("curve/curve/50/seed-6/metrics.jsonl", "{\"step\": 1}\n");
    assert_int_equal(hone_train_curve(&series, SEEDS, row_of, &curve, &err), HONE_BAD_FORMAT);
    assert_says(err, "curve/50/seed-6: metrics.jsonl lacks the score");
    json_decref(seeds);
}

/* Stopped at every one of its scores in turn, a curve ends as an undisturbed one. */
static void test_a_curve_over_seeds_that_is_interrupted_ends_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_EXAMPLES; i++)
        row_of[i] = 20 * i;
    int stops = 0;
    for (hone_status status = HONE_IO; status == HONE_IO; stops++) {
        judge ill = {.fail_at = 12};
        hone_series series = series_for("stopped", &ill);
        hone_train_result kept;
        hone_search_outcome outcome;
        hone_error err;
        json_t *seeds = NULL, *curve = NULL;
        series.score = judge_rows;
        series.options.checkpoint_seconds = 0;
        memset(&err, 0, sizeof err);
        status = hone_train_seeds(&series, 2, NULL, 0, &kept, &seeds, &outcome, &err);
        if (status == HONE_OK)
            status = hone_train_curve(&series, 2, row_of, &curve, &err);
        if (status != HONE_OK && status != HONE_IO)
            fail_msg("%s", err.message);
        json_decref(seeds);
        json_decref(curve);
        assert_true(stops < 100);
    }
    assert_true(stops > 10);
    judge j = {0};
    hone_series series = series_for("at once", &j);
    hone_train_result kept;
    hone_search_outcome outcome;
    hone_error err;
    json_t *seeds, *curve;
    series.score = judge_rows;
    assert_int_equal(hone_train_seeds(&series, 2, NULL, 0, &kept, &seeds, &outcome, &err), HONE_OK);
    assert_int_equal(hone_train_curve(&series, 2, row_of, &curve, &err), HONE_OK);
    json_decref(curve);
    json_decref(seeds);
    json_t *a = load("stopped/curve.json"), *b = load("at once/curve.json");
    forget_seconds(a);
    forget_seconds(b);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
}

static void test_what_cannot_be_searched_is_refused(void **state)
{
    (void)state;
    hone_train_options o = options_for("refused");
    hone_train_result r;
    hone_search_outcome found;
    hone_error err;
    judge j = {0};
    o.epochs = 2; /* 6 steps */
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_BAD_INPUT);
    assert_says(err, "6 steps are too few");
    o.epochs = EPOCHS;
    assert_int_equal(hone_train_search(engine, examples, N_EXAMPLES, &o, four, 4, NULL, NULL, NULL, &r, &found, &err),
                     HONE_BAD_INPUT);
    assert_int_equal(
        hone_train_search(engine, examples, N_EXAMPLES, &o, four, 0, judge_adapter, &j, NULL, &r, &found, &err),
        HONE_BAD_INPUT);
    assert_int_equal(hone_folder_create(o.folder, &err), HONE_OK);
    temporary_file("refused/search.json", "[1");
    assert_int_equal(search(engine, &o, &j, &r, &found, &err), HONE_BAD_FORMAT);
    assert_says(err, "search.json: not a search");
}

static int open_all(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.gguf"));
    if (tiny_model_write(model_path, &err) != HONE_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    for (int i = 0; i < N_EXAMPLES; i++) {
        size_t n = (size_t)(22 + 3 * (i % 5));
        for (size_t j = 0; j < n; j++)
            ids[i][j] = (int32_t)hone_rng_below((hone_rng_key){3, HONE_RNG_TEST, (uint32_t)i}, j, TINY_VOCAB);
        examples[i] = (hone_train_example){ids[i], n, n - 2 - (size_t)(i % 4)};
    }
    hone_engine_options o = {.n_threads = 1, .cache_bytes = 1 << 20, .max_batch_rows = 64};
    return hone_engine_open(model_path, &o, &engine, &err) == HONE_OK ? 0 : -1;
}

static int close_all(void **state)
{
    hone_engine_close(engine);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pause_changes_no_bit),
        cmocka_unit_test(test_patience_ends_a_run_after_so_many_scores_without_a_better_one),
        cmocka_unit_test(test_rungs_are_those_of_successive_halving),
        cmocka_unit_test(test_the_adapter_is_that_of_a_run_with_the_chosen_rate),
        cmocka_unit_test(test_a_search_that_is_interrupted_ends_with_the_same_bits),
        cmocka_unit_test(test_equal_scores_are_told_apart_by_the_loss_and_by_nothing_else),
        cmocka_unit_test(test_a_time_limit_gives_every_candidate_the_same_shorter_schedule),
        cmocka_unit_test(test_other_held_out_rows_are_another_run),
        cmocka_unit_test(test_another_memory_limit_is_another_search),
        cmocka_unit_test(test_of_several_seeds_the_best_is_kept_with_mean_and_spread),
        cmocka_unit_test(test_parts_of_a_curve_double_and_small_ones_are_gone_through_more_often),
        cmocka_unit_test(test_each_part_of_a_curve_is_trained_with_each_seed),
        cmocka_unit_test(test_a_curve_over_seeds_that_is_interrupted_ends_the_same),
        cmocka_unit_test(test_what_cannot_be_searched_is_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
