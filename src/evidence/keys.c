/* keys.c - canonical JSON of what a result depends on, hashed. */
#include "evidence/keys.h"

#include "approach/embeddings.h"

#include <math.h>

static hone_status hash_and_free(json_t *whole, char key[65], hone_error *err)
{
    hone_status status =
        whole ? hone_json_hash(whole, key, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for a key");
    json_decref(whole);
    return status;
}

/* JSON has no NAN, which stands for what is not given. */
static json_t *numbers(const double *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, isfinite(values[i]) ? json_real(values[i]) : json_null());
    return list;
}

static json_t *words_of(const hone_comparing *run)
{
    json_t *words = json_array();
    for (size_t i = 0; words && i < run->n; i++)
        json_array_append_new(words, json_string(run->types[i]->word));
    return words;
}

static const char *embedder_of(const hone_comparing *run)
{
    return run->bench.embeddings ? hone_embeddings_hash(run->bench.embeddings) : NULL;
}

/* What both the plan for a budget and the run itself depend on. */
static json_t *common(const hone_comparing *run, size_t n_name, size_t n_test)
{
    char name[65], test[65];
    hone_rows_hash(run->task->select_name.items, n_name, name);
    hone_rows_hash(run->task->test.items, n_test, test);
    return json_pack("{s:O, s:s, s:s, s:o?, s:s?}", "identity", run->bench.identity, "select_name", name, "test", test,
                     "approaches", words_of(run), "embedder", embedder_of(run));
}

hone_status hone_budget_key(const hone_comparing *run, double budget_seconds, char key[65], hone_error *err)
{
    const hone_compare_options *o = run->options;
    json_t *whole = common(run, run->task->select_name.n, run->task->test.n);
    if (whole && json_object_update_new(whole, json_pack("{s:s, s:f, s:b, s:I, s:i, s:i}", "part", "plan", "budget",
                                                         budget_seconds, "quick", o->quick, "test_rows",
                                                         (json_int_t)o->test_rows, "threads",
                                                         run->engine ? hone_engine_threads(run->engine) : 1, "seeds",
                                                         run->bench.effort.seeds)) != 0) {
        json_decref(whole);
        whole = NULL;
    }
    return hash_and_free(whole, key, err);
}

static json_t *effort_of(const hone_effort *e)
{
    double neighbours[HONE_EFFORT_CHOICES];
    for (int i = 0; i < HONE_EFFORT_CHOICES; i++)
        neighbours[i] = e->neighbours[i];
    return json_pack("{s:i, s:i, s:o?, s:o?, s:f, s:i, s:f, s:i}", "demonstrations", e->demonstrations, "sets",
                     e->demonstration_sets, "neighbours", numbers(neighbours, (size_t)e->n_neighbours), "rates",
                     numbers(e->learning_rates, (size_t)e->n_learning_rates), "epochs", e->epochs, "batch", e->batch,
                     "train_seconds", e->train_seconds, "seeds", e->seeds > 1 ? e->seeds : 1);
}

hone_status hone_run_key(const hone_comparing *run, char key[65], hone_error *err)
{
    json_t *whole = common(run, run->n_name, run->n_test);
    if (whole && json_object_update_new(whole, json_pack("{s:s, s:o?}", "level", run->level.name, "effort",
                                                         effort_of(&run->bench.effort))) != 0) {
        json_decref(whole);
        whole = NULL;
    }
    return hash_and_free(whole, key, err);
}

hone_status hone_plan_key(const hone_comparing *run, char key[65], hone_error *err)
{
    const hone_task_use *u = &run->task->use;
    const hone_task_prices *p = &run->task->prices;
    const hone_task_work *w = &run->task->work;
    const double use[] = {u->latency_p95_ms, u->deadline_days,    u->requests_per_month,
                          u->horizon_months, u->changes_per_year, u->dedicated},
                 prices[] = {p->compute_hour_usd,   p->label_usd,      p->engineer_hour_usd, p->input_million_usd,
                             p->output_million_usd, p->cache_hit_rate, p->cache_read,        p->cache_write},
                 work[] = {w->prompt_hours, w->tuning_hours, w->baseline_hours, w->deployment_hours, w->change_hours};
    return hash_and_free(json_pack("{s:s, s:s, s:o?, s:o?, s:o?, s:i}", "part", "pairs", "run", run->run_key, "use",
                                   numbers(use, sizeof use / sizeof *use), "prices",
                                   numbers(prices, sizeof prices / sizeof *prices), "work",
                                   numbers(work, sizeof work / sizeof *work), "threads",
                                   run->engine ? hone_engine_threads(run->engine) : 1),
                         key, err);
}

hone_status hone_opening_key(const hone_comparing *run, char key[65], hone_error *err)
{
    const hone_comparison *c = run->c;
    json_t *against = json_array();
    for (size_t i = 0; against && i < c->n_pairs; i++)
        json_array_append_new(against, json_integer(c->pairs[i].b));
    return hash_and_free(json_pack("{s:s, s:s, s:i, s:o?}", "part", "opening", "run", run->run_key, "winner", c->winner,
                                   "against", against),
                         key, err);
}
