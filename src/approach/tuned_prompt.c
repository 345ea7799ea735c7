/* tuned_prompt.c - a LoRA adapter trained and served with role and instruction. The instruction is worth many examples
 * (Le Scao & Rush 2021, arXiv 2103.08493) and, being the same in each request, is computed once. */
#include "approach/tuning.h"

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    return hone_tuning_build(a, (hone_prompt_style){.instruction = true}, progress, err);
}

const hone_approach_type hone_approach_tuned_prompt = {.name = "tuned + prompt",
                                                       .word = "tuned-prompt",
                                                       .family = HONE_APPROACH_TUNED,
                                                       .build = build,
                                                       .messages = hone_tuning_messages,
                                                       .clear = hone_tuning_clear};
