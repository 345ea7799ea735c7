/* line_reader.h - lines that a person types or a pipe brings. */
#ifndef HONE_CLI_LINE_READER_H
#define HONE_CLI_LINE_READER_H

#include "base/buffer.h"

typedef enum hone_line { HONE_LINE_READ, HONE_LINE_END, HONE_LINE_INTERRUPTED } hone_line;

/* From now on Ctrl-C sets a mark instead of asking the program to end. */
void hone_interrupt_begin(void);
/* Was Ctrl-C pressed since the mark was last taken? Takes it. */
bool hone_interrupt_take(void);

/* True when a person sits at standard input. */
bool hone_line_reader_is_terminal(void);
/* One line of standard input without its end, after showing the prompt on a terminal. HONE_LINE_INTERRUPTED: Ctrl-C.
 * HONE_LINE_END also when the program was asked to end. Lines of any length; a NUL byte becomes a blank. */
hone_line hone_line_read(const char *prompt, hone_buffer *out);

#endif
