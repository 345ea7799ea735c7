/* cmd_init.c - `hone init`: a first task.yaml from a data file, or a small example. */
#include "cli/commands.h"

#include "task/starter.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);

const hone_command hone_command_init = {
    "init", "[DIR] [--from data.csv|data.jsonl]", "start a task: write a task.yaml with comments",
    "Looks at the rows (of FILE, or of the only data file in DIR) and guesses which column is asked and which is\n"
    "answered. In an empty folder it writes a small example. No file is ever overwritten.",
    run};

static int run(int argc, char **argv)
{
    const char *from = NULL;
    const hone_option options[] = {
        {"from", 0, HONE_OPTION_TEXT, &from, "FILE", "examples, .jsonl or .csv with a header; copied into DIR"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_init, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err = {0};
    hone_starter starter = {0};
    const char *folder = arguments.n ? arguments.items[0] : ".";
    hone_status status = arguments.n > 1 ? hone_fail(&err, HONE_BAD_INPUT, "one folder at a time, not %zu", arguments.n)
                                         : hone_starter_write(folder, from, &starter, &err);
    if (status != HONE_OK)
        code = hone_command_failed(&hone_command_init, &err);
    else {
        bool here = strcmp(folder, ".") == 0;
        printf("%snext: hone check%s%s\n", starter.notes.data ? starter.notes.data : "", here ? "" : " ",
               here ? "" : folder);
        code = HONE_EXIT_DONE;
    }
    hone_starter_clear(&starter);
    return code;
}
