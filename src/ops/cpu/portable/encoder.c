/* encoder.c - the row kernels that encoders (BERT) need beside rowwise.c: layer norm with its residual and bias, and
 * the exact GELU. Plain C compiled once for each instruction set, with the same bits in all of them (see rowwise.c). */
#include "ops/cpu/portable/arithmetic.h"

/* y = (s - mean(s)) / sqrt(var(s) + eps) * w + b with s = x + residual + bias. Two passes over the sum, so that a large
 * mean costs no digits. */
static void layer_norm(int64_t dim, hone_real eps, const hone_real *x, const hone_real *residual, const hone_real *bias,
                       const hone_real *w, const hone_real *b, hone_real *y)
{
    hone_real lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        hone_real sum[LANES]; /* apart from y, which may be x or the residual */
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            sum[j] = x[i + j] + residual[i + j] + bias[i + j];
        ALL_LANES
        for (int j = 0; j < LANES; j++) {
            y[i + j] = sum[j];
            lane[j] += sum[j];
        }
    }
    for (int j = 0; i + j < dim; j++) {
        y[i + j] = x[i + j] + residual[i + j] + bias[i + j];
        lane[j] += y[i + j];
    }
    hone_real mean = tree(lane) / (hone_real)dim;
    ALL_LANES
    for (int j = 0; j < LANES; j++)
        lane[j] = 0;
    for (i = 0; i + LANES <= dim; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++) {
            hone_real d = y[i + j] - mean;
            lane[j] = real_fma(d, d, lane[j]);
        }
    }
    for (int j = 0; i + j < dim; j++) {
        hone_real d = y[i + j] - mean;
        lane[j] = real_fma(d, d, lane[j]);
    }
    hone_real scale = 1.0f / real_sqrt(tree(lane) / (hone_real)dim + eps);
    for (int64_t j = 0; j < dim; j++)
        y[j] = real_fma((y[j] - mean) * scale, w[j], b[j]);
}

/* x * Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv 1606.08415). For a = |x|,
 * Phi(-a) = exp(-p(a)) / 2, where p(a) = -log(2 Phi(-a)) is smooth: p is a polynomial of degree 9 through 0, fitted on
 * [0, 9] so that a * Phi(-a) is off by at most 2e-9. Beyond 9 the tail is below 1e-15 either way; p(9) is 43. */
static inline hone_real gelu_value(hone_real x)
{
#ifdef HONE_DOUBLE
    return x * 0.5 * erfc(-x / sqrt(2.0)); /* the polynomial below is made for single precision */
#else
    hone_real a = real_abs(x);
    a = a > 9.0f ? 9.0f : a;
    hone_real p = -2.855199709e-07f;
    p = real_fma(p, a, 5.621126115e-06f);
    p = real_fma(p, a, -4.607646078e-05f);
    p = real_fma(p, a, 1.788921544e-04f);
    p = real_fma(p, a, 2.162840833e-05f);
    p = real_fma(p, a, -4.836531426e-03f);
    p = real_fma(p, a, 3.636267353e-02f);
    p = real_fma(p, a, 3.183034616e-01f);
    p = real_fma(p, a, 7.978850700e-01f);
    hone_real tail = 0.5f * real_exp_within(-(p * a));
    return x * (x > 0.0f ? 1.0f - tail : tail);
#endif
}

static void gelu(int64_t n, const hone_real *bias, hone_real *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = gelu_value(x[i] + bias[i]);
}

#define JOIN(a, b) a##b
#define NAME(set) JOIN(hone_kernels_encoder_, set)

void NAME(HONE_SET)(hone_kernels *table)
{
    table->layer_norm = layer_norm;
    table->gelu = gelu;
}
