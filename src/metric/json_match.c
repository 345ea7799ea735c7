/* json_match.c - JSON equality and field F1. */
#include "metric/json_match.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

json_t *hone_json_read(const char *text)
{
    return json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

json_t *hone_json_find(const char *text)
{
    /* Each attempt may read to the end of the text; a limit keeps "[[[[..." from taking quadratic time. */
    enum { MAX_ATTEMPTS = 64 };
    int attempts = 0;
    for (const char *at = text + strcspn(text, "{["); *at && attempts < MAX_ATTEMPTS; attempts++) {
        json_t *value = json_loads(at, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
        if (value)
            return value;
        at++;
        at += strcspn(at, "{[");
    }
    return NULL;
}

bool hone_json_same(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!hone_json_same(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    if (json_is_object(a)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        /* jansson's iterator takes no const object, but changes nothing. */
        json_t *walked = json_incref((json_t *)(uintptr_t)a);
        const char *key;
        json_t *value;
        bool same = true;
        json_object_foreach(walked, key, value)
        {
            const json_t *other = json_object_get(b, key);
            same = same && other && hone_json_same(value, other);
        }
        json_decref(walked);
        return same;
    }
    return json_equal(a, b) != 0;
}

/* The leaves of a value as lines "path\0value", sorted. */
typedef struct leaves {
    char **text;
    size_t n, capacity;
    bool failed;
} leaves;

static void leaves_clear(leaves *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->text[i]);
    free(l->text);
}

static void add_leaf(leaves *l, const char *path, const json_t *value)
{
    hone_buffer b = {0};
    /* 1 and 1.0 are one value: whole reals are written as integers. */
    double number = json_number_value(value);
    bool whole = json_is_real(value) && number >= -9e15 && number <= 9e15 && number == (double)(json_int_t)number;
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    hone_buffer_puts(&b, path);
    hone_buffer_putc(&b, '=');
    if (whole)
        hone_buffer_printf(&b, "%lld", (long long)number);
    else
        hone_buffer_puts(&b, dump ? dump : "");
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        char **grown = realloc(l->text, capacity * sizeof *grown);
        if (!grown) {
            l->failed = true;
            goto done;
        }
        l->text = grown;
        l->capacity = capacity;
    }
    if (!dump || b.failed)
        l->failed = true;
    else
        l->text[l->n++] = hone_buffer_take(&b);
done:
    free(dump);
    hone_buffer_clear(&b);
}

/* path: the buffer is as before on return. */
static void collect(leaves *l, hone_buffer *path, json_t *value)
{
    size_t before = path->length;
    if (json_is_object(value) && json_object_size(value) > 0) {
        const char *key;
        json_t *child;
        json_object_foreach(value, key, child)
        {
            hone_buffer_printf(path, "/%s", key);
            collect(l, path, child);
            path->length = before;
            if (path->data)
                path->data[before] = 0;
        }
        return;
    }
    if (json_is_array(value) && json_array_size(value) > 0) {
        hone_buffer_puts(path, "/*");
        for (size_t i = 0; i < json_array_size(value); i++)
            collect(l, path, json_array_get(value, i));
        path->length = before;
        if (path->data)
            path->data[before] = 0;
        return;
    }
    if (before == 0 && (json_is_object(value) || json_is_array(value)))
        return; /* an empty whole has no fields */
    add_leaf(l, path->data ? path->data : "", value);
    l->failed = l->failed || path->failed;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

hone_status hone_json_field_f1(const json_t *answer, const json_t *reference, double *out, hone_error *err)
{
    leaves l[2] = {0};
    const json_t *values[2] = {answer, reference};
    size_t common = 0;
    hone_status status = HONE_OK;
    for (int i = 0; i < 2; i++) {
        hone_buffer path = {0};
        json_t *walked = json_incref((json_t *)(uintptr_t)values[i]);
        collect(&l[i], &path, walked);
        json_decref(walked);
        hone_buffer_clear(&path);
        if (l[i].n)
            qsort(l[i].text, l[i].n, sizeof *l[i].text, by_string);
    }
    if (l[0].failed || l[1].failed) {
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory while comparing JSON");
        goto done;
    }
    for (size_t i = 0, k = 0; i < l[0].n && k < l[1].n;) {
        int order = strcmp(l[0].text[i], l[1].text[k]);
        common += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    size_t total = l[0].n + l[1].n;
    *out = total ? 2.0 * (double)common / (double)total : 1.0;
done:
    leaves_clear(&l[0]);
    leaves_clear(&l[1]);
    return status;
}
