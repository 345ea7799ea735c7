/* retrieval.c - for each row the k most similar training rows are its demonstrations, the nearest one last.
 *
 * k is chosen on select_tune. Retrieved demonstrations are worth many fixed ones (Liu et al. 2022, arXiv 2101.06804),
 * but they differ from row to row, so that no cache saves their tokens. */
#include "approach/retrieval.h"

#include "approach/train_index.h"
#include "prompt/prompt.h"

hone_status hone_retrieval_messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err)
{
    const hone_retrieval *r = a->state;
    size_t nearest[HONE_MAX_NEIGHBOURS], n;
    const hone_row *rows[HONE_MAX_NEIGHBOURS];
    hone_status status = r->nearest(a, row, r->k, nearest, &n, err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        rows[n - 1 - i] = &a->bench->task->train.items[nearest[i]];
    if (skip > n)
        skip = n;
    return hone_prompt_messages(a->bench->task, (hone_prompt_style){.instruction = true}, rows + skip, n - skip, row,
                                out, err);
}

static hone_status set_neighbours(hone_approach *a, int k, hone_error *err)
{
    hone_retrieval *r = a->state;
    r->k = k < 1 ? 1 : k > HONE_MAX_NEIGHBOURS ? HONE_MAX_NEIGHBOURS : (size_t)k;
    a->n_demonstrations = r->k;
    if (json_object_set_new(a->settings, "neighbours", json_integer((json_int_t)r->k)) != 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    return HONE_OK;
}

hone_status hone_retrieval_build(hone_approach *a, const char *alike, hone_progress *progress, hone_error *err)
{
    const hone_effort *effort = &a->bench->effort;
    hone_retrieval *r = a->state;
    hone_status status = HONE_OK;
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
            a, err, "role, instruction and the %zu most similar training rows%s as demonstrations", r->k, alike);
    return hone_approach_describe(
        a, err,
        "role, instruction and the %zu most similar training rows%s as demonstrations, the best of %d "
        "numbers on %zu select rows",
        r->k, alike, effort->n_neighbours, n_tune);
}
