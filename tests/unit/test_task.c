/* test_task.c - claims about opening a task: settings are strict, each bad input has its message, splits stay and leak
 * nothing. */
#include "base/file.h"
#include "base/rng.h"
#include "store/ledger.h"
#include "task/check.h"
#include "task/fold.h"
#include "task/rows.h"
#include "task/starter.h"
#include "task/task.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "unit/temporary.h"

static int begin(void **state)
{
    int code = temporary_begin(state);
    return code ? code : setenv("HONE_HOME", temporary_path("home"), 1);
}

static const char plain_yaml[] = "data: {train: train.jsonl}\noutput: {kind: label}\n";
static const char with_test_yaml[] = "data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\n";

/* A fresh folder for one task, with its task.yaml. */
static void new_task(const char *yaml)
{
    temporary_end(NULL);
    assert_int_equal(begin(NULL), 0);
    temporary_file("task.yaml", yaml);
}

/* n rows "question number <from + i>" with n_labels labels in turn. */
static void put_rows(hone_buffer *b, int from, int n, int n_labels)
{
    for (int i = from; i < from + n; i++)
        hone_buffer_printf(b,
                           "{\"input\": \"question number %d\", \"output\": \"label %d\", \"who\": \"customer %d\"}\n",
                           i, i % n_labels, i / 7);
}

static void write_rows(const char *name, int from, int n, int n_labels)
{
    hone_buffer b = {0};
    put_rows(&b, from, n, n_labels);
    temporary_bytes(name, b.data, b.length);
    hone_buffer_clear(&b);
}

static hone_task *open_good(void)
{
    hone_task *task;
    hone_error err = {0};
    if (hone_task_open(temporary_folder, &task, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return task;
}

static void assert_refused(hone_status expected, const char *message)
{
    hone_task *task;
    hone_error err = {0};
    hone_status status = hone_task_open(temporary_folder, &task, &err);
    assert_null(task);
    assert_says(err, message);
    assert_int_equal(status, expected);
}

/* Opens the task with these rows in train.jsonl. */
static void assert_rows_refused(const char *yaml, const char *train, const char *message)
{
    new_task(yaml);
    temporary_file("train.jsonl", train);
    assert_refused(HONE_BAD_INPUT, message);
}

static const hone_rows *split_of(const hone_task *task, const char *input)
{
    const hone_rows *all[] = {&task->train, &task->select_tune, &task->select_name, &task->test}, *found = NULL;
    for (int s = 0; s < 4; s++)
        for (size_t i = 0; i < all[s]->n; i++)
            if (strcmp(all[s]->items[i].input, input) == 0) {
                assert_true(found == NULL || found == all[s]); /* never on two sides */
                found = all[s];
            }
    return found;
}

static int split_index(const hone_task *task, const char *input)
{
    const hone_rows *found = split_of(task, input);
    return !found                        ? -1
           : found == &task->train       ? 0
           : found == &task->select_tune ? 1
           : found == &task->select_name ? 2
                                         : 3;
}

static bool warned(const hone_task *task, const char *text)
{
    for (size_t i = 0; i < json_array_size(task->warnings); i++)
        if (strstr(json_string_value(json_array_get(task->warnings, i)), text))
            return true;
    return false;
}

/* ---- settings ---- */

static void test_every_key_of_the_task_file_is_read(void **state)
{
    (void)state;
    new_task("name: bank-intents\n"
             "model: [smollm2-135m, ./other.gguf]\n"
             "data: {train: train.jsonl, group_by: who, skip_empty: yes}\n"
             "output: {kind: label, labels: [label 1, label 0]}\n"
             "metric: accuracy\n"
             "prompt:\n"
             "  role: You are a customer service assistant of a bank.\n"
             "  instruction: Reply with the intent of the customer's message.\n"
             "  context: |\n"
             "    The customer is {{who}}.\n"
             "scenarios: {angry: {context: The customer is angry.}}\n"
             "use: {requests_per_month: 200k, min_score: 0.70, latency_p95_ms: 300, error_cost_usd: 0.40, "
             "horizon_months: 12,\n"
             "      changes_per_year: 4, deadline_days: 30, skills: [prompting], dedicated: true}\n"
             "budget: {time: 30m, memory: 4GiB}\n"
             "prices: {compute_hour_usd: 0.20, label_usd: 0.09, engineer_hour_usd: 90,\n"
             "         input_million_usd: 0.5, output_million_usd: 2, cache_hit_rate: 0.8, cache_read: 0.1, "
             "cache_write: 1.25}\n"
             "work: {prompt_hours: 1, tuning_hours: 2.5, baseline_hours: 3, deployment_hours: 0, change_hours: 5}\n"
             "train: {seeds: 5}\n"
             "seed: 18446744073709551615\n");
    write_rows("train.jsonl", 0, 100, 2);
    hone_task *task = open_good();
    assert_string_equal(task->name, "bank-intents");
    assert_int_equal(task->n_models, 2);
    assert_string_equal(task->models[0], "smollm2-135m");
    assert_string_equal(task->models[1], "./other.gguf");
    assert_int_equal(task->output_kind, HONE_OUTPUT_LABEL);
    assert_int_equal(task->n_labels, 2);
    assert_string_equal(task->labels[0], "label 0"); /* sorted */
    assert_string_equal(task->metric, "accuracy");
    assert_string_equal(task->instruction, "Reply with the intent of the customer's message.");
    assert_string_equal(task->context, "The customer is {{who}}.\n");
    assert_int_equal(task->n_scenarios, 1);
    assert_string_equal(task->scenarios[0].name, "angry");
    assert_null(task->scenarios[0].role);
    assert_true(warned(task, "scenarios"));
    assert_true(task->use.requests_per_month == 200000 && task->use.min_score == 0.70 &&
                task->use.latency_p95_ms == 300);
    assert_true(task->use.error_cost_usd == 0.40 && task->use.horizon_months == 12 && task->use.changes_per_year == 4);
    assert_true(task->use.deadline_days == 30 && task->use.dedicated);
    assert_int_equal(task->use.n_skills, 1);
    assert_string_equal(task->use.skills[0], "prompting");
    assert_true(task->budget_seconds == 1800 && task->budget_memory_bytes == 4ull << 30);
    assert_true(task->prices.compute_hour_usd == 0.20 && task->prices.label_usd == 0.09 &&
                task->prices.engineer_hour_usd == 90);
    assert_true(task->prices.input_million_usd == 0.5 && task->prices.output_million_usd == 2 &&
                task->prices.cache_hit_rate == 0.8 && task->prices.cache_read == 0.1 &&
                task->prices.cache_write == 1.25);
    assert_true(task->work.prompt_hours == 1 && task->work.tuning_hours == 2.5 && task->work.baseline_hours == 3 &&
                task->work.deployment_hours == 0 && task->work.change_hours == 5);
    assert_true(task->seed == UINT64_MAX);
    assert_int_equal(task->train_seeds, 5);
    assert_string_equal(task->train.items[0].group,
                        json_string_value(json_object_get(task->train.items[0].fields, "who")));
    hone_task_close(task);
}

static void test_what_is_not_given_has_its_default(void **state)
{
    (void)state;
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 50, 2);
    hone_task *task = open_good();
    assert_string_equal(task->models[0], "smollm2-135m");
    assert_string_equal(task->name, strrchr(temporary_folder, '/') + 1);
    assert_true(isnan(task->use.min_score) && isnan(task->use.requests_per_month) && !task->use.dedicated);
    assert_true(task->prices.compute_hour_usd == 0.10 && task->prices.label_usd == 0.08 &&
                task->prices.engineer_hour_usd == 80);
    assert_true(task->prices.input_million_usd == 0 && task->prices.cache_read == 1 && task->prices.cache_write == 1);
    assert_true(isnan(task->work.prompt_hours) && isnan(task->work.change_hours)); /* assumed, not stated */
    assert_true(task->budget_seconds == 0 && task->budget_memory_bytes == 0);
    assert_null(task->role);
    assert_null(task->context);
    hone_task_close(task);
}

static void test_wrong_settings_are_named_with_line_and_fix(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"data: {train: train.jsonl}\n\nmetrics: accuracy\n",
         "task.yaml:3: unknown key \"metrics\" in task (did you mean \"metric\"?)"},
        {"data:\n  train: train.jsonl\n  tset: x\n",
         "task.yaml:3: unknown key \"tset\" in data (did you mean \"test\"?)"},
        {"data: {train: train.jsonl}\nwork:\n  tuneing_hours: 1\n",
         "task.yaml:3: unknown key \"tuneing_hours\" in work (did you mean \"tuning_hours\"?)"},
        {"data: {train: train.jsonl}\nprices: {cache_hit_rate: 1.1}\n",
         "task.yaml:2: \"cache_hit_rate\" in prices needs a number from 0 to 1"},
        {"data: {train: train.jsonl}\nwork: {change_hours: -1}\n",
         "task.yaml:2: \"change_hours\" in work needs a number from 0 to 100000"},
        {"data: {train: train.jsonl}\nfoobar: 1\n",
         "task.yaml:2: unknown key \"foobar\" in task; it may hold name, model, embedder, data"},
        {"data: {train: train.jsonl}\nscenarios: {a: {rule: x}}\n", "task.yaml:2: unknown key \"rule\" in a"},
        {"data: {train: train.jsonl}\noutput: {kind: labels}\n",
         "task.yaml:2: \"kind\" in output needs one of label, text, json, number, choice, sql, not \"labels\""},
        {"data: {train: train.jsonl}\noutput: label\n",
         "task.yaml:2: \"output\" in task needs a map, such as {key: value}, not \"label\""},
        {"data: {train: [a, b]}\n", "task.yaml:1: \"train\" in data needs one value, not a list"},
        {"data: {train: train.jsonl}\nuse: {min_score: high}\n",
         "task.yaml:2: \"min_score\" in use needs a number from 0 to 1, not \"high\""},
        {"data: {train: train.jsonl}\nuse: {min_score: 70}\n",
         "task.yaml:2: \"min_score\" in use needs a number from 0 to 1, not \"70\""},
        {"data: {train: train.jsonl}\nuse: {error_cost_usd: -1}\n",
         "needs a number from 0 to 1e+09, such as 500 or 200k, not \"-1\""},
        {"data: {train: train.jsonl}\nuse: {dedicated: maybe}\n", "needs true or false, not \"maybe\""},
        {"data: {train: train.jsonl}\nbudget: {time: soon}\n", "needs a time such as 90s or 30m, not \"soon\""},
        {"data: {train: train.jsonl}\nbudget: {memory: 4 gallons}\n", "needs a size such as 512MiB or 4GiB"},
        {"data: {train: train.jsonl}\ntrain: {seeds: 2}\n",
         "task.yaml:2: 2 training seeds; take 1, or 3 to 9: fewer tell next to nothing of their spread"},
        {"data: {train: train.jsonl}\ntrain: {seeds: 10}\n", "task.yaml:2: 10 training seeds"},
        {"data: {train: train.jsonl}\ntrain: {seeds: few}\n", "\"seeds\" in train needs a whole number from 0"},
        {"data: {train: train.jsonl}\ntrain: rows.jsonl\n", "\"train\" in task needs a map"},
        {"data: {train: train.jsonl}\nseed: -1\n", "\"seed\" in task needs a whole number from 0, not \"-1\""},
        {"data: {train: train.jsonl}\nmetric: f1\n",
         "task.yaml:2: \"metric\" of a task of kind label is one of: accuracy; not \"f1\""},
        {"data: {train: train.jsonl}\noutput: {kind: text}\nmetric: json_fields\n",
         "task.yaml:3: \"metric\" of a task of kind text is one of: token_f1, accuracy; not \"json_fields\""},
        {"data: {train: train.jsonl}\nmodel: [a, '']\n", "task.yaml:2: an item of \"model\" in task is empty"},
        {"data: {train: train.jsonl}\noutput: {kind: label, labels: [a, b, a]}\n",
         "task.yaml:2: label \"a\" is listed twice"},
        {"data: {train: train.jsonl}\noutput: {kind: text, labels: [a, b]}\n",
         "\"labels\" in output belongs to kind: label"},
        {"data: {train: train.jsonl}\noutput: {kind: text, schema: s.json}\n",
         "\"schema\" in output belongs to kind: json"},
        {"name: x\n", "task.yaml:1: no training rows are named; add \"data: {train: train.jsonl}\""},
        {"name: x\ndata: {test: t.jsonl}\n", "task.yaml:2: no training rows are named"},
        {"just words\n", "a task is a map of keys"},
        {"data: {train: train.txt}\n", "train.txt: examples are read from .jsonl or .csv files"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        new_task(cases[i].yaml);
        write_rows("train.jsonl", 0, 20, 2);
        temporary_file("train.txt", "x");
        assert_refused(HONE_BAD_INPUT, cases[i].message);
    }
    new_task("data: {train: train.jsonl}\ndata: {train: train.jsonl}\n");
    assert_refused(HONE_BAD_FORMAT, "task.yaml:2: \"data\" is given again (first in line 1)");
}

static void test_missing_files_are_named(void **state)
{
    (void)state;
    hone_task *task;
    hone_error err = {0};
    assert_int_equal(hone_task_open("/tmp/no such folder/task.yaml", &task, &err), HONE_NOT_FOUND);
    assert_says(err, "/tmp/no such folder/task.yaml: no such file; `hone init");
    new_task(with_test_yaml);
    assert_refused(HONE_NOT_FOUND, "train.jsonl: no such file, named by data.train in");
    write_rows("train.jsonl", 0, 20, 2);
    assert_refused(HONE_NOT_FOUND, "test.jsonl: no such file, named by data.test in");
    new_task("data: {train: train.jsonl}\noutput: {kind: json, schema: s.json}\n");
    assert_refused(HONE_NOT_FOUND, "s.json: no such file, named by output.schema");
}

/* ---- rows ---- */

static void test_bad_rows_are_named_with_line_and_fix(void **state)
{
    (void)state;
    static const char good[] = "{\"input\": \"a\", \"output\": \"x\"}\n";
    char text[1024];
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"{\"input\": \"a\", \"output\": \" \"}\n", "train.jsonl:2: \"output\" is empty; a tuned model would learn to "
                                                    "say nothing. Remove the row or set skip_empty: true"},
        {"{\"input\": \"\", \"output\": \"x\"}\n", "train.jsonl:2: \"input\" is empty; there is nothing to answer."},
        {"{\"input\": \"a\"}\n",
         "train.jsonl:2: no \"input\" and \"output\" (found \"input\"); rename the fields, or name them in task.yaml"},
        {"{\"input\": \"a\", \"output\": null}\n", "train.jsonl:2: \"output\" is null where text is needed"},
        {"{\"input\": 5, \"output\": \"x\"}\n", "train.jsonl:2: \"input\" is not text where text is needed"},
        {"{\"input\": \"a\", \"output\": {\"b\": 1}}\n", "train.jsonl:2: \"output\" is an object where text is needed"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "train.jsonl:2: no assistant message"},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}\n", "train.jsonl:2: no user message before"},
        {"{\"messages\": [{\"content\": \"a\"}]}\n", "train.jsonl:2: message 1 has no \"role\""},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [1]}, {\"role\": \"assistant\", \"content\": \"a\"}]}\n",
         "train.jsonl:2: message 1 has no \"content\" that is text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s%s", good, cases[i].row, good);
        assert_rows_refused(plain_yaml, text, cases[i].message);
    }
    snprintf(text, sizeof text, "%s{\"input\": \"a\", \"output\": \"\"}\n{\"input\": \"b\", \"output\": \"\"}\n", good);
    assert_rows_refused(plain_yaml, text, "train.jsonl:2: \"output\" is empty (and 1 more rows)");
    assert_rows_refused("data: {train: train.jsonl}\noutput: {kind: number}\n",
                        "{\"input\": \"a\", \"output\": \"many\"}\n",
                        "train.jsonl:1: \"output\" is \"many\", not a number (output: {kind: number}). Name the field "
                        "that holds the number, data: {output: FIELD}");
    assert_rows_refused("data: {train: train.jsonl}\noutput: {kind: json}\n",
                        "{\"input\": \"a\", \"output\": \"{1}\"}\n", "train.jsonl:1: \"output\" is not JSON");
    assert_rows_refused("data: {train: train.jsonl, input: ask, output: reply}\n", good,
                        "train.jsonl:1: no field \"ask\" (found \"input\", \"output\")");
    assert_rows_refused("data: {train: train.jsonl, group_by: who}\n", good, "train.jsonl:1: no field \"who\"");
    assert_rows_refused(plain_yaml, "\n\n", "train.jsonl: holds no rows");
    new_task(plain_yaml);
    temporary_file("train.jsonl", "{\"input\": \"a\", \"output\": \"x\"}\n{\"input\": \"a\" \"output\": \"x\"}\n");
    assert_refused(HONE_BAD_FORMAT, "train.jsonl:2: column 22: bad JSON");
}

static void read_rows(const char *name, const char *text, hone_output_kind kind, hone_arena *arena, json_t *keep,
                      json_t *warnings, hone_rows *rows)
{
    hone_row_options options = {.kind = kind};
    hone_error err = {0};
    if (hone_rows_read(temporary_file(name, text), &options, arena, keep, warnings, rows, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

static void test_all_row_shapes_give_input_and_output(void **state)
{
    (void)state;
    static const char jsonl[] =
        "{\"input\": \"q\", \"output\": \"a\", \"prompt\": \"no\", \"completion\": \"no\"}\n"
        "{\"prompt\": \"q\", \"completion\": \"a\"}\n"
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}], \"completion\": [{\"role\": \"assistant\", "
        "\"content\": \"a\"}]}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}\n"
        "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"old\"},"
        " {\"role\": \"assistant\", \"content\": \"old\"}, {\"role\": \"user\", \"content\": \"q\"},"
        " {\"role\": \"assistant\", \"content\": \"a\"}]}\n"
        "{\"text\": \"q\", \"label\": \" a\\n\"}\n";
    hone_arena *arena = hone_arena_create();
    json_t *keep = json_array(), *warnings = json_array();
    hone_rows rows;
    read_rows("shapes.jsonl", jsonl, HONE_OUTPUT_LABEL, arena, keep, warnings, &rows);
    assert_int_equal(rows.n, 6);
    for (size_t i = 0; i < rows.n; i++) {
        assert_string_equal(rows.items[i].input, "q");
        assert_string_equal(rows.items[i].output, "a");
        assert_int_equal(rows.items[i].line, i + 1);
        assert_string_equal(rows.items[i].id, rows.items[0].id);
    }
    /* printf 'q\0a' | sha256sum */
    assert_string_equal(rows.items[0].id, "0d317b0da1b1c6fe76b1ad7971201924");
    assert_int_equal(json_array_size(warnings), 3); /* text/label, further messages, white space */
    static const char *const answer_fields[] = {"output", "completion", "completion", "messages", "messages", "label"};
    for (size_t i = 0; i < rows.n; i++)
        assert_string_equal(rows.items[i].answer_field, answer_fields[i]);
    json_array_clear(warnings);
    read_rows("shapes.csv", "id,text,label\n1,q,a\n2,\"q\",7\n", HONE_OUTPUT_TEXT, arena, keep, warnings, &rows);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.items[1].output, "7");
    assert_string_equal(json_string_value(json_object_get(rows.items[1].fields, "id")), "2");
    assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)), "\"text\" is read as the input"));
    read_rows("json.jsonl", "{\"input\": \"q\", \"output\": {\"b\": [1, 2]}}\n", HONE_OUTPUT_JSON, arena, keep,
              warnings, &rows);
    assert_string_equal(rows.items[0].output, "{\"b\":[1,2]}");
    json_array_clear(warnings);
    read_rows("numbers.jsonl", "{\"input\": \"q\", \"output\": 0.1}\n", HONE_OUTPUT_LABEL, arena, keep, warnings,
              &rows);
    assert_string_equal(rows.items[0].output, "0.1");
    assert_int_equal(json_array_size(warnings), 1);
    json_decref(keep);
    json_decref(warnings);
    hone_arena_free(arena);
}

/* As Stanford Alpaca's files and ShareGPT's conversations are, read by hand. */
static void test_alpaca_and_sharegpt_rows_are_task_rows_too(void **state)
{
    (void)state;
    static const char jsonl[] =
        "{\"instruction\": \"Translate.\", \"input\": \"Haus\", \"output\": \"house\"}\n"
        "{\"instruction\": \"Say house.\", \"input\": \"\", \"output\": \"house\"}\n"
        "{\"instruction\": \"Say house.\", \"output\": \"house\"}\n"
        "{\"id\": \"x\", \"conversations\": [{\"from\": \"system\", \"value\": \"s\"}, {\"from\": \"human\", "
        "\"value\": "
        "\"old\"}, {\"from\": \"gpt\", \"value\": \"old\"}, {\"from\": \"human\", \"value\": \"Haus\"}, {\"from\": "
        "\"gpt\", \"value\": \"house\"}]}\n";
    static const char *const inputs[] = {"Translate.\n\nHaus", "Say house.", "Say house.", "Haus"};
    hone_arena *arena = hone_arena_create();
    json_t *keep = json_array(), *warnings = json_array();
    hone_rows rows;
    read_rows("others.jsonl", jsonl, HONE_OUTPUT_TEXT, arena, keep, warnings, &rows);
    assert_int_equal(rows.n, 4);
    for (size_t i = 0; i < rows.n; i++) {
        assert_string_equal(rows.items[i].input, inputs[i]);
        assert_string_equal(rows.items[i].output, "house");
    }
    assert_int_equal(json_array_size(warnings), 2); /* Alpaca; further messages */
    assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)), "3 rows are read as"));
    json_decref(keep);
    json_decref(warnings);
    hone_arena_free(arena);
}

static void test_skipped_empty_rows_are_counted(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl, skip_empty: true}\noutput: {kind: text}\n");
    hone_buffer b = {0};
    put_rows(&b, 0, 30, 3);
    hone_buffer_puts(&b, "{\"input\": \"a\", \"output\": \"\"}\n");
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_task *task = open_good();
    assert_int_equal(task->train.n + task->select_tune.n + task->select_name.n + task->test.n, 30);
    assert_true(warned(task, "1 rows with an empty input or output are left out"));
    hone_task_close(task);
    hone_buffer_clear(&b);
}

/* ---- labels ---- */

static void test_a_label_only_in_the_test_is_an_error_that_names_its_rows(void **state)
{
    (void)state;
    new_task(with_test_yaml);
    write_rows("train.jsonl", 0, 40, 2);
    temporary_file("test.jsonl",
                   "{\"input\": \"a\", \"output\": \"label 1\"}\n{\"input\": \"b\", \"output\": \"refund\"}\n\n"
                   "{\"input\": \"c\", \"output\": \"refund\"}\n");
    assert_refused(HONE_BAD_INPUT,
                   "test.jsonl:2: label \"refund\" stands in the test only (2 rows: line 2, 4), never in ");
    /* Listed on purpose: allowed, and counted. */
    temporary_file(
        "task.yaml",
        "data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label, labels: [label 0, label 1, refund]}\n");
    hone_task *task = open_good();
    assert_int_equal(task->n_labels, 3);
    assert_true(warned(task, "1 of the 3 labels in output.labels have no training row"));
    assert_true(warned(task, "1 label is of the test without a row in train"));
    hone_task_close(task);
}

static void test_an_output_that_is_not_listed_is_an_error_with_a_suggestion(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl}\noutput:\n  kind: label\n  labels: [refund, delivery]\n");
    temporary_file("train.jsonl",
                   "{\"input\": \"a\", \"output\": \"refund\"}\n{\"input\": \"b\", \"output\": \"refnud\"}\n");
    assert_refused(HONE_BAD_INPUT, "train.jsonl:2: the output \"refnud\" is not among output.labels (");
    assert_refused(HONE_BAD_INPUT, "did you mean \"refund\"?");
}

static void test_one_class_only_is_an_error(void **state)
{
    (void)state;
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 40, 1);
    assert_refused(HONE_BAD_INPUT, "every row has the output \"label 0\"; with one label there is nothing to decide");
}

/* ---- splits ---- */

static void test_three_rows_are_too_few_and_nothing_is_written(void **state)
{
    (void)state;
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 3, 2);
    assert_refused(
        HONE_BAD_INPUT,
        "train.jsonl: 3 different rows; at least 10 are needed to set apart train, select and test. Add rows.");
    assert_false(hone_folder_exists(temporary_path(".hone")));
    temporary_file("task.yaml", with_test_yaml);
    write_rows("test.jsonl", 100, 10, 2);
    assert_refused(HONE_BAD_INPUT,
                   "train.jsonl: 3 different rows; at least 8 are needed to set apart train, select. Add rows.");
    temporary_file("task.yaml", "data: {train: train.jsonl, group_by: who}\n");
    write_rows("train.jsonl", 0, 20, 2);
    assert_refused(HONE_BAD_INPUT, "train.jsonl: 3 groups; at least 4 are needed");
}

static void test_ten_rows_are_enough_for_every_split(void **state)
{
    (void)state;
    for (int from = 0; from < 300; from += 10) { /* other contents, other hashes */
        new_task(plain_yaml);
        write_rows("train.jsonl", from, 10, 2);
        hone_task *task = open_good();
        assert_true(task->train.n >= 3 && task->select_tune.n >= 1 && task->select_name.n >= 1 && task->test.n >= 2);
        assert_int_equal(task->train.n + task->select_tune.n + task->select_name.n + task->test.n, 10);
        hone_task_close(task);
    }
}

static void test_shares_are_a_fifth_for_test_and_a_fifth_of_the_rest_for_select(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl}\noutput: {kind: text}\n");
    write_rows("train.jsonl", 0, 10000, 10000);
    hone_task *task = open_good();
    /* Binomial: four standard deviations are 160 of 2,000, 143 of 1,600, 80 of each half. */
    assert_in_range(task->test.n, 1840, 2160);
    assert_in_range(task->select_tune.n + task->select_name.n, 1457, 1743);
    assert_in_range(task->select_tune.n, 700, 900);
    assert_in_range(task->select_name.n, 700, 900);
    hone_task_close(task);
}

static void test_each_label_has_a_minimum_in_train_and_select(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\n");
    write_rows("train.jsonl", 0, 300,
               60); /* five rows a label: without filling up, a third would have none in select */
    write_rows("test.jsonl", 1000, 60, 60);
    hone_task *task = open_good();
    assert_int_equal(task->n_labels, 60);
    for (size_t l = 0; l < task->n_labels; l++) {
        const hone_rows *parts[] = {&task->train, &task->select_tune, &task->select_name};
        int n[3] = {0};
        for (int p = 0; p < 3; p++)
            for (size_t i = 0; i < parts[p]->n; i++)
                n[p] += strcmp(parts[p]->items[i].output, task->labels[l]) == 0;
        assert_true(n[0] >= 2);
        assert_true(n[1] >= 1);
        assert_true(n[2] >= 1);
        assert_int_equal(n[0] + n[1] + n[2], 5);
    }
    hone_task_close(task);
}

static void test_added_rows_and_another_order_move_none(void **state)
{
    (void)state;
    new_task(plain_yaml);
    int before[100];
    char input[64];
    write_rows("train.jsonl", 100, 100, 30);
    hone_task *task = open_good();
    char test_hash[65];
    strcpy(test_hash, task->test_hash);
    for (int i = 0; i < 100; i++) {
        snprintf(input, sizeof input, "question number %d", 100 + i);
        before[i] = split_index(task, input);
        assert_true(before[i] >= 0);
    }
    hone_task_close(task);
    hone_buffer b = {0};
    put_rows(&b, 0, 100, 30); /* new rows first, then the old ones backwards, then more */
    for (int i = 199; i >= 100; i--)
        put_rows(&b, i, 1, 30);
    put_rows(&b, 200, 300, 30);
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_clear(&b);
    task = open_good();
    for (int i = 0; i < 100; i++) {
        snprintf(input, sizeof input, "question number %d", 100 + i);
        assert_int_equal(split_index(task, input), before[i]);
    }
    assert_string_not_equal(task->test_hash, test_hash);
    hone_task_close(task);
    /* The old rows alone again: the same test. */
    write_rows("train.jsonl", 100, 100, 30);
    task = open_good();
    assert_string_equal(task->test_hash, test_hash);
    hone_task_close(task);
}

static void test_rows_of_a_group_and_rows_that_read_alike_stay_together(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl, group_by: who}\noutput: {kind: label}\n");
    write_rows("train.jsonl", 0, 700, 2);
    hone_task *task = open_good();
    const hone_rows *all[] = {&task->train, &task->select_tune, &task->select_name, &task->test};
    int where[100];
    memset(where, -1, sizeof where);
    for (int s = 0; s < 4; s++)
        for (size_t i = 0; i < all[s]->n; i++) {
            int group = atoi(all[s]->items[i].group + strlen("customer "));
            assert_true(where[group] == -1 || where[group] == s);
            where[group] = s;
        }
    hone_task_close(task);

    new_task(plain_yaml);
    hone_buffer b = {0};
    for (int i = 0; i < 100; i++) {
        hone_buffer_printf(&b, "{\"input\": \"Where is order %d?\", \"output\": \"%d\"}\n", i, i % 2);
        hone_buffer_printf(&b, "{\"input\": \"where is  ORDER %d\", \"output\": \"%d\"}\n", i, i % 2);
    }
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_clear(&b);
    task = open_good();
    for (int i = 0; i < 100; i++) {
        char one[64], two[64];
        snprintf(one, sizeof one, "Where is order %d?", i);
        snprintf(two, sizeof two, "where is  ORDER %d", i);
        assert_int_equal(split_index(task, one), split_index(task, two));
    }
    assert_int_equal(task->n_leaks, 0);
    hone_task_close(task);
}

/* Every customer asks one question that every other asks too, and questions of their own. */
static void test_rows_equal_in_different_groups_stand_in_one_part_alone(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++) { /* a test of hone's own, then one given */
        new_task(given ? "data: {train: train.jsonl, test: test.jsonl, group_by: who}\noutput: {kind: label}\n"
                       : "data: {train: train.jsonl, group_by: who}\noutput: {kind: label}\n");
        hone_buffer b = {0};
        for (int i = 0; i < 600; i++)
            hone_buffer_printf(&b, "{\"input\": \"question %d\", \"output\": \"label %d\", \"who\": \"customer %d\"}\n",
                               i % 6 ? i : 0, i % 6 ? i % 2 : 0, i / 6);
        temporary_bytes("train.jsonl", b.data, b.length);
        hone_buffer_clear(&b);
        if (given)
            write_rows("test.jsonl", 5000, 40, 2);
        hone_task *task = open_good();
        const hone_rows *all[] = {&task->train, &task->select_tune, &task->select_name, &task->test};
        int n_parts = 0;
        for (int s = 0; s < 4; s++) {
            bool here = false;
            for (size_t i = 0; i < all[s]->n; i++)
                here = here || !strcmp(all[s]->items[i].input, "question 0");
            n_parts += here;
            assert_true(all[s]->n > 10);
        }
        assert_int_equal(n_parts, 1);
        if (given)
            assert_true(warned(task, "equal to one of another group in another part"));
        hone_task_close(task);
    }
}

static void test_a_given_test_stays_in_file_order_and_a_given_select_is_halved(void **state)
{
    (void)state;
    new_task("data: {train: train.jsonl, test: test.jsonl, select: select.jsonl}\noutput: {kind: label}\n");
    write_rows("train.jsonl", 0, 60, 2);
    write_rows("select.jsonl", 50, 50, 2); /* ten of them are in train too */
    write_rows("test.jsonl", 500, 30, 2);
    hone_task *task = open_good();
    assert_int_equal(task->train.n, 50);
    assert_int_equal(task->select_tune.n + task->select_name.n, 50);
    assert_true(task->select_tune.n >= 10 && task->select_name.n >= 10);
    assert_true(warned(task, "10 rows stand in"));
    assert_int_equal(task->n_leaks, 0);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(task->test.items[i].line, i + 1);
    hone_task_close(task);
}

static const hone_row *row_at_line(const hone_task *task, int64_t line)
{
    const hone_rows *all[] = {&task->train, &task->select_tune, &task->select_name};
    for (int s = 0; s < 3; s++)
        for (size_t i = 0; i < all[s]->n; i++)
            if (all[s]->items[i].line == line)
                return &all[s]->items[i];
    fail_msg("no row at line %lld", (long long)line);
    return NULL;
}

/* Lines 2k + 1 and 2k + 2 differ in their hint alone. */
static void write_hinted_rows(const char *hint)
{
    hone_buffer b = {0};
    for (int i = 0; i < 80; i++)
        hone_buffer_printf(&b, "{\"input\": \"question %d\", \"output\": \"%s\", \"hint\": \"%s %d\"}\n", i / 2,
                           i % 4 < 2 ? "label 0" : "label 1", hint, i % 2);
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_clear(&b);
}

static void test_a_field_that_prompts_may_show_is_part_of_a_rows_content(void **state)
{
    (void)state;
    new_task(with_test_yaml);
    write_rows("test.jsonl", 500, 30, 2);
    write_hinted_rows("see");
    hone_task *task = open_good();
    assert_string_equal(hone_row_content(row_at_line(task, 1)), row_at_line(task, 1)->id);
    assert_string_equal(hone_row_content(row_at_line(task, 2)), row_at_line(task, 1)->id);
    hone_task_close(task);
    new_task(
        "data: {train: train.jsonl, test: test.jsonl}\noutput: {kind: label}\nprompt: {context: \"Hint: {{hint}}\"}\n");
    write_rows("test.jsonl", 500, 30, 2);
    write_hinted_rows("see");
    task = open_good();
    char first[33];
    snprintf(first, sizeof first, "%s", hone_row_content(row_at_line(task, 1)));
    assert_string_equal(row_at_line(task, 1)->id, row_at_line(task, 2)->id);
    assert_string_not_equal(first, hone_row_content(row_at_line(task, 2)));
    hone_task_close(task);
    write_hinted_rows("see");
    task = open_good();
    assert_string_equal(first, hone_row_content(row_at_line(task, 1)));
    hone_task_close(task);
    write_hinted_rows("look");
    task = open_good();
    assert_string_not_equal(first, hone_row_content(row_at_line(task, 1)));
    hone_task_close(task);
}

static void test_hashes_follow_the_content_not_the_order(void **state)
{
    (void)state;
    new_task(with_test_yaml);
    write_rows("test.jsonl", 500, 30, 2);
    write_rows("train.jsonl", 0, 40, 2);
    hone_task *a = open_good();
    hone_buffer b = {0};
    for (int i = 39; i >= 0; i--)
        put_rows(&b, i, 1, 2);
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_reset(&b);
    hone_task *c = open_good();
    assert_string_equal(a->train_hash, c->train_hash);
    assert_string_equal(a->select_hash, c->select_hash);
    assert_string_equal(a->test_hash, c->test_hash);
    assert_string_not_equal(a->train_hash, a->select_hash);
    hone_task_close(c);
    put_rows(&b, 501, 29, 2);
    put_rows(&b, 500, 1, 2);
    temporary_bytes("test.jsonl", b.data, b.length);
    c = open_good();
    assert_string_equal(a->test_hash, c->test_hash); /* shuffled, it is the same test and has been looked at as often */
    hone_task_close(c);
    put_rows(&b, 500, 1, 2);
    temporary_bytes("test.jsonl", b.data, b.length);
    c = open_good();
    assert_string_not_equal(a->test_hash, c->test_hash);
    hone_task_close(c);
    hone_task_close(a);
    hone_buffer_clear(&b);
}

/* ---- leaks ---- */

static void test_rows_of_the_test_are_dropped_from_train_and_near_ones_counted(void **state)
{
    (void)state;
    new_task(with_test_yaml);
    hone_buffer b = {0};
    put_rows(&b, 0, 40, 2);
    put_rows(&b, 500, 3, 2); /* lines 41 to 43: equal */
    hone_buffer_puts(&b,
                     "{\"input\": \"Question  Number 510!\", \"output\": \"label 0\"}\n"); /* line 44: reads alike */
    hone_buffer_puts(&b,
                     "{\"input\": \"question number 511\", \"output\": \"label 0\"}\n"); /* line 45: another output */
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_clear(&b);
    write_rows("test.jsonl", 500, 30, 2);
    hone_task *task = open_good();
    assert_int_equal(task->n_dropped_duplicates, 3);
    assert_int_equal(task->n_near_duplicates, 2);
    assert_int_equal(task->n_leaks, 5);
    assert_int_equal(task->leaks[0].line, 41);
    assert_int_equal(task->leaks[0].test_line, 1);
    assert_true(task->leaks[0].exact);
    assert_int_equal(task->leaks[3].line, 44);
    assert_int_equal(task->leaks[3].test_line, 11);
    assert_false(task->leaks[3].exact);
    assert_int_equal(task->train.n + task->select_tune.n + task->select_name.n, 42);
    assert_int_equal(task->test.n, 30);
    assert_true(warned(task, "3 rows are equal to a test row"));
    assert_true(warned(task, "2 rows read like a test row"));
    hone_task_close(task);
}

static void test_folding_ignores_case_space_and_punctuation_only(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"Where is it?", "  where\tis it", true},
        {"can't", "CANT", true},
        {"Stra\xC3\x9F"
         "e",
         "STRASSE", true},                        /* full case folding */
        {"caf\xC3\xA9", "cafe\xCC\x81", true},    /* composed and decomposed */
        {"\xEF\xBC\xA1\xEF\xBC\xA2", "ab", true}, /* full-width letters, by NFKC */
        {"a\xE2\x80\x94"
         "b",
         "a-b", true}, /* em dash */
        {"1.5", "15", false},
        {"1.5", "1,5", true},
        {"\xE2\x82\xAC"
         "5",
         "$5", false},         /* symbols are content */
        {"???", "!!!", false}, /* nothing but punctuation counts as written */
        {"caf\xC3\xA9", "cafe", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char a[33], b[33];
        assert_int_equal(hone_fold_key(cases[i].a, a, NULL), HONE_OK);
        assert_int_equal(hone_fold_key(cases[i].b, b, NULL), HONE_OK);
        if ((strcmp(a, b) == 0) != cases[i].equal)
            fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
    }
}

/* ---- the folder ---- */

static void test_a_folder_that_cannot_be_written_is_an_error_with_the_fix(void **state)
{
    (void)state;
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 40, 2);
    chmod(temporary_folder, 0555);
    pid_t child = fork();
    if (child == 0) { /* root may write everywhere, so become someone else */
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(77);
        hone_task *task;
        hone_error err = {0};
        hone_status status = hone_task_open(temporary_folder, &task, &err);
        _exit(status == HONE_IO && strstr(err.message, "must be writable") && strstr(err.message, ".hone") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    chmod(temporary_folder, 0755);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: running as root, and not allowed to become another user\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_a_second_hone_on_the_task_is_turned_away(void **state)
{
    (void)state;
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 40, 2);
    hone_task *task = open_good(), *again = open_good(); /* looking is allowed */
    hone_lock lock, second;
    hone_error err = {0};
    assert_int_equal(hone_task_lock(task, &lock, &err), HONE_OK);
    assert_int_equal(hone_task_lock(again, &second, &err), HONE_BUSY);
    assert_says(err, ".hone/lock: another hone (process ");
    hone_lock_release(&lock);
    assert_int_equal(hone_task_lock(again, &second, &err), HONE_OK);
    hone_lock_release(&second);
    hone_task_close(task);
    hone_task_close(again);
}

static void test_many_processes_agree_on_the_splits(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    new_task(plain_yaml);
    write_rows("train.jsonl", 0, 300, 30);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    for (int p = 0; p < PROCESSES; p++)
        if (fork() == 0) {
            hone_task *task;
            char hash[65] = "failed";
            if (hone_task_open(temporary_folder, &task, NULL) == HONE_OK)
                memcpy(hash, task->train_hash, sizeof hash);
            _exit(write(pipes[1], hash, sizeof hash) != sizeof hash);
        }
    hone_task *task;
    char hashes[PROCESSES][65];
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_equal(read(pipes[0], hashes[p], 65), 65);
        wait(NULL);
    }
    task = open_good();
    for (int p = 0; p < PROCESSES; p++)
        assert_string_equal(hashes[p], task->train_hash);
    hone_task_close(task);
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- check, init and the example ---- */

static void test_check_finds_rare_labels_contradictions_and_repeats(void **state)
{
    (void)state;
    new_task(with_test_yaml);
    hone_buffer b = {0};
    put_rows(&b, 0, 100, 2);
    hone_buffer_puts(
        &b, "{\"input\": \"Question number 1!\", \"output\": \"label 0\"}\n"); /* line 101, and line 2 says label 1 */
    put_rows(&b, 5, 1, 2);                                                     /* line 102 repeats line 6 */
    hone_buffer_puts(&b, "{\"input\": \"rare\", \"output\": \"Label 1\"}\n");
    temporary_bytes("train.jsonl", b.data, b.length);
    hone_buffer_clear(&b);
    write_rows("test.jsonl", 500, 1000, 2);
    hone_task *task = open_good();
    hone_ledger *ledger;
    hone_task_check check;
    hone_error err = {0};
    assert_int_equal(hone_ledger_open(hone_task_ledger_path(task), &ledger, &err), HONE_OK);
    assert_int_equal(hone_task_check_run(task, ledger, NULL, &check, &err), HONE_OK);
    assert_string_equal(check.labels[0].label, "Label 1");
    assert_int_equal(check.labels[0].train, 1);
    assert_int_equal(check.n_repeated, 1);
    assert_int_equal(check.n_contradictions, 1);
    assert_int_equal(check.contradictions[0].a->line, 2);
    assert_int_equal(check.contradictions[0].b->line, 101);
    assert_string_equal(check.length_unit, "characters");
    assert_int_equal(check.input.longest, strlen("question number 1000"));
    assert_int_equal(check.input.line, 501);
    /* EVIDENCE: 80 % power, 20 % discordant: n = 1,000 detects 4.0 points. */
    assert_true(fabs(check.detectable_difference - 0.040) < 0.001);
    assert_int_equal(check.n_openings, 0);
    hone_ledger_close(ledger);
    hone_task_close(task);
}

static void test_init_guesses_columns_and_never_overwrites(void **state)
{
    (void)state;
    temporary_end(NULL);
    begin(NULL);
    hone_buffer b = {0};
    hone_buffer_puts(&b, "ticket,Review,stars: given\n");
    for (int i = 0; i < 40; i++)
        hone_buffer_printf(&b, "%d,\"a long review, number %d\",%s\n", i, i, i % 2 ? "good" : "bad");
    const char *from = temporary_bytes("data.csv", b.data, b.length);
    hone_buffer_clear(&b);
    hone_starter starter;
    hone_error err = {0};
    const char *folder = temporary_path("new/task");
    assert_int_equal(hone_starter_write(folder, from, &starter, &err), HONE_OK);
    assert_non_null(strstr(starter.yaml.data, "  input: Review"));
    assert_non_null(strstr(starter.yaml.data, "  output: \"stars: given\""));
    assert_non_null(strstr(starter.yaml.data, "kind: label"));
    hone_starter_clear(&starter);
    hone_task *task;
    if (hone_task_open(folder, &task, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(task->n_labels, 2);
    hone_task_close(task);
    assert_int_equal(hone_starter_write(folder, from, &starter, &err), HONE_BAD_INPUT);
    assert_says(err, "task.yaml: exists already and is not overwritten");
    hone_starter_clear(&starter);
    /* Someone's train.csv in the folder is not overwritten by the copy either. */
    assert_int_equal(mkdir(temporary_path("other"), 0777), 0);
    temporary_file("other/train.csv", "input,output\n");
    assert_int_equal(hone_starter_write(temporary_path("other"), from, &starter, &err), HONE_BAD_INPUT);
    assert_says(err, "train.csv: exists already");
    hone_starter_clear(&starter);
}

static void test_init_in_an_empty_folder_writes_an_example_that_opens(void **state)
{
    (void)state;
    temporary_end(NULL);
    begin(NULL);
    hone_starter starter;
    hone_error err = {0};
    assert_int_equal(hone_starter_write(temporary_folder, NULL, &starter, &err), HONE_OK);
    hone_starter_clear(&starter);
    hone_task *task = open_good();
    assert_int_equal(task->n_labels, 3);
    hone_task_close(task);
}

static void test_the_example_holds_the_rows_it_promises(void **state)
{
    (void)state;
    hone_arena *arena = hone_arena_create();
    json_t *keep = json_array(), *warnings = json_array();
    hone_row_options options = {.kind = HONE_OUTPUT_LABEL};
    hone_rows train, test, peers;
    hone_error err = {0};
    assert_int_equal(hone_rows_read(HONE_SOURCE_DIR "/examples/bank_intents/train.jsonl", &options, arena, keep,
                                    warnings, &train, &err),
                     HONE_OK);
    assert_int_equal(hone_rows_read(HONE_SOURCE_DIR "/examples/bank_intents/test.jsonl", &options, arena, keep,
                                    warnings, &test, &err),
                     HONE_OK);
    assert_int_equal(train.n, 2000);
    assert_int_equal(test.n, 1000);
    if (hone_file_exists(HONE_SHARED_DIR "/peers/bank_intents/test500.jsonl")) {
        assert_int_equal(hone_rows_read(HONE_SHARED_DIR "/peers/bank_intents/test500.jsonl", &options, arena, keep,
                                        warnings, &peers, &err),
                         HONE_OK);
        assert_int_equal(peers.n, 500);
        for (size_t i = 0; i < peers.n; i++)
            assert_string_equal(peers.items[i].id, test.items[i].id);
    }
    assert_int_equal(json_array_size(warnings), 0);
    json_decref(keep);
    json_decref(warnings);
    hone_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_the_task_file_is_read),
        cmocka_unit_test(test_what_is_not_given_has_its_default),
        cmocka_unit_test(test_wrong_settings_are_named_with_line_and_fix),
        cmocka_unit_test(test_missing_files_are_named),
        cmocka_unit_test(test_bad_rows_are_named_with_line_and_fix),
        cmocka_unit_test(test_all_row_shapes_give_input_and_output),
        cmocka_unit_test(test_alpaca_and_sharegpt_rows_are_task_rows_too),
        cmocka_unit_test(test_skipped_empty_rows_are_counted),
        cmocka_unit_test(test_a_label_only_in_the_test_is_an_error_that_names_its_rows),
        cmocka_unit_test(test_an_output_that_is_not_listed_is_an_error_with_a_suggestion),
        cmocka_unit_test(test_one_class_only_is_an_error),
        cmocka_unit_test(test_three_rows_are_too_few_and_nothing_is_written),
        cmocka_unit_test(test_ten_rows_are_enough_for_every_split),
        cmocka_unit_test(test_shares_are_a_fifth_for_test_and_a_fifth_of_the_rest_for_select),
        cmocka_unit_test(test_each_label_has_a_minimum_in_train_and_select),
        cmocka_unit_test(test_added_rows_and_another_order_move_none),
        cmocka_unit_test(test_rows_of_a_group_and_rows_that_read_alike_stay_together),
        cmocka_unit_test(test_rows_equal_in_different_groups_stand_in_one_part_alone),
        cmocka_unit_test(test_a_given_test_stays_in_file_order_and_a_given_select_is_halved),
        cmocka_unit_test(test_a_field_that_prompts_may_show_is_part_of_a_rows_content),
        cmocka_unit_test(test_hashes_follow_the_content_not_the_order),
        cmocka_unit_test(test_rows_of_the_test_are_dropped_from_train_and_near_ones_counted),
        cmocka_unit_test(test_folding_ignores_case_space_and_punctuation_only),
        cmocka_unit_test(test_a_folder_that_cannot_be_written_is_an_error_with_the_fix),
        cmocka_unit_test(test_a_second_hone_on_the_task_is_turned_away),
        cmocka_unit_test(test_many_processes_agree_on_the_splits),
        cmocka_unit_test(test_check_finds_rare_labels_contradictions_and_repeats),
        cmocka_unit_test(test_init_guesses_columns_and_never_overwrites),
        cmocka_unit_test(test_init_in_an_empty_folder_writes_an_example_that_opens),
        cmocka_unit_test(test_the_example_holds_the_rows_it_promises),
    };
    return cmocka_run_group_tests(tests, begin, temporary_end);
}
