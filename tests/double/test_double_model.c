/* test_double_model.c - the model in the double build: against exact_model.h, which is written for clarity, decodes
 * weights by another reader and shares no code with it; and its gradient against the slope of its own loss. */
#include "exact_model.h"
#include "model/adapter_targets.h"
#include "model/trace.h"
#include "tiny_gemma.h"
#include "train/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_IDS = 75, N_PROMPT = 40 };

typedef struct tiny {
    const char *name;
    hone_status (*write)(const char *path, hone_error *err);
} tiny;
static const tiny models[] = {{"llama", tiny_model_write}, {"gemma3", tiny_gemma_write}};

static hone_gguf file;
static hone_ops *ops;
static hone_model *model;
static hone_adapter *adapter;
static int32_t ids[N_IDS];

static void run_trace(const char *folder, hone_trace *out)
{
    hone_error err;
    hone_trace_source source = {.file = &file, .adapter = folder, .ids = ids, .n_ids = N_IDS, .n_threads = 2};
    if (hone_trace_run_double(&source, NULL, out, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

static void test_hidden_states_and_log_probabilities_are_those_of_the_independent_model(void **state)
{
    (void)state;
    assert_int_equal(hone_adapter_save(adapter, temporary_path("adapter"), "tiny", NULL), HONE_OK);
    for (int adapted = 0; adapted < 2; adapted++) {
        hone_trace t;
        hone_adapter *saved = NULL; /* as the file has it: rounded to float */
        run_trace(adapted ? temporary_path("adapter") : NULL, &t);
        if (adapted)
            assert_int_equal(hone_adapter_load(model, temporary_path("adapter"), &saved, NULL), HONE_OK);
        exact_model m = {&file, &model->config, saved, saved ? saved->parameters : NULL};
        double *x = exact_array(N_IDS * TINY_EMBD), logprobs[N_IDS], worst = 0, worst_logprob = 0;
        exact_forward(&m, ids, N_IDS, x);
        exact_logprobs(&m, x, N_IDS - 1, ids + 1, logprobs);
        for (int i = 0; i < N_IDS * TINY_EMBD; i++)
            worst = fmax(worst, fabs(t.hidden[model->config.n_layers * N_IDS * TINY_EMBD + i] - x[i]));
        for (int i = 0; i < N_IDS - 1; i++) {
            double lse, logprob;
            hone_op_log_softmax_stats(ops, 1, TINY_VOCAB, t.logits + i * TINY_VOCAB, ids + i + 1, &lse, &logprob);
            worst_logprob = fmax(worst_logprob, fabs(logprob - logprobs[i]));
        }
        print_message("%s: hidden states within %.1e, log-probabilities within %.1e\n", adapted ? "adapter" : "base",
                      worst, worst_logprob);
        assert_true(worst < 1e-10);
        assert_true(worst_logprob < 1e-10);
        free(x);
        hone_adapter_free(saved);
        hone_trace_clear(&t);
    }
}

typedef struct training {
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    double *gradient;
} training;

static double loss(training *t)
{
    hone_train_example example = {.ids = ids, .n_ids = N_IDS, .n_prompt = N_PROMPT};
    size_t order = 0;
    memset(t->gradient, 0, adapter->n_parameters * sizeof *t->gradient);
    hone_adapter_refresh(ops, adapter);
    hone_train_batch_fill(t->batch, &example, &order, 1, 0.1, adapter);
    hone_model_forward(model, t->pool, &t->batch->rows, t->ws, t->tape);
    return hone_model_backward(model, t->pool, &t->batch->rows, t->ws, t->tape, t->batch->labels, t->batch->n_labels,
                               t->gradient);
}

/* A and B of every linear layer of every block, three elements each. */
static void test_the_gradient_of_every_layer_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    enum { SAMPLES = 3 };
    training t;
    const hone_model_config *c = &model->config;
    const double h = 1e-5;
    double worst = 0;
    assert_int_equal(hone_train_batch_create(N_IDS, 1, &t.batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(t.batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &t.pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(model, N_IDS, adapter->rank, &t.ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create(model, N_IDS, adapter->rank, &t.tape, NULL), HONE_OK);
    t.gradient = calloc(adapter->n_parameters, sizeof *t.gradient);
    double *gradient = calloc(adapter->n_parameters, sizeof *gradient);
    loss(&t);
    memcpy(gradient, t.gradient, adapter->n_parameters * sizeof *gradient);
    for (int64_t i = 0; i < c->n_layers * HONE_N_LINEARS * 2 * SAMPLES; i++) {
        const hone_lora *l = &adapter->loras[i / (2 * SAMPLES)];
        size_t n = (size_t)(l->rank * (i / SAMPLES % 2 ? l->n_out : l->n_in)),
               at = (i / SAMPLES % 2 ? l->b_at : l->a_at) + (size_t)(i % SAMPLES) * (n - 1) / (SAMPLES - 1);
        double kept = adapter->parameters[at];
        adapter->parameters[at] = kept + h;
        double above = loss(&t);
        adapter->parameters[at] = kept - h;
        double slope = (above - loss(&t)) / (2 * h), error = fabs(gradient[at] - slope) / (1 + fabs(slope));
        adapter->parameters[at] = kept;
        if (!(error < 1e-7))
            fail_msg("block %lld, %s, %s: the gradient is %.12g, the slope %.12g",
                     (long long)(i / (2 * SAMPLES) / HONE_N_LINEARS),
                     hone_linear_name((hone_linear)(i / (2 * SAMPLES) % HONE_N_LINEARS)), i / SAMPLES % 2 ? "B" : "A",
                     gradient[at], slope);
        worst = fmax(worst, error);
    }
    print_message("slopes within %.1e\n", worst);
    hone_train_batch_free(t.batch);
    hone_kv_pool_free(t.pool);
    hone_workspace_free(t.ws);
    hone_tape_free(t.tape);
    free(t.gradient), free(gradient);
}

static int open_model(void **state, const tiny *which)
{
    hone_error err;
    hone_adapter_choice choice = {.rank = 3, .alpha = 5};
    if (temporary_begin(state) != 0 || which->write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &file, &err) != HONE_OK ||
        hone_ops_create(2, &ops, &err) != HONE_OK || hone_model_open(ops, &file, &model, &err) != HONE_OK ||
        hone_adapter_create_chosen(&model->config, &choice, &adapter, &err) != HONE_OK)
        return -1;
    for (size_t i = 0; i < adapter->n_parameters; i++)
        adapter->parameters[i] = 0.2 * hone_rng_normal((hone_rng_key){1, HONE_RNG_TEST, 1}, i);
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)hone_rng_below((hone_rng_key){2, HONE_RNG_TEST, 3}, (uint64_t)i, TINY_VOCAB);
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
    return open_model(state, &models[0]);
}

static int open_gemma(void **state)
{
    return open_model(state, &models[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hidden_states_and_log_probabilities_are_those_of_the_independent_model),
        cmocka_unit_test(test_the_gradient_of_every_layer_is_the_slope_of_the_loss),
    };
    int failed = cmocka_run_group_tests_name("llama", tests, open_llama, close_all);
    return failed + cmocka_run_group_tests_name("gemma3", tests, open_gemma, close_all);
}
