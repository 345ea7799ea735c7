/* series.h - the same training several times: over seeds (seeds.h), and over growing parts of the rows (curve.h).
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

/* HONE_BAD_INPUT: not 1 to HONE_SERIES_MOST_SEEDS seeds, or no score to compare trainings by. */
hone_status hone_series_check(const hone_series *series, int n_seeds, hone_error *err);
/* One training of the series on its first n_examples, `name` before its progress; candidates as hone_train_search takes
 * them (n 0: none, and outcome is not touched). */
hone_status hone_series_train(const hone_series *series, const char *name, size_t n_examples,
                              const hone_train_options *options, const hone_search_candidate *candidates,
                              size_t n_candidates, hone_train_result *result, hone_search_outcome *outcome,
                              hone_error *err);
/* folder/name, at once or not at all. */
hone_status hone_series_write_json(const char *folder, const char *name, const json_t *json, hone_error *err);

#endif
