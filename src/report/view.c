/* view.c - a comparison document read into plain structures. */
#include "report/view.h"

#include <math.h>
#include <string.h>

static double number_at(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *text_at(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_string_value(v) : "";
}

static bool flag_at(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static void interval_at(const json_t *object, double *low, double *high)
{
    const json_t *ci = json_object_get(object, "ci"), *l = json_array_get(ci, 0), *h = json_array_get(ci, 1);
    bool good = json_is_number(l) && json_is_number(h);
    *low = good ? json_number_value(l) : NAN;
    *high = good ? json_number_value(h) : NAN;
}

static bool texts_at(const json_t *object, const char *key, hone_arena *arena, const char ***out, size_t *n)
{
    const json_t *array = json_object_get(object, key);
    *n = 0;
    *out = hone_arena_array(arena, json_array_size(array) + 1, sizeof **out);
    if (!*out)
        return false;
    size_t i;
    json_t *v;
    json_array_foreach(array, i, v) if (json_is_string(v))(*out)[(*n)++] = json_string_value(v);
    return true;
}

static int approach_at(const hone_view *v, const json_t *object, const char *key)
{
    const json_t *name = json_object_get(object, key);
    for (size_t i = 0; json_is_string(name) && i < v->n_approaches; i++)
        if (strcmp(v->approaches[i].name, json_string_value(name)) == 0)
            return (int)i;
    return -1;
}

static void read_approach(const json_t *from, bool dedicated, hone_view_approach *a)
{
    const json_t *setup = json_object_get(from, "setup"), *seeds = json_object_get(from, "seeds");
    const json_t *select = json_object_get(from, "select"), *latency = json_object_get(from, "latency_ms");
    *a = (hone_view_approach){
        .name = text_at(from, "name"),
        .family = text_at(from, "family"),
        .description = text_at(from, "description"),
        .prompt = text_at(from, "prompt"),
        .adapter = text_at(from, "adapter"),
        .tested = flag_at(from, "tested"),
        .sends_prompt = flag_at(from, "sends_prompt"),
        .has_prompt = json_is_string(json_object_get(from, "prompt")),
        .select_tune = number_at(select, "tune"),
        .select_name = number_at(select, "name"),
        .p_best = number_at(select, "p_best"),
        .expected_regret = number_at(select, "expected_regret"),
        .score = number_at(from, "score"),
        .strict_format = number_at(from, "strict_format_rate"),
        .tokens_in = number_at(from, "tokens_in"),
        .tokens_out = number_at(from, "tokens_out"),
        .tokens_static = number_at(from, "tokens_static"),
        .p50_ms = number_at(latency, "p50"),
        .p95_ms = number_at(latency, "p95"),
        .latency_n = number_at(latency, "n"),
        .busy_seconds = number_at(from, "busy_seconds_per_request"),
        .cost_per_1k = number_at(from, "cost_per_1k"),
        .cost_provisioned = number_at(from, "cost_per_1k_provisioned"),
        .operating_per_1k = number_at(from, dedicated ? "cost_per_1k_provisioned" : "cost_per_1k"),
        .setup_usd = number_at(from, "setup_usd"),
        .setup_labels_usd = number_at(setup, "labels_usd"),
        .setup_compute_usd = number_at(setup, "compute_usd"),
        .setup_work_usd = number_at(setup, "work_usd"),
        .work_hours = number_at(setup, "work_hours"),
        .change_usd = number_at(setup, "change_usd"),
        .change_hours = number_at(setup, "change_hours"),
        .train_seconds = number_at(from, "train_seconds"),
        .train_tokens_per_second = number_at(from, "train_tokens_per_second"),
        .evaluation_seconds = number_at(from, "evaluation_seconds"),
        .labels_used = number_at(from, "labels_used"),
        .seeds = json_object_get(seeds, "runs"),
        .seeds_mean = number_at(seeds, "mean"),
        .seeds_deviation = number_at(seeds, "standard_deviation"),
        .seed_kept = number_at(seeds, "kept"),
    };
    interval_at(from, &a->ci_low, &a->ci_high);
}

static void read_pairs(hone_view *v, const json_t *from)
{
    size_t i;
    json_t *p;
    json_array_foreach(from, i, p)
    {
        hone_view_pair *pair = &v->pairs[v->n_pairs];
        *pair = (hone_view_pair){
            .a = approach_at(v, p, "a"),
            .b = approach_at(v, p, "b"),
            .difference = number_at(p, "difference"),
            .p = number_at(p, "p"),
            .p_adjusted = number_at(p, "p_adjusted"),
            .only_a = number_at(p, "only_a"),
            .only_b = number_at(p, "only_b"),
            .test = text_at(p, "test"),
            .finding = text_at(p, "finding"),
        };
        interval_at(p, &pair->ci_low, &pair->ci_high);
        if (pair->a >= 0 && pair->b >= 0)
            v->n_pairs++;
    }
}

static void read_work(hone_view *v, const json_t *work)
{
    size_t i;
    json_t *key;
    for (int kind = 0; kind < HONE_WORK_KINDS; kind++) {
        v->work_hours[kind] = number_at(work, hone_work_defaults[kind].key);
        json_array_foreach(json_object_get(work, "assumed"), i, key) if (json_is_string(key)) v->work_assumed[kind] |=
            strcmp(json_string_value(key), hone_work_defaults[kind].key) == 0;
    }
}

static void read_settings(hone_view *v, const json_t *document)
{
    const json_t *task = json_object_get(document, "task"), *rows = json_object_get(task, "rows");
    const json_t *use = json_object_get(task, "use"), *prices = json_object_get(task, "prices");
    const json_t *model = json_object_get(document, "model");
    v->hone = text_at(document, "hone");
    v->task = text_at(task, "name");
    v->folder = text_at(task, "folder");
    v->output = text_at(task, "output");
    v->metric = text_at(task, "metric");
    v->train_hash = text_at(task, "train_hash");
    v->test_hash = text_at(task, "test_hash");
    v->labels = number_at(task, "labels");
    v->rows_train = number_at(rows, "train");
    v->rows_select = number_at(rows, "select");
    v->rows_test = number_at(rows, "test");
    v->dropped_duplicates = number_at(task, "dropped_duplicates");
    v->near_duplicates = number_at(task, "near_duplicates");
    v->requests_per_month = number_at(use, "requests_per_month");
    v->horizon_months = number_at(use, "horizon_months");
    v->changes_per_year = number_at(use, "changes_per_year");
    v->min_score = number_at(use, "min_score");
    v->latency_p95_limit_ms = number_at(use, "latency_p95_ms");
    v->dedicated = flag_at(use, "dedicated");
    v->compute_hour_usd = number_at(prices, "compute_hour_usd");
    v->label_usd = number_at(prices, "label_usd");
    v->engineer_hour_usd = number_at(prices, "engineer_hour_usd");
    v->input_million_usd = number_at(prices, "input_million_usd");
    v->output_million_usd = number_at(prices, "output_million_usd");
    v->cache_hit_rate = number_at(prices, "cache_hit_rate");
    v->cache_read = number_at(prices, "cache_read");
    v->cache_write = number_at(prices, "cache_write");
    read_work(v, json_object_get(task, "work"));
    v->model = text_at(model, "name");
    v->model_argument = text_at(model, "argument");
    if (!v->model_argument[0]) /* a document from before it was kept */
        v->model_argument = v->model;
    v->model_hash = text_at(model, "hash");
    v->numerics_class = text_at(model, "numerics_class");
    v->isa = text_at(model, "isa");
    v->machine = text_at(document, "machine");
    v->threads = number_at(document, "threads");
    v->seed = text_at(document, "seed");
    v->quick = flag_at(document, "quick");
    v->quick_note = text_at(document, "quick_note");
    v->command = text_at(document, "command");
    v->started = text_at(document, "started");
    v->seconds = number_at(document, "seconds");
    v->peak_bytes = number_at(document, "peak_rss_bytes");
    v->n_test = number_at(document, "n_test");
    v->detectable_difference = number_at(document, "detectable_difference");
    v->test_openings = number_at(document, "test_openings");
}

static bool read_bands(hone_view *v, const json_t *from, hone_arena *arena)
{
    size_t i;
    json_t *band;
    v->bands = hone_arena_array(arena, json_array_size(from) + 1, sizeof *v->bands);
    if (!v->bands)
        return false;
    json_array_foreach(from, i, band) v->bands[v->n_bands++] =
        (hone_view_band){text_at(band, "input"), number_at(band, "low"), number_at(band, "high"),
                         number_at(band, "break_even_at_low"), number_at(band, "break_even_at_high")};
    return true;
}

hone_status hone_view_read(const json_t *document, hone_arena *arena, hone_view *out, hone_error *err)
{
    const json_t *approaches = json_object_get(document, "approaches"),
                 *pairs = json_object_get(document, "comparisons");
    const json_t *verdict = json_object_get(document, "verdict");
    memset(out, 0, sizeof *out);
    if (!json_is_object(document) || !json_is_array(approaches) || !json_is_object(verdict))
        return hone_fail(err, HONE_BAD_FORMAT,
                         "this is not the document of a comparison: \"approaches\" or \"verdict\" is missing; "
                         "run `hone compare` again");
    out->document = document;
    read_settings(out, document);
    out->n_approaches = json_array_size(approaches);
    out->approaches = hone_arena_array(arena, out->n_approaches + 1, sizeof *out->approaches);
    out->pairs = hone_arena_array(arena, json_array_size(pairs) + 1, sizeof *out->pairs);
    if (!out->approaches || !out->pairs || !texts_at(verdict, "because", arena, &out->because, &out->n_because) ||
        !texts_at(verdict, "flips_if", arena, &out->flips_if, &out->n_flips_if) ||
        !texts_at(document, "warnings", arena, &out->warnings, &out->n_warnings))
        return hone_fail(err, HONE_NO_MEMORY, "no memory to show a comparison of %zu approaches", out->n_approaches);
    for (size_t i = 0; i < out->n_approaches; i++) {
        read_approach(json_array_get(approaches, i), out->dedicated, &out->approaches[i]);
        out->n_tested += out->approaches[i].tested;
    }
    read_pairs(out, pairs);
    out->winner = approach_at(out, document, "winner");
    out->choose = approach_at(out, verdict, "choose");
    out->break_even_against = approach_at(out, verdict, "break_even_against");
    out->kind = text_at(verdict, "kind");
    out->headline = text_at(verdict, "headline");
    out->summary = text_at(verdict, "summary");
    out->confidence = text_at(verdict, "confidence");
    out->break_even_requests = number_at(verdict, "break_even_requests");
    if (!read_bands(out, json_object_get(verdict, "sensitivity"), arena))
        return hone_fail(err, HONE_NO_MEMORY, "no memory to show a comparison of %zu approaches", out->n_approaches);
    out->items = json_object_get(document, "items");
    out->n_items = json_array_size(out->items);
    return HONE_OK;
}

hone_view_answer hone_view_answer_at(const hone_view *view, size_t item, size_t approach)
{
    const json_t *answers = json_object_get(json_array_get(view->items, item), "answers");
    const json_t *from = json_array_get(answers, approach), *answer = json_object_get(from, "answer");
    hone_view_answer out = {.given = json_is_object(from), .answer = "", .raw = "", .score = NAN};
    if (!out.given)
        return out;
    out.parsed = json_is_string(answer);
    out.answer = text_at(from, "answer");
    out.raw = json_is_string(json_object_get(from, "raw")) ? text_at(from, "raw") : out.answer;
    out.score = number_at(from, "score");
    return out;
}

const char *hone_view_item_text(const hone_view *view, size_t item, const char *key)
{
    return text_at(json_array_get(view->items, item), key);
}

double hone_view_total_usd(const hone_view_approach *approach, double requests)
{
    return approach->setup_usd + approach->operating_per_1k * requests / 1000;
}
