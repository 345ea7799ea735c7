/* test_http.c - claims about fetching a file over HTTP, against a server on the loopback that misbehaves on purpose. */
#include "base/file.h"
#include "base/hash.h"
#include "net/http.h"
#include "support/loopback.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { BODY_BYTES = 3000000 };

static unsigned char body[BODY_BYTES];
static char body_hash[65];
static loopback server;
static char folder[] = "/tmp/hone-http-XXXXXX", path[64];

static int start(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (unsigned char)(i * 2654435761u >> 13);
    hone_sha256_hex(body, sizeof body, body_hash);
    if (!mkdtemp(folder) || !loopback_start(&server, body, sizeof body))
        return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    loopback_stop(&server);
    unlink(path);
    return rmdir(folder);
}

static int fresh(void **state)
{
    (void)state;
    unlink(path);
    server.bytes_sent = 0;
    server.requests = 0;
    return 0;
}

static hone_status fetch(const char *resource, int attempts, hone_error *err)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, resource);
    hone_http_download d = {
        .url = url, .path = path, .size_bytes = BODY_BYTES, .name = "file", .stall_seconds = 2, .attempts = attempts};
    return hone_http_fetch(&d, NULL, err);
}

static void assert_same_bytes(void)
{
    char hash[65];
    assert_int_equal(hone_sha256_file(path, hash, NULL), HONE_OK);
    assert_string_equal(hash, body_hash);
}

static void test_a_file_arrives_whole(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/file", 1, &err), HONE_OK);
    assert_same_bytes();
    assert_int_equal(server.last_start, -1);
    /* A second call has nothing to ask for. */
    assert_int_equal(fetch("/file", 1, &err), HONE_OK);
    assert_int_equal(server.requests, 1);
}

static void test_a_cut_transfer_is_continued_to_the_same_bytes(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/cut/1000000", 1, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_int_equal(hone_file_size_bytes(path), 1000000);
    assert_int_equal(fetch("/file", 1, &err), HONE_OK);
    assert_int_equal(server.last_start, 1000000);
    assert_int_equal(server.bytes_sent, BODY_BYTES);
    assert_same_bytes();
}

static void test_one_call_goes_on_while_the_transfer_moves(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/cut/700000", 2, &err), HONE_OK); /* five pieces, two attempts allowed without progress */
    assert_int_equal(server.requests, 5);
    assert_same_bytes();
}

static void test_a_server_without_ranges_starts_over(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/cut/1000000", 1, &err), HONE_NETWORK);
    assert_int_equal(fetch("/norange", 1, &err), HONE_OK);
    assert_same_bytes();
}

static void test_a_wrong_range_is_not_appended(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/cut/1000000", 1, &err), HONE_NETWORK);
    assert_int_equal(fetch("/wrongrange", 1, &err), HONE_NETWORK);
    assert_int_equal(hone_file_size_bytes(path), 0);
    assert_int_equal(fetch("/cut/1000000", 1, &err), HONE_NETWORK);
    assert_int_equal(fetch("/wrongrange", 3, &err), HONE_OK); /* the second attempt starts over */
    assert_same_bytes();
}

static void test_an_oversized_leftover_is_dropped(void **state)
{
    (void)state;
    hone_error err = {0};
    char *big = calloc(1, BODY_BYTES + 1);
    assert_int_equal(hone_file_write_atomic(path, big, BODY_BYTES + 1, &err), HONE_OK);
    free(big);
    assert_int_equal(fetch("/file", 1, &err), HONE_OK);
    assert_same_bytes();
}

static void test_another_size_is_refused_before_it_is_written(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/short", 1, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "1500000 bytes, but 3000000 are expected"));
    assert_int_equal(hone_file_size_bytes(path), 0);
    assert_int_equal(fetch("/endless", 1, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "more than the 3000000 bytes"));
    assert_true(hone_file_size_bytes(path) <= BODY_BYTES);
}

static void test_an_error_page_never_enters_the_file(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/missing", 3, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "404"));
    assert_int_equal(hone_file_size_bytes(path), 0);
    assert_int_equal(server.requests, 1); /* asking again would not help */
}

static void test_redirects_stay_with_http(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/redirect", 1, &err), HONE_OK);
    assert_same_bytes();
    fresh(NULL);
    assert_int_equal(fetch("/redirect-file", 1, &err), HONE_NETWORK);
    assert_int_equal(hone_file_size_bytes(path), 0);
}

static void test_silence_ends_the_attempt(void **state)
{
    (void)state;
    hone_error err = {0};
    assert_int_equal(fetch("/stall", 1, &err), HONE_NETWORK);
    assert_int_equal(hone_file_size_bytes(path), 100);
}

static void test_only_http_addresses(void **state)
{
    (void)state;
    hone_error err = {0};
    hone_http_download d = {.url = "file:///etc/passwd", .path = path, .size_bytes = 100, .name = "file"};
    assert_int_equal(hone_http_fetch(&d, NULL, &err), HONE_BAD_INPUT);
    d.url = "http://127.0.0.1:1/x"; /* nothing listens on port 1 */
    d.attempts = 1;
    assert_int_equal(hone_http_fetch(&d, NULL, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "127.0.0.1: "));
}

/* A limit on file sizes stands in for a full disk: both fail the write in the middle. */
static void test_a_failing_write_is_told_with_the_path(void **state)
{
    (void)state;
    hone_error err = {0};
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){1000000, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    hone_status status = fetch("/file", 3, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, HONE_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fetch("/file", 1, &err), HONE_OK); /* with room again it goes on */
    assert_int_equal(server.last_start, 1000000);
    assert_same_bytes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_file_arrives_whole, fresh),
        cmocka_unit_test_setup(test_a_cut_transfer_is_continued_to_the_same_bytes, fresh),
        cmocka_unit_test_setup(test_one_call_goes_on_while_the_transfer_moves, fresh),
        cmocka_unit_test_setup(test_a_server_without_ranges_starts_over, fresh),
        cmocka_unit_test_setup(test_a_wrong_range_is_not_appended, fresh),
        cmocka_unit_test_setup(test_an_oversized_leftover_is_dropped, fresh),
        cmocka_unit_test_setup(test_another_size_is_refused_before_it_is_written, fresh),
        cmocka_unit_test_setup(test_an_error_page_never_enters_the_file, fresh),
        cmocka_unit_test_setup(test_redirects_stay_with_http, fresh),
        cmocka_unit_test_setup(test_silence_ends_the_attempt, fresh),
        cmocka_unit_test_setup(test_only_http_addresses, fresh),
        cmocka_unit_test_setup(test_a_failing_write_is_told_with_the_path, fresh),
    };
    /* A proxy set for this machine is not meant for the loopback. */
    setenv("no_proxy", "127.0.0.1", 1);
    return cmocka_run_group_tests(tests, start, stop);
}
