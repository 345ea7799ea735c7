/* work.c - the worker: calls wait in a list, their answers become tickets of the engine, steps are run, results are
 * published. Only this file locks. Locks are taken in the order worker, then call, and never both for long: the
 * worker's lock guards the lists and counts, a call's lock what is published of it. */
#include "serve/work.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hone_call {
    hone_call *next;
    hone_answer *answers;
    size_t n_answers, n_begun, n_done;
    bool streams;
    int event;
    pthread_mutex_t lock;
    atomic_bool closed; /* by the maker */
    atomic_int owners;
    hone_status status; /* the first failure; under the lock */
    hone_error error;
    void *owned;
    void (*free_owned)(void *);
};

struct hone_worker {
    hone_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed, task_done;
    hone_work_task *tasks, **tasks_end; /* under the lock */
    hone_call *arrived, **arrived_end;  /* handed over, not yet seen; under the lock */
    hone_call *calls, **calls_end;      /* the worker's own list, in the order of arrival */
    size_t n_tickets;                   /* the worker's own */
    hone_work_counts counts;            /* under the lock */
    bool stopping;                      /* under the lock */
    double stop_at;                     /* when stopping: the clock's seconds at which the rest is ended */
};

static const char stopping[] = "the server is stopping; send the request again when it is back";

/* ---- calls ---- */

hone_status hone_call_create(size_t n_answers, bool streams, void *owned, void (*free_owned)(void *), hone_call **out,
                             hone_error *err)
{
    *out = NULL;
    hone_call *call = calloc(1, sizeof *call);
    hone_answer *answers = calloc(n_answers, sizeof *answers);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!call || !answers || event < 0) {
        free(call);
        free(answers);
        if (event >= 0)
            close(event);
        return event < 0 ? hone_fail(err, HONE_BUSY, "no more descriptors; try again when fewer requests are open")
                         : hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu answers", n_answers);
    }
    call->answers = answers;
    call->n_answers = n_answers;
    call->streams = streams;
    call->event = event;
    call->owned = owned;
    call->free_owned = free_owned;
    atomic_init(&call->owners, 1);
    pthread_mutex_init(&call->lock, NULL);
    *out = call;
    return HONE_OK;
}

hone_answer *hone_call_answers(hone_call *call, size_t *n)
{
    if (n)
        *n = call->n_answers;
    return call->answers;
}

int hone_call_event(const hone_call *call)
{
    return call->event;
}

size_t hone_call_ready(hone_call *call, size_t answer, bool *done)
{
    pthread_mutex_lock(&call->lock);
    size_t n = call->answers[answer].n_ready;
    *done = call->answers[answer].done;
    pthread_mutex_unlock(&call->lock);
    return n;
}

bool hone_call_is_done(hone_call *call, hone_status *status, hone_error *err)
{
    pthread_mutex_lock(&call->lock);
    bool done = call->n_done == call->n_answers;
    *status = call->status;
    if (err && call->status != HONE_OK)
        *err = call->error;
    pthread_mutex_unlock(&call->lock);
    return done;
}

/* One of the two owners is done with it. */
static void release(hone_call *call)
{
    if (atomic_fetch_sub(&call->owners, 1) > 1)
        return;
    for (size_t i = 0; i < call->n_answers; i++)
        hone_response_clear(&call->answers[i].response);
    free(call->answers);
    if (call->free_owned)
        call->free_owned(call->owned);
    close(call->event);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

void hone_call_close(hone_call *call)
{
    if (!call)
        return;
    atomic_store(&call->closed,
                 true); /* the worker looks at it between steps; while there is a call it does not sleep */
    release(call);
}

static void signal_event(const hone_call *call)
{
    uint64_t one = 1;
    while (write(call->event, &one, sizeof one) < 0) /* only a counter at its limit refuses: then it is signalled */
        break;
}

/* ---- the worker's own steps ---- */

static void count(hone_worker *w, int more_waiting, int more_active, uint64_t *outcome)
{
    pthread_mutex_lock(&w->lock);
    w->counts.waiting = (size_t)((int64_t)w->counts.waiting + more_waiting);
    w->counts.active = (size_t)((int64_t)w->counts.active + more_active);
    if (outcome)
        ++*outcome;
    pthread_mutex_unlock(&w->lock);
}

static uint64_t *outcome_of(hone_worker *w, hone_status status)
{
    return status == HONE_OK          ? &w->counts.finished
           : status == HONE_CANCELLED ? &w->counts.cancelled
                                      : &w->counts.failed;
}

/* The answer is over: with its response, or with a failure. It is counted before its maker hears of it, so that whoever
 * has an answer and asks for the counts finds it there. */
static void finish(hone_worker *w, hone_call *call, hone_answer *a, hone_status status, const hone_error *err,
                   int more_waiting, int more_active)
{
    count(w, more_waiting, more_active, outcome_of(w, status));
    if (a->ticket) {
        hone_engine_close_ticket(w->engine, a->ticket);
        a->ticket = NULL;
        w->n_tickets--;
    }
    pthread_mutex_lock(&call->lock);
    a->status = status;
    if (status == HONE_OK)
        a->n_ready = a->response.n_ids;
    else if (call->status == HONE_OK) {
        call->status = status;
        if (err)
            call->error = *err;
    }
    a->done = true;
    bool wake = ++call->n_done == call->n_answers || call->streams;
    pthread_mutex_unlock(&call->lock);
    if (wake)
        signal_event(call);
}

/* Answers that wait become tickets, oldest call first. */
static void begin_answers(hone_worker *w)
{
    for (hone_call *call = w->calls; call && w->n_tickets < HONE_WORK_MAX_TICKETS; call = call->next)
        while (call->n_begun < call->n_answers && w->n_tickets < HONE_WORK_MAX_TICKETS) {
            hone_answer *a = &call->answers[call->n_begun++];
            hone_error err = {0};
            hone_status status = hone_engine_submit(w->engine, &a->request, &a->response, &a->ticket, &err);
            if (status == HONE_OK) {
                w->n_tickets++;
                count(w, -1, 1, NULL);
            } else {
                a->ticket = NULL;
                finish(w, call, a, status, &err, -1, 0);
            }
        }
}

static void publish(hone_call *call, hone_answer *a)
{
    pthread_mutex_lock(&call->lock);
    bool more = a->response.n_ids > a->n_ready;
    a->n_ready = a->response.n_ids;
    pthread_mutex_unlock(&call->lock);
    if (more)
        signal_event(call);
}

/* All that is not done of a call ends with this status. */
static void end_call(hone_worker *w, hone_call *call, hone_status status, const hone_error *err)
{
    for (size_t i = 0; i < call->n_answers; i++) {
        hone_answer *a = &call->answers[i];
        if (a->done)
            continue;
        bool begun = i < call->n_begun;
        finish(w, call, a, status, err, begun ? 0 : -1, begun ? -1 : 0);
    }
    call->n_begun = call->n_answers;
}

/* After a step: what is new is published; calls that are over, or whose maker has left, go. */
static void look_over_calls(hone_worker *w)
{
    for (hone_call **at = &w->calls; *at;) {
        hone_call *call = *at;
        if (atomic_load(&call->closed))
            end_call(w, call, HONE_CANCELLED, NULL);
        for (size_t i = 0; i < call->n_begun; i++) {
            hone_answer *a = &call->answers[i];
            if (!a->ticket)
                continue;
            if (hone_ticket_is_done(a->ticket))
                finish(w, call, a, HONE_OK, NULL, 0, -1);
            else if (call->streams)
                publish(call, a);
        }
        if (call->n_done < call->n_answers) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        if (!*at)
            w->calls_end = at;
        release(call);
    }
}

static void end_all(hone_worker *w, hone_status status, const hone_error *err)
{
    for (hone_call *call = w->calls; call; call = call->next)
        end_call(w, call, status, err);
    look_over_calls(w);
}

/* Sleeps while there is nothing to do. False: stop now. */
static bool take_calls(hone_worker *w, bool *time_is_up)
{
    pthread_mutex_lock(&w->lock);
    while (!w->arrived && !w->calls && !w->tasks && !w->stopping)
        pthread_cond_wait(&w->changed, &w->lock);
    if (w->arrived) {
        *w->calls_end = w->arrived;
        w->calls_end = w->arrived_end;
        w->arrived = NULL;
        w->arrived_end = &w->arrived;
    }
    *time_is_up = w->stopping && hone_clock_seconds() >= w->stop_at;
    bool go_on = w->calls || w->tasks || !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return go_on;
}

/* One task a step, so that tasks and answers take turns. */
static void run_task(hone_worker *w)
{
    pthread_mutex_lock(&w->lock);
    hone_work_task *t = w->tasks;
    if (t && !(w->tasks = t->next))
        w->tasks_end = &w->tasks;
    pthread_mutex_unlock(&w->lock);
    if (!t)
        return;
    bool waited_for = t->waited_for; /* one that is not may be gone when its function returns */
    hone_status status = t->function(t->context, t->err);
    if (!waited_for)
        return;
    pthread_mutex_lock(&w->lock);
    t->status = status;
    t->done = true;
    pthread_cond_broadcast(&w->task_done);
    pthread_mutex_unlock(&w->lock);
}

static void *work(void *context)
{
    hone_worker *w = context;
    bool time_is_up;
    while (take_calls(w, &time_is_up)) {
        hone_error err = {0};
        bool idle;
        run_task(w); /* also when time is up: somebody waits for it, and it is short */
        if (time_is_up) {
            hone_fail(&err, HONE_BUSY, "%s", stopping);
            end_all(w, HONE_BUSY, &err);
            continue;
        }
        look_over_calls(w); /* a maker that left before its turn costs nothing */
        begin_answers(w);
        hone_status status = hone_engine_step(w->engine, &idle, &err);
        if (status == HONE_OK)
            look_over_calls(w);
        else
            end_all(w, status == HONE_CANCELLED ? HONE_BUSY : status, &err);
    }
    return NULL;
}

/* ---- for the others ---- */

hone_status hone_worker_start(hone_engine *engine, hone_worker **out, hone_error *err)
{
    *out = NULL;
    hone_worker *w = calloc(1, sizeof *w);
    if (!w)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    w->engine = engine;
    w->arrived_end = &w->arrived;
    w->calls_end = &w->calls;
    w->tasks_end = &w->tasks;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    pthread_cond_init(&w->task_done, NULL);
    if (pthread_create(&w->thread, NULL, work, w) != 0) {
        hone_worker_free(w);
        return hone_fail(err, HONE_NO_MEMORY, "no thread for the engine");
    }
    *out = w;
    return HONE_OK;
}

hone_status hone_worker_submit(hone_worker *w, hone_call *call, hone_error *err)
{
    hone_status status = HONE_OK;
    pthread_mutex_lock(&w->lock);
    if (w->stopping)
        status = hone_fail(err, HONE_BUSY, "%s", stopping);
    else if (w->counts.waiting + call->n_answers > HONE_WORK_MAX_WAITING)
        status = hone_fail(err, HONE_BUSY, "%zu answers are waiting already; try again later", w->counts.waiting);
    else {
        atomic_fetch_add(&call->owners, 1);
        *w->arrived_end = call;
        w->arrived_end = &call->next;
        w->counts.waiting += call->n_answers;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}

/* Under the lock. False: the worker is stopping. */
static bool add_task(hone_worker *w, hone_work_task *t)
{
    if (w->stopping)
        return false;
    *w->tasks_end = t;
    w->tasks_end = &t->next;
    pthread_cond_signal(&w->changed);
    return true;
}

hone_status hone_worker_run(hone_worker *w, hone_work_function function, void *context, hone_error *err)
{
    hone_work_task t = {.function = function, .context = context, .err = err, .waited_for = true};
    pthread_mutex_lock(&w->lock);
    bool added = add_task(w, &t);
    while (added && !t.done)
        pthread_cond_wait(&w->task_done, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return added ? t.status : hone_fail(err, HONE_BUSY, "%s", stopping);
}

bool hone_worker_post(hone_worker *w, hone_work_task *t, hone_work_function function, void *context)
{
    *t = (hone_work_task){.function = function, .context = context};
    pthread_mutex_lock(&w->lock);
    bool added = add_task(w, t);
    pthread_mutex_unlock(&w->lock);
    return added;
}

void hone_worker_stop(hone_worker *w, double seconds)
{
    pthread_mutex_lock(&w->lock);
    bool first = !w->stopping;
    w->stopping = true;
    w->stop_at = hone_clock_seconds() + seconds;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (first)
        pthread_join(w->thread, NULL);
}

void hone_worker_free(hone_worker *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->task_done);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

hone_work_counts hone_worker_count(hone_worker *w)
{
    pthread_mutex_lock(&w->lock);
    hone_work_counts counts = w->counts;
    pthread_mutex_unlock(&w->lock);
    return counts;
}
