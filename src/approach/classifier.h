/* classifier.h - what the classical label classifiers share: a logistic regression on vectors of train, its penalty
 * chosen on vectors of select_tune. */
#ifndef HONE_APPROACH_CLASSIFIER_H
#define HONE_APPROACH_CLASSIFIER_H

#include "approach/approach.h"
#include "approach/logistic.h"

/* train, select: vectors of the task's train and select_tune rows, in order; select may have no rows (the usual penalty
 * is taken then). Sets a->settings "c", a->select_tune_score, a->labels_used; *strength is C. The caller frees *out. */
hone_status hone_classifier_fit(hone_approach *a, const hone_sparse *train, const hone_sparse *select,
                                hone_logistic **out, double *strength, hone_error *err);

#endif
