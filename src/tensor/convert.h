/* convert.h - rows of weights from one element type to another, outside of kernels: for files that hone writes. */
#ifndef HONE_TENSOR_CONVERT_H
#define HONE_TENSOR_CONVERT_H

#include "tensor/dtype.h"

/* Bytes of n weights; n is a multiple of the type's block. */
size_t hone_dtype_bytes(hone_dtype dtype, int64_t n);
/* n weights as floats, by the expansion that the kernels have: fma(q, s, m) or q * d, rounded once. false: a type that
 * hone does not compute with. */
bool hone_dtype_decode(hone_dtype dtype, const void *from, int64_t n, float *to);
/* n floats as F32, F16, BF16 (rounded to nearest even) or Q8_0 (d = max |w| / 127, rounded to f16; q = w / d rounded to
 * nearest). false: another type. */
bool hone_dtype_encode(hone_dtype dtype, const float *from, int64_t n, void *to);
/* The type of that name ("f16", any case) among those that hone_dtype_encode writes; false when there is none. */
bool hone_dtype_parse_written(const char *name, hone_dtype *out);

#endif
