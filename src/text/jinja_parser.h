/* jinja_parser.h - what the two halves of the parser share. Recursive descent over the token array; a function that
 * fails records the error and returns NULL (or false). */
#ifndef HONE_TEXT_JINJA_PARSER_H
#define HONE_TEXT_JINJA_PARSER_H

#include "text/jinja_syntax.h"

enum { JINJA_MAX_UNKNOWN = 16 };

typedef struct jinja_parser {
    const jinja_token *at;
    hone_arena *arena;
    hone_error *err;
    hone_status status;
    int depth;
    int loops; /* enclosing for loops of the same function body */
    int uses;  /* JINJA_USES_* seen in the macro being parsed */
    bool marks_generation;
    /* Filters and tests nobody defines. Jinja2 refuses them when compiling, except under a condition (if, inline if):
     * there they raise when reached. So each stands here until it is known to be under one. */
    struct {
        const char *what;
        const jinja_string *name;
        int line;
        bool certain;
    } unknown[JINJA_MAX_UNKNOWN];
    size_t n_unknown;
} jinja_parser;

void *jinja_parser_fail(jinja_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *jinja_parser_unsupported(jinja_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *jinja_parser_no_memory(jinja_parser *p);
bool jinja_parser_enter(jinja_parser *p);

jinja_node *jinja_parser_node(jinja_parser *p, jinja_node_kind kind);
bool jinja_parser_add(jinja_parser *p, jinja_nodes *list, jinja_node *node); /* false when node is NULL */
const jinja_string *jinja_parser_string(jinja_parser *p, const char *text, size_t length);

bool jinja_at_operator(const jinja_parser *p, const char *op);
bool jinja_at_name(const jinja_parser *p, const char *name);
bool jinja_skip_operator(jinja_parser *p, const char *op); /* true and past it when it stands here */
bool jinja_skip_name(jinja_parser *p, const char *name);
bool jinja_expect_operator(jinja_parser *p, const char *op);
bool jinja_expect(jinja_parser *p, jinja_token_kind kind);
const jinja_string *jinja_expect_name(jinja_parser *p);
/* How the token here is called in messages. */
const char *jinja_token_name(const jinja_parser *p, char out[64]);

void jinja_parser_drop_unknown(jinja_parser *p, size_t since);    /* they are under a condition after all */
void jinja_parser_certain_unknown(jinja_parser *p, size_t since); /* they are in a body of their own */

/* Expressions. `conditional`: an inline if may follow. */
jinja_node *jinja_parse_expression(jinja_parser *p, bool conditional);
/* One expression, or several separated by commas as a tuple; `stop` is a name that ends it, or NULL. */
jinja_node *jinja_parse_tuple(jinja_parser *p, bool conditional, const char *stop);
/* "name(args)|name" after a pipe; first is what is filtered (NULL: the text of a block). */
jinja_node *jinja_parse_filters(jinja_parser *p, jinja_node *first, bool at_pipe);
/* A name, a tuple of targets, or (with_namespace) ns.name. */
jinja_node *jinja_parse_target(jinja_parser *p, bool with_namespace);
/* One primary of a target, without commas. */
jinja_node *jinja_parse_single_target(jinja_parser *p, bool with_namespace);

#endif
