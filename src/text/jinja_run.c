/* jinja_run.c - memory, budgets and errors of one rendering. */
#include "text/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES = 32 * 1024 };

void *jinja_alloc(jinja_run *run, size_t bytes)
{
    if (bytes > JINJA_MAX_MEMORY_BYTES || run->memory_bytes > JINJA_MAX_MEMORY_BYTES - bytes) {
        jinja_raise(run, "the template needs more than %zu MiB of memory", JINJA_MAX_MEMORY_BYTES >> 20);
        return NULL;
    }
    size_t rounded = bytes ? (bytes + 15) / 16 * 16 : 16;
    run->memory_bytes += rounded;
    if (rounded > CHUNK_BYTES / 4) {
        void *p = hone_arena_alloc(run->arena, rounded);
        if (!p)
            jinja_out_of_memory(run);
        return p;
    }
    if (run->chunk_left_bytes < rounded) {
        run->chunk = hone_arena_alloc(run->arena, CHUNK_BYTES);
        if (!run->chunk) {
            run->chunk_left_bytes = 0;
            jinja_out_of_memory(run);
            return NULL;
        }
        run->chunk_left_bytes = CHUNK_BYTES;
    }
    void *p = run->chunk + (CHUNK_BYTES - run->chunk_left_bytes);
    run->chunk_left_bytes -= rounded;
    return p;
}

void *jinja_alloc_array(jinja_run *run, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    return jinja_alloc(run, bytes);
}

bool jinja_raise(jinja_run *run, const char *format, ...)
{
    if (run->status != HONE_OK)
        return false;
    char message[900];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    run->status = hone_fail(run->err, HONE_BAD_INPUT, "line %d of the template: %s", run->line, message);
    return false;
}

bool jinja_out_of_memory(jinja_run *run)
{
    if (run->status == HONE_OK)
        run->status = hone_fail(run->err, HONE_NO_MEMORY, "out of memory while rendering the template");
    return false;
}

bool jinja_spend(jinja_run *run, size_t bytes)
{
    run->steps_left -= 1 + (int64_t)(bytes / 256);
    if (run->steps_left < 0)
        return jinja_raise(run, "the template takes more than %lld steps; is there an endless loop in it?",
                           (long long)JINJA_MAX_STEPS);
    return run->status == HONE_OK;
}

bool jinja_enter(jinja_run *run)
{
    if (run->depth >= JINJA_MAX_DEPTH)
        return jinja_raise(run,
                           "evaluation is nested more than %d deep (a macro that calls itself, or too long a chain "
                           "of operators)",
                           JINJA_MAX_DEPTH);
    run->depth++;
    return true;
}

void jinja_leave(jinja_run *run)
{
    run->depth--;
}

bool jinja_put(jinja_run *run, hone_buffer *b, const char *data, size_t length)
{
    if (!jinja_spend(run, length))
        return false;
    if (length > JINJA_MAX_STRING_BYTES || b->length > JINJA_MAX_STRING_BYTES - length)
        return jinja_raise(run, "the template makes a text of more than %zu MiB", JINJA_MAX_STRING_BYTES >> 20);
    hone_buffer_append(b, data, length);
    return b->failed ? jinja_out_of_memory(run) : true;
}

bool jinja_puts(jinja_run *run, hone_buffer *b, const char *text)
{
    return jinja_put(run, b, text, strlen(text));
}
