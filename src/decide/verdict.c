/* verdict.c - the rule of verdict.h: who leads, what is taken, whether the data say enough. */
#include "decide/verdict.h"

#include "decide/judgement.h"

#include <math.h>
#include <stdlib.h>

/* ---- who leads */

static bool leads_more(const hone_judgement *j, int x, int y)
{
    double a = j->c->approaches[x].select_name_score, b = j->c->approaches[y].select_name_score;
    return a > b || (a == b && hone_standing_cheaper(j, x, y) < 0);
}

/* Tested, within the limits of time, and more than guessing: what is known without looking at a score on the test. */
static bool may_lead(const hone_judgement *j, int index)
{
    const hone_standing *s = &j->standing[index];
    return s->scores && !s->too_slow && !s->too_late && !s->guesses;
}

/* The winner named on select, or where it breaks a limit of time the next best on select. -1: none. The test has no
 * say: it can only confirm or refute (docs/design.md, rule 6). */
static int find_leader(const hone_judgement *j)
{
    int best = -1;
    if (j->c->winner >= 0 && may_lead(j, j->c->winner))
        return j->c->winner;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (may_lead(j, (int)i) && isfinite(j->c->approaches[i].select_name_score) &&
            (best < 0 || leads_more(j, (int)i, best)))
            best = (int)i;
    return best;
}

/* One that costs no less and that a planned comparison shows to be better than the leader; the most so. -1: none. */
static int find_refuting(const hone_judgement *j)
{
    int best = -1;
    double most = 0;
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (may_lead(j, (int)i) && hone_pairs_find(j, (int)i, j->leader, &pair) && pair.differs &&
            pair.difference > most && hone_standing_cheaper(j, (int)i, j->leader) >= 0) {
            most = pair.difference;
            best = (int)i;
        }
    return best;
}

static bool is_refuted(const hone_judgement *j)
{
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (may_lead(j, (int)i) && hone_pairs_find(j, (int)i, j->leader, &pair) && pair.differs && pair.difference > 0)
            return true;
    return false;
}

/* ---- what is taken */

/* May it be taken instead of the leader? It costs less and is not shown to be worse. */
static bool could_do(const hone_judgement *j, int index, hone_judged *pair)
{
    return index != j->leader && hone_standing_in_play(j, index) && hone_standing_cheaper(j, index, j->leader) < 0 &&
           hone_pairs_find(j, j->leader, index, pair) && !(pair->differs && pair->difference > 0);
}

static bool comes_first(const hone_judgement *j, int x, int y)
{
    int order = hone_standing_cheaper(j, x, y);
    return order ? order < 0 : leads_more(j, x, y);
}

/* The cheapest of those that could do; wanted: sound (eligible, reaching the minimum, and little left open) or any. */
static int cheapest(const hone_judgement *j, bool sound)
{
    int best = -1;
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_standing *s = &j->standing[i];
        if (!could_do(j, (int)i, &pair) ||
            (sound && !(s->eligible && s->meets_minimum && pair.high <= HONE_LEFT_OPEN + 1e-9)))
            continue;
        if (best < 0 || comes_first(j, (int)i, best))
            best = (int)i;
    }
    return best;
}

/* A dearer one that may be better than the leader by more than can be left open: the one that may be the best. */
static int open_dearer(const hone_judgement *j)
{
    int worst = -1;
    double low = -HONE_LEFT_OPEN - 1e-9;
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if ((int)i != j->leader && hone_standing_in_play(j, (int)i) && hone_pairs_find(j, j->leader, (int)i, &pair) &&
            pair.low < low) {
            low = pair.low;
            worst = (int)i;
        }
    return worst;
}

/* One that costs less than the leader, would be of use, and was not compared with it; the best on select. -1: none. */
static int unplanned_cheaper(const hone_judgement *j)
{
    int best = -1;
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if ((int)i != j->leader && j->standing[i].eligible && hone_standing_cheaper(j, (int)i, j->leader) < 0 &&
            !hone_pairs_find(j, j->leader, (int)i, &pair) && (best < 0 || leads_more(j, (int)i, best)))
            best = (int)i;
    return best;
}

static bool something_is_worse(const hone_judgement *j)
{
    hone_judged pair;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].eligible && (int)i != j->leader && hone_pairs_find(j, j->leader, (int)i, &pair) &&
            pair.differs && pair.difference > 0)
            return true;
    return false;
}

static void not_enough(hone_judgement *j, hone_open_question question, int other)
{
    hone_judged pair;
    j->c->verdict.kind = HONE_VERDICT_NOT_ENOUGH_DATA;
    j->chosen = -1;
    j->open = question;
    j->other = other;
    if (other >= 0 && j->leader >= 0 && hone_pairs_find(j, j->leader, other, &pair))
        j->rows_needed = hone_pairs_rows_needed(j, &pair);
}

static void choose(hone_judgement *j, int index, hone_verdict_kind kind)
{
    bool classical = j->c->approaches[index].family == HONE_FAMILY_BASELINE;
    j->c->verdict.kind = classical ? HONE_VERDICT_BASELINE : kind;
    j->chosen = index;
}

/* ---- nobody leads */

typedef struct tally {
    size_t tested, allowed, above_minimum, eligible;
    double most_over_guessing; /* upper limits of those that are allowed and not below the minimum, less guessing */
} tally;

static tally count(const hone_judgement *j)
{
    tally t = {.most_over_guessing = 0};
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_standing *s = &j->standing[i];
        bool allowed = s->scores && !s->too_slow && !s->too_late;
        t.tested += s->scores != NULL;
        t.allowed += allowed;
        t.above_minimum += allowed && !s->below_minimum;
        t.eligible += s->eligible;
        if (allowed && !s->below_minimum && !s->guesses)
            t.most_over_guessing = fmax(t.most_over_guessing, j->c->approaches[i].ci_high - j->guess);
    }
    return t;
}

static void neither(hone_judgement *j, hone_dead_end why)
{
    j->c->verdict.kind = HONE_VERDICT_NEITHER;
    j->dead_end = why;
}

static void decide_without_leader(hone_judgement *j)
{
    tally t = count(j);
    if (t.tested == 0)
        not_enough(j, HONE_OPEN_NOTHING_TESTED, -1);
    else if (t.allowed == 0)
        neither(j, HONE_DEAD_CONSTRAINTS);
    else if (t.above_minimum == 0)
        neither(j, HONE_DEAD_MINIMUM);
    else if (t.eligible > 0)
        not_enough(j, HONE_OPEN_NO_LEADER, -1);
    else if (t.most_over_guessing > HONE_LEFT_OPEN)
        not_enough(j, HONE_OPEN_GUESSING, -1);
    else
        neither(j, HONE_DEAD_GUESSING);
}

/* ---- somebody leads */

/* The leader has failed on the test, and nothing cheaper was shown to do: is that so of all, or of what select named?
 */
static void decide_without_confirmation(hone_judgement *j)
{
    int best = -1;
    for (size_t i = 0; i < j->c->n_approaches; i++)
        if (j->standing[i].eligible && (best < 0 || j->c->approaches[i].score > j->c->approaches[best].score))
            best = (int)i; /* to be named as a lead, never to be chosen */
    if (best >= 0) {
        not_enough(j, HONE_OPEN_REFUTED, best);
        return;
    }
    j->leader = -1;
    decide_without_leader(j);
}

static void decide_with_leader(hone_judgement *j)
{
    int refuting = find_refuting(j), sound = cheapest(j, true), any = cheapest(j, false);
    int unplanned = unplanned_cheaper(j), dearer;
    j->refuted = is_refuted(j);
    if (refuting >= 0) {
        not_enough(j, HONE_OPEN_REFUTED, refuting);
    } else if (sound >= 0) {
        choose(j, sound, HONE_VERDICT_CHEAPER);
        j->other = j->leader;
    } else if (!j->standing[j->leader].eligible) {
        decide_without_confirmation(j);
    } else if (!j->standing[j->leader].meets_minimum) {
        not_enough(j, HONE_OPEN_MINIMUM, -1);
    } else if (any >= 0) {
        not_enough(j, HONE_OPEN_DIFFERENCE, any);
    } else if (unplanned >= 0) {
        not_enough(j, HONE_OPEN_UNPLANNED, unplanned);
    } else if (!something_is_worse(j) && (dearer = open_dearer(j)) >= 0) {
        not_enough(j, HONE_OPEN_DEARER, dearer);
    } else {
        choose(j, j->leader, HONE_VERDICT_CHOOSE);
    }
}

/* ---- all of it */

static hone_status check(const hone_comparison *c, hone_error *err)
{
    int n = (int)c->n_approaches;
    if (!c->task || !c->arena)
        return hone_fail(err, HONE_BAD_INPUT, "a verdict needs a comparison with its task and its arena");
    if (c->n_approaches > 1000)
        return hone_fail(err, HONE_BAD_INPUT, "a comparison of %zu approaches; at most 1,000 can be judged",
                         c->n_approaches);
    if (c->winner < -1 || c->winner >= n)
        return hone_fail(err, HONE_BAD_INPUT, "the winner is approach %d of %d", c->winner, n);
    for (size_t i = 0; i < c->n_approaches; i++)
        if (!c->approaches[i].name)
            return hone_fail(err, HONE_BAD_INPUT, "approach %zu has no name", i);
    for (size_t i = 0; i < c->n_pairs; i++) {
        const hone_pair *p = &c->pairs[i];
        if (p->a < 0 || p->a >= n || p->b < 0 || p->b >= n || p->a == p->b)
            return hone_fail(err, HONE_BAD_INPUT, "planned comparison %zu is of approaches %d and %d; there are %d",
                             i + 1, p->a, p->b, n);
    }
    return HONE_OK;
}

static void publish(hone_judgement *j, const char *confidence)
{
    hone_verdict *v = &j->c->verdict;
    hone_pairs_publish(j);
    v->choose = j->chosen;
    v->confidence = confidence;
    v->because = j->because.items;
    v->n_because = j->because.n;
    v->flips_if = j->flips_if.items;
    v->n_flips_if = j->flips_if.n;
}

static hone_status begin(hone_comparison *c, hone_judgement *j, hone_error *err)
{
    hone_status status = check(c, err);
    if (status != HONE_OK)
        return status;
    *j = (hone_judgement){.c = c, .use = &c->task->use, .leader = -1, .chosen = -1, .other = -1};
    j->standing = hone_arena_array(c->arena, c->n_approaches + 1, sizeof *j->standing);
    return j->standing ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for a verdict");
}

hone_status hone_decide_costs(hone_comparison *c, hone_error *err)
{
    hone_judgement j;
    hone_status status = begin(c, &j, err);
    return status == HONE_OK ? hone_standing_costs(&j, err) : status;
}

hone_status hone_decide(hone_comparison *c, hone_error *err)
{
    hone_judgement j;
    hone_status status = begin(c, &j, err);
    if (status != HONE_OK)
        return status;
    c->verdict = (hone_verdict){.choose = -1, .break_even_requests = NAN, .break_even_against = -1};
    status = hone_pairs_judge_planned(&j, err);
    if (status == HONE_OK)
        status = hone_standing_scores(&j, err);
    if (status == HONE_OK)
        status = hone_standing_costs(&j, err);
    if (status == HONE_OK)
        status = hone_luck(&j, err);
    if (status != HONE_OK)
        return status;
    hone_standing_judge(&j);
    j.leader = find_leader(&j);
    if (j.leader >= 0)
        decide_with_leader(&j);
    else
        decide_without_leader(&j);
    hone_summary(&j);
    hone_reasons(&j);
    status = hone_payback(&j, err);
    if (status != HONE_OK)
        return status;
    publish(&j, hone_confidence(&j));
    return j.out_of_memory ? hone_fail(err, HONE_NO_MEMORY, "out of memory for the words of a verdict") : HONE_OK;
}
