/* weight_bf16.c - products with weight matrices in the numerics class bf16 (hone_numerics in ops.h).
 *
 * Activations are rounded to pairs once a product, into room that the device keeps; weights stay as quantised as the
 * file has them and are expanded, rounded and woven into pairs a chunk of a panel at a time, in a scratch that stays in
 * the first-level cache for all rows of a block. The order of K, its chunks and the shares of threads are those of
 * weight.c, so a row has the same bits alone and among others. */
#include "ops/cpu/kernels.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_PAIRS = 1 << 20,      /* 512 rows of 4096 numbers */
    SERIAL_NUMBERS = 32 * 1024, /* fewer are rounded before threads would have begun */
    ROUND_ROWS = 16,            /* of one task */
    BACKWARD_GROUP = 2          /* input panels of one task */
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pairs_of(int64_t n)
{
    return (n + 1) / 2;
}

hone_status hone_ops_reserve_pairs(hone_ops *ops, int64_t n, hone_error *err)
{
    size_t wanted = (size_t)(pairs_of(n) * HONE_PAIR_ROWS);
    wanted = wanted < LEAST_PAIRS ? LEAST_PAIRS : (wanted + 15) / 16 * 16;
    if (ops->numerics != HONE_NUMERICS_BF16 || ops->n_pairs >= wanted)
        return HONE_OK;
    free(ops->pairs);
    ops->n_pairs = 0;
    ops->pairs = aligned_alloc(64, wanted * sizeof *ops->pairs);
    if (!ops->pairs)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for rounded activations (%zu bytes)",
                         wanted * sizeof *ops->pairs);
    ops->n_pairs = wanted;
    return HONE_OK;
}

size_t hone_ops_rounding_bytes(const hone_ops *ops)
{
    return ops->n_pairs * sizeof *ops->pairs;
}

/* ---- rounding ---- */
typedef struct round_run {
    const hone_kernels *kernels;
    const hone_real *x;
    int64_t n_rows, n, stride;
    hone_pair *out;
} round_run;

static void round_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const round_run *r = context;
    for (int64_t i = piece * ROUND_ROWS; i < min64((piece + 1) * ROUND_ROWS, r->n_rows); i++)
        r->kernels->pair_round(r->n, r->x + i * r->stride, r->out + i * pairs_of(r->n));
}

static void round_rows(hone_ops *ops, int64_t n_rows, int64_t n, const hone_real *x, int64_t stride, hone_pair *out)
{
    round_run r = {&ops->kernels, x, n_rows, n, stride, out};
    int64_t pieces = (n_rows + ROUND_ROWS - 1) / ROUND_ROWS;
    if (n_rows * n > SERIAL_NUMBERS)
        hone_thread_pool_run(ops->pool, pieces, round_piece, &r);
    else
        for (int64_t piece = 0; piece < pieces; piece++)
            round_piece(&r, piece, 0);
}

/* Does job j read what the one before reads? */
static bool shares_input(const hone_linear_job *jobs, int j)
{
    return j > 0 && jobs[j].x == jobs[j - 1].x && jobs[j].x_stride == jobs[j - 1].x_stride &&
           jobs[j].w->n_in == jobs[j - 1].w->n_in;
}

int64_t hone_pair_rows_at_once(const hone_ops *ops, const hone_linear_job *jobs, int n_jobs)
{
    int64_t a_row = 0;
    for (int j = 0; j < n_jobs; j++)
        a_row += shares_input(jobs, j) ? 0 : pairs_of(jobs[j].w->n_in);
    return (int64_t)ops->n_pairs / a_row;
}

void hone_pair_round_inputs(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows,
                            const hone_pair **inputs)
{
    hone_pair *at = ops->pairs;
    for (int j = 0; j < n_jobs; j++) {
        int64_t n_in = jobs[j].w->n_in;
        inputs[j] = shares_input(jobs, j) ? inputs[j - 1] : at;
        if (inputs[j] != at)
            continue;
        round_rows(ops, n_rows, n_in, jobs[j].x, jobs[j].x_stride, at);
        at += n_rows * pairs_of(n_in);
    }
}

/* ---- products ---- */
/* Rows of m go through tiles of near-equal height. */
static int64_t tile_height(int64_t m)
{
    return m / ((m + HONE_PAIR_TILE_ROWS - 1) / HONE_PAIR_TILE_ROWS);
}

static void tile_rows(const hone_kernels *kernels, int64_t m, int64_t n_pairs, const hone_pair *x, int64_t x_row,
                      const hone_pair *b, hone_real *c, int64_t c_row, bool add)
{
    while (m > 0) {
        int64_t rows = tile_height(m);
        kernels->pair_tile[rows](n_pairs, x, x_row, b, c, c_row, add);
        x += rows * x_row;
        c += rows * c_row;
        m -= rows;
    }
}

/* C has fewer than 16 columns: each row goes through an edge. */
static void edge_rows(const hone_kernels *kernels, int64_t m, int64_t n_pairs, const hone_pair *x, int64_t x_row,
                      const hone_pair *b, hone_real *c, int64_t c_row, int64_t columns, bool add)
{
    hone_real edge[HONE_PANEL] __attribute__((aligned(64)));
    for (int64_t i = 0; i < m; i++) {
        kernels->pair_tile[1](n_pairs, x + i * x_row, x_row, b, edge, HONE_PANEL, false);
        for (int64_t j = 0; j < columns; j++)
            c[i * c_row + j] = add ? c[i * c_row + j] + edge[j] : edge[j];
    }
}

void hone_pair_panel_rows(const hone_kernels *kernels, const hone_weight *w, int64_t panel, int64_t k0, int64_t k1,
                          int64_t rows, const hone_pair *x, hone_real *y, int64_t y_stride, hone_real *scratch)
{
    const unsigned char *data = w->data + (size_t)panel * w->panel_bytes;
    int64_t columns = min64(HONE_PANEL, w->n_out - panel * HONE_PANEL), x_row = pairs_of(w->n_in);
    int64_t n_pairs = pairs_of(k1 - k0), first = tile_height(rows);
    hone_pair *pairs = (hone_pair *)(void *)(scratch + HONE_K_CHUNK * HONE_PANEL);
    hone_pair_expand_tile_kernel both = columns == HONE_PANEL ? kernels->pair_expand_tile[w->packing][first] : NULL;
    x += k0 / 2;
    if (both) {
        both(data, k0, k1, x, x_row, y, y_stride, k0 > 0, pairs);
        rows -= first;
        x += first * x_row;
        y += first * y_stride;
    } else if (kernels->pair_expand[w->packing])
        kernels->pair_expand[w->packing](data, k0, k1, pairs);
    else {
        kernels->expand[w->packing](data, k0, k1, scratch);
        kernels->pair_weave(k1 - k0, scratch, pairs);
    }
    if (columns == HONE_PANEL)
        tile_rows(kernels, rows, n_pairs, x, x_row, pairs, y, y_stride, k0 > 0);
    else
        edge_rows(kernels, rows, n_pairs, x, x_row, pairs, y, y_stride, columns, k0 > 0);
}

/* ---- backward: dx = dy W, K runs over outputs ---- */
typedef struct backward_run {
    hone_ops *ops;
    const hone_weight *w;
    int64_t n_rows, rows_per_block, n_blocks;
    int64_t out0, out1;  /* the outputs that dy has */
    const hone_pair *dy; /* [n_rows][(out1 - out0 + 1) / 2] */
    hone_real *dx;
    int64_t dx_stride;
    bool add;
} backward_run;

static void backward_piece(void *context, int64_t piece, int thread)
{
    const backward_run *run = context;
    const hone_weight *w = run->w;
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t block = piece % run->n_blocks, group = piece / run->n_blocks, dy_row = pairs_of(run->out1 - run->out0);
    int64_t row0 = block * run->rows_per_block, rows = min64(run->rows_per_block, run->n_rows - row0);
    int64_t in0 = group * BACKWARD_GROUP * HONE_PANEL, in1 = min64(in0 + BACKWARD_GROUP * HONE_PANEL, w->n_in);
    enum { PANEL_PAIRS = HONE_K_CHUNK / 2 * HONE_PANEL }; /* of 16 inputs: [chunk / 2][16] */
    hone_pair *pairs = (hone_pair *)(void *)(run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS);
    hone_real expanded[BACKWARD_GROUP * HONE_PANEL * HONE_PANEL] __attribute__((aligned(64))) = {0};
    for (int64_t o0 = run->out0; o0 < run->out1; o0 += HONE_K_CHUNK) {
        int64_t o1 = min64(o0 + HONE_K_CHUNK, run->out1);
        for (int64_t o = o0; o < o1; o += HONE_PANEL) {
            kernels->expand[w->packing](w->data + (size_t)(o / HONE_PANEL) * w->panel_bytes, in0, in1, expanded);
            for (int64_t i = 0; in0 + i < in1; i += HONE_PANEL)
                kernels->pair_transpose16(expanded + i * HONE_PANEL,
                                          pairs + i / HONE_PANEL * PANEL_PAIRS + (o - o0) / 2 * HONE_PANEL);
        }
        const hone_pair *dy = run->dy + row0 * dy_row + (o0 - run->out0) / 2;
        bool add = run->add || o0 > 0;
        for (int64_t i = in0; i < in1; i += HONE_PANEL) {
            const hone_pair *b = pairs + (i - in0) / HONE_PANEL * PANEL_PAIRS;
            hone_real *dx = run->dx + row0 * run->dx_stride + i;
            if (i + HONE_PANEL <= in1)
                tile_rows(kernels, rows, pairs_of(o1 - o0), dy, dy_row, b, dx, run->dx_stride, add);
            else
                edge_rows(kernels, rows, pairs_of(o1 - o0), dy, dy_row, b, dx, run->dx_stride, in1 - i, add);
        }
    }
}

/* Rows all at once, or each of them would have W expanded again; where they do not fit, outputs in parts of whole
 * chunks, whose sums are added in order anyway. */
void hone_pair_linear_backward(hone_ops *ops, const hone_weight *w, int64_t n_rows, const hone_real *dy,
                               int64_t dy_stride, hone_real *dx, int64_t dx_stride, bool add)
{
    int64_t n_pairs = (int64_t)ops->n_pairs, at_once = min64(n_rows, n_pairs / (HONE_K_CHUNK / 2));
    int64_t outputs = n_pairs / at_once / (HONE_K_CHUNK / 2) * HONE_K_CHUNK;
    for (int64_t row = 0; row < n_rows; row += at_once)
        for (int64_t o = 0; o < w->n_out; o += outputs) {
            backward_run run = {.ops = ops,
                                .w = w,
                                .n_rows = min64(at_once, n_rows - row),
                                .out0 = o,
                                .out1 = min64(o + outputs, w->n_out),
                                .dy = ops->pairs,
                                .dx = dx + row * dx_stride,
                                .dx_stride = dx_stride,
                                .add = add};
            round_rows(ops, run.n_rows, run.out1 - o, dy + row * dy_stride + o, dy_stride, ops->pairs);
            hone_split_rows(run.n_rows, HONE_PAIR_ROW_BLOCK, HONE_PAIR_TILE_ROWS, &run.rows_per_block, &run.n_blocks);
            int64_t groups = (w->n_in + BACKWARD_GROUP * HONE_PANEL - 1) / (BACKWARD_GROUP * HONE_PANEL);
            hone_thread_pool_run(ops->pool, groups * run.n_blocks, backward_piece, &run);
        }
}
