/* arena.c - memory that is freed all at once: a list of blocks, each at least 64 KiB. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, BLOCK_BYTES = 64 * 1024 };

typedef struct block {
    struct block *next;
    size_t capacity_bytes, used_bytes;
    unsigned char *data;
} block;

struct hone_arena {
    block *first; /* every block, newest first */
    size_t held_bytes;
};

hone_arena *hone_arena_create(void)
{
    return calloc(1, sizeof(hone_arena));
}

void hone_arena_free(hone_arena *arena)
{
    if (!arena)
        return;
    for (block *b = arena->first; b;) {
        block *next = b->next;
        free(b->data);
        free(b);
        b = next;
    }
    free(arena);
}

void *hone_arena_alloc(hone_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        rounded = ALIGNMENT;
    block *b = arena->first;
    if (!b || b->capacity_bytes - b->used_bytes < rounded) {
        b = calloc(1, sizeof *b);
        if (!b)
            return NULL;
        b->capacity_bytes = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        b->data = aligned_alloc(ALIGNMENT, b->capacity_bytes);
        if (!b->data) {
            free(b);
            return NULL;
        }
        b->next = arena->first;
        arena->first = b;
        arena->held_bytes += b->capacity_bytes;
    }
    void *p = b->data + b->used_bytes;
    b->used_bytes += rounded;
    memset(p, 0, rounded);
    return p;
}

void *hone_arena_array(hone_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return hone_arena_alloc(arena, bytes);
}

char *hone_arena_strndup(hone_arena *arena, const char *s, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = hone_arena_alloc(arena, length + 1);
    if (copy && length)
        memcpy(copy, s, length);
    return copy;
}

char *hone_arena_strdup(hone_arena *arena, const char *s)
{
    return hone_arena_strndup(arena, s, strlen(s));
}

void hone_arena_clear(hone_arena *arena)
{
    for (block *b = arena->first; b; b = b->next)
        b->used_bytes = 0;
}

size_t hone_arena_bytes(const hone_arena *arena)
{
    return arena->held_bytes;
}
