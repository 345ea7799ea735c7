/* tokenizer.c - what every family shares: reading the file, special tokens in the text, decoding.
 *
 * Special tokens (control, user-defined, unknown) are kept sorted by their bytes; at a place in the text the run of
 * those that agree with it is narrowed byte by byte, and the longest one that ends within wins. One pass over the text,
 * no allocation, also for vocabularies with thousands of them. */
#include "text/tokenizer.h"

#include "text/bpe.h"
#include "text/spm.h"
#include "text/vocabulary.h"
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

typedef enum tokenizer_family { FAMILY_BPE, FAMILY_SPM, FAMILY_WORDPIECE } tokenizer_family;

struct hone_tokenizer {
    tokenizer_family family;
    hone_vocabulary vocabulary;
    hone_bpe *bpe;
    hone_spm *spm;
    char *piece_bytes;    /* as vocabulary.bytes, but what the tokens stand for */
    size_t *piece_starts; /* [n + 1] */
    bool *ends;           /* [n]: the token ends an answer */
    int32_t *specials;    /* [n_specials], sorted by their bytes */
    size_t n_specials;
    bool starts_special[256];
    int32_t bos, eos, unknown;
    size_t longest_word; /* WordPiece: characters; 0: no limit */
    bool add_bos, add_space_prefix;
    char *chat_template;
};

/* ---- token lists ---- */

void hone_token_list_clear(hone_token_list *ids)
{
    free(ids->data);
    memset(ids, 0, sizeof *ids);
}

hone_status hone_token_list_push(hone_token_list *ids, int32_t id, hone_error *err)
{
    if (ids->n == ids->capacity) {
        size_t capacity = ids->capacity ? 2 * ids->capacity : 64;
        int32_t *data = capacity > SIZE_MAX / 2 / sizeof *data ? NULL : realloc(ids->data, capacity * sizeof *data);
        if (!data)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu tokens", capacity);
        ids->data = data;
        ids->capacity = capacity;
    }
    ids->data[ids->n++] = id;
    return HONE_OK;
}

/* ---- special tokens ---- */

static bool is_special(const hone_vocabulary *v, int32_t id)
{
    return v->types[id] == HONE_TOKEN_CONTROL || v->types[id] == HONE_TOKEN_USER_DEFINED ||
           v->types[id] == HONE_TOKEN_UNKNOWN;
}

/* Shown only on request, found in text only with parse_special. */
static bool is_control(const hone_vocabulary *v, int32_t id)
{
    return v->types[id] == HONE_TOKEN_CONTROL || v->types[id] == HONE_TOKEN_UNKNOWN;
}

static int compare_texts(const void *a, const void *b, void *vocabulary)
{
    size_t n_a, n_b;
    const char *text_a = hone_vocabulary_text(vocabulary, *(const int32_t *)a, &n_a);
    const char *text_b = hone_vocabulary_text(vocabulary, *(const int32_t *)b, &n_b);
    int order = memcmp(text_a, text_b, n_a < n_b ? n_a : n_b);
    return order ? order : (n_a > n_b) - (n_a < n_b);
}

static hone_status collect_specials(hone_tokenizer *t, const char *path, hone_error *err)
{
    hone_vocabulary *v = &t->vocabulary;
    size_t n = 0, length;
    for (int32_t id = 0; id < v->n; id++)
        n += is_special(v, id);
    t->specials = malloc((n + 1) * sizeof *t->specials);
    if (!t->specials)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %zu special tokens", path, n);
    for (int32_t id = 0; id < v->n; id++) {
        const char *text = hone_vocabulary_text(v, id, &length);
        if (length == 0 || !is_special(v, id))
            continue;
        t->specials[t->n_specials++] = id;
        t->starts_special[(unsigned char)text[0]] = true;
    }
    qsort_r(t->specials, t->n_specials, sizeof *t->specials, compare_texts, v);
    return HONE_OK;
}

/* The byte at `depth` of special number i; -1 past its end, so that a prefix sorts before what it begins. */
static int special_byte(const hone_tokenizer *t, size_t i, size_t depth)
{
    size_t length;
    const char *text = hone_vocabulary_text(&t->vocabulary, t->specials[i], &length);
    return depth < length ? (unsigned char)text[depth] : -1;
}

/* The first special in [low, high), which agree before `depth`, whose byte there is at least `byte`. */
static size_t first_special_from(const hone_tokenizer *t, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (special_byte(t, middle, depth) < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest special token that the text begins with, or -1. */
static int32_t match_special(const hone_tokenizer *t, const char *text, size_t length, bool parse_special,
                             size_t *matched)
{
    int32_t found = -1;
    size_t low = 0, high = t->n_specials;
    for (size_t depth = 0; depth < length && low < high; depth++) {
        int byte = (unsigned char)text[depth];
        low = first_special_from(t, low, high, depth, byte);
        high = first_special_from(t, low, high, depth, byte + 1);
        if (low < high && special_byte(t, low, depth + 1) < 0 &&
            (parse_special || !is_control(&t->vocabulary, t->specials[low]))) {
            found = t->specials[low];
            *matched = depth + 1;
        }
    }
    return found;
}

/* ---- reading the file ---- */

/* An optional id; -1 when the key is absent. */
static hone_status read_id(const hone_tokenizer *t, const hone_gguf *file, const char *key, int32_t *out,
                           hone_error *err)
{
    int64_t id;
    if (!hone_gguf_get_int(file, key, &id))
        return HONE_OK;
    if (id < 0 || id >= t->vocabulary.n)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: %s is %lld; the vocabulary has %d tokens", file->map.path, key,
                         (long long)id, t->vocabulary.n);
    *out = (int32_t)id;
    return HONE_OK;
}

/* Tokens that end an answer by their text, whatever else the file says: the chat models' end-of-turn marks. */
static const char *const end_texts[] = {
    "<|im_end|>",    "<|eot_id|>",      "<|eom_id|>", "<end_of_turn>", "<|end|>",
    "<|endoftext|>", "<|end_of_text|>", "<EOT>",      "<|EOT|>",       "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};

static hone_status read_ids(hone_tokenizer *t, const hone_gguf *file, hone_error *err)
{
    static const char *const end_keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    hone_status status;
    bool is_wordpiece = t->family == FAMILY_WORDPIECE; /* "seperator" is how the format spells it */
    if ((status = read_id(t, file, "tokenizer.ggml.bos_token_id", &t->bos, err)) != HONE_OK ||
        (status = read_id(t, file, "tokenizer.ggml.eos_token_id", &t->eos, err)) != HONE_OK ||
        (status = read_id(t, file, "tokenizer.ggml.unknown_token_id", &t->unknown, err)) != HONE_OK)
        return status;
    if (is_wordpiece && ((status = read_id(t, file, "tokenizer.ggml.cls_token_id", &t->bos, err)) != HONE_OK ||
                         (status = read_id(t, file, "tokenizer.ggml.seperator_token_id", &t->eos, err)) != HONE_OK))
        return status;
    t->ends = calloc((size_t)t->vocabulary.n, sizeof *t->ends);
    if (!t->ends)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    if (t->eos >= 0)
        t->ends[t->eos] = true;
    for (size_t i = 0; i < sizeof end_keys / sizeof *end_keys; i++) {
        int32_t id = -1;
        if ((status = read_id(t, file, end_keys[i], &id, err)) != HONE_OK)
            return status;
        if (id >= 0)
            t->ends[id] = true;
    }
    for (size_t i = 0; i < sizeof end_texts / sizeof *end_texts; i++) {
        int32_t id = hone_vocabulary_find(&t->vocabulary, end_texts[i], strlen(end_texts[i]));
        if (id >= 0)
            t->ends[id] = true;
    }
    return HONE_OK;
}

static hone_status read_family(hone_tokenizer *t, const hone_gguf *file, hone_error *err)
{
    static const struct {
        const char *name;
        tokenizer_family family;
    } families[] = {{"gpt2", FAMILY_BPE}, {"llama", FAMILY_SPM}, {"bert", FAMILY_WORDPIECE}};
    hone_gguf_string name;
    if (!hone_gguf_get_string(file, "tokenizer.ggml.model", &name))
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.model is missing: the file holds no vocabulary",
                         file->map.path);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (name.length == strlen(families[i].name) && memcmp(name.data, families[i].name, name.length) == 0) {
            t->family = families[i].family;
            return HONE_OK;
        }
    return hone_fail(err, HONE_UNSUPPORTED, "%s: tokenizer.ggml.model is \"%.*s\"; hone has gpt2, llama and bert",
                     file->map.path, (int)(name.length < 64 ? name.length : 64), name.data);
}

/* What each token stands for, in bytes: never longer than its text. */
static hone_status make_pieces(hone_tokenizer *t, const char *path, hone_error *err)
{
    const hone_vocabulary *v = &t->vocabulary;
    t->piece_bytes = malloc(v->starts[v->n] + 1);
    t->piece_starts = malloc(((size_t)v->n + 1) * sizeof *t->piece_starts);
    if (!t->piece_bytes || !t->piece_starts)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", path, v->n);
    size_t at = 0;
    for (int32_t id = 0; id < v->n; id++) {
        size_t length;
        const char *text = hone_vocabulary_text(v, id, &length);
        t->piece_starts[id] = at;
        if (is_special(v, id)) {
            memcpy(t->piece_bytes + at, text, length);
            at += length;
        } else if (t->family == FAMILY_BPE)
            at += hone_bpe_unspell(text, length, t->piece_bytes + at);
        else
            at += hone_spm_unspell(text, length, v->types[id] == HONE_TOKEN_BYTE, t->piece_bytes + at);
    }
    t->piece_starts[v->n] = at;
    return HONE_OK;
}

static hone_status copy_chat_template(hone_tokenizer *t, const hone_gguf *file, hone_error *err)
{
    hone_gguf_string text;
    if (!hone_gguf_get_string(file, "tokenizer.chat_template", &text))
        return HONE_OK;
    if (memchr(text.data, 0, text.length))
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.chat_template holds a NUL byte", file->map.path);
    t->chat_template = malloc(text.length + 1);
    if (!t->chat_template)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for the chat template", file->map.path);
    memcpy(t->chat_template, text.data, text.length);
    t->chat_template[text.length] = 0;
    return HONE_OK;
}

static hone_status read_all(hone_tokenizer *t, const hone_gguf *file, hone_error *err)
{
    hone_status status = read_family(t, file, err);
    if (status == HONE_OK)
        status = hone_vocabulary_init(&t->vocabulary, file, err);
    if (status == HONE_OK)
        status = read_ids(t, file, err);
    if (status == HONE_OK)
        status = collect_specials(t, file->map.path, err);
    if (status == HONE_OK)
        status = make_pieces(t, file->map.path, err);
    if (status == HONE_OK)
        status = copy_chat_template(t, file, err);
    if (status == HONE_OK && t->family == FAMILY_BPE)
        status = hone_bpe_create(&t->vocabulary, file, &t->bpe, err);
    if (status == HONE_OK && t->family == FAMILY_SPM)
        status = hone_spm_create(&t->vocabulary, file->map.path, t->unknown, &t->spm, err);
    if (status != HONE_OK)
        return status;
    t->add_space_prefix = t->family == FAMILY_SPM;
    t->add_bos = t->family != FAMILY_BPE || hone_bpe_adds_bos(t->bpe);
    hone_gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix);
    hone_gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &t->add_bos);
    return HONE_OK;
}

hone_status hone_tokenizer_from_gguf(const hone_gguf *file, hone_tokenizer **out, hone_error *err)
{
    *out = NULL;
    hone_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    t->bos = t->eos = t->unknown = -1;
    hone_status status = read_all(t, file, err);
    if (status != HONE_OK) {
        hone_tokenizer_free(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

hone_status hone_tokenizer_from_wordpiece(const hone_wordpiece_vocabulary *given, const char *path,
                                          hone_tokenizer **out, hone_error *err)
{
    *out = NULL;
    hone_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    t->family = FAMILY_WORDPIECE;
    t->bos = given->first;
    t->eos = given->last;
    t->unknown = given->unknown;
    t->longest_word = given->longest_word;
    t->add_bos = true;
    hone_status status = hone_vocabulary_init_texts(&t->vocabulary, given->texts, given->types, given->n, path, err);
    if (status == HONE_OK && !(t->ends = calloc((size_t)given->n, sizeof *t->ends)))
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (status == HONE_OK) {
        t->ends[t->eos] = true;
        status = collect_specials(t, path, err);
    }
    if (status == HONE_OK)
        status = make_pieces(t, path, err);
    if (status != HONE_OK) {
        hone_tokenizer_free(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

void hone_tokenizer_free(hone_tokenizer *t)
{
    if (!t)
        return;
    hone_bpe_free(t->bpe);
    hone_spm_free(t->spm);
    hone_vocabulary_clear(&t->vocabulary);
    free(t->piece_bytes);
    free(t->piece_starts);
    free(t->ends);
    free(t->specials);
    free(t->chat_template);
    free(t);
}

/* ---- encoding and decoding ---- */

static hone_status encode_plain(const hone_tokenizer *t, const char *text, size_t length, bool after_special,
                                hone_token_list *ids, hone_error *err)
{
    if (length == 0)
        return HONE_OK;
    switch (t->family) {
    case FAMILY_BPE:
        return hone_bpe_encode(t->bpe, text, length, ids, err);
    case FAMILY_SPM:
        return hone_spm_encode(t->spm, text, length, t->add_space_prefix && after_special, ids, err);
    case FAMILY_WORDPIECE:
        return hone_wordpiece_encode(&t->vocabulary, t->unknown, t->longest_word, text, length, ids, err);
    }
    return HONE_OK;
}

hone_status hone_tokenizer_encode(const hone_tokenizer *t, const char *text, size_t length, bool parse_special,
                                  hone_token_list *ids, hone_error *err)
{
    size_t n_before = ids->n, plain = 0; /* where the text since the last special token begins */
    bool after_special = true;           /* so is the start of the text */
    hone_status status = HONE_OK;
    for (size_t at = 0; at < length && status == HONE_OK;) {
        size_t matched = 0;
        int32_t id = t->starts_special[(unsigned char)text[at]]
                         ? match_special(t, text + at, length - at, parse_special, &matched)
                         : -1;
        if (id < 0) {
            at++;
            continue;
        }
        status = encode_plain(t, text + plain, at - plain, after_special, ids, err);
        if (status == HONE_OK)
            status = hone_token_list_push(ids, id, err);
        at += matched;
        plain = at;
        after_special = true;
    }
    if (status == HONE_OK)
        status = encode_plain(t, text + plain, length - plain, after_special, ids, err);
    if (status != HONE_OK)
        ids->n = n_before;
    return status;
}

const char *hone_tokenizer_piece(const hone_tokenizer *t, int32_t id, size_t *length, bool *special)
{
    if (id < 0 || id >= t->vocabulary.n)
        return NULL;
    if (length)
        *length = t->piece_starts[id + 1] - t->piece_starts[id];
    if (special)
        *special = is_control(&t->vocabulary, id);
    return t->piece_bytes + t->piece_starts[id];
}

void hone_token_decoder_init(hone_token_decoder *d, const hone_tokenizer *t, bool show_special, int32_t after)
{
    bool begins = after < 0, behind_special = !begins && is_special(&t->vocabulary, after);
    *d = (hone_token_decoder){.tokenizer = t,
                              .show_special = show_special,
                              .drop_space = (t->add_space_prefix && (begins || behind_special)) ||
                                            (t->family == FAMILY_WORDPIECE && begins)};
}

const char *hone_token_decoder_next(hone_token_decoder *d, int32_t id, size_t *length)
{
    const hone_tokenizer *t = d->tokenizer;
    bool control;
    const char *piece = hone_tokenizer_piece(t, id, length, &control);
    if (!piece) {
        *length = 0;
        return NULL;
    }
    if (is_special(&t->vocabulary, id)) {
        if (control && !d->show_special)
            *length = 0;
        d->drop_space = d->drop_space || t->add_space_prefix;
        return piece;
    }
    bool dropped = d->drop_space && *length > 0 && piece[0] == ' ';
    d->drop_space = false;
    *length -= dropped;
    return piece + dropped;
}

hone_status hone_tokenizer_decode_after(const hone_tokenizer *t, int32_t after, const int32_t *ids, size_t n,
                                        bool show_special, hone_buffer *out, hone_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= t->vocabulary.n)
            return hone_fail(err, HONE_BAD_INPUT, "id %d (number %zu of %zu) is outside the vocabulary of %d tokens",
                             ids[i], i + 1, n, t->vocabulary.n);
    hone_token_decoder decoder;
    hone_token_decoder_init(&decoder, t, show_special, after);
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *piece = hone_token_decoder_next(&decoder, ids[i], &length);
        hone_buffer_append(out, piece, length);
    }
    return out->failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory for the text of %zu tokens", n) : HONE_OK;
}

hone_status hone_tokenizer_decode(const hone_tokenizer *t, const int32_t *ids, size_t n, bool show_special,
                                  hone_buffer *out, hone_error *err)
{
    return hone_tokenizer_decode_after(t, -1, ids, n, show_special, out, err);
}

size_t hone_tokenizer_longest_piece(const hone_tokenizer *t)
{
    size_t longest = 0;
    for (int32_t i = 0; i < t->vocabulary.n; i++) {
        size_t length = t->piece_starts[i + 1] - t->piece_starts[i];
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* ---- facts ---- */

int32_t hone_tokenizer_size(const hone_tokenizer *t)
{
    return t->vocabulary.n;
}

int32_t hone_tokenizer_bos(const hone_tokenizer *t)
{
    return t->bos;
}

int32_t hone_tokenizer_eos(const hone_tokenizer *t)
{
    return t->eos;
}

bool hone_tokenizer_add_bos(const hone_tokenizer *t)
{
    return t->add_bos;
}

bool hone_tokenizer_is_end(const hone_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocabulary.n && t->ends[id];
}

int32_t hone_tokenizer_find(const hone_tokenizer *t, const char *text, size_t length)
{
    int32_t id = hone_vocabulary_find(&t->vocabulary, text, length);
    return id >= 0 && is_special(&t->vocabulary, id) ? id : -1;
}

const char *hone_tokenizer_chat_template(const hone_tokenizer *t)
{
    return t->chat_template;
}
