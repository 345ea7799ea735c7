/* stored.c - a task's folder and its ledger, found without making either. */
#include "cli/stored.h"

#include "base/file.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

hone_status hone_stored_task_folder(const char *argument, char **out, hone_error *err)
{
    *out = NULL;
    char *folder = strdup(argument);
    if (!folder)
        return hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the task");
    if (hone_folder_exists(folder)) {
        *out = folder;
        return HONE_OK;
    }
    bool is_file = hone_file_exists(folder);
    *out = is_file ? strdup(dirname(folder)) : NULL;
    free(folder);
    if (!is_file)
        return hone_fail(err, HONE_NOT_FOUND, "%s: there is no such task; give its folder or its task.yaml", argument);
    return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the task");
}

/* The ledger is looked for first: opening one would create it. */
hone_status hone_stored_ledger_open(const char *folder, hone_ledger **out, hone_error *err)
{
    *out = NULL;
    char *path = hone_path_join(folder, ".hone/ledger.sqlite");
    hone_status status = HONE_OK;
    if (!path)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the ledger");
    else if (hone_file_exists(path))
        status = hone_ledger_open(path, out, err);
    free(path);
    return status;
}
