/* attention.c - the scalar reference of attention over a page (kernels.h). */
#include "ops/cpu/kernels.h"

#include <math.h>

static void score_page(int rows, int64_t dim, const hone_real *q, const hone_real *keys, const hone_real *ahead,
                       hone_real *scores, int64_t scores_row)
{
    (void)ahead;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < HONE_PAGE_TOKENS; j++) {
            hone_real sum = 0;
            for (int64_t d = 0; d < dim; d++)
                sum = real_fma(q[i * dim + d], keys[d * HONE_PAGE_TOKENS + j], sum);
            scores[i * scores_row + j] = sum;
        }
}

static void weigh_page(int rows, int64_t n, int64_t dim, const hone_real *p, int64_t p_row, const hone_real *values,
                       const hone_real *ahead, hone_real *o, bool go_on)
{
    (void)ahead;
    for (int i = 0; i < rows; i++)
        for (int64_t d = 0; d < dim; d++) {
            hone_real sum = go_on ? o[i * dim + d] : 0;
            for (int64_t j = 0; j < n; j++)
                sum = real_fma(p[i * p_row + j], values[j * dim + d], sum);
            o[i * dim + d] = sum;
        }
}

void hone_kernels_attention_scalar(hone_kernels *table)
{
    table->score_page = score_page;
    table->weigh_page = weigh_page;
}
