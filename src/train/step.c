/* step.c - how a step is cut into passes, and their gradient. */
#include "train/step.h"

#include <stdlib.h>
#include <string.h>

typedef struct sortable {
    const hone_train_example *example;
    size_t index, place;
} sortable;

struct hone_train_step {
    const hone_model *model;
    hone_step_size size;
    hone_train_batch *batch, *trunk;
    hone_kv_pool *pool;
    hone_workspace *workspace;
    hone_tape *tape;
    hone_kv_gradient sent; /* to the trunk's keys and values */
    int64_t *common;       /* [max_examples] */
    sortable *room;        /* [max_examples] */
    double *losses;        /* [max_examples] */
    /* the step in progress */
    const hone_train_example *examples;
    const size_t *order;
    const hone_adapter *adapter;
    hone_real label_weight, *gradient;
    hone_step_result result;
};

static int64_t n_pages(const hone_step_size *s)
{
    int64_t one = hone_train_batch_pages(s->max_rows, s->max_examples);
    return s->parts ? one + s->max_rows / HONE_PAGE_TOKENS : one; /* trunk and ends have as many spans as one tree */
}

static hone_tape_size tape_size(const hone_step_size *s)
{
    return (hone_tape_size){s->max_rows, s->parts ? s->max_rows : 0, s->rank, s->recompute, s->first_layer, s->dora};
}

size_t hone_train_step_bytes(const hone_model *model, const hone_step_size *s)
{
    const hone_model_config *c = &model->config;
    hone_tape_size tape = tape_size(s);
    size_t bytes = (size_t)n_pages(s) * hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim) +
                   hone_workspace_bytes_as(model, s->max_rows, s->rank, hone_training_logit_rows(model, s->max_rows)) +
                   hone_tape_bytes(model, &tape) +
                   hone_train_batch_bytes(s->max_rows, s->max_examples) * (s->parts ? 2 : 1) +
                   (size_t)s->max_examples * (sizeof(int64_t) + sizeof(sortable) + sizeof(double));
    return bytes + (s->parts ? hone_kv_gradient_floats(model, s->max_rows) * sizeof(hone_real) : 0);
}

hone_status hone_train_step_create(const hone_model *model, const hone_step_size *size, hone_train_step **out,
                                   hone_error *err)
{
    const hone_model_config *c = &model->config;
    hone_train_step *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    s->model = model;
    s->size = *size;
    hone_tape_size tape = tape_size(size);
    hone_status status = hone_train_batch_create(size->max_rows, size->max_examples, &s->batch, err);
    if (status == HONE_OK && size->parts)
        status = hone_train_batch_create(size->max_rows, size->max_examples, &s->trunk, err);
    if (status == HONE_OK)
        status = hone_kv_pool_create(n_pages(size), c->n_layers, c->n_kv_heads, c->head_dim, &s->pool, err);
    if (status == HONE_OK)
        status = hone_workspace_create_as(model, size->max_rows, size->rank,
                                          hone_training_logit_rows(model, size->max_rows), &s->workspace, err);
    if (status == HONE_OK)
        status = hone_tape_create_as(model, &tape, &s->tape, err);
    if (status == HONE_OK && (!(s->common = calloc((size_t)size->max_examples, sizeof *s->common)) ||
                              !(s->room = calloc((size_t)size->max_examples, sizeof *s->room)) ||
                              !(s->losses = calloc((size_t)size->max_examples, sizeof *s->losses)) ||
                              (size->parts && !(s->sent.values = calloc(hone_kv_gradient_floats(model, size->max_rows),
                                                                        sizeof *s->sent.values)))))
        status =
            hone_fail(err, HONE_NO_MEMORY, "out of memory for training steps of %lld rows", (long long)size->max_rows);
    if (status == HONE_OK)
        *out = s;
    else
        hone_train_step_free(s);
    return status;
}

void hone_train_step_free(hone_train_step *s)
{
    if (!s)
        return;
    hone_train_batch_free(s->batch);
    hone_train_batch_free(s->trunk);
    hone_kv_pool_free(s->pool);
    hone_workspace_free(s->workspace);
    hone_tape_free(s->tape);
    free(s->sent.values);
    free(s->common);
    free(s->room);
    free(s->losses);
    free(s);
}

/* By their tokens, equal ones as they came. */
static int compare(const void *x, const void *y)
{
    const sortable *a = x, *b = y;
    size_t n = a->example->n_ids < b->example->n_ids ? a->example->n_ids : b->example->n_ids;
    for (size_t i = 0; i < n; i++)
        if (a->example->ids[i] != b->example->ids[i])
            return a->example->ids[i] < b->example->ids[i] ? -1 : 1;
    if (a->example->n_ids != b->example->n_ids)
        return a->example->n_ids < b->example->n_ids ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static void sort_examples(const hone_train_example *examples, size_t *order, int64_t n, sortable *room)
{
    for (int64_t i = 0; i < n; i++)
        room[i] = (sortable){&examples[order[i]], order[i], (size_t)i};
    qsort(room, (size_t)n, sizeof *room, compare);
    for (int64_t i = 0; i < n; i++)
        order[i] = room[i].index;
}

/* ---- passes ---- */
static void backward(hone_train_step *s, hone_train_batch *b)
{
    s->result.loss +=
        hone_model_backward(s->model, s->pool, &b->rows, s->workspace, s->tape, b->labels, b->n_labels, s->gradient);
    for (int64_t i = 0; i < b->n_labelled; i++)
        s->losses[b->labelled[i].place - s->order] += hone_train_batch_loss(b, &b->labelled[i]);
}

static void forward(hone_train_step *s, const hone_train_batch *b, hone_tape *tape)
{
    hone_model_forward(s->model, s->pool, &b->rows, s->workspace, tape);
    s->result.n_rows += b->rows.n_rows;
    s->result.n_tokens += tape ? b->n_tokens : 0;
    s->result.n_passes++;
}

/* Whole trees, as many examples in each as fit. */
static void compute_trees(hone_train_step *s, int64_t from, int64_t to)
{
    while (from < to) {
        from += hone_train_batch_fill(s->batch, s->examples, s->order + from, to - from, s->label_weight, s->adapter);
        forward(s, s->batch, s->tape);
        backward(s, s->batch);
    }
}

static void compute_trunk_and_ends(hone_train_step *s, int64_t from, int64_t to)
{
    hone_train_batch *trunk = s->trunk, *b = s->batch;
    int64_t n = to - from;
    const size_t *order = s->order + from;
    hone_train_batch_fill_trunk(trunk, s->examples, order, n, s->common + from, s->label_weight, s->adapter);
    forward(s, trunk, NULL);
    s->sent.n_rows = trunk->rows.n_rows;
    memset(s->sent.values, 0, hone_kv_gradient_floats(s->model, s->sent.n_rows) * sizeof *s->sent.values);
    for (int64_t done = 0; done < n;) {
        done += hone_train_batch_fill_ends(b, trunk, s->examples, order, done, n, s->label_weight, s->adapter);
        if (b->rows.n_rows == 0) /* examples that end within the trunk */
            continue;
        for (int64_t i = 0; i < b->n_copies; i++)
            hone_op_kv_copy(s->model->ops, s->pool, b->copies[i].from, b->copies[i].to);
        b->rows.out = &s->sent;
        forward(s, b, s->tape);
        backward(s, b);
    }
    trunk->rows.in = &s->sent;
    forward(s, trunk, s->tape);
    backward(s, trunk);
}

/* ---- which way ---- */
static int64_t rows_of(const hone_train_step *s, int64_t i)
{
    return (int64_t)s->examples[s->order[i]].n_ids - 1;
}

/* Rows of the tree of [from, to), and of those that more than one example shares. */
static int64_t count_rows(const hone_train_step *s, int64_t from, int64_t to, int64_t *shared)
{
    int64_t rows = rows_of(s, from), before = 0;
    *shared = 0;
    for (int64_t i = from + 1; i < to; i++) {
        int64_t common = s->common[i];
        rows += rows_of(s, i) - common;
        *shared += common > before ? common - before : 0;
        before = common;
    }
    return rows;
}

static int64_t count_rows_of_trees(const hone_train_step *s, int64_t from, int64_t to)
{
    int64_t total = 0, pass = 0;
    for (int64_t i = from; i < to; i++) {
        int64_t rows = rows_of(s, i) - (pass > 0 ? s->common[i] : 0);
        if (pass + rows > s->size.max_rows) {
            total += pass;
            pass = 0;
            rows = rows_of(s, i);
        }
        pass += rows;
    }
    return total + pass;
}

enum { PASS_ROWS = 32 }; /* what starting a pass costs, in rows */

static void compute(hone_train_step *s, int64_t from, int64_t to)
{
    int64_t shared, rows = count_rows(s, from, to, &shared), middle = from + (to - from) / 2, cut = from + 1;
    if (rows <= s->size.max_rows || shared == 0 || to - from < 2) {
        compute_trees(s, from, to);
        return;
    }
    if (shared <= s->size.max_rows) { /* a row costs as much forward as back */
        if (3 * shared + 2 * (rows - shared) + 2 * PASS_ROWS < 2 * count_rows_of_trees(s, from, to))
            compute_trunk_and_ends(s, from, to);
        else
            compute_trees(s, from, to);
        return;
    }
    for (int64_t i = from + 1; i < to; i++) /* parted where least is shared, near the middle */
        if (s->common[i] < s->common[cut] ||
            (s->common[i] == s->common[cut] && llabs(i - middle) < llabs(cut - middle)))
            cut = i;
    compute(s, from, cut);
    compute(s, cut, to);
}

hone_step_result hone_train_step_gradient(hone_train_step *s, const hone_adapter *adapter,
                                          const hone_train_example *examples, size_t *order, int64_t n,
                                          hone_real label_weight, hone_real *gradient)
{
    s->examples = examples;
    s->order = order;
    s->adapter = adapter;
    s->label_weight = label_weight;
    s->gradient = gradient;
    s->result = (hone_step_result){0};
    sort_examples(examples, order, n, s->room);
    hone_train_common_prefixes(examples, order, n, s->common);
    memset(s->losses, 0, (size_t)n * sizeof *s->losses);
    compute(s, 0, n);
    for (int64_t i = 0; i < n; i++)
        s->losses[i] /= hone_train_example_weight(&examples[order[i]]);
    return s->result;
}

const double *hone_train_step_losses(const hone_train_step *s)
{
    return s->losses;
}
