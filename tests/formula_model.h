/* formula_model.h - the very small models of tools/make_tiny_gradients.py and make_tiny_gemma.py as GGUF files: 3
 * layers, 32 wide, 2 heads on one key-value head of 16, 48 tokens, tied. Element i of the t-th tensor is 0.3 sin(0.37 i
 * + 1.7 t), of a norm 1 + that, in Hugging Face's row order; llama's file has the rows of q and k as llama.cpp's
 * converter leaves them, which of Gemma 3 leaves them alone. */
#ifndef HONE_TESTS_FORMULA_MODEL_H
#define HONE_TESTS_FORMULA_MODEL_H

#include "gguf_writer.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>

enum { FORMULA_LAYERS = 3, FORMULA_EMBD = 32, FORMULA_FF = 48, FORMULA_HEAD_DIM = 16, FORMULA_VOCAB = 48 };

/* Hugging Face's row for a row of q or k as the model has it: pairs (2i, 2i+1) were (i, i + half). */
static inline int64_t formula_their_row(int64_t row)
{
    int64_t d = FORMULA_HEAD_DIM;
    return row / d * d + row % 2 * (d / 2) + row % d / 2;
}

typedef struct formula_writer {
    hone_buffer directory, data;
    uint64_t n;
} formula_writer;

static inline void formula_add(formula_writer *w, const char *name, int64_t n_out, int64_t n_in, bool permuted)
{
    uint32_t n_dims = n_out > 1 ? 2 : 1, type = HONE_F32;
    uint64_t ne[2] = {(uint64_t)n_in, (uint64_t)n_out}, offset = w->data.length;
    gguf_write_string(&w->directory, name);
    hone_buffer_append(&w->directory, &n_dims, 4);
    hone_buffer_append(&w->directory, ne, 8 * n_dims);
    hone_buffer_append(&w->directory, &type, 4);
    hone_buffer_append(&w->directory, &offset, 8);
    for (int64_t row = 0; row < n_out; row++)
        for (int64_t k = 0; k < n_in; k++) {
            int64_t i = (permuted ? formula_their_row(row) : row) * n_in + k;
            double wave = 0.3 * sin(0.37 * (double)i + 1.7 * (double)w->n);
            float v = (float)(n_out == 1 ? 1 + wave : wave);
            hone_buffer_append(&w->data, &v, sizeof v);
        }
    while (w->data.length % 32)
        hone_buffer_putc(&w->data, 0);
    w->n++;
}

static inline hone_status formula_finish(gguf_writer *w, formula_writer *t, const char *path, hone_error *err)
{
    hone_buffer file = {0};
    uint32_t version = 3;
    hone_buffer_append(&file, "GGUF", 4);
    hone_buffer_append(&file, &version, 4);
    hone_buffer_append(&file, &t->n, 8);
    hone_buffer_append(&file, &w->n_values, 8);
    hone_buffer_append(&file, w->values.data, w->values.length);
    hone_buffer_append(&file, t->directory.data, t->directory.length);
    while (file.length % 32)
        hone_buffer_putc(&file, 0);
    hone_buffer_append(&file, t->data.data, t->data.length);
    hone_status status = file.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory")
                                     : hone_file_write_atomic(path, file.data, file.length, err);
    hone_buffer_clear(&file);
    hone_buffer_clear(&w->values);
    hone_buffer_clear(&t->directory);
    hone_buffer_clear(&t->data);
    return status;
}

static inline void formula_add_float(gguf_writer *w, const char *key, float value)
{
    gguf_write_key(w, key, HONE_GGUF_F32);
    hone_buffer_append(&w->values, &value, 4);
}

static inline hone_status formula_model_write(const char *path, hone_error *err)
{
    static const struct {
        const char *name;
        int n_out, n_in;
    } parts[] = {{"attn_norm", 1, 32}, {"attn_q", 32, 32},      {"attn_k", 16, 32},
                 {"attn_v", 16, 32},   {"attn_output", 32, 32}, {"ffn_norm", 1, 32},
                 {"ffn_gate", 48, 32}, {"ffn_up", 48, 32},      {"ffn_down", 32, 48}};
    gguf_writer w = {0};
    formula_writer t = {0};
    char name[64];
    gguf_add_string(&w, "general.architecture", "llama");
    gguf_add_u32(&w, "llama.block_count", FORMULA_LAYERS);
    gguf_add_u32(&w, "llama.context_length", 64);
    gguf_add_u32(&w, "llama.embedding_length", FORMULA_EMBD);
    gguf_add_u32(&w, "llama.feed_forward_length", FORMULA_FF);
    gguf_add_u32(&w, "llama.attention.head_count", 2);
    gguf_add_u32(&w, "llama.attention.head_count_kv", 1);
    formula_add_float(&w, "llama.rope.freq_base", 10000);
    formula_add_float(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    formula_add(&t, "token_embd.weight", FORMULA_VOCAB, FORMULA_EMBD, false);
    for (int l = 0; l < FORMULA_LAYERS; l++)
        for (int i = 0; i < 9; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, parts[i].name);
            formula_add(&t, name, parts[i].n_out, parts[i].n_in, i == 1 || i == 2);
        }
    formula_add(&t, "output_norm.weight", 1, FORMULA_EMBD, false);
    return formula_finish(&w, &t, path, err);
}

static inline hone_status formula_gemma_write(const char *path, hone_error *err)
{
    static const struct {
        const char *name;
        int n_out, n_in;
    } parts[] = {
        {"attn_norm", 1, 32},    {"attn_q", 32, 32},       {"attn_k", 16, 32},     {"attn_v", 16, 32},
        {"attn_output", 32, 32}, {"attn_q_norm", 1, 16},   {"attn_k_norm", 1, 16}, {"post_attention_norm", 1, 32},
        {"ffn_norm", 1, 32},     {"post_ffw_norm", 1, 32}, {"ffn_gate", 48, 32},   {"ffn_up", 48, 32},
        {"ffn_down", 32, 48}};
    gguf_writer w = {0};
    formula_writer t = {0};
    char name[64];
    gguf_add_string(&w, "general.architecture", "gemma3");
    gguf_add_u32(&w, "gemma3.block_count", FORMULA_LAYERS);
    gguf_add_u32(&w, "gemma3.context_length", 64);
    gguf_add_u32(&w, "gemma3.embedding_length", FORMULA_EMBD);
    gguf_add_u32(&w, "gemma3.feed_forward_length", FORMULA_FF);
    gguf_add_u32(&w, "gemma3.attention.head_count", 2);
    gguf_add_u32(&w, "gemma3.attention.head_count_kv", 1);
    gguf_add_u32(&w, "gemma3.attention.key_length", FORMULA_HEAD_DIM);
    gguf_add_u32(&w, "gemma3.attention.value_length", FORMULA_HEAD_DIM);
    gguf_add_u32(&w, "gemma3.attention.sliding_window", 4);
    gguf_add_u32(&w, "gemma3.attention.sliding_window_pattern", 2);
    formula_add_float(&w, "gemma3.rope.freq_base", 1e6f);
    formula_add_float(&w, "gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    formula_add(&t, "token_embd.weight", FORMULA_VOCAB, FORMULA_EMBD, false);
    for (int l = 0; l < FORMULA_LAYERS; l++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, parts[i].name);
            formula_add(&t, name, parts[i].n_out, parts[i].n_in, false);
        }
    formula_add(&t, "output_norm.weight", 1, FORMULA_EMBD, false);
    return formula_finish(&w, &t, path, err);
}

#endif
