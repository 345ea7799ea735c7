/* curve.h - the learning curve (series.h): what the score is on growing parts of the rows, and would be on more. */
#ifndef HONE_TRAIN_CURVE_H
#define HONE_TRAIN_CURVE_H

#include "train/series.h"

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
