/* model_format.c - how a model is to be written. */
#include "cli/model_format.h"

#include "tensor/convert.h"

#include <string.h>

hone_status hone_cli_parse_output(const char *format, const char *type, hone_tuned_output *out, hone_error *err)
{
    *out = (hone_tuned_output){.folder = format && strcmp(format, "hf") == 0, .typed = type != NULL};
    if (format && !out->folder && strcmp(format, "gguf") != 0)
        return hone_fail(err, HONE_BAD_INPUT, "--format %s; it can be gguf (a file) or hf (a Hugging Face folder)",
                         format);
    if (type && !hone_dtype_parse_written(type, &out->type))
        return hone_fail(err, HONE_BAD_INPUT, "--type %s; hone writes f32, f16, bf16 and q8_0", type);
    if (out->folder && out->type == HONE_Q8_0)
        return hone_fail(err, HONE_BAD_INPUT,
                         "--type q8_0 is for GGUF files; a Hugging Face folder holds f32, f16 or bf16");
    return HONE_OK;
}
