/* warnings.c - the rules. Rows that never fit: examples that stay hard over the passes are mislabelled more often than
 * others (Swayamdipta et al. 2020, "Dataset Cartography", arXiv 2009.10795). The outlier rule is Tukey's fence. */
#include "train/warnings.h"

#include "base/buffer.h"
#include "base/numbers.h"
#include "stats/mcnemar.h"
#include "stats/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPIKE_WINDOW = 16, MOST_SPIKES = 5, MOST_LINES = 20, MOST_ROWS = 200, LEAST_ROWS = 16 };
static const double spike_nats = 0.5, spike_deviations = 6, mad_to_deviation = 1.4826;
static const double fence = 1.5, fit_nats = 0.2, hardly_less = 0.95, memorising_nats = 0.1, memorising_rise = 1.1;
static const double worse_p = 0.05, retention_rise = 1.5, unended_share = 0.1;

typedef struct report {
    const hone_train_history *history;
    json_t *out;
    hone_error *err;
} report;

static hone_status add(report *r, const char *kind, hone_buffer *text, json_t *rows)
{
    json_t *warning = text->failed ? NULL : json_pack("{s:s, s:s}", "kind", kind, "text", text->data);
    hone_buffer_clear(text);
    if (warning && rows)
        json_object_set(warning, "rows", rows);
    return warning && json_array_append_new(r->out, warning) == 0 ? HONE_OK
                                                                  : hone_fail(r->err, HONE_NO_MEMORY, "out of memory");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return hone_quantile_sorted(values, n, 0.5);
}

/* "3, 17 and 4 more" */
static void add_lines(hone_buffer *b, const json_t *lines)
{
    size_t n = json_array_size(lines);
    for (size_t i = 0; i < n && i < MOST_LINES; i++)
        hone_buffer_printf(b, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(lines, i)));
    if (n > MOST_LINES)
        hone_buffer_printf(b, " and %zu more", n - MOST_LINES);
}

static hone_status look_for_spikes(report *r)
{
    const hone_train_history *h = r->history;
    int n = 0;
    for (size_t i = SPIKE_WINDOW; i < h->n_steps && n < MOST_SPIKES; i++) {
        double before[SPIKE_WINDOW], apart[SPIKE_WINDOW];
        for (size_t j = 0; j < SPIKE_WINDOW; j++)
            before[j] = h->steps[i - SPIKE_WINDOW + j].loss;
        double median = median_of(before, SPIKE_WINDOW);
        for (size_t j = 0; j < SPIKE_WINDOW; j++)
            apart[j] = fabs(before[j] - median);
        double above = spike_deviations * mad_to_deviation * median_of(apart, SPIKE_WINDOW);
        if (!(h->steps[i].loss - median > fmax(above, spike_nats)))
            continue;
        hone_buffer b = {0};
        hone_buffer_printf(&b,
                           "the loss jumped to %.2f at step %lld (the %d steps before: around %.2f); its rows: lines ",
                           h->steps[i].loss, (long long)h->steps[i].step, SPIKE_WINDOW, median);
        add_lines(&b, h->steps[i].lines);
        hone_buffer_puts(&b, ". A lower rate makes jumps rarer");
        n++;
        hone_status status = add(r, "spike", &b, NULL);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

static int by_loss_falling(const void *a, const void *b)
{
    const hone_history_row *x = *(const hone_history_row *const *)a, *y = *(const hone_history_row *const *)b;
    return x->later > y->later ? -1 : x->later < y->later ? 1 : x->line < y->line ? -1 : 1;
}

/* Rows beyond the upper fence of the losses that rows have after the first pass. */
static hone_status look_for_rows_that_never_fit(report *r)
{
    const hone_train_history *h = r->history;
    hone_status status = HONE_OK;
    double *losses = calloc(h->n_rows + 1, sizeof *losses);
    const hone_history_row **seen = calloc(h->n_rows + 1, sizeof *seen);
    json_t *rows = json_array(), *lines = json_array();
    hone_buffer b = {0};
    size_t n = 0, beyond = 0;
    if (!losses || !seen || !rows || !lines) {
        status = hone_fail(r->err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < h->n_rows; i++)
        if (h->rows[i].visits > 1) {
            seen[n] = &h->rows[i];
            losses[n++] = h->rows[i].later;
        }
    if (n < LEAST_ROWS)
        goto done;
    double median = median_of(losses, n), low = hone_quantile_sorted(losses, n, 0.25),
           high = hone_quantile_sorted(losses, n, 0.75), limit = fmax(high + fence * (high - low), fit_nats);
    qsort(seen, n, sizeof *seen, by_loss_falling);
    for (; beyond < n && seen[beyond]->later > limit; beyond++)
        if (beyond < MOST_ROWS) {
            json_array_append_new(
                rows, json_pack("{s:I, s:f}", "line", (json_int_t)seen[beyond]->line, "loss", seen[beyond]->later));
            json_array_append_new(lines, json_integer(seen[beyond]->line));
        }
    if (beyond == 0)
        goto done;
    hone_buffer_printf(
        &b,
        "%zu of %zu rows %s hardly learned: after the first pass their loss stays above %.2f (half of all "
        "rows: below %.2f). Look whether their answers are right, the worst first: line%s ",
        beyond, n, beyond == 1 ? "is" : "are", limit, median, beyond == 1 ? "" : "s");
    add_lines(&b, lines);
    status = add(r, "never fit", &b, rows);
done:
    free(losses);
    free(seen);
    json_decref(rows);
    json_decref(lines);
    return status;
}

static int64_t score_before(const hone_train_history *h, const hone_history_score *s)
{
    return s > h->scores ? s[-1].step : 0;
}

/* Mean training loss between the score before this one and this one. */
static double training_loss_at(const hone_train_history *h, const hone_history_score *s)
{
    return hone_history_mean_loss(h, score_before(h, s), s->step);
}

static hone_status look_for_memorising(report *r)
{
    const hone_train_history *h = r->history;
    const hone_history_score *last = h->n_scores ? &h->scores[h->n_scores - 1] : NULL, *least = NULL;
    for (size_t i = 0; i < h->n_scores; i++)
        if (isfinite(h->scores[i].select_loss) && (!least || h->scores[i].select_loss < least->select_loss))
            least = &h->scores[i];
    if (!least || least == last)
        return HONE_OK;
    double then = training_loss_at(h, least), now = training_loss_at(h, last);
    if (!(now < hardly_less * then) || !(last->select_loss > memorising_rise * least->select_loss) ||
        !(last->select_loss - least->select_loss > memorising_nats))
        return HONE_OK;
    hone_buffer b = {0};
    hone_buffer_printf(
        &b,
        "memorising: from step %lld to %lld the loss on training rows fell from %.2f to %.2f and that on "
        "held-out rows rose from %.2f to %.2f. Fewer passes, more rows or a lower rate may serve better",
        (long long)least->step, (long long)last->step, then, now, least->select_loss, last->select_loss);
    return add(r, "memorising", &b, NULL);
}

static hone_status look_for_a_worse_metric(report *r)
{
    const hone_train_history *h = r->history;
    const hone_history_score *best = hone_history_best(h), *last = h->n_scores ? &h->scores[h->n_scores - 1] : NULL;
    if (!best || best == last || strlen(best->right) != strlen(last->right))
        return HONE_OK;
    int64_t only_best = 0, only_last = 0;
    for (size_t i = 0; best->right[i]; i++) {
        only_best += best->right[i] == '1' && last->right[i] == '0';
        only_last += best->right[i] == '0' && last->right[i] == '1';
    }
    double then = training_loss_at(h, best), now = training_loss_at(h, last),
           p = hone_mcnemar_exact(only_best, only_last);
    if (only_best <= only_last || !(p < worse_p) || !(now < hardly_less * then))
        return HONE_OK;
    hone_buffer b = {0};
    hone_buffer_printf(&b,
                       "the loss fell from %.2f to %.2f after step %lld while fewer held-out answers were right: %.3f, "
                       "then %.3f (%lld lost, %lld won; %s). The checkpoint of step %lld is kept",
                       then, now, (long long)best->step, best->score, last->score, (long long)only_best,
                       (long long)only_last, hone_number_p(p).text, (long long)best->step);
    return add(r, "metric", &b, NULL);
}

static hone_status look_at_retention(report *r)
{
    const hone_history_score *kept = hone_history_best(r->history);
    if (!kept || !(kept->base_perplexity > 0) || !(kept->perplexity > retention_rise * kept->base_perplexity))
        return HONE_OK;
    hone_buffer b = {0};
    hone_buffer_printf(&b,
                       "general ability suffers: perplexity on ordinary text is %.3g with the adapter and %.3g without "
                       "(%.1f times). A lower rate, fewer passes or a smaller rank keep more",
                       kept->perplexity, kept->base_perplexity, kept->perplexity / kept->base_perplexity);
    return add(r, "retention", &b, NULL);
}

static hone_status look_for_answers_that_do_not_end(report *r)
{
    const hone_history_score *kept = hone_history_best(r->history);
    if (!kept || kept->n <= 0 || kept->unended < 2 || (double)kept->unended < unended_share * (double)kept->n)
        return HONE_OK;
    hone_buffer b = {0};
    hone_buffer_printf(&b,
                       "%lld of %lld held-out answers did not end by themselves within the length of the longest "
                       "reference. More steps may be needed",
                       (long long)kept->unended, (long long)kept->n);
    return add(r, "unended", &b, NULL);
}

hone_status hone_train_warnings(const hone_train_history *history, json_t **out, hone_error *err)
{
    static hone_status (*const rules[])(report *) = {look_for_spikes,
                                                     look_for_memorising,
                                                     look_for_a_worse_metric,
                                                     look_at_retention,
                                                     look_for_answers_that_do_not_end,
                                                     look_for_rows_that_never_fit};
    report r = {history, json_array(), err};
    hone_status status = r.out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof rules / sizeof *rules && status == HONE_OK; i++)
        status = rules[i](&r);
    *out = r.out;
    if (status != HONE_OK) {
        json_decref(r.out);
        *out = NULL;
    }
    return status;
}

hone_status hone_train_warnings_of_folder(const char *folder, json_t **out, hone_error *err)
{
    hone_train_history history;
    hone_status status = hone_train_history_read(folder, &history, err);
    *out = NULL;
    if (status == HONE_NOT_FOUND)
        status = (*out = json_array()) ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    else if (status == HONE_OK)
        status = hone_train_warnings(&history, out, err);
    hone_train_history_clear(&history);
    return status;
}
