/* number.c - reading decimal numbers from text. */
#include "metric/number.h"

#include "metric/fold.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with or without commas; commas only before groups of three. Returns the bytes taken, 0 when there are none. */
static size_t take_integer(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && is_digit(s[i]))
        i++;
    if (i == 0 || i > 3)
        return i;
    while (i + 3 < n && s[i] == ',' && is_digit(s[i + 1]) && is_digit(s[i + 2]) && is_digit(s[i + 3]) &&
           !(i + 4 < n && is_digit(s[i + 4])))
        i += 4;
    return i;
}

/* The number that begins at s: sign, integer, fraction, exponent. Returns the bytes taken, 0 for none. */
static size_t take_number(const char *s, size_t n, hone_decimal *out)
{
    size_t i = 0;
    *out = (hone_decimal){0};
    if (i < n && (s[i] == '-' || s[i] == '+'))
        out->negative = s[i++] == '-';
    size_t integer = take_integer(s + i, n - i), point = i + integer, end = point;
    if (end + 1 < n && s[end] == '.' && is_digit(s[end + 1]))
        for (end++; end < n && is_digit(s[end]); end++)
            ;
    if (end == i)
        return 0;
    int64_t exponent = 0, before_point = 0;
    bool seen_point = false;
    for (size_t k = i; k < end; k++) {
        if (s[k] == ',')
            continue;
        if (s[k] == '.') {
            seen_point = true;
            continue;
        }
        bool leading = out->n_digits == 0 && s[k] == '0';
        if (!seen_point && !leading)
            before_point++;
        if (seen_point && leading)
            before_point--;
        if (leading)
            continue;
        if (out->n_digits == sizeof out->digits)
            return 0;
        out->digits[out->n_digits++] = s[k];
    }
    size_t mark = end;
    if (mark < n && (s[mark] == 'e' || s[mark] == 'E')) {
        size_t k = mark + 1;
        bool negative = k < n && s[k] == '-';
        k += k < n && (s[k] == '-' || s[k] == '+');
        if (k < n && is_digit(s[k])) {
            for (; k < n && is_digit(s[k]); k++)
                if (exponent < 1000000000)
                    exponent = exponent * 10 + (s[k] - '0');
            exponent = negative ? -exponent : exponent;
            end = k;
        }
    }
    while (out->n_digits > 0 && out->digits[out->n_digits - 1] == '0')
        out->n_digits--;
    out->exponent = before_point + exponent;
    if (out->n_digits == 0)
        *out = (hone_decimal){0}; /* zero has one form */
    return end;
}

/* The length of a currency sign at s, or 0. */
static size_t take_currency(const char *s, size_t n)
{
    static const char *const signs[] = {"$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (n >= strlen(signs[i]) && memcmp(s, signs[i], strlen(signs[i])) == 0)
            return strlen(signs[i]);
    return 0;
}

bool hone_decimal_parse(const char *text, size_t length, hone_decimal *out)
{
    bool negative = length > 1 && text[0] == '-' && take_currency(text + 1, length - 1) > 0; /* -$5 */
    size_t from = (size_t)negative;
    from += take_currency(text + from, length - from);
    size_t taken = take_number(text + from, length - from, out);
    if (taken == 0 || (negative && out->negative))
        return false;
    out->negative = out->negative || (negative && out->n_digits > 0);
    from += taken;
    from += from < length && text[from] == '%';
    return from == length;
}

bool hone_decimal_find(const char *text, hone_decimal *out)
{
    const char *marked = NULL;
    for (const char *at = strstr(text, "####"); at; at = strstr(at + 1, "####"))
        marked = at;
    const char *s = marked ? marked + 4 : text;
    size_t n = strlen(s);
    bool found = false;
    for (size_t i = 0; i < n;) {
        /* A sign belongs to the number only where no word or number runs into it: 3-2 ends with 2, x -2 with -2. */
        bool after_word = i > 0 && (is_digit(s[i - 1]) || hone_is_word_code_point((unsigned char)s[i - 1]));
        hone_decimal here;
        size_t taken = after_word && (s[i] == '-' || s[i] == '+') ? 0 : take_number(s + i, n - i, &here);
        if (taken == 0) { /* no number here, or one too long to hold: then its tail is none either */
            do
                i++;
            while (i < n && is_digit(s[i - 1]) && is_digit(s[i]));
            continue;
        }
        if (i > 1 && s[i - 1] == '$' && s[i - 2] == '-' && here.n_digits > 0)
            here.negative = true;
        *out = here;
        found = true;
        if (marked)
            return true;
        i += taken;
    }
    return found;
}

bool hone_decimal_equal(const hone_decimal *a, const hone_decimal *b)
{
    return a->negative == b->negative && a->exponent == b->exponent && a->n_digits == b->n_digits &&
           memcmp(a->digits, b->digits, a->n_digits) == 0;
}
