/* keys.h - what a comparison and its parts are known by in the ledger: the one place that names all they depend on.
 *
 *   identity  (approach/workbench.h) code, model, task's wording, labels, training and tuning rows, seed
 *   budget    identity at full effort, rows of select and test, approaches, embedder, budget, threads -> level, seconds
 *   run       identity, rows of select and test, approaches, embedder, level and effort              -> answers, scores
 *   plan      run, limits, prices, volume, work, threads                                              -> winner, pairs
 *   opening   run, winner, pairs: another look at the test begins where any of these differ
 *
 * What decides only words (min_score, error_cost_usd, skills, name) is in none. */
#ifndef HONE_EVIDENCE_KEYS_H
#define HONE_EVIDENCE_KEYS_H

#include "evidence/setup.h"

/* After hone_workbench_init; n_name, n_test, types and level are settled (for the budget key types alone). */
hone_status hone_budget_key(const hone_comparing *run, double budget_seconds, char key[65], hone_error *err);
hone_status hone_run_key(const hone_comparing *run, char key[65], hone_error *err);
hone_status hone_plan_key(const hone_comparing *run, char key[65], hone_error *err);
/* The winner and the pairs stand in the comparison. */
hone_status hone_opening_key(const hone_comparing *run, char key[65], hone_error *err);

#endif
