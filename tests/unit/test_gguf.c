/* test_gguf.c - claims about reading GGUF: what a right file says, and that no wrong one leads outside the map.
 * Every view that the reader hands out is compared with the map's bounds and read to its last byte. */
#include "format/gguf.h"
#include "support/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int memory_file = -1;
static char memory_path[64];

static int start(void **state)
{
    (void)state;
    memory_file = memfd_create("tiny.gguf", MFD_CLOEXEC);
    snprintf(memory_path, sizeof memory_path, "/proc/self/fd/%d", memory_file);
    return memory_file < 0 ? -1 : 0;
}

static hone_status open_bytes(const void *data, size_t n, hone_gguf *out, hone_error *err)
{
    assert_int_equal(ftruncate(memory_file, 0), 0);
    assert_int_equal(pwrite(memory_file, data, n, 0), n);
    return hone_gguf_open(memory_path, out, err);
}

static volatile unsigned sink;

static void read_all(const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sink += ((const unsigned char *)data)[i];
}

/* Touches every byte that an opened file gives access to, through every reader. */
static void read_everything(const hone_gguf *g)
{
    const unsigned char *end = g->map.data + g->map.size_bytes;
    for (size_t i = 0; i < g->n_values; i++) {
        const hone_gguf_value *v = &g->values[i];
        hone_gguf_string s;
        assert_true(v->data >= g->map.data && v->data + v->size_bytes <= end);
        read_all(v->key.data, v->key.length);
        read_all(v->data, v->size_bytes);
        if (v->type == HONE_GGUF_ARRAY && v->element_type == HONE_GGUF_STRING) {
            hone_gguf_string *strings = calloc(v->n + 1, sizeof *strings);
            assert_true(hone_gguf_read_strings(v, strings));
            for (uint64_t j = 0; j < v->n; j++)
                read_all(strings[j].data, strings[j].length);
            free(strings);
        } else if (v->type != HONE_GGUF_STRING)
            for (uint64_t j = 0; j <= v->n; j++)
                sink += (unsigned)(hone_gguf_int_at(v, j) != 0) + (unsigned)(hone_gguf_float_at(v, j) != 0);
        else {
            char *key = strndup(v->key.data, v->key.length);
            if (hone_gguf_get_string(g, key, &s))
                read_all(s.data, s.length);
            free(key);
        }
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const hone_gguf_tensor *t = &g->tensors[i];
        assert_true(t->data >= g->map.data && t->data + t->size_bytes <= end);
        read_all(t->name.data, t->name.length);
        read_all(t->data, t->size_bytes);
    }
}

static void test_a_right_file_says_what_was_written(void **state)
{
    (void)state;
    hone_buffer b = {0};
    hone_gguf g;
    hone_error err = {0};
    put_tiny_gguf(&b);
    if (open_bytes(b.data, b.length, &g, &err) != HONE_OK)
        fail_msg("%s", err.message);
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"a.u8", 254},         {"a.i8", -2},  {"a.u16", 65534},      {"a.i16", -2},
                    {"a.u32", 4294967294}, {"a.i32", -2}, {"a.u64", 4294967294}, {"a.i64", -2}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t v = 0;
        assert_true(hone_gguf_get_int(&g, integers[i].key, &v));
        assert_true(v == integers[i].value);
    }
    double d;
    bool flag;
    int64_t n;
    hone_gguf_string s, words[3];
    assert_true(hone_gguf_get_float(&g, "a.f32", &d) && d == 1.5);
    assert_true(hone_gguf_get_float(&g, "a.f64", &d) && d == -2.5);
    assert_true(hone_gguf_get_bool(&g, "a.bool", &flag) && flag);
    assert_true(hone_gguf_get_string(&g, "general.architecture", &s) && s.length == 3 && memcmp(s.data, "toy", 3) == 0);
    assert_false(hone_gguf_get_int(&g, "a.f32", &n)); /* another kind */
    assert_false(hone_gguf_get_int(&g, "a.none", &n));
    assert_false(hone_gguf_get_string(&g, "a.words", &s));
    const hone_gguf_value *v = hone_gguf_find(&g, "a.words");
    assert_true(v && v->n == 3 && hone_gguf_read_strings(v, words));
    assert_true(words[1].length == 0 && words[2].length == 5 && memcmp(words[2].data, "three", 5) == 0);
    v = hone_gguf_find(&g, "a.numbers");
    assert_true(v && v->n == 2 && hone_gguf_int_at(v, 0) == 5 && hone_gguf_int_at(v, 1) == -5);
    assert_true(hone_gguf_int_at(v, 2) == 0); /* past the end */
    const hone_gguf_tensor *t = hone_gguf_find_tensor(&g, "plain");
    float last;
    assert_true(t && t->dtype == HONE_F32 && t->n_dims == 2 && t->ne[0] == 4 && t->ne[1] == 2 && t->ne[2] == 1);
    memcpy(&last, t->data + 28, 4);
    assert_true(t->size_bytes == 32 && last == 7);
    t = hone_gguf_find_tensor(&g, "block");
    assert_true(t && t->dtype == HONE_Q4_1 && t->size_bytes == 20 && t->data[0] == 0 && t->data[1] == 0x3c);
    read_everything(&g);
    hone_gguf_close(&g);
    hone_buffer_clear(&b);
}

static void test_a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    hone_buffer b = {0};
    put_tiny_gguf(&b);
    for (size_t n = 0; n < b.length; n++) {
        hone_gguf g;
        hone_error err = {0};
        if (open_bytes(b.data, n, &g, &err) != HONE_BAD_FORMAT)
            fail_msg("a file of %zu bytes was accepted", n);
        assert_non_null(strstr(err.message, memory_path));
    }
    hone_buffer_clear(&b);
}

static void test_a_flipped_byte_never_leads_outside(void **state)
{
    (void)state;
    hone_buffer b = {0};
    put_tiny_gguf(&b);
    int opened = 0;
    for (size_t at = 0; at < b.length; at++) {
        static const unsigned char flips[] = {0x01, 0x80, 0xff};
        for (size_t k = 0; k < sizeof flips; k++) {
            hone_gguf g;
            hone_error err = {0};
            b.data[at] ^= (char)flips[k];
            if (open_bytes(b.data, b.length, &g, &err) == HONE_OK) {
                read_everything(&g);
                hone_gguf_close(&g);
                opened++;
            } else
                assert_true(err.message[0] != 0);
            b.data[at] ^= (char)flips[k];
        }
    }
    assert_true(opened > 0); /* values, names and weights may be anything */
    hone_buffer_clear(&b);
}

/* One wrong file: refused with this status and these words. */
static void assert_refused(hone_buffer *b, hone_status expected, const char *words)
{
    hone_gguf g;
    hone_error err = {0};
    hone_status status = open_bytes(b->data, b->length, &g, &err);
    if (status == HONE_OK)
        hone_gguf_close(&g);
    if (status != expected || !strstr(err.message, words))
        fail_msg("expected \"%s\", got status %d: %s", words, status, err.message);
    hone_buffer_clear(b);
}

static void test_absurd_counts_and_lengths(void **state)
{
    (void)state;
    static const uint64_t absurd[] = {UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 32, 1000};
    hone_buffer b = {0};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        put_header(&b, 3, absurd[i], 0);
        assert_refused(&b, HONE_BAD_FORMAT, "");
        put_header(&b, 3, 0, absurd[i]);
        assert_refused(&b, HONE_BAD_FORMAT, "");
        put_header(&b, 3, 0, 1); /* a key's length */
        put_u64(&b, absurd[i]);
        hone_buffer_puts(&b, "key");
        assert_refused(&b, HONE_BAD_FORMAT, "ends within a key");
        put_header(&b, 3, 0, 1); /* a string's length */
        put_string(&b, "key");
        put_u32(&b, 8);
        put_u64(&b, absurd[i]);
        assert_refused(&b, HONE_BAD_FORMAT, "ends within a string");
        for (uint32_t element = 0; element <= 12; element++) { /* an array's length */
            if (element == 9)
                continue;
            put_header(&b, 3, 0, 1);
            put_string(&b, "key");
            put_u32(&b, 9);
            put_u32(&b, element);
            put_u64(&b, absurd[i]);
            assert_refused(&b, HONE_BAD_FORMAT, "ends within an array");
        }
    }
}

static void test_what_is_not_gguf(void **state)
{
    (void)state;
    hone_buffer b = {0};
    hone_buffer_puts(&b, "{\"not\": \"a model\"}");
    assert_refused(&b, HONE_BAD_FORMAT, "not a GGUF file");
    put_header(&b, 1, 0, 0);
    assert_refused(&b, HONE_UNSUPPORTED, "version 1");
    put_header(&b, 0x03000000, 0, 0); /* big-endian */
    assert_refused(&b, HONE_UNSUPPORTED, "version 50331648");
    put_header(&b, 3, 0, 1);
    put_string(&b, "key");
    put_u32(&b, 13);
    assert_refused(&b, HONE_BAD_FORMAT, "unknown value type 13 for key \"key\"");
    put_header(&b, 3, 0, 1);
    put_string(&b, "key");
    put_u32(&b, 9);
    put_u32(&b, 9); /* an array of arrays */
    put_u64(&b, 1);
    assert_refused(&b, HONE_BAD_FORMAT, "array of type 9");
}

static void put_one_tensor(hone_buffer *b, uint32_t n_dims, const uint64_t *ne, uint32_t dtype, uint64_t offset)
{
    put_header(b, 3, 1, 0);
    put_tensor(b, "w", n_dims, ne, dtype, offset);
    put_padding(b, 32);
    for (int i = 0; i < 64; i++)
        put_u64(b, 0);
}

static void test_tensors_that_cannot_be(void **state)
{
    (void)state;
    hone_buffer b = {0};
    static const uint64_t small[] = {32, 1, 1, 1, 1}, big[] = {1u << 30, 1u << 30, 1u << 30, 1u << 30}, zero[] = {0},
                          huge[] = {UINT64_MAX}, odd[] = {33};
    put_one_tensor(&b, 1, small, 0, 1024);
    assert_refused(&b, HONE_BAD_FORMAT, "tensor \"w\" (128 bytes at offset 1024) lies outside");
    put_one_tensor(&b, 1, small, 0, UINT64_MAX - 31);
    assert_refused(&b, HONE_BAD_FORMAT, "lies outside");
    put_one_tensor(&b, 1, small, 0, 4);
    assert_refused(&b, HONE_BAD_FORMAT, "offset 4 is not a multiple of 32");
    put_one_tensor(&b, 4, big, 0, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "absurd size");
    put_one_tensor(&b, 1, zero, 0, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "absurd size");
    put_one_tensor(&b, 1, huge, 0, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "absurd size");
    put_one_tensor(&b, 0, small, 0, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "0 dimensions");
    put_one_tensor(&b, 5, small, 0, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "5 dimensions");
    put_one_tensor(&b, 1, odd, 3, 0);
    assert_refused(&b, HONE_BAD_FORMAT, "33 weights a row do not divide into Q4_1 blocks of 32");
    put_one_tensor(&b, 1, small, 4711, 0);
    assert_refused(&b, HONE_UNSUPPORTED, "type number 4711");
    put_one_tensor(&b, 1, small, UINT32_MAX, 0);
    assert_refused(&b, HONE_UNSUPPORTED, "type number 4294967295");
}

static void test_alignment_must_be_a_power_of_two(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {0, 3, 33, 1u << 31, UINT32_MAX};
    hone_buffer b = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_header(&b, 3, 0, 1);
        put_string(&b, "general.alignment");
        put_u32(&b, 4);
        put_u32(&b, wrong[i]);
        assert_refused(&b, HONE_BAD_FORMAT, "general.alignment is");
    }
}

static void test_no_file_and_a_folder(void **state)
{
    (void)state;
    hone_gguf g;
    hone_error err = {0};
    assert_int_equal(hone_gguf_open("/nonexistent/model.gguf", &g, &err), HONE_NOT_FOUND);
    assert_int_equal(hone_gguf_open("/tmp", &g, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_right_file_says_what_was_written),
        cmocka_unit_test(test_a_file_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_flipped_byte_never_leads_outside),
        cmocka_unit_test(test_absurd_counts_and_lengths),
        cmocka_unit_test(test_what_is_not_gguf),
        cmocka_unit_test(test_tensors_that_cannot_be),
        cmocka_unit_test(test_alignment_must_be_a_power_of_two),
        cmocka_unit_test(test_no_file_and_a_folder),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
