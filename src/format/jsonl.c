/* jsonl.c - JSON objects, one a line. Jansson parses a line; what it does not check is checked here first. */
#include "format/jsonl.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct hone_jsonl {
    char *path;
    hone_buffer text;
    size_t at;    /* first byte of the next line */
    int64_t line; /* lines handed out so far */
};

hone_status hone_jsonl_open(const char *path, hone_jsonl **out, hone_error *err)
{
    hone_status status = HONE_OK;
    hone_jsonl *reader = calloc(1, sizeof *reader);
    *out = NULL;
    if (!reader || !(reader->path = strdup(strcmp(path, "-") == 0 ? "standard input" : path))) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        goto done;
    }
    status = hone_file_read(path, HONE_JSONL_MAX_FILE_BYTES, &reader->text, err);
    if (status != HONE_OK)
        goto done;
    const char *data = reader->text.data;
    size_t length = reader->text.length;
    if (length >= 2 && (memcmp(data, "\xFF\xFE", 2) == 0 || memcmp(data, "\xFE\xFF", 2) == 0)) {
        status = hone_fail(err, HONE_BAD_FORMAT, "%s:1: the file is UTF-16; save it as UTF-8", reader->path);
        goto done;
    }
    if (length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        reader->at = 3;
    *out = reader;
    reader = NULL;
done:
    hone_jsonl_close(reader);
    return status;
}

void hone_jsonl_close(hone_jsonl *reader)
{
    if (!reader)
        return;
    hone_buffer_clear(&reader->text);
    free(reader->path);
    free(reader);
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

hone_status hone_jsonl_next(hone_jsonl *reader, json_t **row, int64_t *line, hone_error *err)
{
    *row = NULL;
    while (reader->at < reader->text.length) {
        const char *text = reader->text.data + reader->at;
        size_t left = reader->text.length - reader->at;
        const char *newline = memchr(text, '\n', left);
        size_t length = newline ? (size_t)(newline - text) : left;
        reader->at += length + (newline != NULL);
        *line = ++reader->line;
        if (!is_blank(text, length))
            return hone_jsonl_parse(reader->path, *line, text, length, row, err);
    }
    return HONE_OK;
}

/* The deepest nesting of brackets outside strings. Jansson recurses once a level, so this is checked before it runs. */
static int deepest(const char *text, size_t length)
{
    int depth = 0, most = 0;
    bool inside_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (inside_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                inside_string = false;
        } else if (c == '"')
            inside_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > most)
                most = depth;
        } else if (c == '}' || c == ']')
            depth--;
    }
    return most;
}

/* What a line that is no JSON most likely is. */
static const char *advice(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && strchr(" \t\r", text[at]))
        at++;
    if (at < length && text[at] == '[')
        return "a list over several lines? Write each of its objects on a line of its own (jq -c '.[]' does)";
    if (at < length && text[at] != '{' && memchr(text, '\t', length))
        return "a table? Separate its columns by commas and end the file's name in .csv";
    return "each line is one whole JSON object";
}

hone_status hone_jsonl_parse(const char *file, int64_t line, const char *text, size_t length, json_t **row,
                             hone_error *err)
{
    *row = NULL;
    size_t bad_at;
    if (length > HONE_JSONL_MAX_LINE_BYTES)
        return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: the line is longer than %d MiB, the limit for a row", file,
                         (long long)line, HONE_JSONL_MAX_LINE_BYTES >> 20);
    const char *nul = memchr(text, 0, length);
    if (nul)
        return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: byte %zu is NUL; is this a text file?", file, (long long)line,
                         (size_t)(nul - text) + 1);
    if (!hone_utf8_valid(text, length, &bad_at))
        return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: byte %zu (0x%02X) is not valid UTF-8; save the file as UTF-8",
                         file, (long long)line, bad_at + 1, (unsigned)(unsigned char)text[bad_at]);
    if (deepest(text, length) > HONE_JSONL_MAX_DEPTH)
        return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: nested deeper than %d levels, the limit for a row", file,
                         (long long)line, HONE_JSONL_MAX_DEPTH);
    json_error_t fault;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
    if (!value)
        return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: column %d: bad JSON: %s; %s", file, (long long)line,
                         fault.column, fault.text, advice(text, length));
    if (!json_is_object(value)) {
        json_decref(value);
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s:%lld: a JSON array where an object is needed, such as "
                         "{\"input\": \"...\", \"output\": \"...\"}; each line is one row",
                         file, (long long)line);
    }
    *row = value;
    return HONE_OK;
}
