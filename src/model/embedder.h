/* embedder.h - texts to vectors of length 1, by a sentence encoder or by a language model's own hidden states.
 *
 * A sentence encoder is a Hugging Face folder (encoder.h); a language model is a GGUF file, whose hidden states after
 * the output norm are pooled. Texts of any lengths are computed together without padding, and a text's vector does not
 * depend on the others, on the number of threads or on the instruction set. One owner: calls must not overlap. */
#ifndef HONE_MODEL_EMBEDDER_H
#define HONE_MODEL_EMBEDDER_H

#include "model/model.h"
#include "text/tokenizer.h"

typedef struct hone_embedder hone_embedder;

typedef enum hone_pooling_choice {
    HONE_POOLING_OF_MODEL, /* what the model's files say; the mean where they say nothing */
    HONE_POOLING_MEAN,
    HONE_POOLING_FIRST,
    HONE_POOLING_LAST
} hone_pooling_choice;

typedef struct hone_embedder_options {
    int n_threads; /* 0: all */
    hone_pooling_choice pooling;
    hone_numerics numerics; /* f32 unless set */
} hone_embedder_options;

/* path: a folder or a GGUF file. options may be NULL. */
hone_status hone_embedder_open(const char *path, const hone_embedder_options *options, hone_embedder **out,
                               hone_error *err);
/* On a model that somebody else has opened and keeps open, with its tokenizer. Calls must not overlap with other work
 * on the model's ops. hash: of the model's content. */
hone_status hone_embedder_open_on(const hone_model *model, const hone_tokenizer *tokenizer, const char *hash,
                                  hone_pooling_choice pooling, hone_embedder **out, hone_error *err);
void hone_embedder_close(hone_embedder *e);

int64_t hone_embedder_dim(const hone_embedder *e);
int64_t hone_embedder_most_tokens(const hone_embedder *e); /* longer texts lose their end */
const char *hone_embedder_pooling_name(const hone_embedder *e);
const char *hone_embedder_isa(const hone_embedder *e);
const hone_ops *hone_embedder_ops(const hone_embedder *e); /* borrowed */
/* Multiply-adds of the linear layers for one token: what a token costs beside another model's. */
double hone_embedder_token_work(const hone_embedder *e);
double hone_model_token_work(const hone_model *model);
/* SHA-256 over the contents of all files the vectors depend on, the pooling, and a class other than f32; computed when
 * first asked for. */
hone_status hone_embedder_hash(hone_embedder *e, char hex[65], hone_error *err);

typedef struct hone_embed_text {
    const char *data;
    size_t length;
} hone_embed_text;

/* The token ids of a text as the model gets them, appended; *was_cut (may be NULL): it was longer than most_tokens. */
hone_status hone_embedder_encode(const hone_embedder *e, hone_embed_text text, hone_token_list *ids, bool *was_cut,
                                 hone_error *err);
/* vectors: [n, dim]. n_tokens, was_cut (the text lost its end): [n], may be NULL. */
hone_status hone_embedder_run(hone_embedder *e, const hone_embed_text *texts, size_t n, float *vectors,
                              int64_t *n_tokens, bool *was_cut, hone_error *err);

#endif
