/* training.c - what happened, what to know about it, the charts, the settings tried, seeds, the learning curve, sample
 * answers over time, rows that never fit, and what reproduces it. */
#include "report/training.h"

#include "base/file.h"
#include "base/numbers.h"
#include "report/html_parts.h"
#include "report/line_chart.h"
#include "stats/interval.h"
#include "stats/learning_curve.h"
#include "train/history.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BINS = 150, MOST_SHOWN_SCORES = 6, MOST_SHOWN_ROWS = 50 };

typedef struct report {
    const char *folder;
    json_t *record, *curve;
    hone_train_history history;
    hone_buffer *b;
} report;

static double number_of(const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *text_of(const json_t *from, const char *key)
{
    const char *s = json_string_value(json_object_get(from, key));
    return s ? s : "";
}

static void text(const report *r, const char *s)
{
    hone_html_text(r->b, s);
}

static void raw(const report *r, const char *s)
{
    hone_buffer_puts(r->b, s);
}

/* What is said in a printf's words, escaped. */
__attribute__((format(printf, 2, 3))) static void say(const report *r, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    hone_html_text(r->b, line);
}

/* A setting as it was given; an en dash where the record lacks it. */
static hone_number setting(const report *r, const char *key)
{
    hone_number n;
    double v = number_of(r->record, key);
    if (isfinite(v))
        snprintf(n.text, sizeof n.text, "%g", v);
    else
        snprintf(n.text, sizeof n.text, HONE_NOT_MEASURED);
    return n;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int64_t kept_step(const report *r)
{
    return json_integer_value(json_object_get(json_object_get(r->record, "result"), "best_step"));
}

static const hone_history_score *kept_score(const report *r)
{
    for (size_t i = 0; i < r->history.n_scores; i++)
        if (r->history.scores[i].step == kept_step(r))
            return &r->history.scores[i];
    return NULL;
}

/* Charts ---------------------------------------------------------------------------------------------------------- */

/* A value of every step as means of at most MOST_BINS runs of steps. */
typedef struct binned {
    double x[MOST_BINS], y[MOST_BINS];
    size_t n;
} binned;

typedef double (*step_value)(const hone_history_step *s);

static double loss_of(const hone_history_step *s)
{
    return s->loss;
}
static double rate_of(const hone_history_step *s)
{
    return s->learning_rate;
}
static double norm_of(const hone_history_step *s)
{
    return s->gradient_norm;
}

static void bin_steps(const hone_train_history *h, step_value value, binned *out)
{
    size_t bins = h->n_steps < MOST_BINS ? h->n_steps : MOST_BINS;
    out->n = bins;
    for (size_t k = 0; k < bins; k++) {
        size_t from = k * h->n_steps / bins, to = (k + 1) * h->n_steps / bins;
        double x = 0, y = 0;
        for (size_t i = from; i < to; i++) {
            x += (double)h->steps[i].step;
            y += value(&h->steps[i]);
        }
        out->x[k] = x / (double)(to - from);
        out->y[k] = y / (double)(to - from);
    }
}

/* Tokens a second of each run of steps, from the seconds that passed; what metrics.jsonl calls tokens_per_second is the
 * mean so far. */
static void bin_speed(const hone_train_history *h, binned *out)
{
    size_t bins = h->n_steps < MOST_BINS ? h->n_steps : MOST_BINS;
    out->n = bins;
    for (size_t k = 0; k < bins; k++) {
        size_t from = k * h->n_steps / bins, to = (k + 1) * h->n_steps / bins - 1;
        double t0 = from ? h->steps[from - 1].seconds : 0, n0 = from ? t0 * h->steps[from - 1].tokens_per_second : 0;
        double t1 = h->steps[to].seconds, n1 = t1 * h->steps[to].tokens_per_second;
        out->x[k] = (double)(h->steps[from].step + h->steps[to].step) / 2;
        out->y[k] = t1 > t0 ? (n1 - n0) / (t1 - t0) : NAN;
    }
}

typedef struct points {
    double *x, *y, *low, *high;
    size_t n;
} points;

static bool points_create(points *p, size_t n)
{
    *p = (points){calloc(n + 1, sizeof(double)), calloc(n + 1, sizeof(double)), calloc(n + 1, sizeof(double)),
                  calloc(n + 1, sizeof(double)), n};
    return p->x && p->y && p->low && p->high;
}

static void points_free(points *p)
{
    free(p->x);
    free(p->y);
    free(p->low);
    free(p->high);
}

static void loss_chart(const report *r, const points *select)
{
    binned loss;
    bin_steps(&r->history, loss_of, &loss);
    bool has_select = false;
    for (size_t i = 0; i < select->n; i++)
        has_select |= isfinite(select->y[i]);
    hone_line_chart_draw(
        r->b, &(hone_line_chart){.title = "Loss a token",
                                 .description = has_select ? "Line: the rows learned from, before each step. Rings: "
                                                             "rows held out."
                                                           : "The rows learned from, before each step.",
                                 .x_name = "step",
                                 .from_zero = true,
                                 .top = NAN,
                                 .mark = has_select ? (double)kept_step(r) : NAN,
                                 .mark_name = "kept",
                                 .series = {{"chosen", false, true, loss.x, loss.y, NULL, NULL, loss.n},
                                            {"other", true, true, select->x, select->y, NULL, NULL, select->n}},
                                 .n_series = 2});
}

static void score_chart(const report *r, const points *score)
{
    if (score->n == 0)
        return;
    hone_line_chart_draw(r->b, &(hone_line_chart){.title = "Held-out rows answered exactly",
                                                  .description = "Share, with its 95 % interval: the answers are "
                                                                 "generated, not teacher-forced.",
                                                  .x_name = "step",
                                                  .from_zero = true,
                                                  .top = 1,
                                                  .mark = (double)kept_step(r),
                                                  .mark_name = "kept",
                                                  .series = {{"chosen", true, true, score->x, score->y, score->low,
                                                              score->high, score->n}},
                                                  .n_series = 1});
}

static void plain_chart(const report *r, const char *title, const char *description, const binned *values)
{
    hone_line_chart_draw(
        r->b, &(hone_line_chart){.title = title,
                                 .description = description,
                                 .x_name = "step",
                                 .from_zero = true,
                                 .top = NAN,
                                 .mark = NAN,
                                 .series = {{"chosen", false, true, values->x, values->y, NULL, NULL, values->n}},
                                 .n_series = 1});
}

static void retention_chart(const report *r, points *p)
{
    const hone_train_history *h = &r->history;
    char description[192];
    bool any = false;
    for (size_t i = 0; i < h->n_scores; i++) {
        p->y[i + 1] = h->scores[i].perplexity;
        p->x[i + 1] = (double)h->scores[i].step;
        any |= isfinite(p->y[i + 1]);
    }
    if (!any)
        return;
    p->x[0] = 0;
    p->y[0] = h->scores[0].base_perplexity;
    snprintf(description, sizeof description,
             "Perplexity on ordinary text that has nothing to do with the task; %.3g before training. Rising: general "
             "ability is lost.",
             p->y[0]);
    hone_line_chart_draw(r->b, &(hone_line_chart){.title = "Perplexity on ordinary text",
                                                  .description = description,
                                                  .x_name = "step",
                                                  .from_zero = true,
                                                  .top = NAN,
                                                  .mark = NAN,
                                                  .series = {{"chosen", true, true, p->x, p->y, NULL, NULL, p->n}},
                                                  .n_series = 1});
}

static void charts(const report *r)
{
    const hone_train_history *h = &r->history;
    points select, score, general;
    binned values;
    bool whole = points_create(&select, h->n_scores);
    whole = points_create(&score, h->n_scores) && whole;
    whole = points_create(&general, h->n_scores ? h->n_scores + 1 : 0) && whole;
    if (whole && h->n_steps) {
        raw(r, "<h2 id=\"course\">The course of the run</h2>\n<div class=\"charts\">\n");
        for (size_t i = 0; i < h->n_scores; i++) {
            const hone_history_score *s = &h->scores[i];
            hone_interval ci =
                hone_wilson_interval((int64_t)llround(fmin(fmax(s->score, 0), 1) * (double)s->n), s->n, 0.05);
            select.x[i] = score.x[i] = (double)s->step;
            select.y[i] = s->select_loss;
            score.y[i] = s->score;
            score.low[i] = s->n > 0 ? ci.low : NAN;
            score.high[i] = s->n > 0 ? ci.high : NAN;
        }
        loss_chart(r, &select);
        score_chart(r, &score);
        retention_chart(r, &general);
        bin_steps(h, rate_of, &values);
        plain_chart(r, "Learning rate", "As the schedule has it.", &values);
        bin_steps(h, norm_of, &values);
        plain_chart(r, "Gradient norm", "Before clipping. Leaps stand beside leaps of the loss.", &values);
        bin_speed(h, &values);
        plain_chart(r, "Tokens a second", "Training alone, scores left out.", &values);
        raw(r, "</div>\n");
    }
    points_free(&select);
    points_free(&score);
    points_free(&general);
}

/* What was tried, seeds, learning curve --------------------------------------------------------------------------- */

static void cell(const report *r, const char *class, const char *s)
{
    hone_buffer_printf(r->b, "<td class=\"%s\">", class ? class : "");
    text(r, s);
    raw(r, "</td>");
}

static const json_t *find_tried(const json_t *rung, double rate, double rank)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(rung, "tried"), i, t)
    {
        if (number_of(t, "learning_rate") == rate && number_of(t, "rank") == rank)
            return t;
    }
    return NULL;
}

static void search(const report *r)
{
    const json_t *found = json_object_get(r->record, "search"), *rungs = json_object_get(found, "rungs"),
                 *first = json_object_get(json_array_get(rungs, 0), "tried"),
                 *chosen = json_object_get(found, "chosen");
    size_t i, j;
    json_t *candidate;
    if (!json_array_size(first))
        return;
    raw(r, "<h2 id=\"search\">Settings that were tried</h2>\n<p>Each candidate began the whole run; at each stop the "
           "better half went on (successive halving). ");
    say(r, "Chosen for %s. The others took %s.", text_of(found, "why"),
        hone_number_seconds(number_of(found, "seconds")).text);
    raw(r, "</p>\n");
    hone_html_scroll_begin(r->b, "Settings that were tried", "");
    raw(r, "<table><thead><tr><th scope=\"col\" class=\"name\">rate, rank</th>");
    for (i = 0; i < json_array_size(rungs); i++) {
        raw(r, "<th scope=\"col\">");
        say(r, "right at step %.0f", number_of(json_array_get(rungs, i), "steps"));
        raw(r, "</th><th scope=\"col\">loss</th>");
    }
    raw(r, "<th scope=\"col\" class=\"word\"></th></tr></thead><tbody>\n");
    json_array_foreach(first, i, candidate)
    {
        double rate = number_of(candidate, "learning_rate"), rank = number_of(candidate, "rank");
        bool kept = number_of(chosen, "learning_rate") == rate && number_of(chosen, "rank") == rank;
        raw(r,
            kept ? "<tr class=\"chosen\"><th scope=\"row\" class=\"name\">" : "<tr><th scope=\"row\" class=\"name\">");
        say(r, "%g, %.0f", rate, rank);
        raw(r, "</th>");
        for (j = 0; j < json_array_size(rungs); j++) {
            const json_t *t = find_tried(json_array_get(rungs, j), rate, rank);
            bool broke = json_is_true(json_object_get(t, "broke_down"));
            cell(r, "main", broke ? "broke down" : t ? hone_number_score(number_of(t, "score")).text : "");
            cell(r, NULL, t && !broke ? hone_number_score(number_of(t, "loss")).text : "");
        }
        cell(r, "word", kept ? "chosen" : "");
        raw(r, "</tr>\n");
    }
    raw(r, "</tbody></table>");
    hone_html_scroll_end(r->b);
}

static void seeds(const report *r)
{
    const json_t *all = json_object_get(r->record, "seeds"), *runs = json_object_get(all, "runs");
    size_t i;
    json_t *run;
    if (!json_array_size(runs))
        return;
    raw(r, "<h2 id=\"seeds\">Seeds</h2>\n<p>");
    say(r,
        "%zu runs that differ only in the order of the rows and the adapter's beginning: held-out score %.3f on "
        "average, standard deviation %.3f.",
        json_array_size(runs), number_of(all, "mean"), number_of(all, "standard_deviation"));
    raw(r, "</p>\n<table class=\"rows\"><thead><tr><th scope=\"col\" class=\"n\">seed</th><th scope=\"col\" "
           "class=\"n\">held-out score</th><th scope=\"col\" class=\"n\">at step</th><th></th></tr></thead><tbody>\n");
    json_array_foreach(runs, i, run)
    {
        raw(r, "<tr>");
        cell(r, "n", hone_number_count(number_of(run, "seed")).text);
        cell(r, "n", hone_number_score(number_of(run, "best_score")).text);
        cell(r, "n", hone_number_count(number_of(run, "best_step")).text);
        cell(r, NULL, number_of(run, "seed") == number_of(all, "kept") ? "kept" : "");
        raw(r, "</tr>\n");
    }
    raw(r, "</tbody></table>\n");
}

static void draw_curve(const report *r, const json_t *forecasts)
{
    enum { LAW_POINTS = 40 };
    const json_t *measured = json_object_get(r->curve, "points"), *fit = json_object_get(r->curve, "fit");
    size_t n = json_array_size(measured), n_forecasts = json_array_size(forecasts);
    points p, f;
    double law_x[LAW_POINTS], law_y[LAW_POINTS];
    bool whole = points_create(&p, n);
    whole = points_create(&f, n_forecasts) && whole;
    for (size_t i = 0; i < n && whole; i++) {
        const json_t *point = json_array_get(measured, i);
        p.x[i] = number_of(point, "rows");
        p.y[i] = number_of(point, "score");
        p.low[i] = number_of(point, "low");
        p.high[i] = number_of(point, "high");
    }
    for (size_t i = 0; i < n_forecasts && whole; i++) {
        const json_t *point = json_array_get(forecasts, i);
        f.x[i] = number_of(point, "rows");
        f.y[i] = number_of(point, "score");
        f.low[i] = number_of(point, "low");
        f.high[i] = number_of(point, "high");
    }
    hone_line_chart chart = {.title = "Score by number of rows",
                             .description = "Rings: measured, with 95 % intervals. Dashed: the power law through them, "
                                            "and what it says for twice and four times the rows.",
                             .x_name = "training rows (logarithmic)",
                             .from_zero = true,
                             .logarithmic_x = true,
                             .top = 1,
                             .mark = NAN,
                             .series = {{"chosen", true, true, p.x, p.y, p.low, p.high, n}},
                             .n_series = 1};
    if (n_forecasts && json_is_object(fit) && n && p.x[0] > 0) {
        hone_power_law law = {number_of(fit, "a"), number_of(fit, "b"), number_of(fit, "c")};
        for (size_t i = 0; i < LAW_POINTS; i++) {
            law_x[i] = p.x[0] * pow(f.x[n_forecasts - 1] / p.x[0], (double)i / (LAW_POINTS - 1));
            law_y[i] = 1 - hone_power_law_at(law, law_x[i]);
        }
        chart.series[1] = (hone_chart_series){"other", false, true, law_x, law_y, NULL, NULL, LAW_POINTS};
        chart.series[2] = (hone_chart_series){"rest", true, false, f.x, f.y, f.low, f.high, n_forecasts};
        chart.n_series = 3;
    }
    if (whole && n && p.x[0] > 0)
        hone_line_chart_draw(r->b, &chart);
    points_free(&p);
    points_free(&f);
}

/* Each point's runs, where there are several. */
static void curve_seeds(const report *r)
{
    size_t i, j;
    json_t *point, *run;
    raw(r, "<table class=\"rows\"><thead><tr><th scope=\"col\" class=\"n\">rows</th><th scope=\"col\" "
           "class=\"n\">mean score</th><th scope=\"col\" class=\"n\">standard deviation</th><th scope=\"col\" "
           "class=\"name\">each seed</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(r->curve, "points"), i, point)
    {
        raw(r, "<tr>");
        cell(r, "n", hone_number_count(number_of(point, "rows")).text);
        cell(r, "n", hone_number_score(number_of(point, "score")).text);
        cell(r, "n", hone_number_score(number_of(point, "standard_deviation")).text);
        raw(r, "<td>");
        json_array_foreach(json_object_get(point, "runs"), j, run)
            say(r, "%s%s", j ? ", " : "", hone_number_score(number_of(run, "score")).text);
        raw(r, "</td></tr>\n");
    }
    raw(r, "</tbody></table>\n");
}

static void curve(const report *r)
{
    double seeds = number_of(r->curve, "seeds");
    const json_t *forecasts = json_object_get(r->curve, "forecasts");
    size_t i;
    json_t *f;
    if (!json_array_size(json_object_get(r->curve, "points")))
        return;
    raw(r,
        "<h2 id=\"curve\">Learning curve</h2>\n<p>The same training on growing parts of the rows, judged by the same "
        "held-out rows. Small parts are gone through more often, so that they are learned at all.");
    if (seeds > 1)
        say(r, " Each part was trained with %.0f seeds; a point is their mean, and its interval covers rows and seeds.",
            seeds);
    raw(r, "</p>\n");
    draw_curve(r, forecasts);
    if (seeds > 1)
        curve_seeds(r);
    json_array_foreach(forecasts, i, f)
    {
        raw(r, "<p>");
        say(r,
            "With %s rows about %.2f (95 %% of the resamples: %.2f to %.2f). The chance that this gains more than "
            "%.0f points is %.0f %%.",
            hone_number_count(number_of(f, "rows")).text, number_of(f, "score"), number_of(f, "low"),
            number_of(f, "high"), 100 * number_of(r->curve, "delta"), 100 * number_of(f, "p_gain"));
        raw(r, "</p>\n");
    }
    if (text_of(r->curve, "note")[0]) {
        raw(r, "<p>");
        say(r, "No forecast: %s.", text_of(r->curve, "note"));
        raw(r, "</p>\n");
    } else {
        raw(r, "<p class=\"small\">One law through a few points is a rough guide; nothing is said about more than four "
               "times the rows. ");
        raw(r, seeds > 1 ? "The ranges come from drawing held-out rows and seeds again.</p>\n"
                         : "The ranges come from drawing held-out rows again; with one seed the luck of a training is "
                           "not in them.</p>\n");
    }
}

/* Samples and rows ------------------------------------------------------------------------------------------------ */

static void answer_row(const report *r, const char *when, const char *answer, int right)
{
    raw(r, "<tr><td>");
    text(r, when);
    raw(r, "</td><td><span class=\"t\">");
    hone_html_block(r->b, answer);
    hone_buffer_printf(r->b, "</span></td><td class=\"%s\">%s</td></tr>\n",
                       right > 0   ? "yes"
                       : right < 0 ? ""
                                   : "no",
                       right > 0   ? "✓ right"
                       : right < 0 ? ""
                                   : "✗ wrong");
}

static void sample(const report *r, size_t index)
{
    const hone_train_history *h = &r->history;
    const json_t *first = json_array_get(h->scores[0].samples, index);
    char when[64];
    raw(r, "<div class=\"sample\"><p><span class=\"small\">");
    say(r, "line %.0f", number_of(first, "line"));
    raw(r, "</span> <span class=\"t\">");
    hone_html_block(r->b, text_of(first, "input"));
    raw(r, "</span></p>\n<table><tbody>\n");
    answer_row(r, "reference", text_of(first, "reference"), -1);
    answer_row(r, "before", text_of(first, "base"),
               strcmp(text_of(first, "base"), text_of(first, "reference")) == 0 ? 1 : 0);
    size_t shown = h->n_scores < MOST_SHOWN_SCORES ? h->n_scores : MOST_SHOWN_SCORES;
    for (size_t k = 0; k < shown; k++) {
        const hone_history_score *s = &h->scores[shown > 1 ? k * (h->n_scores - 1) / (shown - 1) : 0];
        const json_t *answered = json_array_get(s->samples, index);
        snprintf(when, sizeof when, "step %lld%s", (long long)s->step, s->step == kept_step(r) ? ", kept" : "");
        answer_row(r, when, text_of(answered, "answer"), json_is_true(json_object_get(answered, "right")));
    }
    raw(r, "</tbody></table></div>\n");
}

static void samples(const report *r)
{
    const hone_train_history *h = &r->history;
    if (!h->n_scores || !json_array_size(h->scores[0].samples))
        return;
    raw(r,
        "<h2 id=\"samples\">Sample answers over time</h2>\n<p>Rows that were held out, chosen beforehand by the seed; "
        "\"before\" is the model without the adapter.</p>\n");
    for (size_t i = 0; i < json_array_size(h->scores[0].samples); i++)
        sample(r, i);
}

static void rows_that_never_fit(const report *r)
{
    size_t i, j;
    json_t *warning, *row;
    json_array_foreach(json_object_get(r->record, "warnings"), i, warning)
    {
        const json_t *rows = json_object_get(warning, "rows");
        if (!json_array_size(rows))
            continue;
        raw(r,
            "<h2 id=\"rows\">Rows that are hardly learned</h2>\n<p>Wrong answers in the data look like this, and so do "
            "rows that are hard or rare. The worst come first.</p>\n");
        raw(r, "<table class=\"rows\"><thead><tr><th scope=\"col\" class=\"n\">line</th><th scope=\"col\" "
               "class=\"n\">loss</th><th scope=\"col\" class=\"name\">answer in the data</th><th scope=\"col\" "
               "class=\"name\">input</th></tr></thead><tbody>\n");
        json_array_foreach(rows, j, row)
        {
            if (j == MOST_SHOWN_ROWS)
                break;
            raw(r, "<tr>");
            cell(r, "n", hone_number_count(number_of(row, "line")).text);
            cell(r, "n", hone_number_score(number_of(row, "loss")).text);
            cell(r, NULL, text_of(row, "answer"));
            cell(r, NULL, text_of(row, "input"));
            raw(r, "</tr>\n");
        }
        raw(r, "</tbody></table>\n");
        if (json_array_size(rows) > MOST_SHOWN_ROWS) {
            raw(r, "<p class=\"small\">");
            say(r, "%zu more are in hone.json.", json_array_size(rows) - MOST_SHOWN_ROWS);
            raw(r, "</p>\n");
        }
    }
}

/* Head, summary, record ------------------------------------------------------------------------------------------- */

static void definition(const report *r, const char *term, const char *value)
{
    if (!value[0])
        return;
    hone_buffer_printf(r->b, "<dt>%s</dt><dd><code>", term);
    text(r, value);
    raw(r, "</code></dd>\n");
}

static void headline(const report *r, char *out, size_t size)
{
    const json_t *result = json_object_get(r->record, "result");
    double score = number_of(result, "best_score"), n = number_of(r->record, "select_rows");
    const hone_history_score *kept = kept_score(r);
    if (kept && kept->n > 0) /* of a row there may be several answers, or none that is whole */
        n = (double)kept->n;
    if (isfinite(score) && n > 0)
        snprintf(out, size, "%.3f of %.0f held-out rows answered exactly", score, n);
    else if (isfinite(score))
        snprintf(out, size, "%.3f of the held-out rows answered exactly", score);
    else
        snprintf(out, size, "trained for %.0f steps, final loss %.3f", number_of(result, "steps"),
                 number_of(result, "final_loss"));
}

/* What its epochs would take; records of before have only what was planned, or what was done. */
static double all_steps(const json_t *result)
{
    static const char *const names[] = {"whole_steps", "planned_steps", "steps"};
    size_t i = 0;
    while (i < 2 && !isfinite(number_of(result, names[i])))
        i++;
    return number_of(result, names[i]);
}

static void facts(const report *r)
{
    const json_t *result = json_object_get(r->record, "result");
    double rate = number_of(result, "tokens") / number_of(result, "seconds");
    const char *called = text_of(r->record, "method");
    char method[48] = "full fine-tuning";
    if (strcmp(called, hone_train_method_name(HONE_METHOD_FULL)) != 0)
        snprintf(method, sizeof method, "%.8s rank %.16s", called[0] ? called : "LoRA", setting(r, "rank").text);
    raw(r, "<p class=\"facts\">");
    say(r, "%s · %s examples · %s of %s steps in %s · %s tokens/s · %s, learning rate %s, %s",
        file_name(text_of(r->record, "model")), hone_number_count(number_of(r->record, "examples")).text,
        hone_number_count(number_of(result, "steps")).text, hone_number_count(all_steps(result)).text,
        hone_number_seconds(number_of(result, "seconds")).text,
        isfinite(rate) ? hone_number_count(round(rate)).text : "–", method, setting(r, "learning_rate").text,
        text_of(r->record, "schedule"));
    raw(r, "</p>\n");
}

static void summary(const report *r)
{
    const hone_history_score *kept = kept_score(r);
    const json_t *result = json_object_get(r->record, "result"), *warnings = json_object_get(r->record, "warnings");
    size_t i;
    json_t *warning;
    raw(r, "<section class=\"verdict\" id=\"summary\" aria-label=\"Summary\"><dl>");
    if (kept && kept->n > 0) {
        hone_interval ci =
            hone_wilson_interval((int64_t)llround(fmin(fmax(kept->score, 0), 1) * (double)kept->n), kept->n, 0.05);
        raw(r, "<dt>kept</dt><dd>");
        say(r,
            "the checkpoint of step %lld: %.3f of %lld held-out rows (95 %% interval %s). It was chosen by these rows, "
            "so expect a little less on new ones.",
            (long long)kept->step, kept->score, (long long)kept->n, hone_number_interval(ci.low, ci.high).text);
        raw(r, "</dd>\n");
    } else if (!kept) {
        raw(r, "<dt>kept</dt><dd>the last step; no rows were held out, so nothing says how well it answers.</dd>\n");
    }
    if (number_of(result, "whole_steps") > number_of(result, "planned_steps")) {
        raw(r, "<dt>limited</dt><dd>");
        say(r, "to %s of the %s steps that %s epochs take, by the limit of time or steps that was given.",
            hone_number_count(number_of(result, "planned_steps")).text,
            hone_number_count(number_of(result, "whole_steps")).text, setting(r, "epochs").text);
        raw(r, "</dd>\n");
    }
    if (number_of(result, "planned_steps") > number_of(result, "steps"))
        raw(r, "<dt>ended</dt><dd>early: scores did not get better.</dd>\n");
    if (kept && isfinite(kept->perplexity) && isfinite(kept->base_perplexity)) {
        raw(r, "<dt>keeps</dt><dd>");
        say(r, "perplexity on ordinary text %.3g (%.3g before training)", kept->perplexity, kept->base_perplexity);
        if (isfinite(kept->kl))
            say(r, "; KL(base ‖ tuned) on held-out prompts %.2f nats a token", kept->kl);
        raw(r, ".</dd>\n");
    }
    raw(r, "<dt>seeds</dt><dd>");
    if (json_object_get(r->record, "seeds"))
        raw(r, "<a href=\"#seeds\">several, with their spread</a></dd>\n");
    else
        say(r, "one (%s): how much another seed would change the score is not known.", setting(r, "seed").text);
    raw(r, "</dd>\n");
    if (json_array_size(warnings)) {
        hone_buffer_printf(r->b, "<dt>note%s</dt><dd><ul>", json_array_size(warnings) == 1 ? "" : "s");
        json_array_foreach(warnings, i, warning)
        {
            raw(r, "<li>");
            text(r, text_of(warning, "text"));
            raw(r, ".</li>");
        }
        raw(r, "</ul></dd>\n");
    }
    raw(r, "<dt>next</dt><dd class=\"commands\"><code>");
    say(r, "hone run -m %s --adapter %s", text_of(r->record, "model"), r->folder);
    raw(r, "</code><code>");
    say(r, "hone serve -m %s --adapter %s=%s", text_of(r->record, "model"), file_name(r->folder), r->folder);
    raw(r, "</code></dd></dl></section>\n");
}

static void reproduce(const report *r)
{
    const json_t *o = r->record;
    char line[256];
    raw(r,
        "<h2 id=\"record\">Reproduce</h2>\n<p>The same command with the same files gives the same adapter to the bit, "
        "on any number of threads");
    if (number_of(o, "max_seconds") > 0 || number_of(json_object_get(o, "search"), "max_steps") > 0)
        raw(r, "; the time limit made the number of steps depend on this machine's speed");
    raw(r, ".</p>\n<div class=\"record\"><dl>");
    if (text_of(o, "command")[0]) {
        raw(r, "<dt>command</dt><dd><code id=\"command\">");
        text(r, text_of(o, "command"));
        raw(r, "</code><br><button type=\"button\" id=\"copy-command\" hidden>Copy the command</button></dd>\n");
    }
    snprintf(line, sizeof line,
             "rank %.16s, alpha %.16s%s, layers %.60s, learning rate %.16s, schedule %.20s, warm-up %.16s",
             setting(r, "rank").text, setting(r, "alpha").text,
             json_is_true(json_object_get(o, "rslora")) ? " (rsLoRA)" : "", text_of(o, "targets"),
             setting(r, "learning_rate").text, text_of(o, "schedule"), setting(r, "warmup_fraction").text);
    definition(r, "settings", line);
    snprintf(line, sizeof line,
             "epochs %.16s, batch %.16s, clipping %.16s, weight decay %.16s, B learns %.16s times as fast, seed %.20s",
             setting(r, "epochs").text, setting(r, "batch").text, setting(r, "clip_norm").text,
             setting(r, "weight_decay").text, setting(r, "b_rate_ratio").text, setting(r, "seed").text);
    definition(r, "more settings", line);
    definition(r, "system message", text_of(o, "description"));
    definition(r, "model", text_of(o, "model"));
    definition(r, "model sha256", text_of(o, "base_sha256"));
    definition(r, "data", text_of(o, "data"));
    definition(r, "data sha256", text_of(o, "data_sha256"));
    definition(r, "template sha256", text_of(o, "template_sha256"));
    snprintf(line, sizeof line, "%.20s, %.20s", text_of(o, "numerics_class"), text_of(o, "instruction_set"));
    definition(r, "numerics", line);
    definition(r, "hone", text_of(o, "hone_version"));
    definition(r, "finished", text_of(o, "finished"));
    raw(r, "</dl></div>\n");
}

static void page(const report *r)
{
    char words[192];
    headline(r, words, sizeof words);
    hone_html_head(r->b, text_of(r->record, "hone_version"), file_name(r->folder), words);
    raw(r,
        "<body><a class=\"skip\" href=\"#summary\">Skip to the summary</a>\n<main>\n<header><p class=\"kicker\">hone "
        "training · ");
    text(r, text_of(r->record, "finished"));
    raw(r, "</p>\n<h1>");
    hone_html_isolated(r->b, file_name(r->folder));
    raw(r, ": ");
    text(r, words);
    raw(r, "</h1>\n");
    facts(r);
    raw(r, "</header>\n");
    summary(r);
    charts(r);
    search(r);
    seeds(r);
    curve(r);
    samples(r);
    rows_that_never_fit(r);
    reproduce(r);
    raw(r, "<footer>Made by hone ");
    text(r, text_of(r->record, "hone_version"));
    raw(r, ". This file loads nothing and sends nothing.</footer>\n</main>\n<script>");
    raw(r, hone_html_script);
    raw(r, "</script></body></html>\n");
}

static json_t *read_json(const char *folder, const char *name)
{
    char *path = hone_path_join(folder, name);
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    free(path);
    return json;
}

hone_status hone_training_html(const char *folder, hone_buffer *out, hone_error *err)
{
    size_t length = strlen(folder);
    char *name = strndup(folder, length > 1 && folder[length - 1] == '/' ? length - 1 : length);
    report r = {.folder = name, .record = read_json(folder, "hone.json"), .b = out};
    hone_status status = name ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && !r.record)
        status = hone_fail(err, HONE_NOT_FOUND, "%s: no hone.json of a finished training here", folder);
    else if (status == HONE_OK && !json_is_object(json_object_get(r.record, "result")))
        status = hone_fail(err, HONE_BAD_FORMAT, "%s/hone.json: not the record of a training", folder);
    if (status == HONE_OK) {
        status = hone_train_history_read(folder, &r.history, err);
        status = status == HONE_NOT_FOUND ? HONE_OK : status;
    }
    if (status == HONE_OK) {
        r.curve = read_json(folder, "curve.json");
        page(&r);
        if (out->failed)
            status = hone_fail(err, HONE_NO_MEMORY, "no memory for the report");
    }
    hone_train_history_clear(&r.history);
    json_decref(r.record);
    json_decref(r.curve);
    free(name);
    return status;
}
