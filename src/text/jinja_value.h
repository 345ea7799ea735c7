/* jinja_value.h - the values of the template language: Python's none, bool, int, float, str, list, tuple, dict and the
 * few objects that templates meet.
 *
 * A jinja_value is passed by value; what it points to lives in the rendering's arena (or in the compiled template or
 * the JSON context, which outlive it) and is never changed, except namespaces, loops and generators. Strings are valid
 * UTF-8; their length in the language is in code points. Integers have 64 bits; beyond, arithmetic raises. */
#ifndef HONE_TEXT_JINJA_VALUE_H
#define HONE_TEXT_JINJA_VALUE_H

#include "text/jinja_run.h"

typedef enum jinja_kind {
    JINJA_MISSING,   /* no value at all: an argument that was not passed */
    JINJA_UNDEFINED, /* Jinja2's Undefined: prints as nothing, most uses raise */
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_SEQUENCE,
    JINJA_DICT,
    JINJA_NAMESPACE, /* dict member; the one object whose attributes a template may set */
    JINJA_LOOP,
    JINJA_FUNCTION
} jinja_kind;

/* Why a value is undefined; with `name` it makes the message when the value is used. */
typedef enum jinja_absence {
    JINJA_NO_VARIABLE,
    JINJA_NO_ATTRIBUTE,
    JINJA_NO_ITEM,
    JINJA_UNSAFE_ATTRIBUTE,
    JINJA_NO_ARGUMENT,
    JINJA_NO_ELSE
} jinja_absence;

typedef struct jinja_string {
    const char *data; /* not NUL-terminated */
    size_t length;    /* bytes */
    size_t chars;     /* code points; equal to length when all are ASCII */
} jinja_string;

typedef struct jinja_sequence jinja_sequence;
typedef struct jinja_dict jinja_dict;
typedef struct jinja_loop jinja_loop;
typedef struct jinja_function jinja_function;

typedef struct jinja_value {
    unsigned char kind;   /* jinja_kind */
    unsigned char detail; /* string: 1 when marked safe (Markup); undefined: jinja_absence */
    unsigned char owner;  /* undefined: kind of the object that lacks the attribute */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const jinja_string *string; /* string; undefined: the name, or NULL */
        jinja_sequence *sequence;
        jinja_dict *dict;
        jinja_loop *loop;
        jinja_function *function;
    };
} jinja_value;

typedef enum jinja_sequence_kind {
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_RANGE,
    JINJA_KEYS,
    JINJA_VALUES,
    JINJA_ITEMS,
    JINJA_GENERATOR /* read once; true even when empty; has no length */
} jinja_sequence_kind;

enum { JINJA_GROUP = -7 }; /* `step` of a tuple that groupby made: its parts have the names grouper and list */

struct jinja_sequence {
    jinja_sequence_kind kind;
    size_t n;
    jinja_value *items;
    int64_t start, stop, step; /* of a range, for printing */
};

typedef struct jinja_entry {
    jinja_value key, value;
    uint64_t hash;
} jinja_entry;

/* Insertion-ordered map: entries in order, and above a few of them a table of slots that hold entry index + 1. */
struct jinja_dict {
    size_t n, capacity;
    jinja_entry *entries;
    uint32_t *slots;
    size_t n_slots; /* a power of two, or 0 */
};

jinja_value jinja_missing(void);
jinja_value jinja_none(void);
jinja_value jinja_bool(bool b);
jinja_value jinja_int(int64_t i);
jinja_value jinja_float(double d);
jinja_value jinja_undefined(jinja_absence why, const jinja_string *name);
jinja_value jinja_text(const jinja_string *s);
jinja_value jinja_of_sequence(jinja_sequence *s);
jinja_value jinja_of_dict(jinja_dict *d);

/* Strings: `data` must be valid UTF-8. borrow keeps the pointer, copy does not; take empties the buffer (also on
 * failure). All set a JINJA_STRING in *out. */
bool jinja_borrow(jinja_run *run, const char *data, size_t length, jinja_value *out);
bool jinja_copy(jinja_run *run, const char *data, size_t length, jinja_value *out);
bool jinja_take(jinja_run *run, hone_buffer *b, jinja_value *out);
bool jinja_literal(jinja_run *run, const char *text, jinja_value *out);
size_t jinja_count_chars(const char *data, size_t length);
/* Byte offset of the code point number `index` (index <= chars). */
size_t jinja_char_offset(const jinja_string *s, size_t index);
/* Python's str.isspace for one code point. */
bool jinja_is_space(uint32_t c);

jinja_sequence *jinja_sequence_new(jinja_run *run, jinja_sequence_kind kind, size_t n);
bool jinja_pair(jinja_run *run, jinja_value a, jinja_value b, jinja_value *out); /* a tuple of two */

jinja_dict *jinja_dict_new(jinja_run *run);
/* Raises on an unhashable key. */
bool jinja_dict_set(jinja_run *run, jinja_dict *d, jinja_value key, jinja_value value);
/* *out is NULL when there is no such key; false only when the key is unhashable or a limit was met. */
bool jinja_dict_get(jinja_run *run, const jinja_dict *d, jinja_value key, jinja_value **out);
jinja_value *jinja_dict_find(const jinja_dict *d, const jinja_string *name);
bool jinja_hashable(jinja_value v);

bool jinja_is_number(jinja_value v);   /* bool, int or float */
bool jinja_is_integral(jinja_value v); /* bool or int */
int64_t jinja_as_int(jinja_value v);   /* of an integral value */
double jinja_as_double(jinja_value v);
bool jinja_is_sequence_of(jinja_value v, jinja_sequence_kind kind);
bool jinja_text_is(const jinja_string *s, const char *text);

bool jinja_truth(jinja_value v);
/* Python's name of the type, for messages. */
const char *jinja_type_name(jinja_value v);
/* Raises what using this undefined value raises. */
bool jinja_raise_undefined(jinja_run *run, jinja_value v);

/* The items a `for` would see; raises when it is not iterable. A generator is used up. */
bool jinja_iterate(jinja_run *run, jinja_value v, jinja_value **items, size_t *n);
/* Python's len(); raises for what has none. */
bool jinja_length(jinja_run *run, jinja_value v, size_t *out);

bool jinja_from_json(jinja_run *run, const json_t *json, int depth, jinja_value *out);

#endif
