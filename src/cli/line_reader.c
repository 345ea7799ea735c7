/* line_reader.c - lines from standard input: through the line editor where a person types them at a terminal that can
 * have one, and as they are from a pipe.
 *
 * Bytes are read directly, not through stdio, so that Ctrl-C ends a read that waits. */
#include "cli/line_reader.h"

#include "base/cancel.h"
#include "cli/line_editor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void hone_interrupt_begin(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt; /* without SA_RESTART: a read that waits ends */
    sigaction(SIGINT, &action, NULL);
}

bool hone_interrupt_take(void)
{
    bool was = interrupted;
    interrupted = 0;
    return was;
}

bool hone_line_reader_is_terminal(void)
{
    return isatty(STDIN_FILENO) == 1;
}

hone_line hone_line_read(const char *prompt, hone_buffer *out)
{
    static char bytes[65536];
    static size_t at, n;
    if (hone_line_editor_begin())
        return hone_line_editor_read(prompt, out);
    hone_buffer_reset(out);
    if (hone_line_reader_is_terminal()) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    for (;;) {
        if (at < n) {
            const char *end = memchr(bytes + at, '\n', n - at);
            size_t stop = end ? (size_t)(end - bytes) : n;
            hone_buffer_append(out, bytes + at, stop - at);
            at = end ? stop + 1 : n;
            if (!end)
                continue;
            if (out->length > 0 && out->data[out->length - 1] == '\r')
                out->data[--out->length] = 0;
            return HONE_LINE_READ;
        }
        ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            hone_buffer_reset(out);
            if (hone_cancel_requested())
                return HONE_LINE_END;
            if (hone_interrupt_take())
                return HONE_LINE_INTERRUPTED;
            continue;
        }
        if (got <= 0)
            return out->length > 0 ? HONE_LINE_READ : HONE_LINE_END;
        at = 0;
        n = (size_t)got;
        for (size_t i = 0; i < n; i++)
            if (bytes[i] == 0)
                bytes[i] = ' ';
    }
}
