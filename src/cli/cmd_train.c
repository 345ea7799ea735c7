/* cmd_train.c - `hone train`: an adapter from a file of examples. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "cli/progress_bar.h"
#include "format/jsonl.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SELECT_ROWS = 200, LEAST_SELECT_ROWS = 8 };

typedef struct settings {
    const char *model, *folder, *system, *schedule;
    bool no_select, json;
    int64_t rank, batch, seed, threads;
    double alpha, rate, epochs, max_seconds;
} settings;

typedef struct example {
    hone_token_list ids; /* prompt, then completion */
    size_t n_prompt;
    char *answer;
} example;

typedef struct data {
    example *items;
    size_t n, n_train; /* the rows after n_train are held out */
    size_t longest_answer_tokens;
} data;

/* {"input","output"}, {"prompt","completion"} or {"messages"} whose last one is the assistant's. */
static hone_status row_to_messages(const json_t *row, const char *system, json_t **messages, const char **answer,
                                   hone_error *err)
{
    static const char *const shapes[][2] = {{"input", "output"}, {"prompt", "completion"}};
    *messages = json_array();
    *answer = NULL;
    for (size_t i = 0; i < 2; i++) {
        const char *input = json_string_value(json_object_get(row, shapes[i][0])),
                   *output = json_string_value(json_object_get(row, shapes[i][1]));
        if (!input || !output)
            continue;
        if (system)
            json_array_append_new(*messages, json_pack("{s:s,s:s}", "role", "system", "content", system));
        json_array_append_new(*messages, json_pack("{s:s,s:s}", "role", "user", "content", input));
        *answer = output;
    }
    json_t *given = json_object_get(row, "messages");
    size_t n = json_array_size(given);
    if (!*answer && n > 1) {
        json_t *last = json_array_get(given, n - 1);
        const char *role = json_string_value(json_object_get(last, "role"));
        *answer = role && strcmp(role, "assistant") == 0 ? json_string_value(json_object_get(last, "content")) : NULL;
        for (size_t i = 0; i + 1 < n; i++)
            json_array_append(*messages, json_array_get(given, i));
    }
    if (!*answer)
        return hone_fail(err, HONE_BAD_INPUT,
                         "expected \"input\" and \"output\", \"prompt\" and \"completion\", or \"messages\" that end "
                         "with the assistant's");
    if (!**answer)
        return hone_fail(err, HONE_BAD_INPUT,
                         "the answer is empty; a tuned model would learn to say nothing. Remove the row");
    return HONE_OK;
}

static hone_status add_row(hone_engine *engine, const settings *o, const json_t *row, data *d, hone_error *err)
{
    json_t *messages;
    const char *answer;
    hone_token_list completion = {0};
    example *e = &d->items[d->n];
    *e = (example){0};
    hone_status status = row_to_messages(row, o->system, &messages, &answer, err);
    if (status == HONE_OK)
        status = hone_engine_encode_pair(engine, messages, answer, &e->ids, &completion, err);
    e->n_prompt = e->ids.n;
    for (size_t i = 0; i < completion.n && status == HONE_OK; i++)
        status = hone_token_list_push(&e->ids, completion.data[i], err);
    if (status == HONE_OK && (int64_t)e->ids.n > hone_engine_context_tokens(engine))
        status = hone_fail(err, HONE_BAD_INPUT, "%zu tokens; the model's context is %lld. Shorten or remove the row",
                           e->ids.n, (long long)hone_engine_context_tokens(engine));
    if (status == HONE_OK && !(e->answer = strdup(answer)))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (completion.n > d->longest_answer_tokens)
        d->longest_answer_tokens = completion.n;
    hone_token_list_clear(&completion);
    json_decref(messages);
    d->n++;
    return status;
}

static hone_status read_data(hone_engine *engine, const settings *o, const char *path, data *d, hone_error *err)
{
    hone_jsonl *file;
    hone_status status = hone_jsonl_open(path, &file, err);
    if (status != HONE_OK)
        return status;
    size_t capacity = 0;
    json_t *row;
    int64_t line;
    while ((status = hone_jsonl_next(file, &row, &line, err)) == HONE_OK && row) {
        if (d->n == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            example *grown = realloc(d->items, capacity * sizeof *grown);
            if (!grown) {
                json_decref(row);
                status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
                break;
            }
            d->items = grown;
        }
        status = add_row(engine, o, row, d, err);
        json_decref(row);
        if (status != HONE_OK) {
            status = hone_fail_within(err, status, "%s:%lld", path, (long long)line);
            break;
        }
    }
    hone_jsonl_close(file);
    if (status == HONE_OK && d->n == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "%s: no rows", path);
    return status;
}

/* Holds out a tenth of the rows (8 to 200) for choosing the best checkpoint, drawn by the seed. */
static hone_status hold_out(const settings *o, data *d, hone_error *err)
{
    d->n_train = d->n;
    size_t n = d->n / 10 > MOST_SELECT_ROWS ? MOST_SELECT_ROWS : d->n / 10;
    n = n < LEAST_SELECT_ROWS ? LEAST_SELECT_ROWS : n;
    if (o->no_select)
        return HONE_OK;
    if (d->n < 2 * n)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%zu rows are too few to hold some out for choosing the best checkpoint; add rows (%zu are "
                         "enough) or use --no-select",
                         d->n, 2 * n);
    size_t *order = calloc(d->n, sizeof *order);
    example *moved = calloc(d->n, sizeof *moved);
    if (!order || !moved) {
        free(order);
        free(moved);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    hone_rng_permutation((hone_rng_key){(uint64_t)o->seed, HONE_RNG_SUBSET, 0}, d->n, order);
    for (size_t i = 0; i < d->n; i++)
        moved[i] = d->items[order[i]];
    free(order);
    free(d->items);
    d->items = moved;
    d->n_train = d->n - n;
    return HONE_OK;
}

typedef struct scorer {
    hone_engine *engine;
    const data *data;
} scorer;

/* Share of held-out rows whose greedy answer is exactly the reference: generated, not teacher-forced. */
static hone_status score(void *context, const hone_adapter *adapter, double *out, hone_error *err)
{
    const scorer *s = context;
    const data *d = s->data;
    size_t n = d->n - d->n_train, right = 0;
    hone_request *requests = calloc(n, sizeof *requests);
    hone_response *responses = calloc(n, sizeof *responses);
    hone_status status = requests && responses ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const example *e = &d->items[d->n_train + i];
        requests[i] = (hone_request){.ids = e->ids.data,
                                     .n_ids = e->n_prompt,
                                     .adapter = adapter,
                                     .max_new_tokens = (int)d->longest_answer_tokens};
    }
    if (status == HONE_OK)
        status = hone_engine_run(s->engine, requests, n, responses, NULL, err);
    for (size_t i = 0; i < n && responses; i++) {
        right += responses[i].text && strcmp(responses[i].text, d->items[d->n_train + i].answer) == 0;
        hone_response_clear(&responses[i]);
    }
    *out = (double)right / (double)n;
    free(requests);
    free(responses);
    return status;
}

static void print_result(const settings *o, const data *d, const char *folder, const hone_train_result *r)
{
    if (o->json) {
        json_t *json = json_pack(
            "{s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:s, s:b, s:I, s:I, s:f}", "steps", (json_int_t)r->steps, "tokens",
            (json_int_t)r->tokens, "seconds", r->seconds, "tokens_per_second", r->tokens_per_second, "peak_rss_bytes",
            (json_int_t)hone_peak_resident_bytes(), "final_loss", r->final_loss, "best_step", (json_int_t)r->best_step,
            "adapter", folder, "resumed", r->resumed, "train_rows", (json_int_t)d->n_train, "select_rows",
            (json_int_t)(d->n - d->n_train), "score_seconds", r->score_seconds);
        json_object_set_new(json, "best_score", isnan(r->best_score) ? json_null() : json_real(r->best_score));
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(json);
        return;
    }
    char time[32], memory[32];
    hone_format_seconds(r->seconds, time);
    hone_format_bytes(hone_peak_resident_bytes(), memory);
    printf("%s: %lld steps over %zu rows in %s (%.0f tokens/s), final loss %.3f, peak memory %s\n", folder,
           (long long)r->steps, d->n_train, time, r->tokens_per_second, r->final_loss, memory);
    if (!isnan(r->best_score))
        printf("best checkpoint: step %lld, %.3f of %zu held-out rows answered exactly\n", (long long)r->best_step,
               r->best_score, d->n - d->n_train);
    printf("try it: hone run -m %s --adapter %s\n", o->model, folder);
}

/* "adapters/<data name>" */
static char *default_folder(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    hone_buffer b = {0};
    hone_buffer_puts(&b, "adapters/");
    hone_buffer_append(&b, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
    return hone_buffer_take(&b);
}

static hone_status check_settings(const settings *o, const hone_arguments *arguments, hone_error *err)
{
    if (arguments->n != 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "name one file of examples, for instance: hone train -m smollm2-135m data.jsonl");
    if (strcmp(o->schedule, "linear") != 0)
        return hone_fail(err, HONE_UNSUPPORTED, "--schedule %s; hone has linear", o->schedule);
    if (o->rank < 1 || o->rank > 4096 || o->batch < 1 || o->batch > 4096)
        return hone_fail(err, HONE_BAD_INPUT, "--rank %lld --batch %lld; both are 1 to 4096", (long long)o->rank,
                         (long long)o->batch);
    return HONE_OK;
}

static hone_status train(const settings *o, const char *path, hone_error *err)
{
    hone_engine *engine = NULL;
    data d = {0};
    hone_train_example *examples = NULL;
    char *folder = o->folder ? strdup(o->folder) : default_folder(path);
    hone_train_options options;
    hone_train_result result;
    hone_status status = folder ? hone_cli_open_engine(o->model, o->threads, 0, &engine, err)
                                : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = read_data(engine, o, path, &d, err);
    if (status == HONE_OK)
        status = hold_out(o, &d, err);
    if (status != HONE_OK)
        goto done;
    examples = calloc(d.n_train, sizeof *examples);
    if (!examples) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < d.n_train; i++)
        examples[i] = (hone_train_example){d.items[i].ids.data, d.items[i].ids.n, d.items[i].n_prompt};
    hone_train_options_defaults(&options);
    options.folder = folder;
    options.rank = (int)o->rank;
    options.alpha = o->alpha > 0 ? o->alpha : 2.0 * (double)o->rank;
    options.learning_rate = o->rate;
    options.epochs = o->epochs;
    options.batch = (int)o->batch;
    options.seed = (uint64_t)o->seed;
    options.max_seconds = o->max_seconds;
    options.description = o->system;
    const char *every = getenv("HONE_CHECKPOINT_SECONDS"); /* tests ask for one after every step */
    if (every)
        options.checkpoint_seconds = atof(every);
    scorer s = {engine, &d};
    status = hone_train(engine, examples, d.n_train, &options, o->no_select ? NULL : score, &s, hone_progress_bar(),
                        &result, err);
    if (status == HONE_OK)
        print_result(o, &d, folder, &result);
done:
    for (size_t i = 0; i < d.n; i++) {
        hone_token_list_clear(&d.items[i].ids);
        free(d.items[i].answer);
    }
    free(d.items);
    free(examples);
    free(folder);
    hone_engine_close(engine);
    return status;
}

static int run(int argc, char **argv);

const hone_command hone_command_train = {
    .name = "train",
    .usage = "-m MODEL DATA.jsonl [options]",
    .summary = "tune a LoRA adapter on examples",
    .details = "Rows are {\"input\",\"output\"}, {\"prompt\",\"completion\"} or {\"messages\"}. Only the answer and "
               "its end of turn are\n"
               "learned. A tenth of the rows (8 to 200) is held out to keep the best checkpoint by exact answers; "
               "--no-select\n"
               "tunes on all rows and keeps the last. Interrupted at any instant, the same command continues.",
    .run = run,
};

static int run(int argc, char **argv)
{
    settings o = {.schedule = "linear", .rank = 16, .batch = 16, .rate = 1e-3, .epochs = 3};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name or GGUF file"},
        {"output", 'o', HONE_OPTION_TEXT, &o.folder, "FOLDER", "where the adapter goes (default adapters/<data name>)"},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message before each input"},
        {"rank", 'r', HONE_OPTION_INTEGER, &o.rank, "R", "LoRA rank (default 16)"},
        {"alpha", 0, HONE_OPTION_NUMBER, &o.alpha, "A", "LoRA alpha; the delta is scaled by A/R (default 2R)"},
        {"lr", 0, HONE_OPTION_NUMBER, &o.rate, "X", "peak learning rate (default 1e-3)"},
        {"epochs", 'e', HONE_OPTION_NUMBER, &o.epochs, "E", "passes over the rows (default 3)"},
        {"batch", 'b', HONE_OPTION_INTEGER, &o.batch, "B", "examples a step (default 16)"},
        {"seed", 0, HONE_OPTION_INTEGER, &o.seed, "S", "of the order and the initial adapter (default 0)"},
        {"schedule", 0, HONE_OPTION_TEXT, &o.schedule, "NAME", "linear: 5 % warm-up, then down to zero"},
        {"budget", 0, HONE_OPTION_SECONDS, &o.max_seconds, "TIME", "end by then: fewer steps, same schedule"},
        {"no-select", 0, HONE_OPTION_FLAG, &o.no_select, NULL, "tune on all rows, keep the last checkpoint"},
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
        {"json", 0, HONE_OPTION_FLAG, &o.json, NULL, "the result as JSON"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_train, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_status status = check_settings(&o, &arguments, &err);
    if (status == HONE_OK)
        status = train(&o, arguments.items[0], &err);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_train, &err);
}
