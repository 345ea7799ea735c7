/* checkpoint.h - the state of a run that was interrupted, and the record of one that ended.
 *
 * checkpoint.bin: a header with a magic, a version, the run's fingerprint, settings and counters; parameters, both
 * moments, the losses of all steps so far; a SHA-256 of everything before it. It is replaced atomically. */
#ifndef HONE_TRAIN_CHECKPOINT_H
#define HONE_TRAIN_CHECKPOINT_H

#include "train/trainable.h"

typedef struct hone_train_state {
    char fingerprint[65];      /* of model, examples and settings: what must be equal to continue */
    char settings[1088];       /* the same in words, "name value, name value": to say what differs */
    int64_t step, total_steps; /* done, planned */
    int64_t tokens;
    double seconds, score_seconds, best_score, best_loss;
    int64_t best_step;
    float *first_moment, *second_moment; /* [n_parameters] */
    float *losses;                       /* [total_steps] */
} hone_train_state;

hone_status hone_checkpoint_write(const char *path, const hone_train_state *state, const hone_trainable *t,
                                  hone_error *err);
/* HONE_NOT_FOUND: there is none. HONE_BAD_INPUT: it belongs to another run, with
 * the first setting that differs. HONE_BAD_FORMAT: damaged. On success the
 * parameters and the state are those of the checkpoint. */
hone_status hone_checkpoint_read(const char *path, hone_train_state *state, hone_trainable *t, hone_error *err);

#endif
