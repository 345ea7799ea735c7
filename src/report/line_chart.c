/* line_chart.c - axes with round ticks, lines, dots with whiskers, one mark. */
#include "report/line_chart.h"

#include "report/html_parts.h"

#include <math.h>
#include <stdio.h>

static const double width = 328, height = 200, left = 44, right = 318, top = 22, bottom = 164;

typedef struct frame {
    const hone_line_chart *chart;
    double x_low, x_high, y_low, y_high, y_step;
} frame;

/* 1, 2 or 5 times a power of ten, so that a range has about `wanted` steps. */
static double round_step(double range, int wanted)
{
    double step = range / wanted, power = pow(10, floor(log10(step))), part = step / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static bool has_value(const hone_chart_series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

static bool set_frame(frame *f)
{
    const hone_line_chart *c = f->chart;
    double y_low = INFINITY, y_high = -INFINITY;
    f->x_low = INFINITY;
    f->x_high = -INFINITY;
    for (size_t k = 0; k < c->n_series; k++) {
        const hone_chart_series *s = &c->series[k];
        for (size_t i = 0; i < s->n; i++) {
            if (!has_value(s, i))
                continue;
            f->x_low = fmin(f->x_low, s->x[i]);
            f->x_high = fmax(f->x_high, s->x[i]);
            y_low = fmin(y_low, s->low && isfinite(s->low[i]) ? s->low[i] : s->y[i]);
            y_high = fmax(y_high, s->high && isfinite(s->high[i]) ? s->high[i] : s->y[i]);
        }
    }
    if (!isfinite(y_low) || !isfinite(f->x_low))
        return false;
    if (c->from_zero)
        y_low = fmin(0, y_low);
    if (isfinite(c->top))
        y_high = c->top;
    if (!(y_high > y_low))
        y_high = y_low + (y_low != 0 ? fabs(y_low) * 0.1 : 1);
    if (!(f->x_high > f->x_low)) {
        f->x_low = c->logarithmic_x ? f->x_low / 2 : f->x_low - 1;
        f->x_high = c->logarithmic_x ? f->x_high * 2 : f->x_high + 1;
    }
    f->y_step = round_step(y_high - y_low, 4);
    f->y_low = floor(y_low / f->y_step + 1e-9) * f->y_step;
    f->y_high = ceil(y_high / f->y_step - 1e-9) * f->y_step;
    return true;
}

static double x_at(const frame *f, double x)
{
    double share = f->chart->logarithmic_x ? log(x / f->x_low) / log(f->x_high / f->x_low)
                                           : (x - f->x_low) / (f->x_high - f->x_low);
    return left + (right - left) * fmin(fmax(share, 0), 1);
}

static double y_at(const frame *f, double y)
{
    return bottom - (bottom - top) * fmin(fmax((y - f->y_low) / (f->y_high - f->y_low), 0), 1);
}

static void x_label(hone_buffer *b, const frame *f, double x, const char *anchor)
{
    hone_buffer_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%.0f</text>", x_at(f, x), bottom + 17, anchor,
                       x);
}

static void axes(hone_buffer *b, const frame *f)
{
    int n = (int)lround((f->y_high - f->y_low) / f->y_step);
    for (int i = 0; i <= n && n < 20; i++) {
        double value = f->y_low + i * f->y_step, y = y_at(f, value);
        bool thousands = f->y_step >= 1000;
        hone_buffer_printf(b,
                           "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                           "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.4g%s</text>",
                           left, right, y, y, left - 6, y + 4, fabs(value) < 1e-12 ? 0 : value / (thousands ? 1000 : 1),
                           thousands && i > 0 ? "k" : "");
    }
    double middle = f->chart->logarithmic_x ? sqrt(f->x_low * f->x_high) : (f->x_low + f->x_high) / 2;
    x_label(b, f, f->x_low, "start");
    if (f->x_high - f->x_low > 3)
        x_label(b, f, round(middle), "middle");
    x_label(b, f, f->x_high, "end");
    hone_buffer_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", (left + right) / 2,
                       height - 4, f->chart->x_name);
}

static void draw_line(hone_buffer *b, const frame *f, const hone_chart_series *s)
{
    bool begun = false;
    hone_buffer_printf(b, "<path class=\"line %s\" d=\"", s->class);
    for (size_t i = 0; i < s->n; i++) {
        if (!has_value(s, i))
            continue;
        hone_buffer_printf(b, "%c%.1f %.1f", begun ? 'L' : 'M', x_at(f, s->x[i]), y_at(f, s->y[i]));
        begun = true;
    }
    hone_buffer_puts(b, begun ? "\"/>" : "M0 0\"/>");
}

static void draw_dots(hone_buffer *b, const frame *f, const hone_chart_series *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!has_value(s, i))
            continue;
        double x = x_at(f, s->x[i]);
        if (s->low && s->high && isfinite(s->low[i]) && isfinite(s->high[i]))
            hone_buffer_printf(b, "<path class=\"whisker\" d=\"M%.1f %.1fL%.1f %.1f\"/>", x, y_at(f, s->low[i]), x,
                               y_at(f, s->high[i]));
        hone_buffer_printf(b, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", x, y_at(f, s->y[i]));
    }
}

void hone_line_chart_draw(hone_buffer *b, const hone_line_chart *chart)
{
    frame f = {.chart = chart};
    if (!set_frame(&f))
        return;
    hone_buffer_printf(
        b,
        "<figure class=\"small-chart\"><svg role=\"img\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f "
        "%.0f\"><title>",
        width, height, width, height);
    hone_html_text(b, chart->title);
    hone_buffer_puts(b, "</title><desc>");
    hone_html_text(b, chart->description);
    hone_buffer_printf(b, "</desc><text class=\"name other\" x=\"0\" y=\"12\">");
    hone_html_text(b, chart->title);
    hone_buffer_puts(b, "</text>");
    axes(b, &f);
    if (isfinite(chart->mark)) {
        double x = x_at(&f, chart->mark);
        hone_buffer_printf(b,
                           "<line class=\"even\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                           "<text class=\"halo even\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                           x, x, top, bottom, x > (left + right) / 2 ? x - 5 : x + 5, top + 8,
                           x > (left + right) / 2 ? "end" : "start");
        hone_html_text(b, chart->mark_name);
        hone_buffer_puts(b, "</text>");
    }
    for (size_t k = 0; k < chart->n_series; k++) {
        if (chart->series[k].line)
            draw_line(b, &f, &chart->series[k]);
        if (chart->series[k].dots)
            draw_dots(b, &f, &chart->series[k]);
    }
    hone_buffer_puts(b, "</svg><figcaption>");
    hone_html_text(b, chart->description);
    hone_buffer_puts(b, "</figcaption></figure>\n");
}
