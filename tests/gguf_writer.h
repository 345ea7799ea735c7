/* gguf_writer.h - writes small GGUF files for tests: key-value pairs and tensors, in the order given. */
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

static inline void gguf_add_f32(gguf_writer *w, const char *key, float value)
{
    gguf_write_key(w, key, HONE_GGUF_F32);
    hone_buffer_append(&w->values, &value, 4);
}

typedef struct gguf_tensors {
    hone_buffer directory, data;
    uint64_t n;
} gguf_tensors;

/* A tensor that begins where the data ends now: its rows are to be appended to data, then gguf_end_tensor. */
static inline void gguf_begin_tensor(gguf_tensors *t, const char *name, uint32_t type, uint32_t n_dims, uint64_t n_in,
                                     uint64_t n_out)
{
    uint64_t ne[2] = {n_in, n_out}, offset = t->data.length;
    gguf_write_string(&t->directory, name);
    hone_buffer_append(&t->directory, &n_dims, 4);
    hone_buffer_append(&t->directory, ne, 8 * n_dims);
    hone_buffer_append(&t->directory, &type, 4);
    hone_buffer_append(&t->directory, &offset, 8);
}

static inline void gguf_end_tensor(gguf_tensors *t)
{
    while (t->data.length % 32)
        hone_buffer_putc(&t->data, 0);
    t->n++;
}

/* Writes the file and empties the writer and the tensors. */
static inline hone_status gguf_write_model(gguf_writer *w, gguf_tensors *t, const char *path, hone_error *err)
{
    hone_buffer file = {0};
    uint32_t version = 3;
    hone_buffer_append(&file, "GGUF", 4);
    hone_buffer_append(&file, &version, 4);
    hone_buffer_append(&file, &t->n, 8);
    hone_buffer_append(&file, &w->n_values, 8);
    hone_buffer_append(&file, w->values.data, w->values.length);
    hone_buffer_append(&file, t->directory.data, t->directory.length);
    while (file.length % 32)
        hone_buffer_putc(&file, 0);
    hone_buffer_append(&file, t->data.data, t->data.length);
    hone_status status = file.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory")
                                     : hone_file_write_atomic(path, file.data, file.length, err);
    hone_buffer_clear(&file);
    hone_buffer_clear(&w->values);
    hone_buffer_clear(&t->directory);
    hone_buffer_clear(&t->data);
    w->n_values = t->n = 0;
    return status;
}

/* The same without tensors. */
static inline hone_status gguf_write_file(gguf_writer *w, const char *path, hone_error *err)
{
    gguf_tensors none = {0};
    return gguf_write_model(w, &none, path, err);
}

#endif
