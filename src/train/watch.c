/* watch.c - held-out answers, their loss, samples, retention. */
#include "train/watch.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "train/general_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_SAMPLES = 6, N_DRAWN = 16, DRAWN_TOKENS = 32 };

typedef struct drawn { /* an answer of the base model, after its prompt */
    hone_token_list ids;
    size_t n_prompt;
    double logprob; /* of the answer under the base */
} drawn;

struct hone_watch {
    hone_engine *engine;
    const hone_encoded_example *held;
    size_t n, longest_answer_tokens;
    size_t *asked, n_asked; /* the rows with an answer that is whole */
    const hone_conversations *rows;
    uint64_t seed;
    bool base_is_measured;
    hone_token_list *passages; /* [hone_n_general_passages] */
    double base_perplexity;
    drawn drawn[N_DRAWN];
    size_t n_drawn, drawn_tokens;
    char *base_answers[N_SAMPLES];
};

hone_status hone_watch_create(hone_engine *engine, const hone_encoded_example *held, size_t n,
                              const hone_conversations *rows, size_t longest_answer_tokens, uint64_t seed,
                              hone_watch **out, hone_error *err)
{
    hone_watch *w = calloc(1, sizeof *w);
    hone_status status = HONE_OK;
    *out = NULL;
    if (!w || !(w->passages = calloc(hone_n_general_passages, sizeof *w->passages)) ||
        !(w->asked = calloc(n + 1, sizeof *w->asked))) {
        hone_watch_free(w);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    w->engine = engine;
    w->held = held;
    w->n = n;
    w->rows = rows;
    w->longest_answer_tokens = longest_answer_tokens;
    w->seed = seed;
    for (size_t i = 0; i < n; i++)
        if (!held[i].answer_is_cut)
            w->asked[w->n_asked++] = i;
    if (w->n_asked == 0)
        status = hone_fail(err, HONE_BAD_INPUT,
                           "the answers of all %zu held-out rows are cut off, so none can be asked for; allow longer "
                           "examples (--max-tokens), shorten the rows, or use --no-select",
                           n);
    for (size_t i = 0; i < hone_n_general_passages && status == HONE_OK; i++) {
        status = hone_engine_encode_text(engine, hone_general_passages[i], &w->passages[i], err);
        size_t most = (size_t)hone_engine_context_tokens(engine);
        if (w->passages[i].n > most)
            w->passages[i].n = most;
    }
    if (status == HONE_OK)
        *out = w;
    else
        hone_watch_free(w);
    return status;
}

void hone_watch_free(hone_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; w->passages && i < hone_n_general_passages; i++)
        hone_token_list_clear(&w->passages[i]);
    for (size_t i = 0; i < w->n_drawn; i++)
        hone_token_list_clear(&w->drawn[i].ids);
    for (size_t i = 0; i < N_SAMPLES; i++)
        free(w->base_answers[i]);
    free(w->passages);
    free(w->asked);
    free(w);
}

hone_status hone_watch_hash(const hone_watch *w, char out[65], hone_error *err)
{
    hone_sha256 *h = hone_sha256_create();
    if (!h)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    hone_sha256_update(h, &w->longest_answer_tokens, sizeof w->longest_answer_tokens);
    for (size_t i = 0; i < w->n; i++) {
        const hone_learned_conversation *c = &w->held[i].tokens;
        const size_t numbers[] = {c->ids.n, c->n_prompt, c->last_answer, c->last_answer_end};
        hone_sha256_update(h, numbers, sizeof numbers);
        hone_sha256_update(h, c->ids.data, c->ids.n * sizeof *c->ids.data);
        hone_sha256_update(h, c->weights, c->ids.n * sizeof *c->weights);
    }
    hone_sha256_finish(h, out);
    return HONE_OK;
}

/* Runs the requests and hands each response to `take`. */
typedef hone_status (*taker)(hone_watch *w, size_t i, const hone_response *response, void *context, hone_error *err);

static hone_status run_all(hone_watch *w, const hone_request *requests, size_t n, taker take, void *context,
                           hone_error *err)
{
    hone_response *responses = calloc(n + 1, sizeof *responses);
    hone_status status = responses ? hone_engine_run(w->engine, requests, n, responses, NULL, err)
                                   : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n && responses; i++) {
        if (status == HONE_OK)
            status = take(w, i, &responses[i], context, err);
        hone_response_clear(&responses[i]);
    }
    free(responses);
    return status;
}

static const hone_encoded_example *asked_row(const hone_watch *w, size_t i)
{
    return &w->held[w->asked[i]];
}

static int room_for_answer(const hone_watch *w, size_t n_prompt, size_t most)
{
    size_t room = (size_t)hone_engine_context_tokens(w->engine) - n_prompt;
    return (int)(most < room ? most : room);
}

/* Perplexity on ordinary text ------------------------------------------------------------------------------------ */

static hone_status take_passage(hone_watch *w, size_t i, const hone_response *r, void *sum, hone_error *err)
{
    (void)err;
    for (size_t t = 1; t < w->passages[i].n; t++)
        *(double *)sum -= (double)r->prompt_logprobs[t];
    return HONE_OK;
}

static hone_status general_perplexity(hone_watch *w, const hone_adapter *adapter, double *out, hone_error *err)
{
    enum { MOST = 64 };
    hone_request requests[MOST];
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < hone_n_general_passages; i++) {
        requests[i] = (hone_request){
            .ids = w->passages[i].data, .n_ids = w->passages[i].n, .adapter = adapter, .want_prompt_logprobs = true};
        n += w->passages[i].n - 1;
    }
    hone_status status = run_all(w, requests, hone_n_general_passages, take_passage, &sum, err);
    *out = exp(sum / (double)n);
    return status;
}

/* KL(base || tuned) ----------------------------------------------------------------------------------------------- */

static hone_status take_drawn(hone_watch *w, size_t i, const hone_response *r, void *context, hone_error *err)
{
    (void)context;
    drawn *d = &w->drawn[i];
    const hone_encoded_example *e = asked_row(w, i);
    hone_status status = HONE_OK;
    d->n_prompt = e->tokens.last_answer;
    w->n_drawn = i + 1;
    for (size_t t = 0; t < d->n_prompt && status == HONE_OK; t++)
        status = hone_token_list_push(&d->ids, e->tokens.ids.data[t], err);
    for (size_t t = 0; t < r->n_ids && status == HONE_OK; t++) {
        status = hone_token_list_push(&d->ids, r->ids[t], err);
        d->logprob += (double)r->logprobs[t];
    }
    if (r->end_id >= 0 && status == HONE_OK) {
        status = hone_token_list_push(&d->ids, r->end_id, err);
        d->logprob += (double)r->end_logprob;
    }
    w->drawn_tokens += d->ids.n - d->n_prompt;
    return status;
}

static hone_status draw_from_base(hone_watch *w, hone_error *err)
{
    hone_request requests[N_DRAWN];
    size_t n = w->n_asked < N_DRAWN ? w->n_asked : N_DRAWN;
    for (size_t i = 0; i < w->n_drawn; i++) { /* of an attempt that failed */
        hone_token_list_clear(&w->drawn[i].ids);
        w->drawn[i].logprob = 0;
    }
    w->n_drawn = w->drawn_tokens = 0;
    for (size_t i = 0; i < n; i++) {
        const hone_encoded_example *e = asked_row(w, i);
        requests[i] = (hone_request){.ids = e->tokens.ids.data,
                                     .n_ids = e->tokens.last_answer,
                                     .max_new_tokens = room_for_answer(w, e->tokens.last_answer, DRAWN_TOKENS),
                                     .sampling = {.temperature = 1, .seed = w->seed, .stream = (uint32_t)i}};
    }
    return run_all(w, requests, n, take_drawn, NULL, err);
}

static hone_status take_tuned(hone_watch *w, size_t i, const hone_response *r, void *sum, hone_error *err)
{
    (void)err;
    const drawn *d = &w->drawn[i];
    *(double *)sum += d->logprob;
    for (size_t t = d->n_prompt; t < d->ids.n; t++)
        *(double *)sum -= (double)r->prompt_logprobs[t];
    return HONE_OK;
}

static hone_status divergence(hone_watch *w, const hone_adapter *adapter, double *out, hone_error *err)
{
    hone_request requests[N_DRAWN];
    double sum = 0;
    for (size_t i = 0; i < w->n_drawn; i++)
        requests[i] = (hone_request){.ids = w->drawn[i].ids.data,
                                     .n_ids = w->drawn[i].ids.n,
                                     .adapter = adapter,
                                     .want_prompt_logprobs = true,
                                     .logprobs_from = (int64_t)w->drawn[i].n_prompt};
    hone_status status = run_all(w, requests, w->n_drawn, take_tuned, &sum, err);
    *out = w->drawn_tokens ? sum / (double)w->drawn_tokens : NAN;
    return status;
}

/* Answers to held-out rows ---------------------------------------------------------------------------------------- */

typedef struct answers {
    char *right; /* [n + 1] of '0' and '1' */
    size_t n_right, n_unended;
    json_t *samples;
} answers;

/* The last thing said before the answer. */
static const char *input_of(const hone_watch *w, const hone_encoded_example *e)
{
    const json_t *messages = w->rows ? w->rows->items[e->conversation].messages : NULL;
    for (size_t i = json_array_size(messages); i-- > 0;) {
        const json_t *m = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        if (role && strcmp(role, "user") == 0)
            return json_string_value(json_object_get(m, "content"));
    }
    return NULL;
}

static json_t *text_or_null(const char *text)
{
    json_t *s = text ? json_string(text) : NULL; /* NULL for broken UTF-8, too */
    return s ? s : json_null();
}

static hone_status take_answer(hone_watch *w, size_t i, const hone_response *r, void *context, hone_error *err)
{
    answers *a = context;
    const hone_encoded_example *e = asked_row(w, i);
    bool right = r->text && strcmp(r->text, e->answer) == 0;
    a->right[i] = right ? '1' : '0';
    a->n_right += right;
    a->n_unended += r->finish == HONE_FINISH_LENGTH;
    if (i >= N_SAMPLES)
        return HONE_OK;
    json_t *sample = json_pack("{s:I, s:o, s:o, s:o, s:o, s:b}", "line", (json_int_t)e->line, "input",
                               text_or_null(input_of(w, e)), "reference", text_or_null(e->answer), "answer",
                               text_or_null(r->text), "base", text_or_null(w->base_answers[i]), "right", right);
    return sample && json_array_append_new(a->samples, sample) == 0 ? HONE_OK
                                                                    : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

static hone_status take_base_answer(hone_watch *w, size_t i, const hone_response *r, void *context, hone_error *err)
{
    (void)context;
    free(w->base_answers[i]);
    w->base_answers[i] = strdup(r->text ? r->text : "");
    return w->base_answers[i] ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
}

static hone_status ask_all(hone_watch *w, const hone_adapter *adapter, size_t n, taker take, void *context,
                           hone_error *err)
{
    hone_request *requests = calloc(n, sizeof *requests);
    if (!requests)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const hone_encoded_example *e = asked_row(w, i);
        requests[i] =
            (hone_request){.ids = e->tokens.ids.data,
                           .n_ids = e->tokens.last_answer,
                           .adapter = adapter,
                           .max_new_tokens = room_for_answer(w, e->tokens.last_answer, w->longest_answer_tokens)};
    }
    hone_status status = run_all(w, requests, n, take, context, err);
    free(requests);
    return status;
}

typedef struct loss_sum {
    double loss, weight;
} loss_sum;

static hone_status take_loss(hone_watch *w, size_t i, const hone_response *r, void *context, hone_error *err)
{
    (void)err;
    loss_sum *sum = context;
    const hone_learned_conversation *c = &w->held[i].tokens;
    for (size_t t = c->n_prompt; t < c->ids.n; t++) {
        if (!(c->weights[t] > 0))
            continue;
        sum->loss -= (double)c->weights[t] * (double)r->prompt_logprobs[t];
        sum->weight += (double)c->weights[t];
    }
    return HONE_OK;
}

static hone_status held_out_loss(hone_watch *w, const hone_adapter *adapter, double *out, hone_error *err)
{
    loss_sum sum = {0, 0};
    hone_request *requests = calloc(w->n, sizeof *requests);
    if (!requests)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < w->n; i++)
        requests[i] = (hone_request){.ids = w->held[i].tokens.ids.data,
                                     .n_ids = w->held[i].tokens.ids.n,
                                     .adapter = adapter,
                                     .want_prompt_logprobs = true,
                                     .logprobs_from = (int64_t)w->held[i].tokens.n_prompt};
    hone_status status = run_all(w, requests, w->n, take_loss, &sum, err);
    *out = sum.weight > 0 ? sum.loss / sum.weight : NAN;
    free(requests);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------------- */

static json_t *number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

hone_status hone_watch_measure_base(hone_watch *w, hone_error *err)
{
    if (w->base_is_measured)
        return HONE_OK;
    hone_status status = general_perplexity(w, NULL, &w->base_perplexity, err);
    if (status == HONE_OK)
        status = draw_from_base(w, err);
    if (status == HONE_OK)
        status = ask_all(w, NULL, w->n_asked < N_SAMPLES ? w->n_asked : N_SAMPLES, take_base_answer, NULL, err);
    w->base_is_measured = status == HONE_OK;
    return status;
}

hone_status hone_watch_score(void *context, const hone_adapter *adapter, hone_train_scored *out, hone_error *err)
{
    hone_watch *w = context;
    answers a = {.right = calloc(w->n_asked + 1, 1), .samples = json_array()};
    double perplexity = NAN, kl = NAN;
    hone_status status =
        a.right && a.samples ? hone_watch_measure_base(w, err) : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK)
        status = ask_all(w, adapter, w->n_asked, take_answer, &a, err);
    if (status == HONE_OK)
        status = held_out_loss(w, adapter, &out->loss, err);
    if (status == HONE_OK)
        status = general_perplexity(w, adapter, &perplexity, err);
    if (status == HONE_OK)
        status = divergence(w, adapter, &kl, err);
    if (status == HONE_OK) {
        out->score = (double)a.n_right / (double)w->n_asked;
        out->details =
            json_pack("{s:I, s:s, s:I, s:o, s:o, s:o, s:I, s:O}", "n", (json_int_t)w->n_asked, "right", a.right,
                      "unended", (json_int_t)a.n_unended, "general_perplexity", number_or_null(perplexity),
                      "general_perplexity_base", number_or_null(w->base_perplexity), "kl", number_or_null(kl),
                      "kl_tokens", (json_int_t)w->drawn_tokens, "samples", a.samples);
        if (!out->details)
            status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    }
    hone_engine_release_memory(w->engine); /* the next step needs it, and another adapter's pages are of no use */
    json_decref(a.samples);
    free(a.right);
    return status;
}
