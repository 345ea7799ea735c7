/* logistic.c - the loss, its gradient, and prediction.
 *
 * Weights lie feature by feature, the intercepts as one feature more:  W[feature * n_classes + class].
 * The loss goes row by row; the gradient feature by feature over a transposed copy of the rows, so that every component
 * is a sum in increasing order of the row and no two threads write the same one.
 *
 * Most word pairs occur in one row only, and all such features of a row have weights in proportion to their values (the
 * gradient of each is its value times the same error). They are replaced by one feature of the same length, a rotation
 * that changes neither the penalty nor the path of L-BFGS, only how much memory it reads; afterwards they are expanded
 * again. */
#include "approach/logistic.h"

#include "approach/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_PER_PIECE = 32, FEATURES_PER_PIECE = 64 };

struct hone_logistic {
    size_t n_columns;
    int32_t n_classes, n_present; /* n_present: classes that had rows */
    int32_t *class_of;            /* [n_present] */
    double *weights;              /* [n_columns + 1, n_present] */
    int iterations;
    bool converged;
};

typedef struct problem {
    size_t n_rows, n_features, n_classes; /* features: after merging, the intercept not counted */
    hone_sparse *rows;                    /* merged features */
    size_t *feature_start;                /* [n_features + 1] the same, by feature */
    uint32_t *row_of;
    double *value_of;
    const double *weights;   /* the point being evaluated */
    double *gradient;        /* where its gradient goes */
    int32_t *label;          /* [n_rows] in [0, n_classes) */
    double *error;           /* [n_rows, n_classes] probability minus truth */
    double *loss;            /* [n_rows] */
    double penalty;          /* 1 / (C n_rows) */
    double *feature_squares; /* [n_features] */
    hone_thread_pool *pool;
} problem;

/* logits[k] += sum of x * W[feature][k] over the row, plus the intercept. */
static void logits_of(const hone_sparse *rows, size_t row, const double *weights, size_t n_features, size_t n_classes,
                      double *restrict logits)
{
    memcpy(logits, weights + n_features * n_classes, n_classes * sizeof *logits);
    for (size_t i = rows->row_start[row]; i < rows->row_start[row + 1]; i++) {
        const double *restrict w = weights + (size_t)rows->column[i] * n_classes;
        double x = rows->value[i];
        for (size_t k = 0; k < n_classes; k++)
            logits[k] += x * w[k];
    }
}

/* In place; returns log of the sum of exponentials of the logits. */
static double softmax(double *v, size_t n)
{
    double max = v[0], sum = 0;
    for (size_t k = 1; k < n; k++)
        max = fmax(max, v[k]);
    for (size_t k = 0; k < n; k++) {
        v[k] = exp(v[k] - max);
        sum += v[k];
    }
    for (size_t k = 0; k < n; k++)
        v[k] /= sum;
    return max + log(sum);
}

static void rows_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    problem *p = context;
    size_t end = ((size_t)piece + 1) * ROWS_PER_PIECE;
    for (size_t r = (size_t)piece * ROWS_PER_PIECE; r < (end < p->n_rows ? end : p->n_rows); r++) {
        double *error = p->error + r * p->n_classes;
        logits_of(p->rows, r, p->weights, p->n_features, p->n_classes, error);
        double right = error[p->label[r]];
        p->loss[r] = softmax(error, p->n_classes) - right;
        error[p->label[r]] -= 1.0;
    }
}

static void features_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    problem *p = context;
    size_t n = p->n_classes, end = ((size_t)piece + 1) * FEATURES_PER_PIECE;
    double share = 1.0 / (double)p->n_rows;
    for (size_t f = (size_t)piece * FEATURES_PER_PIECE; f < end && f <= p->n_features; f++) {
        const double *w = p->weights + f * n;
        double *restrict g = p->gradient + f * n, squares = 0;
        memset(g, 0, n * sizeof *g);
        if (f == p->n_features) { /* the intercept: every row, value 1, no penalty */
            for (size_t r = 0; r < p->n_rows; r++)
                for (size_t k = 0; k < n; k++)
                    g[k] += p->error[r * n + k];
            for (size_t k = 0; k < n; k++)
                g[k] *= share;
            continue;
        }
        for (size_t i = p->feature_start[f]; i < p->feature_start[f + 1]; i++) {
            const double *restrict error = p->error + (size_t)p->row_of[i] * n;
            double x = p->value_of[i];
            for (size_t k = 0; k < n; k++)
                g[k] += x * error[k];
        }
        for (size_t k = 0; k < n; k++) {
            g[k] = g[k] * share + p->penalty * w[k];
            squares += w[k] * w[k];
        }
        p->feature_squares[f] = squares;
    }
}

static double loss_and_gradient(void *context, const double *weights, double *gradient)
{
    problem *p = context;
    p->weights = weights;
    p->gradient = gradient;
    hone_thread_pool_run(p->pool, (int64_t)((p->n_rows + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE), rows_piece, p);
    hone_thread_pool_run(p->pool, (int64_t)(p->n_features / FEATURES_PER_PIECE + 1), features_piece, p);
    double loss = 0, squares = 0;
    for (size_t r = 0; r < p->n_rows; r++)
        loss += p->loss[r];
    for (size_t f = 0; f < p->n_features; f++)
        squares += p->feature_squares[f];
    return loss / (double)p->n_rows + 0.5 * p->penalty * squares;
}

/* How the columns of the caller became features: feature[c] is the feature of column c (UINT32_MAX: never seen), and
 * the column's weights are factor[c] times the feature's. */
typedef struct merging {
    uint32_t *feature;
    double *factor;
} merging;

/* Builds p->rows from the caller's rows: columns seen in one row only become that row's last feature. */
static hone_status merge_columns(const hone_sparse *rows, problem *p, merging *m, hone_error *err)
{
    hone_status status = HONE_OK;
    size_t n_values = rows->row_start[rows->n_rows], next = 0;
    size_t *count = calloc(rows->n_columns + 1, sizeof *count);
    m->feature = malloc((rows->n_columns + 1) * sizeof *m->feature);
    m->factor = malloc((rows->n_columns + 1) * sizeof *m->factor);
    if (!count || !m->feature || !m->factor) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu features", rows->n_columns);
        goto done;
    }
    for (size_t i = 0; i < n_values; i++)
        count[rows->column[i]]++;
    for (size_t c = 0; c < rows->n_columns; c++) {
        m->feature[c] = count[c] > 1 ? (uint32_t)next++ : UINT32_MAX;
        m->factor[c] = 1.0;
    }
    status = hone_sparse_create(rows->n_rows, rows->n_columns, n_values, &p->rows, err);
    if (status != HONE_OK)
        goto done;
    size_t at = 0;
    for (size_t r = 0; r < rows->n_rows; r++) {
        double squares = 0;
        for (size_t i = rows->row_start[r]; i < rows->row_start[r + 1]; i++) {
            uint32_t c = rows->column[i];
            if (count[c] == 1) {
                squares += rows->value[i] * rows->value[i];
                continue;
            }
            p->rows->column[at] = m->feature[c];
            p->rows->value[at++] = rows->value[i];
        }
        if (squares > 0) {
            double length = sqrt(squares);
            for (size_t i = rows->row_start[r]; i < rows->row_start[r + 1]; i++) {
                uint32_t c = rows->column[i];
                if (count[c] == 1) {
                    m->feature[c] = (uint32_t)next;
                    m->factor[c] = rows->value[i] / length;
                }
            }
            p->rows->column[at] = (uint32_t)next++;
            p->rows->value[at++] = length;
        }
        p->rows->row_start[r + 1] = at;
    }
    p->n_features = next;
done:
    free(count);
    return status;
}

/* The rows once more, feature by feature. */
static hone_status transpose(problem *p, hone_error *err)
{
    size_t n_values = p->rows->row_start[p->n_rows];
    p->feature_start = calloc(p->n_features + 2, sizeof *p->feature_start);
    p->row_of = malloc((n_values + 1) * sizeof *p->row_of);
    p->value_of = malloc((n_values + 1) * sizeof *p->value_of);
    if (!p->feature_start || !p->row_of || !p->value_of)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu values", n_values);
    size_t *start = p->feature_start + 1; /* start[f] counts up to where feature f + 1 begins */
    for (size_t i = 0; i < n_values; i++)
        start[p->rows->column[i] + 1]++;
    for (size_t f = 1; f <= p->n_features; f++)
        start[f] += start[f - 1];
    for (size_t r = 0; r < p->n_rows; r++)
        for (size_t i = p->rows->row_start[r]; i < p->rows->row_start[r + 1]; i++) {
            size_t to = start[p->rows->column[i]]++;
            p->row_of[to] = (uint32_t)r;
            p->value_of[to] = p->rows->value[i];
        }
    return HONE_OK;
}

static void problem_clear(problem *p)
{
    hone_sparse_free(p->rows);
    free(p->feature_start);
    free(p->row_of);
    free(p->value_of);
    free(p->label);
    free(p->error);
    free(p->loss);
    free(p->feature_squares);
}

static hone_status check(const hone_sparse *rows, const int32_t *labels, int32_t n_classes,
                         hone_logistic_options options, hone_error *err)
{
    if (rows->n_rows == 0 || n_classes < 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "logistic regression needs at least one row and one class (%zu, %d given)", rows->n_rows,
                         n_classes);
    if (rows->n_rows > UINT32_MAX || rows->n_columns >= UINT32_MAX - rows->n_rows)
        return hone_fail(err, HONE_BAD_INPUT, "%zu rows of %zu columns are too many", rows->n_rows, rows->n_columns);
    if (!(options.c >= 0) || options.max_iterations < 0 || !(options.tolerance >= 0))
        return hone_fail(err, HONE_BAD_INPUT, "logistic regression: C, iterations and tolerance must not be negative");
    for (size_t r = 0; r < rows->n_rows; r++)
        if (labels[r] < 0 || labels[r] >= n_classes)
            return hone_fail(err, HONE_BAD_INPUT, "row %zu: label %d is not one of %d classes", r, labels[r],
                             n_classes);
    for (size_t i = 0; i < rows->row_start[rows->n_rows]; i++)
        if (rows->column[i] >= rows->n_columns || !isfinite(rows->value[i]))
            return hone_fail(err, HONE_BAD_INPUT,
                             "value %zu: column %u, value %g; columns are below %zu, values finite", i, rows->column[i],
                             rows->value[i], rows->n_columns);
    return HONE_OK;
}

/* Numbers the classes that occur: model->class_of, and p->label in those numbers. */
static hone_status number_classes(const int32_t *labels, int32_t n_classes, problem *p, hone_logistic *model,
                                  hone_error *err)
{
    int32_t *number = calloc((size_t)n_classes, sizeof *number);
    model->class_of = calloc((size_t)n_classes, sizeof *model->class_of);
    p->label = calloc(p->n_rows, sizeof *p->label);
    if (!number || !model->class_of || !p->label) {
        free(number);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d classes", n_classes);
    }
    for (size_t r = 0; r < p->n_rows; r++)
        number[labels[r]] = 1;
    for (int32_t k = 0; k < n_classes; k++)
        if (number[k]) {
            number[k] = model->n_present;
            model->class_of[model->n_present++] = k;
        }
    for (size_t r = 0; r < p->n_rows; r++)
        p->label[r] = number[labels[r]];
    free(number);
    return HONE_OK;
}

hone_status hone_logistic_fit(const hone_sparse *rows, const int32_t *labels, int32_t n_classes,
                              hone_logistic_options options, hone_thread_pool *pool, hone_logistic **out,
                              hone_error *err)
{
    *out = NULL;
    hone_status status = check(rows, labels, n_classes, options, err);
    if (status != HONE_OK)
        return status;
    problem p = {.n_rows = rows->n_rows, .pool = pool};
    merging merged = {0};
    double *found = NULL;
    size_t n_weights, n_errors, n_kept;
    hone_logistic *model = calloc(1, sizeof *model);
    if (!model)
        goto no_memory;
    model->n_columns = rows->n_columns;
    model->n_classes = n_classes;
    if ((status = number_classes(labels, n_classes, &p, model, err)) != HONE_OK ||
        (status = merge_columns(rows, &p, &merged, err)) != HONE_OK || (status = transpose(&p, err)) != HONE_OK)
        goto done;
    size_t n = p.n_classes = (size_t)model->n_present;
    p.penalty = 1.0 / ((options.c > 0 ? options.c : 10.0) * (double)p.n_rows);
    if (n == 2) /* two opposite vectors of half the length stand for the one of the binary model: penalise alike */
        p.penalty *= 2.0;
    if (__builtin_mul_overflow(p.n_features + 1, n, &n_weights) || __builtin_mul_overflow(p.n_rows, n, &n_errors) ||
        __builtin_mul_overflow(rows->n_columns + 1, n, &n_kept))
        goto no_memory;
    p.error = calloc(n_errors, sizeof *p.error);
    p.loss = calloc(p.n_rows, sizeof *p.loss);
    p.feature_squares = calloc(p.n_features + 1, sizeof *p.feature_squares);
    found = calloc(n_weights, sizeof *found);
    model->weights = calloc(n_kept, sizeof *model->weights);
    if (!p.error || !p.loss || !p.feature_squares || !found || !model->weights)
        goto no_memory;
    hone_lbfgs_result result;
    hone_lbfgs_options search = {.max_iterations = options.max_iterations ? options.max_iterations : 300,
                                 .gradient_tolerance = options.tolerance > 0 ? options.tolerance : 1e-4,
                                 .value_tolerance = 64 * 2.220446049250313e-16};
    status = hone_lbfgs_minimise(loss_and_gradient, &p, n_weights, found, search, pool, &result, err);
    if (status != HONE_OK)
        goto done;
    model->iterations = result.iterations;
    model->converged = result.converged;
    for (size_t c = 0; c < rows->n_columns; c++)
        for (size_t k = 0; merged.feature[c] != UINT32_MAX && k < n; k++)
            model->weights[c * n + k] = merged.factor[c] * found[merged.feature[c] * n + k];
    memcpy(model->weights + rows->n_columns * n, found + p.n_features * n, n * sizeof *found);
    *out = model;
    model = NULL;
    goto done;
no_memory:
    status = hone_fail(err, HONE_NO_MEMORY, "out of memory for logistic regression on %zu rows of %zu features",
                       rows->n_rows, rows->n_columns);
done:
    hone_logistic_free(model);
    problem_clear(&p);
    free(merged.feature);
    free(merged.factor);
    free(found);
    return status;
}

void hone_logistic_free(hone_logistic *model)
{
    if (!model)
        return;
    free(model->class_of);
    free(model->weights);
    free(model);
}

typedef struct prediction {
    const hone_logistic *model;
    const hone_sparse *rows;
    double *probabilities;
} prediction;

static void predict_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const prediction *p = context;
    const hone_logistic *m = p->model;
    size_t n = (size_t)m->n_present, end = ((size_t)piece + 1) * ROWS_PER_PIECE;
    for (size_t r = (size_t)piece * ROWS_PER_PIECE; r < end && r < p->rows->n_rows; r++) {
        double *out = p->probabilities + r * (size_t)m->n_classes;
        logits_of(p->rows, r, m->weights, m->n_columns, n, out);
        softmax(out, n);
        /* Spread the present classes to their places, from the last, so that none is overwritten before it moved. */
        int32_t from = m->n_present - 1;
        for (int32_t k = m->n_classes - 1; k >= 0; k--)
            out[k] = from >= 0 && m->class_of[from] == k ? out[from--] : 0.0;
    }
}

hone_status hone_logistic_predict(const hone_logistic *model, const hone_sparse *rows, hone_thread_pool *pool,
                                  double *probabilities, hone_error *err)
{
    if (rows->n_columns != model->n_columns)
        return hone_fail(err, HONE_BAD_INPUT,
                         "rows of %zu columns for a model of %zu: they come from another vocabulary", rows->n_columns,
                         model->n_columns);
    prediction p = {model, rows, probabilities};
    hone_thread_pool_run(pool, (int64_t)((rows->n_rows + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE), predict_piece, &p);
    return HONE_OK;
}

hone_status hone_logistic_classify(const hone_logistic *model, const hone_sparse *rows, hone_thread_pool *pool,
                                   int32_t *labels, hone_error *err)
{
    size_t n = (size_t)model->n_classes, n_values;
    double *probabilities = NULL;
    if (!__builtin_mul_overflow(rows->n_rows, n, &n_values))
        probabilities = calloc(n_values + 1, sizeof *probabilities);
    if (!probabilities)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows of %zu probabilities", rows->n_rows, n);
    hone_status status = hone_logistic_predict(model, rows, pool, probabilities, err);
    for (size_t r = 0; status == HONE_OK && r < rows->n_rows; r++) {
        const double *row = probabilities + r * n;
        int32_t best = 0;
        for (size_t k = 1; k < n; k++)
            if (row[k] > row[best])
                best = (int32_t)k;
        labels[r] = best;
    }
    free(probabilities);
    return status;
}

int hone_logistic_iterations(const hone_logistic *model)
{
    return model->iterations;
}

bool hone_logistic_converged(const hone_logistic *model)
{
    return model->converged;
}
