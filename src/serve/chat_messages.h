/* chat_messages.h - the "messages" of a request, checked and brought into the form that chat templates want. */
#ifndef HONE_SERVE_CHAT_MESSAGES_H
#define HONE_SERVE_CHAT_MESSAGES_H

#include "base/status.h"

#include <jansson.h>

/* *out: a new list of {"role","content",...}, or NULL after a failure. Content given in parts of text becomes one text;
 * a developer's message a system message (that is what it was called before); the arguments of tool calls, on the wire
 * a JSON text, become the object in it. HONE_UNSUPPORTED for images, sound and files. */
hone_status hone_chat_messages_read(const json_t *messages, json_t **out, hone_error *err);

#endif
