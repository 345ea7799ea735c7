/* lbfgs.c - limited-memory BFGS with a More-Thuente line search.
 *
 * The direction is a combination of the last pairs s_i = x_{i+1} - x_i, y_i = g_{i+1} - g_i and the gradient g. Its
 * coefficients come from the table of their inner products (Chen et al. 2014, "Large-scale L-BFGS using MapReduce"):
 * that way the pairs are read twice per iteration, once for the products and once for the combination, where the
 * two-loop recursion reads them four times; reading them is what the time goes into. */
#include "approach/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 10, BASIS = 2 * MEMORY + 1, GRADIENT = 2 * MEMORY, BLOCK = 4096, MAX_SEARCH = 50 };

typedef struct minimiser {
    hone_lbfgs_function function;
    void *context;
    hone_thread_pool *pool;
    size_t n, n_blocks;
    double *x, *trial, *gradient, *trial_gradient, *direction;
    double *pair[2 * MEMORY]; /* s in 0..MEMORY-1, y in MEMORY..2*MEMORY-1; slot = age modulo MEMORY */
    int n_pairs, newest;
    double product[BASIS][BASIS]; /* inner products of the pairs and the gradient */
    double coefficient[BASIS];
    double step;
    double *partial; /* [n_blocks][3 * BASIS] */
    int evaluations;
} minimiser;

static size_t block_end(const minimiser *m, int64_t block)
{
    size_t end = ((size_t)block + 1) * BLOCK;
    return end < m->n ? end : m->n;
}

/* Four chains of additions hide the latency of one; their order is fixed. */
static double dot(const double *a, const double *b, size_t n)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++)
        s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

static void step_piece(void *context, int64_t block, int thread)
{
    (void)thread;
    minimiser *m = context;
    for (size_t i = (size_t)block * BLOCK; i < block_end(m, block); i++)
        m->trial[i] = m->x[i] + m->step * m->direction[i];
}

static void slope_piece(void *context, int64_t block, int thread)
{
    (void)thread;
    minimiser *m = context;
    size_t from = (size_t)block * BLOCK;
    m->partial[block] = dot(m->trial_gradient + from, m->direction + from, block_end(m, block) - from);
}

/* f and the slope along the direction at x + step * direction. */
static double evaluate(minimiser *m, double step, double *slope)
{
    m->step = step;
    hone_thread_pool_run(m->pool, (int64_t)m->n_blocks, step_piece, m);
    double value = m->function(m->context, m->trial, m->trial_gradient);
    m->evaluations++;
    hone_thread_pool_run(m->pool, (int64_t)m->n_blocks, slope_piece, m);
    *slope = 0;
    for (size_t b = 0; b < m->n_blocks; b++)
        *slope += m->partial[b];
    return value;
}

/* One end of the interval that holds an acceptable step. */
typedef struct point {
    double step, value, slope;
} point;

/* The minimiser of the cubic through two points with their slopes. */
static double cubic_minimum(point a, point b)
{
    double theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
    double scale = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)));
    double inside = (theta / scale) * (theta / scale) - (a.slope / scale) * (b.slope / scale);
    double gamma = scale * sqrt(fmax(0.0, inside));
    if (b.step < a.step)
        gamma = -gamma;
    double ratio = (gamma - a.slope + theta) / ((gamma - a.slope) + gamma + b.slope);
    return a.step + ratio * (b.step - a.step);
}

/* The same, told apart for slopes that shrink: where the cubic has no minimum beyond `b`, the given bound is taken. */
static double cubic_beyond(point a, point b, double bound)
{
    double theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
    double scale = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)));
    double inside = (theta / scale) * (theta / scale) - (a.slope / scale) * (b.slope / scale);
    double gamma = scale * sqrt(fmax(0.0, inside));
    if (b.step > a.step)
        gamma = -gamma;
    double ratio = (gamma - b.slope + theta) / ((gamma + (a.slope - b.slope)) + gamma);
    return ratio < 0 && gamma != 0 ? b.step + ratio * (a.step - b.step) : bound;
}

static double secant(point a, point b)
{
    return b.step + b.slope / (b.slope - a.slope) * (a.step - b.step);
}

/* Section 4 of More & Thuente: the next trial step from the best point, the other end and the current one; moves the
 * interval. */
static double next_step(point *best, point *other, point now, bool *bracketed, double low, double high)
{
    double cubic, quadratic, next;
    bool opposite = now.slope * (best->slope / fabs(best->slope)) < 0;
    if (now.value > best->value) { /* case 1: higher; the minimum is between */
        cubic = cubic_minimum(*best, now);
        double rise = (best->value - now.value) / (now.step - best->step) + best->slope;
        quadratic = best->step + best->slope / rise / 2.0 * (now.step - best->step);
        next = fabs(cubic - best->step) < fabs(quadratic - best->step) ? cubic : cubic + (quadratic - cubic) / 2.0;
        *bracketed = true;
    } else if (opposite) { /* case 2: lower, and the slope has turned */
        cubic = cubic_minimum(now, *best);
        quadratic = secant(*best, now);
        next = fabs(cubic - now.step) > fabs(quadratic - now.step) ? cubic : quadratic;
        *bracketed = true;
    } else if (fabs(now.slope) < fabs(best->slope)) { /* case 3: lower and flatter */
        cubic = cubic_beyond(*best, now, now.step > best->step ? high : low);
        quadratic = secant(*best, now);
        if (*bracketed) {
            next = fabs(cubic - now.step) < fabs(quadratic - now.step) ? cubic : quadratic;
            double limit = now.step + 0.66 * (other->step - now.step);
            next = now.step > best->step ? fmin(limit, next) : fmax(limit, next);
        } else {
            next = fabs(cubic - now.step) > fabs(quadratic - now.step) ? cubic : quadratic;
            next = fmax(low, fmin(high, next));
        }
    } else if (*bracketed) { /* case 4: lower and at least as steep */
        next = cubic_minimum(now, *other);
    } else {
        next = now.step > best->step ? high : low;
    }
    if (now.value > best->value) {
        *other = now;
    } else {
        if (opposite)
            *other = *best;
        *best = now;
    }
    return next;
}

/* Finds a step with the strong Wolfe conditions, or the best it met. False when no lower value was found. On success
 * trial and trial_gradient belong to the accepted step. */
static bool line_search(minimiser *m, double start_value, double start_slope, double step, double *value)
{
    const double decrease = 1e-3, curvature = 0.9, width_tolerance = 0.1, longest = 1e10;
    point best = {0, start_value, start_slope}, other = best;
    double test = decrease * start_slope, low = 0, high = step + 4.0 * step;
    double width = longest, width_before = 2.0 * longest;
    bool bracketed = false, first_stage = true;
    for (int i = 0; i < MAX_SEARCH; i++) {
        double slope;
        point now = {step, evaluate(m, step, &slope), 0};
        now.slope = slope;
        if (!isfinite(now.value) || !isfinite(slope)) { /* too far: come back */
            step = best.step + 0.1 * (step - best.step);
            high = fmin(high, 5.0 * step);
            continue;
        }
        double line = start_value + step * test;
        *value = now.value;
        if (now.value <= line && fabs(slope) <= curvature * -start_slope)
            return true;
        if (bracketed && (step <= low || step >= high || high - low <= width_tolerance * high))
            return now.value < start_value;
        if (first_stage && now.value <= line && slope >= 0)
            first_stage = false;
        if (first_stage && now.value <= best.value && now.value > line) {
            /* Until a lower point is found, the auxiliary function f - decrease line leads the way. */
            point b = {best.step, best.value - best.step * test, best.slope - test};
            point o = {other.step, other.value - other.step * test, other.slope - test};
            point c = {step, now.value - step * test, slope - test};
            step = next_step(&b, &o, c, &bracketed, low, high);
            best = (point){b.step, b.value + b.step * test, b.slope + test};
            other = (point){o.step, o.value + o.step * test, o.slope + test};
        } else {
            step = next_step(&best, &other, now, &bracketed, low, high);
        }
        if (bracketed) {
            if (fabs(other.step - best.step) >= 0.66 * width_before)
                step = best.step + 0.5 * (other.step - best.step);
            width_before = width;
            width = fabs(other.step - best.step);
            low = fmin(best.step, other.step);
            high = fmax(best.step, other.step);
        } else {
            low = step + 1.1 * (step - best.step);
            high = step + 4.0 * (step - best.step);
        }
        step = fmin(step, longest);
        if (bracketed && (step <= low || step >= high || high - low <= width_tolerance * high))
            step = best.step;
    }
    return false;
}

/* Moves to the trial point: x and gradient are replaced, the pair is stored, and the products with the new s, y and g
 * are summed block by block. */
static void accept_piece(void *context, int64_t block, int thread)
{
    (void)thread;
    minimiser *m = context;
    size_t from = (size_t)block * BLOCK, length = block_end(m, block) - from;
    double *s = m->pair[m->newest] + from, *y = m->pair[MEMORY + m->newest] + from;
    for (size_t i = 0; i < length; i++) {
        s[i] = m->trial[from + i] - m->x[from + i];
        y[i] = m->trial_gradient[from + i] - m->gradient[from + i];
    }
    memcpy(m->x + from, m->trial + from, length * sizeof(double));
    memcpy(m->gradient + from, m->trial_gradient + from, length * sizeof(double));
    double *sums = m->partial + (size_t)block * 3 * BASIS;
    for (int k = 0; k < BASIS; k++) {
        sums[k] = sums[BASIS + k] = sums[2 * BASIS + k] = 0;
        if (k < GRADIENT && k % MEMORY >= m->n_pairs)
            continue;
        const double *v = k == GRADIENT ? m->gradient + from : m->pair[k] + from;
        sums[k] = dot(s, v, length);
        sums[BASIS + k] = dot(y, v, length);
        sums[2 * BASIS + k] = dot(m->gradient + from, v, length);
    }
}

static void accept(minimiser *m)
{
    m->newest = (m->newest + 1) % MEMORY;
    if (m->n_pairs < MEMORY)
        m->n_pairs++;
    hone_thread_pool_run(m->pool, (int64_t)m->n_blocks, accept_piece, m);
    double sums[3 * BASIS] = {0};
    for (size_t b = 0; b < m->n_blocks; b++)
        for (int k = 0; k < 3 * BASIS; k++)
            sums[k] += m->partial[b * 3 * BASIS + (size_t)k];
    int row[3] = {m->newest, MEMORY + m->newest, GRADIENT};
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < BASIS; k++)
            m->product[row[r]][k] = m->product[k][row[r]] = sums[r * BASIS + k];
}

/* Inner product of basis vector k with the combination. */
static double with_combination(const minimiser *m, int k)
{
    double sum = 0;
    for (int j = 0; j < BASIS; j++)
        if (m->coefficient[j] != 0)
            sum += m->coefficient[j] * m->product[k][j];
    return sum;
}

static void combine_piece(void *context, int64_t block, int thread)
{
    (void)thread;
    minimiser *m = context;
    size_t from = (size_t)block * BLOCK, length = block_end(m, block) - from;
    double *d = m->direction + from;
    const double *g = m->gradient + from;
    for (size_t i = 0; i < length; i++)
        d[i] = m->coefficient[GRADIENT] * g[i];
    for (int k = 0; k < GRADIENT; k++) {
        double c = m->coefficient[k];
        if (c == 0)
            continue;
        const double *v = m->pair[k] + from;
        for (size_t i = 0; i < length; i++)
            d[i] += c * v[i];
    }
}

/* direction = -H gradient by the two-loop recursion on coefficients; returns the slope g.direction. */
static double choose_direction(minimiser *m)
{
    double alpha[MEMORY];
    memset(m->coefficient, 0, sizeof m->coefficient);
    m->coefficient[GRADIENT] = -1;
    for (int age = 0; age < m->n_pairs; age++) {
        int s = (m->newest - age + MEMORY) % MEMORY, y = MEMORY + s;
        alpha[age] = with_combination(m, s) / m->product[s][y];
        m->coefficient[y] -= alpha[age];
    }
    int s = m->newest, y = MEMORY + s;
    double scale = m->product[s][y] / m->product[y][y];
    for (int k = 0; k < BASIS; k++)
        m->coefficient[k] *= scale;
    for (int age = m->n_pairs - 1; age >= 0; age--) {
        s = (m->newest - age + MEMORY) % MEMORY;
        y = MEMORY + s;
        m->coefficient[s] += alpha[age] - with_combination(m, y) / m->product[s][y];
    }
    hone_thread_pool_run(m->pool, (int64_t)m->n_blocks, combine_piece, m);
    return with_combination(m, GRADIENT);
}

/* -gradient; returns the slope. */
static double steepest_descent(minimiser *m)
{
    double squares = 0;
    m->n_pairs = 0;
    m->newest = -1;
    for (size_t b = 0; b < m->n_blocks; b++) {
        size_t from = b * BLOCK;
        squares += dot(m->gradient + from, m->gradient + from, block_end(m, (int64_t)b) - from);
    }
    for (size_t i = 0; i < m->n; i++)
        m->direction[i] = -m->gradient[i];
    return -squares;
}

static double largest(const double *v, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs(v[i]));
    return max;
}

static void iterate(minimiser *m, hone_lbfgs_options options, hone_lbfgs_result *result)
{
    while (result->iterations < options.max_iterations) {
        double value = result->value, slope = m->n_pairs ? choose_direction(m) : steepest_descent(m);
        if (!(slope < 0)) {
            if (!m->n_pairs)
                return;
            slope = steepest_descent(m); /* rounding has spoilt the pairs: begin again */
        }
        double step = m->n_pairs ? 1.0 : 1.0 / sqrt(-slope);
        if (!line_search(m, result->value, slope, step, &value)) {
            if (!m->n_pairs)
                return;
            m->n_pairs = 0;
            continue;
        }
        accept(m);
        int s = m->newest, y = MEMORY + s;
        bool curved = m->product[s][y] > 1e-16 * m->product[y][y];
        double fall = (result->value - value) / fmax(fmax(fabs(result->value), fabs(value)), 1.0);
        result->iterations++;
        result->value = value;
        result->gradient_max = largest(m->gradient, m->n);
        result->converged = result->gradient_max <= options.gradient_tolerance || fall <= options.value_tolerance;
        if (result->converged)
            return;
        if (!curved)
            m->n_pairs = 0;
    }
}

hone_status hone_lbfgs_minimise(hone_lbfgs_function function, void *context, size_t n, double *x,
                                hone_lbfgs_options options, hone_thread_pool *pool, hone_lbfgs_result *result,
                                hone_error *err)
{
    minimiser m = {.function = function, .context = context, .pool = pool, .n = n, .x = x, .newest = -1};
    hone_status status = HONE_OK;
    double *vectors[4] = {0};
    *result = (hone_lbfgs_result){0};
    m.n_blocks = (n + BLOCK - 1) / BLOCK;
    bool ready = (m.partial = calloc(m.n_blocks * 3 * BASIS + 1, sizeof(double))) != NULL;
    for (int i = 0; i < 4; i++)
        ready = ready && (vectors[i] = calloc(n + 1, sizeof(double))) != NULL;
    for (int i = 0; i < 2 * MEMORY; i++) /* untouched pages cost nothing until their pair exists */
        ready = ready && (m.pair[i] = calloc(n + 1, sizeof(double))) != NULL;
    if (!ready) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for an optimiser over %zu weights", n);
        goto done;
    }
    m.trial = vectors[0];
    m.gradient = vectors[1];
    m.trial_gradient = vectors[2];
    m.direction = vectors[3];
    result->value = function(context, x, m.gradient);
    m.evaluations = 1;
    result->gradient_max = largest(m.gradient, n);
    if (!isfinite(result->value) || !isfinite(result->gradient_max)) {
        status = hone_fail(err, HONE_BAD_INPUT,
                           "the loss is not finite at the start: the rows hold values that are not numbers");
        goto done;
    }
    result->converged = result->gradient_max <= options.gradient_tolerance;
    if (!result->converged)
        iterate(&m, options, result);
    result->evaluations = m.evaluations;
done:
    for (int i = 0; i < 2 * MEMORY; i++)
        free(m.pair[i]);
    for (int i = 0; i < 4; i++)
        free(vectors[i]);
    free(m.partial);
    return status;
}
