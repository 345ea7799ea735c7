/* template.c - compiling and rendering chat templates: the entry to the interpreter in jinja_*.c. */
#include "text/template.h"

#include "text/jinja_evaluate.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct hone_template {
    hone_arena *arena; /* source, names, constants, tree; read-only once compiled */
    jinja_program program;
};

/* Jinja2's reading of the source: all line ends become "\n", and one at the very end is dropped. */
static char *normalised(hone_arena *arena, const char *source, size_t length, size_t *out_length)
{
    char *text = hone_arena_alloc(arena, length + 1);
    size_t n = 0;
    if (!text)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        bool after_return = i > 0 && source[i - 1] == '\r';
        if (source[i] == '\n' && after_return)
            continue;
        text[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && text[n - 1] == '\n')
        n--;
    *out_length = n;
    return text;
}

hone_status hone_template_create(const char *source, size_t length, hone_template **out, hone_error *err)
{
    hone_template *t = NULL;
    jinja_tokens tokens = {0};
    hone_status status = HONE_OK;
    size_t bad_at = 0, n = 0;
    *out = NULL;
    if (length > JINJA_MAX_SOURCE_BYTES)
        return hone_fail(err, HONE_BAD_FORMAT, "the template has %zu bytes, more than the %zu MiB allowed", length,
                         JINJA_MAX_SOURCE_BYTES >> 20);
    if (!hone_utf8_valid(source, length, &bad_at))
        return hone_fail(err, HONE_BAD_FORMAT, "the template is not valid UTF-8 at byte %zu", bad_at);
    t = calloc(1, sizeof *t);
    if (t)
        t->arena = hone_arena_create();
    char *text = t && t->arena ? normalised(t->arena, source, length, &n) : NULL;
    if (!text) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory while reading a template");
        goto done;
    }
    status = jinja_tokenize(text, n, t->arena, &tokens, err);
    if (status == HONE_OK)
        status = jinja_parse(&tokens, t->arena, &t->program, err);
    if (status != HONE_OK)
        goto done;
    *out = t;
    t = NULL;
done:
    free(tokens.items);
    hone_template_free(t);
    return status;
}

void hone_template_free(hone_template *t)
{
    if (!t)
        return;
    hone_arena_free(t->arena);
    free(t);
}

bool hone_template_marks_generation(const hone_template *t)
{
    return t->program.marks_generation;
}

void hone_template_spans_clear(hone_template_spans *spans)
{
    free(spans->items);
    memset(spans, 0, sizeof *spans);
}

static bool set_variable(jinja_run *run, jinja_scope *scope, const char *name, jinja_value value)
{
    jinja_value key;
    return jinja_literal(run, name, &key) && jinja_dict_set(run, &scope->variables, key, value);
}

/* The variables transformers defines for every template, then those of the context over them. */
static bool set_variables(jinja_run *run, jinja_scope *scope, const json_t *context)
{
    const hone_template_options *o = run->options;
    const struct {
        const char *name, *value;
    } tokens[] = {{"bos_token", o ? o->bos_token : NULL},
                  {"eos_token", o ? o->eos_token : NULL},
                  {"unk_token", o ? o->unk_token : NULL},
                  {"pad_token", o ? o->pad_token : NULL}};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        jinja_value text;
        if (!tokens[i].value)
            continue;
        if (!hone_utf8_valid(tokens[i].value, strlen(tokens[i].value), NULL))
            return jinja_raise(run, "%s is not valid UTF-8", tokens[i].name);
        if (!jinja_literal(run, tokens[i].value, &text) || !set_variable(run, scope, tokens[i].name, text))
            return false;
    }
    if (!set_variable(run, scope, "tools", jinja_none()) || !set_variable(run, scope, "documents", jinja_none()))
        return false;
    jinja_value given;
    if (!jinja_from_json(run, context, 0, &given))
        return false;
    for (size_t i = 0; i < given.dict->n; i++)
        if (!jinja_dict_set(run, &scope->variables, given.dict->entries[i].key, given.dict->entries[i].value))
            return false;
    return true;
}

hone_status hone_template_render_spans(const hone_template *t, const json_t *context,
                                       const hone_template_options *options, hone_buffer *out,
                                       hone_template_spans *assistant_spans, hone_error *err)
{
    if (!json_is_object(context))
        return hone_fail(err, HONE_BAD_INPUT, "the context of a template must be a JSON object with \"messages\"");
    size_t begin = out->length;
    hone_buffer text = {0}; /* of its own, so that the limit counts this rendering alone */
    jinja_run run = {.arena = hone_arena_create(),
                     .steps_left = JINJA_MAX_STEPS,
                     .line = 1,
                     .out = &text,
                     .spans = assistant_spans,
                     .options = options,
                     .err = err};
    if (assistant_spans)
        assistant_spans->n = 0;
    jinja_scope *scope = NULL;
    if (!run.arena)
        jinja_out_of_memory(&run);
    else
        scope = jinja_scope_new(&run, NULL);
    if (scope && set_variables(&run, scope, context) && jinja_execute(&run, scope, &t->program.body)) {
        hone_buffer_append(out, text.data, text.length);
        if (out->failed)
            jinja_out_of_memory(&run);
    }
    if (run.status != HONE_OK) {
        if (assistant_spans)
            assistant_spans->n = 0;
        if (out->data && out->length > begin)
            out->data[out->length = begin] = 0;
    }
    hone_buffer_clear(&text);
    hone_arena_free(run.arena);
    return run.status;
}

hone_status hone_template_render(const hone_template *t, const json_t *context, const hone_template_options *options,
                                 hone_buffer *out, hone_error *err)
{
    return hone_template_render_spans(t, context, options, out, NULL, err);
}

const char *hone_template_plain(void)
{
    /* Content may be a string or a list of parts with "text"; anything but these three roles is refused rather than
     * dropped. The space before an answer belongs to it: most vocabularies have words with their leading space. */
    return "{%- macro text(message) -%}\n"
           "{%- if message.content is string -%}{{ message.content | trim }}\n"
           "{%- else -%}{%- for part in message.content or [] -%}{{ part.text | trim }}{%- endfor -%}\n"
           "{%- endif -%}\n"
           "{%- endmacro -%}\n"
           "{%- for message in messages -%}\n"
           "{%- if message.role == 'system' -%}\n"
           "{{ text(message) + '\\n\\n' }}\n"
           "{%- elif message.role == 'user' -%}\n"
           "{{ 'Input: ' + text(message) + '\\nOutput:' }}\n"
           "{%- elif message.role == 'assistant' -%}\n"
           "{%- generation -%}{{ ' ' + text(message) + '\\n\\n' }}{%- endgeneration -%}\n"
           "{%- else -%}\n"
           "{{- raise_exception('the plain template has no place for the role ' ~ message.role) -}}\n"
           "{%- endif -%}\n"
           "{%- endfor -%}";
}
