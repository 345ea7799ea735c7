/* multiplicity.h - several comparisons on one test set: Holm's step-down adjustment (Holm 1979).
 *
 * Beside the adjusted p-values it gives the level at which each hypothesis was judged: alpha/m for the smallest p, then
 * alpha/(m-1) and so on; from the first one that is not rejected the level stays. An interval of that level excludes
 * the null exactly when the hypothesis is rejected, so that claim and interval agree. The family-wise error of the
 * *claims* is at most alpha. (The intervals together do not cover jointly with 1 - alpha; Bonferroni's, alpha/m each,
 * would.) */
#ifndef HONE_STATS_MULTIPLICITY_H
#define HONE_STATS_MULTIPLICITY_H

#include "base/status.h"

/* p: [m]; adjusted: [m], at most 1, or NULL; level: [m], or NULL. Rejected: adjusted[i] < alpha, the same as
 * p[i] < level[i]. */
hone_status hone_holm(const double *p, size_t m, double alpha, double *adjusted, double *level, hone_error *err);

#endif
