/* batch.h - from examples to the rows of a training step.
 *
 * The tokens that all examples of a (micro-)batch begin with are computed once: they form a prefix span, and every
 * example's span continues it. The gradient that examples send to the prefix's keys and values is summed there, so the
 * result is the same as computing the prefix in every example. */
#ifndef HONE_TRAIN_BATCH_H
#define HONE_TRAIN_BATCH_H

#include "model/forward.h"
#include "train/train.h"

typedef struct hone_train_batch {
    hone_batch rows; /* what the model sees; its arrays are below */
    hone_adapter_rows adapter;
    int32_t *tokens, *positions, *pages;
    hone_kv_write *writes;
    hone_span *spans;
    hone_label *labels;
    int64_t n_labels, n_tokens; /* tokens: of the examples, as a user counts them */
    int64_t max_rows, max_examples, max_pages;
    bool share_prefix;
} hone_train_batch;

/* Memory for steps of up to max_rows rows of up to max_examples examples. */
hone_status hone_train_batch_create(int64_t max_rows, int64_t max_examples, hone_train_batch **out, hone_error *err);
void hone_train_batch_free(hone_train_batch *batch);
/* Pages of a key-value pool that such steps can need. */
int64_t hone_train_batch_pages(int64_t max_rows, int64_t max_examples);

/* What the labels of an example weigh together. */
double hone_train_example_weight(const hone_train_example *example);
/* Fills the batch with as many of examples[order[0..n)] as fit (at least one) and returns how many. A label weighs
 * `label_weight` times its weight in the example; one of weight 0 is none. */
int64_t hone_train_batch_fill(hone_train_batch *batch, const hone_train_example *examples, const size_t *order,
                              int64_t n, hone_real label_weight, const hone_adapter *adapter);

#endif
