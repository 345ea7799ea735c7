/* test_formats.c - claims about reading JSONL, CSV and YAML: what is accepted, and that each fault is named with its
 * line. Expected values follow RFC 8259 (JSON), RFC 4180 (CSV) and YAML 1.1, by hand. */
#include "base/arena.h"
#include "base/buffer.h"
#include "format/csv.h"
#include "format/jsonl.h"
#include "format/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "unit/temporary.h"

/* ---- JSONL ---- */

/* Reads all rows of a text; on success *n is their number and *last_line the last one's line. */
static hone_status read_jsonl(const void *data, size_t size, int *n, int64_t *last_line, hone_error *err)
{
    hone_jsonl *file;
    hone_status status = hone_jsonl_open(temporary_bytes("rows.jsonl", data, size), &file, err);
    *n = 0;
    while (status == HONE_OK) {
        json_t *row;
        int64_t line;
        status = hone_jsonl_next(file, &row, &line, err);
        if (status != HONE_OK || !row)
            break;
        ++*n;
        *last_line = line;
        json_decref(row);
    }
    hone_jsonl_close(file);
    return status;
}

static void test_jsonl_accepts_bom_crlf_blank_lines_and_no_last_newline(void **state)
{
    (void)state;
    static const char text[] =
        "\xEF\xBB\xBF{\"a\": 1}\r\n\r\n   \n{\"a\": \"gr\xC3\xBC\xC3\x9F\"}\n\n{\"a\": {\"b\": []}}";
    hone_error err = {0};
    int n;
    int64_t line;
    assert_int_equal(read_jsonl(text, sizeof text - 1, &n, &line, &err), HONE_OK);
    assert_int_equal(n, 3);
    assert_int_equal(line, 6);
}

static void test_an_empty_jsonl_file_has_no_rows(void **state)
{
    (void)state;
    hone_error err;
    int n;
    int64_t line;
    assert_int_equal(read_jsonl("", 0, &n, &line, &err), HONE_OK);
    assert_int_equal(n, 0);
}

static void test_jsonl_names_line_and_cause_of_every_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *place, *cause;
    } cases[] = {
#define CASE(text, place, cause) {text, sizeof text - 1, place, cause}
        CASE("{\"a\": 1}\n{\"a\": }\n", ":2: column 7", "bad JSON"),
        CASE("{\"a\": 1}\n\n{\"a\": 1\n", ":3:", "bad JSON"),
        CASE("{\"a\": 1} {\"b\": 2}\n", ":1: column 10", "bad JSON"),
        CASE("{\"a\": 1, \"a\": 2}\n", ":1:", "duplicate"),
        CASE("{\"a\": 1}\n{\"a\": \"\xC3(\"}\n", ":2: byte 8 (0xC3)", "not valid UTF-8"),
        CASE("{\"a\": \"\xED\xA0\x80\"}\n", ":1: byte 8", "not valid UTF-8"),
        CASE("{\"a\": \"x\0y\"}\n", ":1: byte 9", "NUL"),
        CASE("{\"a\": \"\\u0000\"}\n", ":1:", "bad JSON"),
        CASE("{\"a\": \"\\ud800\"}\n", ":1:", "bad JSON"),
        CASE("[1, 2]\n", ":1:", "array where an object is needed"),
        CASE("{\n  \"a\": 1\n}\n", ":1:", "each line is one whole JSON object"),
        CASE("\xFF\xFE{\0", ":1:", "UTF-16"),
        CASE("just words\n", ":1:", "bad JSON"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_error err = {0};
        int n;
        int64_t line;
        assert_int_equal(read_jsonl(cases[i].text, cases[i].size, &n, &line, &err), HONE_BAD_FORMAT);
        assert_says(err, "rows.jsonl:");
        assert_says(err, cases[i].place);
        assert_says(err, cases[i].cause);
    }
}

static void test_jsonl_refuses_what_is_nested_too_deep(void **state)
{
    (void)state;
    char text[4096];
    hone_error err;
    int n;
    int64_t line;
    for (int depth = HONE_JSONL_MAX_DEPTH; depth <= HONE_JSONL_MAX_DEPTH + 1; depth++) {
        size_t at = (size_t)snprintf(text, sizeof text, "{\"a\": ");
        for (int i = 1; i < depth; i++)
            text[at++] = '[';
        for (int i = 1; i < depth; i++)
            text[at++] = ']';
        text[at++] = '}';
        hone_status status = read_jsonl(text, at, &n, &line, &err);
        assert_int_equal(status, depth <= HONE_JSONL_MAX_DEPTH ? HONE_OK : HONE_BAD_INPUT);
    }
    assert_says(err, "nested deeper than 64 levels");
    /* Brackets inside a string are text. */
    size_t at = (size_t)snprintf(text, sizeof text, "{\"a\": \"\\\"");
    memset(text + at, '[', 200);
    memcpy(text + at + 200, "\"}", 2);
    assert_int_equal(read_jsonl(text, at + 202, &n, &line, &err), HONE_OK);
}

static void test_jsonl_refuses_a_line_over_the_limit(void **state)
{
    (void)state;
    size_t size = HONE_JSONL_MAX_LINE_BYTES + 10;
    char *text = malloc(size);
    hone_error err;
    int n;
    int64_t line;
    assert_non_null(text);
    memset(text, 'x', size);
    assert_int_equal(read_jsonl(text, size, &n, &line, &err), HONE_BAD_INPUT);
    assert_says(err, "rows.jsonl:1: the line is longer than 16 MiB");
    free(text);
}

static void test_a_missing_file_is_not_found(void **state)
{
    (void)state;
    hone_error err;
    hone_jsonl *file;
    assert_int_equal(hone_jsonl_open(temporary_path("none.jsonl"), &file, &err), HONE_NOT_FOUND);
    assert_null(file);
    assert_says(err, "none.jsonl");
}

/* ---- CSV ---- */

static hone_status read_csv(hone_arena *arena, const void *data, size_t size, hone_csv *csv, hone_error *err)
{
    return hone_csv_read(temporary_bytes("rows.csv", data, size), arena, csv, err);
}

static void test_csv_follows_rfc_4180(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF"
                               "text,label\r\nplain,a\r\n\"with, comma\",b\r\n\"two\nlines\",c\r\n"
                               "\"a \"\"quoted\"\" word\",\"d\"\r\n\r\n,e\r\nlast,\"\"";
    static const char *const expected[][2] = {
        {"plain", "a"}, {"with, comma", "b"}, {"two\nlines", "c"}, {"a \"quoted\" word", "d"}, {"", "e"}, {"last", ""}};
    static const int64_t lines[] = {2, 3, 4, 6, 8, 9};
    hone_arena *arena = hone_arena_create();
    hone_csv csv;
    hone_error err = {0};
    assert_int_equal(read_csv(arena, text, sizeof text - 1, &csv, &err), HONE_OK);
    assert_int_equal(csv.n_columns, 2);
    assert_string_equal(csv.header[0], "text");
    assert_string_equal(csv.header[1], "label");
    assert_int_equal(csv.n_rows, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(csv.rows[i].fields[0], expected[i][0]);
        assert_string_equal(csv.rows[i].fields[1], expected[i][1]);
        assert_int_equal(csv.rows[i].line, lines[i]);
    }
    hone_arena_free(arena);
}

static void test_csv_names_line_and_cause_of_every_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *message;
    } cases[] = {
#define CASE(text, message) {text, sizeof text - 1, message}
        CASE("a,b\n1,2\n1,2,3\n", "rows.csv:3: 3 fields where the header names 2 columns"),
        CASE("a,b\n\"x\ny\",2\n1\n", "rows.csv:4: 1 field where the header names 2 columns"),
        CASE("a,b\n1,\"open\n2,3\n", "rows.csv:2: a quote is opened here and never closed"),
        CASE("a,b\n\"x\"y,2\n", "rows.csv:2: text after a closing quote"),
        CASE("a,b\n5\" disk,2\n", "rows.csv:2: a quote inside an unquoted field"),
        CASE("a,a\n1,2\n", "rows.csv:1: two columns are named \"a\""),
        CASE("a,\n1,2\n", "rows.csv:1: column 2 has no name"),
        CASE("a;b\n1;2\n", "rows.csv:1: the columns seem to be separated by \";\""),
        CASE("a\tb\n1\t2\n", "rows.csv:1: the columns seem to be separated by tabs"),
        CASE("", "the file is empty"),
        CASE("a,b\n1,2\n1,\xFF\n", "rows.csv:3: byte 0xFF is not valid UTF-8"),
        CASE("a,b\n1,\0\n", "rows.csv:2: a NUL byte"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_arena *arena = hone_arena_create();
        hone_csv csv;
        hone_error err = {0};
        assert_int_equal(read_csv(arena, cases[i].text, cases[i].size, &csv, &err), HONE_BAD_FORMAT);
        assert_says(err, cases[i].message);
        hone_arena_free(arena);
    }
}

/* ---- YAML ---- */

static void test_yaml_block_and_flow_give_the_same_tree(void **state)
{
    (void)state;
    static const char block[] = "name: x\ndata:\n  train: a.jsonl\n  list:\n    - 1\n    - two\n";
    static const char flow[] = "{name: x, data: {train: a.jsonl, list: [1, two]}}";
    const char *texts[] = {block, flow};
    for (int i = 0; i < 2; i++) {
        hone_arena *arena = hone_arena_create();
        hone_yaml_node *root;
        hone_error err = {0};
        assert_int_equal(hone_yaml_parse("t.yaml", texts[i], strlen(texts[i]), arena, &root, &err), HONE_OK);
        assert_int_equal(root->kind, HONE_YAML_MAP);
        assert_string_equal(hone_yaml_get(root, "name")->text, "x");
        const hone_yaml_node *data = hone_yaml_get(root, "data"), *list = hone_yaml_get(data, "list");
        assert_string_equal(hone_yaml_get(data, "train")->text, "a.jsonl");
        assert_int_equal(list->kind, HONE_YAML_LIST);
        assert_int_equal(list->n, 2);
        assert_string_equal(list->entries[1].value->text, "two");
        assert_null(hone_yaml_get(data, "absent"));
        if (i == 0)
            assert_int_equal(list->entries[1].line, 6);
        hone_arena_free(arena);
    }
}

static void test_yaml_scalars_keep_their_text_and_null_is_told_apart(void **state)
{
    (void)state;
    static const char text[] = "a:\nb: ~\nc: ''\nd: \"null\"\ne: |\n  one\n  two\nf: null\n";
    hone_arena *arena = hone_arena_create();
    hone_yaml_node *root;
    hone_error err = {0};
    assert_int_equal(hone_yaml_parse("t.yaml", text, strlen(text), arena, &root, &err), HONE_OK);
    assert_true(hone_yaml_is_null(hone_yaml_get(root, "a")));
    assert_true(hone_yaml_is_null(hone_yaml_get(root, "b")));
    assert_false(hone_yaml_is_null(hone_yaml_get(root, "c")));
    assert_false(hone_yaml_is_null(hone_yaml_get(root, "d")));
    assert_true(hone_yaml_is_null(hone_yaml_get(root, "f")));
    assert_string_equal(hone_yaml_get(root, "e")->text, "one\ntwo\n");
    hone_arena_free(arena);
}

static void test_yaml_names_line_and_cause_of_every_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3: \"a\" is given again (first in line 1)"},
        {"{a: 1, a: 2}", "t.yaml:1: \"a\" is given again"},
        {"a: &x 1\nb: *x\n", "t.yaml:1: anchors (&) and aliases (*)"},
        {"a: 1\nb: *x\n", "t.yaml:2: anchors (&) and aliases (*)"},
        {"a: &x [1]\n", "t.yaml:1: anchors"},
        {"a: &x {b: 1}\n", "t.yaml:1: anchors"},
        {"a: 1\nb: !!int 2\n", "t.yaml:2: tags (!)"},
        {"a: 1\nb: !x {c: 2}\n", "t.yaml:2: tags (!)"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2: a second document"},
        {"a: 1\n[x]: 2\n", "t.yaml:2: a key must be plain text"},
        {"a: \"x\\0y\"\n", "t.yaml:1: a NUL character"},
        {"a: 1\n\tb: 2\n", "t.yaml:2: column"},
        {"a: b: c\n", "put a text that holds \": \" in quotes"},
        {"a: [1, 2\n", "bad YAML"},
        {"a: 1\nb: \xFF\n", "t.yaml:2: byte 0xFF is not valid UTF-8"},
        {"a: \x01\n", "byte 4"},
        {"", "the file is empty"},
        {"# only a comment\n", "the file is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_arena *arena = hone_arena_create();
        hone_yaml_node *root;
        hone_error err = {0};
        assert_int_equal(hone_yaml_parse("t.yaml", cases[i].text, strlen(cases[i].text), arena, &root, &err),
                         HONE_BAD_FORMAT);
        assert_says(err, cases[i].message);
        hone_arena_free(arena);
    }
}

static void test_yaml_depth_keys_and_size_have_limits(void **state)
{
    (void)state;
    hone_error err = {0};
    hone_yaml_node *root;
    hone_arena *arena = hone_arena_create();
    char deep[2 * HONE_YAML_MAX_DEPTH + 8];
    for (int depth = HONE_YAML_MAX_DEPTH; depth <= HONE_YAML_MAX_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        hone_status status = hone_yaml_parse("t.yaml", deep, 2 * (size_t)depth, arena, &root, &err);
        assert_int_equal(status, depth <= HONE_YAML_MAX_DEPTH ? HONE_OK : HONE_BAD_FORMAT);
    }
    assert_says(err, "nested deeper than 32 levels");
    hone_buffer many = {0};
    for (int i = 0; i <= HONE_YAML_MAX_KEYS; i++)
        hone_buffer_printf(&many, "k%d: 1\n", i);
    assert_int_equal(hone_yaml_parse("t.yaml", many.data, many.length, arena, &root, &err), HONE_BAD_FORMAT);
    assert_says(err, "more than 1024 keys");
    hone_buffer_reset(&many);
    for (int i = 0; i < HONE_YAML_MAX_BYTES / 4 + 2; i++)
        hone_buffer_puts(&many, "# x\n");
    assert_int_equal(hone_yaml_parse("t.yaml", many.data, many.length, arena, &root, &err), HONE_BAD_INPUT);
    assert_says(err, "larger than 1048576 bytes");
    hone_buffer_clear(&many);
    hone_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_accepts_bom_crlf_blank_lines_and_no_last_newline),
        cmocka_unit_test(test_an_empty_jsonl_file_has_no_rows),
        cmocka_unit_test(test_jsonl_names_line_and_cause_of_every_fault),
        cmocka_unit_test(test_jsonl_refuses_what_is_nested_too_deep),
        cmocka_unit_test(test_jsonl_refuses_a_line_over_the_limit),
        cmocka_unit_test(test_a_missing_file_is_not_found),
        cmocka_unit_test(test_csv_follows_rfc_4180),
        cmocka_unit_test(test_csv_names_line_and_cause_of_every_fault),
        cmocka_unit_test(test_yaml_block_and_flow_give_the_same_tree),
        cmocka_unit_test(test_yaml_scalars_keep_their_text_and_null_is_told_apart),
        cmocka_unit_test(test_yaml_names_line_and_cause_of_every_fault),
        cmocka_unit_test(test_yaml_depth_keys_and_size_have_limits),
    };
    return cmocka_run_group_tests(tests, temporary_begin, temporary_end);
}
