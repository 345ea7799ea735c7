/* safetensors.c - reading and writing safetensors files. */
#include "format/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER_BYTES = 100 << 20, PIECE_BYTES = 4 << 20 };

static const struct {
    const char *name;
    hone_dtype dtype;
    size_t bytes;
} dtypes[] = {{"F32", HONE_F32, 4}, {"F16", HONE_F16, 2}, {"BF16", HONE_BF16, 2}};

/* Types that hold whole numbers: position tables and masks that some models store beside their weights. */
static bool is_whole_number(const json_t *entry)
{
    static const char *const types[] = {"I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL"};
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    for (size_t i = 0; dtype && i < sizeof types / sizeof *types; i++)
        if (strcmp(dtype, types[i]) == 0)
            return true;
    return false;
}

static hone_status read_tensor(hone_safetensors *file, const char *name, json_t *entry, size_t start,
                               hone_safetensor *t, hone_error *err)
{
    const char *path = file->map.path, *dtype = json_string_value(json_object_get(entry, "dtype"));
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    size_t element_bytes = 0;
    if (!dtype || !json_is_array(shape) || json_array_size(offsets) != 2)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\": dtype, shape or data_offsets is missing", path,
                         name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].dtype;
            element_bytes = dtypes[i].bytes;
        }
    if (element_bytes == 0)
        return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%s\" is %s; hone reads F32, F16 and BF16", path, name,
                         dtype);
    if (json_array_size(shape) > 4)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\" has %zu dimensions; at most 4", path, name,
                         json_array_size(shape));
    size_t bytes = element_bytes;
    t->n_dims = (int)json_array_size(shape);
    for (int d = 0; d < 4; d++) {
        json_int_t n = d < t->n_dims ? json_integer_value(json_array_get(shape, (size_t)d)) : 1;
        if (n < 1 || n > INT32_MAX || __builtin_mul_overflow(bytes, (size_t)n, &bytes))
            return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\" has an absurd shape", path, name);
        t->shape[d] = (int64_t)n;
    }
    json_int_t from = json_integer_value(json_array_get(offsets, 0)),
               to = json_integer_value(json_array_get(offsets, 1));
    size_t room = file->map.size_bytes - start;
    if (from < 0 || to < from || (size_t)to > room || (size_t)(to - from) != bytes)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: tensor \"%s\": offsets %lld to %lld do not hold %zu bytes within a file of %zu", path,
                         name, (long long)from, (long long)to, bytes, file->map.size_bytes);
    t->data = file->map.data + start + (size_t)from;
    t->size_bytes = bytes;
    t->name = hone_arena_strdup(file->arena, name);
    return t->name ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
}

static int by_place(const void *a, const void *b)
{
    const unsigned char *x = (*(const hone_safetensor *const *)a)->data,
                        *y = (*(const hone_safetensor *const *)b)->data;
    return (x > y) - (x < y);
}

/* Two tensors on the same bytes are no file that anyone wrote on purpose (the specification forbids it). */
static hone_status refuse_overlaps(const hone_safetensors *file, hone_error *err)
{
    const hone_safetensor **sorted = calloc(file->n_tensors + 1, sizeof *sorted);
    hone_status status = HONE_OK;
    if (!sorted)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", file->map.path);
    for (size_t i = 0; i < file->n_tensors; i++)
        sorted[i] = &file->tensors[i];
    qsort(sorted, file->n_tensors, sizeof *sorted, by_place);
    for (size_t i = 1; i < file->n_tensors && status == HONE_OK; i++)
        if (sorted[i]->data < sorted[i - 1]->data + sorted[i - 1]->size_bytes)
            status = hone_fail(err, HONE_BAD_FORMAT, "%s: tensors \"%s\" and \"%s\" overlap", file->map.path,
                               sorted[i - 1]->name, sorted[i]->name);
    free(sorted);
    return status;
}

static hone_status open_file(const char *path, bool only_weights, hone_safetensors *out, hone_error *err)
{
    memset(out, 0, sizeof *out);
    hone_status status = hone_map_open(path, &out->map, err);
    if (status != HONE_OK)
        return status;
    json_t *header = NULL;
    uint64_t header_bytes = 0;
    out->arena = hone_arena_create();
    if (!out->arena) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        goto done;
    }
    if (out->map.size_bytes >= 8)
        memcpy(&header_bytes, out->map.data, 8);
    if (out->map.size_bytes < 8 || header_bytes > MAX_HEADER_BYTES || header_bytes > out->map.size_bytes - 8) {
        status = hone_fail(err, HONE_BAD_FORMAT,
                           "%s: byte 0: a header of %llu bytes in a file of %zu; it is truncated or not safetensors",
                           path, (unsigned long long)header_bytes, out->map.size_bytes);
        goto done;
    }
    json_error_t where;
    header = json_loadb((const char *)out->map.data + 8, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(header)) {
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: byte %d of the header: %s", path, header ? 0 : where.position,
                           header ? "expected an object" : where.text);
        goto done;
    }
    out->tensors = hone_arena_array(out->arena, json_object_size(header), sizeof *out->tensors);
    if (!out->tensors) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        goto done;
    }
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0 || (only_weights && is_whole_number(entry)))
            continue;
        status = read_tensor(out, name, entry, 8 + (size_t)header_bytes, &out->tensors[out->n_tensors], err);
        if (status != HONE_OK)
            goto done;
        out->n_tensors++;
    }
    status = refuse_overlaps(out, err);
done:
    json_decref(header);
    if (status != HONE_OK)
        hone_safetensors_close(out);
    return status;
}

hone_status hone_safetensors_open(const char *path, hone_safetensors *out, hone_error *err)
{
    return open_file(path, false, out, err);
}

hone_status hone_safetensors_open_weights(const char *path, hone_safetensors *out, hone_error *err)
{
    return open_file(path, true, out, err);
}

void hone_safetensors_close(hone_safetensors *file)
{
    hone_arena_free(file->arena);
    hone_map_close(&file->map);
    memset(file, 0, sizeof *file);
}

const hone_safetensor *hone_safetensors_find(const hone_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

float hone_safetensor_at(const hone_safetensor *t, int64_t i)
{
    if (t->dtype == HONE_F32) {
        float v;
        memcpy(&v, t->data + 4 * i, 4);
        return v;
    }
    uint16_t h;
    memcpy(&h, t->data + 2 * i, 2);
    return t->dtype == HONE_F16 ? hone_f16_to_f32(h) : hone_bf16_to_f32(h);
}

static size_t out_row_bytes(const hone_safetensor_out *t)
{
    size_t element = t->dtype == HONE_F32 ? sizeof(float) : sizeof(uint16_t);
    return (size_t)(t->columns ? t->columns : t->rows) * element;
}

static int64_t out_rows(const hone_safetensor_out *t)
{
    return t->columns ? t->rows : 1;
}

static json_t *out_shape(const hone_safetensor_out *t)
{
    return t->columns ? json_pack("[I,I]", (json_int_t)t->rows, (json_int_t)t->columns)
                      : json_pack("[I]", (json_int_t)t->rows);
}

static const char *out_dtype(const hone_safetensor_out *t)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (dtypes[i].dtype == t->dtype)
            return dtypes[i].name;
    return NULL;
}

/* Length and directory, padded with spaces so that the data begin on a multiple of 8. */
static hone_status make_header(const char *path, const hone_safetensor_out *tensors, size_t n, const json_t *metadata,
                               hone_buffer *out, hone_error *err)
{
    json_t *header = json_object();
    size_t offset = 0;
    if (metadata)
        json_object_set(header, "__metadata__", (json_t *)(uintptr_t)metadata);
    for (size_t i = 0; i < n; i++) {
        const hone_safetensor_out *t = &tensors[i];
        size_t bytes = out_row_bytes(t) * (size_t)out_rows(t);
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I,I]}", "dtype", out_dtype(t), "shape", out_shape(t),
                                      "data_offsets", (json_int_t)offset, (json_int_t)(offset + bytes)));
        offset += bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    if (text) {
        size_t length = strlen(text), padded = (length + 7) / 8 * 8;
        uint64_t header_bytes = padded;
        hone_buffer_append(out, &header_bytes, 8);
        hone_buffer_append(out, text, length);
        for (size_t i = length; i < padded; i++)
            hone_buffer_putc(out, ' ');
    }
    hone_status status = text && !out->failed ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    free(text);
    json_decref(header);
    return status;
}

/* Rows through `piece`, as many at once as it holds. */
static hone_status write_tensor(hone_draft *draft, const hone_safetensor_out *t, size_t index, hone_safetensors_row row,
                                void *context, unsigned char *piece, hone_error *err)
{
    size_t row_bytes = out_row_bytes(t), used = 0;
    if (t->data)
        return hone_draft_write(draft, t->data, row_bytes * (size_t)out_rows(t), err);
    hone_status status = HONE_OK;
    for (int64_t r = 0; r < out_rows(t) && status == HONE_OK; r++) {
        status = row(context, index, r, piece + used, err);
        used += row_bytes;
        if (status == HONE_OK && (used + row_bytes > PIECE_BYTES || r + 1 == out_rows(t))) {
            status = hone_draft_write(draft, piece, used, err);
            used = 0;
        }
    }
    return status;
}

hone_status hone_safetensors_write_rows(const char *path, const hone_safetensor_out *tensors, size_t n,
                                        const json_t *metadata, hone_safetensors_row row, void *context,
                                        hone_progress *progress, hone_error *err)
{
    hone_buffer header = {0};
    hone_draft draft = {.descriptor = -1};
    size_t piece_bytes = PIECE_BYTES;
    for (size_t i = 0; i < n; i++)
        piece_bytes = out_row_bytes(&tensors[i]) > piece_bytes ? out_row_bytes(&tensors[i]) : piece_bytes;
    unsigned char *piece = row ? malloc(piece_bytes) : NULL;
    hone_status status = make_header(path, tensors, n, metadata, &header, err);
    if (status == HONE_OK && row && !piece)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (status == HONE_OK)
        status = hone_draft_begin(path, &draft, err);
    if (status != HONE_OK)
        goto done;
    status = hone_draft_write(&draft, header.data, header.length, err);
    hone_progress_begin(progress, "writing", "tensors", (int64_t)n);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = write_tensor(&draft, &tensors[i], i, row, context, piece, err);
        hone_progress_update(progress, (int64_t)i + 1, NULL);
    }
    hone_progress_end(progress);
    if (status == HONE_OK)
        status = hone_draft_keep(&draft, err);
    else
        hone_draft_drop(&draft);
done:
    hone_buffer_clear(&header);
    free(piece);
    return status;
}

hone_status hone_safetensors_write(const char *path, const hone_safetensor_out *tensors, size_t n,
                                   const char *metadata_format, hone_error *err)
{
    json_t *metadata = metadata_format ? json_pack("{s:s}", "format", metadata_format) : NULL;
    hone_status status = hone_safetensors_write_rows(path, tensors, n, metadata, NULL, NULL, NULL, err);
    json_decref(metadata);
    return status;
}
