/* weight.c - packing frozen weights into panels, and the products with them.
 *
 * Forward: each panel is expanded a chunk of HONE_K_CHUNK inputs at a time into a scratch that stays in the first-level
 * cache, together with the first tile of rows where a kernel does both at once, and the tile kernel runs over the other
 * rows; one row goes through the matrix-vector kernel instead, with equal bits. Backward (dx = dy W) needs W by input:
 * 16 outputs x 16 inputs are expanded and transposed, so both directions live on one packed copy. */
#include "ops/cpu/blocks.h"
#include "ops/cpu/linear.h"

#include "base/large_memory.h"
#include "tensor/block.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_BLOCK = 192,                /* rows of one task: x[192][256] floats stay in the second-level cache */
    PANEL_GROUP = HONE_GEMV_PANELS, /* most panels of one task */
    CACHED_FLOATS = 128 * 1024,     /* of x: half of a second-level cache of 1 MiB */
    BACKWARD_GROUP = 2              /* input panels of one backward task */
};

/* Weights lie one after the other in chunks of whole huge pages: each matrix alone is smaller than one, and on pages of
 * 4 KiB a processor spends much of a token looking up addresses. A chunk lives as long as a weight in it. */
struct hone_weight_chunk {
    unsigned char *data;
    size_t size_bytes, used_bytes;
    int64_t n_weights;
    bool closed; /* no more weights will come */
};

enum { CHUNK_BYTES = 32 << 20 };

static void release_chunk(hone_weight_chunk *chunk)
{
    if (!chunk || !chunk->closed || chunk->n_weights > 0)
        return;
    hone_large_unmap(chunk->data, chunk->size_bytes);
    free(chunk);
}

void hone_weight_close_chunk(hone_ops *ops)
{
    if (ops->weight_chunk)
        ops->weight_chunk->closed = true;
    release_chunk(ops->weight_chunk);
    ops->weight_chunk = NULL;
}

/* Room for w->bytes in the chunk being filled, or in a new one. */
static bool place_weight(hone_ops *ops, hone_weight *w)
{
    size_t bytes = (w->bytes + 63) / 64 * 64;
    hone_weight_chunk *chunk = ops->weight_chunk;
    if (!chunk || chunk->size_bytes - chunk->used_bytes < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk);
        if (!chunk || !(chunk->data = hone_large_map(size))) {
            free(chunk);
            return false;
        }
        chunk->size_bytes = size;
        hone_weight_close_chunk(ops);
        ops->weight_chunk = chunk;
    }
    w->chunk = chunk;
    w->data = chunk->data + chunk->used_bytes;
    chunk->used_bytes += bytes;
    chunk->n_weights++;
    return true;
}

static size_t panel_bytes_of(hone_packing packing, int64_t n_in)
{
    hone_block_form form = hone_block_form_of(packing);
    if (form.bits)
        return hone_block_at(form, n_in / HONE_BLOCK_INPUTS) - (size_t)form.head_bytes;
    switch (packing) {
    case HONE_PACK_Q4:
        return (size_t)n_in / 32 * HONE_Q4_BLOCK_BYTES;
    case HONE_PACK_Q8:
        return (size_t)n_in / 32 * HONE_Q8_BLOCK_BYTES;
    case HONE_PACK_F32:
        return (size_t)n_in * HONE_PANEL * 4;
    default:
        return (size_t)n_in * HONE_PANEL * 2;
    }
}

typedef struct pack_job {
    hone_weight *w;
    hone_dtype dtype;
    const unsigned char *rows;
    size_t row_bytes;
    atomic_bool overflow;
} pack_job;

static void pack_q4_row(unsigned char *panel, int lane, const unsigned char *row, int64_t n_in, hone_dtype dtype,
                        atomic_bool *overflow)
{
    size_t block_bytes = dtype == HONE_Q4_0 ? 18 : 20;
    for (int64_t b = 0; b < n_in / 32; b++) {
        const unsigned char *source = row + (size_t)b * block_bytes, *q = source + block_bytes - 16;
        unsigned char *block = panel + (size_t)b * HONE_Q4_BLOCK_BYTES;
        memcpy(block + 2 * lane, source, 2);
        if (dtype == HONE_Q4_0) {
            uint16_t d;
            memcpy(&d, source, 2);
            uint16_t m = hone_f32_to_f16(-8.0f * hone_f16_to_f32(d));
            if ((m & 0x7FFF) == 0x7C00)
                atomic_store(overflow, true);
            memcpy(block + 32 + 2 * lane, &m, 2);
        } else
            memcpy(block + 32 + 2 * lane, source + 2, 2);
        /* In the file byte j holds inputs j (low) and j+16 (high); in the panel word g holds inputs 8g..8g+7. */
        uint64_t lo, hi;
        memcpy(&lo, q, 8);
        memcpy(&hi, q + 8, 8);
        const uint64_t halves[4] = {lo & 0x0F0F0F0F0F0F0F0Full, hi & 0x0F0F0F0F0F0F0F0Full,
                                    lo >> 4 & 0x0F0F0F0F0F0F0F0Full, hi >> 4 & 0x0F0F0F0F0F0F0F0Full};
        for (int g = 0; g < 4; g++) {
            uint64_t v = halves[g]; /* eight nibbles, one a byte -> one word */
            v = (v | v >> 4) & 0x00FF00FF00FF00FFull;
            v = (v | v >> 8) & 0x0000FFFF0000FFFFull;
            uint32_t word = (uint32_t)(v | v >> 16);
            memcpy(block + 64 + (g * HONE_PANEL + lane) * 4, &word, 4);
        }
    }
}

static void pack_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    pack_job *job = context;
    hone_weight *w = job->w;
    unsigned char *panel = w->data + (size_t)piece * w->panel_bytes;
    for (int lane = 0; lane < HONE_PANEL && piece * HONE_PANEL + lane < w->n_out; lane++) {
        const unsigned char *row = job->rows + (size_t)(piece * HONE_PANEL + lane) * job->row_bytes;
        if (hone_block_is_known(job->dtype)) {
            if (!hone_block_pack_row(w->packing, job->dtype, w->n_in, row, lane, panel))
                atomic_store(&job->overflow, true);
            continue;
        }
        switch (w->packing) {
        case HONE_PACK_Q4:
            pack_q4_row(panel, lane, row, w->n_in, job->dtype, &job->overflow);
            break;
        case HONE_PACK_Q8:
            for (int64_t b = 0; b < w->n_in / 32; b++) {
                unsigned char *block = panel + (size_t)b * HONE_Q8_BLOCK_BYTES;
                memcpy(block + 2 * lane, row + b * 34, 2);
                for (int i = 0; i < 32; i++)
                    block[32 + i * HONE_PANEL + lane] = row[b * 34 + 2 + i];
            }
            break;
        case HONE_PACK_F32:
            for (int64_t k = 0; k < w->n_in; k++)
                memcpy(panel + (k * HONE_PANEL + lane) * 4, row + k * 4, 4);
            break;
        default:
            for (int64_t k = 0; k < w->n_in; k++)
                memcpy(panel + (k * HONE_PANEL + lane) * 2, row + k * 2, 2);
        }
    }
}

hone_status hone_weight_pack(hone_ops *ops, hone_dtype dtype, int64_t n_out, int64_t n_in, const void *rows,
                             size_t bytes, hone_weight **out, hone_error *err)
{
    *out = NULL;
    hone_packing packing;
    switch (dtype) {
    case HONE_F32:
        packing = HONE_PACK_F32;
        break;
    case HONE_F16:
        packing = HONE_PACK_F16;
        break;
    case HONE_BF16:
        packing = HONE_PACK_BF16;
        break;
    case HONE_Q8_0:
        packing = HONE_PACK_Q8;
        break;
    case HONE_Q4_0:
    case HONE_Q4_1:
        packing = HONE_PACK_Q4;
        break;
    case HONE_Q5_0:
    case HONE_Q5_1:
    case HONE_Q4_K:
    case HONE_Q5_K:
    case HONE_Q6_K:
        packing = hone_block_packing(dtype);
        break;
    default: {
        const hone_dtype_info *info = hone_dtype_get_info(dtype);
        return hone_fail(err, HONE_UNSUPPORTED,
                         "weights of type %s; hone computes with " HONE_DTYPE_NAMES ": get the model in one of "
                         "these, or requantise it with llama.cpp's llama-quantize",
                         info ? info->name : "unknown");
    }
    }
    const hone_dtype_info *info = hone_dtype_get_info(dtype);
    if (n_out < 1 || n_in < 1 || n_in % info->block_weights != 0)
        return hone_fail(err, HONE_BAD_FORMAT, "a weight matrix of %lld x %lld in blocks of %d", (long long)n_out,
                         (long long)n_in, info->block_weights);
    size_t row_bytes = (size_t)(n_in / info->block_weights) * (size_t)info->block_bytes;
    if (bytes / row_bytes < (size_t)n_out)
        return hone_fail(err, HONE_BAD_FORMAT, "a weight matrix of %lld x %lld needs %zu bytes, not %zu",
                         (long long)n_out, (long long)n_in, row_bytes * (size_t)n_out, bytes);
    hone_status status = hone_ops_reserve_pairs(ops, n_in, err);
    if (status != HONE_OK)
        return status;
    hone_weight *w = calloc(1, sizeof *w);
    if (!w)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    *w = (hone_weight){.packing = packing,
                       .n_out = n_out,
                       .n_in = n_in,
                       .n_panels = (n_out + HONE_PANEL - 1) / HONE_PANEL,
                       .panel_bytes = panel_bytes_of(packing, n_in)};
    w->bytes = w->panel_bytes * (size_t)w->n_panels;
    if (!place_weight(ops, w)) {
        size_t wanted = w->bytes;
        free(w);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a weight matrix of %zu bytes", wanted);
    }
    pack_job job = {w, dtype, rows, row_bytes, false};
    hone_thread_pool_run(ops->pool, w->n_panels, pack_piece, &job);
    if (job.overflow) {
        hone_weight_free(w);
        return hone_fail(err, HONE_BAD_FORMAT, "a %s scale beyond %d; the file is damaged", info->name,
                         dtype == HONE_Q4_0 ? 8188 : 4094);
    }
    *out = w;
    return HONE_OK;
}

void hone_weight_free(hone_weight *w)
{
    if (!w)
        return;
    if (w->chunk) {
        w->chunk->n_weights--;
        release_chunk(w->chunk);
    }
    free(w);
}

int64_t hone_weight_n_out(const hone_weight *w)
{
    return w->n_out;
}

int64_t hone_weight_n_in(const hone_weight *w)
{
    return w->n_in;
}

size_t hone_weight_bytes(const hone_weight *w)
{
    return w->bytes;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Height of the first tile of m rows: one lower than the others where only that can expand as it multiplies. */
static int64_t first_tile_height(const hone_kernels *kernels, hone_packing packing, int64_t m)
{
    int64_t height = hone_tile_height(m), lower = HONE_TILE_ROWS - 1;
    bool better = !kernels->expand_tile[packing][height] && kernels->expand_tile[packing][lower];
    return better && m >= 2 * HONE_TILE_ROWS ? lower : height;
}

/* Tiles over rows of an f32 panel where it lies, asking meanwhile for the panel that comes next, `ahead` bytes further
 * on: 16 KiB that would otherwise be waited for line by line in the first tile. */
static void f32_panel_rows(const hone_kernels *kernels, int64_t rows, int64_t k, const hone_real *x, int64_t x_stride,
                           const hone_real *panel, int64_t ahead, hone_real *y, int64_t y_stride, bool add)
{
    enum { ROWS_AT_ONCE = 4 * HONE_TILE_ROWS, LINE = 64 };
    const char *next = (const char *)panel + ahead, *end = next + (size_t)(k * HONE_PANEL) * sizeof *panel;
    int64_t groups = (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, share = (end - next) / LINE / groups + 1;
    for (int64_t row = 0, n; row < rows; row += n) {
        n = rows - row < ROWS_AT_ONCE + HONE_TILE_ROWS ? rows - row : ROWS_AT_ONCE; /* no low tile is left over */
        for (int64_t i = 0; i < share && next < end; i++, next += LINE)
            __builtin_prefetch(next, 0, 2);
        hone_tile_rows(kernels, n, k, x + row * x_stride, x_stride, 1, panel, HONE_PANEL, y + row * y_stride, y_stride,
                       add);
    }
}

/* A float32 panel is what the tiles read, unless their numbers are doubles. */
static bool lies_ready(const hone_weight *w)
{
    return w->packing == HONE_PACK_F32 && sizeof(hone_real) == sizeof(float);
}

/* What the class bf16 has of this job, from row0 on. */
static const hone_pair *input_pairs(const hone_linear_run *run, const hone_linear_job *job, int64_t row0)
{
    return run->inputs[job - run->jobs] + row0 * ((job->w->n_in + 1) / 2);
}

/* Inputs [k0,k1) of one panel over rows [row0,row1); `ahead`: bytes from this piece of it to the next one. scratch: the
 * expanded panel, then an edge row: the columns of a last panel that has fewer than 16 outputs are computed there and
 * copied. */
static void panel_rows(const hone_linear_run *run, const hone_linear_job *job, int64_t panel, int64_t row0,
                       int64_t row1, int64_t k0, int64_t k1, int64_t ahead, hone_real *scratch)
{
    const hone_kernels *kernels = &run->ops->kernels;
    const hone_weight *w = job->w;
    if (run->ops->numerics == HONE_NUMERICS_BF16) {
        hone_pair_panel_rows(kernels, w, panel, k0, k1, row1 - row0, input_pairs(run, job, row0),
                             job->y + row0 * job->y_stride + panel * HONE_PANEL, job->y_stride, scratch);
        return;
    }
    const unsigned char *data = w->data + (size_t)panel * w->panel_bytes;
    int64_t columns = min64(HONE_PANEL, w->n_out - panel * HONE_PANEL);
    const hone_real *x = job->x + row0 * job->x_stride + k0;
    hone_real *y = job->y + row0 * job->y_stride + panel * HONE_PANEL, *edge = scratch + 2 * HONE_K_CHUNK * HONE_PANEL;
    int64_t first = first_tile_height(kernels, w->packing, row1 - row0);
    const hone_real *values = scratch;
    hone_expand_tile_kernel both = columns == HONE_PANEL ? kernels->expand_tile[w->packing][first] : NULL;
    if (lies_ready(w))
        values = (const hone_real *)data + k0 * HONE_PANEL;
    else if (both) {
        both(data, k0, k1, x, job->x_stride, y, job->y_stride, k0 > 0, scratch);
        row0 += first;
        x += first * job->x_stride;
        y += first * job->y_stride;
    } else
        kernels->expand[w->packing](data, k0, k1, scratch);
    if (columns == HONE_PANEL && lies_ready(w)) {
        f32_panel_rows(kernels, row1 - row0, k1 - k0, x, job->x_stride, values, ahead, y, job->y_stride, k0 > 0);
        return;
    }
    if (columns == HONE_PANEL) {
        hone_tile_rows(kernels, row1 - row0, k1 - k0, x, job->x_stride, 1, values, HONE_PANEL, y, job->y_stride,
                       k0 > 0);
        return;
    }
    for (int64_t i = row0; i < row1; i++) {
        kernels->tile[1](k1 - k0, x, job->x_stride, 1, values, HONE_PANEL, edge, HONE_PANEL, false);
        for (int64_t j = 0; j < columns; j++)
            y[j] = k0 > 0 ? y[j] + edge[j] : edge[j];
        x += job->x_stride;
        y += job->y_stride;
    }
}

void hone_linear_piece(void *context, int64_t piece, int thread)
{
    const hone_linear_run *run = context;
    int j = 0;
    while (piece >= run->first_piece[j + 1])
        j++;
    const hone_linear_job *job = &run->jobs[j];
    const hone_weight *w = job->w;
    piece -= run->first_piece[j];
    int64_t block = piece % run->n_blocks, group = piece / run->n_blocks;
    int64_t panel0 = group * w->n_panels / run->groups[j], panel1 = (group + 1) * w->n_panels / run->groups[j];
    int64_t row0 = block * run->rows_per_block, row1 = min64(row0 + run->rows_per_block, run->n_rows);
    hone_real *scratch = run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS;
    bool bf16 = run->ops->numerics == HONE_NUMERICS_BF16;
    hone_pair_gemv_kernel pair_gemv = run->ops->kernels.pair_gemv[w->packing];
    hone_gemv_kernel gemv = run->ops->kernels.gemv[w->packing];
    if (bf16 && run->n_rows == 1 && pair_gemv && panel1 * HONE_PANEL <= w->n_out) {
        pair_gemv(w->data + (size_t)panel0 * w->panel_bytes, w->panel_bytes, (int)(panel1 - panel0), w->n_in,
                  input_pairs(run, job, 0), job->y + panel0 * HONE_PANEL);
        return;
    }
    if (!bf16 && run->n_rows == 1 && gemv && panel1 * HONE_PANEL <= w->n_out) {
        gemv(w->data + (size_t)panel0 * w->panel_bytes, w->panel_bytes, (int)(panel1 - panel0), w->n_in, job->x,
             job->y + panel0 * HONE_PANEL);
        return;
    }
    if ((row1 - row0) * w->n_in <= CACHED_FLOATS) { /* x stays near: read the weights in the order of memory */
        for (int64_t panel = panel0; panel < panel1; panel++)
            for (int64_t k0 = 0; k0 < w->n_in; k0 += HONE_K_CHUNK)
                panel_rows(run, job, panel, row0, row1, k0, min64(k0 + HONE_K_CHUNK, w->n_in),
                           HONE_K_CHUNK * HONE_PANEL * (int64_t)sizeof(hone_real), scratch);
        return;
    }
    for (int64_t k0 = 0; k0 < w->n_in; k0 += HONE_K_CHUNK)
        for (int64_t panel = panel0; panel < panel1; panel++)
            panel_rows(run, job, panel, row0, row1, k0, min64(k0 + HONE_K_CHUNK, w->n_in), (int64_t)w->panel_bytes,
                       scratch);
}

void hone_split_rows(int64_t n_rows, int64_t most, int64_t tile, int64_t *rows_per_block, int64_t *n_blocks)
{
    int64_t blocks = (n_rows + most - 1) / most;
    int64_t rows = (n_rows + blocks - 1) / blocks;
    *rows_per_block = (rows + tile - 1) / tile * tile;
    *n_blocks = (n_rows + *rows_per_block - 1) / *rows_per_block;
}

/* Rows of these products that are computed in one go. */
static int64_t rows_at_once(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows)
{
    return ops->numerics == HONE_NUMERICS_BF16 ? min64(n_rows, hone_pair_rows_at_once(ops, jobs, n_jobs)) : n_rows;
}

bool hone_linear_is_one_go(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows)
{
    return rows_at_once(ops, jobs, n_jobs, n_rows) == n_rows;
}

int64_t hone_linear_divide(hone_linear_run *run, hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows)
{
    *run = (hone_linear_run){.ops = ops, .jobs = jobs, .n_jobs = n_jobs, .n_rows = n_rows};
    if (ops->numerics == HONE_NUMERICS_BF16) {
        hone_pair_round_inputs(ops, jobs, n_jobs, n_rows, run->inputs);
        hone_split_rows(n_rows, HONE_PAIR_ROW_BLOCK, HONE_PAIR_TILE_ROWS, &run->rows_per_block, &run->n_blocks);
    } else
        hone_split_rows(n_rows, ROW_BLOCK, HONE_TILE_ROWS, &run->rows_per_block, &run->n_blocks);
    for (int j = 0; j < n_jobs; j++) {
        /* Near-equal groups, as many for each thread: the last to finish decides how long a small product takes. */
        int64_t groups = (jobs[j].w->n_panels + PANEL_GROUP - 1) / PANEL_GROUP;
        groups = (groups + ops->n_threads - 1) / ops->n_threads * ops->n_threads;
        run->groups[j] = min64(groups, jobs[j].w->n_panels);
        run->first_piece[j + 1] = run->first_piece[j] + run->groups[j] * run->n_blocks;
    }
    return run->first_piece[n_jobs];
}

void hone_op_linear(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows)
{
    if (n_rows < 1 || n_jobs < 1)
        return;
    int64_t at_once = rows_at_once(ops, jobs, n_jobs, n_rows);
    for (int64_t row = 0; row < n_rows; row += at_once) {
        hone_linear_job part[HONE_LINEAR_MOST_JOBS];
        for (int j = 0; j < n_jobs; j++) {
            part[j] = jobs[j];
            part[j].x += row * jobs[j].x_stride;
            part[j].y += row * jobs[j].y_stride;
        }
        hone_linear_run run;
        int64_t pieces = hone_linear_divide(&run, ops, part, n_jobs, min64(at_once, n_rows - row));
        hone_thread_pool_run(ops->pool, pieces, hone_linear_piece, &run);
    }
}

typedef struct backward_run {
    hone_ops *ops;
    const hone_weight *w;
    int64_t n_rows, rows_per_block, n_blocks;
    const hone_real *dy;
    int64_t dy_stride;
    hone_real *dx;
    int64_t dx_stride;
    bool add;
} backward_run;

/* dx[rows][input panel] for one group of input panels: the roles of inputs and outputs are exchanged, K runs over
 * outputs. */
static void backward_piece(void *context, int64_t piece, int thread)
{
    const backward_run *run = context;
    const hone_weight *w = run->w;
    const hone_kernels *kernels = &run->ops->kernels;
    int64_t block = piece % run->n_blocks, group = piece / run->n_blocks;
    int64_t row0 = block * run->rows_per_block, row1 = min64(row0 + run->rows_per_block, run->n_rows);
    int64_t in0 = group * BACKWARD_GROUP * HONE_PANEL, in1 = min64(in0 + BACKWARD_GROUP * HONE_PANEL, w->n_in);
    hone_real *scratch = run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS;
    hone_real expanded[BACKWARD_GROUP * HONE_PANEL * HONE_PANEL] __attribute__((aligned(64)));
    hone_real edge[HONE_PANEL] __attribute__((aligned(64)));
    for (int64_t o0 = 0; o0 < w->n_out; o0 += HONE_K_CHUNK) {
        int64_t o1 = min64(o0 + HONE_K_CHUNK, w->n_out);
        for (int64_t o = o0; o < o1; o += HONE_PANEL) {
            kernels->expand[w->packing](w->data + (size_t)(o / HONE_PANEL) * w->panel_bytes, in0, in1, expanded);
            for (int64_t i = in0; i + HONE_PANEL <= in1; i += HONE_PANEL)
                kernels->transpose16(
                    expanded + (i - in0) * HONE_PANEL, HONE_PANEL,
                    scratch + (i - in0) / HONE_PANEL * HONE_K_CHUNK * HONE_PANEL + (o - o0) * HONE_PANEL, HONE_PANEL);
            int64_t tail = (in1 - in0) % HONE_PANEL; /* only plain types have rows that do not divide into 32 */
            if (tail) {
                int64_t i = in1 - tail;
                hone_real *to = scratch + (i - in0) / HONE_PANEL * HONE_K_CHUNK * HONE_PANEL + (o - o0) * HONE_PANEL;
                for (int r = 0; r < HONE_PANEL; r++)
                    for (int c = 0; c < HONE_PANEL; c++)
                        to[r * HONE_PANEL + c] = c < tail ? expanded[(i - in0 + c) * HONE_PANEL + r] : 0;
            }
        }
        bool add = run->add || o0 > 0;
        const hone_real *dy = run->dy + row0 * run->dy_stride + o0;
        for (int64_t i = in0; i < in1; i += HONE_PANEL) {
            const hone_real *b = scratch + (i - in0) / HONE_PANEL * HONE_K_CHUNK * HONE_PANEL;
            hone_real *dx = run->dx + row0 * run->dx_stride + i;
            if (i + HONE_PANEL <= in1) {
                hone_tile_rows(kernels, row1 - row0, o1 - o0, dy, run->dy_stride, 1, b, HONE_PANEL, dx, run->dx_stride,
                               add);
                continue;
            }
            for (int64_t r = 0; r < row1 - row0; r++) {
                kernels->tile[1](o1 - o0, dy + r * run->dy_stride, 0, 1, b, HONE_PANEL, edge, HONE_PANEL, false);
                for (int64_t c = 0; c < in1 - i; c++)
                    dx[r * run->dx_stride + c] = add ? dx[r * run->dx_stride + c] + edge[c] : edge[c];
            }
        }
    }
}

void hone_op_linear_backward(hone_ops *ops, const hone_weight *w, int64_t n_rows, const hone_real *dy,
                             int64_t dy_stride, hone_real *dx, int64_t dx_stride, bool add)
{
    if (n_rows < 1)
        return;
    if (ops->numerics == HONE_NUMERICS_BF16) {
        hone_pair_linear_backward(ops, w, n_rows, dy, dy_stride, dx, dx_stride, add);
        return;
    }
    backward_run run = {.ops = ops,
                        .w = w,
                        .n_rows = n_rows,
                        .dy = dy,
                        .dy_stride = dy_stride,
                        .dx = dx,
                        .dx_stride = dx_stride,
                        .add = add};
    hone_split_rows(n_rows, ROW_BLOCK, HONE_TILE_ROWS, &run.rows_per_block, &run.n_blocks);
    int64_t groups = (w->n_in + BACKWARD_GROUP * HONE_PANEL - 1) / (BACKWARD_GROUP * HONE_PANEL);
    hone_thread_pool_run(ops->pool, groups * run.n_blocks, backward_piece, &run);
}

typedef struct embed_run {
    hone_ops *ops;
    const hone_weight *w;
    const int32_t *ids;
    hone_real *y;
} embed_run;

static void embed_piece(void *context, int64_t piece, int thread)
{
    const embed_run *run = context;
    const hone_weight *w = run->w;
    int64_t id = run->ids[piece];
    hone_real *scratch = run->ops->scratch + (size_t)thread * HONE_SCRATCH_FLOATS, *y = run->y + piece * w->n_in;
    for (int64_t k0 = 0; k0 < w->n_in; k0 += HONE_K_CHUNK) {
        int64_t k1 = min64(k0 + HONE_K_CHUNK, w->n_in);
        run->ops->kernels.expand[w->packing](w->data + (size_t)(id / HONE_PANEL) * w->panel_bytes, k0, k1, scratch);
        for (int64_t k = k0; k < k1; k++)
            y[k] = scratch[(k - k0) * HONE_PANEL + id % HONE_PANEL];
    }
}

void hone_op_embed(hone_ops *ops, const hone_weight *w, int64_t n_rows, const int32_t *ids, hone_real *y)
{
    embed_run run = {ops, w, ids, y};
    hone_thread_pool_run(ops->pool, n_rows, embed_piece, &run);
}
