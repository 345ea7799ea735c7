/* ops.h - every operation on tensor data: forward, backward, optimiser. One implementation per device (cpu/).
 *
 * All tensors are row-major arrays of hone_real (float in the program); a row is one token. Rules that every
 * implementation keeps (docs/design.md):
 *  - an output row depends on its own input row(s) and the weights alone, never on how many rows are computed with it
 *    or on how many threads compute them;
 *  - a dot product over K runs in increasing k with one fused multiply-add accumulator an output, in chunks of
 *    HONE_K_CHUNK whose sums are then added in order;
 *  - a quantised weight expands to f32 by one formula, w = fma(q, d, m), inside the kernel.
 *
 * hone_ops is a device with its threads and scratch memory. Calls on one hone_ops must not overlap. Operations cannot
 * fail: everything that can is checked or allocated when the objects are created. */
#ifndef HONE_OPS_OPS_H
#define HONE_OPS_OPS_H

#include "base/status.h"
#include "base/thread_pool.h"
#include "tensor/dtype.h"
#include "tensor/real.h"

enum { HONE_K_CHUNK = 256, HONE_PANEL = 16, HONE_PAGE_TOKENS = 16 };

typedef struct hone_ops hone_ops;

/* The numerics class: how products with weight matrices are rounded (hone_op_linear, hone_op_linear_backward). In bf16
 * both factors are rounded to bfloat16, to nearest even, after the weight's expansion; products and sums are f32 and in
 * the same order, numbers below the normal range become zeros. Everything else is f32 in both. */
typedef enum hone_numerics { HONE_NUMERICS_F32, HONE_NUMERICS_BF16, HONE_N_NUMERICS } hone_numerics;
const char *hone_numerics_name(hone_numerics numerics); /* "f32" */
bool hone_numerics_parse(const char *name, hone_numerics *out);

/* The fastest kernels that this processor has, capped by HONE_CPU=scalar|avx2|avx512|avx512_bf16. n_threads 0: all
 * processors. Class f32. */
hone_status hone_ops_create(int n_threads, hone_ops **out, hone_error *err);
hone_status hone_ops_create_as(hone_numerics numerics, int n_threads, hone_ops **out, hone_error *err);
hone_numerics hone_ops_numerics(const hone_ops *ops);
/* Memory for rounded activations, class bf16; grows when weights are packed. */
size_t hone_ops_rounding_bytes(const hone_ops *ops);
/* Has this device the instruction for products of bfloat16? Without it the class bf16 gives the same bits, slowly. */
bool hone_ops_has_bf16(const hone_ops *ops);
/* The same kernels on the calling thread alone, for what a piece of work on the threads of `ops` computes by itself:
 * encoders, products and rows with weights that were packed by `ops`, no attention over pages. */
hone_status hone_ops_create_alone(const hone_ops *ops, hone_ops **out, hone_error *err);
void hone_ops_free(hone_ops *ops);
const char *hone_ops_isa(const hone_ops *ops);
hone_thread_pool *hone_ops_pool(const hone_ops *ops);
/* Floating-point operations per second that fused multiply-adds reach on all threads (measured, about 0.2 s). */
double hone_ops_measure_fma_peak(hone_ops *ops);
/* The same of products of bfloat16 pairs; 0 where there is no such instruction. */
double hone_ops_measure_bf16_peak(hone_ops *ops);
/* Bytes per second that all threads read from memory (measured over 256 MiB). */
double hone_ops_measure_read_bandwidth(hone_ops *ops, hone_error *err);

/* ---- frozen weights: W [n_out, n_in], packed into kernel order, as quantised as the file has them ---- */
typedef struct hone_weight hone_weight;

/* rows: n_out rows of n_in weights in file order, `bytes` long. HONE_UNSUPPORTED: the type, named. */
hone_status hone_weight_pack(hone_ops *ops, hone_dtype dtype, int64_t n_out, int64_t n_in, const void *rows,
                             size_t bytes, hone_weight **out, hone_error *err);
void hone_weight_free(hone_weight *w);
int64_t hone_weight_n_out(const hone_weight *w);
int64_t hone_weight_n_in(const hone_weight *w);
size_t hone_weight_bytes(const hone_weight *w);

typedef struct hone_linear_job { /* y = x W^T, x: [n_rows, n_in] with row stride x_stride, y: [n_rows, n_out] */
    const hone_weight *w;
    const hone_real *x;
    int64_t x_stride;
    hone_real *y;
    int64_t y_stride;
} hone_linear_job;
/* Several products over the same number of rows in one go. */
void hone_op_linear(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows);
/* dx = dy W (add: dx += dy W), dy: [n_rows, n_out], dx: [n_rows, n_in]. */
void hone_op_linear_backward(hone_ops *ops, const hone_weight *w, int64_t n_rows, const hone_real *dy,
                             int64_t dy_stride, hone_real *dx, int64_t dx_stride, bool add);
/* Row ids[i] of W to y[i]: token embeddings. */
void hone_op_embed(hone_ops *ops, const hone_weight *w, int64_t n_rows, const int32_t *ids, hone_real *y);

/* ---- trained weights: panels as hone_lora_panel_floats counts them, [n_out / 16, rounded up][n_in][16], the caller's,
 * which updates change and gradients have too; lanes that pad the last panel are and stay zero ---- */
/* A weight matrix over panels that must outlive it. HONE_UNSUPPORTED where hone_real is double. */
hone_status hone_weight_create_over(hone_real *panels, int64_t n_out, int64_t n_in, hone_weight **out, hone_error *err);
/* W expanded. */
void hone_op_weight_unpack(hone_ops *ops, const hone_weight *w, hone_real *panels);
/* panels += dy^T x, over rows in chunks of HONE_K_CHUNK, each added in order. x: [n_rows, n_in], dy: [n_rows, n_out].
 */
void hone_op_linear_weight_gradient(hone_ops *ops, int64_t n_rows, int64_t n_out, int64_t n_in, const hone_real *x,
                                    const hone_real *dy, hone_real *panels);
/* Row ids[t] of the panels += dy[t], in order. */
void hone_op_embed_gradient(hone_ops *ops, int64_t n_rows, int64_t n_in, const int32_t *ids, const hone_real *dy,
                            hone_real *panels);

/* ---- adapters: y += scale * (x A^T) B^T, A [rank, n_in], B [n_out, rank], on n_rows consecutive rows; with a gain
 * (DoRA), each output is then multiplied by its own ---- */
typedef struct hone_lora_job {
    int64_t n_rows, n_in, n_out, rank;
    hone_real scale;
    const hone_real *x;                   /* [n_rows, n_in] */
    const hone_real *a_panels, *b_panels; /* from hone_op_lora_pack */
    const hone_real *gain;                /* [n_out], or NULL */
    hone_real *low;                       /* [n_rows, rank]: scale * x A^T, left for the backward pass */
    hone_real *y;                         /* [n_rows, n_out] */
} hone_lora_job;
/* All jobs at once; no two may share low or rows of y. A row's bits are those of its job alone. */
void hone_op_lora(hone_ops *ops, const hone_lora_job *jobs, int n_jobs);
/* hone_op_linear, then hone_op_lora, with the same bits; x A^T is computed beside the linear layers. No low may be what
 * a linear job reads or writes. */
void hone_op_linear_lora(hone_ops *ops, const hone_linear_job *linears, int n_linears, int64_t n_rows,
                         const hone_lora_job *jobs, int n_jobs);
size_t hone_lora_panel_floats(int64_t n_out, int64_t n_in);
/* W, element (o, i) at w[o*w_out + i*w_in], as panels [n_out / 16, rounded up][n_in][16], padded with zeros. */
void hone_op_lora_pack(hone_ops *ops, int64_t n_out, int64_t n_in, const hone_real *w, int64_t w_out, int64_t w_in,
                       hone_real *panels);
/* norm[o] = length of row o of W + scale * B A, W expanded a piece at a time. a: [rank, n_in]; b_panels: packed. */
void hone_op_adapted_row_norms(hone_ops *ops, const hone_weight *w, int64_t rank, hone_real scale, const hone_real *a,
                               const hone_real *b_panels, hone_real *norm);

/* C = A B (add: C += A B): A element (i,k) at a[i*a_row + k*a_k], B [K,N] at b[k*b_k + j], C [M,N] at c[i*c_row + j].
 */
void hone_op_matmul(hone_ops *ops, int64_t m, int64_t n, int64_t k, const hone_real *a, int64_t a_row, int64_t a_k,
                    const hone_real *b, int64_t b_k, hone_real *c, int64_t c_row, bool add);
/* y [n, m] = transpose of x [m, n]. */
void hone_op_transpose(hone_ops *ops, int64_t m, int64_t n, const hone_real *x, hone_real *y);

/* ---- rows ---- */
/* y[t] = x[t] * w / rms(x[t]); rrms: [n_rows] = 1/rms, kept for the backward pass, may be NULL. Zhang & Sennrich 2019,
 * arXiv 1910.07467, eq. 4. y may alias x. */
void hone_op_rms_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *x, const hone_real *w,
                      hone_real *y, hone_real *rrms);
/* dx += gradient through the norm; w is frozen. */
void hone_op_rms_norm_backward(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *x, const hone_real *w,
                               const hone_real *rrms, const hone_real *dy, hone_real *dx);
/* y += x, over n values. */
void hone_op_add(hone_ops *ops, int64_t n, const hone_real *x, hone_real *y);
void hone_op_scale(hone_ops *ops, int64_t n, hone_real factor, hone_real *x);
/* y[t][i] = factor[i] * x[t][i]; y may alias x. */
void hone_op_scale_columns(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *factor, const hone_real *x,
                           hone_real *y);
/* sum[i] += column[i] * (sum over t, in order, of row[t] * x[t][i] * y[t][i]); row and column may be NULL: ones. */
void hone_op_add_column_products(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *x, const hone_real *y,
                                 const hone_real *row, const hone_real *column, hone_real *sum);
/* y = silu(gate) * up (Shazeer 2020, arXiv 2002.05202). */
void hone_op_swiglu(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, hone_real *y);
/* Given dy: dgate and dup; they may alias gate and up. */
void hone_op_swiglu_backward(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                             hone_real *dgate, hone_real *dup);

/* y = gelu(gate) * up with the tanh form of GELU (Shazeer 2020, as above), and its gradient as for swiglu. */
void hone_op_geglu(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, hone_real *y);
void hone_op_geglu_backward(hone_ops *ops, int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                            hone_real *dgate, hone_real *dup);

/* Rotary position embedding of pairs (x[2i], x[2i+1]) ("adjacent") or (x[i], x[i+d/2]) ("half"). Su et al. 2021, arXiv
 * 2104.09864, eq. 34. */
typedef struct hone_rope_table hone_rope_table;
hone_status hone_rope_table_create(int64_t n_positions, int64_t head_dim, double base, bool half_split,
                                   hone_rope_table **out, hone_error *err);
void hone_rope_table_free(hone_rope_table *table);
size_t hone_rope_table_bytes(const hone_rope_table *table); /* 0 for NULL */
/* x: [n_rows, n_heads*head_dim] in place; backward turns the other way. */
void hone_op_rope(hone_ops *ops, const hone_rope_table *table, int64_t n_rows, int64_t n_heads,
                  const int32_t *positions, hone_real *x, bool backward);

/* ---- attention over a paged key-value pool ---- */
typedef struct hone_kv_pool hone_kv_pool;
/* Pages of HONE_PAGE_TOKENS positions for all layers. HONE_NO_MEMORY with the numbers. Memory is touched only when
 * used. */
hone_status hone_kv_pool_create(int64_t n_pages, int64_t n_layers, int64_t n_kv_heads, int64_t head_dim,
                                hone_kv_pool **out, hone_error *err);
void hone_kv_pool_free(hone_kv_pool *pool);
int64_t hone_kv_pool_pages(const hone_kv_pool *pool);
/* Gives the memory of all pages back to the system; what they held is gone. */
void hone_kv_pool_release(hone_kv_pool *pool);
size_t hone_kv_page_bytes(int64_t n_layers, int64_t n_kv_heads, int64_t head_dim);

typedef struct hone_kv_write { /* row `row` of this step goes to slot `slot` of page `page` */
    int32_t row, page, slot;
} hone_kv_write;
/* k, v: [n_rows, n_kv_heads*head_dim]. */
void hone_op_kv_write(hone_ops *ops, hone_kv_pool *pool, int64_t layer, const hone_kv_write *writes, int64_t n_writes,
                      const hone_real *k, const hone_real *v);
/* Page `to` becomes a copy of page `from`, for all layers. */
void hone_op_kv_copy(hone_ops *ops, hone_kv_pool *pool, int32_t from, int32_t to);

/* A token that continues a sequence in one of several ways, and where its keys and values lie. Its position is one
 * after its parent's; with parent -1 it comes right after the tokens that all ways share. */
typedef struct hone_tree_place {
    int32_t page, slot, parent;
} hone_tree_place;

typedef struct hone_span { /* rows [first_row, first_row+n_rows) of a step: consecutive positions of one sequence */
    int64_t first_row, n_rows, first_position;
    const int32_t *pages;           /* page of position p is pages[p / HONE_PAGE_TOKENS] */
    const struct hone_span *parent; /* training: what stands before first_position are the rows of this span, and of its
                                       parents; it may end later than where this one begins */
    const hone_tree_place *tree;    /* NULL, or: row t is the token tree[tree_rows[t]]; it sees the positions before */
    const int32_t *tree_rows;       /* first_position, the tokens on its way up the tree, and itself (forward only) */
} hone_span;
/* Scratch, which does not depend on the length of contexts; to be called once before attention with such heads runs. */
hone_status hone_ops_reserve_attention(hone_ops *ops, int64_t n_heads, int64_t n_kv_heads, int64_t head_dim,
                                       hone_error *err);
/* Causal grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): q, o: [n_rows, n_heads*head_dim]. window: how
 * many positions a row sees, its own the last of them; 0: all up to its own. softmax may be NULL, or [n_rows, n_heads,
 * 2] for the backward pass: the greatest scaled score and the reciprocal of the sum. */
void hone_op_attention(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans, int64_t n_spans,
                       int64_t n_heads, int64_t window, hone_real scale, const hone_real *q, hone_real *o,
                       hone_real *softmax);
/* Gradients of q, k, v (all [n_rows, ...], set, not added) from that of o. Every position that a span sees must be one
 * of n_rows rows: its own, or its parents'. Rows of no span get gradients of k and v only. work:
 * hone_attention_backward_work(...) floats. */
size_t hone_attention_backward_work(int64_t n_rows, int64_t n_heads, int64_t head_dim, int n_threads);
void hone_op_attention_backward(hone_ops *ops, const hone_kv_pool *pool, int64_t layer, const hone_span *spans,
                                int64_t n_spans, int64_t n_rows, int64_t n_heads, int64_t window, hone_real scale,
                                const hone_real *q, const hone_real *o, const hone_real *softmax, const hone_real *d_o,
                                hone_real *dq, hone_real *dk, hone_real *dv, hone_real *work);

/* ---- encoders: sequences whose tokens all see each other ---- */
/* y[t] = layer_norm(x[t] + residual[t] + bias) * w + b (Ba et al. 2016, arXiv 1607.06450). y may alias x or residual.
 */
void hone_op_layer_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *x,
                        const hone_real *residual, const hone_real *bias, const hone_real *w, const hone_real *b,
                        hone_real *y);
/* As above with x = table[ids[t]] and residual = places[positions[t]]: how BERT's input is made. table [.., dim]. */
void hone_op_embed_layer_norm(hone_ops *ops, int64_t n_rows, int64_t dim, hone_real eps, const hone_real *table,
                              const int32_t *ids, const hone_real *places, const int32_t *positions,
                              const hone_real *bias, const hone_real *w, const hone_real *b, hone_real *y);
/* x[t] += bias, and x[t] = gelu(x[t] + bias) with the exact GELU (by the error function). bias: [dim]. */
void hone_op_add_bias(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *bias, hone_real *x);
void hone_op_gelu(hone_ops *ops, int64_t n_rows, int64_t dim, const hone_real *bias, hone_real *x);
/* Attention within each sequence, without a mask; sequence s is rows [starts[s], starts[s + 1]). q, k, v, o: [n_rows,
 * n_heads*head_dim], head_dim a multiple of 16. k must be readable for HONE_PANEL - 1 rows past the last (their values
 * do not matter). work: hone_attention_within_work(...) floats for each thread, 64-byte aligned. */
size_t hone_attention_within_work(int64_t longest, int64_t head_dim);
void hone_op_attention_within(hone_ops *ops, const int64_t *starts, int64_t n_sequences, int64_t longest,
                              int64_t n_heads, int64_t head_dim, hone_real scale, const hone_real *q,
                              const hone_real *k, const hone_real *v, hone_real *o, hone_real *work);
typedef enum hone_pooling {
    HONE_POOL_MEAN, /* over all tokens, in order */
    HONE_POOL_FIRST,
    HONE_POOL_LAST
} hone_pooling;
/* One vector of length 1 for each sequence: y [n_sequences, dim]. A zero vector stays zero. */
void hone_op_pool(hone_ops *ops, const int64_t *starts, int64_t n_sequences, int64_t dim, hone_pooling pooling,
                  const hone_real *x, hone_real *y);

/* ---- output ---- */
/* For each row of logits [n_rows, n_vocab]: log_sum_exp[t] (natural log) and, when targets is not NULL,
 * target_logprob[t] = logits[t][targets[t]] - log_sum_exp[t]. */
void hone_op_log_softmax_stats(hone_ops *ops, int64_t n_rows, int64_t n_vocab, const hone_real *logits,
                               const int32_t *targets, double *log_sum_exp, double *target_logprob);
/* logits -> gradient of -weight[t] * log p(target[t]), in place; log_sum_exp from above. */
void hone_op_cross_entropy_backward(hone_ops *ops, int64_t n_rows, int64_t n_vocab, hone_real *logits,
                                    const int32_t *targets, const double *log_sum_exp, const hone_real *weight);
/* Index of the greatest value of each row (the lowest index among equals). */
void hone_op_argmax(hone_ops *ops, int64_t n_rows, int64_t n, const hone_real *x, int32_t *index);
/* Of one row, on the calling thread alone: these two may run on several threads at once, each with a row of its own. */
int32_t hone_op_row_argmax(const hone_ops *ops, int64_t n, const hone_real *x);
/* w[i] = exp((x[i] - top) / temperature) in double precision, 0 where that is below exp(-708); x[i] <= top. Returns the
 * sum. */
double hone_op_row_weights(const hone_ops *ops, int64_t n, hone_real top, double temperature, const hone_real *x,
                           double *w);

/* ---- optimiser ---- */
/* Sum of squares in double, in a fixed order. */
double hone_op_sum_squares(hone_ops *ops, int64_t n, const hone_real *x);
typedef struct hone_adamw { /* Loshchilov & Hutter 2019, arXiv 1711.05101; as in PyTorch */
    hone_real learning_rate, beta1, beta2, epsilon, weight_decay;
    int64_t step;             /* 1 for the first */
    hone_real gradient_scale; /* the clipping factor, applied to g */
} hone_adamw;
void hone_op_adamw(hone_ops *ops, const hone_adamw *settings, int64_t n, const hone_real *g, hone_real *m, hone_real *v,
                   hone_real *x);

#endif
