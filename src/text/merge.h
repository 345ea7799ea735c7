/* merge.h - joins neighbouring symbols, the pair of highest priority first, until none can be joined: the loop that
 * byte-level BPE (priority = rank of the merge rule) and SentencePiece (priority = score of the result) share.
 *
 * Symbols are a doubly linked list in an array. A binary heap holds the pairs that could be joined; a pair whose
 * symbols have changed since is recognised by its length and dropped. O(n log n) for n symbols. */
#ifndef HONE_TEXT_MERGE_H
#define HONE_TEXT_MERGE_H

#include "base/status.h"

typedef struct hone_symbol {
    int32_t id;         /* token, or -1 */
    int32_t prev, next; /* -1 at the ends */
    uint32_t start;     /* offset in the text, bytes */
    uint32_t length;    /* bytes; 0 once it was joined to the one before it */
} hone_symbol;

typedef struct hone_merge_pair {
    uint64_t order; /* rank << 32 | left: lower first, the leftmost among equals */
    uint32_t length;
    int32_t id;
} hone_merge_pair;

/* Reused from word to word; the caller's, starts zeroed, freed by hone_merger_clear. */
typedef struct hone_merger {
    hone_symbol *symbols;
    size_t n_symbols, symbols_capacity;
    hone_merge_pair *pairs;
    size_t n_pairs, pairs_capacity;
} hone_merger;

/* Whether two neighbours may be joined: sets *rank (lower is joined earlier) and *id (of the result). */
typedef bool hone_join_function(const void *context, const hone_symbol *left, const hone_symbol *right, uint32_t *rank,
                                int32_t *id);

/* Makes room for n symbols; the caller then fills symbols[0..n) with id, start and length. */
hone_status hone_merger_reserve(hone_merger *m, size_t n, hone_error *err);
/* Links symbols[0..n), n >= 1, and joins. Afterwards the list starts at symbols[0] and follows `next`. */
void hone_merger_run(hone_merger *m, hone_join_function *join, const void *context);
void hone_merger_clear(hone_merger *m);

#endif
