/* dense_index.c - embeddings of train, looked through for the nearest. */
#include "approach/dense_index.h"

#include "retrieve/dense.h"

hone_status hone_dense_index_init(hone_dense_index *index, hone_approach *a, hone_progress *progress, hone_error *err)
{
    const hone_rows *train = &a->bench->task->train;
    hone_embeddings *embeddings = a->bench->embeddings;
    double seconds;
    *index = (hone_dense_index){.embeddings = embeddings, .train = train};
    index->vectors =
        hone_arena_array(a->arena, train->n * (size_t)hone_embeddings_dim(embeddings) + 1, sizeof *index->vectors);
    if (!index->vectors)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the embeddings of %zu rows", train->n);
    hone_status status = hone_embeddings_matrix(embeddings, train, index->vectors, &seconds, progress, err);
    if (status != HONE_OK)
        return status;
    a->build_seconds += seconds;
    if (json_object_set_new(a->settings, "embedder", json_string(hone_embeddings_hash(embeddings))) != 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    return HONE_OK;
}

hone_status hone_dense_index_nearest(const hone_dense_index *index, const hone_row *row, size_t k, size_t *nearest,
                                     size_t *n, hone_error *err)
{
    hone_embedding query;
    double similarity[HONE_MAX_NEIGHBOURS];
    hone_status status = hone_embeddings_get(index->embeddings, &row, 1, &query, NULL, err);
    if (status != HONE_OK)
        return status;
    *n = hone_dense_nearest(index->vectors, index->train->n, (size_t)hone_embeddings_dim(index->embeddings),
                            query.vector, k < HONE_MAX_NEIGHBOURS ? k : HONE_MAX_NEIGHBOURS, nearest, similarity);
    return HONE_OK;
}
