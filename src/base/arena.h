/* arena.h - memory that is freed all at once.
 *
 * An arena hands out 64-byte aligned pieces from large blocks and frees them together. Not thread-safe: one owner. */
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include <stddef.h>

typedef struct hone_arena hone_arena;

/* NULL when out of memory. */
hone_arena *hone_arena_create(void);
void hone_arena_free(hone_arena *arena);

/* `bytes` zeroed bytes, 64-byte aligned, or NULL when out of memory. */
void *hone_arena_alloc(hone_arena *arena, size_t bytes);
/* count * size with overflow check. */
void *hone_arena_array(hone_arena *arena, size_t count, size_t size);
char *hone_arena_strdup(hone_arena *arena, const char *s);
/* Copies `length` bytes and adds a NUL. */
char *hone_arena_strndup(hone_arena *arena, const char *s, size_t length);

/* Forgets everything handed out, keeps the blocks for reuse. */
void hone_arena_clear(hone_arena *arena);
/* Bytes held from the system. */
size_t hone_arena_bytes(const hone_arena *arena);

#endif
