/* embedding_logistic.c - sentence embeddings into a logistic regression: for short texts with many labels often the
 * best that can be had without a large model (Reimers & Gurevych 2019, arXiv 1908.10084, use such classifiers to
 * compare embeddings). Its penalty is chosen on select_tune. */
#include "approach/classifier.h"
#include "approach/embeddings.h"
#include "base/clock.h"

#include <stdlib.h>

/* Rows of a split as a matrix for the regression. */
static hone_status vectors_of(hone_approach *a, const hone_rows *rows, hone_sparse **out, double *seconds,
                              hone_progress *progress, hone_error *err)
{
    hone_embeddings *embeddings = a->bench->embeddings;
    size_t dim = (size_t)hone_embeddings_dim(embeddings);
    float *dense = calloc(rows->n * dim + 1, sizeof *dense);
    hone_status status = dense ? hone_embeddings_matrix(embeddings, rows, dense, seconds, progress, err)
                               : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", rows->n);
    if (status == HONE_OK)
        status = hone_sparse_from_dense(dense, rows->n, dim, out, err);
    free(dense);
    return status;
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    const hone_task *task = a->bench->task;
    hone_embeddings *embeddings = a->bench->embeddings;
    hone_sparse *train = NULL, *select = NULL;
    hone_logistic *model = NULL;
    double strength = 0, embedding_seconds[2] = {0};
    hone_status status = vectors_of(a, &task->train, &train, &embedding_seconds[0], progress, err);
    if (status == HONE_OK)
        status = vectors_of(a, &task->select_tune, &select, &embedding_seconds[1], progress, err);
    double start = hone_clock_seconds();
    if (status == HONE_OK)
        status = hone_classifier_fit(a, train, select, &model, &strength, err);
    a->build_seconds = hone_clock_seconds() - start + embedding_seconds[0] + embedding_seconds[1];
    hone_sparse_free(train);
    hone_sparse_free(select);
    a->state = model;
    if (status == HONE_OK &&
        json_object_set_new(a->settings, "embedder", json_string(hone_embeddings_hash(embeddings))) != 0)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for settings");
    return status == HONE_OK ? hone_approach_describe(
                                   a, err,
                                   "sentence embeddings by %s (%lld values), multinomial logistic regression, C = %g "
                                   "chosen on %zu select rows",
                                   hone_embeddings_name(embeddings), (long long)hone_embeddings_dim(embeddings),
                                   strength, task->select_tune.n)
                             : status;
}

static hone_status predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    hone_embedding found;
    hone_sparse *vector = NULL;
    int32_t label = 0;
    hone_status status = hone_embeddings_get(a->bench->embeddings, &row, 1, &found, NULL, err);
    if (status == HONE_OK)
        status =
            hone_sparse_from_dense(found.vector, 1, (size_t)hone_embeddings_dim(a->bench->embeddings), &vector, err);
    if (status == HONE_OK)
        status = hone_logistic_classify(a->state, vector, NULL, &label, err);
    hone_sparse_free(vector);
    if (status == HONE_OK)
        *answer = a->bench->task->labels[label];
    return status;
}

static void clear(hone_approach *a)
{
    hone_logistic_free(a->state);
}

const hone_approach_type hone_approach_embedding_logistic = {.name = "embedding + logistic regression",
                                                             .word = "embedding-logistic",
                                                             .family = HONE_APPROACH_BASELINE,
                                                             .needs_labels = true,
                                                             .uses_embeddings = true,
                                                             .build = build,
                                                             .predict = predict,
                                                             .clear = clear};
