/* stream.c - a call as server-sent events ("data: {...}\n\n", at the end "data: [DONE]").
 *
 * The connection's thread pulls: when the client has taken what there was, everything new since then becomes the next
 * event, however many tokens that is. So a slow reader gets fewer, larger events, and what waits for it is never more
 * than the answer itself. */
#include "engine/text_stream.h"
#include "serve/answer.h"
#include "serve/generate.h"

#include <stdlib.h>
#include <string.h>

/* How far one answer has been sent. */
typedef struct cursor {
    hone_text_stream *text; /* which bytes are final */
    size_t n_ids, n_bytes;
    size_t text_offset; /* of the next token that is reported: it can be sent before its text is final */
    bool ended;
} cursor;

typedef struct event_stream {
    hone_server *server;
    hone_asked *asked; /* belongs to the call */
    hone_call *call;
    int client;
    bool begun;
    size_t n;
    cursor cursors[];
} event_stream;

static void put_event(hone_buffer *out, json_t *document)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    if (text)
        hone_buffer_printf(out, "data: %s\n\n", text);
    else
        out->failed = true;
    free(text);
    json_decref(document);
}

static json_t *chunk(const event_stream *s, json_t *choices)
{
    const hone_asked *a = s->asked;
    json_t *document = hone_answer_head(s->server, a, a->chat ? "chat.completion.chunk" : "text_completion");
    json_object_set_new(document, "choices", choices);
    if (a->include_usage) /* every chunk has the member, and only the last one a value */
        json_object_set_new(document, "usage", json_null());
    return document;
}

/* A chat's first event per choice says who speaks. */
static void put_roles(const event_stream *s, hone_buffer *out)
{
    for (size_t i = 0; i < s->n; i++)
        put_event(out, chunk(s, json_pack("[{s:I, s:{s:s, s:s}, s:n, s:n}]", "index", (json_int_t)i, "delta", "role",
                                          "assistant", "content", "", "logprobs", "finish_reason")));
}

static void put_text(const event_stream *s, hone_buffer *out, size_t i, const char *text, size_t length,
                     json_t *logprobs)
{
    json_t *choice = json_pack("{s:I, s:o, s:n}", "index", (json_int_t)i, "logprobs", logprobs, "finish_reason");
    json_t *string = hone_api_text(text, length);
    if (s->asked->chat)
        json_object_set_new(choice, "delta", json_pack("{s:o}", "content", string));
    else
        json_object_set_new(choice, "text", string);
    put_event(out, chunk(s, json_pack("[o]", choice)));
}

static void put_finish(const event_stream *s, hone_buffer *out, size_t i, hone_finish finish)
{
    json_t *choice =
        json_pack("{s:I, s:n, s:s}", "index", (json_int_t)i, "logprobs", "finish_reason", hone_answer_finish(finish));
    if (s->asked->chat)
        json_object_set_new(choice, "delta", json_object());
    else
        json_object_set_new(choice, "text", json_string(""));
    put_event(out, chunk(s, json_pack("[o]", choice)));
}

/* Bytes of answer i that are final and were not sent: of its tokens up to n, or of the whole where it is done. */
static void take_text(cursor *c, const hone_response *r, size_t n, bool done, hone_buffer *out)
{
    const char *bytes;
    size_t length;
    if (done) {
        if (r->text_bytes > c->n_bytes)
            hone_buffer_append(out, r->text + c->n_bytes, r->text_bytes - c->n_bytes);
        return;
    }
    for (size_t i = c->n_ids; i < n; i++) {
        hone_text_stream_add(c->text, r->ids[i], &bytes, &length);
        hone_buffer_append(out, bytes, length);
    }
}

/* What is new of answer i. */
static void put_news(event_stream *s, hone_buffer *out, size_t i, const hone_answer *answer)
{
    cursor *c = &s->cursors[i];
    bool done;
    size_t n = hone_call_ready(s->call, i, &done);
    if (c->ended || (done && answer->status != HONE_OK))
        return;
    hone_buffer text = {0};
    take_text(c, &answer->response, n, done, &text);
    if (text.length > 0 || (s->asked->n_logprobs >= 0 && n > c->n_ids))
        put_text(s, out, i, text.data ? text.data : "", text.length,
                 hone_answer_logprobs(s->server, s->asked, answer, c->n_ids, n, &c->text_offset));
    c->n_bytes += text.length;
    c->n_ids = n;
    if (done) {
        put_finish(s, out, i, answer->response.finish);
        c->ended = true;
    }
    hone_buffer_clear(&text);
}

static void put_end(event_stream *s, hone_buffer *out)
{
    if (s->asked->include_usage) {
        json_t *last = chunk(s, json_array());
        json_object_set_new(last, "usage", hone_answer_usage(s->asked, s->call));
        put_event(out, last);
    }
    hone_buffer_puts(out, "data: [DONE]\n\n");
}

static bool stream_next(void *context, hone_buffer *out)
{
    event_stream *s = context;
    hone_error err;
    hone_status status;
    const hone_answer *answers = hone_call_answers(s->call, NULL);
    if (!s->begun) {
        s->begun = true;
        if (s->asked->chat) {
            put_roles(s, out);
            return true;
        }
    }
    while (out->length == 0) {
        bool over = hone_call_is_done(s->call, &status, &err); /* before looking, so that nothing is missed */
        for (size_t i = 0; i < s->n; i++)
            put_news(s, out, i, &answers[i]);
        if (over && status != HONE_OK)
            put_event(out, hone_api_error_object(status, NULL, &err));
        else if (over)
            put_end(s, out);
        if (over)
            return false;
        if (out->length == 0 && !hone_http_wait(s->client, hone_call_event(s->call)))
            return false;
    }
    return true;
}

static void stream_close(void *context)
{
    event_stream *s = context;
    for (size_t i = 0; i < s->n; i++)
        hone_text_stream_free(s->cursors[i].text);
    hone_call_close(s->call);
    free(s);
}

/* The texts that end an answer in the engine; under hone's own template a blank line too. */
static hone_status make_cursors(event_stream *s, hone_error *err)
{
    const char *stops[HONE_ASKED_MAX_STOPS + 1];
    size_t n = s->asked->n_stops;
    hone_status status = HONE_OK;
    const hone_answer *answers = hone_call_answers(s->call, &(size_t){0});
    memcpy(stops, s->asked->stops, n * sizeof *stops);
    if (strcmp(hone_engine_template_name(s->server->engine), "plain") == 0)
        stops[n++] = "\n\n";
    for (size_t i = 0; i < s->n && status == HONE_OK; i++)
        status =
            hone_text_stream_create(hone_engine_get_tokenizer(s->server->engine),
                                    hone_request_text_after(&answers[i].request), stops, n, &s->cursors[i].text, err);
    return status;
}

hone_status hone_stream_create(hone_server *server, hone_asked *asked, hone_call *call, int client,
                               hone_http_reply *reply, hone_error *err)
{
    size_t n;
    hone_call_answers(call, &n);
    event_stream *s = calloc(1, sizeof *s + n * sizeof *s->cursors);
    if (!s) {
        hone_call_close(call);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a stream of %zu answers", n);
    }
    s->server = server;
    s->asked = asked;
    s->call = call;
    s->client = client;
    s->n = n;
    hone_status status = make_cursors(s, err);
    if (status == HONE_OK)
        status = hone_worker_submit(server->worker, call, err);
    if (status != HONE_OK) {
        stream_close(s);
        return status;
    }
    *reply = (hone_http_reply){
        .status = 200, .content_type = "text/event-stream", .stream = s, .next = stream_next, .close = stream_close};
    return HONE_OK;
}
