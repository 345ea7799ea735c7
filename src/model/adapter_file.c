/* adapter_file.c - adapters as PEFT files.
 *
 * PEFT stores lora_A [rank, n_in] and lora_B [n_out, rank] in Hugging Face's row order. A llama-architecture GGUF has
 * the rows of q and k permuted (head, half, i -> head, i, half, so that rotary pairs are adjacent), so the rows of
 * their B are permuted on the way in and back on the way out. Reference: PEFT, "LoRA checkpoint format". */
#include "model/adapter.h"

#include "base/file.h"
#include "format/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The row in the model's order for row `row` in Hugging Face's. */
static int64_t model_row(const hone_model_config *c, hone_linear which, int64_t row)
{
    if (c->rope_half_split || (which != HONE_ATTN_Q && which != HONE_ATTN_K))
        return row;
    int64_t head = row / c->head_dim, i = row % c->head_dim, half = c->head_dim / 2;
    return head * c->head_dim + i % half * 2 + i / half;
}

static void tensor_name(char out[160], int64_t layer, hone_linear which, const char *part)
{
    snprintf(out, 160, "base_model.model.model.layers.%lld.%s.%s.weight", (long long)layer, hone_linear_path(which),
             part);
}

static json_t *config_json(const hone_adapter *a, const char *base_name)
{
    json_t *targets = json_array();
    for (int i = 0; i < HONE_N_LINEARS; i++)
        json_array_append_new(targets, json_string(hone_linear_name((hone_linear)i)));
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:o, s:s, s:b, s:b, s:b, s:{}, s:{}, s:n, s:b, s:b, s:s}",
                     "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path",
                     base_name ? base_name : "", "r", a->rank, "lora_alpha", a->alpha, "lora_dropout", 0.0,
                     "target_modules", targets, "bias", "none", "fan_in_fan_out", 0, "use_rslora", 0, "use_dora", 0,
                     "rank_pattern", "alpha_pattern", "modules_to_save", "inference_mode", 1, "init_lora_weights", 1,
                     "hone_base_sha256", a->base_hash);
}

hone_status hone_adapter_save(const hone_adapter *a, const char *folder, const char *base_name, hone_error *err)
{
    size_t n_loras = (size_t)a->config.n_layers * HONE_N_LINEARS;
    hone_safetensor_out *tensors = calloc(2 * n_loras, sizeof *tensors);
    char(*names)[160] = calloc(2 * n_loras, sizeof *names);
    float *b = calloc(a->n_parameters, sizeof *b);
    char *path = NULL, *text = NULL;
    json_t *config = NULL;
    hone_status status = HONE_OK;
    if (!tensors || !names || !b) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        goto done;
    }
    for (size_t i = 0; i < n_loras; i++) {
        const hone_lora *l = &a->loras[i];
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        tensor_name(names[2 * i], (int64_t)(i / HONE_N_LINEARS), which, "lora_A");
        tensor_name(names[2 * i + 1], (int64_t)(i / HONE_N_LINEARS), which, "lora_B");
        float *rows = b + l->b_at;
        for (int64_t row = 0; row < l->n_out; row++)
            for (int r = 0; r < a->rank; r++)
                rows[row * a->rank + r] = l->b_t[r * l->n_out + model_row(&a->config, which, row)];
        tensors[2 * i] = (hone_safetensor_out){names[2 * i], a->rank, l->n_in, l->a};
        tensors[2 * i + 1] = (hone_safetensor_out){names[2 * i + 1], l->n_out, a->rank, rows};
    }
    if ((status = hone_folder_create(folder, err)) != HONE_OK)
        goto done;
    config = config_json(a, base_name);
    text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    path = hone_path_join(folder, "adapter_model.safetensors");
    if (!path || !text) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        goto done;
    }
    if ((status = hone_safetensors_write(path, tensors, 2 * n_loras, "pt", err)) != HONE_OK)
        goto done;
    free(path);
    path = hone_path_join(folder, "adapter_config.json");
    if (path)
        status = hone_file_write_atomic(path, text, strlen(text), err);
done:
    free(path);
    free(text);
    json_decref(config);
    free(tensors);
    free(names);
    free(b);
    return status;
}

static hone_status refuse(const json_t *config, const char *path, const char *key, hone_error *err)
{
    const json_t *v = json_object_get(config, key);
    bool off = !v || json_is_null(v) || json_is_false(v) ||
               ((json_is_object(v) || json_is_array(v)) && json_object_size(v) + json_array_size(v) == 0) ||
               (json_is_string(v) && strcmp(json_string_value(v), "none") == 0);
    return off ? HONE_OK
               : hone_fail(err, HONE_UNSUPPORTED, "%s: \"%s\" is set; hone does not load such adapters", path, key);
}

static hone_status read_config(const char *path, int *rank, double *alpha, char base_hash[65], hone_error *err)
{
    hone_buffer text = {0};
    json_error_t where;
    json_t *config = NULL;
    hone_status status = hone_file_read(path, 1 << 20, &text, err);
    if (status != HONE_OK)
        goto done;
    config = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(config)) {
        status = hone_fail(err, HONE_BAD_FORMAT, "%s:%d: %s", path, config ? 1 : where.line,
                           config ? "expected an object" : where.text);
        goto done;
    }
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    if (!type || strcmp(type, "LORA") != 0) {
        status =
            hone_fail(err, HONE_UNSUPPORTED, "%s: peft_type is %s; hone loads LORA", path, type ? type : "missing");
        goto done;
    }
    static const char *const refused[] = {"use_dora",        "use_rslora",     "rank_pattern", "alpha_pattern",
                                          "modules_to_save", "fan_in_fan_out", "bias"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if ((status = refuse(config, path, refused[i], err)) != HONE_OK)
            goto done;
    json_int_t r = json_integer_value(json_object_get(config, "r"));
    *rank = r < 0 || r > INT32_MAX ? 0 : (int)r;
    *alpha = json_number_value(json_object_get(config, "lora_alpha"));
    const char *hash = json_string_value(json_object_get(config, "hone_base_sha256"));
    snprintf(base_hash, 65, "%s", hash ? hash : "");
done:
    json_decref(config);
    hone_buffer_clear(&text);
    return status;
}

static hone_status read_pair(const hone_adapter *a, const hone_safetensors *file, int64_t layer, hone_linear which,
                             size_t *n_read, hone_error *err)
{
    const hone_lora *l = hone_adapter_at(a, layer, which);
    char name_a[160], name_b[160];
    tensor_name(name_a, layer, which, "lora_A");
    tensor_name(name_b, layer, which, "lora_B");
    const hone_safetensor *ta = hone_safetensors_find(file, name_a), *tb = hone_safetensors_find(file, name_b);
    if (!ta && !tb)
        return HONE_OK; /* this layer is not adapted: zeros */
    if (!ta || !tb)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: only one of \"%s\" and its partner is there", file->map.path,
                         ta ? name_a : name_b);
    if (ta->shape[0] != a->rank || ta->shape[1] != l->n_in || tb->shape[0] != l->n_out || tb->shape[1] != a->rank)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s: layer %lld %s is %lld x %lld at rank %lld; this model needs %lld x %lld at rank %d: the "
                         "adapter was made for another base",
                         file->map.path, (long long)layer, hone_linear_name(which), (long long)tb->shape[0],
                         (long long)ta->shape[1], (long long)ta->shape[0], (long long)l->n_out, (long long)l->n_in,
                         a->rank);
    for (int64_t i = 0; i < a->rank * l->n_in; i++)
        l->a[i] = hone_safetensor_at(ta, i);
    for (int64_t row = 0; row < l->n_out; row++)
        for (int r = 0; r < a->rank; r++)
            l->b_t[r * l->n_out + model_row(&a->config, which, row)] = hone_safetensor_at(tb, row * a->rank + r);
    *n_read += 2;
    return HONE_OK;
}

hone_status hone_adapter_load(const hone_model *model, const char *folder, hone_adapter **out, hone_error *err)
{
    *out = NULL;
    int rank = 0;
    double alpha = 0;
    char base_hash[65] = "";
    hone_adapter *a = NULL;
    hone_safetensors file = {0};
    size_t n_read = 0;
    char *config_path = hone_path_join(folder, "adapter_config.json"),
         *path = hone_path_join(folder, "adapter_model.safetensors");
    hone_status status = config_path && path ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    if (status == HONE_OK)
        status = read_config(config_path, &rank, &alpha, base_hash, err);
    if (status == HONE_OK)
        status = hone_adapter_create(&model->config, rank, alpha, &a, err);
    if (status == HONE_OK)
        status = hone_safetensors_open(path, &file, err);
    for (int64_t l = 0; l < model->config.n_layers && status == HONE_OK; l++)
        for (int i = 0; i < HONE_N_LINEARS && status == HONE_OK; i++)
            status = read_pair(a, &file, l, (hone_linear)i, &n_read, err);
    if (status == HONE_OK && n_read != file.n_tensors) {
        size_t i = 0; /* name one tensor that found no place: silently dropping it would change the answers */
        for (int64_t l = 0; i < file.n_tensors; i++) {
            const char *name = file.tensors[i].name;
            bool placed = false;
            for (l = 0; l < model->config.n_layers && !placed; l++)
                for (int w = 0; w < HONE_N_LINEARS && !placed; w++) {
                    char na[160], nb[160];
                    tensor_name(na, l, (hone_linear)w, "lora_A");
                    tensor_name(nb, l, (hone_linear)w, "lora_B");
                    placed = strcmp(name, na) == 0 || strcmp(name, nb) == 0;
                }
            if (!placed)
                break;
        }
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: tensor \"%s\" has no place in this model: the adapter was made for another base", path,
                           i < file.n_tensors ? file.tensors[i].name : "?");
    }
    if (status == HONE_OK) {
        memcpy(a->base_hash, base_hash, sizeof a->base_hash);
        hone_adapter_refresh(model->ops, a);
        hone_adapter_hash(a);
        *out = a;
    } else
        hone_adapter_free(a);
    if (file.arena)
        hone_safetensors_close(&file);
    free(config_path);
    free(path);
    return status;
}
