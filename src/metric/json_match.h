/* json_match.h - comparing JSON by meaning: order of keys does not matter, order in arrays does, 1 equals 1.0.
 * Duplicate keys make a text unreadable; depth is limited by jansson (2,048). */
#ifndef HONE_METRIC_JSON_MATCH_H
#define HONE_METRIC_JSON_MATCH_H

#include "base/status.h"

#include <jansson.h>

/* The whole text as one JSON value, or NULL. The caller owns it. */
json_t *hone_json_read(const char *text);
/* The first object or array inside the text that can be read (after prose, in a code fence), or NULL. */
json_t *hone_json_find(const char *text);
bool hone_json_same(const json_t *a, const json_t *b);
/* F1 over leaves: a leaf is a path ("name", array positions not told apart) with its value. 1 when both have none. */
hone_status hone_json_field_f1(const json_t *answer, const json_t *reference, double *out, hone_error *err);

#endif
