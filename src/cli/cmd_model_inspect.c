/* cmd_model_inspect.c - `hone model inspect`: what is inside a model file, a model folder or an adapter. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "cli/inspect_folder.h"
#include "format/gguf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_TEXT = 60 };

static json_t *value_json(const hone_gguf_value *v, const hone_gguf *file)
{
    if (v->type == HONE_GGUF_ARRAY)
        return json_pack("{s:I}", "array_of", (json_int_t)v->n);
    if (v->type == HONE_GGUF_STRING) {
        hone_gguf_string s = {0};
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)v->key.length, v->key.data);
        hone_gguf_get_string(file, key, &s);
        json_t *text = json_stringn(s.data, s.length);
        return text ? text : json_string("(not UTF-8)");
    }
    if (v->type == HONE_GGUF_BOOL)
        return json_boolean(*v->data != 0);
    if (v->type == HONE_GGUF_F32 || v->type == HONE_GGUF_F64)
        return json_real(hone_gguf_float_at(v, 0));
    return json_integer(hone_gguf_int_at(v, 0));
}

static json_t *inspect(const hone_gguf *file, const char *path)
{
    json_t *values = json_object(), *tensors = json_array(), *types = json_object();
    int64_t weights = 0;
    for (size_t i = 0; i < file->n_values; i++) {
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)file->values[i].key.length, file->values[i].key.data);
        json_object_set_new(values, key, value_json(&file->values[i], file));
    }
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        const hone_dtype_info *info = hone_dtype_get_info(t->dtype);
        json_t *shape = json_array();
        int64_t n = 1;
        for (uint32_t d = 0; d < t->n_dims; d++) {
            json_array_append_new(shape, json_integer(t->ne[d]));
            n *= t->ne[d];
        }
        weights += n;
        json_array_append_new(tensors, json_pack("{s:s%, s:s, s:o, s:I}", "name", t->name.data, t->name.length, "type",
                                                 info->name, "shape", shape, "bytes", (json_int_t)t->size_bytes));
        json_object_set_new(types, info->name,
                            json_integer(json_integer_value(json_object_get(types, info->name)) + 1));
    }
    return json_pack("{s:s, s:s, s:I, s:i, s:I, s:o, s:o, s:o}", "path", path, "kind", "GGUF", "size_bytes",
                     (json_int_t)file->map.size_bytes, "gguf_version", (int)file->version, "weights",
                     (json_int_t)weights, "types", types, "metadata", values, "tensors", tensors);
}

static void print_text(const json_t *document)
{
    const char *key;
    json_t *value;
    char size[32], weights[32];
    hone_format_bytes((uint64_t)json_integer_value(json_object_get(document, "size_bytes")), size);
    hone_format_count(json_integer_value(json_object_get(document, "weights")), weights);
    printf("%s: %s", json_string_value(json_object_get(document, "path")),
           json_string_value(json_object_get(document, "kind")));
    if (json_object_get(document, "gguf_version"))
        printf(" version %lld", json_integer_value(json_object_get(document, "gguf_version")));
    printf(", %s, %s weights in %zu tensors (", size, weights, json_array_size(json_object_get(document, "tensors")));
    bool first = true;
    json_object_foreach(json_object_get(document, "types"), key, value)
    {
        printf("%s%lld %s", first ? "" : ", ", json_integer_value(value), key);
        first = false;
    }
    printf(")\n");
    if (json_object_get(document, "adapted_layers"))
        printf("adapts %lld linear layers; the values below are PEFT's, base_model_name_or_path is the base\n",
               json_integer_value(json_object_get(document, "adapted_layers")));
    if (json_is_true(json_object_get(document, "runs")))
        printf("hone runs it: hone run -m %s\n", json_string_value(json_object_get(document, "path")));
    if (json_object_get(document, "why_not"))
        printf("hone does not run it: %s\n", json_string_value(json_object_get(document, "why_not")));
    putchar('\n');
    json_object_foreach(json_object_get(document, "metadata"), key, value)
    {
        if (json_is_string(value)) {
            char text[LONGEST_TEXT + 8];
            snprintf(text, sizeof text, "%.*s%s", LONGEST_TEXT, json_string_value(value),
                     json_string_length(value) > LONGEST_TEXT ? "..." : "");
            for (char *c = text; *c; c++)
                *c = (unsigned char)*c < 32 ? ' ' : *c;
            printf("  %-42s %s\n", key, text);
        } else if (json_object_get(value, "array_of"))
            printf("  %-42s %lld elements\n", key, json_integer_value(json_object_get(value, "array_of")));
        else {
            char *text = json_dumps(value, JSON_ENCODE_ANY);
            printf("  %-42s %s\n", key, text ? text : "?");
            free(text);
        }
    }
}

static hone_status inspect_file(const char *path, json_t **out, hone_error *err)
{
    hone_gguf file;
    hone_status status = hone_gguf_open(path, &file, err);
    if (status != HONE_OK)
        return status;
    *out = inspect(&file, path);
    hone_gguf_close(&file);
    return *out ? HONE_OK : hone_fail(err, HONE_BAD_FORMAT, "%s: names in it are not UTF-8", path);
}

static int run(int argc, char **argv);

const hone_command hone_command_model_inspect = {
    .name = "model inspect",
    .usage = "MODEL|FOLDER [--json]",
    .summary = "show what is inside a model file, a model folder or an adapter",
    .details =
        "Metadata and tensors of a GGUF file, a catalogue model, a Hugging Face folder or an adapter as PEFT writes\n"
        "it; of a folder also whether hone runs it and if not, why. --json lists every tensor.",
    .run = run,
};

static int run(int argc, char **argv)
{
    bool as_json = false;
    const hone_option options[] = {{"json", 0, HONE_OPTION_FLAG, &as_json, NULL, "everything, as JSON"}};
    hone_arguments arguments;
    int code = hone_options_begin(&hone_command_model_inspect, options, 1, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    char *path = NULL;
    hone_status status = arguments.n == 1 ? hone_model_resolve(arguments.items[0], &path, &err)
                                          : hone_fail(&err, HONE_BAD_INPUT, "name one model");
    json_t *document = NULL;
    if (status == HONE_OK)
        status =
            hone_folder_exists(path) ? hone_inspect_folder(path, &document, &err) : inspect_file(path, &document, &err);
    if (status == HONE_OK && as_json) {
        json_dumpf(document, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (status == HONE_OK)
        print_text(document);
    json_decref(document);
    free(path);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_model_inspect, &err);
}
