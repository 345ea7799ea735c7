/* starter.c - guesses columns and the kind of output from the rows, and writes them down with comments for a person to
 * correct. */
#include "task/starter.h"

#include "base/arena.h"
#include "base/file.h"
#include "format/csv.h"
#include "format/jsonl.h"
#include "metric/metric.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_FIELDS = 64, MAX_LABELS = 500, LABEL_CHARACTERS = 60, ROWS_PER_LABEL = 3 };

typedef struct guess {
    const char *input, *output; /* NULL: the usual names, nothing to write */
    const char *kind;           /* "label" */
    size_t n_rows, n_outputs;   /* different outputs */
} guess;

static const char example_rows[] =
    "{\"input\": \"The parcel came two days late.\", \"output\": \"delivery\"}\n"
    "{\"input\": \"Where is my order?\", \"output\": \"delivery\"}\n"
    "{\"input\": \"The courier left it at the wrong door.\", \"output\": \"delivery\"}\n"
    "{\"input\": \"When will it be shipped?\", \"output\": \"delivery\"}\n"
    "{\"input\": \"I was charged twice.\", \"output\": \"payment\"}\n"
    "{\"input\": \"My card was refused at the checkout.\", \"output\": \"payment\"}\n"
    "{\"input\": \"Can I pay by invoice?\", \"output\": \"payment\"}\n"
    "{\"input\": \"The refund has not arrived on my account.\", \"output\": \"payment\"}\n"
    "{\"input\": \"The lid is broken.\", \"output\": \"quality\"}\n"
    "{\"input\": \"The colour is not the one in the picture.\", \"output\": \"quality\"}\n"
    "{\"input\": \"It stopped working after a week.\", \"output\": \"quality\"}\n"
    "{\"input\": \"One screw is missing from the box.\", \"output\": \"quality\"}\n";

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcasecmp(name + n - m, ending) == 0;
}

static bool is_data(const char *name)
{
    return has_ending(name, ".jsonl") || has_ending(name, ".csv");
}

/* All rows as a JSON array of objects (new reference). */
static hone_status read_objects(const char *path, json_t **out, hone_error *err)
{
    hone_status status = HONE_OK;
    hone_arena *arena = NULL;
    hone_jsonl *file = NULL;
    json_t *rows = json_array(), *row = NULL;
    int64_t line;
    *out = rows;
    if (!rows)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    if (has_ending(path, ".csv")) {
        hone_csv csv = {0};
        arena = hone_arena_create();
        status =
            arena ? hone_csv_read(path, arena, &csv, err) : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
        for (size_t i = 0; status == HONE_OK && i < csv.n_rows; i++) {
            row = json_object();
            for (size_t c = 0; c < csv.n_columns; c++)
                json_object_set_new(row, csv.header[c], json_string(csv.rows[i].fields[c]));
            json_array_append_new(rows, row);
        }
        hone_arena_free(arena);
        return status;
    }
    status = hone_jsonl_open(path, &file, err);
    while (status == HONE_OK) {
        status = hone_jsonl_next(file, &row, &line, err);
        if (status != HONE_OK || !row)
            break;
        json_array_append_new(rows, row);
    }
    hone_jsonl_close(file);
    return status;
}

static bool has_both(const json_t *row, const char *a, const char *b)
{
    return json_object_get(row, a) && json_object_get(row, b);
}

/* The first field of the row with a usual name, in the order of the names; NULL: none. */
static const char *usual_field(json_t *row, const char *const *names)
{
    for (; *names; names++) {
        const char *key;
        json_t *value;
        json_object_foreach(row, key, value)
        {
            if (strcasecmp(key, *names) == 0 && !json_is_object(value) && !json_is_array(value))
                return key;
        }
    }
    return NULL;
}

/* The text field with the greatest mean length, `but` excepted; NULL: none. */
static const char *longest_field(json_t *rows, const char *but)
{
    const char *key, *best = NULL;
    json_t *first, *row;
    size_t i, most = 0;
    json_object_foreach(json_array_get(rows, 0), key, first)
    {
        size_t total = 0;
        json_array_foreach(rows, i, row) total += json_string_length(json_object_get(row, key));
        if (json_is_string(first) && (!but || strcmp(key, but) != 0) && (!best || total > most)) {
            best = key;
            most = total;
        }
    }
    return best;
}

static size_t count_different(json_t *rows, const char *field)
{
    json_t *seen = json_object(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        char *text = json_dumps(json_object_get(row, field), JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        if (text)
            json_object_set_new(seen, text, json_true());
        free(text);
    }
    size_t n = json_object_size(seen);
    json_decref(seen);
    return n;
}

/* The field that looks most like labels: the fewest different values, more than one; NULL: none. */
static const char *label_field(json_t *rows, const char *but)
{
    const char *key, *best = NULL;
    json_t *value;
    size_t fewest = 0;
    json_object_foreach(json_array_get(rows, 0), key, value)
    {
        if (strcmp(key, but) == 0 || json_is_object(value) || json_is_array(value))
            continue;
        size_t n = count_different(rows, key);
        if (n > 1 && (!best || n < fewest)) {
            best = key;
            fewest = n;
        }
    }
    return best;
}

static const char *guess_kind(json_t *rows, const char *output, size_t n_different)
{
    size_t i, n = json_array_size(rows);
    bool numbers = true, objects = true;
    size_t longest = 0;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const json_t *value = json_object_get(row, output);
        const char *text = json_string_value(value);
        char *end = NULL;
        if (text) {
            (void)strtod(text, &end);
            numbers = numbers && end != text && *end == 0;
            longest = strlen(text) > longest ? strlen(text) : longest;
            objects = objects && text[strspn(text, " \t\r\n")] == '{';
        } else {
            numbers = numbers && json_is_number(value);
            objects = objects && json_is_object(value);
        }
    }
    if (objects)
        return "json";
    if (n_different >= 2 && n_different <= MAX_LABELS && n_different * ROWS_PER_LABEL <= n &&
        longest <= LABEL_CHARACTERS)
        return "label";
    return numbers ? "number" : "text";
}

static hone_status guess_task(const char *path, json_t *rows, guess *out, hone_error *err)
{
    static const char *const inputs[] = {"input",     "text",    "prompt",  "question", "message", "query",
                                         "utterance", "review",  "comment", "title",    "content", "sentence",
                                         "document",  "request", "body",    NULL};
    static const char *const outputs[] = {"output", "label",     "completion", "answer", "intent", "category", "class",
                                          "target", "sentiment", "response",   "reply",  "tag",    "topic",    NULL};
    json_t *first = json_array_get(rows, 0);
    out->n_rows = json_array_size(rows);
    if (!first)
        return hone_fail(err, HONE_BAD_INPUT, "%s: holds no rows; a row is {\"input\": \"...\", \"output\": \"...\"}",
                         path);
    if (json_is_array(json_object_get(first, "messages"))) {
        out->kind = "text";
        return HONE_OK;
    }
    bool usual = has_both(first, "input", "output") || has_both(first, "prompt", "completion") ||
                 has_both(first, "text", "label");
    const char *output = usual_field(first, outputs), *input = usual_field(first, inputs);
    if (!input || (output && strcmp(input, output) == 0))
        input = longest_field(rows, output);
    if (!output && input)
        output = label_field(rows, input);
    if (usual) {
        input = json_object_get(first, "output") && json_object_get(first, "input") ? "input"
                : has_both(first, "prompt", "completion")                           ? "prompt"
                                                                                    : "text";
        output = strcmp(input, "input") == 0 ? "output" : strcmp(input, "prompt") == 0 ? "completion" : "label";
    }
    if (!input || !output)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%s: no two columns look like a question and its answer; name them input and output", path);
    out->n_outputs = count_different(rows, output);
    out->kind = guess_kind(rows, output, out->n_outputs);
    out->input = usual ? NULL : input;
    out->output = usual ? NULL : output;
    return HONE_OK;
}

/* A YAML scalar: as it is where that is plain, else in double quotes (JSON's quoting is valid YAML). */
static void put_yaml(hone_buffer *b, const char *text)
{
    bool plain = isalpha((unsigned char)text[0]) && strcmp(text, "null") != 0;
    for (const char *p = text; *p && plain; p++)
        plain = isalnum((unsigned char)*p) || strchr("_./-", *p);
    json_t *value = plain ? NULL : json_string(text);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    hone_buffer_puts(b, quoted ? quoted : text);
    free(quoted);
    json_decref(value);
}

static const char *default_instruction(const char *kind)
{
    return strcmp(kind, "label") == 0    ? "Reply with the label of the message."
           : strcmp(kind, "number") == 0 ? "Reply with the number."
           : strcmp(kind, "json") == 0   ? "Reply with the JSON object."
                                         : "Reply to the message.";
}

static void write_yaml(hone_buffer *b, const char *name, const char *train, const char *test, const guess *g)
{
    hone_buffer_puts(b, "# What hone should compare. `hone check` looks it over, `hone compare` runs it.\nname: ");
    put_yaml(b, name);
    hone_buffer_puts(b, "\nmodel: smollm2-135m\n\ndata:\n  train: ");
    put_yaml(b, train);
    if (test) {
        hone_buffer_puts(b, "\n  test: ");
        put_yaml(b, test);
        hone_buffer_puts(b, "              # locked: read once, at the end of a comparison\n");
    } else
        hone_buffer_puts(b, "\n  # test: test.jsonl              # a fifth of the rows, chosen by their content, "
                            "unless you have a file\n");
    if (g->input) {
        hone_buffer_puts(b, "  input: ");
        put_yaml(b, g->input);
        hone_buffer_puts(b, "                  # guessed from the data: what is asked\n  output: ");
        put_yaml(b, g->output);
        hone_buffer_puts(b, "                 # guessed from the data: what should be answered\n");
    }
    hone_buffer_puts(
        b, "  # group_by: customer            # a field whose rows must stay on one side of a split\n\noutput:\n");
    hone_buffer_printf(b, "  kind: %-24s # label, text, json, number, choice or sql\n", g->kind);
    const char *other = hone_metric_word(g->kind, 1);
    if (other)
        hone_buffer_printf(b, "metric: %-22s # or %s\n", hone_metric_word(g->kind, 0), other);
    else
        hone_buffer_printf(b, "metric: %s\n", hone_metric_word(g->kind, 0));
    hone_buffer_puts(b, "\nprompt:\n  role: You are a helpful assistant.\n  instruction: ");
    hone_buffer_puts(b, default_instruction(g->kind));
    hone_buffer_puts(b, "\n\n"
                        "# What it will be used for; each line changes the verdict, none is needed.\n"
                        "# use:\n"
                        "#   requests_per_month: 200k\n"
                        "#   min_score: 0.80              # below this it is of no use\n"
                        "#   latency_p95_ms: 300\n"
                        "#   error_cost_usd: 0.40         # of one wrong answer\n"
                        "#   changes_per_year: 4          # how often labels or rules change\n"
                        "# budget: {time: 30m, memory: 4GiB}\n"
                        "# train: {seeds: 3}                # tune so often, to know how far luck goes\n"
                        "# prices: {compute_hour_usd: 0.10, label_usd: 0.08, engineer_hour_usd: 80}\n"
                        "# work: {prompt_hours: 4, tuning_hours: 4, baseline_hours: 2, deployment_hours: 2, "
                        "change_hours: 1}\n");
}

/* The folder's own data file (new string): train.jsonl, train.csv, or the only one besides a test file; NULL: none. */
static hone_status find_own_data(const char *folder, char **train, hone_error *err)
{
    char *found = NULL;
    int n = 0;
    hone_status status = HONE_OK;
    *train = NULL;
    DIR *listing = opendir(folder);
    for (struct dirent *e; listing && (e = readdir(listing)) != NULL;) {
        if (!is_data(e->d_name) || strncasecmp(e->d_name, "test.", 5) == 0)
            continue;
        bool named = strcasecmp(e->d_name, "train.jsonl") == 0 || strcasecmp(e->d_name, "train.csv") == 0;
        n = named ? -1000 : n + 1;
        if (named || n == 1) {
            free(found);
            found = strdup(e->d_name);
        }
    }
    if (listing)
        closedir(listing);
    if (n > 1) {
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: holds %d data files; say which are the examples: hone init %s --from FILE", folder, n,
                           folder);
        free(found);
        found = NULL;
    }
    *train = found;
    return status;
}

/* Refuses to touch what is there. */
static hone_status write_new(const char *folder, const char *name, const void *data, size_t size, hone_starter *out,
                             hone_error *err)
{
    char *path = hone_path_join(folder, name);
    hone_status status = HONE_OK;
    if (!path)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (hone_file_size_bytes(path) >= 0)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: exists already and is not overwritten; move it away or choose another folder", path);
    else
        status = hone_file_write_atomic(path, data, size, err);
    if (status == HONE_OK)
        hone_buffer_printf(&out->notes, "wrote %s\n", path);
    free(path);
    return status;
}

/* Copies `from` into the folder as train.<ending> unless it lies there; *name is the name inside the folder (new
 * string). */
static hone_status bring_data(const char *folder, const char *from, hone_starter *out, char **name, hone_error *err)
{
    hone_buffer data = {0};
    const char *slash = strrchr(from, '/'), *base = slash ? slash + 1 : from;
    *name = NULL;
    char *there = hone_path_join(folder, base), *a = realpath(from, NULL), *b = there ? realpath(there, NULL) : NULL;
    bool inside = a && b && strcmp(a, b) == 0;
    free(there);
    free(a);
    free(b);
    *name = strdup(inside ? base : has_ending(from, ".csv") ? "train.csv" : "train.jsonl");
    if (!*name)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (inside)
        return HONE_OK;
    hone_status status = hone_file_read(from, HONE_JSONL_MAX_FILE_BYTES, &data, err);
    if (status == HONE_OK)
        status = write_new(folder, *name, data.data ? data.data : "", data.length, out, err);
    hone_buffer_clear(&data);
    return status;
}

static void note_guess(hone_starter *out, const guess *g)
{
    hone_buffer_printf(&out->notes, "%zu rows, output kind %s", g->n_rows, g->kind);
    if (strcmp(g->kind, "label") == 0)
        hone_buffer_printf(&out->notes, " with %zu labels", g->n_outputs);
    if (g->input)
        hone_buffer_printf(&out->notes, "; input is read from \"%s\", output from \"%s\"", g->input, g->output);
    hone_buffer_puts(&out->notes, "\n");
}

hone_status hone_starter_write(const char *folder, const char *from, hone_starter *out, hone_error *err)
{
    char *train = NULL, *path = NULL, *full = NULL, *yaml = hone_path_join(folder, "task.yaml");
    json_t *rows = NULL;
    guess g = {0};
    memset(out, 0, sizeof *out);
    hone_status status = yaml ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && hone_file_size_bytes(yaml) >= 0)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: exists already and is not overwritten; edit it, or choose another folder", yaml);
    if (status == HONE_OK && from && !is_data(from))
        status =
            hone_fail(err, HONE_BAD_INPUT, "%s: examples are read from .jsonl or .csv files; convert it first", from);
    if (status == HONE_OK && from) {
        status = read_objects(from, &rows, err); /* look before a folder is made */
        if (status == HONE_OK)
            status = guess_task(from, rows, &g, err);
    }
    if (status == HONE_OK)
        status = hone_folder_create(folder, err);
    if (status == HONE_OK)
        status = from ? bring_data(folder, from, out, &train, err) : find_own_data(folder, &train, err);
    if (status == HONE_OK && !train) {
        train = strdup("train.jsonl");
        status = train ? write_new(folder, train, example_rows, sizeof example_rows - 1, out, err)
                       : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    if (status == HONE_OK && !from) {
        path = hone_path_join(folder, train);
        status = path ? read_objects(path, &rows, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
        if (status == HONE_OK)
            status = guess_task(path, rows, &g, err);
    }
    if (status != HONE_OK)
        goto done;
    full = realpath(folder, NULL);
    const char *slash = full ? strrchr(full, '/') : NULL;
    const char *test = NULL;
    static const char *const tests[] = {"test.jsonl", "test.csv"};
    for (int i = 0; i < 2 && !test; i++) {
        char *candidate = hone_path_join(folder, tests[i]);
        if (candidate && hone_file_exists(candidate))
            test = tests[i];
        free(candidate);
    }
    write_yaml(&out->yaml, slash && slash[1] ? slash + 1 : "task", train, test, &g);
    if (out->yaml.failed) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    status = write_new(folder, "task.yaml", out->yaml.data, out->yaml.length, out, err);
    if (status == HONE_OK)
        note_guess(out, &g);
done:
    json_decref(rows);
    free(train);
    free(path);
    free(full);
    free(yaml);
    return status;
}

void hone_starter_clear(hone_starter *starter)
{
    hone_buffer_clear(&starter->yaml);
    hone_buffer_clear(&starter->notes);
}
