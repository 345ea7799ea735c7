/* sampler.c - bias, penalties, temperature and truncation of one row of logits, and the draw (sampling.h has the
 * order, the definitions and their sources).
 *
 * Of tens of thousands of tokens a truncated distribution keeps a few. They are taken best first from a heap, which
 * costs O(n) to build and O(log n) a token, so nothing is sorted that is not kept. Weights are exp(scaled), in
 * double precision, where scaled is 0 for the most likely token; they are summed in the order in which candidates
 * stand, so a row gives one result always. */
#include "engine/sampler.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hone_sampler {
    int64_t n_vocab;
    float *adjusted; /* [n_vocab] logits after bias and penalties */
    hone_candidate *candidates;
};

hone_status hone_sampler_create(int64_t n_vocab, hone_sampler **out, hone_error *err)
{
    hone_sampler *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        s->n_vocab = n_vocab;
        s->adjusted = calloc((size_t)n_vocab, sizeof *s->adjusted);
        s->candidates = calloc((size_t)n_vocab, sizeof *s->candidates);
    }
    if (s && s->adjusted && s->candidates)
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

static int32_t greatest(const float *logits, int64_t n)
{
    int32_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = (int32_t)i;
    return best;
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
    double total = sum_weights(c, n), entropy = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].weight > 0)
            entropy -= c[i].weight / total * log(c[i].weight / total);
    for (size_t i = 0; i < n; i++)
        c[i].scaled = c[i].weight > 0 ? -fabs(-log(c[i].weight / total) - entropy) : -INFINITY;
    return take_best(c, n, n, typical_p * total);
}

const hone_candidate *hone_sampler_distribution(hone_sampler *sampler, const hone_sampling *s,
                                                const hone_token_history *history, const float *logits, size_t *n,
                                                double *total)
{
    const float *row = adjust(sampler, s, history, logits);
    hone_candidate *c = sampler->candidates;
    double best = (double)row[greatest(row, sampler->n_vocab)];
    size_t count = (size_t)sampler->n_vocab;
    bool sorted = s->top_k > 0 && (size_t)s->top_k < count;
    for (size_t i = 0; i < count; i++)
        c[i] = (hone_candidate){.scaled = ((double)row[i] - best) / s->temperature, .id = (int32_t)i};
    if (sorted)
        count = take_best(c, count, (size_t)s->top_k, INFINITY);
    for (size_t i = 0; i < count; i++)
        c[i].weight = exp(c[i].scaled);
    if (s->top_p > 0 && s->top_p < 1) /* sorted already: the heap is in order and gives the same back */
        count = take_best(c, count, count, s->top_p * sum_weights(c, count));
    if (s->min_p > 0)
        count = keep_above(c, count, s->min_p);
    if (s->typical_p > 0 && s->typical_p < 1)
        count = take_typical(c, count, s->typical_p);
    *n = count;
    *total = sum_weights(c, count);
    return c;
}

int32_t hone_sampler_pick(hone_sampler *sampler, const hone_sampling *s, const hone_token_history *history,
                          const float *logits, uint64_t index)
{
    if (!(s->temperature > 0))
        return greatest(adjust(sampler, s, history, logits), sampler->n_vocab);
    size_t n;
    double total, sum = 0;
    const hone_candidate *c = hone_sampler_distribution(sampler, s, history, logits, &n, &total);
    double target = hone_rng_uniform((hone_rng_key){s->seed, HONE_RNG_SAMPLE, s->stream}, index) * total;
    size_t last = 0; /* of those that can be drawn at all, should rounding leave the sum below the target */
    for (size_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if (sum > target)
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
