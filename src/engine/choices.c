/* choices.c - the trie of allowed answers.
 *
 * Nodes are stored in one array; the children of a node are linked by `next`. A leaf is the node of the end token. */
#include "engine/choices_trie.h"

#include <stdlib.h>
#include <string.h>

static hone_status add_node(hone_choices *c, int32_t parent, int32_t token, int32_t *out, hone_error *err)
{
    if (c->n_nodes == c->capacity) {
        int32_t capacity = c->capacity ? 2 * c->capacity : 256;
        hone_choice_node *grown = realloc(c->nodes, (size_t)capacity * sizeof *grown);
        if (!grown)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for the allowed answers");
        c->nodes = grown;
        c->capacity = capacity;
    }
    int32_t i = c->n_nodes++;
    c->nodes[i] = (hone_choice_node){.token = token,
                                     .parent = parent,
                                     .first_child = -1,
                                     .next = -1,
                                     .choice = -1,
                                     .depth = parent < 0 ? 0 : c->nodes[parent].depth + 1};
    if (parent >= 0) { /* appended, so that children keep the order of the texts */
        int32_t *link = &c->nodes[parent].first_child;
        while (*link >= 0)
            link = &c->nodes[*link].next;
        *link = i;
        c->nodes[parent].n_children++;
    }
    *out = i;
    return HONE_OK;
}

static hone_status add_sequence(hone_choices *c, const int32_t *ids, size_t n, int32_t choice, hone_error *err)
{
    int32_t node = 0;
    hone_status status;
    for (size_t i = 0; i < n; i++) {
        int32_t child = c->nodes[node].first_child;
        while (child >= 0 && c->nodes[child].token != ids[i])
            child = c->nodes[child].next;
        if (child < 0 && (status = add_node(c, node, ids[i], &child, err)) != HONE_OK)
            return status;
        node = child;
    }
    if (c->nodes[node].choice >= 0)
        return hone_fail(err, HONE_BAD_INPUT, "the answers \"%s\" and \"%s\" are the same to the model; remove one",
                         c->texts[c->nodes[node].choice], c->texts[choice]);
    c->nodes[node].choice = choice;
    return HONE_OK;
}

hone_status hone_choices_create(const hone_tokenizer *tokenizer, const char *const *texts, size_t n, int32_t end,
                                hone_choices **out, hone_error *err)
{
    *out = NULL;
    hone_status status = HONE_OK;
    hone_token_list ids = {0};
    hone_choices *c = calloc(1, sizeof *c);
    int32_t root;
    if (!c || !(c->texts = calloc(n ? n : 1, sizeof *c->texts))) {
        free(c);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n);
    }
    if (n < 1)
        status = hone_fail(err, HONE_BAD_INPUT, "no answers to choose from");
    if (status == HONE_OK)
        status = add_node(c, -1, -1, &root, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        ids.n = 0;
        c->texts[i] = strdup(texts[i]);
        c->n_texts = i + 1;
        if (!c->texts[i])
            status = hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n);
        else if (!*texts[i])
            status = hone_fail(err, HONE_BAD_INPUT, "answer %zu is empty", i + 1);
        else
            status = hone_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), false, &ids, err);
        if (status == HONE_OK)
            status = hone_token_list_push(&ids, end, err);
        if (status == HONE_OK)
            status = add_sequence(c, ids.data, ids.n, (int32_t)i, err);
        if (status == HONE_OK && (int64_t)ids.n > c->longest)
            c->longest = (int64_t)ids.n;
    }
    for (int32_t i = 1; i < c->n_nodes; i++)
        if (c->nodes[i].choice < 0)
            c->n_inner++;
        else
            c->mean_length += (double)c->nodes[i].depth / (double)n;
    hone_token_list_clear(&ids);
    if (status != HONE_OK)
        hone_choices_free(c);
    else
        *out = c;
    return status;
}

void hone_choices_free(hone_choices *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_texts; i++)
        free(c->texts[i]);
    free(c->texts);
    free(c->nodes);
    free(c);
}

size_t hone_choices_count(const hone_choices *c)
{
    return c->n_texts;
}

int64_t hone_choices_longest_tokens(const hone_choices *c)
{
    return c->longest;
}

const char *hone_choices_text(const hone_choices *c, size_t i)
{
    return c->texts[i];
}
