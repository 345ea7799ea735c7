/* adapter_file.c - adapters as PEFT files.
 *
 * PEFT stores lora_A [rank, n_in] and lora_B [n_out, rank] in Hugging Face's row order. A llama-architecture GGUF has
 * the rows of q and k permuted (head, half, i -> head, i, half, so that rotary pairs are adjacent), so the rows of
 * their B are permuted on the way in and back on the way out. DoRA's lora_magnitude_vector [n_out] has no ".weight" in
 * PEFT's files (peft, utils/save_and_load.py). Reference: PEFT, "LoRA checkpoint format". */
#include "model/adapter.h"

#include "model/adapter_targets.h"

#include "base/file.h"
#include "format/safetensors.h"

#include <jansson.h>
#include <math.h>
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

enum { NAME_BYTES = 160 };
static const char *const parts[] = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"};
enum { PART_A, PART_B, PART_MAGNITUDE, N_PARTS };

static void tensor_name(char out[NAME_BYTES], int64_t layer, hone_linear which, int part)
{
    snprintf(out, NAME_BYTES, "base_model.model.model.layers.%lld.%s.%s", (long long)layer, hone_linear_path(which),
             parts[part]);
}

/* A linear layer's value of some kind: its rank, or its alpha. */
typedef double (*module_value)(const hone_lora *l);

static double rank_of(const hone_lora *l)
{
    return l->rank;
}

static double alpha_of(const hone_lora *l)
{
    return l->alpha;
}

/* Where the value differs from the adapter's own: {"q_proj": v} when all adapted layers of that kind have v, else the
 * layer's full name. PEFT matches the keys as regular expressions at the end of a name. */
static json_t *pattern_json(const hone_adapter *a, module_value value, double usual, bool whole_numbers)
{
    json_t *pattern = json_object();
    for (int w = 0; w < HONE_N_LINEARS; w++) {
        double first = NAN;
        bool same = true;
        for (int64_t l = 0; l < a->config.n_layers; l++) {
            const hone_lora *lora = hone_adapter_at(a, l, (hone_linear)w);
            if (!lora->rank)
                continue;
            same &= isnan(first) || value(lora) == first;
            first = isnan(first) ? value(lora) : first;
        }
        for (int64_t l = 0; l < a->config.n_layers; l++) {
            const hone_lora *lora = hone_adapter_at(a, l, (hone_linear)w);
            char name[128];
            if (!lora->rank || value(lora) == usual)
                continue;
            if (same)
                snprintf(name, sizeof name, "%s", hone_linear_name((hone_linear)w));
            else
                hone_adapter_module_name(l, (hone_linear)w, name);
            json_object_set_new(pattern, name,
                                whole_numbers ? json_integer((json_int_t)value(lora)) : json_real(value(lora)));
        }
    }
    return pattern;
}

/* Short names where a kind of layer is adapted in every block, full names where only in some. */
static json_t *targets_json(const hone_adapter *a)
{
    json_t *targets = json_array();
    for (int w = 0; w < HONE_N_LINEARS; w++) {
        int64_t n = 0;
        for (int64_t l = 0; l < a->config.n_layers; l++)
            n += hone_adapter_at(a, l, (hone_linear)w)->rank > 0;
        if (n == a->config.n_layers)
            json_array_append_new(targets, json_string(hone_linear_name((hone_linear)w)));
        for (int64_t l = 0; l < a->config.n_layers && n < a->config.n_layers; l++) {
            char name[128];
            hone_adapter_module_name(l, (hone_linear)w, name);
            if (hone_adapter_at(a, l, (hone_linear)w)->rank > 0)
                json_array_append_new(targets, json_string(name));
        }
    }
    return targets;
}

static json_t *config_json(const hone_adapter *a, const char *base_name)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:n, s:b, s:b, s:s}",
                     "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path",
                     base_name ? base_name : "", "r", a->rank, "lora_alpha", a->alpha, "lora_dropout", 0.0,
                     "target_modules", targets_json(a), "bias", "none", "fan_in_fan_out", 0, "use_rslora", a->rslora,
                     "use_dora", a->dora_base != NULL, "rank_pattern", pattern_json(a, rank_of, a->rank, true),
                     "alpha_pattern", pattern_json(a, alpha_of, a->alpha, false), "modules_to_save", "inference_mode",
                     1, "init_lora_weights", 1, "hone_base_sha256", a->base_hash);
}

hone_status hone_adapter_save(const hone_adapter *a, const char *folder, const char *base_name, hone_error *err)
{
    size_t n_loras = (size_t)a->config.n_layers * HONE_N_LINEARS, n = 0;
    hone_safetensor_out *tensors = calloc(N_PARTS * n_loras, sizeof *tensors);
    char(*names)[NAME_BYTES] = calloc(N_PARTS * n_loras, sizeof *names);
    float *values = calloc(a->n_parameters, sizeof *values);
    char *path = NULL, *text = NULL;
    json_t *config = NULL;
    hone_status status = HONE_OK;
    if (!tensors || !names || !values) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        goto done;
    }
    for (size_t i = 0; i < n_loras; i++) {
        const hone_lora *l = &a->loras[i];
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        if (!l->rank)
            continue;
        tensor_name(names[n], (int64_t)(i / HONE_N_LINEARS), which, PART_A);
        tensor_name(names[n + 1], (int64_t)(i / HONE_N_LINEARS), which, PART_B);
        float *a_rows = values + l->a_at, *rows = values + l->b_at;
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            a_rows[j] = (float)l->a[j];
        for (int64_t row = 0; row < l->n_out; row++)
            for (int r = 0; r < l->rank; r++)
                rows[row * l->rank + r] = (float)l->b_t[r * l->n_out + model_row(&a->config, which, row)];
        tensors[n] = (hone_safetensor_out){names[n], l->rank, l->n_in, a_rows};
        tensors[n + 1] = (hone_safetensor_out){names[n + 1], l->n_out, l->rank, rows};
        n += 2;
        if (!a->dora_base)
            continue;
        tensor_name(names[n], (int64_t)(i / HONE_N_LINEARS), which, PART_MAGNITUDE);
        float *magnitude = values + l->magnitude_at;
        for (int64_t row = 0; row < l->n_out; row++)
            magnitude[row] = (float)l->magnitude[model_row(&a->config, which, row)];
        tensors[n] = (hone_safetensor_out){names[n], l->n_out, 0, magnitude};
        n++;
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
    if ((status = hone_safetensors_write(path, tensors, n, "pt", err)) != HONE_OK)
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
    free(values);
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

typedef struct peft_config {
    int rank;
    double alpha;
    bool rslora, dora;
    char base_hash[65];
    json_t *rank_pattern, *alpha_pattern; /* objects or NULL; owned */
} peft_config;

/* {"pattern": number above 0}, or nothing. */
static hone_status read_pattern(const json_t *config, const char *path, const char *key, json_t **out, hone_error *err)
{
    json_t *pattern = json_object_get(config, key), *value;
    const char *name;
    *out = NULL;
    if (!pattern || json_is_null(pattern))
        return HONE_OK;
    bool good = json_is_object(pattern);
    json_object_foreach(pattern, name, value) good &= json_is_number(value) && json_number_value(value) > 0;
    if (!good)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: \"%s\" must be an object of numbers above 0", path, key);
    *out = json_incref(pattern);
    return HONE_OK;
}

static hone_status read_config(const char *path, peft_config *out, hone_error *err)
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
    static const char *const refused[] = {
        "modules_to_save", "layer_replication", "trainable_token_indices", "use_qalora",
        "use_bdlora",      "lora_bias",         "fan_in_fan_out",          "bias"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if ((status = refuse(config, path, refused[i], err)) != HONE_OK)
            goto done;
    json_int_t r = json_integer_value(json_object_get(config, "r"));
    out->rank = r < 0 || r > INT32_MAX ? 0 : (int)r;
    out->alpha = json_number_value(json_object_get(config, "lora_alpha"));
    out->rslora = json_is_true(json_object_get(config, "use_rslora"));
    out->dora = json_is_true(json_object_get(config, "use_dora"));
    const char *hash = json_string_value(json_object_get(config, "hone_base_sha256"));
    snprintf(out->base_hash, sizeof out->base_hash, "%s", hash ? hash : "");
    if ((status = read_pattern(config, path, "rank_pattern", &out->rank_pattern, err)) == HONE_OK)
        status = read_pattern(config, path, "alpha_pattern", &out->alpha_pattern, err);
done:
    json_decref(config);
    hone_buffer_clear(&text);
    return status;
}

/* The value that a pattern of PEFT's gives a module, else `usual`. The first key that matches counts. */
static hone_status pattern_value(const json_t *pattern, const char *module, double usual, double *out, hone_error *err)
{
    const char *key;
    json_t *value;
    *out = usual;
    json_object_foreach((json_t *)(uintptr_t)pattern, key, value)
    {
        bool matches;
        hone_status status = hone_adapter_pattern_matches(key, true, module, &matches, err);
        if (status != HONE_OK)
            return status;
        if (matches) {
            *out = json_number_value(value);
            return HONE_OK;
        }
    }
    return HONE_OK;
}

/* Which layers the file adapts; the configuration says with which rank and alpha, the tensors must agree. */
static hone_status plan_modules(const hone_model_config *c, const peft_config *config, const hone_safetensors *file,
                                hone_adapter_module *modules, hone_error *err)
{
    for (int64_t i = 0; i < c->n_layers * HONE_N_LINEARS; i++) {
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        char module[128], name[NAME_BYTES];
        double rank;
        hone_adapter_module_name(i / HONE_N_LINEARS, which, module);
        tensor_name(name, i / HONE_N_LINEARS, which, PART_A);
        const hone_safetensor *a = hone_safetensors_find(file, name);
        tensor_name(name, i / HONE_N_LINEARS, which, PART_B);
        if (!a && !hone_safetensors_find(file, name))
            continue;
        hone_status status = pattern_value(config->rank_pattern, module, config->rank, &rank, err);
        if (status == HONE_OK)
            status = pattern_value(config->alpha_pattern, module, config->alpha, &modules[i].alpha, err);
        if (status != HONE_OK)
            return status;
        modules[i].rank = rank >= 1 && rank <= INT32_MAX ? (int)rank : 0;
        if (!modules[i].rank)
            return hone_fail(err, HONE_BAD_INPUT, "%s: rank %g for %s; it must be above 0", file->map.path, rank,
                             module);
    }
    return HONE_OK;
}

static hone_status read_magnitude(const hone_adapter *a, const hone_safetensors *file, int64_t layer, hone_linear which,
                                  size_t *n_read, hone_error *err)
{
    const hone_lora *l = hone_adapter_at(a, layer, which);
    char name[NAME_BYTES];
    tensor_name(name, layer, which, PART_MAGNITUDE);
    const hone_safetensor *t = hone_safetensors_find(file, name);
    if (!t)
        return hone_fail(
            err, HONE_BAD_FORMAT,
            "%s: use_dora is set, but \"%s\" is missing; save the adapter again with a PEFT of 0.9 or later",
            file->map.path, name);
    if (t->n_dims != 1 || t->shape[0] != l->n_out)
        return hone_fail(
            err, HONE_BAD_INPUT,
            "%s: \"%s\" has %lld values in %d dimensions; this model needs %lld in one: the adapter was made "
            "for another base",
            file->map.path, name, (long long)t->shape[0], t->n_dims, (long long)l->n_out);
    for (int64_t row = 0; row < l->n_out; row++)
        l->magnitude[model_row(&a->config, which, row)] = hone_safetensor_at(t, row);
    ++*n_read;
    return HONE_OK;
}

static hone_status read_pair(const hone_adapter *a, const hone_safetensors *file, int64_t layer, hone_linear which,
                             size_t *n_read, hone_error *err)
{
    const hone_lora *l = hone_adapter_at(a, layer, which);
    char name_a[NAME_BYTES], name_b[NAME_BYTES];
    tensor_name(name_a, layer, which, PART_A);
    tensor_name(name_b, layer, which, PART_B);
    const hone_safetensor *ta = hone_safetensors_find(file, name_a), *tb = hone_safetensors_find(file, name_b);
    if (!ta && !tb)
        return HONE_OK; /* this layer is not adapted */
    if (!ta || !tb)
        return hone_fail(err, HONE_BAD_FORMAT, "%s: only one of \"%s\" and its partner is there", file->map.path,
                         ta ? name_a : name_b);
    if (ta->shape[0] != l->rank || ta->shape[1] != l->n_in || tb->shape[0] != l->n_out || tb->shape[1] != l->rank)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s: layer %lld %s is %lld x %lld at rank %lld; this model needs %lld x %lld at rank %d: the "
                         "adapter was made for another base",
                         file->map.path, (long long)layer, hone_linear_name(which), (long long)tb->shape[0],
                         (long long)ta->shape[1], (long long)ta->shape[0], (long long)l->n_out, (long long)l->n_in,
                         l->rank);
    for (int64_t i = 0; i < l->rank * l->n_in; i++)
        l->a[i] = hone_safetensor_at(ta, i);
    for (int64_t row = 0; row < l->n_out; row++)
        for (int r = 0; r < l->rank; r++)
            l->b_t[r * l->n_out + model_row(&a->config, which, row)] = hone_safetensor_at(tb, row * l->rank + r);
    *n_read += 2;
    return a->dora_base ? read_magnitude(a, file, layer, which, n_read, err) : HONE_OK;
}

static bool has_place(const hone_model_config *c, const char *name, bool dora)
{
    for (int64_t i = 0; i < c->n_layers * HONE_N_LINEARS; i++)
        for (int part = 0; part < (dora ? N_PARTS : PART_MAGNITUDE); part++) {
            char known[NAME_BYTES];
            tensor_name(known, i / HONE_N_LINEARS, (hone_linear)(i % HONE_N_LINEARS), part);
            if (strcmp(name, known) == 0)
                return true;
        }
    return false;
}

hone_status hone_adapter_load(const hone_model *model, const char *folder, hone_adapter **out, hone_error *err)
{
    *out = NULL;
    peft_config config = {0};
    hone_adapter_module *modules = calloc((size_t)model->config.n_layers * HONE_N_LINEARS, sizeof *modules);
    hone_adapter *a = NULL;
    hone_safetensors file = {0};
    size_t n_read = 0;
    char *config_path = hone_path_join(folder, "adapter_config.json"),
         *path = hone_path_join(folder, "adapter_model.safetensors");
    hone_status status =
        config_path && path && modules ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    if (status == HONE_OK)
        status = read_config(config_path, &config, err);
    if (status == HONE_OK)
        status = hone_safetensors_open(path, &file, err);
    if (status == HONE_OK)
        status = plan_modules(&model->config, &config, &file, modules, err);
    if (status == HONE_OK) {
        status = config.dora ? hone_adapter_create_dora(model, modules, config.alpha, config.rslora, &a, err)
                             : hone_adapter_create_as(&model->config, modules, config.alpha, config.rslora, &a, err);
        if (status != HONE_OK)
            status = hone_fail_within(err, status, "%s", folder);
    }
    for (int64_t l = 0; l < model->config.n_layers && status == HONE_OK; l++)
        for (int i = 0; i < HONE_N_LINEARS && status == HONE_OK; i++)
            status = read_pair(a, &file, l, (hone_linear)i, &n_read, err);
    if (status == HONE_OK && n_read != file.n_tensors) {
        size_t i = 0; /* name one tensor that found no place: silently dropping it would change the answers */
        while (i < file.n_tensors && has_place(&model->config, file.tensors[i].name, config.dora))
            i++;
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: tensor \"%s\" has no place in this model: the adapter was made for another base", path,
                           i < file.n_tensors ? file.tensors[i].name : "?");
    }
    if (status == HONE_OK) {
        memcpy(a->base_hash, config.base_hash, sizeof a->base_hash);
        hone_adapter_refresh(model->ops, a);
        hone_adapter_hash(a);
        *out = a;
    } else
        hone_adapter_free(a);
    if (file.arena)
        hone_safetensors_close(&file);
    json_decref(config.rank_pattern);
    json_decref(config.alpha_pattern);
    free(modules);
    free(config_path);
    free(path);
    return status;
}
