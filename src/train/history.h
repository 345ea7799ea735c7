/* history.h - metrics.jsonl read back: the course of a run, for its warnings and its report.
 *
 * The file may have been cut or edited: a line that says nothing is passed over, what is missing is NAN, and steps that
 * go back are passed over too. */
#ifndef HONE_TRAIN_HISTORY_H
#define HONE_TRAIN_HISTORY_H

#include "base/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_history_step {
    int64_t step;
    double loss, learning_rate, gradient_norm, tokens_per_second, seconds;
    const json_t *lines; /* of the rows of its batch */
} hone_history_step;

typedef struct hone_history_score {
    int64_t step, n, unended;
    double score, select_loss, perplexity, base_perplexity, kl;
    const char *right;     /* "0110...", "" where it is not known */
    const json_t *samples; /* an array or NULL */
} hone_history_score;

typedef struct hone_history_row { /* a training row; its examples together */
    int64_t line;
    int visits;         /* how often it was learned from */
    double first, last; /* its loss at the first and at the last visit, before the step */
    double later;       /* mean over all visits but the first */
} hone_history_row;

typedef struct hone_train_history {
    hone_history_step *steps;
    hone_history_score *scores;
    hone_history_row *rows; /* by line */
    size_t n_steps, n_scores, n_rows;
    json_t *lines; /* owns what the others borrow */
} hone_train_history;

/* HONE_NOT_FOUND: no metrics.jsonl there. Cleared by the caller, also after an error. */
hone_status hone_train_history_read(const char *folder, hone_train_history *out, hone_error *err);
void hone_train_history_clear(hone_train_history *history);
/* Mean loss of the steps in (after, upto]; NAN where there are none. */
double hone_history_mean_loss(const hone_train_history *history, int64_t after, int64_t upto);
/* The score that the trainer keeps: the highest, of equals the one with the lowest held-out loss, then the first; NULL
 * without scores. */
const hone_history_score *hone_history_best(const hone_train_history *history);

#endif
