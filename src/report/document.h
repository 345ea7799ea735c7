/* document.h - a comparison as one JSON document: what `hone compare --json` prints, what the ledger keeps, and the
 * only thing that the terminal, Markdown and HTML renderers read, so that `hone report` shows a stored run exactly as
 * it was shown when it ended.
 *
 *   {"hone", "document": 1, "task": {name, folder, output, metric, labels, rows, hashes, use, prices, ...},
 *    "model": {name, argument, hash, numerics_class, isa}, "machine", "threads", "seed", "quick", "quick_note",
 * "command", "started", "seconds", "peak_rss_bytes", "n_test", "detectable_difference", "winner", "test_openings",
 *    "warnings": [...],
 *    "approaches": [{"name", "family", "select": {"tune", "name", "p_best", "expected_regret"}, "score",
 *      "ci": [lo, hi], "n", "seeds": null or {"runs": [{"seed", "select_tune", "select_name", "test"}], "mean",
 *      "standard_deviation", "kept"}, "tokens_in", "tokens_out", "latency_ms": {"p50", "p95", "n"}, "cost_per_1k",
 *      "setup_usd", "setup": {"labels_usd", "compute_usd", "work_usd", "work_hours", "change_usd", "change_hours"},
 *      "train_seconds", ...}],
 *    "comparisons": [{"a", "b", "difference", "ci", "p", "p_adjusted", "only_a", "only_b", "test", "finding"}],
 *    "verdict": {"kind", "choose", "headline", "summary", "confidence", "because": [...], "flips_if": [...],
 *      "break_even_requests", "break_even_against",
 *      "sensitivity": [{"input", "low", "high", "break_even_at_low", "break_even_at_high"}]},
 *    "items": [{"id", "place", "input", "reference", "answers": [{"answer", "raw", "score"} or null, one for each
 *      approach]}]}
 *
 * What was not measured is null. `raw` is left out where it equals `answer`; `answer` is null where it could not be
 * parsed. Broken UTF-8 becomes U+FFFD. Approaches are referred to by name. */
#ifndef HONE_REPORT_DOCUMENT_H
#define HONE_REPORT_DOCUMENT_H

#include "base/buffer.h"
#include "base/status.h"
#include "evidence/comparison.h"

#include <jansson.h>

/* *out: a new reference. */
hone_status hone_report_document(const hone_comparison *comparison, json_t **out, hone_error *err);
/* The document as text for `--json`: indented, ten significant digits, ends with a line break. */
hone_status hone_report_json(const json_t *document, hone_buffer *out, hone_error *err);

#endif
