/* mcnemar.c - exact test, score interval and non-inferiority for paired proportions. */
#include "stats/mcnemar.h"

#include "stats/special.h"

#include <math.h>

double hone_mcnemar_exact(int64_t only_a, int64_t only_b)
{
    int64_t smaller = only_a < only_b ? only_a : only_b, discordant = only_a + only_b;
    if (discordant <= 0 || only_a == only_b)
        return 1.0;
    double p = 2.0 * hone_binomial_cdf(smaller, discordant, 0.5);
    return p < 1.0 ? p : 1.0;
}

double hone_paired_difference(hone_pair_counts counts)
{
    return counts.n > 0 ? ((double)counts.only_a - (double)counts.only_b) / (double)counts.n : 0.0;
}

/* Tango's statistic for the hypothesis that the true difference is `delta`, with the nuisance probability (only B
 * right) at its restricted maximum likelihood estimate. Decreasing in delta. */
static double score_statistic(hone_pair_counts counts, double delta)
{
    double n = (double)counts.n, a = (double)counts.only_a, b = (double)counts.only_b;
    double quadratic = 2.0 * n, linear = -a - b + (2.0 * n - a + b) * delta, constant = -b * delta * (1.0 - delta);
    double root = sqrt(fmax(0.0, linear * linear - 4.0 * quadratic * constant));
    /* The larger root of q q X + l X + c = 0, in the form that does not cancel. */
    double only_b = linear > 0 ? -2.0 * constant / (linear + root) : (root - linear) / (2.0 * quadratic);
    double variance = n * (2.0 * only_b + delta * (1.0 - delta)), numerator = a - b - n * delta;
    if (variance <= 0)
        return numerator == 0 ? 0 : copysign(INFINITY, numerator);
    return numerator / sqrt(variance);
}

/* delta in [from, to] where the decreasing statistic crosses `target`. */
static double crossing(hone_pair_counts counts, double target, double from, double to)
{
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (from + to);
        if (middle <= from || middle >= to)
            break;
        if (score_statistic(counts, middle) > target)
            from = middle;
        else
            to = middle;
    }
    return 0.5 * (from + to);
}

hone_interval hone_paired_score_interval(hone_pair_counts counts, double alpha)
{
    if (counts.n <= 0)
        return (hone_interval){-1, 1};
    double z = -hone_normal_quantile(alpha / 2.0), estimate = hone_paired_difference(counts);
    hone_interval interval = {-1, 1};
    if (estimate > -1)
        interval.low = crossing(counts, z, -1, estimate);
    if (estimate < 1)
        interval.high = crossing(counts, -z, estimate, 1);
    return interval;
}

hone_interval hone_paired_interval(hone_pair_counts counts, double alpha)
{
    hone_interval interval = hone_paired_score_interval(counts, alpha);
    int64_t discordant = counts.only_a + counts.only_b;
    if (counts.n <= 0 || discordant <= 0)
        return interval;
    hone_interval share = hone_clopper_pearson(counts.only_a, discordant, alpha);
    double scale = (double)discordant / (double)counts.n;
    interval.low = fmin(interval.low, (2.0 * share.low - 1.0) * scale);
    interval.high = fmax(interval.high, (2.0 * share.high - 1.0) * scale);
    return interval;
}

hone_noninferiority hone_paired_noninferiority(hone_pair_counts counts, double margin, double alpha)
{
    hone_noninferiority result = {.difference = hone_paired_difference(counts), .low = -1, .p = 1};
    if (counts.n <= 0 || !(margin > 0))
        return result;
    result.low = hone_paired_score_interval(counts, 2.0 * alpha).low;
    result.p = hone_normal_cdf(-score_statistic(counts, margin < 1 ? -margin : -1));
    result.not_inferior = result.low > -margin;
    return result;
}
