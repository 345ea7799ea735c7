/* jinja_compare.c - equality, order and membership. */
#include "text/jinja_operate.h"

#include <string.h>

static bool is_ordered_sequence(jinja_value v)
{
    return jinja_is_sequence_of(v, JINJA_LIST) || jinja_is_sequence_of(v, JINJA_TUPLE) ||
           jinja_is_sequence_of(v, JINJA_RANGE);
}

/* x86 long double holds every int64_t and every double. */
static long double exact(jinja_value v)
{
    return v.kind == JINJA_FLOAT ? (long double)v.real : (long double)jinja_as_int(v);
}

static int text_order(const jinja_string *a, const jinja_string *b)
{
    size_t n = a->length < b->length ? a->length : b->length;
    int order = n ? memcmp(a->data, b->data, n) : 0; /* the order of UTF-8 bytes is that of code points */
    return order ? order : a->length < b->length ? -1 : a->length > b->length;
}

bool jinja_identical(jinja_value a, jinja_value b)
{
    if (a.kind != b.kind)
        return false;
    switch ((jinja_kind)a.kind) {
    case JINJA_BOOL:
        return a.boolean == b.boolean;
    case JINJA_INT:
        return a.integer == b.integer;
    case JINJA_FLOAT:
        return a.real == b.real;
    case JINJA_STRING:
        return a.string == b.string || text_order(a.string, b.string) == 0;
    case JINJA_SEQUENCE:
        return a.sequence == b.sequence;
    case JINJA_DICT:
    case JINJA_NAMESPACE:
        return a.dict == b.dict;
    case JINJA_LOOP:
        return a.loop == b.loop;
    case JINJA_FUNCTION:
        return a.function == b.function;
    default:
        return true;
    }
}

static bool equal_parts(jinja_run *run, jinja_value a, jinja_value b, bool *out)
{
    *out = false;
    if (a.kind == JINJA_SEQUENCE) {
        if (a.sequence->kind != b.sequence->kind || a.sequence->n != b.sequence->n || !is_ordered_sequence(a))
            return true;
        for (size_t i = 0; i < a.sequence->n; i++) {
            if (!jinja_equal(run, a.sequence->items[i], b.sequence->items[i], out))
                return false;
            if (!*out)
                return true;
        }
    } else {
        if (a.dict->n != b.dict->n)
            return true;
        for (size_t i = 0; i < a.dict->n; i++) {
            jinja_value *other;
            if (!jinja_dict_get(run, b.dict, a.dict->entries[i].key, &other))
                return false;
            if (!other)
                return true;
            if (!jinja_equal(run, a.dict->entries[i].value, *other, out))
                return false;
            if (!*out)
                return true;
        }
    }
    *out = true;
    return true;
}

bool jinja_equal(jinja_run *run, jinja_value a, jinja_value b, bool *out)
{
    if (!jinja_spend(run, a.kind == JINJA_STRING && b.kind == JINJA_STRING ? a.string->length : 0))
        return false;
    *out = false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = exact(a) == exact(b);
        return true;
    }
    if (a.kind != b.kind)
        return true;
    if (a.kind == JINJA_STRING) {
        *out = a.string->length == b.string->length && text_order(a.string, b.string) == 0;
        return true;
    }
    if (a.kind != JINJA_SEQUENCE && a.kind != JINJA_DICT) {
        *out = jinja_identical(a, b);
        return true;
    }
    if (jinja_identical(a, b)) {
        *out = true;
        return true;
    }
    if (!jinja_enter(run))
        return false;
    bool good = equal_parts(run, a, b, out);
    jinja_leave(run);
    return good;
}

static bool relation_holds(jinja_operator op, int order)
{
    return op == JINJA_LESS         ? order < 0
           : op == JINJA_LESS_EQUAL ? order <= 0
           : op == JINJA_GREATER    ? order > 0
                                    : order >= 0;
}

static bool ordered(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b, bool *out)
{
    static const char *const signs[] = {"<", "<=", ">", ">="};
    if (!jinja_spend(run, a.kind == JINJA_STRING && b.kind == JINJA_STRING ? a.string->length : 0))
        return false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        long double x = exact(a), y = exact(b);
        *out = x < y   ? op == JINJA_LESS || op == JINJA_LESS_EQUAL
               : x > y ? op == JINJA_GREATER || op == JINJA_GREATER_EQUAL
                       : x == y && (op == JINJA_LESS_EQUAL || op == JINJA_GREATER_EQUAL);
        return true;
    }
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        *out = relation_holds(op, text_order(a.string, b.string));
        return true;
    }
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, a.kind == JINJA_UNDEFINED ? a : b);
    if (!is_ordered_sequence(a) || !is_ordered_sequence(b) || a.sequence->kind != b.sequence->kind ||
        a.sequence->kind == JINJA_RANGE)
        return jinja_raise(run, "'%s' not supported between instances of '%s' and '%s'", signs[op - JINJA_LESS],
                           jinja_type_name(a), jinja_type_name(b));
    size_t n = a.sequence->n < b.sequence->n ? a.sequence->n : b.sequence->n;
    for (size_t i = 0; i < n; i++) {
        bool equal;
        if (!jinja_equal(run, a.sequence->items[i], b.sequence->items[i], &equal))
            return false;
        if (equal)
            continue;
        if (!jinja_enter(run))
            return false;
        bool good = ordered(run, op, a.sequence->items[i], b.sequence->items[i], out);
        jinja_leave(run);
        return good;
    }
    *out = relation_holds(op, a.sequence->n < b.sequence->n ? -1 : a.sequence->n > b.sequence->n);
    return true;
}

bool jinja_contains(jinja_run *run, jinja_value container, jinja_value item, bool *out)
{
    *out = false;
    if (container.kind == JINJA_STRING) {
        if (item.kind != JINJA_STRING)
            return jinja_raise(run, "'in <string>' requires string as left operand, not %s", jinja_type_name(item));
        *out = item.string->length == 0 ||
               memmem(container.string->data, container.string->length, item.string->data, item.string->length) != NULL;
        return jinja_spend(run, container.string->length);
    }
    if (container.kind == JINJA_DICT) {
        jinja_value *found;
        if (!jinja_dict_get(run, container.dict, item, &found))
            return false;
        *out = found != NULL;
        return true;
    }
    if (container.kind != JINJA_SEQUENCE && container.kind != JINJA_UNDEFINED)
        return jinja_raise(run, "argument of type '%s' is not iterable", jinja_type_name(container));
    jinja_value *items;
    size_t n;
    if (!jinja_iterate(run, container, &items, &n))
        return false;
    for (size_t i = 0; i < n && !*out; i++)
        if (!jinja_equal(run, items[i], item, out))
            return false;
    return true;
}

bool jinja_compare(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b, bool *out)
{
    bool good;
    switch (op) {
    case JINJA_EQUAL:
        return jinja_equal(run, a, b, out);
    case JINJA_NOT_EQUAL:
        good = jinja_equal(run, a, b, out);
        *out = !*out;
        return good;
    case JINJA_IN:
        return jinja_contains(run, b, a, out);
    case JINJA_NOT_IN:
        good = jinja_contains(run, b, a, out);
        *out = !*out;
        return good;
    default:
        return ordered(run, op, a, b, out);
    }
}
