/* test_training_gradients.c - ways of computing one gradient that must agree: a shared beginning computed once or in
 * every example, and a batch at once or in parts. Built twice: in single precision, and as
 * test_training_gradients_double with the double reference, where only the order of additions is left as a difference.
 */
#include "model/adapter_targets.h"
#include "tiny_gemma.h"
#include "train/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

/* The project's promise for each precision: 1e-5 and 1e-10 relative L2. */
static const double TOLERANCE = sizeof(hone_real) == sizeof(double) ? 1e-10 : 1e-5;

enum { N_EXAMPLES = 16, PREFIX = 37, MOST_OWN = 12, MAX_ROWS = N_EXAMPLES * (PREFIX + MOST_OWN) };

static hone_gguf file;
static hone_ops *ops;
static hone_model *model;
static hone_adapter *adapter;
static int32_t ids[N_EXAMPLES][PREFIX + MOST_OWN];
static hone_train_example examples[N_EXAMPLES];

static int64_t logit_rows = HONE_LOGIT_ROWS; /* of the computations that follow */

typedef struct result {
    hone_real *gradient;
    double loss;
    int64_t n_rows; /* computed, in all */
} result;

/* All examples in order, at most `at_a_time` in a step, the gradients added up. */
static result compute(int64_t at_a_time, bool share)
{
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    size_t order[N_EXAMPLES];
    result r = {calloc(adapter->n_parameters, sizeof(hone_real)), 0, 0};
    const hone_model_config *c = &model->config;
    for (size_t i = 0; i < N_EXAMPLES; i++)
        order[i] = i;
    assert_int_equal(hone_train_batch_create(MAX_ROWS, at_a_time, &batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create_as(model, MAX_ROWS, adapter->rank, logit_rows, &ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create(model, MAX_ROWS, adapter->rank, &tape, NULL), HONE_OK);
    batch->share_prefix = share;
    for (int64_t done = 0; done < N_EXAMPLES;) {
        int64_t n = hone_train_batch_fill(batch, examples, order + done, N_EXAMPLES - done,
                                          (hone_real)(1.0 / N_EXAMPLES), adapter);
        assert_true(n <= at_a_time);
        hone_model_forward(model, pool, &batch->rows, ws, tape);
        r.loss += hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, r.gradient);
        r.n_rows += batch->rows.n_rows;
        done += n;
    }
    hone_train_batch_free(batch);
    hone_kv_pool_free(pool);
    hone_workspace_free(ws);
    hone_tape_free(tape);
    return r;
}

static double apart(const result *a, const result *b)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < adapter->n_parameters; i++) {
        double d = (double)a->gradient[i] - (double)b->gradient[i];
        difference += d * d;
        size += (double)b->gradient[i] * (double)b->gradient[i];
    }
    assert_true(size > 0);
    return sqrt(difference / size);
}

static void test_a_shared_prefix_gives_the_gradient_of_the_plain_path(void **state)
{
    (void)state;
    result shared = compute(N_EXAMPLES, true), plain = compute(N_EXAMPLES, false);
    double relative = apart(&shared, &plain);
    print_message("%lld rows instead of %lld; gradients apart by %.1e of their norm (at most %.0e)\n",
                  (long long)shared.n_rows, (long long)plain.n_rows, relative, TOLERANCE);
    assert_int_equal(plain.n_rows - shared.n_rows, (N_EXAMPLES - 1) * PREFIX);
    assert_true(relative <= TOLERANCE);
    assert_true(fabs(shared.loss - plain.loss) <= TOLERANCE * fabs(plain.loss));
    free(shared.gradient), free(plain.gradient);
}

static void test_accumulating_4_times_4_equals_16_at_once(void **state)
{
    (void)state;
    for (int share = 0; share < 2; share++) {
        result parts = compute(4, share), whole = compute(N_EXAMPLES, share);
        double relative = apart(&parts, &whole);
        print_message("4 x 4 against 16%s: gradients apart by %.1e of their norm (at most %.0e)\n",
                      share ? ", shared prefix" : "", relative, TOLERANCE);
        assert_true(relative <= TOLERANCE);
        assert_true(fabs(parts.loss - whole.loss) <= TOLERANCE * fabs(whole.loss));
        free(parts.gradient), free(whole.gradient);
    }
}

/* How many rows meet the output matrix at once is a matter of memory and time alone. */
static void test_the_rows_of_logits_at_once_change_no_bit(void **state)
{
    (void)state;
    result few = compute(N_EXAMPLES, true);
    logit_rows = HONE_MOST_LOGIT_ROWS;
    result many = compute(N_EXAMPLES, true);
    logit_rows = HONE_LOGIT_ROWS;
    assert_memory_equal(few.gradient, many.gradient, adapter->n_parameters * sizeof *few.gradient);
    assert_true(few.loss == many.loss);
    free(few.gradient), free(many.gradient);
    size_t n_labels = 0;
    for (int e = 0; e < N_EXAMPLES; e++)
        n_labels += examples[e].n_ids - examples[e].n_prompt;
    assert_true(n_labels > HONE_LOGIT_ROWS); /* so that there was a difference */
}

static int open_model(void **state, hone_status (*write)(const char *path, hone_error *err))
{
    hone_error err;
    hone_adapter_choice choice = {.rank = 4, .alpha = 8};
    if (temporary_begin(state) != 0 || write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &file, &err) != HONE_OK ||
        hone_ops_create(2, &ops, &err) != HONE_OK || hone_model_open(ops, &file, &model, &err) != HONE_OK ||
        hone_adapter_create_chosen(&model->config, &choice, &adapter, &err) != HONE_OK)
        return -1;
    for (size_t i = 0; i < adapter->n_parameters; i++)
        adapter->parameters[i] = (hone_real)(0.2 * hone_rng_normal((hone_rng_key){1, HONE_RNG_TEST, 1}, i));
    hone_adapter_refresh(ops, adapter);
    for (uint32_t e = 0; e < N_EXAMPLES; e++) {
        size_t own = 3 + e % (MOST_OWN - 3);
        for (size_t i = 0; i < PREFIX + own; i++) /* the first own token differs, so exactly PREFIX are shared */
            ids[e][i] = i == PREFIX ? (int32_t)(e + 1)
                                    : (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, i < PREFIX ? 99 : e}, i,
                                                              TINY_VOCAB);
        examples[e] = (hone_train_example){.ids = ids[e], .n_ids = PREFIX + own, .n_prompt = PREFIX + 1};
    }
    return 0;
}

static int close_all(void **state)
{
    hone_adapter_free(adapter);
    hone_model_close(model);
    hone_ops_free(ops);
    hone_gguf_close(&file);
    return temporary_end(state);
}

static int open_llama(void **state)
{
    return open_model(state, tiny_model_write);
}

static int open_gemma(void **state)
{
    return open_model(state, tiny_gemma_write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shared_prefix_gives_the_gradient_of_the_plain_path),
        cmocka_unit_test(test_accumulating_4_times_4_equals_16_at_once),
        cmocka_unit_test(test_the_rows_of_logits_at_once_change_no_bit),
    };
    int failed = cmocka_run_group_tests_name("llama", tests, open_llama, close_all);
    return failed + cmocka_run_group_tests_name("gemma3", tests, open_gemma, close_all);
}
