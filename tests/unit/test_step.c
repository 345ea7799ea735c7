/* test_step.c - the gradient of an optimiser step does not depend on how the step is computed: what examples begin with
 * shared or not, in one pass or in many, with blocks kept or computed again, among other examples or alone.
 *
 * "By itself": each example in a pass of its own with nothing shared, the path that test_oracle.c compares with PEFT.
 */
#include "engine/engine.h"
#include "model/adapter_targets.h"
#include "numbers.h"
#include "tiny_model.h"
#include "train/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { MOST = 24, LONGEST = 120, RANK = 4 };

static hone_engine *engine, *one_thread;
static const hone_model *model;
static hone_adapter *adapter;
static bool dora; /* what `adapter` is */

static int32_t ids[MOST][LONGEST];
static float weights[MOST][LONGEST];

/* Two instructions of 37 and 50 tokens after a system message of 21, inputs of odd lengths; a conversation of three
 * turns as an example for each turn; two equal examples; one that shares nothing. */
static int make_examples(hone_train_example *out)
{
    int n = 0;
    for (int group = 0; group < 2; group++)
        for (int i = 0; i < 5; i++, n++) {
            int shared = 21 + (group ? 50 : 37), length = shared + 9 + 5 * i + group;
            for (int p = 0; p < length; p++)
                ids[n][p] = (int32_t)hone_rng_below((hone_rng_key){p < 21       ? 1
                                                                   : p < shared ? 2 + (unsigned)group
                                                                                : 10 + (unsigned)n,
                                                                   HONE_RNG_TEST, 3},
                                                    (uint64_t)p, TINY_VOCAB);
            out[n] = (hone_train_example){ids[n], (size_t)length, (size_t)length - 4 - (size_t)i, NULL, 0};
        }
    for (int turn = 0; turn < 3; turn++, n++) { /* the answer of an earlier turn is prompt in a later one */
        for (int p = 0; p < LONGEST; p++)
            ids[n][p] = (int32_t)hone_rng_below((hone_rng_key){77, HONE_RNG_TEST, 3}, (uint64_t)p, TINY_VOCAB);
        out[n] = (hone_train_example){ids[n], (size_t)(40 + 33 * turn), (size_t)(30 + 33 * turn), NULL, 0};
    }
    out[n++] = out[3];
    for (int p = 0; p < 45; p++) {
        ids[n][p] = (int32_t)hone_rng_below((hone_rng_key){99, HONE_RNG_TEST, 3}, (uint64_t)p, TINY_VOCAB);
        weights[n][p] = p < 20 ? 0 : p % 3 == 0 ? 0.0f : 0.5f;
    }
    out[n] = (hone_train_example){ids[n], 45, 20, weights[n], 0};
    return n + 1;
}

typedef struct gradient {
    float *values;
    hone_step_result sum;
} gradient;

static gradient by_itself(const hone_train_example *examples, int n)
{
    gradient g = {.values = new_floats((int64_t)adapter->n_parameters)};
    hone_step_size size = {.max_rows = LONGEST, .max_examples = 1, .rank = RANK};
    hone_train_step *s;
    assert_int_equal(hone_train_step_create(model, &size, &s, NULL), HONE_OK);
    for (size_t i = 0; i < (size_t)n; i++) {
        size_t order = i;
        hone_step_result r = hone_train_step_gradient(s, adapter, examples, &order, 1, 0.01f, g.values);
        g.sum.loss += r.loss;
        g.sum.n_rows += r.n_rows;
        g.sum.n_tokens += r.n_tokens;
    }
    hone_train_step_free(s);
    return g;
}

static gradient together(const hone_model *m, const hone_train_example *examples, int n, int64_t max_rows,
                         bool recompute)
{
    gradient g = {.values = new_floats((int64_t)adapter->n_parameters)};
    hone_step_size size = {max_rows, n, RANK, true, recompute, .dora = dora};
    hone_train_step *s;
    size_t order[MOST];
    for (size_t i = 0; i < (size_t)n; i++)
        order[i] = i;
    assert_int_equal(hone_train_step_create(m, &size, &s, NULL), HONE_OK);
    g.sum = hone_train_step_gradient(s, adapter, examples, order, n, 0.01f, g.values);
    hone_train_step_free(s);
    return g;
}

static void test_sharing_groups_and_nested_beginnings_gives_the_plain_gradient(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    int n = make_examples(examples);
    gradient plain = by_itself(examples, n);
    static const int64_t rows[] = {2000, 400, 300, 200, 150, LONGEST}; /* one tree; trunk and ends; several trees */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gradient g = together(model, examples, n, rows[i], false);
        double apart = relative_l2f(g.values, plain.values, (int64_t)adapter->n_parameters);
        print_message(
            "passes of up to %lld rows: %lld, with %lld rows in all instead of %lld; gradients apart by %.1e\n",
            (long long)rows[i], (long long)g.sum.n_passes, (long long)g.sum.n_rows, (long long)plain.sum.n_rows, apart);
        assert_true(apart < 1e-5);
        assert_true(fabs(g.sum.loss - plain.sum.loss) < 1e-9 * plain.sum.loss);
        assert_int_equal(g.sum.n_tokens, plain.sum.n_tokens);
        assert_true(g.sum.n_rows < plain.sum.n_rows);
        free(g.values);
    }
    free(plain.values);
}

/* By hand: a system message of 21 once; instructions of 37 and 50 once; ends of 9, 14, 19, 24, 29 less the last token,
 * twice, the second time a token longer; the conversation's 105 rows once (each turn's example ends within); nothing
 * for the equal example; 44 for the last. Beyond what all share (nothing), spans part at multiples of 8: 21 -> 16, 58
 * -> 56, 71 -> 64, and the conversation's turns of 39 and 72 rows -> 32 and 72. */
static void test_each_shared_token_is_one_row(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    int n = make_examples(examples), ends = 0;
    for (int i = 0; i < 5; i++)
        ends += (58 - 56) + 9 + 5 * i - 1 + (71 - 64) + 10 + 5 * i - 1;
    int conversation = 105 + (39 - 32), equal = (int)(examples[3].n_ids - 1) % 8;
    gradient g = together(model, examples, n, 2000, false);
    assert_int_equal(g.sum.n_passes, 1);
    assert_int_equal(g.sum.n_rows, 16 + (56 - 16) + (64 - 16) + ends + conversation + equal + 44);
    free(g.values);
}

/* What others put into a trunk and ends is used at all: the instruction is passed three times, not once a pass. */
static void test_a_shared_beginning_is_computed_once_a_step_not_once_a_pass(void **state)
{
    (void)state;
    enum { N = 8, SHARED = 64, END = 30 };
    hone_train_example examples[N];
    for (int i = 0; i < N; i++) {
        for (int p = 0; p < SHARED + END; p++)
            ids[i][p] = (int32_t)hone_rng_below((hone_rng_key){p < SHARED ? 5 : 50 + (unsigned)i, HONE_RNG_TEST, 4},
                                                (uint64_t)p, TINY_VOCAB);
        ids[i][SHARED] = 100 + i;
        examples[i] = (hone_train_example){ids[i], SHARED + END + 1 - 1, SHARED + 5, NULL, 0};
    }
    gradient plain = by_itself(examples, N), g = together(model, examples, N, 96, false);
    assert_int_equal(g.sum.n_rows, 2 * SHARED + N * (END - 1)); /* the trunk forward twice */
    assert_int_equal(g.sum.n_passes, 2 + (N + 2) / 3);          /* three ends of 29 rows in 96 */
    assert_true(relative_l2f(g.values, plain.values, (int64_t)adapter->n_parameters) < 1e-5);
    free(g.values);
    free(plain.values);
}

static void test_computing_blocks_again_gives_the_same_bits(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    int n = make_examples(examples);
    static const int64_t rows[] = {2000, 200, LONGEST};
    for (size_t i = 0; i < 3; i++) {
        gradient kept = together(model, examples, n, rows[i], false),
                 again = together(model, examples, n, rows[i], true);
        assert_true(same_bits(kept.values, again.values, (int64_t)adapter->n_parameters));
        assert_true(kept.sum.loss == again.sum.loss);
        free(kept.values);
        free(again.values);
    }
    hone_tape_size size = {.max_rows = 200, .rank = RANK};
    size_t all = hone_tape_bytes(model, &size);
    size.recompute = true;
    assert_true(hone_tape_bytes(model, &size) < all);
}

/* The same with DoRA, whose tape also holds what linear layers gave; its magnitudes have gradients too. */
static void test_dora_computes_blocks_again_with_the_same_bits(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    int n = make_examples(examples);
    hone_adapter *lora = adapter;
    hone_adapter_choice choice = {.rank = RANK, .alpha = 8, .dora_base = model};
    assert_int_equal(hone_adapter_create_chosen(&model->config, &choice, &adapter, NULL), HONE_OK);
    hone_adapter_init(adapter, 1);
    for (int i = 0; i < TINY_LAYERS * HONE_N_LINEARS; i++) {
        hone_lora *l = &adapter->loras[i];
        fill_normal(l->b_t, l->rank * l->n_out, (uint32_t)i, 0.05);
        for (int64_t o = 0; o < l->n_out; o++)
            l->magnitude[o] *= 1 + 0.02f * (float)(o % 5);
    }
    hone_adapter_refresh(model->ops, adapter);
    static const int64_t rows[] = {2000, 200, LONGEST};
    dora = true;
    for (size_t i = 0; i < 3; i++) {
        gradient kept = together(model, examples, n, rows[i], false),
                 again = together(model, examples, n, rows[i], true);
        double of_magnitudes = 0;
        for (int k = 0; k < TINY_LAYERS * HONE_N_LINEARS; k++)
            for (int64_t o = 0; o < adapter->loras[k].n_out; o++)
                of_magnitudes += fabs((double)kept.values[adapter->loras[k].magnitude_at + (size_t)o]);
        assert_true(of_magnitudes > 0);
        assert_true(same_bits(kept.values, again.values, (int64_t)adapter->n_parameters));
        assert_true(kept.sum.loss == again.sum.loss);
        free(kept.values);
        free(again.values);
    }
    dora = false;
    hone_adapter_free(adapter);
    adapter = lora;
}

static void test_a_step_has_the_same_bits_with_any_number_of_threads(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    int n = make_examples(examples);
    for (int64_t rows = LONGEST; rows < 2000; rows *= 4) {
        gradient two = together(model, examples, n, rows, true),
                 one = together(hone_engine_get_model(one_thread), examples, n, rows, false);
        assert_true(same_bits(two.values, one.values, (int64_t)adapter->n_parameters));
        assert_true(two.sum.loss == one.sum.loss);
        free(two.values);
        free(one.values);
    }
}

/* Packing: many examples lie in one sequence of rows, without padding. An example that is labelled has the loss and the
 * gradient that it has alone, to the bit, whatever lies beside it; and in whatever place, its hidden states. */
static void test_failure_packed_examples_attend_to_each_other(void **state)
{
    (void)state;
    const hone_model_config *c = &model->config;
    hone_train_example examples[MOST];
    int n = make_examples(examples);
    float *silent = new_floats(LONGEST);
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    assert_int_equal(hone_train_batch_create(2000, n, &batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(model, 2000, RANK, &ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create(model, 2000, RANK, &tape, NULL), HONE_OK);
    batch->share_prefix = false;
    int64_t size = (int64_t)adapter->n_parameters;
    for (int k = 0; k < n; k++) {
        float *alone = new_floats(size), *packed = new_floats(size), *hidden = new_floats(LONGEST * c->n_embd);
        size_t order[MOST] = {(size_t)k};
        int64_t rows = (int64_t)examples[k].n_ids - 1;
        hone_train_batch_fill(batch, examples, order, 1, 0.01f, adapter);
        memcpy(hidden, hone_model_forward(model, pool, &batch->rows, ws, tape),
               (size_t)(rows * c->n_embd) * sizeof(float));
        double loss = hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, alone);
        /* among all others, first in the sequence; the others' labels weigh nothing */
        hone_train_example neighbours[MOST];
        memcpy(neighbours, examples, sizeof examples);
        for (int i = 0, at = 1; i < n; i++)
            if (i != k) {
                neighbours[i].weights = silent;
                order[at++] = (size_t)i;
            }
        assert_int_equal(hone_train_batch_fill(batch, neighbours, order, n, 0.01f, adapter), n);
        const float *now = hone_model_forward(model, pool, &batch->rows, ws, tape);
        assert_true(same_bits(now, hidden, rows * c->n_embd));
        double among = hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, packed);
        assert_true(among == loss);
        assert_true(same_bits(alone, packed, size));
        /* last in the sequence: positions begin again at 0 */
        order[0] = order[n - 1];
        order[n - 1] = (size_t)k;
        assert_int_equal(hone_train_batch_fill(batch, neighbours, order, n, 0.01f, adapter), n);
        now = hone_model_forward(model, pool, &batch->rows, ws, tape);
        assert_true(same_bits(now + (batch->rows.n_rows - rows) * c->n_embd, hidden, rows * c->n_embd));
        free(alone), free(packed), free(hidden);
    }
    hone_train_batch_free(batch);
    hone_kv_pool_free(pool);
    hone_workspace_free(ws);
    hone_tape_free(tape);
    free(silent);
}

/* Four passes of four give what one of sixteen gives. The failure: each pass divides by its own labels, and the means
 * are averaged; with answers of different lengths that is another gradient. */
static void test_failure_accumulation_loss_wrong(void **state)
{
    (void)state;
    enum { N = 16, AT_ONCE = 4 };
    hone_train_example examples[N];
    int64_t size = (int64_t)adapter->n_parameters, labels = 0;
    for (int i = 0; i < N; i++) {
        int length = 20 + 2 * i;
        for (int p = 0; p < length; p++)
            ids[i][p] =
                (int32_t)hone_rng_below((hone_rng_key){200 + (unsigned)i, HONE_RNG_TEST, 3}, (uint64_t)p, TINY_VOCAB);
        examples[i] = (hone_train_example){ids[i], (size_t)length, (size_t)(i % 4 == 0 ? 4 : length - 2), NULL, 0};
        labels += (int64_t)(examples[i].n_ids - examples[i].n_prompt);
    }
    float *whole = new_floats(size), *parts = new_floats(size), *means = new_floats(size);
    hone_step_size s = {.max_rows = 700, .max_examples = N, .rank = RANK};
    hone_train_step *step;
    double loss[2] = {0};
    assert_int_equal(hone_train_step_create(model, &s, &step, NULL), HONE_OK);
    size_t order[N] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    loss[0] = hone_train_step_gradient(step, adapter, examples, order, N, 1.0f / (float)labels, whole).loss;
    for (size_t i = 0; i < N; i += AT_ONCE) {
        int64_t own = 0;
        size_t four[AT_ONCE] = {i, i + 1, i + 2, i + 3};
        for (size_t j = i; j < i + AT_ONCE; j++)
            own += (int64_t)(examples[j].n_ids - examples[j].n_prompt);
        loss[1] += hone_train_step_gradient(step, adapter, examples, four, AT_ONCE, 1.0f / (float)labels, parts).loss;
        hone_train_step_gradient(step, adapter, examples, four, AT_ONCE, 1.0f / (float)(own * N / AT_ONCE), means);
    }
    assert_true(relative_l2f(parts, whole, size) < 1e-5);
    assert_true(fabs(loss[1] - loss[0]) < 1e-6 * loss[0]);
    assert_true(relative_l2f(means, whole, size) > 0.01); /* the mistake would be seen */
    hone_train_step_free(step);
    free(whole), free(parts), free(means);
}

/* Logits of 8,192 rows of a 49,152-token vocabulary would take 1.6 GB; memory for 64 rows of them is there, in training
 * for up to 192 and no more than 40 MiB, however many rows a pass has, and none of it in what the backward pass keeps.
 */
static void test_failure_evaluation_stores_all_logits(void **state)
{
    (void)state;
    hone_model larger = *model;
    larger.config.n_vocab += 49152;
    for (int64_t rows = 128; rows <= 8192; rows *= 8) {
        assert_int_equal(hone_workspace_bytes_for(&larger, rows, RANK) - hone_workspace_bytes_for(model, rows, RANK),
                         HONE_LOGIT_ROWS * 49152 * sizeof(float));
        int64_t at_once = hone_training_logit_rows(&larger, rows);
        assert_true(at_once >= HONE_LOGIT_ROWS && at_once <= HONE_MOST_LOGIT_ROWS &&
                    at_once * larger.config.n_vocab * 4 <= 40 << 20);
        hone_tape_size size = {.max_rows = rows, .rank = RANK};
        assert_int_equal(hone_tape_bytes(&larger, &size), hone_tape_bytes(model, &size));
    }
}

/* ---- memory ---- */
static void test_a_memory_limit_is_met_by_smaller_passes_then_by_computing_again(void **state)
{
    (void)state;
    hone_train_example examples[MOST];
    hone_train_memory plan;
    hone_error err;
    int n = make_examples(examples);
    hone_trainable trained = {.adapter = adapter,
                              .n_parameters = adapter->n_parameters,
                              .bytes = hone_adapter_bytes(adapter),
                              .tape = {.rank = adapter->rank}};
    assert_int_equal(hone_train_memory_plan(engine, &trained, examples, (size_t)n, n, false, 0, &plan, &err), HONE_OK);
    assert_int_equal(plan.step.max_rows, HONE_PASS_ROWS);
    assert_false(plan.step.recompute);
    size_t most = plan.total, least = 0;
    bool smaller = false, again = false;
    for (size_t limit = most; limit > 0; limit -= most / 400) { /* whatever is promised is kept */
        if (hone_train_memory_plan(engine, &trained, examples, (size_t)n, n, false, limit, &plan, &err) != HONE_OK)
            break;
        assert_true(plan.total <= limit);
        assert_true(plan.step.max_rows >= LONGEST - 14 || plan.step.max_rows >= 106); /* one whole example at least */
        smaller |= plan.step.max_rows < HONE_PASS_ROWS && !plan.step.recompute;
        again |= plan.step.recompute;
        assert_false(again && !plan.step.recompute);
        least = plan.total;
    }
    assert_true(smaller && again && least > 0);
    /* The least that is named is enough, and a byte less is not. */
    assert_int_equal(hone_train_memory_plan(engine, &trained, examples, (size_t)n, n, false, 1 << 20, &plan, &err),
                     HONE_NO_MEMORY);
    assert_says(err, "a limit of 1.0 MiB is too little: at least");
    assert_says(err, "smaller rank");
    size_t named = plan.total;
    assert_int_equal(hone_train_memory_plan(engine, &trained, examples, (size_t)n, n, false, named, &plan, &err),
                     HONE_OK);
    assert_int_equal(hone_train_memory_plan(engine, &trained, examples, (size_t)n, n, false, named - 1, &plan, &err),
                     HONE_NO_MEMORY);
}

static int open_all(void **state)
{
    hone_error err;
    char path[300];
    hone_engine_options two = {.n_threads = 2, .cache_bytes = 1 << 20, .max_batch_rows = 64}, one = two;
    one.n_threads = 1;
    if (temporary_begin(state) != 0)
        return -1;
    strcpy(path, temporary_path("tiny.gguf"));
    if (tiny_model_write(path, &err) != HONE_OK || hone_engine_open(path, &two, &engine, &err) != HONE_OK ||
        hone_engine_open(path, &one, &one_thread, &err) != HONE_OK)
        return -1;
    model = hone_engine_get_model(engine);
    if (hone_adapter_create(&model->config, RANK, 8, &adapter, &err) != HONE_OK)
        return -1;
    hone_adapter_init(adapter, 1);
    fill_normal(adapter->parameters, (int64_t)adapter->n_parameters, 9, 0.05); /* B, too, is not zero */
    hone_adapter_refresh(model->ops, adapter);
    return 0;
}

static int close_all(void **state)
{
    hone_adapter_free(adapter);
    hone_engine_close(engine);
    hone_engine_close(one_thread);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sharing_groups_and_nested_beginnings_gives_the_plain_gradient),
        cmocka_unit_test(test_each_shared_token_is_one_row),
        cmocka_unit_test(test_a_shared_beginning_is_computed_once_a_step_not_once_a_pass),
        cmocka_unit_test(test_computing_blocks_again_gives_the_same_bits),
        cmocka_unit_test(test_dora_computes_blocks_again_with_the_same_bits),
        cmocka_unit_test(test_a_step_has_the_same_bits_with_any_number_of_threads),
        cmocka_unit_test(test_failure_packed_examples_attend_to_each_other),
        cmocka_unit_test(test_failure_accumulation_loss_wrong),
        cmocka_unit_test(test_failure_evaluation_stores_all_logits),
        cmocka_unit_test(test_a_memory_limit_is_met_by_smaller_passes_then_by_computing_again),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
