/* running_cost.h - what an approach costs to run, as far as it is known after select, and which of two costs less.
 *
 * The verdict's order is one of money, measured on select alone. Whoever counts as cheaper in it was among the pairs
 * planned; so were those that compute less, whatever the clock says. Timings wobble, and a plan that rested on them
 * alone would differ from run to run for approaches that cost nearly the same. */
#ifndef HONE_EVIDENCE_RUNNING_COST_H
#define HONE_EVIDENCE_RUNNING_COST_H

#include <stdbool.h>

typedef struct hone_running_cost {
    double usd;          /* a request: operating, and each change of the task spread over it; NAN: not known */
    double setup_usd;    /* decides where usd is level; NAN: not known */
    double marginal_usd; /* decides where both are: machine time that a request takes */
    double tokens;       /* computed a request: decides where usd is not known; NAN: not known */
    bool classical;      /* asks no language model: where usd is not known it is the cheaper kind */
} hone_running_cost;

/* Below 0: x costs less than y; 0: no difference worth the name, or nothing known. */
int hone_running_cost_order(const hone_running_cost *x, const hone_running_cost *y);
/* The same by what a request computes alone: no timing enters, so it is the same in every run. */
int hone_request_order(const hone_running_cost *x, const hone_running_cost *y);

#endif
