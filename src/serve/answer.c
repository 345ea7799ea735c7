/* answer.c - generated text as JSON.
 *
 * A log-probability is written so that it reads back as the same float, and a token has the same value wherever it
 * appears: clients compare them for equality (is the token the best one?). */
#include "serve/answer.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

/* JSON has no infinities; what OpenAI's interface says for a token that cannot come. */
static json_t *number(double logprob)
{
    return json_real(isfinite(logprob) ? logprob : -9999.0);
}

static const char *token_bytes(const hone_server *server, int32_t id, size_t *length)
{
    *length = 0;
    const char *piece = hone_tokenizer_piece(hone_engine_get_tokenizer(server->engine), id, length, NULL);
    return piece ? piece : "";
}

/* The best tokens beside generated token i, and beside token i of the prompt; NULL where none were asked for. */
static const hone_top_token *output_top(const hone_request *q, const hone_response *r, size_t i)
{
    return r->top_output ? r->top_output + i * (size_t)q->n_top_output : NULL;
}

static const hone_top_token *prompt_top(const hone_request *q, const hone_response *r, size_t i)
{
    return r->top_prompt ? r->top_prompt + i * (size_t)q->n_top_prompt : NULL;
}

/* ---- completions: parallel lists ---- */

typedef struct lists {
    const hone_server *server;
    json_t *tokens, *logprobs, *top, *offsets;
    size_t offset; /* in characters */
    int n_top;
} lists;

/* A token whose bytes are no text of their own is named by them, so that different ones stay different. */
static json_t *token_name(const lists *l, int32_t id)
{
    size_t length;
    const char *bytes = token_bytes(l->server, id, &length);
    if (hone_utf8_valid(bytes, length, NULL))
        return json_stringn(bytes, length);
    hone_buffer name = {0};
    hone_buffer_puts(&name, "bytes:");
    for (size_t i = 0; i < length; i++)
        hone_buffer_printf(&name, "\\x%02x", (unsigned char)bytes[i]);
    json_t *string = json_stringn(name.data, name.length);
    hone_buffer_clear(&name);
    return string;
}

/* Two tokens may have one name (in a vocabulary with such): the greater value stays. */
static void add_top(json_t *top, json_t *name, double logprob)
{
    const json_t *there = json_object_get(top, json_string_value(name));
    if (!there || json_real_value(there) < logprob)
        json_object_set_new(top, json_string_value(name), number(logprob));
    json_decref(name);
}

/* logprob NAN: the first token, which nothing precedes. */
static void add_token(lists *l, int32_t id, double logprob, const hone_top_token *best)
{
    size_t length;
    const char *bytes = token_bytes(l->server, id, &length);
    json_array_append_new(l->tokens, token_name(l, id));
    json_array_append_new(l->offsets, json_integer((json_int_t)l->offset));
    for (size_t i = 0; i < length; i++) /* a character counts where it begins */
        l->offset += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    if (isnan(logprob)) {
        json_array_append_new(l->logprobs, json_null());
        json_array_append_new(l->top, json_null());
        return;
    }
    json_array_append_new(l->logprobs, number(logprob));
    json_t *top = json_object();
    for (int i = 0; best && i < l->n_top; i++)
        add_top(top, token_name(l, best[i].id), (double)best[i].logprob);
    add_top(top, token_name(l, id), logprob);
    json_array_append_new(l->top, top);
}

static lists lists_begin(const hone_server *server, const hone_asked *a, size_t offset)
{
    return (lists){.server = server,
                   .tokens = json_array(),
                   .logprobs = json_array(),
                   .top = json_array(),
                   .offsets = json_array(),
                   .offset = offset,
                   .n_top = a->n_logprobs};
}

static json_t *lists_end(lists *l)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", l->tokens, "token_logprobs", l->logprobs, "top_logprobs", l->top,
                     "text_offset", l->offsets);
}

static void add_prompt(lists *l, const hone_answer *a)
{
    const hone_response *r = &a->response;
    for (size_t i = 0; i < a->request.n_ids; i++)
        add_token(l, a->request.ids[i], i ? (double)r->prompt_logprobs[i] : NAN, prompt_top(&a->request, r, i));
}

static void add_generated(lists *l, const hone_answer *a, size_t from, size_t to)
{
    const hone_response *r = &a->response;
    for (size_t i = from; i < to; i++)
        add_token(l, r->ids[i], (double)r->logprobs[i], output_top(&a->request, r, i));
}

/* ---- chat: a list of objects ---- */

static json_t *chat_token(const hone_server *server, int32_t id, double logprob)
{
    size_t length;
    const char *bytes = token_bytes(server, id, &length);
    json_t *list = json_array();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    return json_pack("{s:o, s:o, s:o}", "token", hone_api_text(bytes, length), "logprob", number(logprob), "bytes",
                     list);
}

static json_t *chat_logprobs(const hone_server *server, const hone_asked *a, const hone_answer *answer, size_t from,
                             size_t to)
{
    const hone_response *r = &answer->response;
    json_t *content = json_array();
    for (size_t i = from; i < to; i++) {
        const hone_top_token *best = output_top(&answer->request, r, i);
        json_t *token = chat_token(server, r->ids[i], (double)r->logprobs[i]), *top = json_array();
        for (int t = 0; best && t < a->n_logprobs; t++)
            json_array_append_new(top, chat_token(server, best[t].id, (double)best[t].logprob));
        json_object_set_new(token, "top_logprobs", top);
        json_array_append_new(content, token);
    }
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}

json_t *hone_answer_logprobs(const hone_server *server, const hone_asked *a, const hone_answer *answer, size_t from,
                             size_t to, size_t *text_offset)
{
    if (a->n_logprobs < 0)
        return json_null();
    if (a->chat)
        return chat_logprobs(server, a, answer, from, to);
    lists l = lists_begin(server, a, *text_offset);
    add_generated(&l, answer, from, to);
    *text_offset = l.offset;
    return lists_end(&l);
}

/* ---- vLLM's prompt_logprobs ---- */

static void add_ranked(const hone_server *server, json_t *position, int32_t id, double logprob, int rank)
{
    char key[16];
    size_t length;
    const char *bytes = token_bytes(server, id, &length);
    snprintf(key, sizeof key, "%d", id);
    json_t *entry = json_pack("{s:o, s:o, s:o}", "logprob", number(logprob), "rank",
                              rank ? json_integer(rank) : json_null(), "decoded_token", hone_api_text(bytes, length));
    if (!json_object_get(position, key))
        json_object_set_new(position, key, entry);
    else
        json_decref(entry);
}

/* [null, {"id":{"logprob","rank","decoded_token"},...},...]: the prompt's own token first, then the best ones. */
static json_t *prompt_logprobs(const hone_server *server, const hone_asked *a, const hone_answer *answer)
{
    const hone_request *q = &answer->request;
    const hone_response *r = &answer->response;
    json_t *list = json_array();
    json_array_append_new(list, json_null());
    for (size_t i = 1; i < q->n_ids; i++) {
        int rank = 0;
        const hone_top_token *top = prompt_top(q, r, i);
        for (int t = 0; top && t < q->n_top_prompt && !rank; t++)
            rank = top[t].id == q->ids[i] ? t + 1 : 0;
        json_t *position = json_object();
        add_ranked(server, position, q->ids[i], (double)r->prompt_logprobs[i], rank);
        for (int t = 0; top && t < a->n_prompt_logprobs; t++)
            add_ranked(server, position, top[t].id, (double)top[t].logprob, t + 1);
        json_array_append_new(list, position);
    }
    return list;
}

/* ---- documents ---- */

const char *hone_answer_finish(hone_finish finish)
{
    return finish == HONE_FINISH_LENGTH || finish == HONE_FINISH_SCORED ? "length" : "stop";
}

static json_t *chat_choice(const hone_server *server, const hone_asked *a, const hone_answer *answer)
{
    const hone_response *r = &answer->response;
    return json_pack("{s:{s:s, s:o, s:n}, s:o, s:s}", "message", "role", "assistant", "content",
                     hone_api_text(r->text, r->text_bytes), "refusal", "logprobs",
                     hone_answer_logprobs(server, a, answer, 0, r->n_ids, &(size_t){0}), "finish_reason",
                     hone_answer_finish(r->finish));
}

static json_t *completion_choice(const hone_server *server, const hone_asked *a, const hone_answer *answer)
{
    const hone_request *q = &answer->request;
    const hone_response *r = &answer->response;
    hone_buffer text = {0};
    json_t *logprobs = json_null();
    if (a->echo)
        hone_tokenizer_decode(hone_engine_get_tokenizer(server->engine), q->ids, q->n_ids, true, &text, NULL);
    if (a->n_logprobs >= 0) {
        lists l = lists_begin(server, a, 0);
        if (a->echo)
            add_prompt(&l, answer);
        add_generated(&l, answer, 0, r->n_ids);
        /* Who asks for the prompt and one token counts on the one, also where it is the end (lm-eval leaves the last
         * entry out, whatever it is). */
        if (a->echo && r->n_ids == 0 && r->end_id >= 0)
            add_token(&l, r->end_id, (double)r->end_logprob, output_top(q, r, 0));
        logprobs = lists_end(&l);
    }
    hone_buffer_append(&text, r->text, r->text_bytes);
    json_t *choice = json_pack("{s:o, s:o, s:s}", "text", hone_api_text(text.data ? text.data : "", text.length),
                               "logprobs", logprobs, "finish_reason", hone_answer_finish(r->finish));
    hone_buffer_clear(&text);
    return choice;
}

json_t *hone_answer_head(const hone_server *server, const hone_asked *a, const char *what)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", a->id, "object", what, "created", (json_int_t)a->created,
                     "model", a->model->name, "system_fingerprint", server->fingerprint);
}

json_t *hone_answer_usage(const hone_asked *a, hone_call *call)
{
    size_t n;
    const hone_answer *answers = hone_call_answers(call, &n);
    int64_t in = 0, cached = 0, out = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % (size_t)a->n_choices == 0) {
            in += (int64_t)a->prompts[i / (size_t)a->n_choices].n;
            cached += answers[i].response.tokens_cached;
        }
        out += (int64_t)answers[i].response.n_ids;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)in, "completion_tokens", (json_int_t)out,
                     "total_tokens", (json_int_t)(in + out), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)cached);
}

json_t *hone_answer_document(const hone_server *server, const hone_asked *a, hone_call *call)
{
    size_t n;
    const hone_answer *answers = hone_call_answers(call, &n);
    json_t *document = hone_answer_head(server, a, a->chat ? "chat.completion" : "text_completion");
    json_t *choices = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *choice = a->chat ? chat_choice(server, a, &answers[i]) : completion_choice(server, a, &answers[i]);
        json_object_set_new(choice, "index", json_integer((json_int_t)i));
        if (a->n_prompt_logprobs >= 0) /* vLLM: in the choice of a completion, beside the choices of a chat */
            json_object_set_new(a->chat ? document : choice, "prompt_logprobs",
                                prompt_logprobs(server, a, &answers[i]));
        json_array_append_new(choices, choice);
    }
    json_object_set_new(document, "choices", choices);
    json_object_set_new(document, "usage", hone_answer_usage(a, call));
    json_object_set_new(document, "seed", json_integer((json_int_t)a->sampling.seed)); /* to get it again */
    return document;
}
