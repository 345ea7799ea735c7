/* embeddings.c - a table text -> embedding in memory, and the ledger behind it. */
#include "approach/embeddings.h"

#include "approach/workbench.h"
#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, FIRST_SLOTS = 1024 };

typedef struct entry {
    const char *text; /* NULL: free */
    uint64_t hash;
    hone_embedding embedding;
} entry;

struct hone_embeddings {
    hone_embedder *embedder;
    hone_ledger *ledger;
    hone_arena *arena;
    const char *name;
    char hash[65];
    entry *slots; /* open addressing, at most half full */
    size_t n_slots, n;
    int64_t n_cut;
    bool recompute;
};

hone_status hone_embeddings_create(hone_embedder *embedder, const char *name, hone_ledger *ledger,
                                   hone_embeddings **out, hone_error *err)
{
    *out = NULL;
    hone_embeddings *e = calloc(1, sizeof *e);
    if (!e) {
        hone_embedder_close(embedder);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for embeddings");
    }
    *e =
        (hone_embeddings){.embedder = embedder, .ledger = ledger, .arena = hone_arena_create(), .n_slots = FIRST_SLOTS};
    e->slots = calloc(e->n_slots, sizeof *e->slots);
    e->name = e->arena ? hone_arena_strdup(e->arena, name) : NULL;
    hone_status status = e->slots && e->name ? hone_embedder_hash(embedder, e->hash, err)
                                             : hone_fail(err, HONE_NO_MEMORY, "out of memory for embeddings");
    if (status != HONE_OK)
        hone_embeddings_free(e);
    else
        *out = e;
    return status;
}

void hone_embeddings_free(hone_embeddings *e)
{
    if (!e)
        return;
    hone_embedder_close(e->embedder);
    hone_arena_free(e->arena);
    free(e->slots);
    free(e);
}

int64_t hone_embeddings_dim(const hone_embeddings *e)
{
    return hone_embedder_dim(e->embedder);
}

const char *hone_embeddings_name(const hone_embeddings *e)
{
    return e->name;
}

const char *hone_embeddings_hash(const hone_embeddings *e)
{
    return e->hash;
}

double hone_embeddings_token_work(const hone_embeddings *e)
{
    return hone_embedder_token_work(e->embedder);
}

int64_t hone_embeddings_most_tokens(const hone_embeddings *e)
{
    return hone_embedder_most_tokens(e->embedder);
}

int64_t hone_embeddings_n_cut(const hone_embeddings *e)
{
    return e->n_cut;
}

/* ---- the table ---- */

static entry *slot_of(entry *slots, size_t n_slots, const char *text, uint64_t hash)
{
    size_t i = (size_t)hash & (n_slots - 1);
    while (slots[i].text && (slots[i].hash != hash || strcmp(slots[i].text, text) != 0))
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static entry *find(const hone_embeddings *e, const char *text)
{
    entry *slot = slot_of(e->slots, e->n_slots, text, hone_fnv1a(HONE_FNV_START, text, strlen(text)));
    return slot->text ? slot : NULL;
}

/* The vector is copied. */
static hone_status keep(hone_embeddings *e, const char *text, const float *vector, int64_t n_tokens, double seconds,
                        hone_error *err)
{
    size_t bytes = (size_t)hone_embeddings_dim(e) * sizeof *vector;
    if (2 * (e->n + 1) > e->n_slots) {
        entry *slots = calloc(2 * e->n_slots, sizeof *slots);
        if (!slots)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu embeddings", e->n);
        for (size_t i = 0; i < e->n_slots; i++)
            if (e->slots[i].text)
                *slot_of(slots, 2 * e->n_slots, e->slots[i].text, e->slots[i].hash) = e->slots[i];
        free(e->slots);
        e->slots = slots;
        e->n_slots *= 2;
    }
    uint64_t hash = hone_fnv1a(HONE_FNV_START, text, strlen(text));
    entry *slot = slot_of(e->slots, e->n_slots, text, hash);
    if (slot->text)
        return HONE_OK;
    float *copy = hone_arena_alloc(e->arena, bytes);
    if (!copy)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu embeddings", e->n);
    memcpy(copy, vector, bytes);
    *slot = (entry){text, hash, {copy, n_tokens, seconds}};
    e->n++;
    return HONE_OK;
}

/* ---- the ledger ---- */

static hone_status key_of(const hone_embeddings *e, const char *text, char key[65], hone_error *err)
{
    hone_sha256 *h = hone_sha256_create();
    if (!h)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a key");
    const char *const parts[] = {"embedding", e->hash, hone_embedder_pooling_name(e->embedder),
                                 hone_embedder_isa(e->embedder), text};
    const int revision = HONE_EMBEDDING_REVISION;
    hone_sha256_update(h, &revision, sizeof revision);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hone_sha256_update(h, parts[i], strlen(parts[i]) + 1);
    hone_sha256_finish(h, key);
    return HONE_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of the vector as hex; false when the text is no such vector. */
static bool read_vector(const json_t *part, float *vector, int64_t dim)
{
    const char *hex = json_string_value(json_object_get(part, "vector"));
    unsigned char *to = (unsigned char *)vector;
    size_t bytes = (size_t)dim * sizeof *vector;
    if (!hex || strlen(hex) != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static hone_status recall(hone_embeddings *e, const char *text, float *room, bool *found, hone_error *err)
{
    char key[65];
    json_t *part = NULL;
    *found = false;
    hone_status status = key_of(e, text, key, err);
    if (status == HONE_OK)
        status = hone_ledger_get_part(e->ledger, key, &part, err);
    if (status != HONE_OK || !part)
        return status;
    if (read_vector(part, room, hone_embeddings_dim(e))) {
        *found = true;
        e->n_cut += json_is_true(json_object_get(part, "cut"));
        status = keep(e, text, room, (int64_t)json_integer_value(json_object_get(part, "tokens")),
                      json_number_value(json_object_get(part, "seconds")), err);
    }
    json_decref(part);
    return status;
}

static hone_status remember(hone_embeddings *e, const entry *which, bool cut, hone_error *err)
{
    char key[65];
    static const char digits[] = "0123456789abcdef";
    size_t bytes = (size_t)hone_embeddings_dim(e) * sizeof(float);
    const unsigned char *from = (const unsigned char *)which->embedding.vector;
    char *hex = malloc(2 * bytes + 1);
    if (!hex)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an embedding");
    for (size_t i = 0; i < bytes; i++) {
        hex[2 * i] = digits[from[i] >> 4];
        hex[2 * i + 1] = digits[from[i] & 15];
    }
    hex[2 * bytes] = 0;
    json_t *part = json_pack("{s:s, s:I, s:f, s:b}", "vector", hex, "tokens", (json_int_t)which->embedding.n_tokens,
                             "seconds", which->embedding.seconds, "cut", cut);
    hone_status status = part ? key_of(e, which->text, key, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_ledger_put_part(e->ledger, key, part, err);
    json_decref(part);
    free(hex);
    return status;
}

static hone_status remember_all(hone_embeddings *e, const char *const *texts, const bool *cut, size_t n,
                                hone_error *err)
{
    hone_status status = hone_ledger_begin(e->ledger, err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = remember(e, find(e, texts[i]), cut[i], err);
    if (status == HONE_OK)
        return hone_ledger_commit(e->ledger, err);
    hone_ledger_rollback(e->ledger);
    return status;
}

/* ---- computing ---- */

/* At most BATCH different texts. Keeps and remembers them, unless they are known and only their time is wanted. */
static hone_status compute(hone_embeddings *e, const char *const *texts, size_t n, double *seconds, hone_error *err)
{
    hone_embed_text inputs[BATCH];
    int64_t n_tokens[BATCH], total = 0;
    bool cut[BATCH];
    size_t dim = (size_t)hone_embeddings_dim(e);
    float *vectors = malloc(n * dim * sizeof *vectors);
    if (!vectors)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu embeddings", n);
    for (size_t i = 0; i < n; i++)
        inputs[i] = (hone_embed_text){texts[i], strlen(texts[i])};
    double start = hone_clock_seconds();
    hone_status status = hone_embedder_run(e->embedder, inputs, n, vectors, n_tokens, cut, err);
    double spent = hone_clock_seconds() - start;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        total += n_tokens[i];
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        seconds[i] = spent * (double)n_tokens[i] / (double)(total > 0 ? total : 1);
        if (e->recompute && find(e, texts[i]))
            continue;
        e->n_cut += cut[i];
        status = keep(e, texts[i], vectors + i * dim, n_tokens[i], seconds[i], err);
    }
    free(vectors);
    return status == HONE_OK && !e->recompute ? remember_all(e, texts, cut, n, err) : status;
}

/* rows: at most BATCH. */
static hone_status get_some(hone_embeddings *e, const hone_row *const *rows, size_t n, float *room, hone_embedding *out,
                            hone_error *err)
{
    const char *missing[BATCH];
    double seconds[BATCH];
    size_t n_missing = 0;
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        bool found = find(e, rows[i]->input) != NULL, twice = false;
        if (!found)
            status = recall(e, rows[i]->input, room, &found, err);
        for (size_t j = 0; j < n_missing && !twice; j++)
            twice = strcmp(missing[j], rows[i]->input) == 0;
        if ((!found || e->recompute) && !twice)
            missing[n_missing++] = rows[i]->input;
    }
    if (status == HONE_OK && n_missing)
        status = compute(e, missing, n_missing, seconds, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        out[i] = find(e, rows[i]->input)->embedding;
    return status;
}

hone_status hone_embeddings_get(hone_embeddings *e, const hone_row *const *rows, size_t n, hone_embedding *out,
                                hone_progress *progress, hone_error *err)
{
    hone_status status = HONE_OK;
    float *room = malloc((size_t)hone_embeddings_dim(e) * sizeof *room);
    if (!room)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an embedding");
    hone_progress_begin(progress, "sentence embeddings", "rows", (int64_t)n);
    for (size_t i = 0; i < n && status == HONE_OK; i += BATCH) {
        status = get_some(e, rows + i, n - i < BATCH ? n - i : BATCH, room, out + i, err);
        hone_progress_update(progress, (int64_t)(i + BATCH < n ? i + BATCH : n), NULL);
    }
    hone_progress_end(progress);
    free(room);
    return status;
}

hone_status hone_embeddings_matrix(hone_embeddings *e, const hone_rows *rows, float *vectors, double *seconds,
                                   hone_progress *progress, hone_error *err)
{
    size_t dim = (size_t)hone_embeddings_dim(e);
    const hone_row **list = calloc(rows->n + 1, sizeof *list);
    hone_embedding *found = calloc(rows->n + 1, sizeof *found);
    for (size_t i = 0; list && i < rows->n; i++)
        list[i] = &rows->items[i];
    hone_status status = list && found ? hone_embeddings_get(e, list, rows->n, found, progress, err)
                                       : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", rows->n);
    *seconds = 0;
    for (size_t i = 0; i < rows->n && status == HONE_OK; i++) {
        memcpy(vectors + i * dim, found[i].vector, dim * sizeof *vectors);
        *seconds += found[i].seconds;
    }
    free(list);
    free(found);
    return status;
}

hone_status hone_embeddings_recompute(hone_embeddings *e, const hone_row *const *rows, size_t n, hone_embedding *out,
                                      hone_error *err)
{
    e->recompute = true;
    hone_status status = hone_embeddings_get(e, rows, n, out, NULL, err);
    e->recompute = false;
    return status;
}
