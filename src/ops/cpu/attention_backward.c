/* attention_backward.c - gradients of causal attention.
 *
 * With p the weights of a row, which are made again block by block from what the forward pass left (its greatest score
 * and the reciprocal of its sum), and delta = d_o . o (Dao et al. 2022, arXiv 2205.14135, appendix B.2):
 *
 *   dv += p^T d_o      dp = d_o v^T      ds = p (dp - delta) scale      dq += ds k      dk += ds^T q
 *
 * A task is one head over all rows, so every sum has one order. */
#include "ops/cpu/attention.h"

#include <string.h>

enum { BACKWARD_QUERIES = 64 };

typedef struct attention_backward_run {
    hone_ops *ops;
    const hone_kv_pool *pool;
    int64_t layer, n_heads, group, n_rows, n_spans, window;
    const hone_span *spans;
    hone_real scale;
    const hone_real *q, *o, *softmax, *d_o;
    hone_real *dq, *dk_part, *dv_part; /* parts: [n_heads][n_rows][head_dim] */
    hone_real *thread_work;
    hone_real *dk, *dv;
} attention_backward_run;

static size_t backward_thread_floats(int64_t head_dim)
{
    return (size_t)(2 * BACKWARD_QUERIES * HONE_ATTENTION_BLOCK + HONE_PAGE_TOKENS * head_dim);
}

size_t hone_attention_backward_work(int64_t n_rows, int64_t n_heads, int64_t head_dim, int n_threads)
{
    return (size_t)(2 * n_heads * n_rows * head_dim) + (size_t)n_threads * backward_thread_floats(head_dim);
}

/* Gradients that queries t0..t1 of a span send to the keys and values of positions [from,to) of the block at p0, where
 * position x is row row0 + x. */
static void backward_keys(const attention_backward_run *run, const hone_span *span, int64_t head, int64_t t0,
                          int64_t t1, int64_t p0, int64_t from, int64_t to, int64_t row0, const hone_real *p,
                          const hone_real *ds)
{
    int64_t dim = run->pool->head_dim, width = run->n_heads * dim, first = (span->first_row + t0) * width + head * dim;
    int64_t at = (head * run->n_rows + row0 + from) * dim;
    for (int64_t d = 0; d < dim; d += HONE_PANEL) {
        hone_tile_rows(&run->ops->kernels, to - from, t1 - t0, ds + from - p0, 1, HONE_ATTENTION_BLOCK,
                       run->q + first + d, width, run->dk_part + at + d, dim, true);
        hone_tile_rows(&run->ops->kernels, to - from, t1 - t0, p + from - p0, 1, HONE_ATTENTION_BLOCK,
                       run->d_o + first + d, width, run->dv_part + at + d, dim, true);
    }
}

/* Weights p and gradients of scores ds, both [m][HONE_ATTENTION_BLOCK], of queries t0..t1 over the positions from p0.
 */
static void backward_scores(const attention_backward_run *run, const hone_span *span, int64_t head, int64_t t0,
                            int64_t t1, int64_t p0, int64_t p1, hone_real *p, hone_real *ds, hone_real *turned)
{
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t dim = run->pool->head_dim, width = run->n_heads * dim, kv_head = head / run->group, m = t1 - t0;
    int64_t first = (span->first_row + t0) * width + head * dim, stride = HONE_ATTENTION_BLOCK;
    for (int64_t at = p0; at < p1; at += HONE_PAGE_TOKENS) {
        int32_t page = span->pages[at / HONE_PAGE_TOKENS];
        hone_tile_rows(kernels, m, dim, run->q + first, width, 1, hone_kv_keys(run->pool, page, run->layer, kv_head),
                       HONE_PAGE_TOKENS, p + at - p0, stride, false);
        const hone_real *v = hone_kv_values(run->pool, page, run->layer, kv_head);
        for (int64_t d = 0; d < dim; d += 16)
            kernels->transpose16(v + d, dim, turned + d * HONE_PAGE_TOKENS, HONE_PAGE_TOKENS);
        hone_tile_rows(kernels, m, dim, run->d_o + first, width, 1, turned, HONE_PAGE_TOKENS, ds + at - p0, stride,
                       false);
    }
    for (int64_t i = 0; i < m; i++) {
        int64_t row = span->first_row + t0 + i, n = hone_round_up(p1 - p0, HONE_PAGE_TOKENS),
                seen = span->first_position + t0 + i + 1, valid = hone_max64(0, hone_min64(p1, seen) - p0);
        int64_t begin = hone_min64(valid, hone_max64(0, hone_window_begin(run->window, seen) - p0));
        const hone_real *softmax = run->softmax + 2 * (row * run->n_heads + head);
        kernels->softmax_again(begin, valid, n, run->scale, (hone_softmax_part){softmax[0], softmax[1]},
                               p + i * stride);
        hone_real delta = kernels->dot(dim, run->d_o + first + i * width, run->o + first + i * width);
        kernels->softmax_backward(valid, delta, run->scale, p + i * stride, ds + i * stride, ds + i * stride);
        memset(ds + i * stride + valid, 0, (size_t)(n - valid) * sizeof *ds);
    }
}

/* is_first: it is the first block that these queries see any of. */
static void backward_block(const attention_backward_run *run, const hone_span *span, int64_t head, int64_t t0,
                           int64_t t1, int64_t p0, bool is_first, hone_real *work)
{
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t dim = run->pool->head_dim, width = run->n_heads * dim, kv_head = head / run->group, m = t1 - t0;
    int64_t seen = span->first_position + t1, p1 = hone_min64(p0 + HONE_ATTENTION_BLOCK, seen);
    hone_real *p = work, *ds = p + BACKWARD_QUERIES * HONE_ATTENTION_BLOCK,
              *turned = ds + BACKWARD_QUERIES * HONE_ATTENTION_BLOCK;
    int64_t first = (span->first_row + t0) * width + head * dim;
    backward_scores(run, span, head, t0, t1, p0, p1, p, ds, turned);
    for (int64_t at = p0; at < p1; at += HONE_PAGE_TOKENS) {
        const hone_real *k = hone_kv_keys(run->pool, span->pages[at / HONE_PAGE_TOKENS], run->layer, kv_head);
        for (int64_t d = 0; d < dim; d += 16)
            kernels->transpose16(k + d * HONE_PAGE_TOKENS, HONE_PAGE_TOKENS, turned + d, dim);
        for (int64_t d = 0; d < dim; d += HONE_PANEL)
            hone_tile_rows(kernels, m, hone_min64(HONE_PAGE_TOKENS, p1 - at), ds + at - p0, HONE_ATTENTION_BLOCK, 1,
                           turned + d, dim, run->dq + first + d, width, !is_first || at > p0);
    }
    for (const hone_span *below = span, *above = span->parent; above; below = above, above = above->parent) {
        int64_t from = hone_max64(p0, above->first_position), to = hone_min64(p1, below->first_position);
        if (from < to)
            backward_keys(run, span, head, t0, t1, p0, from, to, above->first_row - above->first_position, p, ds);
    }
    if (p1 > span->first_position)
        backward_keys(run, span, head, t0, t1, p0, hone_max64(p0, span->first_position), p1,
                      span->first_row - span->first_position, p, ds);
}

static void backward_head(void *context, int64_t head, int thread)
{
    const attention_backward_run *run = context;
    size_t part = (size_t)(run->n_rows * run->pool->head_dim);
    hone_real *work = run->thread_work + (size_t)thread * backward_thread_floats(run->pool->head_dim);
    memset(run->dk_part + (size_t)head * part, 0, part * sizeof(hone_real));
    memset(run->dv_part + (size_t)head * part, 0, part * sizeof(hone_real));
    for (int64_t s = 0; s < run->n_spans; s++) {
        const hone_span *span = &run->spans[s];
        for (int64_t t = 0; t < span->n_rows; t += BACKWARD_QUERIES) {
            int64_t t1 = hone_min64(t + BACKWARD_QUERIES, span->n_rows),
                    begin = hone_window_begin(run->window, span->first_position + t + 1),
                    first = begin - begin % HONE_ATTENTION_BLOCK;
            for (int64_t p0 = first; p0 < span->first_position + t1; p0 += HONE_ATTENTION_BLOCK)
                backward_block(run, span, head, t, t1, p0, p0 == first, work);
        }
    }
}

/* The heads of a group share one key-value head: their parts are added in order. */
static void add_parts(void *context, int64_t row, int thread)
{
    (void)thread;
    const attention_backward_run *run = context;
    int64_t dim = run->pool->head_dim, kv_heads = run->pool->n_kv_heads;
    for (int64_t h = 0; h < run->n_heads; h++) {
        int64_t from = (h * run->n_rows + row) * dim, to = (row * kv_heads + h / run->group) * dim;
        if (h % run->group == 0) {
            memcpy(run->dk + to, run->dk_part + from, (size_t)dim * sizeof(hone_real));
            memcpy(run->dv + to, run->dv_part + from, (size_t)dim * sizeof(hone_real));
        } else {
            run->ops->kernels.add(dim, run->dk_part + from, run->dk + to);
            run->ops->kernels.add(dim, run->dv_part + from, run->dv + to);
        }
    }
}

void hone_op_attention_backward(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans,
                                int64_t n_spans, int64_t n_rows, int64_t n_heads, int64_t window, hone_real scale,
                                const hone_real *q, const hone_real *o, const hone_real *softmax, const hone_real *d_o,
                                hone_real *dq, hone_real *dk, hone_real *dv, hone_real *work)
{
    size_t part = (size_t)(n_heads * n_rows * pool->head_dim);
    attention_backward_run run = {.ops = ops,
                                  .pool = pool,
                                  .layer = layer,
                                  .n_heads = n_heads,
                                  .group = n_heads / pool->n_kv_heads,
                                  .n_rows = n_rows,
                                  .window = window,
                                  .spans = spans,
                                  .n_spans = n_spans,
                                  .scale = scale,
                                  .q = q,
                                  .o = o,
                                  .softmax = softmax,
                                  .d_o = d_o,
                                  .dq = dq,
                                  .dk_part = work,
                                  .dv_part = work + part,
                                  .thread_work = work + 2 * part,
                                  .dk = dk,
                                  .dv = dv};
    hone_thread_pool_run(ops->pool, n_heads, backward_head, &run);
    hone_thread_pool_run(ops->pool, n_rows, add_parts, &run);
}
