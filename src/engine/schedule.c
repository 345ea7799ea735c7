/* schedule.c - the step loop: which tokens of which requests are computed next.
 *
 * A request waits in the queue until a place and its key-value pages are free, then becomes a sequence. Each step takes
 * one token of every sequence that generates and fills the rest of the row budget with chunks of prompts. A request
 * whose beginning is being computed by another sequence right now waits until those pages are registered, so a shared
 * prefix is computed once. Pages for a sequence's whole length are taken when it starts: it can always finish. */
#include "engine/internal.h"

#include "base/cancel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sequence {
    const hone_request *request;
    hone_response *response;
    uint64_t adapter_key;
    int32_t *tokens; /* prompt, then what was generated or is being tried; capacity is the whole length */
    int64_t n_tokens, n_prompt, n_computed, capacity;
    int32_t *pages;
    int32_t n_pages, n_registered;
    hone_choice_search search;
    hone_generation generation;
    bool finished;
} sequence;

typedef struct logit_row { /* a row whose logits are wanted */
    int32_t row;
    int64_t position;
    sequence *sequence;
} logit_row;

struct hone_step_arrays {
    int32_t *tokens, *positions;
    hone_kv_write *writes;
    logit_row *wanted;
    hone_span spans[HONE_MAX_ACTIVE];
    hone_adapter_rows adapters[HONE_MAX_ACTIVE];
};

hone_status hone_step_arrays_create(hone_engine *engine, hone_error *err)
{
    size_t n = (size_t)engine->max_batch_rows;
    struct hone_step_arrays *a = calloc(1, sizeof *a);
    if (a) {
        a->tokens = calloc(n, sizeof *a->tokens);
        a->positions = calloc(n, sizeof *a->positions);
        a->writes = calloc(n, sizeof *a->writes);
        a->wanted = calloc(n, sizeof *a->wanted);
    }
    engine->arrays = a;
    if (!a || !a->tokens || !a->positions || !a->writes || !a->wanted)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for steps of %zu rows", n);
    return HONE_OK;
}

void hone_step_arrays_free(struct hone_step_arrays *a)
{
    if (!a)
        return;
    free(a->tokens);
    free(a->positions);
    free(a->writes);
    free(a->wanted);
    free(a);
}

typedef struct schedule {
    hone_engine *engine;
    const hone_request *requests;
    hone_response *responses;
    size_t n, n_done, first_waiting;
    bool *started;
    sequence *active[HONE_MAX_ACTIVE];
    int n_active;
    hone_error *err;
} schedule;

static int64_t tokens_after_prompt(const hone_request *r)
{
    return r->choices ? r->choices->longest : r->max_new_tokens;
}

static uint64_t adapter_key(const hone_adapter *adapter)
{
    uint64_t key = 0;
    if (adapter) /* the content hash names the adapter: an equal one loaded again finds the same pages */
        for (int i = 0; i < 16; i++)
            key = key << 4 | (uint64_t)(adapter->hash[i] <= '9' ? adapter->hash[i] - '0' : adapter->hash[i] - 'a' + 10);
    return key;
}

static void sequence_free(hone_engine *engine, sequence *s)
{
    if (!s)
        return;
    for (int32_t i = 0; i < s->n_pages; i++)
        hone_page_cache_release(engine->pages, s->pages[i]);
    hone_choice_search_clear(&s->search);
    hone_generation_clear(&s->generation);
    free(s->tokens);
    free(s->pages);
    free(s);
}

static hone_status check_request(const schedule *run, size_t i)
{
    const hone_request *r = &run->requests[i];
    const hone_model_config *c = &run->engine->model->config;
    if (r->n_ids < 1)
        return hone_fail(run->err, HONE_BAD_INPUT, "request %zu has no tokens", i + 1);
    int64_t total = (int64_t)r->n_ids + tokens_after_prompt(r);
    if (r->max_new_tokens < 0 || (int64_t)r->n_ids > c->n_context || total > c->n_context)
        return hone_fail(run->err, HONE_BAD_INPUT,
                         "request %zu: %zu tokens of prompt and %lld to generate exceed the model's context of %lld",
                         i + 1, r->n_ids, (long long)tokens_after_prompt(r), (long long)c->n_context);
    for (size_t t = 0; t < r->n_ids; t++)
        if (r->ids[t] < 0 || r->ids[t] >= c->n_vocab)
            return hone_fail(run->err, HONE_BAD_INPUT, "request %zu: token id %d; the vocabulary has %lld", i + 1,
                             r->ids[t], (long long)c->n_vocab);
    hone_status status = hone_generation_check(r, c->n_vocab, run->err);
    if (status != HONE_OK)
        return hone_fail_within(run->err, status, "request %zu", i + 1);
    int64_t pages = (total + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS;
    if (pages > hone_page_cache_total(run->engine->pages))
        return hone_fail(run->err, HONE_NO_MEMORY,
                         "request %zu: %lld tokens need %zu bytes of key-value cache; the engine has %zu", i + 1,
                         (long long)total, (size_t)pages * hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim),
                         (size_t)hone_page_cache_total(run->engine->pages) *
                             hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim));
    return HONE_OK;
}

/* Is an active sequence about to compute whole pages that this request also begins with, beyond the `have` it found? */
static bool beginning_is_under_way(const schedule *run, const hone_request *r, uint64_t key, int32_t have)
{
    for (int a = 0; a < run->n_active; a++) {
        const sequence *s = run->active[a];
        if (s->adapter_key != key || s->n_computed >= s->n_prompt)
            continue;
        int64_t n = s->n_prompt < (int64_t)r->n_ids ? s->n_prompt : (int64_t)r->n_ids, common = 0;
        while (common < n && s->tokens[common] == r->ids[common])
            common++;
        if (common == (int64_t)r->n_ids)
            common--; /* its last token is computed in any case */
        if (common / HONE_PAGE_TOKENS > have && s->n_computed / HONE_PAGE_TOKENS < common / HONE_PAGE_TOKENS)
            return true;
    }
    return false;
}

/* HONE_OK with *out NULL: not now. */
static hone_status start(schedule *run, size_t i, sequence **out)
{
    hone_engine *engine = run->engine;
    const hone_request *r = &run->requests[i];
    *out = NULL;
    sequence *s = calloc(1, sizeof *s);
    int64_t total = (int64_t)r->n_ids + tokens_after_prompt(r);
    int32_t need = (int32_t)((total + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS);
    hone_status status = HONE_OK;
    if (!s || !(s->tokens = calloc((size_t)total, sizeof *s->tokens)) ||
        !(s->pages = calloc((size_t)need, sizeof *s->pages))) {
        sequence_free(engine, s);
        return hone_fail(run->err, HONE_NO_MEMORY, "out of memory for %lld tokens", (long long)total);
    }
    s->request = r;
    s->response = &run->responses[i];
    s->adapter_key = adapter_key(r->adapter);
    s->n_tokens = s->n_prompt = (int64_t)r->n_ids;
    s->capacity = total;
    memcpy(s->tokens, r->ids, r->n_ids * sizeof *r->ids);
    if (!r->want_prompt_logprobs) /* those need every row computed */
        s->n_pages = hone_page_cache_match(engine->pages, s->adapter_key, r->ids, s->n_prompt - 1, need, s->pages);
    s->n_registered = s->n_pages;
    if (need - s->n_pages > hone_page_cache_available(engine->pages) ||
        beginning_is_under_way(run, r, s->adapter_key, s->n_pages)) {
        sequence_free(engine, s);
        return HONE_OK;
    }
    s->n_computed = (int64_t)s->n_pages * HONE_PAGE_TOKENS;
    s->response->tokens_cached = s->n_computed;
    while (s->n_pages < need)
        s->pages[s->n_pages++] = hone_page_cache_take(engine->pages);
    if (r->choices)
        status = hone_choice_search_init(&s->search, r->choices, run->err);
    if (status == HONE_OK)
        status = hone_generation_begin(&s->generation, engine, r, s->response, run->err);
    if (status != HONE_OK) {
        sequence_free(engine, s);
        return status;
    }
    s->response->tokens_in = s->n_prompt;
    *out = s;
    return HONE_OK;
}

static hone_status admit(schedule *run)
{
    enum { LOOK_AHEAD = 4 * HONE_MAX_ACTIVE };
    size_t looked = 0;
    while (run->first_waiting < run->n && run->started[run->first_waiting])
        run->first_waiting++;
    for (size_t i = run->first_waiting; i < run->n && run->n_active < HONE_MAX_ACTIVE && looked < LOOK_AHEAD; i++) {
        if (run->started[i])
            continue;
        looked++;
        sequence *s;
        hone_status status = start(run, i, &s);
        if (status != HONE_OK)
            return status;
        if (!s)
            continue;
        run->started[i] = true;
        run->active[run->n_active++] = s;
    }
    return HONE_OK;
}

/* Sequences of one adapter side by side, so that its products run over consecutive rows; the base first. */
static void order_by_adapter(schedule *run)
{
    for (int i = 1; i < run->n_active; i++) {
        sequence *s = run->active[i];
        int j = i;
        for (; j > 0 && (uintptr_t)run->active[j - 1]->request->adapter > (uintptr_t)s->request->adapter; j--)
            run->active[j] = run->active[j - 1];
        run->active[j] = s;
    }
}

/* Collects the rows of a step; returns how many want logits. */
static int64_t gather(schedule *run, hone_batch *batch)
{
    struct hone_step_arrays *a = run->engine->arrays;
    int64_t budget = run->engine->max_batch_rows, n_wanted = 0, reserved = 0;
    *batch = (hone_batch){.tokens = a->tokens,
                          .positions = a->positions,
                          .spans = a->spans,
                          .writes = a->writes,
                          .adapters = a->adapters};
    for (int i = 0; i < run->n_active; i++) /* every sequence gets at least one row */
        reserved++;
    for (int i = 0; i < run->n_active; i++) {
        sequence *s = run->active[i];
        int64_t rows = s->n_tokens - s->n_computed, most = budget - batch->n_rows - --reserved;
        rows = rows < most ? rows : most;
        a->spans[batch->n_spans++] =
            (hone_span){.first_row = batch->n_rows, .n_rows = rows, .first_position = s->n_computed, .pages = s->pages};
        const hone_adapter *adapter = s->request->adapter;
        if (adapter) {
            if (batch->n_adapters > 0 && a->adapters[batch->n_adapters - 1].adapter == adapter)
                a->adapters[batch->n_adapters - 1].n_rows += rows;
            else
                a->adapters[batch->n_adapters++] = (hone_adapter_rows){adapter, batch->n_rows, rows};
        }
        for (int64_t t = 0; t < rows; t++) {
            int64_t position = s->n_computed + t, row = batch->n_rows++;
            a->tokens[row] = s->tokens[position];
            a->positions[row] = (int32_t)position;
            a->writes[batch->n_writes++] = (hone_kv_write){(int32_t)row, s->pages[position / HONE_PAGE_TOKENS],
                                                           (int32_t)(position % HONE_PAGE_TOKENS)};
            if (hone_generation_wants(&s->generation, position))
                a->wanted[n_wanted++] = (logit_row){(int32_t)row, position, s};
        }
        s->n_computed += rows;
    }
    return n_wanted;
}

static void use_logits(const logit_row *w, const float *logits, double lse)
{
    sequence *s = w->sequence;
    if (w->position < s->n_prompt)
        hone_generation_prompt_row(&s->generation, w->position, logits, lse);
    if (w->position < s->n_prompt - 1)
        return;
    if (s->request->choices)
        hone_choice_search_expand(&s->search, w->position - s->n_prompt + 1, logits, lse);
    else if (s->request->max_new_tokens > 0 &&
             !hone_generation_next(&s->generation, logits, lse, &s->tokens[s->n_tokens]))
        s->finished = true;
    else if (s->request->max_new_tokens > 0)
        s->n_tokens++;
}

static void run_logits(hone_engine *engine, const logit_row *wanted, int64_t n)
{
    int64_t n_vocab = engine->model->config.n_vocab;
    int32_t rows[HONE_LOGIT_ROWS];
    double lse[HONE_LOGIT_ROWS];
    for (int64_t start_at = 0; start_at < n; start_at += HONE_LOGIT_ROWS) {
        int64_t m = n - start_at < HONE_LOGIT_ROWS ? n - start_at : HONE_LOGIT_ROWS;
        for (int64_t i = 0; i < m; i++)
            rows[i] = wanted[start_at + i].row;
        const float *logits = hone_model_logits(engine->model, engine->workspace, rows, m);
        hone_op_log_softmax_stats(engine->ops, m, n_vocab, logits, NULL, lse, NULL);
        for (int64_t i = 0; i < m; i++)
            use_logits(&wanted[start_at + i], logits + i * n_vocab, lse[i]);
    }
}

/* After a step: what the sequence does next, and the pages that others may now use. */
static void advance(hone_engine *engine, sequence *s)
{
    int64_t settled = s->request->choices && s->n_computed > s->n_prompt ? s->n_prompt : s->n_computed;
    for (; (s->n_registered + 1) * (int64_t)HONE_PAGE_TOKENS <= settled; s->n_registered++)
        hone_page_cache_register(engine->pages, s->pages[s->n_registered],
                                 s->n_registered ? s->pages[s->n_registered - 1] : -1, s->adapter_key,
                                 s->tokens + s->n_registered * HONE_PAGE_TOKENS);
    if (s->n_computed < s->n_tokens || s->finished)
        return;
    if (s->request->choices) {
        int64_t kept;
        int32_t choice;
        double logprob;
        if (hone_choice_search_next(&s->search, &kept, &choice, &logprob)) {
            s->response->choice = choice;
            s->response->choice_logprob = logprob;
            s->response->finish = HONE_FINISH_CHOICE;
            s->finished = true;
            return;
        }
        for (int64_t i = 0; i < s->search.n_path; i++)
            s->tokens[s->n_prompt + i] = s->search.choices->nodes[s->search.path[i]].token;
        s->n_tokens = s->n_prompt + s->search.n_path;
        s->n_computed = s->n_prompt + kept;
        return;
    }
    if (s->request->max_new_tokens == 0) {
        s->response->finish = HONE_FINISH_SCORED;
        s->finished = true;
    }
}

static hone_status step(schedule *run)
{
    hone_engine *engine = run->engine;
    hone_batch batch;
    order_by_adapter(run);
    int64_t n_wanted = gather(run, &batch);
    hone_model_forward(engine->model, engine->pool, &batch, engine->workspace, NULL);
    run_logits(engine, engine->arrays->wanted, n_wanted);
    int kept = 0;
    hone_status status = HONE_OK;
    for (int i = 0; i < run->n_active; i++) {
        sequence *s = run->active[i];
        advance(engine, s);
        if (!s->finished) {
            run->active[kept++] = s;
            continue;
        }
        if (status == HONE_OK)
            status = hone_generation_finish(&s->generation, run->err);
        run->n_done++;
        sequence_free(engine, s);
    }
    run->n_active = kept;
    return status;
}

hone_status hone_engine_run(hone_engine *engine, const hone_request *requests, size_t n, hone_response *responses,
                            hone_progress *progress, hone_error *err)
{
    for (size_t i = 0; i < n; i++)
        responses[i] = (hone_response){.choice = -1, .choice_logprob = NAN};
    schedule run = {.engine = engine, .requests = requests, .responses = responses, .n = n, .err = err};
    hone_status status = hone_map_check_unchanged(&engine->map, err);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = check_request(&run, i);
    if (status != HONE_OK || n == 0)
        return status;
    run.started = calloc(n, sizeof *run.started);
    if (!run.started)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu requests", n);
    while (run.n_done < n && status == HONE_OK) {
        if (hone_cancel_requested())
            status = hone_fail(err, HONE_CANCELLED, "stopped");
        else
            status = admit(&run);
        if (status == HONE_OK)
            status = step(&run);
        hone_progress_update(progress, (int64_t)run.n_done, NULL);
    }
    for (int i = 0; i < run.n_active; i++)
        sequence_free(engine, run.active[i]);
    free(run.started);
    return status;
}
