/* optimise.h - one AdamW step on a vector of parameters. */
#ifndef HONE_TRAIN_OPTIMISE_H
#define HONE_TRAIN_OPTIMISE_H

#include "ops/ops.h"

typedef struct hone_parameter_group { /* n parameters from `at` on learn at `rate` times the step's rate */
    size_t at, n;
    double rate; /* LoRA+ (Hayou et al. 2024, arXiv 2402.12354): above 1 for B */
} hone_parameter_group;

/* The arrays cover all groups. */
void hone_optimise(hone_ops *ops, const hone_parameter_group *groups, size_t n_groups, const hone_adamw *settings,
                   const hone_real *gradient, hone_real *first_moment, hone_real *second_moment, hone_real *parameters);

#endif
