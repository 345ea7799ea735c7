/* jinja_methods_object.c - methods and attributes of dicts, lists, loops, cyclers and macros. */
#include "text/jinja_operate.h"
#include "text/jinja_syntax.h"

#include <string.h>

#define METHOD(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

METHOD(dict_get)
{
    (void)all;
    jinja_value *found;
    if (!jinja_dict_get(run, self.dict, p[0], &found))
        return false;
    *out = found ? *found : p[1].kind == JINJA_MISSING ? jinja_none() : p[1];
    return true;
}

static bool dict_view(jinja_run *run, const jinja_dict *d, jinja_sequence_kind kind, jinja_value *out)
{
    jinja_sequence *s = jinja_sequence_new(run, kind, d->n);
    if (!s)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        if (kind == JINJA_ITEMS && !jinja_pair(run, d->entries[i].key, d->entries[i].value, &s->items[i]))
            return false;
        if (kind != JINJA_ITEMS)
            s->items[i] = kind == JINJA_KEYS ? d->entries[i].key : d->entries[i].value;
    }
    *out = jinja_of_sequence(s);
    return true;
}

METHOD(dict_items)
{
    (void)p, (void)all;
    return dict_view(run, self.dict, JINJA_ITEMS, out);
}

METHOD(dict_keys)
{
    (void)p, (void)all;
    return dict_view(run, self.dict, JINJA_KEYS, out);
}

METHOD(dict_values)
{
    (void)p, (void)all;
    return dict_view(run, self.dict, JINJA_VALUES, out);
}

METHOD(copy_self)
{
    (void)run, (void)p, (void)all;
    *out = self; /* nothing can change either */
    return true;
}

const jinja_builtin jinja_object_methods_of_dict[] = {
    {"get", dict_get, "key default", 1}, {"items", dict_items, "", 0}, {"keys", dict_keys, "", 0},
    {"values", dict_values, "", 0},      {"copy", copy_self, "", 0},   {NULL, NULL, NULL, 0},
};

METHOD(list_index)
{
    (void)all;
    for (size_t i = 0; i < self.sequence->n; i++) {
        bool equal;
        if (!jinja_equal(run, self.sequence->items[i], p[0], &equal))
            return false;
        if (equal) {
            *out = jinja_int((int64_t)i);
            return true;
        }
    }
    return jinja_raise(run, "the value is not in the list");
}

METHOD(list_count)
{
    (void)all;
    int64_t n = 0;
    for (size_t i = 0; i < self.sequence->n; i++) {
        bool equal;
        if (!jinja_equal(run, self.sequence->items[i], p[0], &equal))
            return false;
        n += equal;
    }
    *out = jinja_int(n);
    return true;
}

const jinja_builtin jinja_object_methods_of_list[] = {
    {"index", list_index, "value", 1},
    {"count", list_count, "value", 1},
    {"copy", copy_self, "", 0},
    {NULL, NULL, NULL, 0},
};

METHOD(loop_cycle)
{
    (void)p;
    if (all->n == 0)
        return jinja_raise(run, "no items for cycling given");
    *out = all->positional[self.loop->index % all->n];
    return true;
}

METHOD(loop_changed)
{
    (void)p;
    jinja_loop *loop = self.loop;
    bool same = loop->changed_before && loop->n_last_changed == all->n;
    for (size_t i = 0; i < all->n && same; i++)
        if (!jinja_equal(run, loop->last_changed[i], all->positional[i], &same))
            return false;
    loop->changed_before = true;
    loop->last_changed = all->positional;
    loop->n_last_changed = all->n;
    *out = jinja_bool(!same);
    return true;
}

const jinja_builtin jinja_object_methods_of_loop[] = {
    {"cycle", loop_cycle, NULL, 0},
    {"changed", loop_changed, NULL, 0},
    {NULL, NULL, NULL, 0},
};

bool jinja_loop_attribute(jinja_run *run, jinja_loop *loop, const jinja_string *name, jinja_value *out)
{
    (void)run;
    int64_t index = (int64_t)loop->index, n = (int64_t)loop->n;
    const struct {
        const char *name;
        jinja_value value;
    } attributes[] = {{"index", jinja_int(index + 1)},
                      {"index0", jinja_int(index)},
                      {"revindex", jinja_int(n - index)},
                      {"revindex0", jinja_int(n - index - 1)},
                      {"first", jinja_bool(index == 0)},
                      {"last", jinja_bool(index == n - 1)},
                      {"length", jinja_int(n)},
                      {"depth", jinja_int(loop->depth + 1)},
                      {"depth0", jinja_int(loop->depth)},
                      {"previtem", index > 0 ? loop->items[index - 1] : jinja_undefined(JINJA_NO_VARIABLE, name)},
                      {"nextitem", index + 1 < n ? loop->items[index + 1] : jinja_undefined(JINJA_NO_VARIABLE, name)}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (jinja_text_is(name, attributes[i].name))
            *out = attributes[i].value;
    return true;
}

METHOD(cycler_next)
{
    (void)run, (void)p, (void)all;
    jinja_function *f = self.function;
    *out = f->items[f->next];
    f->next = (f->next + 1) % f->n_items;
    return true;
}

METHOD(cycler_reset)
{
    (void)run, (void)p, (void)all;
    self.function->next = 0;
    *out = jinja_none();
    return true;
}

const jinja_builtin jinja_object_methods_of_cycler[] = {
    {"next", cycler_next, "", 0},
    {"reset", cycler_reset, "", 0},
    {NULL, NULL, NULL, 0},
};

bool jinja_function_attribute(jinja_run *run, jinja_value function, const jinja_string *name, jinja_value *out)
{
    const jinja_function *f = function.function;
    if (f->n_items) { /* a cycler */
        const jinja_builtin *method = jinja_find_in(jinja_object_methods_of_cycler, name);
        if (method)
            return jinja_function_new(run, method, function, out);
        if (jinja_text_is(name, "current"))
            *out = f->items[f->next];
        return true;
    }
    if (!f->macro)
        return true;
    if (jinja_text_is(name, "name"))
        *out = jinja_text(f->macro->name);
    if (jinja_text_is(name, "arguments")) {
        jinja_sequence *s = jinja_sequence_new(run, JINJA_TUPLE, f->macro->items.n);
        if (!s)
            return false;
        for (size_t i = 0; i < s->n; i++)
            s->items[i] = jinja_text(f->macro->items.items[i]->name);
        *out = jinja_of_sequence(s);
    }
    return true;
}
