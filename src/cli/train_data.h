/* train_data.h - the rows of `hone train`: read, made into examples, some held out. */
#ifndef HONE_CLI_TRAIN_DATA_H
#define HONE_CLI_TRAIN_DATA_H

#include "train/examples.h"

/* The rows of a file and the examples made of them: what `hone train` and `hone eval` both begin with. Both are cleared
 * by the caller, also after an error. */
hone_status hone_cli_read_examples(hone_engine *engine, const char *path, const char *system,
                                   const hone_example_options *options, hone_conversations *rows,
                                   hone_encoded_examples *examples, hone_error *err);

typedef struct hone_train_data_options {
    const char *system, *train_on, *too_long, *balance;
    bool no_select;
    int64_t max_tokens, seed;
} hone_train_data_options;

typedef struct hone_train_data {
    hone_conversations rows;
    hone_encoded_examples examples; /* those of held-out rows last */
    size_t n_train;                 /* examples to learn from */
    size_t n_train_rows, n_select_rows;
    size_t n_not_asked;        /* held-out examples whose answer is cut off: they have a loss only */
    hone_train_example *items; /* [n_train], as the trainer takes them */
    size_t *row_of;            /* [n_train]: which of the training rows, in their order */
} hone_train_data;

/* Reads the file, prints what was found in it, and holds out a tenth of the rows (8 to 200) unless no_select. Cleared
 * by the caller, also after an error. */
hone_status hone_train_data_read(hone_engine *engine, const hone_train_data_options *options, const char *path,
                                 hone_train_data *out, hone_error *err);
/* Gives back the memory of what only reports show: the rows' texts. */
void hone_train_data_forget_texts(hone_train_data *data);
void hone_train_data_clear(hone_train_data *data);

#endif
