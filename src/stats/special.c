/* special.c - normal and beta distribution functions and their inverses. */
#include "stats/special.h"

#include <math.h>

static double log_gamma(double x)
{
    int sign; /* lgamma writes a global; the _r form does not */
    return lgamma_r(x, &sign);
}

double hone_normal_cdf(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* log P(Z <= z) is increasing and concave, so Newton steps from the left of the root climb to it without passing it.
 * -sqrt(-2 log p) is on the left, because P(Z <= -t) <= exp(-t^2/2)/2. */
static double lower_quantile(double p)
{
    double target = log(p), z = -sqrt(-2.0 * target);
    for (int i = 0; i < 100; i++) {
        double cdf = hone_normal_cdf(z);
        double density = 0.39894228040143267794 * exp(-0.5 * z * z);
        if (cdf <= 0 || density <= 0)
            return z; /* below 1e-300: the start is as good as a double gets */
        double step = (target - log(cdf)) * cdf / density;
        z += step;
        if (fabs(step) <= 1e-15 * (1.0 + fabs(z)))
            break;
    }
    return z;
}

double hone_normal_quantile(double p)
{
    if (isnan(p))
        return p;
    if (p <= 0)
        return -INFINITY;
    if (p >= 1)
        return INFINITY;
    return p <= 0.5 ? lower_quantile(p) : -lower_quantile(1.0 - p);
}

/* The continued fraction of DLMF 8.17.22; it converges quickly for x < (a+1)/(a+b+2), in O(sqrt(max(a, b))) steps. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m < 200000; m++) {
        double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 + even * d;
        c = 1.0 + even / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 + odd * d;
        c = 1.0 + odd / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= d * c;
        if (fabs(d * c - 1.0) < 1e-16)
            break;
    }
    return f;
}

double hone_beta_incomplete(double a, double b, double x)
{
    if (isnan(x) || isnan(a) || isnan(b))
        return NAN;
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1.0) / (a + b + 2.0))
        return front * beta_fraction(a, b, x) / a;
    return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

double hone_beta_quantile(double p, double a, double b)
{
    if (isnan(p))
        return p;
    if (p <= 0)
        return 0;
    if (p >= 1)
        return 1;
    double low = 0, high = 1;
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high)
            break;
        if (hone_beta_incomplete(a, b, middle) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

double hone_binomial_cdf(int64_t k, int64_t n, double p)
{
    if (k < 0)
        return 0;
    if (k >= n)
        return 1;
    return hone_beta_incomplete((double)(n - k), (double)k + 1.0, 1.0 - p);
}
