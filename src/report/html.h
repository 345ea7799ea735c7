/* html.h - the report as one self-contained HTML file: no network, no external font, image or script. It reads without
 * scripts; a few lines of JavaScript, allowed by their hash alone (Content-Security-Policy), add the filters and the
 * copy button. */
#ifndef HONE_REPORT_HTML_H
#define HONE_REPORT_HTML_H

#include "base/buffer.h"
#include "base/status.h"

#include <jansson.h>

hone_status hone_report_html(const json_t *document, hone_buffer *out, hone_error *err);

#endif
