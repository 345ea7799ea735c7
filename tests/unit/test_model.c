/* test_model.c - the whole model. Same bits: a row's hidden state does not depend on what is computed beside it, on how
 * its prompt was cut, on the cache, the threads or the instruction set, nor on whether training or inference asked.
 * Right values: against the model in double precision (exact_model.h), and gradients against central differences of
 * that.
 *
 * Everything runs on a tiny model that the test writes; the same-bits claims again on the real one where
 * HONE_TEST_MODEL names it. */
#include "exact_model.h"
#include "format/safetensors.h"
#include "numbers.h"
#include "real_model.h"
#include "tiny_model.h"
#include "train/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_SEQUENCES = 8, LONGEST = 120, MAX_ROWS = 512, N_PAGES = 128, PREFIX = 32 };
static const int lengths[N_SEQUENCES] = {37, 5, LONGEST, 1, 16, 64, 23, 50};

typedef struct rig {
    const char *name;
    hone_numerics numerics;
    hone_ops *ops, *ops_by_threads[6]; /* [4]: scalar kernels, where the model is tiny */
    hone_gguf file;
    hone_model *model;
    hone_kv_pool *pool;
    hone_workspace *ws;
    int32_t ids[N_SEQUENCES][LONGEST];
    float *alone[N_SEQUENCES]; /* hidden states of each sequence computed by itself in one go */
    hone_adapter *adapters[2];
} rig;

static rig tiny, tiny_bf16, real, real_bf16;

/* ---- batches ---- */
typedef struct rows {
    int32_t tokens[MAX_ROWS], positions[MAX_ROWS], pages[N_SEQUENCES][LONGEST / HONE_PAGE_TOKENS + 1];
    hone_span spans[N_SEQUENCES];
    hone_kv_write writes[MAX_ROWS];
    hone_adapter_rows adapters[N_SEQUENCES];
    int64_t n, n_spans, n_adapters;
    int32_t next_page;
} rows;

static void forget_rows(rows *b)
{
    b->n = b->n_spans = b->n_adapters = 0;
}

/* Positions [from, to) of a sequence; pages are taken when they are first needed. */
static void add_rows(rows *b, const rig *r, int sequence, int from, int to, const hone_adapter *adapter)
{
    hone_span *span = &b->spans[b->n_spans++];
    *span = (hone_span){.first_row = b->n, .n_rows = to - from, .first_position = from, .pages = b->pages[sequence]};
    if (adapter)
        b->adapters[b->n_adapters++] = (hone_adapter_rows){adapter, b->n, to - from};
    for (int p = from; p < to; p++, b->n++) {
        if (p % HONE_PAGE_TOKENS == 0)
            b->pages[sequence][p / HONE_PAGE_TOKENS] = b->next_page++ * 37 % 127; /* scattered */
        b->tokens[b->n] = r->ids[sequence][p];
        b->positions[b->n] = p;
        b->writes[b->n] =
            (hone_kv_write){(int32_t)b->n, b->pages[sequence][p / HONE_PAGE_TOKENS], p % HONE_PAGE_TOKENS};
    }
    assert_true(b->n <= MAX_ROWS && b->next_page <= 127);
}

static const float *run_rows(const rig *r, const rows *b, hone_tape *tape)
{
    hone_batch batch = {b->n,      b->tokens, b->positions, b->spans,     b->n_spans,
                        b->writes, b->n,      b->adapters,  b->n_adapters};
    return hone_model_forward(r->model, r->pool, &batch, r->ws, tape);
}

static bool same_hidden(const rig *r, const float *hidden, int sequence, int from, int to)
{
    int64_t width = r->model->config.n_embd;
    return same_bits(hidden, r->alone[sequence] + from * width, (to - from) * width);
}

/* ---- same bits ---- */
static void test_a_sequence_has_the_same_bits_among_others(void **state)
{
    const rig *r = *state;
    rows b = {0};
    for (int s = 0; s < N_SEQUENCES; s++)
        add_rows(&b, r, s, 0, lengths[s], NULL);
    const float *hidden = run_rows(r, &b, NULL);
    for (int s = 0; s < N_SEQUENCES; s++)
        if (!same_hidden(r, hidden + b.spans[s].first_row * r->model->config.n_embd, s, 0, lengths[s]))
            fail_msg("sequence %d", s);
}

static void test_a_prompt_has_the_same_bits_in_chunks(void **state)
{
    const rig *r = *state;
    static const int chunks[] = {1, 7, 16, 100}; /* 1: decoding */
    for (int c = 0; c < 4; c++) {
        rows b = {0};
        int n = chunks[c] == 1 && r == &real ? 40 : LONGEST;
        for (int p = 0; p < n; p += chunks[c]) {
            int end = p + chunks[c] < n ? p + chunks[c] : n;
            forget_rows(&b);
            add_rows(&b, r, 2, p, end, NULL);
            if (!same_hidden(r, run_rows(r, &b, NULL), 2, p, end))
                fail_msg("chunks of %d at %d", chunks[c], p);
        }
    }
}

/* As a scheduler does it: one sequence decodes while others are being read. */
static void test_decoding_beside_prefill_has_the_same_bits(void **state)
{
    const rig *r = *state;
    rows b = {0};
    int64_t width = r->model->config.n_embd;
    for (int step = 0; step < 16; step++) {
        forget_rows(&b);
        add_rows(&b, r, 5, step * 4, step * 4 + 4, NULL);
        add_rows(&b, r, 4, step, step + 1, NULL);
        if (step < 5)
            add_rows(&b, r, 1, step, step + 1, NULL);
        const float *hidden = run_rows(r, &b, NULL);
        assert_true(same_hidden(r, hidden, 5, step * 4, step * 4 + 4));
        assert_true(same_hidden(r, hidden + 4 * width, 4, step, step + 1));
        assert_true(step >= 5 || same_hidden(r, hidden + 5 * width, 1, step, step + 1));
    }
}

static void test_any_number_of_threads_gives_the_same_bits(void **state)
{
    rig *r = *state;
    for (int threads = 1; threads <= 5; threads++) {
        if (!r->ops_by_threads[threads])
            continue;
        rows b = {0};
        r->model->ops = r->ops_by_threads[threads];
        add_rows(&b, r, 5, 0, lengths[5], NULL);
        add_rows(&b, r, 3, 0, lengths[3], NULL);
        const float *hidden = run_rows(r, &b, NULL);
        bool same = same_hidden(r, hidden, 5, 0, lengths[5]) &&
                    same_hidden(r, hidden + lengths[5] * r->model->config.n_embd, 3, 0, lengths[3]);
        r->model->ops = r->ops;
        if (!same)
            fail_msg("%d threads (4: scalar kernels)", threads);
    }
}

/* A prefix cache hands the pages of one sequence to another that begins alike. */
static void test_cached_prefix_pages_give_the_same_bits(void **state)
{
    const rig *r = *state;
    rows b = {0};
    add_rows(&b, r, 2, 0, PREFIX, NULL); /* sequences 0, 2 and 5 begin with the same PREFIX tokens */
    run_rows(r, &b, NULL);
    forget_rows(&b);
    memcpy(b.pages[0], b.pages[2], sizeof b.pages[0]);
    memcpy(b.pages[5], b.pages[2], sizeof b.pages[0]);
    add_rows(&b, r, 0, PREFIX, lengths[0], NULL);
    add_rows(&b, r, 5, PREFIX, lengths[5], NULL);
    const float *hidden = run_rows(r, &b, NULL);
    assert_true(same_hidden(r, hidden, 0, PREFIX, lengths[0]));
    assert_true(same_hidden(r, hidden + (lengths[0] - PREFIX) * r->model->config.n_embd, 5, PREFIX, lengths[5]));
}

/* Sequences 0, 2 and 5 begin alike: what follows the first TRUNK tokens is computed as one tree, in three steps, its
 * tokens anywhere in the pool. */
static void test_ways_through_a_tree_have_the_bits_of_plain_sequences(void **state)
{
    enum { TRUNK = 20, NODES = 89, TREE_PAGES = 6 };
    const rig *r = *state;
    static const int ways[] = {2, 5, 0}, ends[] = {72, 64, 37};
    int64_t width = r->model->config.n_embd;
    hone_tree_place tree[NODES];
    int sequence[NODES], position[NODES], n = 0;
    int32_t pages[TREE_PAGES], tree_rows[NODES];
    rows b = {0};
    add_rows(&b, r, 2, 0, TRUNK, NULL);
    run_rows(r, &b, NULL);
    for (int i = 0; i < TREE_PAGES; i++)
        pages[i] = b.next_page++ * 37 % 127;
    for (int w = 0; w < 3; w++)
        for (int p = w ? PREFIX : TRUNK; p < ends[w]; p++, n++) {
            int at = n * 29 % (TREE_PAGES * HONE_PAGE_TOKENS); /* 29 and 96 have no common factor */
            sequence[n] = ways[w];
            position[n] = p;
            tree[n] = (hone_tree_place){pages[at / HONE_PAGE_TOKENS], at % HONE_PAGE_TOKENS,
                                        p == TRUNK    ? -1
                                        : p == PREFIX ? PREFIX - TRUNK - 1
                                                      : n - 1};
        }
    assert_int_equal(n, NODES);
    for (int step = 0; step < 3; step++) { /* all up to position 37, then to 50, then the rest; the deepest first */
        static const int from[] = {0, 38, 51}, to[] = {37, 50, 72};
        forget_rows(&b);
        add_rows(&b, r, 4, step, step + 1, NULL); /* beside another sequence */
        hone_span *span = &b.spans[b.n_spans++];
        *span = (hone_span){
            .first_row = b.n, .first_position = TRUNK, .pages = b.pages[2], .tree = tree, .tree_rows = tree_rows};
        for (int node = NODES - 1; node >= 0; node--) {
            if (position[node] < from[step] || position[node] > to[step])
                continue;
            tree_rows[span->n_rows++] = node;
            b.tokens[b.n] = r->ids[sequence[node]][position[node]];
            b.positions[b.n] = position[node];
            b.writes[b.n] = (hone_kv_write){(int32_t)b.n, tree[node].page, tree[node].slot};
            b.n++;
        }
        const float *hidden = run_rows(r, &b, NULL);
        assert_true(same_hidden(r, hidden, 4, step, step + 1));
        for (int64_t t = 0; t < span->n_rows; t++) {
            int node = tree_rows[t];
            if (!same_hidden(r, hidden + (span->first_row + t) * width, sequence[node], position[node],
                             position[node] + 1))
                fail_msg("sequence %d at %d", sequence[node], position[node]);
        }
    }
}

static void test_logits_have_the_same_bits_in_any_company(void **state)
{
    const rig *r = *state;
    int64_t vocab = r->model->config.n_vocab;
    rows b = {0};
    add_rows(&b, r, 5, 0, lengths[5], NULL);
    run_rows(r, &b, NULL);
    int32_t all[HONE_LOGIT_ROWS];
    for (int i = 0; i < HONE_LOGIT_ROWS; i++)
        all[i] = HONE_LOGIT_ROWS - 1 - i;
    float *kept = new_floats(HONE_LOGIT_ROWS * vocab);
    memcpy(kept, hone_model_logits(r->model, r->ws, all, HONE_LOGIT_ROWS),
           (size_t)(HONE_LOGIT_ROWS * vocab) * sizeof *kept);
    static const int counts[] = {1, 2, 7, 33};
    for (int c = 0; c < 4; c++)
        assert_true(
            same_bits(hone_model_logits(r->model, r->ws, all + 20, counts[c]), kept + 20 * vocab, counts[c] * vocab));
    free(kept);
}

static void test_adapters_in_any_order_give_the_same_bits(void **state)
{
    const rig *r = *state;
    enum { A = 0, B = 1, NONE = -1 };
    static const struct {
        int sequence, adapter;
    } orders[][3] = {{{0, A}, {6, B}, {4, NONE}},
                     {{4, NONE}, {6, B}, {0, A}},
                     {{6, B}, {0, A}, {4, NONE}},
                     {{0, A}, {4, NONE}, {6, B}}};
    int64_t width = r->model->config.n_embd;
    float *first[N_SEQUENCES] = {0};
    for (int s = 0; s < 3; s++) { /* each by itself */
        rows b = {0};
        int i = orders[0][s].sequence, adapter = orders[0][s].adapter;
        add_rows(&b, r, i, 0, lengths[i], adapter < 0 ? NULL : r->adapters[adapter]);
        first[i] = new_floats(lengths[i] * width);
        memcpy(first[i], run_rows(r, &b, NULL), (size_t)(lengths[i] * width) * sizeof(float));
    }
    assert_true(same_hidden(r, first[4], 4, 0, lengths[4]));
    assert_false(same_hidden(r, first[0], 0, 0, lengths[0])); /* the adapters do something */
    for (int o = 0; o < 4; o++) {
        rows b = {0};
        for (int s = 0; s < 3; s++)
            add_rows(&b, r, orders[o][s].sequence, 0, lengths[orders[o][s].sequence],
                     orders[o][s].adapter < 0 ? NULL : r->adapters[orders[o][s].adapter]);
        const float *hidden = run_rows(r, &b, NULL);
        for (int s = 0; s < 3; s++) {
            int i = orders[o][s].sequence;
            if (!same_bits(hidden + b.spans[s].first_row * width, first[i], lengths[i] * width))
                fail_msg("order %d, sequence %d", o, i);
        }
    }
    for (int s = 0; s < N_SEQUENCES; s++)
        free(first[s]);
}

/* ---- training ---- */
enum { N_EXAMPLES = 4 };

typedef struct trainer {
    hone_train_example examples[N_EXAMPLES];
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    float *gradient;
    double loss;
} trainer;

/* Four examples; the first three begin with the same PREFIX tokens. */
static void begin_training(trainer *t, const rig *r)
{
    static const int sequences[N_EXAMPLES] = {0, 2, 5, 7}, prompts[N_EXAMPLES] = {34, 100, 33, 40};
    const hone_model_config *c = &r->model->config;
    memset(t, 0, sizeof *t);
    for (int i = 0; i < N_EXAMPLES; i++)
        t->examples[i] = (hone_train_example){r->ids[sequences[i]], (size_t)lengths[sequences[i]], (size_t)prompts[i]};
    assert_int_equal(hone_train_batch_create(MAX_ROWS, N_EXAMPLES, &t->batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(t->batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &t->pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(r->model, MAX_ROWS, r->adapters[0]->rank, &t->ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create(r->model, MAX_ROWS, r->adapters[0]->rank, &t->tape, NULL), HONE_OK);
    t->gradient = new_floats((int64_t)r->adapters[0]->n_parameters);
}

static void end_training(trainer *t)
{
    hone_train_batch_free(t->batch);
    hone_kv_pool_free(t->pool);
    hone_workspace_free(t->ws);
    hone_tape_free(t->tape);
    free(t->gradient);
}

/* Adds gradient and loss of examples[order[0..n)], as many as `at_a_time` in a micro-batch. */
static void add_gradient(trainer *t, const rig *r, const size_t *order, int64_t n, int64_t at_a_time, bool share)
{
    t->batch->share_prefix = share;
    for (int64_t done = 0; done < n;) {
        int64_t some = n - done < at_a_time ? n - done : at_a_time;
        done += hone_train_batch_fill(t->batch, t->examples, order + done, some, 0.02f, r->adapters[0]);
        hone_model_forward(r->model, t->pool, &t->batch->rows, t->ws, t->tape);
        t->loss += hone_model_backward(r->model, t->pool, &t->batch->rows, t->ws, t->tape, t->batch->labels,
                                       t->batch->n_labels, t->gradient);
    }
}

static const size_t straight[N_EXAMPLES] = {0, 1, 2, 3};

static void test_training_and_inference_have_the_same_forward_bits(void **state)
{
    const rig *r = *state;
    int64_t width = r->model->config.n_embd;
    for (int share = 0; share < 2; share++) {
        trainer t;
        begin_training(&t, r);
        t.batch->share_prefix = share;
        assert_int_equal(hone_train_batch_fill(t.batch, t.examples, straight, 3, 1, r->adapters[0]), 3);
        float *hidden = new_floats(t.batch->rows.n_rows * width);
        memcpy(hidden, hone_model_forward(r->model, t.pool, &t.batch->rows, t.ws, t.tape),
               (size_t)(t.batch->rows.n_rows * width) * sizeof *hidden);
        static const int sequences[] = {0, 2, 5};
        for (int i = 0; i < 3; i++) {
            rows b = {0};
            add_rows(&b, r, sequences[i], 0, lengths[sequences[i]] - 1, r->adapters[0]);
            const float *alone = run_rows(r, &b, NULL);
            const hone_span *span = &t.batch->spans[i + (t.batch->rows.n_spans > 3)];
            assert_int_equal(span->first_position, share ? PREFIX : 0);
            assert_int_equal(span->first_position + span->n_rows, lengths[sequences[i]] - 1);
            assert_true(same_bits(hidden + span->first_row * width, alone + span->first_position * width,
                                  span->n_rows * width));
            assert_true(same_bits(hidden, alone, share ? PREFIX * width : 0));
        }
        free(hidden);
        end_training(&t);
    }
}

/* How far gradients may be apart that differ in the order of additions: by rounding, 1e-7 of a sum, in f32. In bf16
 * such a difference turns the rounding of a number now and then, which then is off by 2^-8. */
static double order_tolerance(const rig *r)
{
    return r->numerics == HONE_NUMERICS_BF16 ? 1e-2 : 1e-5;
}

static void test_sharing_a_prefix_or_not_gives_the_same_gradient(void **state)
{
    const rig *r = *state;
    trainer shared, separate;
    begin_training(&shared, r);
    begin_training(&separate, r);
    add_gradient(&shared, r, straight, 3, 3, true);
    add_gradient(&separate, r, straight, 3, 3, false);
    assert_true(shared.batch->rows.n_rows + 2 * PREFIX == separate.batch->rows.n_rows);
    double apart = relative_l2f(shared.gradient, separate.gradient, (int64_t)r->adapters[0]->n_parameters);
    print_message("%s: shared against separate prefix: loss %.9f and %.9f, gradients apart by %.1e\n", r->name,
                  shared.loss, separate.loss, apart);
    assert_true(shared.loss == separate.loss); /* the forward pass has equal bits */
    assert_true(apart < order_tolerance(r));
    end_training(&shared);
    end_training(&separate);
}

static void test_micro_batches_add_up_to_the_whole(void **state)
{
    const rig *r = *state;
    trainer whole, parts;
    begin_training(&whole, r);
    add_gradient(&whole, r, straight, N_EXAMPLES, N_EXAMPLES, true);
    for (int64_t size = 1; size <= 3; size++) {
        begin_training(&parts, r);
        add_gradient(&parts, r, straight, N_EXAMPLES, size, true);
        assert_true(relative_l2f(parts.gradient, whole.gradient, (int64_t)r->adapters[0]->n_parameters) <
                    order_tolerance(r));
        assert_true(fabs(parts.loss - whole.loss) < 1e-9 * fabs(whole.loss));
        end_training(&parts);
    }
    end_training(&whole);
}

static void test_gradient_has_the_same_bits_with_any_number_of_threads(void **state)
{
    rig *r = *state;
    trainer first, other;
    begin_training(&first, r);
    add_gradient(&first, r, straight, N_EXAMPLES, N_EXAMPLES, true);
    for (int threads = 1; threads <= 5; threads++) {
        if (!r->ops_by_threads[threads])
            continue;
        r->model->ops = r->ops_by_threads[threads]; /* before the tape: its scratch is for this many threads */
        begin_training(&other, r);
        add_gradient(&other, r, straight, N_EXAMPLES, N_EXAMPLES, true);
        bool same = same_bits(first.gradient, other.gradient, (int64_t)r->adapters[0]->n_parameters) &&
                    first.loss == other.loss;
        end_training(&other);
        r->model->ops = r->ops;
        if (!same)
            fail_msg("%d threads (4: scalar kernels)", threads);
    }
    end_training(&first);
}

/* The same gradient in both classes: bfloat16 has 8 bits, so factors are off by 2^-9 at most, at random. */
static void test_the_gradient_in_bf16_is_near_that_in_f32(void **state)
{
    (void)state;
    rig *r = &tiny_bf16;
    trainer rounded, exact;
    hone_ops *f32;
    const hone_model_config *c = &r->model->config;
    assert_int_equal(hone_ops_create(2, &f32, NULL), HONE_OK);
    assert_int_equal(hone_ops_reserve_attention(f32, c->n_heads, c->n_kv_heads, c->head_dim, NULL), HONE_OK);
    begin_training(&rounded, r);
    add_gradient(&rounded, r, straight, N_EXAMPLES, N_EXAMPLES, true);
    r->model->ops = f32;
    begin_training(&exact, r);
    add_gradient(&exact, r, straight, N_EXAMPLES, N_EXAMPLES, true);
    r->model->ops = r->ops;
    double apart = relative_l2f(rounded.gradient, exact.gradient, (int64_t)r->adapters[0]->n_parameters);
    print_message("bf16 against f32: loss %.6f and %.6f, gradients apart by %.1e\n", rounded.loss, exact.loss, apart);
    assert_true(apart > 1e-5); /* two classes, not one twice */
    assert_true(apart < 2e-2 && fabs(rounded.loss - exact.loss) < 2e-3 * exact.loss);
    end_training(&rounded);
    end_training(&exact);
    hone_ops_free(f32);
}

/* ---- right values, tiny model ---- */
static double *parameters_as_doubles(const hone_adapter *a)
{
    double *p = exact_array((int64_t)a->n_parameters);
    for (size_t i = 0; i < a->n_parameters; i++)
        p[i] = (double)a->parameters[i];
    return p;
}

static void test_log_probabilities_are_those_of_the_model_in_double_precision(void **state)
{
    const rig *r = *state;
    int64_t width = r->model->config.n_embd;
    for (int adapted = 0; adapted < 2; adapted++) {
        const hone_adapter *a = adapted ? r->adapters[0] : NULL;
        double *parameters = a ? parameters_as_doubles(a) : NULL, worst = 0;
        exact_model m = {&r->file, &r->model->config, a, parameters};
        for (int s = 0; s < 3; s++) {
            int n = lengths[s];
            double *x = exact_array(n * width), exact[LONGEST];
            rows b = {0};
            exact_forward(&m, r->ids[s], n, x);
            exact_logprobs(&m, x, n - 1, r->ids[s] + 1, exact);
            add_rows(&b, r, s, 0, n, a);
            run_rows(r, &b, NULL);
            for (int32_t i = 0; i < n - 1; i++) {
                double lse, logprob;
                hone_op_log_softmax_stats(r->ops, 1, r->model->config.n_vocab,
                                          hone_model_logits(r->model, r->ws, &i, 1), r->ids[s] + i + 1, &lse, &logprob);
                worst = fmax(worst, fabs(logprob - exact[i]));
            }
            free(x);
        }
        print_message("%s%s: log-probabilities within %.1e of double precision\n", r->name, a ? " with adapter" : "",
                      worst);
        assert_true(worst < 2e-5);
        free(parameters);
    }
}

/* The trainer's loss in double precision, as a function of the adapter's parameters. */
static double exact_loss(const rig *r, const trainer *t, const double *parameters)
{
    exact_model m = {&r->file, &r->model->config, r->adapters[0], parameters};
    double loss = 0;
    for (int i = 0; i < 3; i++) {
        const hone_train_example *e = &t->examples[i];
        double *x = exact_array((int64_t)e->n_ids * r->model->config.n_embd), logprobs[LONGEST];
        exact_forward(&m, e->ids, (int64_t)e->n_ids - 1, x);
        exact_logprobs(&m, x, (int64_t)e->n_ids - 1, e->ids + 1, logprobs);
        for (size_t p = e->n_prompt; p < e->n_ids; p++)
            loss -= (double)0.02f * logprobs[p - 1];
        free(x);
    }
    return loss;
}

static void test_gradient_of_every_kind_of_layer_is_the_slope_of_the_loss(void **state)
{
    const rig *r = *state;
    const hone_adapter *a = r->adapters[0];
    double *parameters = parameters_as_doubles(a), h = 1e-4, worst = 0;
    trainer t;
    begin_training(&t, r);
    add_gradient(&t, r, straight, 3, 3, true);
    assert_true(fabs(t.loss - exact_loss(r, &t, parameters)) < 1e-6 * t.loss);
    double largest = 0;
    for (size_t i = 0; i < a->n_parameters; i++)
        largest = fmax(largest, fabs((double)t.gradient[i]));
    for (int layer = 0; layer < TINY_LAYERS; layer++)
        for (int which = 0; which < HONE_N_LINEARS; which++)
            for (int part = 0; part < 2; part++) {
                const hone_lora *l = hone_adapter_at(a, layer, (hone_linear)which);
                size_t at = part ? l->b_at : l->a_at, n = (size_t)(a->rank * (part ? l->n_out : l->n_in));
                /* the slope along the direction of the gradient itself and along one random direction: all elements of
                 * the matrix at once */
                for (int along = 0; along < 2; along++) {
                    double expected = 0, size = 0, *moved = parameters_as_doubles(a),
                           *direction = exact_array((int64_t)n);
                    for (size_t i = 0; i < n; i++) {
                        direction[i] = along ? hone_rng_normal((hone_rng_key){4, HONE_RNG_TEST, (uint32_t)at}, i)
                                             : (double)t.gradient[at + i];
                        size += direction[i] * direction[i];
                    }
                    assert_true(size > 0);
                    for (size_t i = 0; i < n; i++) {
                        direction[i] /= sqrt(size);
                        expected += direction[i] * (double)t.gradient[at + i];
                        moved[at + i] += h * direction[i];
                    }
                    double above = exact_loss(r, &t, moved);
                    for (size_t i = 0; i < n; i++)
                        moved[at + i] -= 2 * h * direction[i];
                    double slope = (above - exact_loss(r, &t, moved)) / (2 * h),
                           error = fabs(slope - expected) / (fabs(slope) + 0.01 * largest);
                    worst = fmax(worst, error);
                    if (!(error < 1e-4))
                        fail_msg("layer %d %s %s: along %s the loss rises by %.9g, the gradient says %.9g", layer,
                                 hone_linear_name((hone_linear)which), part ? "B" : "A",
                                 along ? "a random direction" : "the gradient", slope, expected);
                    free(moved);
                    free(direction);
                }
            }
    print_message("slopes agree within %.1e\n", worst);
    end_training(&t);
    free(parameters);
}

/* ---- adapters as files ---- */
static void test_a_saved_adapter_gives_the_same_bits_when_loaded(void **state)
{
    const rig *r = *state;
    const char *folder = temporary_path(r->name);
    hone_adapter *loaded = NULL;
    hone_error err;
    if (hone_adapter_save(r->adapters[0], folder, "base", &err) != HONE_OK ||
        hone_adapter_load(r->model, folder, &loaded, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_true(same_bits(loaded->parameters, r->adapters[0]->parameters, (int64_t)loaded->n_parameters));
    assert_string_equal(loaded->hash, r->adapters[0]->hash);
    rows b = {0};
    float *first = new_floats(lengths[6] * r->model->config.n_embd);
    add_rows(&b, r, 6, 0, lengths[6], r->adapters[0]);
    memcpy(first, run_rows(r, &b, NULL), (size_t)(lengths[6] * r->model->config.n_embd) * sizeof *first);
    forget_rows(&b);
    add_rows(&b, r, 6, 0, lengths[6], loaded);
    assert_true(same_bits(run_rows(r, &b, NULL), first, lengths[6] * r->model->config.n_embd));
    free(first);
    hone_adapter_free(loaded);
}

/* PEFT's files have Hugging Face's order of rows, where a rotary pair is (i, i + dim/2); a llama-architecture GGUF has
 * (2i, 2i+1). The formula is llama.cpp's, which reshapes a head's rows to [2, dim/2] and swaps the axes. */
static void test_a_saved_adapter_has_the_row_order_of_hugging_face(void **state)
{
    const rig *r = *state;
    const hone_adapter *a = r->adapters[0];
    int64_t dim = r->model->config.head_dim;
    hone_safetensors file;
    assert_int_equal(hone_adapter_save(a, temporary_path("order"), "base", NULL), HONE_OK);
    assert_int_equal(hone_safetensors_open(temporary_path("order/adapter_model.safetensors"), &file, NULL), HONE_OK);
    assert_int_equal(file.n_tensors, 2 * HONE_N_LINEARS * r->model->config.n_layers);
    for (int which = 0; which < HONE_N_LINEARS; which++) {
        const hone_lora *l = hone_adapter_at(a, 1, (hone_linear)which);
        char name[160];
        snprintf(name, sizeof name, "base_model.model.model.layers.1.%s.lora_B.weight",
                 hone_linear_path((hone_linear)which));
        const hone_safetensor *t = hone_safetensors_find(&file, name);
        assert_non_null(t);
        for (int64_t head = 0; head < l->n_out / dim; head++)
            for (int64_t i = 0; i < dim; i++) {
                bool turned = which == HONE_ATTN_Q || which == HONE_ATTN_K;
                int64_t theirs = head * dim + (turned ? i % 2 * (dim / 2) + i / 2 : i);
                for (int k = 0; k < a->rank; k++)
                    assert_true(hone_safetensor_at(t, theirs * a->rank + k) == l->b_t[k * l->n_out + head * dim + i]);
            }
    }
    hone_safetensors_close(&file);
}

/* Copies the adapter's config with one text replaced. */
static hone_status load_changed(const rig *r, const char *find, const char *replace, hone_error *err)
{
    char folder[300];
    hone_buffer config = {0}, changed = {0};
    hone_adapter *a = NULL;
    snprintf(folder, sizeof folder, "%s", temporary_path("changed"));
    assert_int_equal(hone_adapter_save(r->adapters[0], folder, "base", NULL), HONE_OK);
    assert_int_equal(hone_file_read(temporary_path("changed/adapter_config.json"), 0, &config, NULL), HONE_OK);
    char *at = strstr(config.data, find);
    assert_non_null(at);
    hone_buffer_append(&changed, config.data, (size_t)(at - config.data));
    hone_buffer_puts(&changed, replace);
    hone_buffer_puts(&changed, at + strlen(find));
    temporary_bytes("changed/adapter_config.json", changed.data, changed.length);
    hone_status status = hone_adapter_load(r->model, folder, &a, err);
    assert_true((status == HONE_OK) == (a != NULL));
    hone_adapter_free(a);
    hone_buffer_clear(&config);
    hone_buffer_clear(&changed);
    return status;
}

static void test_adapters_that_hone_cannot_load_are_refused_by_name(void **state)
{
    const rig *r = *state;
    hone_error err;
    assert_int_equal(load_changed(r, "\"use_dora\": false", "\"use_dora\": true", &err), HONE_BAD_FORMAT);
    assert_says(err, "lora_magnitude_vector\" is missing");
    assert_int_equal(load_changed(r, "\"use_dora\": false", "\"use_qalora\": true", &err), HONE_UNSUPPORTED);
    assert_says(err, "use_qalora");
    assert_int_equal(load_changed(r, "\"bias\": \"none\"", "\"bias\": \"all\"", &err), HONE_UNSUPPORTED);
    assert_says(err, "bias");
    assert_int_equal(load_changed(r, "\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 8}", &err),
                     HONE_BAD_INPUT); /* the tensors have rank 3 */
    assert_says(err, "q_proj");
    assert_int_equal(load_changed(r, "\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj(\": 3}", &err),
                     HONE_BAD_INPUT);
    assert_says(err, "not a regular expression");
    assert_int_equal(load_changed(r, "\"alpha_pattern\": {}", "\"alpha_pattern\": {\"q_proj\": -1}", &err),
                     HONE_BAD_FORMAT);
    assert_says(err, "alpha_pattern");
    assert_int_equal(load_changed(r, "\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", &err),
                     HONE_UNSUPPORTED);
    assert_says(err, "modules_to_save");
    assert_int_equal(load_changed(r, "\"LORA\"", "\"IA3\"", &err), HONE_UNSUPPORTED);
    assert_says(err, "IA3");
    assert_int_equal(load_changed(r, "\"r\": 3", "\"r\": 4", &err), HONE_BAD_INPUT);
    assert_int_equal(load_changed(r, "\"r\": 3", "\"r\": 0", &err), HONE_BAD_INPUT);
    assert_int_equal(load_changed(r, "\"r\": 3", "\"r\": 4294967299", &err), HONE_BAD_INPUT); /* 2^32 + 3 is not 3 */
    assert_int_equal(load_changed(r, "\"r\": 3", "\"r\": \"3\"", &err), HONE_BAD_INPUT);
    assert_int_equal(load_changed(r, "\"lora_alpha\": 6", "\"lora_alpha\": -6", &err), HONE_BAD_INPUT);
    assert_int_equal(load_changed(r, "{", "[", &err), HONE_BAD_FORMAT);
    assert_int_equal(load_changed(r, "\"r\": 3", "\"r\": 3", &err), HONE_OK);
}

/* ---- rigs ---- */
static void fill_adapter(const rig *r, hone_adapter *a, uint32_t stream)
{
    hone_adapter_init(a, stream);
    for (int i = 0; i < r->model->config.n_layers * HONE_N_LINEARS; i++) {
        hone_lora *l = &a->loras[i];
        fill_normal(l->b_t, a->rank * l->n_out, stream * 1000 + (uint32_t)i, 0.3 / sqrt((double)l->n_out));
    }
    hone_adapter_refresh(r->ops, a);
    hone_adapter_hash(a);
}

static int open_rig(rig *r, const char *name, const char *path, hone_numerics numerics)
{
    static const int threads[] = {1, 2, 3, 5};
    hone_error err;
    r->name = name;
    r->numerics = numerics;
    for (int i = 0; i < 4; i++)
        if (hone_ops_create_as(numerics, threads[i], &r->ops_by_threads[threads[i]], &err) != HONE_OK)
            goto failed;
    if (r == &tiny || r == &tiny_bf16) {
        setenv("HONE_CPU", "scalar", 1);
        hone_status status = hone_ops_create_as(numerics, 2, &r->ops_by_threads[4], &err);
        unsetenv("HONE_CPU");
        if (status != HONE_OK)
            goto failed;
    }
    r->ops = r->ops_by_threads[2];
    if (hone_gguf_open(path, &r->file, &err) != HONE_OK ||
        hone_model_open(r->ops, &r->file, &r->model, &err) != HONE_OK)
        goto failed;
    const hone_model_config *c = &r->model->config;
    for (int i = 1; i <= 5; i++)
        if (r->ops_by_threads[i] &&
            hone_ops_reserve_attention(r->ops_by_threads[i], c->n_heads, c->n_kv_heads, c->head_dim, &err) != HONE_OK)
            goto failed;
    if (hone_kv_pool_create(N_PAGES, c->n_layers, c->n_kv_heads, c->head_dim, &r->pool, &err) != HONE_OK ||
        hone_workspace_create(r->model, MAX_ROWS, 4, &r->ws, &err) != HONE_OK ||
        hone_adapter_create(c, 3, 6, &r->adapters[0], &err) != HONE_OK ||
        hone_adapter_create(c, 2, 7, &r->adapters[1], &err) != HONE_OK)
        goto failed;
    for (int i = 0; i < 2; i++)
        fill_adapter(r, r->adapters[i], 31 + (uint32_t)i);
    for (int s = 0; s < N_SEQUENCES; s++)
        for (int i = 0; i < LONGEST; i++) {
            bool common = i < PREFIX && (s == 0 || s == 2 || s == 5);
            r->ids[s][i] = (int32_t)hone_rng_below((hone_rng_key){8, HONE_RNG_TEST, common ? 0 : (uint32_t)s},
                                                   (uint64_t)i, (uint64_t)c->n_vocab);
        }
    for (int s = 0; s < N_SEQUENCES; s++) {
        rows b = {0};
        size_t bytes = (size_t)(lengths[s] * c->n_embd) * sizeof(float);
        add_rows(&b, r, s, 0, lengths[s], NULL);
        r->alone[s] = malloc(bytes);
        memcpy(r->alone[s], run_rows(r, &b, NULL), bytes);
    }
    return 0;
failed:
    print_error("%s: %s\n", path, err.message);
    return -1;
}

static int write_and_open_tiny(void **state, rig *r, const char *name, hone_numerics numerics)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    const char *path = temporary_path("tiny.gguf");
    if (tiny_model_write(path, &err) != HONE_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    return open_rig(r, name, path, numerics);
}

static int open_tiny(void **state)
{
    return write_and_open_tiny(state, &tiny, "tiny", HONE_NUMERICS_F32);
}

static int open_tiny_bf16(void **state)
{
    return write_and_open_tiny(state, &tiny_bf16, "tiny, bf16", HONE_NUMERICS_BF16);
}

static int open_real(void **state)
{
    return temporary_begin(state) != 0 ? -1 : open_rig(&real, "real", hone_test_model(), HONE_NUMERICS_F32);
}

static int open_real_bf16(void **state)
{
    return temporary_begin(state) != 0 ? -1 : open_rig(&real_bf16, "real, bf16", hone_test_model(), HONE_NUMERICS_BF16);
}

static void close_rig(rig *r)
{
    for (int s = 0; s < N_SEQUENCES; s++)
        free(r->alone[s]);
    for (int i = 0; i < 2; i++)
        hone_adapter_free(r->adapters[i]);
    hone_workspace_free(r->ws);
    hone_kv_pool_free(r->pool);
    hone_model_close(r->model);
    hone_gguf_close(&r->file);
    for (int i = 1; i <= 5; i++)
        hone_ops_free(r->ops_by_threads[i]);
}

static int close_tiny(void **state)
{
    close_rig(&tiny);
    return temporary_end(state);
}

static int close_tiny_bf16(void **state)
{
    close_rig(&tiny_bf16);
    return temporary_end(state);
}

static int close_real(void **state)
{
    close_rig(&real);
    return temporary_end(state);
}

static int close_real_bf16(void **state)
{
    close_rig(&real_bf16);
    return temporary_end(state);
}

#define SAME_BITS(r)                                                                                                   \
    cmocka_unit_test_prestate(test_a_sequence_has_the_same_bits_among_others, r),                                      \
        cmocka_unit_test_prestate(test_a_prompt_has_the_same_bits_in_chunks, r),                                       \
        cmocka_unit_test_prestate(test_decoding_beside_prefill_has_the_same_bits, r),                                  \
        cmocka_unit_test_prestate(test_any_number_of_threads_gives_the_same_bits, r),                                  \
        cmocka_unit_test_prestate(test_cached_prefix_pages_give_the_same_bits, r),                                     \
        cmocka_unit_test_prestate(test_ways_through_a_tree_have_the_bits_of_plain_sequences, r),                       \
        cmocka_unit_test_prestate(test_logits_have_the_same_bits_in_any_company, r),                                   \
        cmocka_unit_test_prestate(test_adapters_in_any_order_give_the_same_bits, r),                                   \
        cmocka_unit_test_prestate(test_training_and_inference_have_the_same_forward_bits, r),                          \
        cmocka_unit_test_prestate(test_sharing_a_prefix_or_not_gives_the_same_gradient, r),                            \
        cmocka_unit_test_prestate(test_a_saved_adapter_gives_the_same_bits_when_loaded, r)

int main(void)
{
    const struct CMUnitTest tiny_tests[] = {
        SAME_BITS(&tiny),
        cmocka_unit_test_prestate(test_micro_batches_add_up_to_the_whole, &tiny),
        cmocka_unit_test_prestate(test_gradient_has_the_same_bits_with_any_number_of_threads, &tiny),
        cmocka_unit_test_prestate(test_log_probabilities_are_those_of_the_model_in_double_precision, &tiny),
        cmocka_unit_test_prestate(test_gradient_of_every_kind_of_layer_is_the_slope_of_the_loss, &tiny),
        cmocka_unit_test_prestate(test_a_saved_adapter_has_the_row_order_of_hugging_face, &tiny),
        cmocka_unit_test_prestate(test_adapters_that_hone_cannot_load_are_refused_by_name, &tiny),
    };
    const struct CMUnitTest tiny_bf16_tests[] = {
        SAME_BITS(&tiny_bf16),
        cmocka_unit_test_prestate(test_micro_batches_add_up_to_the_whole, &tiny_bf16),
        cmocka_unit_test_prestate(test_gradient_has_the_same_bits_with_any_number_of_threads, &tiny_bf16),
        cmocka_unit_test(test_the_gradient_in_bf16_is_near_that_in_f32),
    };
    const struct CMUnitTest real_tests[] = {SAME_BITS(&real)}, real_bf16_tests[] = {SAME_BITS(&real_bf16)};
    int failed = cmocka_run_group_tests_name("a tiny model", tiny_tests, open_tiny, close_tiny);
    failed += cmocka_run_group_tests_name("a tiny model, bf16", tiny_bf16_tests, open_tiny_bf16, close_tiny_bf16);
#if defined(__SANITIZE_ADDRESS__)
    fprintf(stderr, "skipped under the address sanitizer: the same claims on the real model\n");
#else
    hone_ops *ops = NULL;
    bool fast = hone_ops_create(1, &ops, NULL) == HONE_OK && hone_ops_has_bf16(ops);
    hone_ops_free(ops);
    if (hone_test_model())
        failed += cmocka_run_group_tests_name("the real model", real_tests, open_real, close_real);
    if (hone_test_model() && fast)
        failed += cmocka_run_group_tests_name("the real model, bf16", real_bf16_tests, open_real_bf16, close_real_bf16);
    else if (hone_test_model())
        fprintf(stderr,
                "skipped: the same claims on the real model in bf16; no AVX-512 BF16 here, it would take long\n");
#endif
    (void)real_tests, (void)open_real, (void)close_real;
    (void)real_bf16_tests, (void)open_real_bf16, (void)close_real_bf16;
    return failed;
}
