/* interval.c - Wilson, Clopper-Pearson, rule of three. */
#include "stats/interval.h"

#include "stats/special.h"

#include <math.h>

bool hone_interval_excludes(hone_interval interval, double value)
{
    return value < interval.low || value > interval.high;
}

static int64_t within(int64_t successes, int64_t n)
{
    return successes < 0 ? 0 : successes > n ? n : successes;
}

hone_interval hone_wilson_interval(int64_t successes, int64_t n, double alpha)
{
    if (n <= 0)
        return (hone_interval){0, 1};
    successes = within(successes, n);
    double z = hone_normal_quantile(1.0 - alpha / 2.0), z2 = z * z, trials = (double)n;
    double p = (double)successes / trials;
    double centre = (p + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    double half = z / (1.0 + z2 / trials) * sqrt(p * (1.0 - p) / trials + z2 / (4.0 * trials * trials));
    /* At 0 and n the closed form gives 0 and 1 up to rounding; make that exact. */
    return (hone_interval){successes == 0 ? 0 : centre - half, successes == n ? 1 : centre + half};
}

hone_interval hone_clopper_pearson(int64_t successes, int64_t n, double alpha)
{
    if (n <= 0)
        return (hone_interval){0, 1};
    successes = within(successes, n);
    double k = (double)successes, trials = (double)n;
    /* The upper limit as the lower limit of the failures, so that both tails have full precision. */
    double low = successes == 0 ? 0 : hone_beta_quantile(alpha / 2.0, k, trials - k + 1.0);
    double high = successes == n ? 1 : 1.0 - hone_beta_quantile(alpha / 2.0, trials - k, k + 1.0);
    return (hone_interval){low, high};
}

double hone_rule_of_three(int64_t n)
{
    return n < 3 ? 1.0 : 3.0 / (double)n;
}
