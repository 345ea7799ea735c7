/* jinja_globals.c - functions that every template can call: range, dict, namespace, cycler, joiner, and transformers'
 * raise_exception and strftime_now. */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define GLOBAL(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

GLOBAL(global_range)
{
    (void)self, (void)p;
    int64_t bounds[3] = {0, 0, 1};
    if (all->n < 1 || all->n > 3 || all->n_named)
        return jinja_raise(run, "range takes 1 to 3 arguments (%zu given)", all->n);
    for (size_t i = 0; i < all->n; i++) {
        jinja_value v = all->positional[i];
        if (v.kind == JINJA_NONE)
            return jinja_raise(run, "'NoneType' object cannot be interpreted as an integer");
        if (!jinja_argument_int(run, v, 0, &bounds[all->n == 1 ? 1 : i]))
            return false;
    }
    int64_t start = bounds[0], stop = bounds[1], step = bounds[2];
    if (step == 0)
        return jinja_raise(run, "range() arg 3 must not be zero");
    uint64_t n = 0;
    if (step > 0 && stop > start)
        n = ((uint64_t)stop - (uint64_t)start - 1) / (uint64_t)step + 1;
    else if (step < 0 && start > stop)
        n = ((uint64_t)start - (uint64_t)stop - 1) / (0 - (uint64_t)step) + 1;
    if (n > JINJA_MAX_RANGE)
        return jinja_raise(run, "range too big: at most %d items", JINJA_MAX_RANGE);
    jinja_sequence *s = jinja_sequence_new(run, JINJA_RANGE, (size_t)n);
    if (!s)
        return false;
    s->start = start;
    s->stop = stop;
    s->step = step;
    for (size_t i = 0; i < s->n; i++)
        s->items[i] = jinja_int(start + (int64_t)i * step);
    *out = jinja_of_sequence(s);
    return true;
}

/* The entries of dict(mapping or pairs, **more). */
static bool fill_dict(jinja_run *run, jinja_dict *d, const char *name, const jinja_arguments *all)
{
    if (all->n > 1)
        return jinja_raise(run, "%s expected at most 1 argument, got %zu", name, all->n);
    if (all->n && all->positional[0].kind == JINJA_DICT) {
        const jinja_dict *from = all->positional[0].dict;
        for (size_t i = 0; i < from->n; i++)
            if (!jinja_dict_set(run, d, from->entries[i].key, from->entries[i].value))
                return false;
    } else if (all->n) {
        jinja_value *pairs, *pair;
        size_t n, length;
        if (!jinja_iterate(run, all->positional[0], &pairs, &n))
            return false;
        for (size_t i = 0; i < n; i++) {
            if (!jinja_iterate(run, pairs[i], &pair, &length))
                return false;
            if (length != 2)
                return jinja_raise(run, "%s needs pairs, got an element of length %zu", name, length);
            if (!jinja_dict_set(run, d, pair[0], pair[1]))
                return false;
        }
    }
    for (size_t i = 0; i < all->n_named; i++)
        if (!jinja_dict_set(run, d, jinja_text(all->names[i]), all->named[i]))
            return false;
    return true;
}

GLOBAL(global_dict)
{
    (void)self, (void)p;
    jinja_dict *d = jinja_dict_new(run);
    if (!d || !fill_dict(run, d, "dict", all))
        return false;
    *out = jinja_of_dict(d);
    return true;
}

GLOBAL(global_namespace)
{
    if (!global_dict(run, self, p, all, out))
        return false;
    out->kind = JINJA_NAMESPACE;
    return true;
}

GLOBAL(not_callable)
{
    (void)self, (void)p, (void)all, (void)out;
    return jinja_raise(run, "'Cycler' object is not callable");
}

static const jinja_builtin cycler_row = {"cycler", not_callable, NULL, 0};

GLOBAL(global_cycler)
{
    (void)self, (void)p;
    if (all->n == 0)
        return jinja_raise(run, "at least one item has to be provided");
    if (!jinja_function_new(run, &cycler_row, jinja_missing(), out))
        return false;
    out->function->items = all->positional;
    out->function->n_items = all->n;
    return true;
}

/* A joiner returns nothing the first time and its separator afterwards. It is its own object: self. */
GLOBAL(call_joiner)
{
    (void)p, (void)all;
    *out = *self.function->items;
    if (self.function->next++ == 0)
        return jinja_literal(run, "", out);
    return true;
}

static const jinja_builtin joiner_row = {"joiner", call_joiner, "", 0};

GLOBAL(global_joiner)
{
    (void)self, (void)all;
    jinja_value state, separator = p[0];
    if (separator.kind == JINJA_MISSING && !jinja_literal(run, ", ", &separator))
        return false;
    if (!jinja_function_new(run, NULL, jinja_missing(), &state) || !jinja_function_new(run, &joiner_row, state, out))
        return false;
    state.function->items = jinja_alloc(run, sizeof *state.function->items);
    if (!state.function->items)
        return false;
    *state.function->items = separator;
    return true;
}

GLOBAL(global_raise_exception)
{
    (void)self, (void)all, (void)out;
    const jinja_string *message;
    if (!jinja_argument_text(run, p[0], "", &message))
        return false;
    return jinja_raise(run, "%.*s", (int)(message->length > 800 ? 800 : message->length), message->data);
}

/* "2024-07-26", optionally with "T12:00" or "T12:00:00"; whatever follows (fraction, zone) is not used. */
static bool read_iso8601(const char *text, struct tm *out)
{
    int n = sscanf(text, "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d", &out->tm_year, &out->tm_mon, &out->tm_mday, &out->tm_hour,
                   &out->tm_min, &out->tm_sec);
    out->tm_year -= 1900;
    out->tm_mon -= 1;
    if (n < 3 || out->tm_mon < 0 || out->tm_mon > 11 || out->tm_mday < 1 || out->tm_mday > 31 || out->tm_hour > 23 ||
        out->tm_hour < 0 || out->tm_min > 59 || out->tm_min < 0 || out->tm_sec > 60 || out->tm_sec < 0)
        return false;
    struct tm normal = *out; /* timegm fills in the day of the week and of the year */
    timegm(&normal);
    *out = normal;
    return true;
}

GLOBAL(global_strftime_now)
{
    (void)self, (void)all;
    const jinja_string *format;
    struct tm now = {0};
    const char *iso = run->options ? run->options->now_iso8601 : NULL;
    if (!jinja_argument_text(run, p[0], "", &format))
        return false;
    if (iso && !read_iso8601(iso, &now))
        return jinja_raise(run, "\"%.40s\" is not a time such as 2024-07-26T12:00:00", iso);
    time_t seconds = time(NULL);
    if (!iso && !localtime_r(&seconds, &now))
        return jinja_raise(run, "the local time is not known");
    if (format->length > 200 || memchr(format->data, 0, format->length))
        return jinja_raise(run, "strftime_now: a format of at most 200 characters without NUL, please");
    char pattern[204], text[2048];
    /* The space in front tells an empty result from a failure. */
    snprintf(pattern, sizeof pattern, " %.*s", (int)format->length, format->data);
    size_t length = strftime(text, sizeof text, pattern, &now);
    if (length == 0)
        return jinja_raise(run, "strftime_now: the result is too long");
    return jinja_copy(run, text + 1, length - 1, out);
}

const jinja_builtin jinja_globals[] = {
    {"range", global_range, NULL, 0},
    {"dict", global_dict, NULL, 0},
    {"namespace", global_namespace, NULL, 0},
    {"cycler", global_cycler, NULL, 0},
    {"joiner", global_joiner, "sep", 0},
    {"raise_exception", global_raise_exception, "message", 1},
    {"strftime_now", global_strftime_now, "format", 1},
    {NULL, NULL, NULL, 0},
};
