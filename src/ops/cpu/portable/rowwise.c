/* rowwise.c - norms, activations, rotary embedding, softmax, optimiser: plain C that compilers vectorise.
 *
 * Compiled once for each instruction set (HONE_SET names it). The bits are the same in all of them because every
 * rounding is written down: real_fma where a fused operation is meant, -ffp-contract=off elsewhere, and sums run in
 * LANES fixed lanes that are then added as a tree, whatever the vector width. */
#include "ops/cpu/portable/arithmetic.h"

static hone_real dot(int64_t n, const hone_real *x, const hone_real *y)
{
    hone_real lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            lane[j] = real_fma(x[i + j], y[i + j], lane[j]);
    }
    for (int j = 0; i + j < n; j++)
        lane[j] = real_fma(x[i + j], y[i + j], lane[j]);
    return tree(lane);
}

static void rms_norm(int64_t dim, hone_real eps, const hone_real *x, const hone_real *w, hone_real *y, hone_real *rrms)
{
    hone_real r = 1.0f / real_sqrt(dot(dim, x, x) / (hone_real)dim + eps);
    for (int64_t i = 0; i < dim; i++)
        y[i] = x[i] * r * w[i];
    if (rrms)
        *rrms = r;
}

static void rms_norm_backward(int64_t dim, const hone_real *x, const hone_real *w, hone_real rrms, const hone_real *dy,
                              hone_real *dx)
{
    hone_real lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            lane[j] = real_fma(dy[i + j] * w[i + j], x[i + j], lane[j]);
    }
    for (int j = 0; i + j < dim; j++)
        lane[j] = real_fma(dy[i + j] * w[i + j], x[i + j], lane[j]);
    hone_real c = tree(lane) * rrms * rrms * rrms / (hone_real)dim;
    for (i = 0; i < dim; i++)
        dx[i] += real_fma(dy[i] * w[i], rrms, -(x[i] * c));
}

static void add(int64_t n, const hone_real *x, hone_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void scale_values(int64_t n, hone_real factor, hone_real *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void swiglu(int64_t n, const hone_real *gate, const hone_real *up, hone_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] / (1.0f + real_exp(-gate[i])) * up[i];
}

static void swiglu_backward(int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy,
                            hone_real *dgate, hone_real *dup)
{
    for (int64_t i = 0; i < n; i++) {
        hone_real g = gate[i], u = up[i], d = dy[i];
        hone_real s = 1.0f / (1.0f + real_exp(-g));
        dgate[i] = d * u * (s * real_fma(g, 1.0f - s, 1.0f));
        dup[i] = d * (g * s);
    }
}

/* gelu(g) = g s with s = sigmoid(2u), u = sqrt(2/pi) (g + 0.044715 g^3): the tanh form of Hendrycks & Gimpel 2016,
 * arXiv 1606.08415, section 2, since (1 + tanh u) / 2 = sigmoid(2u). */
static inline hone_real gelu_sigmoid(hone_real g)
{
    hone_real twice_u = (hone_real)1.5957691216057308 * g * real_fma((hone_real)0.044715 * g, g, 1.0f);
    return 1.0f / (1.0f + real_exp(-twice_u));
}

static void geglu(int64_t n, const hone_real *gate, const hone_real *up, hone_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] * gelu_sigmoid(gate[i]) * up[i];
}

static void geglu_backward(int64_t n, const hone_real *gate, const hone_real *up, const hone_real *dy, hone_real *dgate,
                           hone_real *dup)
{
    for (int64_t i = 0; i < n; i++) {
        hone_real g = gate[i], u = up[i], d = dy[i], s = gelu_sigmoid(g);
        hone_real slope = (hone_real)1.5957691216057308 * real_fma((hone_real)0.134145 * g, g, 1.0f); /* of 2u */
        dgate[i] = d * u * (s * real_fma(g * slope, 1.0f - s, 1.0f));
        dup[i] = d * (g * s);
    }
}

static void rope_adjacent(int64_t head_dim, const hone_real *cos_sin, hone_real *x, hone_real direction)
{
    for (int64_t i = 0; i < head_dim; i += 2) {
        hone_real c = cos_sin[i], s = cos_sin[i + 1] * direction, a = x[i], b = x[i + 1];
        x[i] = real_fma(a, c, -(b * s));
        x[i + 1] = real_fma(a, s, b * c);
    }
}

static void rope_half(int64_t head_dim, const hone_real *cos_sin, hone_real *x, hone_real direction)
{
    int64_t half = head_dim / 2;
    for (int64_t i = 0; i < half; i++) {
        hone_real c = cos_sin[2 * i], s = cos_sin[2 * i + 1] * direction, a = x[i], b = x[i + half];
        x[i] = real_fma(a, c, -(b * s));
        x[i + half] = real_fma(a, s, b * c);
    }
}

static hone_real max_value(int64_t n, const hone_real *x)
{
    hone_real lane[LANES];
    ALL_LANES
    for (int j = 0; j < LANES; j++)
        lane[j] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    }
    for (; i < n; i++)
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    ALL_LANES
    for (int j = 0; j < 8; j++)
        lane[j] = lane[j + 8] > lane[j] ? lane[j + 8] : lane[j];
    ALL_LANES
    for (int j = 0; j < 4; j++)
        lane[j] = lane[j + 4] > lane[j] ? lane[j + 4] : lane[j];
    for (int j = 1; j < 4; j++)
        lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    return lane[0];
}

/* The steps of a softmax over a row of n values, a multiple of LANES, of which [first, n_valid) count. The others take
 * part in every step, as the least value and then as 0, since many rows are shorter than one vector. */
static inline hone_real padded_max(int64_t first, int64_t n_valid, int64_t n, hone_real *x)
{
    for (int64_t i = 0; i < first; i++)
        x[i] = -INFINITY;
    for (int64_t i = n_valid; i < n; i++)
        x[i] = -INFINITY;
    return max_value(n, x);
}

/* x = exp(scale*x - top) and 0; returns the sum. */
static inline hone_real padded_exp(int64_t first, int64_t n_valid, int64_t n, hone_real scale, hone_real top,
                                   hone_real *x)
{
    hone_real lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        x[i] = real_exp(real_fma(x[i], scale, -top));
    for (int64_t i = 0; i < first; i++)
        x[i] = 0;
    for (int64_t i = n_valid; i < n; i++)
        x[i] = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            lane[j] += x[i + j];
    }
    return tree(lane);
}

static void softmax(int64_t n_valid, int64_t n, hone_real scale, hone_real *x)
{
    hone_real top = padded_max(0, n_valid, n, x) * scale;
    hone_real factor = 1.0f / padded_exp(0, n_valid, n, scale, top, x);
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

static hone_softmax_part softmax_block(int64_t first, int64_t n_valid, int64_t n, hone_real scale, hone_real *x)
{
    hone_real top = padded_max(first, n_valid, n, x) * scale;
    return (hone_softmax_part){top, padded_exp(first, n_valid, n, scale, top, x)};
}

static void softmax_join(int64_t n, hone_softmax_part *part, hone_softmax_part next, hone_real *o, const hone_real *x)
{
    hone_real top = next.top > part->top ? next.top : part->top;
    hone_real keep = real_exp(part->top - top), take = real_exp(next.top - top);
    for (int64_t i = 0; i < n; i++)
        o[i] = real_fma(x[i], take, o[i] * keep);
    *part = (hone_softmax_part){top, real_fma(next.sum, take, part->sum * keep)};
}

static void softmax_again(int64_t first, int64_t n_valid, int64_t n, hone_real scale, hone_softmax_part part,
                          hone_real *x)
{
    for (int64_t i = 0; i < first; i++)
        x[i] = 0;
    for (int64_t i = first; i < n_valid; i++)
        x[i] = real_exp(real_fma(x[i], scale, -part.top)) * part.sum;
    for (int64_t i = n_valid; i < n; i++)
        x[i] = 0;
}

static double sum_exp(int64_t n, hone_real max, const hone_real *x)
{
    enum { BLOCK = 64 * LANES };
    double total = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n, i = start;
        hone_real lane[LANES] = {0};
        for (; i + LANES <= end; i += LANES) {
            ALL_LANES
            for (int j = 0; j < LANES; j++)
                lane[j] += real_exp(x[i + j] - max);
        }
        for (int j = 0; i + j < end; j++)
            lane[j] += real_exp(x[i + j] - max);
        total += (double)tree(lane);
    }
    return total;
}

static double weights(int64_t n, hone_real top, double temperature, const hone_real *x, double *w)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++) {
            w[i + j] = exp_double(((double)x[i + j] - (double)top) / temperature);
            lane[j] += w[i + j];
        }
    }
    for (int j = 0; i + j < n; j++) {
        w[i + j] = exp_double(((double)x[i + j] - (double)top) / temperature);
        lane[j] += w[i + j];
    }
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            lane[j] += lane[j + width];
    return lane[0];
}

static void cross_entropy_backward(int64_t n, hone_real log_sum_exp, hone_real weight, hone_real *x)
{
    for (int64_t i = 0; i < n; i++) {
        hone_real d = x[i] - log_sum_exp;
        x[i] = d < -87.0f ? 0.0f : weight * real_exp(d);
    }
}

static void softmax_backward(int64_t n, hone_real delta, hone_real scale, const hone_real *p, const hone_real *dp,
                             hone_real *ds)
{
    for (int64_t i = 0; i < n; i++)
        ds[i] = p[i] * (dp[i] - delta) * scale;
}

static double sum_squares(int64_t n, const hone_real *x)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ALL_LANES
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += (double)x[i + j] * (double)x[i + j];
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            lane[j] += lane[j + width];
    return lane[0];
}

static void adamw(int64_t n, const hone_adamw *s, hone_real bias1, hone_real bias2_root, const hone_real *gradient,
                  hone_real *m, hone_real *v, hone_real *x)
{
    hone_real keep1 = s->beta1, new1 = 1.0f - s->beta1, keep2 = s->beta2, new2 = 1.0f - s->beta2;
    hone_real decay = 1.0f - s->learning_rate * s->weight_decay, rate = s->learning_rate / bias1, epsilon = s->epsilon;
    hone_real clip = s->gradient_scale;
    for (int64_t i = 0; i < n; i++) {
        hone_real g = gradient[i] * clip;
        m[i] = real_fma(m[i], keep1, g * new1);
        v[i] = real_fma(v[i], keep2, g * g * new2);
        x[i] = real_fma(x[i], decay, -(rate * (m[i] / (real_sqrt(v[i]) / bias2_root + epsilon))));
    }
}

#define JOIN(a, b) a##b
#define NAME(set) JOIN(hone_kernels_rowwise_, set)
#define ENCODER(set) JOIN(hone_kernels_encoder_, set)

void NAME(HONE_SET)(hone_kernels *table)
{
    table->rms_norm = rms_norm;
    table->rms_norm_backward = rms_norm_backward;
    table->add = add;
    table->scale = scale_values;
    table->swiglu = swiglu;
    table->swiglu_backward = swiglu_backward;
    table->geglu = geglu;
    table->geglu_backward = geglu_backward;
    table->rope_adjacent = rope_adjacent;
    table->rope_half = rope_half;
    table->softmax = softmax;
    table->softmax_block = softmax_block;
    table->softmax_join = softmax_join;
    table->softmax_again = softmax_again;
    table->max = max_value;
    table->sum_exp = sum_exp;
    table->weights = weights;
    table->cross_entropy_backward = cross_entropy_backward;
    table->dot = dot;
    table->softmax_backward = softmax_backward;
    table->sum_squares = sum_squares;
    table->adamw = adamw;
    ENCODER(HONE_SET)(table);
}
