/* tiny_encoder.h - a BERT encoder of two layers in a folder, made by hand for tests: config.json, vocab.txt,
 * model.safetensors. Its values are counted random numbers, so that a test can know them too. */
#ifndef HONE_TESTS_TINY_ENCODER_H
#define HONE_TESTS_TINY_ENCODER_H

#include "base/buffer.h"
#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TINY_LAYERS = 2,
    TINY_DIM = 32,
    TINY_HEADS = 2,
    TINY_FF = 48,
    TINY_POSITIONS = 24,
    TINY_VOCAB = 24,
    TINY_TENSORS = 37
};

#define TINY_CONFIG                                                                                                    \
    "{\"model_type\": \"bert\", \"hidden_act\": \"gelu\", \"num_hidden_layers\": 2, \"hidden_size\": 32, "             \
    "\"num_attention_heads\": 2, \"intermediate_size\": 48, \"vocab_size\": 24, \"max_position_embeddings\": 24, "     \
    "\"layer_norm_eps\": 1e-12}"
#define TINY_VOCAB_TEXT                                                                                                \
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]"                                                                               \
    "\nparcel\nis\nlate\ncard\nlost\naccount\nblocked\nthe\nmy\ni\nplease\nhelp\nit\n"                                 \
    "today\nagain\n##s\n##ed\nsince\nmonday\n"

typedef struct tiny_tensor {
    char name[80];
    int64_t rows, columns; /* rows 0: a vector */
    float *data;
} tiny_tensor;

static inline int64_t tiny_size(const tiny_tensor *t)
{
    return (t->rows ? t->rows : 1) * t->columns;
}

static inline void tiny_add(tiny_tensor *list, int *n, const char *name, int64_t rows, int64_t columns)
{
    tiny_tensor *t = &list[(*n)++];
    bool gain = strstr(name, "LayerNorm.weight") != NULL;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows;
    t->columns = columns;
    t->data = malloc((size_t)tiny_size(t) * sizeof *t->data);
    fill_normal(t->data, tiny_size(t), (uint32_t)(100 + *n), gain ? 0.1 : rows ? 0.3 : 0.1);
    for (int64_t i = 0; gain && i < t->columns; i++)
        t->data[i] += 1;
}

/* All tensors, in the names and shapes of Hugging Face's BertModel. */
static inline int tiny_tensors(tiny_tensor *list)
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } parts[] = {{"attention.self.query", TINY_DIM, TINY_DIM}, {"attention.self.key", TINY_DIM, TINY_DIM},
                 {"attention.self.value", TINY_DIM, TINY_DIM}, {"attention.output.dense", TINY_DIM, TINY_DIM},
                 {"attention.output.LayerNorm", 0, TINY_DIM},  {"intermediate.dense", TINY_FF, TINY_DIM},
                 {"output.dense", TINY_DIM, TINY_FF},          {"output.LayerNorm", 0, TINY_DIM}};
    char name[80];
    int n = 0;
    tiny_add(list, &n, "embeddings.word_embeddings.weight", TINY_VOCAB, TINY_DIM);
    tiny_add(list, &n, "embeddings.position_embeddings.weight", TINY_POSITIONS, TINY_DIM);
    tiny_add(list, &n, "embeddings.token_type_embeddings.weight", 2, TINY_DIM);
    tiny_add(list, &n, "embeddings.LayerNorm.weight", 0, TINY_DIM);
    tiny_add(list, &n, "embeddings.LayerNorm.bias", 0, TINY_DIM);
    for (int l = 0; l < TINY_LAYERS; l++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            snprintf(name, sizeof name, "encoder.layer.%d.%s.weight", l, parts[i].name);
            tiny_add(list, &n, name, parts[i].rows, parts[i].columns);
            snprintf(name, sizeof name, "encoder.layer.%d.%s.bias", l, parts[i].name);
            tiny_add(list, &n, name, 0, parts[i].rows ? parts[i].rows : parts[i].columns);
        }
    return n;
}

static inline void tiny_free(tiny_tensor *list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i].data);
}

/* The container as its specification says, with a table of positions in whole numbers, as BERT files have. */
static inline void tiny_safetensors(const tiny_tensor *list, int n, hone_buffer *out)
{
    hone_buffer header = {0};
    size_t at = 0;
    hone_buffer_puts(&header,
                     "{\"embeddings.position_ids\":{\"dtype\":\"I64\",\"shape\":[1,1],\"data_offsets\":[0,8]}");
    at += 8;
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)tiny_size(&list[i]) * sizeof(float);
        hone_buffer_printf(&header, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", list[i].name);
        if (list[i].rows)
            hone_buffer_printf(&header, "%lld,", (long long)list[i].rows);
        hone_buffer_printf(&header, "%lld],\"data_offsets\":[%zu,%zu]}", (long long)list[i].columns, at, at + bytes);
        at += bytes;
    }
    hone_buffer_puts(&header, "}");
    uint64_t length = header.length;
    hone_buffer_append(out, &length, 8);
    hone_buffer_append(out, header.data, header.length);
    hone_buffer_append(out, "\0\0\0\0\0\0\0\0", 8);
    for (int i = 0; i < n; i++)
        hone_buffer_append(out, list[i].data, (size_t)tiny_size(&list[i]) * sizeof(float));
    hone_buffer_clear(&header);
}

static inline bool tiny_write(const char *folder, const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    bool good = f && fwrite(data, 1, size, f) == size;
    return f && fclose(f) == 0 && good;
}

/* Writes the whole folder, which exists. */
static inline bool tiny_encoder(const char *folder)
{
    tiny_tensor list[TINY_TENSORS];
    hone_buffer file = {0};
    int n = tiny_tensors(list);
    tiny_safetensors(list, n, &file);
    bool good = !file.failed && tiny_write(folder, "model.safetensors", file.data, file.length) &&
                tiny_write(folder, "config.json", TINY_CONFIG, strlen(TINY_CONFIG)) &&
                tiny_write(folder, "vocab.txt", TINY_VOCAB_TEXT, strlen(TINY_VOCAB_TEXT));
    hone_buffer_clear(&file);
    tiny_free(list, n);
    return good;
}

#endif
