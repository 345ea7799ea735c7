/* model_argument.h - the -m option that every command with a model has. */
#ifndef HONE_CLI_MODEL_ARGUMENT_H
#define HONE_CLI_MODEL_ARGUMENT_H

#include "engine/engine.h"

/* What --adapter takes, for the help: hone_engine_find_adapter reads it. */
#define HONE_ADAPTER_HELP "a tuned adapter: a name in adapters/ here or in hone's home folder, or a path"

/* The option --numerics of every command that computes with a model. */
#define HONE_NUMERICS_OPTION(value)                                                                                    \
    {                                                                                                                  \
        "numerics", 0, HONE_OPTION_TEXT, value, "f32|bf16",                                                            \
            "arithmetic of products with weights: f32 (default), or bf16: faster with AVX-512 BF16, less exact"        \
    }
/* NULL: f32. HONE_BAD_INPUT: another word. */
hone_status hone_cli_read_numerics(const char *text, hone_numerics *out, hone_error *err);
/* Says on standard error when this processor lacks the instruction of the class. */
void hone_cli_warn_about_numerics(const hone_ops *ops);

/* Resolves MODEL (catalogue name, GGUF file or Hugging Face folder) and opens it. threads 0: all. numerics: what
 * --numerics said, or NULL. */
hone_status hone_cli_open_engine(const char *model, int64_t threads, uint64_t cache_bytes, const char *numerics,
                                 hone_engine **out, hone_error *err);

/* The paths of a model and of an adapter (NULL: none) by their names, for commands that read files and need no engine.
 * *path and *folder are the caller's to free; *folder is NULL without an adapter. */
hone_status hone_cli_find_files(const char *model, const char *adapter, char **path, char **folder, hone_error *err);

#endif
