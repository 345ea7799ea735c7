/* bootstrap.h - resampling items (or whole clusters of items) with counted randomness.
 *
 * Resample r draws, for its i-th place, the cluster hone_rng_below({seed, HONE_RNG_BOOTSTRAP, 0}, r * G + i, G): the
 * same seed gives the same result on any machine, and every comparison over the same items sees the same resamples. The
 * statistic is a ratio of sums, so clusters of unequal size are weighted by their items.
 *
 * Intervals are BCa (bias-corrected and accelerated; Efron 1987, JASA 82:171), the acceleration from the jackknife over
 * clusters. The p-value inverts the same interval: the smallest alpha at which it excludes the null. */
#ifndef HONE_STATS_BOOTSTRAP_H
#define HONE_STATS_BOOTSTRAP_H

#include "base/status.h"
#include "stats/interval.h"

enum { HONE_BOOTSTRAP_RESAMPLES = 10000 };

typedef struct hone_bootstrap hone_bootstrap;

/* Bootstraps the mean of values[n] (for a paired comparison: the differences, item by item). cluster: ids that mark
 * items of one source, or NULL. resamples 0: HONE_BOOTSTRAP_RESAMPLES. HONE_BAD_INPUT for n = 0, a value that is not
 * finite or fewer than 100 resamples. The caller frees *out. */
hone_status hone_bootstrap_mean(const double *values, const int64_t *cluster, size_t n, size_t resamples, uint64_t seed,
                                hone_bootstrap **out, hone_error *err);
void hone_bootstrap_free(hone_bootstrap *bootstrap);

/* What a mean over a few training seeds still leaves open: were they infinitely many, the mean would lie elsewhere by
 * standard_error * t, t with `degrees` degrees of freedom (seeds - 1). degrees 0: nothing. */
typedef struct hone_seed_error {
    double standard_error; /* standard deviation over the seeds / sqrt(seeds) */
    int degrees;
} hone_seed_error;
/* From the scores of the seeds; fewer than two: nothing is known, degrees 0. */
hone_seed_error hone_seed_error_of(const double *scores, size_t n);
/* Moves each resample by such an amount of its own, counted by (seed, stream): the interval then covers items and seeds
 * together, and with items that do not vary it is Student's. The acceleration shrinks as the items' share of the
 * variance does. */
void hone_bootstrap_add_seed_error(hone_bootstrap *bootstrap, hone_seed_error error, uint64_t seed, uint32_t stream);

double hone_bootstrap_estimate(const hone_bootstrap *bootstrap);
/* Standard deviation of the resampled means. */
double hone_bootstrap_standard_error(const hone_bootstrap *bootstrap);
/* BCa interval at two-sided alpha. */
hone_interval hone_bootstrap_interval(const hone_bootstrap *bootstrap, double alpha);
/* Two-sided p-value for the hypothesis that the mean is `null`. Never below 2/(resamples + 1), nor below 2^(1-G), the
 * least that any exact test on G clusters can give: a handful of equal differences is no proof. */
double hone_bootstrap_p(const hone_bootstrap *bootstrap, double null);
/* One-sided: small when the mean is above `null`. Same floors, halved. */
double hone_bootstrap_p_above(const hone_bootstrap *bootstrap, double null);

/* Which of several approaches would come out best on other items like these.
 * scores: [n_arms][n_items], row after row. p_best[n_arms]: share of the resamples in which the arm has the highest
 * mean (ties share). expected_regret[n_arms]: mean over the resamples of (best mean - the arm's mean); what choosing it
 * costs. p_best, expected_regret may be NULL. */
hone_status hone_bootstrap_best(const double *scores, size_t n_arms, size_t n_items, const int64_t *cluster,
                                size_t resamples, uint64_t seed, double *p_best, double *expected_regret,
                                hone_error *err);

#endif
