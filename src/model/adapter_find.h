/* adapter_find.h - what a user gives as ADAPTER -> the folder to load.
 *
 *   a path      it holds a '/', or is itself a folder with adapter_config.json
 *   a name      adapters/NAME below the current folder, where `hone train` puts it; else <home>/adapters/NAME, for
 * those that serve many tasks (hone_home_folder)
 *
 * The command line and the server ask here, so that a name means the same everywhere. Whether an adapter fits the base
 * is checked when it is loaded (hone_engine_load_adapter). */
#ifndef HONE_MODEL_ADAPTER_FIND_H
#define HONE_MODEL_ADAPTER_FIND_H

#include "base/status.h"

/* *folder is malloc'd. HONE_NOT_FOUND lists the names that there are, HONE_BAD_INPUT for an empty one. */
hone_status hone_adapter_find(const char *adapter, char **folder, hone_error *err);

#endif
