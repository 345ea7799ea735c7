/* training.h - the report of one training as a self-contained HTML file, made from an adapter's folder alone
 * (hone.json, metrics.jsonl, and curve.json where a learning curve was measured), so that it can be made again at any
 * time. The same page as a comparison's report: no network, no script, light and dark, wide and narrow. */
#ifndef HONE_REPORT_TRAINING_H
#define HONE_REPORT_TRAINING_H

#include "base/buffer.h"
#include "base/status.h"

/* HONE_NOT_FOUND: no hone.json there; HONE_BAD_FORMAT: it is no training's. Metrics that are missing leave their charts
 * out. */
hone_status hone_training_html(const char *folder, hone_buffer *out, hone_error *err);

#endif
