/* power.h - what a test set of a given size can show, before anything runs.
 *
 * Paired right/wrong answers of n items, of which a share `discordant` is right under one approach only. The difference
 * that McNemar's test finds with probability `power` at two-sided `alpha` is, with the variance taken under no
 * difference (a little on the careful side), d = (z[1-alpha/2] + z[power]) * sqrt(discordant / n). A difference cannot
 * be larger than the discordant share; where n is so small that d would be, the share is raised to d, which gives d =
 * z^2/n. */
#ifndef HONE_STATS_POWER_H
#define HONE_STATS_POWER_H

#include <stdint.h>

/* In [0, 1]; 1 when even a complete difference would be missed. n_comparisons > 1 divides alpha by it, the hardest step
 * of Holm's procedure. */
double hone_detectable_difference(int64_t n, double discordant, double alpha, double power, int64_t n_comparisons);

/* The smallest n that detects `difference`, 0 < difference <= 1; INT64_MAX where no n does. */
int64_t hone_items_needed(double difference, double discordant, double alpha, double power, int64_t n_comparisons);

#endif
