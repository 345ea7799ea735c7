/* split.h - which row belongs to which split. Private to src/task.
 *
 * A unit is what stays together: rows of one group, or rows whose inputs are equal but for case, space and punctuation.
 * A unit's split is remembered from the ledger, else follows from the hash of its key alone. Then labels (and each
 * split as a whole) are filled up to a minimum by moving new units, the nearest by hash first. Nothing remembered ever
 * moves. */
#ifndef HONE_TASK_SPLIT_H
#define HONE_TASK_SPLIT_H

#include "store/ledger.h"
#include "task/task.h"

typedef enum hone_split {
    HONE_SPLIT_TRAIN,
    HONE_SPLIT_TUNE,
    HONE_SPLIT_NAME,
    HONE_SPLIT_TEST,
    HONE_N_SPLITS
} hone_split;

/* What the rows are dealt into. Without train they are all select (a file of its own), without select all train. */
typedef struct hone_split_plan {
    const char *layout; /* part of the ledger's keys, so that naming a test file later starts afresh */
    bool test, train, select;
} hone_split_plan;

/* The unit of a row: its group, or (group NULL) the key of its folded input (fold.h). */
hone_status hone_split_key(const char *group, const char *fold_key, char key[33], hone_error *err);

/* rows[n], with keys[n] from hone_split_key and labels[n] in [0, n_labels) (all 0 where labels do not matter). Fills
 * out[n]. Remembers new units in the ledger in one transaction. */
hone_status hone_split_assign(const hone_split_plan *plan, size_t n, char (*keys)[33], const int *labels, int n_labels,
                              hone_ledger *ledger, hone_split *out, hone_error *err);

#endif
