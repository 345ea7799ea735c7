/* archive.h - taking a file out of an archive (zip: a Python wheel). */
#ifndef HONE_FORMAT_ARCHIVE_H
#define HONE_FORMAT_ARCHIVE_H

#include "base/progress.h"
#include "base/status.h"

/* Writes the member (its full name inside the archive) to `path`, a piece at a time, and flushes it to disk.
 * HONE_NOT_FOUND: no such member; HONE_BAD_FORMAT: not an archive, damaged, or the member does not have size_bytes
 * (no more than that is ever written); HONE_IO; HONE_CANCELLED. A failure leaves a partial `path` to its owner. */
hone_status hone_archive_extract(const char *archive, const char *member, const char *path, int64_t size_bytes,
                                 hone_progress *progress, hone_error *err);

#endif
