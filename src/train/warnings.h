/* warnings.h - what a person should know about a run, in plain words with the numbers, from its history alone.
 *
 * A warning is {"kind", "text"} and where it concerns rows "rows": [{"line", "loss"}], the worst first. Kinds:
 *
 *   spike       the loss jumped: more than half a nat and six robust standard deviations above the 16 steps before
 *   never fit   rows whose loss stays far above the others' after the first pass: likely wrong labels
 *   memorising  the training loss fell on while that of held-out answers rose
 *   metric      the training loss fell on while fewer held-out answers were right (exact McNemar, p below 0.05)
 *   retention   perplexity on ordinary text rose by half or more
 *   unended     a tenth or more of the held-out answers went on until they were cut off
 *
 * They are rules of thumb: each says its numbers, none stops a run. */
#ifndef HONE_TRAIN_WARNINGS_H
#define HONE_TRAIN_WARNINGS_H

#include "train/history.h"

/* *out: a new array, empty where there is nothing to say. */
hone_status hone_train_warnings(const hone_train_history *history, json_t **out, hone_error *err);
/* The same for a folder's metrics.jsonl; without one an empty array. */
hone_status hone_train_warnings_of_folder(const char *folder, json_t **out, hone_error *err);

#endif
