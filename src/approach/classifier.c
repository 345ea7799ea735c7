/* classifier.c - choosing the penalty of a logistic regression on select_tune. */
#include "approach/classifier.h"

#include <stdlib.h>

/* scikit-learn's C; the usual value for short texts first, so that it wins among equals. */
static const double strengths[] = {10, 1, 100};
enum { N_STRENGTHS = sizeof strengths / sizeof *strengths };

static hone_status number_labels(const hone_task *task, int32_t *labels, hone_error *err)
{
    for (size_t i = 0; i < task->train.n; i++) {
        const hone_row *row = &task->train.items[i];
        labels[i] = hone_task_label_index(task, row->output);
        if (labels[i] < 0)
            return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: \"%.60s\" is none of the task's labels", row->file,
                             (long long)row->line, row->output);
    }
    return HONE_OK;
}

static hone_status score(const hone_task *task, const hone_logistic *model, const hone_sparse *select,
                         hone_thread_pool *pool, double *out, hone_error *err)
{
    size_t right = 0;
    int32_t *found = calloc(select->n_rows + 1, sizeof *found);
    hone_status status = found ? hone_logistic_classify(model, select, pool, found, err)
                               : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu labels", select->n_rows);
    for (size_t i = 0; i < select->n_rows && status == HONE_OK; i++)
        right += found[i] == hone_task_label_index(task, task->select_tune.items[i].output);
    *out = (double)right / (double)select->n_rows;
    free(found);
    return status;
}

/* Keeps the best model of all in *best. */
static hone_status choose(hone_approach *a, const hone_sparse *train, const hone_sparse *select, const int32_t *labels,
                          hone_thread_pool *pool, hone_logistic **best, double *strength, hone_error *err)
{
    const hone_task *task = a->bench->task;
    int n = select && select->n_rows ? N_STRENGTHS : 1;
    for (int i = 0; i < n; i++) {
        hone_logistic *model;
        double s = 0;
        hone_status status = hone_logistic_fit(train, labels, (int32_t)task->n_labels,
                                               (hone_logistic_options){.c = strengths[i]}, pool, &model, err);
        if (status != HONE_OK)
            return status;
        if (n > 1)
            status = score(task, model, select, pool, &s, err);
        bool better = status == HONE_OK && (i == 0 || s > a->select_tune_score);
        hone_logistic_free(better ? *best : model);
        if (better) {
            *best = model;
            *strength = strengths[i];
        }
        if (better && n > 1)
            a->select_tune_score = s;
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

hone_status hone_classifier_fit(hone_approach *a, const hone_sparse *train, const hone_sparse *select,
                                hone_logistic **out, double *strength, hone_error *err)
{
    const hone_task *task = a->bench->task;
    hone_thread_pool *pool = NULL;
    hone_logistic *best = NULL;
    int32_t *labels = calloc(task->train.n + 1, sizeof *labels);
    *out = NULL;
    hone_status status = labels ? number_labels(task, labels, err)
                                : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", task->train.n);
    if (status == HONE_OK)
        status = hone_thread_pool_create(a->bench->engine ? hone_engine_threads(a->bench->engine) : 1, &pool, err);
    if (status == HONE_OK)
        status = choose(a, train, select, labels, pool, &best, strength, err);
    hone_thread_pool_free(pool);
    free(labels);
    if (status == HONE_OK && json_object_set_new(a->settings, "c", json_real(*strength)) != 0)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    if (status != HONE_OK) {
        hone_logistic_free(best);
        return status;
    }
    a->labels_used = (int64_t)(task->train.n + task->select_tune.n);
    *out = best;
    return HONE_OK;
}
