/* tiny_gguf.h - writing small GGUF files by hand, right and wrong ones, for tests and as the fuzzer's start.
 *
 * The layout follows the specification (ggml, docs/gguf.md), written here a second time on purpose: the reader is
 * tested against it. */
#ifndef HONE_TESTS_TINY_GGUF_H
#define HONE_TESTS_TINY_GGUF_H

#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

static inline void put_u32(hone_buffer *b, uint32_t v)
{
    hone_buffer_append(b, &v, 4);
}

static inline void put_u64(hone_buffer *b, uint64_t v)
{
    hone_buffer_append(b, &v, 8);
}

static inline void put_string(hone_buffer *b, const char *s)
{
    put_u64(b, strlen(s));
    hone_buffer_puts(b, s);
}

static inline void put_header(hone_buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    hone_buffer_puts(b, "GGUF");
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_values);
}

static inline void put_tensor(hone_buffer *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t dtype,
                              uint64_t offset)
{
    put_string(b, name);
    put_u32(b, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        put_u64(b, ne[d]);
    put_u32(b, dtype);
    put_u64(b, offset);
}

static inline void put_padding(hone_buffer *b, size_t alignment)
{
    while (b->length % alignment)
        hone_buffer_putc(b, 0);
}

/* A valid file: one value of each type, an array of strings, one of numbers, an f32 [4,2] and a Q4_1 [32] tensor.
 * Types by number: 0 u8, 1 i8, 2 u16, 3 i16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string, 9 array, 10 u64, 11 i64, 12 f64. */
static inline void put_tiny_gguf(hone_buffer *b)
{
    put_header(b, 3, 2, 15);
    static const struct {
        const char *key;
        uint32_t type, bytes;
        const char *data;
    } scalars[] = {
        {"a.u8", 0, 1, "\xfe"},
        {"a.i8", 1, 1, "\xfe"},
        {"a.u16", 2, 2, "\xfe\xff"},
        {"a.i16", 3, 2, "\xfe\xff"},
        {"a.u32", 4, 4, "\xfe\xff\xff\xff"},
        {"a.i32", 5, 4, "\xfe\xff\xff\xff"},
        {"a.f32", 6, 4, "\x00\x00\xc0\x3f"}, /* 1.5 */
        {"a.bool", 7, 1, "\x01"},
        {"a.u64", 10, 8, "\xfe\xff\xff\xff\x00\x00\x00\x00"},
        {"a.i64", 11, 8, "\xfe\xff\xff\xff\xff\xff\xff\xff"},
        {"a.f64", 12, 8, "\x00\x00\x00\x00\x00\x00\x04\xc0"}, /* -2.5 */
    };
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        put_string(b, scalars[i].key);
        put_u32(b, scalars[i].type);
        hone_buffer_append(b, scalars[i].data, scalars[i].bytes);
    }
    put_string(b, "general.architecture");
    put_u32(b, 8);
    put_string(b, "toy");
    put_string(b, "a.words");
    put_u32(b, 9);
    put_u32(b, 8);
    put_u64(b, 3);
    put_string(b, "one");
    put_string(b, "");
    put_string(b, "three");
    put_string(b, "a.numbers");
    put_u32(b, 9);
    put_u32(b, 3);
    put_u64(b, 2);
    hone_buffer_append(b, "\x05\x00\xfb\xff", 4); /* 5, -5 */
    put_string(b, "general.alignment");
    put_u32(b, 4);
    put_u32(b, 32);
    put_tensor(b, "plain", 2, (const uint64_t[]){4, 2}, 0, 0);
    put_tensor(b, "block", 1, (const uint64_t[]){32}, 3, 32);
    put_padding(b, 32);
    const float plain[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    hone_buffer_append(b, plain, sizeof plain);
    hone_buffer_append(b, "\x00\x3c\x00\xc0\x10\x32\x54\x76\x98\xba\xdc\xfe\x01\x23\x45\x67\x89\xab\xcd\xef", 20);
}

#endif
