/* conversation.h - training rows in the shapes that people have, as chat conversations.
 *
 * Shapes, the first that fits: {"messages","tools"?} (OpenAI; "weight" 0 or 1 on assistant turns), {"conversations"}
 * (ShareGPT), {"prompt","completion"} (texts or message lists), {"instruction","input"?,"output"} (Alpaca),
 * {"input","output"}, {"text","label"}; a CSV file has the same names in its header. Any row may have a "system"
 * message of its own. Each row is read by itself, and the notes say once which shapes were found and which fields were
 * not used.
 *
 * Invariants of a conversation: every message has a known role and text (an assistant's may be only tool calls, whose
 * arguments are objects); at least one assistant turn that something precedes is learned. */
#ifndef HONE_TASK_CONVERSATION_H
#define HONE_TASK_CONVERSATION_H

#include "base/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_conversation {
    json_t *messages; /* [{"role","content",...}] as chat templates take them; owned */
    json_t *tools;    /* or NULL; owned */
    float *weights;   /* [messages]: how much each is learned, 0 for all but assistant turns; owned */
    int64_t line;     /* where the row stands, from 1 */
} hone_conversation;

typedef struct hone_conversations {
    hone_conversation *items;
    size_t n;
    json_t *notes; /* texts: the shapes found, what was counted */
} hone_conversations;

/* One row, without its place. `system`: a system message for rows that have none of their own, or NULL. HONE_BAD_INPUT
 * names what is missing or wrong. *shape: the index of its shape, for hone_conversation_shape_name. */
hone_status hone_conversation_from_row(const json_t *row, const char *system, hone_conversation *out, int *shape,
                                       hone_error *err);
const char *hone_conversation_shape_name(int shape);
/* "assistant" for ShareGPT's "gpt"; NULL: no such speaker. */
const char *hone_sharegpt_role(const char *from);
void hone_conversation_clear(hone_conversation *c);

/* All rows of a .csv or JSONL file ("-": JSONL on standard input). Errors begin with file:line. */
hone_status hone_conversations_read(const char *path, const char *system, hone_conversations *out, hone_error *err);
void hone_conversations_clear(hone_conversations *all);

/* question[i]: the first row that asks what row i asks, case, spacing and punctuation aside; [all->n], i itself where
 * it is the first. A row asks all that stands before its last learned answer. */
hone_status hone_conversations_find_questions(const hone_conversations *all, size_t *question, hone_error *err);
/* Adds to the notes which rows repeat an earlier one, exactly or but for case, spacing and punctuation, and which
 * answer the same question in another way. */
hone_status hone_conversations_note_repeats(const char *path, hone_conversations *all, hone_error *err);
/* Adds to the notes how many rows ask nearly what an earlier one asks: nine in ten words are alike. */
hone_status hone_conversations_note_near(const char *path, hone_conversations *all, hone_error *err);

#endif
