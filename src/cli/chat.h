/* chat.h - what the files of `hone chat` share: chat.c answers, chat_commands.c does what /words say. */
#ifndef HONE_CLI_CHAT_H
#define HONE_CLI_CHAT_H

#include "cli/history.h"
#include "cli/sampling_options.h"

typedef struct hone_chat {
    hone_engine *engine;
    hone_adapter *adapter; /* owned by the engine; NULL: the base model */
    hone_history conversation;
    hone_cli_sampling sampling;
    int64_t max_new_tokens; /* longest answer */
    uint32_t n_answers;     /* so far: the stream of the next one's draws */
    bool terminal;          /* a person reads: control characters are made visible, speed is shown */
    bool leave;             /* /exit */
    bool failed;            /* something was refused */
} hone_chat;

/* A line for the person, on standard error. */
void hone_chat_note(const hone_chat *chat, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says what went wrong and remembers that something did. */
void hone_chat_refuse(hone_chat *chat, const hone_error *err);

/* Answers the last user message: writes the text while it comes and appends it to the conversation. Ctrl-C ends the
 * answer, and what was written stays. Oldest turns that no longer fit into the context are dropped and counted. */
hone_status hone_chat_answer(hone_chat *chat, hone_error *err);

/* Does what a line such as "/set temperature 0.7" says. */
void hone_chat_command(hone_chat *chat, const char *line);
/* Reads lines up to one that is a single dot; appended to out, line ends between them. False: interrupted. */
bool hone_chat_read_lines(const char *last, hone_buffer *out);

#endif
