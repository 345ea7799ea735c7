/* full.h - the model's own weights as what is trained. */
#ifndef HONE_TRAIN_FULL_H
#define HONE_TRAIN_FULL_H

#include "train/trainable.h"

hone_status hone_trainable_create_full(hone_trainable *t, const hone_train_options *options, hone_error *err);

#endif
