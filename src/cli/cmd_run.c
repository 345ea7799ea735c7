/* cmd_run.c - `hone run`: a prompt on standard input, an answer on standard output; or many, as JSONL. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "cli/sampling_options.h"
#include "engine/text_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_ANSWER = 512 }; /* unless --max-new-tokens says otherwise */

typedef struct run_settings {
    const char *model, *numerics, *adapter, *system;
    hone_option_list choices, stops;
    hone_cli_sampling sampling_options;
    hone_sampling sampling;
    bool raw, json, jsonl, truncate;
    int64_t max_new_tokens, n_answers, n_top, threads; /* n_top: -1 without --logprobs */
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
    hone_request *requests; /* [n * n_answers], the answers to one prompt beside each other */
    hone_response *responses;
    size_t n, capacity, n_requests;
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

/* A JSON string; bytes that are no UTF-8 (an answer may be cut inside a character) become U+FFFD. */
static json_t *text_json(const char *text, size_t length)
{
    hone_buffer b = {0};
    hone_utf8_repair(text, length, &b);
    json_t *string = json_stringn(b.data ? b.data : "", b.length);
    hone_buffer_clear(&b);
    return string;
}

/* {"id","token","logprob","top":[[id,logprob],...]} */
static json_t *position_json(const hone_engine *engine, int32_t id, float logprob, const hone_top_token *top, int n_top)
{
    size_t length;
    const char *piece = hone_tokenizer_piece(hone_engine_get_tokenizer(engine), id, &length, NULL);
    json_t *list = json_array();
    for (int i = 0; i < n_top; i++)
        json_array_append_new(list, json_pack("[i,f]", top[i].id, (double)top[i].logprob));
    return json_pack("{s:i, s:o, s:f, s:o}", "id", id, "token", text_json(piece, length), "logprob", (double)logprob,
                     "top", list);
}

static json_t *logprobs_json(const hone_engine *engine, const hone_response *r, int n_top)
{
    json_t *list = json_array();
    const hone_top_token *top = r->top_output;
    for (size_t i = 0; i < r->n_ids; i++, top += n_top)
        json_array_append_new(list, position_json(engine, r->ids[i], r->logprobs[i], top, n_top));
    if (r->end_id >= 0)
        json_array_append_new(list, position_json(engine, r->end_id, r->end_logprob, top, n_top));
    return list;
}

static json_t *answer_json(const hone_engine *engine, const run_settings *o, const run_prompt *prompt,
                           const hone_response *r)
{
    json_t *answer = json_pack("{s:o, s:I, s:I, s:I, s:s}", "text", text_json(r->text, r->text_bytes), "tokens_in",
                               (json_int_t)r->tokens_in, "tokens_out", (json_int_t)r->tokens_out, "tokens_cached",
                               (json_int_t)r->tokens_cached, "finish", finish_name(r->finish));
    if (prompt->left_out.n_messages + prompt->left_out.n_tokens > 0)
        json_object_set_new(answer, "left_out",
                            json_pack("{s:I, s:I}", "messages", (json_int_t)prompt->left_out.n_messages, "tokens",
                                      (json_int_t)prompt->left_out.n_tokens));
    if (r->choice >= 0)
        json_object_set_new(answer, "logprob", json_real(r->choice_logprob));
    if (o->n_top >= 0)
        json_object_set_new(answer, "logprobs", logprobs_json(engine, r, (int)o->n_top));
    return answer;
}

/* The answers to one prompt. */
static void print_answers(const hone_engine *engine, const run_settings *o, const run_prompt *prompt,
                          const hone_response *r)
{
    int64_t n = o->n_answers;
    if (!o->json && !o->jsonl) {
        for (int64_t i = 0; i < n; i++) {
            if (n > 1)
                printf("--- answer %lld of %lld\n", (long long)i + 1, (long long)n);
            printf("%s\n", r[i].text);
        }
        return;
    }
    json_t *line = n == 1 ? answer_json(engine, o, prompt, r) : json_pack("{s:[]}", "answers");
    for (int64_t i = 0; n > 1 && i < n; i++)
        json_array_append_new(json_object_get(line, "answers"), answer_json(engine, o, prompt, &r[i]));
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
    hone_status status = hone_cli_open_engine(o->model, o->threads, 0, o->numerics, &s->engine, err);
    if (status == HONE_OK)
        status = hone_sampling_check(&o->sampling, hone_tokenizer_size(hone_engine_get_tokenizer(s->engine)), err);
    if (status == HONE_OK && o->adapter)
        status = hone_engine_find_adapter(s->engine, o->adapter, &s->adapter, err);
    if (status == HONE_OK && o->choices.n > 0)
        status = hone_engine_create_choices(s->engine, o->choices.items, o->choices.n, &s->choices, err);
    if (status == HONE_OK)
        status = read_prompts(s, o, err);
    if (status != HONE_OK)
        return status;
    s->n_requests = s->n * (size_t)o->n_answers;
    s->requests = calloc(s->n_requests, sizeof *s->requests);
    s->responses = calloc(s->n_requests, sizeof *s->responses);
    if (!s->requests || !s->responses)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    int64_t context = hone_engine_context_tokens(s->engine);
    for (size_t i = 0; i < s->n_requests; i++) {
        const hone_token_list *prompt = &s->prompts[i / (size_t)o->n_answers].ids;
        int64_t room = context - (int64_t)prompt->n, most = o->max_new_tokens;
        if (most < 0) /* not given: a long answer, as far as the context reaches */
            most = room < LONGEST_ANSWER ? room : LONGEST_ANSWER;
        s->requests[i] = (hone_request){.ids = prompt->data,
                                        .n_ids = prompt->n,
                                        .adapter = s->adapter,
                                        .max_new_tokens = (int)most,
                                        .continues = o->raw,
                                        .sampling = o->sampling,
                                        .stops = o->stops.items,
                                        .n_stops = o->stops.n,
                                        .n_top_output = o->n_top > 0 ? (int)o->n_top : 0,
                                        .choices = s->choices};
        s->requests[i].sampling.stream = (uint32_t)(i % (size_t)o->n_answers);
    }
    status = hone_engine_run(s->engine, s->requests, s->n_requests, s->responses, NULL, err);
    for (size_t i = 0; i < s->n && status == HONE_OK; i++)
        print_answers(s->engine, o, &s->prompts[i], &s->responses[i * (size_t)o->n_answers]);
    if (status == HONE_OK)
        say_left_out(s);
    return status;
}

/* What can be said before a model is opened. */
static hone_status check_settings(run_settings *o, const hone_arguments *arguments, hone_error *err)
{
    if (arguments->n > 0)
        return hone_fail(err, HONE_BAD_INPUT, "unexpected argument \"%s\"; the prompt goes to standard input",
                         arguments->items[0]);
    if (o->max_new_tokens < -1 || o->max_new_tokens > 1 << 24)
        return hone_fail(err, HONE_BAD_INPUT, "--max-new-tokens %lld; it is 0 or more", (long long)o->max_new_tokens);
    if (o->n_answers < 1 || o->n_answers > 1024)
        return hone_fail(err, HONE_BAD_INPUT, "--answers %lld; it is 1 to 1024", (long long)o->n_answers);
    if (o->n_top < -1 || o->n_top > 20)
        return hone_fail(err, HONE_BAD_INPUT, "--logprobs %lld; it is 0 to 20 best tokens beside each token",
                         (long long)o->n_top);
    if (o->n_top >= 0 && !o->json && !o->jsonl)
        return hone_fail(err, HONE_BAD_INPUT, "--logprobs is shown with --json or --jsonl; add one");
    if (o->choices.n > 0 && (o->stops.n > 0 || o->n_top >= 0 || o->n_answers > 1))
        return hone_fail(err, HONE_BAD_INPUT,
                         "--choice takes the most likely answer as a whole; it goes with none of "
                         "--stop, --logprobs and --answers");
    hone_status status = hone_cli_sampling_read(&o->sampling_options, INT32_MAX, &o->sampling, err);
    if (status == HONE_OK && o->n_answers > 1 && o->sampling.temperature == 0)
        return hone_fail(err, HONE_BAD_INPUT,
                         "--answers %lld would be the same answer each time; give --temperature too",
                         (long long)o->n_answers);
    if (status == HONE_OK)
        status = hone_stops_check(o->stops.items, o->stops.n, err);
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
        "{\"text\",\"tokens_in\",\"tokens_out\",\"finish\"} in the same order, computed together. --logprobs adds\n"
        "\"logprobs\":[{\"id\",\"token\",\"logprob\",\"top\":[[id,logprob],...]},...], of the model itself, before "
        "penalties\n"
        "and temperature. With --answers N above 1 a line is {\"answers\":[...]}. Steps of sampling apply in this "
        "order:\n"
        "bias, repetition, frequency and presence penalty, temperature, top-k, top-p, min-p, typical.",
    .run = run,
};

static int run(int argc, char **argv)
{
    run_settings o = {.max_new_tokens = -1, .n_answers = 1, .n_top = -1};
    hone_option options[32] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 'a', HONE_OPTION_TEXT, &o.adapter, "ADAPTER", HONE_ADAPTER_HELP},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message before the prompt"},
        {"raw", 0, HONE_OPTION_FLAG, &o.raw, NULL, "no chat template"},
        {"choice", 0, HONE_OPTION_LIST, &o.choices, "TEXT", "allow only these answers (give it once for each)"},
        {"max-new-tokens", 'n', HONE_OPTION_INTEGER, &o.max_new_tokens, "N", "longest answer (default 512)"},
        {"stop", 0, HONE_OPTION_LIST, &o.stops, "TEXT", "the answer ends where TEXT would begin (repeatable)"},
        {"answers", 0, HONE_OPTION_INTEGER, &o.n_answers, "N", "that many answers to each prompt, with a temperature"},
        {"logprobs", 0, HONE_OPTION_INTEGER, &o.n_top, "K", "log-probabilities of each token and the K best, 0 to 20"},
        {"truncate", 0, HONE_OPTION_FLAG, &o.truncate, NULL,
         "shorten what exceeds the context: oldest turns, or with --raw the beginning"},
        {"jsonl", 0, HONE_OPTION_FLAG, &o.jsonl, NULL, "many prompts as JSON lines"},
        {"json", 0, HONE_OPTION_FLAG, &o.json, NULL, "one JSON object instead of text"},
        HONE_NUMERICS_OPTION(&o.numerics),
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
    };
    size_t n_options = 0;
    while (options[n_options].name)
        n_options++;
    hone_cli_sampling_begin(&o.sampling_options, options, &n_options);
    hone_arguments arguments;
    int code = hone_options_begin(&hone_command_run, options, n_options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    run_state s = {0};
    hone_status status = check_settings(&o, &arguments, &err);
    if (status == HONE_OK)
        status = run_all(&s, &o, &err);
    for (size_t i = 0; s.responses && i < s.n_requests; i++)
        hone_response_clear(&s.responses[i]);
    for (size_t i = 0; i < s.n; i++)
        hone_token_list_clear(&s.prompts[i].ids);
    free(s.prompts);
    free(s.requests);
    free(s.responses);
    hone_choices_free(s.choices);
    hone_engine_close(s.engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_run, &err);
}
