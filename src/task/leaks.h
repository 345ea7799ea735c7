/* leaks.h - rows of one part of a task that stand in another. Private to src/task. */
#ifndef HONE_TASK_LEAKS_H
#define HONE_TASK_LEAKS_H

#include "task/task.h"

/* folds: [rows->n], the keys of their inputs (fold.h), by hone_fold_rows. */
typedef struct hone_folded_rows {
    hone_rows *rows;
    char (*folds)[33];
} hone_folded_rows;

typedef struct hone_leaks { /* what was found so far */
    hone_task_leak *items;  /* [n] in the arena, in the order of the rows */
    size_t n, n_equal, n_near;
} hone_leaks;

/* Keys of the rows' inputs, in the arena. */
hone_status hone_fold_rows(hone_arena *arena, const hone_rows *rows, char (**folds)[33], hone_error *err);

/* Adds the rows of `from` that stand in `other` to `leaks`: those that are equal, which are taken out of `from`, and
 * those that differ in case, space, punctuation or output, which stay. Both in the same file order as before. */
hone_status hone_leaks_drop(hone_arena *arena, hone_folded_rows from, hone_folded_rows other, hone_leaks *leaks,
                            hone_error *err);

#endif
