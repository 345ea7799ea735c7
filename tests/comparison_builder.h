/* comparison_builder.h - comparisons built by hand, for tests of what judges them.
 *
 * MADE-UP DATA. An approach has the test rows [from, to) right and the others wrong, so that every count in a test can
 * be worked out on paper: two approaches differ in the rows that only one range covers. */
#ifndef HONE_TESTS_COMPARISON_BUILDER_H
#define HONE_TESTS_COMPARISON_BUILDER_H

#include "decide/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUILT_APPROACHES = 8 };

typedef struct built {
    hone_task task;
    hone_comparison c;
    hone_approach_result approaches[BUILT_APPROACHES];
    hone_pair pairs[BUILT_APPROACHES];
} built;

typedef struct built_approach {
    const char *name;
    hone_family family;
    size_t from, to;
    double select, busy, build;
    int64_t labels;
} built_approach;

static const built_approach built_majority = {"majority", HONE_FAMILY_BASELINE, 0, 13, 0.015, 2e-6, 0.001, 1600};

static void built_begin(built *b, size_t n_test)
{
    *b = (built){.task = {.name = "made-up", .labels = NULL, .n_labels = 77, .metric = "accuracy"}};
    b->task.use = (hone_task_use){NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, NULL, 0};
    b->task.prices = (hone_task_prices){0.10, 0.08, 80};
    b->c = (hone_comparison){.arena = hone_arena_create(),
                             .task = &b->task,
                             .seed = 1,
                             .n_test = n_test,
                             .approaches = b->approaches,
                             .winner = -1,
                             .pairs = b->pairs,
                             .test_openings = 1};
}

static void built_end(built *b)
{
    hone_arena_free(b->c.arena);
}

static int built_add(built *b, built_approach a)
{
    hone_outcome *outcomes = hone_arena_array(b->c.arena, b->c.n_test + 1, sizeof *outcomes);
    for (size_t i = 0; i < b->c.n_test; i++)
        outcomes[i] = (hone_outcome){.answer = "x", .raw = "x", .score = i >= a.from && i < a.to};
    b->approaches[b->c.n_approaches] = (hone_approach_result){.name = a.name,
                                                              .family = a.family,
                                                              .select_name_score = a.select,
                                                              .select_tune_score = a.select,
                                                              .tested = true,
                                                              .outcomes = outcomes,
                                                              .score = NAN,
                                                              .ci_low = NAN,
                                                              .ci_high = NAN,
                                                              .strict_format_rate = 1,
                                                              .latency_p50_ms = NAN,
                                                              .latency_p95_ms = NAN,
                                                              .busy_seconds_per_request = a.busy,
                                                              .build_seconds = a.build,
                                                              .evaluation_seconds = 60,
                                                              .labels_used = a.labels,
                                                              .cost_per_1k_usd = NAN,
                                                              .cost_per_1k_provisioned_usd = NAN,
                                                              .setup_usd = NAN};
    return (int)b->c.n_approaches++;
}

/* The winner and whom it is planned to be tested against. */
static void built_plan(built *b, int winner, const int *against, size_t n)
{
    b->c.winner = winner;
    b->c.n_pairs = n;
    for (size_t i = 0; i < n; i++)
        b->pairs[i] = (hone_pair){.a = winner, .b = against[i], .difference = NAN};
}

/* The case of the sketch in UX: 1,000 rows; tuned 0.824 [0, 824), logistic regression 0.773 [80, 853): 80 rows only
 * tuned, 29 only the regression, 5.1 points; retrieved few-shot 0.634 [190, 824). Tuned is named on select. */
enum { MAJORITY, LOGISTIC, RETRIEVED, TUNED };
static void built_sketch(built *b)
{
    built_begin(b, 1000);
    built_add(b, built_majority);
    built_add(b,
              (built_approach){"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 80, 853, 0.771, 5e-5, 1.1, 1600});
    built_add(b, (built_approach){"retrieved few-shot (10)", HONE_FAMILY_PROMPT, 190, 824, 0.634, 0.45, 160, 40});
    built_add(b, (built_approach){"tuned", HONE_FAMILY_TUNED, 0, 824, 0.828, 0.05, 665, 1600});
    built_plan(b, TUNED, (const int[]){MAJORITY, LOGISTIC, RETRIEVED}, 3);
}

#endif
