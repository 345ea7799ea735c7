/* batch.c - rows, spans, pages and labels of a pass. */
#include "train/batch.h"

#include <stdlib.h>
#include <string.h>

enum { SHORTEST_SPAN = 8 }; /* where examples part, a shorter shared span saves less than it costs */

static int64_t most_spans(int64_t max_examples)
{
    return 2 * max_examples + 1; /* a tree whose inner nodes have two children or more */
}

static int64_t table_length(int64_t max_rows)
{
    return max_rows / HONE_PAGE_TOKENS + 2;
}

int64_t hone_train_batch_pages(int64_t max_rows, int64_t max_examples)
{
    return max_rows / HONE_PAGE_TOKENS + 2 * most_spans(max_examples);
}

size_t hone_train_batch_bytes(int64_t max_rows, int64_t max_examples)
{
    size_t rows = (size_t)max_rows, spans = (size_t)most_spans(max_examples), labels = rows + 2 * (size_t)max_examples;
    return rows * 12 + labels * (sizeof(hone_label) + 4) + spans * 2 * sizeof(hone_span) +
           (rows + spans * HONE_PAGE_TOKENS) * sizeof(hone_kv_write) + spans * (size_t)table_length(max_rows) * 4 +
           spans * (sizeof(hone_page_copy) + 16) + (size_t)max_examples * sizeof(hone_labelled);
}

hone_status hone_train_batch_create(int64_t max_rows, int64_t max_examples, hone_train_batch **out, hone_error *err)
{
    *out = NULL;
    hone_train_batch *b = calloc(1, sizeof *b);
    if (!b)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    size_t rows = (size_t)max_rows, spans = (size_t)most_spans(max_examples), labels = rows + 2 * (size_t)max_examples;
    b->max_rows = max_rows;
    b->max_examples = max_examples;
    b->max_pages = hone_train_batch_pages(max_rows, max_examples);
    b->share_prefix = true;
    b->tokens = calloc(rows, sizeof *b->tokens);
    b->positions = calloc(rows, sizeof *b->positions);
    b->row_label = calloc(rows, sizeof *b->row_label);
    b->labels = calloc(labels, sizeof *b->labels);
    b->label_before = calloc(labels, sizeof *b->label_before);
    b->spans = calloc(spans, sizeof *b->spans);
    b->outer = calloc(spans, sizeof *b->outer);
    b->writes = calloc(rows + spans * HONE_PAGE_TOKENS, sizeof *b->writes);
    b->pages = calloc(spans * (size_t)table_length(max_rows), sizeof *b->pages); /* a table for each span */
    b->common = calloc((size_t)max_examples, sizeof *b->common);
    b->ends = calloc((size_t)max_examples, sizeof *b->ends);
    b->copies = calloc((size_t)max_examples, sizeof *b->copies);
    b->labelled = calloc((size_t)max_examples, sizeof *b->labelled);
    if (!b->tokens || !b->positions || !b->row_label || !b->labels || !b->label_before || !b->spans || !b->outer ||
        !b->writes || !b->pages || !b->common || !b->ends || !b->copies || !b->labelled) {
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
    free(b->row_label);
    free(b->labels);
    free(b->label_before);
    free(b->spans);
    free(b->outer);
    free(b->writes);
    free(b->pages);
    free(b->common);
    free(b->ends);
    free(b->copies);
    free(b->labelled);
    free(b);
}

double hone_train_example_weight(const hone_train_example *e)
{
    double sum = e->weights ? 0 : (double)(e->n_ids - e->n_prompt);
    for (size_t i = e->n_prompt; e->weights && i < e->n_ids; i++)
        sum += (double)e->weights[i];
    return sum;
}

/* Rows of an example: its last token is only predicted. */
static int64_t n_rows_of(const hone_train_example *e)
{
    return (int64_t)e->n_ids - 1;
}

void hone_train_common_prefixes(const hone_train_example *examples, const size_t *order, int64_t n, int64_t *common)
{
    int64_t all = INT64_MAX;
    for (int64_t i = 1; i < n; i++) {
        const hone_train_example *a = &examples[order[i - 1]], *b = &examples[order[i]];
        int64_t most = n_rows_of(a) < n_rows_of(b) ? n_rows_of(a) : n_rows_of(b), at = 0;
        while (at < most && a->ids[at] == b->ids[at])
            at++;
        common[i] = at;
        all = at < all ? at : all;
    }
    if (all < SHORTEST_SPAN)
        all = 0;
    for (int64_t i = 1; i < n; i++) /* what all share is shared to the token; beyond it, spans part at multiples */
        common[i] = common[i] < all ? 0 : common[i] - (common[i] - all) % SHORTEST_SPAN;
}

static void begin(hone_train_batch *b, int32_t first_page)
{
    b->n_labels = b->n_tokens = b->n_copies = b->n_labelled = 0;
    b->first_page = b->next_page = first_page;
    b->rows = (hone_batch){.tokens = b->tokens, .positions = b->positions, .spans = b->spans, .writes = b->writes};
}

/* The row that holds position p, at or above a span. */
static int64_t row_at(const hone_span *span, int64_t p)
{
    while (p < span->first_position)
        span = span->parent;
    return span->first_row + p - span->first_position;
}

/* Positions [from, to) of an example as a span below `parent` (NULL: from 0). `outer`: the parent's rows are not of
 * this pass. */
static const hone_span *add_span(hone_train_batch *b, const hone_train_example *e, int64_t from, int64_t to,
                                 const hone_span *parent, bool outer)
{
    hone_span *span = &b->spans[b->rows.n_spans];
    int32_t *pages = b->pages + b->rows.n_spans++ * table_length(b->max_rows);
    int64_t whole = from / HONE_PAGE_TOKENS; /* pages of the parent that are full, so can be pointed to */
    for (int64_t p = 0; p < whole; p++)
        pages[p] = parent->pages[p];
    *span = (hone_span){
        .first_row = b->rows.n_rows, .first_position = from, .n_rows = to - from, .pages = pages, .parent = parent};
    if (outer && from % HONE_PAGE_TOKENS)
        b->copies[b->n_copies++] = (hone_page_copy){parent->pages[whole], b->next_page};
    for (int64_t p = whole * HONE_PAGE_TOKENS; p < to; p++) {
        if (p % HONE_PAGE_TOKENS == 0)
            pages[p / HONE_PAGE_TOKENS] = b->next_page++;
        if (p < from && outer)
            continue;
        int64_t row = p < from ? row_at(parent, p) : b->rows.n_rows;
        b->writes[b->rows.n_writes++] =
            (hone_kv_write){(int32_t)row, pages[p / HONE_PAGE_TOKENS], (int32_t)(p % HONE_PAGE_TOKENS)};
        if (p < from)
            continue;
        b->tokens[row] = e->ids[p];
        b->positions[row] = (int32_t)p;
        b->row_label[row] = -1;
        b->rows.n_rows++;
    }
    return span;
}

static void add_label(hone_train_batch *b, int64_t row, int32_t target, hone_real weight)
{
    for (int32_t l = b->row_label[row]; l >= 0; l = b->label_before[l])
        if (b->labels[l].target == target) {
            b->labels[l].weight += weight;
            return;
        }
    b->label_before[b->n_labels] = b->row_label[row];
    b->row_label[row] = (int32_t)b->n_labels;
    b->labels[b->n_labels++] = (hone_label){(int32_t)row, target, weight};
}

/* The labels of an example on its rows in this pass: those of `span`, where it ends at row `end`, and above. */
static void add_labels(hone_train_batch *b, const hone_train_example *e, const size_t *place, const hone_span *span,
                       int64_t end, hone_real label_weight, bool above)
{
    b->labelled[b->n_labelled++] = (hone_labelled){e, place, span, end, above};
    int64_t first = (int64_t)e->n_prompt - 1;
    for (; span; span = above ? span->parent : NULL) {
        for (int64_t p = first > span->first_position ? first : span->first_position; p < end; p++) {
            hone_real weight = e->weights ? e->weights[p + 1] : 1;
            if (weight > 0)
                add_label(b, span->first_row + p - span->first_position, e->ids[p + 1], label_weight * weight);
        }
        end = span->first_position;
    }
}

static const hone_label *label_of(const hone_train_batch *b, int64_t row, int32_t target)
{
    int32_t l = b->row_label[row];
    while (b->labels[l].target != target)
        l = b->label_before[l];
    return &b->labels[l];
}

double hone_train_batch_loss(const hone_train_batch *b, const hone_labelled *of)
{
    const hone_train_example *e = of->example;
    int64_t first = (int64_t)e->n_prompt - 1, end = of->end;
    double sum = 0;
    for (const hone_span *span = of->span; span; span = of->above ? span->parent : NULL) {
        for (int64_t p = first > span->first_position ? first : span->first_position; p < end; p++) {
            double weight = e->weights ? (double)e->weights[p + 1] : 1;
            if (weight > 0)
                sum -= weight * label_of(b, span->first_row + p - span->first_position, e->ids[p + 1])->logprob;
        }
        end = span->first_position;
    }
    return sum;
}

typedef struct layout {
    hone_train_batch *b;
    const hone_train_example *examples;
    const size_t *order;
    const int64_t *common;
    hone_real label_weight;
    bool trunk; /* without the ends of examples */
} layout;

/* The tree of examples [from, to), which share `depth` tokens that `parent` and those above it hold. */
static void lay_out(const layout *l, int64_t from, int64_t to, int64_t depth, const hone_span *parent)
{
    const hone_train_example *first = &l->examples[l->order[from]];
    if (to - from == 1) {
        bool leaves = depth < n_rows_of(first) && !l->trunk;
        const hone_span *span = leaves ? add_span(l->b, first, depth, n_rows_of(first), parent, false) : parent;
        l->b->ends[from] = parent;
        add_labels(l->b, first, &l->order[from], span, leaves ? n_rows_of(first) : depth, l->label_weight, true);
        l->b->n_tokens += l->trunk ? 0 : (int64_t)first->n_ids;
        return;
    }
    int64_t shared = INT64_MAX;
    for (int64_t i = from + 1; i < to; i++)
        shared = l->common[i] < shared ? l->common[i] : shared;
    if (shared > depth) {
        parent = add_span(l->b, first, depth, shared, parent, false);
        depth = shared;
    }
    for (int64_t i = from + 1, start = from; i <= to; i++)
        if (i == to || l->common[i] == shared) {
            lay_out(l, start, i, depth, parent);
            start = i;
        }
}

static void finish(hone_train_batch *b, const hone_adapter *adapter)
{
    b->adapter = (hone_adapter_rows){adapter, 0, b->rows.n_rows};
    b->rows.adapters = &b->adapter;
    b->rows.n_adapters = adapter ? 1 : 0;
}

int64_t hone_train_batch_fill(hone_train_batch *b, const hone_train_example *examples, const size_t *order, int64_t n,
                              hone_real label_weight, const hone_adapter *adapter)
{
    n = n < b->max_examples ? n : b->max_examples;
    int64_t rows = n_rows_of(&examples[order[0]]), taken = 1;
    hone_train_common_prefixes(examples, order, n, b->common);
    for (; taken < n; taken++) {
        b->common[taken] = b->share_prefix ? b->common[taken] : 0;
        rows += n_rows_of(&examples[order[taken]]) - b->common[taken];
        if (rows > b->max_rows)
            break;
    }
    layout l = {b, examples, order, b->common, label_weight, false};
    begin(b, 0);
    lay_out(&l, 0, taken, 0, NULL);
    finish(b, adapter);
    return taken;
}

void hone_train_batch_fill_trunk(hone_train_batch *trunk, const hone_train_example *examples, const size_t *order,
                                 int64_t n, const int64_t *common, hone_real label_weight, const hone_adapter *adapter)
{
    layout l = {trunk, examples, order, common, label_weight, true};
    begin(trunk, 0);
    lay_out(&l, 0, n, 0, NULL);
    finish(trunk, adapter);
}

int64_t hone_train_batch_fill_ends(hone_train_batch *b, const hone_train_batch *trunk,
                                   const hone_train_example *examples, const size_t *order, int64_t from, int64_t n,
                                   hone_real label_weight, const hone_adapter *adapter)
{
    int64_t taken = 0, n_outer = trunk->rows.n_spans;
    begin(b, trunk->next_page);
    for (int64_t s = 0; s < n_outer; s++) {
        b->outer[s] = trunk->spans[s];
        if (trunk->spans[s].parent)
            b->outer[s].parent = b->outer + (trunk->spans[s].parent - trunk->spans);
    }
    for (; from + taken < n; taken++) {
        const hone_train_example *e = &examples[order[from + taken]];
        const hone_span *left = trunk->ends[from + taken];
        int64_t depth = left ? left->first_position + left->n_rows : 0, rows = n_rows_of(e) - depth;
        if (taken > 0 && b->rows.n_rows + rows > b->max_rows)
            break;
        if (rows > 0) {
            const hone_span *parent = left ? b->outer + (left - trunk->spans) : NULL;
            const hone_span *span = add_span(b, e, depth, n_rows_of(e), parent, true);
            add_labels(b, e, &order[from + taken], span, n_rows_of(e), label_weight, false);
        }
        b->n_tokens += (int64_t)e->n_ids;
    }
    for (int64_t s = 0; s < n_outer; s++)
        b->outer[s].first_row += b->rows.n_rows;
    b->rows.n_outer = trunk->rows.n_rows;
    finish(b, adapter);
    return taken;
}
