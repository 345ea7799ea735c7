/* vocabulary.h - the tokens of a model: their texts as the file has them, types, scores, and a table text -> id.
 *
 * Texts lie one after the other in `bytes`; token i is bytes[starts[i] .. starts[i + 1]). The table is open addressing
 * with linear probing, at most half full; an empty text is not in it. */
#ifndef HONE_TEXT_VOCABULARY_H
#define HONE_TEXT_VOCABULARY_H

#include "format/gguf.h"

/* Values of tokenizer.ggml.token_type. */
typedef enum hone_token_type {
    HONE_TOKEN_UNDEFINED,
    HONE_TOKEN_NORMAL,
    HONE_TOKEN_UNKNOWN,
    HONE_TOKEN_CONTROL,
    HONE_TOKEN_USER_DEFINED,
    HONE_TOKEN_UNUSED,
    HONE_TOKEN_BYTE
} hone_token_type;

typedef struct hone_vocabulary_slot {
    uint32_t hash;
    int32_t id; /* -1: free */
} hone_vocabulary_slot;

typedef struct hone_vocabulary {
    int32_t n;
    char *bytes;
    size_t *starts; /* [n + 1] */
    uint8_t *types; /* [n], hone_token_type */
    float *scores;  /* [n], or NULL when the file has none */
    size_t longest_bytes;
    hone_vocabulary_slot *slots;
    uint32_t slot_mask;
} hone_vocabulary;

/* Copies tokenizer.ggml.tokens, token_type and scores; a failure leaves nothing to clear. */
hone_status hone_vocabulary_init(hone_vocabulary *v, const hone_gguf *file, hone_error *err);
/* From texts and types (hone_token_type) [n], n >= 1, that come from elsewhere; `path` is for messages. */
hone_status hone_vocabulary_init_texts(hone_vocabulary *v, const hone_gguf_string *texts, const uint8_t *types,
                                       int32_t n, const char *path, hone_error *err);
void hone_vocabulary_clear(hone_vocabulary *v);

/* The id of the token with exactly this text, or -1. */
int32_t hone_vocabulary_find(const hone_vocabulary *v, const char *text, size_t length);
/* Borrowed, not NUL-terminated; id must be within the vocabulary. */
const char *hone_vocabulary_text(const hone_vocabulary *v, int32_t id, size_t *length);

#endif
