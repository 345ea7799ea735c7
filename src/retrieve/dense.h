/* dense.h - nearest neighbours among vectors of length 1, by cosine. */
#ifndef HONE_RETRIEVE_DENSE_H
#define HONE_RETRIEVE_DENSE_H

#include <stddef.h>

/* The k of `rows` [n, dim] with the largest dot product with `query` [dim]: the largest first, ties by the lower index.
 * Exact (every row is looked at); sums run in order in double precision. index, similarity: [k]. Returns how many were
 * found: min(k, n). */
size_t hone_dense_nearest(const float *rows, size_t n, size_t dim, const float *query, size_t k, size_t *index,
                          double *similarity);

#endif
