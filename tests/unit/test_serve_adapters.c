/* test_serve_adapters.c - adapters by name: where a name leads, and adapters that come and go while the server runs.
 * What an answer must be comes from hone_engine_run on an engine of its own with the same adapter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/temporary.h"

#include "serving.h"

#include "model/adapter_find.h"
#include "ops/ops.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOAD "/v1/load_lora_adapter"
#define UNLOAD "/v1/unload_lora_adapter"
#define COMPLETE "/v1/completions"

static serving here;
static char folders[2][256]; /* of the first and the second adapter of serving.h */

static int start(void **state)
{
    int failed = temporary_begin(state);
    if (failed)
        return failed;
    serving_start(&here);
    for (int i = 0; i < 2; i++) {
        snprintf(folders[i], sizeof folders[i], "%s", temporary_path(i ? "saved-second" : "saved-first"));
        if (hone_adapter_save(here.adapters[1 + i], folders[i], "tiny", NULL) != HONE_OK)
            return -1;
    }
    return 0;
}

static int stop(void **state)
{
    serving_stop(&here);
    return temporary_end(state);
}

static void command(const char *endpoint, int status, const char *says, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
static void command(const char *endpoint, int status, const char *says, const char *text, ...)
{
    char body[1024];
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(body, sizeof body, text, arguments);
    va_end(arguments);
    http_answer a = serving_ask(here.port, "POST", endpoint, "", body, strlen(body));
    if (a.status != status || !strstr(a.body.data, says))
        fail_msg("POST %s %s\n  gives %d %s\n  and should be %d with: %s", endpoint, body, a.status, a.body.data,
                 status, says);
    hone_buffer_clear(&a.body);
}

/* The text of 40 greedy tokens after "abc". */
static char *text_of(const char *model)
{
    char body[256];
    snprintf(body, sizeof body, "{\"model\":\"%s\",\"prompt\":\"abc\",\"max_tokens\":40}", model);
    json_t *document = serving_post(here.port, COMPLETE, body, 200);
    const char *text =
        json_string_value(json_object_get(json_array_get(json_object_get(document, "choices"), 0), "text"));
    char *copy = strdup(text);
    json_decref(document);
    return copy;
}

static void assert_answers_alike(const char *model, const char *other, bool alike)
{
    char *a = text_of(model), *b = text_of(other);
    if ((strcmp(a, b) == 0) != alike)
        fail_msg("%s says [%s], %s says [%s]", model, a, other, b);
    free(a);
    free(b);
}

static void test_an_adapter_that_is_loaded_answers_like_the_one_that_was_there(void **state)
{
    (void)state;
    command(LOAD, 200, "\"loaded\"", "{\"lora_name\":\"late\",\"lora_path\":\"%s\",\"lora_int_id\":7}", folders[0]);
    assert_answers_alike("late", "first", true);
    assert_answers_alike("late", "second", false);
    assert_answers_alike("late", "tiny", false);
    json_t *models = serving_get(here.port, "/v1/models/late", 200);
    assert_string_equal(json_string_value(json_object_get(models, "parent")), "tiny");
    json_decref(models);
    command(UNLOAD, 200, "\"unloaded\"", "{\"lora_name\":\"late\"}");
    command(COMPLETE, 404, "there is \\\"tiny\\\", \\\"first\\\", \\\"second\\\", \\\"third\\\"\"",
            "{\"model\":\"late\",\"prompt\":\"abc\"}");
    assert_answers_alike("first", "first", true);
}

static void test_what_cannot_be_loaded_is_refused_with_the_reason(void **state)
{
    (void)state;
    command(LOAD, 400, "\\\"lora_name\\\" is absent", "{}");
    command(LOAD, 400, "\\\"lora_name\\\" is an integer", "{\"lora_name\":7}");
    command(LOAD, 400, "empty name", "{\"lora_name\":\"\",\"lora_path\":\"%s\"}", folders[0]);
    command(LOAD, 400, "\\\"lora_path\\\" is true", "{\"lora_name\":\"x\",\"lora_path\":true}");
    command(LOAD, 400, "two models are named \\\"first\\\"", "{\"lora_name\":\"first\",\"lora_path\":\"%s\"}",
            folders[0]);
    command(LOAD, 400, "two models are named \\\"tiny\\\"",
            "{\"lora_name\":\"tiny\",\"lora_path\":\"%s\",\"load_inplace\":true}", folders[0]);
    command(LOAD, 404, "there is no adapter \\\"nobody\\\"", "{\"lora_name\":\"nobody\"}");
    command(LOAD, 404, "no/such/folder", "{\"lora_name\":\"x\",\"lora_path\":\"no/such/folder\"}");
    command(LOAD, 400, "/dev/null/x", "{\"lora_name\":\"x\",\"lora_path\":\"/dev/null/x\"}");
    command(UNLOAD, 404, "there is no adapter \\\"x\\\" here; there is \\\"first\\\", \\\"second\\\", \\\"third\\\"",
            "{\"lora_name\":\"x\"}");
    command(UNLOAD, 400, "\\\"tiny\\\" is no adapter", "{\"lora_name\":\"tiny\"}");
    command(UNLOAD, 400, "\\\"lora_name\\\" is absent", "{}");
    json_t *error = serving_get(here.port, LOAD, 405);
    json_decref(error);
}

static void test_an_adapter_of_another_base_is_not_loaded(void **state)
{
    (void)state;
    hone_adapter *other;
    const char *folder = temporary_path("other");
    assert_int_equal(hone_adapter_create(&hone_engine_get_model(here.engine)->config, 2, 4, &other, NULL), HONE_OK);
    memset(other->base_hash, '0', 64);
    assert_int_equal(hone_adapter_save(other, folder, "another", NULL), HONE_OK);
    hone_adapter_free(other);
    command(LOAD, 400, "use the adapter with its own base", "{\"lora_name\":\"other\",\"lora_path\":\"%s\"}", folder);
}

static void test_as_many_as_can_be_served_and_no_more(void **state)
{
    (void)state;
    for (int i = SERVING_ADAPTERS; i < HONE_SERVED_ADAPTERS; i++)
        command(LOAD, 200, "loaded", "{\"lora_name\":\"n%d\",\"lora_path\":\"%s\"}", i, folders[i % 2]);
    command(LOAD, 400, "64 adapters are served already", "{\"lora_name\":\"more\",\"lora_path\":\"%s\"}", folders[0]);
    for (int i = SERVING_ADAPTERS; i < HONE_SERVED_ADAPTERS; i++)
        command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"n%d\"}", i);
}

/* ---- requests under way ---- */

typedef struct long_request {
    char body[256];
    http_answer answer;
    pthread_t thread;
    atomic_bool answered;
} long_request;

static void *ask(void *context)
{
    long_request *r = context;
    r->answer = serving_ask(here.port, "POST", COMPLETE, "", r->body, strlen(r->body));
    r->answered = true;
    return NULL;
}

static int64_t sequences_under_way(void)
{
    json_t *document = serving_get(here.port, "/health", 200);
    int64_t active = json_integer_value(json_object_get(document, "active"));
    json_decref(document);
    return active;
}

/* Waits until the server works on the request; false where it was answered before that was seen. */
static bool is_under_way(const long_request *r)
{
    while (!r->answered)
        if (sequences_under_way() > 0)
            return true;
    return false;
}

static json_t *choices_of(const http_answer *answer)
{
    assert_int_equal(answer->status, 200);
    json_t *document = json_loads(answer->body.data, JSON_ALLOW_NUL, NULL),
           *choices = json_incref(json_object_get(document, "choices"));
    json_decref(document);
    return choices;
}

/* Takes the adapter away under a request, or puts another in its place; false where the request was over before. The
 * request has the adapter's answer in either case. */
static bool ends_on_its_adapter(bool replaced)
{
    long_request whole = {.answer = {0}}, under_way = {.answer = {0}};
    const char *asks = "{\"model\":\"%s\",\"prompt\":\"x\",\"n\":64,\"max_tokens\":200,\"temperature\":2,\"seed\":1}";
    command(LOAD, 200, "loaded", "{\"lora_name\":\"late\",\"lora_path\":\"%s\"}", folders[0]);
    snprintf(whole.body, sizeof whole.body, asks, "first");
    snprintf(under_way.body, sizeof under_way.body, asks, "late");
    ask(&whole);
    assert_int_equal(pthread_create(&under_way.thread, NULL, ask, &under_way), 0);
    bool seen = is_under_way(&under_way);
    if (seen && replaced)
        command(LOAD, 200, "loaded", "{\"lora_name\":\"late\",\"lora_path\":\"%s\",\"load_inplace\":true}", folders[1]);
    else if (seen)
        command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"late\"}");
    bool still = seen && is_under_way(&under_way);
    if (seen && replaced)
        assert_answers_alike("late", "second", true);
    else if (seen)
        command(COMPLETE, 404, "there is no model \\\"late\\\"", "{\"model\":\"late\",\"prompt\":\"abc\"}");
    pthread_join(under_way.thread, NULL);
    json_t *right = choices_of(&whole.answer), *got = choices_of(&under_way.answer);
    assert_true(json_equal(right, got));
    json_decref(right);
    json_decref(got);
    hone_buffer_clear(&whole.answer.body);
    hone_buffer_clear(&under_way.answer.body);
    if (replaced || !seen)
        command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"late\"}");
    return still;
}

static void test_a_request_under_way_ends_on_the_adapter_that_it_began_with(void **state)
{
    (void)state;
    enum { ATTEMPTS = 20 }; /* on a busy machine a request can be over before anyone looked */
    for (int replaced = 0; replaced < 2; replaced++) {
        int attempt = 0;
        while (attempt < ATTEMPTS && !ends_on_its_adapter(replaced))
            attempt++;
        assert_true(attempt < ATTEMPTS);
    }
}

static size_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_adapters_that_come_and_go_leave_no_memory_behind(void **state)
{
    (void)state;
    size_t before = 0;
    enum { TIMES = 300 };
    for (int i = 0; i < 2 * TIMES; i++) {
        if (i == TIMES)
            before = resident_bytes();
        command(LOAD, 200, "loaded", "{\"lora_name\":\"guest\",\"lora_path\":\"%s\"}", folders[i % 2]);
        if (i % 10 == 0)
            assert_answers_alike("guest", i % 2 ? "second" : "first", true);
        command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"guest\"}");
    }
    size_t more = resident_bytes() > before ? resident_bytes() - before : 0;
    size_t adapter = here.adapters[1]->n_parameters * sizeof(float);
    print_message("%zu KiB more after %d adapters of %zu KiB\n", more >> 10, TIMES, adapter >> 10);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
#ifndef __SANITIZE_THREAD__
    assert_true(more < TIMES * adapter / 4);
#endif
#endif
}

/* ---- a prompt that is too long ---- */

static void test_a_prompt_beyond_the_context_has_the_code_and_the_numbers(void **state)
{
    (void)state;
    char says[128];
    int64_t context = hone_engine_context_tokens(here.engine);
    hone_buffer body = {0};
    for (int chat = 0; chat < 2; chat++) {
        hone_buffer_reset(&body);
        hone_buffer_puts(&body, chat ? "{\"messages\":[{\"role\":\"user\",\"content\":\"" : "{\"prompt\":\"");
        for (int64_t i = 0; i < context; i++)
            hone_buffer_putc(&body, 'a'); /* a token each */
        hone_buffer_puts(&body, chat ? "\"}],\"max_tokens\":5}" : "\",\"max_tokens\":5}");
        json_t *document = serving_post(here.port, chat ? "/v1/chat/completions" : COMPLETE, body.data, 400);
        const json_t *error = json_object_get(document, "error");
        assert_string_equal(json_string_value(json_object_get(error, "code")), "context_length_exceeded");
        assert_string_equal(json_string_value(json_object_get(error, "param")), chat ? "messages" : "prompt");
        snprintf(says, sizeof says, "up to 5 are asked for, together ");
        assert_non_null(strstr(json_string_value(json_object_get(error, "message")), says));
        snprintf(says, sizeof says, "the model's context is %lld", (long long)context);
        assert_non_null(strstr(json_string_value(json_object_get(error, "message")), says));
        json_decref(document);
    }
    hone_buffer_clear(&body);
}

/* A server whose keys and values have less room than the model's context: that is then the limit, and an answer whose
 * length nobody stated ends there. */
static void test_less_memory_than_the_context_is_the_limit_of_a_request(void **state)
{
    (void)state;
    enum { PAGES = 6, ROOM = PAGES * 16 };
    hone_error err;
    hone_server *server = NULL;
    hone_engine *engine;
    hone_engine_options small = {.n_threads = 1,
                                 .cache_bytes = PAGES * hone_kv_page_bytes(TINY_LAYERS, TINY_KV_HEADS, TINY_HEAD_DIM)};
    hone_server_options options = {.model_name = "tiny"};
    if (hone_engine_open(temporary_path("tiny.gguf"), &small, &engine, &err) != HONE_OK ||
        hone_server_start(engine, &options, &server, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_engine_request_tokens(engine), ROOM);
    assert_int_equal(hone_engine_request_tokens(here.engine), TINY_CONTEXT);
    int port = hone_server_port(server);
    json_t *answer =
        serving_post(port, "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", 200);
    json_int_t total = 0;
    json_unpack(answer, "{s:{s:I}}", "usage", "total_tokens", &total);
    assert_in_range(total, 2, ROOM);
    json_decref(answer);
    char body[ROOM + 32], tokens[ROOM + 1];
    memset(tokens, 'a', ROOM); /* a token each */
    tokens[ROOM] = 0;
    snprintf(body, sizeof body, "{\"prompt\":\"%s\"}", tokens);
    json_t *document = serving_post(port, COMPLETE, body, 400);
    const json_t *error = json_object_get(document, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "context_length_exceeded");
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "keys and values holds 96."));
    json_decref(document);
    hone_server_stop(server, 10);
    hone_engine_close(engine);
}

/* ---- where a name leads ---- */

static void assert_leads(const char *name, const char *wanted)
{
    char *folder;
    hone_error err;
    if (hone_adapter_find(name, &folder, &err) != HONE_OK)
        fail_msg("%s: %s", name, err.message);
    assert_string_equal(folder, wanted);
    free(folder);
}

static void put_adapter(const char *folder)
{
    if (hone_adapter_save(here.adapters[1], folder, "tiny", NULL) != HONE_OK)
        fail_msg("cannot write %s", folder);
}

static void test_a_name_is_looked_for_here_then_in_hones_home_and_a_path_is_itself(void **state)
{
    (void)state;
    char *was = getcwd(NULL, 0), *folder;
    char home[300], both[400];
    hone_error err;
    assert_int_equal(hone_folder_create(temporary_path("work"), NULL), HONE_OK);
    snprintf(home, sizeof home, "%s", temporary_path("home"));
    setenv("HONE_HOME", home, 1);
    assert_int_equal(chdir(temporary_path("work")), 0);
    assert_int_equal(hone_adapter_find("mine", &folder, &err), HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "there is: none"));
    assert_null(folder);
    put_adapter("adapters/both");
    put_adapter("adapters/mine");
    put_adapter("elsewhere");
    snprintf(both, sizeof both, "%s/adapters/both", home);
    put_adapter(both);
    snprintf(both, sizeof both, "%s/adapters/shared", home);
    put_adapter(both);
    assert_int_equal(hone_folder_create("adapters/empty", NULL), HONE_OK);
    assert_leads("mine", "adapters/mine");
    assert_leads("both", "adapters/both");
    assert_leads("shared", both);
    assert_leads("elsewhere", "elsewhere");
    assert_leads("./elsewhere", "./elsewhere");
    assert_leads(both, both);
    assert_int_equal(hone_adapter_find("empty", &folder, &err), HONE_NOT_FOUND);
    assert_non_null(strstr(err.message, "there is: both, mine, shared. "));
    assert_int_equal(hone_adapter_find("", &folder, &err), HONE_BAD_INPUT);
    assert_int_equal(hone_adapter_find("..", &folder, &err), HONE_NOT_FOUND);
    /* and the server looks where the command line does */
    command(LOAD, 200, "loaded", "{\"lora_name\":\"shared\"}");
    assert_answers_alike("shared", "first", true);
    command(LOAD, 200, "loaded", "{\"lora_name\":\"other name\",\"lora_path\":\"mine\"}");
    command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"shared\"}");
    command(UNLOAD, 200, "unloaded", "{\"lora_name\":\"other name\"}");
    unsetenv("HONE_HOME");
    assert_int_equal(chdir(was), 0);
    free(was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_adapter_that_is_loaded_answers_like_the_one_that_was_there),
        cmocka_unit_test(test_what_cannot_be_loaded_is_refused_with_the_reason),
        cmocka_unit_test(test_an_adapter_of_another_base_is_not_loaded),
        cmocka_unit_test(test_as_many_as_can_be_served_and_no_more),
        cmocka_unit_test(test_a_request_under_way_ends_on_the_adapter_that_it_began_with),
        cmocka_unit_test(test_adapters_that_come_and_go_leave_no_memory_behind),
        cmocka_unit_test(test_a_prompt_beyond_the_context_has_the_code_and_the_numbers),
        cmocka_unit_test(test_less_memory_than_the_context_is_the_limit_of_a_request),
        cmocka_unit_test(test_a_name_is_looked_for_here_then_in_hones_home_and_a_path_is_itself),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
