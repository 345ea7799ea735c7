/* confidence.c - how far a verdict can be trusted, and what keeps it from being trusted further.
 *
 * It starts high and every doubt caps it; each doubt is said. So a quick run, few rows, a test that was opened often or
 * an approach tuned with one seed cannot come out as certain; with several, their spread is in the intervals already.
 */
#include "decide/judgement.h"

#include <math.h>

enum { LOW, MODERATE, HIGH };

static const size_t few_rows = 100, some_rows = 300;
static const int64_t many_openings = 3;
/* Scores of one recipe over training seeds commonly spread by a point or two; a margin beyond this outlives that. */
static const double seed_margin = 0.03;

static const double equal_regret = 0.001; /* a tenth of a point */

typedef struct doubts {
    hone_judgement *j;
    int level;
} doubts;

static void doubt(doubts *d, int cap, const char *why)
{
    d->level = cap < d->level ? cap : d->level;
    hone_words_add(d->j, &d->j->because, why);
}

static void doubt_rows(doubts *d)
{
    const hone_comparison *c = d->j->c;
    if (c->n_test < few_rows)
        doubt(d, LOW,
              hone_words(d->j, "%zu test rows are few: one row is worth %s points", c->n_test,
                         hone_words_points(d->j, 1.0 / fmax(1, (double)c->n_test))));
    else if (c->n_test < some_rows)
        doubt(d, MODERATE, hone_words(d->j, "%zu test rows leave wide intervals", c->n_test));
    if (c->quick)
        doubt(d, c->n_test < 200 ? LOW : MODERATE,
              "this was a quick run: less tuning, less search and fewer rows than a full one");
    if (c->test_openings > many_openings)
        doubt(d, MODERATE,
              hone_words(d->j, "the test was opened %lld times, each look makes a lucky result likelier",
                         (long long)c->test_openings));
}

/* The claims that a choice rests on: that it is better than what costs less, or gives up little. */
static void doubt_comparisons(doubts *d)
{
    hone_judgement *j = d->j;
    hone_judged pair;
    size_t n = 0;
    bool unplanned = false, thin = false;
    double least = INFINITY;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        if (!hone_pairs_find(j, j->chosen, (int)i, &pair)) {
            unplanned = unplanned || ((int)i != j->chosen && j->standing[i].eligible &&
                                      hone_standing_cheaper(j, (int)i, j->chosen) < 0);
            continue;
        }
        n++;
        thin = thin || (pair.differs && pair.difference > 0 && pair.p_adjusted >= 0.01);
        if (pair.differs && pair.difference > 0)
            least = fmin(least, pair.low);
    }
    if (n == 0)
        doubt(d, LOW, "it was compared with nothing else on the test");
    if (unplanned)
        doubt(d, MODERATE, "not every cheaper approach was among the comparisons planned before the test was opened");
    if (thin)
        doubt(d, MODERATE, "");
    const hone_approach_result *chosen = &j->c->approaches[j->chosen];
    if (chosen->family == HONE_FAMILY_TUNED && chosen->seeds.n == 0 && least < seed_margin)
        doubt(d, MODERATE,
              "tuning again with another seed may cost or bring a point or two, and the margin is not much more");
}

/* Several approaches lie so close on select that which of them is named is luck. */
static void doubt_the_naming(doubts *d)
{
    const hone_comparison *c = d->j->c;
    if (c->winner < 0 || !(c->approaches[c->winner].select_p_best < 0.5) ||
        c->approaches[c->winner].select_regret < equal_regret) /* level on every row: any of them will do */
        return;
    doubt(d, MODERATE,
          hone_words(d->j, "select does not settle which approach is the best: %s is so in only %.0f %% of resamples",
                     hone_words_name(d->j, c->winner), 100 * c->approaches[c->winner].select_p_best));
}

static void doubt_the_cheaper(doubts *d)
{
    hone_judged pair;
    if (hone_pairs_find(d->j, d->j->leader, d->j->chosen, &pair) && pair.high > HONE_MATTERS + 1e-9)
        doubt(d, MODERATE,
              hone_words(d->j, "about %s test rows would show a difference of 5 points, there are %s",
                         hone_words_rows(d->j, (double)hone_pairs_rows_needed(d->j, &pair)),
                         hone_words_exactly(d->j, d->j->c->n_test)));
}

const char *hone_confidence(hone_judgement *j)
{
    static const char *const names[] = {[LOW] = "low", [MODERATE] = "moderate", [HIGH] = "high"};
    doubts d = {j, HIGH};
    if (j->c->verdict.kind == HONE_VERDICT_NOT_ENOUGH_DATA)
        d.level = LOW;
    doubt_rows(&d);
    doubt_the_naming(&d);
    if (j->chosen < 0)
        return names[d.level];
    doubt_comparisons(&d);
    if (j->chosen != j->leader)
        doubt_the_cheaper(&d);
    if (j->refuted)
        doubt(&d, MODERATE, "");
    if (!j->standing[j->chosen].sure_of_minimum || hone_standing_saturated(j))
        doubt(&d, MODERATE, "");
    if (isfinite(j->use->latency_p95_ms) && !isfinite(j->c->approaches[j->chosen].latency_p95_ms))
        doubt(&d, MODERATE, "");
    if (!j->standing[j->chosen].running_known)
        doubt(&d, MODERATE, "");
    return names[d.level];
}
