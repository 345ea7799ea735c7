/* blocks.c - AVX-512 kernels of the packings of blocks.h: expansion, with and without a tile, and matrix-vector
 * products. A vector is the 16 outputs of a panel.
 *
 * Four inputs come out of a word at once, a byte each (their upper bits are brought there by a shift and a mask). Byte
 * k is masked in place and so is q * 256^k, which as a float is exact; the scale times 256^-k is exact too. */
#include "ops/cpu/blocks.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>

enum { HALVES = 2, BYTES = 4 };

/* scale[h][k] belongs to inputs 16h.. of the block and byte k; add[h] likewise. h is 0 but for q6k. */
typedef struct block_scales {
    __m512 scale[HALVES][BYTES], add[HALVES];
} block_scales;

ALWAYS_INLINE int half_of(const hone_packing packing, int g)
{
    return packing == HONE_PACK_Q6K ? g / 2 : 0;
}

ALWAYS_INLINE __m512 half16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

ALWAYS_INLINE __m512 small16(const unsigned char *p, bool is_signed)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
}

ALWAYS_INLINE void read_scales(const hone_packing packing, const unsigned char *head, const unsigned char *block,
                               block_scales *out)
{
    UNROLL
    for (int h = 0; h <= half_of(packing, 3); h++) {
        __m512 s;
        if (packing == HONE_PACK_Q5) {
            s = half16(block);
            out->add[h] = half16(block + 32);
        } else if (packing == HONE_PACK_Q6K) {
            s = _mm512_mul_ps(half16(head), small16(block + 16 * h, true));
            out->add[h] = _mm512_mul_ps(s, _mm512_set1_ps(-32.0f));
        } else {
            s = _mm512_mul_ps(half16(head), small16(block, false));
            __m512 t = _mm512_mul_ps(half16(head + 32), small16(block + 16, false));
            out->add[h] = _mm512_xor_ps(t, _mm512_set1_ps(-0.0f));
        }
        out->scale[h][0] = s;
        UNROLL
        for (int k = 1; k < BYTES; k++)
            out->scale[h][k] = _mm512_mul_ps(out->scale[h][k - 1], _mm512_set1_ps(0x1p-8f));
    }
}

ALWAYS_INLINE __m512i shifted(__m512i words, int left)
{
    return left >= 0 ? _mm512_slli_epi32(words, (unsigned)left) : _mm512_srli_epi32(words, (unsigned)-left);
}

/* Values of word g: even[k] and odd[k], bytes of out[0] and out[1], are inputs 8g + 2k and 8g + 2k + 1. */
ALWAYS_INLINE void read_word(const hone_packing packing, const unsigned char *words, int g, __m512i out[2])
{
    const int bits = hone_block_form_of(packing).bits;
    __m512i w = _mm512_loadu_si512(words + g * 64), low = _mm512_set1_epi32(0x0F0F0F0F);
    out[0] = _mm512_and_si512(w, low);
    out[1] = _mm512_and_si512(_mm512_srli_epi32(w, 4), low);
    if (bits == 4)
        return;
    __m512i high = _mm512_loadu_si512(words + HONE_NIBBLE_BYTES + (bits == 6 ? g / 2 * 64 : 0)),
            mask = _mm512_set1_epi32(bits == 6 ? 0x30303030 : 0x10101010);
    UNROLL
    for (int p = 0; p < 2; p++)
        out[p] = _mm512_or_si512(out[p], _mm512_and_si512(shifted(high, hone_upper_shift(bits, g, p)), mask));
}

ALWAYS_INLINE __m512 weight(const block_scales *s, int h, int k, __m512i word)
{
    __m512i q = _mm512_and_si512(word, _mm512_set1_epi32((int)(0xFFu << 8 * k)));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(q), s->scale[h][k], s->add[h]);
}

/* Expansion; and with rows > 0 the tile over them at the same time. */
ALWAYS_INLINE void expand_tile(const hone_packing packing, const int rows, const unsigned char *panel, int64_t k0,
                               int64_t k1, const float *a, int64_t a_row, float *c, int64_t c_row, bool add, float *out)
{
    const hone_block_form f = hone_block_form_of(packing);
    __m512 acc[HONE_TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t b = k0 / HONE_BLOCK_INPUTS; b < k1 / HONE_BLOCK_INPUTS; b++) {
        const unsigned char *block = panel + hone_block_at(f, b);
        block_scales s;
        prefetch_block(block, f.block_bytes);
        read_scales(packing, panel + hone_head_at(f, b), block, &s);
        UNROLL
        for (int g = 0; g < 4; g++) {
            __m512i word[2];
            read_word(packing, block + f.scale_bytes, g, word);
            UNROLL
            for (int k = 0; k < BYTES; k++) {
                UNROLL
                for (int p = 0; p < 2; p++) {
                    __m512 w = weight(&s, half_of(packing, g), k, word[p]);
                    _mm512_storeu_ps(out, w);
                    UNROLL
                    for (int i = 0; i < rows; i++)
                        acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * a_row]), w, acc[i]);
                    out += HONE_PANEL;
                    a += rows > 0;
                }
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *row = c + i * c_row;
        _mm512_storeu_ps(row, add ? _mm512_add_ps(_mm512_loadu_ps(row), acc[i]) : acc[i]);
    }
}

ALWAYS_INLINE void gemv_panels(const hone_packing packing, const int panels, const unsigned char *w, size_t panel_bytes,
                               int64_t n_in, const float *x, float *y)
{
    const hone_block_form f = hone_block_form_of(packing);
    __m512 total[HONE_GEMV_PANELS], acc[HONE_GEMV_PANELS];
    UNROLL
    for (int v = 0; v < panels; v++)
        total[v] = acc[v] = _mm512_setzero_ps();
    int64_t n_blocks = n_in / HONE_BLOCK_INPUTS;
    for (int64_t b = 0; b < n_blocks; b++) {
        const unsigned char *block = w + hone_block_at(f, b), *head = w + hone_head_at(f, b);
        block_scales s[HONE_GEMV_PANELS];
        prefetch_blocks(panels, block, panel_bytes, f.block_bytes, n_blocks - b);
        UNROLL
        for (int v = 0; v < panels; v++)
            read_scales(packing, head + (size_t)v * panel_bytes, block + (size_t)v * panel_bytes, &s[v]);
        UNROLL
        for (int g = 0; g < 4; g++) {
            __m512i word[HONE_GEMV_PANELS][2];
            UNROLL
            for (int v = 0; v < panels; v++)
                read_word(packing, block + (size_t)v * panel_bytes + f.scale_bytes, g, word[v]);
            UNROLL
            for (int k = 0; k < BYTES; k++) {
                UNROLL
                for (int p = 0; p < 2; p++) {
                    __m512 xk = _mm512_set1_ps(*x++);
                    UNROLL
                    for (int v = 0; v < panels; v++)
                        acc[v] = _mm512_fmadd_ps(xk, weight(&s[v], half_of(packing, g), k, word[v][p]), acc[v]);
                }
            }
        }
        if ((b + 1) % (HONE_K_CHUNK / HONE_BLOCK_INPUTS) != 0 && b + 1 < n_blocks)
            continue;
        UNROLL
        for (int v = 0; v < panels; v++) { /* the end of a chunk; 0 + acc would turn -0 into +0 */
            total[v] = b < HONE_K_CHUNK / HONE_BLOCK_INPUTS ? acc[v] : _mm512_add_ps(total[v], acc[v]);
            acc[v] = _mm512_setzero_ps();
        }
    }
    UNROLL
    for (int v = 0; v < panels; v++)
        _mm512_storeu_ps(y + HONE_PANEL * v, total[v]);
}

#define TILE(name, packing, rows)                                                                                      \
    static void expand_tile_##name##_##rows(const void *panel, int64_t k0, int64_t k1, const float *a, int64_t a_row,  \
                                            float *c, int64_t c_row, bool add, float *out)                             \
    {                                                                                                                  \
        expand_tile(packing, rows, panel, k0, k1, a, a_row, c, c_row, add, out);                                       \
    }
#define KERNELS(name, packing)                                                                                         \
    static void expand_##name(const void *panel, int64_t k0, int64_t k1, float *out)                                   \
    {                                                                                                                  \
        expand_tile(packing, 0, panel, k0, k1, NULL, 0, NULL, 0, false, out);                                          \
    }                                                                                                                  \
    TILE(name, packing, 1)                                                                                             \
    TILE(name, packing, 2)                                                                                             \
    TILE(name, packing, 3)                                                                                             \
    TILE(name, packing, 4)                                                                                             \
    TILE(name, packing, 5)                                                                                             \
    TILE(name, packing, 6)                                                                                             \
    static void gemv_##name(const void *w, size_t panel_bytes, int n_panels, int64_t n_in, const float *x, float *y)   \
    {                                                                                                                  \
        const unsigned char *p = w;                                                                                    \
        for (; n_panels >= 2; n_panels -= 2, p += 2 * panel_bytes, y += 2 * HONE_PANEL)                                \
            gemv_panels(packing, 2, p, panel_bytes, n_in, x, y);                                                       \
        if (n_panels == 1)                                                                                             \
            gemv_panels(packing, 1, p, panel_bytes, n_in, x, y);                                                       \
    }                                                                                                                  \
    static void fill_##name(hone_kernels *table)                                                                       \
    {                                                                                                                  \
        const hone_expand_tile_kernel tiles[] = {NULL,                                                                 \
                                                 expand_tile_##name##_1,                                               \
                                                 expand_tile_##name##_2,                                               \
                                                 expand_tile_##name##_3,                                               \
                                                 expand_tile_##name##_4,                                               \
                                                 expand_tile_##name##_5,                                               \
                                                 expand_tile_##name##_6};                                              \
        for (int i = 1; i <= HONE_TILE_ROWS; i++)                                                                      \
            table->expand_tile[packing][i] = tiles[i];                                                                 \
        table->expand[packing] = expand_##name;                                                                        \
        table->gemv[packing] = gemv_##name;                                                                            \
    }
KERNELS(q5, HONE_PACK_Q5)
KERNELS(q4k, HONE_PACK_Q4K)
KERNELS(q5k, HONE_PACK_Q5K)
KERNELS(q6k, HONE_PACK_Q6K)

void hone_kernels_blocks_avx512(hone_kernels *table)
{
    fill_q5(table);
    fill_q4k(table);
    fill_q5k(table);
    fill_q6k(table);
}
