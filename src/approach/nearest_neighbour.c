/* nearest_neighbour.c - the answer of the training row whose words are nearest (TF-IDF, cosine). */
#include "approach/approach.h"

#include "approach/train_index.h"
#include "base/clock.h"

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)progress;
    double start = hone_clock_seconds();
    hone_train_index *index = hone_arena_alloc(a->arena, sizeof *index);
    if (!index)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an index");
    a->state = index;
    hone_status status = hone_train_index_init(index, &a->bench->task->train, err);
    if (status != HONE_OK)
        return status;
    a->labels_used = (int64_t)a->bench->task->train.n;
    a->build_seconds = hone_clock_seconds() - start;
    return hone_approach_describe(
        a, err, "the answer of the most similar of %zu training rows (TF-IDF of words and word pairs, cosine)",
        a->bench->task->train.n);
}

static hone_status predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    const hone_train_index *index = a->state;
    size_t nearest, n;
    hone_status status = hone_train_index_nearest(index, row->input, 1, &nearest, &n, err);
    if (status == HONE_OK)
        *answer = n ? index->train->items[nearest].output : "";
    return status;
}

static void clear(hone_approach *a)
{
    if (a->state)
        hone_train_index_clear(a->state);
}

const hone_approach_type hone_approach_nearest_neighbour = {.name = "nearest neighbour",
                                                            .word = "nearest-neighbour",
                                                            .family = HONE_APPROACH_BASELINE,
                                                            .build = build,
                                                            .predict = predict,
                                                            .clear = clear};
