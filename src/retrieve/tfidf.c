/* tfidf.c - tokenising, the vocabulary and the weights.
 *
 * The vocabulary is an open-addressing table from term to number; strings live in an arena. While fitting, numbers are
 * in order of appearance; at the end they become the rank of the term by bytes (which for UTF-8 is code point order).
 */
#include "retrieve/tfidf.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct term {
    const char *text;
    size_t length;
    uint32_t number;
    uint32_t documents;     /* how many texts hold it */
    uint32_t last_document; /* 1 + the text that was counted last */
} term;

struct hone_tfidf {
    hone_arena *arena;
    term *terms; /* [n_terms], by number once fitted */
    size_t n_terms, capacity;
    uint32_t *slot; /* [n_slots] 1 + index into terms, 0 = free; n_slots is a power of two */
    size_t n_slots;
    double *idf; /* [n_terms] */
};

/* The words of one text: lower case, each followed by a space, and where they begin and end. A pair of neighbours is
 * then one stretch of `text`. */
typedef struct words {
    hone_buffer text;
    uint32_t *code_points;
    size_t code_points_capacity;
    size_t *start, *end;
    size_t n, capacity;
} words;

static void words_clear(words *w)
{
    hone_buffer_clear(&w->text);
    free(w->code_points);
    free(w->start);
    free(w->end);
}

static bool is_word_character(uint32_t c)
{
    if (c < 128)
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c >= 'A' && c <= 'Z');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static bool is_cased(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

/* Unicode's Case_Ignorable, as far as text needs it: marks, modifiers, format characters, and the word-internal
 * apostrophe, full stop, colon and middle dot. */
static bool is_case_ignorable(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_LM || category == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
           c == 0xB7 || c == 0x2018 || c == 0x2019;
}

/* Unicode's Final_Sigma: a cased letter before, none after. */
static bool is_final_sigma(const uint32_t *text, size_t n, size_t at)
{
    size_t i = at;
    while (i > 0 && is_case_ignorable(text[i - 1]))
        i--;
    if (i == 0 || !is_cased(text[i - 1]))
        return false;
    for (i = at + 1; i < n && is_case_ignorable(text[i]); i++)
        ;
    return i == n || !is_cased(text[i]);
}

static bool decode(words *w, const char *text, size_t *n_out)
{
    size_t length = strlen(text), n = 0;
    if (length > w->code_points_capacity) {
        uint32_t *grown = realloc(w->code_points, length * sizeof *grown);
        if (!grown)
            return false;
        w->code_points = grown;
        w->code_points_capacity = length;
    }
    for (size_t i = 0; i < length;) {
        uint32_t c = 0xFFFD;
        size_t bytes = hone_utf8_next(text + i, length - i, &c);
        w->code_points[n++] = bytes ? c : 0xFFFD;
        i += bytes ? bytes : 1;
    }
    *n_out = n;
    return true;
}

static bool add_word(words *w, size_t start, size_t end)
{
    if (w->n == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 64;
        size_t *starts = realloc(w->start, capacity * sizeof *starts);
        if (!starts)
            return false;
        w->start = starts;
        size_t *ends = realloc(w->end, capacity * sizeof *ends);
        if (!ends)
            return false;
        w->end = ends;
        w->capacity = capacity;
    }
    w->start[w->n] = start;
    w->end[w->n++] = end;
    return true;
}

/* Fills `w` with the words of `text`. False when out of memory. */
static bool split(words *w, const char *text)
{
    size_t n, begin = 0, length = 0; /* the run being read: where it began in w->text, its code points */
    hone_buffer_reset(&w->text);
    w->n = 0;
    if (!decode(w, text, &n))
        return false;
    for (size_t i = 0; i <= n; i++) {
        uint32_t c = i < n ? w->code_points[i] : ' ', lower[2];
        int n_lower = 1;
        lower[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        if (c == 0x03A3 && is_final_sigma(w->code_points, n, i)) {
            lower[0] = 0x03C2;
        } else if (c == 0x0130) { /* I with a dot: i and a combining dot, which is no word character */
            lower[0] = 'i';
            lower[1] = 0x0307;
            n_lower = 2;
        }
        for (int l = 0; l < n_lower; l++) {
            if (is_word_character(lower[l])) {
                char bytes[4];
                hone_buffer_append(&w->text, bytes, hone_utf8_write(lower[l], bytes));
                length++;
                continue;
            }
            if (length >= 2) {
                if (!add_word(w, begin, w->text.length))
                    return false;
                hone_buffer_putc(&w->text, ' ');
            } else {
                w->text.length = begin;
            }
            begin = w->text.length;
            length = 0;
        }
    }
    return !w->text.failed;
}

/* Where the term stands in the slots, or the free slot where it would. */
static size_t find_slot(const hone_tfidf *tfidf, const char *text, size_t length)
{
    size_t mask = tfidf->n_slots - 1, at = (size_t)hone_fnv1a(HONE_FNV_START, text, length) & mask;
    while (tfidf->slot[at]) {
        const term *t = &tfidf->terms[tfidf->slot[at] - 1];
        if (t->length == length && memcmp(t->text, text, length) == 0)
            break;
        at = (at + 1) & mask;
    }
    return at;
}

static bool grow_slots(hone_tfidf *tfidf)
{
    size_t n_slots = tfidf->n_slots ? 2 * tfidf->n_slots : 4096;
    uint32_t *slot = calloc(n_slots, sizeof *slot);
    if (!slot)
        return false;
    free(tfidf->slot);
    tfidf->slot = slot;
    tfidf->n_slots = n_slots;
    for (size_t i = 0; i < tfidf->n_terms; i++)
        slot[find_slot(tfidf, tfidf->terms[i].text, tfidf->terms[i].length)] = (uint32_t)i + 1;
    return true;
}

static bool count_term(hone_tfidf *tfidf, const char *text, size_t length, uint32_t document)
{
    if (2 * tfidf->n_terms >= tfidf->n_slots && !grow_slots(tfidf))
        return false;
    size_t at = find_slot(tfidf, text, length);
    if (!tfidf->slot[at]) {
        if (tfidf->n_terms == tfidf->capacity) {
            size_t capacity = tfidf->capacity ? 2 * tfidf->capacity : 1024;
            term *grown = realloc(tfidf->terms, capacity * sizeof *grown);
            if (!grown || capacity > UINT32_MAX)
                return false;
            tfidf->terms = grown;
            tfidf->capacity = capacity;
        }
        const char *kept = hone_arena_strndup(tfidf->arena, text, length);
        if (!kept)
            return false;
        tfidf->terms[tfidf->n_terms++] = (term){.text = kept, .length = length};
        tfidf->slot[at] = (uint32_t)tfidf->n_terms;
    }
    term *t = &tfidf->terms[tfidf->slot[at] - 1];
    if (t->last_document != document) {
        t->last_document = document;
        t->documents++;
    }
    return true;
}

/* Terms are never the start of one another's bytes plus NUL, so strcmp is byte order. */
static int by_text(const void *a, const void *b)
{
    return strcmp(((const term *)a)->text, ((const term *)b)->text);
}

hone_status hone_tfidf_fit(const char *const *texts, size_t n, hone_tfidf **out, hone_error *err)
{
    *out = NULL;
    words w = {0};
    hone_status status = HONE_OK;
    hone_tfidf *tfidf = calloc(1, sizeof *tfidf);
    if (!tfidf || !(tfidf->arena = hone_arena_create()) || n >= UINT32_MAX)
        goto no_memory;
    for (size_t d = 0; d < n; d++) {
        if (!split(&w, texts[d]))
            goto no_memory;
        for (size_t i = 0; i < w.n; i++) {
            const char *at = w.text.data + w.start[i];
            if (!count_term(tfidf, at, w.end[i] - w.start[i], (uint32_t)d + 1))
                goto no_memory;
            if (i + 1 < w.n && !count_term(tfidf, at, w.end[i + 1] - w.start[i], (uint32_t)d + 1))
                goto no_memory;
        }
    }
    if (tfidf->n_terms == 0) {
        status = hone_fail(
            err, HONE_BAD_INPUT,
            "none of the %zu texts holds a word of two or more letters or digits; word statistics need some", n);
        goto done;
    }
    qsort(tfidf->terms, tfidf->n_terms, sizeof *tfidf->terms, by_text);
    memset(tfidf->slot, 0, tfidf->n_slots * sizeof *tfidf->slot);
    tfidf->idf = malloc(tfidf->n_terms * sizeof *tfidf->idf);
    if (!tfidf->idf)
        goto no_memory;
    for (size_t i = 0; i < tfidf->n_terms; i++) {
        term *t = &tfidf->terms[i];
        tfidf->slot[find_slot(tfidf, t->text, t->length)] = (uint32_t)i + 1;
        tfidf->idf[i] = log((1.0 + (double)n) / (1.0 + (double)t->documents)) + 1.0;
    }
    *out = tfidf;
    tfidf = NULL;
    goto done;
no_memory:
    status = hone_fail(err, HONE_NO_MEMORY, "out of memory for the vocabulary of %zu texts", n);
done:
    words_clear(&w);
    hone_tfidf_free(tfidf);
    return status;
}

void hone_tfidf_free(hone_tfidf *tfidf)
{
    if (!tfidf)
        return;
    hone_arena_free(tfidf->arena);
    free(tfidf->terms);
    free(tfidf->slot);
    free(tfidf->idf);
    free(tfidf);
}

size_t hone_tfidf_terms(const hone_tfidf *tfidf)
{
    return tfidf->n_terms;
}

const char *hone_tfidf_term(const hone_tfidf *tfidf, size_t column)
{
    return column < tfidf->n_terms ? tfidf->terms[column].text : NULL;
}

double hone_tfidf_idf(const hone_tfidf *tfidf, size_t column)
{
    return column < tfidf->n_terms ? tfidf->idf[column] : 0;
}

/* A growing list of the columns and values of all rows. */
typedef struct entries {
    uint32_t *column;
    double *value;
    size_t n, capacity;
} entries;

static bool reserve(entries *e, size_t more)
{
    if (e->n + more <= e->capacity)
        return true;
    size_t capacity = 2 * (e->n + more);
    uint32_t *column = realloc(e->column, capacity * sizeof *column);
    if (!column)
        return false;
    e->column = column;
    double *value = realloc(e->value, capacity * sizeof *value);
    if (!value)
        return false;
    e->value = value;
    e->capacity = capacity;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void add_if_known(const hone_tfidf *tfidf, const char *text, size_t length, entries *e)
{
    uint32_t found = tfidf->slot[find_slot(tfidf, text, length)];
    if (found)
        e->column[e->n++] = found - 1;
}

/* Appends the row of the words in `w`. False when out of memory. */
static bool append_row(const hone_tfidf *tfidf, const words *w, entries *e)
{
    size_t from = e->n, to = from;
    if (!reserve(e, 2 * w->n))
        return false;
    for (size_t i = 0; i < w->n; i++) {
        const char *at = w->text.data + w->start[i];
        add_if_known(tfidf, at, w->end[i] - w->start[i], e);
        if (i + 1 < w->n)
            add_if_known(tfidf, at, w->end[i + 1] - w->start[i], e);
    }
    if (e->n == from)
        return true;
    qsort(e->column + from, e->n - from, sizeof *e->column, by_number);
    double squares = 0;
    for (size_t i = from; i < e->n;) {
        size_t same = i;
        while (same < e->n && e->column[same] == e->column[i])
            same++;
        uint32_t column = e->column[i];
        e->value[to] = (1.0 + log((double)(same - i))) * tfidf->idf[column];
        e->column[to] = column;
        squares += e->value[to] * e->value[to];
        to++;
        i = same;
    }
    double length = sqrt(squares);
    for (size_t i = from; i < to; i++)
        e->value[i] /= length;
    e->n = to;
    return true;
}

hone_status hone_tfidf_transform(const hone_tfidf *tfidf, const char *const *texts, size_t n, hone_sparse **out,
                                 hone_error *err)
{
    words w = {0};
    entries e = {0};
    hone_sparse *rows = NULL;
    *out = NULL;
    hone_status status = hone_sparse_create(n, tfidf->n_terms, 0, &rows, err);
    if (status != HONE_OK)
        goto done;
    for (size_t d = 0; d < n; d++) {
        if (!split(&w, texts[d]) || !append_row(tfidf, &w, &e)) {
            status = hone_fail(err, HONE_NO_MEMORY, "out of memory for the word vectors of %zu texts", n);
            goto done;
        }
        rows->row_start[d + 1] = e.n;
    }
    if (e.n > 0) { /* the lists become the matrix */
        free(rows->column);
        free(rows->value);
        rows->column = e.column;
        rows->value = e.value;
        e = (entries){0};
    }
    *out = rows;
    rows = NULL;
done:
    free(e.column);
    free(e.value);
    words_clear(&w);
    hone_sparse_free(rows);
    return status;
}

size_t hone_tfidf_nearest(const hone_tfidf *tfidf, const hone_sparse *train, const hone_sparse *query, size_t row,
                          size_t k, size_t *index, double *similarity)
{
    (void)tfidf; /* rows carry their weights; the argument says whose rows these must be */
    return hone_sparse_nearest(train, query, row, k, index, similarity);
}
