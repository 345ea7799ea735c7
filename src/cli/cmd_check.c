/* cmd_check.c - `hone check`: is this task fit to be compared on? */
#include "cli/commands.h"

#include "base/file.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "model/model_file.h"
#include "prompt/framing.h"
#include "store/ledger.h"
#include "task/check.h"
#include "task/task.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_LABELS = 5, SHOWN_PAIRS = 5 };

static int64_t count_tokens(void *context, const char *text)
{
    hone_token_list ids = {0};
    hone_status status = hone_tokenizer_encode(context, text, strlen(text), false, &ids, NULL);
    int64_t n = (int64_t)ids.n;
    hone_token_list_clear(&ids);
    return status == HONE_OK ? n : -1;
}

/* A context that a row cannot fill, or that gives an answer away, would end a comparison later. */
static hone_status check_context(const hone_task *task, hone_error *err)
{
    const hone_rows *all[] = {&task->train, &task->select_tune, &task->select_name, &task->test};
    hone_buffer text = {0};
    hone_status status = HONE_OK;
    for (size_t s = 0; s < sizeof all / sizeof *all && task->context; s++)
        for (size_t i = 0; i < all[s]->n && status == HONE_OK; i++) {
            hone_buffer_reset(&text);
            status = hone_framing_expand(task->context, &all[s]->items[i], &text, err);
        }
    hone_buffer_clear(&text);
    return status;
}

/* *context_tokens: how much the model's context holds, 0 where its file does not say. */
static hone_status open_tokenizer(const char *model, hone_tokenizer **out, int64_t *context_tokens, hone_error *err)
{
    char *path = NULL, key[128];
    hone_model_file file = {0};
    hone_gguf_string architecture;
    *context_tokens = 0;
    hone_status status = hone_model_resolve(model, &path, err);
    if (status == HONE_OK)
        status = hone_model_file_open(path, &file, err);
    free(path);
    if (status != HONE_OK)
        return status;
    if (hone_gguf_get_string(&file.gguf, "general.architecture", &architecture) && architecture.length < 64) {
        snprintf(key, sizeof key, "%.*s.context_length", (int)architecture.length, architecture.data);
        if (!hone_gguf_get_int(&file.gguf, key, context_tokens) || *context_tokens < 0)
            *context_tokens = 0;
    }
    status = hone_tokenizer_from_gguf(&file.gguf, out, err);
    hone_model_file_close(&file);
    return status;
}

static void count(size_t n, int width)
{
    char text[32];
    hone_format_count((int64_t)n, text);
    printf("%*s", width, text);
}

static void print_rows(const hone_task *task)
{
    char train[32], select[32], test[32];
    hone_format_count((int64_t)task->train.n, train);
    hone_format_count((int64_t)(task->select_tune.n + task->select_name.n), select);
    hone_format_count((int64_t)task->test.n, test);
    printf("%s · %s · %s train / %s select / %s test rows", task->name, task->models[0], train, select, test);
    if (task->n_labels)
        printf(" · %zu labels", task->n_labels);
    printf("\n\n");
}

static void print_labels(const hone_task_check *check)
{
    size_t width = 12;
    if (!check->n_labels)
        return;
    for (size_t i = 0; i < check->n_labels && i < SHOWN_LABELS; i++)
        if (strlen(check->labels[i].label) > width)
            width = strlen(check->labels[i].label);
    width = width > 60 ? 60 : width;
    printf("  %-*s  %7s %7s %7s\n", (int)width, check->n_labels > SHOWN_LABELS ? "rarest labels" : "labels", "train",
           "select", "test");
    for (size_t i = 0; i < check->n_labels && i < SHOWN_LABELS; i++) {
        printf("  %-*.60s  ", (int)width, check->labels[i].label);
        count(check->labels[i].train, 7);
        count(check->labels[i].select, 8);
        count(check->labels[i].test, 8);
        printf("\n");
    }
    if (check->n_labels > SHOWN_LABELS)
        printf("  and %zu more\n", check->n_labels - SHOWN_LABELS);
    printf("\n");
}

static void print_lengths(const hone_task_check *check)
{
    const struct {
        const char *name;
        const hone_length *length;
    } lines[] = {{"input", &check->input}, {"output", &check->output}};
    printf("  %-13s  %7s %7s %7s\n", check->length_unit, "median", "95 %", "longest");
    for (int i = 0; i < 2; i++) {
        const hone_length *l = lines[i].length;
        printf("  %-13s  ", lines[i].name);
        count((size_t)l->median, 7);
        count((size_t)l->p95, 8);
        count((size_t)l->longest, 8);
        printf("   %s:%lld\n", l->file, (long long)l->line);
    }
    printf("\n");
}

static void print_leaks(const hone_task *task)
{
    for (int exact = 1; exact >= 0; exact--) {
        size_t n = 0;
        for (size_t i = 0; i < task->n_leaks; i++) {
            const hone_task_leak *leak = &task->leaks[i];
            if (leak->exact != exact || n++ >= SHOWN_PAIRS)
                continue;
            printf("      %s:%lld %s %s:%lld\n", leak->file, (long long)leak->line, exact ? "is" : "is like",
                   leak->test_file, (long long)leak->test_line);
        }
        if (n > SHOWN_PAIRS)
            printf("      and %zu more\n", n - SHOWN_PAIRS);
    }
}

static void print_contradictions(const hone_task_check *check)
{
    for (size_t i = 0; i < check->n_contradictions_kept; i++) {
        const hone_row *a = check->contradictions[i].a, *b = check->contradictions[i].b;
        printf("      %s:%lld \"%.40s\" and %s:%lld \"%.40s\"\n", a->file, (long long)a->line, a->output, b->file,
               (long long)b->line, b->output);
    }
    if (check->n_contradictions > check->n_contradictions_kept && check->n_contradictions_kept)
        printf("      and %zu more\n", check->n_contradictions - check->n_contradictions_kept);
}

static void print_people(const hone_task *task, const hone_task_check *check)
{
    static const char *const states[] = {"good", "look", "FAIL"};
    print_rows(task);
    print_labels(check);
    print_lengths(check);
    for (size_t i = 0; i < check->n_findings; i++) {
        const hone_finding *f = &check->findings[i];
        printf("  %s  %-14s  %s\n", states[f->state], f->name, f->text);
        if (strcmp(f->name, "leaks") == 0)
            print_leaks(task);
        else if (strcmp(f->name, "contradictions") == 0 && f->state != HONE_FINDING_GOOD)
            print_contradictions(check);
    }
    /* The leaks have been told of, above. */
    for (size_t i = 0; i + task->n_leak_warnings < json_array_size(task->warnings); i++)
        printf("  note  %s\n", json_string_value(json_array_get(task->warnings, i)));
}

static json_t *length_json(const hone_length *l)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:I}", "median", (json_int_t)l->median, "p95", (json_int_t)l->p95, "longest",
                     (json_int_t)l->longest, "file", l->file, "line", (json_int_t)l->line);
}

static int print_json(const hone_task *task, const hone_task_check *check, bool passed)
{
    static const char *const states[] = {"good", "warning", "failed"};
    json_t *labels = json_array(), *leaks = json_array(), *findings = json_array();
    for (size_t i = 0; i < check->n_labels; i++)
        json_array_append_new(labels, json_pack("{s:s, s:I, s:I, s:I}", "label", check->labels[i].label, "train",
                                                (json_int_t)check->labels[i].train, "select",
                                                (json_int_t)check->labels[i].select, "test",
                                                (json_int_t)check->labels[i].test));
    for (size_t i = 0; i < task->n_leaks; i++)
        json_array_append_new(leaks, json_pack("{s:s, s:I, s:s, s:I, s:b}", "file", task->leaks[i].file, "line",
                                               (json_int_t)task->leaks[i].line, "test_file", task->leaks[i].test_file,
                                               "test_line", (json_int_t)task->leaks[i].test_line, "exact",
                                               (int)task->leaks[i].exact));
    for (size_t i = 0; i < check->n_findings; i++)
        json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "name", check->findings[i].name, "state",
                                                  states[check->findings[i].state], "text", check->findings[i].text));
    json_t *document =
        json_pack("{s:s, s:s, s:{s:I, s:I, s:I, s:I}, s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:f, s:s, s:s, "
                  "s:o, s:O, s:b}",
                  "name", task->name, "model", task->models[0], "rows", "train", (json_int_t)task->train.n,
                  "select_tune", (json_int_t)task->select_tune.n, "select_name", (json_int_t)task->select_name.n,
                  "test", (json_int_t)task->test.n, "labels", labels, "length_unit", check->length_unit, "input_length",
                  length_json(&check->input), "output_length", length_json(&check->output), "repeated",
                  (json_int_t)check->n_repeated, "contradictions", (json_int_t)check->n_contradictions,
                  "exact_duplicates", (json_int_t)task->n_dropped_duplicates, "near_duplicates",
                  (json_int_t)task->n_near_duplicates, "leaks", leaks, "test_openings", (json_int_t)check->n_openings,
                  "detectable_difference", check->detectable_difference, "train_hash", task->train_hash, "test_hash",
                  task->test_hash, "findings", findings, "warnings", task->warnings, "passed", (int)passed);
    if (!document)
        return -1;
    json_dumpf(document, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(document);
    return 0;
}

static int run(int argc, char **argv);

const hone_command hone_command_check = {
    "check", "[TASK] [-m MODEL] [--json]", "look a task over: rows, labels, lengths, leaks, what the test can show",
    "TASK is a folder with a task.yaml, or that file; the current folder when left out.\n"
    "Ends with 1 where something is marked FAIL, with 2 where the task cannot be read.",
    run};

static int run(int argc, char **argv)
{
    const char *model = NULL;
    bool json = false, passed = true;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL",
         "count lengths in this model's tokens (default: the task's model)"},
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "one JSON document on stdout"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_check, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err = {0};
    hone_task *task = NULL;
    hone_ledger *ledger = NULL;
    hone_task_check check;
    hone_tokenizer *tokenizer = NULL;
    int64_t context_tokens = 0;
    hone_status status = HONE_OK;
    if (arguments.n > 1)
        status = hone_fail(&err, HONE_BAD_INPUT, "one task at a time, not %zu", arguments.n);
    if (status == HONE_OK)
        status = hone_task_open(arguments.n ? arguments.items[0] : ".", &task, &err);
    if (status == HONE_OK)
        status = check_context(task, &err);
    if (status == HONE_OK)
        status = hone_ledger_open(hone_task_ledger_path(task), &ledger, &err);
    if (status == HONE_OK) {
        /* The task's own model need not be here yet: then lengths are in characters. One that is asked for must be. */
        status = open_tokenizer(model ? model : task->models[0], &tokenizer, &context_tokens, &err);
        if (status != HONE_OK && !model)
            status = HONE_OK;
    }
    if (status == HONE_OK) {
        hone_length_counter counter = {"tokens", count_tokens, tokenizer, context_tokens};
        status = hone_task_check_run(task, ledger, tokenizer ? &counter : NULL, &check, &err);
    }
    if (status != HONE_OK) {
        code = hone_command_failed(&hone_command_check, &err);
        goto done;
    }
    for (size_t i = 0; i < check.n_findings; i++)
        passed = passed && check.findings[i].state != HONE_FINDING_FAILED;
    code = passed ? HONE_EXIT_DONE : HONE_EXIT_CHECK_FAILED;
    if (!json)
        print_people(task, &check);
    else if (print_json(task, &check, passed) < 0) {
        hone_fail(&err, HONE_NO_MEMORY, "out of memory");
        code = hone_command_failed(&hone_command_check, &err);
    }
done:
    hone_tokenizer_free(tokenizer);
    hone_ledger_close(ledger);
    hone_task_close(task);
    return code;
}
