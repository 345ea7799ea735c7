/* page_cache.h - which key-value pages are free, used, and known to hold which tokens.
 *
 * A page holds HONE_PAGE_TOKENS positions. Once all of them are computed the page is registered under (parent page,
 * adapter, tokens); a later sequence that begins with the same tokens through the same adapter uses it instead of
 * computing it again. A page's parent is named by a serial number that is never reused, so a page whose parent was
 * evicted is never found by mistake. Pages in use are counted; unused registered ones are evicted, the longest unused
 * first. */
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

/* Takes the registered pages that hold the longest beginning of tokens[0..n) in whole pages, at most max_pages; each is
 * counted as used once more. Returns how many were written to pages[]. adapter: any number naming the adapter's
 * content. */
int32_t hone_page_cache_match(hone_page_cache *cache, uint64_t adapter, const int32_t *tokens, int64_t n,
                              int32_t max_pages, int32_t *pages);
/* A fresh page, used once; -1 when every page is in use. */
int32_t hone_page_cache_take(hone_page_cache *cache);
/* Registers a used page that holds `tokens` after `parent` (-1: it begins the sequence). Nothing happens when such a
 * page is registered already. */
void hone_page_cache_register(hone_page_cache *cache, int32_t page, int32_t parent, uint64_t adapter,
                              const int32_t *tokens);
void hone_page_cache_release(hone_page_cache *cache, int32_t page);
/* Forgets all registrations; pages in use stay in use. */
void hone_page_cache_forget(hone_page_cache *cache);

#endif
