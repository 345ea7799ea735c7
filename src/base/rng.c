/* rng.c - Philox 4x32-10. */
#include "base/rng.h"

#include <math.h>

static void philox(hone_rng_key key, uint64_t index, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
    uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), key.purpose, key.stream};
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)b;
        c[3] = (uint32_t)a;
        c[0] = n0;
        c[2] = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

uint64_t hone_rng_u64(hone_rng_key key, uint64_t index)
{
    uint32_t v[4];
    philox(key, index, v);
    return (uint64_t)v[1] << 32 | v[0];
}

double hone_rng_uniform(hone_rng_key key, uint64_t index)
{
    return (double)(hone_rng_u64(key, index) >> 11) * 0x1p-53;
}

uint64_t hone_rng_below(hone_rng_key key, uint64_t index, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)hone_rng_u64(key, index) * n) >> 64);
}

double hone_rng_normal(hone_rng_key key, uint64_t index)
{
    uint32_t v[4];
    philox(key, index, v);
    double u1 = ((double)v[0] + 1.0) * 0x1p-32 * (1.0 - 0x1p-33), u2 = (double)v[2] * 0x1p-32;
    return sqrt(-2.0 * log(u1)) * cos(6.283185307179586 * u2);
}

void hone_rng_permutation(hone_rng_key key, size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)hone_rng_below(key, i, i);
        size_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}
