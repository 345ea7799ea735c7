/* csv.h - reads a comma-separated file with a header line (RFC 4180).
 *
 * Fields may be quoted; a quoted field may hold commas, doubled quotes and newlines. LF, CRLF, a byte order mark and
 * blank lines are accepted. Every row has as many fields as the header. Every message starts with file:line, the line
 * on which the record (or the quote) begins. */
#ifndef HONE_FORMAT_CSV_H
#define HONE_FORMAT_CSV_H

#include "base/arena.h"
#include "base/status.h"

enum { HONE_CSV_MAX_COLUMNS = 1024 };

typedef struct hone_csv_row {
    const char **fields; /* [n_columns], NUL-terminated */
    int64_t line;
} hone_csv_row;

typedef struct hone_csv {
    const char **header; /* [n_columns], all different, none empty */
    size_t n_columns;
    hone_csv_row *rows;
    size_t n_rows;
} hone_csv;

/* Everything in *out lives in the arena. */
hone_status hone_csv_read(const char *path, hone_arena *arena, hone_csv *out, hone_error *err);

#endif
