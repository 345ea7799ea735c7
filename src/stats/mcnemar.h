/* mcnemar.h - two approaches on the same items, each answer right or wrong.
 *
 *               B right     B wrong
 *   A right     both        only_a        difference = (only_a - only_b) / n
 *   A wrong     only_b      neither       (A's share right minus B's)
 *
 * The test is McNemar's exact one (binomial on the discordant items). The interval is the hull of two:
 *   - Tango's score interval (Tango 1998, Statistics in Medicine 17:891), close to nominal coverage for the difference;
 *   - the exact conditional one: Clopper-Pearson limits of only_a/(only_a+only_b), carried over to the difference.
 *     It excludes 0 exactly when the exact p-value is below alpha.
 * So the hull excludes 0 only where the exact test rejects; interval and claim cannot disagree in the claim's favour,
 * and hone_paired_interval is what decides. It covers a little more than nominal, as exact intervals do. */
#ifndef HONE_STATS_MCNEMAR_H
#define HONE_STATS_MCNEMAR_H

#include "stats/interval.h"

typedef struct hone_pair_counts {
    int64_t n;              /* all items */
    int64_t only_a, only_b; /* right under one approach only; only_a + only_b <= n */
} hone_pair_counts;

/* Two-sided exact p-value: twice the smaller tail of Binomial(only_a + only_b, 1/2), at most 1; 1 when none differ. */
double hone_mcnemar_exact(int64_t only_a, int64_t only_b);

double hone_paired_difference(hone_pair_counts counts);
/* Tango's score interval alone. [-1, 1] for n <= 0. */
hone_interval hone_paired_score_interval(hone_pair_counts counts, double alpha);
/* The hull described above: the interval that decides. */
hone_interval hone_paired_interval(hone_pair_counts counts, double alpha);

/* Is A not worse than B by `margin` (> 0) or more? One-sided score test of Tango 1998 at level alpha; it rejects
 * exactly when `low`, the lower limit of the two-sided 1 - 2 alpha score interval, lies above -margin. */
typedef struct hone_noninferiority {
    double difference, low, p;
    bool not_inferior;
} hone_noninferiority;
hone_noninferiority hone_paired_noninferiority(hone_pair_counts counts, double margin, double alpha);

#endif
