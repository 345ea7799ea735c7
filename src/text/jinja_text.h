/* jinja_text.h - operations on strings that filters and methods share. Results are copies or borrow from the input. */
#ifndef HONE_TEXT_JINJA_TEXT_H
#define HONE_TEXT_JINJA_TEXT_H

#include "text/jinja_value.h"

typedef enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_TITLE, JINJA_CAPITALIZE, JINJA_SWAP } jinja_case;

/* Python's upper(), lower(), title(), capitalize(), swapcase(). */
bool jinja_change_case(jinja_run *run, const jinja_string *s, jinja_case how, jinja_value *out);
/* Python's strip family; chars NULL: white space. */
bool jinja_strip(jinja_run *run, const jinja_string *s, const jinja_string *chars, bool left, bool right,
                 jinja_value *out);
/* At most `count` times; negative: all. */
bool jinja_replace(jinja_run *run, const jinja_string *s, const jinja_string *old, const jinja_string *replacement,
                   int64_t count, jinja_value *out);
/* Python's splitlines(). */
bool jinja_split_lines(jinja_run *run, const jinja_string *s, bool keep_ends, jinja_sequence **out);
/* Python's center(), ljust() and rjust(): side 0, -1, 1. */
bool jinja_pad(jinja_run *run, const jinja_string *s, int64_t width, const jinja_string *fill, int side,
               jinja_value *out);
/* Python's int(text, base) and float(text); false when it is not such a number. */
bool jinja_read_int(const jinja_string *s, int base, int64_t *out);
bool jinja_read_float(const jinja_string *s, double *out);

#endif
