/* step.h - the gradient of one optimiser step, in passes that fit into a memory set beforehand.
 *
 * The examples of a step are sorted by their tokens, so that those which begin alike are neighbours. Where their tree
 * (train/batch.h) fits into max_rows rows, it is one pass. Otherwise it is computed either in several such trees, or as
 * a trunk and ends: the forward pass of what is shared, then the ends of the examples, some at a time, whose gradients
 * for the trunk's keys and values are added up, and at last the trunk again with its gradient. That costs the shared
 * rows one forward pass more, and once a step instead of once for each group of ends; what costs fewer rows is taken.
 * A pass computes at least one whole example, so max_rows is never below the longest.
 *
 * The sum of the examples' gradients is the same in each way but for the order of additions (within 1e-5 in f32); the
 * way follows from the examples and max_rows alone, so a run repeats its bits. `recompute` changes no bits. */
#ifndef HONE_TRAIN_STEP_H
#define HONE_TRAIN_STEP_H

#include "train/batch.h"

typedef struct hone_step_size {
    int64_t max_rows;     /* computed in one pass */
    int64_t max_examples; /* of a step */
    int rank;
    bool parts;     /* steps may need more than one pass: room for a trunk */
    bool recompute; /* this and the next: hone_tape_size */
    int64_t first_layer;
    bool dora;
} hone_step_size;

typedef struct hone_train_step hone_train_step;

hone_status hone_train_step_create(const hone_model *model, const hone_step_size *size, hone_train_step **out,
                                   hone_error *err);
void hone_train_step_free(hone_train_step *step);
/* What one would take: pages of keys and values, workspace, tape, lists. */
size_t hone_train_step_bytes(const hone_model *model, const hone_step_size *size);

typedef struct hone_step_result {
    double loss;      /* summed over labels, by weight */
    int64_t n_tokens; /* of the examples */
    int64_t n_rows;   /* computed: a row that is passed twice counts twice */
    int64_t n_passes;
} hone_step_result;
/* Adds the gradient of examples[order[0..n)], n up to max_examples, to `gradient`; sorts `order`. */
hone_step_result hone_train_step_gradient(hone_train_step *step, const hone_adapter *adapter,
                                          const hone_train_example *examples, size_t *order, int64_t n,
                                          hone_real label_weight, hone_real *gradient);
/* [n] of the last step, in the order that it left: the loss of each example, the mean over its labels by weight. */
const double *hone_train_step_losses(const hone_train_step *step);

#endif
