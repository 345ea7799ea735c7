/* pairs.c - the comparisons that a verdict rests on, judged together. */
#include "decide/judgement.h"

#include "stats/comparison.h"
#include "stats/power.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct grouped_row {
    const char *group;
    size_t row;
} grouped_row;

static int by_group(const void *a, const void *b)
{
    const grouped_row *x = a, *y = b;
    int order = strcmp(x->group, y->group);
    return order ? order : x->row < y->row ? -1 : x->row > y->row;
}

hone_status hone_pairs_clusters(const hone_rows *rows, size_t n, hone_arena *arena, const int64_t **out,
                                hone_error *err)
{
    size_t n_grouped = 0;
    *out = NULL;
    if (!rows->items || rows->n < n)
        return HONE_OK;
    grouped_row *grouped = calloc(n + 1, sizeof *grouped);
    int64_t *cluster = hone_arena_array(arena, n + 1, sizeof *cluster);
    if (!grouped || !cluster) {
        free(grouped);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the groups of %zu rows", n);
    }
    for (size_t i = 0; i < n; i++) {
        cluster[i] = (int64_t)i;
        if (rows->items[i].group)
            grouped[n_grouped++] = (grouped_row){rows->items[i].group, i};
    }
    qsort(grouped, n_grouped, sizeof *grouped, by_group);
    for (size_t i = 1; i < n_grouped; i++)
        if (strcmp(grouped[i].group, grouped[i - 1].group) == 0)
            cluster[grouped[i].row] = cluster[grouped[i - 1].row];
    free(grouped);
    *out = n_grouped ? cluster : NULL;
    return HONE_OK;
}

static hone_status take_scores(hone_judgement *j, size_t index, hone_error *err)
{
    const hone_approach_result *a = &j->c->approaches[index];
    if (!a->tested || !a->outcomes || j->c->n_test == 0)
        return HONE_OK;
    double *scores = hone_arena_array(j->c->arena, j->c->n_test, sizeof *scores);
    if (!scores)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the scores of %zu rows", j->c->n_test);
    for (size_t i = 0; i < j->c->n_test; i++) {
        scores[i] = a->outcomes[i].score;
        if (!(scores[i] >= 0 && scores[i] <= 1))
            return hone_fail(err, HONE_BAD_INPUT, "%s: test row %zu has a score of %g; it must lie between 0 and 1",
                             a->name, i + 1, scores[i]);
    }
    j->standing[index].scores = scores;
    return HONE_OK;
}

static bool both_tested(const hone_judgement *j, const hone_judged *pair)
{
    return j->standing[pair->a].scores && j->standing[pair->b].scores;
}

static hone_status judge(hone_judgement *j, hone_error *err)
{
    size_t n = 0;
    hone_status status = HONE_OK;
    hone_paired_sample *samples = calloc(j->n_pairs + 1, sizeof *samples);
    hone_paired_comparison *found = calloc(j->n_pairs + 1, sizeof *found);
    if (!samples || !found) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu comparisons", j->n_pairs);
        goto done;
    }
    for (size_t i = 0; i < j->n_pairs; i++) {
        const hone_judged *pair = &j->pairs[i];
        if (both_tested(j, pair))
            samples[n++] = (hone_paired_sample){.a = j->standing[pair->a].scores,
                                                .b = j->standing[pair->b].scores,
                                                .cluster = j->cluster,
                                                .n = j->c->n_test,
                                                .a_seeds = hone_standing_seed_error(&j->c->approaches[pair->a]),
                                                .b_seeds = hone_standing_seed_error(&j->c->approaches[pair->b])};
    }
    status = hone_compare_family(samples, n, HONE_ERROR_RATE, 0, j->c->seed, found, err);
    if (status != HONE_OK)
        goto done;
    n = 0;
    for (size_t i = 0; i < j->n_pairs; i++) {
        hone_judged *pair = &j->pairs[i];
        if (!both_tested(j, pair))
            continue;
        const hone_paired_comparison *f = &found[n++];
        *pair = (hone_judged){.a = pair->a,
                              .b = pair->b,
                              .differs = f->differs,
                              .exact = f->exact,
                              .difference = f->difference,
                              .low = f->interval.low,
                              .high = f->interval.high,
                              .p = f->p,
                              .p_adjusted = f->p_adjusted,
                              .only_a = f->only_a,
                              .only_b = f->only_b};
    }
done:
    free(samples);
    free(found);
    return status;
}

hone_status hone_pairs_judge_planned(hone_judgement *j, hone_error *err)
{
    const hone_comparison *c = j->c;
    hone_status status = hone_pairs_clusters(&c->task->test, c->n_test, c->arena, &j->cluster, err);
    for (size_t i = 0; i < c->n_approaches && status == HONE_OK; i++)
        status = take_scores(j, i, err);
    if (status != HONE_OK)
        return status;
    j->pairs = hone_arena_array(c->arena, c->n_pairs + 1, sizeof *j->pairs);
    if (!j->pairs)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu comparisons", c->n_pairs);
    for (size_t i = 0; i < c->n_pairs; i++)
        j->pairs[i] = (hone_judged){.a = c->pairs[i].a, .b = c->pairs[i].b, .difference = NAN};
    j->n_pairs = c->n_pairs;
    return judge(j, err);
}

bool hone_pairs_find(const hone_judgement *j, int a, int b, hone_judged *out)
{
    for (size_t i = 0; i < j->n_pairs; i++) {
        const hone_judged *pair = &j->pairs[i];
        if (!isfinite(pair->difference))
            continue;
        if (pair->a == a && pair->b == b) {
            *out = *pair;
            return true;
        }
        if (pair->a == b && pair->b == a) {
            *out = *pair;
            out->a = a;
            out->b = b;
            out->difference = 0.0 - pair->difference; /* never -0 */
            out->low = 0.0 - pair->high;
            out->high = 0.0 - pair->low;
            out->only_a = pair->only_b;
            out->only_b = pair->only_a;
            return true;
        }
    }
    return false;
}

int hone_pairs_best_compared(const hone_judgement *j, int index, int apart, hone_judged *pair)
{
    int best = -1;
    hone_judged found;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        if (!hone_pairs_find(j, index, (int)i, &found) || (best >= 0 && j->standing[i].guesses) ||
            (apart >= 0 && (j->standing[i].guesses || j->c->approaches[i].family == j->c->approaches[apart].family)))
            continue;
        if (best < 0 || j->standing[best].guesses || j->c->approaches[i].score > j->c->approaches[best].score) {
            best = (int)i;
            *pair = found;
        }
    }
    return best;
}

int64_t hone_pairs_rows_needed(const hone_judgement *j, const hone_judged *pair)
{
    double n = (double)j->c->n_test;
    /* The interval's longer half shrinks with the square root of the rows. */
    double half = fmax(pair->high - pair->difference, pair->difference - pair->low);
    double needed = n * (half / HONE_MATTERS) * (half / HONE_MATTERS);
    if (pair->exact) {
        double discordant = fmax(HONE_MATTERS, (double)(pair->only_a + pair->only_b) / n);
        needed = fmax(needed,
                      (double)hone_items_needed(HONE_MATTERS, discordant, HONE_ERROR_RATE, 0.8, (int64_t)j->n_pairs));
    }
    return (int64_t)fmin(1e12, fmax(needed, n + 1));
}

static const char *test_name(const hone_judgement *j, const hone_judged *pair)
{
    bool seeds = hone_standing_seed_error(&j->c->approaches[pair->a]).degrees > 0 ||
                 hone_standing_seed_error(&j->c->approaches[pair->b]).degrees > 0;
    if (pair->exact)
        return "exact McNemar";
    if (seeds)
        return j->cluster ? "paired bootstrap by group, with training seeds" : "paired bootstrap, with training seeds";
    return j->cluster ? "paired bootstrap by group" : "paired bootstrap";
}

void hone_pairs_publish(const hone_judgement *j)
{
    for (size_t i = 0; i < j->c->n_pairs; i++) {
        const hone_judged *from = &j->pairs[i];
        hone_pair *to = &j->c->pairs[i];
        if (!isfinite(from->difference)) {
            *to = (hone_pair){from->a, from->b, NAN, NAN, NAN, NAN, NAN, 0, 0, "not tested", "not tested"};
            continue;
        }
        *to = (hone_pair){.a = from->a,
                          .b = from->b,
                          .difference = from->difference,
                          .ci_low = from->low,
                          .ci_high = from->high,
                          .p = from->p,
                          .p_adjusted = from->p_adjusted,
                          .only_a = from->only_a,
                          .only_b = from->only_b};
        to->test = test_name(j, from);
        to->finding = !from->differs ? "no difference shown" : from->difference > 0 ? "better" : "worse";
    }
}
