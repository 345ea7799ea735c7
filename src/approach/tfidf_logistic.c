/* tfidf_logistic.c - words and word pairs, weighted by TF-IDF, into a logistic regression: the classical answer to a
 * classification task, fitted in about a second. Its penalty is chosen on select_tune. */
#include "approach/approach.h"

#include "approach/logistic.h"
#include "approach/train_index.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* scikit-learn's C; the usual value for short texts first, so that it wins among equals. */
static const double strengths[] = {10, 1, 100};
enum { N_STRENGTHS = sizeof strengths / sizeof *strengths };

typedef struct classifier {
    hone_train_index index;
    hone_logistic *model;
} classifier;

static int by_bytes(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

/* Place in the task's labels, which are sorted by bytes; -1 when absent. */
static int32_t label_of(const hone_task *task, const char *text)
{
    const char *const *found = bsearch(text, task->labels, task->n_labels, sizeof *task->labels, by_bytes);
    return found ? (int32_t)(found - task->labels) : -1;
}

static hone_status classify(const classifier *c, const char *input, int32_t *label, hone_error *err)
{
    hone_sparse *row;
    hone_status status = hone_tfidf_transform(c->index.tfidf, &input, 1, &row, err);
    if (status != HONE_OK)
        return status;
    status = hone_logistic_classify(c->model, row, NULL, label, err);
    hone_sparse_free(row);
    return status;
}

static hone_status score_on_select(hone_approach *a, double *score, hone_error *err)
{
    const hone_rows *rows = &a->bench->task->select_tune;
    size_t right = 0;
    for (size_t i = 0; i < rows->n; i++) {
        int32_t label;
        hone_status status = classify(a->state, rows->items[i].input, &label, err);
        if (status != HONE_OK)
            return status;
        right += label == label_of(a->bench->task, rows->items[i].output);
    }
    *score = (double)right / (double)rows->n;
    return HONE_OK;
}

static hone_status fit(hone_approach *a, const int32_t *labels, double strength, hone_thread_pool *pool,
                       hone_error *err)
{
    classifier *c = a->state;
    if (c->model)
        hone_logistic_free(c->model);
    c->model = NULL;
    return hone_logistic_fit(c->index.vectors, labels, (int32_t)a->bench->task->n_labels,
                             (hone_logistic_options){.c = strength}, pool, &c->model, err);
}

static hone_status choose(hone_approach *a, const int32_t *labels, hone_thread_pool *pool, double *best,
                          hone_error *err)
{
    *best = strengths[0];
    if (a->bench->task->select_tune.n == 0)
        return fit(a, labels, *best, pool, err);
    for (int i = 0; i < N_STRENGTHS; i++) {
        double score;
        hone_status status = fit(a, labels, strengths[i], pool, err);
        if (status == HONE_OK)
            status = score_on_select(a, &score, err);
        if (status != HONE_OK)
            return status;
        if (i == 0 || score > a->select_tune_score) {
            a->select_tune_score = score;
            *best = strengths[i];
        }
    }
    return *best == strengths[N_STRENGTHS - 1] ? HONE_OK : fit(a, labels, *best, pool, err);
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)progress;
    const hone_task *task = a->bench->task;
    double start = hone_clock_seconds(), best;
    hone_thread_pool *pool = NULL;
    classifier *c = hone_arena_alloc(a->arena, sizeof *c);
    int32_t *labels = hone_arena_array(a->arena, task->train.n, sizeof *labels);
    if (!c || !labels)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", task->train.n);
    a->state = c;
    for (size_t i = 0; i < task->train.n; i++) {
        labels[i] = label_of(task, task->train.items[i].output);
        if (labels[i] < 0)
            return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: \"%.60s\" is none of the task's labels",
                             task->train.items[i].file, (long long)task->train.items[i].line,
                             task->train.items[i].output);
    }
    hone_status status =
        hone_thread_pool_create(a->bench->engine ? hone_engine_threads(a->bench->engine) : 1, &pool, err);
    if (status == HONE_OK)
        status = hone_train_index_init(&c->index, &task->train, err);
    if (status == HONE_OK)
        status = choose(a, labels, pool, &best, err);
    hone_thread_pool_free(pool);
    if (status != HONE_OK)
        return status;
    if (json_object_set_new(a->settings, "c", json_real(best)) != 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    a->labels_used = (int64_t)(task->train.n + task->select_tune.n);
    a->build_seconds = hone_clock_seconds() - start;
    return hone_approach_describe(
        a, err,
        "%zu words and word pairs by TF-IDF, multinomial logistic regression, C = %g chosen on "
        "%zu select rows",
        hone_tfidf_terms(c->index.tfidf), best, task->select_tune.n);
}

static hone_status predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    int32_t label;
    hone_status status = classify(a->state, row->input, &label, err);
    if (status == HONE_OK)
        *answer = a->bench->task->labels[label];
    return status;
}

static void clear(hone_approach *a)
{
    classifier *c = a->state;
    if (!c)
        return;
    if (c->model)
        hone_logistic_free(c->model);
    hone_train_index_clear(&c->index);
}

const hone_approach_type hone_approach_tfidf_logistic = {.name = "TF-IDF + logistic regression",
                                                         .word = "tfidf-logistic",
                                                         .family = HONE_APPROACH_BASELINE,
                                                         .needs_labels = true,
                                                         .build = build,
                                                         .predict = predict,
                                                         .clear = clear};
