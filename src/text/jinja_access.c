/* jinja_access.c - object.name and object[key], as Jinja2's immutable sandbox resolves them.
 *
 * A dot looks for a method first and for an item second; a subscript the other way round. What would change a list or a
 * dict is unsafe: an undefined value that raises when it is called. */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"

#include <string.h>

static const char *const dict_mutators[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
static const char *const list_mutators[] = {"append", "clear",  "pop",    "reverse", "insert",
                                            "sort",   "extend", "remove", NULL};

static bool is_mutator(jinja_value object, const jinja_string *name)
{
    const char *const *list = object.kind == JINJA_DICT                  ? dict_mutators
                              : jinja_is_sequence_of(object, JINJA_LIST) ? list_mutators
                                                                         : NULL;
    for (; list && *list; list++)
        if (jinja_text_is(name, *list))
            return true;
    return false;
}

static const jinja_builtin *find_method(jinja_value object, const jinja_string *name)
{
    const jinja_builtin *row;
    switch ((jinja_kind)object.kind) {
    case JINJA_STRING:
        row = jinja_find_in(jinja_string_methods, name);
        return row ? row : jinja_find_in(jinja_string_queries, name);
    case JINJA_DICT:
        return jinja_find_in(jinja_object_methods_of_dict, name);
    case JINJA_SEQUENCE:
        if (object.sequence->kind > JINJA_RANGE || (object.sequence->kind != JINJA_LIST && jinja_text_is(name, "copy")))
            return NULL;
        return jinja_find_in(jinja_object_methods_of_list, name);
    case JINJA_LOOP:
        return jinja_find_in(jinja_object_methods_of_loop, name);
    default:
        return NULL;
    }
}

static jinja_value lacking(jinja_absence why, jinja_value object, const jinja_string *name)
{
    jinja_value v = jinja_undefined(why, name);
    v.owner = object.kind;
    return v;
}

/* getattr(); *found tells whether there was such an attribute. */
static bool own_attribute(jinja_run *run, jinja_value object, const jinja_string *name, jinja_value *out, bool *found)
{
    *found = true;
    if (is_mutator(object, name) || (name->length > 4 && memcmp(name->data, "__", 2) == 0)) {
        *out = lacking(JINJA_UNSAFE_ATTRIBUTE, object, name);
        return true;
    }
    const jinja_builtin *method = find_method(object, name);
    if (method)
        return jinja_function_new(run, method, object, out);
    if (object.kind == JINJA_NAMESPACE) {
        jinja_value *value = jinja_dict_find(object.dict, name);
        *found = value != NULL;
        if (value)
            *out = *value;
        return true;
    }
    if (object.kind == JINJA_LOOP || object.kind == JINJA_FUNCTION) {
        *out = jinja_missing();
        bool good = object.kind == JINJA_LOOP ? jinja_loop_attribute(run, object.loop, name, out)
                                              : jinja_function_attribute(run, object, name, out);
        *found = out->kind != JINJA_MISSING;
        return good;
    }
    if (jinja_is_sequence_of(object, JINJA_TUPLE) && object.sequence->step == JINJA_GROUP && object.sequence->n == 2 &&
        (jinja_text_is(name, "grouper") || jinja_text_is(name, "list"))) {
        *out = object.sequence->items[jinja_text_is(name, "list")];
        return true;
    }
    *found = false;
    return true;
}

/* object[key]; *found tells whether there was such an item. */
static bool own_item(jinja_run *run, jinja_value object, jinja_value key, jinja_value *out, bool *found)
{
    *found = false;
    if (object.kind == JINJA_DICT) {
        jinja_value *value = NULL;
        if (jinja_hashable(key) && !jinja_dict_get(run, object.dict, key, &value))
            return false;
        *found = value != NULL;
        if (value)
            *out = *value;
        return true;
    }
    bool text = object.kind == JINJA_STRING;
    if (!jinja_is_integral(key) || !(text || (object.kind == JINJA_SEQUENCE && object.sequence->kind <= JINJA_RANGE)))
        return true;
    int64_t n = (int64_t)(text ? object.string->chars : object.sequence->n), i = jinja_as_int(key);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return true;
    *found = true;
    if (!text) {
        *out = object.sequence->items[i];
        return true;
    }
    size_t begin = jinja_char_offset(object.string, (size_t)i), end = begin + 1;
    while (end < object.string->length && (object.string->data[end] & 0xC0) == 0x80)
        end++;
    if (!jinja_spend(run, object.string->chars == object.string->length ? 0 : begin) ||
        !jinja_borrow(run, object.string->data + begin, end - begin, out))
        return false;
    out->detail = object.detail;
    return true;
}

bool jinja_attribute(jinja_run *run, jinja_value object, const jinja_string *name, jinja_value *out)
{
    bool found;
    if (object.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, object);
    if (!own_attribute(run, object, name, out, &found))
        return false;
    if (!found && !own_item(run, object, jinja_text(name), out, &found))
        return false;
    if (!found)
        *out = lacking(JINJA_NO_ATTRIBUTE, object, name);
    return true;
}

bool jinja_subscript(jinja_run *run, jinja_value object, jinja_value key, jinja_value *out)
{
    bool found;
    if (object.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, object);
    if (!own_item(run, object, key, out, &found))
        return false;
    if (!found && key.kind == JINJA_STRING && !own_attribute(run, object, key.string, out, &found))
        return false;
    if (!found)
        *out = lacking(key.kind == JINJA_STRING ? JINJA_NO_ATTRIBUTE : JINJA_NO_ITEM, object,
                       key.kind == JINJA_STRING ? key.string : NULL);
    return true;
}
