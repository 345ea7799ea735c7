/* adapter_targets.h - which linear layers an adapter gets, and with which rank. */
#ifndef HONE_MODEL_ADAPTER_TARGETS_H
#define HONE_MODEL_ADAPTER_TARGETS_H

#include "model/adapter.h"

typedef struct hone_adapter_choice {
    int rank;
    double alpha;
    bool rslora;
    const char *targets; /* NULL or "all"; "attention"; "mlp"; names ("q_proj,v_proj"); else a regular expression over
                            whole PEFT names ("model.layers.0.self_attn.q_proj") */
    const char *rank_of; /* NULL, or "PATTERN=R;PATTERN=R": other ranks for layers whose name ends so; the first that
                            matches counts, as in PEFT's rank_pattern */
    const bool *layers;  /* NULL, or [n_layers]: blocks that get none are false */
    const hone_model *dora_base; /* NULL: LoRA; the model itself: DoRA on it */
} hone_adapter_choice;

/* The adapter, zero everywhere. HONE_BAD_INPUT: a pattern that matches nothing or is none, a rank larger than its
 * matrix. */
hone_status hone_adapter_create_chosen(const hone_model_config *config, const hone_adapter_choice *choice,
                                       hone_adapter **out, hone_error *err);

/* As PEFT matches: the whole name (target_modules), or its end from a dot on (at_end; rank_pattern). */
hone_status hone_adapter_pattern_matches(const char *pattern, bool at_end, const char *name, bool *out,
                                         hone_error *err);

#endif
