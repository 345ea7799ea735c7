/* block.c - reading the quantised formats of 4 to 6 bits that have more to them than nibbles and a scale. */
#include "tensor/block.h"

#include <string.h>

enum { BLOCKS_OF_SUPER = HONE_SUPER_WEIGHTS / HONE_BLOCK_WEIGHTS };

static uint16_t half_at(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static bool read_q5(const unsigned char *p, bool has_minimum, hone_block *out)
{
    const unsigned char *high = p + (has_minimum ? 4 : 2), *nibbles = high + 4;
    uint32_t fifth = (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 | (uint32_t)high[3] << 24;
    for (int j = 0; j < 16; j++) {
        out->q[j] = (uint8_t)((nibbles[j] & 15) | (fifth >> j & 1) << 4);
        out->q[j + 16] = (uint8_t)(nibbles[j] >> 4 | (fifth >> (j + 16) & 1) << 4);
    }
    out->d = half_at(p);
    out->m = has_minimum ? half_at(p + 2) : hone_f32_to_f16(-16.0f * hone_f16_to_f32(out->d));
    return has_minimum || (out->m & 0x7FFF) != 0x7C00;
}

/* Scale and minimum number i of 12 bytes: the first four of each have their 6 bits in bytes i and i + 4; the others
 * have their lower 4 in the nibbles of byte i + 4 and their upper 2 in the spare bits of bytes i - 4 and i. */
static void read_scales(const unsigned char *p, int i, uint8_t out[2])
{
    if (i < 4) {
        out[0] = p[i] & 63;
        out[1] = p[i + 4] & 63;
        return;
    }
    out[0] = (uint8_t)((p[i + 4] & 15) | p[i - 4] >> 6 << 4);
    out[1] = (uint8_t)(p[i + 4] >> 4 | p[i] >> 6 << 4);
}

static void read_q45_k(const unsigned char *p, int i, bool five, hone_block *out)
{
    const unsigned char *fifth = p + 16, *nibbles = (five ? p + 48 : p + 16) + i / 2 * 32;
    out->d = half_at(p);
    out->m = half_at(p + 2);
    read_scales(p + 4, i, out->scale);
    for (int j = 0; j < HONE_BLOCK_WEIGHTS; j++) {
        int low = i % 2 ? nibbles[j] >> 4 : nibbles[j] & 15;
        out->q[j] = (uint8_t)(low | (five ? (fifth[j] >> i & 1) << 4 : 0));
    }
}

static void read_q6_k(const unsigned char *p, int i, hone_block *out)
{
    int quarter = i % 4; /* of 128 weights */
    const unsigned char *nibbles = p + i / 4 * 64 + quarter % 2 * 32, *pairs = p + 128 + i / 4 * 32;
    for (int j = 0; j < HONE_BLOCK_WEIGHTS; j++) {
        int low = quarter < 2 ? nibbles[j] & 15 : nibbles[j] >> 4;
        out->q[j] = (uint8_t)(low | (pairs[j] >> (2 * quarter) & 3) << 4);
    }
    out->scale[0] = p[192 + 2 * i];
    out->scale[1] = p[192 + 2 * i + 1];
    out->d = half_at(p + 208);
    out->m = 0;
}

bool hone_block_is_known(hone_dtype dtype)
{
    return dtype == HONE_Q5_0 || dtype == HONE_Q5_1 || dtype == HONE_Q4_K || dtype == HONE_Q5_K || dtype == HONE_Q6_K;
}

bool hone_block_read(hone_dtype dtype, const unsigned char *row, int64_t b, hone_block *out)
{
    const hone_dtype_info *info = hone_dtype_get_info(dtype);
    if (info->block_weights == HONE_BLOCK_WEIGHTS)
        return read_q5(row + b * info->block_bytes, dtype == HONE_Q5_1, out);
    const unsigned char *super = row + b / BLOCKS_OF_SUPER * info->block_bytes;
    int i = (int)(b % BLOCKS_OF_SUPER);
    if (dtype == HONE_Q6_K)
        read_q6_k(super, i, out);
    else
        read_q45_k(super, i, dtype == HONE_Q5_K, out);
    return true;
}
