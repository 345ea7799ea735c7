/* model_format.h - how a model is to be written, from --format and --type. */
#ifndef HONE_CLI_MODEL_FORMAT_H
#define HONE_CLI_MODEL_FORMAT_H

#include "base/status.h"
#include "model/tuned.h"

/* format: "gguf" or "hf"; type: "f32", "f16", "bf16", "q8_0"; each may be NULL (gguf; not typed). HONE_BAD_INPUT:
 * another word, or a type that the form does not have. */
hone_status hone_cli_parse_output(const char *format, const char *type, hone_tuned_output *out, hone_error *err);

#endif
