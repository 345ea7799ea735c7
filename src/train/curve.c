/* curve.c - trainings on growing parts of the rows, and the law that is fitted to their scores. */
#include "train/curve.h"

#include "base/file.h"
#include "stats/bootstrap.h"
#include "stats/learning_curve.h"
#include "stats/summary.h"
#include "train/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PART = 25, MOST_SIZES = 64 };
static const double gain_delta = 0.02; /* what a person would take trouble for: two points */

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

size_t hone_curve_sizes(size_t n_rows, size_t *sizes, size_t most)
{
    size_t n = 0;
    for (size_t size = FIRST_PART; size < n_rows && n + 1 < most; size *= 2)
        sizes[n++] = size;
    if (n && 4 * sizes[n - 1] > 3 * n_rows) /* too near the whole to tell anything */
        n--;
    sizes[n++] = n_rows;
    return n;
}

double hone_curve_epochs(double epochs, size_t n_examples, int batch)
{
    const double most = 25;
    double per_epoch = ceil((double)n_examples / (double)batch), wanted = HONE_CURVE_LEAST_STEPS / per_epoch;
    return fmax(epochs, fmin(most, wanted));
}

/* What the held-out rows were answered at the kept checkpoint of a finished run. */
static hone_status read_right(const char *folder, int64_t best_step, char **right, hone_error *err)
{
    hone_train_history h;
    hone_status status = hone_train_history_read(folder, &h, err);
    *right = NULL;
    for (size_t i = 0; i < h.n_scores && status == HONE_OK; i++)
        if (h.scores[i].step == best_step)
            *right = strdup(h.scores[i].right);
    hone_train_history_clear(&h);
    if (status == HONE_OK && !*right)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: metrics.jsonl lacks the score of step %lld", folder,
                           (long long)best_step);
    return status;
}

/* Where the training of a part with a seed lies: the whole one is the run of hone_train_seeds, or of hone_train. */
static char *run_folder(const hone_series *s, int n_seeds, uint64_t seed, size_t rows, bool whole)
{
    char name[80];
    if (whole && n_seeds == 1)
        return strdup(s->options.folder);
    if (whole)
        snprintf(name, sizeof name, "seed-%llu", (unsigned long long)seed);
    else
        snprintf(name, sizeof name, "curve/%zu/seed-%llu", rows, (unsigned long long)seed);
    return hone_path_join(s->options.folder, name);
}

/* Trains a part with one seed, or finds that this was done. *run: {"seed", "score", "steps", "right"}. */
static hone_status train_part(const hone_series *s, hone_train_options *o, const char *called, size_t n_examples,
                              json_t **run, double *seconds, hone_error *err)
{
    hone_train_result r;
    char *right = NULL;
    hone_status status = hone_series_train(s, called, n_examples, o, NULL, 0, &r, NULL, err);
    if (status == HONE_OK)
        status = read_right(o->folder, r.best_step, &right, err);
    if (status == HONE_OK) {
        *run = json_pack("{s:I, s:f, s:I, s:s}", "seed", (json_int_t)o->seed, "score", r.best_score, "steps",
                         (json_int_t)r.steps, "right", right);
        *seconds += r.seconds + r.score_seconds;
        status = *run ? HONE_OK : no_memory(err);
    }
    free(right);
    return status;
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* Scores [n_seeds][n_items] of a point's runs, 1 for each item that was answered right. */
static hone_status read_scores(const json_t *point, size_t n_items, double *scores, hone_error *err)
{
    size_t k;
    json_t *run;
    json_array_foreach(json_object_get(point, "runs"), k, run)
    {
        const char *right = json_string_value(json_object_get(run, "right"));
        if (!right || strlen(right) != n_items)
            return hone_fail(err, HONE_BAD_FORMAT, "the parts of the curve were judged by different rows");
        for (size_t i = 0; i < n_items; i++)
            scores[k * n_items + i] = right[i] == '1';
    }
    return HONE_OK;
}

static size_t items_of(const json_t *point)
{
    const char *right = json_string_value(json_object_get(json_array_get(json_object_get(point, "runs"), 0), "right"));
    return right ? strlen(right) : 0;
}

/* Mean, spread over the seeds, and a 95 % interval: Wilson's for one seed, else that of rows and seeds together
 * (stats/bootstrap.h). */
static hone_status describe_point(json_t *point, uint64_t seed, hone_error *err)
{
    size_t n_seeds = json_array_size(json_object_get(point, "runs")), n = items_of(point);
    double of_seed[HONE_SERIES_MOST_SEEDS], *scores = calloc(n_seeds * n + 1, sizeof *scores),
                                            *rows = calloc(n + 1, sizeof *rows);
    hone_bootstrap *bootstrap = NULL;
    hone_interval ci;
    hone_status status = scores && rows ? read_scores(point, n, scores, err) : no_memory(err);
    if (status == HONE_OK && n == 0)
        status = hone_fail(err, HONE_BAD_FORMAT, "metrics.jsonl does not say which held-out rows were answered right");
    if (status != HONE_OK)
        goto done;
    for (size_t k = 0; k < n_seeds; k++) {
        of_seed[k] = hone_mean(scores + k * n, n);
        for (size_t i = 0; i < n; i++)
            rows[i] += scores[k * n + i] / (double)n_seeds;
    }
    double mean = hone_mean(of_seed, n_seeds);
    if (n_seeds == 1)
        ci = hone_wilson_interval(llround(mean * (double)n), (int64_t)n, 0.05);
    else {
        if ((status = hone_bootstrap_mean(rows, NULL, n, 0, seed, &bootstrap, err)) != HONE_OK)
            goto done;
        hone_bootstrap_add_seed_error(bootstrap, hone_seed_error_of(of_seed, n_seeds), seed, 0);
        ci = hone_bootstrap_interval(bootstrap, 0.05);
    }
    json_object_set_new(point, "score", json_real(mean));
    json_object_set_new(point, "standard_deviation", real_or_null(hone_standard_deviation(of_seed, n_seeds)));
    json_object_set_new(point, "low", json_real(fmax(ci.low, 0)));
    json_object_set_new(point, "high", json_real(fmin(ci.high, 1)));
done:
    hone_bootstrap_free(bootstrap);
    free(scores);
    free(rows);
    return status;
}

/* A part with each of the seeds. */
static hone_status train_point(const hone_series *s, int n_seeds, size_t rows, size_t n_examples, bool whole,
                               json_t **point, hone_error *err)
{
    hone_train_options o = s->options;
    double seconds = 0;
    json_t *runs = json_array();
    hone_status status = runs ? HONE_OK : no_memory(err);
    if (!whole)
        o.epochs = hone_curve_epochs(o.epochs, n_examples, o.batch);
    for (int i = 0; i < n_seeds && status == HONE_OK; i++) {
        char called[64];
        json_t *run = NULL;
        o.seed = s->options.seed + (uint64_t)i;
        char *folder = run_folder(s, n_seeds, o.seed, rows, whole);
        o.folder = folder;
        snprintf(called, sizeof called, n_seeds > 1 ? "%zu rows, seed %llu" : "%zu rows", rows,
                 (unsigned long long)o.seed);
        status = folder ? train_part(s, &o, called, n_examples, &run, &seconds, err) : no_memory(err);
        if (status == HONE_OK && json_array_append_new(runs, run) != 0)
            status = no_memory(err);
        free(folder);
    }
    *point = NULL;
    if (status == HONE_OK && !(*point = json_pack("{s:I, s:f, s:f, s:O}", "rows", (json_int_t)rows, "epochs", o.epochs,
                                                  "seconds", seconds, "runs", runs)))
        status = no_memory(err);
    json_decref(runs);
    if (status == HONE_OK)
        status = describe_point(*point, s->options.seed, err);
    if (status != HONE_OK) {
        json_decref(*point);
        *point = NULL;
    }
    return status;
}

static void describe_forecasts(const hone_learning_curve *curve, json_t *record)
{
    json_t *list = json_array();
    for (size_t f = 0; f < 2; f++) {
        const hone_curve_forecast *x = &curve->forecasts[f];
        json_array_append_new(list,
                              json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "rows", x->size, "score", 1 - x->error, "low",
                                        1 - x->high, "high", 1 - x->low, "gain", x->gain, "p_gain", x->p_gain));
    }
    json_object_set_new(record, "fit",
                        json_pack("{s:f, s:f, s:f}", "a", curve->law.a, "b", curve->law.b, "c", curve->law.c));
    json_object_set_new(record, "forecasts", list);
}

static hone_status fit_points(json_t *record, size_t n_seeds, uint64_t seed, hone_error *err)
{
    const json_t *points = json_object_get(record, "points");
    size_t n = json_array_size(points), n_items = items_of(json_array_get(points, 0));
    double sizes[MOST_SIZES], *scores = calloc(n * n_seeds * n_items + 1, sizeof *scores);
    const hone_curve_scores all = {sizes, scores, n, n_seeds, n_items};
    hone_learning_curve curve;
    hone_status status = scores ? HONE_OK : no_memory(err);
    for (size_t p = 0; p < n && status == HONE_OK; p++) {
        const json_t *point = json_array_get(points, p);
        sizes[p] = json_number_value(json_object_get(point, "rows"));
        status = read_scores(point, n_items, scores + p * n_seeds * n_items, err);
    }
    if (status == HONE_OK)
        status = hone_learning_curve_fit(&all, gain_delta, seed, &curve, err);
    if (status == HONE_OK)
        describe_forecasts(&curve, record);
    free(scores);
    return status;
}

hone_status hone_train_curve(const hone_series *s, int n_seeds, const size_t *row_of, json_t **record, hone_error *err)
{
    size_t sizes[MOST_SIZES], n_rows = s->n_examples ? row_of[s->n_examples - 1] + 1 : 0;
    size_t n_sizes = hone_curve_sizes(n_rows, sizes, MOST_SIZES);
    *record = NULL;
    hone_status status = hone_series_check(s, n_seeds, err);
    if (status == HONE_OK && !(*record = json_pack("{s:[], s:f, s:I, s:i}", "points", "delta", gain_delta, "seed",
                                                   (json_int_t)s->options.seed, "seeds", n_seeds)))
        return no_memory(err);
    for (size_t i = 0, n = 0; i < n_sizes && status == HONE_OK; i++) {
        json_t *point = NULL;
        while (n < s->n_examples && row_of[n] < sizes[i])
            n++;
        status = train_point(s, n_seeds, sizes[i], n, i + 1 == n_sizes, &point, err);
        if (status == HONE_OK && json_array_append_new(json_object_get(*record, "points"), point) != 0)
            status = no_memory(err);
    }
    if (status == HONE_OK && n_sizes >= HONE_CURVE_LEAST_SIZES)
        status = fit_points(*record, (size_t)n_seeds, s->options.seed, err);
    else if (status == HONE_OK)
        json_object_set_new(*record, "note", json_string("a forecast takes four sizes, so about 150 training rows"));
    if (status == HONE_OK)
        status = hone_series_write_json(s->options.folder, "curve.json", *record, err);
    if (status != HONE_OK) {
        json_decref(*record);
        *record = NULL;
    }
    return status;
}
