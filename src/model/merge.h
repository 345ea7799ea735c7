/* merge.h - a model with an adapter folded into its weights, W' = W + scale * B A, with DoRA each row
 * brought to its learned length, as a GGUF file or a Hugging Face folder of its own. */
#ifndef HONE_MODEL_MERGE_H
#define HONE_MODEL_MERGE_H

#include "base/progress.h"
#include "model/adapter.h"

typedef struct hone_merge {
    const hone_gguf *file;       /* the base, as a GGUF file has it or model_file.h presents it */
    const hone_adapter *adapter; /* of that base; NULL: the weights are only converted */
    hone_dtype type;             /* of every matrix: HONE_F32, HONE_F16, HONE_BF16 or HONE_Q8_0; norms stay float32 */
    const char *base_hash;       /* written down beside the adapter's, or NULL */
    bool folder;             /* write a Hugging Face folder (folder_write.h): all tensors of the type, no HONE_Q8_0 */
    const char *base_folder; /* where the base came from, when that was a folder; NULL */
} hone_merge;

/* The sum is made in double precision and rounded once to the type: with HONE_F32 it is exact to float's rounding.
 * Written atomically, a few rows at a time; a folder must not exist before. HONE_UNSUPPORTED: a matrix whose rows do
 * not divide into the type's blocks, or one of a type that hone does not read, named. */
hone_status hone_model_merge(const hone_merge *merge, const char *path, hone_progress *progress, hone_error *err);

#endif
