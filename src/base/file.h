/* file.h - reading, mapping and safely replacing files and folders. */
#ifndef HONE_BASE_FILE_H
#define HONE_BASE_FILE_H

#include "base/buffer.h"
#include "base/status.h"

/* A read-only memory mapping of a whole file. */
typedef struct hone_map {
    const unsigned char *data;
    size_t size_bytes;
    char *path;          /* owned copy, for messages */
    int64_t modified_ns; /* modification time at opening, to notice a file that changes while open */
    uint64_t inode;
} hone_map;

/* HONE_NOT_FOUND, HONE_IO; an empty file maps to size 0 and data NULL. */
hone_status hone_map_open(const char *path, hone_map *out, hone_error *err);
void hone_map_close(hone_map *map);
/* Gives the pages that were read back to the system; reading them again fetches them again. */
void hone_map_forget(const hone_map *map);
/* HONE_BAD_INPUT when the file at the path is no longer the one that was mapped. */
hone_status hone_map_check_unchanged(const hone_map *map, hone_error *err);

/* Appends the whole file to `out`. "-" reads standard input. max_bytes 0: no limit. */
hone_status hone_file_read(const char *path, size_t max_bytes, hone_buffer *out, hone_error *err);
/* Writes to "<path>.tmp-<pid>", flushes to disk and renames over `path`; a failure leaves the old file whole and
 * removes the temporary one. */
hone_status hone_file_write_atomic(const char *path, const void *data, size_t size_bytes, hone_error *err);
/* The same for a file too large to be held in memory: begin, write any number of pieces, then keep (flush and rename;
 * the draft is done, whatever it returns) or drop (the old file stays). A draft that failed to begin needs neither. */
typedef struct hone_draft {
    int descriptor;
    char *path, *temporary;
} hone_draft;
hone_status hone_draft_begin(const char *path, hone_draft *out, hone_error *err);
hone_status hone_draft_write(hone_draft *draft, const void *data, size_t size_bytes, hone_error *err);
hone_status hone_draft_keep(hone_draft *draft, hone_error *err);
void hone_draft_drop(hone_draft *draft);
/* Writes all bytes to an open file; `path` is for the message. */
hone_status hone_file_write_all(int descriptor, const char *path, const void *data, size_t size_bytes, hone_error *err);
/* Fails with "<path>: cannot <what>: <errno's text>; <how to mend it>": HONE_NOT_FOUND for ENOENT, else HONE_IO. */
hone_status hone_file_fail_errno(hone_error *err, const char *path, const char *what);
/* Creates the folder and its parents; fine when it exists. */
hone_status hone_folder_create(const char *path, hone_error *err);
/* Removes the folder and all below it (links are removed, not followed); fine when it is absent. */
hone_status hone_folder_remove(const char *path, hone_error *err);
bool hone_file_exists(const char *path);
bool hone_folder_exists(const char *path);
/* Bytes, or -1 when there is no such file. */
int64_t hone_file_size_bytes(const char *path);

/* An advisory lock on `path` (created if absent), held until hone_lock_release or the end of the process, so a killed
 * process leaves none behind. HONE_BUSY when another process has it (the message names its pid where known). */
typedef struct hone_lock {
    int descriptor;
} hone_lock;
hone_status hone_lock_take(const char *path, hone_lock *out, hone_error *err);
void hone_lock_release(hone_lock *lock);

/* "a/b" from "a" and "b" into a malloc'd string; b alone when it is absolute. NULL when out of memory. */
char *hone_path_join(const char *folder, const char *name);
/* The folder that holds models, locks and counters: HONE_HOME, else XDG_CACHE_HOME/hone, else HOME/.cache/hone.
 * malloc'd. HONE_BAD_INPUT when none of these is set. */
hone_status hone_home_folder(char **out, hone_error *err);

#endif
