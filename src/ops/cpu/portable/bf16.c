/* bf16.c - the products of the numerics class bf16 in plain C: what the bits are (hone_pair in kernels.h).
 *
 * Compiled once for each instruction set (HONE_SET names it); a processor with VDPBF16PS has faster twins. That
 * instruction adds two products to a float32, upper halves first, each by a fused multiply-add that rounds to nearest
 * even and flushes: a sum that is tiny after rounding to 24 bits, however small its exponent, becomes a zero of its
 * sign (Intel 64 and IA-32 Software Developer's Manual, volume 2, VDPBF16PS). A product of two bfloat16 has 16 bits, so
 * the multiplication itself never rounds. Inputs below the normal range count as zeros when they are rounded already,
 * as VCVTNE2PS2BF16 does, so a pair holds none. */
#include "ops/cpu/portable/arithmetic.h"

#include <float.h>
#include <math.h>
#include <string.h>

static inline uint16_t round_to_bf16(hone_real x)
{
    float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (f != f)
        return (uint16_t)(bits >> 16 | 0x40);
    if ((bits & 0x7F800000u) == 0)
        return (uint16_t)(bits >> 16 & 0x8000);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static inline hone_pair pair_of(hone_real even, hone_real odd)
{
    return (uint32_t)round_to_bf16(even) << 16 | round_to_bf16(odd);
}

static inline float upper(hone_pair p)
{
    uint32_t bits = p & 0xFFFF0000u;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float lower(hone_pair p)
{
    return upper(p << 16);
}

/* fma(x, w, sum) was `rounded`, to at most the least normal number: it is a zero if the sum is below that when rounded
 * to 24 bits as numbers 2^64 times as great are. */
static float flush(float rounded, float x, float w, float sum)
{
    const float up = 0x1p64f;
    return fabsf(fmaf(x * up, w, sum * up)) < FLT_MIN * up ? copysignf(0, rounded) : rounded;
}

static inline void add_products(float x, const float w[HONE_PANEL], float sum[HONE_PANEL])
{
    float next[HONE_PANEL];
    int small = 0;
    for (int j = 0; j < HONE_PANEL; j++) {
        next[j] = fmaf(x, w[j], sum[j]);
        small |= fabsf(next[j]) <= FLT_MIN;
    }
    if (small)
        for (int j = 0; j < HONE_PANEL; j++)
            if (fabsf(next[j]) <= FLT_MIN)
                next[j] = flush(next[j], x, w[j], sum[j]);
    memcpy(sum, next, sizeof next);
}

static inline void tile(int rows, int64_t n_pairs, const hone_pair *x, int64_t x_row, const hone_pair *b, hone_real *c,
                        int64_t c_row, bool add)
{
    for (int i = 0; i < rows; i++) {
        float sum[HONE_PANEL] = {0};
        for (int64_t p = 0; p < n_pairs; p++) {
            float even[HONE_PANEL], odd[HONE_PANEL];
            for (int j = 0; j < HONE_PANEL; j++) {
                even[j] = upper(b[p * HONE_PANEL + j]);
                odd[j] = lower(b[p * HONE_PANEL + j]);
            }
            add_products(upper(x[i * x_row + p]), even, sum);
            add_products(lower(x[i * x_row + p]), odd, sum);
        }
        for (int j = 0; j < HONE_PANEL; j++)
            c[i * c_row + j] = add ? c[i * c_row + j] + sum[j] : sum[j];
    }
}

#define TILE(rows)                                                                                                     \
    static void tile_##rows(int64_t n_pairs, const hone_pair *x, int64_t x_row, const hone_pair *b, hone_real *c,      \
                            int64_t c_row, bool add)                                                                   \
    {                                                                                                                  \
        tile(rows, n_pairs, x, x_row, b, c, c_row, add);                                                               \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)

static void weave(int64_t n, const hone_real *w, hone_pair *out)
{
    for (int64_t k = 0; k < n; k += 2)
        for (int j = 0; j < HONE_PANEL; j++)
            *out++ = pair_of(w[k * HONE_PANEL + j], k + 1 < n ? w[(k + 1) * HONE_PANEL + j] : 0);
}

static void round_row(int64_t n, const hone_real *x, hone_pair *out)
{
    for (int64_t k = 0; k < n; k += 2)
        *out++ = pair_of(x[k], k + 1 < n ? x[k + 1] : 0);
}

static void transpose16(const hone_real *x, hone_pair *y)
{
    for (int p = 0; p < HONE_PANEL / 2; p++)
        for (int k = 0; k < HONE_PANEL; k++)
            y[p * HONE_PANEL + k] = pair_of(x[k * HONE_PANEL + 2 * p], x[k * HONE_PANEL + 2 * p + 1]);
}

#define JOIN(a, b) a##b
#define NAME(set) JOIN(hone_kernels_pairs_, set)
#define TEXT(set) #set
#define TEXT_OF(set) TEXT(set)

void NAME(HONE_SET)(hone_kernels *table)
{
    const hone_pair_tile_kernel tiles[] = {NULL,   tile_1, tile_2, tile_3, tile_4, tile_5,
                                           tile_6, tile_7, tile_8, tile_9, tile_10};
    memcpy(table->pair_tile, tiles, sizeof tiles);
    table->pair_isa = TEXT_OF(HONE_SET);
    table->pair_weave = weave;
    table->pair_round = round_row;
    table->pair_transpose16 = transpose16;
}
