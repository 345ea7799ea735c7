/* jinja_parse_expression.c - expressions, loosest first:
 *   inline if, or, and, not, comparison, + -, ~, * / // %, **, unary, postfix (. [ ( ), filters and tests. */
#include "text/jinja_parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static jinja_node *parse_unary(jinja_parser *p, bool with_filters);
static jinja_node *parse_primary(jinja_parser *p);
static jinja_node *parse_postfix(jinja_parser *p, jinja_node *node);

static jinja_node *pair(jinja_parser *p, jinja_node_kind kind, jinja_operator op, jinja_node *first, jinja_node *second)
{
    jinja_node *node = first && second ? jinja_parser_node(p, kind) : NULL;
    if (node) {
        node->op = op;
        node->first = first;
        node->second = second;
        node->line = first->line;
    }
    return node;
}

static jinja_node *parse_power(jinja_parser *p)
{
    jinja_node *left = parse_unary(p, true);
    while (left && jinja_skip_operator(p, "**"))
        left = pair(p, JINJA_ARITHMETIC, JINJA_POWER, left, parse_unary(p, true));
    return left;
}

static jinja_node *parse_product(jinja_parser *p)
{
    static const struct {
        const char *sign;
        jinja_operator op;
    } signs[] = {{"*", JINJA_MULTIPLY}, {"/", JINJA_DIVIDE}, {"//", JINJA_FLOOR_DIVIDE}, {"%", JINJA_MODULO}};
    jinja_node *left = parse_power(p);
    for (size_t i = 0; left && i < sizeof signs / sizeof *signs;) {
        if (!jinja_skip_operator(p, signs[i].sign)) {
            i++;
            continue;
        }
        left = pair(p, JINJA_ARITHMETIC, signs[i].op, left, parse_power(p));
        i = 0;
    }
    return left;
}

static jinja_node *parse_concat(jinja_parser *p)
{
    jinja_node *first = parse_product(p);
    if (!first || !jinja_at_operator(p, "~"))
        return first;
    jinja_node *node = jinja_parser_node(p, JINJA_CONCAT);
    if (!node || !jinja_parser_add(p, &node->items, first))
        return NULL;
    while (jinja_skip_operator(p, "~"))
        if (!jinja_parser_add(p, &node->items, parse_product(p)))
            return NULL;
    return node;
}

static jinja_node *parse_sum(jinja_parser *p)
{
    jinja_node *left = parse_concat(p);
    while (left && (jinja_at_operator(p, "+") || jinja_at_operator(p, "-"))) {
        jinja_operator op = jinja_at_operator(p, "+") ? JINJA_ADD : JINJA_SUBTRACT;
        p->at++;
        left = pair(p, JINJA_ARITHMETIC, op, left, parse_concat(p));
    }
    return left;
}

static bool at_comparison(jinja_parser *p, jinja_operator *op)
{
    static const struct {
        const char *sign;
        jinja_operator op;
    } signs[] = {{"==", JINJA_EQUAL},      {"!=", JINJA_NOT_EQUAL}, {"<", JINJA_LESS},
                 {"<=", JINJA_LESS_EQUAL}, {">", JINJA_GREATER},    {">=", JINJA_GREATER_EQUAL}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (jinja_skip_operator(p, signs[i].sign)) {
            *op = signs[i].op;
            return true;
        }
    if (jinja_skip_name(p, "in")) {
        *op = JINJA_IN;
        return true;
    }
    if (jinja_at_name(p, "not") && p->at[1].kind == JINJA_T_NAME && p->at[1].length == 2 &&
        memcmp(p->at[1].text, "in", 2) == 0) {
        p->at += 2;
        *op = JINJA_NOT_IN;
        return true;
    }
    return false;
}

static jinja_node *parse_comparison(jinja_parser *p)
{
    jinja_operator op;
    jinja_node *first = parse_sum(p), *node = NULL;
    size_t capacity = 0;
    while (first && at_comparison(p, &op)) {
        if (!node) {
            node = jinja_parser_node(p, JINJA_COMPARE);
            if (!node || !jinja_parser_add(p, &node->items, first))
                return NULL;
        }
        size_t n = node->items.n - 1;
        if (n == capacity) {
            capacity = capacity ? capacity * 2 : 2;
            jinja_operator *ops = hone_arena_array(p->arena, capacity, sizeof *ops);
            if (!ops)
                return jinja_parser_no_memory(p);
            if (n)
                memcpy(ops, node->ops, n * sizeof *ops);
            node->ops = ops;
        }
        node->ops[n] = op;
        if (!jinja_parser_add(p, &node->items, parse_sum(p)))
            return NULL;
    }
    return node ? node : first;
}

static jinja_node *parse_not(jinja_parser *p)
{
    if (!jinja_at_name(p, "not"))
        return parse_comparison(p);
    jinja_node *node = jinja_parser_node(p, JINJA_NOT);
    if (!node || !jinja_parser_enter(p))
        return NULL;
    p->at++;
    node->first = parse_not(p);
    p->depth--;
    return node->first ? node : NULL;
}

static jinja_node *parse_and(jinja_parser *p)
{
    jinja_node *left = parse_not(p);
    while (left && jinja_skip_name(p, "and"))
        left = pair(p, JINJA_AND, JINJA_ADD, left, parse_not(p));
    return left;
}

static jinja_node *parse_or(jinja_parser *p)
{
    jinja_node *left = parse_and(p);
    while (left && jinja_skip_name(p, "or"))
        left = pair(p, JINJA_OR, JINJA_ADD, left, parse_and(p));
    return left;
}

static jinja_node *parse_conditional(jinja_parser *p)
{
    size_t unknown = p->n_unknown;
    jinja_node *value = parse_or(p);
    while (value && jinja_skip_name(p, "if")) {
        jinja_node *node = jinja_parser_node(p, JINJA_CONDITIONAL);
        if (!node || !(node->first = parse_or(p)))
            return NULL;
        node->second = value;
        if (jinja_skip_name(p, "else") && !(node->third = jinja_parse_expression(p, true)))
            return NULL;
        jinja_parser_drop_unknown(p, unknown);
        value = node;
    }
    return value;
}

jinja_node *jinja_parse_expression(jinja_parser *p, bool conditional)
{
    if (!jinja_parser_enter(p))
        return NULL;
    jinja_node *node = conditional ? parse_conditional(p) : parse_or(p);
    p->depth--;
    return node;
}

static jinja_node *parse_unary(jinja_parser *p, bool with_filters)
{
    jinja_node *node;
    if (jinja_at_operator(p, "-") || jinja_at_operator(p, "+")) {
        if (!jinja_parser_enter(p) || !(node = jinja_parser_node(p, JINJA_UNARY)))
            return NULL;
        node->op = jinja_at_operator(p, "-") ? JINJA_SUBTRACT : JINJA_ADD;
        p->at++;
        node->first = parse_unary(p, false);
        p->depth--;
        if (!node->first)
            return NULL;
    } else
        node = parse_primary(p);
    node = node ? parse_postfix(p, node) : NULL;
    return node && with_filters ? jinja_parse_filters(p, node, true) : node;
}

static bool at_tuple_end(const jinja_parser *p, const char *stop)
{
    return p->at->kind == JINJA_T_PRINT_END || p->at->kind == JINJA_T_BLOCK_END || p->at->kind == JINJA_T_END ||
           jinja_at_operator(p, ")") || (stop && jinja_at_name(p, stop));
}

/* explicit: inside parentheses, where () is the empty tuple. */
static jinja_node *parse_tuple(jinja_parser *p, bool conditional, const char *stop, bool explicit)
{
    jinja_node *tuple = jinja_parser_node(p, JINJA_TUPLE_OF);
    bool comma = false;
    if (!tuple)
        return NULL;
    for (;;) {
        if (at_tuple_end(p, stop))
            break;
        if (!jinja_parser_add(p, &tuple->items, jinja_parse_expression(p, conditional)))
            return NULL;
        if (!jinja_skip_operator(p, ","))
            break;
        comma = true;
    }
    char name[64];
    if (!comma && tuple->items.n == 1)
        return tuple->items.items[0];
    if (tuple->items.n == 0 && !explicit)
        return jinja_parser_fail(p, "expected an expression, got %s", jinja_token_name(p, name));
    return tuple;
}

jinja_node *jinja_parse_tuple(jinja_parser *p, bool conditional, const char *stop)
{
    return parse_tuple(p, conditional, stop, false);
}

static jinja_node *parse_number(jinja_parser *p)
{
    char digits[64];
    size_t n = 0;
    const jinja_token *t = p->at;
    for (size_t i = 0; i < t->length; i++) {
        if (t->text[i] == '_')
            continue;
        if (n + 1 == sizeof digits)
            return jinja_parser_fail(p, "a number of more than %zu digits", n);
        digits[n++] = t->text[i];
    }
    digits[n] = 0;
    char *end;
    jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
    if (!node)
        return NULL;
    errno = 0;
    if (t->kind == JINJA_T_FLOAT)
        node->value = jinja_float(strtod(digits, &end));
    else {
        char base = (char)(digits[0] == '0' ? digits[1] | 32 : 0);
        int radix = base == 'x' ? 16 : base == 'o' ? 8 : base == 'b' ? 2 : 10;
        node->value = jinja_int(strtoll(digits + (radix == 10 ? 0 : 2), &end, radix));
        if (errno == ERANGE)
            return jinja_parser_fail(p, "the number %s does not fit 64 bits", digits);
    }
    if (*end)
        return jinja_parser_fail(p, "\"%s\" is not a number", digits);
    p->at++;
    return node;
}

/* Adjacent strings are one. */
static jinja_node *parse_string(jinja_parser *p)
{
    jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
    const jinja_token *first = p->at;
    size_t length = 0;
    while (p->at->kind == JINJA_T_STRING)
        length += (p->at++)->length;
    const char *text = first->text;
    if (p->at > first + 1) {
        char *joined = hone_arena_alloc(p->arena, length + 1), *end = joined;
        if (!joined)
            return jinja_parser_no_memory(p);
        for (const jinja_token *t = first; t < p->at; t++) {
            memcpy(end, t->text, t->length);
            end += t->length;
        }
        text = joined;
    }
    const jinja_string *s = jinja_parser_string(p, text, length);
    if (!node || !s)
        return NULL;
    node->value = jinja_text(s);
    return node;
}

static jinja_node *parse_name(jinja_parser *p)
{
    static const struct {
        const char *name;
        unsigned char kind;
        bool value;
    } constants[] = {{"true", JINJA_BOOL, true},   {"True", JINJA_BOOL, true},  {"false", JINJA_BOOL, false},
                     {"False", JINJA_BOOL, false}, {"none", JINJA_NONE, false}, {"None", JINJA_NONE, false}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (jinja_at_name(p, constants[i].name)) {
            jinja_node *node = jinja_parser_node(p, JINJA_CONSTANT);
            if (!node)
                return NULL;
            node->value = constants[i].kind == JINJA_NONE ? jinja_none() : jinja_bool(constants[i].value);
            p->at++;
            return node;
        }
    p->uses |= jinja_at_name(p, "caller")    ? JINJA_USES_CALLER
               : jinja_at_name(p, "kwargs")  ? JINJA_USES_KWARGS
               : jinja_at_name(p, "varargs") ? JINJA_USES_VARARGS
                                             : 0;
    jinja_node *node = jinja_parser_node(p, JINJA_NAME);
    if (!node || !(node->name = jinja_expect_name(p)))
        return NULL;
    return node;
}

/* "[a, b]" and "{k: v}"; the opening bracket stands here. */
static jinja_node *parse_collection(jinja_parser *p, bool dict)
{
    jinja_node *node = jinja_parser_node(p, dict ? JINJA_DICT_OF : JINJA_LIST_OF);
    const char *close = dict ? "}" : "]";
    if (!node)
        return NULL;
    p->at++;
    while (!jinja_at_operator(p, close)) {
        if (node->items.n && !jinja_expect_operator(p, ","))
            return NULL;
        if (jinja_at_operator(p, close))
            break;
        if (!jinja_parser_add(p, &node->items, jinja_parse_expression(p, true)))
            return NULL;
        if (dict &&
            (!jinja_expect_operator(p, ":") || !jinja_parser_add(p, &node->items, jinja_parse_expression(p, true))))
            return NULL;
    }
    p->at++;
    return node;
}

static jinja_node *parse_primary(jinja_parser *p)
{
    char name[64];
    if (p->at->kind == JINJA_T_NAME)
        return parse_name(p);
    if (p->at->kind == JINJA_T_STRING)
        return parse_string(p);
    if (p->at->kind == JINJA_T_INTEGER || p->at->kind == JINJA_T_FLOAT)
        return parse_number(p);
    if (jinja_at_operator(p, "["))
        return parse_collection(p, false);
    if (jinja_at_operator(p, "{"))
        return parse_collection(p, true);
    if (jinja_skip_operator(p, "(")) {
        jinja_node *node = parse_tuple(p, true, NULL, true);
        return node && jinja_expect_operator(p, ")") ? node : NULL;
    }
    return jinja_parser_fail(p, "unexpected %s", jinja_token_name(p, name));
}

static bool named_argument(jinja_parser *p, jinja_call_syntax *call)
{
    const jinja_string *name = jinja_expect_name(p);
    p->at++; /* = */
    if (!name || !jinja_parser_add(p, &call->named, jinja_parse_expression(p, true)))
        return false;
    const jinja_string **names = hone_arena_array(p->arena, call->named.n, sizeof *names);
    if (!names)
        return jinja_parser_no_memory(p) != NULL;
    if (call->named.n > 1)
        memcpy(names, call->names, (call->named.n - 1) * sizeof *names);
    names[call->named.n - 1] = name;
    call->names = names;
    return true;
}

/* "(...)"; the parenthesis stands here. */
static const jinja_call_syntax *parse_arguments(jinja_parser *p)
{
    jinja_call_syntax *call = hone_arena_alloc(p->arena, sizeof *call);
    if (!call)
        return jinja_parser_no_memory(p);
    p->at++;
    for (bool first = true; !jinja_at_operator(p, ")"); first = false) {
        if (!first && !jinja_expect_operator(p, ","))
            return NULL;
        if (jinja_at_operator(p, ")"))
            break;
        bool good;
        if (jinja_at_operator(p, "*") && !call->star && !call->double_star) {
            p->at++;
            good = (call->star = jinja_parse_expression(p, true)) != NULL;
        } else if (jinja_at_operator(p, "**") && !call->double_star) {
            p->at++;
            good = (call->double_star = jinja_parse_expression(p, true)) != NULL;
        } else if (p->at->kind == JINJA_T_NAME && p->at[1].kind == JINJA_T_OPERATOR && p->at[1].length == 1 &&
                   p->at[1].text[0] == '=' && !call->double_star)
            good = named_argument(p, call);
        else if (!call->star && !call->double_star && !call->named.n)
            good = jinja_parser_add(p, &call->positional, jinja_parse_expression(p, true));
        else
            good = jinja_parser_fail(p, "invalid syntax for function call expression") != NULL;
        if (!good)
            return NULL;
    }
    p->at++;
    return call;
}

static jinja_node *parse_subscript(jinja_parser *p, jinja_node *object)
{
    jinja_node *node = jinja_parser_node(p, JINJA_SUBSCRIPT), *parts[3] = {NULL, NULL, NULL};
    if (!node)
        return NULL;
    node->first = object;
    p->at++; /* [ */
    size_t part = 0;
    bool slice = false;
    while (!jinja_at_operator(p, "]")) {
        if (jinja_skip_operator(p, ":")) {
            slice = true;
            if (++part > 2)
                return jinja_parser_fail(p, "a slice has at most three parts");
            continue;
        }
        if (parts[part])
            break;
        if (!(parts[part] = jinja_parse_expression(p, true)))
            return NULL;
    }
    if (!slice && jinja_at_operator(p, ",")) { /* object[a, b]: a tuple as key */
        jinja_node *tuple = jinja_parser_node(p, JINJA_TUPLE_OF);
        if (!tuple || !jinja_parser_add(p, &tuple->items, parts[0]))
            return NULL;
        while (jinja_skip_operator(p, ","))
            if (!jinja_parser_add(p, &tuple->items, jinja_parse_expression(p, true)))
                return NULL;
        parts[0] = tuple;
    }
    if (!jinja_expect_operator(p, "]"))
        return NULL;
    if (!slice) {
        if (!(node->second = parts[0]))
            return jinja_parser_fail(p, "expected subscript expression");
        return node;
    }
    node->kind = JINJA_SLICE;
    node->items.items = hone_arena_array(p->arena, 3, sizeof *node->items.items);
    if (!node->items.items)
        return jinja_parser_no_memory(p);
    memcpy(node->items.items, parts, sizeof parts);
    node->items.n = 3;
    return node;
}

static jinja_node *parse_dot(jinja_parser *p, jinja_node *object)
{
    p->at++;
    if (p->at->kind == JINJA_T_INTEGER) {
        jinja_node *key = parse_number(p);
        return pair(p, JINJA_SUBSCRIPT, JINJA_ADD, object, key);
    }
    jinja_node *node = jinja_parser_node(p, JINJA_ATTRIBUTE);
    if (!node || !(node->name = jinja_expect_name(p)))
        return NULL;
    node->first = object;
    return node;
}

static jinja_node *parse_call(jinja_parser *p, jinja_node *callee)
{
    jinja_node *node = jinja_parser_node(p, JINJA_CALL);
    if (!node || !(node->call = parse_arguments(p)))
        return NULL;
    node->first = callee;
    return node;
}

static jinja_node *parse_postfix(jinja_parser *p, jinja_node *node)
{
    while (node) {
        if (jinja_at_operator(p, "."))
            node = parse_dot(p, node);
        else if (jinja_at_operator(p, "["))
            node = parse_subscript(p, node);
        else if (jinja_at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

/* "name" or "name.name" of a filter or test. */
static const jinja_string *dotted_name(jinja_parser *p)
{
    const jinja_string *name = jinja_expect_name(p);
    while (name && jinja_skip_operator(p, ".")) {
        const jinja_string *part = jinja_expect_name(p);
        char *joined = part ? hone_arena_alloc(p->arena, name->length + part->length + 2) : NULL;
        if (!joined)
            return part ? jinja_parser_no_memory(p) : NULL;
        memcpy(joined, name->data, name->length);
        joined[name->length] = '.';
        memcpy(joined + name->length + 1, part->data, part->length);
        name = jinja_parser_string(p, joined, name->length + 1 + part->length);
    }
    return name;
}

static bool note_unknown(jinja_parser *p, const char *what, const jinja_string *name, int line)
{
    if (p->n_unknown == JINJA_MAX_UNKNOWN)
        return jinja_parser_unsupported(p, "no %s named '%.*s'", what, (int)name->length, name->data) != NULL;
    p->unknown[p->n_unknown].what = what;
    p->unknown[p->n_unknown].name = name;
    p->unknown[p->n_unknown].line = line;
    p->unknown[p->n_unknown++].certain = false;
    return true;
}

static jinja_node *parse_filter(jinja_parser *p, jinja_node *first)
{
    jinja_node *node = jinja_parser_node(p, JINJA_FILTER);
    if (!node || !(node->name = dotted_name(p)))
        return NULL;
    node->first = first;
    node->builtin = jinja_find_filter(node->name);
    if (!node->builtin && !note_unknown(p, "filter", node->name, node->line))
        return NULL;
    if (jinja_at_operator(p, "(") && !(node->call = parse_arguments(p)))
        return NULL;
    return node;
}

/* The argument of "is divisibleby 3": a primary that may follow a test without parentheses. */
static bool at_bare_argument(const jinja_parser *p)
{
    jinja_token_kind kind = p->at->kind;
    if (kind == JINJA_T_NAME)
        return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    return kind == JINJA_T_STRING || kind == JINJA_T_INTEGER || kind == JINJA_T_FLOAT || jinja_at_operator(p, "[") ||
           jinja_at_operator(p, "{");
}

static jinja_node *parse_test(jinja_parser *p, jinja_node *first)
{
    p->at++; /* is */
    bool negated = jinja_skip_name(p, "not");
    jinja_node *node = jinja_parser_node(p, JINJA_TEST);
    if (!node || !(node->name = dotted_name(p)))
        return NULL;
    node->first = first;
    node->builtin = jinja_find_test(node->name);
    if (!node->builtin && !note_unknown(p, "test", node->name, node->line))
        return NULL;
    if (jinja_at_operator(p, "(")) {
        if (!(node->call = parse_arguments(p)))
            return NULL;
    } else if (at_bare_argument(p)) {
        jinja_call_syntax *call = hone_arena_alloc(p->arena, sizeof *call);
        if (!call)
            return jinja_parser_no_memory(p);
        if (jinja_at_name(p, "is"))
            return jinja_parser_fail(p, "tests cannot be chained with is");
        jinja_node *argument = parse_primary(p);
        if (!argument || !jinja_parser_add(p, &call->positional, parse_postfix(p, argument)))
            return NULL;
        node->call = call;
    }
    if (!negated)
        return node;
    jinja_node *not_node = jinja_parser_node(p, JINJA_NOT);
    if (not_node)
        not_node->first = node;
    return not_node;
}

jinja_node *jinja_parse_filters(jinja_parser *p, jinja_node *first, bool at_pipe)
{
    jinja_node *node = first;
    if (!at_pipe && !(node = parse_filter(p, first)))
        return NULL;
    while (jinja_at_operator(p, "|") || (first && jinja_at_name(p, "is")) || (first && jinja_at_operator(p, "("))) {
        if (jinja_skip_operator(p, "|"))
            node = parse_filter(p, node);
        else if (jinja_at_name(p, "is"))
            node = parse_test(p, node);
        else
            node = parse_call(p, node);
        if (!node)
            return NULL;
    }
    return node;
}

jinja_node *jinja_parse_single_target(jinja_parser *p, bool with_namespace)
{
    jinja_node *node = jinja_parser_node(p, JINJA_NAME);
    if (!node)
        return NULL;
    if (jinja_skip_operator(p, "(")) {
        node = jinja_parse_target(p, with_namespace);
        return node && jinja_expect_operator(p, ")") ? node : NULL;
    }
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (jinja_at_name(p, reserved[i]))
            return jinja_parser_fail(p, "can't assign to '%s'", reserved[i]);
    if (!(node->name = jinja_expect_name(p)))
        return NULL;
    if (with_namespace && jinja_skip_operator(p, ".")) {
        jinja_node *attribute = jinja_parser_node(p, JINJA_ATTRIBUTE);
        if (!attribute || !(attribute->name = jinja_expect_name(p)))
            return NULL;
        attribute->first = node;
        return attribute;
    }
    return node;
}

jinja_node *jinja_parse_target(jinja_parser *p, bool with_namespace)
{
    if (!jinja_parser_enter(p))
        return NULL;
    jinja_node *target = jinja_parse_single_target(p, with_namespace);
    if (target && jinja_at_operator(p, ",")) {
        jinja_node *tuple = jinja_parser_node(p, JINJA_TUPLE_OF);
        if (!tuple || !jinja_parser_add(p, &tuple->items, target))
            return NULL;
        while (jinja_skip_operator(p, ",")) {
            if (p->at->kind != JINJA_T_NAME && !jinja_at_operator(p, "("))
                break;
            if (jinja_at_name(p, "in"))
                break;
            if (!jinja_parser_add(p, &tuple->items, jinja_parse_single_target(p, with_namespace)))
                return NULL;
        }
        target = tuple;
    }
    p->depth--;
    return target;
}
