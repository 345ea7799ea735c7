/* running_cost.c - the order of running costs. */
#include "evidence/running_cost.h"

#include <math.h>

/* Timings wobble and prices are guesses: costs within 5 % of each other are the same. */
static const double same_cost = 0.05;
/* A request's costs this close are equal: less than a report shows ($0.00001 per 1,000), and within the noise of timing
 * what takes microseconds. */
static const double negligible_usd = 1e-8;

static int compare_amounts(double x, double y)
{
    if (!isfinite(x) || !isfinite(y) || fabs(x - y) <= same_cost * fmax(fabs(x), fabs(y)))
        return 0;
    return x < y ? -1 : 1;
}

static int compare_requests(double x, double y)
{
    return fabs(x - y) < negligible_usd ? 0 : compare_amounts(x, y);
}

int hone_request_order(const hone_running_cost *x, const hone_running_cost *y)
{
    if (x->classical != y->classical)
        return x->classical ? -1 : 1;
    return compare_amounts(x->tokens, y->tokens);
}

int hone_running_cost_order(const hone_running_cost *x, const hone_running_cost *y)
{
    if (!isfinite(x->usd) || !isfinite(y->usd))
        return hone_request_order(x, y);
    int order = compare_requests(x->usd, y->usd);
    if (order == 0)
        order = compare_amounts(x->setup_usd, y->setup_usd);
    /* A machine that is kept anyway: the approach that leaves it idle is still the cheaper one. */
    return order ? order : compare_requests(x->marginal_usd, y->marginal_usd);
}
