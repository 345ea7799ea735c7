/* vector.h - what the kernel files of all vector sets share: how their loops are unrolled, and how they ask for
 * memory ahead of its use. */
#ifndef HONE_OPS_CPU_VECTOR_H
#define HONE_OPS_CPU_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline, unused))
/* Small loops over accumulators must be unrolled early, or GCC keeps the accumulators in memory as an array. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    HONE_PREFETCH_BYTES = 2048,       /* ahead of what a kernel reads in one stream */
    HONE_PREFETCH_PANEL_BYTES = 4096, /* of each panel, where one reads several at once */
    HONE_FIRST_LEVEL = 3,             /* __builtin_prefetch: all levels; */
    HONE_SECOND_LEVEL = 2             /* all but the first */
};

/* Pieces of work read weights in the order of memory. */
ALWAYS_INLINE void prefetch_block(const unsigned char *block, int block_bytes)
{
    for (int line = 0; line < block_bytes; line += 64)
        __builtin_prefetch(block + HONE_PREFETCH_BYTES + line, 0, HONE_FIRST_LEVEL);
}

/* Asks for the block that each panel needs HONE_PREFETCH_PANEL_BYTES later; past the end of a panel that is the start
 * of the panel which its place in the next group has. Memory is read as one stream a panel, far too short for the
 * processor to find by itself. The lines go to the second level: the first has few places for lines on their way, and
 * on Zen 4 decoding is 1.2 times as fast so, with a Q8_0 matrix of 178 MB 1.5 times. */
ALWAYS_INLINE void prefetch_blocks(const int panels, const unsigned char *block, size_t panel_bytes, int block_bytes,
                                   int64_t blocks_left)
{
    size_t ahead = (size_t)HONE_PREFETCH_PANEL_BYTES / (size_t)block_bytes * (size_t)block_bytes;
    if ((size_t)blocks_left * (size_t)block_bytes <= ahead)
        ahead += (size_t)(panels - 1) * panel_bytes;
    UNROLL
    for (int v = 0; v < panels; v++)
        for (int line = 0; line < block_bytes; line += 64)
            __builtin_prefetch(block + (size_t)v * panel_bytes + ahead + line, 0, HONE_SECOND_LEVEL);
}

#endif
