/* task.c - opens a task: settings, rows, labels, leaks, splits, hashes, in that order. Everything that can be wrong
 * with the rows is found before a split is written to the ledger. */
#include "task/task.h"

#include "base/hash.h"
#include "base/text.h"
#include "store/ledger.h"
#include "task/leaks.h"
#include "task/rows.h"
#include "task/settings.h"
#include "task/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Different inputs (or groups) needed: to fill both halves of select and train, and a test where none is given. */
enum { MIN_UNITS_WITH_TEST = 8, MIN_UNITS_ALONE = 10, MIN_GROUPS_WITH_TEST = 3, MIN_GROUPS_ALONE = 4 };

/* A file's rows. */
typedef struct pool {
    hone_rows rows;
    char (*folds)[33]; /* keys of the inputs (fold.h) */
    char (*units)[33]; /* keys of what stays together (split.h) */
    int *labels;       /* index in task->labels, 0 where there are none */
    hone_split *splits;
    const char *path;
} pool;

typedef struct opener {
    hone_task *task;
    hone_settings settings;
    const char *yaml;
    pool train, select, test; /* select and test: rows.n == 0 unless their files are named */
    hone_error *err;
} opener;

static const char *const kind_names[] = {"label", "text", "json", "number", "choice", "sql"};

const char *hone_output_kind_name(hone_output_kind kind)
{
    return (size_t)kind < sizeof kind_names / sizeof *kind_names ? kind_names[kind] : "unknown";
}

static hone_status no_memory(const opener *o)
{
    return hone_fail(o->err, HONE_NO_MEMORY, "%s: out of memory", o->yaml);
}

/* folder/name in the arena; name alone where the folder is the current one, so that messages stay short. */
static const char *inside(hone_arena *arena, const char *folder, const char *name)
{
    if (strcmp(folder, ".") == 0)
        return hone_arena_strdup(arena, name);
    char *joined = hone_path_join(folder, name);
    const char *kept = joined ? hone_arena_strdup(arena, joined) : NULL;
    free(joined);
    return kept;
}

/* Finds the folder and the task.yaml from what the user named. */
static hone_status find_files(opener *o, const char *path)
{
    hone_task *task = o->task;
    if (hone_folder_exists(path)) {
        char *folder = hone_arena_strdup(task->arena, path);
        for (size_t n = folder ? strlen(folder) : 0; n > 1 && folder[n - 1] == '/'; n--)
            folder[n - 1] = 0;
        task->folder = folder;
        o->yaml = folder ? inside(task->arena, folder, "task.yaml") : NULL;
    } else {
        const char *slash = strrchr(path, '/');
        task->folder = !slash          ? "."
                       : slash == path ? "/"
                                       : hone_arena_strndup(task->arena, path, (size_t)(slash - path));
        o->yaml = hone_arena_strdup(task->arena, path);
    }
    if (!task->folder || !o->yaml)
        return hone_fail(o->err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (!hone_file_exists(o->yaml))
        return hone_fail(o->err, HONE_NOT_FOUND, "%s: no such file; `hone init %s` starts a task there", o->yaml,
                         task->folder);
    return HONE_OK;
}

/* A model of the catalogue, or one that lies in the task's folder; NULL when out of memory. */
static const char *model_named(const hone_task *task, const char *name)
{
    const char *beside = inside(task->arena, task->folder, name);
    return beside && !hone_file_exists(beside) && !hone_folder_exists(beside) ? name : beside;
}

static hone_status keep_settings(opener *o)
{
    hone_task *task = o->task;
    const hone_settings *s = &o->settings;
    static const char *const default_model[] = {"smollm2-135m"};
    task->name = s->name;
    if (!task->name) { /* the folder's own name */
        char *full = realpath(task->folder, NULL);
        const char *slash = full ? strrchr(full, '/') : NULL;
        task->name = hone_arena_strdup(task->arena, slash && slash[1] ? slash + 1 : "task");
        free(full);
    }
    const char **models = hone_arena_array(task->arena, s->models.n ? s->models.n : 1, sizeof *models);
    if (!task->name || !models)
        return no_memory(o);
    task->models = s->models.n ? models : default_model;
    task->n_models = s->models.n ? s->models.n : 1;
    task->embedder = model_named(task, s->embedder);
    if (!task->embedder)
        return no_memory(o);
    for (size_t i = 0; i < s->models.n; i++)
        if (!(models[i] = model_named(task, s->models.items[i])))
            return no_memory(o);
    task->output_kind = (hone_output_kind)s->output_kind;
    task->metric = s->metric;
    task->role = s->role;
    task->instruction = s->instruction;
    task->context = s->context;
    task->scenarios = s->scenarios;
    task->n_scenarios = s->n_scenarios;
    task->seed = s->seed;
    task->train_seeds = (int)s->train_seeds;
    task->use = s->use;
    task->prices = s->prices;
    task->work = s->work;
    task->budget_seconds = s->budget_seconds;
    task->budget_memory_bytes = s->budget_memory_bytes;
    if (s->schema) {
        task->schema = inside(task->arena, task->folder, s->schema);
        if (!task->schema)
            return no_memory(o);
        if (!hone_file_exists(task->schema))
            return hone_fail(o->err, HONE_NOT_FOUND, "%s: no such file, named by output.schema in %s", task->schema,
                             o->yaml);
    }
    return HONE_OK;
}

static hone_status read_pool(opener *o, const char *name, const char *key, pool *out)
{
    hone_task *task = o->task;
    const hone_settings *s = &o->settings;
    bool named = s->data.input || s->data.output;
    hone_row_options options = {
        .input_field = s->data.input ? s->data.input
                       : named       ? "input"
                                     : NULL,
        .output_field = s->data.output ? s->data.output
                        : named        ? "output"
                                       : NULL,
        .group_field = s->data.group_by,
        .kind = task->output_kind,
        .fields_matter = task->context && strstr(task->context, "{{"),
        .skip_empty = s->data.skip_empty,
        .skip_hint = "set skip_empty: true under data in task.yaml",
    };
    out->path = inside(task->arena, task->folder, name);
    if (!out->path)
        return no_memory(o);
    if (!hone_file_exists(out->path))
        return hone_fail(o->err, HONE_NOT_FOUND, "%s: no such file, named by data.%s in %s", out->path, key, o->yaml);
    hone_status status =
        hone_rows_read(out->path, &options, task->arena, task->json_root, task->warnings, &out->rows, o->err);
    if (status != HONE_OK)
        return status;
    return hone_fold_rows(task->arena, &out->rows, &out->folds, o->err);
}

static hone_status read_rows(opener *o)
{
    const hone_settings *s = &o->settings;
    hone_status status = read_pool(o, s->data.train, "train", &o->train);
    if (status == HONE_OK && s->data.select)
        status = read_pool(o, s->data.select, "select", &o->select);
    if (status == HONE_OK && s->data.test)
        status = read_pool(o, s->data.test, "test", &o->test);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The index of a label in labels[n] (sorted), or -1. */
static int find_label(const char *const *labels, size_t n, const char *label)
{
    const char *const *found = n ? bsearch(&label, labels, n, sizeof *labels, by_bytes) : NULL;
    return found ? (int)(found - labels) : -1;
}

/* All outputs of train and select, sorted, each once. */
static hone_status collect_labels(opener *o, const char ***out, size_t *n)
{
    size_t all = o->train.rows.n + o->select.rows.n;
    const char **labels = hone_arena_array(o->task->arena, all, sizeof *labels);
    *out = labels;
    *n = 0;
    if (!labels)
        return no_memory(o);
    for (size_t i = 0; i < all; i++)
        labels[i] =
            i < o->train.rows.n ? o->train.rows.items[i].output : o->select.rows.items[i - o->train.rows.n].output;
    qsort(labels, all, sizeof *labels, by_bytes);
    for (size_t i = 0; i < all; i++)
        if (*n == 0 || strcmp(labels[*n - 1], labels[i]) != 0)
            labels[(*n)++] = labels[i];
    return HONE_OK;
}

/* With output.labels: every output must be among them. */
static hone_status check_listed(opener *o, const pool *rows)
{
    const hone_text_list *list = &o->settings.labels;
    for (size_t i = 0; i < rows->rows.n; i++) {
        const hone_row *row = &rows->rows.items[i];
        if (find_label(list->items, list->n, row->output) >= 0)
            continue;
        const char *near = hone_suggest(row->output, list->items, list->n);
        return hone_fail(
            o->err, HONE_BAD_INPUT, "%s:%lld: the output \"%.80s\" is not among output.labels (%s:%lld)%s%.80s%s",
            row->file, (long long)row->line, row->output, o->yaml, (long long)o->settings.labels_line,
            near ? "; did you mean \"" : "; correct the row or add the label", near ? near : "", near ? "\"?" : "");
    }
    return HONE_OK;
}

/* A label that stands in the test only: no approach could have learnt it. */
static hone_status check_test_labels(opener *o, const char *const *known, size_t n_known)
{
    const hone_rows *test = &o->test.rows;
    for (size_t i = 0; i < test->n; i++) {
        const char *label = test->items[i].output;
        if (find_label(known, n_known, label) >= 0)
            continue;
        hone_buffer lines = {0};
        int n = 0;
        for (size_t j = i; j < test->n; j++) {
            if (strcmp(test->items[j].output, label) != 0)
                continue;
            if (n < 5)
                hone_buffer_printf(&lines, "%s%lld", n ? ", " : "", (long long)test->items[j].line);
            n++;
        }
        hone_status status =
            hone_fail(o->err, HONE_BAD_INPUT,
                      "%s:%lld: label \"%.80s\" stands in the test only (%d row%s: line %s%s), never in %s. Add "
                      "training rows with it, remove these rows, or list all labels under output.labels.",
                      o->test.path, (long long)test->items[i].line, label, n, n == 1 ? "" : "s",
                      lines.data ? lines.data : "", n > 5 ? ", ..." : "", o->train.path);
        hone_buffer_clear(&lines);
        return status;
    }
    return HONE_OK;
}

static hone_status check_labels(opener *o)
{
    hone_task *task = o->task;
    const hone_text_list *list = &o->settings.labels;
    const char **found;
    size_t n_found, n_unseen = 0;
    if (task->output_kind != HONE_OUTPUT_LABEL && task->output_kind != HONE_OUTPUT_CHOICE)
        return HONE_OK;
    hone_status status = collect_labels(o, &found, &n_found);
    if (status != HONE_OK)
        return status;
    task->labels = list->n ? list->items : found;
    task->n_labels = list->n ? list->n : n_found;
    if (list->n) {
        const pool *pools[] = {&o->train, &o->select, &o->test};
        for (int i = 0; status == HONE_OK && i < 3; i++)
            status = check_listed(o, pools[i]);
        for (size_t i = 0; i < list->n; i++)
            n_unseen += find_label(found, n_found, list->items[i]) < 0;
        if (n_unseen)
            hone_warn(task->warnings, "%s: %zu of the %zu labels in output.labels have no training row", o->train.path,
                      n_unseen, list->n);
    } else
        status = check_test_labels(o, found, n_found);
    if (status == HONE_OK && n_found < 2)
        status = hone_fail(o->err, HONE_BAD_INPUT,
                           "%s: every row has the output \"%.80s\"; with one label there is nothing to decide. "
                           "Add rows with other labels, or set output: {kind: text}.",
                           o->train.path, found[0]);
    return status;
}

/* ---- leaks: rows of train and select that stand in test ---- */

static hone_folded_rows folded(pool *p)
{
    return (hone_folded_rows){&p->rows, p->folds};
}

/* Takes the rows of `rows` that equal a test row out, and notes them in the task with those that are nearly so. */
static hone_status drop_leaks(opener *o, pool *rows, pool *test)
{
    hone_task *task = o->task;
    hone_leaks leaks = {task->leaks, task->n_leaks, task->n_dropped_duplicates, task->n_near_duplicates};
    hone_status status = hone_leaks_drop(task->arena, folded(rows), folded(test), &leaks, o->err);
    task->leaks = leaks.items;
    task->n_leaks = leaks.n;
    task->n_dropped_duplicates = leaks.n_equal;
    task->n_near_duplicates = leaks.n_near;
    return status;
}

/* Rows of a named select file are not trained on. */
static hone_status drop_select_from_train(opener *o)
{
    hone_leaks leaks = {0};
    hone_status status = hone_leaks_drop(o->task->arena, folded(&o->train), folded(&o->select), &leaks, o->err);
    if (leaks.n_equal)
        hone_warn(o->task->warnings, "%s: %zu rows stand in %s too and are left out of train", o->train.path,
                  leaks.n_equal, o->select.path);
    return status;
}

/* ---- splits ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static hone_status too_few(opener *o, const pool *rows, size_t n, size_t needed)
{
    const char *kind = o->settings.data.group_by ? "groups" : "different rows";
    return hone_fail(o->err, HONE_BAD_INPUT,
                     "%s: %zu %s; at least %zu are needed to set apart train, select%s. Add rows%s.", rows->path, n,
                     kind, needed, o->settings.data.test ? "" : " and test",
                     o->settings.data.group_by ? " of further groups, or leave data.group_by out" : "");
}

/* Fills units and labels; fails where the rows make fewer than `needed` units. */
static hone_status prepare(opener *o, pool *rows, size_t needed)
{
    hone_task *task = o->task;
    size_t n = rows->rows.n, n_units = 0;
    hone_status status = HONE_OK;
    char(*sorted)[33] = hone_arena_array(task->arena, n + 1, sizeof *sorted);
    rows->units = hone_arena_array(task->arena, n + 1, sizeof *rows->units);
    rows->labels = hone_arena_array(task->arena, n + 1, sizeof *rows->labels);
    rows->splits = hone_arena_array(task->arena, n + 1, sizeof *rows->splits);
    if (!rows->units || !rows->labels || !rows->splits || !sorted)
        return no_memory(o);
    for (size_t i = 0; status == HONE_OK && i < n; i++) {
        const hone_row *row = &rows->rows.items[i];
        status = hone_split_key(row->group, rows->folds[i], rows->units[i], o->err);
        rows->labels[i] = task->n_labels ? find_label(task->labels, task->n_labels, row->output) : 0;
    }
    if (status != HONE_OK)
        return status;
    memcpy(sorted, rows->units, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < n; i++)
        n_units += i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0;
    return n_units < needed ? too_few(o, rows, n_units, needed) : HONE_OK;
}

/* Assigns a pool's rows and puts them into the task's splits. */
static hone_status deal(opener *o, pool *rows, const hone_split_plan *plan, hone_ledger *ledger)
{
    hone_task *task = o->task;
    hone_rows *targets[HONE_N_SPLITS] = {&task->train, &task->select_tune, &task->select_name, &task->test};
    size_t counts[HONE_N_SPLITS] = {0};
    int n_labels = task->n_labels ? (int)task->n_labels : 1;
    hone_status status =
        hone_split_assign(plan, rows->rows.n, rows->units, rows->labels, n_labels, ledger, rows->splits, o->err);
    if (status != HONE_OK)
        return status;
    for (size_t i = 0; i < rows->rows.n; i++)
        counts[rows->splits[i]]++;
    for (int s = 0; s < HONE_N_SPLITS; s++) {
        if (!counts[s])
            continue;
        targets[s]->items = hone_arena_array(task->arena, counts[s], sizeof(hone_row));
        if (!targets[s]->items)
            return no_memory(o);
    }
    for (size_t i = 0; i < rows->rows.n; i++) {
        hone_rows *to = targets[rows->splits[i]];
        to->items[to->n++] = rows->rows.items[i];
    }
    return HONE_OK;
}

static hone_status open_ledger(opener *o, hone_ledger **ledger)
{
    const char *path = hone_task_ledger_path(o->task);
    if (!path)
        return no_memory(o);
    hone_status status = hone_ledger_open(path, ledger, o->err);
    if (status == HONE_IO)
        hone_fail_within(o->err, HONE_IO,
                         "the task's folder must be writable, hone keeps its splits and results there");
    return status;
}

static hone_status split_rows(opener *o)
{
    hone_task *task = o->task;
    hone_ledger *ledger = NULL;
    bool test = o->settings.data.test != NULL, select = o->settings.data.select != NULL,
         grouped = o->settings.data.group_by != NULL;
    hone_split_plan plan = {test     ? (select ? "test+select" : "test")
                            : select ? "select"
                                     : "alone",
                            !test, true, !select};
    hone_split_plan halves = {"halves", false, false, true};
    size_t needed = test      ? (grouped ? MIN_GROUPS_WITH_TEST : MIN_UNITS_WITH_TEST)
                    : grouped ? MIN_GROUPS_ALONE
                              : MIN_UNITS_ALONE;
    /* Too few rows is said before anything is written; only then the ledger is made. */
    hone_status status = prepare(o, &o->train, needed);
    if (status == HONE_OK && select)
        status = prepare(o, &o->select, 2);
    if (status == HONE_OK)
        status = open_ledger(o, &ledger);
    if (status == HONE_OK)
        status = deal(o, &o->train, &plan, ledger);
    if (status == HONE_OK && select)
        status = deal(o, &o->select, &halves, ledger);
    if (status == HONE_OK && test)
        task->test = o->test.rows;
    if (status == HONE_OK && (!task->train.n || !task->select_tune.n || !task->select_name.n || !task->test.n))
        status = hone_fail(o->err, HONE_BAD_INPUT,
                           "%s: the rows%s do not divide into train, two halves of select and test. Add rows%s.",
                           o->train.path, grouped ? " of so few or so unequal groups" : "",
                           grouped ? " of further groups" : "");
    hone_ledger_close(ledger);
    return status;
}

/* ---- after the split ---- */

/* Groups stay together, so equal rows of different groups may stand on both sides of a split that hone makes itself. */
static hone_status drop_leaks_of_groups(opener *o)
{
    hone_task *task = o->task;
    hone_rows *const rows[] = {&task->train, &task->select_tune, &task->select_name};
    hone_arena *arena = task->arena;
    pool parts[3] = {0}, test = {.rows = task->test};
    hone_leaks between = {0};
    bool own_test = !o->settings.data.test;
    hone_status status = hone_fold_rows(arena, &test.rows, &test.folds, o->err);
    for (int p = 0; status == HONE_OK && p < 3; p++) {
        parts[p].rows = *rows[p];
        status = hone_fold_rows(arena, &parts[p].rows, &parts[p].folds, o->err);
        if (status == HONE_OK && own_test)
            status = drop_leaks(o, &parts[p], &test);
    }
    for (int p = 0; status == HONE_OK && p < 3; p++)
        for (int later = p + 1; status == HONE_OK && later < 3; later++)
            status = hone_leaks_drop(arena, folded(&parts[p]), folded(&parts[later]), &between, o->err);
    for (int p = 0; status == HONE_OK && p < 3; p++)
        *rows[p] = parts[p].rows;
    if (between.n_equal > 0)
        hone_warn(task->warnings,
                  "%s: %zu row%s equal to one of another group in another part, left out of train or select",
                  o->train.path, between.n_equal, between.n_equal == 1 ? " is" : "s are");
    if (status == HONE_OK && (!task->train.n || !task->select_tune.n || !task->select_name.n))
        status =
            hone_fail(o->err, HONE_BAD_INPUT,
                      "%s: nothing is left of train or select without the rows that are equal in other groups. Add "
                      "rows of further groups.",
                      o->train.path);
    return status;
}

/* Of the rows' ids in sorted order: the same rows in another order are the same data. */
static void hash_ids(hone_sha256 *hash, const hone_rows *rows, char (*scratch)[33])
{
    for (size_t i = 0; i < rows->n; i++)
        memcpy(scratch[i], rows->items[i].id, 33);
    qsort(scratch, rows->n, sizeof *scratch, by_text);
    for (size_t i = 0; i < rows->n; i++)
        hone_sha256_update(hash, scratch[i], 33);
    hone_sha256_update(hash, "|", 1);
}

static hone_status hash_rows(opener *o)
{
    hone_task *task = o->task;
    size_t most = task->train.n + task->select_tune.n + task->select_name.n + task->test.n;
    char(*scratch)[33] = hone_arena_array(task->arena, most + 1, sizeof *scratch);
    const struct {
        const hone_rows *rows, *more;
        char *hex;
    } jobs[] = {{&task->train, NULL, task->train_hash},
                {&task->select_tune, &task->select_name, task->select_hash},
                {&task->test, NULL, task->test_hash}};
    if (!scratch)
        return no_memory(o);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        hone_sha256 *hash = hone_sha256_create();
        if (!hash)
            return no_memory(o);
        hash_ids(hash, jobs[i].rows, scratch);
        if (jobs[i].more)
            hash_ids(hash, jobs[i].more, scratch);
        hone_sha256_finish(hash, jobs[i].hex);
    }
    return HONE_OK;
}

/* How many labels stand in test (or were listed) without a row left in train. */
static hone_status count_unlearnt(opener *o, size_t *n)
{
    hone_task *task = o->task;
    bool *learnt = hone_arena_array(task->arena, task->n_labels + 1, sizeof *learnt);
    bool *tested = hone_arena_array(task->arena, task->n_labels + 1, sizeof *tested);
    *n = 0;
    if (!learnt || !tested)
        return no_memory(o);
    for (size_t i = 0; task->n_labels && i < task->train.n; i++)
        learnt[find_label(task->labels, task->n_labels, task->train.items[i].output)] = true;
    for (size_t i = 0; task->n_labels && i < task->test.n; i++)
        tested[find_label(task->labels, task->n_labels, task->test.items[i].output)] = true;
    for (size_t i = 0; i < task->n_labels; i++)
        *n += tested[i] && !learnt[i];
    return HONE_OK;
}

static hone_status warn_about_splits(opener *o)
{
    hone_task *task = o->task;
    const char *train = o->train.path;
    size_t n_unlearnt;
    hone_status status = count_unlearnt(o, &n_unlearnt);
    if (status != HONE_OK)
        return status;
    if (n_unlearnt)
        hone_warn(task->warnings, "%s: %zu label%s of the test without a row in train", train, n_unlearnt,
                  n_unlearnt == 1 ? " is" : "s are");
    if (task->n_models > 1)
        hone_warn(task->warnings, "%s: %zu models are named, a comparison is of one: `hone compare -m` says of which",
                  o->yaml, task->n_models);
    if (task->schema)
        hone_warn(task->warnings, "%s: output.schema is read but answers are not held to it by this version of hone",
                  o->yaml);
    if (task->n_scenarios)
        hone_warn(task->warnings, "%s: the %zu scenarios are read but not compared by this version of hone", o->yaml,
                  task->n_scenarios);
    if (task->n_dropped_duplicates)
        hone_warn(task->warnings, "%s: %zu row%s equal to a test row, left out of train and select", train,
                  task->n_dropped_duplicates, task->n_dropped_duplicates == 1 ? " is" : "s are");
    if (task->n_near_duplicates)
        hone_warn(task->warnings, "%s: %zu row%s like a test row but for case, space, punctuation or output; kept",
                  train, task->n_near_duplicates, task->n_near_duplicates == 1 ? " reads" : "s read");
    task->n_leak_warnings = (task->n_dropped_duplicates > 0) + (task->n_near_duplicates > 0);
    return HONE_OK;
}

static hone_status open_parts(opener *o, const char *path)
{
    hone_status status = find_files(o, path);
    if (status == HONE_OK)
        status = hone_settings_read(o->yaml, o->task->arena, &o->settings, o->err);
    if (status == HONE_OK)
        status = keep_settings(o);
    if (status == HONE_OK)
        status = read_rows(o);
    if (status == HONE_OK)
        status = check_labels(o);
    if (status == HONE_OK)
        status = drop_leaks(o, &o->train, &o->test);
    if (status == HONE_OK)
        status = drop_leaks(o, &o->select, &o->test);
    if (status == HONE_OK)
        status = drop_select_from_train(o);
    if (status == HONE_OK)
        status = split_rows(o);
    if (status == HONE_OK && o->settings.data.group_by)
        status = drop_leaks_of_groups(o);
    if (status == HONE_OK)
        status = hash_rows(o);
    if (status == HONE_OK)
        status = warn_about_splits(o);
    return status;
}

hone_status hone_task_open(const char *path, hone_task **out, hone_error *err)
{
    *out = NULL;
    hone_arena *arena = hone_arena_create();
    hone_task *task = arena ? hone_arena_alloc(arena, sizeof *task) : NULL;
    if (!task) {
        hone_arena_free(arena);
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    }
    task->arena = arena;
    task->json_root = json_array();
    task->warnings = json_array();
    opener o = {.task = task, .yaml = path, .err = err};
    hone_status status = task->json_root && task->warnings ? open_parts(&o, path) : no_memory(&o);
    if (status == HONE_OK)
        *out = task;
    else
        hone_task_close(task);
    return status;
}

void hone_task_close(hone_task *task)
{
    if (!task)
        return;
    json_decref(task->json_root);
    json_decref(task->warnings);
    hone_arena_free(task->arena);
}

const char *hone_task_ledger_path(const hone_task *task)
{
    return inside(task->arena, task->folder, ".hone/ledger.sqlite");
}

hone_status hone_task_lock(const hone_task *task, hone_lock *out, hone_error *err)
{
    const char *folder = inside(task->arena, task->folder, ".hone"),
               *path = inside(task->arena, task->folder, ".hone/lock");
    out->descriptor = -1;
    if (!folder || !path)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", task->folder);
    hone_status status = hone_folder_create(folder, err);
    return status == HONE_OK ? hone_lock_take(path, out, err) : status;
}
