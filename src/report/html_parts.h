/* html_parts.h - the pieces that html.c assembles into a page. Private to the HTML report.
 *
 * Everything that comes from a document goes through hone_html_text or hone_html_block; there is no other way in. */
#ifndef HONE_REPORT_HTML_PARTS_H
#define HONE_REPORT_HTML_PARTS_H

#include "base/buffer.h"
#include "report/view.h"

extern const char hone_html_style[];
extern const char hone_html_script[];

/* Escaped, on one line, isolated from the direction of its neighbours by the caller's <bdi> where it is a user's text.
 */
void hone_html_text(hone_buffer *b, const char *s);
/* Escaped, line breaks kept. */
void hone_html_block(hone_buffer *b, const char *s);
/* Everything up to the body: the policy that lets only our style and script run, the title "subject: headline". */
void hone_html_head(hone_buffer *b, const char *hone, const char *subject, const char *headline);
/* "<bdi>text</bdi>". */
void hone_html_isolated(hone_buffer *b, const char *s);
/* Opens and closes a box that scrolls by itself, so that the page never scrolls sideways; keyboard-reachable. */
void hone_html_scroll_begin(hone_buffer *b, const char *label, const char *class);
void hone_html_scroll_end(hone_buffer *b);

/* Row plots: small drawings in table cells that share one axis, so that they align with the rows' text. Their x
 * coordinates are percentages of the cell's width. */
typedef struct hone_html_axis {
    double low, high, step; /* of the ticks, in the data's units */
} hone_html_axis;
hone_html_axis hone_html_score_axis(const hone_view *view);
hone_html_axis hone_html_difference_axis(const hone_view *view);
/* The tick labels, for the head of the column; points: label as signed points instead of scores. */
void hone_html_axis_labels(hone_buffer *b, hone_html_axis axis, bool points);
void hone_html_score_plot(hone_buffer *b, const hone_view *view, size_t approach, hone_html_axis axis);
void hone_html_difference_plot(hone_buffer *b, const hone_view *view, size_t pair, hone_html_axis axis);
/* The three shapes and what they mean. */
void hone_html_shape_key(hone_buffer *b);

/* Total cost over the number of requests, twice: drawn for a wide and for a narrow page; the style shows one. */
void hone_html_cost_chart(hone_buffer *b, const hone_view *view);
/* The items with every approach's answer side by side. */
void hone_html_items(hone_buffer *b, const hone_view *view);

#endif
