/* real.h - the number that activations, gradients and adapters are made of.
 *
 * float in the program. The same sources are built once more with HONE_DOUBLE, where it is double: the reference that
 * `hone model verify --numerics` and the gradient tests measure single precision against. Files and frozen weights keep
 * their own types in both. */
#ifndef HONE_TENSOR_REAL_H
#define HONE_TENSOR_REAL_H

#ifdef HONE_DOUBLE
typedef double hone_real;
#else
typedef float hone_real;
#endif

#endif
