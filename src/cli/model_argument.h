/* model_argument.h - the -m option that every command with a model has. */
#ifndef HONE_CLI_MODEL_ARGUMENT_H
#define HONE_CLI_MODEL_ARGUMENT_H

#include "engine/engine.h"

/* What --adapter takes, for the help: hone_engine_find_adapter reads it. */
#define HONE_ADAPTER_HELP "a tuned adapter: a name in adapters/ here or in hone's home folder, or a path"

/* Resolves MODEL (catalogue name, GGUF file or Hugging Face folder) and opens it. threads 0: all. */
hone_status hone_cli_open_engine(const char *model, int64_t threads, uint64_t cache_bytes, hone_engine **out,
                                 hone_error *err);

#endif
