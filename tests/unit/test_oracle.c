/* test_oracle.c - the real model against what transformers and PEFT computed (tests/data/oracle_*.json say which
 * versions), and against the same model in double precision (exact_model.h).
 *
 * The limits are those of shared/oracle/README.md: log-probabilities within 2e-4 at worst and 2e-5 on average. For
 * scale: llama.cpp with weights in float32 is within 2.8e-5 and 3.5e-6 of the same values. */
#include "exact_model.h"
#include "format/safetensors.h"
#include "model/forward.h"
#include "numbers.h"
#include "real_model.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX_ROWS = 128, N_PAGES = 64 };
/* Limits of the class bf16 in nats, two to three times what was measured: 0.34 at worst and 0.019 on average of the
 * log-probabilities; losses before and after each of five steps within 0.0044. */
#define BF16_WORST 0.8
#define BF16_MEAN 0.04
#define BF16_LOSS 0.012

static hone_ops *ops;
static hone_gguf file;
static hone_model *model;
static hone_kv_pool *pool;
static hone_workspace *ws;
static json_t *oracle, *lora_step;

typedef struct sequence {
    int32_t ids[MAX_ROWS];
    int n;
} sequence;

static sequence read_ids(const json_t *array)
{
    sequence s = {.n = (int)json_array_size(array)};
    for (int i = 0; i < s.n; i++)
        s.ids[i] = (int32_t)json_integer_value(json_array_get(array, (size_t)i));
    return s;
}

/* Runs positions [from, n) of a sequence; its pages are 0, 1, 2... */
static void run_sequence(const sequence *s, int from)
{
    int32_t pages[MAX_ROWS / HONE_PAGE_TOKENS], positions[MAX_ROWS];
    hone_kv_write writes[MAX_ROWS];
    for (int i = 0; i < MAX_ROWS / HONE_PAGE_TOKENS; i++)
        pages[i] = i;
    for (int i = from; i < s->n; i++) {
        positions[i - from] = i;
        writes[i - from] = (hone_kv_write){i - from, i / HONE_PAGE_TOKENS, i % HONE_PAGE_TOKENS};
    }
    hone_span span = {.n_rows = s->n - from, .first_position = from, .pages = pages};
    hone_batch batch = {s->n - from, s->ids + from, positions, &span, 1, writes, s->n - from, NULL, 0};
    hone_model_forward(model, pool, &batch, ws, NULL);
}

static double logprob_after(int32_t row, int32_t target)
{
    double lse, logprob;
    hone_op_log_softmax_stats(ops, 1, model->config.n_vocab, hone_model_logits(model, ws, &row, 1), &target, &lse,
                              &logprob);
    return logprob;
}

static void test_log_probabilities_agree_with_transformers(void **state)
{
    (void)state;
    double worst = 0, sum = 0, drift = 0;
    int n = 0;
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(oracle, "sequences"), index, entry)
    {
        sequence s = read_ids(json_object_get(entry, "ids"));
        run_sequence(&s, 0);
        for (int i = 0; i + 1 < s.n; i++, n++) {
            double difference =
                logprob_after(i, s.ids[i + 1]) -
                json_number_value(json_array_get(json_object_get(entry, "token_logprobs"), (size_t)i + 1));
            worst = fmax(worst, fabs(difference));
            sum += fabs(difference);
            drift += difference;
        }
    }
    print_message("%d log-probabilities: off by %.1e on average, %.1e at worst; mean signed difference %+.1e\n", n,
                  sum / n, worst, drift / n);
    assert_true(n > 90 && worst <= 2e-4 && sum / n <= 2e-5);
}

static void test_best_next_tokens_agree_with_transformers(void **state)
{
    (void)state;
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(oracle, "sequences"), index, entry)
    {
        sequence s = read_ids(json_object_get(entry, "ids"));
        json_t *top = json_object_get(entry, "next_top10");
        run_sequence(&s, 0);
        int32_t last = s.n - 1, best;
        const float *logits = hone_model_logits(model, ws, &last, 1);
        double squares = 0, norm = json_number_value(json_object_get(entry, "logit_norm_last"));
        for (int64_t i = 0; i < model->config.n_vocab; i++)
            squares += (double)logits[i] * (double)logits[i];
        assert_true(fabs(sqrt(squares) - norm) < 2e-5 * norm);
        hone_op_argmax(ops, 1, model->config.n_vocab, logits, &best);
        assert_int_equal(best, json_integer_value(json_array_get(json_array_get(top, 0), 0)));
        for (size_t i = 0; i < json_array_size(top); i++) {
            json_t *pair = json_array_get(top, i);
            assert_true(fabs(logprob_after(last, (int32_t)json_integer_value(json_array_get(pair, 0))) -
                             json_number_value(json_array_get(pair, 1))) < 2e-4);
        }
    }
}

static void test_greedy_continuations_agree_with_transformers(void **state)
{
    (void)state;
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(oracle, "sequences"), index, entry)
    {
        sequence s = read_ids(json_object_get(entry, "ids")), expected = read_ids(json_object_get(entry, "greedy_24"));
        int from = 0;
        for (int i = 0; i < expected.n; i++) {
            run_sequence(&s, from);
            int32_t last = s.n - 1 - from, next;
            hone_op_argmax(ops, 1, model->config.n_vocab, hone_model_logits(model, ws, &last, 1), &next);
            if (next != expected.ids[i])
                fail_msg("sequence %zu: token %d is %d, transformers says %d", index, i, next, expected.ids[i]);
            from = s.n;
            s.ids[s.n++] = next;
        }
    }
}

/* ---- PEFT ---- */
typedef struct lora_run {
    hone_adapter *adapter;
    hone_workspace *ws;
    hone_tape *tape;
    sequence sequences[3];
    int32_t tokens[MAX_ROWS], positions[MAX_ROWS], pages[3][8];
    hone_span spans[3];
    hone_kv_write writes[MAX_ROWS];
    hone_label labels[MAX_ROWS];
    int64_t n, n_labels;
    float *gradient, *m, *v;
} lora_run;

static bool have_shared_files(void)
{
    if (access(HONE_SHARED_DIR "/oracle/lora_step/grads.safetensors", R_OK) == 0)
        return true;
    print_message("skipped: %s is absent\n", HONE_SHARED_DIR "/oracle/lora_step");
    return false;
}

static void begin_lora(lora_run *r)
{
    hone_error err;
    memset(r, 0, sizeof *r);
    if (hone_adapter_load(model, HONE_SHARED_DIR "/oracle/lora_step/adapter_init", &r->adapter, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(r->adapter->rank, 2);
    assert_int_equal(hone_workspace_create(model, MAX_ROWS, 2, &r->ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create(model, MAX_ROWS, 2, &r->tape, NULL), HONE_OK);
    int32_t page = 0;
    for (size_t s = 0; s < 3; s++) {
        json_t *entry = json_array_get(json_object_get(lora_step, "batch"), s),
               *labels = json_object_get(entry, "labels");
        r->sequences[s] = read_ids(json_object_get(entry, "ids"));
        int n = r->sequences[s].n - 1; /* nothing follows the last token */
        r->spans[s] = (hone_span){.first_row = r->n, .n_rows = n, .pages = r->pages[s]};
        for (int i = 0; i < n; i++, r->n++) {
            int64_t target = json_integer_value(json_array_get(labels, (size_t)i + 1));
            if (i % HONE_PAGE_TOKENS == 0)
                r->pages[s][i / HONE_PAGE_TOKENS] = page++;
            r->tokens[r->n] = r->sequences[s].ids[i];
            r->positions[r->n] = i;
            r->writes[r->n] = (hone_kv_write){(int32_t)r->n, r->pages[s][i / HONE_PAGE_TOKENS], i % HONE_PAGE_TOKENS};
            if (target >= 0)
                r->labels[r->n_labels++] = (hone_label){(int32_t)r->n, (int32_t)target, 0};
        }
    }
    assert_int_equal(r->n_labels, 28);
    for (int64_t i = 0; i < r->n_labels; i++)
        r->labels[i].weight = 1.0f / (float)r->n_labels;
    r->gradient = new_floats((int64_t)r->adapter->n_parameters);
    r->m = new_floats((int64_t)r->adapter->n_parameters);
    r->v = new_floats((int64_t)r->adapter->n_parameters);
}

static void end_lora(lora_run *r)
{
    hone_adapter_free(r->adapter);
    hone_workspace_free(r->ws);
    hone_tape_free(r->tape);
    free(r->gradient), free(r->m), free(r->v);
}

static double lora_gradient(lora_run *r)
{
    hone_adapter_rows all = {r->adapter, 0, r->n};
    hone_batch batch = {r->n, r->tokens, r->positions, r->spans, 3, r->writes, r->n, &all, 1};
    hone_adapter_refresh(ops, r->adapter);
    memset(r->gradient, 0, r->adapter->n_parameters * sizeof *r->gradient);
    hone_model_forward(model, pool, &batch, r->ws, r->tape);
    return hone_model_backward(model, pool, &batch, r->ws, r->tape, r->labels, r->n_labels, r->gradient);
}

/* PEFT keeps lora_B [n_out, r] in Hugging Face's row order: rows of q and k of a head are (half, i), the model's are
 * (i, half). The permutation is written out here once more, from llama.cpp's converter: reshape(heads, 2,
 * dim/2).swapaxes(1, 2). */
static int64_t hugging_face_row(hone_linear which, int64_t row)
{
    int64_t dim = model->config.head_dim;
    if (which != HONE_ATTN_Q && which != HONE_ATTN_K)
        return row;
    return row / dim * dim + row % 2 * (dim / 2) + row % dim / 2;
}

/* Compares one matrix of ours (A [r, n_in] or B transposed [r, n_out]) with PEFT's tensor. */
static double matrix_apart(const hone_safetensors *tensors, const hone_adapter *a, int64_t layer, hone_linear which,
                           bool b, const float *ours)
{
    const hone_lora *l = hone_adapter_at(a, layer, which);
    char name[160];
    snprintf(name, sizeof name, "base_model.model.model.layers.%lld.%s.lora_%c.weight", (long long)layer,
             hone_linear_path(which), b ? 'B' : 'A');
    const hone_safetensor *t = hone_safetensors_find(tensors, name);
    if (!t)
        fail_msg("%s is not in the file", name);
    int64_t width = b ? l->n_out : l->n_in;
    double difference = 0, size = 0;
    for (int r = 0; r < a->rank; r++)
        for (int64_t i = 0; i < width; i++) {
            double theirs = (double)hone_safetensor_at(t, b ? hugging_face_row(which, i) * a->rank + r : r * width + i);
            double d = (double)ours[r * width + i] - theirs;
            difference += d * d;
            size += theirs * theirs;
        }
    assert_true(size > 0);
    return sqrt(difference / size);
}

static double expected_number(const char *key, size_t i)
{
    json_t *v = json_object_get(json_object_get(lora_step, "expected"), key);
    return json_number_value(json_is_array(v) ? json_array_get(v, i) : v);
}

/* PEFT's float32 loss is 1.4e-5 below the one in double precision (test at the end), its gradients are off in
 * proportion. Where the two are farthest apart (layer 28, v_proj A, 2.5e-4), the slope in double precision along their
 * difference is 0.0056292701; hone's gradient says 0.0056292397, PEFT's 0.0056262085. Layer 28 up_proj A and layer 27
 * k_proj A: the same picture. So this limit measures PEFT's rounding; hone's own is measured in test_model.c. */
enum { MOST_BEYOND = 30 }; /* of the 420 tensors, beyond the 1e-4 that most keep */

static void test_loss_and_every_gradient_agree_with_peft(void **state)
{
    (void)state;
    int beyond = 0;
    if (!have_shared_files())
        skip();
    lora_run r;
    hone_safetensors tensors;
    begin_lora(&r);
    assert_int_equal(hone_safetensors_open(HONE_SHARED_DIR "/oracle/lora_step/grads.safetensors", &tensors, NULL),
                     HONE_OK);
    assert_int_equal(tensors.n_tensors, model->config.n_layers * HONE_N_LINEARS * 2);
    double loss = lora_gradient(&r),
           norm = sqrt(hone_op_sum_squares(ops, (int64_t)r.adapter->n_parameters, r.gradient)), worst = 0;
    print_message("loss %.8f (PEFT %.8f, apart by %.1e), gradient norm %.8f (%.8f)\n", loss, expected_number("loss", 0),
                  loss / expected_number("loss", 0) - 1, norm, expected_number("grad_norm", 0));
    assert_true(fabs(loss - expected_number("loss", 0)) < 1e-5 * loss);
    assert_true(fabs(norm - expected_number("grad_norm", 0)) < 1e-5 * norm);
    for (int64_t layer = 0; layer < model->config.n_layers; layer++)
        for (int which = 0; which < HONE_N_LINEARS; which++)
            for (int b = 0; b < 2; b++) {
                const hone_lora *l = hone_adapter_at(r.adapter, layer, (hone_linear)which);
                double apart = matrix_apart(&tensors, r.adapter, layer, (hone_linear)which, b,
                                            r.gradient + (b ? l->b_at : l->a_at));
                worst = fmax(worst, apart);
                beyond += !(apart < 1e-4);
                if (!(apart < 3e-4))
                    fail_msg("layer %lld %s %s: gradients apart by %.2e", (long long)layer,
                             hone_linear_name((hone_linear)which), b ? "B" : "A", apart);
            }
    print_message("gradients apart by %.1e at worst, %d beyond 1e-4\n", worst, beyond);
    assert_true(beyond <= MOST_BEYOND);
    hone_safetensors_close(&tensors);
    end_lora(&r);
}

static void test_five_steps_of_adamw_agree_with_peft(void **state)
{
    (void)state;
    if (!have_shared_files())
        skip();
    lora_run r;
    begin_lora(&r);
    for (size_t step = 0; step < 6; step++) {
        double loss = lora_gradient(&r),
               norm = sqrt(hone_op_sum_squares(ops, (int64_t)r.adapter->n_parameters, r.gradient));
        double expected = expected_number("losses_before_each_step_then_after", step);
        print_message("step %zu: loss %.7f, PEFT %.7f\n", step, loss, expected);
        assert_true(fabs(loss - expected) < 1e-4);
        if (step == 5)
            break;
        assert_true(fabs(norm - expected_number("grad_norms_before_clip", step)) < 1e-4 * norm);
        hone_adamw s = {.learning_rate = 1e-3f,
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .step = (int64_t)step + 1,
                        .gradient_scale =
                            norm > 1 ? (float)(1 / (norm + 1e-6)) : 1.0f}; /* as torch.nn.utils.clip_grad_norm_ */
        hone_op_adamw(ops, &s, (int64_t)r.adapter->n_parameters, r.gradient, r.m, r.v, r.adapter->parameters);
    }
    hone_safetensors tensors;
    assert_int_equal(hone_safetensors_open(HONE_SHARED_DIR "/oracle/lora_step/adapter_after5_layers0_29.safetensors",
                                           &tensors, NULL),
                     HONE_OK);
    double worst = 0;
    for (int64_t layer = 0; layer < 30; layer += 29)
        for (int which = 0; which < HONE_N_LINEARS; which++)
            for (int b = 0; b < 2; b++) {
                const hone_lora *l = hone_adapter_at(r.adapter, layer, (hone_linear)which);
                /* A step moves each element by about the learning rate whatever the size of its gradient, so elements
                 * whose gradient is near zero may go either way; the matrices as wholes agree. */
                worst = fmax(worst, matrix_apart(&tensors, r.adapter, layer, (hone_linear)which, b,
                                                 r.adapter->parameters + (b ? l->b_at : l->a_at)));
            }
    print_message("adapter after five steps: apart by %.1e at worst\n", worst);
    assert_true(worst < 2e-3);
    hone_safetensors_close(&tensors);
    end_lora(&r);
}

/* ---- who is nearer to the truth ---- */
static void test_log_probabilities_agree_with_double_precision(void **state)
{
    (void)state;
    exact_model base = {&file, &model->config, NULL, NULL};
    json_t *entry = json_array_get(json_object_get(oracle, "sequences"), 0);
    sequence s = read_ids(json_object_get(entry, "ids"));
    double *x = exact_array(s.n * model->config.n_embd), exact[MAX_ROWS], ours = 0, theirs = 0;
    exact_forward(&base, s.ids, s.n, x);
    exact_logprobs(&base, x, s.n - 1, s.ids + 1, exact);
    run_sequence(&s, 0);
    for (int i = 0; i + 1 < s.n; i++) {
        ours = fmax(ours, fabs(logprob_after(i, s.ids[i + 1]) - exact[i]));
        theirs = fmax(theirs,
                      fabs(json_number_value(json_array_get(json_object_get(entry, "token_logprobs"), (size_t)i + 1)) -
                           exact[i]));
    }
    free(x);
    print_message("from double precision: hone %.1e, transformers %.1e at worst\n", ours, theirs);
    assert_true(ours < 5e-5);
}

/* What the test below finds in double precision; kept, because it takes half a minute. HONE_TEST_LONG=1 computes it
 * again. */
#define LOSS_IN_DOUBLE_PRECISION 2.128499682

static void test_training_loss_agrees_with_double_precision(void **state)
{
    (void)state;
    if (!have_shared_files())
        skip();
    lora_run r;
    begin_lora(&r);
    double mine = lora_gradient(&r);
    assert_true(fabs(mine - LOSS_IN_DOUBLE_PRECISION) < 1e-6);
    if (!getenv("HONE_TEST_LONG")) {
        end_lora(&r);
        return;
    }
    double *parameters = exact_array((int64_t)r.adapter->n_parameters), loss = 0;
    for (size_t i = 0; i < r.adapter->n_parameters; i++)
        parameters[i] = (double)r.adapter->parameters[i];
    exact_model adapted = {&file, &model->config, r.adapter, parameters};
    for (int i = 0, label = 0; i < 3; i++) {
        int n = r.sequences[i].n - 1;
        double *hidden = exact_array(n * model->config.n_embd), logprobs[MAX_ROWS];
        exact_forward(&adapted, r.sequences[i].ids, n, hidden);
        exact_logprobs(&adapted, hidden, n, r.sequences[i].ids + 1, logprobs);
        for (; label < r.n_labels && r.labels[label].row < r.spans[i].first_row + n; label++)
            loss -= logprobs[r.labels[label].row - r.spans[i].first_row] / (double)r.n_labels;
        free(hidden);
    }
    print_message("loss in double precision %.9f; hone %+.1e, PEFT %+.1e\n", loss, mine - loss,
                  expected_number("loss", 0) - loss);
    assert_true(fabs(loss - LOSS_IN_DOUBLE_PRECISION) < 1e-9);
    free(parameters);
    end_lora(&r);
}

/* ---- the numerics class bf16 ---- */
static hone_ops *f32;

static void begin_bf16(void)
{
    const hone_model_config *c = &model->config;
    f32 = ops;
    assert_int_equal(hone_ops_create_as(HONE_NUMERICS_BF16, 0, &ops, NULL), HONE_OK);
    assert_int_equal(hone_ops_reserve_attention(ops, c->n_heads, c->n_kv_heads, c->head_dim, NULL), HONE_OK);
    model->ops = ops;
}

static void end_bf16(void)
{
    hone_ops_free(ops);
    model->ops = ops = f32;
}

/* For scale: llama.cpp, which rounds activations to 8 bits, is off by 0.08 on average. */
static void test_log_probabilities_in_bf16_are_within_their_tolerance_of_transformers(void **state)
{
    (void)state;
    double worst = 0, sum = 0;
    int n = 0;
    size_t index;
    json_t *entry;
    begin_bf16();
    json_array_foreach(json_object_get(oracle, "sequences"), index, entry)
    {
        sequence s = read_ids(json_object_get(entry, "ids"));
        run_sequence(&s, 0);
        for (int i = 0; i + 1 < s.n; i++, n++) {
            double apart =
                fabs(logprob_after(i, s.ids[i + 1]) -
                     json_number_value(json_array_get(json_object_get(entry, "token_logprobs"), (size_t)i + 1)));
            worst = fmax(worst, apart);
            sum += apart;
        }
    }
    end_bf16();
    print_message("bf16: %d log-probabilities: off by %.1e on average, %.1e at worst\n", n, sum / n, worst);
    assert_true(n > 90 && worst <= BF16_WORST && sum / n <= BF16_MEAN);
    assert_true(sum / n > 1e-4); /* it is another class */
}

static void test_five_steps_in_bf16_lose_what_those_of_peft_lose(void **state)
{
    (void)state;
    if (!have_shared_files())
        skip();
    lora_run r;
    begin_bf16();
    begin_lora(&r);
    for (size_t step = 0; step < 6; step++) {
        double loss = lora_gradient(&r), expected = expected_number("losses_before_each_step_then_after", step),
               norm = sqrt(hone_op_sum_squares(ops, (int64_t)r.adapter->n_parameters, r.gradient));
        print_message("bf16, step %zu: loss %.7f, PEFT %.7f; gradient norm %.5f\n", step, loss, expected, norm);
        assert_true(fabs(loss - expected) < BF16_LOSS);
        hone_adamw s = {.learning_rate = 1e-3f,
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .step = (int64_t)step + 1,
                        .gradient_scale = norm > 1 ? (float)(1 / (norm + 1e-6)) : 1.0f};
        hone_op_adamw(ops, &s, (int64_t)r.adapter->n_parameters, r.gradient, r.m, r.v, r.adapter->parameters);
    }
    end_lora(&r);
    end_bf16();
}

static int open_model(void **state)
{
    (void)state;
    hone_error err = {0};
    json_error_t where;
    oracle = json_load_file(HONE_SOURCE_DIR "/tests/data/oracle_smollm2.json", 0, &where);
    lora_step = json_load_file(HONE_SOURCE_DIR "/tests/data/oracle_lora_step.json", 0, &where);
    if (!oracle || !lora_step) {
        print_error("tests/data: line %d: %s\n", where.line, where.text);
        return -1;
    }
    if (hone_ops_create(0, &ops, &err) != HONE_OK || hone_gguf_open(hone_test_model(), &file, &err) != HONE_OK ||
        hone_model_open(ops, &file, &model, &err) != HONE_OK ||
        hone_kv_pool_create(N_PAGES, model->config.n_layers, model->config.n_kv_heads, model->config.head_dim, &pool,
                            &err) != HONE_OK ||
        hone_workspace_create(model, MAX_ROWS, 1, &ws, &err) != HONE_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    json_decref(oracle);
    json_decref(lora_step);
    hone_workspace_free(ws);
    hone_kv_pool_free(pool);
    hone_model_close(model);
    hone_gguf_close(&file);
    hone_ops_free(ops);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_probabilities_agree_with_transformers),
        cmocka_unit_test(test_best_next_tokens_agree_with_transformers),
        cmocka_unit_test(test_greedy_continuations_agree_with_transformers),
        cmocka_unit_test(test_loss_and_every_gradient_agree_with_peft),
        cmocka_unit_test(test_five_steps_of_adamw_agree_with_peft),
        cmocka_unit_test(test_log_probabilities_agree_with_double_precision),
        cmocka_unit_test(test_training_loss_agrees_with_double_precision),
        cmocka_unit_test(test_log_probabilities_in_bf16_are_within_their_tolerance_of_transformers),
        cmocka_unit_test(test_five_steps_in_bf16_lose_what_those_of_peft_lose),
    };
    enum { FAST = 2 };
    if (!hone_test_model())
        return 0;
#if defined(__SANITIZE_ADDRESS__)
    fprintf(stderr, "under the address sanitizer: only the first %d of %zu tests\n", FAST,
            sizeof tests / sizeof *tests);
    struct CMUnitTest few[FAST];
    memcpy(few, tests, sizeof few);
    return cmocka_run_group_tests(few, open_model, close_model);
#else
    return cmocka_run_group_tests(tests, open_model, close_model);
#endif
}
