/* template.h - chat templates: hone's own interpreter of the Jinja language as chat templates use it.
 *
 * Behaves as Jinja2 does in the environment that transformers sets up: trim_blocks, lstrip_blocks, loop controls,
 * tojson without HTML escapes, raise_exception, strftime_now, {% generation %}, and the immutable sandbox (a template
 * cannot change a list or a dict of its context, so `append` and its like raise). Templates and contexts are hostile
 * input: nesting, recursion, steps, memory and output are limited (limits in jinja_run.h). */
#ifndef HONE_TEXT_TEMPLATE_H
#define HONE_TEXT_TEMPLATE_H

#include "base/buffer.h"
#include "base/status.h"

#include <jansson.h>

typedef struct hone_template hone_template;

/* Compiles `length` bytes of UTF-8. HONE_BAD_FORMAT with line and cause on a syntax error, HONE_UNSUPPORTED naming an
 * unknown statement, filter or test. The source is not kept. */
hone_status hone_template_create(const char *source, size_t length, hone_template **out, hone_error *err);
void hone_template_free(hone_template *t);

typedef struct hone_template_options {
    const char *bos_token, *eos_token, *unk_token, *pad_token; /* NULL: not defined */
    const char *now_iso8601; /* what strftime_now sees, "2024-07-26T12:00:00"; NULL: the clock, local time */
} hone_template_options;

/* Renders with a JSON object: {"messages":[...], "tools"?, "add_generation_prompt"?, any further variables}. `tools`
 * and `documents` are none unless given; a variable of the context wins over one of the options. Appends to `out`,
 * which is left as it was on failure. options may be NULL. HONE_BAD_INPUT when the template raises (raise_exception, a
 * use of an undefined value, a limit), with line and message. A compiled template may be rendered by several threads at
 * once. */
hone_status hone_template_render(const hone_template *t, const json_t *context, const hone_template_options *options,
                                 hone_buffer *out, hone_error *err);

/* Byte ranges [begin, end) of the rendered text that lie inside {% generation %} blocks, in order. */
typedef struct hone_template_span {
    size_t begin, end;
} hone_template_span;

typedef struct hone_template_spans {
    hone_template_span *items; /* owned */
    size_t n, capacity;
} hone_template_spans;

void hone_template_spans_clear(hone_template_spans *spans);

/* As hone_template_render, and sets `assistant_spans` (offsets count from where this rendering began in `out`). A block
 * inside a macro or another captured text has no place of its own yet and is not listed. */
hone_status hone_template_render_spans(const hone_template *t, const json_t *context,
                                       const hone_template_options *options, hone_buffer *out,
                                       hone_template_spans *assistant_spans, hone_error *err);

/* True when the template has a {% generation %} block at all. */
bool hone_template_marks_generation(const hone_template *t);

/* The Jinja source of hone's `plain` template for base models: the system text (role and instruction), a blank line,
 * then "Input: ..." and "Output:" per user turn; an answer ends at a blank line (or where the model ends). */
const char *hone_template_plain(void);

#endif
