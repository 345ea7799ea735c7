/* test_report.c - claims about what a report says and what it must never let through. The comparison is made up
 * (tests/made_comparison.h); expected numbers are those put into it, written by hand here as a reader should see them.
 */
#include "made_comparison.h"

#include "base/file.h"
#include "base/numbers.h"
#include "base/text.h"
#include "report/document.h"
#include "report/html.h"
#include "report/legible.h"
#include "report/markdown.h"
#include "report/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

/* Stands in where the task layer is not linked; the real one wins where it is. */
__attribute__((weak)) const char *hone_output_kind_name(hone_output_kind kind)
{
    return kind == HONE_OUTPUT_LABEL ? "label" : "other";
}

typedef struct fixture {
    hone_arena *arena;
    hone_task task;
    hone_comparison comparison;
    json_t *document;
} fixture;

static int begin(void **state)
{
    static fixture f;
    f = (fixture){.arena = hone_arena_create()};
    made_comparison(f.arena, &f.task, &f.comparison);
    hone_error err;
    assert_int_equal(hone_report_document(&f.comparison, &f.document, &err), HONE_OK);
    *state = &f;
    return 0;
}

static int end(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    hone_arena_free(f->arena);
    return 0;
}

typedef hone_status (*renderer)(const json_t *, hone_buffer *, hone_error *);

static char *render(renderer function, const json_t *document)
{
    hone_buffer b = {0};
    hone_error err = {0};
    if (function(document, &b, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return hone_buffer_take(&b);
}

static char *terminal(const json_t *document, int columns, bool colour)
{
    hone_buffer b = {0};
    hone_error err = {0};
    if (hone_report_terminal(document, (hone_terminal_style){columns, colour}, &b, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return hone_buffer_take(&b);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* Whether the words stand in the text, whatever breaks its lines. */
static bool says(const char *text, const char *words)
{
    hone_buffer flat = {0};
    for (const char *p = text; *p; p++) {
        bool space = *p == ' ' || *p == '\n';
        if (!space || (flat.length && flat.data[flat.length - 1] != ' '))
            hone_buffer_putc(&flat, space ? ' ' : *p);
    }
    bool found = has(flat.data, words);
    hone_buffer_clear(&flat);
    return found;
}

/* DESIGN's tool contract, `hone compare TASK --json`: other programs rely on these keys and types. */
static void test_the_document_keeps_the_tool_contract(void **state)
{
    const fixture *f = *state;
    const char *name, *choose, *confidence;
    const json_t *because, *flips, *approaches, *comparisons;
    double score, lo, hi, tokens_in, tokens_out, p50, p95, cost, train, difference, dlo, dhi, p, adjusted, even;
    json_int_t n, openings;
    json_error_t why;
    json_t *d = f->document;
    assert_int_equal(json_unpack_ex(d, &why, 0, "{s:o, s:o, s:I, s:{s:s, s:o, s:s, s:o, s:F}}", "approaches",
                                    &approaches, "comparisons", &comparisons, "test_openings", &openings, "verdict",
                                    "choose", &choose, "because", &because, "confidence", &confidence, "flips_if",
                                    &flips, "break_even_requests", &even),
                     0);
    assert_int_equal(json_array_size(approaches), 8);
    assert_int_equal(json_array_size(comparisons), 3);
    assert_int_equal(json_unpack_ex(json_array_get(approaches, 7), &why, 0,
                                    "{s:s, s:F, s:[F, F], s:I, s:F, s:F, s:{s:F, s:F}, s:F, s:F}", "name", &name,
                                    "score", &score, "ci", &lo, &hi, "n", &n, "tokens_in", &tokens_in, "tokens_out",
                                    &tokens_out, "latency_ms", "p50", &p50, "p95", &p95, "cost_per_1k", &cost,
                                    "train_seconds", &train),
                     0);
    assert_int_equal(json_unpack_ex(json_array_get(comparisons, 1), &why, 0, "{s:s, s:s, s:F, s:[F, F], s:F, s:F}", "a",
                                    &name, "b", &choose, "difference", &difference, "ci", &dlo, &dhi, "p", &p,
                                    "p_adjusted", &adjusted),
                     0);
    assert_string_equal(name, "tuned + prompt");
    assert_string_equal(choose, "retrieved few-shot (10)");
    assert_true(score == 0.84 && n == 300 && p50 == 118 && train == 640 && openings == 2 && even == 182345);
    assert_true(lo < score && score < hi && dlo == 0.144 && dhi == 0.292 && adjusted == 3e-9 && json_is_array(because));
    assert_true(json_is_array(flips) && strcmp(confidence, "moderate") == 0);
    /* 2^64 - 1 does not fit JSON's integers here: it must not come out as -1. */
    assert_string_equal(json_string_value(json_object_get(d, "seed")), "18446744073709551615");
}

static void test_what_was_not_measured_is_null_and_not_zero(void **state)
{
    fixture *f = *state;
    json_t *d;
    f->comparison.approaches[3].tested = false;
    f->comparison.approaches[3].latency_n = 0;
    f->comparison.verdict.break_even_requests = NAN;
    assert_int_equal(hone_report_document(&f->comparison, &d, NULL), HONE_OK);
    const json_t *a = json_array_get(json_object_get(d, "approaches"), 3);
    assert_true(json_is_null(json_object_get(a, "score")));
    assert_true(json_is_null(json_object_get(a, "ci")));
    assert_true(json_is_null(json_object_get(json_object_get(a, "latency_ms"), "p50")));
    assert_true(json_is_null(json_object_get(json_object_get(d, "verdict"), "break_even_requests")));
    const json_t *answers = json_object_get(json_array_get(json_object_get(d, "items"), 0), "answers");
    assert_int_equal(json_array_size(answers), 8);
    assert_true(json_is_null(json_array_get(answers, 3)));
    assert_true(json_is_object(json_array_get(answers, 4)));
    free(render(hone_report_html, d));
    free(terminal(d, 100, true));
    json_decref(d);
}

static void test_json_text_reads_back_and_is_valid_utf8(void **state)
{
    const fixture *f = *state;
    char *text = render(hone_report_json, f->document);
    json_t *back = json_loads(text, 0, NULL);
    assert_non_null(back);
    assert_true(hone_utf8_valid(text, strlen(text), NULL));
    const json_t *item = json_array_get(json_object_get(back, "items"), 4);
    assert_string_equal(json_string_value(json_object_get(item, "input")),
                        "broken utf-8 \xEF\xBF\xBD( \xEF\xBF\xBD\xEF\xBF\xBD here");
    json_decref(back);
    free(text);
}

static void assert_lines_fit(const char *text, size_t columns)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        char *copy = strndup(line, length);
        /* A command stays whole, to be copied; a longer one stands on a line of its own. */
        bool command = length > 10 && strncmp(line + 10, "hone ", 5) == 0;
        if (hone_legible_width(copy) > columns && !command)
            fail_msg("%zu columns, %zu allowed: %s", hone_legible_width(copy), columns, copy);
        free(copy);
        line += length + (line[length] == '\n');
    }
}

static void test_terminal_lines_fit_at_any_width(void **state)
{
    const fixture *f = *state;
    for (int columns = 60; columns <= 100; columns++) {
        char *text = terminal(f->document, columns, false);
        assert_lines_fit(text, (size_t)columns);
        free(text);
    }
    char *wide = terminal(f->document, 500, false), *unknown = terminal(f->document, 0, false);
    assert_lines_fit(wide, 100);
    assert_string_equal(wide, unknown);
    free(wide);
    free(unknown);
}

/* The sentences and figures that must be in every medium, as a reader would look for them. */
static const char *const must_say[] = {
    "1,600 train / 400 select / 300 test rows",
    "12 labels",
    "about 8 points (3 planned comparisons, 80 % power)",
    "opened 2 times",
    "Quick run: 300 of 1,000 test rows",
    "0.840",
    "+22",
    "+14 to +29",
    "< 0.0001",
    "Tune it.",
    "Moderate confidence.",
    "$0.0019 per 1,000 requests (58 prompt tokens, of which 32 can be cached)",
    "Set-up of $133 pays back after 180,000 requests: 4 weeks at your 200,000 a month.",
    "you serve more than 2 million requests a month",
    "hone report --open"};

/* Hours nobody has stated are called assumed, those of the task are not; money for work has a place of its own. */
static void test_assumed_work_is_said_to_be_assumed(void **state)
{
    const fixture *f = *state;
    char *page = terminal(f->document, 100, false), *html = render(hone_report_html, f->document),
         *markdown = render(hone_report_markdown, f->document);
    const char *const pages[] = {page, html, markdown};
    for (size_t i = 0; i < 3; i++) {
        assert_true(
            says(pages[i], "labels $128, computing $0.02, 9 h of work $720; each change of the task $368 (3 h)"));
        assert_true(says(pages[i], "Assumed, not measured: 4 h tuning and looking its answers over, 2 h putting"));
        assert_false(says(pages[i], "3 h writing and trying the prompt,"));
    }
    assert_true(says(html, "3 h writing and trying the prompt; 4 h tuning and looking its answers over (assumed)"));
    /* The band: at half the price of a label 92,345 requests, at twice the price never. */
    assert_true(has(html, "price of a label") && has(html, "<td>92,000</td><td>0.16</td><td>never</td>"));
    /* 2.4 million requests in twelve months at $0.0019 per 1,000 on top of the set-up of $133; no changes are planned.
     */
    assert_true(says(html, "Total: set-up and 2,400,000 requests.") && has(html, "<td>$138</td>"));
    const json_t *task = json_object_get(f->document, "task"), *work = json_object_get(task, "work");
    assert_true(json_number_value(json_object_get(work, "prompt_hours")) == 3);
    assert_true(json_number_value(json_object_get(work, "tuning_hours")) == 4);
    assert_int_equal(json_array_size(json_object_get(work, "assumed")), 4);
    free(page);
    free(html);
    free(markdown);
}

/* A shared machine's price and that of one kept for this alone are both shown; the task says which counts. */
static void test_both_prices_of_own_hardware_are_shown(void **state)
{
    fixture *f = *state;
    char *shared = terminal(f->document, 100, false);
    assert_true(says(shared, "$0.0019 per 1,000 requests"));
    assert_true(says(shared, "On a machine kept for this alone, 1,000 requests would cost $0.37."));
    f->task.use.dedicated = true;
    json_t *d;
    assert_int_equal(hone_report_document(&f->comparison, &d, NULL), HONE_OK);
    char *dedicated = terminal(d, 100, false), *html = render(hone_report_html, d);
    assert_true(says(dedicated, "$0.37 per 1,000 requests"));
    assert_true(says(dedicated, "Priced as a machine kept for this alone."));
    assert_true(has(html, "<td>$0.0019</td><td class=\"main\">$0.37</td>"));
    free(shared);
    free(dedicated);
    free(html);
    json_decref(d);
}

/* The header shows a short name, a command to copy the path that was given; a document without it the name it has. */
static void test_the_next_command_names_the_model_as_it_was_given(void **state)
{
    fixture *f = *state;
    char *by_name = terminal(f->document, 100, false);
    assert_true(says(by_name, "hone run -m smollm2-135m --adapter"));
    f->comparison.model_argument = "/models of mine/smollm2-135m.gguf";
    json_t *d;
    assert_int_equal(hone_report_document(&f->comparison, &d, NULL), HONE_OK);
    char *by_path = terminal(d, 200, false);
    assert_true(says(by_path, "hone run -m '/models of mine/smollm2-135m.gguf' --adapter"));
    free(by_name);
    free(by_path);
    json_decref(d);
}

static void test_a_narrow_terminal_drops_columns_not_meaning(void **state)
{
    const fixture *f = *state;
    char *wide = terminal(f->document, 100, false), *narrow = terminal(f->document, 60, false);
    assert_true(has(wide, "set-up $") && has(wide, "spent"));
    assert_true(!has(narrow, "set-up $") && has(narrow, "95 % interval"));
    for (size_t i = 0; i < sizeof must_say / sizeof *must_say; i++) {
        if (must_say[i][0] == '<') /* p is a column */
            continue;
        if (!says(narrow, must_say[i]) || !says(wide, must_say[i]))
            fail_msg("missing: %s\n%s", must_say[i], narrow);
    }
    free(wide);
    free(narrow);
}

static void test_colour_adds_escapes_and_nothing_else(void **state)
{
    const fixture *f = *state;
    char *plain = terminal(f->document, 100, false), *colour = terminal(f->document, 100, true), *out = colour;
    assert_null(strchr(plain, '\x1b'));
    assert_non_null(strchr(colour, '\x1b'));
    for (const char *p = colour; *p; p++) {
        if (*p == '\x1b')
            p = strchr(p, 'm');
        else
            *out++ = *p;
    }
    *out = 0;
    assert_string_equal(colour, plain);
    free(plain);
    free(colour);
}

static void test_a_name_cannot_drive_the_terminal(void **state)
{
    fixture *f = *state;
    f->comparison.approaches[7].name = "evil \x1b]0;title\x07 \xE2\x80\xAE name";
    json_t *d;
    assert_int_equal(hone_report_document(&f->comparison, &d, NULL), HONE_OK);
    char *text = terminal(d, 100, false), *markdown = render(hone_report_markdown, d);
    assert_null(strpbrk(text, "\x1b\x07"));
    assert_null(strpbrk(markdown, "\x1b\x07"));
    assert_false(has(text, "\xE2\x80\xAE"));
    free(text);
    free(markdown);
    json_decref(d);
}

static void test_markdown_says_the_same(void **state)
{
    const fixture *f = *state;
    char *text = render(hone_report_markdown, f->document);
    for (size_t i = 0; i < sizeof must_say / sizeof *must_say; i++)
        if (!says(text, must_say[i]))
            fail_msg("missing: %s\n%s", must_say[i], text);
    /* Eight approaches, one header, one rule: each with as many bars. */
    size_t rows = 0;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, "| ", 2) == 0 || strncmp(line, "|:", 2) == 0) {
            size_t bars = 0, length = strcspn(line, "\n");
            for (size_t i = 0; i < length; i++)
                bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
            assert_true(bars == 9 || bars == 6);
            rows += bars == 9;
        }
    assert_int_equal(rows, 10);
    free(text);
}

/* Elements open and close in order (void elements aside), every attribute is quoted, nothing follows </html>. */
static void assert_balanced(const char *html)
{
    static const char *const voids[] = {"meta", "br", "wbr", "input", "!DOCTYPE"};
    char stack[64][16];
    size_t depth = 0, n_elements = 0;
    for (const char *p = strchr(html, '<'); p; p = strchr(p, '<')) {
        const char *from = p + 1;
        bool closing = *from == '/';
        from += closing;
        size_t length = strcspn(from, " >/\n");
        char name[16];
        assert_true(length > 0 && length < sizeof name);
        memcpy(name, from, length);
        name[length] = 0;
        const char *q = from + length;
        for (; *q && *q != '>'; q++)
            if (*q == '"') {
                assert_int_equal(q[-1], '=');
                q = strchr(q + 1, '"');
                assert_non_null(q);
                assert_true(strchr(" >/", q[1]) != NULL);
            }
        assert_int_equal(*q, '>');
        bool empty = q[-1] == '/';
        for (size_t i = 0; i < sizeof voids / sizeof *voids; i++)
            empty |= strcmp(name, voids[i]) == 0;
        if (closing) {
            assert_true(depth > 0);
            depth--;
            if (strcmp(stack[depth], name) != 0)
                fail_msg("</%s> closes <%s> near: %.80s", name, stack[depth], p);
        } else if (!empty) {
            assert_true(depth < 64);
            memcpy(stack[depth++], name, sizeof name);
        }
        n_elements++;
        p = q;
        if (!closing && (strcmp(name, "script") == 0 || strcmp(name, "style") == 0))
            p = strstr(q, strcmp(name, "script") == 0 ? "</script>" : "</style>");
        assert_non_null(p);
    }
    assert_int_equal(depth, 0);
    assert_true(n_elements > 5000);
    assert_string_equal(html + strlen(html) - 8, "</html>\n");
}

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = strstr(text, part); p; p = strstr(p + 1, part))
        n++;
    return n;
}

static void test_html_is_well_formed_and_self_contained(void **state)
{
    const fixture *f = *state;
    char *html = render(hone_report_html, f->document);
    assert_balanced(html);
    assert_true(hone_utf8_valid(html, strlen(html), NULL));
    static const char *const outside[] = {"http:", "https:",  "src=",    "url(", "@import",
                                          "<link", "<iframe", "<object", "//cdn"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (has(html, outside[i]))
            fail_msg("refers outside: %s", outside[i]);
    /* Every id is used once, and every in-page link arrives. */
    for (const char *p = strstr(html, " id=\""); p; p = strstr(p + 1, " id=\"")) {
        char id[80];
        snprintf(id, sizeof id, "%.*s\"", (int)strcspn(p + 5, "\"") + 5, p);
        assert_int_equal(occurrences(html, id), 1);
    }
    for (const char *p = strstr(html, "href=\"#"); p; p = strstr(p + 1, "href=\"#")) {
        char id[80];
        snprintf(id, sizeof id, " id=\"%.*s\"", (int)strcspn(p + 7, "\""), p + 7);
        assert_true(has(html, id));
    }
    const char *keep = getenv("HONE_KEEP_REPORT"); /* a file to look at in a browser */
    if (keep)
        assert_int_equal(hone_file_write_atomic(keep, html, strlen(html), NULL), HONE_OK);
    free(html);
}

static void test_hostile_rows_stay_text(void **state)
{
    const fixture *f = *state;
    char *html = render(hone_report_html, f->document);
    assert_int_equal(occurrences(html, "<script"), 1);
    assert_int_equal(occurrences(html, "</script"), 1);
    assert_true(has(html, "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_false(has(html, "\" onmouseover"));
    assert_false(has(html, "\xE2\x80\xAE")); /* the override itself */
    assert_true(has(html, "[U+202E]"));
    assert_null(strpbrk(html, "\x1b\x07\r"));
    assert_false(has(html, "<b>tag</b>"));
    assert_false(has(html, "<!--"));
    assert_false(has(html, "<![CDATA["));
    free(html);
}

/* Whether the policy names the text between two tags by its digest, computed here by OpenSSL from the page itself. */
static bool policy_names(const char *html, const char *open, const char *close)
{
    const char *from = strstr(html, open) + strlen(open);
    unsigned char digest[32], text[48];
    SHA256((const unsigned char *)from, (size_t)(strstr(from, close) - from), digest);
    EVP_EncodeBlock(text, digest, sizeof digest);
    char wanted[80];
    snprintf(wanted, sizeof wanted, "'sha256-%s'", (const char *)text);
    return has(html, wanted);
}

static void test_only_the_reports_own_script_may_run(void **state)
{
    const fixture *f = *state;
    char *html = render(hone_report_html, f->document);
    assert_true(has(html, "default-src 'none'"));
    assert_int_equal(occurrences(html, "'sha256-"), 2);
    assert_false(has(html, "unsafe-inline"));
    assert_int_equal(occurrences(html, " style=\""), 0); /* would be blocked */
    assert_true(policy_names(html, "<script>", "</script>"));
    assert_true(policy_names(html, "<style>", "</style>"));
    free(html);
}

static void test_html_says_the_same_and_shows_right_and_wrong_by_word(void **state)
{
    const fixture *f = *state;
    char *html = render(hone_report_html, f->document);
    for (size_t i = 0; i < sizeof must_say / sizeof *must_say; i++) {
        hone_buffer escaped = {0};
        hone_legible_append_html(&escaped, must_say[i], HONE_LEGIBLE_LINE);
        if (!says(html, escaped.data))
            fail_msg("missing: %s", escaped.data);
        hone_buffer_clear(&escaped);
    }
    size_t right = 0, wrong = 0, unreadable = 0;
    for (size_t a = 0; a < MADE_APPROACHES; a++)
        for (size_t i = 0; i < MADE_ITEMS; i++) {
            const hone_outcome *o = &f->comparison.approaches[a].outcomes[i];
            right += o->score == 1;
            wrong += o->score == 0 && o->answer;
            unreadable += !o->answer;
        }
    assert_int_equal(occurrences(html, ">✓ right<"), right);
    assert_int_equal(occurrences(html, ">✕ wrong<"), wrong);
    assert_int_equal(occurrences(html, ">✕ unreadable<"), unreadable);
    assert_true(unreadable > 0);
    free(html);
}

/* `hone report` reads what a ledger holds; whatever that is, it is an error or a page, never a crash. */
static void test_any_document_is_refused_or_shown(void **state)
{
    (void)state;
    static const char *const refused[] = {"{}", "[]", "null", "3", "{\"approaches\":{}}", "{\"approaches\":[]}"};
    static const char *const shown[] = {
        "{\"approaches\":[],\"verdict\":{}}",
        "{\"approaches\":[1,null,{}],\"verdict\":{\"choose\":3,\"because\":{},\"flips_if\":[1,null]},\"comparisons\":7,"
        "\"items\":4}",
        "{\"approaches\":[{\"name\":\"a\",\"tested\":true,\"score\":\"x\",\"ci\":[1],\"cost_per_1k\":1e308,\"setup_"
        "usd\":1e308}],"
        "\"verdict\":{\"choose\":\"a\",\"break_even_requests\":1e300,\"break_even_against\":\"a\"},\"items\":[{},3,{"
        "\"answers\":[7]}],"
        "\"comparisons\":[{\"a\":\"a\",\"b\":\"zzz\"},{\"a\":\"a\",\"b\":\"a\",\"difference\":-1e300,\"ci\":[-1e300,"
        "1e300]}]}",
        "{\"approaches\":[{\"name\":\"a\",\"tested\":true,\"score\":-5,\"ci\":[9,-9],\"cost_per_1k\":-1,\"setup_usd\":"
        "0}],"
        "\"verdict\":{\"choose\":\"a\",\"break_even_requests\":-3},\"task\":{\"use\":{\"requests_per_month\":1e-300,"
        "\"horizon_months\":1e300}}}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        json_t *d = json_loads(refused[i], JSON_DECODE_ANY, NULL);
        hone_buffer b = {0};
        hone_error err;
        assert_int_equal(hone_report_html(d, &b, &err), HONE_BAD_FORMAT);
        assert_true(has(err.message, "hone compare"));
        hone_buffer_clear(&b);
        json_decref(d);
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        json_t *d = json_loads(shown[i], 0, NULL);
        assert_non_null(d);
        char *html = render(hone_report_html, d), *text = terminal(d, 60, true),
             *markdown = render(hone_report_markdown, d);
        assert_false(has(html, "\"inf") || has(html, "\"-nan") || has(html, "\"nan"));
        free(html);
        free(text);
        free(markdown);
        json_decref(d);
    }
}

static void test_more_items_than_a_page_holds_are_counted(void **state)
{
    const fixture *f = *state;
    json_t *d = json_deep_copy(f->document), *items = json_object_get(d, "items");
    for (int copy = 0; copy < 7; copy++)
        for (size_t i = 0; i < MADE_ITEMS; i++)
            json_array_append(items, json_array_get(items, i));
    char *html = render(hone_report_html, d); /* 2,400 items, 2,000 shown */
    assert_int_equal(occurrences(html, "<tr data-r="), 2000);
    assert_true(has(html, "400 further items are left out here"));
    free(html);
    json_decref(d);
}

static void test_numbers_have_no_more_digits_than_they_carry(void **state)
{
    (void)state;
    assert_string_equal(hone_number_score(0.8244999).text, "0.824");
    assert_string_equal(hone_number_score(NAN).text, "–");
    assert_string_equal(hone_number_points(0.0512).text, "+5.1");
    assert_string_equal(hone_number_points(-0.1931).text, "−19");
    assert_string_equal(hone_number_points(-0.0001).text, "0.0");
    assert_string_equal(hone_number_points_interval(0.0512, 0.024, 0.078).text, "+2.4 to +7.8");
    assert_string_equal(hone_number_points_interval(0.19, 0.161, 0.222).text, "+16 to +22");
    assert_string_equal(hone_number_p(0.0002).text, "p = 0.0002");
    assert_string_equal(hone_number_p(0.00002).text, "p < 0.0001");
    assert_string_equal(hone_number_p(0.04123).text, "p = 0.041");
    assert_string_equal(hone_number_p(0.6149).text, "p = 0.61");
    assert_string_equal(hone_number_usd(0.2134).text, "$0.21");
    assert_string_equal(hone_number_usd(0.00142).text, "$0.0014");
    assert_string_equal(hone_number_usd(0.0999).text, "$0.10");
    assert_string_equal(hone_number_usd(1.234).text, "$1.20");
    assert_string_equal(hone_number_usd(45.6).text, "$46");
    assert_string_equal(hone_number_usd(131.4).text, "$131");
    assert_string_equal(hone_number_usd(13149).text, "$13,100");
    assert_string_equal(hone_number_usd(0).text, "$0");
    assert_string_equal(hone_number_about(182345).text, "180,000");
    assert_string_equal(hone_number_percent(0.996).text, "99.6 %");
    assert_string_equal(hone_number_percent(1).text, "100 %");
    assert_string_equal(hone_number_percent(0.99993).text, "> 99.9 %"); /* not all */
    assert_string_equal(hone_number_percent(0.0002).text, "< 0.1 %");   /* not none */
    assert_string_equal(hone_number_p(0.0496).text, "p = 0.0496");      /* below 0.05 reads as below */
    assert_string_equal(hone_number_hours(2.5).text, "2.5 h");
    assert_string_equal(hone_number_months(182345.0 / 200000).text, "4 weeks");
    assert_string_equal(hone_number_months(7).text, "7 months");
    assert_string_equal(hone_number_months(0.1).text, "3 days");
}

static void test_wrapping_loses_no_word(void **state)
{
    (void)state;
    hone_buffer b = {0};
    hone_legible_wrap(&b, "one two  three aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd four \xE6\xBC\xA2\xE5\xAD\x97", 4, 4,
                      24);
    assert_string_equal(
        b.data, "one two three\n    aaaaaaaaaabbbbbbbbbb\n    ccccccccccdddddddddd\n    four \xE6\xBC\xA2\xE5\xAD\x97");
    hone_buffer_clear(&b);
}

int main(void)
{
#define WITH_DOCUMENT(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH_DOCUMENT(test_the_document_keeps_the_tool_contract),
        WITH_DOCUMENT(test_what_was_not_measured_is_null_and_not_zero),
        WITH_DOCUMENT(test_json_text_reads_back_and_is_valid_utf8),
        WITH_DOCUMENT(test_terminal_lines_fit_at_any_width),
        WITH_DOCUMENT(test_assumed_work_is_said_to_be_assumed),
        WITH_DOCUMENT(test_both_prices_of_own_hardware_are_shown),
        WITH_DOCUMENT(test_the_next_command_names_the_model_as_it_was_given),
        WITH_DOCUMENT(test_a_narrow_terminal_drops_columns_not_meaning),
        WITH_DOCUMENT(test_colour_adds_escapes_and_nothing_else),
        WITH_DOCUMENT(test_a_name_cannot_drive_the_terminal),
        WITH_DOCUMENT(test_markdown_says_the_same),
        WITH_DOCUMENT(test_html_is_well_formed_and_self_contained),
        WITH_DOCUMENT(test_hostile_rows_stay_text),
        WITH_DOCUMENT(test_only_the_reports_own_script_may_run),
        WITH_DOCUMENT(test_html_says_the_same_and_shows_right_and_wrong_by_word),
        WITH_DOCUMENT(test_more_items_than_a_page_holds_are_counted),
        cmocka_unit_test(test_any_document_is_refused_or_shown),
        cmocka_unit_test(test_numbers_have_no_more_digits_than_they_carry),
        cmocka_unit_test(test_wrapping_loses_no_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
