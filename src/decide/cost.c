/* cost.c - cost per request and over time, break-even, sensitivity. */
#include "decide/cost.h"

#include <math.h>
#include <string.h>

hone_cost_inputs hone_cost_defaults(void)
{
    return (hone_cost_inputs){.cache_read = 1, .cache_write = 1, .horizon_months = 12};
}

/* The inputs by name, for checking. */
static const struct input {
    const char *name;
    size_t offset;
    bool is_share; /* in [0, 1] */
} inputs_table[] = {
    {"static_tokens", offsetof(hone_cost_inputs, static_tokens), false},
    {"query_tokens", offsetof(hone_cost_inputs, query_tokens), false},
    {"output_tokens", offsetof(hone_cost_inputs, output_tokens), false},
    {"busy_seconds", offsetof(hone_cost_inputs, busy_seconds), false},
    {"score", offsetof(hone_cost_inputs, score), true},
    {"input_token_usd", offsetof(hone_cost_inputs, input_token_usd), false},
    {"output_token_usd", offsetof(hone_cost_inputs, output_token_usd), false},
    {"cache_hit_rate", offsetof(hone_cost_inputs, cache_hit_rate), true},
    {"cache_read", offsetof(hone_cost_inputs, cache_read), false},
    {"cache_write", offsetof(hone_cost_inputs, cache_write), false},
    {"compute_hour_usd", offsetof(hone_cost_inputs, compute_hour_usd), false},
    {"hours_kept_per_month", offsetof(hone_cost_inputs, hours_kept_per_month), false},
    {"error_cost_usd", offsetof(hone_cost_inputs, error_cost_usd), false},
    {"labels", offsetof(hone_cost_inputs, labels), false},
    {"label_usd", offsetof(hone_cost_inputs, label_usd), false},
    {"training_seconds", offsetof(hone_cost_inputs, training_seconds), false},
    {"evaluation_seconds", offsetof(hone_cost_inputs, evaluation_seconds), false},
    {"engineer_hour_usd", offsetof(hone_cost_inputs, engineer_hour_usd), false},
    {"prompt_hours", offsetof(hone_cost_inputs, prompt_hours), false},
    {"building_hours", offsetof(hone_cost_inputs, building_hours), false},
    {"deployment_hours", offsetof(hone_cost_inputs, deployment_hours), false},
    {"change_hours", offsetof(hone_cost_inputs, change_hours), false},
    {"deployment_usd", offsetof(hone_cost_inputs, deployment_usd), false},
    {"requests_per_month", offsetof(hone_cost_inputs, requests_per_month), false},
    {"horizon_months", offsetof(hone_cost_inputs, horizon_months), false},
    {"changes_per_year", offsetof(hone_cost_inputs, changes_per_year), false},
};

static double value_at(const hone_cost_inputs *inputs, size_t offset)
{
    double value;
    memcpy(&value, (const char *)inputs + offset, sizeof value);
    return value;
}

static void put_at(hone_cost_inputs *inputs, size_t offset, double value)
{
    memcpy((char *)inputs + offset, &value, sizeof value);
}

static hone_status check(const hone_cost_inputs *inputs, hone_error *err)
{
    for (size_t i = 0; i < sizeof inputs_table / sizeof inputs_table[0]; i++) {
        double value = value_at(inputs, inputs_table[i].offset);
        if (!isfinite(value) || value < 0)
            return hone_fail(err, HONE_BAD_INPUT, "cost: %s is %g; it must be a number of 0 or more",
                             inputs_table[i].name, value);
        if (inputs_table[i].is_share && value > 1)
            return hone_fail(err, HONE_BAD_INPUT, "cost: %s is %g; it must lie between 0 and 1", inputs_table[i].name,
                             value);
    }
    if (inputs->dedicated && inputs->hours_kept_per_month == 0)
        return hone_fail(err, HONE_BAD_INPUT,
                         "cost: a dedicated machine needs hours_kept_per_month (730 for always on)");
    return HONE_OK;
}

static void per_request(const hone_cost_inputs *in, hone_cost *out)
{
    double prefix = in->cache_hit_rate * in->cache_read + (1.0 - in->cache_hit_rate) * in->cache_write;
    double hour = in->compute_hour_usd;
    out->token_usd = in->input_token_usd * (in->static_tokens * prefix + in->query_tokens) +
                     in->output_token_usd * in->output_tokens;
    out->marginal_usd = out->token_usd + in->busy_seconds * hour / 3600.0;
    out->machines = 0;
    out->provisioned_usd = out->token_usd;
    if (in->busy_seconds > 0) { /* a remote model keeps no machine of ours */
        double hours = in->hours_kept_per_month > 0 ? in->hours_kept_per_month : 730.0;
        double busy_hours = in->busy_seconds * in->requests_per_month / 3600.0;
        out->machines = fmax(1.0, ceil(busy_hours / hours - 1e-9));
        double month = out->machines * hours * hour;
        if (month > 0)
            out->provisioned_usd += in->requests_per_month > 0 ? month / in->requests_per_month : INFINITY;
    }
    out->operating_usd = in->dedicated ? out->provisioned_usd : out->marginal_usd;
    out->error_usd = (1.0 - in->score) * in->error_cost_usd;
}

hone_status hone_cost_calculate(const hone_cost_inputs *in, hone_cost *out, hone_error *err)
{
    *out = (hone_cost){0};
    hone_status status = check(in, err);
    if (status != HONE_OK)
        return status;
    per_request(in, out);
    out->labels_usd = in->labels * in->label_usd;
    out->training_usd = in->training_seconds * in->compute_hour_usd / 3600.0;
    out->evaluation_usd = in->evaluation_seconds * in->compute_hour_usd / 3600.0;
    out->prompt_usd = in->prompt_hours * in->engineer_hour_usd;
    out->building_usd = in->building_hours * in->engineer_hour_usd;
    out->deployment_usd = in->deployment_usd + in->deployment_hours * in->engineer_hour_usd;
    double done_again = out->labels_usd + out->training_usd + out->evaluation_usd;
    out->setup_usd = done_again + out->prompt_usd + out->building_usd + out->deployment_usd;
    out->change_usd = done_again + in->deployment_usd + in->change_hours * in->engineer_hour_usd;
    double years = in->horizon_months / 12.0, requests = in->requests_per_month * in->horizon_months;
    out->cycles = 1.0 + in->changes_per_year * years;
    out->cycle_requests =
        in->changes_per_year > 0 ? fmin(requests, in->requests_per_month * 12.0 / in->changes_per_year) : requests;
    /* Without requests a dedicated machine still costs its hours. */
    double running = in->dedicated && in->requests_per_month == 0 && out->machines > 0
                         ? out->machines * in->hours_kept_per_month * in->compute_hour_usd * in->horizon_months
                         : (requests > 0 ? out->operating_usd * requests : 0);
    out->horizon_usd = out->setup_usd + out->change_usd * (out->cycles - 1.0) + running;
    out->horizon_error_usd = out->error_usd * requests;
    return HONE_OK;
}

hone_break_even hone_cost_break_even(const hone_cost *a, const hone_cost *b, bool with_errors)
{
    double extra = a->setup_usd - b->setup_usd;
    double of_a = a->operating_usd + (with_errors ? a->error_usd : 0);
    double of_b = b->operating_usd + (with_errors ? b->error_usd : 0);
    double saving = isfinite(of_a) || isfinite(of_b) ? of_b - of_a : 0;
    if (saving > 0)
        return extra > 0 ? (hone_break_even){HONE_PAYS_AFTER, extra / saving} : (hone_break_even){HONE_PAYS_AT_ONCE, 0};
    if (extra < 0)
        return saving < 0 ? (hone_break_even){HONE_PAYS_UNTIL, extra / saving}
                          : (hone_break_even){HONE_PAYS_AT_ONCE, 0};
    return (hone_break_even){HONE_PAYS_NEVER, 0};
}

/* What is varied: the input of A, of B, or of both by the same factor. */
static const struct lever {
    const char *label;
    size_t offset;
    bool of_a, of_b;
} levers[HONE_COST_BANDS] = {
    {"requests per month", offsetof(hone_cost_inputs, requests_per_month), true, true},
    {"price of a compute hour", offsetof(hone_cost_inputs, compute_hour_usd), true, true},
    {"price of an input token", offsetof(hone_cost_inputs, input_token_usd), true, true},
    {"price of an output token", offsetof(hone_cost_inputs, output_token_usd), true, true},
    {"price of a label", offsetof(hone_cost_inputs, label_usd), true, true},
    {"price of an engineer's hour", offsetof(hone_cost_inputs, engineer_hour_usd), true, true},
    {"hours of work on the prompt", offsetof(hone_cost_inputs, prompt_hours), true, true},
    {"hours of work on building", offsetof(hone_cost_inputs, building_hours), true, true},
    {"hours of work on deployment", offsetof(hone_cost_inputs, deployment_hours), true, true},
    {"hours of work on a change", offsetof(hone_cost_inputs, change_hours), true, true},
    {"cost of an error", offsetof(hone_cost_inputs, error_cost_usd), true, true},
    {"changes per year", offsetof(hone_cost_inputs, changes_per_year), true, true},
    {"cache hit rate of the first", offsetof(hone_cost_inputs, cache_hit_rate), true, false},
    {"cache hit rate of the second", offsetof(hone_cost_inputs, cache_hit_rate), false, true},
    {"training time", offsetof(hone_cost_inputs, training_seconds), true, true},
    {"seconds per request of the first", offsetof(hone_cost_inputs, busy_seconds), true, false},
    {"seconds per request of the second", offsetof(hone_cost_inputs, busy_seconds), false, true},
};

typedef struct pair {
    const hone_cost_inputs *a, *b;
    bool with_errors;
} pair;

static bool is_share(const struct lever *lever)
{
    return lever->offset == offsetof(hone_cost_inputs, cache_hit_rate);
}

/* Costs of both with the lever at `setting`: a multiple of the given value, or for a share the value itself. Returns
 * the horizon cost of a minus b; 0 where both are infinite. */
static double difference_at(const pair *p, const struct lever *lever, double setting, hone_break_even *at)
{
    hone_cost_inputs a = *p->a, b = *p->b;
    hone_cost cost_a, cost_b;
    bool share = is_share(lever);
    if (lever->of_a)
        put_at(&a, lever->offset, share ? setting : value_at(&a, lever->offset) * setting);
    if (lever->of_b)
        put_at(&b, lever->offset, share ? setting : value_at(&b, lever->offset) * setting);
    if (hone_cost_calculate(&a, &cost_a, NULL) != HONE_OK || hone_cost_calculate(&b, &cost_b, NULL) != HONE_OK)
        return 0; /* an overflow at the far end of the range: no statement */
    if (at)
        *at = hone_cost_break_even(&cost_a, &cost_b, p->with_errors);
    double errors = p->with_errors ? cost_a.horizon_error_usd - cost_b.horizon_error_usd : 0;
    return cost_a.horizon_usd - cost_b.horizon_usd + errors;
}

/* Looks outward from the given value in steps of a 24th of a decade (a 48th of a share) for the nearest change of sign,
 * then halves the step. */
static void find_flip(const pair *p, const struct lever *lever, double base, hone_cost_band *band)
{
    enum { STEPS = 48 };
    bool share = is_share(lever);
    double start = share ? base : 1.0, now = difference_at(p, lever, start, NULL);
    if (now == 0)
        return;
    for (int step = 1; step <= STEPS && !band->flips; step++)
        for (int side = -1; side <= 1; side += 2) {
            double outer = share ? fmin(1, fmax(0, start + side * step / 48.0)) : pow(10.0, side * step / 24.0);
            double inner =
                share ? fmin(1, fmax(0, start + side * (step - 1) / 48.0)) : pow(10.0, side * (step - 1) / 24.0);
            if (band->flips || difference_at(p, lever, outer, NULL) * now >= 0)
                continue;
            for (int i = 0; i < 100; i++) {
                double middle = 0.5 * (inner + outer);
                if (difference_at(p, lever, middle, NULL) * now >= 0)
                    inner = middle;
                else
                    outer = middle;
            }
            band->flips = true;
            band->flips_at = share ? outer : outer * base;
        }
}

hone_status hone_cost_sensitivity(const hone_cost_inputs *a, const hone_cost_inputs *b, double factor, bool with_errors,
                                  hone_cost_band bands[HONE_COST_BANDS], size_t *n, hone_error *err)
{
    pair p = {a, b, with_errors};
    *n = 0;
    hone_status status = check(a, err);
    if (status == HONE_OK)
        status = check(b, err);
    if (status != HONE_OK)
        return status;
    if (!(factor > 1 && factor <= 1000))
        return hone_fail(err, HONE_BAD_INPUT, "cost: a sensitivity factor of %g; use more than 1, such as 2", factor);
    for (size_t i = 0; i < HONE_COST_BANDS; i++) {
        const struct lever *lever = &levers[i];
        double of_a = value_at(a, lever->offset), of_b = value_at(b, lever->offset);
        bool share = is_share(lever);
        double base = lever->of_a && (of_a > 0 || !lever->of_b) ? of_a : of_b;
        const hone_cost_inputs *whose = lever->of_a ? a : b;
        if (share ? whose->static_tokens * whose->input_token_usd == 0 : base == 0)
            continue;
        hone_cost_band *band = &bands[(*n)++];
        *band = (hone_cost_band){
            .input = lever->label, .low = share ? 0 : base / factor, .high = share ? 1 : base * factor};
        band->difference_low = difference_at(&p, lever, share ? 0 : 1.0 / factor, &band->at_low);
        band->difference_high = difference_at(&p, lever, share ? 1 : factor, &band->at_high);
        find_flip(&p, lever, base, band);
    }
    return HONE_OK;
}
