/* document.c - a comparison as one JSON document. The keys are a contract with other programs (DESIGN, Tool contract).
 */
#include "report/document.h"

#include "base/text.h"
#include "decide/work.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *pair(double low, double high)
{
    return isfinite(low) && isfinite(high) ? json_pack("[f, f]", low, high) : json_null();
}

/* A JSON string from any bytes; null for NULL. */
static json_t *string(const char *s)
{
    if (!s)
        return json_null();
    size_t length = strlen(s);
    if (hone_utf8_valid(s, length, NULL))
        return json_stringn_nocheck(s, length);
    hone_buffer b = {0};
    hone_utf8_repair(s, length, &b);
    json_t *out = b.failed ? NULL : json_stringn_nocheck(b.data, b.length);
    hone_buffer_clear(&b);
    return out;
}

static json_t *strings(const char *const *items, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++)
        if (json_array_append_new(array, string(items[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static const char *family_name(hone_family family)
{
    switch (family) {
    case HONE_FAMILY_BASELINE:
        return "baseline";
    case HONE_FAMILY_PROMPT:
        return "prompt";
    case HONE_FAMILY_TUNED:
        return "tuned";
    }
    return "unknown";
}

static const char *verdict_name(hone_verdict_kind kind)
{
    static const char *const names[] = {"choose", "cheaper", "baseline", "not_enough_data", "neither"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

static json_t *approach_ref(const hone_comparison *c, int index)
{
    return index >= 0 && (size_t)index < c->n_approaches ? string(c->approaches[index].name) : json_null();
}

/* {"prompt_hours": 4, ..., "assumed": ["prompt_hours", ...]}: hours of people's work, and which of them the task does
 * not state. */
static json_t *work_document(const hone_task_work *given)
{
    json_t *out = json_object(), *list = json_array();
    bool good = out && list;
    for (hone_work_kind kind = 0; kind < HONE_WORK_KINDS && good; kind++) {
        bool assumed;
        const char *key = hone_work_defaults[kind].key;
        good = json_object_set_new(out, key, json_real(hone_work_hours(given, kind, &assumed))) == 0;
        if (assumed)
            good = good && json_array_append_new(list, json_string(key)) == 0;
    }
    good = good && json_object_set(out, "assumed", list) == 0;
    json_decref(list);
    if (good)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *task_document(const hone_task *t)
{
    if (!t)
        return json_object();
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:s, s:s, s:I, s:I,"
        " s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}, s:o, s:{s:o, "
        "s:I}}",
        "name", string(t->name), "folder", string(t->folder), "output", hone_output_kind_name(t->output_kind), "metric",
        string(t->metric), "labels", (json_int_t)t->n_labels, "rows", "train", (json_int_t)t->train.n, "select",
        (json_int_t)(t->select_tune.n + t->select_name.n), "select_tune", (json_int_t)t->select_tune.n, "select_name",
        (json_int_t)t->select_name.n, "test", (json_int_t)t->test.n, "train_hash", t->train_hash, "test_hash",
        t->test_hash, "dropped_duplicates", (json_int_t)t->n_dropped_duplicates, "near_duplicates",
        (json_int_t)t->n_near_duplicates, "use", "requests_per_month", number(t->use.requests_per_month), "min_score",
        number(t->use.min_score), "latency_p95_ms", number(t->use.latency_p95_ms), "error_cost_usd",
        number(t->use.error_cost_usd), "horizon_months", number(t->use.horizon_months), "changes_per_year",
        number(t->use.changes_per_year), "deadline_days", number(t->use.deadline_days), "dedicated", t->use.dedicated,
        "skills", strings(t->use.skills, t->use.n_skills), "prices", "compute_hour_usd",
        number(t->prices.compute_hour_usd), "label_usd", number(t->prices.label_usd), "engineer_hour_usd",
        number(t->prices.engineer_hour_usd), "input_million_usd", number(t->prices.input_million_usd),
        "output_million_usd", number(t->prices.output_million_usd), "cache_hit_rate", number(t->prices.cache_hit_rate),
        "cache_read", number(t->prices.cache_read), "cache_write", number(t->prices.cache_write), "work",
        work_document(&t->work), "budget", "seconds", number(t->budget_seconds), "memory_bytes",
        (json_int_t)t->budget_memory_bytes);
}

/* Trained with several seeds: each one's scores, and which is served. */
static json_t *seeds_document(const hone_approach_result *a)
{
    const hone_seed_results *s = &a->seeds;
    json_t *runs = s->n > 1 ? json_array() : NULL;
    if (!runs)
        return json_null();
    for (int i = 0; i < s->n; i++)
        json_array_append_new(runs, json_pack("{s:I, s:o, s:o, s:o}", "seed", (json_int_t)s->seed[i], "select_tune",
                                              number(s->select_tune[i]), "select_name", number(s->select_name[i]),
                                              "test", number(a->tested ? s->test[i] : NAN)));
    return json_pack("{s:o, s:o, s:o, s:I}", "runs", runs, "mean",
                     number(a->tested ? hone_mean(s->test, (size_t)s->n) : NAN), "standard_deviation",
                     number(a->tested ? hone_standard_deviation(s->test, (size_t)s->n) : NAN), "kept",
                     (json_int_t)s->seed[s->kept]);
}

static json_t *approach_document(const hone_comparison *c, const hone_approach_result *a)
{
    bool has_latency = a->latency_n > 0;
    json_t *seeds = seeds_document(a);
    json_t *document = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:I, s:o, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:{s:o, s:o, s:I},"
        " s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:I, s:b}",
        "name", string(a->name), "family", family_name(a->family), "description", string(a->description), "prompt",
        string(a->prompt), "adapter", string(a->adapter), "tested", a->tested, "score",
        number(a->tested ? a->score : NAN), "ci", pair(a->tested ? a->ci_low : NAN, a->ci_high), "n",
        (json_int_t)(a->tested ? c->n_test : 0), "strict_format_rate", number(a->tested ? a->strict_format_rate : NAN),
        "select", "tune", number(a->select_tune_score), "name", number(a->select_name_score), "p_best",
        number(a->select_p_best), "expected_regret", number(a->select_regret), "tokens_in", number(a->tokens_in),
        "tokens_out", number(a->tokens_out), "tokens_static", number(a->tokens_static), "latency_ms", "p50",
        number(has_latency ? a->latency_p50_ms : NAN), "p95", number(has_latency ? a->latency_p95_ms : NAN), "n",
        (json_int_t)a->latency_n, "busy_seconds_per_request", number(a->busy_seconds_per_request), "cost_per_1k",
        number(a->cost_per_1k_usd), "cost_per_1k_provisioned", number(a->cost_per_1k_provisioned_usd), "setup_usd",
        number(a->setup_usd), "setup", "labels_usd", number(a->setup_labels_usd), "compute_usd",
        number(a->setup_compute_usd), "work_usd", number(a->setup_work_usd), "work_hours", number(a->work_hours),
        "change_usd", number(a->change_usd), "change_hours", number(a->change_hours), "train_seconds",
        number(a->build_seconds), "train_tokens_per_second", number(a->train_tokens_per_second), "epochs",
        number(a->epochs_planned > 0 ? a->epochs : NAN), "epochs_planned",
        number(a->epochs_planned > 0 ? a->epochs_planned : NAN), "evaluation_seconds", number(a->evaluation_seconds),
        "labels_used", (json_int_t)a->labels_used, "sends_prompt", a->sends_prompt);
    if (document)
        json_object_set(document, "seeds", seeds);
    json_decref(seeds);
    return document;
}

static json_t *comparison_document(const hone_comparison *c, const hone_pair *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "a", approach_ref(c, p->a), "b",
                     approach_ref(c, p->b), "difference", number(p->difference), "ci", pair(p->ci_low, p->ci_high), "p",
                     number(p->p), "p_adjusted", number(p->p_adjusted), "only_a", (json_int_t)p->only_a, "only_b",
                     (json_int_t)p->only_b, "test", string(p->test), "finding", string(p->finding));
}

static json_t *bands_document(const hone_verdict *v)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < v->n_sensitivity; i++) {
        const hone_band *band = &v->sensitivity[i];
        json_t *one = json_pack("{s:s, s:o, s:o, s:o, s:o}", "input", band->input, "low", number(band->low), "high",
                                number(band->high), "break_even_at_low", number(band->break_even_at_low),
                                "break_even_at_high", number(band->break_even_at_high));
        if (!one || json_array_append_new(array, one) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *verdict_document(const hone_comparison *c)
{
    const hone_verdict *v = &c->verdict;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", verdict_name(v->kind), "choose",
                     approach_ref(c, v->choose), "headline", string(v->headline), "summary", string(v->summary),
                     "confidence", string(v->confidence), "because", strings(v->because, v->n_because), "flips_if",
                     strings(v->flips_if, v->n_flips_if), "break_even_requests", number(v->break_even_requests),
                     "break_even_against", approach_ref(c, v->break_even_against), "sensitivity", bands_document(v));
}

static json_t *answer_document(const hone_outcome *o)
{
    bool same = o->raw && o->answer && strcmp(o->raw, o->answer) == 0;
    json_t *out = json_pack("{s:o, s:o}", "answer", string(o->answer), "score", number(o->score));
    if (out && o->raw && !same && json_object_set_new(out, "raw", string(o->raw)) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *item_document(const hone_comparison *c, size_t row)
{
    const hone_row *r = &c->task->test.items[row];
    hone_buffer place = {0};
    if (r->file)
        hone_buffer_printf(&place, "%s:%lld", r->file, (long long)r->line);
    json_t *answers = json_array();
    for (size_t i = 0; answers && i < c->n_approaches; i++) {
        const hone_approach_result *a = &c->approaches[i];
        json_t *answer = a->tested && a->outcomes ? answer_document(&a->outcomes[row]) : json_null();
        if (json_array_append_new(answers, answer) != 0) {
            json_decref(answers);
            answers = NULL;
        }
    }
    json_t *item =
        json_pack("{s:s, s:o, s:o, s:o, s:o}", "id", r->id, "place", string(place.length ? place.data : NULL), "input",
                  string(r->input), "reference", string(r->output), "answers", answers);
    hone_buffer_clear(&place);
    return item;
}

/* An array of `n` documents made by `make`, or NULL when out of memory. */
static json_t *all(const hone_comparison *c, size_t n, json_t *(*make)(const hone_comparison *, size_t))
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++)
        if (json_array_append_new(array, make(c, i)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *nth_approach(const hone_comparison *c, size_t i)
{
    return approach_document(c, &c->approaches[i]);
}

static json_t *nth_pair(const hone_comparison *c, size_t i)
{
    return comparison_document(c, &c->pairs[i]);
}

/* The comparison's warnings, then the task's that are not among them. */
static json_t *warnings_document(const hone_comparison *c)
{
    json_t *array = strings(c->warnings, c->n_warnings);
    size_t i, j;
    json_t *warning, *other;
    if (!array || !c->task || !json_is_array(c->task->warnings))
        return array;
    json_array_foreach(c->task->warnings, i, warning)
    {
        bool known = !json_is_string(warning);
        json_array_foreach(array, j, other) known |= json_equal(warning, other) != 0;
        if (!known && json_array_append(array, warning) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

hone_status hone_report_document(const hone_comparison *c, json_t **out, hone_error *err)
{
    *out = NULL;
    size_t n_items = c->task && c->task->test.n >= c->n_test ? c->n_test : 0;
    bool any_tested = false;
    for (size_t i = 0; i < c->n_approaches; i++)
        any_tested |= c->approaches[i].tested && c->approaches[i].outcomes;
    /* The seed is 64-bit unsigned and JSON integers here are signed, so it is a string. */
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    json_t *document = json_pack(
        "{s:s, s:i, s:o, s:{s:o, s:o, s:o, s:o, s:o}, s:o, s:i, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I,"
        " s:o, s:o, s:o, s:o, s:o}",
        "hone", HONE_VERSION, "document", 1, "task", task_document(c->task), "model", "name", string(c->model),
        "argument", string(c->model_argument), "hash", string(c->model_hash), "numerics_class",
        string(c->numerics_class), "isa", string(c->isa), "machine", string(c->machine), "threads", c->threads, "seed",
        seed, "quick", c->quick, "quick_note", string(c->quick_note), "command", string(c->command), "started",
        string(c->started), "seconds", number(c->total_seconds), "peak_rss_bytes", (json_int_t)c->peak_resident_bytes,
        "n_test", (json_int_t)c->n_test, "detectable_difference", number(c->detectable_difference), "winner",
        approach_ref(c, c->winner), "test_openings", (json_int_t)c->test_openings, "warnings", warnings_document(c),
        "approaches", all(c, c->n_approaches, nth_approach), "comparisons", all(c, c->n_pairs, nth_pair), "verdict",
        verdict_document(c), "items", all(c, any_tested ? n_items : 0, item_document));
    if (!document)
        return hone_fail(err, HONE_NO_MEMORY, "no memory for the report of %zu approaches on %zu rows", c->n_approaches,
                         c->n_test);
    *out = document;
    return HONE_OK;
}

hone_status hone_report_json(const json_t *document, hone_buffer *out, hone_error *err)
{
    char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    if (text) {
        hone_buffer_puts(out, text);
        hone_buffer_putc(out, '\n');
    }
    bool good = text && !out->failed;
    free(text);
    return good ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "no memory for the report's JSON text");
}
