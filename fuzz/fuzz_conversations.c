/* fuzz_conversations.c - feeds bytes to the reader of training rows: the first byte says whether they are a CSV file,
 * and whether a system message is asked for. Built by ./dev fuzz with libFuzzer.
 *
 * What must hold: no access outside the file, a message that names the file with every refusal, the invariants of a
 * conversation (conversation.h), and that rows with the same question name the first of them. */
#include "task/conversation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_conversation(const hone_conversation *c)
{
    bool learned = false;
    size_t i;
    json_t *message;
    json_array_foreach(c->messages, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        must(role && (json_is_string(json_object_get(message, "content")) || json_object_get(message, "tool_calls")));
        must(c->weights[i] >= 0 && (c->weights[i] == 0 || strcmp(role, "assistant") == 0));
        learned |= c->weights[i] > 0;
    }
    must(learned && c->line > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    hone_error err = {0};
    hone_conversations all;
    if (size < 1)
        return 0;
    snprintf(path, sizeof path, "/dev/shm/hone-fuzz-%ld.%s", (long)getpid(), data[0] & 1 ? "csv" : "jsonl");
    FILE *f = fopen(path, "wb");
    must(f && fwrite(data + 1, 1, size - 1, f) == size - 1 && fclose(f) == 0);
    if (hone_conversations_read(path, data[0] & 2 ? "be short" : NULL, &all, &err) == HONE_OK) {
        size_t *question = calloc(all.n, sizeof *question);
        must(all.n > 0 && question);
        for (size_t i = 0; i < all.n; i++)
            check_conversation(&all.items[i]);
        must(hone_conversations_find_questions(&all, question, &err) == HONE_OK);
        for (size_t i = 0; i < all.n; i++)
            must(question[i] <= i && question[question[i]] == question[i]);
        must(hone_conversations_note_repeats(path, &all, &err) == HONE_OK);
        free(question);
        hone_conversations_clear(&all);
    } else
        must(strncmp(err.message, path, strlen(path)) == 0);
    unlink(path);
    return 0;
}
