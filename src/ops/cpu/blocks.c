/* blocks.c - rows of quantised blocks into panels (blocks.h). */
#include "ops/cpu/blocks.h"

#include "tensor/block.h"

#include <string.h>

hone_packing hone_block_packing(hone_dtype dtype)
{
    return dtype == HONE_Q4_K   ? HONE_PACK_Q4K
           : dtype == HONE_Q5_K ? HONE_PACK_Q5K
           : dtype == HONE_Q6_K ? HONE_PACK_Q6K
                                : HONE_PACK_Q5;
}

static void put_scales(hone_packing packing, const hone_block *b, int lane, unsigned char *head, unsigned char *block)
{
    if (packing == HONE_PACK_Q5) {
        memcpy(block + 2 * lane, &b->d, 2);
        memcpy(block + 32 + 2 * lane, &b->m, 2);
        return;
    }
    memcpy(head + 2 * lane, &b->d, 2);
    if (packing != HONE_PACK_Q6K)
        memcpy(head + 32 + 2 * lane, &b->m, 2);
    block[lane] = b->scale[0];
    block[16 + lane] = b->scale[1];
}

static void put_values(int bits, const uint8_t *q, int lane, unsigned char *words)
{
    uint32_t low[4] = {0}, high[2] = {0};
    for (int i = 0; i < HONE_BLOCK_INPUTS; i++) {
        int g = i / 8, k = i % 8 / 2, p = i % 2;
        low[g] |= (uint32_t)(q[i] & 15) << 4 * (i % 8);
        if (bits == 5)
            high[0] |= (uint32_t)(q[i] >> 4) << (8 * k + 2 * g + p);
        else
            high[g / 2] |= (uint32_t)(q[i] >> 4) << (8 * k + 4 * (g % 2) + 2 * p);
    }
    for (int g = 0; g < 4; g++)
        memcpy(words + (g * HONE_PANEL + lane) * 4, &low[g], 4);
    for (int w = 0; w < bits - 4; w++)
        memcpy(words + HONE_NIBBLE_BYTES + (w * HONE_PANEL + lane) * 4, &high[w], 4);
}

bool hone_block_pack_row(hone_packing packing, hone_dtype dtype, int64_t n_in, const unsigned char *row, int lane,
                         unsigned char *panel)
{
    hone_block_form f = hone_block_form_of(packing);
    bool good = true;
    for (int64_t number = 0; number < n_in / HONE_BLOCK_INPUTS; number++) {
        unsigned char *block = panel + hone_block_at(f, number);
        hone_block b;
        good &= hone_block_read(dtype, row, number, &b);
        put_scales(packing, &b, lane, panel + hone_head_at(f, number), block);
        put_values(f.bits, b.q, lane, block + f.scale_bytes);
    }
    return good;
}
