/* vocabulary.c - the tokens of a model and the table text -> id. */
#include "text/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a with a final mix: texts are a few bytes, so a simple loop is as quick as anything. */
static uint32_t hash_text(const char *text, size_t length)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3ull;
    return (uint32_t)(h ^ h >> 32);
}

const char *hone_vocabulary_text(const hone_vocabulary *v, int32_t id, size_t *length)
{
    *length = v->starts[id + 1] - v->starts[id];
    return v->bytes + v->starts[id];
}

int32_t hone_vocabulary_find(const hone_vocabulary *v, const char *text, size_t length)
{
    if (length == 0 || length > v->longest_bytes)
        return -1;
    uint32_t hash = hash_text(text, length);
    for (uint32_t i = hash & v->slot_mask; v->slots[i].id >= 0; i = (i + 1) & v->slot_mask) {
        if (v->slots[i].hash != hash)
            continue;
        size_t n;
        const char *own = hone_vocabulary_text(v, v->slots[i].id, &n);
        if (n == length && memcmp(own, text, n) == 0)
            return v->slots[i].id;
    }
    return -1;
}

static hone_status copy_texts(hone_vocabulary *v, const hone_gguf_string *texts, const char *path, hone_error *err)
{
    size_t total = 0;
    for (int32_t i = 0; i < v->n; i++)
        total += texts[i].length; /* bounded by the file's size */
    v->bytes = malloc(total + 1);
    v->starts = malloc(((size_t)v->n + 1) * sizeof *v->starts);
    if (!v->bytes || !v->starts)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", path, v->n);
    total = 0;
    for (int32_t i = 0; i < v->n; i++) {
        v->starts[i] = total;
        memcpy(v->bytes + total, texts[i].data, texts[i].length);
        total += texts[i].length;
        if (texts[i].length > v->longest_bytes)
            v->longest_bytes = texts[i].length;
    }
    v->starts[v->n] = total;
    v->bytes[total] = 0;
    return HONE_OK;
}

static hone_status build_table(hone_vocabulary *v, const char *path, const char *key, hone_error *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * (size_t)v->n)
        n_slots *= 2;
    v->slots = malloc(n_slots * sizeof *v->slots);
    if (!v->slots)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", path, v->n);
    memset(v->slots, 0xFF, n_slots * sizeof *v->slots); /* every id -1 */
    v->slot_mask = (uint32_t)(n_slots - 1);
    for (int32_t id = 0; id < v->n; id++) {
        size_t length;
        const char *text = hone_vocabulary_text(v, id, &length);
        if (length == 0)
            continue;
        uint32_t hash = hash_text(text, length), i = hash & v->slot_mask;
        for (; v->slots[i].id >= 0; i = (i + 1) & v->slot_mask) {
            size_t n;
            const char *other = hone_vocabulary_text(v, v->slots[i].id, &n);
            if (v->slots[i].hash == hash && n == length && memcmp(other, text, n) == 0)
                return hone_fail(err, HONE_BAD_FORMAT, "%s: %s: tokens %d and %d have the same text \"%.*s\"", path,
                                 key, v->slots[i].id, id, (int)(n < 64 ? n : 64), text);
        }
        v->slots[i] = (hone_vocabulary_slot){hash, id};
    }
    return HONE_OK;
}

/* The array under `key` when it holds one number a token; NULL in *out when it is absent. */
static hone_status find_numbers(const hone_vocabulary *v, const hone_gguf *file, const char *key,
                                const hone_gguf_value **out, hone_error *err)
{
    *out = hone_gguf_find(file, key);
    if (!*out)
        return HONE_OK;
    if ((*out)->type != HONE_GGUF_ARRAY || (*out)->element_type == HONE_GGUF_STRING)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: %s is not an array of numbers", file->map.path, key);
    if ((*out)->n != (uint64_t)v->n)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: %s has %llu elements for %d tokens; the file is damaged",
                         file->map.path, key, (unsigned long long)(*out)->n, v->n);
    return HONE_OK;
}

static hone_status copy_types(hone_vocabulary *v, const hone_gguf *file, hone_error *err)
{
    const hone_gguf_value *types, *scores;
    hone_status status = find_numbers(v, file, "tokenizer.ggml.token_type", &types, err);
    if (status == HONE_OK)
        status = find_numbers(v, file, "tokenizer.ggml.scores", &scores, err);
    if (status != HONE_OK)
        return status;
    v->types = malloc((size_t)v->n);
    v->scores = scores ? malloc((size_t)v->n * sizeof *v->scores) : NULL;
    if (!v->types || (scores && !v->scores))
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", file->map.path, v->n);
    for (int32_t i = 0; i < v->n; i++) {
        int64_t type = types ? hone_gguf_int_at(types, (uint64_t)i) : HONE_TOKEN_NORMAL;
        if (type < HONE_TOKEN_UNDEFINED || type > HONE_TOKEN_BYTE)
            return hone_fail(err, HONE_BAD_FORMAT,
                             "%s: tokenizer.ggml.token_type: token %d has type %lld; 0 to 6 are known", file->map.path,
                             i, (long long)type);
        v->types[i] = (uint8_t)type;
        if (!scores)
            continue;
        v->scores[i] = (float)hone_gguf_float_at(scores, (uint64_t)i);
        if (!isfinite(v->scores[i]))
            return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.scores: token %d has no finite score",
                             file->map.path, i);
    }
    return HONE_OK;
}

hone_status hone_vocabulary_init(hone_vocabulary *v, const hone_gguf *file, hone_error *err)
{
    memset(v, 0, sizeof *v);
    const char *path = file->map.path;
    const hone_gguf_value *tokens = hone_gguf_find(file, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != HONE_GGUF_ARRAY || tokens->element_type != HONE_GGUF_STRING)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.tokens, an array of strings, is missing", path);
    if (tokens->n == 0 || tokens->n > INT32_MAX / 4)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tokenizer.ggml.tokens has %llu tokens", path,
                         (unsigned long long)tokens->n);
    v->n = (int32_t)tokens->n;
    hone_gguf_string *texts = malloc((size_t)v->n * sizeof *texts);
    hone_status status = HONE_OK;
    if (!texts)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", path, v->n);
    if (status == HONE_OK) {
        hone_gguf_read_strings(tokens, texts);
        status = copy_texts(v, texts, path, err);
    }
    if (status == HONE_OK)
        status = copy_types(v, file, err);
    if (status == HONE_OK)
        status = build_table(v, path, "tokenizer.ggml.tokens", err);
    free(texts);
    if (status != HONE_OK)
        hone_vocabulary_clear(v);
    return status;
}

hone_status hone_vocabulary_init_texts(hone_vocabulary *v, const hone_gguf_string *texts, const uint8_t *types,
                                       int32_t n, const char *path, hone_error *err)
{
    memset(v, 0, sizeof *v);
    v->n = n;
    hone_status status = copy_texts(v, texts, path, err);
    if (status == HONE_OK && !(v->types = malloc((size_t)n)))
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory for %d tokens", path, n);
    if (status == HONE_OK) {
        memcpy(v->types, types, (size_t)n);
        status = build_table(v, path, "vocabulary", err);
    }
    if (status != HONE_OK)
        hone_vocabulary_clear(v);
    return status;
}

void hone_vocabulary_clear(hone_vocabulary *v)
{
    free(v->bytes);
    free(v->starts);
    free(v->types);
    free(v->scores);
    free(v->slots);
    memset(v, 0, sizeof *v);
}
