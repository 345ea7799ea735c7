/* luck.c - the winner's curse: the best of several on a sample is best partly by luck. How often would each approach be
 * the best if select had held other rows like these, and what would naming it have lost? Paired bootstrap over the rows
 * of select that every approach has answered (stats/bootstrap.h). It explains a verdict and decides nothing.
 * Where an approach has several training seeds a row's score is their mean; that other seeds might have been drawn is
 * not part of it. */
#include "decide/judgement.h"

#include "stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>

static bool is_scored(const hone_approach_result *a)
{
    return a->select_outcomes && isfinite(a->select_name_score);
}

/* Rows of select that were asked: the same first ones of every approach. */
static size_t rows_asked(const hone_judgement *j)
{
    size_t n = j->c->task->select_name.n;
    for (size_t i = 0; i < j->c->n_approaches; i++) {
        const hone_approach_result *a = &j->c->approaches[i];
        size_t asked = 0;
        while (is_scored(a) && asked < n && isfinite(a->select_outcomes[asked].score))
            asked++;
        n = is_scored(a) ? asked : n;
    }
    return n;
}

hone_status hone_luck(hone_judgement *j, hone_error *err)
{
    hone_comparison *c = j->c;
    size_t n_arms = 0, arm = 0, n = rows_asked(j);
    const int64_t *cluster = NULL;
    for (size_t i = 0; i < c->n_approaches; i++) {
        c->approaches[i].select_p_best = c->approaches[i].select_regret = NAN;
        n_arms += is_scored(&c->approaches[i]);
    }
    if (n_arms < 2 || n < 2)
        return HONE_OK;
    double *scores = calloc(n_arms * n, sizeof *scores), *found = calloc(2 * n_arms, sizeof *found);
    hone_status status = scores && found ? hone_pairs_clusters(&c->task->select_name, n, c->arena, &cluster, err)
                                         : hone_fail(err, HONE_NO_MEMORY, "out of memory for the scores of select");
    if (status != HONE_OK)
        goto done;
    for (size_t i = 0; i < c->n_approaches; i++)
        if (is_scored(&c->approaches[i])) {
            for (size_t r = 0; r < n; r++)
                scores[arm * n + r] = c->approaches[i].select_outcomes[r].score;
            arm++;
        }
    status = hone_bootstrap_best(scores, n_arms, n, cluster, 0, c->seed, found, found + n_arms, err);
    arm = 0;
    for (size_t i = 0; i < c->n_approaches && status == HONE_OK; i++)
        if (is_scored(&c->approaches[i])) {
            c->approaches[i].select_p_best = found[arm];
            c->approaches[i].select_regret = found[n_arms + arm];
            arm++;
        }
done:
    free(scores);
    free(found);
    return status;
}
