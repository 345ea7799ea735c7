/* blocks.h - packed weights of 5 and 6 bits and those with scales of scales: how a panel lies, for packing and kernels.
 *
 * Each 32 inputs of a panel's 16 outputs make a block:
 *
 *   [scales]  u32 [4][16] lower four bits, as q4 has them: word g of an output holds inputs 8g..8g+7 in its nibbles
 *             u32 [16]    5 bits: the fifth of input 8g + 2k + p is bit 8k + 2g + p          (p 0 or 1, k 0..3)
 *             u32 [2][16] 6 bits: the upper two of that input are bits 8k + 4 (g % 2) + 2p of word g / 2
 *
 *   q5   scales d f16[16], m f16[16]; w = fma(q, d, m)                                      (384 bytes a block)
 *   q4k  every 8 blocks a head d f16[16], c f16[16]; scales s u8[16], t u8[16]; w = fma(q, d s, -(c t))    (64, 288)
 *   q5k  likewise                                                                                          (64, 352)
 *   q6k  every 8 blocks a head d f16[16]; scales s i8[2][16], 16 inputs each; w = fma(q, d s, -32 d s)     (32, 416)
 *
 * d s and c t are exact in a float, so a weight is rounded once. The places of the upper bits are such that one shift
 * and one mask bring those of four inputs above the nibbles of the same four, a byte each. */
#ifndef HONE_OPS_CPU_BLOCKS_H
#define HONE_OPS_CPU_BLOCKS_H

#include "ops/cpu/kernels.h"

enum { HONE_BLOCK_INPUTS = 32, HONE_HEAD_BLOCKS = 8, HONE_NIBBLE_BYTES = 256 };

typedef struct hone_block_form {
    int bits;        /* of a q; 0: the packing has no such blocks */
    int head_bytes;  /* before each HONE_HEAD_BLOCKS blocks; 0: no heads */
    int scale_bytes; /* at the start of each block */
    int block_bytes;
} hone_block_form;

static inline hone_block_form hone_block_form_of(hone_packing packing)
{
    switch (packing) {
    case HONE_PACK_Q5:
        return (hone_block_form){5, 0, 64, 64 + HONE_NIBBLE_BYTES + 64};
    case HONE_PACK_Q4K:
        return (hone_block_form){4, 64, 32, 32 + HONE_NIBBLE_BYTES};
    case HONE_PACK_Q5K:
        return (hone_block_form){5, 64, 32, 32 + HONE_NIBBLE_BYTES + 64};
    case HONE_PACK_Q6K:
        return (hone_block_form){6, 32, 32, 32 + HONE_NIBBLE_BYTES + 128};
    default:
        return (hone_block_form){0};
    }
}

/* Bytes of HONE_HEAD_BLOCKS blocks with their head. */
static inline size_t hone_head_stride(hone_block_form f)
{
    return (size_t)(f.head_bytes + HONE_HEAD_BLOCKS * f.block_bytes);
}

/* Where block b of a panel begins, and its head. */
static inline size_t hone_block_at(hone_block_form f, int64_t b)
{
    return (size_t)b * (size_t)f.block_bytes + (size_t)(b / HONE_HEAD_BLOCKS + 1) * (size_t)f.head_bytes;
}

static inline size_t hone_head_at(hone_block_form f, int64_t b)
{
    return (size_t)(b / HONE_HEAD_BLOCKS) * hone_head_stride(f);
}

/* How far left (negative: right) a word of upper bits is shifted, so that those of inputs 8g + 2k + p come to bit 4 of
 * byte k. */
static inline int hone_upper_shift(int bits, int g, int p)
{
    return bits == 5 ? 4 - (2 * g + p) : 4 - (4 * (g % 2) + 2 * p);
}

/* The kernels, to be put into a table of its instruction set. */
void hone_kernels_blocks_scalar(hone_kernels *table);
#if defined(__x86_64__)
void hone_kernels_blocks_avx2(hone_kernels *table);
void hone_kernels_blocks_avx512(hone_kernels *table);
#endif

/* The packing of a file's type that block.h reads. */
hone_packing hone_block_packing(hone_dtype dtype);
/* Row `row` of a file as output `lane` of a zeroed panel. false: a scale beyond what the packing can hold. */
bool hone_block_pack_row(hone_packing packing, hone_dtype dtype, int64_t n_in, const unsigned char *row, int lane,
                         unsigned char *panel);

#endif
