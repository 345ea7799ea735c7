/* page_cache.h - which key-value pages are free, used, and known to hold which tokens.
 *
 * A page holds up to HONE_PAGE_TOKENS positions. It is registered under (parent page, adapter, its tokens): whole pages
 * as soon as they are computed, a sequence's last one, often not full, when the sequence ends. Registered pages form a
 * radix tree over tokens, cut into nodes of one page: a later sequence walks down it, uses the whole pages that it
 * begins with and copies the part of one page in which it leaves the tree. A page's parent is named by a serial number
 * that is never reused, so a page whose parent was evicted is never found by mistake. Pages in use are counted; of the
 * others those that hold nothing are taken first, then the longest unused. */
#ifndef HONE_ENGINE_PAGE_CACHE_H
#define HONE_ENGINE_PAGE_CACHE_H

#include "base/status.h"

typedef struct hone_page_cache hone_page_cache;

hone_status hone_page_cache_create(int32_t n_pages, int page_tokens, hone_page_cache **out, hone_error *err);
void hone_page_cache_free(hone_page_cache *cache);
int32_t hone_page_cache_total(const hone_page_cache *cache);
/* Pages that could be taken now: free ones and unused registered ones. */
int32_t hone_page_cache_available(const hone_page_cache *cache);
/* Registered pages that were given to something else, since creation. */
int64_t hone_page_cache_evicted(const hone_page_cache *cache);

typedef struct hone_page_match {
    int32_t n_pages;     /* whole pages found */
    uint64_t serial;     /* of the last of them, 0 when there is none: the parent of what follows */
    int32_t part;        /* a page of which the beginning fits after them, or -1 */
    int32_t part_tokens; /* so many of its tokens */
} hone_page_match;
/* Finds the longest beginning of tokens[0..n). The whole pages, at most max_pages, go to pages[]; each, and the part,
 * is counted as used once more. adapter: any number naming the adapter's content. */
hone_page_match hone_page_cache_match(hone_page_cache *cache, uint64_t adapter, const int32_t *tokens, int64_t n,
                                      int32_t max_pages, int32_t *pages);
/* A fresh page, used once; -1 when every page is in use. */
int32_t hone_page_cache_take(hone_page_cache *cache);
/* Registers a used page whose first n_tokens positions hold `tokens` after the parent (0: they begin the sequence); it
 * must not be written from then on. Returns the serial number to give as parent of the next page: this page's, or that
 * of one that was registered before with the same. */
uint64_t hone_page_cache_register(hone_page_cache *cache, int32_t page, uint64_t parent_serial, uint64_t adapter,
                                  const int32_t *tokens, int n_tokens);
/* Pages of a sequence should be released from the last to the first: then a page goes before the one that leads to it.
 */
void hone_page_cache_release(hone_page_cache *cache, int32_t page);
/* Forgets all registrations; pages in use stay in use. */
void hone_page_cache_forget(hone_page_cache *cache);

#endif
