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

enum { N_IDS = 75 }; /* at most */

typedef struct tiny {
    const char *name;
    hone_status (*write)(const char *path, hone_error *err);
    int n_ids, n_prompt;
} tiny;
static const tiny models[] = {{"llama", tiny_model_write, N_IDS, 40}, {"gemma3", tiny_gemma_write, 45, 30}};

static hone_gguf file;
static hone_ops *ops;
static hone_model *model;
static hone_adapter *adapter;
static int32_t ids[N_IDS];
static int n_ids, n_prompt;

static void run_trace(const char *folder, hone_trace *out)
{
    hone_error err;
    hone_trace_source source = {.file = &file, .adapter = folder, .ids = ids, .n_ids = n_ids, .n_threads = 2};
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
        double *x = exact_array(n_ids * TINY_EMBD), logprobs[N_IDS], worst = 0, worst_logprob = 0;
        exact_forward(&m, ids, n_ids, x);
        exact_logprobs(&m, x, n_ids - 1, ids + 1, logprobs);
        for (int i = 0; i < n_ids * TINY_EMBD; i++)
            worst = fmax(worst, fabs(t.hidden[model->config.n_layers * n_ids * TINY_EMBD + i] - x[i]));
        for (int i = 0; i < n_ids - 1; i++) {
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
    hone_adapter *adapter;
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    double *gradient;
    double *gains; /* DoRA's, one layer after another, held where they were; NULL: as the parameters have them */
} training;

static void begin(training *t, hone_adapter *a)
{
    const hone_tape_size size = {.max_rows = n_ids, .rank = a->rank, .dora = a->dora_base != NULL};
    const hone_model_config *c = &model->config;
    *t = (training){.adapter = a, .gradient = calloc(a->n_parameters, sizeof *t->gradient)};
    assert_int_equal(hone_train_batch_create(n_ids, 1, &t->batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(t->batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &t->pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(model, n_ids, a->rank, &t->ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create_as(model, &size, &t->tape, NULL), HONE_OK);
}

static void end(training *t)
{
    hone_train_batch_free(t->batch);
    hone_kv_pool_free(t->pool);
    hone_workspace_free(t->ws);
    hone_tape_free(t->tape);
    free(t->gradient), free(t->gains);
}

/* From the gains to `gains`, or back. */
static void copy_gains(hone_adapter *a, double *gains, bool back)
{
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; gains += a->loras[i++].n_out) {
        size_t bytes = (size_t)a->loras[i].n_out * sizeof *gains;
        memcpy(back ? a->loras[i].gain : gains, back ? gains : a->loras[i].gain, bytes);
    }
}

static double loss(training *t)
{
    hone_train_example example = {.ids = ids, .n_ids = n_ids, .n_prompt = n_prompt};
    size_t order = 0;
    memset(t->gradient, 0, t->adapter->n_parameters * sizeof *t->gradient);
    hone_adapter_refresh(ops, t->adapter);
    if (t->gains)
        copy_gains(t->adapter, t->gains, true);
    hone_train_batch_fill(t->batch, &example, &order, 1, 0.1, t->adapter);
    hone_model_forward(model, t->pool, &t->batch->rows, t->ws, t->tape);
    return hone_model_backward(model, t->pool, &t->batch->rows, t->ws, t->tape, t->batch->labels, t->batch->n_labels,
                               t->gradient);
}

/* How far the gradient of a parameter is from the slope of the loss there, relative to 1 + the slope. */
static double slope_error(training *t, const double *gradient, size_t at, int64_t lora, const char *part)
{
    const double h = 1e-5;
    double kept = t->adapter->parameters[at];
    t->adapter->parameters[at] = kept + h;
    double above = loss(t);
    t->adapter->parameters[at] = kept - h;
    double slope = (above - loss(t)) / (2 * h), error = fabs(gradient[at] - slope) / (1 + fabs(slope));
    t->adapter->parameters[at] = kept;
    if (!(error < 1e-7))
        fail_msg("block %lld, %s, %s: the gradient is %.12g, the slope %.12g", (long long)(lora / HONE_N_LINEARS),
                 hone_linear_name((hone_linear)(lora % HONE_N_LINEARS)), part, gradient[at], slope);
    return error;
}

/* Some elements of [at, at + n), from the first to the last. */
static double check_part(training *t, const double *gradient, size_t at, size_t n, size_t samples, int64_t lora,
                         const char *part)
{
    double worst = 0;
    for (size_t i = 0; i < samples; i++)
        worst = fmax(worst, slope_error(t, gradient, at + i * (n - 1) / (samples - 1), lora, part));
    return worst;
}

static double *gradient_of(training *t)
{
    double *gradient = calloc(t->adapter->n_parameters, sizeof *gradient);
    loss(t);
    memcpy(gradient, t->gradient, t->adapter->n_parameters * sizeof *gradient);
    return gradient;
}

/* A and B of every linear layer of every block. */
static void test_the_gradient_of_every_layer_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    enum { SAMPLES = 3 };
    training t;
    double worst = 0;
    begin(&t, adapter);
    double *gradient = gradient_of(&t);
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; i++) {
        const hone_lora *l = &adapter->loras[i];
        worst = fmax(worst, check_part(&t, gradient, l->a_at, (size_t)(l->rank * l->n_in), SAMPLES, i, "A"));
        worst = fmax(worst, check_part(&t, gradient, l->b_at, (size_t)(l->rank * l->n_out), SAMPLES, i, "B"));
    }
    print_message("slopes within %.1e\n", worst);
    end(&t);
    free(gradient);
}

/* DoRA: the lengths of the rows count as constants in the gradient of A and B (Liu et al. 2024, section 4.3), so their
 * slopes are taken with the gains held; those of the magnitudes are slopes of the loss itself. */
static void test_the_gradient_of_dora_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    enum { SAMPLES = 2 }; /* the rows' lengths are measured for each */
    hone_adapter *dora;
    hone_error err;
    hone_adapter_choice choice = {.rank = 3, .alpha = 5, .dora_base = model};
    if (hone_adapter_create_chosen(&model->config, &choice, &dora, &err) != HONE_OK)
        fail_msg("%s", err.message);
    size_t n_gains = 0;
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; i++) {
        hone_lora *l = &dora->loras[i];
        for (int64_t k = 0; k < l->rank * (l->n_in + l->n_out); k++) /* A, then B */
            dora->parameters[l->a_at + (size_t)k] =
                0.2 * hone_rng_normal((hone_rng_key){4, HONE_RNG_TEST, (uint32_t)i}, (uint64_t)k);
        for (int64_t o = 0; o < l->n_out; o++)
            l->magnitude[o] *= 0.8 + 0.1 * (double)(o % 5);
        n_gains += (size_t)l->n_out;
    }
    training t;
    double worst = 0;
    begin(&t, dora);
    double *gradient = gradient_of(&t), *gains = calloc(n_gains, sizeof *gains);
    copy_gains(dora, gains, false);
    for (int64_t i = 0; i < model->config.n_layers * HONE_N_LINEARS; i++) {
        const hone_lora *l = &dora->loras[i];
        t.gains = gains;
        worst = fmax(worst, check_part(&t, gradient, l->a_at, (size_t)(l->rank * l->n_in), SAMPLES, i, "A"));
        worst = fmax(worst, check_part(&t, gradient, l->b_at, (size_t)(l->rank * l->n_out), SAMPLES, i, "B"));
        t.gains = NULL;
        worst = fmax(worst, check_part(&t, gradient, l->magnitude_at, (size_t)l->n_out, SAMPLES, i, "m"));
    }
    print_message("DoRA: slopes within %.1e\n", worst);
    free(gains);
    end(&t);
    hone_adapter_free(dora);
    free(gradient);
}

static int open_model(void **state, const tiny *which)
{
    hone_error err;
    n_ids = which->n_ids;
    n_prompt = which->n_prompt;
    hone_adapter_choice choice = {.rank = 3, .alpha = 5};
    if (temporary_begin(state) != 0 || which->write(temporary_path("tiny.gguf"), &err) != HONE_OK ||
        hone_gguf_open(temporary_path("tiny.gguf"), &file, &err) != HONE_OK ||
        hone_ops_create(2, &ops, &err) != HONE_OK || hone_model_open(ops, &file, &model, &err) != HONE_OK ||
        hone_adapter_create_chosen(&model->config, &choice, &adapter, &err) != HONE_OK)
        return -1;
    for (size_t i = 0; i < adapter->n_parameters; i++)
        adapter->parameters[i] = 0.2 * hone_rng_normal((hone_rng_key){1, HONE_RNG_TEST, 1}, i);
    for (int i = 0; i < n_ids; i++)
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
        cmocka_unit_test(test_the_gradient_of_dora_is_the_slope_of_the_loss),
    };
    /* DoRA on Gemma takes a minute here; test_methods.c holds it to PEFT's gradients */
    const struct CMUnitTest gemma[] = {tests[0], tests[1]};
    int failed = cmocka_run_group_tests_name("llama", tests, open_llama, close_all);
    return failed + cmocka_run_group_tests_name("gemma3", gemma, open_gemma, close_all);
}
