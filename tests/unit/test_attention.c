/* test_attention.c - paged grouped-query attention against the textbook formula in double precision, its gradient
 * against central differences of that formula, and its bits across batching, paging, threads and instruction sets. */
#include "numbers.h"

#include "ops/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX_SPANS = 8, MAX_PAGES = 64, LAYERS = 2, LAYER = 1 };

static hone_ops *ops;
static hone_ops *ops_by_threads[6]; /* 1, 2, 3, 5 threads; [4]: scalar kernels */

/* A training-like step: spans over rows, each with pages of its own but for those of a shared prefix. */
typedef struct step {
    int64_t n_rows, n_heads, n_kv_heads, head_dim, n_spans, window;
    hone_span spans[MAX_SPANS];
    int32_t pages[MAX_SPANS][MAX_PAGES];
    hone_kv_write writes[4096];
    int64_t n_writes;
    int32_t next_page;
    hone_kv_pool *pool;
    float *q, *k, *v, *softmax; /* softmax: what the last forward pass left for the backward pass */
    float scale;
} step;

/* lengths[0] is the prefix when `shared`, the others continue it; otherwise all begin at position 0. */
static void begin(step *s, const int *lengths, int n, bool shared, int64_t n_heads, int64_t n_kv_heads,
                  int64_t head_dim)
{
    *s = (step){
        .n_heads = n_heads, .n_kv_heads = n_kv_heads, .head_dim = head_dim, .scale = 1.0f / sqrtf((float)head_dim)};
    for (int i = 0; i < n; i++) {
        int64_t prefix = shared && i > 0 ? lengths[0] : 0, whole = prefix / HONE_PAGE_TOKENS, end = prefix + lengths[i];
        memcpy(s->pages[i], s->pages[0], (size_t)whole * sizeof(int32_t));
        for (int64_t p = whole * HONE_PAGE_TOKENS; p < end; p++) {
            if (p % HONE_PAGE_TOKENS == 0)
                s->pages[i][p / HONE_PAGE_TOKENS] =
                    s->next_page++ * 7 % 61; /* scattered; 61 is prime, so no two are equal */
            int64_t row = p < prefix ? p : s->n_rows + p - prefix;
            s->writes[s->n_writes++] =
                (hone_kv_write){(int32_t)row, s->pages[i][p / HONE_PAGE_TOKENS], (int32_t)(p % HONE_PAGE_TOKENS)};
        }
        s->spans[i] = (hone_span){s->n_rows, lengths[i], prefix, s->pages[i], prefix > 0 ? &s->spans[0] : NULL};
        s->n_rows += lengths[i];
    }
    s->n_spans = n;
    assert_true(s->next_page <= 61);
    assert_int_equal(hone_kv_pool_create(61, LAYERS, n_kv_heads, head_dim, &s->pool, NULL), HONE_OK);
    s->q = new_normal(s->n_rows * n_heads * head_dim, 1, 1.5);
    s->k = new_normal(s->n_rows * n_kv_heads * head_dim, 2, 1.5);
    s->v = new_normal(s->n_rows * n_kv_heads * head_dim, 3, 1);
    s->softmax = new_floats(2 * s->n_rows * n_heads);
    hone_op_kv_write(ops, s->pool, LAYER, s->writes, s->n_writes, s->k, s->v);
}

static void end(step *s)
{
    hone_kv_pool_free(s->pool);
    free(s->q), free(s->k), free(s->v), free(s->softmax);
}

/* The row that holds position p of a span. */
static int64_t row_of(const hone_span *span, int64_t p)
{
    while (p < span->first_position)
        span = span->parent;
    return span->first_row + p - span->first_position;
}

/* o[dim] of one row and head, by the definition; `q_at` etc. let a caller shift one element. */
static void exact_row(const step *s, const double *q, const double *k, const double *v, const hone_span *span,
                      int64_t t, int64_t head, double *o)
{
    int64_t dim = s->head_dim, kv_head = head / (s->n_heads / s->n_kv_heads), seen = span->first_position + t + 1;
    int64_t from = s->window > 0 && seen > s->window ? seen - s->window : 0;
    const double *query = q + ((span->first_row + t) * s->n_heads + head) * dim;
    double score[1024], top = -INFINITY, sum = 0;
    for (int64_t p = from; p < seen; p++) {
        const double *key = k + (row_of(span, p) * s->n_kv_heads + kv_head) * dim;
        score[p] = 0;
        for (int64_t d = 0; d < dim; d++)
            score[p] += query[d] * key[d];
        score[p] *= (double)s->scale;
        top = fmax(top, score[p]);
    }
    for (int64_t p = from; p < seen; p++)
        sum += score[p] = exp(score[p] - top);
    memset(o, 0, (size_t)dim * sizeof *o);
    for (int64_t p = from; p < seen; p++)
        for (int64_t d = 0; d < dim; d++)
            o[d] += score[p] / sum * v[(row_of(span, p) * s->n_kv_heads + kv_head) * dim + d];
}

static double *doubles(const float *x, int64_t n)
{
    double *d = malloc((size_t)n * sizeof *d);
    for (int64_t i = 0; i < n; i++)
        d[i] = (double)x[i];
    return d;
}

/* sum of d_o * o over all rows and heads. */
static double objective(const step *s, const double *q, const double *k, const double *v, const float *d_o)
{
    double sum = 0, o[256];
    for (int64_t i = 0; i < s->n_spans; i++)
        for (int64_t t = 0; t < s->spans[i].n_rows; t++)
            for (int64_t h = 0; h < s->n_heads; h++) {
                exact_row(s, q, k, v, &s->spans[i], t, h, o);
                for (int64_t d = 0; d < s->head_dim; d++)
                    sum += o[d] * (double)d_o[((s->spans[i].first_row + t) * s->n_heads + h) * s->head_dim + d];
            }
    return sum;
}

static const struct layout {
    const char *name;
    int lengths[5], n;
    bool shared;
    int heads, kv_heads, dim, window;
} layouts[] = {{"one token", {1}, 1, false, 2, 1, 16},
               {"one sequence", {37}, 1, false, 4, 2, 16},
               {"a sequence of several query blocks", {150}, 1, false, 2, 1, 32},
               {"three sequences", {5, 33, 16}, 3, false, 6, 2, 16},
               {"a prefix that fills its pages", {32, 7, 1, 20}, 4, true, 4, 2, 16},
               {"a prefix that ends within a page", {21, 7, 30}, 3, true, 3, 1, 16},
               {"a sequence of several blocks of positions", {291}, 1, false, 6, 2, 32},
               {"a prefix of more than a block", {140, 9, 130, 1}, 4, true, 4, 1, 80},
               {"more heads than the few-row kernels take, of one key head", {40, 3}, 2, false, 16, 1, 16},
               {"a prefix shorter than a page, every head its own keys", {5, 3, 12, 15, 16}, 5, true, 2, 2, 48},
               {"a window of one position", {37}, 1, false, 2, 1, 16, 1},
               {"a window within a page", {150, 3}, 2, false, 2, 1, 16, 7},
               {"a window of a block", {261}, 1, false, 2, 1, 16, 128},
               {"a window that begins in any block", {300}, 1, false, 2, 1, 16, 150},
               {"a window over a shared prefix", {140, 9, 130, 1}, 4, true, 2, 1, 16, 50},
               {"a window wider than the sequence", {37}, 1, false, 4, 2, 16, 38}};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static void begin_layout(step *s, const struct layout *l)
{
    begin(s, l->lengths, l->n, l->shared, l->heads, l->kv_heads, l->dim);
    s->window = l->window;
}

static void test_attention_is_the_textbook_formula(void **state)
{
    (void)state;
    for (int l = 0; l < N_LAYOUTS; l++) {
        step s;
        begin_layout(&s, &layouts[l]);
        int64_t width = s.n_heads * s.head_dim, n_kv = s.n_rows * s.n_kv_heads * s.head_dim;
        float *o = new_floats(s.n_rows * width);
        double *q = doubles(s.q, s.n_rows * width), *k = doubles(s.k, n_kv), *v = doubles(s.v, n_kv), exact[256];
        hone_op_attention(ops, s.pool, LAYER, s.spans, s.n_spans, s.n_heads, s.window, s.scale, s.q, o, s.softmax);
        for (int64_t i = 0; i < s.n_spans; i++)
            for (int64_t t = 0; t < s.spans[i].n_rows; t++)
                for (int64_t h = 0; h < s.n_heads; h++) {
                    exact_row(&s, q, k, v, &s.spans[i], t, h, exact);
                    if (!(worst_difference(o + (s.spans[i].first_row + t) * width + h * s.head_dim, exact, s.head_dim) <
                          4e-6))
                        fail_msg("%s: span %lld, row %lld, head %lld", layouts[l].name, (long long)i, (long long)t,
                                 (long long)h);
                }
        free(o), free(q), free(k), free(v);
        end(&s);
    }
}

static void run_backward(hone_ops *device, const step *s, const float *o, const float *d_o, float *dq, float *dk,
                         float *dv)
{
    size_t floats = hone_attention_backward_work(s->n_rows, s->n_heads, s->head_dim, 5);
    float *work = malloc(floats * sizeof *work);
    memset(work, 0xFF, floats * sizeof *work); /* NaN: nothing may rest on what the memory held */
    hone_op_attention_backward(device, s->pool, LAYER, s->spans, s->n_spans, s->n_rows, s->n_heads, s->window, s->scale,
                               s->q, o, s->softmax, d_o, dq, dk, dv, work);
    free(work);
}

static void test_gradient_of_attention_is_its_slope(void **state)
{
    (void)state;
    enum { SAMPLES = 60 };
    for (int l = 0; l < N_LAYOUTS; l++) {
        step s;
        begin_layout(&s, &layouts[l]);
        int64_t n_q = s.n_rows * s.n_heads * s.head_dim, n_kv = s.n_rows * s.n_kv_heads * s.head_dim;
        float *o = new_floats(n_q), *d_o = new_normal(n_q, 4, 1),
              *gradient[3] = {new_normal(n_q, 5, 9), new_normal(n_kv, 6, 9), new_normal(n_kv, 7, 9)};
        double *inputs[3] = {doubles(s.q, n_q), doubles(s.k, n_kv), doubles(s.v, n_kv)}, h = 1e-4;
        hone_op_attention(ops, s.pool, LAYER, s.spans, s.n_spans, s.n_heads, s.window, s.scale, s.q, o, s.softmax);
        run_backward(ops, &s, o, d_o, gradient[0], gradient[1], gradient[2]);
        for (int which = 0; which < 3; which++)
            for (uint64_t sample = 0; sample < SAMPLES; sample++) {
                int64_t i = (int64_t)hone_rng_below((hone_rng_key){9, HONE_RNG_TEST, (uint32_t)(l * 3 + which)}, sample,
                                                    (uint64_t)(which ? n_kv : n_q));
                double *x = &inputs[which][i], kept = *x;
                *x = kept + h;
                double above = objective(&s, inputs[0], inputs[1], inputs[2], d_o);
                *x = kept - h;
                double below = objective(&s, inputs[0], inputs[1], inputs[2], d_o), slope = (above - below) / (2 * h);
                *x = kept;
                if (!(fabs((double)gradient[which][i] - slope) < 2e-5 * (1 + fabs(slope))))
                    fail_msg("%s: d%c[%lld] is %.7g, the slope %.7g", layouts[l].name, "qkv"[which], (long long)i,
                             (double)gradient[which][i], slope);
            }
        for (int i = 0; i < 3; i++)
            free(gradient[i]), free(inputs[i]);
        free(o), free(d_o);
        end(&s);
    }
}

/* A prefix computed once gives the gradients of the same prefix in every sequence, added up. */
static void test_shared_prefix_gradients_are_the_sum_of_separate_ones(void **state)
{
    (void)state;
    enum { PREFIX = 21, A = 9, B = 14, H = 4, KV = 2, DIM = 16 };
    const int lengths[] = {PREFIX, A, B}, ends[] = {A, B};
    step s;
    begin(&s, lengths, 3, true, H, KV, DIM);
    int64_t q_width = H * DIM, kv_width = KV * DIM;
    float *o = new_floats(s.n_rows * q_width), *d_o = new_normal(s.n_rows * q_width, 4, 1);
    float *dq = new_floats(s.n_rows * q_width), *dk = new_floats(s.n_rows * kv_width),
          *dv = new_floats(s.n_rows * kv_width);
    memset(d_o, 0, PREFIX * (size_t)q_width * sizeof *d_o); /* nothing is labelled within the prefix */
    hone_op_attention(ops, s.pool, LAYER, s.spans, s.n_spans, H, 0, s.scale, s.q, o, s.softmax);
    run_backward(ops, &s, o, d_o, dq, dk, dv);
    double prefix_dk[PREFIX * KV * DIM] = {0}, prefix_dv[PREFIX * KV * DIM] = {0};
    for (int i = 0, first = PREFIX; i < 2; first += ends[i++]) {
        const int whole[] = {PREFIX + ends[i]};
        step alone;
        begin(&alone, whole, 1, false, H, KV, DIM);
        int64_t n = alone.n_rows;
        memcpy(alone.q, s.q, PREFIX * (size_t)q_width * 4),
            memcpy(alone.q + PREFIX * q_width, s.q + first * q_width, (size_t)(ends[i] * q_width) * 4);
        memcpy(alone.k, s.k, PREFIX * (size_t)kv_width * 4),
            memcpy(alone.k + PREFIX * kv_width, s.k + first * kv_width, (size_t)(ends[i] * kv_width) * 4);
        memcpy(alone.v, s.v, PREFIX * (size_t)kv_width * 4),
            memcpy(alone.v + PREFIX * kv_width, s.v + first * kv_width, (size_t)(ends[i] * kv_width) * 4);
        hone_op_kv_write(ops, alone.pool, LAYER, alone.writes, alone.n_writes, alone.k, alone.v);
        float *o1 = new_floats(n * q_width), *d1 = new_floats(n * q_width), *dq1 = new_floats(n * q_width),
              *dk1 = new_floats(n * kv_width), *dv1 = new_floats(n * kv_width);
        memcpy(d1 + PREFIX * q_width, d_o + first * q_width, (size_t)(ends[i] * q_width) * 4);
        hone_op_attention(ops, alone.pool, LAYER, alone.spans, 1, H, 0, s.scale, alone.q, o1, alone.softmax);
        assert_true(same_bits(o1 + PREFIX * q_width, o + first * q_width, ends[i] * q_width)); /* forward: equal bits */
        run_backward(ops, &alone, o1, d1, dq1, dk1, dv1);
        double *expected = doubles(dq1 + PREFIX * q_width, ends[i] * q_width),
               *own_dk = doubles(dk1 + PREFIX * kv_width, ends[i] * kv_width);
        assert_true(relative_l2(dq + first * q_width, expected, ends[i] * q_width) < 1e-6);
        assert_true(relative_l2(dk + first * kv_width, own_dk, ends[i] * kv_width) < 1e-6);
        for (int64_t j = 0; j < PREFIX * kv_width; j++)
            prefix_dk[j] += (double)dk1[j], prefix_dv[j] += (double)dv1[j];
        free(o1), free(d1), free(dq1), free(dk1), free(dv1), free(expected), free(own_dk);
        end(&alone);
    }
    assert_true(relative_l2(dk, prefix_dk, PREFIX * kv_width) < 1e-6);
    assert_true(relative_l2(dv, prefix_dv, PREFIX * kv_width) < 1e-6);
    free(o), free(d_o), free(dq), free(dk), free(dv);
    end(&s);
}

/* A row sees its own positions only: it has the same bits alone (decoding) as among the later rows of its sequence
 * (prefill) and among other sequences, on any number of threads, with either instruction set. */
static void test_attention_has_the_same_bits_alone_and_in_company(void **state)
{
    (void)state;
    for (int l = 0; l < N_LAYOUTS; l++) {
        step s;
        begin_layout(&s, &layouts[l]);
        int64_t width = s.n_heads * s.head_dim;
        float *together = new_floats(s.n_rows * width), *other = new_floats(s.n_rows * width);
        hone_op_attention(ops, s.pool, LAYER, s.spans, s.n_spans, s.n_heads, s.window, s.scale, s.q, together,
                          s.softmax);
        for (int threads = 1; threads <= 5; threads++) {
            memset(other, 1, (size_t)(s.n_rows * width) * sizeof *other);
            hone_op_attention(ops_by_threads[threads], s.pool, LAYER, s.spans, s.n_spans, s.n_heads, s.window, s.scale,
                              s.q, other, NULL);
            assert_true(same_bits(together, other, s.n_rows * width));
        }
        memset(other, 1, (size_t)(s.n_rows * width) * sizeof *other);
        for (int64_t i = 0; i < s.n_spans; i++)
            for (int64_t t = 0; t < s.spans[i].n_rows; t++) {
                hone_span one = s.spans[i];
                one.first_row += t, one.first_position += t, one.n_rows = 1;
                hone_op_attention(ops, s.pool, LAYER, &one, 1, s.n_heads, s.window, s.scale, s.q, other, NULL);
            }
        assert_true(same_bits(together, other, s.n_rows * width));
        free(together), free(other);
        end(&s);
    }
}

/* A single row over a long context is shared out by blocks of positions (attention.c): the same bits as within its task
 * of rows on one thread. */
static void test_decoding_over_a_long_context_has_the_bits_of_prefill(void **state)
{
    (void)state;
    static const int length = 301, first = 250;
    step s;
    begin(&s, &length, 1, false, 4, 2, 48);
    int64_t width = s.n_heads * s.head_dim;
    float *together = new_floats(s.n_rows * width), *alone = new_floats(s.n_rows * width);
    static const int64_t windows[] = {0, 40, 128, 129, 200};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        s.window = windows[i];
        hone_op_attention(ops_by_threads[1], s.pool, LAYER, s.spans, 1, s.n_heads, s.window, s.scale, s.q, together,
                          s.softmax);
        for (int threads = 1; threads <= 5; threads++) {
            memset(alone, 1, (size_t)(s.n_rows * width) * sizeof *alone);
            for (int64_t t = first; t < s.n_rows; t++) {
                hone_span one = s.spans[0];
                one.first_row += t, one.first_position += t, one.n_rows = 1;
                hone_op_attention(ops_by_threads[threads], s.pool, LAYER, &one, 1, s.n_heads, s.window, s.scale, s.q,
                                  alone, NULL);
            }
            assert_true(same_bits(together + first * width, alone + first * width, (s.n_rows - first) * width));
        }
    }
    free(together), free(alone);
    end(&s);
}

/* Two ways that continue 120 shared positions past the border of a block, the second leaving the first after 5 tokens;
 * their keys and values lie in slots in no order. Each row has the bits that it has in a plain sequence. */
static void test_ways_through_a_tree_have_the_bits_of_plain_sequences_across_blocks(void **state)
{
    (void)state;
    enum { SHARED = 120, FIRST_WAY = 20, COMMON = 5, SECOND_WAY = 15, H = 4, KV = 2, DIM = 32, NODES = 35 };
    hone_kv_pool *pool;
    assert_int_equal(hone_kv_pool_create(64, LAYERS, KV, DIM, &pool, NULL), HONE_OK);
    float *k = new_normal((SHARED + NODES) * KV * DIM, 2, 1.5), *v = new_normal((SHARED + NODES) * KV * DIM, 3, 1),
          *q = new_normal(NODES * H * DIM, 4, 1.5), *in_tree = new_floats(NODES * H * DIM),
          *plain = new_floats(NODES * H * DIM), *q_plain = new_floats(FIRST_WAY * H * DIM),
          *o_plain = new_floats(FIRST_WAY * H * DIM);
    int32_t pages[2][16], rows[NODES];
    hone_kv_write writes[SHARED + NODES];
    hone_tree_place tree[NODES];
    for (int32_t i = 0; i < 16; i++)
        pages[0][i] = i, pages[1][i] = i < SHARED / 16 ? i : 20 + i;
    for (int32_t p = 0; p < SHARED; p++)
        writes[p] = (hone_kv_write){p, p / 16, p % 16};
    for (int32_t i = 0; i < NODES; i++) {
        int32_t slot = i * 11 % NODES; /* 11 and 35 have no common divisor */
        tree[i] = (hone_tree_place){40 + slot / 16, slot % 16, i == FIRST_WAY ? COMMON - 1 : i - 1};
        writes[SHARED + i] = (hone_kv_write){SHARED + i, tree[i].page, tree[i].slot};
        rows[i] = i;
    }
    hone_op_kv_write(ops, pool, LAYER, writes, SHARED + NODES, k, v);
    hone_span span = {.n_rows = NODES, .first_position = SHARED, .pages = pages[0], .tree = tree, .tree_rows = rows};
    static const int64_t windows[] = {0,  1,  6,
                                      13, 25, 127}; /* some ways see nothing of the block that others begin in */
    for (size_t run = 0; run < 5 * sizeof windows / sizeof *windows; run++) {
        int64_t window = windows[run / 5];
        hone_op_attention(ops_by_threads[1 + run % 5], pool, LAYER, &span, 1, H, window, 0.2f, q, in_tree, NULL);
        for (int way = 0; way < 2; way++) {
            int32_t n = way ? COMMON + SECOND_WAY : FIRST_WAY;
            hone_kv_write own[FIRST_WAY + 8];
            for (int32_t i = 0; i < 8 * way; i++) /* the page that the ways share in part */
                own[i] = (hone_kv_write){112 + i, pages[1][7], i};
            for (int32_t i = 0; i < n; i++) {
                int32_t node = way && i >= COMMON ? FIRST_WAY + i - COMMON : i, p = SHARED + i;
                own[8 * way + i] = (hone_kv_write){SHARED + node, pages[way][p / 16], p % 16};
                memcpy(q_plain + i * H * DIM, q + node * H * DIM, H * DIM * sizeof *q);
            }
            hone_op_kv_write(ops, pool, LAYER, own, 8 * way + n, k, v);
            hone_span one = {.n_rows = n, .first_position = SHARED, .pages = pages[way]};
            hone_op_attention(ops, pool, LAYER, &one, 1, H, window, 0.2f, q_plain, o_plain, NULL);
            for (int32_t i = way ? COMMON : 0; i < n; i++)
                memcpy(plain + (way ? FIRST_WAY + i - COMMON : i) * H * DIM, o_plain + i * H * DIM,
                       H * DIM * sizeof *plain);
        }
        assert_true(same_bits(in_tree, plain, NODES * H * DIM));
    }
    free(k), free(v), free(q), free(in_tree), free(plain), free(q_plain), free(o_plain);
    hone_kv_pool_free(pool);
}

/* Whatever block holds the greatest score: the weights of those before are rescaled, down to nothing if need be. */
static void test_blocks_of_very_different_scores_are_joined_exactly(void **state)
{
    (void)state;
    static const struct {
        double first, middle, last;
    } scales[] = {{1, 1, 60}, {60, 1, 1}, {0.01, 60, 0.01}, {300, 1, 300}};
    for (size_t c = 0; c < sizeof scales / sizeof *scales; c++) {
        static const int length = 330;
        step s;
        begin(&s, &length, 1, false, 2, 1, 16);
        int64_t width = 2 * 16, kv = 16;
        for (int64_t p = 0; p < length; p++)
            for (int64_t d = 0; d < kv; d++)
                s.k[p * kv + d] *= (float)(p < 128 ? scales[c].first : p < 256 ? scales[c].middle : scales[c].last);
        hone_op_kv_write(ops, s.pool, LAYER, s.writes, s.n_writes, s.k, s.v);
        float *o = new_floats(s.n_rows * width);
        double *q = doubles(s.q, s.n_rows * width), *k = doubles(s.k, s.n_rows * kv), *v = doubles(s.v, s.n_rows * kv),
               exact[16];
        hone_op_attention(ops, s.pool, LAYER, s.spans, 1, s.n_heads, s.window, s.scale, s.q, o, s.softmax);
        for (int64_t t = 0; t < s.n_rows; t++)
            for (int64_t h = 0; h < 2; h++) {
                exact_row(&s, q, k, v, &s.spans[0], t, h, exact);
                if (!(worst_difference(o + t * width + h * 16, exact, 16) <
                      5e-4)) /* scores of 1,000 have steps of 6e-5 */
                    fail_msg("scales %zu, row %lld, head %lld", c, (long long)t, (long long)h);
            }
        free(o), free(q), free(k), free(v);
        end(&s);
    }
}

/* More blocks than threads share out at once: 8,300 positions, the last rows of which are computed alone and together,
 * and by the formula. */
static void test_a_context_longer_than_threads_share_out_at_once(void **state)
{
    (void)state;
    enum { LENGTH = 8300, FIRST = 8290, H = 2, DIM = 16, N = LENGTH - FIRST, PAGES = (LENGTH + 15) / 16 };
    static int32_t pages[PAGES];
    static hone_kv_write writes[LENGTH];
    hone_kv_pool *pool;
    assert_int_equal(hone_kv_pool_create(PAGES, LAYERS, 1, DIM, &pool, NULL), HONE_OK);
    for (int i = 0; i < PAGES; i++)
        pages[i] = (int32_t)(PAGES - 1 - i);
    for (int32_t p = 0; p < LENGTH; p++)
        writes[p] = (hone_kv_write){p, pages[p / 16], p % 16};
    float *k = new_normal(LENGTH * DIM, 2, 1.5), *v = new_normal(LENGTH * DIM, 3, 1),
          *q = new_normal(N * H * DIM, 4, 1.5), *together = new_floats(N * H * DIM), *alone = new_floats(N * H * DIM),
          scale = 0.25f;
    hone_op_kv_write(ops, pool, LAYER, writes, LENGTH, k, v);
    hone_span span = {.n_rows = N, .first_position = FIRST, .pages = pages};
    hone_op_attention(ops_by_threads[1], pool, LAYER, &span, 1, H, 0, scale, q, together, NULL);
    for (int threads = 1; threads <= 5; threads++) {
        memset(alone, 1, N * H * DIM * sizeof *alone);
        for (int64_t t = 0; t < N; t++) {
            hone_span one = {.first_row = t, .n_rows = 1, .first_position = FIRST + t, .pages = pages};
            hone_op_attention(ops_by_threads[threads], pool, LAYER, &one, 1, H, 0, scale, q, alone, NULL);
        }
        assert_true(same_bits(together, alone, N * H * DIM));
    }
    for (int64_t i = 0; i < N * H; i++) {
        double weight[LENGTH], top = -INFINITY, sum = 0, o[DIM] = {0};
        int64_t seen = FIRST + i / H + 1;
        for (int64_t p = 0; p < seen; p++) {
            weight[p] = 0;
            for (int64_t d = 0; d < DIM; d++)
                weight[p] += (double)q[i * DIM + d] * (double)k[p * DIM + d];
            top = fmax(top, weight[p] *= (double)scale);
        }
        for (int64_t p = 0; p < seen; p++)
            sum += weight[p] = exp(weight[p] - top);
        for (int64_t p = 0; p < seen; p++)
            for (int64_t d = 0; d < DIM; d++)
                o[d] += weight[p] / sum * (double)v[p * DIM + d];
        assert_true(worst_difference(together + i * DIM, o, DIM) < 4e-6);
    }
    free(k), free(v), free(q), free(together), free(alone);
    hone_kv_pool_free(pool);
}

static void test_gradient_has_the_same_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    for (int l = 0; l < N_LAYOUTS; l++) {
        step s;
        begin_layout(&s, &layouts[l]);
        int64_t n_q = s.n_rows * s.n_heads * s.head_dim, n_kv = s.n_rows * s.n_kv_heads * s.head_dim;
        float *o = new_floats(n_q), *d_o = new_normal(n_q, 4, 1), *g[2][3];
        for (int i = 0; i < 2; i++)
            g[i][0] = new_floats(n_q), g[i][1] = new_floats(n_kv), g[i][2] = new_floats(n_kv);
        hone_op_attention(ops, s.pool, LAYER, s.spans, s.n_spans, s.n_heads, s.window, s.scale, s.q, o, s.softmax);
        for (int threads = 1; threads <= 5; threads++) {
            float **to = g[threads > 1];
            run_backward(ops_by_threads[threads], &s, o, d_o, to[0], to[1], to[2]);
            assert_true(threads == 1 || (same_bits(g[0][0], g[1][0], n_q) && same_bits(g[0][1], g[1][1], n_kv) &&
                                         same_bits(g[0][2], g[1][2], n_kv)));
        }
        for (int i = 0; i < 6; i++)
            free(g[i / 3][i % 3]);
        free(o), free(d_o);
        end(&s);
    }
}

/* What lies in a page beyond the last position, from an earlier user of the page, must not matter, not even a NaN. */
static void test_what_a_page_held_before_does_not_matter(void **state)
{
    (void)state;
    step s;
    begin_layout(&s, &layouts[1]);
    int64_t width = s.n_heads * s.head_dim, kv = s.n_kv_heads * s.head_dim;
    float *clean = new_floats(s.n_rows * width), *dirty = new_floats(s.n_rows * width),
          *d_o = new_normal(s.n_rows * width, 4, 1);
    float *g[2][3];
    for (int i = 0; i < 2; i++)
        g[i][0] = new_floats(s.n_rows * width), g[i][1] = new_floats(s.n_rows * kv),
        g[i][2] = new_floats(s.n_rows * kv);
    hone_op_attention(ops, s.pool, LAYER, s.spans, 1, s.n_heads, s.window, s.scale, s.q, clean, s.softmax);
    run_backward(ops, &s, clean, d_o, g[0][0], g[0][1], g[0][2]);
    float nothing[64];
    memset(nothing, 0xFF, sizeof nothing);
    for (int64_t p = s.n_rows; p < (s.n_rows + 15) / 16 * 16; p++) {
        hone_kv_write w = {0, s.pages[0][p / 16], (int32_t)(p % 16)};
        hone_op_kv_write(ops, s.pool, LAYER, &w, 1, nothing, nothing);
    }
    hone_op_attention(ops, s.pool, LAYER, s.spans, 1, s.n_heads, s.window, s.scale, s.q, dirty, NULL);
    assert_true(same_bits(clean, dirty, s.n_rows * width));
    run_backward(ops, &s, clean, d_o, g[1][0], g[1][1], g[1][2]);
    assert_true(same_bits(g[0][0], g[1][0], s.n_rows * width));
    assert_true(same_bits(g[0][1], g[1][1], s.n_rows * kv));
    assert_true(same_bits(g[0][2], g[1][2], s.n_rows * kv));
    for (int i = 0; i < 6; i++)
        free(g[i / 3][i % 3]);
    free(clean), free(dirty), free(d_o);
    end(&s);
}

static void test_pool_of_an_impossible_size_is_an_error(void **state)
{
    (void)state;
    hone_kv_pool *pool;
    hone_error err;
    assert_int_equal(hone_kv_pool_create(INT64_MAX / 1024, 30, 3, 64, &pool, &err), HONE_NO_MEMORY);
    assert_null(pool);
}

static int create_ops(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        if (i == 4)
            setenv("HONE_CPU", "scalar", 1);
        if (hone_ops_create(i == 4 ? 2 : i, &ops_by_threads[i], NULL) != HONE_OK ||
            hone_ops_reserve_attention(ops_by_threads[i], 16, 1, 80, NULL) != HONE_OK)
            return -1;
        unsetenv("HONE_CPU");
    }
    ops = ops_by_threads[2];
    return 0;
}

static int free_ops(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        hone_ops_free(ops_by_threads[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_is_the_textbook_formula),
        cmocka_unit_test(test_gradient_of_attention_is_its_slope),
        cmocka_unit_test(test_shared_prefix_gradients_are_the_sum_of_separate_ones),
        cmocka_unit_test(test_attention_has_the_same_bits_alone_and_in_company),
        cmocka_unit_test(test_decoding_over_a_long_context_has_the_bits_of_prefill),
        cmocka_unit_test(test_ways_through_a_tree_have_the_bits_of_plain_sequences_across_blocks),
        cmocka_unit_test(test_blocks_of_very_different_scores_are_joined_exactly),
        cmocka_unit_test(test_a_context_longer_than_threads_share_out_at_once),
        cmocka_unit_test(test_gradient_has_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(test_what_a_page_held_before_does_not_matter),
        cmocka_unit_test(test_pool_of_an_impossible_size_is_an_error),
    };
    return cmocka_run_group_tests(tests, create_ops, free_ops);
}
