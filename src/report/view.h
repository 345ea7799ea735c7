/* view.h - a comparison document read into plain structures, tolerantly: a key that is absent, null or of another type
 * is "not measured" (NAN, or "" for text), so that a document of an older hone still renders. Strings borrow from the
 * document. */
#ifndef HONE_REPORT_VIEW_H
#define HONE_REPORT_VIEW_H

#include "base/arena.h"
#include "base/status.h"
#include "decide/work.h"

#include <jansson.h>

typedef struct hone_view_approach {
    const char *name, *family, *description, *prompt, *adapter;
    bool tested, has_prompt, sends_prompt;
    double select_tune, select_name, p_best, expected_regret; /* the last two: on select */
    double score, ci_low, ci_high, strict_format;
    double tokens_in, tokens_out, tokens_static;
    double p50_ms, p95_ms, latency_n, busy_seconds;
    double cost_per_1k, cost_provisioned; /* a shared machine, one kept for this alone */
    double operating_per_1k;              /* the one of the two that the task means (use.dedicated) */
    double setup_usd, setup_labels_usd, setup_compute_usd, setup_work_usd, work_hours, change_usd, change_hours;
    double train_seconds, train_tokens_per_second, evaluation_seconds, labels_used;
    const json_t *seeds; /* "runs" of the document, an array; NULL: trained once or not at all */
    double seeds_mean, seeds_deviation, seed_kept;
} hone_view_approach;

typedef struct hone_view_pair {
    int a, b; /* indices of approaches; a pair with an unknown name is left out */
    double difference, ci_low, ci_high, p, p_adjusted, only_a, only_b;
    const char *test, *finding;
} hone_view_pair;

typedef struct hone_view_answer {
    bool given; /* false: this approach was not tested on the item */
    bool parsed;
    const char *answer; /* "" when not parsed */
    const char *raw;    /* as generated; equals `answer` where the document leaves it out */
    double score;       /* 0..1 */
} hone_view_answer;

typedef struct hone_view_band { /* an assumption halved and doubled; requests at which the chosen one pays back */
    const char *input;
    double low, high, at_low, at_high; /* NAN: never */
} hone_view_band;

typedef struct hone_view {
    const json_t *document;
    const char *hone, *task, *folder, *output, *metric, *train_hash, *test_hash;
    double labels, rows_train, rows_select, rows_test, dropped_duplicates, near_duplicates;
    double requests_per_month, changes_per_year, horizon_months, min_score, latency_p95_limit_ms;
    bool dedicated;
    double compute_hour_usd, label_usd, engineer_hour_usd;
    double input_million_usd, output_million_usd, cache_hit_rate, cache_read, cache_write;
    double work_hours[HONE_WORK_KINDS]; /* NAN in a document that has none */
    bool work_assumed[HONE_WORK_KINDS];
    const char *model, *model_argument, *model_hash, *numerics_class, *isa, *machine, *seed, *quick_note, *command,
        *started;
    bool quick;
    double threads, seconds, peak_bytes, n_test, detectable_difference, test_openings;
    int winner, choose, break_even_against; /* indices or -1 */
    const char *kind, *headline, *summary, *confidence;
    double break_even_requests;
    const char **because, **flips_if, **warnings;
    size_t n_because, n_flips_if, n_warnings;
    hone_view_approach *approaches;
    size_t n_approaches, n_tested;
    hone_view_pair *pairs;
    size_t n_pairs;
    hone_view_band *bands;
    size_t n_bands;
    const json_t *items; /* an array or NULL; read through hone_view_answer_at */
    size_t n_items;
} hone_view;

/* The arrays live in `arena`, the strings in `document`; both must outlive the view. HONE_BAD_FORMAT when this
 * is not a comparison's document. */
hone_status hone_view_read(const json_t *document, hone_arena *arena, hone_view *out, hone_error *err);
hone_view_answer hone_view_answer_at(const hone_view *view, size_t item, size_t approach);
/* "place", "input" or "reference" of an item; "" when absent. */
const char *hone_view_item_text(const hone_view *view, size_t item, const char *key);
/* Money spent on `requests` requests, the set-up included; NAN when not known. */
double hone_view_total_usd(const hone_view_approach *approach, double requests);

#endif
