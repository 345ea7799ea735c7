/* http.h - fetching over HTTP(S) with libcurl. */
#ifndef HONE_NET_HTTP_H
#define HONE_NET_HTTP_H

#include "base/progress.h"
#include "base/status.h"

enum { HONE_HTTP_CONNECT_SECONDS = 15, HONE_HTTP_STALL_SECONDS = 60, HONE_HTTP_ATTEMPTS = 4 };

typedef struct hone_http_download {
    const char *url;     /* http:// or https://; redirects stay within these two */
    const char *path;    /* the file to write; bytes it already has are not fetched again where the server allows it */
    int64_t size_bytes;  /* the whole file's size: more is refused before it is written, less is an error */
    const char *name;    /* for the progress display */
    int connect_seconds; /* 0: HONE_HTTP_CONNECT_SECONDS */
    int stall_seconds;   /* no byte for so long ends the attempt; 0: HONE_HTTP_STALL_SECONDS */
    int attempts;        /* a broken transfer is continued so often; 0: HONE_HTTP_ATTEMPTS */
} hone_http_download;

/* Fetches into `path` and flushes it to disk. HONE_NETWORK names the host and the cause and leaves what arrived, for
 * the next call to continue; HONE_CANCELLED likewise; HONE_IO when the file cannot be written.
 * The bytes' identity is the caller's to check (a hash): a server may change the file between two calls. */
hone_status hone_http_fetch(const hone_http_download *download, hone_progress *progress, hone_error *err);

/* The host of a URL into out[size] for messages ("?" when there is none). */
void hone_http_host(const char *url, char *out, size_t size);

#endif
