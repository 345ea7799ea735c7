/* test_model_folder.c - claims about models in Hugging Face folders: the same model as a GGUF file and as a folder
 * (support/tiny_folder.h, which shares no code with the reader) gives the same tokens and the same log-probabilities.
 */
#include "engine/engine.h"
#include "model/model_file.h"
#include "model/trace.h"
#include "support/tiny_folder.h"
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_IDS = 60 };

static hone_gguf original;
static int32_t ids[N_IDS];
static hone_trace expected;

static const char *new_folder(const char *name, const char *dtype, bool shards)
{
    const char *folder = temporary_path(name);
    assert_int_equal(mkdir(folder, 0777), 0);
    tiny_folder_write(&original, folder, dtype, shards);
    return folder;
}

static void test_a_folder_gives_the_log_probabilities_of_the_gguf_file(void **state)
{
    (void)state;
    static const struct {
        const char *name, *dtype;
        bool shards;
        double logprob; /* float32: the promise; halves: the weights themselves are rounded */
    } cases[] = {{"f32", "F32", false, 1e-5},
                 {"shards", "F32", true, 1e-5},
                 {"f16", "F16", false, 0.02},
                 {"bf16", "BF16", true, 0.2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_model_file file;
        hone_trace trace;
        hone_trace_difference d;
        hone_error err;
        if (hone_model_file_open(new_folder(cases[i].name, cases[i].dtype, cases[i].shards), &file, &err) != HONE_OK)
            fail_msg("%s", err.message);
        hone_trace_source source = {.file = &file.gguf, .ids = ids, .n_ids = N_IDS, .n_threads = 1};
        if (hone_trace_run(&source, NULL, &trace, &err) != HONE_OK)
            fail_msg("%s", err.message);
        assert_int_equal(hone_trace_compare(&trace, &expected, ids, &d, &err), HONE_OK);
        print_message("%s: log-probabilities off by %.1e at most\n", cases[i].name, d.logprob_worst);
        assert_true(d.logprob_worst <= cases[i].logprob);
        hone_trace_difference_clear(&d);
        hone_trace_clear(&trace);
        hone_model_file_close(&file);
    }
}

static void test_a_folder_has_the_tokens_of_the_gguf_file(void **state)
{
    (void)state;
    static const char text[] = "<|start|>user\nthe 1234 things, that they thought; th\xC3\xA9<|end|>\n";
    hone_model_file file;
    hone_tokenizer *ours = NULL, *theirs = NULL;
    hone_token_list a = {0}, b = {0};
    hone_error err;
    if (hone_model_file_open(new_folder("tokens", "F32", false), &file, &err) != HONE_OK ||
        hone_tokenizer_from_gguf(&file.gguf, &theirs, &err) != HONE_OK ||
        hone_tokenizer_from_gguf(&original, &ours, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_tokenizer_encode(ours, text, strlen(text), true, &a, &err), HONE_OK);
    assert_int_equal(hone_tokenizer_encode(theirs, text, strlen(text), true, &b, &err), HONE_OK);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n * sizeof *a.data);
    assert_true(a.data[0] == 258 && a.n < strlen(text));
    assert_int_equal(hone_tokenizer_eos(theirs), 257);
    assert_int_equal(hone_tokenizer_bos(theirs), 258);
    assert_false(hone_tokenizer_add_bos(theirs));
    assert_string_equal(hone_tokenizer_chat_template(theirs), hone_tokenizer_chat_template(ours));
    hone_token_list_clear(&a), hone_token_list_clear(&b);
    hone_tokenizer_free(ours), hone_tokenizer_free(theirs);
    hone_model_file_close(&file);
}

static void test_an_engine_notices_a_changed_folder_by_its_hash(void **state)
{
    (void)state;
    const char *folder = new_folder("hash", "F32", false);
    char first[65], path[320];
    hone_model_bytes bytes;
    hone_error err;
    hone_engine *engine;
    assert_int_equal(hone_model_bytes_open(folder, &bytes, &err), HONE_OK);
    assert_int_equal(bytes.n_maps, 4);
    hone_model_bytes_hash(&bytes, first);
    hone_model_bytes_close(&bytes);
    if (hone_engine_open(folder, NULL, &engine, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_string_equal(hone_engine_model_hash(engine), first);
    hone_engine_close(engine);
    snprintf(path, sizeof path, "%s/chat_template.jinja", folder);
    assert_int_equal(hone_file_write_atomic(path, "{{ 1 }}", 7, &err), HONE_OK);
    char second[65];
    assert_int_equal(hone_model_bytes_open(folder, &bytes, &err), HONE_OK);
    hone_model_bytes_hash(&bytes, second);
    hone_model_bytes_close(&bytes);
    assert_string_not_equal(first, second);
}

static void set_in(const char *folder, const char *name, const char *key, json_t *value)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    size_t flags = strcmp(name, "tokenizer_config.json") == 0 ? JSON_DECODE_INT_AS_REAL : 0; /* its huge length */
    json_t *root = json_load_file(path, flags, NULL);
    assert_non_null(root);
    if (value)
        json_object_set_new(root, key, value);
    else
        json_object_del(root, key);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
}

static void test_folders_that_hone_does_not_read_say_what_to_do(void **state)
{
    (void)state;
    const struct {
        const char *file, *key, *json, *says;
        hone_status status;
    } cases[] = {
        {"config.json", "model_type", "\"gemma3_text\"",
         "\"model_type\" is gemma3_text; of Hugging Face folders hone reads llama", HONE_UNSUPPORTED},
        {"config.json", "attention_bias", "true", "\"attention_bias\" is true", HONE_UNSUPPORTED},
        {"config.json", "rope_scaling", "{\"rope_type\": \"llama3\"}", "without rotary scaling", HONE_UNSUPPORTED},
        {"config.json", "hidden_size", "0", "\"hidden_size\" must be a whole number above 0", HONE_BAD_FORMAT},
        {"config.json", "num_hidden_layers", "1e9", "\"num_hidden_layers\" must be a whole number", HONE_BAD_FORMAT},
        {"config.json", "head_dim", "15", "make no sense", HONE_BAD_FORMAT},
        {"tokenizer.json", "normalizer", "{\"type\": \"NFC\"}",
         "normalizer is NFC; from such a folder hone reads byte-level BPE", HONE_UNSUPPORTED},
        {"tokenizer.json", "model", "{\"type\": \"Unigram\"}", "convert_hf_to_gguf.py", HONE_UNSUPPORTED},
        {"tokenizer.json", "model", "{\"type\": \"BPE\", \"vocab\": {\"a\": -1}}", "expected 0 to", HONE_BAD_FORMAT},
        {"tokenizer.json", "model", "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [3]}",
         "model.merges[0] is no pair", HONE_BAD_FORMAT},
        {"tokenizer.json", "pre_tokenizer", "{\"type\": \"Metaspace\"}", "pre_tokenizer is Metaspace",
         HONE_UNSUPPORTED},
        {"tokenizer.json", "added_tokens", "[{\"content\": \"x\"}]", "added_tokens[0] lacks its id", HONE_BAD_FORMAT},
        {"tokenizer_config.json", "eos_token", "\"<|none|>\"", "which is no token", HONE_BAD_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "bad%zu", i);
        const char *folder = new_folder(name, "F16", false);
        hone_model_file file;
        hone_error err;
        set_in(folder, cases[i].file, cases[i].key, json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        hone_status status = hone_model_file_open(folder, &file, &err);
        if (status == HONE_OK)
            fail_msg("case %zu was read", i);
        assert_says(err, cases[i].says);
        assert_int_equal(status, cases[i].status);
    }
}

static void test_a_folder_without_its_files_says_which(void **state)
{
    (void)state;
    static const struct {
        const char *missing, *says;
    } cases[] = {{"config.json", "config.json is missing; a model is a GGUF file or a Hugging Face folder"},
                 {"tokenizer.json", "tokenizer.json: cannot open"},
                 {"model.safetensors", "neither model.safetensors nor model.safetensors.index.json is there"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32], path[320];
        snprintf(name, sizeof name, "without%zu", i);
        const char *folder = new_folder(name, "F16", false);
        hone_model_file file;
        hone_error err;
        snprintf(path, sizeof path, "%s/%s", folder, cases[i].missing);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(hone_model_file_open(folder, &file, &err), HONE_NOT_FOUND);
        assert_says(err, cases[i].says);
    }
}

/* A shard's name leads nowhere but into the folder. */
static void test_an_index_cannot_point_outside_the_folder(void **state)
{
    (void)state;
    const char *folder = new_folder("outside", "F16", true);
    hone_model_file file;
    hone_error err;
    set_in(folder, "model.safetensors.index.json", "weight_map",
           json_pack("{s:s}", "model.norm.weight", "../f32/model.safetensors"));
    assert_int_equal(hone_model_file_open(folder, &file, &err), HONE_BAD_FORMAT);
    assert_says(err, "names \"../f32/model.safetensors\"");
}

static int open_all(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0 || tiny_model_write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &original, &err) != HONE_OK)
        return -1;
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, 3}, (uint64_t)i, TINY_VOCAB);
    hone_trace_source source = {.file = &original, .ids = ids, .n_ids = N_IDS, .n_threads = 1};
    return hone_trace_run(&source, NULL, &expected, &err) == HONE_OK ? 0 : -1;
}

static int close_all(void **state)
{
    hone_trace_clear(&expected);
    hone_gguf_close(&original);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_gives_the_log_probabilities_of_the_gguf_file),
        cmocka_unit_test(test_a_folder_has_the_tokens_of_the_gguf_file),
        cmocka_unit_test(test_an_engine_notices_a_changed_folder_by_its_hash),
        cmocka_unit_test(test_folders_that_hone_does_not_read_say_what_to_do),
        cmocka_unit_test(test_a_folder_without_its_files_says_which),
        cmocka_unit_test(test_an_index_cannot_point_outside_the_folder),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
