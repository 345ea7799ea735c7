/* test_serve.c - the server: what its endpoints answer, what they refuse and how they say it, and that an answer has
 * the same bits as without a server, whoever else is served.
 *
 * What is right comes from the interface's reference as clients read it, and for bits and numbers from hone_engine_run
 * on an engine of its own (what `hone run` and `hone score` print). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/temporary.h"

#include "serving.h"

#include <math.h>
#include <pthread.h>

static serving here;

static int start(void **state)
{
    int failed = temporary_begin(state);
    if (!failed)
        serving_start(&here);
    return failed;
}

static int stop(void **state)
{
    serving_stop(&here);
    return temporary_end(state);
}

/* ---- what is refused ---- */

typedef struct refusal {
    const char *path, *body;
    int status;
    const char *says;
} refusal;

#define CHAT "/v1/chat/completions"
#define COMPLETE "/v1/completions"
#define EMBED "/v1/embeddings"

static const refusal refusals[] = {
    {CHAT, "{\"messages\":[", 400, "not JSON"},
    {CHAT, "", 400, "not JSON"},
    {CHAT, "[1,2]", 400, "a list; it takes an object"},
    {CHAT, "{\"messages\":[],\"messages\":[]}", 400, "not JSON"},
    {CHAT, "{\"model\":\"tiny\"}", 400, "\\\"messages\\\" is absent"},
    {CHAT, "{\"messages\":[]}", 400, "is empty"},
    {CHAT, "{\"messages\":\"hello\"}", 400, "is a string; it takes a list"},
    {CHAT, "{\"messages\":[7]}", 400, "messages[0] is an integer"},
    {CHAT, "{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}", 400, "role \\\"wizard\\\""},
    {CHAT, "{\"messages\":[{\"role\":\"user\"}]}", 400, "\\\"content\\\" is absent"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", 400, "\\\"content\\\" is an integer"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", 400, "reads text only"},
    {CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"arguments\":\"{\"}"
     "}]}]}",
     400, "not the JSON text of an object"},
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
    {CHAT, "{\"model\":\"gpt-9\"," MESSAGES "}", 404, "\\\"tiny\\\", \\\"first\\\", \\\"second\\\", \\\"third\\\""},
    {CHAT, "{\"model\":7," MESSAGES "}", 400, "\\\"model\\\" is an integer; it takes a string"},
    {CHAT, "{" MESSAGES ",\"max_tokens\":\"ten\"}", 400, "\\\"max_tokens\\\" is a string; it takes an integer"},
    {CHAT, "{" MESSAGES ",\"max_tokens\":1.5}", 400, "it takes an integer"},
    {CHAT, "{" MESSAGES ",\"max_tokens\":0}", 400, "\\\"max_tokens\\\" is 0; it takes 1 to"},
    {CHAT, "{" MESSAGES ",\"max_tokens\":-5}", 400, "it takes 1 to"},
    {CHAT, "{" MESSAGES ",\"max_tokens\":99999999999999999999}", 400, "too big integer"},
    {CHAT, "{" MESSAGES ",\"n\":0}", 400, "\\\"n\\\" is 0"},
    {CHAT, "{" MESSAGES ",\"n\":100000}", 400, "it takes 1 to 128"},
    {CHAT, "{" MESSAGES ",\"temperature\":true}", 400, "\\\"temperature\\\" is true; it takes a number"},
    {CHAT, "{" MESSAGES ",\"temperature\":-1}", 400, "it takes 0 to 2"},
    {CHAT, "{" MESSAGES ",\"top_p\":1.1}", 400, "it takes 0 to 1"},
    {CHAT, "{" MESSAGES ",\"seed\":\"x\"}", 400, "\\\"seed\\\" is a string"},
    {CHAT, "{" MESSAGES ",\"stream\":\"yes\"}", 400, "\\\"stream\\\" is a string; it takes true or false"},
    {CHAT, "{" MESSAGES ",\"stream_options\":7}", 400, "\\\"stream_options\\\" is an integer"},
    {CHAT, "{" MESSAGES ",\"stop\":7}", 400, "\\\"stop\\\" holds an integer"},
    {CHAT, "{" MESSAGES ",\"stop\":[\"a\",null]}", 400, "\\\"stop\\\" holds null"},
    {CHAT, "{" MESSAGES ",\"logprobs\":5}", 400, "true or false here"},
    {CHAT, "{" MESSAGES ",\"top_logprobs\":5}", 400, "\\\"logprobs\\\" to be true"},
    {CHAT, "{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":21}", 400, "it takes 0 to 20"},
    {CHAT, "{" MESSAGES ",\"logit_bias\":{\"x\":1}}", 400, "no token id"},
    {CHAT, "{" MESSAGES ",\"logit_bias\":{\"260\":1}}", 400, "the vocabulary has 0 to 259"},
    {CHAT, "{" MESSAGES ",\"logit_bias\":{\"1\":101}}", 400, "it takes -100 to 100"},
    {CHAT, "{" MESSAGES ",\"echo\":true}", 400, "is for /v1/completions"},
/* what would restrict the answer, and cannot be kept, is never ignored */
#define TEXT_ALONE "this server has {\\\"type\\\":\\\"text\\\"} alone: hone cannot restrict"
    {CHAT, "{" MESSAGES ",\"response_format\":{\"type\":\"json_object\"}}", 400, TEXT_ALONE},
    {CHAT, "{" MESSAGES ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}", 400, TEXT_ALONE},
    {COMPLETE, "{\"prompt\":\"a\",\"response_format\":{\"type\":\"json_object\"}}", 400, TEXT_ALONE},
    {CHAT, "{" MESSAGES ",\"response_format\":{\"type\":7}}", 400, "an object with a \\\"type\\\""},
    {CHAT, "{" MESSAGES ",\"response_format\":\"json\"}", 400, "it takes an object"},
    {CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"function\"}]}", 400, "tools cannot be offered"},
    {CHAT, "{" MESSAGES ",\"guided_choice\":[\"a\",\"b\"]}", 400, "cannot restrict"},
    /* 256 tokens of context; with the template "x" has, counted by hand, <|start|> u s e r \n x <|end|> \n (9) and
     * <|start|> a s s i s t a n t \n (11) */
    {CHAT, "{" MESSAGES ",\"max_tokens\":237}", 400, "20 tokens and up to 237 are asked for, together 257"},
    {COMPLETE, "{\"prompt\":[1,2,3],\"max_tokens\":254}", 400, "the model's context is 256"},
    {COMPLETE, "{\"prompt\":[[1],[1,2,3]],\"max_tokens\":254}", 400, "prompt 2 of 2"},
    {COMPLETE, "{}", 400, "holds absent"},
    {COMPLETE, "{\"prompt\":\"\"}", 400, "the prompt is empty"},
    {COMPLETE, "{\"prompt\":[]}", 400, "an empty list"},
    {COMPLETE, "{\"prompt\":[[]]}", 400, "an empty list"},
    {COMPLETE, "{\"prompt\":[1,\"a\"]}", 400, "element 1 of \\\"prompt\\\" is a string"},
    {COMPLETE, "{\"prompt\":[1,260]}", 400, "is 260; the vocabulary has 0 to 259"},
    {COMPLETE, "{\"prompt\":[-1]}", 400, "is -1"},
    {COMPLETE, "{\"prompt\":[1.5]}", 400, "is a number"},
    {COMPLETE, "{\"prompt\":{\"a\":1}}", 400, "an object"},
    {COMPLETE, "{\"prompt\":\"a\\u0000b\"}", 400, "\\\\u0000"},
    {COMPLETE, "{\"prompt\":\"a\",\"suffix\":\"b\"}", 400, "suffix"},
    {COMPLETE, "{\"prompt\":\"a\",\"best_of\":3}", 400, "best_of"},
    {COMPLETE, "{\"prompt\":\"a\",\"logprobs\":true}", 400, "\\\"logprobs\\\" is true; it takes an integer"},
    {COMPLETE, "{\"prompt\":\"a\",\"echo\":true,\"stream\":true}", 400, "cannot be echoed"},
    {EMBED, "{}", 400, "holds absent"},
    {EMBED, "{\"input\":[]}", 400, "holds 0 texts"},
    {EMBED, "{\"input\":\"\"}", 400, "an empty text"},
    {EMBED, "{\"input\":[1,2]}", 400, "holds token ids"},
    {EMBED, "{\"input\":\"a\",\"dimensions\":7}", 400, "this model's vectors have 64"},
    {EMBED, "{\"input\":\"a\",\"encoding_format\":\"hex\"}", 400, "it is float or base64"},
    {EMBED, "{\"model\":\"first\",\"input\":\"a\"}", 400, "is an adapter"},
    {"/tokenize", "{}", 400, "\\\"prompt\\\" is absent"},
    {"/tokenize", "{\"prompt\":7}", 400, "is an integer; it takes a string"},
    {"/detokenize", "{\"tokens\":\"x\"}", 400, "it takes a list"},
    {"/detokenize", "{\"tokens\":[999]}", 400, "is 999"},
    {"/health", "{}", 405, "takes GET, not POST"},
    {"/v2/anything", "{}", 404, "POST /v1/chat/completions"},
};

static void test_what_is_wrong_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        http_answer a = serving_ask(here.port, "POST", r->path, "", r->body, strlen(r->body));
        if (a.status != r->status || !strstr(a.body.data, r->says))
            fail_msg("POST %s %s\n  gives %d %s\n  and should be %d with: %s", r->path, r->body, a.status, a.body.data,
                     r->status, r->says);
        json_t *document = json_loads(a.body.data, JSON_ALLOW_NUL, NULL), *error = json_object_get(document, "error");
        assert_non_null(json_string_value(json_object_get(error, "message")));
        assert_string_equal(json_string_value(json_object_get(error, "type")), "invalid_request_error");
        assert_non_null(json_object_get(error, "param"));
        assert_non_null(json_object_get(error, "code"));
        json_decref(document);
        hone_buffer_clear(&a.body);
    }
}

static void test_an_unknown_model_has_the_code_that_clients_know(void **state)
{
    (void)state;
    json_t *document = serving_post(here.port, COMPLETE, "{\"model\":\"x\",\"prompt\":\"a\"}", 404);
    const json_t *error = json_object_get(document, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "model_not_found");
    assert_string_equal(json_string_value(json_object_get(error, "param")), "model");
    json_decref(document);
}

static void test_invalid_utf8_is_refused_with_its_place(void **state)
{
    (void)state;
    const char body[] = "{\"prompt\":\"abc\xff\"}"; /* the byte stands at 14 */
    json_t *document = serving_post(here.port, COMPLETE, body, 400);
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(document, "error"), "message")),
                           "not valid UTF-8 at byte 14"));
    json_decref(document);
}

static void test_ten_megabytes_are_too_many_and_the_client_hears_it(void **state)
{
    (void)state;
    size_t n = 10 << 20;
    char *body = malloc(n + 1);
    assert_non_null(body);
    memset(body, 'x', n);
    memcpy(body, "{\"prompt\":\"", 11);
    memcpy(body + n - 2, "\"}", 3);
    http_client c;
    http_answer a;
    assert_true(http_client_open(&c, here.port));
    assert_true(http_client_send(&c, "POST", COMPLETE, "", body, n));
    assert_true(http_client_read(&c, &a));
    assert_int_equal(a.status, 413);
    assert_non_null(strstr(a.body.data, "longer than 8388608 bytes"));
    hone_buffer_clear(&a.body);
    /* and the connection is still good */
    assert_true(http_client_send(&c, "GET", "/health", "", NULL, 0));
    assert_true(http_client_read(&c, &a));
    assert_int_equal(a.status, 200);
    hone_buffer_clear(&a.body);
    http_client_close(&c);
    /* what fits a body but not the context is refused with the numbers: "the prompt has N tokens" */
    n = 1 << 20;
    memcpy(body + n - 2, "\"}", 3);
    json_t *document = serving_post(here.port, COMPLETE, body, 400);
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(document, "error"), "message")),
                           "the model's context is 256"));
    json_decref(document);
    free(body);
}

static void test_web_pages_and_foreign_names_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"Host: 127.0.0.1\r\n", 200},
        {"Host: localhost:8080\r\n", 200},
        {"Host: [::1]:8080\r\n", 200},
        {"Host: evil.example\r\n", 403},
        {"Host: 127.0.0.1.evil.example\r\n", 403},
        {"Host: localhost\r\nOrigin: http://localhost:3000\r\n", 200},
        {"Host: localhost\r\nOrigin: https://evil.example\r\n", 403},
        {"Host: localhost\r\nOrigin: null\r\n", 403},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_answer a = serving_ask(here.port, "GET", "/health", cases[i].headers, NULL, 0);
        if (a.status != cases[i].status)
            fail_msg("%s gives %d, not %d", cases[i].headers, a.status, cases[i].status);
        hone_buffer_clear(&a.body);
    }
}

static void test_members_that_clients_send_are_accepted(void **state)
{
    (void)state;
    /* promptfoo's, the openai client's and inspect's, with the values that ask nothing */
    json_decref(
        serving_post(here.port, CHAT,
                     "{" MESSAGES ",\"max_tokens\":2,\"temperature\":0,\"top_p\":1,\"presence_penalty\":0,"
                     "\"frequency_penalty\":0,\"n\":1,\"stop\":[],\"seed\":7,\"user\":\"me\",\"store\":false,"
                     "\"metadata\":{\"a\":\"b\"},\"response_format\":{\"type\":\"text\"},\"tools\":[],"
                     "\"tool_choice\":\"none\",\"parallel_tool_calls\":true,\"logit_bias\":{},\"logprobs\":false,"
                     "\"service_tier\":null,\"reasoning_effort\":null,\"some_new_key\":[1,{\"x\":null}]}",
                     200));
    json_decref(serving_post(here.port, COMPLETE,
                             "{\"prompt\":\"a\",\"max_tokens\":2,\"best_of\":1,\"suffix\":null,\"echo\":false,"
                             "\"logprobs\":null,\"stop\":null,\"presence_penalty\":0,\"frequency_penalty\":0.0}",
                             200));
    json_decref(serving_post(here.port, CHAT,
                             "{\"messages\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":"
                             "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
                             "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\","
                             "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
                             "\"tool_call_id\":\"1\",\"content\":\"7\"}],\"max_completion_tokens\":2}",
                             200));
}

static void test_an_empty_authorization_is_fine(void **state)
{
    (void)state;
    http_answer a = serving_ask(here.port, "GET", "/v1/models", "Authorization: Bearer \r\n", NULL, 0);
    assert_int_equal(a.status, 200);
    hone_buffer_clear(&a.body);
}

static void test_a_port_in_use_is_said_with_the_fix(void **state)
{
    (void)state;
    hone_error err;
    hone_server *server = NULL;
    hone_server_options options = {.model_name = "tiny", .port = here.port};
    const hone_adapter *adapters[1 + SERVING_ADAPTERS];
    hone_engine *engine = serving_engine(adapters);
    assert_int_equal(hone_server_start(engine, &options, &server, &err), HONE_BUSY);
    assert_says(err, "is in use");
    assert_says(err, "choose another port");
    options = (hone_server_options){.model_name = "tiny", .host = "0.0.0.0"};
    assert_int_equal(hone_server_start(engine, &options, &server, &err), HONE_BAD_INPUT);
    assert_says(err, "hone serves this machine only");
    hone_served_adapter twice = {.name = "tiny", .adapter = adapters[1]};
    options = (hone_server_options){.model_name = "tiny", .adapters = &twice, .n_adapters = 1};
    assert_int_equal(hone_server_start(engine, &options, &server, &err), HONE_BAD_INPUT);
    assert_says(err, "two models are named \"tiny\"");
    assert_null(server);
    hone_engine_close(engine);
}

/* ---- what is answered ---- */

static void test_models_lists_the_base_and_its_adapters(void **state)
{
    (void)state;
    json_t *document = serving_get(here.port, "/v1/models", 200);
    assert_string_equal(json_string_value(json_object_get(document, "object")), "list");
    const json_t *data = json_object_get(document, "data");
    assert_int_equal(json_array_size(data), 1 + SERVING_ADAPTERS);
    for (size_t i = 0; i < 1 + SERVING_ADAPTERS; i++) {
        const json_t *model = json_array_get(data, i), *parent = json_object_get(model, "parent");
        assert_string_equal(json_string_value(json_object_get(model, "id")), serving_names[i]);
        assert_string_equal(json_string_value(json_object_get(model, "object")), "model");
        if (i == 0)
            assert_true(json_is_null(parent));
        else
            assert_string_equal(json_string_value(parent), "tiny");
    }
    json_decref(document);
    document = serving_get(here.port, "/v1/models/second", 200);
    assert_string_equal(json_string_value(json_object_get(document, "id")), "second");
    json_decref(document);
    json_decref(serving_get(here.port, "/v1/models/none", 404));
}

static void test_the_tokenizer_is_served(void **state)
{
    (void)state;
    /* the tiny vocabulary: byte b of GPT-2's alphabet has id b, 256 is "th", 257 <|end|> */
    json_t *document =
        serving_post(here.port, "/tokenize", "{\"prompt\":\"A th<|end|>\",\"add_special_tokens\":false}", 200);
    static const int expected[] = {'A', ' ', 256, 257};
    const json_t *tokens = json_object_get(document, "tokens");
    assert_int_equal(json_array_size(tokens), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_integer_value(json_array_get(tokens, i)), expected[i]);
    assert_int_equal(json_integer_value(json_object_get(document, "count")), 4);
    json_decref(document);
    document = serving_post(here.port, "/detokenize", "{\"tokens\":[65,32,256,257]}", 200);
    assert_string_equal(json_string_value(json_object_get(document, "prompt")), "A th<|end|>");
    json_decref(document);
    document = serving_get(here.port, "/tokenizer_info", 200);
    assert_string_equal(json_string_value(json_object_get(document, "eos_token")), "<|end|>");
    assert_string_equal(json_string_value(json_object_get(document, "bos_token")), "<|start|>");
    assert_non_null(strstr(json_string_value(json_object_get(document, "chat_template")), "m['role']"));
    json_decref(document);
}

/* The engine's own answer to the same tokens, on an engine that serves nobody. */
typedef struct reference {
    hone_engine *engine;
    const hone_adapter *adapters[1 + SERVING_ADAPTERS];
} reference;

static hone_response run_reference(reference *ref, int adapter, const int32_t *ids, size_t n, int max_new_tokens)
{
    hone_request request = {.ids = ids,
                            .n_ids = n,
                            .adapter = ref->adapters[adapter],
                            .max_new_tokens = max_new_tokens,
                            .want_prompt_logprobs = true,
                            .n_top_prompt = 1};
    hone_response response;
    hone_error err;
    if (hone_engine_run(ref->engine, &request, 1, &response, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return response;
}

/* The text as JSON holds it: bytes that are no UTF-8 become U+FFFD. Written here a second time, on purpose. */
static void replace_invalid(const char *text, hone_buffer *out)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        size_t n = hone_utf8_next(text + i, length - i, NULL);
        hone_buffer_append(out, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
        i += n ? n : 1;
    }
}

static void assert_text(const json_t *value, const char *text)
{
    hone_buffer valid = {0};
    hone_buffer_puts(&valid, "");
    replace_invalid(text, &valid);
    assert_string_equal(json_string_value(value), valid.data);
    hone_buffer_clear(&valid);
}

static void test_echoed_log_probabilities_are_those_of_the_engine(void **state)
{
    (void)state;
    reference ref;
    ref.engine = serving_engine(ref.adapters);
    static const int32_t ids[] = {84, 104, 101, 32, 256, 257, 65, 66, 200, 7, 11, 32, 32, 33, 34, 35, 36, 37, 38, 39};
    enum { N = sizeof ids / sizeof *ids };
    for (int adapter = 0; adapter <= SERVING_ADAPTERS; adapter++) {
        hone_buffer body = {0};
        hone_buffer_printf(&body, "{\"model\":\"%s\",\"prompt\":[[", serving_names[adapter]);
        for (int i = 0; i < N; i++)
            hone_buffer_printf(&body, "%s%d", i ? "," : "", ids[i]);
        hone_buffer_puts(&body, "]],\"temperature\":0,\"max_tokens\":1,\"logprobs\":1,\"echo\":true,\"seed\":1234}");
        json_t *document = serving_post(here.port, COMPLETE, body.data, 200);
        hone_response right = run_reference(&ref, adapter, ids, N, 1);
        const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
        const json_t *logprobs = json_object_get(choice, "logprobs");
        const json_t *values = json_object_get(logprobs, "token_logprobs"),
                     *top = json_object_get(logprobs, "top_logprobs");
        assert_int_equal(json_integer_value(json_object_get(choice, "index")), 0);
        assert_int_equal(json_array_size(values), N + 1); /* the prompt and exactly one generated token */
        assert_int_equal(json_array_size(top), N + 1);
        assert_true(json_is_null(json_array_get(values, 0)) && json_is_null(json_array_get(top, 0)));
        for (size_t i = 1; i < N; i++) {
            double own = json_real_value(json_array_get(values, i)), best = -INFINITY;
            assert_true((float)own == right.prompt_logprobs[i]);
            const char *name;
            json_t *value;
            json_object_foreach(json_array_get(top, i), name, value) best = fmax(best, json_real_value(value));
            /* clients compare for equality to learn whether the token is the best one */
            const hone_top_token *first = &right.top_prompt[i];
            assert_true((float)best == fmaxf(first->logprob, (float)own));
            assert_int_equal(best == own, first->logprob == right.prompt_logprobs[i]);
        }
        bool ended = right.n_ids == 0;
        assert_true((float)json_real_value(json_array_get(values, N)) ==
                    (ended ? right.end_logprob : right.logprobs[0]));
        json_decref(document);
        hone_buffer_clear(&body);
        hone_response_clear(&right);
    }
    hone_engine_close(ref.engine);
}

/* ---- the same bits, whoever else is served ---- */

enum { N_TOGETHER = 32, N_NEW = 24 };

typedef struct asker {
    char body[1024];
    int adapter;
    int32_t ids[64];
    size_t n_ids;
    json_t *answer;
    pthread_t thread;
} asker;

/* Every second one streams, so that both ways are mixed. */
static void make_asker(asker *a, int i)
{
    a->adapter = i % (1 + SERVING_ADAPTERS);
    a->n_ids = 5 + (size_t)(i * 7) % 40;
    hone_buffer body = {0};
    hone_buffer_printf(&body, "{\"model\":\"%s\",\"max_tokens\":%d,\"logprobs\":0,\"prompt\":[",
                       serving_names[a->adapter], N_NEW);
    for (size_t t = 0; t < a->n_ids; t++) {
        a->ids[t] = (int32_t)(t < 4 ? 65 + t : (t * 31 + (size_t)i * 17) % 256); /* a shared beginning */
        hone_buffer_printf(&body, "%s%d", t ? "," : "", a->ids[t]);
    }
    hone_buffer_puts(&body, "]}");
    snprintf(a->body, sizeof a->body, "%s", body.data);
    hone_buffer_clear(&body);
}

static void *ask(void *context)
{
    asker *a = context;
    http_answer answer = serving_ask(here.port, "POST", COMPLETE, "", a->body, strlen(a->body));
    a->answer = answer.status == 200 ? json_loads(answer.body.data, JSON_ALLOW_NUL, NULL) : NULL;
    hone_buffer_clear(&answer.body);
    return NULL;
}

static void check_answer(const asker *a, const hone_response *right)
{
    const json_t *choice = json_array_get(json_object_get(a->answer, "choices"), 0);
    const json_t *values = json_object_get(json_object_get(choice, "logprobs"), "token_logprobs");
    assert_text(json_object_get(choice, "text"), right->text);
    assert_int_equal(json_array_size(values), right->n_ids);
    for (size_t t = 0; t < right->n_ids; t++)
        assert_true((float)json_real_value(json_array_get(values, t)) == right->logprobs[t]);
    assert_string_equal(json_string_value(json_object_get(choice, "finish_reason")),
                        right->finish == HONE_FINISH_LENGTH ? "length" : "stop");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a->answer, "usage"), "prompt_tokens")),
                     a->n_ids);
}

static void test_the_same_bits_alone_and_among_others_with_other_adapters(void **state)
{
    (void)state;
    reference ref;
    ref.engine = serving_engine(ref.adapters);
    static asker askers[N_TOGETHER];
    size_t n_generated = 0;
    for (int i = 0; i < N_TOGETHER; i++)
        make_asker(&askers[i], i);
    for (int together = 0; together < 2; together++) {
        for (int i = 0; i < N_TOGETHER; i++) {
            assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
            if (!together)
                pthread_join(askers[i].thread, NULL);
        }
        for (int i = 0; i < N_TOGETHER; i++) {
            if (together)
                pthread_join(askers[i].thread, NULL);
            assert_non_null(askers[i].answer);
            hone_response right = run_reference(&ref, askers[i].adapter, askers[i].ids, askers[i].n_ids, N_NEW);
            check_answer(&askers[i], &right);
            n_generated += right.n_ids;
            hone_response_clear(&right);
            json_decref(askers[i].answer);
        }
    }
    assert_true(n_generated > N_TOGETHER * N_NEW); /* the model did not end everything at once */
    hone_engine_close(ref.engine);
}

/* ---- streams ---- */

/* The events of a stream, in order; the last must be [DONE]. */
static json_t *read_events(const char *body)
{
    json_t *events = json_array();
    bool done = false;
    for (const char *at = body, *end; *at; at = end + 2) {
        end = strstr(at, "\n\n");
        assert_non_null(end);
        assert_memory_equal(at, "data: ", 6);
        assert_false(done);
        done = strncmp(at + 6, "[DONE]", 6) == 0;
        if (!done) {
            json_t *event = json_loadb(at + 6, (size_t)(end - at - 6), JSON_ALLOW_NUL, NULL);
            assert_non_null(event);
            json_array_append_new(events, event);
        }
    }
    assert_true(done);
    return events;
}

static void test_a_stream_brings_the_same_text(void **state)
{
    (void)state;
    for (int chat = 0; chat < 2; chat++)
        for (int prompt = 0; prompt < 8; prompt++) {
            char head[256], body[512];
            snprintf(
                head, sizeof head,
                chat ? "{\"model\":\"second\",\"max_tokens\":40,\"messages\":[{\"role\":\"user\",\"content\":\"%d?\"}]"
                     : "{\"model\":\"third\",\"max_tokens\":40,\"prompt\":\"%d:\"",
                prompt * 37);
            const char *path = chat ? CHAT : COMPLETE;
            snprintf(body, sizeof body, "%s}", head);
            json_t *whole = serving_post(here.port, path, body, 200);
            const json_t *choice = json_array_get(json_object_get(whole, "choices"), 0);
            const json_t *text =
                chat ? json_object_get(json_object_get(choice, "message"), "content") : json_object_get(choice, "text");
            snprintf(body, sizeof body, "%s,\"stream\":true,\"stream_options\":{\"include_usage\":true}}", head);
            http_answer a = serving_ask(here.port, "POST", path, "", body, strlen(body));
            assert_int_equal(a.status, 200);
            assert_non_null(strcasestr(a.head, "Content-Type: text/event-stream"));
            json_t *events = read_events(a.body.data), *event, *finish = NULL;
            hone_buffer joined = {0};
            hone_buffer_puts(&joined, "");
            size_t i, n_finishes = 0;
            json_array_foreach(events, i, event)
            {
                const json_t *piece = json_array_get(json_object_get(event, "choices"), 0);
                const char *delta = json_string_value(chat ? json_object_get(json_object_get(piece, "delta"), "content")
                                                           : json_object_get(piece, "text"));
                hone_buffer_puts(&joined, delta ? delta : "");
                if (json_is_string(json_object_get(piece, "finish_reason"))) {
                    finish = json_object_get(piece, "finish_reason");
                    n_finishes++;
                }
            }
            assert_string_equal(joined.data, json_string_value(text));
            assert_int_equal(n_finishes, 1);
            assert_string_equal(json_string_value(finish), json_string_value(json_object_get(choice, "finish_reason")));
            const json_t *last = json_array_get(events, json_array_size(events) - 1);
            assert_int_equal(json_array_size(json_object_get(last, "choices")), 0);
            assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "usage"), "completion_tokens")),
                             json_integer_value(json_object_get(json_object_get(whole, "usage"), "completion_tokens")));
            json_decref(whole);
            json_decref(events);
            hone_buffer_clear(&joined);
            hone_buffer_clear(&a.body);
        }
}

/* `hone embed` prints what hone_embedder_run gives. The base64 form is decoded by the alphabet of RFC 4648. */
static void test_embeddings_are_those_of_the_embedder_in_both_forms(void **state)
{
    (void)state;
    hone_embedder *embedder;
    static float right[3][TINY_EMBD];
    const hone_embed_text texts[] = {{"first", 5}, {"the second", 10}, {"a third one", 11}};
    assert_int_equal(hone_embedder_open(temporary_path("tiny.gguf"), NULL, &embedder, NULL), HONE_OK);
    assert_int_equal(hone_embedder_run(embedder, texts, 3, right[0], NULL, NULL, NULL), HONE_OK);
    hone_embedder_close(embedder);
    json_t *numbers = serving_post(here.port, EMBED, "{\"input\":[\"first\",\"the second\",\"a third one\"]}", 200);
    json_t *coded = serving_post(
        here.port, EMBED, "{\"input\":[\"first\",\"the second\",\"a third one\"],\"encoding_format\":\"base64\"}", 200);
    for (size_t i = 0; i < 3; i++) {
        const json_t *entry = json_array_get(json_object_get(numbers, "data"), i);
        const json_t *vector = json_object_get(entry, "embedding");
        assert_int_equal(json_integer_value(json_object_get(entry, "index")), i);
        assert_int_equal(json_array_size(vector), TINY_EMBD);
        const char *text =
            json_string_value(json_object_get(json_array_get(json_object_get(coded, "data"), i), "embedding"));
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        unsigned char bytes[TINY_EMBD * 4 + 3];
        size_t n = 0;
        assert_int_equal(strlen(text), (TINY_EMBD * 4 + 2) / 3 * 4);
        for (const char *at = text; *at; at += 4) {
            uint32_t group = 0;
            for (int d = 0; d < 4; d++)
                group = group << 6 | (at[d] == '=' ? 0 : (uint32_t)(strchr(alphabet, at[d]) - alphabet));
            for (int b = 2; b >= 0; b--)
                bytes[n++] = (unsigned char)(group >> (8 * b));
        }
        assert_memory_equal(bytes, right[i], sizeof right[i]);
        for (size_t d = 0; d < TINY_EMBD; d++)
            assert_true((float)json_real_value(json_array_get(vector, d)) == right[i][d]);
    }
    json_decref(numbers);
    json_decref(coded);
}

/* What the engine writes without stop strings says where a string must end it. */
static void test_stop_strings_end_answers_whole_and_streamed(void **state)
{
    (void)state;
    const char *free_run = "{\"prompt\":\"stop\",\"max_tokens\":60,\"temperature\":1,\"seed\":%d}";
    int n_stopped = 0;
    for (int seed = 0; seed < 12; seed++) {
        char body[512];
        snprintf(body, sizeof body, free_run, seed);
        json_t *whole = serving_post(here.port, COMPLETE, body, 200);
        char text[1024], stop[8] = "";
        snprintf(text, sizeof text, "%s",
                 json_string_value(json_object_get(json_array_get(json_object_get(whole, "choices"), 0), "text")));
        json_decref(whole);
        /* two printable characters somewhere in the text */
        for (size_t i = strlen(text) / 3; text[i] && text[i + 1] && !stop[0]; i++)
            if (text[i] >= '#' && text[i] < 127 && text[i] != '\\' && text[i + 1] >= '#' && text[i + 1] < 127 &&
                text[i + 1] != '\\')
                snprintf(stop, sizeof stop, "%.2s", text + i);
        if (!stop[0])
            continue;
        *strstr(text, stop) = 0;
        for (int streams = 0; streams < 2; streams++) {
            snprintf(body, sizeof body,
                     "{\"prompt\":\"stop\",\"max_tokens\":60,\"temperature\":1,\"seed\":%d,\"stop\":[\"\",\"%s\"],"
                     "\"stream\":%s}",
                     seed, stop, streams ? "true" : "false");
            http_answer a = serving_ask(here.port, "POST", COMPLETE, "", body, strlen(body));
            assert_int_equal(a.status, 200);
            json_t *documents =
                streams ? read_events(a.body.data) : json_pack("[o]", json_loads(a.body.data, JSON_ALLOW_NUL, NULL));
            hone_buffer joined = {0};
            const char *finish = NULL;
            size_t i;
            json_t *document;
            hone_buffer_puts(&joined, "");
            json_array_foreach(documents, i, document)
            {
                const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
                hone_buffer_puts(&joined, json_string_value(json_object_get(choice, "text")));
                if (json_is_string(json_object_get(choice, "finish_reason")))
                    finish = json_string_value(json_object_get(choice, "finish_reason"));
            }
            assert_string_equal(joined.data, text);
            assert_string_equal(finish, "stop");
            n_stopped++;
            json_decref(documents);
            hone_buffer_clear(&joined);
            hone_buffer_clear(&a.body);
        }
    }
    assert_true(n_stopped >= 8);
}

/* "aaab" never comes, so three characters are held back all the time, while their tokens are reported. */
static void test_streamed_tokens_have_their_place_in_the_text_also_before_it_is_sent(void **state)
{
    (void)state;
    const char *body =
        "{\"prompt\":\"x\",\"max_tokens\":9,\"temperature\":0,\"logit_bias\":{\"97\":100},\"logprobs\":0,"
        "\"stop\":[\"aaab\"],\"stream\":true}";
    http_answer a = serving_ask(here.port, "POST", COMPLETE, "", body, strlen(body));
    assert_int_equal(a.status, 200);
    json_t *documents = read_events(a.body.data), *document;
    size_t i, k;
    json_int_t n = 0;
    json_array_foreach(documents, i, document)
    {
        const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
        json_t *offsets = json_object_get(json_object_get(choice, "logprobs"), "text_offset"), *offset;
        json_array_foreach(offsets, k, offset) assert_int_equal(json_integer_value(offset), n++);
    }
    assert_int_equal(n, 9);
    json_decref(documents);
    hone_buffer_clear(&a.body);
}

static void test_a_bias_forces_and_forbids_a_token(void **state)
{
    (void)state;
    json_t *document = serving_post(
        here.port, COMPLETE,
        "{\"prompt\":\"a\",\"max_tokens\":5,\"logit_bias\":{\"65\":100},\"logprobs\":2,\"stop\":null}", 200);
    const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
    assert_string_equal(json_string_value(json_object_get(choice, "text")),
                        "AAAAA"); /* token 65 of the alphabet is A */
    const json_t *top = json_array_get(json_object_get(json_object_get(choice, "logprobs"), "top_logprobs"), 0);
    assert_true(json_object_size(top) == 3 || json_object_get(top, "A")); /* the two best, and what was taken */
    assert_true(json_real_value(json_object_get(top, "A")) <= 0);         /* by the model itself, without the bias */
    json_decref(document);
    document = serving_post(
        here.port, COMPLETE,
        "{\"prompt\":\"a\",\"max_tokens\":5,\"logit_bias\":{\"65\":100,\"66\":100},\"frequency_penalty\":2,"
        "\"presence_penalty\":1,\"top_p\":0,\"temperature\":1}",
        200);
    choice = json_array_get(json_object_get(document, "choices"), 0);
    const char *text = json_string_value(json_object_get(choice, "text"));
    assert_int_equal(strspn(text, "AB"), 5);
    json_decref(document);
}

/* A text may hold NULs; what stands behind one is part of the answer, whole and streamed. */
static void test_an_answer_of_nul_bytes_is_not_cut(void **state)
{
    (void)state;
    for (int streams = 0; streams < 2; streams++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{\"prompt\":\"a\",\"max_tokens\":4,\"logit_bias\":{\"0\":100},\"stop\":[\"never\"],\"stream\":%s}",
                 streams ? "true" : "false");
        http_answer a = serving_ask(here.port, "POST", COMPLETE, "", body, strlen(body));
        assert_int_equal(a.status, 200);
        json_t *documents =
            streams ? read_events(a.body.data) : json_pack("[o]", json_loads(a.body.data, JSON_ALLOW_NUL, NULL));
        json_t *document;
        size_t i, n = 0;
        json_array_foreach(documents, i, document)
        {
            const json_t *text = json_object_get(json_array_get(json_object_get(document, "choices"), 0), "text");
            for (size_t k = 0; k < json_string_length(text); k++)
                assert_int_equal(json_string_value(text)[k], 0);
            n += json_string_length(text);
        }
        assert_int_equal(n, 4);
        json_decref(documents);
        hone_buffer_clear(&a.body);
    }
}

static void test_a_chats_log_probabilities_have_their_tokens_bytes(void **state)
{
    (void)state;
    json_t *document =
        serving_post(here.port, CHAT, "{" MESSAGES ",\"max_tokens\":12,\"logprobs\":true,\"top_logprobs\":3}", 200);
    const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "logprobs"), "content"), *entry;
    hone_buffer bytes = {0};
    size_t i, t;
    hone_buffer_puts(&bytes, "");
    assert_int_equal(json_array_size(content),
                     json_integer_value(json_object_get(json_object_get(document, "usage"), "completion_tokens")));
    assert_true(json_array_size(content) > 0);
    json_array_foreach(content, i, entry)
    {
        json_t *byte, *top = json_object_get(entry, "top_logprobs");
        json_array_foreach(json_object_get(entry, "bytes"), t, byte)
            hone_buffer_putc(&bytes, (char)json_integer_value(byte));
        assert_int_equal(json_array_size(top), 3);
        /* greedy: the best of the list is the token itself, with the identical number */
        assert_true(json_equal(json_object_get(json_array_get(top, 0), "logprob"), json_object_get(entry, "logprob")));
        assert_true(json_equal(json_object_get(json_array_get(top, 0), "bytes"), json_object_get(entry, "bytes")));
        for (t = 1; t < 3; t++)
            assert_true(json_real_value(json_object_get(json_array_get(top, t - 1), "logprob")) >=
                        json_real_value(json_object_get(json_array_get(top, t), "logprob")));
    }
    assert_text(json_object_get(json_object_get(choice, "message"), "content"), bytes.data);
    hone_buffer_clear(&bytes);
    json_decref(document);
}

static void test_prompt_log_probabilities_in_the_form_that_inspect_reads(void **state)
{
    (void)state;
    reference ref;
    ref.engine = serving_engine(ref.adapters);
    static const int32_t ids[] = {72, 101, 108, 108, 111, 32, 256};
    hone_response right = run_reference(&ref, 0, ids, 7, 1);
    json_t *document = serving_post(
        here.port, COMPLETE, "{\"prompt\":[72,101,108,108,111,32,256],\"max_tokens\":1,\"prompt_logprobs\":1}", 200);
    const json_t *list = json_object_get(json_array_get(json_object_get(document, "choices"), 0), "prompt_logprobs");
    assert_int_equal(json_array_size(list), 7);
    assert_true(json_is_null(json_array_get(list, 0)));
    for (size_t i = 1; i < 7; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", ids[i]);
        json_t *position = json_array_get(list, i);
        /* the prompt's own token comes first */
        assert_string_equal(json_object_iter_key(json_object_iter(position)), key);
        assert_true((float)json_real_value(json_object_get(json_object_get(position, key), "logprob")) ==
                    right.prompt_logprobs[i]);
    }
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json_array_get(list, 6), "256"), "decoded_token")), "th");
    json_decref(document);
    hone_response_clear(&right);
    hone_engine_close(ref.engine);
}

static void test_a_seed_gives_the_same_sample_again_and_choices_differ(void **state)
{
    (void)state;
    const char *body = "{\"prompt\":\"once\",\"max_tokens\":20,\"temperature\":1.5,\"seed\":11,\"n\":3}";
    json_t *first = serving_post(here.port, COMPLETE, body, 200), *again = serving_post(here.port, COMPLETE, body, 200);
    assert_true(json_equal(json_object_get(first, "choices"), json_object_get(again, "choices")));
    const json_t *choices = json_object_get(first, "choices");
    assert_int_equal(json_array_size(choices), 3);
    const char *texts[3];
    for (size_t i = 0; i < 3; i++)
        texts[i] = json_string_value(json_object_get(json_array_get(choices, i), "text"));
    assert_string_not_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[1], texts[2]);
    json_decref(first);
    json_decref(again);
    /* without a seed one is drawn and named; asking with it gives the answer again */
    first = serving_post(here.port, COMPLETE, "{\"prompt\":\"once\",\"max_tokens\":20,\"temperature\":1.5}", 200);
    char seeded[256];
    snprintf(seeded, sizeof seeded, "{\"prompt\":\"once\",\"max_tokens\":20,\"temperature\":1.5,\"seed\":%lld}",
             (long long)json_integer_value(json_object_get(first, "seed")));
    again = serving_post(here.port, COMPLETE, seeded, 200);
    assert_true(json_equal(json_object_get(first, "choices"), json_object_get(again, "choices")));
    json_decref(first);
    json_decref(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_an_unknown_model_has_the_code_that_clients_know),
        cmocka_unit_test(test_invalid_utf8_is_refused_with_its_place),
        cmocka_unit_test(test_ten_megabytes_are_too_many_and_the_client_hears_it),
        cmocka_unit_test(test_web_pages_and_foreign_names_are_refused),
        cmocka_unit_test(test_members_that_clients_send_are_accepted),
        cmocka_unit_test(test_an_empty_authorization_is_fine),
        cmocka_unit_test(test_a_port_in_use_is_said_with_the_fix),
        cmocka_unit_test(test_models_lists_the_base_and_its_adapters),
        cmocka_unit_test(test_the_tokenizer_is_served),
        cmocka_unit_test(test_echoed_log_probabilities_are_those_of_the_engine),
        cmocka_unit_test(test_the_same_bits_alone_and_among_others_with_other_adapters),
        cmocka_unit_test(test_a_stream_brings_the_same_text),
        cmocka_unit_test(test_embeddings_are_those_of_the_embedder_in_both_forms),
        cmocka_unit_test(test_stop_strings_end_answers_whole_and_streamed),
        cmocka_unit_test(test_streamed_tokens_have_their_place_in_the_text_also_before_it_is_sent),
        cmocka_unit_test(test_a_bias_forces_and_forbids_a_token),
        cmocka_unit_test(test_an_answer_of_nul_bytes_is_not_cut),
        cmocka_unit_test(test_a_chats_log_probabilities_have_their_tokens_bytes),
        cmocka_unit_test(test_prompt_log_probabilities_in_the_form_that_inspect_reads),
        cmocka_unit_test(test_a_seed_gives_the_same_sample_again_and_choices_differ),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
