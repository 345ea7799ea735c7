/* terminal.h - the verdict as a person reads it in a terminal (UX's layout), at most 100 columns; a narrow terminal
 * gets fewer columns of the table and shorter lines, never fewer sentences. */
#ifndef HONE_REPORT_TERMINAL_H
#define HONE_REPORT_TERMINAL_H

#include "base/buffer.h"
#include "base/status.h"

#include <jansson.h>

typedef struct hone_terminal_style {
    int columns; /* of the terminal; 0: 100. Taken as 40 to 100. */
    bool colour; /* escape sequences for bold and dim; false where NO_COLOR is set or the output is not a terminal */
} hone_terminal_style;

hone_status hone_report_terminal(const json_t *document, hone_terminal_style style, hone_buffer *out, hone_error *err);

#endif
