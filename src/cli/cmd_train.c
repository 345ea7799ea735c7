/* cmd_train.c - `hone train`: an adapter from a file of examples. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "cli/model_format.h"
#include "cli/progress_bar.h"
#include "cli/train_show.h"
#include "model/layer_choice.h"
#include "model/tuned.h"
#include "report/training.h"
#include "train/curve.h"
#include "train/seeds.h"
#include "train/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *model, *numerics, *folder, *system, *schedule, *train_on, *too_long, *balance;
    const char *format, *type; /* of --full's result; NULL: not given */
    bool no_select, json, rslora, dora, full;
    const char *targets, *layers, *frozen;
    hone_option_list rank_of;
    double b_rate_ratio;
    const char *auto_what; /* of --auto: "lr", "rank", "lr,rank"; NULL without it */
    bool curve;
    int64_t rank, batch, seed, threads, max_tokens, steps, patience, seeds, scores_per_epoch;
    double alpha, rate, epochs, max_seconds;
    uint64_t memory_bytes;
} settings;

enum { SCORING_BYTES = 512 << 20, DEFAULT_RANK = 16, NOT_GIVEN = -1 };
#define ADAPTER_RATE 2e-3
#define FULL_RATE 1e-4 /* all weights move: far below an adapter's */

/* "adapters/<data name>" */
static char *default_folder(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    hone_buffer b = {0};
    hone_buffer_puts(&b, "adapters/");
    hone_buffer_append(&b, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
    return hone_buffer_take(&b);
}

/* How --full's result is written. */
static hone_status parse_output(const settings *o, hone_tuned_output *out, hone_error *err)
{
    if (!o->full && (o->format || o->type))
        return hone_fail(err, HONE_BAD_INPUT,
                         "--format and --type are for --full; an adapter is always written as PEFT has it (hone model "
                         "merge makes a model of it)");
    return hone_cli_parse_output(o->format, o->type, out, err);
}

static hone_status check_settings(const settings *o, const hone_arguments *arguments, hone_error *err)
{
    if (arguments->n != 1)
        return hone_fail(err, HONE_BAD_INPUT,
                         "name one file of examples, for instance: hone train -m smollm2-135m data.jsonl");
    hone_schedule_kind schedule;
    if (!hone_schedule_parse(o->schedule, &schedule))
        return hone_fail(err, HONE_BAD_INPUT, "--schedule %s; it can be linear, cosine, constant or wsd", o->schedule);
    if (o->dora && o->full)
        return hone_fail(err, HONE_BAD_INPUT,
                         "--dora is a kind of adapter and --full trains the model itself; use one of them");
    if (o->full && (o->rank != NOT_GIVEN || o->alpha > 0 || o->rslora || o->targets || o->rank_of.n > 0))
        return hone_fail(
            err, HONE_BAD_INPUT,
            "--full makes no adapter: --rank, --alpha, --rslora, --targets and --rank-of do not go with it");
    if (o->full && (o->auto_what || o->seeds > 1 || o->curve))
        return hone_fail(err, HONE_BAD_INPUT,
                         "--full trains once: --auto, --seeds and --curve go with adapters, or run it several times");
    if (o->rank != NOT_GIVEN && (o->rank < 1 || o->rank > HONE_MAX_ADAPTER_RANK))
        return hone_fail(err, HONE_BAD_INPUT, "--rank %lld; 1 to %d are possible", (long long)o->rank,
                         HONE_MAX_ADAPTER_RANK);
    if (o->batch < 1 || o->batch > 4096)
        return hone_fail(err, HONE_BAD_INPUT, "--batch %lld; 1 to 4096 are possible", (long long)o->batch);
    if (o->seeds < 1 || o->seeds > HONE_SERIES_MOST_SEEDS || o->patience < 0 || o->patience > 1000 || o->steps < 0 ||
        o->scores_per_epoch < 1 || o->scores_per_epoch > 1000)
        return hone_fail(err, HONE_BAD_INPUT,
                         "--seeds %lld is 1 to %d, --patience %lld and --scores-per-epoch %lld are up to 1000, --steps "
                         "%lld is at least 1",
                         (long long)o->seeds, HONE_SERIES_MOST_SEEDS, (long long)o->patience,
                         (long long)o->scores_per_epoch, (long long)o->steps);
    hone_tuned_output output;
    hone_status status = parse_output(o, &output, err);
    if (status != HONE_OK)
        return status;
    const char *judged = o->auto_what ? "--auto" : o->seeds > 1 ? "--seeds" : o->curve ? "--curve" : "--patience";
    if (o->no_select && (o->auto_what || o->seeds > 1 || o->curve || o->patience > 0))
        return hone_fail(err, HONE_BAD_INPUT, "%s judges by rows that are held out; leave --no-select out", judged);
    return HONE_OK;
}

static int rank_of(const settings *o)
{
    return o->rank == NOT_GIVEN ? DEFAULT_RANK : (int)o->rank;
}

static double rate_of(const settings *o)
{
    return o->rate != NOT_GIVEN ? o->rate : o->full ? FULL_RATE : ADAPTER_RATE;
}

/* What --auto tries: the default rates, each with the rank asked for or with the default ranks. */
static size_t list_candidates(const settings *o, hone_search_candidate *out)
{
    static const int ranks[] = {16, 8, 32};
    bool rates = o->auto_what && strstr(o->auto_what, "lr"), both = o->auto_what && strstr(o->auto_what, "rank");
    size_t n = 0, n_rates = rates ? hone_n_search_rates : 1;
    for (size_t i = 0; o->auto_what && i < n_rates; i++)
        for (size_t j = 0; j < (both ? sizeof ranks / sizeof *ranks : 1); j++)
            out[n++] = (hone_search_candidate){rates ? hone_search_rates[i] : rate_of(o), both ? ranks[j] : rank_of(o)};
    return n;
}

static hone_status write_report(const char *folder, char **path, hone_error *err)
{
    hone_buffer page = {0};
    *path = hone_path_join(folder, "report.html");
    hone_status status =
        *path ? hone_training_html(folder, &page, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_file_write_atomic(*path, page.data, page.length, err);
    hone_buffer_clear(&page);
    return status;
}

/* One run, or the search, seeds and curve that were asked for. */
static hone_status train_all(const settings *o, hone_series *series, const hone_train_data *d,
                             hone_train_ending *ending, hone_train_result *result, hone_error *err)
{
    hone_search_candidate candidates[HONE_SEARCH_MAX_CANDIDATES];
    hone_search_outcome outcome = {0};
    json_t *seeds = NULL, *curve = NULL;
    size_t n = list_candidates(o, candidates);
    hone_status status;
    if (o->seeds > 1)
        status = hone_train_seeds(series, (int)o->seeds, candidates, n, result, &seeds, &outcome, err);
    else if (n > 0)
        status = hone_train_search(series->engine, series->examples, series->n_examples, &series->options, candidates,
                                   n, series->score, series->score_context, series->progress, result, &outcome, err);
    else
        status = hone_train(series->engine, series->examples, series->n_examples, &series->options, series->score,
                            series->score_context, series->progress, result, err);
    ending->search = outcome.record;
    ending->seeds = seeds;
    if (status != HONE_OK || !o->curve)
        return status;
    const char *folder = series->options.folder;
    if (n > 0) {
        series->options = outcome.options;
        series->options.folder = folder;
    }
    status = hone_train_curve(series, (int)o->seeds, d->row_of, &curve, err);
    ending->curve = curve;
    return status;
}

static void fill_options(const settings *o, const hone_train_data *d, const char *other_ranks,
                         hone_train_options *options)
{
    hone_train_options_defaults(options);
    parse_output(o, &options->output, NULL); /* checked before */
    options->method = o->full ? HONE_METHOD_FULL : o->dora ? HONE_METHOD_DORA : HONE_METHOD_LORA;
    options->layers = o->layers;
    options->frozen = o->frozen;
    options->rank = rank_of(o);
    options->alpha = o->alpha > 0 ? o->alpha : 2.0 * (double)rank_of(o);
    options->learning_rate = rate_of(o);
    options->epochs = o->epochs;
    options->batch = (int)o->batch;
    options->rslora = o->rslora;
    options->targets = o->targets;
    options->b_rate_ratio = o->b_rate_ratio;
    hone_schedule_parse(o->schedule, &options->schedule);
    options->rank_of = other_ranks;
    options->seed = (uint64_t)o->seed;
    options->max_seconds = o->max_seconds;
    options->max_steps = o->steps;
    options->patience = (int)o->patience;
    options->scores_per_epoch = (int)o->scores_per_epoch;
    options->description = o->system;
    options->memory_bytes = o->memory_bytes;
    options->n_select_rows = d->n_select_rows;
    const char *every = getenv("HONE_CHECKPOINT_SECONDS"); /* tests ask for one after every step */
    if (every)
        options->checkpoint_seconds = atof(every);
}

/* What training the weights themselves takes is much, so it is said before. What the model said untrained is measured
 * before too: afterwards it is no longer there. */
static hone_status begin_full(const hone_engine *engine, const settings *o, hone_watch *watch, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(engine);
    int64_t n_chosen;
    bool *layers = calloc((size_t)model->config.n_layers, sizeof *layers);
    hone_status status = layers
                             ? hone_layers_choose(o->layers, o->frozen, model->config.n_layers, layers, &n_chosen, err)
                             : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK) {
        size_t n = hone_model_count_tuned(model, layers);
        char memory[32], file[32];
        hone_format_bytes(4 * n * sizeof(float), memory);
        hone_format_bytes(3 * n * sizeof(float), file);
        fprintf(stderr,
                "full fine-tuning of %.1f million weights: %s of memory for weights, gradient and moments besides the "
                "passes; checkpoints of %s\n",
                (double)n / 1e6, memory, file);
    }
    if (status == HONE_OK && watch)
        status = hone_watch_measure_base(watch, err);
    free(layers);
    return status;
}

static json_t *read_warnings(const char *folder)
{
    char *path = hone_path_join(folder, "hone.json");
    json_t *record = path ? json_load_file(path, 0, NULL) : NULL,
           *warnings = json_incref(json_object_get(record, "warnings"));
    json_decref(record);
    free(path);
    return warnings;
}

static hone_status train(const settings *o, const char *path, const char *command, hone_error *err)
{
    hone_engine *engine = NULL;
    hone_train_data d = {0};
    hone_watch *watch = NULL;
    char *folder = o->folder ? strdup(o->folder) : default_folder(path), *report = NULL;
    char select_hash[65] = "";
    hone_train_options options;
    hone_train_result result;
    hone_buffer other_ranks = {0};
    json_t *warnings = NULL;
    hone_train_ending ending = {.model = o->model, .folder = folder, .result = &result, .data = &d};
    const hone_train_data_options data_options = {.system = o->system,
                                                  .train_on = o->train_on,
                                                  .too_long = o->too_long,
                                                  .balance = o->balance,
                                                  .no_select = o->no_select,
                                                  .max_tokens = o->max_tokens,
                                                  .seed = o->seed};
    /* With a limit, checkpoints are scored in a tenth of it; tuning on all rows scores none. */
    uint64_t cache = o->memory_bytes / 10 < SCORING_BYTES ? o->memory_bytes / 10 : 0;
    hone_status status = folder ? hone_cli_open_engine(o->model, o->threads, cache, o->numerics, &engine, err)
                                : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_train_data_read(engine, &data_options, path, &d, err);
    if (status == HONE_OK && o->memory_bytes > 0)
        hone_train_data_forget_texts(&d);
    if (status == HONE_OK && !o->no_select)
        status =
            hone_watch_create(engine, d.examples.items + d.n_train, d.examples.n - d.n_train, d.rows.n ? &d.rows : NULL,
                              d.examples.longest_answer_tokens, (uint64_t)o->seed, &watch, err);
    if (status == HONE_OK && watch)
        status = hone_watch_hash(watch, select_hash, err);
    if (status == HONE_OK && o->full)
        status = begin_full(engine, o, watch, err);
    if (status != HONE_OK)
        goto done;
    for (size_t i = 0; i < o->rank_of.n; i++)
        hone_buffer_printf(&other_ranks, "%s%s", i ? ";" : "", o->rank_of.items[i]);
    fill_options(o, &d, other_ranks.data, &options);
    ending.model_suffix = o->full ? hone_train_model_suffix(&options) : NULL;
    options.folder = folder;
    options.data_path = path;
    options.command = command;
    options.select_hash = watch ? select_hash : NULL;
    hone_series series = {.engine = engine,
                          .examples = d.items,
                          .n_examples = d.n_train,
                          .options = options,
                          .score = watch ? hone_watch_score : NULL,
                          .score_context = watch,
                          .progress = hone_progress_bar()};
    status = train_all(o, &series, &d, &ending, &result, err);
    if (status == HONE_OK)
        status = write_report(folder, &report, err);
    if (status != HONE_OK)
        goto done;
    ending.report = report;
    ending.warnings = warnings = read_warnings(folder);
    (o->json ? hone_train_show_json : hone_train_show)(&ending);
done:
    json_decref((json_t *)(uintptr_t)ending.search);
    json_decref((json_t *)(uintptr_t)ending.seeds);
    json_decref((json_t *)(uintptr_t)ending.curve);
    json_decref(warnings);
    hone_train_data_clear(&d);
    hone_watch_free(watch);
    hone_buffer_clear(&other_ranks);
    free(folder);
    free(report);
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
        "header; any may\n"
        "have its own \"system\" message. Only the assistant's turns and their ends are learned; \"weight\": 0 in a\n"
        "message leaves its turn out. A tenth of the rows (8 to 200) is held out to keep the best checkpoint by "
        "exact\n"
        "answers; --no-select tunes on all rows and keeps the last. Interrupted at any instant, the same command\n"
        "continues.\n"
        "Nothing is padded and what rows begin with is computed once, so there is no option for packing: examples "
        "lie\n"
        "side by side and do not see each other.\n"
        "--auto begins a run with each of several rates (and ranks), and goes on with the better half until one\n"
        "is left: what it costs is shown. The folder holds the adapter (PEFT), report.html, a model card,\n"
        "hone.json and metrics.jsonl.",
    .run = run,
};

static int run(int argc, char **argv)
{
    settings o = {.schedule = "linear",
                  .train_on = "all",
                  .too_long = "error",
                  .balance = "none",
                  .rank = NOT_GIVEN,
                  .batch = 16,
                  .rate = NOT_GIVEN,
                  .epochs = 5,
                  .seeds = 1,
                  .scores_per_epoch = 1,
                  .b_rate_ratio = 1};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"output", 'o', HONE_OPTION_TEXT, &o.folder, "FOLDER", "where the adapter goes (default adapters/<data name>)"},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message for rows without one of their own"},
        {"rank", 'r', HONE_OPTION_INTEGER, &o.rank, "R", "LoRA rank (default 16)"},
        {"alpha", 0, HONE_OPTION_NUMBER, &o.alpha, "A", "LoRA alpha; the delta is scaled by A/R (default 2R)"},
        {"rslora", 0, HONE_OPTION_FLAG, &o.rslora, NULL, "scale the delta by A/sqrt(R) (rsLoRA)"},
        {"dora", 0, HONE_OPTION_FLAG, &o.dora, NULL, "learn the length of each weight row apart (DoRA)"},
        {"full", 0, HONE_OPTION_FLAG, &o.full, NULL, "train the model's own weights, in float32; writes a model"},
        {"format", 0, HONE_OPTION_TEXT, &o.format, "FORM",
         "of --full's model: gguf (default, FOLDER/model.gguf) or hf, FOLDER itself a Hugging Face folder"},
        {"type", 0, HONE_OPTION_TEXT, &o.type, "TYPE",
         "of --full's matrices: f32, f16, bf16, q8_0 (default: what was trained f32)"},
        {"layers", 0, HONE_OPTION_TEXT, &o.layers, "BLOCKS", "train these blocks only, counted from 0, as in 20-29"},
        {"freeze", 0, HONE_OPTION_TEXT, &o.frozen, "BLOCKS", "train all but these blocks, as in 0-14"},
        {"targets", 0, HONE_OPTION_TEXT, &o.targets, "LAYERS",
         "all (default), attention, mlp, names (q_proj,v_proj) or a regular expression"},
        {"rank-of", 0, HONE_OPTION_LIST, &o.rank_of, "PATTERN=R", "another rank for some layers, as in down_proj=32"},
        {"lr", 0, HONE_OPTION_NUMBER, &o.rate, "X", "peak learning rate (default 2e-3, with --full 1e-4)"},
        {"lora-plus", 0, HONE_OPTION_NUMBER, &o.b_rate_ratio, "X", "B learns X times as fast as A (LoRA+; default 1)"},
        {"epochs", 'e', HONE_OPTION_NUMBER, &o.epochs, "E", "passes over the rows (default 5)"},
        {"batch", 'b', HONE_OPTION_INTEGER, &o.batch, "B", "examples a step (default 16)"},
        {"seed", 0, HONE_OPTION_INTEGER, &o.seed, "S", "of the order and the initial adapter (default 0)"},
        {"schedule", 0, HONE_OPTION_TEXT, &o.schedule, "NAME",
         "after 5 % warm-up: linear (default), cosine, constant or wsd"},
        {"auto", 0, HONE_OPTION_CHOICE, &o.auto_what, "[lr|rank|lr,rank]",
         "find the learning rate (default), the rank, or both, by held-out rows"},
        {"budget", 0, HONE_OPTION_SECONDS, &o.max_seconds, "TIME",
         "for a training's steps (scores on top; with --auto all together): fewer, same schedule"},
        {"memory", 0, HONE_OPTION_BYTES, &o.memory_bytes, "SIZE",
         "what the process may need at most, as in 2GiB: smaller passes, then blocks computed again"},
        {"steps", 0, HONE_OPTION_INTEGER, &o.steps, "N", "end the schedule after N steps at the latest"},
        {"patience", 0, HONE_OPTION_INTEGER, &o.patience, "N",
         "stop after N scores in a row without a better one, or at the same score a lower loss"},
        {"scores-per-epoch", 0, HONE_OPTION_INTEGER, &o.scores_per_epoch, "N",
         "how often held-out rows are answered (default 1)"},
        {"seeds", 0, HONE_OPTION_INTEGER, &o.seeds, "N", "train with N seeds, show the spread, keep the best"},
        {"curve", 0, HONE_OPTION_FLAG, &o.curve, NULL,
         "also train on 25, 50, 100, ... rows, with each seed: what more rows would bring"},
        {"train-on", 0, HONE_OPTION_TEXT, &o.train_on, "TURNS",
         "all assistant turns (default), the last, or each as an example of its own"},
        {"max-tokens", 0, HONE_OPTION_INTEGER, &o.max_tokens, "N", "of an example (default: the model's context)"},
        {"too-long", 0, HONE_OPTION_TEXT, &o.too_long, "WHAT",
         "examples above that: error (default), truncate, split or drop"},
        {"balance", 0, HONE_OPTION_TEXT, &o.balance, "HOW",
         "rows of common answers weigh less: none (default), sqrt, or equal weight for each answer"},
        {"no-select", 0, HONE_OPTION_FLAG, &o.no_select, NULL, "tune on all rows, keep the last checkpoint"},
        HONE_NUMERICS_OPTION(&o.numerics),
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
        {"json", 0, HONE_OPTION_FLAG, &o.json, NULL, "the result as JSON"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_train, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_buffer command = {0};
    hone_options_command_line(&hone_command_train, argc, argv, &command);
    hone_status status = check_settings(&o, &arguments, &err);
    if (status == HONE_OK)
        status = train(&o, arguments.items[0], command.data ? command.data : "", &err);
    hone_buffer_clear(&command);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_train, &err);
}
