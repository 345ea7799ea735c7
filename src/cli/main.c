/* main.c - the table of commands, and nothing else. */
#include "cli/commands.h"

#include "base/cancel.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* One a line, in the order of the help. */
/* clang-format off */
static const hone_command *const commands[] = {
    &hone_command_tokenize,
    &hone_command_model_list,
    &hone_command_model_pull,
    &hone_command_template,
    &hone_command_run,
    &hone_command_chat,
    &hone_command_score,
    &hone_command_embed,
    &hone_command_train,
    &hone_command_eval,
    &hone_command_bench,
    &hone_command_doctor,
    &hone_command_model_inspect,
    &hone_command_model_verify,
    &hone_command_model_merge,
    &hone_command_model_convert,
    &hone_command_model_export,
    &hone_command_init,
    &hone_command_check,
    &hone_command_compare,
    &hone_command_report,
    &hone_command_runs,
    &hone_command_runs_show,
    &hone_command_serve,
    NULL,
};
/* clang-format on */

enum { MAX_COMMANDS = 64 };

static void usage(FILE *out)
{
    fprintf(out,
            "hone %s: should this task be prompted, tuned, or both? Measure it.\n\n"
            "usage: hone <command> [options] [arguments]\n\n",
            HONE_VERSION);
    for (size_t i = 0; commands[i]; i++)
        fprintf(out, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`hone <command> --help` explains one.\n");
}

/* How many words of argv the command's name takes, 0 when it is another command. */
static int matches(const hone_command *command, int argc, char **argv)
{
    const char *rest = command->name;
    for (int words = 0; words < argc; words++) {
        size_t length = strcspn(rest, " ");
        if (strlen(argv[words]) != length || memcmp(argv[words], rest, length) != 0)
            return 0;
        if (rest[length] == 0)
            return words + 1;
        rest += length + 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? HONE_EXIT_BAD_INPUT : HONE_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("hone %s\n", HONE_VERSION);
        return HONE_EXIT_DONE;
    }
    hone_cancel_on_signals();
    const hone_command *found = NULL;
    int n_words = 0;
    for (size_t i = 0; commands[i]; i++) { /* "runs show" before "runs" */
        int words = matches(commands[i], argc - 1, argv + 1);
        if (words > n_words) {
            n_words = words;
            found = commands[i];
        }
    }
    if (found)
        return found->run(argc - 1 - n_words, argv + 1 + n_words);
    const char *names[MAX_COMMANDS];
    size_t n_names = 0;
    for (; commands[n_names] && n_names < MAX_COMMANDS; n_names++)
        names[n_names] = commands[n_names]->name;
    const char *near = hone_suggest(argv[1], names, n_names);
    if (near)
        fprintf(stderr, "hone: unknown command \"%s\" (did you mean \"%s\"?)\n", argv[1], near);
    else
        fprintf(stderr, "hone: unknown command \"%s\"; `hone --help` lists them\n", argv[1]);
    return HONE_EXIT_BAD_INPUT;
}
