/* comparison.h - the family of paired comparisons that a verdict rests on.
 *
 * Each comparison is judged by one rule: A and B differ when the interval at the level that Holm's procedure gives this
 * comparison excludes 0. Right/wrong scores of unrelated items are tested exactly (mcnemar.h), everything else by the
 * paired BCa bootstrap, by cluster where items share a source. p_adjusted < alpha goes with `differs` and the other way
 * round: where the two could part by rounding or by the coarseness of the resamples, the careful side is taken and both
 * are set to it.
 *
 * Scores that are means over training seeds are judged together with what the seeds leave open (bootstrap.h): the claim
 * is then about the way of training and not about one adapter. */
#ifndef HONE_STATS_COMPARISON_H
#define HONE_STATS_COMPARISON_H

#include "base/status.h"
#include "stats/bootstrap.h"
#include "stats/interval.h"

/* Scores of two approaches on the same items, in the same order. */
typedef struct hone_paired_sample {
    const double *a, *b;    /* [n] */
    const int64_t *cluster; /* [n] ids of the items' sources, or NULL when the items are unrelated */
    size_t n;
    hone_seed_error a_seeds, b_seeds; /* where a or b are means over training seeds; degrees 0 where they are not */
} hone_paired_sample;

typedef struct hone_paired_comparison {
    double difference;      /* mean of a - b */
    hone_interval interval; /* at `level` */
    double level;           /* two-sided error rate of the interval, after Holm */
    double p, p_adjusted;
    bool differs;           /* the interval excludes 0 */
    bool exact;             /* McNemar; otherwise the bootstrap */
    int64_t only_a, only_b; /* exact: items right under one approach only */
} hone_paired_comparison;

/* out: [n_samples]. resamples 0: the default of bootstrap.h. HONE_BAD_INPUT for an empty sample or a score that is not
 * finite. */
hone_status hone_compare_family(const hone_paired_sample *samples, size_t n_samples, double alpha, size_t resamples,
                                uint64_t seed, hone_paired_comparison *out, hone_error *err);

/* Is A not worse than B by `margin` or more, at one-sided alpha? Tango's score test for right/wrong scores of unrelated
 * items, the bootstrap otherwise. *low: the lower limit of the 1 - 2 alpha interval; not inferior means low > -margin.
 */
hone_status hone_compare_noninferiority(const hone_paired_sample *sample, double margin, double alpha, size_t resamples,
                                        uint64_t seed, double *low, double *p, bool *not_inferior, hone_error *err);

#endif
