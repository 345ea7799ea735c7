/* summary.c - headline and summary of a verdict: plain words first, the statistic in brackets. */
#include "decide/judgement.h"

#include <math.h>
#include <string.h>

static const hone_approach_result *approach(const hone_judgement *j, int index)
{
    return &j->c->approaches[index];
}

/* "tuned scores 0.824 on the locked test (95 % interval 0.799 to 0.847)" */
static const char *scores(hone_judgement *j, int index)
{
    return hone_words(j, "%s scores %s on the locked test (%s)", hone_words_sentence_name(j, index),
                      hone_words_score(j, index), hone_words_interval(j, index));
}

/* ---- headline */

static const char *headline(hone_judgement *j)
{
    if (j->c->verdict.kind == HONE_VERDICT_NOT_ENOUGH_DATA)
        return "Not enough data to tell.";
    if (j->chosen < 0)
        return "Neither works.";
    switch (approach(j, j->chosen)->family) {
    case HONE_FAMILY_TUNED:
        return "Tune it.";
    case HONE_FAMILY_PROMPT:
        return hone_words(j, "Prompt it: %s.", approach(j, j->chosen)->name);
    case HONE_FAMILY_BASELINE:
        break;
    }
    return hone_words(j, "Use %s.", hone_words_name(j, j->chosen));
}

/* ---- summary */

/* The best of those that cost less, or -1. */
static int best_cheaper(const hone_judgement *j, int index)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (hone_standing_in_play(j, (int)i) && (int)i != index && hone_standing_cheaper(j, (int)i, index) < 0 &&
            (best < 0 || approach(j, (int)i)->score > approach(j, best)->score))
            best = (int)i;
    return best;
}

static const char *summary_of_choice(hone_judgement *j)
{
    hone_judged first, second;
    int best = hone_pairs_best_compared(j, j->chosen, -1, &first);
    int next = best >= 0 ? hone_pairs_best_compared(j, j->chosen, best, &second) : -1;
    const char *text = hone_words(j, "%s%s%s%s%s.", scores(j, j->chosen), best >= 0 ? ", " : "",
                                  best >= 0 ? hone_words_compared(j, &first) : "", next >= 0 ? " and " : "",
                                  next >= 0 ? hone_words_compared(j, &second) : "");
    int cheaper = best_cheaper(j, j->chosen);
    if (cheaper < 0)
        return best < 0 ? text : hone_words(j, "%s Nothing that could do the work costs less.", text);
    const char *costs = hone_words_costs(j, cheaper, j->chosen);
    return hone_words(j, "%s The cheaper alternative is %s%s%s.", text, hone_words_name(j, cheaper),
                      costs[0] ? ": " : "", costs);
}

static const char *rank_of_leader(const hone_judgement *j)
{
    return j->leader == j->c->winner ? "the best on select" : "the best on select of those within your limits";
}

static const char *summary_of_cheaper(hone_judgement *j)
{
    hone_judged pair; /* leader minus chosen */
    const char *leader = hone_words_sentence_name(j, j->leader), *rank = rank_of_leader(j);
    const char *size, *costs = hone_words_costs(j, j->chosen, j->leader), *given_up = "";
    if (!hone_pairs_find(j, j->leader, j->chosen, &pair))
        return hone_words(j, "%s.", scores(j, j->chosen));
    size = hone_words_points(j, pair.difference);
    const char *difference;
    if (pair.difference == 0)
        difference = hone_words(j, "%s, %s, scores the same (0 points, interval %s)", leader, rank,
                                hone_words_evidence(j, &pair, false));
    else if (pair.difference > 0)
        difference =
            hone_words(j, "%s, %s, is %s points higher, which is not shown to be more than chance (interval %s)",
                       leader, rank, size, hone_words_evidence(j, &pair, false));
    else
        difference = hone_words(j, "%s, %s, is %s points lower%s (%s%s)", leader, rank, size,
                                pair.differs ? "" : ", which may be chance",
                                pair.differs ? "" : "interval of the advantage ", hone_words_evidence(j, &pair, true));
    if (pair.high > 0)
        given_up =
            hone_words(j, " The interval leaves at most %s points to be given up.", hone_words_points(j, pair.high));
    return hone_words(j, "%s. %s. The cheaper one is enough%s%s.%s", scores(j, j->chosen), difference,
                      costs[0] ? ": " : "", costs, given_up);
}

static const char *rows_needed(hone_judgement *j, const char *what)
{
    return j->rows_needed > 0
               ? hone_words(j, " About %s test rows would %s; there are %s.", hone_words_rows(j, j->rows_needed), what,
                            hone_words_exactly(j, j->c->n_test))
               : "";
}

/* Why the cheaper one could not simply be taken. */
static const char *why_open(hone_judgement *j, const hone_judged *pair)
{
    const hone_standing *s = &j->standing[j->other];
    const char *evidence = hone_words_evidence(j, pair, false), *size = hone_words_points(j, pair->difference);
    const char *other = hone_words_sentence_name(j, j->other);
    if (pair->high > HONE_LEFT_OPEN)
        return hone_words(
            j,
            "%s costs less (score %s); whether it is as good cannot be told: it is %s points %s, and that "
            "leaves room for much more (interval of the difference %s).",
            other, hone_words_score(j, j->other), size, pair->difference < 0 ? "above" : "below", evidence);
    if (!s->meets_minimum)
        return hone_words(j,
                          "%s costs less and is not shown to be worse (difference %s points, %s), but its %s is below "
                          "your minimum of %s, and its interval reaches it.",
                          other, size, evidence, hone_words_score_against(j, j->other, j->use->min_score),
                          hone_words_minimum(j));
    return hone_words(
        j,
        "%s costs less and is not shown to be worse (difference %s points, %s), nor shown to beat guessing "
        "(%s).",
        other, size, evidence, hone_words_score_of(j, j->guess, j->other));
}

static const char *summary_of_difference(hone_judgement *j)
{
    hone_judged pair;
    if (!hone_pairs_find(j, j->leader, j->other, &pair))
        return "";
    bool usable = j->standing[j->other].eligible && j->standing[j->other].meets_minimum;
    const char *now =
        usable ? hone_words(j, "For now take %s, the cheapest of those not shown to be worse, and label more rows.",
                            hone_words_name(j, j->other))
               : hone_words(j, "For now take %s, %s, and label more rows.", hone_words_name(j, j->leader),
                            rank_of_leader(j));
    return hone_words(j, "%s. %s%s %s", scores(j, j->leader), why_open(j, &pair),
                      rows_needed(j, "show a difference of 5 points"), now);
}

static const char *summary_of_unplanned(hone_judgement *j)
{
    const char *costs = hone_words_costs(j, j->other, j->leader);
    return hone_words(
        j,
        "%s. %s costs less%s%s%s and scores %s, but the two were not among the comparisons planned before "
        "the test was opened, so nothing is shown of them. Compare again on test rows that nobody has "
        "looked at. For now take %s, %s.",
        scores(j, j->leader), hone_words_sentence_name(j, j->other), costs[0] ? " (" : "", costs, costs[0] ? ")" : "",
        hone_words_score(j, j->other), hone_words_name(j, j->leader), rank_of_leader(j));
}

static const char *summary_of_dearer(hone_judgement *j)
{
    hone_judged pair;
    if (!hone_pairs_find(j, j->other, j->leader, &pair))
        return "";
    return hone_words(
        j,
        "%s. Whether %s, which costs more, is better cannot be told: it is %s, and the interval of the difference "
        "leaves room for much more (%s).%s For now take %s, which costs less, and label more rows.",
        scores(j, j->leader), hone_words_name(j, j->other),
        pair.difference == 0 ? "level"
                             : hone_words(j, "%s points %s", hone_words_points(j, pair.difference),
                                          pair.difference < 0 ? "below" : "above"),
        hone_words_evidence(j, &pair, false), rows_needed(j, "show a difference of 5 points"),
        hone_words_name(j, j->leader));
}

/* A lead is named, not followed: choosing by the scores of the locked test would make them worthless. */
static const char *summary_of_refuted(hone_judgement *j)
{
    hone_judged pair;
    const char *name = hone_words_sentence_name(j, j->leader), *what,
               *advice = "A choice by the locked test would not be a test, so this is a lead, not a verdict: compare "
                         "again on test rows that nobody has looked at.";
    if (hone_pairs_find(j, j->other, j->leader, &pair) && pair.differs && pair.difference > 0)
        what = hone_words(j, "%s, %s, is not confirmed: %s scores %s on the locked test, %s.", name, rank_of_leader(j),
                          hone_words_name(j, j->other), hone_words_score(j, j->other), hone_words_compared(j, &pair));
    else
        what = hone_words(j, "%s, %s, is not confirmed: it scores %s on the locked test (%s), %s. %s scores %s there.",
                          name, rank_of_leader(j), hone_words_score(j, j->leader), hone_words_interval(j, j->leader),
                          j->standing[j->leader].below_minimum
                              ? hone_words(j, "all of it below your minimum of %s", hone_words_minimum(j))
                              : "which is not shown to beat guessing",
                          hone_words_sentence_name(j, j->other), hone_words_score(j, j->other));
    return hone_words(j, "%s %s", what, advice);
}

/* Variance of a score times (z of 5 % two-sided + z of 80 % power)^2 = 2.80^2, over the squared distance to tell. Where
 * the score is 0 or 1 here, the variance is that of a score as far away as is to be told. */
static double rows_to_tell(double score, double distance)
{
    double variance = fmax(score * (1 - score), distance * (1 - distance));
    return 7.85 * variance / (distance * distance);
}

static const char *summary_of_open_minimum(hone_judgement *j)
{
    double limit = j->use->min_score, score = approach(j, j->leader)->score;
    j->rows_needed = fmax((double)j->c->n_test + 1, rows_to_tell(score, fmax(0.01, fabs(limit - score))));
    return hone_words(j,
                      "%s scores %s on the locked test (%s): below your minimum of %s, but the interval reaches it, so "
                      "whether it is good enough cannot be told.%s For now count on nothing here where %s is a must.",
                      hone_words_sentence_name(j, j->leader), hone_words_score_against(j, j->leader, limit),
                      hone_words_interval(j, j->leader), hone_words_minimum(j), rows_needed(j, "tell"),
                      hone_words_minimum(j));
}

/* The highest score of those that were tested, guessing left out where there is another; -1: none. within: only those
 * that keep to the limits of time. */
static int best_tested(const hone_judgement *j, bool within)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_standing *s = &j->standing[i];
        if (!s->scores || (within && (s->too_slow || s->too_late)) || (best >= 0 && s->guesses))
            continue;
        if (best < 0 || j->standing[best].guesses || approach(j, (int)i)->score > approach(j, best)->score)
            best = (int)i;
    }
    return best;
}

static const char *summary_of_open_guessing(hone_judgement *j)
{
    int best = best_tested(j, true);
    const hone_approach_result *a = approach(j, best);
    j->rows_needed = fmax((double)j->c->n_test + 1, rows_to_tell(a->score, HONE_MATTERS));
    return hone_words(
        j,
        "%s, the best here. That is not shown to beat guessing (%s), nor that it does not.%s For now count "
        "on nothing here, and label more rows.",
        scores(j, best), hone_words_guessing(j, best), rows_needed(j, "show a difference of 5 points"));
}

static const char *summary_of_not_enough(hone_judgement *j)
{
    switch (j->open) {
    case HONE_OPEN_DIFFERENCE:
        return summary_of_difference(j);
    case HONE_OPEN_UNPLANNED:
        return summary_of_unplanned(j);
    case HONE_OPEN_DEARER:
        return summary_of_dearer(j);
    case HONE_OPEN_REFUTED:
        return summary_of_refuted(j);
    case HONE_OPEN_MINIMUM:
        return summary_of_open_minimum(j);
    case HONE_OPEN_GUESSING:
        return summary_of_open_guessing(j);
    case HONE_OPEN_NO_LEADER:
        return "No approach was scored on select, so none could be named to be tested. Run the comparison with its "
               "select part.";
    case HONE_OPEN_NOTHING_TESTED:
        break;
    }
    return "No approach has answered the locked test, so there is nothing to conclude from. Run the comparison to its "
           "end.";
}

static int fastest(const hone_judgement *j)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].too_slow && !j->standing[i].guesses &&
            (best < 0 || approach(j, (int)i)->latency_p95_ms < approach(j, best)->latency_p95_ms))
            best = (int)i;
    return best;
}

static const char *summary_of_neither(hone_judgement *j)
{
    int best = best_tested(j, j->dead_end != HONE_DEAD_CONSTRAINTS), quick = fastest(j);
    switch (j->dead_end) {
    case HONE_DEAD_CONSTRAINTS:
        if (quick >= 0)
            return hone_words(
                j,
                "Nothing keeps to your limits: the fastest, %s, takes %s for its slowest 5 %% of requests, and "
                "your limit is %s. The best score was %s (%s).",
                hone_words_name(j, quick), hone_words_ms(j, approach(j, quick)->latency_p95_ms),
                hone_words_ms(j, j->use->latency_p95_ms), hone_words_score(j, best), approach(j, best)->name);
        return hone_words(j, "Nothing is ready within your %g days. The best score was %s (%s).", j->use->deadline_days,
                          hone_words_score(j, best), approach(j, best)->name);
    case HONE_DEAD_MINIMUM:
        return hone_words(
            j,
            "Nothing reaches your minimum of %s: the best, %s, scores %s on the locked test (%s). More or "
            "better training rows, a larger model or a lower minimum are what is left.",
            hone_words_minimum(j), hone_words_name(j, best), hone_words_score_against(j, best, j->use->min_score),
            hone_words_interval(j, best));
    case HONE_DEAD_GUESSING:
        break;
    }
    if (j->standing[best].guesses)
        return hone_words(j, "Only guessing was compared: %s on the locked test (%s).", hone_words_guessing(j, best),
                          hone_words_interval(j, best));
    return hone_words(j,
                      "Nothing is shown to beat guessing: %s, and the best approach, %s, %s on the locked test (%s).",
                      hone_words_guessing(j, best), hone_words_name(j, best), hone_words_score(j, best),
                      hone_words_interval(j, best));
}

void hone_summary(hone_judgement *j)
{
    hone_verdict *v = &j->c->verdict;
    v->headline = headline(j);
    v->summary = v->kind == HONE_VERDICT_NOT_ENOUGH_DATA ? summary_of_not_enough(j)
                 : v->kind == HONE_VERDICT_NEITHER       ? summary_of_neither(j)
                 : j->chosen == j->leader                ? summary_of_choice(j)
                                                         : summary_of_cheaper(j);
}
