/* wordpiece.c - WordPiece (Devlin et al. 2019, arXiv 1810.04805, with BERT's basic tokenizer before it). */
#include "text/wordpiece.h"

#include "base/text.h"

#include <utf8proc.h>

#define WORD_START "\xE2\x96\x81" /* U+2581 */

enum { MAX_DECOMPOSED = 32 }; /* code points of one; Unicode's longest canonical decomposition has 4 */

typedef enum character_kind { CHARACTER_DROPPED, CHARACTER_SPACE, CHARACTER_ALONE, CHARACTER_IN_WORD } character_kind;

static bool is_between(uint32_t c, uint32_t first, uint32_t last)
{
    return c >= first && c <= last;
}

/* Ideographs are words of their own: the CJK Unified and Compatibility blocks, as BERT lists them. */
static bool is_ideograph(uint32_t c)
{
    return is_between(c, 0x4E00, 0x9FFF) || is_between(c, 0x3400, 0x4DBF) || is_between(c, 0x20000, 0x2A6DF) ||
           is_between(c, 0x2A700, 0x2CEAF) || is_between(c, 0xF900, 0xFAFF) || is_between(c, 0x2F800, 0x2FA1F);
}

static character_kind kind_of(uint32_t c)
{
    if (is_between(c, '\t', '\r') || c == 0x85)
        return CHARACTER_SPACE;
    if (is_between(c, '!', '/') || is_between(c, ':', '@') || is_between(c, '[', '`') || is_between(c, '{', '~') ||
        is_ideograph(c))
        return CHARACTER_ALONE;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return CHARACTER_SPACE;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return CHARACTER_ALONE;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
        return CHARACTER_DROPPED;
    default:
        return c == 0xFFFD ? CHARACTER_DROPPED : CHARACTER_IN_WORD;
    }
}

typedef struct encoding {
    const hone_vocabulary *vocabulary;
    int32_t unknown;
    size_t longest_word, n_characters; /* of the word so far */
    hone_buffer word;                  /* U+2581 and the word so far; empty between words */
    hone_token_list *ids;
    hone_error *err;
} encoding;

/* Appends the ids of the word and empties it. */
static hone_status end_word(encoding *e)
{
    const hone_vocabulary *v = e->vocabulary;
    size_t length = e->word.length, n_before = e->ids->n, at = 0;
    hone_status status = HONE_OK;
    if (e->word.failed)
        return hone_fail(e->err, HONE_NO_MEMORY, "out of memory for a word of %zu bytes", length);
    bool too_long = e->longest_word > 0 && e->n_characters > e->longest_word;
    e->n_characters = 0;
    while (at < length && status == HONE_OK) {
        size_t n = length - at < v->longest_bytes ? length - at : v->longest_bytes;
        n = too_long ? 0 : n;
        int32_t id = -1;
        for (; n > 0 && (id = hone_vocabulary_find(v, e->word.data + at, n)) < 0; n--)
            ;
        if (id < 0) { /* one part unknown: the whole word is */
            e->ids->n = n_before;
            if (e->unknown >= 0)
                status = hone_token_list_push(e->ids, e->unknown, e->err);
            break;
        }
        status = hone_token_list_push(e->ids, id, e->err);
        at += n;
    }
    hone_buffer_reset(&e->word);
    return status;
}

static hone_status take_character(encoding *e, uint32_t c)
{
    character_kind kind = kind_of(c);
    hone_status status = HONE_OK;
    if (kind == CHARACTER_DROPPED)
        return status;
    if (kind != CHARACTER_IN_WORD)
        status = end_word(e);
    if (kind == CHARACTER_SPACE || status != HONE_OK)
        return status;
    char bytes[4];
    size_t n = hone_utf8_write((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), bytes);
    if (e->word.length == 0)
        hone_buffer_puts(&e->word, WORD_START);
    hone_buffer_append(&e->word, bytes, n);
    e->n_characters++;
    return kind == CHARACTER_ALONE ? end_word(e) : status;
}

hone_status hone_wordpiece_encode(const hone_vocabulary *vocabulary, int32_t unknown, size_t longest_word,
                                  const char *text, size_t length, hone_token_list *ids, hone_error *err)
{
    encoding e = {.vocabulary = vocabulary, .unknown = unknown, .longest_word = longest_word, .ids = ids, .err = err};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < length && status == HONE_OK;) {
        uint32_t code_point;
        size_t n = hone_utf8_next(text + i, length - i, &code_point);
        i += n ? n : 1;
        if (n == 0)
            continue;
        utf8proc_int32_t parts[MAX_DECOMPOSED];
        int last_class = 0;
        utf8proc_ssize_t n_parts = utf8proc_decompose_char((utf8proc_int32_t)code_point, parts, MAX_DECOMPOSED,
                                                           UTF8PROC_DECOMPOSE, &last_class);
        for (utf8proc_ssize_t p = 0; p < n_parts && p < MAX_DECOMPOSED && status == HONE_OK; p++)
            status = take_character(&e, (uint32_t)parts[p]);
    }
    if (status == HONE_OK)
        status = end_word(&e);
    hone_buffer_clear(&e.word);
    return status;
}
