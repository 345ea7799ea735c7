/* sample.c - from one row of logits to a token. */
#include "engine/internal.h"

#include "base/rng.h"

#include <math.h>

static int32_t greatest(const float *logits, int64_t n)
{
    int32_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = (int32_t)i;
    return best;
}

int32_t hone_sample(const float *logits, int64_t n_vocab, double temperature, uint64_t seed, int64_t index)
{
    int32_t best = greatest(logits, n_vocab);
    if (!(temperature > 0))
        return best;
    double total = 0;
    for (int64_t i = 0; i < n_vocab; i++)
        total += exp(((double)logits[i] - (double)logits[best]) / temperature);
    double target = hone_rng_uniform((hone_rng_key){seed, HONE_RNG_SAMPLE, 0}, (uint64_t)index) * total, sum = 0;
    for (int64_t i = 0; i < n_vocab; i++) {
        sum += exp(((double)logits[i] - (double)logits[best]) / temperature);
        if (sum > target)
            return (int32_t)i;
    }
    return best;
}

void hone_top_tokens(const float *logits, int64_t n_vocab, double log_sum_exp, int n, hone_top_token *out)
{
    int held = 0;
    for (int64_t i = 0; i < n_vocab; i++) {
        float value = logits[i];
        if (held == n && !(value > out[n - 1].logprob))
            continue;
        int at = held < n ? held++ : n - 1;
        for (; at > 0 && value > out[at - 1].logprob; at--)
            out[at] = out[at - 1];
        out[at] = (hone_top_token){(int32_t)i, value};
    }
    for (int i = 0; i < held; i++)
        out[i].logprob = (float)((double)out[i].logprob - log_sum_exp);
}
