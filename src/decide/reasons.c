/* reasons.c - the lines of `because`: how the verdict came about, one fact a line. */
#include "decide/judgement.h"

#include "base/numbers.h"
#include "stats/interval.h"
#include "stats/summary.h"

#include <math.h>
#include <string.h>

static const hone_approach_result *approach(const hone_judgement *j, int index)
{
    return &j->c->approaches[index];
}

static void because(hone_judgement *j, const char *text)
{
    hone_words_add(j, &j->because, text);
}

/* "a, b and c" of the approaches for which `belongs` holds; NULL when there are none. */
static const char *list(hone_judgement *j, bool (*belongs)(const hone_standing *), size_t *n)
{
    const char *text = NULL, *last = NULL;
    *n = 0;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        if (j->standing[i].guesses || !belongs(&j->standing[i]))
            continue;
        if (last)
            text = text ? hone_words(j, "%s, %s", text, last) : last;
        last = hone_words_name(j, (int)i);
        ++*n;
    }
    return text ? hone_words(j, "%s and %s", text, last) : last;
}

static bool is_late(const hone_standing *s)
{
    return s->too_late;
}

static bool is_below(const hone_standing *s)
{
    return s->below_minimum && !s->too_slow && !s->too_late;
}

static bool is_guessing(const hone_standing *s)
{
    return s->scores && !s->beats_guessing && !s->below_minimum && !s->too_slow && !s->too_late;
}

static void because_of_limits(hone_judgement *j)
{
    size_t n;
    const char *names;
    bool unmeasured = false;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_approach_result *a = approach(j, (int)i);
        const char *takes = hone_words_ms(j, a->latency_p95_ms), *limit = hone_words_ms(j, j->use->latency_p95_ms);
        if (j->standing[i].too_slow && !j->standing[i].guesses)
            because(j, hone_words(j, "%s is out: its slowest 5 %% of requests take %s (p95%s), your limit is %s",
                                  hone_words_name(j, (int)i), strcmp(takes, limit) == 0 ? "a little more" : takes,
                                  a->latency_n > 0 ? hone_words(j, " of %lld", (long long)a->latency_n) : "", limit));
        unmeasured = unmeasured || ((int)i == j->chosen && !isfinite(a->latency_p95_ms));
    }
    if (unmeasured && isfinite(j->use->latency_p95_ms))
        because(j, hone_words(j, "its latency was not measured, so whether it keeps to your %s is not known",
                              hone_words_ms(j, j->use->latency_p95_ms)));
    if ((names = list(j, is_late, &n)) != NULL)
        because(j, hone_words(j, "%s %s out: building takes longer than your %g days", names, n == 1 ? "is" : "are",
                              j->use->deadline_days));
    if (j->c->verdict.kind == HONE_VERDICT_NEITHER && j->dead_end == HONE_DEAD_MINIMUM)
        because(j, hone_words(j, "every interval lies below your minimum of %s", hone_words_minimum(j)));
    else if ((names = list(j, is_below, &n)) != NULL)
        because(j, hone_words(j, "%s %s out: the whole interval lies below your minimum of %s", names,
                              n == 1 ? "is" : "are", hone_words_minimum(j)));
    if (j->leader >= 0 && (names = list(j, is_guessing, &n)) != NULL)
        because(j, hone_words(j, "%s %s not shown to beat guessing (%s)", names, n == 1 ? "is" : "are",
                              hone_words_guessing(j, j->leader)));
}

/* "; the best in 93 % of resamples, expected regret 0.2 points": how much of its lead on select may be luck. */
static const char *luck(hone_judgement *j, int index)
{
    const hone_approach_result *a = approach(j, index);
    if (!isfinite(a->select_p_best) || !isfinite(a->select_regret))
        return "";
    return hone_words(j, "; the best in %s of resamples of it, expected regret %s",
                      a->select_p_best > 0.995 && a->select_p_best < 1 ? "more than 99 %"
                                                                       : hone_number_percent(a->select_p_best).text,
                      a->select_regret > 0 && a->select_regret < 0.0005
                          ? "below 0.1 points"
                          : hone_words(j, "%s points", hone_words_points(j, a->select_regret)));
}

/* How the leader came to lead. */
static void because_of_select(hone_judgement *j)
{
    int winner = j->c->winner;
    if (j->leader < 0 || winner < 0)
        return;
    if (j->leader == winner)
        because(j, hone_words(j, "%s was named on select (%s there%s) before the test was opened",
                              approach(j, winner)->name,
                              isfinite(approach(j, winner)->select_name_score)
                                  ? hone_words_score_of(j, approach(j, winner)->select_name_score, winner)
                                  : "not scored",
                              luck(j, winner)));
    else
        because(j, hone_words(j, "%s was named on select but is out; %s is the next best there",
                              approach(j, winner)->name, hone_words_name(j, j->leader)));
    if (j->refuted)
        because(j, hone_words(j, "the test does not confirm %s", hone_words_name(j, j->leader)));
}

/* What the scores of an approach that was trained with several seeds are, and which adapter is the one to serve. */
static void because_of_seeds(hone_judgement *j)
{
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_approach_result *a = approach(j, (int)i);
        const hone_seed_results *s = &a->seeds;
        const char *scores = "";
        if (!hone_standing_seed_error(a).degrees)
            continue;
        for (int k = 0; k < s->n; k++)
            scores = hone_words(j, "%s%s%.3f", scores, k ? ", " : "", s->test[k]);
        because(j,
                hone_words(j,
                           "%s was trained with %d seeds: %s on the test, standard deviation %.3f. Its score is their "
                           "mean and its intervals include that spread; the adapter to serve is that of seed %llu "
                           "(%.3f), the best on select",
                           hone_words_sentence_name(j, (int)i), s->n, scores,
                           hone_standard_deviation(s->test, (size_t)s->n), (unsigned long long)s->seed[s->kept],
                           s->test[s->kept]));
    }
}

static void because_of_comparisons(hone_judgement *j)
{
    hone_judged pair;
    size_t better = 0, not_better = 0, cheaper_better = 0, cheaper = 0;
    if (j->leader < 0)
        return;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        if ((int)i == j->leader || !hone_pairs_find(j, j->leader, (int)i, &pair))
            continue;
        bool shown = pair.differs && pair.difference > 0, less = hone_standing_cheaper(j, (int)i, j->leader) < 0;
        better += shown;
        not_better += !shown;
        cheaper += less;
        cheaper_better += less && shown;
    }
    if (j->chosen == j->leader && cheaper > 0 && cheaper == cheaper_better)
        because(j, cheaper == 1 ? "the one compared approach that costs less is shown to be worse"
                   : cheaper == 2
                       ? "both compared approaches that cost less are shown to be worse"
                       : hone_words(j, "all %zu compared approaches that cost less are shown to be worse", cheaper));
    else if (j->chosen == j->leader && cheaper == 0 && better + not_better > 0)
        because(j, "none of the approaches compared costs less");
    else if (j->chosen >= 0 && j->chosen != j->leader)
        because(j, hone_words(j, "%s costs more and is not shown to be better", hone_words_name(j, j->leader)));
    if (j->n_pairs > 1)
        because(j, hone_words(j, "intervals and p-values of differences allow for %zu comparisons (Holm)", j->n_pairs));
}

static void because_of_minimum(hone_judgement *j)
{
    double limit = j->use->min_score;
    if (j->chosen < 0 || !isfinite(limit))
        return;
    if (j->standing[j->chosen].sure_of_minimum)
        because(j, hone_words(j, "its whole interval reaches your minimum of %s", hone_words_minimum(j)));
    else
        because(j,
                hone_words(
                    j, "its score of %s reaches your minimum of %s, but its interval goes down to %s: likely, not sure",
                    hone_words_score_against(j, j->chosen, limit), hone_words_minimum(j),
                    hone_words_score_of(j, approach(j, j->chosen)->ci_low, j->chosen)));
}

static void because_of_saturation(hone_judgement *j)
{
    if (hone_standing_saturated(j))
        because(j, "the test is saturated: every approach has 98 % or more right, so a few rows decide; harder rows "
                   "would tell more");
    if (j->chosen >= 0 && approach(j, j->chosen)->score == 1)
        because(j, hone_words(j, "no error in %s rows means an error rate of up to %.2g %%",
                              hone_words_exactly(j, j->c->n_test), 100 * hone_rule_of_three((int64_t)j->c->n_test)));
}

/* Beside the other costs, with its uncertainty; it decides nothing. */
static void because_of_errors(hone_judgement *j)
{
    hone_judged pair;
    double price = 1000 * j->use->error_cost_usd;
    if (j->chosen < 0 || !isfinite(price) || price <= 0)
        return;
    const hone_approach_result *a = approach(j, j->chosen);
    const char *against = "";
    int other = j->chosen != j->leader ? j->leader : hone_pairs_best_compared(j, j->chosen, -1, &pair);
    if (other >= 0 && hone_pairs_find(j, j->chosen, other, &pair)) {
        const char *range = pair.low >= 0 ? hone_words(j, "%s to %s more", hone_words_usd(j, price * pair.low),
                                                       hone_words_usd(j, price * pair.high))
                            : pair.high <= 0
                                ? hone_words(j, "%s to %s less", hone_words_usd(j, -price * pair.high),
                                             hone_words_usd(j, -price * pair.low))
                                : hone_words(j, "between %s less and %s more", hone_words_usd(j, -price * pair.low),
                                             hone_words_usd(j, price * pair.high));
        against = hone_words(j, ", those of %s %s", hone_words_name(j, other), range);
    }
    because(j,
            hone_words(
                j,
                "at %s an error, its errors cost %s per 1,000 requests (%s to %s)%s; shown beside, they decide nothing",
                hone_words_usd(j, j->use->error_cost_usd), hone_words_usd(j, price * (1 - a->score)),
                hone_words_usd(j, price * (1 - a->ci_high)), hone_words_usd(j, price * (1 - a->ci_low)), against));
}

static void because_of_costs_and_skills(hone_judgement *j)
{
    if (j->chosen < 0)
        return;
    if (!j->standing[j->chosen].running_known && isfinite(approach(j, j->chosen)->cost_per_1k_usd))
        because(j,
                "a machine kept for this alone costs by the month: its cost per request needs use.requests_per_month");
    else if (!j->standing[j->chosen].running_known)
        because(j, "its running cost is not known, so what costs less was judged by tokens and kind of approach");
    if (approach(j, j->chosen)->family != HONE_FAMILY_TUNED || j->use->n_skills == 0)
        return;
    for (size_t i = 0; i < j->use->n_skills; i++)
        if (strstr(j->use->skills[i], "tun") || strstr(j->use->skills[i], "train"))
            return;
    because(j, "tuning is not among the skills you list: it is one command, but somebody must repeat it when the task "
               "changes");
}

/* What it means that a classical approach is enough. */
static void because_of_baseline(hone_judgement *j)
{
    if (j->chosen < 0 || approach(j, j->chosen)->family != HONE_FAMILY_BASELINE)
        return;
    double ms = approach(j, j->chosen)->latency_p50_ms;
    because(j, hone_words(j, "it is a classical baseline: no text is generated to answer%s",
                          isfinite(ms) && ms >= 0 && approach(j, j->chosen)->latency_n > 0
                              ? hone_words(j, ", and an answer takes %s", hone_words_ms(j, ms))
                              : ""));
}

void hone_reasons(hone_judgement *j)
{
    because_of_baseline(j);
    because_of_select(j);
    because_of_seeds(j);
    because_of_comparisons(j);
    because_of_limits(j);
    because_of_minimum(j);
    because_of_saturation(j);
    because_of_errors(j);
    because_of_costs_and_skills(j);
}
