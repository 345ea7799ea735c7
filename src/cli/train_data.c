/* train_data.c - reading and holding out. */
#include "cli/train_data.h"

#include "base/rng.h"
#include "train/balance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SELECT_ROWS = 200, LEAST_SELECT_ROWS = 8 };

static void print_notes(const hone_train_data *d, const char *path)
{
    size_t i;
    json_t *note;
    json_array_foreach(d->rows.notes, i, note) fprintf(stderr, "%s\n", json_string_value(note));
    const struct {
        size_t n;
        const char *what;
    } counts[] = {{d->examples.n_truncated, "rows are too long: their ends are cut off"},
                  {d->examples.n_split, "rows are too long: they are split into pieces of whole exchanges"},
                  {d->examples.n_dropped, "rows are too long and left out"}};
    for (i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n)
            fprintf(stderr, "%s: %zu %s\n", path, counts[i].n, counts[i].what);
}

hone_status hone_cli_read_examples(hone_engine *engine, const char *path, const char *system,
                                   const hone_example_options *options, hone_conversations *rows,
                                   hone_encoded_examples *examples, hone_error *err)
{
    hone_status status = hone_conversations_read(path, system, rows, err);
    return status == HONE_OK ? hone_examples_encode(engine, path, rows, options, examples, err) : status;
}

static hone_status read_data(hone_engine *engine, const hone_train_data_options *o, const char *path,
                             hone_train_data *d, hone_error *err)
{
    hone_example_options options = {.max_tokens = o->max_tokens};
    if (!hone_train_on_parse(o->train_on, &options.train_on))
        return hone_fail(err, HONE_BAD_INPUT, "--train-on %s; it can be all, last or each", o->train_on);
    if (!hone_too_long_parse(o->too_long, &options.too_long))
        return hone_fail(err, HONE_BAD_INPUT, "--too-long %s; it can be error, truncate, split or drop", o->too_long);
    hone_status status = hone_cli_read_examples(engine, path, o->system, &options, &d->rows, &d->examples, err);
    if (status == HONE_OK)
        status = hone_conversations_note_repeats(path, &d->rows, err);
    if (status == HONE_OK)
        status = hone_conversations_note_near(path, &d->rows, err);
    if (status == HONE_OK)
        print_notes(d, path);
    return status;
}

/* Marks the rows to be held out, n or a few less: rows in the order of the permutation, from its end, each with all
 * rows that ask the same, or a held-out row would have been learned. Returns how many. */
static size_t choose_held_out(const size_t *order, const size_t *question, size_t rows, size_t n, size_t *asked,
                              bool *held)
{
    size_t n_held = 0;
    for (size_t i = 0; i < rows; i++)
        asked[question[i]]++;
    for (size_t i = rows; i-- > 0 && n_held < n;) {
        size_t q = question[order[i]], n_same = asked[q];
        if (held[q] || n_same > n - n_held) /* held[q]: it is marked by the first row that asks it */
            continue;
        held[q] = true;
        n_held += n_same;
    }
    return n_held;
}

typedef struct hold_out_room {
    size_t *order, *first, *question, *asked;
    bool *held; /* [rows], of the first row that asks a question */
    hone_encoded_example *moved;
} hold_out_room;

static hone_status make_room(hold_out_room *r, size_t rows, size_t examples, hone_error *err)
{
    *r = (hold_out_room){calloc(rows, sizeof *r->order),    calloc(rows + 1, sizeof *r->first),
                         calloc(rows, sizeof *r->question), calloc(rows, sizeof *r->asked),
                         calloc(rows, sizeof *r->held),     calloc(examples, sizeof *r->moved)};
    return r->order && r->first && r->question && r->asked && r->held && r->moved
               ? HONE_OK
               : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

static void free_room(hold_out_room *r)
{
    free(r->order);
    free(r->first);
    free(r->question);
    free(r->asked);
    free(r->held);
    free(r->moved);
}

/* The examples of training rows, then those of held-out ones, each in the order of the permutation. */
static void move_examples(hold_out_room *r, size_t rows, hone_train_data *d)
{
    size_t at = 0;
    for (size_t i = 0; i < d->examples.n; i++) /* examples are in the order of their rows */
        r->first[d->examples.items[i].conversation + 1]++;
    for (size_t i = 0; i < rows; i++)
        r->first[i + 1] += r->first[i];
    for (int held = 0; held < 2; held++) {
        if (held)
            d->n_train = at;
        for (size_t i = 0; i < rows; i++) {
            size_t row = r->order[i];
            if (r->held[r->question[row]] != (bool)held)
                continue;
            for (size_t j = r->first[row]; j < r->first[row + 1]; j++)
                r->moved[at++] = d->examples.items[j];
        }
    }
    free(d->examples.items);
    d->examples.items = r->moved;
    r->moved = NULL;
}

/* Holds out a tenth of the rows (8 to 200) for choosing the best checkpoint, drawn by the seed. All examples that were
 * made of a row stay together, and all rows that ask the same. */
static hone_status hold_out(const hone_train_data_options *o, hone_train_data *d, hone_error *err)
{
    size_t rows = d->rows.n, n = rows / 10 > MOST_SELECT_ROWS ? MOST_SELECT_ROWS : rows / 10;
    d->n_train = d->examples.n;
    d->n_train_rows = rows;
    n = n < LEAST_SELECT_ROWS ? LEAST_SELECT_ROWS : n;
    if (o->no_select)
        return HONE_OK;
    if (rows < 2 * n)
        return hone_fail(err, HONE_BAD_INPUT,
                         "%zu rows are too few to hold some out for choosing the best checkpoint; add rows (%zu are "
                         "enough) or use --no-select",
                         rows, 2 * n);
    hold_out_room room;
    hone_status status = make_room(&room, rows, d->examples.n, err);
    if (status == HONE_OK)
        status = hone_conversations_find_questions(&d->rows, room.question, err);
    if (status == HONE_OK) {
        hone_rng_permutation((hone_rng_key){(uint64_t)o->seed, HONE_RNG_SUBSET, 0}, rows, room.order);
        d->n_select_rows = choose_held_out(room.order, room.question, rows, n, room.asked, room.held);
        d->n_train_rows = rows - d->n_select_rows;
        if (d->n_select_rows < (n + 1) / 2)
            status = hone_fail(err, HONE_BAD_INPUT,
                               "too many rows ask the same to hold %zu out that are not learned as well; add rows with "
                               "other questions or use --no-select",
                               n);
    }
    if (status == HONE_OK)
        move_examples(&room, rows, d);
    free_room(&room);
    if (status != HONE_OK)
        return status;
    for (size_t i = d->n_train; i < d->examples.n; i++)
        d->n_not_asked += d->examples.items[i].answer_is_cut;
    if (d->n_train == 0 || d->n_train == d->examples.n)
        return hone_fail(err, HONE_BAD_INPUT, "too many rows were left out to hold some out; use --no-select");
    return HONE_OK;
}

/* Says what it did: weights change what a loss means. */
static hone_status balance_rows(const hone_train_data_options *o, const char *path, hone_train_data *d, hone_error *err)
{
    hone_balance balance;
    hone_balance_report report;
    if (!hone_balance_parse(o->balance, &balance))
        return hone_fail(err, HONE_BAD_INPUT, "--balance %s; it can be none, sqrt or equal", o->balance);
    hone_status status = hone_examples_balance(&d->examples, d->n_train, balance, &report, err);
    if (status == HONE_OK && balance != HONE_BALANCE_NONE)
        fprintf(stderr, "%s: %zu answers, of %zu to %zu training rows; a row weighs %.3g to 1 (--balance %s)\n", path,
                report.n_answers, report.fewest, report.most, report.least_weight, o->balance);
    return status;
}

/* The last thing said before the answer; NULL where that is no text. */
static const char *input_of(const hone_train_data *d, const hone_encoded_example *e)
{
    const json_t *messages = d->rows.items[e->conversation].messages;
    for (size_t i = json_array_size(messages); i-- > 0;) {
        const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        if (role && strcmp(role, "user") == 0)
            return json_string_value(json_object_get(json_array_get(messages, i), "content"));
    }
    return NULL;
}

static hone_status make_items(hone_train_data *d, hone_error *err)
{
    d->items = calloc(d->n_train, sizeof *d->items);
    d->row_of = calloc(d->n_train, sizeof *d->row_of);
    if (!d->items || !d->row_of)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0, row = 0; i < d->n_train; i++) {
        const hone_encoded_example *e = &d->examples.items[i];
        row += i && e->conversation != e[-1].conversation;
        d->row_of[i] = row;
        d->items[i] = hone_encoded_example_get(e);
        d->items[i].input = input_of(d, e);
        d->items[i].answer = e->answer;
    }
    return HONE_OK;
}

hone_status hone_train_data_read(hone_engine *engine, const hone_train_data_options *o, const char *path,
                                 hone_train_data *out, hone_error *err)
{
    *out = (hone_train_data){0};
    hone_status status = read_data(engine, o, path, out, err);
    if (status == HONE_OK)
        status = hold_out(o, out, err);
    if (status == HONE_OK && out->n_not_asked > 0)
        fprintf(stderr, "%s: the answers of %zu held-out rows are cut off: only their loss is measured\n", path,
                out->n_not_asked);
    if (status == HONE_OK)
        status = balance_rows(o, path, out, err);
    return status == HONE_OK ? make_items(out, err) : status;
}

void hone_train_data_forget_texts(hone_train_data *d)
{
    hone_conversations_clear(&d->rows);
    for (size_t i = 0; i < d->n_train; i++)
        d->items[i].input = NULL;
}

void hone_train_data_clear(hone_train_data *d)
{
    hone_encoded_examples_clear(&d->examples);
    hone_conversations_clear(&d->rows);
    free(d->items);
    free(d->row_of);
    *d = (hone_train_data){0};
}
