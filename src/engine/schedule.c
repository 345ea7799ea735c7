/* schedule.c - the step loop: which tokens of which requests are computed next.
 *
 * A ticket waits in the queue until a place and its key-value pages are free, then becomes active. Each step takes one
 * token of every sequence that generates and fills the rest of the row budget with chunks of prompts. Pages for a
 * sequence's whole length are taken when it starts: it can always finish.
 *
 * Tickets start in the order in which they were submitted, with one exception: a ticket whose beginning is being
 * computed by an active one right now is passed over until those pages are registered, so a shared prefix is computed
 * once. Nothing else overtakes: where the first ticket lacks pages, none behind it takes them. So every ticket starts
 * after finitely many steps, whatever arrives after it. */
#include "engine/internal.h"

#include "base/cancel.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN_WINDOW = 4 * HONE_MAX_ACTIVE, /* tickets that hone_engine_run has open at once */
    PROMPT_ROWS_BESIDE = 128,         /* of prompts in a step in which others generate: products near their full speed,
                                         and nobody waits a second for the next token */
    CHOICE_SLOTS = 256,               /* nodes of its trie that a request remembers */
    CHOICE_ROWS = 192,                /* rows that all searches of a step share: products near their full speed */
    CHOICE_ROWS_EACH = 64             /* and the most that one takes: beyond, it computes more than it will need */
};

typedef struct logit_row { /* a row whose logits are wanted */
    int32_t row;
    int32_t node; /* of the trie, for a request with choices: 0 is the prompt's last token */
    int64_t position;
    sequence *sequence;
} logit_row;

struct hone_schedule {
    sequence *first_waiting, *last_waiting;
    sequence *active[HONE_MAX_ACTIVE];
    int n_active;
    int32_t *tokens, *positions; /* from here on: the arrays of a step, for max_batch_rows rows */
    hone_kv_write *writes;
    logit_row *wanted;
    hone_span spans[HONE_MAX_ACTIVE];
    hone_adapter_rows adapters[HONE_MAX_ACTIVE];
};

hone_status hone_schedule_create(hone_engine *engine, hone_error *err)
{
    size_t n = (size_t)engine->max_batch_rows;
    hone_schedule *a = calloc(1, sizeof *a);
    if (a) {
        a->tokens = calloc(n, sizeof *a->tokens);
        a->positions = calloc(n, sizeof *a->positions);
        a->writes = calloc(n, sizeof *a->writes);
        a->wanted = calloc(n, sizeof *a->wanted);
    }
    engine->schedule = a;
    if (!a || !a->tokens || !a->positions || !a->writes || !a->wanted)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for steps of %zu rows", n);
    return HONE_OK;
}

void hone_schedule_free(hone_schedule *a)
{
    if (!a)
        return;
    assert(a->n_active == 0 && !a->first_waiting); /* every ticket was closed */
    free(a->tokens);
    free(a->positions);
    free(a->writes);
    free(a->wanted);
    free(a);
}

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

static void release_pages(hone_engine *engine, sequence *s)
{
    while (s->n_pages > 0)
        hone_page_cache_release(engine->pages, s->pages[--s->n_pages]);
}

static int32_t pages_for(int64_t tokens)
{
    return (int32_t)((tokens + HONE_PAGE_TOKENS - 1) / HONE_PAGE_TOKENS);
}

/* Slots for a search's nodes: as many as are of use, but no more than the engine has, and never too few for one way. */
static int32_t choice_slots(const hone_engine *engine, const hone_request *r)
{
    int64_t slots = r->choices->n_inner < CHOICE_SLOTS ? r->choices->n_inner : CHOICE_SLOTS;
    int64_t room = (hone_page_cache_total(engine->pages) - pages_for((int64_t)r->n_ids)) * (int64_t)HONE_PAGE_TOKENS;
    slots = slots < room ? slots : room;
    return (int32_t)(slots > r->choices->longest - 1 ? slots : r->choices->longest - 1);
}

static int32_t pages_needed(const hone_engine *engine, const hone_request *r)
{
    return r->choices ? pages_for((int64_t)r->n_ids) + pages_for(choice_slots(engine, r))
                      : pages_for((int64_t)r->n_ids + r->max_new_tokens);
}

static hone_status check_request(const hone_engine *engine, const hone_request *r, hone_error *err)
{
    const hone_model_config *c = &engine->model->config;
    int32_t n_tokens = hone_tokenizer_size(engine->tokenizer); /* the embedding may have more rows: no tokens */
    if (r->n_ids < 1)
        return hone_fail(err, HONE_BAD_INPUT, "the prompt has no tokens");
    int64_t total = (int64_t)r->n_ids + tokens_after_prompt(r);
    if (r->max_new_tokens < 0 || (int64_t)r->n_ids > c->n_context || total > c->n_context)
        return hone_fail(
            err, HONE_BAD_INPUT,
            "%zu tokens of prompt and %lld to generate exceed the model's context of %lld; shorten the prompt "
            "or ask for less (on the command line, --truncate shortens it)",
            r->n_ids, (long long)tokens_after_prompt(r), (long long)c->n_context);
    for (size_t t = 0; t < r->n_ids; t++)
        if (r->ids[t] < 0 || r->ids[t] >= n_tokens)
            return hone_fail(err, HONE_BAD_INPUT, "token id %d; the vocabulary has %d", r->ids[t], n_tokens);
    if (r->adapter && r->adapter->rank > HONE_MAX_ADAPTER_RANK)
        return hone_fail(err, HONE_BAD_INPUT, "an adapter of rank %d; the engine computes ranks up to %d",
                         r->adapter->rank, HONE_MAX_ADAPTER_RANK);
    if (r->adapter && !r->adapter->hash[0])
        return hone_fail(err, HONE_BAD_INPUT, "the adapter has no hash, by which the cache would tell it from others");
    int32_t pages = pages_needed(engine, r), have = hone_page_cache_total(engine->pages);
    size_t page_bytes = hone_kv_page_bytes(c->n_layers, c->n_kv_heads, c->head_dim);
    if (pages > have)
        return hone_fail(
            err, HONE_BAD_INPUT,
            "%lld tokens need %zu bytes of key-value cache; the engine has %zu. Shorten the prompt, ask for "
            "less, or give the engine more",
            (long long)total, (size_t)pages * page_bytes, (size_t)have * page_bytes);
    return hone_generation_check(r, n_tokens, err);
}

/* Memory for the whole way of a ticket, so that no step can run out of it. */
static hone_status reserve(const hone_engine *engine, sequence *s, const hone_request *r, hone_error *err)
{
    bool failed = false;
    int64_t total = (int64_t)r->n_ids + tokens_after_prompt(r);
    failed |= !(s->tokens = calloc((size_t)total, sizeof *s->tokens));
    failed |= !(s->pages = calloc((size_t)pages_needed(engine, r), sizeof *s->pages));
    if (failed)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %lld tokens", (long long)total);
    hone_status status =
        r->choices ? hone_choice_search_init(&s->search, r->choices, choice_slots(engine, r), CHOICE_ROWS_EACH, err)
                   : HONE_OK;
    return status == HONE_OK ? hone_generation_begin(&s->generation, engine, &s->request, s->response, err) : status;
}

hone_status hone_engine_submit(hone_engine *engine, const hone_request *request, hone_response *response,
                               hone_ticket **out, hone_error *err)
{
    *out = NULL;
    *response = (hone_response){.choice = -1, .choice_logprob = NAN};
    hone_status status = check_request(engine, request, err);
    if (status == HONE_OK)
        status = hone_model_bytes_check_unchanged(&engine->bytes, err);
    if (status != HONE_OK)
        return status;
    sequence *s = calloc(1, sizeof *s);
    if (!s)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    s->request = *request;
    s->response = response;
    status = reserve(engine, s, request, err);
    if (status != HONE_OK) {
        hone_engine_close_ticket(engine, s);
        return status;
    }
    s->adapter_key = adapter_key(request->adapter);
    s->n_tokens = s->n_prompt = response->tokens_in = (int64_t)request->n_ids;
    memcpy(s->tokens, request->ids, request->n_ids * sizeof *request->ids);
    hone_schedule *queue = engine->schedule;
    s->state = HONE_TICKET_WAITS;
    s->previous = queue->last_waiting;
    *(s->previous ? &s->previous->next : &queue->first_waiting) = s;
    queue->last_waiting = s;
    *out = s;
    return HONE_OK;
}

static void leave_queue(hone_schedule *queue, sequence *s)
{
    *(s->previous ? &s->previous->next : &queue->first_waiting) = s->next;
    *(s->next ? &s->next->previous : &queue->last_waiting) = s->previous;
    s->next = s->previous = NULL;
}

bool hone_ticket_is_done(const hone_ticket *ticket)
{
    return ticket->state == HONE_TICKET_DONE;
}

void hone_engine_close_ticket(hone_engine *engine, hone_ticket *s)
{
    if (!s)
        return;
    hone_schedule *schedule = engine->schedule;
    if (s->state == HONE_TICKET_WAITS)
        leave_queue(schedule, s);
    for (int i = 0; i < schedule->n_active; i++)
        if (schedule->active[i] == s) {
            memmove(&schedule->active[i], &schedule->active[i + 1],
                    (size_t)(--schedule->n_active - i) * sizeof *schedule->active);
            break;
        }
    release_pages(engine, s);
    hone_choice_search_clear(&s->search);
    hone_generation_clear(&s->generation);
    free(s->tokens);
    free(s->pages);
    free(s);
}

/* Tokens at the beginning of the prompt whose rows nobody wants to see. */
static int64_t tokens_not_wanted(const sequence *s)
{
    const hone_request *r = &s->request;
    int64_t n = s->n_prompt - 1;
    if (r->want_prompt_logprobs) /* log p(ids[i]) comes from the row before */
        n = r->logprobs_from < 2 ? 0 : r->logprobs_from - 1 < n ? r->logprobs_from - 1 : n;
    return n;
}

/* Is an active sequence about to compute whole pages that this one also begins with, beyond the `have` it found? */
static bool beginning_is_under_way(const hone_schedule *schedule, const sequence *waiting, int32_t have)
{
    for (int a = 0; a < schedule->n_active; a++) {
        const sequence *s = schedule->active[a];
        if (s->adapter_key != waiting->adapter_key || s->n_computed >= s->n_prompt)
            continue;
        int64_t useful = tokens_not_wanted(waiting), n = s->n_prompt < useful ? s->n_prompt : useful, common = 0;
        while (common < n && s->tokens[common] == waiting->tokens[common])
            common++;
        if (common / HONE_PAGE_TOKENS > have && s->n_computed / HONE_PAGE_TOKENS < common / HONE_PAGE_TOKENS)
            return true;
    }
    return false;
}

typedef enum start_result { STARTED, WAITS_FOR_BEGINNING, WAITS_FOR_PAGES } start_result;

static start_result start(hone_engine *engine, sequence *s)
{
    hone_page_cache *cache = engine->pages;
    int32_t need = pages_needed(engine, &s->request);
    hone_page_match match =
        hone_page_cache_match(cache, s->adapter_key, s->tokens, tokens_not_wanted(s), need, s->pages);
    s->n_pages = match.n_pages;
    start_result result = beginning_is_under_way(engine->schedule, s, s->n_pages) ? WAITS_FOR_BEGINNING : STARTED;
    if (match.part >= 0 && (result != STARTED || need - s->n_pages > hone_page_cache_available(cache))) {
        hone_page_cache_release(cache, match.part);
        match.part = -1;
    }
    if (result == STARTED && need - s->n_pages > hone_page_cache_available(cache))
        result = WAITS_FOR_PAGES;
    if (result != STARTED) {
        release_pages(engine, s);
        return result;
    }
    s->n_registered = match.n_pages;
    s->last_serial = match.serial;
    s->n_computed = (int64_t)match.n_pages * HONE_PAGE_TOKENS;
    while (s->n_pages < need)
        s->pages[s->n_pages++] = hone_page_cache_take(cache);
    if (match.part >= 0) {
        hone_op_kv_copy(engine->ops, engine->pool, match.part, s->pages[match.n_pages]);
        s->n_computed += match.part_tokens;
        hone_page_cache_release(cache, match.part);
    }
    s->response->tokens_cached = s->n_computed;
    engine->statistics.prompt_tokens += s->n_prompt;
    engine->statistics.cached_tokens += s->n_computed;
    s->search.pages = s->pages + pages_for(s->n_prompt);
    s->state = HONE_TICKET_ACTIVE;
    return STARTED;
}

static void admit(hone_engine *engine)
{
    enum { LOOK_AHEAD = 4 * HONE_MAX_ACTIVE };
    hone_schedule *schedule = engine->schedule;
    int looked = 0;
    for (sequence *s = schedule->first_waiting, *next; s && looked < LOOK_AHEAD; s = next, looked++) {
        next = s->next;
        if (schedule->n_active == HONE_MAX_ACTIVE)
            return;
        start_result result = start(engine, s);
        if (result == WAITS_FOR_PAGES)
            return;
        if (result == WAITS_FOR_BEGINNING)
            continue;
        leave_queue(schedule, s);
        schedule->active[schedule->n_active++] = s;
    }
}

/* Sequences of one adapter side by side, so that its products run over consecutive rows; the base first. */
static void order_by_adapter(hone_schedule *run)
{
    for (int i = 1; i < run->n_active; i++) {
        sequence *s = run->active[i];
        int j = i;
        for (; j > 0 && (uintptr_t)run->active[j - 1]->request.adapter > (uintptr_t)s->request.adapter; j--)
            run->active[j] = run->active[j - 1];
        run->active[j] = s;
    }
}

static bool is_choosing(const sequence *s)
{
    return s->request.choices && s->n_computed == s->n_prompt;
}

static bool is_generating(const sequence *s)
{
    return !s->request.choices && s->n_computed >= s->n_prompt;
}

static void add_span(hone_schedule *a, hone_batch *batch, const sequence *s, hone_span span)
{
    const hone_adapter *adapter = s->request.adapter;
    span.first_row = batch->n_rows;
    span.pages = s->pages;
    a->spans[batch->n_spans++] = span;
    if (!adapter)
        return;
    if (batch->n_adapters > 0 && a->adapters[batch->n_adapters - 1].adapter == adapter)
        a->adapters[batch->n_adapters - 1].n_rows += span.n_rows;
    else
        a->adapters[batch->n_adapters++] = (hone_adapter_rows){adapter, batch->n_rows, span.n_rows};
}

static int32_t add_row(hone_schedule *a, hone_batch *batch, int32_t token, int64_t position, int32_t page, int32_t slot)
{
    int32_t row = (int32_t)batch->n_rows++;
    a->tokens[row] = token;
    a->positions[row] = (int32_t)position;
    a->writes[batch->n_writes++] = (hone_kv_write){row, page, slot};
    return row;
}

/* The next consecutive tokens of a sequence, at most `most`; returns how many. */
static int64_t gather_tokens(hone_schedule *a, hone_batch *batch, sequence *s, int64_t most, int64_t *n_wanted)
{
    int64_t rows = s->n_tokens - s->n_computed;
    rows = rows < most ? rows : most;
    add_span(a, batch, s, (hone_span){.n_rows = rows, .first_position = s->n_computed});
    for (int64_t end = s->n_computed + rows; s->n_computed < end; s->n_computed++) {
        int64_t position = s->n_computed;
        int32_t row = add_row(a, batch, s->tokens[position], position, s->pages[position / HONE_PAGE_TOKENS],
                              (int32_t)(position % HONE_PAGE_TOKENS));
        if (hone_generation_wants(&s->generation, position))
            a->wanted[(*n_wanted)++] = (logit_row){.row = row, .position = position, .sequence = s};
    }
    return rows;
}

/* The nodes of the trie that a search wants next, at most `most`. */
static void gather_nodes(hone_schedule *a, hone_batch *batch, sequence *s, int64_t most, int64_t *n_wanted)
{
    hone_choice_search *search = &s->search;
    int32_t n = hone_choice_search_pick(search, (int32_t)most);
    add_span(
        a, batch, s,
        (hone_span){.n_rows = n, .first_position = s->n_prompt, .tree = search->places, .tree_rows = search->rows});
    for (int32_t i = 0; i < n; i++) {
        int32_t node = search->rows[i];
        const hone_choice_node *of = &search->choices->nodes[node];
        const hone_tree_place *place = &search->places[node];
        int64_t position = s->n_prompt + of->depth - 1;
        int32_t row = add_row(a, batch, of->token, position, place->page, place->slot);
        if (hone_choice_search_wants_logits(search, node))
            a->wanted[(*n_wanted)++] = (logit_row){.row = row, .node = node, .position = position, .sequence = s};
    }
}

/* Collects the rows of a step; returns how many want logits. */
static int64_t gather(hone_engine *engine, hone_batch *batch)
{
    hone_schedule *a = engine->schedule;
    int64_t n_wanted = 0, reserved = a->n_active, n_choosing = 0; /* every sequence gets a row */
    int64_t for_prompts = engine->max_batch_rows;
    *batch = (hone_batch){.tokens = a->tokens,
                          .positions = a->positions,
                          .spans = a->spans,
                          .writes = a->writes,
                          .adapters = a->adapters};
    for (int i = 0; i < a->n_active; i++) {
        n_choosing += is_choosing(a->active[i]);
        if (is_generating(a->active[i]) && for_prompts > PROMPT_ROWS_BESIDE)
            for_prompts = PROMPT_ROWS_BESIDE;
    }
    for (int i = 0; i < a->n_active; i++) {
        sequence *s = a->active[i];
        int64_t most = engine->max_batch_rows - batch->n_rows - --reserved;
        if (is_choosing(s)) {
            int64_t share = n_choosing < CHOICE_ROWS ? CHOICE_ROWS / n_choosing : 1;
            gather_nodes(a, batch, s, share < most ? share : most, &n_wanted);
        } else if (is_generating(s))
            gather_tokens(a, batch, s, most, &n_wanted);
        else {
            most = most < for_prompts ? most : for_prompts > 0 ? for_prompts : 1;
            for_prompts -= gather_tokens(a, batch, s, most, &n_wanted);
        }
    }
    return n_wanted;
}

/* Does a token of an answer come from this row? */
static bool gives_token(const logit_row *w)
{
    const sequence *s = w->sequence;
    return w->position >= s->n_prompt - 1 && !s->request.choices && s->request.max_new_tokens > 0;
}

typedef struct pick_run {
    const hone_engine *engine;
    const logit_row *wanted;
    int64_t n;
    const float *logits;
    int32_t *picked;
} pick_run;

static void pick_piece(void *context, int64_t piece, int thread)
{
    (void)thread;
    const pick_run *run = context;
    const hone_engine *engine = run->engine;
    for (int64_t i = piece; i < run->n; i += engine->n_samplers)
        if (gives_token(&run->wanted[i]))
            run->picked[i] = hone_generation_pick(&run->wanted[i].sequence->generation, engine->samplers[piece],
                                                  run->logits + i * engine->model->config.n_vocab);
}

static void use_logits(const logit_row *w, const float *logits, double lse, int32_t picked)
{
    sequence *s = w->sequence;
    if (w->position < s->n_prompt)
        hone_generation_prompt_row(&s->generation, w->position, logits, lse);
    if (w->position < s->n_prompt - 1)
        return;
    if (s->request.choices)
        hone_choice_search_expand(&s->search, w->node, logits, lse);
    else if (gives_token(w) && !hone_generation_add(&s->generation, picked, logits, lse))
        s->finished = true;
    else if (gives_token(w))
        s->tokens[s->n_tokens++] = picked;
}

static void run_logits(hone_engine *engine, const logit_row *wanted, int64_t n)
{
    int64_t n_vocab = engine->model->config.n_vocab;
    int32_t rows[HONE_LOGIT_ROWS], picked[HONE_LOGIT_ROWS];
    double lse[HONE_LOGIT_ROWS];
    for (int64_t start_at = 0; start_at < n; start_at += HONE_LOGIT_ROWS) {
        int64_t m = n - start_at < HONE_LOGIT_ROWS ? n - start_at : HONE_LOGIT_ROWS;
        for (int64_t i = 0; i < m; i++)
            rows[i] = wanted[start_at + i].row;
        const float *logits = hone_model_logits(engine->model, engine->workspace, rows, m);
        hone_op_log_softmax_stats(engine->ops, m, n_vocab, logits, NULL, lse, NULL);
        pick_run picks = {engine, wanted + start_at, m, logits, picked};
        hone_thread_pool_run(hone_ops_pool(engine->ops), engine->n_samplers, pick_piece, &picks);
        for (int64_t i = 0; i < m; i++)
            use_logits(&wanted[start_at + i], logits + i * n_vocab, lse[i], picked[i]);
    }
}

static void register_page(hone_engine *engine, sequence *s, int n_tokens)
{
    s->last_serial = hone_page_cache_register(engine->pages, s->pages[s->n_registered], s->last_serial, s->adapter_key,
                                              s->tokens + s->n_registered * (int64_t)HONE_PAGE_TOKENS, n_tokens);
    s->n_registered++;
}

/* After a step: what the sequence does next, and the pages that others may now use. */
static void advance(hone_engine *engine, sequence *s)
{
    while ((s->n_registered + 1) * (int64_t)HONE_PAGE_TOKENS <= s->n_computed)
        register_page(engine, s, HONE_PAGE_TOKENS);
    if (s->n_computed < s->n_tokens || s->finished)
        return;
    if (s->request.choices) {
        if (hone_choice_search_is_done(&s->search)) {
            s->response->choice = s->request.choices->nodes[s->search.best].choice;
            s->response->choice_logprob = s->search.logprob[s->search.best];
            s->response->finish = HONE_FINISH_CHOICE;
            s->finished = true;
        }
        return;
    }
    if (s->request.max_new_tokens == 0) {
        s->response->finish = HONE_FINISH_SCORED;
        s->finished = true;
    }
}

hone_status hone_engine_step(hone_engine *engine, bool *idle, hone_error *err)
{
    hone_schedule *schedule = engine->schedule;
    hone_batch batch;
    admit(engine);
    *idle = schedule->n_active == 0;
    if (*idle)
        return HONE_OK;
    order_by_adapter(schedule);
    int64_t n_wanted = gather(engine, &batch);
    hone_model_forward(engine->model, engine->pool, &batch, engine->workspace, NULL);
    run_logits(engine, schedule->wanted, n_wanted);
    engine->statistics.steps++;
    engine->statistics.rows += batch.n_rows;
    engine->statistics.logit_rows += n_wanted;
    int kept = 0;
    hone_status status = HONE_OK;
    for (int i = 0; i < schedule->n_active; i++) {
        sequence *s = schedule->active[i];
        advance(engine, s);
        if (!s->finished) {
            schedule->active[kept++] = s;
            continue;
        }
        if (status == HONE_OK)
            status = hone_generation_finish(&s->generation, err);
        s->state = HONE_TICKET_DONE;
        if (s->n_computed > s->n_registered * (int64_t)HONE_PAGE_TOKENS) /* the last page, as far as it goes */
            register_page(engine, s, (int)(s->n_computed - s->n_registered * (int64_t)HONE_PAGE_TOKENS));
        release_pages(engine, s);
    }
    schedule->n_active = kept;
    *idle = kept == 0 && !schedule->first_waiting;
    return status;
}

/* Submits what the window has room for, makes a step, closes what is done. */
static hone_status run_window(hone_engine *engine, const hone_request *requests, hone_response *responses, size_t n,
                              hone_ticket **tickets, hone_progress *progress, hone_error *err)
{
    size_t n_submitted = 0, n_open = 0;
    while (n_open > 0 || n_submitted < n) {
        if (hone_cancel_requested())
            return hone_fail(err, HONE_CANCELLED, "stopped");
        for (; n_open < RUN_WINDOW && n_submitted < n; n_submitted++) {
            hone_status status =
                hone_engine_submit(engine, &requests[n_submitted], &responses[n_submitted], &tickets[n_open], err);
            if (status != HONE_OK)
                return hone_fail_within(err, status, "request %zu", n_submitted + 1);
            n_open++;
        }
        bool idle;
        hone_status status = hone_engine_step(engine, &idle, err);
        if (status != HONE_OK)
            return status;
        size_t kept = 0;
        for (size_t i = 0; i < n_open; i++) {
            hone_ticket *ticket = tickets[i];
            tickets[i] = NULL;
            if (hone_ticket_is_done(ticket))
                hone_engine_close_ticket(engine, ticket);
            else
                tickets[kept++] = ticket;
        }
        n_open = kept;
        hone_progress_update(progress, (int64_t)(n_submitted - n_open), NULL);
    }
    return HONE_OK;
}

hone_status hone_engine_run(hone_engine *engine, const hone_request *requests, size_t n, hone_response *responses,
                            hone_progress *progress, hone_error *err)
{
    hone_ticket *tickets[RUN_WINDOW] = {0};
    for (size_t i = 0; i < n; i++)
        responses[i] = (hone_response){.choice = -1, .choice_logprob = NAN};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = check_request(engine, &requests[i], err);
        if (status != HONE_OK)
            hone_fail_within(err, status, "request %zu", i + 1);
    }
    if (status == HONE_OK)
        status = run_window(engine, requests, responses, n, tickets, progress, err);
    for (size_t i = 0; i < RUN_WINDOW; i++)
        hone_engine_close_ticket(engine, tickets[i]);
    return status;
}

hone_engine_statistics hone_engine_get_statistics(const hone_engine *engine)
{
    hone_engine_statistics out = engine->statistics;
    for (const sequence *s = engine->schedule->first_waiting; s; s = s->next)
        out.n_waiting++;
    out.n_active = engine->schedule->n_active;
    out.evicted_pages = hone_page_cache_evicted(engine->pages);
    out.pages = hone_page_cache_total(engine->pages);
    out.pages_in_use = out.pages - hone_page_cache_available(engine->pages);
    return out;
}
