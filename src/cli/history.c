/* history.c - the turns of a chat. */
#include "cli/history.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_FILE_BYTES = 64 << 20 };

static const char *role_at(const hone_history *c, size_t i)
{
    const char *role = json_string_value(json_object_get(json_array_get(c->messages, i), "role"));
    return role ? role : "";
}

static bool has_system(const hone_history *c)
{
    return strcmp(role_at(c, 0), "system") == 0;
}

/* Where the n-th user message from the beginning (or the last one) stands; the number of messages when there is none.
 */
static size_t find_user(const hone_history *c, size_t nth)
{
    size_t n = json_array_size(c->messages), i = 0;
    for (size_t seen = 0; i < n; i++)
        if (strcmp(role_at(c, i), "user") == 0 && seen++ == nth)
            return i;
    return i;
}

static void remove_range(hone_history *c, size_t from, size_t to)
{
    while (to-- > from)
        json_array_remove(c->messages, to);
}

static json_t *message(const char *role, const char *text)
{
    hone_buffer b = {0};
    hone_utf8_repair(text, strlen(text), &b);
    json_t *out = b.failed ? NULL : json_pack("{s:s, s:s}", "role", role, "content", b.data ? b.data : "");
    hone_buffer_clear(&b);
    return out;
}

hone_status hone_history_init(hone_history *c, hone_error *err)
{
    c->messages = json_array();
    return c->messages ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

void hone_history_clear(hone_history *c)
{
    json_decref(c->messages);
    c->messages = NULL;
}

hone_status hone_history_set_system(hone_history *c, const char *text, hone_error *err)
{
    if (has_system(c))
        json_array_remove(c->messages, 0);
    if (!text || !*text)
        return HONE_OK;
    if (json_array_insert_new(c->messages, 0, message("system", text)) < 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    return HONE_OK;
}

const char *hone_history_get_system(const hone_history *c)
{
    return has_system(c) ? json_string_value(json_object_get(json_array_get(c->messages, 0), "content")) : NULL;
}

hone_status hone_history_add(hone_history *c, const char *role, const char *text, hone_error *err)
{
    if (json_array_append_new(c->messages, message(role, text)) < 0)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    return HONE_OK;
}

size_t hone_history_turns(const hone_history *c)
{
    size_t turns = 0;
    for (size_t i = 0; i < json_array_size(c->messages); i++)
        turns += strcmp(role_at(c, i), "user") == 0;
    return turns;
}

bool hone_history_drop_oldest_turn(hone_history *c)
{
    if (hone_history_turns(c) == 0)
        return false;
    remove_range(c, has_system(c), find_user(c, 1)); /* also what stands before the first user message */
    return true;
}

bool hone_history_drop_last_turn(hone_history *c)
{
    size_t turns = hone_history_turns(c);
    if (turns == 0)
        return false;
    remove_range(c, find_user(c, turns - 1), json_array_size(c->messages));
    return true;
}

bool hone_history_drop_last_answer(hone_history *c)
{
    size_t turns = hone_history_turns(c);
    if (turns == 0)
        return false;
    remove_range(c, find_user(c, turns - 1) + 1, json_array_size(c->messages));
    return true;
}

void hone_history_drop_all_turns(hone_history *c)
{
    remove_range(c, has_system(c), json_array_size(c->messages));
}

hone_status hone_history_save(const hone_history *c, const char *path, hone_error *err)
{
    json_t *document = json_pack("{s:O}", "messages", c->messages);
    char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
    hone_status status = text ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_buffer b = {0};
    if (text)
        hone_buffer_printf(&b, "%s\n", text);
    if (status == HONE_OK && b.failed)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = hone_file_write_atomic(path, b.data, b.length, err);
    hone_buffer_clear(&b);
    free(text);
    json_decref(document);
    return status;
}

static hone_status check_messages(const json_t *messages, const char *path, hone_error *err)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    size_t i;
    const json_t *m;
    if (!json_is_array(messages))
        return hone_fail(err, HONE_BAD_INPUT, "%s: neither a list of messages nor {\"messages\":[...]}", path);
    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        size_t known = 0;
        while (role && known < 3 && strcmp(roles[known], role) != 0)
            known++;
        if (!role || known == 3 || (known == 0 && i > 0))
            return hone_fail(err, HONE_BAD_INPUT,
                             "%s: message %zu: \"role\" is user or assistant, or system in the first message", path,
                             i + 1);
        if (!json_is_string(json_object_get(m, "content")))
            return hone_fail(err, HONE_BAD_INPUT, "%s: message %zu: \"content\" is not text", path, i + 1);
    }
    return HONE_OK;
}

hone_status hone_history_load(hone_history *c, const char *path, hone_error *err)
{
    hone_buffer b = {0};
    json_error_t where;
    hone_status status = hone_file_read(path, MOST_FILE_BYTES, &b, err);
    if (status != HONE_OK) {
        hone_buffer_clear(&b);
        return status;
    }
    json_t *document = json_loadb(b.data ? b.data : "", b.length, JSON_REJECT_DUPLICATES, &where);
    json_t *messages = json_is_object(document) ? json_object_get(document, "messages") : document;
    status = document ? check_messages(messages, path, err)
                      : hone_fail(err, HONE_BAD_INPUT, "%s:%d: %s", path, where.line, where.text);
    if (status == HONE_OK) {
        json_decref(c->messages);
        c->messages = json_incref(messages);
    }
    json_decref(document);
    hone_buffer_clear(&b);
    return status;
}
