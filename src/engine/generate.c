/* generate.c - what becomes of one row of logits: the next token, where an answer ends, log-probabilities, the text.
 *
 * The scheduler knows positions and pages; this file knows what the request wants of a row. */
#include "engine/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOP = 20 };

static const char *const blank_line = "\n\n"; /* what ends an answer under hone's own template */

hone_status hone_generation_check(const hone_request *r, int64_t n_vocab, hone_error *err)
{
    const struct {
        int n;
        const char *where;
    } tops[] = {{r->n_top, "after the prompt"},
                {r->n_top_output, "at each position of the answer"},
                {r->n_top_prompt, "at each position of the prompt"}};
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        if (tops[i].n < 0 || tops[i].n > MAX_TOP)
            return hone_fail(err, HONE_BAD_INPUT, "%d top tokens %s; 0 to %d are possible", tops[i].n, tops[i].where,
                             MAX_TOP);
    if (r->n_top_prompt > 0 && !r->want_prompt_logprobs)
        return hone_fail(err, HONE_BAD_INPUT, "top tokens of the prompt without its log-probabilities");
    if (r->logprobs_from < 0 || r->logprobs_from > (int64_t)r->n_ids)
        return hone_fail(err, HONE_BAD_INPUT, "log-probabilities from position %lld of a prompt of %zu tokens",
                         (long long)r->logprobs_from, r->n_ids);
    hone_status status = hone_sampling_check(&r->sampling, n_vocab, err);
    return status == HONE_OK ? hone_stops_check(r->stops, r->n_stops, err) : status;
}

int32_t hone_request_text_after(const hone_request *r)
{
    return r->continues ? r->ids[r->n_ids - 1] : -1;
}

/* The first position of the prompt whose log-probability is wanted. */
static int64_t first_logprob(const hone_request *r)
{
    return r->logprobs_from > 1 ? r->logprobs_from : 1;
}

static hone_top_token *new_top(size_t n_rows, int n_top)
{
    return calloc(n_rows * (size_t)n_top, sizeof(hone_top_token));
}

/* The texts that end an answer: those of the request, and the blank line under hone's own template. */
static hone_status begin_stream(hone_generation *g, const hone_request *r, hone_error *err)
{
    const char *stops[HONE_MAX_STOPS + 1];
    size_t n = 0;
    for (; n < r->n_stops; n++)
        stops[n] = r->stops[n];
    if (g->engine->plain)
        stops[n++] = blank_line;
    return n > 0 ? hone_text_stream_create(g->engine->tokenizer, hone_request_text_after(r), stops, n, &g->stream, err)
                 : HONE_OK;
}

hone_status hone_generation_begin(hone_generation *g, const hone_engine *engine, const hone_request *r,
                                  hone_response *out, hone_error *err)
{
    *g = (hone_generation){.engine = engine, .request = r, .response = out};
    bool failed = false;
    size_t most = r->choices ? 0 : (size_t)r->max_new_tokens;
    out->end_id = -1;
    failed |= r->want_prompt_logprobs && !(out->prompt_logprobs = calloc(r->n_ids, sizeof(float)));
    failed |= r->n_top > 0 && !(out->top = new_top(1, r->n_top));
    failed |= r->n_top_prompt > 0 && !(out->top_prompt = new_top(r->n_ids, r->n_top_prompt));
    failed |= most > 0 && !(out->ids = calloc(most, sizeof(int32_t)));
    failed |= most > 0 && !(out->logprobs = calloc(most, sizeof(float)));
    failed |= most > 0 && r->n_top_output > 0 && !(out->top_output = new_top(most, r->n_top_output));
    if (failed)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an answer of %zu tokens", most);
    for (int64_t i = 0; out->prompt_logprobs && i < first_logprob(r) && i < (int64_t)r->n_ids; i++) {
        out->prompt_logprobs[i] = NAN;
        for (int k = 0; k < r->n_top_prompt; k++)
            out->top_prompt[i * r->n_top_prompt + k] = (hone_top_token){-1, NAN};
    }
    if (most == 0)
        return HONE_OK;
    hone_status status =
        hone_token_history_init(&g->history, &r->sampling, engine->model->config.n_vocab, r->ids, r->n_ids, most, err);
    return status == HONE_OK ? begin_stream(g, r, err) : status;
}

void hone_generation_clear(hone_generation *g)
{
    hone_token_history_clear(&g->history);
    hone_text_stream_free(g->stream);
    *g = (hone_generation){0};
}

bool hone_generation_wants(const hone_generation *g, int64_t position)
{
    const hone_request *r = g->request;
    int64_t last = (int64_t)r->n_ids - 1;
    if (position < last)
        return r->want_prompt_logprobs && position + 1 >= first_logprob(r);
    if (position == last)
        return r->n_top > 0 || r->choices || r->max_new_tokens > 0;
    return true;
}

void hone_generation_prompt_row(hone_generation *g, int64_t position, const float *logits, double lse)
{
    const hone_request *r = g->request;
    hone_response *out = g->response;
    int64_t n_vocab = hone_tokenizer_size(g->engine->tokenizer);
    if (position < (int64_t)r->n_ids - 1) {
        out->prompt_logprobs[position + 1] = (float)((double)logits[r->ids[position + 1]] - lse);
        if (r->n_top_prompt > 0)
            hone_top_tokens(logits, n_vocab, lse, r->n_top_prompt, out->top_prompt + (position + 1) * r->n_top_prompt);
        return;
    }
    if (r->n_top > 0) {
        out->n_top = r->n_top;
        hone_top_tokens(logits, n_vocab, lse, r->n_top, out->top);
    }
}

int32_t hone_generation_pick(const hone_generation *g, hone_sampler *sampler, const float *logits)
{
    return hone_sampler_pick(sampler, &g->request->sampling, &g->history, logits, g->response->n_ids);
}

bool hone_generation_add(hone_generation *g, int32_t id, const float *logits, double lse)
{
    const hone_request *r = g->request;
    const hone_engine *engine = g->engine;
    hone_response *out = g->response;
    float logprob = (float)((double)logits[id] - lse);
    if (r->n_top_output > 0)
        hone_top_tokens(logits, hone_tokenizer_size(engine->tokenizer), lse, r->n_top_output,
                        out->top_output + out->n_ids * (size_t)r->n_top_output);
    if (hone_tokenizer_is_end(engine->tokenizer, id)) {
        out->end_id = id;
        out->end_logprob = logprob;
        out->finish = HONE_FINISH_STOP;
        return false;
    }
    out->ids[out->n_ids] = id;
    out->logprobs[out->n_ids++] = logprob;
    hone_token_history_add(&g->history, id);
    if (g->stream && hone_text_stream_add(g->stream, id, NULL, NULL)) {
        out->finish = HONE_FINISH_STOP;
        return false;
    }
    if (out->n_ids == (size_t)r->max_new_tokens) {
        out->finish = HONE_FINISH_LENGTH;
        return false;
    }
    return true;
}

/* Did a stop string end the answer? Then the stream ended it, and held nothing back from its text. */
static bool ended_by_text(const hone_generation *g)
{
    return g->stream && g->response->finish == HONE_FINISH_STOP && g->response->end_id < 0;
}

hone_status hone_generation_finish(hone_generation *g, hone_error *err)
{
    hone_response *out = g->response;
    const hone_choices *choices = g->request->choices;
    hone_buffer text = {0};
    hone_status status = HONE_OK;
    if (choices) {
        hone_buffer_puts(&text, hone_choices_text(choices, (size_t)out->choice));
        for (int32_t node = 0; node < choices->n_nodes; node++)
            if (choices->nodes[node].choice == out->choice)
                out->tokens_out = choices->nodes[node].depth;
    } else {
        status = hone_tokenizer_decode_after(g->engine->tokenizer, hone_request_text_after(g->request), out->ids,
                                             out->n_ids, false, &text, err);
        out->tokens_out = (int64_t)out->n_ids;
        if (ended_by_text(g) && text.data) {
            text.length = hone_text_stream_final_bytes(g->stream);
            text.data[text.length] = 0;
        }
    }
    out->text_bytes = text.length;
    out->text = hone_buffer_take(&text);
    if (!out->text && status == HONE_OK)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
    return status;
}

void hone_response_clear(hone_response *r)
{
    free(r->ids);
    free(r->text);
    free(r->logprobs);
    free(r->prompt_logprobs);
    free(r->top);
    free(r->top_output);
    free(r->top_prompt);
    *r = (hone_response){.choice = -1};
}
