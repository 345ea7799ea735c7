/* chat_messages.c - checking and normalising the messages of a chat. */
#include "serve/chat_messages.h"

#include "base/buffer.h"
#include "serve/fields.h"

#include <string.h>

static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
enum { N_ROLES = sizeof roles / sizeof *roles };

static hone_status read_role(const json_t *message, size_t i, const char **role, hone_error *err)
{
    const json_t *value = json_object_get(message, "role");
    const char *text = json_string_value(value);
    if (!text)
        return hone_fail(err, HONE_BAD_INPUT, "messages[%zu]: \"role\" is %s; it takes a string", i,
                         hone_json_kind(value));
    for (int r = 0; r < N_ROLES; r++)
        if (strcmp(text, roles[r]) == 0) {
            *role = strcmp(text, "developer") == 0 ? "system" : roles[r];
            return HONE_OK;
        }
    return hone_fail(err, HONE_BAD_INPUT,
                     "messages[%zu]: role \"%.40s\"; it is system, developer, user, assistant or tool", i, text);
}

/* One text from a list of parts {"type":"text","text":...}. */
static hone_status join_parts(const json_t *parts, size_t i, json_t **out, hone_error *err)
{
    hone_buffer text = {0};
    hone_status status = HONE_OK;
    for (size_t p = 0; p < json_array_size(parts) && status == HONE_OK; p++) {
        const json_t *part = json_array_get(parts, p);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *value = json_object_get(part, "text");
        if (!type)
            status = hone_fail(err, HONE_BAD_INPUT, "messages[%zu].content[%zu] has no \"type\"", i, p);
        else if (strcmp(type, "text") != 0 && strcmp(type, "refusal") != 0)
            status =
                hone_fail(err, HONE_UNSUPPORTED,
                          "messages[%zu].content[%zu] is of type \"%.40s\"; this model reads text only", i, p, type);
        else if (!json_is_string(value) && strcmp(type, "text") == 0)
            status = hone_fail(err, HONE_BAD_INPUT, "messages[%zu].content[%zu]: \"text\" is %s; it takes a string", i,
                               p, hone_json_kind(value));
        else if (json_is_string(value))
            hone_buffer_append(&text, json_string_value(value), json_string_length(value));
    }
    if (status == HONE_OK && (text.failed || !(*out = json_stringn(text.data ? text.data : "", text.length))))
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_buffer_clear(&text);
    return status;
}

static hone_status read_content(const json_t *message, size_t i, const char *role, json_t **out, hone_error *err)
{
    json_t *value = json_object_get(message, "content");
    if (json_is_string(value)) {
        *out = json_incref(value);
        return HONE_OK;
    }
    if (json_is_array(value))
        return join_parts(value, i, out, err);
    /* an assistant's turn that only calls tools has none */
    if ((!value || json_is_null(value)) && strcmp(role, "assistant") == 0) {
        *out = json_string("");
        return *out ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    return hone_fail(err, HONE_BAD_INPUT, "messages[%zu]: \"content\" is %s; it takes a string or a list of parts", i,
                     hone_json_kind(value));
}

/* Arguments of tool calls as objects, in place (the calls are a copy). */
static hone_status open_arguments(json_t *calls, size_t i, hone_error *err)
{
    for (size_t c = 0; c < json_array_size(calls); c++) {
        json_t *function = json_object_get(json_array_get(calls, c), "function");
        json_t *arguments = json_object_get(function, "arguments");
        if (!json_is_string(arguments))
            continue;
        json_t *opened =
            json_loadb(json_string_value(arguments), json_string_length(arguments), JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(opened)) {
            json_decref(opened);
            return hone_fail(err, HONE_BAD_INPUT,
                             "messages[%zu].tool_calls[%zu]: \"arguments\" is not the JSON text of an object", i, c);
        }
        json_object_set_new(function, "arguments", opened);
    }
    return HONE_OK;
}

static hone_status read_message(const json_t *message, size_t i, json_t *out, hone_error *err)
{
    const char *role = NULL;
    json_t *content = NULL;
    if (!json_is_object(message))
        return hone_fail(err, HONE_BAD_INPUT, "messages[%zu] is %s; it takes an object", i, hone_json_kind(message));
    hone_status status = read_role(message, i, &role, err);
    if (status == HONE_OK)
        status = read_content(message, i, role, &content, err);
    if (status != HONE_OK)
        return status;
    json_t *clean = json_object();
    json_object_set_new(clean, "role", json_string(role));
    json_object_set_new(clean, "content", content);
    static const char *const kept[] = {"name", "tool_call_id"};
    for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
        if (json_is_string(json_object_get(message, kept[k])))
            json_object_set(clean, kept[k], json_object_get(message, kept[k]));
    const json_t *calls = json_object_get(message, "tool_calls");
    if (json_is_array(calls) && json_array_size(calls) > 0) {
        json_t *copy = json_deep_copy(calls);
        status = open_arguments(copy, i, err);
        json_object_set_new(clean, "tool_calls", copy);
    }
    if (json_array_append_new(out, clean) < 0 && status == HONE_OK)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    return status;
}

hone_status hone_chat_messages_read(const json_t *messages, json_t **out, hone_error *err)
{
    *out = NULL;
    if (!json_is_array(messages))
        return hone_fail(err, HONE_BAD_INPUT, "\"messages\" is %s; it takes a list", hone_json_kind(messages));
    if (json_array_size(messages) == 0)
        return hone_fail(err, HONE_BAD_INPUT, "\"messages\" is empty; it takes at least one message");
    json_t *list = json_array();
    hone_status status = list ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < json_array_size(messages) && status == HONE_OK; i++)
        status = read_message(json_array_get(messages, i), i, list, err);
    if (status == HONE_OK)
        *out = list;
    else
        json_decref(list);
    return status;
}
