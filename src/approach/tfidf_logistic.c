/* tfidf_logistic.c - words and word pairs, weighted by TF-IDF, into a logistic regression: the classical answer to a
 * classification task, fitted in about a second. Its penalty is chosen on select_tune. */
#include "approach/classifier.h"
#include "approach/train_index.h"
#include "base/clock.h"

#include <stdlib.h>

typedef struct classifier {
    hone_train_index index;
    hone_logistic *model;
} classifier;

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

static hone_status vectors_of(const hone_tfidf *tfidf, const hone_rows *rows, hone_sparse **out, hone_error *err)
{
    const char **texts = calloc(rows->n + 1, sizeof *texts);
    if (!texts)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", rows->n);
    for (size_t i = 0; i < rows->n; i++)
        texts[i] = rows->items[i].input;
    hone_status status = hone_tfidf_transform(tfidf, texts, rows->n, out, err);
    free(texts);
    return status;
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)progress;
    const hone_task *task = a->bench->task;
    double start = hone_clock_seconds(), strength = 0;
    hone_sparse *select = NULL;
    classifier *c = hone_arena_alloc(a->arena, sizeof *c);
    if (!c)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", task->train.n);
    a->state = c;
    hone_status status = hone_train_index_init(&c->index, &task->train, err);
    if (status == HONE_OK)
        status = vectors_of(c->index.tfidf, &task->select_tune, &select, err);
    if (status == HONE_OK)
        status = hone_classifier_fit(a, c->index.vectors, select, &c->model, &strength, err);
    hone_sparse_free(select);
    if (status != HONE_OK)
        return status;
    a->build_seconds = hone_clock_seconds() - start;
    return hone_approach_describe(
        a, err,
        "%zu words and word pairs by TF-IDF, multinomial logistic regression, C = %g chosen on "
        "%zu select rows",
        hone_tfidf_terms(c->index.tfidf), strength, task->select_tune.n);
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
