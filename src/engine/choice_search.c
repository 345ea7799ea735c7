/* choice_search.c - the answer with the greatest whole log-likelihood, without computing all of them.
 *
 * Log-probabilities are at most 0, so the value of a node bounds the value of every answer below it. Best-first search
 * expands the node of greatest value until that node is an answer: then no other answer can be better. (A greedy walk
 * down the trie is biased by the first token; this gives what scoring every answer gives.) A node with a single child
 * is expanded together with it: the row is needed either way unless the search turns elsewhere. */
#include "engine/internal.h"

#include <math.h>
#include <stdlib.h>

hone_status hone_choice_search_init(hone_choice_search *s, const hone_choices *choices, hone_error *err)
{
    *s = (hone_choice_search){.choices = choices};
    s->logprob = calloc((size_t)choices->n_nodes, sizeof *s->logprob);
    s->expanded = calloc((size_t)choices->n_nodes, sizeof *s->expanded);
    s->path = calloc((size_t)choices->longest + 1, sizeof *s->path);
    if (!s->logprob || !s->expanded || !s->path) {
        hone_choice_search_clear(s);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", choices->n_texts);
    }
    for (int32_t i = 1; i < choices->n_nodes; i++)
        s->logprob[i] = NAN;
    return HONE_OK;
}

void hone_choice_search_clear(hone_choice_search *s)
{
    free(s->logprob);
    free(s->expanded);
    free(s->path);
    *s = (hone_choice_search){0};
}

void hone_choice_search_expand(hone_choice_search *s, int64_t depth, const float *logits, double log_sum_exp)
{
    const hone_choice_node *nodes = s->choices->nodes;
    int32_t node = depth == 0 ? 0 : s->path[depth - 1];
    if (s->expanded[node])
        return;
    s->expanded[node] = true;
    for (int32_t child = nodes[node].first_child; child >= 0; child = nodes[child].next)
        s->logprob[child] = s->logprob[node] + ((double)logits[nodes[child].token] - log_sum_exp);
}

bool hone_choice_search_next(hone_choice_search *s, int64_t *n_kept, int32_t *choice, double *logprob)
{
    const hone_choice_node *nodes = s->choices->nodes;
    int32_t best = -1;
    for (int32_t i = 0; i < s->choices->n_nodes; i++)
        if (!s->expanded[i] && !isnan(s->logprob[i]) && (best < 0 || s->logprob[i] > s->logprob[best]))
            best = i;
    if (best < 0) { /* only when every log-probability is NAN: a broken model */
        *choice = 0;
        *logprob = NAN;
        return true;
    }
    if (nodes[best].choice >= 0) {
        *choice = nodes[best].choice;
        *logprob = s->logprob[best];
        return true;
    }
    int32_t last = best;
    while (nodes[last].n_children == 1 && nodes[nodes[last].first_child].choice < 0)
        last = nodes[last].first_child;
    int64_t n = nodes[last].depth, kept = s->n_path < n ? s->n_path : n;
    for (int32_t node = last; node > 0; node = nodes[node].parent) {
        int64_t at = nodes[node].depth - 1;
        if (at < kept && s->path[at] != node)
            kept = at;
        s->path[at] = node;
    }
    s->n_path = n;
    *n_kept = kept;
    return false;
}
