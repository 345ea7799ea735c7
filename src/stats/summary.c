/* summary.c - describing one sample. */
#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double hone_mean(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return n ? sum / (double)n : NAN;
}

double hone_standard_deviation(const double *values, size_t n)
{
    if (n < 2)
        return NAN;
    double mean = hone_mean(values, n), squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / (double)(n - 1));
}

double hone_quantile_sorted(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

hone_status hone_quantile(const double *values, size_t n, double q, double *out, hone_error *err)
{
    if (n == 0 || !(q >= 0 && q <= 1))
        return hone_fail(err, HONE_BAD_INPUT, "quantile %g of %zu values: need at least one value and 0 <= q <= 1", q,
                         n);
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a quantile of %zu values", n);
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    *out = hone_quantile_sorted(sorted, n, q);
    free(sorted);
    return HONE_OK;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

hone_status hone_cluster_index(const int64_t *cluster, size_t n, size_t *index, size_t *n_clusters, hone_error *err)
{
    if (!cluster || n == 0) {
        for (size_t i = 0; i < n; i++)
            index[i] = i;
        *n_clusters = n;
        return HONE_OK;
    }
    int64_t *ids = malloc(n * sizeof *ids);
    if (!ids)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the groups of %zu items", n);
    memcpy(ids, cluster, n * sizeof *ids);
    qsort(ids, n, sizeof *ids, by_id);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[distinct++] = ids[i];
    for (size_t i = 0; i < n; i++) {
        const int64_t *at = bsearch(&cluster[i], ids, distinct, sizeof *ids, by_id);
        index[i] = (size_t)(at - ids);
    }
    *n_clusters = distinct;
    free(ids);
    return HONE_OK;
}

hone_status hone_standard_error(const double *values, const int64_t *cluster, size_t n, double *out, hone_error *err)
{
    *out = NAN;
    if (n < 2)
        return HONE_OK;
    if (!cluster) {
        *out = hone_standard_deviation(values, n) / sqrt((double)n);
        return HONE_OK;
    }
    size_t *index = malloc(n * sizeof *index), n_clusters = 0;
    double *residual = calloc(n, sizeof *residual); /* summed within each cluster */
    hone_status status = HONE_OK;
    if (!index || !residual) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for the groups of %zu items", n);
        goto done;
    }
    status = hone_cluster_index(cluster, n, index, &n_clusters, err);
    if (status != HONE_OK || n_clusters < 2)
        goto done;
    double mean = hone_mean(values, n), squares = 0, groups = (double)n_clusters;
    for (size_t i = 0; i < n; i++)
        residual[index[i]] += values[i] - mean;
    for (size_t g = 0; g < n_clusters; g++)
        squares += residual[g] * residual[g];
    *out = sqrt(groups / (groups - 1.0) * squares) / (double)n;
done:
    free(residual);
    free(index);
    return status;
}
