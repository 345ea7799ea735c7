/* matrix.c - AVX-512 kernels: one 512-bit vector is one panel of 16 outputs.
 *
 * The bits are those of the scalar twins: a lane does what it does there, in the same order. A tile needs one load of B
 * and a multiply-add with a broadcast memory operand a row for each k: up to six rows, or twelve in the tall tile,
 * whose sums keep two FMA units busy and whose beginning and end cost half as much a row. The 4-bit kernels mask
 * nibbles in place and scale d by 16^-j, as the AVX2 ones do (avx2/matrix.c says why that is exact). */
#include "ops/cpu/blocks.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>

ALWAYS_INLINE void store_tile(const int rows, __m512 *acc, float *c, int64_t c_row, bool add)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *row = c + i * c_row;
        _mm512_storeu_ps(row, add ? _mm512_add_ps(_mm512_loadu_ps(row), acc[i]) : acc[i]);
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
    __m512 acc[HONE_TILE_ROWS];
    prefetch_tile(rows, c, c_row);
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++) {
        __m512 panel = _mm512_loadu_ps(b);
        UNROLL
        for (int i = 0; i < rows; i++)
            acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * a_row]), panel, acc[i]);
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

static void tile_tall(int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b, int64_t b_k, float *c,
                      int64_t c_row, bool add)
{
    enum { HALF = HONE_TALL_TILE_ROWS / 2 };
    __m512 upper[HALF], lower[HALF];
    const float *a_lower = a + HALF * a_row; /* from one base, x86 addresses reach six rows */
    prefetch_tile(HONE_TALL_TILE_ROWS, c, c_row);
    UNROLL
    for (int i = 0; i < HALF; i++)
        upper[i] = lower[i] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++) {
        __m512 panel = _mm512_loadu_ps(b);
        UNROLL
        for (int i = 0; i < HALF; i++)
            upper[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * a_row]), panel, upper[i]);
        UNROLL
        for (int i = 0; i < HALF; i++)
            lower[i] = _mm512_fmadd_ps(_mm512_set1_ps(a_lower[i * a_row]), panel, lower[i]);
        a += a_k;
        a_lower += a_k;
        b += b_k;
    }
    store_tile(HALF, upper, c, c_row, add);
    store_tile(HALF, lower, c + HALF * c_row, c_row, add);
}

ALWAYS_INLINE __m512 half16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

ALWAYS_INLINE __m512 bytes16(const unsigned char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

static void expand_q8(const void *panel, int64_t k0, int64_t k1, float *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        __m512 d = half16(block);
        for (int i = 0; i < 32; i++) {
            _mm512_storeu_ps(out, _mm512_mul_ps(d, bytes16(block + 32 + i * HONE_PANEL)));
            out += HONE_PANEL;
        }
    }
}

/* Nibble j (0..3) of 16 words as float q * 16^j. */
ALWAYS_INLINE __m512 nibble(__m512i words, int j)
{
    return _mm512_cvtepi32_ps(_mm512_and_si512(words, _mm512_set1_epi32(15 << 4 * j)));
}

ALWAYS_INLINE void scales(__m512 d, __m512 out[4])
{
    out[0] = d;
    UNROLL
    for (int j = 1; j < 4; j++)
        out[j] = _mm512_mul_ps(out[j - 1], _mm512_set1_ps(0.0625f));
}

static void expand_q4(const void *panel, int64_t k0, int64_t k1, float *out)
{
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        __m512 d[4], m = half16(block + 32);
        scales(half16(block), d);
        for (int g = 0; g < 4; g++) {
            __m512i words = _mm512_loadu_si512(block + 64 + g * 64), upper = _mm512_srli_epi32(words, 16);
            float *o = out + g * 8 * HONE_PANEL;
            UNROLL
            for (int j = 0; j < 4; j++) {
                _mm512_storeu_ps(o + j * HONE_PANEL, _mm512_fmadd_ps(nibble(words, j), d[j], m));
                _mm512_storeu_ps(o + (j + 4) * HONE_PANEL, _mm512_fmadd_ps(nibble(upper, j), d[j], m));
            }
        }
        out += 32 * HONE_PANEL;
    }
}

ALWAYS_INLINE void expand_tile_q4(const int rows, const void *panel, int64_t k0, int64_t k1, const float *a,
                                  int64_t a_row, float *c, int64_t c_row, bool add, float *out)
{
    __m512 acc[HONE_TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        prefetch_block(block, HONE_Q4_BLOCK_BYTES);
        __m512 d[4], m = half16(block + 32);
        scales(half16(block), d);
        for (int g = 0; g < 4; g++) {
            __m512i words = _mm512_loadu_si512(block + 64 + g * 64);
            UNROLL
            for (int half = 0; half < 2; half++) {
                UNROLL
                for (int j = 0; j < 4; j++) {
                    __m512 w = _mm512_fmadd_ps(nibble(words, j), d[j], m);
                    _mm512_storeu_ps(out, w);
                    UNROLL
                    for (int i = 0; i < rows; i++)
                        acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * a_row]), w, acc[i]);
                    out += HONE_PANEL;
                    a++;
                }
                words = _mm512_srli_epi32(words, 16);
            }
        }
    }
    store_tile(rows, acc, c, c_row, add);
}

ALWAYS_INLINE void expand_tile_q8(const int rows, const void *panel, int64_t k0, int64_t k1, const float *a,
                                  int64_t a_row, float *c, int64_t c_row, bool add, float *out)
{
    __m512 acc[HONE_TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        prefetch_block(block, HONE_Q8_BLOCK_BYTES);
        __m512 d = half16(block);
        for (int q = 0; q < 32; q++) {
            __m512 w = _mm512_mul_ps(d, bytes16(block + 32 + q * HONE_PANEL));
            _mm512_storeu_ps(out, w);
            UNROLL
            for (int i = 0; i < rows; i++)
                acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * a_row]), w, acc[i]);
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
EXPAND_TILE(q4, 5)
EXPAND_TILE(q4, 6)
EXPAND_TILE(q8, 1)
EXPAND_TILE(q8, 2)
EXPAND_TILE(q8, 3)
EXPAND_TILE(q8, 4)
EXPAND_TILE(q8, 5)
EXPAND_TILE(q8, 6)

/* One chunk of at most HONE_K_CHUNK inputs for `panels` panels: fresh sums in acc. */
ALWAYS_INLINE void gemv_q4_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const float *x, __m512 *acc)
{
    UNROLL
    for (int v = 0; v < panels; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        prefetch_blocks(panels, block, panel_bytes, HONE_Q4_BLOCK_BYTES, blocks_left - b);
        __m512 d[HONE_GEMV_PANELS][4], m[HONE_GEMV_PANELS];
        UNROLL
        for (int v = 0; v < panels; v++) {
            const unsigned char *p = block + (size_t)v * panel_bytes;
            scales(half16(p), d[v]);
            m[v] = half16(p + 32);
        }
        for (int g = 0; g < 4; g++) {
            __m512i words[HONE_GEMV_PANELS];
            UNROLL
            for (int v = 0; v < panels; v++)
                words[v] = _mm512_loadu_si512(block + (size_t)v * panel_bytes + 64 + g * 64);
            UNROLL
            for (int half = 0; half < 2; half++) {
                UNROLL
                for (int j = 0; j < 4; j++) {
                    __m512 xk = _mm512_set1_ps(x[g * 8 + half * 4 + j]);
                    UNROLL
                    for (int v = 0; v < panels; v++)
                        acc[v] = _mm512_fmadd_ps(xk, _mm512_fmadd_ps(nibble(words[v], j), d[v][j], m[v]), acc[v]);
                }
                UNROLL
                for (int v = 0; v < panels; v++)
                    words[v] = _mm512_srli_epi32(words[v], 16);
            }
        }
        block += HONE_Q4_BLOCK_BYTES;
        x += 32;
    }
}

ALWAYS_INLINE void gemv_q8_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const float *x, __m512 *acc)
{
    UNROLL
    for (int v = 0; v < panels; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        prefetch_blocks(panels, block, panel_bytes, HONE_Q8_BLOCK_BYTES, blocks_left - b);
        __m512 d[HONE_GEMV_PANELS];
        UNROLL
        for (int v = 0; v < panels; v++)
            d[v] = half16(block + (size_t)v * panel_bytes);
        for (int i = 0; i < 32; i++) {
            __m512 xk = _mm512_set1_ps(x[i]);
            UNROLL
            for (int v = 0; v < panels; v++) {
                __m512 q = bytes16(block + (size_t)v * panel_bytes + 32 + i * HONE_PANEL);
                acc[v] = _mm512_fmadd_ps(xk, _mm512_mul_ps(d[v], q), acc[v]);
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
        __m512 total[HONE_GEMV_PANELS], acc[HONE_GEMV_PANELS];                                                         \
        UNROLL                                                                                                         \
        for (int v = 0; v < panels; v++)                                                                               \
            total[v] = _mm512_setzero_ps();                                                                            \
        for (int64_t k = 0; k < n_in; k += HONE_K_CHUNK) {                                                             \
            int64_t blocks = (n_in - k < HONE_K_CHUNK ? n_in - k : HONE_K_CHUNK) / 32;                                 \
            gemv_##type##_chunk(panels, w + k / 32 * (block_bytes), panel_bytes, blocks, (n_in - k) / 32, x + k, acc); \
            UNROLL                                                                                                     \
            for (int v = 0; v < panels; v++)                                                                           \
                total[v] = k > 0 ? _mm512_add_ps(total[v], acc[v]) : acc[v]; /* 0 + acc would turn -0 into +0 */       \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int v = 0; v < panels; v++)                                                                               \
            _mm512_storeu_ps(y + HONE_PANEL * v, total[v]);                                                            \
    }                                                                                                                  \
    static void gemv_##type(const void *w, size_t panel_bytes, int n_panels, int64_t n_in, const float *x, float *y)   \
    {                                                                                                                  \
        switch (n_panels) {                                                                                            \
        case 4:                                                                                                        \
            gemv_##type##_panels(4, w, panel_bytes, n_in, x, y);                                                       \
            break;                                                                                                     \
        case 3:                                                                                                        \
            gemv_##type##_panels(3, w, panel_bytes, n_in, x, y);                                                       \
            break;                                                                                                     \
        case 2:                                                                                                        \
            gemv_##type##_panels(2, w, panel_bytes, n_in, x, y);                                                       \
            break;                                                                                                     \
        default:                                                                                                       \
            gemv_##type##_panels(1, w, panel_bytes, n_in, x, y);                                                       \
        }                                                                                                              \
    }
GEMV(q4, HONE_Q4_BLOCK_BYTES)
GEMV(q8, HONE_Q8_BLOCK_BYTES)

static void fma_burn(int64_t rounds, float *sink)
{
    __m512 acc[12], half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1.0f);
    UNROLL
    for (int j = 0; j < 12; j++)
        acc[j] = _mm512_set1_ps(*sink + (float)j); /* distinct, or the compiler would keep one for all */
    for (int64_t i = 0; i < rounds; i++) {
        UNROLL
        for (int repeat = 0; repeat < 2; repeat++) {
            UNROLL
            for (int j = 0; j < 12; j++)
                acc[j] = _mm512_fmadd_ps(acc[j], half, one);
        }
    }
    UNROLL
    for (int j = 1; j < 12; j++)
        acc[0] = _mm512_add_ps(acc[0], acc[j]);
    *sink += _mm512_cvtss_f32(acc[0]);
}

/* Called after hone_kernels_avx2: what is not set here stays as AVX2 has it. */
void hone_kernels_avx512(hone_kernels *table)
{
    const hone_tile_kernel tiles[] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};
    table->isa = "avx512";
    const hone_expand_tile_kernel q4[] = {NULL,
                                          expand_tile_q4_1,
                                          expand_tile_q4_2,
                                          expand_tile_q4_3,
                                          expand_tile_q4_4,
                                          expand_tile_q4_5,
                                          expand_tile_q4_6};
    const hone_expand_tile_kernel q8[] = {NULL,
                                          expand_tile_q8_1,
                                          expand_tile_q8_2,
                                          expand_tile_q8_3,
                                          expand_tile_q8_4,
                                          expand_tile_q8_5,
                                          expand_tile_q8_6};
    for (int i = 1; i <= HONE_TILE_ROWS; i++) {
        table->tile[i] = tiles[i];
        table->expand_tile[HONE_PACK_Q4][i] = q4[i];
        table->expand_tile[HONE_PACK_Q8][i] = q8[i];
    }
    table->tall_tile = tile_tall;
    table->expand[HONE_PACK_Q8] = expand_q8;
    table->expand[HONE_PACK_Q4] = expand_q4;
    table->gemv[HONE_PACK_Q8] = gemv_q8;
    table->gemv[HONE_PACK_Q4] = gemv_q4;
    table->fma_burn = fma_burn;
    table->vector_floats = 16;
    hone_kernels_blocks_avx512(table);
    hone_kernels_attention_avx512(table);
    hone_kernels_rowwise_avx512(table);
    hone_kernels_pairs_avx512(table);
}
