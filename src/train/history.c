/* history.c - reading metrics.jsonl. */
#include "train/history.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double number_of(const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int by_line(const void *a, const void *b)
{
    const hone_history_row *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line ? 1 : x->visits - y->visits; /* visits: the order in the file */
}

/* Visits, each in a row of its own and in order, become one row a line. */
static size_t merge_visits(hone_history_row *visits, size_t n)
{
    size_t merged = 0;
    qsort(visits, n, sizeof *visits, by_line);
    for (size_t i = 0; i < n;) {
        hone_history_row row = {.line = visits[i].line, .first = visits[i].first};
        double later = 0;
        for (; i < n && visits[i].line == row.line; i++) {
            row.last = visits[i].first;
            later += row.visits > 0 ? visits[i].first : 0;
            row.visits++;
        }
        row.later = row.visits > 1 ? later / (row.visits - 1) : NAN;
        visits[merged++] = row;
    }
    return merged;
}

/* Each example of a batch is a visit to its row. */
static void add_visits(hone_train_history *h, const json_t *line)
{
    const json_t *lines = json_object_get(line, "lines"), *losses = json_object_get(line, "losses");
    size_t n = json_array_size(lines) < json_array_size(losses) ? json_array_size(lines) : json_array_size(losses);
    for (size_t i = 0; i < n; i++) {
        const json_t *loss = json_array_get(losses, i);
        if (!json_is_number(loss) || !json_is_integer(json_array_get(lines, i)))
            continue;
        h->rows[h->n_rows] = (hone_history_row){.line = json_integer_value(json_array_get(lines, i)),
                                                .visits = (int)(h->n_rows & 0x7fffffff),
                                                .first = json_number_value(loss)};
        h->n_rows++;
    }
}

static void add_step(hone_train_history *h, const json_t *line, int64_t step)
{
    if (h->n_steps && step <= h->steps[h->n_steps - 1].step)
        return;
    h->steps[h->n_steps++] = (hone_history_step){.step = step,
                                                 .loss = number_of(line, "loss"),
                                                 .learning_rate = number_of(line, "learning_rate"),
                                                 .gradient_norm = number_of(line, "gradient_norm"),
                                                 .tokens_per_second = number_of(line, "tokens_per_second"),
                                                 .seconds = number_of(line, "seconds"),
                                                 .lines = json_object_get(line, "lines")};
    add_visits(h, line);
}

static void add_score(hone_train_history *h, const json_t *line, int64_t step)
{
    const char *right = json_string_value(json_object_get(line, "right"));
    const json_t *samples = json_object_get(line, "samples");
    if (h->n_scores && step <= h->scores[h->n_scores - 1].step)
        return;
    h->scores[h->n_scores++] = (hone_history_score){.step = step,
                                                    .n = json_integer_value(json_object_get(line, "n")),
                                                    .unended = json_integer_value(json_object_get(line, "unended")),
                                                    .score = number_of(line, "score"),
                                                    .select_loss = number_of(line, "select_loss"),
                                                    .perplexity = number_of(line, "general_perplexity"),
                                                    .base_perplexity = number_of(line, "general_perplexity_base"),
                                                    .kl = number_of(line, "kl"),
                                                    .right = right ? right : "",
                                                    .samples = json_is_array(samples) ? samples : NULL};
}

static hone_status read_lines(char *text, json_t *into, size_t *n_visits, hone_error *err)
{
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        json_t *parsed = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (!json_is_object(parsed) || !json_is_integer(json_object_get(parsed, "step"))) {
            json_decref(parsed);
            continue;
        }
        *n_visits += json_array_size(json_object_get(parsed, "lines"));
        if (json_array_append_new(into, parsed) != 0)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    return HONE_OK;
}

hone_status hone_train_history_read(const char *folder, hone_train_history *out, hone_error *err)
{
    hone_buffer text = {0};
    char *path = hone_path_join(folder, "metrics.jsonl");
    size_t n_visits = 0, i;
    json_t *line;
    *out = (hone_train_history){.lines = json_array()};
    hone_status status =
        path && out->lines ? hone_file_read(path, 0, &text, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = read_lines(text.data, out->lines, &n_visits, err);
    hone_buffer_clear(&text);
    free(path);
    if (status != HONE_OK)
        return status;
    size_t n = json_array_size(out->lines);
    out->steps = calloc(n + 1, sizeof *out->steps);
    out->scores = calloc(n + 1, sizeof *out->scores);
    out->rows = calloc(n_visits + 1, sizeof *out->rows);
    if (!out->steps || !out->scores || !out->rows)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    json_array_foreach(out->lines, i, line)
    {
        int64_t step = json_integer_value(json_object_get(line, "step"));
        if (json_is_number(json_object_get(line, "loss")))
            add_step(out, line, step);
        else if (json_is_number(json_object_get(line, "score")))
            add_score(out, line, step);
    }
    out->n_rows = merge_visits(out->rows, out->n_rows);
    return HONE_OK;
}

void hone_train_history_clear(hone_train_history *h)
{
    free(h->steps);
    free(h->scores);
    free(h->rows);
    json_decref(h->lines);
    *h = (hone_train_history){0};
}

double hone_history_mean_loss(const hone_train_history *h, int64_t after, int64_t upto)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < h->n_steps; i++)
        if (h->steps[i].step > after && h->steps[i].step <= upto) {
            sum += h->steps[i].loss;
            n++;
        }
    return n ? sum / (double)n : NAN;
}

const hone_history_score *hone_history_best(const hone_train_history *h)
{
    const hone_history_score *best = NULL;
    for (size_t i = 0; i < h->n_scores; i++)
        if (!best || h->scores[i].score > best->score ||
            (h->scores[i].score == best->score && h->scores[i].select_loss < best->select_loss))
            best = &h->scores[i];
    return best;
}
