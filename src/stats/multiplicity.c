/* multiplicity.c - Holm's step-down procedure. */
#include "stats/multiplicity.h"

#include <stdlib.h>

typedef struct ranked {
    double p;
    size_t index;
} ranked;

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

hone_status hone_holm(const double *p, size_t m, double alpha, double *adjusted, double *level, hone_error *err)
{
    if (m == 0)
        return HONE_OK;
    for (size_t i = 0; i < m; i++)
        if (!(p[i] >= 0 && p[i] <= 1))
            return hone_fail(err, HONE_BAD_INPUT, "comparison %zu: %g is not a p-value", i, p[i]);
    ranked *order = calloc(m, sizeof *order);
    if (!order)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu comparisons", m);
    for (size_t i = 0; i < m; i++)
        order[i] = (ranked){p[i], i};
    qsort(order, m, sizeof *order, by_p);
    double largest = 0, step = alpha;
    bool stopped = false;
    for (size_t rank = 0; rank < m; rank++) {
        double remaining = (double)(m - rank), scaled = order[rank].p * remaining;
        if (scaled > largest)
            largest = scaled > 1 ? 1 : scaled;
        if (!stopped)
            step = alpha / remaining;
        if (!(largest < alpha))
            stopped = true;
        if (adjusted)
            adjusted[order[rank].index] = largest;
        if (level)
            level[order[rank].index] = step;
    }
    free(order);
    return HONE_OK;
}
