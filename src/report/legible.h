/* legible.h - text of unknown origin made safe to show: on a terminal, in a page, in Markdown.
 *
 * Rows and answers are hostile: escape sequences, bidirectional overrides, broken UTF-8. What could act on the reader's
 * screen instead of being read is replaced by something visible. Names and numbers keep their bytes. */
#ifndef HONE_REPORT_LEGIBLE_H
#define HONE_REPORT_LEGIBLE_H

#include "base/buffer.h"

typedef enum hone_legible_shape {
    HONE_LEGIBLE_LINE, /* one line: line breaks and tabs become a space */
    HONE_LEGIBLE_BLOCK /* line breaks and tabs stay */
} hone_legible_shape;

/* The next visible piece of `s` (one code point or its replacement) into out[16], NUL-terminated; returns the bytes of
 * s it stands for, 0 at the end. Control characters become their pictures (U+2400 block), bidirectional controls
 * "[U+202E]", a broken byte U+FFFD. */
size_t hone_legible_next(const char *s, hone_legible_shape shape, char out[16]);

void hone_legible_append(hone_buffer *b, const char *s, hone_legible_shape shape);
/* The same with & < > " ' as entities: fit for element content and for quoted attributes. */
void hone_legible_append_html(hone_buffer *b, const char *s, hone_legible_shape shape);
/* The same on one line with Markdown's active characters escaped; fit for a table cell. */
void hone_legible_append_markdown(hone_buffer *b, const char *s);

/* Terminal columns that the text takes (0 for combining marks, 2 for wide characters). */
size_t hone_legible_width(const char *s);
/* At most `columns` columns of the text on one line, the last one an ellipsis when something was cut; then blanks up to
 * `columns` when pad is set. */
void hone_legible_fit(hone_buffer *b, const char *s, size_t columns, bool pad);
/* Breaks the text at spaces into lines of at most `width` columns; the first line starts at column `at`, later ones are
 * indented by `indent` blanks. Ends without a line break. */
void hone_legible_wrap(hone_buffer *b, const char *s, size_t at, size_t indent, size_t width);

#endif
