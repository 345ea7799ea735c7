/* fuzz_model_folder.c - a language model's Hugging Face folder made of bytes: configuration, tokenizer and weights in
 * one input. Built by ./dev fuzz with libFuzzer.
 *
 * The input is up to four parts with a byte 0x1E between them: config.json, tokenizer.json, tokenizer_config.json, and
 * the JSON header of model.safetensors, before which its length is put and behind which the tiny model's data lie
 * (tests/support/tiny_folder.h). A part that is empty or absent is what the tiny model has there. What must hold: no
 * access outside the files, a message with every refusal, and a folder that opened encodes text and computes. */
#include "model/model_file.h"
#include "model/trace.h"
#include "support/tiny_folder.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum { SEPARATOR = 0x1E, N_PARTS = 4, WEIGHTS = 3 };

static const char *const names[N_PARTS] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                           "model.safetensors"};
static char folder[] = "/tmp/hone-fuzz-XXXXXX";
static hone_buffer right[N_PARTS]; /* the tiny model's files; of the weights the header alone */
static hone_buffer weights;        /* what follows the header */

/* The vocabulary of the whole tiny model is longer than an input may be. */
static const char small_tokenizer[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3},\"merges\":[\"a b\"]},"
    "\"added_tokens\":[{\"id\":4,\"content\":\"<|end|>\",\"special\":true},{\"id\":5,\"content\":\"<|start|>\"}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}}";

static void path_of(int part, char path[64])
{
    snprintf(path, 64, "%s/%s", folder, names[part]);
}

static void write_part(int part, const void *data, size_t size)
{
    char path[64];
    hone_buffer file = {0};
    path_of(part, path);
    if (part == WEIGHTS) {
        uint64_t length = size;
        hone_buffer_append(&file, &length, sizeof length);
    }
    hone_buffer_append(&file, data, size);
    if (part == WEIGHTS)
        hone_buffer_append(&file, weights.data, weights.length);
    FILE *f = file.failed ? NULL : fopen(path, "wb");
    if (!f || fwrite(file.data, 1, file.length, f) != file.length || fclose(f) != 0)
        abort();
    hone_buffer_clear(&file);
}

static void start(void)
{
    char gguf[64], path[64];
    hone_gguf file;
    hone_error err;
    if (!mkdtemp(folder))
        abort();
    snprintf(gguf, sizeof gguf, "%s/tiny.gguf", folder);
    if (tiny_model_write(gguf, &err) != HONE_OK || hone_gguf_open(gguf, &file, &err) != HONE_OK)
        abort();
    tiny_folder_write(&file, folder, "F16", false);
    hone_gguf_close(&file);
    for (int part = 0; part < N_PARTS; part++) {
        path_of(part, path);
        if (hone_file_read(path, 16 << 20, &right[part], &err) != HONE_OK)
            abort();
    }
    uint64_t length;
    hone_buffer whole = right[WEIGHTS];
    memcpy(&length, whole.data, sizeof length);
    right[WEIGHTS] = (hone_buffer){0};
    hone_buffer_append(&right[WEIGHTS], whole.data + sizeof length, length);
    hone_buffer_append(&weights, whole.data + sizeof length + length, whole.length - sizeof length - length);
    hone_buffer_clear(&whole);
}

static void check_refusal(const hone_error *err)
{
    if (!err->message[0] || err->code == HONE_OK)
        abort();
}

static void use(const hone_gguf *file)
{
    static const char text[] = "ab<|end|> a\xC3\xA9 1";
    static const int32_t ids[] = {0, 1, 2};
    hone_error err = {0};
    hone_tokenizer *tokenizer = NULL;
    hone_token_list list = {0};
    if (hone_tokenizer_from_gguf(file, &tokenizer, &err) == HONE_OK) {
        if (hone_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &list, &err) != HONE_OK)
            check_refusal(&err);
        for (size_t i = 0; i < list.n; i++)
            if (list.data[i] < 0 || list.data[i] >= hone_tokenizer_size(tokenizer))
                abort();
    } else
        check_refusal(&err);
    hone_token_list_clear(&list);
    hone_tokenizer_free(tokenizer);
    hone_trace trace;
    hone_trace_source source = {.file = file, .ids = ids, .n_ids = 3, .n_threads = 1};
    err = (hone_error){0};
    if (hone_trace_run(&source, NULL, &trace, &err) == HONE_OK)
        hone_trace_clear(&trace);
    else
        check_refusal(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!right[0].data)
        start();
    const uint8_t *at = data, *end = data + size;
    for (int part = 0; part < N_PARTS; part++) {
        const uint8_t *stop = at < end ? memchr(at, SEPARATOR, (size_t)(end - at)) : NULL;
        stop = stop ? stop : end;
        if (stop > at)
            write_part(part, at, (size_t)(stop - at));
        else
            write_part(part, right[part].data, right[part].length);
        at = stop < end ? stop + 1 : end;
    }
    hone_model_file file;
    hone_error err = {0};
    if (hone_model_file_open(folder, &file, &err) == HONE_OK) {
        use(&file.gguf);
        hone_model_file_close(&file);
    } else
        check_refusal(&err);
    return 0;
}

/* Now and then an input is replaced by one that has one of the parts as it is right, before it is changed. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (!right[0].data)
        start();
    if (size < 8 || seed % 32 == 0) {
        int part = (int)(seed / 32 % N_PARTS);
        const char *text = part == 1 ? small_tokenizer : right[part].data;
        size_t length = strlen(text), before = (size_t)part;
        if (before + length <= max_size) {
            memset(data, SEPARATOR, before);
            memcpy(data + before, text, length);
            size = before + length;
        }
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
