/* encoder.c - the operations of encoders: layer norm, GELU, attention within a sequence, pooling.
 *
 * Attention takes a sequence (or one head of it) as a piece. K is turned into panels [head_dim][16 positions], so that
 * scores are tiles with lanes along positions; the weighted sum of V is tiles with lanes along head_dim. A score is a
 * dot product over head_dim in order, a weighted sum runs over the sequence's positions in order: neither depends on
 * which other sequences are computed. */
#include "ops/cpu/kernels.h"

#include <math.h>
#include <string.h>

enum { ROWS_A_PIECE = 8, QUERY_BLOCK = 48 };

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* One struct serves the row operations here; each uses what it needs. */
typedef struct rows_run {
    const hone_kernels *kernels;
    int64_t n_rows, dim;
    hone_real eps;
    const hone_real *x, *residual, *bias, *w, *b;
    const int32_t *ids, *positions;
    hone_real *y;
} rows_run;

static void run_rows(hone_ops *ops, hone_piece piece, rows_run *run)
{
    run->kernels = &ops->kernels;
    hone_thread_pool_run(ops->pool, (run->n_rows + ROWS_A_PIECE - 1) / ROWS_A_PIECE, piece, run);
}

static void layer_norm_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const rows_run *r = context;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++)
        r->kernels->layer_norm(r->dim, r->eps, r->x + (r->ids ? r->ids[t] : t) * r->dim,
                               r->residual + (r->positions ? r->positions[t] : t) * r->dim, r->bias, r->w, r->b,
                               r->y + t * r->dim);
}

void hone_op_layer_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *x,
                        const hone_real *residual, const hone_real *bias, const hone_real *w, const hone_real *b,
                        hone_real *y)
{
    rows_run run = {
        .n_rows = n_rows, .dim = dim, .eps = eps, .x = x, .residual = residual, .bias = bias, .w = w, .b = b, .y = y};
    run_rows(ops, layer_norm_piece, &run);
}

void hone_op_embed_layer_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *table,
                              const int32_t *ids, const hone_real *places, const int32_t *positions,
                              const hone_real *bias, const hone_real *w, const hone_real *b, hone_real *y)
{
    rows_run run = {.n_rows = n_rows,
                    .dim = dim,
                    .eps = eps,
                    .x = table,
                    .residual = places,
                    .bias = bias,
                    .w = w,
                    .b = b,
                    .ids = ids,
                    .positions = positions,
                    .y = y};
    run_rows(ops, layer_norm_piece, &run);
}

static void add_bias_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const rows_run *r = context;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++)
        r->kernels->add(r->dim, r->bias, r->y + t * r->dim);
}

void hone_op_add_bias(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *bias, hone_real *x)
{
    rows_run run = {.n_rows = n_rows, .dim = dim, .bias = bias, .y = x};
    run_rows(ops, add_bias_piece, &run);
}

static void gelu_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const rows_run *r = context;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++)
        r->kernels->gelu(r->dim, r->bias, r->y + t * r->dim);
}

void hone_op_gelu(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *bias, hone_real *x)
{
    rows_run run = {.n_rows = n_rows, .dim = dim, .bias = bias, .y = x};
    run_rows(ops, gelu_piece, &run);
}

typedef struct attention_run {
    const hone_kernels *kernels;
    const int64_t *starts;
    int64_t n_heads, heads_a_piece, head_dim;
    hone_real scale;
    const hone_real *q, *k, *v;
    hone_real *o, *work;
    size_t work_floats;
} attention_run;

size_t hone_attention_within_work(int64_t longest, int64_t head_dim)
{
    return (size_t)(round_up(longest, HONE_PANEL) * (head_dim + QUERY_BLOCK));
}

static void attend_head(const attention_run *run, int64_t first, int64_t n, int64_t head, hone_real *panels,
                        hone_real *scores)
{
    const hone_kernels *kernels = run->kernels;
    int64_t dim = run->head_dim, width = run->n_heads * dim, stride = round_up(n, HONE_PANEL);
    size_t at = (size_t)(first * width + head * dim);
    for (int64_t j = 0; j < n; j += HONE_PANEL) /* the last panel may hold rows of a neighbour; softmax drops them */
        for (int64_t d = 0; d < dim; d += HONE_PANEL)
            kernels->transpose16(run->k + at + j * width + d, width, panels + j * dim + d * HONE_PANEL, HONE_PANEL);
    for (int64_t t = 0; t < n; t += QUERY_BLOCK) {
        int64_t m = min64(QUERY_BLOCK, n - t);
        for (int64_t j = 0; j < stride; j += HONE_PANEL)
            hone_tile_rows(kernels, m, dim, run->q + at + t * width, width, 1, panels + j * dim, HONE_PANEL, scores + j,
                           stride, false);
        for (int64_t i = 0; i < m; i++)
            kernels->softmax(n, stride, run->scale, scores + i * stride);
        for (int64_t d = 0; d < dim; d += HONE_PANEL)
            hone_tile_rows(kernels, m, n, scores, stride, 1, run->v + at + d, width, run->o + at + t * width + d, width,
                           false);
    }
}

static void attention_piece(void *context, int64_t piece, int thread)
{
    const attention_run *run = context;
    int64_t groups = run->n_heads / run->heads_a_piece, s = piece / groups, head = piece % groups * run->heads_a_piece,
            first = run->starts[s], n = run->starts[s + 1] - first;
    hone_real *panels = run->work + (size_t)thread * run->work_floats;
    for (int64_t h = head; h < head + run->heads_a_piece; h++)
        attend_head(run, first, n, h, panels, panels + round_up(n, HONE_PANEL) * run->head_dim);
}

void hone_op_attention_within(hone_ops *ops, const int64_t *starts, int64_t n_sequences, int64_t longest,
                              int64_t n_heads, int64_t head_dim, hone_real scale, const hone_real *q,
                              const hone_real *k, const hone_real *v, hone_real *o, hone_real *work)
{
    enum { ENOUGH_PIECES_A_THREAD = 4 }; /* whole sequences are larger pieces than single heads, but may be few */
    bool whole = n_sequences >= ENOUGH_PIECES_A_THREAD * ops->n_threads;
    attention_run run = {.kernels = &ops->kernels,
                         .starts = starts,
                         .n_heads = n_heads,
                         .heads_a_piece = whole ? n_heads : 1,
                         .head_dim = head_dim,
                         .scale = scale,
                         .q = q,
                         .k = k,
                         .v = v,
                         .o = o,
                         .work = work,
                         .work_floats = hone_attention_within_work(longest, head_dim)};
    hone_thread_pool_run(ops->pool, n_sequences * (whole ? 1 : n_heads), attention_piece, &run);
}

typedef struct pool_run {
    const hone_kernels *kernels;
    const int64_t *starts;
    int64_t dim;
    hone_pooling pooling;
    const hone_real *x;
    hone_real *y;
} pool_run;

static void pool_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const pool_run *r = context;
    int64_t first = r->starts[piece], n = r->starts[piece + 1] - first, dim = r->dim;
    const hone_real *x = r->x + (first + (r->pooling == HONE_POOL_LAST ? n - 1 : 0)) * dim;
    hone_real *y = r->y + piece * dim;
    memcpy(y, x, (size_t)dim * sizeof *y);
    if (r->pooling == HONE_POOL_MEAN) {
        for (int64_t t = 1; t < n; t++)
            r->kernels->add(dim, x + t * dim, y);
        r->kernels->scale(dim, 1.0f / (hone_real)n, y);
    }
    hone_real length = real_sqrt(r->kernels->dot(dim, y, y));
    if (length > 0)
        r->kernels->scale(dim, 1.0f / length, y);
}

void hone_op_pool(hone_ops *ops, const int64_t *starts, int64_t n_sequences, int64_t dim, hone_pooling pooling,
                  const hone_real *x, hone_real *y)
{
    pool_run run = {&ops->kernels, starts, dim, pooling, x, y};
    hone_thread_pool_run(ops->pool, n_sequences, pool_piece, &run);
}
