/* cmd_model_merge.c - `hone model merge`: base and adapter as one model, and how far it is from the two; `hone model
 * convert`: the same without an adapter. */
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_argument.h"
#include "cli/model_format.h"
#include "cli/progress_bar.h"
#include "cli/sample_text.h"
#include "model/folder_write.h"
#include "model/merge.h"
#include "model/model_file.h"
#include "model/trace.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_merge(int argc, char **argv);
static int run_convert(int argc, char **argv);

#define CHECKED                                                                                                        \
    "Rounding to the type changes outputs a little: a text is run through both and the difference printed. f32 is\n"   \
    "exact to rounding."

const hone_command hone_command_model_merge = {
    .name = "model merge",
    .usage = "-m MODEL [--adapter ADAPTER] -o OUTPUT [--format gguf|hf] [--type f16|f32|bf16|q8_0]",
    .summary = "fold an adapter into its base and write one model",
    .details =
        "A GGUF file, which hone and llama.cpp load, or with --format hf a Hugging Face folder, which transformers\n"
        "loads too. " CHECKED,
    .run = run_merge,
};

const hone_command hone_command_model_convert = {
    .name = "model convert",
    .usage = "-m MODEL -o OUTPUT [--format gguf|hf] [--type f16|f32|bf16|q8_0]",
    .summary = "write a model as GGUF file or Hugging Face folder, in another type",
    .details = "From either to either. " CHECKED,
    .run = run_convert,
};

typedef struct settings {
    const char *model, *adapter, *out, *format, *type;
    bool json;
    int64_t threads;
} settings;

static hone_status check_settings(const settings *s, const hone_arguments *arguments, bool takes_adapter,
                                  hone_tuned_output *output, hone_error *err)
{
    if (arguments->n > 0 || !s->model || !s->out)
        return hone_fail(err, HONE_BAD_INPUT,
                         takes_adapter
                             ? "name the model, the adapter and what to write, as in: hone model merge -m "
                               "smollm2-135m --adapter my-adapter -o merged.gguf (hone model convert goes "
                               "without adapter)"
                             : "name the model and what to write, as in: hone model convert -m smollm2-135m -o "
                               "folder --format hf");
    if (s->threads < 0 || s->threads > 256)
        return hone_fail(err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)s->threads);
    return hone_cli_parse_output(s->format, s->type, output, err);
}

static hone_status merge(const settings *s, const char *path, const hone_gguf *file, const hone_tuned_output *output,
                         hone_error *err)
{
    hone_ops *ops = NULL;
    hone_model *model = NULL;
    hone_adapter *adapter = NULL;
    hone_model_bytes bytes = {0};
    char hash[65] = "";
    hone_status status = hone_model_bytes_open(path, &bytes, err);
    if (status == HONE_OK)
        hone_model_bytes_hash(&bytes, hash);
    if (status == HONE_OK)
        status = hone_ops_create((int)s->threads, &ops, err);
    if (status == HONE_OK)
        status = hone_model_open(ops, file, &model, err);
    if (status == HONE_OK && s->adapter)
        status = hone_adapter_load(model, s->adapter, &adapter, err);
    if (status == HONE_OK && adapter && adapter->base_hash[0] && strcmp(adapter->base_hash, hash) != 0)
        hone_progress_note(hone_progress_bar(),
                           "note: the adapter was trained on another file of this shape (sha256 %.12s..., this one is "
                           "%.12s...)",
                           adapter->base_hash, hash);
    hone_merge m = {.file = file,
                    .adapter = adapter,
                    .type = output->type,
                    .base_hash = hash,
                    .folder = output->folder,
                    .base_folder = hone_folder_exists(path) ? path : NULL};
    if (status == HONE_OK)
        status = hone_model_merge(&m, s->out, hone_progress_bar(), err);
    hone_adapter_free(adapter);
    hone_model_close(model);
    hone_ops_free(ops);
    hone_model_bytes_close(&bytes);
    return status;
}

/* What was written against base + adapter, on the sample text. */
static hone_status measure(const settings *s, const hone_gguf *base, hone_trace_difference *out, hone_error *err)
{
    hone_model_file merged = {0};
    hone_token_list ids = {0};
    hone_status status = hone_sample_encode(base, hone_sample_text, HONE_SAMPLE_TOKENS, &ids, err);
    if (status == HONE_OK)
        status = hone_model_file_open(s->out, &merged, err);
    const hone_sample_side written = {.file = &merged.gguf}, from = {.file = base, .adapter = s->adapter};
    if (status == HONE_OK)
        status = hone_sample_compare(&written, &from, &ids, (int)s->threads, hone_progress_bar(), out, err);
    hone_token_list_clear(&ids);
    hone_model_file_close(&merged);
    return status;
}

static int64_t written_bytes(const settings *s, const hone_tuned_output *output)
{
    char *path = output->folder ? hone_path_join(s->out, HONE_FOLDER_WEIGHTS) : NULL;
    int64_t bytes = hone_file_size_bytes(path ? path : s->out);
    free(path);
    return bytes;
}

static void print_result(const settings *s, int64_t bytes, const hone_trace_difference *d)
{
    char size[32];
    if (s->json) {
        json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:I}", "path", s->out, "type", s->type, "size_bytes",
                              (json_int_t)bytes, "tokens", (json_int_t)d->n_rows, "logprob_mean", d->logprob_mean,
                              "logprob_worst", d->logprob_worst, "logits_max_abs", d->logits.worst, "same_best_token",
                              (json_int_t)d->n_best);
        if (o)
            json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
        return;
    }
    hone_format_bytes((uint64_t)bytes, size);
    printf("%s: %s, matrices as %s\n", s->out, size, s->type);
    printf("against %s on %lld tokens: log-probabilities %.1e nats apart on average, %.1e at worst; the most likely "
           "next token is the same in %lld of %lld places\n",
           s->adapter ? "base + adapter" : "the model it was made from", (long long)d->n_rows, d->logprob_mean,
           d->logprob_worst, (long long)d->n_best, (long long)d->n_rows);
}

static int run(const hone_command *command, bool takes_adapter, int argc, char **argv)
{
    settings s = {.type = "f16"};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &s.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"output", 'o', HONE_OPTION_TEXT, &s.out, "OUTPUT", "the file or folder to write"},
        {"format", 0, HONE_OPTION_TEXT, &s.format, "FORM", "gguf (default) or hf, a Hugging Face folder"},
        {"type", 0, HONE_OPTION_TEXT, &s.type, "TYPE", "of all matrices: f16 (default), f32, bf16 or q8_0"},
        {"threads", 0, HONE_OPTION_INTEGER, &s.threads, "N", "threads (default: all processors)"},
        {"json", 0, HONE_OPTION_FLAG, &s.json, NULL, "print one JSON document"},
        {"adapter", 0, HONE_OPTION_TEXT, &s.adapter, "ADAPTER", HONE_ADAPTER_HELP},
    };
    hone_arguments arguments;
    size_t n_options = sizeof options / sizeof *options - !takes_adapter;
    int code = hone_options_begin(command, options, n_options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_tuned_output output;
    hone_model_file file = {0};
    hone_trace_difference difference = {0};
    char *path = NULL, *folder = NULL;
    hone_status status = check_settings(&s, &arguments, takes_adapter, &output, &err);
    if (status == HONE_OK)
        status = hone_cli_find_files(s.model, s.adapter, &path, &folder, &err);
    s.adapter = folder;
    if (status == HONE_OK)
        status = hone_model_file_open(path, &file, &err);
    if (status == HONE_OK)
        status = merge(&s, path, &file.gguf, &output, &err);
    if (status == HONE_OK)
        status = measure(&s, &file.gguf, &difference, &err);
    if (status == HONE_OK)
        print_result(&s, written_bytes(&s, &output), &difference);
    hone_trace_difference_clear(&difference);
    hone_model_file_close(&file);
    free(path);
    free(folder);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(command, &err);
}

static int run_merge(int argc, char **argv)
{
    return run(&hone_command_model_merge, true, argc, argv);
}

static int run_convert(int argc, char **argv)
{
    return run(&hone_command_model_convert, false, argc, argv);
}
