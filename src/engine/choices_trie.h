/* choices_trie.h - the trie behind hone_choices, for the search in choice_search.c. */
#ifndef HONE_ENGINE_CHOICES_TRIE_H
#define HONE_ENGINE_CHOICES_TRIE_H

#include "engine/choices.h"

typedef struct hone_choice_node {
    int32_t token, parent, first_child, next, n_children;
    int32_t choice; /* index of the text that ends here, -1 inside */
    int32_t depth;  /* tokens from the root */
} hone_choice_node;

struct hone_choices {
    hone_choice_node *nodes; /* [0] is the root */
    int32_t n_nodes, capacity;
    int32_t n_inner; /* nodes between the root and the leaves: those that a search may have to compute */
    char **texts;
    size_t n_texts;
    double mean_length;
    int64_t longest; /* tokens of the longest choice, its end included */
};

#endif
