/* fold.c - case folding, white space, punctuation. */
#include "metric/fold.h"

#include "base/buffer.h"
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 ||
           (c > 127 && (utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ZS || c == 0x2028 || c == 0x2029));
}

bool hone_is_word_code_point(unsigned c)
{
    if (c < 128)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO; /* L*, M*, N* */
}

const char *hone_trim(const char *text, size_t *length)
{
    size_t n = strlen(text), begin = n, end = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t bytes = hone_utf8_next(text + i, n - i, &c);
        bool space = bytes && is_space(c);
        size_t step = bytes ? bytes : 1;
        if (!space) {
            begin = begin < i ? begin : i;
            end = i + step;
        }
        i += step;
    }
    *length = end > begin ? end - begin : 0;
    return text + (end > begin ? begin : 0);
}

/* Case folding of one code point: up to 4 code points (sharp s becomes ss). */
static void put_folded(hone_buffer *out, uint32_t c)
{
    if (c < 128) {
        hone_buffer_putc(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        return;
    }
    utf8proc_int32_t folded[8];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    if (n < 1 || n > 8) {
        folded[0] = (utf8proc_int32_t)c;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char bytes[4];
        hone_buffer_append(out, bytes, hone_utf8_write((uint32_t)folded[i], bytes));
    }
}

/* Canonical composition, so that an accent written apart equals one written together; invalid text stays as it is. */
static char *composed(const char *text)
{
    utf8proc_uint8_t *out = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text, 0, &out, UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return n >= 0 ? (char *)out : strdup(text);
}

/* The unit of folding: `separator` says what ends a word, words come out with one space between them. */
static char *fold(const char *text, size_t length, bool words_only)
{
    hone_buffer out = {0};
    bool pending = false;
    hone_buffer_puts(&out, "");
    for (size_t i = 0; i < length;) {
        uint32_t c = 0;
        size_t bytes = hone_utf8_next(text + i, length - i, &c);
        if (bytes ? (words_only ? !hone_is_word_code_point(c) : is_space(c)) : false) {
            pending = out.length > 0;
            i += bytes;
            continue;
        }
        if (pending)
            hone_buffer_putc(&out, ' ');
        pending = false;
        if (bytes)
            put_folded(&out, c);
        else
            hone_buffer_putc(&out, text[i]);
        i += bytes ? bytes : 1;
    }
    return hone_buffer_take(&out);
}

static bool is_wrapper(char c)
{
    return c == '"' || c == '\'' || c == '`' || c == '*';
}

char *hone_fold_case(const char *text)
{
    char *whole = composed(text);
    if (!whole)
        return NULL;
    size_t length;
    const char *inner = hone_trim(whole, &length);
    while (length >= 2 && is_wrapper(inner[0]) && inner[length - 1] == inner[0]) {
        inner++;
        length -= 2;
    }
    char *folded = fold(inner, length, false);
    free(whole);
    return folded;
}

char *hone_fold_words(const char *text)
{
    char *whole = composed(text);
    char *folded = whole ? fold(whole, strlen(whole), true) : NULL;
    free(whole);
    return folded;
}

char *hone_fold_answer(const char *text)
{
    char *words = hone_fold_words(text);
    if (!words)
        return NULL;
    char *to = words;
    for (char *from = words; *from;) {
        size_t length = strcspn(from, " ");
        bool article = (length == 1 && *from == 'a') || (length == 2 && memcmp(from, "an", 2) == 0) ||
                       (length == 3 && memcmp(from, "the", 3) == 0);
        if (!article) {
            if (to != words)
                *to++ = ' ';
            memmove(to, from, length);
            to += length;
        }
        from += length;
        from += *from == ' ';
    }
    *to = 0;
    return words;
}
