/* rng.h - counted randomness: a value is a function of (seed, purpose, index), never of what was drawn before.
 *
 * Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The same seed gives the same
 * value on any thread, in any order, after any resume. */
#ifndef HONE_BASE_RNG_H
#define HONE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What the number is for; a new use gets a new line, never a reused one. */
typedef enum hone_rng_purpose {
    HONE_RNG_SHUFFLE = 1,
    HONE_RNG_ADAPTER_INIT,
    HONE_RNG_SAMPLE,
    HONE_RNG_BOOTSTRAP,
    HONE_RNG_DEMONSTRATIONS,
    HONE_RNG_SUBSET,
    HONE_RNG_TEST,
    HONE_RNG_SEED_SPREAD
} hone_rng_purpose;

typedef struct hone_rng_key {
    uint64_t seed;
    uint32_t purpose;
    uint32_t stream; /* for instance the epoch, the row, the tensor */
} hone_rng_key;

uint64_t hone_rng_u64(hone_rng_key key, uint64_t index);
/* Uniform in [0, 1), 53 bits. */
double hone_rng_uniform(hone_rng_key key, uint64_t index);
/* Uniform in [0, n), n > 0; the bias is below n / 2^64. */
uint64_t hone_rng_below(hone_rng_key key, uint64_t index, uint64_t n);
/* Standard normal (Box-Muller on two uniforms of this index). */
double hone_rng_normal(hone_rng_key key, uint64_t index);
/* Fisher-Yates: fills order[0..n) with a permutation of 0..n-1. */
void hone_rng_permutation(hone_rng_key key, size_t n, size_t *order);

#endif
