/* thread_pool.h - runs the pieces of one job on several threads.
 *
 * A job is `n_pieces` calls of a function, in any order, on any thread; what a piece computes must not depend on which
 * thread runs it. The caller takes part and returns when all pieces are done. One job at a time per pool; jobs do not
 * nest. Workers spin briefly for the next job, then sleep. */
#ifndef HONE_BASE_THREAD_POOL_H
#define HONE_BASE_THREAD_POOL_H

#include "base/status.h"

typedef struct hone_thread_pool hone_thread_pool;
typedef void (*hone_piece)(void *context, int64_t piece, int thread);

/* n_threads 0: one for each processor this process may use. */
hone_status hone_thread_pool_create(int n_threads, hone_thread_pool **out, hone_error *err);
void hone_thread_pool_free(hone_thread_pool *pool);
int hone_thread_pool_size(const hone_thread_pool *pool);
/* pool may be NULL: everything runs on the caller as thread 0. `thread` is in [0, size). */
void hone_thread_pool_run(hone_thread_pool *pool, int64_t n_pieces, hone_piece function, void *context);

#endif
