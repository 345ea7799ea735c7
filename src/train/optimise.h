/* optimise.h - one AdamW step on an adapter. */
#ifndef HONE_TRAIN_OPTIMISE_H
#define HONE_TRAIN_OPTIMISE_H

#include "model/adapter.h"

/* On all parameters; those of B at `b_rate_ratio` times the rate (LoRA+, Hayou et al. 2024, arXiv 2402.12354). The
 * arrays are [n_parameters]. */
void hone_optimise_adapter(hone_ops *ops, hone_adapter *adapter, hone_adamw settings, double b_rate_ratio,
                           const hone_real *gradient, hone_real *first_moment, hone_real *second_moment);

#endif
