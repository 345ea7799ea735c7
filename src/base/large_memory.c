/* large_memory.c - a mapping one huge page larger than asked for, cut at the borders of huge pages. */
#include "base/large_memory.h"

#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE_BYTES = 2 << 20 };

static size_t whole_pages(size_t bytes)
{
    return (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

void *hone_large_map(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE_BYTES)
        return NULL;
    bytes = whole_pages(bytes);
    unsigned char *p =
        mmap(NULL, bytes + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t before = (HUGE_PAGE_BYTES - (uintptr_t)p % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (before > 0)
        munmap(p, before);
    if (before < HUGE_PAGE_BYTES)
        munmap(p + before + bytes, HUGE_PAGE_BYTES - before);
    madvise(p + before, bytes, MADV_HUGEPAGE);
    return p + before;
}

void hone_large_release(void *p, size_t bytes)
{
    madvise(p, whole_pages(bytes), MADV_DONTNEED);
}

void hone_large_unmap(void *p, size_t bytes)
{
    if (p)
        munmap(p, whole_pages(bytes));
}
