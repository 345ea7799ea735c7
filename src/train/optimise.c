/* optimise.c - AdamW works element by element, so its bits do not depend on the pieces. */
#include "train/optimise.h"

void hone_optimise(hone_ops *ops, const hone_parameter_group *groups, size_t n_groups, const hone_adamw *settings,
                   const hone_real *gradient, hone_real *m, hone_real *v, hone_real *parameters)
{
    for (size_t i = 0; i < n_groups; i++) {
        const hone_parameter_group *g = &groups[i];
        hone_adamw own = *settings;
        if (g->rate != 1)
            own.learning_rate = (hone_real)((double)settings->learning_rate * g->rate);
        hone_op_adamw(ops, &own, (int64_t)g->n, gradient + g->at, m + g->at, v + g->at, parameters + g->at);
    }
}
