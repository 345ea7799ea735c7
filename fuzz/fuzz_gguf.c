/* fuzz_gguf.c - feeds bytes to the GGUF reader and then reads all it offers. Built by ./dev fuzz with libFuzzer.
 *
 * Starts from the hand-made file of tests/support/tiny_gguf.h, so no stored corpus is needed. What must hold: no
 * access outside the file, a message with every refusal, and every tensor and value inside the map. */
#include "format/gguf.h"
#include "support/tiny_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static volatile unsigned sink;

static void read_inside(const hone_gguf *g, const void *data, size_t n)
{
    const unsigned char *p = data;
    if (p < g->map.data || n > (size_t)(g->map.data + g->map.size_bytes - p))
        abort();
    for (size_t i = 0; i < n; i++)
        sink += p[i];
}

static void read_value(const hone_gguf *g, const hone_gguf_value *v)
{
    read_inside(g, v->key.data, v->key.length);
    read_inside(g, v->data, v->size_bytes);
    if (v->type == HONE_GGUF_ARRAY && v->element_type == HONE_GGUF_STRING) {
        hone_gguf_string *strings = calloc(v->n + 1, sizeof *strings);
        if (strings && hone_gguf_read_strings(v, strings))
            for (uint64_t i = 0; i < v->n; i++)
                read_inside(g, strings[i].data, strings[i].length);
        free(strings);
    } else if (v->type != HONE_GGUF_STRING)
        for (uint64_t i = 0; i <= v->n; i++)
            sink += (unsigned)(hone_gguf_float_at(v, i) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz.gguf", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (ftruncate(file, 0) < 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        return 0;
    hone_gguf g;
    hone_error err = {0};
    if (hone_gguf_open(path, &g, &err) != HONE_OK) {
        if (!err.message[0] || err.code == HONE_OK)
            abort();
        return 0;
    }
    for (size_t i = 0; i < g.n_values; i++)
        read_value(&g, &g.values[i]);
    for (size_t i = 0; i < g.n_tensors; i++) {
        read_inside(&g, g.tensors[i].name.data, g.tensors[i].name.length);
        read_inside(&g, g.tensors[i].data, g.tensors[i].size_bytes);
    }
    hone_gguf_close(&g);
    return 0;
}

/* Now and then an input is replaced by the valid file before it is changed. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < 24 || seed % 64 == 0) {
        hone_buffer tiny = {0};
        put_tiny_gguf(&tiny);
        if (!tiny.failed && tiny.length <= max_size) {
            memcpy(data, tiny.data, tiny.length);
            size = tiny.length;
        }
        hone_buffer_clear(&tiny);
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
