/* comparison.h - what a comparison found: the structure that evidence fills, decide judges and report shows.
 *
 * Everything is owned by the comparison's arena. Scores are in 0..1. NAN means "not measured". The test gives scores
 * alone: what requests cost is measured on select, so that the plan and the verdict see the same costs. */
#ifndef HONE_EVIDENCE_COMPARISON_H
#define HONE_EVIDENCE_COMPARISON_H

#include "base/arena.h"
#include "evidence/running_cost.h"
#include "task/task.h"

typedef enum hone_family { HONE_FAMILY_BASELINE, HONE_FAMILY_PROMPT, HONE_FAMILY_TUNED } hone_family;

typedef struct hone_outcome { /* one approach's answer to one row */
    const char *answer;       /* as parsed; NULL when it could not be parsed (counts as wrong) */
    const char *raw;          /* as generated */
    double score;
    int64_t tokens_in, tokens_out, tokens_cached;
} hone_outcome;

enum { HONE_MOST_SEEDS = HONE_TASK_MOST_SEEDS };

typedef struct hone_seed_results { /* of an approach that was trained with several seeds */
    int n;                         /* 0: with one, or not at all */
    int kept;                      /* whose adapter is served: the best on select_tune */
    uint64_t seed[HONE_MOST_SEEDS];
    double select_tune[HONE_MOST_SEEDS], select_name[HONE_MOST_SEEDS], test[HONE_MOST_SEEDS];
} hone_seed_results;

typedef struct hone_approach_result {
    const char *name; /* "tuned + prompt" */
    hone_family family;
    const char *description; /* one line: how it works and its settings */
    const char *prompt;      /* the exact text sent for the first test row (or NULL: no prompt) */
    const char *adapter;     /* folder of the adapter or NULL */
    /* With several seeds all scores below, those of outcomes too, are means over them; answers are the kept one's. */
    hone_seed_results seeds;
    /* select */
    double select_tune_score;      /* on the half that its own settings were chosen on */
    double select_name_score;      /* on the half that only names the winner */
    hone_outcome *select_outcomes; /* [select_name.n] */
    /* test */
    bool tested;
    hone_outcome *outcomes;        /* [n_test], same order for every approach; NULL when not tested */
    double score, ci_low, ci_high; /* 95 % on test */
    double strict_format_rate;     /* share of answers that parsed strictly */
    /* cost, measured on select */
    double tokens_in, tokens_out, tokens_static; /* means a request; static = prefix equal for all rows (cacheable) */
    double latency_p50_ms, latency_p95_ms;       /* one request at a time, prefix cache warm */
    int64_t latency_n;
    double busy_seconds_per_request; /* in batches, for the marginal price */
    double build_seconds;            /* training, fitting, searching */
    double train_tokens_per_second;
    double epochs, epochs_planned;      /* learned; less than planned where a time limit ended it. 0: not trained */
    double evaluation_seconds;          /* spent so far, on select and test */
    double expected_evaluation_seconds; /* on all rows at the pace of select; 0: evaluation_seconds stands for it */
    int64_t labels_used;                /* labelled rows it needs */
    bool sends_prompt;                  /* somebody writes a prompt for it */
    /* derived by decide */
    hone_running_cost running_cost;
    double select_p_best, select_regret; /* share of resamples of select in which it is the best; what naming it is
                                            expected to lose there against the best (a share of 1) */
    double cost_per_1k_usd, cost_per_1k_provisioned_usd;
    double setup_usd, setup_labels_usd, setup_compute_usd, setup_work_usd; /* before the first request; the parts */
    double change_usd;                                                     /* each change of the task */
    double work_hours, change_hours; /* people's, before the first request and at each change */
} hone_approach_result;

typedef struct hone_pair {              /* a planned comparison on the locked test, listed before it was opened */
    int a, b;                           /* indices of approaches; a is the winner named on select */
    double difference, ci_low, ci_high; /* score(a) - score(b), at the multiplicity-adjusted level */
    double p, p_adjusted;               /* exact McNemar (binary) or paired bootstrap; Holm */
    int64_t only_a, only_b;             /* rows that only one of them has right (binary metrics) */
    const char *test;                   /* "exact McNemar" */
    const char *finding;                /* "better", "worse", "no difference shown" */
} hone_pair;

typedef enum hone_verdict_kind {
    HONE_VERDICT_CHOOSE,   /* one approach is better and worth it */
    HONE_VERDICT_CHEAPER,  /* no significant difference: take the cheaper one */
    HONE_VERDICT_BASELINE, /* a classical baseline does this */
    HONE_VERDICT_NOT_ENOUGH_DATA,
    HONE_VERDICT_NEITHER /* nothing reaches min_score, or beats guessing */
} hone_verdict_kind;

typedef struct hone_band { /* the break-even where one assumption is half or double what it is */
    const char *input;
    double low, high;                             /* of the assumption */
    double break_even_at_low, break_even_at_high; /* requests; 0: cheaper from the first; NAN: never */
} hone_band;

typedef struct hone_verdict {
    hone_verdict_kind kind;
    int choose;             /* index of the approach, -1 for none */
    const char *headline;   /* "Tune it." */
    const char *summary;    /* two or three plain sentences with the numbers */
    const char *confidence; /* "high", "moderate", "low" */
    const char **because;
    size_t n_because;
    const char **flips_if;
    size_t n_flips_if;
    double break_even_requests; /* against the best cheaper-to-set-up alternative; NAN: never or not meaningful */
    int break_even_against;     /* index or -1 */
    hone_band *sensitivity;     /* of break_even_requests; NULL where that is not meaningful */
    size_t n_sensitivity;
} hone_verdict;

typedef struct hone_comparison {
    hone_arena *arena;
    const hone_task *task;                                   /* borrowed */
    const char *model;                                       /* "smollm2-135m"; of a path the file's name */
    const char *model_argument;                              /* as the user named it, for commands */
    const char *model_hash, *numerics_class, *isa, *machine; /* machine: "AMD EPYC, 2 threads" */
    int threads;
    uint64_t seed;
    bool quick;
    const char *quick_note;  /* what --quick left out; NULL */
    const char *tuning_note; /* what of it tuning went without: "1 epoch instead of 3"; NULL */
    const char *command;     /* the one command that reproduces it */
    const char *started;     /* ISO time */
    double total_seconds;
    size_t n_test; /* test rows used */
    hone_approach_result *approaches;
    size_t n_approaches;
    int winner; /* named on select_name, -1 */
    hone_pair *pairs;
    size_t n_pairs;
    double detectable_difference; /* smallest difference found with 80 % power for the planned pairs */
    int64_t test_openings;
    int64_t peak_resident_bytes;
    const char **warnings;
    size_t n_warnings;
    hone_verdict verdict;
} hone_comparison;

#endif
