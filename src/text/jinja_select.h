/* jinja_select.h - the attribute paths that map, select, sort, join and others take. */
#ifndef HONE_TEXT_JINJA_SELECT_H
#define HONE_TEXT_JINJA_SELECT_H

#include "text/jinja_value.h"

/* item["a"]["b"] for "a.b"; digits are indices; an integer path is one index. */
bool jinja_dotted_attribute(jinja_run *run, jinja_value item, jinja_value path, jinja_value *out);

#endif
