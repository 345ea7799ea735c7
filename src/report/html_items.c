/* html_items.c - every test item with each approach's answer beside the reference: where do they disagree?
 *
 * The rows are all in the page (without scripts they are simply shown); the script hides the rows that a filter leaves
 * out. A row's data-r has one character for each tested approach: 1 right, 0 wrong, p in between. Right and wrong are
 * said by a shape and a word. */
#include "report/html_parts.h"

#include "base/text.h"
#include "report/facts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ITEMS = 2000,  /* more make the page slow; the rest is counted below the table and in --json */
    SHORT_BYTES = 220, /* longer texts fold */
    LONG_BYTES = 20000 /* longer ones are cut, and say so */
};

/* The largest number of bytes up to `limit` that does not split a character. */
static size_t whole_characters(const char *s, size_t limit)
{
    size_t length = strnlen(s, limit + 1);
    if (length <= limit)
        return length;
    while (limit > 0 && ((unsigned char)s[limit] & 0xC0) == 0x80)
        limit--;
    return limit;
}

/* The first `length` bytes; long names of labels may break after an underscore. */
static void part(hone_buffer *b, const char *s, size_t length)
{
    char *copy = strndup(s, length), *from = copy;
    for (char *at; copy && (at = strchr(from, '_')) != NULL; from = at + 1) {
        *at = 0;
        hone_html_block(b, from);
        hone_buffer_puts(b, "_<wbr>");
    }
    if (copy)
        hone_html_block(b, from);
    else
        b->failed = true;
    free(copy);
}

/* A user's text: short ones as they are, long ones folded behind their beginning. */
static void item_text(hone_buffer *b, const char *s)
{
    size_t length = strlen(s);
    if (length <= SHORT_BYTES) {
        hone_buffer_puts(b, "<bdi class=\"t\">");
        part(b, s, length);
        hone_buffer_puts(b, "</bdi>");
        return;
    }
    size_t head = whole_characters(s, SHORT_BYTES - 40), body = whole_characters(s, LONG_BYTES);
    hone_buffer_puts(b, "<details><summary><bdi class=\"t\">");
    part(b, s, head);
    hone_buffer_puts(b, "…</bdi></summary><bdi class=\"t\">");
    part(b, s + head, body - head);
    hone_buffer_puts(b, "</bdi>");
    if (body < length)
        hone_buffer_printf(b, " <i>(%s more bytes are left out here)</i>",
                           hone_number_count((double)(length - body)).text);
    hone_buffer_puts(b, "</details>");
}

static char mark_of(const hone_view_answer *a)
{
    return a->score >= 1 ? '1' : a->score > 0 ? 'p' : '0';
}

static void answer_cell(hone_buffer *b, const hone_view_answer *a, const char *reference)
{
    char mark = mark_of(a);
    const char *shown = a->parsed ? a->answer : a->raw;
    if (mark == '1')
        hone_buffer_puts(b, "<td class=\"ok\"><span class=\"m\">✓ right</span>");
    else if (mark == 'p')
        hone_buffer_printf(b, "<td class=\"part\"><span class=\"m\">◐ %s</span>", hone_number_score(a->score).text);
    else
        hone_buffer_printf(b, "<td class=\"no\"><span class=\"m\">✕ %s</span>", a->parsed ? "wrong" : "unreadable");
    if (mark != '1' || strcmp(shown, reference) != 0) {
        hone_buffer_putc(b, ' ');
        item_text(b, shown[0] ? shown : "(empty)");
    }
    hone_buffer_puts(b, "</td>");
}

static bool disagree(const hone_view *v, size_t item)
{
    char first = 0;
    for (size_t i = 0; i < v->n_approaches; i++) {
        hone_view_answer a = hone_view_answer_at(v, item, i);
        if (!a.given)
            continue;
        if (first && mark_of(&a) != first)
            return true;
        first = mark_of(&a);
    }
    return false;
}

static void item_row(hone_buffer *b, const hone_view *v, size_t item)
{
    const char *reference = hone_view_item_text(v, item, "reference");
    hone_buffer_puts(b, "<tr data-r=\"");
    for (size_t i = 0; i < v->n_approaches; i++) {
        hone_view_answer a = hone_view_answer_at(v, item, i);
        if (v->approaches[i].tested)
            hone_buffer_putc(b, a.given ? mark_of(&a) : '-');
    }
    hone_buffer_printf(b, "\"><th scope=\"row\"><span class=\"nr\" title=\"");
    hone_html_text(b, hone_view_item_text(v, item, "place"));
    hone_buffer_printf(b, "\">%zu</span></th><td class=\"in\">", item + 1);
    item_text(b, hone_view_item_text(v, item, "input"));
    hone_buffer_puts(b, "</td><td class=\"ref\">");
    item_text(b, reference);
    hone_buffer_puts(b, "</td>");
    for (size_t i = 0; i < v->n_approaches; i++) {
        if (!v->approaches[i].tested)
            continue;
        hone_view_answer a = hone_view_answer_at(v, item, i);
        if (a.given)
            answer_cell(b, &a, reference);
        else
            hone_buffer_puts(b, "<td>" HONE_NOT_MEASURED "</td>");
    }
    hone_buffer_puts(b, "</tr>\n");
}

static void choice(hone_buffer *b, const hone_view *v, const char *id, const char *label)
{
    hone_buffer_printf(b, "<label for=\"%s\">%s <select id=\"%s\"><option value=\"\">any</option>", id, label, id);
    size_t position = 0;
    for (size_t i = 0; i < v->n_approaches; i++) {
        if (!v->approaches[i].tested)
            continue;
        hone_buffer_printf(b, "<option value=\"%zu\">", position++);
        hone_html_text(b, v->approaches[i].name);
        hone_buffer_puts(b, "</option>");
    }
    hone_buffer_puts(b, "</select></label>");
}

static void controls(hone_buffer *b, const hone_view *v)
{
    static const char *const shows[][2] = {
        {"disagree", "they disagree"}, {"all", "all items"}, {"right", "all right"}, {"wrong", "all wrong"}};
    hone_buffer_puts(
        b,
        "<div class=\"controls\" id=\"item-controls\" hidden><div role=\"group\" aria-label=\"Which items to show\">");
    for (size_t i = 0; i < sizeof shows / sizeof *shows; i++)
        hone_buffer_printf(b, "<button type=\"button\" data-show=\"%s\" aria-pressed=\"%s\">%s</button>", shows[i][0],
                           i == 0 ? "true" : "false", shows[i][1]);
    hone_buffer_puts(b, "</div>");
    choice(b, v, "item-right", "right:");
    choice(b, v, "item-wrong", "wrong:");
    hone_buffer_puts(
        b, "<label for=\"item-search\">contains <input id=\"item-search\" type=\"search\" autocomplete=\"off\"></label>"
           "<p id=\"item-count\" role=\"status\"></p></div>");
}

void hone_html_items(hone_buffer *b, const hone_view *v)
{
    if (v->n_items == 0 || v->n_tested == 0) {
        hone_buffer_puts(b, "<p>No answers are recorded in this document.</p>");
        return;
    }
    size_t n_disagree = 0, shown = v->n_items < MAX_ITEMS ? v->n_items : MAX_ITEMS;
    for (size_t i = 0; i < v->n_items; i++)
        n_disagree += disagree(v, i);
    hone_buffer_printf(b, "<p>Of %s test items the approaches disagree on %s: some have it right and some wrong.</p>",
                       hone_number_count((double)v->n_items).text, hone_number_count((double)n_disagree).text);
    controls(b, v);
    hone_html_scroll_begin(b, "Test items and answers", "items");
    hone_buffer_puts(b, "<table id=\"items-table\"><thead><tr><th scope=\"col\">#</th><th scope=\"col\">input</th>"
                        "<th scope=\"col\">reference</th>");
    for (size_t i = 0; i < v->n_approaches; i++)
        if (v->approaches[i].tested) {
            hone_buffer_puts(b, hone_facts_marked(v) == (int)i ? "<th scope=\"col\" class=\"chosen\">"
                                                               : "<th scope=\"col\">");
            hone_html_isolated(b, v->approaches[i].name);
            hone_buffer_puts(b, "</th>");
        }
    hone_buffer_puts(b, "</tr></thead><tbody>\n");
    /* Where there are too many, the items on which they disagree come before the others. */
    size_t left = shown;
    for (size_t i = 0; i < v->n_items && left > 0; i++)
        if (shown == v->n_items || disagree(v, i)) {
            item_row(b, v, i);
            left--;
        }
    for (size_t i = 0; i < v->n_items && left > 0; i++)
        if (!disagree(v, i)) {
            item_row(b, v, i);
            left--;
        }
    hone_buffer_puts(b, "</tbody></table>");
    hone_html_scroll_end(b);
    if (shown < v->n_items)
        hone_buffer_printf(
            b, "<p class=\"small\">%s further items are left out here; <code>hone report --json</code> has all.</p>",
            hone_number_count((double)(v->n_items - shown)).text);
}
