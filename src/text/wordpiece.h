/* wordpiece.h - WordPiece ("bert" in GGUF), uncased: text is decomposed, lowered and stripped of marks, cut at space
 * and around punctuation, and each word becomes the longest tokens from its left, or [UNK] as a whole.
 *
 * In the file's texts a token that begins a word has U+2581 before it; others continue one. */
#ifndef HONE_TEXT_WORDPIECE_H
#define HONE_TEXT_WORDPIECE_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

/* Appends the ids of text without special tokens. unknown: the id of [UNK], or -1 to leave such words out.
 * longest_word: a word of more characters is [UNK]; 0: no limit. Bytes that are not UTF-8 and control characters are
 * dropped, as the models' own tokenizers do. */
hone_status hone_wordpiece_encode(const hone_vocabulary *vocabulary, int32_t unknown, size_t longest_word,
                                  const char *text, size_t length, hone_token_list *ids, hone_error *err);

/* A vocabulary read from elsewhere than a GGUF file: texts and types (hone_token_type) [n] as described above. */
typedef struct hone_wordpiece_vocabulary {
    const hone_gguf_string *texts;
    const uint8_t *types;
    int32_t n, first, last, unknown; /* ids of [CLS], [SEP], [UNK] */
    size_t longest_word;
} hone_wordpiece_vocabulary;
/* Copies what it needs; `path` is for messages. */
hone_status hone_tokenizer_from_wordpiece(const hone_wordpiece_vocabulary *given, const char *path,
                                          hone_tokenizer **out, hone_error *err);

#endif
