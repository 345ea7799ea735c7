/* check.c - counts over a task's rows, and the findings drawn from them. The limits that make a finding stand here,
 * once. */
#include "task/check.h"

#include "base/text.h"
#include "task/fold.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#if __has_include("stats/power.h")
#include "stats/power.h"
#endif

enum {
    FEW_TRAIN_ROWS = 5,  /* of a label: below, a warning */
    MANY_OPENINGS = 5,   /* of the test: from here on, a warning */
    MAX_PAIRS = 5,       /* rows shown of each kind */
    PROMPT_TOKENS = 1024 /* inputs longer than this leave little room for examples in a small model's context */
};
static const double few_points = 0.30;          /* a test that detects only larger differences fails */
static const double coarse_points = 0.10;       /* ... warns */
static const double contradicting_share = 0.05; /* of train and select: above, failed */

static const double discordant = 0.20, alpha = 0.05, power = 0.80; /* EVIDENCE: what the printed difference assumes */

static double detectable(int64_t n)
{
#if __has_include("stats/power.h")
    return hone_detectable_difference(n, discordant, alpha, power, 1);
#else
    /* Paired proportions, normal approximation: d sqrt(n) = z_a sqrt(p) + z_b sqrt(p - d^2), by iteration. */
    (void)alpha;
    (void)power;
    double d = 0;
    for (int i = 0; i < 50; i++)
        d = (1.959964 * sqrt(discordant) + 0.841621 * sqrt(fmax(discordant - d * d, 0))) / sqrt((double)n);
    return fmin(d, 1);
#endif
}

static void find(hone_task *task, hone_task_check *out, const char *name, hone_finding_state state, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));

static void find(hone_task *task, hone_task_check *out, const char *name, hone_finding_state state, const char *format,
                 ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *kept = hone_arena_strdup(task->arena, text);
    if (kept && out->n_findings < sizeof out->findings / sizeof *out->findings)
        out->findings[out->n_findings++] = (hone_finding){name, state, kept};
}

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

/* ---- labels ---- */

static int rarest_first(const void *a, const void *b)
{
    const hone_label_count *x = a, *y = b;
    if (x->train != y->train)
        return x->train < y->train ? -1 : 1;
    return strcmp(x->label, y->label);
}

static int by_label(const void *a, const void *b)
{
    return strcmp(((const hone_label_count *)a)->label, ((const hone_label_count *)b)->label);
}

static void count_rows(hone_task_check *out, const hone_rows *rows, size_t offset)
{
    for (size_t i = 0; i < rows->n; i++) {
        hone_label_count wanted = {.label = rows->items[i].output};
        hone_label_count *found = bsearch(&wanted, out->labels, out->n_labels, sizeof wanted, by_label);
        if (found)
            ++*(size_t *)(void *)((char *)found + offset);
    }
}

static hone_status check_labels(hone_task *task, hone_task_check *out, hone_error *err)
{
    size_t few = 0;
    if (!task->n_labels)
        return HONE_OK;
    out->labels = hone_arena_array(task->arena, task->n_labels, sizeof *out->labels);
    if (!out->labels)
        return no_memory(err);
    out->n_labels = task->n_labels;
    for (size_t i = 0; i < task->n_labels; i++)
        out->labels[i].label = task->labels[i];
    count_rows(out, &task->train, offsetof(hone_label_count, train));
    count_rows(out, &task->select_tune, offsetof(hone_label_count, select));
    count_rows(out, &task->select_name, offsetof(hone_label_count, select));
    count_rows(out, &task->test, offsetof(hone_label_count, test));
    const char *twin = NULL, *other = NULL;
    for (size_t i = 0; i < out->n_labels && out->n_labels <= 4096 && !twin; i++)
        for (size_t j = i + 1; j < out->n_labels && !twin; j++)
            if (strcasecmp(out->labels[i].label, out->labels[j].label) == 0) {
                twin = out->labels[i].label;
                other = out->labels[j].label;
            }
    qsort(out->labels, out->n_labels, sizeof *out->labels, rarest_first);
    for (size_t i = 0; i < out->n_labels; i++)
        few += out->labels[i].train < FEW_TRAIN_ROWS;
    if (twin)
        find(task, out, "labels", HONE_FINDING_WARNING,
             "\"%.60s\" and \"%.60s\" differ in case only and count as two labels", twin, other);
    else if (few)
        find(task, out, "labels", HONE_FINDING_WARNING,
             "%zu of %zu labels have fewer than %d training rows; add rows of the rarest", few, out->n_labels,
             FEW_TRAIN_ROWS);
    else
        find(task, out, "labels", HONE_FINDING_GOOD, "%zu labels, each with at least %zu training rows", out->n_labels,
             out->labels[0].train);
    return HONE_OK;
}

/* ---- repeats and contradictions inside train and select ---- */

typedef struct folded {
    char fold[33];
    const hone_row *row;
} folded;

static int by_fold(const void *a, const void *b)
{
    const folded *x = a, *y = b;
    int order = strcmp(x->fold, y->fold);
    if (order == 0)
        order = strcmp(x->row->file, y->row->file);
    return order ? order : (x->row->line > y->row->line) - (x->row->line < y->row->line);
}

/* One run of rows with equal folded inputs, in file order. */
static void check_run(hone_task_check *out, const folded *run, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        bool repeated = false;
        for (size_t j = 0; j < i && j < 64 && !repeated; j++)
            repeated = strcmp(run[i].row->id, run[j].row->id) == 0;
        out->n_repeated += repeated;
        if (strcmp(run[i].row->output, run[0].row->output) == 0)
            continue;
        if (out->n_contradictions++ < MAX_PAIRS)
            out->contradictions[out->n_contradictions_kept++] = (hone_row_pair){run[0].row, run[i].row};
    }
}

static hone_status check_repeats(hone_task *task, hone_task_check *out, hone_error *err)
{
    const hone_rows *parts[] = {&task->train, &task->select_tune, &task->select_name};
    size_t n = 0, all = task->train.n + task->select_tune.n + task->select_name.n;
    folded *rows = hone_arena_array(task->arena, all + 1, sizeof *rows);
    out->contradictions = hone_arena_array(task->arena, MAX_PAIRS, sizeof *out->contradictions);
    if (!rows || !out->contradictions)
        return no_memory(err);
    for (int p = 0; p < 3; p++)
        for (size_t i = 0; i < parts[p]->n; i++, n++) {
            rows[n].row = &parts[p]->items[i];
            hone_status status = hone_fold_key(rows[n].row->input, rows[n].fold, err);
            if (status != HONE_OK)
                return status;
        }
    qsort(rows, n, sizeof *rows, by_fold);
    for (size_t start = 0, end; start < n; start = end) {
        for (end = start + 1; end < n && strcmp(rows[end].fold, rows[start].fold) == 0;)
            end++;
        check_run(out, rows + start, end - start);
    }
    bool label = task->output_kind == HONE_OUTPUT_LABEL || task->output_kind == HONE_OUTPUT_CHOICE;
    double share = (double)out->n_contradictions / (double)all;
    if (out->n_contradictions && label)
        find(task, out, "contradictions", share > contradicting_share ? HONE_FINDING_FAILED : HONE_FINDING_WARNING,
             "%zu training rows ask what an earlier row asks and answer otherwise; decide which is right",
             out->n_contradictions);
    else
        find(task, out, "contradictions", HONE_FINDING_GOOD, "no question is answered in two ways");
    if (out->n_repeated)
        find(task, out, "repeats", HONE_FINDING_WARNING,
             "%zu training rows repeat an earlier one and count twice in tuning", out->n_repeated);
    else
        find(task, out, "repeats", HONE_FINDING_GOOD, "no training row stands twice");
    return HONE_OK;
}

/* ---- lengths ---- */

static int64_t characters(void *context, const char *text)
{
    (void)context;
    int64_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static hone_status measure(hone_task *task, const hone_length_counter *counter, bool output, hone_length *out,
                           hone_error *err)
{
    const hone_rows *parts[] = {&task->train, &task->select_tune, &task->select_name, &task->test};
    size_t n = 0, all = 0;
    for (int p = 0; p < 4; p++)
        all += parts[p]->n;
    int64_t *lengths = hone_arena_array(task->arena, all + 1, sizeof *lengths);
    if (!lengths)
        return no_memory(err);
    for (int p = 0; p < 4; p++)
        for (size_t i = 0; i < parts[p]->n; i++) {
            const hone_row *row = &parts[p]->items[i];
            int64_t length = counter->count(counter->context, output ? row->output : row->input);
            if (length < 0)
                return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: the text could not be counted in %s", row->file,
                                 (long long)row->line, counter->unit);
            if (n == 0 || length > out->longest) {
                out->longest = length;
                out->file = row->file;
                out->line = row->line;
            }
            lengths[n++] = length;
        }
    qsort(lengths, n, sizeof *lengths, by_value);
    out->median = lengths[n / 2];
    out->p95 = lengths[(size_t)((double)(n - 1) * 0.95)];
    return HONE_OK;
}

static void find_length(hone_task *task, int64_t context_tokens, hone_task_check *out)
{
    if (context_tokens > 0 && out->input.longest >= context_tokens)
        find(task, out, "lengths", HONE_FINDING_FAILED,
             "the longest input has %lld tokens (%s:%lld), the model's context holds %lld; shorten or remove the row",
             (long long)out->input.longest, out->input.file, (long long)out->input.line, (long long)context_tokens);
    else if (strcmp(out->length_unit, "tokens") == 0 && out->input.longest > PROMPT_TOKENS)
        find(task, out, "lengths", HONE_FINDING_WARNING,
             "the longest input has %lld tokens (%s:%lld); prompts with examples may not fit",
             (long long)out->input.longest, out->input.file, (long long)out->input.line);
}

/* ---- test ---- */

static void check_test(hone_task *task, hone_task_check *out)
{
    if (task->n_dropped_duplicates)
        find(task, out, "leaks", HONE_FINDING_FAILED,
             "%zu training rows stand in the test too; compare leaves them out of training, better remove them",
             task->n_dropped_duplicates);
    else if (task->n_near_duplicates)
        find(task, out, "leaks", HONE_FINDING_WARNING,
             "%zu training row%s like a test row but for case, space, punctuation or output", task->n_near_duplicates,
             task->n_near_duplicates == 1 ? " reads" : "s read");
    else
        find(task, out, "leaks", HONE_FINDING_GOOD, "no training row stands in the test");
    char rows[32];
    hone_format_count((int64_t)task->test.n, rows);
    double points = 100 * out->detectable_difference;
    if (out->detectable_difference >= few_points)
        find(task, out, "test size", HONE_FINDING_FAILED,
             "%s rows detect differences of %.0f points or more; that decides nothing, add test rows", rows, points);
    else
        find(task, out, "test size",
             out->detectable_difference > coarse_points ? HONE_FINDING_WARNING : HONE_FINDING_GOOD,
             "%s rows detect differences of about %.*f points (one comparison, 80 %% power)", rows, points < 10 ? 1 : 0,
             points);
    if (out->n_openings == 0)
        find(task, out, "locked test", HONE_FINDING_GOOD, "never opened");
    else
        find(task, out, "locked test", out->n_openings >= MANY_OPENINGS ? HONE_FINDING_WARNING : HONE_FINDING_GOOD,
             "opened %lld time%s%s", (long long)out->n_openings, out->n_openings == 1 ? "" : "s",
             out->n_openings >= MANY_OPENINGS
                 ? "; choices made after looking at it make its scores too high, bring fresh rows"
                 : "");
}

hone_status hone_task_check_run(hone_task *task, hone_ledger *ledger, const hone_length_counter *counter,
                                hone_task_check *out, hone_error *err)
{
    static const hone_length_counter in_characters = {"characters", characters, NULL};
    if (!counter)
        counter = &in_characters;
    memset(out, 0, sizeof *out);
    out->length_unit = counter->unit;
    out->detectable_difference = detectable((int64_t)task->test.n);
    hone_status status = hone_ledger_count_openings(ledger, task->test_hash, &out->n_openings, err);
    if (status == HONE_OK)
        status = measure(task, counter, false, &out->input, err);
    if (status == HONE_OK)
        status = measure(task, counter, true, &out->output, err);
    if (status == HONE_OK)
        status = check_labels(task, out, err);
    if (status == HONE_OK)
        status = check_repeats(task, out, err);
    if (status != HONE_OK)
        return status;
    find_length(task, counter ? counter->context_tokens : 0, out);
    check_test(task, out);
    return HONE_OK;
}
