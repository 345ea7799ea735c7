/* payback.c - when the chosen approach has earned its set-up, and what would make another the right one.
 *
 * Break-even is within one cycle, the time between two changes of the task (cost.h). A clause of flips_if begins like
 * "you serve fewer than ..." and ends with what would then be right, so that "unless" can stand before it. */
#include "decide/judgement.h"

#include <math.h>
#include <string.h>

static const hone_approach_result *approach(const hone_judgement *j, int index)
{
    return &j->c->approaches[index];
}

static void flips(hone_judgement *j, const char *text)
{
    hone_words_add(j, &j->flips_if, text);
}

/* The question is prompting or tuning: a tuned model is set against a prompt, a prompt against a tuned model, a
 * classical baseline against either. */
static bool is_rival_family(hone_family chosen, hone_family other)
{
    return chosen == HONE_FAMILY_BASELINE
               ? other != HONE_FAMILY_BASELINE
               : other == (chosen == HONE_FAMILY_TUNED ? HONE_FAMILY_PROMPT : HONE_FAMILY_TUNED);
}

/* The best alternative: of the rival family and cheaper to set up, of the rival family, cheaper to set up, any. -1:
 * none. */
static int find_alternative(const hone_judgement *j)
{
    int best = -1, best_tier = 0;
    const hone_standing *chosen = &j->standing[j->chosen];
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_standing *s = &j->standing[i];
        if ((int)i == j->chosen || !s->eligible || !s->meets_minimum || !s->setup_known || !s->running_known)
            continue;
        int tier = 1 + 2 * is_rival_family(approach(j, j->chosen)->family, approach(j, (int)i)->family) +
                   (s->cost.setup_usd < chosen->cost.setup_usd);
        if (tier > best_tier || (tier == best_tier && approach(j, (int)i)->score > approach(j, best)->score)) {
            best = (int)i;
            best_tier = tier;
        }
    }
    return best;
}

/* Months between two changes of the task, at most the horizon. */
static double cycle_months(const hone_cost_inputs *in)
{
    return in->changes_per_year > 0 ? fmin(in->horizon_months, 12.0 / in->changes_per_year) : in->horizon_months;
}

static const char *cycle(hone_judgement *j, const hone_cost_inputs *in)
{
    const char *time = hone_words_months(j, cycle_months(in));
    return in->changes_per_year > 0 && 12.0 / in->changes_per_year <= in->horizon_months
               ? hone_words(j, "the %s between two changes of the task", time)
               : hone_words(j, "the %s you plan for", time);
}

static bool costs_less_in_all(const hone_judgement *j, int other)
{
    return j->standing[j->chosen].cost.horizon_usd < j->standing[other].cost.horizon_usd;
}

/* What a change of the task costs more than with the other one, in requests that earn it back; 0: it costs no more. */
static double requests_for_a_change(const hone_judgement *j, int other)
{
    hone_cost a = j->standing[j->chosen].cost, b = j->standing[other].cost;
    a.setup_usd = a.change_usd;
    b.setup_usd = b.change_usd;
    hone_break_even e = hone_cost_break_even(&a, &b, false);
    return e.kind == HONE_PAYS_AFTER ? e.requests : 0;
}

/* The chosen one costs more to set up and less to run: from `requests` on it is the cheaper one. */
static void pays_after(hone_judgement *j, int other, double requests)
{
    const hone_cost_inputs *in = &j->standing[j->chosen].inputs;
    double volume = in->requests_per_month, months = cycle_months(in);
    const char *name = hone_words_name(j, other), *count = hone_words_count(j, requests);
    const char *setup = hone_words_usd(j, j->standing[j->chosen].cost.setup_usd);
    if (isfinite(j->use->requests_per_month) && volume == 0) {
        hone_words_add(j, &j->because,
                       hone_words(j, "no requests are planned, so its set-up of %s is never paid back", setup));
        flips(j, hone_words(j, "cost counts for more than the score (then: %s)", name));
    } else if (volume == 0) {
        flips(j, hone_words(j, "you serve fewer than %s requests in all (then: %s)", count, name));
    } else if (requests > volume * months && costs_less_in_all(j, other)) {
        hone_words_add(j, &j->because,
                       hone_words(j,
                                  "against %s its set-up of %s takes %s to pay back, longer than %s; over the %s you "
                                  "plan for it costs less all the same (%s against %s)",
                                  name, setup, hone_words_months(j, requests / volume), cycle(j, in),
                                  hone_words_months(j, in->horizon_months),
                                  hone_words_usd(j, j->standing[j->chosen].cost.horizon_usd),
                                  hone_words_usd(j, j->standing[other].cost.horizon_usd)));
    } else if (requests > volume * months) {
        hone_words_add(
            j, &j->because,
            hone_words(j, "against %s its set-up of %s takes %s to pay back, longer than %s: what it buys is the score",
                       name, setup, hone_words_months(j, requests / volume), cycle(j, in)));
    } else {
        flips(j, hone_words(j, "you serve fewer than %s requests a month (then: %s)",
                            hone_words_count(j, requests / months), name));
        double again = requests_for_a_change(j, other);
        if (again > 0)
            flips(j, hone_words(j, "the task changes more often than every %s (then: %s)",
                                hone_words_months(j, again / volume), name));
    }
}

/* The chosen one costs less to set up and more to run: only up to `requests` it is the cheaper one. */
static void pays_until(hone_judgement *j, int other, double requests)
{
    const hone_cost_inputs *in = &j->standing[j->chosen].inputs;
    double volume = in->requests_per_month, months = cycle_months(in);
    const char *name = hone_words_name(j, other);
    if (volume == 0 || !(months > 0))
        flips(j, hone_words(j, "you serve more than %s requests in all (then: %s costs less)",
                            hone_words_count(j, requests), name));
    else if (requests >= volume * months)
        flips(j, hone_words(j, "you serve more than %s requests a month (then: %s costs less)",
                            hone_words_count(j, requests / months), name));
}

static const char *amount(hone_judgement *j, double value, bool is_hours)
{
    return is_hours ? hone_words_hours(j, value) : hone_words_usd(j, value);
}

/* Prices and hours within ten times of what was assumed that would make the other one the cheaper one over the
 * horizon. */
static hone_status flips_by_prices(hone_judgement *j, int other, hone_error *err)
{
    static const struct {
        const char *input, *words;
        bool is_hours;
    } told[] = {{"price of a compute hour", "a compute hour costs", false},
                {"price of a label", "a label costs", false},
                {"price of an engineer's hour", "an hour of work costs", false},
                {"hours of work on the prompt", "a prompt takes", true},
                {"hours of work on building", "building it takes", true},
                {"hours of work on deployment", "putting it into service takes", true},
                {"hours of work on a change", "following a change takes", true}};
    const hone_standing *a = &j->standing[j->chosen], *b = &j->standing[other];
    hone_cost_band bands[HONE_COST_BANDS];
    size_t n;
    if (!(a->inputs.requests_per_month > 0) || !(a->cost.horizon_usd < b->cost.horizon_usd))
        return HONE_OK;
    hone_status status = hone_cost_sensitivity(&a->inputs, &b->inputs, 10, false, bands, &n, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        for (size_t k = 0; k < sizeof told / sizeof *told; k++) {
            double now = bands[i].low * 10, at = bands[i].flips_at;
            if (strcmp(bands[i].input, told[k].input) == 0 && bands[i].flips && at <= 10 * now && at >= now / 10)
                flips(j, hone_words(j, "%s %s than %s instead of %s (then: %s costs less over %s)", told[k].words,
                                    at > now ? "more" : "less", amount(j, at, told[k].is_hours),
                                    amount(j, now, told[k].is_hours), hone_words_name(j, other),
                                    hone_words_months(j, a->inputs.horizon_months)));
        }
    return status;
}

static double requests_of(hone_break_even e)
{
    return e.kind == HONE_PAYS_AFTER ? e.requests : e.kind == HONE_PAYS_AT_ONCE ? 0 : NAN;
}

/* "cache hit rate of the second" by the name of the approach. */
static const char *band_name(hone_judgement *j, const char *input, int other)
{
    static const char *const ordinals[] = {" of the first", " of the second"};
    for (int i = 0; i < 2; i++) {
        const char *at = strstr(input, ordinals[i]);
        if (at)
            return hone_words(j, "%.*s of %s", (int)(at - input), input, hone_words_name(j, i ? other : j->chosen));
    }
    return input;
}

/* The break-even with each assumption that moves it halved and doubled. */
static hone_status publish_bands(hone_judgement *j, int other, hone_error *err)
{
    hone_verdict *v = &j->c->verdict;
    hone_cost_band bands[HONE_COST_BANDS];
    size_t n;
    hone_status status =
        hone_cost_sensitivity(&j->standing[j->chosen].inputs, &j->standing[other].inputs, 2, false, bands, &n, err);
    if (status != HONE_OK)
        return status;
    v->sensitivity = hone_arena_array(j->c->arena, n + 1, sizeof *v->sensitivity);
    if (!v->sensitivity)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the sensitivity of a verdict");
    for (size_t i = 0; i < n; i++) {
        hone_band band = {band_name(j, bands[i].input, other), bands[i].low, bands[i].high,
                          requests_of(bands[i].at_low), requests_of(bands[i].at_high)};
        if (band.break_even_at_low != band.break_even_at_high) /* NAN: never, which is worth a line */
            v->sensitivity[v->n_sensitivity++] = band;
    }
    return HONE_OK;
}

static hone_status break_even(hone_judgement *j, hone_error *err)
{
    hone_verdict *v = &j->c->verdict;
    const hone_standing *chosen = &j->standing[j->chosen];
    int other = chosen->setup_known && chosen->running_known ? find_alternative(j) : -1;
    if (other < 0)
        return HONE_OK;
    v->break_even_against = other;
    hone_break_even e = hone_cost_break_even(&chosen->cost, &j->standing[other].cost, false);
    if (e.kind == HONE_PAYS_AFTER) {
        v->break_even_requests = e.requests;
        pays_after(j, other, e.requests);
        hone_status status = publish_bands(j, other, err);
        if (status != HONE_OK)
            return status;
    } else if (e.kind == HONE_PAYS_UNTIL)
        pays_until(j, other, e.requests);
    return flips_by_prices(j, other, err);
}

/* The best of those that cost less than the chosen one and are of use. */
static int find_lesser(const hone_judgement *j)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if ((int)i != j->chosen && j->standing[i].eligible && hone_standing_cheaper(j, (int)i, j->chosen) < 0 &&
            (best < 0 || approach(j, (int)i)->score > approach(j, best)->score))
            best = (int)i;
    return best;
}

static void flips_by_demands(hone_judgement *j)
{
    hone_judged pair;
    int lesser = find_lesser(j);
    double limit = j->use->min_score;
    if (lesser >= 0 && isfinite(limit) && j->standing[lesser].sure_of_minimum)
        flips(j, hone_words(j, "your minimum of %s is all that you need (then: %s)", hone_words_minimum(j),
                            hone_words_name(j, lesser)));
    else if (lesser >= 0 && !isfinite(limit))
        flips(j, hone_words(j, "a score of %s is enough (then: %s)",
                            hone_words_score_of(j, approach(j, lesser)->ci_low, lesser), hone_words_name(j, lesser)));
    if (j->chosen == j->leader || !hone_pairs_find(j, j->leader, j->chosen, &pair) || pair.high <= 0)
        return;
    flips(j, hone_words(j, "a possible gain of up to %s points is worth the cost to you (then: %s)",
                        hone_words_points(j, pair.high), hone_words_name(j, j->leader)));
    if (pair.high > HONE_MATTERS && pair.difference > 0)
        flips(j, hone_words(j, "a test of about %s rows shows %s to be better (then: %s)",
                            hone_words_rows(j, (double)hone_pairs_rows_needed(j, &pair)), hone_words_name(j, j->leader),
                            hone_words_name(j, j->leader)));
}

/* What is out for its latency alone and scored higher: the limit is what it takes. */
static void flips_by_latency(hone_judgement *j)
{
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_standing *s = &j->standing[i];
        if (s->too_slow && !s->too_late && !s->guesses && s->scores && s->meets_minimum &&
            (j->chosen < 0 || approach(j, (int)i)->score > approach(j, j->chosen)->score))
            flips(j,
                  hone_words(j, "a limit of %s for the slowest 5 %% of requests will do (then: %s)",
                             hone_words_ms(j, ceil(approach(j, (int)i)->latency_p95_ms)), hone_words_name(j, (int)i)));
    }
}

static bool has_family(const hone_judgement *j, hone_family family)
{
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (approach(j, (int)i)->family == family && j->standing[i].scores)
            return true;
    return false;
}

static int best_tuned(const hone_judgement *j)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (approach(j, (int)i)->family == HONE_FAMILY_TUNED && j->standing[i].scores &&
            (best < 0 || approach(j, (int)i)->score > approach(j, best)->score))
            best = (int)i;
    return best;
}

/* A verdict speaks of what was tried, with the effort that was spent on it. */
static void flips_by_effort(hone_judgement *j)
{
    bool tuned = has_family(j, HONE_FAMILY_TUNED), prompt = has_family(j, HONE_FAMILY_PROMPT);
    hone_family chosen = j->chosen >= 0 ? approach(j, j->chosen)->family : HONE_FAMILY_BASELINE;
    int leads = j->chosen >= 0 ? j->chosen : j->leader;
    if (leads >= 0 && approach(j, leads)->score >= 0.98) /* nothing is left to gain */
        return;
    if (chosen != HONE_FAMILY_TUNED && tuned && j->c->tuning_note) {
        const hone_approach_result *best = approach(j, best_tuned(j));
        const char *learned = "";
        if (best->epochs > 0 && best->epochs < 0.99 * best->epochs_planned)
            learned = hone_words(j, ", and time for %.2g of %g epoch%s", best->epochs, best->epochs_planned,
                                 best->epochs_planned == 1 ? "" : "s");
        flips(j, hone_words(
                     j, "tuning scores higher with its full effort, which it did not get here: %s%s (then perhaps: %s)",
                     j->c->tuning_note, learned, best->name));
    }
    if (!tuned && !prompt)
        flips(j, "a prompt or tuning, neither of which was tried here, does better");
    else if (!tuned)
        flips(j, "tuning, which was not tried here, does better");
    else if (!prompt && chosen != HONE_FAMILY_TUNED)
        flips(j, "a prompt, which was not tried here, does better");
}

/* What would turn "neither" or "not enough data" into an answer. */
static void flips_without_choice(hone_judgement *j)
{
    int best = -1;
    if (j->c->verdict.kind == HONE_VERDICT_NOT_ENOUGH_DATA) {
        if (j->rows_needed > 0)
            flips(j, hone_words(j, "you label about %s test rows (now %s) and compare again",
                                hone_words_rows(j, j->rows_needed), hone_words_exactly(j, j->c->n_test)));
        return;
    }
    for (size_t i = 0; i < j->c->n_approaches && j->dead_end == HONE_DEAD_MINIMUM; i++) {
        const hone_standing *s = &j->standing[i];
        if (s->beats_guessing && !s->too_slow && !s->too_late &&
            (best < 0 || approach(j, (int)i)->score > approach(j, best)->score))
            best = (int)i;
    }
    if (best >= 0)
        flips(j, hone_words(j, "a score of %s is enough (then: %s)",
                            hone_words_score_of(j, approach(j, best)->ci_low, best), hone_words_name(j, best)));
    flips(j, "more or better training rows, or a larger model, bring it further");
}

hone_status hone_payback(hone_judgement *j, hone_error *err)
{
    hone_status status = j->chosen >= 0 ? break_even(j, err) : HONE_OK;
    if (j->chosen >= 0)
        flips_by_demands(j);
    flips_by_latency(j);
    if (j->chosen < 0)
        flips_without_choice(j);
    if (j->c->n_approaches > 0)
        flips_by_effort(j);
    return status;
}
