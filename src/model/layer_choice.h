/* layer_choice.h - which blocks of a model are trained. */
#ifndef HONE_MODEL_LAYER_CHOICE_H
#define HONE_MODEL_LAYER_CHOICE_H

#include "base/status.h"

#include <stdint.h>

/* trained: blocks that are, frozen: blocks that are not; ranges counted from 0, as in "0-4,20,25-29". At most one of
 * the two is given, the other NULL; both NULL: all blocks. Fills chosen [n_layers] and how many those are.
 * HONE_BAD_INPUT: no such list, a block that is not there, both given, none left. */
hone_status hone_layers_choose(const char *trained, const char *frozen, int64_t n_layers, bool *chosen,
                               int64_t *n_chosen, hone_error *err);

#endif
