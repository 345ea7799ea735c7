/* settings.h - task.yaml as a struct, before any row is read. Private to src/task. */
#ifndef HONE_TASK_SETTINGS_H
#define HONE_TASK_SETTINGS_H

#include "task/task.h"

typedef struct hone_text_list {
    const char **items;
    size_t n;
} hone_text_list;

typedef struct hone_settings {
    const char *name;
    hone_text_list models;
    struct {
        const char *train, *test, *select; /* as written, relative to the folder */
        const char *group_by;              /* a field whose rows stay together */
        const char *input, *output;        /* the fields to read, where they have other names */
        bool skip_empty;
    } data;
    int output_kind; /* hone_output_kind */
    hone_text_list labels;
    const char *schema;
    const char *embedder;
    const char *metric, *role, *instruction, *context;
    hone_task_scenario *scenarios;
    size_t n_scenarios;
    hone_task_use use;
    hone_text_list skills;
    double budget_seconds;
    uint64_t budget_memory_bytes;
    hone_task_prices prices;
    hone_task_work work;
    uint64_t seed, train_seeds;
    int64_t labels_line; /* where output.labels stands, for messages */
} hone_settings;

/* path: the task.yaml. HONE_BAD_INPUT or HONE_BAD_FORMAT: "file:line: cause (fix)". Everything lives in the arena. */
hone_status hone_settings_read(const char *path, hone_arena *arena, hone_settings *out, hone_error *err);

#endif
