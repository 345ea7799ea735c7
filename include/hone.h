/* hone.h - the public interface of libhone.
 *
 * Every fallible function returns a hone_status and takes a `hone_error *err` last, which may be NULL.
 * The library never prints, exits or aborts. Strings are UTF-8 and NUL-terminated unless a length stands beside them.
 * Objects are opaque; who creates one frees it; a function that keeps a borrowed pointer says so. */
#ifndef HONE_H
#define HONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_VERSION "0.1.0"

typedef enum hone_status {
    HONE_OK = 0,
    HONE_BAD_INPUT,   /* the caller's or user's data is wrong: wrong usage, bad row, bad value */
    HONE_BAD_FORMAT,  /* a file does not follow its format: truncated, absurd sizes, wrong magic */
    HONE_UNSUPPORTED, /* well-formed, but hone does not do this (type, architecture, keyword: named in the message) */
    HONE_NOT_FOUND,   /* no such file, model, adapter, label */
    HONE_NO_MEMORY,   /* allocation refused, or a stated memory budget exceeded */
    HONE_IO,          /* the system failed: disk full, permission, read error */
    HONE_NETWORK,     /* a remote source or model could not be reached */
    HONE_BUSY,        /* another hone holds the lock */
    HONE_CANCELLED    /* stopped by the user; state was saved */
} hone_status;

/* Filled on failure. The message names the place, the cause and the fix; no trailing newline. */
typedef struct hone_error {
    hone_status code;
    char message[1024];
} hone_error;

#ifdef __cplusplus
}
#endif
#endif
