/* test_conversation.c - training rows of every shape, and what of them is learned.
 *
 * The tiny model's template writes <|start|>role\ncontent<|end|>\n for each message, as ChatML does; its vocabulary is
 * bytes, so the expected tokens can be read off the text. */
#include "base/file.h"
#include "tiny_model.h"
#include "train/balance.h"
#include "train/batch.h"
#include "train/examples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/temporary.h"

enum { END = 257, START = 258 };

static hone_engine *engine;

static const char *read_rows(const char *file, const char *text, hone_conversations *out, hone_error *err)
{
    const char *path = temporary_file(file, text);
    memset(err, 0, sizeof *err);
    if (hone_conversations_read(path, NULL, out, err) != HONE_OK)
        return NULL;
    return path;
}

/* role:content of each message, with a * before what is learned. */
static void assert_reads_as(const char *row, const char *expected)
{
    hone_conversation c;
    hone_error err;
    int shape;
    json_error_t fault;
    json_t *json = json_loads(row, 0, &fault);
    char text[1024] = "";
    if (!json)
        fail_msg("%s: %s", row, fault.text);
    if (hone_conversation_from_row(json, NULL, &c, &shape, &err) != HONE_OK)
        fail_msg("%s: %s", row, err.message);
    size_t i, at = 0;
    json_t *message;
    json_array_foreach(c.messages, i, message)
    {
        char *calls = json_object_get(message, "tool_calls")
                          ? json_dumps(json_object_get(message, "tool_calls"), JSON_COMPACT | JSON_SORT_KEYS)
                          : NULL;
        const char *content = json_string_value(json_object_get(message, "content"));
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%s:%s%s", i ? "|" : "", c.weights[i] > 0 ? "*" : "",
                               json_string_value(json_object_get(message, "role")), content ? content : "",
                               calls ? calls : "");
        free(calls);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s\nreads as %s\nnot as   %s", row, text, expected);
    hone_conversation_clear(&c);
    json_decref(json);
}

static void test_every_shape_becomes_messages(void **state)
{
    (void)state;
    assert_reads_as("{\"input\":\"a\",\"output\":\"b\"}", "user:a|*assistant:b");
    assert_reads_as("{\"prompt\":\"a\",\"completion\":\"b\"}", "user:a|*assistant:b");
    assert_reads_as("{\"text\":\"a\",\"label\":3}", "user:a|*assistant:3");
    assert_reads_as("{\"instruction\":\"do\",\"input\":\"x\",\"output\":\"b\"}", "user:do\n\nx|*assistant:b");
    assert_reads_as("{\"instruction\":\"do\",\"input\":\"\",\"output\":\"b\"}", "user:do|*assistant:b");
    assert_reads_as("{\"instruction\":\"do\",\"output\":\"b\",\"system\":\"s\"}", "system:s|user:do|*assistant:b");
    static const char *const with_system[] = {
        "\"input\":\"a\",\"output\":\"b\"", "\"prompt\":\"a\",\"completion\":\"b\"", "\"text\":\"a\",\"label\":\"b\"",
        "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
        "\"content\":\"b\"}]",
        "\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\","
        "\"value\":\"b\"}]"};
    for (size_t i = 0; i < sizeof with_system / sizeof *with_system; i++) {
        char row[256];
        snprintf(row, sizeof row, "{%s,\"system\":\"s\"}", with_system[i]);
        assert_reads_as(row, "system:s|user:a|*assistant:b");
    }
    assert_reads_as("{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\",\"value\":\"a\"},"
                    "{\"from\":\"gpt\",\"value\":\"b\"}]}",
                    "system:s|user:a|*assistant:b");
    assert_reads_as("{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"function_call\",\"value\":"
                    "\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{\\\"x\\\":1}}\"},{\"from\":\"observation\",\"value\":"
                    "\"1\"},{\"from\":\"gpt\",\"value\":\"b\"}]}",
                    "user:a|*assistant:[{\"function\":{\"arguments\":{\"x\":1},\"name\":\"f\"},\"type\":\"function\"}]"
                    "|tool:1|*assistant:b");
    assert_reads_as("{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{"
                    "\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\","
                    "\"content\":\"c\"}]}",
                    "system:s|user:ab|*assistant:c");
    /* a message list's completion is learned, answers in its prompt are not */
    assert_reads_as("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
                    "{\"role\":\"user\",\"content\":\"c\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"d\"}]"
                    "}",
                    "user:a|assistant:b|user:c|*assistant:d");
    /* OpenAI's weight; a turn that answers nothing */
    assert_reads_as("{\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":\"a\"},"
                    "{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0},{\"role\":\"user\",\"content\":\"c\"},{"
                    "\"role\":\"assistant\",\"content\":\"d\",\"weight\":1}]}",
                    "assistant:hi|user:a|assistant:b|user:c|*assistant:d");
}

static void test_arguments_of_tool_calls_may_be_text_or_object(void **state)
{
    (void)state;
    static const char *const arguments[] = {"{\"city\":\"Oslo\"}", "\"{\\\"city\\\": \\\"Oslo\\\"}\""};
    for (int i = 0; i < 2; i++) {
        char row[512];
        snprintf(row, sizeof row,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,"
                 "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":%s}}]}"
                 "]}",
                 arguments[i]);
        assert_reads_as(row, "user:a|*assistant:[{\"function\":{\"arguments\":{\"city\":\"Oslo\"},\"name\":\"f\"},"
                             "\"id\":\"1\",\"type\":\"function\"}]");
    }
}

#define USER "{\"role\":\"user\",\"content\":\"a\"}"

static void test_rows_that_teach_nothing_are_refused_with_line_and_fix(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } cases[] = {
        {"{\"input\":\"a\",\"output\":\" \"}", "\"output\" is empty; a tuned model would learn to say nothing"},
        {"{\"prompt\":\"a\"}", "\"prompt\" without \"completion\": a prompt alone teaches nothing"},
        {"{\"question\":\"a\"}", "expected \"input\" and \"output\""},
        {"{\"question\":\"a\"}", "found \"question\""},
        {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "a row of preferences"},
        {"{\"prompt\":[" USER "],\"completion\":\"b\"}", "must both be texts or both be lists"},
        {"{\"input\":{\"a\":1},\"output\":\"b\"}", "\"input\" is an object where text is needed"},
        {"{\"messages\":[]}", "at least one message"},
        {"{\"messages\":[" USER "]}", "no assistant message"},
        {"{\"messages\":[" USER ",{\"role\":\"asistant\",\"content\":\"b\"}]}", "did you mean \"assistant\"?"},
        {"{\"messages\":[" USER ",{\"role\":\"narrator\",\"content\":\"b\"}]}", "unknown role \"narrator\""},
        {"{\"messages\":[" USER ",{\"content\":\"b\"}]}", "message 2 has no \"role\""},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\"}]}", "message 2 (assistant) has no \"content\""},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"\"}]}", "message 2: the answer is empty"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"contents\":\"b\"}]}", "did you mean \"content\"?"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0}]}", "is learned"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":2}]}", "\"weight\" must be 0"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"weight\":1}]}", "for assistant messages only"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "image_url"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[]}]}", "at least one call"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}]}",
         "no function name"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":\"{x\"}}]}]}",
         "must be a JSON object"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\"}}]}", "the old form"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"b\"}],\"tools\":[{\"type\":\"function\"}]}",
         "tool 1 has no"},
        {"{\"conversations\":[{\"from\":\"alien\",\"value\":\"a\"}]}", "unknown speaker \"alien\""},
        {"{\"conversations\":[{\"from\":\"human\"}]}", "turn 1 has no \"value\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[600];
        hone_conversations rows;
        hone_error err;
        snprintf(text, sizeof text, "{\"input\":\"a\",\"output\":\"b\"}\n%s\n", cases[i].row);
        if (read_rows("bad.jsonl", text, &rows, &err))
            fail_msg("accepted: %s", cases[i].row);
        assert_says(err, "bad.jsonl:2: ");
        assert_says(err, cases[i].says);
    }
}

static void test_csv_and_what_was_read_is_said_once(void **state)
{
    (void)state;
    hone_conversations rows;
    hone_error err;
    assert_non_null(read_rows("a.csv", "instruction,input,output\ndo,\"x, y\",b\nsay,,c\n", &rows, &err));
    assert_int_equal(rows.n, 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows.items[0].messages, 0), "content")),
                        "do\n\nx, y");
    assert_int_equal(rows.items[1].line, 3);
    assert_int_equal(json_array_size(rows.notes), 1);
    assert_non_null(strstr(json_string_value(json_array_get(rows.notes, 0)),
                           "read as 2 {\"instruction\",\"input\",\"output\"} rows"));
    hone_conversations_clear(&rows);
    assert_null(read_rows("b.csv", "input,output\na,b\nc,\n", &rows, &err));
    assert_says(err, "b.csv:3: \"output\" is empty");
    assert_null(read_rows("c.csv", "id,question,answer\n1,a,b\n", &rows, &err));
    assert_says(err, "c.csv:1: expected \"input\" and \"output\", \"text\" and \"label\"");
    assert_non_null(
        read_rows("d.jsonl",
                  "{\"input\":\"a\",\"output\":\"b\",\"weight\":0}\n{\"id\":1,\"input\":\"c\",\"output\":\"d\","
                  "\"weight\":1,\"system\":\"s\"}\n",
                  &rows, &err));
    assert_int_equal(json_array_size(rows.notes), 2);
    assert_non_null(
        strstr(json_string_value(json_array_get(rows.notes, 1)), "not used of its fields: \"weight\", \"id\""));
    hone_conversations_clear(&rows);
}

static void test_repeated_and_contradicting_rows_are_reported(void **state)
{
    (void)state;
    hone_conversations rows;
    hone_error err;
    const char *path =
        read_rows("r.jsonl",
                  "{\"input\":\"One two\",\"output\":\"b\"}\n{\"input\":\"other\",\"output\":\"c\"}\n"
                  "{\"input\":\"One two\",\"output\":\"b\"}\n{\"input\":\"one, TWO!\",\"output\":\"b\"}\n"
                  "{\"input\":\"one two\",\"output\":\"d\"}\n",
                  &rows, &err);
    assert_non_null(path);
    assert_int_equal(hone_conversations_note_repeats(path, &rows, &err), HONE_OK);
    static const char *const says[] = {"1 rows repeat an earlier one exactly", "1 rows repeat an earlier one but for",
                                       "1 rows answer the question of an earlier one in another way"};
    static const char *const lines[] = {"line 1 and line 3", "line 1 and line 4", "line 1 and line 5"};
    assert_int_equal(json_array_size(rows.notes), 4);
    for (size_t i = 0; i < 3; i++) {
        const char *note = json_string_value(json_array_get(rows.notes, i + 1));
        if (!strstr(note, says[i]) || !strstr(note, lines[i]))
            fail_msg("%s", note);
    }
    size_t question[5];
    static const size_t expected[] = {0, 1, 0, 0, 0};
    assert_int_equal(hone_conversations_find_questions(&rows, question, &err), HONE_OK);
    assert_memory_equal(question, expected, sizeof expected);
    hone_conversations_clear(&rows);
}

/* Sets of words: lines 1 and 3 share 10 of 11 (0.91), 1 and 2 share 8 of 12 (0.67); 4 is 1 but for case and a full
 * stop, which is a repeat and reported as such; 5 and 6 are too short to judge. */
static void test_nearly_repeated_questions_are_counted_and_named(void **state)
{
    (void)state;
    hone_conversations rows;
    hone_error err;
    const char *path =
        read_rows("near.jsonl",
                  "{\"input\":\"my card has not arrived yet where can it be\",\"output\":\"a\"}\n"
                  "{\"input\":\"my card has not arrived yet where could that be\",\"output\":\"b\"}\n"
                  "{\"input\":\"My card has not arrived yet: where can it be now?\",\"output\":\"b\"}\n"
                  "{\"input\":\"MY card has not arrived yet where can it be.\",\"output\":\"a\"}\n"
                  "{\"input\":\"lost my card\",\"output\":\"c\"}\n{\"input\":\"my card lost\",\"output\":\"d\"}\n",
                  &rows, &err);
    assert_non_null(path);
    assert_int_equal(hone_conversations_note_near(path, &rows, &err), HONE_OK);
    assert_int_equal(json_array_size(rows.notes), 2);
    const char *note = json_string_value(json_array_get(rows.notes, 1));
    if (!strstr(note, "2 rows ask nearly what an earlier one asks") || !strstr(note, "line 1 and line 3"))
        fail_msg("%s", note); /* 3 resembles 1; 4 resembles 3 */
    hone_conversations_clear(&rows);
}

/* ---- tokens and masks ---- */
static hone_status encode(hone_engine *e, const char *text, const hone_example_options *options,
                          hone_encoded_examples *out, hone_error *err)
{
    hone_conversations rows;
    const char *path = read_rows("rows.jsonl", text, &rows, err);
    if (!path)
        fail_msg("%s", err->message);
    hone_status status = hone_examples_encode(e, path, &rows, options, out, err);
    hone_conversations_clear(&rows);
    return status;
}

/* The learned tokens as text, each run of them in brackets, control tokens shown; the others as they are. */
static void show(const hone_encoded_example *x, char *out, size_t size)
{
    const hone_tokenizer *t = hone_engine_get_tokenizer(engine);
    hone_buffer b = {0};
    bool in = false;
    for (size_t i = 0; i < x->tokens.ids.n; i++) {
        bool learned = x->tokens.weights[i] > 0;
        if (learned != in)
            hone_buffer_putc(&b, learned ? '[' : ']');
        in = learned;
        assert_int_equal(hone_tokenizer_decode(t, &x->tokens.ids.data[i], 1, true, &b, NULL), HONE_OK);
    }
    if (in)
        hone_buffer_putc(&b, ']');
    snprintf(out, size, "%s", b.data);
    hone_buffer_clear(&b);
}

#define TALK                                                                                                           \
    "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\"},{\"role\":"          \
    "\"assistant\",\"content\":\"one\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":"    \
    "\"two\"},{\"role\":\"user\",\"content\":\"left out\"}]}\n"

static void test_all_assistant_turns_are_learned_with_their_ends_of_turn(void **state)
{
    (void)state;
    static const struct {
        hone_train_on on;
        size_t n;
        const char *last;
    } cases[] = {{HONE_TRAIN_ON_ALL, 1,
                  "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\n[one<|end|>]\n"
                  "<|start|>user\nb<|end|>\n<|start|>assistant\n[two<|end|>]"},
                 {HONE_TRAIN_ON_LAST, 1,
                  "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\none<|end|>\n"
                  "<|start|>user\nb<|end|>\n<|start|>assistant\n[two<|end|>]"},
                 {HONE_TRAIN_ON_EACH, 2,
                  "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\none<|end|>\n"
                  "<|start|>user\nb<|end|>\n<|start|>assistant\n[two<|end|>]"}};
    for (size_t i = 0; i < 3; i++) {
        hone_encoded_examples x;
        hone_error err;
        char text[512];
        hone_example_options o = {.train_on = cases[i].on};
        assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_OK);
        assert_int_equal(x.n, cases[i].n);
        show(&x.items[x.n - 1], text, sizeof text);
        assert_string_equal(text, cases[i].last);
        assert_string_equal(x.items[x.n - 1].answer, "two");
        hone_encoded_examples_clear(&x);
    }
}

/* Failure elsewhere: "end-of-turn masked, never stops". */
static void test_failure_end_of_turn_masked(void **state)
{
    (void)state;
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    assert_int_equal(encode(engine, TALK "{\"input\":\"q\",\"output\":\"r\"}\n", &o, &x, &err), HONE_OK);
    for (size_t i = 0; i < x.n; i++) {
        size_t learned_ends = 0, turns = 0;
        const hone_learned_conversation *c = &x.items[i].tokens;
        for (size_t j = 1; j < c->ids.n; j++) {
            learned_ends += c->ids.data[j] == END && c->weights[j] > 0;
            turns += c->weights[j] > 0 && c->weights[j - 1] == 0;
        }
        assert_int_equal(turns, i == 0 ? 2 : 1);
        assert_int_equal(learned_ends, turns);
        /* and it reaches the trainer's labels, every one of them */
        hone_train_example e = hone_encoded_example_get(&x.items[i]);
        hone_train_batch *batch;
        size_t order = 0, ends = 0;
        assert_int_equal(hone_train_batch_create(256, 1, &batch, &err), HONE_OK);
        hone_train_batch_fill(batch, &e, &order, 1, 1, NULL);
        for (int64_t j = 0; j < batch->n_labels; j++)
            ends += batch->labels[j].target == END;
        assert_int_equal(ends, turns);
        assert_int_equal(batch->n_labels, i == 0 ? 8 : 2); /* o n e end, t w o end; r end */
        hone_train_batch_free(batch);
    }
    hone_encoded_examples_clear(&x);
}

/* Failure elsewhere: "assistant mask silently empty" (a template without generation marks masks everything). */
static void test_failure_assistant_mask_silently_empty(void **state)
{
    (void)state;
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    assert_null(strstr(hone_tokenizer_chat_template(hone_engine_get_tokenizer(engine)), "generation %}"));
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_OK);
    hone_train_example e = hone_encoded_example_get(&x.items[0]);
    assert_true(hone_train_example_weight(&e) == 8);
    for (size_t i = 0; i < e.n_ids; i++)
        x.items[0].tokens.weights[i] = 0;
    hone_train_options train;
    hone_train_result result;
    hone_train_options_defaults(&train);
    train.folder = temporary_path("empty");
    assert_int_equal(hone_train(engine, &e, 1, &train, NULL, NULL, NULL, &result, &err), HONE_BAD_INPUT);
    assert_says(err, "every token weighs 0");
    hone_encoded_examples_clear(&x);
}

static hone_engine *open_with_template(const char *name, const char *template, bool add_bos)
{
    hone_engine *e = NULL;
    hone_error err;
    const char *path = temporary_path(name);
    if (tiny_model_write_as(path, template, add_bos, &err) != HONE_OK ||
        hone_engine_open(path, &(hone_engine_options){.n_threads = 1, .cache_bytes = 1 << 20}, &e, &err) != HONE_OK)
        fail_msg("%s", err.message);
    return e;
}

/* Failure elsewhere: "double BOS". */
static void test_failure_double_bos(void **state)
{
    (void)state;
    static const char *const templates[] = {
        "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}",
        "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"};
    for (int i = 0; i < 2; i++) {
        hone_engine *e = open_with_template(i ? "without_bos.gguf" : "with_bos.gguf", templates[i], true);
        hone_encoded_examples x;
        hone_error err;
        hone_example_options o = {0};
        assert_int_equal(encode(e, TALK, &o, &x, &err), HONE_OK);
        size_t n = 0;
        for (size_t j = 0; j < x.items[0].tokens.ids.n; j++)
            n += x.items[0].tokens.ids.data[j] == START; /* the tiny model's BOS */
        assert_int_equal(x.items[0].tokens.ids.data[0], START);
        assert_int_equal(n, 1);
        hone_encoded_examples_clear(&x);
        hone_engine_close(e);
    }
}

/* Failure elsewhere: "template differs between training and serving". */
static void test_failure_template_differs_between_training_and_serving(void **state)
{
    (void)state;
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_OK);
    json_t *asked =
        json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "role", "system", "content", "s", "role", "user",
                  "content", "a", "role", "assistant", "content", "one", "role", "user", "content", "b");
    hone_token_list served = {0};
    assert_int_equal(hone_engine_encode_chat(engine, asked, true, &served, &err), HONE_OK);
    assert_int_equal(served.n, x.items[0].tokens.last_answer);
    assert_memory_equal(served.data, x.items[0].tokens.ids.data, served.n * sizeof *served.data);
    hone_token_list_clear(&served);
    json_decref(asked);
    hone_encoded_examples_clear(&x);
}

/* Thoughts of earlier turns are dropped by such templates (Qwen3, DeepSeek): what was learned is not what is served. */
static void test_a_template_that_rewrites_earlier_turns_is_an_error_that_says_so(void **state)
{
    (void)state;
    hone_engine *e =
        open_with_template("rewrites.gguf",
                           "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' and not loop.last %}"
                           "{{ m.content.split('>')[-1] }}{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}"
                           "{% if add_generation_prompt %}assistant:{% endif %}",
                           false);
    static const char row[] = "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"think>x\"}," USER
                              ",{\"role\":\"assistant\",\"content\":\"think>y\"}]}\n";
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    assert_int_equal(encode(e, row, &o, &x, &err), HONE_BAD_INPUT);
    assert_says(err, "rows.jsonl:1: message 4");
    assert_says(err, "--train-on each");
    hone_encoded_examples_clear(&x);
    o.train_on = HONE_TRAIN_ON_EACH;
    assert_int_equal(encode(e, row, &o, &x, &err), HONE_OK);
    assert_int_equal(x.n, 2);
    assert_string_equal(x.items[0].answer, "think>x");
    assert_string_equal(x.items[1].answer, "think>y");
    hone_encoded_examples_clear(&x);
    hone_engine_close(e);
}

static void test_what_a_template_writes_around_an_answer_is_learned_as_written(void **state)
{
    (void)state;
    hone_engine *e = open_with_template(
        "thinks.gguf",
        "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}<t></t>{% endif %}{{ m.content | trim }}"
        "<|unused|><|end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
        false);
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    char text[200];
    assert_int_equal(encode(e, "{\"input\":\"a\",\"output\":\" t \"}\n", &o, &x, &err), HONE_OK);
    show(&x.items[0], text, sizeof text);
    assert_string_equal(text, "user:a<|unused|><|end|>assistant:[<t></t>t<|unused|><|end|>]");
    hone_encoded_examples_clear(&x);
    hone_engine_close(e);
}

static void test_tools_and_calls_need_a_template_that_shows_them(void **state)
{
    (void)state;
    static const char row[] =
        "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"now\",\"arguments\":"
        "\"{\\\"z\\\":1}\"}}]}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]}\n";
    hone_engine *e = open_with_template(
        "tools.gguf",
        "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content or '' }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments.z }}){% endfor %}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
        false);
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {0};
    assert_int_equal(encode(e, row, &o, &x, &err), HONE_OK);
    assert_string_equal(x.items[0].answer, "now(1)");
    hone_encoded_examples_clear(&x);
    hone_engine_close(e);
    assert_int_equal(encode(engine, row, &o, &x, &err), HONE_BAD_INPUT);
    assert_says(err, "no place for \"tools\"");
    hone_encoded_examples_clear(&x);
}

/* OpenAI's files have null for the text of a message that only calls. A template that joins texts takes it as empty;
 * one that asks whether it is null is shown the null. */
static void test_a_null_text_is_empty_where_the_template_cannot_take_it(void **state)
{
    (void)state;
    static const char row[] =
        "{\"messages\":[" USER
        ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"now\","
        "\"arguments\":{}}}]}]}\n";
    static const struct {
        const char *text, *answer; /* how a template writes m.content, and what is learned */
    } cases[] = {{"{{ m.role + ':' + m.content }}", "now!"},
                 {"{{ m.role }}:{{ 'null ' if m.content is none }}", "null now!"}};
    for (size_t i = 0; i < 2; i++) {
        char name[16], template[512];
        snprintf(name, sizeof name, "null%zu.gguf", i);
        snprintf(template, sizeof template,
                 "{%% for m in messages %%}%s{%% for c in m.tool_calls or [] %%}{{ c.function.name }}!{%% endfor %%}"
                 "<|end|>{%% endfor %%}{%% if add_generation_prompt %%}assistant:{%% endif %%}",
                 cases[i].text);
        hone_engine *e = open_with_template(name, template, false);
        hone_encoded_examples x;
        hone_error err;
        if (encode(e, row, &(hone_example_options){0}, &x, &err) != HONE_OK)
            fail_msg("%s", err.message);
        assert_string_equal(x.items[0].answer, cases[i].answer);
        hone_encoded_examples_clear(&x);
        hone_engine_close(e);
    }
}

/* ---- too long ---- */
/* Failure elsewhere: "silent truncation, loss 0". */
/* By hand: a, a, a, a, b: the four weigh (1/4)^p each. */
static void test_common_answers_weigh_less_when_asked(void **state)
{
    (void)state;
    static const char rows[] = "{\"input\":\"1\",\"output\":\"a\"}\n{\"input\":\"2\",\"output\":\"a\"}\n"
                               "{\"input\":\"3\",\"output\":\"b\"}\n{\"input\":\"4\",\"output\":\"a\"}\n"
                               "{\"input\":\"5\",\"output\":\"a\"}\n";
    static const float expected[] = {1, 0.5f, 0.25f};
    for (int b = HONE_BALANCE_NONE; b <= HONE_BALANCE_EQUAL; b++) {
        hone_encoded_examples x;
        hone_balance_report report;
        hone_error err;
        assert_int_equal(encode(engine, rows, &(hone_example_options){0}, &x, &err), HONE_OK);
        assert_int_equal(hone_examples_balance(&x, x.n, (hone_balance)b, &report, &err), HONE_OK);
        for (size_t i = 0; i < 5; i++) {
            hone_train_example e = hone_encoded_example_get(&x.items[i]);
            for (size_t t = e.n_prompt; t < e.n_ids; t++)
                assert_true(e.weights[t] == (i == 2 ? 1 : expected[b]));
        }
        assert_true(report.least_weight == (double)expected[b]);
        if (b != HONE_BALANCE_NONE)
            assert_true(report.n_answers == 2 && report.fewest == 1 && report.most == 4);
        hone_encoded_examples_clear(&x);
    }
    hone_encoded_examples texts;
    hone_balance_report report;
    hone_error err;
    assert_int_equal(encode(engine, "{\"input\":\"1\",\"output\":\"a\"}\n{\"input\":\"2\",\"output\":\"b\"}\n",
                            &(hone_example_options){0}, &texts, &err),
                     HONE_OK);
    assert_int_equal(hone_examples_balance(&texts, texts.n, HONE_BALANCE_SQRT, &report, &err), HONE_BAD_INPUT);
    assert_says(err, "texts, not labels");
    hone_encoded_examples_clear(&texts);
    hone_balance word;
    assert_true(hone_balance_parse("equal", &word) && word == HONE_BALANCE_EQUAL && !hone_balance_parse("more", &word));
}

static void test_failure_silent_truncation(void **state)
{
    (void)state;
    hone_encoded_examples x;
    hone_error err;
    hone_example_options o = {.max_tokens = 55}; /* one exchange of TALK takes 35, both 60 */
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_BAD_INPUT);
    assert_says(err, "rows.jsonl:1: more than 55 tokens");
    assert_says(err, "--too-long truncate, split or drop");
    hone_encoded_examples_clear(&x);
    o.too_long = HONE_TOO_LONG_TRUNCATE;
    assert_int_equal(encode(engine, TALK "{\"input\":\"q\",\"output\":\"r\"}\n", &o, &x, &err), HONE_OK);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.n_truncated, 1);
    assert_int_equal(x.items[0].tokens.ids.n, 55);
    hone_encoded_examples_clear(&x);
    struct { /* "two<|end|>" is tokens 57 to 60, "one<|end|>" 32 to 35 */
        int64_t cut;
        const char *answer;
        bool is_cut;
    } cuts[] = {{59, "one", false}, {58, "one", false}, {57, "one", false}, {56, "one", false}, {55, "one", false},
                {36, "one", false}, {35, "one", false}, {34, "one", true},  {33, "on", true},   {32, "o", true}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        o.max_tokens = cuts[i].cut;
        assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_OK);
        assert_int_equal(x.items[0].tokens.ids.n, cuts[i].cut);
        assert_string_equal(x.items[0].answer, cuts[i].answer);
        assert_int_equal(x.items[0].answer_is_cut, cuts[i].is_cut);
        assert_int_equal(x.items[0].tokens.last_answer, 31);
        assert_int_equal(x.longest_answer_tokens, cuts[i].cut < 35 ? cuts[i].cut - 31 : 4);
        hone_encoded_examples_clear(&x);
    }
    o.max_tokens = 20; /* no answer of TALK is within */
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_BAD_INPUT);
    assert_says(err, "every row was left out");
    hone_encoded_examples_clear(&x);
}

static void test_long_rows_are_dropped_or_split_when_asked_and_counted(void **state)
{
    (void)state;
    hone_encoded_examples x;
    hone_error err;
    char text[512];
    hone_example_options o = {.max_tokens = 55, .too_long = HONE_TOO_LONG_DROP};
    assert_int_equal(encode(engine, TALK "{\"input\":\"q\",\"output\":\"r\"}\n", &o, &x, &err), HONE_OK);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.n_dropped, 1);
    assert_int_equal(x.items[0].line, 2);
    hone_encoded_examples_clear(&x);
    o.too_long = HONE_TOO_LONG_SPLIT;
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_OK);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.n_split, 1);
    show(&x.items[0], text, sizeof text);
    assert_string_equal(text, "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\n[one<|end|>]");
    show(&x.items[1], text, sizeof text);
    assert_string_equal(text, "<|start|>system\ns<|end|>\n<|start|>user\nb<|end|>\n<|start|>assistant\n[two<|end|>]");
    hone_encoded_examples_clear(&x);
    o.max_tokens = 30;
    assert_int_equal(encode(engine, TALK, &o, &x, &err), HONE_BAD_INPUT);
    assert_says(err, "A single exchange does not fit");
    hone_encoded_examples_clear(&x);
}

static int open_all(void **state)
{
    return temporary_begin(state) != 0 ? -1 : (engine = open_with_template("tiny.gguf", NULL, false)) ? 0 : -1;
}

static int close_all(void **state)
{
    hone_engine_close(engine);
    return temporary_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape_becomes_messages),
        cmocka_unit_test(test_arguments_of_tool_calls_may_be_text_or_object),
        cmocka_unit_test(test_rows_that_teach_nothing_are_refused_with_line_and_fix),
        cmocka_unit_test(test_csv_and_what_was_read_is_said_once),
        cmocka_unit_test(test_repeated_and_contradicting_rows_are_reported),
        cmocka_unit_test(test_nearly_repeated_questions_are_counted_and_named),
        cmocka_unit_test(test_common_answers_weigh_less_when_asked),
        cmocka_unit_test(test_all_assistant_turns_are_learned_with_their_ends_of_turn),
        cmocka_unit_test(test_failure_end_of_turn_masked),
        cmocka_unit_test(test_failure_assistant_mask_silently_empty),
        cmocka_unit_test(test_failure_double_bos),
        cmocka_unit_test(test_failure_template_differs_between_training_and_serving),
        cmocka_unit_test(test_a_template_that_rewrites_earlier_turns_is_an_error_that_says_so),
        cmocka_unit_test(test_what_a_template_writes_around_an_answer_is_learned_as_written),
        cmocka_unit_test(test_tools_and_calls_need_a_template_that_shows_them),
        cmocka_unit_test(test_a_null_text_is_empty_where_the_template_cannot_take_it),
        cmocka_unit_test(test_failure_silent_truncation),
        cmocka_unit_test(test_long_rows_are_dropped_or_split_when_asked_and_counted),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
