/* bpe.c - byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909, over bytes as in GPT-2).
 *
 * Merge rules lie in an open-addressing table keyed by the two token ids, at most half full: one probe decides whether
 * two neighbours join, at which rank, and into which token. */
#include "text/bpe.h"

#include "base/text.h"
#include "text/merge.h"
#include "text/pretokenizer.h"

#include <stdlib.h>
#include <string.h>

typedef struct merge_slot {
    uint64_t key; /* left << 32 | right; FREE_SLOT when unused */
    uint32_t rank;
    int32_t id;
} merge_slot;

struct hone_bpe {
    const hone_vocabulary *vocabulary;
    hone_pretokenizer *rule;
    merge_slot *slots;
    uint64_t slot_mask;
    int32_t byte_ids[256];
};

#define FREE_SLOT UINT64_MAX

/* GPT-2's spelling: the printable Latin-1 characters stand for themselves, the other 68 bytes in order for U+0100... */
static bool is_printable(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

static uint32_t spelling_of_byte(unsigned byte)
{
    if (is_printable(byte))
        return byte;
    uint32_t code_point = 0x100;
    for (unsigned b = 0; b < byte; b++)
        code_point += !is_printable(b);
    return code_point;
}

/* The byte that a character stands for, or -1. */
static int byte_of_spelling(uint32_t code_point)
{
    if (code_point < 0x100)
        return is_printable(code_point) ? (int)code_point : -1;
    if (code_point <= 0x120) /* the bytes 0x00 to 0x20 */
        return (int)(code_point - 0x100);
    if (code_point <= 0x142) /* 0x7F to 0xA0 */
        return (int)(code_point - 0x121 + 0x7F);
    return code_point == 0x143 ? 0xAD : -1;
}

size_t hone_bpe_unspell(const char *text, size_t length, char *out)
{
    size_t n_out = 0;
    for (size_t i = 0; i < length;) {
        uint32_t code_point;
        size_t n = hone_utf8_next(text + i, length - i, &code_point);
        int byte = n ? byte_of_spelling(code_point) : -1;
        if (byte < 0) {
            memcpy(out, text, length);
            return length;
        }
        out[n_out++] = (char)byte;
        i += n;
    }
    return n_out;
}

static uint64_t mix(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15ull;
    return key ^ key >> 32;
}

static void insert_merge(hone_bpe *bpe, uint64_t key, uint32_t rank, int32_t id)
{
    uint64_t i = mix(key) & bpe->slot_mask;
    for (; bpe->slots[i].key != FREE_SLOT; i = (i + 1) & bpe->slot_mask)
        if (bpe->slots[i].key == key)
            return; /* the earlier rule has the lower rank */
    bpe->slots[i] = (merge_slot){key, rank, id};
}

static hone_status read_merge(hone_bpe *bpe, hone_gguf_string merge, uint32_t rank, const char *path, hone_error *err)
{
    const hone_vocabulary *v = bpe->vocabulary;
    const char *shown = merge.data;
    int n_shown = (int)(merge.length < 64 ? merge.length : 64);
    const char *space = merge.length < 3 ? NULL : memchr(merge.data + 1, ' ', merge.length - 2);
    if (!space)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: tokenizer.ggml.merges: rule %u, \"%.*s\", is not two tokens with a space between", path,
                         rank, n_shown, shown);
    size_t n_left = (size_t)(space - merge.data), n_right = merge.length - n_left - 1;
    char joined[256];
    int32_t left = hone_vocabulary_find(v, merge.data, n_left), right = hone_vocabulary_find(v, space + 1, n_right),
            id = -1;
    if (n_left + n_right <= sizeof joined) {
        memcpy(joined, merge.data, n_left);
        memcpy(joined + n_left, space + 1, n_right);
        id = hone_vocabulary_find(v, joined, n_left + n_right);
    } else {
        char *text = malloc(n_left + n_right);
        if (!text)
            return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        memcpy(text, merge.data, n_left);
        memcpy(text + n_left, space + 1, n_right);
        id = hone_vocabulary_find(v, text, n_left + n_right);
        free(text);
    }
    if (left < 0 || right < 0 || id < 0)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: tokenizer.ggml.merges: rule %u, \"%.*s\": %s is not in the vocabulary", path, rank,
                         n_shown, shown,
                         left < 0    ? "its left part"
                         : right < 0 ? "its right part"
                                     : "what it makes");
    insert_merge(bpe, (uint64_t)(uint32_t)left << 32 | (uint32_t)right, rank, id);
    return HONE_OK;
}

static hone_status read_merges(hone_bpe *bpe, const hone_gguf *file, hone_error *err)
{
    const char *path = file->map.path;
    const hone_gguf_value *merges = hone_gguf_find(file, "tokenizer.ggml.merges");
    if (!merges || merges->type != HONE_GGUF_ARRAY || merges->element_type != HONE_GGUF_STRING)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.merges, an array of strings, is missing", path);
    if (merges->n > INT32_MAX / 4)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.merges has %llu rules", path,
                         (unsigned long long)merges->n);
    size_t n = (size_t)merges->n, n_slots = 16;
    while (n_slots < 2 * n)
        n_slots *= 2;
    hone_gguf_string *texts = malloc((n + 1) * sizeof *texts);
    bpe->slots = malloc(n_slots * sizeof *bpe->slots);
    bpe->slot_mask = n_slots - 1;
    hone_status status = HONE_OK;
    if (!texts || !bpe->slots)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %zu merge rules", path, n);
    if (status == HONE_OK) {
        memset(bpe->slots, 0xFF, n_slots * sizeof *bpe->slots); /* every key FREE_SLOT */
        hone_gguf_read_strings(merges, texts);
    }
    for (size_t rank = 0; rank < n && status == HONE_OK; rank++)
        status = read_merge(bpe, texts[rank], (uint32_t)rank, path, err);
    free(texts);
    return status;
}

hone_status hone_bpe_create(const hone_vocabulary *vocabulary, const hone_gguf *file, hone_bpe **out, hone_error *err)
{
    *out = NULL;
    hone_bpe *bpe = calloc(1, sizeof *bpe);
    if (!bpe)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    bpe->vocabulary = vocabulary;
    hone_gguf_string name = {"default", 7};
    hone_gguf_get_string(file, "tokenizer.ggml.pre", &name);
    hone_status status = hone_pretokenizer_create(name.data, name.length, &bpe->rule, err);
    if (status != HONE_OK)
        status = hone_fail_within(err, status, "%s", file->map.path);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4];
        bpe->byte_ids[byte] = hone_vocabulary_find(vocabulary, text, hone_utf8_write(spelling_of_byte(byte), text));
    }
    if (status == HONE_OK)
        status = read_merges(bpe, file, err);
    if (status != HONE_OK) {
        hone_bpe_free(bpe);
        return status;
    }
    *out = bpe;
    return HONE_OK;
}

void hone_bpe_free(hone_bpe *bpe)
{
    if (!bpe)
        return;
    hone_pretokenizer_free(bpe->rule);
    free(bpe->slots);
    free(bpe);
}

bool hone_bpe_adds_bos(const hone_bpe *bpe)
{
    return hone_pretokenizer_takes_whole_words(bpe->rule);
}

static bool join_by_rank(const void *context, const hone_symbol *left, const hone_symbol *right, uint32_t *rank,
                         int32_t *id)
{
    const hone_bpe *bpe = context;
    if (left->id < 0 || right->id < 0)
        return false;
    uint64_t key = (uint64_t)(uint32_t)left->id << 32 | (uint32_t)right->id;
    for (uint64_t i = mix(key) & bpe->slot_mask; bpe->slots[i].key != FREE_SLOT; i = (i + 1) & bpe->slot_mask)
        if (bpe->slots[i].key == key) {
            *rank = bpe->slots[i].rank;
            *id = bpe->slots[i].id;
            return true;
        }
    return false;
}

/* The token that a word is as a whole, or -1. */
static int32_t find_whole(const hone_bpe *bpe, const char *word, size_t length)
{
    char spelt[512];
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (n + 4 > sizeof spelt)
            return -1;
        n += hone_utf8_write(spelling_of_byte((unsigned char)word[i]), spelt + n);
    }
    return hone_vocabulary_find(bpe->vocabulary, spelt, n);
}

typedef struct encoding {
    const hone_bpe *bpe;
    hone_merger merger;
    hone_token_list *ids;
} encoding;

static hone_status encode_word(void *context, const char *word, size_t length, hone_error *err)
{
    encoding *e = context;
    const hone_bpe *bpe = e->bpe;
    if (hone_pretokenizer_takes_whole_words(bpe->rule)) {
        int32_t id = find_whole(bpe, word, length);
        if (id >= 0)
            return hone_token_list_push(e->ids, id, err);
    }
    hone_status status = hone_merger_reserve(&e->merger, length, err);
    if (status != HONE_OK)
        return status;
    hone_symbol *symbols = e->merger.symbols;
    for (size_t i = 0; i < length; i++)
        symbols[i] = (hone_symbol){.id = bpe->byte_ids[(unsigned char)word[i]], .start = (uint32_t)i, .length = 1};
    hone_merger_run(&e->merger, join_by_rank, bpe);
    for (int32_t i = 0; i >= 0 && status == HONE_OK; i = symbols[i].next)
        if (symbols[i].id >= 0)
            status = hone_token_list_push(e->ids, symbols[i].id, err);
    return status;
}

hone_status hone_bpe_encode(const hone_bpe *bpe, const char *text, size_t length, hone_token_list *ids, hone_error *err)
{
    encoding e = {.bpe = bpe, .ids = ids};
    hone_status status = hone_pretokenizer_split(bpe->rule, text, length, encode_word, &e, err);
    hone_merger_clear(&e.merger);
    return status;
}
