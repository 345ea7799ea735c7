/* jinja_operate.h - Python's operators on template values. All raise on operands that Python refuses. */
#ifndef HONE_TEXT_JINJA_OPERATE_H
#define HONE_TEXT_JINJA_OPERATE_H

#include "text/jinja_value.h"

typedef enum jinja_operator {
    JINJA_ADD,
    JINJA_SUBTRACT,
    JINJA_MULTIPLY,
    JINJA_DIVIDE,
    JINJA_FLOOR_DIVIDE,
    JINJA_MODULO,
    JINJA_POWER,
    JINJA_EQUAL,
    JINJA_NOT_EQUAL,
    JINJA_LESS,
    JINJA_LESS_EQUAL,
    JINJA_GREATER,
    JINJA_GREATER_EQUAL,
    JINJA_IN,
    JINJA_NOT_IN
} jinja_operator;

bool jinja_arithmetic(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b, jinja_value *out);
bool jinja_negate(jinja_run *run, jinja_value a, bool minus, jinja_value *out); /* unary - and + */
bool jinja_compare(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b, bool *out);
bool jinja_equal(jinja_run *run, jinja_value a, jinja_value b, bool *out);
bool jinja_contains(jinja_run *run, jinja_value container, jinja_value item, bool *out);
/* The same object, or equal scalars of one type. */
bool jinja_identical(jinja_value a, jinja_value b);

/* object[start:stop:step]; a bound that is JINJA_NONE was left out. */
bool jinja_slice(jinja_run *run, jinja_value object, jinja_value start, jinja_value stop, jinja_value step,
                 jinja_value *out);

/* object.name and object[key] as Jinja2's sandbox looks them up; undefined where there is neither attribute nor item.
 */
bool jinja_attribute(jinja_run *run, jinja_value object, const jinja_string *name, jinja_value *out);
bool jinja_subscript(jinja_run *run, jinja_value object, jinja_value key, jinja_value *out);

#endif
