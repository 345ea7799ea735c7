/* page_cache.c - a hash table of registered pages, keyed by parent, adapter and first token (pages that can match the
 * same beginning share a chain), and a list of the unused pages in the order in which they will be taken. */
#include "engine/page_cache.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

typedef struct page {
    int32_t uses;
    int32_t n_tokens; /* registered: how many positions hold known tokens; 0: not registered */
    uint64_t serial, parent_serial, adapter;
    int32_t bucket, next_in_bucket; /* -1 ends the chain */
    int32_t before, after;          /* in the list of unused pages, -1 at its ends */
} page;

struct hone_page_cache {
    int32_t n_pages, n_buckets, n_unused;
    int page_tokens;
    page *pages;
    int32_t *tokens; /* [n_pages][page_tokens] */
    int32_t *buckets;
    int32_t first_unused, last_unused; /* taken from the front */
    uint64_t next_serial;
    int64_t n_evicted;
};

static void list_add(hone_page_cache *cache, int32_t i, bool at_end)
{
    page *p = &cache->pages[i];
    p->before = at_end ? cache->last_unused : -1;
    p->after = at_end ? -1 : cache->first_unused;
    *(p->before >= 0 ? &cache->pages[p->before].after : &cache->first_unused) = i;
    *(p->after >= 0 ? &cache->pages[p->after].before : &cache->last_unused) = i;
    cache->n_unused++;
}

static void list_remove(hone_page_cache *cache, int32_t i)
{
    const page *p = &cache->pages[i];
    *(p->before >= 0 ? &cache->pages[p->before].after : &cache->first_unused) = p->after;
    *(p->after >= 0 ? &cache->pages[p->after].before : &cache->last_unused) = p->before;
    cache->n_unused--;
}

hone_status hone_page_cache_create(int32_t n_pages, int page_tokens, hone_page_cache **out, hone_error *err)
{
    *out = NULL;
    hone_page_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    cache->n_pages = n_pages;
    cache->page_tokens = page_tokens;
    cache->n_buckets = 2 * n_pages + 1;
    cache->next_serial = 1;
    cache->first_unused = cache->last_unused = -1;
    cache->pages = calloc((size_t)n_pages, sizeof *cache->pages);
    cache->tokens = calloc((size_t)n_pages * (size_t)page_tokens, sizeof *cache->tokens);
    cache->buckets = calloc((size_t)cache->n_buckets, sizeof *cache->buckets);
    if (!cache->pages || !cache->tokens || !cache->buckets) {
        hone_page_cache_free(cache);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d pages", n_pages);
    }
    for (int32_t i = 0; i < n_pages; i++)
        list_add(cache, i, true);
    hone_page_cache_forget(cache);
    *out = cache;
    return HONE_OK;
}

void hone_page_cache_free(hone_page_cache *cache)
{
    if (!cache)
        return;
    free(cache->pages);
    free(cache->tokens);
    free(cache->buckets);
    free(cache);
}

int32_t hone_page_cache_total(const hone_page_cache *cache)
{
    return cache->n_pages;
}

int32_t hone_page_cache_available(const hone_page_cache *cache)
{
    return cache->n_unused;
}

int64_t hone_page_cache_evicted(const hone_page_cache *cache)
{
    return cache->n_evicted;
}

static int32_t bucket_of(const hone_page_cache *cache, uint64_t parent_serial, uint64_t adapter, int32_t first_token)
{
    uint64_t h = hone_fnv1a(HONE_FNV_START, &parent_serial, sizeof parent_serial);
    h = hone_fnv1a(h, &adapter, sizeof adapter);
    return (int32_t)(hone_fnv1a(h, &first_token, sizeof first_token) % (uint64_t)cache->n_buckets);
}

/* The child of the parent that shares the most of tokens[0..n) from its beginning; *common tells how many. */
static int32_t find(const hone_page_cache *cache, uint64_t parent_serial, uint64_t adapter, const int32_t *tokens,
                    int64_t n, int32_t *common)
{
    int32_t best = -1;
    *common = 0;
    for (int32_t i = cache->buckets[bucket_of(cache, parent_serial, adapter, tokens[0])]; i >= 0;
         i = cache->pages[i].next_in_bucket) {
        const page *p = &cache->pages[i];
        if (p->parent_serial != parent_serial || p->adapter != adapter)
            continue;
        const int32_t *held = cache->tokens + (size_t)i * (size_t)cache->page_tokens;
        int32_t same = 0;
        while (same < p->n_tokens && same < n && held[same] == tokens[same])
            same++;
        if (same > *common) {
            *common = same;
            best = i;
        }
    }
    return best;
}

static void use(hone_page_cache *cache, int32_t i)
{
    if (cache->pages[i].uses++ == 0)
        list_remove(cache, i);
}

hone_page_match hone_page_cache_match(hone_page_cache *cache, uint64_t adapter, const int32_t *tokens, int64_t n,
                                      int32_t max_pages, int32_t *pages)
{
    hone_page_match match = {.part = -1};
    for (; match.n_pages < max_pages && n > 0; tokens += cache->page_tokens, n -= cache->page_tokens) {
        int32_t common, i = find(cache, match.serial, adapter, tokens, n, &common);
        if (i < 0)
            break;
        use(cache, i);
        if (common < cache->page_tokens) {
            match.part = i;
            match.part_tokens = common;
            break;
        }
        pages[match.n_pages++] = i;
        match.serial = cache->pages[i].serial;
    }
    return match;
}

static void unregister(hone_page_cache *cache, int32_t i)
{
    page *p = &cache->pages[i];
    int32_t *link = &cache->buckets[p->bucket];
    while (*link != i)
        link = &cache->pages[*link].next_in_bucket;
    *link = p->next_in_bucket;
    p->n_tokens = 0;
}

int32_t hone_page_cache_take(hone_page_cache *cache)
{
    int32_t i = cache->first_unused;
    if (i < 0)
        return -1;
    if (cache->pages[i].n_tokens > 0) {
        unregister(cache, i);
        cache->n_evicted++;
    }
    cache->pages[i].serial = cache->next_serial++;
    use(cache, i);
    return i;
}

uint64_t hone_page_cache_register(hone_page_cache *cache, int32_t i, uint64_t parent_serial, uint64_t adapter,
                                  const int32_t *tokens, int n_tokens)
{
    page *p = &cache->pages[i];
    int32_t common;
    if (p->n_tokens > 0 || n_tokens < 1)
        return p->serial;
    int32_t same = find(cache, parent_serial, adapter, tokens, n_tokens, &common);
    if (common == n_tokens)
        return cache->pages[same].serial;
    memcpy(cache->tokens + (size_t)i * (size_t)cache->page_tokens, tokens, (size_t)n_tokens * sizeof *tokens);
    p->parent_serial = parent_serial;
    p->adapter = adapter;
    p->n_tokens = n_tokens;
    p->bucket = bucket_of(cache, parent_serial, adapter, tokens[0]);
    p->next_in_bucket = cache->buckets[p->bucket];
    cache->buckets[p->bucket] = i;
    return p->serial;
}

void hone_page_cache_release(hone_page_cache *cache, int32_t i)
{
    if (--cache->pages[i].uses == 0)
        list_add(cache, i, cache->pages[i].n_tokens > 0);
}

void hone_page_cache_forget(hone_page_cache *cache)
{
    for (int32_t b = 0; b < cache->n_buckets; b++)
        cache->buckets[b] = -1;
    for (int32_t i = 0; i < cache->n_pages; i++)
        cache->pages[i].n_tokens = 0;
}
