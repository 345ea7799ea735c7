/* retrieval.h - what the approaches that retrieve their demonstrations share: the nearest training rows as examples,
 * how many chosen on select_tune. They differ in what "nearest" means. */
#ifndef HONE_APPROACH_RETRIEVAL_H
#define HONE_APPROACH_RETRIEVAL_H

#include "approach/approach.h"

/* Places in train of the k rows nearest to this one, nearest first; nearest: [k]. */
typedef hone_status hone_nearest_rows(hone_approach *a, const hone_row *row, size_t k, size_t *nearest, size_t *n,
                                      hone_error *err);

typedef struct hone_retrieval { /* begins the state of such an approach */
    hone_nearest_rows *nearest;
    size_t k;
} hone_retrieval;

/* Chooses k; a->state must begin with a hone_retrieval whose `nearest` works. alike: "by their words", for the
 * description. */
hone_status hone_retrieval_build(hone_approach *a, const char *alike, hone_progress *progress, hone_error *err);
/* hone_approach_type.messages: the nearest rows as demonstrations, the nearest one last. */
hone_status hone_retrieval_messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err);

#endif
