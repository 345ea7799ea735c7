/* scoring.c - the task's metric applied to an answer. The lenient reading decides (an answer wrapped in a sentence is
 * still the answer); how often answers keep strictly to the form is measured apart. */
#include "approach/scoring.h"

#include "metric/fold.h"
#include "metric/label.h"
#include "metric/metric.h"

bool hone_task_has_form(const hone_task *task)
{
    return task->output_kind != HONE_OUTPUT_TEXT && task->output_kind != HONE_OUTPUT_SQL;
}

static const hone_metric *metric_of(const hone_task *task)
{
    return hone_metric_for_output(hone_output_kind_name(task->output_kind), task->metric);
}

static hone_status score(const hone_task *task, const char *raw, const char *reference, hone_metric_score *out,
                         hone_error *err)
{
    const hone_metric *metric = metric_of(task);
    if (!metric)
        return hone_fail(err, HONE_BAD_INPUT, "%s/task.yaml: unknown metric \"%s\"", task->folder,
                         task->metric ? task->metric : hone_output_kind_name(task->output_kind));
    hone_metric_case item = {.answer = raw, .reference = reference};
    if (hone_task_has_labels(task)) {
        item.labels = task->labels;
        item.n_labels = task->n_labels;
    }
    return metric->score(&item, out, err);
}

/* The answer as parsed: the label meant, or the trimmed text. */
static hone_status parsed_answer(const hone_task *task, hone_arena *arena, hone_answer *out, hone_error *err)
{
    if (hone_task_has_labels(task)) {
        int64_t index;
        hone_status status = hone_label_parse(out->raw, task->labels, task->n_labels, true, &index, err);
        if (status == HONE_OK)
            out->answer = index >= 0 ? task->labels[index] : NULL;
        return status;
    }
    size_t length;
    const char *text = hone_trim(out->raw, &length);
    out->answer = hone_arena_strndup(arena, text, length);
    return out->answer ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for answers");
}

hone_status hone_score_answer(const hone_task *task, const hone_row *row, hone_arena *arena, hone_answer *out,
                              hone_error *err)
{
    hone_metric_score found;
    out->answer = NULL;
    out->score = 0;
    hone_status status = score(task, out->raw, row->output, &found, err);
    if (status != HONE_OK)
        return hone_fail_within(err, status, "%s:%lld", row->file ? row->file : "row", (long long)row->line);
    if (!found.parsed_lenient)
        return HONE_OK;
    out->score = found.lenient;
    return parsed_answer(task, arena, out, err);
}

bool hone_answer_is_strict(const hone_task *task, const char *raw)
{
    /* Any reference does: only whether the answer could be read is asked. */
    hone_metric_score found;
    hone_metric_case item = {.answer = raw, .reference = task->output_kind == HONE_OUTPUT_JSON ? "{}" : "0"};
    const hone_metric *metric = metric_of(task);
    if (hone_task_has_labels(task)) {
        item.reference = task->labels[0];
        item.labels = task->labels;
        item.n_labels = task->n_labels;
    }
    return metric && metric->score(&item, &found, NULL) == HONE_OK && found.parsed_strict;
}
