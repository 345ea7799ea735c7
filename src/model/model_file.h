/* model_file.h - the file or folder that a model is read from, whatever its form.
 *
 * A GGUF file is mapped (format/gguf.h). A Hugging Face folder (config.json, tokenizer.json, model.safetensors or its
 * shards) is presented as the same structure: its configuration and tokenizer become GGUF's keys, its tensors get
 * GGUF's names and views into the mapped safetensors. So there is one reader for models, tokenizers and exports, and
 * the model in memory has one order of rows: a llama architecture's q and k rows, which Hugging Face keeps for rotary
 * halves, are put in the order of GGUF files, where a rotary pair is adjacent (llama.cpp, convert_hf_to_gguf.py). */
#ifndef HONE_MODEL_MODEL_FILE_H
#define HONE_MODEL_MODEL_FILE_H

#include "format/gguf.h"
#include "format/safetensors.h"

typedef struct hone_model_file {
    hone_gguf gguf;
    hone_safetensors *shards; /* of a folder */
    size_t n_shards;
} hone_model_file;

/* HONE_UNSUPPORTED names what of a folder hone does not read, and the way out. Closed with hone_model_file_close. */
hone_status hone_model_file_open(const char *path, hone_model_file *out, hone_error *err);
void hone_model_file_close(hone_model_file *file);

/* The bytes of a model, kept mapped to notice a change: the GGUF file, or the folder's files that decide what is
 * computed. */
typedef struct hone_model_bytes {
    hone_map *maps;
    size_t n_maps;
} hone_model_bytes;
hone_status hone_model_bytes_open(const char *path, hone_model_bytes *out, hone_error *err);
void hone_model_bytes_close(hone_model_bytes *bytes);
hone_status hone_model_bytes_check_unchanged(const hone_model_bytes *bytes, hone_error *err);
/* SHA-256 of a file; of a folder that of its files' names and hashes. */
void hone_model_bytes_hash(const hone_model_bytes *bytes, char out[65]);

/* The keys of a folder, for model_file.c: tokenizer.json and its companions to tokenizer.ggml.*. */
hone_status hone_folder_read_tokenizer(const char *folder, hone_gguf *to, hone_error *err);

/* For folder_write.c. Split expressions of words as Hugging Face's files have them, and the names of their rules
 * (text/pretokenizer.c). */
typedef struct hone_folder_split {
    const char *pattern, *rule;
} hone_folder_split;
extern const hone_folder_split hone_folder_splits[];
extern const size_t hone_n_folder_splits;
/* The folder's name for a tensor of GGUF's name; false when it has none. *rotary: its rows are of rotary halves there.
 */
bool hone_folder_tensor_name(const char *ours, char out[96], bool *rotary);

#endif
