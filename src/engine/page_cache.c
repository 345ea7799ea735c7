/* page_cache.c - a hash table of registered pages with open addressing over bucket chains; see page_cache.h. */
#include "engine/page_cache.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

typedef struct page {
    int32_t uses;
    bool registered;
    uint64_t serial, parent_serial, adapter, last_used, hash;
    int32_t next_in_bucket; /* -1 ends the chain */
} page;

struct hone_page_cache {
    int32_t n_pages, n_buckets, n_unused;
    int page_tokens;
    page *pages;
    int32_t *tokens; /* [n_pages][page_tokens] */
    int32_t *buckets;
    uint64_t clock, next_serial;
    int64_t n_evicted;
};

hone_status hone_page_cache_create(int32_t n_pages, int page_tokens, hone_page_cache **out, hone_error *err)
{
    *out = NULL;
    hone_page_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    cache->n_pages = cache->n_unused = n_pages;
    cache->page_tokens = page_tokens;
    cache->n_buckets = 2 * n_pages + 1;
    cache->next_serial = 1;
    cache->pages = calloc((size_t)n_pages, sizeof *cache->pages);
    cache->tokens = calloc((size_t)n_pages * (size_t)page_tokens, sizeof *cache->tokens);
    cache->buckets = calloc((size_t)cache->n_buckets, sizeof *cache->buckets);
    if (!cache->pages || !cache->tokens || !cache->buckets) {
        hone_page_cache_free(cache);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d pages", n_pages);
    }
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

static uint64_t page_hash(const hone_page_cache *cache, uint64_t parent_serial, uint64_t adapter, const int32_t *tokens)
{
    uint64_t h = hone_fnv1a(HONE_FNV_START, &parent_serial, sizeof parent_serial);
    h = hone_fnv1a(h, &adapter, sizeof adapter);
    return hone_fnv1a(h, tokens, (size_t)cache->page_tokens * sizeof *tokens);
}

static int32_t find(const hone_page_cache *cache, uint64_t parent_serial, uint64_t adapter, const int32_t *tokens,
                    uint64_t hash)
{
    for (int32_t i = cache->buckets[hash % (uint64_t)cache->n_buckets]; i >= 0; i = cache->pages[i].next_in_bucket) {
        const page *p = &cache->pages[i];
        if (p->hash == hash && p->parent_serial == parent_serial && p->adapter == adapter &&
            memcmp(cache->tokens + (size_t)i * (size_t)cache->page_tokens, tokens,
                   (size_t)cache->page_tokens * sizeof *tokens) == 0)
            return i;
    }
    return -1;
}

static void use(hone_page_cache *cache, int32_t i)
{
    if (cache->pages[i].uses++ == 0)
        cache->n_unused--;
    cache->pages[i].last_used = ++cache->clock;
}

int32_t hone_page_cache_match(hone_page_cache *cache, uint64_t adapter, const int32_t *tokens, int64_t n,
                              int32_t max_pages, int32_t *pages)
{
    int32_t matched = 0;
    uint64_t parent = 0;
    while (matched < max_pages && (matched + 1) * (int64_t)cache->page_tokens <= n) {
        const int32_t *at = tokens + (int64_t)matched * cache->page_tokens;
        int32_t i = find(cache, parent, adapter, at, page_hash(cache, parent, adapter, at));
        if (i < 0)
            break;
        use(cache, i);
        pages[matched++] = i;
        parent = cache->pages[i].serial;
    }
    return matched;
}

static void unregister(hone_page_cache *cache, int32_t i)
{
    page *p = &cache->pages[i];
    int32_t *link = &cache->buckets[p->hash % (uint64_t)cache->n_buckets];
    while (*link != i)
        link = &cache->pages[*link].next_in_bucket;
    *link = p->next_in_bucket;
    p->registered = false;
}

int32_t hone_page_cache_take(hone_page_cache *cache)
{
    int32_t best = -1;
    for (int32_t i = 0; i < cache->n_pages; i++) {
        const page *p = &cache->pages[i];
        if (p->uses > 0)
            continue;
        if (!p->registered) {
            best = i;
            break;
        }
        if (best < 0 || p->last_used < cache->pages[best].last_used)
            best = i;
    }
    if (best < 0)
        return -1;
    if (cache->pages[best].registered) {
        unregister(cache, best);
        cache->n_evicted++;
    }
    cache->pages[best].serial = cache->next_serial++;
    use(cache, best);
    return best;
}

void hone_page_cache_register(hone_page_cache *cache, int32_t i, int32_t parent, uint64_t adapter,
                              const int32_t *tokens)
{
    page *p = &cache->pages[i];
    uint64_t parent_serial = parent < 0 ? 0 : cache->pages[parent].serial;
    uint64_t hash = page_hash(cache, parent_serial, adapter, tokens);
    if (p->registered || find(cache, parent_serial, adapter, tokens, hash) >= 0)
        return;
    memcpy(cache->tokens + (size_t)i * (size_t)cache->page_tokens, tokens, (size_t)cache->page_tokens * sizeof *tokens);
    p->parent_serial = parent_serial;
    p->adapter = adapter;
    p->hash = hash;
    p->registered = true;
    p->next_in_bucket = cache->buckets[hash % (uint64_t)cache->n_buckets];
    cache->buckets[hash % (uint64_t)cache->n_buckets] = i;
}

void hone_page_cache_release(hone_page_cache *cache, int32_t i)
{
    if (--cache->pages[i].uses == 0)
        cache->n_unused++;
}

void hone_page_cache_forget(hone_page_cache *cache)
{
    for (int32_t b = 0; b < cache->n_buckets; b++)
        cache->buckets[b] = -1;
    for (int32_t i = 0; i < cache->n_pages; i++)
        cache->pages[i].registered = false;
}
