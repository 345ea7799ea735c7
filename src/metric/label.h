/* label.h - which label did the model mean?
 *
 * Strict: the trimmed answer is a label, byte for byte. Lenient tries, in this order, and stops at the first that names
 * exactly one label:
 *   1. equal after folding case and white space and dropping wrapping quotes       "Card Arrival" = card arrival
 *   2. equal after dropping all punctuation                                        card_arrival. = card arrival
 *   3. equal after dropping spaces, too                                            CardArrival = card_arrival
 *   4. the longest label that the folded answer begins with, ended by a word's end "card_arrival, because..."
 *   5. the same without punctuation                                                "Card arrival: the..."
 * Two labels that an answer fits equally well (C++ and C# for "c") make it unparseable rather than a guess. */
#ifndef HONE_METRIC_LABEL_H
#define HONE_METRIC_LABEL_H

#include "base/status.h"

/* *index: the label's place in labels[n], or -1 when the answer names none. */
hone_status hone_label_parse(const char *answer, const char *const *labels, size_t n, bool lenient, int64_t *index,
                             hone_error *err);

#endif
