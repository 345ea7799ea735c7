/* terminal.c - the verdict in a terminal. Layout of the tables, in columns:
 *
 *   marker 2 | name (as wide as the longest, within what is left) | 2 blanks + column, right-aligned, for each column
 * kept
 *
 * Colour is bold for what matters and dim for what explains; nothing is said by colour alone. */
#include "report/terminal.h"

#include "report/facts.h"
#include "report/legible.h"

#include <stdlib.h>
#include <string.h>

enum { MARGIN = 2, GAP = 2, LABEL = 10 /* "  cost    " */, MIN_NAME = 16, MAX_NAME = 36 };

static const char BOLD[] = "\x1b[1m", DIM[] = "\x1b[2m", PLAIN[] = "\x1b[0m";

typedef struct page {
    hone_buffer *out;
    size_t width;
    bool colour;
} page;

static void style(const page *p, const char *escape)
{
    if (p->colour)
        hone_buffer_puts(p->out, escape);
}

static void paragraph(const page *p, const char *text)
{
    if (!text || !text[0])
        return;
    hone_legible_wrap(p->out, text, 0, 0, p->width);
    hone_buffer_putc(p->out, '\n');
}

static void right(const page *p, const char *text, size_t width)
{
    size_t used = hone_legible_width(text);
    for (size_t i = used; i < width; i++)
        hone_buffer_putc(p->out, ' ');
    hone_legible_append(p->out, text, HONE_LEGIBLE_LINE);
}

/* The header's parts, broken only between them. */
static void header(const page *p, const char *text)
{
    static const char dot[] = " · ";
    size_t column = 0;
    for (const char *part = text ? text : "", *end; *part; part = end) {
        end = strstr(part, dot);
        end = end ? end + strlen(dot) : part + strlen(part);
        bool last = *end == 0;
        char *copy = strndup(part, (size_t)(end - part) - (last ? 0 : strlen(dot)));
        if (!copy) {
            p->out->failed = true;
            return;
        }
        size_t width = hone_legible_width(copy);
        if (column > 0 && column + 3 + width + (last ? 0 : 2) > p->width) {
            hone_buffer_puts(p->out, " ·\n");
            column = 0;
        } else if (column > 0) {
            hone_buffer_puts(p->out, dot);
            column += 3;
        }
        hone_legible_wrap(p->out, copy, column, 0, p->width);
        column += width;
        free(copy);
    }
    hone_buffer_putc(p->out, '\n');
}

static void blanks(const page *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hone_buffer_putc(p->out, ' ');
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Decides which columns stay: the least important go until a readable name fits beside the rest. */
static size_t choose_columns(const hone_view *v, size_t width, size_t widths[HONE_COLUMNS], bool keep[HONE_COLUMNS])
{
    size_t name = hone_legible_width("approach"), taken = MARGIN;
    for (size_t i = 0; i < v->n_approaches; i++)
        name = larger(name, hone_legible_width(v->approaches[i].name));
    if (name > MAX_NAME)
        name = MAX_NAME;
    for (int c = 0; c < HONE_COLUMNS; c++) {
        bool any = false;
        widths[c] = hone_legible_width(hone_column_heads[c].name);
        for (size_t i = 0; i < v->n_approaches; i++) {
            hone_number cell = hone_facts_cell(&v->approaches[i], (hone_column)c);
            any |= strcmp(cell.text, HONE_NOT_MEASURED) != 0;
            widths[c] = larger(widths[c], hone_legible_width(cell.text));
        }
        keep[c] = any || c == HONE_COLUMN_TEST;
        taken += keep[c] ? GAP + widths[c] : 0;
    }
    while (taken + name > width) {
        int least = -1;
        for (int c = 0; c < HONE_COLUMNS; c++)
            if (keep[c] && c != HONE_COLUMN_TEST &&
                (least < 0 || hone_column_heads[c].importance < hone_column_heads[least].importance))
                least = c;
        if (least < 0)
            break;
        keep[least] = false;
        taken -= GAP + widths[least];
    }
    return taken + name > width && width > taken + MIN_NAME ? width - taken : name;
}

static void table(const page *p, const hone_view *v)
{
    size_t widths[HONE_COLUMNS];
    bool keep[HONE_COLUMNS];
    size_t name = choose_columns(v, p->width, widths, keep);
    int marked = hone_facts_marked(v);
    style(p, DIM);
    blanks(p, MARGIN);
    hone_legible_fit(p->out, "approach", name, true);
    for (int c = 0; c < HONE_COLUMNS; c++)
        if (keep[c]) {
            blanks(p, GAP);
            right(p, hone_column_heads[c].name, widths[c]);
        }
    style(p, PLAIN);
    hone_buffer_putc(p->out, '\n');
    for (size_t i = 0; i < v->n_approaches; i++) {
        bool is_marked = marked >= 0 && (size_t)marked == i;
        if (is_marked)
            style(p, BOLD);
        hone_buffer_puts(p->out, is_marked ? "▸ " : "  ");
        hone_legible_fit(p->out, v->approaches[i].name, name, true);
        for (int c = 0; c < HONE_COLUMNS; c++)
            if (keep[c]) {
                blanks(p, GAP);
                right(p, hone_facts_cell(&v->approaches[i], (hone_column)c).text, widths[c]);
            }
        if (is_marked)
            style(p, PLAIN);
        hone_buffer_putc(p->out, '\n');
    }
}

/* One planned comparison a line: what it was compared with, the difference, its interval, p, the finding. */
static void comparisons(const page *p, const hone_view *v)
{
    if (v->n_pairs == 0)
        return;
    enum { DIFFERENCE = 10, INTERVAL = 16, P = 8, FINDING = 19 };
    bool with_p = p->width >= 80, with_finding = p->width >= 72;
    size_t taken =
        MARGIN + GAP + DIFFERENCE + GAP + INTERVAL + (with_p ? GAP + P : 0) + (with_finding ? GAP + FINDING : 0);
    size_t room = p->width > taken + MIN_NAME ? p->width - taken : MIN_NAME, name = MIN_NAME;
    bool one_winner = true;
    for (size_t i = 0; i < v->n_pairs; i++) {
        name = larger(name, hone_legible_width(v->approaches[v->pairs[i].b].name));
        one_winner &= v->pairs[i].a == v->pairs[0].a;
    }
    hone_buffer head = {0};
    hone_buffer_printf(&head, "%s against", one_winner ? v->approaches[v->pairs[0].a].name : "");
    name = larger(name, hone_legible_width(head.data ? head.data : ""));
    name = name > room ? room : name;
    hone_buffer_putc(p->out, '\n');
    style(p, DIM);
    blanks(p, MARGIN);
    hone_legible_fit(p->out, head.data ? head.data : "", name, true);
    blanks(p, GAP);
    right(p, "points", DIFFERENCE);
    blanks(p, GAP);
    right(p, "interval", INTERVAL);
    if (with_p) {
        blanks(p, GAP);
        right(p, "p (Holm)", P);
    }
    style(p, PLAIN);
    hone_buffer_putc(p->out, '\n');
    for (size_t i = 0; i < v->n_pairs; i++) {
        const hone_view_pair *pair = &v->pairs[i];
        blanks(p, MARGIN);
        if (one_winner)
            hone_legible_fit(p->out, v->approaches[pair->b].name, name, true);
        else {
            hone_buffer_reset(&head);
            hone_buffer_printf(&head, "%s against %s", v->approaches[pair->a].name, v->approaches[pair->b].name);
            hone_legible_fit(p->out, head.data ? head.data : "", name, true);
        }
        blanks(p, GAP);
        right(p, hone_number_points(pair->difference).text, DIFFERENCE);
        blanks(p, GAP);
        right(p, hone_number_points_interval(pair->difference, pair->ci_low, pair->ci_high).text, INTERVAL);
        if (with_p) {
            blanks(p, GAP);
            right(p, hone_number_p_bare(pair->p_adjusted).text, P);
        }
        if (with_finding && pair->finding[0]) {
            blanks(p, GAP);
            hone_legible_fit(p->out, pair->finding, FINDING, false);
        }
        hone_buffer_putc(p->out, '\n');
    }
    hone_buffer_clear(&head);
}

static void labelled(const page *p, const char *label, const char *text)
{
    if (!text || !text[0])
        return;
    blanks(p, MARGIN);
    style(p, DIM);
    hone_legible_fit(p->out, label, LABEL - MARGIN, true);
    style(p, PLAIN);
    hone_legible_wrap(p->out, text, LABEL, LABEL, p->width);
    hone_buffer_putc(p->out, '\n');
}

/* Commands side by side while they fit, six blanks apart; a command is never broken. */
static void next(const page *p, const hone_facts *f)
{
    size_t column = 0;
    for (size_t i = 0; i < f->n_next; i++) {
        const char *command = f->next[i].data ? f->next[i].data : "";
        size_t width = hone_legible_width(command);
        if (i == 0) {
            blanks(p, MARGIN);
            style(p, DIM);
            hone_legible_fit(p->out, "next", LABEL - MARGIN, true);
            style(p, PLAIN);
            column = LABEL;
        } else if (column + 6 + width <= p->width) {
            blanks(p, 6);
            column += 6;
        } else {
            hone_buffer_putc(p->out, '\n');
            blanks(p, LABEL);
            column = LABEL;
        }
        hone_legible_append(p->out, command, HONE_LEGIBLE_LINE);
        column += width;
    }
    if (f->n_next)
        hone_buffer_putc(p->out, '\n');
}

static void verdict(const page *p, const hone_view *v, const hone_facts *f)
{
    hone_buffer_putc(p->out, '\n');
    size_t at = 0;
    if (v->headline[0]) {
        style(p, BOLD);
        hone_legible_wrap(p->out, v->headline, 0, 0, p->width);
        style(p, PLAIN);
        at = hone_legible_width(v->headline);
        if (at + GAP <= LABEL) {
            blanks(p, LABEL - at);
            at = LABEL;
        } else if (at + 24 < p->width) {
            blanks(p, GAP);
            at += GAP;
        } else {
            hone_buffer_putc(p->out, '\n');
            blanks(p, LABEL);
            at = LABEL;
        }
    }
    hone_legible_wrap(p->out, v->summary, at, LABEL, p->width);
    hone_buffer_putc(p->out, '\n');
    labelled(p, "why", f->why.data);
    labelled(p, "cost", f->cost.data);
    labelled(p, "work", f->work.data);
    labelled(p, "keeps", f->keeps.data);
    labelled(p, "unless", f->unless.data);
    next(p, f);
    for (size_t i = 0; i < v->n_warnings; i++)
        labelled(p, "note", v->warnings[i]);
}

hone_status hone_report_terminal(const json_t *document, hone_terminal_style wanted, hone_buffer *out, hone_error *err)
{
    hone_arena *arena = hone_arena_create();
    hone_facts facts = {0};
    hone_view view;
    hone_status status = arena ? hone_view_read(document, arena, &view, err)
                               : hone_fail(err, HONE_NO_MEMORY, "no memory to show the comparison");
    if (status != HONE_OK)
        goto done;
    status = hone_facts_build(&view, &facts, err);
    if (status != HONE_OK)
        goto done;
    int width = wanted.columns <= 0 || wanted.columns > 100 ? 100 : wanted.columns < 40 ? 40 : wanted.columns;
    page p = {out, (size_t)width, wanted.colour};
    header(&p, facts.header.data);
    paragraph(&p, facts.detectable.data);
    paragraph(&p, facts.quick.data);
    hone_buffer_putc(out, '\n');
    table(&p, &view);
    comparisons(&p, &view);
    verdict(&p, &view, &facts);
    if (out->failed)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory to show the comparison");
done:
    hone_facts_clear(&facts);
    hone_arena_free(arena);
    return status;
}
