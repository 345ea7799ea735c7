/* large_memory.h - memory of many megabytes, on huge pages where the system has them.
 *
 * On pages of 4 KiB a processor that walks through megabytes, or down a column of a large matrix, spends much of its
 * time looking up addresses. */
#ifndef HONE_BASE_LARGE_MEMORY_H
#define HONE_BASE_LARGE_MEMORY_H

#include <stddef.h>

/* Zeros, beginning on the border of a huge page; memory is taken only when touched. NULL: there is not so much. */
void *hone_large_map(size_t bytes);
/* Gives the memory back to the system; what is read next is zeros. */
void hone_large_release(void *p, size_t bytes);
/* bytes: as given to hone_large_map. p may be NULL. */
void hone_large_unmap(void *p, size_t bytes);

#endif
