/* ledger.c - the ledger's tables and what is put into them.
 *
 *   parts     key -> JSON: a finished part of work           outcomes  (key, position) -> one answer to one row
 *   splits    row key -> split                               runs      one line a comparison, with its document at the
 * end openings  (test hash, run key): a look at a locked test, kept a second time in <home>/openings.sqlite */
#include "store/ledger.h"

#include "base/clock.h"
#include "base/file.h"
#include "store/database.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hone_ledger {
    hone_database *database;
    char *path;
};

enum {
    GET_PART,
    PUT_PART,
    PUT_OUTCOME,
    EACH_OUTCOME,
    GET_SPLIT,
    PUT_SPLIT,
    PUT_OPENING,
    COUNT_OPENINGS,
    FIND_OPEN_RUN,
    BEGIN_RUN,
    FINISH_RUN,
    LAST_RUN,
    EACH_RUN,
    GET_RUN,
    BEGIN,
    COMMIT,
    ROLLBACK,
    N_STATEMENTS
};

static const char *const statements[N_STATEMENTS] = {
    [GET_PART] = "SELECT value FROM parts WHERE key = ?1",
    [PUT_PART] = "INSERT OR REPLACE INTO parts (key, value, finished) VALUES (?1, ?2, ?3)",
    [PUT_OUTCOME] =
        "INSERT OR REPLACE INTO outcomes (key, position, row_id, answer, raw, score, tokens_in, tokens_out, "
        "tokens_cached, seconds) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [EACH_OUTCOME] =
        "SELECT position, row_id, answer, raw, score, tokens_in, tokens_out, tokens_cached, seconds FROM outcomes "
        "WHERE key = ?1 ORDER BY position",
    [GET_SPLIT] = "SELECT split FROM splits WHERE row_key = ?1",
    [PUT_SPLIT] = "INSERT OR REPLACE INTO splits (row_key, split) VALUES (?1, ?2)",
    [PUT_OPENING] = "INSERT OR IGNORE INTO openings (test_hash, run_key, purpose, opened) VALUES (?1, ?2, ?3, ?4)",
    [COUNT_OPENINGS] = "SELECT count(*) FROM openings WHERE test_hash = ?1",
    [FIND_OPEN_RUN] = "SELECT id FROM runs WHERE run_key = ?1 AND finished IS NULL ORDER BY id DESC LIMIT 1",
    [BEGIN_RUN] = "INSERT INTO runs (run_key, settings, started) VALUES (?1, ?2, ?3)",
    [FINISH_RUN] = "UPDATE runs SET document = ?2, finished = ?3 WHERE id = ?1",
    [LAST_RUN] = "SELECT document FROM runs WHERE finished IS NOT NULL ORDER BY id DESC LIMIT 1",
    [EACH_RUN] = "SELECT id, started, finished, settings, CASE WHEN json_valid(document) THEN json_remove(document, "
                 "'$.items') END FROM runs ORDER BY id",
    [GET_RUN] = "SELECT document FROM runs WHERE id = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

#define OPENINGS_TABLE                                                                                                 \
    "CREATE TABLE openings (test_hash TEXT NOT NULL, run_key TEXT NOT NULL, purpose TEXT NOT NULL, opened TEXT NOT "   \
    "NULL, "                                                                                                           \
    "PRIMARY KEY (test_hash, run_key)) WITHOUT ROWID;"

static const hone_migration ledger_migrations[] = {
    {"first tables",
     "CREATE TABLE parts (key TEXT PRIMARY KEY, value TEXT NOT NULL, finished TEXT NOT NULL) WITHOUT ROWID;"
     "CREATE TABLE outcomes (key TEXT NOT NULL, position INTEGER NOT NULL, row_id TEXT NOT NULL, answer TEXT, raw "
     "TEXT, "
     "score REAL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, seconds "
     "REAL, "
     "PRIMARY KEY (key, position)) WITHOUT ROWID;"
     "CREATE TABLE splits (row_key TEXT PRIMARY KEY, split TEXT NOT NULL) WITHOUT ROWID;"
     "CREATE TABLE runs (id INTEGER PRIMARY KEY, run_key TEXT NOT NULL, settings TEXT NOT NULL, started TEXT NOT NULL, "
     "finished TEXT, document TEXT);" OPENINGS_TABLE},
};
static const hone_database_kind ledger_kind = {"ledger",    0x484F4E45 /* "HONE" */, ledger_migrations, 1, statements,
                                               N_STATEMENTS};

static const hone_migration openings_migrations[] = {{"first table", OPENINGS_TABLE}};
static const hone_database_kind openings_kind = {
    "count of test openings", 0x484F4E4F /* "HONO" */, openings_migrations, 1, statements, N_STATEMENTS};

hone_status hone_ledger_open(const char *path, hone_ledger **out, hone_error *err)
{
    *out = NULL;
    hone_ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger || !(ledger->path = strdup(path))) {
        hone_ledger_close(ledger);
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    }
    hone_status status = hone_database_open(path, &ledger_kind, &ledger->database, err);
    if (status == HONE_OK)
        *out = ledger;
    else
        hone_ledger_close(ledger);
    return status;
}

void hone_ledger_close(hone_ledger *ledger)
{
    if (!ledger)
        return;
    hone_database_close(ledger->database);
    free(ledger->path);
    free(ledger);
}

static void bind_text(sqlite3_stmt *s, int index, const char *text)
{
    if (text)
        sqlite3_bind_text(s, index, text, -1, SQLITE_STATIC); /* every statement runs before its caller returns */
    else
        sqlite3_bind_null(s, index);
}

/* SQLite stores NaN as NULL. */
static double column_double(sqlite3_stmt *s, int column)
{
    return sqlite3_column_type(s, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, column);
}

static hone_status run_plain(hone_ledger *ledger, size_t index, hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, index, &s, err);
    return status == HONE_OK ? hone_database_step(ledger->database, s, NULL, err) : status;
}

hone_status hone_ledger_begin(hone_ledger *ledger, hone_error *err)
{
    return run_plain(ledger, BEGIN, err);
}

hone_status hone_ledger_commit(hone_ledger *ledger, hone_error *err)
{
    return run_plain(ledger, COMMIT, err);
}

void hone_ledger_rollback(hone_ledger *ledger)
{
    (void)run_plain(ledger, ROLLBACK, NULL);
}

/* Reads a JSON text column of the row under the statement. */
static hone_status column_json(hone_ledger *ledger, sqlite3_stmt *s, json_t **out, hone_error *err)
{
    const char *text = (const char *)sqlite3_column_text(s, 0);
    *out = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (*out)
        return HONE_OK;
    return hone_fail(err, HONE_BAD_FORMAT,
                     "%s: a stored result is not JSON; move the file away and run the same command again",
                     ledger->path);
}

static hone_status dump_json(hone_ledger *ledger, const json_t *value, char **out, hone_error *err)
{
    *out = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", ledger->path);
}

/* Runs a statement whose parameters are the key (or the id where key is NULL), a JSON text and the time now. */
static hone_status put_json(hone_ledger *ledger, size_t index, const char *key, int64_t id, const json_t *value,
                            hone_error *err)
{
    char now[32], *text = NULL;
    sqlite3_stmt *s;
    hone_status status = dump_json(ledger, value, &text, err);
    if (status != HONE_OK)
        return status;
    status = hone_database_statement(ledger->database, index, &s, err);
    if (status != HONE_OK)
        goto done;
    hone_clock_iso8601(now, sizeof now);
    if (key)
        bind_text(s, 1, key);
    else
        sqlite3_bind_int64(s, 1, id);
    bind_text(s, 2, text);
    bind_text(s, 3, now);
    status = hone_database_step(ledger->database, s, NULL, err);
    sqlite3_clear_bindings(s);
done:
    free(text);
    return status;
}

hone_status hone_ledger_get_part(hone_ledger *ledger, const char *key, json_t **out, hone_error *err)
{
    bool row;
    *out = NULL;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, GET_PART, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, key);
    status = hone_database_step(ledger->database, s, &row, err);
    if (status == HONE_OK && row)
        status = column_json(ledger, s, out, err);
    sqlite3_reset(s);
    return status;
}

hone_status hone_ledger_put_part(hone_ledger *ledger, const char *key, const json_t *value, hone_error *err)
{
    return put_json(ledger, PUT_PART, key, 0, value, err);
}

hone_status hone_ledger_put_outcome(hone_ledger *ledger, const char *key, const hone_ledger_outcome *outcome,
                                    hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, PUT_OUTCOME, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, key);
    sqlite3_bind_int64(s, 2, outcome->position);
    bind_text(s, 3, outcome->row_id);
    bind_text(s, 4, outcome->answer);
    bind_text(s, 5, outcome->raw);
    sqlite3_bind_double(s, 6, outcome->score);
    sqlite3_bind_int64(s, 7, outcome->tokens_in);
    sqlite3_bind_int64(s, 8, outcome->tokens_out);
    sqlite3_bind_int64(s, 9, outcome->tokens_cached);
    sqlite3_bind_double(s, 10, outcome->seconds);
    return hone_database_step(ledger->database, s, NULL, err);
}

hone_status hone_ledger_each_outcome(hone_ledger *ledger, const char *key,
                                     void (*each)(void *context, const hone_ledger_outcome *outcome), void *context,
                                     hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, EACH_OUTCOME, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, key);
    for (;;) {
        bool row;
        status = hone_database_step(ledger->database, s, &row, err);
        if (status != HONE_OK || !row)
            return status;
        hone_ledger_outcome outcome = {
            .position = sqlite3_column_int64(s, 0),
            .row_id = (const char *)sqlite3_column_text(s, 1),
            .answer = (const char *)sqlite3_column_text(s, 2),
            .raw = (const char *)sqlite3_column_text(s, 3),
            .score = column_double(s, 4),
            .tokens_in = sqlite3_column_int64(s, 5),
            .tokens_out = sqlite3_column_int64(s, 6),
            .tokens_cached = sqlite3_column_int64(s, 7),
            .seconds = column_double(s, 8),
        };
        each(context, &outcome);
    }
}

hone_status hone_ledger_get_split(hone_ledger *ledger, const char *row_key, char split[16], bool *found,
                                  hone_error *err)
{
    *found = false;
    split[0] = 0;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, GET_SPLIT, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, row_key);
    status = hone_database_step(ledger->database, s, found, err);
    if (status == HONE_OK && *found)
        sqlite3_snprintf(16, split, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_reset(s);
    return status;
}

hone_status hone_ledger_put_split(hone_ledger *ledger, const char *row_key, const char *split, hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, PUT_SPLIT, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, row_key);
    bind_text(s, 2, split);
    return hone_database_step(ledger->database, s, NULL, err);
}

static hone_status put_opening(hone_database *database, const char *test_hash, const char *run_key, const char *purpose,
                               const char *now, hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(database, PUT_OPENING, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, test_hash);
    bind_text(s, 2, run_key);
    bind_text(s, 3, purpose);
    bind_text(s, 4, now);
    return hone_database_step(database, s, NULL, err);
}

static hone_status count_in(hone_database *database, const char *test_hash, int64_t *n, hone_error *err)
{
    bool row;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(database, COUNT_OPENINGS, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, test_hash);
    status = hone_database_step(database, s, &row, err);
    if (status == HONE_OK)
        *n = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return status;
}

/* *out is NULL when the file is absent and need not be made. */
static hone_status open_home_count(bool create, hone_database **out, hone_error *err)
{
    *out = NULL;
    char *home = NULL, *path = NULL;
    hone_status status = hone_home_folder(&home, err);
    if (status != HONE_OK)
        return status;
    path = hone_path_join(home, "openings.sqlite");
    if (!path)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    else if (create || hone_file_exists(path))
        status = hone_database_open(path, &openings_kind, out, err);
    if (status == HONE_IO)
        hone_fail_within(err, HONE_IO,
                         "openings of tests are counted in hone's home folder (set HONE_HOME to move it)");
    free(path);
    free(home);
    return status;
}

hone_status hone_ledger_open_test(hone_ledger *ledger, const char *test_hash, const char *run_key, const char *purpose,
                                  int64_t *n_openings, hone_error *err)
{
    char now[32];
    hone_database *home = NULL;
    int64_t here = 0, there = 0;
    *n_openings = 0;
    hone_clock_iso8601(now, sizeof now);
    hone_status status = open_home_count(true, &home, err);
    /* The count outside the task comes first: a kill in between must not hide a look. */
    if (status == HONE_OK)
        status = put_opening(home, test_hash, run_key, purpose, now, err);
    if (status == HONE_OK)
        status = count_in(home, test_hash, &there, err);
    if (status == HONE_OK)
        status = put_opening(ledger->database, test_hash, run_key, purpose, now, err);
    if (status == HONE_OK)
        status = count_in(ledger->database, test_hash, &here, err);
    if (status == HONE_OK)
        *n_openings = here > there ? here : there;
    hone_database_close(home);
    return status;
}

hone_status hone_ledger_count_openings(hone_ledger *ledger, const char *test_hash, int64_t *n_openings, hone_error *err)
{
    hone_database *home = NULL;
    int64_t here = 0, there = 0;
    *n_openings = 0;
    hone_status status = open_home_count(false, &home, err);
    if (status == HONE_OK && home)
        status = count_in(home, test_hash, &there, err);
    if (status == HONE_OK)
        status = count_in(ledger->database, test_hash, &here, err);
    if (status == HONE_OK)
        *n_openings = here > there ? here : there;
    hone_database_close(home);
    return status;
}

hone_status hone_ledger_begin_run(hone_ledger *ledger, const char *run_key, const json_t *settings, int64_t *run_id,
                                  hone_error *err)
{
    bool row;
    *run_id = 0;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, FIND_OPEN_RUN, &s, err);
    if (status != HONE_OK)
        return status;
    bind_text(s, 1, run_key);
    status = hone_database_step(ledger->database, s, &row, err);
    if (status != HONE_OK)
        return status;
    if (row)
        *run_id = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    if (row)
        return HONE_OK;
    status = put_json(ledger, BEGIN_RUN, run_key, 0, settings, err);
    if (status == HONE_OK)
        *run_id = hone_database_last_id(ledger->database);
    return status;
}

hone_status hone_ledger_finish_run(hone_ledger *ledger, int64_t run_id, const json_t *document, hone_error *err)
{
    return put_json(ledger, FINISH_RUN, NULL, run_id, document, err);
}

hone_status hone_ledger_last_run(hone_ledger *ledger, json_t **document, hone_error *err)
{
    bool row;
    *document = NULL;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, LAST_RUN, &s, err);
    if (status != HONE_OK)
        return status;
    status = hone_database_step(ledger->database, s, &row, err);
    if (status == HONE_OK && row)
        status = column_json(ledger, s, document, err);
    sqlite3_reset(s);
    return status;
}

hone_status hone_ledger_each_run(hone_ledger *ledger, void (*each)(void *context, const hone_ledger_run *run),
                                 void *context, hone_error *err)
{
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, EACH_RUN, &s, err);
    if (status != HONE_OK)
        return status;
    for (;;) {
        bool row;
        status = hone_database_step(ledger->database, s, &row, err);
        if (status != HONE_OK || !row)
            return status;
        const char *settings = (const char *)sqlite3_column_text(s, 3), *text = (const char *)sqlite3_column_text(s, 4);
        json_t *read = settings ? json_loads(settings, JSON_ALLOW_NUL, NULL) : NULL;
        json_t *document = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
        hone_ledger_run run = {.id = sqlite3_column_int64(s, 0),
                               .started = (const char *)sqlite3_column_text(s, 1),
                               .finished = (const char *)sqlite3_column_text(s, 2),
                               .settings = read,
                               .document = document};
        each(context, &run);
        json_decref(read);
        json_decref(document);
    }
}

hone_status hone_ledger_get_run(hone_ledger *ledger, int64_t id, json_t **document, hone_error *err)
{
    bool row;
    *document = NULL;
    sqlite3_stmt *s;
    hone_status status = hone_database_statement(ledger->database, GET_RUN, &s, err);
    if (status != HONE_OK)
        return status;
    sqlite3_bind_int64(s, 1, id);
    status = hone_database_step(ledger->database, s, &row, err);
    if (status == HONE_OK && !row)
        status = hone_fail(err, HONE_NOT_FOUND, "%s: there is no run %lld; `hone runs` lists them", ledger->path,
                           (long long)id);
    else if (status == HONE_OK && sqlite3_column_type(s, 0) != SQLITE_NULL)
        status = column_json(ledger, s, document, err);
    sqlite3_reset(s);
    return status;
}
