/* embedding_neighbour.c - the answer of the training row whose sentence embedding is nearest (cosine). */
#include "approach/dense_index.h"

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    hone_dense_index *index = hone_arena_alloc(a->arena, sizeof *index);
    if (!index)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an index");
    a->state = index;
    hone_status status = hone_dense_index_init(index, a, progress, err);
    if (status != HONE_OK)
        return status;
    a->labels_used = (int64_t)a->bench->task->train.n;
    return hone_approach_describe(
        a, err, "the answer of the most similar of %zu training rows (sentence embeddings by %s, cosine)",
        a->bench->task->train.n, hone_embeddings_name(a->bench->embeddings));
}

static hone_status predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    const hone_dense_index *index = a->state;
    size_t nearest, n;
    hone_status status = hone_dense_index_nearest(index, row, 1, &nearest, &n, err);
    if (status == HONE_OK)
        *answer = n ? index->train->items[nearest].output : "";
    return status;
}

const hone_approach_type hone_approach_embedding_neighbour = {.name = "embedding nearest neighbour",
                                                              .word = "embedding-neighbour",
                                                              .family = HONE_APPROACH_BASELINE,
                                                              .needs_labels = true,
                                                              .uses_embeddings = true,
                                                              .build = build,
                                                              .predict = predict};
