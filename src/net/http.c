/* http.c - fetching a file of known size, continued with Range requests where it broke off.
 *
 * An attempt asks for "bytes=N-" where the file has N bytes. 206 is appended after its Content-Range was compared with
 * N; 200 means the server knows no ranges, and the file starts over; 416 likewise. Nothing is written before the
 * answer's status is known, so an error page never ends up in the file. */
#include "net/http.h"

#include "base/buffer.h"
#include "base/cancel.h"
#include "base/file.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REDIRECTS = 8, FIRST_PAUSE_MS = 500, PAUSE_STEP_MS = 100, WORTHWHILE = 100 };

/* One attempt. `have` is the file's length, kept up to date as bytes arrive. */
typedef struct transfer {
    const hone_http_download *download;
    hone_progress *progress;
    CURL *curl;
    int descriptor;
    int64_t have;
    bool checked; /* the answer's status and headers were looked at */
    bool refused; /* by us; `err` says why */
    bool restart; /* the server cannot continue from `have` */
    char reason[CURL_ERROR_SIZE];
    hone_error err;
} transfer;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void hone_http_host(const char *url, char *out, size_t size)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool found = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    snprintf(out, size, "%s", found ? host : "?");
    curl_free(host);
    curl_url_cleanup(parts);
}

static hone_status refuse(transfer *t, hone_status code, const char *text, long long a, long long b)
{
    char host[256];
    hone_http_host(t->download->url, host, sizeof host);
    t->refused = true;
    hone_fail(&t->err, code, text, host, a, b);
    return code;
}

/* Looks at the status and headers before the first byte is written. */
static bool accept_answer(transfer *t)
{
    long code = 0;
    curl_off_t length = -1;
    struct curl_header *range = NULL;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (code == 206) {
        long long first = -1;
        if (curl_easy_header(t->curl, "Content-Range", 0, CURLH_HEADER, -1, &range) == CURLHE_OK)
            sscanf(range->value, "bytes %lld-", &first);
        if (first != t->have) {
            t->restart = true;
            refuse(t, HONE_NETWORK, "%s: answered with bytes from %lld on where %lld was asked for", first, t->have);
            return false;
        }
    } else if (code == 200 && t->have > 0) {
        t->have = 0;
        if (ftruncate(t->descriptor, 0) < 0 || lseek(t->descriptor, 0, SEEK_SET) < 0) {
            t->refused = true;
            hone_file_fail_errno(&t->err, t->download->path, "start over");
            return false;
        }
    } else if (code != 200) {
        refuse(t, HONE_NETWORK, "%s: answered with HTTP status %lld", code, 0);
        return false;
    }
    if (length >= 0 && t->have + length != t->download->size_bytes) {
        refuse(t, HONE_NETWORK, "%s: offers a file of %lld bytes, but %lld are expected: it is not the same file",
               t->have + length, t->download->size_bytes);
        return false;
    }
    return true;
}

static size_t on_data(char *data, size_t one, size_t n, void *context)
{
    transfer *t = context;
    (void)one; /* always 1 (curl's documentation) */
    if (!t->checked && !accept_answer(t))
        return CURL_WRITEFUNC_ERROR;
    t->checked = true;
    if ((int64_t)n > t->download->size_bytes - t->have) {
        refuse(t, HONE_NETWORK, "%s: sends more than the %lld bytes expected: it is not the same file",
               t->download->size_bytes, 0);
        return CURL_WRITEFUNC_ERROR;
    }
    if (hone_file_write_all(t->descriptor, t->download->path, data, n, &t->err) != HONE_OK) {
        t->refused = true;
        return CURL_WRITEFUNC_ERROR;
    }
    t->have += (int64_t)n;
    hone_progress_update(t->progress, t->have, NULL);
    return n;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)context, (void)a, (void)b, (void)c, (void)d;
    return hone_cancel_requested(); /* non-zero ends the transfer */
}

static CURLcode perform(transfer *t)
{
    const hone_http_download *d = t->download;
    CURL *c = t->curl;
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)t->have);
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, d->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "hone/" HONE_VERSION);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT,
                     (long)(d->connect_seconds ? d->connect_seconds : HONE_HTTP_CONNECT_SECONDS));
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)(d->stall_seconds ? d->stall_seconds : HONE_HTTP_STALL_SECONDS));
    curl_easy_setopt(c, CURLOPT_RANGE, t->have > 0 ? range : NULL);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->reason);
    t->checked = t->refused = t->restart = false;
    t->reason[0] = 0;
    return curl_easy_perform(c);
}

/* True when trying again may help: the transfer broke, or the server is busy. A wrong name, a refused connection, a
 * missing page or a bad certificate stay what they are. */
static bool worth_retrying(const transfer *t, CURLcode code)
{
    long http = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &http);
    switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return t->checked || code != CURLE_OPERATION_TIMEDOUT;
    case CURLE_HTTP_RETURNED_ERROR:
        return http == 416 || http == 429 || http >= 500;
    case CURLE_OK:
        return true; /* it ended early without saying so */
    default:
        return t->restart;
    }
}

static hone_status failed(const transfer *t, CURLcode code, hone_error *err)
{
    const hone_http_download *d = t->download;
    if (t->refused) {
        if (err)
            *err = t->err;
        return t->err.code;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return hone_fail(err, HONE_CANCELLED, "stopped; %lld of %lld bytes are kept, the same command continues",
                         (long long)t->have, (long long)d->size_bytes);
    char host[256];
    long http = 0;
    hone_http_host(d->url, host, sizeof host);
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &http);
    if (code == CURLE_OK)
        return hone_fail(err, HONE_NETWORK, "%s: the transfer ended after %lld of %lld bytes", host, (long long)t->have,
                         (long long)d->size_bytes);
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return hone_fail(err, HONE_NETWORK, "%s: answered with HTTP status %ld for %s", host, http, d->url);
    return hone_fail(err, HONE_NETWORK, "%s: %s%s", host, t->reason[0] ? t->reason : curl_easy_strerror(code),
                     t->have > 0 ? "; what arrived is kept and continued next time" : "");
}

/* Waits a little longer after each failure; a request to stop ends the wait. */
static void pause_before(int attempt)
{
    for (int left = FIRST_PAUSE_MS << attempt; left > 0 && !hone_cancel_requested(); left -= PAUSE_STEP_MS)
        poll(NULL, 0, PAUSE_STEP_MS);
}

static hone_status fetch_all(transfer *t, hone_error *err)
{
    const hone_http_download *d = t->download;
    int attempts = d->attempts ? d->attempts : HONE_HTTP_ATTEMPTS;
    for (int attempt = 0; t->have < d->size_bytes; attempt++) {
        int64_t before = t->have;
        if (lseek(t->descriptor, t->have, SEEK_SET) < 0)
            return hone_file_fail_errno(err, d->path, "continue");
        CURLcode code = perform(t);
        if (code == CURLE_OK && t->have == d->size_bytes)
            break;
        long http = 0;
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &http);
        if (t->restart || (code == CURLE_HTTP_RETURNED_ERROR && http == 416)) {
            t->have = 0;
            if (ftruncate(t->descriptor, 0) < 0)
                return hone_file_fail_errno(err, d->path, "start over");
        }
        bool stop = hone_cancel_requested() || (t->refused && !t->restart) || !worth_retrying(t, code);
        if (t->have - before > d->size_bytes / WORTHWHILE)
            attempt = -1; /* it moves: go on for as long as it does */
        if (stop || attempt + 1 >= attempts || d->attempts == 1)
            return failed(t, hone_cancel_requested() && !t->refused ? CURLE_ABORTED_BY_CALLBACK : code, err);
        pause_before(attempt < 0 ? 0 : attempt);
    }
    if (fsync(t->descriptor) < 0)
        return hone_file_fail_errno(err, d->path, "flush to disk");
    return HONE_OK;
}

hone_status hone_http_fetch(const hone_http_download *download, hone_progress *progress, hone_error *err)
{
    hone_status status = HONE_OK;
    pthread_once(&curl_once, start_curl);
    transfer t = {.download = download, .progress = progress, .descriptor = -1};
    if (strncmp(download->url, "http://", 7) != 0 && strncmp(download->url, "https://", 8) != 0)
        return hone_fail(err, HONE_BAD_INPUT, "%s: is not an http:// or https:// address", download->url);
    t.curl = curl_easy_init();
    if (!t.curl)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    t.descriptor = open(download->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t.descriptor < 0) {
        status = hone_file_fail_errno(err, download->path, "write");
        goto done;
    }
    t.have = lseek(t.descriptor, 0, SEEK_END);
    if (t.have > download->size_bytes) {
        t.have = 0;
        if (ftruncate(t.descriptor, 0) < 0) {
            status = hone_file_fail_errno(err, download->path, "start over");
            goto done;
        }
    }
    hone_progress_begin(progress, download->name, "bytes", download->size_bytes);
    hone_progress_update(progress, t.have, NULL);
    status = fetch_all(&t, err);
    hone_progress_end(progress);
done:
    if (t.descriptor >= 0 && close(t.descriptor) < 0 && status == HONE_OK)
        status = hone_file_fail_errno(err, download->path, "write");
    curl_easy_cleanup(t.curl);
    return status;
}
