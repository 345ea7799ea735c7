/* cmd_compare.c - `hone compare`: the main job. Opens task and model, runs the comparison, judges it, shows and keeps
 * the report. */
#include "base/cancel.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "cli/commands.h"
#include "cli/model_argument.h"
#include "cli/progress_bar.h"
#include "decide/verdict.h"
#include "evidence/compare.h"
#include "model/model.h"
#include "report/document.h"
#include "report/html.h"
#include "report/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int run(int argc, char **argv);

const hone_command hone_command_compare = {
    .name = "compare",
    .usage = "[TASK] [options]",
    .summary = "measure prompting, tuning and both on one locked test, and say which is worth it",
    .details =
        "TASK is a folder with task.yaml (here, when left out). Approaches run from the cheapest on; each is built on\n"
        "train and tuned on select. The winner is named on select and confirmed on the locked test.\n"
        "Stop it at any time: the same command goes on where it was, and finished parts are not computed again.\n"
        "\n"
        "Without --quick or --budget everything is done thoroughly: five epochs, learning rate searched, all test "
        "rows.\n"
        "\n"
        "  hone compare --quick                  a first answer in minutes\n"
        "  hone compare --budget 30m             as thorough as half an hour allows\n"
        "  hone compare --approaches zero-shot,tuned-prompt",
    .run = run,
};

typedef struct settings {
    bool quick, json;
    double budget_seconds;
    const char *approaches, *model, *numerics, *html;
    int64_t threads, seed, seeds, test_rows;
    const char *task;
} settings;

enum { MAX_NAMED = 64, MAX_SEED = 1 << 30 };
static const int64_t not_given = INT64_MIN;

/* "a,b" -> words in place. */
static size_t split_words(char *text, const char **words)
{
    size_t n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, ",", &rest); word && n < MAX_NAMED; word = strtok_r(NULL, ",", &rest))
        words[n++] = word;
    return n;
}

static void show_plan(void *context, const hone_comparison *c)
{
    (void)context;
    char counts[3][32];
    const hone_task *t = c->task;
    hone_format_count((int64_t)t->train.n, counts[0]);
    hone_format_count((int64_t)(t->select_tune.n + t->select_name.n), counts[1]);
    hone_format_count((int64_t)c->n_test, counts[2]);
    printf("%s · %s · %s train / %s select / %s test rows", t->name, c->model ? c->model : "no model", counts[0],
           counts[1], counts[2]);
    if (t->n_labels)
        printf(" · %zu labels", t->n_labels);
    printf(
        "\n%s\nThis test can detect differences of about %.0f points (up to %zu planned comparisons, 80 %% power).\n",
        c->machine ? c->machine : "", 100 * c->detectable_difference, c->n_approaches > 1 ? c->n_approaches - 1 : 1);
    if (c->quick_note)
        printf("Shortened: %s.\n", c->quick_note);
    printf("\n  %-32s %8s   %s\n", "approach", "select", "spent");
    fflush(stdout);
}

static void show_result(void *context, const hone_approach_result *r, double spent_seconds)
{
    (void)context;
    char spent[32];
    hone_format_seconds(spent_seconds, spent);
    if (spent_seconds < 10)
        snprintf(spent, sizeof spent, "%.1f s", spent_seconds);
    printf("  %-32s %8.3f   %s\n", r->name, r->select_name_score, spent);
    fflush(stdout);
}

static int terminal_columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static hone_status print_all(const hone_buffer *b, hone_error *err)
{
    if (b->length && fwrite(b->data, 1, b->length, stdout) != b->length)
        return hone_fail(err, HONE_IO, "cannot write to standard output: %s", strerror(errno));
    return fflush(stdout) == 0 ? HONE_OK
                               : hone_fail(err, HONE_IO, "cannot write to standard output: %s", strerror(errno));
}

static hone_status write_html(const json_t *document, const char *path, hone_error *err)
{
    hone_buffer html = {0};
    hone_status status = hone_report_html(document, &html, err);
    if (status == HONE_OK)
        status = hone_file_write_atomic(path, html.data, html.length, err);
    hone_buffer_clear(&html);
    return status;
}

/* Document to ledger, page to disk, verdict to the person (or the program) that asked. */
static hone_status publish(const settings *s, const hone_comparison *c, hone_ledger *ledger, int64_t run_id,
                           hone_error *err)
{
    json_t *document = NULL;
    hone_buffer text = {0};
    char *state = hone_path_join(c->task->folder, ".hone"), *path = NULL;
    hone_status status = hone_report_document(c, &document, err);
    if (status == HONE_OK)
        status = hone_ledger_finish_run(ledger, run_id, document, err);
    if (status != HONE_OK)
        goto done;
    path = s->html ? strdup(s->html) : state ? hone_path_join(state, "report.html") : NULL;
    status = path ? write_html(document, path, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for a path");
    if (status != HONE_OK)
        goto done;
    if (s->json) {
        status = hone_report_json(document, &text, err);
    } else {
        const char *no_colour = getenv("NO_COLOR");
        hone_terminal_style style = {.columns = terminal_columns(),
                                     .colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour)};
        hone_buffer_putc(&text, '\n');
        status = hone_report_terminal(document, style, &text, err);
        hone_buffer_printf(&text, "\nreport: %s\n", path);
    }
    if (status == HONE_OK)
        status = print_all(&text, err);
done:
    hone_buffer_clear(&text);
    json_decref(document);
    free(path);
    free(state);
    return status;
}

/* Whether any of the approaches asks the model. */
static hone_status needs_model(const char *const *names, size_t n, bool *out, hone_error *err)
{
    *out = n == 0;
    for (size_t i = 0; i < n; i++) {
        const hone_approach_type *type;
        hone_status status = hone_approach_find(names[i], &type, err);
        if (status != HONE_OK)
            return status;
        *out = *out || type->messages;
    }
    return HONE_OK;
}

static hone_status open_model(const settings *s, const hone_task *task, hone_engine **engine, const char **name,
                              hone_error *err)
{
    if (!s->model && task->n_models > 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s/task.yaml names %zu models; a comparison is of one. Say which with -m MODEL, and compare "
                         "again for the next",
                         task->folder, task->n_models);
    *name = s->model ? s->model : task->n_models ? task->models[0] : NULL;
    if (!*name)
        return hone_fail(err, HONE_BAD_INPUT, "%s/task.yaml names no model; add `model: smollm2-135m` or give -m MODEL",
                         task->folder);
    char *path;
    hone_status status = hone_model_resolve(*name, &path, err);
    if (status != HONE_OK)
        return status;
    hone_engine_options options = {.n_threads = (int)s->threads};
    status = hone_cli_read_numerics(s->numerics, &options.numerics, err);
    if (status == HONE_OK)
        status = hone_engine_open(path, &options, engine, err);
    if (status == HONE_OK)
        hone_cli_warn_about_numerics(hone_engine_get_model(*engine)->ops);
    free(path);
    return status;
}

static hone_status open_ledger(const hone_task *task, hone_ledger **out, hone_error *err)
{
    char *state = hone_path_join(task->folder, ".hone"), *path = state ? hone_path_join(state, "ledger.sqlite") : NULL;
    hone_status status =
        path ? hone_ledger_open(path, out, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for a path");
    free(path);
    free(state);
    return status;
}

static hone_status compare(const settings *s, const char *const *names, size_t n_names, const char *command,
                           hone_error *err)
{
    hone_task *task = NULL;
    hone_engine *engine = NULL;
    hone_ledger *ledger = NULL;
    hone_comparison comparison = {0};
    const char *model = NULL;
    int64_t run_id;
    bool model_needed;
    hone_status status = needs_model(names, n_names, &model_needed, err);
    if (status == HONE_OK)
        status = hone_task_open(s->task, &task, err);
    if (status == HONE_OK && model_needed)
        status = open_model(s, task, &engine, &model, err);
    if (status == HONE_OK)
        status = open_ledger(task, &ledger, err);
    if (status != HONE_OK)
        goto done;
    hone_compare_options options = {.approaches = names,
                                    .n_approaches = n_names,
                                    .quick = s->quick,
                                    .budget_seconds = s->budget_seconds,
                                    .test_rows = (size_t)s->test_rows,
                                    .seed = s->seed == not_given ? task->seed : (uint64_t)s->seed,
                                    .train_seeds = (int)s->seeds,
                                    .model_name = model,
                                    .command = command,
                                    .costs = hone_decide_costs,
                                    .progress = hone_progress_bar(),
                                    .planned = s->json ? NULL : show_plan,
                                    .finished = s->json ? NULL : show_result};
    status = hone_compare(task, engine, ledger, &options, &comparison, &run_id, err);
    if (status == HONE_OK)
        status = hone_decide(&comparison, err);
    if (status == HONE_OK)
        status = publish(s, &comparison, ledger, run_id, err);
done:
    hone_arena_free(comparison.arena);
    if (ledger)
        hone_ledger_close(ledger);
    if (engine)
        hone_engine_close(engine);
    if (task)
        hone_task_close(task);
    return status;
}

static hone_status check_settings(const settings *s, hone_error *err)
{
    if (s->threads < 0 || s->threads > 1024)
        return hone_fail(err, HONE_BAD_INPUT, "--threads takes 0 (all) to 1024, not %lld", (long long)s->threads);
    if (s->seed != not_given && (s->seed < 0 || s->seed > MAX_SEED))
        return hone_fail(err, HONE_BAD_INPUT, "--seed takes 0 to %d, not %lld", MAX_SEED, (long long)s->seed);
    if (s->seeds != 0) {
        hone_status status = hone_task_check_seeds((uint64_t)s->seeds, err);
        if (status != HONE_OK)
            return hone_fail_within(err, status, "--seeds");
    }
    if (s->test_rows < 0)
        return hone_fail(err, HONE_BAD_INPUT, "--test-rows takes a number of rows, not %lld", (long long)s->test_rows);
    if (s->budget_seconds < 0)
        return hone_fail(err, HONE_BAD_INPUT, "--budget takes a time such as 30m");
    return HONE_OK;
}

static int run(int argc, char **argv)
{
    settings s = {.seed = not_given, .task = "."};
    const hone_option options[] = {
        {"quick", 0, HONE_OPTION_FLAG, &s.quick, NULL, "a first answer in minutes; says what it left out"},
        {"budget", 0, HONE_OPTION_SECONDS, &s.budget_seconds, "TIME",
         "as thorough as this time allows: 30m (default: the task's)"},
        {"approaches", 0, HONE_OPTION_TEXT, &s.approaches, "LIST",
         "only these, separated by commas; baselines always run"},
        {"model", 'm', HONE_OPTION_TEXT, &s.model, "MODEL",
         "catalogue name, GGUF file or Hugging Face folder (default: the task's)"},
        HONE_NUMERICS_OPTION(&s.numerics),
        {"threads", 0, HONE_OPTION_INTEGER, &s.threads, "N",
         "threads (default: all); any number gives the same results"},
        {"seed", 0, HONE_OPTION_INTEGER, &s.seed, "S", "seed of everything random (default: the task's, else 1)"},
        {"seeds", 0, HONE_OPTION_INTEGER, &s.seeds, "N",
         "tune with N seeds (3 to 9; default: the task's, else 1): their spread is part of the intervals"},
        {"test-rows", 0, HONE_OPTION_INTEGER, &s.test_rows, "N",
         "only the first N test rows; counts as an opening all the same"},
        {"html", 0, HONE_OPTION_TEXT, &s.html, "FILE", "where the report goes (default TASK/.hone/report.html)"},
        {"json", 0, HONE_OPTION_FLAG, &s.json, NULL, "print the result as one JSON document"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_compare, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err = {.code = HONE_OK};
    const char *names[MAX_NAMED];
    hone_buffer command = {0};
    char *list = s.approaches ? strdup(s.approaches) : NULL;
    size_t n_names = list ? split_words(list, names) : 0;
    hone_options_command_line(&hone_command_compare, argc, argv, &command);
    hone_status status = check_settings(&s, &err);
    if (status == HONE_OK && arguments.n > 1)
        status = hone_fail(&err, HONE_BAD_INPUT, "one task at a time; \"%s\" is left over", arguments.items[1]);
    if (status == HONE_OK && list && n_names == 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "--approaches names none");
    if (arguments.n == 1)
        s.task = arguments.items[0];
    if (status == HONE_OK)
        status = compare(&s, names, n_names, command.data, &err);
    hone_buffer_clear(&command);
    free(list);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_compare, &err);
}
