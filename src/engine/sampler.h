/* sampler.h - the work behind sampling.h: one row of logits becomes a distribution, and that a token. */
#ifndef HONE_ENGINE_SAMPLER_H
#define HONE_ENGINE_SAMPLER_H

#include "engine/engine.h"
#include "ops/ops.h"

/* Which tokens a sequence holds, for the penalties. Made once for a sequence, and only where a penalty is on. */
typedef struct hone_token_history {
    uint32_t *generated; /* [n_vocab] how often in the answer */
    bool *present;       /* [n_vocab] in prompt or answer */
    int32_t *distinct;   /* [n_distinct] the ids that are present, in the order of their first appearance */
    size_t n_distinct;
} hone_token_history;

/* Counts the prompt. capacity: tokens that may still be added. All NULL where no penalty of `sampling` is on. */
hone_status hone_token_history_init(hone_token_history *h, const hone_sampling *sampling, int64_t n_vocab,
                                    const int32_t *prompt, size_t n_prompt, size_t capacity, hone_error *err);
void hone_token_history_add(hone_token_history *h, int32_t generated);
void hone_token_history_clear(hone_token_history *h);

typedef struct hone_candidate {
    double scaled; /* how far its logit lies below the greatest, after bias, penalties and temperature */
    double weight; /* its probability times a common factor */
    int32_t id;
} hone_candidate;

/* Work arrays for rows of n_vocab logits; one row at a time. Nothing is allocated after creation. ops is borrowed;
 * several samplers may work at once, each on a thread of its own. */
typedef struct hone_sampler hone_sampler;
hone_status hone_sampler_create(const hone_ops *ops, int64_t n_vocab, hone_sampler **out, hone_error *err);
void hone_sampler_free(hone_sampler *sampler);

/* The token of number `index` in its answer. */
int32_t hone_sampler_pick(hone_sampler *sampler, const hone_sampling *sampling, const hone_token_history *history,
                          const float *logits, uint64_t index);
/* What hone_sampler_pick draws from (temperature above 0): *n candidates, borrowed until the next call, with
 * p = weight / *total. Most likely first where top_k or top_p is on, most typical first with typical_p, else by id. */
const hone_candidate *hone_sampler_distribution(hone_sampler *sampler, const hone_sampling *sampling,
                                                const hone_token_history *history, const float *logits, size_t *n,
                                                double *total);

/* The n best tokens with log-probabilities, best first; equal logits by id. */
void hone_top_tokens(const float *logits, int64_t n_vocab, double log_sum_exp, int n, hone_top_token *out);

#endif
