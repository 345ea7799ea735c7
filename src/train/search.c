/* search.c - successive halving. What was tried is kept in search.json beside the adapter, candidate by candidate, and
 * the candidates' runs in probe/ until one is left. */
#include "train/search.h"

#include "base/file.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPEED_STEPS = 4 };

const double hone_search_rates[] = {1e-3, 3e-4, 2e-3, 1e-4};
const size_t hone_n_search_rates = sizeof hone_search_rates / sizeof *hone_search_rates;

typedef struct search {
    hone_engine *engine;
    const hone_train_example *examples;
    size_t n_examples;
    hone_train_options options; /* without rate and rank */
    const hone_search_candidate *candidates;
    size_t n_candidates;
    hone_train_score score;
    void *score_context;
    hone_progress *progress;
    hone_error *err;
    char *path, *probe; /* search.json, the folder of the candidates' runs */
    char name[96];      /* of the candidate that is training */
    json_t *record;
    int64_t total; /* steps of a run */
} search;

typedef struct standing {
    size_t candidate;
    double score, loss;
} standing;

int hone_search_rungs(size_t n)
{
    int rungs = 0;
    for (; n > 1; n = (n + 1) / 2)
        rungs++;
    return rungs;
}

int64_t hone_search_rung_step(int rung, int n_rungs, int64_t total, double warmup_fraction)
{
    int64_t step = total >> (n_rungs + 1 - rung), least = 2 * (int64_t)floor(warmup_fraction * (double)total);
    step = step < least ? least : step;
    step = step < rung + 2 ? rung + 2 : step;
    return step < total ? step : total - 1;
}

double hone_search_extra_runs(size_t n)
{
    int rungs = hone_search_rungs(n);
    double extra = 0;
    for (int rung = 0; rung < rungs; rung++, n = (n + 1) / 2)
        extra += (double)(n - (n + 1) / 2) / pow(2, rungs + 1 - rung);
    return extra;
}

static int64_t steps_of(const search *s)
{
    const hone_train_options *o = &s->options;
    double per_epoch = ceil((double)s->n_examples / (double)o->batch), steps = ceil(o->epochs * per_epoch - 1e-9);
    return o->max_steps > 0 && steps > (double)o->max_steps ? o->max_steps : (int64_t)steps;
}

/* The candidates' progress under their names. */
static void on_begin(hone_progress *p, const char *name, const char *unit, int64_t total)
{
    (void)name;
    search *s = p->context;
    hone_progress_begin(s->progress, s->name, unit, total);
}
static void on_resize(hone_progress *p, int64_t total)
{
    hone_progress_resize(((search *)p->context)->progress, total);
}
static void on_update(hone_progress *p, int64_t done, const char *detail)
{
    hone_progress_update(((search *)p->context)->progress, done, detail);
}
static void on_end(hone_progress *p)
{
    hone_progress_end(((search *)p->context)->progress);
}
static void on_note(hone_progress *p, const char *text)
{
    hone_progress_note(((search *)p->context)->progress, "%s", text);
}

static void candidate_options(const search *s, size_t candidate, hone_train_options *out)
{
    const hone_search_candidate *c = &s->candidates[candidate];
    *out = s->options;
    out->learning_rate = c->learning_rate;
    out->rank = c->rank;
    out->alpha = s->options.alpha / (double)s->options.rank * (double)c->rank;
}

static char *candidate_folder(const search *s, size_t candidate)
{
    char name[64];
    snprintf(name, sizeof name, "rate-%g-rank-%d", s->candidates[candidate].learning_rate,
             s->candidates[candidate].rank);
    return hone_path_join(s->probe, name);
}

static hone_status save(search *s)
{
    char *text = json_dumps(s->record, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    hone_status status = text ? hone_file_write_atomic(s->path, text, strlen(text), s->err)
                              : hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
    free(text);
    return status;
}

static hone_status train_to(search *s, size_t candidate, const char *folder, int64_t pause_at,
                            hone_train_result *result)
{
    hone_train_options o;
    hone_progress progress = {s, on_begin, on_resize, on_update, on_end, on_note};
    candidate_options(s, candidate, &o);
    o.folder = folder;
    o.pause_at = pause_at;
    snprintf(s->name, sizeof s->name, "rate %g, rank %d", o.learning_rate, o.rank);
    hone_status status = hone_folder_create(folder, s->err);
    return status == HONE_OK ? hone_train(s->engine, s->examples, s->n_examples, &o, s->score, s->score_context,
                                          &progress, result, s->err)
                             : status;
}

/* Steps for which there is time, measured once on the first candidate. */
static hone_status plan_for_time(search *s)
{
    json_t *planned = json_object_get(s->record, "max_steps");
    double limit = s->options.max_seconds;
    s->options.max_seconds = 0;
    if (planned)
        s->options.max_steps = json_integer_value(planned);
    if (planned || !(limit > 0)) {
        s->total = steps_of(s);
        return HONE_OK;
    }
    hone_train_result r;
    char *folder = hone_path_join(s->probe, "speed");
    hone_status status =
        folder ? train_to(s, 0, folder, SPEED_STEPS, &r) : hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_folder_remove(folder, s->err);
    free(folder);
    if (status != HONE_OK)
        return status;
    double n_scores = ceil(s->options.epochs * s->options.scores_per_epoch);
    for (size_t n = s->n_candidates; n > 1; n = (n + 1) / 2)
        n_scores += (double)n;
    double left = limit - n_scores * r.score_seconds, each = r.seconds / (double)r.steps;
    int64_t steps = (int64_t)floor(fmax(left, 0) / (each * (1 + hone_search_extra_runs(s->n_candidates))));
    int64_t wanted = steps_of(s);
    steps = steps < HONE_SEARCH_LEAST_STEPS ? HONE_SEARCH_LEAST_STEPS : steps;
    s->options.max_steps = steps < wanted ? steps : wanted;
    s->total = steps_of(s);
    json_object_set_new(s->record, "max_steps", json_integer(s->options.max_steps));
    return save(s);
}

static json_t *find_tried(const json_t *rung, const hone_search_candidate *c)
{
    size_t i;
    json_t *tried;
    json_array_foreach(json_object_get(rung, "tried"), i, tried)
    {
        if (json_integer_value(json_object_get(tried, "rank")) == c->rank &&
            json_real_value(json_object_get(tried, "learning_rate")) == c->learning_rate)
            return tried;
    }
    return NULL;
}

static double number_of(const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static json_t *number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* Trains a candidate to the rung's step, or finds that this was done. */
static hone_status try_candidate(search *s, json_t *rung, standing *out)
{
    const hone_search_candidate *c = &s->candidates[out->candidate];
    json_t *tried = find_tried(rung, c);
    hone_status status = HONE_OK;
    if (!tried) {
        hone_train_result r = {0};
        char *folder = candidate_folder(s, out->candidate);
        status = folder ? train_to(s, out->candidate, folder, json_integer_value(json_object_get(rung, "steps")), &r)
                        : hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
        free(folder);
        if (status != HONE_OK && !r.broke_down)
            return status;
        status = HONE_OK;
        double score = r.broke_down ? NAN : r.paused ? r.pause.score : r.best_score;
        tried = json_pack("{s:f, s:i, s:o, s:o, s:f, s:b}", "learning_rate", c->learning_rate, "rank", c->rank, "score",
                          number_or_null(score), "loss", number_or_null(r.paused ? r.pause.loss : NAN), "seconds",
                          r.seconds + r.score_seconds, "broke_down", r.broke_down);
        if (!tried || json_array_append_new(json_object_get(rung, "tried"), tried) != 0)
            return hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
        status = save(s);
    }
    out->score = number_of(tried, "score");
    out->loss = number_of(tried, "loss");
    return status;
}

/* NAN stands behind every number. */
static int compare_numbers(double a, double b, bool higher_is_better)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return a == b ? 0 : (a > b) == higher_is_better ? -1 : 1;
}

static int by_standing(const void *a, const void *b)
{
    const standing *x = a, *y = b;
    int order = compare_numbers(x->score, y->score, true);
    if (order == 0)
        order = compare_numbers(x->loss, y->loss, false);
    return order ? order : x->candidate < y->candidate ? -1 : 1;
}

static json_t *rung_at(search *s, int i, int64_t step)
{
    json_t *rungs = json_object_get(s->record, "rungs"), *rung = json_array_get(rungs, (size_t)i);
    if (rung)
        return rung;
    rung = json_pack("{s:I, s:[]}", "steps", (json_int_t)step, "tried");
    return rung && json_array_append_new(rungs, rung) == 0 ? rung : NULL;
}

static void say_why(const standing *first, const standing *second, int64_t step, char *out, size_t size)
{
    if (first->score > second->score)
        snprintf(out, size, "the highest score at step %lld: %.3f, the next %.3f", (long long)step, first->score,
                 second->score);
    else if (first->loss < second->loss)
        snprintf(out, size,
                 "as many right (%.3f) as the next at step %lld, and a lower loss on them: %.3f, the next %.3f",
                 first->score, (long long)step, first->loss, second->loss);
    else
        snprintf(out, size, "no difference at step %lld; the usual one is kept", (long long)step);
}

/* All rungs; *winner is what is left. */
static hone_status halve(search *s, size_t *winner)
{
    standing alive[HONE_SEARCH_MAX_CANDIDATES];
    int rungs = hone_search_rungs(s->n_candidates);
    size_t n = s->n_candidates;
    char why[192] = "the only candidate";
    for (size_t i = 0; i < n; i++)
        alive[i] = (standing){i, NAN, NAN};
    for (int i = 0; i < rungs; i++) {
        json_t *rung = rung_at(s, i, hone_search_rung_step(i, rungs, s->total, s->options.warmup_fraction));
        if (!rung)
            return hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
        for (size_t j = 0; j < n; j++) {
            hone_status status = try_candidate(s, rung, &alive[j]);
            if (status != HONE_OK)
                return status;
        }
        qsort(alive, n, sizeof *alive, by_standing);
        if (isnan(alive[0].score))
            return hone_fail(s->err, HONE_BAD_INPUT, "training broke down under every rate that was tried");
        say_why(&alive[0], &alive[1], json_integer_value(json_object_get(rung, "steps")), why, sizeof why);
        n = (n + 1) / 2;
        while (n > 1 && isnan(alive[n - 1].score))
            n--;
        for (size_t j = 0; j < n; j++)
            json_object_set_new(find_tried(rung, &s->candidates[alive[j].candidate]), "kept", json_true());
        if (n == 1)
            break;
    }
    *winner = alive[0].candidate;
    const hone_search_candidate *c = &s->candidates[*winner];
    json_object_set_new(s->record, "chosen",
                        json_pack("{s:f, s:i}", "learning_rate", c->learning_rate, "rank", c->rank));
    json_object_set_new(s->record, "why", json_string(why));
    return save(s);
}

/* Seconds of the candidates that were dropped: what each had taken when it was last scored. */
static double spent_on_others(const search *s, size_t winner)
{
    double sum = 0;
    for (size_t c = 0; c < s->n_candidates; c++) {
        double last = 0;
        size_t i;
        json_t *rung;
        json_array_foreach(json_object_get(s->record, "rungs"), i, rung)
        {
            const json_t *tried = find_tried(rung, &s->candidates[c]);
            last = tried ? number_of(tried, "seconds") : last;
        }
        sum += c == winner ? 0 : last;
    }
    return sum;
}

/* Moves the winner's run into the folder. The checkpoint comes last: where it is there, the rest is too. */
static hone_status promote(search *s, size_t winner)
{
    static const char *const files[] = {"metrics.jsonl", "adapter_config.json", "adapter_model.safetensors",
                                        "README.md",     "checkpoint.bin",      "hone.json"};
    char *from = candidate_folder(s, winner);
    hone_status status = from ? HONE_OK : hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof files / sizeof *files && status == HONE_OK; i++) {
        char *old = hone_path_join(from, files[i]), *new = hone_path_join(s->options.folder, files[i]);
        if (!old || !new)
            status = hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
        else if (hone_file_exists(old) && rename(old, new) != 0)
            status = hone_file_fail_errno(s->err, new, "write");
        free(old);
        free(new);
    }
    free(from);
    return status;
}

/* What must be equal for search.json to be gone on with. */
static void take_identity(const search *s, char out[65])
{
    char run[65];
    hone_buffer b = {0};
    hone_train_fingerprint(s->engine, s->examples, s->n_examples, &s->options, true, run);
    hone_buffer_printf(&b, "%s", run);
    if (s->options.memory_bytes) /* decides the rows of a pass, and they the order of additions */
        hone_buffer_printf(&b, " memory %llu", (unsigned long long)s->options.memory_bytes);
    for (size_t i = 0; i < s->n_candidates; i++)
        hone_buffer_printf(&b, " %.17g/%d", s->candidates[i].learning_rate, s->candidates[i].rank);
    hone_sha256_hex(b.data ? b.data : "", b.length, out);
    hone_buffer_clear(&b);
}

static hone_status open_record(search *s)
{
    char identity[65];
    take_identity(s, identity);
    if (hone_file_exists(s->path)) {
        s->record = json_load_file(s->path, 0, NULL);
        const char *theirs = json_string_value(json_object_get(s->record, "identity"));
        if (!json_is_array(json_object_get(s->record, "rungs")) || !theirs)
            return hone_fail(s->err, HONE_BAD_FORMAT, "%s: not a search; remove it to start again", s->path);
        if (strcmp(theirs, identity) != 0)
            return hone_fail(s->err, HONE_BAD_INPUT,
                             "%s: the search of another run (other data, model or settings); remove the folder or "
                             "choose another with -o",
                             s->path);
        return HONE_OK;
    }
    s->record = json_pack("{s:s, s:s, s:[]}", "method", "successive halving", "identity", identity, "rungs");
    return s->record ? save(s) : hone_fail(s->err, HONE_NO_MEMORY, "out of memory");
}

static hone_status check(const search *s)
{
    if (!s->score)
        return hone_fail(s->err, HONE_BAD_INPUT, "finding settings needs rows that are held out for scores");
    if (s->n_candidates < 1 || s->n_candidates > HONE_SEARCH_MAX_CANDIDATES)
        return hone_fail(s->err, HONE_BAD_INPUT, "%zu candidates; 1 to %d are possible", s->n_candidates,
                         HONE_SEARCH_MAX_CANDIDATES);
    if (s->options.batch >= 1 && s->options.epochs > 0 && steps_of(s) < HONE_SEARCH_LEAST_STEPS)
        return hone_fail(s->err, HONE_BAD_INPUT,
                         "%lld steps are too few to tell rates apart; %d are enough: more rows, more epochs or a "
                         "smaller batch",
                         (long long)steps_of(s), HONE_SEARCH_LEAST_STEPS);
    return HONE_OK;
}

hone_status hone_train_search(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                              const hone_train_options *options, const hone_search_candidate *candidates,
                              size_t n_candidates, hone_train_score score, void *score_context, hone_progress *progress,
                              hone_train_result *result, hone_search_outcome *outcome, hone_error *err)
{
    hone_error ignored;
    search s = {.engine = engine,
                .examples = examples,
                .n_examples = n_examples,
                .options = *options,
                .candidates = candidates,
                .n_candidates = n_candidates,
                .score = score,
                .score_context = score_context,
                .progress = progress,
                .err = err ? err : &ignored};
    hone_lock lock = {-1};
    char *lock_path = NULL;
    size_t winner = 0;
    *outcome = (hone_search_outcome){0};
    hone_status status = check(&s);
    if (status == HONE_OK)
        status = hone_folder_create(options->folder, s.err);
    if (status != HONE_OK)
        return status;
    s.path = hone_path_join(options->folder, "search.json");
    s.probe = hone_path_join(options->folder, "probe");
    lock_path = hone_path_join(options->folder, ".search.lock");
    status = s.path && s.probe && lock_path ? hone_lock_take(lock_path, &lock, s.err)
                                            : hone_fail(s.err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = open_record(&s);
    if (status == HONE_OK)
        status = plan_for_time(&s);
    if (status == HONE_OK)
        status = halve(&s, &winner);
    if (status == HONE_OK)
        status = promote(&s, winner);
    if (status != HONE_OK)
        goto done;
    outcome->chosen = candidates[winner];
    outcome->seconds = spent_on_others(&s, winner);
    json_object_set_new(s.record, "seconds", json_real(outcome->seconds));
    candidate_options(&s, winner, &outcome->options);
    outcome->options.search = s.record;
    status = hone_train(engine, examples, n_examples, &outcome->options, score, score_context, progress, result, s.err);
    if (status == HONE_OK)
        status = hone_folder_remove(s.probe, s.err);
    if (status == HONE_OK) {
        outcome->record = json_incref(s.record);
        outcome->options.search = NULL;
    }
done:
    json_decref(s.record);
    hone_lock_release(&lock);
    free(lock_path);
    free(s.path);
    free(s.probe);
    return status;
}
