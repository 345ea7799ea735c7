/* cmd_model_list.c - `hone model list`: the models hone knows by name. */
#include "base/text.h"
#include "catalogue/models.h"
#include "cli/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv);

const hone_command hone_command_model_list = {
    .name = "model list",
    .usage = "[--json]",
    .summary = "list the models that hone knows by name, and which are here",
    .run = run,
};

static json_t *as_json(const hone_model_entry *e, const char *path, bool present)
{
    json_t *aliases = json_array();
    for (size_t i = 0; aliases && i < e->n_aliases; i++)
        json_array_append_new(aliases, json_string(e->aliases[i]));
    json_t *files = json_array();
    for (size_t i = 0; files && i < e->n_files; i++)
        json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "file", e->files[i].file, "size_bytes",
                                               (json_int_t)e->files[i].size_bytes, "sha256", e->files[i].sha256));
    return json_pack("{s:s, s:o, s:s, s:s, s:I, s:s?, s:o, s:b, s:s}", "name", e->name, "aliases", aliases,
                     "description", e->description, "licence", e->licence, "size_bytes", (json_int_t)e->size_bytes,
                     "sha256", e->n_files ? NULL : e->sha256, "files", files, "present", present, "path", path);
}

static int run(int argc, char **argv)
{
    bool json = false;
    const hone_option options[] = {
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "print one JSON document"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_model_list, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    if (arguments.n != 0) {
        hone_fail(&err, HONE_BAD_INPUT, "takes no arguments");
        return hone_command_failed(&hone_command_model_list, &err);
    }
    hone_model_catalogue *catalogue = NULL;
    json_t *all = json_array();
    hone_status status = hone_model_catalogue_open(&catalogue, &err);
    size_t n = status == HONE_OK ? hone_model_catalogue_size(catalogue) : 0;
    if (n > 0 && !json)
        printf("%-20s %10s  %-14s %-8s %s\n", "name", "size", "licence", "here", "what it is");
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const hone_model_entry *e = hone_model_catalogue_get(catalogue, i);
        static const char *const states[] = {
            [HONE_MODEL_ABSENT] = "no", [HONE_MODEL_HERE] = "yes", [HONE_MODEL_DAMAGED] = "damaged"};
        char *path = NULL, size[32];
        hone_model_state state;
        status = hone_model_path(e, &path, &err);
        if (status == HONE_OK)
            status = hone_model_get_state(e, &state, &err);
        if (status != HONE_OK) {
            free(path);
            break;
        }
        hone_format_bytes((uint64_t)e->size_bytes, size);
        if (!json)
            printf("%-20s %10s  %-14s %-8s %s\n", e->name, size, e->licence, states[state], e->description);
        else if (json_array_append_new(all, as_json(e, path, state == HONE_MODEL_HERE)) < 0)
            status = hone_fail(&err, HONE_BAD_INPUT, "%s: the path is not valid UTF-8", path);
        free(path);
    }
    if (status == HONE_OK && json) {
        char *text = json_dumps(all, JSON_ENSURE_ASCII);
        if (text)
            printf("{\"models\": %s}\n", text);
        else
            status = hone_fail(&err, HONE_NO_MEMORY, "out of memory");
        free(text);
    }
    json_decref(all);
    hone_model_catalogue_free(catalogue);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_model_list, &err);
}
