/* jinja_filters_select.c - map, select, reject and their attribute forms: filters that apply other filters and tests.
 */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_select.h"

#include <ctype.h>
#include <string.h>

#define FILTER(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

bool jinja_dotted_attribute(jinja_run *run, jinja_value item, jinja_value path, jinja_value *out)
{
    if (path.kind != JINJA_STRING)
        return jinja_subscript(run, item, path, out);
    const char *p = path.string->data, *end = p + path.string->length;
    *out = item;
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        size_t length = (size_t)((dot ? dot : end) - p), digits = 0;
        int64_t index = 0;
        while (digits < length && digits < 10 && isdigit((unsigned char)p[digits]))
            index = index * 10 + (p[digits++] - '0');
        jinja_value key;
        if (length && digits == length)
            key = jinja_int(index);
        else if (!jinja_borrow(run, p, length, &key))
            return false;
        if (!jinja_subscript(run, *out, key, out))
            return false;
        if (!dot)
            return true;
        p = dot + 1;
    }
}

/* The arguments without the first `skip` positional ones. */
static jinja_arguments rest_of(const jinja_arguments *all, size_t skip)
{
    jinja_arguments rest = *all;
    if (skip)
        rest.positional += skip;
    rest.n -= skip;
    return rest;
}

static bool named(const jinja_arguments *all, const char *name, jinja_value *out)
{
    for (size_t i = 0; i < all->n_named; i++)
        if (jinja_text_is(all->names[i], name)) {
            *out = all->named[i];
            return true;
        }
    return false;
}

/* Of an empty value Jinja2 does not even look at the arguments. */
static bool nothing(jinja_run *run, jinja_value *out)
{
    jinja_sequence *s = jinja_sequence_new(run, JINJA_GENERATOR, 0);
    if (s)
        *out = jinja_of_sequence(s);
    return s != NULL;
}

/* map('filter', args...) or map(attribute='a.b', default=x). */
FILTER(filter_map)
{
    (void)p;
    jinja_value *items, path = jinja_missing(), fallback = jinja_none();
    size_t n;
    const jinja_builtin *filter = NULL;
    jinja_arguments rest = {0};
    if (!jinja_truth(self))
        return nothing(run, out);
    if (all->n == 0) {
        bool with_default = named(all, "default", &fallback);
        if (!named(all, "attribute", &path))
            return jinja_raise(run, "map requires a filter argument");
        if (all->n_named > (with_default ? 2 : 1))
            return jinja_raise(run, "map got an unexpected keyword argument");
    } else {
        const jinja_value name = all->positional[0];
        if (name.kind != JINJA_STRING || !(filter = jinja_find_filter(name.string)))
            return jinja_raise(run, "no filter named '%.*s'", name.kind == JINJA_STRING ? (int)name.string->length : 0,
                               name.kind == JINJA_STRING ? name.string->data : "");
        rest = rest_of(all, 1);
    }
    if (!jinja_iterate(run, self, &items, &n) || !jinja_enter(run))
        return false;
    jinja_sequence *s = jinja_sequence_new(run, JINJA_GENERATOR, n);
    bool good = s != NULL;
    for (size_t i = 0; i < n && good; i++) {
        if (filter)
            good = jinja_call_builtin(run, filter, items[i], &rest, &s->items[i]);
        else {
            good = jinja_dotted_attribute(run, items[i], path, &s->items[i]);
            if (good && s->items[i].kind == JINJA_UNDEFINED && fallback.kind != JINJA_NONE)
                s->items[i] = fallback;
        }
    }
    jinja_leave(run);
    if (good)
        *out = jinja_of_sequence(s);
    return good;
}

static bool pick(jinja_run *run, jinja_value self, const jinja_arguments *all, bool by_attribute, bool wanted,
                 jinja_value *out)
{
    jinja_value *items, verdict;
    size_t n, used = by_attribute;
    const jinja_builtin *test = NULL;
    if (!jinja_truth(self))
        return nothing(run, out);
    if (by_attribute && all->n == 0)
        return jinja_raise(run, "missing parameter for attribute name");
    jinja_arguments rest = rest_of(all, used);
    if (rest.n) {
        const jinja_value name = rest.positional[0];
        if (name.kind != JINJA_STRING || !(test = jinja_find_test(name.string)))
            return jinja_raise(run, "no test named '%.*s'", name.kind == JINJA_STRING ? (int)name.string->length : 0,
                               name.kind == JINJA_STRING ? name.string->data : "");
        rest = rest_of(&rest, 1);
    }
    if (!jinja_iterate(run, self, &items, &n))
        return false;
    jinja_sequence *s = jinja_sequence_new(run, JINJA_GENERATOR, n);
    if (!s)
        return false;
    s->n = 0;
    for (size_t i = 0; i < n; i++) {
        jinja_value v = items[i];
        if (by_attribute && !jinja_dotted_attribute(run, v, all->positional[0], &v))
            return false;
        if (!test)
            verdict = v;
        else if (!jinja_call_builtin(run, test, v, &rest, &verdict))
            return false;
        if (jinja_truth(verdict) == wanted)
            s->items[s->n++] = items[i];
    }
    *out = jinja_of_sequence(s);
    return true;
}

FILTER(filter_select)
{
    (void)p;
    return pick(run, self, all, false, true, out);
}

FILTER(filter_reject)
{
    (void)p;
    return pick(run, self, all, false, false, out);
}

FILTER(filter_selectattr)
{
    (void)p;
    return pick(run, self, all, true, true, out);
}

FILTER(filter_rejectattr)
{
    (void)p;
    return pick(run, self, all, true, false, out);
}

/* |attr looks for an attribute only, never for an item. */
FILTER(filter_attr)
{
    (void)all;
    const jinja_string *name;
    if (!jinja_argument_text(run, p[0], "", &name))
        return false;
    if (self.kind == JINJA_DICT && !jinja_find_in(jinja_object_methods_of_dict, name)) {
        *out = jinja_undefined(JINJA_NO_ATTRIBUTE, name);
        out->owner = self.kind;
        return true;
    }
    return jinja_attribute(run, self, name, out);
}

const jinja_builtin jinja_select_filters[] = {
    {"map", filter_map, NULL, 0},
    {"select", filter_select, NULL, 0},
    {"reject", filter_reject, NULL, 0},
    {"selectattr", filter_selectattr, NULL, 0},
    {"rejectattr", filter_rejectattr, NULL, 0},
    {"attr", filter_attr, "name", 1},
    {NULL, NULL, NULL, 0},
};
