/* archive.c - taking a file out of an archive, by libarchive, streaming. */
#include "format/archive.h"

#include "base/cancel.h"
#include "base/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 18, MAX_MEMBERS = 100000 };

static hone_status damaged(struct archive *a, const char *path, hone_error *err)
{
    const char *why = archive_error_string(a);
    return hone_fail(err, HONE_BAD_FORMAT, "%s: cannot be read as a zip archive: %s", path,
                     why ? why : "it is damaged");
}

/* Moves to the member's header. */
static hone_status find_member(struct archive *a, const char *path, const char *member, hone_error *err)
{
    struct archive_entry *entry;
    for (int i = 0; i < MAX_MEMBERS; i++) {
        int result = archive_read_next_header(a, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result < ARCHIVE_WARN)
            return damaged(a, path, err);
        const char *name = archive_entry_pathname(entry);
        if (name && strcmp(name, member) == 0 && archive_entry_filetype(entry) == AE_IFREG)
            return HONE_OK;
    }
    return hone_fail(err, HONE_NOT_FOUND, "%s: has no member \"%s\"", path, member);
}

static hone_status copy_member(struct archive *a, const char *archive, const char *path, int descriptor,
                               int64_t size_bytes, hone_progress *progress, hone_error *err)
{
    int64_t done = 0;
    char *piece = malloc(PIECE_BYTES);
    if (!piece)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_status status = HONE_OK;
    for (;;) {
        la_ssize_t n = archive_read_data(a, piece, PIECE_BYTES);
        if (n < 0)
            status = damaged(a, archive, err);
        else if (n > size_bytes - done || (n == 0 && done != size_bytes))
            status = hone_fail(err, HONE_BAD_FORMAT, "%s: holds a file of %s than the %lld bytes expected", archive,
                               n ? "more" : "less", (long long)size_bytes);
        else if (hone_cancel_requested())
            status = hone_fail(err, HONE_CANCELLED, "stopped while unpacking");
        else if (n > 0)
            status = hone_file_write_all(descriptor, path, piece, (size_t)n, err);
        if (status != HONE_OK || n == 0)
            break;
        done += n;
        hone_progress_update(progress, done, NULL);
    }
    free(piece);
    return status;
}

hone_status hone_archive_extract(const char *archive, const char *member, const char *path, int64_t size_bytes,
                                 hone_progress *progress, hone_error *err)
{
    hone_status status = HONE_OK;
    int descriptor = -1;
    struct archive *a = archive_read_new();
    if (!a)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (!hone_file_exists(archive)) {
        status = hone_fail(err, HONE_NOT_FOUND, "%s: no such file", archive);
        goto done;
    }
    archive_read_support_format_zip(a);
    if (archive_read_open_filename(a, archive, PIECE_BYTES) != ARCHIVE_OK) {
        status = damaged(a, archive, err);
        goto done;
    }
    status = find_member(a, archive, member, err);
    if (status != HONE_OK)
        goto done;
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        status = hone_file_fail_errno(err, path, "write");
        goto done;
    }
    hone_progress_begin(progress, "unpacking", "bytes", size_bytes);
    status = copy_member(a, archive, path, descriptor, size_bytes, progress, err);
    hone_progress_end(progress);
    if (status == HONE_OK && fsync(descriptor) < 0)
        status = hone_file_fail_errno(err, path, "flush to disk");
done:
    if (descriptor >= 0 && close(descriptor) < 0 && status == HONE_OK)
        status = hone_file_fail_errno(err, path, "write");
    archive_read_free(a);
    return status;
}
