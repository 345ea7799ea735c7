/* work.h - the one owner of the engine in a server, and how other threads give it work.
 *
 * A call is what one HTTP request asks: one or more answers. Its maker fills in the requests and submits it; from then
 * on the worker's thread runs engine steps over the answers of all calls together and publishes what is there under the
 * call's lock, signalling its event. The worker never waits for a reader: a published answer stays where the engine
 * wrote it, at most as long as it was asked to be, until the maker closes the call. Closing early cancels.
 *
 *     maker:  create - fill in - submit - hone_http_wait(event) - read - close
 *     worker: take calls -> submit to the engine -> step -> publish -> ...
 *
 * A call has two owners, maker and worker; what it holds is freed when both are done with it. */
#ifndef HONE_SERVE_WORK_H
#define HONE_SERVE_WORK_H

#include "engine/engine.h"

enum {
    HONE_WORK_MAX_ANSWERS = 2048, /* of one call */
    HONE_WORK_MAX_WAITING = 8192, /* of all calls that have not begun; above, calls are refused */
    HONE_WORK_MAX_TICKETS = 256   /* in the engine at once; their memory is taken, the others' is not yet */
};

typedef struct hone_answer {
    hone_request request;   /* by the maker; what it borrows must live as long as the call (hone_call.owned) */
    hone_response response; /* the maker may read it when done, and what hone_call_ready says before that */
    hone_status status;     /* when done */
    hone_ticket *ticket;    /* the worker's */
    size_t n_ready;         /* of response.ids and what stands beside them; under the lock */
    bool done;              /* under the lock */
} hone_answer;

typedef struct hone_call hone_call;
typedef struct hone_worker hone_worker;

/* n_answers answers, all zero; `streams`: the event is signalled for each token, not only at the end. free_owned(owned)
 * is called with the call's end; after a failure the caller still has `owned`. */
hone_status hone_call_create(size_t n_answers, bool streams, void *owned, void (*free_owned)(void *), hone_call **out,
                             hone_error *err);
hone_answer *hone_call_answers(hone_call *call, size_t *n);
int hone_call_event(const hone_call *call); /* an eventfd */
/* How many generated tokens of the answer may be read; *done: all of it, and status. */
size_t hone_call_ready(hone_call *call, size_t answer, bool *done);
/* True when all answers are done. The first failure among them goes to err (may be NULL) and *status. */
bool hone_call_is_done(hone_call *call, hone_status *status, hone_error *err);
/* The maker's last use of a call, submitted or not; NULL is allowed. */
void hone_call_close(hone_call *call);

/* The engine is borrowed; until hone_worker_stop only the worker may step it. */
hone_status hone_worker_start(hone_engine *engine, hone_worker **out, hone_error *err);
/* HONE_BUSY when too much waits, or the worker is stopping. */
hone_status hone_worker_submit(hone_worker *worker, hone_call *call, hone_error *err);
/* No further calls are taken. Those under way are finished within `seconds`, then the rest is ended with an error.
 * Returns when the worker's thread has ended; the calls that makers still hold stay readable. */
void hone_worker_stop(hone_worker *worker, double seconds);
void hone_worker_free(hone_worker *worker); /* after stop */

/* Runs function(context) on the worker's thread between two steps and waits for it: for work that needs the engine's
 * processor threads or model but is no request of its own (embeddings). It should be short, answers stand still
 * meanwhile. HONE_BUSY when the worker is stopping; else what the function returns. */
typedef hone_status (*hone_work_function)(void *context, hone_error *err);
hone_status hone_worker_run(hone_worker *worker, hone_work_function function, void *context, hone_error *err);

/* The same without waiting, in memory of the caller's that stays in place until the function is called (it may free
 * it). False: the worker is stopping, the function will not be called. */
typedef struct hone_work_task hone_work_task;
struct hone_work_task {
    hone_work_task *next;
    hone_work_function function;
    void *context;
    hone_status status;
    hone_error *err;
    bool waited_for, done;
};
bool hone_worker_post(hone_worker *worker, hone_work_task *task, hone_work_function function, void *context);

typedef struct hone_work_counts {
    size_t waiting, active; /* answers */
    uint64_t finished, cancelled, failed;
} hone_work_counts;
hone_work_counts hone_worker_count(hone_worker *worker);

#endif
