/* cmd_chat.c - `hone chat`: a conversation on the terminal, or line by line from a pipe. */
#include "base/cancel.h"
#include "cli/chat.h"
#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/line_reader.h"
#include "cli/model_argument.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char quotes[] = "\"\"\"";

typedef struct chat_settings {
    const char *model, *numerics, *adapter, *system;
    int64_t threads;
} chat_settings;

/* A message: answered, or taken out again where that fails. */
static void say(hone_chat *chat, const char *text)
{
    hone_error err;
    hone_status status = hone_history_add(&chat->conversation, "user", text, &err);
    if (status == HONE_OK)
        status = hone_chat_answer(chat, &err);
    if (status == HONE_OK)
        return;
    hone_history_drop_last_turn(&chat->conversation);
    hone_chat_refuse(chat, &err);
}

/* A message that begins with three quotes goes on, over lines, up to the next three. */
static void say_quoted(hone_chat *chat, const hone_buffer *line)
{
    hone_buffer text = {0};
    size_t length = line->length - strlen(quotes);
    bool whole = length >= 3 && memcmp(line->data + line->length - 3, quotes, 3) == 0;
    hone_buffer_append(&text, line->data + strlen(quotes), whole ? length - 3 : length);
    if (whole || hone_chat_read_lines(quotes, &text))
        if (text.length > 0)
            say(chat, text.data);
    hone_buffer_clear(&text);
}

static void talk(hone_chat *chat)
{
    hone_buffer line = {0};
    while (!chat->leave && !hone_cancel_requested()) {
        hone_line got = hone_line_read("> ", &line);
        if (got == HONE_LINE_END)
            break;
        if (got == HONE_LINE_INTERRUPTED) {
            if (chat->terminal)
                fputc('\n', stdout);
            hone_chat_note(chat, "/exit or Ctrl-D leaves");
            continue;
        }
        hone_interrupt_take(); /* one that came too late for the last answer does not stop the next */
        const char *text = line.data + strspn(line.data, " \t");
        if (!*text)
            continue;
        if (strncmp(line.data, quotes, strlen(quotes)) == 0)
            say_quoted(chat, &line);
        else if (text[0] == '/' && text[1] != '/')
            hone_chat_command(chat, text);
        else
            say(chat, text[0] == '/' ? text + 1 : line.data);
    }
    if (chat->terminal && !chat->leave)
        fputc('\n', stdout);
    hone_buffer_clear(&line);
}

static int run(int argc, char **argv);

const hone_command hone_command_chat = {
    .name = "chat",
    .usage = "-m MODEL [options]",
    .summary = "talk with a model; /help lists what can be done meanwhile",
    .details =
        "Answers appear while they are computed. Ctrl-C stops an answer, Ctrl-D or /exit leaves. Three quotes "
        "(\"\"\")\n"
        "begin and end a message of many lines. At a terminal the arrow keys move in the line and call earlier ones\n"
        "back, which are kept until the end only; ~/.editrc rules the keys. Where the conversation no longer fits "
        "into\n"
        "the context its oldest turns are dropped, and it says so. Lines from a pipe are answered one after another;\n"
        "the exit code is 2 where one was refused. /set changes the settings below, except the bias.",
    .run = run,
};

static hone_status begin(hone_chat *chat, const chat_settings *o, const hone_arguments *arguments, hone_error *err)
{
    hone_sampling ignored;
    if (arguments->n > 0)
        return hone_fail(err, HONE_BAD_INPUT, "unexpected argument \"%s\"; messages go to standard input",
                         arguments->items[0]);
    if (chat->max_new_tokens < 1 || chat->max_new_tokens > 1 << 24)
        return hone_fail(err, HONE_BAD_INPUT, "--max-new-tokens %lld; it is 1 or more",
                         (long long)chat->max_new_tokens);
    hone_status status = hone_cli_sampling_read(&chat->sampling, INT32_MAX, &ignored, err);
    if (status == HONE_OK)
        status = hone_cli_open_engine(o->model, o->threads, 0, o->numerics, &chat->engine, err);
    if (status == HONE_OK && o->adapter)
        status = hone_engine_find_adapter(chat->engine, o->adapter, &chat->adapter, err);
    if (status == HONE_OK)
        status = hone_cli_sampling_read(&chat->sampling, hone_tokenizer_size(hone_engine_get_tokenizer(chat->engine)),
                                        &ignored, err);
    if (status == HONE_OK)
        status = hone_history_init(&chat->conversation, err);
    return status == HONE_OK ? hone_history_set_system(&chat->conversation, o->system, err) : status;
}

static int run(int argc, char **argv)
{
    chat_settings o = {0};
    hone_chat chat = {.max_new_tokens = 512, .terminal = isatty(STDOUT_FILENO) == 1};
    hone_option options[32] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 'a', HONE_OPTION_TEXT, &o.adapter, "ADAPTER", HONE_ADAPTER_HELP},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message before the conversation"},
        {"max-new-tokens", 'n', HONE_OPTION_INTEGER, &chat.max_new_tokens, "N", "longest answer (default 512)"},
        HONE_NUMERICS_OPTION(&o.numerics),
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
    };
    size_t n_options = 0;
    while (options[n_options].name)
        n_options++;
    hone_cli_sampling_begin(&chat.sampling, options, &n_options);
    hone_arguments arguments;
    int code = hone_options_begin(&hone_command_chat, options, n_options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_status status = begin(&chat, &o, &arguments, &err);
    if (status == HONE_OK) {
        if (hone_line_reader_is_terminal())
            hone_chat_note(&chat, "/help lists what can be done; Ctrl-D leaves");
        hone_interrupt_begin();
        talk(&chat);
        hone_line_editor_end();
    }
    hone_history_clear(&chat.conversation);
    hone_engine_close(chat.engine);
    if (status != HONE_OK)
        return hone_command_failed(&hone_command_chat, &err);
    if (hone_cancel_requested())
        return HONE_EXIT_INTERRUPTED;
    return chat.failed && !hone_line_reader_is_terminal() ? HONE_EXIT_BAD_INPUT : HONE_EXIT_DONE;
}
