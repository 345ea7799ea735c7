/* schedule.c - learning rates over a run. Warm-up-stable-decay: Hu et al. 2024, arXiv 2404.06395, section 4. */
#include "train/train.h"

#include <math.h>
#include <string.h>

#define DECAY_FRACTION 0.2 /* of all steps, at the end of warm-up-stable-decay */

static const char *const names[] = {"linear", "cosine", "constant", "wsd"};

bool hone_schedule_parse(const char *word, hone_schedule_kind *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0) {
            *out = (hone_schedule_kind)i;
            return true;
        }
    return false;
}

const char *hone_schedule_name(hone_schedule_kind schedule)
{
    return names[schedule];
}

double hone_schedule_factor(hone_schedule_kind schedule, double warmup_fraction, int64_t step, int64_t n_steps)
{
    double total = (double)n_steps, warmup = floor(warmup_fraction * total), s = (double)step;
    if (s < warmup)
        return (s + 1) / (warmup + 1);
    double left = total > warmup ? (total - s) / (total - warmup) : 1; /* 1 at the first step after the warm-up */
    double decay = ceil(DECAY_FRACTION * total);
    switch (schedule) {
    case HONE_SCHEDULE_COSINE:
        return 0.5 * (1 + cos(acos(-1.0) * (1 - left)));
    case HONE_SCHEDULE_CONSTANT:
        return 1;
    case HONE_SCHEDULE_WSD:
        return total - s < decay ? (total - s) / decay : 1;
    default:
        return left;
    }
}
