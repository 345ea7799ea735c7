/* conversation.c - conversations as tokens to learn from.
 *
 * A learned turn is the prompt by which the engine itself would ask for it (the messages before, through the template,
 * with the generation prompt), then the answer, then what ends the turn. The next learned turn's prompt must begin with
 * exactly the tokens so far; it is compared, token by token, so that what was trained is what will be served whatever
 * the template does. The mask follows from this: the answers and their ends, nothing else. */
#include "engine/internal.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

/* What the template writes after the answer, up to and with the first token that ends a turn. */
static hone_status encode_ending(hone_engine *engine, const char *rest, size_t length, hone_token_list *completion,
                                 hone_error *err)
{
    hone_token_list ids = {0};
    hone_status status = length ? hone_tokenizer_encode(engine->tokenizer, rest, length, true, &ids, err) : HONE_OK;
    size_t end = 0;
    while (end < ids.n && !hone_tokenizer_is_end(engine->tokenizer, ids.data[end]))
        end++;
    if (status == HONE_OK && end < ids.n)
        for (size_t i = 0; i <= end && status == HONE_OK; i++)
            status = hone_token_list_push(completion, ids.data[i], err);
    else if (status == HONE_OK && hone_tokenizer_eos(engine->tokenizer) >= 0)
        status = hone_token_list_push(completion, hone_tokenizer_eos(engine->tokenizer), err);
    else if (status == HONE_OK)
        status = hone_fail(err, HONE_UNSUPPORTED,
                           "%s: neither the template nor the vocabulary has a token that ends an answer", engine->path);
    hone_token_list_clear(&ids);
    return status;
}

/* The template's text of one turn: all of it, and where the part after the prompt begins. */
typedef struct turn_text {
    hone_buffer before, whole;
    bool continues; /* whole begins with before */
} turn_text;

static hone_status render_turn(hone_engine *engine, const json_t *prompt, const json_t *tools, const json_t *answer,
                               turn_text *t, hone_error *err)
{
    json_t *all = json_array();
    hone_status status = hone_engine_render(engine, prompt, tools, true, &t->before, err);
    if (status == HONE_OK && (json_array_extend(all, (json_t *)(uintptr_t)prompt) < 0 ||
                              json_array_append(all, (json_t *)(uintptr_t)answer) < 0))
        status = hone_fail(err, HONE_BAD_INPUT, "the answer is not valid UTF-8 text");
    if (status == HONE_OK)
        status = hone_engine_render(engine, all, tools, false, &t->whole, err);
    json_decref(all);
    t->continues = status == HONE_OK && t->whole.length >= t->before.length && t->before.data &&
                   memcmp(t->whole.data, t->before.data, t->before.length) == 0;
    return status;
}

static void clear_turn(turn_text *t)
{
    hone_buffer_clear(&t->before);
    hone_buffer_clear(&t->whole);
}

typedef struct answer_place { /* an answer within what the template writes after the prompt */
    const char *lead, *answer, *rest;
    size_t lead_length, length, rest_length;
} answer_place;

static bool is_space(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

/* Where the template puts an answer, found with another answer in its place; false when this one is not written there
 * as it is or trimmed. */
static bool find_by_probe(hone_engine *engine, const json_t *prompt, const json_t *tools, const json_t *message,
                          const turn_text *t, answer_place *at)
{
    static const char probe[] = "honeprobe7403";
    turn_text other = {0};
    json_t *changed = json_copy((json_t *)(uintptr_t)message);
    bool found = false;
    json_object_set_new(changed, "content", json_string(probe));
    if (changed && render_turn(engine, prompt, tools, changed, &other, NULL) == HONE_OK && other.continues) {
        const char *after = other.whole.data + t->before.length, *mark = strstr(after, probe);
        size_t total = t->whole.length - t->before.length, lead = mark ? (size_t)(mark - after) : 0,
               rest = mark ? strlen(mark + strlen(probe)) : 0;
        if (mark && total >= lead + rest) {
            at->lead = t->whole.data + t->before.length;
            at->lead_length = lead;
            at->rest = t->whole.data + t->whole.length - rest;
            at->rest_length = rest;
            size_t written = total - lead - rest;
            const char *within = written ? memmem(at->answer, at->length, at->lead + lead, written) : NULL;
            found = within && is_space(at->answer, (size_t)(within - at->answer)) &&
                    is_space(within + written, at->length - written - (size_t)(within - at->answer));
            if (found) {
                at->answer = within;
                at->length = written;
            }
        }
    }
    clear_turn(&other);
    json_decref(changed);
    return found;
}

/* A text answer is encoded as plain text: what looks like a control token in the data stays text. Where the template
 * writes something before it (an empty thought) or trims it, that is learned as the template writes it; white space
 * alone before it is not. */
static hone_status encode_text_answer(hone_engine *engine, const json_t *prompt, const json_t *tools,
                                      const json_t *message, const turn_text *t, hone_token_list *completion,
                                      hone_error *err)
{
    const char *content = json_string_value(json_object_get(message, "content"));
    answer_place at = {.answer = content ? content : ""};
    hone_status status = HONE_OK;
    at.length = strlen(at.answer);
    if (t->continues) {
        at.lead = t->whole.data + t->before.length;
        size_t total = t->whole.length - t->before.length;
        if (total >= at.length && memcmp(at.lead, at.answer, at.length) == 0) {
            at.rest = at.lead + at.length;
            at.rest_length = total - at.length;
        } else if (!find_by_probe(engine, prompt, tools, message, t, &at))
            at.lead_length = at.rest_length = 0;
    }
    if (!is_space(at.lead, at.lead_length))
        status = hone_tokenizer_encode(engine->tokenizer, at.lead, at.lead_length, true, completion, err);
    if (status == HONE_OK)
        status = hone_tokenizer_encode(engine->tokenizer, at.answer, at.length, false, completion, err);
    return status == HONE_OK ? encode_ending(engine, at.rest, at.rest_length, completion, err) : status;
}

/* Tool calls are what the template makes of them, control tokens included. */
static hone_status encode_call_answer(hone_engine *engine, const turn_text *t, const json_t *message,
                                      hone_token_list *completion, hone_error *err)
{
    const json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0);
    const char *name = json_string_value(json_object_get(json_object_get(call, "function"), "name")),
               *after = t->continues ? t->whole.data + t->before.length : "";
    size_t length = t->continues ? t->whole.length - t->before.length : 0;
    if (!name || !memmem(after, length, name, strlen(name)))
        return hone_fail(err, HONE_BAD_INPUT,
                         "the model's chat template has no place for tool calls; write the call as the text of "
                         "\"content\", or use a model whose template has");
    return encode_ending(engine, after, length, completion, err);
}

static hone_status encode_answer(hone_engine *engine, const json_t *prompt, const json_t *tools, const json_t *message,
                                 const turn_text *t, hone_token_list *completion, hone_error *err)
{
    return json_object_get(message, "tool_calls")
               ? encode_call_answer(engine, t, message, completion, err)
               : encode_text_answer(engine, prompt, tools, message, t, completion, err);
}

hone_status hone_engine_encode_pair(hone_engine *engine, const json_t *messages, const char *answer,
                                    hone_token_list *prompt, hone_token_list *completion, hone_error *err)
{
    turn_text t = {0};
    json_t *message = json_pack("{s:s,s:s}", "role", "assistant", "content", answer);
    hone_status status = message ? render_turn(engine, messages, NULL, message, &t, err)
                                 : hone_fail(err, HONE_BAD_INPUT, "the answer is not valid UTF-8 text");
    if (status == HONE_OK)
        status = hone_engine_encode_rendered(engine, &t.before, prompt, err);
    if (status == HONE_OK)
        status = encode_answer(engine, messages, NULL, message, &t, completion, err);
    clear_turn(&t);
    json_decref(message);
    return status;
}

/* A model that never sees the tools learns to call blindly. */
static hone_status check_tools_are_shown(hone_engine *engine, const json_t *prompt, const json_t *tools,
                                         const turn_text *t, hone_error *err)
{
    hone_buffer without = {0};
    if (!tools)
        return HONE_OK;
    hone_status status = hone_engine_render(engine, prompt, NULL, true, &without, err);
    if (status == HONE_OK && without.length == t->before.length &&
        memcmp(without.data, t->before.data, without.length) == 0)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "the model's chat template has no place for \"tools\"; describe them in the system message, "
                           "or use a model whose template has");
    hone_buffer_clear(&without);
    return status;
}

static hone_status push(hone_learned_conversation *c, int32_t id, float weight, hone_error *err)
{
    if (c->ids.n == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 64;
        float *grown = realloc(c->weights, capacity * sizeof *grown);
        if (!grown)
            return hone_fail(err, HONE_NO_MEMORY, "out of memory for an example of %zu tokens", c->ids.n);
        c->weights = grown;
        c->capacity = capacity;
    }
    c->weights[c->ids.n] = weight;
    return hone_token_list_push(&c->ids, id, err);
}

/* Adds the prompt's tokens beyond those already there, which must be its beginning, then the answer's. */
static hone_status append_turn(hone_learned_conversation *c, const hone_token_list *prompt,
                               const hone_token_list *answer, size_t turn, float weight, size_t max_tokens,
                               hone_error *err)
{
    hone_status status = HONE_OK;
    bool first = c->ids.n == 0;
    if (prompt->n < c->ids.n || (c->ids.n && memcmp(prompt->data, c->ids.data, c->ids.n * sizeof(int32_t)) != 0))
        return hone_fail(
            err, HONE_BAD_INPUT,
            "message %zu: when it is asked for, the model's template writes an earlier turn in another way "
            "than it was learned; learn the turns apart with --train-on each, or only the last with "
            "--train-on last",
            turn + 1);
    for (size_t i = c->ids.n; i < prompt->n && status == HONE_OK; i++)
        status = push(c, prompt->data[i], 0, err);
    size_t begin = c->ids.n;
    if (first)
        c->n_prompt = begin;
    for (size_t i = 0; i < answer->n && status == HONE_OK; i++)
        status = push(c, answer->data[i], weight, err);
    if (first || c->ids.n <= max_tokens) {
        c->last_answer = begin;
        c->last_answer_end = c->ids.n;
    }
    return status;
}

hone_status hone_engine_encode_conversation(hone_engine *engine, const json_t *messages, const json_t *tools,
                                            const float *weights, int64_t max_tokens, hone_learned_conversation *out,
                                            hone_error *err)
{
    *out = (hone_learned_conversation){0};
    json_t *before = json_array();
    hone_status status = before ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t turn = 0; turn < json_array_size(messages) && status == HONE_OK && !out->too_long; turn++) {
        json_t *message = json_array_get(messages, turn);
        if (weights[turn] > 0) {
            turn_text t = {0};
            hone_token_list prompt = {0}, answer = {0};
            status = render_turn(engine, before, tools, message, &t, err);
            if (status == HONE_OK && out->ids.n == 0)
                status = check_tools_are_shown(engine, before, tools, &t, err);
            if (status == HONE_OK)
                status = hone_engine_encode_rendered(engine, &t.before, &prompt, err);
            if (status == HONE_OK)
                status = encode_answer(engine, before, tools, message, &t, &answer, err);
            if (status == HONE_OK)
                status = append_turn(out, &prompt, &answer, turn, weights[turn], (size_t)max_tokens, err);
            out->too_long = (int64_t)out->ids.n > max_tokens;
            hone_token_list_clear(&prompt);
            hone_token_list_clear(&answer);
            clear_turn(&t);
        }
        json_array_append(before, message);
    }
    json_decref(before);
    if (status == HONE_OK && out->ids.n == 0)
        status = hone_fail(err, HONE_BAD_INPUT, "no assistant message is learned");
    return status;
}

void hone_learned_conversation_clear(hone_learned_conversation *c)
{
    hone_token_list_clear(&c->ids);
    free(c->weights);
    *c = (hone_learned_conversation){0};
}

void hone_engine_template_hash(const hone_engine *engine, char out[65])
{
    const char *source = hone_tokenizer_chat_template(engine->tokenizer);
    if (!source)
        source = hone_template_plain();
    hone_sha256_hex(source, strlen(source), out);
}
