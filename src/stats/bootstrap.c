/* bootstrap.c - BCa bootstrap of a mean; probability of being best. */
#include "stats/bootstrap.h"

#include "base/rng.h"
#include "stats/special.h"
#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hone_bootstrap {
    size_t resamples, n_clusters;
    double estimate;
    double bias;         /* z0: normal quantile of the share of resamples below the estimate */
    double acceleration; /* a: skewness of the jackknife means / 6 */
    double sorted[];     /* [resamples] resampled means in increasing order */
};

/* The items of each cluster, added up: all that a resampled ratio of sums needs. */
typedef struct cluster_sums {
    size_t n_clusters;
    double *sum;  /* [n_columns][n_clusters] */
    double *size; /* [n_clusters] items */
} cluster_sums;

static void cluster_sums_clear(cluster_sums *sums)
{
    free(sums->sum);
    free(sums->size);
}

/* values: [n_columns][n]. */
static hone_status cluster_sums_init(const double *values, size_t n_columns, const int64_t *cluster, size_t n,
                                     cluster_sums *out, hone_error *err)
{
    *out = (cluster_sums){0};
    hone_status status = HONE_OK;
    size_t *index = calloc(n, sizeof *index), cells;
    if (__builtin_mul_overflow(n, n_columns, &cells) || !index) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for a bootstrap of %zu items", n);
        goto done;
    }
    for (size_t i = 0; i < cells; i++)
        if (!isfinite(values[i])) {
            status = hone_fail(err, HONE_BAD_INPUT, "item %zu: score %g is not a number that can be averaged", i % n,
                               values[i]);
            goto done;
        }
    status = hone_cluster_index(cluster, n, index, &out->n_clusters, err);
    if (status != HONE_OK)
        goto done;
    size_t groups = out->n_clusters;
    out->sum = calloc(groups * n_columns, sizeof *out->sum); /* groups <= n, so this is at most `cells` */
    out->size = calloc(groups, sizeof *out->size);
    if (!out->sum || !out->size) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for a bootstrap of %zu items", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        out->size[index[i]] += 1.0;
    for (size_t column = 0; column < n_columns; column++)
        for (size_t i = 0; i < n; i++)
            out->sum[column * groups + index[i]] += values[column * n + i];
done:
    if (status != HONE_OK) {
        cluster_sums_clear(out);
        *out = (cluster_sums){0};
    }
    free(index);
    return status;
}

static hone_status check_resamples(size_t n, size_t *resamples, hone_error *err)
{
    if (*resamples == 0)
        *resamples = HONE_BOOTSTRAP_RESAMPLES;
    if (n == 0)
        return hone_fail(err, HONE_BAD_INPUT, "a bootstrap needs at least one item");
    if (*resamples < 100 || *resamples > (size_t)1 << 32)
        return hone_fail(err, HONE_BAD_INPUT, "a bootstrap of %zu resamples: use between 100 and 2^32", *resamples);
    return HONE_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Means that differ by rounding alone count as equal when the bias is taken. */
static bool about_equal(double a, double b, double scale)
{
    return fabs(a - b) <= 1e-12 * scale;
}

static double bias_of(const hone_bootstrap *b, double scale)
{
    double below = 0;
    for (size_t r = 0; r < b->resamples; r++) {
        if (about_equal(b->sorted[r], b->estimate, scale))
            below += 0.5;
        else if (b->sorted[r] < b->estimate)
            below += 1.0;
    }
    double n = (double)b->resamples;
    return hone_normal_quantile(fmin(fmax(below, 0.5), n - 0.5) / n);
}

/* Skewness of the leave-one-cluster-out means, Efron's formula for a. */
static double acceleration_of(const cluster_sums *sums)
{
    double sum = 0, size = 0, mean = 0, square = 0, cube = 0;
    for (size_t g = 0; g < sums->n_clusters; g++) {
        sum += sums->sum[g];
        size += sums->size[g];
    }
    if (sums->n_clusters < 2)
        return 0;
    for (size_t g = 0; g < sums->n_clusters; g++)
        mean += (sum - sums->sum[g]) / (size - sums->size[g]);
    mean /= (double)sums->n_clusters;
    for (size_t g = 0; g < sums->n_clusters; g++) {
        double d = mean - (sum - sums->sum[g]) / (size - sums->size[g]);
        square += d * d;
        cube += d * d * d;
    }
    return square > 0 ? cube / (6.0 * pow(square, 1.5)) : 0;
}

hone_status hone_bootstrap_mean(const double *values, const int64_t *cluster, size_t n, size_t resamples, uint64_t seed,
                                hone_bootstrap **out, hone_error *err)
{
    *out = NULL;
    hone_bootstrap *b = NULL;
    cluster_sums sums = {0};
    hone_status status = check_resamples(n, &resamples, err);
    if (status != HONE_OK)
        return status;
    status = cluster_sums_init(values, 1, cluster, n, &sums, err);
    if (status != HONE_OK)
        return status;
    b = malloc(sizeof *b + resamples * sizeof b->sorted[0]);
    if (!b) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu resamples", resamples);
        goto done;
    }
    size_t groups = sums.n_clusters;
    *b = (hone_bootstrap){.resamples = resamples, .n_clusters = groups};
    double sum = 0, size = 0, scale = 0;
    for (size_t g = 0; g < groups; g++) {
        sum += sums.sum[g];
        size += sums.size[g];
        scale = fmax(scale, fabs(sums.sum[g]) / sums.size[g]);
    }
    b->estimate = sum / size;
    hone_rng_key key = {seed, HONE_RNG_BOOTSTRAP, 0};
    for (size_t r = 0; r < resamples; r++) {
        double drawn_sum = 0, drawn_size = 0;
        for (size_t i = 0; i < groups; i++) {
            size_t g = (size_t)hone_rng_below(key, (uint64_t)r * groups + i, groups);
            drawn_sum += sums.sum[g];
            drawn_size += sums.size[g];
        }
        b->sorted[r] = drawn_sum / drawn_size;
    }
    qsort(b->sorted, resamples, sizeof b->sorted[0], by_value);
    b->bias = bias_of(b, scale);
    b->acceleration = acceleration_of(&sums);
    *out = b;
done:
    cluster_sums_clear(&sums);
    return status;
}

hone_seed_error hone_seed_error_of(const double *scores, size_t n)
{
    if (n < 2)
        return (hone_seed_error){0};
    return (hone_seed_error){hone_standard_deviation(scores, n) / sqrt((double)n), (int)n - 1};
}

/* Student's t as a normal over the root of a mean of squares. */
static double draw_t(hone_rng_key key, uint64_t index, int degrees)
{
    uint64_t first = index * (uint64_t)(degrees + 1);
    double squares = 0;
    for (int k = 1; k <= degrees; k++) {
        double z = hone_rng_normal(key, first + (uint64_t)k);
        squares += z * z;
    }
    return squares > 0 ? hone_rng_normal(key, first) / sqrt(squares / degrees) : 0;
}

void hone_bootstrap_add_seed_error(hone_bootstrap *b, hone_seed_error error, uint64_t seed, uint32_t stream)
{
    if (error.degrees < 1 || !(error.standard_error > 0))
        return;
    double items = hone_bootstrap_standard_error(b), scale = 0;
    hone_rng_key key = {seed, HONE_RNG_SEED_SPREAD, stream};
    for (size_t r = 0; r < b->resamples; r++) {
        b->sorted[r] += error.standard_error * draw_t(key, r, error.degrees);
        scale = fmax(scale, fabs(b->sorted[r]));
    }
    qsort(b->sorted, b->resamples, sizeof b->sorted[0], by_value);
    double share = items / hypot(items, error.standard_error);
    b->bias = bias_of(b, scale);
    b->acceleration *= share * share * share; /* skewness of a sum of which one part is symmetric */
}

void hone_bootstrap_free(hone_bootstrap *bootstrap)
{
    free(bootstrap);
}

double hone_bootstrap_estimate(const hone_bootstrap *b)
{
    return b->estimate;
}

double hone_bootstrap_standard_error(const hone_bootstrap *b)
{
    return hone_standard_deviation(b->sorted, b->resamples);
}

/* Where in the resampled distribution the BCa limit of one-sided level `alpha` lies (Efron 1987, eq. 2.3). */
static double bca_limit(const hone_bootstrap *b, double alpha)
{
    double z = b->bias + hone_normal_quantile(alpha), room = 1.0 - b->acceleration * z;
    double share = room > 0 ? hone_normal_cdf(b->bias + z / room) : (z > 0 ? 1.0 : 0.0);
    return hone_quantile_sorted(b->sorted, b->resamples, share);
}

hone_interval hone_bootstrap_interval(const hone_bootstrap *b, double alpha)
{
    return (hone_interval){bca_limit(b, alpha / 2.0), bca_limit(b, 1.0 - alpha / 2.0)};
}

/* The one-sided level at which the BCa lower limit reaches `null`: eq. 2.3 solved for alpha. */
static double level_at(const hone_bootstrap *b, double null)
{
    double below = 0, n = (double)b->resamples;
    double scale = fmax(fabs(null), fmax(fabs(b->sorted[0]), fabs(b->sorted[b->resamples - 1])));
    for (size_t r = 0; r < b->resamples; r++) {
        if (about_equal(b->sorted[r], null, scale))
            below += 0.5;
        else if (b->sorted[r] < null)
            below += 1.0;
    }
    double w = hone_normal_quantile(fmin(fmax(below, 0.5), n - 0.5) / n) - b->bias;
    double room = 1.0 + b->acceleration * w;
    if (room <= 0)
        return w > 0 ? 1.0 : 0.0;
    return hone_normal_cdf(w / room - b->bias);
}

static double floor_of(const hone_bootstrap *b)
{
    return fmax(1.0 / ((double)b->resamples + 1.0), ldexp(1.0, b->n_clusters < 1000 ? -(int)b->n_clusters : -1000));
}

double hone_bootstrap_p_above(const hone_bootstrap *b, double null)
{
    return fmax(level_at(b, null), floor_of(b));
}

double hone_bootstrap_p(const hone_bootstrap *b, double null)
{
    double level = level_at(b, null), tail = fmax(fmin(level, 1.0 - level), floor_of(b));
    return fmin(1.0, 2.0 * tail);
}

hone_status hone_bootstrap_best(const double *scores, size_t n_arms, size_t n_items, const int64_t *cluster,
                                size_t resamples, uint64_t seed, double *p_best, double *expected_regret,
                                hone_error *err)
{
    cluster_sums sums = {0};
    double *mean = NULL, *count = NULL, *wins = NULL, *regret = NULL;
    hone_status status = check_resamples(n_items, &resamples, err);
    if (status != HONE_OK || n_arms == 0)
        return status;
    status = cluster_sums_init(scores, n_arms, cluster, n_items, &sums, err);
    if (status != HONE_OK)
        return status;
    size_t groups = sums.n_clusters;
    mean = calloc(n_arms, sizeof *mean);
    wins = calloc(n_arms, sizeof *wins);
    regret = calloc(n_arms, sizeof *regret);
    count = calloc(groups, sizeof *count);
    if (!mean || !wins || !regret || !count) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu approaches", n_arms);
        goto done;
    }
    hone_rng_key key = {seed, HONE_RNG_BOOTSTRAP, 0};
    for (size_t r = 0; r < resamples; r++) {
        memset(count, 0, groups * sizeof *count);
        for (size_t i = 0; i < groups; i++)
            count[hone_rng_below(key, (uint64_t)r * groups + i, groups)] += 1.0;
        double size = 0, best = -INFINITY, tied = 0;
        for (size_t g = 0; g < groups; g++)
            size += count[g] * sums.size[g];
        for (size_t arm = 0; arm < n_arms; arm++) {
            const double *row = sums.sum + arm * groups;
            double sum = 0;
            for (size_t g = 0; g < groups; g++)
                sum += count[g] * row[g];
            mean[arm] = sum / size;
            best = fmax(best, mean[arm]);
        }
        for (size_t arm = 0; arm < n_arms; arm++)
            tied += about_equal(mean[arm], best, fabs(best));
        for (size_t arm = 0; arm < n_arms; arm++) {
            if (about_equal(mean[arm], best, fabs(best)))
                wins[arm] += 1.0 / tied;
            regret[arm] += best - mean[arm];
        }
    }
    for (size_t arm = 0; arm < n_arms; arm++) {
        if (p_best)
            p_best[arm] = wins[arm] / (double)resamples;
        if (expected_regret)
            expected_regret[arm] = regret[arm] / (double)resamples;
    }
done:
    free(count);
    free(regret);
    free(wins);
    free(mean);
    cluster_sums_clear(&sums);
    return status;
}
