/* thread_pool.c - a job board with one job on it.
 *
 * `generation` counts jobs. Each thread owns an equal run of consecutive pieces and draws from it until none is left,
 * so that it walks through memory in order and its counter's cache line is its own; then it draws from the runs of the
 * others. A worker that finds nothing more counts itself out of `working`. The caller does the same and waits for
 * `working` to fall to zero, so no worker can still be looking at a job when the next one is posted. Whoever waits
 * spins briefly, then sleeps. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPIN_ROUNDS = 20000, MAX_THREADS = 256 };

struct hone_thread_pool {
    int n_threads; /* the caller included */
    pthread_t *threads;
    struct worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint generation;
    atomic_int sleepers;
    atomic_bool stop, caller_sleeps;
    hone_piece function;
    void *context;
    struct piece_run *runs; /* one a thread */
    _Alignas(64) atomic_int working;
};

struct piece_run {
    _Alignas(64) atomic_llong next;
    int64_t end;
};

struct worker {
    hone_thread_pool *pool;
    int thread;
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void draw_pieces(hone_thread_pool *pool, int thread)
{
    for (int i = 0; i < pool->n_threads; i++) {
        int owner = thread + i < pool->n_threads ? thread + i : thread + i - pool->n_threads;
        struct piece_run *run = &pool->runs[owner];
        while (atomic_load_explicit(&run->next, memory_order_relaxed) < run->end) {
            int64_t piece = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
            if (piece < run->end)
                pool->function(pool->context, piece, thread);
        }
    }
}

static void *work(void *argument)
{
    struct worker *self = argument;
    hone_thread_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        unsigned now = seen;
        for (int i = 0; i < SPIN_ROUNDS; i++) {
            now = atomic_load_explicit(&pool->generation, memory_order_acquire);
            if (now != seen)
                break;
            relax();
        }
        if (now == seen) {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->sleepers, 1);
            while ((now = atomic_load(&pool->generation)) == seen)
                pthread_cond_wait(&pool->wake, &pool->lock);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        seen = now;
        if (atomic_load(&pool->stop))
            return NULL;
        draw_pieces(pool, self->thread);
        if (atomic_fetch_sub(&pool->working, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void post(hone_thread_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

hone_status hone_thread_pool_create(int n_threads, hone_thread_pool **out, hone_error *err)
{
    *out = NULL;
    if (n_threads <= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        n_threads = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    if (n_threads > MAX_THREADS)
        n_threads = MAX_THREADS;
    hone_thread_pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    if (!pool)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d threads", n_threads);
    *pool = (hone_thread_pool){.n_threads = 1};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = calloc((size_t)n_threads, sizeof *pool->threads);
    pool->workers = calloc((size_t)n_threads, sizeof *pool->workers);
    pool->runs = aligned_alloc(64, (size_t)n_threads * sizeof *pool->runs);
    if (!pool->threads || !pool->workers || !pool->runs) {
        hone_thread_pool_free(pool);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %d threads", n_threads);
    }
    for (int i = 1; i < n_threads; i++) {
        pool->workers[i] = (struct worker){pool, i};
        if (pthread_create(&pool->threads[i], NULL, work, &pool->workers[i]) != 0) {
            hone_thread_pool_free(pool);
            return hone_fail(err, HONE_NO_MEMORY, "cannot start thread %d of %d; use --threads with fewer", i + 1,
                             n_threads);
        }
        pool->n_threads = i + 1;
    }
    *out = pool;
    return HONE_OK;
}

void hone_thread_pool_free(hone_thread_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    post(pool);
    for (int i = 1; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    free(pool->threads);
    free(pool->workers);
    free(pool->runs);
    free(pool);
}

int hone_thread_pool_size(const hone_thread_pool *pool)
{
    return pool ? pool->n_threads : 1;
}

void hone_thread_pool_run(hone_thread_pool *pool, int64_t n_pieces, hone_piece function, void *context)
{
    if (!pool || pool->n_threads == 1 || n_pieces <= 1) {
        for (int64_t i = 0; i < n_pieces; i++)
            function(context, i, 0);
        return;
    }
    pool->function = function;
    pool->context = context;
    for (int t = 0; t < pool->n_threads; t++) {
        atomic_store_explicit(&pool->runs[t].next, n_pieces * t / pool->n_threads, memory_order_relaxed);
        pool->runs[t].end = n_pieces * (t + 1) / pool->n_threads;
    }
    atomic_store_explicit(&pool->working, pool->n_threads - 1, memory_order_relaxed);
    post(pool);
    draw_pieces(pool, 0);
    for (int spins = 0; spins < SPIN_ROUNDS; spins++) {
        if (atomic_load_explicit(&pool->working, memory_order_acquire) == 0)
            return;
        relax();
    }
    /* A worker has lost its processor to another program: make room for it rather than spin against it. */
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->working) > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}
