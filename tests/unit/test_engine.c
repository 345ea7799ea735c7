/* test_engine.c - the scheduler. A response has the bits of the same request alone, whatever is computed beside it,
 * whenever it was submitted and whatever the cache holds; requests start in order; a closed ticket leaves nothing
 * behind; an answer from a set is the one with the greatest likelihood of all, scored one by one.
 *
 * Everything runs on a tiny model that the test writes. Expected values come from requests computed alone in a fresh
 * engine, whose arithmetic test_model.c and test_oracle.c compare with other software. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine_rig.h"

static void test_requests_submitted_while_others_run_have_the_bits_of_each_alone(void **state)
{
    (void)state;
    reference alone;
    compute_alone(&alone);
    for (int threads = 1; threads <= 3; threads++) {
        hone_engine *engine = open_engine(threads, 64);
        hone_choices *choices;
        assert_int_equal(hone_engine_create_choices(engine, labels, N_LABELS, &choices, NULL), HONE_OK);
        for (int round = 0; round < 2; round++) { /* the second finds the first's pages in the cache */
            hone_request requests[N_REQUESTS];
            hone_response responses[N_REQUESTS];
            hone_ticket *tickets[N_REQUESTS];
            bool idle = false;
            int n = 0, streamed = 0;
            while (n < N_REQUESTS || !idle) {
                for (int k = 0; k < 2 && n < N_REQUESTS; k++, n++) { /* two more before every step */
                    requests[n] = make_request(n, choices);
                    assert_int_equal(hone_engine_submit(engine, &requests[n], &responses[n], &tickets[n], NULL),
                                     HONE_OK);
                }
                assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
                for (int i = 0; i < n; i++) { /* what is there so far is the beginning of the answer */
                    const hone_response *whole = &alone.responses[i];
                    assert_true(responses[i].n_ids <= whole->n_ids);
                    assert_memory_equal(responses[i].ids, whole->ids, responses[i].n_ids * sizeof(int32_t));
                    streamed += responses[i].n_ids > 0 && !hone_ticket_is_done(tickets[i]);
                }
            }
            assert_true(streamed > 10);
            for (int i = 0; i < N_REQUESTS; i++) {
                assert_true(hone_ticket_is_done(tickets[i]));
                hone_engine_close_ticket(engine, tickets[i]);
                assert_same(&responses[i], &alone.responses[i], &requests[i]);
            }
            if (round == 1)
                assert_true(responses[3].tokens_cached > 0);
            clear_responses(responses, N_REQUESTS);
        }
        hone_choices_free(choices);
        hone_engine_close(engine);
    }
    clear_responses(alone.responses, N_REQUESTS);
}

static void test_a_list_of_requests_has_the_bits_of_each_alone(void **state)
{
    (void)state;
    enum { N = 300 }; /* more than are worked on at once, and than are queued at once */
    reference alone;
    compute_alone(&alone);
    hone_engine *engine = open_engine(2, 64);
    hone_choices *choices;
    static hone_request requests[N];
    static hone_response responses[N];
    assert_int_equal(hone_engine_create_choices(engine, labels, N_LABELS, &choices, NULL), HONE_OK);
    for (int i = 0; i < N; i++)
        requests[i] = make_request(i * 7 % N_REQUESTS, choices);
    assert_int_equal(hone_engine_run(engine, requests, N, responses, NULL, NULL), HONE_OK);
    for (int i = 0; i < N; i++)
        assert_same(&responses[i], &alone.responses[i * 7 % N_REQUESTS], &requests[i]);
    assert_int_equal(hone_page_cache_available(engine->pages), 64);
    clear_responses(responses, N);
    clear_responses(alone.responses, N_REQUESTS);
    hone_choices_free(choices);
    hone_engine_close(engine);
}

static void test_a_closed_ticket_frees_its_place_and_pages_at_once(void **state)
{
    (void)state;
    reference alone;
    compute_alone(&alone);
    hone_engine *engine = open_engine(2, 64);
    hone_request requests[4];
    hone_response responses[4];
    hone_ticket *tickets[4];
    bool idle;
    for (int i = 0; i < 4; i++) { /* three begin alike, so that one of them still waits after the first step */
        requests[i] = make_request(i, NULL);
        requests[i].choices = NULL;
        if (i == 2)
            requests[i].max_new_tokens = 20;
        assert_int_equal(hone_engine_submit(engine, &requests[i], &responses[i], &tickets[i], NULL), HONE_OK);
    }
    assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
    assert_false(idle);
    assert_true(hone_page_cache_available(engine->pages) < 64);
    hone_engine_close_ticket(engine, tickets[0]); /* at work */
    hone_engine_close_ticket(engine, tickets[2]); /* waiting for what tickets[0] began with, or at work */
    while (!idle)
        assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
    assert_int_equal(hone_page_cache_available(engine->pages), 64);
    assert_true(hone_ticket_is_done(tickets[1]) && hone_ticket_is_done(tickets[3]));
    assert_same(&responses[1], &alone.responses[1], &requests[1]);
    assert_same(&responses[3], &alone.responses[3], &requests[3]);
    hone_engine_close_ticket(engine, tickets[1]);
    hone_engine_close_ticket(engine, tickets[3]);
    hone_engine_close_ticket(engine, NULL);
    clear_responses(responses, 4);
    clear_responses(alone.responses, N_REQUESTS);
    hone_engine_close(engine);
}

/* A long request that needs every page comes while short ones never stop arriving. */
static void test_a_long_request_is_not_overtaken_for_ever(void **state)
{
    (void)state;
    enum { N_SHORT = 40 };
    hone_engine *engine = open_engine(1, 8);
    hone_request brief = {.ids = prompts[1], .n_ids = 4, .max_new_tokens = 6},
                 full = {.ids = prompts[0], .n_ids = PROMPT, .max_new_tokens = 8 * HONE_PAGE_TOKENS - PROMPT};
    hone_response responses[N_SHORT + 1];
    hone_ticket *tickets[N_SHORT + 1], *long_ticket = NULL;
    int n = 0;
    for (; n < 4; n++)
        assert_int_equal(hone_engine_submit(engine, &brief, &responses[n], &tickets[n], NULL), HONE_OK);
    for (bool idle; n < N_SHORT; n++) {
        assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
        if (n == 5)
            assert_int_equal(hone_engine_submit(engine, &full, &responses[N_SHORT], &long_ticket, NULL), HONE_OK);
        assert_int_equal(hone_engine_submit(engine, &brief, &responses[n], &tickets[n], NULL), HONE_OK);
    }
    assert_true(responses[N_SHORT].n_ids > 0 || hone_ticket_is_done(long_ticket));
    for (bool idle = false; !idle;)
        assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
    for (int i = 0; i < N_SHORT; i++) {
        assert_true(hone_ticket_is_done(tickets[i]));
        hone_engine_close_ticket(engine, tickets[i]);
    }
    assert_true(hone_ticket_is_done(long_ticket));
    hone_engine_close_ticket(engine, long_ticket);
    clear_responses(responses, N_SHORT + 1);
    hone_engine_close(engine);
}

static void test_a_long_prompt_is_read_in_pieces_while_another_request_generates(void **state)
{
    (void)state;
    static int32_t ids[240];
    hone_engine *engine = open_engine(1, 64);
    hone_request brief = {.ids = prompts[1], .n_ids = 4, .max_new_tokens = 30},
                 full = {.ids = ids, .n_ids = 240, .max_new_tokens = 1};
    hone_response answer, late;
    hone_ticket *first, *second;
    bool idle;
    for (int i = 0; i < 240; i++)
        ids[i] = (i * i + 3) % 256;
    assert_int_equal(hone_engine_submit(engine, &brief, &answer, &first, NULL), HONE_OK);
    assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
    assert_int_equal(hone_engine_submit(engine, &full, &late, &second, NULL), HONE_OK);
    for (int step = 1; step <= 2; step++) { /* 128 tokens and then 112; a token of the other request each time */
        int64_t before = hone_engine_get_statistics(engine).rows;
        size_t had = answer.n_ids;
        assert_false(hone_ticket_is_done(second));
        assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
        assert_int_equal(hone_engine_get_statistics(engine).rows - before, step == 1 ? 129 : 113);
        assert_int_equal(answer.n_ids, had + 1);
    }
    assert_true(hone_ticket_is_done(second));
    hone_engine_close_ticket(engine, first);
    hone_engine_close_ticket(engine, second);
    hone_response_clear(&answer);
    hone_response_clear(&late);
    hone_engine_close(engine);
}

static void test_requests_that_cannot_run_are_refused_with_the_numbers(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(1, 8);
    hone_error err;
    hone_response response;
    hone_ticket *ticket;
    hone_request r = {.ids = prompts[0], .n_ids = PROMPT, .max_new_tokens = TINY_CONTEXT - PROMPT + 1};
    assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
    assert_says(err, "70 tokens of prompt and 187 to generate exceed the model's context of 256");
    r.max_new_tokens = 59; /* 129 tokens: a ninth page of 2 layers x 2 heads x 16 x 16 positions x 2 x 4 bytes */
    assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
    assert_says(err, "129 tokens need 73728 bytes of key-value cache; the engine has 65536");
    r.max_new_tokens = -1;
    assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
    r = (hone_request){.ids = prompts[0], .n_ids = 0};
    assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
    assert_says(err, "no tokens");
    int32_t bad[] = {3, TINY_VOCAB, -1};
    for (int i = 1; i < 3; i++) {
        r = (hone_request){.ids = bad + i, .n_ids = 1};
        assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
        assert_says(err, "the vocabulary has 260");
    }
    r = (hone_request){.ids = prompts[0], .n_ids = 3, .n_top = 21};
    assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, &err), HONE_BAD_INPUT);
    hone_request two[] = {{.ids = prompts[0], .n_ids = 3}, {.ids = prompts[0], .n_ids = 3, .n_top = 21}};
    hone_response responses[2];
    assert_int_equal(hone_engine_run(engine, two, 2, responses, NULL, &err), HONE_BAD_INPUT);
    assert_says(err, "request 2: 21 top tokens");
    assert_null(ticket);
    hone_engine_close(engine);
}

/* ln p of every label and its end, each scored as a prompt of its own. */
static void test_the_choice_is_the_greatest_of_all_labels_scored_one_by_one(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(2, 64);
    hone_choices *choices;
    assert_int_equal(hone_engine_create_choices(engine, labels, N_LABELS, &choices, NULL), HONE_OK);
    int taken[N_LABELS] = {0};
    for (int i = 0; i < N_REQUESTS; i++) {
        int best = -1;
        double best_logprob = -INFINITY, second = -INFINITY;
        hone_response response;
        for (int l = 0; l < N_LABELS; l++) {
            hone_token_list ids = {0};
            for (int t = 0; t < 30; t++)
                assert_int_equal(hone_token_list_push(&ids, prompts[i][t], NULL), HONE_OK);
            assert_int_equal(hone_tokenizer_encode(engine->tokenizer, labels[l], strlen(labels[l]), false, &ids, NULL),
                             HONE_OK);
            assert_int_equal(hone_token_list_push(&ids, engine->end_of_turn, NULL), HONE_OK);
            hone_request score = {.ids = ids.data, .n_ids = ids.n, .want_prompt_logprobs = true};
            assert_int_equal(hone_engine_run(engine, &score, 1, &response, NULL, NULL), HONE_OK);
            double sum = 0;
            for (size_t t = 30; t < ids.n; t++)
                sum += (double)response.prompt_logprobs[t];
            if (sum > best_logprob) {
                second = best_logprob;
                best = l;
                best_logprob = sum;
            } else if (sum > second)
                second = sum;
            hone_response_clear(&response);
            hone_token_list_clear(&ids);
        }
        hone_request choose = {.ids = prompts[i], .n_ids = 30, .choices = choices};
        assert_int_equal(hone_engine_run(engine, &choose, 1, &response, NULL, NULL), HONE_OK);
        assert_true(best_logprob - second > 1e-4); /* not a tie that rounding could decide */
        assert_int_equal(response.choice, best);
        assert_true(fabs(response.choice_logprob - best_logprob) < 1e-5);
        taken[best]++;
        hone_response_clear(&response);
    }
    int n_taken = 0;
    for (int l = 0; l < N_LABELS; l++)
        n_taken += taken[l] > 0;
    assert_true(n_taken > 1);
    hone_choices_free(choices);
    hone_engine_close(engine);
}

/* A request remembers only so many nodes of the trie; in an engine with hardly a page, only one way. */
static void test_the_choice_does_not_depend_on_how_many_nodes_are_remembered(void **state)
{
    (void)state;
    enum { N_TEXTS = 150 };
    static char texts[N_TEXTS][16];
    const char *pointers[N_TEXTS];
    for (int i = 0; i < N_TEXTS; i++) { /* all of 12 letters, no two alike: i stands in them in base 3 */
        for (int j = 0, rest = i; j < 12; j++, rest /= 3)
            texts[i][j] = (char)('a' + (rest % 3 + j * j + (j > 5 ? i * j : 0)) % 26);
        pointers[i] = texts[i];
    }
    hone_response responses[3];
    for (int i = 0; i < 3; i++) {
        static const int64_t pages[] = {64, 4, 64};
        hone_engine *engine = open_engine(1, pages[i]);
        hone_choices *choices;
        assert_int_equal(hone_engine_create_choices(engine, pointers, N_TEXTS, &choices, NULL), HONE_OK);
        assert_true(choices->n_inner > 300);
        hone_request r[2] = {{.ids = prompts[2], .n_ids = 35, .choices = choices},
                             {.ids = prompts[3], .n_ids = 45, .max_new_tokens = 3}};
        hone_response other;
        assert_int_equal(hone_engine_run(engine, r, 1, &responses[i], NULL, NULL), HONE_OK);
        if (i == 2) { /* beside another request, its prompt in the cache */
            hone_response_clear(&responses[i]);
            hone_response both[2];
            assert_int_equal(hone_engine_run(engine, r, 2, both, NULL, NULL), HONE_OK);
            responses[i] = both[0];
            other = both[1];
            hone_response_clear(&other);
        }
        assert_int_equal(responses[i].choice, responses[0].choice);
        assert_memory_equal(&responses[i].choice_logprob, &responses[0].choice_logprob, sizeof(double));
        assert_int_equal(hone_page_cache_available(engine->pages), pages[i]);
        hone_choices_free(choices);
        hone_engine_close(engine);
    }
    clear_responses(responses, 3);
}

/* ---- the same bits, whatever is beside and before ---- */
static void test_thirty_three_adapters_in_one_batch_give_the_bits_of_each_alone(void **state)
{
    (void)state;
    enum { N = 33 };
    static hone_response alone[N], responses[N];
    static hone_request requests[N];
    static const int thread_counts[] = {1, 2, 5};
    for (int t = -1; t < 3; t++) { /* -1: each alone and cold, on one thread */
        hone_engine *engine = open_engine(t < 0 ? 1 : thread_counts[t], 400);
        hone_choices *choices;
        assert_int_equal(hone_engine_create_choices(engine, labels, N_LABELS, &choices, NULL), HONE_OK);
        for (int i = 0; i < N; i++) {
            requests[i] = make_request(i % N_REQUESTS, choices);
            requests[i].adapter = i % 11 ? add_adapter(engine, 1 + i % 5, 2 + i % 3, (uint32_t)i) : NULL;
            requests[i].sampling.temperature = i % 8 == 3 ? 0.8 : 0;
            requests[i].sampling.seed = (uint64_t)i;
        }
        for (int i = 0; t < 0 && i < N; i++) {
            hone_engine_clear_cache(engine);
            assert_int_equal(hone_engine_run(engine, &requests[i], 1, &alone[i], NULL, NULL), HONE_OK);
        }
        for (int round = 0; t >= 0 && round < 2; round++) { /* cold, and with every prompt in the cache */
            assert_int_equal(hone_engine_run(engine, requests, N, responses, NULL, NULL), HONE_OK);
            for (int i = 0; i < N; i++)
                assert_same(&responses[i], &alone[i], &requests[i]);
            clear_responses(responses, N);
        }
        hone_engine_clear_cache(engine);
        hone_ticket *tickets[N];
        bool idle = false;
        for (int n = 0; t >= 0 && (n < N || !idle);) { /* one more before every step, the last first */
            if (n < N) {
                int i = N - 1 - n++;
                assert_int_equal(hone_engine_submit(engine, &requests[i], &responses[i], &tickets[i], NULL), HONE_OK);
            }
            assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
        }
        for (int i = 0; t >= 0 && i < N; i++) {
            hone_engine_close_ticket(engine, tickets[i]);
            assert_same(&responses[i], &alone[i], &requests[i]);
            hone_response_clear(&responses[i]);
        }
        hone_choices_free(choices);
        hone_engine_close(engine);
    }
    assert_true(alone[4].logprobs[0] != alone[4 + 12].logprobs[0]); /* one prompt through two adapters */
    clear_responses(alone, N);
}

/* ---- a file that changes while it is open ---- */
static void test_a_model_file_that_changes_is_refused_and_harms_nothing_under_way(void **state)
{
    (void)state;
    hone_error err;
    hone_buffer bytes = {0};
    char kept[256];
    assert_int_equal(hone_file_read(model_path, 0, &bytes, &err), HONE_OK);
    snprintf(kept, sizeof kept, "%s", model_path);
    snprintf(model_path, sizeof model_path, "%s", temporary_bytes("changing.gguf", bytes.data, bytes.length));
    for (int how = 0; how < 3; how++) { /* overwritten in place, cut short in place, replaced */
        temporary_bytes("changing.gguf", bytes.data, bytes.length);
        hone_engine *engine = open_engine(2, 64), *unchanged;
        hone_response response, expected, late;
        hone_ticket *ticket, *refused;
        hone_request r = {.ids = prompts[0], .n_ids = 50, .max_new_tokens = 12};
        bool idle;
        char *path = strdup(model_path);
        strcpy(model_path, kept);
        unchanged = open_engine(1, 64);
        strcpy(model_path, path);
        assert_int_equal(hone_engine_run(unchanged, &r, 1, &expected, NULL, NULL), HONE_OK);
        assert_int_equal(hone_engine_submit(engine, &r, &response, &ticket, NULL), HONE_OK);
        assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
        if (how == 2)
            assert_int_equal(hone_file_write_atomic(path, "another", 7, NULL), HONE_OK);
        else {
            FILE *f = fopen(path, how ? "w" : "r+");
            for (size_t i = 0; how == 0 && i < bytes.length; i++)
                fputc(0x5a, f);
            assert_int_equal(fclose(f), 0);
        }
        while (!idle)
            assert_int_equal(hone_engine_step(engine, &idle, NULL), HONE_OK);
        assert_same(&response, &expected, &r); /* what was under way goes on with what was opened */
        hone_engine_close_ticket(engine, ticket);
        assert_int_equal(hone_engine_submit(engine, &r, &late, &refused, &err), HONE_BAD_INPUT);
        assert_says(err, "the file changed while hone had it open");
        assert_null(refused);
        assert_true(strlen(hone_engine_model_hash(engine)) != 64);
        hone_response_clear(&response);
        hone_response_clear(&expected);
        hone_engine_close(unchanged);
        hone_engine_close(engine);
        free(path);
    }
    strcpy(model_path, kept);
    hone_buffer_clear(&bytes);
}

static void test_an_adapter_for_another_base_is_refused_by_its_recorded_hash(void **state)
{
    (void)state;
    hone_error err;
    hone_engine *engine = open_engine(1, 64);
    hone_adapter *a = add_adapter(engine, 3, 6, 11), *loaded;
    const char *folder = temporary_path("adapter");
    for (int right = 0; right < 2; right++) {
        snprintf(a->base_hash, sizeof a->base_hash, "%s", hone_engine_model_hash(engine));
        a->base_hash[5] = right ? a->base_hash[5] : a->base_hash[5] == '0' ? '1' : '0';
        assert_int_equal(hone_adapter_save(a, folder, "tiny", &err), HONE_OK);
        assert_int_equal(hone_engine_load_adapter(engine, folder, &loaded, &err), right ? HONE_OK : HONE_BAD_INPUT);
        if (!right)
            assert_says(err, "use the adapter with its own base");
    }
    hone_engine_drop_adapter(engine, loaded);
    hone_engine_close(engine);
}

/* ---- prompts that are too long ---- */
static json_t *talk(size_t n, ...) /* role, text, role, text, ... */
{
    json_t *messages = json_array();
    va_list args;
    va_start(args, n);
    for (size_t i = 0; i < n; i++) {
        const char *role = va_arg(args, const char *), *text = va_arg(args, const char *);
        json_array_append_new(messages, json_pack("{s:s,s:s}", "role", role, "content", text));
    }
    va_end(args);
    return messages;
}

static void assert_fits_as(hone_engine *engine, json_t *messages, int64_t most, json_t *wanted, size_t n_messages,
                           size_t n_tokens)
{
    hone_token_list ids = {0}, expected = {0};
    hone_left_out left;
    hone_error err;
    if (hone_engine_fit_chat(engine, messages, most, &ids, &left, &err) != HONE_OK)
        fail_msg("%s", err.message);
    assert_int_equal(hone_engine_encode_chat(engine, wanted, true, &expected, NULL), HONE_OK);
    assert_int_equal(ids.n, expected.n);
    assert_memory_equal(ids.data, expected.data, ids.n * sizeof *ids.data);
    assert_int_equal(left.n_messages, n_messages);
    assert_int_equal(left.n_tokens, n_tokens);
    hone_token_list_clear(&ids);
    hone_token_list_clear(&expected);
    json_decref(messages);
    json_decref(wanted);
}

/* The tiny model's tokens are bytes, and its template writes <|start|>role, a new line, the text, <|end|>, a new line.
 */
static void test_a_conversation_that_is_too_long_loses_its_oldest_turns(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(1, 64);
    hone_token_list ids = {0};
    hone_left_out left;
    hone_error err;
    char long_text[201], end[201];
    for (int i = 0; i < 200; i++)
        long_text[i] = (char)('a' + i % 7);
    long_text[200] = 0;
    /* 15 + 16 + 11 tokens around: "system" 8 + "brief" + 2, "user" 6 + "now?" + 2, generation prompt 11 */
    assert_fits_as(engine, talk(4, "system", "brief", "user", long_text, "assistant", "b", "user", "now?"), 60,
                   talk(2, "system", "brief", "user", "now?"), 2, 0);
    assert_fits_as(engine, talk(2, "system", "brief", "user", "now?"), 60, talk(2, "system", "brief", "user", "now?"),
                   0, 0);
    /* 208 tokens of the user's turn and 11 of the prompt are 119 too many for 100 */
    strcpy(end, long_text + 119);
    assert_fits_as(engine, talk(3, "user", "one", "assistant", "two", "user", long_text), 100, talk(1, "user", end), 2,
                   119);
    /* a character is not cut in two: 3 bytes each, one token too many takes a whole one */
    assert_fits_as(engine, talk(1, "user", "\u20ac\u20ac\u20ac\u20ac\u20ac"), 33,
                   talk(1, "user", "\u20ac\u20ac\u20ac\u20ac"), 0, 1);
    json_t *no_room = talk(2, "system", long_text, "user", "now?");
    assert_int_equal(hone_engine_fit_chat(engine, no_room, 100, &ids, &left, &err), HONE_BAD_INPUT);
    assert_says(err, "shorten the system message");
    json_decref(no_room);
    hone_token_list_clear(&ids);
    hone_engine_close(engine);
}

static void test_text_that_is_too_long_keeps_its_end_and_a_bos(void **state)
{
    (void)state;
    hone_engine *engine = open_engine(1, 64);
    int32_t with_bos[] = {258, 1, 2, 3, 4}, without[] = {1, 2, 3, 4, 5};
    hone_token_list a = {.data = with_bos, .n = 5, .capacity = 5}, b = {.data = without, .n = 5, .capacity = 5};
    assert_int_equal(hone_engine_fit_ids(engine, &a, 5), 0);
    assert_int_equal(hone_engine_fit_ids(engine, &a, 3), 2);
    assert_true(a.n == 3 && with_bos[0] == 258 && with_bos[1] == 3 && with_bos[2] == 4);
    assert_int_equal(hone_engine_fit_ids(engine, &b, 3), 2);
    assert_true(b.n == 3 && without[0] == 3 && without[2] == 5);
    assert_int_equal(hone_engine_fit_ids(engine, &b, 0), 0); /* nothing would be left: the request is refused later */
    hone_engine_close(engine);
}

/* Or the claims about the class would be about f32. */
static void test_an_engine_in_bf16_gives_other_bits_and_says_so(void **state)
{
    (void)state;
    hone_response responses[2];
    const hone_request r = {.ids = prompts[1], .n_ids = PROMPT, .want_prompt_logprobs = true};
    for (int i = 0; i < 2; i++) {
        numerics = i ? HONE_NUMERICS_BF16 : HONE_NUMERICS_F32;
        hone_engine *engine = open_engine(1, 64);
        assert_string_equal(hone_engine_numerics_class(engine), i ? "bf16" : "f32");
        assert_int_equal(hone_engine_run(engine, &r, 1, &responses[i], NULL, NULL), HONE_OK);
        hone_engine_close(engine);
    }
    double worst = 0;
    for (int t = 1; t < PROMPT; t++)
        worst = fmax(worst, fabs((double)(responses[0].prompt_logprobs[t] - responses[1].prompt_logprobs[t])));
    assert_true(worst > 1e-5 && worst < 1);
    clear_responses(responses, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_submitted_while_others_run_have_the_bits_of_each_alone),
        cmocka_unit_test(test_a_list_of_requests_has_the_bits_of_each_alone),
        cmocka_unit_test(test_a_closed_ticket_frees_its_place_and_pages_at_once),
        cmocka_unit_test(test_a_long_request_is_not_overtaken_for_ever),
        cmocka_unit_test(test_a_long_prompt_is_read_in_pieces_while_another_request_generates),
        cmocka_unit_test(test_requests_that_cannot_run_are_refused_with_the_numbers),
        cmocka_unit_test(test_the_choice_is_the_greatest_of_all_labels_scored_one_by_one),
        cmocka_unit_test(test_the_choice_does_not_depend_on_how_many_nodes_are_remembered),
        cmocka_unit_test(test_thirty_three_adapters_in_one_batch_give_the_bits_of_each_alone),
        cmocka_unit_test(test_a_model_file_that_changes_is_refused_and_harms_nothing_under_way),
        cmocka_unit_test(test_an_adapter_for_another_base_is_refused_by_its_recorded_hash),
        cmocka_unit_test(test_a_conversation_that_is_too_long_loses_its_oldest_turns),
        cmocka_unit_test(test_text_that_is_too_long_keeps_its_end_and_a_bos),
    };
    const struct CMUnitTest bf16_tests[] = {
        cmocka_unit_test(test_requests_submitted_while_others_run_have_the_bits_of_each_alone),
        cmocka_unit_test(test_a_list_of_requests_has_the_bits_of_each_alone),
        cmocka_unit_test(test_the_choice_is_the_greatest_of_all_labels_scored_one_by_one),
        cmocka_unit_test(test_thirty_three_adapters_in_one_batch_give_the_bits_of_each_alone),
        cmocka_unit_test(test_an_engine_in_bf16_gives_other_bits_and_says_so),
    };
    int failed = cmocka_run_group_tests_name("engine", tests, engine_rig_begin, temporary_end);
    numerics = HONE_NUMERICS_BF16;
    return failed + cmocka_run_group_tests_name("engine, bf16", bf16_tests, engine_rig_begin, temporary_end);
}
