/* yaml.h - reads a small YAML file into a tree that remembers lines.
 *
 * Only what a settings file needs: maps, lists and scalars, block or flow. Refused, because each hides what a file says
 * or lets a small file grow large: anchors and aliases, tags, repeated keys, several documents, keys that are not plain
 * text. */
#ifndef HONE_FORMAT_YAML_H
#define HONE_FORMAT_YAML_H

#include "base/arena.h"
#include "base/status.h"

enum { HONE_YAML_MAX_DEPTH = 32, HONE_YAML_MAX_BYTES = 1 << 20, HONE_YAML_MAX_KEYS = 1024 /* of one map */ };

typedef enum hone_yaml_kind { HONE_YAML_SCALAR, HONE_YAML_LIST, HONE_YAML_MAP } hone_yaml_kind;

typedef struct hone_yaml_node hone_yaml_node;

typedef struct hone_yaml_entry {
    const char *key; /* NULL in a list */
    int64_t line;    /* of the key, or of the item */
    hone_yaml_node *value;
} hone_yaml_entry;

struct hone_yaml_node {
    hone_yaml_kind kind;
    int64_t line;             /* from 1 */
    const char *text;         /* of a scalar; never holds a NUL */
    bool quoted;              /* a scalar in quotes or a | or > block: always text, never a number, true or null */
    hone_yaml_entry *entries; /* of a list or map, in file order */
    size_t n;
};

/* path names the file; everything in the tree lives in the arena. HONE_BAD_FORMAT: "file:line: cause". */
hone_status hone_yaml_read(const char *path, hone_arena *arena, hone_yaml_node **root, hone_error *err);
/* The same from memory; `name` is what messages call it. */
hone_status hone_yaml_parse(const char *name, const char *text, size_t length, hone_arena *arena, hone_yaml_node **root,
                            hone_error *err);
/* NULL when the map has no such key (or the node is no map). */
const hone_yaml_node *hone_yaml_get(const hone_yaml_node *map, const char *key);
/* True for an unquoted nothing, ~ or null. */
bool hone_yaml_is_null(const hone_yaml_node *node);

#endif
