/* jinja_print.h - values to text: str(), repr(), JSON, HTML escapes, printf-style and str.format formatting. */
#ifndef HONE_TEXT_JINJA_PRINT_H
#define HONE_TEXT_JINJA_PRINT_H

#include "text/jinja_value.h"

/* What {{ value }} prints (Python's str). */
bool jinja_write(jinja_run *run, hone_buffer *b, jinja_value v);
/* Python's repr, as values appear inside a printed list. */
bool jinja_write_repr(jinja_run *run, hone_buffer *b, jinja_value v);
/* str(v) as a value; a string stays the object it is. */
bool jinja_to_text(jinja_run *run, jinja_value v, jinja_value *out);
/* The shortest decimal form that reads back as `d`, written as Python writes it. */
void jinja_format_float(double d, char out[40]);

typedef struct jinja_json_style {
    bool ensure_ascii, sort_keys;
    const jinja_string *indent;                         /* one level of it, or NULL for one line */
    const jinja_string *item_separator, *key_separator; /* NULL: as Python's json.dumps */
} jinja_json_style;
bool jinja_write_json(jinja_run *run, hone_buffer *b, jinja_value v, const jinja_json_style *style);

/* & < > ' " as HTML entities, the result marked safe; a string that is marked safe is left alone. */
bool jinja_escape(jinja_run *run, jinja_value v, jinja_value *out);

/* format % values: `values` is a tuple, a dict or one value. */
bool jinja_format_percent(jinja_run *run, jinja_value format, jinja_value values, jinja_value *out);

#endif
