/* comparison.c - one test and one interval for each pair, Holm over the family. */
#include "stats/comparison.h"

#include "stats/mcnemar.h"
#include "stats/multiplicity.h"

#include <math.h>
#include <stdlib.h>

/* What is known of a pair before its level is: the counts for the exact test, or the resampled distribution. */
typedef struct prepared {
    bool exact;
    hone_pair_counts counts;
    hone_bootstrap *bootstrap;
} prepared;

static bool is_exact(const hone_paired_sample *sample)
{
    if (sample->cluster || sample->a_seeds.degrees || sample->b_seeds.degrees)
        return false;
    for (size_t i = 0; i < sample->n; i++)
        if ((sample->a[i] != 0 && sample->a[i] != 1) || (sample->b[i] != 0 && sample->b[i] != 1))
            return false;
    return true;
}

static hone_status prepare(const hone_paired_sample *sample, size_t resamples, uint64_t seed, prepared *out,
                           hone_error *err)
{
    *out = (prepared){.exact = is_exact(sample), .counts.n = (int64_t)sample->n};
    if (sample->n == 0)
        return hone_fail(err, HONE_BAD_INPUT, "a comparison needs at least one item that both approaches answered");
    if (out->exact) {
        for (size_t i = 0; i < sample->n; i++) {
            out->counts.only_a += sample->a[i] > sample->b[i];
            out->counts.only_b += sample->a[i] < sample->b[i];
        }
        return HONE_OK;
    }
    double *difference = malloc(sample->n * sizeof *difference);
    if (!difference)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu items", sample->n);
    for (size_t i = 0; i < sample->n; i++)
        difference[i] = sample->a[i] - sample->b[i];
    hone_status status =
        hone_bootstrap_mean(difference, sample->cluster, sample->n, resamples, seed, &out->bootstrap, err);
    free(difference);
    if (status == HONE_OK) {
        hone_bootstrap_add_seed_error(out->bootstrap, sample->a_seeds, seed, 0);
        hone_bootstrap_add_seed_error(out->bootstrap, sample->b_seeds, seed, 1);
    }
    return status;
}

/* Makes claim, p and interval say the same, on the careful side. */
static void settle(hone_paired_comparison *c, double alpha)
{
    bool excludes = hone_interval_excludes(c->interval, 0), rejects = c->p_adjusted < alpha;
    c->differs = excludes && rejects;
    if (c->differs)
        return;
    c->interval.low = fmin(c->interval.low, 0);
    c->interval.high = fmax(c->interval.high, 0);
    if (rejects)
        c->p_adjusted = alpha;
}

hone_status hone_compare_family(const hone_paired_sample *samples, size_t n_samples, double alpha, size_t resamples,
                                uint64_t seed, hone_paired_comparison *out, hone_error *err)
{
    if (n_samples == 0)
        return HONE_OK;
    if (!(alpha > 0 && alpha < 1))
        return hone_fail(err, HONE_BAD_INPUT, "error rate %g: must lie between 0 and 1, such as 0.05", alpha);
    hone_status status = HONE_OK;
    prepared *pairs = calloc(n_samples, sizeof *pairs);
    double *p = calloc(n_samples * 3, sizeof *p);
    if (!pairs || !p) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu comparisons", n_samples);
        goto done;
    }
    for (size_t i = 0; i < n_samples; i++) {
        status = prepare(&samples[i], resamples, seed, &pairs[i], err);
        if (status != HONE_OK)
            goto done;
        p[i] = pairs[i].exact ? hone_mcnemar_exact(pairs[i].counts.only_a, pairs[i].counts.only_b)
                              : hone_bootstrap_p(pairs[i].bootstrap, 0);
    }
    double *adjusted = p + n_samples, *level = adjusted + n_samples;
    status = hone_holm(p, n_samples, alpha, adjusted, level, err);
    if (status != HONE_OK)
        goto done;
    for (size_t i = 0; i < n_samples; i++) {
        const prepared *pair = &pairs[i];
        out[i] =
            (hone_paired_comparison){.level = level[i], .p = p[i], .p_adjusted = adjusted[i], .exact = pair->exact};
        if (pair->exact) {
            out[i].difference = hone_paired_difference(pair->counts);
            out[i].interval = hone_paired_interval(pair->counts, level[i]);
            out[i].only_a = pair->counts.only_a;
            out[i].only_b = pair->counts.only_b;
        } else {
            out[i].difference = hone_bootstrap_estimate(pair->bootstrap);
            out[i].interval = hone_bootstrap_interval(pair->bootstrap, level[i]);
        }
        settle(&out[i], alpha);
    }
done:
    for (size_t i = 0; pairs && i < n_samples; i++)
        hone_bootstrap_free(pairs[i].bootstrap);
    free(pairs);
    free(p);
    return status;
}

hone_status hone_compare_noninferiority(const hone_paired_sample *sample, double margin, double alpha, size_t resamples,
                                        uint64_t seed, double *low, double *p, bool *not_inferior, hone_error *err)
{
    if (!(margin > 0))
        return hone_fail(err, HONE_BAD_INPUT, "non-inferiority margin %g: must be above 0", margin);
    prepared pair;
    hone_status status = prepare(sample, resamples, seed, &pair, err);
    if (status != HONE_OK)
        return status;
    if (pair.exact) {
        hone_noninferiority result = hone_paired_noninferiority(pair.counts, margin, alpha);
        *low = result.low;
        *p = result.p;
        *not_inferior = result.not_inferior;
    } else {
        *low = hone_bootstrap_interval(pair.bootstrap, 2.0 * alpha).low;
        *p = hone_bootstrap_p_above(pair.bootstrap, -margin);
        *not_inferior = *low > -margin && *p < alpha;
    }
    hone_bootstrap_free(pair.bootstrap);
    return HONE_OK;
}
