/* cmd_score.c - `hone score`: log-probabilities of given tokens, line by line. */
#include "cli/commands.h"

#include "base/file.h"
#include "cli/model_argument.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_AT_ONCE = 256, N_TOP = 10 };

typedef struct score_line {
    hone_token_list ids;
    int64_t from;      /* log-probabilities from this token on */
    bool continuation; /* the line was a context and a continuation: only that is answered */
    size_t left_out;   /* tokens, by --truncate */
} score_line;

typedef struct scorer {
    hone_engine *engine;
    const hone_adapter *adapter;
    bool truncate;
    score_line lines[LINES_AT_ONCE];
    size_t n, n_lines, n_shortened, n_left_out;
} scorer;

static hone_status read_ids(hone_engine *engine, const json_t *list, hone_token_list *ids, hone_error *err)
{
    int32_t n_tokens = hone_tokenizer_size(hone_engine_get_tokenizer(engine));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < json_array_size(list) && status == HONE_OK; i++) {
        json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= n_tokens)
            return hone_fail(err, HONE_BAD_INPUT, "element %zu of \"ids\" is not a token of this model (0 to %d)",
                             i + 1, n_tokens - 1);
        status = hone_token_list_push(ids, (int32_t)json_integer_value(id), err);
    }
    return status;
}

/* The two as one text, cut where the context alone ends; spaces at its end belong to the continuation, as tokens begin
 * with them. */
static hone_status encode_continuation(hone_engine *engine, const char *context, const char *continuation,
                                       score_line *line, hone_error *err)
{
    hone_buffer text = {0};
    hone_token_list before = {0};
    size_t length = strlen(context);
    while (length > 0 && strchr(" \t\r\n", context[length - 1]))
        length--;
    hone_buffer_append(&text, context, length);
    hone_status status = length == 0 ? HONE_OK : hone_engine_encode_text(engine, text.data, &before, err);
    hone_buffer_puts(&text, context + length);
    hone_buffer_puts(&text, continuation);
    if (status == HONE_OK && text.failed)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_engine_encode_text(engine, text.data, &line->ids, err);
    line->from = (int64_t)before.n;
    line->continuation = true;
    if (status == HONE_OK && line->from == 0 && line->ids.n > 0 &&
        line->ids.data[0] == hone_tokenizer_bos(hone_engine_get_tokenizer(engine)))
        line->from = 1;
    if (status == HONE_OK && line->from == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "\"context\" is empty: nothing says how likely a first token is");
    if (status == HONE_OK && line->from >= (int64_t)line->ids.n)
        status = hone_fail(err, HONE_BAD_INPUT, "\"continuation\" has no tokens of its own");
    hone_token_list_clear(&before);
    hone_buffer_clear(&text);
    return status;
}

static hone_status read_object(scorer *s, const json_t *object, score_line *line, hone_error *err)
{
    const char *text = json_string_value(json_object_get(object, "text")),
               *context = json_string_value(json_object_get(object, "context")),
               *continuation = json_string_value(json_object_get(object, "continuation"));
    const json_t *list = json_object_get(object, "ids"), *from = json_object_get(object, "from");
    hone_status status;
    if (context && continuation)
        status = encode_continuation(s->engine, context, continuation, line, err);
    else if (text)
        status = hone_engine_encode_text(s->engine, text, &line->ids, err);
    else if (json_is_array(list) && json_array_size(list) > 0)
        status = read_ids(s->engine, list, &line->ids, err);
    else
        status =
            hone_fail(err, HONE_BAD_INPUT,
                      "neither \"ids\" (a list of at least one) nor \"text\" nor \"context\" and \"continuation\"");
    if (status != HONE_OK)
        return status;
    if (from && (line->continuation || !json_is_integer(from) || json_integer_value(from) < 0 ||
                 json_integer_value(from) > (json_int_t)line->ids.n))
        return hone_fail(err, HONE_BAD_INPUT,
                         "\"from\" is the number of a token of \"ids\" or \"text\" (0 to %zu here)", line->ids.n);
    if (from)
        line->from = json_integer_value(from);
    if (s->truncate)
        line->left_out = hone_engine_fit_ids(s->engine, &line->ids, hone_engine_context_tokens(s->engine));
    line->from = line->from > (int64_t)line->left_out ? line->from - (int64_t)line->left_out : 0;
    if (line->continuation && line->from < 1)
        return hone_fail(err, HONE_BAD_INPUT, "the continuation alone exceeds the model's context of %lld tokens",
                         (long long)hone_engine_context_tokens(s->engine));
    s->n_shortened += line->left_out > 0;
    s->n_left_out += line->left_out;
    return HONE_OK;
}

static hone_status read_line(scorer *s, const char *text, size_t length, int64_t number, score_line *line,
                             hone_error *err)
{
    json_error_t where;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    hone_status status = object ? read_object(s, object, line, err)
                                : hone_fail(err, HONE_BAD_INPUT, "column %d: %s", where.column, where.text);
    json_decref(object);
    return status == HONE_OK ? status : hone_fail_within(err, status, "standard input:%lld", (long long)number);
}

static void print_line(const score_line *line, const hone_response *r)
{
    size_t first = line->continuation ? (size_t)line->from : 0;
    double sum = 0;
    bool greedy = true;
    printf("{\"ids\":[");
    for (size_t i = first; i < line->ids.n; i++)
        printf("%s%d", i > first ? "," : "", line->ids.data[i]);
    printf("],\"logprobs\":[");
    for (size_t i = first; i < line->ids.n; i++) {
        if (isnan(r->prompt_logprobs[i]) && ((int64_t)i < line->from || i == 0))
            printf("%snull", i > first ? "," : "");
        else
            printf("%s%.9g", i > first ? "," : "", (double)r->prompt_logprobs[i]);
        sum += (double)r->prompt_logprobs[i];
        greedy = greedy && line->continuation && r->top_prompt[i].id == line->ids.data[i];
    }
    if (line->continuation) {
        printf("],\"sum\":%.9g,\"greedy\":%s,\"context_tokens\":%lld", sum, greedy ? "true" : "false",
               (long long)line->from);
    } else {
        printf("],\"top\":[");
        for (int i = 0; i < r->n_top; i++)
            printf("%s[%d,%.9g]", i ? "," : "", r->top[i].id, (double)r->top[i].logprob);
        printf("]");
    }
    if (line->left_out > 0)
        printf(",\"left_out\":%zu", line->left_out);
    printf("}\n");
}

static void clear_lines(scorer *s)
{
    while (s->n > 0)
        hone_token_list_clear(&s->lines[--s->n].ids);
}

static hone_status score_batch(scorer *s, hone_error *err)
{
    hone_request requests[LINES_AT_ONCE] = {0};
    hone_response responses[LINES_AT_ONCE];
    for (size_t i = 0; i < s->n; i++)
        requests[i] = (hone_request){.ids = s->lines[i].ids.data,
                                     .n_ids = s->lines[i].ids.n,
                                     .adapter = s->adapter,
                                     .want_prompt_logprobs = true,
                                     .logprobs_from = s->lines[i].from,
                                     .n_top_prompt = s->lines[i].continuation ? 1 : 0,
                                     .n_top = s->lines[i].continuation ? 0 : N_TOP};
    hone_status status = hone_engine_run(s->engine, requests, s->n, responses, NULL, err);
    for (size_t i = 0; i < s->n; i++) {
        if (status == HONE_OK)
            print_line(&s->lines[i], &responses[i]);
        hone_response_clear(&responses[i]);
    }
    clear_lines(s);
    return status;
}

static hone_status score_input(scorer *s, hone_error *err)
{
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    int64_t number = 0;
    hone_status status = HONE_OK;
    while (status == HONE_OK && (length = getline(&text, &capacity, stdin)) >= 0) {
        number++;
        if (strspn(text, " \t\r\n") == (size_t)length)
            continue;
        s->n_lines++;
        s->lines[s->n] = (score_line){0};
        status = read_line(s, text, (size_t)length, number, &s->lines[s->n++], err);
        if (status == HONE_OK && s->n == LINES_AT_ONCE)
            status = score_batch(s, err);
    }
    if (status == HONE_OK && s->n > 0)
        status = score_batch(s, err);
    clear_lines(s);
    free(text);
    if (status == HONE_OK && s->n_shortened > 0)
        fprintf(stderr, "hone score: %zu of %zu lines shortened to fit: %zu tokens left out at the beginning\n",
                s->n_shortened, s->n_lines, s->n_left_out);
    return status;
}

static int run(int argc, char **argv);

const hone_command hone_command_score = {
    .name = "score",
    .usage = "-m MODEL [--adapter ADAPTER] < lines",
    .summary = "log-probabilities of tokens or text, line by line",
    .details =
        "Each line is {\"ids\":[...]} or {\"text\":\"...\"}; the answer is {\"ids\",\"logprobs\",\"top\"}: natural "
        "logarithms, the\n"
        "first null, and the ten best next tokens. No BOS is added to ids; text gets one where the model's file says "
        "so.\n"
        "With \"from\":N they begin at token N. A line {\"context\":\"...\",\"continuation\":\"...\"} is answered by "
        "the\n"
        "continuation alone: {\"ids\",\"logprobs\",\"sum\",\"greedy\",\"context_tokens\"}, greedy where every token "
        "was "
        "the\n"
        "likeliest. What such lines begin with in common is computed once.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *numerics = NULL, *adapter_name = NULL;
    int64_t threads = 0;
    bool truncate = false;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 'a', HONE_OPTION_TEXT, &adapter_name, "ADAPTER", HONE_ADAPTER_HELP},
        {"truncate", 0, HONE_OPTION_FLAG, &truncate, NULL, "leave out the beginning of what exceeds the context"},
        HONE_NUMERICS_OPTION(&numerics),
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
        status = hone_cli_open_engine(model, threads, 0, numerics, &engine, &err);
    if (status == HONE_OK && adapter_name)
        status = hone_engine_find_adapter(engine, adapter_name, &adapter, &err);
    if (status == HONE_OK)
        status = score_input(&(scorer){.engine = engine, .adapter = adapter, .truncate = truncate}, &err);
    hone_engine_close(engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_score, &err);
}
