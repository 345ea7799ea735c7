/* compare.c - select, winner, test: the order of a comparison and what it leaves behind. */
#include "evidence/compare.h"

#include "approach/embeddings.h"
#include "base/clock.h"
#include "base/text.h"
#include "evidence/keys.h"
#include "evidence/measure.h"
#include "evidence/setup.h"
#include "stats/power.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double assumed_discordant = 0.20, assumed_power = 0.80, error_rate = 0.05;

static hone_family family_of(hone_approach_family family)
{
    switch (family) {
    case HONE_APPROACH_PROMPT:
        return HONE_FAMILY_PROMPT;
    case HONE_APPROACH_TUNED:
        return HONE_FAMILY_TUNED;
    default:
        return HONE_FAMILY_BASELINE;
    }
}

/* Means over answers, in the order of the rows. */
typedef struct totals {
    double score, tokens_in, tokens_out, seconds;
} totals;

static totals add_up(const hone_answer *answers, size_t n)
{
    totals t = {0};
    for (size_t i = 0; i < n; i++) {
        t.score += answers[i].score;
        t.tokens_in += (double)answers[i].tokens_in;
        t.tokens_out += (double)answers[i].tokens_out;
        t.seconds += answers[i].seconds;
    }
    return t;
}

/* n_rows outcomes of which the first n were asked; the others have no answer and no score. */
static hone_outcome *keep_outcomes(hone_comparing *run, const hone_answer *answers, size_t n, size_t n_rows)
{
    hone_outcome *out = hone_arena_array(run->c->arena, n_rows + 1, sizeof *out);
    for (size_t i = 0; out && i < n_rows; i++)
        out[i] = i < n ? (hone_outcome){.answer = answers[i].answer,
                                        .raw = answers[i].raw,
                                        .score = answers[i].score,
                                        .tokens_in = answers[i].tokens_in,
                                        .tokens_out = answers[i].tokens_out,
                                        .tokens_cached = answers[i].tokens_cached}
                       : (hone_outcome){.score = NAN};
    return out;
}

static const char *copy(hone_comparing *run, const char *s)
{
    return s ? hone_arena_strdup(run->c->arena, s) : NULL;
}

static void keep_seeds(const hone_approach *a, hone_seed_results *out)
{
    *out = (hone_seed_results){.n = (int)a->n_seeds, .kept = (int)a->kept};
    for (size_t i = 0; i < a->n_seeds && i < HONE_MOST_SEEDS; i++) {
        out->seed[i] = a->seeds[i].seed;
        out->select_tune[i] = a->seeds[i].select_tune_score;
        out->select_name[i] = out->test[i] = NAN;
    }
}

/* Builds one approach and measures it on select. */
static hone_status run_select(hone_comparing *run, size_t index, hone_error *err)
{
    hone_progress *progress = run->options->progress;
    hone_approach *a;
    hone_measurement measured;
    hone_approach_result *r = &run->c->approaches[index];
    *r = (hone_approach_result){.name = run->types[index]->name,
                                .family = family_of(run->types[index]->family),
                                .score = NAN,
                                .ci_low = NAN,
                                .ci_high = NAN,
                                .strict_format_rate = NAN,
                                .cost_per_1k_usd = NAN,
                                .cost_per_1k_provisioned_usd = NAN,
                                .setup_usd = NAN,
                                .sends_prompt = run->types[index]->family == HONE_APPROACH_PROMPT ||
                                                run->types[index] == &hone_approach_tuned_prompt,
                                .select_name_score = NAN};
    hone_status status = hone_approach_create(run->types[index], &run->bench, &a, err);
    if (status != HONE_OK)
        return status;
    run->approaches[index] = a;
    status = hone_approach_build(a, progress, err);
    if (status != HONE_OK)
        return status;
    hone_answer *answers = hone_arena_array(run->c->arena, run->n_name + 1, sizeof *answers);
    if (!answers)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", run->n_name);
    keep_seeds(a, &r->seeds);
    status = hone_approach_evaluate_seeds(a, "select_name", run->task->select_name.items, run->n_name, run->c->arena,
                                          answers, &r->select_name_score, &r->evaluation_seconds, r->seeds.select_name,
                                          progress, err);
    if (status == HONE_OK)
        status = hone_measure(a, run->task->select_name.items, run->n_name, &measured, progress, err);
    if (status != HONE_OK)
        return status;
    totals t = add_up(answers, run->n_name);
    r->select_outcomes = keep_outcomes(run, answers, run->n_name, run->task->select_name.n);
    r->description = copy(run, a->description);
    r->adapter = copy(run, a->adapter_folder);
    r->select_tune_score = a->select_tune_score;
    r->tokens_in = t.tokens_in / (double)run->n_name;
    r->tokens_out = t.tokens_out / (double)run->n_name;
    r->tokens_static = measured.tokens_static;
    r->latency_p50_ms = measured.p50_ms;
    r->latency_p95_ms = measured.p95_ms;
    r->latency_n = measured.n;
    r->strict_format_rate = measured.strict_format_rate;
    r->busy_seconds_per_request = t.seconds / (double)run->n_name;
    r->expected_evaluation_seconds = r->evaluation_seconds * (double)(run->n_name + run->n_test) / (double)run->n_name;
    r->build_seconds = a->build_seconds;
    r->train_tokens_per_second = a->train_tokens_per_second;
    r->epochs = a->epochs;
    r->epochs_planned = a->epochs_planned;
    r->labels_used = a->labels_used;
    if (!r->select_outcomes || !r->description)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for results");
    if (run->options->finished)
        run->options->finished(run->options->context, r, r->build_seconds + r->evaluation_seconds);
    return HONE_OK;
}

/* Costs in computed tokens, and in money where the caller can say that. */
static hone_status settle_costs(hone_comparison *c, hone_comparing *run, hone_error *err)
{
    for (size_t i = 0; i < run->n; i++) {
        hone_approach_result *r = &c->approaches[i];
        r->running_cost = (hone_running_cost){
            .usd = NAN,
            .setup_usd = NAN,
            .marginal_usd = NAN,
            .tokens = run->types[i]->messages ? hone_request_cost(r->tokens_in, r->tokens_static, r->tokens_out)
                                              : hone_approach_request_work(run->approaches[i], r->tokens_in),
            .classical = run->types[i]->family == HONE_APPROACH_BASELINE};
    }
    return run->options->costs ? run->options->costs(c, err) : HONE_OK;
}

static hone_status plan_pairs(hone_comparing *run, json_t **part, hone_error *err)
{
    hone_comparison *c = run->c;
    const hone_task_use *use = &run->task->use;
    hone_candidate candidates[HONE_MAX_APPROACHES];
    int against[HONE_MAX_APPROACHES];
    hone_status status = settle_costs(c, run, err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < run->n; i++) {
        const hone_approach_result *r = &c->approaches[i];
        candidates[i] = (hone_candidate){.beyond_limits = hone_is_too_slow(use, r->latency_p95_ms) ||
                                                          hone_is_too_late(use, r->build_seconds),
                                         .select_score = r->select_name_score,
                                         .family = run->types[i]->family,
                                         .cost = r->running_cost};
    }
    int winner = hone_plan_winner(candidates, run->n);
    size_t n = hone_plan_pairs(candidates, run->n, winner, against);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, json_integer(against[i]));
    *part = json_pack("{s:i, s:o?}", "winner", winner, "against", list);
    return *part && list ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for the planned comparisons");
}

/* Winner and pairs: computed once, remembered before the test is opened. */
static hone_status settle_pairs(hone_comparing *run, hone_error *err)
{
    hone_comparison *c = run->c;
    char key[65];
    json_t *part = NULL;
    hone_status status = hone_plan_key(run, key, err);
    if (status == HONE_OK)
        status = hone_ledger_get_part(run->ledger, key, &part, err);
    if (status == HONE_OK && !part) {
        status = plan_pairs(run, &part, err);
        if (status == HONE_OK)
            status = hone_ledger_put_part(run->ledger, key, part, err);
    }
    if (status != HONE_OK)
        goto done;
    c->pairs = hone_arena_array(c->arena, HONE_MAX_APPROACHES, sizeof *c->pairs);
    if (!c->pairs) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for the planned comparisons");
        goto done;
    }
    c->winner = (int)json_integer_value(json_object_get(part, "winner"));
    const json_t *list = json_object_get(part, "against");
    c->n_pairs = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t b = json_integer_value(json_array_get(list, i));
        if (b >= 0 && (size_t)b < run->n && c->winner >= 0 && (size_t)c->winner < run->n)
            c->pairs[c->n_pairs++] = (hone_pair){.a = c->winner,
                                                 .b = (int)b,
                                                 .difference = NAN,
                                                 .ci_low = NAN,
                                                 .ci_high = NAN,
                                                 .p = NAN,
                                                 .p_adjusted = NAN};
    }
    c->detectable_difference = hone_detectable_difference((int64_t)run->n_test, assumed_discordant, error_rate,
                                                          assumed_power, c->n_pairs ? (int64_t)c->n_pairs : 1);
done:
    json_decref(part);
    return status;
}

/* The exact text sent for the first test row. */
static hone_status keep_prompt(hone_comparing *run, size_t index, hone_error *err)
{
    hone_approach *a = run->approaches[index];
    if (!a->type->messages)
        return HONE_OK;
    hone_token_list ids = {0};
    hone_buffer text = {0};
    hone_status status = hone_approach_encode(a, &run->task->test.items[0], &ids, NULL, err);
    if (status == HONE_OK)
        status = hone_tokenizer_decode(hone_engine_get_tokenizer(run->engine), ids.data, ids.n, true, &text, err);
    if (status == HONE_OK)
        run->c->approaches[index].prompt = copy(run, text.data ? text.data : "");
    hone_buffer_clear(&text);
    hone_token_list_clear(&ids);
    return status;
}

static hone_status run_test(hone_comparing *run, size_t index, hone_error *err)
{
    hone_approach *a = run->approaches[index];
    hone_approach_result *r = &run->c->approaches[index];
    size_t n = run->n_test;
    double seconds = 0;
    hone_answer *answers = hone_arena_array(run->c->arena, n + 1, sizeof *answers);
    if (!answers)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n);
    hone_status status = hone_approach_evaluate_seeds(a, "test", run->task->test.items, n, run->c->arena, answers,
                                                      &r->score, &seconds, r->seeds.test, run->options->progress, err);
    if (status != HONE_OK)
        return status;
    r->tested = true;
    r->outcomes = keep_outcomes(run, answers, n, n);
    r->evaluation_seconds += seconds;
    if (!r->outcomes)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for results");
    if (a->n_shortened)
        hone_comparing_warn(
            run, "%s: %lld prompts did not fit the model's context with all their demonstrations and lost some",
            r->name, (long long)a->n_shortened);
    return keep_prompt(run, index, err);
}

static hone_status open_test(hone_comparing *run, hone_error *err)
{
    char key[65];
    hone_status status = hone_opening_key(run, key, err);
    return status == HONE_OK
               ? hone_ledger_open_test(run->ledger, run->task->test_hash, key, "compare", &run->c->test_openings, err)
               : status;
}

static hone_status begin_run(hone_comparing *run, int64_t *run_id, hone_error *err)
{
    json_t *settings =
        json_pack("{s:s?, s:s, s:s, s:I, s:I, s:I, s:s?}", "model", run->c->model, "task", run->task->name, "level",
                  run->level.name, "test_rows", (json_int_t)run->n_test, "select_rows", (json_int_t)run->n_name, "seed",
                  (json_int_t)run->options->seed, "command", run->c->command);
    hone_status status = settings ? hone_ledger_begin_run(run->ledger, run->run_key, settings, run_id, err)
                                  : hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    json_decref(settings);
    return status;
}

/* What searching cost in each family: an unequal effort is said, not hidden. */
static void say_effort(hone_comparing *run)
{
    double prompt = 0, tuning = 0;
    bool tuned = false, prompted = false;
    for (size_t i = 0; i < run->n; i++) {
        tuned = tuned || run->types[i]->family == HONE_APPROACH_TUNED;
        prompted = prompted || run->types[i]->family == HONE_APPROACH_PROMPT;
        prompt += run->types[i]->family == HONE_APPROACH_PROMPT ? run->c->approaches[i].build_seconds : 0;
        tuning += run->types[i]->family == HONE_APPROACH_TUNED ? run->c->approaches[i].build_seconds : 0;
    }
    char spent[2][32];
    hone_format_seconds(prompt, spent[0]);
    hone_format_seconds(tuning, spent[1]);
    int seeds = run->bench.effort.seeds;
    if (tuned && prompted && seeds < HONE_TASK_LEAST_SEEDS)
        hone_comparing_warn(
            run,
            "search for prompts took %s, tuning %s; tuning ran with one seed, so its spread over seeds is not known",
            spent[0], spent[1]);
    else if (tuned && prompted)
        hone_comparing_warn(run, "search for prompts took %s, tuning with %d seeds %s", spent[0], seeds, spent[1]);
}

static void finish(hone_comparing *run, double start)
{
    hone_comparison *c = run->c;
    double spent = 0;
    for (size_t i = 0; i < run->n; i++)
        spent += c->approaches[i].build_seconds + c->approaches[i].evaluation_seconds;
    c->total_seconds = fmax(hone_clock_seconds() - start, spent); /* a continued run has spent more than this process */
    c->peak_resident_bytes = (int64_t)hone_peak_resident_bytes();
    uint64_t budget = run->task->budget_memory_bytes;
    char held[32], allowed[32];
    hone_format_bytes((uint64_t)c->peak_resident_bytes, held);
    hone_format_bytes(budget, allowed);
    if (budget && (uint64_t)c->peak_resident_bytes > budget)
        hone_comparing_warn(run, "memory: %s were used at the peak, the task's budget is %s", held, allowed);
    int64_t n_cut = run->bench.embeddings ? hone_embeddings_n_cut(run->bench.embeddings) : 0;
    if (n_cut > 0)
        hone_comparing_warn(
            run, "%lld texts are longer than the %lld tokens that %s takes; their embeddings are of the beginning",
            (long long)n_cut, (long long)hone_embeddings_most_tokens(run->bench.embeddings),
            hone_embeddings_name(run->bench.embeddings));
    say_effort(run);
}

static hone_status run_all(hone_comparing *run, int64_t *run_id, hone_error *err)
{
    double start = hone_clock_seconds();
    hone_comparison *c = run->c;
    hone_status status = hone_comparing_init(run, err);
    if (status != HONE_OK)
        return status;
    c->approaches = hone_arena_array(c->arena, run->n + 1, sizeof *c->approaches);
    if (!c->approaches)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for results");
    c->n_approaches = run->n;
    if (run->options->planned)
        run->options->planned(run->options->context, c);
    status = begin_run(run, run_id, err);
    for (size_t i = 0; i < run->n && status == HONE_OK; i++)
        status = run_select(run, i, err);
    if (status == HONE_OK)
        status = settle_pairs(run, err);
    if (status == HONE_OK)
        status = open_test(run, err);
    for (size_t i = 0; i < run->n && status == HONE_OK; i++)
        status = run_test(run, i, err);
    if (status == HONE_OK)
        finish(run, start);
    return status;
}

hone_status hone_compare(const hone_task *task, hone_engine *engine, hone_ledger *ledger,
                         const hone_compare_options *options, hone_comparison *out, int64_t *run_id, hone_error *err)
{
    hone_lock lock;
    memset(out, 0, sizeof *out);
    out->arena = hone_arena_create();
    if (!out->arena)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a comparison");
    char *state = hone_path_join(task->folder, ".hone"), *path = state ? hone_path_join(state, "compare.lock") : NULL;
    hone_status status =
        path ? hone_folder_create(state, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for a path");
    if (status == HONE_OK)
        status = hone_lock_take(path, &lock, err);
    free(path);
    free(state);
    if (status != HONE_OK)
        return status;
    hone_comparing run = {.task = task, .engine = engine, .ledger = ledger, .options = options, .c = out};
    status = run_all(&run, run_id, err);
    hone_comparing_clear(&run);
    hone_lock_release(&lock);
    return status;
}
