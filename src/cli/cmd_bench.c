/* cmd_bench.c - `hone bench`: how fast this machine runs and tunes a model. What is measured and how its FLOPs are
 * counted: bench_measure.c. */
#include "cli/bench_measure.h"
#include "cli/commands.h"
#include "cli/model_argument.h"

#include "base/text.h"
#include "engine/engine.h"

#include <jansson.h>
#include <stdio.h>

/* What shares are of. */
static bool pairs(const hone_bench_report *r)
{
    return r->peak_flops != r->fma_flops;
}

static json_t *figure_json(const hone_bench_report *r, const char *name, int n, hone_bench_figure f)
{
    json_t *json = json_pack("{s:f, s:f, s:f}", "tokens_per_second", f.median, "low", f.low, "high", f.high);
    if (f.share > 0)
        json_object_set_new(json, pairs(r) ? "share_of_bf16_peak" : "share_of_fma_peak", json_real(f.share));
    if (name)
        json_object_set_new(json, name, json_integer(n));
    return json;
}

static json_t *memory_json(const hone_bench_report *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "file_bytes", (json_int_t)r->file_bytes,
                     "weight_bytes", (json_int_t)r->weight_bytes, "loaded_peak_bytes", (json_int_t)r->loaded_peak_bytes,
                     "prefill_peak_bytes", (json_int_t)r->prefill_peak_bytes, "prefill_key_value_bytes",
                     (json_int_t)r->prefill_kv_bytes, "decode_peak_bytes", (json_int_t)r->decode_peak_bytes,
                     "decode_key_value_bytes", (json_int_t)r->decode_kv_bytes, "train_peak_bytes",
                     (json_int_t)r->peak_rss_bytes);
}

static void print_json(const hone_engine *engine, const hone_bench_report *r)
{
    json_t *batch = json_array(), *context = json_array(), *products = json_array();
    for (int i = 0; i < HONE_BENCH_BATCHES; i++)
        json_array_append_new(batch, figure_json(r, "sequences", hone_bench_batch_sizes[i], r->batch[i]));
    for (int i = 0; i < HONE_BENCH_CONTEXTS; i++)
        if (r->context[i].median > 0)
            json_array_append_new(context, figure_json(r, "tokens", hone_bench_contexts[i], r->context[i]));
    for (int i = 0; i < HONE_BENCH_PRODUCTS; i++)
        json_array_append_new(products,
                              json_pack("{s:i, s:f}", "rows", hone_bench_products[i],
                                        pairs(r) ? "share_of_bf16_peak" : "share_of_fma_peak", r->products[i]));
    json_t *json =
        json_pack("{s:f, s:f, s:o, s:o, s:I, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:{s:[f,f], s:[f,f]}}",
                  "prefill_tokens_per_second", r->prefill.median, "decode_tokens_per_second", r->batch[0].median,
                  "batch", batch, "train", figure_json(r, NULL, 0, r->train), "peak_rss_bytes",
                  (json_int_t)r->peak_rss_bytes, "isa", hone_engine_isa(engine), "threads", hone_engine_threads(engine),
                  "fma_peak_gflops", r->fma_flops / 1e9, "read_gigabytes_per_second", r->read_bytes_per_second / 1e9,
                  pairs(r) ? "prefill_share_of_bf16_peak" : "prefill_share_of_fma_peak", r->prefill.share,
                  pairs(r) ? "train_share_of_bf16_peak" : "train_share_of_fma_peak", r->train.share, "load_seconds",
                  r->load_seconds, "spread", "prefill", r->prefill.low, r->prefill.high, "decode", r->batch[0].low,
                  r->batch[0].high);
    json_object_set_new(json, "numerics_class", json_string(hone_engine_numerics_class(engine)));
    if (r->bf16_flops > 0)
        json_object_set_new(json, "bf16_peak_gflops", json_real(r->bf16_flops / 1e9));
    json_object_set_new(json, "context", context);
    json_object_set_new(json, "products", products);
    json_object_set_new(json, "gigaflops_per_token",
                        json_pack("{s:f, s:f}", "blocks", r->block_flops / 1e9, "output_layer", r->output_flops / 1e9));
    json_object_set_new(json, "first_token_seconds", json_real(r->first_token_seconds));
    json_object_set_new(json, "memory", memory_json(r));
    if (r->one_thread_prefill > 0)
        json_object_set_new(json, "one_thread_prefill_tokens_per_second", json_real(r->one_thread_prefill));
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

/* One line of the table; the share is left out where it was not counted. */
static void print_figure(const char *work, hone_bench_figure f)
{
    char spread[48];
    snprintf(spread, sizeof spread, "(%.0f to %.0f)", f.low, f.high);
    printf("  %-33s %9.0f   %-17s", work, f.median, spread);
    if (f.share > 0)
        printf(" %3.0f %%", 100 * f.share);
    putchar('\n');
}

static void print_memory(const hone_bench_report *r)
{
    const struct {
        const char *what;
        size_t bytes, kv_bytes;
    } lines[] = {{"the file", r->file_bytes, 0},
                 {"weights as packed", r->weight_bytes, 0},
                 {"peak after loading", r->loaded_peak_bytes, 0},
                 {"peak after prefill", r->prefill_peak_bytes, r->prefill_kv_bytes},
                 {"peak after decoding", r->decode_peak_bytes, r->decode_kv_bytes},
                 {"peak after tuning", r->peak_rss_bytes, 0}};
    printf("\n  memory\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char bytes[32], kv[32];
        if (lines[i].bytes == 0)
            continue;
        hone_format_bytes(lines[i].bytes, bytes);
        hone_format_bytes(lines[i].kv_bytes, kv);
        printf("  %-33s %13s", lines[i].what, bytes);
        printf(lines[i].kv_bytes > 0 ? "   (%s of it keys and values)\n" : "\n", kv);
    }
}

static void print_text(const hone_engine *engine, const hone_bench_report *r)
{
    char work[64];
    printf("%s, %s, %d threads: fused multiply-add peak %.0f GFLOP/s, ", hone_engine_isa(engine),
           hone_engine_numerics_class(engine), hone_engine_threads(engine), r->fma_flops / 1e9);
    if (r->bf16_flops > 0)
        printf("bf16 peak %.0f GFLOP/s, ", r->bf16_flops / 1e9);
    printf("memory reads %.1f GB/s\n", r->read_bytes_per_second / 1e9);
    printf("a token costs %.3f GFLOP in the blocks and %.3f in the output layer, attention apart\n\n",
           r->block_flops / 1e9, r->output_flops / 1e9);
    const char *peak = pairs(r) ? "bf16" : "FMA";
    printf("  work                               tokens/s   (low to high)     share of the %s peak\n", peak);
    if (r->prefill.median > 0) {
        snprintf(work, sizeof work, "prefill %d", HONE_BENCH_PREFILL);
        print_figure(work, r->prefill);
        for (int i = 0; i < HONE_BENCH_BATCHES; i++) {
            int n = hone_bench_batch_sizes[i];
            if (n == 1)
                snprintf(work, sizeof work, "decode %d", HONE_BENCH_DECODE);
            else
                snprintf(work, sizeof work, "decode %d each, %d together", HONE_BENCH_DECODE_TOGETHER, n);
            print_figure(work, r->batch[i]);
        }
        for (int i = 0; i < HONE_BENCH_CONTEXTS; i++) {
            snprintf(work, sizeof work, "decode at context %d", hone_bench_contexts[i]);
            if (r->context[i].median > 0)
                print_figure(work, r->context[i]);
        }
    }
    snprintf(work, sizeof work, "LoRA step, %d x %d tokens, r %d", HONE_BENCH_TRAIN_SEQUENCES, HONE_BENCH_TRAIN_TOKENS,
             HONE_BENCH_TRAIN_RANK);
    print_figure(work, r->train);
    if (r->prefill.median > 0) {
        printf("\n  products of one block alone: share of the %s peak", peak);
        for (int i = 0; i < HONE_BENCH_PRODUCTS; i++)
            printf("%s %.0f %% with %d rows", i ? "," : "", 100 * r->products[i], hone_bench_products[i]);
        putchar('\n');
    }
    if (r->one_thread_prefill > 0)
        printf("  prefill on one thread %.0f tokens/s: %d threads are %.2f times as fast\n", r->one_thread_prefill,
               hone_engine_threads(engine), r->prefill.median / r->one_thread_prefill);
    printf("  load %.2f s, first token after %.2f s; medians of %d runs\n", r->load_seconds, r->first_token_seconds,
           HONE_BENCH_RUNS);
    print_memory(r);
}

static int run(int argc, char **argv);

const hone_command hone_command_bench = {
    .name = "bench",
    .usage = "-m MODEL [options]",
    .summary = "measure prefill, decoding and tuning on this machine",
    .details = "Prefill of 512 tokens; decoding of 128 alone, of 32 each together, and at the end of long contexts; "
               "LoRA steps of\n"
               "16 x 64 tokens at rank 16 with every token labelled and nothing shared. Medians of five runs, as whole "
               "steps of\n"
               "the code that serves and trains; shares of the measured peak; one thread; time to load; memory by "
               "its use.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *numerics = NULL;
    int64_t threads = 0;
    bool json = false, train_only = false;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name, GGUF file or Hugging Face folder"},
        HONE_NUMERICS_OPTION(&numerics),
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
    hone_bench_report report;
    hone_status status = hone_bench_measure(model, threads, numerics, train_only, &engine, &report, &err);
    if (status == HONE_OK)
        (json ? print_json : print_text)(engine, &report);
    hone_engine_close(engine);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_bench, &err);
}
