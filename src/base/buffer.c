/* buffer.c - a growable byte string. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hone_buffer_clear(hone_buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

void hone_buffer_reset(hone_buffer *b)
{
    b->length = 0;
    if (b->data)
        b->data[0] = 0;
}

static bool reserve(hone_buffer *b, size_t extra)
{
    if (b->failed || extra > SIZE_MAX / 2 - b->length) {
        b->failed = true;
        return false;
    }
    size_t need = b->length + extra + 1;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void hone_buffer_append(hone_buffer *b, const void *data, size_t length)
{
    if (!reserve(b, length))
        return;
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = 0;
}

void hone_buffer_puts(hone_buffer *b, const char *s)
{
    hone_buffer_append(b, s, strlen(s));
}

void hone_buffer_putc(hone_buffer *b, char c)
{
    hone_buffer_append(b, &c, 1);
}

void hone_buffer_printf(hone_buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->length, (size_t)n + 1, format, again);
        b->length += (size_t)n;
    }
    va_end(again);
}

char *hone_buffer_take(hone_buffer *b)
{
    if (!reserve(b, 0)) {
        hone_buffer_clear(b);
        return NULL;
    }
    b->data[b->length] = 0;
    char *data = b->data;
    memset(b, 0, sizeof *b);
    return data;
}
