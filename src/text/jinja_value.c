/* jinja_value.c - making values, asking what they are, iterating over them. Dicts are in jinja_dict.c. */
#include "text/jinja_value.h"

#include "base/text.h"

#include <string.h>

jinja_value jinja_missing(void)
{
    return (jinja_value){.kind = JINJA_MISSING};
}

jinja_value jinja_none(void)
{
    return (jinja_value){.kind = JINJA_NONE};
}

jinja_value jinja_bool(bool b)
{
    return (jinja_value){.kind = JINJA_BOOL, .boolean = b};
}

jinja_value jinja_int(int64_t i)
{
    return (jinja_value){.kind = JINJA_INT, .integer = i};
}

jinja_value jinja_float(double d)
{
    return (jinja_value){.kind = JINJA_FLOAT, .real = d};
}

jinja_value jinja_undefined(jinja_absence why, const jinja_string *name)
{
    return (jinja_value){.kind = JINJA_UNDEFINED, .detail = (unsigned char)why, .string = name};
}

jinja_value jinja_text(const jinja_string *s)
{
    return (jinja_value){.kind = JINJA_STRING, .string = s};
}

jinja_value jinja_of_sequence(jinja_sequence *s)
{
    return (jinja_value){.kind = JINJA_SEQUENCE, .sequence = s};
}

jinja_value jinja_of_dict(jinja_dict *d)
{
    return (jinja_value){.kind = JINJA_DICT, .dict = d};
}

size_t jinja_count_chars(const char *data, size_t length)
{
    size_t chars = 0;
    for (size_t i = 0; i < length; i++)
        chars += (data[i] & 0xC0) != 0x80;
    return chars;
}

bool jinja_borrow(jinja_run *run, const char *data, size_t length, jinja_value *out)
{
    if (!jinja_spend(run, length))
        return false;
    if (length > JINJA_MAX_STRING_BYTES)
        return jinja_raise(run, "a text of more than %zu MiB", JINJA_MAX_STRING_BYTES >> 20);
    jinja_string *s = jinja_alloc(run, sizeof *s);
    if (!s)
        return false;
    *s = (jinja_string){data, length, jinja_count_chars(data, length)};
    *out = jinja_text(s);
    return true;
}

bool jinja_copy(jinja_run *run, const char *data, size_t length, jinja_value *out)
{
    if (length > JINJA_MAX_STRING_BYTES)
        return jinja_raise(run, "a text of more than %zu MiB", JINJA_MAX_STRING_BYTES >> 20);
    char *copy = jinja_alloc(run, length);
    if (!copy)
        return false;
    if (length)
        memcpy(copy, data, length);
    return jinja_borrow(run, copy, length, out);
}

bool jinja_take(jinja_run *run, hone_buffer *b, jinja_value *out)
{
    bool good = b->failed ? jinja_out_of_memory(run) : jinja_copy(run, b->data, b->length, out);
    hone_buffer_clear(b);
    return good;
}

bool jinja_literal(jinja_run *run, const char *text, jinja_value *out)
{
    return jinja_borrow(run, text, strlen(text), out);
}

size_t jinja_char_offset(const jinja_string *s, size_t index)
{
    if (s->chars == s->length)
        return index;
    size_t at = 0;
    for (; index > 0 && at < s->length; index--) {
        at++;
        while (at < s->length && (s->data[at] & 0xC0) == 0x80)
            at++;
    }
    return at;
}

bool jinja_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

jinja_sequence *jinja_sequence_new(jinja_run *run, jinja_sequence_kind kind, size_t n)
{
    jinja_sequence *s = jinja_alloc(run, sizeof *s);
    if (!s)
        return NULL;
    s->kind = kind;
    s->n = n;
    s->items = jinja_alloc_array(run, n, sizeof *s->items);
    if (!s->items || !jinja_spend(run, n * 16))
        return NULL;
    return s;
}

bool jinja_pair(jinja_run *run, jinja_value a, jinja_value b, jinja_value *out)
{
    jinja_sequence *s = jinja_sequence_new(run, JINJA_TUPLE, 2);
    if (!s)
        return false;
    s->items[0] = a;
    s->items[1] = b;
    *out = jinja_of_sequence(s);
    return true;
}

bool jinja_is_integral(jinja_value v)
{
    return v.kind == JINJA_INT || v.kind == JINJA_BOOL;
}

bool jinja_is_number(jinja_value v)
{
    return jinja_is_integral(v) || v.kind == JINJA_FLOAT;
}

int64_t jinja_as_int(jinja_value v)
{
    return v.kind == JINJA_BOOL ? v.boolean : v.integer;
}

double jinja_as_double(jinja_value v)
{
    return v.kind == JINJA_FLOAT ? v.real : (double)jinja_as_int(v);
}

bool jinja_is_sequence_of(jinja_value v, jinja_sequence_kind kind)
{
    return v.kind == JINJA_SEQUENCE && v.sequence->kind == kind;
}

bool jinja_text_is(const jinja_string *s, const char *text)
{
    size_t n = strlen(text);
    return s->length == n && memcmp(s->data, text, n) == 0;
}

bool jinja_truth(jinja_value v)
{
    switch ((jinja_kind)v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.boolean;
    case JINJA_INT:
        return v.integer != 0;
    case JINJA_FLOAT:
        return v.real != 0;
    case JINJA_STRING:
        return v.string->length > 0;
    case JINJA_SEQUENCE:
        return v.sequence->n > 0 || v.sequence->kind == JINJA_GENERATOR;
    case JINJA_DICT:
        return v.dict->n > 0;
    default:
        return true;
    }
}

const char *jinja_type_name(jinja_value v)
{
    static const char *const sequences[] = {"list",        "tuple",      "range",    "dict_keys",
                                            "dict_values", "dict_items", "generator"};
    static const char *const kinds[] = {"missing", "Undefined", "NoneType", "bool",      "int",         "float",
                                        "str",     "sequence",  "dict",     "Namespace", "LoopContext", "function"};
    return v.kind == JINJA_SEQUENCE ? sequences[v.sequence->kind] : kinds[v.kind];
}

bool jinja_raise_undefined(jinja_run *run, jinja_value v)
{
    static const jinja_string nameless = {"?", 1, 1};
    static const char *const kinds[] = {"missing", "undefined", "none", "bool",      "int",  "float",
                                        "str",     "list",      "dict", "Namespace", "loop", "function"};
    const jinja_string *s = v.string ? v.string : &nameless;
    int n = s->length > 200 ? 200 : (int)s->length;
    switch ((jinja_absence)v.detail) {
    case JINJA_NO_ATTRIBUTE:
        return jinja_raise(run, "%s object has no attribute '%.*s'", kinds[v.owner], n, s->data);
    case JINJA_NO_ITEM:
        return jinja_raise(run, "%s object has no such element", kinds[v.owner]);
    case JINJA_UNSAFE_ATTRIBUTE:
        return jinja_raise(run,
                           "access to attribute '%.*s' of a %s object is unsafe: a template cannot change its data", n,
                           s->data, kinds[v.owner]);
    case JINJA_NO_ARGUMENT:
        return jinja_raise(run, "parameter '%.*s' was not provided", n, s->data);
    case JINJA_NO_ELSE:
        return jinja_raise(run, "an inline if evaluated to false and has no else");
    default:
        return jinja_raise(run, "'%.*s' is undefined", n, s->data);
    }
}

static bool iterate_string(jinja_run *run, const jinja_string *s, jinja_value **items, size_t *n)
{
    jinja_value *chars = jinja_alloc_array(run, s->chars, sizeof *chars);
    jinja_string *pieces = jinja_alloc_array(run, s->chars, sizeof *pieces);
    if (!chars || !pieces || !jinja_spend(run, s->length * 8))
        return false;
    size_t at = 0;
    for (size_t i = 0; i < s->chars; i++) {
        size_t width = 1;
        while (at + width < s->length && (s->data[at + width] & 0xC0) == 0x80)
            width++;
        pieces[i] = (jinja_string){s->data + at, width, 1};
        chars[i] = jinja_text(&pieces[i]);
        at += width;
    }
    *items = chars;
    *n = s->chars;
    return true;
}

bool jinja_iterate(jinja_run *run, jinja_value v, jinja_value **items, size_t *n)
{
    *items = NULL;
    *n = 0;
    switch ((jinja_kind)v.kind) {
    case JINJA_UNDEFINED:
        return true;
    case JINJA_STRING:
        return iterate_string(run, v.string, items, n);
    case JINJA_SEQUENCE:
        *items = v.sequence->items;
        *n = v.sequence->n;
        if (v.sequence->kind == JINJA_GENERATOR)
            v.sequence->n = 0;
        return true;
    case JINJA_DICT: {
        jinja_value *keys = jinja_alloc_array(run, v.dict->n, sizeof *keys);
        if (!keys || !jinja_spend(run, v.dict->n * 16))
            return false;
        for (size_t i = 0; i < v.dict->n; i++)
            keys[i] = v.dict->entries[i].key;
        *items = keys;
        *n = v.dict->n;
        return true;
    }
    default:
        return jinja_raise(run, "'%s' object is not iterable", jinja_type_name(v));
    }
}

bool jinja_length(jinja_run *run, jinja_value v, size_t *out)
{
    *out = 0;
    if (v.kind == JINJA_UNDEFINED)
        return true;
    if (v.kind == JINJA_STRING)
        *out = v.string->chars;
    else if (v.kind == JINJA_DICT)
        *out = v.dict->n;
    else if (v.kind == JINJA_SEQUENCE && v.sequence->kind != JINJA_GENERATOR)
        *out = v.sequence->n;
    else
        return jinja_raise(run, "object of type '%s' has no len()", jinja_type_name(v));
    return true;
}

static bool object_from_json(jinja_run *run, const json_t *json, int depth, jinja_value *out)
{
    jinja_dict *d = jinja_dict_new(run);
    if (!d)
        return false;
    /* jansson's iterators take a non-const object though they do not change it; they follow insertion order. */
    const char *key;
    json_t *member, *object = (json_t *)(uintptr_t)json;
    json_object_foreach(object, key, member)
    {
        jinja_value name, value;
        if (!jinja_borrow(run, key, strlen(key), &name) || !jinja_from_json(run, member, depth + 1, &value) ||
            !jinja_dict_set(run, d, name, value))
            return false;
    }
    *out = jinja_of_dict(d);
    return true;
}

bool jinja_from_json(jinja_run *run, const json_t *json, int depth, jinja_value *out)
{
    if (depth > JINJA_MAX_DATA_DEPTH)
        return jinja_raise(run, "the context is nested more than %d deep", JINJA_MAX_DATA_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return object_from_json(run, json, depth, out);
    case JSON_ARRAY: {
        jinja_sequence *s = jinja_sequence_new(run, JINJA_LIST, json_array_size(json));
        if (!s)
            return false;
        for (size_t i = 0; i < s->n; i++)
            if (!jinja_from_json(run, json_array_get(json, i), depth + 1, &s->items[i]))
                return false;
        *out = jinja_of_sequence(s);
        return true;
    }
    case JSON_STRING:
        return jinja_borrow(run, json_string_value(json), json_string_length(json), out);
    case JSON_INTEGER:
        *out = jinja_int(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = jinja_float(json_real_value(json));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = jinja_bool(json_is_true(json));
        return true;
    default:
        *out = jinja_none();
        return true;
    }
}
