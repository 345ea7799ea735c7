/* matrix.c - the scalar reference of the tile, expansion and transpose kernels. Slow on purpose: it says what the bits
 * are. fmaf (real_fma) is a correctly rounded fused multiply-add whether or not the processor has one. */
#include "ops/cpu/blocks.h"

#include <math.h>
#include <string.h>

static inline void tile(int rows, int64_t k, const hone_real *a, int64_t a_row, int64_t a_k, const hone_real *b,
                        int64_t b_k, hone_real *c, int64_t c_row, bool add)
{
    for (int i = 0; i < rows; i++) {
        hone_real sum[HONE_PANEL] = {0};
        for (int64_t p = 0; p < k; p++)
            for (int j = 0; j < HONE_PANEL; j++)
                sum[j] = real_fma(a[i * a_row + p * a_k], b[p * b_k + j], sum[j]);
        for (int j = 0; j < HONE_PANEL; j++)
            c[i * c_row + j] = add ? c[i * c_row + j] + sum[j] : sum[j];
    }
}

#define TILE(rows)                                                                                                     \
    static void tile_##rows(int64_t k, const hone_real *a, int64_t a_row, int64_t a_k, const hone_real *b,             \
                            int64_t b_k, hone_real *c, int64_t c_row, bool add)                                        \
    {                                                                                                                  \
        tile(rows, k, a, a_row, a_k, b, b_k, c, c_row, add);                                                           \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

static void expand_f32(const void *panel, int64_t k0, int64_t k1, hone_real *out)
{
    const float *p = (const float *)panel + k0 * HONE_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * HONE_PANEL; i++)
        out[i] = p[i];
}

static void expand_f16(const void *panel, int64_t k0, int64_t k1, hone_real *out)
{
    const uint16_t *p = (const uint16_t *)panel + k0 * HONE_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * HONE_PANEL; i++)
        out[i] = hone_f16_to_f32(p[i]);
}

static void expand_bf16(const void *panel, int64_t k0, int64_t k1, hone_real *out)
{
    const uint16_t *p = (const uint16_t *)panel + k0 * HONE_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * HONE_PANEL; i++)
        out[i] = hone_bf16_to_f32(p[i]);
}

static void expand_q8(const void *panel, int64_t k0, int64_t k1, hone_real *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        for (int j = 0; j < HONE_PANEL; j++) {
            uint16_t d;
            memcpy(&d, block + 2 * j, 2);
            for (int i = 0; i < 32; i++)
                out[(k - k0 + i) * HONE_PANEL + j] =
                    hone_f16_to_f32(d) * (hone_real)(int8_t)block[32 + i * HONE_PANEL + j];
        }
    }
}

static void expand_q4(const void *panel, int64_t k0, int64_t k1, hone_real *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        for (int j = 0; j < HONE_PANEL; j++) {
            uint16_t d, m;
            memcpy(&d, block + 2 * j, 2);
            memcpy(&m, block + 32 + 2 * j, 2);
            for (int i = 0; i < 32; i++) {
                uint32_t word;
                memcpy(&word, block + 64 + (i / 8 * HONE_PANEL + j) * 4, 4);
                hone_real q = (hone_real)(word >> i % 8 * 4 & 15);
                out[(k - k0 + i) * HONE_PANEL + j] = real_fma(q, hone_f16_to_f32(d), hone_f16_to_f32(m));
            }
        }
    }
}

static void transpose16(const hone_real *x, int64_t x_row, hone_real *y, int64_t y_row)
{
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            y[j * y_row + i] = x[i * x_row + j];
}

static void fma_burn(int64_t rounds, hone_real *sink)
{
    hone_real acc[24];
    for (int j = 0; j < 24; j++)
        acc[j] = *sink + (hone_real)j;
    for (int64_t i = 0; i < rounds; i++)
        for (int j = 0; j < 24; j++)
            acc[j] = real_fma(acc[j], 0.5f, 1.0f);
    for (int j = 0; j < 24; j++)
        *sink += acc[j];
}

void hone_kernels_scalar(hone_kernels *table)
{
    *table = (hone_kernels){
        .isa = "scalar",
        .tile = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
        .expand = {[HONE_PACK_F32] = expand_f32,
                   [HONE_PACK_F16] = expand_f16,
                   [HONE_PACK_BF16] = expand_bf16,
                   [HONE_PACK_Q8] = expand_q8,
                   [HONE_PACK_Q4] = expand_q4},
        .transpose16 = transpose16,
        .fma_burn = fma_burn,
        .vector_floats = 1,
    };
    hone_kernels_blocks_scalar(table);
    hone_kernels_attention_scalar(table);
    hone_kernels_rowwise_scalar(table);
    hone_kernels_pairs_scalar(table);
}
