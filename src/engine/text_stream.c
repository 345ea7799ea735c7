/* text_stream.c - incremental detokenisation with stop strings.
 *
 *   held: [ bytes that are not final ]      room: held back at most + the longest token
 *
 * After each token the held bytes are searched for the stop string that begins first. Where there is none, the longest
 * end of them that could begin a stop string stays, and before it the beginning of a character that is not whole. The
 * bytes before that are given out. Everything fits in two arrays made at the beginning. */
#include "engine/text_stream.h"

#include <stdlib.h>
#include <string.h>

struct hone_text_stream {
    hone_token_decoder decoder;
    char *stop_bytes;                                /* the stop strings one after another */
    size_t stop_length[HONE_MAX_STOPS + 1], n_stops; /* one more: the engine's own */
    char *held, *out;
    size_t n_held, n_out, n_final;
    bool stopped;
};

static hone_status check(const char *const *stops, size_t n_stops, size_t most, hone_error *err)
{
    if (n_stops > most)
        return hone_fail(err, HONE_BAD_INPUT, "%zu stop strings; at most %d are possible", n_stops, HONE_MAX_STOPS);
    for (size_t i = 0; i < n_stops; i++) {
        size_t length = strlen(stops[i]);
        if (length == 0)
            return hone_fail(err, HONE_BAD_INPUT, "stop string %zu is empty", i + 1);
        if (length > HONE_MAX_STOP_BYTES)
            return hone_fail(err, HONE_BAD_INPUT, "stop string %zu has %zu bytes; at most %d are possible", i + 1,
                             length, HONE_MAX_STOP_BYTES);
    }
    return HONE_OK;
}

hone_status hone_stops_check(const char *const *stops, size_t n_stops, hone_error *err)
{
    return check(stops, n_stops, HONE_MAX_STOPS, err);
}

hone_status hone_text_stream_create(const hone_tokenizer *tokenizer, int32_t after, const char *const *stops,
                                    size_t n_stops, hone_text_stream **out, hone_error *err)
{
    *out = NULL;
    hone_status status = check(stops, n_stops, HONE_MAX_STOPS + 1, err);
    if (status != HONE_OK)
        return status;
    hone_text_stream *s = calloc(1, sizeof *s);
    size_t total = 0, longest = 4, longest_piece = hone_tokenizer_longest_piece(tokenizer); /* 4: a character */
    for (size_t i = 0; s && i < n_stops; i++) {
        s->stop_length[i] = strlen(stops[i]);
        total += s->stop_length[i];
        longest = s->stop_length[i] > longest ? s->stop_length[i] : longest;
    }
    if (s) {
        s->n_stops = n_stops;
        hone_token_decoder_init(&s->decoder, tokenizer, false, after);
        s->stop_bytes = malloc(total + 1);
        s->held = malloc(longest + 4 + longest_piece);
        s->out = malloc(longest + 4 + longest_piece);
    }
    if (!s || !s->stop_bytes || !s->held || !s->out) {
        hone_text_stream_free(s);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for stop strings");
    }
    for (size_t i = 0, at = 0; i < n_stops; at += s->stop_length[i++])
        memcpy(s->stop_bytes + at, stops[i], s->stop_length[i]);
    *out = s;
    return HONE_OK;
}

void hone_text_stream_free(hone_text_stream *s)
{
    if (!s)
        return;
    free(s->stop_bytes);
    free(s->held);
    free(s->out);
    free(s);
}

/* Gives out the first n held bytes. */
static void give_out(hone_text_stream *s, size_t n)
{
    memcpy(s->out, s->held, n);
    memmove(s->held, s->held + n, s->n_held - n);
    s->n_held -= n;
    s->n_out = n;
    s->n_final += n;
}

/* Where the first whole stop string begins, or n_held. */
static size_t find_stop(const hone_text_stream *s)
{
    size_t first = s->n_held;
    const char *stop = s->stop_bytes;
    for (size_t i = 0; i < s->n_stops; stop += s->stop_length[i++]) {
        const char *at = memmem(s->held, s->n_held, stop, s->stop_length[i]);
        if (at && (size_t)(at - s->held) < first)
            first = (size_t)(at - s->held);
    }
    return first;
}

/* Where the longest end of the held bytes begins that is the beginning of a stop string, or n_held. */
static size_t find_beginning_of_stop(const hone_text_stream *s)
{
    size_t first = s->n_held;
    const char *stop = s->stop_bytes;
    for (size_t i = 0; i < s->n_stops; stop += s->stop_length[i++]) {
        size_t most = s->stop_length[i] - 1 < s->n_held ? s->stop_length[i] - 1 : s->n_held;
        for (size_t n = most; n > s->n_held - first; n--)
            if (memcmp(s->held + s->n_held - n, stop, n) == 0)
                first = s->n_held - n;
    }
    return first;
}

/* Where bytes [0, end) end in the beginning of a character that is not whole: its first byte's place, else `end`. */
static size_t find_cut_character(const char *bytes, size_t end)
{
    for (size_t back = 1; back <= 3 && back <= end; back++) {
        unsigned char c = (unsigned char)bytes[end - back];
        if ((c & 0xC0) == 0x80)
            continue; /* a continuation: its first byte stands further in front */
        size_t length = c >= 0xF0 && c < 0xF8 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC0 && c < 0xE0 ? 2 : 1;
        return length > back ? end - back : end;
    }
    return end;
}

bool hone_text_stream_add(hone_text_stream *s, int32_t id, const char **bytes, size_t *length)
{
    s->n_out = 0;
    size_t piece_length = 0;
    const char *piece = s->stopped ? NULL : hone_token_decoder_next(&s->decoder, id, &piece_length);
    if (piece && piece_length > 0) {
        memcpy(s->held + s->n_held, piece, piece_length);
        s->n_held += piece_length;
        size_t stop = find_stop(s);
        s->stopped = stop < s->n_held;
        if (s->stopped) {
            give_out(s, stop);
            s->n_held = 0;
        } else
            give_out(s, find_cut_character(s->held, find_beginning_of_stop(s)));
    }
    if (bytes)
        *bytes = s->out;
    if (length)
        *length = s->n_out;
    return s->stopped;
}

void hone_text_stream_end(hone_text_stream *s, const char **bytes, size_t *length)
{
    give_out(s, s->n_held);
    if (bytes)
        *bytes = s->out;
    if (length)
        *length = s->n_out;
}

size_t hone_text_stream_final_bytes(const hone_text_stream *s)
{
    return s->n_final;
}
