/* inspect_folder.h - what is inside a Hugging Face folder: a model's, or an adapter's as PEFT writes it. */
#ifndef HONE_CLI_INSPECT_FOLDER_H
#define HONE_CLI_INSPECT_FOLDER_H

#include "base/status.h"

#include <jansson.h>

/* {"path", "kind": "model folder" or "adapter", "size_bytes", "weights", "types", "metadata", "tensors"} and, of a
 * model, "runs" with "why_not" where hone does not run it; of an adapter "adapted_layers". HONE_NOT_FOUND: neither
 * config.json nor adapter_config.json is there. */
hone_status hone_inspect_folder(const char *path, json_t **out, hone_error *err);

#endif
