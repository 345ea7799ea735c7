/* lbfgs.h - minimising a smooth function of many variables (Liu & Nocedal 1989, limited-memory BFGS).
 *
 * The step length satisfies the strong Wolfe conditions by the search of More & Thuente 1994, with the constants that
 * L-BFGS-B 3.0 uses (decrease 1e-3, curvature 0.9, ten pairs of memory), so that other software with those constants
 * stops at about the same point. Sums run over fixed blocks in order: the result has the same bits with any number of
 * threads. */
#ifndef HONE_APPROACH_LBFGS_H
#define HONE_APPROACH_LBFGS_H

#include "base/thread_pool.h"

/* Returns f(x) and fills gradient[n]. Must be deterministic. */
typedef double (*hone_lbfgs_function)(void *context, const double *x, double *gradient);

typedef struct hone_lbfgs_options {
    int max_iterations;
    double gradient_tolerance; /* stop when no component of the gradient is larger */
    double value_tolerance;    /* stop when f falls by less than this share of max(|f|, 1) */
} hone_lbfgs_options;

typedef struct hone_lbfgs_result {
    double value, gradient_max;
    int iterations, evaluations;
    bool converged; /* by either tolerance */
} hone_lbfgs_result;

/* x: [n], the start on entry, the best point found on return. Memory: about 24 n doubles. HONE_BAD_INPUT where f is not
 * finite at the start. pool may be NULL; the function may use it, too. */
hone_status hone_lbfgs_minimise(hone_lbfgs_function function, void *context, size_t n, double *x,
                                hone_lbfgs_options options, hone_thread_pool *pool, hone_lbfgs_result *result,
                                hone_error *err);

#endif
