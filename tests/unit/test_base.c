/* test_base.c - claims about the base layer. */
#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/thread_pool.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_sha256_of_fips_example(void **state)
{
    (void)state;
    char hex[65];
    hone_sha256_hex("abc", 3, hex); /* FIPS 180-4, appendix */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_units_are_read(void **state)
{
    (void)state;
    double v;
    uint64_t b;
    assert_true(hone_parse_seconds("1h30m", &v) && v == 5400);
    assert_true(hone_parse_seconds("90", &v) && v == 90);
    assert_false(hone_parse_seconds("soon", &v));
    assert_true(hone_parse_bytes("4GiB", &b) && b == 4ull << 30);
    assert_false(hone_parse_bytes("4 gallons", &b));
    assert_true(hone_parse_count("200k", &v) && v == 200000);
}

static void test_a_wrong_word_gets_a_suggestion(void **state)
{
    (void)state;
    const char *words[] = {"metric", "model", "data"};
    assert_string_equal(hone_suggest("metrics", words, 3), "metric");
    assert_string_equal(hone_suggest("mdoel", words, 3), "model");
    assert_null(hone_suggest("zebra", words, 3));
}

static void test_invalid_utf8_is_found_where_it_is(void **state)
{
    (void)state;
    size_t at;
    assert_true(hone_utf8_valid("gr\xC3\xBC\xC3\x9F", 6, NULL));
    assert_false(hone_utf8_valid("ab\xC0\x80", 4, &at)); /* overlong */
    assert_int_equal(at, 2);
    assert_false(hone_utf8_valid("\xED\xA0\x80", 3, &at));  /* surrogate */
    assert_false(hone_utf8_valid("x\xF0\x9F\x98", 4, &at)); /* truncated */
    assert_int_equal(at, 1);
}

static void add_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    atomic_fetch_add((atomic_llong *)context, piece + 1);
}

static void test_every_piece_runs_once_with_any_thread_count(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        hone_thread_pool *pool;
        assert_int_equal(hone_thread_pool_create(n, &pool, NULL), HONE_OK);
        for (int round = 0; round < 200; round++) {
            atomic_llong sum = 0;
            hone_thread_pool_run(pool, 100, add_piece, &sum);
            assert_int_equal(atomic_load(&sum), 5050);
        }
        hone_thread_pool_free(pool);
    }
}

static void test_a_permutation_holds_every_index_and_repeats(void **state)
{
    (void)state;
    size_t a[100], b[100];
    bool seen[100] = {false};
    hone_rng_key key = {7, HONE_RNG_SHUFFLE, 3};
    hone_rng_permutation(key, 100, a);
    hone_rng_permutation(key, 100, b);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < 100; i++)
        seen[a[i]] = true;
    for (int i = 0; i < 100; i++)
        assert_true(seen[i]);
}

static void test_philox_known_answer(void **state)
{
    (void)state;
    /* Random123 kat_vectors: philox4x32 10, counter 0, key 0 -> 6627e8d5 e169c58d bc57ac4c 9b00dbd8. */
    hone_rng_key key = {0, 0, 0};
    assert_true(hone_rng_u64(key, 0) == 0xe169c58d6627e8d5ull);
}

static void test_atomic_write_replaces_or_leaves_alone(void **state)
{
    (void)state;
    char folder[] = "/tmp/hone-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = hone_path_join(folder, "f");
    hone_error err;
    assert_int_equal(hone_file_write_atomic(path, "one", 3, &err), HONE_OK);
    assert_int_equal(hone_file_write_atomic(path, "two!", 4, &err), HONE_OK);
    hone_buffer b = {0};
    assert_int_equal(hone_file_read(path, 0, &b, &err), HONE_OK);
    assert_string_equal(b.data, "two!");
    hone_buffer_clear(&b);
    assert_int_equal(hone_file_read(path, 2, &b, &err), HONE_BAD_INPUT);
    assert_int_not_equal(hone_file_write_atomic("/nonexistent-folder/f", "x", 1, &err), HONE_OK);
    assert_non_null(strstr(err.message, "/nonexistent-folder/f"));
    hone_buffer_clear(&b);
    unlink(path);
    rmdir(folder);
    free(path);
}

static void test_a_lock_is_held_by_one(void **state)
{
    (void)state;
    char path[] = "/tmp/hone-lock-XXXXXX";
    int fd = mkstemp(path);
    hone_lock a, b;
    hone_error err;
    assert_int_equal(hone_lock_take(path, &a, &err), HONE_OK);
    assert_int_equal(hone_lock_take(path, &b, &err), HONE_BUSY);
    hone_lock_release(&a);
    assert_int_equal(hone_lock_take(path, &b, &err), HONE_OK);
    hone_lock_release(&b);
    close(fd);
    unlink(path);
}

/* Every value must read as printf writes it: floats over all their bits, and over the range with a way of its own, its
 * borders and the values that lie half way between two texts among them. */
static void test_a_float_is_written_as_printf_writes_it(void **state)
{
    (void)state;
    static const float special[] = {0,        -0.0f, 1,        -1,      0.1f,        0.01f,           0.001f,
                                    0.0001f,  1e-5f, 0.5f,     0.25f,   0.99999994f, 0.000099999997f, 0.00048828125f,
                                    1.5e-45f, 3e38f, -0.0625f, 123.456f};
    char out[32], expected[32];
    for (uint64_t i = 0; i < 600000 + sizeof special / sizeof *special; i++) {
        float value;
        uint32_t bits = (uint32_t)hone_rng_below((hone_rng_key){4, HONE_RNG_TEST, 1}, i, UINT32_MAX);
        if (i < 300000)
            memcpy(&value, &bits, sizeof value);
        else if (i < 600000) /* 2^-14 to 1, few bits in every third, so that ties are among them */
            value = ldexpf((float)(1 + (i % 3 ? bits % (1u << 24) : bits % 64)), -(int)(i % 14) - (i % 3 ? 24 : 6));
        else
            value = special[i - 600000];
        size_t n = hone_format_float(value, out);
        snprintf(expected, sizeof expected, "%.9g", (double)value);
        if (strcmp(out, expected) != 0 || n != strlen(out))
            fail_msg("%a is written %s, by printf %s", (double)value, out, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_of_fips_example),
        cmocka_unit_test(test_units_are_read),
        cmocka_unit_test(test_a_float_is_written_as_printf_writes_it),
        cmocka_unit_test(test_a_wrong_word_gets_a_suggestion),
        cmocka_unit_test(test_invalid_utf8_is_found_where_it_is),
        cmocka_unit_test(test_every_piece_runs_once_with_any_thread_count),
        cmocka_unit_test(test_a_permutation_holds_every_index_and_repeats),
        cmocka_unit_test(test_philox_known_answer),
        cmocka_unit_test(test_atomic_write_replaces_or_leaves_alone),
        cmocka_unit_test(test_a_lock_is_held_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
