/* line_editor.h - a line typed at a terminal: moving in it, editing it, calling earlier ones back. */
#ifndef HONE_CLI_LINE_EDITOR_H
#define HONE_CLI_LINE_EDITOR_H

#include "cli/line_reader.h"

/* True when a person sits at both ends, at a terminal that can move its cursor; the first call takes the terminal.
 * False: lines come as they are. */
bool hone_line_editor_begin(void);
/* As hone_line_read. What was typed stays in memory until the end and is written nowhere. */
hone_line hone_line_editor_read(const char *prompt, hone_buffer *out);
/* Gives the terminal back as it was; may be called without a beginning. */
void hone_line_editor_end(void);

#endif
