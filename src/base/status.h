/* status.h - raising and passing on errors. */
#ifndef HONE_BASE_STATUS_H
#define HONE_BASE_STATUS_H

#include "hone.h"

/* Writes the formatted message into `err` (if not NULL) and returns `code`, so that a failure is one statement:
 * return hone_fail(err, HONE_IO, "%s: cannot open: %s", path, strerror(errno)); */
hone_status hone_fail(hone_error *err, hone_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message already in `err`; returns err's code (or `code` if err is NULL). */
hone_status hone_fail_within(hone_error *err, hone_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Short name of a status for logs and JSON, such as "bad_input". Static storage. */
const char *hone_status_name(hone_status code);

#endif
