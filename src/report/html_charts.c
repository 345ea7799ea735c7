/* html_charts.c - the drawings: row plots with dots and whiskers, and cost over volume.
 *
 * A row plot has no viewBox: x is a percentage of the cell, y half its height, so it stretches with the column while
 * dots stay round and strokes thin. The cost chart has a fixed size in CSS pixels and is drawn once wide and once
 * narrow, so that its text is legible on a phone too. Colours come from the style sheet by class. */
#include "report/html_parts.h"

#include "report/facts.h"
#include "report/legible.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double EDGE = 5; /* percent kept free on both sides of a row plot, for dots and labels at the ends */

static double place(hone_html_axis axis, double value)
{
    double share = (value - axis.low) / (axis.high - axis.low);
    share = share > 0 ? fmin(share, 1) : 0; /* also where a document holds nonsense */
    return EDGE + (100 - 2 * EDGE) * share;
}

/* Widens [low, high] to whole steps, with 3 to 6 of them. */
static hone_html_axis round_axis(double low, double high)
{
    static const double steps[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5};
    if (!(low < high)) {
        low = 0;
        high = 1;
    }
    size_t s = 0;
    while (s + 1 < sizeof steps / sizeof *steps && (ceil(high / steps[s] - 1e-9) - floor(low / steps[s] + 1e-9)) > 6)
        s++;
    double step = steps[s];
    return (hone_html_axis){floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, step};
}

hone_html_axis hone_html_score_axis(const hone_view *v)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < v->n_approaches; i++) {
        const hone_view_approach *a = &v->approaches[i];
        if (!isfinite(a->score))
            continue;
        low = fmin(low, fmin(a->score, isfinite(a->ci_low) ? a->ci_low : a->score));
        high = fmax(high, fmax(a->score, isfinite(a->ci_high) ? a->ci_high : a->score));
    }
    if (isfinite(v->min_score)) {
        low = fmin(low, v->min_score);
        high = fmax(high, v->min_score);
    }
    if (low < 0.25) /* near enough to zero that leaving it out would mislead */
        low = 0;
    if (high > 0.8)
        high = 1;
    return round_axis(fmax(0, low), fmin(1, high));
}

hone_html_axis hone_html_difference_axis(const hone_view *v)
{
    double low = 0, high = 0;
    for (size_t i = 0; i < v->n_pairs; i++) {
        const hone_view_pair *p = &v->pairs[i];
        low = fmin(low, isfinite(p->ci_low) ? p->ci_low : isfinite(p->difference) ? p->difference : 0);
        high = fmax(high, isfinite(p->ci_high) ? p->ci_high : isfinite(p->difference) ? p->difference : 0);
    }
    return round_axis(fmax(low, -1), fmin(high, 1));
}

static int n_ticks(hone_html_axis axis)
{
    int n = (int)lround((axis.high - axis.low) / axis.step) + 1;
    return n < 2 ? 2 : n > 12 ? 12 : n;
}

void hone_html_axis_labels(hone_buffer *b, hone_html_axis axis, bool points)
{
    hone_buffer_puts(b, "<svg class=\"axis\" aria-hidden=\"true\" width=\"100%\" height=\"16\">");
    for (int i = 0; i < n_ticks(axis); i++) {
        double value = axis.low + i * axis.step;
        char label[32];
        if (points)
            snprintf(label, sizeof label, "%s%.0f", value > 1e-9 ? "+" : value < -1e-9 ? "−" : "", fabs(100 * value));
        else
            snprintf(label, sizeof label, "%.*f", axis.step < 0.095 ? 2 : 1, value);
        hone_buffer_printf(b, "<text%s x=\"%.2f%%\" y=\"12\" text-anchor=\"middle\">%s</text>",
                           i % 2 ? " class=\"between\"" : "", place(axis, value), label);
    }
    hone_buffer_puts(b, "</svg>");
}

static void grid(hone_buffer *b, hone_html_axis axis, double strong)
{
    for (int i = 0; i < n_ticks(axis); i++) {
        double value = axis.low + i * axis.step, x = place(axis, value);
        hone_buffer_printf(b, "<line class=\"%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"100%%\"/>",
                           fabs(value - strong) < axis.step * 1e-6 ? "zero" : "grid", x, x);
    }
}

static void whisker(hone_buffer *b, hone_html_axis axis, double low, double high)
{
    if (!isfinite(low) || !isfinite(high))
        return;
    hone_buffer_printf(b, "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"50%%\" y2=\"50%%\"/>",
                       place(axis, low), place(axis, high));
    const double ends[] = {low, high};
    for (int i = 0; i < 2; i++)
        hone_buffer_printf(
            b, "<svg x=\"%.2f%%\" y=\"50%%\" overflow=\"visible\"><path class=\"whisker\" d=\"M0-4V4\"/></svg>",
            place(axis, ends[i]));
}

/* Families differ by shape as well as by their names: a ring, a diamond, a disc. */
static const char *shape_of(const char *family)
{
    if (strcmp(family, "baseline") == 0)
        return "<circle class=\"ring\" r=\"4.5\"/>";
    if (strcmp(family, "prompt") == 0)
        return "<path class=\"dot\" d=\"M0-6L6 0L0 6L-6 0Z\"/>";
    return "<circle class=\"dot\" r=\"5\"/>";
}

void hone_html_shape_key(hone_buffer *b)
{
    static const char *const keys[][2] = {
        {"baseline", "classical baseline"}, {"prompt", "prompt"}, {"tuned", "tuned model"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        hone_buffer_printf(b,
                           "%s<span class=\"key\"><svg class=\"shape\" aria-hidden=\"true\" width=\"14\" height=\"14\" "
                           "viewBox=\"-7 -7 14 14\">%s</svg> %s</span>",
                           i ? ", " : "", shape_of(keys[i][0]), keys[i][1]);
}

void hone_html_score_plot(hone_buffer *b, const hone_view *v, size_t index, hone_html_axis axis)
{
    const hone_view_approach *a = &v->approaches[index];
    bool marked = hone_facts_marked(v) == (int)index;
    hone_buffer_printf(b, "<svg class=\"plot%s\" role=\"img\" aria-label=\"", marked ? " chosen" : "");
    if (isfinite(a->score))
        hone_buffer_printf(b, "score %s, 95 %% interval %s to %s", hone_number_score(a->score).text,
                           hone_number_score(a->ci_low).text, hone_number_score(a->ci_high).text);
    else
        hone_buffer_puts(b, "not tested");
    hone_buffer_puts(b, "\">");
    grid(b, axis, 0);
    if (isfinite(v->min_score))
        hone_buffer_printf(b, "<line class=\"needed\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"100%%\"/>",
                           place(axis, v->min_score), place(axis, v->min_score));
    if (isfinite(a->score)) {
        whisker(b, axis, a->ci_low, a->ci_high);
        hone_buffer_printf(b, "<svg x=\"%.2f%%\" y=\"50%%\" overflow=\"visible\">%s</svg>", place(axis, a->score),
                           shape_of(a->family));
    }
    hone_buffer_puts(b, "</svg>");
}

void hone_html_difference_plot(hone_buffer *b, const hone_view *v, size_t index, hone_html_axis axis)
{
    const hone_view_pair *p = &v->pairs[index];
    bool excludes_zero = p->ci_low > 0 || p->ci_high < 0;
    hone_buffer_printf(
        b, "<svg class=\"plot%s\" role=\"img\" aria-label=\"difference %s points, interval %s; the interval %s\">",
        excludes_zero ? " chosen" : "", hone_number_points(p->difference).text,
        hone_number_points_interval(p->difference, p->ci_low, p->ci_high).text,
        excludes_zero ? "lies on one side of zero" : "includes zero");
    grid(b, axis, 0);
    whisker(b, axis, p->ci_low, p->ci_high);
    if (isfinite(p->difference))
        hone_buffer_printf(b, "<svg x=\"%.2f%%\" y=\"50%%\" overflow=\"visible\"><circle class=\"%s\" r=\"%s\"/></svg>",
                           place(axis, p->difference), excludes_zero ? "dot" : "ring", excludes_zero ? "5" : "4.5");
    hone_buffer_puts(b, "</svg>");
}

/* Cost over volume ------------------------------------------------------------------------------------------------ */

enum { MAX_LINES = 32, LABEL_STEP = 17, TEXT_HEIGHT = 13 };

static const double MOST_REQUESTS = 1e12;

typedef struct cost_line {
    size_t approach;
    double end_y, label_y; /* pixels */
} cost_line;

typedef struct cost_plot {
    const hone_view *view;
    bool narrow;
    double width, height, left, right, top, bottom; /* of the drawing and of the plot area's edges, pixels */
    double x_low, x_high, y_low, y_high;            /* requests, dollars */
    cost_line lines[MAX_LINES];
    size_t n_lines;
} cost_plot;

static double x_at(const cost_plot *c, double requests)
{
    return c->left + (c->right - c->left) * log(requests / c->x_low) / log(c->x_high / c->x_low);
}

static double y_at(const cost_plot *c, double usd)
{
    if (usd < c->y_low)
        usd = c->y_low;
    return c->bottom - (c->bottom - c->top) * log(usd / c->y_low) / log(c->y_high / c->y_low);
}

static bool has_cost(const hone_view_approach *a)
{
    const double most = 1e12; /* dollars; beyond it is no price */
    return a->operating_per_1k >= 0 && a->operating_per_1k < most && a->setup_usd >= 0 && a->setup_usd < most &&
           hone_view_total_usd(a, 1e6) > 0;
}

/* The ranges: from a tenth of the break-even to beyond it and the horizon, in whole decades; at most 9 decades of
 * dollars. */
static bool set_ranges(cost_plot *c)
{
    const hone_view *v = c->view;
    double volume = hone_facts_horizon_requests(v), even = v->break_even_requests;
    bool has_even = even >= 1 && even <= MOST_REQUESTS;
    double most = fmax(1e6, fmax(volume <= MOST_REQUESTS ? volume : 0, has_even ? 3 * even : 0));
    c->x_high = pow(10, ceil(log10(most)));
    c->x_low = has_even && even < 1e4 ? fmax(1, pow(10, floor(log10(even)) - 1)) : 1e3;
    if (c->x_high / c->x_low > 1e7)
        c->x_low = c->x_high / 1e7;
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < v->n_approaches && c->n_lines < MAX_LINES; i++) {
        if (!has_cost(&v->approaches[i]))
            continue;
        c->lines[c->n_lines++].approach = i;
        low = fmin(low, hone_view_total_usd(&v->approaches[i], c->x_low));
        high = fmax(high, hone_view_total_usd(&v->approaches[i], c->x_high));
    }
    c->y_high = high * 1.4;
    c->y_low = fmax(low * 0.7, high / 1e9);
    return c->n_lines > 0 && high > 0;
}

static void short_count(double v, char out[24])
{
    if (v >= 999.5e6)
        snprintf(out, 24, "%gB", v / 1e9);
    else if (v >= 999.5e3)
        snprintf(out, 24, "%gM", v / 1e6);
    else if (v >= 999.5)
        snprintf(out, 24, "%gk", v / 1e3);
    else
        snprintf(out, 24, "%g", v);
}

/* A line and its label at `part` times 10^decade dollars. */
static void dollar_tick(hone_buffer *b, const cost_plot *c, int decade, int part)
{
    double usd = part * pow(10, decade);
    if (usd < c->y_low * 0.999 || usd > c->y_high * 1.001)
        return;
    char label[32];
    if (decade >= 6) {
        char count[24];
        short_count(usd, count);
        snprintf(label, sizeof label, "$%s", count);
    } else if (decade >= 0)
        snprintf(label, sizeof label, "$%.19s", hone_number_count(usd).text);
    else
        snprintf(label, sizeof label, "$%.*f", -decade > 9 ? 9 : -decade == 1 ? 2 : -decade, usd);
    double y = y_at(c, usd);
    hone_buffer_printf(b, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", c->left, c->right,
                       y, y);
    hone_buffer_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>", c->left - 8, y + 4, label);
}

static void cost_axes(hone_buffer *b, const cost_plot *c)
{
    double x_decades = log10(c->x_high / c->x_low), y_decades = log10(c->y_high / c->y_low);
    int x_skip = c->narrow && x_decades > 4.5 ? 2 : 1, y_skip = y_decades > 10 ? 3 : y_decades > 5 ? 2 : 1;
    for (int d = (int)lround(log10(c->x_low)); d <= (int)lround(log10(c->x_high)); d++) {
        double x = x_at(c, pow(10, d));
        char label[24];
        short_count(pow(10, d), label);
        hone_buffer_printf(b, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, c->top,
                           c->bottom);
        if ((d - (int)lround(log10(c->x_high))) % x_skip == 0)
            hone_buffer_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x, c->bottom + 18,
                               label);
    }
    static const int parts[] = {1, 2, 5, 3, 7}; /* of a decade, where there are few decades */
    int n_parts = y_decades < 0.8 ? 5 : y_decades < 2.2 ? 3 : 1;
    for (int d = (int)floor(log10(c->y_low)); d <= (int)floor(log10(c->y_high)); d++)
        for (int i = 0; i < n_parts && d % y_skip == 0; i++)
            dollar_tick(b, c, d, parts[i]);
    hone_buffer_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">requests served%s</text>",
                       (c->left + c->right) / 2, c->height - 6, c->narrow ? "" : " (logarithmic)");
    hone_buffer_printf(b, "<text x=\"%.1f\" y=\"13\">total cost%s</text>", c->narrow ? 0 : c->left - 44,
                       c->narrow ? "" : " (logarithmic)");
}

static const char *line_class(const hone_view *v, size_t approach)
{
    if (hone_facts_marked(v) == (int)approach)
        return "chosen";
    return hone_facts_alternative(v) == (int)approach ? "other" : "rest";
}

static void draw_line(hone_buffer *b, const cost_plot *c, cost_line *line)
{
    enum { SAMPLES = 48 };
    const hone_view_approach *a = &c->view->approaches[line->approach];
    hone_buffer_printf(b, "<path class=\"line %s\" d=\"", line_class(c->view, line->approach));
    for (int i = 0; i <= SAMPLES; i++) {
        double requests = c->x_low * pow(c->x_high / c->x_low, (double)i / SAMPLES);
        line->end_y = y_at(c, hone_view_total_usd(a, requests));
        hone_buffer_printf(b, "%c%.1f %.1f", i ? 'L' : 'M', x_at(c, requests), line->end_y);
    }
    hone_buffer_puts(b, "\"/>");
}

/* Labels in the order of the lines' ends, at least a text's height apart, within the plot. */
static void spread_labels(cost_plot *c)
{
    cost_line *order[MAX_LINES];
    for (size_t i = 0; i < c->n_lines; i++) {
        size_t at = i;
        for (; at > 0 && order[at - 1]->end_y > c->lines[i].end_y; at--)
            order[at] = order[at - 1];
        order[at] = &c->lines[i];
    }
    double y = c->top - LABEL_STEP;
    for (size_t i = 0; i < c->n_lines; i++)
        y = order[i]->label_y = fmax(order[i]->end_y, y + LABEL_STEP);
    y = c->bottom + LABEL_STEP;
    for (size_t i = c->n_lines; i-- > 0;)
        y = order[i]->label_y = fmin(order[i]->label_y, y - LABEL_STEP);
}

static void line_labels(hone_buffer *b, const cost_plot *c)
{
    for (size_t i = 0; i < c->n_lines; i++) {
        const cost_line *line = &c->lines[i];
        const char *class = line_class(c->view, line->approach);
        hone_buffer_printf(
            b, "<path class=\"leader\" d=\"M%.1f %.1fL%.1f %.1f\"/><text class=\"name %s\" x=\"%.1f\" y=\"%.1f\">",
            c->right + 2, line->end_y, c->right + 12, line->label_y, class, c->right + 16, line->label_y + 4);
        if (c->narrow)
            hone_buffer_printf(b, "%c", (char)('A' + i % 26));
        else {
            hone_buffer name = {0};
            hone_legible_fit(&name, c->view->approaches[line->approach].name, 28, false);
            hone_html_text(b, name.data ? name.data : "");
            hone_buffer_clear(&name);
        }
        hone_buffer_puts(b, "</text>");
    }
}

static void mark_line(hone_buffer *b, const cost_plot *c, const char *class, double requests)
{
    double x = x_at(c, requests);
    hone_buffer_printf(b, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", class, x, x, c->top,
                       c->bottom);
}

/* The label of a vertical mark, on the side that has room. */
static void mark_label(hone_buffer *b, const cost_plot *c, const char *class, double requests, double label_y,
                       const char *label)
{
    double x = x_at(c, requests), room = 7.2 * (double)hone_legible_width(label);
    bool left = x + room > c->right && x - room > c->left - 40;
    hone_buffer_printf(b, "<text class=\"halo %s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", class,
                       left ? x - 7 : x + 7, label_y, left ? "end" : "start", label);
}

static void cost_marks(hone_buffer *b, const cost_plot *c)
{
    const hone_view *v = c->view;
    double volume = hone_facts_horizon_requests(v), even = v->break_even_requests;
    char label[192];
    bool has_volume = volume >= c->x_low && volume <= c->x_high;
    bool has_even = even >= c->x_low && even <= c->x_high && v->choose >= 0;
    if (has_volume)
        mark_line(b, c, "volume", volume);
    if (has_even)
        mark_line(b, c, "even", even);
    if (has_volume) {
        double months = isfinite(v->horizon_months) ? v->horizon_months : 12;
        snprintf(label, sizeof label, "your %s%s%s%s", hone_number_about(volume).text, c->narrow ? "" : " in ",
                 c->narrow ? "" : hone_number_about(months).text, c->narrow ? "" : " months");
        mark_label(b, c, "volume", volume, c->bottom - 8, label);
    }
    if (has_even) {
        snprintf(label, sizeof label, "break-even %s", hone_number_about(even).text);
        mark_label(b, c, "even", even, c->top + TEXT_HEIGHT, label);
        hone_buffer_printf(b, "<circle class=\"even\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x_at(c, even),
                           y_at(c, hone_view_total_usd(&v->approaches[v->choose], even)));
    }
}

static void describe(hone_buffer *b, const hone_view *v)
{
    hone_buffer_puts(b, "Total cost against the number of requests, both on logarithmic scales. ");
    if (isfinite(v->break_even_requests) && v->choose >= 0 && v->break_even_against >= 0) {
        hone_html_text(b, v->approaches[v->choose].name);
        hone_buffer_puts(b, " costs less in total than ");
        hone_html_text(b, v->approaches[v->break_even_against].name);
        hone_buffer_printf(b, " after about %s requests. ", hone_number_about(v->break_even_requests).text);
    }
    hone_buffer_puts(b, "The table below has the figures.");
}

static void draw_cost(hone_buffer *b, cost_plot *c)
{
    const char *id = c->narrow ? "narrow" : "wide";
    hone_buffer_printf(
        b,
        "<svg class=\"cost %s\" role=\"img\" aria-labelledby=\"cost-title-%s cost-desc-%s\" width=\"%.0f\" "
        "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\"><title id=\"cost-title-%s\">Cost over volume</title>"
        "<desc id=\"cost-desc-%s\">",
        id, id, id, c->width, c->height, c->width, c->height, id, id);
    describe(b, c->view);
    hone_buffer_puts(b, "</desc>");
    cost_axes(b, c);
    static const char *const layers[] = {"rest", "other", "chosen"}; /* what matters is drawn last */
    for (size_t layer = 0; layer < 3; layer++)
        for (size_t i = 0; i < c->n_lines; i++)
            if (strcmp(line_class(c->view, c->lines[i].approach), layers[layer]) == 0)
                draw_line(b, c, &c->lines[i]);
    spread_labels(c);
    line_labels(b, c);
    cost_marks(b, c);
    hone_buffer_puts(b, "</svg>");
}

void hone_html_cost_chart(hone_buffer *b, const hone_view *v)
{
    cost_plot wide = {v, false, 980, 400, 56, 770, 26, 350}, narrow = {v, true, 328, 330, 50, 300, 26, 284};
    if (!set_ranges(&wide) || !set_ranges(&narrow)) {
        hone_buffer_puts(b, "<p>No operating costs were measured in this run.</p>");
        return;
    }
    draw_cost(b, &wide);
    draw_cost(b, &narrow);
    hone_buffer_puts(b, "<p class=\"narrow small\">");
    for (size_t i = 0; i < narrow.n_lines; i++) {
        hone_buffer_printf(b, "<span class=\"key\"><b>%c</b> ", (char)('A' + i % 26));
        hone_html_text(b, v->approaches[narrow.lines[i].approach].name);
        hone_buffer_puts(b, "</span> ");
    }
    hone_buffer_puts(b, "</p>");
}
