/* prompt.h - the prompting techniques: a task and a row become chat messages.
 *
 *   system     role and instruction, and for zero-shot the allowed labels
 *   user       demonstration 1, framed like any row
 *   assistant  its answer
 *   ...
 *   user       the row: its context (prompt.context with {{fields}}), then its input
 *
 * All wording that hone itself adds stands in prompt.c, once. */
#ifndef HONE_PROMPT_PROMPT_H
#define HONE_PROMPT_PROMPT_H

#include "task/task.h"

/* What a technique puts into the prompt besides the row. */
typedef struct hone_prompt_style {
    bool instruction; /* role and instruction as the system message */
    bool labels;      /* the allowed labels, after the instruction */
} hone_prompt_style;

/* Changes when any wording or the order of the parts changes, so that remembered answers are not taken for new ones. */
enum { HONE_PROMPT_REVISION = 1 };

/* The messages for one row, demonstrations before it in the order given (NULL when n_demonstrations is 0). *out is a
 * new reference. Without an instruction in the task, a label or choice task gets hone's own. */
hone_status hone_prompt_messages(const hone_task *task, hone_prompt_style style, const hone_row *const *demonstrations,
                                 size_t n_demonstrations, const hone_row *row, json_t **out, hone_error *err);

#endif
