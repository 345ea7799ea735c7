/* setup.h - what happens before the first answer: which approaches, how thorough, do the prompts fit. */
#ifndef HONE_EVIDENCE_SETUP_H
#define HONE_EVIDENCE_SETUP_H

#include "evidence/compare.h"
#include "evidence/plan.h"

enum { HONE_MAX_APPROACHES = 32, HONE_MAX_WARNINGS = 64 };

/* A comparison under way. */
typedef struct hone_comparing {
    const hone_task *task;
    hone_engine *engine;
    hone_ledger *ledger;
    const hone_compare_options *options;
    hone_comparison *c;
    hone_workbench bench;
    hone_choices *choices;
    char *adapters;        /* folder; owned */
    hone_level level;      /* as settled: a copy, with the time limit for training */
    size_t n_name, n_test; /* rows answered of select_name and of the test */
    const hone_approach_type *types[HONE_MAX_APPROACHES];
    hone_approach *approaches[HONE_MAX_APPROACHES];
    size_t n;
    char run_key[65];
    char left_out[480]; /* what could not run and how to mend it; "" for nothing */
} hone_comparing;

/* Fills everything up to n and run_key, and the describing fields of the comparison. The caller clears it, also after
 * an error. */
hone_status hone_comparing_init(hone_comparing *run, hone_error *err);
void hone_comparing_clear(hone_comparing *run);
/* A line for the report, copied; beyond HONE_MAX_WARNINGS they are dropped. */
void hone_comparing_warn(hone_comparing *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
