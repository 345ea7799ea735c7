/* gguf.c - reading the GGUF container. Layout (little-endian):
 *
 *   "GGUF" u32 version, u64 n_tensors, u64 n_values
 *   n_values  x { string key, u32 type, value }         string = u64 length, bytes; array = u32 type, u64 n, elements
 *   n_tensors x { string name, u32 n_dims, u64 ne[n_dims], u32 dtype, u64 offset }
 *   padding to `general.alignment` (32), then the data that the offsets count from
 *
 * One cursor walks the map; each read is checked against the end, so nothing in the file can send it elsewhere. */
#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KEY_BYTES = 65535, MAX_TENSORS = 1 << 20, MAX_VALUES = 1 << 20 };

typedef struct cursor {
    const hone_map *map;
    size_t at;
    hone_error *err;
} cursor;

static const size_t scalar_bytes[] = {
    [HONE_GGUF_U8] = 1,  [HONE_GGUF_I8] = 1,  [HONE_GGUF_U16] = 2,  [HONE_GGUF_I16] = 2,    [HONE_GGUF_U32] = 4,
    [HONE_GGUF_I32] = 4, [HONE_GGUF_F32] = 4, [HONE_GGUF_BOOL] = 1, [HONE_GGUF_STRING] = 0, [HONE_GGUF_ARRAY] = 0,
    [HONE_GGUF_U64] = 8, [HONE_GGUF_I64] = 8, [HONE_GGUF_F64] = 8};

static hone_status truncated(cursor *c, const char *what)
{
    return hone_fail(c->err, HONE_BAD_FORMAT,
                     "%s: byte %zu: the file ends within %s (it has %zu bytes); fetch it again", c->map->path, c->at,
                     what, c->map->size_bytes);
}

static hone_status take(cursor *c, size_t bytes, const char *what, const unsigned char **out)
{
    if (bytes > c->map->size_bytes - c->at)
        return truncated(c, what);
    *out = c->map->data + c->at;
    c->at += bytes;
    return HONE_OK;
}

static hone_status take_u32(cursor *c, const char *what, uint32_t *out)
{
    const unsigned char *p = NULL;
    hone_status status = take(c, 4, what, &p);
    if (status == HONE_OK)
        memcpy(out, p, 4);
    return status;
}

static hone_status take_u64(cursor *c, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    hone_status status = take(c, 8, what, &p);
    if (status == HONE_OK)
        memcpy(out, p, 8);
    return status;
}

static hone_status take_string(cursor *c, const char *what, hone_gguf_string *out)
{
    uint64_t length;
    hone_status status = take_u64(c, what, &length);
    if (status != HONE_OK)
        return status;
    if (length > c->map->size_bytes - c->at)
        return truncated(c, what);
    out->data = (const char *)c->map->data + c->at;
    out->length = (size_t)length;
    c->at += (size_t)length;
    return HONE_OK;
}

static hone_status take_array(cursor *c, hone_gguf_value *v)
{
    uint32_t element_type;
    hone_status status = take_u32(c, "an array's type", &element_type);
    if (status == HONE_OK)
        status = take_u64(c, "an array's length", &v->n);
    if (status != HONE_OK)
        return status;
    if (element_type > HONE_GGUF_F64 || element_type == HONE_GGUF_ARRAY)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: byte %zu: array of type %u; expected a scalar or string type",
                         c->map->path, c->at, element_type);
    v->element_type = (hone_gguf_type)element_type;
    v->data = c->map->data + c->at;
    size_t start = c->at;
    const unsigned char *unused;
    if (element_type == HONE_GGUF_STRING) {
        for (uint64_t i = 0; i < v->n; i++) {
            hone_gguf_string s;
            status = take_string(c, "an array of strings", &s);
            if (status != HONE_OK)
                return status;
        }
    } else {
        size_t bytes;
        if (__builtin_mul_overflow((size_t)v->n, scalar_bytes[element_type], &bytes))
            return truncated(c, "an array");
        status = take(c, bytes, "an array", &unused);
    }
    v->size_bytes = c->at - start;
    return status;
}

static hone_status read_value(cursor *c, hone_gguf_value *v)
{
    uint32_t type;
    const unsigned char *unused;
    hone_status status = take_string(c, "a key", &v->key);
    if (status == HONE_OK && v->key.length > MAX_KEY_BYTES)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: byte %zu: a key of %zu bytes; at most %d are allowed",
                         c->map->path, c->at, v->key.length, MAX_KEY_BYTES);
    if (status == HONE_OK)
        status = take_u32(c, "a value's type", &type);
    if (status != HONE_OK)
        return status;
    if (type > HONE_GGUF_F64)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: byte %zu: unknown value type %u for key \"%.*s\"", c->map->path,
                         c->at, type, (int)v->key.length, v->key.data);
    v->type = (hone_gguf_type)type;
    v->n = 1;
    if (v->type == HONE_GGUF_ARRAY)
        return take_array(c, v);
    v->element_type = v->type;
    v->data = c->map->data + c->at;
    if (v->type == HONE_GGUF_STRING) {
        hone_gguf_string s;
        size_t start = c->at;
        status = take_string(c, "a string", &s);
        v->size_bytes = c->at - start;
        return status;
    }
    v->size_bytes = scalar_bytes[type];
    return take(c, v->size_bytes, "a value", &unused);
}

/* Reads a directory entry; `data` is left as the offset, to be placed when the start of the data is known. */
static hone_status read_tensor(cursor *c, hone_gguf_tensor *t, uint64_t *offset)
{
    uint32_t dtype;
    hone_status status = take_string(c, "a tensor's name", &t->name);
    if (status == HONE_OK)
        status = take_u32(c, "a tensor's shape", &t->n_dims);
    if (status != HONE_OK)
        return status;
    if (t->n_dims < 1 || t->n_dims > 4)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: byte %zu: tensor \"%.*s\" has %u dimensions; 1 to 4 are allowed",
                         c->map->path, c->at, (int)t->name.length, t->name.data, t->n_dims);
    uint64_t weights = 1;
    for (uint32_t d = 0; d < 4; d++) {
        uint64_t n = 1;
        if (d < t->n_dims && (status = take_u64(c, "a tensor's shape", &n)) != HONE_OK)
            return status;
        if (n == 0 || n > INT32_MAX || __builtin_mul_overflow(weights, n, &weights) || weights > INT64_MAX / 8)
            return hone_fail(c->err, HONE_BAD_FORMAT,
                             "%s: byte %zu: tensor \"%.*s\" has an absurd size (dimension %u is %llu)", c->map->path,
                             c->at, (int)t->name.length, t->name.data, d, (unsigned long long)n);
        t->ne[d] = (int64_t)n;
    }
    if ((status = take_u32(c, "a tensor's type", &dtype)) != HONE_OK ||
        (status = take_u64(c, "a tensor's offset", offset)) != HONE_OK)
        return status;
    const hone_dtype_info *info = hone_dtype_get_info(dtype > INT32_MAX ? -1 : (int)dtype);
    if (!info)
        return hone_fail(c->err, HONE_UNSUPPORTED, "%s: tensor \"%.*s\" has type number %u, which hone does not know",
                         c->map->path, (int)t->name.length, t->name.data, dtype);
    if (t->ne[0] % info->block_weights != 0)
        return hone_fail(c->err, HONE_BAD_FORMAT,
                         "%s: tensor \"%.*s\": %lld weights a row do not divide into %s blocks of %d", c->map->path,
                         (int)t->name.length, t->name.data, (long long)t->ne[0], info->name, info->block_weights);
    t->dtype = (hone_dtype)dtype;
    t->size_bytes = (size_t)(weights / (uint64_t)info->block_weights) * (size_t)info->block_bytes;
    return HONE_OK;
}

static hone_status read_directory(cursor *c, hone_gguf *file)
{
    const unsigned char *magic = NULL;
    uint64_t n_tensors, n_values;
    hone_status status = take(c, 4, "the magic", &magic);
    if (status != HONE_OK || memcmp(magic, "GGUF", 4) != 0)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: byte 0: not a GGUF file (it does not begin with \"GGUF\")",
                         c->map->path);
    if ((status = take_u32(c, "the version", &file->version)) != HONE_OK)
        return status;
    if (file->version != 2 && file->version != 3)
        return hone_fail(c->err, HONE_UNSUPPORTED, "%s: GGUF version %u; hone reads 2 and 3", c->map->path,
                         file->version);
    if ((status = take_u64(c, "the tensor count", &n_tensors)) != HONE_OK ||
        (status = take_u64(c, "the value count", &n_values)) != HONE_OK)
        return status;
    if (n_tensors > MAX_TENSORS || n_values > MAX_VALUES)
        return hone_fail(c->err, HONE_BAD_FORMAT,
                         "%s: byte 8: %llu tensors and %llu values; at most %d of each are allowed", c->map->path,
                         (unsigned long long)n_tensors, (unsigned long long)n_values, MAX_TENSORS);
    file->values = hone_arena_array(file->arena, (size_t)n_values, sizeof *file->values);
    file->tensors = hone_arena_array(file->arena, (size_t)n_tensors, sizeof *file->tensors);
    uint64_t *offsets = hone_arena_array(file->arena, (size_t)n_tensors, sizeof *offsets);
    if (!file->values || !file->tensors || !offsets)
        return hone_fail(c->err, HONE_NO_MEMORY, "%s: out of memory", c->map->path);
    for (; file->n_values < n_values; file->n_values++)
        if ((status = read_value(c, &file->values[file->n_values])) != HONE_OK)
            return status;
    for (; file->n_tensors < n_tensors; file->n_tensors++)
        if ((status = read_tensor(c, &file->tensors[file->n_tensors], &offsets[file->n_tensors])) != HONE_OK)
            return status;

    int64_t alignment = 32;
    hone_gguf_get_int(file, "general.alignment", &alignment);
    if (alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1)) != 0)
        return hone_fail(c->err, HONE_BAD_FORMAT, "%s: general.alignment is %lld; a power of two is needed",
                         c->map->path, (long long)alignment);
    size_t start = (c->at + (size_t)alignment - 1) / (size_t)alignment * (size_t)alignment;
    for (size_t i = 0; i < file->n_tensors; i++) {
        hone_gguf_tensor *t = &file->tensors[i];
        size_t size = c->map->size_bytes;
        if (start > size || offsets[i] > size - start || t->size_bytes > size - start - offsets[i])
            return hone_fail(c->err, HONE_BAD_FORMAT,
                             "%s: tensor \"%.*s\" (%zu bytes at offset %llu) lies outside the file of %zu bytes; it is "
                             "truncated or damaged: fetch it again",
                             c->map->path, (int)t->name.length, t->name.data, t->size_bytes,
                             (unsigned long long)offsets[i], size);
        if (offsets[i] % (uint64_t)alignment != 0)
            return hone_fail(c->err, HONE_BAD_FORMAT, "%s: tensor \"%.*s\": offset %llu is not a multiple of %lld",
                             c->map->path, (int)t->name.length, t->name.data, (unsigned long long)offsets[i],
                             (long long)alignment);
        t->data = c->map->data + start + offsets[i];
    }
    return HONE_OK;
}

hone_status hone_gguf_open(const char *path, hone_gguf *out, hone_error *err)
{
    memset(out, 0, sizeof *out);
    hone_status status = hone_map_open(path, &out->map, err);
    if (status != HONE_OK)
        return status;
    out->arena = hone_arena_create();
    if (!out->arena)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    cursor c = {&out->map, 0, err};
    if (status == HONE_OK)
        status = read_directory(&c, out);
    if (status != HONE_OK)
        hone_gguf_close(out);
    return status;
}

void hone_gguf_close(hone_gguf *file)
{
    hone_arena_free(file->arena);
    hone_map_close(&file->map);
    memset(file, 0, sizeof *file);
}

static bool equals(hone_gguf_string s, const char *text)
{
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

const hone_gguf_value *hone_gguf_find(const hone_gguf *file, const char *key)
{
    for (size_t i = 0; i < file->n_values; i++)
        if (equals(file->values[i].key, key))
            return &file->values[i];
    return NULL;
}

const hone_gguf_tensor *hone_gguf_find_tensor(const hone_gguf *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (equals(file->tensors[i].name, name))
            return &file->tensors[i];
    return NULL;
}

static bool is_integer(hone_gguf_type type)
{
    return type != HONE_GGUF_F32 && type != HONE_GGUF_F64 && type != HONE_GGUF_STRING && type != HONE_GGUF_ARRAY &&
           type != HONE_GGUF_BOOL;
}

int64_t hone_gguf_int_at(const hone_gguf_value *value, uint64_t i)
{
    if (i >= value->n)
        return 0;
    const unsigned char *p = value->data + i * scalar_bytes[value->element_type];
    switch (value->element_type) {
    case HONE_GGUF_U8:
    case HONE_GGUF_BOOL:
        return *p;
    case HONE_GGUF_I8:
        return (int8_t)*p;
    case HONE_GGUF_U16: {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case HONE_GGUF_I16: {
        int16_t v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case HONE_GGUF_U32: {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case HONE_GGUF_I32: {
        int32_t v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case HONE_GGUF_U64:
    case HONE_GGUF_I64: {
        int64_t v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    default:
        return (int64_t)hone_gguf_float_at(value, i);
    }
}

double hone_gguf_float_at(const hone_gguf_value *value, uint64_t i)
{
    if (i >= value->n)
        return 0;
    if (value->element_type == HONE_GGUF_F32) {
        float v;
        memcpy(&v, value->data + 4 * i, 4);
        return (double)v;
    }
    if (value->element_type == HONE_GGUF_F64) {
        double v;
        memcpy(&v, value->data + 8 * i, 8);
        return v;
    }
    return value->element_type == HONE_GGUF_STRING ? 0 : (double)hone_gguf_int_at(value, i);
}

bool hone_gguf_get_int(const hone_gguf *file, const char *key, int64_t *out)
{
    const hone_gguf_value *v = hone_gguf_find(file, key);
    if (!v || !is_integer(v->type))
        return false;
    *out = hone_gguf_int_at(v, 0);
    return true;
}

bool hone_gguf_get_float(const hone_gguf *file, const char *key, double *out)
{
    const hone_gguf_value *v = hone_gguf_find(file, key);
    if (!v || v->type == HONE_GGUF_STRING || v->type == HONE_GGUF_ARRAY || v->type == HONE_GGUF_BOOL)
        return false;
    *out = hone_gguf_float_at(v, 0);
    return true;
}

bool hone_gguf_get_bool(const hone_gguf *file, const char *key, bool *out)
{
    const hone_gguf_value *v = hone_gguf_find(file, key);
    if (!v || v->type != HONE_GGUF_BOOL)
        return false;
    *out = *v->data != 0;
    return true;
}

bool hone_gguf_get_string(const hone_gguf *file, const char *key, hone_gguf_string *out)
{
    const hone_gguf_value *v = hone_gguf_find(file, key);
    if (!v || v->type != HONE_GGUF_STRING)
        return false;
    uint64_t length;
    memcpy(&length, v->data, 8);
    *out = (hone_gguf_string){(const char *)v->data + 8, (size_t)length};
    return true;
}

bool hone_gguf_read_strings(const hone_gguf_value *value, hone_gguf_string *out)
{
    if (value->type != HONE_GGUF_ARRAY || value->element_type != HONE_GGUF_STRING)
        return false;
    const unsigned char *p = value->data;
    for (uint64_t i = 0; i < value->n; i++) {
        uint64_t length;
        memcpy(&length, p, 8); /* checked when the file was opened */
        out[i] = (hone_gguf_string){(const char *)p + 8, (size_t)length};
        p += 8 + length;
    }
    return true;
}
