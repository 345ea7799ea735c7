/* safetensors.h - the safetensors container: u64 header length, a JSON header, tensor bytes.
 *
 * Specification: huggingface/safetensors, README "Format". Read through a map; every offset is checked. */
#ifndef HONE_FORMAT_SAFETENSORS_H
#define HONE_FORMAT_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "tensor/dtype.h"

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

typedef struct hone_safetensor_out { /* a float32 matrix to be written */
    const char *name;
    int64_t rows, columns; /* columns 0: a vector of `rows` values */
    const float *data;
} hone_safetensor_out;
/* Writes atomically. metadata_format: the value of __metadata__.format, or NULL. */
hone_status hone_safetensors_write(const char *path, const hone_safetensor_out *tensors, size_t n,
                                   const char *metadata_format, hone_error *err);

#endif
