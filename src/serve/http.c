/* http.c - the HTTP server, by libmicrohttpd with a thread for each connection. */
#include "serve/http.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAM_BLOCK_BYTES = 16 << 10,
    BACKLOG = 512,
    STOP_POLL_MICROSECONDS = 2000,
    MAX_DISCARDED_BYTES = 256 << 20 /* a client that sends more than this is cut off */
};

struct hone_http {
    struct MHD_Daemon *daemon;
    hone_http_handler handler;
    void *context;
    int listener, port;
    bool quiesced;
    atomic_int n_open; /* requests that have begun and whose answer is not all sent */
};

/* One request while it comes in. */
typedef struct exchange {
    hone_buffer body;
    size_t discarded_bytes;
    bool too_long;
} exchange;

/* One answer while it goes out in pieces. */
typedef struct stream {
    struct MHD_Connection *connection;
    void *context;
    bool (*next)(void *stream, hone_buffer *out);
    void (*close)(void *stream);
    hone_buffer ready;
    size_t sent;
    bool ended;
} stream;

/* ---- who asks ---- */

/* "127.0.0.1:8080", "localhost", "[::1]:80": is it this machine's own name? */
static bool is_loopback_name(const char *host)
{
    if (strncmp(host, "[::1]", 5) == 0)
        return host[5] == 0 || host[5] == ':';
    char name[64];
    size_t length = strcspn(host, ":");
    if (length >= sizeof name)
        return false;
    memcpy(name, host, length);
    name[length] = 0;
    struct in_addr address;
    return strcasecmp(name, "localhost") == 0 ||
           (inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static bool is_foreign(struct MHD_Connection *connection)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    if (host && !is_loopback_name(host))
        return true;
    if (!origin)
        return false;
    const char *name = strstr(origin, "://");
    return !name || !is_loopback_name(name + 3);
}

/* ---- answers ---- */

/* The library counts the time a handler takes as the client's idleness; so the limit is lifted meanwhile, and setting
 * it again starts the count anew. */
static void set_idle_limit(struct MHD_Connection *connection, unsigned seconds)
{
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static ssize_t stream_read(void *context, uint64_t position, char *out, size_t capacity)
{
    (void)position;
    stream *s = context;
    while (s->sent == s->ready.length) {
        if (s->ended)
            return s->ready.failed ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
        s->sent = 0;
        hone_buffer_reset(&s->ready);
        set_idle_limit(s->connection, 0);
        s->ended = !s->next(s->context, &s->ready) || s->ready.failed;
        set_idle_limit(s->connection, HONE_HTTP_IDLE_SECONDS);
    }
    size_t n = s->ready.length - s->sent < capacity ? s->ready.length - s->sent : capacity;
    memcpy(out, s->ready.data + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}

static void stream_free(void *context)
{
    stream *s = context;
    s->close(s->context);
    hone_buffer_clear(&s->ready);
    free(s);
}

static struct MHD_Response *make_stream(struct MHD_Connection *connection, hone_http_reply *reply)
{
    stream *s = calloc(1, sizeof *s);
    struct MHD_Response *response = NULL;
    if (s) {
        *s = (stream){.connection = connection, .context = reply->stream, .next = reply->next, .close = reply->close};
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, s, stream_free);
    }
    if (!response) {
        reply->close(reply->stream);
        free(s);
    }
    return response;
}

static struct MHD_Response *make_whole(hone_http_reply *reply)
{
    size_t length = reply->body.failed ? 0 : reply->body.length;
    char *bytes = hone_buffer_take(&reply->body);
    struct MHD_Response *response =
        bytes ? MHD_create_response_from_buffer(length, bytes, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(bytes);
    return response;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, hone_http_reply *reply)
{
    struct MHD_Response *response = reply->next ? make_stream(connection, reply) : make_whole(reply);
    if (!response)
        return MHD_NO; /* out of memory: the connection ends */
    MHD_add_response_header(response, "Content-Type", reply->content_type ? reply->content_type : "application/json");
    if (reply->next)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (reply->allow)
        MHD_add_response_header(response, "Allow", reply->allow);
    enum MHD_Result sent = MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return sent;
}

/* ---- requests ---- */

/* Called once with the head, then with pieces of the body, then once more without data. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *data_bytes,
                                  void **state)
{
    (void)version;
    hone_http *http = context;
    exchange *e = *state;
    if (!e) {
        *state = calloc(1, sizeof *e);
        atomic_fetch_add(&http->n_open, *state != NULL);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*data_bytes > 0) {
        e->too_long = e->too_long || *data_bytes > HONE_HTTP_MAX_BODY_BYTES - e->body.length;
        if (e->too_long) {
            hone_buffer_clear(&e->body);
            e->discarded_bytes += *data_bytes;
        } else
            hone_buffer_append(&e->body, data, *data_bytes);
        *data_bytes = 0;
        return e->discarded_bytes > MAX_DISCARDED_BYTES || e->body.failed ? MHD_NO : MHD_YES;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const hone_http_request request = {.method = method,
                                       .path = path,
                                       .body = e->body.data ? e->body.data : "",
                                       .body_bytes = e->body.length,
                                       .too_long = e->too_long,
                                       .foreign = is_foreign(connection),
                                       .client = info ? info->connect_fd : -1};
    hone_http_reply reply = {.status = 200};
    set_idle_limit(connection, 0);
    http->handler(http->context, &request, &reply);
    set_idle_limit(connection, HONE_HTTP_IDLE_SECONDS);
    enum MHD_Result result = send_reply(connection, &reply);
    hone_buffer_clear(&reply.body);
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)connection, (void)how;
    hone_http *http = context;
    exchange *e = *state;
    if (!e)
        return;
    hone_buffer_clear(&e->body);
    free(e);
    *state = NULL;
    atomic_fetch_sub(&http->n_open, 1);
}

/* ---- starting and stopping ---- */

static hone_status listen_on(const char *host, int port, int *listener, int *bound_port, hone_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, numeric, &address.sin_addr) != 1 || ntohl(address.sin_addr.s_addr) >> 24 != 127)
        return hone_fail(err, HONE_BAD_INPUT,
                         "host \"%s\": hone serves this machine only; use an address of 127.0.0.0/8, or localhost",
                         host);
    if (port < 0 || port > 65535)
        return hone_fail(err, HONE_BAD_INPUT, "port %d; it is 0 (any free one) to 65535", port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    socklen_t length = sizeof address;
    hone_status status = HONE_OK;
    if (fd < 0)
        return hone_fail(err, HONE_IO, "cannot open a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* so that a restart need not wait for old connections */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0) {
        if (errno == EADDRINUSE)
            status = hone_fail(err, HONE_BUSY,
                               "port %d of %s is in use; stop the program that has it, or choose another port "
                               "(--port 0 takes any free one)",
                               port, host);
        else
            status = hone_fail(err, HONE_IO, "cannot listen on port %d of %s: %s%s", port, host, strerror(errno),
                               errno == EACCES ? "; ports below 1024 need rights, choose another" : "");
    } else if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        status = hone_fail(err, HONE_IO, "cannot learn the port: %s", strerror(errno));
    if (status != HONE_OK) {
        close(fd);
        return status;
    }
    *listener = fd;
    *bound_port = ntohs(address.sin_port);
    return HONE_OK;
}

hone_status hone_http_start(const char *host, int port, hone_http_handler handler, void *context, hone_http **out,
                            hone_error *err)
{
    *out = NULL;
    hone_http *http = calloc(1, sizeof *http);
    if (!http)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    http->handler = handler;
    http->context = context;
    hone_status status = listen_on(host, port, &http->listener, &http->port, err);
    if (status != HONE_OK) {
        free(http);
        return status;
    }
    http->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL,
        on_request, http, MHD_OPTION_LISTEN_SOCKET, http->listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HONE_HTTP_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HONE_HTTP_IDLE_SECONDS, MHD_OPTION_END);
    if (!http->daemon) {
        close(http->listener);
        free(http);
        return hone_fail(err, HONE_IO, "the HTTP server did not start: %s", strerror(errno));
    }
    *out = http;
    return HONE_OK;
}

int hone_http_port(const hone_http *http)
{
    return http->port;
}

void hone_http_quiesce(hone_http *http)
{
    if (http->quiesced)
        return;
    http->quiesced = true;
    MHD_quiesce_daemon(http->daemon);
    shutdown(http->listener, SHUT_RDWR); /* new connections are refused at once instead of waiting in the backlog */
}

void hone_http_stop(hone_http *http, double seconds)
{
    if (!http)
        return;
    hone_http_quiesce(http);
    for (double end = hone_clock_seconds() + seconds; atomic_load(&http->n_open) > 0 && hone_clock_seconds() < end;)
        usleep(STOP_POLL_MICROSECONDS);
    MHD_stop_daemon(http->daemon);
    close(http->listener); /* not before: the library's thread may still look at this descriptor */
    free(http);
}

bool hone_http_wait(int client, int event)
{
    struct pollfd fds[2] = {{.fd = event, .events = POLLIN}, {.fd = client, .events = POLLRDHUP}};
    for (;;) {
        int n = poll(fds, 2, -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (fds[1].revents & (POLLRDHUP | POLLERR | POLLHUP | POLLNVAL)))
            return false;
        if (fds[0].revents) {
            uint64_t count;
            return read(event, &count, sizeof count) == (ssize_t)sizeof count || errno == EAGAIN;
        }
    }
}
