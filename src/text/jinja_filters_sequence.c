/* jinja_filters_sequence.c - filters that order, cut, group and sum up sequences. */
#include "text/jinja_call.h"
#include "text/jinja_operate.h"
#include "text/jinja_print.h"
#include "text/jinja_select.h"
#include "text/jinja_text.h"

#include <string.h>

#define FILTER(name)                                                                                                   \
    static bool name(jinja_run *run, jinja_value self, const jinja_value *p, const jinja_arguments *all,               \
                     jinja_value *out)

static bool new_sequence(jinja_run *run, jinja_sequence_kind kind, const jinja_value *items, size_t n, jinja_value *out)
{
    jinja_sequence *s = jinja_sequence_new(run, kind, n);
    if (!s)
        return false;
    if (n)
        memcpy(s->items, items, n * sizeof *items);
    *out = jinja_of_sequence(s);
    return true;
}

FILTER(filter_length)
{
    (void)p, (void)all;
    size_t n;
    if (!jinja_length(run, self, &n))
        return false;
    *out = jinja_int((int64_t)n);
    return true;
}

FILTER(filter_first)
{
    (void)p, (void)all;
    jinja_value *items;
    size_t n;
    if (!jinja_iterate(run, self, &items, &n))
        return false;
    *out = n ? items[0] : jinja_undefined(JINJA_NO_ITEM, NULL);
    return true;
}

FILTER(filter_last)
{
    (void)p, (void)all;
    jinja_value *items;
    size_t n;
    if (jinja_is_sequence_of(self, JINJA_GENERATOR))
        return jinja_raise(run, "'generator' object is not reversible");
    if (!jinja_iterate(run, self, &items, &n))
        return false;
    *out = n ? items[n - 1] : jinja_undefined(JINJA_NO_ITEM, NULL);
    return true;
}

FILTER(filter_list)
{
    (void)p, (void)all;
    jinja_value *items;
    size_t n;
    return jinja_iterate(run, self, &items, &n) && new_sequence(run, JINJA_LIST, items, n, out);
}

FILTER(filter_reverse)
{
    (void)p, (void)all;
    if (self.kind == JINJA_STRING)
        return jinja_slice(run, self, jinja_none(), jinja_none(), jinja_int(-1), out);
    jinja_value *items;
    size_t n;
    if (!jinja_iterate(run, self, &items, &n) || !new_sequence(run, JINJA_GENERATOR, items, n, out))
        return false;
    for (size_t i = 0; i < n; i++)
        out->sequence->items[i] = items[n - 1 - i];
    return true;
}

FILTER(filter_join)
{
    (void)all;
    jinja_value *items;
    size_t n;
    const jinja_string *separator;
    if (!jinja_argument_text(run, p[0], "", &separator) || !jinja_iterate(run, self, &items, &n))
        return false;
    hone_buffer b = {0};
    bool good = true;
    for (size_t i = 0; i < n && good; i++) {
        jinja_value item = items[i];
        if (p[1].kind != JINJA_MISSING && p[1].kind != JINJA_NONE)
            good = jinja_dotted_attribute(run, item, p[1], &item);
        good = good && (i == 0 || jinja_put(run, &b, separator->data, separator->length)) && jinja_write(run, &b, item);
    }
    if (good)
        return jinja_take(run, &b, out);
    hone_buffer_clear(&b);
    return false;
}

/* Without case_sensitive, strings are compared by their lower case. */
static bool comparison_key(jinja_run *run, jinja_value v, bool case_sensitive, jinja_value *out)
{
    *out = v;
    return v.kind != JINJA_STRING || case_sensitive || jinja_change_case(run, v.string, JINJA_LOWER, out);
}

/* One key per item: the item, or the attribute(s) named by "a" or "a.b" or "a,b". */
static bool sort_keys(jinja_run *run, const jinja_value *items, size_t n, jinja_value attribute, bool case_sensitive,
                      jinja_value **out)
{
    jinja_value *keys = jinja_alloc_array(run, n, sizeof *keys);
    if (!keys)
        return false;
    const jinja_string *names = attribute.kind == JINJA_STRING ? attribute.string : NULL;
    size_t n_names = 1;
    for (size_t i = 0; names && i < names->length; i++)
        n_names += names->data[i] == ',';
    for (size_t i = 0; i < n; i++) {
        if (n_names == 1) {
            jinja_value v = items[i];
            if (attribute.kind != JINJA_MISSING && attribute.kind != JINJA_NONE &&
                !jinja_dotted_attribute(run, v, attribute, &v))
                return false;
            if (!comparison_key(run, v, case_sensitive, &keys[i]))
                return false;
            continue;
        }
        jinja_sequence *several = jinja_sequence_new(run, JINJA_LIST, n_names);
        const char *at = names->data, *end = at + names->length;
        for (size_t k = 0; several && k < n_names; k++) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            jinja_value part, v;
            if (!jinja_borrow(run, at, (size_t)((comma ? comma : end) - at), &part) ||
                !jinja_dotted_attribute(run, items[i], part, &v) ||
                !comparison_key(run, v, case_sensitive, &several->items[k]))
                return false;
            at = comma ? comma + 1 : end;
        }
        if (!several)
            return false;
        keys[i] = jinja_of_sequence(several);
    }
    *out = keys;
    return true;
}

/* Stable merge sort of order[0..n) by keys; descending keeps equal ones in their order too. */
static bool merge_sort(jinja_run *run, const jinja_value *keys, bool descending, size_t *order, size_t *spare, size_t n)
{
    if (n < 2)
        return true;
    size_t half = n / 2, a = 0, b = half;
    if (!merge_sort(run, keys, descending, order, spare, half) ||
        !merge_sort(run, keys, descending, order + half, spare, n - half))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool second = a == half;
        if (a < half && b < n &&
            !jinja_compare(run, descending ? JINJA_GREATER : JINJA_LESS, keys[order[b]], keys[order[a]], &second))
            return false;
        spare[i] = second ? order[b++] : order[a++];
    }
    memcpy(order, spare, n * sizeof *order);
    return true;
}

static bool sorted(jinja_run *run, const jinja_value *items, const jinja_value *keys, size_t n, bool descending,
                   jinja_value *out)
{
    size_t *order = jinja_alloc_array(run, n, sizeof *order), *spare = jinja_alloc_array(run, n, sizeof *spare);
    jinja_sequence *s = jinja_sequence_new(run, JINJA_LIST, n);
    if (!order || !spare || !s)
        return false;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    if (!merge_sort(run, keys, descending, order, spare, n))
        return false;
    for (size_t i = 0; i < n; i++)
        s->items[i] = items[order[i]];
    *out = jinja_of_sequence(s);
    return true;
}

FILTER(filter_sort)
{
    (void)all;
    jinja_value *items, *keys;
    size_t n;
    return jinja_iterate(run, self, &items, &n) && sort_keys(run, items, n, p[2], jinja_truth(p[1]), &keys) &&
           sorted(run, items, keys, n, jinja_truth(p[0]), out);
}

static bool entry_pairs(jinja_run *run, const jinja_dict *d, jinja_sequence_kind kind, jinja_value *out)
{
    jinja_sequence *s = jinja_sequence_new(run, kind, d->n);
    if (!s)
        return false;
    for (size_t i = 0; i < d->n; i++)
        if (!jinja_pair(run, d->entries[i].key, d->entries[i].value, &s->items[i]))
            return false;
    *out = jinja_of_sequence(s);
    return true;
}

FILTER(filter_dictsort)
{
    (void)all;
    const jinja_string *by;
    jinja_value pairs;
    if (self.kind != JINJA_DICT)
        return jinja_raise(run, "'%s' object has no attribute 'items'", jinja_type_name(self));
    if (!jinja_argument_text(run, p[1], "key", &by) || !entry_pairs(run, self.dict, JINJA_LIST, &pairs))
        return false;
    bool by_value = jinja_text_is(by, "value");
    if (!by_value && !jinja_text_is(by, "key"))
        return jinja_raise(run, "you can only sort by either \"key\" or \"value\"");
    jinja_value *keys = jinja_alloc_array(run, self.dict->n, sizeof *keys);
    if (!keys)
        return false;
    for (size_t i = 0; i < self.dict->n; i++)
        if (!comparison_key(run, by_value ? self.dict->entries[i].value : self.dict->entries[i].key, jinja_truth(p[0]),
                            &keys[i]))
            return false;
    return sorted(run, pairs.sequence->items, keys, self.dict->n, jinja_truth(p[2]), out);
}

FILTER(filter_items)
{
    (void)p, (void)all;
    if (self.kind == JINJA_UNDEFINED)
        return new_sequence(run, JINJA_GENERATOR, NULL, 0, out);
    if (self.kind != JINJA_DICT)
        return jinja_raise(run, "can only get item pairs from a mapping");
    return entry_pairs(run, self.dict, JINJA_GENERATOR, out);
}

FILTER(filter_unique)
{
    (void)all;
    jinja_value *items, *keys, *seen;
    size_t n;
    if (!jinja_iterate(run, self, &items, &n) || !sort_keys(run, items, n, p[1], jinja_truth(p[0]), &keys))
        return false;
    jinja_dict *d = jinja_dict_new(run);
    jinja_sequence *s = jinja_sequence_new(run, JINJA_GENERATOR, n);
    if (!d || !s)
        return false;
    s->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!jinja_dict_get(run, d, keys[i], &seen))
            return false;
        if (!seen && !jinja_dict_set(run, d, keys[i], jinja_none()))
            return false;
        if (!seen)
            s->items[s->n++] = items[i];
    }
    *out = jinja_of_sequence(s);
    return true;
}

static bool extreme(jinja_run *run, jinja_value self, const jinja_value *p, jinja_operator better, jinja_value *out)
{
    jinja_value *items, *keys;
    size_t n, best = 0;
    if (!jinja_iterate(run, self, &items, &n) || !sort_keys(run, items, n, p[1], jinja_truth(p[0]), &keys))
        return false;
    for (size_t i = 1; i < n; i++) {
        bool is_better;
        if (!jinja_compare(run, better, keys[i], keys[best], &is_better))
            return false;
        if (is_better)
            best = i;
    }
    *out = n ? items[best] : jinja_undefined(JINJA_NO_ITEM, NULL);
    return true;
}

FILTER(filter_min)
{
    (void)all;
    return extreme(run, self, p, JINJA_LESS, out);
}

FILTER(filter_max)
{
    (void)all;
    return extreme(run, self, p, JINJA_GREATER, out);
}

FILTER(filter_sum)
{
    (void)all;
    jinja_value *items, total = p[1].kind == JINJA_MISSING ? jinja_int(0) : p[1];
    size_t n;
    if (!jinja_iterate(run, self, &items, &n))
        return false;
    if (total.kind == JINJA_STRING)
        return jinja_raise(run, "sum() can't sum strings; use join");
    for (size_t i = 0; i < n; i++) {
        jinja_value v = items[i];
        if (p[0].kind != JINJA_MISSING && p[0].kind != JINJA_NONE && !jinja_dotted_attribute(run, v, p[0], &v))
            return false;
        if (!jinja_arithmetic(run, JINJA_ADD, total, v, &total))
            return false;
    }
    *out = total;
    return true;
}

FILTER(filter_batch)
{
    (void)all;
    jinja_value *items;
    size_t n;
    int64_t size;
    if (!jinja_iterate(run, self, &items, &n) || !jinja_argument_int(run, p[0], 0, &size))
        return false;
    if (size < 1 || size > JINJA_MAX_RANGE)
        return jinja_raise(run, "batch needs a size of 1 to %d", JINJA_MAX_RANGE);
    bool fill = p[1].kind != JINJA_MISSING && p[1].kind != JINJA_NONE;
    size_t each = (size_t)size, n_batches = (n + each - 1) / each;
    jinja_sequence *batches = jinja_sequence_new(run, JINJA_GENERATOR, n_batches);
    for (size_t i = 0; batches && i < n_batches; i++) {
        size_t here = n - i * each < each ? n - i * each : each;
        jinja_sequence *s = jinja_sequence_new(run, JINJA_LIST, fill ? each : here);
        if (!s)
            return false;
        for (size_t k = 0; k < s->n; k++)
            s->items[k] = k < here ? items[i * each + k] : p[1];
        batches->items[i] = jinja_of_sequence(s);
    }
    if (batches)
        *out = jinja_of_sequence(batches);
    return batches != NULL;
}

FILTER(filter_slice)
{
    (void)all;
    jinja_value *items;
    size_t n, at = 0;
    int64_t count;
    if (!jinja_iterate(run, self, &items, &n) || !jinja_argument_int(run, p[0], 0, &count))
        return false;
    if (count < 1 || count > JINJA_MAX_RANGE)
        return jinja_raise(run, "slice needs a count of 1 to %d", JINJA_MAX_RANGE);
    bool fill = p[1].kind != JINJA_MISSING && p[1].kind != JINJA_NONE;
    size_t each = n / (size_t)count, longer = n % (size_t)count;
    jinja_sequence *slices = jinja_sequence_new(run, JINJA_GENERATOR, (size_t)count);
    for (size_t i = 0; slices && i < (size_t)count; i++) {
        size_t here = each + (i < longer);
        jinja_sequence *s = jinja_sequence_new(run, JINJA_LIST, here + (fill && i >= longer));
        if (!s)
            return false;
        for (size_t k = 0; k < s->n; k++)
            s->items[k] = k < here ? items[at + k] : p[1];
        at += here;
        slices->items[i] = jinja_of_sequence(s);
    }
    if (slices)
        *out = jinja_of_sequence(slices);
    return slices != NULL;
}

FILTER(filter_groupby)
{
    (void)all;
    jinja_value *items, *raw, *keys, order, key = p[0];
    size_t n;
    if (!jinja_iterate(run, self, &items, &n))
        return false;
    raw = jinja_alloc_array(run, n, sizeof *raw);
    keys = jinja_alloc_array(run, n, sizeof *keys);
    jinja_sequence *indices = jinja_sequence_new(run, JINJA_LIST, n), *groups = jinja_sequence_new(run, JINJA_LIST, n);
    if (!raw || !keys || !indices || !groups)
        return false;
    for (size_t i = 0; i < n; i++) {
        indices->items[i] = jinja_int((int64_t)i);
        if (!jinja_dotted_attribute(run, items[i], key, &raw[i]))
            return false;
        if (raw[i].kind == JINJA_UNDEFINED && p[1].kind != JINJA_MISSING && p[1].kind != JINJA_NONE)
            raw[i] = p[1];
        if (!comparison_key(run, raw[i], jinja_truth(p[2]), &keys[i]))
            return false;
    }
    if (!sorted(run, indices->items, keys, n, false, &order))
        return false;
    groups->n = 0;
    for (size_t i = 0, end; i < n; i = end) {
        size_t first = (size_t)order.sequence->items[i].integer;
        for (end = i + 1; end < n; end++) {
            bool equal;
            if (!jinja_equal(run, keys[first], keys[order.sequence->items[end].integer], &equal))
                return false;
            if (!equal)
                break;
        }
        jinja_sequence *members = jinja_sequence_new(run, JINJA_LIST, end - i);
        if (!members)
            return false;
        for (size_t k = i; k < end; k++)
            members->items[k - i] = items[order.sequence->items[k].integer];
        if (!jinja_pair(run, raw[first], jinja_of_sequence(members), &groups->items[groups->n]))
            return false;
        groups->items[groups->n++].sequence->step = JINJA_GROUP;
    }
    *out = jinja_of_sequence(groups);
    return true;
}

const jinja_builtin jinja_sequence_filters[] = {
    {"length", filter_length, "", 0},
    {"count", filter_length, "", 0},
    {"first", filter_first, "", 0},
    {"last", filter_last, "", 0},
    {"list", filter_list, "", 0},
    {"reverse", filter_reverse, "", 0},
    {"join", filter_join, "d attribute", 0},
    {"sort", filter_sort, "reverse case_sensitive attribute", 0},
    {"dictsort", filter_dictsort, "case_sensitive by reverse", 0},
    {"items", filter_items, "", 0},
    {"unique", filter_unique, "case_sensitive attribute", 0},
    {"min", filter_min, "case_sensitive attribute", 0},
    {"max", filter_max, "case_sensitive attribute", 0},
    {"sum", filter_sum, "attribute start", 0},
    {"batch", filter_batch, "linecount fill_with", 1},
    {"slice", filter_slice, "slices fill_with", 1},
    {"groupby", filter_groupby, "attribute default case_sensitive", 1},
    {NULL, NULL, NULL, 0},
};
