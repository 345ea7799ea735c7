/* jinja_evaluate.h - walking the tree: scopes, expressions, statements.
 *
 * A scope is a dict of variables and the scope around it. Loop iterations, macro calls and captured blocks have scopes
 * of their own, so what is set in them is gone afterwards, as in Jinja2; an if has none. */
#ifndef HONE_TEXT_JINJA_EVALUATE_H
#define HONE_TEXT_JINJA_EVALUATE_H

#include "text/jinja_syntax.h"

typedef struct jinja_scope {
    struct jinja_scope *parent;
    jinja_dict variables;
    bool kept; /* something that outlives the scope (a macro, a recursive loop) looks into it */
} jinja_scope;

jinja_scope *jinja_scope_new(jinja_run *run, jinja_scope *parent);
/* Marks the scope and those around it as looked into from elsewhere. */
void jinja_scope_keep(jinja_scope *scope);
/* An empty scope for the next round of a loop: this one again where nothing keeps it. */
jinja_scope *jinja_scope_renew(jinja_run *run, jinja_scope *scope);
bool jinja_scope_set(jinja_run *run, jinja_scope *scope, const jinja_string *name, jinja_value value);

bool jinja_evaluate(jinja_run *run, jinja_scope *scope, const jinja_node *node, jinja_value *out);
bool jinja_evaluate_arguments(jinja_run *run, jinja_scope *scope, const jinja_call_syntax *call, jinja_arguments *out);
/* Applies the FILTER node, and those it is chained to, to `text` (in place of the NULL at the chain's start). */
bool jinja_apply_filters(jinja_run *run, jinja_scope *scope, const jinja_node *filter, jinja_value text,
                         jinja_value *out);
bool jinja_assign(jinja_run *run, jinja_scope *scope, const jinja_node *target, jinja_value value);

bool jinja_execute(jinja_run *run, jinja_scope *scope, const jinja_nodes *body);

#endif
