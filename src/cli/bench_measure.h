/* bench_measure.h - what `hone bench` measures: medians of several runs, FLOPs counted in the open. */
#ifndef HONE_CLI_BENCH_MEASURE_H
#define HONE_CLI_BENCH_MEASURE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HONE_BENCH_PREFILL = 512,
    HONE_BENCH_DECODE = 128,         /* tokens of one sequence */
    HONE_BENCH_DECODE_TOGETHER = 32, /* of each sequence where several decode together */
    HONE_BENCH_CONTEXT_STEPS = 16,
    HONE_BENCH_RUNS = 5,
    HONE_BENCH_TRAIN_SEQUENCES = 16,
    HONE_BENCH_TRAIN_TOKENS = 64,
    HONE_BENCH_TRAIN_RANK = 16,
    HONE_BENCH_BATCHES = 4,
    HONE_BENCH_CONTEXTS = 3,
    HONE_BENCH_PRODUCTS = 4
};
extern const int hone_bench_batch_sizes[HONE_BENCH_BATCHES]; /* sequences decoding together */
extern const int hone_bench_contexts[HONE_BENCH_CONTEXTS];   /* tokens */
extern const int hone_bench_products[HONE_BENCH_PRODUCTS];   /* rows */

typedef struct hone_bench_figure { /* tokens a second */
    double median, low, high;
    double share; /* of peak_flops, at the median; 0 where it is not counted */
} hone_bench_figure;

typedef struct hone_bench_report {
    hone_bench_figure prefill, batch[HONE_BENCH_BATCHES], train;
    hone_bench_figure
        context[HONE_BENCH_CONTEXTS];             /* one sequence at the end of such a context; 0: beyond the model's */
    double products[HONE_BENCH_PRODUCTS];         /* share of peak_flops of one block's linear layers */
    double one_thread_prefill;                    /* tokens a second; 0 where only one thread runs */
    double fma_flops, bf16_flops;                 /* peaks of all threads; the latter 0 without the instruction */
    double peak_flops;                            /* that of the numerics class */
    double read_bytes_per_second;                 /* of all threads */
    double block_flops, output_flops;             /* a token costs: linear layers of all blocks, output layer */
    double load_seconds, first_token_seconds;     /* the latter from the start of loading, prompt of 8 */
    size_t file_bytes, weight_bytes;              /* the file; the weights as packed */
    size_t loaded_peak_bytes, prefill_peak_bytes; /* peak resident after loading, after the prefills */
    size_t decode_peak_bytes, decode_kv_bytes;    /* after decoding; keys and values then held at once */
    size_t prefill_kv_bytes, peak_rss_bytes;      /* the latter after tuning */
} hone_bench_report;

/* Opens the model `argument` names and measures it. train_only: loading and tuning alone. */
struct hone_engine;
hone_status hone_bench_measure(const char *argument, int64_t threads, const char *numerics, bool train_only,
                               struct hone_engine **engine, hone_bench_report *out, hone_error *err);

#endif
