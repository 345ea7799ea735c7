/* rows.c - the row-by-row operations, spread over threads. Which thread takes a piece does not change its bits. */
#include "ops/cpu/kernels.h"

#include <math.h>
#include <stdlib.h>

enum {
    ROWS_A_PIECE = 8,
    VALUES_A_PIECE = 4096,
    SQUARES_A_PIECE = 16384 /* part of the order of a sum: another number gives other bits */
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* One struct serves all operations here; each uses what it needs. */
typedef struct run {
    hone_ops *ops;
    int64_t n_rows, n;
    hone_real factor;
    const hone_real *a, *b, *c, *d;
    hone_real *x, *y;
    const int32_t *ids;
    int32_t *index;
    double *lse, *logprob;
    const double *lse_in;
    const hone_rope_table *table;
    void (*gated)(int64_t, const hone_real *, const hone_real *, hone_real *);
    void (*gated_backward)(int64_t, const hone_real *, const hone_real *, const hone_real *, hone_real *, hone_real *);
    const hone_adamw *adamw;
    hone_real bias1, bias2_root;
} run;

static void rms_norm_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const run *r = context;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++)
        r->ops->kernels.rms_norm(r->n, r->factor, r->a + t * r->n, r->b, r->y + t * r->n, r->x ? r->x + t : NULL);
}

void hone_op_rms_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *x, const hone_real *w,
                      hone_real *y, hone_real *rrms)
{
    run r = {.ops = ops, .n_rows = n_rows, .n = dim, .factor = eps, .a = x, .b = w, .y = y, .x = rrms};
    hone_thread_pool_run(ops->pool, pieces(n_rows, ROWS_A_PIECE), rms_norm_piece, &r);
}

static void rms_norm_backward_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const run *r = context;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++)
        r->ops->kernels.rms_norm_backward(r->n, r->a + t * r->n, r->b, r->c[t], r->d + t * r->n, r->y + t * r->n);
}

void hone_op_rms_norm_backward(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *x, const hone_real *w,
                               const hone_real *rrms, const hone_real *dy, hone_real *dx)
{
    run r = {.ops = ops, .n_rows = n_rows, .n = dim, .a = x, .b = w, .c = rrms, .d = dy, .y = dx};
    hone_thread_pool_run(ops->pool, pieces(n_rows, ROWS_A_PIECE), rms_norm_backward_piece, &r);
}

static void add_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const run *r = context;
    int64_t i = piece * VALUES_A_PIECE;
    r->ops->kernels.add(min64(VALUES_A_PIECE, r->n - i), r->a + i, r->y + i);
}

void hone_op_add(hone_ops *ops, int64_t n, const hone_real *x, hone_real *y)
{
    run r = {.ops = ops, .n = n, .a = x, .y = y};
    hone_thread_pool_run(ops->pool, pieces(n, VALUES_A_PIECE), add_piece, &r);
}

static void scale_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const run *r = context;
    int64_t i = piece * VALUES_A_PIECE;
    r->ops->kernels.scale(min64(VALUES_A_PIECE, r->n - i), r->factor, r->y + i);
}

void hone_op_scale(hone_ops *ops, int64_t n, hone_real factor, hone_real *x)
{
    run r = {.ops = ops, .n = n, .factor = factor, .y = x};
    hone_thread_pool_run(ops->pool, pieces(n, VALUES_A_PIECE), scale_piece, &r);
}

enum { GATED_VALUES_A_PIECE = 1536 }; /* an exponential each: dearer than an addition */

static void gated_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const run *r = context;
    int64_t i = piece * GATED_VALUES_A_PIECE, n = min64(GATED_VALUES_A_PIECE, r->n - i);
    if (r->gated_backward)
        r->gated_backward(n, r->a + i, r->b + i, r->c + i, r->x + i, r->y + i);
    else
        r->gated(n, r->a + i, r->b + i, r->y + i);
}

static void run_gated(run *r)
{
    hone_thread_pool_run(r->ops->pool, pieces(r->n, GATED_VALUES_A_PIECE), gated_piece, r);
}

void hone_op_swiglu(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, hone_real *y)
{
    run r = {.ops = ops, .n = n, .a = gate, .b = up, .y = y, .gated = ops->kernels.swiglu};
    run_gated(&r);
}

void hone_op_swiglu_backward(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                             hone_real *dgate, hone_real *dup)
{
    run r = {.ops = ops, .n = n, .a = gate, .b = up, .c = dy, .x = dgate, .y = dup};
    r.gated_backward = ops->kernels.swiglu_backward;
    run_gated(&r);
}

void hone_op_geglu(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, hone_real *y)
{
    run r = {.ops = ops, .n = n, .a = gate, .b = up, .y = y, .gated = ops->kernels.geglu};
    run_gated(&r);
}

void hone_op_geglu_backward(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                            hone_real *dgate, hone_real *dup)
{
    run r = {.ops = ops, .n = n, .a = gate, .b = up, .c = dy, .x = dgate, .y = dup};
    r.gated_backward = ops->kernels.geglu_backward;
    run_gated(&r);
}

/* Angles of position p = NEAR a + b are those of NEAR a and of b added: two short tables in double precision in place
 * of a row of cosines and sines for each position of a context, which at 32,768 positions takes longer to fill than the
 * model to load. The sum is right to a few units of 1e-16. */
enum { NEAR = 64 };

struct hone_rope_table {
    int64_t n_far, head_dim;
    bool half_split;
    double *near, *far; /* [NEAR] and [n_far] rows of cos and sin of pair i at 2i and 2i + 1, [head_dim] */
};

hone_status hone_rope_table_create(int64_t n_positions, int64_t head_dim, double base, bool half_split,
                                   hone_rope_table **out, hone_error *err)
{
    *out = NULL;
    int64_t n_far = (n_positions + NEAR - 1) / NEAR;
    hone_rope_table *table = calloc(1, sizeof *table);
    double *values = calloc((size_t)(NEAR + n_far), (size_t)head_dim * sizeof *values);
    if (!table || !values) {
        free(table);
        free(values);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a context of %lld tokens", (long long)n_positions);
    }
    *table = (hone_rope_table){n_far, head_dim, half_split, values, values + NEAR * head_dim};
    for (int64_t i = 0; i < head_dim / 2; i++) {
        double frequency = pow(base, -2.0 * (double)i / (double)head_dim);
        for (int64_t row = 0; row < NEAR + n_far; row++) {
            double position = (double)(row < NEAR ? row : (row - NEAR) * NEAR);
            values[row * head_dim + 2 * i] = cos(position * frequency);
            values[row * head_dim + 2 * i + 1] = sin(position * frequency);
        }
    }
    *out = table;
    return HONE_OK;
}

void hone_rope_table_free(hone_rope_table *table)
{
    if (!table)
        return;
    free(table->near);
    free(table);
}

size_t hone_rope_table_bytes(const hone_rope_table *table)
{
    return table ? (size_t)((NEAR + table->n_far) * table->head_dim) * sizeof *table->near : 0;
}

/* cos and sin of a position, [head_dim]. */
static void find_turns(const hone_rope_table *table, int64_t position, hone_real *cos_sin)
{
    const double *near = table->near + position % NEAR * table->head_dim,
                 *far = table->far + position / NEAR * table->head_dim;
    for (int64_t i = 0; i < table->head_dim; i += 2) {
        cos_sin[i] = (hone_real)(far[i] * near[i] - far[i + 1] * near[i + 1]);
        cos_sin[i + 1] = (hone_real)(far[i + 1] * near[i] + far[i] * near[i + 1]);
    }
}

static void rope_piece(void *context, int64_t piece, int thread)
{
    const run *r = context;
    const hone_kernels *kernels = &r->ops->kernels;
    void (*turn)(int64_t, const hone_real *, hone_real *, hone_real) =
        r->table->half_split ? kernels->rope_half : kernels->rope_adjacent;
    int64_t head_dim = r->table->head_dim;
    hone_real *cos_sin = r->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS;
    for (int64_t t = piece * ROWS_A_PIECE; t < min64((piece + 1) * ROWS_A_PIECE, r->n_rows); t++) {
        find_turns(r->table, r->ids[t], cos_sin);
        for (int64_t h = 0; h < r->n; h++)
            turn(head_dim, cos_sin, r->y + (t * r->n + h) * head_dim, r->factor);
    }
}

void hone_op_rope(hone_ops *ops, const hone_rope_table *table, int64_t n_rows, int64_t n_heads,
                  const int32_t *positions, hone_real *x, bool backward)
{
    run r = {.ops = ops,
             .n_rows = n_rows,
             .n = n_heads,
             .table = table,
             .ids = positions,
             .y = x,
             .factor = backward ? -1.0f : 1.0f};
    hone_thread_pool_run(ops->pool, pieces(n_rows, ROWS_A_PIECE), rope_piece, &r);
}

static void log_softmax_piece(void *context, int64_t t, int thread)
{
    (void)thread;
    const run *r = context;
    const hone_real *row = r->a + t * r->n;
    hone_real top = r->ops->kernels.max(r->n, row);
    double lse = (double)top + log(r->ops->kernels.sum_exp(r->n, top, row));
    r->lse[t] = lse;
    if (r->ids && r->logprob)
        r->logprob[t] = (double)row[r->ids[t]] - lse;
}

void hone_op_log_softmax_stats(hone_ops *ops, int64_t n_rows, int64_t n_vocab, const hone_real *logits,
                               const int32_t *targets, double *log_sum_exp, double *target_logprob)
{
    run r = {.ops = ops, .n = n_vocab, .a = logits, .ids = targets, .lse = log_sum_exp, .logprob = target_logprob};
    hone_thread_pool_run(ops->pool, n_rows, log_softmax_piece, &r);
}

static void cross_entropy_piece(void *context, int64_t t, int thread)
{
    (void)thread;
    const run *r = context;
    hone_real *row = r->y + t * r->n;
    r->ops->kernels.cross_entropy_backward(r->n, (hone_real)r->lse_in[t], r->a[t], row);
    row[r->ids[t]] -= r->a[t];
}

void hone_op_cross_entropy_backward(hone_ops *ops, int64_t n_rows, int64_t n_vocab, hone_real *logits,
                                    const int32_t *targets, const double *log_sum_exp, const hone_real *weight)
{
    run r = {.ops = ops, .n = n_vocab, .y = logits, .ids = targets, .lse_in = log_sum_exp, .a = weight};
    hone_thread_pool_run(ops->pool, n_rows, cross_entropy_piece, &r);
}

int32_t hone_op_row_argmax(const hone_ops *ops, int64_t n, const hone_real *x)
{
    hone_real top = ops->kernels.max(n, x);
    int32_t i = 0;
    while (i < n - 1 && x[i] != top)
        i++;
    return i;
}

double hone_op_row_weights(const hone_ops *ops, int64_t n, hone_real top, double temperature, const hone_real *x,
                           double *w)
{
    return ops->kernels.weights(n, top, temperature, x, w);
}

static void argmax_piece(void *context, int64_t t, int thread)
{
    (void)thread;
    const run *r = context;
    r->index[t] = hone_op_row_argmax(r->ops, r->n, r->a + t * r->n);
}

void hone_op_argmax(hone_ops *ops, int64_t n_rows, int64_t n, const hone_real *x, int32_t *index)
{
    run r = {.ops = ops, .n = n, .a = x, .index = index};
    hone_thread_pool_run(ops->pool, n_rows, argmax_piece, &r);
}

double hone_op_sum_squares(hone_ops *ops, int64_t n, const hone_real *x)
{
    double sum = 0; /* pieces of fixed size, added in order */
    for (int64_t i = 0; i < n; i += SQUARES_A_PIECE)
        sum += ops->kernels.sum_squares(min64(SQUARES_A_PIECE, n - i), x + i);
    return sum;
}

typedef struct adamw_run {
    hone_ops *ops;
    const hone_adamw *settings;
    hone_real bias1, bias2_root;
    int64_t n;
    const hone_real *g;
    hone_real *m, *v, *x;
} adamw_run;

static void adamw_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const adamw_run *r = context;
    int64_t i = piece * VALUES_A_PIECE;
    r->ops->kernels.adamw(min64(VALUES_A_PIECE, r->n - i), r->settings, r->bias1, r->bias2_root, r->g + i, r->m + i,
                          r->v + i, r->x + i);
}

void hone_op_adamw(hone_ops *ops, const hone_adamw *settings, int64_t n, const hone_real *g, hone_real *m, hone_real *v,
                   hone_real *x)
{
    double bias1 = 1 - pow((double)settings->beta1, (double)settings->step);
    double bias2 = 1 - pow((double)settings->beta2, (double)settings->step);
    adamw_run r = {ops, settings, (hone_real)bias1, (hone_real)sqrt(bias2), n, g, m, v, x};
    hone_thread_pool_run(ops->pool, pieces(n, VALUES_A_PIECE), adamw_piece, &r);
}
