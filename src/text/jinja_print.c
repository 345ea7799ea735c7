/* jinja_print.c - str(), repr() and HTML escapes. Floats print as the shortest decimal that reads back the same. */
#include "text/jinja_print.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

void jinja_format_float(double d, char out[40])
{
    if (isnan(d) || isinf(d)) {
        strcpy(out, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    char scientific[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(scientific, sizeof scientific, "%.*e", digits - 1, d);
        if (strtod(scientific, NULL) == d)
            break;
    }
    int exponent = atoi(strchr(scientific, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *e = strchr(scientific, 'e');
        *e = 0;
        snprintf(out, 40, "%.26se%c%02d", scientific, exponent < 0 ? '-' : '+', abs(exponent) % 1000);
        return;
    }
    int significant = 0;
    for (const char *p = scientific; *p != 'e'; p++)
        significant += *p >= '0' && *p <= '9';
    int decimals = significant - 1 - exponent;
    snprintf(out, 40, "%.*f", decimals > 1 ? decimals : 1, d);
}

/* Python's str.isprintable for one code point. */
static bool is_printable(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return c == ' ';
    default:
        return true;
    }
}

static bool repr_text(jinja_run *run, hone_buffer *b, const jinja_string *s)
{
    bool single = memchr(s->data, '\'', s->length) != NULL, twice = memchr(s->data, '"', s->length) != NULL;
    char quote = single && !twice ? '"' : '\'';
    if (!jinja_put(run, b, &quote, 1))
        return false;
    for (size_t i = 0, width; i < s->length; i += width) {
        uint32_t c = 0;
        width = hone_utf8_next(s->data + i, s->length - i, &c);
        if (width == 0)
            return jinja_raise(run, "a text is not valid UTF-8");
        char escape[16] = "";
        if (c == (uint32_t)quote || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!is_printable(c))
            snprintf(escape, sizeof escape, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        if (!jinja_put(run, b, escape[0] ? escape : s->data + i, escape[0] ? strlen(escape) : width))
            return false;
    }
    return jinja_put(run, b, &quote, 1);
}

static bool repr_items(jinja_run *run, hone_buffer *b, const jinja_sequence *s, const char *open, const char *close)
{
    if (!jinja_puts(run, b, open))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if ((i && !jinja_puts(run, b, ", ")) || !jinja_write_repr(run, b, s->items[i]))
            return false;
    if (s->kind == JINJA_TUPLE && s->n == 1 && !jinja_puts(run, b, ","))
        return false;
    return jinja_puts(run, b, close);
}

static bool repr_sequence(jinja_run *run, hone_buffer *b, const jinja_sequence *s)
{
    char text[96];
    switch (s->kind) {
    case JINJA_LIST:
        return repr_items(run, b, s, "[", "]");
    case JINJA_TUPLE:
        return repr_items(run, b, s, "(", ")");
    case JINJA_KEYS:
        return repr_items(run, b, s, "dict_keys([", "])");
    case JINJA_VALUES:
        return repr_items(run, b, s, "dict_values([", "])");
    case JINJA_ITEMS:
        return repr_items(run, b, s, "dict_items([", "])");
    case JINJA_RANGE:
        snprintf(text, sizeof text, s->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)", (long long)s->start,
                 (long long)s->stop, (long long)s->step);
        return jinja_puts(run, b, text);
    default:
        return jinja_puts(run, b, "<generator object>");
    }
}

static bool repr_dict(jinja_run *run, hone_buffer *b, const jinja_dict *d)
{
    if (!jinja_puts(run, b, "{"))
        return false;
    for (size_t i = 0; i < d->n; i++)
        if ((i && !jinja_puts(run, b, ", ")) || !jinja_write_repr(run, b, d->entries[i].key) ||
            !jinja_puts(run, b, ": ") || !jinja_write_repr(run, b, d->entries[i].value))
            return false;
    return jinja_puts(run, b, "}");
}

static bool repr_any(jinja_run *run, hone_buffer *b, jinja_value v)
{
    char text[64];
    switch ((jinja_kind)v.kind) {
    case JINJA_MISSING:
        return true;
    case JINJA_UNDEFINED:
        return jinja_puts(run, b, "Undefined");
    case JINJA_NONE:
        return jinja_puts(run, b, "None");
    case JINJA_BOOL:
        return jinja_puts(run, b, v.boolean ? "True" : "False");
    case JINJA_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.integer);
        return jinja_puts(run, b, text);
    case JINJA_FLOAT:
        jinja_format_float(v.real, text);
        return jinja_puts(run, b, text);
    case JINJA_STRING:
        if (v.detail)
            return jinja_puts(run, b, "Markup(") && repr_text(run, b, v.string) && jinja_puts(run, b, ")");
        return repr_text(run, b, v.string);
    case JINJA_SEQUENCE:
        return repr_sequence(run, b, v.sequence);
    case JINJA_DICT:
        return repr_dict(run, b, v.dict);
    case JINJA_NAMESPACE:
        return jinja_puts(run, b, "<Namespace ") && repr_dict(run, b, v.dict) && jinja_puts(run, b, ">");
    case JINJA_LOOP:
        return jinja_puts(run, b, "<LoopContext>");
    default:
        return jinja_puts(run, b, "<function>");
    }
}

bool jinja_write_repr(jinja_run *run, hone_buffer *b, jinja_value v)
{
    if (!jinja_enter(run))
        return false;
    bool good = repr_any(run, b, v);
    jinja_leave(run);
    return good;
}

bool jinja_write(jinja_run *run, hone_buffer *b, jinja_value v)
{
    if (v.kind == JINJA_STRING)
        return jinja_put(run, b, v.string->data, v.string->length);
    if (v.kind == JINJA_UNDEFINED)
        return true;
    return jinja_write_repr(run, b, v);
}

bool jinja_to_text(jinja_run *run, jinja_value v, jinja_value *out)
{
    if (v.kind == JINJA_STRING) {
        *out = v;
        return true;
    }
    hone_buffer b = {0};
    if (jinja_write(run, &b, v))
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

bool jinja_escape(jinja_run *run, jinja_value v, jinja_value *out)
{
    if (!jinja_to_text(run, v, &v))
        return false;
    hone_buffer b = {0};
    bool good = true, changed = false;
    for (size_t i = 0; i < v.string->length && good && !v.detail; i++) {
        char c = v.string->data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        changed |= entity != NULL;
        good = entity ? jinja_puts(run, &b, entity) : jinja_put(run, &b, &c, 1);
    }
    if (good && changed)
        good = jinja_take(run, &b, &v);
    hone_buffer_clear(&b);
    *out = v;
    out->detail = 1;
    return good;
}
