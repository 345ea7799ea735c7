/* dtype.h - element types of tensors and the block formats of quantised ones.
 *
 * Numbers are ggml's, as they stand in GGUF files. A block format stores 32 or 256 consecutive weights of a row
 * together.
 */
#ifndef HONE_TENSOR_DTYPE_H
#define HONE_TENSOR_DTYPE_H

#include "hone.h"

typedef enum hone_dtype {
    HONE_F32 = 0,
    HONE_F16 = 1,
    HONE_Q4_0 = 2, /* d:f16, 16 bytes of nibbles; w = d * (q - 8); byte j holds weights j (low) and j+16 (high) */
    HONE_Q4_1 = 3, /* d:f16, m:f16, 16 bytes of nibbles; w = d * q + m */
    HONE_Q5_0 = 6, /* these five: block.h */
    HONE_Q5_1 = 7,
    HONE_Q8_0 = 8, /* d:f16, 32 int8; w = d * q */
    HONE_Q4_K = 12,
    HONE_Q5_K = 13,
    HONE_Q6_K = 14,
    HONE_BF16 = 30
} hone_dtype;

/* Those that hone computes with, for messages. */
#define HONE_DTYPE_NAMES "F32, F16, BF16, Q8_0, Q6_K, Q5_0, Q5_1, Q5_K, Q4_0, Q4_1 and Q4_K"

typedef struct hone_dtype_info {
    const char *name;  /* "Q4_1" */
    int block_weights; /* weights in a block; 1 for plain types */
    int block_bytes;
    bool supported; /* hone can compute with it */
} hone_dtype_info;

/* NULL for a number that no version of GGUF uses. */
const hone_dtype_info *hone_dtype_get_info(int dtype);

float hone_f16_to_f32(uint16_t h);
uint16_t hone_f32_to_f16(float f); /* round to nearest even */
float hone_bf16_to_f32(uint16_t h);
uint16_t hone_f32_to_bf16(float f); /* round to nearest even */

#endif
