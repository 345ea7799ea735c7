/* yaml.c - libyaml's events into a tree. A stack of open collections, no recursion. */
#include "format/yaml.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct open_node {
    hone_yaml_node *node;
    size_t capacity;
    const char *key; /* of a map: the key that waits for its value */
    int64_t key_line;
} open_node;

typedef struct builder {
    const char *name;
    hone_arena *arena;
    hone_yaml_node *root;
    open_node stack[HONE_YAML_MAX_DEPTH];
    size_t depth;
    int documents;
    hone_error *err;
} builder;

static int64_t line_of(const yaml_event_t *event)
{
    return (int64_t)event->start_mark.line + 1;
}

static hone_status out_of_memory(const builder *b)
{
    return hone_fail(b->err, HONE_NO_MEMORY, "%s: out of memory", b->name);
}

static hone_status take_key(builder *b, open_node *top, const char *key, int64_t line)
{
    if (top->node->n == HONE_YAML_MAX_KEYS)
        return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%lld: more than %d keys in one map", b->name, (long long)line,
                         HONE_YAML_MAX_KEYS);
    for (size_t i = 0; i < top->node->n; i++)
        if (strcmp(top->node->entries[i].key, key) == 0)
            return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%lld: \"%s\" is given again (first in line %lld); remove one",
                             b->name, (long long)line, key, (long long)top->node->entries[i].line);
    top->key = key;
    top->key_line = line;
    return HONE_OK;
}

/* Puts a finished or just opened node into the collection on top of the stack. */
static hone_status attach(builder *b, hone_yaml_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return HONE_OK;
    }
    open_node *top = &b->stack[b->depth - 1];
    if (top->node->kind == HONE_YAML_MAP && !top->key) {
        if (node->kind != HONE_YAML_SCALAR)
            return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%lld: a key must be plain text", b->name,
                             (long long)node->line);
        return take_key(b, top, node->text, node->line);
    }
    if (top->node->n == top->capacity) {
        size_t capacity = top->capacity ? top->capacity * 2 : 8;
        hone_yaml_entry *entries = hone_arena_array(b->arena, capacity, sizeof *entries);
        if (!entries)
            return out_of_memory(b);
        if (top->node->n)
            memcpy(entries, top->node->entries, top->node->n * sizeof *entries);
        top->node->entries = entries;
        top->capacity = capacity;
    }
    int64_t line = top->key ? top->key_line : node->line;
    top->node->entries[top->node->n++] = (hone_yaml_entry){top->key, line, node};
    top->key = NULL;
    return HONE_OK;
}

static hone_status refuse(const builder *b, const yaml_event_t *event, const char *what)
{
    return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%lld: %s", b->name, (long long)line_of(event), what);
}

static const char *const no_anchor =
    "anchors (&) and aliases (*) are not read; write the value out (or put it in quotes)";
static const char *const no_tag = "tags (!) are not read; write the value without one (or put it in quotes)";

static hone_status add_scalar(builder *b, const yaml_event_t *event)
{
    if (event->data.scalar.anchor)
        return refuse(b, event, no_anchor);
    if (event->data.scalar.tag)
        return refuse(b, event, no_tag);
    const char *value = (const char *)event->data.scalar.value;
    if (memchr(value, 0, event->data.scalar.length))
        return refuse(b, event, "a NUL character in a value");
    hone_yaml_node *node = hone_arena_alloc(b->arena, sizeof *node);
    if (!node || !(node->text = hone_arena_strndup(b->arena, value, event->data.scalar.length)))
        return out_of_memory(b);
    node->kind = HONE_YAML_SCALAR;
    node->line = line_of(event);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return attach(b, node);
}

static hone_status open_collection(builder *b, const yaml_event_t *event, hone_yaml_kind kind)
{
    bool map = kind == HONE_YAML_MAP;
    if (map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor)
        return refuse(b, event, no_anchor);
    if (map ? event->data.mapping_start.tag : event->data.sequence_start.tag)
        return refuse(b, event, no_tag);
    if (b->depth == HONE_YAML_MAX_DEPTH)
        return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%lld: nested deeper than %d levels", b->name,
                         (long long)line_of(event), HONE_YAML_MAX_DEPTH);
    hone_yaml_node *node = hone_arena_alloc(b->arena, sizeof *node);
    if (!node)
        return out_of_memory(b);
    node->kind = kind;
    node->line = line_of(event);
    hone_status status = attach(b, node);
    if (status == HONE_OK)
        b->stack[b->depth++] = (open_node){.node = node};
    return status;
}

static hone_status take_event(builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++)
            return refuse(b, event, "a second document (---) begins here; the file holds one");
        return HONE_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, event, no_anchor);
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(b, event, HONE_YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_collection(b, event, HONE_YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return HONE_OK;
    default:
        return HONE_OK;
    }
}

static hone_status parser_fault(const builder *b, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return out_of_memory(b);
    const char *problem = parser->problem ? parser->problem : "not YAML";
    /* The reader knows an offset only; scanner and parser know a line. */
    if (parser->error == YAML_READER_ERROR)
        return hone_fail(b->err, HONE_BAD_FORMAT, "%s: byte %zu: %s; save the file as UTF-8 text", b->name,
                         parser->problem_offset + 1, problem);
    return hone_fail(b->err, HONE_BAD_FORMAT, "%s:%zu: column %zu: bad YAML: %s%s", b->name,
                     parser->problem_mark.line + 1, parser->problem_mark.column + 1, problem,
                     strstr(problem, "cannot start any token") ? " (indent with spaces, not tabs)"
                     : strstr(problem, "mapping values")       ? " (put a text that holds \": \" in quotes)"
                                                               : "");
}

hone_status hone_yaml_parse(const char *name, const char *text, size_t length, hone_arena *arena, hone_yaml_node **root,
                            hone_error *err)
{
    hone_status status = HONE_OK;
    yaml_parser_t parser;
    builder b = {.name = name, .arena = arena, .err = err};
    size_t bad_at;
    *root = NULL;
    if (length > HONE_YAML_MAX_BYTES)
        return hone_fail(err, HONE_BAD_INPUT, "%s: larger than %d bytes, the limit for a settings file", name,
                         HONE_YAML_MAX_BYTES);
    if (!hone_utf8_valid(text, length, &bad_at)) {
        long long line = 1;
        for (size_t i = 0; i < bad_at; i++)
            line += text[i] == '\n';
        return hone_fail(err, HONE_BAD_FORMAT, "%s:%lld: byte 0x%02X is not valid UTF-8; save the file as UTF-8", name,
                         line, (unsigned)(unsigned char)text[bad_at]);
    }
    if (!yaml_parser_initialize(&parser))
        return out_of_memory(&b);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    for (bool ended = false; !ended;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            status = parser_fault(&b, &parser);
            goto done;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        status = take_event(&b, &event);
        yaml_event_delete(&event);
        if (status != HONE_OK)
            goto done;
    }
    if (!b.root)
        status = hone_fail(err, HONE_BAD_FORMAT, "%s: the file is empty", name);
    *root = b.root;
done:
    yaml_parser_delete(&parser);
    return status;
}

hone_status hone_yaml_read(const char *path, hone_arena *arena, hone_yaml_node **root, hone_error *err)
{
    hone_buffer file = {0};
    hone_status status = hone_file_read(path, HONE_YAML_MAX_BYTES, &file, err);
    if (status == HONE_OK)
        status = hone_yaml_parse(path, file.data ? file.data : "", file.length, arena, root, err);
    hone_buffer_clear(&file);
    return status;
}

const hone_yaml_node *hone_yaml_get(const hone_yaml_node *map, const char *key)
{
    if (!map || map->kind != HONE_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return map->entries[i].value;
    return NULL;
}

bool hone_yaml_is_null(const hone_yaml_node *node)
{
    return node->kind == HONE_YAML_SCALAR && !node->quoted &&
           (node->text[0] == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
