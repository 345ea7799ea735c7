/* scoring.h - an approach's raw answer becomes a parsed answer and a score, the same way for every approach. */
#ifndef HONE_APPROACH_SCORING_H
#define HONE_APPROACH_SCORING_H

#include "approach/workbench.h"

/* Fills answer and score of `out` from out->raw and the row's reference. An unparseable answer is NULL and scores 0. */
hone_status hone_score_answer(const hone_task *task, const hone_row *row, hone_arena *arena, hone_answer *out,
                              hone_error *err);
/* Whether the raw text is, without any repair, a valid answer: one of the labels, for instance. */
bool hone_answer_is_strict(const hone_task *task, const char *raw);
/* Whether answers of this task have a form that can be missed (free text has none). */
bool hone_task_has_form(const hone_task *task);

#endif
