/* weight_train.c - what training needs of weight matrices beyond products: the row lengths of an adapted one (DoRA),
 * and weights that are themselves trained. A trained matrix lies in f32 panels, [n_out / 16, rounded up][n_in][16]; so
 * do its gradient and the optimiser's moments, so that an update runs over plain arrays. The lanes that pad the last
 * panel are zero and stay zero: their gradient is. */
#include "ops/cpu/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS = 192, PANELS = 8 }; /* of one piece of a gradient: x [256][192] stays in the second-level cache */

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct norms_run {
    hone_ops *ops;
    const hone_weight *w;
    int64_t rank;
    hone_real scale;
    const hone_real *a, *b_panels;
    hone_real *norm;
} norms_run;

static void norms_piece(void *context, int64_t panel, int thread)
{
    const norms_run *r = context;
    const hone_weight *w = r->w;
    const hone_kernels *kernels = &r->ops->kernels;
    hone_real *expanded = r->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS,
              *delta = expanded + HONE_K_CHUNK * HONE_PANEL;
    double sum[HONE_PANEL] = {0};
    for (int64_t k0 = 0; k0 < w->n_in; k0 += HONE_K_CHUNK) {
        int64_t n = min64(HONE_K_CHUNK, w->n_in - k0);
        kernels->expand[w->packing](w->data + (size_t)panel * w->panel_bytes, k0, k0 + n, expanded);
        hone_tile_rows(kernels, n, r->rank, r->a + k0, 1, w->n_in, r->b_panels + panel * r->rank * HONE_PANEL,
                       HONE_PANEL, delta, HONE_PANEL, false);
        for (int64_t i = 0; i < n; i++)
            for (int j = 0; j < HONE_PANEL; j++) {
                double v = (double)expanded[i * HONE_PANEL + j] + (double)r->scale * (double)delta[i * HONE_PANEL + j];
                sum[j] += v * v;
            }
    }
    for (int64_t j = 0; j < min64(HONE_PANEL, w->n_out - panel * HONE_PANEL); j++)
        r->norm[panel * HONE_PANEL + j] = (hone_real)sqrt(sum[j]);
}

void hone_op_adapted_row_norms(hone_ops *ops, const hone_weight *w, int64_t rank, hone_real scale, const hone_real *a,
                               const hone_real *b_panels, hone_real *norm)
{
    norms_run r = {ops, w, rank, scale, a, b_panels, norm};
    hone_thread_pool_run(ops->pool, w->n_panels, norms_piece, &r);
}

/* ---- weights that are trained ---- */
hone_status hone_weight_create_over(hone_real *panels, int64_t n_out, int64_t n_in, hone_weight **out, hone_error *err)
{
    *out = NULL;
    if (sizeof(hone_real) != sizeof(float))
        return hone_fail(err, HONE_UNSUPPORTED, "weights are trained in single precision only");
    hone_weight *w = calloc(1, sizeof *w);
    if (!w)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    *w = (hone_weight){.packing = HONE_PACK_F32,
                       .n_out = n_out,
                       .n_in = n_in,
                       .n_panels = (n_out + HONE_PANEL - 1) / HONE_PANEL,
                       .panel_bytes = (size_t)n_in * HONE_PANEL * sizeof(float),
                       .data = (unsigned char *)panels};
    w->bytes = w->panel_bytes * (size_t)w->n_panels;
    *out = w;
    return HONE_OK;
}

typedef struct train_run {
    hone_ops *ops;
    const hone_weight *w;
    int64_t n_rows, n_out, n_in, input_blocks;
    const hone_real *x, *dy;
    const int32_t *ids;
    hone_real *panels;
} train_run;

static void unpack_piece(void *context, int64_t panel, int thread)
{
    (void)thread;
    const train_run *r = context;
    const hone_weight *w = r->w;
    r->ops->kernels.expand[w->packing](w->data + (size_t)panel * w->panel_bytes, 0, w->n_in,
                                       r->panels + panel * w->n_in * HONE_PANEL);
}

void hone_op_weight_unpack(hone_ops *ops, const hone_weight *w, hone_real *panels)
{
    train_run r = {.ops = ops, .w = w, .panels = panels};
    hone_thread_pool_run(ops->pool, w->n_panels, unpack_piece, &r);
}

/* A block of inputs by a group of panels. The panel's columns of dy are gathered first, padded with zeros. */
static void weight_gradient_piece(void *context, int64_t piece, int thread)
{
    const train_run *r = context;
    hone_real *columns = r->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS;
    int64_t i0 = piece % r->input_blocks * INPUTS, i1 = min64(i0 + INPUTS, r->n_in);
    int64_t p0 = piece / r->input_blocks * PANELS, p1 = min64(p0 + PANELS, (r->n_out + HONE_PANEL - 1) / HONE_PANEL);
    for (int64_t t0 = 0; t0 < r->n_rows; t0 += HONE_K_CHUNK) {
        int64_t n = min64(HONE_K_CHUNK, r->n_rows - t0);
        for (int64_t p = p0; p < p1; p++) {
            int64_t lanes = min64(HONE_PANEL, r->n_out - p * HONE_PANEL);
            for (int64_t t = 0; t < n; t++) {
                hone_real *to = columns + t * HONE_PANEL;
                memcpy(to, r->dy + (t0 + t) * r->n_out + p * HONE_PANEL, (size_t)lanes * sizeof *to);
                memset(to + lanes, 0, (size_t)(HONE_PANEL - lanes) * sizeof *to);
            }
            hone_tile_rows(&r->ops->kernels, i1 - i0, n, r->x + t0 * r->n_in + i0, 1, r->n_in, columns, HONE_PANEL,
                           r->panels + (p * r->n_in + i0) * HONE_PANEL, HONE_PANEL, true);
        }
    }
}

void hone_op_linear_weight_gradient(hone_ops *ops, int64_t n_rows, int64_t n_out, int64_t n_in, const hone_real *x,
                                    const hone_real *dy, hone_real *panels)
{
    train_run r = {.ops = ops,
                   .n_rows = n_rows,
                   .n_out = n_out,
                   .n_in = n_in,
                   .input_blocks = (n_in + INPUTS - 1) / INPUTS,
                   .x = x,
                   .dy = dy,
                   .panels = panels};
    int64_t groups = (n_out + HONE_PANEL * PANELS - 1) / (HONE_PANEL * PANELS);
    hone_thread_pool_run(ops->pool, groups * r.input_blocks, weight_gradient_piece, &r);
}

/* A block of inputs of all rows, in their order: a token may come more than once. */
static void embed_gradient_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const train_run *r = context;
    int64_t i0 = piece * INPUTS, i1 = min64(i0 + INPUTS, r->n_in);
    for (int64_t t = 0; t < r->n_rows; t++) {
        int64_t id = r->ids[t];
        hone_real *to = r->panels + id / HONE_PANEL * r->n_in * HONE_PANEL + id % HONE_PANEL;
        for (int64_t i = i0; i < i1; i++)
            to[i * HONE_PANEL] += r->dy[t * r->n_in + i];
    }
}

void hone_op_embed_gradient(hone_ops *ops, int64_t n_rows, int64_t n_in, const int32_t *ids, const hone_real *dy,
                            hone_real *panels)
{
    train_run r = {.ops = ops, .n_rows = n_rows, .n_in = n_in, .ids = ids, .dy = dy, .panels = panels};
    hone_thread_pool_run(ops->pool, (n_in + INPUTS - 1) / INPUTS, embed_gradient_piece, &r);
}
