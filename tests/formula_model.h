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

static inline void formula_add(gguf_tensors *w, const char *name, int64_t n_out, int64_t n_in, bool permuted)
{
    gguf_begin_tensor(w, name, HONE_F32, n_out > 1 ? 2 : 1, (uint64_t)n_in, (uint64_t)n_out);
    for (int64_t row = 0; row < n_out; row++)
        for (int64_t k = 0; k < n_in; k++) {
            int64_t i = (permuted ? formula_their_row(row) : row) * n_in + k;
            double wave = 0.3 * sin(0.37 * (double)i + 1.7 * (double)w->n);
            float v = (float)(n_out == 1 ? 1 + wave : wave);
            hone_buffer_append(&w->data, &v, sizeof v);
        }
    gguf_end_tensor(w);
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
    gguf_tensors t = {0};
    char name[64];
    gguf_add_string(&w, "general.architecture", "llama");
    gguf_add_u32(&w, "llama.block_count", FORMULA_LAYERS);
    gguf_add_u32(&w, "llama.context_length", 64);
    gguf_add_u32(&w, "llama.embedding_length", FORMULA_EMBD);
    gguf_add_u32(&w, "llama.feed_forward_length", FORMULA_FF);
    gguf_add_u32(&w, "llama.attention.head_count", 2);
    gguf_add_u32(&w, "llama.attention.head_count_kv", 1);
    gguf_add_f32(&w, "llama.rope.freq_base", 10000);
    gguf_add_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    formula_add(&t, "token_embd.weight", FORMULA_VOCAB, FORMULA_EMBD, false);
    for (int l = 0; l < FORMULA_LAYERS; l++)
        for (int i = 0; i < 9; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, parts[i].name);
            formula_add(&t, name, parts[i].n_out, parts[i].n_in, i == 1 || i == 2);
        }
    formula_add(&t, "output_norm.weight", 1, FORMULA_EMBD, false);
    return gguf_write_model(&w, &t, path, err);
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
    gguf_tensors t = {0};
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
    gguf_add_f32(&w, "gemma3.rope.freq_base", 1e6f);
    gguf_add_f32(&w, "gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    formula_add(&t, "token_embd.weight", FORMULA_VOCAB, FORMULA_EMBD, false);
    for (int l = 0; l < FORMULA_LAYERS; l++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, parts[i].name);
            formula_add(&t, name, parts[i].n_out, parts[i].n_in, false);
        }
    formula_add(&t, "output_norm.weight", 1, FORMULA_EMBD, false);
    return gguf_write_model(&w, &t, path, err);
}

#endif
