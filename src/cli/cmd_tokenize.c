/* cmd_tokenize.c - `hone tokenize`: text on stdin to a JSON list of ids on stdout, and back. */
#include "cli/commands.h"

#include "base/file.h"
#include "catalogue/models.h"
#include "model/model_file.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hone_status ids_of_text(const hone_tokenizer *t, const hone_buffer *in, bool parse_special, hone_buffer *out,
                               hone_error *err)
{
    hone_token_list ids = {0};
    hone_status status = hone_tokenizer_encode(t, in->data ? in->data : "", in->length, parse_special, &ids, err);
    if (status == HONE_OK) {
        for (size_t i = 0; i < ids.n; i++)
            hone_buffer_printf(out, "%s%d", i ? ", " : "[", ids.data[i]);
        hone_buffer_puts(out, ids.n ? "]\n" : "[]\n");
    }
    hone_token_list_clear(&ids);
    return status;
}

static hone_status read_ids(const hone_buffer *in, hone_token_list *ids, hone_error *err)
{
    json_error_t fault;
    json_t *list = json_loadb(in->data ? in->data : "", in->length, 0, &fault), *item;
    hone_status status = HONE_OK;
    size_t i;
    if (!list)
        return hone_fail(err, HONE_BAD_INPUT,
                         "standard input: line %d: %s; a JSON list of ids is expected, such as [1, 2]", fault.line,
                         fault.text);
    if (!json_is_array(list))
        status = hone_fail(err, HONE_BAD_INPUT, "standard input: a JSON list of ids is expected, such as [1, 2]");
    json_array_foreach(list, i, item)
    {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id > INT32_MAX)
            status = hone_fail(err, HONE_BAD_INPUT, "standard input: item %zu of the list is not a token id", i + 1);
        else
            status = hone_token_list_push(ids, (int32_t)id, err);
        if (status != HONE_OK)
            break;
    }
    json_decref(list);
    return status;
}

static hone_status text_of_ids(const hone_tokenizer *t, const hone_buffer *in, hone_buffer *out, hone_error *err)
{
    hone_token_list ids = {0};
    hone_status status = read_ids(in, &ids, err);
    if (status == HONE_OK)
        status = hone_tokenizer_decode(t, ids.data, ids.n, true, out, err);
    hone_token_list_clear(&ids);
    return status;
}

static int run(int argc, char **argv)
{
    const char *model = NULL;
    bool parse_special = false, decode = false;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL",
         "the model (or vocabulary) whose tokens to use: a name, a GGUF file or a folder"},
        {"parse-special", 0, HONE_OPTION_FLAG, &parse_special, NULL,
         "text such as <|im_start|> becomes its control token"},
        {"decode", 0, HONE_OPTION_FLAG, &decode, NULL,
         "read a JSON list of ids, write their text, special tokens shown"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_tokenize, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;

    hone_error err;
    hone_model_file file = {0};
    hone_tokenizer *t = NULL;
    char *path = NULL;
    hone_buffer in = {0}, out = {0};
    hone_status status = HONE_OK;
    if (!model)
        status = hone_fail(&err, HONE_BAD_INPUT, "no model given; name one with -m MODEL");
    else if (arguments.n)
        status = hone_fail(&err, HONE_BAD_INPUT, "\"%s\": the text comes on standard input, not as an argument",
                           arguments.items[0]);
    if (status == HONE_OK)
        status = hone_model_resolve(model, &path, &err);
    if (status == HONE_OK)
        status = hone_model_file_open(path, &file, &err);
    if (status != HONE_OK)
        goto done;
    status = hone_tokenizer_from_gguf(&file.gguf, &t, &err);
    hone_model_file_close(&file);
    if (status == HONE_OK)
        status = hone_file_read("-", 0, &in, &err);
    if (status == HONE_OK)
        status = decode ? text_of_ids(t, &in, &out, &err) : ids_of_text(t, &in, parse_special, &out, &err);
    if (status == HONE_OK && out.failed)
        status = hone_fail(&err, HONE_NO_MEMORY, "out of memory for the output");
    if (status == HONE_OK &&
        (fwrite(out.data ? out.data : "", 1, out.length, stdout) != out.length || fflush(stdout) != 0))
        status = hone_fail(&err, HONE_IO, "cannot write to standard output");
done:
    free(path);
    hone_buffer_clear(&in);
    hone_buffer_clear(&out);
    hone_tokenizer_free(t);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_tokenize, &err);
}

const hone_command hone_command_tokenize = {
    .name = "tokenize",
    .usage = "-m MODEL [--parse-special | --decode]",
    .summary = "text to token ids and back",
    .details = "Reads text on standard input and writes the ids as a JSON list; --decode does the reverse.\n"
               "No BOS is added. The text is taken byte for byte, a newline at its end included.",
    .run = run,
};
