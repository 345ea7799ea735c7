/* merge.c - joins neighbouring symbols by priority. */
#include "text/merge.h"

#include <stdlib.h>
#include <string.h>

hone_status hone_merger_reserve(hone_merger *m, size_t n, hone_error *err)
{
    if (n > INT32_MAX / 4)
        return hone_fail(err, HONE_BAD_INPUT, "a piece of %zu symbols without a place to split is too long to tokenize",
                         n);
    m->n_symbols = n;
    /* A word of n symbols makes at most n - 1 pairs at first, then each of n - 1 joins makes two more. */
    size_t n_pairs = 3 * n;
    if (n > m->symbols_capacity) {
        hone_symbol *symbols = realloc(m->symbols, 2 * n * sizeof *symbols);
        if (!symbols)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for a piece of %zu symbols", n);
        m->symbols = symbols;
        m->symbols_capacity = 2 * n;
    }
    if (n_pairs > m->pairs_capacity) {
        hone_merge_pair *pairs = realloc(m->pairs, 2 * n_pairs * sizeof *pairs);
        if (!pairs)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for a piece of %zu symbols", n);
        m->pairs = pairs;
        m->pairs_capacity = 2 * n_pairs;
    }
    return HONE_OK;
}

void hone_merger_clear(hone_merger *m)
{
    free(m->symbols);
    free(m->pairs);
    memset(m, 0, sizeof *m);
}

static void push_pair(hone_merger *m, hone_merge_pair pair)
{
    size_t i = m->n_pairs++;
    while (i > 0 && pair.order < m->pairs[(i - 1) / 2].order) {
        m->pairs[i] = m->pairs[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    m->pairs[i] = pair;
}

static hone_merge_pair pop_pair(hone_merger *m)
{
    hone_merge_pair top = m->pairs[0], last = m->pairs[--m->n_pairs];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->n_pairs; i = child) {
        if (child + 1 < m->n_pairs && m->pairs[child + 1].order < m->pairs[child].order)
            child++;
        if (last.order <= m->pairs[child].order)
            break;
        m->pairs[i] = m->pairs[child];
    }
    m->pairs[i] = last;
    return top;
}

static void consider(hone_merger *m, int32_t left, hone_join_function *join, const void *context)
{
    if (left < 0 || m->symbols[left].next < 0)
        return;
    const hone_symbol *a = &m->symbols[left], *b = &m->symbols[a->next];
    uint32_t rank;
    int32_t id;
    if (join(context, a, b, &rank, &id))
        push_pair(m, (hone_merge_pair){(uint64_t)rank << 32 | (uint32_t)left, a->length + b->length, id});
}

void hone_merger_run(hone_merger *m, hone_join_function *join, const void *context)
{
    int32_t n = (int32_t)m->n_symbols;
    m->n_pairs = 0;
    for (int32_t i = 0; i < n; i++) {
        m->symbols[i].prev = i - 1;
        m->symbols[i].next = i + 1 < n ? i + 1 : -1;
    }
    for (int32_t i = 0; i + 1 < n; i++)
        consider(m, i, join, context);
    while (m->n_pairs > 0) {
        hone_merge_pair pair = pop_pair(m);
        hone_symbol *a = &m->symbols[(uint32_t)pair.order];
        if (a->length == 0 || a->next < 0)
            continue;
        hone_symbol *b = &m->symbols[a->next];
        if (a->length + b->length != pair.length)
            continue;
        a->id = pair.id;
        a->length = pair.length;
        b->length = 0;
        a->next = b->next;
        if (a->next >= 0)
            m->symbols[a->next].prev = (int32_t)(uint32_t)pair.order;
        consider(m, a->prev, join, context);
        consider(m, (int32_t)(uint32_t)pair.order, join, context);
    }
}
