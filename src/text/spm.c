/* spm.c - SentencePiece BPE by score (Kudo & Richardson 2018, arXiv 1808.06226). There is no split into words: the
 * whole text is one piece, so the merger's n log n matters here. */
#include "text/spm.h"

#include "base/text.h"
#include "text/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

enum { SPACE_MARK_BYTES = 3 };

struct hone_spm {
    const hone_vocabulary *vocabulary;
    int32_t byte_ids[256];
    int32_t unknown;
};

hone_status hone_spm_create(const hone_vocabulary *vocabulary, const char *path, int32_t unknown, hone_spm **out,
                            hone_error *err)
{
    *out = NULL;
    if (!vocabulary->scores)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: tokenizer.ggml.scores, which a \"llama\" vocabulary needs, is missing", path);
    hone_spm *spm = calloc(1, sizeof *spm);
    if (!spm)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    spm->vocabulary = vocabulary;
    spm->unknown = unknown;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        spm->byte_ids[byte] = hone_vocabulary_find(vocabulary, text, 6);
    }
    *out = spm;
    return HONE_OK;
}

void hone_spm_free(hone_spm *spm)
{
    free(spm);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

size_t hone_spm_unspell(const char *text, size_t length, bool is_byte_token, char *out)
{
    if (is_byte_token && length == 6 && memcmp(text, "<0x", 3) == 0 && hex_digit(text[3]) >= 0 &&
        hex_digit(text[4]) >= 0) {
        out[0] = (char)(hex_digit(text[3]) << 4 | hex_digit(text[4]));
        return 1;
    }
    size_t n_out = 0;
    for (size_t i = 0; i < length;) {
        bool mark = length - i >= SPACE_MARK_BYTES && memcmp(text + i, SPACE_MARK, SPACE_MARK_BYTES) == 0;
        out[n_out++] = mark ? ' ' : text[i];
        i += mark ? SPACE_MARK_BYTES : 1;
    }
    return n_out;
}

typedef struct joining {
    const hone_vocabulary *vocabulary;
    const char *text;
} joining;

/* A float's bits in the order of its value, so that a higher score becomes a lower rank. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    if (bits == 0x80000000u) /* -0 ranks as 0 */
        bits = 0;
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ~bits;
}

static bool join_by_score(const void *context, const hone_symbol *left, const hone_symbol *right, uint32_t *rank,
                          int32_t *id)
{
    const joining *j = context;
    *id = hone_vocabulary_find(j->vocabulary, j->text + left->start, (size_t)left->length + right->length);
    if (*id < 0)
        return false;
    *rank = rank_of_score(j->vocabulary->scores[*id]);
    return true;
}

/* A symbol that is no token: its bytes, or the unknown token where a byte has none. */
static hone_status push_bytes(const hone_spm *spm, const char *text, size_t length, hone_token_list *ids,
                              hone_error *err)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; i < length && status == HONE_OK; i++) {
        int32_t id = spm->byte_ids[(unsigned char)text[i]];
        if (id < 0)
            return spm->unknown >= 0 ? hone_token_list_push(ids, spm->unknown, err) : HONE_OK;
        status = hone_token_list_push(ids, id, err);
    }
    return status;
}

/* The text with U+2581 for each space. */
static hone_status mark_spaces(const char *text, size_t length, bool space_before, hone_buffer *marked, hone_error *err)
{
    if (space_before)
        hone_buffer_puts(marked, SPACE_MARK);
    for (size_t i = 0; i < length;) {
        const char *space = memchr(text + i, ' ', length - i);
        size_t n = space ? (size_t)(space - text) - i : length - i;
        hone_buffer_append(marked, text + i, n);
        if (space)
            hone_buffer_puts(marked, SPACE_MARK);
        i += n + (space != NULL);
    }
    if (marked->failed)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a text of %zu bytes", length);
    if (marked->length > INT32_MAX)
        return hone_fail(err, HONE_BAD_INPUT, "a text of %zu bytes is too long to tokenize at once", length);
    return HONE_OK;
}

hone_status hone_spm_encode(const hone_spm *spm, const char *text, size_t length, bool space_before,
                            hone_token_list *ids, hone_error *err)
{
    if (length == 0)
        return HONE_OK;
    hone_buffer marked = {0};
    hone_merger merger = {0};
    hone_status status = mark_spaces(text, length, space_before, &marked, err);
    if (status == HONE_OK)
        status = hone_merger_reserve(&merger, marked.length, err);
    if (status != HONE_OK)
        goto done;
    size_t n = 0;
    for (size_t i = 0; i < marked.length; n++) {
        size_t size = hone_utf8_next(marked.data + i, marked.length - i, NULL);
        if (size == 0)
            size = 1;
        merger.symbols[n] = (hone_symbol){.id = hone_vocabulary_find(spm->vocabulary, marked.data + i, size),
                                          .start = (uint32_t)i,
                                          .length = (uint32_t)size};
        i += size;
    }
    merger.n_symbols = n;
    joining j = {spm->vocabulary, marked.data};
    hone_merger_run(&merger, join_by_score, &j);
    for (int32_t i = 0; i >= 0 && status == HONE_OK; i = merger.symbols[i].next) {
        const hone_symbol *s = &merger.symbols[i];
        status = s->id >= 0 ? hone_token_list_push(ids, s->id, err)
                            : push_bytes(spm, marked.data + s->start, s->length, ids, err);
    }
done:
    hone_merger_clear(&merger);
    hone_buffer_clear(&marked);
    return status;
}
