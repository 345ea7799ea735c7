/* learning_curve.h - the error of a method as a power law of the number of examples, and what twice or four times as
 * many would bring.
 *
 *   err(n) = a + b n^-c,   a, b >= 0,   0.05 <= c <= 3
 *
 * by weighted least squares, a point counting in proportion to its n (the law holds for large n; Hestness et al. 2017,
 * arXiv 1712.00409; Viering & Loog 2023, "The Shape of Learning Curves"). Uncertainty: the judged items are drawn again
 * with replacement, the same for every size since all sizes are judged on the same items, and so are each size's
 * training seeds where it was trained with several; the law is fitted anew. What is forecast is then the mean over
 * seeds and items that were not seen. With one seed the luck of a training is not in the range.
 * Nothing is forecast beyond four times the largest size: a single power law misleads there, and also below a few dozen
 * examples (arXiv 2303.01598). */
#ifndef HONE_STATS_LEARNING_CURVE_H
#define HONE_STATS_LEARNING_CURVE_H

#include "base/status.h"

enum { HONE_CURVE_LEAST_SIZES = 4, HONE_CURVE_RESAMPLES = 2000 };

typedef struct hone_power_law {
    double a, b, c;
} hone_power_law;

double hone_power_law_at(hone_power_law law, double n);
/* Least sum of weights[i] (errors[i] - law(sizes[i]))^2; n >= 3, sizes above 0. */
hone_power_law hone_power_law_fit(const double *sizes, const double *errors, const double *weights, size_t n);

typedef struct hone_curve_forecast {
    double size;             /* 2 or 4 times the largest */
    double error, low, high; /* 95 %: percentiles of the resamples */
    double gain;             /* error at the largest size, by the law, minus this one */
    double p_gain;           /* share of the resamples in which the gain is above delta */
} hone_curve_forecast;

typedef struct hone_learning_curve {
    hone_power_law law;
    hone_curve_forecast forecasts[2];
} hone_learning_curve;

/* How each of the judged items was answered after each training. */
typedef struct hone_curve_scores {
    const double *sizes;  /* [n_sizes], rising, from 1 */
    const double *scores; /* [n_sizes][n_seeds][n_items], each from 0 to 1 */
    size_t n_sizes, n_seeds, n_items;
} hone_curve_scores;

/* HONE_BAD_INPUT: fewer than HONE_CURVE_LEAST_SIZES sizes, no seeds or items, sizes that do not rise, scores outside 0
 * to 1. */
hone_status hone_learning_curve_fit(const hone_curve_scores *scores, double delta, uint64_t seed,
                                    hone_learning_curve *out, hone_error *err);

#endif
