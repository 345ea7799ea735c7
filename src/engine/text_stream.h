/* text_stream.h - the text of an answer while its tokens arrive: which bytes are final, and where a stop string ends
 * it.
 *
 * A token may end in the middle of a character or of a stop string. Bytes are given out as soon as no later token can
 * change them: what could still become a stop string, and the beginning of a UTF-8 character, are held back. All bytes
 * given out together are the text of hone_tokenizer_decode_after (special tokens left out), up to the first stop
 * string.
 *
 *   hone_text_stream *s;
 *   hone_text_stream_create(tokenizer, after, stops, n_stops, &s, err);
 *   for each token: stopped = hone_text_stream_add(s, id, &bytes, &length);   write bytes[0..length)
 *   hone_text_stream_end(s, &bytes, &length);                                 write what was still held back */
#ifndef HONE_ENGINE_TEXT_STREAM_H
#define HONE_ENGINE_TEXT_STREAM_H

#include "text/tokenizer.h"

enum { HONE_MAX_STOPS = 64, HONE_MAX_STOP_BYTES = 4096 };

typedef struct hone_text_stream hone_text_stream;

/* HONE_BAD_INPUT: an empty stop string, or more or longer ones than the limits above. */
hone_status hone_stops_check(const char *const *stops, size_t n_stops, hone_error *err);
/* tokenizer is borrowed, stops are copied. after: the token that the text goes on from, or -1
 * (hone_request_text_after). Nothing is allocated after creation. */
hone_status hone_text_stream_create(const hone_tokenizer *tokenizer, int32_t after, const char *const *stops,
                                    size_t n_stops, hone_text_stream **out, hone_error *err);
void hone_text_stream_free(hone_text_stream *stream);

/* Adds a token. bytes[0..length) became final (borrowed until the next call; may be empty, may hold NUL). True: a stop
 * string is complete and the text ends before it; further tokens add nothing. bytes and length may be NULL. */
bool hone_text_stream_add(hone_text_stream *stream, int32_t id, const char **bytes, size_t *length);
/* No more tokens come: what is held back is final. */
void hone_text_stream_end(hone_text_stream *stream, const char **bytes, size_t *length);
/* How many bytes were given out so far. */
size_t hone_text_stream_final_bytes(const hone_text_stream *stream);

#endif
