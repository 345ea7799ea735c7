/* kernel_rig.h - what tests of kernels share: the instruction sets, guarded buffers of counted values, random panels,
 * comparison with the scalar twin. */
#ifndef HONE_TESTS_KERNEL_RIG_H
#define HONE_TESTS_KERNEL_RIG_H

#include "numbers.h"

#include "ops/cpu/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MOST = 130, BIG = 1 << 20 };

static guarded buffers[10]; /* of BIG bytes each; a test uses as many as it needs */
static hone_kernels reference;

/* ---- the instruction sets ---- */
typedef struct instruction_set {
    const char *name;
    bool (*present)(void);
    void (*fill)(hone_kernels *table);
} instruction_set;

static inline bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static inline void fill_avx2(hone_kernels *table)
{
    hone_kernels_scalar(table);
    hone_kernels_avx2(table);
}

static inline void fill_avx512(hone_kernels *table)
{
    fill_avx2(table);
    hone_kernels_avx512(table);
}

static inline void fill_avx512_bf16(hone_kernels *table)
{
    fill_avx512(table);
    hone_kernels_avx512_bf16(table);
}
#endif

/* ---- comparison ---- */
/* Copies `n` floats of a filled array so that twin and kernel start from the same content. */
static inline float *twin_of(int which, const float *x, int64_t n)
{
    float *copy = guarded_floats(&buffers[which], n);
    if (n > 0)
        memcpy(copy, x, (size_t)n * sizeof *x);
    return copy;
}

static inline void assert_same(const float *a, const float *b, int64_t n, const char *what, int64_t size)
{
    int64_t at = first_difference(a, b, n);
    if (at >= 0)
        fail_msg("%s, size %lld: element %lld is %a, the scalar twin says %a", what, (long long)size, (long long)at,
                 (double)a[at], (double)b[at]);
}

static inline float *wild(int which, int64_t n, uint32_t stream)
{
    float *x = guarded_floats(&buffers[which], n);
    fill_wild(x, n, stream);
    return x;
}

static inline float *normal(int which, int64_t n, uint32_t stream, double scale)
{
    float *x = guarded_floats(&buffers[which], n);
    fill_normal(x, n, stream, scale);
    return x;
}

static inline uint16_t finite_half(uint64_t r)
{
    uint16_t h = (uint16_t)r;
    return (h & 0x7C00) == 0x7C00 ? (uint16_t)(h & 0xBFFF) : h;
}

/* Random but finite content: scales are halves at the start of a block, everything else may be any byte. */
static inline unsigned char *fill_panel(int which, hone_packing packing, int64_t n_in, uint32_t stream, size_t *bytes)
{
    hone_rng_key key = {3, HONE_RNG_TEST, stream};
    size_t block = packing == HONE_PACK_Q4 ? HONE_Q4_BLOCK_BYTES : HONE_Q8_BLOCK_BYTES;
    size_t halves = packing == HONE_PACK_Q4 ? 32 : packing == HONE_PACK_Q8 ? 16 : 0;
    *bytes = packing == HONE_PACK_F32 ? (size_t)n_in * 64 : halves ? (size_t)n_in / 32 * block : (size_t)n_in * 32;
    unsigned char *panel = guarded_bytes(&buffers[which], *bytes);
    for (size_t i = 0; i < *bytes; i++)
        panel[i] = (unsigned char)hone_rng_u64(key, i);
    for (size_t b = 0; halves && b < (size_t)n_in / 32; b++)
        for (size_t i = 0; i < halves; i++) {
            uint16_t h = finite_half(hone_rng_u64(key, 1000000 + b * 64 + i));
            memcpy(panel + b * block + 2 * i, &h, 2);
        }
    for (size_t i = 0; packing == HONE_PACK_F16 && i < *bytes / 2; i++) {
        uint16_t h = finite_half(hone_rng_u64(key, 2000000 + i));
        memcpy(panel + 2 * i, &h, 2);
    }
    return panel;
}

static inline int create_buffers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffers[i] = guarded_create(BIG);
    hone_kernels_scalar(&reference);
    return 0;
}

static inline int free_buffers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        guarded_free(&buffers[i]);
    return 0;
}

#endif
