/* jsonl.h - reads a file of JSON objects, one a line.
 *
 * Strict where a mistake would change what a model learns (a bad object, a repeated key, invalid UTF-8, a NUL), lenient
 * where it cannot (byte order mark, CRLF, blank lines, no newline at the end). Every message starts with file:line. */
#ifndef HONE_FORMAT_JSONL_H
#define HONE_FORMAT_JSONL_H

#include "base/status.h"

#include <jansson.h>

enum { HONE_JSONL_MAX_DEPTH = 64, HONE_JSONL_MAX_LINE_BYTES = 16 << 20 };
#define HONE_JSONL_MAX_FILE_BYTES ((size_t)4 << 30)

typedef struct hone_jsonl hone_jsonl;

/* Reads the whole file into memory ("-": standard input); rows are parsed as they are asked for. */
hone_status hone_jsonl_open(const char *path, hone_jsonl **out, hone_error *err);
void hone_jsonl_close(hone_jsonl *reader);
/* The next row: *row is a new reference and *line its number from 1; *row is NULL at the end of the file. */
hone_status hone_jsonl_next(hone_jsonl *reader, json_t **row, int64_t *line, hone_error *err);

/* One line on its own (without its newline), for programs that stream. `file` and `line` are for messages. */
hone_status hone_jsonl_parse(const char *file, int64_t line, const char *text, size_t length, json_t **row,
                             hone_error *err);

#endif
