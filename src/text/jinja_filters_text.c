/* jinja_filters_text.c - filters on text and numbers. Parameters and defaults are those of Jinja2's filters. */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"
#include "text/jinja_text.h"

#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define FILTER(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

/* Results keep the "safe" mark of what they were made from. */
static bool keep_mark(bool good, jinja_value from, jinja_value *out)
{
    if (good && from.kind == JINJA_STRING && out->kind == JINJA_STRING)
        out->detail = from.detail;
    return good;
}

static bool cased(jinja_run *run, jinja_value self, jinja_case how, jinja_value *out)
{
    jinja_value s;
    return jinja_to_text(run, self, &s) && keep_mark(jinja_change_case(run, s.string, how, out), s, out);
}

FILTER(filter_upper)
{
    (void)p, (void)all;
    return cased(run, self, JINJA_UPPER, out);
}

FILTER(filter_lower)
{
    (void)p, (void)all;
    return cased(run, self, JINJA_LOWER, out);
}

FILTER(filter_capitalize)
{
    (void)p, (void)all;
    return cased(run, self, JINJA_CAPITALIZE, out);
}

/* Unlike str.title: words begin after white space, - ( { [ < only, so "it's" stays one word. */
FILTER(filter_title)
{
    (void)p, (void)all;
    jinja_value s, piece, part;
    hone_buffer b = {0};
    if (!jinja_to_text(run, self, &s))
        return false;
    const char *data = s.string->data, *end = data + s.string->length;
    bool good = true;
    while (data < end && good) {
        const char *stop = data;
        uint32_t c = 0;
        size_t width;
        bool begins = true;
        do { /* one word, with the separators that follow it */
            width = hone_utf8_next(stop, (size_t)(end - stop), &c);
            bool separator = jinja_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c));
            if (begins && separator)
                begins = false;
            else if (!begins && !separator)
                break;
            stop += width ? width : 1;
        } while (stop < end);
        width = hone_utf8_next(data, (size_t)(end - data), NULL);
        good = jinja_borrow(run, data, width, &piece) && jinja_change_case(run, piece.string, JINJA_UPPER, &part) &&
               jinja_put(run, &b, part.string->data, part.string->length) &&
               jinja_borrow(run, data + width, (size_t)(stop - data) - width, &piece) &&
               jinja_change_case(run, piece.string, JINJA_LOWER, &part) &&
               jinja_put(run, &b, part.string->data, part.string->length);
        data = stop;
    }
    if (good)
        return keep_mark(jinja_take(run, &b, out), s, out);
    hone_buffer_clear(&b);
    return false;
}

FILTER(filter_trim)
{
    (void)all;
    jinja_value s, chars = {0};
    bool given = p[0].kind != JINJA_MISSING && p[0].kind != JINJA_NONE;
    if (!jinja_to_text(run, self, &s) || (given && !jinja_to_text(run, p[0], &chars)))
        return false;
    return keep_mark(jinja_strip(run, s.string, given ? chars.string : NULL, true, true, out), s, out);
}

FILTER(filter_replace)
{
    (void)all;
    jinja_value s;
    const jinja_string *old, *replacement;
    int64_t count;
    return jinja_to_text(run, self, &s) && jinja_argument_text(run, p[0], "", &old) &&
           jinja_argument_text(run, p[1], "", &replacement) && jinja_argument_int(run, p[2], -1, &count) &&
           jinja_replace(run, s.string, old, replacement, count, out);
}

/* Jinja2's: every line but the first gets the indention, empty ones only with `blank`. */
FILTER(filter_indent)
{
    (void)all;
    jinja_value s;
    jinja_sequence *lines;
    int64_t width = 0;
    hone_buffer indention = {0}, b = {0};
    bool first = jinja_truth(p[1]), blank = jinja_truth(p[2]);
    if (self.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, self);
    if (self.kind != JINJA_STRING)
        return jinja_raise(run, "indent needs a string, not '%s'", jinja_type_name(self));
    s = self;
    if (!jinja_split_lines(run, s.string, false, &lines))
        return false;
    bool good = true;
    if (p[0].kind == JINJA_STRING)
        good = jinja_put(run, &indention, p[0].string->data, p[0].string->length);
    else
        good = jinja_argument_int(run, p[0], 4, &width);
    for (int64_t i = 0; i < width && good; i++)
        good = jinja_put(run, &indention, " ", 1);
    /* The filter adds a newline before it splits, so a text that ends in one keeps it as an empty last line. */
    bool open_end = s.string->length && memchr("\n\v\f", s.string->data[s.string->length - 1], 3);
    size_t n = lines->n + (lines->n == 0 || open_end);
    for (size_t i = 0; i < n && good; i++) {
        const jinja_string *line = i < lines->n ? lines->items[i].string : NULL;
        good = i == 0 || jinja_put(run, &b, "\n", 1);
        if (good && (i == 0 ? first : blank || (line && line->length)))
            good = jinja_put(run, &b, indention.data, indention.length);
        if (good && line)
            good = jinja_put(run, &b, line->data, line->length);
    }
    good = good && keep_mark(jinja_take(run, &b, out), s, out);
    hone_buffer_clear(&b);
    hone_buffer_clear(&indention);
    return good;
}

FILTER(filter_center)
{
    (void)all;
    static const jinja_string space = {" ", 1, 1};
    jinja_value s;
    int64_t width;
    return jinja_to_text(run, self, &s) && jinja_argument_int(run, p[0], 80, &width) &&
           keep_mark(jinja_pad(run, s.string, width, &space, 0, out), s, out);
}

FILTER(filter_truncate)
{
    (void)all;
    jinja_value s, from_start = jinja_none(), cut;
    int64_t length, leeway;
    const jinja_string *end;
    if (!jinja_to_text(run, self, &s) || !jinja_argument_int(run, p[0], 255, &length) ||
        !jinja_argument_text(run, p[2], "...", &end) || !jinja_argument_int(run, p[3], 5, &leeway))
        return false;
    if (length < (int64_t)end->chars || leeway < 0)
        return jinja_raise(run, "truncate needs a length of at least %zu", end->chars);
    if (length > (int64_t)JINJA_MAX_STRING_BYTES || (int64_t)s.string->chars <= length + leeway) {
        *out = s;
        return true;
    }
    if (!jinja_slice(run, s, from_start, jinja_int(length - (int64_t)end->chars), from_start, &cut))
        return false;
    size_t n = cut.string->length;
    const char *space = jinja_truth(p[1]) ? NULL : memrchr(cut.string->data, ' ', n);
    hone_buffer b = {0};
    if (jinja_put(run, &b, cut.string->data, space ? (size_t)(space - cut.string->data) : n) &&
        jinja_put(run, &b, end->data, end->length))
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

FILTER(filter_wordcount)
{
    (void)p, (void)all;
    jinja_value s;
    int64_t words = 0;
    bool inside = false;
    if (!jinja_to_text(run, self, &s))
        return false;
    for (size_t i = 0, width; i < s.string->length; i += width ? width : 1) {
        uint32_t c = 0;
        width = hone_utf8_next(s.string->data + i, s.string->length - i, &c);
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
        bool word = c == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
                    (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
        words += word && !inside;
        inside = word;
    }
    *out = jinja_int(words);
    return true;
}

FILTER(filter_string)
{
    (void)p, (void)all;
    return jinja_to_text(run, self, out);
}

FILTER(filter_escape)
{
    (void)p, (void)all;
    return jinja_escape(run, self, out);
}

FILTER(filter_force_escape)
{
    (void)p, (void)all;
    if (self.kind == JINJA_STRING)
        self.detail = 0;
    return jinja_escape(run, self, out);
}

FILTER(filter_safe)
{
    (void)p, (void)all;
    if (!jinja_to_text(run, self, out))
        return false;
    out->detail = 1;
    return true;
}

FILTER(filter_format)
{
    (void)p;
    jinja_value s, values;
    if (!jinja_to_text(run, self, &s))
        return false;
    if (all->n && all->n_named)
        return jinja_raise(run, "can't handle positional and keyword arguments at the same time");
    if (all->n_named) {
        jinja_dict *d = jinja_dict_new(run);
        for (size_t i = 0; d && i < all->n_named; i++)
            if (!jinja_dict_set(run, d, jinja_text(all->names[i]), all->named[i]))
                return false;
        values = jinja_of_dict(d);
        return d && jinja_format_percent(run, s, values, out);
    }
    jinja_sequence *tuple = jinja_sequence_new(run, JINJA_TUPLE, all->n);
    if (!tuple)
        return false;
    if (all->n)
        memcpy(tuple->items, all->positional, all->n * sizeof *tuple->items);
    return jinja_format_percent(run, s, jinja_of_sequence(tuple), out);
}

static bool quote_url(jinja_run *run, hone_buffer *b, const jinja_string *s, bool query)
{
    for (size_t i = 0; i < s->length; i++) {
        unsigned char c = (unsigned char)s->data[i];
        char code[4];
        if (query && c == ' ')
            strcpy(code, "+");
        else if (isalnum(c) || strchr(query ? "_.-~" : "_.-~/", c))
            snprintf(code, sizeof code, "%c", c);
        else
            snprintf(code, sizeof code, "%%%02X", c);
        if (!jinja_puts(run, b, c ? code : "%00"))
            return false;
    }
    return true;
}

FILTER(filter_urlencode)
{
    (void)p, (void)all;
    hone_buffer b = {0};
    jinja_value text;
    bool good = true;
    if (self.kind == JINJA_DICT) {
        for (size_t i = 0; i < self.dict->n && good; i++)
            good = (i == 0 || jinja_puts(run, &b, "&")) && jinja_to_text(run, self.dict->entries[i].key, &text) &&
                   quote_url(run, &b, text.string, true) && jinja_puts(run, &b, "=") &&
                   jinja_to_text(run, self.dict->entries[i].value, &text) && quote_url(run, &b, text.string, true);
    } else
        good = jinja_to_text(run, self, &text) && quote_url(run, &b, text.string, false);
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

/* transformers' tojson: json.dumps(x, ensure_ascii=False, indent, separators, sort_keys), no HTML escapes. */
FILTER(filter_tojson)
{
    (void)all;
    jinja_json_style style = {.ensure_ascii = jinja_truth(p[0]), .sort_keys = jinja_truth(p[3])};
    jinja_value indent, *pair;
    int64_t width;
    size_t n;
    if (p[1].kind == JINJA_STRING)
        style.indent = p[1].string;
    else if (p[1].kind != JINJA_MISSING && p[1].kind != JINJA_NONE) {
        static const jinja_string space = {" ", 1, 1};
        if (!jinja_argument_int(run, p[1], 0, &width) ||
            !jinja_arithmetic(run, JINJA_MULTIPLY, jinja_text(&space), jinja_int(width), &indent))
            return false;
        style.indent = indent.string;
    }
    if (p[2].kind != JINJA_MISSING && p[2].kind != JINJA_NONE) {
        if (!jinja_iterate(run, p[2], &pair, &n))
            return false;
        if (n != 2 || pair[0].kind != JINJA_STRING || pair[1].kind != JINJA_STRING)
            return jinja_raise(run, "tojson: separators must be two strings");
        style.item_separator = pair[0].string;
        style.key_separator = pair[1].string;
    }
    hone_buffer b = {0};
    if (jinja_write_json(run, &b, self, &style))
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

FILTER(filter_int)
{
    (void)all;
    int64_t base, i;
    double d;
    *out = p[0].kind == JINJA_MISSING ? jinja_int(0) : p[0];
    if (!jinja_argument_int(run, p[1], 10, &base))
        return false;
    if (self.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, self);
    if (jinja_is_integral(self))
        *out = jinja_int(jinja_as_int(self));
    else if (self.kind == JINJA_STRING && jinja_read_int(self.string, (int)base, &i))
        *out = jinja_int(i);
    else if (self.kind == JINJA_FLOAT || (self.kind == JINJA_STRING && jinja_read_float(self.string, &d))) {
        d = self.kind == JINJA_FLOAT ? self.real : d;
        if (isfinite(d) && fabs(d) >= 0x1p63)
            return jinja_raise(run, "int: the number does not fit 64 bits");
        if (isfinite(d))
            *out = jinja_int((int64_t)d);
    }
    return true;
}

FILTER(filter_float)
{
    (void)all;
    double d;
    *out = p[0].kind == JINJA_MISSING ? jinja_float(0) : p[0];
    if (self.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, self);
    if (jinja_is_number(self))
        *out = jinja_float(jinja_as_double(self));
    else if (self.kind == JINJA_STRING && jinja_read_float(self.string, &d))
        *out = jinja_float(d);
    return true;
}

FILTER(filter_round)
{
    (void)all;
    int64_t precision;
    const jinja_string *method;
    if (!jinja_argument_int(run, p[0], 0, &precision) || !jinja_argument_text(run, p[1], "common", &method))
        return false;
    bool up = jinja_text_is(method, "ceil"), down = jinja_text_is(method, "floor");
    if (!up && !down && !jinja_text_is(method, "common"))
        return jinja_raise(run, "method must be common, ceil or floor");
    if (self.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, self);
    if (!jinja_is_number(self))
        return jinja_raise(run, "type %s doesn't define __round__ method", jinja_type_name(self));
    if (precision < -18 || precision > 60)
        return jinja_raise(run, "round: a precision of %lld is out of range", (long long)precision);
    if (up || down) {
        double scale = pow(10, (double)precision), d = jinja_as_double(self) * scale;
        *out = jinja_float((up ? ceil(d) : floor(d)) / scale);
        return true;
    }
    if (jinja_is_integral(self) && precision >= 0) {
        *out = jinja_int(jinja_as_int(self));
        return true;
    }
    char text[512]; /* printf rounds the exact binary value half to even, as Python does */
    double d = jinja_as_double(self), unit = pow(10, (double)-precision);
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, d);
        d = strtod(text, NULL);
    } else
        d = nearbyint(d / unit) * unit;
    *out = jinja_is_integral(self) ? jinja_int((int64_t)d) : jinja_float(d);
    return true;
}

FILTER(filter_abs)
{
    (void)p, (void)all;
    if (self.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, self);
    if (!jinja_is_number(self))
        return jinja_raise(run, "bad operand type for abs(): '%s'", jinja_type_name(self));
    return jinja_negate(run, self, jinja_as_double(self) < 0 || (self.kind == JINJA_FLOAT && signbit(self.real)), out);
}

FILTER(filter_filesizeformat)
{
    (void)all;
    static const char *const names[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
                                            {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    bool binary = jinja_truth(p[0]);
    double base = binary ? 1024 : 1000, bytes, unit = base;
    char text[64];
    if (jinja_is_number(self))
        bytes = jinja_as_double(self);
    else if (self.kind != JINJA_STRING || !jinja_read_float(self.string, &bytes))
        return jinja_raise(run, "filesizeformat: not a number");
    size_t i = 0;
    for (; i < 7 && bytes >= unit * base; i++)
        unit *= base;
    if (bytes == 1)
        snprintf(text, sizeof text, "1 Byte");
    else if (bytes < base)
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes));
    else
        snprintf(text, sizeof text, "%.1f %s", bytes / unit, names[binary][i]);
    return jinja_copy(run, text, strlen(text), out);
}

FILTER(filter_default)
{
    (void)all;
    *out = self;
    if (self.kind == JINJA_UNDEFINED || (jinja_truth(p[1]) && !jinja_truth(self))) {
        if (p[0].kind == JINJA_MISSING)
            return jinja_literal(run, "", out);
        *out = p[0];
    }
    return true;
}

const jinja_builtin jinja_text_filters[] = {
    {"upper", filter_upper, "", 0},
    {"lower", filter_lower, "", 0},
    {"capitalize", filter_capitalize, "", 0},
    {"title", filter_title, "", 0},
    {"trim", filter_trim, "chars", 0},
    {"replace", filter_replace, "old new count", 2},
    {"indent", filter_indent, "width first blank", 0},
    {"center", filter_center, "width", 0},
    {"truncate", filter_truncate, "length killwords end leeway", 0},
    {"wordcount", filter_wordcount, "", 0},
    {"string", filter_string, "", 0},
    {"escape", filter_escape, "", 0},
    {"e", filter_escape, "", 0},
    {"forceescape", filter_force_escape, "", 0},
    {"safe", filter_safe, "", 0},
    {"format", filter_format, NULL, 0},
    {"urlencode", filter_urlencode, "", 0},
    {"tojson", filter_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"int", filter_int, "default base", 0},
    {"float", filter_float, "default", 0},
    {"round", filter_round, "precision method", 0},
    {"abs", filter_abs, "", 0},
    {"filesizeformat", filter_filesizeformat, "binary", 0},
    {"default", filter_default, "default_value boolean", 0},
    {"d", filter_default, "default_value boolean", 0},
    {NULL, NULL, NULL, 0},
};
