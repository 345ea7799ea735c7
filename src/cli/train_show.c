/* train_show.c - the end of a run for people and as JSON. */
#include "cli/train_show.h"

#include "base/clock.h"
#include "base/numbers.h"
#include "base/text.h"
#include "stats/interval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_WARNINGS = 8 };

static double number_of(const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static json_t *borrowed(const json_t *v)
{
    return v ? json_incref((json_t *)(uintptr_t)v) : json_null();
}

void hone_train_show_json(const hone_train_ending *e)
{
    const hone_train_result *r = e->result;
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:s, s:b, s:I, s:I, s:f}", "steps", (json_int_t)r->steps,
        "planned_steps", (json_int_t)r->planned_steps, "whole_steps", (json_int_t)r->whole_steps, "tokens",
        (json_int_t)r->tokens, "seconds", r->seconds, "tokens_per_second", r->tokens_per_second, "peak_rss_bytes",
        (json_int_t)hone_peak_resident_bytes(), "final_loss", r->final_loss, "best_step", (json_int_t)r->best_step,
        "adapter", e->folder, "resumed", r->resumed, "train_rows", (json_int_t)e->data->n_train_rows, "select_rows",
        (json_int_t)e->data->n_select_rows, "score_seconds", r->score_seconds);
    json_object_set_new(json, "best_score", isnan(r->best_score) ? json_null() : json_real(r->best_score));
    json_object_set_new(json, "report", e->report ? json_string(e->report) : json_null());
    if (r->pass_rows > 0) {
        json_object_set_new(json, "pass_rows", json_integer(r->pass_rows));
        json_object_set_new(json, "recomputed", json_boolean(r->recomputed));
        json_object_set_new(json, "planned_bytes", json_integer((json_int_t)r->planned_bytes));
        json_object_set_new(json, "rows_saved_by_sharing", json_real(r->shared_rows));
    }
    const struct {
        const char *key;
        const json_t *value;
    } parts[] = {{"search", e->search}, {"seeds", e->seeds}, {"curve", e->curve}, {"warnings", e->warnings}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].value)
            json_object_set_new(json, parts[i].key, borrowed(parts[i].value));
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

/* A line a candidate: its rate and rank, and its score at each rung it came to. */
static void show_search(const json_t *search)
{
    const json_t *rungs = json_object_get(search, "rungs"), *chosen = json_object_get(search, "chosen");
    const json_t *first = json_object_get(json_array_get(rungs, 0), "tried");
    size_t n_rungs = json_array_size(rungs), i, j, k;
    json_t *candidate, *tried;
    if (!n_rungs)
        return;
    printf("settings tried (held-out rows right):\n  %8s %6s", "rate", "rank");
    for (i = 0; i < n_rungs; i++)
        printf("  at step %-5lld", (long long)json_integer_value(json_object_get(json_array_get(rungs, i), "steps")));
    putchar('\n');
    json_array_foreach(first, i, candidate)
    {
        double rate = number_of(candidate, "learning_rate"), rank = number_of(candidate, "rank");
        printf("  %8g %6.0f", rate, rank);
        for (j = 0; j < n_rungs; j++)
            json_array_foreach(json_object_get(json_array_get(rungs, j), "tried"), k, tried)
            {
                if (number_of(tried, "learning_rate") == rate && number_of(tried, "rank") == rank)
                    printf("  %-13s", json_is_true(json_object_get(tried, "broke_down"))
                                          ? "broke down"
                                          : hone_number_score(number_of(tried, "score")).text);
            }
        bool kept = number_of(chosen, "learning_rate") == rate && number_of(chosen, "rank") == rank;
        printf("%s\n", kept ? "  <- chosen" : "");
    }
    printf("  chosen for %s; the others took %s\n", json_string_value(json_object_get(search, "why")),
           hone_number_seconds(number_of(search, "seconds")).text);
}

static void show_seeds(const json_t *seeds)
{
    const json_t *runs = json_object_get(seeds, "runs");
    size_t n = json_array_size(runs), i;
    json_t *run;
    printf("%zu seeds: held-out score %.3f on average, standard deviation %.3f (", n, number_of(seeds, "mean"),
           number_of(seeds, "standard_deviation"));
    json_array_foreach(runs, i, run) printf("%s%.3f", i ? ", " : "", number_of(run, "best_score"));
    printf("); seed %.0f is kept\n", number_of(seeds, "kept"));
}

static void show_curve(const json_t *curve)
{
    const json_t *forecasts = json_object_get(curve, "forecasts");
    double seeds = number_of(curve, "seeds");
    size_t i;
    json_t *point;
    printf("learning curve:");
    json_array_foreach(json_object_get(curve, "points"), i, point)
    {
        printf("%s %.0f rows %.3f", i ? "," : "", number_of(point, "rows"), number_of(point, "score"));
        if (seeds > 1)
            printf(" (sd %.3f)", number_of(point, "standard_deviation"));
    }
    if (seeds > 1)
        printf("; means over %.0f seeds", seeds);
    putchar('\n');
    json_array_foreach(forecasts, i, point) printf(
        "  with %s rows about %.2f (%.2f to %.2f); by the fitted curve, chance of a gain above %.0f points: %.0f %%\n",
        hone_number_count(number_of(point, "rows")).text, number_of(point, "score"), number_of(point, "low"),
        number_of(point, "high"), 100 * number_of(curve, "delta"), 100 * number_of(point, "p_gain"));
    if (forecasts)
        printf(seeds > 1 ? "  the ranges cover rows and seeds\n"
                         : "  one seed: the luck of a training is not in the ranges (--seeds 3 measures it)\n");
    else
        printf("  %s\n", json_string_value(json_object_get(curve, "note")));
}

/* "support-replies" of "adapters/support-replies/" */
static void short_name(const char *folder, char *out, size_t size)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && folder[start - 1] != '/')
        start--;
    snprintf(out, size, "%.*s", (int)(length - start), folder + start);
}

void hone_train_show(const hone_train_ending *e)
{
    const hone_train_result *r = e->result;
    char time[32], memory[32], name[128];
    size_t n = e->data->examples.n - e->data->n_train - e->data->n_not_asked, i; /* answers asked for */
    json_t *warning;
    hone_format_seconds(r->seconds, time);
    hone_format_bytes(hone_peak_resident_bytes(), memory);
    if (e->search)
        show_search(e->search);
    if (e->seeds)
        show_seeds(e->seeds);
    printf("%s: %lld steps over %zu rows in %s (%.0f tokens/s), final loss %.3f, peak memory %s\n", e->folder,
           (long long)r->steps, e->data->n_train_rows, time, r->tokens_per_second, r->final_loss, memory);
    if (r->whole_steps > r->planned_steps)
        printf("%lld of the %lld steps that its epochs would take: --budget or --steps left no more\n",
               (long long)r->planned_steps, (long long)r->whole_steps);
    if (r->planned_steps > r->steps)
        printf("stopped early: %lld of %lld steps, as scores did not get better\n", (long long)r->steps,
               (long long)r->planned_steps);
    if (!isnan(r->best_score)) {
        hone_interval ci = hone_wilson_interval(llround(r->best_score * (double)n), (int64_t)n, 0.05);
        printf("best checkpoint: step %lld, %.3f of %zu held-out rows answered exactly (95 %% interval %s)\n",
               (long long)r->best_step, r->best_score, n, hone_number_interval(ci.low, ci.high).text);
    }
    if (e->curve)
        show_curve(e->curve);
    json_array_foreach(e->warnings, i, warning)
    {
        if (i < MOST_WARNINGS)
            printf("note: %s\n", json_string_value(json_object_get(warning, "text")));
    }
    if (e->report)
        printf("report: %s\n", e->report);
    if (e->model_suffix) {
        printf("try it: hone run -m %s%s\nserve it: hone serve -m %s%s\n", e->folder, e->model_suffix, e->folder,
               e->model_suffix);
        return;
    }
    short_name(e->folder, name, sizeof name);
    printf("try it: hone run -m %s --adapter %s\nserve it: hone serve -m %s --adapter %s=%s\n", e->model, e->folder,
           e->model, name, e->folder);
}
