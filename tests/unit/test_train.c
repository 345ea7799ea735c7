/* test_train.c - the trainer's promises, on a tiny model that the test writes: killed at any instant and continued it
 * ends with the same bits; the same seed gives the same bits on any number of threads; what is wrong is refused with
 * the reason; a full disk loses nothing. */
#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/adapter.h"
#include "numbers.h"
#include "tiny_model.h"
#include "train/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { N_EXAMPLES = 12, MOST_TOKENS = 40, RANK = 4, BATCH = 4, EPOCHS = 2, STEPS = 6, PREFIX = 10 };

static char model_path[300];
static hone_engine *engine; /* 2 threads; child processes open their own */
static int32_t ids[N_EXAMPLES][MOST_TOKENS];
static hone_train_example examples[N_EXAMPLES];

static hone_train_options options_for(const char *folder)
{
    static char kept[64][300]; /* a test uses far fewer at a time */
    static int next;
    hone_train_options o;
    hone_train_options_defaults(&o);
    o.folder = strcpy(kept[next++ % 64], temporary_path(folder));
    o.rank = RANK;
    o.alpha = 8;
    o.batch = BATCH;
    o.epochs = EPOCHS;
    o.learning_rate = 1e-2;
    o.seed = 5;
    o.checkpoint_seconds = 0; /* after every step */
    return o;
}

static hone_engine *open_engine_as(hone_numerics numerics, int threads)
{
    hone_engine_options o = {.n_threads = threads, .cache_bytes = 1 << 20, .max_batch_rows = 64, .numerics = numerics};
    hone_engine *e;
    hone_error err;
    if (hone_engine_open(model_path, &o, &e, &err) != HONE_OK) {
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    return e;
}

static hone_engine *open_engine(int threads)
{
    return open_engine_as(HONE_NUMERICS_F32, threads);
}

static const char *adapter_hash(const char *folder)
{
    static char hex[8][65];
    static int next;
    char path[300], *to = hex[next++ % 8];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", temporary_path(folder));
    if (hone_sha256_file(path, to, NULL) != HONE_OK)
        strcpy(to, "no file");
    return to;
}

static hone_status train(hone_engine *e, const hone_train_options *o, hone_train_result *result, hone_error *err)
{
    memset(err, 0, sizeof *err);
    return hone_train(e, examples, N_EXAMPLES, o, NULL, NULL, NULL, result, err);
}

/* Trains without interruption into the folder "whole" unless that was done. */
static const char *whole_run(void)
{
    hone_train_options o = options_for("whole");
    hone_train_result result;
    hone_error err;
    if (train(engine, &o, &result, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(result.steps, STEPS);
    return adapter_hash("whole");
}

/* ---- the course of a run ---- */
static void test_training_lowers_the_loss_and_leaves_a_loadable_adapter(void **state)
{
    (void)state;
    hone_train_options o = options_for("long");
    hone_train_result result;
    hone_error err;
    o.epochs = 25;
    o.checkpoint_seconds = 1000;
    if (train(engine, &o, &result, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(result.steps, 75);
    assert_false(result.resumed);
    assert_true(isnan(result.best_score));
    int64_t tokens = 0;
    for (int i = 0; i < N_EXAMPLES; i++)
        tokens += (int64_t)examples[i].n_ids;
    assert_int_equal(result.tokens, 25 * tokens); /* prompt and completion, times epochs */
    print_message("final loss %.3f (uniform over the vocabulary: %.3f)\n", result.final_loss, log(TINY_VOCAB));
    assert_true(result.final_loss < 0.5 * log(TINY_VOCAB));
    hone_adapter *a;
    if (hone_engine_load_adapter(engine, o.folder, &a, &err) != HONE_OK)
        fail_msg("%s", err.message);
    /* What the engine says of a training example: more likely than under the base by what was learnt. */
    double loss[2] = {0};
    for (int adapted = 0; adapted < 2; adapted++) {
        hone_request request = {.ids = examples[3].ids,
                                .n_ids = examples[3].n_ids,
                                .adapter = adapted ? a : NULL,
                                .want_prompt_logprobs = true};
        hone_response response = {0};
        assert_int_equal(hone_engine_run(engine, &request, 1, &response, NULL, &err), HONE_OK);
        for (size_t i = examples[3].n_prompt; i < examples[3].n_ids; i++)
            loss[adapted] -= (double)response.prompt_logprobs[i] / (double)(examples[3].n_ids - examples[3].n_prompt);
        hone_response_clear(&response);
    }
    assert_true(loss[1] < 0.7 * loss[0]);
    hone_engine_drop_adapter(engine, a);
    assert_false(hone_file_exists(temporary_path("long/checkpoint.bin")));
}

/* The run once more by hand, from what train.h promises: counted order of the examples, mean loss over a batch's
 * labels, clipping at clip_norm, a rate that rises over the warm-up and then falls to zero in equal steps, AdamW as in
 * PyTorch with step 1, 2, 3... */
static void test_a_run_is_the_steps_that_its_header_promises(void **state)
{
    (void)state;
    enum { WARM = 2 };
    static const float rates[STEPS] = {1.0f / 3, 2.0f / 3, 1, 0.75f, 0.5f, 0.25f}; /* of 1e-2: 2 steps up, 4 down */
    const hone_model *model = hone_engine_get_model(engine);
    const hone_model_config *c = &model->config;
    hone_train_options o = options_for("promised");
    hone_train_result result;
    hone_error err;
    o.warmup_fraction = (double)WARM / STEPS + 0.01;
    o.clip_norm = 0.3;
    o.weight_decay = 0.1;
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    hone_adapter *a, *trained;
    hone_train_batch *batch;
    hone_kv_pool *pool;
    hone_workspace *ws;
    hone_tape *tape;
    assert_int_equal(hone_adapter_create(c, RANK, 8, &a, &err), HONE_OK);
    assert_int_equal(hone_train_batch_create(MOST_TOKENS, 1, &batch, &err), HONE_OK);
    assert_int_equal(hone_kv_pool_create(batch->max_pages, c->n_layers, c->n_kv_heads, c->head_dim, &pool, &err),
                     HONE_OK);
    assert_int_equal(hone_workspace_create(model, MOST_TOKENS, RANK, &ws, &err), HONE_OK);
    assert_int_equal(hone_tape_create(model, MOST_TOKENS, RANK, &tape, &err), HONE_OK);
    int64_t n = (int64_t)a->n_parameters;
    float *g = new_floats(n), *m = new_floats(n), *v = new_floats(n);
    bool clipped = false;
    double loss = 0;
    hone_adapter_init(a, o.seed);
    for (int step = 0; step < STEPS; step++) {
        size_t order[N_EXAMPLES], *mine = order + step % 3 * BATCH, labels = 0;
        hone_rng_permutation((hone_rng_key){o.seed, HONE_RNG_SHUFFLE, (uint32_t)(step / 3)}, N_EXAMPLES, order);
        for (int i = 0; i < BATCH; i++)
            labels += examples[mine[i]].n_ids - examples[mine[i]].n_prompt;
        memset(g, 0, (size_t)n * sizeof *g);
        loss = 0;
        hone_adapter_refresh(model->ops, a);
        for (int i = 0; i < BATCH; i++) { /* one example at a time */
            assert_int_equal(hone_train_batch_fill(batch, examples, mine + i, 1, 1.0f / (float)labels, a), 1);
            hone_model_forward(model, pool, &batch->rows, ws, tape);
            loss += hone_model_backward(model, pool, &batch->rows, ws, tape, batch->labels, batch->n_labels, g);
        }
        double norm = sqrt(hone_op_sum_squares(model->ops, n, g));
        clipped |= norm > 0.3;
        hone_adamw s = {.learning_rate = 1e-2f * rates[step],
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .step = step + 1,
                        .gradient_scale = norm > 0.3 ? (float)(0.3 / norm) : 1.0f};
        hone_op_adamw(model->ops, &s, n, g, m, v, a->parameters);
    }
    assert_true(clipped);
    assert_true(fabs(result.final_loss - loss) < 1e-5 * loss); /* the last tenth of six steps: the last */
    assert_int_equal(hone_adapter_load(model, o.folder, &trained, &err), HONE_OK);
    double apart = relative_l2f(trained->parameters, a->parameters, n);
    print_message("the trainer's adapter and the one by hand: apart by %.1e\n", apart);
    assert_true(apart < 1e-4);
    free(g), free(m), free(v);
    hone_adapter_free(a);
    hone_adapter_free(trained);
    hone_train_batch_free(batch);
    hone_kv_pool_free(pool);
    hone_workspace_free(ws);
    hone_tape_free(tape);
}

/* One line a step, also after a stop; the rates by hand as above: 6 steps without warm-up fall from 1e-2 in sixths. */
static void test_metrics_and_records_are_left_beside_the_adapter(void **state)
{
    (void)state;
    hone_train_options o = options_for("records");
    hone_train_result result;
    hone_error err;
    o.warmup_fraction = 0;
    hone_train_options first = o;
    assert_int_equal(train(engine, &first, &result, &err), HONE_OK);
    hone_buffer text = {0}, card = {0};
    assert_int_equal(hone_file_read(temporary_path("records/metrics.jsonl"), 0, &text, &err), HONE_OK);
    int step = 0;
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), step++) {
        json_t *m = json_loads(line, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(m, "step")), step + 1);
        double rate = json_number_value(json_object_get(m, "learning_rate"));
        assert_true(fabs(rate - 1e-2 * (STEPS - step) / STEPS) < 1e-9);
        assert_true(json_number_value(json_object_get(m, "gradient_norm")) > 0);
        if (step == STEPS - 1) /* the last tenth of six steps: the last */
            assert_true(fabs(json_number_value(json_object_get(m, "loss")) - result.final_loss) < 1e-6);
        json_decref(m);
    }
    assert_int_equal(step, STEPS);
    assert_int_equal(hone_file_read(temporary_path("records/README.md"), 0, &card, &err), HONE_OK);
    assert_non_null(strstr(card.data, hone_engine_model_hash(engine)));
    json_t *record = json_load_file(temporary_path("records/hone.json"), 0, NULL);
    assert_int_equal(strlen(json_string_value(json_object_get(record, "data_sha256"))), 64);
    assert_int_equal(strlen(json_string_value(json_object_get(record, "template_sha256"))), 64);
    assert_string_equal(json_string_value(json_object_get(record, "schedule")), "linear");
    json_decref(record);
    hone_buffer_clear(&text);
    hone_buffer_clear(&card);
}

static void test_same_seed_same_bits_with_any_number_of_threads(void **state)
{
    (void)state;
    const char *expected = whole_run();
    static const int threads[] = {1, 3, 5};
    for (int i = 0; i < 3; i++) {
        char folder[32];
        hone_train_result result;
        hone_error err;
        snprintf(folder, sizeof folder, "threads%d", threads[i]);
        hone_train_options o = options_for(folder);
        hone_engine *e = open_engine(threads[i]);
        assert_int_equal(train(e, &o, &result, &err), HONE_OK);
        assert_string_equal(adapter_hash(folder), expected);
        hone_engine_close(e);
    }
    hone_train_options o = options_for("seed6");
    hone_train_result result;
    hone_error err;
    o.seed = 6;
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_string_not_equal(adapter_hash("seed6"), expected);
}

static void test_training_in_bf16_has_bits_of_its_own_with_any_number_of_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3};
    char first[65] = "";
    for (size_t i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "bf16_%d", threads[i]);
        hone_engine *e = open_engine_as(HONE_NUMERICS_BF16, threads[i]);
        assert_non_null(e);
        hone_train_options o = options_for(name);
        hone_train_result result;
        hone_error err;
        assert_int_equal(train(e, &o, &result, &err), HONE_OK);
        hone_engine_close(e);
        if (i == 0)
            snprintf(first, sizeof first, "%s", adapter_hash(name));
        assert_string_equal(adapter_hash(name), first);
        assert_string_not_equal(adapter_hash(name), whole_run());
        char path[300];
        snprintf(path, sizeof path, "%s/hone.json", temporary_path(name));
        json_t *record = json_load_file(path, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(record, "numerics_class")), "bf16");
        json_decref(record);
    }
}

static void test_what_is_finished_is_not_done_again(void **state)
{
    (void)state;
    const char *expected = whole_run();
    hone_train_options o = options_for("whole");
    hone_train_result result;
    hone_error err;
    double start = hone_cpu_seconds();
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_true(result.resumed && result.steps == STEPS && hone_cpu_seconds() - start < 1);
    assert_string_equal(adapter_hash("whole"), expected);
    /* but when the adapter was removed since, it is */
    unlink(temporary_path("whole/adapter_model.safetensors"));
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_string_equal(adapter_hash("whole"), expected);
}

/* ---- interruption ---- */
/* In a child process: trains and exits with the status. */
static pid_t train_in_child(const hone_train_options *o, rlim_t file_limit, bool cancelled)
{
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: the thread sanitizer allows no threads in a child process\n");
    skip();
#endif
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    hone_engine *e = open_engine(2);
    hone_train_result result;
    hone_error err;
    if (!e)
        _exit(100);
    if (file_limit > 0) {
        struct rlimit limit = {file_limit, file_limit};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (cancelled)
        hone_cancel_request();
    hone_status status = train(e, o, &result, &err);
    int fd = open(temporary_path("message"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, err.message, strlen(err.message)) < 0)
        _exit(101);
    _exit((int)status);
}

static int wait_for(pid_t child)
{
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void assert_message_says(const char *text)
{
    hone_buffer message = {0};
    hone_file_read(temporary_path("message"), 0, &message, NULL);
    if (!message.data || !strstr(message.data, text))
        fail_msg("the message is:\n  %s\nand should hold:\n  %s", message.data ? message.data : "", text);
    hone_buffer_clear(&message);
}

static int count_leftovers(const char *folder)
{
    int n = 0;
    DIR *d = opendir(temporary_path(folder));
    for (struct dirent *e; d && (e = readdir(d));)
        n += strstr(e->d_name, ".tmp-") != NULL;
    if (d)
        closedir(d);
    return n;
}

static void test_killed_at_any_instant_and_continued_it_ends_with_the_same_bits(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    enum { ROUNDS = 2 };
#else
    enum { ROUNDS = 8 };
#endif
    const char *expected = whole_run();
    hone_train_options o = options_for("timing");
    double start = hone_clock_seconds();
    assert_int_equal(wait_for(train_in_child(&o, 0, false)), HONE_OK);
    double whole_seconds = hone_clock_seconds() - start;
    int kills = 0, resumed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char folder[32];
        snprintf(folder, sizeof folder, "killed%d", round);
        o = options_for(folder);
        for (int attempt = 0; attempt < 3; attempt++) {
            double wait = 0.8 * whole_seconds *
                          hone_rng_uniform((hone_rng_key){(uint64_t)round, HONE_RNG_TEST, 1}, (uint64_t)attempt);
            pid_t child = train_in_child(&o, 0, false);
            usleep((useconds_t)(wait * 1e6));
            kill(child, SIGKILL);
            kills += wait_for(child) == -SIGKILL;
        }
        hone_train_result result;
        hone_error err;
        if (train(engine, &o, &result, &err) != HONE_OK)
            fail_msg("%s", err.message);
        resumed += result.resumed;
        assert_int_equal(result.steps, STEPS);
        assert_string_equal(adapter_hash(folder), expected);
        assert_int_equal(count_leftovers(folder), 0);
        snprintf(folder + strlen(folder), sizeof folder - strlen(folder), "/checkpoint.bin");
        assert_false(hone_file_exists(temporary_path(folder)));
    }
    print_message("%d kills, %d of %d runs continued from a checkpoint\n", kills, resumed, ROUNDS);
    assert_true(kills > 0);
}

/* The checkpoint of a run that was asked to stop. */
static void leave_checkpoint(const char *folder)
{
    hone_train_options o = options_for(folder);
    int status = wait_for(train_in_child(&o, 0, true));
    assert_int_equal(status, HONE_CANCELLED);
    assert_message_says("the same command continues");
}

static void test_a_request_to_stop_saves_the_state(void **state)
{
    (void)state;
    const char *expected = whole_run();
    leave_checkpoint("stopped");
    assert_true(hone_file_exists(temporary_path("stopped/checkpoint.bin")));
    hone_train_options o = options_for("stopped");
    hone_train_result result;
    hone_error err;
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_true(result.resumed);
    assert_string_equal(adapter_hash("stopped"), expected);
}

/* Steps are measured in the first four; a limit that has passed by then leaves one more, in which the rate ends. No
 * timing decides here: the limit is far below or far above what a step takes on any machine. */
static void test_a_time_limit_plans_fewer_steps_once_and_keeps_the_plan(void **state)
{
    (void)state;
    hone_train_result result;
    hone_error err;
    hone_train_options o = options_for("short");
    o.epochs = 25; /* 75 steps without a limit */
    o.max_seconds = 1e-9;
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_int_equal(result.steps, 5);
    char shortened[65];
    snprintf(shortened, sizeof shortened, "%s", adapter_hash("short"));
    hone_adapter *a;
    assert_int_equal(hone_engine_load_adapter(engine, o.folder, &a, &err), HONE_OK);
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK); /* done: not a new plan */
    assert_true(result.resumed && result.steps == 5);
    /* Stopped and continued, the plan and the bits are the same. */
    hone_train_options stopped = options_for("short_stopped");
    stopped.epochs = 25;
    stopped.max_seconds = 1e-9;
    assert_int_equal(wait_for(train_in_child(&stopped, 0, true)), HONE_CANCELLED);
    assert_int_equal(train(engine, &stopped, &result, &err), HONE_OK);
    assert_true(result.resumed && result.steps == 5);
    assert_string_equal(adapter_hash("short_stopped"), shortened);
    /* A limit that is never reached changes nothing. */
    hone_train_options generous = options_for("generous");
    generous.max_seconds = 1e6;
    assert_int_equal(train(engine, &generous, &result, &err), HONE_OK);
    assert_int_equal(result.steps, STEPS);
    assert_string_equal(adapter_hash("generous"), whole_run());
    /* Another limit is another run. */
    o.max_seconds = 1e6;
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
}

static void test_anothers_checkpoint_is_refused_and_the_difference_named(void **state)
{
    (void)state;
    leave_checkpoint("other");
    hone_train_result result;
    hone_error err;
    hone_train_options o = options_for("other");
    o.rank = 2;
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "there rank 4, now rank 2");
    o = options_for("other");
    o.learning_rate = 0.0005;
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "there learning rate 0.01, now learning rate 0.0005");
    o = options_for("other");
    o.seed = 99;
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "there seed 5, now seed 99");
    o = options_for("other");
    hone_engine *bf16 = open_engine_as(HONE_NUMERICS_BF16, 2);
    assert_non_null(bf16);
    assert_int_equal(train(bf16, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "there numbers f32 ");
    assert_says(err, "now numbers bf16 ");
    hone_engine_close(bf16);
    ids[7][3] ^= 1; /* one token of one example */
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "content");
    ids[7][3] ^= 1;
    examples[7].n_prompt++; /* the same tokens, one label fewer */
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_INPUT);
    examples[7].n_prompt--;
    assert_int_equal(train(engine, &o, &result, &err),
                     HONE_OK); /* the right one is welcome, its checkpoint still whole */
    assert_true(result.resumed);
}

static void test_a_checkpoint_of_another_version_is_refused_by_its_number(void **state)
{
    (void)state;
    hone_buffer whole = {0};
    hone_train_result result;
    hone_error err;
    leave_checkpoint("versions");
    hone_train_options o = options_for("versions");
    assert_int_equal(hone_file_read(temporary_path("versions/checkpoint.bin"), 0, &whole, &err), HONE_OK);
    char ours = whole.data[7];
    whole.data[7] = '1'; /* the last byte of the magic counts formats */
    temporary_bytes("versions/checkpoint.bin", whole.data, whole.length);
    char expected[80];
    snprintf(expected, sizeof expected, "another version of hone (format 1, this one writes %c)", ours);
    assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_FORMAT);
    assert_says(err, expected);
    whole.data[7] = ours;
    temporary_bytes("versions/checkpoint.bin", whole.data, whole.length);
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    hone_buffer_clear(&whole);
}

static void test_a_damaged_checkpoint_is_refused(void **state)
{
    (void)state;
    const char *expected = whole_run();
    hone_buffer whole = {0};
    hone_train_result result;
    hone_error err;
    leave_checkpoint("damaged");
    hone_train_options o = options_for("damaged");
    assert_int_equal(hone_file_read(temporary_path("damaged/checkpoint.bin"), 0, &whole, &err), HONE_OK);
    size_t cuts[] = {0, 1, 8, 100, whole.length / 2, whole.length - 64, whole.length - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        temporary_bytes("damaged/checkpoint.bin", whole.data, cuts[i]);
        if (train(engine, &o, &result, &err) != HONE_BAD_FORMAT)
            fail_msg("cut to %zu bytes: %s", cuts[i], err.message);
        assert_says(err, "checkpoint.bin");
        assert_says(err, "remove it to start again");
    }
    for (size_t i = 0; i < 40; i++) { /* one bit, anywhere */
        size_t at = i < 10 ? i * 7 : (size_t)hone_rng_below((hone_rng_key){1, HONE_RNG_TEST, 2}, i, whole.length);
        whole.data[at] ^= 16;
        temporary_bytes("damaged/checkpoint.bin", whole.data, whole.length);
        assert_int_equal(train(engine, &o, &result, &err), HONE_BAD_FORMAT);
        whole.data[at] ^= 16;
    }
    temporary_bytes("damaged/checkpoint.bin", whole.data, whole.length);
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_string_equal(adapter_hash("damaged"), expected);
    hone_buffer_clear(&whole);
}

static void test_two_trainers_do_not_share_a_folder(void **state)
{
    (void)state;
    hone_train_options o = options_for("busy");
    hone_train_result result;
    hone_lock lock;
    hone_error err;
    assert_int_equal(hone_folder_create(o.folder, &err), HONE_OK);
    assert_int_equal(hone_lock_take(temporary_path("busy/.lock"), &lock, &err), HONE_OK);
    assert_int_equal(wait_for(train_in_child(&o, 0, false)), HONE_BUSY);
    assert_message_says("another hone");
    hone_lock_release(&lock);
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
}

static void test_a_full_disk_leaves_the_last_good_state(void **state)
{
    (void)state;
    const char *expected = whole_run();
    char before[65], after[65];
    leave_checkpoint("full");
    hone_train_options o = options_for("full");
    assert_int_equal(hone_sha256_file(temporary_path("full/checkpoint.bin"), before, NULL), HONE_OK);
    assert_int_equal(wait_for(train_in_child(&o, 4096, false)),
                     HONE_IO); /* files of at most 4 KiB: write fails as on a full disk */
    assert_message_says("checkpoint.bin");
    assert_message_says("cannot write");
    assert_int_equal(hone_sha256_file(temporary_path("full/checkpoint.bin"), after, NULL), HONE_OK);
    assert_string_equal(before, after);
    assert_int_equal(count_leftovers("full"), 0);
    hone_train_result result;
    hone_error err;
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK); /* there is room again */
    assert_true(result.resumed);
    assert_string_equal(adapter_hash("full"), expected);
}

/* ---- scores ---- */
typedef struct judge {
    int asked, best_at, fail_at;
} judge;

static hone_status give_score(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    judge *j = context;
    assert_true(strlen(adapter->hash) == 64);
    if (++j->asked == j->fail_at)
        return hone_fail(err, HONE_IO, "the judge is ill");
    out->score = j->asked == j->best_at ? 1 : 0.5 - 0.01 * j->asked;
    return HONE_OK;
}

static void test_the_best_checkpoint_is_kept(void **state)
{
    (void)state;
    char best[65] = "", other[65] = "";
    for (int best_at = 1; best_at <= 4; best_at++) {
        char folder[32];
        snprintf(folder, sizeof folder, "best%d", best_at);
        hone_train_options o = options_for(folder);
        judge j = {.best_at = best_at};
        hone_train_result result;
        hone_error err;
        o.epochs = 4;
        o.scores_per_epoch = 1;
        assert_int_equal(hone_train(engine, examples, N_EXAMPLES, &o, give_score, &j, NULL, &result, &err), HONE_OK);
        assert_int_equal(j.asked, 4); /* once an epoch */
        assert_int_equal(result.best_step, best_at * 3);
        assert_true(result.best_score == 1);
        strcpy(best_at == 1 ? best : other, adapter_hash(folder));
        assert_true(best_at == 1 || strcmp(best, other) != 0);
    }
}

/* How well held-out examples are told, by the engine: the mean log-probability of their answers. */
static hone_status score_held_out(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    const hone_train_example *held = context;
    out->score = 0;
    for (int e = 0; e < 4; e++) {
        hone_request request = {
            .ids = held[e].ids, .n_ids = held[e].n_ids, .adapter = adapter, .want_prompt_logprobs = true};
        hone_response response = {0};
        hone_status status = hone_engine_run(engine, &request, 1, &response, NULL, err);
        for (size_t i = held[e].n_prompt; status == HONE_OK && i < held[e].n_ids; i++)
            out->score += (double)response.prompt_logprobs[i] / (double)(held[e].n_ids - held[e].n_prompt) / 4;
        hone_response_clear(&response);
        if (status != HONE_OK)
            return status;
    }
    return HONE_OK;
}

/* Random tokens can only be learned by heart: the loss falls to the end, what is held out gets worse, and the adapter
 * that stays is the one from before. */
static void test_failure_loss_falls_while_the_model_gets_worse(void **state)
{
    (void)state;
    hone_train_options o = options_for("overfits");
    hone_train_result result;
    hone_error err;
    o.epochs = 20;
    o.checkpoint_seconds = 1000;
    hone_train_example *held = examples + N_EXAMPLES - 4;
    assert_int_equal(hone_train(engine, examples, N_EXAMPLES - 4, &o, score_held_out, held, NULL, &result, &err),
                     HONE_OK);
    assert_true(result.best_step < result.steps);
    hone_buffer text = {0};
    double loss_then = NAN, loss_last = NAN;
    hone_train_scored kept, last;
    assert_int_equal(hone_file_read(temporary_path("overfits/metrics.jsonl"), 0, &text, &err), HONE_OK);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *m = json_loads(line, 0, NULL);
        if (json_object_get(m, "loss")) { /* a step's line, not a score's */
            loss_last = json_number_value(json_object_get(m, "loss"));
            if (json_integer_value(json_object_get(m, "step")) == result.best_step)
                loss_then = loss_last;
        }
        json_decref(m);
    }
    hone_buffer_clear(&text);
    assert_true(loss_last < 0.7 * loss_then);
    hone_adapter *a;
    assert_int_equal(hone_engine_load_adapter(engine, o.folder, &a, &err), HONE_OK);
    assert_int_equal(score_held_out(held, a, &kept, &err), HONE_OK);
    assert_true(kept.score == result.best_score); /* the adapter on disk is the best one */
    hone_engine_drop_adapter(engine, a);
    hone_train_options to_the_end = options_for("overfits to the end");
    to_the_end.epochs = 20;
    to_the_end.checkpoint_seconds = 1000;
    assert_int_equal(hone_train(engine, examples, N_EXAMPLES - 4, &to_the_end, NULL, NULL, NULL, &result, &err),
                     HONE_OK);
    assert_int_equal(hone_engine_load_adapter(engine, to_the_end.folder, &a, &err), HONE_OK);
    assert_int_equal(score_held_out(held, a, &last, &err), HONE_OK);
    print_message("loss %.3f then, %.3f at the end; held out %.3f then, %.3f at the end\n", loss_then, loss_last,
                  kept.score, last.score);
    assert_true(last.score < kept.score);
    hone_engine_drop_adapter(engine, a);
}

static void test_a_run_whose_scoring_fails_continues_with_the_same_bits(void **state)
{
    (void)state;
    hone_train_result result;
    hone_error err;
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        hone_train_options o = options_for(interrupted ? "ill" : "well");
        judge j = {.best_at = 2, .fail_at = 3};
        o.epochs = 4;
        if (interrupted) {
            assert_int_equal(hone_train(engine, examples, N_EXAMPLES, &o, give_score, &j, NULL, &result, &err),
                             HONE_IO);
            assert_says(err, "the judge is ill");
            j.asked = 2;
        }
        j.fail_at = 0;
        assert_int_equal(hone_train(engine, examples, N_EXAMPLES, &o, give_score, &j, NULL, &result, &err), HONE_OK);
        assert_int_equal(result.resumed, interrupted);
        assert_int_equal(result.best_step, 6);
    }
    assert_string_equal(adapter_hash("ill"), adapter_hash("well"));
}

/* ---- refusals ---- */
static void test_examples_that_cannot_be_trained_on_are_refused(void **state)
{
    (void)state;
    static int32_t tokens[TINY_CONTEXT + 1];
    const struct {
        hone_train_example example;
        int32_t first;
        const char *says;
    } cases[] = {{{tokens, TINY_CONTEXT + 1, 5}, 1, "example 1 has 257 tokens; the model's context is 256"},
                 {{tokens, 5, 5}, 1, "nothing to learn"},
                 {{tokens, 5, 0}, 1, "nothing to learn"},
                 {{tokens, 0, 0}, 1, "nothing to learn"},
                 {{tokens, 5, 2}, TINY_VOCAB, "token 1 is 260"},
                 {{tokens, 5, 2}, -1, "token 1 is -1"}};
    hone_train_result result;
    hone_error err;
    hone_train_options o = options_for("refused");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tokens[0] = cases[i].first;
        assert_int_equal(hone_train(engine, &cases[i].example, 1, &o, NULL, NULL, NULL, &result, &err), HONE_BAD_INPUT);
        assert_says(err, cases[i].says);
    }
    assert_int_equal(hone_train(engine, examples, 0, &o, NULL, NULL, NULL, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "no examples");
    assert_false(hone_folder_exists(o.folder)); /* nothing was begun */
    tokens[0] = 1;
    hone_train_example longest = {tokens, TINY_CONTEXT, 5}; /* just fits */
    o.epochs = 1;
    assert_int_equal(hone_train(engine, &longest, 1, &o, NULL, NULL, NULL, &result, &err), HONE_OK);
}

static void test_options_outside_what_makes_sense_are_refused(void **state)
{
    (void)state;
    hone_train_result result;
    hone_error err;
    for (int i = 0; i < 14; i++) {
        hone_train_options o = options_for("senseless");
        switch (i) {
        case 0:
            o.learning_rate = 0;
            break;
        case 1:
            o.learning_rate = NAN;
            break;
        case 2:
            o.learning_rate = 1;
            break;
        case 3:
            o.epochs = 0;
            break;
        case 4:
            o.epochs = INFINITY;
            break;
        case 5:
            o.batch = 0;
            break;
        case 6:
            o.batch = 1 << 20;
            break;
        case 7:
            o.warmup_fraction = -0.1;
            break;
        case 8:
            o.warmup_fraction = NAN;
            break;
        case 9:
            o.rank = 0;
            break;
        case 10:
            o.rank = 33;
            break; /* the smallest matrix has 32 rows */
        case 11:
            o.alpha = 0;
            break;
        case 12:
            o.alpha = NAN;
            break;
        case 13:
            o.rank = -1;
            break;
        }
        hone_status status = train(engine, &o, &result, &err);
        if (status != HONE_BAD_INPUT)
            fail_msg("case %d: %s", i, hone_status_name(status));
        assert_true(strlen(err.message) > 10);
    }
}

/* The model with other weights of its last norm: they scale the logits. */
static hone_engine *open_scaled(const char *name, float weight)
{
    char path[300];
    hone_buffer file = {0};
    hone_gguf gguf;
    hone_engine *e;
    hone_error err;
    snprintf(path, sizeof path, "%s", temporary_path(name));
    assert_int_equal(hone_file_read(model_path, 0, &file, &err), HONE_OK);
    assert_int_equal(hone_gguf_open(model_path, &gguf, &err), HONE_OK);
    const hone_gguf_tensor *norm = hone_gguf_find_tensor(&gguf, "output_norm.weight");
    for (int i = 0; i < TINY_EMBD; i++)
        memcpy(file.data + (norm->data - gguf.map.data) + 4 * i, &weight, 4);
    hone_gguf_close(&gguf);
    temporary_bytes(name, file.data, file.length);
    hone_buffer_clear(&file);
    assert_int_equal(hone_engine_open(path, NULL, &e, &err), HONE_OK);
    return e;
}

static void test_a_run_that_breaks_down_stops_with_a_message(void **state)
{
    (void)state;
    hone_engine *e = open_scaled("broken.gguf", 3e38f); /* logits beyond what a float holds */
    hone_train_options o = options_for("broken");
    hone_train_result result;
    hone_error err;
    for (int i = 0; i < N_EXAMPLES; i++)
        examples[i].line = 100 + i;
    assert_int_equal(train(e, &o, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "training broke down at step 1");
    for (int i = 0; i < N_EXAMPLES; i++)
        examples[i].line = 0;
    assert_says(err, "; lines 1"); /* the batch is named by its rows */
    assert_says(err, "lower learning rate than 0.01");
    assert_false(hone_file_exists(temporary_path("broken/adapter_model.safetensors")));
    hone_engine_close(e);
}

/* Of a model that is very sure, its own greedy answers: the loss begins near 0. A rate that destroys it makes the loss
 * rise above three times that of guessing every token alike (ln 260 = 5.56), where the run must stop. */
static void test_a_loss_that_explodes_stops_and_keeps_the_last_checkpoint(void **state)
{
    (void)state;
    static int32_t own_ids[N_EXAMPLES][MOST_TOKENS];
    hone_train_example own[N_EXAMPLES];
    hone_engine *e = open_scaled("sure.gguf", 20);
    hone_train_options o = options_for("explodes");
    hone_train_result result;
    hone_error err;
    for (int i = 0, n = 0; n < N_EXAMPLES; i++) {
        assert_true(i < 500);
        for (int p = 0; p < 4; p++)
            own_ids[n][p] = (int32_t)hone_rng_below((hone_rng_key){8, HONE_RNG_TEST, 8}, (uint64_t)(4 * i + p), 256);
        hone_request request = {.ids = own_ids[n], .n_ids = 4, .max_new_tokens = 8};
        hone_response response = {0};
        assert_int_equal(hone_engine_run(e, &request, 1, &response, NULL, &err), HONE_OK);
        if (response.n_ids == 8) {
            memcpy(own_ids[n] + 4, response.ids, 8 * sizeof(int32_t));
            own[n] = (hone_train_example){own_ids[n], 12, 4, NULL, 100 + n};
            n++;
        }
        hone_response_clear(&response);
    }
    o.learning_rate = 0.9;
    o.b_rate_ratio = 100;
    o.warmup_fraction = 0;
    o.clip_norm = 0;
    o.epochs = 10;
    o.schedule = HONE_SCHEDULE_CONSTANT;
    memset(&err, 0, sizeof err);
    assert_int_equal(hone_train(e, own, N_EXAMPLES, &o, NULL, NULL, NULL, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "training broke down at step");
    assert_says(err, "; lines 1");
    assert_says(err, "the last checkpoint is kept");
    double loss = strtod(strstr(err.message, "(loss ") + 6, NULL);
    assert_true(loss > 3 * log(TINY_VOCAB));
    hone_buffer text = {0}, kept = {0}, again = {0};
    assert_int_equal(hone_file_read(temporary_path("explodes/metrics.jsonl"), 0, &text, &err), HONE_OK);
    int good = 0;
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), good++) { /* none of the steps before */
        json_t *m = json_loads(line, 0, NULL);
        assert_true(json_number_value(json_object_get(m, "loss")) <= 3 * log(TINY_VOCAB));
        json_decref(m);
    }
    assert_true(good >= 1);
    assert_int_equal(hone_file_read(temporary_path("explodes/checkpoint.bin"), 0, &kept, &err), HONE_OK);
    assert_int_equal(hone_train(e, own, N_EXAMPLES, &o, NULL, NULL, NULL, &result, &err),
                     HONE_BAD_INPUT); /* from the checkpoint: the same step again */
    char step[64];
    snprintf(step, sizeof step, "training broke down at step %d ", good + 1);
    assert_says(err, step);
    assert_int_equal(hone_file_read(temporary_path("explodes/checkpoint.bin"), 0, &again, &err), HONE_OK);
    assert_true(kept.length == again.length && memcmp(kept.data, again.data, kept.length) == 0);
    assert_false(hone_file_exists(temporary_path("explodes/adapter_model.safetensors")));
    hone_engine_close(e);
    hone_buffer_clear(&text);
    hone_buffer_clear(&kept);
    hone_buffer_clear(&again);
}

/* The least memory that is possible: blocks computed again, passes of one example; and rows that weigh unequally. */
static size_t least_memory(void)
{
    hone_adapter *a;
    hone_train_memory plan;
    assert_int_equal(hone_adapter_create(&hone_engine_get_model(engine)->config, RANK, 8, &a, NULL), HONE_OK);
    hone_trainable trained = {
        .adapter = a, .n_parameters = a->n_parameters, .bytes = hone_adapter_bytes(a), .tape = {.rank = a->rank}};
    assert_int_equal(hone_train_memory_plan(engine, &trained, examples, N_EXAMPLES, BATCH, false, 1, &plan, NULL),
                     HONE_NO_MEMORY);
    assert_true(plan.step.recompute);
    hone_adapter_free(a);
    return plan.total;
}

static void test_with_little_memory_and_weighted_rows_a_killed_run_ends_with_the_same_bits(void **state)
{
    (void)state;
    static float weights[N_EXAMPLES][MOST_TOKENS];
    hone_train_options o = options_for("little");
    hone_train_result result;
    hone_error err;
    const char *unweighted = whole_run();
    o.memory_bytes = least_memory();
    for (int i = 0; i < N_EXAMPLES; i++) {
        for (int t = 0; t < MOST_TOKENS; t++)
            weights[i][t] = i % 3 == 0 ? 0.25f : 1;
        examples[i].weights = weights[i];
    }
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_true(result.recomputed && result.planned_bytes == o.memory_bytes);
    const char *expected = adapter_hash("little");
    assert_string_not_equal(expected, unweighted); /* the weights do something */
    size_t memory = o.memory_bytes;
    o = options_for("little killed");
    o.memory_bytes = memory;
    for (int attempt = 0; attempt < 3; attempt++) {
        pid_t child = train_in_child(&o, 0, false);
        usleep((useconds_t)(20000 + 30000 * attempt));
        kill(child, SIGKILL);
        wait_for(child);
    }
    assert_int_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_string_equal(adapter_hash("little killed"), expected);
    o = options_for("little refused");
    o.memory_bytes = memory - 1;
    assert_int_equal(train(engine, &o, &result, &err), HONE_NO_MEMORY);
    assert_says(err, "is too little: at least");
    assert_false(hone_folder_exists(o.folder)); /* nothing was begun */
    for (int i = 0; i < N_EXAMPLES; i++)
        examples[i].weights = NULL;
}

static void test_a_folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    hone_train_options o = options_for("x");
    hone_train_result result;
    hone_error err;
    temporary_file("file", "");
    o.folder = temporary_path("file/below");
    assert_int_not_equal(train(engine, &o, &result, &err), HONE_OK);
    assert_says(err, "file");
}

static int open_all(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.gguf"));
    if (tiny_model_write(model_path, &err) != HONE_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    for (int i = 0; i < N_EXAMPLES; i++) {
        size_t n = (size_t)(22 + 3 * (i % 5));
        for (size_t j = 0; j < n; j++) /* a common beginning, then what differs */
            ids[i][j] = (int32_t)hone_rng_below((hone_rng_key){3, HONE_RNG_TEST, j < PREFIX ? 1000 : (uint32_t)i}, j,
                                                TINY_VOCAB);
        examples[i] = (hone_train_example){ids[i], n, n - 2 - (size_t)(i % 4)};
    }
    engine = open_engine(2);
    return engine ? 0 : -1;
}

static int close_all(void **state)
{
    hone_engine_close(engine);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_lowers_the_loss_and_leaves_a_loadable_adapter),
        cmocka_unit_test(test_a_run_is_the_steps_that_its_header_promises),
        cmocka_unit_test(test_metrics_and_records_are_left_beside_the_adapter),
        cmocka_unit_test(test_same_seed_same_bits_with_any_number_of_threads),
        cmocka_unit_test(test_training_in_bf16_has_bits_of_its_own_with_any_number_of_threads),
        cmocka_unit_test(test_what_is_finished_is_not_done_again),
        cmocka_unit_test(test_killed_at_any_instant_and_continued_it_ends_with_the_same_bits),
        cmocka_unit_test(test_a_request_to_stop_saves_the_state),
        cmocka_unit_test(test_a_time_limit_plans_fewer_steps_once_and_keeps_the_plan),
        cmocka_unit_test(test_anothers_checkpoint_is_refused_and_the_difference_named),
        cmocka_unit_test(test_a_checkpoint_of_another_version_is_refused_by_its_number),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused),
        cmocka_unit_test(test_two_trainers_do_not_share_a_folder),
        cmocka_unit_test(test_a_full_disk_leaves_the_last_good_state),
        cmocka_unit_test(test_the_best_checkpoint_is_kept),
        cmocka_unit_test(test_failure_loss_falls_while_the_model_gets_worse),
        cmocka_unit_test(test_a_run_whose_scoring_fails_continues_with_the_same_bits),
        cmocka_unit_test(test_examples_that_cannot_be_trained_on_are_refused),
        cmocka_unit_test(test_options_outside_what_makes_sense_are_refused),
        cmocka_unit_test(test_a_run_that_breaks_down_stops_with_a_message),
        cmocka_unit_test(test_a_loss_that_explodes_stops_and_keeps_the_last_checkpoint),
        cmocka_unit_test(test_with_little_memory_and_weighted_rows_a_killed_run_ends_with_the_same_bits),
        cmocka_unit_test(test_a_folder_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
