/* chat.c - one answer of a chat: what fits into the context, and the text as it comes. */
#include "cli/chat.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "cli/line_reader.h"
#include "engine/text_stream.h"
#include "report/legible.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hone_chat_note(const hone_chat *chat, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs(chat->terminal ? "  " : "hone chat: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

void hone_chat_refuse(hone_chat *chat, const hone_error *err)
{
    hone_chat_note(chat, "%s", err->message);
    chat->failed = true;
}

/* The conversation as tokens, without the oldest turns where the answer would not fit behind them. */
static hone_status encode(hone_chat *chat, hone_token_list *ids, int64_t *room, hone_error *err)
{
    int64_t context = hone_engine_context_tokens(chat->engine);
    size_t n_dropped = 0;
    for (;;) {
        ids->n = 0;
        hone_status status = hone_engine_encode_chat(chat->engine, chat->conversation.messages, true, ids, err);
        if (status != HONE_OK)
            return status;
        *room = context - (int64_t)ids->n;
        if (*room >= chat->max_new_tokens || hone_history_turns(&chat->conversation) <= 1)
            break;
        hone_history_drop_oldest_turn(&chat->conversation);
        n_dropped++;
    }
    if (n_dropped > 0)
        hone_chat_note(
            chat, "dropped the oldest %zu turn%s: with an answer of %lld tokens the chat exceeds the context of %lld",
            n_dropped, n_dropped > 1 ? "s" : "", (long long)chat->max_new_tokens, (long long)context);
    if (*room < 1)
        return hone_fail(err, HONE_BAD_INPUT, "the message has %zu tokens with its frame; the model's context is %lld",
                         ids->n, (long long)context);
    if (*room > chat->max_new_tokens)
        *room = chat->max_new_tokens;
    return HONE_OK;
}

static void write_text(const hone_chat *chat, const char *bytes, size_t length, hone_buffer *all)
{
    hone_buffer shown = {0};
    hone_buffer_append(all, bytes, length);
    if (length == 0)
        return;
    hone_buffer_append(&shown, bytes, length);
    if (chat->terminal) { /* a model's text must not act on the screen */
        hone_buffer legible = {0};
        hone_legible_append(&legible, shown.data ? shown.data : "", HONE_LEGIBLE_BLOCK);
        hone_buffer_clear(&shown);
        shown = legible;
    }
    fwrite(shown.data ? shown.data : "", 1, shown.length, stdout);
    fflush(stdout);
    hone_buffer_clear(&shown);
}

/* Steps until the answer is whole or Ctrl-C; *interrupted tells which. */
static hone_status stream(hone_chat *chat, const hone_request *request, hone_text_stream *text, hone_response *response,
                          hone_buffer *all, bool *interrupted, hone_error *err)
{
    hone_ticket *ticket;
    hone_status status = hone_engine_submit(chat->engine, request, response, &ticket, err);
    size_t n_seen = 0, length;
    const char *bytes;
    *interrupted = false;
    while (status == HONE_OK && !hone_ticket_is_done(ticket) && !*interrupted) {
        bool idle;
        status = hone_engine_step(chat->engine, &idle, err);
        while (n_seen < response->n_ids) {
            hone_text_stream_add(text, response->ids[n_seen++], &bytes, &length);
            write_text(chat, bytes, length, all);
        }
        *interrupted = hone_interrupt_take() || hone_cancel_requested();
    }
    hone_text_stream_end(text, &bytes, &length);
    write_text(chat, bytes, length, all);
    hone_engine_close_ticket(chat->engine, ticket);
    return status;
}

hone_status hone_chat_answer(hone_chat *chat, hone_error *err)
{
    static const char *const blank_line[] = {"\n\n"}; /* ends an answer under hone's own template */
    hone_token_list ids = {0};
    hone_buffer all = {0};
    hone_text_stream *text = NULL;
    hone_response response = {0};
    int64_t room = 0;
    bool interrupted = false;
    hone_request request = {0};
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(chat->engine);
    hone_status status = encode(chat, &ids, &room, err);
    if (status == HONE_OK)
        status = hone_cli_sampling_read(&chat->sampling, hone_tokenizer_size(tokenizer), &request.sampling, err);
    if (status == HONE_OK)
        status = hone_text_stream_create(tokenizer, -1, blank_line,
                                         strcmp(hone_engine_template_name(chat->engine), "plain") == 0, &text, err);
    if (status == HONE_OK) {
        request.ids = ids.data;
        request.n_ids = ids.n;
        request.adapter = chat->adapter;
        request.max_new_tokens = (int)room;
        request.sampling.stream = chat->n_answers++;
        double start = hone_clock_seconds();
        status = stream(chat, &request, text, &response, &all, &interrupted, err);
        double seconds = hone_clock_seconds() - start;
        fputc('\n', stdout);
        fflush(stdout);
        if (status == HONE_OK && chat->terminal)
            hone_chat_note(chat, "%s%zu tokens, %lld of %zu before them from the cache, %.1f s",
                           interrupted                             ? "stopped; "
                           : response.finish == HONE_FINISH_LENGTH ? "cut at the longest answer (/set max-new-tokens); "
                                                                   : "",
                           response.n_ids, (long long)response.tokens_cached, ids.n, seconds);
    }
    if (status == HONE_OK)
        status = all.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory")
                            : hone_history_add(&chat->conversation, "assistant", all.data ? all.data : "", err);
    hone_response_clear(&response);
    hone_text_stream_free(text);
    hone_buffer_clear(&all);
    hone_token_list_clear(&ids);
    return status;
}
