/* sparse.c - compressed rows: building, dot products, exact nearest neighbours. */
#include "retrieve/sparse.h"

#include <stdlib.h>
#include <string.h>

hone_status hone_sparse_create(size_t n_rows, size_t n_columns, size_t n_values, hone_sparse **out, hone_error *err)
{
    *out = NULL;
    if (n_columns > UINT32_MAX)
        return hone_fail(err, HONE_BAD_INPUT, "%zu columns are more than a row can address", n_columns);
    hone_sparse *rows = calloc(1, sizeof *rows);
    if (!rows)
        goto no_memory;
    rows->n_rows = n_rows;
    rows->n_columns = n_columns;
    /* calloc checks the product; one element more so that an empty matrix has addresses too. */
    rows->row_start = calloc(n_rows + 1, sizeof *rows->row_start);
    rows->column = calloc(n_values + 1, sizeof *rows->column);
    rows->value = calloc(n_values + 1, sizeof *rows->value);
    if (!rows->row_start || !rows->column || !rows->value)
        goto no_memory;
    *out = rows;
    return HONE_OK;
no_memory:
    hone_sparse_free(rows);
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows with %zu values", n_rows, n_values);
}

void hone_sparse_free(hone_sparse *rows)
{
    if (!rows)
        return;
    free(rows->row_start);
    free(rows->column);
    free(rows->value);
    free(rows);
}

hone_status hone_sparse_from_dense(const float *dense, size_t n_rows, size_t n_columns, hone_sparse **out,
                                   hone_error *err)
{
    size_t n_values;
    *out = NULL;
    if (__builtin_mul_overflow(n_rows, n_columns, &n_values))
        return hone_fail(err, HONE_NO_MEMORY, "%zu rows of %zu values do not fit in memory", n_rows, n_columns);
    hone_status status = hone_sparse_create(n_rows, n_columns, n_values, out, err);
    if (status != HONE_OK)
        return status;
    hone_sparse *rows = *out;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = 0; c < n_columns; c++) {
            rows->column[r * n_columns + c] = (uint32_t)c;
            rows->value[r * n_columns + c] = dense[r * n_columns + c];
        }
        rows->row_start[r + 1] = (r + 1) * n_columns;
    }
    return HONE_OK;
}

hone_status hone_sparse_select(const hone_sparse *rows, const size_t *index, size_t n_rows, hone_sparse **out,
                               hone_error *err)
{
    *out = NULL;
    size_t n_values = 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (index[i] >= rows->n_rows)
            return hone_fail(err, HONE_BAD_INPUT, "row %zu of %zu does not exist", index[i], rows->n_rows);
        n_values += rows->row_start[index[i] + 1] - rows->row_start[index[i]];
    }
    hone_status status = hone_sparse_create(n_rows, rows->n_columns, n_values, out, err);
    if (status != HONE_OK)
        return status;
    size_t at = 0;
    for (size_t i = 0; i < n_rows; i++) {
        size_t from = rows->row_start[index[i]], length = rows->row_start[index[i] + 1] - from;
        memcpy((*out)->column + at, rows->column + from, length * sizeof *rows->column);
        memcpy((*out)->value + at, rows->value + from, length * sizeof *rows->value);
        at += length;
        (*out)->row_start[i + 1] = at;
    }
    return HONE_OK;
}

double hone_sparse_dot(const hone_sparse *a, size_t row_a, const hone_sparse *b, size_t row_b)
{
    size_t i = a->row_start[row_a], end_i = a->row_start[row_a + 1];
    size_t j = b->row_start[row_b], end_j = b->row_start[row_b + 1];
    double sum = 0;
    while (i < end_i && j < end_j) {
        uint32_t x = a->column[i], y = b->column[j];
        if (x == y)
            sum += a->value[i] * b->value[j];
        i += x <= y;
        j += y <= x;
    }
    return sum;
}

size_t hone_sparse_nearest(const hone_sparse *candidates, const hone_sparse *query, size_t row, size_t k, size_t *index,
                           double *similarity)
{
    size_t found = 0;
    for (size_t r = 0; k > 0 && r < candidates->n_rows; r++) {
        double s = hone_sparse_dot(candidates, r, query, row);
        /* Rows come in increasing order, so an equal one goes behind those that are there. */
        if (found == k && !(s > similarity[k - 1]))
            continue;
        size_t at = found < k ? found++ : k - 1;
        for (; at > 0 && s > similarity[at - 1]; at--) {
            index[at] = index[at - 1];
            similarity[at] = similarity[at - 1];
        }
        index[at] = r;
        similarity[at] = s;
    }
    return found;
}
