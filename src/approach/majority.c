/* majority.c - always the answer that train has most often (the first by bytes among equals): what knowing nothing of
 * the input achieves. */
#include "approach/approach.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static hone_status build(hone_approach *a, hone_progress *progress, hone_error *err)
{
    (void)progress;
    const hone_rows *train = &a->bench->task->train;
    double start = hone_clock_seconds();
    if (train->n == 0)
        return hone_fail(err, HONE_BAD_INPUT, "there are no training rows");
    const char **outputs = hone_arena_array(a->arena, train->n, sizeof *outputs);
    if (!outputs)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu rows", train->n);
    for (size_t i = 0; i < train->n; i++)
        outputs[i] = train->items[i].output;
    qsort(outputs, train->n, sizeof *outputs, by_bytes);
    size_t best = 0, best_count = 0;
    for (size_t i = 0, j; i < train->n; i = j) {
        for (j = i; j < train->n && strcmp(outputs[i], outputs[j]) == 0; j++)
            ;
        if (j - i > best_count) {
            best = i;
            best_count = j - i;
        }
    }
    a->state = hone_arena_strdup(a->arena, outputs[best]);
    if (!a->state)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an answer");
    a->labels_used = (int64_t)train->n;
    a->build_seconds = hone_clock_seconds() - start;
    return hone_approach_describe(a, err, "always \"%.60s\", the most frequent answer in train (%zu of %zu rows)",
                                  outputs[best], best_count, train->n);
}

static hone_status predict(hone_approach *a, const hone_row *row, const char **answer, hone_error *err)
{
    (void)row;
    (void)err;
    *answer = a->state;
    return HONE_OK;
}

const hone_approach_type hone_approach_majority = {
    .name = "majority", .word = "majority", .family = HONE_APPROACH_BASELINE, .build = build, .predict = predict};
