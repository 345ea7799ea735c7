/* text.h - small helpers for what people type and read: suggestions, units, UTF-8 validity. */
#ifndef HONE_BASE_TEXT_H
#define HONE_BASE_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The candidate nearest to `word` by Damerau-Levenshtein distance (at most a third of its length, at least 1), or
 * NULL. candidates[n_candidates]; the result is one of them. */
const char *hone_suggest(const char *word, const char *const *candidates, size_t n_candidates);

/* "30m", "1h30m", "45s", "90" (seconds) -> seconds. "4GiB", "512MiB", "2GB", "1000" -> bytes. "200k", "1.5M", "12" ->
 * count. False when the text is not such a quantity. */
bool hone_parse_seconds(const char *text, double *out);
bool hone_parse_bytes(const char *text, uint64_t *out);
bool hone_parse_count(const char *text, double *out);

/* "45 s", "1m 12s", "2h 05m". out needs 32 bytes. */
void hone_format_seconds(double seconds, char out[32]);
/* "98.4 MB" (decimal) and "1.2 GiB" (binary). */
void hone_format_bytes(uint64_t bytes, char out[32]);
/* "1,234,567". */
void hone_format_count(int64_t n, char out[32]);

/* The length in bytes of the valid UTF-8 sequence at s (1..4), or 0 when it is invalid or truncated (no overlong
 * forms, no surrogates, at most U+10FFFF). *code_point is set when valid and not NULL. */
size_t hone_utf8_next(const char *s, size_t length, uint32_t *code_point);
/* True when the whole string is valid; otherwise *bad_at is the byte offset of the first fault. */
bool hone_utf8_valid(const char *s, size_t length, size_t *bad_at);
/* Appends the bytes as valid UTF-8, U+FFFD for each byte that is not part of a character. */
void hone_utf8_repair(const char *s, size_t length, hone_buffer *out);
/* Writes the code point as 1..4 bytes, returns how many; U+FFFD for what is not a scalar value. */
size_t hone_utf8_write(uint32_t code_point, char out[4]);

/* The text that printf gives for "%.9g", which reads back as the same float; several times as fast for magnitudes from
 * 0.0001 to 1, as the values of a vector of length 1 have. Returns its length. */
size_t hone_format_float(float value, char out[32]);

#endif
