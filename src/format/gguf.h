/* gguf.h - the GGUF v2/v3 container: key-value metadata, a tensor directory, tensor data.
 *
 * The file is mapped and never copied: strings, arrays and tensors are views into the map. Every size and offset is
 * checked against the map before use. Specification: ggml, docs/gguf.md. */
#ifndef HONE_FORMAT_GGUF_H
#define HONE_FORMAT_GGUF_H

#include "base/arena.h"
#include "base/file.h"
#include "tensor/dtype.h"

typedef enum hone_gguf_type {
    HONE_GGUF_U8,
    HONE_GGUF_I8,
    HONE_GGUF_U16,
    HONE_GGUF_I16,
    HONE_GGUF_U32,
    HONE_GGUF_I32,
    HONE_GGUF_F32,
    HONE_GGUF_BOOL,
    HONE_GGUF_STRING,
    HONE_GGUF_ARRAY,
    HONE_GGUF_U64,
    HONE_GGUF_I64,
    HONE_GGUF_F64
} hone_gguf_type;

/* A string in the file: not NUL-terminated. */
typedef struct hone_gguf_string {
    const char *data;
    size_t length;
} hone_gguf_string;

typedef struct hone_gguf_value {
    hone_gguf_string key;
    hone_gguf_type type;         /* HONE_GGUF_ARRAY for an array */
    hone_gguf_type element_type; /* of an array */
    uint64_t n;                  /* elements of an array, else 1 */
    const unsigned char *data;   /* the value's first byte (a string's at its length) */
    size_t size_bytes;
} hone_gguf_value;

typedef struct hone_gguf_tensor {
    hone_gguf_string name;
    hone_dtype dtype;
    uint32_t n_dims;
    int64_t ne[4];             /* fastest dimension first; unused ones are 1 */
    const unsigned char *data; /* the tensor's bytes in the map */
    size_t size_bytes;
} hone_gguf_tensor;

typedef struct hone_gguf {
    hone_map map;
    hone_arena *arena;
    uint32_t version;
    hone_gguf_value *values;
    size_t n_values;
    hone_gguf_tensor *tensors;
    size_t n_tensors;
    size_t room_values, room_tensors; /* of one that is being made (gguf_write.h) */
} hone_gguf;

/* Maps and reads the file. HONE_BAD_FORMAT: err says at which byte and what was expected. HONE_UNSUPPORTED: a tensor
 * type that hone does not know, named. The result is closed with hone_gguf_close. */
hone_status hone_gguf_open(const char *path, hone_gguf *out, hone_error *err);
void hone_gguf_close(hone_gguf *file);

/* NULL when absent. Both borrow from the file. */
const hone_gguf_value *hone_gguf_find(const hone_gguf *file, const char *key);
const hone_gguf_tensor *hone_gguf_find_tensor(const hone_gguf *file, const char *name);

/* Scalar readers: false when the key is absent or of another kind (any integer type for _int, any number for _float).
 */
bool hone_gguf_get_int(const hone_gguf *file, const char *key, int64_t *out);
bool hone_gguf_get_float(const hone_gguf *file, const char *key, double *out);
bool hone_gguf_get_bool(const hone_gguf *file, const char *key, bool *out);
bool hone_gguf_get_string(const hone_gguf *file, const char *key, hone_gguf_string *out);

/* Array readers. Strings: fills out[n] (caller's, n = value->n); false when it is not an array of strings.
 * Numbers: element i of an array of any integer or float type. */
bool hone_gguf_read_strings(const hone_gguf_value *value, hone_gguf_string *out);
int64_t hone_gguf_int_at(const hone_gguf_value *value, uint64_t i);
double hone_gguf_float_at(const hone_gguf_value *value, uint64_t i);

#endif
