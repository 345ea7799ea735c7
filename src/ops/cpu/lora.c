/* lora.c - what low-rank adapters add to the linear layers: y += scale * (x A^T) B^T (Hu et al. 2021, arXiv 2106.09685,
 * section 4.1), for any number of adapters, each on its own rows, at once.
 *
 * A batch in which every row has an adapter of its own makes many tiny products. They share two rounds of the thread
 * pool, all x A^T and then all B, instead of two each, and no adapter is padded to another's rank. The first round runs
 * beside the products of the linear layers themselves: many adapters wait for memory, while those wait for nothing. A
 * and B lie in panels of 16 outputs, [n_in][16] and [rank][16], so that a product reads its matrix from one end to the
 * other. K runs in order in chunks of HONE_K_CHUNK as everywhere: a row has the same bits alone and among others. */
#include "ops/cpu/linear.h"

enum {
    ROWS = 96,          /* of one piece */
    FEW_ROWS = 8,       /* up to here a piece is made wide instead: */
    PANELS = 4,         /* panels of y in a piece of many rows */
    PANELS_OF_FEW = 32, /* and of few */
    MOST_JOBS = 256     /* in one round */
};

typedef struct lora_run {
    hone_ops *ops;
    const hone_lora_job *jobs;
    int n_jobs;
    int64_t first_piece[MOST_JOBS + 1]; /* of each job */
} lora_run;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t blocks(int64_t n, int64_t of)
{
    return (n + of - 1) / of;
}

static const hone_lora_job *find_job(const lora_run *run, int64_t piece, int64_t *within)
{
    int low = 0, high = run->n_jobs;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        *(run->first_piece[middle] <= piece ? &low : &high) = middle;
    }
    *within = piece - run->first_piece[low];
    return &run->jobs[low];
}

/* c[rows][0..columns) = (add: +=) a b, K in chunks; a panel that c does not fill goes through `edge`. */
static void multiply(const hone_kernels *kernels, int64_t rows, int64_t k, const hone_real *a, int64_t a_row,
                     const hone_real *panel, hone_real *c, int64_t c_row, int64_t columns, bool add)
{
    hone_real edge[HONE_PANEL] __attribute__((aligned(64)));
    for (int64_t k0 = 0; k0 < k; k0 += HONE_K_CHUNK) {
        int64_t n = min64(HONE_K_CHUNK, k - k0);
        bool onto = add || k0 > 0;
        if (columns >= HONE_PANEL) {
            hone_tile_rows(kernels, rows, n, a + k0, a_row, 1, panel + k0 * HONE_PANEL, HONE_PANEL, c, c_row, onto);
            continue;
        }
        for (int64_t i = 0; i < rows; i++) {
            kernels->tile[1](n, a + i * a_row + k0, a_row, 1, panel + k0 * HONE_PANEL, HONE_PANEL, edge, HONE_PANEL,
                             false);
            for (int64_t j = 0; j < columns; j++)
                c[i * c_row + j] = onto ? c[i * c_row + j] + edge[j] : edge[j];
        }
    }
}

static int64_t low_pieces(const hone_lora_job *job)
{
    return blocks(job->n_rows, ROWS) * blocks(job->rank, HONE_PANEL);
}

static void low_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const lora_run *run = context;
    int64_t within;
    const hone_lora_job *job = find_job(run, piece, &within);
    int64_t row0 = within / blocks(job->rank, HONE_PANEL) * ROWS, rows = min64(ROWS, job->n_rows - row0);
    int64_t p = within % blocks(job->rank, HONE_PANEL), columns = min64(HONE_PANEL, job->rank - p * HONE_PANEL);
    hone_real *low = job->low + row0 * job->rank + p * HONE_PANEL;
    multiply(&run->ops->kernels, rows, job->n_in, job->x + row0 * job->n_in, job->n_in,
             job->a_panels + p * job->n_in * HONE_PANEL, low, job->rank, columns, false);
    for (int64_t i = 0; i < rows; i++)
        run->ops->kernels.scale(columns, job->scale, low + i * job->rank);
}

static int64_t panels_of_piece(const hone_lora_job *job)
{
    return job->n_rows > FEW_ROWS ? PANELS : PANELS_OF_FEW;
}

static int64_t y_pieces(const hone_lora_job *job)
{
    return blocks(job->n_rows, ROWS) * blocks(blocks(job->n_out, HONE_PANEL), panels_of_piece(job));
}

static void y_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const lora_run *run = context;
    int64_t within;
    const hone_lora_job *job = find_job(run, piece, &within);
    int64_t n_panels = blocks(job->n_out, HONE_PANEL), each = panels_of_piece(job), wide = blocks(n_panels, each);
    int64_t row0 = within / wide * ROWS, rows = min64(ROWS, job->n_rows - row0), p0 = within % wide * each;
    for (int64_t p = p0; p < min64(p0 + each, n_panels); p++) {
        int64_t columns = min64(HONE_PANEL, job->n_out - p * HONE_PANEL);
        hone_real *y = job->y + row0 * job->n_out + p * HONE_PANEL;
        multiply(&run->ops->kernels, rows, job->rank, job->low + row0 * job->rank, job->rank,
                 job->b_panels + p * job->rank * HONE_PANEL, y, job->n_out, columns, true);
        for (int64_t i = 0; job->gain && i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                y[i * job->n_out + j] *= job->gain[p * HONE_PANEL + j];
    }
}

/* The pieces of x A^T in n_groups groups, then those of the linear layers: threads begin far apart, some with what
 * waits for memory, the others with what computes. */
typedef struct first_round {
    lora_run lora;
    hone_linear_run linear;
    int64_t n_low, n_groups;
} first_round;

static void first_round_piece(void *context, int64_t piece, int thread)
{
    first_round *round = context;
    if (piece >= round->n_groups) {
        hone_linear_piece(&round->linear, piece - round->n_groups, thread);
        return;
    }
    for (int64_t i = round->n_low * piece / round->n_groups; i < round->n_low * (piece + 1) / round->n_groups; i++)
        low_piece(&round->lora, i, thread);
}

void hone_op_linear_lora(hone_ops *ops, const hone_linear_job *linears, int n_linears, int64_t n_rows,
                         const hone_lora_job *jobs, int n_jobs)
{
    if (n_jobs < 1 || (n_linears > 0 && !hone_linear_is_one_go(ops, linears, n_linears, n_rows))) {
        hone_op_linear(ops, linears, n_linears, n_rows);
        n_linears = 0;
    }
    for (int start = 0; start < n_jobs; start += MOST_JOBS) {
        first_round round = {
            .lora = {.ops = ops, .jobs = jobs + start, .n_jobs = (int)min64(MOST_JOBS, n_jobs - start)}};
        lora_run *run = &round.lora;
        for (int i = 0; i < run->n_jobs; i++)
            run->first_piece[i + 1] = run->first_piece[i] + low_pieces(&run->jobs[i]);
        round.n_low = round.n_groups = run->first_piece[run->n_jobs];
        int64_t beside = 0;
        if (start == 0 && n_linears > 0) {
            beside = hone_linear_divide(&round.linear, ops, linears, n_linears, n_rows);
            round.n_groups = min64(round.n_groups, beside);
        }
        hone_thread_pool_run(ops->pool, round.n_groups + beside, first_round_piece, &round);
        for (int i = 0; i < run->n_jobs; i++)
            run->first_piece[i + 1] = run->first_piece[i] + y_pieces(&run->jobs[i]);
        hone_thread_pool_run(ops->pool, run->first_piece[run->n_jobs], y_piece, run);
    }
}

void hone_op_lora(hone_ops *ops, const hone_lora_job *jobs, int n_jobs)
{
    hone_op_linear_lora(ops, NULL, 0, 0, jobs, n_jobs);
}

size_t hone_lora_panel_floats(int64_t n_out, int64_t n_in)
{
    return (size_t)(blocks(n_out, HONE_PANEL) * HONE_PANEL * n_in);
}

void hone_op_lora_pack(hone_ops *ops, int64_t n_out, int64_t n_in, const hone_real *w, int64_t w_out, int64_t w_in,
                       hone_real *panels)
{
    for (int64_t p = 0; p < n_out; p += HONE_PANEL) {
        hone_real *panel = panels + p * n_in;
        int64_t lanes = min64(HONE_PANEL, n_out - p);
        const hone_real *from = w + p * w_out;
        int64_t k = 0;
        if (lanes == HONE_PANEL && w_in == 1)
            for (; k + 16 <= n_in; k += 16)
                ops->kernels.transpose16(from + k, w_out, panel + k * HONE_PANEL, HONE_PANEL);
        for (; k < n_in; k++)
            for (int64_t j = 0; j < HONE_PANEL; j++)
                panel[k * HONE_PANEL + j] = j < lanes ? from[j * w_out + k * w_in] : 0;
    }
}
