/* tuning.h - what "tuned" and "tuned + prompt" share: training pairs, the search for the learning rate, the adapter. */
#ifndef HONE_APPROACH_TUNING_H
#define HONE_APPROACH_TUNING_H

#include "approach/approach.h"
#include "prompt/prompt.h"

/* Trains an adapter on the task's train rows under prompts of the given style and loads it; sets adapter, settings,
 * costs. The style is the same in training and in serving. a->state becomes a copy of the style. */
hone_status hone_tuning_build(hone_approach *a, hone_prompt_style style, hone_progress *progress, hone_error *err);
/* hone_approach_type.messages for a tuned approach. */
hone_status hone_tuning_messages(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err);
void hone_tuning_clear(hone_approach *a);

#endif
