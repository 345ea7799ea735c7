/* cmd_train.c - `hone train`: an adapter from a file of examples. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "cli/progress_bar.h"
#include "train/balance.h"
#include "train/examples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SELECT_ROWS = 200, LEAST_SELECT_ROWS = 8, SCORING_BYTES = 512 << 20 };

typedef struct settings {
    const char *model, *folder, *system, *schedule, *train_on, *too_long, *balance;
    bool no_select, json, rslora;
    const char *targets;
    hone_option_list rank_of;
    double b_rate_ratio;
    int64_t rank, batch, seed, threads, max_tokens;
    double alpha, rate, epochs, max_seconds;
    uint64_t memory_bytes;
} settings;

typedef struct data {
    hone_conversations rows;
    hone_encoded_examples examples; /* those of held-out rows last */
    size_t n_train;                 /* examples to learn from */
    size_t n_train_rows, n_select_rows;
} data;

static void print_notes(const data *d, const char *path)
{
    size_t i;
    json_t *note;
    json_array_foreach(d->rows.notes, i, note) fprintf(stderr, "%s\n", json_string_value(note));
    const struct {
        size_t n;
        const char *what;
    } counts[] = {{d->examples.n_truncated, "rows are too long: their ends are cut off"},
                  {d->examples.n_split, "rows are too long: they are split into pieces of whole exchanges"},
                  {d->examples.n_dropped, "rows are too long and left out"}};
    for (i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n)
            fprintf(stderr, "%s: %zu %s\n", path, counts[i].n, counts[i].what);
}

static hone_status read_data(hone_engine *engine, const settings *o, const char *path, data *d, hone_error *err)
{
    hone_example_options options = {.max_tokens = o->max_tokens};
    if (!hone_train_on_parse(o->train_on, &options.train_on))
        return hone_fail(err, HONE_BAD_INPUT, "--train-on %s; it can be all, last or each", o->train_on);
    if (!hone_too_long_parse(o->too_long, &options.too_long))
        return hone_fail(err, HONE_BAD_INPUT, "--too-long %s; it can be error, truncate, split or drop", o->too_long);
    hone_status status = hone_conversations_read(path, o->system, &d->rows, err);
    if (status == HONE_OK)
        status = hone_conversations_note_repeats(path, &d->rows, err);
    if (status == HONE_OK)
        status = hone_conversations_note_near(path, &d->rows, err);
    if (status == HONE_OK)
        status = hone_examples_encode(engine, path, &d->rows, &options, &d->examples, err);
    if (status == HONE_OK)
        print_notes(d, path);
    return status;
}

/* Holds out a tenth of the rows (8 to 200) for choosing the best checkpoint, drawn by the seed. All examples that were
 * made of a row stay together. */
static hone_status hold_out(const settings *o, data *d, hone_error *err)
{
    size_t rows = d->rows.n, n = rows / 10 > MOST_SELECT_ROWS ? MOST_SELECT_ROWS : rows / 10;
    d->n_train = d->examples.n;
    d->n_train_rows = rows;
    n = n < LEAST_SELECT_ROWS ? LEAST_SELECT_ROWS : n;
    if (o->no_select)
        return HONE_OK;
    if (rows < 2 * n)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%zu rows are too few to hold some out for choosing the best checkpoint; add rows (%zu are "
                         "enough) or use --no-select",
                         rows, 2 * n);
    size_t *order = calloc(rows, sizeof *order), *first = calloc(rows + 1, sizeof *first), at = 0;
    hone_encoded_example *moved = calloc(d->examples.n, sizeof *moved);
    if (!order || !first || !moved) {
        free(order);
        free(first);
        free(moved);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < d->examples.n; i++) /* examples are in the order of their rows */
        first[d->examples.items[i].conversation + 1]++;
    for (size_t i = 0; i < rows; i++)
        first[i + 1] += first[i];
    hone_rng_permutation((hone_rng_key){(uint64_t)o->seed, HONE_RNG_SUBSET, 0}, rows, order);
    for (size_t i = 0; i < rows; i++) {
        if (i == rows - n)
            d->n_train = at;
        for (size_t j = first[order[i]]; j < first[order[i] + 1]; j++)
            moved[at++] = d->examples.items[j];
    }
    free(order);
    free(first);
    free(d->examples.items);
    d->examples.items = moved;
    d->n_train_rows = rows - n;
    d->n_select_rows = n;
    if (d->n_train == 0 || d->n_train == d->examples.n)
        return hone_fail(err, HONE_BAD_INPUT, "too many rows were left out to hold some out; use --no-select");
    return HONE_OK;
}

/* Says what it did: weights change what a loss means. */
static hone_status balance_rows(const settings *o, const char *path, data *d, hone_error *err)
{
    hone_balance balance;
    hone_balance_report report;
    if (!hone_balance_parse(o->balance, &balance))
        return hone_fail(err, HONE_BAD_INPUT, "--balance %s; it can be none, sqrt or equal", o->balance);
    hone_status status = hone_examples_balance(&d->examples, d->n_train, balance, &report, err);
    if (status == HONE_OK && balance != HONE_BALANCE_NONE)
        fprintf(stderr, "%s: %zu answers, of %zu to %zu training rows; a row weighs %.3g to 1 (--balance %s)\n", path,
                report.n_answers, report.fewest, report.most, report.least_weight, o->balance);
    return status;
}

typedef struct scorer {
    hone_engine *engine;
    const data *data;
} scorer;

/* Share of held-out examples whose last answer, generated greedily, is exactly the reference: not teacher-forced. */
static hone_status score(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    const scorer *s = context;
    const data *d = s->data;
    const hone_encoded_example *held = d->examples.items + d->n_train;
    size_t n = d->examples.n - d->n_train, right = 0;
    hone_request *requests = calloc(n, sizeof *requests);
    hone_response *responses = calloc(n, sizeof *responses);
    hone_status status = requests && responses ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        size_t room = (size_t)hone_engine_context_tokens(s->engine) - held[i].tokens.last_answer;
        size_t most = d->examples.longest_answer_tokens < room ? d->examples.longest_answer_tokens : room;
        requests[i] = (hone_request){.ids = held[i].tokens.ids.data,
                                     .n_ids = held[i].tokens.last_answer,
                                     .adapter = adapter,
                                     .max_new_tokens = (int)most};
    }
    if (status == HONE_OK)
        status = hone_engine_run(s->engine, requests, n, responses, NULL, err);
    for (size_t i = 0; i < n && responses; i++) {
        right += responses[i].text && strcmp(responses[i].text, held[i].answer) == 0;
        hone_response_clear(&responses[i]);
    }
    hone_engine_release_memory(s->engine); /* the next step needs it, and another adapter's pages are of no use */
    out->score = (double)right / (double)n;
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
            "adapter", folder, "resumed", r->resumed, "train_rows", (json_int_t)d->n_train_rows, "select_rows",
            (json_int_t)d->n_select_rows, "score_seconds", r->score_seconds);
        if (r->pass_rows > 0) {
            json_object_set_new(json, "pass_rows", json_integer(r->pass_rows));
            json_object_set_new(json, "recomputed", json_boolean(r->recomputed));
            json_object_set_new(json, "planned_bytes", json_integer((json_int_t)r->planned_bytes));
            json_object_set_new(json, "rows_saved_by_sharing", json_real(r->shared_rows));
        }
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
           (long long)r->steps, d->n_train_rows, time, r->tokens_per_second, r->final_loss, memory);
    if (!isnan(r->best_score))
        printf("best checkpoint: step %lld, %.3f of %zu held-out rows answered exactly\n", (long long)r->best_step,
               r->best_score, d->examples.n - d->n_train);
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
    hone_schedule_kind schedule;
    if (!hone_schedule_parse(o->schedule, &schedule))
        return hone_fail(err, HONE_BAD_INPUT, "--schedule %s; it can be linear, cosine, constant or wsd", o->schedule);
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
    hone_buffer rank_of = {0};
    /* With a limit, checkpoints are scored in a tenth of it; tuning on all rows scores none. */
    uint64_t cache = o->memory_bytes / 10 < SCORING_BYTES ? o->memory_bytes / 10 : 0;
    hone_status status = folder ? hone_cli_open_engine(o->model, o->threads, cache, &engine, err)
                                : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = read_data(engine, o, path, &d, err);
    if (status == HONE_OK)
        status = hold_out(o, &d, err);
    if (status != HONE_OK)
        goto done;
    hone_conversations_clear(&d.rows); /* the examples hold all that is learned */
    if ((status = balance_rows(o, path, &d, err)) != HONE_OK)
        goto done;
    examples = calloc(d.n_train, sizeof *examples);
    if (!examples) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < d.n_train; i++)
        examples[i] = hone_encoded_example_get(&d.examples.items[i]);
    hone_train_options_defaults(&options);
    options.folder = folder;
    options.rank = (int)o->rank;
    options.alpha = o->alpha > 0 ? o->alpha : 2.0 * (double)o->rank;
    options.learning_rate = o->rate;
    options.epochs = o->epochs;
    options.batch = (int)o->batch;
    options.rslora = o->rslora;
    options.targets = o->targets;
    options.b_rate_ratio = o->b_rate_ratio;
    hone_schedule_parse(o->schedule, &options.schedule);
    for (size_t i = 0; i < o->rank_of.n; i++)
        hone_buffer_printf(&rank_of, "%s%s", i ? ";" : "", o->rank_of.items[i]);
    options.rank_of = rank_of.data;
    options.seed = (uint64_t)o->seed;
    options.max_seconds = o->max_seconds;
    options.memory_bytes = o->memory_bytes;
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
    hone_encoded_examples_clear(&d.examples);
    hone_conversations_clear(&d.rows);
    hone_buffer_clear(&rank_of);
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
    .details =
        "Rows are {\"input\",\"output\"}, {\"prompt\",\"completion\"}, {\"messages\",\"tools\"}, "
        "{\"conversations\"} (ShareGPT),\n"
        "{\"instruction\",\"input\",\"output\"} (Alpaca) or {\"text\",\"label\"}, as JSONL or as CSV with a "
        "header. Only the assistant's\n"
        "turns and their ends are learned; \"weight\": 0 in a message leaves its turn out. A tenth of the rows "
        "(8 to 200) is held out to keep the best checkpoint by exact answers; "
        "--no-select\n"
        "tunes on all rows and keeps the last. Interrupted at any instant, the same command continues.\n"
        "Nothing is padded and what rows begin with is computed once, so there is no option for packing: examples "
        "lie\n"
        "side by side and do not see each other.",
    .run = run,
};

static int run(int argc, char **argv)
{
    settings o = {.schedule = "linear",
                  .train_on = "all",
                  .too_long = "error",
                  .balance = "none",
                  .rank = 16,
                  .batch = 16,
                  .rate = 1e-3,
                  .epochs = 3,
                  .b_rate_ratio = 1};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name or GGUF file"},
        {"output", 'o', HONE_OPTION_TEXT, &o.folder, "FOLDER", "where the adapter goes (default adapters/<data name>)"},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message before each input"},
        {"rank", 'r', HONE_OPTION_INTEGER, &o.rank, "R", "LoRA rank (default 16)"},
        {"alpha", 0, HONE_OPTION_NUMBER, &o.alpha, "A", "LoRA alpha; the delta is scaled by A/R (default 2R)"},
        {"rslora", 0, HONE_OPTION_FLAG, &o.rslora, NULL, "scale the delta by A/sqrt(R) (rsLoRA)"},
        {"targets", 0, HONE_OPTION_TEXT, &o.targets, "LAYERS",
         "all (default), attention, mlp, names (q_proj,v_proj) or a regular expression"},
        {"rank-of", 0, HONE_OPTION_LIST, &o.rank_of, "PATTERN=R", "another rank for some layers, as in down_proj=32"},
        {"lr", 0, HONE_OPTION_NUMBER, &o.rate, "X", "peak learning rate (default 1e-3)"},
        {"lora-plus", 0, HONE_OPTION_NUMBER, &o.b_rate_ratio, "X", "B learns X times as fast as A (LoRA+; default 1)"},
        {"epochs", 'e', HONE_OPTION_NUMBER, &o.epochs, "E", "passes over the rows (default 3)"},
        {"batch", 'b', HONE_OPTION_INTEGER, &o.batch, "B", "examples a step (default 16)"},
        {"seed", 0, HONE_OPTION_INTEGER, &o.seed, "S", "of the order and the initial adapter (default 0)"},
        {"schedule", 0, HONE_OPTION_TEXT, &o.schedule, "NAME",
         "after 5 % warm-up: linear (default), cosine, constant or wsd"},
        {"budget", 0, HONE_OPTION_SECONDS, &o.max_seconds, "TIME", "end by then: fewer steps, same schedule"},
        {"memory", 0, HONE_OPTION_BYTES, &o.memory_bytes, "SIZE",
         "what the process may need at most, as in 2GiB: smaller passes, then blocks computed again"},
        {"train-on", 0, HONE_OPTION_TEXT, &o.train_on, "TURNS",
         "all assistant turns (default), the last, or each as an example of its own"},
        {"max-tokens", 0, HONE_OPTION_INTEGER, &o.max_tokens, "N", "of an example (default: the model's context)"},
        {"too-long", 0, HONE_OPTION_TEXT, &o.too_long, "WHAT",
         "examples above that: error (default), truncate, split or drop"},
        {"balance", 0, HONE_OPTION_TEXT, &o.balance, "HOW",
         "rows of common answers weigh less: none (default), sqrt, or equal weight for each answer"},
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
