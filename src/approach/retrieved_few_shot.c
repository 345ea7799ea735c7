/* retrieved_few_shot.c - demonstrations retrieved by their words (TF-IDF, cosine). */
#include "approach/retrieval.h"
#include "approach/train_index.h"

typedef struct retrieved {
    hone_retrieval common;
    hone_train_index index;
} retrieved;

static hone_status nearest_rows(hone_approach *a, const hone_row *row, size_t k, size_t *nearest, size_t *n,
                                hone_error *err)
{
    const retrieved *r = a->state;
    return hone_train_index_nearest(&r->index, row->input, k, nearest, n, err);
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    retrieved *r = hone_arena_alloc(a->arena, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an index");
    a->state = r;
    r->common.nearest = nearest_rows;
    hone_status status = hone_train_index_init(&r->index, &a->bench->task->train, err);
    return status == HONE_OK ? hone_retrieval_build(a, "", progress, err) : status;
}

static void clear(hone_approach *a)
{
    if (a->state)
        hone_train_index_clear(&((retrieved *)a->state)->index);
}

const hone_approach_type hone_approach_retrieved_few_shot = {.name = "retrieved few-shot",
                                                             .word = "retrieved-few-shot",
                                                             .family = HONE_APPROACH_PROMPT,
                                                             .build = build,
                                                             .messages = hone_retrieval_messages,
                                                             .clear = clear};
