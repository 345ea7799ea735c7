/* jinja_call.c - binding arguments to the parameters of built-in functions, and calling whatever can be called. */
#include "text/jinja_call.h"

#include "text/jinja_print.h"

#include <string.h>

const jinja_builtin *jinja_find_in(const jinja_builtin *table, const jinja_string *name)
{
    for (; table->name; table++)
        if (jinja_text_is(name, table->name))
            return table;
    return NULL;
}

const jinja_builtin *jinja_find_filter(const jinja_string *name)
{
    const jinja_builtin *row = jinja_find_in(jinja_text_filters, name);
    row = row ? row : jinja_find_in(jinja_sequence_filters, name);
    return row ? row : jinja_find_in(jinja_select_filters, name);
}

const jinja_builtin *jinja_find_test(const jinja_string *name)
{
    return jinja_find_in(jinja_tests, name);
}

const jinja_builtin *jinja_find_global(const jinja_string *name)
{
    return jinja_find_in(jinja_globals, name);
}

/* The position of `name` among the space-separated `parameters`, or -1. */
static int parameter_index(const char *parameters, const jinja_string *name)
{
    int index = 0;
    for (const char *p = parameters; *p; index++) {
        size_t length = strcspn(p, " ");
        if (length == name->length && memcmp(p, name->data, length) == 0)
            return index;
        p += length + (p[length] == ' ');
    }
    return -1;
}

static int count_parameters(const char *parameters)
{
    int n = *parameters != 0;
    for (const char *p = parameters; *p; p++)
        n += *p == ' ';
    return n;
}

bool jinja_call_builtin(jinja_run *run, const jinja_builtin *row, jinja_value self, const jinja_arguments *all,
                        jinja_value *out)
{
    jinja_value p[JINJA_MAX_PARAMETERS];
    memset(p, 0, sizeof p); /* JINJA_MISSING */
    if (!jinja_spend(run, 0))
        return false;
    if (!row->parameters)
        return row->function(run, self, p, all, out);
    int n = count_parameters(row->parameters);
    if (all->n > (size_t)n)
        return jinja_raise(run, "%s takes at most %d arguments (%zu given)", row->name, n, all->n);
    for (size_t i = 0; i < all->n; i++)
        p[i] = all->positional[i];
    for (size_t i = 0; i < all->n_named; i++) {
        int index = parameter_index(row->parameters, all->names[i]);
        if (index < 0)
            return jinja_raise(run, "%s got an unexpected keyword argument '%.*s'", row->name,
                               (int)all->names[i]->length, all->names[i]->data);
        if (p[index].kind != JINJA_MISSING)
            return jinja_raise(run, "%s got multiple values for argument '%.*s'", row->name, (int)all->names[i]->length,
                               all->names[i]->data);
        p[index] = all->named[i];
    }
    for (int i = 0; i < row->n_required; i++)
        if (p[i].kind == JINJA_MISSING)
            return jinja_raise(run, "%s needs %d argument(s) (%s)", row->name, row->n_required, row->parameters);
    return row->function(run, self, p, all, out);
}

bool jinja_function_new(jinja_run *run, const jinja_builtin *row, jinja_value self, jinja_value *out)
{
    jinja_function *f = jinja_alloc(run, sizeof *f);
    if (!f)
        return false;
    f->builtin = row;
    f->self = self;
    *out = (jinja_value){.kind = JINJA_FUNCTION, .function = f};
    return true;
}

bool jinja_call(jinja_run *run, jinja_value callee, const jinja_arguments *all, jinja_value *out)
{
    if (callee.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, callee);
    if (callee.kind == JINJA_LOOP)
        return jinja_call_loop(run, callee.loop, all, out);
    if (callee.kind != JINJA_FUNCTION)
        return jinja_raise(run, "'%s' object is not callable", jinja_type_name(callee));
    if (!callee.function->builtin)
        return jinja_call_macro(run, callee.function, all, out);
    return jinja_call_builtin(run, callee.function->builtin, callee.function->self, all, out);
}

bool jinja_argument_int(jinja_run *run, jinja_value v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v.kind == JINJA_MISSING || v.kind == JINJA_NONE)
        return true;
    if (v.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, v);
    if (!jinja_is_integral(v))
        return jinja_raise(run, "'%s' object cannot be interpreted as an integer", jinja_type_name(v));
    *out = jinja_as_int(v);
    return true;
}

bool jinja_argument_text(jinja_run *run, jinja_value v, const char *fallback, const jinja_string **out)
{
    bool good = v.kind == JINJA_MISSING ? jinja_literal(run, fallback, &v) : jinja_to_text(run, v, &v);
    if (good)
        *out = v.string;
    return good;
}
