/* matrix.c - AVX2+FMA kernels: 6x16 tiles, expansion of packed panels, matrix-vector products.
 *
 * The tile keeps 6x2 accumulators of 8 lanes, loads 2 vectors of B and broadcasts 6 elements of A for each k: 12 fused
 * multiply-adds against 8 loads, so the FMA units are the limit. The number of rows is a compile-time constant, or the
 * compiler would keep the accumulators in memory.
 *
 * The 4-bit kernels avoid shifting: nibble j of a word, masked in place, is q * 16^j as an integer; converted to float
 * it is exact, and d * 16^-j is exact too, so fma(q*16^j, d*16^-j, m) has the bits of fma(q, d, m). One shift by 16 a
 * word brings the upper four nibbles into reach. */
#include "ops/cpu/blocks.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>

enum {
    PAIR = 2,             /* panels that a matrix-vector loop takes at once */
    EXPAND_TILE_ROWS = 4, /* of a tile that expands as it multiplies; a higher one has no time left to hide it in */
    SCALES_IN_MEMORY = 4  /* from so many rows on the scales are read from memory: the sums need the registers */
};

ALWAYS_INLINE void store_tile(const int rows, __m256 acc[6][2], float *c, int64_t c_row, bool add)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *row = c + i * c_row;
        if (add) {
            acc[i][0] = _mm256_add_ps(_mm256_loadu_ps(row), acc[i][0]);
            acc[i][1] = _mm256_add_ps(_mm256_loadu_ps(row + 8), acc[i][1]);
        }
        _mm256_storeu_ps(row, acc[i][0]);
        _mm256_storeu_ps(row + 8, acc[i][1]);
    }
}

/* C is asked for when its tile begins, or the end would wait for it. */
ALWAYS_INLINE void prefetch_tile(const int rows, const float *c, int64_t c_row)
{
    UNROLL
    for (int i = 0; i < rows; i++)
        _mm_prefetch((const char *)(c + i * c_row), _MM_HINT_T0);
}

ALWAYS_INLINE void tile(const int rows, int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b,
                        int64_t b_k, float *c, int64_t c_row, bool add)
{
    __m256 acc[6][2];
    prefetch_tile(rows, c, c_row);
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int64_t p = 0; p < k; p++) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(a + i * a_row);
            acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
        }
        a += a_k;
        b += b_k;
    }
    store_tile(rows, acc, c, c_row, add);
}

#define TILE(rows)                                                                                                     \
    static void tile_##rows(int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b, int64_t b_k,        \
                            float *c, int64_t c_row, bool add)                                                         \
    {                                                                                                                  \
        tile(rows, k, a, a_row, a_k, b, b_k, c, c_row, add);                                                           \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

static void expand_f16(const void *panel, int64_t k0, int64_t k1, float *out)
{
    const uint16_t *p = (const uint16_t *)panel + k0 * HONE_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * HONE_PANEL; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + i))));
}

static void expand_bf16(const void *panel, int64_t k0, int64_t k1, float *out)
{
    const uint16_t *p = (const uint16_t *)panel + k0 * HONE_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * HONE_PANEL; i += 8) {
        __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + i)));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)));
    }
}

ALWAYS_INLINE __m256 half8(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

ALWAYS_INLINE __m256 bytes8(const unsigned char *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

static void expand_q8(const void *panel, int64_t k0, int64_t k1, float *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        prefetch_block(block, HONE_Q8_BLOCK_BYTES);
        __m256 d0 = half8(block), d1 = half8(block + 16);
        for (int i = 0; i < 32; i++) {
            _mm256_storeu_ps(out, _mm256_mul_ps(d0, bytes8(block + 32 + i * HONE_PANEL)));
            _mm256_storeu_ps(out + 8, _mm256_mul_ps(d1, bytes8(block + 32 + i * HONE_PANEL + 8)));
            out += HONE_PANEL;
        }
    }
}

/* Nibble j (0..3) of 8 words as float q * 16^j. */
ALWAYS_INLINE __m256 nibble(__m256i words, int j)
{
    return _mm256_cvtepi32_ps(_mm256_and_si256(words, _mm256_set1_epi32(15 << 4 * j)));
}

ALWAYS_INLINE void scales(__m256 d, __m256 out[4])
{
    out[0] = d;
    UNROLL
    for (int j = 1; j < 4; j++)
        out[j] = _mm256_mul_ps(out[j - 1], _mm256_set1_ps(0.0625f));
}

static void expand_q4(const void *panel, int64_t k0, int64_t k1, float *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        prefetch_block(block, HONE_Q4_BLOCK_BYTES);
        for (int side = 0; side < 2; side++) {
            __m256 d[4], m = half8(block + 32 + 16 * side);
            scales(half8(block + 16 * side), d);
            for (int g = 0; g < 4; g++) {
                __m256i words = _mm256_loadu_si256((const __m256i *)(block + 64 + g * 64 + 32 * side));
                __m256i upper = _mm256_srli_epi32(words, 16);
                float *o = out + g * 8 * HONE_PANEL + 8 * side;
                UNROLL
                for (int j = 0; j < 4; j++) {
                    _mm256_storeu_ps(o + j * HONE_PANEL, _mm256_fmadd_ps(nibble(words, j), d[j], m));
                    _mm256_storeu_ps(o + (j + 4) * HONE_PANEL, _mm256_fmadd_ps(nibble(upper, j), d[j], m));
                }
            }
        }
        out += 32 * HONE_PANEL;
    }
}

/* Tiles of few rows leave registers for the expansion, which they would otherwise wait for: up to EXPAND_TILE_ROWS. */
ALWAYS_INLINE void multiply(const int rows, const float *x, int64_t a_row, __m256 b0, __m256 b1, __m256 acc[6][2])
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        __m256 v = _mm256_broadcast_ss(x + i * a_row);
        acc[i][0] = _mm256_fmadd_ps(v, b0, acc[i][0]);
        acc[i][1] = _mm256_fmadd_ps(v, b1, acc[i][1]);
    }
}

ALWAYS_INLINE void expand_tile_q4(const int rows, const void *panel, int64_t k0, int64_t k1, const float *a,
                                  int64_t a_row, float *c, int64_t c_row, bool add, float *out)
{
    __m256 acc[6][2];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        prefetch_block(block, HONE_Q4_BLOCK_BYTES);
        __m256 d[2][4], m[2];
        UNROLL
        for (int side = 0; side < 2; side++) {
            m[side] = half8(block + 32 + 16 * side);
            scales(half8(block + 16 * side), d[side]);
        }
        for (int g = 0; g < 4; g++) {
            if (rows >=
                SCALES_IN_MEMORY) /* the compiler would otherwise keep them in registers and move the sums out */
                __asm__ volatile("" : "+m"(d), "+m"(m));
            UNROLL
            for (int half = 0; half < 2; half++) {
                UNROLL
                for (int j = 0; j < 4; j++) {
                    __m256 b[2];
                    UNROLL
                    for (int side = 0; side < 2; side++) { /* loaded each time: cheaper than a register */
                        __m256i words = _mm256_loadu_si256((const __m256i *)(block + 64 + g * 64 + 32 * side));
                        words = half ? _mm256_srli_epi32(words, 16) : words;
                        b[side] = _mm256_fmadd_ps(nibble(words, j), d[side][j], m[side]);
                        _mm256_storeu_ps(out + 8 * side, b[side]);
                    }
                    multiply(rows, a, a_row, b[0], b[1], acc);
                    out += HONE_PANEL;
                    a++;
                }
            }
        }
    }
    store_tile(rows, acc, c, c_row, add);
}

ALWAYS_INLINE void expand_tile_q8(const int rows, const void *panel, int64_t k0, int64_t k1, const float *a,
                                  int64_t a_row, float *c, int64_t c_row, bool add, float *out)
{
    __m256 acc[6][2];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        prefetch_block(block, HONE_Q8_BLOCK_BYTES);
        __m256 d0 = half8(block), d1 = half8(block + 16);
        for (int i = 0; i < 32; i++) {
            __m256 b0 = _mm256_mul_ps(d0, bytes8(block + 32 + i * HONE_PANEL)),
                   b1 = _mm256_mul_ps(d1, bytes8(block + 32 + i * HONE_PANEL + 8));
            _mm256_storeu_ps(out, b0);
            _mm256_storeu_ps(out + 8, b1);
            multiply(rows, a, a_row, b0, b1, acc);
            out += HONE_PANEL;
            a++;
        }
    }
    store_tile(rows, acc, c, c_row, add);
}

#define EXPAND_TILE(type, rows)                                                                                        \
    static void expand_tile_##type##_##rows(const void *panel, int64_t k0, int64_t k1, const float *a, int64_t a_row,  \
                                            float *c, int64_t c_row, bool add, float *out)                             \
    {                                                                                                                  \
        expand_tile_##type(rows, panel, k0, k1, a, a_row, c, c_row, add, out);                                         \
    }
EXPAND_TILE(q4, 1)
EXPAND_TILE(q4, 2)
EXPAND_TILE(q4, 3)
EXPAND_TILE(q4, 4)
EXPAND_TILE(q8, 1)
EXPAND_TILE(q8, 2)
EXPAND_TILE(q8, 3)
EXPAND_TILE(q8, 4)

/* One chunk of at most HONE_K_CHUNK inputs for `panels` panels: acc[2*panels] fresh sums. */
ALWAYS_INLINE void gemv_q4_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const float *x, __m256 *acc)
{
    UNROLL
    for (int v = 0; v < 2 * panels; v++)
        acc[v] = _mm256_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        prefetch_blocks(panels, block, panel_bytes, HONE_Q4_BLOCK_BYTES, blocks_left - b);
        __m256 d[2 * PAIR][4], m[2 * PAIR];
        UNROLL
        for (int v = 0; v < 2 * panels; v++) {
            const unsigned char *p = block + (size_t)(v / 2) * panel_bytes + 16 * (v % 2);
            scales(half8(p), d[v]);
            m[v] = half8(p + 32);
        }
        for (int g = 0; g < 4; g++) {
            __m256i words[2 * PAIR];
            UNROLL
            for (int v = 0; v < 2 * panels; v++)
                words[v] = _mm256_loadu_si256(
                    (const __m256i *)(block + (size_t)(v / 2) * panel_bytes + 64 + g * 64 + 32 * (v % 2)));
            UNROLL
            for (int half = 0; half < 2; half++) {
                UNROLL
                for (int j = 0; j < 4; j++) {
                    __m256 xk = _mm256_broadcast_ss(x + g * 8 + half * 4 + j);
                    UNROLL
                    for (int v = 0; v < 2 * panels; v++)
                        acc[v] = _mm256_fmadd_ps(xk, _mm256_fmadd_ps(nibble(words[v], j), d[v][j], m[v]), acc[v]);
                }
                UNROLL
                for (int v = 0; v < 2 * panels; v++)
                    words[v] = _mm256_srli_epi32(words[v], 16);
            }
        }
        block += HONE_Q4_BLOCK_BYTES;
        x += 32;
    }
}

ALWAYS_INLINE void gemv_q8_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const float *x, __m256 *acc)
{
    UNROLL
    for (int v = 0; v < 2 * panels; v++)
        acc[v] = _mm256_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        prefetch_blocks(panels, block, panel_bytes, HONE_Q8_BLOCK_BYTES, blocks_left - b);
        __m256 d[2 * PAIR];
        UNROLL
        for (int v = 0; v < 2 * panels; v++)
            d[v] = half8(block + (size_t)(v / 2) * panel_bytes + 16 * (v % 2));
        for (int i = 0; i < 32; i++) {
            __m256 xk = _mm256_broadcast_ss(x + i);
            UNROLL
            for (int v = 0; v < 2 * panels; v++) {
                __m256 q = bytes8(block + (size_t)(v / 2) * panel_bytes + 32 + i * HONE_PANEL + 8 * (v % 2));
                acc[v] = _mm256_fmadd_ps(xk, _mm256_mul_ps(d[v], q), acc[v]);
            }
        }
        block += HONE_Q8_BLOCK_BYTES;
        x += 32;
    }
}

#define GEMV(type, block_bytes)                                                                                        \
    ALWAYS_INLINE void gemv_##type##_panels(const int panels, const unsigned char *w, size_t panel_bytes,              \
                                            int64_t n_in, const float *x, float *y)                                    \
    {                                                                                                                  \
        __m256 total[2 * PAIR], acc[2 * PAIR];                                                                         \
        UNROLL                                                                                                         \
        for (int v = 0; v < 2 * panels; v++)                                                                           \
            total[v] = _mm256_setzero_ps();                                                                            \
        for (int64_t k = 0; k < n_in; k += HONE_K_CHUNK) {                                                             \
            int64_t blocks = (n_in - k < HONE_K_CHUNK ? n_in - k : HONE_K_CHUNK) / 32;                                 \
            gemv_##type##_chunk(panels, w + k / 32 * (block_bytes), panel_bytes, blocks, (n_in - k) / 32, x + k, acc); \
            UNROLL                                                                                                     \
            for (int v = 0; v < 2 * panels; v++)                                                                       \
                total[v] = k > 0 ? _mm256_add_ps(total[v], acc[v]) : acc[v]; /* 0 + acc would turn -0 into +0 */       \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int v = 0; v < 2 * panels; v++)                                                                           \
            _mm256_storeu_ps(y + 8 * v, total[v]);                                                                     \
    }                                                                                                                  \
    static void gemv_##type(const void *w, size_t panel_bytes, int n_panels, int64_t n_in, const float *x, float *y)   \
    {                                                                                                                  \
        /* Two at a time: four panels' sums and words would not fit the 16 registers. */                               \
        for (; n_panels >= 2; n_panels -= 2) {                                                                         \
            gemv_##type##_panels(2, w, panel_bytes, n_in, x, y);                                                       \
            w = (const unsigned char *)w + 2 * panel_bytes;                                                            \
            y += 2 * HONE_PANEL;                                                                                       \
        }                                                                                                              \
        if (n_panels == 1)                                                                                             \
            gemv_##type##_panels(1, w, panel_bytes, n_in, x, y);                                                       \
    }
GEMV(q4, HONE_Q4_BLOCK_BYTES)
GEMV(q8, HONE_Q8_BLOCK_BYTES)

ALWAYS_INLINE void transpose8(const float *x, int64_t x_row, float *y, int64_t y_row)
{
    __m256 r[8], s[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(x + i * x_row);
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(s[i + j], s[i + j + 2], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(s[i + j], s[i + j + 2], 0xEE);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + i * y_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(y + (i + 4) * y_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

static void transpose16(const float *x, int64_t x_row, float *y, int64_t y_row)
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            transpose8(x + i * 8 * x_row + j * 8, x_row, y + j * 8 * y_row + i * 8, y_row);
}

static void fma_burn(int64_t rounds, float *sink)
{
    __m256 acc[12], half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1.0f);
    UNROLL
    for (int j = 0; j < 12; j++)
        acc[j] = _mm256_set1_ps(*sink + (float)j); /* distinct, or the compiler would keep one for all */
    for (int64_t i = 0; i < rounds; i++)
        UNROLL
    for (int repeat = 0; repeat < 2; repeat++)
        UNROLL
    for (int j = 0; j < 12; j++)
        acc[j] = _mm256_fmadd_ps(acc[j], half, one);
    for (int j = 1; j < 12; j++)
        acc[0] = _mm256_add_ps(acc[0], acc[j]);
    float out[8];
    _mm256_storeu_ps(out, acc[0]);
    *sink += out[0];
}

void hone_kernels_avx2(hone_kernels *table)
{
    table->isa = "avx2";
    const hone_tile_kernel tiles[] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};
    const hone_expand_tile_kernel q4[] = {NULL, expand_tile_q4_1, expand_tile_q4_2, expand_tile_q4_3, expand_tile_q4_4};
    const hone_expand_tile_kernel q8[] = {NULL, expand_tile_q8_1, expand_tile_q8_2, expand_tile_q8_3, expand_tile_q8_4};
    for (int i = 1; i <= EXPAND_TILE_ROWS; i++) {
        table->expand_tile[HONE_PACK_Q4][i] = q4[i];
        table->expand_tile[HONE_PACK_Q8][i] = q8[i];
    }
    for (int i = 1; i <= HONE_TILE_ROWS; i++)
        table->tile[i] = tiles[i];
    table->expand[HONE_PACK_F16] = expand_f16;
    table->expand[HONE_PACK_BF16] = expand_bf16;
    table->expand[HONE_PACK_Q8] = expand_q8;
    table->expand[HONE_PACK_Q4] = expand_q4;
    table->gemv[HONE_PACK_Q8] = gemv_q8;
    table->gemv[HONE_PACK_Q4] = gemv_q4;
    table->transpose16 = transpose16;
    table->fma_burn = fma_burn;
    table->vector_floats = 8;
    hone_kernels_blocks_avx2(table);
    hone_kernels_attention_avx2(table);
    hone_kernels_rowwise_avx2(table);
    hone_kernels_pairs_avx2(table);
}
