/* cost.h - what an approach costs: to set up, per request, over the planned time; and when one pays back another.
 *
 * Per request. S static prompt tokens, Q query tokens, O output tokens; h share of requests whose prefix is in the
 * cache, kappa and omega the price of reading and writing it relative to a fresh token:
 *
 *   tokens        p_in * (S * (h * kappa + (1 - h) * omega) + Q) + p_out * O
 *   marginal      + busy seconds * price of an hour / 3600       own hardware that others use as well (the default)
 *   provisioned   + hours kept * price / requests of the month   own hardware kept for this alone (`dedicated`); as
 *                                                                many machines as the busy seconds fill
 *   errors        (1 - score) * cost of an error                 shown beside the others, never mixed in unasked
 *
 * Setting up, before the first request:  labels + training + evaluation + hours of work (prompt, building, deployment)
 * Each change of the task begins a cycle: labels + training + evaluation + hours of work on a change (+ deployment_usd)
 *
 * All amounts in USD. Pure functions of their arguments. */
#ifndef HONE_DECIDE_COST_H
#define HONE_DECIDE_COST_H

#include "base/status.h"

typedef struct hone_cost_inputs {
    /* one request */
    double static_tokens, query_tokens, output_tokens;
    double busy_seconds; /* of own hardware; 0 for a remote model */
    double score;        /* in [0, 1] */
    /* prices */
    double input_token_usd, output_token_usd; /* per token; 0 on own hardware */
    double cache_hit_rate;                    /* h in [0, 1] */
    double cache_read, cache_write;           /* kappa, omega; 1 and 1 where there is no cache */
    double compute_hour_usd;
    bool dedicated;
    double hours_kept_per_month;
    double error_cost_usd;
    /* setting up */
    double labels, label_usd; /* labelled rows this approach uses: training, demonstrations, baselines alike */
    double training_seconds, evaluation_seconds;
    double engineer_hour_usd;
    double prompt_hours, building_hours, deployment_hours; /* people's work before the first request */
    double change_hours;                                   /* people's work at each change, the deployment included */
    double deployment_usd; /* paid to others for putting it into service, at each change again */
    /* volume */
    double requests_per_month, horizon_months, changes_per_year;
} hone_cost_inputs;

typedef struct hone_cost {
    double token_usd, marginal_usd, provisioned_usd; /* per request; provisioned is infinite without requests */
    double operating_usd;                            /* provisioned when dedicated, else marginal */
    double error_usd;                                /* per request */
    double labels_usd, training_usd, evaluation_usd; /* per cycle */
    double prompt_usd, building_usd, deployment_usd; /* before the first request */
    double setup_usd;                                /* the sum of the six */
    double change_usd;                               /* the same at each change of the task */
    double cycles;                                   /* 1 + changes within the horizon */
    double cycle_requests;                           /* requests between two changes, at most those of the horizon */
    double horizon_usd;                              /* setting up and operating */
    double horizon_error_usd;                        /* errors over the same time */
    double machines;                                 /* kept, when provisioned */
} hone_cost;

/* Inputs for own hardware without a cache: zeros, with cache_read and cache_write 1 and horizon 12 months. */
hone_cost_inputs hone_cost_defaults(void);

/* HONE_BAD_INPUT names an input that is negative, not finite or outside its range. */
hone_status hone_cost_calculate(const hone_cost_inputs *inputs, hone_cost *out, hone_error *err);

typedef enum hone_pay_back {
    HONE_PAYS_NEVER,   /* it costs at least as much to set up and no less per request */
    HONE_PAYS_AFTER,   /* from `requests` on it is the cheaper one */
    HONE_PAYS_AT_ONCE, /* cheaper from the first request */
    HONE_PAYS_UNTIL    /* cheaper to set up, dearer per request: the cheaper one below `requests` */
} hone_pay_back;

typedef struct hone_break_even {
    hone_pay_back kind;
    double requests; /* per cycle; for AFTER and UNTIL, else 0 */
} hone_break_even;

/* When does `a` (say, a tuned model) cost less than `b` (say, a prompt)?  N* = (setup a - setup b) / (c_b - c_a),
 * within one cycle. with_errors adds the cost of errors to c. */
hone_break_even hone_cost_break_even(const hone_cost *a, const hone_cost *b, bool with_errors);

/* One input varied, the others as given. */
typedef struct hone_cost_band {
    const char *input; /* name for people, static */
    double low, high;  /* the varied value (of `a` where both have their own): value / factor, value * factor */
    hone_break_even at_low, at_high;
    double difference_low, difference_high; /* horizon cost of a minus b there; below 0: a is cheaper */
    bool flips;      /* another value within 1/100 to 100 times changes which of the two is cheaper over the horizon */
    double flips_at; /* the nearest such value */
} hone_cost_band;

enum { HONE_COST_BANDS = 17 };

/* bands: [HONE_COST_BANDS]; *n is how many apply (inputs that are 0 for both are left out; a cache hit rate is varied
 * from 0 to 1 where a prompt prefix is paid for). Prices and volume are varied for both alike. factor > 1. */
hone_status hone_cost_sensitivity(const hone_cost_inputs *a, const hone_cost_inputs *b, double factor, bool with_errors,
                                  hone_cost_band bands[HONE_COST_BANDS], size_t *n, hone_error *err);

#endif
