/* batch.h - from examples to the rows of a pass through the model.
 *
 * What neighbours in the list begin with is computed once. The rows form a tree: a span holds tokens that one or more
 * examples share, its children continue it,
 *
 *     system message ─┬─ instruction A ─┬─ input 1, answer 1
 *                     │                 └─ input 2, answer 2
 *                     └─ instruction B, input 3, answer 3
 *
 * and the gradient that children send to keys and values of the rows above is summed there, so the result is that of
 * every example computed whole. Nothing is padded, examples do not see each other, and positions count within an
 * example: many short ones in one pass are what other trainers call packing. A row has the bits that it would have
 * alone. Labels sit on shared rows too: a row that several examples label has a label for each different target.
 *
 * A tree that does not fit into one pass is computed in parts (train/step.h): its shared spans (the trunk), then the
 * ends of the examples, some at a time. */
#ifndef HONE_TRAIN_BATCH_H
#define HONE_TRAIN_BATCH_H

#include "model/forward.h"
#include "train/train.h"

typedef struct hone_page_copy {
    int32_t from, to;
} hone_page_copy;

/* Where the labels of an example stand in a pass: on the rows of `span` up to position `end`, and of those above. */
typedef struct hone_labelled {
    const hone_train_example *example;
    const size_t *place; /* in the order that was given */
    const hone_span *span;
    int64_t end;
    bool above;
} hone_labelled;

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
    int32_t first_page;                /* of the pool; pages before it belong to the trunk */
    int32_t next_page;                 /* after the last one used */
    int64_t *common;                   /* [max_examples]: tokens shared with the example before */
    int32_t *row_label, *label_before; /* the last label of a row, and the one before it of the same row; -1: none */
    hone_span *outer;                  /* the trunk's spans with the row numbers that they have here */
    const hone_span **ends;            /* of a trunk: the span in which an example leaves it, NULL: it shares nothing */
    hone_labelled *labelled;           /* [max_examples] */
    int64_t n_labelled;
    hone_page_copy *copies; /* of pages of which an example continues the trunk, before the forward pass */
    int64_t n_copies;
} hone_train_batch;

/* Memory for passes of up to max_rows rows of up to max_examples examples. */
hone_status hone_train_batch_create(int64_t max_rows, int64_t max_examples, hone_train_batch **out, hone_error *err);
void hone_train_batch_free(hone_train_batch *batch);
/* Pages of a key-value pool that such a pass can need. */
int64_t hone_train_batch_pages(int64_t max_rows, int64_t max_examples);
size_t hone_train_batch_bytes(int64_t max_rows, int64_t max_examples);

/* What the labels of an example weigh together. */
double hone_train_example_weight(const hone_train_example *example);
/* common[i], i from 1: how many tokens examples[order[i]] shares with the one before, as rows that are computed once.
 * Where spans part, they are not shorter than a few tokens; shorter ones are computed in every example. */
void hone_train_common_prefixes(const hone_train_example *examples, const size_t *order, int64_t n, int64_t *common);

/* After the backward pass: the summed loss of an example's labels in this pass, by their weights in the example. */
double hone_train_batch_loss(const hone_train_batch *batch, const hone_labelled *labelled);

/* Fills the batch with as many of examples[order[0..n)] as fit (at least one) and returns how many. A label weighs
 * `label_weight` times its weight in the example; one of weight 0 is none. adapter NULL: the model alone. */
int64_t hone_train_batch_fill(hone_train_batch *batch, const hone_train_example *examples, const size_t *order,
                              int64_t n, hone_real label_weight, const hone_adapter *adapter);
/* The same in two parts. First what several of all n examples share, which must fit; `common` as above. */
void hone_train_batch_fill_trunk(hone_train_batch *trunk, const hone_train_example *examples, const size_t *order,
                                 int64_t n, const int64_t *common, hone_real label_weight, const hone_adapter *adapter);
/* Then the ends of as many of the trunk's examples from `from` on as fit: returns how many. */
int64_t hone_train_batch_fill_ends(hone_train_batch *batch, const hone_train_batch *trunk,
                                   const hone_train_example *examples, const size_t *order, int64_t from, int64_t n,
                                   hone_real label_weight, const hone_adapter *adapter);

#endif
