/* line_chart.h - small charts of something over steps (or over anything that grows), 328 by 200 CSS pixels: as wide as
 * a phone, and three of them side by side on a wide page. Colours come from the style sheet by class. */
#ifndef HONE_REPORT_LINE_CHART_H
#define HONE_REPORT_LINE_CHART_H

#include "base/buffer.h"

#include <stddef.h>

enum { HONE_CHART_MAX_SERIES = 4 };

typedef struct hone_chart_series {
    const char *class; /* of the line: "chosen", "other" (dashed), "rest" (thin) */
    bool dots, line;   /* what is drawn */
    const double *x, *y;
    const double *low, *high; /* whiskers, or NULL */
    size_t n;
} hone_chart_series;

typedef struct hone_line_chart {
    const char *title, *description; /* description: what the chart shows, in a sentence, for who cannot see it */
    const char *x_name;
    bool from_zero; /* the vertical axis begins at 0 */
    bool logarithmic_x;
    double top;  /* the vertical axis ends here; NAN: by the data */
    double mark; /* a vertical line at this x with a label; NAN: none */
    const char *mark_name;
    hone_chart_series series[HONE_CHART_MAX_SERIES];
    size_t n_series;
} hone_line_chart;

/* Points that are not finite are left out; with none at all nothing is drawn. */
void hone_line_chart_draw(hone_buffer *b, const hone_line_chart *chart);

#endif
