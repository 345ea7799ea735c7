/* batch.c - rows, spans, pages and labels of a training step. */
#include "train/batch.h"

#include <stdlib.h>

enum { SHORTEST_PREFIX = 4 }; /* below this sharing saves nothing */

int64_t hone_train_batch_pages(int64_t max_rows, int64_t max_examples)
{
    return max_rows / HONE_PAGE_TOKENS + 2 * max_examples + 2;
}

hone_status hone_train_batch_create(int64_t max_rows, int64_t max_examples, hone_train_batch **out, hone_error *err)
{
    *out = NULL;
    hone_train_batch *b = calloc(1, sizeof *b);
    if (!b)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    size_t rows = (size_t)max_rows, spans = (size_t)max_examples + 1;
    b->max_rows = max_rows;
    b->max_examples = max_examples;
    b->max_pages = hone_train_batch_pages(max_rows, max_examples);
    b->share_prefix = true;
    b->tokens = calloc(rows, sizeof *b->tokens);
    b->positions = calloc(rows, sizeof *b->positions);
    b->labels = calloc(rows, sizeof *b->labels);
    b->spans = calloc(spans, sizeof *b->spans);
    b->writes = calloc(rows + spans * HONE_PAGE_TOKENS, sizeof *b->writes);
    /* Each span has a page table of its own; prefix pages appear in all of them. */
    b->pages = calloc(spans * (size_t)(max_rows / HONE_PAGE_TOKENS + 2), sizeof *b->pages);
    if (!b->tokens || !b->positions || !b->labels || !b->spans || !b->writes || !b->pages) {
        hone_train_batch_free(b);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for training steps of %lld rows", (long long)max_rows);
    }
    *out = b;
    return HONE_OK;
}

void hone_train_batch_free(hone_train_batch *b)
{
    if (!b)
        return;
    free(b->tokens);
    free(b->positions);
    free(b->labels);
    free(b->spans);
    free(b->writes);
    free(b->pages);
    free(b);
}

static int64_t common_beginning(const hone_train_example *a, const hone_train_example *b, int64_t limit)
{
    int64_t n = (int64_t)b->n_prompt - 1 < limit ? (int64_t)b->n_prompt - 1 : limit, i = 0;
    while (i < n && a->ids[i] == b->ids[i])
        i++;
    return i;
}

/* How many examples fit, and the prefix they share. The row that predicts the first labelled token is never shared. */
static int64_t choose(const hone_train_batch *b, const hone_train_example *examples, const size_t *order, int64_t n,
                      int64_t *prefix)
{
    const hone_train_example *first = &examples[order[0]];
    int64_t shared = b->share_prefix ? (int64_t)first->n_prompt - 1 : 0, total = (int64_t)first->n_ids - 1, taken = 1;
    int64_t kept = 0;
    while (taken < n && taken < b->max_examples) {
        const hone_train_example *e = &examples[order[taken]];
        int64_t common = common_beginning(first, e, shared), sum = total + (int64_t)e->n_ids - 1;
        int64_t saved = common >= SHORTEST_PREFIX ? common * taken : 0;
        if (sum - saved > b->max_rows)
            break;
        shared = common;
        total = sum;
        taken++;
    }
    if (taken > 1 && shared >= SHORTEST_PREFIX)
        kept = shared;
    *prefix = kept;
    return taken;
}

double hone_train_example_weight(const hone_train_example *e)
{
    double sum = e->weights ? 0 : (double)(e->n_ids - e->n_prompt);
    for (size_t i = e->n_prompt; e->weights && i < e->n_ids; i++)
        sum += (double)e->weights[i];
    return sum;
}

int64_t hone_train_batch_fill(hone_train_batch *b, const hone_train_example *examples, const size_t *order, int64_t n,
                              hone_real label_weight, const hone_adapter *adapter)
{
    int64_t prefix, taken = choose(b, examples, order, n, &prefix), row = 0, n_writes = 0, n_spans = 0;
    int64_t table = b->max_rows / HONE_PAGE_TOKENS + 2;
    int32_t next_page = 0;
    b->n_labels = b->n_tokens = 0;
    if (prefix > 0) {
        int32_t *pages = b->pages;
        for (int64_t p = 0; p < prefix; p++) {
            if (p % HONE_PAGE_TOKENS == 0)
                pages[p / HONE_PAGE_TOKENS] = next_page++;
            b->tokens[row] = examples[order[0]].ids[p];
            b->positions[row] = (int32_t)p;
            b->writes[n_writes++] =
                (hone_kv_write){(int32_t)row, pages[p / HONE_PAGE_TOKENS], (int32_t)(p % HONE_PAGE_TOKENS)};
            row++;
        }
        b->spans[n_spans++] = (hone_span){.first_row = 0, .n_rows = prefix, .pages = pages};
    }
    int64_t whole = prefix / HONE_PAGE_TOKENS; /* prefix pages that are full, so can be pointed to */
    for (int64_t i = 0; i < taken; i++) {
        const hone_train_example *e = &examples[order[i]];
        int32_t *pages = b->pages + (i + 1) * table;
        int64_t first_row = row;
        for (int64_t p = 0; p < whole; p++)
            pages[p] = b->pages[p];
        for (int64_t p = whole * HONE_PAGE_TOKENS; p < (int64_t)e->n_ids - 1; p++) {
            if (p % HONE_PAGE_TOKENS == 0)
                pages[p / HONE_PAGE_TOKENS] = next_page++;
            int64_t from = p < prefix ? p : row; /* the rest of the prefix is copied into this example's own page */
            b->writes[n_writes++] =
                (hone_kv_write){(int32_t)from, pages[p / HONE_PAGE_TOKENS], (int32_t)(p % HONE_PAGE_TOKENS)};
            if (p < prefix)
                continue;
            b->tokens[row] = e->ids[p];
            b->positions[row] = (int32_t)p;
            hone_real weight = p + 1 < (int64_t)e->n_prompt ? 0 : e->weights ? e->weights[p + 1] : 1;
            if (weight > 0)
                b->labels[b->n_labels++] = (hone_label){(int32_t)row, e->ids[p + 1], label_weight * weight};
            row++;
        }
        b->spans[n_spans++] = (hone_span){.first_row = first_row,
                                          .n_rows = row - first_row,
                                          .first_position = prefix,
                                          .pages = pages,
                                          .prefix_row = 0,
                                          .prefix_length = prefix};
        b->n_tokens += (int64_t)e->n_ids;
    }
    b->adapter = (hone_adapter_rows){adapter, 0, row};
    b->rows = (hone_batch){row, b->tokens, b->positions, b->spans, n_spans, b->writes, n_writes, &b->adapter, 1};
    return taken;
}
