/* watch.h - what is looked at each time a checkpoint is scored on rows that are held out.
 *
 *   score      share of rows whose last answer, generated greedily, is exactly the reference (not teacher-forced)
 *              (of a row cut by --too-long, the last answer that is whole; a row without one has a loss only)
 *   loss       of the held-out answers, teacher-forced, a token: beside the training loss it shows memorising
 *   samples    what a few rows are answered, and what the base model answered
 *   retention  perplexity on ordinary text (general_text.h), and KL(base || tuned) a token: answers of the base model
 *              to held-out prompts, drawn at temperature 1, under both (an unbiased estimate, since the text is the
 *              base's own; Shenfeld et al. 2025, arXiv 2509.04259, use the same quantity on task inputs)
 *
 * The base is measured once, when the first score is asked for. All randomness is counted. */
#ifndef HONE_TRAIN_WATCH_H
#define HONE_TRAIN_WATCH_H

#include "train/examples.h"

typedef struct hone_watch hone_watch;

/* held [n] (n >= 1), rows (whose messages give the samples' inputs; may be NULL) and the engine are borrowed.
 * HONE_BAD_INPUT: no row has an answer that is whole. */
hone_status hone_watch_create(hone_engine *engine, const hone_encoded_example *held, size_t n,
                              const hone_conversations *rows, size_t longest_answer_tokens, uint64_t seed,
                              hone_watch **out, hone_error *err);
void hone_watch_free(hone_watch *watch);
/* Names what is asked and how it is judged, in 64 hex digits; out needs 65 bytes. */
hone_status hone_watch_hash(const hone_watch *watch, char out[65], hone_error *err);
/* What the model says without an adapter; done once, by the first score unless before. A run that trains the model's
 * own weights asks for it before it begins. */
hone_status hone_watch_measure_base(hone_watch *watch, hone_error *err);
/* A hone_train_score; context: the watch. details: {"n", "right": "0110...", "unended", "general_perplexity",
 * "general_perplexity_base", "kl", "kl_tokens", "samples": [{"line", "input", "reference", "answer", "base",
 * "right"}]}. "unended": answers that went on until they were cut off. */
hone_status hone_watch_score(void *watch, const hone_adapter *adapter, hone_train_scored *out, hone_error *err);

#endif
