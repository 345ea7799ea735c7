/* work.h - hours of people's work that an approach takes: before its first request, and for each change of the task.
 *
 *   before the first request   writing the prompt (what sends one) + tuning or building (what is trained or fitted)
 *                              + putting something new into service (a tuned model, a classical one; a prompt runs on
 *                              the model as it is)
 *   for each change            looking at what changed, trying it, and putting it into service again
 *
 * Nobody has measured these hours. Where task.yaml (`work:`) does not state them they are assumed: shown as assumed, in
 * the set-up, the break-even and the sensitivity, but without a say in which approach counts as the cheaper one. */
#ifndef HONE_DECIDE_WORK_H
#define HONE_DECIDE_WORK_H

#include "evidence/comparison.h"

typedef enum hone_work_kind {
    HONE_WORK_PROMPT,
    HONE_WORK_TUNING,
    HONE_WORK_BASELINE,
    HONE_WORK_DEPLOYMENT,
    HONE_WORK_CHANGE,
    HONE_WORK_KINDS
} hone_work_kind;

typedef struct hone_work_default {
    const char *key;  /* in task.yaml, under work */
    const char *what; /* for people: "writing and trying the prompt" */
    double hours;     /* where the task does not say */
} hone_work_default;
extern const hone_work_default hone_work_defaults[HONE_WORK_KINDS];

/* What the task says, or the default; *assumed (may be NULL): it is the default. */
double hone_work_hours(const hone_task_work *given, hone_work_kind kind, bool *assumed);

/* Hours of one approach by kind. A change is work.change_hours and, where something was put into service, doing that
 * again. */
typedef struct hone_work {
    double prompt, building, deployment, change;
    double setup_assumed;  /* the part of prompt + building + deployment that is assumed */
    double change_assumed; /* the part of change */
} hone_work;
hone_work hone_work_of(const hone_task_work *given, hone_family family, bool sends_prompt);

#endif
