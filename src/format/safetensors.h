/* safetensors.h - the safetensors container: u64 header length, a JSON header, tensor bytes.
 *
 * Specification: huggingface/safetensors, README "Format". Read through a map; every offset is checked. */
#ifndef HONE_FORMAT_SAFETENSORS_H
#define HONE_FORMAT_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "base/progress.h"
#include "tensor/dtype.h"

#include <jansson.h>

typedef struct hone_safetensor {
    const char *name;
    hone_dtype dtype; /* F32, F16 or BF16 */
    int n_dims;
    int64_t shape[4];          /* slowest dimension first; unused ones are 1 */
    const unsigned char *data; /* in the map */
    size_t size_bytes;
} hone_safetensor;

typedef struct hone_safetensors {
    hone_map map;
    hone_arena *arena;
    hone_safetensor *tensors;
    size_t n_tensors;
} hone_safetensors;

/* HONE_BAD_FORMAT: overlapping or outlying offsets, a header that is not JSON, sizes that disagree. */
hone_status hone_safetensors_open(const char *path, hone_safetensors *out, hone_error *err);
/* The same, but tensors of whole numbers (I64 position tables and the like) are passed over. */
hone_status hone_safetensors_open_weights(const char *path, hone_safetensors *out, hone_error *err);
void hone_safetensors_close(hone_safetensors *file);
const hone_safetensor *hone_safetensors_find(const hone_safetensors *file, const char *name);
/* Element i of a tensor as float. */
float hone_safetensor_at(const hone_safetensor *tensor, int64_t i);

typedef struct hone_safetensor_out { /* a tensor to be written */
    const char *name;
    int64_t rows, columns; /* columns 0: a vector of `rows` values, which is one row */
    const float *data;     /* NULL: the callback of hone_safetensors_write_rows gives it */
    hone_dtype dtype;      /* HONE_F32, HONE_F16 or HONE_BF16; where there is `data`, HONE_F32 */
} hone_safetensor_out;
/* Writes atomically. metadata_format: the value of __metadata__.format, or NULL. */
hone_status hone_safetensors_write(const char *path, const hone_safetensor_out *tensors, size_t n,
                                   const char *metadata_format, hone_error *err);

/* Row `row` of tensor `index`, in its own type, to `out`. */
typedef hone_status (*hone_safetensors_row)(void *context, size_t index, int64_t row, void *out, hone_error *err);
/* The same for a file too large to be held in memory, row by row. metadata: an object of texts, or NULL. */
hone_status hone_safetensors_write_rows(const char *path, const hone_safetensor_out *tensors, size_t n,
                                        const json_t *metadata, hone_safetensors_row row, void *context,
                                        hone_progress *progress, hone_error *err);

#endif
