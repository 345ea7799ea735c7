/* conversation.h - the turns of a chat: an optional system message, then user and assistant in turn.
 *
 * A turn is a user message with what follows it up to the next user message. The file of a saved conversation is one
 * JSON object {"messages":[{"role","content"},...]}, the form that `hone run --jsonl` and training data have. */
#ifndef HONE_CLI_CONVERSATION_H
#define HONE_CLI_CONVERSATION_H

#include "base/status.h"

#include <jansson.h>

typedef struct hone_conversation {
    json_t *messages; /* owned; borrow it to encode */
} hone_conversation;

hone_status hone_conversation_init(hone_conversation *c, hone_error *err);
void hone_conversation_clear(hone_conversation *c);

/* NULL or "" removes it. */
hone_status hone_conversation_set_system(hone_conversation *c, const char *text, hone_error *err);
const char *hone_conversation_get_system(const hone_conversation *c); /* NULL when there is none; borrowed */
/* Bytes that are no UTF-8 become U+FFFD. */
hone_status hone_conversation_add(hone_conversation *c, const char *role, const char *text, hone_error *err);

size_t hone_conversation_turns(const hone_conversation *c);
bool hone_conversation_drop_oldest_turn(hone_conversation *c); /* false when there is none */
bool hone_conversation_drop_last_turn(hone_conversation *c);
/* Removes what follows the last user message, so that it can be answered again; false when there is no user message. */
bool hone_conversation_drop_last_answer(hone_conversation *c);
void hone_conversation_drop_all_turns(hone_conversation *c); /* the system message stays */

hone_status hone_conversation_save(const hone_conversation *c, const char *path, hone_error *err);
/* Replaces everything. The object above or its list alone; on failure the conversation is as it was. HONE_BAD_INPUT
 * names the message that is wrong. */
hone_status hone_conversation_load(hone_conversation *c, const char *path, hone_error *err);

#endif
