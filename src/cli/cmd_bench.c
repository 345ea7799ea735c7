/* cmd_bench.c - `hone bench`: how fast this machine runs and tunes a model.
 *
 * Every figure is the median of several runs of the same code that serves and trains, with the spread beside it. FLOPs
 * are counted in the open: 2 for each weight of a linear layer and row, and for attention 4 * head_dim * heads for each
 * position seen; training counts forward, the gradient of the inputs, and three products for each adapter matrix pair.
 */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/model_argument.h"
#include "model/forward.h"
#include "train/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFILL = 512, DECODE = 128, RUNS = 5, TRAIN_SEQUENCES = 16, TRAIN_TOKENS = 64, TRAIN_RANK = 16, BATCHES = 4 };

typedef struct figure {
    double median, low, high;
} figure;

typedef struct report {
    figure prefill, decode, batch[BATCHES], train;
    double peak, bandwidth, prefill_flops, train_flops, load_seconds;
    size_t peak_rss_bytes;
} report;

static const int batch_sizes[BATCHES] = {1, 8, 32, 64};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static figure summarise(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return (figure){values[n / 2], values[0], values[n - 1]};
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

/* Time for n_requests to generate DECODE tokens each, the prompt's time taken off. A model may end its turn early; rows
 * are counted by what was generated, so the prompt is chosen to go on. */
static hone_status measure_decode(hone_engine *engine, const int32_t *ids, int n_requests, figure *out, hone_error *err)
{
    double rates[RUNS];
    const hone_model *model = hone_engine_get_model(engine);
    hone_kv_pool *pool = NULL;
    hone_workspace *ws = NULL;
    const hone_model_config *c = &model->config;
    enum { START = 8 };
    int64_t pages_each = (START + DECODE) / HONE_PAGE_TOKENS + 1;
    int32_t pages[64][16], tokens[64], positions[64], rows[64], next[64];
    hone_kv_write writes[64];
    hone_span spans[64];
    hone_status status =
        hone_kv_pool_create(pages_each * n_requests, c->n_layers, c->n_kv_heads, c->head_dim, &pool, err);
    if (status == HONE_OK)
        status = hone_workspace_create(model, 64, 16, &ws, err);
    for (int run = 0; run < RUNS && status == HONE_OK; run++) {
        double start = 0;
        for (int p = 0; p < START + DECODE; p++) {
            if (p == START)
                start = hone_clock_seconds();
            for (int i = 0; i < n_requests; i++) {
                for (int64_t g = 0; g < pages_each; g++)
                    pages[i][g] = (int32_t)(i * pages_each + g);
                tokens[i] = p < START ? ids[p] + i : next[i];
                positions[i] = p;
                rows[i] = i;
                writes[i] = (hone_kv_write){i, pages[i][p / HONE_PAGE_TOKENS], p % HONE_PAGE_TOKENS};
                spans[i] = (hone_span){.first_row = i, .n_rows = 1, .first_position = p, .pages = pages[i]};
            }
            hone_batch batch = {n_requests, tokens, positions, spans, n_requests, writes, n_requests, NULL, 0};
            hone_model_forward(model, pool, &batch, ws, NULL);
            hone_op_argmax(model->ops, n_requests, c->n_vocab, hone_model_logits(model, ws, rows, n_requests), next);
        }
        rates[run] = n_requests * (double)DECODE / (hone_clock_seconds() - start);
    }
    if (status == HONE_OK)
        *out = summarise(rates, RUNS);
    hone_workspace_free(ws);
    hone_kv_pool_free(pool);
    return status;
}

/* LoRA steps as peers' scripts make them: 16 sequences of 64 tokens, rank 16, all linear layers, every token labelled,
 * nothing shared; forward, backward and AdamW. Micro-batches of at most 640 rows, as in training. */
static hone_status measure_train(hone_engine *engine, const int32_t *ids, figure *out, hone_error *err)
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
        status = hone_workspace_create(model, rows, TRAIN_RANK, &ws, err);
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

static hone_status measure(hone_engine *engine, report *r, bool train_only, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(engine);
    const hone_model_config *c = &model->config;
    int32_t ids[PREFILL];
    double rates[RUNS], seconds;
    for (int i = 0; i < PREFILL; i++)
        ids[i] = (1000 + i) % (int32_t)c->n_vocab;
    r->peak = hone_ops_measure_fma_peak(model->ops);
    double attention = 4.0 * (double)(c->head_dim * c->n_heads * c->n_layers),
           head = 2.0 * (double)(c->n_vocab * c->n_embd);
    r->prefill_flops = PREFILL * block_flops(c) + attention * PREFILL * (PREFILL + 1) / 2 + head;
    r->train_flops = TRAIN_SEQUENCES * TRAIN_TOKENS * (2 * block_flops(c) + 3 * adapter_flops(c) + 2 * head) +
                     3.0 * attention * TRAIN_SEQUENCES * TRAIN_TOKENS * (TRAIN_TOKENS + 1) / 2;
    hone_status status = HONE_OK;
    if (!train_only) {
        for (int run = -1; run < RUNS && status == HONE_OK; run++) {
            status = timed(engine, ids, PREFILL, 1, 0, &seconds, err);
            if (run >= 0)
                rates[run] = PREFILL / seconds;
        }
        if (status == HONE_OK)
            r->prefill = summarise(rates, RUNS);
        for (int b = 0; b < BATCHES && status == HONE_OK; b++)
            status = measure_decode(engine, ids, batch_sizes[b], &r->batch[b], err);
        r->decode = r->batch[0];
    }
    if (status == HONE_OK)
        status = measure_train(engine, ids, &r->train, err);
    r->peak_rss_bytes = hone_peak_resident_bytes();
    r->bandwidth = hone_ops_measure_read_bandwidth(model->ops, err);
    return status;
}

static json_t *figure_json(const char *name, int sequences, figure f)
{
    json_t *json = json_pack("{s:f, s:f, s:f}", name, f.median, "low", f.low, "high", f.high);
    if (sequences > 0)
        json_object_set_new(json, "sequences", json_integer(sequences));
    return json;
}

static void print_json(const hone_engine *engine, const report *r)
{
    json_t *batch = json_array();
    for (int b = 0; b < BATCHES; b++)
        json_array_append_new(batch, figure_json("tokens_per_second", batch_sizes[b], r->batch[b]));
    json_t *json = json_pack(
        "{s:f, s:f, s:o, s:o, s:I, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:{s:[f,f], s:[f,f]}}",
        "prefill_tokens_per_second", r->prefill.median, "decode_tokens_per_second", r->decode.median, "batch", batch,
        "train", figure_json("tokens_per_second", 0, r->train), "peak_rss_bytes", (json_int_t)r->peak_rss_bytes, "isa",
        hone_engine_isa(engine), "threads", hone_engine_threads(engine), "fma_peak_gflops", r->peak / 1e9,
        "read_gigabytes_per_second", r->bandwidth / 1e9, "prefill_share_of_fma_peak",
        r->prefill_flops / PREFILL * r->prefill.median / r->peak, "train_share_of_fma_peak",
        r->train_flops / (TRAIN_SEQUENCES * TRAIN_TOKENS) * r->train.median / r->peak, "load_seconds", r->load_seconds,
        "spread", "prefill", r->prefill.low, r->prefill.high, "decode", r->decode.low, r->decode.high);
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

static void print_text(const hone_engine *engine, const report *r)
{
    char memory[32];
    hone_format_bytes(r->peak_rss_bytes, memory);
    printf("%s, %s, %d threads: fused multiply-add peak %.0f GFLOP/s, memory reads %.1f GB/s\n\n",
           hone_engine_isa(engine), hone_engine_numerics_class(engine), hone_engine_threads(engine), r->peak / 1e9,
           r->bandwidth / 1e9);
    printf("  work                               tokens/s   (low to high)      share of the FMA peak\n");
    printf("  prefill %d                        %8.0f   (%.0f to %.0f)       %.0f %%\n", PREFILL, r->prefill.median,
           r->prefill.low, r->prefill.high, 100 * r->prefill_flops / PREFILL * r->prefill.median / r->peak);
    for (int b = 0; b < BATCHES; b++)
        printf("  decode %d, %2d together             %8.0f   (%.0f to %.0f)\n", DECODE, batch_sizes[b],
               r->batch[b].median, r->batch[b].low, r->batch[b].high);
    printf("  LoRA step, 16 x 64 tokens, r 16    %8.0f   (%.0f to %.0f)       %.0f %%\n", r->train.median, r->train.low,
           r->train.high, 100 * r->train_flops / (TRAIN_SEQUENCES * TRAIN_TOKENS) * r->train.median / r->peak);
    printf("\n  load %.2f s, peak memory %s; medians of %d runs\n", r->load_seconds, memory, RUNS);
}

static int run(int argc, char **argv);

const hone_command hone_command_bench = {
    .name = "bench",
    .usage = "-m MODEL [options]",
    .summary = "measure prefill, decoding and tuning on this machine",
    .details =
        "Prefill of 512 tokens, decoding of 128 alone and together, LoRA steps of 16 x 64 tokens at rank 16 with "
        "every\n"
        "token labelled and nothing shared. Medians of five runs, as whole steps of the code that serves and trains.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL;
    int64_t threads = 0;
    bool json = false, train_only = false;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name or GGUF file"},
        {"threads", 't', HONE_OPTION_INTEGER, &threads, "N", "threads (default: all processors)"},
        {"train-only", 0, HONE_OPTION_FLAG, &train_only, NULL, "measure tuning alone"},
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "the figures as JSON"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_bench, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_engine *engine = NULL;
    report r = {0};
    double start = hone_clock_seconds();
    hone_status status = hone_cli_open_engine(model, threads, 0, &engine, &err);
    r.load_seconds = hone_clock_seconds() - start;
    if (status == HONE_OK)
        status = measure(engine, &r, train_only, &err);
    if (status == HONE_OK)
        (json ? print_json : print_text)(engine, &r);
    hone_engine_close(engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_bench, &err);
}
