/* plan.c - levels of thoroughness and planned pairs. */
#include "evidence/plan.h"

#include "train/search.h"

/* Settings at each level. Learning rates and epochs: EVIDENCE, Tuning defaults; the rates that are searched lie around
 * the default of 2e-3 (docs/training.md has what led to it). */
const hone_level hone_levels[] = {
    {.name = "full",
     .few_shot = true,
     .bare_tuning = true,
     .both_retrievals = true,
     .effort = {.tune_rows = 200,
                .demonstrations = 8,
                .demonstration_sets = 4,
                .neighbours = {4, 8, 16},
                .n_neighbours = 3,
                .learning_rates = {2e-3, 1e-3, 3e-4},
                .n_learning_rates = 3,
                .epochs = 5,
                .batch = 16}},
    {.name = "shorter",
     .test_rows = 1000,
     .few_shot = true,
     .bare_tuning = true,
     .both_retrievals = true,
     .effort = {.tune_rows = 150,
                .demonstrations = 8,
                .demonstration_sets = 2,
                .neighbours = {4, 8},
                .n_neighbours = 2,
                .learning_rates = {2e-3},
                .n_learning_rates = 1,
                .epochs = 3,
                .batch = 16}},
    {.name = "one tuning",
     .test_rows = 500,
     .name_rows = 200,
     .few_shot = true,
     .both_retrievals = true,
     .effort = {.tune_rows = 100,
                .demonstrations = 8,
                .demonstration_sets = 1,
                .neighbours = {4, 8},
                .n_neighbours = 2,
                .learning_rates = {2e-3},
                .n_learning_rates = 1,
                .epochs = 2,
                .batch = 16}},
    {.name = "quick",
     .test_rows = 200,
     .name_rows = 80,
     .effort = {.tune_rows = 50,
                .demonstrations = 8,
                .demonstration_sets = 1,
                .neighbours = {4},
                .n_neighbours = 1,
                .learning_rates = {2e-3},
                .n_learning_rates = 1,
                .epochs = 1,
                .batch = 16}},
    {.name = "smallest",
     .test_rows = 120,
     .name_rows = 50,
     .effort = {.tune_rows = 40,
                .demonstrations = 8,
                .demonstration_sets = 1,
                .neighbours = {4},
                .n_neighbours = 1,
                .learning_rates = {2e-3},
                .n_learning_rates = 1,
                .epochs = 0.5,
                .batch = 16}},
};
const size_t hone_n_levels = sizeof hone_levels / sizeof *hone_levels;

enum { LEVEL_QUICK = 3 };

/* Rough ratios for planning, never shown: training a token costs about twice answering one (forward, and a backward
 * pass that skips the shared prefix and most logits); an answer's token costs about this many prompt tokens, as choices
 * are explored or tokens decoded one by one. A model that has neither seen examples of nor learned the labels is so
 * undecided that most of them are explored (measured with the 77 labels of banking77: about 200 tokens a row). */
static const double training_cost_ratio = 2.0, answer_cost_ratio = 4.0;
static const double cached_read_price = 0.1;

size_t hone_level_quick(void)
{
    return LEVEL_QUICK;
}

static double at_most(size_t limit, size_t n)
{
    return limit && limit < n ? (double)limit : (double)n;
}

double hone_level_seconds(const hone_level *level, const hone_work_facts *facts, double *training)
{
    const hone_effort *e = &level->effort;
    double tune = at_most(e->tune_rows, facts->n_tune);
    double judged = at_most(level->name_rows, facts->n_name) + at_most(level->test_rows, facts->n_test);
    double row = facts->row_tokens + answer_cost_ratio * facts->answer_tokens, tokens = 0, trained = 0;
    double untuned =
        facts->row_tokens + (facts->label_tokens > 0 ? facts->label_tokens : answer_cost_ratio * facts->answer_tokens);
    if (facts->zero_shot)
        tokens += judged * untuned;
    if (facts->few_shot && level->few_shot)
        tokens += (judged + 2 * e->demonstration_sets * tune) * untuned;
    int retrievals = (facts->dense ? 1 : 0) + (facts->retrieved && (level->both_retrievals || !facts->dense) ? 1 : 0);
    for (int r = 0; r < retrievals; r++) {
        int most = e->neighbours[e->n_neighbours - 1];
        tokens += judged * (row + most * facts->shown_tokens);
        for (int i = 0; i < e->n_neighbours && e->n_neighbours > 1; i++)
            tokens += tune * (row + e->neighbours[i] * facts->shown_tokens);
    }
    int tunings = (facts->tuned_prompt ? 1 : 0) + (facts->tuned && level->bare_tuning ? 1 : 0);
    double extra = e->n_learning_rates > 1 ? hone_search_extra_runs((size_t)e->n_learning_rates) : 0, probes = 0;
    for (int n = e->n_learning_rates; n > 1; n = (n + 1) / 2) /* scores of candidates */
        probes += n;
    double seeds = facts->n_seeds > 1 ? facts->n_seeds : 1; /* the rate is searched with the first alone */
    double epoch_tokens = (double)facts->n_train * (facts->row_tokens + facts->answer_tokens);
    trained = tunings * epoch_tokens * e->epochs * (seeds + extra) * training_cost_ratio;
    tokens += tunings * (seeds * judged + (seeds * e->epochs + probes) * tune) * row;
    if (training)
        *training = trained / facts->tokens_per_second;
    return (tokens + trained) / facts->tokens_per_second;
}

size_t hone_level_choose(size_t first, const hone_work_facts *facts, double budget_seconds)
{
    for (size_t i = first; i < hone_n_levels; i++)
        if (hone_level_seconds(&hone_levels[i], facts, NULL) <= budget_seconds)
            return i;
    return hone_n_levels - 1;
}

double hone_request_cost(double tokens_in, double tokens_static, double tokens_out)
{
    return tokens_in - tokens_static + cached_read_price * tokens_static + tokens_out;
}

bool hone_is_too_slow(const hone_task_use *use, double latency_p95_ms)
{
    return use->latency_p95_ms > 0 && latency_p95_ms > use->latency_p95_ms;
}

bool hone_is_too_late(const hone_task_use *use, double build_seconds)
{
    return use->deadline_days > 0 && build_seconds > 86400.0 * use->deadline_days;
}

/* Within the limits first, then by the score on select. */
static bool is_better(const hone_candidate *x, const hone_candidate *y)
{
    if (x->beyond_limits != y->beyond_limits)
        return y->beyond_limits;
    return x->select_score > y->select_score;
}

static bool goes_before(const hone_candidate *x, const hone_candidate *y)
{
    if (is_better(x, y) || is_better(y, x))
        return is_better(x, y);
    int order = hone_request_order(&x->cost, &y->cost);
    return (order ? order : hone_running_cost_order(&x->cost, &y->cost)) < 0;
}

int hone_plan_winner(const hone_candidate *candidates, size_t n)
{
    int best = -1;
    for (size_t i = 0; i < n; i++)
        if (best < 0 || goes_before(&candidates[i], &candidates[best]))
            best = (int)i;
    return best;
}

/* The best of those that are (or are not) baselines, the winner left out; -1 when there is none. */
static int best_other(const hone_candidate *candidates, size_t n, int winner, bool baseline)
{
    int best = -1;
    for (size_t i = 0; i < n; i++)
        if ((int)i != winner && (candidates[i].family == HONE_APPROACH_BASELINE) == baseline &&
            (best < 0 || is_better(&candidates[i], &candidates[best])))
            best = (int)i;
    return best;
}

size_t hone_plan_pairs(const hone_candidate *candidates, size_t n, int winner, int *against)
{
    size_t n_pairs = 0;
    if (winner < 0)
        return 0;
    int baseline = best_other(candidates, n, winner, true), other = best_other(candidates, n, winner, false);
    bool only_baselines = true;
    for (size_t i = 0; i < n; i++) {
        const hone_candidate *c = &candidates[i];
        const hone_running_cost *of_winner = &candidates[winner].cost;
        bool cheaper = hone_request_order(&c->cost, of_winner) < 0 || hone_running_cost_order(&c->cost, of_winner) < 0;
        if ((int)i == winner || c->beyond_limits || (!cheaper && (int)i != baseline))
            continue;
        only_baselines = only_baselines && c->family == HONE_APPROACH_BASELINE;
        against[n_pairs++] = (int)i;
    }
    if (only_baselines && other >= 0)
        against[n_pairs++] = other;
    return n_pairs;
}
