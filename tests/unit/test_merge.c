/* test_merge.c - claims about folding an adapter into its base. Expected weights are computed here in double precision
 * from the file's own weights (file_rows.h decodes them) and the adapter's A and B. */
#include "model/adapter_targets.h"
#include "model/merge.h"
#include "model/trace.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_IDS = 50 };

static hone_gguf base;
static hone_ops *ops;
static hone_model *model;
static hone_adapter *adapter;
static int32_t ids[N_IDS];

static const format *format_of(hone_dtype dtype)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i].dtype == dtype)
            return &formats[i];
    fail();
    return NULL;
}

static hone_gguf merged(const char *name, const hone_adapter *with, hone_dtype type)
{
    hone_gguf file = {0};
    hone_error err;
    hone_merge m = {.file = &base, .adapter = with, .type = type, .base_hash = "abc"};
    const char *path = temporary_path(name);
    if (hone_model_merge(&m, path, NULL, &err) != HONE_OK || hone_gguf_open(path, &file, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return file;
}

/* Every weight is the base's plus what the adapter adds, rounded to the type: float32 to its nearest value; the others
 * as far as a step of theirs. */
static void check_weights(const hone_gguf *file, hone_dtype type)
{
    static const double relative[] = {[HONE_F32] = 0, [HONE_F16] = 0x1p-11, [HONE_BF16] = 0x1p-8};
    assert_int_equal(file->n_tensors, base.n_tensors);
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *from = &base.tensors[i], *to = &file->tensors[i];
        const hone_lora *lora = NULL;
        for (int k = 0; k < TINY_LAYERS * HONE_N_LINEARS; k++) {
            char name[64];
            int n = snprintf(name, sizeof name, "blk.%d.%s.weight", k / HONE_N_LINEARS,
                             hone_linear_gguf_name((hone_linear)(k % HONE_N_LINEARS)));
            if ((size_t)n == to->name.length && memcmp(name, to->name.data, (size_t)n) == 0)
                lora = &adapter->loras[k];
        }
        assert_int_equal(to->name.length, from->name.length);
        assert_memory_equal(to->name.data, from->name.data, from->name.length);
        assert_int_equal(to->dtype, to->n_dims > 1 ? type : HONE_F32);
        const format *f = format_of(from->dtype), *g = format_of(to->dtype);
        for (int64_t row = 0; row < from->ne[1]; row++) {
            double top = 0, exact[128];
            for (int64_t c = 0; c < from->ne[0]; c++) {
                exact[c] = (double)decoded(
                    f, from->data + (size_t)(row * (from->ne[0] / f->block_weights * f->block_bytes)), c);
                for (int r = 0; lora && r < lora->rank; r++)
                    exact[c] +=
                        8.0 / 3 * (double)lora->b_t[r * lora->n_out + row] * (double)lora->a[r * lora->n_in + c];
                top = fmax(top, fabs(exact[c]));
            }
            for (int64_t c = 0; c < from->ne[0]; c++) {
                double got = decoded_exactly(
                           g, to->data + (size_t)(row * (to->ne[0] / g->block_weights * g->block_bytes)), c),
                       allowed = to->dtype == HONE_Q8_0 ? top / 127 * 0.6 : relative[to->dtype] * fabs(exact[c]);
                if (to->dtype == HONE_F16)
                    allowed += 0x1p-25; /* half a step below 2^-14, where f16 has no more digits */
                if (!(fabs(got - exact[c]) <= allowed + 0x1p-24 * fabs(exact[c]) + 1e-9))
                    fail_msg("%.*s [%lld][%lld]: %.9g, not %.9g", (int)to->name.length, to->name.data, (long long)row,
                             (long long)c, got, exact[c]);
            }
        }
    }
}

static hone_trace_difference against_base_and_adapter(const hone_gguf *file, const char *folder)
{
    hone_trace a, b;
    hone_trace_difference d;
    hone_error err;
    hone_trace_source source = {.file = file, .ids = ids, .n_ids = N_IDS, .n_threads = 1};
    assert_int_equal(hone_trace_run(&source, NULL, &a, &err), HONE_OK);
    source.file = &base, source.adapter = folder;
    if (hone_trace_run(&source, NULL, &b, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_trace_compare(&a, &b, ids, &d, &err), HONE_OK);
    hone_trace_clear(&a), hone_trace_clear(&b);
    return d;
}

static void test_merged_weights_are_base_plus_adapter_in_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        hone_dtype type;
        double logprob;
        int64_t file_type; /* llama.h, llama_ftype */
    } cases[] = {{"f32.gguf", HONE_F32, 2e-5, 0},
                 {"f16.gguf", HONE_F16, 0.03, 1},
                 {"bf16.gguf", HONE_BF16, 0.3, 32},
                 {"q8_0.gguf", HONE_Q8_0, 0.5, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_gguf file = merged(cases[i].name, adapter, cases[i].type);
        int64_t file_type;
        check_weights(&file, cases[i].type);
        hone_trace_difference d = against_base_and_adapter(&file, temporary_path("adapter"));
        print_message("%s: log-probabilities %.1e apart on average, %.1e at worst\n", cases[i].name, d.logprob_mean,
                      d.logprob_worst);
        assert_true(d.logprob_worst < cases[i].logprob);
        assert_true(hone_gguf_get_int(&file, "general.file_type", &file_type) && file_type == cases[i].file_type);
        hone_trace_difference_clear(&d);
        hone_gguf_close(&file);
    }
}

static void test_a_merged_file_says_all_that_its_base_says_and_what_it_was_made_of(void **state)
{
    (void)state;
    hone_gguf file = merged("values.gguf", adapter, HONE_F16);
    hone_gguf_string text;
    for (size_t i = 0; i < base.n_values; i++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)base.values[i].key.length, base.values[i].key.data);
        const hone_gguf_value *v = hone_gguf_find(&file, key);
        assert_non_null(v);
        assert_int_equal(v->size_bytes, base.values[i].size_bytes);
        assert_memory_equal(v->data, base.values[i].data, v->size_bytes);
    }
    assert_true(hone_gguf_get_string(&file, "hone.base_sha256", &text) && memcmp(text.data, "abc", 3) == 0);
    assert_true(hone_gguf_get_string(&file, "hone.merged_adapter_sha256", &text) && text.length == 64 &&
                memcmp(text.data, adapter->hash, 64) == 0);
    hone_gguf_close(&file);
}

static void test_dora_is_merged_with_the_lengths_it_learned(void **state)
{
    (void)state;
    hone_adapter_choice choice = {.rank = 3, .alpha = 8, .dora_base = model};
    hone_adapter *dora;
    hone_error err;
    if (hone_adapter_create_chosen(&model->config, &choice, &dora, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (int64_t i = 0; i < TINY_LAYERS * HONE_N_LINEARS; i++) {
        hone_lora *l = &dora->loras[i];
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            l->a[j] = (float)(0.1 * hone_rng_normal((hone_rng_key){3, HONE_RNG_TEST, (uint32_t)i}, (uint64_t)j));
        for (int64_t j = 0; j < l->rank * l->n_out; j++)
            l->b_t[j] = (float)(0.1 * hone_rng_normal((hone_rng_key){4, HONE_RNG_TEST, (uint32_t)i}, (uint64_t)j));
        for (int64_t row = 0; row < l->n_out; row++)
            l->magnitude[row] = 0.5f + 0.01f * (float)(row % 50);
    }
    assert_int_equal(hone_adapter_save(dora, temporary_path("dora"), "tiny", &err), HONE_OK);
    hone_gguf file = merged("dora.gguf", dora, HONE_F32);
    hone_trace_difference d = against_base_and_adapter(&file, temporary_path("dora"));
    print_message("DoRA: log-probabilities %.1e apart at worst\n", d.logprob_worst);
    assert_true(d.logprob_worst < 5e-5);
    hone_trace_difference_clear(&d);
    const hone_gguf_tensor *t = hone_gguf_find_tensor(&file, "blk.1.ffn_up.weight");
    double squares = 0; /* of row 7 */
    for (int64_t i = 0; i < t->ne[0]; i++) {
        double w = decoded_exactly(&formats[0], t->data + (size_t)(7 * t->ne[0] * 4), i);
        squares += w * w;
    }
    assert_true(fabs(sqrt(squares) - 0.57) < 1e-6);
    hone_gguf_close(&file);
    hone_adapter_free(dora);
}

static void test_an_adapter_of_another_base_is_refused(void **state)
{
    (void)state;
    hone_error err;
    hone_gguf other = base;
    other.n_tensors--; /* the last is a block's ffn_down */
    hone_merge m = {.file = &other, .adapter = adapter, .type = HONE_F32};
    assert_int_equal(hone_model_merge(&m, temporary_path("none.gguf"), NULL, &err), HONE_BAD_INPUT);
    assert_says(err, "1 of the adapter's 14 matrices are not there");
    assert_false(hone_file_exists(temporary_path("none.gguf")));
}

static int open_all(void **state)
{
    hone_error err;
    hone_adapter_choice choice = {.rank = 3, .alpha = 8};
    if (temporary_begin(state) != 0 || tiny_model_write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &base, &err) != HONE_OK ||
        hone_ops_create(1, &ops, &err) != HONE_OK || hone_model_open(ops, &base, &model, &err) != HONE_OK ||
        hone_adapter_create_chosen(&model->config, &choice, &adapter, &err) != HONE_OK)
        return -1;
    for (size_t i = 0; i < adapter->n_parameters; i++)
        adapter->parameters[i] = (float)(0.1 * hone_rng_normal((hone_rng_key){1, HONE_RNG_TEST, 1}, i));
    hone_adapter_hash(adapter);
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, 3}, (uint64_t)i, TINY_VOCAB);
    return hone_adapter_save(adapter, temporary_path("adapter"), "tiny", &err) == HONE_OK ? 0 : -1;
}

static int close_all(void **state)
{
    hone_adapter_free(adapter);
    hone_model_close(model);
    hone_ops_free(ops);
    hone_gguf_close(&base);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged_weights_are_base_plus_adapter_in_every_type),
        cmocka_unit_test(test_a_merged_file_says_all_that_its_base_says_and_what_it_was_made_of),
        cmocka_unit_test(test_dora_is_merged_with_the_lengths_it_learned),
        cmocka_unit_test(test_an_adapter_of_another_base_is_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
