/* framing.c - expansion of {{fields}}, a single pass from left to right. */
#include "prompt/framing.h"

#include "base/text.h"

#include <string.h>

enum { MAX_FIELD_NAME = 128, MAX_SUGGESTIONS = 64 };

/* Names under which rows carry their answer (FORMATS, Data), beside the field that this row's was read from: framing a
 * prompt with one would give the answer away. */
static const char *const answer_fields[] = {"output",   "completion",   "answer",           "chosen",
                                            "rejected", "label",        "preferred_output", "non_preferred_output",
                                            "messages", "conversations"};

typedef struct field_reference {
    char name[MAX_FIELD_NAME];
    const char *end; /* after the closing braces */
} field_reference;

/* text stands at "{{". False when it is not closed or the name is empty or too long. */
static bool read_field(const char *text, field_reference *out)
{
    const char *close = strstr(text + 2, "}}");
    if (!close)
        return false;
    const char *first = text + 2, *last = close;
    while (first < last && (*first == ' ' || *first == '\t'))
        first++;
    while (last > first && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    size_t length = (size_t)(last - first);
    if (length == 0 || length >= MAX_FIELD_NAME)
        return false;
    memcpy(out->name, first, length);
    out->name[length] = 0;
    out->end = close + 2;
    return true;
}

static bool is_answer_of(const char *name, const hone_row *row)
{
    return row->answer_field && strcmp(name, row->answer_field) == 0;
}

static bool is_answer(const char *name, const hone_row *row)
{
    if (is_answer_of(name, row))
        return true;
    for (size_t i = 0; i < sizeof answer_fields / sizeof *answer_fields; i++)
        if (strcmp(name, answer_fields[i]) == 0)
            return true;
    return false;
}

static hone_status unknown_field(const char *name, const hone_row *row, hone_error *err)
{
    const char *names[MAX_SUGGESTIONS];
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row->fields, key, value) if (n < MAX_SUGGESTIONS) names[n++] = key;
    const char *near = n ? hone_suggest(name, names, n) : NULL;
    const char *file = row->file ? row->file : "row";
    if (near)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s:%lld: prompt.context uses {{%s}}, which this row does not have (did you "
                         "mean {{%s}}?)",
                         file, (long long)row->line, name, near);
    return hone_fail(err, HONE_BAD_INPUT,
                     "%s:%lld: prompt.context uses {{%s}}, which this row does not have. Add the field "
                     "to the row or take it out of task.yaml.",
                     file, (long long)row->line, name);
}

static hone_status append_value(const char *name, const hone_row *row, hone_buffer *out, hone_error *err)
{
    const char *file = row->file ? row->file : "row";
    if (is_answer(name, row))
        return hone_fail(err, HONE_BAD_INPUT,
                         "prompt.context uses {{%s}}, which is %sthe answer: the model would be given what it is asked "
                         "for. Take it out of task.yaml%s.",
                         name, is_answer_of(name, row) ? "" : "a usual name of ",
                         is_answer_of(name, row) ? "" : ", or rename the field if it is something else");
    const json_t *value = row->fields ? json_object_get(row->fields, name) : NULL;
    if (!value && strcmp(name, "input") == 0) {
        hone_buffer_puts(out, row->input);
        return HONE_OK;
    }
    if (!value)
        return unknown_field(name, row, err);
    switch (json_typeof(value)) {
    case JSON_STRING:
        hone_buffer_append(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        hone_buffer_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        hone_buffer_printf(out, "%.15g", json_real_value(value));
        break;
    case JSON_TRUE:
        hone_buffer_puts(out, "true");
        break;
    case JSON_FALSE:
        hone_buffer_puts(out, "false");
        break;
    default:
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s:%lld: prompt.context uses {{%s}}, which is no text, number or truth value "
                         "in this row",
                         file, (long long)row->line, name);
    }
    return HONE_OK;
}

hone_status hone_framing_expand(const char *text, const hone_row *row, hone_buffer *out, hone_error *err)
{
    while (*text) {
        const char *open = strstr(text, "{{");
        if (!open) {
            hone_buffer_puts(out, text);
            break;
        }
        hone_buffer_append(out, text, (size_t)(open - text));
        field_reference field;
        if (!read_field(open, &field))
            return hone_fail(err, HONE_BAD_INPUT, "prompt.context: \"%.30s\" is no field; write {{name}}", open);
        hone_status status = append_value(field.name, row, out, err);
        if (status != HONE_OK)
            return status;
        text = field.end;
    }
    return out->failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory for a prompt") : HONE_OK;
}

bool hone_framing_uses(const char *text, const char *field)
{
    field_reference reference;
    for (const char *open = strstr(text, "{{"); open; open = strstr(reference.end, "{{")) {
        if (!read_field(open, &reference))
            return false;
        if (strcmp(reference.name, field) == 0)
            return true;
    }
    return false;
}
