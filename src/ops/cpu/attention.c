/* attention.c - causal grouped-query attention over the paged pool of keys and values.
 *
 * A row's scores exist for one block of positions at a time (HONE_ATTENTION_BLOCK, aligned to the sequence), so the
 * memory does not grow with the context. Each block gives its greatest score, the sum of its exponentials and its
 * weighted sum of values; blocks are joined in order by rescaling to the greater of the two maxima (Milakov &
 * Gimelshein 2018, arXiv 1805.02867, algorithm 3; Dao et al. 2022, arXiv 2205.14135, section 3.1):
 *
 *   block      t_b = max s_p      l_b = sum exp(s_p - t_b)      o_b = sum exp(s_p - t_b) v_p
 *   join       t' = max(t, t_b)   l' = l e^(t-t') + l_b e^(t_b-t')   o' likewise      at the end  o / l
 *
 * A score is a dot product over head_dim in order, a weighted sum one chain of fused multiply-adds over the positions
 * of its block. So a row's bits depend on its own positions alone, whichever of these ways computes them:
 *
 *   many rows  a task is one key-value head of one block of query rows: products of matrices through the tile kernels
 *   few rows   the same with the page kernels, which read each page once for all heads of the group
 *   one row    over a long context, on all threads: they share out its blocks, which are then joined
 *   tree       rows that continue a sequence in different ways share the pages of what they all continue; what only one
 *              of them sees is gathered into a page of its own first, each token at the slot that its position would
 *              have, so a way through the tree has the bits of the same tokens as a plain sequence
 *
 * Rows of a task see different numbers of positions: the weights beyond a row's own position, and with a window those
 * before its first, are exact zeros, which add nothing. A row's blocks begin with the one that its first position is
 * in. */
#include "ops/cpu/attention.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUERY_ROWS = 96,     /* of a task: positions times heads of a group */
    LEAST_POSITIONS = 4, /* of a task, where there are few tasks for the threads */
    TASKS_A_THREAD = 4,  /* wanted */
    FEW_ROWS = 12,       /* up to which the page kernels are used */
    PAGES_AHEAD = 2,     /* prefetched by them */
    SPLIT_FROM_TOKENS = 256,
    SPLIT_BLOCKS = 64 /* that threads share out before they are joined: the scratch is for so many */
};

typedef struct attention_run {
    hone_ops *ops;
    const hone_kv_pool *pool;
    int64_t layer, n_heads, group, window;
    const hone_span *spans;
    const int64_t *first_task; /* of each span */
    int64_t n_spans, task_positions;
    hone_real scale;
    const hone_real *q;
    hone_real *o, *softmax;
} attention_run;

/* The rows of a task: `group` of them for each row of the span from t0 on. Row 0 has the position `first`, or with a
 * tree that of the first token after what all rows see. */
typedef struct query_rows {
    const attention_run *run;
    const hone_span *span;
    int64_t kv_head, m, t0, first;
    const hone_real *q;       /* [m][head_dim] */
    hone_real *o;             /* [m][head_dim] weighted sums so far */
    hone_real *next_o;        /* [m][head_dim] those of the block at hand */
    hone_real *scores;        /* [m][HONE_ATTENTION_BLOCK] */
    hone_real *values;        /* [HONE_ATTENTION_BLOCK][head_dim], of the block at hand */
    hone_softmax_part *parts; /* [m] so far */
    hone_softmax_part *next;  /* [m] of the block at hand */
} query_rows;

static int64_t most_rows(int64_t group)
{
    return hone_max64(QUERY_ROWS, group);
}

/* Floats of one thread's query_rows, each array on a cache line. */
static int64_t rows_floats(int64_t group, int64_t dim)
{
    int64_t m = most_rows(group);
    return hone_round_up(m * (3 * dim + HONE_ATTENTION_BLOCK) + HONE_ATTENTION_BLOCK * dim + 4 * m, 16);
}

/* q: where the queries may be copied to. */
static query_rows carve_rows(const attention_run *run, int thread, hone_real **q_out)
{
    int64_t dim = run->pool->head_dim, m = most_rows(run->group);
    hone_real *q = run->ops->attention + (size_t)thread * (size_t)run->ops->attention_floats;
    query_rows r = {.run = run, .q = q};
    *q_out = q;
    r.o = q + m * dim;
    r.next_o = r.o + m * dim;
    r.scores = r.next_o + m * dim;
    r.values = r.scores + m * HONE_ATTENTION_BLOCK;
    r.parts = (hone_softmax_part *)(r.values + HONE_ATTENTION_BLOCK * dim);
    r.next = r.parts + m;
    return r;
}

static const hone_real *keys_of(const query_rows *r, int64_t page)
{
    return hone_kv_keys(r->run->pool, r->span->pages[page], r->run->layer, r->kv_head);
}

static const hone_real *values_of(const query_rows *r, int64_t page)
{
    return hone_kv_values(r->run->pool, r->span->pages[page], r->run->layer, r->kv_head);
}

/* Pages are read in this order: the keys of a block's pages [page0,page1), their values, the keys of the next block
 * (as far as page `end`). What comes PAGES_AHEAD after number i of that order: */
static const hone_real *page_ahead(const query_rows *r, int64_t page0, int64_t page1, int64_t end, int64_t i)
{
    int64_t n = page1 - page0;
    i += PAGES_AHEAD;
    if (i < n)
        return keys_of(r, page0 + i);
    if (i < 2 * n)
        return values_of(r, page0 + i - n);
    return keys_of(r, hone_min64(page1 + i - 2 * n, end - 1));
}

static int64_t pages_for(int64_t positions)
{
    return (positions + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS;
}

static int64_t blocks_for(int64_t positions)
{
    return (positions + HONE_ATTENTION_BLOCK - 1) / HONE_ATTENTION_BLOCK;
}

/* Positions that row i sees. */
static int64_t seen_by(const query_rows *r, int64_t i)
{
    return r->first + i / r->run->group + 1;
}

/* The first row that sees position p. */
static int64_t first_to_see(const query_rows *r, int64_t p)
{
    return p <= r->first ? 0 : (p - r->first) * r->run->group;
}

/* The first position of a row that sees those before `seen`. */
static int64_t from_of(const attention_run *run, int64_t seen)
{
    return hone_window_begin(run->window, seen);
}

/* One past the last row that sees anything of the block at p0. */
static int64_t last_to_see(const query_rows *r, int64_t p0)
{
    int64_t window = r->run->window, past = p0 + HONE_ATTENTION_BLOCK + window - 1 - r->first;
    return window > 0 ? hone_min64(r->m, hone_max64(0, past) * r->run->group) : r->m;
}

/* Scores of rows [0,i1) for the pages [page0,page1), of which page0 begins a block. end: one past the last page that
 * will be read. */
static void score_pages(const query_rows *r, int64_t i1, int64_t page0, int64_t page1, int64_t end)
{
    const hone_kernels *kernels = &r->run->ops->kernels;
    int64_t dim = r->run->pool->head_dim;
    for (int64_t page = page0; page < page1; page++) {
        int64_t i = first_to_see(r, page * HONE_PAGE_TOKENS);
        hone_real *scores = r->scores + (page - page0) * HONE_PAGE_TOKENS;
        if (r->m > FEW_ROWS) {
            hone_tile_rows(kernels, i1 - i, dim, r->q + i * dim, dim, 1, keys_of(r, page), HONE_PAGE_TOKENS,
                           scores + i * HONE_ATTENTION_BLOCK, HONE_ATTENTION_BLOCK, false);
            continue;
        }
        const hone_real *ahead = page_ahead(r, page0, page1, end, page - page0);
        for (int64_t n; i < i1; i += n) {
            n = hone_tile_height(i1 - i);
            kernels->score_page((int)n, dim, r->q + i * dim, keys_of(r, page), ahead, scores + i * HONE_ATTENTION_BLOCK,
                                HONE_ATTENTION_BLOCK);
        }
    }
}

/* out = weighted sums of rows [i0,i1) over positions [p0,p1), of which p0 begins a block. */
static void weigh_pages(const query_rows *r, int64_t i0, int64_t i1, int64_t p0, int64_t p1, int64_t end,
                        hone_real *out)
{
    const hone_kernels *kernels = &r->run->ops->kernels;
    int64_t dim = r->run->pool->head_dim, page0 = p0 / HONE_PAGE_TOKENS, page1 = pages_for(p1);
    for (int64_t page = page0; page < page1; page++) {
        int64_t slots = hone_min64(HONE_PAGE_TOKENS, p1 - page * HONE_PAGE_TOKENS);
        if (r->m > FEW_ROWS) {
            memcpy(r->values + (page - page0) * HONE_PAGE_TOKENS * dim, values_of(r, page),
                   (size_t)(slots * dim) * sizeof *r->values);
            continue;
        }
        const hone_real *ahead = page_ahead(r, page0, page1, end, page1 - page0 + page - page0);
        for (int64_t i = i0, n; i < i1; i += n) {
            n = hone_tile_height(i1 - i);
            kernels->weigh_page((int)n, slots, dim,
                                r->scores + i * HONE_ATTENTION_BLOCK + (page - page0) * HONE_PAGE_TOKENS,
                                HONE_ATTENTION_BLOCK, values_of(r, page), ahead, out + i * dim, page > page0);
        }
    }
    for (int64_t d = 0; r->m > FEW_ROWS && d < dim; d += HONE_PANEL)
        for (int64_t i = i0, n; i < i1; i += n) {
            n = hone_tile_height(i1 - i);
            kernels->tile[n](hone_min64(p1, seen_by(r, i + n - 1)) - p0, r->scores + i * HONE_ATTENTION_BLOCK,
                             HONE_ATTENTION_BLOCK, 1, r->values + d, dim, out + i * dim + d, dim, false);
        }
}

/* What row i has of the block that begins at p0, in `out`, joins what it has of those before. from: its first position.
 */
static void join_row(const query_rows *r, int64_t i, int64_t p0, int64_t from, const hone_real *out)
{
    int64_t dim = r->run->pool->head_dim;
    if (from < p0) {
        r->run->ops->kernels.softmax_join(dim, &r->parts[i], r->next[i], r->o + i * dim, out + i * dim);
        return;
    }
    r->parts[i] = r->next[i];
    if (out != r->o)
        memcpy(r->o + i * dim, out + i * dim, (size_t)dim * sizeof *out);
}

/* Positions of a block before the row's first. */
static int64_t before(int64_t from, int64_t p0)
{
    return hone_max64(0, from - p0);
}

/* The block of positions from p0 on: r->next and `out` for the rows [i0,i1), which are those that see any of it. seen:
 * positions that the last row sees. */
static void attend_block(const query_rows *r, int64_t i0, int64_t i1, int64_t p0, int64_t seen, hone_real *out)
{
    int64_t p1 = hone_min64(p0 + HONE_ATTENTION_BLOCK, seen), width = hone_round_up(p1 - p0, HONE_PAGE_TOKENS),
            end = pages_for(seen);
    score_pages(r, i1, p0 / HONE_PAGE_TOKENS, (p0 + width) / HONE_PAGE_TOKENS, end);
    for (int64_t i = i0; i < i1; i++)
        r->next[i] = r->run->ops->kernels.softmax_block(before(from_of(r->run, seen_by(r, i)), p0),
                                                        hone_min64(seen_by(r, i), p1) - p0, width, r->run->scale,
                                                        r->scores + i * HONE_ATTENTION_BLOCK);
    weigh_pages(r, i0, i1, p0, p1, end, out);
}

static int64_t block_of(int64_t p)
{
    return p - p % HONE_ATTENTION_BLOCK;
}

static void attend_rows(const query_rows *r)
{
    int64_t seen = seen_by(r, r->m - 1), first = block_of(from_of(r->run, seen_by(r, 0)));
    for (int64_t p0 = first; p0 < seen; p0 += HONE_ATTENTION_BLOCK) {
        int64_t i0 = first_to_see(r, p0), i1 = last_to_see(r, p0);
        hone_real *out = p0 == first ? r->o : r->next_o;
        attend_block(r, i0, i1, p0, seen, out);
        for (int64_t i = i0; i < i1; i++)
            join_row(r, i, p0, from_of(r->run, seen_by(r, i)), out);
    }
}

/* ---- rows that continue a sequence in different ways ---- */
static int64_t tree_depth(const hone_span *span, int64_t t)
{
    int64_t depth = 0;
    for (int32_t node = span->tree_rows[t]; node >= 0; node = span->tree[node].parent)
        depth++;
    return depth;
}

/* The page that begins at position p, as row t of the span sees it when it sees `seen` positions: keys as
 * [head_dim][16 positions] or values as [16 positions][head_dim]. */
static void gather_page(const query_rows *r, int64_t t, int64_t seen, int64_t p, bool values, hone_real *out)
{
    const hone_kv_pool *pool = r->run->pool;
    const hone_span *span = r->span;
    int64_t dim = pool->head_dim, layer = r->run->layer, at = seen - 1;
    if (p < span->first_position)
        memcpy(out, values ? values_of(r, p / HONE_PAGE_TOKENS) : keys_of(r, p / HONE_PAGE_TOKENS),
               (size_t)(dim * HONE_PAGE_TOKENS) * sizeof *out);
    for (int32_t node = span->tree_rows[t]; node >= 0 && at >= p; node = span->tree[node].parent, at--) {
        const hone_tree_place *place = &span->tree[node];
        int64_t slot = at - p;
        if (slot >= HONE_PAGE_TOKENS)
            continue;
        if (values) {
            const hone_real *from = hone_kv_values(pool, place->page, layer, r->kv_head);
            memcpy(out + slot * dim, from + place->slot * dim, (size_t)dim * sizeof *out);
        } else {
            const hone_real *from = hone_kv_keys(pool, place->page, layer, r->kv_head);
            for (int64_t d = 0; d < dim; d++)
                out[d * HONE_PAGE_TOKENS + slot] = from[d * HONE_PAGE_TOKENS + place->slot];
        }
    }
}

/* Of the block from p0 on, the pages from `own` on, which row t has for itself: their scores, and then the softmax over
 * the whole block. i0: the first of the row's heads. */
static void score_own_pages(const query_rows *r, int64_t t, int64_t i0, int64_t seen, int64_t p0, int64_t own,
                            hone_real *gathered)
{
    const hone_kernels *kernels = &r->run->ops->kernels;
    int64_t dim = r->run->pool->head_dim, p1 = hone_min64(p0 + HONE_ATTENTION_BLOCK, seen);
    hone_real *scores = r->scores + i0 * HONE_ATTENTION_BLOCK;
    for (int64_t p = own; p < p1; p += HONE_PAGE_TOKENS) {
        gather_page(r, t, seen, p, false, gathered);
        hone_tile_rows(kernels, r->run->group, dim, r->q + i0 * dim, dim, 1, gathered, HONE_PAGE_TOKENS,
                       scores + p - p0, HONE_ATTENTION_BLOCK, false);
    }
    for (int64_t i = 0; i < r->run->group; i++)
        r->next[i0 + i] =
            kernels->softmax_block(before(from_of(r->run, seen), p0), p1 - p0, hone_round_up(p1 - p0, HONE_PAGE_TOKENS),
                                   r->run->scale, scores + i * HONE_ATTENTION_BLOCK);
}

/* Adds to out what those pages contribute. */
static void weigh_own_pages(const query_rows *r, int64_t t, int64_t i0, int64_t seen, int64_t p0, int64_t own,
                            hone_real *gathered, hone_real *out)
{
    int64_t dim = r->run->pool->head_dim, p1 = hone_min64(p0 + HONE_ATTENTION_BLOCK, seen);
    for (int64_t p = own; p < p1; p += HONE_PAGE_TOKENS) {
        gather_page(r, t, seen, p, true, gathered);
        for (int64_t i = i0, n; i < i0 + r->run->group; i += n) {
            n = hone_tile_height(i0 + r->run->group - i);
            r->run->ops->kernels.weigh_page((int)n, hone_min64(HONE_PAGE_TOKENS, p1 - p), dim,
                                            r->scores + i * HONE_ATTENTION_BLOCK + p - p0, HONE_ATTENTION_BLOCK,
                                            gathered, gathered, out + i * dim, p > p0);
        }
    }
}

static void attend_tree(const query_rows *r, hone_real *gathered)
{
    const hone_span *span = r->span;
    int64_t group = r->run->group, n = r->m / group, longest = 0, seen[QUERY_ROWS], from[QUERY_ROWS];
    int64_t shared = span->first_position / HONE_PAGE_TOKENS * HONE_PAGE_TOKENS, first = INT64_MAX;
    for (int64_t t = 0; t < n; t++) {
        seen[t] = span->first_position + tree_depth(span, r->t0 + t);
        from[t] = from_of(r->run, seen[t]);
        longest = hone_max64(longest, seen[t]);
        first = hone_min64(first, block_of(from[t]));
    }
    for (int64_t p0 = first; p0 < longest; p0 += HONE_ATTENTION_BLOCK) {
        int64_t own = hone_max64(p0, hone_min64(shared, p0 + HONE_ATTENTION_BLOCK)); /* pages before it are shared */
        hone_real *out = p0 == first ? r->o : r->next_o;
        if (own > p0)
            score_pages(r, r->m, p0 / HONE_PAGE_TOKENS, own / HONE_PAGE_TOKENS, own / HONE_PAGE_TOKENS);
        for (int64_t t = 0; t < n; t++)
            if (seen[t] > p0 && block_of(from[t]) <= p0)
                score_own_pages(r, r->t0 + t, t * group, seen[t], p0, own, gathered);
        if (own > p0)
            weigh_pages(r, 0, r->m, p0, own, own / HONE_PAGE_TOKENS, out);
        for (int64_t t = 0; t < n; t++) {
            if (seen[t] <= p0 || block_of(from[t]) > p0)
                continue;
            weigh_own_pages(r, r->t0 + t, t * group, seen[t], p0, own, gathered, out);
            for (int64_t i = t * group; i < (t + 1) * group; i++)
                join_row(r, i, p0, from[t], out);
        }
    }
}

/* ---- tasks ---- */
/* Divides the weighted sums of one head by the sum of its weights; leaves what the backward pass needs. */
static void finish_row(const attention_run *run, int64_t row, int64_t head, hone_softmax_part part, const hone_real *o)
{
    int64_t dim = run->pool->head_dim, at = row * run->n_heads + head;
    hone_real factor = 1.0f / part.sum;
    for (int64_t d = 0; d < dim; d++)
        run->o[at * dim + d] = o[d] * factor;
    if (run->softmax) {
        run->softmax[2 * at] = part.top;
        run->softmax[2 * at + 1] = factor;
    }
}

static void attention_task(void *context, int64_t task, int thread)
{
    const attention_run *run = context;
    int64_t dim = run->pool->head_dim, kv_heads = run->pool->n_kv_heads, group = run->group;
    int64_t kv_head = task % kv_heads, number = task / kv_heads, s = 0;
    while (s + 1 < run->n_spans && number >= run->first_task[s + 1])
        s++;
    const hone_span *span = &run->spans[s];
    int64_t t0 = (number - run->first_task[s]) * run->task_positions,
            t1 = hone_min64(t0 + run->task_positions, span->n_rows);
    hone_real *q;
    query_rows r = carve_rows(run, thread, &q);
    r.span = span;
    r.kv_head = kv_head;
    r.m = (t1 - t0) * group;
    r.t0 = t0;
    r.first = span->first_position + (span->tree ? 0 : t0);
    for (int64_t t = t0; t < t1; t++)
        memcpy(q + (t - t0) * group * dim, run->q + ((span->first_row + t) * run->n_heads + kv_head * group) * dim,
               (size_t)(group * dim) * sizeof *q);
    if (span->tree)
        attend_tree(&r, run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS);
    else
        attend_rows(&r);
    for (int64_t i = 0; i < r.m; i++)
        finish_row(run, span->first_row + t0 + i / group, kv_head * group + i % group, r.parts[i], r.o + i * dim);
}

/* ---- one row over a long context: all threads share out its blocks ---- */
typedef struct split_run {
    const attention_run *run;
    const hone_span *span;
    int64_t seen, first_block, block0, n_blocks; /* at hand: [block0, block0 + n_blocks) */
    hone_real *o;                                /* [n_heads][head_dim] of the blocks before */
    hone_softmax_part *parts;                    /* [n_heads] */
    hone_real *block_o;                          /* [SPLIT_BLOCKS][n_heads][head_dim] */
    hone_softmax_part *block_parts;              /* [SPLIT_BLOCKS][n_heads] */
} split_run;

static int64_t split_floats(int64_t n_heads, int64_t dim)
{
    return hone_round_up((SPLIT_BLOCKS + 1) * n_heads * (dim + 2), 16);
}

static void split_block(void *context, int64_t piece, int thread)
{
    const split_run *s = context;
    const attention_run *run = s->run;
    int64_t dim = run->pool->head_dim, group = run->group, kv_head = piece / s->n_blocks, block = piece % s->n_blocks;
    hone_real *unused;
    query_rows r = carve_rows(run, thread, &unused);
    r.span = s->span;
    r.kv_head = kv_head;
    r.m = group;
    r.first = s->seen - 1;
    r.q = run->q + (s->span->first_row * run->n_heads + kv_head * group) * dim;
    r.next = s->block_parts + block * run->n_heads + kv_head * group;
    attend_block(&r, 0, group, (s->block0 + block) * HONE_ATTENTION_BLOCK, s->seen,
                 s->block_o + (block * run->n_heads + kv_head * group) * dim);
}

static void split_join(void *context, int64_t head, int thread)
{
    (void)thread;
    const split_run *s = context;
    int64_t dim = s->run->pool->head_dim, n_heads = s->run->n_heads;
    hone_real *o = s->o + head * dim;
    for (int64_t b = 0; b < s->n_blocks; b++) {
        const hone_real *next = s->block_o + (b * n_heads + head) * dim;
        hone_softmax_part part = s->block_parts[b * n_heads + head];
        if (s->block0 + b > s->first_block) {
            s->run->ops->kernels.softmax_join(dim, &s->parts[head], part, o, next);
            continue;
        }
        s->parts[head] = part;
        memcpy(o, next, (size_t)dim * sizeof *o);
    }
    if (s->block0 + s->n_blocks == blocks_for(s->seen))
        finish_row(s->run, s->span->first_row, head, s->parts[head], o);
}

static void attend_split(const attention_run *run, const hone_span *span)
{
    int64_t n_heads = run->n_heads, dim = run->pool->head_dim, seen = span->first_position + 1;
    split_run s = {.run = run, .span = span, .seen = seen, .o = run->ops->attention_split};
    s.block_o = s.o + n_heads * dim;
    s.parts = (hone_softmax_part *)(s.block_o + SPLIT_BLOCKS * n_heads * dim);
    s.block_parts = s.parts + n_heads;
    s.first_block = from_of(run, seen) / HONE_ATTENTION_BLOCK;
    for (s.block0 = s.first_block; s.block0 < blocks_for(seen); s.block0 += SPLIT_BLOCKS) {
        s.n_blocks = hone_min64(SPLIT_BLOCKS, blocks_for(seen) - s.block0);
        hone_thread_pool_run(run->ops->pool, run->pool->n_kv_heads * s.n_blocks, split_block, &s);
        hone_thread_pool_run(run->ops->pool, n_heads, split_join, &s);
    }
}

/* ---- the operation ---- */
static hone_status reserve(hone_real **data, int64_t *floats, int64_t wanted, int64_t n, hone_error *err)
{
    if (wanted <= *floats)
        return HONE_OK;
    hone_real *grown = aligned_alloc(64, (size_t)(wanted * n) * sizeof *grown);
    if (!grown)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for attention (%lld numbers)", (long long)(wanted * n));
    free(*data);
    *data = grown;
    *floats = wanted;
    return HONE_OK;
}

hone_status hone_ops_reserve_attention(hone_ops *ops, int64_t n_heads, int64_t n_kv_heads, int64_t head_dim,
                                       hone_error *err)
{
    if (head_dim * HONE_PAGE_TOKENS > HONE_SCRATCH_FLOATS)
        return hone_fail(err, HONE_UNSUPPORTED, "heads of %lld; up to %d are possible", (long long)head_dim,
                         HONE_SCRATCH_FLOATS / HONE_PAGE_TOKENS);
    hone_status status = reserve(&ops->attention, &ops->attention_floats, rows_floats(n_heads / n_kv_heads, head_dim),
                                 ops->n_threads, err);
    return status == HONE_OK
               ? reserve(&ops->attention_split, &ops->split_floats, split_floats(n_heads, head_dim), 1, err)
               : status;
}

/* Too few heads for the threads, which therefore share out each row's blocks? */
static bool rows_are_split(const hone_ops *ops, const hone_span *spans, int64_t n_spans, int64_t n_kv_heads)
{
    if (ops->n_threads == 1 || n_spans * n_kv_heads >= TASKS_A_THREAD * ops->n_threads)
        return false;
    for (int64_t s = 0; s < n_spans; s++)
        if (spans[s].tree || spans[s].n_rows > 1 || spans[s].first_position + 1 < SPLIT_FROM_TOKENS)
            return false;
    return true;
}

/* Positions of a task: many share the keys and values that they read, but every thread needs a task. */
static int64_t task_positions_for(const attention_run *run, int64_t n_rows)
{
    int64_t most = hone_max64(1, QUERY_ROWS / run->group),
            even = n_rows * run->pool->n_kv_heads / (TASKS_A_THREAD * run->ops->n_threads);
    return hone_min64(most, hone_max64(even, LEAST_POSITIONS));
}

void hone_op_attention(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans, int64_t n_spans,
                       int64_t n_heads, int64_t window, hone_real scale, const hone_real *q, hone_real *o,
                       hone_real *softmax)
{
    attention_run run = {.window = window,
                         .ops = ops,
                         .pool = pool,
                         .layer = layer,
                         .n_heads = n_heads,
                         .group = n_heads / pool->n_kv_heads,
                         .scale = scale,
                         .q = q,
                         .o = o,
                         .softmax = softmax};
    assert(rows_floats(run.group, pool->head_dim) <= ops->attention_floats);
    assert(split_floats(n_heads, pool->head_dim) <= ops->split_floats);
    if (rows_are_split(ops, spans, n_spans, pool->n_kv_heads)) {
        for (int64_t s = 0; s < n_spans; s++)
            attend_split(&run, &spans[s]);
        return;
    }
    enum { MAX_SPANS_ON_STACK = 1024 };
    int64_t first_task[MAX_SPANS_ON_STACK + 1], n_rows = 0;
    for (int64_t s = 0; s < n_spans; s++)
        n_rows += spans[s].n_rows;
    run.task_positions = task_positions_for(&run, n_rows);
    run.first_task = first_task;
    for (int64_t start = 0; start < n_spans; start += MAX_SPANS_ON_STACK) {
        run.spans = spans + start;
        run.n_spans = hone_min64(MAX_SPANS_ON_STACK, n_spans - start);
        first_task[0] = 0;
        for (int64_t s = 0; s < run.n_spans; s++)
            first_task[s + 1] = first_task[s] + (run.spans[s].n_rows + run.task_positions - 1) / run.task_positions;
        hone_thread_pool_run(ops->pool, first_task[run.n_spans] * pool->n_kv_heads, attention_task, &run);
    }
}
