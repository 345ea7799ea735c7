/* jinja_operate.c - arithmetic and slices. Comparison is in jinja_compare.c, attributes in jinja_access.c. */
#include "text/jinja_operate.h"

#include "text/jinja_print.h"

#include <math.h>
#include <string.h>

static const char *const signs[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

static bool no_operation(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b)
{
    if (a.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, a);
    if (b.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, b);
    return jinja_raise(run, "unsupported operand type(s) for %s: '%s' and '%s'", signs[op], jinja_type_name(a),
                       jinja_type_name(b));
}

static bool int_power(jinja_run *run, int64_t base, int64_t exponent, jinja_value *out)
{
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return jinja_raise(run, "the result of ** does not fit 64 bits");
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base))
            return jinja_raise(run, "the result of ** does not fit 64 bits");
    }
    *out = jinja_int(result);
    return true;
}

static bool int_arithmetic(jinja_run *run, jinja_operator op, int64_t a, int64_t b, jinja_value *out)
{
    int64_t r = 0;
    bool overflow = false;
    switch (op) {
    case JINJA_ADD:
        overflow = __builtin_add_overflow(a, b, &r);
        break;
    case JINJA_SUBTRACT:
        overflow = __builtin_sub_overflow(a, b, &r);
        break;
    case JINJA_MULTIPLY:
        overflow = __builtin_mul_overflow(a, b, &r);
        break;
    case JINJA_DIVIDE:
        if (b == 0)
            return jinja_raise(run, "division by zero");
        *out = jinja_float((double)a / (double)b);
        return true;
    case JINJA_FLOOR_DIVIDE:
    case JINJA_MODULO:
        if (b == 0)
            return jinja_raise(run, "integer division or modulo by zero");
        if (b == -1) { /* INT64_MIN / -1 traps */
            overflow = op == JINJA_FLOOR_DIVIDE && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = a % b;
        if (r != 0 && (r < 0) != (b < 0))
            r += b;
        if (op == JINJA_FLOOR_DIVIDE)
            r = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    default:
        if (b >= 0)
            return int_power(run, a, b, out);
        if (a == 0)
            return jinja_raise(run, "0.0 cannot be raised to a negative power");
        *out = jinja_float(pow((double)a, (double)b));
        return true;
    }
    if (overflow)
        return jinja_raise(run, "the result of %s does not fit 64 bits", signs[op]);
    *out = jinja_int(r);
    return true;
}

static bool float_arithmetic(jinja_run *run, jinja_operator op, double a, double b, jinja_value *out)
{
    double r;
    switch (op) {
    case JINJA_ADD:
        r = a + b;
        break;
    case JINJA_SUBTRACT:
        r = a - b;
        break;
    case JINJA_MULTIPLY:
        r = a * b;
        break;
    case JINJA_DIVIDE:
        if (b == 0)
            return jinja_raise(run, "float division by zero");
        r = a / b;
        break;
    case JINJA_FLOOR_DIVIDE:
    case JINJA_MODULO: {
        if (b == 0)
            return jinja_raise(run, "float floor division or modulo by zero");
        double rest = fmod(a, b), quotient = (a - rest) / b;
        if (rest != 0) {
            if ((b < 0) != (rest < 0)) {
                rest += b;
                quotient -= 1;
            }
        } else
            rest = copysign(0, b);
        r = op == JINJA_MODULO ? rest : quotient == 0 ? copysign(0, a / b) : floor(quotient + 0.5);
        break;
    }
    default:
        if (a == 0 && b < 0)
            return jinja_raise(run, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b))
            return jinja_raise(run, "a negative number to a fractional power is complex");
        r = pow(a, b);
        if (isinf(r) && !isinf(a) && !isinf(b))
            return jinja_raise(run, "the result of ** is too large");
        break;
    }
    *out = jinja_float(r);
    return true;
}

static bool concatenate_text(jinja_run *run, jinja_value a, jinja_value b, jinja_value *out)
{
    bool safe = a.detail || b.detail;
    if (safe && !a.detail && !jinja_escape(run, a, &a))
        return false;
    if (safe && !b.detail && !jinja_escape(run, b, &b))
        return false;
    size_t length = a.string->length + b.string->length;
    if (length > JINJA_MAX_STRING_BYTES)
        return jinja_raise(run, "the template makes a text of more than %zu MiB", JINJA_MAX_STRING_BYTES >> 20);
    char *data = jinja_alloc(run, length);
    if (!data)
        return false;
    memcpy(data, a.string->data, a.string->length);
    memcpy(data + a.string->length, b.string->data, b.string->length);
    if (!jinja_borrow(run, data, length, out))
        return false;
    out->detail = safe;
    return true;
}

static bool repeat(jinja_run *run, jinja_value v, int64_t times, jinja_value *out)
{
    size_t n = v.kind == JINJA_STRING ? v.string->length : v.sequence->n, total;
    if (times < 0 || n == 0)
        times = 0;
    if (__builtin_mul_overflow(n, (size_t)times, &total) || total > JINJA_MAX_STRING_BYTES)
        return jinja_raise(run, "repeating %zu items %lld times makes too much", n, (long long)times);
    if (v.kind == JINJA_STRING) {
        char *data = jinja_alloc(run, total);
        if (!data)
            return false;
        for (size_t i = 0; i < (size_t)times; i++)
            memcpy(data + i * n, v.string->data, n);
        if (!jinja_borrow(run, data, total, out))
            return false;
        out->detail = v.detail;
        return true;
    }
    jinja_sequence *s = jinja_sequence_new(run, v.sequence->kind, total);
    if (!s)
        return false;
    for (size_t i = 0; i < (size_t)times; i++)
        memcpy(s->items + i * n, v.sequence->items, n * sizeof *s->items);
    *out = jinja_of_sequence(s);
    return true;
}

static bool is_list_or_tuple(jinja_value v)
{
    return jinja_is_sequence_of(v, JINJA_LIST) || jinja_is_sequence_of(v, JINJA_TUPLE);
}

bool jinja_arithmetic(jinja_run *run, jinja_operator op, jinja_value a, jinja_value b, jinja_value *out)
{
    if (jinja_is_integral(a) && jinja_is_integral(b))
        return int_arithmetic(run, op, jinja_as_int(a), jinja_as_int(b), out);
    if (jinja_is_number(a) && jinja_is_number(b))
        return float_arithmetic(run, op, jinja_as_double(a), jinja_as_double(b), out);
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED) {
        if (!(op == JINJA_MODULO && a.kind == JINJA_STRING))
            return no_operation(run, op, a, b);
    }
    if (op == JINJA_ADD && a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        return concatenate_text(run, a, b, out);
    if (op == JINJA_ADD && a.kind == JINJA_STRING)
        return jinja_raise(run, "can only concatenate str (not \"%s\") to str", jinja_type_name(b));
    if (op == JINJA_ADD && is_list_or_tuple(a) && is_list_or_tuple(b) && a.sequence->kind == b.sequence->kind) {
        jinja_sequence *s = jinja_sequence_new(run, a.sequence->kind, a.sequence->n + b.sequence->n);
        if (!s)
            return false;
        if (a.sequence->n)
            memcpy(s->items, a.sequence->items, a.sequence->n * sizeof *s->items);
        if (b.sequence->n)
            memcpy(s->items + a.sequence->n, b.sequence->items, b.sequence->n * sizeof *s->items);
        *out = jinja_of_sequence(s);
        return true;
    }
    if (op == JINJA_MULTIPLY && jinja_is_integral(b) && (a.kind == JINJA_STRING || is_list_or_tuple(a)))
        return repeat(run, a, jinja_as_int(b), out);
    if (op == JINJA_MULTIPLY && jinja_is_integral(a) && (b.kind == JINJA_STRING || is_list_or_tuple(b)))
        return repeat(run, b, jinja_as_int(a), out);
    if (op == JINJA_MODULO && a.kind == JINJA_STRING)
        return jinja_format_percent(run, a, b, out);
    return no_operation(run, op, a, b);
}

bool jinja_negate(jinja_run *run, jinja_value a, bool minus, jinja_value *out)
{
    if (a.kind == JINJA_FLOAT)
        *out = jinja_float(minus ? -a.real : a.real);
    else if (jinja_is_integral(a)) {
        int64_t i = jinja_as_int(a);
        if (minus && __builtin_sub_overflow((int64_t)0, i, &i))
            return jinja_raise(run, "the result of unary - does not fit 64 bits");
        *out = jinja_int(i);
    } else if (a.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, a);
    else
        return jinja_raise(run, "bad operand type for unary %s: '%s'", minus ? "-" : "+", jinja_type_name(a));
    return true;
}

/* A slice bound clamped to [low, high] as Python does; `none` when it was left out. */
static bool bound(jinja_run *run, jinja_value v, int64_t none, int64_t n, int64_t low, int64_t high, int64_t *out)
{
    if (v.kind == JINJA_NONE) {
        *out = none;
        return true;
    }
    if (v.kind == JINJA_UNDEFINED)
        return jinja_raise(run, "slice indices must be integers or None, not undefined");
    if (!jinja_is_integral(v))
        return jinja_raise(run, "slice indices must be integers or None");
    int64_t i = jinja_as_int(v);
    if (i < 0)
        i = i < -n ? low : i + n;
    *out = i < low ? low : i > high ? high : i;
    return true;
}

bool jinja_slice(jinja_run *run, jinja_value object, jinja_value start, jinja_value stop, jinja_value step,
                 jinja_value *out)
{
    if (object.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, object);
    bool text = object.kind == JINJA_STRING;
    if (!text && !is_list_or_tuple(object) && !jinja_is_sequence_of(object, JINJA_RANGE))
        return jinja_raise(run, "'%s' object cannot be sliced", jinja_type_name(object));
    int64_t by = 1, from, to, n = (int64_t)(text ? object.string->chars : object.sequence->n);
    if (step.kind != JINJA_NONE) {
        if (!jinja_is_integral(step))
            return jinja_raise(run, "slice indices must be integers or None");
        by = jinja_as_int(step);
        if (by == 0)
            return jinja_raise(run, "slice step cannot be zero");
        if (by < -n - 1) /* same result, and no overflow below */
            by = -n - 1;
        if (by > n + 1)
            by = n + 1;
    }
    int64_t low = by > 0 ? 0 : -1, high = by > 0 ? n : n - 1;
    if (!bound(run, start, by > 0 ? 0 : n - 1, n, low, high, &from) ||
        !bound(run, stop, by > 0 ? n : -1, n, low, high, &to))
        return false;
    int64_t count = by > 0 ? (to > from ? (to - from - 1) / by + 1 : 0) : (from > to ? (from - to - 1) / -by + 1 : 0);
    if (text && by == 1) {
        size_t begin = jinja_char_offset(object.string, (size_t)from);
        size_t end = count ? jinja_char_offset(object.string, (size_t)to) : begin;
        if (!jinja_spend(run, object.string->length) ||
            !jinja_borrow(run, object.string->data + begin, end - begin, out))
            return false;
        out->detail = object.detail;
        return true;
    }
    jinja_value *items;
    size_t n_items;
    if (!jinja_iterate(run, object, &items, &n_items))
        return false;
    if (!text) {
        jinja_sequence *s = jinja_sequence_new(run, object.sequence->kind, (size_t)count);
        if (!s)
            return false;
        for (int64_t i = 0; i < count; i++)
            s->items[i] = items[from + i * by];
        s->start = object.sequence->start + from * object.sequence->step; /* of a range */
        s->step = object.sequence->step * by;
        s->stop = object.sequence->start + to * object.sequence->step;
        *out = jinja_of_sequence(s);
        return true;
    }
    hone_buffer b = {0};
    bool good = true;
    for (int64_t i = 0; i < count && good; i++) {
        const jinja_string *c = items[from + i * by].string;
        good = jinja_put(run, &b, c->data, c->length);
    }
    if (!good) {
        hone_buffer_clear(&b);
        return false;
    }
    if (!jinja_take(run, &b, out))
        return false;
    out->detail = object.detail;
    return true;
}
