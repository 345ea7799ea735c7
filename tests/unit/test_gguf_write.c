/* test_gguf_write.c - claims about making GGUF files. Expected bytes come from support/tiny_gguf.h, a second writer
 * that was written by the specification; expected weights from file_rows.h, which decodes types by their definitions.
 */
#include "file_rows.h"
#include "format/gguf_write.h"
#include "support/tiny_gguf.h"
#include "tensor/convert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "unit/temporary.h"

static hone_gguf opened(const char *path)
{
    hone_gguf file;
    hone_error err;
    if (hone_gguf_open(path, &file, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return file;
}

static void test_a_copied_file_has_the_bytes_of_the_original(void **state)
{
    (void)state;
    hone_buffer bytes = {0}, copy = {0};
    hone_gguf made;
    hone_error err;
    put_tiny_gguf(&bytes);
    while (bytes.length % 32) /* the writer fills up after the last tensor too */
        hone_buffer_putc(&bytes, 0);
    hone_gguf source = opened(temporary_bytes("tiny.gguf", bytes.data, bytes.length));
    assert_int_equal(hone_gguf_create("copy", &made, &err), HONE_OK);
    assert_int_equal(hone_gguf_copy_values(&made, &source, &err), HONE_OK);
    for (size_t i = 0; i < source.n_tensors; i++) {
        const hone_gguf_tensor *t = &source.tensors[i];
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)t->name.length, t->name.data);
        assert_int_equal(hone_gguf_add_tensor(&made, name, t->dtype, t->n_dims, t->ne, t->data, &err), HONE_OK);
    }
    assert_int_equal(hone_gguf_write(&made, temporary_path("copy.gguf"), NULL, NULL, NULL, &err), HONE_OK);
    assert_int_equal(hone_file_read(temporary_path("copy.gguf"), 0, &copy, &err), HONE_OK);
    assert_int_equal(copy.length, bytes.length);
    assert_memory_equal(copy.data, bytes.data, bytes.length);
    hone_gguf_close(&made);
    hone_gguf_close(&source);
    hone_buffer_clear(&bytes);
    hone_buffer_clear(&copy);
}

static void test_values_of_every_kind_are_read_back(void **state)
{
    (void)state;
    hone_gguf made;
    hone_error err;
    const hone_gguf_string words[] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    hone_gguf_string read[3], text;
    const int32_t numbers[] = {7, -8};
    int64_t i;
    double f;
    bool b;
    assert_int_equal(hone_gguf_create("values", &made, &err), HONE_OK);
    hone_gguf_set_string(&made, "text", "before", &err);
    hone_gguf_set_integer(&made, "small", HONE_GGUF_I8, -3, &err);
    hone_gguf_set_integer(&made, "large", HONE_GGUF_U64, INT64_C(1) << 40, &err);
    hone_gguf_set_integer(&made, "yes", HONE_GGUF_BOOL, 1, &err);
    hone_gguf_set_integer(&made, "gone", HONE_GGUF_U32, 1, &err);
    hone_gguf_set_float(&made, "half", 0.5f, &err);
    hone_gguf_set_strings(&made, "words", words, 3, &err);
    hone_gguf_set_i32s(&made, "numbers", numbers, 2, &err);
    hone_gguf_set_string(&made, "text", "after", &err);
    hone_gguf_remove(&made, "gone");
    for (int k = 0; k < 100; k++) { /* more than the first room */
        char key[16];
        snprintf(key, sizeof key, "k%d", k);
        assert_int_equal(hone_gguf_set_integer(&made, key, HONE_GGUF_U32, k, &err), HONE_OK);
    }
    assert_int_equal(hone_gguf_write(&made, temporary_path("values.gguf"), NULL, NULL, NULL, &err), HONE_OK);
    hone_gguf_close(&made);
    hone_gguf file = opened(temporary_path("values.gguf"));
    assert_int_equal(file.n_values, 7 + 100);
    assert_true(hone_gguf_get_string(&file, "text", &text) && text.length == 5 && memcmp(text.data, "after", 5) == 0);
    assert_true(hone_gguf_get_int(&file, "small", &i) && i == -3);
    assert_true(hone_gguf_get_int(&file, "large", &i) && i == INT64_C(1) << 40);
    assert_true(hone_gguf_get_bool(&file, "yes", &b) && b);
    assert_true(hone_gguf_get_float(&file, "half", &f) && f == 0.5);
    assert_true(hone_gguf_get_int(&file, "k99", &i) && i == 99);
    assert_null(hone_gguf_find(&file, "gone"));
    assert_true(hone_gguf_read_strings(hone_gguf_find(&file, "words"), read));
    for (int k = 0; k < 3; k++) {
        assert_int_equal(read[k].length, words[k].length);
        assert_memory_equal(read[k].data, words[k].data, words[k].length);
    }
    assert_int_equal(hone_gguf_int_at(hone_gguf_find(&file, "numbers"), 1), -8);
    hone_gguf_close(&file);
}

enum { ROWS = 3000, COLUMNS = 512 }; /* 6 MiB in f32: more than one piece */

/* Weight c of row r is r + c / 1024, exactly. */
static hone_status give_rows(void *context, const hone_gguf_tensor *tensor, int64_t first, int64_t n, void *out,
                             hone_error *err)
{
    (void)err;
    *(int *)context += 1;
    assert_int_equal(tensor->dtype, HONE_F32);
    for (int64_t r = 0; r < n; r++)
        for (int c = 0; c < COLUMNS; c++)
            ((float *)out)[r * COLUMNS + c] = (float)(first + r) + (float)c / 1024;
    return HONE_OK;
}

static void make_large(hone_gguf *made)
{
    static const float norm[4] = {1, 2, 3, 4};
    hone_error err;
    assert_int_equal(hone_gguf_create("large", made, &err), HONE_OK);
    assert_int_equal(hone_gguf_add_tensor(made, "norm", HONE_F32, 1, (const int64_t[]){4}, norm, &err), HONE_OK);
    assert_int_equal(hone_gguf_add_tensor(made, "large", HONE_F32, 2, (const int64_t[]){COLUMNS, ROWS}, NULL, &err),
                     HONE_OK);
}

static void test_large_tensors_come_in_pieces(void **state)
{
    (void)state;
    hone_gguf made;
    hone_error err;
    int calls = 0;
    make_large(&made);
    assert_int_equal(hone_gguf_write(&made, temporary_path("large.gguf"), give_rows, &calls, NULL, &err), HONE_OK);
    hone_gguf_close(&made);
    assert_true(calls > 1);
    hone_gguf file = opened(temporary_path("large.gguf"));
    const hone_gguf_tensor *t = hone_gguf_find_tensor(&file, "large");
    float last;
    memcpy(&last, t->data + t->size_bytes - 4, 4);
    assert_true(last == ROWS - 1 + (COLUMNS - 1) / 1024.0f);
    memcpy(&last, hone_gguf_find_tensor(&file, "norm")->data + 12, 4);
    assert_true(last == 4);
    hone_gguf_close(&file);
}

static void test_a_full_disk_leaves_the_file_that_was_there(void **state)
{
    (void)state;
    hone_gguf made;
    hone_error err;
    int calls = 0;
    hone_buffer text = {0};
    struct rlimit before, small;
    const char *path = temporary_file("kept.gguf", "as before");
    make_large(&made);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){1 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    hone_status status = hone_gguf_write(&made, path, give_rows, &calls, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, HONE_IO);
    assert_says(err, "kept.gguf: cannot write");
    assert_int_equal(hone_file_read(path, 0, &text, &err), HONE_OK);
    assert_string_equal(text.data, "as before");
    char left[320];
    snprintf(left, sizeof left, "%s.tmp-%ld", path, (long)getpid());
    assert_false(hone_file_exists(left));
    hone_buffer_clear(&text);
    hone_gguf_close(&made);
}

static void test_rows_that_do_not_divide_into_blocks_are_refused(void **state)
{
    (void)state;
    hone_gguf made;
    hone_error err;
    assert_int_equal(hone_gguf_create("odd", &made, &err), HONE_OK);
    assert_int_equal(hone_gguf_add_tensor(&made, "t", HONE_Q8_0, 2, (const int64_t[]){48, 2}, NULL, &err),
                     HONE_UNSUPPORTED);
    assert_says(err, "\"t\" has rows of 48 weights, which do not divide into Q8_0 blocks of 32; choose f16");
    hone_gguf_close(&made);
}

static void test_decoding_follows_the_definitions(void **state)
{
    (void)state;
    enum { N = 256 };
    for (int f = 0; f < N_FORMATS; f++) {
        size_t bytes;
        unsigned char *row = new_rows(&formats[f], 1, N, (uint32_t)f, &bytes);
        float got[N];
        assert_int_equal(bytes, hone_dtype_bytes(formats[f].dtype, N));
        assert_true(hone_dtype_decode(formats[f].dtype, row, N, got));
        for (int i = 0; i < N; i++)
            assert_true(got[i] == decoded(&formats[f], row, i));
        free(row);
    }
    float unused[32];
    assert_false(hone_dtype_decode((hone_dtype)10, "", 0, unused));
}

/* A written weight is the nearest value that its type has; for Q8_0 the nearest multiple of its block's scale. */
static void test_encoding_takes_the_nearest_value(void **state)
{
    (void)state;
    enum { N = 1024 };
    float x[N];
    unsigned char row[4 * N];
    for (int i = 0; i < N; i++)
        x[i] = (float)hone_rng_normal((hone_rng_key){3, HONE_RNG_TEST, 1}, (uint64_t)i);
    memset(x + 64, 0, 32 * sizeof *x); /* a block of zeros */
    static const double widths[] = {[HONE_F16] = 0x1p-11, [HONE_BF16] = 0x1p-8};
    for (int f = 0; f < 4; f++) {
        hone_dtype dtype = formats[f].dtype;
        assert_true(hone_dtype_encode(dtype, x, N, row));
        for (int i = 0; i < N; i++) {
            double got = (double)decoded(&formats[f], row, i), off = fabs(got - (double)x[i]), top = 0;
            for (int j = i / 32 * 32; dtype == HONE_Q8_0 && j < i / 32 * 32 + 32; j++)
                top = fmax(top, fabs((double)x[j]));
            double most = dtype == HONE_Q8_0 ? top / 127 * (0.5 + 127 * 0x1p-11) /* the scale is rounded to f16 */
                                             : widths[dtype] * fabs((double)x[i]);
            assert_true(off <= (dtype == HONE_F32 ? 0 : most));
        }
    }
    hone_dtype parsed;
    assert_true(hone_dtype_parse_written("q8_0", &parsed) && parsed == HONE_Q8_0);
    assert_true(hone_dtype_parse_written("BF16", &parsed) && parsed == HONE_BF16);
    assert_false(hone_dtype_parse_written("q4_1", &parsed));
    assert_false(hone_dtype_encode(HONE_Q4_1, x, 32, row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copied_file_has_the_bytes_of_the_original),
        cmocka_unit_test(test_values_of_every_kind_are_read_back),
        cmocka_unit_test(test_large_tensors_come_in_pieces),
        cmocka_unit_test(test_a_full_disk_leaves_the_file_that_was_there),
        cmocka_unit_test(test_rows_that_do_not_divide_into_blocks_are_refused),
        cmocka_unit_test(test_decoding_follows_the_definitions),
        cmocka_unit_test(test_encoding_takes_the_nearest_value),
    };
    return cmocka_run_group_tests(tests, temporary_begin, temporary_end);
}
