/* rows.c - from a JSON object (a CSV record becomes one) to input, output and group. */
#include "task/rows.h"

#include "base/hash.h"
#include "base/text.h"
#include "format/csv.h"
#include "format/jsonl.h"
#include "task/conversation.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct row_reader {
    const char *path;
    const hone_row_options *options;
    hone_arena *arena;
    json_t *keep;
    hone_rows *out;
    size_t capacity;
    int64_t n_text_label, n_alpaca, n_other_messages, n_trimmed, n_not_text, n_empty;
    int64_t first_empty; /* line; 0: none */
    const char *empty_field;
    bool empty_output; /* it is the output that is empty there */
    hone_error *err;
} row_reader;

void hone_warn(json_t *warnings, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    json_t *text = json_string(line);
    if (!text) /* cut within a character, or no memory: a warning is not worth failing for */
        text = json_string("a warning could not be written");
    json_array_append_new(warnings, text);
}

static hone_status no_memory(const row_reader *r)
{
    return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
}

/* A field's value as text. Texts as they are; a number or a boolean in JSON's spelling (counted); objects and arrays
 * for outputs of kind json only. */
static hone_status as_text(row_reader *r, int64_t line, const char *field, const json_t *value, bool output,
                           const char **out)
{
    bool scalar = json_is_number(value) || json_is_boolean(value);
    if (json_is_string(value)) {
        *out = json_string_value(value);
        return HONE_OK;
    }
    if (!output || (!scalar && r->options->kind != HONE_OUTPUT_JSON))
        return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"%.80s\" is %s where text is needed", r->path,
                         (long long)line, field,
                         json_is_null(value)     ? "null"
                         : json_is_object(value) ? "an object"
                         : json_is_array(value)  ? "an array"
                                                 : "not text");
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    *out = dump ? hone_arena_strdup(r->arena, dump) : NULL;
    free(dump);
    if (!*out)
        return no_memory(r);
    r->n_not_text += scalar && r->options->kind != HONE_OUTPUT_NUMBER && r->options->kind != HONE_OUTPUT_JSON;
    return HONE_OK;
}

/* messages[at].content, which must be text. */
static hone_status message_text(const row_reader *r, int64_t line, const json_t *messages, size_t at, const char **out)
{
    *out = json_string_value(json_object_get(json_array_get(messages, at), "content"));
    if (*out)
        return HONE_OK;
    return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: message %zu has no \"content\" that is text", r->path,
                     (long long)line, at + 1);
}

/* The index of the last message of that role before `end`, or -1. */
static hone_status find_role(const row_reader *r, int64_t line, const json_t *messages, size_t end, const char *role,
                             int64_t *at)
{
    *at = -1;
    for (size_t i = 0; i < end; i++) {
        const char *found = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        if (!found)
            return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: message %zu has no \"role\" (system, user or assistant)",
                             r->path, (long long)line, i + 1);
        if (strcmp(found, role) == 0)
            *at = (int64_t)i;
    }
    return HONE_OK;
}

static hone_status read_messages(row_reader *r, int64_t line, const json_t *messages, hone_row *row)
{
    int64_t answer, question;
    size_t n = json_array_size(messages);
    hone_status status = find_role(r, line, messages, n, "assistant", &answer);
    if (status != HONE_OK)
        return status;
    if (answer < 0)
        return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: no assistant message; its text is the output", r->path,
                         (long long)line);
    status = find_role(r, line, messages, (size_t)answer, "user", &question);
    if (status != HONE_OK)
        return status;
    if (question < 0)
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "%s:%lld: no user message before the last assistant message; its text is the input", r->path,
                         (long long)line);
    r->n_other_messages += n > 2;
    status = message_text(r, line, messages, (size_t)question, &row->input);
    return status == HONE_OK ? message_text(r, line, messages, (size_t)answer, &row->output) : status;
}

/* {"prompt": [messages], "completion": [messages]} is the same as one list of both. */
static hone_status read_prompt_lists(row_reader *r, int64_t line, const json_t *prompt, const json_t *completion,
                                     hone_row *row)
{
    json_t *both = json_array();
    if (!both || json_array_extend(both, (json_t *)(uintptr_t)prompt) != 0 ||
        json_array_extend(both, (json_t *)(uintptr_t)completion) != 0) {
        json_decref(both);
        return no_memory(r);
    }
    hone_status status = read_messages(r, line, both, row); /* the texts belong to the messages, which live on */
    json_decref(both);
    return status;
}

/* The turns' texts belong to the row. Calls of functions are no answers that a task can measure. */
static hone_status read_sharegpt(row_reader *r, int64_t line, const json_t *turns, hone_row *row)
{
    const char *question = NULL;
    size_t i;
    json_t *turn;
    json_array_foreach(turns, i, turn)
    {
        const char *from = json_string_value(json_object_get(turn, "from")),
                   *value = json_string_value(json_object_get(turn, "value")),
                   *role = from ? hone_sharegpt_role(from) : NULL;
        if (!from || !value)
            return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: turn %zu has no \"%s\" that is text", r->path,
                             (long long)line, i + 1, from ? "value" : "from");
        if (!role)
            return hone_fail(r->err, HONE_BAD_INPUT,
                             "%s:%lld: turn %zu: \"%.60s\" is no speaker that a task can use; known are human, gpt, "
                             "system, tool and observation",
                             r->path, (long long)line, i + 1, from);
        if (strcmp(role, "user") == 0)
            question = value;
        if (strcmp(role, "assistant") == 0) {
            row->input = question;
            row->output = value;
        }
    }
    if (!row->output)
        return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: no turn of \"gpt\"; its text is the output", r->path,
                         (long long)line);
    if (!row->input)
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "%s:%lld: no turn of \"human\" before the last of \"gpt\"; its text is the input", r->path,
                         (long long)line);
    r->n_other_messages += json_array_size(turns) > 2;
    return HONE_OK;
}

static hone_status read_alpaca(row_reader *r, int64_t line, const json_t *fields, hone_row *row)
{
    const char *input = json_string_value(json_object_get(fields, "input"));
    hone_status status = as_text(r, line, "instruction", json_object_get(fields, "instruction"), false, &row->input);
    if (status == HONE_OK && input && input[strspn(input, " \t\r\n")]) {
        hone_buffer both = {0};
        hone_buffer_printf(&both, "%s\n\n%s", row->input, input);
        row->input = both.failed ? NULL : hone_arena_strdup(r->arena, both.data);
        hone_buffer_clear(&both);
        status = row->input ? HONE_OK : no_memory(r);
    }
    r->n_alpaca++;
    return status == HONE_OK ? as_text(r, line, "output", json_object_get(fields, "output"), true, &row->output)
                             : status;
}

/* No shape fits: say what is there and how to name it. */
static hone_status no_shape(const row_reader *r, int64_t line, json_t *fields, const char *missing)
{
    hone_buffer found = {0};
    const char *key;
    json_t *value;
    int n = 0;
    json_object_foreach(fields, key, value)
    {
        if (n < 6)
            hone_buffer_printf(&found, "%s\"%.60s\"", n ? ", " : "", key);
        n++;
    }
    hone_status status;
    const char *list = found.data ? found.data : "nothing";
    if (missing)
        status = hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: no field \"%.80s\" (found %s%s)", r->path, (long long)line,
                           missing, list, n > 6 ? ", ..." : "");
    else
        status = hone_fail(r->err, HONE_BAD_INPUT,
                           "%s:%lld: no \"input\" and \"output\" (found %s%s); rename the fields, or name "
                           "them in task.yaml: data: {input: ..., output: ...}",
                           r->path, (long long)line, list, n > 6 ? ", ..." : "");
    hone_buffer_clear(&found);
    return status;
}

static hone_status read_shape(row_reader *r, int64_t line, json_t *fields, hone_row *row, const char **input_field,
                              const char **output_field)
{
    static const char *const pairs[][2] = {{"input", "output"}, {"prompt", "completion"}, {"text", "label"}};
    const char *named[2] = {r->options->input_field, r->options->output_field};
    const char *const *fit = named[0] ? named : NULL;
    if (named[0] && !json_object_get(fields, named[0]))
        return no_shape(r, line, fields, named[0]);
    if (named[0] && !json_object_get(fields, named[1]))
        return no_shape(r, line, fields, named[1]);
    if (!fit && json_is_string(json_object_get(fields, "instruction")) && json_object_get(fields, "output")) {
        *input_field = "instruction";
        *output_field = row->answer_field = "output";
        return read_alpaca(r, line, fields, row);
    }
    for (size_t i = 0; i < 3 && !fit; i++) {
        if (i == 2 && json_is_array(json_object_get(fields, "messages"))) {
            *input_field = *output_field = "content";
            row->answer_field = "messages";
            return read_messages(r, line, json_object_get(fields, "messages"), row);
        }
        if (i == 2 && json_is_array(json_object_get(fields, "conversations"))) {
            *input_field = *output_field = "value";
            row->answer_field = "conversations";
            return read_sharegpt(r, line, json_object_get(fields, "conversations"), row);
        }
        if (json_object_get(fields, pairs[i][0]) && json_object_get(fields, pairs[i][1]))
            fit = pairs[i];
    }
    if (!fit)
        return no_shape(r, line, fields, NULL);
    r->n_text_label += fit == pairs[2];
    *input_field = fit[0];
    *output_field = row->answer_field = fit[1];
    const json_t *input = json_object_get(fields, fit[0]), *output = json_object_get(fields, fit[1]);
    if (fit == pairs[1] && json_is_array(input) && json_is_array(output))
        return read_prompt_lists(r, line, input, output, row);
    hone_status status = as_text(r, line, fit[0], input, false, &row->input);
    return status == HONE_OK ? as_text(r, line, fit[1], output, true, &row->output) : status;
}

static bool is_empty(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

static hone_status trim_output(row_reader *r, hone_row *row)
{
    const char *text = row->output + strspn(row->output, " \t\r\n");
    size_t length = strlen(text);
    while (length && strchr(" \t\r\n", text[length - 1]))
        length--;
    if (length == strlen(row->output))
        return HONE_OK;
    row->output = hone_arena_strndup(r->arena, text, length);
    r->n_trimmed++;
    return row->output ? HONE_OK : no_memory(r);
}

static hone_status check_kind(row_reader *r, int64_t line, const char *field, hone_row *row)
{
    char *end;
    json_error_t fault;
    json_t *value;
    double number;
    switch (r->options->kind) {
    case HONE_OUTPUT_LABEL:
    case HONE_OUTPUT_CHOICE:
        return trim_output(r, row);
    case HONE_OUTPUT_NUMBER:
        number = strtod(row->output, &end);
        if (end == row->output || !is_empty(end) || !isfinite(number))
            return hone_fail(r->err, HONE_BAD_INPUT,
                             "%s:%lld: \"%.80s\" is \"%.*s\", not a number (output: {kind: number}). Name the field "
                             "that holds the number, data: {output: FIELD}, or use kind: text.",
                             r->path, (long long)line, field, (int)fmin(60, (double)strcspn(row->output, "\r\n")),
                             row->output);
        return HONE_OK;
    case HONE_OUTPUT_JSON:
        value = json_loads(row->output, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &fault);
        json_decref(value);
        if (!value)
            return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"%.80s\" is not JSON: %s (output: {kind: json})",
                             r->path, (long long)line, field, fault.text);
        return HONE_OK;
    default:
        return HONE_OK;
    }
}

static hone_status read_group(row_reader *r, int64_t line, json_t *fields, hone_row *row)
{
    if (!r->options->group_field)
        return HONE_OK;
    const json_t *group = json_object_get(fields, r->options->group_field);
    if (!group)
        return no_shape(r, line, fields, r->options->group_field);
    if (json_is_string(group)) {
        row->group = json_string_value(group);
        return HONE_OK;
    }
    if (!json_is_integer(group))
        return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"%.80s\" (group_by) must be a text or a whole number",
                         r->path, (long long)line, r->options->group_field);
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(group));
    row->group = hone_arena_strdup(r->arena, digits);
    return row->group ? HONE_OK : no_memory(r);
}

/* Of the id (the input and output may be parts of a field, trimmed) and of all fields in one order. */
static hone_status identify_fields(const row_reader *r, hone_row *row)
{
    char hex[65];
    char *text = json_dumps(row->fields, JSON_COMPACT | JSON_SORT_KEYS);
    hone_sha256 *hash = text ? hone_sha256_create() : NULL;
    if (hash) {
        hone_sha256_update(hash, row->id, sizeof row->id);
        hone_sha256_update(hash, text, strlen(text));
        hone_sha256_finish(hash, hex);
        row->content = hone_arena_strndup(r->arena, hex, sizeof row->id - 1);
    }
    free(text);
    return row->content ? HONE_OK : no_memory(r);
}

static hone_status identify(const row_reader *r, hone_row *row)
{
    char hex[65];
    hone_sha256 *hash = hone_sha256_create();
    if (!hash)
        return no_memory(r);
    hone_sha256_update(hash, row->input, strlen(row->input) + 1); /* its NUL parts it from the output */
    hone_sha256_update(hash, row->output, strlen(row->output));
    hone_sha256_finish(hash, hex);
    memcpy(row->id, hex, 32);
    row->id[32] = 0;
    return r->options->fields_matter ? identify_fields(r, row) : HONE_OK;
}

/* Takes the reference to `fields`. */
static hone_status add_row(row_reader *r, int64_t line, json_t *fields)
{
    hone_row row = {.file = r->path, .line = line, .fields = fields};
    const char *input_field = "", *output_field = "";
    if (json_array_append_new(r->keep, fields) != 0)
        return no_memory(r);
    hone_status status = read_shape(r, line, fields, &row, &input_field, &output_field);
    if (status != HONE_OK)
        return status;
    if (is_empty(row.input) || is_empty(row.output)) {
        if (!r->n_empty++) {
            r->first_empty = line;
            r->empty_output = is_empty(row.output);
            r->empty_field = r->empty_output ? output_field : input_field;
        }
        return HONE_OK;
    }
    status = check_kind(r, line, output_field, &row);
    if (status == HONE_OK)
        status = read_group(r, line, fields, &row);
    if (status == HONE_OK)
        status = identify(r, &row);
    if (status != HONE_OK)
        return status;
    if (r->out->n == r->capacity) {
        size_t grown = r->capacity ? r->capacity * 2 : 256;
        hone_row *items = hone_arena_array(r->arena, grown, sizeof *items);
        if (!items)
            return no_memory(r);
        if (r->out->n)
            memcpy(items, r->out->items, r->out->n * sizeof *items);
        r->out->items = items;
        r->capacity = grown;
    }
    r->out->items[r->out->n++] = row;
    return HONE_OK;
}

static hone_status read_jsonl(row_reader *r)
{
    hone_jsonl *file;
    hone_status status = hone_jsonl_open(r->path, &file, r->err);
    while (status == HONE_OK) {
        json_t *fields;
        int64_t line;
        status = hone_jsonl_next(file, &fields, &line, r->err);
        if (status != HONE_OK || !fields)
            break;
        status = add_row(r, line, fields);
    }
    hone_jsonl_close(file);
    return status;
}

static hone_status read_csv(row_reader *r)
{
    hone_csv csv;
    hone_status status = hone_csv_read(r->path, r->arena, &csv, r->err);
    for (size_t i = 0; status == HONE_OK && i < csv.n_rows; i++) {
        json_t *fields = json_object();
        for (size_t c = 0; fields && c < csv.n_columns; c++)
            json_object_set_new(fields, csv.header[c], json_string(csv.rows[i].fields[c]));
        status = fields ? add_row(r, csv.rows[i].line, fields) : no_memory(r);
    }
    return status;
}

static void count_warnings(const row_reader *r, json_t *warnings)
{
    char n[32];
    if (r->n_text_label) {
        hone_format_count(r->n_text_label, n);
        hone_warn(warnings, "%s: \"text\" is read as the input and \"label\" as the output of %s rows", r->path, n);
    }
    if (r->n_alpaca) {
        hone_format_count(r->n_alpaca, n);
        hone_warn(warnings,
                  "%s: %s rows are read as {\"instruction\",\"input\",\"output\"} (Alpaca): the instruction "
                  "and the input together are the input; to use \"input\" alone, name it in task.yaml: data: "
                  "{input: input, output: output}",
                  r->path, n);
    }
    if (r->n_other_messages) {
        hone_format_count(r->n_other_messages, n);
        hone_warn(warnings, "%s: %s rows hold more than one question and one answer; the other messages are not used",
                  r->path, n);
    }
    if (r->n_trimmed) {
        hone_format_count(r->n_trimmed, n);
        hone_warn(warnings, "%s: white space around the output of %s rows is left out", r->path, n);
    }
    if (r->n_not_text) {
        hone_format_count(r->n_not_text, n);
        hone_warn(warnings, "%s: the output of %s rows is a number or true/false and is read as text", r->path, n);
    }
    if (r->n_empty) {
        hone_format_count(r->n_empty, n);
        hone_warn(warnings, "%s: %s rows with an empty input or output are left out", r->path, n);
    }
}

hone_status hone_rows_read(const char *path, const hone_row_options *options, hone_arena *arena, json_t *keep,
                           json_t *warnings, hone_rows *out, hone_error *err)
{
    size_t length = strlen(path);
    bool csv = length >= 4 && strcasecmp(path + length - 4, ".csv") == 0;
    bool jsonl = (length >= 6 && strcasecmp(path + length - 6, ".jsonl") == 0) ||
                 (length >= 7 && strcasecmp(path + length - 7, ".ndjson") == 0);
    row_reader r = {.path = path, .options = options, .arena = arena, .keep = keep, .out = out, .err = err};
    memset(out, 0, sizeof *out);
    if (!csv && !jsonl)
        return hone_fail(err, HONE_BAD_INPUT, "%s: examples are read from .jsonl or .csv files; rename or convert it",
                         path);
    r.path = hone_arena_strdup(arena, path);
    if (!r.path)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    hone_status status = csv ? read_csv(&r) : read_jsonl(&r);
    if (status != HONE_OK)
        return status;
    if (r.n_empty && !options->skip_empty) {
        char more[64] = "";
        if (r.n_empty > 1)
            snprintf(more, sizeof more, " (and %lld more rows)", (long long)r.n_empty - 1);
        return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: \"%s\" is empty%s; %s Remove the row%s or %s.", path,
                         (long long)r.first_empty, r.empty_field, more,
                         r.empty_output ? "a tuned model would learn to say nothing." : "there is nothing to answer.",
                         r.n_empty > 1 ? "s" : "", options->skip_hint ? options->skip_hint : "use --skip-empty");
    }
    if (out->n == 0)
        return hone_fail(err, HONE_BAD_INPUT, "%s: holds no rows; a row is {\"input\": \"...\", \"output\": \"...\"}",
                         path);
    count_warnings(&r, warnings);
    return HONE_OK;
}
