/* power.c - minimum detectable difference and sample size for paired proportions. */
#include "stats/power.h"

#include "stats/special.h"

#include <math.h>

static double z_sum(double alpha, double power, int64_t n_comparisons)
{
    double comparisons = n_comparisons > 1 ? (double)n_comparisons : 1.0;
    return -hone_normal_quantile(alpha / (2.0 * comparisons)) + hone_normal_quantile(power);
}

double hone_detectable_difference(int64_t n, double discordant, double alpha, double power, int64_t n_comparisons)
{
    if (n <= 0)
        return 1.0;
    double z = z_sum(alpha, power, n_comparisons), d = z * sqrt(discordant / (double)n);
    if (d > discordant)
        d = z * z / (double)n;
    return d < 1.0 ? d : 1.0;
}

int64_t hone_items_needed(double difference, double discordant, double alpha, double power, int64_t n_comparisons)
{
    if (!(difference > 0))
        return INT64_MAX;
    double z = z_sum(alpha, power, n_comparisons), share = fmax(discordant, difference);
    double n = ceil(z * z * share / (difference * difference) - 1e-9);
    return n < 9e18 ? (int64_t)n : INT64_MAX;
}
