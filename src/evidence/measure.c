/* measure.c - latency, form of free answers, static prefix. */
#include "evidence/measure.h"

#include "approach/scoring.h"
#include "base/clock.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LATENCY_ROWS = 32, LEAST_LATENCY_ROWS = 8, WARM_ROWS = 1, PREFIX_ROWS = 64, SPEED_ROWS = 8 };
/* Where requests take long, fewer of them say enough. */
static const double latency_seconds = 15;

/* The number of tokens that the prompts of all rows begin with. */
static hone_status common_prefix(hone_approach *a, const hone_row *rows, size_t n, double *out, hone_error *err)
{
    hone_token_list first = {0}, other = {0};
    hone_status status = HONE_OK;
    size_t common = 0;
    *out = 0;
    if (n > PREFIX_ROWS)
        n = PREFIX_ROWS;
    if (!a->type->messages || n < 2)
        return HONE_OK;
    status = hone_approach_encode(a, &rows[0], &first, NULL, err);
    common = first.n;
    for (size_t i = 1; i < n && status == HONE_OK; i++) {
        other.n = 0;
        status = hone_approach_encode(a, &rows[i], &other, NULL, err);
        size_t same = 0;
        while (same < common && same < other.n && first.data[same] == other.data[same])
            same++;
        common = same;
    }
    *out = (double)common;
    hone_token_list_clear(&first);
    hone_token_list_clear(&other);
    return status;
}

static hone_status time_requests(hone_approach *a, const hone_row *rows, size_t n, hone_measurement *out,
                                 hone_progress *progress, hone_error *err)
{
    double ms[LATENCY_ROWS];
    size_t warm = n > WARM_ROWS ? WARM_ROWS : 0, most = n - warm < LATENCY_ROWS ? n - warm : LATENCY_ROWS, n_timed = 0;
    double begun = hone_clock_seconds();
    hone_arena *arena = hone_arena_create();
    if (!arena)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for measuring");
    hone_status status = HONE_OK;
    if (a->type->messages)
        hone_engine_clear_cache(a->bench->engine);
    a->bench->fresh_embeddings = true;
    for (size_t i = 0; i < warm + most && status == HONE_OK; i++) {
        const hone_row *row = &rows[i];
        hone_answer answer;
        double start = hone_clock_seconds();
        status = hone_approach_answer(a, &row, 1, true, arena, &answer, NULL, err);
        if (i >= warm)
            ms[n_timed++] = 1000 * (hone_clock_seconds() - start);
        hone_progress_update(progress, (int64_t)i + 1, NULL);
        if (n_timed >= LEAST_LATENCY_ROWS && hone_clock_seconds() - begun > latency_seconds)
            break;
    }
    a->bench->fresh_embeddings = false;
    hone_arena_free(arena);
    out->n = (int64_t)n_timed;
    if (status == HONE_OK && n_timed)
        status = hone_quantile(ms, n_timed, 0.5, &out->p50_ms, err);
    if (status == HONE_OK && n_timed)
        status = hone_quantile(ms, n_timed, 0.95, &out->p95_ms, err);
    return status;
}

/* The rows that were just timed, whose prompts are therefore in the cache, answered freely. */
static hone_status check_form(hone_approach *a, const hone_row *rows, size_t n, double *rate, hone_error *err)
{
    const hone_row *picked[LATENCY_ROWS];
    hone_answer answers[LATENCY_ROWS];
    if (!a->type->messages || !hone_task_has_form(a->bench->task))
        return HONE_OK;
    n = n < LATENCY_ROWS ? n : LATENCY_ROWS;
    for (size_t i = 0; i < n; i++)
        picked[i] = &rows[i];
    hone_arena *arena = hone_arena_create();
    if (!arena)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for measuring");
    hone_status status = hone_approach_answer(a, picked, n, false, arena, answers, NULL, err);
    size_t strict = 0;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        strict += hone_answer_is_strict(a->bench->task, answers[i].raw);
    if (status == HONE_OK && n)
        *rate = (double)strict / (double)n;
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

static hone_status recall(const json_t *part, hone_measurement *out)
{
    out->p50_ms = real_of(part, "p50_ms");
    out->p95_ms = real_of(part, "p95_ms");
    out->n = (int64_t)json_integer_value(json_object_get(part, "n"));
    out->strict_format_rate = real_of(part, "strict_format_rate");
    return HONE_OK;
}

hone_status hone_measure(hone_approach *a, const hone_row *rows, size_t n, hone_measurement *out,
                         hone_progress *progress, hone_error *err)
{
    char key[65], purpose[96], hash[65], name[96];
    json_t *part = NULL;
    *out = (hone_measurement){.p50_ms = NAN, .p95_ms = NAN, .strict_format_rate = NAN};
    hone_status status = common_prefix(a, rows, n, &out->tokens_static, err);
    if (status != HONE_OK)
        return status;
    hone_rows_hash(rows, n < LATENCY_ROWS + WARM_ROWS ? n : LATENCY_ROWS + WARM_ROWS, hash);
    int threads = a->bench->engine ? hone_engine_threads(a->bench->engine) : 1;
    snprintf(purpose, sizeof purpose, "latency %.16s, %d threads", hash, threads);
    status = hone_workbench_key(a->bench, a->type->word, a->settings, purpose, key, err);
    if (status == HONE_OK)
        status = hone_ledger_get_part(a->bench->ledger, key, &part, err);
    if (status == HONE_OK && part)
        status = recall(part, out);
    if (status != HONE_OK || part)
        goto done;
    snprintf(name, sizeof name, "%s: latency", a->type->name);
    hone_progress_begin(progress, name, "requests",
                        (int64_t)(n < LATENCY_ROWS + WARM_ROWS ? n : LATENCY_ROWS + WARM_ROWS));
    status = time_requests(a, rows, n, out, progress, err);
    hone_progress_end(progress);
    if (status == HONE_OK)
        status = check_form(a, rows, (size_t)out->n + (n > WARM_ROWS ? WARM_ROWS : 0), &out->strict_format_rate, err);
    if (status != HONE_OK)
        goto done;
    part = json_pack("{s:o, s:o, s:I, s:o}", "p50_ms", real_or_null(out->p50_ms), "p95_ms", real_or_null(out->p95_ms),
                     "n", (json_int_t)out->n, "strict_format_rate", real_or_null(out->strict_format_rate));
    status = part ? hone_ledger_put_part(a->bench->ledger, key, part, err)
                  : hone_fail(err, HONE_NO_MEMORY, "out of memory for a measurement");
done:
    json_decref(part);
    return status;
}

hone_status hone_measure_speed(hone_engine *engine, hone_approach *a, const hone_row *rows, size_t n,
                               double *tokens_per_second, double *row_tokens, hone_error *err)
{
    hone_token_list ids = {0};
    size_t offsets[SPEED_ROWS + 1];
    hone_request requests[SPEED_ROWS];
    hone_response responses[SPEED_ROWS];
    memset(responses, 0, sizeof responses);
    double prefix;
    n = n < SPEED_ROWS ? n : SPEED_ROWS;
    hone_status status = common_prefix(a, rows, n, &prefix, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        offsets[i] = ids.n;
        status = hone_approach_encode(a, &rows[i], &ids, NULL, err);
    }
    if (status != HONE_OK || n == 0)
        goto done;
    offsets[n] = ids.n;
    for (size_t i = 0; i < n; i++)
        requests[i] = (hone_request){.ids = ids.data + offsets[i], .n_ids = offsets[i + 1] - offsets[i]};
    hone_engine_clear_cache(engine);
    double start = hone_clock_seconds();
    status = hone_engine_run(engine, requests, n, responses, NULL, err);
    double seconds = hone_clock_seconds() - start;
    int64_t computed = 0;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        computed += responses[i].tokens_in - responses[i].tokens_cached;
    *tokens_per_second = seconds > 0 && computed > 0 ? (double)computed / seconds : 1;
    *row_tokens = (double)ids.n / (double)n - prefix;
done:
    for (size_t i = 0; i < SPEED_ROWS; i++)
        hone_response_clear(&responses[i]);
    hone_token_list_clear(&ids);
    return status;
}
