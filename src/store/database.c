/* database.c - opening with every check, and one place that turns SQLite's codes into messages with a fix. */
#include "store/database.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STATEMENTS = 32, OPEN_ATTEMPTS = 100 };

struct hone_database {
    const hone_database_kind *kind;
    char *path;
    sqlite3 *db;
    sqlite3_stmt *statements[MAX_STATEMENTS];
};

static hone_status fail(const hone_database *d, hone_error *err)
{
    const char *what = d->kind->what, *path = d->path;
    int extended = sqlite3_extended_errcode(d->db); /* a quota or a limit on file sizes is not SQLITE_FULL */
    if (extended == SQLITE_IOERR_WRITE || extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_SHMSIZE)
        return hone_fail(err, HONE_IO,
                         "%s: a write failed, the disk may be full; free some space and run the same command again",
                         path);
    switch (sqlite3_errcode(d->db) & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: is damaged or not a %s (%s); move it away and run the same command again, "
                         "which starts a new one",
                         path, what, sqlite3_errmsg(d->db));
    case SQLITE_FULL:
        return hone_fail(err, HONE_IO, "%s: the disk is full; free some space and run the same command again", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return hone_fail(err, HONE_BUSY, "%s: another hone has been writing for %d seconds; wait for it or stop it",
                         path, HONE_DATABASE_WAIT_MS / 1000);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return hone_fail(err, HONE_IO, "%s: cannot be written (%s); check the permissions of the file and its folder",
                         path, sqlite3_errmsg(d->db));
    case SQLITE_NOMEM:
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    default:
        return hone_fail(err, HONE_IO, "%s: %s; check the disk and run the same command again", path,
                         sqlite3_errmsg(d->db));
    }
}

hone_status hone_database_execute(hone_database *d, const char *sql, hone_error *err)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? HONE_OK : fail(d, err);
}

/* The first column of the first row of a query, as text (`text`, cut to its size) and as a number. */
static hone_status ask(hone_database *d, const char *sql, char *text, size_t text_size, int64_t *number,
                       hone_error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(d->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return fail(d, err);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        if (text)
            sqlite3_snprintf((int)text_size, text, "%s", value ? value : "");
        if (number)
            *number = sqlite3_column_int64(statement, 0);
    }
    hone_status status = code == SQLITE_ROW || code == SQLITE_DONE ? HONE_OK : fail(d, err);
    sqlite3_finalize(statement);
    return status;
}

/* Two processes that turn on WAL at the same instant may see SQLITE_BUSY without the busy handler being asked. */
static hone_status turn_on_wal(hone_database *d, hone_error *err)
{
    hone_status status = HONE_OK;
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        status = ask(d, "PRAGMA journal_mode=WAL", NULL, 0, NULL, err);
        if (status == HONE_OK || (sqlite3_errcode(d->db) & 0xff) != SQLITE_BUSY)
            break;
        sqlite3_sleep(20);
    }
    return status;
}

static hone_status check_identity(hone_database *d, int64_t *version, hone_error *err)
{
    int64_t application = 0, tables = 0;
    *version = 0;
    hone_status status = ask(d, "PRAGMA application_id", NULL, 0, &application, err);
    if (status == HONE_OK)
        status = ask(d, "SELECT count(*) FROM sqlite_master", NULL, 0, &tables, err);
    if (status == HONE_OK)
        status = ask(d, "PRAGMA user_version", NULL, 0, version, err);
    if (status != HONE_OK)
        return status;
    if (application != d->kind->application_id && (application || tables || *version))
        return hone_fail(err, HONE_BAD_FORMAT, "%s: is a SQLite file of another program, not a %s; move it away",
                         d->path, d->kind->what);
    if (*version > (int64_t)d->kind->n_migrations)
        return hone_fail(err, HONE_BAD_FORMAT,
                         "%s: was written by a newer hone (schema %lld, this one knows %zu); use that hone", d->path,
                         (long long)*version, d->kind->n_migrations);
    return HONE_OK;
}

/* The same inside one read transaction, for a file that another process may be making right now. */
static hone_status check_identity_at_once(hone_database *d, int64_t *version, hone_error *err)
{
    hone_status status = hone_database_execute(d, "BEGIN", err);
    if (status != HONE_OK)
        return status;
    status = check_identity(d, version, err);
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Runs the migrations that are missing, in one transaction. Another process may have run them meanwhile, so the version
 * is read again under the lock. */
static hone_status migrate(hone_database *d, hone_error *err)
{
    int64_t version;
    hone_status status = hone_database_execute(d, "BEGIN IMMEDIATE", err);
    if (status != HONE_OK)
        return status;
    status = check_identity(d, &version, err);
    if (status == HONE_OK && version == 0)
        status = hone_database_execute(
            d,
            "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT "
            "NOT NULL)",
            err);
    for (int64_t i = version; status == HONE_OK && i < (int64_t)d->kind->n_migrations; i++) {
        char now[32];
        hone_clock_iso8601(now, sizeof now);
        status = hone_database_execute(d, d->kind->migrations[i].sql, err);
        char *sql = sqlite3_mprintf("INSERT INTO migrations VALUES (%lld, %Q, %Q); PRAGMA user_version = %lld; "
                                    "PRAGMA application_id = %d",
                                    (long long)i + 1, d->kind->migrations[i].name, now, (long long)i + 1,
                                    (int)d->kind->application_id);
        if (status == HONE_OK)
            status =
                sql ? hone_database_execute(d, sql, err) : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", d->path);
        sqlite3_free(sql);
    }
    if (status == HONE_OK)
        return hone_database_execute(d, "COMMIT", err);
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static hone_status create_folder_of(const char *path, hone_error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return HONE_OK;
    char *folder = strndup(path, (size_t)(slash - path));
    if (!folder)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    hone_status status = hone_folder_create(folder, err);
    free(folder);
    return status;
}

hone_status hone_database_open(const char *path, const hone_database_kind *kind, hone_database **out, hone_error *err)
{
    int64_t version;
    char verdict[128] = "";
    *out = NULL;
    hone_status status = create_folder_of(path, err);
    if (status != HONE_OK)
        return status;
    hone_database *d = calloc(1, sizeof *d);
    if (!d || !(d->path = strdup(path)) || kind->n_statements > MAX_STATEMENTS) {
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        goto done;
    }
    d->kind = kind;
    if (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        status = fail(d, err);
        goto done;
    }
    sqlite3_extended_result_codes(d->db, 1);
    sqlite3_busy_timeout(d->db, HONE_DATABASE_WAIT_MS);
    status = check_identity_at_once(d, &version, err);
    if (status == HONE_OK)
        status = turn_on_wal(d, err);
    if (status == HONE_OK)
        status = hone_database_execute(d, "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF", err);
    if (status == HONE_OK && version < (int64_t)kind->n_migrations)
        status = migrate(d, err);
    if (status == HONE_OK)
        status = ask(d, "PRAGMA quick_check(1)", verdict, sizeof verdict, NULL, err);
    if (status == HONE_OK && strcmp(verdict, "ok") != 0)
        status = hone_fail(err, HONE_BAD_FORMAT,
                           "%s: this %s is damaged (%s); move it away and run the same command again, "
                           "which starts a new one",
                           path, kind->what, verdict);
    if (status != HONE_OK)
        goto done;
    *out = d;
    d = NULL;
done:
    hone_database_close(d);
    return status;
}

void hone_database_close(hone_database *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < MAX_STATEMENTS; i++)
        sqlite3_finalize(d->statements[i]);
    sqlite3_close(d->db);
    free(d->path);
    free(d);
}

hone_status hone_database_statement(hone_database *d, size_t index, sqlite3_stmt **out, hone_error *err)
{
    sqlite3_stmt **statement = &d->statements[index];
    if (!*statement && sqlite3_prepare_v3(d->db, d->kind->statements[index], -1, SQLITE_PREPARE_PERSISTENT, statement,
                                          NULL) != SQLITE_OK) {
        *out = NULL;
        return fail(d, err);
    }
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    *out = *statement;
    return HONE_OK;
}

hone_status hone_database_step(hone_database *d, sqlite3_stmt *statement, bool *row, hone_error *err)
{
    int code = sqlite3_step(statement);
    if (row)
        *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW && row)
        return HONE_OK;
    hone_status status = code == SQLITE_DONE || code == SQLITE_ROW ? HONE_OK : fail(d, err);
    sqlite3_reset(statement);
    return status;
}

int64_t hone_database_last_id(const hone_database *d)
{
    return sqlite3_last_insert_rowid(d->db);
}
