/* markdown.h - the report as Markdown (GitHub's tables), for a pull request or a wiki: the same facts in the same
 * order. */
#ifndef HONE_REPORT_MARKDOWN_H
#define HONE_REPORT_MARKDOWN_H

#include "base/buffer.h"
#include "base/status.h"

#include <jansson.h>

hone_status hone_report_markdown(const json_t *document, hone_buffer *out, hone_error *err);

#endif
