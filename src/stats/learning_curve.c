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

static void mean_errors(const double *scores, size_t n_sizes, size_t n_items, const size_t *drawn, double *errors)
{
    for (size_t s = 0; s < n_sizes; s++) {
        double sum = 0;
        for (size_t i = 0; i < n_items; i++)
            sum += scores[s * n_items + (drawn ? drawn[i] : i)];
        errors[s] = 1 - sum / (double)n_items;
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

hone_status hone_learning_curve_fit(const double *sizes, size_t n_sizes, const double *scores, size_t n_items,
                                    double delta, uint64_t seed, hone_learning_curve *out, hone_error *err)
{
    enum { FORECASTS = 2 };
    if (n_sizes < HONE_CURVE_LEAST_SIZES || n_items < 1)
        return hone_fail(err, HONE_BAD_INPUT, "%zu sizes and %zu judged rows; a curve needs %d sizes and a row",
                         n_sizes, n_items, HONE_CURVE_LEAST_SIZES);
    for (size_t s = 0; s < n_sizes; s++)
        if (!(sizes[s] >= 1) || (s && !(sizes[s] > sizes[s - 1])))
            return hone_fail(err, HONE_BAD_INPUT, "the sizes of a curve must rise");
    double *errors = calloc(n_sizes, sizeof *errors), *resampled[FORECASTS], *gains[FORECASTS];
    size_t *drawn = calloc(n_items, sizeof *drawn);
    bool whole = errors && drawn;
    for (int f = 0; f < FORECASTS; f++) {
        resampled[f] = calloc(HONE_CURVE_RESAMPLES, sizeof(double));
        gains[f] = calloc(HONE_CURVE_RESAMPLES, sizeof(double));
        whole = whole && resampled[f] && gains[f];
    }
    double largest = sizes[n_sizes - 1];
    if (!whole)
        goto done;
    mean_errors(scores, n_sizes, n_items, NULL, errors);
    out->law = hone_power_law_fit(sizes, errors, sizes, n_sizes);
    for (int f = 0; f < FORECASTS; f++) {
        hone_curve_forecast *forecast = &out->forecasts[f];
        forecast->size = largest * (f ? 4 : 2);
        forecast->error = hone_power_law_at(out->law, forecast->size);
        forecast->gain = hone_power_law_at(out->law, largest) - forecast->error;
    }
    for (size_t r = 0; r < HONE_CURVE_RESAMPLES; r++) {
        for (size_t i = 0; i < n_items; i++)
            drawn[i] = (size_t)hone_rng_below((hone_rng_key){seed, HONE_RNG_BOOTSTRAP, 1}, r * n_items + i, n_items);
        mean_errors(scores, n_sizes, n_items, drawn, errors);
        hone_power_law law = hone_power_law_fit(sizes, errors, sizes, n_sizes);
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
    free(drawn);
    return whole ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}
