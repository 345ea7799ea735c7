/* cmd_report.c - `hone report` and `hone runs show`: show a finished comparison of a task again, the newest or any
 * other, from its ledger, in any form. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/stored.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/training.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int run(int argc, char **argv);
static int run_show(int argc, char **argv);

const hone_command hone_command_report = {
    .name = "report",
    .usage = "[TASK|ADAPTER_FOLDER] [--html FILE] [--markdown FILE] [--json] [--open]",
    .summary = "show the last comparison of a task, or a training, again: terminal, JSON, Markdown, HTML",
    .details =
        "TASK is a task's folder or its task.yaml; the current folder when left out. Without options the verdict is\n"
        "printed. FILE may be \"-\" for standard output. --open writes the HTML (to .hone/report.html in the task's\n"
        "folder unless --html names a file) and opens it in the browser. Nothing is measured again.\n"
        "For the folder of an adapter, report.html of its training is made again there, or where --html says; --json\n"
        "prints its record, hone.json.",
    .run = run,
};

const hone_command hone_command_runs_show = {
    .name = "runs show",
    .usage = "ID [TASK] [--html FILE] [--markdown FILE] [--json] [--open]",
    .summary = "show any finished comparison of a task again, as `report` does the last",
    .details =
        "ID is the number that `hone runs` shows; TASK a task's folder or its task.yaml, the current folder when\n"
        "left out. The options are those of `hone report`. Nothing is measured again.",
    .run = run_show,
};

typedef hone_status (*renderer)(const json_t *document, hone_buffer *out, hone_error *err);

/* The document of run `id`, of the newest finished one where id is 0. */
static hone_status stored_document(const char *folder, int64_t id, json_t **out, hone_error *err)
{
    *out = NULL;
    hone_ledger *ledger = NULL;
    hone_status status = hone_stored_ledger_open(folder, &ledger, err);
    if (status == HONE_OK && ledger)
        status = id ? hone_ledger_get_run(ledger, id, out, err) : hone_ledger_last_run(ledger, out, err);
    if (status == HONE_OK && !*out && id && ledger)
        status = hone_fail(err, HONE_NOT_FOUND,
                           "%s: run %lld has not come to its end; `hone runs` shows the command that goes on with it",
                           folder, (long long)id);
    else if (status == HONE_OK && !*out)
        status = hone_fail(err, HONE_NOT_FOUND, "%s: no finished comparison here yet; run `hone compare %s` first",
                           folder, folder);
    hone_ledger_close(ledger);
    return status;
}

static hone_status write_form(const json_t *document, renderer render, const char *path, hone_error *err)
{
    hone_buffer b = {0};
    hone_status status = render(document, &b, err);
    if (status == HONE_OK && strcmp(path, "-") == 0) {
        if (fwrite(b.data, 1, b.length, stdout) != b.length || fflush(stdout) != 0)
            status = hone_fail(err, HONE_IO, "cannot write the report: %s", strerror(errno));
    } else if (status == HONE_OK) {
        status = hone_file_write_atomic(path, b.data, b.length, err);
        if (status == HONE_OK)
            fprintf(stderr, "wrote %s\n", path);
    }
    hone_buffer_clear(&b);
    return status;
}

/* Hands the file to the desktop's opener; where there is none, says where the file is. */
static void open_in_browser(const char *path)
{
    extern char **environ;
    static const char *const openers[] = {"xdg-open", "open"};
    char *absolute = realpath(path, NULL);
    for (size_t i = 0; absolute && i < sizeof openers / sizeof *openers; i++) {
        char opener[16];
        snprintf(opener, sizeof opener, "%s", openers[i]);
        char *arguments[] = {opener, absolute, NULL};
        pid_t child;
        int code;
        if (posix_spawnp(&child, opener, NULL, NULL, arguments, environ) == 0 && waitpid(child, &code, 0) == child &&
            WIFEXITED(code) && WEXITSTATUS(code) == 0) {
            free(absolute);
            return;
        }
    }
    fprintf(stderr, "no program here opens web pages; open this file yourself: %s\n", absolute ? absolute : path);
    free(absolute);
}

/* The run's id from its word: a whole number from 1. */
static hone_status read_id(const char *word, int64_t *id, hone_error *err)
{
    char *end;
    errno = 0;
    *id = strtoll(word, &end, 10);
    return errno == 0 && *end == 0 && end != word && *id > 0
               ? HONE_OK
               : hone_fail(err, HONE_BAD_INPUT, "\"%s\" is no run; give the number that `hone runs` shows", word);
}

/* The folder of a trained adapter, and no task's. */
static bool is_training(const char *folder)
{
    char *record = hone_path_join(folder, "hone.json"), *task = hone_path_join(folder, "task.yaml");
    bool training = record && task && hone_file_exists(record) && !hone_file_exists(task);
    free(record);
    free(task);
    return training;
}

static hone_status print_file(const char *folder, const char *name, hone_error *err)
{
    hone_buffer b = {0};
    char *path = hone_path_join(folder, name);
    hone_status status = path ? hone_file_read(path, 0, &b, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && fwrite(b.data ? b.data : "", 1, b.length, stdout) != b.length)
        status = hone_fail(err, HONE_IO, "cannot write the record: %s", strerror(errno));
    hone_buffer_clear(&b);
    free(path);
    return status;
}

/* The report of a training, made from its folder. */
static hone_status report_training(const char *folder, const char *html, const char *markdown, bool json, bool open,
                                   hone_error *err)
{
    hone_buffer page = {0};
    char *own = hone_path_join(folder, "report.html");
    const char *path = html ? html : own;
    hone_status status = own ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && markdown)
        status =
            hone_fail(err, HONE_BAD_INPUT, "%s: a training's Markdown is its model card, %s/README.md", folder, folder);
    if (status == HONE_OK && json)
        status = print_file(folder, "hone.json", err);
    if (status == HONE_OK && (!json || html || open))
        status = hone_training_html(folder, &page, err);
    if (status == HONE_OK && page.length && strcmp(path, "-") == 0) {
        if (fwrite(page.data, 1, page.length, stdout) != page.length || fflush(stdout) != 0)
            status = hone_fail(err, HONE_IO, "cannot write the report: %s", strerror(errno));
    } else if (status == HONE_OK && page.length) {
        status = hone_file_write_atomic(path, page.data, page.length, err);
        if (status == HONE_OK)
            fprintf(stderr, "wrote %s\n", path);
    }
    if (status == HONE_OK && open)
        open_in_browser(path);
    hone_buffer_clear(&page);
    free(own);
    return status;
}

/* takes_id: the first argument is the run; else the newest finished one is shown. */
static int report(const hone_command *command, bool takes_id, int argc, char **argv)
{
    const char *html = NULL, *markdown = NULL;
    bool json = false, open = false;
    const hone_option options[] = {
        {"html", 0, HONE_OPTION_TEXT, &html, "FILE", "write the whole report as one HTML file"},
        {"markdown", 0, HONE_OPTION_TEXT, &markdown, "FILE", "write the summary as Markdown"},
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "print the document with every answer as JSON"},
        {"open", 0, HONE_OPTION_FLAG, &open, NULL, "open the HTML report in the browser"},
    };
    hone_arguments arguments;
    int code = hone_options_begin(command, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_status status = HONE_OK;
    char *folder = NULL, *page = NULL;
    json_t *document = NULL;
    int64_t id = 0;
    size_t n_tasks = arguments.n - (takes_id && arguments.n ? 1 : 0);
    if (takes_id && arguments.n == 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "which run? `hone runs` lists them: hone runs show ID [TASK]");
    else if (takes_id)
        status = read_id(arguments.items[0], &id, &err);
    if (status != HONE_OK)
        goto done;
    if (n_tasks > 1)
        status = hone_fail(&err, HONE_BAD_INPUT, "one task at a time, not %zu", n_tasks);
    else if (open && html && strcmp(html, "-") == 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "--open needs a file: give --html a name, or leave it out");
    if (status != HONE_OK)
        goto done;
    if (!takes_id && n_tasks == 1 && is_training(arguments.items[0])) {
        status = report_training(arguments.items[0], html, markdown, json, open, &err);
        goto done;
    }
    status = hone_stored_task_folder(n_tasks ? arguments.items[arguments.n - 1] : ".", &folder, &err);
    if (status != HONE_OK)
        goto done;
    status = stored_document(folder, id, &document, &err);
    if (status != HONE_OK)
        goto done;
    if (open && !html) {
        page = hone_path_join(folder, ".hone/report.html");
        html = page;
        if (!page) {
            status = hone_fail(&err, HONE_NO_MEMORY, "no memory for the path of the report");
            goto done;
        }
    }
    if (html)
        status = write_form(document, hone_report_html, html, &err);
    if (status == HONE_OK && markdown)
        status = write_form(document, hone_report_markdown, markdown, &err);
    if (status == HONE_OK && json)
        status = hone_show_json(document, stdout, &err);
    if (status == HONE_OK && !html && !markdown && !json)
        status = hone_show_comparison(document, stdout, &err);
    if (status == HONE_OK && open)
        open_in_browser(html);
done:
    json_decref(document);
    free(folder);
    free(page);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(command, &err);
}

static int run(int argc, char **argv)
{
    return report(&hone_command_report, false, argc, argv);
}

static int run_show(int argc, char **argv)
{
    return report(&hone_command_runs_show, true, argc, argv);
}
