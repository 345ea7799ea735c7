/* cmd_template.c - hone template: renders a chat template with a context from standard input. */
#include "cli/commands.h"

#include "base/file.h"
#include "text/template.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CONTEXT_BYTES = 256 << 20, MAX_TEMPLATE_BYTES = 16 << 20 };

static int run(int argc, char **argv);

const hone_command hone_command_template = {
    .name = "template",
    .usage = "TEMPLATE_FILE [--bos S] [--eos S] [--now ISO] < CONTEXT",
    .summary = "render a chat template (Jinja) with a JSON context from standard input",
    .details =
        "CONTEXT is a JSON object: {\"messages\":[{\"role\",\"content\"},...]} and any further variables, such as\n"
        "\"tools\" or \"add_generation_prompt\". The text is printed as it is, without an added newline.\n"
        "TEMPLATE_FILE may be the word \"plain\": hone's own template for base models.",
    .run = run,
};

static hone_status read_context(json_t **out, hone_error *err)
{
    hone_buffer text = {0};
    json_error_t cause;
    hone_status status = hone_file_read("-", MAX_CONTEXT_BYTES, &text, err);
    if (status != HONE_OK)
        goto done;
    *out = json_loadb(text.data ? text.data : "", text.length, JSON_ALLOW_NUL, &cause);
    if (!*out)
        status = hone_fail(err, HONE_BAD_INPUT, "standard input:%d:%d: %s; a JSON object with \"messages\" is expected",
                           cause.line, cause.column, cause.text);
done:
    hone_buffer_clear(&text);
    return status;
}

static int run(int argc, char **argv)
{
    const char *bos = "", *eos = "", *unknown = NULL, *padding = NULL, *now = NULL;
    hone_option options[] = {
        {"bos", 0, HONE_OPTION_TEXT, &bos, "TEXT", "the beginning-of-sequence token, bos_token (default: empty)"},
        {"eos", 0, HONE_OPTION_TEXT, &eos, "TEXT", "the end-of-sequence token, eos_token (default: empty)"},
        {"unk", 0, HONE_OPTION_TEXT, &unknown, "TEXT", "unk_token (default: not defined)"},
        {"pad", 0, HONE_OPTION_TEXT, &padding, "TEXT", "pad_token (default: not defined)"},
        {"now", 0, HONE_OPTION_TEXT, &now, "ISO", "what strftime_now sees, such as 2024-07-26T12:00:00"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    const hone_command *command = &hone_command_template;
    hone_arguments arguments;
    hone_error err = {0};
    hone_buffer source = {0}, text = {0};
    hone_template *compiled = NULL;
    json_t *context = NULL;
    hone_status status;
    int code = hone_options_begin(command, options, N_OPTIONS, argc, argv, &arguments);
    if (code >= 0)
        return code;
    if (arguments.n != 1) {
        hone_fail(&err, HONE_BAD_INPUT, "one TEMPLATE_FILE is needed: hone template %s", command->usage);
        return hone_command_failed(command, &err);
    }
    const char *path = arguments.items[0];
    if (strcmp(path, "plain") == 0 && !hone_file_exists(path)) {
        hone_buffer_puts(&source, hone_template_plain());
        status = HONE_OK;
    } else
        status = hone_file_read(path, MAX_TEMPLATE_BYTES, &source, &err);
    if (status != HONE_OK)
        goto done;
    status = hone_template_create(source.data ? source.data : "", source.length, &compiled, &err);
    if (status != HONE_OK) {
        hone_fail_within(&err, status, "%s", path);
        goto done;
    }
    status = read_context(&context, &err);
    if (status != HONE_OK)
        goto done;
    hone_template_options values = {bos, eos, unknown, padding, now};
    status = hone_template_render(compiled, context, &values, &text, &err);
    if (status != HONE_OK) {
        hone_fail_within(&err, status, "%s", path);
        goto done;
    }
    if (fwrite(text.data ? text.data : "", 1, text.length, stdout) != text.length || fflush(stdout) != 0)
        status = hone_fail(&err, HONE_IO, "cannot write to standard output");
done:
    if (status != HONE_OK)
        code = hone_command_failed(command, &err);
    else
        code = HONE_EXIT_DONE;
    json_decref(context);
    hone_template_free(compiled);
    hone_buffer_clear(&source);
    hone_buffer_clear(&text);
    return code;
}
