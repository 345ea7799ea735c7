/* columns.c - operations that go down the columns: sums over rows, factors of columns.
 *
 * A column's sum runs over the rows in order in one accumulator, so its bits do not depend on threads. */
#include "ops/cpu/kernels.h"

enum { COLUMNS = 64, ROWS = 32 }; /* of a piece */

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct columns_run {
    int64_t n_rows, dim;
    const hone_real *x, *y, *row, *column;
    hone_real *out;
} columns_run;

static void scale_columns_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const columns_run *r = context;
    for (int64_t t = piece * ROWS; t < min64((piece + 1) * ROWS, r->n_rows); t++)
        for (int64_t i = 0; i < r->dim; i++)
            r->out[t * r->dim + i] = r->column[i] * r->x[t * r->dim + i];
}

void hone_op_scale_columns(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *factor, const hone_real *x,
                           hone_real *y)
{
    columns_run r = {.n_rows = n_rows, .dim = dim, .x = x, .column = factor, .out = y};
    hone_thread_pool_run(ops->pool, (n_rows + ROWS - 1) / ROWS, scale_columns_piece, &r);
}

static void column_products_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const columns_run *r = context;
    int64_t first = piece * COLUMNS, n = min64(COLUMNS, r->dim - first);
    double sum[COLUMNS] = {0};
    for (int64_t t = 0; t < r->n_rows; t++) {
        const hone_real *x = r->x + t * r->dim + first, *y = r->y + t * r->dim + first;
        double factor = r->row ? (double)r->row[t] : 1;
        for (int64_t i = 0; i < n; i++)
            sum[i] += factor * (double)x[i] * (double)y[i];
    }
    for (int64_t i = 0; i < n; i++)
        r->out[first + i] += (hone_real)(r->column ? (double)r->column[first + i] * sum[i] : sum[i]);
}

void hone_op_add_column_products(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *x, const hone_real *y,
                                 const hone_real *row, const hone_real *column, hone_real *sum)
{
    columns_run r = {n_rows, dim, x, y, row, column, sum};
    hone_thread_pool_run(ops->pool, (dim + COLUMNS - 1) / COLUMNS, column_products_piece, &r);
}
