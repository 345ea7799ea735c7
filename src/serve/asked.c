/* asked.c - reading what a request for generated text asks. */
#include "serve/asked.h"

#include "base/clock.h"
#include "serve/fields.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const double LEAST_TOP_P = 1e-12; /* only the most likely token */

/* ---- what cannot be kept is refused ---- */

/* True for a value that asks nothing: absent, null, false, an empty text, list or object. */
static bool asks_nothing(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_integer(value) && json_integer_value(value) == 0);
}

static const char constrains[] = "hone cannot restrict an answer in this way yet, and an answer that only looks "
                                 "restricted would be worse; leave it out and check the answer";
static const char no_tools[] = "tools cannot be offered to the model yet; describe them in a message and read the "
                               "call from the text";
static const struct {
    const char *name, *why;
} refused[] = {
    {"tools", no_tools},
    {"functions", no_tools},
    {"suffix", "text cannot be filled in before a suffix; this model only goes on after a prompt"},
    {"guided_json", constrains},
    {"guided_regex", constrains},
    {"guided_choice", constrains},
    {"guided_grammar", constrains},
    {"structured_outputs", constrains},
    {"grammar", constrains},
    {"json_schema", constrains},
    {"min_tokens", "an answer ends where the model ends it; a least length cannot be asked"},
    {"ignore_eos", "an answer ends where the model ends it"},
    {"use_beam_search", "answers are sampled; there is no beam search"},
    {"audio", "this model writes text only"},
};

static hone_status refuse_what_cannot_be_kept(const json_t *body, const char **param, hone_error *err)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!asks_nothing(json_object_get(body, refused[i].name))) {
            *param = refused[i].name;
            return hone_fail(err, HONE_UNSUPPORTED, "\"%s\": %s", refused[i].name, refused[i].why);
        }
    const json_t *format = json_object_get(body, "response_format");
    *param = "response_format";
    if (!format || json_is_null(format))
        return HONE_OK;
    const char *type = json_string_value(json_object_get(format, "type"));
    if (!type)
        return hone_fail(err, HONE_BAD_INPUT,
                         "\"response_format\" is %s; it takes an object with a \"type\": {\"type\":\"text\"}",
                         hone_json_kind(format));
    if (strcmp(type, "text") != 0)
        return hone_fail(err, HONE_UNSUPPORTED,
                         "\"response_format\" of type \"%.40s\"; this server has {\"type\":\"text\"} alone: %s", type,
                         constrains);
    return HONE_OK;
}

/* ---- members with a form of their own ---- */

/* "stop": null, a text, or a list of texts; empty ones stop nothing. */
static hone_status read_stops(hone_asked *a, const json_t *value, hone_error *err)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (!value)
        return HONE_OK;
    for (size_t i = 0; i < n; i++) {
        const json_t *stop = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(stop))
            return hone_fail(err, HONE_BAD_INPUT, "\"stop\" holds %s; it takes a string or a list of strings",
                             hone_json_kind(stop));
        if (json_string_length(stop) == 0)
            continue;
        if (a->n_stops == HONE_ASKED_MAX_STOPS)
            return hone_fail(err, HONE_BAD_INPUT, "\"stop\" has more than %d strings", HONE_ASKED_MAX_STOPS);
        char *copy = strdup(json_string_value(stop));
        if (!copy)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory");
        a->stops[a->n_stops++] = copy;
    }
    return HONE_OK;
}

/* {"id": value, ...} */
static hone_status read_biases(hone_asked *a, const json_t *object, int32_t n_vocab, hone_error *err)
{
    const char *key;
    json_t *value;
    if (!object)
        return HONE_OK;
    if (!json_is_object(object))
        return hone_fail(err, HONE_BAD_INPUT, "\"logit_bias\" is %s; it takes an object", hone_json_kind(object));
    a->biases = calloc(json_object_size(object) + 1, sizeof *a->biases);
    if (!a->biases)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu biases", json_object_size(object));
    a->sampling.logit_bias = a->biases;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char *end;
        errno = 0;
        long id = strtol(key, &end, 10);
        double bias = json_number_value(value);
        if (end == key || *end || errno || id < 0 || id >= n_vocab)
            return hone_fail(err, HONE_BAD_INPUT,
                             "\"logit_bias\": \"%.40s\" is no token id; the vocabulary has 0 to %d", key, n_vocab - 1);
        if (!json_is_number(value) || !(bias >= -100 && bias <= 100))
            return hone_fail(err, HONE_BAD_INPUT, "\"logit_bias\" of token %ld is %s; it takes -100 to 100", id,
                             json_is_number(value) ? "out of range" : hone_json_kind(value));
        a->biases[a->sampling.n_logit_bias++] = (hone_logit_bias){(int32_t)id, (float)bias};
    }
    return HONE_OK;
}

/* A chat says {"logprobs":true,"top_logprobs":5}, a completion {"logprobs":5}. */
static hone_status read_logprobs(hone_asked *a, const json_t *value, int64_t top, hone_error *err)
{
    if (!value) {
        if (top > 0)
            return hone_fail(err, HONE_BAD_INPUT, "\"top_logprobs\" takes \"logprobs\" to be true");
        return HONE_OK;
    }
    if (a->chat) {
        if (!json_is_boolean(value))
            return hone_fail(err, HONE_BAD_INPUT, "\"logprobs\" is %s; it takes true or false here",
                             hone_json_kind(value));
        if (json_is_true(value))
            a->n_logprobs = (int)top;
        else if (top > 0)
            return hone_fail(err, HONE_BAD_INPUT, "\"top_logprobs\" takes \"logprobs\" to be true");
        return HONE_OK;
    }
    int64_t n = -1;
    const hone_field field = {"logprobs", HONE_FIELD_INTEGER, &n, 0, HONE_ASKED_MAX_TOP};
    if (json_is_false(value)) /* some clients send it so */
        return HONE_OK;
    json_t *holder = json_pack("{s:O}", "logprobs", value);
    hone_status status = hone_fields_read(holder, &field, 1, NULL, err);
    json_decref(holder);
    a->n_logprobs = (int)n;
    return status;
}

static hone_status read_stream(hone_asked *a, const json_t *options, hone_error *err)
{
    const hone_field field = {"include_usage", HONE_FIELD_BOOL, &a->include_usage, 0, 0};
    if (!options)
        return HONE_OK;
    if (!json_is_object(options))
        return hone_fail(err, HONE_BAD_INPUT, "\"stream_options\" is %s; it takes an object", hone_json_kind(options));
    return hone_fields_read(options, &field, 1, NULL, err);
}

/* ---- all of it ---- */

static void name_it(hone_asked *a, bool seed_given)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)(hone_clock_seconds() * 1e9);
    a->created = (int64_t)time(NULL);
    snprintf(a->id, sizeof a->id, "%s-%016llx", a->chat ? "chatcmpl" : "cmpl", (unsigned long long)random);
    if (!seed_given)
        a->sampling.seed = random >> 11; /* up to 2^53, so that it survives a client's JSON */
}

static hone_status read_members(hone_server *server, hone_asked *a, const json_t *body, const char **param,
                                hone_error *err)
{
    hone_sampling *s = &a->sampling;
    int64_t completion_tokens = -1, top = 0, best_of = -1, prompt_logprobs = -1, top_k = 0, seed = INT64_MIN;
    const json_t *stop = NULL, *logprobs = NULL, *stream_options = NULL, *bias = NULL;
    const double most_tokens = (double)hone_engine_context_tokens(server->engine) * 64;
    const hone_field fields[] = {
        {"max_tokens", HONE_FIELD_INTEGER, &a->max_tokens, a->chat ? 1 : 0, most_tokens},
        {"max_completion_tokens", HONE_FIELD_INTEGER, &completion_tokens, 1, most_tokens},
        {"n", HONE_FIELD_INTEGER, &a->n_choices, 1, HONE_ASKED_MAX_CHOICES},
        {"best_of", HONE_FIELD_INTEGER, &best_of, 0, HONE_ASKED_MAX_CHOICES},
        {"temperature", HONE_FIELD_NUMBER, &s->temperature, 0, 2},
        {"top_p", HONE_FIELD_NUMBER, &s->top_p, 0, 1},
        {"top_k", HONE_FIELD_INTEGER, &top_k, -1, INT_MAX},
        {"min_p", HONE_FIELD_NUMBER, &s->min_p, 0, 1},
        {"typical_p", HONE_FIELD_NUMBER, &s->typical_p, 0, 1},
        {"repetition_penalty", HONE_FIELD_NUMBER, &s->repetition_penalty, 0.01, 10},
        {"presence_penalty", HONE_FIELD_NUMBER, &s->presence_penalty, -2, 2},
        {"frequency_penalty", HONE_FIELD_NUMBER, &s->frequency_penalty, -2, 2},
        {"seed", HONE_FIELD_INTEGER, &seed, -9007199254740992.0, 9007199254740992.0},
        {"logit_bias", HONE_FIELD_JSON, &bias, 0, 0},
        {"stop", HONE_FIELD_JSON, &stop, 0, 0},
        {"logprobs", HONE_FIELD_JSON, &logprobs, 0, 0},
        {"top_logprobs", HONE_FIELD_INTEGER, &top, 0, HONE_ASKED_MAX_TOP},
        {"prompt_logprobs", HONE_FIELD_INTEGER, &prompt_logprobs, 0, HONE_ASKED_MAX_TOP},
        {"echo", HONE_FIELD_BOOL, &a->echo, 0, 0},
        {"stream", HONE_FIELD_BOOL, &a->stream, 0, 0},
        {"stream_options", HONE_FIELD_JSON, &stream_options, 0, 0},
    };
    hone_status status = hone_fields_read(body, fields, sizeof fields / sizeof *fields, param, err);
    if (status != HONE_OK)
        return status;
    if (completion_tokens >= 0)
        a->max_tokens = completion_tokens;
    a->n_prompt_logprobs = (int)prompt_logprobs;
    s->top_k = top_k > 0 ? (int)top_k : 0;
    if (s->top_p == 0)
        s->top_p = LEAST_TOP_P; /* to the engine 0 means that it is off */
    s->seed = (uint64_t)seed;
    name_it(a, seed != INT64_MIN);
    *param = "stop";
    if ((status = read_stops(a, stop, err)) != HONE_OK)
        return status;
    *param = "logprobs";
    if ((status = read_logprobs(a, logprobs, top, err)) != HONE_OK)
        return status;
    *param = "stream_options";
    if ((status = read_stream(a, stream_options, err)) != HONE_OK)
        return status;
    *param = "logit_bias";
    status = read_biases(a, bias, hone_tokenizer_size(hone_engine_get_tokenizer(server->engine)), err);
    if (status == HONE_OK && best_of > a->n_choices) {
        *param = "best_of";
        return hone_fail(err, HONE_UNSUPPORTED, "\"best_of\" %lld of \"n\" %lld: answers are not picked from more",
                         (long long)best_of, (long long)a->n_choices);
    }
    if (status == HONE_OK && a->chat && a->echo) {
        *param = "echo";
        return hone_fail(err, HONE_UNSUPPORTED, "\"echo\" is for /v1/completions");
    }
    if (status == HONE_OK && a->stream && (a->echo || a->n_prompt_logprobs >= 0)) {
        *param = "stream";
        return hone_fail(err, HONE_UNSUPPORTED,
                         "a prompt cannot be echoed or scored in a stream; leave out \"stream\"");
    }
    return status;
}

hone_status hone_asked_read(hone_server *server, hone_served_model *model, const json_t *body, bool chat,
                            hone_asked **out, const char **param, hone_error *err)
{
    *param = NULL;
    hone_asked *a = *out = calloc(1, sizeof *a);
    if (!a)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    a->model = hone_served_hold(model);
    a->chat = chat;
    a->n_choices = 1;
    a->max_tokens = a->n_logprobs = -1;
    a->sampling = (hone_sampling){.top_p = 1};
    hone_status status = refuse_what_cannot_be_kept(body, param, err);
    if (status == HONE_OK)
        status = read_members(server, a, body, param, err);
    return status;
}

void hone_asked_free(void *asked)
{
    hone_asked *a = asked;
    if (!a)
        return;
    for (size_t i = 0; i < a->n_prompts; i++)
        hone_token_list_clear(&a->prompts[i]);
    free(a->prompts);
    free(a->biases);
    for (size_t i = 0; i < a->n_stops; i++)
        free(a->stops[i]);
    hone_served_release(a->model);
    free(a);
}

/* An answer's length where the request does not say one: what is usual, as far as there is room. */
static int64_t most_tokens(const hone_asked *a, int64_t room)
{
    int64_t usual = a->chat ? HONE_ASKED_CHAT_TOKENS : HONE_ASKED_COMPLETION_TOKENS;
    if (a->max_tokens >= 0)
        return a->max_tokens;
    return room < 1 ? 1 : room < usual ? room : usual;
}

hone_status hone_asked_request(hone_asked *a, hone_engine *engine, size_t prompt, int64_t choice, hone_request *out,
                               hone_error *err)
{
    const hone_token_list *ids = &a->prompts[prompt];
    int64_t limit = hone_engine_request_tokens(engine), most = most_tokens(a, limit - (int64_t)ids->n);
    a->exceeds_context = (int64_t)ids->n + most > limit;
    if (a->exceeds_context)
        return hone_fail(err, HONE_BAD_INPUT,
                         "the prompt has %zu tokens and up to %lld are asked for, together %lld; %s %lld. Shorten the "
                         "prompt or ask for fewer",
                         ids->n, (long long)most, (long long)((int64_t)ids->n + most),
                         limit < hone_engine_context_tokens(engine) ? "the server's memory for keys and values holds"
                                                                    : "the model's context is",
                         (long long)limit);
    int n_top = a->n_logprobs > 0 ? a->n_logprobs : 0;
    *out = (hone_request){.ids = ids->data,
                          .n_ids = ids->n,
                          .adapter = a->model->adapter,
                          .max_new_tokens = (int)most,
                          .continues = !a->chat,
                          .sampling = a->sampling,
                          .stops = (const char *const *)a->stops,
                          .n_stops = a->n_stops,
                          .want_prompt_logprobs = (a->echo && a->n_logprobs >= 0) || a->n_prompt_logprobs >= 0,
                          .n_top_output = n_top};
    out->sampling.stream = (uint32_t)choice;
    if (a->echo)
        out->n_top_prompt = n_top;
    if (a->n_prompt_logprobs > out->n_top_prompt)
        out->n_top_prompt = a->n_prompt_logprobs;
    return HONE_OK;
}
