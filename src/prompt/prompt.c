/* prompt.c - building the messages of a prompt. */
#include "prompt/prompt.h"

#include "prompt/framing.h"

#include <string.h>

/* Used only where task.yaml has no prompt.instruction: a prompted model must be told at least what is wanted. */
static const char default_label_instruction[] = "Reply with the label that fits the text.";
static const char default_text_instruction[] = "Reply to the text as in the task's examples.";
static const char labels_heading[] = "Answer with exactly one of these labels:";

static bool has_text(const char *s)
{
    return s && *s;
}

/* Without trailing blanks and line ends: YAML block texts end with one. */
static void append_trimmed(hone_buffer *out, const char *s)
{
    size_t length = strlen(s);
    while (length && strchr(" \t\r\n", s[length - 1]))
        length--;
    hone_buffer_append(out, s, length);
}

static bool has_labels(const hone_task *task)
{
    return (task->output_kind == HONE_OUTPUT_LABEL || task->output_kind == HONE_OUTPUT_CHOICE) && task->n_labels > 0;
}

static void write_system(const hone_task *task, hone_prompt_style style, hone_buffer *out)
{
    if (style.instruction) {
        if (has_text(task->role))
            append_trimmed(out, task->role);
        if (out->length)
            hone_buffer_putc(out, ' ');
        if (has_text(task->instruction))
            append_trimmed(out, task->instruction);
        else
            hone_buffer_puts(out, has_labels(task) ? default_label_instruction : default_text_instruction);
    }
    if (style.labels && has_labels(task)) {
        hone_buffer_puts(out, out->length ? "\n" : "");
        hone_buffer_puts(out, labels_heading);
        for (size_t i = 0; i < task->n_labels; i++)
            hone_buffer_printf(out, "\n%s", task->labels[i]);
    }
}

static hone_status write_user(const hone_task *task, const hone_row *row, hone_buffer *out, hone_error *err)
{
    if (has_text(task->context)) {
        hone_status status = hone_framing_expand(task->context, row, out, err);
        if (status != HONE_OK)
            return status;
        if (hone_framing_uses(task->context, "input"))
            return HONE_OK;
        while (out->length && strchr(" \t\r\n", out->data[out->length - 1]))
            out->length--;
        hone_buffer_puts(out, "\n\n");
    }
    hone_buffer_puts(out, row->input);
    return HONE_OK;
}

static hone_status append_message(json_t *messages, const char *role, const hone_buffer *content, hone_error *err)
{
    json_t *text = content->failed ? NULL : json_stringn(content->data ? content->data : "", content->length);
    json_t *message = text ? json_pack("{s:s, s:o}", "role", role, "content", text) : NULL;
    if (!message || json_array_append_new(messages, message) != 0)
        return hone_fail(err, HONE_BAD_INPUT, "a %s message could not be built (out of memory or not UTF-8)", role);
    return HONE_OK;
}

static hone_status append_turn(json_t *messages, const hone_task *task, const hone_row *row, bool with_answer,
                               hone_buffer *scratch, hone_error *err)
{
    hone_buffer_reset(scratch);
    hone_status status = write_user(task, row, scratch, err);
    if (status == HONE_OK)
        status = append_message(messages, "user", scratch, err);
    if (status != HONE_OK || !with_answer)
        return status;
    hone_buffer_reset(scratch);
    hone_buffer_puts(scratch, row->output);
    return append_message(messages, "assistant", scratch, err);
}

hone_status hone_prompt_messages(const hone_task *task, hone_prompt_style style, const hone_row *const *demonstrations,
                                 size_t n_demonstrations, const hone_row *row, json_t **out, hone_error *err)
{
    hone_status status = HONE_OK;
    hone_buffer scratch = {0};
    *out = NULL;
    json_t *messages = json_array();
    if (!messages)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a prompt");
    write_system(task, style, &scratch);
    if (scratch.length)
        status = append_message(messages, "system", &scratch, err);
    for (size_t i = 0; i < n_demonstrations && status == HONE_OK; i++)
        status = append_turn(messages, task, demonstrations[i], true, &scratch, err);
    if (status == HONE_OK)
        status = append_turn(messages, task, row, false, &scratch, err);
    hone_buffer_clear(&scratch);
    if (status != HONE_OK) {
        json_decref(messages);
        return status;
    }
    *out = messages;
    return HONE_OK;
}
