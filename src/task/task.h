/* task.h - a task opened from its folder: settings, rows, splits.
 *
 * `task.yaml` is strict: an unknown key, a wrong type or a missing file is an error with line and fix. Rows are
 * assigned to splits by a hash of their content (or group), so that adding rows moves none; the assignment is kept in
 * the ledger. */
#ifndef HONE_TASK_TASK_H
#define HONE_TASK_TASK_H

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"

#include <jansson.h>

typedef enum hone_output_kind {
    HONE_OUTPUT_LABEL,
    HONE_OUTPUT_TEXT,
    HONE_OUTPUT_JSON,
    HONE_OUTPUT_NUMBER,
    HONE_OUTPUT_CHOICE,
    HONE_OUTPUT_SQL
} hone_output_kind;

typedef struct hone_row {
    const char *input;
    const char *output;
    const char *group; /* NULL unless data.group_by */
    const char *file;  /* where it stands, for messages */
    int64_t line;
    char id[33];              /* first 32 hex digits of sha256(input NUL output) */
    const char *content;      /* likewise of every field, where prompt.context may use them; NULL: id says it all */
    const char *answer_field; /* the field that gave the output; NULL: not known */
    const json_t *fields;     /* the whole JSON object of the row, for {{fields}} in prompts; borrowed from the task */
} hone_row;

/* 32 hex digits of all that an answer to the row can depend on: what remembered work is known by. */
static inline const char *hone_row_content(const hone_row *row)
{
    return row->content ? row->content : row->id;
}

typedef struct hone_rows {
    hone_row *items;
    size_t n;
} hone_rows;

typedef struct hone_task_use { /* the framework's factors; NAN where not given */
    double requests_per_month, min_score, latency_p95_ms, error_cost_usd, horizon_months, changes_per_year,
        deadline_days;
    bool dedicated;
    const char *const *skills;
    size_t n_skills;
} hone_task_use;

typedef struct hone_task_prices { /* defaults: 0.10, 0.08, 80; tokens 0: this machine's time is paid instead */
    double compute_hour_usd, label_usd, engineer_hour_usd;
    double input_million_usd, output_million_usd; /* tokens bought from a provider */
    double cache_hit_rate;                        /* requests that find their prefix in the provider's cache; 0 */
    double cache_read, cache_write; /* price of a cached and of a stored token against a fresh one; 1, 1 */
} hone_task_prices;

typedef struct hone_task_work { /* hours of a person; NAN where not given (decide/work.h has the defaults) */
    double prompt_hours, tuning_hours, baseline_hours, deployment_hours, change_hours;
} hone_task_work;

typedef struct hone_task_scenario { /* a named overlay of prompt; NULL keeps the task's own */
    const char *name, *role, *instruction, *context;
} hone_task_scenario;

typedef struct hone_task_leak { /* a train or select row that stands in test too */
    const char *file, *test_file;
    int64_t line, test_line;
    bool exact; /* equal input and output: dropped. Otherwise equal inputs but for case, space, punctuation: kept */
} hone_task_leak;

typedef struct hone_task {
    hone_arena *arena; /* owns everything below */
    const char *folder;
    const char *name;
    const char *const *models;
    size_t n_models;
    const char *embedder; /* "minilm-l6-v2" unless given: what makes sentence embeddings */
    hone_output_kind output_kind;
    const char *const *labels; /* sorted by bytes; of the file or of train; NULL unless label or choice */
    size_t n_labels;
    const char *metric;                       /* "accuracy" */
    const char *role, *instruction, *context; /* prompt framing, NULL when not given */
    const hone_task_scenario *scenarios;
    size_t n_scenarios;
    const char *schema; /* path of output.schema, NULL when not given */
    uint64_t seed;      /* 1 unless given */
    int train_seeds;    /* with how many seeds each tuned approach is trained; 1 unless given */
    hone_task_use use;
    hone_task_prices prices;
    hone_task_work work;
    double budget_seconds;        /* 0: none */
    uint64_t budget_memory_bytes; /* 0: none */

    hone_rows train;                    /* gradients and demonstrations */
    hone_rows select_tune;              /* half of select: optimisers, learning rates, checkpoints */
    hone_rows select_name;              /* the other half: only to name the winner */
    hone_rows test;                     /* locked */
    char train_hash[65], test_hash[65]; /* of the rows' inputs and outputs, whatever their order */
    char select_hash[65];               /* likewise of both halves of select, one after the other */
    size_t n_dropped_duplicates;        /* train rows equal to a test row, dropped */
    size_t n_near_duplicates;           /* train rows equal to a test row after normalisation, kept and reported */
    hone_task_leak *leaks;              /* [n_dropped_duplicates + n_near_duplicates], in file order */
    size_t n_leaks;
    json_t *warnings;       /* array of strings, counted lines for the report */
    size_t n_leak_warnings; /* the last lines of warnings tell of leaks */
    json_t *json_root;      /* keeps the rows' fields alive */
} hone_task;

/* path: the folder or its task.yaml. Also assigns splits (kept in the ledger of the folder, .hone/ledger.sqlite). */
hone_status hone_task_open(const char *path, hone_task **out, hone_error *err);
void hone_task_close(hone_task *task);
/* "<folder>/.hone/ledger.sqlite"; lives as long as the task. NULL when out of memory. */
const char *hone_task_ledger_path(const hone_task *task);
/* Keeps a second hone from working on the task: HONE_BUSY names the process that does. Released by hone_lock_release or
 * the end of the process. Opening and checking a task needs no lock. */
hone_status hone_task_lock(const hone_task *task, hone_lock *out, hone_error *err);
/* How many training seeds may be asked for: one, or enough to tell a spread. */
enum { HONE_TASK_LEAST_SEEDS = 3, HONE_TASK_MOST_SEEDS = 9 };
hone_status hone_task_check_seeds(uint64_t n, hone_error *err);
const char *hone_output_kind_name(hone_output_kind kind);

#endif
