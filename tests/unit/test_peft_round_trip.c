/* test_peft_round_trip.c - adapters that PEFT made load in hone and give PEFT's logits, and an adapter that hone writes
 * loads in PEFT and gives hone's. On the real model; logits are recorded in tests/data/peft_adapters.json and
 * tests/data/peft_of_hone.json by tools/make_peft_adapters.py.
 *
 * The adapters themselves are too large to keep: their values follow the formula of that script, their configuration is
 * as PEFT wrote it. HONE_KEEP_ADAPTER=FOLDER leaves hone's adapter there, to record PEFT's logits of it again. */
#include "base/file.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "format/safetensors.h"
#include "model/adapter_targets.h"
#include "model/model_file.h"
#include "model/trace.h"
#include "real_model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { MOST_IDS = 32, MOST_TENSORS = 512 };

static hone_model_file file;
static hone_ops *ops;
static hone_model *model;

/* Row order of q and k: the model's row for Hugging Face's (head, half, i) is (head, i, half). */
static int64_t their_row(hone_linear which, int64_t row)
{
    int64_t dim = model->config.head_dim;
    return which == HONE_ATTN_Q || which == HONE_ATTN_K ? row / dim * dim + row % 2 * (dim / 2) + row % dim / 2 : row;
}

static double a_value(int64_t i, int k)
{
    return 0.05 * sin(0.7 * (double)i + k);
}

static double b_value(int64_t i, int k)
{
    return 0.02 * cos(0.9 * (double)i + k);
}

/* The logits that hone computes with the adapter in `folder` against PEFT's. */
static void check_logits(const char *name, const char *folder, const json_t *all, const json_t *recorded)
{
    int32_t ids[MOST_IDS];
    int64_t n = (int64_t)json_array_size(json_object_get(all, "ids"));
    hone_trace trace;
    hone_error err;
    double worst = 0, worst_logprob = 0;
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(json_object_get(all, "ids"), (size_t)i));
    hone_trace_source source = {.file = &file.gguf, .adapter = folder, .ids = ids, .n_ids = n};
    if (hone_trace_run(&source, NULL, &trace, &err) != HONE_OK)
        fail_msg("%s: %s", name, err.message);
    for (int64_t t = 0; t < n; t++) {
        const double *logits = trace.logits + t * trace.n_vocab;
        const json_t *top = json_array_get(json_object_get(recorded, "top_ids"), (size_t)t),
                     *values = json_array_get(json_object_get(recorded, "top_logits"), (size_t)t);
        for (size_t j = 0; j < json_array_size(top); j++)
            worst = fmax(worst, fabs(logits[json_integer_value(json_array_get(top, j))] -
                                     json_number_value(json_array_get(values, j))));
        if (t + 1 == n)
            break;
        double most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < trace.n_vocab; i++)
            most = fmax(most, logits[i]);
        for (int64_t i = 0; i < trace.n_vocab; i++)
            sum += exp(logits[i] - most);
        worst_logprob = fmax(worst_logprob,
                             fabs(logits[ids[t + 1]] - most - log(sum) -
                                  json_number_value(json_array_get(json_object_get(recorded, "logprobs"), (size_t)t))));
    }
    print_message("%s: the ten largest logits within %.1e, log-probabilities within %.1e of PEFT's\n", name, worst,
                  worst_logprob);
    assert_true(worst < 1e-3);
    assert_true(worst_logprob < 1e-3);
    hone_trace_clear(&trace);
}

static bool is_adapted(const json_t *config, hone_linear which, const char *module)
{
    const json_t *targets = json_object_get(config, "target_modules");
    for (size_t i = 0; i < json_array_size(targets); i++)
        if (strcmp(json_string_value(json_array_get(targets, i)), hone_linear_name(which)) == 0)
            return true;
    bool matches = false;
    if (json_is_string(targets))
        assert_int_equal(hone_adapter_pattern_matches(json_string_value(targets), false, module, &matches, NULL),
                         HONE_OK);
    return matches;
}

/* By the recipe in the recording: the patterns that its cases use end with the module's name. */
static int64_t rank_of(const json_t *config, const char *module)
{
    const char *key;
    json_t *value;
    int64_t rank = json_integer_value(json_object_get(config, "r")), longest = 0;
    json_object_foreach(json_object_get(config, "rank_pattern"), key, value)
    {
        int64_t n = (int64_t)strlen(key), m = (int64_t)strlen(module);
        if (n > longest && n <= m && strcmp(module + m - n, key) == 0) {
            rank = json_integer_value(value);
            longest = n;
        }
    }
    return rank;
}

/* The adapter's files as PEFT names and lays them out. */
static const char *write_case(const json_t *c)
{
    const json_t *config = json_object_get(c, "config");
    const char *folder = temporary_path(json_string_value(json_object_get(c, "name")));
    hone_safetensor_out *tensors = calloc(MOST_TENSORS, sizeof *tensors);
    char(*names)[160] = calloc(MOST_TENSORS, sizeof *names), path[320];
    size_t n = 0;
    int k = 0;
    hone_error err;
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; i++) {
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        int64_t n_out, n_in;
        char module[128];
        hone_adapter_module_name(i / HONE_N_LINEARS, which, module);
        if (!is_adapted(config, which, module))
            continue;
        hone_model_linear_shape(&model->config, which, &n_out, &n_in);
        int64_t rank = rank_of(config, module), sizes[2] = {rank * n_in, n_out * rank};
        for (int part = 0; part < 2; part++) {
            float *values = malloc((size_t)sizes[part] * sizeof *values);
            for (int64_t j = 0; j < sizes[part]; j++)
                values[j] = (float)(part ? b_value(j, k) : a_value(j, k));
            snprintf(names[n], sizeof names[n], "base_model.model.%s.lora_%c.weight", module, part ? 'B' : 'A');
            tensors[n] = (hone_safetensor_out){names[n], part ? n_out : rank, part ? rank : n_in, values};
            n++;
        }
        k++;
    }
    json_t *full = json_pack("{s:s, s:s, s:s, s:b, s:n}", "peft_type", "LORA", "task_type", "CAUSAL_LM", "bias", "none",
                             "use_dora", 0, "modules_to_save");
    json_object_update(full, (json_t *)(uintptr_t)config);
    assert_int_equal(hone_folder_create(folder, &err), HONE_OK);
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    assert_int_equal(json_dump_file(full, path, 0), 0);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    if (hone_safetensors_write(path, tensors, n, "pt", &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)tensors[i].data);
    free(tensors);
    free(names);
    json_decref(full);
    return folder;
}

static void test_adapters_of_peft_give_its_logits(void **state)
{
    (void)state;
    if (!model)
        skip();
    json_t *all = json_load_file(HONE_SOURCE_DIR "/tests/data/peft_adapters.json", 0, NULL), *c;
    size_t i;
    assert_non_null(all);
    assert_true(json_array_size(json_object_get(all, "cases")) >= 4);
    json_array_foreach(json_object_get(all, "cases"), i, c)
        check_logits(json_string_value(json_object_get(c, "name")), write_case(c), all, c);
    json_decref(all);
}

/* The recording names the hash of the very file that PEFT loaded. */
static void test_an_adapter_of_hone_gives_the_same_logits_in_peft(void **state)
{
    (void)state;
    if (!model)
        skip();
    const char *keep = getenv("HONE_KEEP_ADAPTER"), *folder = keep && *keep ? keep : temporary_path("of-hone");
    hone_adapter_choice choice = {
        .rank = 2, .alpha = 6, .rslora = true, .rank_of = "down_proj=3;layers.1.mlp.up_proj=1"};
    hone_adapter *a;
    hone_buffer bytes = {0};
    hone_error err;
    char path[320], hash[65];
    if (hone_adapter_create_chosen(&model->config, &choice, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (int64_t k = 0; k < model->config.n_layers * HONE_N_LINEARS; k++) {
        const hone_lora *l = &a->loras[k];
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            l->a[j] = (float)a_value(j, (int)k);
        for (int64_t row = 0; row < l->n_out; row++)
            for (int r = 0; r < l->rank; r++)
                l->b_t[r * l->n_out + row] =
                    (float)b_value(their_row((hone_linear)(k % HONE_N_LINEARS), row) * l->rank + r, (int)k);
    }
    assert_int_equal(hone_adapter_save(a, folder, "base", &err), HONE_OK);
    hone_adapter_free(a);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_int_equal(hone_file_read(path, 0, &bytes, &err), HONE_OK);
    hone_sha256_hex(bytes.data, bytes.length, hash);
    hone_buffer_clear(&bytes);
    json_t *recorded = json_load_file(HONE_SOURCE_DIR "/tests/data/peft_of_hone.json", 0, NULL);
    assert_non_null(recorded);
    assert_string_equal(json_string_value(json_object_get(recorded, "safetensors_sha256")), hash);
    check_logits("hone's adapter", folder, recorded, recorded);
    json_decref(recorded);
}

static int open_all(void **state)
{
    const char *path = hone_test_model();
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    if (!path)
        return 0;
    return hone_model_file_open(path, &file, &err) == HONE_OK && hone_ops_create(0, &ops, &err) == HONE_OK &&
                   hone_model_open(ops, &file.gguf, &model, &err) == HONE_OK
               ? 0
               : -1;
}

static int close_all(void **state)
{
    hone_model_close(model);
    hone_ops_free(ops);
    hone_model_file_close(&file);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapters_of_peft_give_its_logits),
        cmocka_unit_test(test_an_adapter_of_hone_gives_the_same_logits_in_peft),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
