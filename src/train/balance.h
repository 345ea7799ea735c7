/* balance.h - common answers weigh less, so that rare ones are not drowned.
 *
 * With answers from a label set, a row of answer c weighs (n_min / n_c)^p in the loss, n_c the training rows of c:
 * p = 1 (equal: each answer weighs the same in all) or 1/2 (sqrt: half-way on a logarithmic scale). Rows are weighted,
 * not drawn again: each is seen once an epoch, and a rare one is not repeated until it is known by heart. The loss is
 * divided by the weights of its batch (as PyTorch's CrossEntropyLoss with `weight`, reduction "mean"). */
#ifndef HONE_TRAIN_BALANCE_H
#define HONE_TRAIN_BALANCE_H

#include "train/examples.h"

typedef enum hone_balance { HONE_BALANCE_NONE, HONE_BALANCE_SQRT, HONE_BALANCE_EQUAL } hone_balance;
bool hone_balance_parse(const char *word, hone_balance *out);

typedef struct hone_balance_report {
    size_t n_answers, fewest, most; /* different last answers; rows of the rarest and of the commonest */
    double least_weight;            /* of a row; the greatest is 1 */
} hone_balance_report;
/* Weighs the first n examples by their last answers. HONE_BAD_INPUT where most answers occur only once: these are
 * texts, not labels. */
hone_status hone_examples_balance(hone_encoded_examples *examples, size_t n, hone_balance balance,
                                  hone_balance_report *report, hone_error *err);

#endif
