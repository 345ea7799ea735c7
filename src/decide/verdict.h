/* verdict.h - what a comparison means for the person who asked: use this, for that reason, unless.
 *
 * The rule, in this order. "Shown" means that an interval of stats/comparison.h says so, all comparisons together being
 * wrong with probability 5 % at most (Holm).
 *   1. An approach is out when it breaks a hard constraint (use.latency_p95_ms, use.deadline_days), when its whole
 *      interval lies below use.min_score, or when it is not shown to beat guessing. If none is left: NEITHER, or
 *      NOT_ENOUGH_DATA where the intervals are too wide to say so.
 *   2. The winner named on select leads; if it breaks a limit of time (measured on select too), the next best on
 * select. The test never names another: only comparisons planned before it was opened count, and they confirm or
 * refute. If one shows a dearer approach to be better, or the leader fails rule 1 and nothing cheaper holds, that is
 *      NOT_ENOUGH_DATA with a lead to follow on fresh test rows (NEITHER where nothing at all passes rule 1).
 *   3. Among the approaches that cost less than the leader and that the planned comparisons do not show to be worse,
 * the cheapest is taken: CHEAPER, or BASELINE for a classical one. But only where the interval excludes that it gives
 * up more than 10 points, otherwise NOT_ENOUGH_DATA. So "no difference shown" never means "too few rows to look".
 *   4. If every cheaper one is shown to be worse: CHOOSE the leader (BASELINE for a classical one). Where one of them
 *      passes rule 1 and was not among the planned comparisons, nothing is shown of it: NOT_ENOUGH_DATA.
 * "Costs less" is running cost: operating plus, where changes_per_year and requests_per_month are known, what every
 * change of the task costs again. Hours of people's work count there only where task.yaml states them (work.h). The
 * cost of errors is shown beside it and decides nothing. */
#ifndef HONE_DECIDE_VERDICT_H
#define HONE_DECIDE_VERDICT_H

#include "evidence/comparison.h"

/* Fills the cost fields of the approaches from what select has shown, running_cost among them: what hone_compare plans
 * by. HONE_BAD_INPUT, HONE_NO_MEMORY. */
hone_status hone_decide_costs(hone_comparison *c, hone_error *err);

/* Fills, in *c: scores and intervals that are missing, the cost fields of the approaches, the pairs, the verdict. All
 * texts live in c->arena. What was not measured (NAN) stays so and is said. The same comparison gives the same verdict.
 * HONE_BAD_INPUT: no task, an index out of range, a score outside [0, 1]; err names it. HONE_NO_MEMORY. */
hone_status hone_decide(hone_comparison *c, hone_error *err);

#endif
