/* work.c - hours of people's work by family.
 *
 * The defaults are round guesses of this project, for somebody who knows the tool and has the rows at hand: half a day
 * for a prompt or for tuning with its checks, a quarter for a classical baseline or for putting a model into service,
 * an hour to follow a change. */
#include "decide/work.h"

#include <math.h>

const hone_work_default hone_work_defaults[HONE_WORK_KINDS] = {
    [HONE_WORK_PROMPT] = {"prompt_hours", "writing and trying the prompt", 4},
    [HONE_WORK_TUNING] = {"tuning_hours", "tuning and looking its answers over", 4},
    [HONE_WORK_BASELINE] = {"baseline_hours", "building the classical baseline", 2},
    [HONE_WORK_DEPLOYMENT] = {"deployment_hours", "putting a tuned or classical model into service", 2},
    [HONE_WORK_CHANGE] = {"change_hours", "following a change of the task", 1},
};

double hone_work_hours(const hone_task_work *given, hone_work_kind kind, bool *assumed)
{
    const double stated[HONE_WORK_KINDS] = {
        [HONE_WORK_PROMPT] = given->prompt_hours,     [HONE_WORK_TUNING] = given->tuning_hours,
        [HONE_WORK_BASELINE] = given->baseline_hours, [HONE_WORK_DEPLOYMENT] = given->deployment_hours,
        [HONE_WORK_CHANGE] = given->change_hours,
    };
    bool known = isfinite(stated[kind]) && stated[kind] >= 0;
    if (assumed)
        *assumed = !known;
    return known ? stated[kind] : hone_work_defaults[kind].hours;
}

hone_work hone_work_of(const hone_task_work *given, hone_family family, bool sends_prompt)
{
    hone_work w = {0};
    bool assumed;
    if (sends_prompt) {
        w.prompt = hone_work_hours(given, HONE_WORK_PROMPT, &assumed);
        w.setup_assumed += assumed ? w.prompt : 0;
    }
    if (family != HONE_FAMILY_PROMPT) {
        w.building =
            hone_work_hours(given, family == HONE_FAMILY_TUNED ? HONE_WORK_TUNING : HONE_WORK_BASELINE, &assumed);
        w.setup_assumed += assumed ? w.building : 0;
        w.deployment = hone_work_hours(given, HONE_WORK_DEPLOYMENT, &assumed);
        w.setup_assumed += assumed ? w.deployment : 0;
        w.change_assumed += assumed ? w.deployment : 0;
    }
    w.change = w.deployment + hone_work_hours(given, HONE_WORK_CHANGE, &assumed);
    w.change_assumed += assumed ? w.change - w.deployment : 0;
    return w;
}
