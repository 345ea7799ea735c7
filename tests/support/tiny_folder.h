/* tiny_folder.h - a GGUF model as a Hugging Face folder: config.json, tokenizer.json, tokenizer_config.json and
 * safetensors in float32, float16 or bfloat16, in one file or two shards.
 *
 * Written by the formats' descriptions and not with hone's own code: weights are decoded by file_rows.h, q and k rows
 * go from adjacent pairs to halves by their definition (row head*dim + j + half*(dim/2) of the folder is row head*dim +
 * 2*j + half of the GGUF file). */
#ifndef HONE_TESTS_TINY_FOLDER_H
#define HONE_TESTS_TINY_FOLDER_H

#include "tiny_model.h"

#include <jansson.h>

typedef struct tiny_shard {
    json_t *header;
    hone_buffer data;
} tiny_shard;

static inline void tiny_folder_put(tiny_shard *s, const char *name, const char *dtype, int64_t rows, int64_t columns,
                                   const double *values)
{
    size_t from = s->data.length;
    for (int64_t i = 0; i < rows * columns; i++) {
        float v = (float)values[i];
        uint16_t h = strcmp(dtype, "F16") == 0 ? hone_f32_to_f16(v) : hone_f32_to_bf16(v);
        if (strcmp(dtype, "F32") == 0)
            hone_buffer_append(&s->data, &v, sizeof v);
        else
            hone_buffer_append(&s->data, &h, sizeof h);
    }
    json_t *shape =
        rows == 1 ? json_pack("[I]", (json_int_t)columns) : json_pack("[II]", (json_int_t)rows, (json_int_t)columns);
    json_object_set_new(s->header, name,
                        json_pack("{s:s, s:o, s:[II]}", "dtype", dtype, "shape", shape, "data_offsets",
                                  (json_int_t)from, (json_int_t)s->data.length));
}

static inline void tiny_folder_write_json(const char *folder, const char *name, json_t *root)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_dump_file(root, path, JSON_INDENT(1));
    json_decref(root);
}

static inline void tiny_folder_write_shard(const char *folder, const char *name, tiny_shard *s)
{
    char path[320], *text = json_dumps(s->header, JSON_COMPACT);
    uint64_t length = strlen(text);
    hone_buffer file = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    hone_buffer_append(&file, &length, 8);
    hone_buffer_append(&file, text, (size_t)length);
    hone_buffer_append(&file, s->data.data, s->data.length);
    hone_file_write_atomic(path, file.data, file.length, NULL);
    hone_buffer_clear(&file);
    hone_buffer_clear(&s->data);
    json_decref(s->header);
    free(text);
}

/* Hugging Face's name of a tensor, and whether its rows are those of rotary pairs. */
static inline void tiny_folder_name(const char *ours, char out[96], bool *rotary)
{
    static const char *const names[][2] = {
        {"attn_norm", "input_layernorm"}, {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
        {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
        {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},           {"ffn_down", "mlp.down_proj"}};
    int layer = 0, at = 0;
    *rotary = false;
    snprintf(out, 96, "%s", strcmp(ours, "token_embd.weight") == 0 ? "model.embed_tokens.weight" : "model.norm.weight");
    if (sscanf(ours, "blk.%d.%n", &layer, &at) != 1)
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(ours + at, names[i][0], strlen(names[i][0])) == 0 && ours[at + (int)strlen(names[i][0])] == '.') {
            snprintf(out, 96, "model.layers.%d.%s.weight", layer, names[i][1]);
            *rotary = i == 1 || i == 2;
        }
}

static inline void tiny_folder_write_weights(const hone_gguf *file, const char *folder, const char *dtype, bool shards)
{
    tiny_shard parts[2] = {{json_object(), {0}}, {json_object(), {0}}};
    json_t *map = json_object();
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        char ours[96], name[96];
        bool rotary;
        snprintf(ours, sizeof ours, "%.*s", (int)t->name.length, t->name.data);
        tiny_folder_name(ours, name, &rotary);
        const format *f = NULL;
        for (int k = 0; k < N_FORMATS; k++)
            f = formats[k].dtype == t->dtype ? &formats[k] : f;
        int64_t rows = t->ne[1], columns = t->ne[0], dim = TINY_HEAD_DIM;
        double *values = calloc((size_t)(rows * columns), sizeof *values);
        for (int64_t row = 0; row < rows; row++) {
            int64_t j = row % dim % (dim / 2), half = row % dim / (dim / 2);
            int64_t from = rotary ? row / dim * dim + 2 * j + half : row;
            for (int64_t c = 0; c < columns; c++)
                values[row * columns + c] = decoded_exactly(
                    f, t->data + (size_t)from * (size_t)(columns / f->block_weights * f->block_bytes), c);
        }
        int part = shards && i % 2;
        tiny_folder_put(&parts[part], name, dtype, rows, columns, values);
        json_object_set_new(map, name, json_string(part ? "b.safetensors" : "a.safetensors"));
        free(values);
    }
    tiny_folder_write_shard(folder, shards ? "a.safetensors" : "model.safetensors", &parts[0]);
    if (shards) {
        tiny_folder_write_shard(folder, "b.safetensors", &parts[1]);
        tiny_folder_write_json(folder, "model.safetensors.index.json", json_pack("{s:O}", "weight_map", map));
    } else {
        json_decref(parts[1].header);
        hone_buffer_clear(&parts[1].data);
    }
    json_decref(map);
}

static inline json_t *tiny_folder_config(void)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b}", "model_type", "llama",
                     "hidden_size", TINY_EMBD, "intermediate_size", TINY_FF, "num_hidden_layers", TINY_LAYERS,
                     "num_attention_heads", TINY_HEADS, "num_key_value_heads", TINY_KV_HEADS, "head_dim", TINY_HEAD_DIM,
                     "vocab_size", TINY_VOCAB, "max_position_embeddings", TINY_CONTEXT, "rms_norm_eps", 1e-5,
                     "rope_theta", 10000.0, "hidden_act", "silu", "tie_word_embeddings", 1);
}

static inline void tiny_folder_write_tokenizer(const hone_gguf *file, const char *folder)
{
    hone_gguf_string texts[TINY_VOCAB], template = {0};
    json_t *vocabulary = json_object(), *added = json_array();
    hone_gguf_read_strings(hone_gguf_find(file, "tokenizer.ggml.tokens"), texts);
    for (int i = 0; i < TINY_VOCAB; i++) {
        json_t *text = json_stringn(texts[i].data, texts[i].length);
        if (i > 256)
            json_array_append_new(added, json_pack("{s:i, s:O, s:b}", "id", i, "content", text, "special", 1));
        else
            json_object_set_new(vocabulary, json_string_value(text), json_integer(i));
        json_decref(text);
    }
    tiny_folder_write_json(folder, "tokenizer.json",
                           json_pack("{s:{s:s, s:o, s:[s]}, s:o, s:n, s:{s:s, s:[{s:s, s:b}, {s:s, s:b, s:b}]}}",
                                     "model", "type", "BPE", "vocab", vocabulary, "merges", "t h", "added_tokens",
                                     added, "normalizer", "pre_tokenizer", "type", "Sequence", "pretokenizers", "type",
                                     "Digits", "individual_digits", 1, "type", "ByteLevel", "add_prefix_space", 0,
                                     "use_regex", 1));
    hone_gguf_get_string(file, "tokenizer.chat_template", &template);
    json_t *settings = json_pack("{s:s, s:{s:s}, s:s%}", "eos_token", "<|end|>", "bos_token", "content", "<|start|>",
                                 "chat_template", template.data, template.length);
    char path[320], *text = json_dumps(settings, 0);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    FILE *out = fopen(path, "w"); /* with the number that transformers writes where no length is known */
    fprintf(out, "{\"model_max_length\": 1000000000000000019884624838656, %s", text + 1);
    fclose(out);
    free(text);
    json_decref(settings);
}

/* The model of `file` (tiny_model.h) as a folder that exists already. dtype: "F32", "F16", "BF16". */
static inline void tiny_folder_write(const hone_gguf *file, const char *folder, const char *dtype, bool shards)
{
    tiny_folder_write_json(folder, "config.json", tiny_folder_config());
    tiny_folder_write_tokenizer(file, folder);
    tiny_folder_write_weights(file, folder, dtype, shards);
}

#endif
