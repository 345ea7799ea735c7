/* jinja_lexer.c - template source to tokens, with Jinja2's whitespace rules.
 *
 * Between tags the source is data. Where a tag begins: "-" strips all white space before it; otherwise (lstrip_blocks)
 * a block or comment tag that is the first on its line takes the spaces before it away, unless "+" forbids. Where a tag
 * ends: "-" strips what follows, otherwise (trim_blocks) one newline after a block or comment goes, unless "+". */
#include "text/jinja_syntax.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

enum { MAX_BRACKETS = 256 };

typedef struct lexer {
    const char *source;
    size_t length, at;
    int line;
    size_t line_at; /* where `line` was counted up to */
    hone_arena *arena;
    jinja_tokens *tokens;
    hone_error *err;
    hone_status status;
    char brackets[MAX_BRACKETS];
    size_t n_brackets;
} lexer;

static int line_of(lexer *l, size_t at)
{
    for (; l->line_at < at; l->line_at++)
        l->line += l->source[l->line_at] == '\n';
    return l->line;
}

static bool fail(lexer *l, const char *cause)
{
    l->status = hone_fail(l->err, HONE_BAD_FORMAT, "line %d of the template: %s", line_of(l, l->at), cause);
    return false;
}

static bool push(lexer *l, jinja_token_kind kind, const char *text, size_t length)
{
    jinja_tokens *t = l->tokens;
    if (t->n == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 256;
        jinja_token *items = realloc(t->items, capacity * sizeof *items);
        if (!items) {
            l->status = hone_fail(l->err, HONE_NO_MEMORY, "out of memory while reading a template");
            return false;
        }
        t->items = items;
        t->capacity = capacity;
    }
    t->items[t->n++] = (jinja_token){kind, line_of(l, l->at), text, length};
    return true;
}

static bool starts(const lexer *l, size_t at, const char *text)
{
    size_t n = strlen(text);
    return at <= l->length && l->length - at >= n && memcmp(l->source + at, text, n) == 0;
}

/* Bytes of the white space character at `at`, 0 when it is none. */
static size_t space_at(const lexer *l, size_t at)
{
    uint32_t c;
    size_t width = hone_utf8_next(l->source + at, l->length - at, &c);
    return width && jinja_is_space(c) ? width : 0;
}

static size_t skip_space(const lexer *l, size_t at)
{
    for (size_t width; at < l->length && (width = space_at(l, at)); at += width)
        ;
    return at;
}

static size_t strip_right(const lexer *l, size_t begin, size_t end)
{
    while (end > begin) {
        size_t last = end - 1;
        while (last > begin && (l->source[last] & 0xC0) == 0x80)
            last--;
        if (!space_at(l, last))
            break;
        end = last;
    }
    return end;
}

/* lstrip_blocks: where the data ends when only white space stands between its last newline and the tag. */
static size_t strip_line(const lexer *l, size_t begin, size_t end)
{
    size_t line = end;
    while (line > begin && l->source[line - 1] != '\n')
        line--;
    bool at_line_start = line > begin || begin == 0 || l->source[begin - 1] == '\n';
    return at_line_start && skip_space(l, line) >= end ? line : end;
}

/* After a block or comment: what "-" and trim_blocks take away; `at` stands behind the closing "}". */
static size_t trim_after(const lexer *l, size_t at, char sign)
{
    if (sign == '-')
        return skip_space(l, at);
    return sign != '+' && starts(l, at, "\n") ? at + 1 : at;
}

static char sign_at(const lexer *l, size_t at)
{
    return at < l->length && (l->source[at] == '-' || l->source[at] == '+') ? l->source[at] : 0;
}

static bool push_data(lexer *l, size_t begin, size_t end)
{
    return end > begin ? push(l, JINJA_T_DATA, l->source + begin, end - begin) : true;
}

/* "{% raw %}" at `at`: sets *after to what follows it. */
static bool is_raw_begin(const lexer *l, size_t at, size_t *after)
{
    size_t p = at + 2;
    p = skip_space(l, p + (sign_at(l, p) != 0));
    if (!starts(l, p, "raw"))
        return false;
    p = skip_space(l, p + 3);
    if (starts(l, p, "-%}")) {
        *after = skip_space(l, p + 3);
        return true;
    }
    *after = p + 2;
    return starts(l, p, "%}");
}

static bool lex_raw(lexer *l, size_t begin)
{
    for (size_t at = begin; at < l->length; at++) {
        if (!starts(l, at, "{%"))
            continue;
        char sign = sign_at(l, at + 2), end_sign;
        size_t p = skip_space(l, at + 2 + (sign != 0));
        if (!starts(l, p, "endraw"))
            continue;
        p = skip_space(l, p + 6);
        end_sign = sign_at(l, p);
        if (!starts(l, p + (end_sign != 0), "%}"))
            continue;
        l->at = begin;
        size_t end = sign == '-' ? strip_right(l, begin, at) : sign == '+' ? at : strip_line(l, begin, at);
        if (!push_data(l, begin, end))
            return false;
        l->at = trim_after(l, p + (end_sign != 0) + 2, end_sign);
        return true;
    }
    return fail(l, "missing end of raw block: {% endraw %}");
}

static bool lex_comment(lexer *l, size_t begin)
{
    size_t from = begin + 2 + (sign_at(l, begin + 2) != 0);
    const char *end = from <= l->length ? memmem(l->source + from, l->length - from, "#}", 2) : NULL;
    l->at = begin;
    if (!end)
        return fail(l, "missing end of comment tag: #}");
    size_t close = (size_t)(end - l->source);
    char sign = close > from ? l->source[close - 1] : 0;
    l->at = trim_after(l, close + 2, sign);
    return true;
}

/* A string literal's escapes, as Python's "unicode-escape" codec reads them. */
static bool unescape(lexer *l, const char *text, size_t length, hone_buffer *b)
{
    static const char simple[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
    uint32_t high = 0; /* a high surrogate that waits for its low one */
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\\' || i + 1 == length) {
            hone_buffer_putc(b, text[i]);
            continue;
        }
        char c = text[++i];
        const char *known = c && c != '\n' ? strchr(simple, c) : NULL;
        size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0, n = 0;
        uint32_t code = 0;
        if (digits) {
            for (; n < digits && i + 1 < length && isxdigit((unsigned char)text[i + 1]) && code < 0x1000000; n++) {
                char d = text[++i];
                code = code * 16 + (uint32_t)(isdigit((unsigned char)d) ? d - '0' : (d | 32) - 'a' + 10);
            }
            if (n < digits || code > 0x10FFFF)
                return fail(l, "a truncated or too large \\x, \\u or \\U escape in a string");
        } else if (c >= '0' && c <= '7') {
            code = (uint32_t)(c - '0');
            for (n = 1; n < 3 && i + 1 < length && text[i + 1] >= '0' && text[i + 1] <= '7'; n++)
                code = code * 8 + (uint32_t)(text[++i] - '0');
        } else if (c == '\n')
            continue;
        else if (known && (known - simple) % 2 == 0) {
            hone_buffer_putc(b, known[1]);
            continue;
        } else {
            hone_buffer_putc(b, '\\');
            hone_buffer_putc(b, c);
            continue;
        }
        if (code >= 0xD800 && code < 0xDC00) {
            high = code;
            continue;
        }
        if (code >= 0xDC00 && code < 0xE000) {
            if (!high)
                return fail(l, "a lone surrogate \\u escape in a string");
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00);
            high = 0;
        }
        if (high)
            break;
        char utf8[4];
        hone_buffer_append(b, utf8, hone_utf8_write(code, utf8));
    }
    return high ? fail(l, "a lone surrogate \\u escape in a string") : true;
}

static bool lex_string(lexer *l)
{
    char quote = l->source[l->at];
    size_t begin = l->at + 1, p = begin;
    bool escapes = false;
    while (p < l->length && l->source[p] != quote) {
        escapes |= l->source[p] == '\\';
        p += l->source[p] == '\\' ? 2 : 1;
    }
    if (p >= l->length)
        return fail(l, "a string is not closed");
    const char *text = l->source + begin;
    size_t length = p - begin;
    if (escapes) {
        hone_buffer b = {0};
        if (!unescape(l, text, length, &b)) {
            hone_buffer_clear(&b);
            return false;
        }
        text = b.failed ? NULL : hone_arena_strndup(l->arena, b.data ? b.data : "", b.length);
        length = b.length;
        hone_buffer_clear(&b);
        if (!text) {
            l->status = hone_fail(l->err, HONE_NO_MEMORY, "out of memory while reading a template");
            return false;
        }
    }
    if (!push(l, JINJA_T_STRING, text, length))
        return false;
    l->at = p + 1;
    return true;
}

/* Digits with single underscores between them; returns where they end. */
static size_t skip_digits(const lexer *l, size_t p)
{
    while (p < l->length && (isdigit((unsigned char)l->source[p]) ||
                             (l->source[p] == '_' && p + 1 < l->length && isdigit((unsigned char)l->source[p + 1]))))
        p++;
    return p;
}

static bool digit_at(const lexer *l, size_t p)
{
    return p < l->length && isdigit((unsigned char)l->source[p]);
}

static bool lex_number(lexer *l)
{
    size_t begin = l->at, p;
    jinja_token_kind kind = JINJA_T_INTEGER;
    char base = begin + 1 < l->length && l->source[begin] == '0' ? (char)(l->source[begin + 1] | 32) : 0;
    if (base == 'x' || base == 'o' || base == 'b') {
        for (p = begin + 2; p < l->length && (isxdigit((unsigned char)l->source[p]) || l->source[p] == '_'); p++)
            ;
    } else {
        p = skip_digits(l, begin);
        bool after_dot = begin > 0 && l->source[begin - 1] == '.';
        if (!after_dot && starts(l, p, ".") && digit_at(l, p + 1)) {
            p = skip_digits(l, p + 1);
            kind = JINJA_T_FLOAT;
        }
        if (!after_dot && p < l->length && (l->source[p] | 32) == 'e') {
            size_t q = p + 1 + (sign_at(l, p + 1) != 0);
            if (digit_at(l, q)) {
                p = skip_digits(l, q);
                kind = JINJA_T_FLOAT;
            }
        }
    }
    if (!push(l, kind, l->source + begin, p - begin))
        return false;
    l->at = p;
    return true;
}

static size_t name_char_at(const lexer *l, size_t at)
{
    uint32_t c;
    size_t width = hone_utf8_next(l->source + at, l->length - at, &c);
    if (width == 1)
        return isalnum((unsigned char)c) || c == '_' ? 1 : 0;
    if (width == 0)
        return 0;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO) ? width : 0;
}

static bool lex_operator(lexer *l)
{
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    char c = l->source[l->at];
    size_t length = 1;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (starts(l, l->at, pairs[i]))
            length = 2;
    if (length == 1 && (!c || !strchr("+-/*%~[](){}><=.:|,;", c)))
        return fail(l, "an unexpected character in a tag");
    if (c == '(' || c == '[' || c == '{') {
        if (l->n_brackets == MAX_BRACKETS)
            return fail(l, "brackets are nested too deep");
        l->brackets[l->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (l->n_brackets == 0 || l->brackets[--l->n_brackets] != c)
            return fail(l, "a closing bracket without its opening one");
    }
    if (!push(l, JINJA_T_OPERATOR, l->source + l->at, length))
        return false;
    l->at += length;
    return true;
}

/* The inside of {{ }} or {% %}; l->at stands behind the opening. */
static bool lex_tag(lexer *l, bool print)
{
    const char *close = print ? "}}" : "%}";
    l->n_brackets = 0;
    for (;;) {
        l->at = skip_space(l, l->at);
        if (l->at >= l->length)
            return fail(l, print ? "the template ends inside {{" : "the template ends inside {%");
        char sign = sign_at(l, l->at);
        if (l->n_brackets == 0 && starts(l, l->at + (sign != 0), close) && !(print && sign == '+')) {
            if (!push(l, print ? JINJA_T_PRINT_END : JINJA_T_BLOCK_END, close, 2))
                return false;
            size_t after = l->at + (sign != 0) + 2;
            l->at = print ? (sign == '-' ? skip_space(l, after) : after) : trim_after(l, after, sign);
            return true;
        }
        char c = l->source[l->at];
        bool good;
        size_t width, end = l->at;
        if (isdigit((unsigned char)c))
            good = lex_number(l);
        else if (c == '\'' || c == '"')
            good = lex_string(l);
        else if (name_char_at(l, l->at)) {
            while (end < l->length && (width = name_char_at(l, end)))
                end += width;
            good = push(l, JINJA_T_NAME, l->source + l->at, end - l->at);
            l->at = end;
        } else
            good = lex_operator(l);
        if (!good)
            return false;
    }
}

/* The next tag at or after `at`; l->length when there is none. */
static size_t find_tag(const lexer *l, size_t at)
{
    for (; at + 1 < l->length; at++) {
        const char *brace = memchr(l->source + at, '{', l->length - at);
        if (!brace)
            break;
        at = (size_t)(brace - l->source);
        if (starts(l, at, "{{") || starts(l, at, "{%") || starts(l, at, "{#"))
            return at;
    }
    return l->length;
}

static bool lex_next(lexer *l)
{
    size_t begin = l->at, tag = find_tag(l, begin), after;
    if (tag == l->length) {
        bool good = push_data(l, begin, tag);
        l->at = tag;
        return good;
    }
    char kind = l->source[tag + 1], sign = sign_at(l, tag + 2);
    size_t end = sign == '-'                  ? strip_right(l, begin, tag)
                 : sign == '+' || kind == '{' ? tag
                                              : strip_line(l, begin, tag);
    if (!push_data(l, begin, end))
        return false;
    l->at = tag;
    if (kind == '#')
        return lex_comment(l, tag);
    if (kind == '%' && is_raw_begin(l, tag, &after))
        return lex_raw(l, after);
    if (!push(l, kind == '{' ? JINJA_T_PRINT_BEGIN : JINJA_T_BLOCK_BEGIN, l->source + tag, 2))
        return false;
    l->at = tag + 2 + (sign != 0);
    return lex_tag(l, kind == '{');
}

hone_status jinja_tokenize(const char *source, size_t length, hone_arena *arena, jinja_tokens *out, hone_error *err)
{
    lexer l = {.source = source, .length = length, .line = 1, .arena = arena, .tokens = out, .err = err};
    while (l.at < l.length)
        if (!lex_next(&l))
            return l.status;
    return push(&l, JINJA_T_END, "", 0) ? HONE_OK : l.status;
}
