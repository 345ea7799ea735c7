/* embeddings.h - the sentence embeddings of a comparison: computed once for all approaches, remembered in the ledger.
 *
 * An embedding is kept under a key of the embedder's content, the pooling, the instruction set and the text. With it is
 * kept what computing it took, so that an approach that finds it done still shows its true cost. */
#ifndef HONE_APPROACH_EMBEDDINGS_H
#define HONE_APPROACH_EMBEDDINGS_H

#include "base/progress.h"
#include "model/embedder.h"
#include "store/ledger.h"
#include "task/task.h"

typedef struct hone_embeddings hone_embeddings;

typedef struct hone_embedding {
    const float *vector; /* [dim], of length 1; lives as long as the store */
    int64_t n_tokens;
    double seconds; /* its share of the batch that computed it */
} hone_embedding;

/* Takes the embedder, also on failure. The ledger is borrowed. name: as the task names the embedder; copied. */
hone_status hone_embeddings_create(hone_embedder *embedder, const char *name, hone_ledger *ledger,
                                   hone_embeddings **out, hone_error *err);
void hone_embeddings_free(hone_embeddings *e);

int64_t hone_embeddings_dim(const hone_embeddings *e);
const char *hone_embeddings_name(const hone_embeddings *e);
const char *hone_embeddings_hash(const hone_embeddings *e);
double hone_embeddings_token_work(const hone_embeddings *e); /* hone_embedder_token_work */
int64_t hone_embeddings_most_tokens(const hone_embeddings *e);
int64_t hone_embeddings_n_cut(const hone_embeddings *e); /* different texts so far that lost their end */

/* Embeddings of the rows' inputs, which must live as long as the store. out: [n]. */
hone_status hone_embeddings_get(hone_embeddings *e, const hone_row *const *rows, size_t n, hone_embedding *out,
                                hone_progress *progress, hone_error *err);
/* Those of consecutive rows, copied into vectors [rows->n, dim]. *seconds: what computing them took, whenever that was.
 */
hone_status hone_embeddings_matrix(hone_embeddings *e, const hone_rows *rows, float *vectors, double *seconds,
                                   hone_progress *progress, hone_error *err);
/* The same, but computes also what it knows: for measuring latency. */
hone_status hone_embeddings_recompute(hone_embeddings *e, const hone_row *const *rows, size_t n, hone_embedding *out,
                                      hone_error *err);

#endif
