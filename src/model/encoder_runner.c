/* encoder_runner.c - groups of texts, and the threads that draw them.
 *
 *   lane      what one thread needs to run a group: operations that stay on it, and the memory of a step
 *   wide      the memory of a step that all threads work on together
 *
 * Groups get smaller towards the end (guided self-scheduling: Polychronopoulos & Kuck 1987), so that no thread waits
 * long for the last one. */
#include "model/encoder_runner.h"

#include "base/cancel.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    WIDE_ROWS = 768,      /* tokens of a step on all threads: enough rows for full speed */
    LANE_ROWS = 192,      /* tokens of a group: enough to read the weights seldom, few enough for a cache of 1 MiB */
    LEAST_GROUP_ROWS = 48 /* tokens of a group near the end */
};

typedef struct lane {
    hone_ops *ops;
    hone_encoder_workspace *ws;
    int64_t *starts; /* [rows + 1] */
} lane;

struct hone_encoder_runner {
    const hone_encoder *encoder;
    lane wide;   /* borrows its ops */
    lane *lanes; /* [n_threads], made when first needed */
    int n_threads;
};

static int64_t at_least(int64_t n, int64_t least)
{
    return n > least ? n : least;
}

/* starts alone where ops are there already. */
static hone_status open_lane(const hone_encoder *e, int64_t rows, lane *out, hone_error *err)
{
    rows = at_least(rows, e->config.most_tokens);
    out->starts = calloc((size_t)rows + 1, sizeof *out->starts);
    if (!out->starts)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a step of %lld tokens", (long long)rows);
    return hone_encoder_workspace_create(e, out->ops, rows, &out->ws, err);
}

static void close_lane(lane *l)
{
    hone_encoder_workspace_free(l->ws);
    free(l->starts);
}

hone_status hone_encoder_runner_create(const hone_encoder *encoder, hone_encoder_runner **out, hone_error *err)
{
    *out = NULL;
    hone_encoder_runner *r = calloc(1, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an encoder");
    r->encoder = encoder;
    r->wide.ops = encoder->ops;
    r->n_threads = hone_thread_pool_size(hone_ops_pool(encoder->ops));
    hone_status status = open_lane(encoder, WIDE_ROWS, &r->wide, err);
    if (status != HONE_OK)
        hone_encoder_runner_free(r);
    else
        *out = r;
    return status;
}

static void close_lanes(hone_encoder_runner *r)
{
    for (int i = 0; r->lanes && i < r->n_threads; i++) {
        close_lane(&r->lanes[i]);
        hone_ops_free(r->lanes[i].ops);
    }
    free(r->lanes);
    r->lanes = NULL;
}

void hone_encoder_runner_free(hone_encoder_runner *r)
{
    if (!r)
        return;
    close_lanes(r);
    close_lane(&r->wide);
    free(r);
}

static hone_status open_lanes(hone_encoder_runner *r, hone_error *err)
{
    if (r->lanes)
        return HONE_OK;
    r->lanes = calloc((size_t)r->n_threads, sizeof *r->lanes);
    hone_status status =
        r->lanes ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for %d threads", r->n_threads);
    for (int i = 0; i < r->n_threads && status == HONE_OK; i++) {
        status = hone_ops_create_alone(r->encoder->ops, &r->lanes[i].ops, err);
        if (status == HONE_OK)
            status = open_lane(r->encoder, LANE_ROWS, &r->lanes[i], err);
    }
    if (status != HONE_OK)
        close_lanes(r);
    return status;
}

/* What a call works on. groups: [n_groups + 1], the text that each begins with. */
typedef struct texts_run {
    const hone_encoder_runner *runner;
    hone_pooling pooling;
    const int32_t *ids;
    const size_t *ends;
    float *vectors;
    const size_t *groups;
    size_t n_groups;
    atomic_size_t next_group;
} texts_run;

static size_t begin_of(const size_t *ends, size_t text)
{
    return text > 0 ? ends[text - 1] : 0;
}

static void run_texts(const texts_run *run, const lane *l, size_t first, size_t last)
{
    const hone_encoder *e = run->runner->encoder;
    size_t begin = begin_of(run->ends, first);
    int64_t n = (int64_t)(last - first), dim = e->config.n_embd;
    for (int64_t i = 0; i < n; i++)
        l->starts[i + 1] = (int64_t)(run->ends[first + (size_t)i] - begin);
    const float *states = hone_encoder_forward(e, l->starts, n, run->ids + begin, l->ws);
    hone_op_pool(l->ops, l->starts, n, dim, run->pooling, states, run->vectors + first * (size_t)dim);
}

/* The text after the longest list of texts from `first` on that has at most `rows` tokens, but at least one text. */
static size_t end_of_group(const size_t *ends, size_t n, size_t first, int64_t rows)
{
    size_t begin = begin_of(ends, first), next = first + 1;
    while (next < n && ends[next] - begin <= (size_t)rows)
        next++;
    return next;
}

static void draw_groups(void *context, int64_t piece, int thread)
{
    (void)piece;
    texts_run *run = context;
    size_t group;
    while (!hone_cancel_requested() && (group = atomic_fetch_add(&run->next_group, 1)) < run->n_groups)
        run_texts(run, &run->runner->lanes[thread], run->groups[group], run->groups[group + 1]);
}

static hone_status run_groups(hone_encoder_runner *r, texts_run *run, size_t n, hone_error *err)
{
    size_t *groups = calloc(n + 1, sizeof *groups);
    hone_status status = groups ? open_lanes(r, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu texts", n);
    if (status == HONE_OK) {
        for (size_t text = 0; text < n; groups[++run->n_groups] = text) {
            int64_t left = (int64_t)(run->ends[n - 1] - begin_of(run->ends, text)),
                    share = at_least(left / (2 * r->n_threads), LEAST_GROUP_ROWS);
            text = end_of_group(run->ends, n, text, share < LANE_ROWS ? share : LANE_ROWS);
        }
        run->groups = groups;
        hone_thread_pool_run(hone_ops_pool(r->encoder->ops), r->n_threads, draw_groups, run);
    }
    free(groups);
    return status;
}

hone_status hone_encoder_runner_run(hone_encoder_runner *r, hone_pooling pooling, const int32_t *ids,
                                    const size_t *ends, size_t n, float *vectors, hone_error *err)
{
    texts_run run = {.runner = r, .pooling = pooling, .ids = ids, .ends = ends, .vectors = vectors};
    hone_status status = HONE_OK;
    if (n > 0 && ends[n - 1] > (size_t)r->n_threads * LANE_ROWS)
        status = run_groups(r, &run, n, err);
    else
        for (size_t first = 0, next; first < n && !hone_cancel_requested(); first = next) {
            next = end_of_group(ends, n, first, WIDE_ROWS);
            run_texts(&run, &r->wide, first, next);
        }
    if (status == HONE_OK && hone_cancel_requested())
        status = hone_fail(err, HONE_CANCELLED, "stopped; the same command goes on from here");
    return status;
}
