/* standing.c - what is known of each approach by itself: score with interval, costs, constraints. */
#include "decide/judgement.h"

#include "decide/work.h"
#include "evidence/plan.h"
#include "stats/summary.h"

#include <math.h>
#include <string.h>

static const double hours_of_a_month = 730;

hone_seed_error hone_standing_seed_error(const hone_approach_result *a)
{
    return hone_seed_error_of(a->seeds.test, a->seeds.n > 1 && isfinite(a->seeds.test[0]) ? (size_t)a->seeds.n : 0);
}

hone_status hone_standing_scores(hone_judgement *j, hone_error *err)
{
    size_t n = j->c->n_test;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        hone_approach_result *a = &j->c->approaches[i];
        const double *scores = j->standing[i].scores;
        if (!scores)
            continue;
        int64_t right = 0;
        hone_seed_error seeds = hone_standing_seed_error(a);
        bool binary = !j->cluster && !seeds.degrees;
        for (size_t r = 0; r < n; r++) {
            right += scores[r] == 1;
            binary = binary && (scores[r] == 0 || scores[r] == 1);
        }
        a->score = hone_mean(scores, n);
        if (isfinite(a->ci_low) && isfinite(a->ci_high) && a->ci_low <= a->score && a->score <= a->ci_high &&
            a->ci_low < a->ci_high)
            continue;
        hone_interval interval = hone_wilson_interval(right, (int64_t)n, HONE_ERROR_RATE);
        if (!binary) {
            hone_bootstrap *b;
            hone_status status = hone_bootstrap_mean(scores, j->cluster, n, 0, j->c->seed, &b, err);
            if (status != HONE_OK)
                return hone_fail_within(err, status, "interval of %s", a->name);
            hone_bootstrap_add_seed_error(b, seeds, j->c->seed, 0);
            interval = hone_bootstrap_interval(b, HONE_ERROR_RATE);
            hone_bootstrap_free(b);
        }
        a->ci_low = fmax(0, fmin(interval.low, a->score));
        a->ci_high = fmin(1, fmax(interval.high, a->score));
    }
    return HONE_OK;
}

static double known(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static bool is_amount(double value)
{
    return isfinite(value) && value >= 0;
}

bool hone_standing_buys_tokens(const hone_judgement *j, const hone_approach_result *a)
{
    const hone_task_prices *prices = &j->c->task->prices;
    return a->family != HONE_FAMILY_BASELINE && a->tokens_in > 0 &&
           (known(prices->input_million_usd) > 0 || known(prices->output_million_usd) > 0);
}

static hone_cost_inputs inputs_of(const hone_judgement *j, const hone_approach_result *a)
{
    const hone_task_use *use = j->use;
    const hone_task_prices *prices = &j->c->task->prices;
    hone_cost_inputs in = hone_cost_defaults();
    in.static_tokens = known(a->tokens_static);
    in.query_tokens = fmax(0, known(a->tokens_in) - in.static_tokens);
    in.output_tokens = known(a->tokens_out);
    in.busy_seconds = known(a->busy_seconds_per_request);
    in.score = isfinite(a->score) ? fmin(1, known(a->score)) : 1;
    if (hone_standing_buys_tokens(j, a)) { /* the provider's machine, not ours */
        in.busy_seconds = 0;
        in.input_token_usd = known(prices->input_million_usd) / 1e6;
        in.output_token_usd = known(prices->output_million_usd) / 1e6;
        in.cache_hit_rate = fmin(1, known(prices->cache_hit_rate));
        in.cache_read = known(prices->cache_read);
        in.cache_write = known(prices->cache_write);
    }
    in.compute_hour_usd = known(prices->compute_hour_usd);
    in.dedicated = use->dedicated;
    in.hours_kept_per_month = hours_of_a_month;
    in.error_cost_usd = known(use->error_cost_usd);
    in.labels = a->labels_used > 0 ? (double)a->labels_used : 0;
    in.label_usd = known(prices->label_usd);
    in.training_seconds = known(a->build_seconds);
    in.evaluation_seconds =
        known(a->expected_evaluation_seconds > 0 ? a->expected_evaluation_seconds : a->evaluation_seconds);
    hone_work work = hone_work_of(&j->c->task->work, a->family, a->sends_prompt);
    in.engineer_hour_usd = known(prices->engineer_hour_usd);
    in.prompt_hours = work.prompt;
    in.building_hours = work.building;
    in.deployment_hours = work.deployment;
    in.change_hours = work.change;
    in.requests_per_month = known(use->requests_per_month);
    in.horizon_months = is_amount(use->horizon_months) ? use->horizon_months : 12;
    in.changes_per_year = known(use->changes_per_year);
    return in;
}

static void publish_setup(hone_approach_result *a, const hone_standing *s, const hone_work *work)
{
    const hone_cost *c = &s->cost;
    a->setup_usd = s->setup_known ? c->setup_usd : NAN;
    a->setup_labels_usd = s->setup_known ? c->labels_usd : NAN;
    a->setup_compute_usd = s->setup_known ? c->training_usd + c->evaluation_usd : NAN;
    a->setup_work_usd = s->setup_known ? c->prompt_usd + c->building_usd + c->deployment_usd : NAN;
    a->change_usd = s->setup_known ? c->change_usd : NAN;
    a->work_hours = work->prompt + work->building + work->deployment;
    a->change_hours = work->change;
}

/* Without timings: what a request makes the machine compute. NAN when that is not known either. */
static double computed_tokens(const hone_approach_result *a)
{
    return is_amount(a->tokens_in) && is_amount(a->tokens_out)
               ? a->tokens_in - 0.9 * known(a->tokens_static) + a->tokens_out
               : NAN;
}

hone_status hone_standing_costs(hone_judgement *j, hone_error *err)
{
    const hone_task_prices *prices = &j->c->task->prices;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        hone_approach_result *a = &j->c->approaches[i];
        hone_standing *s = &j->standing[i];
        s->inputs = inputs_of(j, a);
        hone_status status = hone_cost_calculate(&s->inputs, &s->cost, err);
        if (status != HONE_OK)
            return hone_fail_within(err, status, "%s", a->name);
        bool busy_known = hone_standing_buys_tokens(j, a) ||
                          (is_amount(a->busy_seconds_per_request) && is_amount(prices->compute_hour_usd));
        bool volume = s->inputs.requests_per_month > 0;
        s->setup_known = is_amount(a->build_seconds) && is_amount(prices->compute_hour_usd) &&
                         is_amount(prices->label_usd) && is_amount(prices->engineer_hour_usd);
        s->running_known = busy_known && isfinite(s->cost.operating_usd);
        /* A machine kept for an unknown volume: what it does for a request still ranks the approaches. */
        s->running_usd = s->running_known ? s->cost.operating_usd : busy_known ? s->cost.marginal_usd : NAN;
        hone_work work = hone_work_of(&j->c->task->work, a->family, a->sends_prompt);
        s->stated_setup_usd = s->cost.setup_usd - work.setup_assumed * s->inputs.engineer_hour_usd;
        double change = s->cost.change_usd - work.change_assumed * s->inputs.engineer_hour_usd;
        if (volume && s->inputs.changes_per_year > 0 && s->setup_known)
            s->running_usd += change * s->inputs.changes_per_year / (12.0 * s->inputs.requests_per_month);
        a->cost_per_1k_usd = busy_known ? 1000 * s->cost.marginal_usd : NAN;
        a->cost_per_1k_provisioned_usd =
            busy_known && isfinite(s->cost.provisioned_usd) ? 1000 * s->cost.provisioned_usd : NAN;
        a->running_cost = (hone_running_cost){.usd = s->running_usd,
                                              .setup_usd = s->setup_known ? s->stated_setup_usd : NAN,
                                              .marginal_usd = s->cost.marginal_usd,
                                              .tokens = computed_tokens(a),
                                              .classical = a->family == HONE_FAMILY_BASELINE};
        publish_setup(a, s, &work);
    }
    return HONE_OK;
}

bool hone_standing_in_play(const hone_judgement *j, int index)
{
    const hone_standing *s = &j->standing[index];
    return s->scores && !s->too_slow && !s->too_late && !s->below_minimum && !s->guesses;
}

int hone_standing_cheaper(const hone_judgement *j, int x, int y)
{
    return hone_running_cost_order(&j->c->approaches[x].running_cost, &j->c->approaches[y].running_cost);
}

/* What guessing scores: the majority baseline, or one of the labels at random. */
static double guess_of(const hone_judgement *j)
{
    double guess = j->c->task->n_labels > 0 ? 1.0 / (double)j->c->task->n_labels : 0;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].guesses && j->standing[i].scores)
            guess = fmax(guess, j->c->approaches[i].score);
    return guess;
}

/* By the interval, and by the paired comparison with the majority baseline where there is one. */
static bool beats_guessing(const hone_judgement *j, int index)
{
    hone_judged pair;
    if (j->standing[index].guesses || !(j->c->approaches[index].ci_low > j->guess))
        return false;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].guesses && hone_pairs_find(j, index, (int)i, &pair) &&
            !(pair.differs && pair.difference > 0))
            return false;
    return true;
}

void hone_standing_judge(hone_judgement *j)
{
    const hone_task_use *use = j->use;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_approach_result *a = &j->c->approaches[i];
        j->standing[i].guesses = a->family == HONE_FAMILY_BASELINE && strcmp(a->name, "majority") == 0;
    }
    j->guess = guess_of(j);
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_approach_result *a = &j->c->approaches[i];
        hone_standing *s = &j->standing[i];
        s->too_slow = hone_is_too_slow(use, a->latency_p95_ms);
        s->too_late = hone_is_too_late(use, a->build_seconds);
        bool asked = isfinite(use->min_score);
        s->below_minimum = asked && s->scores && a->ci_high < use->min_score;
        s->meets_minimum = s->scores && (!asked || a->score >= use->min_score);
        s->sure_of_minimum = s->scores && (!asked || a->ci_low >= use->min_score);
        s->beats_guessing = s->scores && beats_guessing(j, (int)i);
        s->eligible = hone_standing_in_play(j, (int)i) && s->beats_guessing;
    }
}

bool hone_standing_saturated(const hone_judgement *j)
{
    size_t n = 0, saturated = 0;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        bool counts = j->standing[i].scores && !j->standing[i].guesses;
        n += counts;
        saturated += counts && j->c->approaches[i].score >= 0.98;
    }
    return n > 1 && saturated == n;
}
