/* settings.c - task.yaml, strictly: one table of keys per map, so that an unknown key, a wrong type and a value out of
 * range are found and named in one place. */
#include "task/settings.h"

#include "base/text.h"
#include "format/yaml.h"
#include "metric/metric.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum field_kind {
    FIELD_TEXT,    /* const char * */
    FIELD_LIST,    /* hone_text_list: one text or a list of texts */
    FIELD_BOOL,    /* bool */
    FIELD_NUMBER,  /* double, "200k" is read */
    FIELD_SECONDS, /* double */
    FIELD_BYTES,   /* uint64_t */
    FIELD_SEED,    /* uint64_t */
    FIELD_WORD,    /* int: the index among `words` */
    FIELD_MAP,     /* a table of its own */
    FIELD_SCENARIOS
} field_kind;

typedef struct table table;

typedef struct field {
    const char *key;
    field_kind kind;
    size_t offset; /* in hone_settings */
    double low, high;
    const char *const *words; /* NULL-terminated */
    const table *map;
} field;

struct table {
    const char *name;
    const field *fields;
    size_t n;
};

#define AT(member) offsetof(hone_settings, member)
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const output_kinds[] = {"label", "text", "json", "number", "choice", "sql", NULL};

static const field data_fields[] = {
    {"train", FIELD_TEXT, AT(data.train)},           {"test", FIELD_TEXT, AT(data.test)},
    {"select", FIELD_TEXT, AT(data.select)},         {"group_by", FIELD_TEXT, AT(data.group_by)},
    {"input", FIELD_TEXT, AT(data.input)},           {"output", FIELD_TEXT, AT(data.output)},
    {"skip_empty", FIELD_BOOL, AT(data.skip_empty)},
};
static const table data_table = {"data", data_fields, COUNT(data_fields)};

static const field output_fields[] = {
    {"kind", FIELD_WORD, AT(output_kind), .words = output_kinds},
    {"labels", FIELD_LIST, AT(labels)},
    {"schema", FIELD_TEXT, AT(schema)},
};
static const table output_table = {"output", output_fields, COUNT(output_fields)};

static const field prompt_fields[] = {
    {"role", FIELD_TEXT, AT(role)},
    {"instruction", FIELD_TEXT, AT(instruction)},
    {"context", FIELD_TEXT, AT(context)},
};
static const table prompt_table = {"prompt", prompt_fields, COUNT(prompt_fields)};

static const field use_fields[] = {
    {"requests_per_month", FIELD_NUMBER, AT(use.requests_per_month), 0, 1e15},
    {"min_score", FIELD_NUMBER, AT(use.min_score), 0, 1},
    {"latency_p95_ms", FIELD_NUMBER, AT(use.latency_p95_ms), 0, 1e9},
    {"error_cost_usd", FIELD_NUMBER, AT(use.error_cost_usd), 0, 1e9},
    {"horizon_months", FIELD_NUMBER, AT(use.horizon_months), 0, 1200},
    {"changes_per_year", FIELD_NUMBER, AT(use.changes_per_year), 0, 1e6},
    {"deadline_days", FIELD_NUMBER, AT(use.deadline_days), 0, 36500},
    {"dedicated", FIELD_BOOL, AT(use.dedicated)},
    {"skills", FIELD_LIST, AT(skills)},
};
static const table use_table = {"use", use_fields, COUNT(use_fields)};

static const field budget_fields[] = {
    {"time", FIELD_SECONDS, AT(budget_seconds)},
    {"memory", FIELD_BYTES, AT(budget_memory_bytes)},
};
static const table budget_table = {"budget", budget_fields, COUNT(budget_fields)};

static const field price_fields[] = {
    {"compute_hour_usd", FIELD_NUMBER, AT(prices.compute_hour_usd), 0, 1e6},
    {"label_usd", FIELD_NUMBER, AT(prices.label_usd), 0, 1e6},
    {"engineer_hour_usd", FIELD_NUMBER, AT(prices.engineer_hour_usd), 0, 1e6},
    {"input_million_usd", FIELD_NUMBER, AT(prices.input_million_usd), 0, 1e6},
    {"output_million_usd", FIELD_NUMBER, AT(prices.output_million_usd), 0, 1e6},
    {"cache_hit_rate", FIELD_NUMBER, AT(prices.cache_hit_rate), 0, 1},
    {"cache_read", FIELD_NUMBER, AT(prices.cache_read), 0, 10},
    {"cache_write", FIELD_NUMBER, AT(prices.cache_write), 0, 10},
};
static const table price_table = {"prices", price_fields, COUNT(price_fields)};

static const field work_fields[] = {
    {"prompt_hours", FIELD_NUMBER, AT(work.prompt_hours), 0, 1e5},
    {"tuning_hours", FIELD_NUMBER, AT(work.tuning_hours), 0, 1e5},
    {"baseline_hours", FIELD_NUMBER, AT(work.baseline_hours), 0, 1e5},
    {"deployment_hours", FIELD_NUMBER, AT(work.deployment_hours), 0, 1e5},
    {"change_hours", FIELD_NUMBER, AT(work.change_hours), 0, 1e5},
};
static const table work_table = {"work", work_fields, COUNT(work_fields)};

static const field train_fields[] = {
    {"seeds", FIELD_SEED, AT(train_seeds)},
};
static const table train_table = {"train", train_fields, COUNT(train_fields)};

static const field task_fields[] = {
    {"name", FIELD_TEXT, AT(name)},
    {"model", FIELD_LIST, AT(models)},
    {"embedder", FIELD_TEXT, AT(embedder)},
    {"data", FIELD_MAP, 0, .map = &data_table},
    {"output", FIELD_MAP, 0, .map = &output_table},
    {"metric", FIELD_TEXT, AT(metric)},
    {"prompt", FIELD_MAP, 0, .map = &prompt_table},
    {"scenarios", FIELD_SCENARIOS, 0},
    {"use", FIELD_MAP, 0, .map = &use_table},
    {"budget", FIELD_MAP, 0, .map = &budget_table},
    {"prices", FIELD_MAP, 0, .map = &price_table},
    {"work", FIELD_MAP, 0, .map = &work_table},
    {"train", FIELD_MAP, 0, .map = &train_table},
    {"seed", FIELD_SEED, AT(seed)},
};
static const table task_table = {"task", task_fields, COUNT(task_fields)};

typedef struct reader {
    const char *path;
    hone_arena *arena;
    hone_settings *out;
    hone_error *err;
} reader;

/* "task.yaml:9: "min_score" in use needs a number from 0 to 1, not "high"" */
static hone_status wrong(const reader *r, const table *t, const hone_yaml_entry *e, const char *wanted)
{
    const hone_yaml_node *v = e->value;
    const char *found = v->kind == HONE_YAML_MAP ? "a map" : v->kind == HONE_YAML_LIST ? "a list" : NULL;
    if (found)
        return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"%s\" in %s needs %s, not %s", r->path, (long long)e->line,
                         e->key, t->name, wanted, found);
    return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"%s\" in %s needs %s, not \"%.80s\"", r->path,
                     (long long)e->line, e->key, t->name, wanted, v->text);
}

static hone_status unknown_key(const reader *r, const table *t, const hone_yaml_entry *e)
{
    const char *keys[32];
    hone_buffer known = {0};
    for (size_t i = 0; i < t->n; i++) {
        keys[i] = t->fields[i].key;
        hone_buffer_printf(&known, "%s%s", i ? ", " : "", keys[i]);
    }
    const char *near = hone_suggest(e->key, keys, t->n);
    hone_status status =
        near ? hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: unknown key \"%.80s\" in %s (did you mean \"%s\"?)", r->path,
                         (long long)e->line, e->key, t->name, near)
             : hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: unknown key \"%.80s\" in %s; it may hold %s", r->path,
                         (long long)e->line, e->key, t->name, known.data ? known.data : "");
    hone_buffer_clear(&known);
    return status;
}

/* One text or a list of texts; none empty, none twice. */
static hone_status read_list(const reader *r, const table *t, const hone_yaml_entry *e, hone_text_list *list)
{
    const hone_yaml_node *v = e->value;
    bool one = v->kind == HONE_YAML_SCALAR;
    if (v->kind == HONE_YAML_MAP)
        return wrong(r, t, e, "a text or a list of texts");
    list->n = one ? 1 : v->n;
    if (list->n == 0)
        return wrong(r, t, e, "at least one text");
    list->items = hone_arena_array(r->arena, list->n, sizeof *list->items);
    if (!list->items)
        return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
    for (size_t i = 0; i < list->n; i++) {
        const hone_yaml_node *item = one ? v : v->entries[i].value;
        if (item->kind != HONE_YAML_SCALAR || !item->text[0])
            return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: an item of \"%s\" in %s is empty or no text", r->path,
                             (long long)item->line, e->key, t->name);
        list->items[i] = item->text;
    }
    return HONE_OK;
}

static bool read_bool(const char *text, bool *out)
{
    *out = strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0;
    return *out || strcasecmp(text, "false") == 0 || strcasecmp(text, "no") == 0;
}

static bool read_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return isdigit((unsigned char)text[0]) && *end == 0 && errno == 0;
}

static hone_status read_number(const reader *r, const table *t, const field *f, const hone_yaml_entry *e, double *out)
{
    char wanted[96];
    if (hone_parse_count(e->value->text, out) && *out >= f->low && *out <= f->high)
        return HONE_OK;
    snprintf(wanted, sizeof wanted, "a number from %g to %g%s", f->low, f->high,
             f->high > 1000 ? ", such as 500 or 200k" : "");
    return wrong(r, t, e, wanted);
}

static hone_status read_word(const reader *r, const table *t, const field *f, const hone_yaml_entry *e, int *index)
{
    size_t n = 0;
    hone_buffer wanted = {0};
    hone_buffer_puts(&wanted, "one of ");
    for (; f->words[n]; n++) {
        if (strcmp(f->words[n], e->value->text) == 0) {
            hone_buffer_clear(&wanted);
            *index = (int)n;
            return HONE_OK;
        }
        hone_buffer_printf(&wanted, "%s%s", n ? ", " : "", f->words[n]);
    }
    hone_status status = wrong(r, t, e, wanted.data ? wanted.data : "another word");
    hone_buffer_clear(&wanted);
    return status;
}

static hone_status read_map(const reader *r, const table *t, const hone_yaml_node *map);

/* name: {role, instruction, context} */
static hone_status read_scenarios(const reader *r, const hone_yaml_node *map)
{
    hone_settings *out = r->out;
    hone_status status = HONE_OK;
    out->scenarios = hone_arena_array(r->arena, map->n ? map->n : 1, sizeof *out->scenarios);
    if (!out->scenarios)
        return hone_fail(r->err, HONE_NO_MEMORY, "%s: out of memory", r->path);
    for (size_t i = 0; status == HONE_OK && i < map->n; i++) {
        const hone_yaml_entry *e = &map->entries[i];
        static const table scenarios = {"scenarios", NULL, 0};
        table overlay = {e->key, prompt_fields, COUNT(prompt_fields)};
        if (e->value->kind != HONE_YAML_MAP)
            return wrong(r, &scenarios, e, "a map of role, instruction or context");
        hone_settings one = {0};
        reader inner = {r->path, r->arena, &one, r->err};
        status = read_map(&inner, &overlay, e->value);
        out->scenarios[out->n_scenarios++] = (hone_task_scenario){e->key, one.role, one.instruction, one.context};
    }
    return status;
}

static hone_status read_scalar(const reader *r, const table *t, const field *f, const hone_yaml_entry *e, void *to)
{
    const char *text = e->value->text;
    int word;
    switch (f->kind) {
    case FIELD_TEXT:
        if (!text[0])
            return wrong(r, t, e, "a text that is not empty");
        *(const char **)to = text;
        return f->words ? read_word(r, t, f, e, &word) : HONE_OK;
    case FIELD_BOOL:
        return read_bool(text, to) ? HONE_OK : wrong(r, t, e, "true or false");
    case FIELD_NUMBER:
        return read_number(r, t, f, e, to);
    case FIELD_SECONDS:
        return hone_parse_seconds(text, to) ? HONE_OK : wrong(r, t, e, "a time such as 90s or 30m");
    case FIELD_BYTES:
        return hone_parse_bytes(text, to) ? HONE_OK : wrong(r, t, e, "a size such as 512MiB or 4GiB");
    case FIELD_SEED:
        return read_seed(text, to) ? HONE_OK : wrong(r, t, e, "a whole number from 0");
    default:
        return read_word(r, t, f, e, to);
    }
}

static hone_status read_field(const reader *r, const table *t, const field *f, const hone_yaml_entry *e)
{
    void *to = (char *)r->out + f->offset;
    if (hone_yaml_is_null(e->value))
        return HONE_OK; /* "context:" with nothing behind it: not given */
    if (f->kind == FIELD_LIST)
        return read_list(r, t, e, to);
    if (f->kind == FIELD_MAP || f->kind == FIELD_SCENARIOS) {
        if (e->value->kind != HONE_YAML_MAP)
            return wrong(r, t, e, f->kind == FIELD_MAP ? "a map, such as {key: value}" : "a map of named prompts");
        return f->kind == FIELD_MAP ? read_map(r, f->map, e->value) : read_scenarios(r, e->value);
    }
    if (e->value->kind != HONE_YAML_SCALAR)
        return wrong(r, t, e, "one value");
    return read_scalar(r, t, f, e, to);
}

static hone_status read_map(const reader *r, const table *t, const hone_yaml_node *map)
{
    for (size_t i = 0; i < map->n; i++) {
        const hone_yaml_entry *e = &map->entries[i];
        const field *f = NULL;
        for (size_t j = 0; j < t->n && !f; j++)
            if (strcmp(t->fields[j].key, e->key) == 0)
                f = &t->fields[j];
        if (!f)
            return unknown_key(r, t, e);
        hone_status status = read_field(r, t, f, e);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static hone_status check_labels(const reader *r, const hone_yaml_node *root)
{
    hone_settings *out = r->out;
    const hone_yaml_node *output = hone_yaml_get(root, "output");
    const hone_yaml_node *labels = hone_yaml_get(output, "labels");
    if (out->schema && out->output_kind != HONE_OUTPUT_JSON)
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "%s:%lld: \"schema\" in output belongs to kind: json; remove one of them", r->path,
                         (long long)output->line);
    if (!labels || !out->labels.n)
        return HONE_OK;
    out->labels_line = labels->line;
    if (out->output_kind != HONE_OUTPUT_LABEL && out->output_kind != HONE_OUTPUT_CHOICE)
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "%s:%lld: \"labels\" in output belongs to kind: label; remove one of them", r->path,
                         (long long)labels->line);
    qsort(out->labels.items, out->labels.n, sizeof *out->labels.items, by_bytes);
    for (size_t i = 1; i < out->labels.n; i++)
        if (strcmp(out->labels.items[i - 1], out->labels.items[i]) == 0)
            return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: label \"%.80s\" is listed twice; remove one", r->path,
                             (long long)labels->line, out->labels.items[i]);
    return HONE_OK;
}

/* The word must be one that the output kind knows; without one the kind's default stands. */
static hone_status check_metric(const reader *r, const hone_yaml_node *root)
{
    hone_settings *out = r->out;
    const char *kind = output_kinds[out->output_kind], *word;
    if (!out->metric)
        out->metric = hone_metric_word(kind, 0);
    if (hone_metric_for_output(kind, out->metric))
        return HONE_OK;
    char known[128] = "";
    for (size_t i = 0; (word = hone_metric_word(kind, i)); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", word);
    return hone_fail(r->err, HONE_BAD_INPUT, "%s:%lld: \"metric\" of a task of kind %s is one of: %s; not \"%.80s\"",
                     r->path, (long long)hone_yaml_get(root, "metric")->line, kind, known, out->metric);
}

hone_status hone_task_check_seeds(uint64_t n, hone_error *err)
{
    if (n == 1 || (n >= HONE_TASK_LEAST_SEEDS && n <= HONE_TASK_MOST_SEEDS))
        return HONE_OK;
    return hone_fail(err, HONE_BAD_INPUT,
                     "%llu training seeds; take 1, or %d to %d: fewer tell next to nothing of their spread",
                     (unsigned long long)n, HONE_TASK_LEAST_SEEDS, HONE_TASK_MOST_SEEDS);
}

static hone_status check_seeds(const reader *r, const hone_yaml_node *root)
{
    hone_status status = hone_task_check_seeds(r->out->train_seeds, r->err);
    return status == HONE_OK
               ? status
               : hone_fail_within(r->err, status, "%s:%lld", r->path, (long long)hone_yaml_get(root, "train")->line);
}

hone_status hone_settings_read(const char *path, hone_arena *arena, hone_settings *out, hone_error *err)
{
    hone_yaml_node *root;
    static const double none = (double)NAN;
    *out = (hone_settings){
        .embedder = "minilm-l6-v2",
        .use = {none, none, none, none, none, none, none, false, NULL, 0},
        .prices = {0.10, 0.08, 80, .cache_read = 1, .cache_write = 1},
        .work = {none, none, none, none, none},
        .seed = 1,
        .train_seeds = 1,
    };
    reader r = {path, arena, out, err};
    hone_status status = hone_yaml_read(path, arena, &root, err);
    if (status != HONE_OK)
        return status;
    if (root->kind != HONE_YAML_MAP)
        return hone_fail(err, HONE_BAD_INPUT, "%s:%lld: a task is a map of keys such as \"data: {train: train.jsonl}\"",
                         path, (long long)root->line);
    status = read_map(&r, &task_table, root);
    if (status == HONE_OK)
        status = check_labels(&r, root);
    if (status == HONE_OK)
        status = check_metric(&r, root);
    if (status == HONE_OK)
        status = check_seeds(&r, root);
    if (status == HONE_OK && !out->data.train) {
        const hone_yaml_node *data = hone_yaml_get(root, "data");
        status =
            hone_fail(err, HONE_BAD_INPUT, "%s:%lld: no training rows are named; add \"data: {train: train.jsonl}\"",
                      path, (long long)(data ? data->line : root->line));
    }
    out->use.skills = out->skills.items;
    out->use.n_skills = out->skills.n;
    return status;
}
