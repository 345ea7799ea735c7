/* balance.c - answers are counted by sorting. */
#include "train/balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool hone_balance_parse(const char *word, hone_balance *out)
{
    static const char *const words[] = {"none", "sqrt", "equal"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (hone_balance)i;
            return true;
        }
    return false;
}

static int by_answer(const void *a, const void *b)
{
    const hone_encoded_example *const *x = a, *const *y = b;
    return strcmp((*x)->answer, (*y)->answer);
}

static size_t run_length(hone_encoded_example *const *sorted, size_t from, size_t n)
{
    size_t to = from + 1;
    while (to < n && strcmp(sorted[to]->answer, sorted[from]->answer) == 0)
        to++;
    return to - from;
}

hone_status hone_examples_balance(hone_encoded_examples *examples, size_t n, hone_balance balance,
                                  hone_balance_report *report, hone_error *err)
{
    *report = (hone_balance_report){.least_weight = 1};
    if (balance == HONE_BALANCE_NONE || n == 0)
        return HONE_OK;
    hone_encoded_example **sorted = calloc(n, sizeof *sorted);
    if (!sorted)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        sorted[i] = &examples->items[i];
    qsort(sorted, n, sizeof *sorted, by_answer);
    report->fewest = n;
    for (size_t from = 0, length; from < n; from += length) {
        length = run_length(sorted, from, n);
        report->n_answers++;
        report->fewest = length < report->fewest ? length : report->fewest;
        report->most = length > report->most ? length : report->most;
    }
    hone_status status = HONE_OK;
    if (2 * report->n_answers > n)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "--balance weighs rows by their answer, but %zu rows have %zu different answers: these are "
                           "texts, not labels. Use --balance none",
                           n, report->n_answers);
    for (size_t from = 0, length; from < n && status == HONE_OK; from += length) {
        length = run_length(sorted, from, n);
        double share = (double)report->fewest / (double)length,
               weight = balance == HONE_BALANCE_SQRT ? sqrt(share) : share;
        report->least_weight = weight < report->least_weight ? weight : report->least_weight;
        for (size_t i = from; i < from + length; i++)
            for (size_t t = 0; t < sorted[i]->tokens.ids.n; t++)
                sorted[i]->tokens.weights[t] = (float)((double)sorted[i]->tokens.weights[t] * weight);
    }
    free(sorted);
    return status;
}
