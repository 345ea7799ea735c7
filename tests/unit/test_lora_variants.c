/* test_lora_variants.c - rsLoRA, target patterns, other ranks for some layers and LoRA+: against what PEFT and PyTorch
 * made of them (tests/data/lora_variants.json, from tools/make_lora_variants.py) on the real model; files written and
 * read back; schedules; what is refused. */
#include "format/safetensors.h"
#include "model/adapter_targets.h"
#include "numbers.h"
#include "tiny_model.h"
#include "train/batch.h"
#include "train/trainable.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

static hone_engine *tiny;

static const hone_model_config *tiny_config(void)
{
    return &hone_engine_get_model(tiny)->config;
}

/* The initial values of tools/make_lora_variants.py, B in Hugging Face's row order: rows of q and k of a head are
 * (half, i), the model's (i, half), as in llama.cpp's converter. */
static void fill(hone_adapter *a)
{
    int k = 0;
    for (int64_t i = 0; i < a->config.n_layers * HONE_N_LINEARS; i++) {
        hone_lora *l = &a->loras[i];
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        int64_t dim = a->config.head_dim;
        if (!l->rank)
            continue;
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            l->a[j] = (float)(0.05 * sin(0.7 * (double)j + k));
        for (int64_t row = 0; row < l->n_out; row++) {
            int64_t theirs = which == HONE_ATTN_Q || which == HONE_ATTN_K
                                 ? row / dim * dim + row % 2 * (dim / 2) + row % dim / 2
                                 : row;
            for (int r = 0; r < l->rank; r++)
                l->b_t[r * l->n_out + row] = (float)(0.02 * cos(0.9 * (double)(theirs * l->rank + r) + k));
            if (l->magnitude) /* so far the row's length */
                l->magnitude[row] *= (float)(1 + 0.1 * sin(0.3 * (double)theirs + k));
        }
        k++;
    }
}

static void check_case(hone_engine *engine, const json_t *all, const json_t *c)
{
    const hone_model *model = hone_engine_get_model(engine);
    hone_adapter_choice choice = {.rank = (int)json_integer_value(json_object_get(c, "r")),
                                  .alpha = json_number_value(json_object_get(c, "alpha")),
                                  .rslora = json_is_true(json_object_get(c, "rslora")),
                                  .targets = json_string_value(json_object_get(c, "targets")),
                                  .rank_of = json_string_value(json_object_get(c, "rank_of")),
                                  .dora_base = json_is_true(json_object_get(c, "dora")) ? model : NULL};
    double ratio = json_number_value(json_object_get(c, "ratio"));
    const json_t *given = json_object_get(all, "ids");
    int32_t ids[64];
    size_t n_ids = json_array_size(given), order = 0;
    for (size_t i = 0; i < n_ids; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(given, i));
    hone_train_example example = {ids, n_ids, (size_t)json_integer_value(json_object_get(all, "learned_from"))};
    hone_adapter *a;
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    hone_error err;
    if (hone_adapter_create_chosen(&model->config, &choice, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    int modules = 0;
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; i++)
        modules += a->loras[i].rank > 0;
    assert_int_equal(modules, json_integer_value(json_object_get(c, "modules")));
    assert_int_equal(hone_train_batch_create(64, 1, &batch, &err), HONE_OK);
    assert_int_equal(hone_kv_pool_create(batch->max_pages, model->config.n_layers, model->config.n_kv_heads,
                                         model->config.head_dim, &pool, &err),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(model, 64, a->rank, &ws, &err), HONE_OK);
    hone_tape_size size = {.max_rows = 64, .rank = a->rank, .dora = choice.dora_base != NULL};
    size.first_layer = hone_adapter_lowest_layer(a);
    assert_int_equal(hone_tape_create_as(model, &size, &tape, &err), HONE_OK);
    int64_t n = (int64_t)a->n_parameters;
    float *g = new_floats(n), *m = new_floats(n), *v = new_floats(n);
    fill(a);
    float weight = 1.0f / (float)(n_ids - example.n_prompt);
    hone_parameter_group *groups;
    size_t n_groups;
    assert_int_equal(hone_adapter_parameter_groups(a, ratio, &groups, &n_groups, &err), HONE_OK);
    for (size_t step = 0; step < json_array_size(json_object_get(c, "losses")); step++) {
        memset(g, 0, (size_t)n * sizeof *g);
        hone_adapter_refresh(model->ops, a);
        hone_train_batch_fill(batch, &example, &order, 1, weight, a);
        hone_model_forward(model, pool, &batch->rows, ws, tape);
        double loss = hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, g),
               norm = sqrt(hone_op_sum_squares(model->ops, n, g)),
               their_loss = json_number_value(json_array_get(json_object_get(c, "losses"), step)),
               their_norm = json_number_value(json_array_get(json_object_get(c, "gradient_norms"), step));
        print_message("%s, step %zu: loss %.6f (PEFT %+.1e), gradient %.5f (PEFT %+.1e)\n",
                      json_string_value(json_object_get(c, "name")), step, loss, their_loss - loss, norm,
                      their_norm - norm);
        assert_true(fabs(loss - their_loss) < 2e-5 * their_loss);
        assert_true(fabs(norm - their_norm) < 5e-5 * their_norm);
        hone_adamw s = {.learning_rate = (float)json_number_value(json_object_get(all, "rate")),
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .step = (int64_t)step + 1,
                        .gradient_scale = 1};
        hone_optimise(model->ops, groups, n_groups, &s, g, m, v, a->parameters);
    }
    free(g), free(m), free(v), free(groups);
    hone_adapter_free(a);
    hone_train_batch_free(batch);
    hone_kv_pool_free(pool);
    hone_workspace_free(ws);
    hone_tape_free(tape);
}

static void test_steps_agree_with_peft(void **state)
{
    (void)state;
    const char *path = getenv("HONE_TEST_MODEL");
    if (!path || !*path) {
        print_message("skipped: HONE_TEST_MODEL is not set\n");
        skip();
    }
    hone_engine *engine;
    hone_error err;
    json_error_t fault;
    json_t *all = json_load_file(HONE_SOURCE_DIR "/tests/data/lora_variants.json", 0, &fault), *c;
    size_t i;
    assert_non_null(all);
    if (hone_engine_open(path, NULL, &engine, &err) != HONE_OK)
        fail_msg("%s", err.message);
    json_array_foreach(json_object_get(all, "cases"), i, c) check_case(engine, all, c);
    hone_engine_close(engine);
    json_decref(all);
}

static json_t *saved_config(const char *folder)
{
    char name[64];
    snprintf(name, sizeof name, "%s/adapter_config.json", folder);
    json_t *config = json_load_file(temporary_path(name), 0, NULL);
    assert_non_null(config);
    return config;
}

static void test_ranks_and_alphas_survive_a_peft_round_trip(void **state)
{
    (void)state;
    hone_adapter_choice choice = {.rank = 4,
                                  .alpha = 6,
                                  .rslora = true,
                                  .targets = "(.*(q|v|down)_proj)|(model.layers.1.mlp.up_proj)",
                                  .rank_of = "down_proj=8;layers.1.self_attn.q_proj=2"};
    hone_adapter *a, *b;
    hone_error err;
    if (hone_adapter_create_chosen(tiny_config(), &choice, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    a->loras[HONE_ATTN_V].alpha = 3; /* of layer 0 */
    a->loras[HONE_ATTN_V].scale = (float)(3 / sqrt(4.0));
    fill_normal(a->parameters, (int64_t)a->n_parameters, 5, 0.1);
    assert_int_equal(hone_adapter_save(a, temporary_path("variants"), "base", &err), HONE_OK);
    json_t *config = saved_config("variants"),
           *expected = json_pack("{s:i, s:b, s:f, s:[sssss], s:{s:i, s:i, s:i, s:i, s:i}, s:{s:f}}", "r", 8,
                                 "use_rslora", 1, "lora_alpha", 6.0, "target_modules", "q_proj", "v_proj",
                                 "model.layers.1.mlp.up_proj", "down_proj", "", "rank_pattern",
                                 "model.layers.0.self_attn.q_proj", 4, "model.layers.1.self_attn.q_proj", 2, "v_proj",
                                 4, "up_proj", 4, "x", 0, "alpha_pattern", "model.layers.0.self_attn.v_proj", 3.0);
    json_array_remove(json_object_get(expected, "target_modules"), 4);
    json_object_del(json_object_get(expected, "rank_pattern"), "x");
    const char *key;
    json_t *value;
    json_object_foreach(expected, key, value) if (!json_equal(json_object_get(config, key), value))
    {
        char *text = json_dumps(json_object_get(config, key), JSON_ENCODE_ANY);
        fail_msg("%s is %s", key, text);
    }
    json_decref(expected);
    json_decref(config);
    if (hone_adapter_load(hone_engine_get_model(tiny), temporary_path("variants"), &b, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(a->n_parameters, b->n_parameters);
    assert_memory_equal(a->parameters, b->parameters, a->n_parameters * sizeof(float));
    for (int64_t i = 0; i < tiny_config()->n_layers * HONE_N_LINEARS; i++) {
        assert_int_equal(a->loras[i].rank, b->loras[i].rank);
        assert_true(a->loras[i].scale == b->loras[i].scale);
    }
    hone_adapter_hash(a);
    assert_string_equal(a->hash, b->hash);
    hone_adapter_free(a);
    hone_adapter_free(b);
}

/* Failure elsewhere: "adapter export drops or mis-scales tensors". A reader computes alpha / rank * B A (llama.cpp,
 * src/llama-adapter.h: get_scale). */
static void test_failure_export_drops_or_mis_scales_tensors(void **state)
{
    (void)state;
    hone_adapter_choice choice = {.rank = 4, .alpha = 6, .rslora = true, .targets = "attention", .rank_of = "k_proj=2"};
    static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
    hone_adapter *a;
    hone_gguf file;
    hone_gguf_string text;
    hone_error err;
    double alpha;
    assert_int_equal(hone_adapter_create_chosen(tiny_config(), &choice, &a, &err), HONE_OK);
    fill_normal(a->parameters, (int64_t)a->n_parameters, 6, 0.1);
    assert_int_equal(hone_adapter_export_gguf(a, temporary_path("lora.gguf"), &err), HONE_OK);
    if (hone_gguf_open(temporary_path("lora.gguf"), &file, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_true(hone_gguf_get_string(&file, "general.type", &text) && memcmp(text.data, "adapter", 7) == 0);
    assert_true(hone_gguf_get_string(&file, "adapter.type", &text) && memcmp(text.data, "lora", 4) == 0);
    assert_true(hone_gguf_get_string(&file, "general.architecture", &text) && memcmp(text.data, "llama", 5) == 0);
    assert_true(hone_gguf_get_float(&file, "adapter.lora.alpha", &alpha));
    assert_int_equal(file.n_tensors, 2 * 4 * TINY_LAYERS);
    for (int i = 0; i < 4 * TINY_LAYERS; i++) {
        const hone_lora *l = hone_adapter_at(a, i / 4, (hone_linear)(i % 4));
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", i / 4, names[i % 4]);
        const hone_gguf_tensor *ta = hone_gguf_find_tensor(&file, name);
        snprintf(name, sizeof name, "blk.%d.%s.weight.lora_b", i / 4, names[i % 4]);
        const hone_gguf_tensor *tb = hone_gguf_find_tensor(&file, name);
        int64_t rank = i % 4 == 1 ? 2 : 4;
        assert_true(ta && ta->ne[0] == l->n_in && ta->ne[1] == rank);
        assert_true(tb && tb->ne[0] == rank && tb->ne[1] == l->n_out);
        assert_memory_equal(ta->data, l->a, (size_t)(rank * l->n_in) * sizeof(float));
        for (int64_t row = 0; row < l->n_out; row++)
            for (int64_t r = 0; r < rank; r++) {
                float b;
                memcpy(&b, tb->data + sizeof b * (size_t)(row * rank + r), sizeof b);
                double read = alpha / (double)rank * (double)b,
                       meant = 6 / sqrt((double)rank) * (double)l->b_t[r * l->n_out + row];
                assert_true(fabs(read - meant) <= 1e-6 * fabs(meant));
            }
    }
    hone_gguf_close(&file);
    hone_adapter_free(a);
}

static void test_choices_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        hone_adapter_choice choice;
        const char *says;
    } cases[] = {
        {{.rank = 4, .alpha = 8, .targets = "qproj"}, "targets \"qproj\" match no layer"},
        {{.rank = 4, .alpha = 8, .targets = "model.layers.9..*"}, "match no layer"},
        {{.rank = 4, .alpha = 8, .targets = "q_proj("}, "not a regular expression"},
        {{.rank = 4, .alpha = 8, .targets = "(?:(?:[a-z._0-9]+)+)+[!?]"}, "takes too long to match"},
        {{.rank = 33, .alpha = 8}, "rank 33; model.layers.0.self_attn.k_proj is 32 x 64, which allows 1 to 32"},
        {{.rank = 4, .alpha = 8, .rank_of = "o_proj=65"}, "rank 65; model.layers.0.self_attn.o_proj"},
        {{.rank = 4, .alpha = 8, .targets = "mlp", .rank_of = "q_proj=2"}, "\"q_proj=2\" matches no layer"},
        {{.rank = 4, .alpha = 8, .rank_of = "q_proj"}, "is not PATTERN=RANK"},
        {{.rank = 4, .alpha = 8, .targets = "q_proj", .rank_of = "q_proj=0"}, "rank 0 everywhere"},
        {{.rank = 4, .alpha = -1}, "alpha -1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_adapter *a;
        hone_error err;
        assert_int_equal(hone_adapter_create_chosen(tiny_config(), &cases[i].choice, &a, &err), HONE_BAD_INPUT);
        assert_null(a);
        assert_says(err, cases[i].says);
    }
}

/* By hand, for 20 steps after 2 of warm-up: what is left, half a cosine, one, and the last fifth (4 steps) falling. */
static void test_schedules_fall_as_they_say(void **state)
{
    (void)state;
    static const struct {
        hone_schedule_kind schedule;
        int64_t step;
        double factor;
    } cases[] = {
        {HONE_SCHEDULE_LINEAR, 0, 1.0 / 3}, {HONE_SCHEDULE_COSINE, 1, 2.0 / 3},   {HONE_SCHEDULE_LINEAR, 2, 1},
        {HONE_SCHEDULE_LINEAR, 11, 0.5},    {HONE_SCHEDULE_LINEAR, 19, 1.0 / 18}, {HONE_SCHEDULE_COSINE, 2, 1},
        {HONE_SCHEDULE_COSINE, 8, 0.75},    {HONE_SCHEDULE_COSINE, 11, 0.5},      {HONE_SCHEDULE_COSINE, 14, 0.25},
        {HONE_SCHEDULE_CONSTANT, 2, 1},     {HONE_SCHEDULE_CONSTANT, 19, 1},      {HONE_SCHEDULE_WSD, 1, 2.0 / 3},
        {HONE_SCHEDULE_WSD, 2, 1},          {HONE_SCHEDULE_WSD, 16, 1},           {HONE_SCHEDULE_WSD, 17, 0.75},
        {HONE_SCHEDULE_WSD, 19, 0.25}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double factor = hone_schedule_factor(cases[i].schedule, 0.1, cases[i].step, 20);
        if (!(fabs(factor - cases[i].factor) < 1e-12))
            fail_msg("%s at step %d: %g, not %g", hone_schedule_name(cases[i].schedule), (int)cases[i].step, factor,
                     cases[i].factor);
    }
    hone_schedule_kind schedule;
    assert_true(hone_schedule_parse("wsd", &schedule) && schedule == HONE_SCHEDULE_WSD);
    assert_false(hone_schedule_parse("step", &schedule));
}

static int open_all(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    const char *path = temporary_path("tiny.gguf");
    return tiny_model_write(path, &err) == HONE_OK && hone_engine_open(path, NULL, &tiny, &err) == HONE_OK ? 0 : -1;
}

static int close_all(void **state)
{
    hone_engine_close(tiny);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_agree_with_peft),
        cmocka_unit_test(test_ranks_and_alphas_survive_a_peft_round_trip),
        cmocka_unit_test(test_failure_export_drops_or_mis_scales_tensors),
        cmocka_unit_test(test_choices_that_cannot_be_are_refused),
        cmocka_unit_test(test_schedules_fall_as_they_say),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
