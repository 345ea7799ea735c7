/* gguf_write.c - putting a GGUF file together and writing it; the layout is in gguf.c. */
#include "format/gguf_write.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 32, DEFAULT_ALIGNMENT = 32, PIECE_BYTES = 4 << 20, VERSION = 3 };

static hone_status no_memory(const hone_gguf *to, hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", to->map.path);
}

hone_status hone_gguf_create(const char *name, hone_gguf *out, hone_error *err)
{
    *out = (hone_gguf){.version = VERSION, .arena = hone_arena_create(), .map.path = strdup(name)};
    if (out->arena && out->map.path)
        return HONE_OK;
    hone_gguf_close(out);
    return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", name);
}

/* `items` with room for one more than n; the old array stays in the arena. */
static void *with_room(hone_arena *arena, void *items, size_t n, size_t size, size_t *room)
{
    if (n < *room)
        return items;
    size_t wider = *room ? 2 * *room : FIRST_ROOM;
    void *grown = hone_arena_array(arena, wider, size);
    if (!grown)
        return NULL;
    if (n > 0)
        memcpy(grown, items, n * size);
    *room = wider;
    return grown;
}

static bool same_key(hone_gguf_string a, hone_gguf_string b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static hone_status put_value(hone_gguf *to, const hone_gguf_value *value, hone_error *err)
{
    for (size_t i = 0; i < to->n_values; i++)
        if (same_key(to->values[i].key, value->key)) {
            to->values[i] = *value;
            return HONE_OK;
        }
    hone_gguf_value *values = with_room(to->arena, to->values, to->n_values, sizeof *values, &to->room_values);
    if (!values)
        return no_memory(to, err);
    to->values = values;
    to->values[to->n_values++] = *value;
    return HONE_OK;
}

hone_status hone_gguf_copy_values(hone_gguf *to, const hone_gguf *from, hone_error *err)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; i < from->n_values && status == HONE_OK; i++)
        status = put_value(to, &from->values[i], err);
    return status;
}

void hone_gguf_remove(hone_gguf *to, const char *key)
{
    hone_gguf_string wanted = {key, strlen(key)};
    for (size_t i = 0; i < to->n_values; i++)
        if (same_key(to->values[i].key, wanted)) {
            memmove(&to->values[i], &to->values[i + 1], (to->n_values - i - 1) * sizeof *to->values);
            to->n_values--;
            return;
        }
}

/* A value whose bytes in the file are `data`. */
static hone_status set_value(hone_gguf *to, const char *key, hone_gguf_type type, hone_gguf_type element_type,
                             uint64_t n, const void *data, size_t bytes, hone_error *err)
{
    unsigned char *copy = hone_arena_alloc(to->arena, bytes + 1);
    hone_gguf_value value = {.key = {hone_arena_strdup(to->arena, key), strlen(key)},
                             .type = type,
                             .element_type = element_type,
                             .n = n,
                             .data = copy,
                             .size_bytes = bytes};
    if (!copy || !value.key.data)
        return no_memory(to, err);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return put_value(to, &value, err);
}

hone_status hone_gguf_set_string(hone_gguf *to, const char *key, const char *text, hone_error *err)
{
    hone_buffer bytes = {0};
    uint64_t length = strlen(text);
    hone_buffer_append(&bytes, &length, sizeof length);
    hone_buffer_append(&bytes, text, (size_t)length);
    hone_status status = bytes.failed
                             ? no_memory(to, err)
                             : set_value(to, key, HONE_GGUF_STRING, HONE_GGUF_STRING, 1, bytes.data, bytes.length, err);
    hone_buffer_clear(&bytes);
    return status;
}

hone_status hone_gguf_set_integer(hone_gguf *to, const char *key, hone_gguf_type type, int64_t value, hone_error *err)
{
    static const size_t bytes[] = {
        [HONE_GGUF_U8] = 1,  [HONE_GGUF_I8] = 1,   [HONE_GGUF_U16] = 2, [HONE_GGUF_I16] = 2, [HONE_GGUF_U32] = 4,
        [HONE_GGUF_I32] = 4, [HONE_GGUF_BOOL] = 1, [HONE_GGUF_U64] = 8, [HONE_GGUF_I64] = 8};
    return set_value(to, key, type, type, 1, &value, bytes[type], err); /* little-endian: the low bytes come first */
}

hone_status hone_gguf_set_float(hone_gguf *to, const char *key, float value, hone_error *err)
{
    return set_value(to, key, HONE_GGUF_F32, HONE_GGUF_F32, 1, &value, sizeof value, err);
}

hone_status hone_gguf_set_strings(hone_gguf *to, const char *key, const hone_gguf_string *items, size_t n,
                                  hone_error *err)
{
    hone_buffer bytes = {0};
    for (size_t i = 0; i < n; i++) {
        uint64_t length = items[i].length;
        hone_buffer_append(&bytes, &length, sizeof length);
        hone_buffer_append(&bytes, items[i].data, items[i].length);
    }
    hone_status status = bytes.failed
                             ? no_memory(to, err)
                             : set_value(to, key, HONE_GGUF_ARRAY, HONE_GGUF_STRING, n, bytes.data, bytes.length, err);
    hone_buffer_clear(&bytes);
    return status;
}

hone_status hone_gguf_set_i32s(hone_gguf *to, const char *key, const int32_t *items, size_t n, hone_error *err)
{
    return set_value(to, key, HONE_GGUF_ARRAY, HONE_GGUF_I32, n, items, n * sizeof *items, err);
}

hone_status hone_gguf_add_tensor(hone_gguf *to, const char *name, hone_dtype dtype, uint32_t n_dims, const int64_t *ne,
                                 const void *data, hone_error *err)
{
    const hone_dtype_info *info = hone_dtype_get_info(dtype);
    hone_gguf_tensor t = {.name = {hone_arena_strdup(to->arena, name), strlen(name)},
                          .dtype = dtype,
                          .n_dims = n_dims,
                          .ne = {1, 1, 1, 1},
                          .data = data};
    hone_gguf_tensor *tensors = with_room(to->arena, to->tensors, to->n_tensors, sizeof *tensors, &to->room_tensors);
    if (!tensors || !t.name.data)
        return no_memory(to, err);
    int64_t n = 1;
    for (uint32_t d = 0; d < n_dims; d++)
        n *= t.ne[d] = ne[d];
    if (ne[0] % info->block_weights != 0)
        return hone_fail(err, HONE_UNSUPPORTED,
                         "%s: \"%s\" has rows of %lld weights, which do not divide into %s blocks of %d; choose f16, "
                         "bf16 or f32",
                         to->map.path, name, (long long)ne[0], info->name, info->block_weights);
    t.size_bytes = (size_t)(n / info->block_weights) * (size_t)info->block_bytes;
    to->tensors = tensors;
    to->tensors[to->n_tensors++] = t;
    return HONE_OK;
}

static void append_string(hone_buffer *b, hone_gguf_string s)
{
    uint64_t length = s.length;
    hone_buffer_append(b, &length, sizeof length);
    hone_buffer_append(b, s.data, s.length);
}

static size_t padding(size_t length, size_t alignment)
{
    return (alignment - length % alignment) % alignment;
}

static void make_header(const hone_gguf *file, size_t alignment, hone_buffer *b)
{
    uint32_t version = VERSION;
    uint64_t n_tensors = file->n_tensors, n_values = file->n_values, offset = 0;
    hone_buffer_append(b, "GGUF", 4);
    hone_buffer_append(b, &version, sizeof version);
    hone_buffer_append(b, &n_tensors, sizeof n_tensors);
    hone_buffer_append(b, &n_values, sizeof n_values);
    for (size_t i = 0; i < file->n_values; i++) {
        const hone_gguf_value *v = &file->values[i];
        uint32_t type = v->type, element_type = v->element_type;
        append_string(b, v->key);
        hone_buffer_append(b, &type, sizeof type);
        if (v->type == HONE_GGUF_ARRAY) {
            hone_buffer_append(b, &element_type, sizeof element_type);
            hone_buffer_append(b, &v->n, sizeof v->n);
        }
        hone_buffer_append(b, v->data, v->size_bytes);
    }
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        uint32_t dtype = t->dtype;
        append_string(b, t->name);
        hone_buffer_append(b, &t->n_dims, sizeof t->n_dims);
        for (uint32_t d = 0; d < t->n_dims; d++) {
            uint64_t ne = (uint64_t)t->ne[d];
            hone_buffer_append(b, &ne, sizeof ne);
        }
        hone_buffer_append(b, &dtype, sizeof dtype);
        hone_buffer_append(b, &offset, sizeof offset);
        offset += t->size_bytes + padding(t->size_bytes, alignment);
    }
    for (size_t left = padding(b->length, alignment); left > 0; left--)
        hone_buffer_putc(b, 0);
}

/* The tensor's bytes through `piece`, a memory of at least a row. */
static hone_status write_rows(hone_draft *draft, const hone_gguf_tensor *t, hone_gguf_rows rows, void *context,
                              unsigned char *piece, hone_error *err)
{
    int64_t n_rows = t->ne[1] * t->ne[2] * t->ne[3];
    size_t row_bytes = t->size_bytes / (size_t)n_rows;
    int64_t at_once = (int64_t)(PIECE_BYTES / row_bytes) > 1 ? (int64_t)(PIECE_BYTES / row_bytes) : 1;
    hone_status status = HONE_OK;
    for (int64_t first = 0; first < n_rows && status == HONE_OK; first += at_once) {
        int64_t n = n_rows - first < at_once ? n_rows - first : at_once;
        status = rows(context, t, first, n, piece, err);
        if (status == HONE_OK)
            status = hone_draft_write(draft, piece, (size_t)n * row_bytes, err);
    }
    return status;
}

static size_t longest_row_bytes(const hone_gguf *file)
{
    size_t longest = PIECE_BYTES;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        size_t row = t->size_bytes / (size_t)(t->ne[1] * t->ne[2] * t->ne[3]);
        longest = row > longest ? row : longest;
    }
    return longest;
}

hone_status hone_gguf_write(const hone_gguf *file, const char *path, hone_gguf_rows rows, void *context,
                            hone_progress *progress, hone_error *err)
{
    int64_t alignment = DEFAULT_ALIGNMENT;
    hone_gguf_get_int(file, "general.alignment", &alignment);
    unsigned char *zeros = calloc(1, (size_t)alignment), *piece = malloc(longest_row_bytes(file));
    hone_buffer header = {0};
    hone_draft draft = {.descriptor = -1};
    hone_status status = HONE_OK;
    make_header(file, (size_t)alignment, &header);
    if (!zeros || !piece || header.failed)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (status == HONE_OK)
        status = hone_draft_begin(path, &draft, err);
    if (status == HONE_OK)
        status = hone_draft_write(&draft, header.data, header.length, err);
    hone_progress_begin(progress, "writing", "tensors", (int64_t)file->n_tensors);
    for (size_t i = 0; i < file->n_tensors && status == HONE_OK; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        status = t->data ? hone_draft_write(&draft, t->data, t->size_bytes, err)
                         : write_rows(&draft, t, rows, context, piece, err);
        if (status == HONE_OK)
            status = hone_draft_write(&draft, zeros, padding(t->size_bytes, (size_t)alignment), err);
        hone_progress_update(progress, (int64_t)i + 1, NULL);
    }
    hone_progress_end(progress);
    if (status == HONE_OK)
        status = hone_draft_keep(&draft, err);
    else
        hone_draft_drop(&draft);
    hone_buffer_clear(&header);
    free(zeros);
    free(piece);
    return status;
}
