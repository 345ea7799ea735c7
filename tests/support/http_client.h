/* http_client.h - a small HTTP/1.1 client on a socket, for tests of the server: it keeps its connection, and can leave
 * at any point. */
#ifndef HONE_TESTS_HTTP_CLIENT_H
#define HONE_TESTS_HTTP_CLIENT_H

#include "base/buffer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct http_client {
    int fd, port;
    hone_buffer in; /* received and not yet used */
} http_client;

typedef struct http_answer {
    int status; /* 0: the connection ended */
    hone_buffer body;
    char head[2048];
} http_answer;

static inline bool http_client_open(http_client *c, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    *c = (http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .port = port};
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c->fd >= 0 && connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static inline void http_client_close(http_client *c)
{
    close(c->fd);
    hone_buffer_clear(&c->in);
}

static inline bool http_client_write(http_client *c, const void *data, size_t n)
{
    for (const char *p = data; n > 0;) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* headers: further lines, each with its line end, or "". body NULL: none. */
static inline bool http_client_send(http_client *c, const char *method, const char *path, const char *headers,
                                    const char *body, size_t n)
{
    hone_buffer head = {0};
    hone_buffer_printf(&head, "%s %s HTTP/1.1\r\n%s", method, path, headers);
    if (!strstr(headers, "Host:"))
        hone_buffer_printf(&head, "Host: 127.0.0.1:%d\r\n", c->port);
    if (body)
        hone_buffer_printf(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
    hone_buffer_puts(&head, "\r\n");
    if (body)
        hone_buffer_append(&head, body, n);
    bool sent = http_client_write(c, head.data, head.length);
    hone_buffer_clear(&head);
    return sent;
}

static inline bool http_client_more(http_client *c)
{
    char piece[65536];
    ssize_t n = recv(c->fd, piece, sizeof piece, 0);
    if (n > 0)
        hone_buffer_append(&c->in, piece, (size_t)n);
    return n > 0;
}

static inline void http_client_drop(http_client *c, size_t n)
{
    memmove(c->in.data, c->in.data + n, c->in.length - n + 1);
    c->in.length -= n;
}

/* Moves n bytes to `out`. */
static inline bool http_client_take(http_client *c, size_t n, hone_buffer *out)
{
    while (c->in.length < n)
        if (!http_client_more(c))
            return false;
    hone_buffer_append(out, c->in.data, n);
    http_client_drop(c, n);
    return true;
}

static inline bool http_client_chunks(http_client *c, hone_buffer *out)
{
    for (;;) {
        char *end;
        while (!c->in.data || !(end = strstr(c->in.data, "\r\n")))
            if (!http_client_more(c))
                return false;
        size_t n = strtoul(c->in.data, NULL, 16);
        http_client_drop(c, (size_t)(end + 2 - c->in.data));
        hone_buffer line_end = {0};
        bool took = http_client_take(c, n, out) && http_client_take(c, 2, &line_end);
        hone_buffer_clear(&line_end);
        if (!took || n == 0)
            return took;
    }
}

/* Waits for the whole answer; a->body is to be cleared. */
static inline bool http_client_read(http_client *c, http_answer *a)
{
    *a = (http_answer){0};
    char *end;
    while (!c->in.data || !(end = strstr(c->in.data, "\r\n\r\n")))
        if (!http_client_more(c))
            return false;
    snprintf(a->head, sizeof a->head, "%.*s", (int)(end - c->in.data), c->in.data);
    http_client_drop(c, (size_t)(end + 4 - c->in.data));
    a->status = atoi(a->head + 9);
    const char *length = strcasestr(a->head, "\r\nContent-Length:");
    bool whole = true;
    if (length)
        whole = http_client_take(c, strtoul(length + 17, NULL, 10), &a->body);
    else if (strcasestr(a->head, "\r\nTransfer-Encoding: chunked"))
        whole = http_client_chunks(c, &a->body);
    if (!whole)
        a->status = 0;
    if (!a->body.data)
        hone_buffer_append(&a->body, "", 0);
    return whole;
}

#endif
