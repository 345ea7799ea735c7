/* split.c - rows into units, units into splits: test | rest, then select | train, then the halves of select.
 *
 * Each division looks at other digits of the unit's SHA-256, so that the divisions are independent. A unit goes to side
 * B where its number is below the share. Whether a unit is below does not depend on other units; only the filling up
 * does, and what came of it is remembered. */
#include "task/split.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[HONE_N_SPLITS] = {"train", "select_tune", "select_name", "test"};

typedef struct unit {
    const char *key;
    size_t first, n;    /* its rows: order[first .. first + n) */
    uint64_t number[3]; /* of its hash, one for each division */
    int remembered;     /* hone_split, or -1 */
    int side;           /* of the division under way: 0 = A, 1 = B */
    bool fixed;         /* that side is remembered */
} unit;

typedef struct divider {
    size_t n_rows;
    char (*keys)[33];
    const int *labels;
    int n_labels;
    size_t *order; /* rows sorted by key */
    unit *units;
    size_t n_units;
    /* of the division under way; index n_labels stands for all rows */
    unit **active;
    size_t n_active;
    int64_t *rows, *count[2], *want[2]; /* rows of a label: in all, on each side now, on each side at least */
    size_t *list, *list_start;          /* for each label, the active units that hold it, by number */
} divider;

hone_status hone_split_key(const char *group, const char *fold_key, char key[33], hone_error *err)
{
    char hex[65] = "";
    hone_sha256 *hash = hone_sha256_create();
    if (!hash)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    const char *kind = group ? "group " : "input ", *content = group ? group : fold_key;
    hone_sha256_update(hash, kind, strlen(kind));
    hone_sha256_update(hash, content, strlen(content));
    hone_sha256_finish(hash, hex);
    memcpy(key, hex, 32);
    key[32] = 0;
    return HONE_OK;
}

static void divider_clear(divider *d)
{
    free(d->order);
    free(d->units);
    free(d->active);
    free(d->rows);
    for (int side = 0; side < 2; side++) {
        free(d->count[side]);
        free(d->want[side]);
    }
    free(d->list);
    free(d->list_start);
}

static int by_key(const void *a, const void *b, void *context)
{
    const divider *d = context;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    int order = strcmp(d->keys[i], d->keys[j]);
    return order ? order : (i > j) - (i < j);
}

static hone_status divider_init(divider *d, hone_error *err)
{
    size_t n = d->n_rows, slots = (size_t)d->n_labels + 1;
    d->order = calloc(n, sizeof *d->order);
    d->units = calloc(n, sizeof *d->units);
    d->active = calloc(n, sizeof *d->active);
    d->rows = calloc(slots, sizeof *d->rows);
    for (int side = 0; side < 2; side++) {
        d->count[side] = calloc(slots, sizeof(int64_t));
        d->want[side] = calloc(slots, sizeof(int64_t));
    }
    d->list = calloc(2 * n, sizeof *d->list);
    d->list_start = calloc(slots + 1, sizeof *d->list_start);
    if (!d->order || !d->units || !d->active || !d->rows || !d->count[0] || !d->count[1] || !d->want[0] ||
        !d->want[1] || !d->list || !d->list_start)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        d->order[i] = i;
    qsort_r(d->order, n, sizeof *d->order, by_key, d);
    for (size_t i = 0; i < n; i++) {
        const char *key = d->keys[d->order[i]];
        if (d->n_units && strcmp(d->units[d->n_units - 1].key, key) == 0) {
            d->units[d->n_units - 1].n++;
            continue;
        }
        unit *u = &d->units[d->n_units++];
        *u = (unit){.key = key, .first = i, .n = 1, .remembered = -1};
        char hex[65] = "";
        hone_sha256_hex(key, 32, hex);
        for (int k = 0; k < 3; k++) {
            char digits[17] = "";
            memcpy(digits, hex + 16 * k, 16);
            u->number[k] = strtoull(digits, NULL, 16);
        }
    }
    return HONE_OK;
}

static int by_number(const void *a, const void *b, void *context)
{
    const unit *u = *(const unit *const *)a, *v = *(const unit *const *)b;
    int k = *(const int *)context;
    return u->number[k] != v->number[k] ? (u->number[k] > v->number[k] ? 1 : -1) : strcmp(u->key, v->key);
}

static int label_of(const divider *d, const unit *u, size_t row)
{
    return d->labels[d->order[u->first + row]];
}

/* Counts the active rows of each label and lists each label's units by number (a unit once for each of its rows). */
static void list_by_label(divider *d)
{
    int all = d->n_labels;
    memset(d->rows, 0, ((size_t)all + 1) * sizeof *d->rows);
    for (size_t i = 0; i < d->n_active; i++)
        for (size_t r = 0; r < d->active[i]->n; r++) {
            d->rows[label_of(d, d->active[i], r)]++;
            d->rows[all]++;
        }
    d->list_start[0] = 0;
    for (int label = 0; label <= all; label++)
        d->list_start[label + 1] = d->list_start[label] + (size_t)d->rows[label];
    size_t *next = (size_t *)(void *)d->count[0]; /* scratch: counts are made after this */
    for (int label = 0; label <= all; label++)
        next[label] = d->list_start[label];
    for (size_t i = 0; i < d->n_active; i++)
        for (size_t r = 0; r < d->active[i]->n; r++) {
            d->list[next[label_of(d, d->active[i], r)]++] = i;
            d->list[next[all]++] = i;
        }
}

static void count_sides(divider *d)
{
    for (int side = 0; side < 2; side++)
        memset(d->count[side], 0, ((size_t)d->n_labels + 1) * sizeof(int64_t));
    for (size_t i = 0; i < d->n_active; i++)
        for (size_t r = 0; r < d->active[i]->n; r++) {
            d->count[d->active[i]->side][label_of(d, d->active[i], r)]++;
            d->count[d->active[i]->side][d->n_labels]++;
        }
}

/* Moves a unit to the other side. Undone (false) where that leaves the side it came from below a minimum. */
static bool move(divider *d, unit *u)
{
    int from = u->side, to = 1 - from;
    bool enough = d->count[from][d->n_labels] - (int64_t)u->n >= d->want[from][d->n_labels];
    for (size_t r = 0; r < u->n; r++) {
        d->count[from][label_of(d, u, r)]--;
        d->count[to][label_of(d, u, r)]++;
    }
    for (size_t r = 0; r < u->n && enough; r++)
        enough = d->count[from][label_of(d, u, r)] >= d->want[from][label_of(d, u, r)];
    if (!enough) {
        for (size_t r = 0; r < u->n; r++) {
            d->count[from][label_of(d, u, r)]++;
            d->count[to][label_of(d, u, r)]--;
        }
        return false;
    }
    d->count[from][d->n_labels] -= (int64_t)u->n;
    d->count[to][d->n_labels] += (int64_t)u->n;
    u->side = to;
    return true;
}

/* B holds the small numbers, so B is filled by A's smallest and A by B's largest: those nearest to the border. */
static void fill_up(divider *d, int side)
{
    for (int label = 0; label <= d->n_labels; label++) {
        size_t start = d->list_start[label], n = d->list_start[label + 1] - start;
        for (size_t i = 0; i < n && d->count[side][label] < d->want[side][label]; i++) {
            unit *u = d->active[d->list[side == 1 ? start + i : start + n - 1 - i]];
            if (u->side != side && !u->fixed)
                move(d, u);
        }
    }
}

/* The least number of rows of a label (n of them) or of the whole (`whole`) on sides A and B of division k. */
static void minimum(int k, bool whole, int64_t n, int64_t *a, int64_t *b)
{
    if (k == 0) { /* rest | test */
        *a = whole ? n / 2 : n < 3 ? n : 3;
        *b = whole ? (n / 10 > 2 ? n / 10 : 2) : n >= 5;
    } else if (k == 1) { /* train | select */
        *b = whole ? (n / 10 > 2 ? n / 10 : 2) : n >= 5 ? 2 : n >= 2;
        *a = whole ? n / 2 : n - *b < 2 ? n - *b : 2;
    } else { /* select_tune | select_name */
        *a = *b = whole ? (n / 4 > 1 ? n / 4 : 1) : n >= 2;
    }
}

/* Divides the active units by number k; afterwards each unit's side is set. */
static void divide(divider *d, int k, double share)
{
    uint64_t border = (uint64_t)(share * 0x1p64);
    qsort_r(d->active, d->n_active, sizeof *d->active, by_number, &k);
    for (size_t i = 0; i < d->n_active; i++) {
        unit *u = d->active[i];
        u->fixed = u->remembered >= 0;
        u->side = !u->fixed ? u->number[k] < border
                  : k == 0  ? u->remembered == HONE_SPLIT_TEST
                  : k == 1  ? u->remembered != HONE_SPLIT_TRAIN
                            : u->remembered == HONE_SPLIT_NAME;
    }
    list_by_label(d);
    count_sides(d);
    for (int label = 0; label <= d->n_labels; label++)
        minimum(k, label == d->n_labels, d->rows[label], &d->want[0][label], &d->want[1][label]);
    fill_up(d, 0); /* train first: a label that no model can learn is the worse fault */
    fill_up(d, 1);
}

/* Gives every active unit of one side its split and leaves the units of the other side active. */
static void settle(divider *d, int side, hone_split split, hone_split *out)
{
    size_t left = 0;
    for (size_t i = 0; i < d->n_active; i++) {
        unit *u = d->active[i];
        if (u->side != side) {
            d->active[left++] = u;
            continue;
        }
        for (size_t r = 0; r < u->n; r++)
            out[d->order[u->first + r]] = split;
    }
    d->n_active = left;
}

static void ledger_key(const hone_split_plan *plan, const unit *u, char out[64])
{
    snprintf(out, 64, "%s:%s", plan->layout, u->key);
}

static hone_status recall(divider *d, const hone_split_plan *plan, hone_ledger *ledger, size_t *n_new, hone_error *err)
{
    *n_new = 0;
    for (size_t i = 0; i < d->n_units; i++) {
        char key[64], split[16];
        bool found;
        unit *u = &d->units[i];
        ledger_key(plan, u, key);
        hone_status status = hone_ledger_get_split(ledger, key, split, &found, err);
        if (status != HONE_OK)
            return status;
        u->remembered = -1;
        for (int s = 0; s < HONE_N_SPLITS && found; s++)
            if (strcmp(split, names[s]) == 0)
                u->remembered = s;
        *n_new += u->remembered < 0;
    }
    return HONE_OK;
}

static hone_status remember(const divider *d, const hone_split_plan *plan, hone_ledger *ledger, const hone_split *out,
                            hone_error *err)
{
    hone_status status = HONE_OK;
    for (size_t i = 0; status == HONE_OK && i < d->n_units; i++) {
        const unit *u = &d->units[i];
        char key[64];
        ledger_key(plan, u, key);
        if (u->remembered < 0)
            status = hone_ledger_put_split(ledger, key, names[out[d->order[u->first]]], err);
    }
    return status;
}

static void divide_all(divider *d, const hone_split_plan *plan, hone_split *out)
{
    d->n_active = d->n_units;
    for (size_t i = 0; i < d->n_units; i++)
        d->active[i] = &d->units[i];
    if (plan->test) {
        divide(d, 0, 0.2);
        settle(d, 1, HONE_SPLIT_TEST, out);
    }
    if (plan->train && plan->select)
        divide(d, 1, 0.2);
    for (size_t i = 0; i < d->n_active && !(plan->train && plan->select); i++)
        d->active[i]->side = plan->select;
    settle(d, 0, HONE_SPLIT_TRAIN, out);
    divide(d, 2, 0.5);
    settle(d, 0, HONE_SPLIT_TUNE, out);
    settle(d, 1, HONE_SPLIT_NAME, out);
}

hone_status hone_split_assign(const hone_split_plan *plan, size_t n, char (*keys)[33], const int *labels, int n_labels,
                              hone_ledger *ledger, hone_split *out, hone_error *err)
{
    divider d = {.n_rows = n, .keys = keys, .labels = labels, .n_labels = n_labels};
    size_t n_new;
    bool inside = false;
    hone_status status = n ? divider_init(&d, err) : HONE_OK;
    if (status != HONE_OK || n == 0)
        goto done;
    status = recall(&d, plan, ledger, &n_new, err);
    if (status == HONE_OK && n_new) {
        /* Another hone may be assigning the same rows: read again under the lock. */
        status = hone_ledger_begin(ledger, err);
        inside = status == HONE_OK;
        if (inside)
            status = recall(&d, plan, ledger, &n_new, err);
    }
    if (status != HONE_OK)
        goto done;
    divide_all(&d, plan, out);
    if (inside) {
        status = remember(&d, plan, ledger, out, err);
        if (status == HONE_OK)
            status = hone_ledger_commit(ledger, err);
        if (status == HONE_OK)
            inside = false;
    }
done:
    if (inside)
        hone_ledger_rollback(ledger);
    divider_clear(&d);
    return status;
}
