/* fuzz_encoder.c - feeds bytes to the readers of a sentence encoder's folder: configuration, vocabulary, weights. Built
 * by ./dev fuzz with libFuzzer.
 *
 * The first byte says which file of a folder that is right otherwise (tests/support/tiny_encoder.h) the rest becomes.
 * What must hold: no access outside the files, a message with every refusal, and an encoder that opened can embed. */
#include "model/embedder.h"
#include "support/tiny_encoder.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static const char *const names[] = {"config.json", "vocab.txt", "tokenizer.json", "sentence_bert_config.json",
                                    "model.safetensors"};
enum { N_NAMES = sizeof names / sizeof *names };

static const char tiny_tokenizer[] =
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
    ","
    "\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,"
    "\"a\":3,\"##s\":4}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/hone-fuzz-XXXXXX";
    static bool made;
    if (!made && (!mkdtemp(folder) || !tiny_encoder(folder)))
        abort();
    made = true;
    if (size < 1)
        return 0;
    const char *name = names[data[0] % N_NAMES];
    if (!tiny_write(folder, name, data + 1, size - 1))
        return 0;
    hone_embedder *e;
    hone_error err = {0};
    hone_embedder_options options = {.n_threads = 1};
    if (hone_embedder_open(folder, &options, &e, &err) == HONE_OK) {
        float *vector = malloc((size_t)hone_embedder_dim(e) * sizeof *vector);
        hone_embed_text text = {(const char *)data, size < 200 ? size : 200};
        if (!vector || hone_embedder_run(e, &text, 1, vector, NULL, NULL, &err) != HONE_OK)
            abort();
        free(vector);
        hone_embedder_close(e);
    } else if (!err.message[0] || err.code == HONE_OK)
        abort();
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    if (!tiny_encoder(folder))
        abort();
    return 0;
}

/* Now and then an input is replaced by one of the right files before it is changed. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < 2 || seed % 32 == 0) {
        const char *const texts[] = {TINY_CONFIG, TINY_VOCAB_TEXT, tiny_tokenizer, "{\"max_seq_length\":16}"};
        unsigned which = seed / 32 % 4;
        size_t n = strlen(texts[which]);
        if (n + 1 <= max_size) {
            data[0] = (uint8_t)which;
            memcpy(data + 1, texts[which], n);
            size = n + 1;
        }
    }
    return 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
}
