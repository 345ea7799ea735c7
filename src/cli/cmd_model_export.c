/* cmd_model_export.c - `hone model export`: an adapter in another program's format. */
#include "cli/commands.h"
#include "cli/model_argument.h"
#include "model/adapter.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);

const hone_command hone_command_model_export = {
    .name = "model export",
    .usage = "-m MODEL --adapter ADAPTER --to gguf-lora FILE",
    .summary = "write an adapter as a GGUF file that llama.cpp loads",
    .details = "The model is the one the adapter was trained on: names, order of rows and architecture are its own.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *name = NULL, *format = "gguf-lora";
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 0, HONE_OPTION_TEXT, &name, "ADAPTER", HONE_ADAPTER_HELP},
        {"to", 0, HONE_OPTION_TEXT, &format, "FORMAT", "gguf-lora (default)"},
    };
    hone_arguments arguments;
    hone_error err;
    hone_engine *engine = NULL;
    hone_adapter *adapter = NULL;
    hone_status status = HONE_OK;
    int code = hone_options_begin(&hone_command_model_export, options, sizeof options / sizeof *options, argc, argv,
                                  &arguments);
    if (code >= 0)
        return code;
    if (arguments.n != 1 || !name)
        status = hone_fail(&err, HONE_BAD_INPUT,
                           "name the adapter and the file to write, as in: hone model export -m smollm2-135m "
                           "--adapter my-adapter --to gguf-lora my-adapter.gguf");
    else if (strcmp(format, "gguf-lora") != 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "--to %s; hone writes gguf-lora", format);
    if (status == HONE_OK)
        status = hone_cli_open_engine(model, 0, 0, NULL, &engine, &err);
    if (status == HONE_OK)
        status = hone_engine_find_adapter(engine, name, &adapter, &err);
    if (status == HONE_OK)
        status = hone_adapter_export_gguf(adapter, arguments.items[0], &err);
    hone_engine_close(engine);
    if (status != HONE_OK)
        return hone_command_failed(&hone_command_model_export, &err);
    puts(arguments.items[0]);
    return HONE_EXIT_DONE;
}
