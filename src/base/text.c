/* text.c - suggestions, units, UTF-8. */
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_WORD = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance, case-insensitive. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_WORD || m > MAX_WORD)
        return SIZE_MAX;
    size_t d[MAX_WORD + 1][MAX_WORD + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            size_t best = least(d[i - 1][j] + 1, d[i][j - 1] + 1);
            best = least(best, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == y)
                best = least(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    return d[n][m];
}

const char *hone_suggest(const char *word, const char *const *candidates, size_t n_candidates)
{
    size_t limit = strlen(word) / 3, best = SIZE_MAX;
    const char *nearest = NULL;
    if (limit < 1)
        limit = 1;
    for (size_t i = 0; i < n_candidates; i++) {
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return best <= limit ? nearest : NULL;
}

bool hone_parse_seconds(const char *text, double *out)
{
    double total = 0;
    if (!*text)
        return false;
    while (*text) {
        char *end;
        if (!isdigit((unsigned char)*text) && *text != '.')
            return false;
        double v = strtod(text, &end);
        if (end == text || !isfinite(v) || v < 0)
            return false;
        while (*end == ' ')
            end++;
        if (strncmp(end, "ms", 2) == 0) {
            total += v / 1000;
            end += 2;
        } else if (*end == 's' || *end == 0) {
            total += v;
            end += *end != 0;
        } else if (*end == 'm' || *end == 'h' || *end == 'd') {
            total += v * (*end == 'm' ? 60 : *end == 'h' ? 3600 : 86400);
            end++;
        } else
            return false;
        while (*end == ' ')
            end++;
        text = end;
    }
    *out = total;
    return true;
}

bool hone_parse_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},         {"B", 1},        {"k", 1e3},     {"kB", 1e3}, {"MB", 1e6},
                 {"GB", 1e9},     {"TB", 1e12},    {"M", 1e6},     {"G", 1e9},  {"KiB", 1024.0},
                 {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '.')
        return false;
    double v = strtod(text, &end);
    if (end == text || !isfinite(v) || v < 0)
        return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(end, units[i].name) == 0 && v * units[i].factor < 0x1p63) {
            *out = (uint64_t)(v * units[i].factor);
            return true;
        }
    return false;
}

bool hone_parse_count(const char *text, double *out)
{
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '.')
        return false;
    double v = strtod(text, &end);
    if (end == text || !isfinite(v))
        return false;
    double factor = *end == 'k' || *end == 'K' ? 1e3 : *end == 'M' || *end == 'm' ? 1e6 : *end == 'G' ? 1e9 : 1;
    if (factor > 1)
        end++;
    if (*end)
        return false;
    *out = v * factor;
    return true;
}

void hone_format_seconds(double seconds, char out[32])
{
    if (!(seconds >= 0) || seconds > 1e9)
        snprintf(out, 32, "?");
    else if (seconds < 9.95)
        snprintf(out, 32, "%.1f s", seconds);
    else if (seconds < 59.5)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 3599.5) {
        long s = lround(seconds);
        snprintf(out, 32, "%ldm %02lds", s / 60, s % 60);
    } else {
        long m = lround(seconds / 60);
        snprintf(out, 32, "%ldh %02ldm", m / 60, m % 60);
    }
}

void hone_format_bytes(uint64_t bytes, char out[32])
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int unit = 0;
    while (v >= 1023.95 && unit < 4) {
        v /= 1024;
        unit++;
    }
    snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", v, names[unit]);
}

void hone_format_count(int64_t n, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", n < 0 ? -(long long)n : (long long)n), o = 0;
    if (n < 0)
        out[o++] = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = 0;
}

size_t hone_utf8_next(const char *text, size_t length, uint32_t *code_point)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 0)
        return 0;
    uint32_t c = s[0];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || n > length)
        return 0;
    if (n > 1)
        c &= 0x7Fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (n == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return 0;
    if (code_point)
        *code_point = c;
    return n;
}

bool hone_utf8_valid(const char *s, size_t length, size_t *bad_at)
{
    for (size_t i = 0; i < length;) {
        size_t n = hone_utf8_next(s + i, length - i, NULL);
        if (n == 0) {
            if (bad_at)
                *bad_at = i;
            return false;
        }
        i += n;
    }
    return true;
}

size_t hone_utf8_write(uint32_t c, char out[4])
{
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        c = 0xFFFD;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

void hone_utf8_repair(const char *s, size_t length, hone_buffer *out)
{
    for (size_t i = 0; i < length;) {
        size_t n = hone_utf8_next(s + i, length - i, NULL);
        if (n)
            hone_buffer_append(out, s + i, n);
        else
            hone_buffer_puts(out, "\xEF\xBF\xBD");
        i += n ? n : 1;
    }
}

size_t hone_format_float(float value, char out[32])
{
    /* A float of this range times 10^n, n at most 12, has at most 24 + 12 log2(5) = 52 bits: exact in double
     * precision, so that one rounding to an integer, ties to even, is what printf does. */
    static const double powers[] = {1e9, 1e10, 1e11, 1e12};
    double v = fabs((double)value);
    if (!(v >= 1e-4 && v < 1))
        return (size_t)snprintf(out, 32, "%.9g", (double)value);
    int zeros = v >= 0.1 ? 0 : v >= 0.01 ? 1 : v >= 0.001 ? 2 : 3;
    long long digits = llrint(v * powers[zeros]);
    char *at = out, text[9];
    if (value < 0)
        *at++ = '-';
    memcpy(at, "0.000", 5);
    at += 2 + zeros;
    for (int i = 8; i >= 0; i--, digits /= 10)
        text[i] = (char)('0' + digits % 10);
    int n = 9;
    while (text[n - 1] == '0')
        n--;
    memcpy(at, text, (size_t)n);
    at[n] = 0;
    return (size_t)(at + n - out);
}
