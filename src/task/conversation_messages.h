/* conversation_messages.h - checking and normalising the messages and tools of one row. Private to src/task. */
#ifndef HONE_TASK_CONVERSATION_MESSAGES_H
#define HONE_TASK_CONVERSATION_MESSAGES_H

#include "base/status.h"

#include <jansson.h>

/* Appends `given`, a message as in OpenAI's files, to `messages`: roles checked ("developer" becomes "system"), parts
 * of text joined, arguments of tool calls turned into objects, "weight" taken out into *weight (1 for an assistant
 * without one, 0 for the others). `at` counts from 1, for messages. */
hone_status hone_message_append(json_t *messages, const json_t *given, size_t at, double *weight, hone_error *err);
/* A list of tools, given as JSON or as a text that holds it; *out is a new reference. */
hone_status hone_tools_read(const json_t *given, json_t **out, hone_error *err);
/* Appends an assistant message with the tool calls that a text holds: {"name","arguments"} or a list of such. */
hone_status hone_message_append_calls(json_t *messages, const char *text, size_t at, hone_error *err);

#endif
