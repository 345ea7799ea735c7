/* dense_index.h - the training rows as sentence embeddings, for finding those nearest to a row by cosine. */
#ifndef HONE_APPROACH_DENSE_INDEX_H
#define HONE_APPROACH_DENSE_INDEX_H

#include "approach/approach.h"
#include "approach/embeddings.h"
#include "approach/train_index.h"

typedef struct hone_dense_index {
    hone_embeddings *embeddings; /* borrowed */
    const hone_rows *train;      /* borrowed */
    float *vectors;              /* [train->n, dim] */
} hone_dense_index;

/* Memory lives in the approach's arena. Adds the embedder to a->settings and the time to a->build_seconds. */
hone_status hone_dense_index_init(hone_dense_index *index, hone_approach *a, hone_progress *progress, hone_error *err);
/* The k training rows nearest to the row, nearest first; ties by the lower place in train; k at most
 * HONE_MAX_NEIGHBOURS. nearest: [k]. *n: how many. */
hone_status hone_dense_index_nearest(const hone_dense_index *index, const hone_row *row, size_t k, size_t *nearest,
                                     size_t *n, hone_error *err);

#endif
