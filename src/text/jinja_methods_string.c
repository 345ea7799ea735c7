/* jinja_methods_string.c - methods of str that make new strings or lists of them. */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"
#include "text/jinja_text.h"

#include "base/text.h"

#include <string.h>

#define METHOD(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

/* An argument that must be a string. */
static bool text_argument(jinja_run *run, jinja_value v, const jinja_string **out)
{
    static const jinja_string empty = {"", 0, 0};
    *out = &empty; /* so that it is never unset, also where the compiler cannot see that raising returns false */
    if (v.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, v);
    if (v.kind != JINJA_STRING)
        return jinja_raise(run, "must be str, not %s", jinja_type_name(v));
    *out = v.string;
    return true;
}

static bool given(jinja_value v)
{
    return v.kind != JINJA_MISSING && v.kind != JINJA_NONE;
}

static bool keep_mark(bool good, jinja_value self, jinja_value *out)
{
    if (good)
        out->detail = self.detail;
    return good;
}

#define METHOD_OF_CASE(name, how)                                                                                      \
    METHOD(name)                                                                                                       \
    {                                                                                                                  \
        (void)p, (void)all;                                                                                            \
        return keep_mark(jinja_change_case(run, self.string, how, out), self, out);                                    \
    }

METHOD_OF_CASE(string_upper, JINJA_UPPER)
METHOD_OF_CASE(string_lower, JINJA_LOWER)
METHOD_OF_CASE(string_title, JINJA_TITLE)
METHOD_OF_CASE(string_capitalize, JINJA_CAPITALIZE)
METHOD_OF_CASE(string_swapcase, JINJA_SWAP)

static bool strip(jinja_run *run, jinja_value self, jinja_value chars, bool left, bool right, jinja_value *out)
{
    const jinja_string *set = NULL;
    if (given(chars) && !text_argument(run, chars, &set))
        return false;
    return keep_mark(jinja_strip(run, self.string, set, left, right, out), self, out);
}

METHOD(string_strip)
{
    (void)all;
    return strip(run, self, p[0], true, true, out);
}

METHOD(string_lstrip)
{
    (void)all;
    return strip(run, self, p[0], true, false, out);
}

METHOD(string_rstrip)
{
    (void)all;
    return strip(run, self, p[0], false, true, out);
}

METHOD(string_replace)
{
    (void)all;
    const jinja_string *old, *replacement;
    int64_t count;
    return text_argument(run, p[0], &old) && text_argument(run, p[1], &replacement) &&
           jinja_argument_int(run, p[2], -1, &count) &&
           keep_mark(jinja_replace(run, self.string, old, replacement, count, out), self, out);
}

/* The pieces of a split, collected from either end. */
typedef struct pieces {
    jinja_value *items;
    size_t n, capacity;
} pieces;

static bool add_piece(jinja_run *run, pieces *out, const char *begin, const char *end, unsigned char mark)
{
    if (out->n == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 8;
        jinja_value *items = jinja_alloc_array(run, capacity, sizeof *items);
        if (!items)
            return false;
        if (out->n)
            memcpy(items, out->items, out->n * sizeof *items);
        out->items = items;
        out->capacity = capacity;
    }
    if (!jinja_borrow(run, begin, (size_t)(end - begin), &out->items[out->n]))
        return false;
    out->items[out->n++].detail = mark;
    return true;
}

static const char *find_last(const char *begin, const char *end, const jinja_string *s)
{
    for (const char *p = end - s->length; p >= begin && end - begin >= (ptrdiff_t)s->length; p--)
        if (memcmp(p, s->data, s->length) == 0)
            return p;
    return NULL;
}

static bool split_by(jinja_run *run, jinja_value self, const jinja_string *separator, int64_t limit, bool from_right,
                     pieces *out)
{
    const char *begin = self.string->data, *end = begin + self.string->length;
    if (separator->length == 0)
        return jinja_raise(run, "empty separator");
    if (!jinja_spend(run, from_right ? self.string->length * 8 : self.string->length))
        return false;
    while (limit < 0 || limit-- > 0) {
        const char *found = from_right ? find_last(begin, end, separator)
                                       : memmem(begin, (size_t)(end - begin), separator->data, separator->length);
        if (!found)
            break;
        if (!(from_right ? add_piece(run, out, found + separator->length, end, self.detail)
                         : add_piece(run, out, begin, found, self.detail)))
            return false;
        if (from_right)
            end = found;
        else
            begin = found + separator->length;
    }
    return add_piece(run, out, begin, end, self.detail);
}

/* The white space character that ends at `end`, or begins at `begin`: its bytes, 0 when there is none. */
static size_t space_before(const char *begin, const char *end)
{
    const char *last = end - (end > begin);
    uint32_t c = 0;
    while (last > begin && (*last & 0xC0) == 0x80)
        last--;
    size_t width = hone_utf8_next(last, (size_t)(end - last), &c);
    return width && jinja_is_space(c) ? width : 0;
}

static size_t space_after(const char *begin, const char *end)
{
    uint32_t c = 0;
    size_t width = hone_utf8_next(begin, (size_t)(end - begin), &c);
    return width && jinja_is_space(c) ? width : 0;
}

static bool split_at_space(jinja_run *run, jinja_value self, int64_t limit, bool from_right, pieces *out)
{
    const char *begin = self.string->data, *end = begin + self.string->length;
    size_t width;
    for (;;) {
        while (from_right ? (width = space_before(begin, end)) : (width = space_after(begin, end))) {
            begin += from_right ? 0 : width;
            end -= from_right ? width : 0;
        }
        if (begin == end)
            return true;
        if (limit >= 0 && limit-- == 0)
            break;
        const char *stop = from_right ? end : begin;
        if (from_right) {
            while (stop > begin && !space_before(begin, stop))
                stop--;
            if (!add_piece(run, out, stop, end, self.detail))
                return false;
            end = stop;
        } else {
            while (stop < end && !space_after(stop, end))
                stop++;
            if (!add_piece(run, out, begin, stop, self.detail))
                return false;
            begin = stop;
        }
    }
    while (from_right ? (width = space_before(begin, end)) : 0)
        end -= width;
    return add_piece(run, out, begin, end, self.detail);
}

static bool split(jinja_run *run, jinja_value self, const jinja_value *p, bool from_right, jinja_value *out)
{
    const jinja_string *separator = NULL;
    int64_t limit;
    pieces found = {0};
    if (!jinja_argument_int(run, p[1], -1, &limit))
        return false;
    if (given(p[0])
            ? !text_argument(run, p[0], &separator) || !split_by(run, self, separator, limit, from_right, &found)
            : !split_at_space(run, self, limit, from_right, &found))
        return false;
    jinja_sequence *s = jinja_sequence_new(run, JINJA_LIST, found.n);
    if (!s)
        return false;
    for (size_t i = 0; i < found.n; i++)
        s->items[i] = found.items[from_right ? found.n - 1 - i : i];
    *out = jinja_of_sequence(s);
    return true;
}

METHOD(string_split)
{
    (void)all;
    return split(run, self, p, false, out);
}

METHOD(string_rsplit)
{
    (void)all;
    return split(run, self, p, true, out);
}

METHOD(string_splitlines)
{
    (void)all;
    jinja_sequence *lines;
    if (!jinja_split_lines(run, self.string, jinja_truth(p[0]), &lines))
        return false;
    *out = jinja_of_sequence(lines);
    return true;
}

static bool partition(jinja_run *run, jinja_value self, jinja_value by, bool from_right, jinja_value *out)
{
    const jinja_string *separator, *s = self.string;
    if (!text_argument(run, by, &separator))
        return false;
    if (separator->length == 0)
        return jinja_raise(run, "empty separator");
    const char *begin = s->data, *end = begin + s->length;
    const char *found =
        from_right ? find_last(begin, end, separator) : memmem(begin, s->length, separator->data, separator->length);
    const char *cut = found ? found : from_right ? begin : end;
    const char *after = found ? found + separator->length : cut;
    jinja_sequence *parts = jinja_sequence_new(run, JINJA_TUPLE, 3);
    if (!parts || !jinja_borrow(run, begin, (size_t)(cut - begin), &parts->items[0]) ||
        !jinja_borrow(run, cut, (size_t)(after - cut), &parts->items[1]) ||
        !jinja_borrow(run, after, (size_t)(end - after), &parts->items[2]))
        return false;
    *out = jinja_of_sequence(parts);
    return true;
}

METHOD(string_partition)
{
    (void)all;
    return partition(run, self, p[0], false, out);
}

METHOD(string_rpartition)
{
    (void)all;
    return partition(run, self, p[0], true, out);
}

METHOD(string_join)
{
    (void)all;
    jinja_value *items;
    size_t n;
    hone_buffer b = {0};
    if (!jinja_iterate(run, p[0], &items, &n))
        return false;
    bool good = true;
    for (size_t i = 0; i < n && good; i++) {
        if (items[i].kind != JINJA_STRING)
            good = jinja_raise(run, "sequence item %zu: expected str instance, %s found", i, jinja_type_name(items[i]));
        good = good && (i == 0 || jinja_put(run, &b, self.string->data, self.string->length)) &&
               jinja_put(run, &b, items[i].string->data, items[i].string->length);
    }
    if (good)
        return keep_mark(jinja_take(run, &b, out), self, out);
    hone_buffer_clear(&b);
    return false;
}

METHOD(string_format)
{
    (void)p;
    return keep_mark(jinja_format_braces(run, self.string, all, out), self, out);
}

static bool pad(jinja_run *run, jinja_value self, const jinja_value *p, int side, jinja_value *out)
{
    static const jinja_string space = {" ", 1, 1};
    const jinja_string *fill = &space;
    int64_t width;
    if (!jinja_argument_int(run, p[0], 0, &width) || (given(p[1]) && !text_argument(run, p[1], &fill)))
        return false;
    return keep_mark(jinja_pad(run, self.string, width, fill, side, out), self, out);
}

METHOD(string_center)
{
    (void)all;
    return pad(run, self, p, 0, out);
}

METHOD(string_ljust)
{
    (void)all;
    return pad(run, self, p, -1, out);
}

METHOD(string_rjust)
{
    (void)all;
    return pad(run, self, p, 1, out);
}

METHOD(string_zfill)
{
    (void)all;
    static const jinja_string zero = {"0", 1, 1};
    int64_t width;
    jinja_value rest, padded;
    const jinja_string *s = self.string;
    size_t sign = s->length && (s->data[0] == '-' || s->data[0] == '+');
    if (!jinja_argument_int(run, p[0], 0, &width) || !jinja_borrow(run, s->data + sign, s->length - sign, &rest) ||
        !jinja_pad(run, rest.string, width - (int64_t)sign, &zero, 1, &padded))
        return false;
    hone_buffer b = {0};
    if (jinja_put(run, &b, s->data, sign) && jinja_put(run, &b, padded.string->data, padded.string->length))
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

METHOD(string_removeprefix)
{
    (void)all;
    const jinja_string *prefix, *s = self.string;
    if (!text_argument(run, p[0], &prefix))
        return false;
    size_t n = prefix->length <= s->length && memcmp(s->data, prefix->data, prefix->length) == 0 ? prefix->length : 0;
    return keep_mark(jinja_borrow(run, s->data + n, s->length - n, out), self, out);
}

METHOD(string_removesuffix)
{
    (void)all;
    const jinja_string *suffix, *s = self.string;
    if (!text_argument(run, p[0], &suffix))
        return false;
    size_t n = suffix->length;
    bool ends = n <= s->length && memcmp(s->data + s->length - n, suffix->data, n) == 0;
    return keep_mark(jinja_borrow(run, s->data, s->length - (ends ? n : 0), out), self, out);
}

METHOD(string_expandtabs)
{
    (void)all;
    hone_buffer b = {0};
    int64_t size, column = 0;
    if (!jinja_argument_int(run, p[0], 8, &size))
        return false;
    bool good = true;
    for (size_t i = 0; i < self.string->length && good; i++) {
        char c = self.string->data[i];
        if (c != '\t') {
            good = jinja_put(run, &b, &c, 1);
            column = c == '\n' || c == '\r' ? 0 : column + ((c & 0xC0) != 0x80);
            continue;
        }
        for (int64_t k = size > 0 ? size - column % size : 0; k > 0 && good; k--, column++)
            good = jinja_put(run, &b, " ", 1);
    }
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

const jinja_builtin jinja_string_methods[] = {
    {"upper", string_upper, "", 0},
    {"lower", string_lower, "", 0},
    {"casefold", string_lower, "", 0},
    {"title", string_title, "", 0},
    {"capitalize", string_capitalize, "", 0},
    {"swapcase", string_swapcase, "", 0},
    {"strip", string_strip, "chars", 0},
    {"lstrip", string_lstrip, "chars", 0},
    {"rstrip", string_rstrip, "chars", 0},
    {"replace", string_replace, "old new count", 2},
    {"split", string_split, "sep maxsplit", 0},
    {"rsplit", string_rsplit, "sep maxsplit", 0},
    {"splitlines", string_splitlines, "keepends", 0},
    {"partition", string_partition, "sep", 1},
    {"rpartition", string_rpartition, "sep", 1},
    {"join", string_join, "iterable", 1},
    {"format", string_format, NULL, 0},
    {"center", string_center, "width fillchar", 1},
    {"ljust", string_ljust, "width fillchar", 1},
    {"rjust", string_rjust, "width fillchar", 1},
    {"zfill", string_zfill, "width", 1},
    {"removeprefix", string_removeprefix, "prefix", 1},
    {"removesuffix", string_removesuffix, "suffix", 1},
    {"expandtabs", string_expandtabs, "tabsize", 0},
    {NULL, NULL, NULL, 0},
};
