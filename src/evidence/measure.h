/* measure.h - what an approach costs to run, measured apart from its score.
 *
 * Latency is one request at a time, the prefix cache warmed by one other request and holding nothing else, never a
 * batch's time divided by its size. The same requests then show how often a free answer (no label set imposed) is in
 * the right form. All on select_name rows, never on the test. */
#ifndef HONE_EVIDENCE_MEASURE_H
#define HONE_EVIDENCE_MEASURE_H

#include "approach/approach.h"

typedef struct hone_measurement {
    double p50_ms, p95_ms;
    int64_t n;
    double strict_format_rate; /* NAN where answers have no form to keep to, or no model is asked */
    double tokens_static;      /* tokens that all prompts begin with */
} hone_measurement;

/* Remembered in the ledger: a second call with the same approach and settings returns the first one's figures. */
hone_status hone_measure(hone_approach *a, const hone_row *rows, size_t n, hone_measurement *out,
                         hone_progress *progress, hone_error *err);
/* Computed prompt tokens a second on these rows, for planning. */
hone_status hone_measure_speed(hone_engine *engine, hone_approach *a, const hone_row *rows, size_t n,
                               double *tokens_per_second, double *row_tokens, hone_error *err);

#endif
