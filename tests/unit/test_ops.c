/* test_ops.c - the operations of ops.h against arithmetic in double precision written out here, and the same-bits rule:
 * a row's result does not depend on how many rows or threads there are.
 *
 * Gradients are checked against the derivative of the double-precision forward formula by hand, or against central
 * differences of that forward in double precision (step 1e-5, so the differences themselves are good to about 1e-9). */
#include "file_rows.h"
#include "numbers.h"

#include "ops/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static hone_ops *ops; /* 2 threads */
static hone_ops
    *ops_by_threads[6]; /* 1, 2, 3 and 5 threads; [4] has 2 threads and the scalar kernels: equal bits there too */
static hone_ops *bf16_by_threads[6]; /* the same in that numerics class */

/* ---- packed weights ---- */
typedef struct matrix {
    hone_weight *w;
    float *values; /* [n_out, n_in], decoded by the test */
    int64_t n_out, n_in;
} matrix;

static matrix new_matrix(const format *f, int64_t n_out, int64_t n_in, uint32_t stream)
{
    size_t bytes;
    unsigned char *rows = new_rows(f, n_out, n_in, stream, &bytes);
    matrix m = {NULL, new_floats(n_out * n_in), n_out, n_in};
    hone_error err;
    if (hone_weight_pack(ops, f->dtype, n_out, n_in, rows, bytes, &m.w, &err) != HONE_OK)
        fail_msg("%s %lld x %lld: %s", f->name, (long long)n_out, (long long)n_in, err.message);
    for (int64_t o = 0; o < n_out; o++)
        for (int64_t i = 0; i < n_in; i++)
            m.values[o * n_in + i] = decoded(f, rows + (size_t)o * bytes / (size_t)n_out, i);
    free(rows);
    return m;
}

/* n_in, or where the format's blocks need it the next width that they divide. */
static int64_t width_for(const format *f, int64_t n_in)
{
    return (n_in + f->block_weights - 1) / f->block_weights * f->block_weights;
}

static void free_matrix(matrix *m)
{
    hone_weight_free(m->w);
    free(m->values);
}

static const struct shape {
    int64_t n_out, n_in;
} shapes[] = {{1, 32}, {16, 32}, {17, 64}, {33, 288}, {48, 576}, {100, 96}, {31, 1568}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void test_packed_weights_are_the_files_values(void **state)
{
    (void)state;
    for (int f = 0; f < N_FORMATS; f++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int odd = 0; odd < (formats[f].block_weights == 1 ? 2 : 1); odd++) { /* plain types: any width */
                int64_t n_out = shapes[s].n_out, n_in = width_for(&formats[f], shapes[s].n_in - odd * 5);
                matrix m = new_matrix(&formats[f], n_out, n_in, (uint32_t)(f * 10 + s));
                float *y = new_floats(n_out * n_in);
                int32_t ids[128];
                for (int64_t i = 0; i < n_out; i++)
                    ids[i] = (int32_t)(n_out - 1 - i);
                hone_op_embed(ops, m.w, n_out, ids, y);
                for (int64_t i = 0; i < n_out; i++)
                    for (int64_t k = 0; k < n_in; k++)
                        if (y[i * n_in + k] != m.values[ids[i] * n_in + k])
                            fail_msg("%s %lld x %lld: weight (%d, %lld) is %a, the file says %a", formats[f].name,
                                     (long long)n_out, (long long)n_in, ids[i], (long long)k, (double)y[i * n_in + k],
                                     (double)m.values[ids[i] * n_in + k]);
                assert_int_equal(hone_weight_n_out(m.w), n_out);
                assert_int_equal(hone_weight_n_in(m.w), n_in);
                free(y);
                free_matrix(&m);
            }
}

static void test_packing_refuses_what_does_not_fit(void **state)
{
    (void)state;
    unsigned char rows[64] = {0};
    hone_weight *w;
    hone_error err;
    assert_int_equal(hone_weight_pack(ops, HONE_Q8_0, 1, 33, rows, 64, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, HONE_Q8_0, 2, 32, rows, 67, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, HONE_F32, 0, 32, rows, 64, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, HONE_F32, 1, -1, rows, 64, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, (hone_dtype)10, 1, 256, rows, 64, &w, &err), HONE_UNSUPPORTED);
    assert_non_null(strstr(err.message, "type Q2_K"));
    assert_int_equal(hone_weight_pack(ops, (hone_dtype)9999, 1, 256, rows, 64, &w, &err), HONE_UNSUPPORTED);
    rows[1] = 0x7B; /* a Q4_0 scale of 57344: -8 times that is no half */
    assert_int_equal(hone_weight_pack(ops, HONE_Q4_0, 1, 32, rows, 18, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, HONE_Q5_0, 1, 32, rows, 22, &w, &err), HONE_BAD_FORMAT);
    assert_int_equal(hone_weight_pack(ops, HONE_Q4_K, 1, 32, rows, 64, &w, &err), HONE_BAD_FORMAT);
    assert_null(w);
}

/* ---- products ---- */
/* What a device multiplies in place of x: dtype.h's rounding in the class bf16. */
static double as_multiplied(const hone_ops *by, float x)
{
    return hone_ops_numerics(by) == HONE_NUMERICS_BF16 ? (double)hone_bf16_to_f32(hone_f32_to_bf16(x)) : (double)x;
}

static double exact_dot(const hone_ops *by, const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t n,
                        double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = as_multiplied(by, a[i * a_step]) * as_multiplied(by, b[i * b_step]);
        sum += p;
        *size += fabs(p);
    }
    return sum;
}

/* n fused multiply-adds err by at most n/2 ulp of the running sum; half of that is generous for random signs. */
static double dot_tolerance(int64_t n, double size)
{
    return size * 0x1p-24 * (4 + sqrt((double)n)) + 1e-30;
}

/* In the class bf16 the numbers are rounded first; the sums are f32 in both. */
static void check_linear_and_its_backward(hone_ops *by)
{
    for (int f = 0; f < N_FORMATS; f++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int64_t n_rows = 1; n_rows <= 7; n_rows += 3) {
                matrix m =
                    new_matrix(&formats[f], shapes[s].n_out, width_for(&formats[f], shapes[s].n_in), (uint32_t)s);
                int64_t xs = m.n_in + 3, ys = m.n_out + 5;
                float *x = new_normal(n_rows * xs, 1, 1), *y = new_normal(n_rows * ys, 2, 1),
                      *dx = new_normal(n_rows * xs, 3, 1);
                float *before = new_normal(n_rows * xs, 3, 1), *dy = new_normal(n_rows * ys, 4, 1);
                float *gap = new_normal(n_rows * ys, 2, 1);
                hone_linear_job job = {m.w, x, xs, y, ys};
                hone_op_linear(by, &job, 1, n_rows);
                for (int64_t t = 0; t < n_rows; t++) {
                    for (int64_t o = 0; o < m.n_out; o++) {
                        double size, exact = exact_dot(by, x + t * xs, 1, m.values + o * m.n_in, 1, m.n_in, &size);
                        assert_true(fabs((double)y[t * ys + o] - exact) <= dot_tolerance(m.n_in, size));
                    }
                    for (int64_t o = m.n_out; o < ys && t < n_rows - 1; o++) /* between rows nothing is written */
                        assert_true(y[t * ys + o] == gap[t * ys + o]);
                }
                for (int add = 0; add < 2; add++) {
                    memcpy(dx, before, (size_t)(n_rows * xs) * sizeof *dx);
                    hone_op_linear_backward(by, m.w, n_rows, dy, ys, dx, xs, add);
                    for (int64_t t = 0; t < n_rows; t++)
                        for (int64_t i = 0; i < xs; i++) {
                            double old = (double)before[t * xs + i], size = 0,
                                   exact = i < m.n_in
                                               ? exact_dot(by, dy + t * ys, 1, m.values + i, m.n_in, m.n_out, &size)
                                               : old;
                            if (i < m.n_in && add)
                                exact += old, size += fabs(old);
                            assert_true(fabs((double)dx[t * xs + i] - exact) <= dot_tolerance(m.n_out, size));
                        }
                }
                free(x), free(y), free(dx), free(before), free(dy), free(gap);
                free_matrix(&m);
            }
}

static void test_linear_and_its_backward_agree_with_double_precision(void **state)
{
    (void)state;
    check_linear_and_its_backward(ops);
    check_linear_and_its_backward(bf16_by_threads[2]);
    check_linear_and_its_backward(bf16_by_threads[4]);
}

static void check_backward_of_odd_widths(hone_ops *by)
{
    static const int64_t widths[] = {1, 15, 17, 31, 33, 47, 100};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int64_t n_out = 5; n_out <= 305; n_out += 300) {
            matrix m = new_matrix(&formats[1], n_out, widths[i], 3);
            float *dy = new_normal(3 * n_out, 1, 1), *dx = new_floats(3 * m.n_in);
            hone_op_linear_backward(by, m.w, 3, dy, n_out, dx, m.n_in, false);
            for (int64_t t = 0; t < 3; t++)
                for (int64_t k = 0; k < m.n_in; k++) {
                    double size, exact = exact_dot(by, dy + t * n_out, 1, m.values + k, m.n_in, n_out, &size);
                    assert_true(fabs((double)dx[t * m.n_in + k] - exact) <= dot_tolerance(n_out, size));
                }
            free(dy), free(dx);
            free_matrix(&m);
        }
}

static void test_backward_of_a_width_that_is_no_multiple_of_16(void **state)
{
    (void)state;
    check_backward_of_odd_widths(ops);
    check_backward_of_odd_widths(bf16_by_threads[2]);
}

static const int row_counts[] = {1, 2, 5, 6, 7, 31, 32, 33, 96, 192, 193, 200};
enum { N_ROW_COUNTS = sizeof row_counts / sizeof *row_counts, MOST_ROWS = 200 };

/* Both directions for several layers at once, with every row count and thread count: row 0's neighbours change, its
 * bits do not. */
static void check_same_bits(hone_ops *const by[6])
{
    for (int f = 0; f < N_FORMATS; f++) {
        int64_t n_in = width_for(&formats[f], 576);
        matrix a = new_matrix(&formats[f], 100, n_in, 1), b = new_matrix(&formats[f], 41, n_in, 2);
        float *x = new_normal(MOST_ROWS * n_in, 1, 1), *dy = new_normal(MOST_ROWS * 100, 2, 1);
        float *ya = new_floats(MOST_ROWS * 100), *yb = new_floats(MOST_ROWS * 41), *dx = new_floats(MOST_ROWS * n_in);
        float *ya1 = new_floats(MOST_ROWS * 100), *yb1 = new_floats(MOST_ROWS * 41),
              *dx1 = new_floats(MOST_ROWS * n_in);
        for (int64_t t = 0; t < MOST_ROWS; t++) { /* the reference: each row alone, one thread, one job a call */
            hone_linear_job ja = {a.w, x + t * n_in, n_in, ya1 + t * 100, 100},
                            jb = {b.w, x + t * n_in, n_in, yb1 + t * 41, 41};
            hone_op_linear(by[1], &ja, 1, 1);
            hone_op_linear(by[1], &jb, 1, 1);
            hone_op_linear_backward(by[1], a.w, 1, dy + t * 100, 100, dx1 + t * n_in, n_in, false);
        }
        for (int threads = 1; threads <= 5; threads++)
            for (int r = 0; by[threads] && r < N_ROW_COUNTS; r++) {
                int n = row_counts[r], first = MOST_ROWS - n;
                memset(ya, 1, MOST_ROWS * 100 * sizeof *ya);
                hone_linear_job jobs[] = {{a.w, x + first * n_in, n_in, ya, 100},
                                          {b.w, x + first * n_in, n_in, yb, 41}};
                hone_op_linear(by[threads], jobs, 2, n);
                hone_op_linear_backward(by[threads], a.w, n, dy + first * 100, 100, dx, n_in, false);
                if (!same_bits(ya, ya1 + first * 100, n * 100) || !same_bits(yb, yb1 + first * 41, n * 41) ||
                    !same_bits(dx, dx1 + first * n_in, n * n_in))
                    fail_msg("%s: %d rows on %d threads differ from each row alone", formats[f].name, n, threads);
            }
        free(x), free(dy), free(ya), free(yb), free(dx), free(ya1), free(yb1), free(dx1);
        free_matrix(&a);
        free_matrix(&b);
    }
}

static void test_linear_has_the_same_bits_for_any_number_of_rows_and_threads(void **state)
{
    (void)state;
    check_same_bits(ops_by_threads);
    check_same_bits(bf16_by_threads);
}

/* More rows than the room for rounded ones holds go through it in parts. */
static void test_many_wide_rows_have_the_bits_of_each_alone_in_bf16(void **state)
{
    (void)state;
    enum { N_IN = 32768, ROWS = 70 };
    matrix m = new_matrix(&formats[0], 3, N_IN, 1);
    float *x = new_normal((int64_t)ROWS * N_IN, 1, 1), y[ROWS * 3], alone[3];
    hone_linear_job job = {m.w, x, N_IN, y, 3};
    hone_op_linear(bf16_by_threads[2], &job, 1, ROWS);
    for (int64_t t = 0; t < ROWS; t++) {
        hone_linear_job one = {m.w, x + t * N_IN, N_IN, alone, 3};
        hone_op_linear(bf16_by_threads[1], &one, 1, 1);
        assert_true(same_bits(alone, y + t * 3, 3));
    }
    free_matrix(&m);
    m = new_matrix(&formats[0], N_IN, 3, 1); /* and gradients of as many outputs */
    hone_op_linear_backward(bf16_by_threads[2], m.w, ROWS, x, N_IN, y, 3, false);
    for (int64_t t = 0; t < ROWS; t++) {
        hone_op_linear_backward(bf16_by_threads[1], m.w, 1, x + t * N_IN, N_IN, alone, 3, false);
        assert_true(same_bits(alone, y + t * 3, 3));
    }
    free(x);
    free_matrix(&m);
}

static void test_matmul_agrees_with_double_precision_in_every_layout(void **state)
{
    (void)state;
    static const struct {
        int64_t m, n, k;
    } sizes[] = {{1, 1, 1},    {1, 16, 300}, {5, 17, 0},   {7, 33, 64},
                 {96, 64, 16}, {97, 130, 8}, {33, 2, 513}, {16, 576, 77}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int turned = 0; turned < 2; turned++)
            for (int add = 0; add < 2; add++) {
                int64_t m = sizes[s].m, n = sizes[s].n, k = sizes[s].k, a_row = turned ? 1 : k + 2,
                        a_k = turned ? m + 1 : 1, b_k = n + 3, c_row = n + 1;
                float *a = new_normal((m + 2) * (k + 2), 1, 1), *b = new_normal((k + 1) * b_k, 2, 1),
                      *c = new_normal(m * c_row, 3, 1), *old = new_normal(m * c_row, 3, 1);
                hone_op_matmul(ops, m, n, k, a, a_row, a_k, b, b_k, c, c_row, add);
                for (int64_t i = 0; i < m; i++) {
                    for (int64_t j = 0; j < n; j++) {
                        double size, before = add ? (double)old[i * c_row + j] : 0,
                                     exact = exact_dot(ops, a + i * a_row, a_k, b + j, b_k, k, &size) + before;
                        assert_true(fabs((double)c[i * c_row + j] - exact) <= dot_tolerance(k, size + fabs(before)));
                    }
                    assert_true(c[i * c_row + n] == old[i * c_row + n]);
                }
                free(a), free(b), free(c), free(old);
            }
}

static void test_matmul_has_the_same_bits_for_any_number_of_rows_and_threads(void **state)
{
    (void)state;
    enum { K = 300, N = 41 };
    float *a = new_normal(MOST_ROWS * K, 1, 1), *b = new_normal(K * N, 2, 1), *alone = new_floats(MOST_ROWS * N),
          *c = new_floats(MOST_ROWS * N);
    for (int64_t t = 0; t < MOST_ROWS; t++)
        hone_op_matmul(ops_by_threads[1], 1, N, K, a + t * K, K, 1, b, N, alone + t * N, N, false);
    for (int threads = 1; threads <= 5; threads++)
        for (int r = 0; ops_by_threads[threads] && r < N_ROW_COUNTS; r++) {
            int n = row_counts[r], first = MOST_ROWS - n;
            hone_op_matmul(ops_by_threads[threads], n, N, K, a + first * K, K, 1, b, N, c, N, false);
            assert_true(same_bits(c, alone + first * N, n * N));
        }
    free(a), free(b), free(alone), free(c);
}

/* ---- adapters ---- */
/* Jobs of many shapes at once, against matmul (whose arithmetic has its own test) with A and B as they are: same bits.
 */
static void test_adapters_at_once_have_the_bits_of_each_by_itself(void **state)
{
    (void)state;
    static const struct {
        int64_t rows, rank;
    } kinds[] = {{1, 16}, {3, 7}, {1, 1}, {100, 33}, {9, 16}, {1, 48}, {97, 2}};
    enum { N = sizeof kinds / sizeof *kinds, N_IN = 300, N_OUT = 41 };
    hone_lora_job jobs[N];
    float *expected[N], *expected_low[N], *before[N];
    for (int i = 0; i < N; i++) {
        int64_t rows = kinds[i].rows, rank = kinds[i].rank;
        uint32_t stream = 10 * (uint32_t)i;
        float *a = new_normal(rank * N_IN, stream, 0.1), *b = new_normal(N_OUT * rank, stream + 1, 0.1),
              *a_t = new_floats(rank * N_IN), *b_t = new_floats(N_OUT * rank),
              *x = new_normal(rows * N_IN, stream + 2, 1), *y = new_normal(rows * N_OUT, stream + 3, 1),
              *a_panels = new_floats((int64_t)hone_lora_panel_floats(rank, N_IN)),
              *b_panels = new_floats((int64_t)hone_lora_panel_floats(N_OUT, rank));
        hone_op_transpose(ops, rank, N_IN, a, a_t);
        hone_op_transpose(ops, N_OUT, rank, b, b_t);
        hone_op_lora_pack(ops, rank, N_IN, a, N_IN, 1, a_panels);
        hone_op_lora_pack(ops, N_OUT, rank, b_t, 1, N_OUT, b_panels);
        before[i] = y;
        expected[i] = new_floats(rows * N_OUT);
        expected_low[i] = new_floats(rows * rank);
        memcpy(expected[i], y, (size_t)(rows * N_OUT) * sizeof *y);
        for (int64_t t = 0; t < rows; t++) {
            hone_op_matmul(ops, 1, rank, N_IN, x + t * N_IN, N_IN, 1, a_t, rank, expected_low[i] + t * rank, rank,
                           false);
            hone_op_scale(ops, rank, 0.37f, expected_low[i] + t * rank);
            hone_op_matmul(ops, 1, N_OUT, rank, expected_low[i] + t * rank, rank, 1, b_t, N_OUT,
                           expected[i] + t * N_OUT, N_OUT, true);
        }
        jobs[i] = (hone_lora_job){.n_rows = rows,
                                  .n_in = N_IN,
                                  .n_out = N_OUT,
                                  .rank = rank,
                                  .scale = 0.37f,
                                  .x = x,
                                  .a_panels = a_panels,
                                  .b_panels = b_panels,
                                  .low = new_floats(rows * rank),
                                  .y = new_floats(rows * N_OUT)};
        free(a), free(b), free(a_t), free(b_t);
    }
    for (int threads = 1; threads <= 5; threads++) {
        if (!ops_by_threads[threads])
            continue;
        for (int i = 0; i < N; i++)
            memcpy(jobs[i].y, before[i], (size_t)(jobs[i].n_rows * N_OUT) * sizeof(float));
        hone_op_lora(ops_by_threads[threads], jobs, N);
        for (int i = 0; i < N; i++)
            if (!same_bits(jobs[i].y, expected[i], jobs[i].n_rows * N_OUT) ||
                !same_bits(jobs[i].low, expected_low[i], jobs[i].n_rows * jobs[i].rank))
                fail_msg("job %d with %d threads", i, threads);
    }
    for (int i = 0; i < N; i++) {
        free(expected[i]), free(expected_low[i]), free(before[i]), free(jobs[i].low), free(jobs[i].y);
        free((void *)(uintptr_t)jobs[i].x), free((void *)(uintptr_t)jobs[i].a_panels);
        free((void *)(uintptr_t)jobs[i].b_panels);
    }
}

static void test_transpose_of_any_shape(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 50; m += 7)
        for (int64_t n = 1; n <= 66; n += 5) {
            float *x = new_normal(m * n, 1, 1), *y = new_floats(m * n);
            hone_op_transpose(ops, m, n, x, y);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++)
                    assert_true(y[j * m + i] == x[i * n + j]);
            free(x), free(y);
        }
}

/* ---- rows, forward and backward ---- */
static double silu(double g)
{
    return g / (1 + exp(-g));
}

static void test_swiglu_and_its_gradient(void **state)
{
    (void)state;
    enum { N = 4000 };
    float *gate = new_normal(N, 1, 3), *up = new_normal(N, 2, 2), *dy = new_normal(N, 3, 1), *y = new_floats(N),
          *dgate = new_floats(N), *dup = new_floats(N);
    gate[0] = 0, gate[1] = -80, gate[2] = 80, gate[3] = -200, gate[4] = 200;
    hone_op_swiglu(ops, N, gate, up, y);
    hone_op_swiglu_backward(ops, N, gate, up, dy, dgate, dup);
    for (int i = 0; i < N; i++) {
        double g = (double)gate[i], u = (double)up[i], d = (double)dy[i], h = 1e-5;
        double slope = (silu(g + h) - silu(g - h)) / (2 * h);
        assert_true(fabs((double)y[i] - silu(g) * u) <= 1e-6 * fabs(silu(g) * u) + 1e-30);
        assert_true(fabs((double)dgate[i] - d * u * slope) <= 1e-6 * fabs(d * u) + 1e-8);
        assert_true(fabs((double)dup[i] - d * silu(g)) <= 1e-6 * fabs(d * silu(g)) + 1e-30);
    }
    free(gate), free(up), free(dy), free(y), free(dgate), free(dup);
}

/* sum over i of dy_i * y_i for one row, in double: what the backward pass differentiates. */
static double norm_objective(int64_t n, double eps, const double *x, const float *w, const float *dy)
{
    double squares = 0, sum = 0;
    for (int64_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    for (int64_t i = 0; i < n; i++)
        sum += (double)dy[i] * x[i] * (double)w[i] / sqrt(squares / (double)n + eps);
    return sum;
}

static void test_gradient_of_the_norm_is_the_slope_of_the_norm(void **state)
{
    (void)state;
    enum { ROWS = 37, DIM = 51 };
    float *x = new_normal(ROWS * DIM, 1, 2), *w = new_normal(DIM, 2, 1), *dy = new_normal(ROWS * DIM, 3, 1),
          *y = new_floats(ROWS * DIM), rrms[ROWS];
    float *dx = new_normal(ROWS * DIM, 4, 1), *before = new_normal(ROWS * DIM, 4, 1);
    double point[DIM], eps = (double)1e-5f, h = 1e-5;
    hone_op_rms_norm(ops, ROWS, DIM, 1e-5f, x, w, y, rrms);
    hone_op_rms_norm_backward(ops, ROWS, DIM, x, w, rrms, dy, dx);
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < DIM; i++) {
            for (int j = 0; j < DIM; j++)
                point[j] = (double)x[t * DIM + j];
            point[i] += h;
            double above = norm_objective(DIM, eps, point, w, dy + t * DIM);
            point[i] -= 2 * h;
            double below = norm_objective(DIM, eps, point, w, dy + t * DIM);
            double exact = (double)before[t * DIM + i] + (above - below) / (2 * h); /* it is added */
            assert_true(fabs((double)dx[t * DIM + i] - exact) < 1e-5);
        }
    free(x), free(w), free(dy), free(y), free(dx), free(before);
}

/* Rotation of each pair by position * base^(-2i/d), Su et al. 2021, eq. 34. */
static void test_rope_turns_pairs_by_the_angles_of_the_paper_and_back(void **state)
{
    (void)state;
    enum { DIM = 64, HEADS = 3, ROWS = 40, LONGEST = 9000 };
    for (int half = 0; half < 2; half++) {
        hone_rope_table *table;
        assert_int_equal(hone_rope_table_create(LONGEST, DIM, 100000, half, &table, NULL), HONE_OK);
        float *x = new_normal(ROWS * HEADS * DIM, 1, 1), *y = new_normal(ROWS * HEADS * DIM, 1, 1);
        int32_t positions[ROWS];
        for (int t = 0; t < ROWS; t++)
            positions[t] = t < 20 ? t : LONGEST - 1 - 7 * t;
        hone_op_rope(ops, table, ROWS, HEADS, positions, y, false);
        for (int t = 0; t < ROWS; t++)
            for (int head = 0; head < HEADS; head++)
                for (int i = 0; i < DIM / 2; i++) {
                    const float *in = x + (t * HEADS + head) * DIM, *out = y + (t * HEADS + head) * DIM;
                    int p = half ? i : 2 * i, q = half ? i + DIM / 2 : 2 * i + 1;
                    double angle = positions[t] * pow(100000, -2.0 * i / DIM), a = (double)in[p], b = (double)in[q];
                    assert_true(fabs((double)out[p] - (a * cos(angle) - b * sin(angle))) < 1e-6);
                    assert_true(fabs((double)out[q] - (a * sin(angle) + b * cos(angle))) < 1e-6);
                }
        /* The gradient of a rotation is the rotation back, so there and back is where it began. */
        hone_op_rope(ops, table, ROWS, HEADS, positions, y, true);
        for (int i = 0; i < ROWS * HEADS * DIM; i++)
            assert_true(fabsf(x[i] - y[i]) < 2e-6f);
        free(x), free(y);
        hone_rope_table_free(table);
    }
}

static void test_cross_entropy_and_its_gradient(void **state)
{
    (void)state;
    enum { ROWS = 9, VOCAB = 1000 };
    float *logits = new_normal(ROWS * VOCAB, 1, 6), *gradient = new_normal(ROWS * VOCAB, 1, 6), weight[ROWS];
    int32_t targets[ROWS];
    double lse[ROWS], logprob[ROWS];
    for (int t = 0; t < ROWS; t++) {
        targets[t] = t == 0 ? 0 : t == 1 ? VOCAB - 1 : 100 * t;
        weight[t] = 0.1f * (float)(t + 1);
    }
    hone_op_log_softmax_stats(ops, ROWS, VOCAB, logits, targets, lse, logprob);
    hone_op_cross_entropy_backward(ops, ROWS, VOCAB, gradient, targets, lse, weight);
    for (int t = 0; t < ROWS; t++) {
        double top = -INFINITY, sum = 0;
        for (int i = 0; i < VOCAB; i++)
            top = fmax(top, (double)logits[t * VOCAB + i]);
        for (int i = 0; i < VOCAB; i++)
            sum += exp((double)logits[t * VOCAB + i] - top);
        double exact = top + log(sum), total = 0;
        assert_true(fabs(lse[t] - exact) < 1e-6);
        assert_true(fabs(logprob[t] - ((double)logits[t * VOCAB + targets[t]] - exact)) < 1e-6);
        for (int i = 0; i < VOCAB; i++) { /* d(-w log p_target)/d logit = w (p - [target]) */
            double d = (double)weight[t] * (exp((double)logits[t * VOCAB + i] - exact) - (i == targets[t]));
            assert_true(fabs((double)gradient[t * VOCAB + i] - d) < 2e-6 * (double)weight[t]);
            total += (double)gradient[t * VOCAB + i];
        }
        assert_true(fabs(total) < 1e-5);
    }
    hone_op_log_softmax_stats(ops, ROWS, VOCAB, logits, NULL, lse, NULL); /* targets may be NULL */
    free(logits), free(gradient);
}

static void test_argmax_takes_the_lowest_index_among_equals(void **state)
{
    (void)state;
    float x[3 * 50];
    int32_t index[3];
    for (int i = 0; i < 150; i++)
        x[i] = -1;
    x[17] = x[40] = 2, x[50 + 49] = 0, x[100] = -0.5f;
    hone_op_argmax(ops, 3, 50, x, index);
    assert_int_equal(index[0], 17);
    assert_int_equal(index[1], 49);
    assert_int_equal(index[2], 0);
}

/* torch.optim.AdamW's documentation, algorithm, in double precision. */
static void test_adamw_follows_the_algorithm_of_pytorch(void **state)
{
    (void)state;
    enum { N = 3000, STEPS = 12 };
    const hone_adamw options = {
        .learning_rate = 1e-2f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.05f};
    float *x = new_normal(N, 1, 1), *m = new_floats(N), *v = new_floats(N), *g = new_floats(N);
    double *rx = malloc(N * sizeof *rx), *rm = calloc(N, sizeof *rm), *rv = calloc(N, sizeof *rv);
    for (int i = 0; i < N; i++)
        rx[i] = (double)x[i];
    for (int step = 1; step <= STEPS; step++) {
        hone_adamw s = options;
        s.step = step;
        s.gradient_scale = step % 2 ? 1.0f : 0.25f;
        fill_normal(g, N, (uint32_t)step, step == 3 ? 1e-6 : 0.1);
        hone_op_adamw(ops, &s, N, g, m, v, x);
        for (int i = 0; i < N; i++) {
            double gradient = (double)g[i] * (double)s.gradient_scale;
            rx[i] -= 1e-2 * 0.05 * rx[i];
            rm[i] = 0.9 * rm[i] + 0.1 * gradient;
            rv[i] = 0.999 * rv[i] + 0.001 * gradient * gradient;
            double mean = rm[i] / (1 - pow(0.9, step)), square = rv[i] / (1 - pow(0.999, step));
            rx[i] -= 1e-2 * mean / (sqrt(square) + 1e-8);
        }
    }
    assert_true(worst_difference(x, rx, N) < 2e-5 * STEPS * 1e-2 + 1e-6); /* of moves of 1e-2 a step */
    free(x), free(m), free(v), free(g), free(rx), free(rm), free(rv);
}

static void test_rowwise_operations_have_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    enum { ROWS = 70, DIM = 576, N = ROWS * DIM };
    const hone_adamw s = {
        .learning_rate = 1e-2f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .step = 3, .gradient_scale = 1};
    float *x = new_normal(N, 1, 1), *w = new_normal(DIM, 2, 1), *dy = new_normal(N, 3, 1), *first[4], *y[4], rrms[ROWS];
    double squares = 0;
    for (int i = 0; i < 4; i++)
        first[i] = new_floats(N), y[i] = new_floats(N);
    for (int threads = 1; threads <= 5; threads++) {
        hone_ops *o = ops_by_threads[threads];
        if (!o)
            continue;
        for (int i = 0; i < 4; i++)
            fill_normal(y[i], N, 20 + (uint32_t)i, 1);
        for (int i = 0; i < N; i++)
            y[1][i] = fabsf(y[1][i]);
        hone_op_adamw(o, &s, N, dy, y[0], y[1], y[2]);
        hone_op_rms_norm(o, ROWS, DIM, 1e-5f, x, w, y[0], rrms);
        hone_op_rms_norm_backward(o, ROWS, DIM, x, w, rrms, dy, y[1]);
        hone_op_swiglu(o, N, x, dy, y[3]);
        hone_op_add(o, N, y[3], y[0]);
        hone_op_scale(o, N, 0.37f, y[0]);
        double sum = hone_op_sum_squares(o, N, x);
        for (int i = 0; i < 4; i++) {
            if (threads == 1)
                memcpy(first[i], y[i], N * sizeof(float));
            assert_true(same_bits(first[i], y[i], N));
        }
        assert_true(threads == 1 || sum == squares);
        squares = sum;
    }
    free(x), free(w), free(dy);
    for (int i = 0; i < 4; i++)
        free(first[i]), free(y[i]);
}

/* ---- the device ---- */
static void test_the_cap_on_instruction_sets_is_obeyed(void **state)
{
    (void)state;
    hone_ops *o;
    hone_error err;
    const char *old = getenv("HONE_CPU");
    char *kept = old ? strdup(old) : NULL;
    setenv("HONE_CPU", "scalar", 1);
    assert_int_equal(hone_ops_create(1, &o, &err), HONE_OK);
    assert_string_equal(hone_ops_isa(o), "scalar");
    hone_ops_free(o);
    setenv("HONE_CPU", "sse9", 1);
    assert_int_equal(hone_ops_create(1, &o, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "sse9"));
    assert_null(o);
    if (kept)
        setenv("HONE_CPU", kept, 1);
    else
        unsetenv("HONE_CPU");
    free(kept);
}

static int create_ops(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 5};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        if (hone_ops_create(threads[i], &ops_by_threads[threads[i]], NULL) != HONE_OK ||
            hone_ops_create_as(HONE_NUMERICS_BF16, threads[i], &bf16_by_threads[threads[i]], NULL) != HONE_OK)
            return -1;
    ops = ops_by_threads[2];
    const char *old = getenv("HONE_CPU");
    char *kept = old ? strdup(old) : NULL;
    setenv("HONE_CPU", "scalar", 1);
    hone_status status = hone_ops_create(2, &ops_by_threads[4], NULL);
    if (status == HONE_OK)
        status = hone_ops_create_as(HONE_NUMERICS_BF16, 2, &bf16_by_threads[4], NULL);
    if (kept)
        setenv("HONE_CPU", kept, 1);
    else
        unsetenv("HONE_CPU");
    free(kept);
    return status == HONE_OK ? 0 : -1;
}

static int free_ops(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        hone_ops_free(ops_by_threads[i]), hone_ops_free(bf16_by_threads[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_weights_are_the_files_values),
        cmocka_unit_test(test_packing_refuses_what_does_not_fit),
        cmocka_unit_test(test_linear_and_its_backward_agree_with_double_precision),
        cmocka_unit_test(test_backward_of_a_width_that_is_no_multiple_of_16),
        cmocka_unit_test(test_linear_has_the_same_bits_for_any_number_of_rows_and_threads),
        cmocka_unit_test(test_many_wide_rows_have_the_bits_of_each_alone_in_bf16),
        cmocka_unit_test(test_matmul_agrees_with_double_precision_in_every_layout),
        cmocka_unit_test(test_matmul_has_the_same_bits_for_any_number_of_rows_and_threads),
        cmocka_unit_test(test_adapters_at_once_have_the_bits_of_each_by_itself),
        cmocka_unit_test(test_transpose_of_any_shape),
        cmocka_unit_test(test_swiglu_and_its_gradient),
        cmocka_unit_test(test_gradient_of_the_norm_is_the_slope_of_the_norm),
        cmocka_unit_test(test_rope_turns_pairs_by_the_angles_of_the_paper_and_back),
        cmocka_unit_test(test_cross_entropy_and_its_gradient),
        cmocka_unit_test(test_argmax_takes_the_lowest_index_among_equals),
        cmocka_unit_test(test_adamw_follows_the_algorithm_of_pytorch),
        cmocka_unit_test(test_rowwise_operations_have_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(test_the_cap_on_instruction_sets_is_obeyed),
    };
    return cmocka_run_group_tests(tests, create_ops, free_ops);
}
