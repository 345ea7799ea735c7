/* loopback.h - a small HTTP server on 127.0.0.1 for tests, that can misbehave on purpose.
 *
 * It serves one body; the path says how:
 *   /file            all of it, Range honoured          /cut/N        at most N bytes of it a request, then hangs up
 *   /norange         all of it, Range ignored           /slow/N       N bytes a second, Range honoured
 *   /short           the first half, rightly announced  /endless      without a length, more than the body
 *   /stall           some bytes, then silence           /wrongrange   206 with another range than was asked for
 *   /redirect        to /file                           /redirect-file  to file:///etc/passwd
 *   anything else    404 with a page of text
 * One connection is served at a time by each of a few threads; every answer ends its connection. */
#ifndef HONE_TESTS_LOOPBACK_H
#define HONE_TESTS_LOOPBACK_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK_THREADS = 4 };

typedef struct loopback {
    const unsigned char *body;
    size_t size;
    int listener, port;
    pthread_t threads[LOOPBACK_THREADS];
    atomic_int requests;
    atomic_llong last_start; /* of the last Range, -1 when there was none */
    atomic_llong bytes_sent; /* of bodies */
} loopback;

static inline bool loopback_send(loopback *s, int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
        atomic_fetch_add(&s->bytes_sent, sent);
    }
    return true;
}

static inline void loopback_answer(loopback *s, int fd, const char *path, long long start)
{
    char head[512];
    long long size = (long long)s->size;
    const char *end = "Connection: close\r\n\r\n";
    bool range = start >= 0 && strcmp(path, "/norange") != 0;
    if (strcmp(path, "/redirect") == 0 || strcmp(path, "/redirect-file") == 0) {
        dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n%s",
                path[9] ? "file:///etc/passwd" : "/file", end);
        return;
    }
    bool known = strcmp(path, "/file") == 0 || strcmp(path, "/norange") == 0 || strcmp(path, "/short") == 0 ||
                 strcmp(path, "/endless") == 0 || strcmp(path, "/stall") == 0 || strcmp(path, "/wrongrange") == 0 ||
                 strncmp(path, "/cut/", 5) == 0 || strncmp(path, "/slow/", 6) == 0;
    if (!known) {
        dprintf(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n%snot here\n", end);
        return;
    }
    if (range && start >= size) {
        dprintf(fd, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n%s", end);
        return;
    }
    if (strcmp(path, "/short") == 0)
        size /= 2;
    if (!range)
        start = 0;
    if (strcmp(path, "/endless") == 0)
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s", end);
    else if (range)
        snprintf(head, sizeof head,
                 "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %lld-%lld/%lld\r\nContent-Length: %lld\r\n%s",
                 strcmp(path, "/wrongrange") == 0 ? start + 1 : start, size - 1, size, size - start, end);
    else
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n%s", size, end);
    if (send(fd, head, strlen(head), MSG_NOSIGNAL) < 0)
        return;
    const unsigned char *from = s->body + start;
    size_t n = (size_t)(size - start);
    if (strncmp(path, "/cut/", 5) == 0) {
        size_t limit = (size_t)atoll(path + 5);
        loopback_send(s, fd, from, n < limit ? n : limit);
    } else if (strncmp(path, "/slow/", 6) == 0) {
        size_t step = (size_t)atoll(path + 6) / 20 + 1;
        for (; n > 0 && loopback_send(s, fd, from, n < step ? n : step); usleep(50000)) {
            from += n < step ? n : step;
            n -= n < step ? n : step;
        }
    } else if (strcmp(path, "/stall") == 0) {
        loopback_send(s, fd, from, n < 100 ? n : 100);
        sleep(3);
    } else if (loopback_send(s, fd, from, n) && strcmp(path, "/endless") == 0)
        loopback_send(s, fd, s->body, s->size);
}

static inline void *loopback_serve(void *context)
{
    loopback *s = context;
    for (int fd; (fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd)) {
        char request[4096], path[256] = "";
        size_t n = 0;
        while (n + 1 < sizeof request) {
            ssize_t got = recv(fd, request + n, sizeof request - 1 - n, 0);
            if (got <= 0)
                break;
            n += (size_t)got;
            request[n] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        request[n] = 0;
        if (sscanf(request, "GET %255s", path) != 1)
            continue;
        long long start = -1;
        const char *range = strstr(request, "Range: bytes=");
        if (range)
            start = atoll(range + 13);
        atomic_store(&s->last_start, start);
        atomic_fetch_add(&s->requests, 1);
        loopback_answer(s, fd, path, start);
        shutdown(fd, SHUT_WR);
    }
    return NULL;
}

/* The body is borrowed. False when no socket could be had. */
static inline bool loopback_start(loopback *s, const void *body, size_t size)
{
    memset(s, 0, sizeof *s);
    s->body = body;
    s->size = size;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(s->listener, 16) < 0 || getsockname(s->listener, (struct sockaddr *)&address, &length) < 0)
        return false;
    s->port = ntohs(address.sin_port);
    for (int i = 0; i < LOOPBACK_THREADS; i++)
        if (pthread_create(&s->threads[i], NULL, loopback_serve, s) != 0)
            return false;
    return true;
}

static inline void loopback_stop(loopback *s)
{
    shutdown(s->listener, SHUT_RDWR);
    for (int i = 0; i < LOOPBACK_THREADS; i++)
        pthread_join(s->threads[i], NULL);
    close(s->listener);
}

#endif
