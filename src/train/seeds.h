/* seeds.h - the same training with several seeds (series.h): how far its score depends on chance, and the best. */
#ifndef HONE_TRAIN_SEEDS_H
#define HONE_TRAIN_SEEDS_H

#include "train/series.h"

/* Trains with seeds options.seed, +1, ... in folder/seed-S, and leaves a copy of the one with the best score (the first
 * of equals) in the folder, its hone.json with "seeds": {"runs": [{"seed", "best_score", "best_step"}], "mean",
 * "standard_deviation", "kept"}. candidates: settings to be found with the first seed and used for all (n 0: none).
 * *record: a new reference to "seeds"; *outcome as hone_train_search's. */
hone_status hone_train_seeds(const hone_series *series, int n_seeds, const hone_search_candidate *candidates,
                             size_t n_candidates, hone_train_result *kept, json_t **record,
                             hone_search_outcome *outcome, hone_error *err);

#endif
