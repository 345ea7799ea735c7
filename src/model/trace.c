/* trace.c - one forward pass that keeps every layer's hidden state. Built for both precisions (trace.h). */
#include "model/trace.h"

#include "model/workspace.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_ROWS = 16 };

typedef struct tracer {
    hone_ops *ops;
    hone_model *model;
    hone_adapter *adapter;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    int32_t *pages;
} tracer;

static hone_status check(const hone_trace_source *s, const hone_model_config *c, hone_error *err)
{
    if (s->n_ids < 1 || s->n_ids > c->n_context)
        return hone_fail(err, HONE_BAD_INPUT, "a text of %lld tokens; this model takes 1 to %lld", (long long)s->n_ids,
                         (long long)c->n_context);
    for (int64_t i = 0; i < s->n_ids; i++)
        if (s->ids[i] < 0 || s->ids[i] >= c->n_vocab)
            return hone_fail(err, HONE_BAD_INPUT, "token %d; this model has 0 to %lld", s->ids[i],
                             (long long)c->n_vocab - 1);
    return HONE_OK;
}

static hone_status open_tracer(const hone_trace_source *s, tracer *t, hone_error *err)
{
    int64_t n_pages = (s->n_ids + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS;
    hone_status status = hone_ops_create_as(s->numerics, s->n_threads, &t->ops, err);
    if (status == HONE_OK)
        status = hone_model_open(t->ops, s->file, &t->model, err);
    if (status == HONE_OK)
        status = check(s, &t->model->config, err);
    if (status == HONE_OK && s->adapter)
        status = hone_adapter_load(t->model, s->adapter, &t->adapter, err);
    if (status != HONE_OK)
        return status;
    const hone_model_config *c = &t->model->config;
    int rank = t->adapter ? t->adapter->rank : 1;
    status = hone_kv_pool_create(n_pages, c->n_layers, c->n_kv_heads, c->head_dim, &t->pool, err);
    if (status == HONE_OK)
        status = hone_workspace_create(t->model, PIECE_ROWS, rank, &t->ws, err);
    if (status == HONE_OK)
        status = hone_tape_create(t->model, PIECE_ROWS, rank, &t->tape, err);
    if (status == HONE_OK && !(t->pages = calloc((size_t)n_pages, sizeof *t->pages)))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (int64_t p = 0; p < n_pages && status == HONE_OK; p++)
        t->pages[p] = (int32_t)p;
    return status;
}

static void close_tracer(tracer *t)
{
    free(t->pages);
    hone_tape_free(t->tape);
    hone_workspace_free(t->ws);
    hone_kv_pool_free(t->pool);
    hone_adapter_free(t->adapter);
    hone_model_close(t->model);
    hone_ops_free(t->ops);
}

static hone_status make_room(const hone_model_config *c, int64_t n_rows, hone_trace *out, hone_error *err)
{
    *out = (hone_trace){.n_rows = n_rows, .n_layers = c->n_layers, .n_embd = c->n_embd, .n_vocab = c->n_vocab};
    out->hidden = calloc((size_t)((c->n_layers + 1) * n_rows), (size_t)c->n_embd * sizeof *out->hidden);
    out->logits = calloc((size_t)n_rows, (size_t)c->n_vocab * sizeof *out->logits);
    if (out->hidden && out->logits)
        return HONE_OK;
    hone_trace_clear(out);
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for what %lld layers say about %lld tokens",
                     (long long)c->n_layers, (long long)n_rows);
}

static void copy_rows(const hone_real *from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i];
}

/* Rows [first, first + n) of the text, n <= PIECE_ROWS. */
static void run_piece(tracer *t, const int32_t *ids, int64_t first, int64_t n, hone_trace *out)
{
    const hone_model_config *c = &t->model->config;
    int32_t positions[PIECE_ROWS], rows[PIECE_ROWS];
    hone_kv_write writes[PIECE_ROWS];
    for (int64_t i = 0; i < n; i++) {
        int64_t position = first + i;
        positions[i] = (int32_t)position;
        rows[i] = (int32_t)i;
        writes[i] =
            (hone_kv_write){(int32_t)i, t->pages[position / HONE_PAGE_TOKENS], (int32_t)(position % HONE_PAGE_TOKENS)};
    }
    hone_span span = {.n_rows = n, .first_position = first, .pages = t->pages};
    hone_adapter_rows adapted = {t->adapter, 0, n};
    hone_batch batch = {n, ids + first, positions, &span, 1, writes, n, &adapted, t->adapter ? 1 : 0};
    const hone_real *last = hone_model_forward(t->model, t->pool, &batch, t->ws, t->tape);
    for (int64_t l = 0; l <= c->n_layers; l++)
        copy_rows(l < c->n_layers ? t->tape->layers[l].x_in : last, n * c->n_embd,
                  out->hidden + (l * out->n_rows + first) * c->n_embd);
    copy_rows(hone_model_logits(t->model, t->ws, rows, n), n * c->n_vocab, out->logits + first * c->n_vocab);
}

static hone_status run(const hone_trace_source *s, const char *name, hone_progress *progress, hone_trace *out,
                       hone_error *err)
{
    tracer t = {0};
    *out = (hone_trace){0};
    hone_status status = open_tracer(s, &t, err);
    if (status == HONE_OK)
        status = make_room(&t.model->config, s->n_ids, out, err);
    if (status == HONE_OK) {
        hone_progress_begin(progress, name, "tokens", s->n_ids);
        for (int64_t first = 0; first < s->n_ids; first += PIECE_ROWS) {
            int64_t n = s->n_ids - first < PIECE_ROWS ? s->n_ids - first : PIECE_ROWS;
            run_piece(&t, s->ids, first, n, out);
            hone_progress_update(progress, first + n, NULL);
        }
        hone_progress_end(progress);
    }
    close_tracer(&t);
    return status;
}

#ifdef HONE_DOUBLE
hone_status hone_trace_run_double(const hone_trace_source *source, hone_progress *progress, hone_trace *out,
                                  hone_error *err)
{
    return run(source, "double precision", progress, out, err);
}
#else
hone_status hone_trace_run(const hone_trace_source *source, hone_progress *progress, hone_trace *out, hone_error *err)
{
    return run(source, "single precision", progress, out, err);
}
#endif
