/* fold.h - texts that differ only in case, spacing or punctuation become equal. Private to src/task. */
#ifndef HONE_TASK_FOLD_H
#define HONE_TASK_FOLD_H

#include "base/status.h"

/* sha256 (first 32 hex digits) of the folded text: NFKC, case-folded, without punctuation, white space and control
 * characters; between two digits they become one space, so that 1.5 stays apart from 15. A text of nothing else counts
 * as written. */
hone_status hone_fold_key(const char *text, char key[33], hone_error *err);

#endif
