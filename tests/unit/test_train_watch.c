/* test_train_watch.c - what is looked at when a checkpoint is scored, on a tiny model that the test writes: an adapter
 * that does nothing loses nothing, one that does something is measured as the engine by itself measures it, and nothing
 * depends on threads. */
#include "train/watch.h"

#include "model/adapter.h"
#include "tiny_model.h"
#include "train/general_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

static char model_path[300];
static hone_engine *engine;
static hone_conversations rows;
static hone_encoded_examples held;

static hone_engine *open_engine(int threads)
{
    hone_engine_options o = {.n_threads = threads, .cache_bytes = 4 << 20, .max_batch_rows = 64};
    hone_engine *e;
    hone_error err;
    return hone_engine_open(model_path, &o, &e, &err) == HONE_OK ? e : NULL;
}

/* scale 0: B is zero, so the adapter changes nothing. */
static hone_adapter *new_adapter(hone_engine *e, double scale)
{
    hone_adapter *a;
    hone_error err;
    const hone_model *model = hone_engine_get_model(e);
    assert_int_equal(hone_adapter_create(&model->config, 4, 8, &a, &err), HONE_OK);
    hone_adapter_init(a, 3);
    for (size_t i = 0; i < a->n_parameters && scale > 0; i++)
        a->parameters[i] += (float)(scale * hone_rng_normal((hone_rng_key){4, HONE_RNG_TEST, 0}, i));
    hone_adapter_refresh(model->ops, a);
    hone_adapter_hash(a);
    return a;
}

static hone_train_scored score_with(hone_engine *e, const hone_adapter *a)
{
    hone_watch *watch;
    hone_train_scored out = {NAN, NAN, NULL};
    hone_error err;
    if (hone_watch_create(e, held.items, held.n, &rows, held.longest_answer_tokens, 7, &watch, &err) != HONE_OK ||
        hone_watch_score(watch, a, &out, &err) != HONE_OK)
        fail_msg("%s", err.message);
    hone_watch_free(watch);
    return out;
}

static double number_of(const hone_train_scored *s, const char *key)
{
    return json_number_value(json_object_get(s->details, key));
}

static void test_an_adapter_that_does_nothing_loses_nothing(void **state)
{
    (void)state;
    hone_adapter *a = new_adapter(engine, 0);
    hone_train_scored s = score_with(engine, a);
    assert_true(number_of(&s, "kl") == 0); /* exactly: the same bits under both */
    assert_true(number_of(&s, "general_perplexity") == number_of(&s, "general_perplexity_base"));
    assert_true(number_of(&s, "general_perplexity") > 1);
    assert_true(number_of(&s, "kl_tokens") > 0);
    assert_int_equal(number_of(&s, "n"), (int)held.n);
    json_decref(s.details);
    hone_adapter_free(a);
}

/* Each figure once more, by requests of the test's own. */
static void test_figures_are_those_of_the_engine(void **state)
{
    (void)state;
    hone_adapter *a = new_adapter(engine, 0.05);
    hone_train_scored s = score_with(engine, a);
    hone_error err;
    double loss = 0, weight = 0, sum = 0, tokens = 0;
    size_t right = 0;
    const char *said = json_string_value(json_object_get(s.details, "right"));
    assert_int_equal(strlen(said), held.n);
    for (size_t i = 0; i < held.n; i++) {
        const hone_learned_conversation *c = &held.items[i].tokens;
        hone_request q[2] = {{.ids = c->ids.data, .n_ids = c->ids.n, .adapter = a, .want_prompt_logprobs = true},
                             {.ids = c->ids.data,
                              .n_ids = c->last_answer,
                              .adapter = a,
                              .max_new_tokens = (int)held.longest_answer_tokens}};
        hone_response r[2] = {0};
        assert_int_equal(hone_engine_run(engine, q, 2, r, NULL, &err), HONE_OK);
        for (size_t t = c->n_prompt; t < c->ids.n; t++) {
            loss -= (double)c->weights[t] * (double)r[0].prompt_logprobs[t];
            weight += (double)c->weights[t];
        }
        bool is_right = strcmp(r[1].text, held.items[i].answer) == 0;
        right += is_right;
        assert_int_equal(said[i], is_right ? '1' : '0');
        hone_response_clear(&r[0]);
        hone_response_clear(&r[1]);
    }
    assert_true(fabs(s.loss - loss / weight) < 1e-9);
    assert_true(s.score == (double)right / (double)held.n);
    for (size_t i = 0; i < hone_n_general_passages; i++) {
        hone_token_list ids = {0};
        hone_response r = {0};
        assert_int_equal(hone_engine_encode_text(engine, hone_general_passages[i], &ids, &err), HONE_OK);
        size_t n = ids.n < TINY_CONTEXT ? ids.n : TINY_CONTEXT;
        hone_request q = {.ids = ids.data, .n_ids = n, .adapter = a, .want_prompt_logprobs = true};
        assert_int_equal(hone_engine_run(engine, &q, 1, &r, NULL, &err), HONE_OK);
        for (size_t t = 1; t < n; t++)
            sum -= (double)r.prompt_logprobs[t];
        tokens += (double)n - 1;
        hone_response_clear(&r);
        hone_token_list_clear(&ids);
    }
    assert_true(fabs(number_of(&s, "general_perplexity") / exp(sum / tokens) - 1) < 1e-9);
    assert_true(number_of(&s, "general_perplexity") != number_of(&s, "general_perplexity_base"));
    assert_true(number_of(&s, "kl") != 0);
    json_t *sample = json_array_get(json_object_get(s.details, "samples"), 0);
    assert_string_equal(json_string_value(json_object_get(sample, "input")), "row 0");
    assert_string_equal(json_string_value(json_object_get(sample, "reference")), "b0");
    assert_int_equal(json_integer_value(json_object_get(sample, "line")), 1);
    json_decref(s.details);
    hone_adapter_free(a);
}

static void test_a_row_without_a_whole_answer_is_not_asked_but_counts_in_the_loss(void **state)
{
    (void)state;
    static const char text[] =
        "{\"input\": \"a\", \"output\": \"b\"}\n{\"input\": \"c\", \"output\": \"defghijklmnop\"}\n"
        "{\"input\": \"q\", \"output\": \"r\"}\n";
    hone_adapter *a = new_adapter(engine, 0.05);
    hone_conversations own;
    hone_encoded_examples whole, cut;
    hone_watch *watch;
    hone_train_scored with = {NAN, NAN, NULL}, without = {NAN, NAN, NULL};
    hone_error err;
    hone_example_options options = {0};
    const char *path = temporary_bytes("cut.jsonl", text, sizeof text - 1);
    assert_int_equal(hone_conversations_read(path, NULL, &own, &err), HONE_OK);
    assert_int_equal(hone_examples_encode(engine, path, &own, &options, &whole, &err), HONE_OK);
    options = (hone_example_options){.max_tokens = (int64_t)whole.items[0].tokens.ids.n + 3,
                                     .too_long = HONE_TOO_LONG_TRUNCATE};
    assert_int_equal(hone_examples_encode(engine, path, &own, &options, &cut, &err), HONE_OK);
    assert_int_equal(cut.n_truncated, 1);
    assert_int_equal(hone_watch_create(engine, cut.items, 3, NULL, 4, 7, &watch, &err), HONE_OK);
    assert_int_equal(hone_watch_score(watch, a, &with, &err), HONE_OK);
    hone_watch_free(watch);
    assert_int_equal(number_of(&with, "n"), 2);
    assert_int_equal(strlen(json_string_value(json_object_get(with.details, "right"))), 2);
    const json_t *samples = json_object_get(with.details, "samples");
    assert_int_equal(json_array_size(samples), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(samples, 1), "line")), 3);
    hone_encoded_example left[] = {cut.items[0], cut.items[2]}; /* as if the row were not there */
    assert_int_equal(hone_watch_create(engine, left, 2, NULL, 4, 7, &watch, &err), HONE_OK);
    assert_int_equal(hone_watch_score(watch, a, &without, &err), HONE_OK);
    hone_watch_free(watch);
    assert_true(with.score == without.score && with.loss != without.loss);
    assert_true(number_of(&with, "kl") == number_of(&without, "kl"));
    assert_int_equal(hone_watch_create(engine, &cut.items[1], 1, NULL, 4, 7, &watch, &err), HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "cut off"));
    json_decref(with.details);
    json_decref(without.details);
    hone_encoded_examples_clear(&whole);
    hone_encoded_examples_clear(&cut);
    hone_conversations_clear(&own);
    hone_adapter_free(a);
}

static const char *hash_of(const hone_encoded_examples *x)
{
    static char hex[8][65];
    static int next;
    char *out = hex[next++ % 8];
    hone_watch *w;
    hone_error err;
    if (hone_watch_create(engine, x->items, x->n, NULL, x->longest_answer_tokens, 7, &w, &err) != HONE_OK ||
        hone_watch_hash(w, out, &err) != HONE_OK)
        fail_msg("%s", err.message);
    hone_watch_free(w);
    return out;
}

static void test_the_hash_names_everything_that_is_asked(void **state)
{
    (void)state;
    char before[65];
    snprintf(before, sizeof before, "%s", hash_of(&held));
    assert_string_equal(hash_of(&held), before);
    held.items[4].tokens.ids.data[2] ^= 1;
    assert_string_not_equal(hash_of(&held), before);
    held.items[4].tokens.ids.data[2] ^= 1;
    held.items[4].tokens.weights[held.items[4].tokens.ids.n - 1] = 0.5f;
    assert_string_not_equal(hash_of(&held), before);
    held.items[4].tokens.weights[held.items[4].tokens.ids.n - 1] = 1;
    held.longest_answer_tokens++;
    assert_string_not_equal(hash_of(&held), before);
    held.longest_answer_tokens--;
    held.n--;
    assert_string_not_equal(hash_of(&held), before);
    held.n++;
    assert_string_equal(hash_of(&held), before);
}

static void test_nothing_depends_on_threads(void **state)
{
    (void)state;
    hone_engine *alone = open_engine(1);
    hone_adapter *a = new_adapter(engine, 0.05), *b = new_adapter(alone, 0.05);
    hone_train_scored x = score_with(engine, a), y = score_with(alone, b);
    assert_true(x.score == y.score && x.loss == y.loss);
    assert_true(json_equal(x.details, y.details));
    json_decref(x.details);
    json_decref(y.details);
    hone_adapter_free(a);
    hone_adapter_free(b);
    hone_engine_close(alone);
}

static int open_all(void **state)
{
    hone_error err;
    hone_buffer text = {0};
    if (temporary_begin(state) != 0)
        return -1;
    snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.gguf"));
    for (int i = 0; i < 9; i++)
        hone_buffer_printf(&text, "{\"input\": \"row %d\", \"output\": \"b%d\"}\n", i, i % 3);
    const char *path = temporary_bytes("rows.jsonl", text.data, text.length);
    hone_buffer_clear(&text);
    hone_example_options options = {0};
    if (tiny_model_write(model_path, &err) == HONE_OK && (engine = open_engine(2)) &&
        hone_conversations_read(path, NULL, &rows, &err) == HONE_OK &&
        hone_examples_encode(engine, path, &rows, &options, &held, &err) == HONE_OK)
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int close_all(void **state)
{
    hone_encoded_examples_clear(&held);
    hone_conversations_clear(&rows);
    hone_engine_close(engine);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_adapter_that_does_nothing_loses_nothing),
        cmocka_unit_test(test_figures_are_those_of_the_engine),
        cmocka_unit_test(test_a_row_without_a_whole_answer_is_not_asked_but_counts_in_the_loss),
        cmocka_unit_test(test_the_hash_names_everything_that_is_asked),
        cmocka_unit_test(test_nothing_depends_on_threads),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
