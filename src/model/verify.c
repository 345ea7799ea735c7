/* verify.c - looks at every weight of a model file. */
#include "model/verify.h"

#include "tensor/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The first of n values that is not finite, or n. */
static int64_t first_bad(const float *x, int64_t n)
{
    int64_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

static hone_status check_tensor(const hone_gguf *file, const hone_gguf_tensor *t, hone_weight_check *out,
                                hone_error *err)
{
    int64_t rows = t->ne[1] * t->ne[2] * t->ne[3], at;
    size_t row_bytes = t->size_bytes / (size_t)rows;
    float *row = malloc((size_t)t->ne[0] * sizeof *row);
    hone_status status = row ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    for (int64_t r = 0; r < rows && status == HONE_OK; r++) {
        if (!hone_dtype_decode(t->dtype, t->data + (size_t)r * row_bytes, t->ne[0], row)) {
            status = hone_fail(err, HONE_UNSUPPORTED,
                               "%s: tensor \"%.*s\" is %s; hone computes with " HONE_DTYPE_NAMES ": "
                               "get the model in one of these, or requantise it with llama.cpp's llama-quantize",
                               file->map.path, (int)t->name.length, t->name.data, hone_dtype_get_info(t->dtype)->name);
        } else if ((at = first_bad(row, t->ne[0])) < t->ne[0]) {
            if (out->n_bad_tensors++ == 0) {
                snprintf(out->first_bad, sizeof out->first_bad, "%.*s", (int)t->name.length, t->name.data);
                out->first_bad_weight = r * t->ne[0] + at;
            }
            break;
        }
    }
    free(row);
    out->n_weights += rows * t->ne[0];
    return status;
}

hone_status hone_model_check_weights(const hone_gguf *file, hone_progress *progress, hone_weight_check *out,
                                     hone_error *err)
{
    hone_status status = HONE_OK;
    *out = (hone_weight_check){.n_tensors = file->n_tensors};
    hone_progress_begin(progress, "weights", "tensors", (int64_t)file->n_tensors);
    for (size_t i = 0; i < file->n_tensors && status == HONE_OK; i++) {
        status = check_tensor(file, &file->tensors[i], out, err);
        hone_progress_update(progress, (int64_t)i + 1, NULL);
    }
    hone_progress_end(progress);
    return status;
}
