/* kernel_rig.h - what tests of kernels share: the instruction sets, guarded buffers of counted values, random panels,
 * comparison with the scalar twin. */
#ifndef HONE_TESTS_KERNEL_RIG_H
#define HONE_TESTS_KERNEL_RIG_H

#include "numbers.h"

#include "ops/cpu/blocks.h"

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

/* Where the halves of a packing stand: `n` of them at the start of every `stride` bytes. */
typedef struct panel_halves {
    size_t stride, n;
} panel_halves;

static inline panel_halves halves_of(hone_packing packing)
{
    hone_block_form f = hone_block_form_of(packing);
    switch (packing) {
    case HONE_PACK_F16:
        return (panel_halves){32, 16};
    case HONE_PACK_Q8:
        return (panel_halves){HONE_Q8_BLOCK_BYTES, 16};
    case HONE_PACK_Q4:
        return (panel_halves){HONE_Q4_BLOCK_BYTES, 32};
    case HONE_PACK_Q5:
        return (panel_halves){(size_t)f.block_bytes, 32};
    case HONE_PACK_Q4K:
    case HONE_PACK_Q5K:
    case HONE_PACK_Q6K:
        return (panel_halves){hone_head_stride(f), (size_t)f.head_bytes / 2};
    default:
        return (panel_halves){1, 0};
    }
}

/* A panel's width is a multiple of this, and so is the step in which it is expanded. */
static inline int64_t width_step(hone_packing packing)
{
    return hone_block_form_of(packing).head_bytes ? 256 : packing >= HONE_PACK_Q8 ? 32 : 1;
}

static inline size_t panel_bytes_for(hone_packing packing, int64_t n_in)
{
    hone_block_form f = hone_block_form_of(packing);
    if (f.bits)
        return f.head_bytes ? (size_t)n_in / 256 * hone_head_stride(f) : (size_t)n_in / 32 * (size_t)f.block_bytes;
    switch (packing) {
    case HONE_PACK_F32:
        return (size_t)n_in * 64;
    case HONE_PACK_Q8:
    case HONE_PACK_Q4:
        return (size_t)n_in / 32 * halves_of(packing).stride;
    default:
        return (size_t)n_in * 32;
    }
}

/* Random but finite content: halves where scales stand, everything else may be any byte. */
static inline unsigned char *fill_panel(int which, hone_packing packing, int64_t n_in, uint32_t stream, size_t *bytes)
{
    hone_rng_key key = {3, HONE_RNG_TEST, stream};
    panel_halves halves = halves_of(packing);
    *bytes = panel_bytes_for(packing, n_in);
    unsigned char *panel = guarded_bytes(&buffers[which], *bytes);
    for (size_t i = 0; i < *bytes; i++)
        panel[i] = (unsigned char)hone_rng_u64(key, i);
    for (size_t b = 0; halves.n && b < *bytes / halves.stride; b++)
        for (size_t i = 0; i < halves.n; i++) {
            uint16_t h = finite_half(hone_rng_u64(key, 1000000 + b * 64 + i));
            memcpy(panel + b * halves.stride + 2 * i, &h, 2);
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

/* ---- every kernel of every set against its scalar twin ---- */
typedef struct kernel_check {
    const char *name;
    void (*check)(const hone_kernels *kernels);
} kernel_check;

typedef struct pairing {
    const instruction_set *set;
    const kernel_check *check;
    char name[96];
} pairing;

static inline void test_kernel_has_the_bits_of_its_scalar_twin(void **state)
{
    const pairing *p = *state;
    if (!p->set->present()) {
        print_message("skipped: this processor has no %s\n", p->set->name);
        skip();
    }
    hone_kernels table;
    p->set->fill(&table);
    p->check->check(&table);
}

/* Room for these tests in the caller's arrays: n_sets * n_checks each. */
static inline void pair_kernels(const instruction_set *sets, size_t n_sets, const kernel_check *checks, size_t n_checks,
                                pairing *pairings, struct CMUnitTest *tests)
{
    for (size_t n = 0; n < n_sets * n_checks; n++) {
        pairing *p = &pairings[n];
        *p = (pairing){.set = &sets[n / n_checks], .check = &checks[n % n_checks]};
        snprintf(p->name, sizeof p->name, "%s: %s has the bits of its scalar twin", p->set->name, p->check->name);
        tests[n] = (struct CMUnitTest){p->name, test_kernel_has_the_bits_of_its_scalar_twin, NULL, NULL, p};
    }
}

#endif
