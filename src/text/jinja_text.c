/* jinja_text.c - case, stripping, replacing, padding, reading numbers: what string filters and methods share. */
#include "text/jinja_text.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

static bool is_cased(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

/* Characters whose upper case is longer than one (Unicode SpecialCasing.txt, the unconditional ones people meet). */
static const struct {
    uint32_t c;
    const char *upper, *title;
} long_upper[] = {{0xDF, "SS", "Ss"},     {0x149, "\xCA\xBCN", "\xCA\xBCN"},
                  {0xFB00, "FF", "Ff"},   {0xFB01, "FI", "Fi"},
                  {0xFB02, "FL", "Fl"},   {0xFB03, "FFI", "Ffi"},
                  {0xFB04, "FFL", "Ffl"}, {0xFB05, "ST", "St"},
                  {0xFB06, "ST", "St"}};

static void put_upper(hone_buffer *b, uint32_t c, bool title)
{
    for (size_t i = 0; i < sizeof long_upper / sizeof *long_upper; i++)
        if (long_upper[i].c == c) {
            hone_buffer_puts(b, title ? long_upper[i].title : long_upper[i].upper);
            return;
        }
    utf8proc_int32_t u = title ? utf8proc_totitle((utf8proc_int32_t)c) : utf8proc_toupper((utf8proc_int32_t)c);
    char utf8[4];
    hone_buffer_append(b, utf8, hone_utf8_write((uint32_t)u, utf8));
}

/* after_letter: the character before is cased; before_letter: the one behind is. */
static void put_lower(hone_buffer *b, uint32_t c, bool after_letter, bool before_letter)
{
    char utf8[4];
    if (c == 0x130) { /* I with dot above: i and a combining dot */
        hone_buffer_puts(b, "i\xCC\x87");
        return;
    }
    uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    if (c == 0x3A3 && after_letter && !before_letter)
        lower = 0x3C2; /* final sigma */
    hone_buffer_append(b, utf8, hone_utf8_write(lower, utf8));
}

bool jinja_change_case(jinja_run *run, const jinja_string *s, jinja_case how, jinja_value *out)
{
    hone_buffer b = {0};
    bool after_letter = false;
    if (!jinja_spend(run, s->length * 4))
        return false;
    for (size_t i = 0, width; i < s->length; i += width) {
        uint32_t c = 0, next = 0;
        width = hone_utf8_next(s->data + i, s->length - i, &c);
        if (width == 0)
            return hone_buffer_clear(&b), jinja_raise(run, "a text is not valid UTF-8");
        hone_utf8_next(s->data + i + width, s->length - i - width, &next);
        bool before_letter = next && is_cased(next);
        bool first = how == JINJA_TITLE ? !after_letter : i == 0;
        bool is_lower = utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LL;
        if (how == JINJA_UPPER || (how == JINJA_SWAP && is_lower))
            put_upper(&b, c, false);
        else if ((how == JINJA_TITLE || how == JINJA_CAPITALIZE) && first)
            put_upper(&b, c, true);
        else
            put_lower(&b, c, after_letter, before_letter);
        after_letter = is_cased(c);
    }
    return jinja_take(run, &b, out);
}

static bool in_set(uint32_t c, const char *utf8, size_t width, const jinja_string *chars)
{
    if (!chars)
        return jinja_is_space(c);
    return memmem(chars->data, chars->length, utf8, width) != NULL; /* UTF-8 is self-synchronising */
}

bool jinja_strip(jinja_run *run, const jinja_string *s, const jinja_string *chars, bool left, bool right,
                 jinja_value *out)
{
    const char *begin = s->data, *end = begin + s->length;
    uint32_t c = 0;
    if (chars && !jinja_spend(run, chars->length > 256 ? s->length * chars->length / 64 : s->length))
        return false;
    while (left && begin < end) {
        size_t width = hone_utf8_next(begin, (size_t)(end - begin), &c);
        if (width == 0 || !in_set(c, begin, width, chars))
            break;
        begin += width;
    }
    while (right && end > begin) {
        const char *last = end - 1;
        while (last > begin && (*last & 0xC0) == 0x80)
            last--;
        size_t width = hone_utf8_next(last, (size_t)(end - last), &c);
        if (width == 0 || !in_set(c, last, width, chars))
            break;
        end = last;
    }
    return jinja_borrow(run, begin, (size_t)(end - begin), out);
}

/* An empty `old` matches before every character and at the end. */
static bool replace_between(jinja_run *run, const jinja_string *s, const jinja_string *replacement, int64_t count,
                            hone_buffer *b)
{
    bool good = true;
    size_t i = 0;
    for (; good && (count < 0 || count > 0); count--) {
        good = jinja_put(run, b, replacement->data, replacement->length);
        if (i == s->length)
            return good;
        size_t width = hone_utf8_next(s->data + i, s->length - i, NULL);
        good = good && jinja_put(run, b, s->data + i, width ? width : 1);
        i += width ? width : 1;
    }
    return good && jinja_put(run, b, s->data + i, s->length - i);
}

bool jinja_replace(jinja_run *run, const jinja_string *s, const jinja_string *old, const jinja_string *replacement,
                   int64_t count, jinja_value *out)
{
    hone_buffer b = {0};
    const char *p = s->data, *end = p + s->length;
    bool good = true;
    if (old->length == 0)
        good = replace_between(run, s, replacement, count, &b);
    else {
        for (; good && count != 0; count--) {
            const char *found = memmem(p, (size_t)(end - p), old->data, old->length);
            if (!found)
                break;
            good = jinja_put(run, &b, p, (size_t)(found - p)) &&
                   jinja_put(run, &b, replacement->data, replacement->length);
            p = found + old->length;
        }
        good = good && jinja_put(run, &b, p, (size_t)(end - p));
    }
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

static bool is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool jinja_split_lines(jinja_run *run, const jinja_string *s, bool keep_ends, jinja_sequence **out)
{
    jinja_sequence *lines = NULL;
    for (int pass = 0; pass < 2; pass++) { /* first count, then cut */
        size_t n = 0, begin = 0, i = 0;
        if (!jinja_spend(run, s->length))
            return false;
        while (begin < s->length) {
            uint32_t c = 0;
            size_t end, width = 0;
            for (i = begin; i < s->length; i += width ? width : 1) {
                width = hone_utf8_next(s->data + i, s->length - i, &c);
                if (width && is_line_end(c))
                    break;
            }
            end = i;
            if (i < s->length)
                i += c == '\r' && i + 1 < s->length && s->data[i + 1] == '\n' ? 2 : width;
            if (lines && !jinja_borrow(run, s->data + begin, (keep_ends ? i : end) - begin, &lines->items[n]))
                return false;
            n++;
            begin = i;
        }
        if (!lines && !(lines = jinja_sequence_new(run, JINJA_LIST, n)))
            return false;
    }
    *out = lines;
    return true;
}

bool jinja_pad(jinja_run *run, const jinja_string *s, int64_t width, const jinja_string *fill, int side,
               jinja_value *out)
{
    if (fill->chars != 1)
        return jinja_raise(run, "the fill character must be exactly one character long");
    int64_t missing = width - (int64_t)s->chars;
    if (missing <= 0)
        return jinja_borrow(run, s->data, s->length, out);
    if (missing > (int64_t)JINJA_MAX_STRING_BYTES)
        return jinja_raise(run, "a width of %lld is too much", (long long)width);
    /* Where the space is odd, Python's center() puts the extra character on the left when the width is odd too. */
    int64_t left = side > 0 ? missing : side < 0 ? 0 : missing / 2 + (missing & width & 1);
    hone_buffer b = {0};
    bool good = true;
    for (int64_t i = 0; i < missing && good; i++) {
        good = i != left || jinja_put(run, &b, s->data, s->length);
        good = good && jinja_put(run, &b, fill->data, fill->length);
    }
    if (left == missing)
        good = good && jinja_put(run, &b, s->data, s->length);
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

/* Without surrounding white space and underscores between digits, NUL-terminated; false when too long to be a number.
 */
static bool number_text(const jinja_string *s, char out[512])
{
    size_t begin = 0, end = s->length, n = 0;
    while (begin < end && jinja_is_space((unsigned char)s->data[begin]))
        begin++;
    while (end > begin && jinja_is_space((unsigned char)s->data[end - 1]))
        end--;
    if (begin == end || end - begin > 500)
        return false;
    for (size_t i = begin; i < end; i++) {
        char c = s->data[i];
        if (c == '_' && (i == begin || i + 1 == end || !isalnum((unsigned char)s->data[i - 1]) ||
                         !isalnum((unsigned char)s->data[i + 1])))
            return false;
        if (c != '_')
            out[n++] = c;
    }
    out[n] = 0;
    return strlen(out) == n;
}

bool jinja_read_int(const jinja_string *s, int base, int64_t *out)
{
    char text[512], *end;
    if (!number_text(s, text) || (base != 0 && (base < 2 || base > 36)))
        return false;
    char *digits = text + (text[0] == '-' || text[0] == '+');
    char prefix = (char)(digits[0] == '0' && digits[1] ? digits[1] | 32 : 0);
    int named = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
    if (named && (base == named || base == 0)) {
        base = named;
        memmove(digits, digits + 2, strlen(digits + 2) + 1);
    } else if (base == 0)
        base = 10;
    if (!isalnum((unsigned char)*digits) || (base <= 10 && !isdigit((unsigned char)*digits)) ||
        (base == 16 && (digits[0] | 32) == '0' && (digits[1] | 32) == 'x'))
        return false;
    errno = 0;
    *out = strtoll(text, &end, base);
    return *end == 0 && errno == 0;
}

bool jinja_read_float(const jinja_string *s, double *out)
{
    char text[512], *end;
    if (!number_text(s, text) || strpbrk(text, "xXpP("))
        return false;
    *out = strtod(text, &end);
    return *end == 0 && end != text;
}
