/* spm.h - SentencePiece BPE by score ("llama" in GGUF; Llama 2, Phi-3, Gemma): a space is U+2581, neighbours join while
 * the result is a token, the highest score first; what is no token falls back to byte tokens <0x00>...<0xFF>. */
#ifndef HONE_TEXT_SPM_H
#define HONE_TEXT_SPM_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

typedef struct hone_spm hone_spm;

/* Borrows the vocabulary, which must outlive it. unknown: the id for what has no byte token either, or -1. */
hone_status hone_spm_create(const hone_vocabulary *vocabulary, const char *path, int32_t unknown, hone_spm **out,
                            hone_error *err);
void hone_spm_free(hone_spm *spm);

/* Appends the ids of text without special tokens. space_before: encode it as if a space stood before it. */
hone_status hone_spm_encode(const hone_spm *spm, const char *text, size_t length, bool space_before,
                            hone_token_list *ids, hone_error *err);

/* Writes the bytes that a token's text stands for (at most `length` of them) and returns how many: U+2581 is a space, a
 * byte token its byte. */
size_t hone_spm_unspell(const char *text, size_t length, bool is_byte_token, char *out);

#endif
