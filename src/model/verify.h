/* verify.h - is a model file what it should be? Its structure (by opening it), and every weight a finite number. */
#ifndef HONE_MODEL_VERIFY_H
#define HONE_MODEL_VERIFY_H

#include "base/progress.h"
#include "format/gguf.h"

typedef struct hone_weight_check {
    size_t n_tensors;
    int64_t n_weights;
    size_t n_bad_tensors; /* with a weight that is no finite number */
    char first_bad[96];   /* name of the first of them */
    int64_t first_bad_weight;
} hone_weight_check;

/* Expands every tensor. HONE_UNSUPPORTED: one of a type that hone does not compute with, named. */
hone_status hone_model_check_weights(const hone_gguf *file, hone_progress *progress, hone_weight_check *out,
                                     hone_error *err);

#endif
