/* special.h - the few special functions that the tests and intervals need, in double precision.
 *
 * Normal distribution by erfc; incomplete beta by its continued fraction (DLMF 8.17.22, evaluated by the modified Lentz
 * method); inverses by monotone iteration, so they cannot diverge. No I/O, no state, safe on any thread. */
#ifndef HONE_STATS_SPECIAL_H
#define HONE_STATS_SPECIAL_H

#include <stdint.h>

/* P(Z <= z). */
double hone_normal_cdf(double z);
/* z with P(Z <= z) = p; -inf at p <= 0, +inf at p >= 1, NaN for NaN. */
double hone_normal_quantile(double p);

/* I_x(a, b), a > 0, b > 0; x is held to [0, 1]. */
double hone_beta_incomplete(double a, double b, double x);
/* x with I_x(a, b) = p; 0 at p <= 0, 1 at p >= 1. */
double hone_beta_quantile(double p, double a, double b);

/* P(X <= k) for X ~ Binomial(n, p): 0 for k < 0, 1 for k >= n. */
double hone_binomial_cdf(int64_t k, int64_t n, double p);

#endif
