/* choice_search.c - the answer with the greatest whole log-likelihood, without computing all of them.
 *
 * Log-probabilities are at most 0, so the value of a node (the log-likelihood of the tokens up to it) bounds the value
 * of every answer below it. Best-first search expands the open node of greatest value until that value is below the
 * best answer found: then no other answer can be better. (A greedy walk down the trie is biased by the first token;
 * this gives what scoring every answer gives.)
 *
 * A step expands several open nodes, the best first, where a strict search would take them one by one: rows computed
 * together cost less. Those that a strict search would not have come to are wasted, so only nodes are taken whose value
 * is above what the answer's is expected to be, by the loss per token so far: where the model is sure (tuned on the
 * labels) that is one way down, where it is not, most of the trie. Neither that guess nor the number of rows changes
 * the answer: it is the greatest of all, the first in the list among equals.
 *
 * Keys and values of a node that was computed stay in a slot of the request's own pages, so that no node is computed
 * twice while there are slots. Where they run out, slots of nodes below which nothing is open are taken first, then
 * that of the least value; should its descendants be needed after all, it is computed again. */
#include "engine/internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, OPEN, PICKED, EXPANDED }; /* states of a node that is no answer */
enum { LOCKED = 1, NEEDED = 2 };          /* marks: on the way of a row of this step; open nodes lie below */

hone_status hone_choice_search_init(hone_choice_search *s, const hone_choices *choices, int32_t n_slots,
                                    int32_t max_rows, hone_error *err)
{
    size_t n = (size_t)choices->n_nodes;
    *s = (hone_choice_search){.choices = choices, .best = -1, .n_slots = n_slots, .max_rows = max_rows};
    s->logprob = calloc(n, sizeof *s->logprob);
    s->state = calloc(n, sizeof *s->state);
    s->places = calloc(n, sizeof *s->places);
    s->marks = calloc(n, sizeof *s->marks);
    s->open = calloc(n, sizeof *s->open);
    s->in_slot = calloc((size_t)n_slots, sizeof *s->in_slot);
    s->free_slots = calloc((size_t)n_slots, sizeof *s->free_slots);
    s->way = calloc((size_t)choices->longest, sizeof *s->way);
    s->rows = calloc((size_t)max_rows, sizeof *s->rows);
    if (!s->logprob || !s->state || !s->places || !s->marks || !s->open || !s->in_slot || !s->free_slots || !s->way ||
        !s->rows) {
        hone_choice_search_clear(s);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", choices->n_texts);
    }
    for (size_t i = 0; i < n; i++) /* the root is the last token of the prompt, which every place continues */
        s->places[i] = (hone_tree_place){-1, 0, choices->nodes[i].parent > 0 ? choices->nodes[i].parent : -1};
    for (int32_t slot = n_slots - 1; slot >= 0; slot--) {
        s->in_slot[slot] = -1;
        s->free_slots[s->n_free++] = slot;
    }
    s->state[0] = PICKED;
    return HONE_OK;
}

void hone_choice_search_clear(hone_choice_search *s)
{
    free(s->logprob);
    free(s->state);
    free(s->places);
    free(s->marks);
    free(s->open);
    free(s->in_slot);
    free(s->free_slots);
    free(s->way);
    free(s->rows);
    *s = (hone_choice_search){0};
}

/* ---- open nodes: a heap, the greatest value on top, the lower index among equals ---- */
static bool before(const hone_choice_search *s, int32_t a, int32_t b)
{
    return s->logprob[a] > s->logprob[b] || (s->logprob[a] == s->logprob[b] && a < b);
}

static void push(hone_choice_search *s, int32_t node)
{
    int32_t at = s->n_open++;
    for (; at > 0 && before(s, node, s->open[(at - 1) / 2]); at = (at - 1) / 2)
        s->open[at] = s->open[(at - 1) / 2];
    s->open[at] = node;
    s->state[node] = OPEN;
}

static int32_t pop(hone_choice_search *s)
{
    int32_t top = s->open[0], last = s->open[--s->n_open], at = 0;
    for (int32_t child = 1; child < s->n_open; child = 2 * at + 1) {
        if (child + 1 < s->n_open && before(s, s->open[child + 1], s->open[child]))
            child++;
        if (!before(s, s->open[child], last))
            break;
        s->open[at] = s->open[child];
        at = child;
    }
    s->open[at] = last;
    return top;
}

/* Could an answer below a node of this value be the best, or be as good and stand earlier in the list? */
static bool matters(const hone_choice_search *s, double value)
{
    return s->best < 0 || value >= s->logprob[s->best];
}

void hone_choice_search_expand(hone_choice_search *s, int32_t node, const float *logits, double log_sum_exp)
{
    const hone_choice_node *nodes = s->choices->nodes;
    assert(s->state[node] == PICKED);
    s->state[node] = EXPANDED;
    for (int32_t child = nodes[node].first_child; child >= 0; child = nodes[child].next) {
        double value = s->logprob[node] + ((double)logits[nodes[child].token] - log_sum_exp);
        s->logprob[child] = isnan(value) ? -INFINITY : value; /* a broken model must not keep the search from ending */
        if (nodes[child].choice < 0) {
            if (s->state[child] == UNKNOWN)
                push(s, child);
        } else if (s->best < 0 || s->logprob[child] > s->logprob[s->best] ||
                   (s->logprob[child] == s->logprob[s->best] && nodes[child].choice < nodes[s->best].choice))
            s->best = child;
    }
}

bool hone_choice_search_is_done(const hone_choice_search *s)
{
    return s->state[0] == EXPANDED && (s->n_open == 0 || !matters(s, s->logprob[s->open[0]]));
}

/* ---- slots ---- */
static void free_slot(hone_choice_search *s, int32_t slot)
{
    s->places[s->in_slot[slot]].page = -1;
    s->in_slot[slot] = -1;
    s->free_slots[s->n_free++] = slot;
}

static void reclaim_slots(hone_choice_search *s)
{
    for (int32_t i = 0; i < s->choices->n_nodes; i++)
        s->marks[i] &= LOCKED;
    for (int32_t i = 0; i < s->n_open; i++)
        if (matters(s, s->logprob[s->open[i]]))
            for (int32_t n = s->open[i]; n >= 0 && !(s->marks[n] & NEEDED); n = s->places[n].parent)
                s->marks[n] |= NEEDED;
    int32_t least = -1;
    for (int32_t slot = 0; slot < s->n_slots; slot++) {
        int32_t node = s->in_slot[slot];
        if (node < 0 || s->marks[node] & LOCKED)
            continue;
        if (!(s->marks[node] & NEEDED))
            free_slot(s, slot);
        else if (least < 0 || s->logprob[node] < s->logprob[s->in_slot[least]])
            least = slot;
    }
    if (s->n_free == 0 && least >= 0)
        free_slot(s, least);
}

/* False when every slot is needed in this step. */
static bool take_slot(hone_choice_search *s, int32_t node)
{
    if (s->n_free == 0)
        reclaim_slots(s);
    if (s->n_free == 0)
        return false;
    int32_t slot = s->free_slots[--s->n_free];
    s->in_slot[slot] = node;
    s->places[node].page = s->pages[slot / HONE_PAGE_TOKENS];
    s->places[node].slot = slot % HONE_PAGE_TOKENS;
    s->marks[node] |= LOCKED;
    return true;
}

/* ---- rows of a step ---- */
/* Adds the nodes on the way to `node`, itself included, that have no slot. False when it could not be reached. */
static bool add_way(hone_choice_search *s, int32_t node, int32_t max_rows)
{
    int32_t n = 0;
    for (int32_t i = node; i >= 0; i = s->places[i].parent) {
        s->marks[i] |= LOCKED;
        if (s->places[i].page < 0)
            s->way[n++] = i;
    }
    while (n > 0) {
        if (s->n_rows == max_rows || !take_slot(s, s->way[n - 1]))
            return false;
        s->rows[s->n_rows++] = s->way[--n];
    }
    return true;
}

/* The value that an answer below the best open node would have if every further token lost as much as those so far. */
static double expected_value(const hone_choice_search *s)
{
    int32_t top = s->open[0];
    double depth = s->choices->nodes[top].depth, length = s->choices->mean_length;
    return s->logprob[top] * (length > depth + 1 ? length : depth + 1) / depth;
}

int32_t hone_choice_search_pick(hone_choice_search *s, int32_t max_rows)
{
    const hone_choice_node *nodes = s->choices->nodes;
    max_rows = max_rows < s->max_rows ? max_rows : s->max_rows;
    memset(s->marks, 0, (size_t)s->choices->n_nodes);
    s->n_rows = 0;
    double least = hone_choice_search_is_done(s) ? 0 : expected_value(s);
    while (s->n_rows < max_rows && !hone_choice_search_is_done(s) && s->logprob[s->open[0]] >= least) {
        int32_t node = pop(s);
        if (!add_way(s, node, max_rows)) {
            push(s, node);
            break;
        }
        s->state[node] = PICKED;
    }
    /* Rows left over go to nodes whose token is known before their value: the only child of one that is computed. */
    for (int32_t i = 0; i < s->n_rows && s->n_rows < max_rows && s->n_free > 0; i++) {
        int32_t child = nodes[s->rows[i]].first_child;
        if (nodes[s->rows[i]].n_children == 1 && nodes[child].choice < 0 && s->state[child] == UNKNOWN) {
            take_slot(s, child);
            s->rows[s->n_rows++] = child;
            s->state[child] = PICKED;
        }
    }
    return s->n_rows;
}

bool hone_choice_search_wants_logits(const hone_choice_search *s, int32_t node)
{
    return s->state[node] == PICKED;
}
