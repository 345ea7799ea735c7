/* engine_rig.h - engines on the tiny model, requests of every kind, and what each answers alone. Include after
 * cmocka.h. */
#ifndef HONE_TESTS_ENGINE_RIG_H
#define HONE_TESTS_ENGINE_RIG_H

#include "engine/internal.h"
#include "numbers.h"
#include "tiny_model.h"
#include "unit/temporary.h"

enum { N_REQUESTS = 12, PROMPT = 70, COMMON = 40 };

static char model_path[256];
static hone_numerics numerics;              /* of the engines that are opened */
static int32_t prompts[N_REQUESTS][PROMPT]; /* all of one half begin with the same COMMON tokens */
/* As long as each other, or the shortest would always win. */
static const char *const labels[] = {"card arrival", "card linking", "exchange fee", "cash is late",
                                     "card is lost", "top up again", "top up by me", "top up fails"};
enum { N_LABELS = sizeof labels / sizeof *labels };

/* Pages of a tiny model hold 16 KiB. */
__attribute__((unused)) static hone_engine *open_engine(int n_threads, int64_t n_pages)
{
    hone_error err;
    hone_engine *engine;
    size_t page = hone_kv_page_bytes(TINY_LAYERS, TINY_KV_HEADS, TINY_HEAD_DIM);
    hone_engine_options options = {.n_threads = n_threads, .cache_bytes = (size_t)n_pages * page, .numerics = numerics};
    if (hone_engine_open(model_path, &options, &engine, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return engine;
}

__attribute__((unused)) static hone_adapter *add_adapter(hone_engine *engine, int rank, double alpha, uint32_t stream)
{
    hone_adapter *a;
    assert_int_equal(hone_adapter_create(&engine->model->config, rank, alpha, &a, NULL), HONE_OK);
    hone_adapter_init(a, stream);
    for (int i = 0; i < TINY_LAYERS * HONE_N_LINEARS; i++)
        for (int64_t j = 0; j < rank * a->loras[i].n_out; j++)
            a->loras[i].b_t[j] =
                (float)(0.05 * hone_rng_normal((hone_rng_key){stream, HONE_RNG_TEST, (uint32_t)i}, (uint64_t)j));
    hone_adapter_refresh(engine->ops, a);
    hone_adapter_hash(a);
    assert_int_equal(hone_engine_add_adapter(engine, a, NULL), HONE_OK);
    return a;
}

/* Requests of every kind, of different lengths. */
__attribute__((unused)) static hone_request make_request(int i, const hone_choices *choices)
{
    hone_request r = {.ids = prompts[i], .n_ids = (size_t)(PROMPT - 3 * i)};
    switch (i % 4) {
    case 0:
        r.max_new_tokens = 5 + i;
        break;
    case 1:
        r.want_prompt_logprobs = true;
        r.n_top = 5;
        break;
    case 2:
        r.choices = choices;
        break;
    default:
        r.max_new_tokens = 9;
        r.n_top = 3;
        break;
    }
    return r;
}

__attribute__((unused)) static void assert_same(const hone_response *a, const hone_response *b, const hone_request *r)
{
    assert_int_equal(a->n_ids, b->n_ids);
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->n_top, b->n_top);
    assert_int_equal(a->choice, b->choice);
    assert_string_equal(a->text, b->text);
    assert_memory_equal(a->ids, b->ids, a->n_ids * sizeof *a->ids);
    if (a->logprobs)
        assert_true(same_bits(a->logprobs, b->logprobs, (int64_t)a->n_ids));
    if (r->want_prompt_logprobs)
        assert_true(same_bits(a->prompt_logprobs + 1, b->prompt_logprobs + 1, (int64_t)r->n_ids - 1));
    if (a->n_top)
        assert_memory_equal(a->top, b->top, (size_t)a->n_top * sizeof *a->top);
    if (r->choices)
        assert_memory_equal(&a->choice_logprob, &b->choice_logprob, sizeof a->choice_logprob);
}

typedef struct reference { /* each request alone in a fresh engine, on one thread */
    hone_response responses[N_REQUESTS];
} reference;

__attribute__((unused)) static void compute_alone(reference *alone)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        hone_choices *choices;
        hone_engine *engine = open_engine(1, 64);
        assert_int_equal(hone_engine_create_choices(engine, labels, N_LABELS, &choices, NULL), HONE_OK);
        hone_request r = make_request(i, choices);
        assert_int_equal(hone_engine_run(engine, &r, 1, &alone->responses[i], NULL, NULL), HONE_OK);
        hone_choices_free(choices);
        hone_engine_close(engine);
    }
}

__attribute__((unused)) static void clear_responses(hone_response *responses, int n)
{
    for (int i = 0; i < n; i++)
        hone_response_clear(&responses[i]);
}

__attribute__((unused)) static int engine_rig_begin(void **state)
{
    hone_error err;
    if (temporary_begin(state) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.gguf"));
    if (tiny_model_write(model_path, &err) != HONE_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    for (int i = 0; i < N_REQUESTS; i++)
        for (int t = 0; t < PROMPT; t++)
            prompts[i][t] = (int32_t)hone_rng_below(
                (hone_rng_key){5, HONE_RNG_TEST, t < COMMON && i % 2 ? 0 : 1 + (uint32_t)i}, (uint64_t)t, 256);
    return 0;
}

#endif
