/* conversation.c - from a row of any shape to messages. Alpaca: Taori et al. 2023, "stanford_alpaca" (instruction, a
 * blank line, input). ShareGPT: conversations[] of {"from","value"}. */
#include "task/conversation.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/text.h"
#include "format/csv.h"
#include "format/jsonl.h"
#include "task/conversation_messages.h"
#include "task/fold.h"
#include "task/rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHAPE_MESSAGES, SHAPE_SHAREGPT, SHAPE_PROMPT, SHAPE_ALPACA, SHAPE_INPUT, SHAPE_TEXT_LABEL, N_SHAPES };
enum { MOST_UNUSED = 8 };

typedef struct row_parse {
    const json_t *row;
    const char *system;
    json_t *messages;
    double *weights; /* [capacity] */
    size_t n, capacity;
    hone_error *err;
} row_parse;

typedef struct shape {
    const char *name;
    const char *first, *second; /* keys that must be there; second may be NULL */
    const char *third;          /* that may be there, or NULL */
    hone_status (*read)(row_parse *p);
} shape;

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory for a row");
}

/* Room for one more weight. */
static bool grow(row_parse *p)
{
    if (p->n < p->capacity)
        return true;
    size_t capacity = p->capacity ? 2 * p->capacity : 8;
    double *grown = realloc(p->weights, capacity * sizeof *grown);
    if (!grown)
        return false;
    p->weights = grown;
    p->capacity = capacity;
    return true;
}

static hone_status append(row_parse *p, const json_t *message)
{
    if (!grow(p))
        return no_memory(p->err);
    hone_status status = hone_message_append(p->messages, message, p->n + 1, &p->weights[p->n], p->err);
    p->n += status == HONE_OK;
    return status;
}

static hone_status append_text(row_parse *p, const char *role, const char *text)
{
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", text);
    hone_status status = message ? append(p, message) : no_memory(p->err);
    json_decref(message);
    return status;
}

static hone_status append_list(row_parse *p, const json_t *list, const char *key)
{
    size_t i;
    json_t *message;
    if (json_array_size(list) == 0)
        return hone_fail(p->err, HONE_BAD_INPUT, "\"%s\" must be a list with at least one message", key);
    hone_status status = HONE_OK;
    json_array_foreach(list, i, message)
    {
        if (status == HONE_OK)
            status = append(p, message);
    }
    return status;
}

/* The system message asked for, where the row itself begins with none. */
static hone_status append_system(row_parse *p, const json_t *first)
{
    const char *role = json_string_value(json_object_get(first, "role"));
    if (!p->system || (role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)))
        return HONE_OK;
    return append_text(p, "system", p->system);
}

/* A field that must be text. Numbers and truth values are spelt as JSON does where `spell`; *owned then holds it. */
static hone_status field_text(row_parse *p, const char *key, bool spell, const char **out, char **owned)
{
    const json_t *value = json_object_get(p->row, key);
    *owned = NULL;
    *out = json_string_value(value);
    if (*out)
        return HONE_OK;
    if (spell && (json_is_number(value) || json_is_boolean(value))) {
        *out = *owned = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        return *out ? HONE_OK : no_memory(p->err);
    }
    return hone_fail(p->err, HONE_BAD_INPUT, "\"%s\" is %s where text is needed", key,
                     json_is_null(value)     ? "null"
                     : json_is_object(value) ? "an object"
                     : json_is_array(value)  ? "a list"
                                             : "no text");
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

/* A question and its answer, both not empty. */
static hone_status append_pair(row_parse *p, const char *question_key, const char *question, const char *answer_key)
{
    const char *answer;
    char *owned;
    hone_status status = field_text(p, answer_key, true, &answer, &owned);
    if (status == HONE_OK && is_blank(answer))
        status = hone_fail(p->err, HONE_BAD_INPUT,
                           "\"%s\" is empty; a tuned model would learn to say nothing. Remove the row", answer_key);
    if (status == HONE_OK && is_blank(question))
        status = hone_fail(p->err, HONE_BAD_INPUT, "\"%s\" is empty; there is nothing to answer. Remove the row",
                           question_key);
    if (status == HONE_OK)
        status = append_system(p, NULL);
    if (status == HONE_OK)
        status = append_text(p, "user", question);
    if (status == HONE_OK)
        status = append_text(p, "assistant", answer);
    free(owned);
    return status;
}

static hone_status read_pair(row_parse *p, const char *question_key, const char *answer_key)
{
    const char *question;
    char *owned;
    hone_status status = field_text(p, question_key, false, &question, &owned);
    if (status == HONE_OK)
        status = append_pair(p, question_key, question, answer_key);
    free(owned);
    return status;
}

static hone_status read_input(row_parse *p)
{
    return read_pair(p, "input", "output");
}

static hone_status read_text_label(row_parse *p)
{
    return read_pair(p, "text", "label");
}

static hone_status read_messages(row_parse *p)
{
    const json_t *list = json_object_get(p->row, "messages");
    hone_status status = append_system(p, json_array_get(list, 0));
    return status == HONE_OK ? append_list(p, list, "messages") : status;
}

/* Texts, or message lists of which only the completion's turns are learned. */
static hone_status read_prompt(row_parse *p)
{
    const json_t *prompt = json_object_get(p->row, "prompt"), *completion = json_object_get(p->row, "completion");
    if (!json_is_array(prompt) && !json_is_array(completion))
        return read_pair(p, "prompt", "completion");
    if (!json_is_array(prompt) || !json_is_array(completion))
        return hone_fail(p->err, HONE_BAD_INPUT,
                         "\"prompt\" and \"completion\" must both be texts or both be lists of messages");
    hone_status status = append_system(p, json_array_get(prompt, 0));
    if (status == HONE_OK)
        status = append_list(p, prompt, "prompt");
    for (size_t i = 0; i < p->n && status == HONE_OK; i++)
        p->weights[i] = 0;
    return status == HONE_OK ? append_list(p, completion, "completion") : status;
}

static hone_status read_alpaca(row_parse *p)
{
    const char *instruction, *input = "";
    char *owned, *owned_input = NULL;
    hone_buffer question = {0};
    hone_status status = field_text(p, "instruction", false, &instruction, &owned);
    const json_t *given = json_object_get(p->row, "input");
    if (status == HONE_OK && given && !json_is_null(given))
        status = field_text(p, "input", false, &input, &owned_input);
    if (status == HONE_OK) {
        hone_buffer_puts(&question, instruction);
        if (!is_blank(input)) {
            hone_buffer_puts(&question, "\n\n");
            hone_buffer_puts(&question, input);
        }
        status = question.failed ? no_memory(p->err) : append_pair(p, "instruction", question.data, "output");
    }
    hone_buffer_clear(&question);
    free(owned);
    return status;
}

/* ShareGPT's names of who speaks. */
const char *hone_sharegpt_role(const char *from)
{
    static const char *const names[][2] = {{"human", "user"},       {"user", "user"},
                                           {"gpt", "assistant"},    {"assistant", "assistant"},
                                           {"model", "assistant"},  {"bot", "assistant"},
                                           {"system", "system"},    {"tool", "tool"},
                                           {"observation", "tool"}, {"function_response", "tool"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(from, names[i][0]) == 0)
            return names[i][1];
    return NULL;
}

static hone_status append_sharegpt_turn(row_parse *p, const json_t *turn, size_t at)
{
    const char *from = json_string_value(json_object_get(turn, "from")),
               *value = json_string_value(json_object_get(turn, "value"));
    if (!from || !value)
        return hone_fail(p->err, HONE_BAD_INPUT, "turn %zu has no \"%s\" that is text", at, from ? "value" : "from");
    if (strcmp(from, "function_call") == 0) {
        if (!grow(p))
            return no_memory(p->err);
        hone_status status = hone_message_append_calls(p->messages, value, at, p->err);
        if (status == HONE_OK)
            p->weights[p->n++] = 1;
        return status;
    }
    const char *role = hone_sharegpt_role(from);
    if (!role)
        return hone_fail(p->err, HONE_BAD_INPUT,
                         "turn %zu: unknown speaker \"%.60s\"; known are human, gpt, system, tool, observation and "
                         "function_call",
                         at, from);
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", value);
    const json_t *weight = json_object_get(turn, "weight");
    if (weight)
        json_object_set(message, "weight", (json_t *)(uintptr_t)weight);
    hone_status status = message ? append(p, message) : no_memory(p->err);
    json_decref(message);
    return status;
}

static hone_status read_sharegpt(row_parse *p)
{
    const json_t *list = json_object_get(p->row, "conversations");
    const char *first = json_string_value(json_object_get(json_array_get(list, 0), "from"));
    size_t i;
    json_t *turn;
    if (json_array_size(list) == 0)
        return hone_fail(p->err, HONE_BAD_INPUT, "\"conversations\" must be a list with at least one turn");
    hone_status status = HONE_OK;
    if (p->system && !(first && strcmp(first, "system") == 0))
        status = append_text(p, "system", p->system);
    json_array_foreach(list, i, turn)
    {
        if (status == HONE_OK)
            status = append_sharegpt_turn(p, turn, i + 1);
    }
    return status;
}

static const shape shapes[N_SHAPES] = {
    [SHAPE_MESSAGES] = {"{\"messages\"}", "messages", NULL, NULL, read_messages},
    [SHAPE_SHAREGPT] = {"{\"conversations\"}", "conversations", NULL, NULL, read_sharegpt},
    [SHAPE_PROMPT] = {"{\"prompt\",\"completion\"}", "prompt", "completion", NULL, read_prompt},
    [SHAPE_ALPACA] = {"{\"instruction\",\"input\",\"output\"}", "instruction", "output", "input", read_alpaca},
    [SHAPE_INPUT] = {"{\"input\",\"output\"}", "input", "output", NULL, read_input},
    [SHAPE_TEXT_LABEL] = {"{\"text\",\"label\"}", "text", "label", NULL, read_text_label},
};

const char *hone_conversation_shape_name(int which)
{
    return which >= 0 && which < N_SHAPES ? shapes[which].name : "";
}

/* No shape fits: what is missing, or what kind of row it is instead. */
static hone_status no_shape(const json_t *row, hone_error *err)
{
    if (json_object_get(row, "chosen") || json_object_get(row, "preferred_output"))
        return hone_fail(err, HONE_UNSUPPORTED,
                         "a row of preferences; hone train learns from answers. Keep the preferred one as "
                         "\"completion\"");
    for (int i = 0; i < N_SHAPES; i++)
        if (shapes[i].second && json_object_get(row, shapes[i].first))
            return hone_fail(err, HONE_BAD_INPUT,
                             "\"%s\" without \"%s\": a prompt alone teaches nothing; expected the answer that is to be "
                             "learned",
                             shapes[i].first, shapes[i].second);
    hone_buffer found = {0};
    const char *key;
    json_t *value;
    int n = 0;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        if (n++ < 6)
            hone_buffer_printf(&found, "%s\"%.60s\"", n > 1 ? ", " : "", key);
    }
    hone_status status = hone_fail(
        err, HONE_BAD_INPUT,
        "expected \"input\" and \"output\", \"text\" and \"label\", \"prompt\" and \"completion\", \"messages\", "
        "\"conversations\" or \"instruction\" and \"output\" (found %s%s); rename the fields",
        found.data ? found.data : "nothing", n > 6 ? ", ..." : "");
    hone_buffer_clear(&found);
    return status;
}

/* An assistant turn that nothing precedes has no prompt, so it is not learned. */
static hone_status check_learned(row_parse *p, hone_conversation *out)
{
    bool any_assistant = false, any = false, before = false;
    for (size_t i = 0; i < p->n; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(p->messages, i), "role"));
        bool assistant = strcmp(role, "assistant") == 0;
        if (assistant && !before)
            p->weights[i] = 0;
        out->weights[i] = (float)p->weights[i];
        any_assistant |= assistant;
        any |= p->weights[i] > 0;
        before |= strcmp(role, "user") == 0 || strcmp(role, "tool") == 0;
    }
    if (!any_assistant)
        return hone_fail(p->err, HONE_BAD_INPUT, "no assistant message; there is no answer to learn from");
    if (!any)
        return hone_fail(p->err, HONE_BAD_INPUT,
                         "no assistant message is learned: each has \"weight\": 0, belongs to the prompt or stands "
                         "before the first user message. Remove the row");
    return HONE_OK;
}

/* A row of any shape may bring a system message of its own in "system". */
static hone_status read_own_system(row_parse *p)
{
    const json_t *own = json_object_get(p->row, "system");
    const char *text;
    char *owned;
    if (!own || json_is_null(own))
        return HONE_OK;
    hone_status status = field_text(p, "system", false, &text, &owned);
    if (status == HONE_OK && !is_blank(text))
        p->system = text;
    return status;
}

static int shape_of(const json_t *row)
{
    for (int i = 0; i < N_SHAPES; i++)
        if (json_object_get(row, shapes[i].first) && (!shapes[i].second || json_object_get(row, shapes[i].second)))
            return i;
    return -1;
}

hone_status hone_conversation_from_row(const json_t *row, const char *system, hone_conversation *out, int *which,
                                       hone_error *err)
{
    *out = (hone_conversation){0};
    *which = -1;
    if (!json_is_object(row))
        return hone_fail(err, HONE_BAD_INPUT, "expected an object");
    if ((*which = shape_of(row)) < 0)
        return no_shape(row, err);
    row_parse p = {.row = row, .system = system, .messages = json_array(), .err = err};
    hone_status status = p.messages ? read_own_system(&p) : no_memory(err);
    if (status == HONE_OK)
        status = shapes[*which].read(&p);
    if (status == HONE_OK)
        status = hone_tools_read(json_object_get(row, "tools"), &out->tools, err);
    if (status == HONE_OK && !(out->weights = calloc(p.n + 1, sizeof *out->weights)))
        status = no_memory(err);
    out->messages = p.messages;
    if (status == HONE_OK)
        status = check_learned(&p, out);
    free(p.weights);
    if (status != HONE_OK)
        hone_conversation_clear(out);
    return status;
}

void hone_conversation_clear(hone_conversation *c)
{
    json_decref(c->messages);
    json_decref(c->tools);
    free(c->weights);
    *c = (hone_conversation){0};
}

typedef struct reader {
    const char *path, *system;
    hone_conversations *out;
    size_t capacity;
    int64_t n_of_shape[N_SHAPES], n_opened_by_assistant;
    char *unused[MOST_UNUSED]; /* fields of rows that no shape takes, copied */
    size_t n_unused;
    hone_error *err;
} reader;

static bool opens_with_assistant(const hone_conversation *c)
{
    size_t i;
    json_t *message;
    json_array_foreach(c->messages, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (strcmp(role, "system") != 0)
            return strcmp(role, "assistant") == 0;
    }
    return false;
}

static bool is_used(const shape *s, const char *key)
{
    const char *const used[] = {s->first, s->second, s->third, "system", "tools"};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        if (used[i] && strcmp(used[i], key) == 0)
            return true;
    return false;
}

/* Remembers what a row says that nobody reads, so that it can be told. */
static void remember_unused(reader *r, const shape *s, const json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        bool known = is_used(s, key) || r->n_unused == MOST_UNUSED;
        for (size_t i = 0; i < r->n_unused && !known; i++)
            known = strcmp(r->unused[i], key) == 0;
        if (!known && (r->unused[r->n_unused] = strdup(key)))
            r->n_unused++;
    }
}

static hone_status add(reader *r, const json_t *row, int64_t line)
{
    hone_conversations *all = r->out;
    if (all->n == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 256;
        hone_conversation *grown = realloc(all->items, capacity * sizeof *grown);
        if (!grown)
            return no_memory(r->err);
        all->items = grown;
        r->capacity = capacity;
    }
    int which;
    hone_conversation *c = &all->items[all->n];
    hone_status status = hone_conversation_from_row(row, r->system, c, &which, r->err);
    if (status != HONE_OK)
        return hone_fail_within(r->err, status, "%s:%lld", r->path, (long long)line);
    c->line = line;
    all->n++;
    r->n_of_shape[which]++;
    remember_unused(r, &shapes[which], row);
    r->n_opened_by_assistant += opens_with_assistant(c);
    return HONE_OK;
}

static hone_status read_jsonl(reader *r)
{
    hone_jsonl *file;
    hone_status status = hone_jsonl_open(r->path, &file, r->err);
    while (status == HONE_OK) {
        json_t *row;
        int64_t line;
        status = hone_jsonl_next(file, &row, &line, r->err);
        if (status != HONE_OK || !row)
            break;
        status = add(r, row, line);
        json_decref(row);
    }
    hone_jsonl_close(file);
    return status;
}

/* A row made of a CSV file's header and some fields; a new reference, or NULL. */
static json_t *row_of(const hone_csv *csv, const char *const *fields)
{
    json_t *row = json_object();
    for (size_t c = 0; row && c < csv->n_columns; c++)
        json_object_set_new(row, csv->header[c], json_string(fields[c]));
    return row;
}

/* Columns that make no row are a mistake of the first line, whatever the others say. */
static hone_status check_header(reader *r, const hone_csv *csv)
{
    json_t *row = row_of(csv, (const char *const *)csv->header);
    hone_status status = row ? HONE_OK : no_memory(r->err);
    if (row && shape_of(row) < 0)
        status = hone_fail_within(r->err, no_shape(row, r->err), "%s:1", r->path);
    json_decref(row);
    return status;
}

static hone_status read_csv(reader *r)
{
    hone_csv csv;
    hone_arena *arena = hone_arena_create();
    hone_status status = arena ? hone_csv_read(r->path, arena, &csv, r->err) : no_memory(r->err);
    if (status == HONE_OK)
        status = check_header(r, &csv);
    for (size_t i = 0; status == HONE_OK && i < csv.n_rows; i++) {
        json_t *row = row_of(&csv, (const char *const *)csv.rows[i].fields);
        status = row ? add(r, row, csv.rows[i].line) : no_memory(r->err);
        json_decref(row);
    }
    hone_arena_free(arena);
    return status;
}

static void note_shapes(const reader *r)
{
    hone_buffer text = {0};
    char n[32];
    int found = 0;
    for (int i = 0; i < N_SHAPES; i++)
        if (r->n_of_shape[i] > 0) {
            hone_format_count(r->n_of_shape[i], n);
            hone_buffer_printf(&text, "%s%s %s", found++ ? ", " : "", n, shapes[i].name);
        }
    hone_warn(r->out->notes, "%s: read as %s rows", r->path, text.data ? text.data : "");
    hone_buffer_reset(&text);
    for (size_t i = 0; i < r->n_unused; i++)
        hone_buffer_printf(&text, "%s\"%s\"", i ? ", " : "", r->unused[i]);
    if (r->n_unused > 0)
        hone_warn(r->out->notes, "%s: not used of its fields: %s", r->path, text.data ? text.data : "");
    hone_buffer_clear(&text);
    if (r->n_opened_by_assistant) {
        hone_format_count(r->n_opened_by_assistant, n);
        hone_warn(r->out->notes, "%s: %s rows begin with the assistant; a turn that answers nothing is not learned",
                  r->path, n);
    }
}

hone_status hone_conversations_read(const char *path, const char *system, hone_conversations *out, hone_error *err)
{
    size_t length = strlen(path);
    *out = (hone_conversations){.notes = json_array()};
    reader r = {.path = path, .system = system, .out = out, .err = err};
    hone_status status = !out->notes                                                 ? no_memory(err)
                         : length >= 4 && strcasecmp(path + length - 4, ".csv") == 0 ? read_csv(&r)
                                                                                     : read_jsonl(&r);
    if (status == HONE_OK && out->n == 0)
        status =
            hone_fail(err, HONE_BAD_INPUT, "%s: no rows; a row is {\"input\": \"...\", \"output\": \"...\"}", path);
    if (status == HONE_OK)
        note_shapes(&r);
    else
        hone_conversations_clear(out);
    while (r.n_unused > 0)
        free(r.unused[--r.n_unused]);
    return status;
}

void hone_conversations_clear(hone_conversations *all)
{
    for (size_t i = 0; i < all->n; i++)
        hone_conversation_clear(&all->items[i]);
    free(all->items);
    json_decref(all->notes);
    *all = (hone_conversations){0};
}
