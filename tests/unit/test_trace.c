/* test_trace.c - claims about the double check: single precision is near the double reference, and what is broken (a
 * weight, an adapter, a number that is none) is found and named. */
#include "model/adapter_targets.h"
#include "model/trace.h"
#include "model/verify.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_IDS = 50 };

static hone_trace_tolerance f32;

static hone_gguf file;
static int32_t ids[N_IDS];
static hone_trace reference;
static hone_numerics numerics;
static hone_trace_tolerance f32;

typedef hone_status (*runner)(const hone_trace_source *, hone_progress *, hone_trace *, hone_error *);

static hone_trace traced(runner run, const hone_gguf *from, const char *adapter)
{
    hone_trace trace;
    hone_error err;
    hone_trace_source source = {
        .file = from, .adapter = adapter, .ids = ids, .n_ids = N_IDS, .n_threads = 2, .numerics = numerics};
    if (run(&source, NULL, &trace, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return trace;
}

static hone_trace_difference compared(const hone_trace *got, const hone_trace *with)
{
    hone_trace_difference d;
    assert_int_equal(hone_trace_compare(got, with, ids, &d, NULL), HONE_OK);
    return d;
}

static void test_single_precision_is_within_the_tolerance(void **state)
{
    (void)state;
    hone_trace got = traced(hone_trace_run, &file, NULL);
    hone_trace_difference d = compared(&got, &reference);
    print_message("relative L2 after the last block %.1e, log-probabilities %.1e on average, %.1e at worst\n",
                  d.hidden[TINY_LAYERS].relative, d.logprob_mean, d.logprob_worst);
    assert_true(hone_trace_within_tolerance(&d, &f32));
    assert_int_equal(hone_trace_first_bad_layer(&d, &f32), -1);
    assert_int_equal(d.n_logprobs, N_IDS - 1);
    assert_true(d.hidden[TINY_LAYERS].relative > 0); /* two precisions, not one twice */
    assert_true(d.hidden[TINY_LAYERS].relative < 1e-5);
    hone_trace_difference_clear(&d);
    hone_trace_clear(&got);
}

/* The reference in double precision is the same whatever the class asked for. */
static void test_bf16_is_within_its_own_tolerance_and_beyond_that_of_f32(void **state)
{
    (void)state;
    const hone_trace_tolerance bf16 = hone_trace_tolerance_of(HONE_NUMERICS_BF16);
    numerics = HONE_NUMERICS_BF16;
    hone_trace got = traced(hone_trace_run, &file, NULL), exact = traced(hone_trace_run_double, &file, NULL);
    numerics = HONE_NUMERICS_F32;
    hone_trace_difference d = compared(&got, &reference), none = compared(&exact, &reference);
    print_message("bf16: relative L2 after the last block %.1e, log-probabilities %.1e on average, %.1e at worst\n",
                  d.hidden[TINY_LAYERS].relative, d.logprob_mean, d.logprob_worst);
    assert_true(hone_trace_within_tolerance(&d, &bf16));
    assert_false(hone_trace_within_tolerance(&d, &f32));
    assert_true(none.hidden[TINY_LAYERS].relative == 0 && none.logprob_worst == 0);
    hone_trace_difference_clear(&d), hone_trace_difference_clear(&none);
    hone_trace_clear(&got), hone_trace_clear(&exact);
}

/* The model's file with one byte of a tensor changed; the path. */
static const char *damaged(const char *tensor, size_t at, unsigned char value)
{
    hone_buffer bytes = {0};
    hone_error err;
    assert_int_equal(hone_file_read(temporary_path("tiny.gguf"), 0, &bytes, &err), HONE_OK);
    const hone_gguf_tensor *t = hone_gguf_find_tensor(&file, tensor);
    bytes.data[(size_t)(t->data - file.map.data) + at] = (char)value;
    const char *path = temporary_bytes("damaged.gguf", bytes.data, bytes.length);
    hone_buffer_clear(&bytes);
    return path;
}

static void test_a_damaged_weight_is_found_in_its_block(void **state)
{
    (void)state;
    for (int block = 0; block < TINY_LAYERS; block++) {
        char name[64];
        hone_gguf broken;
        hone_error err;
        snprintf(name, sizeof name, "blk.%d.ffn_norm.weight", block); /* float32: byte 3 holds the exponent */
        if (hone_gguf_open(damaged(name, 3, 0x41), &broken, &err) != HONE_OK)
            fail_msg("%s", err.message);
        hone_trace got = traced(hone_trace_run, &broken, NULL);
        hone_trace_difference d = compared(&got, &reference);
        assert_false(hone_trace_within_tolerance(&d, &f32));
        assert_int_equal(hone_trace_first_bad_layer(&d, &f32), block + 1);
        hone_trace_difference_clear(&d);
        hone_trace_clear(&got);
        hone_gguf_close(&broken);
    }
}

/* An adapter that one side has and the other lacks is a difference; on both sides it is none. */
static void test_an_adapter_goes_through_both_precisions(void **state)
{
    (void)state;
    hone_ops *ops;
    hone_model *model;
    hone_adapter *adapter;
    hone_adapter_choice choice = {.rank = 4, .alpha = 8, .targets = "mlp"};
    hone_error err;
    assert_int_equal(hone_ops_create(1, &ops, &err), HONE_OK);
    assert_int_equal(hone_model_open(ops, &file, &model, &err), HONE_OK);
    assert_int_equal(hone_adapter_create_chosen(&model->config, &choice, &adapter, &err), HONE_OK);
    for (size_t i = 0; i < adapter->n_parameters; i++)
        adapter->parameters[i] = (float)(0.2 * hone_rng_normal((hone_rng_key){1, HONE_RNG_TEST, 1}, i));
    assert_int_equal(hone_adapter_save(adapter, temporary_path("adapter"), "tiny", &err), HONE_OK);
    hone_trace single = traced(hone_trace_run, &file, temporary_path("adapter")),
               both = traced(hone_trace_run_double, &file, temporary_path("adapter"));
    hone_trace_difference same = compared(&single, &both), other = compared(&single, &reference);
    assert_true(hone_trace_within_tolerance(&same, &f32));
    assert_false(hone_trace_within_tolerance(&other, &f32));
    assert_int_equal(hone_trace_first_bad_layer(&other, &f32), 1);
    hone_trace_difference_clear(&same), hone_trace_difference_clear(&other);
    hone_trace_clear(&single), hone_trace_clear(&both);
    hone_adapter_free(adapter);
    hone_model_close(model);
    hone_ops_free(ops);
}

static void test_what_is_no_number_is_beyond_the_tolerance(void **state)
{
    (void)state;
    hone_trace got = traced(hone_trace_run, &file, NULL);
    got.hidden[(size_t)(N_IDS * TINY_EMBD) + 5] = NAN; /* after the first block */
    hone_trace_difference d = compared(&got, &reference);
    assert_int_equal(hone_trace_first_bad_layer(&d, &f32), 1);
    assert_false(hone_trace_within_tolerance(&d, &f32));
    hone_trace_difference_clear(&d);
    got.hidden[(size_t)(N_IDS * TINY_EMBD) + 5] = reference.hidden[(size_t)(N_IDS * TINY_EMBD) + 5];
    got.logits[(N_IDS - 1) * TINY_VOCAB] = NAN; /* where no token of the text is predicted */
    d = compared(&got, &reference);
    assert_int_equal(hone_trace_first_bad_layer(&d, &f32), -1);
    assert_false(hone_trace_within_tolerance(&d, &f32));
    hone_trace_difference_clear(&d);
    hone_trace_clear(&got);
}

/* By hand: differences (3, 4) of a reference (6, 8): 4 at worst, 5 / 10. Logits (0, 0) and (0, ln 3): log-probabilities
 * ln 1/2 and ln 1/4 of token 0, ln 2 apart. */
static void test_distances_are_those_of_the_definition(void **state)
{
    (void)state;
    double h1[] = {9, 4, 1, 1}, h2[] = {6, 8, 1, 1}, l1[] = {0, 0, 0, 0}, l2[] = {0, log(3), 0, 0};
    const int32_t text[] = {1, 0};
    hone_trace a = {2, 0, 2, 2, h1, l1}, b = {2, 0, 2, 2, h2, l2};
    hone_trace_difference d;
    assert_int_equal(hone_trace_compare(&a, &b, text, &d, NULL), HONE_OK);
    assert_true(d.hidden[0].worst == 4);
    assert_true(fabs(d.hidden[0].relative - 5 / sqrt(102)) < 1e-15);
    assert_true(fabs(d.logprob_worst - log(2)) < 1e-15 && d.logprob_mean == d.logprob_worst);
    assert_int_equal(d.n_best, 1); /* equal logits: the lower token; then ln 3 makes it the higher */
    hone_trace_difference_clear(&d);
    hone_error err;
    b.n_vocab = 3;
    assert_int_equal(hone_trace_compare(&a, &b, text, &d, &err), HONE_BAD_INPUT);
}

static void test_texts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static int32_t many[TINY_CONTEXT + 1];
    const int32_t wrong[] = {1, TINY_VOCAB};
    hone_trace trace;
    hone_error err;
    hone_trace_source source = {.file = &file, .ids = many, .n_ids = TINY_CONTEXT + 1, .n_threads = 1};
    assert_int_equal(hone_trace_run(&source, NULL, &trace, &err), HONE_BAD_INPUT);
    assert_says(err, "a text of 257 tokens; this model takes 1 to 256");
    source.ids = wrong, source.n_ids = 2;
    assert_int_equal(hone_trace_run_double(&source, NULL, &trace, &err), HONE_BAD_INPUT);
    assert_says(err, "token 260; this model has 0 to 259");
}

static void test_weights_that_are_no_numbers_are_found(void **state)
{
    (void)state;
    hone_weight_check check;
    hone_gguf broken;
    hone_error err;
    assert_int_equal(hone_model_check_weights(&file, NULL, &check, &err), HONE_OK);
    assert_int_equal(check.n_bad_tensors, 0);
    assert_int_equal(check.n_tensors, file.n_tensors);
    int64_t n = 0;
    for (size_t i = 0; i < file.n_tensors; i++)
        n += file.tensors[i].ne[0] * file.tensors[i].ne[1];
    assert_int_equal(check.n_weights, n);
    /* Q8_0, as the embedding is: the high byte of the second block's f16 scale becomes that of a NaN. */
    if (hone_gguf_open(damaged("token_embd.weight", 34 + 1, 0x7F), &broken, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_model_check_weights(&broken, NULL, &check, &err), HONE_OK);
    assert_int_equal(check.n_bad_tensors, 1);
    assert_string_equal(check.first_bad, "token_embd.weight");
    assert_int_equal(check.first_bad_weight, 32);
    hone_gguf_close(&broken);
}

static int open_all(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0 || tiny_model_write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &file, &err) != HONE_OK)
        return -1;
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, 3}, (uint64_t)i, TINY_VOCAB);
    f32 = hone_trace_tolerance_of(HONE_NUMERICS_F32);
    hone_trace_source source = {.file = &file, .ids = ids, .n_ids = N_IDS, .n_threads = 1};
    return hone_trace_run_double(&source, NULL, &reference, &err) == HONE_OK ? 0 : -1;
}

static int close_all(void **state)
{
    hone_trace_clear(&reference);
    hone_gguf_close(&file);
    return temporary_end(state);
}

int main(void)
{
    f32 = hone_trace_tolerance_of(HONE_NUMERICS_F32);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_precision_is_within_the_tolerance),
        cmocka_unit_test(test_bf16_is_within_its_own_tolerance_and_beyond_that_of_f32),
        cmocka_unit_test(test_a_damaged_weight_is_found_in_its_block),
        cmocka_unit_test(test_an_adapter_goes_through_both_precisions),
        cmocka_unit_test(test_what_is_no_number_is_beyond_the_tolerance),
        cmocka_unit_test(test_distances_are_those_of_the_definition),
        cmocka_unit_test(test_texts_that_do_not_fit_are_refused),
        cmocka_unit_test(test_weights_that_are_no_numbers_are_found),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
