/* paired.h - the planned comparisons on the scores of the locked test: the front of stats/comparison.h, whose
 * hone_comparison is another structure than this folder's. */
#ifndef HONE_EVIDENCE_PAIRED_H
#define HONE_EVIDENCE_PAIRED_H

#include "base/status.h"

typedef struct hone_paired_result {
    double difference, low, high; /* mean of a - b; interval at the level that Holm's procedure gives this pair */
    double p, p_adjusted;
    int64_t only_a, only_b;       /* items right under one only; exact tests */
    bool exact;                   /* McNemar, otherwise the paired bootstrap */
} hone_paired_result;

/* a, b: [n_pairs] pointers to scores of the same n items. cluster: [n] or NULL. Family-wise error rate 0.05. out: [n_pairs]. */
hone_status hone_paired_family(const double *const *a, const double *const *b, const int64_t *cluster, size_t n, size_t n_pairs,
                               uint64_t seed, hone_paired_result *out, hone_error *err);

#endif
