/* setup.c - choosing approaches and thoroughness, and checking that prompts fit, before anything is answered. */
#include "evidence/setup.h"

#include "approach/embeddings.h"
#include "base/clock.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "evidence/keys.h"
#include "evidence/measure.h"
#include "stats/power.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A quick run may not train longer than this, however slow the machine. */
static const double quick_train_seconds = 240;
static const double least_train_seconds = 30;
/* What a pair is assumed to differ in when the detectable difference is stated (EVIDENCE: 20 % discordant, 80 % power).
 */
static const double assumed_discordant = 0.20, assumed_power = 0.80, error_rate = 0.05;
enum { LONGEST_ROWS_CHECKED = 4 };

void hone_comparing_warn(hone_comparing *run, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hone_comparison *c = run->c;
    if (!c->warnings)
        c->warnings = hone_arena_array(c->arena, HONE_MAX_WARNINGS, sizeof *c->warnings);
    const char *copy = hone_arena_strdup(c->arena, text);
    if (c->warnings && copy && c->n_warnings < HONE_MAX_WARNINGS)
        c->warnings[c->n_warnings++] = copy;
}

static bool asked_for(const hone_comparing *run, const hone_approach_type *type)
{
    for (size_t i = 0; i < run->options->n_approaches; i++)
        if (strcmp(run->options->approaches[i], type->word) == 0 ||
            strcmp(run->options->approaches[i], type->name) == 0)
            return true;
    return false;
}

/* Whether any approach that the user named, or that runs anyway, needs sentence embeddings; *named: the user's first.
 */
static bool wants_embeddings(const hone_comparing *run, const hone_approach_type **named)
{
    *named = NULL;
    for (size_t i = 0; hone_approach_types[i] && !*named; i++)
        if (hone_approach_types[i]->uses_embeddings && asked_for(run, hone_approach_types[i]))
            *named = hone_approach_types[i];
    return *named || hone_task_has_labels(run->task);
}

/* Opens the task's embedder where it is here. Where it is not, nothing is fetched: the approaches that need it are left
 * out and a line says so, unless the user named one of them. */
static hone_status open_embeddings(hone_comparing *run, hone_error *err)
{
    const hone_approach_type *named;
    hone_embedder *embedder;
    char *path;
    if (!run->task->embedder || !wants_embeddings(run, &named))
        return HONE_OK;
    hone_error own = {.code = HONE_OK};
    hone_status status = hone_model_resolve(run->task->embedder, &path, &own);
    if (status == HONE_NOT_FOUND && !named) {
        int n = 0;
        for (size_t i = 0; hone_approach_types[i]; i++)
            n += hone_approach_types[i]->uses_embeddings && (run->engine || !hone_approach_types[i]->messages);
        snprintf(run->left_out, sizeof run->left_out,
                 "%d approach%s by sentence embeddings left out, though they are often the best for labels: %.300s", n,
                 n == 1 ? "" : "es", own.message);
        return HONE_OK;
    }
    if (status != HONE_OK)
        return hone_fail(err, status, "%s%sembedder %s: %s", named ? named->word : "", named ? ": " : "",
                         run->task->embedder, own.message);
    hone_embedder_options options = {.n_threads = run->engine ? hone_engine_threads(run->engine) : 0};
    status = hone_embedder_open(path, &options, &embedder, err);
    free(path);
    if (status != HONE_OK)
        return hone_fail_within(err, status, "embedder %s", run->task->embedder);
    return hone_embeddings_create(embedder, run->task->embedder, run->ledger, &run->bench.embeddings, err);
}

/* Whether demonstrations are retrieved by embeddings, so that those retrieved by words may be left out. */
static bool will_retrieve_dense(const hone_comparing *run)
{
    return run->bench.embeddings && run->engine && hone_task_has_labels(run->task) &&
           (!run->options->n_approaches || asked_for(run, &hone_approach_dense_few_shot));
}

/* Approaches that suit the task and were asked for; those that the level leaves out only where they were named. */
static hone_status choose_types(hone_comparing *run, const hone_level *level, hone_error *err)
{
    const hone_compare_options *o = run->options;
    for (size_t i = 0; i < o->n_approaches; i++) {
        const hone_approach_type *type;
        hone_status status = hone_approach_find(o->approaches[i], &type, err);
        if (status != HONE_OK)
            return status;
        if (type->needs_labels && !hone_task_has_labels(run->task))
            return hone_fail(err, HONE_BAD_INPUT, "%s needs a task with labels (output.kind label or choice)",
                             type->word);
        if (type->messages && !run->engine)
            return hone_fail(err, HONE_BAD_INPUT, "%s needs a model; name one with -m", type->word);
    }
    run->n = 0;
    for (size_t i = 0; hone_approach_types[i] && run->n < HONE_MAX_APPROACHES; i++) {
        const hone_approach_type *type = hone_approach_types[i];
        bool named = asked_for(run, type), baseline = type->family == HONE_APPROACH_BASELINE;
        if ((o->n_approaches && !named && !baseline) || (type->needs_labels && !hone_task_has_labels(run->task)) ||
            (type->messages && !run->engine) || (type == &hone_approach_tuned && !level->bare_tuning && !named) ||
            (type == &hone_approach_few_shot && !level->few_shot && !named) ||
            (type->uses_embeddings && !run->bench.embeddings) ||
            (type == &hone_approach_retrieved_few_shot && !level->both_retrievals && !named &&
             will_retrieve_dense(run)))
            continue;
        run->types[run->n++] = type;
    }
    return HONE_OK;
}

static bool has_type(const hone_comparing *run, const hone_approach_type *type)
{
    for (size_t i = 0; i < run->n; i++)
        if (run->types[i] == type)
            return true;
    return false;
}

static hone_status make_choices(hone_comparing *run, hone_error *err)
{
    if (!run->engine || !hone_task_has_labels(run->task))
        return HONE_OK;
    return hone_engine_create_choices(run->engine, run->task->labels, run->task->n_labels, &run->choices, err);
}

static int train_seeds(const hone_comparing *run)
{
    return run->options->train_seeds > 0 ? run->options->train_seeds : run->task->train_seeds;
}

/* Expected lengths, from a few rows of select; needs a workbench at any level. */
static hone_status gather_facts(hone_comparing *run, hone_work_facts *out, hone_error *err)
{
    const hone_task *task = run->task;
    *out = (hone_work_facts){.n_train = task->train.n,
                             .n_tune = task->select_tune.n,
                             .n_name = task->select_name.n,
                             .n_test = run->options->test_rows ? run->options->test_rows : task->test.n,
                             .n_seeds = train_seeds(run),
                             .zero_shot = has_type(run, &hone_approach_zero_shot),
                             .few_shot = has_type(run, &hone_approach_few_shot),
                             .retrieved = has_type(run, &hone_approach_retrieved_few_shot),
                             .dense = has_type(run, &hone_approach_dense_few_shot),
                             .tuned = has_type(run, &hone_approach_tuned),
                             .tuned_prompt = has_type(run, &hone_approach_tuned_prompt),
                             .tokens_per_second = 1};
    hone_approach *sample;
    hone_status status = hone_approach_create(&hone_approach_zero_shot, &run->bench, &sample, err);
    if (status == HONE_OK)
        status = hone_approach_build(sample, NULL, err);
    if (status == HONE_OK)
        status = hone_measure_speed(run->engine, sample, task->select_name.items, task->select_name.n,
                                    &out->tokens_per_second, &out->row_tokens, err);
    out->answer_tokens = 0.6 * run->bench.max_new_tokens;
    out->shown_tokens = out->row_tokens + out->answer_tokens;
    out->label_tokens = run->choices ? 0.6 * out->answer_tokens * (double)task->n_labels : 0; /* labels begin alike */
    hone_approach_free(sample);
    return status;
}

/* Needs a workbench at the first level. */
static hone_status plan_with_budget(hone_comparing *run, double budget, hone_error *err)
{
    hone_work_facts facts;
    double training;
    hone_status status = gather_facts(run, &facts, err);
    if (status != HONE_OK)
        return status;
    size_t first = run->options->quick ? hone_level_quick() : 0;
    run->level = hone_levels[hone_level_choose(first, &facts, budget)];
    double all = hone_level_seconds(&run->level, &facts, &training);
    int tunings = (facts.tuned_prompt ? 1 : 0) + (facts.tuned && run->level.bare_tuning ? 1 : 0);
    double left = tunings ? (budget - (all - training)) / (tunings * fmax(1, facts.n_seeds)) : 0;
    run->level.effort.train_seconds = tunings && left < least_train_seconds ? least_train_seconds : left;
    return HONE_OK;
}

/* The level that fits the budget, planned now or remembered. */
static hone_status settle_level_by_budget(hone_comparing *run, double budget, hone_error *err)
{
    char key[65];
    json_t *part = NULL;
    hone_status status = hone_budget_key(run, budget, key, err);
    if (status == HONE_OK)
        status = hone_ledger_get_part(run->ledger, key, &part, err);
    if (status != HONE_OK)
        return status;
    if (part) {
        json_int_t i = json_integer_value(json_object_get(part, "level"));
        run->level = hone_levels[i >= 0 && (size_t)i < hone_n_levels ? (size_t)i : hone_level_quick()];
        run->level.effort.train_seconds = json_number_value(json_object_get(part, "train_seconds"));
        json_decref(part);
        return HONE_OK;
    }
    status = plan_with_budget(run, budget, err);
    if (status != HONE_OK)
        return status;
    size_t chosen = 0;
    while (strcmp(hone_levels[chosen].name, run->level.name) != 0)
        chosen++;
    part = json_pack("{s:I, s:f}", "level", (json_int_t)chosen, "train_seconds", run->level.effort.train_seconds);
    status = part ? hone_ledger_put_part(run->ledger, key, part, err)
                  : hone_fail(err, HONE_NO_MEMORY, "out of memory for a plan");
    json_decref(part);
    return status;
}

/* The level, as planned now or remembered from the run that is being continued. */
static hone_status settle_level(hone_comparing *run, hone_error *err)
{
    const hone_compare_options *o = run->options;
    double budget = o->budget_seconds > 0 ? o->budget_seconds : o->quick ? 0 : run->task->budget_seconds;
    if (budget <= 0 || !run->engine) {
        run->level = hone_levels[o->quick ? hone_level_quick() : 0];
        if (o->quick)
            run->level.effort.train_seconds = quick_train_seconds;
        return HONE_OK;
    }
    run->bench.effort = hone_levels[0].effort;
    run->bench.effort.seeds = train_seeds(run);
    hone_status status = hone_workbench_init(&run->bench, err);
    if (status == HONE_OK)
        status = settle_level_by_budget(run, budget, err);
    hone_workbench_clear(&run->bench);
    return status;
}

static size_t rows_used(size_t limit, size_t n)
{
    return limit && limit < n ? limit : n;
}

/* What a thorough run would have given tuning: "1 epoch instead of 3, at most 240 s, learning rate 0.001 not searched".
 */
static void write_tuning_note(hone_comparing *run)
{
    const hone_effort *e = &run->level.effort, *full = &hone_levels[0].effort;
    hone_buffer b = {0};
    if (e->epochs < full->epochs)
        hone_buffer_printf(&b, ", %g epoch%s instead of %g", e->epochs, e->epochs == 1 ? "" : "s", full->epochs);
    if (e->train_seconds > 0)
        hone_buffer_printf(&b, ", at most %.0f s", e->train_seconds);
    if (e->n_learning_rates < full->n_learning_rates)
        hone_buffer_printf(&b, ", learning rate %g not searched", e->learning_rates[0]);
    static const size_t separator = 2; /* the leading ", " */
    run->c->tuning_note = b.length > separator ? hone_arena_strdup(run->c->arena, b.data + separator) : NULL;
    hone_buffer_clear(&b);
}

/* Says in words what a thorough run would have done more. */
static void write_note(hone_comparing *run)
{
    const hone_effort *e = &run->level.effort, *full = &hone_levels[0].effort;
    hone_buffer b = {0};
    char count[2][32];
    if (run->n_test < run->task->test.n) {
        hone_format_count((int64_t)run->n_test, count[0]);
        hone_format_count((int64_t)run->task->test.n, count[1]);
        hone_buffer_printf(&b, "; %s of %s test rows", count[0], count[1]);
    }
    if (run->n_name < run->task->select_name.n)
        hone_buffer_printf(&b, "; %zu of %zu select rows to name the winner", run->n_name, run->task->select_name.n);
    bool tunes = has_type(run, &hone_approach_tuned) || has_type(run, &hone_approach_tuned_prompt);
    if (tunes)
        write_tuning_note(run);
    if (run->c->tuning_note)
        hone_buffer_printf(&b, "; tuning: %s", run->c->tuning_note);
    if (has_type(run, &hone_approach_few_shot) && e->demonstration_sets < full->demonstration_sets)
        hone_buffer_printf(&b, "; %d set%s of demonstrations tried instead of %d", e->demonstration_sets,
                           e->demonstration_sets == 1 ? "" : "s", full->demonstration_sets);
    bool retrieves = has_type(run, &hone_approach_retrieved_few_shot) || has_type(run, &hone_approach_dense_few_shot);
    if (retrieves && e->n_neighbours < full->n_neighbours)
        hone_buffer_printf(&b, "; retrieved few-shot with %d demonstrations%s", e->neighbours[0],
                           e->n_neighbours == 1 ? " only" : " and few other numbers");
    bool all = run->engine && !run->options->n_approaches;
    if (all && !has_type(run, &hone_approach_few_shot))
        hone_buffer_puts(&b, "; few-shot with fixed demonstrations left out");
    if (all && !has_type(run, &hone_approach_tuned))
        hone_buffer_puts(&b, "; tuning without the prompt left out");
    if (all && has_type(run, &hone_approach_dense_few_shot) && !has_type(run, &hone_approach_retrieved_few_shot))
        hone_buffer_puts(&b, "; demonstrations retrieved by their words left out");
    static const size_t separator = 2; /* the leading "; " */
    run->c->quick = b.length > separator;
    run->c->quick_note = run->c->quick ? hone_arena_strdup(run->c->arena, b.data + separator) : NULL;
    hone_buffer_clear(&b);
}

/* "AMD EPYC 7B13, 2 threads" */
static const char *describe_machine(hone_comparing *run, int threads)
{
    char model[128] = "", line[256], text[192];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0)
            continue;
        const char *colon = strchr(line, ':');
        snprintf(model, sizeof model, "%s", colon ? colon + 2 : "");
        model[strcspn(model, "\n")] = 0;
        break;
    }
    if (f)
        fclose(f);
    snprintf(text, sizeof text, "%s, %d thread%s", model[0] ? model : "unknown processor", threads,
             threads == 1 ? "" : "s");
    return hone_arena_strdup(run->c->arena, text);
}

static int by_length_descending(const void *a, const void *b)
{
    size_t x = strlen((*(const hone_row *const *)a)->input), y = strlen((*(const hone_row *const *)b)->input);
    return (x < y) - (x > y);
}

/* The longest rows must fit with the longest prompt that has no demonstrations, so that no run stops at its last row.
 */
static hone_status check_lengths(hone_comparing *run, const hone_row *rows, size_t n, hone_error *err)
{
    hone_approach *sample = NULL;
    hone_token_list ids = {0};
    const hone_row **order = calloc(n + 1, sizeof *order);
    hone_status status = order ? hone_approach_create(&hone_approach_zero_shot, &run->bench, &sample, err)
                               : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", n);
    if (status == HONE_OK)
        status = hone_approach_build(sample, NULL, err);
    for (size_t i = 0; i < n && order; i++)
        order[i] = &rows[i];
    if (status == HONE_OK)
        qsort(order, n, sizeof *order, by_length_descending);
    for (size_t i = 0; i < n && i < LONGEST_ROWS_CHECKED && status == HONE_OK; i++) {
        ids.n = 0;
        status = hone_approach_encode(sample, order[i], &ids, NULL, err);
    }
    hone_token_list_clear(&ids);
    hone_approach_free(sample);
    free(order);
    return status;
}

/* A training row that does not fit would stop the run only when tuning comes to it, after everything cheaper. */
static hone_status check_training_rows(hone_comparing *run, hone_error *err)
{
    const hone_rows *train = &run->task->train;
    int64_t context = hone_engine_context_tokens(run->engine);
    hone_token_list ids = {0};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < train->n && status == HONE_OK; i++) {
        const hone_row *row = &train->items[i];
        size_t input = strlen(row->input), output = strlen(row->output);
        if ((int64_t)(input + output) < context) /* a token is a byte at least */
            continue;
        const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(run->engine);
        ids.n = 0;
        status = hone_tokenizer_encode(tokenizer, row->input, input, false, &ids, err);
        if (status == HONE_OK)
            status = hone_tokenizer_encode(tokenizer, row->output, output, false, &ids, err);
        if (status == HONE_OK && (int64_t)ids.n >= context)
            status = hone_fail(err, HONE_BAD_INPUT,
                               "%s:%lld: the example takes more than %zu tokens, the model's context holds %lld. "
                               "Shorten or remove the row.",
                               row->file ? row->file : "train", (long long)row->line, ids.n, (long long)context);
    }
    hone_token_list_clear(&ids);
    return status;
}

static hone_status check_all_lengths(hone_comparing *run, hone_error *err)
{
    if (!run->engine)
        return HONE_OK;
    hone_status status = check_lengths(run, run->task->select_tune.items, run->task->select_tune.n, err);
    if (status == HONE_OK)
        status = check_lengths(run, run->task->select_name.items, run->n_name, err);
    if (status == HONE_OK && (has_type(run, &hone_approach_tuned) || has_type(run, &hone_approach_tuned_prompt)))
        status = check_training_rows(run, err);
    return status == HONE_OK ? check_lengths(run, run->task->test.items, run->n_test, err) : status;
}

/* A path is shown by its file's name without ".gguf"; a catalogue name as it is. */
static const char *short_name(hone_comparing *run, const char *model)
{
    const char *slash = model ? strrchr(model, '/') : NULL;
    const char *name = slash ? slash + 1 : model;
    size_t length = name ? strlen(name) : 0;
    if (length > 5 && strcmp(name + length - 5, ".gguf") == 0)
        length -= 5;
    return name ? hone_arena_strndup(run->c->arena, name, length) : NULL;
}

static void describe_run(hone_comparing *run)
{
    hone_comparison *c = run->c;
    char now[32];
    hone_clock_iso8601(now, sizeof now);
    c->task = run->task;
    c->model = short_name(run, run->options->model_name);
    c->model_argument = run->options->model_name ? hone_arena_strdup(c->arena, run->options->model_name) : NULL;
    c->command = run->options->command ? hone_arena_strdup(c->arena, run->options->command) : NULL;
    c->started = hone_arena_strdup(c->arena, now);
    c->threads = run->engine ? hone_engine_threads(run->engine) : 1;
    c->machine = describe_machine(run, c->threads);
    if (run->engine) {
        c->model_hash = hone_arena_strdup(c->arena, hone_engine_model_hash(run->engine));
        c->numerics_class = hone_arena_strdup(c->arena, hone_engine_numerics_class(run->engine));
        c->isa = hone_arena_strdup(c->arena, hone_engine_isa(run->engine));
    }
    c->seed = run->options->seed;
    c->n_test = run->n_test;
    c->winner = -1;
    c->verdict.choose = c->verdict.break_even_against = -1;
    c->verdict.break_even_requests = NAN;
    int64_t pairs = run->n > 1 ? (int64_t)run->n - 1 : 1;
    c->detectable_difference =
        hone_detectable_difference((int64_t)run->n_test, assumed_discordant, error_rate, assumed_power, pairs);
    for (size_t i = 0; i < json_array_size(run->task->warnings); i++)
        hone_comparing_warn(run, "%s", json_string_value(json_array_get(run->task->warnings, i)));
    if (run->left_out[0])
        hone_comparing_warn(run, "%s", run->left_out);
    write_note(run);
}

hone_status hone_comparing_init(hone_comparing *run, hone_error *err)
{
    const hone_task *task = run->task;
    if (task->train.n == 0 || task->select_name.n == 0 || task->test.n == 0)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s: a comparison needs rows to train on, to select on and to test on; there are %zu, "
                         "%zu and %zu. Add examples (a few dozen for each label are a start).",
                         task->folder, task->train.n, task->select_tune.n + task->select_name.n, task->test.n);
    char *state = hone_path_join(task->folder, ".hone");
    run->adapters = state ? hone_path_join(state, "adapters") : NULL;
    free(state);
    if (!run->adapters)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a path");
    run->bench = (hone_workbench){.task = task,
                                  .engine = run->engine,
                                  .ledger = run->ledger,
                                  .adapters = run->adapters,
                                  .seed = run->options->seed};
    hone_status status = make_choices(run, err);
    run->bench.choices = run->choices;
    if (status == HONE_OK)
        status = open_embeddings(run, err);
    if (status == HONE_OK)
        status = choose_types(run, &hone_levels[0], err);
    if (status == HONE_OK)
        status = settle_level(run, err);
    if (status == HONE_OK)
        status = choose_types(run, &run->level, err);
    if (status != HONE_OK)
        return status;
    run->bench.effort = run->level.effort;
    run->bench.effort.seeds = train_seeds(run);
    run->n_name = rows_used(run->level.name_rows, task->select_name.n);
    run->n_test = rows_used(run->options->test_rows ? run->options->test_rows : run->level.test_rows, task->test.n);
    status = hone_workbench_init(&run->bench, err);
    if (status == HONE_OK)
        status = check_all_lengths(run, err);
    if (status == HONE_OK)
        status = hone_run_key(run, run->run_key, err);
    if (status == HONE_OK)
        describe_run(run);
    return status;
}

void hone_comparing_clear(hone_comparing *run)
{
    for (size_t i = 0; i < run->n; i++)
        hone_approach_free(run->approaches[i]);
    hone_embeddings_free(run->bench.embeddings);
    hone_choices_free(run->choices);
    hone_workbench_clear(&run->bench);
    free(run->adapters);
}
