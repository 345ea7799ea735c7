/* jinja_syntax.h - tokens and the tree they make.
 *
 *   source --jinja_tokenize--> tokens --jinja_parse--> tree, which jinja_execute.c and jinja_evaluate.c walk.
 * Tree, names and constants live in the arena of the compiled template and are read-only afterwards. */
#ifndef HONE_TEXT_JINJA_SYNTAX_H
#define HONE_TEXT_JINJA_SYNTAX_H

#include "text/jinja_call.h"
#include "text/jinja_operate.h"

typedef enum jinja_token_kind {
    JINJA_T_DATA,
    JINJA_T_PRINT_BEGIN, /* {{ */
    JINJA_T_PRINT_END,
    JINJA_T_BLOCK_BEGIN, /* {% */
    JINJA_T_BLOCK_END,
    JINJA_T_NAME,
    JINJA_T_STRING,
    JINJA_T_INTEGER,
    JINJA_T_FLOAT,
    JINJA_T_OPERATOR,
    JINJA_T_END
} jinja_token_kind;

typedef struct jinja_token {
    jinja_token_kind kind;
    int line;
    const char *text; /* in the source; of a string: unescaped, in the arena */
    size_t length;
} jinja_token;

typedef struct jinja_tokens {
    jinja_token *items; /* malloc'd; the last is JINJA_T_END */
    size_t n, capacity;
} jinja_tokens;

/* `source` is normalised already: valid UTF-8, newlines are "\n", the last one dropped. The caller frees items. */
hone_status jinja_tokenize(const char *source, size_t length, hone_arena *arena, jinja_tokens *out, hone_error *err);

typedef enum jinja_node_kind {
    /* expressions */
    JINJA_CONSTANT,    /* value */
    JINJA_NAME,        /* name */
    JINJA_LIST_OF,     /* items */
    JINJA_TUPLE_OF,    /* items */
    JINJA_DICT_OF,     /* items: key, value, key, value ... */
    JINJA_UNARY,       /* first; op: JINJA_ADD or JINJA_SUBTRACT */
    JINJA_NOT,         /* first */
    JINJA_AND,         /* first, second */
    JINJA_OR,          /* first, second */
    JINJA_ARITHMETIC,  /* first op second */
    JINJA_CONCAT,      /* items */
    JINJA_COMPARE,     /* items[0] ops[0] items[1] ops[1] ... */
    JINJA_CONDITIONAL, /* second if first else third (or NULL) */
    JINJA_ATTRIBUTE,   /* first.name */
    JINJA_SUBSCRIPT,   /* first[second] */
    JINJA_SLICE,       /* first[items[0]:items[1]:items[2]], NULL where left out */
    JINJA_CALL,        /* first(call) */
    JINJA_FILTER,      /* first|name(call); first NULL: the text of the block; builtin NULL: unknown filter */
    JINJA_TEST,        /* first is name(call) */
    /* statements */
    JINJA_OUTPUT,     /* items: expressions; constants are the data between tags */
    JINJA_IF,         /* first: condition, body, next: the elif, otherwise */
    JINJA_FOR,        /* first: target, second: iterated, third: condition or NULL, body, otherwise; flag: recursive */
    JINJA_SET,        /* first: target, second: value */
    JINJA_SET_BLOCK,  /* first: target, second: filter or NULL, body */
    JINJA_MACRO,      /* name, items: parameters, defaults, body; flag: JINJA_USES_* */
    JINJA_CALL_BLOCK, /* first: the call, second: a MACRO node named caller */
    JINJA_FILTER_BLOCK, /* first: filter, body */
    JINJA_WITH,         /* items: target, value ..., body */
    JINJA_SCOPED,       /* body in a scope of its own; flag 1: on top of the global scope (block) */
    JINJA_GENERATION,   /* body */
    JINJA_BREAK,
    JINJA_CONTINUE
} jinja_node_kind;

enum { JINJA_USES_CALLER = 1, JINJA_USES_KWARGS = 2, JINJA_USES_VARARGS = 4 };

typedef struct jinja_node jinja_node;

typedef struct jinja_nodes {
    jinja_node **items;
    size_t n, capacity;
} jinja_nodes;

/* Argument expressions of a call. */
typedef struct jinja_call_syntax {
    jinja_nodes positional, named;
    const jinja_string **names;     /* one per `named` */
    jinja_node *star, *double_star; /* *args and **kwargs, or NULL */
} jinja_call_syntax;

struct jinja_node {
    jinja_node_kind kind;
    int line;
    int flag;
    jinja_operator op;
    const jinja_string *name;
    jinja_value value;
    jinja_node *first, *second, *third, *next;
    jinja_nodes items, defaults, body, otherwise;
    jinja_operator *ops;
    const jinja_call_syntax *call;
    const jinja_builtin *builtin;
};

typedef struct jinja_program {
    jinja_nodes body;
    bool marks_generation;
} jinja_program;

hone_status jinja_parse(const jinja_tokens *tokens, hone_arena *arena, jinja_program *out, hone_error *err);

#endif
