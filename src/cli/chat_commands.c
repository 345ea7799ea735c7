/* chat_commands.c - the words of a chat that begin with a slash, one table. */
#include "cli/chat.h"

#include "base/text.h"
#include "cli/line_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `rest` is what follows the word, without blanks around it; it may be empty. */
typedef struct chat_command {
    const char *name, *operand, *help;
    hone_status (*run)(hone_chat *chat, char *rest, hone_error *err);
} chat_command;

static hone_status system_message(hone_chat *chat, char *rest, hone_error *err)
{
    if (!*rest) {
        const char *text = hone_history_get_system(&chat->conversation);
        hone_chat_note(chat, "%s", text ? text : "no system message; /system TEXT sets one");
        return HONE_OK;
    }
    return hone_history_set_system(&chat->conversation, strcmp(rest, "none") == 0 ? NULL : rest, err);
}

static hone_status clear(hone_chat *chat, char *rest, hone_error *err)
{
    (void)rest, (void)err;
    hone_history_drop_all_turns(&chat->conversation);
    return HONE_OK;
}

static hone_status undo(hone_chat *chat, char *rest, hone_error *err)
{
    (void)rest;
    if (!hone_history_drop_last_turn(&chat->conversation))
        return hone_fail(err, HONE_BAD_INPUT, "there is no turn to take back");
    hone_chat_note(chat, "turns left: %zu", hone_history_turns(&chat->conversation));
    return HONE_OK;
}

static hone_status retry(hone_chat *chat, char *rest, hone_error *err)
{
    (void)rest;
    if (hone_history_turns(&chat->conversation) == 0)
        return hone_fail(err, HONE_BAD_INPUT, "there is no message to answer again");
    if (chat->sampling.temperature == 0)
        hone_chat_note(chat, "greedy gives the same answer again; /set temperature 0.8 draws another one");
    hone_history_drop_last_answer(&chat->conversation);
    return hone_chat_answer(chat, err);
}

static hone_status save(hone_chat *chat, char *rest, hone_error *err)
{
    if (!*rest)
        return hone_fail(err, HONE_BAD_INPUT, "/save needs a file name");
    hone_status status = hone_history_save(&chat->conversation, rest, err);
    if (status == HONE_OK)
        hone_chat_note(chat, "%s now holds the conversation, turns: %zu", rest,
                       hone_history_turns(&chat->conversation));
    return status;
}

static hone_status load(hone_chat *chat, char *rest, hone_error *err)
{
    if (!*rest)
        return hone_fail(err, HONE_BAD_INPUT, "/load needs a file name");
    hone_status status = hone_history_load(&chat->conversation, rest, err);
    if (status == HONE_OK)
        hone_chat_note(chat, "going on from %s, turns: %zu", rest, hone_history_turns(&chat->conversation));
    return status;
}

static hone_status use_adapter(hone_chat *chat, char *rest, hone_error *err)
{
    hone_adapter *adapter = NULL;
    if (!*rest)
        return hone_fail(err, HONE_BAD_INPUT, "/adapter needs a name or a folder, or none for the base model");
    if (strcmp(rest, "none") != 0) {
        hone_status status = hone_engine_find_adapter(chat->engine, rest, &adapter, err);
        if (status != HONE_OK)
            return status;
    }
    if (chat->adapter)
        hone_engine_drop_adapter(chat->engine, chat->adapter);
    chat->adapter = adapter;
    hone_chat_note(chat, "answers come from %s", adapter ? rest : "the base model");
    return HONE_OK;
}

static void show_settings(const hone_chat *chat)
{
    const hone_cli_sampling *s = &chat->sampling;
    hone_chat_note(chat, "temperature %g  top-k %lld  top-p %g  min-p %g  typical %g  seed %lld", s->temperature,
                   (long long)s->top_k, s->top_p, s->min_p, s->typical_p, (long long)s->seed);
    hone_chat_note(chat, "repetition-penalty %g  presence-penalty %g  frequency-penalty %g  max-new-tokens %lld",
                   s->repetition_penalty, s->presence_penalty, s->frequency_penalty, (long long)chat->max_new_tokens);
}

static hone_status set(hone_chat *chat, char *rest, hone_error *err)
{
    size_t name = strcspn(rest, " \t=");
    char *value = rest + name + strspn(rest + name, " \t=");
    if (!*rest) {
        show_settings(chat);
        return HONE_OK;
    }
    if (!*value)
        return hone_fail(err, HONE_BAD_INPUT, "/set needs a name and a value, for instance /set temperature 0.7");
    rest[name] = 0;
    if (strcmp(rest, "max-new-tokens") == 0) {
        char *end;
        long long n = strtoll(value, &end, 10);
        if (end == value || *end || n < 1 || n > hone_engine_context_tokens(chat->engine))
            return hone_fail(err, HONE_BAD_INPUT, "max-new-tokens is 1 to %lld",
                             (long long)hone_engine_context_tokens(chat->engine));
        chat->max_new_tokens = n;
        return HONE_OK;
    }
    return hone_cli_sampling_set(&chat->sampling, rest, value,
                                 hone_tokenizer_size(hone_engine_get_tokenizer(chat->engine)), err);
}

bool hone_chat_read_lines(const char *last, hone_buffer *out)
{
    hone_buffer line = {0};
    bool more = true, interrupted = false;
    size_t ending = strlen(last);
    while (more) {
        hone_line got = hone_line_read(". ", &line);
        interrupted = got == HONE_LINE_INTERRUPTED;
        more = got == HONE_LINE_READ;
        if (!more)
            break;
        if (line.length >= ending && memcmp(line.data + line.length - ending, last, ending) == 0 &&
            (strcmp(last, ".") != 0 || line.length == ending)) {
            line.length -= ending;
            more = false;
        }
        if (out->length > 0 && (more || line.length > 0))
            hone_buffer_putc(out, '\n');
        hone_buffer_append(out, line.data, line.length);
    }
    hone_buffer_clear(&line);
    return !interrupted;
}

static hone_status many_lines(hone_chat *chat, char *rest, hone_error *err)
{
    hone_buffer text = {0};
    hone_status status = HONE_OK;
    hone_buffer_puts(&text, rest);
    if (hone_chat_read_lines(".", &text) && text.length > 0) {
        status = hone_history_add(&chat->conversation, "user", text.data, err);
        if (status == HONE_OK)
            status = hone_chat_answer(chat, err);
        if (status != HONE_OK)
            hone_history_drop_last_turn(&chat->conversation);
    }
    hone_buffer_clear(&text);
    return status;
}

static hone_status leave(hone_chat *chat, char *rest, hone_error *err)
{
    (void)rest, (void)err;
    chat->leave = true;
    return HONE_OK;
}

static hone_status help(hone_chat *chat, char *rest, hone_error *err);

static const chat_command commands[] = {
    {"help", "", "this list", help},
    {"system", "[TEXT|none]", "show, set or remove the system message", system_message},
    {"clear", "", "forget all turns", clear},
    {"undo", "", "take the last turn back", undo},
    {"retry", "", "answer the last message again", retry},
    {"save", "FILE", "write the conversation as JSON", save},
    {"load", "FILE", "go on with a saved conversation", load},
    {"adapter", "ADAPTER|none", "answer through a tuned adapter, or the base model", use_adapter},
    {"set", "[NAME VALUE]", "show the settings, or change one: temperature 0.7", set},
    {"multi", "[TEXT]", "a message of many lines, up to a line with a dot alone", many_lines},
    {"exit", "", "leave (Ctrl-D too)", leave},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static hone_status help(hone_chat *chat, char *rest, hone_error *err)
{
    (void)rest, (void)err;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof left, "/%s %s", commands[i].name, commands[i].operand);
        hone_chat_note(chat, "%-22s %s", left, commands[i].help);
    }
    hone_chat_note(chat, "%-22s %s", "\"\"\"", "begins and ends a message of many lines");
    hone_chat_note(chat, "%-22s %s", "//text", "a message that begins with a slash");
    hone_chat_note(chat, "%-22s %s", "Ctrl-C", "stops an answer");
    return HONE_OK;
}

void hone_chat_command(hone_chat *chat, const char *line)
{
    hone_error err;
    hone_status status;
    const char *names[N_COMMANDS];
    size_t length = strcspn(line + 1, " \t"), i = 0;
    for (; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strlen(names[i]) == length && memcmp(names[i], line + 1, length) == 0)
            break;
    }
    if (i < N_COMMANDS) {
        char *rest = strdup(line + 1 + length + strspn(line + 1 + length, " \t"));
        for (size_t n = rest ? strlen(rest) : 0; n > 0 && (rest[n - 1] == ' ' || rest[n - 1] == '\t'); n--)
            rest[n - 1] = 0;
        status = rest ? commands[i].run(chat, rest, &err) : hone_fail(&err, HONE_NO_MEMORY, "out of memory");
        free(rest);
    } else {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)(length < 31 ? length : 31), line + 1);
        const char *near = hone_suggest(word, names, N_COMMANDS);
        status =
            near ? hone_fail(&err, HONE_BAD_INPUT, "/%s is not known (did you mean /%s?)", word, near)
                 : hone_fail(&err, HONE_BAD_INPUT, "/%s is not known; /help lists what is, //%s sends it", word, word);
    }
    if (status != HONE_OK)
        hone_chat_refuse(chat, &err);
}
