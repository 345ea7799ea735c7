/* matrix.c - the products of the class bf16 by VDPBF16PS: one 512-bit vector is one pair of inputs of 16 outputs.
 *
 * The bits are those of portable/bf16.c. On Zen 4 the instruction does twice the work of a multiply-add in the same
 * time, one each cycle, and takes 6 cycles: a tile of fewer than 6 rows waits for its own sums. Weights are expanded as
 * in avx512/matrix.c; rounding two inputs and weaving them into pairs costs two instructions for 32 weights. */
#include "ops/cpu/kernels.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>
#include <string.h>

ALWAYS_INLINE __m512 multiply(__m512 sum, __m512i x, __m512i w)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}

ALWAYS_INLINE void store_tile(const int rows, const __m512 *acc, float *c, int64_t c_row, bool add)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *row = c + i * c_row;
        _mm512_storeu_ps(row, add ? _mm512_add_ps(_mm512_loadu_ps(row), acc[i]) : acc[i]);
    }
}

/* C is asked for when its tile begins, or the end would wait for it. */
ALWAYS_INLINE void begin_tile(const int rows, __m512 *acc, const float *c, int64_t c_row)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        _mm_prefetch((const char *)(c + i * c_row), _MM_HINT_T0);
        acc[i] = _mm512_setzero_ps();
    }
}

ALWAYS_INLINE void multiply_rows(const int rows, __m512 *acc, const hone_pair *x, int64_t x_row, __m512i w)
{
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = multiply(acc[i], _mm512_set1_epi32((int)x[i * x_row]), w);
}

ALWAYS_INLINE void tile(const int rows, int64_t n_pairs, const hone_pair *x, int64_t x_row, const hone_pair *b,
                        float *c, int64_t c_row, bool add)
{
    __m512 acc[HONE_PAIR_TILE_ROWS];
    begin_tile(rows, acc, c, c_row);
    for (int64_t p = 0; p < n_pairs; p++)
        multiply_rows(rows, acc, x + p, x_row, _mm512_loadu_si512(b + p * HONE_PANEL));
    store_tile(rows, acc, c, c_row, add);
}

/* Index 2j + 1 of a pair's vector (the upper half of lane j) is the even k, which _mm512_cvtne2ps_pbh puts last. */
ALWAYS_INLINE __m512i weaving(void)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_or_si512(_mm512_slli_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16)), 16), lane);
}

ALWAYS_INLINE __m512i pair_of(__m512 even, __m512 odd, __m512i order)
{
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(even, odd));
}

ALWAYS_INLINE __m512 half16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

ALWAYS_INLINE __m512 bytes16(const unsigned char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
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

/* Nibbles j and j + 1. */
ALWAYS_INLINE __m512i q4_pair(__m512i words, int j, const __m512 d[4], __m512 m, __m512i order)
{
    return pair_of(_mm512_fmadd_ps(nibble(words, j), d[j], m), _mm512_fmadd_ps(nibble(words, j + 1), d[j + 1], m),
                   order);
}

/* Inputs 2i and 2i + 1 of a block. */
ALWAYS_INLINE __m512i q8_pair(const unsigned char *block, int i, __m512 d, __m512i order)
{
    const unsigned char *q = block + 32 + 2 * i * HONE_PANEL;
    return pair_of(_mm512_mul_ps(d, bytes16(q)), _mm512_mul_ps(d, bytes16(q + HONE_PANEL)), order);
}

/* With 0 rows: the expansion alone. */
ALWAYS_INLINE void expand_tile_q4(const int rows, const void *panel, int64_t k0, int64_t k1, const hone_pair *x,
                                  int64_t x_row, float *c, int64_t c_row, bool add, hone_pair *out)
{
    __m512 acc[HONE_PAIR_TILE_ROWS];
    begin_tile(rows, acc, c, c_row);
    const __m512i order = weaving();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q4_BLOCK_BYTES;
        if (rows > 0)
            prefetch_block(block, HONE_Q4_BLOCK_BYTES);
        __m512 d[4], m = half16(block + 32);
        scales(half16(block), d);
        for (int g = 0; g < 4; g++) {
            __m512i words = _mm512_loadu_si512(block + 64 + g * 64);
            UNROLL
            for (int i = 0; i < 4; i++) {
                __m512i w = q4_pair(words, i * 2 % 4, d, m, order);
                _mm512_storeu_si512(out, w);
                multiply_rows(rows, acc, x, x_row, w);
                out += HONE_PANEL;
                x++;
                if (i == 1)
                    words = _mm512_srli_epi32(words, 16);
            }
        }
    }
    store_tile(rows, acc, c, c_row, add);
}

ALWAYS_INLINE void expand_tile_q8(const int rows, const void *panel, int64_t k0, int64_t k1, const hone_pair *x,
                                  int64_t x_row, float *c, int64_t c_row, bool add, hone_pair *out)
{
    __m512 acc[HONE_PAIR_TILE_ROWS];
    begin_tile(rows, acc, c, c_row);
    const __m512i order = weaving();
    for (int64_t k = k0; k < k1; k += 32) {
        const unsigned char *block = (const unsigned char *)panel + k / 32 * HONE_Q8_BLOCK_BYTES;
        if (rows > 0)
            prefetch_block(block, HONE_Q8_BLOCK_BYTES);
        __m512 d = half16(block);
        for (int i = 0; i < 16; i++) {
            __m512i w = q8_pair(block, i, d, order);
            _mm512_storeu_si512(out, w);
            multiply_rows(rows, acc, x, x_row, w);
            out += HONE_PANEL;
            x++;
        }
    }
    store_tile(rows, acc, c, c_row, add);
}

#define TILES(rows)                                                                                                    \
    static void tile_##rows(int64_t n_pairs, const hone_pair *x, int64_t x_row, const hone_pair *b, float *c,          \
                            int64_t c_row, bool add)                                                                   \
    {                                                                                                                  \
        tile(rows, n_pairs, x, x_row, b, c, c_row, add);                                                               \
    }                                                                                                                  \
    static void expand_tile_q4_##rows(const void *panel, int64_t k0, int64_t k1, const hone_pair *x, int64_t x_row,    \
                                      float *c, int64_t c_row, bool add, hone_pair *out)                               \
    {                                                                                                                  \
        expand_tile_q4(rows, panel, k0, k1, x, x_row, c, c_row, add, out);                                             \
    }                                                                                                                  \
    static void expand_tile_q8_##rows(const void *panel, int64_t k0, int64_t k1, const hone_pair *x, int64_t x_row,    \
                                      float *c, int64_t c_row, bool add, hone_pair *out)                               \
    {                                                                                                                  \
        expand_tile_q8(rows, panel, k0, k1, x, x_row, c, c_row, add, out);                                             \
    }
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
TILES(7)
TILES(8)
TILES(9)
TILES(10)

static void expand_q4(const void *panel, int64_t k0, int64_t k1, hone_pair *out)
{
    expand_tile_q4(0, panel, k0, k1, NULL, 0, NULL, 0, false, out);
}

static void expand_q8(const void *panel, int64_t k0, int64_t k1, hone_pair *out)
{
    expand_tile_q8(0, panel, k0, k1, NULL, 0, NULL, 0, false, out);
}

/* One chunk of at most HONE_K_CHUNK inputs for `panels` panels: fresh sums in acc. */
ALWAYS_INLINE void gemv_q4_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const hone_pair *x, __m512 *acc)
{
    const __m512i order = weaving();
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
            for (int i = 0; i < 4; i++) {
                __m512i xk = _mm512_set1_epi32((int)x[g * 4 + i]);
                UNROLL
                for (int v = 0; v < panels; v++)
                    acc[v] = multiply(acc[v], xk, q4_pair(words[v], i * 2 % 4, d[v], m[v], order));
                UNROLL
                for (int v = 0; v < panels && i == 1; v++)
                    words[v] = _mm512_srli_epi32(words[v], 16);
            }
        }
        block += HONE_Q4_BLOCK_BYTES;
        x += 16;
    }
}

ALWAYS_INLINE void gemv_q8_chunk(const int panels, const unsigned char *block, size_t panel_bytes, int64_t n_blocks,
                                 int64_t blocks_left, const hone_pair *x, __m512 *acc)
{
    const __m512i order = weaving();
    UNROLL
    for (int v = 0; v < panels; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        prefetch_blocks(panels, block, panel_bytes, HONE_Q8_BLOCK_BYTES, blocks_left - b);
        __m512 d[HONE_GEMV_PANELS];
        UNROLL
        for (int v = 0; v < panels; v++)
            d[v] = half16(block + (size_t)v * panel_bytes);
        for (int i = 0; i < 16; i++) {
            __m512i xk = _mm512_set1_epi32((int)x[i]);
            UNROLL
            for (int v = 0; v < panels; v++)
                acc[v] = multiply(acc[v], xk, q8_pair(block + (size_t)v * panel_bytes, i, d[v], order));
        }
        block += HONE_Q8_BLOCK_BYTES;
        x += 16;
    }
}

#define GEMV(type, block_bytes)                                                                                        \
    ALWAYS_INLINE void gemv_##type##_panels(const int panels, const unsigned char *w, size_t panel_bytes,              \
                                            int64_t n_in, const hone_pair *x, float *y)                                \
    {                                                                                                                  \
        __m512 total[HONE_GEMV_PANELS], acc[HONE_GEMV_PANELS];                                                         \
        UNROLL                                                                                                         \
        for (int v = 0; v < panels; v++)                                                                               \
            total[v] = _mm512_setzero_ps();                                                                            \
        for (int64_t k = 0; k < n_in; k += HONE_K_CHUNK) {                                                             \
            int64_t blocks = (n_in - k < HONE_K_CHUNK ? n_in - k : HONE_K_CHUNK) / 32;                                 \
            gemv_##type##_chunk(panels, w + k / 32 * (block_bytes), panel_bytes, blocks, (n_in - k) / 32, x + k / 2,   \
                                acc);                                                                                  \
            UNROLL                                                                                                     \
            for (int v = 0; v < panels; v++)                                                                           \
                total[v] = k > 0 ? _mm512_add_ps(total[v], acc[v]) : acc[v]; /* 0 + acc would turn -0 into +0 */       \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int v = 0; v < panels; v++)                                                                               \
            _mm512_storeu_ps(y + HONE_PANEL * v, total[v]);                                                            \
    }                                                                                                                  \
    static void gemv_##type(const void *w, size_t panel_bytes, int n_panels, int64_t n_in, const hone_pair *x,         \
                            float *y)                                                                                  \
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

static void weave(int64_t n, const float *w, hone_pair *out)
{
    const __m512i order = weaving();
    for (int64_t k = 0; k < n; k += 2) {
        __m512 odd = k + 1 < n ? _mm512_loadu_ps(w + (k + 1) * HONE_PANEL) : _mm512_setzero_ps();
        _mm512_storeu_si512(out, pair_of(_mm512_loadu_ps(w + k * HONE_PANEL), odd, order));
        out += HONE_PANEL;
    }
}

/* Plain weights need no expansion before they are woven. */
static void expand_f32(const void *panel, int64_t k0, int64_t k1, hone_pair *out)
{
    weave(k1 - k0, (const float *)panel + k0 * HONE_PANEL, out);
}

/* Neighbours in memory come out with the even one in the lower half. */
static void round_row(int64_t n, const float *x, hone_pair *out)
{
    for (; n >= 32; n -= 32) {
        __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
        _mm512_storeu_si512(out, _mm512_rol_epi32(halves, 16));
        x += 32;
        out += 16;
    }
    if (n <= 0)
        return;
    uint32_t there = (1u << n) - 1;
    __m512 first = _mm512_maskz_loadu_ps((__mmask16)there, x),
           second = n > 16 ? _mm512_maskz_loadu_ps((__mmask16)(there >> 16), x + 16) : _mm512_setzero_ps();
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    _mm512_mask_storeu_epi32(out, (__mmask16)((1u << (n + 1) / 2) - 1), _mm512_rol_epi32(halves, 16));
}

/* Rows k and k + 8 as pairs side by side, then two transposes of 8 x 8 pairs at once. */
static void transpose16(const float *x, hone_pair *y)
{
    __m512i r[8], s[8];
    UNROLL
    for (int k = 0; k < 8; k++)
        r[k] = _mm512_rol_epi32((__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + (k + 8) * HONE_PANEL),
                                                             _mm512_loadu_ps(x + k * HONE_PANEL)),
                                16);
    UNROLL
    for (int k = 0; k < 8; k += 2) {
        s[k] = _mm512_unpacklo_epi32(r[k], r[k + 1]);
        s[k + 1] = _mm512_unpackhi_epi32(r[k], r[k + 1]);
    }
    UNROLL
    for (int k = 0; k < 8; k += 4)
        UNROLL
    for (int i = 0; i < 2; i++) {
        r[k + 2 * i] = _mm512_unpacklo_epi64(s[k + i], s[k + i + 2]);
        r[k + 2 * i + 1] = _mm512_unpackhi_epi64(s[k + i], s[k + i + 2]);
    }
    /* r[i] has pair i (and i + 4 in the odd quarters) of rows 0..3, r[i + 4] that of rows 4..7 */
    const __m512i even = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), odd = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    UNROLL
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(y + i * HONE_PANEL, _mm512_permutex2var_epi64(r[i], even, r[i + 4]));
        _mm512_storeu_si512(y + (i + 4) * HONE_PANEL, _mm512_permutex2var_epi64(r[i], odd, r[i + 4]));
    }
}

static void burn(int64_t rounds, float *sink)
{
    __m512 acc[12];
    const __m512i half = _mm512_set1_epi32(0x3F003F00), one = _mm512_set1_epi32(0x3F803F80);
    UNROLL
    for (int j = 0; j < 12; j++)
        acc[j] = _mm512_set1_ps(*sink + (float)j); /* distinct, or the compiler would keep one for all */
    for (int64_t i = 0; i < rounds; i++) {
        UNROLL
        for (int repeat = 0; repeat < 2; repeat++) {
            UNROLL
            for (int j = 0; j < 12; j++)
                acc[j] = multiply(acc[j], half, one);
        }
    }
    UNROLL
    for (int j = 1; j < 12; j++)
        acc[0] = _mm512_add_ps(acc[0], acc[j]);
    *sink += _mm512_cvtss_f32(acc[0]);
}

/* Called after hone_kernels_avx512: only products of pairs change. */
void hone_kernels_avx512_bf16(hone_kernels *table)
{
#define ROW(name)                                                                                                      \
    {                                                                                                                  \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9, name##_10      \
    }
    const hone_pair_tile_kernel tiles[] = ROW(tile);
    const hone_pair_expand_tile_kernel q4[] = ROW(expand_tile_q4), q8[] = ROW(expand_tile_q8);
#undef ROW
    memcpy(table->pair_tile, tiles, sizeof tiles);
    memcpy(table->pair_expand_tile[HONE_PACK_Q4], q4, sizeof q4);
    memcpy(table->pair_expand_tile[HONE_PACK_Q8], q8, sizeof q8);
    table->pair_isa = "avx512_bf16";
    table->pair_expand[HONE_PACK_F32] = expand_f32;
    table->pair_expand[HONE_PACK_Q4] = expand_q4;
    table->pair_expand[HONE_PACK_Q8] = expand_q8;
    table->pair_gemv[HONE_PACK_Q4] = gemv_q4;
    table->pair_gemv[HONE_PACK_Q8] = gemv_q8;
    table->pair_weave = weave;
    table->pair_round = round_row;
    table->pair_transpose16 = transpose16;
    table->pair_burn = burn;
}
