/* real.h - the number that activations, gradients and adapters are made of, and the functions on it that round.
 *
 * float in the program. The same sources are built once more with HONE_DOUBLE, where it is double: the reference that
 * `hone model verify --numerics` and the gradient tests measure single precision against. Files and frozen weights keep
 * their own types in both; a quantised weight d * q + m is not rounded to float in the double build. */
#ifndef HONE_TENSOR_REAL_H
#define HONE_TENSOR_REAL_H

#include <math.h>

#ifdef HONE_DOUBLE
typedef double hone_real;

static inline double real_fma(double a, double b, double c)
{
    return a * b + c; /* a second rounding of 1e-16 is nothing here, and a fused one is slow where it is not built in */
}

static inline double real_sqrt(double x)
{
    return sqrt(x);
}

static inline double real_abs(double x)
{
    return fabs(x);
}
#else
typedef float hone_real;

static inline float real_fma(float a, float b, float c)
{
    return fmaf(a, b, c);
}

static inline float real_sqrt(float x)
{
    return sqrtf(x);
}

static inline float real_abs(float x)
{
    return fabsf(x);
}
#endif

#endif
