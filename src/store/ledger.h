/* ledger.h - the SQLite file that remembers: splits, finished parts of work, per-item outcomes, test openings,
 * verdicts.
 *
 * WAL mode, one writer; each put is durable when it returns (or inside begin/commit, when commit returns), so a kill
 * loses at most the transaction under way. The schema carries a version and is migrated when opened. */
#ifndef HONE_STORE_LEDGER_H
#define HONE_STORE_LEDGER_H

#include "base/status.h"

#include <jansson.h>

typedef struct hone_ledger hone_ledger;

/* Creates the file and its folder when absent. HONE_BAD_FORMAT for a file that is not a ledger or comes from a newer
 * hone. */
hone_status hone_ledger_open(const char *path, hone_ledger **out, hone_error *err);
void hone_ledger_close(hone_ledger *ledger);
hone_status hone_ledger_begin(hone_ledger *ledger, hone_error *err);
hone_status hone_ledger_commit(hone_ledger *ledger, hone_error *err);
void hone_ledger_rollback(hone_ledger *ledger);

/* A finished part of work under a key that names everything it depends on (hashes, settings, numerics class), so that
 * the same command after a kill finds it. *out is NULL (and HONE_OK) when there is none; otherwise a new reference. */
hone_status hone_ledger_get_part(hone_ledger *ledger, const char *key, json_t **out, hone_error *err);
hone_status hone_ledger_put_part(hone_ledger *ledger, const char *key, const json_t *value, hone_error *err);

/* One approach's answer to one row, under the part's key. */
typedef struct hone_ledger_outcome {
    const char *row_id; /* hone_row_content */
    int64_t position;   /* row's place in its split, so that rows with equal ids stay apart */
    const char *answer; /* as parsed; NULL when unparseable */
    const char *raw;    /* as generated */
    double score;       /* 0..1 */
    int64_t tokens_in, tokens_out, tokens_cached;
    double seconds; /* of the batch, divided; not a latency */
} hone_ledger_outcome;
hone_status hone_ledger_put_outcome(hone_ledger *ledger, const char *key, const hone_ledger_outcome *outcome,
                                    hone_error *err);
/* Calls `each` for all outcomes of the key, by position; strings are valid during the call only. */
hone_status hone_ledger_each_outcome(hone_ledger *ledger, const char *key,
                                     void (*each)(void *context, const hone_ledger_outcome *outcome), void *context,
                                     hone_error *err);

/* Splits: the remembered split of a row key ("train", "select_tune", "select_name", "test"), NULL when new. */
hone_status hone_ledger_get_split(hone_ledger *ledger, const char *row_key, char split[16], bool *found,
                                  hone_error *err);
hone_status hone_ledger_put_split(hone_ledger *ledger, const char *row_key, const char *split, hone_error *err);

/* The one way to open a locked test: writes the opening (test content hash, purpose, time) to this ledger and to the
 * count in hone's home folder (openings.sqlite), which survives the deletion of the ledger. The same run continued
 * after a kill (same run_key) counts once. *n_openings: how often this test has been opened, this time included (the
 * greater of the two counts). */
hone_status hone_ledger_open_test(hone_ledger *ledger, const char *test_hash, const char *run_key, const char *purpose,
                                  int64_t *n_openings, hone_error *err);
hone_status hone_ledger_count_openings(hone_ledger *ledger, const char *test_hash, int64_t *n_openings,
                                       hone_error *err);

/* Runs: one row per `hone compare` with its settings and, when finished, its verdict document. */
hone_status hone_ledger_begin_run(hone_ledger *ledger, const char *run_key, const json_t *settings, int64_t *run_id,
                                  hone_error *err);
hone_status hone_ledger_finish_run(hone_ledger *ledger, int64_t run_id, const json_t *document, hone_error *err);
/* The newest finished run's document (new reference), NULL when there is none. */
hone_status hone_ledger_last_run(hone_ledger *ledger, json_t **document, hone_error *err);

typedef struct hone_ledger_run {
    int64_t id;
    const char *started, *finished; /* ISO times; finished is NULL for a run that has not come to its end */
    const json_t *settings;
    const json_t *document; /* without its "items"; NULL where there is none or it cannot be read */
} hone_ledger_run;
/* Calls `each` for all runs, oldest first; what it gets is valid during the call only. */
hone_status hone_ledger_each_run(hone_ledger *ledger, void (*each)(void *context, const hone_ledger_run *run),
                                 void *context, hone_error *err);
/* The document of the run with that id (new reference), NULL where it has not come to its end. HONE_NOT_FOUND: there is
 * no such run. */
hone_status hone_ledger_get_run(hone_ledger *ledger, int64_t id, json_t **document, hone_error *err);

#endif
