/* dense.c - exact search: for the thousands of rows a task has, looking at each takes less than a millisecond. */
#include "retrieve/dense.h"

enum { LANES = 8 };

/* Sums in fixed lanes, added in order, so that the bits do not depend on the compiler's vectors. */
static double dot(const float *a, const float *b, size_t n)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (double)a[i + j] * (double)b[i + j];
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

size_t hone_dense_nearest(const float *rows, size_t n, size_t dim, const float *query, size_t k, size_t *index,
                          double *similarity)
{
    size_t found = 0;
    for (size_t r = 0; k > 0 && r < n; r++) {
        double s = dot(rows + r * dim, query, dim);
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
