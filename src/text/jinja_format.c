/* jinja_format.c - printf-style formatting ("%s" % x) and str.format ("{:.2f}".format(x)).
 *
 * Both read a specification into one struct and print through put_formatted. Grammar: Python's library reference,
 * "printf-style String Formatting" and "Format Specification Mini-Language". */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"

#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 100000, MAX_PRECISION = 400 };

typedef struct specification {
    char fill[4];
    size_t fill_length;
    char align; /* < > ^ = or 0 */
    char sign;  /* + - space or 0 */
    bool alternate, zero, percent_style;
    int64_t width;
    char grouping; /* , _ or 0 */
    int precision; /* -1: none */
    char type;     /* 0: none */
} specification;

/* sign_length bytes of `text` are sign and prefix, between which and the rest '=' puts the fill. */
static bool put_padded(jinja_run *run, hone_buffer *b, const specification *s, const char *text, size_t length,
                       size_t sign_length, char default_align)
{
    int64_t missing = s->width - (int64_t)jinja_count_chars(text, length);
    char align = s->align ? s->align : default_align;
    if (missing < 0)
        missing = 0;
    int64_t before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    int64_t inside = align == '=' ? missing : 0, after = missing - before - inside;
    bool good = true;
    for (int64_t i = 0; i < before && good; i++)
        good = jinja_put(run, b, s->fill, s->fill_length);
    good = good && jinja_put(run, b, text, sign_length);
    for (int64_t i = 0; i < inside && good; i++)
        good = jinja_put(run, b, s->fill, s->fill_length);
    good = good && jinja_put(run, b, text + sign_length, length - sign_length);
    for (int64_t i = 0; i < after && good; i++)
        good = jinja_put(run, b, s->fill, s->fill_length);
    return good;
}

static void put_sign(hone_buffer *b, bool negative, const specification *s)
{
    if (negative)
        hone_buffer_putc(b, '-');
    else if (s->sign == '+' || s->sign == ' ')
        hone_buffer_putc(b, s->sign);
}

/* The digits before the point (or the end), with a separator every `every` digits. */
static void put_grouped(hone_buffer *b, const char *digits, char separator, size_t every)
{
    size_t whole = strspn(digits, "0123456789abcdefABCDEF");
    if (every == 3)
        whole = strspn(digits, "0123456789");
    for (size_t i = 0; i < whole; i++) {
        if (separator && i && (whole - i) % every == 0)
            hone_buffer_putc(b, separator);
        hone_buffer_putc(b, digits[i]);
    }
    hone_buffer_puts(b, digits + whole);
}

static bool format_int(jinja_run *run, hone_buffer *b, const specification *s, int64_t value)
{
    hone_buffer text = {0};
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[72], *end = digits + sizeof digits - 1, *p = end;
    unsigned base = s->type == 'x' || s->type == 'X' ? 16 : s->type == 'o' ? 8 : s->type == 'b' ? 2 : 10;
    *p = 0;
    do
        *--p = (s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[magnitude % base];
    while (magnitude /= base);
    put_sign(&text, value < 0, s);
    if (s->alternate && base != 10)
        hone_buffer_printf(&text, "0%c", s->type);
    size_t sign_length = text.length;
    for (int64_t i = end - p; s->percent_style && i < s->precision; i++)
        hone_buffer_putc(&text, '0');
    put_grouped(&text, p, s->grouping, base == 10 ? 3 : 4);
    bool good = text.failed ? jinja_out_of_memory(run)
                            : put_padded(run, b, s, text.data, text.length, sign_length, s->zero ? '=' : '>');
    hone_buffer_clear(&text);
    return good;
}

static bool format_float(jinja_run *run, hone_buffer *b, const specification *s, double value)
{
    hone_buffer text = {0}, digits = {0};
    char type = s->type ? s->type : s->precision < 0 ? 'r' : 'g';
    double magnitude = fabs(value);
    int precision = s->precision < 0 ? 6 : s->precision;
    put_sign(&text, signbit(value) && !isnan(value), s);
    size_t sign_length = text.length;
    if (isnan(value) || isinf(value))
        hone_buffer_puts(&digits, isnan(value) ? (isupper((unsigned char)type) ? "NAN" : "nan")
                                               : (isupper((unsigned char)type) ? "INF" : "inf"));
    else if (type == 'r') {
        char shortest[40];
        jinja_format_float(magnitude, shortest);
        hone_buffer_puts(&digits, shortest);
    } else if (type == '%')
        hone_buffer_printf(&digits, "%.*f%%", precision, magnitude * 100);
    else if (type == 'e' || type == 'E')
        hone_buffer_printf(&digits, type == 'e' ? "%.*e" : "%.*E", precision, magnitude);
    else if (type == 'f' || type == 'F')
        hone_buffer_printf(&digits, "%.*f", precision, magnitude);
    else
        hone_buffer_printf(&digits, type == 'G' ? "%.*G" : "%.*g", precision, magnitude);
    if (!digits.failed)
        put_grouped(&text, digits.data, s->grouping, 3);
    bool good = text.failed || digits.failed
                    ? jinja_out_of_memory(run)
                    : put_padded(run, b, s, text.data, text.length, sign_length, s->zero ? '=' : '>');
    hone_buffer_clear(&text);
    hone_buffer_clear(&digits);
    return good;
}

static bool format_text(jinja_run *run, hone_buffer *b, const specification *s, const jinja_string *text)
{
    size_t length = text->length;
    if (s->precision >= 0 && (size_t)s->precision < text->chars)
        length = jinja_char_offset(text, (size_t)s->precision);
    return put_padded(run, b, s, text->data, length, 0, s->percent_style ? '>' : '<');
}

static bool format_char(jinja_run *run, hone_buffer *b, const specification *s, int64_t code)
{
    char utf8[4];
    if (code < 0 || code > 0x10FFFF)
        return jinja_raise(run, "%%c needs a code point");
    size_t n = hone_utf8_write((uint32_t)code, utf8);
    return put_padded(run, b, s, utf8, n, 0, '>');
}

/* One value under str.format's rules. */
static bool put_formatted(jinja_run *run, hone_buffer *b, const specification *s, bool plain, jinja_value v)
{
    if (plain)
        return jinja_write(run, b, v);
    if (v.kind == JINJA_STRING) {
        if (s->type && s->type != 's')
            return jinja_raise(run, "unknown format code '%c' for a str", s->type);
        return format_text(run, b, s, v.string);
    }
    if (v.kind == JINJA_FLOAT || (jinja_is_integral(v) && s->type && strchr("eEfFgG%", s->type))) {
        if (s->type && !strchr("eEfFgG%n", s->type))
            return jinja_raise(run, "unknown format code '%c' for a float", s->type);
        return format_float(run, b, s, jinja_as_double(v));
    }
    if (!jinja_is_integral(v))
        return jinja_raise(run, "unsupported format string passed to %s.__format__", jinja_type_name(v));
    if (s->precision >= 0)
        return jinja_raise(run, "precision is not allowed in an integer format");
    if (s->type == 'c')
        return format_char(run, b, s, jinja_as_int(v));
    if (s->type && !strchr("dxXobn", s->type))
        return jinja_raise(run, "unknown format code '%c' for an int", s->type);
    return format_int(run, b, s, jinja_as_int(v));
}

static bool read_number(const char **p, const char *end, int64_t limit, int64_t *out)
{
    *out = 0;
    while (*p < end && isdigit((unsigned char)**p)) {
        *out = *out * 10 + (*(*p)++ - '0');
        if (*out > limit)
            return false;
    }
    return true;
}

static bool read_specification(jinja_run *run, const char *p, size_t length, specification *s)
{
    const char *end = p + length;
    *s = (specification){.fill = " ", .fill_length = 1, .precision = -1};
    size_t width = hone_utf8_next(p, length, NULL);
    if (width && p + width < end && strchr("<>^=", p[width])) {
        memcpy(s->fill, p, width);
        s->fill_length = width;
        s->align = p[width];
        p += width + 1;
    } else if (p < end && *p && strchr("<>^=", *p))
        s->align = *p++;
    if (p < end && (*p == '+' || *p == '-' || *p == ' '))
        s->sign = *p++;
    if (p < end && *p == '#') {
        s->alternate = true;
        p++;
    }
    if (p < end && *p == '0') {
        if (!s->align) {
            s->zero = true;
            s->fill[0] = '0';
        }
        p++;
    }
    int64_t precision = -1;
    if (!read_number(&p, end, MAX_WIDTH, &s->width))
        return jinja_raise(run, "a format width above %d", MAX_WIDTH);
    if (p < end && (*p == ',' || *p == '_'))
        s->grouping = *p++;
    if (p < end && *p == '.') {
        p++;
        if (p == end || !isdigit((unsigned char)*p))
            return jinja_raise(run, "format specifier misses its precision");
        if (!read_number(&p, end, MAX_PRECISION, &precision))
            return jinja_raise(run, "a format precision above %d", MAX_PRECISION);
        s->precision = (int)precision;
    }
    if (p < end)
        s->type = *p++;
    return p == end ? true : jinja_raise(run, "invalid format specifier");
}

static bool named_argument(const jinja_arguments *all, const jinja_string *name, jinja_value *out)
{
    for (size_t i = 0; i < all->n_named; i++)
        if (all->names[i]->length == name->length && memcmp(all->names[i]->data, name->data, name->length) == 0) {
            *out = all->named[i];
            return true;
        }
    return false;
}

/* "0.name[key]" to a value. */
static bool find_field(jinja_run *run, const char *p, size_t length, const jinja_arguments *all, int64_t *automatic,
                       jinja_value *out)
{
    const char *end = p + length, *first = p;
    while (p < end && *p != '.' && *p != '[')
        p++;
    jinja_string name = {first, (size_t)(p - first), jinja_count_chars(first, (size_t)(p - first))};
    int64_t index = 0;
    const char *digits = first;
    bool numbered = read_number(&digits, p, 1000000, &index) && digits == p;
    if (name.length == 0)
        index = (*automatic)++;
    if (numbered || name.length == 0) {
        if ((size_t)index >= all->n)
            return jinja_raise(run, "replacement index %lld out of range for positional args", (long long)index);
        *out = all->positional[index];
    } else if (!named_argument(all, &name, out))
        return jinja_raise(run, "format needs an argument '%.*s'", (int)name.length, name.data);
    while (p < end) {
        bool attribute = *p++ == '.';
        const char *begin = p;
        while (p < end && (attribute ? *p != '.' && *p != '[' : *p != ']'))
            p++;
        jinja_value key;
        if (!jinja_borrow(run, begin, (size_t)(p - begin), &key))
            return false;
        digits = begin;
        if (!attribute && p > begin && read_number(&digits, p, 1000000, &index) && digits == p)
            key = jinja_int(index);
        if (attribute ? !jinja_attribute(run, *out, key.string, out) : !jinja_subscript(run, *out, key, out))
            return false;
        if (!attribute)
            p += p < end;
    }
    return true;
}

static bool format_fields(jinja_run *run, const jinja_string *format, const jinja_arguments *all, int64_t *automatic,
                          jinja_value *out);

/* The field between braces, [p, end): name, !conversion, :specification (which may hold fields itself). */
static bool put_field(jinja_run *run, hone_buffer *b, const char *p, const char *end, const jinja_arguments *all,
                      int64_t *automatic)
{
    const char *name_end = p;
    int brackets = 0;
    while (name_end < end && (brackets || (*name_end != '!' && *name_end != ':'))) {
        brackets += (*name_end == '[') - (*name_end == ']' && brackets);
        name_end++;
    }
    jinja_value v;
    if (!find_field(run, p, (size_t)(name_end - p), all, automatic, &v))
        return false;
    p = name_end;
    hone_buffer text = {0};
    bool good = true;
    if (p < end && *p == '!') {
        if (p + 1 == end || (p[1] != 'r' && p[1] != 's' && p[1] != 'a') || (p + 2 < end && p[2] != ':'))
            return jinja_raise(run, "a format conversion must be !r, !s or !a");
        good = p[1] == 's' ? jinja_write(run, &text, v) : jinja_write_repr(run, &text, v);
        good = good && jinja_take(run, &text, &v);
        p += 2;
    }
    specification s = {0};
    bool plain = p >= end || p + 1 == end;
    if (good && !plain) {
        jinja_string source = {p + 1, (size_t)(end - p - 1), 0};
        jinja_value spec;
        if (memchr(source.data, '{', source.length))
            good = format_fields(run, &source, all, automatic, &spec);
        else
            good = jinja_borrow(run, source.data, source.length, &spec);
        good = good && read_specification(run, spec.string->data, spec.string->length, &s);
    }
    good = good && put_formatted(run, b, &s, plain, v);
    hone_buffer_clear(&text);
    return good;
}

static bool format_fields(jinja_run *run, const jinja_string *format, const jinja_arguments *all, int64_t *automatic,
                          jinja_value *out)
{
    hone_buffer b = {0};
    const char *p = format->data, *end = p + format->length;
    bool good = jinja_enter(run);
    if (!good)
        return false;
    while (good && p < end) {
        if (*p != '{' && *p != '}') {
            const char *begin = p;
            while (p < end && *p != '{' && *p != '}')
                p++;
            good = jinja_put(run, &b, begin, (size_t)(p - begin));
        } else if (p + 1 < end && p[1] == *p) {
            good = jinja_put(run, &b, p, 1);
            p += 2;
        } else if (*p == '}')
            good = jinja_raise(run, "single '}' encountered in format string");
        else {
            const char *begin = ++p;
            int open = 1;
            while (p < end && open) {
                open += (*p == '{') - (*p == '}');
                p++;
            }
            good = open ? jinja_raise(run, "single '{' encountered in format string")
                        : put_field(run, &b, begin, p - 1, all, automatic);
        }
    }
    jinja_leave(run);
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

bool jinja_format_braces(jinja_run *run, const jinja_string *format, const jinja_arguments *all, jinja_value *out)
{
    int64_t automatic = 0;
    return format_fields(run, format, all, &automatic, out);
}

/* "%(name)"; JINJA_MISSING when the next of the tuple is meant. */
static bool percent_value(jinja_run *run, const char **p, const char *end, jinja_value values, size_t *next,
                          jinja_value *v)
{
    if (*p < end && **p == '(') {
        const char *close = memchr(*p, ')', (size_t)(end - *p));
        jinja_value key, *found;
        if (!close || values.kind != JINJA_DICT)
            return jinja_raise(run, "format requires a mapping");
        if (!jinja_borrow(run, *p + 1, (size_t)(close - *p - 1), &key) ||
            !jinja_dict_get(run, values.dict, key, &found))
            return false;
        if (!found)
            return jinja_raise(run, "'%.*s' is not among the values to format", (int)key.string->length,
                               key.string->data);
        *v = *found;
        *p = close + 1;
        *next = SIZE_MAX;
    } else
        *v = jinja_missing();
    return true;
}

static bool next_percent(jinja_run *run, jinja_value values, size_t *next, jinja_value *v)
{
    bool tuple = jinja_is_sequence_of(values, JINJA_TUPLE);
    if (*next >= (tuple ? values.sequence->n : 1))
        return jinja_raise(run, "not enough arguments for format string");
    *v = tuple ? values.sequence->items[*next] : values;
    ++*next;
    return true;
}

static bool put_percent(jinja_run *run, hone_buffer *b, const char **at, const char *end, jinja_value values,
                        size_t *next)
{
    const char *p = *at;
    jinja_value v;
    int64_t number = -1;
    specification s = {.fill = " ", .fill_length = 1, .precision = -1, .percent_style = true};
    if (!percent_value(run, &p, end, values, next, &v))
        return false;
    for (; p < end && *p && strchr("-+ 0#", *p); p++) {
        if (*p == '-')
            s.align = '<';
        else if (*p == '0')
            s.zero = true;
        else if (*p == '#')
            s.alternate = true;
        else if (s.sign != '+')
            s.sign = *p;
    }
    if (!read_number(&p, end, MAX_WIDTH, &s.width))
        return jinja_raise(run, "a format width above %d", MAX_WIDTH);
    if (p < end && *p == '.') {
        p++;
        if (!read_number(&p, end, MAX_PRECISION, &number))
            return jinja_raise(run, "a format precision above %d", MAX_PRECISION);
        s.precision = (int)number;
    }
    while (p < end && (*p == 'l' || *p == 'h'))
        p++;
    if (p == end)
        return jinja_raise(run, "incomplete format");
    s.type = *p++;
    *at = p;
    if (s.type == '%')
        return jinja_put(run, b, "%", 1);
    if (v.kind == JINJA_MISSING && !next_percent(run, values, next, &v))
        return false;
    if (s.type == 's' || s.type == 'r' || s.type == 'a' || (s.type == 'c' && v.kind == JINJA_STRING)) {
        hone_buffer text = {0};
        bool good = (s.type == 'r' || s.type == 'a' ? jinja_write_repr(run, &text, v) : jinja_write(run, &text, v)) &&
                    jinja_take(run, &text, &v) && format_text(run, b, &s, v.string);
        hone_buffer_clear(&text);
        return good;
    }
    if (v.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, v);
    if (!strchr("diuxXoceEfFgG", s.type))
        return jinja_raise(run, "unsupported format character '%c'", s.type);
    if (!jinja_is_number(v))
        return jinja_raise(run, "%%%c format: a number is required, not %s", s.type, jinja_type_name(v));
    if (s.zero && !s.align)
        s.fill[0] = '0';
    if (strchr("eEfFgG", s.type))
        return format_float(run, b, &s, jinja_as_double(v));
    if (v.kind == JINJA_FLOAT && !(fabs(v.real) < 0x1p62))
        return jinja_raise(run, "%%%c format: the number is too large", s.type);
    if (v.kind == JINJA_FLOAT && !strchr("diu", s.type))
        return jinja_raise(run, "%%%c format: an integer is required, not float", s.type);
    int64_t integer = v.kind == JINJA_FLOAT ? (int64_t)v.real : jinja_as_int(v);
    return s.type == 'c' ? format_char(run, b, &s, integer) : format_int(run, b, &s, integer);
}

bool jinja_format_percent(jinja_run *run, jinja_value format, jinja_value values, jinja_value *out)
{
    hone_buffer b = {0};
    const char *p = format.string->data, *end = p + format.string->length;
    size_t next = 0;
    bool good = true;
    while (good && p < end) {
        const char *percent = memchr(p, '%', (size_t)(end - p));
        good = jinja_put(run, &b, p, (size_t)((percent ? percent : end) - p));
        p = percent ? percent + 1 : end;
        if (percent && good)
            good = put_percent(run, &b, &p, end, values, &next);
    }
    bool tuple = jinja_is_sequence_of(values, JINJA_TUPLE);
    /* What can be subscribed counts as a mapping to Python, and a mapping need not be used up. */
    bool mapping = values.kind == JINJA_DICT || values.kind == JINJA_UNDEFINED ||
                   jinja_is_sequence_of(values, JINJA_LIST) || jinja_is_sequence_of(values, JINJA_RANGE);
    if (good && !mapping && next < (tuple ? values.sequence->n : 1))
        good = jinja_raise(run, "not all arguments converted during string formatting");
    if (good && jinja_take(run, &b, out)) {
        out->detail = format.detail;
        return true;
    }
    hone_buffer_clear(&b);
    return false;
}
