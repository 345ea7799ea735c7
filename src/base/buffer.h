/* buffer.h - a growable byte string. `data` is always NUL-terminated once anything was appended.
 *
 * Out of memory is remembered in `failed` and later appends do nothing, so that a long sequence of appends needs one
 * check at its end. The caller owns the struct: hone_buffer b = {0}; ... hone_buffer_clear(&b); */
#ifndef HONE_BASE_BUFFER_H
#define HONE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct hone_buffer {
    char *data;
    size_t length, capacity;
    bool failed;
} hone_buffer;

void hone_buffer_clear(hone_buffer *b); /* frees; the struct may be used again */
void hone_buffer_reset(hone_buffer *b); /* length 0, memory kept */
void hone_buffer_append(hone_buffer *b, const void *data, size_t length);
void hone_buffer_puts(hone_buffer *b, const char *s);
void hone_buffer_putc(hone_buffer *b, char c);
void hone_buffer_printf(hone_buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The bytes, now the caller's (free()); never NULL unless out of memory. The buffer is empty afterwards. */
char *hone_buffer_take(hone_buffer *b);

#endif
