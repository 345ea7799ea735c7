/* fuzz_rows.c - feeds bytes to the readers of settings and examples: the first byte says which. Built by ./dev fuzz
 * with libFuzzer.
 *
 * What must hold: no access outside the file, a message that names the file with every refusal, and rows whose input
 * and output are text that is not empty. */
#include "base/arena.h"
#include "format/yaml.h"
#include "task/fold.h"
#include "task/rows.h"
#include "task/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void read_rows(const char *path, unsigned choice, hone_arena *arena)
{
    json_t *keep = json_array(), *warnings = json_array();
    hone_error err = {0};
    hone_rows rows;
    hone_row_options options = {
        .kind = (hone_output_kind)(choice % 6), .skip_empty = choice & 64, .group_field = choice & 128 ? "g" : NULL};
    if (hone_rows_read(path, &options, arena, keep, warnings, &rows, &err) == HONE_OK) {
        for (size_t i = 0; i < rows.n; i++) {
            char key[33];
            must(rows.items[i].input[0] && rows.items[i].output[0] && strlen(rows.items[i].id) == 32);
            must(hone_fold_key(rows.items[i].input, key, &err) == HONE_OK);
        }
    } else
        must(strncmp(err.message, path, strlen(path)) == 0);
    json_decref(keep);
    json_decref(warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = {"yaml", "jsonl", "csv"};
    char path[64];
    hone_error err = {0};
    if (size < 2)
        return 0;
    hone_arena *arena = hone_arena_create();
    int which = data[0] % 3;
    snprintf(path, sizeof path, "/dev/shm/hone-fuzz-%ld.%s", (long)getpid(), endings[which]);
    FILE *f = fopen(path, "wb");
    must(f && fwrite(data + 2, 1, size - 2, f) == size - 2 && fclose(f) == 0);
    if (which == 0) {
        hone_settings settings;
        if (hone_settings_read(path, arena, &settings, &err) != HONE_OK)
            must(strncmp(err.message, path, strlen(path)) == 0);
    } else
        read_rows(path, data[1], arena);
    unlink(path);
    hone_arena_free(arena);
    return 0;
}
