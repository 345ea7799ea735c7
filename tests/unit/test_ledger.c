/* test_ledger.c - claims about the ledger: it survives kills, other processes, full disks and damage, and forgets
 * nothing. */
#include "base/file.h"
#include "store/ledger.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "unit/temporary.h"

static int begin(void **state)
{
    int code = temporary_begin(state);
    return code ? code : setenv("HONE_HOME", temporary_path("home"), 1);
}

static hone_ledger *open_good(const char *name)
{
    hone_ledger *ledger;
    hone_error err = {0};
    if (hone_ledger_open(temporary_path(name), &ledger, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return ledger;
}

static void add_position(void *context, const hone_ledger_outcome *outcome)
{
    (void)outcome;
    ++*(int *)context;
}

static int count_outcomes(hone_ledger *ledger, const char *key)
{
    int n = 0;
    assert_int_equal(hone_ledger_each_outcome(ledger, key, add_position, &n, NULL), HONE_OK);
    return n;
}

static hone_status put_outcome(hone_ledger *ledger, const char *key, int64_t position, hone_error *err)
{
    hone_ledger_outcome outcome = {.row_id = "id", .position = position, .answer = "a", .raw = "raw", .score = 1};
    return hone_ledger_put_outcome(ledger, key, &outcome, err);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_parts_are_found_again_after_closing(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("deep/er/parts.sqlite"); /* folders are made */
    json_t *value = json_pack("{s:f, s:[i, s]}", "x", 0.1, "list", 3, "gr\xC3\xBC\xC3\x9F"), *found;
    assert_int_equal(hone_ledger_get_part(ledger, "key", &found, NULL), HONE_OK);
    assert_null(found);
    assert_int_equal(hone_ledger_put_part(ledger, "key", value, NULL), HONE_OK);
    hone_ledger_close(ledger);
    ledger = open_good("deep/er/parts.sqlite");
    assert_int_equal(hone_ledger_get_part(ledger, "key", &found, NULL), HONE_OK);
    assert_true(json_equal(value, found)); /* the double bit for bit: 17 digits */
    json_decref(found);
    assert_int_equal(hone_ledger_get_part(ledger, "other", &found, NULL), HONE_OK);
    assert_null(found);
    json_decref(value);
    hone_ledger_close(ledger);
}

static void check_outcome(void *context, const hone_ledger_outcome *o)
{
    int *n = context;
    assert_int_equal(o->position, *n);
    if (*n == 0) {
        assert_string_equal(o->row_id, "abc");
        assert_null(o->answer);
        assert_string_equal(o->raw, "I do not know");
        assert_true(isnan(o->seconds));
        assert_int_equal(o->tokens_in, 5);
        assert_int_equal(o->tokens_out, 6);
        assert_int_equal(o->tokens_cached, 7);
    } else {
        assert_string_equal(o->answer, "new");
        assert_true(o->score == 0.5);
    }
    ++*n;
}

static void test_outcomes_come_back_by_position_and_are_replaced_not_doubled(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("outcomes.sqlite");
    hone_ledger_outcome second = {.row_id = "abc", .position = 1, .answer = "old", .raw = "old"};
    hone_ledger_outcome first = {"abc", 0, NULL, "I do not know", 0, 5, 6, 7, (double)NAN};
    assert_int_equal(hone_ledger_put_outcome(ledger, "k", &second, NULL), HONE_OK);
    assert_int_equal(hone_ledger_put_outcome(ledger, "k", &first, NULL), HONE_OK);
    second.answer = "new";
    second.score = 0.5;
    assert_int_equal(hone_ledger_put_outcome(ledger, "k", &second, NULL), HONE_OK);
    assert_int_equal(hone_ledger_put_outcome(ledger, "other", &second, NULL), HONE_OK);
    int n = 0;
    assert_int_equal(hone_ledger_each_outcome(ledger, "k", check_outcome, &n, NULL), HONE_OK);
    assert_int_equal(n, 2);
    hone_ledger_close(ledger);
}

static void test_rollback_leaves_nothing(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("rollback.sqlite");
    char split[16];
    bool found;
    assert_int_equal(hone_ledger_begin(ledger, NULL), HONE_OK);
    assert_int_equal(hone_ledger_put_split(ledger, "row", "train", NULL), HONE_OK);
    hone_ledger_rollback(ledger);
    assert_int_equal(hone_ledger_get_split(ledger, "row", split, &found, NULL), HONE_OK);
    assert_false(found);
    assert_int_equal(hone_ledger_put_split(ledger, "row", "select_tune", NULL), HONE_OK);
    assert_int_equal(hone_ledger_get_split(ledger, "row", split, &found, NULL), HONE_OK);
    assert_true(found);
    assert_string_equal(split, "select_tune");
    hone_ledger_close(ledger);
}

static void test_a_kill_loses_only_the_open_transaction(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        hone_ledger *ledger;
        if (hone_ledger_open(temporary_path("kill.sqlite"), &ledger, NULL) != HONE_OK)
            _exit(1);
        hone_ledger_begin(ledger, NULL);
        for (int i = 0; i < 10; i++)
            put_outcome(ledger, "done", i, NULL);
        hone_ledger_commit(ledger, NULL);
        put_outcome(ledger, "done", 10, NULL); /* on its own: durable when it returns */
        hone_ledger_begin(ledger, NULL);
        for (int i = 0; i < 5000; i++) /* enough to spill out of the page cache into the log */
            put_outcome(ledger, "under way", i, NULL);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    char x;
    assert_int_equal(read(ready[0], &x, 1), 1);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    hone_ledger *ledger = open_good("kill.sqlite");
    assert_int_equal(count_outcomes(ledger, "done"), 11);
    assert_int_equal(count_outcomes(ledger, "under way"), 0);
    assert_int_equal(put_outcome(ledger, "under way", 0, NULL), HONE_OK);
    hone_ledger_close(ledger);
    close(ready[0]);
    close(ready[1]);
}

static void test_two_processes_open_and_write_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 4, EACH = 50 };
    pid_t children[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        if (children[p] == 0) { /* the file is made by whoever comes first */
            hone_ledger *ledger;
            hone_error err;
            if (hone_ledger_open(temporary_path("two.sqlite"), &ledger, &err) != HONE_OK) {
                print_error("%s\n", err.message);
                _exit(1);
            }
            for (int i = 0; i < EACH; i++)
                if (put_outcome(ledger, "k", p * EACH + i, &err) != HONE_OK)
                    _exit(2);
            hone_ledger_close(ledger);
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        waitpid(children[p], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    hone_ledger *ledger = open_good("two.sqlite");
    assert_int_equal(count_outcomes(ledger, "k"), PROCESSES * EACH);
    hone_ledger_close(ledger);
}

static void test_a_full_disk_is_said_and_leaves_the_last_good_state(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("full.sqlite");
    assert_int_equal(put_outcome(ledger, "k", 0, NULL), HONE_OK);
    hone_ledger_close(ledger);
    pid_t child = fork();
    if (child == 0) { /* a limit on file sizes stands for the full disk */
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {200000, 200000};
        setrlimit(RLIMIT_FSIZE, &limit);
        hone_error err = {0};
        if (hone_ledger_open(temporary_path("full.sqlite"), &ledger, &err) != HONE_OK)
            _exit(1);
        for (int i = 1; i < 100000; i++)
            if (put_outcome(ledger, "k", i, &err) != HONE_OK)
                _exit(err.code == HONE_IO && strstr(err.message, "full.sqlite") ? 0 : 2);
        _exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    ledger = open_good("full.sqlite");
    assert_true(count_outcomes(ledger, "k") >= 1);
    assert_int_equal(put_outcome(ledger, "after", 0, NULL), HONE_OK);
    hone_ledger_close(ledger);
}

static void test_what_is_no_ledger_is_refused_with_a_reason(void **state)
{
    (void)state;
    hone_ledger *ledger;
    hone_error err = {0};
    char noise[8192];
    memset(noise, 'x', sizeof noise);
    assert_int_equal(hone_ledger_open(temporary_bytes("noise.sqlite", noise, sizeof noise), &ledger, &err),
                     HONE_BAD_FORMAT);
    assert_null(ledger);
    assert_says(err, "noise.sqlite: is damaged or not a ledger");
    assert_says(err, "move it away");

    run_sql(temporary_path("other.sqlite"), "CREATE TABLE t (x)");
    assert_int_equal(hone_ledger_open(temporary_path("other.sqlite"), &ledger, &err), HONE_BAD_FORMAT);
    assert_says(err, "other.sqlite: is a SQLite file of another program");

    assert_int_equal(mkdir(temporary_path("folder.sqlite"), 0777), 0);
    assert_int_equal(hone_ledger_open(temporary_path("folder.sqlite"), &ledger, &err), HONE_IO);

    temporary_file("file", "x");
    assert_int_equal(hone_ledger_open(temporary_path("file/ledger.sqlite"), &ledger, &err), HONE_IO);
}

static void test_a_ledger_damaged_in_the_middle_is_refused(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("damaged.sqlite");
    hone_ledger_begin(ledger, NULL);
    for (int i = 0; i < 2000; i++)
        put_outcome(ledger, "k", i, NULL);
    assert_int_equal(hone_ledger_commit(ledger, NULL), HONE_OK);
    hone_ledger_close(ledger);
    FILE *f = fopen(temporary_path("damaged.sqlite"), "r+b");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    assert_true(size > 50000);
    fseek(f, size / 2, SEEK_SET);
    for (int i = 0; i < 16384; i++)
        fputc(0xA5, f);
    fclose(f);
    hone_error err = {0};
    assert_int_equal(hone_ledger_open(temporary_path("damaged.sqlite"), &ledger, &err), HONE_BAD_FORMAT);
    assert_says(err, "damaged");
}

static void test_a_ledger_of_a_newer_hone_is_refused(void **state)
{
    (void)state;
    hone_ledger_close(open_good("newer.sqlite"));
    run_sql(temporary_path("newer.sqlite"), "PRAGMA user_version = 99");
    hone_ledger *ledger;
    hone_error err = {0};
    assert_int_equal(hone_ledger_open(temporary_path("newer.sqlite"), &ledger, &err), HONE_BAD_FORMAT);
    assert_says(err, "was written by a newer hone (schema 99");
}

static void test_openings_survive_the_deletion_of_the_ledger_and_count_a_run_once(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("first.sqlite");
    int64_t n = -1;
    assert_int_equal(hone_ledger_count_openings(ledger, "hash", &n, NULL), HONE_OK);
    assert_int_equal(n, 0);
    assert_false(hone_file_exists(temporary_path("home/openings.sqlite"))); /* asking makes nothing */
    assert_int_equal(hone_ledger_open_test(ledger, "hash", "run 1", "compare", &n, NULL), HONE_OK);
    assert_int_equal(n, 1);
    assert_int_equal(hone_ledger_open_test(ledger, "hash", "run 1", "compare", &n, NULL),
                     HONE_OK); /* continued after a kill */
    assert_int_equal(n, 1);
    assert_int_equal(hone_ledger_open_test(ledger, "hash", "run 2", "compare", &n, NULL), HONE_OK);
    assert_int_equal(n, 2);
    assert_int_equal(hone_ledger_open_test(ledger, "another test", "run 2", "compare", &n, NULL), HONE_OK);
    assert_int_equal(n, 1);
    hone_ledger_close(ledger);
    ledger = open_good("second.sqlite"); /* a new ledger, as after deleting the first */
    assert_int_equal(hone_ledger_count_openings(ledger, "hash", &n, NULL), HONE_OK);
    assert_int_equal(n, 2);
    assert_int_equal(hone_ledger_open_test(ledger, "hash", "run 3", "compare", &n, NULL), HONE_OK);
    assert_int_equal(n, 3);
    hone_ledger_close(ledger);
    /* And the other way round: the home folder is lost, the ledger still knows. */
    assert_int_equal(setenv("HONE_HOME", temporary_path("another home"), 1), 0);
    ledger = open_good("first.sqlite");
    assert_int_equal(hone_ledger_count_openings(ledger, "hash", &n, NULL), HONE_OK);
    assert_int_equal(n, 2);
    hone_ledger_close(ledger);
}

static void test_a_test_is_not_opened_where_the_opening_cannot_be_counted(void **state)
{
    (void)state;
    temporary_file("not a folder", "x");
    assert_int_equal(setenv("HONE_HOME", temporary_path("not a folder"), 1), 0);
    hone_ledger *ledger = open_good("uncounted.sqlite");
    int64_t n;
    hone_error err = {0};
    assert_int_equal(hone_ledger_open_test(ledger, "h", "r", "compare", &n, &err), HONE_IO);
    assert_says(err, "HONE_HOME");
    hone_ledger_close(ledger);
    setenv("HONE_HOME", temporary_path("home"), 1);
}

typedef struct seen_runs {
    int n;
    int64_t ids[4];
    bool finished[4];
    char level[4][16];
    bool with_items, with_winner;
} seen_runs;

static void see_run(void *context, const hone_ledger_run *run)
{
    seen_runs *seen = context;
    assert_true(seen->n < 4 && run->started[0] == '2' && strlen(run->started) >= 19);
    seen->ids[seen->n] = run->id;
    seen->finished[seen->n] = run->finished != NULL;
    assert_true((run->document != NULL) == (run->finished != NULL));
    snprintf(seen->level[seen->n], sizeof seen->level[0], "%s",
             json_string_value(json_object_get(run->settings, "level")));
    seen->with_items = seen->with_items || json_object_get(run->document, "items");
    seen->with_winner = seen->with_winner || json_object_get(run->document, "winner");
    seen->n++;
}

static void test_all_runs_are_listed_and_each_is_found_by_its_number(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("list.sqlite");
    json_t *quick = json_pack("{s:s}", "level", "quick"), *full = json_pack("{s:s}", "level", "full");
    json_t *document = json_pack("{s:s, s:[i, i]}", "winner", "tuned", "items", 1, 2), *found = NULL;
    int64_t first, second;
    seen_runs seen = {0};
    hone_error err;
    assert_int_equal(hone_ledger_begin_run(ledger, "a", quick, &first, NULL), HONE_OK);
    assert_int_equal(hone_ledger_begin_run(ledger, "b", full, &second, NULL), HONE_OK);
    assert_int_equal(hone_ledger_finish_run(ledger, first, document, NULL), HONE_OK);
    assert_int_equal(hone_ledger_each_run(ledger, see_run, &seen, NULL), HONE_OK);
    assert_true(seen.n == 2 && seen.ids[0] == first && seen.ids[1] == second);
    assert_true(seen.finished[0] && !seen.finished[1]); /* the second was interrupted, or is at work */
    assert_string_equal(seen.level[0], "quick");
    assert_string_equal(seen.level[1], "full");
    assert_true(seen.with_winner && !seen.with_items); /* a list needs no answers */
    assert_int_equal(hone_ledger_get_run(ledger, first, &found, NULL), HONE_OK);
    assert_true(json_equal(found, document)); /* whole, answers included */
    json_decref(found);
    assert_int_equal(hone_ledger_get_run(ledger, second, &found, NULL), HONE_OK);
    assert_null(found);
    assert_int_equal(hone_ledger_get_run(ledger, 99, &found, &err), HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "no run 99; `hone runs` lists them"));
    json_decref(quick);
    json_decref(full);
    json_decref(document);
    hone_ledger_close(ledger);
}

static void test_the_last_finished_run_is_found_and_an_unfinished_one_is_continued(void **state)
{
    (void)state;
    hone_ledger *ledger = open_good("runs.sqlite");
    json_t *settings = json_object(), *document = json_pack("{s:i}", "run", 1), *found;
    int64_t a, b;
    assert_int_equal(hone_ledger_last_run(ledger, &found, NULL), HONE_OK);
    assert_null(found);
    assert_int_equal(hone_ledger_begin_run(ledger, "key", settings, &a, NULL), HONE_OK);
    assert_int_equal(hone_ledger_begin_run(ledger, "key", settings, &b, NULL), HONE_OK);
    assert_int_equal(a, b);
    assert_int_equal(hone_ledger_finish_run(ledger, a, document, NULL), HONE_OK);
    assert_int_equal(hone_ledger_begin_run(ledger, "key", settings, &b, NULL), HONE_OK);
    assert_int_not_equal(a, b);
    assert_int_equal(hone_ledger_last_run(ledger, &found, NULL), HONE_OK);
    assert_true(json_equal(found, document));
    json_decref(found);
    json_decref(document);
    json_decref(settings);
    hone_ledger_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_found_again_after_closing),
        cmocka_unit_test(test_outcomes_come_back_by_position_and_are_replaced_not_doubled),
        cmocka_unit_test(test_rollback_leaves_nothing),
        cmocka_unit_test(test_a_kill_loses_only_the_open_transaction),
        cmocka_unit_test(test_two_processes_open_and_write_at_once),
        cmocka_unit_test(test_a_full_disk_is_said_and_leaves_the_last_good_state),
        cmocka_unit_test(test_what_is_no_ledger_is_refused_with_a_reason),
        cmocka_unit_test(test_a_ledger_damaged_in_the_middle_is_refused),
        cmocka_unit_test(test_a_ledger_of_a_newer_hone_is_refused),
        cmocka_unit_test(test_openings_survive_the_deletion_of_the_ledger_and_count_a_run_once),
        cmocka_unit_test(test_a_test_is_not_opened_where_the_opening_cannot_be_counted),
        cmocka_unit_test(test_all_runs_are_listed_and_each_is_found_by_its_number),
        cmocka_unit_test(test_the_last_finished_run_is_found_and_an_unfinished_one_is_continued),
    };
    return cmocka_run_group_tests(tests, begin, temporary_end);
}
