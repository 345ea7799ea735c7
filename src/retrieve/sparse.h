/* sparse.h - rows of numbers that are mostly zero, in compressed rows (CSR).
 *
 *   row r:  column[row_start[r] .. row_start[r+1])  in increasing order, value[...] beside it
 *
 * Dense rows (sentence embeddings) use the same form, so that what consumes rows is written once. */
#ifndef HONE_RETRIEVE_SPARSE_H
#define HONE_RETRIEVE_SPARSE_H

#include "base/status.h"

typedef struct hone_sparse {
    size_t n_rows, n_columns;
    size_t *row_start; /* [n_rows + 1] */
    uint32_t *column;  /* [row_start[n_rows]] */
    double *value;     /* [row_start[n_rows]] */
} hone_sparse;

/* dense: [n_rows, n_columns]. Every value is kept, zeros too. The caller frees *out. */
hone_status hone_sparse_from_dense(const float *dense, size_t n_rows, size_t n_columns, hone_sparse **out,
                                   hone_error *err);
/* The rows named by index[n_rows], copied. HONE_BAD_INPUT for an index past the end. */
hone_status hone_sparse_select(const hone_sparse *rows, const size_t *index, size_t n_rows, hone_sparse **out,
                               hone_error *err);
/* Room for n_rows rows and n_values values, contents undefined but row_start[0] = 0. */
hone_status hone_sparse_create(size_t n_rows, size_t n_columns, size_t n_values, hone_sparse **out, hone_error *err);
void hone_sparse_free(hone_sparse *rows);

/* Sum over columns of a[row_a] * b[row_b], in increasing order of the column. Both have the same columns. */
double hone_sparse_dot(const hone_sparse *a, size_t row_a, const hone_sparse *b, size_t row_b);

/* The k rows of `candidates` with the largest dot product with row `row` of `query`: the largest first, ties by the
 * lower index. For rows of length 1 the dot product is the cosine. Exact (every row is looked at). index, similarity:
 * [k]. Returns how many were found: min(k, candidates->n_rows). */
size_t hone_sparse_nearest(const hone_sparse *candidates, const hone_sparse *query, size_t row, size_t k, size_t *index,
                           double *similarity);

#endif
