/* generate.c - /v1/chat/completions and /v1/completions: prompts to tokens, tokens to a call, the call to an answer. */
#include "serve/generate.h"

#include "serve/answer.h"
#include "serve/chat_messages.h"
#include "serve/fields.h"

#include <stdlib.h>
#include <string.h>

static hone_status make_call(hone_server *server, hone_asked *a, hone_call **out, hone_error *err)
{
    *out = NULL;
    size_t n = a->n_prompts * (size_t)a->n_choices;
    if (n > HONE_WORK_MAX_ANSWERS)
        return hone_fail(err, HONE_BAD_INPUT, "%zu prompts of %lld choices; %d answers can be asked for at once",
                         a->n_prompts, (long long)a->n_choices, HONE_WORK_MAX_ANSWERS);
    hone_status status = hone_call_create(n, a->stream, a, hone_asked_free, out, err);
    if (status != HONE_OK)
        return status;
    hone_answer *answers = hone_call_answers(*out, NULL);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        size_t prompt = i / (size_t)a->n_choices;
        status = hone_asked_request(a, server->engine, prompt, (int64_t)(i % (size_t)a->n_choices), &answers[i].request,
                                    err);
        if (status != HONE_OK && a->n_prompts > 1)
            hone_fail_within(err, status, "prompt %zu of %zu", prompt + 1, a->n_prompts);
    }
    return status;
}

/* Sleeps until all answers are done, or the client has left. */
static bool wait_for_all(hone_call *call, int client, hone_status *status, hone_error *err)
{
    while (!hone_call_is_done(call, status, err))
        if (!hone_http_wait(client, hone_call_event(call)))
            return false;
    return true;
}

void hone_generate(hone_server *server, hone_asked *asked, const hone_http_request *request, hone_http_reply *reply)
{
    hone_call *call;
    hone_error err;
    hone_status status = make_call(server, asked, &call, &err);
    bool exceeds = asked->exceeds_context;
    if (!call)
        hone_asked_free(asked);
    if (status == HONE_OK && asked->stream) {
        status = hone_stream_create(server, asked, call, request->client, reply, &err);
        if (status != HONE_OK)
            hone_api_fail(reply, status, NULL, &err);
        return;
    }
    if (status == HONE_OK)
        status = hone_worker_submit(server->worker, call, &err);
    if (status != HONE_OK && exceeds) /* the code by which clients know that a shorter prompt would help */
        hone_api_fail_as(reply, 400, asked->chat ? "messages" : "prompt", "context_length_exceeded", "%s", err.message);
    else if (status != HONE_OK)
        hone_api_fail(reply, status, NULL, &err);
    else if (!wait_for_all(call, request->client, &status, &err))
        hone_api_fail_as(reply, 503, NULL, NULL, "the client closed its connection");
    else if (status != HONE_OK)
        hone_api_fail(reply, status, NULL, &err);
    else
        hone_api_answer(reply, hone_answer_document(server, asked, call));
    hone_call_close(call);
}

/* ---- prompts ---- */

/* Room for n prompts, all empty. */
static hone_status make_prompts(hone_asked *a, size_t n, hone_error *err)
{
    if (n > HONE_WORK_MAX_ANSWERS)
        return hone_fail(err, HONE_BAD_INPUT, "%zu prompts; %d can be sent at once", n, HONE_WORK_MAX_ANSWERS);
    a->prompts = calloc(n, sizeof *a->prompts);
    if (!a->prompts)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu prompts", n);
    a->n_prompts = n;
    return HONE_OK;
}

static hone_status read_prompt(hone_server *server, const json_t *prompt, hone_token_list *ids, hone_error *err)
{
    if (json_is_string(prompt))
        return hone_engine_encode_text(server->engine, json_string_value(prompt), ids, err);
    if (!json_is_array(prompt) || json_array_size(prompt) == 0)
        return hone_fail(err, HONE_BAD_INPUT,
                         "\"prompt\" holds %s; it takes a text, a list of token ids, or a list of "
                         "either, none of them empty",
                         json_is_array(prompt) ? "an empty list" : hone_json_kind(prompt));
    return hone_api_read_ids(server, prompt, "prompt", ids, err);
}

/* A text, a list of ids, or a list of texts and lists of ids. */
static hone_status read_prompts(hone_server *server, hone_asked *a, const json_t *value, hone_error *err)
{
    const json_t *first = json_array_get(value, 0);
    bool one = !json_is_array(value) || json_array_size(value) == 0 || json_is_number(first);
    hone_status status = make_prompts(a, one ? 1 : json_array_size(value), err);
    for (size_t i = 0; i < a->n_prompts && status == HONE_OK; i++)
        status = read_prompt(server, one ? value : json_array_get(value, i), &a->prompts[i], err);
    return status;
}

static hone_status read_messages(hone_server *server, hone_asked *a, const json_t *value, hone_error *err)
{
    json_t *messages;
    hone_status status = hone_chat_messages_read(value, &messages, err);
    if (status == HONE_OK)
        status = make_prompts(a, 1, err);
    if (status == HONE_OK)
        status = hone_engine_encode_chat(server->engine, messages, true, &a->prompts[0], err);
    json_decref(messages);
    return status;
}

static void answer(hone_server *server, const json_t *body, bool chat, const hone_http_request *request,
                   hone_http_reply *reply)
{
    hone_served_model *model = hone_api_model(server, body, reply);
    if (!model)
        return;
    if (model->embeds_only) {
        hone_api_fail_as(reply, 400, "model", "unsupported", "\"%s\" makes vectors, not text; ask /v1/embeddings",
                         model->name);
        hone_served_release(model);
        return;
    }
    hone_asked *asked;
    const char *param = NULL, *prompts = chat ? "messages" : "prompt";
    hone_error err;
    hone_status status = hone_asked_read(server, model, body, chat, &asked, &param, &err);
    hone_served_release(model); /* the request holds it */
    if (status == HONE_OK) {
        param = prompts;
        status = (chat ? read_messages : read_prompts)(server, asked, json_object_get(body, prompts), &err);
    }
    if (status == HONE_OK) {
        hone_generate(server, asked, request, reply);
        return;
    }
    hone_asked_free(asked);
    hone_api_fail(reply, status, param, &err);
}

void hone_endpoint_chat(hone_server *server, const json_t *body, const hone_http_request *request,
                        hone_http_reply *reply)
{
    answer(server, body, true, request, reply);
}

void hone_endpoint_completions(hone_server *server, const json_t *body, const hone_http_request *request,
                               hone_http_reply *reply)
{
    answer(server, body, false, request, reply);
}
