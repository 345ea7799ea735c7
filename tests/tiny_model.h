/* tiny_model.h - writes a whole llama model with random weights, small enough for sanitizers: 2 layers, 4 heads on 2
 * key-value heads of 16, 64 wide, a byte-level vocabulary of 260 tokens (no multiple of 16), every weight format that
 * hone computes with. */
#ifndef HONE_TESTS_TINY_MODEL_H
#define HONE_TESTS_TINY_MODEL_H

#include "base/text.h"
#include "file_rows.h"
#include "gguf_writer.h"

#include <stdio.h>

enum {
    TINY_LAYERS = 2,
    TINY_EMBD = 64,
    TINY_HEADS = 4,
    TINY_KV_HEADS = 2,
    TINY_HEAD_DIM = 16,
    TINY_FF = 96,
    TINY_VOCAB = 260,
    TINY_CONTEXT = 256
};

static inline void tiny_add(gguf_tensors *t, const char *name, int which_format, int64_t n_out, int64_t n_in,
                            double gain)
{
    const format *f = &formats[which_format];
    size_t bytes;
    unsigned char *rows = new_rows(f, n_out, n_in, 100 + (uint32_t)t->n, &bytes);
    for (size_t i = 0; gain > 0 && i < bytes / 4; i++) { /* F32 only: a norm's weights around `gain` */
        float v = (float)(gain + 0.1 * hone_rng_normal((hone_rng_key){2, HONE_RNG_TEST, (uint32_t)t->n}, i));
        memcpy(rows + 4 * i, &v, 4);
    }
    gguf_begin_tensor(t, name, (uint32_t)f->dtype, gain > 0 ? 1 : 2, (uint64_t)n_in, (uint64_t)n_out);
    hone_buffer_append(&t->data, rows, bytes);
    gguf_end_tensor(t);
    free(rows);
}

/* GPT-2's alphabet: a printable byte stands for itself, the others for code points from 256 on. */
static inline void tiny_vocabulary(gguf_writer *w, const char *chat_template, bool add_bos)
{
    static char texts[TINY_VOCAB][16];
    const char *tokens[TINY_VOCAB];
    int32_t types[TINY_VOCAB];
    uint32_t extra = 256;
    for (int b = 0; b < 256; b++) {
        bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        texts[b][hone_utf8_write(printable ? (uint32_t)b : extra++, texts[b])] = 0;
    }
    strcpy(texts[256], "th");
    strcpy(texts[257], "<|end|>");
    strcpy(texts[258], "<|start|>");
    strcpy(texts[259], "<|unused|>");
    for (int i = 0; i < TINY_VOCAB; i++) {
        tokens[i] = texts[i];
        types[i] = i > 256 ? 3 : 1;
    }
    const char *merges[] = {"t h"};
    gguf_add_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_add_string(w, "tokenizer.ggml.pre", "smollm");
    gguf_add_strings(w, "tokenizer.ggml.tokens", tokens, TINY_VOCAB);
    gguf_add_i32s(w, "tokenizer.ggml.token_type", types, TINY_VOCAB);
    gguf_add_strings(w, "tokenizer.ggml.merges", merges, 1);
    gguf_add_u32(w, "tokenizer.ggml.eos_token_id", 257);
    gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 258);
    gguf_write_key(w, "tokenizer.ggml.add_bos_token", HONE_GGUF_BOOL);
    hone_buffer_append(&w->values, &add_bos, 1);
    gguf_add_string(w, "tokenizer.chat_template",
                    chat_template
                        ? chat_template
                        : "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
                          "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}");
}

enum { TINY_SPACE_TH = 259 }; /* the token "\xe2\x96\x81th" of the vocabulary below */

/* As in Llama 2: control tokens, bytes, and one piece with a space; encoding puts a space before a text. */
static inline void tiny_sentencepiece(gguf_writer *w)
{
    static char texts[TINY_VOCAB][16];
    const char *tokens[TINY_VOCAB];
    int32_t types[TINY_VOCAB];
    float scores[TINY_VOCAB] = {0};
    strcpy(texts[0], "<unk>");
    strcpy(texts[1], "<s>");
    strcpy(texts[2], "</s>");
    strcpy(texts[TINY_SPACE_TH], "\xe2\x96\x81th");
    for (int i = 0; i < TINY_VOCAB; i++) {
        if (i >= 3 && i < TINY_SPACE_TH)
            snprintf(texts[i], sizeof texts[i], "<0x%02X>", (unsigned)(i - 3));
        tokens[i] = texts[i];
        types[i] = i == 0 ? 2 : i < 3 ? 3 : i < TINY_SPACE_TH ? 6 : 1;
    }
    gguf_add_string(w, "tokenizer.ggml.model", "llama");
    gguf_add_strings(w, "tokenizer.ggml.tokens", tokens, TINY_VOCAB);
    gguf_add_i32s(w, "tokenizer.ggml.token_type", types, TINY_VOCAB);
    gguf_add_f32s(w, "tokenizer.ggml.scores", scores, TINY_VOCAB);
    gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_add_u32(w, "tokenizer.ggml.eos_token_id", 2);
}

typedef struct tiny_more {
    int rows_more;      /* of the embedding than there are tokens */
    float rope_factor;  /* by which rope_freqs.weight divides every frequency; 0: there is no such tensor */
    bool sentencepiece; /* tiny_sentencepiece instead of tiny_vocabulary */
} tiny_more;

static inline hone_status tiny_model_write_with(const char *path, const char *chat_template, bool add_bos,
                                                tiny_more more, hone_error *err)
{
    static const char *const linears[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                          "ffn_gate", "ffn_up", "ffn_down"};
    static const int shapes[7][2] = {{64, 64}, {32, 64}, {32, 64}, {64, 64}, {96, 64}, {96, 64}, {64, 96}};
    gguf_writer w = {0};
    gguf_tensors t = {0};
    char name[64];
    gguf_add_string(&w, "general.architecture", "llama");
    gguf_add_u32(&w, "llama.block_count", TINY_LAYERS);
    gguf_add_u32(&w, "llama.context_length", TINY_CONTEXT);
    gguf_add_u32(&w, "llama.embedding_length", TINY_EMBD);
    gguf_add_u32(&w, "llama.feed_forward_length", TINY_FF);
    gguf_add_u32(&w, "llama.attention.head_count", TINY_HEADS);
    gguf_add_u32(&w, "llama.attention.head_count_kv", TINY_KV_HEADS);
    gguf_add_f32(&w, "llama.rope.freq_base", 10000);
    gguf_add_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (more.sentencepiece)
        tiny_sentencepiece(&w);
    else
        tiny_vocabulary(&w, chat_template, add_bos);
    tiny_add(&t, "token_embd.weight", 3, TINY_VOCAB + more.rows_more, TINY_EMBD, 0);
    tiny_add(&t, "output_norm.weight", 0, 1, TINY_EMBD, 2); /* so that answers differ clearly */
    for (int l = 0; l < TINY_LAYERS; l++) {
        snprintf(name, sizeof name, "blk.%d.attn_norm.weight", l);
        tiny_add(&t, name, 0, 1, TINY_EMBD, 1);
        snprintf(name, sizeof name, "blk.%d.ffn_norm.weight", l);
        tiny_add(&t, name, 0, 1, TINY_EMBD, 1);
        for (int i = 0; i < 7; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, linears[i]);
            tiny_add(&t, name, (i + l * 3) % N_TINY_FORMATS, shapes[i][0], shapes[i][1], 0);
        }
    }
    if (more.rope_factor > 0) {
        gguf_begin_tensor(&t, "rope_freqs.weight", HONE_F32, 1, TINY_HEAD_DIM / 2, 1);
        for (int i = 0; i < TINY_HEAD_DIM / 2; i++)
            hone_buffer_append(&t.data, &more.rope_factor, 4);
        gguf_end_tensor(&t);
    }
    return gguf_write_model(&w, &t, path, err);
}

/* chat_template NULL: one like ChatML. */
static inline hone_status tiny_model_write_as(const char *path, const char *chat_template, bool add_bos,
                                              hone_error *err)
{
    return tiny_model_write_with(path, chat_template, add_bos, (tiny_more){0}, err);
}

static inline hone_status tiny_model_write(const char *path, hone_error *err)
{
    return tiny_model_write_as(path, NULL, false, err);
}

#endif
