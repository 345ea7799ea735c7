/* learning_curve.c - for each exponent the best a and b are a linear problem with two unknowns that may not be
 * negative; the exponent is found on a grid and then by golden sections. */
#include "stats/learning_curve.h"

#include "base/rng.h"
#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>

enum { GRID = 48, GOLDEN_STEPS = 60 };
static const double least_exponent = 0.05, greatest_exponent = 3;

typedef struct problem {
    const double *sizes, *errors, *weights;
    size_t n;
} problem;

double hone_power_law_at(hone_power_law law, double n)
{
    return law.a + law.b * pow(n, -law.c);
}

static double residual(const problem *p, hone_power_law law)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        double d = p->errors[i] - hone_power_law_at(law, p->sizes[i]);
        sum += p->weights[i] * d * d;
    }
    return sum;
}

/* The best a and b for an exponent: the unbounded solution where it is allowed, else the better of the two edges. */
static hone_power_law fit_linear(const problem *p, double c, double *left)
{
    double w = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (size_t i = 0; i < p->n; i++) {
        double u = pow(p->sizes[i], -c), k = p->weights[i];
        w += k;
        x += k * u;
        y += k * p->errors[i];
        xx += k * u * u;
        xy += k * u * p->errors[i];
    }
    double determinant = w * xx - x * x;
    hone_power_law law = {0, 0, c};
    if (determinant > 0) {
        law.b = (w * xy - x * y) / determinant;
        law.a = (y - law.b * x) / w;
    }
    if (!(determinant > 0) || law.a < 0 || law.b < 0) {
        hone_power_law flat = {fmax(y / w, 0), 0, c}, to_zero = {0, fmax(xy / xx, 0), c};
        law = residual(p, flat) < residual(p, to_zero) ? flat : to_zero;
    }
    *left = residual(p, law);
    return law;
}

hone_power_law hone_power_law_fit(const double *sizes, const double *errors, const double *weights, size_t n)
{
    const problem p = {sizes, errors, weights, n};
    const double golden = 0.6180339887498949, range = log(greatest_exponent / least_exponent);
    double best_left = INFINITY, left;
    int best = 0;
    for (int i = 0; i <= GRID; i++) {
        fit_linear(&p, least_exponent * exp(range * i / GRID), &left);
        if (left < best_left) {
            best_left = left;
            best = i;
        }
    }
    double low = fmax(0, best - 1), high = fmin(GRID, best + 1); /* in steps of the grid */
    for (int i = 0; i < GOLDEN_STEPS; i++) {
        double u = high - golden * (high - low), v = low + golden * (high - low), at_u, at_v;
        fit_linear(&p, least_exponent * exp(range * u / GRID), &at_u);
        fit_linear(&p, least_exponent * exp(range * v / GRID), &at_v);
        if (at_u < at_v)
            high = v;
        else
            low = u;
    }
    hone_power_law law = fit_linear(&p, least_exponent * exp(range * 0.5 * (low + high) / GRID), &left);
    if (left <= best_left)
        return law;
    return fit_linear(&p, least_exponent * exp(range * best / GRID), &left);
}

/* errors [n_sizes][n_seeds] of the items drawn (NULL: each once). */
static void mean_errors(const hone_curve_scores *c, const size_t *drawn, double *errors)
{
    for (size_t run = 0; run < c->n_sizes * c->n_seeds; run++) {
        double sum = 0;
        for (size_t i = 0; i < c->n_items; i++)
            sum += c->scores[run * c->n_items + (drawn ? drawn[i] : i)];
        errors[run] = 1 - sum / (double)c->n_items;
    }
}

/* The mean over seeds drawn with replacement, moved away from the mean over all: n drawings of n have a variance too
 * small by (n - 1)/n, which for a few seeds is much (Rao & Wu 1988, JASA 83:231). Each size draws for itself, since its
 * trainings have nothing to do with those of another. resample 0: the mean over all. */
static void mean_over_seeds(const hone_curve_scores *c, const double *errors, uint64_t seed, size_t resample,
                            double *points)
{
    double n = (double)c->n_seeds, stretch = c->n_seeds > 1 ? sqrt(n / (n - 1)) : 0;
    for (size_t p = 0; p < c->n_sizes; p++) {
        const double *of = errors + p * c->n_seeds;
        double mean = hone_mean(of, c->n_seeds), sum = 0;
        for (size_t k = 0; k < c->n_seeds && resample > 0 && stretch > 0; k++)
            sum += of[hone_rng_below((hone_rng_key){seed, HONE_RNG_SEED_SPREAD, (uint32_t)p}, resample * c->n_seeds + k,
                                     c->n_seeds)] -
                   mean;
        points[p] = mean + stretch * sum / n;
    }
}

static void summarise(hone_curve_forecast *f, const double *errors, const double *gains, double delta)
{
    double above = 0;
    hone_quantile(errors, HONE_CURVE_RESAMPLES, 0.025, &f->low, NULL);
    hone_quantile(errors, HONE_CURVE_RESAMPLES, 0.975, &f->high, NULL);
    for (size_t r = 0; r < HONE_CURVE_RESAMPLES; r++)
        above += gains[r] > delta;
    f->p_gain = above / HONE_CURVE_RESAMPLES;
}

static hone_status check_scores(const hone_curve_scores *c, hone_error *err)
{
    if (c->n_sizes < HONE_CURVE_LEAST_SIZES || c->n_seeds < 1 || c->n_items < 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%zu sizes, %zu seeds and %zu judged rows; a curve needs %d sizes, a seed and a row",
                         c->n_sizes, c->n_seeds, c->n_items, HONE_CURVE_LEAST_SIZES);
    for (size_t p = 0; p < c->n_sizes; p++)
        if (!(c->sizes[p] >= 1) || (p && !(c->sizes[p] > c->sizes[p - 1])))
            return hone_fail(err, HONE_BAD_INPUT, "the sizes of a curve must rise");
    for (size_t i = 0; i < c->n_sizes * c->n_seeds * c->n_items; i++)
        if (!(c->scores[i] >= 0 && c->scores[i] <= 1))
            return hone_fail(err, HONE_BAD_INPUT, "a curve's scores lie between 0 and 1");
    return HONE_OK;
}

hone_status hone_learning_curve_fit(const hone_curve_scores *c, double delta, uint64_t seed, hone_learning_curve *out,
                                    hone_error *err)
{
    enum { FORECASTS = 2 };
    hone_status status = check_scores(c, err);
    if (status != HONE_OK)
        return status;
    double *errors = calloc(c->n_sizes * c->n_seeds, sizeof *errors), *points = calloc(c->n_sizes, sizeof *points);
    double *resampled[FORECASTS], *gains[FORECASTS], largest = c->sizes[c->n_sizes - 1];
    size_t *drawn = calloc(c->n_items, sizeof *drawn);
    bool whole = errors && points && drawn;
    for (int f = 0; f < FORECASTS; f++) {
        resampled[f] = calloc(HONE_CURVE_RESAMPLES, sizeof(double));
        gains[f] = calloc(HONE_CURVE_RESAMPLES, sizeof(double));
        whole = whole && resampled[f] && gains[f];
    }
    if (!whole)
        goto done;
    mean_errors(c, NULL, errors);
    mean_over_seeds(c, errors, seed, 0, points);
    out->law = hone_power_law_fit(c->sizes, points, c->sizes, c->n_sizes);
    for (int f = 0; f < FORECASTS; f++) {
        hone_curve_forecast *forecast = &out->forecasts[f];
        forecast->size = largest * (f ? 4 : 2);
        forecast->error = hone_power_law_at(out->law, forecast->size);
        forecast->gain = hone_power_law_at(out->law, largest) - forecast->error;
    }
    for (size_t r = 0; r < HONE_CURVE_RESAMPLES; r++) {
        for (size_t i = 0; i < c->n_items; i++)
            drawn[i] =
                (size_t)hone_rng_below((hone_rng_key){seed, HONE_RNG_BOOTSTRAP, 1}, r * c->n_items + i, c->n_items);
        mean_errors(c, drawn, errors);
        mean_over_seeds(c, errors, seed, r + 1, points);
        hone_power_law law = hone_power_law_fit(c->sizes, points, c->sizes, c->n_sizes);
        for (int f = 0; f < FORECASTS; f++) {
            resampled[f][r] = hone_power_law_at(law, out->forecasts[f].size);
            gains[f][r] = hone_power_law_at(law, largest) - resampled[f][r];
        }
    }
    for (int f = 0; f < FORECASTS; f++)
        summarise(&out->forecasts[f], resampled[f], gains[f], delta);
done:
    for (int f = 0; f < FORECASTS; f++) {
        free(resampled[f]);
        free(gains[f]);
    }
    free(errors);
    free(points);
    free(drawn);
    return whole ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}
