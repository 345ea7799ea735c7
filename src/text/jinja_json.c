/* jinja_json.c - values to JSON text, byte for byte as Python's json.dumps writes it. */
#include "text/jinja_operate.h"
#include "text/jinja_print.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool json_text(jinja_run *run, hone_buffer *b, const jinja_string *s, bool ensure_ascii)
{
    if (!jinja_put(run, b, "\"", 1))
        return false;
    size_t plain = 0; /* bytes before i that wait to be copied */
    for (size_t i = 0, width; i < s->length; i += width) {
        unsigned char byte = (unsigned char)s->data[i];
        uint32_t c = byte;
        width = byte < 0x80 ? 1 : hone_utf8_next(s->data + i, s->length - i, &c);
        if (width == 0)
            return jinja_raise(run, "a text is not valid UTF-8");
        char escape[16] = "";
        const char *short_form = strchr("\"\"\\\\\nn\rr\tt\ff\bb", (int)c);
        if (c < 0x80 && c && short_form && (c < 0x20 || c == '"' || c == '\\'))
            snprintf(escape, sizeof escape, "\\%c", short_form[1]);
        else if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000))
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        else if (ensure_ascii && c >= 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)),
                     (unsigned)(0xDC00 + (c & 0x3FF)));
        if (!escape[0]) {
            plain += width;
            continue;
        }
        if (!jinja_put(run, b, s->data + i - plain, plain) || !jinja_puts(run, b, escape))
            return false;
        plain = 0;
    }
    return jinja_put(run, b, s->data + s->length - plain, plain) && jinja_put(run, b, "\"", 1);
}

static bool new_line(jinja_run *run, hone_buffer *b, const jinja_json_style *style, int level)
{
    if (!style->indent)
        return true;
    if (!jinja_put(run, b, "\n", 1))
        return false;
    for (int i = 0; i < level; i++)
        if (!jinja_put(run, b, style->indent->data, style->indent->length))
            return false;
    return true;
}

static bool item_separator(jinja_run *run, hone_buffer *b, const jinja_json_style *style)
{
    if (style->item_separator)
        return jinja_put(run, b, style->item_separator->data, style->item_separator->length);
    return jinja_puts(run, b, style->indent ? "," : ", ");
}

static bool json_scalar(jinja_run *run, hone_buffer *b, jinja_value v, const jinja_json_style *style)
{
    switch ((jinja_kind)v.kind) {
    case JINJA_STRING:
        return json_text(run, b, v.string, style->ensure_ascii);
    case JINJA_NONE:
        return jinja_puts(run, b, "null");
    case JINJA_BOOL:
        return jinja_puts(run, b, v.boolean ? "true" : "false");
    case JINJA_FLOAT:
        if (isnan(v.real) || isinf(v.real))
            return jinja_puts(run, b, isnan(v.real) ? "NaN" : v.real > 0 ? "Infinity" : "-Infinity");
        return jinja_write_repr(run, b, v);
    case JINJA_INT:
        return jinja_write_repr(run, b, v);
    default:
        return jinja_raise(run, "Object of type %s is not JSON serializable", jinja_type_name(v));
    }
}

static bool json_key(jinja_run *run, hone_buffer *b, jinja_value key, const jinja_json_style *style)
{
    if (key.kind == JINJA_STRING)
        return json_scalar(run, b, key, style);
    if (key.kind != JINJA_NONE && !jinja_is_number(key))
        return jinja_raise(run, "keys must be str, int, float, bool or None, not %s", jinja_type_name(key));
    return jinja_put(run, b, "\"", 1) && json_scalar(run, b, key, style) && jinja_put(run, b, "\"", 1);
}

/* Entries in the order of their keys (insertion sort: objects are small, and the steps are counted). */
static bool sorted_entries(jinja_run *run, const jinja_dict *d, jinja_entry **out)
{
    jinja_entry *entries = jinja_alloc_array(run, d->n, sizeof *entries);
    if (!entries)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            bool less;
            if (!jinja_compare(run, JINJA_LESS, d->entries[i].key, entries[at - 1].key, &less))
                return false;
            if (!less)
                break;
            entries[at] = entries[at - 1];
        }
        entries[at] = d->entries[i];
    }
    *out = entries;
    return true;
}

static bool json_any(jinja_run *run, hone_buffer *b, jinja_value v, const jinja_json_style *style, int level);

static bool object_text(jinja_run *run, hone_buffer *b, const jinja_dict *d, const jinja_json_style *style, int level)
{
    if (d->n == 0)
        return jinja_puts(run, b, "{}");
    jinja_entry *entries = d->entries;
    if ((style->sort_keys && !sorted_entries(run, d, &entries)) || !jinja_put(run, b, "{", 1))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        if ((i && !item_separator(run, b, style)) || !new_line(run, b, style, level + 1) ||
            !json_key(run, b, entries[i].key, style))
            return false;
        bool good = style->key_separator ? jinja_put(run, b, style->key_separator->data, style->key_separator->length)
                                         : jinja_puts(run, b, ": ");
        if (!good || !json_any(run, b, entries[i].value, style, level + 1))
            return false;
    }
    return new_line(run, b, style, level) && jinja_put(run, b, "}", 1);
}

static bool array_text(jinja_run *run, hone_buffer *b, const jinja_sequence *s, const jinja_json_style *style,
                       int level)
{
    if (s->kind != JINJA_LIST && s->kind != JINJA_TUPLE)
        return json_scalar(run, b, jinja_of_sequence((jinja_sequence *)(uintptr_t)s), style);
    if (s->n == 0)
        return jinja_puts(run, b, "[]");
    if (!jinja_put(run, b, "[", 1))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if ((i && !item_separator(run, b, style)) || !new_line(run, b, style, level + 1) ||
            !json_any(run, b, s->items[i], style, level + 1))
            return false;
    return new_line(run, b, style, level) && jinja_put(run, b, "]", 1);
}

static bool json_any(jinja_run *run, hone_buffer *b, jinja_value v, const jinja_json_style *style, int level)
{
    if (v.kind == JINJA_UNDEFINED)
        return jinja_raise_undefined(run, v);
    if (!jinja_enter(run))
        return false;
    bool good = v.kind == JINJA_DICT       ? object_text(run, b, v.dict, style, level)
                : v.kind == JINJA_SEQUENCE ? array_text(run, b, v.sequence, style, level)
                                           : json_scalar(run, b, v, style);
    jinja_leave(run);
    return good;
}

bool jinja_write_json(jinja_run *run, hone_buffer *b, jinja_value v, const jinja_json_style *style)
{
    return json_any(run, b, v, style, 0);
}
