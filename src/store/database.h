/* database.h - one SQLite file of hone: opened, checked, migrated, with prepared statements.
 *
 * WAL mode with synchronous=FULL: a commit is on the disk when it returns, and a kill at any instant leaves the last
 * commit. A file carries the application id of its kind and its schema version (PRAGMA user_version); every migration
 * runs in one transaction and leaves a line in the table `migrations`. One thread uses a database at a time; several
 * processes may have it open and wait for each other. */
#ifndef HONE_STORE_DATABASE_H
#define HONE_STORE_DATABASE_H

#include "base/status.h"

#include <sqlite3.h>

enum { HONE_DATABASE_WAIT_MS = 10000 };

typedef struct hone_migration {
    const char *name;
    const char *sql; /* brings version i (its index) to i + 1 */
} hone_migration;

typedef struct hone_database_kind {
    const char *what;       /* "ledger": what messages call it */
    int32_t application_id; /* PRAGMA application_id */
    const hone_migration *migrations;
    size_t n_migrations;
    const char *const *statements; /* SQL by index, prepared when first used */
    size_t n_statements;
} hone_database_kind;

typedef struct hone_database hone_database;

/* Creates the file and its folder when absent. HONE_BAD_FORMAT: damaged, not SQLite, another program's, or of a newer
 * hone. */
hone_status hone_database_open(const char *path, const hone_database_kind *kind, hone_database **out, hone_error *err);
void hone_database_close(hone_database *database);

/* The statement with that index, reset and with nothing bound; the database keeps it. */
hone_status hone_database_statement(hone_database *database, size_t index, sqlite3_stmt **out, hone_error *err);
/* Steps. *row says whether a row came; a NULL `row` means none is expected. After the last row or a failure it is
 * reset. */
hone_status hone_database_step(hone_database *database, sqlite3_stmt *statement, bool *row, hone_error *err);
/* Runs SQL that gives no rows. */
hone_status hone_database_execute(hone_database *database, const char *sql, hone_error *err);
int64_t hone_database_last_id(const hone_database *database);

#endif
