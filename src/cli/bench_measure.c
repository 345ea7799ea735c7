/* bench_measure.c - the measurements of `hone bench`.
 *
 * Every figure is the median of several runs of the same code that serves and trains, with the spread beside it. FLOPs
 * are counted in the open: 2 for each weight of a linear layer and row, and for attention 4 * head_dim * heads for each
 * position seen; training counts forward, the gradient of the inputs, and three products for each adapter matrix pair.
 * Decoding starts behind keys and values that were filled in: how long a step takes does not depend on their values. */
#include "cli/bench_measure.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/large_memory.h"
#include "cli/model_argument.h"
#include "model/forward.h"
#include "train/batch.h"

#include <stdlib.h>
#include <string.h>

enum {
    PREFILL = HONE_BENCH_PREFILL,
    RUNS = HONE_BENCH_RUNS,
    TRAIN_SEQUENCES = HONE_BENCH_TRAIN_SEQUENCES,
    TRAIN_TOKENS = HONE_BENCH_TRAIN_TOKENS,
    TRAIN_RANK = HONE_BENCH_TRAIN_RANK,
    PROMPT = 8, /* tokens before the first that is decoded */
    MOST_TOGETHER = 64,
    PRODUCT_RUNS = 21
};

const int hone_bench_batch_sizes[HONE_BENCH_BATCHES] = {1, 8, 32, 64};
const int hone_bench_contexts[HONE_BENCH_CONTEXTS] = {512, 2048, 8192};
const int hone_bench_products[HONE_BENCH_PRODUCTS] = {8, 32, 96, 512};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static hone_bench_figure summarise(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return (hone_bench_figure){values[n / 2], values[0], values[n - 1], 0};
}

/* Runs n equal requests and returns the seconds. */
static hone_status timed(hone_engine *engine, const int32_t *ids, size_t n_ids, int n_requests, int new_tokens,
                         double *seconds, hone_error *err)
{
    hone_request requests[64] = {0};
    hone_response responses[64];
    static int32_t own[64][PREFILL + 8];
    for (int i = 0; i < n_requests; i++) {
        memcpy(own[i], ids, n_ids * sizeof *ids);
        own[i][0] = 1000 + i; /* no request may find another's prefix */
        requests[i] =
            (hone_request){.ids = own[i], .n_ids = n_ids, .max_new_tokens = new_tokens, .n_top = new_tokens ? 0 : 1};
    }
    hone_engine_clear_cache(engine);
    double start = hone_clock_seconds();
    hone_status status = hone_engine_run(engine, requests, (size_t)n_requests, responses, NULL, err);
    *seconds = hone_clock_seconds() - start;
    for (int i = 0; i < n_requests; i++)
        hone_response_clear(&responses[i]);
    return status;
}

/* A pool, a workspace and the step's arrays for sequences that decode together. */
typedef struct decoder {
    const hone_model *model;
    hone_kv_pool *pool;
    hone_workspace *ws;
    int n;
    int64_t pages_each;
    int32_t *pages; /* [n][pages_each] */
    int32_t tokens[MOST_TOGETHER], positions[MOST_TOGETHER], rows[MOST_TOGETHER];
    hone_kv_write writes[MOST_TOGETHER];
    hone_span spans[MOST_TOGETHER];
} decoder;

static void decoder_clear(decoder *d)
{
    hone_workspace_free(d->ws);
    hone_kv_pool_free(d->pool);
    free(d->pages);
}

/* Keys and values of positions [0, start) of every sequence and layer. */
static hone_status fill_context(decoder *d, int64_t start, hone_error *err)
{
    const hone_model_config *c = &d->model->config;
    int64_t width = c->n_kv_heads * c->head_dim;
    float *values = malloc((size_t)(width * HONE_PAGE_TOKENS) * sizeof *values);
    hone_kv_write writes[HONE_PAGE_TOKENS];
    if (!values)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < width * HONE_PAGE_TOKENS; i++)
        values[i] = (float)(i % 37 - 18) / 32;
    for (int64_t l = 0; l < c->n_layers; l++)
        for (int i = 0; i < d->n; i++)
            for (int64_t p = 0; p < start; p += HONE_PAGE_TOKENS) {
                int32_t n = 0;
                for (; n < HONE_PAGE_TOKENS && p + n < start; n++)
                    writes[n] = (hone_kv_write){n, d->pages[i * d->pages_each + p / HONE_PAGE_TOKENS], n};
                hone_op_kv_write(d->model->ops, d->pool, l, writes, n, values, values);
            }
    free(values);
    return HONE_OK;
}

static hone_status decoder_init(decoder *d, const hone_model *model, int n, int64_t start, int64_t steps,
                                hone_error *err)
{
    const hone_model_config *c = &model->config;
    *d = (decoder){.model = model, .n = n, .pages_each = (start + steps) / HONE_PAGE_TOKENS + 1};
    d->pages = malloc((size_t)(d->pages_each * n) * sizeof *d->pages);
    if (!d->pages)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < d->pages_each * n; i++)
        d->pages[i] = (int32_t)i;
    hone_status status = hone_kv_pool_create(d->pages_each * n, c->n_layers, c->n_kv_heads, c->head_dim, &d->pool, err);
    if (status == HONE_OK)
        status = hone_workspace_create(model, MOST_TOGETHER, TRAIN_RANK, &d->ws, err);
    return status == HONE_OK ? fill_context(d, start, err) : status;
}

/* One token for each sequence, the most likely one each. */
static void decode_step(decoder *d, int64_t position)
{
    const hone_model *model = d->model;
    for (int i = 0; i < d->n; i++) {
        const int32_t *pages = d->pages + i * d->pages_each;
        d->positions[i] = (int32_t)position;
        d->rows[i] = i;
        d->writes[i] = (hone_kv_write){i, pages[position / HONE_PAGE_TOKENS], (int32_t)(position % HONE_PAGE_TOKENS)};
        d->spans[i] = (hone_span){.first_row = i, .n_rows = 1, .first_position = position, .pages = pages};
    }
    hone_batch batch = {d->n, d->tokens, d->positions, d->spans, d->n, d->writes, d->n, NULL, 0};
    hone_model_forward(model, d->pool, &batch, d->ws, NULL);
    hone_op_argmax(model->ops, d->n, model->config.n_vocab, hone_model_logits(model, d->ws, d->rows, d->n), d->tokens);
}

/* n sequences together, `steps` tokens each from position `start` on. */
static hone_status measure_decode(const hone_model *model, int n, int64_t start, int64_t steps, hone_bench_figure *out,
                                  hone_error *err)
{
    double rates[RUNS];
    decoder d;
    hone_status status = decoder_init(&d, model, n, start, steps, err);
    for (int run = 0; run < RUNS && status == HONE_OK; run++) {
        for (int i = 0; i < n; i++)
            d.tokens[i] = (int32_t)((1000 + i) % model->config.n_vocab);
        double begin = hone_clock_seconds();
        for (int64_t p = start; p < start + steps; p++)
            decode_step(&d, p);
        rates[run] = n * (double)steps / (hone_clock_seconds() - begin);
    }
    if (status == HONE_OK)
        *out = summarise(rates, RUNS);
    decoder_clear(&d);
    return status;
}

/* LoRA steps as peers' scripts make them: 16 sequences of 64 tokens, rank 16, all linear layers, every token labelled,
 * nothing shared; forward, backward and AdamW. Micro-batches of at most 640 rows, as in training. */
static hone_status measure_train(hone_engine *engine, const int32_t *ids, hone_bench_figure *out, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(engine);
    const hone_model_config *c = &model->config;
    enum { MICRO = 10 };
    int64_t rows = MICRO * TRAIN_TOKENS;
    hone_adapter *adapter = NULL;
    hone_train_batch *batch = NULL;
    hone_kv_pool *pool = NULL;
    hone_workspace *ws = NULL;
    hone_tape *tape = NULL;
    float *state = NULL;
    double rates[RUNS];
    hone_train_example examples[TRAIN_SEQUENCES];
    size_t order[TRAIN_SEQUENCES];
    static int32_t own[TRAIN_SEQUENCES][TRAIN_TOKENS + 1];
    hone_status status = hone_adapter_create(c, TRAIN_RANK, 32, &adapter, err);
    if (status == HONE_OK)
        status = hone_train_batch_create(rows, MICRO, &batch, err);
    if (status == HONE_OK)
        status = hone_kv_pool_create(batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &pool, err);
    if (status == HONE_OK)
        status = hone_workspace_create_as(model, rows, TRAIN_RANK, hone_training_logit_rows(model, rows), &ws, err);
    if (status == HONE_OK)
        status = hone_tape_create(model, rows, TRAIN_RANK, &tape, err);
    size_t n = adapter ? adapter->n_parameters : 0;
    if (status == HONE_OK && !(state = calloc(3 * n, sizeof *state)))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status != HONE_OK)
        goto done;
    for (int i = 0; i < TRAIN_SEQUENCES; i++) { /* 64 rows each: 65 ids, of which the last is only predicted */
        memcpy(own[i], ids, sizeof own[i]);
        own[i][0] = 2000 + i;
        examples[i] = (hone_train_example){own[i], TRAIN_TOKENS + 1, 1};
        order[i] = (size_t)i;
    }
    batch->share_prefix = false;
    hone_adapter_init(adapter, 1);
    for (int run = -1; run < RUNS; run++) { /* the first warms up */
        double start = hone_clock_seconds();
        memset(state, 0, n * sizeof *state);
        hone_adapter_refresh(model->ops, adapter);
        for (int64_t at = 0; at < TRAIN_SEQUENCES;) {
            at += hone_train_batch_fill(batch, examples, order + at, TRAIN_SEQUENCES - at,
                                        1.0f / (TRAIN_SEQUENCES * TRAIN_TOKENS), adapter);
            hone_model_forward(model, pool, &batch->rows, ws, tape);
            hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, state);
        }
        hone_adamw settings = {1e-4f, 0.9f, 0.999f, 1e-8f, 0, run + 2, 1};
        hone_op_adamw(model->ops, &settings, (int64_t)n, state, state + n, state + 2 * n, adapter->parameters);
        if (run >= 0)
            rates[run] = TRAIN_SEQUENCES * TRAIN_TOKENS / (hone_clock_seconds() - start);
    }
    *out = summarise(rates, RUNS);
done:
    hone_adapter_free(adapter);
    hone_train_batch_free(batch);
    hone_kv_pool_free(pool);
    hone_workspace_free(ws);
    hone_tape_free(tape);
    free(state);
    return status;
}

/* FLOPs of the linear layers of all blocks for one row. */
static double block_flops(const hone_model_config *c)
{
    double flops = 0;
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(c, (hone_linear)i, &n_out, &n_in);
        flops += 2.0 * (double)n_out * (double)n_in;
    }
    return flops * (double)c->n_layers;
}

static double adapter_flops(const hone_model_config *c)
{
    double flops = 0;
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(c, (hone_linear)i, &n_out, &n_in);
        flops += 2.0 * (double)(n_out + n_in) * TRAIN_RANK;
    }
    return flops * (double)c->n_layers;
}

static double attention_flops(const hone_model_config *c) /* of one row for each position it sees */
{
    return 4.0 * (double)(c->head_dim * c->n_heads * c->n_layers);
}

/* The linear layers of the first block over `rows` rows, one after the other: their share of the peak. */
static hone_status measure_products(const hone_model *model, double peak, int rows, double *share, hone_error *err)
{
    const hone_model_config *c = &model->config;
    int64_t widest = 1, n_out, n_in;
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        hone_model_linear_shape(c, (hone_linear)i, &n_out, &n_in);
        widest = n_out > widest ? n_out : widest;
        widest = n_in > widest ? n_in : widest;
    }
    size_t n = (size_t)(rows * widest);
    float *x = hone_large_map(2 * n * sizeof *x), *y = x ? x + n : NULL; /* as a workspace has them */
    double seconds[PRODUCT_RUNS];
    if (!x)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(i % 37) / 32 - 0.5f;
        y[i] = 0;
    }
    for (int run = 0; run < PRODUCT_RUNS; run++) {
        double start = hone_clock_seconds();
        for (int i = 0; i < HONE_N_LINEARS; i++) {
            const hone_weight *w = model->layers[0].linear[i];
            hone_linear_job job = {w, x, hone_weight_n_in(w), y, hone_weight_n_out(w)};
            hone_op_linear(model->ops, &job, 1, rows);
        }
        seconds[run] = hone_clock_seconds() - start;
    }
    *share = rows * block_flops(c) / (double)c->n_layers / summarise(seconds, PRODUCT_RUNS).median / peak;
    hone_large_unmap(x, 2 * n * sizeof *x);
    return HONE_OK;
}

static hone_status measure_prefill(hone_engine *engine, const int32_t *ids, hone_bench_figure *out, hone_error *err)
{
    double rates[RUNS], seconds;
    for (int run = -1; run < RUNS; run++) { /* the first warms up */
        hone_status status = timed(engine, ids, PREFILL, 1, 0, &seconds, err);
        if (status != HONE_OK)
            return status;
        if (run >= 0)
            rates[run] = PREFILL / seconds;
    }
    *out = summarise(rates, RUNS);
    return HONE_OK;
}

static hone_status measure_inference(hone_engine *engine, const int32_t *ids, hone_bench_report *r, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(engine);
    const hone_model_config *c = &model->config;
    size_t page_bytes = hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim);
    hone_status status = measure_prefill(engine, ids, &r->prefill, err);
    double flops = PREFILL * r->block_flops + attention_flops(c) * PREFILL * (PREFILL + 1) / 2 + r->output_flops;
    r->prefill.share = flops / PREFILL * r->prefill.median / r->peak_flops;
    r->prefill_peak_bytes = hone_peak_resident_bytes();
    r->prefill_kv_bytes = (PREFILL / HONE_PAGE_TOKENS + 1) * page_bytes;
    for (int i = 0; i < HONE_BENCH_PRODUCTS && status == HONE_OK; i++)
        status = measure_products(model, r->peak_flops, hone_bench_products[i], &r->products[i], err);
    for (int i = 0; i < HONE_BENCH_BATCHES && status == HONE_OK; i++) {
        hone_bench_figure *f = &r->batch[i];
        int64_t steps = hone_bench_batch_sizes[i] > 1 ? HONE_BENCH_DECODE_TOGETHER : HONE_BENCH_DECODE;
        status = measure_decode(model, hone_bench_batch_sizes[i], PROMPT, steps, f, err);
        double seen = attention_flops(c) * ((double)PROMPT + (double)(steps + 1) / 2);
        f->share = (r->block_flops + r->output_flops + seen) * f->median / r->peak_flops;
    }
    for (int i = 0; i < HONE_BENCH_CONTEXTS && status == HONE_OK; i++)
        if (hone_bench_contexts[i] <= c->n_context)
            status = measure_decode(model, 1, hone_bench_contexts[i] - HONE_BENCH_CONTEXT_STEPS,
                                    HONE_BENCH_CONTEXT_STEPS, &r->context[i], err);
    r->decode_peak_bytes = hone_peak_resident_bytes();
    r->decode_kv_bytes = ((PROMPT + HONE_BENCH_DECODE_TOGETHER) / HONE_PAGE_TOKENS + 1) * MOST_TOGETHER * page_bytes;
    for (int i = 0; i < HONE_BENCH_CONTEXTS; i++) {
        size_t bytes = (size_t)(hone_bench_contexts[i] / HONE_PAGE_TOKENS + 1) * page_bytes;
        if (r->context[i].median > 0 && bytes > r->decode_kv_bytes)
            r->decode_kv_bytes = bytes;
    }
    return status;
}

hone_status hone_bench_measure(const char *argument, int64_t threads, const char *numerics, bool train_only,
                               hone_engine **out, hone_bench_report *r, hone_error *err)
{
    *r = (hone_bench_report){0};
    double start = hone_clock_seconds();
    hone_status status = hone_cli_open_engine(argument, threads, 0, numerics, out, err);
    if (status != HONE_OK)
        return status;
    r->load_seconds = hone_clock_seconds() - start;
    hone_engine *engine = *out, *alone = NULL;
    const hone_model *model = hone_engine_get_model(engine);
    const hone_model_config *c = &model->config;
    int32_t ids[PREFILL];
    for (int i = 0; i < PREFILL; i++)
        ids[i] = (1000 + i) % (int32_t)c->n_vocab;
    double seconds;
    if ((status = timed(engine, ids, PROMPT, 1, 1, &seconds, err)) != HONE_OK)
        return status;
    r->first_token_seconds = hone_clock_seconds() - start;
    r->loaded_peak_bytes = hone_peak_resident_bytes();
    r->file_bytes = (size_t)hone_file_size_bytes(hone_engine_model_path(engine));
    r->weight_bytes = model->weight_bytes;
    r->block_flops = block_flops(c);
    r->output_flops = 2.0 * (double)(c->n_vocab * c->n_embd);
    r->fma_flops = hone_ops_measure_fma_peak(model->ops);
    r->bf16_flops = hone_ops_measure_bf16_peak(model->ops);
    bool pairs = hone_ops_numerics(model->ops) == HONE_NUMERICS_BF16 && r->bf16_flops > 0;
    r->peak_flops = pairs ? r->bf16_flops : r->fma_flops;
    if (!train_only && (status = measure_inference(engine, ids, r, err)) != HONE_OK)
        return status;
    if ((status = measure_train(engine, ids, &r->train, err)) != HONE_OK)
        return status;
    double rows = TRAIN_SEQUENCES * TRAIN_TOKENS,
           flops = rows * (2 * r->block_flops + 3 * adapter_flops(c) + 2 * r->output_flops) +
                   3.0 * attention_flops(c) * rows * (TRAIN_TOKENS + 1) / 2;
    r->train.share = flops / rows * r->train.median / r->peak_flops;
    r->peak_rss_bytes = hone_peak_resident_bytes();
    r->read_bytes_per_second = hone_ops_measure_read_bandwidth(model->ops, err);
    if (train_only || hone_engine_threads(engine) == 1)
        return HONE_OK;
    hone_bench_figure one;
    if ((status = hone_cli_open_engine(argument, 1, 0, numerics, &alone, err)) == HONE_OK)
        status = measure_prefill(alone, ids, &one, err);
    if (status == HONE_OK)
        r->one_thread_prefill = one.median;
    hone_engine_close(alone);
    return status;
}
