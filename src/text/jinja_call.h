/* jinja_call.h - calling things: filters, tests, methods, global functions and macros.
 *
 * Built-in functions are rows of tables. A row names its parameters, so that binding positional and keyword arguments,
 * and the errors about them, stand in one place (jinja_call.c). */
#ifndef HONE_TEXT_JINJA_CALL_H
#define HONE_TEXT_JINJA_CALL_H

#include "text/jinja_value.h"

typedef struct jinja_arguments {
    jinja_value *positional;
    size_t n;
    const jinja_string **names; /* of the keyword arguments */
    jinja_value *named;
    size_t n_named;
} jinja_arguments;

enum { JINJA_MAX_PARAMETERS = 8 };

/* `self`: the value filtered or tested, or the object of a method (JINJA_MISSING for a global function).
 * `p`: one value per parameter of the row, JINJA_MISSING where not passed; `all`: the arguments as given. */
typedef bool jinja_builtin_function(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,
                                    jinja_value *out);

typedef struct jinja_builtin {
    const char *name;
    jinja_builtin_function *function;
    const char *parameters; /* names separated by spaces; NULL: takes anything, looks at `all` itself */
    int n_required;
} jinja_builtin;

/* Tables; each ends with a row without a name. */
extern const jinja_builtin jinja_text_filters[], jinja_sequence_filters[], jinja_select_filters[], jinja_tests[],
    jinja_globals[], jinja_string_methods[], jinja_string_queries[], jinja_object_methods_of_dict[],
    jinja_object_methods_of_list[], jinja_object_methods_of_loop[], jinja_object_methods_of_cycler[];

/* NULL when there is none. */
const jinja_builtin *jinja_find_filter(const jinja_string *name);
const jinja_builtin *jinja_find_test(const jinja_string *name);
const jinja_builtin *jinja_find_global(const jinja_string *name);
const jinja_builtin *jinja_find_in(const jinja_builtin *table, const jinja_string *name);

bool jinja_call_builtin(jinja_run *run, const jinja_builtin *row, jinja_value self, const jinja_arguments *all,
                        jinja_value *out);

/* Something that can be called: a row with its object, or a macro (node and the scope it was defined in). */
struct jinja_node;
struct jinja_scope;
struct jinja_function {
    const jinja_builtin *builtin; /* NULL: a macro */
    jinja_value self;
    const struct jinja_node *macro; /* or the node of a recursive for */
    struct jinja_scope *scope;
    jinja_value *items; /* state of cycler and joiner */
    size_t n_items, next;
};
bool jinja_function_new(jinja_run *run, const jinja_builtin *row, jinja_value self, jinja_value *out);
/* Calls a JINJA_FUNCTION or a loop; raises when the value cannot be called. */
bool jinja_call(jinja_run *run, jinja_value callee, const jinja_arguments *all, jinja_value *out);

/* The state of one `for`; `loop` in templates. */
struct jinja_loop {
    jinja_value *items;
    size_t n, index; /* index from 0 */
    int depth;       /* of recursion, from 0 */
    const struct jinja_node *node;
    struct jinja_scope *scope; /* around the loop */
    jinja_value *last_changed; /* what loop.changed saw last */
    size_t n_last_changed;
    bool changed_before;
};
/* Leaves *out alone when there is no such attribute. */
bool jinja_loop_attribute(jinja_run *run, jinja_loop *loop, const jinja_string *name, jinja_value *out);

/* Attributes of a macro or a cycler; leaves *out alone when there is no such attribute. */
bool jinja_function_attribute(jinja_run *run, jinja_value function, const jinja_string *name, jinja_value *out);

/* In jinja_execute.c. */
bool jinja_call_macro(jinja_run *run, const jinja_function *macro, const jinja_arguments *all, jinja_value *out);
bool jinja_call_loop(jinja_run *run, const jinja_loop *loop, const jinja_arguments *all, jinja_value *out);

/* Arguments of built-ins: `missing` (and none, for the integer) gives the default. */
bool jinja_argument_int(jinja_run *run, jinja_value v, int64_t fallback, int64_t *out);
/* str(v); a missing one becomes `fallback`. */
bool jinja_argument_text(jinja_run *run, jinja_value v, const char *fallback, const jinja_string **out);

/* str.format. */
bool jinja_format_braces(jinja_run *run, const jinja_string *format, const jinja_arguments *all, jinja_value *out);

#endif
