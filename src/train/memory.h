/* memory.h - what a training run will need, computed before it begins.
 *
 * Everything that the process holds is counted: the program and its tables, packed weights, what scoring checkpoints
 * needs, what is trained with copies and optimiser, the passes of a step, the examples. The
 * plan is made of sizes alone, never of what is free at the moment, where it may change bits (rows of a pass do). */
#ifndef HONE_TRAIN_MEMORY_H
#define HONE_TRAIN_MEMORY_H

#include "train/step.h"
#include "train/trainable.h"

enum { HONE_PASS_ROWS = 640 }; /* of a pass, where memory and the longest example allow */

typedef struct hone_train_memory {
    hone_step_size step;
    size_t program, model, scoring, trained, examples, passes; /* bytes */
    size_t total;
} hone_train_memory;

/* limit_bytes 0: none is set; passes have HONE_PASS_ROWS rows, and blocks are computed again where the machine has less
 * memory free than they need without. With a limit: the first that fits of passes with fewer and fewer rows, then of
 * passes that compute blocks again, most rows first. HONE_NO_MEMORY: none fits; names the least that would. */
hone_status hone_train_memory_plan(const hone_engine *engine, const hone_trainable *trained,
                                   const hone_train_example *examples, size_t n_examples, int batch, bool scored,
                                   uint64_t limit_bytes, hone_train_memory *out, hone_error *err);

#endif
