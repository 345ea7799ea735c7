/* adapter_find.c - adapters by name. */
#include "model/adapter_find.h"

#include "base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 512, MAX_LISTED_BYTES = 1024 };

/* The names found in the folders, for the message where one is not among them. */
typedef struct names {
    char *items[MAX_NAMES];
    size_t n;
} names;

static bool holds_adapter(const char *folder)
{
    char *path = hone_path_join(folder, "adapter_config.json");
    bool holds = path && hone_file_exists(path);
    free(path);
    return holds;
}

/* <home>/adapters, or NULL where hone has no home. malloc'd. */
static char *shared_folder(void)
{
    char *home = NULL, *folder = NULL;
    if (hone_home_folder(&home, NULL) == HONE_OK)
        folder = hone_path_join(home, "adapters");
    free(home);
    return folder;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect(names *all, const char *folder)
{
    DIR *listing = opendir(folder);
    for (const struct dirent *e; listing && all->n < MAX_NAMES && (e = readdir(listing)) != NULL;) {
        char *path = e->d_name[0] == '.' ? NULL : hone_path_join(folder, e->d_name);
        char *name = path && holds_adapter(path) ? strdup(e->d_name) : NULL;
        if (name)
            all->items[all->n++] = name;
        free(path);
    }
    if (listing)
        closedir(listing);
}

/* "a, b and 3 more", or "none". */
static void list_names(hone_buffer *out, const char *shared)
{
    names all = {.n = 0};
    collect(&all, "adapters");
    if (shared)
        collect(&all, shared);
    qsort(all.items, all.n, sizeof *all.items, by_text);
    size_t listed = 0;
    for (; listed < all.n && out->length < MAX_LISTED_BYTES; listed++)
        if (listed == 0 || strcmp(all.items[listed], all.items[listed - 1]) != 0)
            hone_buffer_printf(out, "%s%s", listed ? ", " : "", all.items[listed]);
    if (listed < all.n)
        hone_buffer_printf(out, " and %zu more", all.n - listed);
    if (all.n == 0)
        hone_buffer_puts(out, "none");
    for (size_t i = 0; i < all.n; i++)
        free(all.items[i]);
}

static hone_status not_found(const char *name, const char *shared, hone_error *err)
{
    hone_buffer there = {0};
    list_names(&there, shared);
    hone_status status = hone_fail(
        err, HONE_NOT_FOUND,
        "there is no adapter \"%.200s\" in adapters/ here%s%s; there is: %s. `hone train` makes one, and a path "
        "names one that lies elsewhere",
        name, shared ? " or in " : "", shared ? shared : "", there.data ? there.data : "none");
    hone_buffer_clear(&there);
    return status;
}

hone_status hone_adapter_find(const char *adapter, char **folder, hone_error *err)
{
    *folder = NULL;
    if (!*adapter)
        return hone_fail(err, HONE_BAD_INPUT, "the adapter's name is empty; give a name or a folder");
    if (strchr(adapter, '/') || holds_adapter(adapter)) {
        *folder = strdup(adapter);
        return *folder ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    char *shared = shared_folder();
    const char *const places[] = {"adapters", shared};
    for (int i = 0; i < 2 && !*folder; i++) {
        char *path = places[i] ? hone_path_join(places[i], adapter) : NULL;
        if (path && holds_adapter(path))
            *folder = path;
        else
            free(path);
    }
    hone_status status = *folder ? HONE_OK : not_found(adapter, shared, err);
    free(shared);
    return status;
}
