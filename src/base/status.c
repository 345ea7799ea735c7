/* status.c - raising and passing on errors. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

hone_status hone_fail(hone_error *err, hone_status code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return code;
}

hone_status hone_fail_within(hone_error *err, hone_status code, const char *format, ...)
{
    if (!err)
        return code;
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    inner[sizeof inner - 1] = 0;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 2 < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - (size_t)n, ": %.*s",
                 (int)(sizeof err->message - (size_t)n - 3), inner);
    err->code = code;
    return code;
}

const char *hone_status_name(hone_status code)
{
    static const char *const names[] = {"ok",        "bad_input", "bad_format", "unsupported", "not_found",
                                        "no_memory", "io",        "network",    "busy",        "cancelled"};
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "unknown";
}
