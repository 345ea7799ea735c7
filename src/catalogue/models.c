/* models.c - reading the catalogue of models, and finding a model's file by name.
 *
 * A catalogue file may be anybody's (HONE_CATALOGUE), and its words end up in paths and in another program's
 * arguments, so each is checked here, once: a file name is a plain name, package and version hold only letters,
 * digits and ". _ - + !" and do not begin with a dash, an address is http(s), a hash is 64 lower-case hex digits. */
#include "catalogue/models.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CATALOGUE_BYTES = 1 << 24, MAX_ITEMS = 4096 };
static const int64_t max_model_bytes = (int64_t)1 << 42;

struct hone_model_catalogue {
    hone_arena *arena;
    hone_model_entry *entries;
    size_t n;
};

/* What is being read, for messages. */
typedef struct reader {
    hone_arena *arena;
    const char *origin; /* the file's name */
    char where[128];    /* "models[2] (gemma3)" */
    hone_error *err;
} reader;

static hone_status bad(reader *r, const char *key, const char *problem)
{
    return hone_fail(r->err, HONE_BAD_INPUT, "%s: %s: \"%s\" %s", r->origin, r->where, key, problem);
}

static hone_status no_memory(reader *r)
{
    return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->origin);
}

static hone_status check_keys(reader *r, const json_t *object, const char *const *known, size_t n_known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < n_known; i++)
            found = found || strcmp(key, known[i]) == 0;
        if (found)
            continue;
        const char *near = hone_suggest(key, known, n_known);
        if (near)
            return hone_fail(r->err, HONE_BAD_INPUT, "%s: %s: unknown key \"%s\" (did you mean \"%s\"?)", r->origin,
                             r->where, key, near);
        return hone_fail(r->err, HONE_BAD_INPUT, "%s: %s: unknown key \"%s\"", r->origin, r->where, key);
    }
    return HONE_OK;
}

static bool is_plain_word(const char *s)
{
    if (*s == '-' || *s == '.' || *s == 0)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-+!", *s))
            return false;
    return true;
}

static bool is_hash(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static bool is_address(const char *s)
{
    return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

static bool is_anything(const char *s)
{
    (void)s;
    return true;
}

/* Reads a string that `good` accepts. An absent optional one is "". Strings cannot hold a NUL: jansson refuses it. */
static hone_status take_text(reader *r, const json_t *object, const char *key, bool optional,
                             bool (*good)(const char *), const char *wanted, const char **out)
{
    json_t *value = json_object_get(object, key);
    if (!value && optional) {
        *out = "";
        return HONE_OK;
    }
    if (!value)
        return bad(r, key, "is missing");
    if (!json_is_string(value) || !good(json_string_value(value)))
        return bad(r, key, wanted);
    *out = hone_arena_strdup(r->arena, json_string_value(value));
    return *out ? HONE_OK : no_memory(r);
}

static hone_status take_size(reader *r, const json_t *object, int64_t *out)
{
    json_t *value = json_object_get(object, "size_bytes");
    if (!value)
        return bad(r, "size_bytes", "is missing");
    *out = json_integer_value(value);
    if (!json_is_integer(value) || *out < 1 || *out > max_model_bytes)
        return bad(r, "size_bytes", "must be a whole number of bytes, at least 1");
    return HONE_OK;
}

static hone_status take_piece(reader *r, const json_t *object, bool is_part, hone_model_piece *out)
{
    static const char *const known[] = {"url", "python_package", "version", "member", "size_bytes"};
    if (!json_is_object(object))
        return bad(r, "sources", "must hold objects");
    size_t n_known = sizeof known / sizeof *known;
    hone_status status = check_keys(r, object, known, is_part ? n_known : n_known - 1);
    if (status != HONE_OK)
        return status;
    if (is_part && (status = take_size(r, object, &out->size_bytes)) != HONE_OK)
        return status;
    if (json_object_get(object, "url") && json_object_get(object, "python_package"))
        return bad(r, "url", "and \"python_package\" stand in one source; make them two");
    if (json_object_get(object, "url"))
        return take_text(r, object, "url", false, is_address, "must begin with http:// or https://", &out->url);
    status = take_text(r, object, "python_package", false, is_plain_word, "must be a package's name", &out->package);
    if (status == HONE_OK)
        status =
            take_text(r, object, "version", false, is_plain_word, "must be a version such as 0.1.2", &out->version);
    if (status == HONE_OK)
        status =
            take_text(r, object, "member", false, is_anything, "must be a file's name in the package", &out->member);
    return status;
}

static hone_status take_source(reader *r, const json_t *object, int64_t size_bytes, hone_model_source *out)
{
    json_t *parts = json_object_get(object, "parts");
    size_t n = parts ? json_array_size(parts) : 1;
    if (n < 1 || n > MAX_ITEMS || (parts && json_object_size(object) != 1))
        return bad(r, "parts", "must be a list of parts, and stand alone in its source");
    out->pieces = hone_arena_array(r->arena, n, sizeof *out->pieces);
    if (!out->pieces)
        return no_memory(r);
    out->n_pieces = n;
    if (!parts) {
        out->pieces->size_bytes = size_bytes;
        return take_piece(r, object, false, out->pieces);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        hone_status status = take_piece(r, json_array_get(parts, i), true, &out->pieces[i]);
        if (status != HONE_OK)
            return status;
        sum += out->pieces[i].size_bytes; /* at most 4096 * 2^42: no overflow */
    }
    return sum == size_bytes ? HONE_OK : bad(r, "parts", "have sizes that do not add up to the file's size_bytes");
}

/* a + b in the arena; NULL when out of memory. */
static const char *joined(reader *r, const char *a, const char *b)
{
    size_t n = strlen(a);
    char *out = hone_arena_alloc(r->arena, n + strlen(b) + 1);
    if (out) {
        memcpy(out, a, n);
        memcpy(out + n, b, strlen(b) + 1);
    }
    return out;
}

/* The sources of one file of a folder: the folder's, with the file's name behind them. */
static hone_status take_file_sources(reader *r, const hone_model_entry *folder, const char *name, hone_model_entry *out)
{
    out->n_sources = folder->n_sources;
    out->sources = hone_arena_array(r->arena, out->n_sources, sizeof *out->sources);
    hone_model_piece *pieces = hone_arena_array(r->arena, out->n_sources, sizeof *pieces);
    if (!out->sources || !pieces)
        return no_memory(r);
    for (size_t i = 0; i < out->n_sources; i++) {
        const hone_model_piece *from = folder->sources[i].pieces;
        const char *stem = from->url ? from->url : from->member;
        if (folder->sources[i].n_pieces != 1 || !*stem || stem[strlen(stem) - 1] != '/')
            return bad(r, "sources", "of a folder must be one piece each, whose address or member ends in \"/\"");
        const char *whole = joined(r, stem, name);
        if (!whole)
            return no_memory(r);
        pieces[i] = (hone_model_piece){.url = from->url ? whole : NULL,
                                       .package = from->package,
                                       .version = from->version,
                                       .member = from->url ? NULL : whole,
                                       .size_bytes = out->size_bytes};
        out->sources[i] = (hone_model_source){&pieces[i], 1};
    }
    return HONE_OK;
}

static hone_status take_files(reader *r, const json_t *list, hone_model_entry *folder)
{
    static const char *const known[] = {"file", "size_bytes", "sha256"};
    size_t n = json_array_size(list);
    if (n < 1 || n > MAX_ITEMS)
        return bad(r, "files", "must be a list of at least one file");
    folder->files = hone_arena_array(r->arena, n, sizeof *folder->files);
    const char *stem = joined(r, folder->file, "/");
    if (!folder->files || !stem)
        return no_memory(r);
    for (; folder->n_files < n; folder->n_files++) {
        hone_model_entry *e = &folder->files[folder->n_files];
        const json_t *object = json_array_get(list, folder->n_files);
        const char *name;
        *e = (hone_model_entry){.name = folder->name, .description = "", .licence = folder->licence};
        if (!json_is_object(object))
            return bad(r, "files", "must hold objects");
        hone_status status = check_keys(r, object, known, sizeof known / sizeof *known);
        if (status == HONE_OK)
            status = take_text(r, object, "file", false, is_plain_word, "must be a plain file name", &name);
        if (status == HONE_OK)
            status = take_text(r, object, "sha256", false, is_hash, "must be 64 lower-case hex digits", &e->sha256);
        if (status == HONE_OK)
            status = take_size(r, object, &e->size_bytes);
        if (status == HONE_OK && !(e->file = joined(r, stem, name)))
            status = no_memory(r);
        if (status == HONE_OK)
            status = take_file_sources(r, folder, name, e);
        if (status != HONE_OK)
            return status;
        for (size_t i = 0; i < folder->n_files; i++)
            if (strcmp(folder->files[i].file, e->file) == 0)
                return bad(r, "files", "names one twice");
        folder->size_bytes += e->size_bytes; /* at most 4096 * 2^42: no overflow */
    }
    return HONE_OK;
}

static hone_status take_entry(reader *r, const json_t *object, hone_model_entry *out)
{
    static const char *const known[] = {"name",       "aliases", "description", "licence", "file",
                                        "size_bytes", "sha256",  "sources",     "folder",  "files"};
    if (!json_is_object(object))
        return bad(r, "models", "must hold objects");
    bool is_folder = json_object_get(object, "folder") != NULL;
    if (is_folder &&
        (json_object_get(object, "file") || json_object_get(object, "size_bytes") || json_object_get(object, "sha256")))
        return bad(r, "folder", "stands beside \"file\", \"size_bytes\" or \"sha256\"; they belong into \"files\"");
    if (!is_folder && json_object_get(object, "files"))
        return bad(r, "files", "needs a \"folder\"");
    hone_status status = check_keys(r, object, known, sizeof known / sizeof *known);
    if (status == HONE_OK)
        status = take_text(r, object, "name", false, is_plain_word, "must be a plain word", &out->name);
    if (status == HONE_OK)
        status = take_text(r, object, "description", true, is_anything, "must be text", &out->description);
    if (status == HONE_OK)
        status = take_text(r, object, "licence", false, is_anything, "must be text", &out->licence);
    if (status == HONE_OK)
        status = take_text(r, object, is_folder ? "folder" : "file", false, is_plain_word, "must be a plain file name",
                           &out->file);
    if (status == HONE_OK)
        status = take_text(r, object, "sha256", is_folder, is_hash, "must be 64 lower-case hex digits", &out->sha256);
    if (status == HONE_OK && !is_folder)
        status = take_size(r, object, &out->size_bytes);
    if (status != HONE_OK)
        return status;

    json_t *aliases = json_object_get(object, "aliases"), *sources = json_object_get(object, "sources");
    if (aliases && (!json_is_array(aliases) || json_array_size(aliases) > MAX_ITEMS))
        return bad(r, "aliases", "must be a list of names");
    if (json_array_size(sources) < 1 || json_array_size(sources) > MAX_ITEMS)
        return bad(r, "sources", "must be a list of at least one source");
    out->aliases = hone_arena_array(r->arena, json_array_size(aliases) + 1, sizeof *out->aliases);
    out->sources = hone_arena_array(r->arena, json_array_size(sources), sizeof *out->sources);
    if (!out->aliases || !out->sources)
        return no_memory(r);
    for (; out->n_aliases < json_array_size(aliases); out->n_aliases++) {
        const char *alias = json_string_value(json_array_get(aliases, out->n_aliases));
        if (!alias || !is_plain_word(alias))
            return bad(r, "aliases", "must be a list of names");
        if (!(out->aliases[out->n_aliases] = hone_arena_strdup(r->arena, alias)))
            return no_memory(r);
    }
    for (; out->n_sources < json_array_size(sources); out->n_sources++) {
        status =
            take_source(r, json_array_get(sources, out->n_sources), out->size_bytes, &out->sources[out->n_sources]);
        if (status != HONE_OK)
            return status;
    }
    return is_folder ? take_files(r, json_object_get(object, "files"), out) : HONE_OK;
}

static hone_status take_catalogue(reader *r, const json_t *root, hone_model_catalogue *out)
{
    static const char *const known[] = {"models"};
    json_t *models = json_object_get(root, "models");
    strcpy(r->where, "top level");
    if (!json_is_array(models) || json_array_size(models) > MAX_ITEMS)
        return bad(r, "models", "must be a list");
    hone_status status = check_keys(r, root, known, 1);
    if (status != HONE_OK)
        return status;
    size_t n = json_array_size(models);
    out->entries = hone_arena_array(r->arena, n + 1, sizeof *out->entries);
    if (!out->entries)
        return no_memory(r);
    for (; out->n < n; out->n++) {
        const json_t *object = json_array_get(models, out->n);
        const char *name = json_string_value(json_object_get(object, "name"));
        snprintf(r->where, sizeof r->where, "models[%zu] (%s)", out->n, name ? name : "no name");
        status = take_entry(r, object, &out->entries[out->n]);
        if (status != HONE_OK)
            return status;
        const hone_model_entry *e = &out->entries[out->n];
        for (size_t i = 0; i < out->n; i++)
            if (strcmp(out->entries[i].name, e->name) == 0 || strcmp(out->entries[i].file, e->file) == 0)
                return bad(r, "name", "or \"file\" is that of an earlier model");
    }
    return HONE_OK;
}

hone_status hone_model_catalogue_open(hone_model_catalogue **out, hone_error *err)
{
    hone_status status = HONE_OK;
    hone_buffer text = {0};
    json_t *root = NULL;
    json_error_t where;
    const char *path = getenv("HONE_CATALOGUE");
    reader r = {.origin = path && *path ? path : "built-in catalogue", .err = err};
    hone_model_catalogue *catalogue = calloc(1, sizeof *catalogue);
    *out = NULL;
    if (!catalogue || !(catalogue->arena = r.arena = hone_arena_create())) {
        status = no_memory(&r);
        goto done;
    }
    if (path && *path)
        status = hone_file_read(path, MAX_CATALOGUE_BYTES, &text, err);
    else
        hone_buffer_append(&text, hone_models_json, (size_t)(hone_models_json_end - hone_models_json));
    if (status == HONE_OK && text.failed)
        status = no_memory(&r);
    if (status != HONE_OK) {
        status = hone_fail_within(err, status, "HONE_CATALOGUE");
        goto done;
    }
    root = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        status = hone_fail(err, HONE_BAD_INPUT, "%s:%d: bad JSON: %s", r.origin, where.line, where.text);
        goto done;
    }
    status = take_catalogue(&r, root, catalogue);
done:
    json_decref(root);
    hone_buffer_clear(&text);
    if (status == HONE_OK)
        *out = catalogue;
    else
        hone_model_catalogue_free(catalogue);
    return status;
}

void hone_model_catalogue_free(hone_model_catalogue *catalogue)
{
    if (!catalogue)
        return;
    hone_arena_free(catalogue->arena);
    free(catalogue);
}

size_t hone_model_catalogue_size(const hone_model_catalogue *catalogue)
{
    return catalogue->n;
}

const hone_model_entry *hone_model_catalogue_get(const hone_model_catalogue *catalogue, size_t i)
{
    return &catalogue->entries[i];
}

static bool is_called(const hone_model_entry *e, const char *name)
{
    if (strcmp(e->name, name) == 0)
        return true;
    for (size_t i = 0; i < e->n_aliases; i++)
        if (strcmp(e->aliases[i], name) == 0)
            return true;
    return false;
}

hone_status hone_model_catalogue_find(const hone_model_catalogue *catalogue, const char *name,
                                      const hone_model_entry **out, hone_error *err)
{
    const char *names[MAX_ITEMS];
    for (size_t i = 0; i < catalogue->n; i++) {
        names[i] = catalogue->entries[i].name;
        if (is_called(&catalogue->entries[i], name)) {
            *out = &catalogue->entries[i];
            return HONE_OK;
        }
    }
    const char *near = hone_suggest(name, names, catalogue->n);
    if (near)
        return hone_fail(err, HONE_NOT_FOUND, "unknown model \"%s\" (did you mean \"%s\"?)", name, near);
    return hone_fail(err, HONE_NOT_FOUND,
                     "unknown model \"%s\"; `hone model list` shows the names, or give a file's path", name);
}

hone_status hone_model_path(const hone_model_entry *entry, char **out, hone_error *err)
{
    char *home = NULL;
    hone_status status = hone_home_folder(&home, err);
    if (status != HONE_OK)
        return status;
    char *folder = hone_path_join(home, "models");
    *out = folder ? hone_path_join(folder, entry->file) : NULL;
    free(folder);
    free(home);
    return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

hone_status hone_model_get_state(const hone_model_entry *entry, hone_model_state *out, hone_error *err)
{
    size_t n = entry->n_files ? entry->n_files : 1, n_right = 0, n_there = 0;
    for (size_t i = 0; i < n; i++) {
        const hone_model_entry *e = entry->n_files ? &entry->files[i] : entry;
        char *path;
        hone_status status = hone_model_path(e, &path, err);
        if (status != HONE_OK)
            return status;
        int64_t size = hone_file_size_bytes(path);
        n_there += size >= 0;
        n_right += size == e->size_bytes;
        free(path);
    }
    *out = n_right == n ? HONE_MODEL_HERE : n_there ? HONE_MODEL_DAMAGED : HONE_MODEL_ABSENT;
    return HONE_OK;
}

static bool looks_like_path(const char *model)
{
    size_t n = strlen(model);
    return strchr(model, '/') || (n > 5 && strcmp(model + n - 5, ".gguf") == 0) || hone_file_exists(model) ||
           hone_folder_exists(model);
}

hone_status hone_model_resolve(const char *model, char **path, hone_error *err)
{
    *path = NULL;
    if (looks_like_path(model)) {
        *path = strdup(model);
        return *path ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    hone_model_catalogue *catalogue;
    const hone_model_entry *entry = NULL;
    hone_status status = hone_model_catalogue_open(&catalogue, err);
    if (status != HONE_OK)
        return status;
    status = hone_model_catalogue_find(catalogue, model, &entry, err);
    if (status == HONE_OK)
        status = hone_model_path(entry, path, err);
    if (status != HONE_OK)
        goto done;
    hone_model_state state;
    status = hone_model_get_state(entry, &state, err);
    if (status == HONE_OK && state == HONE_MODEL_ABSENT)
        status =
            hone_fail(err, HONE_NOT_FOUND, "%s is not here yet; run: hone model pull %s", entry->name, entry->name);
    else if (status == HONE_OK && state == HONE_MODEL_DAMAGED && entry->n_files)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: files are missing or have another size; run: hone model pull %s",
                           *path, entry->name);
    else if (status == HONE_OK && state == HONE_MODEL_DAMAGED)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: has %lld bytes where %lld are expected; run: hone model pull %s",
                           *path, (long long)hone_file_size_bytes(*path), (long long)entry->size_bytes, entry->name);
done:
    if (status != HONE_OK) {
        free(*path);
        *path = NULL;
    }
    hone_model_catalogue_free(catalogue);
    return status;
}
