/* pretokenizer.h - cuts text into words before byte-level BPE, by the rule that tokenizer.ggml.pre names. */
#ifndef HONE_TEXT_PRETOKENIZER_H
#define HONE_TEXT_PRETOKENIZER_H

#include "base/status.h"

typedef struct hone_pretokenizer hone_pretokenizer;

/* HONE_UNSUPPORTED: the name is unknown; the message lists the known ones. name[length] is not NUL-terminated. */
hone_status hone_pretokenizer_create(const char *name, size_t length, hone_pretokenizer **out, hone_error *err);
void hone_pretokenizer_free(hone_pretokenizer *p);

/* Whether both names (`other` ends with NUL) stand for the same rule; false for a name that no rule has. */
bool hone_pretokenizer_is_same_rule(const char *name, size_t length, const char *other);

/* Words that are tokens are taken whole, without merging (Llama 3). */
bool hone_pretokenizer_takes_whole_words(const hone_pretokenizer *p);

/* Calls `word` for each piece in order; together the pieces are the text. Invalid UTF-8 makes pieces of its own. Stops
 * at the first status that is not HONE_OK and returns it. */
typedef hone_status hone_word_function(void *context, const char *word, size_t length, hone_error *err);
hone_status hone_pretokenizer_split(const hone_pretokenizer *p, const char *text, size_t length,
                                    hone_word_function *word, void *context, hone_error *err);

#endif
