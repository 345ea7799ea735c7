/* conversation_near.c - rows whose question is nearly that of an earlier one: at least nine in ten of the words that
 * either has are in both (Jaccard). They count nearly twice, and where one is held out, its twin in training makes the
 * score too good.
 *
 * Candidates by MinHash (Broder 1997, "On the resemblance and containment of documents"): 64 least hashes of a
 * question's words in 16 bands of 4; two questions that are 0.9 alike share a band with a probability above 0.9999.
 * Candidates are then compared word by word, so that nothing is reported that is not so. */
#include "task/conversation.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/text.h"
#include "task/fold.h"
#include "task/rows.h"

#include <stdlib.h>
#include <string.h>

enum { FEWEST_WORDS = 6, BANDS = 16, BAND = 4, HASHES = BANDS * BAND, COMPARED = 8 };
static const double alike = 0.9;

typedef struct question {
    uint64_t *words; /* hashes of its different words, sorted */
    size_t n;
    char key[33]; /* folded: equal ones are reported as repeats */
} question;

typedef struct band {
    uint64_t hash;
    size_t index;
} band;

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int by_band(const void *a, const void *b)
{
    const band *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool is_word_byte(unsigned char c)
{
    return c >= 128 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'';
}

/* The last user's message before the last learned answer. */
static const char *question_text(const hone_conversation *c)
{
    size_t n = json_array_size(c->messages), last = n;
    const char *text = NULL;
    for (size_t i = 0; i < n; i++)
        last = c->weights[i] > 0 ? i : last;
    for (size_t i = 0; i < last && i < n; i++) {
        const json_t *message = json_array_get(c->messages, i);
        if (strcmp(json_string_value(json_object_get(message, "role")), "user") == 0)
            text = json_string_value(json_object_get(message, "content"));
    }
    return text;
}

static hone_status take_words(const char *text, question *q, hone_error *err)
{
    size_t most = strlen(text) / 2 + 1, kept = 0;
    q->words = malloc(most * sizeof *q->words);
    if (!q->words)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (const char *p = text; *p;) {
        uint64_t hash = HONE_FNV_START;
        const char *start = p;
        for (; is_word_byte((unsigned char)*p); p++) {
            char lower = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
            hash = hone_fnv1a(hash, &lower, 1);
        }
        if (p > start)
            q->words[q->n++] = hash;
        else
            p++;
    }
    qsort(q->words, q->n, sizeof *q->words, by_value);
    for (size_t i = 0; i < q->n; i++)
        if (i == 0 || q->words[i] != q->words[i - 1])
            q->words[kept++] = q->words[i];
    q->n = kept;
    return q->n >= FEWEST_WORDS ? hone_fold_key(text, q->key, err) : HONE_OK;
}

/* The finaliser of MurmurHash3: hash k of a word is a mix of it and k. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

static void write_bands(const question *q, size_t index, band *out)
{
    for (uint64_t b = 0; b < BANDS; b++) {
        uint64_t hash = mix(b + 1);
        for (uint64_t h = 0; h < BAND; h++) {
            uint64_t least = UINT64_MAX;
            for (size_t w = 0; w < q->n; w++) {
                uint64_t mixed = mix(q->words[w] + (b * BAND + h) * 0x9e3779b97f4a7c15ull);
                least = mixed < least ? mixed : least;
            }
            hash = mix(hash ^ least);
        }
        out[b] = (band){hash, index};
    }
}

static double jaccard(const question *a, const question *b)
{
    size_t both = 0;
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        both += a->words[i] == b->words[j];
        uint64_t x = a->words[i], y = b->words[j];
        i += x <= y;
        j += y <= x;
    }
    return (double)both / (double)(a->n + b->n - both);
}

/* twin[i]: the first row found that i resembles, plus one; 0: none. */
static void find_twins(const question *questions, const band *bands, size_t n_bands, size_t *twin)
{
    for (size_t from = 0, to; from < n_bands; from = to) {
        for (to = from + 1; to < n_bands && bands[to].hash == bands[from].hash;)
            to++;
        for (size_t j = from + 1; j < to; j++)
            for (size_t i = from; i < j && i < from + COMPARED && !twin[bands[j].index]; i++) {
                const question *a = &questions[bands[i].index], *b = &questions[bands[j].index];
                if (strcmp(a->key, b->key) != 0 && jaccard(a, b) >= alike)
                    twin[bands[j].index] = bands[i].index + 1;
            }
    }
}

hone_status hone_conversations_note_near(const char *path, hone_conversations *all, hone_error *err)
{
    question *questions = calloc(all->n + 1, sizeof *questions);
    band *bands = calloc(all->n + 1, BANDS * sizeof *bands);
    size_t *twin = calloc(all->n + 1, sizeof *twin), n_bands = 0, found = 0, first = 0;
    hone_status status = questions && bands && twin ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < all->n && status == HONE_OK; i++) {
        const char *text = question_text(&all->items[i]);
        status = text ? take_words(text, &questions[i], err) : HONE_OK;
        if (status == HONE_OK && questions[i].n >= FEWEST_WORDS) {
            write_bands(&questions[i], i, bands + n_bands);
            n_bands += BANDS;
        }
    }
    if (status == HONE_OK) {
        qsort(bands, n_bands, sizeof *bands, by_band);
        find_twins(questions, bands, n_bands, twin);
        for (size_t i = all->n; i-- > 0;)
            if (twin[i]) {
                found++;
                first = i;
            }
        char count[32];
        hone_format_count((int64_t)found, count);
        if (found)
            hone_warn(all->notes,
                      "%s: %s rows ask nearly what an earlier one asks, nine in ten words alike (first: line %lld and "
                      "line %lld)",
                      path, count, (long long)all->items[twin[first] - 1].line, (long long)all->items[first].line);
    }
    for (size_t i = 0; questions && i < all->n; i++)
        free(questions[i].words);
    free(questions);
    free(bands);
    free(twin);
    return status;
}
