/* gguf_writer.h - writes small GGUF files for tests: key-value pairs only, in the order given. */
#ifndef HONE_TESTS_GGUF_WRITER_H
#define HONE_TESTS_GGUF_WRITER_H

#include "base/buffer.h"
#include "format/gguf.h"

#include <stdint.h>
#include <string.h>

typedef struct gguf_writer {
    hone_buffer values;
    uint64_t n_values;
} gguf_writer;

static inline void gguf_write_string(hone_buffer *out, const char *s)
{
    uint64_t length = strlen(s);
    hone_buffer_append(out, &length, 8);
    hone_buffer_append(out, s, (size_t)length);
}

static inline void gguf_write_key(gguf_writer *w, const char *key, uint32_t type)
{
    gguf_write_string(&w->values, key);
    hone_buffer_append(&w->values, &type, 4);
    w->n_values++;
}

static inline void gguf_add_string(gguf_writer *w, const char *key, const char *value)
{
    gguf_write_key(w, key, HONE_GGUF_STRING);
    gguf_write_string(&w->values, value);
}

static inline void gguf_add_u32(gguf_writer *w, const char *key, uint32_t value)
{
    gguf_write_key(w, key, HONE_GGUF_U32);
    hone_buffer_append(&w->values, &value, 4);
}

static inline void gguf_add_array(gguf_writer *w, const char *key, uint32_t element_type, uint64_t n)
{
    gguf_write_key(w, key, HONE_GGUF_ARRAY);
    hone_buffer_append(&w->values, &element_type, 4);
    hone_buffer_append(&w->values, &n, 8);
}

static inline void gguf_add_strings(gguf_writer *w, const char *key, const char *const *items, uint64_t n)
{
    gguf_add_array(w, key, HONE_GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        gguf_write_string(&w->values, items[i]);
}

static inline void gguf_add_i32s(gguf_writer *w, const char *key, const int32_t *items, uint64_t n)
{
    gguf_add_array(w, key, HONE_GGUF_I32, n);
    hone_buffer_append(&w->values, items, (size_t)n * 4);
}

static inline void gguf_add_f32s(gguf_writer *w, const char *key, const float *items, uint64_t n)
{
    gguf_add_array(w, key, HONE_GGUF_F32, n);
    hone_buffer_append(&w->values, items, (size_t)n * 4);
}

/* Writes the file and empties the writer. */
static inline hone_status gguf_write_file(gguf_writer *w, const char *path, hone_error *err)
{
    hone_buffer file = {0};
    uint32_t version = 3;
    uint64_t n_tensors = 0;
    hone_buffer_append(&file, "GGUF", 4);
    hone_buffer_append(&file, &version, 4);
    hone_buffer_append(&file, &n_tensors, 8);
    hone_buffer_append(&file, &w->n_values, 8);
    hone_buffer_append(&file, w->values.data, w->values.length);
    while (file.length % 32)
        hone_buffer_putc(&file, 0);
    hone_status status = hone_file_write_atomic(path, file.data, file.length, err);
    hone_buffer_clear(&file);
    hone_buffer_clear(&w->values);
    w->n_values = 0;
    return status;
}

#endif
