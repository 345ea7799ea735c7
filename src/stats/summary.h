/* summary.h - mean, spread, standard error, quantiles of a sample. Sums run in increasing order of the index. */
#ifndef HONE_STATS_SUMMARY_H
#define HONE_STATS_SUMMARY_H

#include "base/status.h"

/* NaN for n = 0. */
double hone_mean(const double *values, size_t n);
/* Sample standard deviation (n - 1); NaN for n < 2. */
double hone_standard_deviation(const double *values, size_t n);

/* The quantile q in [0, 1] by linear interpolation between order statistics (Hyndman & Fan type 7, the default of R and
 * NumPy). Does not change `values`. HONE_BAD_INPUT for n = 0 or a q outside [0, 1]. */
hone_status hone_quantile(const double *values, size_t n, double q, double *out, hone_error *err);
/* Same for a sample that is already in increasing order; n > 0. */
double hone_quantile_sorted(const double *sorted, size_t n, double q);

/* Standard error of the mean. cluster NULL: sd/sqrt(n). Otherwise items with equal cluster[i] belong together and the
 * error is the cluster-robust one with the CR1 correction G/(G-1) (Cameron & Miller 2015, for a mean).
 * NaN for fewer than two items or two clusters. */
hone_status hone_standard_error(const double *values, const int64_t *cluster, size_t n, double *out, hone_error *err);

/* Renumbers cluster ids as 0..G-1 in increasing order of the id: index[i] for each item, *n_clusters = G. With cluster
 * NULL each item is its own. */
hone_status hone_cluster_index(const int64_t *cluster, size_t n, size_t *index, size_t *n_clusters, hone_error *err);

#endif
