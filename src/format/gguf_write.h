/* gguf_write.h - making GGUF files: a hone_gguf is put together in memory, then written.
 *
 *   hone_gguf made;
 *   hone_gguf_create("merged.gguf", &made, err);
 *   hone_gguf_copy_values(&made, source, err);                     everything that the source says about itself
 *   hone_gguf_set_integer(&made, "general.file_type", HONE_GGUF_U32, 1, err);   replaces, or adds
 *   hone_gguf_add_tensor(&made, "blk.0.attn_q.weight", HONE_F16, 2, ne, NULL, err);
 *   hone_gguf_write(&made, "merged.gguf", rows, context, NULL, err);   tensor data come from the callback, by rows
 *   hone_gguf_close(&made);
 *
 * What is made can also be read with the functions of gguf.h, and opened as a model when its tensors have data. */
#ifndef HONE_FORMAT_GGUF_WRITE_H
#define HONE_FORMAT_GGUF_WRITE_H

#include "base/progress.h"
#include "format/gguf.h"

/* Nothing in it yet. `name` stands for the path in messages. Closed with hone_gguf_close. */
hone_status hone_gguf_create(const char *name, hone_gguf *out, hone_error *err);
/* All values of `from`; they borrow from it, so it must stay open as long as `to`. */
hone_status hone_gguf_copy_values(hone_gguf *to, const hone_gguf *from, hone_error *err);

/* Each sets a value, in place of one with the same key. Keys and data are copied. */
hone_status hone_gguf_set_string(hone_gguf *to, const char *key, const char *text, hone_error *err);
/* type: one of the integer types, or HONE_GGUF_BOOL. */
hone_status hone_gguf_set_integer(hone_gguf *to, const char *key, hone_gguf_type type, int64_t value, hone_error *err);
hone_status hone_gguf_set_float(hone_gguf *to, const char *key, float value, hone_error *err);
hone_status hone_gguf_set_strings(hone_gguf *to, const char *key, const hone_gguf_string *items, size_t n,
                                  hone_error *err);
hone_status hone_gguf_set_i32s(hone_gguf *to, const char *key, const int32_t *items, size_t n, hone_error *err);
void hone_gguf_remove(hone_gguf *to, const char *key);

/* ne: n_dims sizes, the fastest first. data: borrowed, or NULL when the callback of hone_gguf_write gives it. */
hone_status hone_gguf_add_tensor(hone_gguf *to, const char *name, hone_dtype dtype, uint32_t n_dims, const int64_t *ne,
                                 const void *data, hone_error *err);

/* Rows [first, first + n) of a tensor (ne[0] weights each, in the tensor's own type) to `out`. */
typedef hone_status (*hone_gguf_rows)(void *context, const hone_gguf_tensor *tensor, int64_t first, int64_t n,
                                      void *out, hone_error *err);
/* Writes atomically, a few MiB of tensor data at a time. rows may be NULL when every tensor has data; tensors with data
 * never go through it. Alignment: general.alignment of the values, else 32. */
hone_status hone_gguf_write(const hone_gguf *file, const char *path, hone_gguf_rows rows, void *context,
                            hone_progress *progress, hone_error *err);

#endif
