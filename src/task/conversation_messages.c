/* conversation_messages.c - one message at a time: role, content, tool calls. The keys are those of OpenAI's chat
 * format ("Fine-tuning: example format", 2024) and reasoning_content, which some templates write. */
#include "task/conversation_messages.h"

#include "base/buffer.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for a message");
}

static hone_status check_keys(const json_t *given, size_t at, hone_error *err)
{
    static const char *const known[] = {"role",         "content",           "weight",  "name", "tool_calls",
                                        "tool_call_id", "reasoning_content", "refusal", "id"};
    enum { N_KNOWN = sizeof known / sizeof *known };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, key, value)
    {
        size_t i = 0;
        while (i < N_KNOWN && strcmp(key, known[i]) != 0)
            i++;
        if (i < N_KNOWN)
            continue;
        if (strcmp(key, "function_call") == 0)
            return hone_fail(err, HONE_BAD_INPUT,
                             "message %zu: \"function_call\" is the old form; write \"tool_calls\": [{\"function\": "
                             "{\"name\", \"arguments\"}}]",
                             at);
        const char *near = hone_suggest(key, known, N_KNOWN);
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: unknown key \"%.60s\"%s%s%s", at, key,
                         near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "; remove it");
    }
    return HONE_OK;
}

/* The role as templates know it, or NULL with the message in err. */
static const char *read_role(const json_t *given, size_t at, hone_error *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "developer"};
    enum { N_ROLES = sizeof roles / sizeof *roles };
    const char *role = json_string_value(json_object_get(given, "role"));
    if (!role) {
        hone_fail(err, HONE_BAD_INPUT, "message %zu has no \"role\" (system, user, assistant or tool)", at);
        return NULL;
    }
    for (size_t i = 0; i < N_ROLES; i++)
        if (strcmp(role, roles[i]) == 0)
            return strcmp(role, "developer") == 0 ? "system" : roles[i];
    const char *near = hone_suggest(role, roles, N_ROLES);
    hone_fail(err, HONE_BAD_INPUT, "message %zu: unknown role \"%.60s\"%s%s%s", at, role,
              near ? " (did you mean \"" : "; roles are system, user, assistant and tool", near ? near : "",
              near ? "\"?)" : "");
    return NULL;
}

/* Text, or parts {"type":"text","text"} that are joined. *out stays NULL for null and for nothing. */
static hone_status read_content(const json_t *content, size_t at, json_t **out, hone_error *err)
{
    *out = NULL;
    if (!content || json_is_null(content))
        return HONE_OK;
    if (json_is_string(content)) {
        *out = json_incref((json_t *)(uintptr_t)content);
        return HONE_OK;
    }
    if (!json_is_array(content))
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: \"content\" must be text or a list of text parts", at);
    hone_buffer text = {0};
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part)
    {
        const char *piece = json_string_value(json_object_get(part, "text")),
                   *type = json_string_value(json_object_get(part, "type"));
        if (!piece || (type && strcmp(type, "text") != 0)) {
            hone_buffer_clear(&text);
            return hone_fail(err, HONE_BAD_INPUT,
                             "message %zu: part %zu of \"content\" is %.40s; hone learns from text parts only", at,
                             i + 1, type ? type : "no text");
        }
        hone_buffer_puts(&text, piece);
    }
    *out = text.failed ? NULL : json_string(text.data ? text.data : "");
    hone_buffer_clear(&text);
    return *out ? HONE_OK : no_memory(err);
}

/* Arguments are an object for templates and a JSON text on the wire: both are taken. */
static hone_status read_arguments(const json_t *given, size_t at, json_t **out, hone_error *err)
{
    json_error_t fault = {0};
    const char *text = json_string_value(given);
    *out = text ? json_loads(text, JSON_REJECT_DUPLICATES, &fault) : json_incref((json_t *)(uintptr_t)given);
    if (!given)
        *out = json_object();
    if (json_is_object(*out))
        return HONE_OK;
    bool parsed = *out != NULL;
    json_decref(*out);
    *out = NULL;
    return hone_fail(err, HONE_BAD_INPUT, "message %zu: the arguments of a tool call must be a JSON object%s%.120s", at,
                     text && !parsed ? ": " : "", text && !parsed ? fault.text : "");
}

static hone_status read_call(const json_t *given, size_t at, json_t **out, hone_error *err)
{
    const json_t *inner = json_object_get(given, "function"), *function = inner ? inner : given;
    const char *name = json_string_value(json_object_get(function, "name")),
               *type = json_string_value(json_object_get(given, "type"));
    json_t *arguments;
    *out = NULL;
    if (type && strcmp(type, "function") != 0)
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: a tool call of type \"%.40s\"; only functions are known",
                         at, type);
    if (!name || !*name)
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: a tool call has no function name", at);
    hone_status status = read_arguments(json_object_get(function, "arguments"), at, &arguments, err);
    if (status != HONE_OK)
        return status;
    *out = json_pack("{s:s, s:{s:s, s:o}}", "type", "function", "function", "name", name, "arguments", arguments);
    const json_t *id = json_object_get(given, "id");
    if (*out && json_is_string(id))
        json_object_set(*out, "id", (json_t *)(uintptr_t)id);
    return *out ? HONE_OK : no_memory(err);
}

static hone_status read_calls(const json_t *given, size_t at, json_t **out, hone_error *err)
{
    *out = NULL;
    if (!given || json_is_null(given))
        return HONE_OK;
    if (json_array_size(given) == 0)
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: \"tool_calls\" must be a list with at least one call", at);
    json_t *calls = json_array(), *item, *call;
    size_t i;
    hone_status status = calls ? HONE_OK : no_memory(err);
    json_array_foreach(given, i, item)
    {
        if (status == HONE_OK)
            status = read_call(item, at, &call, err);
        if (status == HONE_OK && json_array_append_new(calls, call) != 0)
            status = no_memory(err);
    }
    if (status == HONE_OK)
        *out = calls;
    else
        json_decref(calls);
    return status;
}

static hone_status read_weight(const json_t *given, bool assistant, size_t at, double *weight, hone_error *err)
{
    const json_t *w = json_object_get(given, "weight");
    *weight = assistant ? 1 : 0;
    if (!w)
        return HONE_OK;
    if (!assistant)
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: \"weight\" is for assistant messages only", at);
    double value = json_is_number(w) ? json_number_value(w) : -1;
    if (!(value >= 0) || !(value <= 1))
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: \"weight\" must be 0 (not learned) to 1", at);
    *weight = value;
    return HONE_OK;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

hone_status hone_message_append(json_t *messages, const json_t *given, size_t at, double *weight, hone_error *err)
{
    static const char *const copied[] = {"name", "tool_call_id", "reasoning_content"};
    json_t *content = NULL, *calls = NULL, *message = NULL;
    if (!json_is_object(given))
        return hone_fail(err, HONE_BAD_INPUT, "message %zu is not an object {\"role\", \"content\"}", at);
    hone_status status = check_keys(given, at, err);
    if (status != HONE_OK)
        return status;
    const char *role = read_role(given, at, err);
    if (!role)
        return HONE_BAD_INPUT;
    bool assistant = strcmp(role, "assistant") == 0;
    if ((status = read_weight(given, assistant, at, weight, err)) != HONE_OK ||
        (status = read_content(json_object_get(given, "content"), at, &content, err)) != HONE_OK ||
        (status = read_calls(json_object_get(given, "tool_calls"), at, &calls, err)) != HONE_OK)
        goto done;
    if (calls && !assistant)
        status = hone_fail(err, HONE_BAD_INPUT, "message %zu: \"tool_calls\" stand in assistant messages only", at);
    else if (!content && !calls)
        status = hone_fail(err, HONE_BAD_INPUT, "message %zu (%s) has no \"content\"", at, role);
    else if (assistant && !calls && *weight > 0 && is_blank(json_string_value(content)))
        status = hone_fail(err, HONE_BAD_INPUT,
                           "message %zu: the answer is empty; a tuned model would learn to say nothing. Remove the row "
                           "or give the message \"weight\": 0",
                           at);
    if (status != HONE_OK)
        goto done;
    message = json_pack("{s:s}", "role", role);
    json_object_set(message, "content", content ? content : json_null());
    if (calls)
        json_object_set(message, "tool_calls", calls);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (json_is_string(json_object_get(given, copied[i])))
            json_object_set(message, copied[i], json_object_get(given, copied[i]));
    if (!message || json_array_append(messages, message) != 0)
        status = no_memory(err);
done:
    json_decref(content);
    json_decref(calls);
    json_decref(message);
    return status;
}

hone_status hone_tools_read(const json_t *given, json_t **out, hone_error *err)
{
    json_error_t fault = {0};
    const char *text = json_string_value(given);
    *out = NULL;
    if (!given || json_is_null(given) || (text && is_blank(text)))
        return HONE_OK;
    json_t *tools = text ? json_loads(text, JSON_REJECT_DUPLICATES, &fault) : json_incref((json_t *)(uintptr_t)given);
    size_t i;
    json_t *tool;
    hone_status status = HONE_OK;
    if (!json_is_array(tools))
        status = hone_fail(err, HONE_BAD_INPUT, "\"tools\" must be a list of functions%s%.120s",
                           text && !tools ? ": " : "", text && !tools ? fault.text : "");
    json_array_foreach(tools, i, tool)
    {
        const json_t *inner = json_object_get(tool, "function");
        if (status == HONE_OK && !json_is_string(json_object_get(inner ? inner : tool, "name")))
            status = hone_fail(err, HONE_BAD_INPUT, "tool %zu has no \"function\" with a \"name\"", i + 1);
    }
    if (status == HONE_OK && json_array_size(tools) > 0)
        *out = tools;
    else
        json_decref(tools);
    return status;
}

hone_status hone_message_append_calls(json_t *messages, const char *text, size_t at, hone_error *err)
{
    json_error_t fault = {0};
    json_t *given = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
    double weight;
    if (!given)
        return hone_fail(err, HONE_BAD_INPUT, "message %zu: a function call must be JSON: %.120s", at, fault.text);
    json_t *message = json_pack("{s:s, s:n}", "role", "assistant", "content");
    if (json_is_array(given))
        json_object_set(message, "tool_calls", given);
    else
        json_object_set_new(message, "tool_calls", json_pack("[O]", given));
    hone_status status = hone_message_append(messages, message, at, &weight, err);
    json_decref(message);
    json_decref(given);
    return status;
}
