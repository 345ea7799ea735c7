/* test_template.c - claims about chat templates.
 *
 * Expected texts come from the reference renderer: shared/templates/goldens.jsonl (transformers 5.23's Jinja
 * environment, real models' templates) and tests/data/template_cases.jsonl (jinja2 3.1.6 set up the same way; its first
 * line says how). Where the reference raised, hone must raise; the wording is hone's own. */
#include "text/template.h"

#include "base/file.h"
#include "base/thread_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const hone_template_options golden_options = {"<s>", "</s>", "<unk>", "<pad>", "2024-07-26T12:00:00"};

/* Renders source with a context; returns the malloc'd text, or NULL when it raised (err says why). */
static char *render(const char *source, size_t length, const json_t *context, const hone_template_options *options,
                    hone_error *err)
{
    hone_template *t;
    hone_buffer out = {0};
    err->message[0] = 0;
    if (hone_template_create(source, length, &t, err) != HONE_OK)
        return NULL;
    hone_status status = hone_template_render(t, context, options, &out, err);
    hone_template_free(t);
    if (status != HONE_OK) {
        assert_int_equal(out.length, 0);
        assert_int_equal(err->code, status);
        hone_buffer_clear(&out);
        return NULL;
    }
    return hone_buffer_take(&out);
}

static char *render_text(const char *source, hone_error *err)
{
    json_t *context = json_pack("{s:[{s:s,s:s}]}", "messages", "role", "user", "content", "hi");
    char *text = render(source, strlen(source), context, NULL, err);
    json_decref(context);
    return text;
}

static void assert_raises(const char *source, hone_status code, const char *part_of_message)
{
    hone_error err;
    char *text = render_text(source, &err);
    if (text || err.code != code || !strstr(err.message, part_of_message))
        print_error("%.80s: got \"%.80s\", code %d, \"%s\"\n", source, text ? text : "(raised)", (int)err.code,
                    err.message);
    assert_null(text);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, part_of_message));
    free(text);
}

/* ------------------------------------------------------------------ goldens of real models' templates */

typedef struct tally {
    char name[128];
    int n, passed;
} tally;

static void check_golden(const json_t *golden, const json_t *contexts, tally *t)
{
    const char *name = json_string_value(json_object_get(golden, "template"));
    const char *context = json_string_value(json_object_get(golden, "context"));
    const char *expected = json_string_value(json_object_get(golden, "text"));
    char path[512];
    hone_buffer source = {0};
    hone_error err;
    snprintf(path, sizeof path, HONE_SHARED_DIR "/templates/%s", name);
    assert_int_equal(hone_file_read(path, 0, &source, &err), HONE_OK);
    char *text = render(source.data, source.length, json_object_get(contexts, context), &golden_options, &err);
    t->n++;
    if (expected ? text && strcmp(text, expected) == 0 : !text)
        t->passed++;
    else
        print_error("%s with %s:\n--- expected\n%s\n--- got\n%s\n", name, context, expected ? expected : "(an error)",
                    text ? text : err.message);
    free(text);
    hone_buffer_clear(&source);
}

static void test_real_templates_render_as_the_reference_does(void **state)
{
    (void)state;
    json_error_t cause;
    json_t *contexts = json_load_file(HONE_SHARED_DIR "/templates/contexts.json", 0, &cause);
    FILE *f = fopen(HONE_SHARED_DIR "/templates/goldens.jsonl", "r");
    if (!contexts || !f) {
        print_message("no " HONE_SHARED_DIR "/templates here: the goldens are skipped\n");
        if (f)
            fclose(f);
        json_decref(contexts);
        skip();
    }
    tally t = {0};
    int n = 0, passed = 0, n_templates = 0;
    char *line = NULL;
    size_t capacity = 0;
    for (bool more = true; more;) {
        more = getline(&line, &capacity, f) > 0;
        json_t *golden = more ? json_loads(line, 0, &cause) : NULL;
        const char *name = golden ? json_string_value(json_object_get(golden, "template")) : "";
        if (strcmp(name, t.name) != 0) {
            if (t.n)
                print_message("  %-55s %d of %d\n", t.name, t.passed, t.n);
            n_templates += t.n > 0;
            n += t.n;
            passed += t.passed;
            t = (tally){0};
            snprintf(t.name, sizeof t.name, "%s", name);
        }
        if (golden)
            check_golden(golden, contexts, &t);
        json_decref(golden);
    }
    print_message("%d templates, %d of %d goldens\n", n_templates, passed, n);
    free(line);
    fclose(f);
    json_decref(contexts);
    assert_true(n > 0);
    assert_int_equal(passed, n);
}

/* ------------------------------------------------------------------ expressions and statements, one by one */

static void test_expressions_and_statements_mean_what_jinja2_means(void **state)
{
    (void)state;
    FILE *f = fopen(HONE_SOURCE_DIR "/tests/data/template_cases.jsonl", "r");
    assert_non_null(f);
    char *line = NULL;
    size_t capacity = 0;
    json_t *context = NULL;
    int n = 0, failed = 0;
    while (getline(&line, &capacity, f) > 0) {
        json_error_t cause;
        json_t *row = json_loads(line, JSON_ALLOW_NUL, &cause);
        assert_non_null(row);
        if (!context) {
            context = json_incref(json_object_get(row, "context"));
            json_decref(row);
            continue;
        }
        const char *source = json_string_value(json_object_get(row, "template"));
        const char *expected = json_string_value(json_object_get(row, "text"));
        hone_error err;
        char *text = render(source, strlen(source), context, &golden_options, &err);
        bool good = expected ? text && strcmp(text, expected) == 0 : !text;
        if (!good) {
            print_error("%s\n  expected %s\n  got      %s\n", source, expected ? expected : "an error",
                        text ? text : err.message);
            failed++;
        }
        n++;
        free(text);
        json_decref(row);
    }
    free(line);
    fclose(f);
    json_decref(context);
    print_message("%d cases\n", n);
    assert_true(n > 500);
    assert_int_equal(failed, 0);
}

/* ------------------------------------------------------------------ messages */

static void test_errors_name_the_line_and_the_cause(void **state)
{
    (void)state;
    assert_raises("a\nb\n{% if x %}", HONE_BAD_FORMAT, "line 3 of the template: the template ends before 'endif'");
    assert_raises("a\n{{ 1 + }}", HONE_BAD_FORMAT, "line 2");
    assert_raises("{% fro x in y %}", HONE_UNSUPPORTED, "unknown statement 'fro' (did you mean for?)");
    assert_raises("{{ x|frobnicate }}", HONE_UNSUPPORTED, "no filter named 'frobnicate'");
    assert_raises("{% include 'x' %}", HONE_UNSUPPORTED, "include");
    assert_raises("\n\n{{ raise_exception('no system role') }}", HONE_BAD_INPUT,
                  "line 3 of the template: no system role");
    assert_raises("{{ nothing.at.all }}", HONE_BAD_INPUT, "'nothing' is undefined");
    assert_raises("{{ messages[0].nothing.at_all }}", HONE_BAD_INPUT, "dict object has no attribute 'nothing'");
    assert_raises("{{ messages.append(1) }}", HONE_BAD_INPUT, "unsafe");
    assert_raises("a\xFF", HONE_BAD_FORMAT, "UTF-8 at byte 1");
}

/* ------------------------------------------------------------------ hostile templates */

/* `n` times `part`, between `before` and `after`. */
static char *repeated(const char *before, const char *part, size_t n, const char *after)
{
    hone_buffer b = {0};
    hone_buffer_puts(&b, before);
    for (size_t i = 0; i < n; i++)
        hone_buffer_puts(&b, part);
    hone_buffer_puts(&b, after);
    return hone_buffer_take(&b);
}

static void test_deep_nesting_is_an_error_not_a_crash(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part, *after;
    } shapes[] = {{"{{ ", "(", ""},
                  {"{{ ", "[", " }}"},
                  {"{{ ", "{1:", " }}"},
                  {"{{ ", "-", "1 }}"},
                  {"{{ ", "not ", "1 }}"},
                  {"{{ 1", "+1", " }}"},
                  {"{{ 1", "**1", " }}"},
                  {"{{ x", ".x", " }}"},
                  {"{{ x", "[0", " }}"},
                  {"{{ x", "(x", " }}"},
                  {"{{ x", "|list", " }}"},
                  {"{{ 1", " or 1", " }}"},
                  {"", "{% if 1 %}", ""},
                  {"", "{% for i in x %}", ""},
                  {"", "{% macro m() %}", ""},
                  {"{% set ", "(", "a = 1 %}"},
                  {"{{ 1 if 1 else ", "1 if 1 else ", "1 }}"},
                  {"{{ x", " is x", " }}"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        hone_error err = {0};
        char *source = repeated(shapes[i].before, shapes[i].part, 100000, shapes[i].after);
        char *text = render_text(source, &err);
        assert_null(text);
        assert_true(err.message[0]);
        free(source);
    }
}

static void test_many_branches_in_a_row_are_not_deep(void **state)
{
    (void)state;
    hone_error err;
    char *source = repeated("{% if 0 %}", "{% elif 0 %}x", 20000, "{% else %}y{% endif %}");
    char *text = render_text(source, &err);
    assert_string_equal(text, "y");
    free(text);
    free(source);
    source = repeated("{{ ''", " ~ 'a'", 20000, "}}");
    text = render_text(source, &err);
    assert_int_equal(strlen(text), 20000);
    free(text);
    free(source);
}

static void test_runaway_templates_stop_at_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested more than"},
        {"{{ 'x' * 1000000000000 }}", "repeating"},
        {"{{ [1] * 100000000 }}", "repeating"},
        {"{{ range(1000000000) }}", "range too big"},
        {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"},
        {"{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "MiB"},
        {"{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "MiB"},
        {"{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "MiB"},
        {"{% set ns = namespace(s=[]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
         "nested more than"},
        {"{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
         "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
         "steps"},
        {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "nested more than"},
        {"{{ '%1000000000d' % 1 }}", "width"},
        {"{{ '{:1000000000}'.format(1) }}", "width"},
        {"{{ 'a'.center(1000000000) }}", "width"},
        {"{{ 'a'|indent(100000000, true) }}", "MiB"},
        {"{{ 9223372036854775807 * 2 }}", "64 bits"},
        {"{{ (-9223372036854775807 - 1) // -1 }}", "64 bits"},
        {"{{ 10 ** 100 }}", "64 bits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        assert_raises(cases[i].source, HONE_BAD_INPUT, cases[i].message);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
        if (seconds > 1)
            print_message("  %.2f s: %.70s\n", seconds, cases[i].source);
        assert_true(seconds < 60);
    }
}

static void test_a_deep_context_is_refused(void **state)
{
    (void)state;
    json_t *inner = json_array();
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, inner);
        inner = outer;
    }
    json_t *context = json_pack("{s:o}", "messages", inner);
    hone_error err;
    char *text = render("{{ messages }}", 14, context, NULL, &err);
    assert_null(text);
    assert_non_null(strstr(err.message, "nested more than 200"));
    json_decref(context);
}

/* Every prefix of a template, and the template with each byte changed, renders or raises; sanitizers watch. */
static void test_damaged_templates_never_crash(void **state)
{
    (void)state;
    static const char source[] =
        "{%- macro m(a, b=[1, {'k': 'v'}]) -%}{{ a ~ b[0:2:-1]|tojson(indent=2) }}{{ caller() }}{%- endmacro -%}"
        "{# c #}{% raw %}{{{% endraw %}{% set ns = namespace(x='\\u00e9\\n') %}{% for k, v in {'a': 1.5e3}.items() if "
        "k "
        "is not none recursive %}{% set ns.x = ns.x.split(',')|join(\"-\") %}{% call m(loop.index) %}{{ '%5.2f|{:>4}' "
        "% "
        "v }}{% endcall %}{% if not loop.last and 1 < 2 <= 3 %}{% break %}{% else %}{{ messages[0]['content'][::-1] if "
        "messages else none }}{% endif %}{% endfor %}{% generation %}x{% endgeneration %}";
    static const char bytes[] = "{}%#-+\"'\\([|~*0a\n\xC3";
    hone_error err;
    for (size_t n = 0; n < sizeof source; n++) {
        char *copy = strndup(source, n);
        free(render_text(copy, &err));
        free(copy);
    }
    for (size_t at = 0; at + 1 < sizeof source; at++) {
        char *copy = strdup(source);
        for (const char *byte = bytes; *byte; byte++) {
            copy[at] = *byte;
            free(render_text(copy, &err));
        }
        free(copy);
    }
}

/* ------------------------------------------------------------------ what training and serving rely on */

static void test_spans_cover_what_the_assistant_says(void **state)
{
    (void)state;
    const char *source = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}"
                         "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}"
                         "{% endif %}{% endfor %}";
    json_t *context = json_pack("{s:[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]}", "messages", "role", "user", "content",
                                "\xC3\xBC", "role", "assistant", "content", "one", "role", "user", "content", "b",
                                "role", "assistant", "content", "two");
    hone_template *t;
    hone_error err;
    hone_buffer out = {0};
    hone_template_spans spans = {0};
    hone_buffer_puts(&out, "before:");
    assert_int_equal(hone_template_create(source, strlen(source), &t, &err), HONE_OK);
    assert_true(hone_template_marks_generation(t));
    assert_int_equal(hone_template_render_spans(t, context, &golden_options, &out, &spans, &err), HONE_OK);
    assert_string_equal(out.data, "before:<s><user>\xC3\xBC<assistant>one</s><user>b<assistant>two</s>");
    assert_int_equal(spans.n, 2);
    const char *text = out.data + strlen("before:");
    assert_int_equal(spans.items[0].end - spans.items[0].begin, 7);
    assert_memory_equal(text + spans.items[0].begin, "one</s>", 7);
    assert_memory_equal(text + spans.items[1].begin, "two</s>", 7);
    assert_int_equal(spans.items[1].end, strlen(text));
    hone_template_spans_clear(&spans);
    hone_buffer_clear(&out);
    hone_template_free(t);
    json_decref(context);
}

typedef struct shared_work {
    const hone_template *t;
    const json_t *context;
    const char *expected;
    atomic_int wrong;
} shared_work;

static void render_once(void *context, int64_t piece, int thread)
{
    (void)piece, (void)thread;
    shared_work *work = context;
    hone_buffer out = {0};
    hone_error err;
    if (hone_template_render(work->t, work->context, NULL, &out, &err) != HONE_OK ||
        strcmp(out.data, work->expected) != 0)
        atomic_fetch_add(&work->wrong, 1);
    hone_buffer_clear(&out);
}

static void test_one_template_renders_in_several_threads(void **state)
{
    (void)state;
    const char *source = "{% macro m(x) %}{{ x|upper ~ '!' }}{% endmacro %}{% for c in 'abc' %}{{ m(c) }}{% endfor %}";
    hone_template *t;
    hone_thread_pool *pool;
    json_t *context = json_object();
    assert_int_equal(hone_template_create(source, strlen(source), &t, NULL), HONE_OK);
    assert_int_equal(hone_thread_pool_create(4, &pool, NULL), HONE_OK);
    shared_work work = {.t = t, .context = context, .expected = "A!B!C!"};
    hone_thread_pool_run(pool, 400, render_once, &work);
    assert_int_equal(atomic_load(&work.wrong), 0);
    hone_thread_pool_free(pool);
    hone_template_free(t);
    json_decref(context);
}

static void test_objects_keep_the_order_they_were_written_in(void **state)
{
    (void)state;
    hone_error err;
    json_t *context = json_loads("{\"z\":1,\"a\":{\"y\":1,\"b\":2,\"x\":[{\"q\":1,\"c\":2}]},\"m\":3}", 0, NULL);
    json_t *outer = json_pack("{s:o}", "o", context);
    char *text = render("{{ o|tojson }}", 14, outer, NULL, &err);
    assert_string_equal(text, "{\"z\": 1, \"a\": {\"y\": 1, \"b\": 2, \"x\": [{\"q\": 1, \"c\": 2}]}, \"m\": 3}");
    free(text);
    json_decref(outer);
}

/* DESIGN, rule 2: role and instruction, blank line, Input:, Output:; an answer ends at a blank line. */
static void test_plain_template_of_base_models(void **state)
{
    (void)state;
    hone_error err;
    const char *source = hone_template_plain();
    json_t *context =
        json_pack("{s:[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]}", "messages", "role", "system", "content",
                  "You are a clerk.\nName the intent.", "role", "user", "content", "Where is my card?\n", "role",
                  "assistant", "content", "card_arrival", "role", "user", "content", "Hi");
    char *text = render(source, strlen(source), context, NULL, &err);
    assert_string_equal(text, "You are a clerk.\nName the intent.\n\nInput: Where is my card?\nOutput: card_arrival\n\n"
                              "Input: Hi\nOutput:");
    free(text);
    json_decref(context);

    context = json_pack("{s:[{s:s,s:[{s:s,s:s},{s:s,s:s}]}]}", "messages", "role", "user", "content", "type", "text",
                        "text", "a ", "type", "text", "text", "b");
    text = render(source, strlen(source), context, NULL, &err);
    assert_string_equal(text, "Input: ab\nOutput:");
    free(text);
    json_decref(context);

    context = json_pack("{s:[{s:s,s:s}]}", "messages", "role", "tool", "content", "3");
    assert_null(render(source, strlen(source), context, NULL, &err));
    assert_non_null(strstr(err.message, "no place for the role tool"));
    json_decref(context);
}

static void test_plain_template_marks_answers(void **state)
{
    (void)state;
    hone_template *t;
    hone_buffer out = {0};
    hone_template_spans spans = {0};
    json_t *context = json_pack("{s:[{s:s,s:s},{s:s,s:s}]}", "messages", "role", "user", "content", "q", "role",
                                "assistant", "content", "answer");
    assert_int_equal(hone_template_create(hone_template_plain(), strlen(hone_template_plain()), &t, NULL), HONE_OK);
    assert_int_equal(hone_template_render_spans(t, context, NULL, &out, &spans, NULL), HONE_OK);
    assert_int_equal(spans.n, 1);
    assert_string_equal(out.data + spans.items[0].begin, " answer\n\n");
    hone_template_spans_clear(&spans);
    hone_buffer_clear(&out);
    hone_template_free(t);
    json_decref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_templates_render_as_the_reference_does),
        cmocka_unit_test(test_expressions_and_statements_mean_what_jinja2_means),
        cmocka_unit_test(test_errors_name_the_line_and_the_cause),
        cmocka_unit_test(test_deep_nesting_is_an_error_not_a_crash),
        cmocka_unit_test(test_many_branches_in_a_row_are_not_deep),
        cmocka_unit_test(test_runaway_templates_stop_at_a_limit),
        cmocka_unit_test(test_a_deep_context_is_refused),
        cmocka_unit_test(test_damaged_templates_never_crash),
        cmocka_unit_test(test_spans_cover_what_the_assistant_says),
        cmocka_unit_test(test_one_template_renders_in_several_threads),
        cmocka_unit_test(test_objects_keep_the_order_they_were_written_in),
        cmocka_unit_test(test_plain_template_of_base_models),
        cmocka_unit_test(test_plain_template_marks_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
