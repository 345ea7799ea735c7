/* generate.c - what becomes of one row of logits: the next token, where an answer ends, log-probabilities, the text.
 *
 * The scheduler knows positions and pages; this file knows what the request wants of a row. */
#include "engine/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

hone_status hone_generation_check(const hone_request *r, int64_t n_vocab, hone_error *err)
{
    (void)n_vocab;
    if (r->n_top < 0 || r->n_top > 20)
        return hone_fail(err, HONE_BAD_INPUT, "%d top tokens; 0 to 20 are possible", r->n_top);
    return HONE_OK;
}

hone_status hone_generation_begin(hone_generation *g, const hone_engine *engine, const hone_request *r,
                                  hone_response *out, hone_error *err)
{
    *g = (hone_generation){.engine = engine, .request = r, .response = out};
    bool good = true;
    if (r->want_prompt_logprobs)
        good = (out->prompt_logprobs = calloc(r->n_ids, sizeof(float))) != NULL;
    if (good && r->n_top > 0)
        good = (out->top = calloc((size_t)r->n_top, sizeof *out->top)) != NULL;
    if (good && !r->choices && r->max_new_tokens > 0) {
        out->ids = calloc((size_t)r->max_new_tokens, sizeof(int32_t));
        out->logprobs = calloc((size_t)r->max_new_tokens, sizeof(float));
        good = out->ids && out->logprobs;
    }
    if (!good)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (out->prompt_logprobs)
        out->prompt_logprobs[0] = NAN;
    return HONE_OK;
}

void hone_generation_clear(hone_generation *g)
{
    *g = (hone_generation){0};
}

bool hone_generation_wants(const hone_generation *g, int64_t position)
{
    const hone_request *r = g->request;
    int64_t last = (int64_t)r->n_ids - 1;
    if (position < last)
        return r->want_prompt_logprobs;
    if (position == last)
        return r->n_top > 0 || r->choices || r->max_new_tokens > 0;
    return true;
}

void hone_generation_prompt_row(hone_generation *g, int64_t position, const float *logits, double lse)
{
    const hone_request *r = g->request;
    hone_response *out = g->response;
    if (position < (int64_t)r->n_ids - 1) {
        out->prompt_logprobs[position + 1] = (float)((double)logits[r->ids[position + 1]] - lse);
        return;
    }
    if (r->n_top > 0) {
        out->n_top = r->n_top;
        hone_top_tokens(logits, g->engine->model->config.n_vocab, lse, r->n_top, out->top);
    }
}

static bool ends_with_blank_line(const hone_generation *g)
{
    hone_buffer text = {0};
    bool ends = hone_tokenizer_decode(g->engine->tokenizer, g->response->ids, g->response->n_ids, false, &text, NULL) ==
                    HONE_OK &&
                text.data && strstr(text.data, "\n\n");
    hone_buffer_clear(&text);
    return ends;
}

bool hone_generation_next(hone_generation *g, const float *logits, double lse, int32_t *next)
{
    const hone_request *r = g->request;
    hone_response *out = g->response;
    int32_t id = hone_sample(logits, g->engine->model->config.n_vocab, r->temperature, r->seed, (int64_t)out->n_ids);
    if (hone_tokenizer_is_end(g->engine->tokenizer, id)) {
        out->finish = HONE_FINISH_STOP;
        return false;
    }
    out->ids[out->n_ids] = id;
    out->logprobs[out->n_ids++] = (float)((double)logits[id] - lse);
    if (g->engine->plain && ends_with_blank_line(g)) {
        out->finish = HONE_FINISH_STOP;
        return false;
    }
    if (out->n_ids == (size_t)r->max_new_tokens) {
        out->finish = HONE_FINISH_LENGTH;
        return false;
    }
    *next = id;
    return true;
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
        status = hone_tokenizer_decode(g->engine->tokenizer, out->ids, out->n_ids, false, &text, err);
        out->tokens_out = (int64_t)out->n_ids;
        char *blank = g->engine->plain && text.data ? strstr(text.data, "\n\n") : NULL;
        if (blank)
            *blank = 0;
    }
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
    *r = (hone_response){.choice = -1};
}
