/* leaks.c - rows are looked up by the keys of their inputs, in an index that is sorted once. */
#include "task/leaks.h"

#include "task/fold.h"

#include <stdlib.h>
#include <string.h>

typedef struct fold_index {
    hone_folded_rows of;
    size_t *order; /* its rows sorted by key */
} fold_index;

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for rows of the task");
}

hone_status hone_fold_rows(hone_arena *arena, const hone_rows *rows, char (**folds)[33], hone_error *err)
{
    hone_status status = HONE_OK;
    *folds = hone_arena_array(arena, rows->n + 1, sizeof **folds);
    if (!*folds)
        return no_memory(err);
    for (size_t i = 0; status == HONE_OK && i < rows->n; i++)
        status = hone_fold_key(rows->items[i].input, (*folds)[i], err);
    return status;
}

static int by_fold(const void *a, const void *b, void *context)
{
    char(*folds)[33] = context;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    int order = strcmp(folds[i], folds[j]);
    return order ? order : (i > j) - (i < j);
}

/* The first row whose input folds alike, an equal row before others; -1: none. */
static int64_t find(const fold_index *index, const char *fold, const char *id, bool *equal)
{
    size_t low = 0, n = index->of.rows->n, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(index->of.folds[index->order[middle]], fold) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t found = -1;
    *equal = false;
    for (; low < n && strcmp(index->of.folds[index->order[low]], fold) == 0; low++) {
        size_t at = index->order[low];
        if (found < 0)
            found = (int64_t)at;
        if (strcmp(index->of.rows->items[at].id, id) == 0) {
            *equal = true;
            return (int64_t)at;
        }
    }
    return found;
}

/* Room for `more` leaks behind those that are there. */
static hone_status make_room(hone_arena *arena, hone_leaks *leaks, size_t more, hone_error *err)
{
    hone_task_leak *items = hone_arena_array(arena, leaks->n + more, sizeof *items);
    if (!items)
        return no_memory(err);
    if (leaks->n > 0)
        memcpy(items, leaks->items, leaks->n * sizeof *items);
    leaks->items = items;
    return HONE_OK;
}

hone_status hone_leaks_drop(hone_arena *arena, hone_folded_rows from, hone_folded_rows other, hone_leaks *leaks,
                            hone_error *err)
{
    if (from.rows->n == 0 || other.rows->n == 0)
        return HONE_OK;
    fold_index index = {other, hone_arena_array(arena, other.rows->n, sizeof *index.order)};
    hone_status status = index.order ? make_room(arena, leaks, from.rows->n, err) : no_memory(err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < other.rows->n; i++)
        index.order[i] = i;
    qsort_r(index.order, other.rows->n, sizeof *index.order, by_fold, other.folds);
    size_t left = 0;
    for (size_t i = 0; i < from.rows->n; i++) {
        const hone_row *row = &from.rows->items[i];
        bool equal;
        int64_t at = find(&index, from.folds[i], row->id, &equal);
        if (at >= 0) {
            const hone_row *twin = &other.rows->items[at];
            leaks->items[leaks->n++] = (hone_task_leak){row->file, twin->file, row->line, twin->line, equal};
            leaks->n_equal += equal;
            leaks->n_near += !equal;
        }
        if (at >= 0 && equal)
            continue;
        if (left != i) {
            from.rows->items[left] = *row;
            memcpy(from.folds[left], from.folds[i], sizeof from.folds[i]);
        }
        left++;
    }
    from.rows->n = left;
    return HONE_OK;
}
