/* series.c - what repeated trainings share. */
#include "train/series.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hone_status hone_series_check(const hone_series *s, int n_seeds, hone_error *err)
{
    if (n_seeds < 1 || n_seeds > HONE_SERIES_MOST_SEEDS)
        return hone_fail(err, HONE_BAD_INPUT, "%d seeds; 1 to %d are possible", n_seeds, HONE_SERIES_MOST_SEEDS);
    if (!s->score)
        return hone_fail(err, HONE_BAD_INPUT, "seeds and parts are compared on rows that are held out for scores");
    return HONE_OK;
}

/* The series' progress with a name before it ("seed 3"). */
typedef struct named {
    hone_progress *to;
    char name[64];
} named;

static void on_begin(hone_progress *p, const char *name, const char *unit, int64_t total)
{
    named *n = p->context;
    char both[128];
    if (strcmp(name, "training") == 0)
        snprintf(both, sizeof both, "%s", n->name);
    else
        snprintf(both, sizeof both, "%s: %s", n->name, name);
    hone_progress_begin(n->to, both, unit, total);
}
static void on_resize(hone_progress *p, int64_t total)
{
    hone_progress_resize(((named *)p->context)->to, total);
}
static void on_update(hone_progress *p, int64_t done, const char *detail)
{
    hone_progress_update(((named *)p->context)->to, done, detail);
}
static void on_end(hone_progress *p)
{
    hone_progress_end(((named *)p->context)->to);
}
static void on_note(hone_progress *p, const char *text)
{
    hone_progress_note(((named *)p->context)->to, "%s", text);
}

hone_status hone_series_train(const hone_series *s, const char *name, size_t n_examples, const hone_train_options *o,
                              const hone_search_candidate *candidates, size_t n_candidates, hone_train_result *result,
                              hone_search_outcome *outcome, hone_error *err)
{
    named n = {.to = s->progress};
    hone_progress progress = {&n, on_begin, on_resize, on_update, on_end, on_note};
    snprintf(n.name, sizeof n.name, "%s", name);
    if (n_candidates == 0)
        return hone_train(s->engine, s->examples, n_examples, o, s->score, s->score_context, &progress, result, err);
    return hone_train_search(s->engine, s->examples, n_examples, o, candidates, n_candidates, s->score,
                             s->score_context, &progress, result, outcome, err);
}

hone_status hone_series_write_json(const char *folder, const char *name, const json_t *json, hone_error *err)
{
    char *path = hone_path_join(folder, name), *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    hone_status status = path && text ? hone_file_write_atomic(path, text, strlen(text), err)
                                      : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    free(path);
    free(text);
    return status;
}
