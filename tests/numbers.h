/* numbers.h - what tests of numerical code share: counted random values, guarded buffers, measures of error. */
#ifndef HONE_TESTS_NUMBERS_H
#define HONE_TESTS_NUMBERS_H

#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Memory whose last byte lies before an inaccessible page: reading or writing one element too many ends the test. */
typedef struct guarded {
    unsigned char *base;
    size_t bytes;
} guarded;

static inline guarded guarded_create(size_t bytes)
{
    size_t page = 4096, held = (bytes + page - 1) / page * page + page;
    guarded g = {mmap(NULL, held + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), held};
    if (g.base == MAP_FAILED || mprotect(g.base + held, page, PROT_NONE) != 0)
        abort();
    return g;
}

/* The last `bytes` bytes before the guard page. */
static inline void *guarded_bytes(const guarded *g, size_t bytes)
{
    if (bytes > g->bytes)
        abort();
    return g->base + g->bytes - bytes;
}

static inline float *guarded_floats(const guarded *g, int64_t n)
{
    return guarded_bytes(g, (size_t)n * sizeof(float));
}

static inline void guarded_free(guarded *g)
{
    munmap(g->base, g->bytes + 4096);
}

/* n standard normal values times `scale`; `stream` makes one array differ from another. */
static inline void fill_normal(float *x, int64_t n, uint32_t stream, double scale)
{
    hone_rng_key key = {7, HONE_RNG_TEST, stream};
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * hone_rng_normal(key, (uint64_t)i));
}

static inline float *new_normal(int64_t n, uint32_t stream, double scale)
{
    float *x = malloc((size_t)(n > 0 ? n : 1) * sizeof *x);
    if (!x)
        abort();
    fill_normal(x, n, stream, scale);
    return x;
}

static inline float *new_floats(int64_t n)
{
    float *x = calloc((size_t)(n > 0 ? n : 1), sizeof *x);
    if (!x)
        abort();
    return x;
}

/* Values of every magnitude: zeros of both signs, denormals, tiny, ordinary and large ones. */
static inline void fill_wild(float *x, int64_t n, uint32_t stream)
{
    hone_rng_key key = {11, HONE_RNG_TEST, stream};
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = hone_rng_u64(key, (uint64_t)i);
        double v = hone_rng_normal(key, (uint64_t)i);
        switch (r % 8) {
        case 0:
            v = r & 256 ? 0.0 : -0.0;
            break;
        case 1:
            v *= 0x1p-140;
            break;
        case 2:
            v *= 0x1p-70;
            break;
        case 3:
            v *= 30;
            break;
        default:
            break;
        }
        x[i] = (float)v;
    }
}

/* sqrt(sum (a-b)^2 / sum b^2). */
static inline double relative_l2(const float *a, const double *b, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - b[i];
        difference += d * d;
        size += b[i] * b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static inline double relative_l2f(const float *a, const float *b, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        size += (double)b[i] * (double)b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static inline double worst_difference(const float *a, const double *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= worst)) /* a NaN counts */
            worst = d;
    }
    return worst;
}

static inline bool same_bits(const void *a, const void *b, int64_t n_floats)
{
    return memcmp(a, b, (size_t)n_floats * sizeof(float)) == 0;
}

/* Where the bits of two arrays part, for the message of a failure; -1 where they do not. */
static inline int64_t first_difference(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            return i;
    return -1;
}

#endif
