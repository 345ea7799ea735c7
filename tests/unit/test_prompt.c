/* test_prompt.c - what the model is sent: wording, framing, demonstrations. Expected texts are written out by hand. */
#include "prompt/framing.h"
#include "prompt/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const labels[] = {"late", "lost"};

static hone_task bank(void)
{
    return (hone_task){.folder = "bank",
                       .output_kind = HONE_OUTPUT_LABEL,
                       .labels = labels,
                       .n_labels = 2,
                       .role = "You work at a bank.\n",
                       .instruction = "Reply with the intent."};
}

static hone_row row_of(json_t *fields)
{
    return (hone_row){.input = json_string_value(json_object_get(fields, "input")),
                      .output = json_string_value(json_object_get(fields, "output")),
                      .file = "rows.jsonl",
                      .line = 7,
                      .fields = fields};
}

static const char *content(json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "content"));
}

static const char *role(json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "role"));
}

static void test_role_and_instruction_are_the_system_message(void **state)
{
    (void)state;
    hone_error err;
    json_t *fields = json_pack("{s:s, s:s}", "input", "Where is my card?", "output", "late"), *messages;
    hone_task task = bank();
    hone_row row = row_of(fields);
    assert_int_equal(
        hone_prompt_messages(&task, (hone_prompt_style){.instruction = true}, NULL, 0, &row, &messages, &err), HONE_OK);
    assert_int_equal(json_array_size(messages), 2);
    assert_string_equal(role(messages, 0), "system");
    /* The text that TRL was trained with in shared/peers/trl_bank_intents.py has this form: role, a blank, instruction.
     */
    assert_string_equal(content(messages, 0), "You work at a bank. Reply with the intent.");
    assert_string_equal(role(messages, 1), "user");
    assert_string_equal(content(messages, 1), "Where is my card?");
    json_decref(messages);
    json_decref(fields);
}

static void test_zero_shot_lists_the_labels(void **state)
{
    (void)state;
    hone_error err;
    json_t *fields = json_pack("{s:s, s:s}", "input", "x", "output", "late"), *messages;
    hone_task task = bank();
    hone_row row = row_of(fields);
    hone_prompt_style style = {.instruction = true, .labels = true};
    assert_int_equal(hone_prompt_messages(&task, style, NULL, 0, &row, &messages, &err), HONE_OK);
    assert_string_equal(
        content(messages, 0),
        "You work at a bank. Reply with the intent.\nAnswer with exactly one of these labels:\nlate\nlost");
    json_decref(messages);
    json_decref(fields);
}

static void test_no_role_sends_the_bare_input(void **state)
{
    (void)state;
    hone_error err;
    json_t *fields = json_pack("{s:s, s:s}", "input", "x", "output", "late"), *messages;
    hone_task task = bank();
    hone_row row = row_of(fields);
    assert_int_equal(hone_prompt_messages(&task, (hone_prompt_style){0}, NULL, 0, &row, &messages, &err), HONE_OK);
    assert_int_equal(json_array_size(messages), 1);
    assert_string_equal(role(messages, 0), "user");
    json_decref(messages);
    json_decref(fields);
}

static void test_demonstrations_are_turns_before_the_row(void **state)
{
    (void)state;
    hone_error err;
    json_t *one = json_pack("{s:s, s:s}", "input", "It is late", "output", "late"), *messages;
    json_t *two = json_pack("{s:s, s:s}", "input", "It is gone", "output", "lost");
    hone_task task = bank();
    hone_row shown = row_of(one), asked = row_of(two);
    const hone_row *shots[] = {&shown};
    assert_int_equal(
        hone_prompt_messages(&task, (hone_prompt_style){.instruction = true}, shots, 1, &asked, &messages, &err),
        HONE_OK);
    assert_int_equal(json_array_size(messages), 4);
    assert_string_equal(role(messages, 1), "user");
    assert_string_equal(content(messages, 1), "It is late");
    assert_string_equal(role(messages, 2), "assistant");
    assert_string_equal(content(messages, 2), "late");
    assert_string_equal(content(messages, 3), "It is gone");
    json_decref(messages);
    json_decref(one);
    json_decref(two);
}

static void test_context_frames_each_row_and_precedes_its_input(void **state)
{
    (void)state;
    hone_error err;
    json_t *fields = json_pack("{s:s, s:s, s:s, s:i, s:b}", "input", "Help", "output", "late", "plan", "{{years}}",
                               "years", 3, "vip", 1),
           *messages;
    hone_task task = bank();
    task.context = "Plan {{plan}}, {{ years }} years, vip {{vip}}.\n";
    hone_row row = row_of(fields);
    assert_int_equal(hone_prompt_messages(&task, (hone_prompt_style){0}, NULL, 0, &row, &messages, &err), HONE_OK);
    /* A field's own braces are text, not expanded again. */
    assert_string_equal(content(messages, 0), "Plan {{years}}, 3 years, vip true.\n\nHelp");
    json_decref(messages);
    task.context = "<{{input}}>";
    assert_int_equal(hone_prompt_messages(&task, (hone_prompt_style){0}, NULL, 0, &row, &messages, &err), HONE_OK);
    assert_string_equal(content(messages, 0), "<Help>");
    json_decref(messages);
    json_decref(fields);
}

static void expect_framing_error(const char *text, const hone_row *row, const char *part)
{
    hone_error err = {.code = HONE_OK};
    hone_buffer out = {0};
    assert_int_equal(hone_framing_expand(text, row, &out, &err), HONE_BAD_INPUT);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    hone_buffer_clear(&out);
}

static void test_wrong_framing_is_an_error_that_names_place_and_field(void **state)
{
    (void)state;
    json_t *fields = json_pack("{s:s, s:s, s:s, s:[]}", "input", "Help", "output", "late", "plan", "gold", "tags");
    hone_row row = row_of(fields);
    expect_framing_error("{{plam}}", &row, "rows.jsonl:7");
    expect_framing_error("{{plam}}", &row, "did you mean {{plan}}");
    expect_framing_error("{{tags}}", &row, "no text, number or truth value");
    expect_framing_error("{{output}}", &row, "the answer");
    expect_framing_error("{{label}}", &row, "the answer");
    expect_framing_error("{{ messages }}", &row, "the answer");
    expect_framing_error("{{conversations}}", &row, "the answer");
    row.answer_field = "plan"; /* named by data.output */
    expect_framing_error("Plan {{plan}}", &row, "prompt.context uses {{plan}}, which is the answer");
    expect_framing_error("Plan {{plan", &row, "is no field");
    expect_framing_error("{{}}", &row, "is no field");
    json_decref(fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_role_and_instruction_are_the_system_message),
        cmocka_unit_test(test_zero_shot_lists_the_labels),
        cmocka_unit_test(test_no_role_sends_the_bare_input),
        cmocka_unit_test(test_demonstrations_are_turns_before_the_row),
        cmocka_unit_test(test_context_frames_each_row_and_precedes_its_input),
        cmocka_unit_test(test_wrong_framing_is_an_error_that_names_place_and_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
