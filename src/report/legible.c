/* legible.c - text of unknown origin made safe to show. Widths come from utf8proc (East Asian Width, Unicode TR 11). */
#include "report/legible.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

/* Controls that reorder or hide what follows them (Unicode TR 9 and the line and paragraph separators). */
static bool reorders(uint32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F || c == 0x061C ||
           c == 0x2028 || c == 0x2029 || (c >= 0x80 && c <= 0x9F) || (c >= 0xE0000 && c <= 0xE007F);
}

size_t hone_legible_next(const char *s, hone_legible_shape shape, char out[16])
{
    unsigned char first = (unsigned char)*s;
    if (first == 0)
        return 0;
    if (first < 0x80) {
        bool space = first == '\n' || first == '\t';
        if (first == '\r' && s[1] == '\n') { /* a Windows line end is one line end */
            snprintf(out, 16, "%s", shape == HONE_LEGIBLE_BLOCK ? "\n" : " ");
            return 2;
        }
        if (space || (first >= 0x20 && first != 0x7F)) {
            out[0] = space && shape == HONE_LEGIBLE_LINE ? ' ' : (char)first;
            out[1] = 0;
        } else
            out[hone_utf8_write(first == 0x7F ? 0x2421 : 0x2400u + first, out)] = 0;
        return 1;
    }
    uint32_t c = 0;
    size_t length = hone_utf8_next(s, strnlen(s, 4), &c);
    if (length == 0) {
        out[hone_utf8_write(0xFFFD, out)] = 0;
        return 1;
    }
    if (reorders(c))
        snprintf(out, 16, "[U+%04X]", c);
    else {
        memcpy(out, s, length);
        out[length] = 0;
    }
    return length;
}

void hone_legible_append(hone_buffer *b, const char *s, hone_legible_shape shape)
{
    char piece[16];
    for (size_t n; (n = hone_legible_next(s, shape, piece)) != 0; s += n)
        hone_buffer_puts(b, piece);
}

void hone_legible_append_html(hone_buffer *b, const char *s, hone_legible_shape shape)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    char piece[16];
    for (size_t n; (n = hone_legible_next(s, shape, piece)) != 0; s += n) {
        const char *text = piece;
        for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
            if (piece[0] == entities[i].c)
                text = entities[i].entity;
        hone_buffer_puts(b, text);
    }
}

void hone_legible_append_markdown(hone_buffer *b, const char *s)
{
    char piece[16];
    for (size_t n; (n = hone_legible_next(s, HONE_LEGIBLE_LINE, piece)) != 0; s += n) {
        if (piece[0] == '<')
            hone_buffer_puts(b, "&lt;");
        else if (piece[0] == '&')
            hone_buffer_puts(b, "&amp;");
        else {
            if (piece[1] == 0 && strchr("\\`*_[]|#~!", piece[0]))
                hone_buffer_putc(b, '\\');
            hone_buffer_puts(b, piece);
        }
    }
}

static size_t piece_width(const char *piece)
{
    size_t width = 0;
    for (const char *p = piece; *p;) {
        uint32_t c = 0;
        size_t length = hone_utf8_next(p, strnlen(p, 4), &c);
        int columns = length ? utf8proc_charwidth((utf8proc_int32_t)c) : 1;
        width += columns > 0 ? (size_t)columns : 0;
        p += length ? length : 1;
    }
    return width;
}

size_t hone_legible_width(const char *s)
{
    char piece[16];
    size_t width = 0;
    for (size_t n; (n = hone_legible_next(s, HONE_LEGIBLE_LINE, piece)) != 0; s += n)
        width += piece_width(piece);
    return width;
}

void hone_legible_fit(hone_buffer *b, const char *s, size_t columns, bool pad)
{
    bool cut = hone_legible_width(s) > columns;
    size_t room = cut && columns > 0 ? columns - 1 : columns, used = 0;
    char piece[16];
    for (size_t n; (n = hone_legible_next(s, HONE_LEGIBLE_LINE, piece)) != 0; s += n) {
        size_t width = piece_width(piece);
        if (used + width > room)
            break;
        hone_buffer_puts(b, piece);
        used += width;
    }
    if (cut && columns > 0) {
        hone_buffer_puts(b, "…");
        used++;
    }
    while (pad && used++ < columns)
        hone_buffer_putc(b, ' ');
}

static void new_line(hone_buffer *b, size_t indent)
{
    hone_buffer_putc(b, '\n');
    for (size_t i = 0; i < indent; i++)
        hone_buffer_putc(b, ' ');
}

/* Whether the space at s belongs to "95 %", "p < 0.0001" or "p = 0.02", which are not broken. */
static bool joins(const hone_buffer *word, const char *s)
{
    if (*s != ' ')
        return false;
    bool after_sign = word->length == 1 ? strchr("<=", word->data[0]) != NULL
                                        : word->length > 2 && word->data[word->length - 2] == ' ' &&
                                              strchr("<=", word->data[word->length - 1]) != NULL;
    return after_sign || s[1] == '%' || ((s[1] == '<' || s[1] == '=') && s[2] == ' ');
}

void hone_legible_wrap(hone_buffer *b, const char *s, size_t at, size_t indent, size_t width)
{
    if (width < 20) /* wider than the widest replacement, so that every step takes something */
        width = 20;
    if (indent + 12 > width)
        indent = 0;
    size_t column = at;
    bool line_is_empty = true;
    hone_buffer word = {0};
    while (*s) {
        char piece[16];
        hone_buffer_reset(&word);
        size_t word_width = 0;
        for (size_t n; (n = hone_legible_next(s, HONE_LEGIBLE_LINE, piece)) != 0; s += n) {
            size_t w = piece_width(piece);
            bool too_long = word_width + w > width - indent; /* a word wider than a line is cut */
            if (too_long || (strcmp(piece, " ") == 0 && !(word.length && !word.failed && joins(&word, s))))
                break;
            hone_buffer_puts(&word, piece);
            word_width += w;
        }
        if (word.failed) {
            b->failed = true;
            break;
        }
        bool followed_by_space = *s == ' ' || *s == '\n' || *s == '\t' || *s == '\r';
        if (word_width > 0) {
            size_t gap = line_is_empty ? 0 : 1;
            if (column + gap + word_width > width && column > indent) {
                new_line(b, indent);
                column = indent;
                gap = 0;
            }
            if (gap)
                hone_buffer_putc(b, ' ');
            hone_buffer_append(b, word.data, word.length);
            column += gap + word_width;
            line_is_empty = false;
        }
        if (followed_by_space)
            s++;
    }
    hone_buffer_clear(&word);
}
