/* jinja_dict.c - insertion-ordered maps keyed by hashable values, equal as in Python (1 == 1.0 == true). */
#include "text/jinja_operate.h"
#include "text/jinja_value.h"

#include <string.h>

enum { SLOTS_FROM = 8 }; /* below this many entries a scan over the hashes is faster than a table */

bool jinja_hashable(jinja_value v)
{
    if (jinja_is_sequence_of(v, JINJA_TUPLE)) {
        for (size_t i = 0; i < v.sequence->n; i++)
            if (v.sequence->items[i].kind == JINJA_SEQUENCE || !jinja_hashable(v.sequence->items[i]))
                return false; /* tuples inside tuples are not needed as keys, and nothing recurses this way */
        return true;
    }
    return v.kind != JINJA_SEQUENCE && v.kind != JINJA_DICT;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    return h ^ h >> 29;
}

static uint64_t hash_text(const jinja_string *s)
{
    uint64_t h = 0xCBF29CE484222325ull; /* FNV-1a */
    for (size_t i = 0; i < s->length; i++)
        h = (h ^ (unsigned char)s->data[i]) * 0x100000001B3ull;
    return mix(h, s->length);
}

static uint64_t hash_value(jinja_value v)
{
    if (v.kind == JINJA_STRING)
        return hash_text(v.string);
    if (jinja_is_integral(v))
        return mix(1, (uint64_t)jinja_as_int(v));
    if (v.kind == JINJA_FLOAT) {
        if (v.real >= -0x1p62 && v.real <= 0x1p62 && v.real == (double)(int64_t)v.real)
            return mix(1, (uint64_t)(int64_t)v.real);
        uint64_t bits;
        memcpy(&bits, &v.real, sizeof bits);
        return mix(2, bits);
    }
    if (v.kind == JINJA_SEQUENCE) {
        uint64_t h = 3;
        for (size_t i = 0; i < v.sequence->n; i++)
            h = mix(h, hash_value(v.sequence->items[i]));
        return h;
    }
    return mix(4, v.kind);
}

jinja_dict *jinja_dict_new(jinja_run *run)
{
    return jinja_alloc(run, sizeof(jinja_dict));
}

static bool rebuild_slots(jinja_run *run, jinja_dict *d)
{
    size_t n_slots = 32;
    while (n_slots < d->n * 4)
        n_slots *= 2;
    d->slots = jinja_alloc_array(run, n_slots, sizeof *d->slots);
    if (!d->slots)
        return false;
    d->n_slots = n_slots;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = d->entries[i].hash & (n_slots - 1);
        while (d->slots[at])
            at = (at + 1) & (n_slots - 1);
        d->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The next entry with this hash at or after *cursor, or NULL; the cursor counts probes. */
static jinja_entry *next_with_hash(const jinja_dict *d, uint64_t hash, size_t *cursor)
{
    if (!d->n_slots) {
        while (*cursor < d->n) {
            jinja_entry *e = &d->entries[(*cursor)++];
            if (e->hash == hash)
                return e;
        }
        return NULL;
    }
    for (;;) {
        uint32_t slot = d->slots[(hash + *cursor) & (d->n_slots - 1)];
        if (!slot)
            return NULL;
        (*cursor)++;
        if (d->entries[slot - 1].hash == hash)
            return &d->entries[slot - 1];
    }
}

bool jinja_dict_get(jinja_run *run, const jinja_dict *d, jinja_value key, jinja_value **out)
{
    *out = NULL;
    if (!jinja_hashable(key))
        return jinja_raise(run, "unhashable type: '%s'", jinja_type_name(key));
    if (!jinja_spend(run, key.kind == JINJA_STRING ? key.string->length : 0))
        return false;
    uint64_t hash = hash_value(key);
    size_t cursor = 0;
    for (jinja_entry *e; (e = next_with_hash(d, hash, &cursor));) {
        bool equal;
        if (!jinja_equal(run, e->key, key, &equal))
            return false;
        if (equal) {
            *out = &e->value;
            return true;
        }
    }
    return true;
}

jinja_value *jinja_dict_find(const jinja_dict *d, const jinja_string *name)
{
    if (d->n == 0)
        return NULL;
    uint64_t hash = hash_text(name);
    size_t cursor = 0;
    for (jinja_entry *e; (e = next_with_hash(d, hash, &cursor));)
        if (e->key.kind == JINJA_STRING && e->key.string->length == name->length &&
            memcmp(e->key.string->data, name->data, name->length) == 0)
            return &e->value;
    return NULL;
}

bool jinja_dict_set(jinja_run *run, jinja_dict *d, jinja_value key, jinja_value value)
{
    jinja_value *present;
    if (!jinja_dict_get(run, d, key, &present))
        return false;
    if (present) {
        *present = value;
        return true;
    }
    if (d->n == d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : 4;
        jinja_entry *entries = jinja_alloc_array(run, capacity, sizeof *entries);
        if (!entries)
            return false;
        if (d->n)
            memcpy(entries, d->entries, d->n * sizeof *entries);
        d->entries = entries;
        d->capacity = capacity;
    }
    d->entries[d->n++] = (jinja_entry){key, value, hash_value(key)};
    if (d->n > SLOTS_FROM && d->n * 2 > d->n_slots)
        return rebuild_slots(run, d);
    if (d->n_slots) {
        size_t at = d->entries[d->n - 1].hash & (d->n_slots - 1);
        while (d->slots[at])
            at = (at + 1) & (d->n_slots - 1);
        d->slots[at] = (uint32_t)d->n;
    }
    return true;
}
