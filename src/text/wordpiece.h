/* wordpiece.h - WordPiece ("bert" in GGUF), uncased: text is decomposed, lowered and stripped of marks, cut at space
 * and around punctuation, and each word becomes the longest tokens from its left, or [UNK] as a whole.
 *
 * In the file's texts a token that begins a word has U+2581 before it; others continue one. */
#ifndef HONE_TEXT_WORDPIECE_H
#define HONE_TEXT_WORDPIECE_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

/* Appends the ids of text without special tokens. unknown: the id of [UNK], or -1 to leave such words out. Bytes that
 * are not UTF-8 and control characters are dropped, as the models' own tokenizers do. */
hone_status hone_wordpiece_encode(const hone_vocabulary *vocabulary, int32_t unknown, const char *text, size_t length,
                                  hone_token_list *ids, hone_error *err);

#endif
