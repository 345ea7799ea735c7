/* conversation_repeats.c - rows of a training file that say the same as an earlier one. A repeated row counts twice in
 * the loss; the same question with two answers cannot be learned. */
#include "task/conversation.h"

#include "base/buffer.h"
#include "base/text.h"
#include "task/fold.h"
#include "task/rows.h"

#include <stdlib.h>
#include <string.h>

typedef struct key {
    char question[33], whole[33]; /* folded: all before the last answer; all */
    size_t index;
} key;

/* Equal questions together, then in file order. */
static int compare_keys(const void *a, const void *b)
{
    const key *x = a, *y = b;
    int order = strcmp(x->question, y->question);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* Who says what, a line each. */
static void write_messages(const json_t *messages, size_t n, hone_buffer *out)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(messages, i), *calls = json_object_get(message, "tool_calls");
        const char *content = json_string_value(json_object_get(message, "content"));
        char *dump = calls ? json_dumps(calls, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        hone_buffer_printf(out, "%s\n%s\n%s\n", json_string_value(json_object_get(message, "role")),
                           content ? content : "", dump ? dump : "");
        free(dump);
    }
}

static hone_status make_key(const hone_conversation *c, size_t index, key *out, hone_error *err)
{
    size_t last = json_array_size(c->messages) - 1;
    out->index = index;
    while (last > 0 && !(c->weights[last] > 0))
        last--;
    hone_buffer text = {0};
    write_messages(c->messages, last, &text);
    hone_status status = text.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory")
                                     : hone_fold_key(text.data ? text.data : "", out->question, err);
    hone_buffer_reset(&text);
    write_messages(c->messages, json_array_size(c->messages), &text);
    if (status == HONE_OK)
        status =
            text.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory") : hone_fold_key(text.data, out->whole, err);
    hone_buffer_clear(&text);
    return status;
}

static bool equal_rows(const hone_conversations *all, size_t a, size_t b)
{
    return json_equal(all->items[a].messages, all->items[b].messages) != 0;
}

typedef struct repeats {
    int64_t exact, near, contradicting;
    int64_t first_exact[2], first_near[2], first_contradicting[2]; /* lines */
} repeats;

static void count(int64_t *n, int64_t first[2], int64_t line, int64_t earlier)
{
    if (!(*n)++) {
        first[0] = line;
        first[1] = earlier;
    }
}

/* keys[0..n) have one question, in file order; each is compared with the first and with its predecessor. */
static void look_over(const hone_conversations *all, const key *keys, size_t n, repeats *r)
{
    for (size_t i = 1; i < n; i++) {
        size_t same = i;
        for (size_t j = 0; j < i && j < 64 && same == i; j++) /* 64: a question asked more often is reported anyway */
            if (strcmp(keys[j].whole, keys[i].whole) == 0)
                same = j;
        int64_t line = all->items[keys[i].index].line;
        if (same == i)
            count(&r->contradicting, r->first_contradicting, line, all->items[keys[0].index].line);
        else if (equal_rows(all, keys[same].index, keys[i].index))
            count(&r->exact, r->first_exact, line, all->items[keys[same].index].line);
        else
            count(&r->near, r->first_near, line, all->items[keys[same].index].line);
    }
}

static void note(json_t *notes, const char *path, int64_t n, const int64_t first[2], const char *what)
{
    char text[32];
    if (!n)
        return;
    hone_format_count(n, text);
    hone_warn(notes, "%s: %s %s (first: line %lld and line %lld)", path, text, what, (long long)first[1],
              (long long)first[0]);
}

/* Keys of all rows, sorted; the caller frees them. */
static hone_status make_keys(const hone_conversations *all, key **out, hone_error *err)
{
    key *keys = *out = calloc(all->n + 1, sizeof *keys);
    hone_status status = keys ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < all->n && status == HONE_OK; i++)
        status = make_key(&all->items[i], i, &keys[i], err);
    if (status == HONE_OK)
        qsort(keys, all->n, sizeof *keys, compare_keys);
    return status;
}

/* Where the keys end that have the question of keys[from]. */
static size_t end_of_question(const key *keys, size_t n, size_t from)
{
    size_t to = from + 1;
    while (to < n && strcmp(keys[to].question, keys[from].question) == 0)
        to++;
    return to;
}

hone_status hone_conversations_find_questions(const hone_conversations *all, size_t *question, hone_error *err)
{
    key *keys;
    hone_status status = make_keys(all, &keys, err);
    for (size_t from = 0, to; status == HONE_OK && from < all->n; from = to) {
        to = end_of_question(keys, all->n, from);
        for (size_t i = from; i < to; i++)
            question[keys[i].index] = keys[from].index;
    }
    free(keys);
    return status;
}

hone_status hone_conversations_note_repeats(const char *path, hone_conversations *all, hone_error *err)
{
    repeats r = {0};
    key *keys;
    hone_status status = make_keys(all, &keys, err);
    if (status == HONE_OK) {
        for (size_t from = 0, to; from < all->n; from = to) {
            to = end_of_question(keys, all->n, from);
            look_over(all, keys + from, to - from, &r);
        }
        note(all->notes, path, r.exact, r.first_exact, "rows repeat an earlier one exactly and count twice");
        note(all->notes, path, r.near, r.first_near, "rows repeat an earlier one but for case, spacing or punctuation");
        note(all->notes, path, r.contradicting, r.first_contradicting,
             "rows answer the question of an earlier one in another way; a model cannot learn both");
    }
    free(keys);
    return status;
}
