/* general_text.h - a few passages of ordinary English, to see what tuning did to what the model could do before.
 * Written for hone, so no model has been trained on them. A change of the passages changes every number made from them:
 * raise the version. */
#ifndef HONE_TRAIN_GENERAL_TEXT_H
#define HONE_TRAIN_GENERAL_TEXT_H

#include <stddef.h>

enum { HONE_GENERAL_TEXT_VERSION = 1 };

extern const char *const hone_general_passages[];
extern const size_t hone_n_general_passages;

#endif
