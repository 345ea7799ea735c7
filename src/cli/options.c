/* options.c - parsing and help from one table. */
#include "cli/options.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const hone_option *find_long(const hone_option *options, size_t n, const char *name, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

static const hone_option *find_letter(const hone_option *options, size_t n, char letter)
{
    for (size_t i = 0; i < n; i++)
        if (options[i].letter && options[i].letter == letter)
            return &options[i];
    return NULL;
}

static hone_status unknown(const hone_option *options, size_t n, const char *word, hone_error *err)
{
    const char *names[128];
    size_t n_names = 0;
    for (size_t i = 0; i < n && n_names < 127; i++)
        names[n_names++] = options[i].name;
    names[n_names++] = "help";
    char name[64];
    snprintf(name, sizeof name, "%s", word + (word[0] == '-') + (word[1] == '-'));
    name[strcspn(name, "=")] = 0;
    const char *near = hone_suggest(name, names, n_names);
    if (near)
        return hone_fail(err, HONE_BAD_INPUT, "unknown option %s (did you mean --%s?)", word, near);
    return hone_fail(err, HONE_BAD_INPUT, "unknown option %s; --help lists them", word);
}

/* The alternatives of "[a|b|c]": where the word is among them; NULL when it is not. */
static const char *find_choice(const hone_option *o, const char *word)
{
    size_t length = strlen(word);
    for (const char *p = o->operand + 1; *p && *p != ']'; p += strspn(p, "|")) {
        size_t n = strcspn(p, "|]");
        if (n == length && memcmp(p, word, n) == 0)
            return p;
        p += n;
    }
    return NULL;
}

static const char *first_choice(const hone_option *o)
{
    static char first[32];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(o->operand + 1, "|]"), o->operand + 1);
    return first;
}

static hone_status store(const hone_option *o, const char *text, hone_error *err)
{
    char *end;
    bool good = true;
    switch (o->kind) {
    case HONE_OPTION_FLAG:
        *(bool *)o->value = true;
        break;
    case HONE_OPTION_TEXT:
        *(const char **)o->value = text;
        break;
    case HONE_OPTION_LIST: {
        hone_option_list *list = o->value;
        if (list->n == sizeof list->items / sizeof *list->items)
            return hone_fail(err, HONE_BAD_INPUT, "--%s is given more than %zu times", o->name, list->n);
        list->items[list->n++] = text;
        break;
    }
    case HONE_OPTION_CHOICE:
        good = find_choice(o, text) != NULL;
        *(const char **)o->value = text;
        break;
    case HONE_OPTION_INTEGER: {
        errno = 0;
        long long v = strtoll(text, &end, 10);
        good = end != text && *end == 0 && errno == 0;
        if (good)
            *(int64_t *)o->value = v;
        break;
    }
    case HONE_OPTION_NUMBER: {
        double v = strtod(text, &end);
        good = end != text && *end == 0 && v == v;
        if (good)
            *(double *)o->value = v;
        break;
    }
    case HONE_OPTION_COUNT:
        good = hone_parse_count(text, o->value);
        break;
    case HONE_OPTION_SECONDS:
        good = hone_parse_seconds(text, o->value);
        break;
    case HONE_OPTION_BYTES:
        good = hone_parse_bytes(text, o->value);
        break;
    }
    static const char *const wanted[] = {
        [HONE_OPTION_CHOICE] = "one of the words in its brackets (--help)",
        [HONE_OPTION_INTEGER] = "a whole number",
        [HONE_OPTION_NUMBER] = "a number",
        [HONE_OPTION_COUNT] = "a count such as 500 or 200k",
        [HONE_OPTION_SECONDS] = "a time such as 90s or 30m",
        [HONE_OPTION_BYTES] = "a size such as 512MiB or 4GiB",
    };
    return good ? HONE_OK : hone_fail(err, HONE_BAD_INPUT, "--%s takes %s, not \"%s\"", o->name, wanted[o->kind], text);
}

hone_status hone_options_parse(const hone_option *options, size_t n_options, int argc, char **argv,
                               hone_arguments *arguments, bool *help, hone_error *err)
{
    arguments->n = 0;
    *help = false;
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value = NULL;
        if (only_arguments || word[0] != '-' || word[1] == 0) {
            if (arguments->n == sizeof arguments->items / sizeof *arguments->items)
                return hone_fail(err, HONE_BAD_INPUT, "more than %zu arguments", arguments->n);
            arguments->items[arguments->n++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return HONE_OK;
        }
        const hone_option *o;
        if (word[1] == '-') {
            size_t length = strcspn(word + 2, "=");
            o = find_long(options, n_options, word + 2, length);
            if (word[2 + length] == '=')
                value = word + 3 + length;
        } else {
            o = find_letter(options, n_options, word[1]);
            if (word[2])
                value = word + 2;
        }
        if (!o)
            return unknown(options, n_options, word, err);
        if (o->kind == HONE_OPTION_FLAG) {
            if (value)
                return hone_fail(err, HONE_BAD_INPUT, "--%s takes no value", o->name);
        } else if (o->kind == HONE_OPTION_CHOICE && !value) {
            value = i + 1 < argc && find_choice(o, argv[i + 1]) ? argv[++i] : first_choice(o);
        } else if (!value) {
            if (++i == argc)
                return hone_fail(err, HONE_BAD_INPUT, "--%s needs a value: --%s %s", o->name, o->name, o->operand);
            value = argv[i];
        }
        hone_status status = store(o, value, err);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

static void append_quoted(hone_buffer *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";
    if (*word && word[strspn(word, plain)] == 0) {
        hone_buffer_puts(b, word);
        return;
    }
    hone_buffer_putc(b, '\'');
    for (; *word; word++)
        *word == '\'' ? hone_buffer_puts(b, "'\\''") : hone_buffer_putc(b, *word);
    hone_buffer_putc(b, '\'');
}

void hone_options_command_line(const hone_command *command, int argc, char **argv, hone_buffer *b)
{
    hone_buffer_printf(b, "hone %s", command->name);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            continue;
        hone_buffer_putc(b, ' ');
        append_quoted(b, argv[i]);
    }
}

void hone_options_help(const hone_command *command, const hone_option *options, size_t n_options)
{
    printf("usage: hone %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (command->details)
        printf("\n%s\n", command->details);
    printf("\noptions\n");
    for (size_t i = 0; i < n_options; i++) {
        const hone_option *o = &options[i];
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->operand ? " " : "", o->operand ? o->operand : "");
        printf("  %-30s %s\n", left, o->help);
    }
    printf("  %-30s %s\n", "-h, --help", "show this help");
}

int hone_options_begin(const hone_command *command, const hone_option *options, size_t n_options, int argc, char **argv,
                       hone_arguments *arguments)
{
    hone_error err;
    bool help;
    if (hone_options_parse(options, n_options, argc, argv, arguments, &help, &err) != HONE_OK)
        return hone_command_failed(command, &err);
    if (help) {
        hone_options_help(command, options, n_options);
        return HONE_EXIT_DONE;
    }
    return -1;
}

int hone_command_failed(const hone_command *command, const hone_error *err)
{
    if (err->code == HONE_CANCELLED) {
        fprintf(stderr, "hone %s: %s\n", command->name, err->message);
        return HONE_EXIT_INTERRUPTED;
    }
    fprintf(stderr, "hone %s: %s\n", command->name, err->message);
    switch (err->code) {
    case HONE_IO:
    case HONE_NETWORK:
    case HONE_NO_MEMORY:
        return HONE_EXIT_ENVIRONMENT;
    default:
        return HONE_EXIT_BAD_INPUT;
    }
}
