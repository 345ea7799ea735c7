/* blocks.c - the scalar reference of expanding the packings of blocks.h: it says what the bits are. */
#include "ops/cpu/blocks.h"

#include <string.h>

static uint16_t half_at(const unsigned char *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* What inputs i to i + 15 of an output are multiplied by, and what is added. */
static void scales_of(hone_packing packing, const unsigned char *head, const unsigned char *block, int lane, int i,
                      hone_real *scale, hone_real *add)
{
    if (packing == HONE_PACK_Q5) {
        *scale = hone_f16_to_f32(half_at(block + 2 * lane));
        *add = hone_f16_to_f32(half_at(block + 32 + 2 * lane));
        return;
    }
    hone_real d = hone_f16_to_f32(half_at(head + 2 * lane));
    if (packing == HONE_PACK_Q6K) {
        *scale = d * (hone_real)(int8_t)block[i / 16 * 16 + lane];
        *add = *scale * -32.0f;
        return;
    }
    *scale = d * (hone_real)block[lane];
    *add = -(hone_f16_to_f32(half_at(head + 32 + 2 * lane)) * (hone_real)block[16 + lane]);
}

static uint32_t value_of(int bits, const unsigned char *words, int lane, int i)
{
    int g = i / 8, k = i % 8 / 2, p = i % 2, shift = 4 - hone_upper_shift(bits, g, p) + 8 * k;
    uint32_t low, high = 0;
    memcpy(&low, words + (g * HONE_PANEL + lane) * 4, 4);
    if (bits > 4)
        memcpy(&high, words + HONE_NIBBLE_BYTES + ((bits == 6 ? g / 2 : 0) * HONE_PANEL + lane) * 4, 4);
    return (low >> i % 8 * 4 & 15) | (bits > 4 ? (high >> shift & (bits == 6 ? 3 : 1)) << 4 : 0);
}

static void expand_block(hone_packing packing, const unsigned char *head, const unsigned char *block, hone_real *out)
{
    hone_block_form f = hone_block_form_of(packing);
    for (int lane = 0; lane < HONE_PANEL; lane++)
        for (int i0 = 0; i0 < HONE_BLOCK_INPUTS; i0 += 16) {
            hone_real scale, add;
            scales_of(packing, head, block, lane, i0, &scale, &add);
            for (int i = i0; i < i0 + 16; i++)
                out[i * HONE_PANEL + lane] =
                    real_fma((hone_real)value_of(f.bits, block + f.scale_bytes, lane, i), scale, add);
        }
}

static void expand(hone_packing packing, const unsigned char *panel, int64_t k0, int64_t k1, hone_real *out)
{
    hone_block_form f = hone_block_form_of(packing);
    for (int64_t b = k0 / HONE_BLOCK_INPUTS; b < k1 / HONE_BLOCK_INPUTS; b++, out += HONE_BLOCK_INPUTS * HONE_PANEL)
        expand_block(packing, panel + hone_head_at(f, b), panel + hone_block_at(f, b), out);
}

#define EXPAND(name, packing)                                                                                          \
    static void expand_##name(const void *panel, int64_t k0, int64_t k1, hone_real *out)                               \
    {                                                                                                                  \
        expand(packing, panel, k0, k1, out);                                                                           \
    }
EXPAND(q5, HONE_PACK_Q5)
EXPAND(q4k, HONE_PACK_Q4K)
EXPAND(q5k, HONE_PACK_Q5K)
EXPAND(q6k, HONE_PACK_Q6K)

void hone_kernels_blocks_scalar(hone_kernels *table)
{
    table->expand[HONE_PACK_Q5] = expand_q5;
    table->expand[HONE_PACK_Q4K] = expand_q4k;
    table->expand[HONE_PACK_Q5K] = expand_q5k;
    table->expand[HONE_PACK_Q6K] = expand_q6k;
}
