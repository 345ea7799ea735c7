/* number.h - decimal numbers compared exactly, as digits: 18 = 18.00 = 1.8e1. No floating point, no locale. */
#ifndef HONE_METRIC_NUMBER_H
#define HONE_METRIC_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* value = (-1)^negative * 0.d1 d2 d3 ... * 10^exponent, first and last digit not 0; zero has no digits. */
typedef struct hone_decimal {
    bool negative;
    size_t n_digits;
    int64_t exponent;
    char digits[64];
} hone_decimal;

/* True when the whole trimmed text is one number: sign, digits with thousands commas in their places, a fraction, an
 * exponent; a leading currency sign ($ and the like) or a trailing % is let pass. False for more than 64 significant
 * digits. */
bool hone_decimal_parse(const char *text, size_t length, hone_decimal *out);
/* The number an answer ends with: what follows "####" (GSM8K), else the last number in the text. */
bool hone_decimal_find(const char *text, hone_decimal *out);
bool hone_decimal_equal(const hone_decimal *a, const hone_decimal *b);

#endif
