/* inspect_folder.c - reads the JSON and the safetensors headers of a folder; no weight is looked at. */
#include "cli/inspect_folder.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "model/model_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_JSON_BYTES = 16 << 20 };

/* The object in a file of the folder; *out is NULL where the file is absent. */
static hone_status read_object(const char *folder, const char *name, json_t **out, hone_error *err)
{
    char *path = hone_path_join(folder, name);
    hone_buffer text = {0};
    json_error_t where;
    hone_status status = path ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
    *out = NULL;
    if (status == HONE_OK && hone_file_exists(path)) {
        status = hone_file_read(path, MAX_JSON_BYTES, &text, err);
        if (status == HONE_OK && !(*out = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &where)))
            status = hone_fail(err, HONE_BAD_FORMAT, "%s:%d: %s", path, where.line, where.text);
        if (status == HONE_OK && !json_is_object(*out))
            status = hone_fail(err, HONE_BAD_FORMAT, "%s: expected an object", path);
    }
    hone_buffer_clear(&text);
    free(path);
    return status;
}

static void add_tensors(const hone_safetensors *file, json_t *tensors, json_t *types, int64_t *weights)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_safetensor *t = &file->tensors[i];
        const char *type = hone_dtype_get_info(t->dtype)->name;
        json_t *shape = json_array();
        int64_t n = 1;
        for (int d = 0; d < t->n_dims; d++) {
            json_array_append_new(shape, json_integer(t->shape[d]));
            n *= t->shape[d];
        }
        *weights += n;
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "type", type, "shape", shape,
                                                 "bytes", (json_int_t)t->size_bytes));
        json_object_set_new(types, type, json_integer(json_integer_value(json_object_get(types, type)) + 1));
    }
}

static int is_safetensors(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 12 && strcmp(entry->d_name + n - 12, ".safetensors") == 0;
}

/* All safetensors of the folder, in the order of their names. */
static hone_status read_tensors(const char *folder, json_t *document, hone_error *err)
{
    struct dirent **entries = NULL;
    json_t *tensors = json_array(), *types = json_object();
    int64_t weights = 0, bytes = 0;
    hone_status status = HONE_OK;
    int n = scandir(folder, &entries, is_safetensors, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = hone_path_join(folder, entries[i]->d_name);
        hone_safetensors file;
        if (status == HONE_OK)
            status = path ? hone_safetensors_open_weights(path, &file, err)
                          : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", folder);
        if (status == HONE_OK) {
            add_tensors(&file, tensors, types, &weights);
            bytes += (int64_t)file.map.size_bytes;
            hone_safetensors_close(&file);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    json_object_set_new(document, "size_bytes", json_integer(bytes));
    json_object_set_new(document, "weights", json_integer(weights));
    json_object_set_new(document, "types", types);
    json_object_set_new(document, "tensors", tensors);
    return status;
}

/* Whether hone opens the folder as a model, and what it says where it does not. */
static void try_opening(const char *folder, json_t *document)
{
    hone_model_file file;
    hone_error err;
    bool runs = hone_model_file_open(folder, &file, &err) == HONE_OK;
    json_object_set_new(document, "runs", json_boolean(runs));
    if (runs)
        hone_model_file_close(&file);
    else
        json_object_set_new(document, "why_not", json_string(err.message));
}

static void count_adapted(json_t *document)
{
    size_t i;
    json_t *tensor;
    json_int_t n = 0;
    json_array_foreach(json_object_get(document, "tensors"), i, tensor)
    {
        const char *name = json_string_value(json_object_get(tensor, "name"));
        n += name && strstr(name, ".lora_A.") != NULL;
    }
    json_object_set_new(document, "adapted_layers", json_integer(n));
}

hone_status hone_inspect_folder(const char *path, json_t **out, hone_error *err)
{
    json_t *config = NULL, *adapter = NULL, *document = NULL;
    hone_status status = read_object(path, "adapter_config.json", &adapter, err);
    if (status == HONE_OK)
        status = read_object(path, "config.json", &config, err);
    if (status == HONE_OK && !adapter && !config)
        status = hone_fail(err, HONE_NOT_FOUND,
                           "%s: neither config.json (a model) nor adapter_config.json (an adapter) is there", path);
    if (status == HONE_OK) {
        document = json_pack("{s:s, s:s, s:O}", "path", path, "kind", adapter ? "adapter" : "model folder", "metadata",
                             adapter ? adapter : config);
        status = document ? read_tensors(path, document, err)
                          : hone_fail(err, HONE_BAD_FORMAT, "%s: the path is not valid UTF-8", path);
    }
    if (status == HONE_OK && adapter)
        count_adapted(document);
    else if (status == HONE_OK)
        try_opening(path, document);
    json_decref(config);
    json_decref(adapter);
    if (status != HONE_OK) {
        json_decref(document);
        document = NULL;
    }
    *out = document;
    return status;
}
