/* seeds.c - an approach that was trained with several seeds, evaluated with each of them.
 *
 * A row's score is its mean over the seeds, so that what is compared is the way of training; its answer is that of the
 * kept seed, which is the one to serve. */
#include "approach/approach.h"

#include <stdlib.h>

/* From here on the approach answers with this seed's adapter. */
static void use_seed(hone_approach *a, size_t index)
{
    const hone_approach_seed *s = &a->seeds[index];
    a->adapter = s->adapter;
    a->adapter_folder = s->adapter_folder;
    json_incref(s->settings);
    json_decref(a->settings);
    a->settings = s->settings;
}

hone_status hone_approach_evaluate_seeds(hone_approach *a, const char *split, const hone_row *rows, size_t n,
                                         hone_arena *arena, hone_answer *out, double *mean, double *seconds,
                                         double *seed_means, hone_progress *progress, hone_error *err)
{
    if (a->n_seeds == 0)
        return hone_approach_evaluate(a, split, rows, n, arena, out, mean, seconds, progress, err);
    double *scores = calloc(n + 1, sizeof *scores), total = 0, sum = 0;
    hone_answer *others = hone_arena_array(arena, n + 1, sizeof *others);
    hone_status status =
        scores && others ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for the answers to %zu rows", n);
    for (size_t s = 0; s < a->n_seeds && status == HONE_OK; s++) {
        hone_answer *answers = s == a->kept ? out : others;
        double took = 0;
        use_seed(a, s);
        status = hone_approach_evaluate(a, split, rows, n, arena, answers, &seed_means[s], &took, progress, err);
        for (size_t i = 0; i < n && status == HONE_OK; i++)
            scores[i] += answers[i].score / (double)a->n_seeds;
        total += took;
    }
    use_seed(a, a->kept);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        out[i].score = scores[i];
        sum += scores[i];
    }
    if (mean)
        *mean = n ? sum / (double)n : 0;
    if (seconds)
        *seconds = total;
    free(scores);
    return status;
}
