/* train_index.h - the training rows as TF-IDF vectors, for finding those nearest to a row by cosine. */
#ifndef HONE_APPROACH_TRAIN_INDEX_H
#define HONE_APPROACH_TRAIN_INDEX_H

#include "retrieve/tfidf.h"
#include "task/task.h"

enum { HONE_MAX_NEIGHBOURS = 64 };

typedef struct hone_train_index {
    const hone_rows *train; /* borrowed */
    hone_tfidf *tfidf;
    hone_sparse *vectors; /* one row for each training row */
} hone_train_index;

/* The caller clears it, also after an error. */
hone_status hone_train_index_init(hone_train_index *index, const hone_rows *train, hone_error *err);
void hone_train_index_clear(hone_train_index *index);
/* The k training rows nearest to the input, nearest first; ties by the lower place in train; k at most
 * HONE_MAX_NEIGHBOURS. nearest: [k]. *n: how many. */
hone_status hone_train_index_nearest(const hone_train_index *index, const char *input, size_t k, size_t *nearest,
                                     size_t *n, hone_error *err);

#endif
