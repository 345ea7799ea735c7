/* attention.c - AVX-512 attention of a few rows over a page of keys or values: the work of a decoding sequence.
 *
 * It is bound by memory: every page is read once for a step, and the processor's own prefetchers stop at the borders of
 * pages of 4 KiB, which is what a head's keys in a page take. So each line that is read asks for the one that will be
 * read in its place some pages later. The bits are those of the scalar twins. */
#include "ops/cpu/kernels.h"
#include "ops/cpu/vector.h"

#include <immintrin.h>

enum { MOST_VECTORS = 4, WIDE_COLUMNS = 16 * MOST_VECTORS, WIDE_ROWS = HONE_TILE_ROWS };

ALWAYS_INLINE void score(const int rows, int64_t dim, const float *q, const float *keys, const float *ahead,
                         float *scores, int64_t scores_row)
{
    __m512 acc[HONE_TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t d = 0; d < dim; d++) {
        __m512 k = _mm512_loadu_ps(keys + d * HONE_PAGE_TOKENS);
        _mm_prefetch((const char *)(ahead + d * HONE_PAGE_TOKENS), _MM_HINT_T0);
        UNROLL
        for (int i = 0; i < rows; i++)
            acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(q[i * dim + d]), k, acc[i]);
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        _mm512_storeu_ps(scores + i * scores_row, acc[i]);
}

/* Columns [d, d + 16 * vectors). */
ALWAYS_INLINE void weigh(const int rows, const int vectors, int64_t n, int64_t dim, const float *p, int64_t p_row,
                         const float *values, const float *ahead, float *o, bool go_on)
{
    __m512 acc[HONE_TILE_ROWS][MOST_VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[i][v] = go_on ? _mm512_loadu_ps(o + i * dim + 16 * v) : _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < n; j++) {
        __m512 x[MOST_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++) {
            x[v] = _mm512_loadu_ps(values + j * dim + 16 * v);
            _mm_prefetch((const char *)(ahead + j * dim + 16 * v), _MM_HINT_T0);
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512 weight = _mm512_set1_ps(p[i * p_row + j]);
            UNROLL
            for (int v = 0; v < vectors; v++)
                acc[i][v] = _mm512_fmadd_ps(weight, x[v], acc[i][v]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            _mm512_storeu_ps(o + i * dim + 16 * v, acc[i][v]);
    }
}

ALWAYS_INLINE void weigh_rows(const int rows, int64_t n, int64_t dim, const float *p, int64_t p_row,
                              const float *values, const float *ahead, float *o, bool go_on)
{
    int64_t d = 0;
    for (; rows <= WIDE_ROWS && d + WIDE_COLUMNS <= dim; d += WIDE_COLUMNS)
        weigh(rows, MOST_VECTORS, n, dim, p, p_row, values + d, ahead + d, o + d, go_on);
    for (; d < dim; d += HONE_PANEL)
        weigh(rows, 1, n, dim, p, p_row, values + d, ahead + d, o + d, go_on);
}

#define SCORE(rows)                                                                                                    \
    case rows:                                                                                                         \
        score(rows, dim, q, keys, ahead, scores, scores_row);                                                          \
        break;
#define WEIGH(rows)                                                                                                    \
    case rows:                                                                                                         \
        weigh_rows(rows, n, dim, p, p_row, values, ahead, o, go_on);                                                   \
        break;

static void score_page(int rows, int64_t dim, const float *q, const float *keys, const float *ahead, float *scores,
                       int64_t scores_row)
{
    switch (rows) {
        SCORE(1)
        SCORE(2)
        SCORE(3)
        SCORE(4)
        SCORE(5)
        SCORE(6)
    }
}

static void weigh_page(int rows, int64_t n, int64_t dim, const float *p, int64_t p_row, const float *values,
                       const float *ahead, float *o, bool go_on)
{
    switch (rows) {
        WEIGH(1)
        WEIGH(2)
        WEIGH(3)
        WEIGH(4)
        WEIGH(5)
        WEIGH(6)
    }
}

void hone_kernels_attention_avx512(hone_kernels *table)
{
    table->score_page = score_page;
    table->weigh_page = weigh_page;
}
