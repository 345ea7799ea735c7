/* file.c - reading, mapping and safely replacing files and folders. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

hone_status hone_file_fail_errno(hone_error *err, const char *path, const char *what)
{
    int e = errno;
    hone_status code = e == ENOENT ? HONE_NOT_FOUND : HONE_IO;
    const char *fix = e == ENOSPC || e == EDQUOT ? "; free some space and run the same command again"
                      : e == EACCES              ? "; check the permissions of the file and its folder"
                      : e == EROFS               ? "; choose a folder that can be written"
                      : e == ENOENT              ? "; check the path"
                      : e == EFBIG               ? "; raise the limit on file sizes (ulimit -f)"
                      : e == EISDIR              ? "; name a file inside it"
                                                 : "";
    return hone_fail(err, code, "%s: cannot %s: %s%s", path, what, strerror(e), fix);
}

hone_status hone_map_open(const char *path, hone_map *out, hone_error *err)
{
    hone_status status = HONE_OK;
    memset(out, 0, sizeof *out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hone_file_fail_errno(err, path, "open");
    struct stat st;
    if (fstat(fd, &st) < 0) {
        status = hone_file_fail_errno(err, path, "read its size");
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        status = hone_fail(err, HONE_BAD_INPUT, "%s: is not a regular file; name a file", path);
        goto done;
    }
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = hone_file_fail_errno(err, path, "map into memory");
            goto done;
        }
        out->data = data;
    }
    out->size_bytes = (size_t)st.st_size;
    out->modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    out->inode = st.st_ino;
    out->path = strdup(path);
    if (!out->path) {
        hone_map_close(out);
        status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    }
done:
    close(fd);
    return status;
}

void hone_map_close(hone_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size_bytes);
    free(map->path);
    memset(map, 0, sizeof *map);
}

void hone_map_forget(const hone_map *map)
{
    if (map->data)
        madvise((void *)(uintptr_t)map->data, map->size_bytes, MADV_DONTNEED);
}

hone_status hone_map_check_unchanged(const hone_map *map, hone_error *err)
{
    struct stat st;
    if (stat(map->path, &st) < 0)
        return hone_file_fail_errno(err, map->path, "find again (it was there when hone opened it)");
    int64_t modified = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (st.st_ino != map->inode || modified != map->modified_ns || (size_t)st.st_size != map->size_bytes)
        return hone_fail(err, HONE_BAD_INPUT, "%s: the file changed while hone had it open; start again", map->path);
    return HONE_OK;
}

hone_status hone_file_read(const char *path, size_t max_bytes, hone_buffer *out, hone_error *err)
{
    hone_status status = HONE_OK;
    bool standard_input = strcmp(path, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hone_file_fail_errno(err, path, "open");
    size_t start = out->length;
    char piece[65536];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = hone_file_fail_errno(err, path, "read");
            break;
        }
        if (n == 0)
            break;
        hone_buffer_append(out, piece, (size_t)n);
        if (out->failed) {
            status = hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
            break;
        }
        if (max_bytes && out->length - start > max_bytes) {
            status = hone_fail(err, HONE_BAD_INPUT, "%s: larger than %zu bytes, the limit for this kind of file", path,
                               max_bytes);
            break;
        }
    }
    if (status == HONE_OK)
        hone_buffer_append(out, "", 0);
    if (!standard_input)
        close(fd);
    return status;
}

hone_status hone_file_write_all(int descriptor, const char *path, const void *data, size_t size_bytes, hone_error *err)
{
    const char *p = data;
    for (size_t left = size_bytes; left > 0;) {
        ssize_t n = write(descriptor, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hone_file_fail_errno(err, path, "write");
        p += n;
        left -= (size_t)n;
    }
    return HONE_OK;
}

hone_status hone_draft_begin(const char *path, hone_draft *out, hone_error *err)
{
    hone_buffer temporary = {0};
    hone_buffer_printf(&temporary, "%s.tmp-%ld", path, (long)getpid());
    *out = (hone_draft){.descriptor = -1, .path = strdup(path), .temporary = hone_buffer_take(&temporary)};
    if (!out->path || !out->temporary) {
        hone_draft_drop(out);
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    }
    out->descriptor = open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->descriptor >= 0)
        return HONE_OK;
    hone_status status = hone_file_fail_errno(err, path, "write");
    hone_draft_drop(out);
    return status;
}

hone_status hone_draft_write(hone_draft *draft, const void *data, size_t size_bytes, hone_error *err)
{
    return hone_file_write_all(draft->descriptor, draft->path, data, size_bytes, err);
}

hone_status hone_draft_keep(hone_draft *draft, hone_error *err)
{
    hone_status status = HONE_OK;
    if (fsync(draft->descriptor) < 0)
        status = hone_file_fail_errno(err, draft->path, "flush to disk");
    if (close(draft->descriptor) < 0 && status == HONE_OK)
        status = hone_file_fail_errno(err, draft->path, "write");
    draft->descriptor = -1;
    if (status == HONE_OK && rename(draft->temporary, draft->path) < 0)
        status = hone_file_fail_errno(err, draft->path, "replace");
    if (status == HONE_OK) {
        free(draft->temporary);
        draft->temporary = NULL;
    }
    hone_draft_drop(draft);
    return status;
}

void hone_draft_drop(hone_draft *draft)
{
    if (draft->descriptor >= 0)
        close(draft->descriptor);
    if (draft->temporary)
        unlink(draft->temporary);
    free(draft->temporary);
    free(draft->path);
    *draft = (hone_draft){.descriptor = -1};
}

hone_status hone_file_write_atomic(const char *path, const void *data, size_t size_bytes, hone_error *err)
{
    hone_draft draft;
    hone_status status = hone_draft_begin(path, &draft, err);
    if (status == HONE_OK)
        status = hone_draft_write(&draft, data, size_bytes, err);
    if (status == HONE_OK)
        return hone_draft_keep(&draft, err);
    hone_draft_drop(&draft);
    return status;
}

hone_status hone_folder_create(const char *path, hone_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
    hone_status status = HONE_OK;
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char c = *p;
        *p = 0;
        int cause = mkdir(copy, 0777) < 0 ? errno : 0;
        if (cause && cause != EEXIST && !hone_folder_exists(copy)) {
            errno = cause; /* the look at the folder has set another */
            status = hone_file_fail_errno(err, copy, "create the folder");
            break;
        }
        *p = c;
        if (c == 0)
            break;
    }
    if (status == HONE_OK && !hone_folder_exists(path))
        status =
            hone_fail(err, HONE_IO, "%s: is a file where a folder is needed; remove it or choose another name", path);
    free(copy);
    return status;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

hone_status hone_folder_remove(const char *path, hone_error *err)
{
    enum { OPEN_FOLDERS = 16 };
    if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return hone_file_fail_errno(err, path, "remove the folder");
    return HONE_OK;
}

bool hone_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool hone_folder_exists(const char *path)
{
    int cause = errno; /* kept: this is asked between a failure and its message */
    struct stat st;
    bool exists = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    errno = cause;
    return exists;
}

int64_t hone_file_size_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

hone_status hone_lock_take(const char *path, hone_lock *out, hone_error *err)
{
    out->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (out->descriptor < 0)
        return hone_file_fail_errno(err, path, "open");
    if (flock(out->descriptor, LOCK_EX | LOCK_NB) == 0) {
        char pid[32];
        int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(out->descriptor, 0) < 0 || pwrite(out->descriptor, pid, (size_t)n, 0) < 0) {
            /* The pid is a courtesy for the message below; the lock holds without it. */
        }
        return HONE_OK;
    }
    char pid[32] = "";
    ssize_t n = pread(out->descriptor, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = 0;
    close(out->descriptor);
    out->descriptor = -1;
    long holder = strtol(pid, NULL, 10);
    if (holder > 0)
        return hone_fail(err, HONE_BUSY, "%s: another hone (process %ld) is at work here; wait for it or stop it", path,
                         holder);
    return hone_fail(err, HONE_BUSY, "%s: another hone is at work here; wait for it or stop it", path);
}

void hone_lock_release(hone_lock *lock)
{
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    lock->descriptor = -1;
}

char *hone_path_join(const char *folder, const char *name)
{
    hone_buffer b = {0};
    size_t n = strlen(folder);
    if (name[0] != '/' && n > 0) {
        hone_buffer_puts(&b, folder);
        if (folder[n - 1] != '/')
            hone_buffer_putc(&b, '/');
    }
    hone_buffer_puts(&b, name);
    return hone_buffer_take(&b);
}

hone_status hone_home_folder(char **out, hone_error *err)
{
    const char *home = getenv("HONE_HOME"), *xdg = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
    if (home && *home)
        *out = strdup(home);
    else if (xdg && *xdg)
        *out = hone_path_join(xdg, "hone");
    else if (user && *user)
        *out = hone_path_join(user, ".cache/hone");
    else
        return hone_fail(err, HONE_BAD_INPUT, "no folder for models: set HONE_HOME to one that can be written");
    return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}
