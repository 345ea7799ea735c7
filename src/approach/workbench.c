/* workbench.c - keys, and the identity they rest on. */
#include "approach/workbench.h"

#include "base/hash.h"
#include "prompt/prompt.h"

#include <stdlib.h>
#include <string.h>

/* A free answer may be this much longer than the longest answer seen in training, within the limit. */
enum { ANSWER_MARGIN_TOKENS = 8, MAX_ANSWER_TOKENS = 512 };

bool hone_task_has_labels(const hone_task *task)
{
    return (task->output_kind == HONE_OUTPUT_LABEL || task->output_kind == HONE_OUTPUT_CHOICE) && task->n_labels > 0;
}

static int by_bytes(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

int32_t hone_task_label_index(const hone_task *task, const char *label)
{
    const char *const *found = bsearch(label, task->labels, task->n_labels, sizeof *task->labels, by_bytes);
    return found ? (int32_t)(found - task->labels) : -1;
}

void hone_rows_hash(const hone_row *rows, size_t n, char hex[65])
{
    hone_sha256 *h = hone_sha256_create();
    if (!h) { /* out of memory: a hash that matches nothing remembered */
        memset(hex, '0', 64);
        hex[64] = 0;
        return;
    }
    for (size_t i = 0; i < n; i++)
        hone_sha256_update(h, hone_row_content(&rows[i]), sizeof rows[i].id - 1);
    hone_sha256_finish(h, hex);
}

hone_status hone_json_hash(const json_t *value, char hex[65], hone_error *err)
{
    char *text = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a key");
    hone_sha256_hex(text, strlen(text), hex);
    free(text);
    return HONE_OK;
}

size_t hone_workbench_tune_rows(const hone_workbench *bench)
{
    size_t n = bench->task->select_tune.n, most = bench->effort.tune_rows;
    return most && most < n ? most : n;
}

/* What a change of makes every remembered answer void. */
static json_t *describe(hone_workbench *bench)
{
    const hone_task *task = bench->task;
    char train[65], tune[65];
    hone_rows_hash(task->train.items, task->train.n, train);
    hone_rows_hash(task->select_tune.items, hone_workbench_tune_rows(bench), tune);
    json_t *labels = json_array();
    for (size_t i = 0; labels && i < task->n_labels; i++)
        json_array_append_new(labels, json_string(task->labels[i]));
    json_t *identity =
        json_pack("{s:i, s:i, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:o?, s:s, s:s, s:I}", "approach_revision",
                  HONE_APPROACH_REVISION, "prompt_revision", HONE_PROMPT_REVISION, "version", HONE_VERSION, "kind",
                  hone_output_kind_name(task->output_kind), "metric", task->metric, "role", task->role, "instruction",
                  task->instruction, "context", task->context, "labels", labels, "train", train, "select_tune", tune,
                  "seed", (json_int_t)bench->seed);
    if (!identity || !bench->engine)
        return identity;
    json_object_set_new(identity, "model", json_string(hone_engine_model_hash(bench->engine)));
    json_object_set_new(identity, "numerics", json_string(hone_engine_numerics_class(bench->engine)));
    json_object_set_new(identity, "isa", json_string(hone_engine_isa(bench->engine)));
    json_object_set_new(identity, "template", json_string(hone_engine_template_name(bench->engine)));
    json_object_set_new(identity, "restricted", json_boolean(bench->choices != NULL));
    return identity;
}

static hone_status measure_answers(hone_workbench *bench, hone_error *err)
{
    size_t longest = 0;
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(bench->engine);
    for (size_t i = 0; i < bench->task->train.n; i++) {
        const char *output = bench->task->train.items[i].output;
        hone_token_list ids = {0};
        hone_status status = hone_tokenizer_encode(tokenizer, output, strlen(output), false, &ids, err);
        longest = ids.n > longest ? ids.n : longest;
        hone_token_list_clear(&ids);
        if (status != HONE_OK)
            return status;
    }
    size_t most = longest + longest / 5 + ANSWER_MARGIN_TOKENS;
    bench->max_new_tokens = most < MAX_ANSWER_TOKENS ? (int)most : MAX_ANSWER_TOKENS;
    return HONE_OK;
}

hone_status hone_workbench_init(hone_workbench *bench, hone_error *err)
{
    bench->identity = describe(bench);
    if (!bench->identity)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the identity of a comparison");
    return bench->engine ? measure_answers(bench, err) : HONE_OK;
}

void hone_workbench_clear(hone_workbench *bench)
{
    json_decref(bench->identity);
    bench->identity = NULL;
}

hone_status hone_workbench_key(const hone_workbench *bench, const char *subject, const json_t *settings,
                               const char *purpose, char key[65], hone_error *err)
{
    json_t *whole = json_pack("{s:O, s:s, s:O?, s:s}", "identity", bench->identity, "subject", subject, "settings",
                              settings, "purpose", purpose);
    if (!whole)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a key");
    hone_status status = hone_json_hash(whole, key, err);
    json_decref(whole);
    return status;
}
