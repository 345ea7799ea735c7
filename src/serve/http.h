/* http.h - an HTTP/1.1 server on the loopback interface; the only header that knows of libmicrohttpd is http.c.
 *
 * Each connection has a thread of its own, so a handler may block: a client that reads slowly, or an answer that takes
 * long, holds up nobody else. A body is collected whole before the handler is called; one that is too long is read to
 * its end (so that the client can read the refusal) and answered by 413 without it. Connections that do nothing for a
 * minute are closed.
 *
 * Browsers: a page from elsewhere must not use a local server behind its user's back, so a request whose Host is not a
 * loopback name, or that carries an Origin from elsewhere, is refused (DNS rebinding, cross-site requests). */
#ifndef HONE_SERVE_HTTP_H
#define HONE_SERVE_HTTP_H

#include "base/buffer.h"
#include "base/status.h"

#include <stdint.h>

enum {
    HONE_HTTP_MAX_BODY_BYTES = 8 << 20,
    HONE_HTTP_MAX_CONNECTIONS = 384, /* each holds up to two descriptors; 1,024 are usual for a process */
    HONE_HTTP_IDLE_SECONDS = 60
};

typedef struct hone_http_request {
    const char *method, *path; /* the path without what follows a '?' */
    const char *body;          /* NUL-terminated, may hold NULs; "" when there is none */
    size_t body_bytes;
    bool too_long; /* the body was longer than HONE_HTTP_MAX_BODY_BYTES and is not there */
    bool foreign;  /* from a web page or for a host name that is not this machine's own */
    int client;    /* the connection's socket, for hone_http_wait */
} hone_http_request;

/* What a handler answers: the whole body, or with `next` a stream of server-sent events. */
typedef struct hone_http_reply {
    int status;               /* 200 */
    const char *content_type; /* static; NULL: application/json */
    const char *allow;        /* static; for 405 */
    hone_buffer body;         /* taken */
    void *stream;
    /* Appends the next bytes; may wait for them. False: the stream is over (what was appended is still sent). */
    bool (*next)(void *stream, hone_buffer *out);
    void (*close)(void *stream); /* always called once, also when the client went away */
} hone_http_reply;

typedef void (*hone_http_handler)(void *context, const hone_http_request *request, hone_http_reply *reply);

typedef struct hone_http hone_http;

/* host: an address of 127.0.0.0/8 or "localhost". port 0: any free one. HONE_BAD_INPUT for another host, HONE_BUSY when
 * the port is in use. The handler runs on many threads at once. */
hone_status hone_http_start(const char *host, int port, hone_http_handler handler, void *context, hone_http **out,
                            hone_error *err);
int hone_http_port(const hone_http *http);
/* No new connections from now on. */
void hone_http_quiesce(hone_http *http);
/* Gives answers under way `seconds` to be sent, ends all connections and returns when no handler runs. Handlers must
 * not wait for ever. */
void hone_http_stop(hone_http *http, double seconds);

/* Sleeps until `event` (an eventfd) is signalled: true; or the client has closed its connection: false. */
bool hone_http_wait(int client, int event);

#endif
