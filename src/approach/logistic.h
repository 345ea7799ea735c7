/* logistic.h - multinomial logistic regression with an L2 penalty, on sparse rows.
 *
 * Minimises what scikit-learn's LogisticRegression(C) minimises: with W [n_columns, n_classes] and intercepts b,
 *     mean over rows of -log softmax(x W + b)[label]  +  |W|^2 / (2 C n_rows),
 * intercepts not penalised, by L-BFGS from zero (two classes: the penalty is doubled, which makes the probabilities
 * those of the usual model with one weight vector). It stops like scikit-learn: no component of the gradient above
 * 1e-4, or 300 iterations. The result has the same bits with any number of threads. A class without a row gets
 * probability 0. */
#ifndef HONE_APPROACH_LOGISTIC_H
#define HONE_APPROACH_LOGISTIC_H

#include "base/thread_pool.h"
#include "retrieve/sparse.h"

typedef struct hone_logistic hone_logistic;

typedef struct hone_logistic_options {
    double c;           /* inverse strength of the penalty; 0: 10 */
    int max_iterations; /* 0: 300 */
    double tolerance;   /* 0: 1e-4 */
} hone_logistic_options;

/* labels: [n_rows] in [0, n_classes). HONE_BAD_INPUT for no rows, a label out of range or a value that is not finite.
 * pool may be NULL. Nothing given is kept. The caller frees *out. */
hone_status hone_logistic_fit(const hone_sparse *rows, const int32_t *labels, int32_t n_classes,
                              hone_logistic_options options, hone_thread_pool *pool, hone_logistic **out,
                              hone_error *err);
void hone_logistic_free(hone_logistic *model);

/* probabilities: [n_rows, n_classes]. HONE_BAD_INPUT when the rows have another number of columns. */
hone_status hone_logistic_predict(const hone_logistic *model, const hone_sparse *rows, hone_thread_pool *pool,
                                  double *probabilities, hone_error *err);
/* The most probable class of each row, ties to the lower one. labels: [n_rows]. */
hone_status hone_logistic_classify(const hone_logistic *model, const hone_sparse *rows, hone_thread_pool *pool,
                                   int32_t *labels, hone_error *err);

int hone_logistic_iterations(const hone_logistic *model);
/* False when max_iterations ended the search. */
bool hone_logistic_converged(const hone_logistic *model);

#endif
