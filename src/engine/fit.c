/* fit.c - prompts that are longer than the context, shortened where the user asked for it.
 *
 * Of text, the end stays (a BOS before it too): what the model goes on from stands there. Of a conversation, the oldest
 * turns go, never the system message; where one message is left that is still too long, the beginning of its text. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

size_t hone_engine_fit_ids(const hone_engine *engine, hone_token_list *ids, int64_t most)
{
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(engine);
    size_t kept = most > 0 ? (size_t)most : 0, first = ids->n > 0 && ids->data[0] == hone_tokenizer_bos(tokenizer);
    if (ids->n <= kept || kept <= first)
        return 0;
    size_t cut = ids->n - kept;
    memmove(ids->data + first, ids->data + first + cut, (kept - first) * sizeof *ids->data);
    ids->n = kept;
    return cut;
}

static bool has_role(const json_t *message, const char *role)
{
    const char *own = json_string_value(json_object_get(message, "role"));
    return own && strcmp(own, role) == 0;
}

/* Removes the oldest turn: a message and what follows up to the next of the user. False when only one is left. */
static bool drop_turn(json_t *messages, size_t *n_turns)
{
    size_t first = 0, n = json_array_size(messages);
    while (first < n && has_role(json_array_get(messages, first), "system"))
        first++;
    if (first + 1 >= n)
        return false;
    do {
        json_array_remove(messages, first);
        (*n_turns)++;
    } while (json_array_size(messages) > first + 1 && !has_role(json_array_get(messages, first), "user"));
    return true;
}

/* Removes `cut` tokens from the beginning of the last message's text. */
static hone_status cut_last(const hone_engine *engine, json_t *messages, size_t cut, hone_error *err)
{
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(engine);
    size_t last = json_array_size(messages) - 1;
    json_t *message = json_copy(json_array_get(messages, last)), *text;
    const char *content = json_string_value(json_object_get(message, "content"));
    hone_token_list ids = {0};
    hone_buffer rest = {0};
    hone_status status = HONE_OK;
    if (!content)
        status = hone_fail(err, HONE_BAD_INPUT, "the last message is too long, and its content is no text to shorten");
    if (status == HONE_OK)
        status = hone_tokenizer_encode(tokenizer, content, strlen(content), false, &ids, err);
    if (status == HONE_OK && cut >= ids.n)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "what stands around the last message leaves it no room; shorten the system message");
    for (; status == HONE_OK; cut++) { /* up to a place where a character begins */
        rest.length = 0;
        status = hone_tokenizer_decode(tokenizer, ids.data + cut, ids.n - cut, false, &rest, err);
        text = status == HONE_OK ? json_stringn(rest.data ? rest.data : "", rest.length) : NULL;
        if (text || cut + 1 >= ids.n) {
            if (status == HONE_OK && (json_object_set_new(message, "content", text ? text : json_string("")) < 0 ||
                                      json_array_set(messages, last, message) < 0))
                status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
            break;
        }
    }
    json_decref(message);
    hone_token_list_clear(&ids);
    hone_buffer_clear(&rest);
    return status;
}

hone_status hone_engine_fit_chat(hone_engine *engine, const json_t *messages, int64_t most, hone_token_list *ids,
                                 hone_left_out *out, hone_error *err)
{
    size_t start = ids->n, cut = 0;
    json_t *kept = json_copy((json_t *)(uintptr_t)messages), *whole_last;
    *out = (hone_left_out){0};
    if (!kept)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_status status = hone_engine_encode_chat(engine, kept, true, ids, err);
    while (status == HONE_OK && (int64_t)(ids->n - start) > most && drop_turn(kept, &out->n_messages)) {
        ids->n = start;
        status = hone_engine_encode_chat(engine, kept, true, ids, err);
    }
    whole_last = json_incref(json_array_get(kept, json_array_size(kept) - 1));
    while (status == HONE_OK && (int64_t)(ids->n - start) > most) {
        cut += ids->n - start - (size_t)most; /* its tokens may join differently, so once more until it fits */
        ids->n = start;
        json_array_set(kept, json_array_size(kept) - 1, whole_last);
        status = cut_last(engine, kept, cut, err);
        if (status == HONE_OK)
            status = hone_engine_encode_chat(engine, kept, true, ids, err);
    }
    out->n_tokens = cut;
    json_decref(whole_last);
    json_decref(kept);
    return status;
}
