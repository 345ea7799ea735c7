/* sampling.h - how the next token is chosen from a row of logits.
 *
 * The chain, in this order (a step that is off changes nothing):
 *
 *   1. logit_bias           logit += value                                   OpenAI API, logit_bias
 *   2. repetition_penalty   a token of prompt or answer: logit / r if > 0, logit * r if not
 *                                                                            Keskar et al. 2019, arXiv 1909.05858, 4.1
 *   3. frequency, presence  logit -= n * frequency + (n > 0) * presence, n: how often the token was generated
 *                                                                            OpenAI API, "Frequency and presence
 * penalties"
 *   4. temperature          logit /= T; 0 takes the greatest logit, the lowest id among equals, and ends here
 *   5. top_k                the k greatest logits, the lower id first among equals
 *   6. top_p                the fewest most likely tokens with p >= top_p together
 *                                                                            Holtzman et al. 2019, arXiv 1904.09751,
 * eq. 2
 *   7. min_p                tokens with p >= min_p * the greatest p          Nguyen et al. 2024, arXiv 2407.01082, 3
 *   8. typical_p            the fewest tokens, by | -log p - entropy | from the least on, with p >= typical_p together
 *                                                                            Meister et al. 2022, arXiv 2202.00666, 3
 *   9. a token is drawn by its p; what was left out in 5 to 8 counts for nothing from there on.
 *
 * 1 to 3 come before 4 as in the OpenAI API and vLLM; 4 to 8 stand in the order of transformers' generation utilities
 * (processors, then warpers: temperature, top-k, top-p, min-p, typical). llama.cpp truncates first and applies the
 * temperature last, so at a temperature other than 1 its top_p, min_p and typical_p keep other tokens.
 *
 * Randomness is counted: the draw for token i of an answer is a function of (seed, stream, i) alone, so an answer does
 * not depend on what else runs. */
#ifndef HONE_ENGINE_SAMPLING_H
#define HONE_ENGINE_SAMPLING_H

#include "base/status.h"

typedef struct hone_logit_bias {
    int32_t id;
    float value; /* finite; -100 all but forbids a token, 100 all but forces it */
} hone_logit_bias;

/* All zero: greedy, every step off. */
typedef struct hone_sampling {
    double temperature;                /* 0: greedy */
    int top_k;                         /* 0: off */
    double top_p;                      /* 0 or 1: off */
    double min_p;                      /* 0: off */
    double typical_p;                  /* 0 or 1: off */
    double repetition_penalty;         /* 0 or 1: off; above 1 discourages */
    double presence_penalty;           /* -2 to 2, 0: off */
    double frequency_penalty;          /* -2 to 2, 0: off */
    const hone_logit_bias *logit_bias; /* borrowed */
    size_t n_logit_bias;
    uint64_t seed;
    uint32_t stream; /* the number of the choice where several answers to one prompt are drawn with one seed */
} hone_sampling;

/* HONE_BAD_INPUT: a value out of its range or a bias on an id outside the vocabulary, named. */
hone_status hone_sampling_check(const hone_sampling *sampling, int64_t n_vocab, hone_error *err);

#endif
