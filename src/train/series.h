/* series.h - the same training several times: over seeds, and over growing parts of the rows.
 *
 * Each run has a folder of its own below the adapter's and is known by its fingerprint: one that has finished is found,
 * one that was interrupted goes on, and a run does not care which series asked for it. */
#ifndef HONE_TRAIN_SERIES_H
#define HONE_TRAIN_SERIES_H

#include "train/search.h"

enum { HONE_SERIES_MOST_SEEDS = 32 };

/* Everything that a run needs but its own settings. */
typedef struct hone_series {
    hone_engine *engine;
    const hone_train_example *examples;
    size_t n_examples;
    hone_train_options options; /* folder: where the kept adapter goes */
    hone_train_score score;     /* must be set */
    void *score_context;
    hone_progress *progress;
} hone_series;

/* Trains with seeds options.seed, +1, ... in folder/seed-S, and leaves a copy of the one with the best score (the first
 * of equals) in the folder, its hone.json with "seeds": {"runs": [{"seed", "best_score", "best_step"}], "mean",
 * "standard_deviation", "kept"}. candidates: settings to be found with the first seed and used for all (n 0: none).
 * *record: a new reference to "seeds"; *outcome as hone_train_search's. */
hone_status hone_train_seeds(const hone_series *series, int n_seeds, const hone_search_candidate *candidates,
                             size_t n_candidates, hone_train_result *kept, json_t **record,
                             hone_search_outcome *outcome, hone_error *err);

/* Rows of the first examples that make a part: 25, 50, 100, ... below n_rows, then n_rows. */
size_t hone_curve_sizes(size_t n_rows, size_t *sizes, size_t most);
/* Passes over a part: those of the whole run, or more (up to 25) so that a small part is learned for at least
 * HONE_CURVE_LEAST_STEPS steps. */
enum { HONE_CURVE_LEAST_STEPS = 40 };
double hone_curve_epochs(double epochs, size_t n_examples, int batch);

/* The learning curve: the parts of the rows (row_of[i]: the place of example i's row among all, not falling), each
 * trained with seeds options.seed, +1, ... in folder/curve/N/seed-S and judged by the same held-out rows. The whole
 * ones are the runs of hone_train_seeds (folder/seed-S), with one seed the run in the folder itself; what has finished
 * is found. Fits err(n) = a + b n^-c (stats/learning_curve.h) to the means over seeds and writes folder/curve.json:
 * {"points": [{"rows", "score", "standard_deviation", "low", "high", "epochs", "seconds", "runs": [{"seed", "score",
 * "steps", "right"}]}], "fit": {"a", "b", "c"}, "forecasts": [{"rows", "score", "low", "high", "gain", "p_gain"}],
 * "delta", "seed", "seeds", "note"}. */
hone_status hone_train_curve(const hone_series *series, int n_seeds, const size_t *row_of, json_t **record,
                             hone_error *err);

#endif
