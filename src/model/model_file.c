/* model_file.c - a Hugging Face folder of the llama architecture as the structure of a GGUF file. */
#include "model/model_file.h"

#include "base/hash.h"
#include "format/gguf_write.h"
#include "tensor/convert.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_JSON_BYTES = 16 << 20, MAX_SHARDS = 256, MAX_LAYERS = 1024 };

#define CONVERT "convert the folder with llama.cpp's convert_hf_to_gguf.py and open the GGUF file"

/* ---- config.json ---- */

static hone_status read_json(const char *path, json_t **out, hone_error *err)
{
    hone_buffer text = {0};
    json_error_t where;
    *out = NULL;
    hone_status status = hone_file_read(path, MAX_JSON_BYTES, &text, err);
    if (status == HONE_OK && !(*out = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &where)))
        status = hone_fail(err, HONE_BAD_FORMAT, "%s:%d: %s", path, where.line, where.text);
    if (status == HONE_OK && !json_is_object(*out))
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: expected an object", path);
    hone_buffer_clear(&text);
    return status;
}

typedef struct sizes {
    int64_t layers, embd, ff, heads, kv_heads, head_dim, context, vocab;
} sizes;

static hone_status read_size(const json_t *config, const char *path, const char *key, int64_t fallback, int64_t *out,
                             hone_error *err)
{
    const json_t *v = json_object_get(config, key);
    if ((!v || json_is_null(v)) && fallback > 0) {
        *out = fallback;
        return HONE_OK;
    }
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 1 && *out <= INT32_MAX
               ? HONE_OK
               : hone_fail(err, HONE_BAD_FORMAT, "%s: \"%s\" must be a whole number above 0", path, key);
}

static hone_status refuse(const char *path, const char *key, const char *value, hone_error *err)
{
    return hone_fail(err, HONE_UNSUPPORTED,
                     "%s: \"%s\" is %.60s; of Hugging Face folders hone reads llama models with silu, without biases "
                     "and without rotary scaling",
                     path, key, value);
}

static hone_status check_kind(const json_t *config, const char *path, hone_error *err)
{
    static const char *const absent[] = {"attention_bias", "mlp_bias"};
    const char *type = json_string_value(json_object_get(config, "model_type")),
               *act = json_string_value(json_object_get(config, "hidden_act"));
    if (!type || strcmp(type, "llama") != 0)
        return refuse(path, "model_type", type ? type : "missing", err);
    if (act && strcmp(act, "silu") != 0)
        return refuse(path, "hidden_act", act, err);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (json_is_true(json_object_get(config, absent[i])))
            return refuse(path, absent[i], "true", err);
    const json_t *scaling = json_object_get(config, "rope_scaling"), *rope = json_object_get(config, "rope_parameters");
    const char *rope_type = json_string_value(json_object_get(rope, "rope_type"));
    if (scaling && !json_is_null(scaling))
        return refuse(path, "rope_scaling", "set", err);
    if (rope_type && strcmp(rope_type, "default") != 0)
        return refuse(path, "rope_parameters.rope_type", rope_type, err);
    return json_object_get(config, "quantization_config") ? refuse(path, "quantization_config", "set", err) : HONE_OK;
}

static double number(const json_t *object, const char *key, double fallback)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

static hone_status read_config(const char *path, const json_t *config, sizes *s, hone_gguf *to, hone_error *err)
{
    hone_status status = check_kind(config, path, err);
    if (status == HONE_OK && (status = read_size(config, path, "num_hidden_layers", 0, &s->layers, err)) == HONE_OK &&
        (status = read_size(config, path, "hidden_size", 0, &s->embd, err)) == HONE_OK &&
        (status = read_size(config, path, "intermediate_size", 0, &s->ff, err)) == HONE_OK &&
        (status = read_size(config, path, "num_attention_heads", 0, &s->heads, err)) == HONE_OK &&
        (status = read_size(config, path, "num_key_value_heads", s->heads, &s->kv_heads, err)) == HONE_OK &&
        (status = read_size(config, path, "head_dim", s->embd / s->heads > 0 ? s->embd / s->heads : 1, &s->head_dim,
                            err)) == HONE_OK &&
        (status = read_size(config, path, "vocab_size", 0, &s->vocab, err)) == HONE_OK)
        status = read_size(config, path, "max_position_embeddings", 2048, &s->context, err);
    if (status != HONE_OK)
        return status;
    if (s->layers > MAX_LAYERS || s->head_dim % 2 != 0 || s->heads > INT32_MAX / s->head_dim)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: %lld layers, %lld heads of %lld make no sense", path,
                         (long long)s->layers, (long long)s->heads, (long long)s->head_dim);
    const struct {
        const char *key;
        int64_t value;
    } keys[] = {{"llama.block_count", s->layers},
                {"llama.context_length", s->context},
                {"llama.embedding_length", s->embd},
                {"llama.feed_forward_length", s->ff},
                {"llama.attention.head_count", s->heads},
                {"llama.attention.head_count_kv", s->kv_heads},
                {"llama.attention.key_length", s->head_dim},
                {"llama.attention.value_length", s->head_dim},
                {"llama.rope.dimension_count", s->head_dim},
                {"llama.vocab_size", s->vocab}};
    status = hone_gguf_set_string(to, "general.architecture", "llama", err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == HONE_OK; i++)
        status = hone_gguf_set_integer(to, keys[i].key, HONE_GGUF_U32, keys[i].value, err);
    const json_t *rope = json_object_get(config, "rope_parameters");
    if (status == HONE_OK)
        status = hone_gguf_set_float(to, "llama.rope.freq_base",
                                     (float)number(rope, "rope_theta", number(config, "rope_theta", 10000)), err);
    if (status == HONE_OK)
        status = hone_gguf_set_float(to, "llama.attention.layer_norm_rms_epsilon",
                                     (float)number(config, "rms_norm_eps", 1e-6), err);
    return status;
}

/* ---- tensors ---- */

static const struct {
    const char *theirs, *ours;
    bool rotary; /* rows of rotary halves, to be made adjacent pairs */
} layer_tensors[] = {{"input_layernorm", "attn_norm", false},    {"self_attn.q_proj", "attn_q", true},
                     {"self_attn.k_proj", "attn_k", true},       {"self_attn.v_proj", "attn_v", false},
                     {"self_attn.o_proj", "attn_output", false}, {"post_attention_layernorm", "ffn_norm", false},
                     {"mlp.gate_proj", "ffn_gate", false},       {"mlp.up_proj", "ffn_up", false},
                     {"mlp.down_proj", "ffn_down", false}},
  other_tensors[] = {{"model.embed_tokens.weight", "token_embd.weight", false},
                     {"model.norm.weight", "output_norm.weight", false},
                     {"lm_head.weight", "output.weight", false}};

/* GGUF's name for a tensor; false when it has no place in a llama model. *rotary: its rows are to be reordered. */
static bool our_name(const char *theirs, char out[96], bool *rotary)
{
    *rotary = false;
    for (size_t i = 0; i < sizeof other_tensors / sizeof *other_tensors; i++)
        if (strcmp(theirs, other_tensors[i].theirs) == 0) {
            snprintf(out, 96, "%s", other_tensors[i].ours);
            return true;
        }
    int layer = 0, length = 0;
    if (sscanf(theirs, "model.layers.%d.%n", &layer, &length) != 1 || length == 0 || layer < 0)
        return false;
    for (size_t i = 0; i < sizeof layer_tensors / sizeof *layer_tensors; i++) {
        size_t n = strlen(layer_tensors[i].theirs);
        if (strncmp(theirs + length, layer_tensors[i].theirs, n) == 0 && strcmp(theirs + length + n, ".weight") == 0) {
            snprintf(out, 96, "blk.%d.%s.weight", layer, layer_tensors[i].ours);
            *rotary = layer_tensors[i].rotary;
            return true;
        }
    }
    return false;
}

bool hone_folder_tensor_name(const char *ours, char out[96], bool *rotary)
{
    *rotary = false;
    for (size_t i = 0; i < sizeof other_tensors / sizeof *other_tensors; i++)
        if (strcmp(ours, other_tensors[i].ours) == 0) {
            snprintf(out, 96, "%s", other_tensors[i].theirs);
            return true;
        }
    int layer = 0, length = 0;
    if (sscanf(ours, "blk.%d.%n", &layer, &length) != 1 || length == 0 || layer < 0)
        return false;
    for (size_t i = 0; i < sizeof layer_tensors / sizeof *layer_tensors; i++) {
        size_t n = strlen(layer_tensors[i].ours);
        if (strncmp(ours + length, layer_tensors[i].ours, n) == 0 && strcmp(ours + length + n, ".weight") == 0) {
            snprintf(out, 96, "model.layers.%d.%s.weight", layer, layer_tensors[i].theirs);
            *rotary = layer_tensors[i].rotary;
            return true;
        }
    }
    return false;
}

/* Tensors that carry no weights of the model. */
static bool is_ignored(const char *name)
{
    const char *end = "rotary_emb.inv_freq";
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Rows (head, half, i) -> (head, i, half). */
static const void *adjacent_pairs(hone_arena *arena, const hone_safetensor *t, int64_t head_dim)
{
    size_t row_bytes = t->size_bytes / (size_t)t->shape[0];
    unsigned char *rows = hone_arena_alloc(arena, t->size_bytes);
    for (int64_t row = 0; rows && row < t->shape[0]; row++) {
        int64_t i = row % head_dim, half = head_dim / 2;
        memcpy(rows + (size_t)(row - i + i % half * 2 + i / half) * row_bytes, t->data + (size_t)row * row_bytes,
               row_bytes);
    }
    return rows;
}

static const void *as_floats(hone_arena *arena, const hone_safetensor *t)
{
    float *values = hone_arena_array(arena, (size_t)t->shape[0], sizeof *values);
    if (values)
        hone_dtype_decode(t->dtype, t->data, t->shape[0], values);
    return values;
}

static hone_status add_tensor(hone_gguf *to, const char *path, const hone_safetensor *t, int64_t head_dim, bool tied,
                              hone_error *err)
{
    char name[96];
    bool rotary;
    if (is_ignored(t->name) || (tied && strcmp(t->name, "lm_head.weight") == 0))
        return HONE_OK;
    if (!our_name(t->name, name, &rotary) || t->n_dims < 1 || t->n_dims > 2)
        return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%.100s\" has no place in hone's llama architecture", path,
                         t->name);
    const void *data = t->data;
    hone_dtype dtype = t->dtype;
    if (t->n_dims == 1) { /* norms are float32 in GGUF files */
        data = as_floats(to->arena, t);
        dtype = HONE_F32;
    } else if (rotary) {
        if (t->shape[0] % head_dim != 0)
            return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\" has %lld rows, no multiple of a head's %lld",
                             path, t->name, (long long)t->shape[0], (long long)head_dim);
        data = adjacent_pairs(to->arena, t, head_dim);
    }
    if (!data)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    const int64_t ne[2] = {t->shape[t->n_dims - 1], t->shape[0]};
    return hone_gguf_add_tensor(to, name, dtype, (uint32_t)t->n_dims, ne, data, err);
}

/* ---- files of the folder ---- */

typedef struct file_list {
    char *names[MAX_SHARDS];
    size_t n;
} file_list;

static void clear_list(file_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->names[i]);
    list->n = 0;
}

static hone_status add_name(file_list *list, const char *name, const char *path, hone_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->names[i], name) == 0)
            return HONE_OK;
    if (!*name || strchr(name, '/') || list->n == MAX_SHARDS)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: \"weight_map\" names \"%.60s\": expected up to %d files beside it",
                         path, name, MAX_SHARDS);
    list->names[list->n] = strdup(name);
    return list->names[list->n++] ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The safetensors of the folder: one, or the shards of an index. */
static hone_status list_weights(const char *folder, file_list *list, hone_error *err)
{
    char *single = hone_path_join(folder, "model.safetensors"),
         *index = hone_path_join(folder, "model.safetensors.index.json");
    json_t *root = NULL, *file;
    const char *tensor;
    hone_status status = HONE_OK;
    if (!single || !index)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    else if (hone_file_exists(single))
        status = add_name(list, "model.safetensors", folder, err);
    else if (!hone_file_exists(index))
        status = hone_fail(err, HONE_NOT_FOUND,
                           "%s: neither model.safetensors nor model.safetensors.index.json is there; a folder of .bin "
                           "files must be saved again with safe_serialization=True",
                           folder);
    else if ((status = read_json(index, &root, err)) == HONE_OK) {
        json_object_foreach(json_object_get(root, "weight_map"), tensor, file)
        {
            status = add_name(list, json_is_string(file) ? json_string_value(file) : "", index, err);
            if (status != HONE_OK)
                break;
        }
        if (status == HONE_OK && list->n == 0)
            status = hone_fail(err, HONE_BAD_FORMAT, "%s: \"weight_map\" is missing or empty", index);
        if (status == HONE_OK)
            qsort(list->names, list->n, sizeof *list->names, by_name);
    }
    json_decref(root);
    free(single);
    free(index);
    return status;
}

static hone_status read_weights(const char *folder, const sizes *s, bool tied, hone_model_file *out, hone_error *err)
{
    file_list list = {.n = 0};
    hone_status status = list_weights(folder, &list, err);
    out->shards = status == HONE_OK ? calloc(list.n, sizeof *out->shards) : NULL;
    if (status == HONE_OK && !out->shards)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    for (size_t f = 0; f < list.n && status == HONE_OK; f++) {
        char *path = hone_path_join(folder, list.names[f]);
        status = path ? hone_safetensors_open_weights(path, &out->shards[out->n_shards], err)
                      : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        if (status == HONE_OK) {
            const hone_safetensors *shard = &out->shards[out->n_shards++];
            for (size_t i = 0; i < shard->n_tensors && status == HONE_OK; i++)
                status = add_tensor(&out->gguf, path, &shard->tensors[i], s->head_dim, tied, err);
        }
        free(path);
    }
    clear_list(&list);
    return status;
}

static hone_status open_folder(const char *folder, hone_model_file *out, hone_error *err)
{
    char *path = hone_path_join(folder, "config.json");
    json_t *config = NULL;
    sizes s = {0};
    hone_status status = hone_gguf_create(folder, &out->gguf, err);
    if (status != HONE_OK) {
        free(path);
        return status;
    }
    if (!path)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    else if (!hone_file_exists(path))
        status = hone_fail(err, HONE_NOT_FOUND,
                           "%s: config.json is missing; a model is a GGUF file or a Hugging Face folder (config.json, "
                           "tokenizer.json, model.safetensors)",
                           folder);
    if (status == HONE_OK)
        status = read_json(path, &config, err);
    if (status == HONE_OK)
        status = read_config(path, config, &s, &out->gguf, err);
    if (status == HONE_OK)
        status = hone_folder_read_tokenizer(folder, &out->gguf, err);
    if (status == HONE_OK)
        status = read_weights(folder, &s, json_is_true(json_object_get(config, "tie_word_embeddings")), out, err);
    json_decref(config);
    free(path);
    return status;
}

hone_status hone_model_file_open(const char *path, hone_model_file *out, hone_error *err)
{
    *out = (hone_model_file){0};
    if (!hone_folder_exists(path))
        return hone_gguf_open(path, &out->gguf, err);
    hone_status status = open_folder(path, out, err);
    if (status != HONE_OK)
        hone_model_file_close(out);
    return status;
}

void hone_model_file_close(hone_model_file *file)
{
    if (file->gguf.arena)
        hone_gguf_close(&file->gguf);
    for (size_t i = 0; i < file->n_shards; i++)
        hone_safetensors_close(&file->shards[i]);
    free(file->shards);
    *file = (hone_model_file){0};
}

/* ---- bytes ---- */

static hone_status map_file(hone_model_bytes *bytes, const char *folder, const char *name, bool optional,
                            hone_error *err)
{
    char *path = folder ? hone_path_join(folder, name) : strdup(name);
    hone_map *maps = realloc(bytes->maps, (bytes->n_maps + 1) * sizeof *maps);
    hone_status status = HONE_OK;
    if (maps)
        bytes->maps = maps;
    if (!path || !maps)
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", name);
    else if (!optional || hone_file_exists(path))
        status = hone_map_open(path, &maps[bytes->n_maps], err);
    if (status == HONE_OK && (!optional || hone_file_exists(path)))
        bytes->n_maps++;
    free(path);
    return status;
}

hone_status hone_model_bytes_open(const char *path, hone_model_bytes *out, hone_error *err)
{
    static const char *const optional[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                           "chat_template.jinja"};
    file_list list = {.n = 0};
    *out = (hone_model_bytes){0};
    if (!hone_folder_exists(path))
        return map_file(out, NULL, path, false, err);
    hone_status status = list_weights(path, &list, err);
    for (size_t i = 0; i < sizeof optional / sizeof *optional && status == HONE_OK; i++)
        status = map_file(out, path, optional[i], true, err);
    for (size_t i = 0; i < list.n && status == HONE_OK; i++)
        status = map_file(out, path, list.names[i], false, err);
    clear_list(&list);
    if (status != HONE_OK)
        hone_model_bytes_close(out);
    return status;
}

void hone_model_bytes_close(hone_model_bytes *bytes)
{
    for (size_t i = 0; i < bytes->n_maps; i++)
        hone_map_close(&bytes->maps[i]);
    free(bytes->maps);
    *bytes = (hone_model_bytes){0};
}

hone_status hone_model_bytes_check_unchanged(const hone_model_bytes *bytes, hone_error *err)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; i < bytes->n_maps && status == HONE_OK; i++)
        status = hone_map_check_unchanged(&bytes->maps[i], err);
    return status;
}

void hone_model_bytes_hash(const hone_model_bytes *bytes, char out[65])
{
    if (bytes->n_maps == 1) {
        hone_sha256_hex(bytes->maps[0].data, bytes->maps[0].size_bytes, out);
        hone_map_forget(&bytes->maps[0]);
        return;
    }
    hone_buffer names = {0};
    for (size_t i = 0; i < bytes->n_maps; i++) {
        char hash[65];
        const char *slash = strrchr(bytes->maps[i].path, '/');
        hone_sha256_hex(bytes->maps[i].data, bytes->maps[i].size_bytes, hash);
        hone_map_forget(&bytes->maps[i]);
        hone_buffer_printf(&names, "%s  %s\n", hash, slash ? slash + 1 : bytes->maps[i].path);
    }
    hone_sha256_hex(names.data ? names.data : "", names.length, out);
    hone_buffer_clear(&names);
}
