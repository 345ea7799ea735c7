/* block.h - 32 consecutive weights of a quantised row of 4 to 6 bits, taken apart. Packing and conversion share it, so
 * what a file's bytes mean stands once. Layouts are ggml's (ggml-quants.c, ggml-common.h), as facts:
 *
 *   Q5_0  22 bytes for 32   d f16, fifth bits u32, nibbles [16]; w = d (q - 16)
 *   Q5_1  24 bytes for 32   d, m f16, fifth bits u32, nibbles [16]; w = d q + m
 *   Q4_K 144 bytes for 256  d, c f16, 8 scales and 8 minima of 6 bits in 12 bytes, nibbles [128]; w = (d s) q - (c m)
 *   Q5_K 176 bytes for 256  as Q4_K, with 32 bytes of fifth bits before the nibbles
 *   Q6_K 210 bytes for 256  nibbles [128], upper bit pairs [64], 16 scales i8, d f16; w = (d s) (q - 32), 16 to a scale
 *
 * In a block of 32 byte j holds weights j (low) and j + 16 (high). In one of 256, 32 bytes of nibbles hold 32 weights
 * (low) and the 32 (Q6_K: 64) after them (high). d s and c m have 17 significant bits and are exact in a float. */
#ifndef HONE_TENSOR_BLOCK_H
#define HONE_TENSOR_BLOCK_H

#include "tensor/dtype.h"

enum { HONE_BLOCK_WEIGHTS = 32, HONE_SUPER_WEIGHTS = 256 };

typedef struct hone_block {
    uint8_t q[HONE_BLOCK_WEIGHTS];
    uint16_t d, m;    /* halves: Q5 d and what is added (for Q5_0 -16 d); Q4_K and Q5_K d and c; Q6_K d */
    uint8_t scale[2]; /* Q4_K, Q5_K: of all 32, and the minimum; Q6_K: of 16 each, as int8 */
} hone_block;

/* Whether hone_block_read knows the type. */
bool hone_block_is_known(hone_dtype dtype);
/* Block number b of a row. false: a Q5_0 scale so large that -16 d is no half. */
bool hone_block_read(hone_dtype dtype, const unsigned char *row, int64_t b, hone_block *out);

#endif
