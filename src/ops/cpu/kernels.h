/* kernels.h - the kernel table of one instruction set, and the packed layouts that kernels share.
 *
 * A panel holds HONE_PANEL (16) outputs of a weight matrix for all n_in inputs, padded with zeros to 16 outputs:
 *
 *   f32, f16, bf16   [n_in][16] elements
 *   q8               per 32 inputs: d f16[16], then int8 [32][16]                        (544 bytes)
 *   q4               per 32 inputs: d f16[16], m f16[16], then u32 [4][16]: word g of an output holds inputs 8g..8g+7,
 *                    input 8g+j in bits 4j..4j+3                                          (320 bytes)
 *   q5 q4k q5k q6k   blocks.h
 *
 * Q4_0 is packed as q4 with m = -8 d, which is exact. Expansion: q4 fma(q, d, m); q8 q * d; both round once.
 *
 * All kernels of all sets give the same bits: the scalar set says what they are.
 *
 * The numerics class bf16 multiplies pairs: a hone_pair holds the bfloat16 of an even k in its upper half and that of
 * k + 1, or a zero, in the lower one. The order is that of VDPBF16PS, which adds the upper product first, so that K
 * runs in order: acc = flush(fma(x, w, acc)), for the even k, then for the odd one (portable/bf16.c). */
#ifndef HONE_OPS_CPU_KERNELS_H
#define HONE_OPS_CPU_KERNELS_H

#include "ops/ops.h"

typedef enum hone_packing {
    HONE_PACK_F32,
    HONE_PACK_F16,
    HONE_PACK_BF16,
    HONE_PACK_Q8,
    HONE_PACK_Q4,
    HONE_PACK_Q5, /* these four: blocks.h */
    HONE_PACK_Q4K,
    HONE_PACK_Q5K,
    HONE_PACK_Q6K,
    HONE_N_PACKINGS
} hone_packing;

enum {
    HONE_TILE_ROWS = 6,       /* most rows a tile kernel takes */
    HONE_TALL_TILE_ROWS = 12, /* rows of the tall tile */
    HONE_PAIR_TILE_ROWS = 10, /* most rows a tile of pairs takes: VDPBF16PS takes 6 cycles, twice an FMA's share */
    HONE_GEMV_PANELS = 4,     /* most panels a matrix-vector kernel takes at once (1 is allowed) */
    HONE_Q8_BLOCK_BYTES = 32 + 512,
    HONE_Q4_BLOCK_BYTES = 64 + 256
};

/* C[i][0..16) = sum over k of a[i*a_row + k*a_k] * b[k*b_k + 0..16), i < rows; add: C += that sum. Any k >= 0. */
typedef void (*hone_tile_kernel)(int64_t k, const hone_real *a, int64_t a_row, int64_t a_k, const hone_real *b,
                                 int64_t b_k, hone_real *c, int64_t c_row, bool add);
/* Inputs [k0,k1) of one panel to out[k-k0][16]. But for plain types, k0 is a multiple of 32 and so is k1 - k0. */
typedef void (*hone_expand_kernel)(const void *panel, int64_t k0, int64_t k1, hone_real *out);
/* Both at once: out as expand makes it, and the tile of inputs [k0,k1) over the first rows (1..6) with A's rows a_row
 * apart. The expansion then runs in the shadow of the multiply-adds, which counts where rows are few. */
typedef void (*hone_expand_tile_kernel)(const void *panel, int64_t k0, int64_t k1, const hone_real *a, int64_t a_row,
                                        hone_real *c, int64_t c_row, bool add, hone_real *out);
/* y[0..16*n_panels) = W x over all n_in inputs, chunked as HONE_K_CHUNK says; panels are panel_bytes apart. */
typedef void (*hone_gemv_kernel)(const void *panels, size_t panel_bytes, int n_panels, int64_t n_in, const hone_real *x,
                                 hone_real *y);

typedef uint32_t hone_pair;
/* The same in the class bf16. C[i][0..16) = sum over p of x[i*x_row + p] . b[p*16 + 0..16), i < rows; add: C += that.
 */
typedef void (*hone_pair_tile_kernel)(int64_t n_pairs, const hone_pair *x, int64_t x_row, const hone_pair *b,
                                      hone_real *c, int64_t c_row, bool add);
/* Inputs [k0,k1) of one panel, expanded as above and then rounded, to out[(k-k0)/2][16]. k0 is even. */
typedef void (*hone_pair_expand_kernel)(const void *panel, int64_t k0, int64_t k1, hone_pair *out);
typedef void (*hone_pair_expand_tile_kernel)(const void *panel, int64_t k0, int64_t k1, const hone_pair *x,
                                             int64_t x_row, hone_real *c, int64_t c_row, bool add, hone_pair *out);
typedef void (*hone_pair_gemv_kernel)(const void *panels, size_t panel_bytes, int n_panels, int64_t n_in,
                                      const hone_pair *x, hone_real *y);

/* Attention of a few rows (1..HONE_TILE_ROWS) over one page of keys or values. What is read once and comes from memory
 * is asked for in time: `ahead` is an array as long as the page's, of which the parts that answer to those read here
 * are prefetched; it may be the page itself. q and o have rows of dim, a multiple of HONE_PANEL. score:
 * scores[i][0..16) = sum over d of q[i][d] * keys[d][0..16), as a tile kernel would. weigh: o[i][d] = o[i][d] (go_on)
 * or 0, then o[i][d] = fma(p[i][j], values[j][d], o[i][d]) for j < n in order. */
typedef void (*hone_score_kernel)(int rows, int64_t dim, const hone_real *q, const hone_real *keys,
                                  const hone_real *ahead, hone_real *scores, int64_t scores_row);
typedef void (*hone_weigh_kernel)(int rows, int64_t n, int64_t dim, const hone_real *p, int64_t p_row,
                                  const hone_real *values, const hone_real *ahead, hone_real *o, bool go_on);

/* Of a row's scores over one block of positions: the greatest, scaled, and the sum of exp(scaled - greatest). */
typedef struct hone_softmax_part {
    hone_real top, sum;
} hone_softmax_part;

typedef struct hone_kernels {
    const char *isa;
    hone_tile_kernel tile[HONE_TILE_ROWS + 1]; /* by number of rows, 1..6 */
    hone_tile_kernel tall_tile;                /* NULL: a set without registers for so many sums */
    hone_expand_kernel expand[HONE_N_PACKINGS];
    /* by number of rows; NULL: expand, then the tile */
    hone_expand_tile_kernel expand_tile[HONE_N_PACKINGS][HONE_TILE_ROWS + 1];
    hone_gemv_kernel gemv[HONE_N_PACKINGS]; /* NULL: expand and use the tile */
    void (*transpose16)(const hone_real *x, int64_t x_row, hone_real *y,
                        int64_t y_row); /* y[j][i] = x[i][j], 16 x 16 */
    hone_score_kernel score_page;
    hone_weigh_kernel weigh_page;

    /* bf16.c: the products of the class bf16, compiled once for each instruction set; NULL as above */
    const char *pair_isa; /* the set these are from: "avx512_bf16" where the processor has the instruction */
    hone_pair_tile_kernel pair_tile[HONE_PAIR_TILE_ROWS + 1];
    /* n inputs of an expanded panel, [n][16], to pairs */
    void (*pair_weave)(int64_t n, const hone_real *w, hone_pair *out);
    hone_pair_expand_kernel pair_expand[HONE_N_PACKINGS]; /* NULL: expand, then weave */
    hone_pair_expand_tile_kernel pair_expand_tile[HONE_N_PACKINGS][HONE_PAIR_TILE_ROWS + 1];
    hone_pair_gemv_kernel pair_gemv[HONE_N_PACKINGS];
    void (*pair_round)(int64_t n, const hone_real *x, hone_pair *out); /* n numbers to (n + 1) / 2 pairs */
    /* y[p][k] = the pair of x[k][2p] and x[k][2p+1], x 16 x 16 */
    void (*pair_transpose16)(const hone_real *x, hone_pair *y);
    void (*pair_burn)(int64_t rounds, hone_real *sink); /* rounds * 24 products of pairs on full vectors */

    /* rowwise.c, compiled once for each instruction set */
    void (*rms_norm)(int64_t dim, hone_real eps, const hone_real *x, const hone_real *w, hone_real *y, hone_real *rrms);
    void (*rms_norm_backward)(int64_t dim, const hone_real *x, const hone_real *w, hone_real rrms, const hone_real *dy,
                              hone_real *dx);
    void (*add)(int64_t n, const hone_real *x, hone_real *y);
    void (*scale)(int64_t n, hone_real factor, hone_real *x);
    void (*swiglu)(int64_t n, const hone_real *gate, const hone_real *up, hone_real *y);
    void (*swiglu_backward)(int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                            hone_real *dgate, hone_real *dup);
    void (*geglu)(int64_t n, const hone_real *gate, const hone_real *up, hone_real *y);
    void (*geglu_backward)(int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy, hone_real *dgate,
                           hone_real *dup);
    void (*rope_adjacent)(int64_t head_dim, const hone_real *cos_sin, hone_real *x, hone_real direction);
    void (*rope_half)(int64_t head_dim, const hone_real *cos_sin, hone_real *x, hone_real direction);
    /* n is a multiple of 16; values from n_valid on become 0: x = exp(scale*x - max) / sum. */
    void (*softmax)(int64_t n_valid, int64_t n, hone_real scale, hone_real *x);
    /* x = exp(scale*x - top), not divided by the sum; n as above, values before `first` become 0, first < n_valid */
    hone_softmax_part (*softmax_block)(int64_t first, int64_t n_valid, int64_t n, hone_real scale, hone_real *x);
    /* Weighted sums o and those of the next block of positions, x, become those of both (part too). */
    void (*softmax_join)(int64_t n, hone_softmax_part *part, hone_softmax_part next, hone_real *o, const hone_real *x);
    /* x = exp(scale*x - part.top) * part.sum, where sum is the reciprocal here; first and n as above */
    void (*softmax_again)(int64_t first, int64_t n_valid, int64_t n, hone_real scale, hone_softmax_part part,
                          hone_real *x);
    hone_real (*max)(int64_t n, const hone_real *x);
    double (*sum_exp)(int64_t n, hone_real max, const hone_real *x); /* sum of exp(x - max), n any */
    /* w = exp((x - top) / temperature); returns their sum */
    double (*weights)(int64_t n, hone_real top, double temperature, const hone_real *x, double *w);
    void (*cross_entropy_backward)(int64_t n, hone_real log_sum_exp, hone_real weight,
                                   hone_real *x);                        /* x = weight * exp(x - lse) */
    hone_real (*dot)(int64_t n, const hone_real *x, const hone_real *y); /* 16 lanes, then a tree */
    /* ds = p * (dp - delta) * scale */
    void (*softmax_backward)(int64_t n, hone_real delta, hone_real scale, const hone_real *p, const hone_real *dp,
                             hone_real *ds);
    double (*sum_squares)(int64_t n, const hone_real *x);
    void (*adamw)(int64_t n, const hone_adamw *settings, hone_real bias1, hone_real bias2_root, const hone_real *g,
                  hone_real *m, hone_real *v, hone_real *x);
    /* encoder.c, compiled once for each instruction set */
    void (*layer_norm)(int64_t dim, hone_real eps, const hone_real *x, const hone_real *residual, const hone_real *bias,
                       const hone_real *w, const hone_real *b, hone_real *y);
    void (*gelu)(int64_t n, const hone_real *bias, hone_real *x); /* x = gelu(x + bias) */
    void (*fma_burn)(int64_t rounds, hone_real *sink);            /* rounds * 24 fused multiply-adds on full vectors */
    int vector_floats;
} hone_kernels;

/* Fill the table: scalar for everything, then an instruction set over it. */
void hone_kernels_scalar(hone_kernels *table);
void hone_kernels_attention_scalar(hone_kernels *table);
void hone_kernels_rowwise_scalar(hone_kernels *table);
void hone_kernels_encoder_scalar(hone_kernels *table);
void hone_kernels_pairs_scalar(hone_kernels *table);
#if defined(__x86_64__)
bool hone_cpu_has_avx2(void);   /* with FMA and F16C */
bool hone_cpu_has_avx512(void); /* F, BW, DQ, VL */
bool hone_cpu_has_avx512_bf16(void);
void hone_kernels_avx2(hone_kernels *table);
void hone_kernels_attention_avx2(hone_kernels *table);
void hone_kernels_rowwise_avx2(hone_kernels *table);
void hone_kernels_encoder_avx2(hone_kernels *table);
void hone_kernels_avx512(hone_kernels *table);
void hone_kernels_attention_avx512(hone_kernels *table);
void hone_kernels_rowwise_avx512(hone_kernels *table);
void hone_kernels_encoder_avx512(hone_kernels *table);
void hone_kernels_pairs_avx2(hone_kernels *table);
void hone_kernels_pairs_avx512(hone_kernels *table);
void hone_kernels_avx512_bf16(hone_kernels *table);
#endif

enum { HONE_SCRATCH_FLOATS = 2 * HONE_K_CHUNK * HONE_PANEL + 6 * HONE_PANEL };

typedef struct hone_weight_chunk hone_weight_chunk;

struct hone_weight {
    hone_packing packing;
    int64_t n_out, n_in, n_panels;
    size_t panel_bytes, bytes;
    unsigned char *data;
    hone_weight_chunk *chunk; /* the memory that data lies in; NULL: the caller's */
};

struct hone_ops {
    hone_kernels kernels;
    hone_weight_chunk *weight_chunk; /* that the next packed weights go to; weight.c */
    hone_thread_pool *pool;
    int n_threads;
    hone_real *scratch;   /* [n_threads][HONE_SCRATCH_FLOATS], 64-byte aligned */
    hone_real *attention; /* [n_threads][attention_floats], from hone_ops_reserve_attention */
    int64_t attention_floats;
    hone_real *attention_split; /* [split_floats], shared: a row's blocks when all threads work on it */
    int64_t split_floats;
    hone_numerics numerics;
    hone_pair *pairs; /* [n_pairs]: activations rounded for the product that runs, class bf16 */
    size_t n_pairs;
};

/* ---- weight_bf16.c: the class bf16 ---- */
enum {
    HONE_PAIR_ROWS = 64,      /* that ops->pairs has room for at least */
    HONE_PAIR_ROW_BLOCK = 160 /* rows of one task: few enough that the last task to end is short */
};
/* Room for HONE_PAIR_ROWS rows of n numbers, and for a million pairs in any case; nothing in the class f32. */
hone_status hone_ops_reserve_pairs(hone_ops *ops, int64_t n, hone_error *err);
/* How many rows of the inputs of these jobs fit, and their rounding: inputs[j] is [n_rows][(n_in + 1) / 2]. */
int64_t hone_pair_rows_at_once(const hone_ops *ops, const hone_linear_job *jobs, int n_jobs);
void hone_pair_round_inputs(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows,
                            const hone_pair **inputs);
/* Inputs [k0,k1) of one panel over `rows` rows of x, [rows][(n_in + 1) / 2], to y, [rows][16 or what is left]. */
void hone_pair_panel_rows(const hone_kernels *kernels, const hone_weight *w, int64_t panel, int64_t k0, int64_t k1,
                          int64_t rows, const hone_pair *x, hone_real *y, int64_t y_stride, hone_real *scratch);
void hone_pair_linear_backward(hone_ops *ops, const hone_weight *w, int64_t n_rows, const hone_real *dy,
                               int64_t dy_stride, hone_real *dx, int64_t dx_stride, bool add);
/* weight.c: rows in near-equal blocks of at most `most`, each a multiple of the tile height but the last. */
void hone_split_rows(int64_t n_rows, int64_t most, int64_t tile, int64_t *rows_per_block, int64_t *n_blocks);

/* Called when the device goes: weights that are still there keep their memory until they are freed. */
void hone_weight_close_chunk(hone_ops *ops);

/* Rows of m go through tiles of near-equal height (a low one would leave the FMA units idle), the lowest first: the
 * height of the first of them. */
static inline int64_t hone_tile_height(int64_t m)
{
    return m / ((m + HONE_TILE_ROWS - 1) / HONE_TILE_ROWS);
}

/* How many of m rows go through low tiles before the others go through tall ones: those that are left over, and with
 * one tall tile's rows where they are too few to keep the FMA units busy. */
static inline int64_t hone_low_rows(const hone_kernels *kernels, int64_t m)
{
    enum { ENOUGH_ROWS = 4 };
    if (!kernels->tall_tile || m < HONE_TALL_TILE_ROWS)
        return m;
    int64_t low = m % HONE_TALL_TILE_ROWS;
    return low > 0 && low < ENOUGH_ROWS ? low + HONE_TALL_TILE_ROWS : low;
}

/* Runs the tile kernels over m rows (any m) and 16 columns. */
static inline void hone_tile_rows(const hone_kernels *kernels, int64_t m, int64_t k, const hone_real *a, int64_t a_row,
                                  int64_t a_k, const hone_real *b, int64_t b_k, hone_real *c, int64_t c_row, bool add)
{
    for (int64_t low = hone_low_rows(kernels, m); m > 0;) {
        int64_t rows = low > 0 ? hone_tile_height(low) : HONE_TALL_TILE_ROWS;
        (low > 0 ? kernels->tile[rows] : kernels->tall_tile)(k, a, a_row, a_k, b, b_k, c, c_row, add);
        a += rows * a_row;
        c += rows * c_row;
        m -= rows;
        low -= low > 0 ? rows : 0;
    }
}

#endif
