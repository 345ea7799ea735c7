/* fold.h - bringing texts to a form in which unimportant differences are gone.
 *
 * Every function returns a malloc'd string or NULL when out of memory. Bytes that are not valid UTF-8 are kept. */
#ifndef HONE_METRIC_FOLD_H
#define HONE_METRIC_FOLD_H

#include <stdbool.h>
#include <stddef.h>

/* Case folded (Unicode), runs of white space as one space, none at the ends, and without the quotes, backquotes or
 * asterisks that wrap the whole. */
char *hone_fold_case(const char *text);
/* hone_fold_case, then everything that is neither letter, number nor mark becomes a separator: one space between words.
 */
char *hone_fold_words(const char *text);
/* hone_fold_words without the English articles a, an, the: how SQuAD compares answers (Rajpurkar et al. 2016). */
char *hone_fold_answer(const char *text);

/* The text without the white space at its ends: *length bytes from the returned place. */
const char *hone_trim(const char *text, size_t *length);
/* A letter, number or mark. */
bool hone_is_word_code_point(unsigned code_point);

#endif
