/* cmd_run.c - `hone run`: a prompt on standard input, an answer on standard output; or many, as JSONL. */
#include "cli/commands.h"

#include "base/file.h"
#include "cli/model_argument.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_ANSWER = 512 }; /* unless --max-new-tokens says otherwise */

typedef struct run_settings {
    const char *model, *adapter, *system;
    hone_option_list choices;
    bool raw, json, jsonl, truncate;
    double temperature;
    int64_t max_new_tokens, seed, threads;
} run_settings;

typedef struct run_prompt {
    hone_token_list ids;
    hone_left_out left_out; /* by --truncate */
} run_prompt;

typedef struct run_state {
    hone_engine *engine;
    hone_adapter *adapter;
    hone_choices *choices;
    run_prompt *prompts;
    hone_request *requests;
    hone_response *responses;
    size_t n, capacity;
} run_state;

static const char *finish_name(hone_finish finish)
{
    static const char *const names[] = {"stop", "length", "choice", "scored"};
    return names[finish];
}

/* What --truncate shortens a prompt to, so that the answer has room. */
static int64_t longest_prompt(const run_state *s, const run_settings *o)
{
    int64_t context = hone_engine_context_tokens(s->engine), answer = o->max_new_tokens;
    if (s->choices)
        answer = hone_choices_longest_tokens(s->choices);
    else if (answer < 0)
        answer = context / 4 < LONGEST_ANSWER ? context / 4 : LONGEST_ANSWER;
    return context - answer;
}

/* Adds one prompt: messages (borrowed) or text. */
static hone_status add_prompt(run_state *s, const run_settings *o, const json_t *messages, const char *text,
                              hone_error *err)
{
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        run_prompt *grown = realloc(s->prompts, capacity * sizeof *grown);
        if (!grown)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory");
        s->prompts = grown;
        s->capacity = capacity;
    }
    run_prompt *prompt = &s->prompts[s->n++];
    *prompt = (run_prompt){0};
    if (o->raw && text) {
        hone_status raw_status = hone_engine_encode_text(s->engine, text, &prompt->ids, err);
        if (o->truncate)
            prompt->left_out.n_tokens = hone_engine_fit_ids(s->engine, &prompt->ids, longest_prompt(s, o));
        return raw_status;
    }
    json_t *own = NULL;
    if (!messages) {
        own = json_array();
        if (o->system)
            json_array_append_new(own, json_pack("{s:s,s:s}", "role", "system", "content", o->system));
        if (json_array_append_new(own, json_pack("{s:s,s:s}", "role", "user", "content", text)) < 0) {
            json_decref(own);
            return hone_fail(err, HONE_BAD_INPUT, "the prompt is not valid UTF-8 text; use --raw for other bytes");
        }
    }
    hone_status status = o->truncate
                             ? hone_engine_fit_chat(s->engine, messages ? messages : own, longest_prompt(s, o),
                                                    &prompt->ids, &prompt->left_out, err)
                             : hone_engine_encode_chat(s->engine, messages ? messages : own, true, &prompt->ids, err);
    json_decref(own);
    return status;
}

static hone_status read_prompts(run_state *s, const run_settings *o, hone_error *err)
{
    hone_buffer input = {0};
    hone_status status = hone_file_read("-", 256u << 20, &input, err);
    if (status != HONE_OK || !o->jsonl) {
        if (status == HONE_OK && !o->raw) /* the newline that a shell's echo adds is not part of a question */
            while (input.length && (input.data[input.length - 1] == '\n' || input.data[input.length - 1] == '\r'))
                input.data[--input.length] = 0;
        if (status == HONE_OK && input.length == 0)
            status = hone_fail(err, HONE_BAD_INPUT, "standard input is empty; write the prompt there");
        if (status == HONE_OK)
            status = add_prompt(s, o, NULL, input.data, err);
        hone_buffer_clear(&input);
        return status;
    }
    int64_t line = 0;
    for (char *at = input.data, *next; at && *at && status == HONE_OK; at = next) {
        char *end = strchr(at, '\n');
        next = end ? end + 1 : at + strlen(at);
        size_t length = (size_t)((end ? end : next) - at);
        line++;
        if (strspn(at, " \t\r") >= length)
            continue;
        json_error_t where;
        json_t *object = json_loadb(at, length, JSON_REJECT_DUPLICATES, &where),
               *messages = json_object_get(object, "messages");
        const char *prompt = json_string_value(json_object_get(object, "prompt"));
        if (!object)
            status = hone_fail(err, HONE_BAD_INPUT, "standard input:%lld: column %d: %s", (long long)line, where.column,
                               where.text);
        else if (!prompt && !json_is_array(messages))
            status = hone_fail(err, HONE_BAD_INPUT, "standard input:%lld: neither \"prompt\" nor \"messages\"",
                               (long long)line);
        else
            status = add_prompt(s, o, messages, prompt, err);
        json_decref(object);
        if (status != HONE_OK && prompt)
            status = hone_fail_within(err, status, "standard input:%lld", (long long)line);
    }
    hone_buffer_clear(&input);
    if (status == HONE_OK && s->n == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "standard input has no lines");
    return status;
}

static void print_response(const run_settings *o, const run_prompt *prompt, const hone_response *r)
{
    if (!o->json && !o->jsonl) {
        printf("%s\n", r->text);
        return;
    }
    json_t *line = json_pack("{s:s%, s:I, s:I, s:I, s:s}", "text", r->text, strlen(r->text), "tokens_in",
                             (json_int_t)r->tokens_in, "tokens_out", (json_int_t)r->tokens_out, "tokens_cached",
                             (json_int_t)r->tokens_cached, "finish", finish_name(r->finish));
    if (!line) { /* bytes that are not UTF-8 can only come from a cut sequence; show what JSON can hold */
        line = json_pack("{s:s, s:I, s:I, s:s}", "text", "", "tokens_in", (json_int_t)r->tokens_in, "tokens_out",
                         (json_int_t)r->tokens_out, "finish", finish_name(r->finish));
    }
    if (prompt->left_out.n_messages + prompt->left_out.n_tokens > 0)
        json_object_set_new(line, "left_out",
                            json_pack("{s:I, s:I}", "messages", (json_int_t)prompt->left_out.n_messages, "tokens",
                                      (json_int_t)prompt->left_out.n_tokens));
    if (r->choice >= 0)
        json_object_set_new(line, "logprob", json_real(r->choice_logprob));
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

static void say_left_out(const run_state *s)
{
    size_t n = 0, messages = 0, tokens = 0;
    for (size_t i = 0; i < s->n; i++) {
        const hone_left_out *l = &s->prompts[i].left_out;
        n += l->n_messages + l->n_tokens > 0;
        messages += l->n_messages;
        tokens += l->n_tokens;
    }
    if (n > 0)
        fprintf(stderr, "hone run: %zu of %zu prompts shortened to fit: %zu messages and %zu tokens left out\n", n,
                s->n, messages, tokens);
}

static hone_status run_all(run_state *s, const run_settings *o, hone_error *err)
{
    hone_status status = hone_cli_open_engine(o->model, o->threads, 0, &s->engine, err);
    if (status == HONE_OK && o->adapter)
        status = hone_engine_load_adapter(s->engine, o->adapter, &s->adapter, err);
    if (status == HONE_OK && o->choices.n > 0)
        status = hone_engine_create_choices(s->engine, o->choices.items, o->choices.n, &s->choices, err);
    if (status == HONE_OK)
        status = read_prompts(s, o, err);
    if (status != HONE_OK)
        return status;
    s->requests = calloc(s->n, sizeof *s->requests);
    s->responses = calloc(s->n, sizeof *s->responses);
    if (!s->requests || !s->responses)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    int64_t context = hone_engine_context_tokens(s->engine);
    for (size_t i = 0; i < s->n; i++) {
        int64_t room = context - (int64_t)s->prompts[i].ids.n, most = o->max_new_tokens;
        if (most < 0) /* not given: a long answer, as far as the context reaches */
            most = room < LONGEST_ANSWER ? room : LONGEST_ANSWER;
        s->requests[i] = (hone_request){.ids = s->prompts[i].ids.data,
                                        .n_ids = s->prompts[i].ids.n,
                                        .adapter = s->adapter,
                                        .max_new_tokens = (int)most,
                                        .sampling = {.temperature = o->temperature, .seed = (uint64_t)o->seed},
                                        .choices = s->choices};
    }
    status = hone_engine_run(s->engine, s->requests, s->n, s->responses, NULL, err);
    for (size_t i = 0; i < s->n && status == HONE_OK; i++)
        print_response(o, &s->prompts[i], &s->responses[i]);
    if (status == HONE_OK)
        say_left_out(s);
    return status;
}

static int run(int argc, char **argv);

const hone_command hone_command_run = {
    .name = "run",
    .usage = "-m MODEL [options] < prompt",
    .summary = "answer a prompt from standard input, or many with --jsonl",
    .details =
        "Greedy unless --temperature is given. The prompt goes through the model's chat template; --raw sends it as\n"
        "it is. With --jsonl each line is {\"prompt\":...} or {\"messages\":[...]} and the answers come as lines\n"
        "{\"text\",\"tokens_in\",\"tokens_out\",\"finish\"} in the same order, computed together.",
    .run = run,
};

static int run(int argc, char **argv)
{
    run_settings o = {.max_new_tokens = -1};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name or GGUF file"},
        {"adapter", 'a', HONE_OPTION_TEXT, &o.adapter, "FOLDER", "a tuned adapter (PEFT files)"},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message before the prompt"},
        {"raw", 0, HONE_OPTION_FLAG, &o.raw, NULL, "no chat template"},
        {"choice", 0, HONE_OPTION_LIST, &o.choices, "TEXT", "allow only these answers (give it once for each)"},
        {"temperature", 0, HONE_OPTION_NUMBER, &o.temperature, "T", "0 is greedy (default)"},
        {"seed", 0, HONE_OPTION_INTEGER, &o.seed, "S", "of the sampling (default 0)"},
        {"max-new-tokens", 'n', HONE_OPTION_INTEGER, &o.max_new_tokens, "N", "longest answer (default 512)"},
        {"truncate", 0, HONE_OPTION_FLAG, &o.truncate, NULL,
         "shorten what exceeds the context: oldest turns, or with --raw the beginning"},
        {"jsonl", 0, HONE_OPTION_FLAG, &o.jsonl, NULL, "many prompts as JSON lines"},
        {"json", 0, HONE_OPTION_FLAG, &o.json, NULL, "one JSON object instead of text"},
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
    };
    hone_arguments arguments;
    int code = hone_options_begin(&hone_command_run, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    run_state s = {0};
    hone_status status = HONE_OK;
    if (arguments.n > 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "unexpected argument \"%s\"; the prompt goes to standard input",
                           arguments.items[0]);
    else if (!(o.temperature >= 0))
        status = hone_fail(&err, HONE_BAD_INPUT, "--temperature %g; it is 0 or more", o.temperature);
    else if (o.max_new_tokens < -1 || o.max_new_tokens > 1 << 24)
        status = hone_fail(&err, HONE_BAD_INPUT, "--max-new-tokens %lld; it is 0 or more", (long long)o.max_new_tokens);
    if (status == HONE_OK)
        status = run_all(&s, &o, &err);
    for (size_t i = 0; i < s.n; i++) {
        if (s.responses)
            hone_response_clear(&s.responses[i]);
        hone_token_list_clear(&s.prompts[i].ids);
    }
    free(s.prompts);
    free(s.requests);
    free(s.responses);
    hone_choices_free(s.choices);
    hone_engine_close(s.engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_run, &err);
}
