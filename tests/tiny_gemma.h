/* tiny_gemma.h - writes a whole Gemma 3 model with random weights: 3 layers of which the second sees everything and the
 * others 24 positions, 4 heads of 32 on one key-value head, 64 wide, the vocabulary of tiny_model.h; weights of the
 * types that llama.cpp's Q4_K_M mixes. */
#ifndef HONE_TESTS_TINY_GEMMA_H
#define HONE_TESTS_TINY_GEMMA_H

#include "tiny_model.h"

enum {
    TINY_GEMMA_LAYERS = 3,
    TINY_GEMMA_EMBD = 64,
    TINY_GEMMA_KV_HEADS = 1,
    TINY_GEMMA_HEAD_DIM = 32,
    TINY_GEMMA_WINDOW = 24
};

static inline hone_status tiny_gemma_write(const char *path, hone_error *err)
{
    enum { Q8_0 = 3, Q5_0 = 6, Q5_1, Q4_K, Q5_K, Q6_K };
    static const struct {
        const char *name;
        int format, n_out, n_in; /* n_out 1: a norm */
    } parts[] = {{"attn_norm", 0, 1, 64},        {"attn_q_norm", 0, 1, 32},         {"attn_k_norm", 0, 1, 32},
                 {"ffn_norm", 0, 1, 64},         {"post_attention_norm", 0, 1, 64}, {"post_ffw_norm", 0, 1, 64},
                 {"attn_q", Q5_0, 128, 64},      {"attn_k", Q5_0, 32, 64},          {"attn_v", Q8_0, 32, 64},
                 {"attn_output", Q5_1, 64, 128}, {"ffn_gate", Q5_0, 256, 64},       {"ffn_up", Q5_0, 256, 64},
                 {"ffn_down", Q4_K, 64, 256}};
    gguf_writer w = {0};
    gguf_tensors t = {0};
    char name[64];
    gguf_add_string(&w, "general.architecture", "gemma3");
    gguf_add_u32(&w, "gemma3.block_count", TINY_GEMMA_LAYERS);
    gguf_add_u32(&w, "gemma3.context_length", TINY_CONTEXT);
    gguf_add_u32(&w, "gemma3.embedding_length", TINY_GEMMA_EMBD);
    gguf_add_u32(&w, "gemma3.feed_forward_length", 256);
    gguf_add_u32(&w, "gemma3.attention.head_count", 4);
    gguf_add_u32(&w, "gemma3.attention.head_count_kv", TINY_GEMMA_KV_HEADS);
    gguf_add_u32(&w, "gemma3.attention.key_length", TINY_GEMMA_HEAD_DIM);
    gguf_add_u32(&w, "gemma3.attention.value_length", TINY_GEMMA_HEAD_DIM);
    gguf_add_u32(&w, "gemma3.attention.sliding_window", TINY_GEMMA_WINDOW);
    gguf_add_u32(&w, "gemma3.attention.sliding_window_pattern", 2);
    gguf_add_f32(&w, "gemma3.rope.freq_base", 1e6f);
    gguf_add_f32(&w, "gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    tiny_vocabulary(&w, NULL, false);
    tiny_add(&t, "token_embd.weight", Q8_0, TINY_VOCAB, TINY_GEMMA_EMBD, 0);
    tiny_add(&t, "output_norm.weight", 0, 1, TINY_GEMMA_EMBD, 2);
    for (int l = 0; l < TINY_GEMMA_LAYERS; l++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            bool norm = parts[i].n_out == 1;
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, parts[i].name);
            tiny_add(&t, name, parts[i].format == Q4_K ? Q4_K + l : parts[i].format, parts[i].n_out, parts[i].n_in,
                     norm ? 1 : 0);
        }
    return gguf_write_model(&w, &t, path, err);
}

#endif
