/* test_safetensors.c - reading what others wrote (and what attackers write), writing what others read. The format is
 * that of huggingface/safetensors, README "Format": u64 header length, JSON header, bytes. */
#include "format/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hone-safetensors-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const void *data, size_t length)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, length, f), length);
    fclose(f);
}

/* A file with this header and `n_data` bytes 0, 1, 2... after it. */
static void write_header(const char *header, size_t n_data)
{
    hone_buffer b = {0};
    uint64_t length = strlen(header);
    hone_buffer_append(&b, &length, 8);
    hone_buffer_puts(&b, header);
    for (size_t i = 0; i < n_data; i++)
        hone_buffer_putc(&b, (char)i);
    write_file(b.data, b.length);
    hone_buffer_clear(&b);
}

static hone_status open_and_close(hone_error *err)
{
    hone_safetensors file;
    memset(err, 0, sizeof *err);
    hone_status status = hone_safetensors_open(path, &file, err);
    if (status == HONE_OK) { /* every byte that it promises can be read */
        float sum = 0;
        for (size_t i = 0; i < file.n_tensors; i++) {
            const hone_safetensor *t = &file.tensors[i];
            for (int64_t j = 0; j < t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]; j++)
                sum += hone_safetensor_at(t, j);
        }
        assert_true(sum == sum || isnan(sum)); /* uses it */
        hone_safetensors_close(&file);
    } else {
        assert_non_null(strstr(err->message, path)); /* the message names the place */
        assert_null(file.tensors);
    }
    return status;
}

static void test_the_examples_values_are_read(void **state)
{
    (void)state;
    /* 1.0 as F32, F16 and BF16: 0x3F800000, 0x3C00, 0x3F80 */
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]},\"c\":{\"dtype\":\"BF16\",\"shape\":[],\"data_"
        "offsets\":[12,14]}}";
    static const unsigned char data[] = {0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC1, 0, 0x3C, 0, 0xC0, 0x80, 0x3F};
    hone_buffer b = {0};
    uint64_t length = strlen(header);
    hone_buffer_append(&b, &length, 8);
    hone_buffer_puts(&b, header);
    hone_buffer_append(&b, data, sizeof data);
    write_file(b.data, b.length);
    hone_buffer_clear(&b);
    hone_safetensors file;
    assert_int_equal(hone_safetensors_open(path, &file, NULL), HONE_OK);
    assert_int_equal(file.n_tensors, 3);
    const hone_safetensor *t = hone_safetensors_find(&file, "a");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[2], 1);
    assert_true(hone_safetensor_at(t, 0) == 1 && hone_safetensor_at(t, 1) == -10);
    t = hone_safetensors_find(&file, "b");
    assert_true(hone_safetensor_at(t, 0) == 1 && hone_safetensor_at(t, 1) == -2);
    t = hone_safetensors_find(&file, "c");
    assert_int_equal(t->n_dims, 0);
    assert_true(hone_safetensor_at(t, 0) == 1);
    assert_null(hone_safetensors_find(&file, "__metadata__"));
    hone_safetensors_close(&file);
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    const float x[] = {1, -2, 3.5f, 0, 1e-40f, -0.0f}, y[] = {7};
    const hone_safetensor_out tensors[] = {{"first \"quoted\"", 2, 3, x}, {"second", 1, 1, y}};
    assert_int_equal(hone_safetensors_write(path, tensors, 2, "pt", NULL), HONE_OK);
    hone_safetensors file;
    assert_int_equal(hone_safetensors_open(path, &file, NULL), HONE_OK);
    uint64_t header_bytes;
    memcpy(&header_bytes, file.map.data, 8);
    assert_int_equal(header_bytes % 8, 0);   /* data aligned to 8, as the specification asks */
    assert_int_equal(file.map.data[8], '{'); /* and begins so */
    const hone_safetensor *t = hone_safetensors_find(&file, "first \"quoted\"");
    assert_non_null(t);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_memory_equal(t->data, x, sizeof x);
    assert_true(hone_safetensor_at(hone_safetensors_find(&file, "second"), 0) == 7);
    hone_safetensors_close(&file);
}

static const struct hostile {
    const char *header;
    size_t n_data;
    hone_status expected;
} hostile[] = {
    {"", 0, HONE_BAD_FORMAT},
    {"[]", 0, HONE_BAD_FORMAT},
    {"null", 0, HONE_BAD_FORMAT},
    {"{", 8, HONE_BAD_FORMAT},
    {"{\"a\":1}", 8, HONE_BAD_FORMAT},
    {"{\"a\":[]}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"0\":0,\"1\":8}}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[\"0\",\"8\"]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0.0,8.0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775800,9223372036854775807]}}", 8,
     HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-9223372036854775808,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    /* 2^31 * 2^31 * 4 elements of 4 bytes = 2^66 = 0 when the product wraps around */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647,2147483647,2147483647],\"data_offsets\":[0,8]}}", 8,
     HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1073741824,1073741824,4],\"data_offsets\":[0,0]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, HONE_UNSUPPORTED},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, HONE_UNSUPPORTED},
    /* the same name twice */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[4,8]}}",
     8, HONE_BAD_FORMAT},
    /* overlaps: equal, partial, one within the other, named in either order */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[0,4]}}",
     8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
     "offsets\":[4,12]}}",
     12, HONE_BAD_FORMAT},
    {"{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_"
     "offsets\":[0,12]}}",
     12, HONE_BAD_FORMAT},
    /* bytes that JSON does not allow: NUL in a name, invalid UTF-8, text after the object */
    {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"\xFF\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, HONE_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}x", 8, HONE_BAD_FORMAT},
    /* well-formed ones for contrast: spaces after the header, tensors in any order, an empty header */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}   ", 8, HONE_OK},
    {"{\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[0,4]}}",
     8, HONE_OK},
    {"{}", 0, HONE_OK},
};

static void test_hostile_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        hone_error err;
        write_header(hostile[i].header, hostile[i].n_data);
        hone_status status = open_and_close(&err);
        if (status != hostile[i].expected)
            fail_msg("%s: got %s (%s)", hostile[i].header, hone_status_name(status), err.message);
    }
}

static void test_overlapping_tensors_are_named(void **state)
{
    (void)state;
    hone_error err;
    write_header("{\"one\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"two\":{\"dtype\":\"F32\","
                 "\"shape\":[2],\"data_offsets\":[4,12]}}",
                 12);
    assert_int_equal(open_and_close(&err), HONE_BAD_FORMAT);
    assert_non_null(strstr(err.message, "\"one\""));
    assert_non_null(strstr(err.message, "\"two\""));
}

static void test_absurd_header_lengths_are_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        1, 3, 100, 1u << 31, 1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7, (uint64_t)INT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char file[8 + 2] = {0};
        hone_error err;
        memcpy(file, &lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        write_file(file, sizeof file);
        assert_int_equal(open_and_close(&err), HONE_BAD_FORMAT);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    char *header = malloc(DEPTH + 8);
    hone_error err;
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = 0;
    write_header(header, 0);
    assert_int_equal(open_and_close(&err), HONE_BAD_FORMAT);
    free(header);
}

/* Cut anywhere, a file is refused; with any byte changed it is refused or read within its bounds. */
static void test_every_prefix_and_every_changed_byte(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    const hone_safetensor_out tensors[] = {{"layers.0.lora_A.weight", 2, 2, x},
                                           {"layers.0.lora_B.weight", 1, 2, x + 4}};
    hone_error err;
    hone_buffer whole = {0};
    assert_int_equal(hone_safetensors_write(path, tensors, 2, "pt", &err), HONE_OK);
    assert_int_equal(hone_file_read(path, 0, &whole, &err), HONE_OK);
    for (size_t n = 0; n < whole.length; n++) {
        write_file(whole.data, n);
        assert_int_equal(open_and_close(&err), HONE_BAD_FORMAT);
    }
    static const unsigned char changes[] = {0x00, 0x01, 0x20, 0x80, 0xFF};
    for (size_t at = 0; at < whole.length - sizeof x; at++)
        for (size_t c = 0; c < sizeof changes; c++) {
            char kept = whole.data[at];
            whole.data[at] = (char)(kept ^ (char)changes[c]);
            write_file(whole.data, whole.length);
            open_and_close(&err);
            whole.data[at] = kept;
        }
    hone_buffer_clear(&whole);
}

static void test_missing_files_and_folders_are_errors(void **state)
{
    (void)state;
    hone_safetensors file;
    hone_error err;
    assert_int_equal(hone_safetensors_open("/nonexistent/x.safetensors", &file, &err), HONE_NOT_FOUND);
    assert_int_not_equal(hone_safetensors_open(folder, &file, &err), HONE_OK);
    const float x[] = {1};
    const hone_safetensor_out tensor = {"a", 1, 1, x};
    assert_int_not_equal(hone_safetensors_write("/nonexistent/x.safetensors", &tensor, 1, NULL, &err), HONE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_values_are_read),
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_hostile_headers_are_refused),
        cmocka_unit_test(test_overlapping_tensors_are_named),
        cmocka_unit_test(test_absurd_header_lengths_are_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_every_prefix_and_every_changed_byte),
        cmocka_unit_test(test_missing_files_and_folders_are_errors),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
