/* tokenizer.h - text to token ids and back, from the vocabulary inside a GGUF file.
 *
 * Families (tokenizer.ggml.model): "gpt2" byte-level BPE, "llama" SentencePiece by score, "bert" WordPiece.
 * Or from a Hugging Face folder, for WordPiece.
 * A tokenizer never changes after it was made, so any number of threads may use one. */
#ifndef HONE_TEXT_TOKENIZER_H
#define HONE_TEXT_TOKENIZER_H

#include "base/buffer.h"
#include "base/status.h"
#include "format/gguf.h"

typedef struct hone_tokenizer hone_tokenizer;

/* Ids in order. The caller owns the struct: hone_token_list ids = {0}; ... hone_token_list_clear(&ids); */
typedef struct hone_token_list {
    int32_t *data;
    size_t n, capacity;
} hone_token_list;

/* Reads tokenizer.ggml.* from an opened GGUF and copies what it needs, so the file may be closed afterwards. A
 * vocabulary-only GGUF is enough. HONE_UNSUPPORTED: a family or split rule that hone does not have, named.
 * HONE_BAD_FORMAT: arrays that disagree, a token twice, a merge of unknown tokens, an id outside the vocabulary. */
hone_status hone_tokenizer_from_gguf(const hone_gguf *file, hone_tokenizer **out, hone_error *err);
/* From a Hugging Face folder: tokenizer.json, or vocab.txt where there is none. WordPiece without case (BERT) only;
 * HONE_UNSUPPORTED names another kind. */
hone_status hone_tokenizer_from_folder(const char *folder, hone_tokenizer **out, hone_error *err);
void hone_tokenizer_free(hone_tokenizer *t);
int32_t hone_tokenizer_size(const hone_tokenizer *t);

/* Appends the ids of the text, which may hold any bytes (NUL and invalid UTF-8 too). parse_special: text such as
 * <|im_start|> becomes its control token; user-defined tokens are found either way, the leftmost and longest first. No
 * BOS is added. A byte that the vocabulary has no token for is left out, as the models' own tokenizers do (SmolLM2
 * lacks 21 bytes, most of which no valid UTF-8 contains). On failure `ids` is as it was. */
hone_status hone_tokenizer_encode(const hone_tokenizer *t, const char *text, size_t length, bool parse_special,
                                  hone_token_list *ids, hone_error *err);
void hone_token_list_clear(hone_token_list *ids);
hone_status hone_token_list_push(hone_token_list *ids, int32_t id, hone_error *err);

/* Appends the text of the ids. show_special: control tokens appear as their text, else they are left out. Where
 * encoding puts a space before the text (SentencePiece), decoding takes it away again. HONE_BAD_INPUT for an id outside
 * the vocabulary. */
hone_status hone_tokenizer_decode(const hone_tokenizer *t, const int32_t *ids, size_t n, bool show_special,
                                  hone_buffer *out, hone_error *err);
/* The same where the ids go on from the token `after`: together with the text up to it they make the text of all. A
 * space that they begin with is taken away only where encoding had put it there, behind a special token. after -1: they
 * begin a text. */
hone_status hone_tokenizer_decode_after(const hone_tokenizer *t, int32_t after, const int32_t *ids, size_t n,
                                        bool show_special, hone_buffer *out, hone_error *err);
/* The bytes of one token (borrowed, may hold partial UTF-8, not NUL-terminated), and whether it is a control token.
 * length and special may be NULL. NULL for an id outside the vocabulary. */
const char *hone_tokenizer_piece(const hone_tokenizer *t, int32_t id, size_t *length, bool *special);

/* The bytes of the longest token. */
size_t hone_tokenizer_longest_piece(const hone_tokenizer *t);

/* Decoding token by token: the pieces one after another are what hone_tokenizer_decode_after gives. */
typedef struct hone_token_decoder {
    const hone_tokenizer *tokenizer; /* borrowed */
    bool show_special;
    bool drop_space; /* the next piece loses the space that encoding put before the text */
} hone_token_decoder;

void hone_token_decoder_init(hone_token_decoder *d, const hone_tokenizer *t, bool show_special, int32_t after);
/* The token's bytes (borrowed, not NUL-terminated, possibly none); NULL for an id outside the vocabulary. */
const char *hone_token_decoder_next(hone_token_decoder *d, int32_t id, size_t *length);

int32_t hone_tokenizer_bos(const hone_tokenizer *t);  /* -1 when absent; [CLS] of a WordPiece vocabulary */
int32_t hone_tokenizer_eos(const hone_tokenizer *t);  /* -1 when absent; [SEP] of a WordPiece vocabulary */
bool hone_tokenizer_add_bos(const hone_tokenizer *t); /* tokenizer.ggml.add_bos_token, default by family */
/* eos, eot, or a known end-of-turn text such as <|im_end|> <|eot_id|> <end_of_turn> <|end|> <|endoftext|> */
bool hone_tokenizer_is_end(const hone_tokenizer *t, int32_t id);
/* The id of an exact special-token text (control, user-defined or unknown), -1 when there is none. */
int32_t hone_tokenizer_find(const hone_tokenizer *t, const char *text, size_t length);
/* tokenizer.chat_template of the file, or NULL; borrowed. */
const char *hone_tokenizer_chat_template(const hone_tokenizer *t);

#endif
