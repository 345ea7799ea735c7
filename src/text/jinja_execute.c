/* jinja_execute.c - statements: output, branches, loops, macros and captured blocks. */
#include "text/jinja_evaluate.h"

#include "text/jinja_print.h"

#include <stdlib.h>
#include <string.h>

typedef enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL } flow;

static flow execute_body(jinja_run *run, jinja_scope *scope, const jinja_nodes *body);

static flow flow_of(bool good)
{
    return good ? FLOW_NEXT : FLOW_FAIL;
}

/* Runs a body with its output going into a string. */
static flow capture(jinja_run *run, jinja_scope *scope, const jinja_nodes *body, jinja_value *out)
{
    hone_buffer b = {0}, *outer = run->out;
    run->out = &b;
    run->captures++;
    flow f = execute_body(run, scope, body);
    run->captures--;
    run->out = outer;
    if (f == FLOW_NEXT)
        return flow_of(jinja_take(run, &b, out));
    hone_buffer_clear(&b);
    return f;
}

static flow execute_output(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    for (size_t i = 0; i < node->items.n; i++) {
        const jinja_node *item = node->items.items[i];
        jinja_value v;
        if (item->kind == JINJA_CONSTANT)
            v = item->value;
        else if (!jinja_evaluate(run, scope, item, &v))
            return FLOW_FAIL;
        if (!jinja_write(run, run->out, v))
            return FLOW_FAIL;
    }
    return FLOW_NEXT;
}

static flow execute_if(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    for (const jinja_node *branch = node; branch; branch = branch->next) {
        jinja_value condition;
        if (!jinja_evaluate(run, scope, branch->first, &condition))
            return FLOW_FAIL;
        if (jinja_truth(condition))
            return execute_body(run, scope, &branch->body);
    }
    return execute_body(run, scope, &node->otherwise);
}

/* The items for which the loop's condition holds. */
static bool keep_matching(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value **items, size_t *n)
{
    jinja_value *kept = jinja_alloc_array(run, *n, sizeof *kept), condition;
    size_t n_kept = 0;
    if (!kept)
        return false;
    jinja_scope *inner = jinja_scope_new(run, scope);
    for (size_t i = 0; i < *n; i++) {
        inner = inner ? jinja_scope_renew(run, inner) : NULL;
        if (!inner || !jinja_assign(run, inner, node->first, (*items)[i]) ||
            !jinja_evaluate(run, inner, node->third, &condition))
            return false;
        if (jinja_truth(condition))
            kept[n_kept++] = (*items)[i];
    }
    *items = kept;
    *n = n_kept;
    return true;
}

static flow loop_over(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value iterated, int depth)
{
    static const jinja_string loop_name = {"loop", 4, 4};
    jinja_loop *loop = jinja_alloc(run, sizeof *loop);
    if (!loop || !jinja_iterate(run, iterated, &loop->items, &loop->n))
        return FLOW_FAIL;
    if (node->third && !keep_matching(run, scope, node, &loop->items, &loop->n))
        return FLOW_FAIL;
    loop->depth = depth;
    loop->node = node;
    loop->scope = scope;
    jinja_scope *inner = jinja_scope_new(run, scope);
    if (node->flag)
        jinja_scope_keep(scope);
    for (; loop->index < loop->n; loop->index++) {
        inner = inner ? jinja_scope_renew(run, inner) : NULL;
        jinja_value loop_value = {.kind = JINJA_LOOP, .loop = loop};
        if (!inner || !jinja_scope_set(run, inner, &loop_name, loop_value) ||
            !jinja_assign(run, inner, node->first, loop->items[loop->index]))
            return FLOW_FAIL;
        flow f = execute_body(run, inner, &node->body);
        if (f == FLOW_FAIL)
            return f;
        if (f == FLOW_BREAK)
            break;
    }
    if (loop->n > 0)
        return FLOW_NEXT;
    return inner ? execute_body(run, inner, &node->otherwise) : FLOW_FAIL;
}

static flow execute_for(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    jinja_value iterated;
    if (!jinja_evaluate(run, scope, node->second, &iterated))
        return FLOW_FAIL;
    return loop_over(run, scope, node, iterated, 0);
}

bool jinja_call_loop(jinja_run *run, const jinja_loop *loop, const jinja_arguments *all, jinja_value *out)
{
    if (!loop->node->flag)
        return jinja_raise(run, "the loop must have the 'recursive' marker to be called recursively");
    if (all->n != 1 || all->n_named)
        return jinja_raise(run, "loop() takes one argument");
    hone_buffer b = {0}, *outer = run->out;
    if (!jinja_enter(run))
        return false;
    run->out = &b;
    run->captures++;
    flow f = loop_over(run, loop->scope, loop->node, all->positional[0], loop->depth + 1);
    run->captures--;
    run->out = outer;
    jinja_leave(run);
    if (f == FLOW_NEXT)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

static bool new_macro(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out)
{
    if (!jinja_function_new(run, NULL, jinja_missing(), out))
        return false;
    out->function->macro = node;
    out->function->scope = scope;
    jinja_scope_keep(scope);
    return true;
}

static bool is_parameter(const jinja_node *macro, const jinja_string *name, size_t *index)
{
    for (size_t i = 0; i < macro->items.n; i++) {
        const jinja_string *parameter = macro->items.items[i]->name;
        if (parameter->length == name->length && memcmp(parameter->data, name->data, name->length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Keyword arguments that are no parameters: caller, and kwargs where the macro reads them. */
static bool bind_rest(jinja_run *run, jinja_scope *scope, const jinja_node *node, const jinja_arguments *all)
{
    static const jinja_string caller = {"caller", 6, 6}, kwargs = {"kwargs", 6, 6}, varargs = {"varargs", 7, 7};
    jinja_dict *rest = jinja_dict_new(run);
    size_t index;
    if (!rest)
        return false;
    if ((node->flag & JINJA_USES_CALLER) && !is_parameter(node, &caller, &index) &&
        !jinja_scope_set(run, scope, &caller, jinja_undefined(JINJA_NO_VARIABLE, &caller)))
        return false;
    for (size_t i = 0; i < all->n_named; i++) {
        if (is_parameter(node, all->names[i], &index))
            continue;
        bool good;
        if (jinja_text_is(all->names[i], "caller") && (node->flag & JINJA_USES_CALLER))
            good = jinja_scope_set(run, scope, &caller, all->named[i]);
        else if (node->flag & JINJA_USES_KWARGS)
            good = jinja_dict_set(run, rest, jinja_text(all->names[i]), all->named[i]);
        else
            good = jinja_raise(run, "macro '%.*s' takes no keyword argument '%.*s'", (int)node->name->length,
                               node->name->data, (int)all->names[i]->length, all->names[i]->data);
        if (!good)
            return false;
    }
    if ((node->flag & JINJA_USES_KWARGS) && !jinja_scope_set(run, scope, &kwargs, jinja_of_dict(rest)))
        return false;
    size_t n_extra = all->n > node->items.n ? all->n - node->items.n : 0;
    if (n_extra && !(node->flag & JINJA_USES_VARARGS))
        return jinja_raise(run, "macro '%.*s' takes not more than %zu argument(s)", (int)node->name->length,
                           node->name->data, node->items.n);
    if (!(node->flag & JINJA_USES_VARARGS))
        return true;
    jinja_sequence *extra = jinja_sequence_new(run, JINJA_TUPLE, n_extra);
    if (!extra)
        return false;
    if (n_extra)
        memcpy(extra->items, all->positional + node->items.n, n_extra * sizeof *extra->items);
    return jinja_scope_set(run, scope, &varargs, jinja_of_sequence(extra));
}

static bool bind_parameters(jinja_run *run, jinja_scope *scope, const jinja_node *node, const jinja_arguments *all)
{
    size_t n = node->items.n, n_required = n - node->defaults.n, index;
    jinja_value *values = jinja_alloc_array(run, n, sizeof *values);
    if (!values)
        return false;
    for (size_t i = 0; i < n && i < all->n; i++)
        values[i] = all->positional[i];
    for (size_t i = 0; i < all->n_named; i++) {
        if (!is_parameter(node, all->names[i], &index))
            continue;
        if (index < all->n)
            return jinja_raise(run, "macro '%.*s' got multiple values for argument '%.*s'", (int)node->name->length,
                               node->name->data, (int)all->names[i]->length, all->names[i]->data);
        values[index] = all->named[i];
    }
    for (size_t i = 0; i < n; i++) { /* in order: a default may use the parameters before it */
        const jinja_string *name = node->items.items[i]->name;
        if (values[i].kind == JINJA_MISSING && i < n_required)
            values[i] = jinja_undefined(JINJA_NO_ARGUMENT, name);
        else if (values[i].kind == JINJA_MISSING &&
                 !jinja_evaluate(run, scope, node->defaults.items[i - n_required], &values[i]))
            return false;
        if (!jinja_scope_set(run, scope, name, values[i]))
            return false;
    }
    return true;
}

bool jinja_call_macro(jinja_run *run, const jinja_function *macro, const jinja_arguments *all, jinja_value *out)
{
    if (!jinja_enter(run))
        return false;
    jinja_scope *scope = jinja_scope_new(run, macro->scope);
    bool good = scope && bind_rest(run, scope, macro->macro, all) && bind_parameters(run, scope, macro->macro, all) &&
                capture(run, scope, &macro->macro->body, out) == FLOW_NEXT;
    jinja_leave(run);
    return good;
}

static flow execute_call_block(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    static const jinja_string caller_name = {"caller", 6, 6};
    const jinja_node *call = node->first;
    jinja_value callee, caller, out;
    jinja_arguments all;
    if (!jinja_evaluate(run, scope, call->first, &callee) || !jinja_evaluate_arguments(run, scope, call->call, &all) ||
        !new_macro(run, scope, node->second, &caller))
        return FLOW_FAIL;
    size_t n = all.n_named + 1;
    jinja_value *named = jinja_alloc_array(run, n, sizeof *named);
    const jinja_string **names = jinja_alloc_array(run, n, sizeof *names);
    if (!named || !names)
        return FLOW_FAIL;
    for (size_t i = 0; i + 1 < n; i++) {
        named[i] = all.named[i];
        names[i] = all.names[i];
    }
    named[n - 1] = caller;
    names[n - 1] = &caller_name;
    all.named = named;
    all.names = names;
    all.n_named = n;
    run->line = node->line;
    return flow_of(jinja_call(run, callee, &all, &out) && jinja_write(run, run->out, out));
}

static bool add_span(jinja_run *run, size_t begin, size_t end)
{
    hone_template_spans *spans = run->spans;
    if (!spans || run->captures > 0 || end == begin)
        return true;
    if (spans->n == spans->capacity) {
        size_t capacity = spans->capacity ? spans->capacity * 2 : 16;
        hone_template_span *items = realloc(spans->items, capacity * sizeof *items);
        if (!items)
            return jinja_out_of_memory(run);
        spans->items = items;
        spans->capacity = capacity;
    }
    spans->items[spans->n++] = (hone_template_span){begin, end};
    return true;
}

static flow execute_generation(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    jinja_scope *inner = jinja_scope_new(run, scope);
    size_t begin = run->out->length;
    if (!inner || execute_body(run, inner, &node->body) != FLOW_NEXT)
        return FLOW_FAIL;
    return flow_of(add_span(run, begin, run->out->length));
}

static flow execute_with(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    jinja_scope *inner = jinja_scope_new(run, scope);
    if (!inner)
        return FLOW_FAIL;
    for (size_t i = 0; i < node->items.n; i += 2) {
        jinja_value v; /* values do not see the names set beside them */
        if (!jinja_evaluate(run, scope, node->items.items[i + 1], &v) ||
            !jinja_assign(run, inner, node->items.items[i], v))
            return FLOW_FAIL;
    }
    return execute_body(run, inner, &node->body);
}

/* {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}. */
static flow execute_captured(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    jinja_scope *inner = jinja_scope_new(run, scope);
    jinja_value text;
    if (!inner)
        return FLOW_FAIL;
    flow f = capture(run, inner, &node->body, &text);
    if (f != FLOW_NEXT)
        return f;
    bool set = node->kind == JINJA_SET_BLOCK;
    if (!jinja_apply_filters(run, inner, set ? node->second : node->first, text, &text))
        return FLOW_FAIL;
    return flow_of(set ? jinja_assign(run, scope, node->first, text) : jinja_write(run, run->out, text));
}

static flow execute_statement(jinja_run *run, jinja_scope *scope, const jinja_node *node)
{
    jinja_value v;
    switch (node->kind) {
    case JINJA_OUTPUT:
        return execute_output(run, scope, node);
    case JINJA_IF:
        return execute_if(run, scope, node);
    case JINJA_FOR:
        return execute_for(run, scope, node);
    case JINJA_SET:
        return flow_of(jinja_evaluate(run, scope, node->second, &v) && jinja_assign(run, scope, node->first, v));
    case JINJA_SET_BLOCK:
    case JINJA_FILTER_BLOCK:
        return execute_captured(run, scope, node);
    case JINJA_MACRO:
        return flow_of(new_macro(run, scope, node, &v) && jinja_scope_set(run, scope, node->name, v));
    case JINJA_CALL_BLOCK:
        return execute_call_block(run, scope, node);
    case JINJA_WITH:
        return execute_with(run, scope, node);
    case JINJA_GENERATION:
        return execute_generation(run, scope, node);
    case JINJA_BREAK:
        return FLOW_BREAK;
    case JINJA_CONTINUE:
        return FLOW_CONTINUE;
    default: /* JINJA_SCOPED */
        while (node->flag && scope->parent)
            scope = scope->parent;
        scope = jinja_scope_new(run, scope);
        return scope ? execute_body(run, scope, &node->body) : FLOW_FAIL;
    }
}

static flow execute_body(jinja_run *run, jinja_scope *scope, const jinja_nodes *body)
{
    flow f = FLOW_NEXT;
    if (!jinja_enter(run))
        return FLOW_FAIL;
    for (size_t i = 0; i < body->n && f == FLOW_NEXT; i++) {
        run->line = body->items[i]->line;
        f = jinja_spend(run, 0) ? execute_statement(run, scope, body->items[i]) : FLOW_FAIL;
    }
    jinja_leave(run);
    return f;
}

bool jinja_execute(jinja_run *run, jinja_scope *scope, const jinja_nodes *body)
{
    return execute_body(run, scope, body) == FLOW_NEXT;
}
