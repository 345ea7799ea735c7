/* paired.c - hands samples to the statistics and copies back what the report needs. */
#include "evidence/paired.h"

#include "stats/comparison.h"

#include <stdlib.h>

static const double family_error_rate = 0.05;

hone_status hone_paired_family(const double *const *a, const double *const *b, const int64_t *cluster, size_t n, size_t n_pairs,
                               uint64_t seed, hone_paired_result *out, hone_error *err)
{
    if (n_pairs == 0)
        return HONE_OK;
    hone_paired_sample *samples = calloc(n_pairs, sizeof *samples);
    hone_paired_comparison *found = calloc(n_pairs, sizeof *found);
    hone_status status = samples && found ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu comparisons", n_pairs);
    for (size_t i = 0; i < n_pairs && status == HONE_OK; i++)
        samples[i] = (hone_paired_sample){.a = a[i], .b = b[i], .cluster = cluster, .n = n};
    if (status == HONE_OK)
        status = hone_compare_family(samples, n_pairs, family_error_rate, 0, seed, found, err);
    for (size_t i = 0; i < n_pairs && status == HONE_OK; i++)
        out[i] = (hone_paired_result){.difference = found[i].difference, .low = found[i].interval.low, .high = found[i].interval.high,
                                      .p = found[i].p, .p_adjusted = found[i].p_adjusted, .only_a = found[i].only_a,
                                      .only_b = found[i].only_b, .exact = found[i].exact};
    free(found);
    free(samples);
    return status;
}
