/* compare.h - the main job: every approach built on train, tuned on select, measured on the same locked test.
 *
 *   plan      how thorough, settled first and remembered
 *   select    for each approach, cheapest first: build, answer select_name, measure latency
 *   winner    named on select_name, with the pairs that will be tested; remembered before the test is opened
 *   test      opened through hone_ledger_open_test; all approaches answer it
 *
 * Each finished batch of rows is in the ledger: the same call after a kill goes on where it was. Judging what was found
 * (intervals, the planned pairs, costs, the verdict) is decide's part: hone_decide on the result. */
#ifndef HONE_EVIDENCE_COMPARE_H
#define HONE_EVIDENCE_COMPARE_H

#include "approach/approach.h"
#include "evidence/comparison.h"

typedef struct hone_compare_options {
    const char *const *approaches; /* names or words; baselines are always added */
    size_t n_approaches;           /* 0: all that suit the task */
    bool quick;
    double budget_seconds; /* 0: the task's, or none */
    size_t test_rows;      /* 0: as planned */
    uint64_t seed;
    int train_seeds;        /* 0: the task's */
    const char *model_name; /* as the user named it */
    const char *command;    /* the one command that reproduces it */
    hone_progress *progress;
    /* Fills the running_cost of every approach from what select has shown (hone_decide_costs); what costs less is
     * planned by it. NULL: what costs less computes fewer tokens. */
    hone_status (*costs)(hone_comparison *c, hone_error *err);
    void *context;                                            /* for the two calls below, each of which may be NULL */
    void (*planned)(void *context, const hone_comparison *c); /* before anything runs */
    void (*finished)(void *context, const hone_approach_result *result,
                     double spent_seconds); /* after its select part */
} hone_compare_options;

/* Runs the comparison. engine may be NULL: baselines only. *out is filled and owns out->arena (free it with
 * hone_arena_free, also after an error). *run_id is the run in the ledger, to be finished with its document. HONE_BUSY:
 * another hone works on this task; HONE_CANCELLED: state saved, call again to go on. */
hone_status hone_compare(const hone_task *task, hone_engine *engine, hone_ledger *ledger,
                         const hone_compare_options *options, hone_comparison *out, int64_t *run_id, hone_error *err);

#endif
