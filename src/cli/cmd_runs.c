/* cmd_runs.c - `hone runs`: the comparisons that a task's ledger remembers, and what was trained in them. */
#include "base/buffer.h"
#include "base/file.h"
#include "base/numbers.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/stored.h"
#include "report/legible.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const hone_command hone_command_runs = {
    .name = "runs",
    .usage = "[TASK] [--json]",
    .summary = "list the comparisons of a task, finished or interrupted, and what was trained",
    .details =
        "TASK is a task's folder or its task.yaml; the current folder when left out. A run that was interrupted is\n"
        "marked, with the command that goes on where it was. `hone runs show ID` shows the report of one.",
    .run = run,
};

typedef struct listing {
    json_t *runs; /* an array, oldest first */
    bool at_work; /* a hone holds the task's lock */
    bool failed;  /* out of memory */
} listing;

static json_t *copy(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return v ? json_incref(v) : json_null();
}

static json_t *trainings(const json_t *document)
{
    json_t *out = json_array(), *a;
    size_t i;
    json_array_foreach(json_object_get(document, "approaches"), i, a)
    {
        if (!json_is_string(json_object_get(a, "adapter")))
            continue;
        json_t *one =
            json_pack("{s:o, s:o, s:o, s:o}", "approach", copy(a, "name"), "adapter", copy(a, "adapter"), "seconds",
                      copy(a, "train_seconds"), "tokens_per_second", copy(a, "train_tokens_per_second"));
        json_array_append_new(out, one ? one : json_null());
    }
    return out;
}

static void add_run(void *context, const hone_ledger_run *r)
{
    listing *l = context;
    const json_t *d = r->document, *s = r->settings, *verdict = json_object_get(d, "verdict");
    json_t *one = json_pack("{s:I, s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                            (json_int_t)r->id, "state", r->finished ? "finished" : "interrupted", "started", r->started,
                            "finished", r->finished, "model", copy(s, "model"), "level", copy(s, "level"), "seed",
                            copy(s, "seed"), "test_rows", copy(d ? d : s, d ? "n_test" : "test_rows"), "winner",
                            copy(d, "winner"), "verdict", copy(verdict, "kind"), "choose", copy(verdict, "choose"),
                            "confidence", copy(verdict, "confidence"), "test_openings", copy(d, "test_openings"),
                            "seconds", copy(d, "seconds"), "trainings", trainings(d), "command", copy(s, "command"));
    if (!one || json_array_append_new(l->runs, one) != 0)
        l->failed = true;
}

/* Whether a hone is at work on the task: its lock cannot be had. */
static bool is_at_work(const char *folder)
{
    hone_lock lock;
    hone_error err;
    char *path = hone_path_join(folder, ".hone/compare.lock");
    bool busy = false;
    if (path && hone_file_exists(path)) {
        hone_status status = hone_lock_take(path, &lock, &err);
        busy = status == HONE_BUSY;
        if (status == HONE_OK)
            hone_lock_release(&lock);
    }
    free(path);
    return busy;
}

/* Of the runs that have no end, the one that a hone at work is on is the newest. */
static hone_status mark_running(listing *l, const char *folder, hone_error *err)
{
    if (!is_at_work(folder))
        return HONE_OK;
    for (size_t i = json_array_size(l->runs); i-- > 0;) {
        json_t *one = json_array_get(l->runs, i);
        if (strcmp(json_string_value(json_object_get(one, "state")), "interrupted") == 0)
            return json_object_set_new(one, "state", json_string("running")) == 0
                       ? HONE_OK
                       : hone_fail(err, HONE_NO_MEMORY, "no memory for the list of runs");
    }
    return HONE_OK;
}

static hone_status read_runs(const char *folder, json_t **out, hone_error *err)
{
    hone_ledger *ledger = NULL;
    listing l = {.runs = json_array()};
    *out = NULL;
    hone_status status = l.runs ? hone_stored_ledger_open(folder, &ledger, err)
                                : hone_fail(err, HONE_NO_MEMORY, "no memory for the list of runs");
    if (status == HONE_OK && ledger)
        status = hone_ledger_each_run(ledger, add_run, &l, err);
    if (status == HONE_OK && l.failed)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory for the list of runs");
    if (status == HONE_OK)
        status = mark_running(&l, folder, err);
    hone_ledger_close(ledger);
    if (status == HONE_OK)
        *out = l.runs;
    else
        json_decref(l.runs);
    return status;
}

static const char *text_of(const json_t *one, const char *key)
{
    const char *text = json_string_value(json_object_get(one, key));
    return text ? text : "";
}

static double number_of(const json_t *one, const char *key)
{
    const json_t *v = json_object_get(one, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* "not_enough_data" as people read it. */
static void put_words(hone_buffer *b, const char *name)
{
    for (; *name; name++)
        hone_buffer_putc(b, *name == '_' ? ' ' : *name);
}

static void print_run(hone_buffer *b, const json_t *one)
{
    const char *state = text_of(one, "state"), *started = text_of(one, "started");
    bool finished = strcmp(state, "finished") == 0;
    char when[17];
    snprintf(when, sizeof when, "%.16s", started);
    if (strlen(when) > 10)
        when[10] = ' '; /* 2026-11-24T19:02 */
    hone_buffer_printf(b, "%4lld  %-16s  ", (long long)json_integer_value(json_object_get(one, "id")), when);
    hone_legible_fit(b, text_of(one, "level"), 10, true);
    hone_buffer_printf(b, "  %9s  %8s  %8s  ", hone_number_count(number_of(one, "test_rows")).text,
                       finished ? hone_number_count(number_of(one, "test_openings")).text : "-",
                       finished ? hone_number_seconds(number_of(one, "seconds")).text : "-");
    if (!finished) {
        hone_buffer_printf(b, "%s\n", state);
        if (strcmp(state, "interrupted") == 0) {
            hone_buffer_puts(b, "      goes on with: ");
            hone_legible_append(b, text_of(one, "command"), HONE_LEGIBLE_LINE);
            hone_buffer_putc(b, '\n');
        }
        return;
    }
    put_words(b, text_of(one, "verdict"));
    if (text_of(one, "choose")[0]) {
        hone_buffer_puts(b, ": ");
        hone_legible_append(b, text_of(one, "choose"), HONE_LEGIBLE_LINE);
    }
    if (text_of(one, "winner")[0] && strcmp(text_of(one, "winner"), text_of(one, "choose")) != 0) {
        hone_buffer_puts(b, " (select named ");
        hone_legible_append(b, text_of(one, "winner"), HONE_LEGIBLE_LINE);
        hone_buffer_putc(b, ')');
    }
    hone_buffer_putc(b, '\n');
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(one, "trainings"), i, t)
    {
        hone_buffer_puts(b, "      trained ");
        hone_legible_append(b, text_of(t, "approach"), HONE_LEGIBLE_LINE);
        hone_buffer_printf(b, " in %s, %s tokens/s: ", hone_number_seconds(number_of(t, "seconds")).text,
                           hone_number_about(number_of(t, "tokens_per_second")).text);
        hone_legible_append(b, text_of(t, "adapter"), HONE_LEGIBLE_LINE);
        hone_buffer_putc(b, '\n');
    }
}

static hone_status print_list(const char *folder, const json_t *runs, hone_error *err)
{
    hone_buffer b = {0};
    size_t i;
    json_t *one;
    if (json_array_size(runs) == 0)
        return hone_fail(err, HONE_NOT_FOUND, "%s: no comparison was begun here yet; `hone compare %s` does", folder,
                         folder);
    hone_buffer_printf(&b, "%4s  %-16s  %-10s  %9s  %8s  %8s  %s\n", "id", "started", "level", "test rows", "openings",
                       "spent", "verdict");
    json_array_foreach(runs, i, one) print_run(&b, one);
    hone_buffer_puts(&b, "`hone runs show ID` shows one of them whole.\n");
    bool good = !b.failed && fwrite(b.data, 1, b.length, stdout) == b.length && fflush(stdout) == 0;
    hone_buffer_clear(&b);
    return good ? HONE_OK : hone_fail(err, HONE_IO, "cannot write the list of runs; is the disk full?");
}

static int run(int argc, char **argv)
{
    bool json = false;
    const hone_option options[] = {
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "print {\"runs\": [{\"id\", \"state\", \"verdict\", ...}]}"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_runs, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    char *folder = NULL;
    json_t *runs = NULL, *document = NULL;
    hone_status status = HONE_OK;
    if (arguments.n > 1)
        status = hone_fail(&err, HONE_BAD_INPUT, "one task at a time, not %zu", arguments.n);
    if (status == HONE_OK)
        status = hone_stored_task_folder(arguments.n ? arguments.items[0] : ".", &folder, &err);
    if (status == HONE_OK)
        status = read_runs(folder, &runs, &err);
    if (status == HONE_OK && json) {
        document = json_pack("{s:O}", "runs", runs);
        status = document ? hone_show_json(document, stdout, &err)
                          : hone_fail(&err, HONE_NO_MEMORY, "no memory for the list of runs");
    } else if (status == HONE_OK)
        status = print_list(folder, runs, &err);
    json_decref(document);
    json_decref(runs);
    free(folder);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_runs, &err);
}
