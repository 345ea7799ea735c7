/* tuning.c - from training rows to a loaded adapter.
 *
 *   train    with one candidate rate the run itself; with several, successive halving over runs that begin with each
 *            (train/search.h); the best checkpoint by the task metric on select_tune is kept
 *   load     the adapter serves from the same engine that trained it
 *
 * A finished run is a part in the ledger; an unfinished one goes on from the trainer's own checkpoint. */
#include "approach/tuning.h"

#include "train/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DIGITS_IN_FOLDER = 12 };

typedef struct examples {
    hone_train_example *items;
    hone_token_list *ids; /* [n], owns the tokens */
    size_t n;
} examples;

static void clear_examples(examples *e)
{
    for (size_t i = 0; e->ids && i < e->n; i++)
        hone_token_list_clear(&e->ids[i]);
    free(e->ids);
    free(e->items);
    memset(e, 0, sizeof *e);
}

static hone_status encode_example(hone_approach *a, const hone_row *row, hone_token_list *ids, hone_train_example *out,
                                  hone_error *err)
{
    json_t *messages;
    hone_token_list completion = {0};
    hone_status status = hone_tuning_messages(a, row, 0, &messages, err);
    if (status != HONE_OK)
        return status;
    status = hone_engine_encode_pair(a->bench->engine, messages, row->output, ids, &completion, err);
    json_decref(messages);
    size_t n_prompt = ids->n;
    for (size_t i = 0; i < completion.n && status == HONE_OK; i++)
        status = hone_token_list_push(ids, completion.data[i], err);
    hone_token_list_clear(&completion);
    const char *file = row->file ? row->file : "train";
    if (status != HONE_OK)
        return hone_fail_within(err, status, "%s:%lld", file, (long long)row->line);
    int64_t context = hone_engine_context_tokens(a->bench->engine);
    if ((int64_t)ids->n > context)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s:%lld: the example takes %zu tokens, the model's context holds %lld. Shorten or "
                         "remove the row.",
                         file, (long long)row->line, ids->n, (long long)context);
    *out = (hone_train_example){.ids = ids->data, .n_ids = ids->n, .n_prompt = n_prompt, .line = row->line};
    return HONE_OK;
}

static hone_status encode_examples(hone_approach *a, examples *out, hone_error *err)
{
    const hone_rows *train = &a->bench->task->train;
    out->n = train->n;
    out->ids = calloc(train->n + 1, sizeof *out->ids);
    out->items = calloc(train->n + 1, sizeof *out->items);
    if (!out->ids || !out->items)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu training examples", train->n);
    for (size_t i = 0; i < train->n; i++) {
        hone_status status = encode_example(a, &train->items[i], &out->ids[i], &out->items[i], err);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

/* The trainer's progress under the approach's name. */
typedef struct named_progress {
    hone_progress base;
    hone_progress *to;
    char name[96];
} named_progress;

static void named_begin(hone_progress *p, const char *name, const char *unit, int64_t total)
{
    (void)name;
    named_progress *n = p->context;
    hone_progress_begin(n->to, n->name, unit, total);
}

static void named_resize(hone_progress *p, int64_t total)
{
    hone_progress_resize(((named_progress *)p->context)->to, total);
}

static void named_update(hone_progress *p, int64_t done, const char *detail)
{
    hone_progress_update(((named_progress *)p->context)->to, done, detail);
}

static void named_end(hone_progress *p)
{
    hone_progress_end(((named_progress *)p->context)->to);
}

static void named_note(hone_progress *p, const char *text)
{
    hone_progress_note(((named_progress *)p->context)->to, "%s", text);
}

static void init_named(named_progress *n, hone_progress *to)
{
    n->to = to;
    n->base = (hone_progress){.context = n,
                              .begin = named_begin,
                              .resize = named_resize,
                              .update = named_update,
                              .end = named_end,
                              .note = named_note};
}

/* hone_train_score: the task metric on the tuning half of select, answers as they will be served. */
static hone_status score_checkpoint(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    hone_approach *a = context;
    size_t n = hone_workbench_tune_rows(a->bench);
    const hone_adapter *before = a->adapter;
    hone_status status = HONE_OK;
    hone_arena *arena = hone_arena_create();
    hone_answer *answers = calloc(n, sizeof *answers);
    const hone_row **rows = calloc(n, sizeof *rows);
    if (!arena || !answers || !rows) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = &a->bench->task->select_tune.items[i];
    a->adapter = adapter;
    status = hone_approach_answer(a, rows, n, true, arena, answers, NULL, err);
    a->adapter = before;
    out->score = 0;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        out->score += answers[i].score / (double)n;
done:
    free(rows);
    free(answers);
    hone_arena_free(arena);
    return status;
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static double real_of(const json_t *part, const char *name)
{
    const json_t *v = json_object_get(part, name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static json_t *pack_result(const hone_train_result *r)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I}", "steps", (json_int_t)r->steps, "tokens",
                     (json_int_t)r->tokens, "seconds", real_or_null(r->seconds), "score_seconds",
                     real_or_null(r->score_seconds), "tokens_per_second", real_or_null(r->tokens_per_second),
                     "final_loss", real_or_null(r->final_loss), "best_score", real_or_null(r->best_score), "best_step",
                     (json_int_t)r->best_step);
}

static bool has_adapter(const char *folder)
{
    char *path = hone_path_join(folder, "adapter_model.safetensors");
    bool exists = path && hone_file_exists(path);
    free(path);
    return exists;
}

/* The comparison's own seed is part of every key; another one stands here. */
static json_t *pack_settings(const hone_approach *a, const hone_train_options *o)
{
    const hone_prompt_style *style = a->state;
    json_t *settings = json_pack("{s:b, s:f, s:f, s:i, s:i, s:f, s:f}", "instruction", style->instruction,
                                 "learning_rate", o->learning_rate, "epochs", o->epochs, "batch", o->batch, "rank",
                                 o->rank, "alpha", o->alpha, "max_seconds", o->max_seconds);
    if (settings && o->seed != a->bench->seed)
        json_object_set_new(settings, "train_seed", json_integer((json_int_t)o->seed));
    return settings;
}

/* The rates to search among, with the first seed; 0 where there is nothing to choose, or nothing to choose by. */
static size_t list_candidates(const hone_approach *a, const hone_train_options *o, size_t n_examples,
                              hone_search_candidate *out)
{
    const hone_effort *effort = &a->bench->effort;
    double steps = o->epochs * ceil((double)n_examples / (double)o->batch);
    if (o->seed != a->bench->seed || effort->n_learning_rates < 2 || hone_workbench_tune_rows(a->bench) == 0 ||
        steps < HONE_SEARCH_LEAST_STEPS)
        return 0;
    for (int i = 0; i < effort->n_learning_rates; i++)
        out[i] = (hone_search_candidate){effort->learning_rates[i], o->rank};
    return (size_t)effort->n_learning_rates;
}

/* Trains, searching among the candidates where there are any. *part: what is remembered of it, a new reference. */
static hone_status train_in(hone_approach *a, const examples *e, hone_train_options *o,
                            const hone_search_candidate *candidates, size_t n_candidates, named_progress *progress,
                            json_t **part, hone_error *err)
{
    hone_train_result result;
    hone_search_outcome outcome = {0};
    hone_train_score score = hone_workbench_tune_rows(a->bench) > 0 ? score_checkpoint : NULL;
    hone_status status = n_candidates
                             ? hone_train_search(a->bench->engine, e->items, e->n, o, candidates, n_candidates, score,
                                                 a, &progress->base, &result, &outcome, err)
                             : hone_train(a->bench->engine, e->items, e->n, o, score, a, &progress->base, &result, err);
    if (status != HONE_OK)
        return status;
    *part = pack_result(&result);
    json_object_set_new(*part, "learning_rate",
                        json_real(n_candidates ? outcome.chosen.learning_rate : o->learning_rate));
    json_object_set_new(*part, "search_seconds", json_real(outcome.seconds));
    json_object_set_new(*part, "search", outcome.record ? outcome.record : json_null());
    return *part ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for a training record");
}

/* Trains, or finds that this was done, and sets the rate that was chosen. *folder belongs to a->arena, *part is a new
 * reference. */
static hone_status train_once(hone_approach *a, const examples *e, hone_train_options *options,
                              named_progress *progress, const char **folder, json_t **part, hone_error *err)
{
    char key[65], name[128];
    hone_search_candidate candidates[HONE_EFFORT_CHOICES];
    size_t n = list_candidates(a, options, e->n, candidates);
    json_t *settings = pack_settings(a, options), *rates = json_array();
    *part = NULL;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(rates, json_real(candidates[i].learning_rate));
    if (n)
        json_object_set(settings, "learning_rates", rates);
    json_decref(rates);
    hone_status status = settings ? hone_workbench_key(a->bench, a->type->word, settings, "adapter", key, err)
                                  : hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    json_decref(settings);
    if (status != HONE_OK)
        return status;
    snprintf(name, sizeof name, "%s-%.*s", a->type->word, KEY_DIGITS_IN_FOLDER, key);
    char *path = hone_path_join(a->bench->adapters, name);
    *folder = path ? hone_arena_strdup(a->arena, path) : NULL;
    free(path);
    if (!*folder)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a path");
    status = hone_ledger_get_part(a->bench->ledger, key, part, err);
    if (status != HONE_OK)
        return status;
    if (!*part || !has_adapter(*folder)) {
        json_decref(*part);
        *part = NULL;
        options->folder = *folder;
        options->description = a->type->name;
        status = hone_folder_create(*folder, err);
        if (status == HONE_OK)
            status = train_in(a, e, options, candidates, n, progress, part, err);
        if (status == HONE_OK)
            status = hone_ledger_put_part(a->bench->ledger, key, *part, err);
    }
    if (status == HONE_OK && isfinite(real_of(*part, "learning_rate")))
        options->learning_rate = real_of(*part, "learning_rate");
    return status;
}

static void forget_seeds(hone_approach *a)
{
    for (size_t i = 0; i < a->n_seeds; i++)
        json_decref(a->seeds[i].settings);
    a->n_seeds = 0;
}

/* "; 3 training seeds, seed 2 kept as the best there" */
static void describe_seeds(const hone_approach *a, char out[96])
{
    out[0] = 0;
    if (a->n_seeds)
        snprintf(out, 96, "; %zu training seeds, of which seed %llu is served, the best there", a->n_seeds,
                 (unsigned long long)a->seeds[a->kept].seed);
}

/* "5 epochs", or "0.4 of 2 epochs: it had 240 s" */
static void describe_epochs(const hone_approach *a, const hone_train_options *o, char out[96])
{
    const char *s = a->epochs_planned == 1 ? "" : "s";
    if (a->epochs < a->epochs_planned && o->max_seconds > 0)
        snprintf(out, 96, "%.2g of %g epoch%s: it had %.0f s", a->epochs, a->epochs_planned, s, o->max_seconds);
    else if (a->epochs < a->epochs_planned)
        snprintf(out, 96, "%.2g of %g epoch%s", a->epochs, a->epochs_planned, s);
    else
        snprintf(out, 96, "%g epoch%s", a->epochs_planned, s);
}

static hone_status describe(hone_approach *a, const hone_train_options *o, const json_t *part, hone_error *err)
{
    const hone_effort *effort = &a->bench->effort;
    const hone_prompt_style *style = a->state;
    char rate[64] = "", seeds[96], epochs[96];
    describe_epochs(a, o, epochs);
    if (json_is_object(json_object_get(part, "search")))
        snprintf(rate, sizeof rate, ", the best of %d tried", effort->n_learning_rates);
    describe_seeds(a, seeds);
    return hone_approach_describe(
        a, err,
        "LoRA rank %d on all linear layers, %s; %lld rows, %lld steps of %d (%s), learning rate %g%s; "
        "best checkpoint on %zu select rows%s",
        o->rank,
        style->instruction ? "trained and served with role and instruction" : "bare input and output, no instruction",
        (long long)a->bench->task->train.n, (long long)json_integer_value(json_object_get(part, "steps")), o->batch,
        epochs, o->learning_rate, rate, hone_workbench_tune_rows(a->bench), seeds);
}

/* What the training cost, candidates that were dropped included. */
static void add_cost(hone_approach *a, const json_t *part)
{
    static const char *const parts[] = {"seconds", "score_seconds", "search_seconds"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (isfinite(real_of(part, parts[i])))
            a->build_seconds += real_of(part, parts[i]);
    a->train_tokens_per_second = real_of(part, "tokens_per_second");
}

/* One training, loaded. options->learning_rate is set to the rate that was chosen. */
static hone_status train_seed(hone_approach *a, const examples *e, hone_train_options *options,
                              named_progress *progress, hone_approach_seed *out, json_t **part, hone_error *err)
{
    hone_adapter *adapter;
    out->seed = options->seed;
    hone_status status = train_once(a, e, options, progress, &out->adapter_folder, part, err);
    if (status == HONE_OK && !(out->settings = pack_settings(a, options)))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    if (status == HONE_OK)
        status = hone_engine_load_adapter(a->bench->engine, out->adapter_folder, &adapter, err);
    if (status != HONE_OK)
        return status;
    out->adapter = adapter;
    out->select_tune_score = real_of(*part, "best_score");
    add_cost(a, *part);
    /* A time limit makes the number of steps depend on the machine: the adapter is known by what really happened. */
    json_object_set(out->settings, "steps", json_object_get(*part, "steps"));
    json_object_set(out->settings, "best_step", json_object_get(*part, "best_step"));
    return HONE_OK;
}

/* Settings are found with the first seed and used for all. The best on select_tune is kept, the first of equals. */
static hone_status train_and_load(hone_approach *a, const examples *e, hone_train_options *options,
                                  named_progress *progress, hone_error *err)
{
    int n = a->bench->effort.seeds > 1 ? a->bench->effort.seeds : 1;
    json_t *kept = NULL;
    a->seeds = hone_arena_array(a->arena, (size_t)n, sizeof *a->seeds);
    if (!a->seeds)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d trainings", n);
    memset(a->seeds, 0, (size_t)n * sizeof *a->seeds);
    hone_status status = HONE_OK;
    for (int i = 0; i < n && status == HONE_OK; i++) {
        json_t *part = NULL;
        options->seed = a->bench->seed + (uint64_t)i;
        int length = snprintf(progress->name, sizeof progress->name, "%s", a->type->name);
        if (n > 1)
            snprintf(progress->name + length, sizeof progress->name - (size_t)length, ", seed %llu",
                     (unsigned long long)options->seed);
        a->n_seeds++;
        status = train_seed(a, e, options, progress, &a->seeds[i], &part, err);
        if (status == HONE_OK && (!i || a->seeds[i].select_tune_score > a->seeds[a->kept].select_tune_score)) {
            a->kept = (size_t)i;
            json_decref(kept);
            kept = json_incref(part);
        }
        json_decref(part);
    }
    if (status == HONE_OK) {
        const hone_approach_seed *best = &a->seeds[a->kept];
        json_decref(a->settings);
        a->settings = json_incref(best->settings);
        a->adapter = best->adapter;
        a->adapter_folder = best->adapter_folder;
        a->select_tune_score = best->select_tune_score;
        int64_t epoch_steps = ((int64_t)e->n + options->batch - 1) / options->batch;
        a->epochs_planned = options->epochs;
        a->epochs = (double)json_integer_value(json_object_get(kept, "steps")) / (double)epoch_steps;
        if (n == 1)
            forget_seeds(a);
        status = describe(a, options, kept, err);
    }
    json_decref(kept);
    return status;
}

hone_status hone_tuning_build(hone_approach *a, hone_prompt_style style, hone_progress *progress, hone_error *err)
{
    examples e = {0};
    named_progress named;
    hone_train_options options;
    const hone_effort *effort = &a->bench->effort;
    hone_prompt_style *kept = hone_arena_alloc(a->arena, sizeof *kept);
    if (!kept)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an approach");
    *kept = style;
    a->state = kept;
    a->labels_used = (int64_t)(a->bench->task->train.n + hone_workbench_tune_rows(a->bench));
    init_named(&named, progress);
    hone_train_options_defaults(&options);
    options.epochs = effort->epochs;
    options.batch = effort->batch;
    options.max_seconds = effort->train_seconds;
    options.n_select_rows = hone_workbench_tune_rows(a->bench);
    if (effort->n_learning_rates > 0)
        options.learning_rate = effort->learning_rates[0];
    hone_status status = encode_examples(a, &e, err);
    if (status == HONE_OK)
        status = train_and_load(a, &e, &options, &named, err);
    clear_examples(&e);
    return status;
}

hone_status hone_tuning_messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err)
{
    (void)skip;
    const hone_prompt_style *style = a->state;
    return hone_prompt_messages(a->bench->task, *style, NULL, 0, row, out, err);
}

void hone_tuning_clear(hone_approach *a)
{
    for (size_t i = 0; i < a->n_seeds; i++)
        if (a->seeds[i].adapter && a->seeds[i].adapter != a->adapter)
            hone_engine_drop_adapter(a->bench->engine, (hone_adapter *)(uintptr_t)a->seeds[i].adapter);
    forget_seeds(a);
    if (a->adapter)
        hone_engine_drop_adapter(a->bench->engine, (hone_adapter *)(uintptr_t)a->adapter);
    a->adapter = NULL;
}
