/* show.h - printing a report on the terminal as it is: its width, and colours where a person wants them. */
#ifndef HONE_CLI_SHOW_H
#define HONE_CLI_SHOW_H

#include "base/status.h"

#include <jansson.h>
#include <stdio.h>

/* The verdict of a comparison's document for people. Bold and dim only on a terminal and without NO_COLOR
 * (no-color.org: set and not empty). */
hone_status hone_show_comparison(const json_t *document, FILE *out, hone_error *err);
/* The document itself, one JSON document. */
hone_status hone_show_json(const json_t *document, FILE *out, hone_error *err);

#endif
