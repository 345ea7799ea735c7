/* cancel.h - a request to stop, set by SIGINT or SIGTERM (or a caller) and polled by long work between its steps.
 * Long work that sees it saves its state and returns HONE_CANCELLED. */
#ifndef HONE_BASE_CANCEL_H
#define HONE_BASE_CANCEL_H

#include <stdbool.h>

void hone_cancel_on_signals(void); /* the first signal asks to stop; a second one ends the process at once */
void hone_cancel_request(void);
bool hone_cancel_requested(void);

#endif
