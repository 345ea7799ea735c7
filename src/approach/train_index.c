/* train_index.c - fitting on the inputs of train, looking up one input. */
#include "approach/train_index.h"

#include <stdlib.h>
#include <string.h>

hone_status hone_train_index_init(hone_train_index *index, const hone_rows *train, hone_error *err)
{
    memset(index, 0, sizeof *index);
    index->train = train;
    const char **texts = calloc(train->n + 1, sizeof *texts);
    if (!texts)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", train->n);
    for (size_t i = 0; i < train->n; i++)
        texts[i] = train->items[i].input;
    hone_status status = hone_tfidf_fit(texts, train->n, &index->tfidf, err);
    if (status == HONE_OK)
        status = hone_tfidf_transform(index->tfidf, texts, train->n, &index->vectors, err);
    free(texts);
    return status;
}

void hone_train_index_clear(hone_train_index *index)
{
    if (index->vectors)
        hone_sparse_free(index->vectors);
    if (index->tfidf)
        hone_tfidf_free(index->tfidf);
    memset(index, 0, sizeof *index);
}

hone_status hone_train_index_nearest(const hone_train_index *index, const char *input, size_t k, size_t *nearest,
                                     size_t *n, hone_error *err)
{
    hone_sparse *query;
    double similarity[HONE_MAX_NEIGHBOURS];
    if (k > HONE_MAX_NEIGHBOURS)
        k = HONE_MAX_NEIGHBOURS;
    hone_status status = hone_tfidf_transform(index->tfidf, &input, 1, &query, err);
    if (status != HONE_OK)
        return status;
    *n = hone_tfidf_nearest(index->tfidf, index->vectors, query, 0, k, nearest, similarity);
    hone_sparse_free(query);
    return HONE_OK;
}
