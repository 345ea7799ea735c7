/* bpe.h - byte-level byte-pair encoding ("gpt2" in GGUF): the pre-tokeniser's words, each merged by rank.
 *
 * The vocabulary's texts and merges spell a byte as a printable character (GPT-2's table: a space is U+0120). They are
 * looked up in that spelling; what goes in and comes out of hone is plain bytes. */
#ifndef HONE_TEXT_BPE_H
#define HONE_TEXT_BPE_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

typedef struct hone_bpe hone_bpe;

/* Reads tokenizer.ggml.merges and .pre; borrows the vocabulary, which must outlive it. */
hone_status hone_bpe_create(const hone_vocabulary *vocabulary, const hone_gguf *file, hone_bpe **out, hone_error *err);
void hone_bpe_free(hone_bpe *bpe);

/* Appends the ids of text without special tokens. */
hone_status hone_bpe_encode(const hone_bpe *bpe, const char *text, size_t length, hone_token_list *ids,
                            hone_error *err);
/* Whether models with this split rule expect a BOS where the file does not say (Llama 3). */
bool hone_bpe_adds_bos(const hone_bpe *bpe);

/* Writes the bytes that a token's text spells, at most `length` of them, and returns how many; a text that is not in
 * the spelling is copied as it is. */
size_t hone_bpe_unspell(const char *text, size_t length, char *out);

#endif
