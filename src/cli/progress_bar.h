/* progress_bar.h - where hone_progress ends up for a person at the command line. */
#ifndef HONE_CLI_PROGRESS_BAR_H
#define HONE_CLI_PROGRESS_BAR_H

#include "base/progress.h"

/* Writes on stderr: on a terminal a bar with rate and time left, redrawn in place; elsewhere a line every 30 s.
 * Work inside work (begin within begin) shows the innermost. One object for the process, always valid; calls may come
 * from one thread at a time. */
hone_progress *hone_progress_bar(void);

#endif
