/* cmd_score.c - `hone score`: log-probabilities of given tokens, line by line. */
#include "cli/commands.h"

#include "base/file.h"
#include "cli/model_argument.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_AT_ONCE = 256, N_TOP = 10 };

static hone_status read_line(hone_engine *engine, const char *text, size_t length, int64_t line, hone_token_list *ids,
                             hone_error *err)
{
    json_error_t where;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where), *list = json_object_get(object, "ids");
    const char *plain = json_string_value(json_object_get(object, "text"));
    hone_status status = HONE_OK;
    if (!object)
        status = hone_fail(err, HONE_BAD_INPUT, "column %d: %s", where.column, where.text);
    else if (plain)
        status = hone_engine_encode_text(engine, plain, ids, err);
    else if (!json_is_array(list) || json_array_size(list) == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "neither \"ids\" (a list of at least one) nor \"text\"");
    for (size_t i = 0; list && !plain && i < json_array_size(list) && status == HONE_OK; i++) {
        json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= hone_tokenizer_size(hone_engine_get_tokenizer(engine)))
            status = hone_fail(err, HONE_BAD_INPUT, "element %zu of \"ids\" is not a token of this model (0 to %d)",
                               i + 1, hone_tokenizer_size(hone_engine_get_tokenizer(engine)) - 1);
        else
            status = hone_token_list_push(ids, (int32_t)json_integer_value(id), err);
    }
    json_decref(object);
    return status == HONE_OK ? status : hone_fail_within(err, status, "standard input:%lld", (long long)line);
}

static void print_line(const hone_token_list *ids, const hone_response *r)
{
    printf("{\"ids\":[");
    for (size_t i = 0; i < ids->n; i++)
        printf("%s%d", i ? "," : "", ids->data[i]);
    printf("],\"logprobs\":[null");
    for (size_t i = 1; i < ids->n; i++)
        printf(",%.9g", (double)r->prompt_logprobs[i]);
    printf("],\"top\":[");
    for (int i = 0; i < r->n_top; i++)
        printf("%s[%d,%.9g]", i ? "," : "", r->top[i].id, (double)r->top[i].logprob);
    printf("]}\n");
}

static hone_status score_batch(hone_engine *engine, const hone_adapter *adapter, const hone_token_list *lines, size_t n,
                               hone_error *err)
{
    hone_request requests[LINES_AT_ONCE] = {0};
    hone_response responses[LINES_AT_ONCE];
    for (size_t i = 0; i < n; i++)
        requests[i] = (hone_request){.ids = lines[i].data,
                                     .n_ids = lines[i].n,
                                     .adapter = adapter,
                                     .want_prompt_logprobs = true,
                                     .n_top = N_TOP};
    hone_status status = hone_engine_run(engine, requests, n, responses, NULL, err);
    for (size_t i = 0; i < n; i++) {
        if (status == HONE_OK)
            print_line(&lines[i], &responses[i]);
        hone_response_clear(&responses[i]);
    }
    return status;
}

static hone_status score_input(hone_engine *engine, const hone_adapter *adapter, hone_error *err)
{
    char *text = NULL;
    size_t capacity = 0, n = 0;
    ssize_t length;
    int64_t line = 0;
    hone_token_list lines[LINES_AT_ONCE];
    hone_status status = HONE_OK;
    while (status == HONE_OK && (length = getline(&text, &capacity, stdin)) >= 0) {
        line++;
        if (strspn(text, " \t\r\n") == (size_t)length)
            continue;
        lines[n] = (hone_token_list){0};
        status = read_line(engine, text, (size_t)length, line, &lines[n++], err);
        if (status == HONE_OK && n == LINES_AT_ONCE) {
            status = score_batch(engine, adapter, lines, n, err);
            while (n > 0)
                hone_token_list_clear(&lines[--n]);
        }
    }
    if (status == HONE_OK && n > 0)
        status = score_batch(engine, adapter, lines, n, err);
    while (n > 0)
        hone_token_list_clear(&lines[--n]);
    free(text);
    return status;
}

static int run(int argc, char **argv);

const hone_command hone_command_score = {
    .name = "score",
    .usage = "-m MODEL [--adapter FOLDER] < lines",
    .summary = "log-probabilities of tokens or text, line by line",
    .details = "Each line is {\"ids\":[...]} or {\"text\":\"...\"}; the answer is {\"ids\",\"logprobs\",\"top\"}: "
               "natural logarithms, the\n"
               "first null, and the ten best next tokens. No BOS is added to ids; text gets one where the model's file "
               "says so.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *adapter_folder = NULL;
    int64_t threads = 0;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name or GGUF file"},
        {"adapter", 'a', HONE_OPTION_TEXT, &adapter_folder, "FOLDER", "a tuned adapter (PEFT files)"},
        {"threads", 't', HONE_OPTION_INTEGER, &threads, "N", "threads (default: all processors)"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_score, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_engine *engine = NULL;
    hone_adapter *adapter = NULL;
    hone_status status =
        arguments.n ? hone_fail(&err, HONE_BAD_INPUT, "unexpected argument \"%s\"; the lines go to standard input",
                                arguments.items[0])
                    : HONE_OK;
    if (status == HONE_OK)
        status = hone_cli_open_engine(model, threads, 0, &engine, &err);
    if (status == HONE_OK && adapter_folder)
        status = hone_engine_load_adapter(engine, adapter_folder, &adapter, &err);
    if (status == HONE_OK)
        status = score_input(engine, adapter, &err);
    hone_engine_close(engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_score, &err);
}
