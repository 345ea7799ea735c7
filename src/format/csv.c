/* csv.c - RFC 4180 with a header. One pass over the bytes; fields are unquoted in place, in the arena's copy of the
 * file. */
#include "format/csv.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)1 << 30)

typedef struct parser {
    const char *path;
    char *at, *end; /* the bytes left; *end is NUL */
    int64_t line;   /* line of `at` */
    const char *fields[HONE_CSV_MAX_COLUMNS];
    size_t n_fields;
    int64_t record_line;
    bool quoted; /* the record had a quoted field, so it is not a blank line */
} parser;

static hone_status bad(const parser *p, int64_t line, hone_error *err, const char *what)
{
    return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: %s", p->path, (long long)line, what);
}

/* A quoted field: p->at is behind the opening quote on entry and behind the closing one on return. */
static hone_status read_quoted(parser *p, hone_error *err)
{
    int64_t opened = p->line;
    char *from = p->at, *to = p->at;
    p->fields[p->n_fields++] = to;
    p->quoted = true;
    for (;;) {
        if (from == p->end)
            return bad(p, opened, err,
                       "a quote is opened here and never closed; close it, or double the quotes inside the text");
        if (*from == '"' && from[1] != '"')
            break;
        if (*from == '"')
            from++;
        if (*from == '\n')
            p->line++;
        *to++ = *from++;
    }
    p->at = from + 1;
    char next = *p->at;
    if (p->at < p->end && next != ',' && next != '\n' && !(next == '\r' && p->at[1] == '\n'))
        return bad(p, p->line, err, "text after a closing quote; double the quotes inside a quoted field (\"\")");
    *to = 0;
    return HONE_OK;
}

static hone_status read_plain(parser *p, hone_error *err)
{
    p->fields[p->n_fields++] = p->at;
    while (p->at < p->end && *p->at != ',' && *p->at != '\n') {
        if (*p->at == '"')
            return bad(p, p->line, err,
                       "a quote inside an unquoted field; put the field in quotes and double the quote (\"\")");
        p->at++;
    }
    return HONE_OK;
}

/* One record into p->fields. *more is false at the end of the file. */
static hone_status read_record(parser *p, bool *more, hone_error *err)
{
    p->n_fields = 0;
    p->quoted = false;
    p->record_line = p->line;
    *more = p->at < p->end;
    while (*more) {
        if (p->n_fields == HONE_CSV_MAX_COLUMNS)
            return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: more than %d columns", p->path, (long long)p->record_line,
                             HONE_CSV_MAX_COLUMNS);
        bool quoted = *p->at == '"';
        if (quoted)
            p->at++;
        hone_status status = quoted ? read_quoted(p, err) : read_plain(p, err);
        if (status != HONE_OK)
            return status;
        char *ends = p->at;
        if (quoted && ends < p->end && *ends == '\r')
            p->at++;
        char stop = p->at < p->end ? *p->at : 0;
        if (!quoted && ends > p->fields[p->n_fields - 1] && ends[-1] == '\r' && stop != ',')
            ends--;
        if (!quoted)
            *ends = 0;
        if (p->at < p->end)
            p->at++;
        if (stop == '\n')
            p->line++;
        if (stop != ',')
            return HONE_OK;
    }
    return HONE_OK;
}

static bool is_blank(const parser *p)
{
    return p->n_fields == 1 && !p->quoted && p->fields[0][0] == 0;
}

static hone_status keep_header(const parser *p, hone_arena *arena, hone_csv *out, hone_error *err)
{
    out->header = hone_arena_array(arena, p->n_fields, sizeof *out->header);
    if (!out->header)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", p->path);
    out->n_columns = p->n_fields;
    for (size_t i = 0; i < p->n_fields; i++) {
        if (!p->fields[i][0])
            return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: column %zu has no name; the first line names the columns",
                             p->path, (long long)p->record_line, i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(p->fields[i], p->fields[j]) == 0)
                return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: two columns are named \"%s\"; rename one", p->path,
                                 (long long)p->record_line, p->fields[i]);
        out->header[i] = p->fields[i];
    }
    if (p->n_fields == 1 && strpbrk(p->fields[0], ";\t|"))
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s:%lld: the columns seem to be separated by %s; save the file with commas", p->path,
                         (long long)p->record_line,
                         strchr(p->fields[0], ';')    ? "\";\""
                         : strchr(p->fields[0], '\t') ? "tabs"
                                                      : "\"|\"");
    return HONE_OK;
}

static hone_status keep_row(const parser *p, hone_arena *arena, hone_csv *out, size_t *capacity, hone_error *err)
{
    if (p->n_fields != out->n_columns)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s:%lld: %zu field%s where the header names %zu column%s; quote a field that "
                         "holds a comma",
                         p->path, (long long)p->record_line, p->n_fields, p->n_fields == 1 ? "" : "s", out->n_columns,
                         out->n_columns == 1 ? "" : "s");
    if (out->n_rows == *capacity) {
        size_t grown = *capacity ? *capacity * 2 : 256;
        hone_csv_row *rows = hone_arena_array(arena, grown, sizeof *rows);
        if (!rows)
            return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", p->path);
        if (out->n_rows)
            memcpy(rows, out->rows, out->n_rows * sizeof *rows);
        out->rows = rows;
        *capacity = grown;
    }
    const char **fields = hone_arena_array(arena, p->n_fields, sizeof *fields);
    if (!fields)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", p->path);
    memcpy(fields, p->fields, p->n_fields * sizeof *fields);
    out->rows[out->n_rows++] = (hone_csv_row){fields, p->record_line};
    return HONE_OK;
}

/* NUL bytes and invalid UTF-8 anywhere in the file, with the line. */
static hone_status check_bytes(const char *path, const char *text, size_t length, hone_error *err)
{
    size_t bad_at = length;
    const char *nul = memchr(text, 0, length);
    bool valid = hone_utf8_valid(text, length, &bad_at);
    if (!nul && valid)
        return HONE_OK;
    size_t at = nul && (valid || (size_t)(nul - text) < bad_at) ? (size_t)(nul - text) : bad_at;
    long long line = 1;
    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    if (text[at] == 0)
        return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: a NUL byte; is this a text file?", path, line);
    return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: byte 0x%02X is not valid UTF-8; save the file as UTF-8", path,
                     line, (unsigned)(unsigned char)text[at]);
}

hone_status hone_csv_read(const char *path, hone_arena *arena, hone_csv *out, hone_error *err)
{
    hone_status status;
    hone_buffer file = {0};
    parser *p = NULL;
    size_t capacity = 0;
    bool more;
    memset(out, 0, sizeof *out);
    status = hone_file_read(path, MAX_FILE_BYTES, &file, err);
    if (status != HONE_OK)
        goto done;
    const char *text = file.data ? file.data : "";
    size_t length = file.length;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        length -= 3;
    }
    status = check_bytes(path, text, length, err);
    if (status != HONE_OK)
        goto done;
    p = calloc(1, sizeof *p);
    char *copy = hone_arena_strndup(arena, text, length);
    if (!p || !copy) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        goto done;
    }
    *p = (parser){.path = path, .at = copy, .end = copy + length, .line = 1};
    for (;;) {
        status = read_record(p, &more, err);
        if (status != HONE_OK || !more)
            break;
        if (is_blank(p))
            continue;
        status = out->header ? keep_row(p, arena, out, &capacity, err) : keep_header(p, arena, out, err);
        if (status != HONE_OK)
            goto done;
    }
    if (status == HONE_OK && !out->header)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: the file is empty; the first line names the columns", path);
done:
    free(p);
    hone_buffer_clear(&file);
    return status;
}
