/* framing.h - contextual framing: a text with {{fields}} of a row.
 *
 * "Customer since {{since}}, plan {{ plan }}." takes the values from the row's JSON object. Strict: a field that the
 * row does not have, one that is no text, number or truth value, the answer itself, and "{{" without "}}" are errors
 * that name the row's file and line. A field's text is inserted as it is, never expanded again. */
#ifndef HONE_PROMPT_FRAMING_H
#define HONE_PROMPT_FRAMING_H

#include "base/buffer.h"
#include "task/task.h"

/* Appends the expanded text. */
hone_status hone_framing_expand(const char *text, const hone_row *row, hone_buffer *out, hone_error *err);
/* Whether the text uses the field. */
bool hone_framing_uses(const char *text, const char *field);

#endif
