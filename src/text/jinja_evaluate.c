/* jinja_evaluate.c - expressions to values. */
#include "text/jinja_evaluate.h"

#include "text/jinja_print.h"

#include <string.h>

jinja_scope *jinja_scope_new(jinja_run *run, jinja_scope *parent)
{
    jinja_scope *scope = jinja_alloc(run, sizeof *scope);
    if (scope)
        scope->parent = parent;
    return scope;
}

void jinja_scope_keep(jinja_scope *scope)
{
    for (; scope; scope = scope->parent)
        scope->kept = true;
}

jinja_scope *jinja_scope_renew(jinja_run *run, jinja_scope *scope)
{
    if (scope->kept)
        return jinja_scope_new(run, scope->parent);
    scope->variables.n = 0;
    scope->variables.n_slots = 0;
    return scope;
}

bool jinja_scope_set(jinja_run *run, jinja_scope *scope, const jinja_string *name, jinja_value value)
{
    return jinja_dict_set(run, &scope->variables, jinja_text(name), value);
}

static bool look_up(jinja_run *run, const jinja_scope *scope, const jinja_string *name, jinja_value *out)
{
    for (; scope; scope = scope->parent) {
        jinja_value *found = jinja_dict_find(&scope->variables, name);
        if (found) {
            *out = *found;
            return true;
        }
    }
    const jinja_builtin *global = jinja_find_global(name);
    if (global)
        return jinja_function_new(run, global, jinja_missing(), out);
    *out = jinja_undefined(JINJA_NO_VARIABLE, name);
    return true;
}

static bool evaluate_all(jinja_run *run, jinja_scope *scope, const jinja_nodes *nodes, jinja_value *out)
{
    for (size_t i = 0; i < nodes->n; i++)
        if (!jinja_evaluate(run, scope, nodes->items[i], &out[i]))
            return false;
    return true;
}

static bool add_star(jinja_run *run, jinja_scope *scope, const jinja_node *star, jinja_arguments *out)
{
    jinja_value value, *items;
    size_t n;
    if (!jinja_evaluate(run, scope, star, &value) || !jinja_iterate(run, value, &items, &n))
        return false;
    jinja_value *all = jinja_alloc_array(run, out->n + n, sizeof *all);
    if (!all || !jinja_spend(run, n * 16))
        return false;
    if (out->n)
        memcpy(all, out->positional, out->n * sizeof *all);
    if (n)
        memcpy(all + out->n, items, n * sizeof *all);
    out->positional = all;
    out->n += n;
    return true;
}

static bool add_double_star(jinja_run *run, jinja_scope *scope, const jinja_node *star, jinja_arguments *out)
{
    jinja_value value;
    if (!jinja_evaluate(run, scope, star, &value))
        return false;
    if (value.kind != JINJA_DICT)
        return jinja_raise(run, "argument after ** must be a mapping, not %s", jinja_type_name(value));
    size_t n = out->n_named + value.dict->n;
    jinja_value *named = jinja_alloc_array(run, n, sizeof *named);
    const jinja_string **names = jinja_alloc_array(run, n, sizeof *names);
    if (!named || !names)
        return false;
    for (size_t i = 0; i < n; i++) {
        const jinja_entry *e = i < out->n_named ? NULL : &value.dict->entries[i - out->n_named];
        if (e && e->key.kind != JINJA_STRING)
            return jinja_raise(run, "keywords must be strings");
        names[i] = e ? e->key.string : out->names[i];
        named[i] = e ? e->value : out->named[i];
    }
    out->names = names;
    out->named = named;
    out->n_named = n;
    return true;
}

bool jinja_evaluate_arguments(jinja_run *run, jinja_scope *scope, const jinja_call_syntax *call, jinja_arguments *out)
{
    *out = (jinja_arguments){0};
    if (!call)
        return true;
    out->n = call->positional.n;
    out->n_named = call->named.n;
    out->names = call->names;
    out->positional = jinja_alloc_array(run, out->n, sizeof *out->positional);
    out->named = jinja_alloc_array(run, out->n_named, sizeof *out->named);
    if (!out->positional || !out->named || !evaluate_all(run, scope, &call->positional, out->positional) ||
        !evaluate_all(run, scope, &call->named, out->named))
        return false;
    if (call->star && !add_star(run, scope, call->star, out))
        return false;
    return !call->double_star || add_double_star(run, scope, call->double_star, out);
}

static bool filter_with(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value input, jinja_value *out)
{
    jinja_arguments all;
    if (!node->builtin)
        return jinja_raise(run, "no %s named '%.*s'", node->kind == JINJA_FILTER ? "filter" : "test",
                           (int)node->name->length, node->name->data);
    if (!jinja_evaluate_arguments(run, scope, node->call, &all))
        return false;
    run->line = node->line;
    return jinja_call_builtin(run, node->builtin, input, &all, out);
}

bool jinja_apply_filters(jinja_run *run, jinja_scope *scope, const jinja_node *filter, jinja_value text,
                         jinja_value *out)
{
    if (!filter) {
        *out = text;
        return true;
    }
    if (!jinja_enter(run))
        return false;
    jinja_value input;
    bool good =
        jinja_apply_filters(run, scope, filter->first, text, &input) && filter_with(run, scope, filter, input, out);
    jinja_leave(run);
    return good;
}

static bool evaluate_filter_or_test(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value input;
    return jinja_evaluate(run, scope, node->first, &input) && filter_with(run, scope, node, input, out);
}

static bool evaluate_call(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value callee;
    jinja_arguments all;
    if (!jinja_evaluate(run, scope, node->first, &callee) || !jinja_evaluate_arguments(run, scope, node->call, &all))
        return false;
    run->line = node->line;
    return jinja_call(run, callee, &all, out);
}

static bool evaluate_items(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    if (node->kind == JINJA_DICT_OF) {
        jinja_dict *d = jinja_dict_new(run);
        if (!d)
            return false;
        for (size_t i = 0; i < node->items.n; i += 2) {
            jinja_value key, value;
            if (!jinja_evaluate(run, scope, node->items.items[i], &key) ||
                !jinja_evaluate(run, scope, node->items.items[i + 1], &value) || !jinja_dict_set(run, d, key, value))
                return false;
        }
        *out = jinja_of_dict(d);
        return true;
    }
    jinja_sequence *s = jinja_sequence_new(run, node->kind == JINJA_LIST_OF ? JINJA_LIST : JINJA_TUPLE, node->items.n);
    if (!s || !evaluate_all(run, scope, &node->items, s->items))
        return false;
    *out = jinja_of_sequence(s);
    return true;
}

static bool evaluate_concat(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    hone_buffer b = {0};
    for (size_t i = 0; i < node->items.n; i++) {
        jinja_value v;
        if (!jinja_evaluate(run, scope, node->items.items[i], &v) || !jinja_write(run, &b, v)) {
            hone_buffer_clear(&b);
            return false;
        }
    }
    return jinja_take(run, &b, out);
}

static bool evaluate_comparison(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value left, right;
    bool holds = true;
    if (!jinja_evaluate(run, scope, node->items.items[0], &left))
        return false;
    for (size_t i = 1; i < node->items.n && holds; i++) {
        if (!jinja_evaluate(run, scope, node->items.items[i], &right))
            return false;
        run->line = node->line;
        if (!jinja_compare(run, node->ops[i - 1], left, right, &holds))
            return false;
        left = right;
    }
    *out = jinja_bool(holds);
    return true;
}

static bool evaluate_slice(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value object, parts[3];
    if (!jinja_evaluate(run, scope, node->first, &object))
        return false;
    for (size_t i = 0; i < 3; i++) {
        parts[i] = jinja_none();
        if (node->items.items[i] && !jinja_evaluate(run, scope, node->items.items[i], &parts[i]))
            return false;
    }
    return jinja_slice(run, object, parts[0], parts[1], parts[2], out);
}

static bool evaluate_two(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value a, b;
    if (!jinja_evaluate(run, scope, node->first, &a) || !jinja_evaluate(run, scope, node->second, &b))
        return false;
    run->line = node->line;
    if (node->kind == JINJA_SUBSCRIPT)
        return jinja_subscript(run, a, b, out);
    return jinja_arithmetic(run, node->op, a, b, out);
}

static bool evaluate_conditional(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value condition;
    if (!jinja_evaluate(run, scope, node->first, &condition))
        return false;
    if (jinja_truth(condition))
        return jinja_evaluate(run, scope, node->second, out);
    if (node->third)
        return jinja_evaluate(run, scope, node->third, out);
    *out = jinja_undefined(JINJA_NO_ELSE, NULL);
    return true;
}

static bool evaluate_kind(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    jinja_value v;
    switch (node->kind) {
    case JINJA_CONSTANT:
        *out = node->value;
        return true;
    case JINJA_NAME:
        return look_up(run, scope, node->name, out);
    case JINJA_LIST_OF:
    case JINJA_TUPLE_OF:
    case JINJA_DICT_OF:
        return evaluate_items(run, scope, node, out);
    case JINJA_UNARY:
        return jinja_evaluate(run, scope, node->first, &v) && jinja_negate(run, v, node->op == JINJA_SUBTRACT, out);
    case JINJA_NOT:
        if (!jinja_evaluate(run, scope, node->first, &v))
            return false;
        *out = jinja_bool(!jinja_truth(v));
        return true;
    case JINJA_AND:
    case JINJA_OR:
        if (!jinja_evaluate(run, scope, node->first, out))
            return false;
        return jinja_truth(*out) == (node->kind == JINJA_OR) || jinja_evaluate(run, scope, node->second, out);
    case JINJA_ARITHMETIC:
    case JINJA_SUBSCRIPT:
        return evaluate_two(run, scope, node, out);
    case JINJA_CONCAT:
        return evaluate_concat(run, scope, node, out);
    case JINJA_COMPARE:
        return evaluate_comparison(run, scope, node, out);
    case JINJA_CONDITIONAL:
        return evaluate_conditional(run, scope, node, out);
    case JINJA_ATTRIBUTE:
        if (!jinja_evaluate(run, scope, node->first, &v))
            return false;
        run->line = node->line;
        return jinja_attribute(run, v, node->name, out);
    case JINJA_SLICE:
        return evaluate_slice(run, scope, node, out);
    case JINJA_CALL:
        return evaluate_call(run, scope, node, out);
    default:
        return evaluate_filter_or_test(run, scope, node, out);
    }
}

bool jinja_evaluate(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    if (!jinja_spend(run, 0) || !jinja_enter(run))
        return false;
    run->line = node->line;
    bool good = evaluate_kind(run, scope, node, out);
    jinja_leave(run);
    return good;
}

bool jinja_assign(jinja_run *run, jinja_scope *scope, const jinja_node *target, jinja_value value)
{
    if (target->kind == JINJA_NAME)
        return jinja_scope_set(run, scope, target->name, value);
    if (target->kind == JINJA_ATTRIBUTE) {
        jinja_value object;
        if (!jinja_evaluate(run, scope, target->first, &object))
            return false;
        if (object.kind != JINJA_NAMESPACE)
            return jinja_raise(run, "cannot assign attribute on non-namespace object");
        return jinja_dict_set(run, object.dict, jinja_text(target->name), value);
    }
    jinja_value *items;
    size_t n;
    if (!jinja_iterate(run, value, &items, &n))
        return false;
    if (n != target->items.n)
        return jinja_raise(run, "%zu values to unpack, expected %zu", n, target->items.n);
    for (size_t i = 0; i < n; i++)
        if (!jinja_assign(run, scope, target->items.items[i], items[i]))
            return false;
    return true;
}
