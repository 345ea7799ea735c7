/* metric.h - scoring an answer against its reference. Pure: no model, no file, no state.
 *
 * Each metric gives two scores in [0, 1]. `strict` takes the answer as it is (white space at the ends apart): what a
 * program that reads it would get. `lenient` first looks for the answer inside the text: other case, a sentence around
 * it, a code fence. The gap between the two is a matter of format, not of knowledge. What cannot be parsed scores 0 and
 * is marked; it is never left out. Strings are UTF-8; invalid bytes are compared as they are. */
#ifndef HONE_METRIC_METRIC_H
#define HONE_METRIC_METRIC_H

#include "base/status.h"

typedef struct hone_metric_case {
    const char *answer, *reference; /* not NULL */
    const char *const *labels;      /* [n_labels] the allowed labels, or NULL; used by "label" alone */
    size_t n_labels;
} hone_metric_case;

typedef struct hone_metric_score {
    double strict, lenient;
    bool parsed_strict, parsed_lenient; /* could the answer be read at all (one of the labels, a number, JSON) */
} hone_metric_score;

typedef struct hone_metric {
    const char *name;
    const char *summary; /* one line for people */
    bool binary;         /* scores are 0 or 1 only, so exact tests apply */
    /* HONE_BAD_INPUT where the reference itself cannot be read; HONE_NO_MEMORY. */
    hone_status (*score)(const hone_metric_case *item, hone_metric_score *out, hone_error *err);
} hone_metric;

/* The metric of that name, or NULL. "accuracy" is another name of "label". */
const hone_metric *hone_metric_find(const char *name);
/* All metrics, in the order of the table: index from 0, NULL past the end. */
const hone_metric *hone_metric_get(size_t index);
/* The metric that decides a task of that output kind (label, choice, text, number, json, sql), by its word in
 * task.yaml; word NULL: the kind's default. NULL: no such kind, or a word that the kind does not know. */
const hone_metric *hone_metric_for_output(const char *kind, const char *word);
/* The words that a kind knows, the default first: index from 0, NULL past the end or for no such kind. */
const char *hone_metric_word(const char *kind, size_t index);

#endif
