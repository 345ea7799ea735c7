/* approach.c - what all approaches have in common: being made, answering rows, remembering the answers. */
#include "approach/approach.h"

#include "approach/embeddings.h"
#include "approach/scoring.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows answered between two commits: what a kill may cost at most. */
enum { COMMIT_ROWS = 64, MAX_TYPES = 32 };

const hone_approach_type *const hone_approach_types[] = {
    &hone_approach_majority,           &hone_approach_nearest_neighbour,
    &hone_approach_tfidf_logistic,     &hone_approach_embedding_neighbour,
    &hone_approach_embedding_logistic, &hone_approach_zero_shot,
    &hone_approach_few_shot,           &hone_approach_retrieved_few_shot,
    &hone_approach_dense_few_shot,     &hone_approach_tuned,
    &hone_approach_tuned_prompt,       NULL,
};

hone_status hone_approach_find(const char *name, const hone_approach_type **out, hone_error *err)
{
    const char *words[MAX_TYPES] = {NULL};
    size_t n = 0;
    for (; hone_approach_types[n]; n++) {
        words[n] = hone_approach_types[n]->word;
        if (strcmp(name, hone_approach_types[n]->word) == 0 || strcmp(name, hone_approach_types[n]->name) == 0) {
            *out = hone_approach_types[n];
            return HONE_OK;
        }
    }
    const char *near = hone_suggest(name, words, n);
    if (near)
        return hone_fail(err, HONE_NOT_FOUND, "unknown approach \"%s\" (did you mean \"%s\"?)", name, near);
    hone_buffer list = {0};
    for (size_t i = 0; i < n; i++)
        hone_buffer_printf(&list, "%s%s", i ? ", " : "", words[i]);
    hone_status status =
        hone_fail(err, HONE_NOT_FOUND, "unknown approach \"%s\"; there are: %s", name, list.data ? list.data : "");
    hone_buffer_clear(&list);
    return status;
}

hone_status hone_approach_create(const hone_approach_type *type, hone_workbench *bench, hone_approach **out,
                                 hone_error *err)
{
    *out = NULL;
    hone_approach *a = calloc(1, sizeof *a);
    if (!a)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an approach");
    a->type = type;
    a->bench = bench;
    a->arena = hone_arena_create();
    a->settings = json_object();
    a->description = type->name;
    a->select_tune_score = NAN;
    a->train_tokens_per_second = NAN;
    if (!a->arena || !a->settings) {
        hone_approach_free(a);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an approach");
    }
    *out = a;
    return HONE_OK;
}

void hone_approach_free(hone_approach *a)
{
    if (!a)
        return;
    if (a->type->clear)
        a->type->clear(a);
    json_decref(a->settings);
    hone_arena_free(a->arena);
    free(a);
}

hone_status hone_approach_build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    if (a->type->needs_labels && !hone_task_has_labels(a->bench->task))
        return hone_fail(err, HONE_UNSUPPORTED, "%s needs a task with labels (output.kind label or choice)",
                         a->type->name);
    if (a->type->messages && !a->bench->engine)
        return hone_fail(err, HONE_BAD_INPUT, "%s needs a model; name one with -m", a->type->name);
    if (a->type->uses_embeddings && !a->bench->embeddings)
        return hone_fail(err, HONE_BAD_INPUT, "%s needs an embedding model; `embedder` in task.yaml names one",
                         a->type->name);
    hone_status status = a->type->build(a, progress, err);
    if (status != HONE_OK && err && err->code != HONE_CANCELLED)
        return hone_fail_within(err, status, "%s", a->type->name);
    return status;
}

hone_status hone_approach_describe(hone_approach *a, hone_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    a->description = hone_arena_strdup(a->arena, text);
    return a->description ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for a description");
}

hone_status hone_approach_encode(hone_approach *a, const hone_row *row, hone_token_list *ids, size_t *n_skipped,
                                 hone_error *err)
{
    hone_engine *engine = a->bench->engine;
    int64_t context = hone_engine_context_tokens(engine);
    size_t start = ids->n;
    for (size_t skip = 0;; skip++) {
        json_t *messages;
        hone_status status = a->type->messages(a, row, skip, &messages, err);
        if (status != HONE_OK)
            return status;
        ids->n = start;
        status = hone_engine_encode_chat(engine, messages, true, ids, err);
        json_decref(messages);
        if (status != HONE_OK)
            return hone_fail_within(err, status, "%s:%lld", row->file ? row->file : "row", (long long)row->line);
        int64_t n = (int64_t)(ids->n - start) + a->bench->max_new_tokens;
        if (n <= context) {
            if (n_skipped)
                *n_skipped = skip;
            return HONE_OK;
        }
        if (skip >= a->n_demonstrations)
            return hone_fail(err, HONE_BAD_INPUT,
                             "%s:%lld: prompt and answer take %lld tokens, the model's context holds %lld. "
                             "Shorten or remove the row, or choose a model with a longer context.",
                             row->file ? row->file : "row", (long long)row->line, (long long)n, (long long)context);
    }
}

double hone_approach_request_work(const hone_approach *a, double tokens_in)
{
    if (!a->type->uses_embeddings)
        return 0;
    double own = hone_embeddings_token_work(a->bench->embeddings),
           model = a->bench->engine ? hone_model_token_work(hone_engine_get_model(a->bench->engine)) : own;
    return tokens_in * own / model;
}

static hone_status predict_rows(hone_approach *a, const hone_row *const *rows, size_t n, hone_arena *arena,
                                hone_answer *out, hone_error *err)
{
    double start = hone_clock_seconds();
    for (size_t i = 0; i < n; i++) {
        const char *answer;
        hone_status status = a->type->predict(a, rows[i], &answer, err);
        if (status != HONE_OK)
            return status;
        out[i] = (hone_answer){.raw = hone_arena_strdup(arena, answer)};
        if (!out[i].raw)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for answers");
        status = hone_score_answer(a->bench->task, rows[i], arena, &out[i], err);
        if (status != HONE_OK)
            return status;
    }
    double each = (hone_clock_seconds() - start) / (double)(n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i].seconds = each;
    return HONE_OK;
}

static hone_status take_response(hone_approach *a, const hone_row *row, const hone_response *response,
                                 hone_arena *arena, hone_answer *out, hone_error *err)
{
    *out = (hone_answer){
        .tokens_in = response->tokens_in, .tokens_out = response->tokens_out, .tokens_cached = response->tokens_cached};
    out->raw = hone_arena_strdup(arena, response->text ? response->text : "");
    if (!out->raw)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for answers");
    return hone_score_answer(a->bench->task, row, arena, out, err);
}

/* Prompts of a batch: the ids one after another, offsets[n + 1]. */
static hone_status encode_rows(hone_approach *a, const hone_row *const *rows, size_t n, hone_token_list *ids,
                               size_t *offsets, hone_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t skipped;
        offsets[i] = ids->n;
        hone_status status = hone_approach_encode(a, rows[i], ids, &skipped, err);
        if (status != HONE_OK)
            return status;
        a->n_shortened += skipped > 0;
    }
    offsets[n] = ids->n;
    return HONE_OK;
}

static hone_status ask_rows(hone_approach *a, const hone_row *const *rows, size_t n, bool restricted, hone_arena *arena,
                            hone_answer *out, hone_progress *progress, hone_error *err)
{
    hone_status status = HONE_OK;
    double start = hone_clock_seconds();
    hone_token_list ids = {0};
    size_t *offsets = calloc(n + 1, sizeof *offsets);
    hone_request *requests = calloc(n, sizeof *requests);
    hone_response *responses = calloc(n, sizeof *responses);
    if (!offsets || !requests || !responses) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu requests", n);
        goto done;
    }
    status = encode_rows(a, rows, n, &ids, offsets, err);
    if (status != HONE_OK)
        goto done;
    for (size_t i = 0; i < n; i++)
        requests[i] = (hone_request){.ids = ids.data + offsets[i],
                                     .n_ids = offsets[i + 1] - offsets[i],
                                     .adapter = a->adapter,
                                     .max_new_tokens = a->bench->max_new_tokens,
                                     .choices = restricted ? a->bench->choices : NULL};
    status = hone_engine_run(a->bench->engine, requests, n, responses, progress, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = take_response(a, rows[i], &responses[i], arena, &out[i], err);
    double each = (hone_clock_seconds() - start) / (double)n;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        out[i].seconds = each;
done:
    for (size_t i = 0; responses && i < n; i++)
        hone_response_clear(&responses[i]);
    free(responses);
    free(requests);
    free(offsets);
    hone_token_list_clear(&ids);
    return status;
}

static hone_status answer_rows(hone_approach *a, const hone_row *const *rows, size_t n, bool restricted,
                               hone_arena *arena, hone_answer *out, hone_progress *progress, hone_error *err)
{
    return a->type->predict ? predict_rows(a, rows, n, arena, out, err)
                            : ask_rows(a, rows, n, restricted, arena, out, progress, err);
}

/* Embeds the rows together first. What that took counts for each row, also where it was done for another approach. */
static hone_status answer_embedded(hone_approach *a, const hone_row *const *rows, size_t n, bool restricted,
                                   hone_arena *arena, hone_answer *out, hone_progress *progress, hone_error *err)
{
    hone_embedding *embedded = calloc(n, sizeof *embedded);
    hone_status status;
    if (!embedded)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu embeddings", n);
    if (a->bench->fresh_embeddings)
        status = hone_embeddings_recompute(a->bench->embeddings, rows, n, embedded, err);
    else
        status = hone_embeddings_get(a->bench->embeddings, rows, n, embedded, NULL, err);
    if (status == HONE_OK)
        status = answer_rows(a, rows, n, restricted, arena, out, progress, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        out[i].seconds += embedded[i].seconds;
        if (a->type->predict)
            out[i].tokens_in = embedded[i].n_tokens;
    }
    free(embedded);
    return status;
}

hone_status hone_approach_answer(hone_approach *a, const hone_row *const *rows, size_t n, bool restricted,
                                 hone_arena *arena, hone_answer *out, hone_progress *progress, hone_error *err)
{
    if (n == 0)
        return HONE_OK;
    if (hone_cancel_requested())
        return hone_fail(err, HONE_CANCELLED, "stopped; the same command goes on from here");
    if (a->type->uses_embeddings)
        return answer_embedded(a, rows, n, restricted, arena, out, progress, err);
    return answer_rows(a, rows, n, restricted, arena, out, progress, err);
}

/* Finished rows of one key, read back from the ledger. */
typedef struct recall {
    const hone_row *rows;
    size_t n, n_found;
    hone_arena *arena;
    hone_answer *out;
    bool *have;
    bool failed;
} recall;

static void recall_row(void *context, const hone_ledger_outcome *o)
{
    recall *r = context;
    if (o->position < 0 || (size_t)o->position >= r->n || r->have[o->position] ||
        strcmp(o->row_id, hone_row_content(&r->rows[o->position])) != 0)
        return;
    hone_answer *answer = &r->out[o->position];
    *answer = (hone_answer){.answer = o->answer ? hone_arena_strdup(r->arena, o->answer) : NULL,
                            .raw = o->raw ? hone_arena_strdup(r->arena, o->raw) : NULL,
                            .score = o->score,
                            .tokens_in = o->tokens_in,
                            .tokens_out = o->tokens_out,
                            .tokens_cached = o->tokens_cached,
                            .seconds = o->seconds};
    if ((o->answer && !answer->answer) || (o->raw && !answer->raw))
        r->failed = true;
    r->have[o->position] = true;
    r->n_found++;
}

static hone_status remember(hone_ledger *ledger, const char *key, const hone_row *rows, const size_t *positions,
                            size_t n, const hone_answer *answers, hone_error *err)
{
    hone_status status = hone_ledger_begin(ledger, err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const hone_answer *a = &answers[i];
        hone_ledger_outcome o = {.row_id = hone_row_content(&rows[positions[i]]),
                                 .position = (int64_t)positions[i],
                                 .answer = a->answer,
                                 .raw = a->raw,
                                 .score = a->score,
                                 .tokens_in = a->tokens_in,
                                 .tokens_out = a->tokens_out,
                                 .tokens_cached = a->tokens_cached,
                                 .seconds = a->seconds};
        status = hone_ledger_put_outcome(ledger, key, &o, err);
    }
    if (status == HONE_OK)
        return hone_ledger_commit(ledger, err);
    hone_ledger_rollback(ledger);
    return status;
}

/* Answers what is missing, COMMIT_ROWS at a time. */
static hone_status answer_missing(hone_approach *a, const char *key, recall *r, hone_progress *progress,
                                  hone_error *err)
{
    const hone_row *batch[COMMIT_ROWS];
    size_t positions[COMMIT_ROWS];
    hone_answer answers[COMMIT_ROWS];
    for (size_t next = 0; next < r->n;) {
        size_t n = 0;
        for (; next < r->n && n < COMMIT_ROWS; next++) {
            if (r->have[next])
                continue;
            positions[n] = next;
            batch[n++] = &r->rows[next];
        }
        if (n == 0)
            break;
        hone_status status = hone_approach_answer(a, batch, n, true, r->arena, answers, NULL, err);
        if (status == HONE_OK)
            status = remember(a->bench->ledger, key, r->rows, positions, n, answers, err);
        if (status != HONE_OK)
            return status;
        for (size_t i = 0; i < n; i++)
            r->out[positions[i]] = answers[i];
        r->n_found += n;
        hone_progress_update(progress, (int64_t)r->n_found, NULL);
    }
    return HONE_OK;
}

hone_status hone_approach_evaluate(hone_approach *a, const char *split, const hone_row *rows, size_t n,
                                   hone_arena *arena, hone_answer *out, double *mean, double *seconds,
                                   hone_progress *progress, hone_error *err)
{
    char key[65];
    hone_status status = hone_workbench_key(a->bench, a->type->word, a->settings, split, key, err);
    if (status != HONE_OK)
        return status;
    recall r = {.rows = rows, .n = n, .arena = arena, .out = out, .have = calloc(n + 1, sizeof(bool))};
    if (!r.have)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", n);
    status = hone_ledger_each_outcome(a->bench->ledger, key, recall_row, &r, err);
    if (status == HONE_OK && r.failed)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for remembered answers");
    if (status == HONE_OK && r.n_found < n) {
        char name[96];
        snprintf(name, sizeof name, "%s: %s", a->type->name, split);
        hone_progress_begin(progress, name, "rows", (int64_t)n);
        hone_progress_update(progress, (int64_t)r.n_found, NULL);
        status = answer_missing(a, key, &r, progress, err);
        hone_progress_end(progress);
    }
    free(r.have);
    if (status != HONE_OK)
        return status;
    double score = 0, time = 0;
    for (size_t i = 0; i < n; i++) {
        score += out[i].score;
        time += out[i].seconds;
    }
    if (mean)
        *mean = n ? score / (double)n : NAN;
    if (seconds)
        *seconds = time;
    return HONE_OK;
}

hone_status hone_approach_try(hone_approach *a, double *mean, hone_progress *progress, hone_error *err)
{
    size_t n = hone_workbench_tune_rows(a->bench);
    double seconds = 0;
    hone_arena *arena = hone_arena_create();
    hone_answer *answers = arena ? hone_arena_array(arena, n + 1, sizeof *answers) : NULL;
    hone_status status = answers ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n);
    if (status == HONE_OK)
        status = hone_approach_evaluate(a, "select_tune", a->bench->task->select_tune.items, n, arena, answers, mean,
                                        &seconds, progress, err);
    a->build_seconds += seconds;
    hone_arena_free(arena);
    return status;
}
