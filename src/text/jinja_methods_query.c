/* jinja_methods_query.c - methods of str that answer a question: where, how often, does it start with, is it ... */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"

#include "base/text.h"

#include <string.h>

#include <utf8proc.h>

#define METHOD(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

/* self[start:stop] for the optional arguments at p[1] and p[2]; *offset counts the characters before it, and *inside is
 * false when start lies behind the end, where not even "" is found. */
static bool window(jinja_run *run, jinja_value self, const jinja_value *p, jinja_value *out, size_t *offset,
                   bool *inside)
{
    jinja_value start = p[1].kind == JINJA_MISSING ? jinja_none() : p[1];
    jinja_value stop = p[2].kind == JINJA_MISSING ? jinja_none() : p[2];
    *offset = 0;
    *inside = true;
    *out = self;
    if (start.kind == JINJA_NONE && stop.kind == JINJA_NONE)
        return true;
    int64_t n = (int64_t)self.string->chars, from = jinja_is_integral(start) ? jinja_as_int(start) : 0;
    *inside = from <= n;
    from = from < 0 ? (from < -n ? 0 : from + n) : from;
    *offset = (size_t)(from > n ? n : from);
    return jinja_slice(run, self, start, stop, jinja_none(), out);
}

static bool needle(jinja_run *run, jinja_value v, const jinja_string **out)
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

/* Index in characters of the first (or last) occurrence, -1 when there is none. */
static bool find(jinja_run *run, jinja_value self, const jinja_value *p, bool last, int64_t *out)
{
    const jinja_string *what, *s;
    jinja_value part;
    size_t offset;
    bool inside;
    *out = -1;
    if (!needle(run, p[0], &what) || !window(run, self, p, &part, &offset, &inside))
        return false;
    s = part.string;
    if (!jinja_spend(run, s->length * (last ? 8 : 1)))
        return false;
    if (!inside || what->length > s->length)
        return true;
    const char *found = NULL;
    if (what->length == 0)
        found = s->data + (last ? s->length : 0);
    else if (!last)
        found = memmem(s->data, s->length, what->data, what->length);
    else
        for (const char *at = s->data + s->length - what->length; at >= s->data && !found; at--)
            found = memcmp(at, what->data, what->length) == 0 ? at : NULL;
    if (found)
        *out = (int64_t)(offset + jinja_count_chars(s->data, (size_t)(found - s->data)));
    return true;
}

METHOD(string_find)
{
    (void)all;
    *out = jinja_int(-1);
    return find(run, self, p, false, &out->integer);
}

METHOD(string_rfind)
{
    (void)all;
    *out = jinja_int(-1);
    return find(run, self, p, true, &out->integer);
}

METHOD(string_index)
{
    return string_find(run, self, p, all, out) && (out->integer >= 0 || jinja_raise(run, "substring not found"));
}

METHOD(string_rindex)
{
    return string_rfind(run, self, p, all, out) && (out->integer >= 0 || jinja_raise(run, "substring not found"));
}

METHOD(string_count)
{
    (void)all;
    const jinja_string *what;
    jinja_value part;
    size_t offset;
    bool inside;
    int64_t n = 0;
    if (!needle(run, p[0], &what) || !window(run, self, p, &part, &offset, &inside) ||
        !jinja_spend(run, part.string->length))
        return false;
    const char *at = part.string->data, *end = at + part.string->length;
    if (what->length == 0)
        n = inside ? (int64_t)part.string->chars + 1 : 0;
    else
        while ((at = memmem(at, (size_t)(end - at), what->data, what->length))) {
            n++;
            at += what->length;
        }
    *out = jinja_int(n);
    return true;
}

static bool has_end(const jinja_string *s, const jinja_string *what, bool at_end)
{
    return what->length <= s->length &&
           memcmp(s->data + (at_end ? s->length - what->length : 0), what->data, what->length) == 0;
}

static bool starts_or_ends(jinja_run *run, jinja_value self, const jinja_value *p, bool at_end, jinja_value *out)
{
    jinja_value part, one = p[0];
    const jinja_value *candidates = &one;
    const jinja_string *what;
    size_t offset, n = 1;
    bool inside;
    if (!window(run, self, p, &part, &offset, &inside))
        return false;
    if (jinja_is_sequence_of(one, JINJA_TUPLE)) {
        candidates = one.sequence->items;
        n = one.sequence->n;
    }
    *out = jinja_bool(false);
    for (size_t i = 0; i < n; i++) {
        if (!needle(run, candidates[i], &what))
            return false;
        if (inside && has_end(part.string, what, at_end))
            *out = jinja_bool(true);
    }
    return true;
}

METHOD(string_startswith)
{
    (void)all;
    return starts_or_ends(run, self, p, false, out);
}

METHOD(string_endswith)
{
    (void)all;
    return starts_or_ends(run, self, p, true, out);
}

static bool is_letter(utf8proc_category_t c)
{
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

static bool is_digit(utf8proc_category_t c)
{
    return c == UTF8PROC_CATEGORY_ND;
}

static bool is_numeric(utf8proc_category_t c)
{
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

static bool is_alphanumeric(utf8proc_category_t c)
{
    return is_letter(c) || is_numeric(c);
}

/* True when there is a character and all are such. */
static bool every(jinja_run *run, const jinja_string *s, bool (*is)(utf8proc_category_t c), bool space,
                  jinja_value *out)
{
    bool all = s->length > 0;
    if (!jinja_spend(run, s->length))
        return false;
    for (size_t i = 0, width; i < s->length && all; i += width) {
        uint32_t c = 0;
        width = hone_utf8_next(s->data + i, s->length - i, &c);
        all = width && (space ? jinja_is_space(c) : is(utf8proc_category((utf8proc_int32_t)c)));
    }
    *out = jinja_bool(all);
    return true;
}

#define METHOD_OF_EVERY(name, is, space)                                                                               \
    METHOD(name)                                                                                                       \
    {                                                                                                                  \
        (void)p, (void)all;                                                                                            \
        return every(run, self.string, is, space, out);                                                                \
    }

METHOD_OF_EVERY(string_isalpha, is_letter, false)
METHOD_OF_EVERY(string_isdigit, is_digit, false)
METHOD_OF_EVERY(string_isnumeric, is_numeric, false)
METHOD_OF_EVERY(string_isalnum, is_alphanumeric, false)
METHOD_OF_EVERY(string_isspace, NULL, true)

METHOD(string_isascii)
{
    (void)run, (void)p, (void)all;
    *out = jinja_bool(self.string->chars == self.string->length);
    return true;
}

static bool test_case(jinja_run *run, jinja_value self, const char *test, jinja_value *out)
{
    jinja_string name = {test, 5, 5};
    static const jinja_arguments none;
    return jinja_call_builtin(run, jinja_find_test(&name), self, &none, out);
}

METHOD(string_isupper)
{
    (void)p, (void)all;
    return test_case(run, self, "upper", out);
}

METHOD(string_islower)
{
    (void)p, (void)all;
    return test_case(run, self, "lower", out);
}

const jinja_builtin jinja_string_queries[] = {
    {"find", string_find, "sub start end", 1},
    {"rfind", string_rfind, "sub start end", 1},
    {"index", string_index, "sub start end", 1},
    {"rindex", string_rindex, "sub start end", 1},
    {"count", string_count, "sub start end", 1},
    {"startswith", string_startswith, "prefix start end", 1},
    {"endswith", string_endswith, "suffix start end", 1},
    {"isalpha", string_isalpha, "", 0},
    {"isdigit", string_isdigit, "", 0},
    {"isdecimal", string_isdigit, "", 0},
    {"isnumeric", string_isnumeric, "", 0},
    {"isalnum", string_isalnum, "", 0},
    {"isspace", string_isspace, "", 0},
    {"isascii", string_isascii, "", 0},
    {"isupper", string_isupper, "", 0},
    {"islower", string_islower, "", 0},
    {NULL, NULL, NULL, 0},
};
