/* few_shot.c - a fixed set of demonstrations, chosen among random candidate sets by their score on select_tune.
 *
 * Candidate c uses demonstration set c/2, drawn from train by counted randomness (different labels first, so that a set
 * shows as many kinds of answer as it can hold), with the list of labels for even c, without it for odd c. A task
 * without labels has one candidate a set. Random search over demonstration sets follows Khattab et al. 2023, arXiv
 * 2310.03714 (bootstrap few-shot with random search), with the task's own answers as demonstrations. */
#include "approach/approach.h"

#include "base/rng.h"
#include "prompt/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEMONSTRATIONS = 32 };

typedef struct few_shot {
    const hone_row *rows[MAX_DEMONSTRATIONS];
    size_t n;
    bool labels;
} few_shot;

static hone_status messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err)
{
    const few_shot *s = a->state;
    return hone_prompt_messages(a->bench->task, (hone_prompt_style){.instruction = true, .labels = s->labels},
                                s->rows + skip, s->n - skip, row, out, err);
}

static bool shown(const few_shot *s, const hone_row *row, bool same_answer)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->rows[i] == row || (same_answer && strcmp(s->rows[i]->output, row->output) == 0))
            return true;
    return false;
}

/* Draws the demonstrations of a set: first rows whose answers differ, then any. */
static hone_status draw(hone_approach *a, int set, few_shot *out, hone_error *err)
{
    const hone_rows *train = &a->bench->task->train;
    int wanted = a->bench->effort.demonstrations;
    size_t most = wanted < 1 ? 1 : wanted > MAX_DEMONSTRATIONS ? MAX_DEMONSTRATIONS : (size_t)wanted;
    size_t *order = malloc((train->n + 1) * sizeof *order);
    if (!order)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", train->n);
    hone_rng_key key = {.seed = a->bench->seed, .purpose = HONE_RNG_DEMONSTRATIONS, .stream = (uint32_t)set};
    hone_rng_permutation(key, train->n, order);
    out->n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < train->n && out->n < most; i++)
            if (!shown(out, &train->items[order[i]], pass == 0))
                out->rows[out->n++] = &train->items[order[i]];
    free(order);
    return HONE_OK;
}

static hone_status set_candidate(hone_approach *a, int candidate, hone_error *err)
{
    bool has_labels = hone_task_has_labels(a->bench->task);
    few_shot *s = a->state;
    hone_status status = draw(a, has_labels ? candidate / 2 : candidate, s, err);
    if (status != HONE_OK)
        return status;
    s->labels = has_labels && candidate % 2 == 0;
    a->n_demonstrations = s->n;
    json_t *ids = json_array();
    for (size_t i = 0; ids && i < s->n; i++)
        json_array_append_new(ids, json_string(hone_row_content(s->rows[i])));
    if (!ids || json_object_set_new(a->settings, "demonstrations", ids) != 0 ||
        json_object_set_new(a->settings, "labels", json_boolean(s->labels)) != 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    return HONE_OK;
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    a->state = hone_arena_alloc(a->arena, sizeof(few_shot));
    if (!a->state)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for demonstrations");
    int sets = a->bench->effort.demonstration_sets < 1 ? 1 : a->bench->effort.demonstration_sets;
    int candidates = hone_task_has_labels(a->bench->task) ? 2 * sets : sets, best = 0;
    bool can_choose = hone_workbench_tune_rows(a->bench) > 0;
    for (int c = 0; c < candidates && can_choose; c++) {
        double score;
        hone_status status = set_candidate(a, c, err);
        if (status == HONE_OK)
            status = hone_approach_try(a, &score, progress, err);
        if (status != HONE_OK)
            return status;
        if (c == 0 || score > a->select_tune_score) {
            a->select_tune_score = score;
            best = c;
        }
    }
    hone_status status = set_candidate(a, best, err);
    if (status != HONE_OK)
        return status;
    const few_shot *s = a->state;
    a->labels_used = (int64_t)(s->n + (can_choose ? hone_workbench_tune_rows(a->bench) : 0));
    return hone_approach_describe(a, err, "%zu fixed demonstrations%s, the best of %d candidates on %zu select rows",
                                  s->n, s->labels ? " and the list of labels" : "", can_choose ? candidates : 1,
                                  hone_workbench_tune_rows(a->bench));
}

const hone_approach_type hone_approach_few_shot = {
    .name = "few-shot", .word = "few-shot", .family = HONE_APPROACH_PROMPT, .build = build, .messages = messages};
