/* arithmetic.h - what the portable kernels share: fixed lanes and the exponential. Included by files that are compiled
 * once for each instruction set; every rounding is written down, so the bits are the same in all of them. */
#ifndef HONE_OPS_CPU_PORTABLE_ARITHMETIC_H
#define HONE_OPS_CPU_PORTABLE_ARITHMETIC_H

#include "ops/cpu/kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

/* Before a loop over lanes: GCC would make sixteen scalars of it before it looks for vectors. */
#if defined(__clang__)
#define ALL_LANES
#else
#define ALL_LANES _Pragma("GCC unroll 1")
#endif

/* Adds the lanes as a tree. */
static inline hone_real tree(const hone_real *lane)
{
    hone_real sum[LANES / 2];
    ALL_LANES
    for (int i = 0; i < 8; i++)
        sum[i] = lane[i] + lane[i + 8];
    ALL_LANES
    for (int i = 0; i < 4; i++)
        sum[i] += sum[i + 4];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

#ifdef HONE_DOUBLE
static inline hone_real real_exp_within(hone_real x)
{
    return exp(x);
}

static inline hone_real real_exp(hone_real x)
{
    return exp(x);
}
#else
/* e^x within 2 units in the last place for -87 <= x <= 88, where x must be (or NaN). Range reduction by ln 2 in two
 * parts (Cody & Waite 1980), polynomial of degree 6 (coefficients as in Cephes, expf). */
static inline hone_real real_exp_within(hone_real x)
{
    hone_real shifted = real_fma(x, 1.44269504088896341f, 12582912.0f); /* 1.5 * 2^23: the low bits are the integer n */
    hone_real n = shifted - 12582912.0f;
    hone_real r = real_fma(n, -0.693359375f, x);
    r = real_fma(n, 2.12194440e-4f, r);
    hone_real p = 1.9875691500e-4f;
    p = real_fma(p, r, 1.3981999507e-3f);
    p = real_fma(p, r, 8.3334519073e-3f);
    p = real_fma(p, r, 4.1665795894e-2f);
    p = real_fma(p, r, 1.6666665459e-1f);
    p = real_fma(p, r, 5.0000001201e-1f);
    p = real_fma(p, r * r, r + 1.0f);
    uint32_t bits; /* 2^n; unsigned and without a conversion, so that a NaN passes through as one */
    hone_real scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* The same for any x; beyond these bounds, the value at the bound. */
static inline hone_real real_exp(hone_real x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    return real_exp_within(x);
}
#endif

/* e^x in double precision within 2 units in the last place for -708 <= x <= 0; 0 below, as for -inf. As above, with the
 * Taylor polynomial of degree 13, whose remainder on |r| <= ln 2 / 2 is below 1e-17. */
static inline double exp_double(double x)
{
    double clamped = x < -708.0 ? -708.0 : x;
    double shifted = fma(clamped, 1.4426950408889634, 6755399441055744.0); /* 1.5 * 2^52 */
    double n = shifted - 6755399441055744.0;
    double r = fma(n, -6.93147180369123816490e-01, clamped);
    r = fma(n, -1.90821492927058770002e-10, r);
    double p = 1.0 / 6227020800;
    p = fma(p, r, 1.0 / 479001600);
    p = fma(p, r, 1.0 / 39916800);
    p = fma(p, r, 1.0 / 3628800);
    p = fma(p, r, 1.0 / 362880);
    p = fma(p, r, 1.0 / 40320);
    p = fma(p, r, 1.0 / 5040);
    p = fma(p, r, 1.0 / 720);
    p = fma(p, r, 1.0 / 120);
    p = fma(p, r, 1.0 / 24);
    p = fma(p, r, 1.0 / 6);
    p = fma(p, r, 0.5);
    p = fma(p, r * r, r) + 1.0;
    uint64_t bits;
    double scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return x < -708.0 ? 0.0 : p * scale;
}

#endif
