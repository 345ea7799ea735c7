/* progress_bar.c - the terminal sink of hone_progress.
 *
 *   tuned + prompt   ━━━━━━━━━━━━╸         61 %  epoch 2/4  loss 0.31  412 tokens/s  3m 20s left
 *
 * The rate is over the piece of work so far. What was already done at its start (a continued download) does not count:
 * a first report within START_SECONDS of the beginning is where the count starts from. */
#include "cli/progress_bar.h"

#include "base/clock.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MAX_DEPTH = 8, BAR_CELLS = 24, MAX_COLUMNS = 100, LINE_BYTES = 512 };
static const double REDRAW_SECONDS = 0.1, LINE_SECONDS = 30, START_SECONDS = 0.25;

typedef struct work {
    char name[64], unit[24], detail[96];
    int64_t total, done, first; /* first: done before the clock started */
    double started;
    bool reported;
} work;

static struct {
    work stack[MAX_DEPTH];
    int depth; /* may exceed MAX_DEPTH; deeper work is not shown */
    bool ready, terminal, unicode, colour, drawn;
    double last; /* when something was last written */
} bar;

static void look_at_terminal(void)
{
    if (bar.ready)
        return;
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    const char *locale = getenv("LC_ALL");
    if (!locale || !*locale)
        locale = getenv("LC_CTYPE");
    if (!locale || !*locale)
        locale = getenv("LANG");
    bar.terminal = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
    bar.colour = bar.terminal && !(no_colour && *no_colour);
    bar.unicode = locale && (strstr(locale, "UTF-8") || strstr(locale, "utf8") || strstr(locale, "UTF8"));
    bar.last = hone_clock_seconds();
    bar.ready = true;
}

static int columns(void)
{
    struct winsize size;
    int n = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    return n < MAX_COLUMNS ? n : MAX_COLUMNS;
}

static void format_amount(double n, const char *unit, char *out, size_t size)
{
    char text[32];
    if (strcmp(unit, "bytes") == 0) {
        hone_format_bytes((uint64_t)n, text);
        snprintf(out, size, "%s", text);
    } else if (n < 10) {
        snprintf(out, size, "%.1f %s", n, unit);
    } else {
        hone_format_count((int64_t)llround(n), text);
        snprintf(out, size, "%s %s", text, unit);
    }
}

/* "61 %  loss 0.31  412 tokens/s  3m 20s left"; the parts that are not known yet are left out. */
static void format_facts(const work *w, char *out, size_t size)
{
    size_t n = 0;
    double elapsed = hone_clock_seconds() - w->started, rate = elapsed > 0 ? (double)(w->done - w->first) / elapsed : 0;
    char text[64];
    out[0] = 0;
    if (w->total > 0)
        n += (size_t)snprintf(out + n, size - n, "%3.0f %%", 100.0 * (double)w->done / (double)w->total);
    else {
        format_amount((double)w->done, w->unit, text, sizeof text);
        n += (size_t)snprintf(out + n, size - n, "%s", text);
    }
    if (w->detail[0])
        n += (size_t)snprintf(out + n, size - n, "  %s", w->detail);
    if (rate > 0 && elapsed > START_SECONDS) {
        format_amount(rate, w->unit, text, sizeof text);
        n += (size_t)snprintf(out + n, size - n, "  %s/s", text);
        if (w->total > w->done) {
            hone_format_seconds((double)(w->total - w->done) / rate, text);
            snprintf(out + n, size - n, "  %s left", text);
        }
    }
}

/* The bar itself; `cells` wide. */
static void format_bar(const work *w, int cells, char *out, size_t size)
{
    int halves = (int)(2.0 * cells * (double)w->done / (double)w->total);
    size_t n = 0;
    if (halves > 2 * cells)
        halves = 2 * cells;
    n += (size_t)snprintf(out + n, size - n, "%s", bar.colour ? "\033[36m" : "");
    for (int i = 0; i < cells; i++) {
        const char *cell = halves >= 2 * i + 2 ? "\u2501" : halves == 2 * i + 1 ? "\u2578" : " ";
        if (!bar.unicode)
            cell = halves >= 2 * i + 2 ? "=" : halves == 2 * i + 1 ? "-" : " ";
        n += (size_t)snprintf(out + n, size - n, "%s", cell);
    }
    snprintf(out + n, size - n, "%s", bar.colour ? "\033[0m" : "");
}

static void erase(void)
{
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

static void draw(void)
{
    if (bar.depth < 1 || bar.depth > MAX_DEPTH)
        return;
    const work *w = &bar.stack[bar.depth - 1];
    char facts[LINE_BYTES], cells[LINE_BYTES] = "";
    format_facts(w, facts, sizeof facts);
    if (!bar.terminal) {
        fprintf(stderr, "%s: %s\n", w->name, facts + strspn(facts, " "));
        return;
    }
    /* A narrow terminal loses the bar first, then the end of the facts: a wrapped line could not be erased. */
    int room = columns() - 1, name = room < 60 ? 16 : 28;
    bool with_bar = w->total > 0 && room >= 2 + name + 2 + BAR_CELLS + 2 + 40;
    if (with_bar)
        format_bar(w, BAR_CELLS, cells, sizeof cells);
    int left = room - name - 2 - (with_bar ? BAR_CELLS + 2 : 0);
    fprintf(stderr, "\r\033[K%-*.*s  %s%s%.*s", name, name, w->name, cells, with_bar ? "  " : "", left > 0 ? left : 0,
            facts);
    fflush(stderr);
    bar.drawn = true;
}

static void draw_when_due(void)
{
    double now = hone_clock_seconds();
    if (now - bar.last < (bar.terminal ? REDRAW_SECONDS : LINE_SECONDS))
        return;
    bar.last = now;
    draw();
}

static void on_begin(hone_progress *p, const char *name, const char *unit, int64_t total)
{
    (void)p;
    look_at_terminal();
    if (bar.depth++ >= MAX_DEPTH)
        return;
    work *w = &bar.stack[bar.depth - 1];
    *w = (work){.total = total, .started = hone_clock_seconds()};
    snprintf(w->name, sizeof w->name, "%s", name ? name : "");
    snprintf(w->unit, sizeof w->unit, "%s", unit ? unit : "");
    draw_when_due();
}

static void on_update(hone_progress *p, int64_t done, const char *detail)
{
    (void)p;
    if (bar.depth < 1 || bar.depth > MAX_DEPTH)
        return;
    work *w = &bar.stack[bar.depth - 1];
    double now = hone_clock_seconds();
    if (!w->reported && now - w->started < START_SECONDS) {
        w->first = done;
        w->started = now;
    }
    w->reported = true;
    w->done = done;
    if (w->first > done)
        w->first = done; /* it started over */
    snprintf(w->detail, sizeof w->detail, "%s", detail ? detail : "");
    draw_when_due();
}

static void on_resize(hone_progress *p, int64_t total)
{
    (void)p;
    if (bar.depth >= 1 && bar.depth <= MAX_DEPTH)
        bar.stack[bar.depth - 1].total = total;
}

static void on_end(hone_progress *p)
{
    (void)p;
    if (bar.depth > 0)
        bar.depth--;
    erase();
    if (bar.depth > 0)
        draw_when_due();
    fflush(stderr);
}

static void on_note(hone_progress *p, const char *text)
{
    (void)p;
    look_at_terminal();
    bool again = bar.drawn;
    erase();
    fprintf(stderr, "%s\n", text);
    if (again)
        draw();
}

hone_progress *hone_progress_bar(void)
{
    static hone_progress sink = {NULL, on_begin, on_resize, on_update, on_end, on_note};
    return &sink;
}
