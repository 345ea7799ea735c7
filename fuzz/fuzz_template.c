/* fuzz_template.c - compiles bytes as a chat template and renders it. Built by ./dev fuzz with libFuzzer.
 *
 * What must hold: it ends, and a failure has a message and leaves the output as it was. Limits of jinja_run.h bound the
 * time of one input. A corpus of real templates (shared/templates) helps but is not needed. */
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *context;
    static const hone_template_options options = {"<s>", "</s>", "<unk>", "<pad>", "2024-07-26T12:00:00"};
    hone_error err = {0};
    hone_buffer out = {0};
    hone_template *t;
    if (!context)
        context = json_loads("{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":"
                             "\"\\u00fc <b>\"},{\"role\":\"assistant\",\"content\":\"A\",\"tool_calls\":[{\"function\":"
                             "{\"name\":\"f\",\"arguments\":{\"x\":1.5}}}]}],\"add_generation_prompt\":true}",
                             0, NULL);
    if (hone_template_create((const char *)data, size, &t, &err) != HONE_OK) {
        if (!err.message[0])
            abort();
        return 0;
    }
    if (hone_template_render(t, context, &options, &out, &err) != HONE_OK && (!err.message[0] || out.length))
        abort();
    hone_buffer_clear(&out);
    hone_template_free(t);
    return 0;
}
