/* dense.c - products of plain f32 matrices (adapters and their gradients) and transposes. */
#include "ops/cpu/kernels.h"

#include <string.h>

enum { ROWS = 96, COLUMNS = 64 }; /* of C in one task */

typedef struct matmul_run {
    hone_ops *ops;
    int64_t m, n, k, a_row, a_k, b_k, c_row, row_blocks;
    const hone_real *a, *b;
    hone_real *c;
    bool add;
} matmul_run;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The last columns when they do not fill a panel: B is copied into a padded scratch, C goes through an edge row. */
static void edge_columns(const matmul_run *run, int64_t row0, int64_t row1, int64_t j, int64_t k0, int64_t k1,
                         hone_real *scratch)
{
    int64_t columns = run->n - j;
    hone_real edge[HONE_PANEL] __attribute__((aligned(32)));
    for (int64_t p = k0; p < k1; p++) {
        memcpy(scratch + (p - k0) * HONE_PANEL, run->b + p * run->b_k + j, (size_t)columns * sizeof(hone_real));
        memset(scratch + (p - k0) * HONE_PANEL + columns, 0, (size_t)(HONE_PANEL - columns) * sizeof(hone_real));
    }
    for (int64_t i = row0; i < row1; i++) {
        hone_real *c = run->c + i * run->c_row + j;
        run->ops->kernels.tile[1](k1 - k0, run->a + i * run->a_row + k0 * run->a_k, 0, run->a_k, scratch, HONE_PANEL,
                                  edge, HONE_PANEL, false);
        for (int64_t t = 0; t < columns; t++)
            c[t] = run->add || k0 > 0 ? c[t] + edge[t] : edge[t];
    }
}

static void matmul_piece(void *context, int64_t piece, int thread)
{
    const matmul_run *run = context;
    int64_t row0 = piece % run->row_blocks * ROWS, row1 = min64(row0 + ROWS, run->m);
    int64_t col0 = piece / run->row_blocks * COLUMNS, col1 = min64(col0 + COLUMNS, run->n);
    hone_real *scratch = run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS;
    for (int64_t k0 = 0; k0 < run->k || k0 == 0; k0 += HONE_K_CHUNK) {
        int64_t k1 = min64(k0 + HONE_K_CHUNK, run->k);
        for (int64_t j = col0; j < col1; j += HONE_PANEL) {
            if (j + HONE_PANEL > run->n)
                edge_columns(run, row0, row1, j, k0, k1, scratch);
            else
                hone_tile_rows(&run->ops->kernels, row1 - row0, k1 - k0, run->a + row0 * run->a_row + k0 * run->a_k,
                               run->a_row, run->a_k, run->b + k0 * run->b_k + j, run->b_k,
                               run->c + row0 * run->c_row + j, run->c_row, run->add || k0 > 0);
        }
    }
}

void hone_op_matmul(hone_ops *ops, int64_t m, int64_t n, int64_t k, const hone_real *a, int64_t a_row, int64_t a_k,
                    const hone_real *b, int64_t b_k, hone_real *c, int64_t c_row, bool add)
{
    if (m < 1 || n < 1)
        return;
    matmul_run run = {ops, m, n, k, a_row, a_k, b_k, c_row, (m + ROWS - 1) / ROWS, a, b, c, add};
    hone_thread_pool_run(ops->pool, run.row_blocks * ((n + COLUMNS - 1) / COLUMNS), matmul_piece, &run);
}

void hone_op_transpose(hone_ops *ops, int64_t m, int64_t n, const hone_real *x, hone_real *y)
{
    int64_t full_m = m / 16 * 16, full_n = n / 16 * 16;
    for (int64_t i = 0; i < full_m; i += 16)
        for (int64_t j = 0; j < full_n; j += 16)
            ops->kernels.transpose16(x + i * n + j, n, y + j * m + i, m);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i < full_m ? full_n : 0; j < n; j++)
            y[j * m + i] = x[i * n + j];
}
