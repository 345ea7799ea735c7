/* cmd_report.c - `hone report`: shows the newest finished comparison of a task again, from its ledger, in any form. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "report/html.h"
#include "report/markdown.h"
#include "store/ledger.h"

#include <errno.h>
#include <libgen.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int run(int argc, char **argv);

const hone_command hone_command_report = {
    .name = "report",
    .usage = "[TASK] [--html FILE] [--markdown FILE] [--json] [--open]",
    .summary = "show the last comparison of a task again: terminal, JSON, Markdown, HTML",
    .details =
        "TASK is a task's folder or its task.yaml; the current folder when left out. Without options the verdict is\n"
        "printed. FILE may be \"-\" for standard output. --open writes the HTML (to .hone/report.html in the task's\n"
        "folder unless --html names a file) and opens it in the browser. Nothing is measured again.",
    .run = run,
};

typedef hone_status (*renderer)(const json_t *document, hone_buffer *out, hone_error *err);

/* The folder of the task as a malloc'd string: the argument, or the folder that holds the file it names. */
static hone_status task_folder(const char *argument, char **out, hone_error *err)
{
    *out = NULL;
    char *folder = strdup(argument);
    if (!folder)
        return hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the task");
    if (hone_folder_exists(folder)) {
        *out = folder;
        return HONE_OK;
    }
    bool is_file = hone_file_exists(folder);
    *out = is_file ? strdup(dirname(folder)) : NULL;
    free(folder);
    if (!is_file)
        return hone_fail(err, HONE_NOT_FOUND, "%s: there is no such task; give its folder or its task.yaml", argument);
    return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the task");
}

/* The ledger is looked for first: opening one would create it. */
static hone_status last_document(const char *folder, json_t **out, hone_error *err)
{
    *out = NULL;
    hone_ledger *ledger = NULL;
    char *path = hone_path_join(folder, ".hone/ledger.sqlite");
    hone_status status = HONE_OK;
    if (!path)
        status = hone_fail(err, HONE_NO_MEMORY, "no memory for the path of the ledger");
    else if (hone_file_exists(path)) {
        status = hone_ledger_open(path, &ledger, err);
        if (status == HONE_OK)
            status = hone_ledger_last_run(ledger, out, err);
    }
    if (status == HONE_OK && !*out)
        status = hone_fail(err, HONE_NOT_FOUND, "%s: no finished comparison here yet; run `hone compare %s` first",
                           folder, folder);
    hone_ledger_close(ledger);
    free(path);
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

static int run(int argc, char **argv)
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
    int code =
        hone_options_begin(&hone_command_report, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_status status = HONE_OK;
    char *folder = NULL, *page = NULL;
    json_t *document = NULL;
    if (arguments.n > 1)
        status = hone_fail(&err, HONE_BAD_INPUT, "one task at a time, not %zu", arguments.n);
    else if (open && html && strcmp(html, "-") == 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "--open needs a file: give --html a name, or leave it out");
    if (status != HONE_OK)
        goto done;
    status = task_folder(arguments.n ? arguments.items[0] : ".", &folder, &err);
    if (status != HONE_OK)
        goto done;
    status = last_document(folder, &document, &err);
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
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_report, &err);
}
