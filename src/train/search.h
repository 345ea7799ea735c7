/* search.h - which learning rate and rank: successive halving over the runs themselves (Jamieson & Talwalkar 2016,
 * arXiv 1502.07943, with half kept at each rung).
 *
 *   rung 0     every candidate begins its whole run and pauses early; all are scored at the same step
 *   rung 1...  the better half goes on from its own checkpoints to twice as many steps, and is scored again
 *   last       the one that is left goes on to its end
 *
 * A candidate is a whole run from its first step, under the schedule of the whole run, so what it has done is never
 * thrown away and the adapter has exactly the bits of a run that had been given the chosen settings at once. The
 * others are what the search costs: half a run for 4 candidates. Early scores favour rates that learn fast, and scores
 * before the rate has fallen favour low ones; neither is corrected for.
 *
 * Better: the higher score, then the lower loss on held-out answers, then the earlier candidate. */
#ifndef HONE_TRAIN_SEARCH_H
#define HONE_TRAIN_SEARCH_H

#include "train/train.h"

enum { HONE_SEARCH_MAX_CANDIDATES = 24, HONE_SEARCH_LEAST_STEPS = 8 };

typedef struct hone_search_candidate {
    double learning_rate;
    int rank;
} hone_search_candidate;

typedef struct hone_search_outcome {
    hone_search_candidate chosen;
    hone_train_options options; /* those of the run that was kept */
    double seconds;             /* spent on the others, training and scoring */
    json_t *record;             /* a new reference: {"method", "rungs": [{"steps", "tried": [{"learning_rate", "rank",
                                   "score", "loss", "seconds", "kept"}]}], "chosen", "why", "seconds"} */
} hone_search_outcome;

/* The rates tried by default, the usual one first: what is equal goes to it. */
extern const double hone_search_rates[];
extern const size_t hone_n_search_rates;

/* How many rungs n candidates need, the last run not counted. */
int hone_search_rungs(size_t n);
/* The step at which candidates are scored at a rung: total / 2^(rungs + 1 - rung), after the warm-up. */
int64_t hone_search_rung_step(int rung, int n_rungs, int64_t total, double warmup_fraction);
/* What the candidates that are dropped cost, in runs. */
double hone_search_extra_runs(size_t n);

/* Trains the best of the candidates to its end in options->folder. options' rate and rank are replaced, and alpha keeps
 * its ratio to the rank. With max_seconds the steps of all candidates are planned so that everything, scores included,
 * fits. Killed at any instant, the same call goes on. HONE_BAD_INPUT: fewer than HONE_SEARCH_LEAST_STEPS steps; no
 * score; a folder that holds another search; every candidate broke down. *outcome is filled on success. */
hone_status hone_train_search(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                              const hone_train_options *options, const hone_search_candidate *candidates,
                              size_t n_candidates, hone_train_score score, void *score_context, hone_progress *progress,
                              hone_train_result *result, hone_search_outcome *outcome, hone_error *err);

#endif
