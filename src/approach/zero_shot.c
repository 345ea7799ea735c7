/* zero_shot.c - role, instruction and, for label tasks, the list of labels; no examples. Needs no labelled rows. */
#include "approach/approach.h"

#include "prompt/prompt.h"

static hone_status messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err)
{
    (void)skip;
    return hone_prompt_messages(a->bench->task, (hone_prompt_style){.instruction = true, .labels = true}, NULL, 0, row,
                                out, err);
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)progress;
    if (hone_task_has_labels(a->bench->task))
        return hone_approach_describe(a, err, "role, instruction and the list of %zu labels", a->bench->task->n_labels);
    return hone_approach_describe(a, err, "role and instruction");
}

const hone_approach_type hone_approach_zero_shot = {
    .name = "zero-shot", .word = "zero-shot", .family = HONE_APPROACH_PROMPT, .build = build, .messages = messages};
