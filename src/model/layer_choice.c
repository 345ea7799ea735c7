/* layer_choice.c - reads lists of blocks. */
#include "model/layer_choice.h"

#include <ctype.h>
#include <stdlib.h>

/* One "N" or "N-M"; moves *at behind it. */
static bool read_range(const char **at, int64_t *first, int64_t *last)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    *first = *last = strtol(*at, &end, 10);
    if (*end == '-') {
        if (!isdigit((unsigned char)end[1]))
            return false;
        *last = strtol(end + 1, &end, 10);
    }
    *at = end;
    return *last >= *first;
}

static hone_status mark(const char *list, int64_t n_layers, bool value, bool *chosen, hone_error *err)
{
    const char *at = list;
    int64_t first, last;
    for (;; at++) {
        if (!read_range(&at, &first, &last) || (*at && *at != ','))
            return hone_fail(err, HONE_BAD_INPUT, "\"%.60s\" is not a list of blocks, as in 20-29 or 0-4,20,25-29",
                             list);
        if (last >= n_layers)
            return hone_fail(err, HONE_BAD_INPUT, "block %lld of \"%.60s\"; the model has blocks 0 to %lld",
                             (long long)last, list, (long long)n_layers - 1);
        for (int64_t l = first; l <= last; l++)
            chosen[l] = value;
        if (!*at)
            return HONE_OK;
    }
}

hone_status hone_layers_choose(const char *trained, const char *frozen, int64_t n_layers, bool *chosen,
                               int64_t *n_chosen, hone_error *err)
{
    hone_status status = HONE_OK;
    *n_chosen = 0;
    if (trained && frozen)
        return hone_fail(err, HONE_BAD_INPUT,
                         "the blocks to train (%.60s) and to freeze (%.60s) are both named; one "
                         "of them is enough",
                         trained, frozen);
    for (int64_t l = 0; l < n_layers; l++)
        chosen[l] = !trained;
    if (trained || frozen)
        status = mark(trained ? trained : frozen, n_layers, trained != NULL, chosen, err);
    for (int64_t l = 0; l < n_layers && status == HONE_OK; l++)
        *n_chosen += chosen[l];
    if (status == HONE_OK && *n_chosen == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "\"%.60s\" freezes every block; nothing would be trained", frozen);
    return status;
}
