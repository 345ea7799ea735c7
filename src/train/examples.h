/* examples.h - conversations become tokenised examples with a weight for each token.
 *
 * Nothing is cut or left out unless asked, and what is is counted. */
#ifndef HONE_TRAIN_EXAMPLES_H
#define HONE_TRAIN_EXAMPLES_H

#include "engine/engine.h"
#include "task/conversation.h"
#include "train/train.h"

typedef enum hone_train_on {
    HONE_TRAIN_ON_ALL,  /* every learned turn of a conversation, in one example */
    HONE_TRAIN_ON_LAST, /* the last one only */
    HONE_TRAIN_ON_EACH  /* every one as an example of its own, for templates that rewrite earlier turns */
} hone_train_on;

typedef enum hone_too_long {
    HONE_TOO_LONG_ERROR,
    HONE_TOO_LONG_TRUNCATE, /* the end is cut off; an answer that is cut does not teach its end and is not asked for */
    HONE_TOO_LONG_SPLIT,    /* pieces of whole turns, each with the system message, each beginning at a user's turn */
    HONE_TOO_LONG_DROP
} hone_too_long;

typedef struct hone_example_options {
    int64_t max_tokens; /* of an example; 0: what the model's context holds */
    hone_too_long too_long;
    hone_train_on train_on;
} hone_example_options;

typedef struct hone_encoded_example {
    hone_learned_conversation tokens;
    char *answer;        /* the last learned answer that was not cut, as text; without one, what is left of the first */
    bool answer_is_cut;  /* there is none that was not cut: nothing to ask for */
    size_t conversation; /* index of its row */
    int64_t line;
} hone_encoded_example;

typedef struct hone_encoded_examples {
    hone_encoded_example *items;
    size_t n, capacity;
    size_t longest_answer_tokens;           /* of the last answers */
    size_t n_truncated, n_split, n_dropped; /* rows */
} hone_encoded_examples;

/* HONE_BAD_INPUT: "path:line: ..." for a row that is too long or that the model's template cannot write. Cleared by the
 * caller, also after an error. */
hone_status hone_examples_encode(hone_engine *engine, const char *path, const hone_conversations *all,
                                 const hone_example_options *options, hone_encoded_examples *out, hone_error *err);
void hone_encoded_examples_clear(hone_encoded_examples *examples);
/* What the trainer takes; borrows from the example. */
hone_train_example hone_encoded_example_get(const hone_encoded_example *e);
/* "split" and "each" to their values; false for another word. */
bool hone_too_long_parse(const char *word, hone_too_long *out);
bool hone_train_on_parse(const char *word, hone_train_on *out);

#endif
