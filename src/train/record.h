/* record.h - what a run leaves beside the adapter, for people and programs.
 *
 * metrics.jsonl: a line a step (with the loss of each example under its row's line, or its number where the line is
 * not known) and a line a score. hone.json: what the adapter was made from, and the mark that the run ended. README.md:
 * the same as a model card. */
#ifndef HONE_TRAIN_RECORD_H
#define HONE_TRAIN_RECORD_H

#include "train/train.h"

typedef struct hone_train_metrics {
    int64_t step; /* from 1 */
    double loss, learning_rate, gradient_norm, tokens_per_second, seconds;
    const hone_train_example *examples; /* all of the run */
    const size_t *order;                /* [n_examples] of the batch */
    const double *losses;               /* [n_examples] in the same order */
    size_t n_examples;
} hone_train_metrics;
hone_status hone_train_metrics_append(const char *folder, const hone_train_metrics *metrics, hone_error *err);
/* The line of a score: {"step", "score", "select_loss", and what the details hold (may be NULL)}. */
hone_status hone_train_metrics_append_score(const char *folder, int64_t step, const hone_train_scored *scored,
                                            const json_t *details, hone_error *err);
/* Keeps the lines of the first n_steps steps: those after the checkpoint are computed again. */
hone_status hone_train_metrics_cut(const char *folder, int64_t n_steps, hone_error *err);

typedef struct hone_train_record {
    hone_engine *engine;
    const hone_train_options *options;
    const hone_train_result *result;
    const hone_train_example *examples;
    size_t n_examples;
    const char *fingerprint, *data_hash;
} hone_train_record;
/* README.md, then hone.json. */
hone_status hone_train_record_write(const hone_train_record *record, hone_error *err);

#endif
