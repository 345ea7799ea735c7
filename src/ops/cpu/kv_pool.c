/* kv_pool.c - the paged pool of keys and values (attention.h has its layout). */
#include "ops/cpu/attention.h"

#include "base/large_memory.h"

#include <stdlib.h>
#include <string.h>

size_t hone_kv_page_bytes(int64_t n_layers, int64_t n_kv_heads, int64_t head_dim)
{
    return (size_t)(n_layers * n_kv_heads * head_dim * HONE_PAGE_TOKENS * 2) * sizeof(hone_real);
}

hone_status hone_kv_pool_create(int64_t n_pages, int64_t n_layers, int64_t n_kv_heads, int64_t head_dim,
                                hone_kv_pool **out, hone_error *err)
{
    *out = NULL;
    hone_kv_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    *pool = (hone_kv_pool){n_pages, n_layers, n_kv_heads, head_dim};
    pool->layer_floats = (size_t)(n_kv_heads * head_dim * HONE_PAGE_TOKENS) * 2;
    pool->page_floats = pool->layer_floats * (size_t)n_layers;
    void *data = NULL;
    if (!__builtin_mul_overflow(pool->page_floats * sizeof(hone_real), (size_t)n_pages, &pool->bytes))
        data = hone_large_map(pool->bytes); /* a long context is read from end to end for each token */
    if (!data) {
        hone_fail(err, HONE_NO_MEMORY, "out of memory for %lld key-value pages of %zu bytes (%lld tokens)",
                  (long long)n_pages, pool->page_floats * sizeof(hone_real), (long long)n_pages * HONE_PAGE_TOKENS);
        free(pool);
        return HONE_NO_MEMORY;
    }
    pool->data = data;
    *out = pool;
    return HONE_OK;
}

void hone_kv_pool_free(hone_kv_pool *pool)
{
    if (!pool)
        return;
    hone_large_unmap(pool->data, pool->bytes);
    free(pool);
}

void hone_kv_pool_release(hone_kv_pool *pool)
{
    hone_large_release(pool->data, pool->bytes);
}

int64_t hone_kv_pool_pages(const hone_kv_pool *pool)
{
    return pool->n_pages;
}

typedef struct kv_write_run {
    hone_kv_pool *pool;
    int64_t layer, n_writes;
    const hone_kv_write *writes;
    const hone_real *k, *v;
} kv_write_run;

enum { WRITES_A_PIECE = 8 };

static void kv_write_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const kv_write_run *run = context;
    int64_t dim = run->pool->head_dim, n_heads = run->pool->n_kv_heads, width = n_heads * dim;
    for (int64_t i = piece * WRITES_A_PIECE; i < (piece + 1) * WRITES_A_PIECE && i < run->n_writes; i++)
        for (int64_t h = 0; h < n_heads; h++) {
            const hone_kv_write *w = &run->writes[i];
            hone_real *kp = hone_kv_keys(run->pool, w->page, run->layer, h) + w->slot;
            const hone_real *from = run->k + w->row * width + h * dim;
            for (int64_t d = 0; d < dim; d++)
                kp[d * HONE_PAGE_TOKENS] = from[d];
            memcpy(hone_kv_values(run->pool, w->page, run->layer, h) + w->slot * dim, run->v + w->row * width + h * dim,
                   (size_t)dim * sizeof(hone_real));
        }
}

void hone_op_kv_write(hone_ops *ops, hone_kv_pool *pool, int64_t layer, const hone_kv_write *writes, int64_t n_writes,
                      const hone_real *k, const hone_real *v)
{
    kv_write_run run = {pool, layer, n_writes, writes, k, v};
    hone_thread_pool_run(ops->pool, (n_writes + WRITES_A_PIECE - 1) / WRITES_A_PIECE, kv_write_piece, &run);
}

void hone_op_kv_copy(hone_ops *ops, hone_kv_pool *pool, int32_t from, int32_t to)
{
    (void)ops;
    memcpy(pool->data + (size_t)to * pool->page_floats, pool->data + (size_t)from * pool->page_floats,
           pool->page_floats * sizeof *pool->data);
}
