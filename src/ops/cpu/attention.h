/* attention.h - what attention's forward and backward pass share: the pool of keys and values, and blocks of positions.
 *
 * Pool layout: page, layer, K then V. For each key-value head a page holds K as one panel [head_dim][16 positions], so
 * that scores are tiles with lanes along positions, and V as [16 positions][head_dim], so that the weighted sum is
 * tiles with lanes along head_dim. */
#ifndef HONE_OPS_CPU_ATTENTION_H
#define HONE_OPS_CPU_ATTENTION_H

#include "ops/cpu/kernels.h"

/* Positions of one block: scores exist for one block at a time. Blocks begin at multiples of it in the sequence. */
enum { HONE_ATTENTION_BLOCK = 128, HONE_BLOCK_PAGES = HONE_ATTENTION_BLOCK / HONE_PAGE_TOKENS };

struct hone_kv_pool {
    int64_t n_pages, n_layers, n_kv_heads, head_dim;
    size_t layer_floats, page_floats, bytes;
    hone_real *data;
};

static inline hone_real *hone_kv_keys(const hone_kv_pool *pool, int64_t page, int64_t layer, int64_t head)
{
    return pool->data + (size_t)page * pool->page_floats + (size_t)layer * pool->layer_floats +
           (size_t)(head * pool->head_dim * HONE_PAGE_TOKENS);
}

static inline hone_real *hone_kv_values(const hone_kv_pool *pool, int64_t page, int64_t layer, int64_t head)
{
    return hone_kv_keys(pool, page, layer, pool->n_kv_heads + head);
}

static inline int64_t hone_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t hone_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The first position that a row sees which sees those before `seen` (hone_op_attention's window). */
static inline int64_t hone_window_begin(int64_t window, int64_t seen)
{
    return window > 0 && seen > window ? seen - window : 0;
}

static inline int64_t hone_round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

#endif
