/* dense_few_shot.c - demonstrations retrieved by their sentence embeddings (cosine), which find what is meant alike
 * though it is worded otherwise. */
#include "approach/dense_index.h"
#include "approach/retrieval.h"

#include <stdio.h>

typedef struct retrieved {
    hone_retrieval common;
    hone_dense_index index;
} retrieved;

static hone_status nearest_rows(hone_approach *a, const hone_row *row, size_t k, size_t *nearest, size_t *n,
                                hone_error *err)
{
    const retrieved *r = a->state;
    return hone_dense_index_nearest(&r->index, row, k, nearest, n, err);
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    char alike[128];
    retrieved *r = hone_arena_alloc(a->arena, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an index");
    a->state = r;
    r->common.nearest = nearest_rows;
    hone_status status = hone_dense_index_init(&r->index, a, progress, err);
    snprintf(alike, sizeof alike, " (sentence embeddings by %.64s)", hone_embeddings_name(a->bench->embeddings));
    return status == HONE_OK ? hone_retrieval_build(a, alike, progress, err) : status;
}

const hone_approach_type hone_approach_dense_few_shot = {.name = "dense retrieved few-shot",
                                                         .word = "dense-few-shot",
                                                         .family = HONE_APPROACH_PROMPT,
                                                         .needs_labels = true,
                                                         .uses_embeddings = true,
                                                         .build = build,
                                                         .messages = hone_retrieval_messages};
