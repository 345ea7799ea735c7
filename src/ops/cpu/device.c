/* device.c - choosing kernels and holding threads and scratch memory. */
#include "ops/cpu/kernels.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

bool hone_cpu_has_avx2(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    /* Clang 14 knows no name for F16C; AVX2's check already covers the system's support for the registers. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
           (c & bit_F16C);
}

bool hone_cpu_has_avx512(void)
{
    return hone_cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool hone_cpu_has_avx512_bf16(void)
{
    unsigned a, b, c, d;
    return hone_cpu_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}
#endif

static hone_status choose_kernels(hone_kernels *table, hone_error *err)
{
    static const char *const sets[] = {"scalar", "avx2", "avx512", "avx512_bf16", "amx"};
    const char *cap = getenv("HONE_CPU");
    hone_kernels_scalar(table);
    if (cap && *cap) {
        bool known = false;
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
            known |= strcmp(cap, sets[i]) == 0;
        if (!known)
            return hone_fail(err, HONE_BAD_INPUT,
                             "HONE_CPU is \"%s\"; it takes scalar, avx2, avx512, avx512_bf16 or amx", cap);
        if (strcmp(cap, "scalar") == 0)
            return HONE_OK;
    }
#if defined(__x86_64__) && !defined(HONE_DOUBLE) /* the double build has the scalar set alone */
    if (!hone_cpu_has_avx2())
        return HONE_OK;
    hone_kernels_avx2(table);
    if (cap && strcmp(cap, "avx2") == 0)
        return HONE_OK;
    if (hone_cpu_has_avx512())
        hone_kernels_avx512(table);
    if (!(cap && strcmp(cap, "avx512") == 0) && hone_cpu_has_avx512_bf16())
        hone_kernels_avx512_bf16(table);
#endif
    return HONE_OK;
}

static const char *const numerics_names[HONE_N_NUMERICS] = {"f32", "bf16"};

const char *hone_numerics_name(hone_numerics numerics)
{
    return numerics_names[numerics];
}

bool hone_numerics_parse(const char *name, hone_numerics *out)
{
    for (int i = 0; i < HONE_N_NUMERICS; i++)
        if (strcmp(name, numerics_names[i]) == 0) {
            *out = (hone_numerics)i;
            return true;
        }
    return false;
}

static hone_status create_scratch(hone_ops *ops, hone_error *err)
{
    size_t bytes = (size_t)ops->n_threads * HONE_SCRATCH_FLOATS * sizeof(hone_real);
    ops->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return ops->scratch ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory for %d threads", ops->n_threads);
}

hone_status hone_ops_create(int n_threads, hone_ops **out, hone_error *err)
{
    return hone_ops_create_as(HONE_NUMERICS_F32, n_threads, out, err);
}

hone_status hone_ops_create_as(hone_numerics numerics, int n_threads, hone_ops **out, hone_error *err)
{
    *out = NULL;
    hone_ops *ops = calloc(1, sizeof *ops);
    if (!ops)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    ops->numerics = sizeof(hone_real) == sizeof(float) ? numerics : HONE_NUMERICS_F32; /* doubles are the reference */
    hone_status status = choose_kernels(&ops->kernels, err);
    if (status == HONE_OK)
        status = hone_thread_pool_create(n_threads, &ops->pool, err);
    if (status != HONE_OK)
        goto done;
    ops->n_threads = hone_thread_pool_size(ops->pool);
    status = create_scratch(ops, err);
    if (status == HONE_OK)
        status = hone_ops_reserve_pairs(ops, 1, err);
done:
    if (status != HONE_OK)
        hone_ops_free(ops);
    else
        *out = ops;
    return status;
}

hone_status hone_ops_create_alone(const hone_ops *ops, hone_ops **out, hone_error *err)
{
    *out = NULL;
    hone_ops *alone = calloc(1, sizeof *alone);
    if (!alone)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    alone->kernels = ops->kernels;
    alone->numerics = ops->numerics;
    alone->n_threads = 1;
    hone_status status = create_scratch(alone, err);
    if (status == HONE_OK && ops->n_pairs > 0) /* weights are packed, so it is known how wide their inputs are */
        status = hone_ops_reserve_pairs(alone, (int64_t)(2 * ops->n_pairs / HONE_PAIR_ROWS), err);
    if (status != HONE_OK)
        hone_ops_free(alone);
    else
        *out = alone;
    return status;
}

void hone_ops_free(hone_ops *ops)
{
    if (!ops)
        return;
    hone_weight_close_chunk(ops);
    hone_thread_pool_free(ops->pool);
    free(ops->scratch);
    free(ops->attention);
    free(ops->attention_split);
    free(ops->pairs);
    free(ops);
}

hone_numerics hone_ops_numerics(const hone_ops *ops)
{
    return ops->numerics;
}

bool hone_ops_has_bf16(const hone_ops *ops)
{
    return ops->kernels.pair_burn != NULL;
}

const char *hone_ops_isa(const hone_ops *ops)
{
    return ops->numerics == HONE_NUMERICS_BF16 ? ops->kernels.pair_isa : ops->kernels.isa;
}

hone_thread_pool *hone_ops_pool(const hone_ops *ops)
{
    return ops->pool;
}

enum { BURN_ROUNDS = 1 << 20 };

typedef struct burn_run {
    void (*burn)(int64_t rounds, hone_real *sink);
} burn_run;

static void burn_piece(void *context, int64_t piece, int thread)
{
    (void)piece;
    (void)thread;
    const burn_run *run = context;
    hone_real sink = 0;
    run->burn(BURN_ROUNDS, &sink); /* through a pointer, so the compiler cannot drop it */
}

static double measure_peak(hone_ops *ops, burn_run run, int operations)
{
    double best = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        double start = hone_clock_seconds();
        hone_thread_pool_run(ops->pool, ops->n_threads, burn_piece, &run);
        double seconds = hone_clock_seconds() - start;
        double flops = (double)BURN_ROUNDS * 24 * operations * ops->n_threads / seconds;
        if (flops > best)
            best = flops;
    }
    return best;
}

double hone_ops_measure_fma_peak(hone_ops *ops)
{
    return measure_peak(ops, (burn_run){ops->kernels.fma_burn}, 2 * ops->kernels.vector_floats);
}

double hone_ops_measure_bf16_peak(hone_ops *ops)
{
    return hone_ops_has_bf16(ops) ? measure_peak(ops, (burn_run){ops->kernels.pair_burn}, 4 * HONE_PANEL) : 0;
}

enum { READ_PIECES = 64, READ_BYTES = 256 << 20 };

typedef struct read_job {
    const uint64_t *data;
    uint64_t sums[READ_PIECES];
} read_job;

static void read_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    read_job *job = context;
    size_t n = READ_BYTES / READ_PIECES / sizeof *job->data;
    const uint64_t *p = job->data + (size_t)piece * n;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += p[i + (size_t)j];
    for (int j = 1; j < 8; j++)
        sum[0] += sum[j];
    job->sums[piece] = sum[0];
}

double hone_ops_measure_read_bandwidth(hone_ops *ops, hone_error *err)
{
    uint64_t *data = malloc(READ_BYTES);
    if (!data) {
        hone_fail(err, HONE_NO_MEMORY, "out of memory for the bandwidth measurement (256 MiB)");
        return 0;
    }
    memset(data, 1, READ_BYTES);
    read_job job = {.data = data};
    double best = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        double start = hone_clock_seconds();
        hone_thread_pool_run(ops->pool, READ_PIECES, read_piece, &job);
        double rate = READ_BYTES / (hone_clock_seconds() - start);
        if (rate > best)
            best = rate;
    }
    free(data);
    return best;
}
