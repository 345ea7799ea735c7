/* convert.c - element types to floats and back, a row at a time. Blocks as in dtype.h. */
#include "tensor/convert.h"

#include "tensor/block.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { BLOCK = 32 };

size_t hone_dtype_bytes(hone_dtype dtype, int64_t n)
{
    const hone_dtype_info *info = hone_dtype_get_info(dtype);
    return (size_t)(n / info->block_weights) * (size_t)info->block_bytes;
}

static uint16_t half_at(const unsigned char *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

static void decode_q4(const unsigned char *block, bool has_minimum, float *to)
{
    float d = hone_f16_to_f32(half_at(block)), m = has_minimum ? hone_f16_to_f32(half_at(block + 2)) : -8.0f * d;
    const unsigned char *q = block + (has_minimum ? 4 : 2);
    for (int j = 0; j < BLOCK / 2; j++) {
        to[j] = fmaf((float)(q[j] & 15), d, m);
        to[j + BLOCK / 2] = fmaf((float)(q[j] >> 4), d, m);
    }
}

/* The formats of block.h: w = fma(q, s, m), of which s and m are exact. */
static void decode_block(hone_dtype dtype, const unsigned char *row, int64_t number, float *to)
{
    hone_block b;
    hone_block_read(dtype, row, number, &b);
    float d = hone_f16_to_f32(b.d), m = hone_f16_to_f32(b.m);
    for (int j = 0; j < BLOCK; j++) {
        float s = d, add = m;
        if (dtype == HONE_Q4_K || dtype == HONE_Q5_K) {
            s = d * (float)b.scale[0];
            add = -(m * (float)b.scale[1]);
        } else if (dtype == HONE_Q6_K) {
            s = d * (float)(int8_t)b.scale[j / 16];
            add = -32.0f * s;
        }
        to[j] = fmaf((float)b.q[j], s, add);
    }
}

bool hone_dtype_decode(hone_dtype dtype, const void *from, int64_t n, float *to)
{
    const unsigned char *p = from;
    if (hone_block_is_known(dtype)) {
        for (int64_t b = 0; b < n / BLOCK; b++)
            decode_block(dtype, p, b, to + b * BLOCK);
        return true;
    }
    switch (dtype) {
    case HONE_F32:
        memcpy(to, from, (size_t)n * sizeof *to);
        return true;
    case HONE_F16:
        for (int64_t i = 0; i < n; i++)
            to[i] = hone_f16_to_f32(half_at(p + 2 * i));
        return true;
    case HONE_BF16:
        for (int64_t i = 0; i < n; i++)
            to[i] = hone_bf16_to_f32(half_at(p + 2 * i));
        return true;
    case HONE_Q8_0:
        for (int64_t b = 0; b < n / BLOCK; b++, p += 34)
            for (int j = 0; j < BLOCK; j++)
                to[b * BLOCK + j] = hone_f16_to_f32(half_at(p)) * (float)(int8_t)p[2 + j];
        return true;
    case HONE_Q4_0:
    case HONE_Q4_1:
        for (int64_t b = 0; b < n / BLOCK; b++, p += dtype == HONE_Q4_0 ? 18 : 20)
            decode_q4(p, dtype == HONE_Q4_1, to + b * BLOCK);
        return true;
    default:
        return false;
    }
}

static void encode_q8(const float *from, unsigned char *block)
{
    float top = 0;
    for (int j = 0; j < BLOCK; j++)
        top = fmaxf(top, fabsf(from[j]));
    uint16_t scale = hone_f32_to_f16(top / 127);
    float d = hone_f16_to_f32(scale);
    memcpy(block, &scale, sizeof scale);
    for (int j = 0; j < BLOCK; j++) {
        float q = d > 0 ? rintf(from[j] / d) : 0; /* beyond 127 where the scale was rounded down */
        block[2 + j] = (unsigned char)(int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
    }
}

bool hone_dtype_encode(hone_dtype dtype, const float *from, int64_t n, void *to)
{
    unsigned char *p = to;
    switch (dtype) {
    case HONE_F32:
        memcpy(to, from, (size_t)n * sizeof *from);
        return true;
    case HONE_F16:
    case HONE_BF16:
        for (int64_t i = 0; i < n; i++) {
            uint16_t h = dtype == HONE_F16 ? hone_f32_to_f16(from[i]) : hone_f32_to_bf16(from[i]);
            memcpy(p + 2 * i, &h, sizeof h);
        }
        return true;
    case HONE_Q8_0:
        for (int64_t b = 0; b < n / BLOCK; b++)
            encode_q8(from + b * BLOCK, p + 34 * b);
        return true;
    default:
        return false;
    }
}

bool hone_dtype_parse_written(const char *name, hone_dtype *out)
{
    static const hone_dtype written[] = {HONE_F32, HONE_F16, HONE_BF16, HONE_Q8_0};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (strcasecmp(name, hone_dtype_get_info(written[i])->name) == 0) {
            *out = written[i];
            return true;
        }
    return false;
}
