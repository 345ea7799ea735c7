/* plan.h - what a comparison will do, settled before it starts: how much is spent, which pairs will be tested.
 *
 * Pure functions of their arguments. The runner remembers their results in the ledger, so that a continued run does not
 * plan anew with another measurement of the machine's speed. */
#ifndef HONE_EVIDENCE_PLAN_H
#define HONE_EVIDENCE_PLAN_H

#include "approach/approach.h"
#include "evidence/running_cost.h"

/* A level of thoroughness. */
typedef struct hone_level {
    const char *name;
    size_t test_rows, name_rows; /* at most; 0: all */
    bool few_shot;               /* fixed demonstrations too: retrieved ones are nearly always better */
    bool bare_tuning;            /* "tuned" (without the prompt) too */
    bool both_retrievals;        /* demonstrations by their words too where there are those by their embeddings */
    hone_effort effort;
} hone_level;

/* From the most thorough to the smallest. */
extern const hone_level hone_levels[];
extern const size_t hone_n_levels;
/* Index of the level that --quick stands for. */
size_t hone_level_quick(void);

/* What the length of a comparison depends on. */
typedef struct hone_work_facts {
    double tokens_per_second; /* computed prompt tokens, measured */
    double row_tokens;        /* of a request beyond the part that all requests share */
    double shown_tokens;      /* of one demonstration, answer included */
    double answer_tokens;
    double label_tokens; /* of all labels together; 0: free answers */
    size_t n_train, n_tune, n_name, n_test;
    int n_seeds; /* with which each tuned approach is trained; 0 is 1 */
    bool zero_shot, few_shot, retrieved, dense, tuned, tuned_prompt; /* approaches asked for */
} hone_work_facts;

/* Expected seconds of a whole comparison at this level; *training (may be NULL): the part that trains. */
double hone_level_seconds(const hone_level *level, const hone_work_facts *facts, double *training);
/* The most thorough level, from `first` on, that fits the budget; the smallest when none does. */
size_t hone_level_choose(size_t first, const hone_work_facts *facts, double budget_seconds);

/* One approach as select has shown it. */
typedef struct hone_candidate {
    double select_score; /* on select_name */
    hone_running_cost cost;
    hone_approach_family family;
    bool beyond_limits; /* breaks use.latency_p95_ms or use.deadline_days, as measured on select */
} hone_candidate;

/* A request's operating cost in computed tokens: what must be computed, plus the static prefix read from the cache at a
 * tenth (EVIDENCE, Cost: kappa 0.1). 0 without a model. */
double hone_request_cost(double tokens_in, double tokens_static, double tokens_out);

/* Whether a request, or building the approach, takes longer than the task allows. What is not asked (NAN or 0) or was
 * not measured (NAN) breaks nothing. The plan and the verdict ask the same two questions. */
bool hone_is_too_slow(const hone_task_use *use, double latency_p95_ms);
bool hone_is_too_late(const hone_task_use *use, double build_seconds);

/* The best select_score of those within the limits (of all, where none is); the cheaper of equals, then the first. -1
 * when there are none. */
int hone_plan_winner(const hone_candidate *candidates, size_t n);
/* Whom the winner is tested against: every cheaper approach (in computation or in money) and the best baseline, those
 * beyond the limits left out; where that leaves only baselines, the best of all others too (beyond the limits only
 * where no other is within), so that the verdict can say what the larger effort would have brought. The verdict makes
 * no other comparisons. against: [n]. Returns how many. */
size_t hone_plan_pairs(const hone_candidate *candidates, size_t n, int winner, int *against);

#endif
