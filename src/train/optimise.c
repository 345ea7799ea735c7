/* optimise.c - AdamW works element by element, so its bits do not depend on the pieces. */
#include "train/optimise.h"

void hone_optimise_adapter(hone_ops *ops, hone_adapter *a, hone_adamw settings, double b_rate_ratio,
                           const hone_real *gradient, hone_real *m, hone_real *v)
{
    if (b_rate_ratio == 1) {
        hone_op_adamw(ops, &settings, (int64_t)a->n_parameters, gradient, m, v, a->parameters);
        return;
    }
    hone_adamw faster = settings;
    faster.learning_rate = (hone_real)((double)settings.learning_rate * b_rate_ratio);
    for (int64_t i = 0; i < a->config.n_layers * HONE_N_LINEARS; i++) {
        const hone_lora *l = &a->loras[i];
        if (!l->rank)
            continue;
        hone_op_adamw(ops, &settings, l->rank * l->n_in, gradient + l->a_at, m + l->a_at, v + l->a_at, l->a);
        hone_op_adamw(ops, &faster, l->rank * l->n_out, gradient + l->b_at, m + l->b_at, v + l->b_at, l->b_t);
    }
}
