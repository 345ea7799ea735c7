/* trainable.h - what a run changes, as the loop, the optimiser and the checkpoint see it: one vector of parameters.
 *
 * There are two kinds, an adapter (LoRA, DoRA) and the model's own weights (full fine-tuning). The rest of training
 * asks a kind only for what stands in its type; a new kind is a new table. */
#ifndef HONE_TRAIN_TRAINABLE_H
#define HONE_TRAIN_TRAINABLE_H

#include "model/forward.h"
#include "train/optimise.h"
#include "train/train.h"

typedef struct hone_trainable hone_trainable;

typedef struct hone_trainable_type {
    const char *what;        /* "adapter": as messages call it */
    const char *result_file; /* is in the folder when a result is */
    /* The first parameters, drawn by the seed where they are drawn. Sizes are known before, memory may be taken here.
     */
    hone_status (*begin)(hone_trainable *t, uint64_t seed, hone_error *err);
    /* After the parameters changed, before the next forward pass. */
    void (*refresh)(hone_trainable *t);
    /* Before the engine answers with the parameters as they are. */
    void (*prepare_to_score)(hone_trainable *t);
    hone_status (*save)(const hone_trainable *t, const char *folder, hone_error *err);
    void (*destroy)(hone_trainable *t);
} hone_trainable_type;

struct hone_trainable {
    const hone_trainable_type *type;
    hone_engine *engine;          /* borrowed */
    hone_real *parameters;        /* after begin */
    size_t n_parameters, bytes;   /* bytes: with copies */
    hone_parameter_group *groups; /* all parameters, in order; owned */
    size_t n_groups;
    hone_adapter *adapter;    /* NULL: the model's own weights */
    bool *layers;             /* then: [n_layers], blocks that learn */
    hone_tuned_output output; /* then: how the model is written */
    hone_tape_size tape;      /* what the backward pass needs: rank, first_layer, dora */
};

/* The kind that the options ask for, not begun. HONE_BAD_INPUT: options that do not go together, targets or layers that
 * match nothing. */
hone_status hone_trainable_create(hone_engine *engine, const hone_train_options *options, hone_trainable **out,
                                  hone_error *err);
void hone_trainable_free(hone_trainable *t);

/* The groups of an adapter's parameters: one, or with another ratio than 1 also B (and DoRA's magnitudes, as in PEFT's
 * optimiser for LoRA+) at that many times the rate. *groups is the caller's to free. */
hone_status hone_adapter_parameter_groups(const hone_adapter *adapter, double b_rate_ratio,
                                          hone_parameter_group **groups, size_t *n, hone_error *err);

#endif
