/* check.h - what `hone check` finds out about a task without running a model. */
#ifndef HONE_TASK_CHECK_H
#define HONE_TASK_CHECK_H

#include "store/ledger.h"
#include "task/task.h"

typedef enum hone_finding_state { HONE_FINDING_GOOD, HONE_FINDING_WARNING, HONE_FINDING_FAILED } hone_finding_state;

typedef struct hone_finding { /* one line: what was looked at, what it came to, how to mend it */
    const char *name;         /* "leaks" */
    hone_finding_state state;
    const char *text;
} hone_finding;

typedef struct hone_label_count {
    const char *label;
    size_t train, select, test;
} hone_label_count;

typedef struct hone_length { /* of the texts of train, select and test together */
    int64_t median, p95, longest;
    const char *file; /* where the longest stands */
    int64_t line;
} hone_length;

typedef struct hone_row_pair {
    const hone_row *a, *b;
} hone_row_pair;

typedef struct hone_task_check {
    hone_label_count *labels; /* [task->n_labels], rarest in train first */
    size_t n_labels;
    const char *length_unit; /* "tokens" or "characters" */
    hone_length input, output;
    size_t n_repeated;             /* rows of train and select equal to an earlier one */
    size_t n_contradictions;       /* rows of train and select with the input of an earlier one and another output */
    hone_row_pair *contradictions; /* the first few */
    size_t n_contradictions_kept;
    int64_t n_openings;
    double detectable_difference; /* one comparison, 80 % power, a fifth of the rows discordant */
    hone_finding findings[8];
    size_t n_findings;
} hone_task_check;

/* Counts the length of a text; NULL: characters. */
typedef struct hone_length_counter {
    const char *unit;
    int64_t (*count)(void *context, const char *text); /* below 0: could not be counted */
    void *context;
    int64_t context_tokens; /* what the model's context holds; 0: not known */
} hone_length_counter;

/* Everything in *out lives in the task's arena. */
hone_status hone_task_check_run(hone_task *task, hone_ledger *ledger, const hone_length_counter *counter,
                                hone_task_check *out, hone_error *err);

#endif
