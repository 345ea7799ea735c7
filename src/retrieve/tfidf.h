/* tfidf.h - texts as weighted words and word pairs.
 *
 * The vectors equal those of scikit-learn's TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), so that the
 * classical baselines mean what people expect of them:
 *   - lower case (Unicode, with the Greek final sigma rule);
 *   - a word is a run of two or more letters, numbers (categories L*, N*) or underscores;
 *   - terms are words and pairs of neighbouring words joined by a space, numbered in the order of their code points;
 *   - weight = (1 + ln tf) * (ln((1 + n) / (1 + df)) + 1), rows scaled to length 1.
 * Bytes that are not valid UTF-8 separate words. Terms not seen in fitting are left out of a transformed row; a row may
 * be empty. */
#ifndef HONE_RETRIEVE_TFIDF_H
#define HONE_RETRIEVE_TFIDF_H

#include "retrieve/sparse.h"

typedef struct hone_tfidf hone_tfidf;

/* HONE_BAD_INPUT when no text holds a word. The texts are not kept. The caller frees *out. */
hone_status hone_tfidf_fit(const char *const *texts, size_t n, hone_tfidf **out, hone_error *err);
void hone_tfidf_free(hone_tfidf *tfidf);

/* One row per text, n_columns = hone_tfidf_terms. The caller frees *out (hone_sparse_free). */
hone_status hone_tfidf_transform(const hone_tfidf *tfidf, const char *const *texts, size_t n, hone_sparse **out,
                                 hone_error *err);

size_t hone_tfidf_terms(const hone_tfidf *tfidf);
/* The term of a column, borrowed; NULL past the end. */
const char *hone_tfidf_term(const hone_tfidf *tfidf, size_t column);
double hone_tfidf_idf(const hone_tfidf *tfidf, size_t column);

/* The k training rows nearest to row `row` of `query` by cosine, as hone_sparse_nearest: exact, ties by lower index.
 * index, similarity: [k]. Returns min(k, rows in train). */
size_t hone_tfidf_nearest(const hone_tfidf *tfidf, const hone_sparse *train, const hone_sparse *query, size_t row,
                          size_t k, size_t *index, double *similarity);

#endif
