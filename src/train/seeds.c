/* seeds.c - trainings that differ in their seed, and the best of them. */
#include "train/seeds.h"

#include "base/file.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

typedef struct seed_run {
    char *folder;
    hone_train_result result;
} seed_run;

static hone_status train_seed(const hone_series *s, const hone_train_options *options,
                              const hone_search_candidate *candidates, size_t n_candidates, seed_run *run,
                              hone_search_outcome *outcome, hone_error *err)
{
    char name[32];
    hone_train_options o = *options;
    o.folder = run->folder;
    snprintf(name, sizeof name, "seed %llu", (unsigned long long)o.seed);
    return hone_series_train(s, name, s->n_examples, &o, candidates, n_candidates, &run->result, outcome, err);
}

static json_t *describe_seeds(const seed_run *runs, int n, uint64_t first, int kept)
{
    double scores[HONE_SERIES_MOST_SEEDS];
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        scores[i] = runs[i].result.best_score;
        json_array_append_new(list, json_pack("{s:I, s:f, s:I, s:f}", "seed", (json_int_t)first + i, "best_score",
                                              scores[i], "best_step", (json_int_t)runs[i].result.best_step, "seconds",
                                              runs[i].result.seconds + runs[i].result.score_seconds));
    }
    double spread = hone_standard_deviation(scores, (size_t)n);
    return json_pack("{s:o, s:f, s:o, s:I}", "runs", list, "mean", hone_mean(scores, (size_t)n), "standard_deviation",
                     isfinite(spread) ? json_real(spread) : json_null(), "kept", (json_int_t)first + kept);
}

static hone_status copy_file(const char *from, const char *to, const char *name, hone_error *err)
{
    hone_buffer bytes = {0};
    char *old = hone_path_join(from, name), *new = hone_path_join(to, name);
    hone_status status = old && new ? HONE_OK : no_memory(err);
    if (status == HONE_OK && hone_file_exists(old)) {
        status = hone_file_read(old, 0, &bytes, err);
        if (status == HONE_OK)
            status = hone_file_write_atomic(new, bytes.data ? bytes.data : "", bytes.length, err);
    }
    hone_buffer_clear(&bytes);
    free(old);
    free(new);
    return status;
}

static json_t *read_json(const char *folder, const char *name)
{
    char *path = hone_path_join(folder, name);
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    free(path);
    return json;
}

/* hone.json comes last: it is the mark that the copy is whole. A finished adapter that none of these seeds made is
 * somebody's work. */
static hone_status keep_copy(const hone_series *s, const char *from, const seed_run *runs, int n, json_t *seeds,
                             hone_error *err)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors", "metrics.jsonl",
                                        "README.md"};
    const char *folder = s->options.folder;
    json_t *record = read_json(from, "hone.json"), *there = read_json(folder, "hone.json");
    const char *print = json_string_value(json_object_get(there, "run_fingerprint"));
    bool ours = print == NULL;
    for (int i = 0; i < n && !ours; i++) {
        json_t *of = read_json(runs[i].folder, "hone.json");
        const char *theirs = json_string_value(json_object_get(of, "run_fingerprint"));
        ours = theirs && strcmp(theirs, print) == 0;
        json_decref(of);
    }
    hone_status status = record ? HONE_OK : hone_fail(err, HONE_BAD_FORMAT, "%s: no hone.json", from);
    if (status == HONE_OK && !ours)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "%s: holds the finished adapter of another run (other data, model or settings); remove the "
                           "folder or choose another with -o",
                           folder);
    for (size_t i = 0; i < sizeof files / sizeof *files && status == HONE_OK; i++)
        status = copy_file(from, folder, files[i], err);
    if (status == HONE_OK) {
        json_object_set(record, "seeds", seeds);
        status = hone_series_write_json(folder, "hone.json", record, err);
    }
    json_decref(record);
    json_decref(there);
    return status;
}

hone_status hone_train_seeds(const hone_series *s, int n_seeds, const hone_search_candidate *candidates,
                             size_t n_candidates, hone_train_result *kept, json_t **record,
                             hone_search_outcome *outcome, hone_error *err)
{
    seed_run runs[HONE_SERIES_MOST_SEEDS] = {0};
    hone_train_options options = s->options;
    int best = 0;
    *record = NULL;
    *outcome = (hone_search_outcome){0};
    hone_status status = hone_series_check(s, n_seeds, err);
    if (status == HONE_OK)
        status = hone_folder_create(s->options.folder, err);
    for (int i = 0; i < n_seeds && status == HONE_OK; i++) {
        char name[32];
        options.seed = s->options.seed + (uint64_t)i;
        snprintf(name, sizeof name, "seed-%llu", (unsigned long long)options.seed);
        runs[i].folder = hone_path_join(s->options.folder, name);
        status = runs[i].folder ? train_seed(s, &options, candidates, i == 0 ? n_candidates : 0, &runs[i], outcome, err)
                                : no_memory(err);
        if (status == HONE_OK && i == 0 && n_candidates > 0)
            options = outcome->options;
        if (status == HONE_OK && runs[i].result.best_score > runs[best].result.best_score)
            best = i;
    }
    if (status == HONE_OK) {
        *kept = runs[best].result;
        *record = describe_seeds(runs, n_seeds, s->options.seed, best);
        status = *record ? keep_copy(s, runs[best].folder, runs, n_seeds, *record, err) : no_memory(err);
    }
    for (int i = 0; i < n_seeds; i++)
        free(runs[i].folder);
    if (status != HONE_OK) {
        json_decref(*record);
        json_decref(outcome->record);
        *record = outcome->record = NULL;
    }
    return status;
}
