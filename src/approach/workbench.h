/* workbench.h - what all approaches of one comparison share, and the memory of what was already answered.
 *
 * Every answer is kept in the ledger under a key that names everything it depends on: code revision, model content,
 * instruction set, numerics class, template, task wording, training rows, seed, the approach and the settings it chose.
 * So the same command after a kill finds finished rows and computes only the rest; a changed task finds nothing. */
#ifndef HONE_APPROACH_WORKBENCH_H
#define HONE_APPROACH_WORKBENCH_H

#include "engine/engine.h"
#include "store/ledger.h"
#include "task/task.h"

enum { HONE_EFFORT_CHOICES = 4 };

/* How much is spent on choosing settings and on training. The same for every approach of a family. */
typedef struct hone_effort {
    size_t tune_rows;                    /* rows of select_tune on which settings are chosen, 0: all */
    int demonstrations;                  /* in a fixed prompt */
    int demonstration_sets;              /* candidates tried */
    int neighbours[HONE_EFFORT_CHOICES]; /* retrieved demonstrations: candidates tried */
    int n_neighbours;
    double learning_rates[HONE_EFFORT_CHOICES];
    int n_learning_rates; /* 1: no probing */
    double epochs;
    int batch;
    int seeds;            /* each tuned approach is trained with so many; 0 is 1 */
    double train_seconds; /* at most, for each tuned approach; 0: no limit */
} hone_effort;

typedef struct hone_workbench {
    const hone_task *task;
    hone_engine *engine;                /* NULL when only baselines run */
    const hone_choices *choices;        /* the labels; NULL unless answers are restricted to them */
    struct hone_embeddings *embeddings; /* NULL when no approach uses them, or their model is not here */
    bool fresh_embeddings;              /* while latency is measured: embed what is to be answered though it is known */
    hone_ledger *ledger;
    const char *adapters; /* folder for adapters */
    hone_effort effort;
    uint64_t seed;
    int max_new_tokens; /* of a free answer */
    json_t *identity;   /* what every key contains; owned */
} hone_workbench;

/* One answer to one row. Strings belong to the arena that the caller passed. */
typedef struct hone_answer {
    const char *answer; /* as parsed; NULL: unparseable, which counts as wrong */
    const char *raw;
    double score;
    int64_t tokens_in, tokens_out, tokens_cached;
    double seconds; /* its share of the batch's time; not a latency */
} hone_answer;

/* Changes when an approach would answer differently than before with the same settings. */
enum { HONE_APPROACH_REVISION = 2 };
/* Changes when the same text would get another embedding from the same files. */
enum { HONE_EMBEDDING_REVISION = 1 };

/* Fills identity and max_new_tokens; the other fields are set before. */
hone_status hone_workbench_init(hone_workbench *bench, hone_error *err);
void hone_workbench_clear(hone_workbench *bench);

/* The key of a piece of work: identity, subject ("tuned"), its settings (may be NULL) and purpose ("test"). */
hone_status hone_workbench_key(const hone_workbench *bench, const char *subject, const json_t *settings,
                               const char *purpose, char key[65], hone_error *err);
/* SHA-256 over what answers to the rows can depend on (hone_row_content), in order. */
void hone_rows_hash(const hone_row *rows, size_t n, char hex[65]);
/* SHA-256 of a JSON value in canonical form (sorted keys, no blanks). */
hone_status hone_json_hash(const json_t *value, char hex[65], hone_error *err);
/* Rows of select_tune on which settings are chosen. */
size_t hone_workbench_tune_rows(const hone_workbench *bench);

/* Place of a label in task->labels; -1 when it is none of them. */
int32_t hone_task_label_index(const hone_task *task, const char *label);
/* Whether answers are taken from the label set. */
bool hone_task_has_labels(const hone_task *task);

#endif
