/* jinja_tests.c - what may follow "is". */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"

#include "base/text.h"

#include <string.h>

#include <utf8proc.h>

#define TEST(name)                                                                                                     \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

/* A test that only looks at the value. */
#define TEST_OF_VALUE(name, condition)                                                                                 \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        (void)run, (void)p, (void)all;                                                                                 \
        *out = jinja_bool(condition);                                                                                  \
        return true;                                                                                                   \
    }

static bool has_length_and_items(jinja_value v)
{
    return v.kind == JINJA_UNDEFINED || v.kind == JINJA_STRING || v.kind == JINJA_DICT ||
           (v.kind == JINJA_SEQUENCE && v.sequence->kind <= JINJA_RANGE);
}

TEST_OF_VALUE(test_defined, self.kind != JINJA_UNDEFINED)
TEST_OF_VALUE(test_undefined, self.kind == JINJA_UNDEFINED)
TEST_OF_VALUE(test_none, self.kind == JINJA_NONE)
TEST_OF_VALUE(test_boolean, self.kind == JINJA_BOOL)
TEST_OF_VALUE(test_true, self.kind == JINJA_BOOL && self.boolean)
TEST_OF_VALUE(test_false, self.kind == JINJA_BOOL && !self.boolean)
TEST_OF_VALUE(test_integer, self.kind == JINJA_INT)
TEST_OF_VALUE(test_float, self.kind == JINJA_FLOAT)
TEST_OF_VALUE(test_number, jinja_is_number(self))
TEST_OF_VALUE(test_string, self.kind == JINJA_STRING)
TEST_OF_VALUE(test_mapping, self.kind == JINJA_DICT)
TEST_OF_VALUE(test_sequence, has_length_and_items(self))
TEST_OF_VALUE(test_iterable, has_length_and_items(self) || self.kind == JINJA_SEQUENCE || self.kind == JINJA_LOOP)
TEST_OF_VALUE(test_callable, self.kind == JINJA_FUNCTION || self.kind == JINJA_LOOP || self.kind == JINJA_UNDEFINED)
TEST_OF_VALUE(test_escaped, self.kind == JINJA_STRING && self.detail)
TEST_OF_VALUE(test_sameas, jinja_identical(self, p[0]))
TEST_OF_VALUE(test_filter, self.kind == JINJA_STRING && jinja_find_filter(self.string))
TEST_OF_VALUE(test_test, self.kind == JINJA_STRING && jinja_find_test(self.string))

/* Some letter, and every letter of this case. */
static bool all_in_case(jinja_run *run, jinja_value self, utf8proc_category_t wanted, utf8proc_category_t other,
                        jinja_value *out)
{
    jinja_value s;
    bool some = false, none_other = true;
    if (!jinja_to_text(run, self, &s))
        return false;
    for (size_t i = 0, width; i < s.string->length; i += width) {
        uint32_t c = 0;
        width = hone_utf8_next(s.string->data + i, s.string->length - i, &c);
        if (!width)
            break;
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
        some |= category == wanted;
        none_other &= category != other && category != UTF8PROC_CATEGORY_LT;
    }
    *out = jinja_bool(some && none_other);
    return true;
}

TEST(test_lower)
{
    (void)p, (void)all;
    return all_in_case(run, self, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LU, out);
}

TEST(test_upper)
{
    (void)p, (void)all;
    return all_in_case(run, self, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL, out);
}

static bool remainder_is(jinja_run *run, jinja_value self, jinja_value divisor, int64_t wanted, jinja_value *out)
{
    jinja_value rest;
    bool equal;
    if (!jinja_arithmetic(run, JINJA_MODULO, self, divisor, &rest) ||
        !jinja_equal(run, rest, jinja_int(wanted), &equal))
        return false;
    *out = jinja_bool(equal);
    return true;
}

TEST(test_odd)
{
    (void)p, (void)all;
    return remainder_is(run, self, jinja_int(2), 1, out);
}

TEST(test_even)
{
    (void)p, (void)all;
    return remainder_is(run, self, jinja_int(2), 0, out);
}

TEST(test_divisibleby)
{
    (void)all;
    return remainder_is(run, self, p[0], 0, out);
}

#define TEST_OF_COMPARISON(name, operator)                                                                             \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        (void)all;                                                                                                     \
        bool holds = false;                                                                                            \
        bool good = jinja_compare(run, operator, self, p[0], &holds);                                                  \
        *out = jinja_bool(holds);                                                                                      \
        return good;                                                                                                   \
    }

TEST_OF_COMPARISON(test_equal, JINJA_EQUAL)
TEST_OF_COMPARISON(test_not_equal, JINJA_NOT_EQUAL)
TEST_OF_COMPARISON(test_less, JINJA_LESS)
TEST_OF_COMPARISON(test_less_equal, JINJA_LESS_EQUAL)
TEST_OF_COMPARISON(test_greater, JINJA_GREATER)
TEST_OF_COMPARISON(test_greater_equal, JINJA_GREATER_EQUAL)
TEST_OF_COMPARISON(test_in, JINJA_IN)

const jinja_builtin jinja_tests[] = {
    {"defined", test_defined, "", 0},
    {"undefined", test_undefined, "", 0},
    {"none", test_none, "", 0},
    {"boolean", test_boolean, "", 0},
    {"true", test_true, "", 0},
    {"false", test_false, "", 0},
    {"integer", test_integer, "", 0},
    {"float", test_float, "", 0},
    {"number", test_number, "", 0},
    {"string", test_string, "", 0},
    {"mapping", test_mapping, "", 0},
    {"sequence", test_sequence, "", 0},
    {"iterable", test_iterable, "", 0},
    {"callable", test_callable, "", 0},
    {"escaped", test_escaped, "", 0},
    {"sameas", test_sameas, "other", 1},
    {"filter", test_filter, "", 0},
    {"test", test_test, "", 0},
    {"lower", test_lower, "", 0},
    {"upper", test_upper, "", 0},
    {"odd", test_odd, "", 0},
    {"even", test_even, "", 0},
    {"divisibleby", test_divisibleby, "num", 1},
    {"in", test_in, "seq", 1},
    {"==", test_equal, "other", 1},
    {"eq", test_equal, "other", 1},
    {"equalto", test_equal, "other", 1},
    {"!=", test_not_equal, "other", 1},
    {"ne", test_not_equal, "other", 1},
    {"<", test_less, "other", 1},
    {"lt", test_less, "other", 1},
    {"lessthan", test_less, "other", 1},
    {"<=", test_less_equal, "other", 1},
    {"le", test_less_equal, "other", 1},
    {">", test_greater, "other", 1},
    {"gt", test_greater, "other", 1},
    {"greaterthan", test_greater, "other", 1},
    {">=", test_greater_equal, "other", 1},
    {"ge", test_greater_equal, "other", 1},
    {NULL, NULL, NULL, 0},
};
