/* show.c - printing a report on the terminal as it is. */
#include "cli/show.h"

#include "report/document.h"
#include "report/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static hone_terminal_style style_of(FILE *out)
{
    struct winsize size;
    bool terminal = isatty(fileno(out)) == 1;
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");
    hone_terminal_style style = {.columns = 0,
                                 .colour = terminal && !(no_color && no_color[0]) && kind && strcmp(kind, "dumb") != 0};
    if (terminal && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
        style.columns = size.ws_col;
    return style;
}

/* Writes and flushes, so that a full disk or a closed pipe is noticed. Clears the buffer. */
static hone_status write_out(hone_buffer *b, FILE *out, hone_error *err)
{
    bool good = fwrite(b->data ? b->data : "", 1, b->length, out) == b->length && fflush(out) == 0;
    int reason = errno;
    hone_buffer_clear(b);
    return good ? HONE_OK : hone_fail(err, HONE_IO, "cannot write the report: %s", strerror(reason));
}

hone_status hone_show_comparison(const json_t *document, FILE *out, hone_error *err)
{
    hone_buffer b = {0};
    hone_status status = hone_report_terminal(document, style_of(out), &b, err);
    if (status == HONE_OK)
        return write_out(&b, out, err);
    hone_buffer_clear(&b);
    return status;
}

hone_status hone_show_json(const json_t *document, FILE *out, hone_error *err)
{
    hone_buffer b = {0};
    hone_status status = hone_report_json(document, &b, err);
    if (status == HONE_OK)
        return write_out(&b, out, err);
    hone_buffer_clear(&b);
    return status;
}
