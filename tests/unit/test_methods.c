/* test_methods.c - LoRA, rsLoRA, DoRA and full fine-tuning against PyTorch and PEFT: loss, logits and every gradient of
 * a step on a very small model (tests/data/tiny_gradients.safetensors and tiny_dora/, from
 * tools/make_tiny_gradients.py); LoRA, DoRA and full on a very small Gemma 3 too (tiny_gemma_gradients.safetensors). */
#include "base/hash.h"
#include "format/safetensors.h"
#include "formula_model.h"
#include "model/adapter_targets.h"
#include "model/tuned.h"
#include "numbers.h"
#include "tiny_gemma.h"
#include "train/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { MOST_ROWS = 32, LABELS = 9 };
#define DATA HONE_SOURCE_DIR "/tests/data/"
#define LOSS_LIMIT 1e-5
#define GRADIENT_LIMIT 1e-4 /* relative L2 of each tensor */

static const int32_t first_ids[] = {3, 17, 41, 8, 29, 2, 2, 40, 11, 35, 7, 19}, second_ids[] = {3, 17, 41, 8, 5, 44, 1};
static const hone_train_example examples[] = {{first_ids, 12, 6}, {second_ids, 7, 4}};

static hone_ops *ops;
static hone_gguf file;
static hone_model *model;
static hone_safetensors recorded;

static const hone_safetensor *find(const char *kind, const char *name)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s.%s", kind, name);
    const hone_safetensor *t = hone_safetensors_find(&recorded, whole);
    if (!t)
        fail_msg("no tensor \"%s\"", whole);
    return t;
}

typedef struct step {
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    float *gradient;
} step;

static void begin(step *s, const hone_model *m, const hone_tape_size *size, size_t n_parameters)
{
    const hone_model_config *c = &m->config;
    hone_tape_size own = *size;
    own.max_rows = MOST_ROWS;
    assert_int_equal(hone_train_batch_create(MOST_ROWS, 2, &s->batch, NULL), HONE_OK);
    assert_int_equal(hone_kv_pool_create(s->batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &s->pool, NULL),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(m, MOST_ROWS, size->rank, &s->ws, NULL), HONE_OK);
    assert_int_equal(hone_tape_create_as(m, &own, &s->tape, NULL), HONE_OK);
    s->gradient = new_floats((int64_t)n_parameters);
}

static void end(step *s)
{
    hone_train_batch_free(s->batch);
    hone_kv_pool_free(s->pool);
    hone_workspace_free(s->ws);
    hone_tape_free(s->tape);
    free(s->gradient);
}

/* Both examples in one batch, their common beginning once. */
static double run(step *s, const hone_model *m, const hone_adapter *adapter)
{
    static const size_t order[] = {0, 1};
    assert_int_equal(hone_train_batch_fill(s->batch, examples, order, 2, 1.0f / LABELS, adapter), 2);
    hone_model_forward(m, s->pool, &s->batch->rows, s->ws, s->tape);
    return hone_model_backward(m, s->pool, &s->batch->rows, s->ws, s->tape, s->batch->labels, s->batch->n_labels,
                               s->gradient);
}

static void check_loss(const char *kind, double loss)
{
    double theirs = (double)hone_safetensor_at(find(kind, "loss"), 0);
    print_message("%s: loss %.7f, apart by %.1e\n", kind, loss, loss / theirs - 1);
    assert_true(fabs(loss / theirs - 1) < LOSS_LIMIT);
}

/* ours[row * row_step + i * step] for element (row, i) of their tensor; rows of q and k are found where the model has
 * them. */
static double compare(const char *kind, const char *name, const float *ours, int64_t row_step, int64_t i_step,
                      bool permuted)
{
    const hone_safetensor *t = find(kind, name);
    double difference = 0, size = 0;
    for (int64_t row = 0; row < t->shape[0]; row++)
        for (int64_t i = 0; i < t->shape[1]; i++) {
            int64_t there = permuted ? formula_their_row(row) : row;
            double theirs = (double)hone_safetensor_at(t, there * t->shape[1] + i),
                   d = (double)ours[row * row_step + i * i_step] - theirs;
            difference += d * d;
            size += theirs * theirs;
        }
    double apart = sqrt(difference / size);
    if (!(apart <= GRADIENT_LIMIT))
        fail_msg("%s.%s: apart by %.2e", kind, name, apart);
    return apart;
}

static bool is_permuted(int which)
{
    return !model->config.rope_half_split && (which == HONE_ATTN_Q || which == HONE_ATTN_K);
}

static hone_adapter *make_adapter(const hone_adapter_choice *choice)
{
    hone_adapter *a;
    hone_error err;
    if (hone_adapter_create_chosen(&model->config, choice, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (int k = 0; k < FORMULA_LAYERS * HONE_N_LINEARS; k++) {
        hone_lora *l = &a->loras[k];
        bool permuted = is_permuted(k % HONE_N_LINEARS);
        for (int64_t j = 0; j < l->rank * l->n_in; j++)
            l->a[j] = (float)(0.05 * sin(0.7 * (double)j + k));
        for (int64_t row = 0; row < l->n_out; row++) {
            int64_t theirs = permuted ? formula_their_row(row) : row;
            for (int r = 0; r < l->rank; r++)
                l->b_t[r * l->n_out + row] = (float)(0.02 * cos(0.9 * (double)(theirs * l->rank + r) + k));
            if (l->magnitude) /* so far the row's length */
                l->magnitude[row] *= (float)(1 + 0.1 * sin(0.3 * (double)theirs + k));
        }
    }
    hone_adapter_refresh(ops, a);
    return a;
}

static void check_adapter(const char *kind, const hone_adapter_choice *choice)
{
    static const char *const parts[] = {"lora_A.default.weight", "lora_B.default.weight",
                                        "lora_magnitude_vector.default.weight"};
    hone_adapter *a = make_adapter(choice);
    hone_tape_size size = {.rank = a->rank, .dora = a->dora_base != NULL};
    step s;
    begin(&s, model, &size, a->n_parameters);
    check_loss(kind, run(&s, model, a));
    double worst = 0;
    for (int k = 0; k < FORMULA_LAYERS * HONE_N_LINEARS; k++) {
        const hone_lora *l = &a->loras[k];
        bool permuted = is_permuted(k % HONE_N_LINEARS);
        for (int part = 0; part < (l->magnitude ? 3 : 2); part++) {
            char module[128], name[200];
            hone_adapter_module_name(k / HONE_N_LINEARS, (hone_linear)(k % HONE_N_LINEARS), module);
            snprintf(name, sizeof name, "base_model.model.%s.%s", module, parts[part]);
            const float *ours = s.gradient + (part == 0 ? l->a_at : part == 1 ? l->b_at : l->magnitude_at);
            worst = fmax(worst, compare(kind, name, ours, part == 0 ? l->n_in : 1, part == 1 ? l->n_out : 1,
                                        permuted && part > 0));
        }
    }
    print_message("%s: gradients apart by %.1e at most\n", kind, worst);
    end(&s);
    hone_adapter_free(a);
}

static void test_gradients_of_lora_and_rslora_are_those_of_peft(void **state)
{
    (void)state;
    check_adapter("lora", &(hone_adapter_choice){.rank = 2, .alpha = 4});
    check_adapter("rslora", &(hone_adapter_choice){.rank = 3, .alpha = 3, .rslora = true});
}

static void test_gradients_of_dora_are_those_of_peft(void **state)
{
    (void)state;
    check_adapter("dora", &(hone_adapter_choice){.rank = 2, .alpha = 4, .dora_base = model});
}

/* Logits of both sequences with the adapter that PEFT saved. */
static void test_a_dora_adapter_that_peft_saved_gives_pefts_logits(void **state)
{
    (void)state;
    hone_adapter *a, *again;
    hone_error err;
    step s;
    if (hone_adapter_load(model, DATA "tiny_dora", &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_adapter_save(a, temporary_path("dora"), "base", &err), HONE_OK);
    assert_int_equal(hone_adapter_load(model, temporary_path("dora"), &again, &err), HONE_OK);
    assert_string_equal(a->hash, again->hash);
    assert_memory_equal(a->parameters, again->parameters, a->n_parameters * sizeof(float));
    begin(&s, model, &(hone_tape_size){.rank = a->rank, .dora = true}, a->n_parameters);
    for (size_t i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "logits.%zu", i);
        const hone_safetensor *t = find("dora", name);
        hone_train_batch_fill(s.batch, examples, &i, 1, 1, a);
        hone_model_forward(model, s.pool, &s.batch->rows, s.ws, NULL);
        for (int32_t row = 0; row < (int32_t)examples[i].n_ids - 1; row++) {
            const float *logits = hone_model_logits(model, s.ws, &row, 1);
            for (int v = 0; v < FORMULA_VOCAB; v++)
                assert_true(fabs((double)logits[v] - (double)hone_safetensor_at(t, row * FORMULA_VOCAB + v)) < 2e-5);
        }
    }
    end(&s);
    hone_adapter_free(a);
    hone_adapter_free(again);
}

/* Full fine-tuning changes the model that it runs on, so each case opens its own. */
static hone_model *open_own(void)
{
    hone_model *own;
    hone_error err;
    if (hone_model_open(ops, &file, &own, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return own;
}

/* A matrix in panels as rows. */
static float *unpanelled(const float *panels, int64_t n_out, int64_t n_in)
{
    float *rows = new_floats(n_out * n_in);
    for (int64_t o = 0; o < n_out; o++)
        for (int64_t i = 0; i < n_in; i++)
            rows[o * n_in + i] = panels[(o / 16 * n_in + i) * 16 + o % 16];
    return rows;
}

static double compare_matrix(const char *name, const float *panels, int64_t n_out, int64_t n_in, bool permuted)
{
    float *rows = unpanelled(panels, n_out, n_in);
    double apart = compare("full", name, rows, n_in, 1, permuted);
    free(rows);
    return apart;
}

static double compare_norm(const char *name, const float *ours)
{
    const hone_safetensor *t = find("full", name);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < t->shape[0]; i++) {
        double theirs = (double)hone_safetensor_at(t, i), d = (double)ours[i] - theirs;
        difference += d * d;
        size += theirs * theirs;
    }
    if (!(sqrt(difference / size) <= GRADIENT_LIMIT))
        fail_msg("%s: apart by %.2e", name, sqrt(difference / size));
    return sqrt(difference / size);
}

static const char *their_norm(const hone_model_config *c, hone_norm which)
{
    static const char *const names[HONE_N_NORMS] = {
        [HONE_ATTN_NORM] = "input_layernorm",
        [HONE_Q_NORM] = "self_attn.q_norm",
        [HONE_K_NORM] = "self_attn.k_norm",
        [HONE_ATTN_POST_NORM] = "post_attention_layernorm",
        [HONE_FFN_NORM] = "pre_feedforward_layernorm",
        [HONE_FFN_POST_NORM] = "post_feedforward_layernorm",
    };
    return which == HONE_FFN_NORM && !c->post_norms ? "post_attention_layernorm" : names[which]; /* llama's own name */
}

/* first: the lowest block that learns. */
static void check_full(int first)
{
    hone_model *own = open_own();
    const hone_model_config *c = &own->config;
    bool layers[FORMULA_LAYERS];
    hone_error err;
    char name[160];
    double worst = 0;
    step s;
    for (int l = 0; l < FORMULA_LAYERS; l++)
        layers[l] = l >= first;
    if (hone_model_unfreeze(own, layers, &err) != HONE_OK)
        fail_msg("%s", err.message);
    const hone_tuned *t = own->tuned;
    assert_int_equal(t->n_parameters, hone_model_count_tuned(own, layers));
    begin(&s, own, &(hone_tape_size){.first_layer = first}, t->n_parameters);
    check_loss("full", run(&s, own, NULL));
    assert_int_equal(t->whole, first == 0);
    if (t->whole) {
        worst = fmax(worst, compare_matrix("model.embed_tokens.weight", s.gradient + t->token_embd_at, c->n_vocab,
                                           c->n_embd, false));
        worst = fmax(worst, compare_norm("model.norm.weight", s.gradient + t->output_norm_at));
    }
    for (int64_t l = first; l < FORMULA_LAYERS; l++) {
        for (int i = 0; i < HONE_N_NORMS; i++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", (int)l, their_norm(c, (hone_norm)i));
            if (hone_model_norm_width(c, (hone_norm)i) > 0)
                worst = fmax(worst, compare_norm(name, s.gradient + t->layers[l].norm_at[i]));
        }
        for (int i = 0; i < HONE_N_LINEARS; i++) {
            char module[128];
            int64_t n_out, n_in;
            hone_model_linear_shape(c, (hone_linear)i, &n_out, &n_in);
            hone_adapter_module_name(l, (hone_linear)i, module);
            snprintf(name, sizeof name, "%s.weight", module);
            worst =
                fmax(worst, compare_matrix(name, s.gradient + t->layers[l].linear_at[i], n_out, n_in, is_permuted(i)));
        }
    }
    print_message("full, from block %d on: gradients apart by %.1e at most\n", first, worst);
    end(&s);
    hone_model_close(own);
}

static void test_gradients_of_full_tuning_are_those_of_pytorch(void **state)
{
    (void)state;
    check_full(0);
}

/* Frozen blocks change no gradient above them. */
static void test_gradients_above_frozen_blocks_are_those_of_pytorch(void **state)
{
    (void)state;
    check_full(2);
}

/* A changed model, written and opened again, answers with the same bits; blocks that did not learn keep their bytes. */
static void test_a_tuned_model_is_the_same_after_writing_and_opening(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        hone_model *own = open_own(), *again;
        hone_gguf written;
        hone_error err;
        bool layers[FORMULA_LAYERS];
        float *hidden[2];
        size_t order = 0;
        step s;
        for (int l = 0; l < FORMULA_LAYERS; l++)
            layers[l] = l >= first;
        assert_int_equal(hone_model_unfreeze(own, layers, &err), HONE_OK);
        for (size_t i = 0; i < own->tuned->n_parameters; i++)
            own->tuned->parameters[i] *= 1 + 0.01f * (float)(i % 7);
        if (hone_model_write_tuned(own, &file, NULL, &(hone_tuned_output){0}, temporary_path("tuned.gguf"), &err) !=
            HONE_OK)
            fail_msg("%s", err.message);
        assert_int_equal(hone_gguf_open(temporary_path("tuned.gguf"), &written, &err), HONE_OK);
        if (hone_model_open(ops, &written, &again, &err) != HONE_OK)
            fail_msg("%s", err.message);
        begin(&s, own, &(hone_tape_size){0}, 1);
        for (int i = 0; i < 2; i++) {
            hone_train_batch_fill(s.batch, examples, &order, 1, 1, NULL);
            const float *x = hone_model_forward(i ? again : own, s.pool, &s.batch->rows, s.ws, NULL);
            hidden[i] = new_floats(11 * FORMULA_EMBD);
            memcpy(hidden[i], x, 11 * FORMULA_EMBD * sizeof(float));
        }
        assert_memory_equal(hidden[0], hidden[1], 11 * FORMULA_EMBD * sizeof(float));
        const hone_gguf_tensor *a = hone_gguf_find_tensor(&file, "blk.0.ffn_down.weight"),
                               *b = hone_gguf_find_tensor(&written, "blk.0.ffn_down.weight");
        assert_int_equal(memcmp(a->data, b->data, a->size_bytes) == 0, first > 0);
        free(hidden[0]), free(hidden[1]);
        end(&s);
        hone_model_close(own);
        hone_model_close(again);
        hone_gguf_close(&written);
    }
}

/* ---- whole runs, on the random model of every weight format ---- */
typedef struct judge {
    hone_engine *engine;
    const int32_t *ids;
    size_t n_ids;
    int asked, fail_at;
} judge;

static double answer_loss(hone_engine *engine, const hone_adapter *adapter, const hone_train_example *e)
{
    hone_request request = {.ids = e->ids, .n_ids = e->n_ids, .adapter = adapter, .want_prompt_logprobs = true};
    hone_response response = {0};
    hone_error err;
    double loss = 0;
    if (hone_engine_run(engine, &request, 1, &response, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
    for (size_t i = e->n_prompt; i < e->n_ids; i++)
        loss -= (double)response.prompt_logprobs[i];
    hone_response_clear(&response);
    return loss;
}

/* The engine answers with what is trained as it is now: the same loss as a moment before the last step cannot be. */
static hone_status give_score(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    judge *j = context;
    if (++j->asked == j->fail_at)
        return hone_fail(err, HONE_IO, "the judge is ill");
    out->score = -answer_loss(j->engine, adapter, &examples[0]);
    return HONE_OK;
}

static hone_engine *open_tiny(int n_threads)
{
    hone_engine *engine;
    hone_error err;
    if (hone_engine_open(temporary_path("tiny.gguf"), &(hone_engine_options){.n_threads = n_threads}, &engine, &err) !=
        HONE_OK)
        fail_msg("%s", err.message);
    return engine;
}

static hone_tuned_output output; /* of the runs that follow */

/* Trains in `folder`, which may hold an interrupted run; fail_at: the score at which it is interrupted, 0: never. */
static hone_status train_in(const char *folder, hone_train_method method, const char *frozen, int n_threads,
                            int fail_at, hone_train_result *result)
{
    hone_engine *engine = open_tiny(n_threads);
    hone_train_options o;
    hone_error err;
    hone_train_options_defaults(&o);
    o.method = method;
    o.output = output;
    o.frozen = frozen;
    o.folder = temporary_path(folder);
    o.rank = 4;
    o.alpha = 8;
    o.learning_rate = method == HONE_METHOD_FULL ? 1e-3 : 1e-2;
    o.epochs = 4;
    o.batch = 1;
    judge j = {.engine = engine, .fail_at = fail_at};
    hone_status status = hone_train(engine, examples, 2, &o, give_score, &j, NULL, result, &err);
    if (status != HONE_OK && !fail_at)
        fail_msg("%s", err.message);
    hone_engine_close(engine);
    return status;
}

static void check_same_file(const char *a, const char *b)
{
    char first[65], second[65];
    assert_int_equal(hone_sha256_file(temporary_path(a), first, NULL), HONE_OK);
    assert_int_equal(hone_sha256_file(temporary_path(b), second, NULL), HONE_OK);
    assert_string_equal(first, second);
}

static void check_runs(hone_train_method method, const char *frozen, const char *file_name)
{
    hone_train_result straight, continued, threads;
    char a[64], b[64], c[64];
    static int number;
    number++;
    const char *const names[] = {"straight", "continued", "threads"};
    char folders[3][32];
    for (int i = 0; i < 3; i++)
        snprintf(folders[i], sizeof folders[i], "%s%d", names[i], number);
    assert_int_equal(train_in(folders[0], method, frozen, 2, 0, &straight), HONE_OK);
    assert_int_equal(train_in(folders[1], method, frozen, 2, 3, &continued), HONE_IO); /* two of four epochs are done */
    assert_int_equal(train_in(folders[1], method, frozen, 2, 0, &continued), HONE_OK);
    assert_true(continued.resumed);
    assert_int_equal(train_in(folders[2], method, frozen, 3, 0, &threads), HONE_OK);
    snprintf(a, sizeof a, "%s/%s", folders[0], file_name);
    snprintf(b, sizeof b, "%s/%s", folders[1], file_name);
    snprintf(c, sizeof c, "%s/%s", folders[2], file_name);
    check_same_file(a, b);
    check_same_file(a, c);
    assert_true(straight.final_loss == continued.final_loss && straight.best_score == threads.best_score);
}

static void test_dora_continues_with_the_same_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    check_runs(HONE_METHOD_DORA, NULL, "adapter_model.safetensors");
}

/* The trained model as a folder and in other types: what reads it computes what was scored, f16 within its rounding. */
static void test_full_tuning_is_written_in_the_form_that_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file, *frozen;
        hone_tuned_output output;
        double allowed; /* of the loss */
    } cases[] = {{"as_folder", "", NULL, {.folder = true}, 0},
                 {"part_folder", "", "0", {.folder = true}, 0},
                 {"half_folder", "", NULL, {.folder = true, .typed = true, .type = HONE_F16}, 0.02},
                 {"half_file", "/model.gguf", NULL, {.typed = true, .type = HONE_F16}, 0.02},
                 {"part_file", "/model.gguf", "0", {.typed = true, .type = HONE_F32}, 0},
                 {"q8_file", "/model.gguf", NULL, {.typed = true, .type = HONE_Q8_0}, 0.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_train_result result;
        hone_engine *after;
        hone_error err;
        char path[320];
        output = cases[i].output;
        assert_int_equal(train_in(cases[i].folder, HONE_METHOD_FULL, cases[i].frozen, 2, 0, &result), HONE_OK);
        snprintf(path, sizeof path, "%s%s", temporary_path(cases[i].folder), cases[i].file);
        if (hone_engine_open(path, NULL, &after, &err) != HONE_OK)
            fail_msg("%s", err.message);
        double loss = answer_loss(after, NULL, &examples[0]);
        print_message("%s: loss %.9g, scored %.9g\n", cases[i].folder, loss, -result.best_score);
        assert_true(fabs(loss + result.best_score) <= cases[i].allowed);
        hone_engine_close(after);
    }
    output = (hone_tuned_output){0};
}

static void test_full_tuning_continues_with_the_same_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    check_runs(HONE_METHOD_FULL, NULL, "model.gguf");
    check_runs(HONE_METHOD_FULL, "0", "model.gguf");
}

/* What was scored is what the file gives: the loss by the written model is the best score to the last bit. */
static void test_what_was_scored_is_what_is_written(void **state)
{
    (void)state;
    hone_train_result result;
    hone_engine *before = open_tiny(2), *after;
    hone_adapter *adapter;
    hone_error err;
    double untrained = answer_loss(before, NULL, &examples[0]);
    assert_int_equal(train_in("full", HONE_METHOD_FULL, NULL, 2, 0, &result), HONE_OK);
    if (hone_engine_open(temporary_path("full/model.gguf"), NULL, &after, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_true(answer_loss(after, NULL, &examples[0]) == -result.best_score);
    assert_true(-result.best_score < 0.8 * untrained);
    assert_int_equal(train_in("dora", HONE_METHOD_DORA, NULL, 2, 0, &result), HONE_OK);
    assert_int_equal(hone_engine_load_adapter(before, temporary_path("dora"), &adapter, &err), HONE_OK);
    assert_true(answer_loss(before, adapter, &examples[0]) == -result.best_score);
    assert_true(-result.best_score < 0.8 * untrained);
    hone_engine_close(before);
    hone_engine_close(after);
}

/* A DoRA, a LoRA and no adapter, in one list and alone: the same log-probabilities. */
static void test_adapters_of_different_kinds_in_one_batch_give_the_bits_of_each_alone(void **state)
{
    (void)state;
    hone_engine *engine = open_tiny(2);
    const hone_model *m = hone_engine_get_model(engine);
    hone_adapter *adapters[3] = {0};
    hone_error err;
    hone_request requests[6] = {0};
    hone_response together[6] = {0};
    for (int i = 0; i < 2; i++) {
        hone_adapter_choice choice = {.rank = 3 + i, .alpha = 6, .dora_base = i ? m : NULL};
        assert_int_equal(hone_adapter_create_chosen(&m->config, &choice, &adapters[i], &err), HONE_OK);
        hone_adapter_init(adapters[i], 5);
        for (int k = 0; k < TINY_LAYERS * HONE_N_LINEARS; k++) {
            hone_lora *l = &adapters[i]->loras[k];
            fill_normal(l->b_t, l->rank * l->n_out, (uint32_t)(k + 50 * i), 0.1);
            for (int64_t o = 0; l->magnitude && o < l->n_out; o++)
                l->magnitude[o] *= 1 + 0.1f * (float)(o % 3);
        }
        hone_adapter_refresh(m->ops, adapters[i]);
        hone_adapter_hash(adapters[i]);
        assert_int_equal(hone_engine_add_adapter(engine, adapters[i], &err), HONE_OK);
    }
    assert_string_not_equal(adapters[0]->hash, adapters[1]->hash);
    for (int i = 0; i < 6; i++)
        requests[i] = (hone_request){.ids = examples[i % 2].ids,
                                     .n_ids = examples[i % 2].n_ids,
                                     .adapter = adapters[i / 2],
                                     .want_prompt_logprobs = true};
    assert_int_equal(hone_engine_run(engine, requests, 6, together, NULL, &err), HONE_OK);
    for (int i = 0; i < 6; i++) {
        hone_response alone = {0};
        hone_engine_clear_cache(engine);
        assert_int_equal(hone_engine_run(engine, &requests[i], 1, &alone, NULL, &err), HONE_OK);
        assert_true(
            same_bits(alone.prompt_logprobs + 1, together[i].prompt_logprobs + 1, (int64_t)requests[i].n_ids - 1));
        if (i >= 2)
            assert_false(same_bits(together[i].prompt_logprobs + 1, together[i % 2].prompt_logprobs + 1,
                                   (int64_t)requests[i].n_ids - 1));
        hone_response_clear(&alone);
    }
    for (int i = 0; i < 6; i++)
        hone_response_clear(&together[i]);
    hone_engine_close(engine);
}

static void test_what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    hone_engine *engine = open_tiny(1);
    hone_adapter *a;
    hone_error err;
    hone_train_result result;
    const struct {
        const char *layers, *frozen, *targets, *says;
        hone_train_method method;
    } cases[] = {
        {"0-2", NULL, NULL, "block 2 of \"0-2\"; the model has blocks 0 to 1", HONE_METHOD_LORA},
        {"1-0", NULL, NULL, "is not a list of blocks", HONE_METHOD_LORA},
        {"0,", NULL, NULL, "is not a list of blocks", HONE_METHOD_FULL},
        {"", NULL, NULL, "is not a list of blocks", HONE_METHOD_FULL},
        {"99999999999999999999", NULL, NULL, "the model has blocks 0 to 1", HONE_METHOD_FULL},
        {NULL, "0-1", NULL, "freezes every block", HONE_METHOD_FULL},
        {"0", "1", NULL, "one of them is enough", HONE_METHOD_DORA},
        {NULL, NULL, "q_proj", "has no adapter", HONE_METHOD_FULL},
        {"1", NULL, "model.layers.0.self_attn.q_proj", "match no layer", HONE_METHOD_LORA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_train_options o;
        hone_train_options_defaults(&o);
        o.folder = temporary_path("refused");
        o.method = cases[i].method;
        o.layers = cases[i].layers;
        o.frozen = cases[i].frozen;
        o.targets = cases[i].targets;
        assert_int_equal(hone_train(engine, examples, 2, &o, NULL, NULL, NULL, &result, &err), HONE_BAD_INPUT);
        assert_says(err, cases[i].says);
    }
    assert_false(hone_folder_exists(temporary_path("refused")));
    hone_adapter_choice choice = {.rank = 2, .alpha = 4, .dora_base = hone_engine_get_model(engine)};
    assert_int_equal(hone_adapter_create_chosen(&hone_engine_get_model(engine)->config, &choice, &a, &err), HONE_OK);
    assert_int_equal(hone_adapter_export_gguf(a, temporary_path("dora.gguf"), &err), HONE_UNSUPPORTED);
    assert_says(err, "hone model merge");
    hone_adapter_free(a);
    hone_engine_close(engine);
}

/* ---- Gemma 3 ---- */
static void test_gradients_of_lora_on_gemma_are_those_of_peft(void **state)
{
    (void)state;
    check_adapter("lora", &(hone_adapter_choice){.rank = 2, .alpha = 4});
}

/* Blocks computed again before their gradient: the same bits. */
static void test_blocks_of_gemma_computed_again_give_the_same_gradient(void **state)
{
    (void)state;
    hone_adapter *a = make_adapter(&(hone_adapter_choice){.rank = 2, .alpha = 4});
    step kept, again;
    begin(&kept, model, &(hone_tape_size){.rank = 2}, a->n_parameters);
    begin(&again, model, &(hone_tape_size){.rank = 2, .recompute = true}, a->n_parameters);
    double loss = run(&kept, model, a);
    assert_true(loss == run(&again, model, a));
    assert_true(same_bits(kept.gradient, again.gradient, (int64_t)a->n_parameters));
    end(&kept);
    end(&again);
    hone_adapter_free(a);
}

typedef hone_status writer(const char *path, hone_error *err);

static int open_all(void **state, writer *write, writer *write_tiny, const char *data)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    const char *path = temporary_path("formula.gguf");
    if (write(path, &err) == HONE_OK && write_tiny(temporary_path("tiny.gguf"), &err) == HONE_OK &&
        hone_ops_create(2, &ops, &err) == HONE_OK && hone_gguf_open(path, &file, &err) == HONE_OK &&
        hone_model_open(ops, &file, &model, &err) == HONE_OK && hone_safetensors_open(data, &recorded, &err) == HONE_OK)
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int open_llama(void **state)
{
    return open_all(state, formula_model_write, tiny_model_write, DATA "tiny_gradients.safetensors");
}

static int open_gemma(void **state)
{
    return open_all(state, formula_gemma_write, tiny_gemma_write, DATA "tiny_gemma_gradients.safetensors");
}

static int close_all(void **state)
{
    hone_safetensors_close(&recorded);
    hone_model_close(model);
    hone_gguf_close(&file);
    hone_ops_free(ops);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_lora_and_rslora_are_those_of_peft),
        cmocka_unit_test(test_gradients_of_dora_are_those_of_peft),
        cmocka_unit_test(test_a_dora_adapter_that_peft_saved_gives_pefts_logits),
        cmocka_unit_test(test_gradients_of_full_tuning_are_those_of_pytorch),
        cmocka_unit_test(test_gradients_above_frozen_blocks_are_those_of_pytorch),
        cmocka_unit_test(test_a_tuned_model_is_the_same_after_writing_and_opening),
        cmocka_unit_test(test_dora_continues_with_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(test_full_tuning_is_written_in_the_form_that_was_asked_for),
        cmocka_unit_test(test_full_tuning_continues_with_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(test_what_was_scored_is_what_is_written),
        cmocka_unit_test(test_adapters_of_different_kinds_in_one_batch_give_the_bits_of_each_alone),
        cmocka_unit_test(test_what_does_not_go_together_is_refused),
    };
    const struct CMUnitTest gemma[] = {
        cmocka_unit_test(test_gradients_of_lora_on_gemma_are_those_of_peft),
        cmocka_unit_test(test_gradients_of_dora_are_those_of_peft),
        cmocka_unit_test(test_blocks_of_gemma_computed_again_give_the_same_gradient),
        cmocka_unit_test(test_gradients_of_full_tuning_are_those_of_pytorch),
        cmocka_unit_test(test_gradients_above_frozen_blocks_are_those_of_pytorch),
        cmocka_unit_test(test_a_tuned_model_is_the_same_after_writing_and_opening),
        cmocka_unit_test(test_full_tuning_continues_with_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(test_what_was_scored_is_what_is_written),
    };
    int failed = cmocka_run_group_tests_name("llama", tests, open_llama, close_all);
    return failed + cmocka_run_group_tests_name("gemma3", gemma, open_gemma, close_all);
}
