/* temporary.h - a folder for one test, and files in it. Include after cmocka.h. */
#ifndef HONE_TESTS_TEMPORARY_H
#define HONE_TESTS_TEMPORARY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char temporary_folder[64];

__attribute__((unused)) static int temporary_begin(void **state)
{
    (void)state;
    strcpy(temporary_folder, "/tmp/hone-test-XXXXXX");
    return mkdtemp(temporary_folder) ? 0 : -1;
}

static int temporary_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

__attribute__((unused)) static int temporary_end(void **state)
{
    (void)state;
    nftw(temporary_folder, temporary_remove, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* The path of a file in the folder, in one of a few static buffers. */
__attribute__((unused)) static const char *temporary_path(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", temporary_folder, name);
    return path;
}

__attribute__((unused)) static const char *temporary_bytes(const char *name, const void *data, size_t size)
{
    const char *path = temporary_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    return path;
}

__attribute__((unused)) static const char *temporary_file(const char *name, const char *text)
{
    return temporary_bytes(name, text, strlen(text));
}

/* Checks that a message holds a text, and shows both where it does not. */
#define assert_says(err, text)                                                                                         \
    do {                                                                                                               \
        if (!strstr((err).message, text))                                                                              \
            fail_msg("the message is:\n  %s\nand should hold:\n  %s", (err).message, text);                            \
    } while (0)

#endif
