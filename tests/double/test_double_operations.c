/* test_double_operations.c - every operation's backward pass against central differences of its forward pass, both in
 * the double build: with steps of 1e-5 the differences themselves are good to about 1e-9, so an error of any size in a
 * formula shows. That the forward passes are right is the claim of test_double_model.c and of the tests in tests/unit.
 */
#include "base/rng.h"
#include "file_rows.h"
#include "ops/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const double STEP = 1e-5, TOLERANCE = 1e-7;

static hone_ops *ops;

static double *new_normal(int64_t n, uint32_t stream, double scale)
{
    double *x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * hone_rng_normal((hone_rng_key){7, HONE_RNG_TEST, stream}, (uint64_t)i);
    return x;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The value whose gradient is claimed, as a function of whatever `context` points to. */
typedef double (*objective)(void *context);

/* gradient[i] is the slope of f along x[i], for up to `samples` elements spread over x. */
static void check_slopes(const char *name, objective f, void *context, double *x, const double *gradient, int64_t n,
                         int64_t samples)
{
    int64_t apart = n > samples ? n / samples : 1;
    double worst = 0;
    for (int64_t i = 0; i < n; i += apart) {
        double kept = x[i];
        x[i] = kept + STEP;
        double above = f(context);
        x[i] = kept - STEP;
        double slope = (above - f(context)) / (2 * STEP), error = fabs(gradient[i] - slope) / (1 + fabs(slope));
        x[i] = kept;
        if (!(error < TOLERANCE))
            fail_msg("%s: the gradient of element %lld is %.12g, the slope %.12g", name, (long long)i, gradient[i],
                     slope);
        worst = error > worst ? error : worst;
    }
    print_message("%s: within %.1e\n", name, worst);
}

/* ---- linear layers ---- */
typedef struct linear {
    hone_weight *w;
    int64_t rows, n_in, n_out;
    double *x, *y, *dy;
} linear;

static double linear_objective(void *context)
{
    linear *l = context;
    hone_linear_job job = {l->w, l->x, l->n_in, l->y, l->n_out};
    hone_op_linear(ops, &job, 1, l->rows);
    return dot(l->y, l->dy, l->rows * l->n_out);
}

static void test_backward_of_a_linear_layer_of_every_type(void **state)
{
    (void)state;
    for (int f = 0; f < N_FORMATS; f++) {
        linear l = {.rows = 7,
                    .n_in = formats[f].block_weights > 32 ? 512 : 288,
                    .n_out = 52}; /* more than one chunk of K; a panel that is not full */
        size_t bytes;
        unsigned char *rows = new_rows(&formats[f], l.n_out, l.n_in, 3, &bytes);
        assert_int_equal(hone_weight_pack(ops, formats[f].dtype, l.n_out, l.n_in, rows, bytes, &l.w, NULL), HONE_OK);
        l.x = new_normal(l.rows * l.n_in, 1, 1), l.dy = new_normal(l.rows * l.n_out, 2, 1);
        l.y = new_normal(l.rows * l.n_out, 3, 1);
        double *dx = new_normal(l.rows * l.n_in, 4, 1), *before = new_normal(l.rows * l.n_in, 4, 1);
        hone_op_linear_backward(ops, l.w, l.rows, l.dy, l.n_out, dx, l.n_in, true); /* is added */
        for (int64_t i = 0; i < l.rows * l.n_in; i++)
            dx[i] -= before[i];
        check_slopes(formats[f].name, linear_objective, &l, l.x, dx, l.rows * l.n_in, 200);
        hone_weight_free(l.w);
        free(rows), free(l.x), free(l.y), free(l.dy), free(dx), free(before);
    }
}

/* ---- low-rank adapters: the products that backward.c makes of y += s B A x ---- */
enum { LORA_ROWS = 9, LORA_IN = 70, LORA_OUT = 37, LORA_RANK = 5 };

typedef struct lora {
    double *x, *a, *b_t, *dy, scale;
} lora;

static double lora_objective(void *context)
{
    const lora *l = context;
    double low[LORA_ROWS * LORA_RANK], y[LORA_ROWS * LORA_OUT] = {0};
    double *a = calloc(hone_lora_panel_floats(LORA_RANK, LORA_IN), sizeof *a),
           *b = calloc(hone_lora_panel_floats(LORA_OUT, LORA_RANK), sizeof *b);
    hone_op_lora_pack(ops, LORA_RANK, LORA_IN, l->a, LORA_IN, 1, a);
    hone_op_lora_pack(ops, LORA_OUT, LORA_RANK, l->b_t, 1, LORA_OUT, b);
    hone_lora_job job = {.n_rows = LORA_ROWS,
                         .n_in = LORA_IN,
                         .n_out = LORA_OUT,
                         .rank = LORA_RANK,
                         .scale = l->scale,
                         .x = l->x,
                         .a_panels = a,
                         .b_panels = b,
                         .low = low,
                         .y = y};
    hone_op_lora(ops, &job, 1);
    free(a), free(b);
    return dot(y, l->dy, LORA_ROWS * LORA_OUT);
}

static void test_backward_of_an_adapter(void **state)
{
    (void)state;
    lora l = {new_normal(LORA_ROWS * LORA_IN, 1, 1), new_normal(LORA_RANK * LORA_IN, 2, 0.3),
              new_normal(LORA_RANK * LORA_OUT, 3, 0.3), new_normal(LORA_ROWS * LORA_OUT, 4, 1), 1.7};
    double low[LORA_ROWS * LORA_RANK], d_low[LORA_ROWS * LORA_RANK], b[LORA_OUT * LORA_RANK], da[LORA_RANK * LORA_IN],
        db_t[LORA_RANK * LORA_OUT], dx[LORA_ROWS * LORA_IN];
    hone_op_matmul(ops, LORA_ROWS, LORA_RANK, LORA_IN, l.x, LORA_IN, 1,
                   (hone_op_transpose(ops, LORA_RANK, LORA_IN, l.a, dx), dx), LORA_RANK, low, LORA_RANK, false);
    hone_op_scale(ops, LORA_ROWS * LORA_RANK, l.scale, low);
    hone_op_transpose(ops, LORA_RANK, LORA_OUT, l.b_t, b);
    hone_op_matmul(ops, LORA_RANK, LORA_OUT, LORA_ROWS, low, 1, LORA_RANK, l.dy, LORA_OUT, db_t, LORA_OUT, false);
    hone_op_matmul(ops, LORA_ROWS, LORA_RANK, LORA_OUT, l.dy, LORA_OUT, 1, b, LORA_RANK, d_low, LORA_RANK, false);
    hone_op_scale(ops, LORA_ROWS * LORA_RANK, l.scale, d_low);
    hone_op_matmul(ops, LORA_RANK, LORA_IN, LORA_ROWS, d_low, 1, LORA_RANK, l.x, LORA_IN, da, LORA_IN, false);
    hone_op_matmul(ops, LORA_ROWS, LORA_IN, LORA_RANK, d_low, LORA_RANK, 1, l.a, LORA_IN, dx, LORA_IN, false);
    check_slopes("adapter, A", lora_objective, &l, l.a, da, LORA_RANK * LORA_IN, 400);
    check_slopes("adapter, B", lora_objective, &l, l.b_t, db_t, LORA_RANK * LORA_OUT, 400);
    check_slopes("adapter, x", lora_objective, &l, l.x, dx, LORA_ROWS * LORA_IN, 400);
    free(l.x), free(l.a), free(l.b_t), free(l.dy);
}

/* ---- rows ---- */
enum { ROWS = 5, DIM = 51 };

typedef struct rows {
    double *x, *w, *y, *dy;
} rows;

static double norm_objective(void *context)
{
    const rows *r = context;
    hone_op_rms_norm(ops, ROWS, DIM, 1e-5, r->x, r->w, r->y, NULL);
    return dot(r->y, r->dy, ROWS * DIM);
}

static void test_backward_of_the_norm(void **state)
{
    (void)state;
    rows r = {new_normal(ROWS * DIM, 1, 2), new_normal(DIM, 2, 1), new_normal(ROWS * DIM, 0, 1),
              new_normal(ROWS * DIM, 3, 1)};
    double rrms[ROWS], dx[ROWS * DIM] = {0};
    hone_op_rms_norm(ops, ROWS, DIM, 1e-5, r.x, r.w, r.y, rrms);
    hone_op_rms_norm_backward(ops, ROWS, DIM, r.x, r.w, rrms, r.dy, dx);
    check_slopes("norm", norm_objective, &r, r.x, dx, ROWS * DIM, ROWS * DIM);
    free(r.x), free(r.w), free(r.y), free(r.dy);
}

enum { N_GATED = 300 };

static double swiglu_objective(void *context)
{
    const rows *r = context; /* x: gate, w: up */
    hone_op_swiglu(ops, N_GATED, r->x, r->w, r->y);
    return dot(r->y, r->dy, N_GATED);
}

static void test_backward_of_swiglu(void **state)
{
    (void)state;
    rows r = {new_normal(N_GATED, 1, 3), new_normal(N_GATED, 2, 1), new_normal(N_GATED, 0, 1),
              new_normal(N_GATED, 3, 1)};
    double dgate[N_GATED], dup[N_GATED];
    r.x[0] = 0, r.x[1] = -40, r.x[2] = 40;
    hone_op_swiglu_backward(ops, N_GATED, r.x, r.w, r.dy, dgate, dup);
    check_slopes("gate", swiglu_objective, &r, r.x, dgate, N_GATED, N_GATED);
    check_slopes("up", swiglu_objective, &r, r.w, dup, N_GATED, N_GATED);
    free(r.x), free(r.w), free(r.y), free(r.dy);
}

static double geglu_objective(void *context)
{
    const rows *r = context;
    hone_op_geglu(ops, N_GATED, r->x, r->w, r->y);
    return dot(r->y, r->dy, N_GATED);
}

static void test_backward_of_geglu(void **state)
{
    (void)state;
    rows r = {new_normal(N_GATED, 1, 3), new_normal(N_GATED, 2, 1), new_normal(N_GATED, 0, 1),
              new_normal(N_GATED, 3, 1)};
    double dgate[N_GATED], dup[N_GATED];
    r.x[0] = 0, r.x[1] = -40, r.x[2] = 40;
    hone_op_geglu_backward(ops, N_GATED, r.x, r.w, r.dy, dgate, dup);
    check_slopes("gate, GELU", geglu_objective, &r, r.x, dgate, N_GATED, N_GATED);
    check_slopes("up, GELU", geglu_objective, &r, r.w, dup, N_GATED, N_GATED);
    free(r.x), free(r.w), free(r.y), free(r.dy);
}

enum { ROPE_ROWS = 3, ROPE_HEADS = 2, ROPE_DIM = 32, ROPE_N = ROPE_ROWS * ROPE_HEADS * ROPE_DIM };

typedef struct rope {
    hone_rope_table *table;
    double *x, *dy;
} rope;

static const int32_t rope_positions[ROPE_ROWS] = {0, 7, 99};

static double rope_objective(void *context)
{
    const rope *r = context;
    double y[ROPE_N];
    memcpy(y, r->x, sizeof y);
    hone_op_rope(ops, r->table, ROPE_ROWS, ROPE_HEADS, rope_positions, y, false);
    return dot(y, r->dy, ROPE_N);
}

static void test_backward_of_rope(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        rope r = {NULL, new_normal(ROPE_N, 1, 1), new_normal(ROPE_N, 2, 1)};
        double dx[ROPE_N];
        assert_int_equal(hone_rope_table_create(100, ROPE_DIM, 10000, half, &r.table, NULL), HONE_OK);
        memcpy(dx, r.dy, sizeof dx);
        hone_op_rope(ops, r.table, ROPE_ROWS, ROPE_HEADS, rope_positions, dx, true);
        check_slopes(half ? "rope, halves" : "rope, pairs", rope_objective, &r, r.x, dx, ROPE_N, ROPE_N);
        hone_rope_table_free(r.table);
        free(r.x), free(r.dy);
    }
}

enum { LOGIT_ROWS = 4, VOCAB = 130 };

typedef struct logits {
    double *x;
    double weight[LOGIT_ROWS];
    int32_t targets[LOGIT_ROWS];
} logits;

static double cross_entropy_objective(void *context)
{
    const logits *l = context;
    double lse[LOGIT_ROWS], logprob[LOGIT_ROWS], loss = 0;
    hone_op_log_softmax_stats(ops, LOGIT_ROWS, VOCAB, l->x, l->targets, lse, logprob);
    for (int t = 0; t < LOGIT_ROWS; t++)
        loss -= l->weight[t] * logprob[t];
    return loss;
}

static void test_backward_of_cross_entropy(void **state)
{
    (void)state;
    logits l = {new_normal(LOGIT_ROWS * VOCAB, 1, 4), {1, 0.25, 3, 0.02}, {0, VOCAB - 1, 17, 64}};
    double *gradient = new_normal(LOGIT_ROWS * VOCAB, 1, 4), lse[LOGIT_ROWS];
    hone_op_log_softmax_stats(ops, LOGIT_ROWS, VOCAB, l.x, NULL, lse, NULL);
    hone_op_cross_entropy_backward(ops, LOGIT_ROWS, VOCAB, gradient, l.targets, lse, l.weight);
    check_slopes("cross entropy", cross_entropy_objective, &l, l.x, gradient, LOGIT_ROWS * VOCAB, LOGIT_ROWS * VOCAB);
    free(l.x), free(gradient);
}

/* ---- attention ---- */
enum { MAX_SPANS = 5, MAX_PAGES = 16 };

typedef struct step {
    int64_t n_rows, n_heads, n_kv_heads, head_dim, n_spans, n_writes, window;
    hone_span spans[MAX_SPANS];
    int32_t pages[MAX_SPANS][MAX_PAGES], next_page;
    hone_kv_write writes[512];
    hone_kv_pool *pool;
    double *q, *k, *v, *o, *d_o, *softmax, scale;
} step;

/* lengths[0] is a prefix that the other spans continue when `shared`. */
static void begin_step(step *s, const int *lengths, int n, bool shared)
{
    for (int i = 0; i < n; i++) {
        int64_t prefix = shared && i > 0 ? lengths[0] : 0, whole = prefix / HONE_PAGE_TOKENS;
        memcpy(s->pages[i], s->pages[0], (size_t)whole * sizeof(int32_t));
        for (int64_t p = whole * HONE_PAGE_TOKENS; p < prefix + lengths[i]; p++) {
            if (p % HONE_PAGE_TOKENS == 0)
                s->pages[i][p / HONE_PAGE_TOKENS] = s->next_page++;
            s->writes[s->n_writes++] =
                (hone_kv_write){(int32_t)(p < prefix ? p : s->n_rows + p - prefix), s->pages[i][p / HONE_PAGE_TOKENS],
                                (int32_t)(p % HONE_PAGE_TOKENS)};
        }
        s->spans[i] =
            (hone_span){s->n_rows, lengths[i], prefix, s->pages[i], prefix > 0 ? &s->spans[0] : NULL, NULL, NULL};
        s->n_rows += lengths[i];
    }
    s->n_spans = n;
    s->scale = 1 / sqrt((double)s->head_dim);
    assert_int_equal(hone_kv_pool_create(MAX_SPANS * MAX_PAGES, 1, s->n_kv_heads, s->head_dim, &s->pool, NULL),
                     HONE_OK);
    int64_t wide = s->n_rows * s->n_heads * s->head_dim, narrow = s->n_rows * s->n_kv_heads * s->head_dim;
    s->q = new_normal(wide, 1, 1.5), s->k = new_normal(narrow, 2, 1.5), s->v = new_normal(narrow, 3, 1);
    s->o = new_normal(wide, 0, 1), s->d_o = new_normal(wide, 4, 1);
    s->softmax = new_normal(2 * s->n_rows * s->n_heads, 8, 1);
}

static double attention_objective(void *context)
{
    step *s = context;
    hone_op_kv_write(ops, s->pool, 0, s->writes, s->n_writes, s->k, s->v);
    hone_op_attention(ops, s->pool, 0, s->spans, s->n_spans, s->n_heads, s->window, s->scale, s->q, s->o, s->softmax);
    return dot(s->o, s->d_o, s->n_rows * s->n_heads * s->head_dim);
}

static void test_backward_of_attention(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int lengths[MAX_SPANS], n;
        bool shared;
        int heads, kv_heads, dim, window;
    } layouts[] = {{"attention, three sequences", {5, 33, 16}, 3, false, 6, 2, 16},
                   {"attention, several query blocks", {130}, 1, false, 2, 1, 32},
                   {"attention, a prefix of more than a block", {140, 9, 17}, 3, true, 2, 1, 16},
                   {"attention, a prefix that fills its pages", {32, 7, 1, 20}, 4, true, 4, 2, 16},
                   {"attention, a prefix that ends within a page", {21, 7, 30}, 3, true, 3, 1, 16},
                   {"attention, a window", {150}, 1, false, 2, 1, 16, 21},
                   {"attention, a window over a shared prefix", {140, 9, 17}, 3, true, 2, 1, 16, 30}};
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        step s = {.n_heads = layouts[l].heads,
                  .n_kv_heads = layouts[l].kv_heads,
                  .head_dim = layouts[l].dim,
                  .window = layouts[l].window};
        begin_step(&s, layouts[l].lengths, layouts[l].n, layouts[l].shared);
        attention_objective(&s);
        int64_t wide = s.n_rows * s.n_heads * s.head_dim, narrow = s.n_rows * s.n_kv_heads * s.head_dim;
        double *dq = new_normal(wide, 5, 9), *dk = new_normal(narrow, 6, 9), *dv = new_normal(narrow, 7, 9);
        double *work = calloc(
            hone_attention_backward_work(s.n_rows, s.n_heads, s.head_dim, hone_thread_pool_size(hone_ops_pool(ops))),
            sizeof *work);
        hone_op_attention_backward(ops, s.pool, 0, s.spans, s.n_spans, s.n_rows, s.n_heads, s.window, s.scale, s.q, s.o,
                                   s.softmax, s.d_o, dq, dk, dv, work);
        print_message("%s:\n", layouts[l].name);
        check_slopes("  q", attention_objective, &s, s.q, dq, wide, 60);
        check_slopes("  k", attention_objective, &s, s.k, dk, narrow, 60);
        check_slopes("  v", attention_objective, &s, s.v, dv, narrow, 60);
        free(dq), free(dk), free(dv), free(work);
        free(s.q), free(s.k), free(s.v), free(s.o), free(s.d_o), free(s.softmax);
        hone_kv_pool_free(s.pool);
    }
}

/* The build is what it says: a third is not rounded to single precision anywhere on the way. */
static void test_numbers_are_double(void **state)
{
    (void)state;
    double x[1] = {1.0 / 3}, y[1] = {0};
    assert_int_equal(sizeof(hone_real), 8);
    hone_op_add(ops, 1, x, y);
    assert_true(y[0] == 1.0 / 3);
    assert_string_equal(hone_ops_isa(ops), "scalar");
}

static int begin_all(void **state)
{
    (void)state;
    return hone_ops_create(2, &ops, NULL) == HONE_OK && hone_ops_reserve_attention(ops, 6, 1, 32, NULL) == HONE_OK ? 0
                                                                                                                   : -1;
}

static int end_all(void **state)
{
    (void)state;
    hone_ops_free(ops);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_double),     cmocka_unit_test(test_backward_of_a_linear_layer_of_every_type),
        cmocka_unit_test(test_backward_of_an_adapter), cmocka_unit_test(test_backward_of_the_norm),
        cmocka_unit_test(test_backward_of_swiglu),     cmocka_unit_test(test_backward_of_geglu),
        cmocka_unit_test(test_backward_of_rope),       cmocka_unit_test(test_backward_of_cross_entropy),
        cmocka_unit_test(test_backward_of_attention),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
