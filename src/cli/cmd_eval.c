/* cmd_eval.c - `hone eval`: how well a model, tuned or not, answers a file of examples; or which of two does better.
 *
 * Each row's last answer is generated from all that stands before it, greedily, and scored by a metric (src/metric).
 * The score is the lenient one, as in a comparison; the strict one is shown beside it. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "cli/progress_bar.h"
#include "cli/train_data.h"
#include "metric/metric.h"
#include "stats/bootstrap.h"
#include "stats/comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_AT_ONCE = 256, EXTRA_TOKENS = 16 };

typedef struct settings {
    const char *model, *numerics, *adapter, *against, *system, *metric, *choices_from, *answers;
    int64_t threads;
    double min_score;
    bool json;
} settings;

/* One of the two that are evaluated. */
typedef struct arm {
    const char *name;
    const hone_adapter *adapter;
    char **answers;
    double *scores; /* lenient */
    double mean, strict, seconds;
    hone_interval interval;
    size_t n_unread; /* answers that the metric could not read at all */
    int64_t tokens_in, tokens_cached, tokens_out;
} arm;

typedef struct eval {
    const settings *o;
    const char *path;
    hone_engine *engine;
    const hone_metric *metric;
    hone_conversations rows;
    hone_encoded_examples examples;
    char **labels; /* the allowed answers, sorted; NULL: any */
    size_t n_labels;
    hone_choices *choices;
    hone_error *err;
} eval;

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

static hone_status find_metric(eval *e)
{
    const hone_metric *m;
    char known[256] = "";
    if ((e->metric = hone_metric_find(e->o->metric)))
        return HONE_OK;
    for (size_t i = 0; (m = hone_metric_get(i)); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", m->name);
    return hone_fail(e->err, HONE_BAD_INPUT, "--metric %.80s; there are: %s", e->o->metric, known);
}

static hone_status read_rows(eval *e, const char *path, hone_conversations *rows, hone_encoded_examples *examples)
{
    hone_example_options options = {.train_on = HONE_TRAIN_ON_LAST, .too_long = HONE_TOO_LONG_ERROR};
    return hone_cli_read_examples(e->engine, path, e->o->system, &options, rows, examples, e->err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Does any choice score something where this is the reference? */
static bool any_scores(const eval *e, const char *reference)
{
    for (size_t i = 0; i < e->n_labels; i++) {
        hone_metric_score found;
        hone_metric_case item = {e->labels[i], reference, (const char *const *)e->labels, e->n_labels};
        if (e->metric->score(&item, &found, NULL) == HONE_OK && found.lenient > 0)
            return true;
    }
    return false;
}

/* What is no choice can never be answered, however good the model is. */
static void warn_about_references(const eval *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->examples.n; i++) {
        const char *answer = e->examples.items[i].answer;
        n += !bsearch(&answer, e->labels, e->n_labels, sizeof *e->labels, by_text) && !any_scores(e, answer);
    }
    if (n > 0)
        fprintf(stderr,
                "warning: the answers of %zu of %zu rows are not among the %zu of %s: none of them can be right\n", n,
                e->examples.n, e->n_labels, e->o->choices_from);
}

/* The distinct answers of a file are all that may be answered. */
static hone_status read_choices(eval *e)
{
    hone_conversations rows = {0};
    hone_encoded_examples examples = {0};
    if (!e->o->choices_from)
        return HONE_OK;
    hone_status status = read_rows(e, e->o->choices_from, &rows, &examples);
    if (status == HONE_OK && !(e->labels = calloc(examples.n, sizeof *e->labels)))
        status = no_memory(e->err);
    for (size_t i = 0; status == HONE_OK && i < examples.n; i++)
        if (!(e->labels[e->n_labels++] = strdup(examples.items[i].answer)))
            status = no_memory(e->err);
    hone_encoded_examples_clear(&examples);
    hone_conversations_clear(&rows);
    if (status != HONE_OK)
        return status;
    qsort(e->labels, e->n_labels, sizeof *e->labels, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < e->n_labels; i++)
        if (kept > 0 && strcmp(e->labels[i], e->labels[kept - 1]) == 0)
            free(e->labels[i]);
        else
            e->labels[kept++] = e->labels[i];
    e->n_labels = kept;
    warn_about_references(e);
    return hone_engine_create_choices(e->engine, (const char *const *)e->labels, kept, &e->choices, e->err);
}

static hone_status take_answer(eval *e, arm *a, size_t i, const hone_response *r)
{
    hone_metric_score found;
    hone_metric_case item = {r->text, e->examples.items[i].answer, (const char *const *)e->labels, e->n_labels};
    hone_status status = e->metric->score(&item, &found, e->err);
    if (status != HONE_OK)
        return hone_fail_within(e->err, status, "%s:%lld", e->path, (long long)e->examples.items[i].line);
    a->scores[i] = found.lenient;
    a->strict += found.strict;
    a->n_unread += !found.parsed_lenient;
    a->tokens_in += r->tokens_in;
    a->tokens_out += r->tokens_out;
    a->tokens_cached += r->tokens_cached;
    return (a->answers[i] = strdup(r->text)) ? HONE_OK : no_memory(e->err);
}

static hone_status answer_some(eval *e, arm *a, size_t first, size_t n)
{
    hone_request requests[ROWS_AT_ONCE] = {0};
    hone_response responses[ROWS_AT_ONCE] = {0};
    size_t context = (size_t)hone_engine_context_tokens(e->engine),
           most = e->examples.longest_answer_tokens + EXTRA_TOKENS;
    for (size_t i = 0; i < n; i++) {
        const hone_learned_conversation *x = &e->examples.items[first + i].tokens;
        size_t room = context - x->last_answer;
        requests[i] = (hone_request){.ids = x->ids.data,
                                     .n_ids = x->last_answer,
                                     .adapter = a->adapter,
                                     .choices = e->choices,
                                     .max_new_tokens = (int)(most < room ? most : room)};
    }
    hone_status status = hone_engine_run(e->engine, requests, n, responses, NULL, e->err);
    for (size_t i = 0; i < n; i++) {
        if (status == HONE_OK)
            status = take_answer(e, a, first + i, &responses[i]);
        hone_response_clear(&responses[i]);
    }
    return status;
}

static hone_status answer_all(eval *e, arm *a)
{
    size_t n = e->examples.n;
    int64_t right = 0;
    double start = hone_clock_seconds(), sum = 0;
    hone_status status = HONE_OK;
    if (!(a->answers = calloc(n, sizeof *a->answers)) || !(a->scores = calloc(n, sizeof *a->scores)))
        return no_memory(e->err);
    hone_progress_begin(hone_progress_bar(), a->name, "rows", (int64_t)n);
    for (size_t i = 0; i < n && status == HONE_OK; i += ROWS_AT_ONCE) {
        status = answer_some(e, a, i, n - i < ROWS_AT_ONCE ? n - i : ROWS_AT_ONCE);
        hone_progress_update(hone_progress_bar(), (int64_t)(n - i < ROWS_AT_ONCE ? n : i + ROWS_AT_ONCE), NULL);
    }
    hone_progress_end(hone_progress_bar());
    if (status != HONE_OK)
        return status;
    a->seconds = hone_clock_seconds() - start;
    for (size_t i = 0; i < n; i++) {
        sum += a->scores[i];
        right += a->scores[i] > 0;
    }
    a->mean = sum / (double)n;
    a->strict /= (double)n;
    if (e->metric->binary) {
        a->interval = hone_wilson_interval(right, (int64_t)n, 0.05);
        return HONE_OK;
    }
    hone_bootstrap *b;
    status = hone_bootstrap_mean(a->scores, NULL, n, 0, 0, &b, e->err);
    if (status == HONE_OK) {
        a->interval = hone_bootstrap_interval(b, 0.05);
        hone_bootstrap_free(b);
    }
    return status;
}

static hone_status write_answers(const eval *e, const arm *arms, size_t n_arms)
{
    hone_buffer out = {0};
    hone_status status = HONE_OK;
    if (!e->o->answers)
        return HONE_OK;
    for (size_t i = 0; i < e->examples.n; i++) {
        json_t *line = json_pack("{s:I, s:s, s:s, s:f}", "line", (json_int_t)e->examples.items[i].line, "reference",
                                 e->examples.items[i].answer, "answer", arms[0].answers[i], "score", arms[0].scores[i]);
        if (line && n_arms > 1) {
            json_object_set_new(line, "against", json_string(arms[1].answers[i]));
            json_object_set_new(line, "against_score", json_real(arms[1].scores[i]));
        }
        char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
        hone_buffer_puts(&out, text ? text : "");
        hone_buffer_putc(&out, '\n');
        out.failed |= !text;
        free(text);
        json_decref(line);
    }
    status = out.failed ? no_memory(e->err) : hone_file_write_atomic(e->o->answers, out.data, out.length, e->err);
    hone_buffer_clear(&out);
    return status;
}

static json_t *arm_json(const eval *e, const arm *a)
{
    return json_pack("{s:s, s:s, s:I, s:f, s:[f,f], s:f, s:I, s:f, s:I, s:I, s:I}", "name", a->name, "metric",
                     e->metric->name, "n", (json_int_t)e->examples.n, "score", a->mean, "ci", a->interval.low,
                     a->interval.high, "strict", a->strict, "unread", (json_int_t)a->n_unread, "seconds", a->seconds,
                     "tokens_in", (json_int_t)a->tokens_in, "tokens_out", (json_int_t)a->tokens_out, "tokens_cached",
                     (json_int_t)a->tokens_cached);
}

static void print_json(const eval *e, const arm *arms, size_t n_arms, const hone_paired_comparison *c)
{
    json_t *json = arm_json(e, &arms[0]);
    json_object_set_new(json, "choices", e->choices ? json_integer((json_int_t)e->n_labels) : json_null());
    if (n_arms > 1) {
        json_object_set_new(json, "against", arm_json(e, &arms[1]));
        json_object_set_new(json, "comparison",
                            json_pack("{s:f, s:[f,f], s:f, s:b}", "difference", c->difference, "ci", c->interval.low,
                                      c->interval.high, "p", c->p, "differs", c->differs));
    }
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(json);
}

static void print_text(const eval *e, const arm *arms, size_t n_arms, const hone_paired_comparison *c)
{
    char n[32], time[32];
    hone_format_count((int64_t)e->examples.n, n);
    for (size_t i = 0; i < n_arms; i++) {
        const arm *a = &arms[i];
        hone_format_seconds(a->seconds, time);
        printf("%s: %.3f %s %s rows (95 %% interval %.3f to %.3f; %s)\n", a->name, a->mean,
               e->metric->binary ? "right of" : "on average over", n, a->interval.low, a->interval.high,
               e->metric->name);
        if (e->choices)
            printf("  held to the %zu answers of %s\n", e->n_labels, e->o->choices_from);
        printf("  %.3f taken strictly; %zu answers could not be read; %s, %.1f tokens in and %.1f out a row\n",
               a->strict, a->n_unread, time, (double)a->tokens_in / (double)e->examples.n,
               (double)a->tokens_out / (double)e->examples.n);
    }
    if (n_arms < 2)
        return;
    const char *test = c->exact ? "exact McNemar" : "paired bootstrap", *chance = c->differs ? "" : "; may be chance";
    double points = 100 * c->difference;
    if (points > -0.05 && points < 0.05)
        printf("%s and %s score the same", arms[0].name, arms[1].name);
    else
        printf("%s is %.1f points %s than %s", arms[0].name, points < 0 ? -points : points,
               points < 0 ? "worse" : "better", arms[1].name);
    printf(" (95 %% interval %.1f to %.1f; %s, p = %.2g%s)\n", 100 * c->interval.low, 100 * c->interval.high, test,
           c->p, chance);
}

static hone_status load(eval *e, const char *folder, arm *a)
{
    hone_adapter *adapter = NULL;
    a->name = folder ? folder : "base";
    if (!folder || strcmp(folder, "base") == 0)
        return HONE_OK;
    hone_status status = hone_engine_find_adapter(e->engine, folder, &adapter, e->err);
    a->adapter = adapter;
    return status;
}

/* *passed: the score reaches --min-score. */
static hone_status evaluate(eval *e, bool *passed)
{
    arm arms[2] = {0};
    size_t n_arms = e->o->against ? 2 : 1;
    hone_paired_comparison c = {0};
    hone_status status = find_metric(e);
    if (status == HONE_OK && !(e->o->min_score >= 0 && e->o->min_score <= 1))
        status = hone_fail(e->err, HONE_BAD_INPUT, "--min-score %g: scores go from 0 to 1; for 85 %% write 0.85",
                           e->o->min_score);
    if (status == HONE_OK)
        status = hone_cli_open_engine(e->o->model, e->o->threads, 0, e->o->numerics, &e->engine, e->err);
    if (status == HONE_OK)
        status = load(e, e->o->adapter, &arms[0]);
    if (status == HONE_OK && n_arms > 1)
        status = load(e, e->o->against, &arms[1]);
    if (status == HONE_OK)
        status = read_rows(e, e->path, &e->rows, &e->examples);
    if (status == HONE_OK)
        status = read_choices(e);
    for (size_t i = 0; i < n_arms && status == HONE_OK; i++)
        status = answer_all(e, &arms[i]);
    if (status == HONE_OK && n_arms > 1) {
        hone_paired_sample sample = {arms[0].scores, arms[1].scores, NULL, e->examples.n};
        status = hone_compare_family(&sample, 1, 0.05, 0, 0, &c, e->err);
    }
    if (status == HONE_OK)
        status = write_answers(e, arms, n_arms);
    if (status == HONE_OK)
        (e->o->json ? print_json : print_text)(e, arms, n_arms, &c);
    *passed = arms[0].mean >= e->o->min_score;
    if (status == HONE_OK && !*passed)
        fprintf(stderr, "hone eval: %.4f is below --min-score %g\n", arms[0].mean, e->o->min_score);
    for (size_t i = 0; i < n_arms; i++) {
        for (size_t j = 0; arms[i].answers && j < e->examples.n; j++)
            free(arms[i].answers[j]);
        free(arms[i].answers);
        free(arms[i].scores);
    }
    return status;
}

static int run(int argc, char **argv);

const hone_command hone_command_eval = {
    .name = "eval",
    .usage = "-m MODEL DATA.jsonl [options]",
    .summary = "how well a model, tuned or not, answers a file of examples",
    .details = "Rows as `hone train` takes them. Each row's last answer is generated from what stands before it and "
               "scored:\n"
               "exact (default), label, number, json, json_fields or token_f1; leniently (case, punctuation, a code "
               "fence)\n"
               "and strictly. --against compares two on the same rows, paired. With --min-score the exit code is 1 "
               "below it.",
    .run = run,
};

static int run(int argc, char **argv)
{
    settings o = {.metric = "exact"};
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &o.model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        {"adapter", 'a', HONE_OPTION_TEXT, &o.adapter, "ADAPTER", HONE_ADAPTER_HELP},
        {"against", 0, HONE_OPTION_TEXT, &o.against, "ADAPTER", "another adapter on the same rows, or \"base\""},
        {"system", 0, HONE_OPTION_TEXT, &o.system, "TEXT", "system message for rows without one of their own"},
        {"metric", 0, HONE_OPTION_TEXT, &o.metric, "NAME", "how an answer is scored (default exact)"},
        {"choices-from", 0, HONE_OPTION_TEXT, &o.choices_from, "FILE",
         "allow only the answers that stand in FILE, for instance the training rows"},
        {"answers", 0, HONE_OPTION_TEXT, &o.answers, "FILE", "write each row's answer and score there (JSONL)"},
        {"min-score", 0, HONE_OPTION_NUMBER, &o.min_score, "X", "exit with 1 when the score is below (0 to 1)"},
        HONE_NUMERICS_OPTION(&o.numerics),
        {"threads", 't', HONE_OPTION_INTEGER, &o.threads, "N", "threads (default: all processors)"},
        {"json", 0, HONE_OPTION_FLAG, &o.json, NULL, "the result as JSON"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_eval, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    bool passed = false;
    eval e = {.o = &o, .path = arguments.n ? arguments.items[0] : NULL, .err = &err};
    hone_status status = arguments.n == 1 ? evaluate(&e, &passed)
                                          : hone_fail(&err, HONE_BAD_INPUT,
                                                      "name one file of examples, for instance: hone eval -m "
                                                      "smollm2-135m test.jsonl");
    hone_choices_free(e.choices);
    for (size_t i = 0; i < e.n_labels; i++)
        free(e.labels[i]);
    free(e.labels);
    hone_encoded_examples_clear(&e.examples);
    hone_conversations_clear(&e.rows);
    hone_engine_close(e.engine);
    if (status != HONE_OK)
        return hone_command_failed(&hone_command_eval, &err);
    return passed ? HONE_EXIT_DONE : HONE_EXIT_CHECK_FAILED;
}
