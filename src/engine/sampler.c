/* sampler.c - bias, penalties, temperature and truncation of one row of logits, and the draw (sampling.h has the
 * order, the definitions and their sources).
 *
 * Weights are exp(scaled), in double precision, where scaled is 0 for the most likely token: one vectorised pass over
 * all tokens. Of those a truncated distribution keeps a few: a bound on the least weight that truncation can keep
 * leaves some hundreds of candidates, and these are taken best first from a heap, so nothing is sorted that is not
 * kept. Weights are summed in the order in which candidates stand, so a row gives one result always. */
#include "engine/sampler.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hone_sampler {
    const hone_ops *ops;
    int64_t n_vocab;
    float *adjusted; /* [n_vocab] logits after bias and penalties */
    double *weights; /* [n_vocab] */
    hone_candidate *candidates;
};

hone_status hone_sampler_create(const hone_ops *ops, int64_t n_vocab, hone_sampler **out, hone_error *err)
{
    hone_sampler *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        s->ops = ops;
        s->n_vocab = n_vocab;
        s->adjusted = calloc((size_t)n_vocab, sizeof *s->adjusted);
        s->weights = calloc((size_t)n_vocab, sizeof *s->weights);
        s->candidates = calloc((size_t)n_vocab, sizeof *s->candidates);
    }
    if (s && s->adjusted && s->weights && s->candidates)
        return HONE_OK;
    hone_sampler_free(s);
    *out = NULL;
    return hone_fail(err, HONE_NO_MEMORY, "out of memory to sample from %lld tokens", (long long)n_vocab);
}

void hone_sampler_free(hone_sampler *s)
{
    if (!s)
        return;
    free(s->adjusted);
    free(s->weights);
    free(s->candidates);
    free(s);
}

/* ---- settings ---- */

hone_status hone_sampling_check(const hone_sampling *s, int64_t n_vocab, hone_error *err)
{
    const struct {
        const char *name;
        double value, least, most;
        const char *range;
    } ranges[] = {
        {"temperature", s->temperature, 0, 1e6, "0 (greedy) or more"},
        {"top-k", s->top_k, 0, INT32_MAX, "0 (off) or more"},
        {"top-p", s->top_p, 0, 1, "above 0, at most 1 (off)"},
        {"min-p", s->min_p, 0, 1, "0 (off) to 1"},
        {"typical", s->typical_p, 0, 1, "above 0, at most 1 (off)"},
        {"repetition-penalty", s->repetition_penalty, 0, 1e6, "above 0; 1 is off"},
        {"presence-penalty", s->presence_penalty, -2, 2, "-2 to 2"},
        {"frequency-penalty", s->frequency_penalty, -2, 2, "-2 to 2"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].least && ranges[i].value <= ranges[i].most))
            return hone_fail(err, HONE_BAD_INPUT, "%s %g; it is %s", ranges[i].name, ranges[i].value, ranges[i].range);
    for (size_t i = 0; i < s->n_logit_bias; i++) {
        if (s->logit_bias[i].id < 0 || s->logit_bias[i].id >= n_vocab)
            return hone_fail(err, HONE_BAD_INPUT, "logit-bias on token id %d; the vocabulary has 0 to %lld",
                             s->logit_bias[i].id, (long long)n_vocab - 1);
        if (!isfinite(s->logit_bias[i].value))
            return hone_fail(err, HONE_BAD_INPUT, "logit-bias %g on token id %d; it must be finite",
                             (double)s->logit_bias[i].value, s->logit_bias[i].id);
    }
    return HONE_OK;
}

static bool repeats_are_penalised(const hone_sampling *s)
{
    return s->repetition_penalty > 0 && s->repetition_penalty != 1;
}

/* ---- which tokens were there ---- */

hone_status hone_token_history_init(hone_token_history *h, const hone_sampling *sampling, int64_t n_vocab,
                                    const int32_t *prompt, size_t n_prompt, size_t capacity, hone_error *err)
{
    *h = (hone_token_history){0};
    if (!repeats_are_penalised(sampling) && sampling->presence_penalty == 0 && sampling->frequency_penalty == 0)
        return HONE_OK;
    size_t most = n_prompt + capacity < (size_t)n_vocab ? n_prompt + capacity : (size_t)n_vocab;
    h->generated = calloc((size_t)n_vocab, sizeof *h->generated);
    h->present = calloc((size_t)n_vocab, sizeof *h->present);
    h->distinct = calloc(most + 1, sizeof *h->distinct);
    if (!h->generated || !h->present || !h->distinct) {
        hone_token_history_clear(h);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory to count %zu tokens", most);
    }
    for (size_t i = 0; i < n_prompt; i++)
        if (!h->present[prompt[i]]) {
            h->present[prompt[i]] = true;
            h->distinct[h->n_distinct++] = prompt[i];
        }
    return HONE_OK;
}

void hone_token_history_add(hone_token_history *h, int32_t id)
{
    if (!h->generated)
        return;
    h->generated[id]++;
    if (!h->present[id]) {
        h->present[id] = true;
        h->distinct[h->n_distinct++] = id;
    }
}

void hone_token_history_clear(hone_token_history *h)
{
    free(h->generated);
    free(h->present);
    free(h->distinct);
    *h = (hone_token_history){0};
}

/* ---- bias and penalties ---- */

/* The logits themselves where nothing is to be changed. */
static const float *adjust(hone_sampler *sampler, const hone_sampling *s, const hone_token_history *h,
                           const float *logits)
{
    bool counted = h && h->generated;
    if (s->n_logit_bias == 0 && !counted)
        return logits;
    float *out = sampler->adjusted;
    memcpy(out, logits, (size_t)sampler->n_vocab * sizeof *out);
    for (size_t i = 0; i < s->n_logit_bias; i++)
        out[s->logit_bias[i].id] += s->logit_bias[i].value;
    for (size_t i = 0; counted && i < h->n_distinct; i++) {
        int32_t id = h->distinct[i];
        double value = (double)out[id], n = h->generated[id];
        if (repeats_are_penalised(s))
            value = value > 0 ? value / s->repetition_penalty : value * s->repetition_penalty;
        value -= n * s->frequency_penalty + (n > 0 ? s->presence_penalty : 0);
        out[id] = (float)value;
    }
    return out;
}

/* ---- truncation ---- */

static bool is_better(const hone_candidate *a, const hone_candidate *b)
{
    return a->scaled > b->scaled || (a->scaled == b->scaled && a->id < b->id);
}

static void swap(hone_candidate *a, hone_candidate *b)
{
    hone_candidate t = *a;
    *a = *b;
    *b = t;
}

/* A heap with the best candidate at its root, laid out backwards from the end of the array (the root is c[n-1], the
 * children of place i from the root stand at 2i+1 and 2i+2), so that what is taken from it collects at the front. */
static void sift_down(hone_candidate *c, size_t n, size_t size, size_t place)
{
    hone_candidate *root = c + n - 1;
    for (;;) {
        size_t best = place, left = 2 * place + 1;
        for (size_t child = left; child < left + 2 && child < size; child++)
            if (is_better(root - child, root - best))
                best = child;
        if (best == place)
            return;
        swap(root - place, root - best);
        place = best;
    }
}

/* Moves the best candidates to the front, in order, until there are `most` or their weights reach `mass`. */
static size_t take_best(hone_candidate *c, size_t n, size_t most, double mass)
{
    for (size_t place = n / 2; place-- > 0;)
        sift_down(c, n, n, place);
    double sum = 0;
    size_t taken = 0;
    while (taken < most && taken < n && !(taken > 0 && sum >= mass)) {
        hone_candidate best = c[n - 1];
        c[n - 1] = c[taken]; /* the heap's last place, which leaves the heap now */
        c[taken++] = best;
        sum += best.weight;
        if (taken < n)
            sift_down(c, n, n - taken, 0);
    }
    return taken;
}

static double sum_weights(const hone_candidate *c, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += c[i].weight;
    return total;
}

/* Keeps candidates, in their order, whose weight reaches min_p of the greatest, which is 1 by construction. */
static size_t keep_above(hone_candidate *c, size_t n, double least)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].weight >= least)
            c[kept++] = c[i];
    return kept;
}

/* `scaled` serves as the key: it becomes minus the distance from the expected information. */
static size_t take_typical(hone_candidate *c, size_t n, double typical_p)
{
    double total = sum_weights(c, n), log_total = log(total), entropy = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].weight > 0)
            entropy -= c[i].weight / total * (c[i].scaled - log_total);
    for (size_t i = 0; i < n; i++)
        c[i].scaled = c[i].weight > 0 ? -fabs(log_total - c[i].scaled - entropy) : -INFINITY;
    return take_best(c, n, n, typical_p * total);
}

static bool is_fraction(double p)
{
    return p > 0 && p < 1;
}

/* A weight that k weights reach: the k-th greatest of the greatest of equal stretches, or 0. */
static double reached_by(const double *w, size_t n, size_t k)
{
    enum { STRETCHES = 512 };
    double top[STRETCHES]; /* the k greatest so far, the least of them first: a heap */
    size_t length = (n + STRETCHES - 1) / STRETCHES, held = 0;
    if (k > STRETCHES || k * length > n)
        return 0;
    for (size_t start = 0; start < n; start += length) {
        double most = 0;
        for (size_t i = start; i < start + length && i < n; i++)
            most = w[i] > most ? w[i] : most;
        size_t at = held;
        if (held < k) { /* rises from the end */
            for (held++; at > 0 && top[(at - 1) / 2] > most; at = (at - 1) / 2)
                top[at] = top[(at - 1) / 2];
            top[at] = most;
            continue;
        }
        if (most <= top[0])
            continue;
        at = 0; /* replaces the least and sinks */
        for (size_t child = 1; child < k; at = child, child = 2 * at + 1) {
            child += child + 1 < k && top[child + 1] < top[child];
            if (top[child] >= most)
                break;
            top[at] = top[child];
        }
        top[at] = most;
    }
    return held == k ? top[0] : 0;
}

static bool takes_best_k(const hone_sampler *sampler, const hone_sampling *s)
{
    return s->top_k > 0 && s->top_k < sampler->n_vocab;
}

/* Below this weight no token is kept. The nucleus of top_p holds every token with more than (1 - p) / n of the total:
 * all that have less come to less than 1 - p together. Half of it, so that rounding does not matter. */
static double least_weight(const hone_sampler *sampler, const hone_sampling *s, double total)
{
    double n = (double)sampler->n_vocab, least = 0;
    if (takes_best_k(sampler, s))
        least = reached_by(sampler->weights, (size_t)sampler->n_vocab, (size_t)s->top_k);
    else if (is_fraction(s->top_p))
        least = (1 - s->top_p) / 2 * total / n;
    if (takes_best_k(sampler, s) && is_fraction(s->top_p))
        return least; /* top_p counts all of the k, those below min_p too */
    return s->min_p > 0 ? fmax(least, s->min_p) : least;
}

/* The row after bias and penalties, its weights, the index of the greatest. */
static const float *weigh(hone_sampler *sampler, const hone_sampling *s, const hone_token_history *history,
                          const float *logits, int32_t *best, double *total)
{
    const float *row = adjust(sampler, s, history, logits);
    *best = hone_op_row_argmax(sampler->ops, sampler->n_vocab, row);
    *total = hone_op_row_weights(sampler->ops, sampler->n_vocab, row[*best], s->temperature, row, sampler->weights);
    return row;
}

const hone_candidate *hone_sampler_distribution(hone_sampler *sampler, const hone_sampling *s,
                                                const hone_token_history *history, const float *logits, size_t *n,
                                                double *total)
{
    int32_t best;
    double all;
    const float *row = weigh(sampler, s, history, logits, &best, &all);
    hone_candidate *c = sampler->candidates;
    const double *w = sampler->weights, least = least_weight(sampler, s, all);
    size_t count = 0;
    for (int64_t i = 0; i < sampler->n_vocab; i++)
        if (w[i] >= least)
            c[count++] = (hone_candidate){((double)row[i] - (double)row[best]) / s->temperature, w[i], (int32_t)i};
    if (takes_best_k(sampler, s)) {
        count = take_best(c, count, (size_t)s->top_k, INFINITY);
        all = sum_weights(c, count);
    }
    if (is_fraction(s->top_p)) /* sorted already: the heap is in order and gives the same back */
        count = take_best(c, count, count, s->top_p * all);
    if (s->min_p > 0)
        count = keep_above(c, count, s->min_p);
    if (is_fraction(s->typical_p))
        count = take_typical(c, count, s->typical_p);
    *n = count;
    *total = sum_weights(c, count);
    return c;
}

/* The draw over all tokens, in the order of their ids. */
static int32_t pick_from_all(const hone_sampler *sampler, double target, int32_t best)
{
    double sum = 0;
    for (int64_t i = 0; i < sampler->n_vocab; i++) {
        sum += sampler->weights[i];
        if (sum > target)
            return (int32_t)i;
    }
    return best; /* rounding left the sum below the target */
}

int32_t hone_sampler_pick(hone_sampler *sampler, const hone_sampling *s, const hone_token_history *history,
                          const float *logits, uint64_t index)
{
    if (!(s->temperature > 0))
        return hone_op_row_argmax(sampler->ops, sampler->n_vocab, adjust(sampler, s, history, logits));
    double u = hone_rng_uniform((hone_rng_key){s->seed, HONE_RNG_SAMPLE, s->stream}, index), total, sum = 0;
    if (s->top_k == 0 && !is_fraction(s->top_p) && !(s->min_p > 0) && !is_fraction(s->typical_p)) {
        int32_t best;
        weigh(sampler, s, history, logits, &best, &total);
        return pick_from_all(sampler, u * total, best);
    }
    size_t n, last = 0; /* last: of those that can be drawn at all, should rounding leave the sum below the target */
    const hone_candidate *c = hone_sampler_distribution(sampler, s, history, logits, &n, &total);
    for (size_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if (sum > u * total)
            return c[i].id;
        if (c[i].weight > 0)
            last = i;
    }
    return c[last].id;
}

void hone_top_tokens(const float *logits, int64_t n_vocab, double log_sum_exp, int n, hone_top_token *out)
{
    int held = 0;
    for (int64_t i = 0; i < n_vocab; i++) {
        float value = logits[i];
        if (held == n && !(value > out[n - 1].logprob))
            continue;
        int at = held < n ? held++ : n - 1;
        for (; at > 0 && value > out[at - 1].logprob; at--)
            out[at] = out[at - 1];
        out[at] = (hone_top_token){(int32_t)i, value};
    }
    for (int i = 0; i < held; i++)
        out[i].logprob = (float)((double)out[i].logprob - log_sum_exp);
}
