/* options.h - the command line of one command as a table; the table parses, suggests and writes the help.
 *
 * An option is "--name VALUE" or "--name=VALUE", a flag "--name"; a short letter may stand for it ("-m VALUE").
 * "--" ends the options. What is not an option is an argument, collected in order. */
#ifndef HONE_CLI_OPTIONS_H
#define HONE_CLI_OPTIONS_H

#include "base/buffer.h"
#include "base/status.h"

typedef enum hone_option_kind {
    HONE_OPTION_FLAG,   /* bool * */
    HONE_OPTION_TEXT,   /* const char ** (borrows from argv) */
    HONE_OPTION_CHOICE, /* const char **; operand: "[lr|rank|lr,rank]", one of which may follow; else it is the first */
    HONE_OPTION_LIST,   /* hone_option_list *: may be given again */
    HONE_OPTION_INTEGER, /* int64_t * */
    HONE_OPTION_NUMBER,  /* double * */
    HONE_OPTION_COUNT,   /* double *, "200k" */
    HONE_OPTION_SECONDS, /* double *, "30m" */
    HONE_OPTION_BYTES    /* uint64_t *, "4GiB" */
} hone_option_kind;

typedef struct hone_option_list {
    const char *items[64];
    size_t n;
} hone_option_list;

typedef struct hone_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    hone_option_kind kind;
    void *value;         /* where it is stored; holds the default before parsing */
    const char *operand; /* shown in the help: "MODEL"; NULL for a flag */
    const char *help;    /* one line */
} hone_option;

typedef struct hone_command {
    const char *name;                  /* "train", or "model pull" */
    const char *usage;                 /* what follows the name: "-m MODEL DATA.jsonl -o DIR [options]" */
    const char *summary;               /* one line for the list of commands */
    const char *details;               /* further help text, lines of at most 100 columns, or NULL */
    int (*run)(int argc, char **argv); /* argv[0] is the first word after the command; returns the exit code */
} hone_command;

/* The words left over after the options. */
typedef struct hone_arguments {
    const char *items[64];
    size_t n;
} hone_arguments;

/* Parses; HONE_BAD_INPUT with a suggestion on an unknown option, a missing or a malformed value.
 * Sets *help when --help or -h was seen (nothing else is checked then). */
hone_status hone_options_parse(const hone_option *options, size_t n_options, int argc, char **argv,
                               hone_arguments *arguments, bool *help, hone_error *err);
/* Appends the line that does the same again, quoted for a shell, without --json. */
void hone_options_command_line(const hone_command *command, int argc, char **argv, hone_buffer *b);
/* Writes the help of a command to stdout. */
void hone_options_help(const hone_command *command, const hone_option *options, size_t n_options);

/* Parse, answer --help, report a mistake on stderr: returns -1 to go on, else the exit code to return. */
int hone_options_begin(const hone_command *command, const hone_option *options, size_t n_options, int argc, char **argv,
                       hone_arguments *arguments);

/* Exit codes (DESIGN, CLI). */
enum {
    HONE_EXIT_DONE = 0,
    HONE_EXIT_CHECK_FAILED = 1,
    HONE_EXIT_BAD_INPUT = 2,
    HONE_EXIT_ENVIRONMENT = 3,
    HONE_EXIT_INTERRUPTED = 130
};
/* Prints "hone <command>: <message>" on stderr and returns the exit code for the error. */
int hone_command_failed(const hone_command *command, const hone_error *err);

#endif
