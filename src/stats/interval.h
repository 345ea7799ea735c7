/* interval.h - intervals for one proportion.
 *
 * `alpha` is the error rate of a two-sided interval: 0.05 gives 95 %. `successes` is held to [0, n]. With n <= 0
 * nothing is known and the interval is [0, 1]. */
#ifndef HONE_STATS_INTERVAL_H
#define HONE_STATS_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct hone_interval {
    double low, high;
} hone_interval;

/* True when `value` lies outside the closed interval. */
bool hone_interval_excludes(hone_interval interval, double value);

/* Wilson 1927: inverts the score test; near its nominal coverage from small n on. The score column of reports. */
hone_interval hone_wilson_interval(int64_t successes, int64_t n, double alpha);

/* Clopper & Pearson 1934: inverts the exact binomial test; covers at least 1 - alpha, usually more. */
hone_interval hone_clopper_pearson(int64_t successes, int64_t n, double alpha);

/* 0 failures in n trials: the failure rate is at most 3/n with 95 % confidence (Hanley & Lippman-Hand 1983); 1 where
 * n < 3. */
double hone_rule_of_three(int64_t n);

#endif
