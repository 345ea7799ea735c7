/* cmd_model_pull.c - `hone model pull`: gets a model of the catalogue into the cache. */
#include "catalogue/models.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv);

const hone_command hone_command_model_pull = {
    .name = "model pull",
    .usage = "NAME [options]",
    .summary = "get a model by its catalogue name and print where it lies",
    .details =
        "Sources are tried in order; size and sha256 are checked; a broken download is continued by the same command.\n"
        "Models are kept in HONE_HOME/models, else in the XDG cache folder (~/.cache/hone/models).",
    .run = run,
};

static hone_status print_json(const char *name, const char *path, const char *source, hone_error *err)
{
    hone_model_catalogue *catalogue = NULL;
    const hone_model_entry *entry = NULL;
    hone_status status = hone_model_catalogue_open(&catalogue, err);
    if (status == HONE_OK)
        status = hone_model_catalogue_find(catalogue, name, &entry, err);
    if (status == HONE_OK) {
        json_t *o = json_pack("{s:s, s:s, s:s?, s:I, s:s}", "name", entry->name, "path", path, "sha256",
                              entry->n_files ? NULL : entry->sha256, "size_bytes", (json_int_t)entry->size_bytes,
                              "source", source);
        char *text = o ? json_dumps(o, JSON_ENSURE_ASCII) : NULL;
        if (text)
            puts(text);
        else
            status = hone_fail(err, HONE_BAD_INPUT, "%s: the path is not valid UTF-8", path);
        free(text);
        json_decref(o);
    }
    hone_model_catalogue_free(catalogue);
    return status;
}

static int run(int argc, char **argv)
{
    bool json = false, verify = false;
    const hone_option options[] = {
        {"verify", 0, HONE_OPTION_FLAG, &verify, NULL, "hash the file again even where that was done before"},
        {"json", 0, HONE_OPTION_FLAG, &json, NULL,
         "print {\"name\", \"path\", \"sha256\" (null for a folder), \"size_bytes\", \"source\"}"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_model_pull, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    if (arguments.n != 1) {
        hone_fail(&err, HONE_BAD_INPUT, "name one model, such as smollm2-135m; `hone model list` shows them");
        return hone_command_failed(&hone_command_model_pull, &err);
    }
    char *path = NULL, *source = NULL;
    hone_pull_options pull = {.verify = verify, .source_out = &source};
    hone_status status = hone_model_pull(arguments.items[0], &pull, hone_progress_bar(), &path, &err);
    if (status == HONE_OK && json)
        status = print_json(arguments.items[0], path, source, &err);
    else if (status == HONE_OK)
        puts(path);
    free(path);
    free(source);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_model_pull, &err);
}
