/* tuned.c - a LoRA adapter that learned bare input -> output pairs: no role, no instruction, so the shortest prompt.
 * What the model's own chat template adds stays. */
#include "approach/tuning.h"

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    return hone_tuning_build(a, (hone_prompt_style){.instruction = false}, progress, err);
}

const hone_approach_type hone_approach_tuned = {.name = "tuned",
                                                .word = "tuned",
                                                .family = HONE_APPROACH_TUNED,
                                                .build = build,
                                                .messages = hone_tuning_messages,
                                                .clear = hone_tuning_clear};
