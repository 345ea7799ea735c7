/* folder_write.c - config.json, the tensors and the folder as a whole; the tokenizer is in folder_tokenizer_write.c. */
#include "model/folder_write.h"

#include "base/file.h"
#include "base/text.h"
#include "format/safetensors.h"
#include "model/model_file.h"
#include "tensor/convert.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 64 << 20 };

static bool is_text(hone_gguf_string s, const char *text)
{
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

static hone_status no_memory(const hone_folder_content *c, hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", c->model->map.path);
}

/* ---- config.json ---- */

static const char *torch_type(hone_dtype type)
{
    return type == HONE_F16 ? "float16" : type == HONE_BF16 ? "bfloat16" : "float32";
}

/* The shortest decimal number that is this float: 1e-05, not 9.99999975e-06. */
static json_t *short_real(double value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static void set_id(json_t *to, const char *name, const hone_gguf *model, const char *key)
{
    int64_t id;
    json_object_set_new(to, name, hone_gguf_get_int(model, key, &id) ? json_integer((json_int_t)id) : json_null());
}

/* What ends an answer: eos, and an end of turn of its own where the model has one. */
static void set_ends(json_t *to, const hone_gguf *model)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    json_t *ids = json_array(), *other;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int64_t id;
        size_t k;
        bool known = !hone_gguf_get_int(model, keys[i], &id);
        json_array_foreach(ids, k, other) known |= json_integer_value(other) == id;
        if (!known)
            json_array_append_new(ids, json_integer((json_int_t)id));
    }
    if (json_array_size(ids) == 1)
        json_object_set(to, "eos_token_id", json_array_get(ids, 0));
    else if (json_array_size(ids) > 1)
        json_object_set(to, "eos_token_id", ids);
    json_decref(ids);
}

static bool has_own_output(const hone_gguf *model)
{
    return hone_gguf_find_tensor(model, "output.weight") != NULL;
}

/* Sizes were checked when the model was opened; a missing one is still an error and not a zero. */
static hone_status make_config(const hone_folder_content *c, json_t **out, hone_error *err)
{
    static const struct {
        const char *theirs, *ours;
    } sizes[] = {{"hidden_size", "embedding_length"},
                 {"intermediate_size", "feed_forward_length"},
                 {"max_position_embeddings", "context_length"},
                 {"num_attention_heads", "attention.head_count"},
                 {"num_hidden_layers", "block_count"}};
    const hone_gguf *model = c->model;
    const hone_gguf_tensor *embeddings = hone_gguf_find_tensor(model, "token_embd.weight");
    hone_gguf_string architecture = {0};
    json_t *config = NULL;
    if (!hone_gguf_get_string(model, "general.architecture", &architecture) || !is_text(architecture, "llama") ||
        !embeddings)
        return hone_fail(err, HONE_UNSUPPORTED,
                         "%s: architecture \"%.*s\"; hone writes Hugging Face folders of llama models. Write a GGUF "
                         "file instead",
                         model->map.path, (int)(architecture.length < 60 ? architecture.length : 60),
                         architecture.data ? architecture.data : "");
    config = json_pack("{s:[s], s:s, s:s, s:b, s:b, s:f, s:f, s:b, s:b, s:s}", "architectures", "LlamaForCausalLM",
                       "model_type", "llama", "hidden_act", "silu", "attention_bias", 0, "mlp_bias", 0,
                       "attention_dropout", 0.0, "initializer_range", 0.02, "use_cache", 1, "tie_word_embeddings",
                       !has_own_output(model), "torch_dtype", torch_type(c->type));
    if (!config)
        return no_memory(c, err);
    int64_t values[sizeof sizes / sizeof *sizes];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", sizes[i].ours);
        if (!hone_gguf_get_int(model, key, &values[i])) {
            json_decref(config);
            return hone_fail(err, HONE_BAD_FORMAT, "%s: the key \"%s\" is missing", model->map.path, key);
        }
        json_object_set_new(config, sizes[i].theirs, json_integer((json_int_t)values[i]));
    }
    int64_t heads = values[3] > 0 ? values[3] : 1, kv_heads = heads, head_dim = values[0] / heads;
    double epsilon = 1e-5, base = 10000;
    hone_gguf_get_int(model, "llama.attention.head_count_kv", &kv_heads);
    hone_gguf_get_int(model, "llama.attention.key_length", &head_dim);
    hone_gguf_get_float(model, "llama.attention.layer_norm_rms_epsilon", &epsilon);
    hone_gguf_get_float(model, "llama.rope.freq_base", &base);
    json_object_set_new(config, "num_key_value_heads", json_integer((json_int_t)kv_heads));
    json_object_set_new(config, "head_dim", json_integer((json_int_t)head_dim));
    json_object_set_new(config, "rms_norm_eps", short_real(epsilon));
    json_object_set_new(config, "rope_theta", short_real(base));
    json_object_set_new(config, "rope_scaling", json_null());
    json_object_set_new(config, "vocab_size", json_integer((json_int_t)embeddings->ne[1]));
    set_id(config, "bos_token_id", model, "tokenizer.ggml.bos_token_id");
    set_id(config, "pad_token_id", model, "tokenizer.ggml.padding_token_id");
    set_ends(config, model);
    *out = config;
    return HONE_OK;
}

/* The base's own, with what the new weights change. */
static hone_status read_config(const hone_folder_content *c, json_t **out, hone_error *err)
{
    char *path = hone_path_join(c->base_folder, "config.json");
    json_error_t where;
    *out = path ? json_load_file(path, 0, &where) : NULL;
    hone_status status = !path  ? no_memory(c, err)
                         : *out ? HONE_OK
                                : hone_fail(err, HONE_BAD_FORMAT, "%s:%d: %s", path, where.line, where.text);
    if (status == HONE_OK) {
        const char *name = json_object_get(*out, "dtype") ? "dtype" : "torch_dtype";
        json_object_set_new(*out, name, json_string(torch_type(c->type)));
        json_object_set_new(*out, "tie_word_embeddings", json_boolean(!has_own_output(c->model)));
    }
    free(path);
    return status;
}

/* ---- tensors ---- */

typedef struct tensor_list {
    const hone_folder_content *content;
    const hone_gguf_tensor **from; /* [n] */
    bool *rotary;                  /* [n] */
    hone_safetensor_out *items;    /* [n] */
    char (*names)[96];
    size_t n;
    int64_t head_dim;
    unsigned char *raw; /* the longest row, as the model has it */
    float *row;
} tensor_list;

static void clear_tensors(tensor_list *t)
{
    free(t->from);
    free(t->rotary);
    free(t->items);
    free(t->names);
    free(t->raw);
    free(t->row);
}

static hone_status list_tensors(const hone_folder_content *c, tensor_list *t, hone_error *err)
{
    const hone_gguf *model = c->model;
    size_t n = model->n_tensors, longest_bytes = 0;
    int64_t longest = 0, embd = 0, heads = 1;
    *t = (tensor_list){.content = c,
                       .from = calloc(n + 1, sizeof *t->from),
                       .rotary = calloc(n + 1, sizeof *t->rotary),
                       .items = calloc(n + 1, sizeof *t->items),
                       .names = calloc(n + 1, sizeof *t->names),
                       .n = n};
    if (!t->from || !t->rotary || !t->items || !t->names)
        return no_memory(c, err);
    hone_gguf_get_int(model, "llama.embedding_length", &embd);
    hone_gguf_get_int(model, "llama.attention.head_count", &heads);
    t->head_dim = heads > 0 ? embd / heads : 0;
    hone_gguf_get_int(model, "llama.attention.key_length", &t->head_dim);
    for (size_t i = 0; i < n; i++) {
        const hone_gguf_tensor *from = t->from[i] = &model->tensors[i];
        char ours[96];
        snprintf(ours, sizeof ours, "%.*s", (int)from->name.length, from->name.data);
        if (!hone_folder_tensor_name(ours, t->names[i], &t->rotary[i]) || from->n_dims > 2)
            return hone_fail(err, HONE_UNSUPPORTED,
                             "%s: tensor \"%s\" has no place in a Hugging Face folder of a llama model. Write a GGUF "
                             "file instead",
                             model->map.path, ours);
        if (t->rotary[i] && (t->head_dim < 2 || from->ne[1] % t->head_dim != 0))
            return hone_fail(err, HONE_BAD_FORMAT, "%s: tensor \"%s\" has %lld rows, no multiple of a head's %lld",
                             model->map.path, ours, (long long)from->ne[1], (long long)t->head_dim);
        t->items[i] = (hone_safetensor_out){.name = t->names[i],
                                            .rows = from->n_dims > 1 ? from->ne[1] : from->ne[0],
                                            .columns = from->n_dims > 1 ? from->ne[0] : 0,
                                            .dtype = c->type};
        size_t bytes = from->size_bytes / (size_t)from->ne[1];
        longest_bytes = bytes > longest_bytes ? bytes : longest_bytes;
        longest = from->ne[0] > longest ? from->ne[0] : longest;
    }
    t->raw = malloc(longest_bytes + 1);
    t->row = malloc(((size_t)longest + 1) * sizeof *t->row);
    return t->raw && t->row ? HONE_OK : no_memory(c, err);
}

/* hone_safetensors_row. Row (head, half, i) of the folder is row (head, i, half) of the model. */
static hone_status give_row(void *context, size_t index, int64_t row, void *out, hone_error *err)
{
    tensor_list *t = context;
    const hone_folder_content *c = t->content;
    const hone_gguf_tensor *from = t->from[index];
    size_t row_bytes = from->size_bytes / (size_t)from->ne[1];
    if (t->rotary[index]) {
        int64_t i = row % t->head_dim, half = t->head_dim / 2;
        row += i % half * 2 + i / half - i;
    }
    const unsigned char *raw = from->data ? from->data + (size_t)row * row_bytes : t->raw;
    if (!from->data) {
        hone_status status = c->rows(c->context, from, row, 1, t->raw, err);
        if (status != HONE_OK)
            return status;
    }
    if (from->dtype == c->type)
        memcpy(out, raw, row_bytes);
    else if (!hone_dtype_decode(from->dtype, raw, from->ne[0], t->row))
        return hone_fail(err, HONE_UNSUPPORTED, "%s: tensor \"%.*s\" is %s, which hone does not read",
                         c->model->map.path, (int)from->name.length, from->name.data,
                         hone_dtype_get_info(from->dtype)->name);
    else
        hone_dtype_encode(c->type, t->row, from->ne[0], out);
    return HONE_OK;
}

/* What the model says of where it came from goes along as texts of the file. */
static json_t *make_metadata(const hone_gguf *model)
{
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    for (size_t i = 0; metadata && i < model->n_values; i++) {
        char key[96];
        hone_gguf_string text;
        snprintf(key, sizeof key, "%.*s", (int)model->values[i].key.length, model->values[i].key.data);
        if (strncmp(key, "hone.", 5) == 0 && hone_gguf_get_string(model, key, &text))
            json_object_set_new(metadata, key, json_stringn(text.data, text.length));
    }
    return metadata;
}

static hone_status write_weights(const hone_folder_content *c, const char *folder, hone_progress *progress,
                                 hone_error *err)
{
    tensor_list t = {0};
    char *path = hone_path_join(folder, HONE_FOLDER_WEIGHTS);
    json_t *metadata = make_metadata(c->model);
    hone_status status = path && metadata ? list_tensors(c, &t, err) : no_memory(c, err);
    if (status == HONE_OK)
        status = hone_safetensors_write_rows(path, t.items, t.n, metadata, give_row, &t, progress, err);
    json_decref(metadata);
    clear_tensors(&t);
    free(path);
    return status;
}

/* ---- the folder ---- */

static hone_status write_json(const hone_folder_content *c, const char *folder, const char *name, const json_t *root,
                              hone_error *err)
{
    char *path = hone_path_join(folder, name), *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    hone_status status = path && text ? hone_file_write_atomic(path, text, strlen(text), err) : no_memory(c, err);
    free(path);
    free(text);
    return status;
}

/* A file of the base folder as it is; fine where it has none. */
static hone_status copy_file(const hone_folder_content *c, const char *folder, const char *name, hone_error *err)
{
    char *from = hone_path_join(c->base_folder, name), *to = hone_path_join(folder, name);
    hone_buffer bytes = {0};
    hone_status status = from && to ? HONE_OK : no_memory(c, err);
    if (status == HONE_OK && hone_file_exists(from)) {
        status = hone_file_read(from, MAX_FILE_BYTES, &bytes, err);
        if (status == HONE_OK)
            status = hone_file_write_atomic(to, bytes.data, bytes.length, err);
    }
    hone_buffer_clear(&bytes);
    free(from);
    free(to);
    return status;
}

/* The small files, in memory: config.json, and for a base that was no folder the others. */
typedef struct small_files {
    json_t *config, *generation, *tokenizer, *settings;
} small_files;

static void clear_small(small_files *s)
{
    json_decref(s->config);
    json_decref(s->generation);
    json_decref(s->tokenizer);
    json_decref(s->settings);
}

static hone_status make_small(const hone_folder_content *c, small_files *out, hone_error *err)
{
    if (c->type != HONE_F32 && c->type != HONE_F16 && c->type != HONE_BF16)
        return hone_fail(err, HONE_BAD_INPUT,
                         "a Hugging Face folder holds f32, f16 or bf16, not %s; write a GGUF file instead",
                         hone_dtype_get_info(c->type)->name);
    if (c->base_folder)
        return read_config(c, &out->config, err);
    hone_status status = make_config(c, &out->config, err);
    if (status == HONE_OK)
        status = hone_folder_make_tokenizer(c->model, &out->tokenizer, &out->settings, err);
    if (status == HONE_OK && !(out->generation = json_object()))
        status = no_memory(c, err);
    if (status == HONE_OK) {
        set_id(out->generation, "bos_token_id", c->model, "tokenizer.ggml.bos_token_id");
        set_id(out->generation, "pad_token_id", c->model, "tokenizer.ggml.padding_token_id");
        set_ends(out->generation, c->model);
    }
    return status;
}

hone_status hone_model_folder_check(const hone_folder_content *content, hone_error *err)
{
    small_files small = {0};
    tensor_list tensors = {0};
    hone_status status = make_small(content, &small, err);
    if (status == HONE_OK)
        status = list_tensors(content, &tensors, err);
    clear_tensors(&tensors);
    clear_small(&small);
    return status;
}

hone_status hone_model_folder_write(const hone_folder_content *c, const char *folder, hone_progress *progress,
                                    hone_error *err)
{
    static const char *const kept[] = {"tokenizer.json",      "tokenizer_config.json",  "special_tokens_map.json",
                                       "chat_template.jinja", "generation_config.json", "vocab.json",
                                       "merges.txt",          "added_tokens.json",      "tokenizer.model"};
    small_files small = {0};
    hone_status status = make_small(c, &small, err);
    const struct {
        const char *name;
        const json_t *root;
    } made[] = {{"config.json", small.config},
                {"generation_config.json", small.generation},
                {"tokenizer.json", small.tokenizer},
                {"tokenizer_config.json", small.settings}};
    for (size_t i = 0; i < sizeof made / sizeof *made && status == HONE_OK; i++)
        if (made[i].root)
            status = write_json(c, folder, made[i].name, made[i].root, err);
    for (size_t i = 0; c->base_folder && i < sizeof kept / sizeof *kept && status == HONE_OK; i++)
        status = copy_file(c, folder, kept[i], err);
    clear_small(&small);
    return status == HONE_OK ? write_weights(c, folder, progress, err) : status;
}

/* "a/b" of "a/b/": what a name for a neighbour can be hung on. */
static char *without_slashes(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return strndup(path, n);
}

/* Nothing is there, or an empty folder, over which a folder can be renamed. */
static bool is_free(const char *path)
{
    if (access(path, F_OK) != 0)
        return true;
    DIR *entries = opendir(path);
    bool empty = entries != NULL;
    for (struct dirent *e; entries && (e = readdir(entries));)
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (entries)
        closedir(entries);
    return empty;
}

hone_status hone_model_folder_create(const hone_folder_content *content, const char *folder, hone_progress *progress,
                                     hone_error *err)
{
    hone_buffer name = {0};
    char *path = without_slashes(folder), *temporary = NULL;
    hone_status status = HONE_OK;
    if (path) {
        hone_buffer_printf(&name, "%s.tmp-%ld", path, (long)getpid());
        temporary = hone_buffer_take(&name);
    }
    if (!temporary)
        status = no_memory(content, err);
    else if (!is_free(path))
        status = hone_fail(err, HONE_BAD_INPUT, "%s: is there already; remove it or choose another name", path);
    if (status != HONE_OK)
        goto done;
    status = hone_folder_create(temporary, err);
    if (status == HONE_OK)
        status = hone_model_folder_write(content, temporary, progress, err);
    if (status == HONE_OK && rename(temporary, path) < 0)
        status = hone_file_fail_errno(err, path, "create the folder");
    if (status != HONE_OK)
        hone_folder_remove(temporary, NULL);
done:
    free(path);
    free(temporary);
    return status;
}
