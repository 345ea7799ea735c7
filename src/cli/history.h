/* history.h - the turns of a chat: an optional system message, then user and assistant in turn.
 *
 * A turn is a user message with what follows it up to the next user message. The file of a saved conversation is one
 * JSON object {"messages":[{"role","content"},...]}, the form that `hone run --jsonl` and training data have. */
#ifndef HONE_CLI_HISTORY_H
#define HONE_CLI_HISTORY_H

#include "base/status.h"

#include <jansson.h>

typedef struct hone_history {
    json_t *messages; /* owned; borrow it to encode */
} hone_history;

hone_status hone_history_init(hone_history *c, hone_error *err);
void hone_history_clear(hone_history *c);

/* NULL or "" removes it. */
hone_status hone_history_set_system(hone_history *c, const char *text, hone_error *err);
const char *hone_history_get_system(const hone_history *c); /* NULL when there is none; borrowed */
/* Bytes that are no UTF-8 become U+FFFD. */
hone_status hone_history_add(hone_history *c, const char *role, const char *text, hone_error *err);

size_t hone_history_turns(const hone_history *c);
bool hone_history_drop_oldest_turn(hone_history *c); /* false when there is none */
bool hone_history_drop_last_turn(hone_history *c);
/* Removes what follows the last user message, so that it can be answered again; false when there is no user message. */
bool hone_history_drop_last_answer(hone_history *c);
void hone_history_drop_all_turns(hone_history *c); /* the system message stays */

hone_status hone_history_save(const hone_history *c, const char *path, hone_error *err);
/* Replaces everything. The object above or its list alone; on failure the conversation is as it was. HONE_BAD_INPUT
 * names the message that is wrong. */
hone_status hone_history_load(hone_history *c, const char *path, hone_error *err);

#endif
