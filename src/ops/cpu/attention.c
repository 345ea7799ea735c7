/* attention.c - the paged key-value pool and causal grouped-query attention, forward and backward.
 *
 * Pool layout: page, layer, K then V. For each key-value head a page holds K as one panel [head_dim][16 positions], so
 * that scores are tiles with lanes along positions, and V as [16 positions][head_dim], so that the weighted sum is
 * tiles with lanes along head_dim. A score is a dot product over head_dim in order; a weighted sum runs over positions
 * in order, a page at a time. Neither depends on which other rows are computed beside it.
 *
 * The rows of a span with a tree share the pages of what they all continue; what only one of them sees is gathered into
 * a page of its own first, each token at the slot that its position would have. So a way through the tree has the bits
 * of the same tokens as a plain sequence.
 *
 * A task is one key-value head of one block of query rows. Rows of a block see different numbers of positions: the
 * probabilities beyond a row's own position are exact zeros, which add nothing. */
#include "ops/cpu/kernels.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { QUERY_BLOCK = 16, TARGET_SCORES = 48 * 1024 };

struct hone_kv_pool {
    int64_t n_pages, n_layers, n_kv_heads, head_dim;
    size_t layer_floats, page_floats, bytes;
    hone_real *data;
};

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
    void *data = MAP_FAILED;
    if (!__builtin_mul_overflow(pool->page_floats * sizeof(hone_real), (size_t)n_pages, &pool->bytes))
        data = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        hone_fail(err, HONE_NO_MEMORY, "out of memory for %lld key-value pages of %zu bytes (%lld tokens)",
                  (long long)n_pages, pool->page_floats * sizeof(hone_real), (long long)n_pages * HONE_PAGE_TOKENS);
        free(pool);
        return HONE_NO_MEMORY;
    }
    madvise(data, pool->bytes, MADV_HUGEPAGE); /* a long context is read from end to end for each token */
    pool->data = data;
    *out = pool;
    return HONE_OK;
}

void hone_kv_pool_free(hone_kv_pool *pool)
{
    if (!pool)
        return;
    munmap(pool->data, pool->bytes);
    free(pool);
}

void hone_kv_pool_release(hone_kv_pool *pool)
{
    madvise(pool->data, pool->bytes, MADV_DONTNEED);
}

int64_t hone_kv_pool_pages(const hone_kv_pool *pool)
{
    return pool->n_pages;
}

static hone_real *k_panel(const hone_kv_pool *pool, int64_t page, int64_t layer, int64_t head)
{
    return pool->data + (size_t)page * pool->page_floats + (size_t)layer * pool->layer_floats +
           (size_t)(head * pool->head_dim * HONE_PAGE_TOKENS);
}

static hone_real *v_panel(const hone_kv_pool *pool, int64_t page, int64_t layer, int64_t head)
{
    return k_panel(pool, page, layer, pool->n_kv_heads + head);
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
            hone_real *kp = k_panel(run->pool, w->page, run->layer, h) + w->slot;
            const hone_real *from = run->k + w->row * width + h * dim;
            for (int64_t d = 0; d < dim; d++)
                kp[d * HONE_PAGE_TOKENS] = from[d];
            memcpy(v_panel(run->pool, w->page, run->layer, h) + w->slot * dim, run->v + w->row * width + h * dim,
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

typedef struct attention_run {
    hone_ops *ops;
    const hone_kv_pool *pool;
    int64_t layer, n_heads, group;
    const hone_span *spans;
    const int64_t *first_block; /* of each span */
    int64_t n_spans, block_rows;
    hone_real scale;
    const hone_real *q;
    hone_real *o;
} attention_run;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

enum { PAGES_AHEAD = 2 };

/* Few rows are done with a page before the next has come from memory: it is asked for in time. */
static void prefetch_panel(const hone_real *panel, int64_t n_rows, int64_t row_floats, int64_t stride)
{
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < row_floats; j += 16)
            __builtin_prefetch(panel + i * stride + j);
}

/* scores[m][n_padded] for the rows and pages [page0,page1). */
static void score_pages(const attention_run *run, const hone_span *span, int64_t kv_head, int64_t m, const hone_real *q,
                        int64_t page0, int64_t page1, hone_real *scores, int64_t stride)
{
    for (int64_t page = page0; page < page1; page++) {
        if (m <= HONE_TILE_ROWS && page + PAGES_AHEAD < page1)
            prefetch_panel(k_panel(run->pool, span->pages[page + PAGES_AHEAD], run->layer, kv_head), 1,
                           run->pool->head_dim * HONE_PAGE_TOKENS, 0);
        hone_tile_rows(&run->ops->kernels, m, run->pool->head_dim, q, run->pool->head_dim, 1,
                       k_panel(run->pool, span->pages[page], run->layer, kv_head), HONE_PAGE_TOKENS,
                       scores + page * HONE_PAGE_TOKENS, stride, false);
    }
}

/* o[m][d0..d1) = probabilities times values, page after page. */
static void weigh_pages(const attention_run *run, const hone_span *span, int64_t kv_head, int64_t m, int64_t seen,
                        const hone_real *scores, int64_t stride, int64_t d0, int64_t d1, hone_real *o)
{
    int64_t dim = run->pool->head_dim, n_pages = stride / HONE_PAGE_TOKENS;
    for (int64_t page = 0; page < n_pages; page++) {
        int64_t slots = min64(HONE_PAGE_TOKENS, seen - page * HONE_PAGE_TOKENS);
        if (m <= HONE_TILE_ROWS && page + PAGES_AHEAD < n_pages)
            prefetch_panel(v_panel(run->pool, span->pages[page + PAGES_AHEAD], run->layer, kv_head) + d0,
                           HONE_PAGE_TOKENS, d1 - d0, dim);
        for (int64_t d = d0; d < d1; d += HONE_PANEL)
            hone_tile_rows(&run->ops->kernels, m, slots, scores + page * HONE_PAGE_TOKENS, stride, 1,
                           v_panel(run->pool, span->pages[page], run->layer, kv_head) + d, dim, o + d, dim, page > 0);
    }
}

static void consecutive_block(const attention_run *run, const hone_span *span, int64_t kv_head, int64_t t0, int64_t t1,
                              const hone_real *q, hone_real *o, hone_real *scores, int64_t stride)
{
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t dim = run->pool->head_dim, m = (t1 - t0) * run->group, seen = span->first_position + t1;
    score_pages(run, span, kv_head, m, q, 0, stride / HONE_PAGE_TOKENS, scores, stride);
    for (int64_t i = 0; i < m; i++)
        kernels->softmax(span->first_position + t0 + i / run->group + 1, stride, run->scale, scores + i * stride);
    weigh_pages(run, span, kv_head, m, seen, scores, stride, 0, dim, o);
}

/* ---- rows that continue a sequence in different ways ---- */
static int64_t tree_depth(const hone_span *span, int64_t t)
{
    int64_t depth = 0;
    for (int32_t node = span->tree_rows[t]; node >= 0; node = span->tree[node].parent)
        depth++;
    return depth;
}

/* Position after the last that any row of the span sees. */
static int64_t span_end(const hone_span *span)
{
    int64_t most = 0;
    for (int64_t t = 0; span->tree && t < span->n_rows; t++) {
        int64_t depth = tree_depth(span, t);
        most = depth > most ? depth : most;
    }
    return span->first_position + (span->tree ? most : span->n_rows);
}

/* Page number `page` as row t sees it: keys as [head_dim][16 positions] or values as [16 positions][head_dim]. */
static void gather_page(const attention_run *run, const hone_span *span, int64_t t, int64_t depth, int64_t page,
                        int64_t kv_head, bool values, hone_real *out)
{
    const hone_kv_pool *pool = run->pool;
    hone_real *(*panel)(const hone_kv_pool *, int64_t, int64_t, int64_t) = values ? v_panel : k_panel;
    int64_t dim = pool->head_dim, at = span->first_position + depth - 1;
    if (page * HONE_PAGE_TOKENS < span->first_position)
        memcpy(out, panel(pool, span->pages[page], run->layer, kv_head),
               (size_t)(dim * HONE_PAGE_TOKENS) * sizeof *out);
    for (int32_t node = span->tree_rows[t]; node >= 0 && at >= page * HONE_PAGE_TOKENS;
         node = span->tree[node].parent, at--) {
        const hone_tree_place *place = &span->tree[node];
        const hone_real *from = panel(pool, place->page, run->layer, kv_head);
        int64_t slot = at - page * HONE_PAGE_TOKENS;
        if (slot >= HONE_PAGE_TOKENS)
            continue;
        if (values)
            memcpy(out + slot * dim, from + place->slot * dim, (size_t)dim * sizeof *out);
        else
            for (int64_t d = 0; d < dim; d++)
                out[d * HONE_PAGE_TOKENS + slot] = from[d * HONE_PAGE_TOKENS + place->slot];
    }
}

static void tree_block(const attention_run *run, const hone_span *span, int64_t kv_head, int64_t t0, int64_t t1,
                       const hone_real *q, hone_real *o, hone_real *scores, int64_t stride, hone_real *gathered)
{
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t dim = run->pool->head_dim, group = run->group, m = (t1 - t0) * group;
    int64_t n_shared = span->first_position / HONE_PAGE_TOKENS;
    score_pages(run, span, kv_head, m, q, 0, n_shared, scores, stride);
    for (int64_t t = t0; t < t1; t++) {
        hone_real *own = scores + (t - t0) * group * stride;
        int64_t depth = tree_depth(span, t), seen = span->first_position + depth;
        for (int64_t page = n_shared; page * HONE_PAGE_TOKENS < seen; page++) {
            gather_page(run, span, t, depth, page, kv_head, false, gathered);
            hone_tile_rows(kernels, group, dim, q + (t - t0) * group * dim, dim, 1, gathered, HONE_PAGE_TOKENS,
                           own + page * HONE_PAGE_TOKENS, stride, false);
        }
        for (int64_t i = 0; i < group; i++)
            kernels->softmax(seen, stride, run->scale, own + i * stride);
    }
    for (int64_t page = 0; page < n_shared; page++)
        for (int64_t d = 0; d < dim; d += HONE_PANEL)
            hone_tile_rows(kernels, m, HONE_PAGE_TOKENS, scores + page * HONE_PAGE_TOKENS, stride, 1,
                           v_panel(run->pool, span->pages[page], run->layer, kv_head) + d, dim, o + d, dim, page > 0);
    for (int64_t t = t0; t < t1; t++) {
        int64_t depth = tree_depth(span, t), seen = span->first_position + depth;
        for (int64_t page = n_shared; page * HONE_PAGE_TOKENS < seen; page++) {
            gather_page(run, span, t, depth, page, kv_head, true, gathered);
            for (int64_t d = 0; d < dim; d += HONE_PANEL)
                hone_tile_rows(kernels, group, min64(HONE_PAGE_TOKENS, seen - page * HONE_PAGE_TOKENS),
                               scores + (t - t0) * group * stride + page * HONE_PAGE_TOKENS, stride, 1, gathered + d,
                               dim, o + (t - t0) * group * dim + d, dim, page > 0);
        }
    }
}

static void attention_piece(void *context, int64_t piece, int thread)
{
    const attention_run *run = context;
    int64_t dim = run->pool->head_dim, kv_heads = run->pool->n_kv_heads, width = run->n_heads * dim;
    int64_t kv_head = piece % kv_heads, block = piece / kv_heads, s = 0;
    while (s + 1 < run->n_spans && block >= run->first_block[s + 1])
        s++;
    const hone_span *span = &run->spans[s];
    int64_t t0 = (block - run->first_block[s]) * run->block_rows, t1 = min64(t0 + run->block_rows, span->n_rows);
    int64_t m = (t1 - t0) * run->group, seen = span->tree ? span_end(span) : span->first_position + t1;
    int64_t stride = round_up(seen, HONE_PAGE_TOKENS);
    hone_real *q = run->ops->attention + (size_t)thread * (size_t)run->ops->attention_floats, *o = q + m * dim,
              *scores = o + m * dim;
    for (int64_t t = t0; t < t1; t++)
        memcpy(q + (t - t0) * run->group * dim, run->q + (span->first_row + t) * width + kv_head * run->group * dim,
               (size_t)(run->group * dim) * sizeof *q);
    if (span->tree)
        tree_block(run, span, kv_head, t0, t1, q, o, scores, stride,
                   run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS);
    else
        consecutive_block(run, span, kv_head, t0, t1, q, o, scores, stride);
    for (int64_t t = t0; t < t1; t++)
        memcpy(run->o + (span->first_row + t) * width + kv_head * run->group * dim, o + (t - t0) * run->group * dim,
               (size_t)(run->group * dim) * sizeof *o);
}

/* One row over a long context, all threads on it: scores by ranges of pages, softmax by heads, weighted sums by parts
 * of head_dim. Every number is computed as attention_piece does, so the bits are the same. */
typedef struct split_run {
    const attention_run *run;
    const hone_span *span;
    int64_t seen, stride, n_ranges;
    const hone_real *q;
    hone_real *o, *scores; /* scores: [n_heads][stride] */
} split_run;

enum { SPLIT_FROM_TOKENS = 256, RANGE_PAGES = 16, SPLIT_DIMS = 2 * HONE_PANEL };

static void split_score_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const split_run *s = context;
    const attention_run *run = s->run;
    int64_t kv_head = piece / s->n_ranges, range = piece % s->n_ranges, n_pages = s->stride / HONE_PAGE_TOKENS;
    score_pages(run, s->span, kv_head, run->group, s->q + kv_head * run->group * run->pool->head_dim,
                n_pages * range / s->n_ranges, n_pages * (range + 1) / s->n_ranges,
                s->scores + kv_head * run->group * s->stride, s->stride);
}

static void split_softmax_piece(void *context, int64_t head, int thread)
{
    (void)thread;
    const split_run *s = context;
    s->run->ops->kernels.softmax(s->seen, s->stride, s->run->scale, s->scores + head * s->stride);
}

static void split_weigh_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const split_run *s = context;
    const attention_run *run = s->run;
    int64_t dim = run->pool->head_dim, parts = (dim + SPLIT_DIMS - 1) / SPLIT_DIMS, kv_head = piece / parts,
            d0 = piece % parts * SPLIT_DIMS;
    weigh_pages(run, s->span, kv_head, run->group, s->seen, s->scores + kv_head * run->group * s->stride, s->stride, d0,
                min64(d0 + SPLIT_DIMS, dim), s->o + kv_head * run->group * dim);
}

static void attend_split(const attention_run *run, const hone_span *span)
{
    hone_thread_pool *threads = run->ops->pool;
    int64_t dim = run->pool->head_dim, at = span->first_row * run->n_heads * dim, seen = span->first_position + 1,
            stride = round_up(seen, HONE_PAGE_TOKENS);
    split_run s = {.run = run,
                   .span = span,
                   .seen = seen,
                   .stride = stride,
                   .n_ranges = (stride / HONE_PAGE_TOKENS + RANGE_PAGES - 1) / RANGE_PAGES,
                   .q = run->q + at,
                   .o = run->o + at,
                   .scores = run->ops->split_scores};
    hone_thread_pool_run(threads, run->pool->n_kv_heads * s.n_ranges, split_score_piece, &s);
    hone_thread_pool_run(threads, run->n_heads, split_softmax_piece, &s);
    hone_thread_pool_run(threads, run->pool->n_kv_heads * ((dim + SPLIT_DIMS - 1) / SPLIT_DIMS), split_weigh_piece, &s);
}

/* So many query positions that a block's scores stay in the second-level cache. */
static int64_t block_rows_for(int64_t longest, int64_t group)
{
    int64_t rows = TARGET_SCORES / (longest * group);
    return rows < 1 ? 1 : rows > QUERY_BLOCK ? QUERY_BLOCK : rows;
}

hone_status hone_ops_reserve_attention(hone_ops *ops, int64_t longest, int64_t n_heads, int64_t n_kv_heads,
                                       int64_t head_dim, hone_error *err)
{
    int64_t group = n_heads / n_kv_heads;
    if (head_dim * HONE_PAGE_TOKENS > HONE_SCRATCH_FLOATS)
        return hone_fail(err, HONE_UNSUPPORTED, "heads of %lld; up to %d are possible", (long long)head_dim,
                         HONE_SCRATCH_FLOATS / HONE_PAGE_TOKENS);
    longest = round_up(longest, HONE_PAGE_TOKENS);
    int64_t most =
        TARGET_SCORES > group * longest ? TARGET_SCORES : group * longest; /* floats of scores at any length */
    int64_t need = round_up(most + QUERY_BLOCK * group * 2 * head_dim, 16);
    if (need > ops->attention_floats) {
        hone_real *data = aligned_alloc(64, (size_t)(need * ops->n_threads) * sizeof *data);
        if (!data)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for attention over %lld tokens", (long long)longest);
        free(ops->attention);
        ops->attention = data;
        ops->attention_floats = need;
    }
    if (n_heads * longest > ops->split_floats) {
        hone_real *data =
            aligned_alloc(64, (size_t)(n_heads * longest) * sizeof *data); /* longest: whole cache lines */
        if (!data)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for attention over %lld tokens", (long long)longest);
        free(ops->split_scores);
        ops->split_scores = data;
        ops->split_floats = n_heads * longest;
    }
    return HONE_OK;
}

void hone_op_attention(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans, int64_t n_spans,
                       int64_t n_heads, hone_real scale, const hone_real *q, hone_real *o)
{
    int64_t group = n_heads / pool->n_kv_heads, longest = 1;
    for (int64_t s = 0; s < n_spans; s++)
        if (span_end(&spans[s]) > longest)
            longest = span_end(&spans[s]);
    longest = round_up(longest, HONE_PAGE_TOKENS);
    int64_t rows = block_rows_for(longest, group);
    assert(rows * group * (2 * pool->head_dim + longest) <= ops->attention_floats);
    if (n_spans * pool->n_kv_heads < 4 * ops->n_threads && ops->n_threads > 1) {
        int64_t n_long = 0;
        for (int64_t s = 0; s < n_spans; s++)
            n_long += !spans[s].tree && spans[s].n_rows == 1 && spans[s].first_position + 1 >= SPLIT_FROM_TOKENS;
        if (n_long == n_spans) { /* too few heads for the threads: they share each */
            attention_run run = {.ops = ops,
                                 .pool = pool,
                                 .layer = layer,
                                 .n_heads = n_heads,
                                 .group = group,
                                 .scale = scale,
                                 .q = q,
                                 .o = o};
            assert(n_heads * longest <= ops->split_floats);
            for (int64_t s = 0; s < n_spans; s++)
                attend_split(&run, &spans[s]);
            return;
        }
    }
    enum { MAX_SPANS_ON_STACK = 1024 };
    int64_t on_stack[MAX_SPANS_ON_STACK + 1];
    for (int64_t start = 0; start < n_spans; start += MAX_SPANS_ON_STACK) {
        int64_t n = min64(MAX_SPANS_ON_STACK, n_spans - start);
        on_stack[0] = 0;
        for (int64_t s = 0; s < n; s++)
            on_stack[s + 1] = on_stack[s] + (spans[start + s].n_rows + rows - 1) / rows;
        attention_run run = {ops, pool, layer, n_heads, group, spans + start, on_stack, n, rows, scale, q, o};
        hone_thread_pool_run(ops->pool, on_stack[n] * pool->n_kv_heads, attention_piece, &run);
    }
}

enum { BACKWARD_QUERIES = 64 };

typedef struct attention_backward_run {
    attention_run forward;
    int64_t n_rows, longest;
    const hone_real *d_o;
    hone_real *dq, *dk_part, *dv_part; /* parts: [n_heads][n_rows][head_dim] */
    hone_real *thread_work;
    size_t thread_floats;
    hone_real *dk, *dv;
} attention_backward_run;

static size_t backward_thread_floats(int64_t head_dim, int64_t longest)
{
    return (size_t)(2 * BACKWARD_QUERIES * round_up(longest, HONE_PAGE_TOKENS) + HONE_PAGE_TOKENS * head_dim + 64);
}

size_t hone_attention_backward_work(int64_t n_rows, int64_t n_heads, int64_t head_dim, int64_t longest, int n_threads)
{
    return (size_t)(2 * n_heads * n_rows * head_dim) + (size_t)n_threads * backward_thread_floats(head_dim, longest);
}

/* Gradients that queries t0..t1 of a span send to the keys and values of positions p0..p1, which are rows row0... */
static void backward_keys(const attention_backward_run *run, const hone_span *span, int64_t head, int64_t t0,
                          int64_t t1, int64_t p0, int64_t p1, int64_t row0, const hone_real *p, const hone_real *ds,
                          int64_t stride)
{
    const attention_run *f = &run->forward;
    int64_t dim = f->pool->head_dim, width = f->n_heads * dim, first = (span->first_row + t0) * width + head * dim;
    size_t at = (size_t)((head * run->n_rows + row0) * dim);
    for (int64_t d = 0; d < dim; d += HONE_PANEL) {
        hone_tile_rows(&f->ops->kernels, p1 - p0, t1 - t0, ds + p0, 1, stride, f->q + first + d, width,
                       run->dk_part + at + d, dim, true);
        hone_tile_rows(&f->ops->kernels, p1 - p0, t1 - t0, p + p0, 1, stride, run->d_o + first + d, width,
                       run->dv_part + at + d, dim, true);
    }
}

static void backward_block(const attention_backward_run *run, const hone_span *span, int64_t head, int64_t t0,
                           int64_t t1, hone_real *work)
{
    const attention_run *f = &run->forward;
    const hone_kernels *kernels = &f->ops->kernels;
    int64_t dim = f->pool->head_dim, width = f->n_heads * dim, kv_head = head / f->group, m = t1 - t0;
    int64_t seen = span->first_position + t1, stride = round_up(seen, HONE_PAGE_TOKENS),
            n_pages = stride / HONE_PAGE_TOKENS;
    hone_real *p = work, *ds = p + BACKWARD_QUERIES * stride, *turned = ds + BACKWARD_QUERIES * stride;
    int64_t first = (span->first_row + t0) * width + head * dim;
    for (int64_t page = 0; page < n_pages; page++) {
        hone_tile_rows(kernels, m, dim, f->q + first, width, 1, k_panel(f->pool, span->pages[page], f->layer, kv_head),
                       HONE_PAGE_TOKENS, p + page * HONE_PAGE_TOKENS, stride, false);
        const hone_real *v = v_panel(f->pool, span->pages[page], f->layer, kv_head);
        for (int64_t d = 0; d < dim; d += 16)
            kernels->transpose16(v + d, dim, turned + d * HONE_PAGE_TOKENS, HONE_PAGE_TOKENS);
        hone_tile_rows(kernels, m, dim, run->d_o + first, width, 1, turned, HONE_PAGE_TOKENS,
                       ds + page * HONE_PAGE_TOKENS, stride, false);
    }
    for (int64_t i = 0; i < m; i++) {
        int64_t valid = span->first_position + t0 + i + 1;
        kernels->softmax(valid, stride, f->scale, p + i * stride);
        hone_real delta = kernels->dot(dim, run->d_o + first + i * width, f->o + first + i * width);
        kernels->softmax_backward(valid, delta, f->scale, p + i * stride, ds + i * stride, ds + i * stride);
        memset(ds + i * stride + valid, 0, (size_t)(stride - valid) * sizeof *ds);
    }
    for (int64_t page = 0; page < n_pages; page++) {
        const hone_real *k = k_panel(f->pool, span->pages[page], f->layer, kv_head);
        int64_t slots = min64(HONE_PAGE_TOKENS, seen - page * HONE_PAGE_TOKENS);
        for (int64_t d = 0; d < dim; d += 16)
            kernels->transpose16(k + d * HONE_PAGE_TOKENS, HONE_PAGE_TOKENS, turned + d, dim);
        for (int64_t d = 0; d < dim; d += HONE_PANEL)
            hone_tile_rows(kernels, m, slots, ds + page * HONE_PAGE_TOKENS, stride, 1, turned + d, dim,
                           run->dq + first + d, width, page > 0);
    }
    for (const hone_span *below = span, *above = span->parent; above; below = above, above = above->parent)
        backward_keys(run, span, head, t0, t1, above->first_position, below->first_position, above->first_row, p, ds,
                      stride);
    backward_keys(run, span, head, t0, t1, span->first_position, seen, span->first_row, p, ds, stride);
}

static void backward_head(void *context, int64_t head, int thread)
{
    const attention_backward_run *run = context;
    size_t part = (size_t)(run->n_rows * run->forward.pool->head_dim);
    memset(run->dk_part + (size_t)head * part, 0, part * sizeof(hone_real));
    memset(run->dv_part + (size_t)head * part, 0, part * sizeof(hone_real));
    for (int64_t s = 0; s < run->forward.n_spans; s++) {
        const hone_span *span = &run->forward.spans[s];
        for (int64_t t = 0; t < span->n_rows; t += BACKWARD_QUERIES)
            backward_block(run, span, head, t, min64(t + BACKWARD_QUERIES, span->n_rows),
                           run->thread_work + (size_t)thread * run->thread_floats);
    }
}

/* The heads of a group share one key-value head: their parts are added in order. */
static void add_parts(void *context, int64_t row, int thread)
{
    (void)thread;
    const attention_backward_run *run = context;
    const attention_run *f = &run->forward;
    int64_t dim = f->pool->head_dim, kv_heads = f->pool->n_kv_heads;
    for (int64_t h = 0; h < f->n_heads; h++) {
        size_t from = (size_t)((h * run->n_rows + row) * dim), to = (size_t)((row * kv_heads + h / f->group) * dim);
        if (h % f->group == 0) {
            memcpy(run->dk + to, run->dk_part + from, (size_t)dim * sizeof(hone_real));
            memcpy(run->dv + to, run->dv_part + from, (size_t)dim * sizeof(hone_real));
        } else {
            f->ops->kernels.add(dim, run->dk_part + from, run->dk + to);
            f->ops->kernels.add(dim, run->dv_part + from, run->dv + to);
        }
    }
}

void hone_op_attention_backward(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans,
                                int64_t n_spans, int64_t n_rows, int64_t n_heads, hone_real scale, const hone_real *q,
                                const hone_real *o, const hone_real *d_o, hone_real *dq, hone_real *dk, hone_real *dv,
                                hone_real *work)
{
    int64_t longest = 0;
    for (int64_t s = 0; s < n_spans; s++)
        if (spans[s].first_position + spans[s].n_rows > longest)
            longest = spans[s].first_position + spans[s].n_rows;
    size_t part = (size_t)(n_heads * n_rows * pool->head_dim);
    attention_backward_run run = {.forward = {ops, pool, layer, n_heads, n_heads / pool->n_kv_heads, spans, NULL,
                                              n_spans, 0, scale, q, (hone_real *)(uintptr_t)o},
                                  .n_rows = n_rows,
                                  .longest = longest,
                                  .d_o = d_o,
                                  .dq = dq,
                                  .dk_part = work,
                                  .dv_part = work + part,
                                  .thread_work = work + 2 * part,
                                  .thread_floats = backward_thread_floats(pool->head_dim, longest),
                                  .dk = dk,
                                  .dv = dv};
    hone_thread_pool_run(ops->pool, n_heads, backward_head, &run);
    hone_thread_pool_run(ops->pool, n_rows, add_parts, &run);
}
