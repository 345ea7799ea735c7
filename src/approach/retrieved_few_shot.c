/* retrieved_few_shot.c - for each row the k most similar training rows are its demonstrations, the nearest one last.
 *
 * k is chosen on select_tune. Retrieved demonstrations are worth many fixed ones (Liu et al. 2022, arXiv 2101.06804),
 * but they differ from row to row, so that no cache saves their tokens. */
#include "approach/approach.h"

#include "approach/train_index.h"
#include "prompt/prompt.h"

#include <math.h>

typedef struct retrieved {
    hone_train_index index;
    size_t k;
} retrieved;

static hone_status messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err)
{
    const retrieved *r = a->state;
    size_t nearest[HONE_MAX_NEIGHBOURS], n;
    const hone_row *rows[HONE_MAX_NEIGHBOURS];
    hone_status status = hone_train_index_nearest(&r->index, row->input, r->k, nearest, &n, err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        rows[n - 1 - i] = &r->index.train->items[nearest[i]];
    if (skip > n)
        skip = n;
    return hone_prompt_messages(a->bench->task, (hone_prompt_style){.instruction = true}, rows + skip, n - skip, row,
                                out, err);
}

static hone_status set_neighbours(hone_approach *a, int k, hone_error *err)
{
    retrieved *r = a->state;
    r->k = k < 1 ? 1 : k > HONE_MAX_NEIGHBOURS ? HONE_MAX_NEIGHBOURS : (size_t)k;
    a->n_demonstrations = r->k;
    if (json_object_set_new(a->settings, "neighbours", json_integer((json_int_t)r->k)) != 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    return HONE_OK;
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    const hone_effort *effort = &a->bench->effort;
    retrieved *r = hone_arena_alloc(a->arena, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an index");
    a->state = r;
    hone_status status = hone_train_index_init(&r->index, &a->bench->task->train, err);
    int best = effort->n_neighbours > 0 ? effort->neighbours[0] : 8;
    size_t n_tune = effort->n_neighbours > 1 ? hone_workbench_tune_rows(a->bench) : 0;
    for (int i = 0; i < effort->n_neighbours && n_tune && status == HONE_OK; i++) {
        double score;
        status = set_neighbours(a, effort->neighbours[i], err);
        if (status == HONE_OK)
            status = hone_approach_try(a, &score, progress, err);
        if (status == HONE_OK && (i == 0 || score > a->select_tune_score)) {
            a->select_tune_score = score;
            best = effort->neighbours[i];
        }
    }
    if (status == HONE_OK)
        status = set_neighbours(a, best, err);
    if (status != HONE_OK)
        return status;
    a->labels_used = (int64_t)(a->bench->task->train.n + n_tune);
    if (n_tune == 0)
        return hone_approach_describe(
            a, err, "role, instruction and the %zu most similar training rows as demonstrations", r->k);
    return hone_approach_describe(
        a, err,
        "role, instruction and the %zu most similar training rows as demonstrations, the best of %d "
        "numbers on %zu select rows",
        r->k, effort->n_neighbours, n_tune);
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
                                                             .messages = messages,
                                                             .clear = clear};
