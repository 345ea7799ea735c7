/* encoder_runner.h - many texts through an encoder: token ids to one pooled vector each.
 *
 * Much text is cut into groups of whole texts, and a thread takes a group through the whole network by itself: threads
 * wait for each other once a call instead of after every operation, and a group's states stay in the cache of the
 * processor that works on them. Little text goes through each operation on all threads. A vector's bits are the same
 * either way, since an operation's row depends on its own text alone. */
#ifndef HONE_MODEL_ENCODER_RUNNER_H
#define HONE_MODEL_ENCODER_RUNNER_H

#include "model/encoder.h"

typedef struct hone_encoder_runner hone_encoder_runner;

/* Borrows the encoder and its ops. One owner: calls must not overlap. */
hone_status hone_encoder_runner_create(const hone_encoder *encoder, hone_encoder_runner **out, hone_error *err);
void hone_encoder_runner_free(hone_encoder_runner *runner);

/* Text i is ids [ends[i - 1], ends[i]), at least one and at most config.most_tokens. vectors: [n, n_embd]. */
hone_status hone_encoder_runner_run(hone_encoder_runner *runner, hone_pooling pooling, const int32_t *ids,
                                    const size_t *ends, size_t n, float *vectors, hone_error *err);

#endif
