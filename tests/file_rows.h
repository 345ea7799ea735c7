/* file_rows.h - weight matrices as they stand in a GGUF file: made at random, and decoded by an independent reader. */
#ifndef HONE_TESTS_FILE_ROWS_H
#define HONE_TESTS_FILE_ROWS_H

#include "base/rng.h"
#include "tensor/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct format {
    const char *name;
    hone_dtype dtype;
    int block_weights, block_bytes;
} format;

static const format formats[] = {
    {"F32", HONE_F32, 1, 4},       {"F16", HONE_F16, 1, 2},      {"BF16", HONE_BF16, 1, 2},
    {"Q8_0", HONE_Q8_0, 32, 34},   {"Q4_0", HONE_Q4_0, 32, 18},  {"Q4_1", HONE_Q4_1, 32, 20},
    {"Q5_0", HONE_Q5_0, 32, 22},   {"Q5_1", HONE_Q5_1, 32, 24},  {"Q4_K", HONE_Q4_K, 256, 144},
    {"Q5_K", HONE_Q5_K, 256, 176}, {"Q6_K", HONE_Q6_K, 256, 210}};
enum { N_FORMATS = sizeof formats / sizeof *formats };
enum { N_TINY_FORMATS = 6 }; /* the first of them: those of tiny_model.h */

/* IEEE 754 binary16, by its definition. */
static inline double half_value(const unsigned char *p)
{
    int bits = p[0] | p[1] << 8, exponent = bits >> 10 & 31, mantissa = bits & 1023;
    uint64_t power = (uint64_t)(exponent - 25 + 1023) << 52; /* 2^(exponent-25) as a double: quicker than ldexp */
    double scale, magnitude;
    memcpy(&scale, &power, sizeof scale);
    magnitude = exponent ? (1024 + mantissa) * scale : mantissa * 0x1p-24;
    return bits & 0x8000 ? -magnitude : magnitude;
}

/* Weight j of a block of 256 that has scales of scales, by the definitions. */
static inline double super_block_value(hone_dtype dtype, const unsigned char *block, int j)
{
    if (dtype == HONE_Q6_K) {
        int half = j / 128, l = j % 32, quarter = j % 128 / 32;
        int low = block[64 * half + 32 * (quarter & 1) + l], high = block[128 + 32 * half + l] >> 2 * quarter & 3;
        return half_value(block + 208) * (double)(signed char)block[192 + j / 16] *
               (double)((quarter < 2 ? low & 15 : low >> 4) + 16 * high - 32);
    }
    const unsigned char *packed = block + 4, *nibbles = block + (dtype == HONE_Q5_K ? 48 : 16) + j / 64 * 32;
    int s = j / 32, q = j / 32 % 2 ? nibbles[j % 32] >> 4 : nibbles[j % 32] & 15;
    int scale = s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) + 16 * (packed[s - 4] >> 6);
    int least = s < 4 ? packed[s + 4] & 63 : (packed[s + 4] >> 4) + 16 * (packed[s] >> 6);
    if (dtype == HONE_Q5_K)
        q += 16 * (block[16 + j % 32] >> s & 1);
    return half_value(block) * scale * q - half_value(block + 2) * least;
}

/* Weight i of a row, by the definitions in ggml's documentation (tensor/dtype.h repeats them), not rounded. */
static inline double decoded_exactly(const format *f, const unsigned char *row, int64_t i)
{
    const unsigned char *block = row + i / f->block_weights * f->block_bytes;
    int j = (int)(i % f->block_weights);
    switch (f->dtype) {
    case HONE_F32: {
        float v;
        memcpy(&v, block, 4);
        return (double)v;
    }
    case HONE_F16:
        return half_value(block);
    case HONE_BF16: {
        uint32_t bits = (uint32_t)block[0] << 16 | (uint32_t)block[1] << 24;
        float v;
        memcpy(&v, &bits, 4);
        return (double)v;
    }
    case HONE_Q8_0:
        return half_value(block) * (double)(signed char)block[2 + j];
    case HONE_Q4_0:
        return half_value(block) * (double)((j < 16 ? block[2 + j] & 15 : block[2 + j - 16] >> 4) - 8);
    case HONE_Q5_0:
    case HONE_Q5_1: {
        const unsigned char *high = block + (f->dtype == HONE_Q5_1 ? 4 : 2), *low = high + 4;
        int q = (j < 16 ? low[j] & 15 : low[j - 16] >> 4) + 16 * (high[j / 8] >> j % 8 & 1);
        return f->dtype == HONE_Q5_1 ? half_value(block) * q + half_value(block + 2) : half_value(block) * (q - 16);
    }
    case HONE_Q4_K:
    case HONE_Q5_K:
    case HONE_Q6_K:
        return super_block_value(f->dtype, block, j);
    default:
        return half_value(block) * (double)(j < 16 ? block[4 + j] & 15 : block[4 + j - 16] >> 4) +
               half_value(block + 2);
    }
}

/* The same, rounded to float once. */
static inline float decoded(const format *f, const unsigned char *row, int64_t i)
{
    return (float)decoded_exactly(f, row, i);
}

/* A random file image of n_out rows; values of about 1/sqrt(n_in) so that products stay near 1. */
static inline unsigned char *new_rows(const format *f, int64_t n_out, int64_t n_in, uint32_t stream, size_t *bytes)
{
    size_t row_bytes = (size_t)(n_in / f->block_weights * f->block_bytes);
    *bytes = row_bytes * (size_t)n_out;
    unsigned char *rows = malloc(*bytes);
    hone_rng_key key = {5, HONE_RNG_TEST, stream};
    double size = 1 / sqrt((double)n_in);
    for (size_t i = 0; i < *bytes; i++)
        rows[i] = (unsigned char)hone_rng_u64(key, i);
    size_t n_blocks = *bytes / (size_t)f->block_bytes;
    for (size_t b = 0; b < n_blocks; b++) {
        unsigned char *p = rows + b * (size_t)f->block_bytes;
        float v = (float)(size * hone_rng_normal(key, 1000000000 + b));
        uint16_t h = hone_f32_to_f16(f->dtype == HONE_Q8_0  ? v / 64
                                     : f->block_weights > 1 ? v / 8
                                                            : v),
                 m = hone_f32_to_f16(-v * 0.9f);
        if (f->dtype == HONE_BF16)
            h = hone_f32_to_bf16(v);
        if (f->dtype == HONE_F32)
            memcpy(p, &v, 4);
        else
            memcpy(p, &h, 2);
        if (f->dtype == HONE_Q4_1 || f->dtype == HONE_Q5_1)
            memcpy(p + 2, &m, 2);
        if (f->block_weights > 32) { /* scales of up to 63, or 127 with a sign, times the super-block's */
            h = hone_f32_to_f16(v / 512);
            m = hone_f32_to_f16(v / 64);
            memcpy(p + (f->dtype == HONE_Q6_K ? 208 : 0), &h, 2);
            if (f->dtype != HONE_Q6_K)
                memcpy(p + 2, &m, 2);
        }
    }
    return rows;
}

#endif
