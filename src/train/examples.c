/* examples.c - which turns become which examples, and what happens to those that are too long. */
#include "train/examples.h"

#include <stdlib.h>
#include <string.h>

typedef struct encoder {
    hone_engine *engine;
    const char *path;
    const hone_example_options *options;
    int64_t max_tokens;
    hone_encoded_examples *out;
    hone_error *err;
} encoder;

/* A part of a conversation: the leading system messages, then messages [from, to). */
typedef struct part {
    json_t *messages; /* owned */
    float *weights;   /* owned */
} part;

static size_t count_system(const json_t *messages)
{
    size_t n = 0;
    const char *role;
    while ((role = json_string_value(json_object_get(json_array_get(messages, n), "role"))) &&
           strcmp(role, "system") == 0)
        n++;
    return n;
}

static void clear_part(part *p)
{
    json_decref(p->messages);
    free(p->weights);
}

static hone_status take_part(const hone_conversation *c, size_t from, size_t to, part *out, hone_error *err)
{
    size_t n_system = count_system(c->messages), n = 0;
    out->messages = json_array();
    out->weights = calloc(to + 1, sizeof *out->weights);
    if (!out->messages || !out->weights)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < to; i++)
        if (i < n_system || i >= from) {
            json_array_append(out->messages, json_array_get(c->messages, i));
            out->weights[n++] = c->weights[i];
        }
    return HONE_OK;
}

/* The last learned answer that is there as a whole, as text, its end of turn left out. Where none is, the cut goes
 * through the first, and what is left of that one is no answer to ask for. */
static hone_status set_answer(const encoder *e, hone_encoded_example *x)
{
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(e->engine);
    hone_buffer text = {0};
    size_t n = x->tokens.ids.n, end = x->tokens.last_answer_end, begin = x->tokens.last_answer;
    x->answer_is_cut = end > n;
    end = end < n ? end : n;
    if (end - begin > e->out->longest_answer_tokens)
        e->out->longest_answer_tokens = end - begin;
    while (end > begin && hone_tokenizer_is_end(tokenizer, x->tokens.ids.data[end - 1]))
        end--;
    hone_status status =
        hone_tokenizer_decode(tokenizer, x->tokens.ids.data + begin, end - begin, false, &text, e->err);
    if (status == HONE_OK && !(x->answer = hone_buffer_take(&text)))
        status = hone_fail(e->err, HONE_NO_MEMORY, "out of memory");
    hone_buffer_clear(&text);
    return status;
}

static hone_status add(const encoder *e, const hone_conversation *c, size_t index, hone_learned_conversation *tokens)
{
    hone_encoded_examples *all = e->out;
    if (all->n == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 256;
        hone_encoded_example *grown = realloc(all->items, capacity * sizeof *grown);
        if (!grown)
            return hone_fail(e->err, HONE_NO_MEMORY, "out of memory");
        all->items = grown;
        all->capacity = capacity;
    }
    hone_encoded_example *x = &all->items[all->n++];
    *x = (hone_encoded_example){.tokens = *tokens, .conversation = index, .line = c->line};
    *tokens = (hone_learned_conversation){0};
    return set_answer(e, x);
}

/* Keeps the first max_tokens; false when nothing learned is among them. */
static bool truncate_tokens(hone_learned_conversation *tokens, size_t max_tokens)
{
    bool learned = false;
    tokens->ids.n = tokens->ids.n < max_tokens ? tokens->ids.n : max_tokens;
    for (size_t i = 0; i < tokens->ids.n; i++)
        learned |= tokens->weights[i] > 0;
    return learned;
}

static bool is_user(const json_t *messages, size_t at)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, at), "role"));
    return role && strcmp(role, "user") == 0;
}

static hone_status encode_part(const encoder *e, const hone_conversation *c, size_t from, size_t to,
                               hone_learned_conversation *tokens)
{
    part p = {0};
    *tokens = (hone_learned_conversation){0};
    hone_status status = take_part(c, from, to, &p, e->err);
    if (status == HONE_OK)
        status =
            hone_engine_encode_conversation(e->engine, p.messages, c->tools, p.weights, e->max_tokens, tokens, e->err);
    clear_part(&p);
    return status;
}

static bool part_is_learned(const hone_conversation *c, size_t from, size_t to)
{
    bool learned = false, asked = false;
    for (size_t i = from; i < to; i++) {
        learned |= asked && c->weights[i] > 0;
        asked = true;
    }
    return learned;
}

static hone_status too_long(const encoder *e, const char *fix)
{
    return hone_fail(e->err, HONE_BAD_INPUT, "more than %lld tokens, which is %s. %s", (long long)e->max_tokens,
                     e->options->max_tokens ? "the limit set" : "what the model's context holds", fix);
}

/* The longest pieces of whole exchanges that fit, one after another. */
static hone_status split(const encoder *e, const hone_conversation *c, size_t index)
{
    size_t n = json_array_size(c->messages), from = count_system(c->messages);
    hone_status status = HONE_OK;
    while (from < n && status == HONE_OK) {
        hone_learned_conversation kept = {0};
        size_t end = from;
        for (size_t to = from + 1; to <= n && status == HONE_OK; to++) {
            hone_learned_conversation tokens;
            if (to < n && !is_user(c->messages, to))
                continue;
            if (!part_is_learned(c, from, to)) { /* nothing in it yet: take more, or leave it out at the end */
                end = end == from && to == n ? n : end;
                continue;
            }
            status = encode_part(e, c, from, to, &tokens);
            if (status != HONE_OK || tokens.too_long) {
                hone_learned_conversation_clear(&tokens);
                break;
            }
            hone_learned_conversation_clear(&kept);
            kept = tokens;
            end = to;
        }
        if (status == HONE_OK && end == from)
            status = too_long(e, "A single exchange does not fit, so it cannot be split: shorten or remove the row, or "
                                 "use --too-long truncate or drop");
        if (status == HONE_OK && kept.ids.n > 0)
            status = add(e, c, index, &kept);
        hone_learned_conversation_clear(&kept);
        from = end;
    }
    e->out->n_split += status == HONE_OK;
    return status;
}

static hone_status encode_whole(const encoder *e, const hone_conversation *c, size_t index, size_t n_messages)
{
    hone_learned_conversation tokens;
    hone_status status = encode_part(e, c, count_system(c->messages), n_messages, &tokens);
    if (status == HONE_OK && tokens.too_long) {
        switch (e->options->too_long) {
        case HONE_TOO_LONG_ERROR:
            status = too_long(e, "Shorten or remove the row, or use --too-long truncate, split or drop");
            break;
        case HONE_TOO_LONG_DROP:
            e->out->n_dropped++;
            goto done;
        case HONE_TOO_LONG_SPLIT:
            status = split(e, c, index);
            goto done;
        case HONE_TOO_LONG_TRUNCATE:
            if (!truncate_tokens(&tokens, (size_t)e->max_tokens)) {
                e->out->n_dropped++;
                goto done;
            }
            e->out->n_truncated++;
            break;
        }
    }
    if (status == HONE_OK)
        status = add(e, c, index, &tokens);
done:
    hone_learned_conversation_clear(&tokens);
    return status;
}

/* A copy of the conversation up to a turn, of which only that turn is learned. */
static hone_status encode_one_turn(const encoder *e, const hone_conversation *c, size_t index, size_t turn)
{
    hone_conversation one = *c;
    one.weights = calloc(json_array_size(c->messages) + 1, sizeof *one.weights);
    if (!one.weights)
        return hone_fail(e->err, HONE_NO_MEMORY, "out of memory");
    one.weights[turn] = c->weights[turn];
    hone_status status = encode_whole(e, &one, index, turn + 1);
    free(one.weights);
    return status;
}

static hone_status encode_row(const encoder *e, const hone_conversation *c, size_t index)
{
    size_t n = json_array_size(c->messages), last = n;
    hone_status status = HONE_OK;
    if (e->options->train_on == HONE_TRAIN_ON_ALL)
        return encode_whole(e, c, index, n);
    for (size_t i = 0; i < n; i++)
        last = c->weights[i] > 0 ? i : last;
    for (size_t i = e->options->train_on == HONE_TRAIN_ON_LAST ? last : 0; i <= last && i < n && status == HONE_OK; i++)
        if (c->weights[i] > 0)
            status = encode_one_turn(e, c, index, i);
    return status;
}

hone_status hone_examples_encode(hone_engine *engine, const char *path, const hone_conversations *all,
                                 const hone_example_options *options, hone_encoded_examples *out, hone_error *err)
{
    int64_t context = hone_engine_context_tokens(engine);
    encoder e = {engine, path, options, options->max_tokens ? options->max_tokens : context, out, err};
    *out = (hone_encoded_examples){0};
    if (e.max_tokens < 2 || e.max_tokens > context)
        return hone_fail(err, HONE_BAD_INPUT, "a limit of %lld tokens; the model's context allows 2 to %lld",
                         (long long)e.max_tokens, (long long)context);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < all->n && status == HONE_OK; i++) {
        status = encode_row(&e, &all->items[i], i);
        if (status != HONE_OK)
            status = hone_fail_within(err, status, "%s:%lld", path, (long long)all->items[i].line);
    }
    if (status == HONE_OK && out->n == 0)
        status =
            hone_fail(err, HONE_BAD_INPUT, "%s: every row was left out: nothing that is learned fits into %lld tokens",
                      path, (long long)e.max_tokens);
    return status;
}

void hone_encoded_examples_clear(hone_encoded_examples *examples)
{
    for (size_t i = 0; i < examples->n; i++) {
        hone_learned_conversation_clear(&examples->items[i].tokens);
        free(examples->items[i].answer);
    }
    free(examples->items);
    *examples = (hone_encoded_examples){0};
}

hone_train_example hone_encoded_example_get(const hone_encoded_example *e)
{
    return (hone_train_example){.ids = e->tokens.ids.data,
                                .n_ids = e->tokens.ids.n,
                                .n_prompt = e->tokens.n_prompt,
                                .weights = e->tokens.weights,
                                .line = e->line};
}

bool hone_too_long_parse(const char *word, hone_too_long *out)
{
    static const char *const words[] = {"error", "truncate", "split", "drop"};
    for (int i = 0; i < 4; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (hone_too_long)i;
            return true;
        }
    return false;
}

bool hone_train_on_parse(const char *word, hone_train_on *out)
{
    static const char *const words[] = {"all", "last", "each"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (hone_train_on)i;
            return true;
        }
    return false;
}
