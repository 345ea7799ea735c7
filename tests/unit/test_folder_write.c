/* test_folder_write.c - claims about writing models as Hugging Face folders. Expected weights and names are those of
 * support/tiny_folder.h, a second writer that shares no code with this one; configuration and tokens are spelt out
 * here. Whether other software reads such a folder is asked by tools/check_hf_folder.py. */
#include "engine/engine.h"
#include "model/folder_write.h"
#include "model/merge.h"
#include "model/model_file.h"
#include "model/trace.h"
#include "support/tiny_folder.h"
#include "text/tokenizer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "unit/temporary.h"

static hone_gguf original;

static hone_status convert(const hone_gguf *from, const char *base_folder, hone_dtype type, const char *name,
                           hone_error *err)
{
    hone_merge m = {.file = from, .type = type, .base_hash = "abc", .folder = true, .base_folder = base_folder};
    return hone_model_merge(&m, temporary_path(name), NULL, err);
}

static const char *converted(const char *name, hone_dtype type)
{
    hone_error err;
    if (convert(&original, NULL, type, name, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return temporary_path(name);
}

static json_t *json_in(const char *folder, const char *file)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    if (!root)
        fail_msg("%s:%d: %s", path, where.line, where.text);
    return root;
}

static void test_tensors_have_the_names_shapes_and_values_that_hugging_face_has(void **state)
{
    (void)state;
    static const struct {
        const char *ours, *theirs, *dtype;
        hone_dtype type;
    } cases[] = {{"own32", "other32", "F32", HONE_F32},
                 {"own16", "other16", "F16", HONE_F16},
                 {"ownb16", "otherb16", "BF16", HONE_BF16}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hone_safetensors ours, theirs;
        hone_error err;
        char path[320];
        assert_int_equal(mkdir(temporary_path(cases[k].theirs), 0777), 0);
        tiny_folder_write(&original, temporary_path(cases[k].theirs), cases[k].dtype, false);
        snprintf(path, sizeof path, "%s/model.safetensors", converted(cases[k].ours, cases[k].type));
        assert_int_equal(hone_safetensors_open(path, &ours, &err), HONE_OK);
        snprintf(path, sizeof path, "%s/model.safetensors", temporary_path(cases[k].theirs));
        assert_int_equal(hone_safetensors_open(path, &theirs, &err), HONE_OK);
        assert_int_equal(ours.n_tensors, theirs.n_tensors);
        for (size_t i = 0; i < ours.n_tensors; i++) {
            const hone_safetensor *a = &ours.tensors[i], *b = hone_safetensors_find(&theirs, a->name);
            assert_non_null(b);
            assert_int_equal(a->dtype, cases[k].type);
            assert_int_equal(a->n_dims, b->n_dims);
            assert_memory_equal(a->shape, b->shape, sizeof a->shape);
            for (int64_t j = 0; j < a->shape[0] * a->shape[1]; j++) /* kernels round once: half a step of a float */
                if (!(fabsf(hone_safetensor_at(a, j) - hone_safetensor_at(b, j)) <=
                      0x1p-23f * fabsf(hone_safetensor_at(b, j))))
                    fail_msg("%s [%lld]: %.9g, not %.9g", a->name, (long long)j, (double)hone_safetensor_at(a, j),
                             (double)hone_safetensor_at(b, j));
        }
        hone_safetensors_close(&ours);
        hone_safetensors_close(&theirs);
    }
}

static void check_integer(const json_t *config, const char *key, int expected)
{
    if (json_integer_value(json_object_get(config, key)) != expected)
        fail_msg("%s is %lld, not %d", key, (long long)json_integer_value(json_object_get(config, key)), expected);
}

static void test_the_configuration_says_what_the_model_is(void **state)
{
    (void)state;
    const char *folder = converted("config", HONE_BF16);
    json_t *config = json_in(folder, "config.json"), *ends = json_in(folder, "generation_config.json");
    assert_string_equal(json_string_value(json_object_get(config, "model_type")), "llama");
    assert_string_equal(json_string_value(json_array_get(json_object_get(config, "architectures"), 0)),
                        "LlamaForCausalLM");
    assert_string_equal(json_string_value(json_object_get(config, "torch_dtype")), "bfloat16");
    assert_true(json_is_true(json_object_get(config, "tie_word_embeddings")));
    assert_true(json_real_value(json_object_get(config, "rms_norm_eps")) == 1e-5);
    assert_true(json_real_value(json_object_get(config, "rope_theta")) == 10000);
    const struct {
        const char *key;
        int value;
    } sizes[] = {{"hidden_size", TINY_EMBD},
                 {"intermediate_size", TINY_FF},
                 {"num_hidden_layers", TINY_LAYERS},
                 {"num_attention_heads", TINY_HEADS},
                 {"num_key_value_heads", TINY_KV_HEADS},
                 {"head_dim", TINY_HEAD_DIM},
                 {"vocab_size", TINY_VOCAB},
                 {"max_position_embeddings", TINY_CONTEXT},
                 {"eos_token_id", 257},
                 {"bos_token_id", 258}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_integer(config, sizes[i].key, sizes[i].value);
    check_integer(ends, "eos_token_id", 257);
    json_decref(config);
    json_decref(ends);
}

static void test_the_tokenizer_is_spelt_as_hugging_face_spells_it(void **state)
{
    (void)state;
    const char *folder = converted("tokenizer", HONE_F32);
    json_t *root = json_in(folder, "tokenizer.json"), *settings = json_in(folder, "tokenizer_config.json");
    json_t *model = json_object_get(root, "model"), *vocabulary = json_object_get(model, "vocab");
    json_t *steps = json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    json_t *added = json_object_get(root, "added_tokens");
    assert_string_equal(json_string_value(json_object_get(model, "type")), "BPE");
    assert_int_equal(json_object_size(vocabulary), TINY_VOCAB);
    check_integer(vocabulary, "th", 256);
    check_integer(vocabulary, "\xC4\xA0", 32); /* a space as GPT-2 spells it, U+0120 */
    assert_string_equal(json_string_value(json_array_get(json_object_get(model, "merges"), 0)), "t h");
    assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "type")), "Digits");
    assert_true(json_is_true(json_object_get(json_array_get(steps, 0), "individual_digits")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 1), "type")), "ByteLevel");
    assert_true(json_is_true(json_object_get(json_array_get(steps, 1), "use_regex")));
    assert_int_equal(json_array_size(added), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(added, 1), "content")), "<|start|>");
    check_integer(json_array_get(added, 1), "id", 258);
    assert_true(json_is_true(json_object_get(json_array_get(added, 1), "special")));
    assert_true(json_is_null(json_object_get(root, "post_processor")));
    assert_string_equal(json_string_value(json_object_get(settings, "eos_token")), "<|end|>");
    assert_string_equal(json_string_value(json_object_get(settings, "bos_token")), "<|start|>");
    assert_non_null(strstr(json_string_value(json_object_get(settings, "chat_template")), "add_generation_prompt"));
    json_decref(root);
    json_decref(settings);
}

/* Each split rule that is written is read again as that rule, and a BOS before each text as well. */
static void test_what_was_written_is_read_again(void **state)
{
    (void)state;
    static const char text[] = "<|start|>user\nthe 1234 things, that they'LL THINK; th\xC3\xA9<|end|>\n\n ok";
    static const char *const rules[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        hone_gguf model;
        hone_model_file again;
        hone_tokenizer *before = NULL, *after = NULL;
        hone_token_list a = {0}, b = {0};
        hone_error err;
        assert_int_equal(hone_gguf_create("model", &model, &err), HONE_OK);
        assert_int_equal(hone_gguf_copy_values(&model, &original, &err), HONE_OK);
        assert_int_equal(hone_gguf_set_string(&model, "tokenizer.ggml.pre", rules[i], &err), HONE_OK);
        assert_int_equal(
            hone_gguf_set_integer(&model, "tokenizer.ggml.add_bos_token", HONE_GGUF_BOOL, i % 2 == 0, &err), HONE_OK);
        model.tensors = original.tensors, model.n_tensors = original.n_tensors;
        if (convert(&model, NULL, HONE_F16, rules[i], &err) != HONE_OK ||
            hone_model_file_open(temporary_path(rules[i]), &again, &err) != HONE_OK ||
            hone_tokenizer_from_gguf(&model, &before, &err) != HONE_OK ||
            hone_tokenizer_from_gguf(&again.gguf, &after, &err) != HONE_OK)
            fail_msg("%s: %s", rules[i], err.message);
        hone_gguf_string rule;
        assert_true(hone_gguf_get_string(&again.gguf, "tokenizer.ggml.pre", &rule));
        assert_int_equal(rule.length, strlen(rules[i]));
        assert_memory_equal(rule.data, rules[i], rule.length);
        assert_int_equal(hone_tokenizer_encode(before, text, strlen(text), true, &a, &err), HONE_OK);
        assert_int_equal(hone_tokenizer_encode(after, text, strlen(text), true, &b, &err), HONE_OK);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.data, b.data, a.n * sizeof *a.data);
        assert_int_equal(hone_tokenizer_add_bos(after), i % 2 == 0);
        assert_string_equal(hone_tokenizer_chat_template(before), hone_tokenizer_chat_template(after));
        hone_token_list_clear(&a), hone_token_list_clear(&b);
        hone_tokenizer_free(before), hone_tokenizer_free(after);
        hone_model_file_close(&again);
        model.tensors = NULL, model.n_tensors = 0;
        hone_gguf_close(&model);
    }
}

static void test_a_float32_folder_computes_what_its_gguf_file_does(void **state)
{
    (void)state;
    enum { N_IDS = 40 };
    int32_t ids[N_IDS];
    hone_model_file file;
    hone_trace a, b;
    hone_trace_difference d;
    hone_error err;
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, 5}, (uint64_t)i, TINY_VOCAB);
    assert_int_equal(hone_model_file_open(converted("same", HONE_F32), &file, &err), HONE_OK);
    hone_trace_source source = {.file = &original, .ids = ids, .n_ids = N_IDS, .n_threads = 1};
    assert_int_equal(hone_trace_run(&source, NULL, &a, &err), HONE_OK);
    source.file = &file.gguf;
    assert_int_equal(hone_trace_run(&source, NULL, &b, &err), HONE_OK);
    assert_int_equal(hone_trace_compare(&a, &b, ids, &d, &err), HONE_OK);
    assert_true(d.logprob_worst == 0); /* expansion rounds once, as the kernels do */
    hone_trace_difference_clear(&d);
    hone_trace_clear(&a), hone_trace_clear(&b);
    hone_model_file_close(&file);
}

static void test_a_model_from_a_folder_keeps_that_folders_files(void **state)
{
    (void)state;
    hone_model_file base;
    hone_error err;
    hone_buffer before = {0}, after = {0};
    char path[320];
    const char *folder = temporary_path("base");
    assert_int_equal(mkdir(folder, 0777), 0);
    tiny_folder_write(&original, folder, "F32", true);
    json_t *config = json_in(folder, "config.json");
    json_object_set_new(config, "my_key", json_string("mine"));
    json_object_set_new(config, "dtype", json_string("float32"));
    tiny_folder_write_json(folder, "config.json", config);
    tiny_folder_write_json(folder, "special_tokens_map.json", json_pack("{s:s}", "eos_token", "<|end|>"));
    assert_int_equal(hone_model_file_open(folder, &base, &err), HONE_OK);
    if (convert(&base.gguf, folder, HONE_F16, "child", &err) != HONE_OK)
        fail_msg("%s", err.message);
    hone_model_file_close(&base);
    config = json_in(temporary_path("child"), "config.json");
    assert_string_equal(json_string_value(json_object_get(config, "my_key")), "mine");
    assert_string_equal(json_string_value(json_object_get(config, "dtype")), "float16");
    assert_null(json_object_get(config, "torch_dtype"));
    json_decref(config);
    static const char *const same[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        before.length = after.length = 0;
        snprintf(path, sizeof path, "%s/%s", folder, same[i]);
        assert_int_equal(hone_file_read(path, 0, &before, &err), HONE_OK);
        snprintf(path, sizeof path, "%s/%s", temporary_path("child"), same[i]);
        assert_int_equal(hone_file_read(path, 0, &after, &err), HONE_OK);
        assert_string_equal(before.data, after.data);
    }
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", temporary_path("child"));
    assert_false(hone_file_exists(path)); /* of the base's shards; the child has one file */
    hone_buffer_clear(&before), hone_buffer_clear(&after);
}

static void test_what_is_there_already_is_not_touched(void **state)
{
    (void)state;
    hone_error err;
    char path[320];
    const char *folder = temporary_path("taken");
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    assert_int_equal(hone_file_write_atomic(path, "mine", 4, &err), HONE_OK);
    assert_int_equal(convert(&original, NULL, HONE_F32, "taken", &err), HONE_BAD_INPUT);
    assert_says(err, "taken: is there already; remove it or choose another name");
    assert_int_equal(hone_file_size_bytes(path), 4);
    assert_int_equal(mkdir(temporary_path("empty"), 0777), 0);
    assert_int_equal(convert(&original, NULL, HONE_F32, "empty", &err), HONE_OK);
}

static void test_a_full_disk_leaves_no_folder(void **state)
{
    (void)state;
    hone_error err;
    struct rlimit before, small;
    char left[320];
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){64 << 10, before.rlim_max}; /* the small files fit, the weights do not */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    hone_status status = convert(&original, NULL, HONE_F32, "full", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, HONE_IO);
    assert_says(err, "model.safetensors: cannot write");
    assert_false(hone_folder_exists(temporary_path("full")));
    snprintf(left, sizeof left, "%s.tmp-%ld", temporary_path("full"), (long)getpid());
    assert_false(hone_folder_exists(left));
}

static void test_what_a_folder_cannot_hold_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"tokenizer.ggml.model", "llama", "tokenizer.ggml.model is \"llama\"; hone writes a tokenizer.json"},
        {"tokenizer.ggml.pre", "deepseek-coder", "tokenizer.ggml.pre is \"deepseek-coder\""},
        {"general.architecture", "other", "architecture \"other\"; hone writes Hugging Face folders of llama"}};
    hone_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_gguf model;
        assert_int_equal(hone_gguf_create("model", &model, &err), HONE_OK);
        assert_int_equal(hone_gguf_copy_values(&model, &original, &err), HONE_OK);
        assert_int_equal(hone_gguf_set_string(&model, cases[i].key, cases[i].value, &err), HONE_OK);
        model.tensors = original.tensors, model.n_tensors = original.n_tensors;
        assert_int_equal(convert(&model, NULL, HONE_F32, "refused", &err), HONE_UNSUPPORTED);
        assert_says(err, cases[i].says);
        assert_false(hone_folder_exists(temporary_path("refused")));
        model.tensors = NULL, model.n_tensors = 0;
        hone_gguf_close(&model);
    }
    assert_int_equal(convert(&original, NULL, HONE_Q8_0, "refused", &err), HONE_BAD_INPUT);
    assert_says(err, "a Hugging Face folder holds f32, f16 or bf16, not Q8_0");
    hone_gguf_string *name = &original.tensors[original.n_tensors - 1].name, kept = *name;
    *name = (hone_gguf_string){"strange", 7};
    assert_int_equal(convert(&original, NULL, HONE_F32, "refused", &err), HONE_UNSUPPORTED);
    *name = kept;
    assert_says(err, "tensor \"strange\" has no place in a Hugging Face folder");
}

static int open_all(void **state)
{
    hone_error err;
    return temporary_begin(state) == 0 && tiny_model_write(temporary_path("tiny.gguf"), &err) == HONE_OK &&
                   hone_gguf_open(temporary_path("tiny.gguf"), &original, &err) == HONE_OK
               ? 0
               : -1;
}

static int close_all(void **state)
{
    hone_gguf_close(&original);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_have_the_names_shapes_and_values_that_hugging_face_has),
        cmocka_unit_test(test_the_configuration_says_what_the_model_is),
        cmocka_unit_test(test_the_tokenizer_is_spelt_as_hugging_face_spells_it),
        cmocka_unit_test(test_what_was_written_is_read_again),
        cmocka_unit_test(test_a_float32_folder_computes_what_its_gguf_file_does),
        cmocka_unit_test(test_a_model_from_a_folder_keeps_that_folders_files),
        cmocka_unit_test(test_what_is_there_already_is_not_touched),
        cmocka_unit_test(test_a_full_disk_leaves_no_folder),
        cmocka_unit_test(test_what_a_folder_cannot_hold_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
