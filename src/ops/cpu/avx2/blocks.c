/* blocks.c - AVX2 kernels of the packings of blocks.h: expansion and matrix-vector products. Two vectors, "sides", are
 * the 16 outputs of a panel.
 *
 * Four inputs come out of a word at once, a byte each (their upper bits are brought there by a shift and a mask). Byte
 * k is masked in place and so is q * 256^k, which as a float is exact; the scale times 256^-k is exact too. */
#include "ops/cpu/blocks.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>

enum { HALVES = 2, BYTES = 4, SIDES = 2, PAIR = 2 /* panels that a matrix-vector loop takes at once */ };

/* scale[h][k] belongs to inputs 16h.. of the block and byte k; add[h] likewise. h is 0 but for q6k. */
typedef struct block_scales {
    __m256 scale[HALVES][BYTES], add[HALVES];
} block_scales;

ALWAYS_INLINE int half_of(const hone_packing packing, int g)
{
    return packing == HONE_PACK_Q6K ? g / 2 : 0;
}

ALWAYS_INLINE __m256 half8(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

ALWAYS_INLINE __m256 small8(const unsigned char *p, bool is_signed)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}

ALWAYS_INLINE void read_scales(const hone_packing packing, const unsigned char *head, const unsigned char *block,
                               int side, block_scales *out)
{
    UNROLL
    for (int h = 0; h <= half_of(packing, 3); h++) {
        __m256 s;
        if (packing == HONE_PACK_Q5) {
            s = half8(block + 16 * side);
            out->add[h] = half8(block + 32 + 16 * side);
        } else if (packing == HONE_PACK_Q6K) {
            s = _mm256_mul_ps(half8(head + 16 * side), small8(block + 16 * h + 8 * side, true));
            out->add[h] = _mm256_mul_ps(s, _mm256_set1_ps(-32.0f));
        } else {
            s = _mm256_mul_ps(half8(head + 16 * side), small8(block + 8 * side, false));
            __m256 t = _mm256_mul_ps(half8(head + 32 + 16 * side), small8(block + 16 + 8 * side, false));
            out->add[h] = _mm256_xor_ps(t, _mm256_set1_ps(-0.0f));
        }
        out->scale[h][0] = s;
        UNROLL
        for (int k = 1; k < BYTES; k++)
            out->scale[h][k] = _mm256_mul_ps(out->scale[h][k - 1], _mm256_set1_ps(0x1p-8f));
    }
}

ALWAYS_INLINE __m256i shifted(__m256i words, int left)
{
    return left >= 0 ? _mm256_slli_epi32(words, left) : _mm256_srli_epi32(words, -left);
}

/* Values of word g: even[k] and odd[k], bytes of out[0] and out[1], are inputs 8g + 2k and 8g + 2k + 1. */
ALWAYS_INLINE void read_word(const hone_packing packing, const unsigned char *words, int g, int side, __m256i out[2])
{
    const int bits = hone_block_form_of(packing).bits;
    __m256i w = _mm256_loadu_si256((const __m256i *)(words + g * 64 + 32 * side)), low = _mm256_set1_epi32(0x0F0F0F0F);
    out[0] = _mm256_and_si256(w, low);
    out[1] = _mm256_and_si256(_mm256_srli_epi32(w, 4), low);
    if (bits == 4)
        return;
    __m256i high = _mm256_loadu_si256(
                (const __m256i *)(words + HONE_NIBBLE_BYTES + (bits == 6 ? g / 2 * 64 : 0) + 32 * side)),
            mask = _mm256_set1_epi32(bits == 6 ? 0x30303030 : 0x10101010);
    UNROLL
    for (int p = 0; p < 2; p++)
        out[p] = _mm256_or_si256(out[p], _mm256_and_si256(shifted(high, hone_upper_shift(bits, g, p)), mask));
}

ALWAYS_INLINE __m256 weight(const block_scales *s, int h, int k, __m256i word)
{
    __m256i q = _mm256_and_si256(word, _mm256_set1_epi32((int)(0xFFu << 8 * k)));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(q), s->scale[h][k], s->add[h]);
}

ALWAYS_INLINE void expand(const hone_packing packing, const unsigned char *panel, int64_t k0, int64_t k1, float *out)
{
    const hone_block_form f = hone_block_form_of(packing);
    for (int64_t b = k0 / HONE_BLOCK_INPUTS; b < k1 / HONE_BLOCK_INPUTS; b++) {
        const unsigned char *block = panel + hone_block_at(f, b);
        prefetch_block(block, f.block_bytes);
        UNROLL
        for (int side = 0; side < SIDES; side++) {
            block_scales s;
            float *o = out + 8 * side;
            read_scales(packing, panel + hone_head_at(f, b), block, side, &s);
            UNROLL
            for (int g = 0; g < 4; g++) {
                __m256i word[2];
                read_word(packing, block + f.scale_bytes, g, side, word);
                UNROLL
                for (int k = 0; k < BYTES; k++) {
                    UNROLL
                    for (int p = 0; p < 2; p++) {
                        _mm256_storeu_ps(o, weight(&s, half_of(packing, g), k, word[p]));
                        o += HONE_PANEL;
                    }
                }
            }
        }
        out += HONE_BLOCK_INPUTS * HONE_PANEL;
    }
}

ALWAYS_INLINE void gemv_panels(const hone_packing packing, const int panels, const unsigned char *w, size_t panel_bytes,
                               int64_t n_in, const float *x, float *y)
{
    const hone_block_form f = hone_block_form_of(packing);
    __m256 total[2 * PAIR], acc[2 * PAIR];
    UNROLL
    for (int v = 0; v < 2 * panels; v++)
        total[v] = acc[v] = _mm256_setzero_ps();
    int64_t n_blocks = n_in / HONE_BLOCK_INPUTS;
    for (int64_t b = 0; b < n_blocks; b++) {
        const unsigned char *block = w + hone_block_at(f, b), *head = w + hone_head_at(f, b);
        block_scales s[2 * PAIR];
        prefetch_blocks(panels, block, panel_bytes, f.block_bytes, n_blocks - b);
        UNROLL
        for (int v = 0; v < 2 * panels; v++)
            read_scales(packing, head + (size_t)(v / 2) * panel_bytes, block + (size_t)(v / 2) * panel_bytes, v % 2,
                        &s[v]);
        UNROLL
        for (int g = 0; g < 4; g++) {
            __m256i word[2 * PAIR][2];
            UNROLL
            for (int v = 0; v < 2 * panels; v++)
                read_word(packing, block + (size_t)(v / 2) * panel_bytes + f.scale_bytes, g, v % 2, word[v]);
            UNROLL
            for (int k = 0; k < BYTES; k++) {
                UNROLL
                for (int p = 0; p < 2; p++) {
                    __m256 xk = _mm256_set1_ps(*x++);
                    UNROLL
                    for (int v = 0; v < 2 * panels; v++)
                        acc[v] = _mm256_fmadd_ps(xk, weight(&s[v], half_of(packing, g), k, word[v][p]), acc[v]);
                }
            }
        }
        if ((b + 1) % (HONE_K_CHUNK / HONE_BLOCK_INPUTS) != 0 && b + 1 < n_blocks)
            continue;
        UNROLL
        for (int v = 0; v < 2 * panels; v++) { /* the end of a chunk; 0 + acc would turn -0 into +0 */
            total[v] = b < HONE_K_CHUNK / HONE_BLOCK_INPUTS ? acc[v] : _mm256_add_ps(total[v], acc[v]);
            acc[v] = _mm256_setzero_ps();
        }
    }
    UNROLL
    for (int v = 0; v < 2 * panels; v++)
        _mm256_storeu_ps(y + 8 * v, total[v]);
}

#define KERNELS(name, packing)                                                                                         \
    static void expand_##name(const void *panel, int64_t k0, int64_t k1, float *out)                                   \
    {                                                                                                                  \
        expand(packing, panel, k0, k1, out);                                                                           \
    }                                                                                                                  \
    static void gemv_##name(const void *w, size_t panel_bytes, int n_panels, int64_t n_in, const float *x, float *y)   \
    {                                                                                                                  \
        const unsigned char *p = w;                                                                                    \
        for (; n_panels >= 2; n_panels -= 2, p += 2 * panel_bytes, y += 2 * HONE_PANEL)                                \
            gemv_panels(packing, 2, p, panel_bytes, n_in, x, y);                                                       \
        if (n_panels == 1)                                                                                             \
            gemv_panels(packing, 1, p, panel_bytes, n_in, x, y);                                                       \
    }
KERNELS(q5, HONE_PACK_Q5)
KERNELS(q4k, HONE_PACK_Q4K)
KERNELS(q5k, HONE_PACK_Q5K)
KERNELS(q6k, HONE_PACK_Q6K)

void hone_kernels_blocks_avx2(hone_kernels *table)
{
    table->expand[HONE_PACK_Q5] = expand_q5;
    table->expand[HONE_PACK_Q4K] = expand_q4k;
    table->expand[HONE_PACK_Q5K] = expand_q5k;
    table->expand[HONE_PACK_Q6K] = expand_q6k;
    table->gemv[HONE_PACK_Q5] = gemv_q5;
    table->gemv[HONE_PACK_Q4K] = gemv_q4k;
    table->gemv[HONE_PACK_Q5K] = gemv_q5k;
    table->gemv[HONE_PACK_Q6K] = gemv_q6k;
}
