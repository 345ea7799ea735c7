/* sampling_options.h - the options that say how an answer is drawn, shared by the commands that generate. */
#ifndef HONE_CLI_SAMPLING_OPTIONS_H
#define HONE_CLI_SAMPLING_OPTIONS_H

#include "cli/options.h"
#include "engine/engine.h"

enum { HONE_N_SAMPLING_OPTIONS = 10 };

/* What the options store; hone_cli_sampling_begin sets the defaults. */
typedef struct hone_cli_sampling {
    double temperature, top_p, min_p, typical_p, repetition_penalty, presence_penalty, frequency_penalty;
    int64_t top_k, seed;
    hone_option_list logit_bias; /* "ID=V" */
    hone_logit_bias biases[64];
} hone_cli_sampling;

/* Defaults, and HONE_N_SAMPLING_OPTIONS rows appended to options[*n]. */
void hone_cli_sampling_begin(hone_cli_sampling *s, hone_option *options, size_t *n);
/* The settings for requests (*out borrows from s). HONE_BAD_INPUT names the option. */
hone_status hone_cli_sampling_read(hone_cli_sampling *s, int64_t n_vocab, hone_sampling *out, hone_error *err);
/* Changes one setting by its option's name ("temperature", "0.7"); HONE_BAD_INPUT with a suggestion. */
hone_status hone_cli_sampling_set(hone_cli_sampling *s, const char *name, const char *value, int64_t n_vocab,
                                  hone_error *err);

#endif
